//! Says in findings where segments went wrong between two captures: on the path, or inside which host.
//!
//! Reads:   [`Compared`]
//! Yields:  one finding of a kind for each two hosts and direction
//! Silent:  healthy pairs; what lies outside of what both sides captured; single late or reordered segments
//! Source:  ids and meanings are those of the single capture's detectors; here two captures prove what one can only suspect

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::fate::{Event, EventKind, Fate, Path, SILENCE};
use super::{Compared, Ground, Joined};
use crate::decode::TcpFlags;
use crate::detect::{Evidence, Finding, Severity, plural};
use crate::net::{Direction, FrameRef, Sketch, Timestamp};

/// Frames cited by one finding.
const MAX_PROOF: usize = 16;
/// Flows named by one finding.
const MAX_FLOWS: usize = 1_000;
/// Share of segments from which their loss hurts.
const LOSS_SHARE: f64 = 0.001;
/// Octets lost so often stop a connection.
const STUCK: u32 = 4;
/// Segments that leave into a silence and are lost, for it to be an outage; and the share of others lost beside which it proves none.
const LEAST_INTO_SILENCE: usize = 3;
const LOSSY: f64 = 0.05;
/// Share of segments from which copies and disorder hurt, and how many there have to be.
const ORDER_SHARE: f64 = 0.01;
const ENOUGH: u64 = 3;
/// Share from which even one or two segments are worth a word.
const MANY: f64 = 0.1;
/// A queue has grown when segments wait at least so long, and this many times the shortest way.
const QUEUE: f64 = 0.002;
const QUEUE_SHARE: f64 = 0.5;
/// Delay that users feel, and how many times the shortest it has to be.
const BLOAT: f64 = 0.1;
const BLOAT_FACTOR: f64 = 4.0;
const BLOAT_SEGMENTS: u64 = 50;
/// A single segment late by this much stands out.
const SPIKE: f64 = 0.2;
const SPIKE_SEGMENTS: u64 = 10;
/// Seconds in which a host that can answer a SYN has answered it.
const SILENT: f64 = 0.5;
/// Segments that are less than this much of a packet are no proof of a limit on its length.
const LONG: u32 = 500;
/// A host's answers are slow that make users wait as long as this together, one of them as long as the second.
const SLOW_SECONDS: f64 = 1.0;
const SLOW_LONGEST: f64 = 0.5;

/// All that went one way between two hosts.
#[derive(Default)]
struct Way<'a> {
    joined: Vec<(&'a Joined, Direction)>,
    sum: Path,
    events: Vec<&'a Event>,
}

/// A time in which nothing came of what left.
struct Silence {
    from: Timestamp,
    to: Timestamp,
    /// Segments that left meanwhile.
    lost: usize,
}

impl Silence {
    fn seconds(&self) -> f64 {
        self.to.seconds_since(self.from)
    }

    fn holds(&self, time: Timestamp) -> bool {
        self.from < time && time < self.to
    }
}

impl Way<'_> {
    /// Silences of all its connections at once, behind which it was heard again, and which segments were lost in.
    fn silences(&self) -> Vec<Silence> {
        let mut heard = self.sum.heard.clone();
        heard.sort_unstable();
        let mut silences = Vec::new();
        let mut upto: Option<Timestamp> = None;
        for (from, to) in heard {
            if let Some(upto) = upto
                && from.nanos_since(upto) >= SILENCE
            {
                let mut silence = Silence {
                    from: upto,
                    to: from,
                    lost: 0,
                };
                let lost = self.sum.lost_at.iter().filter(|t| silence.holds(**t));
                silence.lost = lost.count();
                if silence.lost >= LEAST_INTO_SILENCE {
                    silences.push(silence);
                }
            }
            upto = upto.max(Some(to));
        }
        silences
    }
}

/// The findings, in no order.
#[must_use]
pub fn findings(compared: &Compared) -> Vec<Finding> {
    let mut ways: BTreeMap<(IpAddr, IpAddr), Way<'_>> = BTreeMap::new();
    for joined in compared.pairs.iter().filter(|p| p.counted) {
        for direction in Direction::BOTH {
            let (from, to) = match direction {
                Direction::ClientToServer => (joined.client.addr, joined.server.addr),
                Direction::ServerToClient => (joined.server.addr, joined.client.addr),
            };
            let way = ways.entry((from, to)).or_default();
            way.joined.push((joined, direction));
            if let Some(path) = joined.paths.get(direction.index()) {
                way.sum.add(path);
            }
            if let Some(events) = joined.events.get(direction.index()) {
                way.events.extend(events.iter());
            }
        }
    }
    let mut out = Vec::new();
    for ((from, to), way) in &ways {
        let judge = Judge {
            from: *from,
            to: *to,
            way,
        };
        judge.losses(&mut out);
        judge.outage(ways.get(&(*to, *from)), &mut out);
        judge.damage(&mut out);
        judge.disorder(&mut out);
        judge.host(&mut out);
        judge.acknowledgements(&mut out);
        judge.changes(&mut out);
        judge.delays(&mut out);
        judge.captures(&mut out);
    }
    connections(compared, &mut out);
    not_shown(compared, &mut out);
    answers(compared, &mut out);
    copies(compared, &mut out);
    clock(compared, &mut out);
    out
}

