//! Lets findings hear what servers' own logs say: the server itself names a pause that it made on purpose, and a target it gave up.
//!
//! Takes:  findings, logs, which session is which flow
//! Gives:  the same findings, proven by a log or doubted for its sake, with file and line; and such as only logs tell
//! Never:  compares times that are less apart than the clocks; needs a capture

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::detect::{self, Evidence, Finding, Severity};
use crate::facts::logs::{FlowSpan, Joined, LogKind, LogSession, Logs, Pair, Unhealthy};
use crate::flow::FlowIndex;
use crate::net::{FrameRef, Timestamp, seconds};
use crate::rules::winsock;

/// A flow that a session may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) flow: FlowIndex,
    pub(super) first: FrameRef,
    pub(super) ends: FlowSpan,
}

/// What a server says outright is proven.
const PROVEN: f64 = 0.98;
/// What is left of a finding that the server's own log does not bear out.
const DOUBTED: f64 = 0.6;
/// Seconds held back from which users wait for it.
const FELT: f64 = 1.0;
/// Least share of the capture's wait that the log must have, to have been made by the server.
const SAME_WAIT: f64 = 0.3;
/// Servers and targets told of in all.
const MAX_GROUPS: usize = 1_000;
/// Flows and hosts named in one finding.
const MAX_NAMED: usize = 64;

/// Replies that one server held back for one reason.
#[derive(Default)]
struct Held {
    count: u64,
    nanos: i64,
    longest: i64,
    expired: u64,
    file: String,
    line: usize,
    connector: String,
    reason: Option<String>,
    clients: BTreeSet<IpAddr>,
    flows: BTreeMap<FlowIndex, FrameRef>,
    span: Option<(Timestamp, Timestamp)>,
}

/// Failures to reach one target.
struct Failed<'a> {
    count: u64,
    file: &'a str,
    first: Timestamp,
    last: &'a Unhealthy,
}

/// Weighs the findings by the logs, and adds what only logs tell.
pub(super) fn weigh(findings: &mut Vec<Finding>, logs: &Logs, joined: &Joined, spans: &[Span]) {
    let flow_of: BTreeMap<usize, &Span> = (joined.pairs.iter())
        .filter_map(|p: &Pair| Some((p.session, spans.get(p.flow)?)))
        .collect();
    // The log's clock, put back to the capture's.
    let ahead = joined.clock.map_or(0, |c| c.nanos);
    let at = |time: Timestamp| time.plus_nanos(-ahead);
    doubt(
        findings,
        logs,
        &flow_of,
        joined.clock.map_or(0, |c| c.spread),
    );
    let mut held: BTreeMap<(IpAddr, &'static str), Held> = BTreeMap::new();
    let mut failed: BTreeMap<(IpAddr, u16), Failed<'_>> = BTreeMap::new();
    for (index, session) in logs.sessions.iter().enumerate() {
        if let (LogKind::Receive, Some(server)) = (session.kind, session.local) {
            for tarpit in &session.tarpits {
                let key = (server.addr, symptom(tarpit.reason.as_deref()));
                if held.len() >= MAX_GROUPS && !held.contains_key(&key) {
                    continue;
                }
                let h = held.entry(key).or_insert_with(|| Held {
                    file: session.file.clone(),
                    line: tarpit.line,
                    connector: session.connector.clone(),
                    reason: tarpit.reason.clone(),
                    ..Held::default()
                });
                h.count += 1;
                h.nanos = h.nanos.saturating_add(tarpit.nanos);
                h.longest = h.longest.max(tarpit.nanos);
                let expired = tarpit
                    .outcome
                    .as_deref()
                    .is_some_and(|o| o.starts_with("Expired"));
                h.expired += u64::from(expired);
                if let Some(client) = session.remote.filter(|_| h.clients.len() < MAX_NAMED) {
                    h.clients.insert(client.addr);
                }
                if let Some(span) = flow_of.get(&index).filter(|_| h.flows.len() < MAX_NAMED) {
                    h.flows.insert(span.flow, span.first);
                }
                let time = at(tarpit.time);
                let (from, to) = h.span.unwrap_or((time, time));
                h.span = Some((from.min(time), to.max(time)));
            }
        }
        for target in &session.unhealthy {
            let Some(addr) = target.addr else { continue };
            let key = (addr, target.port.unwrap_or(25));
            if failed.len() >= MAX_GROUPS && !failed.contains_key(&key) {
                continue;
            }
            let f = failed.entry(key).or_insert(Failed {
                count: 0,
                file: &session.file,
                first: target.time,
                last: target,
            });
            f.count += 1;
            if target.time >= f.last.time {
                f.last = target;
                f.file = &session.file;
            }
            f.first = f.first.min(target.time);
        }
    }
    for ((server, id), held) in held {
        held_back(findings, server, id, &held);
    }
    for ((addr, port), failed) in failed {
        given_up(findings, addr, port, &failed, &at);
    }
}

/// The symptom that a reason for holding a reply back stands for.
fn symptom(reason: Option<&str>) -> &'static str {
    match reason {
        Some("DelayedAck") => "smtp.delayed-ack",
        Some(other) if other.replace(' ', "").eq_ignore_ascii_case("backpressure") => {
            "smtp.back-pressure"
        }
        _ => "smtp.tarpit",
    }
}

