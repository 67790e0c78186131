//! Finds transfers that crawl, and what holds them back.
//!
//! Reads:   octets a second of each flow, time by cause
//! Yields:  `throughput.collapse`; `limit.application`, `limit.latency`, `limit.path-rate`, `limit.send-buffer`: one for each sender and
//!          receiver, all limits `info`
//! Silent:  flows that had nothing to send: waiting for an application is no collapse
//! Source:  thresholds are ours; factors after T-RAT and Siekkinen's root-cause analysis

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::trace::{Groups, Trace, ip_field, percent, rate, span};
use super::{Detector, Finding, Limited, Seen, Severity};
use crate::flow::{Cause, FlowRecord};
use crate::net::Direction;

/// Octets a second below which a transfer with data pending crawls, and for how long that has to last.
const CRAWL_OCTETS: f64 = 10_000.0;
const CRAWL_SECONDS: f64 = 10.0;
/// Segments sent for the first time that make a transfer which can crawl: a few that never get through are a storm, and no rate.
const CRAWL_SEGMENTS: u64 = 10;
/// Share of its own usual rate below which a transfer has collapsed, and for how long at least.
const OWN_SHARE: f64 = 0.3;
const OWN_SECONDS: f64 = 3.0;
/// A repairing transfer that spends this share of its life on repair has collapsed.
const REPAIR_SHARE: f64 = 0.5;
/// A transfer under this rate, for this long, with this share of its segments lost, whose losses keep it from growing.
const HELD_OCTETS: f64 = 125_000.0;
const HELD_SECONDS: f64 = 3.0;
const HELD_LOSS: f64 = 0.03;
/// Octets that make a transfer.
const TRANSFER: u64 = 50_000;

#[derive(Default)]
struct Pair {
    lost: f64,
    trace: Trace,
    worst: f64,
    crawling: u64,
    why: BTreeMap<&'static str, f64>,
    best: f64,
}

