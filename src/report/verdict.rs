//! The whole report in one word and a sentence or two.
//!
//! Takes:  a [`Report`] whose findings are in order
//! Gives:  a [`Verdict`]
//! Never:  weighs a finding anew

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::build::hurts;
use super::model::{Finding, Flow, Report, Verdict};
use super::words::{self, count, duration, moment, plural, share};

/// From this confidence on a finding is at least likely, and the grade is `sick` rather than `suspect`.
const LIKELY: f64 = 0.6;

/// Sums up the findings; where there are none that hurt, says what was looked at.
/// `wanted`: the frames that a filter or a span of time leaves.
pub(super) fn verdict(report: &Report, wanted: Option<u64>) -> Verdict {
    let hurting: Vec<&Finding> = report.findings.iter().filter(|f| hurts(f)).collect();
    if let Some(worst) = hurting.first() {
        let sick = hurting.iter().any(|f| f.confidence >= LIKELY);
        return Verdict {
            grade: if sick { "sick" } else { "suspect" },
            text: bad(&hurting, worst, sick),
        };
    }
    if let Some(reason) = cannot_tell(report, wanted) {
        return Verdict {
            grade: "cannot-tell",
            text: reason,
        };
    }
    Verdict {
        grade: "healthy",
        text: healthy(report),
    }
}

fn bad(hurting: &[&Finding], worst: &Finding, sick: bool) -> String {
    let of = |severity: &str| hurting.iter().filter(|f| f.severity == severity).count() as u64;
    let (critical, warnings) = (of("critical"), of("warning"));
    let mut text = String::new();
    if critical > 0 {
        text.push_str(&plural(critical, "critical finding", "critical findings"));
    }
    if warnings > 0 {
        let joint = if critical > 0 { " and " } else { "" };
        let _ = write!(text, "{joint}{}", plural(warnings, "warning", "warnings"));
    }
    if !sick {
        text.push_str(", none of them certain");
    }
    let lead = if hurting.len() == 1 {
        ""
    } else {
        "the worst: "
    };
    let end = if worst.summary.ends_with('.') {
        ""
    } else {
        "."
    };
    let _ = write!(text, "; {lead}{}{end}", worst.summary.trim());
    text
}

/// Why nothing can be said, where that is so.
fn cannot_tell(report: &Report, wanted: Option<u64>) -> Option<String> {
    let totals = &report.totals;
    if totals.frames == 0 {
        return Some("The capture holds no frames, so nothing can be said.".to_owned());
    }
    let undecoded: u64 = report.captures.iter().map(|c| c.undecoded_frames).sum();
    if let Some(wanted) = wanted
        && totals.tcp_segments == 0
    {
        let first = report.captures.iter().filter_map(|c| c.first);
        let span = first.min_by_key(|t| t.0).map_or_else(String::new, |t| {
            format!(" The first frame is of {} UTC.", moment(t))
        });
        return Some(format!(
            "The filter or time span leaves {} of {}, and no TCP segment among them, so nothing can be said.{span}",
            count(wanted),
            plural(totals.frames, "frame", "frames")
        ));
    }
    if totals.tcp_segments == 0 {
        return Some(if undecoded > 0 {
            format!(
                "No TCP segment was found: {} of {} frames could not be decoded.",
                count(undecoded),
                count(totals.frames)
            )
        } else {
            format!(
                "The capture holds {} and no TCP segment among them.",
                plural(totals.frames, "frame", "frames")
            )
        });
    }
    if undecoded.saturating_mul(2) > totals.frames {
        return Some(format!(
            "{} of {} frames could not be decoded; what could be read shows nothing wrong, but that is too little to call it healthy.",
            count(undecoded),
            count(totals.frames)
        ));
    }
    let one_way = |f: &Flow| (f.client_to_server.frames == 0) != (f.server_to_client.frames == 0);
    let with_data = |f: &&Flow| f.client_to_server.frames + f.server_to_client.frames > 0;
    if !report.flows.is_empty() && report.flows.iter().filter(with_data).all(one_way) {
        return Some(
            "The capture shows one direction of each connection only; whether data arrived cannot be told from it.".to_owned(),
        );
    }
    None
}

fn healthy(report: &Report) -> String {
    let totals = &report.totals;
    let mut hosts = BTreeSet::new();
    let (mut data, mut repeats) = (0, 0);
    let (mut smtp, mut smb) = (0, 0);
    for flow in &report.flows {
        for end in [&flow.client, &flow.server] {
            hosts.insert(words::host(end));
        }
        for half in [&flow.client_to_server, &flow.server_to_client] {
            data += half.data_segments;
            repeats += half.retransmitted_segments;
        }
        smtp += u64::from(flow.smtp.is_some());
        smb += u64::from(flow.smb.is_some());
    }
    let mut text = format!(
        "Nothing is wrong with TCP here. Looked at: {} between {}",
        plural(totals.flows, "connection", "connections"),
        plural(hosts.len() as u64, "host", "hosts"),
    );
    let spans = report
        .captures
        .iter()
        .filter_map(|c| Some(c.last?.0.seconds_since(c.first?.0)));
    let span: f64 = spans.sum();
    if span > 0.0 {
        let _ = write!(text, " over {}", duration(span));
    }
    let _ = write!(
        text,
        " ({}, {}); how they opened and ended, losses and repeats ({} of {} sent again), checksums, windows and pauses",
        plural(totals.frames, "frame", "frames"),
        plural(totals.tcp_segments, "TCP segment", "TCP segments"),
        share(repeats, data),
        plural(data, "data segment", "data segments"),
    );
    let dialogs: Vec<String> = [("SMTP", smtp), ("SMB", smb)]
        .iter()
        .filter(|(_, n)| *n > 0)
        .map(|(name, n)| format!("the {name} dialog of {}", count(*n)))
        .collect();
    if !dialogs.is_empty() {
        let _ = write!(text, ", {}", dialogs.join(" and "));
    }
    text.push('.');
    if repeats > 0 {
        text.push_str(&why_repeats_are_harmless(report));
    }
    text
}

/// Repeats in a healthy capture ask for a word on why they are none the worse.
fn why_repeats_are_harmless(report: &Report) -> String {
    const EXPLAIN: [(&str, &str); 5] = [
        ("path.mtu-discovery", "path MTU discovery"),
        ("retransmission.spurious", "needless repeats"),
        ("loss.", "losses that were mended"),
        ("stall.", "short stalls"),
        ("connect.retried", "connections that came up later"),
    ];
    let seen: Vec<&str> = EXPLAIN
        .iter()
        .filter(|(id, _)| report.findings.iter().any(|f| f.id.starts_with(id)))
        .map(|(_, words)| *words)
        .collect();
    if seen.is_empty() {
        " The repeats are too few, or cost too little time, to matter.".to_owned()
    } else {
        format!(
            " The repeats go with {}, told of below as harmless.",
            seen.join(" and ")
        )
    }
}
