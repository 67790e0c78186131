//! The comparison of two captures as data, and what of it people are shown.
//!
//! Takes:  [`Compared`], findings and remedies
//! Gives:  a [`Report`] with the comparison beside it; the shape of `compare --format json`
//! Never:  works out a fate: that is the compare stage's

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::beside::{Beside, Shape, Table, Trend, TrendPoint};
use super::build::{self, Parts, hurts};
use super::epoch::Epoch;
use super::model::{Capture, Finding, Remedy, Report, Verdict};
use super::words::{count, duration, plural, share};
use crate::compare::{Basis, Clock, Compared, DelayPoint, Joined, Path};
use crate::net::Direction;

/// Name of this shape.
pub const SCHEMA: &str = "tcptriage.compare/1";
/// Rows of the table of hosts.
const ROWS: usize = 30;
/// Connections listed; of more, those with something amiss come first.
const FLOWS: usize = 20_000;
/// Seconds that no clock tells.
const AS_ONE: f64 = 0.000_000_5;

/// Two captures of the same traffic.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Comparison {
    /// Always [`SCHEMA`].
    pub schema: &'static str,
    /// Difference of the clocks: right minus left.
    pub clock: ClockDifference,
    /// How many of `captures`, from the first, are the left side's.
    pub left_captures: usize,
    /// Connections, as far as both sides saw them, and such as one side alone saw.
    pub flows: Vec<ComparedFlow>,
    /// Connections that are not listed: of more than 20,000 those where nothing is amiss are left out first.
    pub flows_omitted: u64,
    /// One-way delays in stretches of time.
    pub delays: Delays,
    /// From this moment on nothing was compared, for want of room.
    pub compared_until: Option<Epoch>,
}

/// How far the right side's clock is from the left side's. All `null` where no segment was seen on both sides.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct ClockDifference {
    /// Seconds, right minus left, at the moment `at`.
    pub offset: Option<f64>,
    /// Microseconds that the right clock gains in a second.
    pub drift_ppm: Option<f64>,
    /// How far `offset` may be off, in seconds, if all of the path's delay lay in one direction.
    pub error: Option<f64>,
    /// How far it is off where the path is as quick both ways.
    pub error_if_symmetric: Option<f64>,
    /// Moment of the left side's clock.
    pub at: Option<Epoch>,
    /// Segments that it rests on.
    pub samples: u64,
}

/// One connection.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ComparedFlow {
    /// Index of the flow on the left.
    pub left: Option<u64>,
    /// Index of the flow on the right.
    pub right: Option<u64>,
    /// `ip:port`, as the left side has it.
    pub client: String,
    /// `ip:port`.
    pub server: String,
    /// Client and server as the right side has them, where addresses or ports were translated.
    pub right_ends: Option<[String; 2]>,
    /// `ends`, `ends-renumbered` (sequence numbers were rewritten), `initial-numbers` (addresses were translated), `payload`, `alone` (one
    /// side only).
    pub matched_by: &'static str,
    /// `client` or `server`: the end that the left side is nearer to.
    pub left_is_nearer_to: &'static str,
    /// Whether its segments were counted. A connection that one side alone saw is not, unless nobody answered it.
    pub counted: bool,
    /// One direction.
    pub client_to_server: PathCounts,
    /// The other.
    pub server_to_client: PathCounts,
    /// How long the client took for its answers, by the capture beside it.
    pub client_waits: Waits,
    /// How long the server did.
    pub server_waits: Waits,
}

