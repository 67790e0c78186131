//! Packets that a link layer has cut into numbered pieces, put together: 802.11 fragments, PPP multilink (RFC 1990).
//!
//! Takes:  pieces in the order of their numbers, as these links send them
//! Gives:  the packet once its last piece is there, at the frame that completed it
//! Never:  waits for a piece that was skipped: what it was part of is counted as incomplete

use super::reason::{Reason, Tally};
use super::step::Packet;
use crate::net::{FrameNo, MacAddr, Timestamp};

/// Incomplete packets kept; the oldest is given up for one more.
pub(super) const MAX_WAITING: usize = 64;
/// Octets that a packet can have.
const MAX_PACKET: usize = 65_535;
/// How long the pieces of a packet may be apart: links repeat within milliseconds.
const PATIENCE: i64 = 10_000_000_000;

/// Who cut the packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Cutter {
    /// 802.11, with the sequence number that all pieces have.
    Wireless(u16),
    /// PPP multilink.
    Multilink,
}

impl Cutter {
    const fn missing(self) -> Reason {
        Reason::Other(match self {
            Self::Wireless(_) => "802.11 fragment whose other pieces are missing",
            Self::Multilink => "PPP multilink fragment whose other pieces are missing",
        })
    }
}

/// A piece: its number, and whether it is the first or the last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) cutter: Cutter,
    pub(super) number: u32,
    pub(super) begins: bool,
    pub(super) ends: bool,
}

#[derive(Debug)]
struct Waiting {
    cutter: Cutter,
    macs: [MacAddr; 2],
    outgoing: Option<bool>,
    encapsulation: u32,
    /// Number of the piece that is due.
    due: u32,
    begun: Timestamp,
    first: FrameNo,
    /// Of the piece that came last.
    last: FrameNo,
    /// Those with a piece of it, save for those that count by another packet in them.
    frames: u64,
    octets: Vec<u8>,
}

impl Waiting {
    fn is_of(&self, piece: Piece, packet: &Packet) -> bool {
        self.cutter == piece.cutter
            && self.macs == packet.macs
            && self.outgoing == packet.outgoing
            && self.encapsulation == packet.encapsulation
    }
}

/// The incomplete packets of one capture, oldest first.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    waiting: Vec<Waiting>,
}

impl Pieces {
    /// Takes in a piece, all of it. Gives the packet where this was its last piece.
    pub(super) fn add(
        &mut self,
        piece: Piece,
        octets: &[u8],
        packet: &Packet,
        tally: &mut Tally,
    ) -> Result<Option<Vec<u8>>, Reason> {
        let missing = piece.cutter.missing();
        let stale = |w: &Waiting| packet.time.nanos_since(w.begun) > PATIENCE;
        while self.waiting.first().is_some_and(stale) {
            self.give_up(0, tally);
        }
        if piece.begins {
            // A wireless sender that begins again repeats.
            let again =
                |w: &Waiting| matches!(w.cutter, Cutter::Wireless(_)) && w.is_of(piece, packet);
            match self.waiting.iter().position(again) {
                Some(index) => self.give_up(index, tally),
                None if self.waiting.len() >= MAX_WAITING => self.give_up(0, tally),
                None => {}
            }
            self.waiting.push(Waiting {
                cutter: piece.cutter,
                macs: packet.macs,
                outgoing: packet.outgoing,
                encapsulation: packet.encapsulation,
                due: piece.number,
                begun: packet.time,
                first: packet.frame,
                last: packet.frame,
                frames: 0,
                octets: Vec::new(),
            });
        }
        let due = |w: &Waiting| w.is_of(piece, packet) && w.due == piece.number;
        let index = self.waiting.iter().rposition(due).ok_or(missing)?;
        let Some(waiting) = self.waiting.get_mut(index) else {
            return Err(missing);
        };
        if waiting.octets.len() + octets.len() > MAX_PACKET {
            self.give_up(index, tally);
            return Err(Reason::Other(
                "link-layer fragments of more than any packet",
            ));
        }
        waiting.last = packet.frame;
        waiting.octets.extend_from_slice(octets);
        // PPP numbers have 24 bits; those of 802.11 end long before.
        waiting.due = (piece.number + 1) & 0x00FF_FFFF;
        Ok(piece.ends.then(|| self.waiting.remove(index).octets))
    }

    /// Counts a frame of which a piece waits, with the others of that piece's packet.
    pub(super) fn count(&mut self, frame: FrameNo) {
        if let Some(waiting) = self.waiting.iter_mut().rev().find(|w| w.last == frame) {
            waiting.frames += 1;
        }
    }

    /// Counts the frames whose pieces still wait.
    pub(super) fn count_waiting(&self, tally: &mut Tally) {
        for waiting in &self.waiting {
            tally.add(waiting.cutter.missing(), waiting.frames, waiting.first);
        }
    }

    fn give_up(&mut self, index: usize, tally: &mut Tally) {
        let waiting = self.waiting.remove(index);
        tally.add(waiting.cutter.missing(), waiting.frames, waiting.first);
    }
}
