//! Finds segments that were lost and sent again, and what that cost.
//!
//! Reads:   retransmissions, holes, acknowledgements that came too late or never
//! Yields:  `loss.network`, `loss.congestion`, `stall.tail-loss`, `stall.timeout`, `storm.retransmission`, `link.outage`,
//!          `retransmission.spurious`, `loss.ack`: one for each sender and receiver
//! Silent:  less than one needed repeat in a thousand data segments, unless it cost half a second or more
//! Source:  RFC 5681, 6298, 8985; the storm's thresholds are ours

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::trace::{
    self, Groups, Room, Trace, ip_field, percent, plural, retransmit_line, span, times,
};
use super::{Detector, Finding, Limited, Seen, Severity};
use crate::flow::{Cause, EventKind, IpIdUse, Trigger};
use crate::net::{Direction, FrameNo, Timestamp};

/// Share of needed repeats among data segments from which loss is worth a warning.
const LOSS_SHARE: f64 = 0.001;
/// Seconds lost from which even a smaller share is.
const LOSS_SECONDS: f64 = 0.5;
/// One range sent this often without ever being acknowledged is a storm: a few repeats over minutes stop all delivery.
const STUCK_SENDS: u32 = 4;
/// Ranges kept between one pair of hosts; more are counted.
const MAX_STUCK_RANGES: usize = 1_000;
/// Seconds told apart between all pairs of hosts, to find those of a storm; those that come after share one for each pair.
const MAX_SECONDS: usize = 1_000_000;
/// Ranges, and applications, that a storm's summary names.
const STUCK_NAMED: usize = 3;
/// Repeats in one second, and their share, that make a second part of a storm; and how many such seconds it takes.
const STORM_REPEATS: u64 = 20;
const STORM_SHARE: f64 = 0.1;
const STORM_SECONDS: u64 = 3;
/// Silence of the other end, with repeats sent into it, from which the link counts as gone.
const OUTAGE: Duration = Duration::from_millis(1000);
/// The same from the receiver's side, where only a long silence tells.
const LONG_SILENCE: Duration = Duration::from_millis(1500);
/// A round trip this much above the least one shows a queue that had grown.
const QUEUE_GROWTH: f64 = 1.5;
/// And by at least so much.
const QUEUE_MIN: Duration = Duration::from_millis(5);

#[derive(Default)]
struct Pair {
    data_segments: u64,
    needed: u64,
    fast: u64,
    tail: u64,
    timeouts: u64,
    spurious: u64,
    octets: u64,
    stalled: f64,
    tail_stalled: f64,
    timeout_stalled: f64,
    grown_queue: u64,
    judged_queue: u64,
    trace: Trace,
    tail_trace: Trace,
    timeout_trace: Trace,
    spurious_trace: Trace,
    stuck: Vec<Stuck>,
    stuck_trace: Trace,
    /// Ranges like these that were not kept: how many, and their sends after the first.
    more_stuck: (u64, u64),
    outage_trace: Trace,
    outage_seconds: f64,
    longest_outage: f64,
    confidence: f64,
    ports: Vec<u16>,
    upstream: u64,
    downstream: u64,
    seconds: BTreeMap<i64, (u64, u64)>,
    unfilled: u64,
    wrong: u64,
    repeats_bad: u64,
    acks_missing: u64,
    acks_trace: Trace,
    acks_seen: u64,
    spurious_after_ack: u64,
    unheard_with_data: u64,
    spurious_ranges: u64,
    /// How soon after the copy before it the first of them came.
    soonest: Option<Duration>,
    latency_spikes: u64,
    /// Segments that the network delivered late, and windows that were shut: both make needless repeats.
    reordered: u64,
    shut: u64,
    /// Some of its flows miss octets here: then an acknowledgement may have been missed too.
    gappy: bool,
}

/// A range that was sent over and over.
#[derive(Clone, Copy, Debug)]
struct Stuck {
    first: FrameNo,
    sends: u32,
    octets: u32,
    seconds: f64,
    ever_acked: bool,
    /// Not all of its repeats were kept.
    at_least: bool,
    application: &'static str,
    port: u16,
}