#[allow(clippy::cast_precision_loss)]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn percent(share: f64) -> String {
    if share > 0.0 && share < 0.001 {
        format!("{:.2} %", share * 100.0)
    } else {
        format!("{:.1} %", share * 100.0)
    }
}

/// `12 ms`, `1.4 s`.
fn span(seconds: f64) -> String {
    if seconds < 0.001 {
        format!("{:.0} µs", seconds * 1e6)
    } else if seconds < 0.1 {
        format!("{:.1} ms", seconds * 1e3)
    } else if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1e3)
    } else {
        format!("{seconds:.1} s")
    }
}

struct Judge<'a, 'w> {
    from: IpAddr,
    to: IpAddr,
    way: &'w Way<'a>,
}

impl<'a> Judge<'a, '_> {
    fn events(&self, wanted: impl Fn(EventKind) -> bool) -> Vec<&'a Event> {
        let mut events: Vec<&Event> = self
            .way
            .events
            .iter()
            .copied()
            .filter(|e| wanted(e.kind))
            .collect();
        events.sort_by_key(|e| (e.time, e.frames));
        events
    }

    /// Flows of which something is counted: by their index on the left, or on the right where the left has none of them.
    fn flows(&self, counted: impl Fn(&Path) -> u64) -> Vec<u64> {
        let of = |side: usize| -> Vec<u64> {
            let mut flows: Vec<u64> = self
                .way
                .joined
                .iter()
                .filter(|(j, d)| j.paths.get(d.index()).is_some_and(|p| counted(p) > 0))
                .filter_map(|(j, _)| Some((*j.flows.get(side)?)?.0))
                .take(MAX_FLOWS)
                .collect();
            flows.sort_unstable();
            flows.dedup();
            flows
        };
        let left = of(0);
        if left.is_empty() { of(1) } else { left }
    }

    fn finding(
        &self,
        id: &'static str,
        severity: Severity,
        confidence: f64,
        summary: String,
        events: &[&Event],
        say: impl Fn(&Event) -> String,
    ) -> Finding {
        let start = events.first().map(|e| e.time);
        let end = events.iter().map(|e| e.time).max();
        let begin = || {
            self.way
                .joined
                .iter()
                .map(|(j, _)| j.start)
                .min()
                .unwrap_or_default()
        };
        Finding {
            id,
            severity,
            confidence,
            summary,
            subject: None,
            peer: None,
            hosts: vec![self.from, self.to],
            flows: self.flows(|_| 1),
            start: start.unwrap_or_else(begin),
            end: end.unwrap_or_else(begin),
            seconds_lost: None,
            evidence: events
                .iter()
                .flat_map(|e| {
                    let text = say(e);
                    let [left, right] = e.frames;
                    let both = left.is_some() && right.is_some();
                    [(left, "left"), (right, "right")]
                        .into_iter()
                        .filter_map(move |(frame, _)| frame)
                        .enumerate()
                        .map(move |(n, frame)| Evidence {
                            at: FrameRef::from(frame),
                            text: if both && n == 1 {
                                "the same segment at the other side".to_owned()
                            } else {
                                text.clone()
                            },
                        })
                })
                .take(MAX_PROOF)
                .collect(),
            against: Vec::new(),
            display_filter: filter(self.from, self.to),
            measures: Vec::new(),
            words: Vec::new(),
        }
    }

    #[allow(clippy::cast_precision_loss)]
    fn losses(&self, out: &mut Vec<Finding>) {
        let sum = &self.way.sum;
        let lost = self.events(|k| k == EventKind::Fate(Fate::Lost));
        let (long, lost): (Vec<&Event>, Vec<&Event>) = lost
            .into_iter()
            .filter(|e| !is_syn(e))
            .partition(|e| e.too_long);
        self.too_long(&long, out);
        let count = sum.lost.saturating_sub(sum.lost_syns + sum.lost_long);
        if count == 0 {
            return;
        }
        let sent = self.sent();
        let share = share(count, sent);
        let (from, to) = (self.from, self.to);
        let mut against = Vec::new();
        let unfilled = lost.iter().filter(|e| e.left_unfilled).count();
        if unfilled > 0 {
            against.push(format!(
                "the capture beside {from} was taken above its adapter, which had the checksums still to fill in: what is lost may have been lost in the adapter, its driver or its team as well as behind it"
            ));
        }
        let flows = self.flows(|p| p.lost.saturating_sub(p.lost_syns + p.lost_long));
        let measures = |f: &mut Finding| {
            f.measures = vec![
                ("share", share),
                ("count", count as f64),
                ("repeats", f64::from(sum.times_lost)),
            ];
        };
        let say = |e: &Event| {
            format!(
                "{} leave and never come",
                plural(u64::from(e.octets), "octet")
            )
        };
        // What was lost once may be lost by chance, and longer ones may not have been sent at all.
        let data = count.saturating_sub(sum.lost_fins);
        let only_long = self.only_long() && data >= 2 && sum.times_lost >= 2;
        if only_long {
            let mut f = self.finding(
                "path.mtu-black-hole",
                Severity::Critical,
                0.95,
                format!(
                    "all {} of {} octets and more from {from} to {to} are lost on the way, while those of up to {} octets come: the path swallows long packets and says nothing",
                    plural(data, "segment"),
                    sum.smallest_lost.unwrap_or_default(),
                    sum.largest_came
                ),
                &lost,
                say,
            );
            f.peer = Some(to);
            f.subject = Some(from);
            measures(&mut f);
            f.flows = flows;
            f.against = against;
            out.push(f);
            return;
        }
        let hurts = share >= LOSS_SHARE || sum.times_lost >= STUCK;
        let stuck = sum.times_lost >= STUCK;
        let queued = self.queued(&lost);
        let (id, why) = match queued {
            Some(wait) => (
                "loss.congestion",
                format!(
                    "; what was sent just before had waited {} in a queue",
                    span(wait)
                ),
            ),
            None => ("loss.network", String::new()),
        };
        let again = if stuck {
            format!(", the same octets up to {} times", sum.times_lost)
        } else {
            String::new()
        };
        let mut f = self.finding(
            id,
            match (stuck, hurts) {
                (true, _) => Severity::Critical,
                (_, true) => Severity::Warning,
                _ => Severity::Info,
            },
            if unfilled > 0 { 0.8 } else { 0.97 },
            format!(
                "{} of {sent} ({}) from {from} to {to} left one capture and never came to the other{again}: lost between them{why}",
                plural(count, "segment"),
                percent(share)
            ),
            &lost,
            say,
        );
        f.subject = Some(from);
        f.peer = Some(to);
        measures(&mut f);
        f.flows = flows;
        f.against = against;
        out.push(f);
    }

    /// Data segments that left, and came or did not; SYNs are told of apart.
    fn sent(&self) -> u64 {
        let sum = &self.way.sum;
        (sum.matched + sum.lost).saturating_sub(sum.lost_syns)
    }

    /// What did not come because it was too long, and a router said so.
    #[allow(clippy::cast_precision_loss)]
    fn too_long(&self, long: &[&Event], out: &mut Vec<Finding>) {
        let count = self.way.sum.lost_long;
        let told = self
            .way
            .joined
            .iter()
            .find_map(|(j, d)| *j.too_big.get(d.index())?);
        let Some((frame, mtu)) = told.filter(|_| count > 0) else {
            return;
        };
        let (from, to) = (self.from, self.to);
        let mut f = self.finding(
            "path.mtu-discovery",
            Severity::Info,
            0.95,
            format!(
                "{} from {from} to {to} too long for a link of {mtu} octets did not come; a router said so",
                plural(count, "segment")
            ),
            long,
            |e| format!("{} leave and never come", plural(u64::from(e.octets), "octet")),
        );
        f.evidence.insert(
            0,
            Evidence {
                at: FrameRef::from(frame),
                text: format!("ICMP: too long, at most {mtu} octets"),
            },
        );
        f.measures = vec![
            ("share", share(count, self.sent())),
            ("count", count as f64),
        ];
        f.flows = self.flows(|p| p.lost_long);
        out.push(f);
    }

    /// Whether all that was lost is longer than all that came.
    fn only_long(&self) -> bool {
        let sum = &self.way.sum;
        sum.smallest_lost
            .is_some_and(|s| s >= LONG && s > sum.largest_came)
    }

    /// Stretches of time in which nothing at all came, though some left, and behind which all went on.
    fn outage(&self, back: Option<&Way<'_>>, out: &mut Vec<Finding>) {
        let silences = self.way.silences();
        let lost: usize = silences.iter().map(|s| s.lost).sum();
        let sum = &self.way.sum;
        let others = sum.lost.saturating_sub(lost as u64);
        if silences.is_empty() || share(others, sum.matched + sum.lost) >= LOSSY || self.only_long()
        {
            return;
        }
        let (from, to) = (self.from, self.to);
        let lost_back: usize = back.map_or(0, |b| b.silences().iter().map(|s| s.lost).sum());
        if (lost_back, to) > (lost, from) {
            // It is told of the other way.
            return;
        }
        // What was under way at its beginning, and what its end brings about, is no matter of the silence.
        let open = silences.iter().any(|s| {
            let edge = s.to.nanos_since(s.from) / 4;
            let (begin, end) = (s.from.plus_nanos(edge), s.to.plus_nanos(-edge));
            let mut heard = back.iter().flat_map(|b| &b.sum.heard);
            heard.any(|(from, to)| *from < end && begin < *to)
        });
        let longest = silences.iter().map(Silence::seconds).fold(0.0, f64::max);
        let events = self.events(|k| k == EventKind::Fate(Fate::Lost));
        let within: Vec<&Event> = events
            .into_iter()
            .filter(|e| silences.iter().any(|s| s.holds(e.time)))
            .collect();
        // Copies of a SYN alone are told of as such: nothing shows that anything else would have been lost.
        if within.iter().all(|e| e.octets == 0) {
            return;
        }
        let mut f = self.finding(
            "link.outage",
            Severity::Critical,
            if open { 0.9 } else { 0.97 },
            format!(
                "nothing from {from} came to {to} for {}{}, though {} left one capture{}; then everything went on: the path between was away",
                span(longest),
                match silences.len() {
                    1 => String::new(),
                    n => format!(" and {} more", plural(n as u64 - 1, "time")),
                },
                plural(lost as u64, "segment"),
                if open {
                    ", while the other way stood open"
                } else {
                    ", nor anything the other way"
                }
            ),
            &within,
            |_| "leaves into the silence".to_owned(),
        );
        f.subject = Some(from);
        f.peer = Some(to);
        f.seconds_lost = Some(silences.iter().map(Silence::seconds).sum());
        out.push(f);
    }

    /// The segments that were under way for longest, of each connection.
    fn slowest(&self) -> Vec<&'a Event> {
        let paths = self
            .way
            .joined
            .iter()
            .filter_map(|(j, d)| j.paths.get(d.index()));
        let mut events: Vec<&Event> = paths.filter_map(|p| p.slowest.as_ref()).collect();
        events.sort_by(|a, b| b.delay.unwrap_or(0.0).total_cmp(&a.delay.unwrap_or(0.0)));
        events.truncate(MAX_PROOF / 2);
        events
    }

    /// How long segments waited in a queue just before losses, where that queue was full.
    fn queued(&self, lost: &[&Event]) -> Option<f64> {
        let delay = &self.way.sum.delay;
        let (least, most) = (delay.min().as_secs_f64(), delay.max().as_secs_f64());
        let mut waits: Vec<f64> = lost
            .iter()
            .filter_map(|e| e.delay)
            .map(|d| d - least)
            .collect();
        waits.sort_by(f64::total_cmp);
        let wait = *waits.get(waits.len() / 2)?;
        let median = delay.quantile(0.5).as_secs_f64() - least;
        (wait >= QUEUE && wait >= (most - least) * QUEUE_SHARE && wait >= median).then_some(wait)
    }

    #[allow(clippy::cast_precision_loss)]
    fn damage(&self, out: &mut Vec<Finding>) {
        let sum = &self.way.sum;
        if sum.corrupted == 0 {
            return;
        }
        let (from, to) = (self.from, self.to);
        let bad = self.events(|k| matches!(k, EventKind::Fate(Fate::Unfilled | Fate::Damaged)));
        let (adapter, changed): (Vec<&Event>, Vec<&Event>) =
            bad.into_iter().partition(|e| e.is_by_adapter());
        let by_adapter = sum.by_adapter.min(sum.corrupted);
        let on_path = sum.corrupted - by_adapter;
        let sent = self.sent();
        let measure = |f: &mut Finding, n: u64| {
            f.subject = Some(from);
            f.peer = Some(to);
            f.measures = vec![
                ("share", share(n, sent)),
                ("count", n as f64),
                ("unacknowledged_share", 1.0),
            ];
        };
        if by_adapter > 0 {
            let n = by_adapter;
            let mut f = self.finding(
                "checksum.offload-broken",
                Severity::Critical,
                0.98,
                format!(
                    "{} of {sent} ({}) from {from} came to {to} with their payload whole and a checksum that does not fit, as {from} had left it for its adapter to fill in: the adapter, its driver or its team does not do so",
                    plural(n, "segment"),
                    percent(share(n, sent))
                ),
                &adapter,
                |e| {
                    if e.left_unfilled {
                        "leaves with an unfilled checksum, and comes so or wrong".to_owned()
                    } else {
                        "leaves with a wrong checksum, and comes so".to_owned()
                    }
                },
            );
            measure(&mut f, n);
            f.flows = self.flows(|p| p.by_adapter);
            out.push(f);
        }
        if on_path > 0 {
            let n = on_path;
            let unseen = sum.rewritten;
            let left_unfilled = changed.iter().any(|e| e.left_unfilled);
            let how = if unseen >= on_path {
                "with other octets and a checksum that fits them, so that no host notices: a device that rewrites, or memory of one that fails"
            } else if unseen > 0 {
                "damaged; some with a checksum that fits the damage, so that no host notices"
            } else {
                "damaged, with a checksum that no longer fits"
            };
            let mut f = self.finding(
                "checksum.corruption-on-path",
                if unseen > 0 || share(n, sent) >= ORDER_SHARE {
                    Severity::Critical
                } else {
                    Severity::Warning
                },
                if left_unfilled { 0.85 } else { 0.97 },
                format!(
                    "{} of {sent} ({}) from {from} left one capture whole and came to the other {how}",
                    plural(n, "segment"),
                    percent(share(n, sent))
                ),
                &changed,
                |e| match (e.payload_differs, e.came_good) {
                    _ if e.difference.is_some() => format!(
                        "comes with a checksum that {}; {}",
                        if e.came_good { "fits" } else { "does not fit" },
                        e.difference.map_or_else(String::new, |d| d.sentence())
                    ),
                    (Some(true), true) => "comes with other octets, and a checksum that fits them".to_owned(),
                    (Some(true), false) => "comes with other octets, and a checksum that does not fit".to_owned(),
                    (Some(false), _) => "comes with the same payload and a checksum that does not fit: the header was changed".to_owned(),
                    (None, _) => "comes with a checksum that does not fit".to_owned(),
                },
            );
            measure(&mut f, n);
            f.flows = self.flows(|p| p.corrupted.saturating_sub(p.by_adapter));
            if left_unfilled {
                f.against.push(format!(
                    "the capture beside {from} was taken above its adapter: the damage may be the adapter's, which had the checksums still to fill in"
                ));
            }
            out.push(f);
        }
    }

    #[allow(clippy::cast_precision_loss)]
    fn disorder(&self, out: &mut Vec<Finding>) {
        let sum = &self.way.sum;
        let (from, to) = (self.from, self.to);
        for (id, n, kind, what, say) in [
            (
                "duplication.network",
                sum.duplicated,
                EventKind::Fate(Fate::Copy),
                "came more than once, though they left once: the path copies them",
                "a copy: it left once",
            ),
            (
                "reordering.network",
                sum.reordered,
                EventKind::Reordered,
                "came after segments that had left later: the path changes their order",
                "comes after what left later",
            ),
        ] {
            if n < ENOUGH {
                continue;
            }
            let part = share(n, sum.matched);
            let events = self.events(|k| k == kind);
            let mut f = self.finding(
                id,
                if part >= ORDER_SHARE {
                    Severity::Warning
                } else {
                    Severity::Info
                },
                0.97,
                format!(
                    "{} of {} ({}) from {from} to {to} {what}",
                    plural(n, "segment"),
                    sum.matched,
                    percent(part)
                ),
                &events,
                |_| say.to_owned(),
            );
            f.subject = Some(from);
            f.peer = Some(to);
            f.measures = vec![("share", part), ("count", n as f64)];
            f.flows = self.flows(|p| {
                if id == "duplication.network" {
                    p.duplicated
                } else {
                    p.reordered
                }
            });
            out.push(f);
        }
    }

    #[allow(clippy::cast_precision_loss)]
    fn host(&self, out: &mut Vec<Finding>) {
        let sum = &self.way.sum;
        let (from, to) = (self.from, self.to);
        let part = share(sum.not_taken, sum.matched);
        if sum.not_taken < ENOUGH && part < MANY {
            return;
        }
        let events = self.events(|k| k == EventKind::Fate(Fate::Refused));
        let mut f = self.finding(
            "host.arrived-not-acknowledged",
            if part >= LOSS_SHARE { Severity::Warning } else { Severity::Info },
            0.95,
            format!(
                "{} of {} ({}) from {from} came whole to the capture beside {to}, which did not take them: lost inside {to}, not on the path",
                plural(sum.not_taken, "segment"),
                sum.matched,
                percent(part)
            ),
            &events,
            |_| "comes whole, and is acknowledged only after it came again".to_owned(),
        );
        f.subject = Some(to);
        f.peer = Some(from);
        f.measures = vec![("share", part), ("count", sum.not_taken as f64)];
        f.flows = self.flows(|p| p.not_taken);
        out.push(f);
    }

    #[allow(clippy::cast_precision_loss)]
    fn acknowledgements(&self, out: &mut Vec<Finding>) {
        let sum = &self.way.sum;
        let part = share(sum.acks_lost, sum.acks);
        if sum.acks_lost < ENOUGH {
            return;
        }
        let (from, to) = (self.from, self.to);
        let events = self.events(|k| k == EventKind::AckLost);
        let mut f = self.finding(
            "loss.ack",
            if part >= ORDER_SHARE && sum.missed == 0 { Severity::Warning } else { Severity::Info },
            if sum.missed == 0 { 0.95 } else { 0.5 },
            format!(
                "{} of {} bare acknowledgements ({}) from {from} to {to} left one capture and never came to the other",
                sum.acks_lost,
                sum.acks,
                percent(part)
            ),
            &events,
            |_| "an acknowledgement that does not come".to_owned(),
        );
        f.subject = Some(from);
        f.peer = Some(to);
        f.measures = vec![("share", part), ("count", sum.acks_lost as f64)];
        f.flows = self.flows(|p| p.acks_lost);
        if sum.missed > 0 {
            f.against.push(format!(
                "the capture beside {to} missed segments that came, and may have missed these"
            ));
        }
        out.push(f);
    }

    #[allow(clippy::cast_precision_loss)]
    fn changes(&self, out: &mut Vec<Finding>) {
        let (from, to) = (self.from, self.to);
        let changed = self.events(|k| matches!(k, EventKind::Option(_)));
        let mut what: BTreeSet<&str> = BTreeSet::new();
        for e in &changed {
            if let EventKind::Option(name) = e.kind {
                what.insert(name);
            }
        }
        if !what.is_empty() {
            let clamped = what.len() == 1 && what.contains("mss");
            let names: Vec<&str> = what.into_iter().collect();
            let mut f = self.finding(
                "path.option-stripped",
                if clamped {
                    Severity::Info
                } else {
                    Severity::Warning
                },
                0.98,
                format!(
                    "a device between the captures {} the option {} of SYNs from {from} to {to}",
                    if clamped {
                        "lowers"
                    } else {
                        "takes away or changes"
                    },
                    names.join(", ")
                ),
                &changed,
                |e| match e.kind {
                    EventKind::Option(name) => {
                        format!("the SYN's {name} is another at the other side")
                    }
                    _ => String::new(),
                },
            );
            f.peer = Some(to);
            f.words = vec![("option", names.join(", "))];
            out.push(f);
        }
        let masked = self.events(|k| k == EventKind::Payload);
        if !masked.is_empty() {
            let mut f = self.finding(
                "smtp.banner-masked",
                Severity::Warning,
                0.97,
                format!(
                    "a device between the captures overwrites text from {from} to {to} with one sign, in {}",
                    plural(masked.len() as u64, "segment")
                ),
                &masked,
                |e| e.difference.map_or_else(String::new, |d| d.sentence()),
            );
            f.subject = Some(from);
            f.peer = Some(to);
            f.words = vec![("application", "smtp".to_owned())];
            out.push(f);
        }
        let resets = self.events(|k| k == EventKind::Reset);
        let sum = &self.way.sum;
        if sum.resets_made > 0 {
            // A capture that missed what its own host sent may have missed the resets.
            let sure = sum.only_right == 0;
            let mut f = self.finding(
                "close.reset",
                if sure { Severity::Critical } else { Severity::Info },
                if sure { 0.95 } else { 0.5 },
                format!(
                    "{} in the name of {from} came to {to}, which {from} did not send: a device between the captures ends the connections",
                    plural(sum.resets_made, "reset")
                ),
                &resets,
                |_| format!("a reset that did not leave {from}"),
            );
            f.peer = Some(to);
            f.words = vec![("by", "device".to_owned())];
            f.measures = vec![("middlebox", sum.resets_made as f64)];
            f.flows = self.flows(|p| p.resets_made);
            if !sure {
                f.against.push(format!(
                    "{} more that came from {from} were not seen to leave it: the capture beside it missed some of what it sent",
                    plural(sum.only_right, "segment")
                ));
            }
            out.push(f);
        }
    }

    fn delays(&self, out: &mut Vec<Finding>) {
        let sum = &self.way.sum;
        let (from, to) = (self.from, self.to);
        let delay: &Sketch = &sum.delay;
        if !sum.measured || delay.count() < SPIKE_SEGMENTS {
            return;
        }
        let (least, usual, much, most) = (
            delay.min().as_secs_f64(),
            delay.quantile(0.5).as_secs_f64(),
            delay.quantile(0.9).as_secs_f64(),
            delay.max().as_secs_f64(),
        );
        let mut late = self.events(|k| k == EventKind::Late);
        if late.is_empty() {
            late.extend(self.slowest());
        }
        let say = |e: &Event| {
            format!(
                "under way for {}",
                e.delay.map_or_else(|| "long".to_owned(), span)
            )
        };
        // One-way delays are as unsure as the clocks: what is above the shortest is not.
        if delay.count() >= BLOAT_SEGMENTS && much - least >= BLOAT && much >= least * BLOAT_FACTOR
        {
            let mut f = self.finding(
                "path.bufferbloat",
                Severity::Warning,
                0.95,
                format!(
                    "one tenth of the segments from {from} to {to} wait {} and more in a queue between the captures, where the shortest way takes {}",
                    span(much - least),
                    span(least)
                ),
                &late,
                say,
            );
            f.subject = Some(from);
            f.peer = Some(to);
            f.measures = vec![("queue_ms", (much - least) * 1e3)];
            out.push(f);
        } else if most - usual >= SPIKE && sum.delayed > 0 {
            let mut f = self.finding(
                "path.latency-spike",
                Severity::Warning,
                0.95,
                format!(
                    "{} from {from} to {to} were under way for up to {}, where {} is usual: held between the captures",
                    plural(sum.delayed, "segment"),
                    span(most),
                    span(usual)
                ),
                &late,
                say,
            );
            f.subject = Some(from);
            f.peer = Some(to);
            f.seconds_lost = Some(most - usual);
            f.flows = self.flows(|p| p.delayed);
            out.push(f);
        }
    }

    #[allow(clippy::cast_precision_loss)]
    fn captures(&self, out: &mut Vec<Finding>) {
        let sum = &self.way.sum;
        if sum.missed == 0 {
            return;
        }
        let events = self.events(|k| k == EventKind::Fate(Fate::Missed));
        let mut f = self.finding(
            "capture.drops",
            Severity::Info,
            0.9,
            format!(
                "{} from {} to {} were acknowledged but are in one capture only: the other missed them",
                plural(sum.missed, "segment"),
                self.from,
                self.to
            ),
            &events,
            |_| "acknowledged, and not in the other capture".to_owned(),
        );
        f.measures = vec![("count", sum.missed as f64)];
        f.flows = self.flows(|p| p.missed);
        out.push(f);
    }
}

