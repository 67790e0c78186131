//! Recognises how Exchange tries a failed server again.
//!
//! Reads:   attempts to reach a service that failed, by client and server
//! Yields:  `balance.retry-cadence`: one for each client and server whose attempts keep to the series
//! Silent:  attempts of one interval alone (a monitor probes each minute for ever); series without a step from one interval to the
//!          next; attempts that overlap or come irregularly
//! Source:  Exchange 2010 SP1 and later: QueueGlitchRetryCount 4 × 1 min, TransientFailureRetryCount 6 × 5 min (Edge 10 min),
//!          OutboundConnectionFailureRetryInterval 10 min (Edge 30 min)

use std::net::IpAddr;

use super::balance::{Outcome, outcome};
use super::trace::{Groups, Place, Room, Trace, plural, span};
use super::{Detector, Finding, Limited, Seen, Severity};
use crate::net::{FrameNo, Timestamp};

/// Attempts kept in all.
const MAX_ATTEMPTS: usize = 500_000;
/// Attempts nearer than this are one: the same probe, tried at several addresses or ports.
const ONE_PROBE: f64 = 30.0;
/// How near an interval has to be: a probe's own SYNs take up to 31 s, and the timer of the queue runs by seconds.
const SLACK: f64 = 0.12;
const SLACK_SECONDS: f64 = 12.0;
/// Fewest intervals of a series.
const LEAST_INTERVALS: usize = 3;
/// Retries of each kind before the next interval is used.
const GLITCHES: usize = 4;
const TRANSIENTS: usize = 6;

/// The series of a role.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    Hub,
    Edge,
}

impl Role {
    /// Its three intervals, in seconds.
    const fn intervals(self) -> [f64; 3] {
        match self {
            Self::Hub => [60.0, 300.0, 600.0],
            Self::Edge => [60.0, 600.0, 1_800.0],
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::Edge => "edge",
        }
    }
}

/// A series that was recognised.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Series {
    role: Role,
    /// Intervals of each kind.
    steps: [usize; 3],
}

impl Series {
    /// Seconds from the last attempt to the next.
    fn next(self) -> f64 {
        let [first, second, third] = self.role.intervals();
        let [glitches, transients, later] = self.steps;
        if later > 0 || transients >= TRANSIENTS {
            third
        } else if transients > 0 || glitches >= GLITCHES {
            second
        } else {
            first
        }
    }
}

/// The series that these intervals keep to, if they hold at least one step from one interval to the next.
fn series(intervals: &[f64]) -> Option<Series> {
    if intervals.len() < LEAST_INTERVALS {
        return None;
    }
    [Role::Hub, Role::Edge].into_iter().find_map(|role| {
        let mut steps = [0_usize; 3];
        let mut stage = 0;
        for interval in intervals {
            let kind = role
                .intervals()
                .iter()
                .position(|want| (interval - want).abs() <= (want * SLACK).max(SLACK_SECONDS))?;
            if kind < stage {
                return None;
            }
            stage = kind;
            *steps.get_mut(kind)? += 1;
        }
        let [glitches, transients, later] = steps;
        let kinds = steps.iter().filter(|&&n| n > 0).count();
        // Whoever goes on to the next interval had used up the one before it, and did not leave one out.
        let whole = glitches <= GLITCHES
            && transients <= TRANSIENTS
            && (later == 0 || transients == TRANSIENTS || glitches == 0)
            && !(glitches > 0 && later > 0 && transients == 0);
        (kinds >= 2 && whole).then_some(Series { role, steps })
    })
}

#[derive(Clone, Copy, Debug)]
struct Attempt {
    at: Timestamp,
    taken: bool,
    place: Place,
    frame: FrameNo,
}

/// See the head of this file.
pub(super) struct Cadence {
    pairs: Groups<(IpAddr, IpAddr, u16), Vec<Attempt>>,
    room: Room,
}

impl Default for Cadence {
    fn default() -> Self {
        Self {
            pairs: Groups::default(),
            room: Room::new(MAX_ATTEMPTS),
        }
    }
}

impl Detector for Cadence {
    fn minds_lone_syns(&self) -> bool {
        true
    }

    fn flow(&mut self, seen: Seen<'_>, _out: &mut Vec<Finding>) {
        let Some(outcome) = outcome(seen) else {
            return;
        };
        let f = seen.flow;
        let key = (f.client.addr, f.server.addr, f.server.port);
        if self.room.is_used_up() {
            return;
        }
        let Some(attempts) = self.pairs.group(key) else {
            return;
        };
        self.room.take();
        attempts.push(Attempt {
            at: f.start,
            taken: outcome == Outcome::Taken,
            place: Place::from(f),
            frame: f.first_frame,
        });
    }

    fn limited(&mut self) -> Vec<&mut dyn Limited> {
        vec![&mut self.pairs, &mut self.room]
    }

