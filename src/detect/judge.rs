//! Puts findings in order, causes before what they bring about.
//!
//! Takes:  the findings of all detectors
//! Gives:  the same, sorted by severity and seconds lost; a cause takes over the seconds of its consequences
//! Never:  drops a finding; holds every finding against every other: there may be tens of thousands

use std::collections::HashMap;
use std::net::IpAddr;

use super::{Finding, Severity};
use crate::flow::FlowIndex;

/// What a consequence becomes beside its cause.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    /// It stays as bad as it is, behind the cause.
    Follows,
    /// It stands beside the cause: one is what is seen, the other what probably makes it.
    Beside,
    /// It is only told.
    Info,
}

/// Symptoms that bring others about on the same flows or between the same hosts.
const BRINGS: &[(&str, &[&str], Then)] = &[
    (
        "checksum.offload-broken",
        &["storm.retransmission"],
        Then::Beside,
    ),
    ("storm.retransmission", &["close.gave-up"], Then::Follows),
    (
        "path.mtu-black-hole",
        &[
            "storm.retransmission",
            "throughput.collapse",
            "close.gave-up",
            "smtp.connection-dropped",
            "smtp.timeout",
        ],
        Then::Follows,
    ),
    (
        "path.mtu-black-hole",
        &[
            "loss.network",
            "loss.congestion",
            "stall.timeout",
            "stall.tail-loss",
        ],
        Then::Info,
    ),
    (
        "path.mtu-discovery",
        &[
            "loss.network",
            "loss.congestion",
            "stall.timeout",
            "stall.tail-loss",
            "retransmission.spurious",
        ],
        Then::Info,
    ),
    (
        "link.outage",
        &[
            "loss.network",
            "loss.congestion",
            "stall.timeout",
            "stall.tail-loss",
            "throughput.collapse",
            "path.latency-spike",
            "loss.ack",
            "retransmission.spurious",
            "smtp.slow-server",
            "server.slow",
        ],
        Then::Info,
    ),
    (
        "checksum.offload-broken",
        &[
            "throughput.collapse",
            "close.gave-up",
            "smtp.connection-dropped",
            "smtp.timeout",
        ],
        Then::Follows,
    ),
    (
        "checksum.offload-broken",
        &[
            "loss.network",
            "loss.congestion",
            "stall.timeout",
            "stall.tail-loss",
            "loss.ack",
        ],
        Then::Info,
    ),
    (
        "checksum.corruption-on-path",
        &[
            "loss.network",
            "loss.congestion",
            "stall.timeout",
            "stall.tail-loss",
            "host.arrived-not-acknowledged",
        ],
        Then::Info,
    ),
    (
        "host.arrived-not-acknowledged",
        &[
            "loss.network",
            "loss.congestion",
            "stall.timeout",
            "stall.tail-loss",
        ],
        Then::Info,
    ),
    (
        "storm.retransmission",
        &[
            "loss.network",
            "loss.congestion",
            "stall.timeout",
            "stall.tail-loss",
            "loss.ack",
            "smtp.slow-server",
            "server.slow",
        ],
        Then::Info,
    ),
    (
        "window.zero",
        &["retransmission.spurious", "loss.ack", "server.slow"],
        Then::Info,
    ),
    (
        "path.latency-spike",
        &["retransmission.spurious", "loss.ack"],
        Then::Info,
    ),
    (
        "path.sack-shifted",
        &[
            "stall.timeout",
            "stall.tail-loss",
            "retransmission.spurious",
        ],
        Then::Follows,
    ),
    (
        "reordering.network",
        &["retransmission.spurious"],
        Then::Info,
    ),
    ("loss.ack", &["retransmission.spurious"], Then::Info),
    (
        "path.bufferbloat",
        &["path.latency-spike", "retransmission.spurious"],
        Then::Info,
    ),
    (
        "throughput.collapse",
        &["loss.network", "loss.congestion"],
        Then::Follows,
    ),
];

/// Families of findings about TCP itself.
const OF_TCP: [&str; 7] = [
    "loss.",
    "storm.",
    "stall.",
    "link.",
    "checksum.",
    "path.",
    "throughput.",
];

/// Faults of the capture that make times doubtful, by how much, and what to say of it.
const DOUBTS: [(&str, f64, &str); 2] = [
    (
        "capture.disorder",
        0.9,
        "the capture itself is out of order on these connections, and was put right by its times",
    ),
    (
        "capture.clock",
        0.7,
        "the capture's clock was set anew during these connections",
    ),
];

