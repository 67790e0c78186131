//! Before and after a remedy as data, and what of it people are shown.
//!
//! Takes:  [`Verified`], and the report on the captures from after the remedy
//! Gives:  that report with the verification beside it; the shape of `verify --format json`
//! Never:  works out a change: that is the compare stage's

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::beside::{Beside, Shape, Table};
use super::model::{Report, Verdict};
use super::words::{count, duration, octets, plural, rate};
use crate::compare::verify::{Change, Measures, Outcome, Verified, VerifiedPair};

/// Name of this shape.
pub const SCHEMA: &str = "tcptriage.verify/1";
/// Rows of the table.
const ROWS: usize = 30;
/// Ids named in the sentence.
const NAMED: usize = 4;

/// Did the remedy work?
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Verification {
    /// Always [`SCHEMA`].
    pub schema: &'static str,
    /// Two hosts and a service each.
    pub pairs: Vec<Pair>,
    /// Ids of findings of at least `warning`.
    pub findings: Findings,
    /// `better`, `worse`, `same`, `cannot-tell`.
    pub verdict: &'static str,
    /// One sentence.
    pub text: String,
}

/// Two hosts and a service.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Pair {
    /// Client and server.
    pub hosts: [String; 2],
    /// `smtp`, `smb`, `tcp/5001`, …
    pub service: String,
    /// `null` where there were no such connections.
    pub before: Option<PairMeasures>,
    /// Likewise.
    pub after: Option<PairMeasures>,
    /// What is different.
    pub changes: Vec<PairChange>,
}

/// Measures of all connections of two hosts and a service.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PairMeasures {
    /// Connections.
    pub flows: u64,
    /// Payload both ways, repeats left out.
    pub octets: u64,
    /// Seconds in which they were busy: neither idle nor thinking.
    pub seconds: f64,
    /// Bits a second while busy.
    pub goodput_bps: Option<f64>,
    /// Segments with payload.
    pub data_segments: u64,
    /// Of these, such as were sent again.
    pub retransmitted_segments: u64,
    /// Their share, 0 to 1.
    pub retransmitted_share: Option<f64>,
    /// Seconds in which nothing moved.
    pub stall_seconds: f64,
    /// Phases of SMTP: medians in seconds.
    pub smtp_phases: BTreeMap<&'static str, f64>,
}

/// One measure before and after.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct PairChange {
    /// `goodput` (bits a second), `retransmissions` (share), `stalls` (share of the busy time), or a phase of SMTP (seconds).
    pub measure: &'static str,
    /// Before.
    pub before: f64,
    /// After.
    pub after: f64,
    /// After in times of before.
    pub times: Option<f64>,
    /// Where the true change lies with 95 %: of goodput in times, of retransmissions as a difference of shares.
    pub low: Option<f64>,
    /// See `low`.
    pub high: Option<f64>,
    /// Median octets of a transfer before and after, where these differ so much that the rates cannot be compared; else `null`.
    pub median_octets: Option<[f64; 2]>,
    /// `better`, `worse`, `same` (no more than chance makes).
    pub verdict: &'static str,
}

/// Ids of findings that hurt.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Findings {
    /// Before and not after.
    pub gone: Vec<String>,
    /// After and not before.
    pub new: Vec<String>,
    /// After; the captures from before hold nothing of their hosts, or too little, so that nobody can say that it is new.
    pub new_elsewhere: Vec<String>,
    /// Both.
    pub still: Vec<String>,
    /// Before; the captures from after hold nothing of their hosts, or too little, or one direction alone, so that they cannot be called gone.
    pub not_seen: Vec<String>,
}

/// The report on the captures from after the remedy, with the verification beside it.
#[must_use]
pub fn report(verified: &Verified, after: Report) -> Report {
    let text = sentence(verified);
    let verification = Verification {
        schema: SCHEMA,
        pairs: verified.pairs.iter().map(pair).collect(),
        findings: Findings {
            gone: verified.gone.clone(),
            new: verified.new.clone(),
            new_elsewhere: verified.new_elsewhere.clone(),
            still: verified.still.clone(),
            not_seen: verified.not_seen.clone(),
        },
        verdict: word(verified.outcome),
        text: text.clone(),
    };
    let mut report = after;
    report.verdict = Verdict {
        grade: word(verified.outcome),
        text,
    };
    report.beside = Beside {
        tables: vec![table(verified)],
        trends: Vec::new(),
        shape: Some(Shape::Verification(Box::new(verification))),
    };
    report
}