fn is_syn(e: &Event) -> bool {
    TcpFlags(u16::from(e.flags)).has(TcpFlags::SYN)
}

/// Where connections did not come about, or late.
#[allow(clippy::cast_precision_loss)]
fn connections(compared: &Compared, out: &mut Vec<Finding>) {
    // By client and server: connections lost on the way, connections that the server let wait, connections that came late.
    let mut by_pair: BTreeMap<(IpAddr, IpAddr), [Vec<&Joined>; 3]> = BTreeMap::new();
    for j in compared.pairs.iter().filter(|j| j.counted) {
        let [to, back] = &j.paths;
        let lost = to.lost_syns + back.lost_syns;
        let up = back.matched + back.only_right > 0;
        let waited = j.opening.watched.is_some_and(|s| s >= SILENT);
        let place = if lost > 0 && !up {
            0
        } else if to.matched > 0 && !j.opening.answered && !up && waited {
            1
        } else if lost > 0 {
            2
        } else {
            continue;
        };
        let lists = by_pair.entry((j.client.addr, j.server.addr)).or_default();
        if let Some(list) = lists.get_mut(place) {
            list.push(j);
        }
    }
    for ((client, server), lists) in by_pair {
        for (place, list) in lists.iter().enumerate() {
            if list.is_empty() {
                continue;
            }
            let n = list.len() as u64;
            let lost: u64 = list
                .iter()
                .flat_map(|j| &j.paths)
                .map(|p| p.lost_syns)
                .sum();
            let lost = if lost == 1 {
                "1 SYN or SYN-ACK was".to_owned()
            } else {
                format!("{lost} SYNs and SYN-ACKs were")
            };
            let syns: Vec<&Event> = list
                .iter()
                .flat_map(|j| j.events.iter().flat_map(super::Events::iter))
                .filter(|e| is_syn(e) && e.kind == EventKind::Fate(Fate::Lost))
                .collect();
            let (id, severity, text, subject) = match place {
                0 => (
                    "connect.unanswered",
                    Severity::Critical,
                    format!(
                        "{} from {client} to {server} did not come about: {lost} lost between the captures",
                        plural(n, "connection"),
                    ),
                    None,
                ),
                1 => (
                    "connect.unanswered",
                    Severity::Critical,
                    format!(
                        "SYNs of {} from {client} came to the capture beside {server}, which sent no answer: the host is silent, not the path",
                        plural(n, "connection")
                    ),
                    Some(server),
                ),
                _ => (
                    "connect.retried",
                    Severity::Warning,
                    format!(
                        "{} from {client} to {server} came about late: {lost} lost between the captures",
                        plural(n, "connection"),
                    ),
                    None,
                ),
            };
            let way = Way {
                joined: list
                    .iter()
                    .map(|j| (*j, Direction::ClientToServer))
                    .collect(),
                ..Way::default()
            };
            let judge = Judge {
                from: client,
                to: server,
                way: &way,
            };
            let mut f = judge.finding(id, severity, 0.95, text, &syns, |_| {
                "leaves, and never comes to the other side".to_owned()
            });
            f.subject = subject.or(Some(server));
            f.peer = Some(client);
            f.measures = vec![("count", n as f64)];
            if place == 1 {
                let frames = list.iter().flat_map(|j| j.opening.syns).flatten();
                f.evidence
                    .extend(frames.take(MAX_PROOF).map(|frame| Evidence {
                        at: FrameRef::from(frame),
                        text: "a SYN that nothing answers".to_owned(),
                    }));
            }
            out.push(f);
        }
    }
}

