//! What the hosts at the ends did with what came: took it or not, answered or not, and how soon.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::super::fate::{Event, EventKind, Events, Fate};
use super::super::{Compared, Ground, Joined};
use super::{ENOUGH, MAX_PROOF, Way, is_syn, share};
use crate::detect::{Evidence, Finding, Severity, percent, plural, span, spoilt};
use crate::net::{Direction, FrameRef};

/// Share from which even one or two segments are worth a word.
const MANY: f64 = 0.1;
/// Seconds in which a host that can answer a SYN has answered it.
const SILENT: f64 = 0.5;
/// A host's answers are slow that make users wait as long as this together, one of them as long as the second.
const SLOW_SECONDS: f64 = 1.0;
const SLOW_LONGEST: f64 = 0.5;

impl Way<'_> {
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn host(&self, out: &mut Vec<Finding>) {
        let sum = &self.sum;
        let (from, to) = (self.from, self.to);
        let part = share(sum.not_taken, sum.matched);
        if sum.not_taken < ENOUGH && part < MANY {
            return;
        }
        let events = self.events(|k| k == EventKind::Fate(Fate::Refused));
        let mut f = self.finding(
            "host.arrived-not-acknowledged",
            spoilt(part),
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
}

/// Where connections did not come about, or late.
#[allow(clippy::cast_precision_loss)]
pub(super) fn connections(compared: &Compared, out: &mut Vec<Finding>) {
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
                .flat_map(|j| j.events.iter().flat_map(Events::iter))
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
            let hosts = (client, server);
            let way = Way::naming(hosts, list.iter().copied(), Direction::ClientToServer);
            let mut f = way.finding(id, severity, 0.95, text, &syns, |_| {
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
pub(super) fn not_shown(compared: &Compared, out: &mut Vec<Finding>) {
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
    let way = Way::naming(
        (client, server),
        list.iter().copied(),
        Direction::ClientToServer,
    );
    let n = list.len() as u64;
    let mut f = way.finding(
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

/// Hosts that answer late, which is no matter of the path.
#[allow(clippy::cast_precision_loss)]
pub(super) fn answers(compared: &Compared, out: &mut Vec<Finding>) {
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
        let hosts = (server, slowest.client.addr);
        let way = Way::naming(hosts, list.iter().copied(), Direction::ServerToClient);
        let mut f = way.finding(
            "server.slow",
            if wait.longest >= SLOW_SECONDS || seconds >= SLOW_LONGEST * answers as f64 {
                Severity::Warning
            } else {
                Severity::Info
            },
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
        f.end = list.iter().map(|j| j.start).max().unwrap_or_default();
        out.push(f);
    }
}
