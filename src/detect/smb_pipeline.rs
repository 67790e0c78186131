//! Finds SMB connections that wait for round trips because too little is under way, and says why.
//!
//! Reads:   requests, their size and how many were under way, credits, round trips
//! Yields:  `smb.latency-bound`, `smb.credit-starved`, `smb.small-io`: one of each for a client and a server; `smb.legacy-dialect`:
//!          one for each dialect
//! Silent:  paths of less than two milliseconds; small blocks that cost less than a second, or that round trips tell already; connections that spend less than half of their busy time on round trips; SMB1 is info
//! Source:  MS-SMB2 section 3.2.4.1.2 (credits), MS-CIFS; throughput's ceiling is size × requests under way / round trip

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::trace::{Groups, PairKey, Trace, percent, plural, rate, span};
use super::wait;
use super::{Detector, Finding, Limited, Seen, Severity};
use crate::flow::{Cause, FlowRecord};

/// Shortest path on which a round trip matters.
const LEAST_ROUND_TRIP: f64 = 0.002;
/// More requests under way than this on average are no lockstep.
const LOCKSTEP: f64 = 2.5;
/// Share of the busy time that has to be round trips.
const BOUND_SHARE: f64 = 0.5;
/// Seconds from which it is worth a word, and from which users wait for it.
const LEAST_SECONDS: f64 = 1.0;
const WAIT_SECONDS: f64 = 10.0;
/// Reads and writes from which their size is judged, and the size below which it is small.
const LEAST_IO: u64 = 100;
const SMALL_IO: f64 = 4_096.0;
/// Old dialects told apart.
const MAX_DIALECTS: usize = 16;
/// Time and share without credits that is worth a word.
const STARVED: (f64, f64) = (0.5, 0.05);

#[derive(Default)]
struct Pair {
    life: f64,
    round_trip: f64,
    requests: u64,
    bound: f64,
    busy: f64,
    served: f64,
    bound_trace: Trace,
    io: u64,
    io_octets: f64,
    small_trace: Trace,
    depth: f64,
    depth_weight: f64,
    starved: f64,
    starved_trace: Trace,
    credits: Option<u64>,
    octets: u64,
}

/// Connections that speak one of the old dialects.
#[derive(Default)]
struct Legacy {
    connections: u64,
    servers: BTreeSet<IpAddr>,
    trace: Trace,
}

/// See the head of this file.
#[derive(Default)]
pub(super) struct Pipeline {
    pairs: Groups<PairKey, Pair>,
    legacy: BTreeMap<String, Legacy>,
}

/// Round trip of the whole path.
fn whole_round_trip(f: &FlowRecord) -> f64 {
    f.handshake.rtt.map_or_else(
        || {
            f.halves
                .iter()
                .filter_map(|h| h.rtt)
                .map(|r| r.min.as_secs_f64())
                .sum()
        },
        |rtt| rtt.as_secs_f64(),
    )
}

fn idle(f: &FlowRecord) -> f64 {
    f.time
        .iter()
        .filter(|(cause, _)| matches!(cause, Cause::Idle | Cause::Close))
        .map(|(_, time)| time.as_secs_f64())
        .sum()
}

impl Detector for Pipeline {
    fn flow(&mut self, seen: Seen<'_>, _out: &mut Vec<Finding>) {
        let Some(smb) = &seen.dialog.smb else {
            return;
        };
        let f = seen.flow;
        let (server, client) = wait::ends(seen);
        let key = (server.addr, client, server.port);
        let Some(p) = self.pairs.group(key) else {
            return;
        };
        let life = f.duration().as_secs_f64();
        let round_trip = whole_round_trip(f);
        p.life += life;
        p.round_trip = p.round_trip.max(round_trip);
        p.octets += f.halves.iter().map(|h| h.unique_octets).sum::<u64>();
        let requests: u64 = smb.commands.values().map(|c| c.times.count).sum();
        let depth = smb.mean_outstanding.max(1.0);
        p.depth += depth * requests as f64;
        p.depth_weight += requests as f64;
        if depth <= LOCKSTEP {
            p.requests += requests;
            p.bound += requests as f64 * round_trip / depth;
            p.busy += (life - idle(f)).max(0.0);
            p.served += smb
                .commands
                .values()
                .map(|c| c.times.sum.as_secs_f64() - c.times.count as f64 * round_trip)
                .sum::<f64>()
                .max(0.0);
            p.bound_trace.flow(f, f.start, f.end);
            for (name, c) in &smb.commands {
                if let Some((request, response)) = c.slowest {
                    p.bound_trace.proof(f, request, || {
                        format!("{name} request, the only one under way or nearly so")
                    });
                    p.bound_trace.proof(f, response, || {
                        format!("{name} response, {} later", span(c.times.max.as_secs_f64()))
                    });
                }
            }
        }
        if let Some((count, mean)) = smb.io_size {
            p.io += count;
            p.io_octets += count as f64 * mean;
            p.small_trace.flow(f, f.start, f.end);
            p.small_trace.proof(f, f.first_frame, || {
                format!(
                    "{count} reads and writes of {mean:.0} octets on average on this connection"
                )
            });
        }
        if smb.credit_starved > Duration::ZERO {
            p.starved += smb.credit_starved.as_secs_f64();
            p.credits = p.credits.max(smb.max_credits);
            p.starved_trace.flow(f, f.start, f.end);
            p.starved_trace.proof(f, f.first_frame, || {
                format!(
                    "{} without credits on this connection",
                    span(smb.credit_starved.as_secs_f64())
                )
            });
        }
        if let Some(dialect) = smb.dialect.as_ref().filter(|d| is_legacy(d))
            && (self.legacy.len() < MAX_DIALECTS || self.legacy.contains_key(dialect))
        {
            let legacy = self.legacy.entry(dialect.clone()).or_default();
            legacy.connections += 1;
            if legacy.servers.len() < 64 {
                legacy.servers.insert(server.addr);
            }
            legacy.trace.flow(f, f.start, f.end);
            let frame = seen
                .dialog
                .said
                .iter()
                .find(|s| s.text.contains(dialect.as_str()))
                .map_or(f.first_frame, |s| s.frame);
            legacy
                .trace
                .proof(f, frame, || format!("both ends agree on {dialect}"));
        }
    }

