//! The last minutes of a run that goes on: what is wrong now, and the sums of all that was.
//!
//! Takes:  flows as they end, and those under way as they would be if they ended now
//! Gives:  the findings of the window, made by detectors that see nothing else; sums by host and by service
//! Never:  grows with the run: flows, octets of their records, packets noted, hosts and services have limits

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::decode::Note;
use crate::detect::{self, Detector, Finding, Seen};
use crate::flow::{FlowRecord, HalfRecord};
use crate::net::{Direction, Timestamp};
use crate::proto::DialogRecord;
use crate::report::build::{self, FlowList};
use crate::report::model::Flow;

use super::memory::Shares;

/// How long flows that have ended count for what is wrong now.
const SPAN: Duration = Duration::from_secs(120);

/// Flows that have ended and are kept at most.
const MAX_FLOWS: usize = 2_000;

/// Packets that are no TCP and are kept at most.
const MAX_NOTES: usize = 2_000;

/// Flows that ended and were not fetched yet.
const MAX_ENDED: usize = 4_096;

/// Hosts, and services, that are counted one by one; the rest is counted together.
pub const MAX_COUNTED: usize = 1_000;

/// Under this name the rest is counted.
pub const OTHERS: &str = "others";

/// Sums over flows.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sums {
    /// Flows.
    pub flows: u64,
    /// Octets of TCP payload, repeats included.
    pub octets: u64,
    /// Data segments.
    pub segments: u64,
    /// Those of them that were sent again.
    pub retransmitted: u64,
}

impl Sums {
    fn add(&mut self, half: &HalfRecord) {
        self.octets += half.octets;
        self.segments += half.data_segments;
        self.retransmitted += half.retransmitted_segments;
    }
}

/// Sums by host (what it sent) and by service (both ways).
#[derive(Clone, Debug, Default)]
pub struct Counted {
    /// By address.
    pub hosts: BTreeMap<String, Sums>,
    /// By application.
    pub services: BTreeMap<String, Sums>,
}

impl Counted {
    /// Counts a flow.
    pub(super) fn add(&mut self, flow: &FlowRecord, dialog: &DialogRecord) {
        let application = match dialog.application {
            "" => "unknown",
            application => application,
        };
        let service = sums(&mut self.services, application.to_owned());
        service.flows += 1;
        for half in &flow.halves {
            service.add(half);
        }
        for direction in Direction::BOTH {
            let host = sums(&mut self.hosts, flow.sender(direction).addr.to_string());
            host.flows += 1;
            host.add(flow.half(direction));
        }
    }
}

fn sums(map: &mut BTreeMap<String, Sums>, name: String) -> &mut Sums {
    let name = if map.len() < MAX_COUNTED || map.contains_key(&name) {
        name
    } else {
        OTHERS.to_owned()
    };
    map.entry(name).or_default()
}

/// What ended since the last report of a part of the run.
pub(super) struct Period {
    detectors: Vec<Box<dyn Detector>>,
    flows: FlowList,
}

impl Period {
    fn new(pools: &[(String, Vec<IpAddr>)], shares: &Shares) -> Self {
        Self {
            detectors: detect::all(pools, shares.detectors),
            flows: FlowList::with_room_for(MAX_FLOWS, shares.window),
        }
    }

    pub(super) fn add(
        &mut self,
        flow: &FlowRecord,
        dialog: &DialogRecord,
        encapsulation: Option<&str>,
    ) {
        for detector in &mut self.detectors {
            detector.flow(Seen { flow, dialog }, &mut Vec::new());
        }
        self.flows.take(flow, dialog, encapsulation);
    }

    /// Its flows and findings.
    pub(super) fn finish(mut self) -> (FlowList, Vec<Finding>) {
        let mut findings = Vec::new();
        for detector in &mut self.detectors {
            detector.finish(&mut findings);
        }
        (self.flows, detect::judge(findings))
    }
}

/// See the head of this file.
pub(super) struct Window {
    past: VecDeque<(Box<FlowRecord>, DialogRecord, usize)>,
    octets: usize,
    notes: VecDeque<Note>,
    shares: Shares,
    counted: Counted,
    period: Option<Period>,
    /// Flows that ended, as the report shows them, where somebody wants them.
    ended: Option<Vec<Flow>>,
    /// Ended flows that nobody fetched in time.
    pub(super) unfetched: u64,
}

