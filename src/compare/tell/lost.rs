//! What left and did not come: lost, missed by the other capture, or beyond what that could show.

use std::collections::HashMap;

use super::super::align::Match;
use super::super::fate::{EventKind, Fate};
use super::super::ranges::{Covered, Ranges};
use super::super::table::Sighting;
use super::super::taken::Receiver;
use super::{TIMESTAMPS_OCTETS, Teller};
use crate::decode::TcpFlags;
use crate::net::{Timestamp, seconds};

/// Moments at which something lost had left, kept of one direction.
const MAX_LOST: usize = 10_000;

impl Teller<'_, '_> {
    /// What left and did not come.
    pub(super) fn holes(&mut self, covered: &HashMap<usize, Covered>, matches: &[Match]) {
        let direction = self.direction;
        let mut under_way: HashMap<usize, i64> = HashMap::new();
        for m in matches.iter().filter(|m| !m.copy) {
            if let (Some(at), Some(delay)) = (m.sent, self.delay_of(m)) {
                under_way.entry(at).or_insert(delay);
            }
        }
        // How long what was sent just before was under way: the queue that a lost segment met.
        let mut before = None;
        let mut times_lost: HashMap<i64, u32> = HashMap::new();
        let arrivals = Ranges::new(&direction.arrivals);
        let [_, heard] = self.frame.back;
        let heard = Receiver::new(heard, &[], direction.origin[0]);
        for departure in &direction.departures {
            let Some(sent) = self.sent(departure.at) else {
                continue;
            };
            self.path.octets += u64::from(sent.payload());
            before = under_way.get(&departure.at).copied().or(before);
            let holes = covered.get(&departure.at).map_or_else(
                || vec![(departure.start, departure.end)],
                |c| c.holes(departure.start, departure.end),
            );
            for (from, to) in holes {
                let segments = self.pieces(from, to);
                let fate = if !self.is_common(sent.time, before) {
                    Fate::Outside
                } else if self.came_unseen(from, to, sent.time, &arrivals, &heard) {
                    Fate::Missed
                } else {
                    Fate::Lost
                };
                let too_long = fate == Fate::Lost && self.is_too_long(sent);
                match fate {
                    Fate::Lost => {
                        self.path.lost += segments;
                        if sent.has(TcpFlags::SYN) {
                            self.path.lost_syns += segments;
                        } else if sent.payload() == 0 {
                            self.path.lost_fins += segments;
                        } else if too_long {
                            self.path.lost_long += segments;
                        } else {
                            let octets = self.on_the_wire(sent);
                            let least = self.path.smallest_lost.get_or_insert(octets);
                            *least = octets.min(*least);
                        }
                        let times = times_lost.entry(from).or_default();
                        *times += 1;
                        self.path.times_lost = self.path.times_lost.max(*times);
                        if self.path.lost_at.len() < MAX_LOST {
                            let left = self.left_time(sent.time, true);
                            self.path.lost_at.push(left);
                        }
                    }
                    Fate::Missed => self.path.missed += segments,
                    _ => self.path.outside += segments,
                }
                if fate != Fate::Outside {
                    let delay = before.map(seconds);
                    let mut event =
                        self.event(EventKind::Fate(fate), Some(sent), None, delay, None);
                    event.too_long = too_long;
                    self.events.add(event);
                }
                let hole = Match {
                    from,
                    to,
                    sent: Some(departure.at),
                    came: usize::MAX,
                    copy: false,
                    reordered: false,
                };
                self.emit(&hole, fate, segments, false, None);
            }
        }
    }

    fn is_too_long(&self, sent: &Sighting) -> bool {
        let options = if sent.timestamp().is_some() {
            TIMESTAMPS_OCTETS
        } else {
            0
        };
        let packet = self.on_the_wire(sent) + self.frame.headers + options;
        self.frame.fits.is_some_and(|mtu| packet > mtu)
    }

    /// Whether the receiving host says that it has these octets before a copy of them was seen to come: then one came that the capture
    /// there did not see. What left after it had said so is no such copy.
    fn came_unseen(
        &self,
        from: i64,
        to: i64,
        sent: Timestamp,
        arrivals: &Ranges,
        heard: &Receiver,
    ) -> bool {
        // Of one end of the hole or the other, the first copy that was seen.
        let first_seen = [from, to - 1]
            .into_iter()
            .map(|place| {
                let mut first = Timestamp(i64::MAX);
                arrivals.holding(place, Some(Timestamp(i64::MIN)), |r| {
                    first = first.min(r.time);
                });
                first
            })
            .max()
            .unwrap_or(Timestamp(i64::MAX));
        let delay = &self.frame.delay;
        if let Some(at) = self.receiver.had(from, to)
            && at < first_seen
        {
            return delay.between(sent, at).is_none_or(|n| n >= 0);
        }
        heard.had(from, to).is_some_and(|at| {
            at >= sent
                && (first_seen == Timestamp(i64::MAX)
                    || delay.sent_by(first_seen).is_some_and(|left| at < left))
        })
    }
}
