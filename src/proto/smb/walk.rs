//! From the octets of a message to its units, across pieces, without keeping what nobody reads.
//!
//! Takes:  the octets of one message as they come
//! Gives:  its [`Unit`]s when it has ended
//! Never:  keeps more than [`MAX_KEPT`] octets at a time, or more than [`MAX_UNITS`] units

use super::records::{MAX_KEPT, Unit, unit, wanted};
use crate::proto::room;

/// Elements of one compound that are followed; clients chain three or four.
pub const MAX_UNITS: usize = 1024;

/// Reads one message after another.
#[derive(Clone, Debug, Default)]
pub struct Walker {
    /// Length of the message.
    length: usize,
    /// Where the unit begins that is being read.
    start: usize,
    /// Its first octets.
    kept: Vec<u8>,
    /// How many of them are needed.
    need: usize,
    /// Nothing more to read in this message.
    done: bool,
    /// What was read.
    units: Vec<Unit>,
    /// Elements that were left out, or could not be read.
    pub omitted: u64,
}

impl Walker {
    /// Octets of memory that it holds beside itself, about.
    #[must_use]
    pub fn held(&self) -> usize {
        self.kept.capacity() + room::<Unit>(self.units.capacity())
    }

    /// A message of `length` octets begins.
    pub fn begin(&mut self, length: u32) {
        self.length = length as usize;
        self.start = 0;
        self.kept.clear();
        self.need = 4;
        self.done = false;
        self.units.clear();
    }

    /// Octets from `at` on.
    pub fn octets(&mut self, at: u32, octets: &[u8]) {
        let at = at as usize;
        while !self.done {
            let position = self.start + self.kept.len();
            if at.saturating_add(octets.len()) <= position {
                return;
            }
            let Some(from) = position.checked_sub(at) else {
                // A hole swallowed octets of this unit.
                self.cut();
                return;
            };
            let fresh = octets.get(from..).unwrap_or(&[]);
            let missing = self.need.saturating_sub(self.kept.len());
            let now = fresh.get(..missing).unwrap_or(fresh);
            self.kept.extend_from_slice(now);
            if self.kept.len() < self.need {
                return;
            }
            let limit = self.length.saturating_sub(self.start).min(MAX_KEPT);
            let want = wanted(&self.kept).min(limit);
            if want > self.need {
                self.need = want;
            } else {
                self.read();
            }
        }
    }

    /// Reads the unit of which enough is at hand, and goes to the next.
    fn read(&mut self) {
        self.done = true;
        let Some(unit) = unit(&self.kept) else {
            self.omitted += 1;
            return;
        };
        let next = match &unit {
            Unit::Two(message) => message.next as usize,
            _ => 0,
        };
        self.units.push(unit);
        if next == 0 {
            return;
        }
        // The header is 64 octets long; an element that begins before its end, or after the message, is a lie.
        let start = self.start.saturating_add(next);
        if next < 64 || start.saturating_add(64) > self.length || self.units.len() >= MAX_UNITS {
            self.omitted += 1;
            return;
        }
        self.start = start;
        self.kept.clear();
        self.need = 4;
        self.done = false;
    }

    /// Octets are missing from here on: what is at hand of this unit has to do.
    fn cut(&mut self) {
        if !self.done {
            match unit(&self.kept) {
                Some(unit) => self.units.push(unit),
                None if self.kept.is_empty() => {}
                None => self.omitted += 1,
            }
            self.done = true;
        }
    }

    /// The message has ended; its units.
    pub fn end(&mut self) -> &[Unit] {
        self.cut();
        &self.units
    }
}
