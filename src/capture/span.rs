//! Keeps the frames of a span of time (`--from`, `--to`).
//!
//! Takes:  a [`Source`]
//! Gives:  the same with fewer frames; their numbers stay those of the file
//! Never:  stops at the first frame behind the span: clocks step back

use super::{CaptureError, CaptureInfo, FrameBatch, Source};
use crate::net::Timestamp;

/// A source without the frames outside a span of time.
pub struct TimeSpan {
    source: Box<dyn Source>,
    from: Timestamp,
    to: Timestamp,
}

impl TimeSpan {
    /// Keeps frames from `from` on, and up to and with `to`; `None` is no bound.
    #[must_use]
    pub fn new(source: Box<dyn Source>, from: Option<Timestamp>, to: Option<Timestamp>) -> Self {
        Self {
            source,
            from: from.unwrap_or(Timestamp(i64::MIN)),
            to: to.unwrap_or(Timestamp(i64::MAX)),
        }
    }
}

impl Source for TimeSpan {
    fn next_batch(&mut self, batch: &mut FrameBatch) -> Result<bool, CaptureError> {
        while self.source.next_batch(batch)? {
            batch
                .frames
                .retain(|frame| (self.from..=self.to).contains(&frame.time));
            if !batch.frames.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn info(&self) -> CaptureInfo {
        self.source.info()
    }

    fn progress(&self) -> (u64, Option<u64>) {
        self.source.progress()
    }
}
