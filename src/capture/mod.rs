//! Capture stage: files, pipes and interfaces in, batches of [`Frame`]s out.
//!
//! Takes:  paths, standard input (and with the feature `live` interfaces)
//! Gives:  [`FrameBatch`]es in the order of the file, and at the end a [`CaptureInfo`]
//! Never:  looks into a frame; judges; loses a frame without saying so

mod fields;
mod filter;
mod find;
#[cfg(all(feature = "live", target_os = "linux"))]
pub mod live;
mod map;
mod netmon;
mod open;
mod pcap;
mod pcapng;
mod records;
mod sniff;
mod snoop;
mod span;
mod tally;
mod unpack;
mod write;

use std::ops::Range;
use std::sync::Arc;

use crate::net::{FrameNo, Timestamp};

pub use filter::filter;
pub use find::{CaptureFile, CaptureSet, Found, MAX_FILES, Seam, find, named, seam};
pub use map::Map;
pub use open::{OpenOptions, open, open_reader};
pub use span::TimeSpan;
pub use unpack::UnpackLimits;
pub use write::{PcapWriter, PcapngWriter};

/// Frames handed on at a time. Every batch is full, save the last of a capture and those that a live source flushes on a
/// tick, so that results do not depend on how fast octets came in.
pub const BATCH_FRAMES: usize = 2048;

/// Link-layer type of a frame: the numbers of the LINKTYPE registry (tcpdump.org/linktypes.html), FCS bits removed.
///
/// From [`LinkType::OWN`] on the numbers are ours: records that are no packets, or media that the registry has no number for.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LinkType(pub u16);

impl LinkType {
    /// First number that the registry does not give: NetMon's media types and the like, which are counted and not decoded.
    pub const OWN: u16 = 0xe000;
    /// Ethernet.
    pub const ETHERNET: Self = Self(1);
    /// A record of Windows event tracing in a NetMon capture: no packet.
    pub const NETMON_EVENT: Self = Self(0xffe0);

    /// From the link type field of a pcap file, whose upper half may tell the length of the frame check sequence.
    #[must_use]
    pub const fn from_field(field: u32) -> Self {
        Self((field & 0xffff) as u16)
    }

    /// Its name in the registry, without `LINKTYPE_`; the number where it has none.
    #[must_use]
    pub fn name(self) -> String {
        match (self, pcap_file::DataLink::from(u32::from(self.0))) {
            (Self::NETMON_EVENT, _) => "NETMON_EVENT".to_owned(),
            (Self(number @ Self::OWN..), _) => format!("NETMON_{number:04X}"),
            (_, pcap_file::DataLink::Unknown(number)) => number.to_string(),
            (_, known) => format!("{known:?}"),
        }
    }
}

/// The octets behind a batch: a slice of a mapped file, or a buffer of its own.
#[derive(Clone, Debug)]
pub enum Octets {
    /// A finished file, mapped as a whole; shared by all its batches.
    Mapped(Arc<Map>),
    /// A buffer that this batch alone uses; recycled.
    Owned(Vec<u8>),
}

impl Octets {
    /// The octets as one slice.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Owned(buffer) => buffer,
        }
    }
}

impl Default for Octets {
    fn default() -> Self {
        Self::Owned(Vec::new())
    }
}

/// One captured frame: where its octets lie in the batch, and what the capture file says of it.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Number in its file, from 1.
    pub number: FrameNo,
    /// When it was captured.
    pub time: Timestamp,
    /// Place of the captured octets in [`FrameBatch::octets`].
    pub range: Range<usize>,
    /// Length on the wire; at least the captured length (a smaller claim is corrected).
    pub wire_octets: u32,
    /// Link type of the interface that captured it.
    pub link: LinkType,
}

/// Some thousand frames and the octets that they lie in. Reused: a source clears and refills it.
#[derive(Clone, Debug, Default)]
pub struct FrameBatch {
    /// What the ranges of `frames` point into.
    pub octets: Octets,
    /// The frames in file order.
    pub frames: Vec<Frame>,
}

