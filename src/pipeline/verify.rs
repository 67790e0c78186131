//! Analyses the captures from before and from after a remedy, and sets their measures side by side.
//!
//! Takes:  the settings of both runs
//! Gives:  the [`Report`] on the captures from after, with the verification beside it
//! Never:  measures anything itself: the report's flows hold all that is compared

use std::net::SocketAddr;

use crate::compare::verify::{self, Hurt, Run, Sample, SamplePhase};
use crate::detect::Severity;
use crate::report::model::{Flow, Half, Report};
use crate::report::{severity_named, verification};

use super::{Error, Settings, analyze};

/// Causes that are no part of a connection's work: its users' leisure.
const LEISURE: [&str; 3] = ["idle", "client-think", "close"];

/// Did the remedy work?
///
/// # Errors
/// As [`analyze`], of either run.
pub fn verify(before: &Settings, after: &Settings) -> Result<Report, Error> {
    let old = analyze(before)?;
    let new = analyze(after)?;
    let mut verified = verification::report(&verify::verify(&run(&old), &run(&new)), new);
    for (when, totals) in [
        ("before", old.totals.clone()),
        ("after", verified.totals.clone()),
    ] {
        if totals.flows_omitted > 0 {
            let listed = totals.flows - totals.flows_omitted;
            verified.notes.push(format!(
                "measures of the captures from {when} are those of {listed} listed connections of {}: such with findings, and the longest-lived",
                totals.flows
            ));
        }
    }
    verified.notes.extend(
        old.notes
            .iter()
            .map(|note| format!("of the captures from before: {note}")),
    );
    Ok(verified)
}

fn run(report: &Report) -> Run {
    Run {
        samples: report.flows.iter().filter_map(sample).collect(),
        hurts: report
            .findings
            .iter()
            .filter_map(|f| {
                let severity = severity_named(f.severity)?;
                (severity >= Severity::Warning).then(|| Hurt {
                    id: f.id.clone(),
                    hosts: f.hosts.clone(),
                    critical: severity == Severity::Critical,
                })
            })
            .collect(),
    }
}

#[allow(clippy::cast_precision_loss)]
fn sample(flow: &Flow) -> Option<Sample> {
    let host = |end: &str| end.parse::<SocketAddr>().ok();
    let (client, server) = (host(&flow.client)?, host(&flow.server)?);
    let halves = [&flow.client_to_server, &flow.server_to_client];
    let sum = |of: &dyn Fn(&Half) -> u64| halves.iter().map(|h| of(h)).sum::<u64>();
    let idle: f64 = flow
        .time
        .iter()
        .filter(|t| LEISURE.contains(&t.cause))
        .map(|t| t.seconds)
        .sum();
    // The direction that carries the data tells how steady it is.
    let main = halves.iter().max_by_key(|h| h.unique_octets)?;
    let service = match flow.application {
        "unknown" => format!("tcp/{}", server.port()),
        known => known.to_owned(),
    };
    #[allow(clippy::cast_possible_truncation)] // saturating is what is wanted
    let end = flow.start.0.plus_nanos((flow.duration * 1e9) as i64);
    Some(Sample {
        hosts: [client.ip().to_string(), server.ip().to_string()],
        ends: [flow.client.clone(), flow.server.clone()],
        seen: [flow.start.0, end],
        // A SYN that nobody answers shows all that there is.
        one_sided: flow.end != "unanswered" && halves.iter().any(|h| h.frames == 0),
        service,
        octets: sum(&|h| h.unique_octets),
        seconds: (flow.duration - idle).max(0.0),
        best: main.goodput_bps.as_ref().map(|g| g.peak / 8.0),
        worst: main.goodput_bps.as_ref().map(|g| g.worst / 8.0),
        segments: sum(&|h| h.data_segments),
        repeated: sum(&|h| h.retransmitted_segments),
        stalled: halves
            .iter()
            .flat_map(|h| &h.stalls)
            .filter(|s| !LEISURE.contains(&s.cause))
            .map(|s| s.seconds)
            .sum(),
        phases: flow
            .smtp
            .iter()
            .flat_map(|s| &s.phases)
            .map(|(phase, p)| SamplePhase {
                name: phase,
                count: p.count,
                times: [p.min, p.median, p.max],
            })
            .collect(),
    })
}