impl Stuck {
    /// `SMTP`, or `port 5001` where the application was not recognised.
    fn application(&self) -> String {
        match self.application {
            "" | "unknown" => format!("port {}", self.port),
            known => known.to_uppercase(),
        }
    }

    /// `8`, or `at least 8`.
    fn times(&self) -> String {
        let at_least = if self.at_least { "at least " } else { "" };
        format!("{at_least}{}", self.sends)
    }

    /// `the same 16 octets 8 times over 228.6 s (first copy: frame 1198)`
    fn line(&self) -> String {
        format!(
            "the same {} {} times over {} (first copy: frame {})",
            plural(u64::from(self.octets), "octet"),
            self.times(),
            span(self.seconds),
            self.first
        )
    }
}

/// What was sent in vain, in one sentence.
fn in_vain(from: IpAddr, to: IpAddr, never: &[&Stuck], others: u64) -> String {
    let mut applications: Vec<String> = Vec::new();
    for stuck in never {
        let name = stuck.application();
        if applications.len() < STUCK_NAMED && !applications.contains(&name) {
            applications.push(name);
        }
    }
    let lines: Vec<String> = never.iter().take(STUCK_NAMED).map(|s| s.line()).collect();
    let mut text = format!(
        "{from} sent octets of {} to {to} over and over, and never got an acknowledgement: {}",
        applications.join(" and "),
        lines.join(", ")
    );
    if never.len() > STUCK_NAMED {
        text += &format!(
            ", and {} more",
            plural((never.len() - STUCK_NAMED) as u64, "range")
        );
    }
    if others > 0 {
        text += &format!(
            "; {} got through only after {STUCK_SENDS} sends or more",
            plural(others, "more range")
        );
    }
    text
}

/// See the head of this file.
pub(super) struct Loss {
    pairs: Groups<(IpAddr, IpAddr), Pair>,
    seconds: Room,
}

impl Default for Loss {
    fn default() -> Self {
        Self {
            pairs: Groups::default(),
            seconds: Room::untold(MAX_SECONDS),
        }
    }
}

impl Detector for Loss {
    fn flow(&mut self, seen: Seen<'_>, _out: &mut Vec<Finding>) {
        for direction in Direction::BOTH {
            let f = seen.flow;
            let key = (f.sender(direction).addr, f.sender(direction.reverse()).addr);
            if let Some(pair) = self.pairs.group(key) {
                pair.take(seen, direction, &mut self.seconds);
            }
        }
    }

    fn limited(&mut self) -> Vec<&mut dyn Limited> {
        vec![&mut self.pairs, &mut self.seconds]
    }

    fn finish(&mut self, out: &mut Vec<Finding>) {
        let pairs = self.pairs.take();
        let losing: BTreeSet<_> = pairs
            .iter()
            .filter(|p| p.1.needed > 0)
            .map(|p| *p.0)
            .collect();
        for ((from, to), pair) in pairs {
            // What comes back may be lost with the data that carries it.
            let way_back_loses = losing.contains(&(to, from));
            pair.judge(from, to, way_back_loses, out);
        }
    }
}

