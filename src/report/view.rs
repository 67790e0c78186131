//! What formats made for people show of a report, and in which order: shared, so that all tell the same.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::beside::Shape;
use super::model::{Evidence, Finding, Flow, Remedy, Report, Step};
use super::words::duration;
use super::{severity_named, words};
use crate::detect;

/// Causes that hold a transfer up, as opposed to those that are its work or its users' leisure.
const HOLD_UPS: [&str; 9] = [
    "receive-window",
    "zero-window",
    "send-buffer",
    "loss-recovery",
    "timeout",
    "tail-loss",
    "delayed-ack",
    "path-delay",
    "server-think",
];

/// Frames in a filter of proof.
const PROOF_FRAMES: usize = 50;

/// A report and what is looked up in it time and again.
pub(super) struct View<'a> {
    pub(super) report: &'a Report,
    /// How bad the worst finding of a flow is, 0 for none.
    worst: HashMap<u64, u8>,
}

impl<'a> View<'a> {
    pub(super) fn new(report: &'a Report) -> Self {
        let mut worst: HashMap<u64, u8> = HashMap::new();
        for finding in &report.findings {
            let rank = severity_named(finding.severity).map_or(0, |s| s as u8 + 1);
            for flow in &finding.flows {
                let entry = worst.entry(*flow).or_default();
                *entry = rank.max(*entry);
            }
        }
        Self { report, worst }
    }

    /// How bad the worst finding of a flow is: 0 none, 1 info, 2 warning, 3 critical.
    pub(super) fn worst_of(&self, flow: &Flow) -> u8 {
        self.worst.get(&flow.index).copied().unwrap_or_default()
    }

    /// Whether a finding that hurts names this flow.
    pub(super) fn is_hurt(&self, flow: &Flow) -> bool {
        self.worst
            .get(&flow.index)
            .is_some_and(|rank| *rank > detect::Severity::Info as u8 + 1)
    }

    /// Findings with their number in the report, from 1, that hurt.
    pub(super) fn hurting(&self) -> Vec<(usize, &'a Finding)> {
        self.numbered(true)
    }

    /// Those that are only worth knowing.
    pub(super) fn harmless(&self) -> Vec<(usize, &'a Finding)> {
        self.numbered(false)
    }

    fn numbered(&self, hurts: bool) -> Vec<(usize, &'a Finding)> {
        (1..)
            .zip(&self.report.findings)
            .filter(|(_, f)| super::build::hurts(f) == hurts)
            .collect()
    }

    /// `192.0.2.1 (mail.example)`, unescaped.
    pub(super) fn host(&self, addr: &str) -> String {
        match self.report.names.get(addr) {
            Some(name) if name != addr => format!("{addr} ({name})"),
            _ => addr.to_owned(),
        }
    }

    /// `192.0.2.1:25 (mail.example)`, unescaped.
    pub(super) fn endpoint(&self, endpoint: &str) -> String {
        let addr = words::host(endpoint);
        match self.report.names.get(addr) {
            Some(name) if name != addr => format!("{endpoint} ({name})"),
            _ => endpoint.to_owned(),
        }
    }

    /// A filter that shows one flow: by its number, which is Wireshark's too where one file is read; else by its ends.
    pub(super) fn stream_filter(&self, flow: &Flow) -> String {
        if self.report.captures.len() == 1 {
            return format!("tcp.stream == {}", flow.index);
        }
        let end = |endpoint: &str| {
            let addr = words::host(endpoint);
            let port = endpoint.rsplit_once(':').map_or("0", |(_, port)| port);
            let family = if addr.contains(':') { "ipv6" } else { "ip" };
            format!("{family}.addr == {addr} && tcp.port == {port}")
        };
        format!("{} && {}", end(&flow.client), end(&flow.server))
    }

    /// `frame 1198`, with the capture's number where there are several.
    pub(super) fn frame(&self, evidence: &Evidence) -> String {
        if self.report.captures.len() > 1 {
            format!(
                "{} frame {}",
                self.capture(evidence.capture),
                evidence.frame
            )
        } else {
            format!("frame {}", evidence.frame)
        }
    }