/// See the head of this file.
#[derive(Default)]
pub(super) struct Throughput {
    pairs: Groups<(IpAddr, IpAddr), Pair>,
    limits: Groups<(IpAddr, IpAddr, &'static str), Limit>,
}

/// What held the connections of one pair of hosts for most of their lives.
#[derive(Default)]
struct Limit {
    held: f64,
    whole: f64,
    /// Of `held`: by connections that show that it was this.
    shown: f64,
    trace: Trace,
    applications: BTreeSet<&'static str>,
}

/// Share of a connection's life that one limit must take, and how long it must have lived, to be worth a word.
const LIMIT_SHARE: f64 = 0.6;
const LIMIT_SECONDS: f64 = 1.0;

/// A round trip that is so much longer as a rule than at best shows a queue; and in so many samples at least.
const QUEUE_GROWTH: f64 = 1.5;
const QUEUE_MIN: Duration = Duration::from_millis(5);
const QUEUE_SAMPLES: u64 = 10;
/// So many whole seconds in a row, the least of them with this share of the octets of the most, are a steady rate.
const STEADY_SECONDS: usize = 4;
const STEADY_SHARE: f64 = 0.8;
/// How sure a limit of the path is where neither shows.
const BARE_PACE: f64 = 0.3;

/// The limits, what each spends time on, whether only a transfer can show it, and how sure that makes at best.
const LIMITS: [(&str, Cause, bool, f64); 4] = [
    ("limit.application", Cause::ClientThink, true, 0.8),
    ("limit.latency", Cause::Latency, false, 0.7),
    ("limit.path-rate", Cause::Transfer, true, 0.7),
    ("limit.send-buffer", Cause::SendBuffer, true, 0.5),
];

fn seconds(f: &FlowRecord, causes: &[Cause]) -> f64 {
    f.time
        .iter()
        .filter(|t| causes.contains(&t.0))
        .map(|t| t.1.as_secs_f64())
        .sum()
}

impl Detector for Throughput {
    fn flow(&mut self, seen: Seen<'_>, _out: &mut Vec<Finding>) {
        let f = seen.flow;
        let repair = seconds(f, &[Cause::LossRecovery, Cause::Timeout, Cause::TailLoss]);
        for direction in Direction::BOTH {
            let h = f.half(direction);
            if h.data_segments == 0 {
                continue;
            }
            let key = (f.sender(direction).addr, f.sender(direction.reverse()).addr);
            let Some(p) = self.pairs.group(key) else {
                continue;
            };
            let busy = h.busy.as_secs_f64();
            if let Some(g) = h.goodput.filter(|_| h.unique_octets >= TRANSFER) {
                p.best = p.best.max(g.mean_bps / 8.0);
            }
            let mean = h.unique_octets as f64 / busy.max(1e-6);
            let troubled = h.retransmitted_segments - h.retransmissions.spurious;
            let shut = f.half(direction.reverse()).zero_window_time.as_secs_f64();
            // It crawls: little gets through for long, with data on its way all the time.
            let fresh = h.data_segments.saturating_sub(h.retransmitted_segments);
            let crawls = busy >= CRAWL_SECONDS
                && mean < CRAWL_OCTETS
                && troubled >= 5
                && fresh >= CRAWL_SEGMENTS
                && shut < busy / 2.0;
            // Or it once ran, and does so no more.
            let own = collapse(h, repair, f);
            // Or repair is most of its life.
            let share = repair / f.duration().as_secs_f64().max(1e-6);
            let repairing = h.unique_octets >= TRANSFER
                && troubled >= 20
                && repair >= 2.0
                && share >= REPAIR_SHARE;
            // Or losses keep it from ever sending more than a fresh connection may at once (RFC 6928), for long.
            let rtt = f
                .handshake
                .rtt
                .or_else(|| h.rtt.map(|r| r.min))
                .map_or(0.0, |r| r.as_secs_f64());
            let moving = h
                .last_data
                .zip(h.first_data)
                .map_or(0.0, |(b, a)| b.seconds_since(a));
            let pace = h.unique_octets as f64 / moving.max(1e-6);
            let held = h.unique_octets >= TRANSFER
                && moving >= HELD_SECONDS.max(10.0 * rtt)
                && pace < HELD_OCTETS
                && pace * rtt < 10.0 * f64::from(h.largest_segment)
                && h.retransmissions.fast * 2 >= troubled
                && troubled as f64 >= HELD_LOSS * h.data_segments as f64;
            if crawls || own.is_some() || repairing || held {
                p.crawling += 1;
                // Where data goes one way it took all the time in which nobody thought: beside the receiver octets are on their way for a moment.
                let leisure = [Cause::Idle, Cause::ClientThink, Cause::ServerThink];
                let one_way = f.half(direction.reverse()).unique_octets * 10 <= h.unique_octets;
                let took = if one_way {
                    busy.max(moving - seconds(f, &leisure))
                } else {
                    busy
                };
                let mean = h.unique_octets as f64 / took.max(1e-6);
                p.lost += if held {
                    moving
                } else if crawls {
                    busy
                } else {
                    own.unwrap_or(0.0).max(repair)
                };
                p.worst = if p.worst == 0.0 {
                    mean
                } else {
                    p.worst.min(mean)
                };
                p.trace.flow(
                    f,
                    h.first_data.unwrap_or(f.start),
                    h.last_data.unwrap_or(f.end),
                );
                p.trace.proof(
                    f,
                    h.repeats.first().map_or(f.first_frame, |r| r.frame),
                    || {
                        format!(
                            "{} of {} octets in {}: {}; {} of its segments were repeats",
                            f.sender(direction),
                            h.unique_octets,
                            span(took),
                            rate(mean * 8.0),
                            percent(
                                h.retransmitted_segments as f64 / h.data_segments.max(1) as f64
                            )
                        )
                    },
                );
                for (cause, time) in &f.time {
                    *p.why.entry(name(*cause)).or_default() += time.as_secs_f64();
                }
            }
        }
        // Waiting for an application, and for round trips: worth knowing, no fault of the network.
        let whole = f.duration().as_secs_f64();
        let moved: u64 = f.halves.iter().map(|h| h.unique_octets).sum();
        for (id, cause, transfer, _) in LIMITS {
            let held = seconds(f, &[cause]);
            let worth = whole >= LIMIT_SECONDS && held >= whole * LIMIT_SHARE;
            let key = (f.client.addr, f.server.addr, id);
            if worth
                && (moved >= TRANSFER || !transfer)
                && let Some(limit) = self.limits.group(key)
            {
                limit.held += held;
                limit.whole += whole;
                limit.shown += if paced(f) { held } else { 0.0 };
                limit.trace.flow(f, f.start, f.end);
                limit.applications.insert(seen.dialog.application);
            }
        }
    }

    fn limited(&mut self) -> Vec<&mut dyn Limited> {
        vec![&mut self.pairs, &mut self.limits]
    }