impl Pair {
    fn take(&mut self, seen: Seen<'_>, direction: Direction, room: &mut Room) {
        let f = seen.flow;
        let h = f.half(direction);
        let back = f.half(direction.reverse());
        self.data_segments += h.data_segments;
        let counts = h.retransmissions;
        let needed = h.retransmitted_segments - counts.spurious;
        self.needed += needed;
        self.fast += counts.fast;
        self.tail += counts.tail_probe;
        self.timeouts += counts.timeout + counts.unknown;
        self.spurious += counts.spurious;
        self.octets += h.retransmitted_octets;
        self.reordered += h.out_of_order_segments + h.sack_healed;
        self.shut += back.zero_windows;
        self.gappy |= h.unseen_octets + back.unseen_octets > 0;
        self.latency_spikes += f
            .events
            .iter()
            .filter(|e| {
                e.direction == direction && matches!(e.kind, EventKind::LatencySpike { .. })
            })
            .count() as u64;
        let port = f.server.port;
        if h.retransmitted_segments > 0 && self.ports.len() < 16 && !self.ports.contains(&port) {
            self.ports.push(port);
        }
        // Acknowledgements of this direction's data that got lost: packets of the receiver that are missing here while its octets are
        // whole, and repeats of what had been acknowledged.
        self.acks_seen += back.frames;
        if back.data_segments * 4 < back.frames
            && h.data_segments > 20
            && back.ip_id == IpIdUse::PerConnection
        {
            self.acks_missing += back.unseen_packets;
            if back.unseen_packets > 0 {
                self.acks_trace.flow(f, f.start, f.end);
            }
        }
        // Where one direction is missing, nothing is known of what was acknowledged; and a silence may be the capture's.
        if h.retransmitted_segments == 0 || back.frames == 0 {
            return;
        }
        let near_sender = f.is_beside_sender(direction);
        let near_receiver = f.is_beside_sender(direction.reverse());
        let mut earliest = None;
        let mut latest = f.start;
        for r in &h.repeats {
            let n = u64::from(r.segments);
            if r.checksum.is_bad() {
                self.repeats_bad += n;
                if r.checksum.is_unfilled() {
                    self.unfilled += n
                } else {
                    self.wrong += n
                }
            }
            self.second(r.time, room).0 += n;
            if r.spurious {
                let soonest = self.soonest.into_iter().chain(r.after);
                self.soonest = soonest.min();
                // Acknowledgements ride on data: where that is stuck, they are too, and nothing more is to be said of them.
                if back.unacked_octets > 0 && back.retransmitted_segments > 0 {
                    self.unheard_with_data += n;
                } else if r.basis.contains("acknowledged before")
                    || r.una_before
                        .is_some_and(|u| u >= r.offset.saturating_add(u64::from(r.octets)))
                    || (near_sender && r.una_before.is_some_and(|u| u < r.offset))
                    || !(near_sender || near_receiver)
                {
                    // Beside the receiver its acknowledgement is captured before it can get lost: where there was none yet, the
                    // receiver held it back.
                    self.spurious_after_ack += n;
                    self.spurious_ranges += u64::from(r.sends_before < 2);
                }
                self.spurious_trace.flow(f, r.time, r.time);
                self.spurious_trace.proof(f, r.frame, || {
                    format!(
                        "{}: needless, {}",
                        retransmit_line(seen, direction, r),
                        r.basis
                    )
                });
                continue;
            }
            earliest.get_or_insert(r.time);
            latest = latest.max(r.time);
            if r.of.is_some() {
                self.downstream += n
            } else {
                self.upstream += n
            }
            if let (Some(rtt), Some(stats)) = (r.rtt_before, h.rtt)
                && r.trigger == Trigger::Fast
            {
                self.judged_queue += n;
                if rtt.as_secs_f64() > stats.min.as_secs_f64() * QUEUE_GROWTH
                    && rtt > stats.min + QUEUE_MIN
                {
                    self.grown_queue += n;
                }
            }
            self.confidence = self.confidence.max(f64::from(r.confidence));
            self.trace
                .proof(f, r.frame, || retransmit_line(seen, direction, r));
            if r.trigger == Trigger::TailProbe {
                self.tail_trace.flow(f, r.time, r.time);
                self.tail_trace
                    .proof(f, r.frame, || retransmit_line(seen, direction, r));
            } else if r.trigger != Trigger::Fast {
                self.timeout_trace.flow(f, r.time, r.time);
                self.timeout_trace
                    .proof(f, r.frame, || retransmit_line(seen, direction, r));
            }
        }
        if let Some(earliest) = earliest {
            self.trace.flow(f, earliest, latest);
        }
        for (second, fresh, _) in &h.per_second {
            let time = f.start.plus_nanos(i64::from(*second) * 1_000_000_000);
            self.second(time, room).1 += fresh / u64::from(h.largest_segment.max(1)) + 1;
        }
        for s in f.stalls.iter().filter(|s| s.direction == Some(direction)) {
            let seconds = s.length.as_secs_f64();
            match s.cause {
                Cause::TailLoss => self.tail_stalled += seconds,
                Cause::Timeout => self.timeout_stalled += seconds,
                // Repair by acknowledgements counts in full below, silences and all.
                _ => continue,
            }
            self.stalled += seconds;
            if s.cause == Cause::TailLoss {
                self.tail_trace.flow(
                    f,
                    s.start,
                    s.start
                        .plus_nanos(i64::try_from(s.length.as_nanos()).unwrap_or(0)),
                );
                self.tail_trace.proof(f, s.frame, || {
                    format!(
                        "ends a silence of {} after the last segment got lost",
                        span(seconds)
                    )
                });
            }
        }
        for (cause, time) in &f.time {
            if *cause == Cause::LossRecovery {
                self.stalled += time.as_secs_f64();
            }
        }
        self.runs(seen, direction);
    }