/// Families of findings that go by times.
const BY_TIME: [&str; 9] = [
    "loss.",
    "stall.",
    "link.",
    "path.",
    "throughput.",
    "limit.",
    "reordering.",
    "retransmission.",
    "server.",
];

/// Confidence from which a cause explains anything.
const SURE: f64 = 0.6;

/// Findings in the order of the report: by severity, then by seconds lost; of equals, the cause first.
#[must_use]
pub fn judge(mut findings: Vec<Finding>) -> Vec<Finding> {
    for f in &mut findings {
        // Waits of flows side by side add up to more than the clock shows; what TCP lost is told in time that went by.
        let whole = f.end.seconds_since(f.start);
        let tcp = OF_TCP.iter().any(|family| f.id.starts_with(family));
        if let Some(lost) = f.seconds_lost.filter(|_| tcp && whole > 0.0) {
            f.seconds_lost = Some(lost.min(whole));
        }
    }
    doubt(&mut findings);
    let mut behind = vec![0u32; findings.len()];
    let relations = Relations::of(&findings);
    for (cause_id, consequences, then) in BRINGS {
        for cause in 0..findings.len() {
            if findings[cause].id != *cause_id || findings[cause].confidence < SURE {
                continue;
            }
            for other in relations.with(&findings[cause]) {
                if !consequences.contains(&findings[other].id) {
                    continue;
                }
                let lost = findings[other].seconds_lost;
                if let Some(lost) = lost {
                    let own = findings[cause].seconds_lost.unwrap_or(0.0);
                    findings[cause].seconds_lost = Some(own.max(lost));
                }
                if *then == Then::Info && findings[other].severity > Severity::Info {
                    findings[other].severity = Severity::Info;
                    findings[other]
                        .against
                        .push(format!("explained by {cause_id}"));
                } else if *then == Then::Follows {
                    findings[cause].severity =
                        findings[cause].severity.max(findings[other].severity);
                }
                if *then != Then::Beside {
                    behind[other] += 1;
                }
            }
        }
    }
    ordered(findings, &behind)
}

/// Share of segments passed over or damaged from which users wait: as of what is lost, since it is sent again alike.
const SPOILT: f64 = 0.001;
/// Share from which that is worth more than a warning: ten times as many.
const MOST_SPOILT: f64 = 0.01;

/// How much it hurts that a host passes over, or the path damages, this share of the segments.
#[must_use]
pub fn spoilt(share: f64) -> Severity {
    if share >= MOST_SPOILT {
        Severity::Critical
    } else if share >= SPOILT {
        Severity::Warning
    } else {
        Severity::Info
    }
}

/// Findings of two captures in the same order. Each segment has one fate there, so that what is told of some is no consequence of what is
/// told of others.
#[must_use]
pub fn rank(mut findings: Vec<Finding>) -> Vec<Finding> {
    doubt(&mut findings);
    let behind = vec![0; findings.len()];
    ordered(findings, &behind)
}

/// `behind`: of how many others each is a consequence.
fn ordered(findings: Vec<Finding>, behind: &[u32]) -> Vec<Finding> {
    let mut order: Vec<usize> = (0..findings.len()).collect();
    order.sort_by(|&x, &y| {
        let (a, b) = (&findings[x], &findings[y]);
        b.severity
            .cmp(&a.severity)
            .then(
                b.seconds_lost
                    .unwrap_or(0.0)
                    .total_cmp(&a.seconds_lost.unwrap_or(0.0)),
            )
            .then(behind[x].cmp(&behind[y]))
            .then(b.confidence.total_cmp(&a.confidence))
            .then(a.id.cmp(b.id))
            .then(a.hosts.cmp(&b.hosts))
            .then(a.flows.cmp(&b.flows))
    });
    let mut slots: Vec<Option<Finding>> = findings.into_iter().map(Some).collect();
    order.into_iter().filter_map(|n| slots[n].take()).collect()
}

/// What goes by times is less sure where the capture's own order or clock is at fault.
fn doubt(findings: &mut [Finding]) {
    for (id, factor, why) in DOUBTS {
        let Some(fault) = findings.iter().find(|f| f.id == id) else {
            continue;
        };
        let flows = fault.flows.clone();
        let by_time = findings.iter_mut().filter(|f| {
            BY_TIME.iter().any(|family| f.id.starts_with(family))
                && f.flows.iter().any(|n| flows.binary_search(n).is_ok())
        });
        for f in by_time {
            f.confidence *= factor;
            f.against.push(why.to_owned());
        }
    }
}

