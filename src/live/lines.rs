//! The news of a run as lines: for people, and as one JSON object a line.
//!
//! Takes:  [`News`], interfaces
//! Gives:  lines; text from packets in them is still to be escaped by whoever prints them, JSON is escaped
//! Never:  writes a line for each packet

use std::io::{self, Write};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{News, Status};
use crate::capture::live::Interface;
use crate::net::Timestamp;
use crate::pipeline::live::Alert;
use crate::report::json::one_line;
use crate::report::model::{Epoch, Finding, Flow, Report};

/// Lines about how the run stands come this often.
const STANDING: Duration = Duration::from_secs(30);

/// Writes lines for people.
#[derive(Debug)]
pub struct Look {
    full: bool,
    stood: Option<Instant>,
    drops: u64,
}

impl Look {
    /// `full`: with filters, and what speaks against findings.
    #[must_use]
    pub const fn new(full: bool) -> Self {
        Self {
            full,
            stood: None,
            drops: 0,
        }
    }

    /// What to print of an item.
    pub fn lines(&mut self, item: &News) -> Vec<String> {
        match item {
            News::Status(status) => self.status(status),
            News::Trouble(time, text) => vec![format!("{} {text}", clock(*time))],
            News::Interim(report) => {
                let mut lines = vec![format!(
                    "-- {}: {}",
                    report.verdict.grade, report.verdict.text
                )];
                for finding in &report.findings {
                    lines.push(format!(
                        "   {} {}: {}",
                        finding.severity, finding.id, finding.summary
                    ));
                }
                lines
            }
            News::Flow(_) => Vec::new(),
        }
    }

    fn status(&mut self, status: &Status) -> Vec<String> {
        let snapshot = &status.snapshot;
        let mut lines = Vec::new();
        for alert in &snapshot.begun {
            self.begun(alert, &mut lines);
        }
        for alert in &snapshot.ended {
            lines.push(format!(
                "{} ended    {} (number {})",
                clock(snapshot.time),
                alert.finding.id,
                alert.number
            ));
        }
        let dropped = status.drops.all();
        if dropped > self.drops {
            lines.push(format!(
                "{} the kernel and the interface dropped {} frames more; loss is less certain from here on",
                clock(snapshot.time),
                dropped - self.drops
            ));
            self.drops = dropped;
        }
        if self.stood.is_none_or(|at| at.elapsed() >= STANDING) {
            self.stood = Some(Instant::now());
            lines.push(standing(status));
        }
        lines
    }

    fn begun(&self, alert: &Alert, lines: &mut Vec<String>) {
        let finding = &alert.finding;
        lines.push(format!(
            "{} {:<8} {} (number {}): {}",
            clock(alert.began.0),
            finding.severity,
            finding.id,
            alert.number,
            finding.summary
        ));
        if let Some(remedy) = finding.remediations.first() {
            lines.push(format!("         first: tcptriage explain {remedy}"));
        }
        if self.full {
            lines.push(format!("         wireshark: {}", finding.display_filter));
            for against in &finding.against {
                lines.push(format!("         but: {against}"));
            }
        }
    }
}

/// `20:15:03 1204 frames, 3 flows under way, nothing dropped`.
fn standing(status: &Status) -> String {
    let snapshot = &status.snapshot;
    let drops = match (status.drops.by_kernel, status.drops.by_interface) {
        (0, 0) => "nothing dropped".to_owned(),
        (kernel, interface) => {
            format!("dropped {kernel} by the kernel, {interface} by the interface")
        }
    };
    let mut text = format!(
        "{} {} frames, {} flows under way, {} findings on, {drops}",
        clock(snapshot.time),
        snapshot.frames,
        snapshot.under_way,
        snapshot.alerts.len()
    );
    if let Some(ring) = &status.ring {
        text += &format!(", {} frames written", ring.frames);
        if ring.lost > 0 {
            text += &format!(" ({} could not be)", ring.lost);
        }
    }
    text
}

/// Time of day, UTC.
fn clock(time: Timestamp) -> String {
    jiff::Timestamp::from_nanosecond(i128::from(time.0))
        .map_or_else(|_| String::new(), |t| t.strftime("%H:%M:%S").to_string())
}

/// A finding begins or ends.
#[derive(Serialize)]
struct OfFinding<'a> {
    event: &'static str,
    time: Epoch,
    /// The same at the beginning and at the end.
    number: u64,
    began: Epoch,
    finding: &'a Finding,
}

/// A flow has ended.
#[derive(Serialize)]
struct OfFlow<'a> {
    event: &'static str,
    time: Epoch,
    flow: &'a Flow,
}

/// Something befell the capture or the writing.
#[derive(Serialize)]
struct OfTrouble<'a> {
    event: &'static str,
    time: Epoch,
    text: &'a str,
}