/// One direction of a connection between both sides. Counts are of wire segments that carry payload, SYN or FIN.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PathCounts {
    /// Seen where they left and where they came, damaged or not.
    pub matched: u64,
    /// Seen where they left, and not where they should have come.
    pub lost: u64,
    /// Came damaged.
    pub corrupted: u64,
    /// Of these, such as left with an unfilled checksum and came so.
    pub unfilled: u64,
    /// Further copies of what came.
    pub duplicated: u64,
    /// Came after what was sent later.
    pub reordered: u64,
    /// Under way for much longer than the others.
    pub delayed: u64,
    /// Came whole, and the host did not take them.
    pub lost_in_host: u64,
    /// Changed on the way.
    pub modified: ModifiedCounts,
    /// Came, and were not seen where they should have left.
    pub only_right: u64,
    /// Acknowledged, but not in the capture where they came.
    pub missed_by_capture: u64,
    /// Before or behind what both sides captured.
    pub outside: u64,
    /// Bare acknowledgements that left.
    pub acks: u64,
    /// Of these, such as did not come.
    pub acks_lost: u64,
    /// Resets that came and had not left.
    pub resets_made: u64,
    /// Routers between, by the time to live.
    pub hops: Option<i16>,
    /// Seconds under way.
    pub delay: Option<Delay>,
}

/// Segments that were changed on the way, by field.
#[derive(Clone, Copy, Debug, Default, Serialize, JsonSchema)]
pub struct ModifiedCounts {
    /// MSS option.
    pub mss: u64,
    /// Window scale option.
    pub window_scale: u64,
    /// SACK-permitted option.
    pub sack: u64,
    /// Timestamps option, or its value.
    pub timestamps: u64,
    /// Time to live: what routers do.
    pub ttl: u64,
    /// DSCP or ECN.
    pub tos: u64,
    /// Window.
    pub window: u64,
    /// Sequence numbers.
    pub sequence: u64,
    /// Payload, with a checksum that fits.
    pub payload: u64,
}

/// Seconds.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Delay {
    /// Least.
    pub min: f64,
    /// Median.
    pub median: f64,
    /// 95th percentile.
    pub p95: f64,
    /// Greatest.
    pub max: f64,
}

/// Answers of one host, from the request's coming to the answer's leaving.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct Waits {
    /// How many.
    pub answers: u64,
    /// Seconds, all together.
    pub seconds: f64,
    /// Seconds, the longest.
    pub longest: f64,
}

/// One-way delays in stretches of time.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Delays {
    /// From the left side to the right.
    pub left_to_right: Vec<DelayStretch>,
    /// Back.
    pub right_to_left: Vec<DelayStretch>,
}

/// Delays of one stretch of time.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub struct DelayStretch {
    /// Its first segment, by the left side's clock.
    pub time: Epoch,
    /// Least, seconds.
    pub min: f64,
    /// Greatest, seconds.
    pub max: f64,
    /// Segments.
    pub segments: u64,
}

/// The JSON of `compare`.
#[derive(Serialize, JsonSchema)]
pub(super) struct Whole<'a> {
    #[serde(flatten)]
    comparison: &'a Comparison,
    /// What was read: the left side's captures, then the right side's.
    captures: &'a [Capture],
    /// What is wrong, worst first. Flows are named by their index on the left, or on the right where the left has none.
    findings: &'a [Finding],
    /// What to do.
    remediations: &'a [Remedy],
    /// In one word and one sentence.
    verdict: &'a Verdict,
    /// Names of hosts.
    names: &'a BTreeMap<String, String>,
    /// What was left out.
    notes: &'a [String],
}

impl Comparison {
    pub(super) fn whole<'a>(&'a self, report: &'a Report) -> Whole<'a> {
        Whole {
            comparison: self,
            captures: &report.captures,
            findings: &report.findings,
            remediations: &report.remediations,
            verdict: &report.verdict,
            names: &report.names,
            notes: &report.notes,
        }
    }
}

/// The report on a comparison. `left_captures`: how many of the captures in `parts` are the left side's.
#[must_use]
pub fn report(compared: &Compared, left_captures: usize, parts: Parts) -> Report {
    let flows = listed(compared);
    let comparison = Comparison {
        schema: SCHEMA,
        clock: clock(compared.clock.as_ref()),
        left_captures,
        flows_omitted: (compared.pairs.len() - flows.len()) as u64,
        flows: flows.into_iter().map(flow).collect(),
        delays: Delays {
            left_to_right: stretches(&compared.delays[0]),
            right_to_left: stretches(&compared.delays[1]),
        },
        compared_until: compared.until.map(Epoch::from),
    };
    let mut report = build::build(parts);
    report.verdict = verdict(&report, compared);
    report.beside = Beside {
        tables: vec![ways(compared)],
        trends: trends(compared),
        shape: Some(Shape::Comparison(Box::new(comparison))),
    };
    report
}

