//! The words that all stages share: sequence numbers, stream offsets, times, frames, directions, endpoints.
//!
//! Takes nothing and imports nothing of ours.

mod endpoint;
mod number;
mod sketch;
mod time;

pub use endpoint::{Endpoint, Family, MacAddr};
pub use number::{Direction, FrameNo, FrameRef, SeqNum, Side, StreamOffset};
pub use sketch::Sketch;
pub use time::{Timestamp, nanos, seconds};
