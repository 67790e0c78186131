//! Why a frame was not decoded, counted.
//!
//! Takes:  the reason and the frame
//! Gives:  [`Undecoded`] counts in the order of first occurrence
//! Never:  grows without bound: link types over [`MAX_REASONS`] share one count

use std::fmt;

use super::Undecoded;
use crate::capture::LinkType;
use crate::net::FrameNo;

/// Reasons kept apart. All fixed ones fit; only a capture of very many unknown link types gets here.
const MAX_REASONS: usize = 128;

/// What stood in the way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Reason {
    /// A link type that is not read.
    LinkType(u16),
    /// A header that ends before it is complete.
    Short(&'static str),
    /// Anything else, as a sentence.
    Other(&'static str),
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::LinkType(number) => match LinkType(number) {
                LinkType::NETMON_EVENT => f.write_str("event record of Network Monitor, no packet"),
                link => write!(f, "link type {} is not known", link.name()),
            },
            Self::Short(header) => write!(f, "{header} cut short"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

/// Counts by reason.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally(Vec<(Reason, u64, FrameNo)>);

impl Tally {
    /// Counts `frames` with this reason; none leaves no row.
    pub(super) fn add(&mut self, reason: Reason, frames: u64, first: FrameNo) {
        if frames == 0 {
            return;
        }
        let reason = if self.0.len() < MAX_REASONS || self.0.iter().any(|r| r.0 == reason) {
            reason
        } else {
            Reason::Other("one of many more link types that are not known")
        };
        match self.0.iter_mut().find(|r| r.0 == reason) {
            Some(row) => {
                row.1 += frames;
                row.2 = row.2.min(first);
            }
            None => self.0.push((reason, frames, first)),
        }
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = Undecoded> + '_ {
        self.0.iter().map(|&(reason, frames, first)| Undecoded {
            reason: reason.to_string(),
            frames,
            first,
        })
    }
}