/// The connections to list, in the order of the left side.
fn listed(compared: &Compared) -> Vec<&Joined> {
    let amiss = |j: &Joined| {
        j.paths
            .iter()
            .map(|p| {
                p.lost
                    + p.corrupted
                    + p.duplicated
                    + p.reordered
                    + p.delayed
                    + p.not_taken
                    + p.missed
                    + p.acks_lost
                    + p.resets_made
            })
            .sum::<u64>()
            > 0
    };
    let mut order: Vec<(bool, bool, usize)> = (0..)
        .zip(&compared.pairs)
        .map(|(at, j)| (!amiss(j), !j.counted, at))
        .collect();
    if order.len() > FLOWS {
        order.sort_unstable();
        order.truncate(FLOWS);
        order.sort_unstable_by_key(|(.., at)| *at);
    }
    order
        .into_iter()
        .filter_map(|(.., at)| compared.pairs.get(at))
        .collect()
}

fn clock(clock: Option<&Clock>) -> ClockDifference {
    clock.map_or_else(ClockDifference::default, |c| ClockDifference {
        offset: Some(c.offset),
        drift_ppm: Some(c.drift * 1e6),
        error: c.error,
        error_if_symmetric: c.error_if_symmetric,
        at: Some(c.at.into()),
        samples: c.samples,
    })
}

fn flow(joined: &Joined) -> ComparedFlow {
    let [left, right] = joined.flows;
    let [to, back] = &joined.paths;
    let waits = |w: &crate::compare::Wait| Waits {
        answers: w.answers,
        seconds: w.seconds,
        longest: w.longest,
    };
    let [client, server] = &joined.waits;
    ComparedFlow {
        left: left.map(|(index, _)| index),
        right: right.map(|(index, _)| index),
        client: joined.client.to_string(),
        server: joined.server.to_string(),
        right_ends: joined.right_ends.map(|ends| ends.map(|e| e.to_string())),
        matched_by: match joined.basis {
            Basis::Same => "ends",
            Basis::Renumbered => "ends-renumbered",
            Basis::Translated => "initial-numbers",
            Basis::Payload => "payload",
            Basis::Alone => "alone",
        },
        left_is_nearer_to: if joined.left_is_client {
            "client"
        } else {
            "server"
        },
        counted: joined.counted,
        client_to_server: path(to),
        server_to_client: path(back),
        client_waits: waits(client),
        server_waits: waits(server),
    }
}

fn path(p: &Path) -> PathCounts {
    let m = &p.modified;
    PathCounts {
        matched: p.matched,
        lost: p.lost,
        corrupted: p.corrupted,
        unfilled: p.unfilled,
        duplicated: p.duplicated,
        reordered: p.reordered,
        delayed: p.delayed,
        lost_in_host: p.not_taken,
        modified: ModifiedCounts {
            mss: m.mss,
            window_scale: m.window_scale,
            sack: m.sack,
            timestamps: m.timestamps,
            ttl: m.ttl,
            tos: m.tos,
            window: m.window,
            sequence: m.sequence,
            payload: m.payload,
        },
        only_right: p.only_right,
        missed_by_capture: p.missed,
        outside: p.outside,
        acks: p.acks,
        acks_lost: p.acks_lost,
        resets_made: p.resets_made,
        hops: p.hops,
        delay: (p.delay.count() > 0).then(|| Delay {
            min: p.delay.min().as_secs_f64(),
            median: p.delay.quantile(0.5).as_secs_f64(),
            p95: p.delay.quantile(0.95).as_secs_f64(),
            max: p.delay.max().as_secs_f64(),
        }),
    }
}

