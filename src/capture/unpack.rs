//! Unpacks gzip, zstd and lz4, with a bound on how much may come out.
//!
//! Takes:  a reader of packed octets
//! Gives:  a reader of the octets inside; joined members are read on as one
//! Never:  unpacks a bomb: what grows beyond all measure ends with an error that says so

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// How much a compressed capture may grow.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct UnpackLimits {
    /// Octets out for each octet in. Captures reach 5 to 50; gzip itself cannot pass 1032, zstd and lz4 can.
    pub ratio: u64,
    /// Octets out below which the ratio is not asked.
    pub free_octets: u64,
    /// Octets out in all.
    pub total_octets: u64,
    /// Octets that zstd may look back, which have to be held: 2 MiB as it packs without being asked for more, 8 MiB at level 19.
    pub window: u64,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        Self {
            ratio: 300,
            free_octets: 256 << 20,
            total_octets: 1 << 40,
            // What the zstd program allows without being asked.
            window: 128 << 20,
        }
    }
}

/// How a file is packed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Packing {
    Gzip,
    Zstd,
    Lz4,
}

impl Packing {
    /// By the first octets.
    pub(super) fn of(octets: &[u8]) -> Option<Self> {
        match octets {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // RFC 8878 section 3.1: a frame, or a frame to skip.
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstd),
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            [0x04, 0x22, 0x4d, 0x18, ..] => Some(Self::Lz4),
            _ => None,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
        }
    }
}

/// Counts what is read through it.
pub(super) struct Counted<R> {
    pub(super) reader: R,
    pub(super) octets: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.octets.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Unpacks what `reader` gives; `read` is where it counts its octets.
pub(super) fn unpack(
    packing: Packing,
    reader: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
    limits: UnpackLimits,
) -> io::Result<Box<dyn Read + Send>> {
    let packed = BufReader::with_capacity(64 << 10, reader);
    let inner: Box<dyn Read + Send> = match packing {
        Packing::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
        Packing::Zstd => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(packed)?;
            decoder.window_log_max(limits.window.max(1).ilog2().clamp(10, 27))?;
            Box::new(decoder)
        }
        Packing::Lz4 => Box::new(Lz4(lz4_flex::frame::FrameDecoder::new(packed))),
    };
    Ok(Box::new(Bounded {
        inner,
        packing,
        out: 0,
        read,
        limits,
    }))
}

/// Joined lz4 frames, read as one.
struct Lz4<R: Read>(lz4_flex::frame::FrameDecoder<R>);

impl<R: BufRead> Read for Lz4<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.0.read(buffer)?;
            // The decoder says 0 at the end of each frame.
            if read > 0 || buffer.is_empty() || self.0.get_mut().fill_buf()?.is_empty() {
                return Ok(read);
            }
        }
    }
}

struct Bounded {
    inner: Box<dyn Read + Send>,
    packing: Packing,
    out: u64,
    read: Arc<AtomicU64>,
    limits: UnpackLimits,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let taken = self.read.load(Ordering::Relaxed);
        let UnpackLimits {
            ratio,
            free_octets,
            total_octets,
            window,
        } = self.limits;
        let out = self.out;
        if out > total_octets || (out > free_octets && out / ratio.max(1) > taken) {
            return Err(io::Error::other(format!(
                "unpacking was stopped: {taken} octets have grown to {out}, more than any capture does"
            )));
        }
        let read = self.inner.read(buffer).map_err(|error| {
            if error.raw_os_error().is_some() || error.kind() == io::ErrorKind::UnexpectedEof {
                return error;
            }
            if error.to_string().contains("requires too much memory") {
                let most = window >> 20;
                return io::Error::other(format!(
                    "it looks back farther than {most} MiB, which would have to be held in memory; unpack it first, or give more by --max-memory"
                ));
            }
            let name = self.packing.name();
            io::Error::other(format!("the {name} data is damaged ({error})"))
        })?;
        self.out += read as u64;
        Ok(read)
    }
}
