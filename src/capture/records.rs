//! Drives a format whose records stand one behind the other, over a mapped file or over a buffer that is refilled.
//!
//! Takes:  octets from a map or a reader
//! Gives:  [`FrameBatch`]es, always [`BATCH_FRAMES`] long save the last (and save where the frames are so large that
//!         [`MAX_BATCH_OCTETS`] come first)
//! Never:  knows a format; copies a mapped octet; holds more than a batch and one record in memory

use std::fs::File;
use std::hint::black_box;
use std::io::{ErrorKind, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::tally::Tally;
use super::{BATCH_FRAMES, CaptureError, CaptureInfo, Frame, FrameBatch, Map, Octets, Source};

/// Octets of one batch after which it is handed on although frames are missing: what the caches of a processor keep until it is decoded, and
/// no more than that of what connections hold comes to be given up with it.
pub(super) const MAX_BATCH_OCTETS: usize = 2 << 20;

/// Octets read at a time. What the batch does not need is copied to the next one, so this is small against a batch.
const CHUNK: u64 = 64 << 10;

/// Octets in which records begin.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window<'a> {
    /// The octets; the first one begins a record.
    pub(super) octets: &'a [u8],
    /// Place of the first one among the octets of the batch.
    pub(super) base: usize,
    /// Place of the first one in the file (unpacked), for messages.
    pub(super) offset: u64,
    /// Whether nothing comes after them.
    pub(super) last: bool,
}

/// Why a format stopped reading.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Pause {
    /// The batch is full.
    Full,
    /// The next record is not complete in the window; there is more to come.
    Starved,
    /// There is nothing more to read.
    Ended,
}

/// A format whose records stand one behind the other.
pub(super) trait Records: Send {
    /// Reads records until the batch is full or the window holds no complete one. Gives the octets used up.
    fn read(
        &mut self,
        window: Window<'_>,
        frames: &mut Vec<Frame>,
        tally: &mut Tally,
    ) -> (usize, Pause);
}

/// Records in a mapped file.
pub(super) struct Mapped<R> {
    pub(super) map: Arc<Map>,
    pub(super) file: File,
    pub(super) at: usize,
    pub(super) records: R,
    pub(super) tally: Tally,
    pub(super) ended: bool,
    /// Whether it was told that the file is shorter now.
    pub(super) cut: bool,
    /// Octets of the last batch: the next one has about as many.
    pub(super) usual: usize,
}

/// Octets that a processor fetches at one go, on all that matter.
const LINE: usize = 64;

/// Has the processor fetch octets side by side that it is going to need. From the head of one record to that of the next it would wait for
/// each, which took a sixth of a run.
fn fetch(octets: &[u8]) {
    black_box(
        octets
            .iter()
            .step_by(LINE)
            .fold(0, |all, octet| all ^ octet),
    );
}

impl<R: Records> Source for Mapped<R> {
    fn next_batch(&mut self, batch: &mut FrameBatch) -> Result<bool, CaptureError> {
        batch.frames.clear();
        let cut = if self.ended {
            self.map.has_lost()
        } else {
            !self.map.is_whole(&self.file)
        };
        if cut && !self.cut {
            (self.ended, self.cut) = (true, true);
            let text = format!(
                "the file was cut while it was read; what lay behind octet {} is missing",
                self.at
            );
            self.tally.problem(None, text);
        }
        if self.ended {
            batch.octets = Octets::default();
            return Ok(false);
        }
        if !matches!(&batch.octets, Octets::Mapped(map) if Arc::ptr_eq(map, &self.map)) {
            batch.octets = Octets::Mapped(Arc::clone(&self.map));
        }
        batch.frames.reserve(BATCH_FRAMES);
        let soon = self.usual.min(MAX_BATCH_OCTETS);
        let rest = self.map.get(self.at..).unwrap_or(&[]);
        fetch(rest.get(..soon).unwrap_or(rest));
        let begin = self.at;
        let mut most = MAX_BATCH_OCTETS;
        while !self.ended {
            let rest = self.map.get(self.at..).unwrap_or(&[]);
            let octets = rest.get(..most).unwrap_or(rest);
            let last = octets.len() == rest.len();
            let window = Window {
                octets,
                base: self.at,
                offset: self.at as u64,
                last,
            };
            let (used, pause) = self
                .records
                .read(window, &mut batch.frames, &mut self.tally);
            self.at += used;
            match pause {
                Pause::Full => break,
                Pause::Ended => self.ended = true,
                Pause::Starved if last => self.ended = true,
                Pause::Starved if !batch.frames.is_empty() => break,
                // One record, or one without a frame, is larger.
                Pause::Starved if used == 0 => most = most.saturating_mul(2),
                Pause::Starved => {}
            }
        }
        self.usual = self.at - begin;
        Ok(!batch.frames.is_empty())
    }

