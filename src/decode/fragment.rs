//! IP fragments put together (RFC 791 section 3.2, RFC 8200 section 4.5).
//!
//! Takes:  pieces of datagrams
//! Gives:  the payload of a datagram once all its pieces are there, at the frame that completed it; a count of pieces that overlap
//! Never:  mends: a datagram with pieces that contradict each other is given up, for either could be the true one (RFC 5722)

use super::ip::Piece;
use super::reason::{Reason, Tally};
use super::step::Packet;
use crate::net::{Family, FrameNo, Timestamp};

/// Incomplete datagrams kept; the oldest is given up for one more. With [`MAX_DATAGRAM`] this bounds the memory at 16 MiB.
pub(super) const MAX_DATAGRAMS: usize = 256;
/// Separate ranges of one incomplete datagram.
const MAX_HOLES: usize = 128;
/// Octets that a datagram can have.
const MAX_DATAGRAM: u32 = 65_535;
/// How long the pieces of a datagram may be apart (RFC 8200 section 4.5).
const PATIENCE: i64 = 60_000_000_000;

const MISSING: Reason = Reason::Other("IP fragment whose other pieces are missing");

/// What tells one datagram from another.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Key {
    id: u32,
    protocol: u8,
    family: Family,
    encapsulation: u32,
    addrs: [[u8; 16]; 2],
}

#[derive(Debug)]
struct Datagram {
    key: Key,
    begun: Timestamp,
    first: FrameNo,
    /// Of the piece that came last.
    last: FrameNo,
    /// Those with a piece of it, save for those that count by another packet in them.
    frames: u64,
    octets: Vec<u8>,
    /// What is there, in order, without touching each other.
    ranges: Vec<(u32, u32)>,
    /// Known from the last piece.
    total: Option<u32>,
}

/// What became of a piece.
pub(super) enum Outcome {
    /// It waits for others.
    Waiting,
    /// It was the last one missing. Hand the buffer back with [`Fragments::recycle`].
    Complete(Vec<u8>),
}

/// The incomplete datagrams of one capture, oldest first.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    datagrams: Vec<Datagram>,
    spare: Vec<Vec<u8>>,
    /// Pieces that overlap others in part and agree with them, and the first of them.
    overlapping: Option<(u64, FrameNo)>,
}

/// How a piece lies to those that are there.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Fitted {
    /// Beside them, or all within them: a repeat.
    Apart,
    /// Over the edge of one, with the same octets. No sender cuts so (RFC 5722).
    Overlaps,
    /// With other octets, or too many holes.
    Contradicts,
}

impl Fragments {
    /// Takes in a piece; `octets` is all of it.
    pub(super) fn add(
        &mut self,
        piece: Piece,
        octets: &[u8],
        packet: &Packet,
        tally: &mut Tally,
    ) -> Result<Outcome, Reason> {
        let length = u32::try_from(octets.len()).unwrap_or(u32::MAX);
        let end = piece.offset.saturating_add(length);
        if end > MAX_DATAGRAM {
            return Err(Reason::Other("IP fragment past the end of any datagram"));
        }
        if length == 0 || (piece.more && length % 8 != 0) {
            return Err(Reason::Other("IP fragment of an impossible length"));
        }
        let key = Key {
            id: piece.id,
            // IPv6 datagrams are told apart without it (RFC 8200 section 4.5).
            protocol: match packet.ip.family {
                Family::V4 => piece.protocol,
                Family::V6 => 0,
            },
            family: packet.ip.family,
            encapsulation: packet.encapsulation,
            addrs: packet.ip.addrs,
        };
        let mut index = self.datagrams.iter().position(|d| d.key == key);
        if let Some(i) = index {
            let stale = self
                .datagrams
                .get(i)
                .is_some_and(|d| packet.time.nanos_since(d.begun) > PATIENCE);
            if stale {
                self.give_up(i, MISSING, tally);
                index = None;
            }
        }
        let index = match index {
            Some(i) => i,
            None => self.begin(key, packet, tally),
        };
        let Some(datagram) = self.datagrams.get_mut(index) else {
            return Err(MISSING);
        };
        datagram.last = packet.frame;
        let last = (!piece.more).then_some(end);
        let fitted = datagram.take(piece.offset, end, octets, last);
        if fitted == Fitted::Overlaps {
            let (count, _) = self.overlapping.get_or_insert((0, packet.frame));
            *count += 1;
        }
        if fitted == Fitted::Contradicts {
            // The piece in hand counts as those do that it contradicts.
            let reason = Reason::Other("IP fragments that overlap and contradict each other");
            self.give_up(index, reason, tally);
            return Err(reason);
        }
        if datagram.is_complete() {
            let datagram = self.datagrams.remove(index);
            return Ok(Outcome::Complete(datagram.octets));
        }
        Ok(Outcome::Waiting)
    }