#[allow(clippy::cast_precision_loss)]
fn held_back(findings: &mut Vec<Finding>, server: IpAddr, id: &'static str, held: &Held) {
    let (sum, longest) = (seconds(held.nanos), seconds(held.longest));
    let why = match held.reason.as_deref() {
        Some(reason) => format!("because of {reason}"),
        None => "after errors, on purpose".to_owned(),
    };
    let mut said = format!(
        "{server} says that it held back {} {why}: {sum:.1} s in all, {longest:.1} s at most ({}, {} line {})",
        detect::plural(held.count, "reply"),
        held.connector,
        held.file,
        held.line
    );
    if held.expired > 0 {
        said.push_str(&format!(
            "; {} until its limit ran out",
            detect::plural(held.expired, "reply")
        ));
    }
    let proofs = held.flows.values().take(MAX_PROOFS).map(|first| Evidence {
        at: *first,
        text: "begins a session in which the server's log says that it holds replies back"
            .to_owned(),
    });
    let known = findings
        .iter_mut()
        .find(|f| f.id == id && f.subject == Some(server));
    if let Some(finding) = known {
        finding.confidence = finding.confidence.max(PROVEN);
        finding.summary.push_str("; ");
        finding.summary.push_str(&said);
        finding.evidence.splice(0..0, proofs);
        return;
    }
    let (start, end) = held.span.unwrap_or_default();
    let flows: Vec<FlowIndex> = held.flows.keys().copied().collect();
    let severity = if sum >= FELT {
        Severity::Warning
    } else {
        Severity::Info
    };
    findings.push(Finding {
        subject: Some(server),
        peer: held
            .clients
            .first()
            .copied()
            .filter(|_| held.clients.len() == 1),
        hosts: std::iter::once(server)
            .chain(held.clients.iter().copied())
            .collect(),
        start,
        end,
        seconds_lost: Some(sum),
        evidence: proofs.collect(),
        display_filter: filter(&flows),
        flows,
        measures: vec![
            ("count", held.count as f64),
            ("seconds", sum),
            ("max_s", longest),
        ],
        words: vec![("application", "smtp".to_owned())],
        ..Finding::new(id, severity, PROVEN, said)
    });
}

/// Flows of log sessions that stand as proof.
const MAX_PROOFS: usize = 4;