/// Connections without an answer of which the other capture shows nothing, though it cannot be told whether it could have.
#[allow(clippy::cast_precision_loss)]
fn not_shown(compared: &Compared, out: &mut Vec<Finding>) {
    let lost = |j: &Joined| j.paths.iter().map(|p| p.lost_syns).sum::<u64>();
    let list: Vec<&Joined> = compared
        .pairs
        .iter()
        .filter(|j| j.unanswered && lost(j) == 0)
        .collect();
    let Some(first) = list.first() else { return };
    let hosts: BTreeSet<(IpAddr, IpAddr)> = list
        .iter()
        .map(|j| (j.client.addr, j.server.addr))
        .collect();
    let (client, server) = (first.client.addr, first.server.addr);
    let place = if hosts.len() == 1 {
        format!("from {client} to {server}")
    } else {
        format!("of {} pairs of hosts", hosts.len())
    };
    let shown = if list.iter().all(|j| j.ground == Ground::Nothing) {
        "nothing of these hosts"
    } else if list.iter().any(|j| j.ground == Ground::Service) {
        "nothing of them at that time"
    } else {
        "other services of these hosts alone"
    };
    let way = Way {
        joined: list
            .iter()
            .map(|j| (*j, Direction::ClientToServer))
            .collect(),
        ..Way::default()
    };
    let judge = Judge {
        from: client,
        to: server,
        way: &way,
    };
    let n = list.len() as u64;
    let mut f = judge.finding(
        "connect.unanswered",
        Severity::Info,
        0.5,
        format!(
            "{} {place} stayed without an answer, and the other capture shows {shown}: whether the SYNs came there cannot be told",
            plural(n, "connection")
        ),
        &[],
        |_| String::new(),
    );
    f.subject = Some(server);
    f.peer = Some(client);
    f.measures = vec![("count", n as f64)];
    f.against.push(
        "a capture that had not begun, had ended, was filtered, or stands at another path shows as little as one that they never came to"
            .to_owned(),
    );
    out.push(f);
}