    /// What a capture is called: `capture 2`; of a comparison `left` or `right`, with a number where that side has several files.
    pub(super) fn capture(&self, index: u32) -> String {
        let Some(Shape::Comparison(comparison)) = &self.report.beside.shape else {
            return format!("capture {}", index.saturating_add(1));
        };
        let (index, left) = (index as usize, comparison.left_captures);
        let right = self.report.captures.len().saturating_sub(left);
        let (side, number, of) = if index < left {
            ("left", index + 1, left)
        } else {
            ("right", index - left + 1, right)
        };
        if of > 1 {
            format!("{side} {number}")
        } else {
            side.to_owned()
        }
    }

    /// Filters that show the frames of proof and nothing else, one for each capture that has some.
    pub(super) fn proof_filters(finding: &Finding) -> Vec<(u32, String)> {
        let mut captures: BTreeMap<u32, BTreeSet<u64>> = BTreeMap::new();
        for evidence in &finding.evidence {
            captures
                .entry(evidence.capture)
                .or_default()
                .insert(evidence.frame);
        }
        captures
            .into_iter()
            .map(|(capture, frames)| {
                let frames = frames.iter().take(PROOF_FRAMES).map(u64::to_string);
                let frames: Vec<String> = frames.collect();
                (
                    capture,
                    format!("frame.number in {{{}}}", frames.join(", ")),
                )
            })
            .collect()
    }

    /// The only one; `None` where the frames are of several captures.
    pub(super) fn proof_filter(finding: &Finding) -> Option<String> {
        match Self::proof_filters(finding).as_slice() {
            [(_, filter)] => Some(filter.clone()),
            _ => None,
        }
    }

    /// The first finding before this one, by its number, that is proven by the same frames; a single one must be
    /// described in the same words too.
    pub(super) fn same_proof(&self, number: usize, finding: &Finding) -> Option<usize> {
        if finding.evidence.is_empty() {
            return None;
        }
        let before = self.report.findings.iter().take(number.saturating_sub(1));
        (1..)
            .zip(before)
            .find(|(_, other)| {
                super::build::hurts(other)
                    && other.evidence.len() == finding.evidence.len()
                    && other.evidence.iter().zip(&finding.evidence).all(|(a, b)| {
                        let one = finding.evidence.len() == 1;
                        (a.capture, a.frame) == (b.capture, b.frame) && (!one || a.text == b.text)
                    })
            })
            .map(|(number, _)| number)
    }

    /// Numbers, from 1, of the findings that a remedy is for: `for finding 1`, `for findings 1, 3`.
    pub(super) fn called_for_by(remedy: &Remedy) -> String {
        let numbers: Vec<String> = remedy
            .findings
            .iter()
            .map(|n| (n + 1).to_string())
            .collect();
        match numbers.len() {
            0 => String::new(),
            1 => format!("for finding {}", numbers.join("")),
            _ => format!("for findings {}", numbers.join(", ")),
        }
    }

    /// The flows worth a look first: those with the worst findings, then those held up longest, then most repeats.
    pub(super) fn flows_worst_first(&self) -> Vec<&'a Flow> {
        let mut flows: Vec<&Flow> = self.report.flows.iter().collect();
        let key = |f: &Flow| {
            let rank = self.worst.get(&f.index).copied().unwrap_or_default();
            (rank, held_up_seconds(f), repeats(f))
        };
        flows.sort_by(|a, b| {
            let (a, b) = ((key(a), a.index), (key(b), b.index));
            b.0.0
                .cmp(&a.0.0)
                .then(b.0.1.total_cmp(&a.0.1))
                .then(b.0.2.cmp(&a.0.2))
                .then(a.1.cmp(&b.1))
        });
        flows
    }
}

/// Seconds of a flow's life in which something held it up.
fn held_up_seconds(flow: &Flow) -> f64 {
    hold_ups(flow).map(|(_, seconds)| seconds).sum()
}

fn hold_ups(flow: &Flow) -> impl Iterator<Item = (&'static str, f64)> {
    flow.time
        .iter()
        .filter(|share| HOLD_UPS.contains(&share.cause))
        .map(|share| (share.cause, share.seconds))
}