fn stretches(points: &[DelayPoint]) -> Vec<DelayStretch> {
    points
        .iter()
        .map(|p| DelayStretch {
            time: p.time.into(),
            min: p.min,
            max: p.max,
            segments: p.segments,
        })
        .collect()
}

fn trends(compared: &Compared) -> Vec<Trend> {
    let line = |points: &[DelayPoint]| -> Vec<TrendPoint> {
        points
            .iter()
            .map(|p| TrendPoint {
                time: p.time.into(),
                min: p.min * 1e3,
                max: p.max * 1e3,
            })
            .collect()
    };
    let [forth, back] = &compared.delays;
    if forth.is_empty() && back.is_empty() {
        return Vec::new();
    }
    vec![Trend {
        title: "One-way delay between the captures".to_owned(),
        unit: "ms",
        lines: vec![
            ("left to right".to_owned(), line(forth)),
            ("right to left".to_owned(), line(back)),
        ],
    }]
}

/// One row for each two hosts and direction.
fn ways(compared: &Compared) -> Table {
    let mut sums: BTreeMap<(String, String), Path> = BTreeMap::new();
    for joined in compared.pairs.iter().filter(|p| p.counted) {
        for direction in Direction::BOTH {
            let (client, server) = (
                joined.client.addr.to_string(),
                joined.server.addr.to_string(),
            );
            let key = match direction {
                Direction::ClientToServer => (client, server),
                Direction::ServerToClient => (server, client),
            };
            let Some(path) = joined.paths.get(direction.index()) else {
                continue;
            };
            sums.entry(key).or_default().add(path);
        }
    }
    let mut rows: Vec<((String, String), Path)> = sums.into_iter().collect();
    rows.sort_by(|a, b| {
        let bad = |s: &Path| s.lost + s.corrupted + s.not_taken + s.duplicated + s.reordered;
        bad(&b.1)
            .cmp(&bad(&a.1))
            .then(b.1.matched.cmp(&a.1.matched))
            .then(a.0.cmp(&b.0))
    });
    let left_out = rows.len().saturating_sub(ROWS);
    let mut text = vec![clock_sentence(compared.clock.as_ref())];
    let alone = compared
        .pairs
        .iter()
        .filter(|p| !p.counted && !p.unanswered)
        .count() as u64;
    if alone > 0 {
        text.push(format!(
            "{} in one capture only: the other does not show that traffic, and nothing is said of it",
            plural(alone, "connection is", "connections are")
        ));
    }
    let outside = outside(compared);
    if outside > 0 {
        text.push(format!(
            "{} when the other capture had not begun or shows nothing more: whether they came cannot be told",
            plural(outside, "segment left", "segments left")
        ));
    }
    let translated = compared
        .pairs
        .iter()
        .filter(|p| p.right_ends.is_some())
        .count() as u64;
    if translated > 0 {
        text.push(format!(
            "{} other addresses or ports on the right: translated between",
            plural(translated, "connection has", "connections have")
        ));
    }
    let renumbered = compared
        .pairs
        .iter()
        .filter(|p| matches!(p.basis, Basis::Renumbered | Basis::Payload))
        .count() as u64;
    if renumbered > 0 {
        text.push(format!(
            "{} other sequence numbers on the right: rewritten between",
            plural(renumbered, "connection has", "connections have")
        ));
    }
    if left_out > 0 {
        text.push(format!(
            "{} with less amiss left out here",
            plural(left_out as u64, "direction is", "directions are")
        ));
    }
    rows.truncate(ROWS);
    let measured = |s: &Path, q: f64| {
        if s.delay.count() == 0 {
            String::new()
        } else {
            duration(s.delay.quantile(q).as_secs_f64())
        }
    };
    Table {
        title: "Between the two captures".to_owned(),
        text,
        columns: vec![
            ("From", false),
            ("To", false),
            ("Left", true),
            ("Lost", true),
            ("Damaged", true),
            ("Lost in host", true),
            ("Copied", true),
            ("Reordered", true),
            ("Delay", true),
            ("95 %", true),
        ],
        rows: rows
            .iter()
            .map(|((from, to), s)| {
                let sent = s.matched + s.lost;
                let part = |n: u64| match n {
                    0 => "0".to_owned(),
                    n => format!("{} ({})", count(n), share(n, sent)),
                };
                vec![
                    from.clone(),
                    to.clone(),
                    count(sent),
                    part(s.lost),
                    part(s.corrupted),
                    part(s.not_taken),
                    part(s.duplicated),
                    part(s.reordered),
                    measured(s, 0.5),
                    measured(s, 0.95),
                ]
            })
            .collect(),
    }
}

