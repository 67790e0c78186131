//! Ports used again: when a SYN counts as another connection, and whether that one is real.
//!
//! Takes:  the segments between two ports
//! Gives:  [`Numbers`]: when Wireshark begins another `tcp.stream`; [`Rival`]: a SYN into a live connection, and what became of it
//! Never:  ends a connection because of one SYN: in an established one that earns its sender an acknowledgement, and nothing else
//!         (RFC 5961 section 4)

use super::half::NEAR;
use crate::decode::{Segment, TcpFlags};
use crate::net::SeqNum;

/// Segments of a rival that are kept.
const MAX_KEPT: usize = 8;

/// What tells one stream from the next on the same ports, by Wireshark's rules; a flow's index is the number of its stream.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Numbers {
    /// Of each end, in the order of the key: the number before its first octet.
    base: [Option<SeqNum>; 2],
    /// A FIN or RST was seen, whether it fitted or not.
    ended: bool,
}

impl Numbers {
    /// Those of a stream that begins with this segment.
    pub(super) fn begin(seg: &Segment) -> Self {
        let mut numbers = Self::default();
        numbers.see(seg);
        numbers
    }

    /// Whether a segment opens another stream: a SYN, with or without ACK, that has another number, or comes after an end.
    pub(super) fn reopened_by(&self, seg: &Segment) -> bool {
        seg.flags.has(TcpFlags::SYN)
            && self.base[usize::from(!seg.from_first)]
                .is_some_and(|base| base != seg.seq || self.ended)
    }

    /// Takes a segment of this stream.
    pub(super) fn see(&mut self, seg: &Segment) {
        let [first, second] = &mut self.base;
        let (own, other) = if seg.from_first {
            (first, second)
        } else {
            (second, first)
        };
        let (syn, ack) = (seg.flags.has(TcpFlags::SYN), seg.flags.has(TcpFlags::ACK));
        if own.is_none() {
            if syn && !ack {
                self.ended = false;
            }
            *own = Some(if syn { seg.seq } else { seg.seq.plus(u32::MAX) });
        }
        if ack && other.is_none() {
            *other = Some(seg.ack.plus(u32::MAX));
        }
        self.ended |= seg.flags.has(TcpFlags::RST) || (ack && seg.flags.has(TcpFlags::FIN));
    }
}

/// A SYN with another number into a connection that lives: a reuse of its ports, an old duplicate, or an attack. What follows tells.
#[derive(Clone, Debug)]
pub(super) struct Rival {
    pub(super) syn: Segment,
    pub(super) index: u64,
    /// The SYN sent again, and resets in answer to it, at most [`MAX_KEPT`].
    pub(super) more: Vec<Segment>,
    /// The connection went on meanwhile.
    pub(super) outlived: bool,
}

/// Where a segment belongs while a rival waits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Belongs {
    /// To the connection that was there before.
    Connection,
    /// To the rival, and proves nothing.
    Kept,
    /// To the rival, which is a connection then.
    Rival,
}

impl Rival {
    /// Finds out where a segment belongs. `next`: what either end of the older connection sends next, the first end of the key first.
    pub(super) fn place(&mut self, seg: &Segment, next: [SeqNum; 2]) -> Belongs {
        let near = |number: SeqNum, from: SeqNum| {
            u64::from(from.distance_to(number).unsigned_abs()) <= NEAR
        };
        let side = usize::from(!self.syn.from_first);
        let first = self.syn.seq.plus(1);
        let same_side = seg.from_first == self.syn.from_first;
        if same_side && seg.flags == self.syn.flags && seg.seq == self.syn.seq {
            self.keep(seg);
            return Belongs::Kept;
        }
        let number = if same_side { seg.seq } else { seg.ack };
        let tells = same_side || seg.flags.has(TcpFlags::ACK);
        let its = tells
            && number != next[side]
            && (number == first || (near(number, first) && !near(number, next[side])));
        match (its, seg.flags.has(TcpFlags::RST)) {
            (false, _) => {
                self.outlived = true;
                Belongs::Connection
            }
            (true, true) => {
                self.keep(seg);
                Belongs::Kept
            }
            (true, false) => Belongs::Rival,
        }
    }

    fn keep(&mut self, seg: &Segment) {
        if self.more.len() < MAX_KEPT {
            self.more.push(*seg);
        }
    }
}
