//! What shows only across flows: who talks to whom, how load is shared, when findings came.
//!
//! Takes:  the flows, services and findings of a report
//! Gives:  what the template puts into tables and drawings
//! Never:  judges: each figure is a sum over flows

use std::collections::BTreeMap;
use std::fmt::Write as _;

use minijinja::{Value, context};

use super::super::model::{Half, Report};
use super::super::view::View;
use super::super::words::{self, count, duration, moment, octets, share};
use super::super::{services, text};
use super::line;

/// Hosts in the matrix, those with the most octets; the table of pairs has the others.
const MATRIX_HOSTS: usize = 12;
/// Rows of the table of pairs.
const PAIRS: usize = 100;
/// Findings in the drawing of all.
const TIMELINE: usize = 60;

/// What went one way between two hosts.
#[derive(Clone, Copy, Default)]
struct Sum {
    flows: u64,
    octets: u64,
    segments: u64,
    repeats: u64,
    frames: u64,
    wrong: u64,
    unfilled: u64,
    unacked: u64,
}

impl Sum {
    fn add(&mut self, half: &Half) {
        self.flows += 1;
        self.octets += half.octets;
        self.segments += half.data_segments;
        self.repeats += half.retransmitted_segments;
        self.frames += half.frames;
        self.wrong += half.bad_checksums;
        self.unfilled += half.unfilled_checksums;
        self.unacked += half.unacked_bad_checksum_segments;
    }

    /// In a word or two; the first word is the class of the cell.
    fn checksums(&self) -> (&'static str, String) {
        if self.unacked > 0 {
            (
                "bad",
                format!("{} bad, never acknowledged", count(self.unacked)),
            )
        } else if self.wrong > 0 {
            ("doubt", format!("{} wrong", count(self.wrong)))
        } else if self.unfilled > 0 {
            (
                "fine",
                format!("{} not filled in, acknowledged", count(self.unfilled)),
            )
        } else {
            ("fine", "right".to_owned())
        }
    }

    /// How bad the repeats are: under 1 in 1000 nobody feels them, from 1 in 100 on they cost.
    fn class(&self) -> &'static str {
        match self
            .repeats
            .saturating_mul(1_000)
            .checked_div(self.segments)
        {
            _ if self.unacked > 0 => "bad",
            None | Some(0) => "fine",
            Some(1..10) => "doubt",
            Some(_) => "bad",
        }
    }

    fn repeated(&self) -> String {
        share(self.repeats, self.segments)
    }
}

/// Octets by sender and receiver.
fn ways(report: &Report) -> BTreeMap<(&str, &str), Sum> {
    let mut ways: BTreeMap<(&str, &str), Sum> = BTreeMap::new();
    for flow in &report.flows {
        let (client, server) = (words::host(&flow.client), words::host(&flow.server));
        ways.entry((client, server))
            .or_default()
            .add(&flow.client_to_server);
        ways.entry((server, client))
            .or_default()
            .add(&flow.server_to_client);
    }
    ways
}

/// The matrix of hosts and the table of pairs.
pub(super) fn hosts(view: &View<'_>) -> Value {
    let ways = ways(view.report);
    let mut weight: BTreeMap<&str, u64> = BTreeMap::new();
    for ((from, to), sum) in &ways {
        *weight.entry(from).or_default() += sum.octets;
        *weight.entry(to).or_default() += sum.octets;
    }
    let in_all = weight.len();
    let mut hosts: Vec<(&str, u64)> = weight.into_iter().collect();
    hosts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    hosts.truncate(MATRIX_HOSTS);
    let rows: Vec<Value> = hosts
        .iter()
        .map(|(from, _)| {
            let cells: Vec<Value> = hosts
                .iter()
                .map(|(to, _)| match ways.get(&(*from, *to)) {
                    None => context! { none => true, own => from == to },
                    Some(sum) => {
                        let (_, checksums) = sum.checksums();
                        context! {
                            class => sum.class(),
                            repeated => sum.repeated(),
                            octets => octets(sum.octets),
                            marked => sum.wrong + sum.unfilled + sum.unacked > 0,
                            checksums,
                        }
                    }
                })
                .collect();
            context! { short => line(from), name => view.report.names.get(*from).map(|n| line(n)), cells }
        })
        .collect();
    let names: Vec<Value> = hosts
        .iter()
        .map(|(host, _)| context! { host => line(host) })
        .collect();

    let mut pairs: Vec<(&(&str, &str), &Sum)> = ways.iter().collect();
    pairs.sort_by(|a, b| {
        let key = |s: &Sum| (s.unacked, s.repeats, s.octets);
        key(b.1).cmp(&key(a.1)).then(a.0.cmp(b.0))
    });
    let pairs_in_all = pairs.len();
    let pairs: Vec<Value> = pairs
        .iter()
        .take(PAIRS)
        .map(|((from, to), sum)| {
            let (state, checksums) = sum.checksums();
            context! {
                from => line(&view.host(from)),
                to => line(&view.host(to)),
                flows => count(sum.flows),
                octets => octets(sum.octets),
                repeats => count(sum.repeats),
                repeated => sum.repeated(),
                class => sum.class(),
                state,
                checksums,
            }
        })
        .collect();
    context! { names, rows, in_all, shown => hosts.len(), pairs, pairs_in_all }
}

