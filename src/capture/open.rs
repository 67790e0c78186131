//! Opens a capture, whatever it is and however it is packed.
//!
//! Takes:  a path, or `-` for standard input
//! Gives:  a [`Source`]
//! Never:  reads frames; goes back in a pipe

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::netmon::{NetMon, Store};
use super::pcap::Pcap;
use super::pcapng::Pcapng;
use super::records::{Buffered, Mapped, Records};
use super::sniff::{self, Kind};
use super::snoop::Snoop;
use super::tally::Tally;
use super::unpack::{Counted, Packing, UnpackLimits, unpack};
use super::{CaptureError, Source, map};

/// How captures are opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct OpenOptions {
    /// Map finished local files instead of reading them.
    pub map: bool,
    /// How far compressed captures may grow.
    pub unpack: UnpackLimits,
    /// Octets of a NetMon capture that may be held in memory where it comes through a pipe or compressed: its index stands at its
    /// end.
    pub held_octets: u64,
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self {
            map: true,
            unpack: UnpackLimits::default(),
            held_octets: 1 << 30,
        }
    }
}

/// Opens a capture: a path, or `-` for standard input.
///
/// # Errors
/// Where it cannot be read at all: see [`CaptureError`]. A capture that is damaged further on is no error.
pub fn open(path: &str, options: &OpenOptions) -> Result<Box<dyn Source>, CaptureError> {
    if path == "-" {
        return open_reader(path, Box::new(io::stdin()), options);
    }
    let failed = |source| CaptureError::Io {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let metadata = file.metadata().map_err(failed)?;
    if metadata.is_dir() {
        return Err(CaptureError::NotACapture {
            path: path.to_owned(),
            reason: "it is a folder".to_owned(),
        });
    }
    let total = metadata.is_file().then_some(metadata.len());
    let mapped = options
        .map
        .then(|| map::map(&file, &metadata, path))
        .flatten();
    match mapped {
        Some(map) if Packing::of(&map).is_none() => whole(path, file, map),
        _ => stream(path, Box::new(file), total, options),
    }
}

/// Opens a capture that a reader gives; `path` is what messages call it.
///
/// # Errors
/// As [`open`].
pub fn open_reader(
    path: &str,
    reader: Box<dyn Read + Send>,
    options: &OpenOptions,
) -> Result<Box<dyn Source>, CaptureError> {
    stream(path, reader, None, options)
}

/// A mapped file.
fn whole(path: &str, file: File, map: map::Map) -> Result<Box<dyn Source>, CaptureError> {
    let map = Arc::new(map);
    let prefix = map.get(..map.len().min(sniff::PREFIX)).unwrap_or(&[]);
    let kind = sniff::sniff(path, prefix);
    let start = |records: Started| -> Box<dyn Source> {
        match records {
            Started::Pcap(records, format) => mapped(path, file, Arc::clone(&map), records, format),
            Started::Pcapng(records) => mapped(path, file, Arc::clone(&map), records, "pcapng"),
            Started::Snoop(records) => mapped(path, file, Arc::clone(&map), records, "snoop"),
        }
    };
    match kind {
        Kind::NetMon => NetMon::open(path, Store::Map(Arc::clone(&map)), "", None),
        kind => Ok(start(begin(path, kind, prefix)?)),
    }
}

fn mapped<R: Records + Start + 'static>(
    path: &str,
    file: File,
    map: Arc<map::Map>,
    records: R,
    format: &str,
) -> Box<dyn Source> {
    Box::new(Mapped {
        map,
        file,
        at: R::HEADER,
        records,
        tally: Tally::new(path, format),
        ended: false,
        cut: false,
        usual: 0,
    })
}

