//! Flights that never grow: a sender that goes on a round trip after its last burst, each time with as many octets as before.
//!
//! Takes:  new data segments of one direction, in order of time
//! Gives:  [`Pinned`]: how long that went on, and how many octets a round trip carried
//! Never:  judges who holds the sender; counts once anything was lost, as a congestion window stands still for long after a loss

use std::time::Duration;

use super::record::Pinned;
use crate::net::Timestamp;

/// Rounds alike in a row before they count: a congestion window that grows does not stand still so long.
const ENOUGH: u32 = 16;
/// A burst of fewer full segments is a dialog's turn.
const LEAST_SEGMENTS: u64 = 3;

/// Finds the rounds.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rounds {
    /// Begin and last segment of the burst under way, and its octets.
    burst: Option<(Timestamp, Timestamp, u64)>,
    /// Octets of each round in the run under way, how many rounds and how long.
    octets: u64,
    rounds: u32,
    nanos: i64,
    /// Rounds of these octets to the last one.
    same: u32,
    pub(super) pinned: Option<Pinned>,
}

impl Rounds {
    /// Takes a segment with `octets` never sent before. `unit`: a full one; `rtt`: the least of the whole path.
    pub(super) fn data(&mut self, time: Timestamp, octets: u32, unit: u32, rtt: i64) {
        let octets = u64::from(octets);
        let Some((began, last, so_far)) = &mut self.burst else {
            self.burst = Some((time, time, octets));
            return;
        };
        if time.nanos_since(*last) < rtt / 4 {
            *last = time;
            *so_far += octets;
            return;
        }
        let (round, sent) = (time.nanos_since(*began), *so_far);
        self.burst = Some((time, time, octets));
        let unit = u64::from(unit.max(1));
        let timely = round >= rtt - rtt / 8 && round <= rtt + rtt / 8;
        if !timely || sent < LEAST_SEGMENTS * unit {
            self.rounds = 0;
            return;
        }
        if self.rounds > 0 && sent.abs_diff(self.octets) < unit {
            self.rounds += 1;
            self.nanos += round;
            self.same += u32::from(sent == self.octets);
        } else {
            (self.rounds, self.nanos, self.octets, self.same) = (1, round, sent, 1);
        }
        if self.rounds >= ENOUGH {
            let pinned = self.pinned.get_or_insert_default();
            pinned.time += Duration::from_nanos(self.nanos.max(0).unsigned_abs());
            pinned.octets = pinned.octets.max(self.octets);
            pinned.exact = self.same >= self.rounds - self.rounds / 8;
            self.nanos = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flights_that_stand_still_are_told_from_those_that_grow() {
        const RTT: i64 = 60_000_000;
        // (name, segments of round n, nanoseconds from round to round, octets pinned)
        type Row = (&'static str, fn(i64) -> i64, i64, Option<u64>);
        let rows: [Row; 6] = [
            ("six each round trip", |_| 6, RTT, Some(6_000)),
            ("one more each", |n| 4 + n, RTT, None),
            ("six, and the application pauses", |_| 6, 3 * RTT, None),
            (
                "too few rounds alike",
                |n| if n % 12 < 6 { 6 } else { 9 },
                RTT,
                None,
            ),
            ("one segment a turn", |_| 1, RTT, None),
            (
                "the path's rate: no pause between bursts",
                |_| 60,
                RTT,
                None,
            ),
        ];
        for (name, segments, apart, want) in rows {
            let mut rounds = Rounds::default();
            for round in 0..40 {
                for n in 0..segments(round) {
                    let time = Timestamp(round * apart + n * 1_000_000);
                    rounds.data(time, 1_000, 1_000, RTT);
                }
            }
            assert_eq!(rounds.pinned.map(|p| p.octets), want, "{name}");
        }
    }
}
