//! Tells whether a host took a segment that had come as far as the capture beside it.
//!
//! Takes:  what came, and the acknowledgements that left beside where it came
//! Gives:  for each arrival: taken, not taken, or not to be told
//! Never:  calls a segment refused that later acknowledgements explain otherwise
//!
//! A host that has taken a segment says so: by an acknowledgement beyond it, or by a SACK block that holds it, which stands first in
//! the acknowledgement that the segment brings about (RFC 2018 section 4). If both come only after another copy has, the first
//! copy was not taken.

use super::align::Places;
use super::ranges::{Range, Ranges};
use super::table::Half;
use crate::decode::TcpFlags;
use crate::net::{SeqNum, Timestamp};

/// A host needs this long to answer; an acknowledgement that leaves sooner may have been under way in it.
const UNDER_WAY: i64 = 2_000_000;
/// The longest that an acknowledgement is delayed (RFC 9293 section 3.8.6.3), and some.
const DELAYED: i64 = 600_000_000;
/// SACK blocks looked through for one arrival.
const BLOCKS: usize = 256;

/// What became of an arrival.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Taken {
    Yes,
    No,
    /// It came more than once, and nothing tells whether one of the copies was taken.
    Repeated,
    Unknown,
}

/// What the receiving host acknowledged, and when.
pub(super) struct Receiver {
    /// Moments at which the acknowledgement number rose, and to where.
    rises: Vec<(Timestamp, i64)>,
    /// All acknowledgements by time.
    said: Vec<Timestamp>,
    /// First SACK blocks.
    blocks: Vec<(Timestamp, i64, i64)>,
    arrivals: Ranges,
    reset: Option<Timestamp>,
    /// Its last word has no SACK block, though it would: it holds nothing beyond a hole (RFC 2018 section 4).
    holds_nothing: bool,
}

impl Receiver {
    /// `back`: what the receiving host sent, as the side beside it saw that; `origin`: the sequence number of place 0 there.
    pub(super) fn new(back: &Half, arrivals: &[Range], origin: SeqNum) -> Self {
        let mut receiver = Self {
            rises: Vec::new(),
            said: Vec::new(),
            blocks: Vec::new(),
            arrivals: Ranges::new(arrivals),
            reset: None,
            holds_nothing: false,
        };
        // It grants SACK to who has asked for it.
        let mut sack = back.syns.iter().any(|syn| syn.options.sack_permitted);
        sack &= back
            .segments
            .iter()
            .any(|s| s.has(TcpFlags::SYN) && s.has(TcpFlags::ACK));
        let mut places = Places::new(origin);
        for s in &back.segments {
            if s.has(TcpFlags::RST) {
                receiver.reset.get_or_insert(s.time);
                continue;
            }
            if !s.has(TcpFlags::ACK) {
                continue;
            }
            receiver.said.push(s.time);
            let ack = places.of(s.ack, true);
            if receiver.rises.last().is_none_or(|(_, most)| ack > *most) {
                receiver.rises.push((s.time, ack));
            }
            receiver.holds_nothing = sack && s.sack().is_none();
            if let Some((left, length)) = s.sack() {
                sack = true;
                let left = places.of(left, false);
                receiver
                    .blocks
                    .push((s.time, left, left + i64::from(length)));
            }
        }
        receiver
    }

    /// When the host first said that it has these octets: by its acknowledgement number or, if no later, a first SACK block.
    pub(super) fn had(&self, from: i64, to: i64) -> Option<Timestamp> {
        let rise = self.rises.partition_point(|(_, most)| *most < to);
        let by_number = self.rises.get(rise).map(|(at, _)| *at);
        // Blocks that tell of it stand in the time before the number rises.
        let until = self
            .blocks
            .partition_point(|(at, ..)| by_number.is_none_or(|n| *at < n));
        let before = until.saturating_sub(BLOCKS);
        let by_block = self
            .blocks
            .get(before..until)
            .unwrap_or_default()
            .iter()
            .find(|(_, left, right)| *left <= from && to <= *right)
            .map(|(at, ..)| *at);
        by_block.or(by_number)
    }

    /// What became of the octets `from..to`, which came at `time`.
    pub(super) fn took(&self, from: i64, to: i64, time: Timestamp) -> Taken {
        let rise = self.rises.partition_point(|(_, most)| *most < to);
        let by_number = self.rises.get(rise).map(|(at, _)| *at);
        if by_number.is_some_and(|at| at < time) {
            // It had them already.
            return Taken::Yes;
        }
        let mut again: Option<Timestamp> = None;
        let mut copies = 0;
        self.arrivals.holding(from, Some(time), |r| {
            copies += 1;
            if r.time > time && r.end >= to && again.is_none_or(|a| r.time < a) {
                again = Some(r.time);
            }
        });
        let until = again.unwrap_or(Timestamp(i64::MAX));
        if by_number.is_some_and(|at| at < until) {
            return Taken::Yes;
        }
        let first = self.blocks.partition_point(|(at, ..)| *at < time);
        let in_block = self
            .blocks
            .iter()
            .skip(first)
            .take(BLOCKS)
            .take_while(|(at, ..)| *at < until)
            .any(|(_, left, right)| *left <= from && to <= *right);
        if in_block {
            return Taken::Yes;
        }
        // The acknowledgements that a segment in order, or one beyond a hole under SACK, would have brought about.
        let next = self.rises.partition_point(|(at, _)| *at <= time);
        let in_order = next
            .checked_sub(1)
            .and_then(|n| self.rises.get(n))
            .is_none_or(|(_, most)| *most >= from);
        let spoke = {
            let after = self
                .said
                .partition_point(|at| *at <= time.plus_nanos(UNDER_WAY));
            self.said.get(after).is_some_and(|at| *at < until)
        };
        let waited = |at: Timestamp| at.nanos_since(time) > DELAYED;
        match again {
            Some(again) if in_order && (spoke || waited(again)) => Taken::No,
            Some(again) if self.took_later(from, to, time, again) => Taken::No,
            Some(_) => Taken::Repeated,
            None => match self.said.last() {
                Some(last)
                    if (in_order || self.holds_nothing)
                        && self.reset.is_none()
                        && waited(*last) =>
                {
                    Taken::No
                }
                _ if copies > 1 => Taken::Repeated,
                _ => Taken::Unknown,
            },
        }
    }

    /// Whether the host says, before the next copy comes, that it took octets beyond these which had come after them, while these are still
    /// missing: it handles segments in the order in which they come.
    fn took_later(&self, from: i64, to: i64, time: Timestamp, again: Timestamp) -> bool {
        let first = self.blocks.partition_point(|(at, ..)| *at <= time);
        self.blocks
            .iter()
            .skip(first)
            .take(BLOCKS)
            .take_while(|(at, ..)| *at < again)
            .any(|(at, left, _)| {
                let rise = self.rises.partition_point(|(when, _)| when <= at);
                let missing = rise
                    .checked_sub(1)
                    .and_then(|n| self.rises.get(n))
                    .is_none_or(|(_, most)| *most <= from);
                let (mut came, mut earliest) = (0, Timestamp(i64::MAX));
                self.arrivals.holding(*left, Some(*at), |r| {
                    came += usize::from(r.time <= *at);
                    earliest = earliest.min(r.time);
                });
                // What came twice may be told as a duplicate (RFC 2883), which says nothing of its neighbours.
                missing && *left >= to && came == 1 && earliest > time
            })
    }
}