    fn limited(&mut self) -> Vec<&mut dyn Limited> {
        vec![&mut self.pairs]
    }

    fn finish(&mut self, out: &mut Vec<Finding>) {
        for (key, p) in self.pairs.take() {
            let latency = p.latency(key);
            let bound = latency.is_some();
            out.extend(latency);
            // Where round trips are told already, small blocks are told only if they make users wait.
            out.extend(
                p.small(key)
                    .filter(|small| !bound || small.severity > Severity::Info),
            );
            out.extend(p.credits(key));
        }
        for (dialect, legacy) in std::mem::take(&mut self.legacy) {
            out.push(legacy.told(&dialect));
        }
    }
}

/// SMB1: `NT LM 0.12`, `LANMAN2.1`, …; later dialects are numbers.
fn is_legacy(dialect: &str) -> bool {
    !dialect.starts_with(|c: char| c.is_ascii_digit())
}

impl Pair {
    fn severity(seconds: f64) -> Severity {
        if seconds >= WAIT_SECONDS {
            Severity::Warning
        } else {
            Severity::Info
        }
    }

    fn mean_depth(&self) -> f64 {
        if self.depth_weight > 0.0 {
            self.depth / self.depth_weight
        } else {
            1.0
        }
    }

    fn latency(&self, key: PairKey) -> Option<Finding> {
        if self.round_trip < LEAST_ROUND_TRIP
            || self.bound < LEAST_SECONDS
            || self.bound < BOUND_SHARE * self.busy
            || self.served > self.bound
        {
            return None;
        }
        let depth = self.mean_depth();
        let size = self.io_octets / self.io.max(1) as f64;
        let ceiling = size * depth / self.round_trip * 8.0;
        let observed = self.octets as f64 * 8.0 / self.busy.max(f64::MIN_POSITIVE);
        let mut summary = format!(
            "{} waits for round trips to {}: {} one after the other ({depth:.1} under way) over {}, {} of {} busy",
            key.1,
            key.0,
            plural(self.requests, "request"),
            span(self.round_trip),
            span(self.bound.min(self.busy)),
            span(self.busy)
        );
        if self.io > 0 {
            summary += &format!("; {:.0} octets at a time allow {}", size, rate(ceiling));
        }
        let mut f = self.bound_trace.clone().of_pair(
            "smb.latency-bound",
            (Self::severity(self.bound), 0.85),
            summary,
            key,
            "smb",
        );
        f.seconds_lost = Some(self.bound.min(self.busy));
        f.measures.extend([
            ("rtt_ms", self.round_trip * 1e3),
            ("outstanding", depth),
            ("io_octets", size),
            ("bps", ceiling),
            ("goodput_bps", observed),
            ("count", self.requests as f64),
            ("share", self.bound / self.busy.max(f64::MIN_POSITIVE)),
        ]);
        Some(f)
    }

    fn small(&self, key: PairKey) -> Option<Finding> {
        let size = self.io_octets / self.io.max(1) as f64;
        if self.io < LEAST_IO || size > SMALL_IO {
            return None;
        }
        let seconds = self.io as f64 * self.round_trip / self.mean_depth().max(1.0);
        if seconds < LEAST_SECONDS {
            return None;
        }
        let summary = format!(
            "{} and {} exchange {} reads and writes of {size:.0} octets on average: {} of round trips",
            key.1,
            key.0,
            self.io,
            span(seconds)
        );
        let mut f = self.small_trace.clone().of_pair(
            "smb.small-io",
            (Self::severity(seconds), 0.9),
            summary,
            key,
            "smb",
        );
        f.seconds_lost = Some(seconds);
        f.measures.extend([
            ("io_octets", size),
            ("count", self.io as f64),
            ("rtt_ms", self.round_trip * 1e3),
        ]);
        Some(f)
    }