/// Captures that hold frames twice.
#[allow(clippy::cast_precision_loss)]
fn copies(compared: &Compared, out: &mut Vec<Finding>) {
    for ((count, example), side) in compared.copies.iter().zip(["left", "right"]) {
        if *count == 0 {
            continue;
        }
        let way = Way {
            joined: compared
                .pairs
                .iter()
                .map(|j| (j, Direction::ClientToServer))
                .collect(),
            ..Way::default()
        };
        let Some((first, _)) = way.joined.first() else {
            continue;
        };
        let judge = Judge {
            from: first.client.addr,
            to: first.server.addr,
            way: &way,
        };
        let mut f = judge.finding(
            "capture.duplicates",
            Severity::Info,
            0.95,
            format!(
                "the {side} capture holds {} twice (a mirror port that copies both ways, or two capture layers); the copies are left out of all counts",
                plural(*count, "frame")
            ),
            &[],
            |_| String::new(),
        );
        f.hosts = Vec::new();
        f.flows = Vec::new();
        f.display_filter = String::new();
        f.measures = vec![("count", *count as f64)];
        for (frame, text) in example
            .iter()
            .flatten()
            .zip(["a frame", "the same once more"])
        {
            f.evidence.push(Evidence {
                at: FrameRef {
                    capture: frame.capture(),
                    frame: *frame,
                },
                text: text.to_owned(),
            });
        }
        out.push(f);
    }
}