/// Which findings are brought about by another of them: what mends the cause mends these too.
#[must_use]
pub fn consequences(findings: &[Finding]) -> Vec<bool> {
    let mut follows = vec![false; findings.len()];
    let relations = Relations::of(findings);
    for (cause_id, brought, then) in BRINGS {
        if *then == Then::Beside {
            continue;
        }
        for cause in findings.iter().filter(|f| f.id == *cause_id) {
            if cause.confidence < SURE {
                continue;
            }
            for other in relations.with(cause) {
                follows[other] |= brought.contains(&findings[other].id);
            }
        }
    }
    follows
}

/// Which findings that another may have brought about are about the same flows as it, or the same pair of hosts.
struct Relations {
    by_pair: HashMap<(IpAddr, IpAddr), Vec<usize>>,
    by_flow: HashMap<FlowIndex, Vec<usize>>,
}

impl Relations {
    fn of(findings: &[Finding]) -> Self {
        let mut all = Self {
            by_pair: HashMap::new(),
            by_flow: HashMap::new(),
        };
        for (n, f) in findings.iter().enumerate() {
            if !BRINGS.iter().any(|(_, brought, _)| brought.contains(&f.id)) {
                continue;
            }
            if let Some(pair) = pair(f) {
                all.by_pair.entry(pair).or_default().push(n);
            }
            for flow in &f.flows {
                all.by_flow.entry(*flow).or_default().push(n);
            }
        }
        all
    }

    /// Their places, ascending.
    fn with(&self, cause: &Finding) -> Vec<usize> {
        let of_pair = pair(cause).and_then(|pair| self.by_pair.get(&pair));
        let of_flows = cause.flows.iter().filter_map(|f| self.by_flow.get(f));
        let mut all: Vec<usize> = of_pair
            .into_iter()
            .chain(of_flows)
            .flatten()
            .copied()
            .collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// The two hosts that a finding is about, in either order.
fn pair(f: &Finding) -> Option<(IpAddr, IpAddr)> {
    let (a, b) = f.subject.zip(f.peer)?;
    Some((a.min(b), a.max(b)))
}

#[cfg(test)]
mod tests {
    use super::super::trace::Trace;
    use super::*;

    fn finding(id: &'static str, severity: Severity, lost: f64, flow: u64) -> Finding {
        let mut f = Trace::default().finding(id, severity, 0.9, id.to_owned());
        f.flows = vec![flow];
        f.seconds_lost = (lost > 0.0).then_some(lost);
        f
    }

    #[test]
    fn causes_come_first() {
        use Severity::{Critical, Info, Warning};
        for (name, given, want) in [
            (
                "by severity, then seconds",
                vec![
                    ("a", Warning, 5.0, 1),
                    ("b", Critical, 1.0, 2),
                    ("c", Warning, 9.0, 3),
                ],
                vec![("b", Critical), ("c", Warning), ("a", Warning)],
            ),
            (
                "a black hole before its storm",
                vec![
                    ("storm.retransmission", Critical, 9.0, 1),
                    ("path.mtu-black-hole", Critical, 2.0, 1),
                ],
                vec![
                    ("path.mtu-black-hole", Critical),
                    ("storm.retransmission", Critical),
                ],
            ),
            (
                "another flow's storm is no consequence",
                vec![
                    ("storm.retransmission", Critical, 9.0, 1),
                    ("path.mtu-black-hole", Critical, 2.0, 2),
                ],
                vec![
                    ("storm.retransmission", Critical),
                    ("path.mtu-black-hole", Critical),
                ],
            ),
            (
                "each loss by the corruption on its own flow",
                vec![
                    ("loss.network", Warning, 3.0, 1),
                    ("checksum.corruption-on-path", Warning, 0.0, 2),
                    ("loss.network", Warning, 2.0, 2),
                ],
                vec![
                    ("loss.network", Warning),
                    ("checksum.corruption-on-path", Warning),
                    ("loss.network", Info),
                ],
            ),
            (
                "loss is explained by corruption",
                vec![
                    ("loss.network", Warning, 3.0, 1),
                    ("checksum.corruption-on-path", Warning, 0.0, 1),
                ],
                vec![
                    ("checksum.corruption-on-path", Warning),
                    ("loss.network", Info),
                ],
            ),
        ] {
            let findings = given
                .into_iter()
                .map(|(id, s, lost, flow)| finding(id, s, lost, flow))
                .collect();
            let got: Vec<_> = judge(findings).iter().map(|f| (f.id, f.severity)).collect();
            assert_eq!(got, want, "{name}");
        }
    }
}