    fn finish(&mut self, out: &mut Vec<Finding>) {
        let pairs = self.pairs.take();
        let mut best: BTreeMap<IpAddr, (f64, IpAddr)> = BTreeMap::new();
        for ((from, to), p) in &pairs {
            if p.best > best.get(from).map_or(0.0, |b| b.0) {
                best.insert(*from, (p.best, *to));
            }
        }
        for ((from, to), p) in pairs {
            if p.crawling == 0 {
                continue;
            }
            let why = p
                .why
                .iter()
                .filter(|w| *w.0 != "data on its way")
                .max_by(|a, b| a.1.total_cmp(b.1))
                .map(|w| *w.0);
            let other = best
                .get(&from)
                .filter(|b| b.1 != to && b.0 > p.worst * 20.0);
            let mut f = p.trace.finding(
                "throughput.collapse",
                Severity::Critical,
                0.85,
                format!(
                    "transfers from {from} to {to} crawled at {}{}{}",
                    rate(p.worst * 8.0),
                    other.map_or(String::new(), |b| format!(
                        " (to {} the same host reached {})",
                        b.1,
                        rate(b.0 * 8.0)
                    )),
                    why.map_or(String::new(), |w| format!(
                        "; most of the time went into {w}"
                    ))
                ),
            );
            f.subject = Some(from);
            f.peer = Some(to);
            f.seconds_lost = Some(p.lost);
            f.measures = vec![("octets_per_second", p.worst), ("flows", p.crawling as f64)];
            f.display_filter = format!(
                "{ip}.addr == {from} && {ip}.addr == {to} && tcp",
                ip = ip_field(from)
            );
            out.push(f);
        }
        for ((client, server, id), limit) in self.limits.take() {
            let (held, whole) = (span(limit.held), span(limit.whole));
            let summary = match id {
                "limit.application" => format!(
                    "{client} left the connection to {server} idle for {held} of {whole}: its application had nothing to send"
                ),
                "limit.latency" => format!(
                    "{client} and {server} spent {held} of {whole} on single round trips: more bandwidth would not help"
                ),
                "limit.path-rate" => format!(
                    "data between {client} and {server} moved for {held} of {whole}, with no window and no loss to hold it"
                ),
                _ => format!(
                    "the sender's buffer held back what {client} and {server} had to say for {held} of {whole}"
                ),
            };
            let known = LIMITS.iter().find(|limit| limit.0 == id);
            let mut sure = known.map_or(0.5, |limit| limit.3);
            let bare = id == "limit.path-rate" && limit.shown * 2.0 < limit.held;
            if bare {
                sure = BARE_PACE;
            }
            let mut f = limit.trace.finding(id, Severity::Info, sure, summary);
            f.subject = Some(client);
            f.peer = Some(server);
            f.measures = vec![("share", limit.held / limit.whole.max(1e-6))];
            if bare {
                f.against.push(
                    "no queue grew meanwhile, and the rate was not steady: the sender may have held back, or have had no more time to \
                     grow"
                        .to_owned(),
                );
            }
            if let (1, Some(application)) = (limit.applications.len(), limit.applications.first()) {
                f.words = vec![("application", (*application).to_owned())];
            }
            out.push(f);
        }
    }
}

/// Whether a connection shows that the path set its pace: its round trips grew by the queue that its own data made, or second after
/// second carried alike.
fn paced(f: &FlowRecord) -> bool {
    let [client, server] = &f.halves;
    let h = if client.unique_octets > server.unique_octets {
        client
    } else {
        server
    };
    let queue = [h.rtt, h.echo_rtt]
        .into_iter()
        .flatten()
        .filter(|r| r.samples >= QUEUE_SAMPLES)
        .any(|r| {
            r.median >= r.min.mul_f64(QUEUE_GROWTH) && r.median.saturating_sub(r.min) >= QUEUE_MIN
        });
    // The first second and the last are not whole, and the sender grows in the first.
    let whole = h.per_second.len().saturating_sub(1);
    let seconds = h.per_second.get(1..whole).unwrap_or(&[]);
    let octets = || seconds.iter().map(|s| s.1);
    let (least, most) = (octets().min().unwrap_or(0), octets().max().unwrap_or(0));
    let together = seconds.windows(2).all(|w| w[1].0 == w[0].0 + 1);
    let steady =
        seconds.len() >= STEADY_SECONDS && together && least as f64 >= most as f64 * STEADY_SHARE;
    queue || steady
}

/// Seconds for which a transfer ran at less than a third of its usual rate while data was pending, if that was long.
fn collapse(h: &crate::flow::HalfRecord, repair: f64, f: &FlowRecord) -> Option<f64> {
    if h.unique_octets < TRANSFER || repair < 1.0 || h.per_second.len() < 2 {
        return None;
    }
    let mut rates: Vec<u64> = h.per_second.iter().map(|s| s.1).collect();
    rates.sort_unstable();
    let usual = rates[rates.len() * 3 / 4];
    let first = h.per_second.first()?.0;
    let last = h.per_second.last()?.0;
    let slow = h
        .per_second
        .iter()
        .filter(|s| (s.1 as f64) < usual as f64 * OWN_SHARE)
        .count() as f64
        + f64::from(last - first)
        + 1.0
        - h.per_second.len() as f64;
    let rtt = f.handshake.rtt.map_or(0.0, |r| r.as_secs_f64());
    // One long silence is an outage; a collapse goes on moving, slowly.
    let empty = f64::from(last - first) + 1.0 - h.per_second.len() as f64;
    (slow >= OWN_SECONDS.max(10.0 * rtt) && repair >= slow * 0.5 && empty <= slow / 2.0)
        .then_some(slow)
}

fn name(cause: Cause) -> &'static str {
    match cause {
        Cause::LossRecovery => "repair of losses",
        Cause::Timeout => "waiting for the retransmission timer",
        Cause::TailLoss => "waiting for the timer after a lost last segment",
        Cause::ReceiveWindow => "waiting for the receiver's window",
        Cause::ZeroWindow => "a closed window",
        Cause::ServerThink => "waiting for the server's application",
        Cause::ClientThink => "waiting for the client's application",
        _ => "data on its way",
    }
}