/// A clock that was set while both captures ran.
fn clock(compared: &Compared, out: &mut Vec<Finding>) {
    let Some(clock) = &compared.clock else { return };
    let (Some(step), Some(first)) = (clock.step, compared.pairs.iter().find(|j| j.counted)) else {
        return;
    };
    let way = Way {
        joined: compared
            .pairs
            .iter()
            .filter(|j| j.counted)
            .map(|j| (j, Direction::ClientToServer))
            .collect(),
        ..Way::default()
    };
    let judge = Judge {
        from: first.client.addr,
        to: first.server.addr,
        way: &way,
    };
    let how = if step.by == 0.0 {
        "more than once".to_owned()
    } else {
        format!(
            "once: the right one is {} {} from then on",
            span(step.by.abs()),
            if step.by > 0.0 {
                "further ahead"
            } else {
                "further behind"
            }
        )
    };
    let mut f = judge.finding(
        "capture.clock",
        Severity::Info,
        0.95,
        format!(
            "the clock of one of the captures was set while both ran, {how}; delays between them, and waits across that moment, are left out"
        ),
        &[],
        |_| String::new(),
    );
    f.hosts = Vec::new();
    f.display_filter = String::new();
    (f.start, f.end) = step.between;
    f.measures = vec![
        ("count", 1.0),
        ("back_seconds", (-step.by).max(0.0)),
        ("forward_seconds", step.by.max(0.0)),
    ];
    out.push(f);
}

