//! What has no octets of its own: acknowledgements, resets, and when anything was heard at all.

use std::collections::HashMap;

use super::super::fate::{EventKind, SILENCE};
use super::super::table::{Half, Sighting};
use super::{Delays, Teller};
use crate::decode::TcpFlags;
use crate::net::seconds;

/// Stretches without a silence kept of one direction.
const MAX_STRETCHES: usize = 1_000;

impl Teller<'_, '_> {
    /// When the receiving side heard of the sender.
    pub(super) fn heard(&mut self) {
        for came in &self.direction.came.segments {
            let time = self.left_time(came.time, false);
            let full = self.path.heard.len() >= MAX_STRETCHES;
            match self.path.heard.last_mut() {
                // The last of too many stretches holds all that comes.
                Some((_, last)) if full || time.nanos_since(*last) < SILENCE => {
                    *last = time.max(*last);
                }
                _ => self.path.heard.push((time, time)),
            }
        }
    }

    /// Bare acknowledgements have no place of their own: each is paired with the first that is the same.
    pub(super) fn acknowledgements(&mut self, series: Delays<'_>) {
        let key = |s: &Sighting, shift: u32| {
            (
                s.ack.0.wrapping_add(shift),
                if self.direction.trust.timestamps {
                    s.timestamp()
                } else {
                    None
                },
                if self.direction.trust.ip_id {
                    s.ip_id()
                } else {
                    None
                },
                s.sack().map(|(_, length)| length),
            )
        };
        let mut came: HashMap<_, Vec<&Sighting>> = HashMap::new();
        for s in self
            .direction
            .came
            .segments
            .iter()
            .filter(|s| s.is_bare_ack())
        {
            came.entry(key(s, 0)).or_default().push(s);
        }
        for list in came.values_mut() {
            list.reverse();
        }
        let any = !came.is_empty();
        for s in self
            .direction
            .sent
            .segments
            .iter()
            .filter(|s| s.is_bare_ack())
        {
            let inside = self.is_common(s.time, None);
            let found = came
                .get_mut(&key(s, self.frame.ack_shift))
                .and_then(Vec::pop);
            if found.is_none() && (!inside || !any) {
                continue;
            }
            self.path.acks += 1;
            match found {
                Some(other) => {
                    if let Some(n) = self.frame.delay.between(s.time, other.time) {
                        series(self.left_time(s.time, true), seconds(n));
                        self.path.measured = true;
                    }
                    self.window(s, other);
                }
                None => {
                    self.path.acks_lost += 1;
                    let event = self.event(EventKind::AckLost, Some(s), None, None, None);
                    self.events.add(event);
                }
            }
        }
    }

    /// Resets that came and did not leave, while the sender's side was capturing.
    pub(super) fn resets(&mut self) {
        fn resets(half: &Half) -> impl Iterator<Item = &Sighting> {
            half.segments.iter().filter(|s| s.has(TcpFlags::RST))
        }
        let Some((first, last)) = self.frame.watched else {
            return;
        };
        let mut left: HashMap<(u32, bool), u64> = HashMap::new();
        for s in resets(self.direction.sent) {
            *left.entry((s.seq.0, s.has(TcpFlags::ACK))).or_default() += 1;
        }
        for s in resets(self.direction.came) {
            let own = (s.seq.0.wrapping_sub(self.frame.shift), s.has(TcpFlags::ACK));
            match left.get_mut(&own) {
                Some(n) if *n > 0 => *n -= 1,
                _ if s.time < first || last < s.time => {}
                _ => {
                    self.path.resets_made += 1;
                    let event = self.event(EventKind::Reset, None, Some(s), None, None);
                    self.events.add(event);
                }
            }
        }
    }
}