    fn credits(&self, key: PairKey) -> Option<Finding> {
        let (least, share) = STARVED;
        if self.starved < least || self.starved < share * self.life {
            return None;
        }
        let summary = format!(
            "{} had work for {} and no credits for {} ({} of the connections' life)",
            key.1,
            key.0,
            span(self.starved),
            percent(self.starved / self.life.max(f64::MIN_POSITIVE))
        );
        let mut f = self.starved_trace.clone().of_pair(
            "smb.credit-starved",
            (Severity::Warning, 0.75),
            summary,
            key,
            "smb",
        );
        f.seconds_lost = Some(self.starved);
        f.measures.extend([
            ("seconds", self.starved),
            ("credits", self.credits.unwrap_or(0) as f64),
            ("outstanding", self.mean_depth()),
        ]);
        f.against.push(
            "an application that asks for one thing at a time needs no more credits than it has"
                .to_owned(),
        );
        Some(f)
    }
}

impl Legacy {
    fn told(self, dialect: &str) -> Finding {
        let servers: Vec<String> = self
            .servers
            .iter()
            .take(8)
            .map(ToString::to_string)
            .collect();
        let summary = format!(
            "{} to {} speak {dialect}, that is SMB 1: small blocks, one request at a time, no protection",
            plural(self.connections, "connection"),
            servers.join(", ")
        );
        let mut f = self
            .trace
            .finding("smb.legacy-dialect", Severity::Info, 0.98, summary);
        f.subject = self
            .servers
            .first()
            .copied()
            .filter(|_| self.servers.len() == 1);
        f.measures = vec![("count", self.connections as f64)];
        f.words = vec![
            ("application", "smb".to_owned()),
            ("dialect", dialect.to_owned()),
        ];
        f
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn key() -> PairKey {
        let addr = |n| IpAddr::from(Ipv4Addr::new(192, 0, 2, n));
        (addr(1), addr(2), 445)
    }

    /// A copy in lockstep over a path of 50 ms.
    fn lockstep() -> Pair {
        Pair {
            life: 30.0,
            busy: 30.0,
            round_trip: 0.05,
            requests: 500,
            bound: 25.0,
            io: 480,
            io_octets: 480.0 * 65_536.0,
            ..Pair::default()
        }
    }

    #[test]
    fn bound_by_latency() {
        for (name, pair, want) in [
            ("a copy in lockstep", lockstep(), Some(Severity::Warning)),
            (
                "a short one",
                Pair {
                    bound: 3.0,
                    busy: 4.0,
                    ..lockstep()
                },
                Some(Severity::Info),
            ),
            (
                "the server takes longer than the path",
                Pair {
                    served: 40.0,
                    ..lockstep()
                },
                None,
            ),
            (
                "a local network",
                Pair {
                    round_trip: 0.0005,
                    ..lockstep()
                },
                None,
            ),
            (
                "most of the time something else",
                Pair {
                    busy: 90.0,
                    ..lockstep()
                },
                None,
            ),
        ] {
            assert_eq!(pair.latency(key()).map(|f| f.severity), want, "{name}");
        }
    }

    #[test]
    fn small_io_and_credits() {
        for (name, pair, small, starved) in [
            ("large blocks", lockstep(), false, false),
            (
                "small blocks",
                Pair {
                    io_octets: 480.0 * 512.0,
                    ..lockstep()
                },
                true,
                false,
            ),
            (
                "few small blocks",
                Pair {
                    io: 50,
                    io_octets: 50.0,
                    ..lockstep()
                },
                false,
                false,
            ),
            (
                "no credits for a while",
                Pair {
                    starved: 4.0,
                    ..lockstep()
                },
                false,
                true,
            ),
            (
                "for a moment",
                Pair {
                    starved: 0.4,
                    ..lockstep()
                },
                false,
                false,
            ),
            (
                "a second of a long life",
                Pair {
                    starved: 1.0,
                    life: 600.0,
                    ..lockstep()
                },
                false,
                false,
            ),
        ] {
            assert_eq!(pair.small(key()).is_some(), small, "{name}");
            assert_eq!(pair.credits(key()).is_some(), starved, "{name}");
        }
    }

    #[test]
    fn dialects() {
        for (dialect, legacy) in [
            ("NT LM 0.12", true),
            ("LANMAN2.1", true),
            ("2.0.2", false),
            ("3.1.1", false),
        ] {
            assert_eq!(is_legacy(dialect), legacy, "{dialect}");
        }
    }
}