impl Window {
    /// `keep_ended`: somebody fetches the flows that have ended.
    pub(super) fn new(keep_ended: bool, shares: Shares) -> Self {
        Self {
            past: VecDeque::new(),
            octets: 0,
            notes: VecDeque::new(),
            shares,
            counted: Counted::default(),
            period: None,
            ended: keep_ended.then(Vec::new),
            unfetched: 0,
        }
    }

    /// A packet that is no TCP segment.
    pub(super) fn note(&mut self, note: &Note) {
        if self.notes.len() >= MAX_NOTES {
            self.notes.pop_front();
        }
        self.notes.push_back(note.clone());
        if let Some(period) = &mut self.period {
            for detector in &mut period.detectors {
                detector.note(note);
            }
        }
    }

    /// The period that ends now; another begins. `None` for the first call.
    pub(super) fn next_period(&mut self, pools: &[(String, Vec<IpAddr>)]) -> Option<Period> {
        self.period.replace(Period::new(pools, &self.shares))
    }

    /// A flow has ended; the report names its encapsulation so.
    pub(super) fn ended(
        &mut self,
        record: Box<FlowRecord>,
        dialog: DialogRecord,
        encapsulation: Option<&str>,
    ) {
        self.counted.add(&record, &dialog);
        if let Some(period) = &mut self.period {
            period.add(&record, &dialog, encapsulation);
        }
        if let Some(ended) = &mut self.ended {
            if ended.len() < MAX_ENDED {
                ended.push(build::flow(&record, &dialog, encapsulation));
            } else {
                self.unfetched += 1;
            }
        }
        let octets = weight(&record, &dialog);
        self.octets += octets;
        self.past.push_back((record, dialog, octets));
        while self.past.len() > MAX_FLOWS || self.octets > self.shares.window {
            self.forget();
        }
    }

    fn forget(&mut self) {
        if let Some((_, _, octets)) = self.past.pop_front() {
            self.octets = self.octets.saturating_sub(octets);
        }
    }

    /// The flows that ended since the last call, as the report shows them.
    pub(super) fn fetch(&mut self) -> Vec<Flow> {
        self.ended.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Forgets what lies too long ago.
    pub(super) fn move_on(&mut self, now: Timestamp) {
        let old = |time: Timestamp| now.since(time).is_some_and(|age| age > SPAN);
        while self.past.front().is_some_and(|(flow, ..)| old(flow.end)) {
            self.forget();
        }
        while self.notes.front().is_some_and(|note| old(note.time)) {
            self.notes.pop_front();
        }
    }

    /// What is wrong with the flows of the window and those under way.
    pub(super) fn findings(
        &self,
        pools: &[(String, Vec<IpAddr>)],
        under_way: &[(FlowRecord, DialogRecord)],
    ) -> Vec<Finding> {
        let mut detectors = detect::all(pools, self.shares.detectors);
        let mut findings = Vec::new();
        let past = self.past.iter().map(|(flow, dialog, _)| (&**flow, dialog));
        let present = under_way.iter().map(|(flow, dialog)| (flow, dialog));
        let mut all: Vec<_> = past.chain(present).collect();
        all.sort_by_key(|(flow, _)| flow.index);
        for detector in &mut detectors {
            for note in &self.notes {
                detector.note(note);
            }
            for (flow, dialog) in &all {
                detector.flow(Seen { flow, dialog }, &mut findings);
            }
            detector.finish(&mut findings);
        }
        detect::judge(findings)
    }

    /// Sums over all flows of the run, those under way included.
    pub(super) fn counted(&self, under_way: &[(FlowRecord, DialogRecord)]) -> Counted {
        let mut counted = self.counted.clone();
        for (flow, dialog) in under_way {
            counted.add(flow, dialog);
        }
        counted
    }
}

/// Octets of a record and its dialog, about.
fn weight(flow: &FlowRecord, dialog: &DialogRecord) -> usize {
    let halves: usize = flow
        .halves
        .iter()
        .map(|h| h.repeats.len() * 160 + h.per_second.len() * 24)
        .sum();
    let smtp = dialog.smtp.as_ref().map_or(0, |smtp| {
        (smtp.steps.len() + smtp.messages.len() + smtp.refusals.len()) * 200
    });
    4_096
        + halves
        + flow.events.len() * 64
        + (flow.stalls.len() + flow.short_waits.len()) * 64
        + (dialog.said.len() + dialog.exchanges.len()) * 160
        + smtp
}