    /// Repeats, and segments sent for the first time, in the second of `time`; those of too many seconds share one.
    fn second(&mut self, time: Timestamp, room: &mut Room) -> &mut (u64, u64) {
        let mut second = time.0.div_euclid(1_000_000_000);
        if !self.seconds.contains_key(&second) && !room.take() {
            second = i64::MAX;
        }
        self.seconds.entry(second).or_default()
    }

    /// Ranges that were sent again and again, and silences of the other end.
    fn runs(&mut self, seen: Seen<'_>, direction: Direction) {
        let f = seen.flow;
        let h = f.half(direction);
        let mut ranges: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for (n, r) in h.repeats.iter().enumerate() {
            ranges.entry(r.offset).or_default().push(n);
        }
        for repeats in ranges.values() {
            let (first, last) = (
                &h.repeats[repeats[0]],
                &h.repeats[repeats[repeats.len() - 1]],
            );
            let timed: Vec<_> = repeats
                .iter()
                .map(|&n| &h.repeats[n])
                .filter(|r| r.trigger != Trigger::Fast || !r.acked)
                .collect();
            // Of very many repeats not all were kept; a range that was never acknowledged has its own count.
            let never = f.events.iter().find_map(|e| match e.kind {
                EventKind::Stuck { first: copy, sends }
                    if e.direction == direction && first.of == Some(copy) =>
                {
                    Some((sends, e.time))
                }
                _ => None,
            });
            let kept = repeats.len() as u32 + 1;
            let sends = never.map_or(kept, |n| n.0.max(kept));
            let began = first.after.map_or(first.time, |a| {
                first
                    .time
                    .plus_nanos(-i64::try_from(a.as_nanos()).unwrap_or(0))
            });
            let until = never.map_or(last.time, |n| n.1.max(last.time));
            let seconds = until.seconds_since(began).max(0.0);
            let acked = last.acked;
            let is_stuck = sends >= STUCK_SENDS && timed.len() as u32 + 1 >= STUCK_SENDS;
            if is_stuck && self.stuck.len() >= MAX_STUCK_RANGES {
                self.more_stuck.0 += 1;
                self.more_stuck.1 += u64::from(sends - 1);
            } else if is_stuck {
                self.stuck.push(Stuck {
                    first: first.of.unwrap_or(first.frame),
                    sends,
                    octets: first.octets,
                    seconds,
                    ever_acked: acked,
                    at_least: h.repeats_omitted > 0 && never.is_none(),
                    application: seen.dialog.application,
                    port: f.server.port,
                });
                self.stuck_trace.flow(f, began, until);
                if let Some(of) = first.of {
                    self.stuck_trace.proof(f, of, || {
                        format!(
                            "first copy: {} octets, Seq {}{}",
                            first.octets,
                            first.seq.0,
                            trace::said(seen, direction, first.offset, u64::from(first.octets))
                                .map_or(String::new(), |t| format!(", {t}"))
                        )
                    });
                }
                for &n in repeats {
                    let r = &h.repeats[n];
                    self.stuck_trace
                        .proof(f, r.frame, || retransmit_line(seen, direction, r));
                }
            }
            // What came to a capture beside the receiver had the path behind it.
            let arrived = f.is_beside_sender(direction.reverse()) && first.of.is_some();
            if acked
                && !arrived
                && seconds >= OUTAGE.as_secs_f64()
                && timed.len() >= 2
                && h.unseen_octets == 0
            {
                self.longest_outage = self.longest_outage.max(last.time.seconds_since(began));
                self.outage_seconds += seconds;
                self.outage_trace.flow(f, began, last.time);
                for r in timed.iter().take(4) {
                    self.outage_trace
                        .proof(f, r.frame, || retransmit_line(seen, direction, r));
                }
            }
        }
        // From the receiver's side the repeats that went into the silence are not seen, only the one that ended it.
        let far =
            !seen.flow.is_beside_sender(direction) && f.halves.iter().all(|h| h.unseen_octets == 0);
        let long = f.stalls.iter().filter(|s| {
            far && s.direction == Some(direction)
                && matches!(s.cause, Cause::Timeout | Cause::TailLoss)
                && s.length >= LONG_SILENCE
        });
        for s in long {
            let end = s
                .start
                .plus_nanos(i64::try_from(s.length.as_nanos()).unwrap_or(0));
            self.longest_outage = self.longest_outage.max(s.length.as_secs_f64());
            self.outage_seconds += s.length.as_secs_f64();
            self.outage_trace.flow(f, s.start, end);
            self.outage_trace.proof(f, s.frame, || {
                format!("ends a silence of {}", span(s.length.as_secs_f64()))
            });
        }
    }