const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Better => "better",
        Outcome::Worse => "worse",
        Outcome::Same => "same",
        Outcome::CannotTell => "cannot-tell",
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

fn pair(p: &VerifiedPair) -> Pair {
    Pair {
        hosts: p.hosts.clone(),
        service: p.service.clone(),
        before: p.before.as_ref().map(measures),
        after: p.after.as_ref().map(measures),
        changes: p
            .changes
            .iter()
            .map(|c| PairChange {
                measure: c.what,
                before: c.from,
                after: c.to,
                times: finite(c.times),
                low: finite(c.between.0),
                high: finite(c.between.1),
                median_octets: c.unlike,
                verdict: match c.better {
                    Some(true) => "better",
                    Some(false) => "worse",
                    None => "same",
                },
            })
            .collect(),
    }
}

#[allow(clippy::cast_precision_loss)]
fn measures(m: &Measures) -> PairMeasures {
    PairMeasures {
        flows: m.flows,
        octets: m.octets,
        seconds: m.seconds,
        goodput_bps: m.goodput_bps,
        data_segments: m.segments,
        retransmitted_segments: m.repeated,
        retransmitted_share: (m.segments > 0).then(|| m.repeated as f64 / m.segments as f64),
        stall_seconds: m.stalled,
        smtp_phases: m
            .phases
            .iter()
            .map(|(phase, (_, median))| (*phase, *median))
            .collect(),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// A value of a measure in words.
fn shown(what: &str, value: f64) -> String {
    match what {
        "goodput" => rate(value),
        "retransmissions" | "stalls" => percent(value),
        _ => duration(value),
    }
}

/// `from 4.46 kbit/s to 60 Mbit/s (13,500 times; 9,000 to 21,000 with 95 %)`.
fn in_words(c: &Change) -> String {
    let mut text = format!("from {} to {}", shown(c.what, c.from), shown(c.what, c.to));
    if c.what == "goodput" {
        text += &format!(" ({}; {})", times(c.times), between(c.between));
    }
    text
}

fn name(what: &str) -> String {
    match what {
        "goodput" | "retransmissions" => what.to_owned(),
        "stalls" => "time stood still".to_owned(),
        phase => format!("the phase {}", phase.replace('_', " ")),
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // saturating is what is wanted
fn number(value: f64) -> String {
    if value >= 100.0 {
        count(value.round() as u64)
    } else if value >= 10.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.2}")
    }
}

/// A ratio: `12`, `0.83`, `1/600`.
fn factor(value: f64) -> String {
    if value > 0.0 && value < 0.1 {
        format!("1/{}", number(1.0 / value))
    } else {
        number(value)
    }
}

fn times(value: f64) -> String {
    format!("{} times", factor(value))
}

fn between((low, high): (f64, f64)) -> String {
    match (low > 0.0, high.is_finite()) {
        (true, true) => format!("{} to {} with 95 %", factor(low), factor(high)),
        (true, false) => format!("at least {} with 95 %", factor(low)),
        (false, true) => format!("at most {} with 95 %", factor(high)),
        (false, false) => "how sure, these connections do not tell".to_owned(),
    }
}

fn ids(list: &[String]) -> String {
    let mut text = list
        .iter()
        .take(NAMED)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if list.len() > NAMED {
        text += &format!(" and {} more", list.len() - NAMED);
    }
    text
}

/// Whether the remedy worked, in one sentence.
fn sentence(v: &Verified) -> String {
    let common: Vec<&VerifiedPair> = v
        .pairs
        .iter()
        .filter(|p| p.before.is_some() && p.after.is_some())
        .collect();
    if common.is_empty() {
        return "No two hosts speak the same service before and after, so nothing can be compared."
            .to_owned();
    }
    let mut parts = Vec::new();
    if let Some([client, server]) = v.same.as_ref().filter(|_| v.outcome == Outcome::CannotTell) {
        parts.push(format!(
            "both show the connection of {client} and {server} at the same time, so they are no before and after"
        ));
    }
    // The greatest change of each way, by what users feel first.
    let greatest = |better: bool| {
        common
            .iter()
            .flat_map(|p| p.changes.iter().map(move |c| (*p, c)))
            .filter(|(_, c)| c.better == Some(better))
            .max_by(|(_, a), (_, b)| {
                let size = |c: &Change| {
                    (
                        c.what == "goodput",
                        if c.times.is_finite() && c.times > 0.0 {
                            c.times.ln().abs()
                        } else {
                            0.0
                        },
                    )
                };
                let (a, b) = (size(a), size(b));
                a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
            })
    };
    for better in [true, false] {
        if let Some((p, change)) = greatest(better) {
            let [client, server] = &p.hosts;
            parts.push(format!(
                "{} between {client} and {server} ({}) went {}",
                name(change.what),
                p.service,
                in_words(change)
            ));
        }
    }
    for (list, say) in [
        (&v.gone, "gone"),
        (&v.new, "new"),
        (&v.still, "still there"),
    ] {
        if !list.is_empty() {
            parts.push(format!("{say}: {}", ids(list)));
        }
    }
    if !v.new_elsewhere.is_empty() {
        parts.push(format!(
            "of hosts of which the captures from before show too little: {}",
            ids(&v.new_elsewhere)
        ));
    }
    if !v.not_seen.is_empty() {
        parts.push(format!(
            "not to be told, as the captures from after show too little of their hosts: {}",
            ids(&v.not_seen)
        ));
    }
    let lead = match v.outcome {
        Outcome::Better => "The remedy worked",
        Outcome::Worse => "It is worse than before",
        Outcome::Same => "Nothing changed beyond chance",
        Outcome::CannotTell => "The captures do not tell whether it is better",
    };
    if parts.is_empty() {
        format!(
            "{lead}: {} compared.",
            plural(
                common.len() as u64,
                "pair of hosts was",
                "pairs of hosts were"
            )
        )
    } else {
        format!("{lead}: {}.", parts.join("; "))
    }
}

fn table(v: &Verified) -> Table {
    let mut rows = Vec::new();
    for p in v.pairs.iter().take(ROWS) {
        let [client, server] = &p.hosts;
        let cell = |m: &Option<Measures>, of: &dyn Fn(&Measures) -> String| {
            m.as_ref().map_or_else(|| "–".to_owned(), of)
        };
        let both = |of: &dyn Fn(&Measures) -> String| {
            let (a, b) = (cell(&p.before, of), cell(&p.after, of));
            format!("{a} → {b}")
        };
        let change = |what: &str| {
            p.changes
                .iter()
                .find(|c| c.what == what)
                .and_then(|c| c.better)
                .map_or("", |better| if better { " better" } else { " worse" })
        };
        #[allow(clippy::cast_precision_loss)]
        let repeats = |m: &Measures| percent(m.repeated as f64 / m.segments.max(1) as f64);
        let phases: Vec<String> = p
            .changes
            .iter()
            .filter(|c| {
                !matches!(c.what, "goodput" | "retransmissions" | "stalls") && c.better.is_some()
            })
            .map(|c| {
                format!(
                    "{} {} → {}",
                    c.what.replace('_', " "),
                    duration(c.from),
                    duration(c.to)
                )
            })
            .collect();
        rows.push(vec![
            format!("{client} → {server}"),
            p.service.clone(),
            both(&|m| count(m.flows)),
            both(&|m| octets(m.octets)),
            format!(
                "{}{}",
                both(&|m| m.goodput_bps.map_or_else(|| "–".to_owned(), rate)),
                change("goodput")
            ),
            format!("{}{}", both(&repeats), change("retransmissions")),
            format!("{}{}", both(&|m| duration(m.stalled)), change("stalls")),
            phases.join("; "),
        ]);
    }
    let mut text = Vec::new();
    for p in v.pairs.iter().take(ROWS) {
        if let Some(sizes) = p.changes.iter().find_map(|c| c.unlike) {
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            // saturating is what is wanted
            let [before, after] = sizes.map(|size| octets(size as u64));
            let [client, server] = &p.hosts;
            text.push(format!(
                "goodput of {client} → {server} ({}) cannot be compared: a transfer moved {before} before and {after} after (median), and over \
                 the same path larger ones reach higher rates",
                p.service
            ));
        }
    }
    if v.pairs.len() > ROWS {
        text.push(format!(
            "{} more pairs of hosts are in the JSON report",
            count((v.pairs.len() - ROWS) as u64)
        ));
    }
    Table {
        title: "Before and after".to_owned(),
        text,
        columns: vec![
            ("Hosts", false),
            ("Service", false),
            ("Connections", false),
            ("Octets", false),
            ("Goodput", false),
            ("Sent again", false),
            ("Stood still", false),
            ("Phases that changed", false),
        ],
        rows,
    }
}