/// A pipe, a compressed file, or a file to be read.
fn stream(
    path: &str,
    reader: Box<dyn Read + Send>,
    total: Option<u64>,
    options: &OpenOptions,
) -> Result<Box<dyn Source>, CaptureError> {
    let failed = |source: io::Error| {
        if source.raw_os_error().is_some() {
            CaptureError::Io {
                path: path.to_owned(),
                source,
            }
        } else {
            CaptureError::NotACapture {
                path: path.to_owned(),
                reason: match source.kind() {
                    io::ErrorKind::UnexpectedEof => {
                        "it is compressed and breaks off at once".to_owned()
                    }
                    _ => source.to_string(),
                },
            }
        }
    };
    let read = Arc::new(AtomicU64::new(0));
    let counted = Counted {
        reader,
        octets: Arc::clone(&read),
    };
    let mut reader: Box<dyn Read + Send> = Box::new(counted);
    let mut prefix = peek(&mut reader).map_err(failed)?;
    let mut packed = String::new();
    if let Some(packing) = Packing::of(&prefix) {
        let whole = Box::new(io::Cursor::new(prefix).chain(reader));
        reader = unpack(packing, whole, Arc::clone(&read), options.unpack).map_err(failed)?;
        prefix = peek(&mut reader).map_err(failed)?;
        packed = format!("+{}", packing.name());
        if Packing::of(&prefix).is_some() {
            return Err(CaptureError::NotACapture {
                path: path.to_owned(),
                reason: "it is packed twice; unpack it once by hand".to_owned(),
            });
        }
    }
    let kind = sniff::sniff(path, &prefix);
    if kind == Kind::NetMon {
        let mut octets = prefix;
        let limit = options.held_octets;
        let broken = match reader
            .take(limit.saturating_add(1))
            .read_to_end(&mut octets)
        {
            Ok(_) => None,
            Err(error) if error.raw_os_error().is_some() => return Err(failed(error)),
            // What came before is there to be read.
            Err(error) => Some(error.to_string()),
        };
        if octets.len() as u64 > limit {
            return Err(CaptureError::NotACapture {
                path: path.to_owned(),
                reason: format!(
                    "it is a NetMon capture of more than {limit} octets that comes through a pipe or compressed, and its index stands \
                     at its end, so that it would have to be held in memory; save it unpacked to a file first"
                ),
            });
        }
        return NetMon::open(path, Store::Memory(octets), &packed, broken);
    }
    let parts = (path, reader, prefix.clone(), read, total);
    Ok(match begin(path, kind, &prefix)? {
        Started::Pcap(records, format) => buffered(parts, records, &format!("{format}{packed}")),
        Started::Pcapng(records) => buffered(parts, records, &format!("pcapng{packed}")),
        Started::Snoop(records) => buffered(parts, records, &format!("snoop{packed}")),
    })
}

type Parts<'a> = (
    &'a str,
    Box<dyn Read + Send>,
    Vec<u8>,
    Arc<AtomicU64>,
    Option<u64>,
);

fn buffered<R: Records + Start + 'static>(
    (path, reader, mut rest, read, total): Parts<'_>,
    records: R,
    format: &str,
) -> Box<dyn Source> {
    rest.drain(..R::HEADER.min(rest.len()));
    Box::new(Buffered {
        reader,
        rest,
        offset: R::HEADER as u64,
        records,
        tally: Tally::new(path, format),
        dry: false,
        ended: false,
        read,
        total,
    })
}

/// Reads the first octets, as many as tell the format.
fn peek(reader: &mut Box<dyn Read + Send>) -> io::Result<Vec<u8>> {
    let mut prefix = Vec::with_capacity(sniff::PREFIX);
    match reader.take(sniff::PREFIX as u64).read_to_end(&mut prefix) {
        // A packed file that breaks off early has been unpacked as far as it goes.
        Err(error) if prefix.is_empty() || error.raw_os_error().is_some() => Err(error),
        _ => Ok(prefix),
    }
}

/// Formats whose records stand one behind the other.
trait Start {
    /// Octets before the first record.
    const HEADER: usize;
}

impl Start for Pcap {
    const HEADER: usize = super::pcap::HEADER;
}

impl Start for Pcapng {
    const HEADER: usize = 0;
}

impl Start for Snoop {
    const HEADER: usize = super::snoop::HEADER;
}

enum Started {
    Pcap(Pcap, &'static str),
    Pcapng(Pcapng),
    Snoop(Snoop),
}

/// Reads the file header.
fn begin(path: &str, kind: Kind, prefix: &[u8]) -> Result<Started, CaptureError> {
    let started = match kind {
        Kind::Pcap => Pcap::start(prefix).map(|(records, format)| Started::Pcap(records, format)),
        Kind::Pcapng => Pcapng::start(prefix).map(Started::Pcapng),
        Kind::Snoop => match Snoop::start(prefix) {
            Some(Ok(records)) => Some(Started::Snoop(records)),
            Some(Err(version)) => {
                return Err(CaptureError::NotACapture {
                    path: path.to_owned(),
                    reason: format!(
                        "it is a snoop file of version {version}, which is not read; convert it first: editcap -F pcapng {} {}",
                        sniff::quoted(path),
                        sniff::quoted(&format!("{path}.pcapng"))
                    ),
                });
            }
            None => None,
        },
        Kind::Refused(format, convert) => {
            return Err(CaptureError::Unsupported {
                path: path.to_owned(),
                format,
                convert,
            });
        }
        Kind::NetMon => None,
        Kind::Unknown(reason) => {
            return Err(CaptureError::NotACapture {
                path: path.to_owned(),
                reason,
            });
        }
    };
    started.ok_or_else(|| CaptureError::NotACapture {
        path: path.to_owned(),
        reason: format!(
            "it breaks off in the file header, after {} octets",
            prefix.len()
        ),
    })
}