    fn judge(self, from: IpAddr, to: IpAddr, way_back_loses: bool, out: &mut Vec<Finding>) {
        let share = self.needed as f64 / self.data_segments.max(1) as f64;
        let confidence = if self.confidence > 0.0 {
            self.confidence.min(0.95)
        } else {
            0.6
        };
        let first_port = f64::from(self.ports.first().copied().unwrap_or(0));
        let measures = |extra: &[(&'static str, f64)]| {
            let mut m = vec![
                ("share", share),
                ("repeats", self.needed as f64),
                ("data_segments", self.data_segments as f64),
                (
                    "bad_checksum_share",
                    self.repeats_bad as f64 / self.needed.max(1) as f64,
                ),
                ("port", first_port),
            ];
            m.extend_from_slice(extra);
            m
        };
        let mut push = |mut f: Finding, lost: f64, m: Vec<(&'static str, f64)>| {
            f.subject = Some(from);
            f.peer = Some(to);
            f.seconds_lost = (lost > 0.0).then_some(lost);
            f.measures = m;
            f.display_filter = format!(
                "tcp.analysis.retransmission && {ip}.src == {from} && {ip}.dst == {to}",
                ip = ip_field(from)
            );
            out.push(f);
        };
        // A storm: something stuck for good, or many ranges sent again and again.
        let never: Vec<_> = self.stuck.iter().filter(|s| !s.ever_acked).collect();
        let stormy = self.seconds.values().filter(|(again, fresh)| {
            *again >= STORM_REPEATS && *again as f64 >= STORM_SHARE * (*again + *fresh) as f64
        });
        let (bins, again, whole) = stormy.fold((0, 0, 0), |(n, a, w), (again, fresh)| {
            (n + 1, a + again, w + again + fresh)
        });
        let storm = !never.is_empty() || self.stuck.len() >= 2 || bins >= STORM_SECONDS;
        // The whole link gone for a while: one or two silences, and all well afterwards.
        let outage = !storm && self.longest_outage > 0.0 && self.stuck.len() <= 2;
        let mut explained = 0.0;
        if storm {
            let seconds: f64 = self
                .stuck
                .iter()
                .map(|s| s.seconds)
                .sum::<f64>()
                .max(if bins > 0 { bins as f64 } else { 0.0 });
            let worst = self.stuck.iter().max_by_key(|s| (!s.ever_acked, s.sends));
            let summary = match worst {
                Some(w) if !w.ever_acked => {
                    let others = self.stuck.len() - never.len();
                    in_vain(from, to, &never, others as u64 + self.more_stuck.0)
                }
                Some(w) => format!(
                    "{from} had to send {} of octets to {to} four times or more each, the worst {} times",
                    plural(self.stuck.len() as u64 + self.more_stuck.0, "range"),
                    w.times()
                ),
                None => format!(
                    "{} of the segments from {from} to {to} were repeats in the worst {}",
                    percent(again as f64 / whole.max(1) as f64),
                    plural(bins, "second")
                ),
            };
            let trace = if self.stuck.is_empty() {
                self.trace.clone()
            } else {
                self.stuck_trace.clone()
            };
            let f = trace.finding(
                "storm.retransmission",
                Severity::Critical,
                if never.is_empty() { 0.85 } else { 0.97 },
                summary,
            );
            explained = seconds;
            push(
                f,
                seconds,
                measures(&[
                    ("sends", worst.map_or(0.0, |w| f64::from(w.sends))),
                    (
                        "stuck_ranges",
                        (self.stuck.len() as u64 + self.more_stuck.0) as f64,
                    ),
                    ("never_acknowledged", never.len() as f64),
                    ("octets", worst.map_or(0.0, |w| f64::from(w.octets))),
                ]),
            );
        }
        if outage {
            let f = self.outage_trace.clone().finding(
                "link.outage",
                Severity::Critical,
                0.75,
                format!("nothing from {from} reached {to} (or no answer came back) for {}; then everything went on", span(self.longest_outage)),
            );
            explained = explained.max(self.outage_seconds);
            push(f, self.outage_seconds, measures(&[]));
        }
        // Loss, unless the storm is all there is of it.
        let by_storm = self
            .stuck
            .iter()
            .map(|s| u64::from(s.sends - 1))
            .sum::<u64>()
            + self.more_stuck.1;
        let other = self.needed.saturating_sub(if storm { by_storm } else { 0 });
        let tails_only = self.fast == 0 && !storm && !outage;
        let enough = other > 0
            && (other as f64 / self.data_segments.max(1) as f64 >= LOSS_SHARE
                || self.stalled - explained >= LOSS_SECONDS);
        if enough && self.fast > 0 && (!storm || self.fast * 2 > by_storm) {
            let congested =
                self.judged_queue >= 3 && self.grown_queue * 10 >= self.judged_queue * 7;
            let id = if congested {
                "loss.congestion"
            } else {
                "loss.network"
            };
            let place = if self.downstream >= self.upstream {
                "between the capture point and the receiver"
            } else {
                "between the sender and the capture point"
            };
            let lost = (self.stalled - explained).max(0.0);
            let severity = if outage {
                Severity::Info
            } else if share > 0.05 && lost > 5.0 {
                Severity::Critical
            } else {
                Severity::Warning
            };
            let mut f = self.trace.clone().finding(
                id,
                severity,
                confidence,
                format!(
                    "{} of {} from {from} to {to} ({}) were lost {place} and sent again{}",
                    other,
                    plural(self.data_segments, "data segment"),
                    percent(other as f64 / self.data_segments.max(1) as f64),
                    if congested {
                        "; round trips had grown before, as behind a queue that fills up"
                    } else {
                        ""
                    }
                ),
            );
            if self.spurious > 0 {
                f.against.push(format!(
                    "{} more were sent again needlessly and are not counted here",
                    plural(self.spurious, "segment")
                ));
            }
            push(
                f,
                lost,
                measures(&[("congested", f64::from(u8::from(congested)))]),
            );
        } else if enough && tails_only && self.tail_stalled + self.timeout_stalled >= 0.2 {
            // Only timers noticed: the last segment of something each time, or a flight as a whole.
            let tail = self.tail > 0 || self.tail_stalled >= self.timeout_stalled;
            let (id, trace) = if tail {
                (
                    "stall.tail-loss",
                    if self.tail_trace.flows().is_empty() {
                        self.timeout_trace.clone()
                    } else {
                        self.tail_trace.clone()
                    },
                )
            } else {
                ("stall.timeout", self.timeout_trace.clone())
            };
            let lost = self.tail_stalled + self.timeout_stalled;
            let f = trace.finding(
                id,
                if lost >= LOSS_SECONDS { Severity::Warning } else { Severity::Info },
                confidence.min(0.9),
                format!(
                    "{from} waited {} for its timer {}, because {}",
                    span(lost),
                    times(self.tail + self.timeouts),
                    if tail {
                        format!("the last segment before a pause to {to} was lost and nothing behind it could tell")
                    } else {
                        format!("what it sent to {to} was lost, or the repair of it, and no acknowledgement told")
                    }
                ),
            );
            push(f, lost, measures(&[]));
        }
        if !tails_only && !storm && self.tail_stalled + self.timeout_stalled >= 0.2 && self.tail > 0
        {
            let f = self.tail_trace.clone().finding(
                "stall.tail-loss",
                Severity::Info,
                confidence.min(0.9),
                format!(
                    "of the repairs from {from} to {to}, {} went by on the timer, as the last segment of something was lost",
                    span(self.tail_stalled + self.timeout_stalled)
                ),
            );
            push(f, self.tail_stalled + self.timeout_stalled, measures(&[]));
        }
        self.needless(
            from,
            to,
            way_back_loses || outage || storm,
            outage,
            &mut push,
            &measures,
        );
    }

    fn needless(
        &self,
        from: IpAddr,
        to: IpAddr,
        explained: bool,
        outage: bool,
        push: &mut impl FnMut(Finding, f64, Vec<(&'static str, f64)>),
        measures: &impl Fn(&[(&'static str, f64)]) -> Vec<(&'static str, f64)>,
    ) {
        // Acknowledgements lost on their way back: their numbers are missing at the sender's side.
        let missing = self.acks_missing as f64 / (self.acks_seen + self.acks_missing).max(1) as f64;
        let lost_acks = !outage && self.acks_missing >= 10 && missing >= 0.02;
        let unheard = !explained
            && self.reordered == 0
            && self.shut == 0
            && self.spurious_ranges >= 5
            && self.latency_spikes == 0
            && self.needed * 2 < self.spurious;
        if lost_acks || unheard {
            let mut trace = if lost_acks {
                self.acks_trace.clone()
            } else {
                self.spurious_trace.clone()
            };
            trace.cite_also(&self.spurious_trace, 8);
            let f = trace.finding(
                "loss.ack",
                Severity::Warning,
                if lost_acks { 0.85 } else { 0.65 },
                if lost_acks {
                    format!("{} of the packets from {to} back to {from} are missing here ({}), by their IP identification: acknowledgements get lost on the way", self.acks_missing, percent(missing))
                } else {
                    format!("{from} repeated {} that {to} had acknowledged: the acknowledgements did not reach it in time", plural(self.spurious_after_ack, "segment"))
                },
            );
            push(f, 0.0, measures(&[("missing_share", missing)]));
        }
        if self.spurious > 0 && !(lost_acks || unheard) {
            let own = self.spurious - self.unheard_with_data;
            let severity = if own >= 3
                && !self.gappy
                && own >= self.needed
                && !explained
                && self.reordered == 0
                && self.shut == 0
            {
                Severity::Warning
            } else {
                Severity::Info
            };
            let f = self.spurious_trace.clone().finding(
                "retransmission.spurious",
                severity,
                0.9,
                format!(
                    "{from} repeated {} to {to} needlessly: {} had arrived, or {} about to",
                    plural(self.spurious, "segment"),
                    if self.spurious == 1 { "it" } else { "they" },
                    if self.spurious == 1 { "was" } else { "were" },
                ),
            );
            let mut m = measures(&[("spurious", self.spurious as f64)]);
            m.extend(self.soonest.map(|s| ("soonest_ms", s.as_secs_f64() * 1e3)));
            push(f, 0.0, m);
        }
    }
}