    /// Takes back the buffer of a completed datagram.
    pub(super) fn recycle(&mut self, mut octets: Vec<u8>) {
        if self.spare.len() < 8 {
            octets.clear();
            self.spare.push(octets);
        }
    }

    /// How many pieces overlap others in part and agree with them, and the first; counts anew from here.
    pub(super) fn take_overlapping(&mut self) -> Option<(u64, FrameNo)> {
        self.overlapping.take()
    }

    /// Counts a frame of which a piece waits, with the others of that piece's datagram; `false` if none of it does.
    pub(super) fn count(&mut self, frame: FrameNo) -> bool {
        let of_frame = self.datagrams.iter_mut().rev().find(|d| d.last == frame);
        of_frame.map(|d| d.frames += 1).is_some()
    }

    /// Counts the frames whose pieces still wait.
    pub(super) fn count_waiting(&self, tally: &mut Tally) {
        for datagram in &self.datagrams {
            tally.add(MISSING, datagram.frames, datagram.first);
        }
    }

    fn begin(&mut self, key: Key, packet: &Packet, tally: &mut Tally) -> usize {
        if self.datagrams.len() >= MAX_DATAGRAMS {
            self.give_up(0, MISSING, tally);
        }
        self.datagrams.push(Datagram {
            key,
            begun: packet.time,
            first: packet.frame,
            last: packet.frame,
            frames: 0,
            octets: self.spare.pop().unwrap_or_default(),
            ranges: Vec::new(),
            total: None,
        });
        self.datagrams.len() - 1
    }

    fn give_up(&mut self, index: usize, reason: Reason, tally: &mut Tally) {
        let datagram = self.datagrams.remove(index);
        tally.add(reason, datagram.frames, datagram.first);
        self.recycle(datagram.octets);
    }
}

impl Datagram {
    /// Puts a piece in its place, if it contradicts nothing.
    fn take(&mut self, start: u32, end: u32, octets: &[u8], last: Option<u32>) -> Fitted {
        let mut fitted = Fitted::Apart;
        let highest = self.ranges.last().map_or(0, |r| r.1);
        match (self.total, last) {
            (Some(total), Some(end)) if total != end => return Fitted::Contradicts,
            (Some(total), None) if end > total => return Fitted::Contradicts,
            (None, Some(end)) if highest > end => return Fitted::Contradicts,
            _ => {}
        }
        for &(a, b) in &self.ranges {
            let (from, to) = (a.max(start), b.min(end));
            if from >= to {
                continue;
            }
            let there = self.octets.get(from as usize..to as usize);
            let here = octets.get((from - start) as usize..(to - start) as usize);
            if there != here {
                return Fitted::Contradicts;
            }
            if start < a || end > b {
                fitted = Fitted::Overlaps;
            }
        }
        self.total = self.total.or(last);
        if self.octets.len() < end as usize {
            self.octets.resize(end as usize, 0);
        }
        if let Some(place) = self.octets.get_mut(start as usize..end as usize) {
            place.copy_from_slice(octets);
        }
        // All ranges that the new one touches become one.
        let mut merged = (start, end);
        self.ranges.retain(|&(a, b)| {
            let apart = b < merged.0 || merged.1 < a;
            if !apart {
                merged = (merged.0.min(a), merged.1.max(b));
            }
            apart
        });
        let at = self.ranges.partition_point(|r| r.0 < merged.0);
        self.ranges.insert(at, merged);
        if self.ranges.len() > MAX_HOLES {
            return Fitted::Contradicts;
        }
        fitted
    }

    fn is_complete(&self) -> bool {
        self.total.is_some_and(|t| self.ranges == [(0, t)])
    }
}