/// Hosts that answer late, which is no matter of the path.
#[allow(clippy::cast_precision_loss)]
fn answers(compared: &Compared, out: &mut Vec<Finding>) {
    let mut by_host: BTreeMap<(IpAddr, u16), Vec<&Joined>> = BTreeMap::new();
    for j in compared.pairs.iter().filter(|j| j.counted) {
        by_host
            .entry((j.server.addr, j.server.port))
            .or_default()
            .push(j);
    }
    for ((server, port), list) in by_host {
        let waits = || list.iter().filter_map(|j| j.waits.get(1));
        let seconds: f64 = waits().map(|w| w.seconds).sum();
        let answers: u64 = waits().map(|w| w.answers).sum();
        let Some(slowest) = list.iter().max_by(|a, b| {
            let longest = |j: &Joined| j.waits.get(1).map_or(0.0, |w| w.longest);
            longest(a).total_cmp(&longest(b))
        }) else {
            continue;
        };
        let Some(wait) = slowest.waits.get(1) else {
            continue;
        };
        if seconds < SLOW_SECONDS || wait.longest < SLOW_LONGEST {
            continue;
        }
        let way = Way {
            joined: list
                .iter()
                .map(|j| (*j, Direction::ServerToClient))
                .collect(),
            ..Way::default()
        };
        let judge = Judge {
            from: server,
            to: slowest.client.addr,
            way: &way,
        };
        let mut f = judge.finding(
            "server.slow",
            if wait.longest >= SLOW_SECONDS { Severity::Warning } else { Severity::Info },
            0.95,
            format!(
                "{server} took {} for {} on port {port}, up to {} for one, from the request's coming to the answer's leaving beside it: the time passes inside the host, not on the path",
                span(seconds),
                plural(answers, "answer"),
                span(wait.longest)
            ),
            &[],
            |_| String::new(),
        );
        if let Some([request, answer]) = wait.frames {
            for (frame, text) in [
                (request, "the request comes".to_owned()),
                (
                    answer,
                    format!("the answer leaves, {} later", span(wait.longest)),
                ),
            ] {
                f.evidence.push(Evidence {
                    at: FrameRef::from(frame),
                    text,
                });
            }
        }
        f.subject = Some(server);
        f.peer = Some(slowest.client.addr);
        f.seconds_lost = Some(seconds);
        f.measures = vec![
            ("seconds", seconds),
            ("count", answers as f64),
            ("port", f64::from(port)),
        ];
        f.end = list
            .iter()
            .map(|j| j.start)
            .max()
            .unwrap_or(Timestamp::default());
        out.push(f);
    }
}

/// A Wireshark filter for the two hosts.
fn filter(a: IpAddr, b: IpAddr) -> String {
    let field = |addr: IpAddr| if addr.is_ipv4() { "ip" } else { "ipv6" };
    format!(
        "{}.addr == {a} && {}.addr == {b} && tcp",
        field(a),
        field(b)
    )
}