    fn info(&self) -> CaptureInfo {
        self.tally.info()
    }

    fn progress(&self) -> (u64, Option<u64>) {
        (self.at as u64, Some(self.map.len() as u64))
    }
}

/// Records in a pipe, a compressed file, or a file that is not mapped.
pub(super) struct Buffered<R> {
    pub(super) reader: Box<dyn Read + Send>,
    /// Octets read and not used up yet.
    pub(super) rest: Vec<u8>,
    /// Place of `rest` in the file (unpacked).
    pub(super) offset: u64,
    pub(super) records: R,
    pub(super) tally: Tally,
    /// The reader has no more.
    pub(super) dry: bool,
    pub(super) ended: bool,
    /// Octets of the file read, before unpacking.
    pub(super) read: Arc<AtomicU64>,
    pub(super) total: Option<u64>,
}

impl<R: Records> Buffered<R> {
    /// Reads one chunk more behind `buffer`.
    fn refill(&mut self, buffer: &mut Vec<u8>) -> Result<(), CaptureError> {
        match (&mut self.reader).take(CHUNK).read_to_end(buffer) {
            Ok(read) => self.dry = (read as u64) < CHUNK,
            // Not the system's but the unpacker's word: what was unpacked so far counts.
            Err(error) if error.raw_os_error().is_none() => {
                self.dry = true;
                let at = self.offset + buffer.len() as u64;
                let text = match error.kind() {
                    ErrorKind::UnexpectedEof => {
                        format!("the compressed file breaks off; {at} octets could be unpacked")
                    }
                    _ => format!("{error}; {at} octets could be unpacked"),
                };
                self.tally.problem(None, text);
            }
            Err(source) => {
                return Err(CaptureError::Io {
                    path: self.tally.path().to_owned(),
                    source,
                });
            }
        }
        Ok(())
    }
}

impl<R: Records> Source for Buffered<R> {
    fn next_batch(&mut self, batch: &mut FrameBatch) -> Result<bool, CaptureError> {
        batch.frames.clear();
        let mut buffer = match std::mem::take(&mut batch.octets) {
            Octets::Owned(buffer) => buffer,
            Octets::Mapped(_) => Vec::new(),
        };
        buffer.clear();
        buffer.append(&mut self.rest);
        let mut used = 0;
        while !self.ended {
            let window = Window {
                octets: buffer.get(used..).unwrap_or(&[]),
                base: used,
                offset: self.offset + used as u64,
                last: self.dry,
            };
            let (taken, pause) = self
                .records
                .read(window, &mut batch.frames, &mut self.tally);
            used += taken;
            match pause {
                Pause::Full => break,
                Pause::Ended => self.ended = true,
                Pause::Starved if self.dry => self.ended = true,
                Pause::Starved => {
                    if used >= MAX_BATCH_OCTETS && !batch.frames.is_empty() {
                        break;
                    }
                    if batch.frames.is_empty() && used > 0 {
                        // Only blocks without frames so far: no need to keep them.
                        buffer.drain(..used);
                        self.offset += used as u64;
                        used = 0;
                    }
                    self.refill(&mut buffer)?;
                }
            }
        }
        if !self.ended {
            self.rest
                .extend_from_slice(buffer.get(used..).unwrap_or(&[]));
        }
        buffer.truncate(used);
        self.offset += used as u64;
        batch.octets = Octets::Owned(buffer);
        Ok(!batch.frames.is_empty())
    }

    fn info(&self) -> CaptureInfo {
        self.tally.info()
    }

    fn progress(&self) -> (u64, Option<u64>) {
        (self.read.load(Ordering::Relaxed), self.total)
    }
}