/// What held a flow up most, and for how many seconds; `None` where nothing did for as long as a tenth of one.
pub(super) fn held_up_most(flow: &Flow) -> Option<(&'static str, f64)> {
    hold_ups(flow)
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .filter(|(_, seconds)| *seconds >= 0.1)
}

/// The same in words: `timeout 12.3 s`.
pub(super) fn held_up_by(flow: &Flow) -> String {
    held_up_most(flow).map_or_else(String::new, |(cause, seconds)| {
        format!("{cause} {}", duration(seconds))
    })
}

/// Segments sent again, both ways.
pub(super) const fn repeats(flow: &Flow) -> u64 {
    flow.client_to_server.retransmitted_segments + flow.server_to_client.retransmitted_segments
}

/// Data segments, both ways.
pub(super) const fn data_segments(flow: &Flow) -> u64 {
    flow.client_to_server.data_segments + flow.server_to_client.data_segments
}

/// `12 (3.4 %)`; empty for none.
pub(super) fn repeats_shown(flow: &Flow) -> String {
    match repeats(flow) {
        0 => String::new(),
        n => format!(
            "{} ({})",
            words::count(n),
            words::share(n, data_segments(flow))
        ),
    }
}

/// `7 min 37 s lost, summed over 2 connections`: what these waited at the same time counts for each.
pub(super) fn lost(finding: &Finding) -> Option<String> {
    let seconds = duration(finding.seconds_lost?);
    Some(match finding.flows.len() as u64 {
        0 | 1 => format!("{seconds} lost"),
        n => format!(
            "{seconds} lost, summed over {} connections",
            words::count(n)
        ),
    })
}

/// How sure a finding is, and what it cost: `proven, 2.5 s lost`.
pub(super) fn weight(finding: &Finding) -> String {
    let sure = words::confidence(finding.confidence);
    lost(finding).map_or_else(|| sure.to_owned(), |lost| format!("{sure}, {lost}"))
}

/// What would decide whether a remedy fits, as questions: what is only asked must not read like a fact.
pub(super) fn unknown(remedy: &Remedy) -> Vec<String> {
    let questions = remedy.unknown.iter();
    questions.map(|what| format!("whether {what}")).collect()
}

/// Hosts of one step that are named.
const HOSTS_OF_STEP: usize = 8;

/// Steps, with what is the same on several hosts told once: on `192.0.2.1, 192.0.2.25`.
pub(super) fn together(steps: &[Step]) -> Vec<Step> {
    let mut told: Vec<(Step, Vec<&str>)> = Vec::new();
    for step in steps {
        let one = Step {
            on: None,
            ..step.clone()
        };
        let on = step.on.as_deref();
        let same = |(other, hosts): &&mut (Step, Vec<&str>)| {
            *other == one && hosts.is_empty() == on.is_none()
        };
        match told.iter_mut().find(same) {
            Some((_, hosts)) => hosts.extend(on),
            None => told.push((one, on.into_iter().collect())),
        }
    }
    told.into_iter()
        .map(|(step, hosts)| {
            let named = hosts.get(..HOSTS_OF_STEP).unwrap_or(&hosts).join(", ");
            let on = match hosts.len() {
                0 => None,
                n if n > HOSTS_OF_STEP => Some(format!("{named} and {} more", n - HOSTS_OF_STEP)),
                _ => Some(named),
            };
            Step { on, ..step }
        })
        .collect()
}

/// `reset by server`.
pub(super) fn end_shown(flow: &Flow) -> String {
    match flow.ended_by {
        Some(by) => format!("{} by {by}", flow.end),
        None => flow.end.to_owned(),
    }
}

/// Shares of a flow's life, longest first, without those under a thousandth of it.
pub(super) fn life(flow: &Flow) -> Vec<(&'static str, f64)> {
    let mut shares: Vec<(&'static str, f64)> = flow
        .time
        .iter()
        .filter(|s| s.seconds > 0.0 && s.seconds >= flow.duration / 1000.0)
        .map(|s| (s.cause, s.seconds))
        .collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    shares
}

/// What a finding follows from, where the detect stage found that out: `explained by …`.
pub(super) fn explained(finding: &Finding) -> Option<&str> {
    let mut against = finding.against.iter().map(String::as_str);
    against.find(|reason| reason.starts_with("explained by "))
}