    #[allow(clippy::cast_precision_loss)]
    fn finish(&mut self, out: &mut Vec<Finding>) {
        for ((client, server, port), mut attempts) in self.pairs.take() {
            attempts.sort_by_key(|a| (a.at, a.frame));
            for run in runs(&attempts) {
                let intervals: Vec<f64> = run
                    .windows(2)
                    .filter_map(|pair| Some(pair.last()?.at.seconds_since(pair.first()?.at)))
                    .collect();
                let (Some(found), Some(first), Some(last)) =
                    (series(&intervals), run.first(), run.last())
                else {
                    continue;
                };
                let mut trace = Trace::default();
                for (n, a) in run.iter().enumerate() {
                    trace.place(a.place, a.at, a.at);
                    trace.cite(a.place, a.frame, || {
                        if n == 0 {
                            format!("an attempt to reach {server} fails: it is marked as unhealthy")
                        } else {
                            format!(
                                "attempt {n} after it, at +{}",
                                span(a.at.seconds_since(first.at))
                            )
                        }
                    });
                }
                let [a, b, c] = found.steps;
                let [x, y, z] = found.role.intervals().map(|i| i / 60.0);
                let summary = format!(
                    "{client} tries the failed {server} by the book of Exchange ({}): {a} times after {x:.0} min, {b} after {y:.0}, {c} after {z:.0}; unhealthy for {}, the next try is due {} after the last",
                    found.role.name(),
                    span(last.at.seconds_since(first.at)),
                    span(found.next())
                );
                let kinds = found.steps.iter().filter(|&&n| n > 0).count();
                let confidence = if a == GLITCHES || kinds == 3 {
                    0.95
                } else {
                    0.75
                };
                let mut f =
                    trace.finding("balance.retry-cadence", Severity::Info, confidence, summary);
                f.subject = Some(server);
                f.peer = Some(client);
                f.measures = vec![
                    ("count", run.len() as f64),
                    ("interval_s", found.next()),
                    ("seconds", last.at.seconds_since(first.at)),
                    ("port", f64::from(port)),
                ];
                f.words = vec![
                    ("cadence", found.role.name().to_owned()),
                    ("application", "smtp".to_owned()),
                ];
                if kinds < 3 {
                    f.against.push(format!(
                        "{} of it only: the capture does not hold the whole series",
                        plural(run.len() as u64, "attempt")
                    ));
                }
                out.push(f);
            }
        }
    }
}

/// Runs of failures between two successes, each probe once.
fn runs(attempts: &[Attempt]) -> Vec<Vec<Attempt>> {
    let mut runs = Vec::new();
    let mut run: Vec<Attempt> = Vec::new();
    for a in attempts {
        if a.taken {
            runs.push(std::mem::take(&mut run));
        } else if run
            .last()
            .is_none_or(|last| a.at.seconds_since(last.at) >= ONE_PROBE)
        {
            run.push(*a);
        }
    }
    runs.push(run);
    runs.retain(|run| run.len() > LEAST_INTERVALS);
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(list: &[(usize, f64)]) -> Vec<f64> {
        list.iter()
            .flat_map(|&(n, seconds)| std::iter::repeat_n(seconds, n))
            .collect()
    }

    #[test]
    fn cadences() {
        for (name, intervals, want) in [
            (
                "a hub, whole",
                times(&[(4, 60.0), (6, 300.0), (9, 600.0)]),
                Some((Role::Hub, [4, 6, 9])),
            ),
            (
                "an edge, whole",
                times(&[(4, 60.0), (6, 600.0), (5, 1_800.0)]),
                Some((Role::Edge, [4, 6, 5])),
            ),
            (
                "the beginning",
                times(&[(4, 61.0), (2, 302.0)]),
                Some((Role::Hub, [4, 2, 0])),
            ),
            (
                "the capture begins within",
                times(&[(2, 300.0), (3, 600.0)]),
                Some((Role::Hub, [0, 2, 3])),
            ),
            (
                "the capture begins within, all transients seen",
                times(&[(6, 300.0), (3, 600.0)]),
                Some((Role::Hub, [0, 6, 3])),
            ),
            ("a monitor each minute", times(&[(60, 60.0)]), None),
            (
                "a monitor that pauses once",
                times(&[(9, 60.0), (1, 300.0), (9, 60.0)]),
                None,
            ),
            ("a queue each ten minutes", times(&[(20, 600.0)]), None),
            (
                "too many of the first",
                times(&[(7, 60.0), (6, 300.0)]),
                None,
            ),
            ("one kind left out", times(&[(4, 60.0), (3, 1_800.0)]), None),
            ("irregular", vec![60.0, 95.0, 240.0, 610.0], None),
            ("few", times(&[(1, 60.0), (1, 300.0)]), None),
        ] {
            let got = series(&intervals).map(|s| (s.role, s.steps));
            assert_eq!(got, want, "{name}");
        }
    }

    #[test]
    fn what_comes_next() {
        for (name, role, steps, want) in [
            ("within the first", Role::Hub, [2, 0, 0], 60.0),
            ("after four", Role::Hub, [4, 0, 0], 300.0),
            ("within the second", Role::Edge, [4, 3, 0], 600.0),
            ("after six", Role::Hub, [4, 6, 0], 600.0),
            ("from then on", Role::Edge, [4, 6, 7], 1_800.0),
        ] {
            assert!(
                (Series { role, steps }.next() - want).abs() < 1e-9,
                "{name}"
            );
        }
    }
}