impl FrameBatch {
    /// Captured octets of one frame of this batch.
    #[must_use]
    pub fn captured(&self, frame: &Frame) -> &[u8] {
        self.octets
            .as_slice()
            .get(frame.range.clone())
            .unwrap_or(&[])
    }
}

/// Something that was wrong with a capture and did not stop the reading.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The frame that it concerns, `None` where it concerns the file.
    pub frame: Option<FrameNo>,
    /// A sentence for the reader, with numbers. May hold text from the file: escape before showing.
    pub text: String,
}

/// What is known of a capture when it has been read to its end (or as far as it goes).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CaptureInfo {
    /// Path as given, `-` for standard input, the interface's name for live capture.
    pub path: String,
    /// `pcap`, `pcap-ns`, `pcapng`, `netmon2`, … and how it was packed: `pcap+gzip`.
    pub format: String,
    /// Names of the link types met, in order of first frame: `ETHERNET`, `LINUX_SLL2`, …
    pub link_types: Vec<String>,
    /// Frames read. Equals what `capinfos` counts.
    pub frames: u64,
    /// Captured octets of these frames, without record headers.
    pub octets: u64,
    /// Time of the first frame in file order.
    pub first: Option<Timestamp>,
    /// Latest time of any frame.
    pub last: Option<Timestamp>,
    /// Frames cut by the snap length.
    pub truncated_frames: u64,
    /// Frames that the capturing system says it dropped; `None` where the file does not tell.
    pub dropped_by_capture: Option<u64>,
    /// What was wrong, at most [`MAX_PROBLEMS`] of them; the last one then says how many more there were.
    pub problems: Vec<Problem>,
    /// Host names that the file carries (pcapng name resolution blocks), at most [`MAX_NAMES`].
    pub names: Vec<(std::net::IpAddr, String)>,
    /// Comments of sections, interfaces and frames (hostile text), at most [`MAX_COMMENTS`].
    pub comments: Vec<Problem>,
}

/// Problems kept for one capture.
pub const MAX_PROBLEMS: usize = 50;

/// Comments kept for one capture.
pub const MAX_COMMENTS: usize = 100;

/// Host names kept for one capture.
pub const MAX_NAMES: usize = 1000;

/// A capture that can be read from start to end.
pub trait Source: Send {
    /// Clears `batch` and fills it with the next frames. `Ok(false)`: there are no more, and `batch` is empty.
    ///
    /// A capture that breaks off is no error: what is readable comes, then `Ok(false)`, and
    /// [`info`](Self::info) says what was wrong.
    ///
    /// # Errors
    /// Where reading itself fails (the disk, the pipe).
    fn next_batch(&mut self, batch: &mut FrameBatch) -> Result<bool, CaptureError>;

    /// What is known so far; complete once `next_batch` has said `false`.
    fn info(&self) -> CaptureInfo;

    /// Octets of the file read so far and in all, for progress; the second is `None` for a pipe.
    fn progress(&self) -> (u64, Option<u64>);
}

/// Why a capture cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The operating system refused.
    #[error("cannot read {path}: {source}")]
    Io {
        /// What was to be read.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A format that is recognised but not read; `convert` is the command that makes it readable.
    #[error("{path} is a {format} file, which is not read directly; convert it first: {convert}")]
    Unsupported {
        /// The file.
        path: String,
        /// Name of its format.
        format: &'static str,
        /// A command to type.
        convert: String,
    },
    /// Nothing that looks like a capture.
    #[error("{path} is not a capture file: {reason}")]
    NotACapture {
        /// The file.
        path: String,
        /// What was found instead.
        reason: String,
    },
    /// An interface that cannot be captured on.
    #[error("cannot capture on {name}: {reason}")]
    Interface {
        /// Its name as given.
        name: String,
        /// The system's reason, and what may help.
        reason: String,
    },
    /// A folder that captures cannot be written to.
    #[error("cannot write captures to {path}: {source}")]
    Unwritable {
        /// The folder.
        path: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A filter expression that cannot be used.
    #[error("the filter {expression:?} cannot be used: {reason}")]
    Filter {
        /// The expression as given.
        expression: String,
        /// libpcap's reason, or that there is no libpcap.
        reason: String,
    },
}

#[cfg(test)]
mod tests;
