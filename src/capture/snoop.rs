//! Reads snoop, version 2 (Solaris).
//!
//! Takes:  octets at a record
//! Gives:  frames; the count of drops
//! Never:  believes a record length that does not hold the frame it announces
//!
//! Source: RFC 1761

use super::fields::Order;
use super::pcap::cut;
use super::records::{Pause, Records, Window};
use super::tally::{Oddity, Tally};
use super::{BATCH_FRAMES, Frame, LinkType};
use crate::net::Timestamp;

/// Octets of the file header.
pub(super) const HEADER: usize = 16;

const RECORD_HEADER: usize = 24;

/// Longest record believed.
const MAX_RECORD_OCTETS: usize = 1 << 20;

/// Where a snoop file stands.
#[derive(Debug)]
pub(super) struct Snoop {
    link: LinkType,
}

impl Snoop {
    /// Reads the file header. The error is a version that is not 2.
    pub(super) fn start(octets: &[u8]) -> Option<Result<Self, u32>> {
        let (version, media) = (Order::Big.u32(octets, 8)?, Order::Big.u32(octets, 12)?);
        Some(if version == 2 {
            let link = match media {
                0 | 4 => LinkType::ETHERNET,
                2 => LinkType(6),
                8 => LinkType(10),
                other => LinkType(LinkType::OWN | (other & 0xfff) as u16),
            };
            Ok(Self { link })
        } else {
            Err(version)
        })
    }
}

impl Records for Snoop {
    fn read(
        &mut self,
        window: Window<'_>,
        frames: &mut Vec<Frame>,
        tally: &mut Tally,
    ) -> (usize, Pause) {
        let mut at = 0;
        loop {
            if frames.len() >= BATCH_FRAMES {
                return (at, Pause::Full);
            }
            let rest = window.octets.get(at..).unwrap_or(&[]);
            if rest.is_empty() && window.last {
                return (at, Pause::Ended);
            }
            let Some(head) = rest.first_chunk::<RECORD_HEADER>() else {
                return (at, cut(window, at, rest.len(), RECORD_HEADER, tally));
            };
            let field = |at| Order::Big.u32(head, at).unwrap_or(0);
            let (wire, captured, length) = (field(0), field(4) as usize, field(8) as usize);
            if length > MAX_RECORD_OCTETS || length < RECORD_HEADER.saturating_add(captured) {
                let text = format!(
                    "the record at octet {} claims {length} octets for a frame of {captured}; what follows cannot be read",
                    window.offset + at as u64
                );
                tally.problem(Some(tally.next_number()), text);
                return (at, Pause::Ended);
            }
            if rest.len() < length {
                return (at, cut(window, at, rest.len(), length, tally));
            }
            // Cumulative.
            tally.dropped(Some(u64::from(field(12))));
            let fraction = i64::from(field(20)) * 1_000;
            if fraction >= 1_000_000_000 {
                tally.odd(Oddity::FractionOverflow, tally.next_number());
            }
            let time = Timestamp(i64::from(field(16)) * 1_000_000_000 + fraction);
            let start = window.base + at + RECORD_HEADER;
            tally.frame(frames, time, start..start + captured, wire, self.link);
            at += length;
        }
    }
}
