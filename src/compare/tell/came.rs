//! What came, and whether it came as it had left.

use std::collections::HashMap;
use std::time::Duration;

use super::super::align::Match;
use super::super::fate::{Event, EventKind, Fate};
use super::super::table::{Half, Sighting};
use super::super::taken::Taken;
use super::{Delays, Teller};
use crate::net::{FrameNo, seconds};

/// A segment is late that was under way this much longer than the median, and longer than twice that.
const LATE: i64 = 50_000_000;

impl<'a> Teller<'a, '_> {
    /// Whether octets of each arrival differ from those that left; `None` where that cannot be compared. Compares digests: of like segments,
    /// and of those split or merged on the way where all parts are there.
    pub(super) fn damaged(&self, matches: &[Match]) -> Vec<Option<bool>> {
        let mut differ = vec![None; matches.len()];
        // Parts of one departure, and of one arrival.
        let mut of_departure: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut of_arrival: HashMap<usize, Vec<usize>> = HashMap::new();
        for (n, m) in matches.iter().enumerate() {
            let Some((sent, came)) = m
                .sent
                .and_then(|at| Some((self.sent(at)?, self.came(m.came)?)))
            else {
                continue;
            };
            if sent.payload() == 0 && came.payload() == 0 {
                continue;
            }
            if !sent.is_whole() || !came.is_whole() {
                continue;
            }
            let length = u64::try_from(m.to - m.from).unwrap_or_default();
            if sent.length() == came.length() && u64::from(sent.length()) == length {
                if let Some(differs) = differ.get_mut(n) {
                    *differs = Some(sent.digest != came.digest || sent.payload() != came.payload());
                }
            } else if u64::from(came.length()) == length {
                if !m.copy
                    && let Some(at) = m.sent
                {
                    of_departure.entry(at).or_default().push(n);
                }
            } else if u64::from(sent.length()) == length {
                of_arrival.entry(m.came).or_default().push(n);
            }
        }
        let mut settle = |parts: &mut Vec<usize>,
                          whole: &Sighting,
                          part: &dyn Fn(&Match) -> Option<&'a Sighting>| {
            parts.sort_by_key(|n| matches.get(*n).map(|m| m.from));
            let mut hasher = crc32fast::Hasher::new();
            let mut octets = 0;
            for s in parts
                .iter()
                .filter_map(|n| matches.get(*n))
                .filter_map(part)
            {
                hasher.combine(&crc32fast::Hasher::new_with_initial_len(
                    s.digest,
                    u64::from(s.payload()),
                ));
                octets += s.payload();
            }
            if octets == whole.payload() {
                let differs = hasher.finalize() != whole.digest;
                for n in parts.iter() {
                    if let Some(part) = differ.get_mut(*n) {
                        // Of several parts it is not known which one differs; a wrong checksum tells.
                        *part = if differs { None } else { Some(false) };
                    }
                }
            }
        };
        for (at, mut parts) in of_departure {
            if let Some(whole) = self.sent(at) {
                settle(&mut parts, whole, &|m| self.came(m.came));
            }
        }
        for (at, mut parts) in of_arrival {
            if let Some(whole) = self.came(at) {
                settle(&mut parts, whole, &|m| self.sent(m.sent?));
            }
        }
        differ
    }

    pub(super) fn arrivals(
        &mut self,
        matches: &[Match],
        differ: &[Option<bool>],
        series: Delays<'_>,
    ) {
        for (m, differs) in matches.iter().zip(differ) {
            let Some(came) = self.came(m.came) else {
                continue;
            };
            let segments = self.pieces(m.from, m.to);
            let Some(sent) = m.sent.and_then(|at| self.sent(at)) else {
                self.path.only_right += segments;
                self.emit(m, Fate::Unsent, segments, false, None);
                let event = self.event(EventKind::Fate(Fate::Unsent), None, Some(came), None, None);
                self.events.add(event);
                continue;
            };
            let nanos = self.delay_of(m);
            let delay = nanos.map(seconds);
            if m.copy {
                self.path.duplicated += segments;
                self.emit(m, Fate::Copy, segments, false, delay);
                let event = self.event(
                    EventKind::Fate(Fate::Copy),
                    Some(sent),
                    Some(came),
                    delay,
                    None,
                );
                self.events.add(event);
                continue;
            }
            self.path.matched += segments;
            self.path.largest_came = self.path.largest_came.max(self.on_the_wire(came));
            let late = nanos.is_some_and(|n| {
                n > self
                    .typical
                    .saturating_mul(2)
                    .max(self.typical.saturating_add(LATE))
            });
            if let Some(n) = nanos {
                let most = self.path.slowest.and_then(|e| e.delay);
                if most.is_none_or(|most| seconds(n) > most) {
                    let event = self.event(EventKind::Late, Some(sent), Some(came), delay, None);
                    self.path.slowest = Some(event);
                }
                self.path.measured = true;
                self.path
                    .delay
                    .add(Duration::from_nanos(u64::try_from(n).unwrap_or(0)));
                series(self.left_time(sent.time, true), seconds(n));
            }
            if m.reordered {
                self.path.reordered += segments;
                let event = self.event(EventKind::Reordered, Some(sent), Some(came), delay, None);
                self.events.add(event);
            }
            if late {
                self.path.delayed += segments;
                let event = self.event(EventKind::Late, Some(sent), Some(came), delay, None);
                self.events.add(event);
            }
            self.changes(sent, came, segments);
            let fate = self.fate(m, sent, came, *differs);
            match fate {
                Fate::Damaged | Fate::Unfilled => {
                    self.path.corrupted += segments;
                    self.path.unfilled += if fate == Fate::Unfilled { segments } else { 0 };
                    if came.is_good() {
                        self.path.modified.payload += segments;
                        self.path.rewritten += segments;
                    }
                }
                Fate::Refused => self.path.not_taken += segments,
                _ => {}
            }
            if fate != Fate::Delivered {
                let event = self.event(
                    EventKind::Fate(fate),
                    Some(sent),
                    Some(came),
                    delay,
                    *differs,
                );
                if matches!(fate, Fate::Damaged | Fate::Unfilled) && event.is_by_adapter() {
                    self.path.by_adapter += segments;
                }
                self.events.add(event);
            }
            self.emit(m, fate, segments, late, delay);
        }
    }

    fn fate(&self, m: &Match, sent: &Sighting, came: &Sighting, differs: Option<bool>) -> Fate {
        if differs == Some(true) {
            return Fate::Damaged;
        }
        let taken = || self.receiver.took(m.from, m.to, came.time);
        // A sum that is wrong where the segment came, and was right or the adapter's to fill in where it left.
        if came.is_wrong() && !sent.is_wrong() {
            let proven = differs == Some(false) && taken() == Taken::Yes;
            return if proven {
                Fate::Delivered
            } else {
                Fate::Damaged
            };
        }
        if came.is_unfilled() || came.is_wrong() {
            return match taken() {
                Taken::No | Taken::Repeated => Fate::Unfilled,
                Taken::Yes | Taken::Unknown => Fate::Delivered,
            };
        }
        match taken() {
            Taken::No => Fate::Refused,
            Taken::Yes | Taken::Repeated | Taken::Unknown => Fate::Delivered,
        }
    }

    fn changes(&mut self, sent: &Sighting, came: &Sighting, segments: u64) {
        let modified = &mut self.path.modified;
        if sent.ttl != came.ttl {
            modified.ttl += segments;
            self.path.hops = Some(i16::from(sent.ttl) - i16::from(came.ttl));
        } else {
            self.path.hops.get_or_insert(0);
        }
        modified.tos += if sent.tos == came.tos { 0 } else { segments };
        if self.frame.shift != 0 {
            modified.sequence += segments;
        }
        let alike = sent.ack == came.ack && sent.length() == came.length();
        if alike && sent.window != came.window {
            modified.window += segments;
        }
        if let (Some(a), Some(b)) = (sent.timestamp(), came.timestamp())
            && a != b
            && !self.direction.trust.timestamps
        {
            modified.timestamps += segments;
        }
        if alike {
            self.window(sent, came);
        }
    }

    /// Options of the SYNs that came, against those of the same SYN where it left: a host that gets no answer may ask for less.
    pub(super) fn options(&mut self, matches: &[Match]) {
        let pair = matches.iter().filter(|m| !m.copy).find_map(|m| {
            let (sent, came) = (self.sent(m.sent?)?, self.came(m.came)?);
            let syn =
                |half: &Half, frame: FrameNo| half.syns.iter().find(|s| s.frame == frame).copied();
            Some((
                syn(self.direction.sent, sent.frame)?,
                syn(self.direction.came, came.frame)?,
            ))
        });
        let Some((a, b)) = pair else { return };
        // Without clocks nothing tells which of several it is.
        if self.frame.delay.clock.is_none() && self.direction.sent.syns.len() > 1 {
            return;
        }
        let modified = &mut self.path.modified;
        let mut changed = Vec::new();
        if a.options.mss != b.options.mss {
            modified.mss += 1;
            changed.push("mss");
        }
        if a.options.window_scale != b.options.window_scale {
            modified.window_scale += 1;
            changed.push("window scale");
        }
        if a.options.sack_permitted != b.options.sack_permitted {
            modified.sack += 1;
            changed.push("SACK");
        }
        if a.timestamps != b.timestamps {
            modified.timestamps += 1;
            changed.push("timestamps");
        }
        for what in changed {
            let sides = if self.frame.delay.sender_is_left {
                [Some(a.frame), Some(b.frame)]
            } else {
                [Some(b.frame), Some(a.frame)]
            };
            let time = self.left_time(a.time, true);
            self.events.add(Event {
                kind: EventKind::Option(what),
                frames: sides,
                time,
                octets: 0,
                flags: 2,
                delay: None,
                left_unfilled: false,
                came_good: false,
                payload_differs: None,
                difference: None,
                too_long: false,
                windows: None,
            });
        }
    }
}