fn clock_sentence(clock: Option<&Clock>) -> String {
    let Some(clock) = clock else {
        return "no segment is in both captures, so their clocks cannot be compared".to_owned();
    };
    let away = if clock.offset.abs() < AS_ONE {
        "agrees with the left one's".to_owned()
    } else {
        format!(
            "is {} {} the left one's",
            duration(clock.offset.abs()),
            if clock.offset < 0.0 {
                "behind"
            } else {
                "ahead of"
            }
        )
    };
    let set = clock.step.map_or("", |s| {
        if s.by == 0.0 {
            "; one of them was set more than once meanwhile, so that this holds for no moment and delays are left out"
        } else {
            " until one of them was set; delays are left out"
        }
    });
    let drift = if clock.drift == 0.0 {
        String::new()
    } else {
        format!(
            ", and {} {:.1} µs a second",
            if clock.drift > 0.0 { "gains" } else { "loses" },
            clock.drift.abs() * 1e6
        )
    };
    let error = match (clock.error, clock.error_if_symmetric) {
        (Some(error), Some(symmetric)) => format!(
            "; at most {} off, and {} if the path is as quick both ways",
            duration(error),
            duration(symmetric.max(1e-6))
        ),
        _ => "; one direction only was seen, so the path's delay is in this".to_owned(),
    };
    format!(
        "the right capture's clock {away}{drift} ({}{error}){set}",
        plural(clock.samples, "segment", "segments")
    )
}

/// Segments of which nothing can be told, as one capture was not there.
fn outside(compared: &Compared) -> u64 {
    let counted = compared.pairs.iter().filter(|p| p.counted);
    counted.flat_map(|p| &p.paths).map(|p| p.outside).sum()
}

/// In one word and a sentence or two.
fn verdict(report: &Report, compared: &Compared) -> Verdict {
    let counted: Vec<&Joined> = compared.pairs.iter().filter(|p| p.counted).collect();
    let common = counted.iter().filter(|p| p.basis != Basis::Alone).count() as u64;
    let matched: u64 = counted
        .iter()
        .flat_map(|p| &p.paths)
        .map(|p| p.matched)
        .sum();
    if report.findings.iter().any(hurts) {
        return report.verdict.clone();
    }
    if common == 0 || matched == 0 {
        return Verdict {
            grade: "cannot-tell",
            text: "The two captures have no connection in common, so nothing can be said of the path between them.".to_owned(),
        };
    }
    let lost: u64 = counted.iter().flat_map(|p| &p.paths).map(|p| p.lost).sum();
    let outside = outside(compared);
    let text = if lost == 0 && outside > 0 {
        format!(
            "Of {}, {} came to the other side whole; of the others it cannot be told, as the other capture had not begun or shows nothing more.",
            plural(common, "connection", "connections"),
            plural(matched, "segment", "segments"),
        )
    } else if lost == 0 {
        format!(
            "All {} of {} that left one side came to the other, whole and in time. What servers and clients said is judged by tcptriage analyze.",
            plural(matched, "segment", "segments"),
            plural(common, "connection", "connections")
        )
    } else {
        format!(
            "{} of {} did not come to the other side, too few to hurt.",
            plural(lost, "segment", "segments"),
            count(matched + lost)
        )
    };
    Verdict {
        grade: "healthy",
        text,
    }
}