#[allow(clippy::cast_precision_loss)]
fn given_up(
    findings: &mut Vec<Finding>,
    addr: IpAddr,
    port: u16,
    failed: &Failed<'_>,
    at: &impl Fn(Timestamp) -> Timestamp,
) {
    let last = failed.last;
    let cause = match last.winsock {
        Some(code) => {
            winsock(code).map_or_else(|| code.to_string(), |words| format!("{code} {words}"))
        }
        None => last
            .word
            .clone()
            .unwrap_or_else(|| "no reason given".to_owned()),
    };
    let mut said = format!(
        "the sender's log marks {addr} port {port} unhealthy {} ({} line {}): {cause}",
        detect::times(failed.count),
        failed.file,
        last.line
    );
    if let Some(count) = last.failure_count {
        said.push_str(&format!("; {count} failures in a row"));
    }
    if let Some(next) = last.next_retry {
        said.push_str(&format!(
            "; the next attempt was due {:.0} s later",
            next.seconds_since(last.time)
        ));
    }
    const TOLD_BY: [&str; 4] = [
        "balance.server-unavailable",
        "balance.retry-cadence",
        "connect.unanswered",
        "connect.refused",
    ];
    let known = (findings.iter_mut())
        .filter(|f| f.subject == Some(addr))
        .min_by_key(|f| {
            TOLD_BY
                .iter()
                .position(|id| *id == f.id)
                .unwrap_or(usize::MAX)
        })
        .filter(|f| TOLD_BY.contains(&f.id));
    if let Some(finding) = known {
        finding.confidence = finding.confidence.max(PROVEN);
        finding.summary.push_str("; ");
        finding.summary.push_str(&said);
        if !finding.words.iter().any(|(name, _)| *name == "cause") {
            finding.words.push(("cause", cause));
        }
        return;
    }
    findings.push(Finding {
        subject: Some(addr),
        hosts: vec![addr],
        start: at(failed.first),
        end: at(last.time),
        against: vec!["only the log says so: no flow of the capture shows it".to_owned()],
        measures: vec![("count", failed.count as f64), ("port", f64::from(port))],
        words: vec![("application", "smtp".to_owned()), ("cause", cause)],
        ..Finding::new(
            "balance.server-unavailable",
            Severity::Warning,
            PROVEN,
            said,
        )
    });
}

/// Findings of late replies that the server's own log does not bear out: it wrote the reply at once, or knows of no pause.
fn doubt(findings: &mut [Finding], logs: &Logs, flow_of: &BTreeMap<usize, &Span>, spread: i64) {
    let mut sessions: BTreeMap<FlowIndex, &LogSession> = BTreeMap::new();
    for (index, span) in flow_of {
        if let Some(session) = logs
            .sessions
            .get(*index)
            .filter(|s| s.kind == LogKind::Receive)
        {
            sessions.insert(span.flow, session);
        }
    }
    for finding in findings.iter_mut() {
        let set = matches!(
            finding.id,
            "smtp.tarpit" | "smtp.delayed-ack" | "smtp.back-pressure"
        );
        if !set && finding.id != "smtp.slow-server" {
            continue;
        }
        let logged: Vec<&LogSession> = finding
            .flows
            .iter()
            .filter_map(|f| sessions.get(f).copied())
            .collect();
        // Of flows that the log does not have, it says nothing.
        if logged.is_empty() || logged.len() < finding.flows.len() {
            continue;
        }
        let Some((_, longest)) = finding.measures.iter().find(|(name, _)| *name == "max_s") else {
            continue;
        };
        let exchanges = logged.iter().flat_map(|s| &s.exchanges);
        let in_log = exchanges
            .map(crate::facts::logs::Exchange::seconds)
            .fold(0.0, f64::max);
        let unnamed = logged.iter().all(|s| s.tarpits.is_empty());
        let first = logged
            .first()
            .map_or_else(String::new, |s| format!("{} line {}", s.file, s.line));
        if in_log + seconds(spread) < longest * SAME_WAIT {
            finding.confidence *= DOUBTED;
            finding.against.push(format!(
                "the server's own log has no reply later than {in_log:.1} s in these sessions ({first}): the time goes before its log, in a proxy, a filter or the network"
            ));
        } else if set && unnamed {
            finding.confidence *= DOUBTED;
            finding.against.push(format!(
                "the server's own log names no pause in these sessions ({first}): it was slow, or the pause is another's"
            ));
        }
    }
}

/// A display filter for the flows; empty where only logs tell.
fn filter(flows: &[FlowIndex]) -> String {
    if flows.is_empty() {
        String::new()
    } else {
        detect::filter(flows)
    }
}
