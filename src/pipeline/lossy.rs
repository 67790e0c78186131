//! Lets findings know what the capturing system dropped: what is missing in a lossy capture may have been on the wire.
//!
//! Takes:  findings, what is known of the captures
//! Gives:  the same findings; those that rest on frames not seen are less certain, and say why
//! Never:  drops a finding; touches one that rests on what was seen

use crate::capture::CaptureInfo;
use crate::decode::Undecoded;
use crate::detect::Finding;

/// Families and ids that go by frames that are not there.
const BY_ABSENCE: [&str; 9] = [
    "loss.",
    "storm.",
    "stall.",
    "link.",
    "connect.unanswered",
    "path.mtu-black-hole",
    "host.arrived-not-acknowledged",
    "throughput.collapse",
    "smtp.timeout",
];

/// Share of all frames from which on nothing that goes by absence is proven any more.
const SOME: f64 = 0.0001;
/// Share from which on it is hardly likely.
const MANY: f64 = 0.05;

/// The most that such a finding is worth beside this share of dropped frames.
fn most(share: f64) -> f64 {
    match share {
        share if share < SOME => 1.0,
        share if share < MANY => 0.94,
        _ => 0.59,
    }
}

/// Weighs the findings.
#[allow(clippy::cast_precision_loss)]
pub(super) fn weigh(findings: &mut [Finding], captures: &[(CaptureInfo, Vec<Undecoded>)]) {
    let dropped: u64 = captures
        .iter()
        .filter_map(|(info, _)| info.dropped_by_capture)
        .fold(0, u64::saturating_add);
    let frames: u64 = captures.iter().map(|(info, _)| info.frames).sum();
    weigh_by(findings, dropped, frames);
}

/// The same for a capture of so many frames, beside which so many were dropped.
#[allow(clippy::cast_precision_loss)]
pub(super) fn weigh_by(findings: &mut [Finding], dropped: u64, frames: u64) {
    if dropped == 0 {
        return;
    }
    let share = dropped as f64 / (dropped as f64 + frames as f64);
    for finding in findings
        .iter_mut()
        .filter(|f| BY_ABSENCE.iter().any(|family| f.id.starts_with(family)))
    {
        finding.confidence = finding.confidence.min(most(share));
        finding.against.push(format!(
            "the capturing system dropped {dropped} frames ({:.2} % of all): what looks lost may be missing in the capture alone",
            100.0 * share
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Severity;

    fn finding(id: &'static str) -> Finding {
        Finding::new(id, Severity::Critical, 0.97, String::new())
    }

    #[test]
    fn a_lossy_capture_proves_no_loss() {
        for (name, id, dropped, want) in [
            ("nothing dropped", "storm.retransmission", 0, 0.97),
            ("a few in a million", "storm.retransmission", 5, 0.97),
            ("some", "storm.retransmission", 5_000, 0.94),
            ("many", "loss.network", 500_000, 0.59),
            ("a refusal was seen", "connect.refused", 500_000, 0.97),
            (
                "an answer that is late was seen",
                "server.slow",
                500_000,
                0.97,
            ),
        ] {
            let mut findings = [finding(id)];
            weigh_by(&mut findings, dropped, 1_000_000);
            assert!((findings[0].confidence - want).abs() < 1e-9, "{name}");
        }
    }
}
