//! Says in findings where segments went wrong between two captures: on the path, or inside which host.
//!
//! Reads:   [`Compared`]
//! Yields:  one finding of a kind for each two hosts and direction; `judge/` has one file a question
//! Silent:  healthy pairs; what lies outside of what both sides captured; single late or reordered segments
//! Source:  ids and meanings are those of the single capture's detectors; here two captures prove what one can only suspect

mod captures;
mod changed;
mod hosts;
mod late;
mod lost;

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::fate::{Event, EventKind, Path};
use super::{Compared, Joined};
use crate::decode::TcpFlags;
use crate::detect::{Evidence, Finding, Severity};
use crate::net::{Direction, FrameRef};

/// Frames cited by one finding.
const MAX_PROOF: usize = 16;
/// Flows named by one finding.
const MAX_FLOWS: usize = 1_000;
/// Share of segments from which their loss hurts.
const LOSS_SHARE: f64 = 0.001;
/// Share of segments from which copies and disorder hurt, and how many there have to be.
const ORDER_SHARE: f64 = 0.01;
const ENOUGH: u64 = 3;

/// All that went one way between two hosts.
struct Way<'a> {
    from: IpAddr,
    to: IpAddr,
    joined: Vec<(&'a Joined, Direction)>,
    sum: Path,
    events: Vec<&'a Event>,
}

/// The findings, in no order.
#[must_use]
pub fn findings(compared: &Compared) -> Vec<Finding> {
    let mut ways: BTreeMap<(IpAddr, IpAddr), Way<'_>> = BTreeMap::new();
    for joined in compared.pairs.iter().filter(|p| p.counted) {
        for direction in Direction::BOTH {
            let (from, to) = match direction {
                Direction::ClientToServer => (joined.client.addr, joined.server.addr),
                Direction::ServerToClient => (joined.server.addr, joined.client.addr),
            };
            let way = ways
                .entry((from, to))
                .or_insert_with(|| Way::between(from, to));
            way.joined.push((joined, direction));
            if let Some(path) = joined.paths.get(direction.index()) {
                way.sum.add(path);
            }
            if let Some(events) = joined.events.get(direction.index()) {
                way.events.extend(events.iter());
            }
        }
    }
    let mut out = Vec::new();
    for ((from, to), way) in &ways {
        way.losses(&mut out);
        way.outage(ways.get(&(*to, *from)), &mut out);
        way.damage(&mut out);
        way.disorder(&mut out);
        way.host(&mut out);
        way.acknowledgements(&mut out);
        way.changes(&mut out);
        way.delays(&mut out);
        way.captures(&mut out);
    }
    hosts::connections(compared, &mut out);
    hosts::not_shown(compared, &mut out);
    hosts::answers(compared, &mut out);
    captures::copies(compared, &mut out);
    captures::clock(compared, &mut out);
    out
}

#[allow(clippy::cast_precision_loss)]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

impl<'a> Way<'a> {
    fn between(from: IpAddr, to: IpAddr) -> Self {
        Self {
            from,
            to,
            joined: Vec::new(),
            sum: Path::default(),
            events: Vec::new(),
        }
    }

    /// Of these connections nothing but which they are.
    fn naming(
        (from, to): (IpAddr, IpAddr),
        joined: impl IntoIterator<Item = &'a Joined>,
        direction: Direction,
    ) -> Self {
        Self {
            joined: joined.into_iter().map(|j| (j, direction)).collect(),
            ..Self::between(from, to)
        }
    }

    fn events(&self, wanted: impl Fn(EventKind) -> bool) -> Vec<&'a Event> {
        let mut events: Vec<&Event> = self
            .events
            .iter()
            .copied()
            .filter(|e| wanted(e.kind))
            .collect();
        events.sort_by_key(|e| (e.time, e.frames));
        events
    }

    /// Flows of which something is counted: by their index on the left, or on the right where the left has none of them.
    fn flows(&self, counted: impl Fn(&Path) -> u64) -> Vec<u64> {
        let of = |side: usize| -> Vec<u64> {
            let mut flows: Vec<u64> = self
                .joined
                .iter()
                .filter(|(j, d)| j.paths.get(d.index()).is_some_and(|p| counted(p) > 0))
                .filter_map(|(j, _)| Some((*j.flows.get(side)?)?.0))
                .take(MAX_FLOWS)
                .collect();
            flows.sort_unstable();
            flows.dedup();
            flows
        };
        let left = of(0);
        if left.is_empty() { of(1) } else { left }
    }

    fn finding(
        &self,
        id: &'static str,
        severity: Severity,
        confidence: f64,
        summary: String,
        events: &[&Event],
        say: impl Fn(&Event) -> String,
    ) -> Finding {
        let start = events.first().map(|e| e.time);
        let end = events.iter().map(|e| e.time).max();
        let begin = || {
            self.joined
                .iter()
                .map(|(j, _)| j.start)
                .min()
                .unwrap_or_default()
        };
        Finding {
            hosts: vec![self.from, self.to],
            flows: self.flows(|_| 1),
            start: start.unwrap_or_else(begin),
            end: end.unwrap_or_else(begin),
            evidence: events
                .iter()
                .flat_map(|e| {
                    let text = say(e);
                    let frames = e.frames.into_iter().flatten().enumerate();
                    frames.map(move |(n, frame)| Evidence {
                        at: FrameRef::from(frame),
                        text: if n == 0 {
                            text.clone()
                        } else {
                            "the same segment at the other side".to_owned()
                        },
                    })
                })
                .take(MAX_PROOF)
                .collect(),
            display_filter: filter(self.from, self.to),
            ..Finding::new(id, severity, confidence, summary)
        }
    }

    /// Data segments that left, and came or did not; SYNs are told of apart.
    fn sent(&self) -> u64 {
        let sum = &self.sum;
        (sum.matched + sum.lost).saturating_sub(sum.lost_syns)
    }
}

fn is_syn(e: &Event) -> bool {
    TcpFlags(u16::from(e.flags)).has(TcpFlags::SYN)
}

/// A Wireshark filter for the two hosts.
fn filter(a: IpAddr, b: IpAddr) -> String {
    let field = |addr: IpAddr| if addr.is_ipv4() { "ip" } else { "ipv6" };
    format!(
        "{}.addr == {a} && {}.addr == {b} && tcp",
        field(a),
        field(b)
    )
}