/// How the run stands.
#[derive(Serialize)]
struct OfStats<'a> {
    event: &'static str,
    time: Epoch,
    elapsed: f64,
    frames: u64,
    octets: u64,
    tcp_segments: u64,
    flows_under_way: usize,
    findings: usize,
    dropped_by_kernel: u64,
    dropped_by_interface: u64,
    /// `null` where nothing is written.
    written: Option<Written<'a>>,
}

#[derive(Serialize)]
struct Written<'a> {
    file: Option<&'a str>,
    octets: u64,
    frames: u64,
    lost: u64,
}

/// The report, of all or of a part of the run.
#[derive(Serialize)]
struct OfReport<'a> {
    event: &'static str,
    time: Option<Epoch>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    part: bool,
    report: &'a Report,
}

/// Writes an item as events, one a line; `redact`: nothing that names a host.
///
/// # Errors
/// Where `out` refuses.
pub fn events(item: &News, redact: bool, out: &mut dyn Write) -> io::Result<()> {
    match item {
        News::Status(status) => {
            let snapshot = &status.snapshot;
            let time = Epoch::from(snapshot.time);
            let changed = [
                ("finding-begin", &snapshot.begun),
                ("finding-end", &snapshot.ended),
            ];
            for (event, alerts) in changed.into_iter().filter(|_| !redact) {
                for alert in alerts {
                    finding_event(event, alert, time, out)?;
                }
            }
            one_line(&stats(status, time), out)
        }
        News::Flow(flow) if !redact => {
            let event = "flow";
            let nanos = Duration::try_from_secs_f64(flow.duration)
                .unwrap_or_default()
                .as_nanos();
            let time = flow
                .start
                .0
                .plus_nanos(i64::try_from(nanos).unwrap_or(i64::MAX))
                .into();
            one_line(&OfFlow { event, time, flow }, out)
        }
        News::Trouble(time, text) => {
            let (event, time) = ("trouble", (*time).into());
            one_line(&OfTrouble { event, time, text }, out)
        }
        News::Interim(report) if !redact => report_event(report, true, out),
        News::Flow(_) | News::Interim(_) => Ok(()),
    }
}

/// Writes that a finding began or ended.
///
/// # Errors
/// Where `out` refuses.
pub fn finding_event(
    event: &'static str,
    alert: &Alert,
    time: Epoch,
    out: &mut dyn Write,
) -> io::Result<()> {
    let (number, began, finding) = (alert.number, alert.began, &alert.finding);
    let event = OfFinding {
        event,
        time,
        number,
        began,
        finding,
    };
    one_line(&event, out)
}

fn stats(status: &Status, time: Epoch) -> OfStats<'_> {
    let snapshot = &status.snapshot;
    OfStats {
        event: "stats",
        time,
        elapsed: status.elapsed.as_secs_f64(),
        frames: snapshot.frames,
        octets: snapshot.octets,
        tcp_segments: snapshot.segments,
        flows_under_way: snapshot.under_way,
        findings: snapshot.alerts.len(),
        dropped_by_kernel: status.drops.by_kernel,
        dropped_by_interface: status.drops.by_interface,
        written: status.ring.as_ref().map(|ring| Written {
            file: ring.file.as_deref(),
            octets: ring.octets,
            frames: ring.frames,
            lost: ring.lost,
        }),
    }
}

/// Writes a report as an event; `part`: of a part of the run.
///
/// # Errors
/// Where `out` refuses.
pub fn report_event(report: &Report, part: bool, out: &mut dyn Write) -> io::Result<()> {
    let (event, time) = (
        "report",
        report.captures.iter().filter_map(|c| c.last).max(),
    );
    let event = OfReport {
        event,
        time,
        part,
        report,
    };
    one_line(&event, out)
}

/// A table of interfaces.
#[must_use]
pub fn interfaces(found: &[Interface]) -> Vec<String> {
    let wide = found.iter().map(|i| i.name.len()).max().unwrap_or(0).max(4);
    let mut lines = Vec::new();
    for interface in found {
        let state = match (interface.up, interface.carrier) {
            (false, _) => "down",
            (true, Some(false)) => "no carrier",
            (true, _) => "up",
        };
        let mut told: Vec<String> = interface
            .addresses
            .iter()
            .map(ToString::to_string)
            .collect();
        if let Some(megabits) = interface.megabits {
            told.push(format!("{megabits} Mbit/s"));
        }
        if interface.loopback {
            told.push("this host alone".to_owned());
        }
        if interface.name == "any" {
            told.push("all interfaces at once".to_owned());
        }
        if let Some(dropped) = interface.dropped.filter(|n| *n > 0) {
            told.push(format!("{dropped} frames dropped since it came up"));
        }
        for (port, connections) in &interface.connections {
            told.push(format!(
                "{connections} {} to port {port} now",
                if *connections == 1 {
                    "connection"
                } else {
                    "connections"
                }
            ));
        }
        lines.push(
            format!("{:wide$}  {state:<10}  {}", interface.name, told.join(", "))
                .trim_end()
                .to_owned(),
        );
    }
    lines
}