/// How the servers of each service share its load.
pub(super) fn services(view: &View<'_>) -> Vec<Value> {
    let shown = view.report.services.iter().take(text::SERVICES);
    shown
        .map(|service| {
            let highest = services::highest(service);
            let servers = service.servers.iter().take(text::SERVERS);
            let rows: Vec<Value> = servers
                .map(|s| {
                    let messages = s.messages.zip(service.messages);
                    context! {
                        host => line(&view.host(&s.server)),
                        flows => count(s.connections),
                        share => share(s.connections, service.connections),
                        width => width(s.connections, service.connections),
                        messages => messages.map(|(n, all)| format!("{} ({})", count(n), share(n, all))),
                        octets => octets(s.octets),
                        octets_share => share(s.octets, service.octets),
                        failed => count(s.failed),
                        reset => count(s.reset),
                        mean => duration(s.mean_seconds),
                        bars => bars(&s.in_time.connections, highest),
                    }
                })
                .collect();
            let left_out = service.servers_in_all.saturating_sub(rows.len() as u64);
            context! {
                name => line(&services::heading(service)),
                bars => services::about_bars(service),
                highest => count(highest),
                steps => service.servers.first().map_or(0, |s| s.in_time.connections.len()),
                is_mail => service.messages.is_some(),
                rows,
                left_out => (left_out > 0).then(|| count(left_out)),
            }
        })
        .collect()
}

/// The outline of bars, one a step, 1 wide and up to 10 high.
fn bars(steps: &[u64], highest: u64) -> String {
    let mut path = String::new();
    for (place, number) in steps.iter().enumerate().filter(|(_, n)| **n > 0) {
        // Low ones can be seen, too.
        let height = number.saturating_mul(100).div_ceil(highest.max(1)).max(8);
        let (whole, tenth) = (height / 10, height % 10);
        let _ = write!(path, "M{place} 10v-{whole}.{tenth}h1V10z");
    }
    path
}

#[allow(clippy::cast_precision_loss)] // for people
fn width(part: u64, whole: u64) -> String {
    format!("{:.2}", part as f64 * 100.0 / whole.max(1) as f64)
}

/// When each finding began and ended.
pub(super) fn timeline(view: &View<'_>) -> Option<Value> {
    let captures = &view.report.captures;
    let first = captures.iter().filter_map(|c| c.first).map(|t| t.0).min()?;
    let last = captures.iter().filter_map(|c| c.last).map(|t| t.0).max()?;
    let length = last.seconds_since(first);
    if length <= 0.0 || view.report.findings.is_empty() {
        return None;
    }
    let place = |time: crate::net::Timestamp| {
        (time.seconds_since(first) / length * 1_000.0).clamp(0.0, 1_000.0)
    };
    let rows: Vec<Value> = (1_usize..)
        .zip(&view.report.findings)
        .take(TIMELINE)
        .map(|(number, f)| {
            let (from, to) = (place(f.start.0), place(f.end.0));
            // Wide enough to be seen.
            let wide = (to - from).max(4.0);
            context! {
                number,
                severity => f.severity,
                id => line(&f.id),
                x => format!("{:.1}", from.min(1_000.0 - wide)),
                width => format!("{wide:.1}"),
                after => duration(f.start.0.seconds_since(first)),
                lasted => duration(f.end.0.seconds_since(f.start.0).max(0.0)),
            }
        })
        .collect();
    Some(context! {
        rows,
        left_out => view.report.findings.len().saturating_sub(TIMELINE),
        from => moment(first.into()),
        to => moment(last.into()),
        length => duration(length),
    })
}
