//! Follows segments through the flow, protocol and detect stages.
//!
//! Takes:  batches of segments in the order of reading
//! Gives:  flows as the report shows them, findings, what hosts give away of themselves
//! Never:  keeps a segment
//!
//! The [`Tracker`] comes apart for as many threads as there are: a [`Dealer`] shares flows out, each [`Follower`] follows its own with the
//! dialogs that listen to them, and what all of them give ends in [`Found`]. However many threads, the shares are the same.

use std::cmp::Reverse;
use std::net::IpAddr;
use std::time::Duration;

use crate::decode::{Segment, SegmentBatch, TcpFlags};
use crate::detect::{self, Detector, Finding, Seen};
use crate::flow::{
    ChunkData, EventKind, FlowIndex, FlowRecord, FlowTable, Life, Limits, MAX_HOLES, Observed,
    order::Order,
    share::{Deal, Given, Indices, number_at},
};
use crate::net::{FrameNo, FrameRef, Timestamp};
use crate::proto::{self, Dialog, DialogRecord, Interest, Piece, Ports};
use crate::report::build::{FlowList, MAX_FLOWS};
use crate::rules::Inferred;
use crate::rules::fingerprint::Fingerprints;

use super::Settings;
use super::chapters::Chapters;
use super::each::each;
use super::logged::Span;
use super::memory::Shares;
use super::window::Window;

/// Repeats with other contents that are named.
const MAX_CONFLICTS: usize = 4;

/// Followers among whom flows are shared out, at most: each is to have room for some large transfers that wait behind a hole.
const FOLLOWERS: usize = 8;
const ROOM: usize = 32 << 20;

/// Flow and protocol stage: takes segments, hands on each flow that has ended with its dialog.
pub(super) struct Follower {
    pub(super) table: FlowTable,
    dialogs: Dialogs,
    observed: Vec<Observed>,
    of_no_use: Vec<OfNoUse>,
    /// Its number among those who share flows out.
    own: u8,
}

/// Slot and index of a flow whose octets are of no more use to its dialog.
type OfNoUse = (u32, u64);

/// The dialogs under way, by slot.
struct Dialogs {
    ports: Ports,
    show_addresses: bool,
    open: Vec<Option<Box<dyn Dialog>>>,
}

/// A batch of segments on its way through the stages, and what became of it.
#[derive(Default)]
pub(super) struct Followed {
    /// Frames that it was decoded from.
    pub(super) frames: u64,
    pub(super) batch: SegmentBatch,
    /// Names of the encapsulations that it shows first.
    pub(super) encapsulations: Vec<String>,
    /// Whose each segment is.
    deal: Deal,
    turn: Turn,
    /// Numbers of the flows that begin in it.
    given: Vec<Given>,
    /// Flows that have ended with it, their dialogs, and [when](Observed::Closed::at).
    ended: Vec<Option<(Life, DialogRecord, u64)>>,
}

/// At the end of a capture about so many flows are let go of at a time, so few that they are judged while the processor still has them at
/// hand. How many there are is not known here: each SYN may have begun one, and so may one segment in so many others.
const AT_ONCE: u64 = 256;
const SEGMENTS: u64 = 64;
const MOST_PARTS: u64 = 65_536;

/// What followers are to do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Turn {
    /// To take the segments.
    #[default]
    Take,
    /// The same; the capture's clock has stepped back in them.
    ClockStepped,
    /// The capture has ended: to let go of flows with numbers below this one.
    LetGo(u64),
    /// The same, of all that are left.
    LetGoAll,
}

/// Deals batches out among followers.
pub(super) struct Dealer {
    order: Order,
    followers: u8,
    /// Places in the capture so far.
    places: u64,
    /// SYNs in them.
    syns: u64,
    /// Places whose flows were let go of, once it has ended.
    let_go: u64,
}

/// Flow, protocol and detect stage: takes segments, keeps what was found.
pub(super) struct Tracker {
    dealer: Dealer,
    followers: Vec<Follower>,
    found: Found,
    /// For what is left when all was read.
    threads: usize,
}

/// What was found so far.
pub(super) struct Found {
    detectors: Vec<Box<dyn Detector>>,
    fingerprints: Fingerprints,
    findings: Vec<Finding>,
    flows: FlowList,
    indices: Indices,
    /// Names of the encapsulations of the capture being followed: the first one's number is 1.
    encapsulations: Vec<String>,
    /// Ends and times of flows, where logs are to be joined with them.
    spans: Option<Vec<Span>>,
    shares: Shares,
    /// Holes that the flow stage did not follow.
    holes_omitted: u64,
    /// Octets that came again with other contents; the first frames that show it, and the copies before them.
    other_contents: u64,
    conflicts: Vec<(FrameNo, FrameNo)>,
    /// Connections with more requests than are timed.
    full: u64,
    /// ICMP errors that quote what was not on its way: how many, and the first.
    not_believed: (u64, Option<FrameNo>),
    /// Told of each flow that has ended, where somebody watches the run.
    window: Option<Window>,
    /// The chapters of a run that goes on.
    chapters: Option<Chapters>,
}

/// What was found in all captures.
pub(super) struct Tracked {
    pub(super) flows: FlowList,
    pub(super) segments: u64,
    pub(super) findings: Vec<Finding>,
    /// What hosts give away of themselves.
    pub(super) inferred: Vec<Inferred>,
    /// The names that they use.
    pub(super) names: Vec<(IpAddr, String)>,
    pub(super) spans: Vec<Span>,
    pub(super) notes: Vec<String>,
}

impl Tracker {
    pub(super) fn new(settings: &Settings) -> Self {
        let shares = Shares::of(settings);
        let limits = Limits {
            octets: shares.under_way,
            ..Limits::default()
        };
        let followers = (limits.octets / ROOM).clamp(1, FOLLOWERS);
        let followers = u8::try_from(followers).unwrap_or(1);
        Self::of(settings, &shares, limits, followers)
    }

    fn of(settings: &Settings, shares: &Shares, limits: Limits, followers: u8) -> Self {
        let limits = limits.shared_by(followers);
        let follower = |own| Follower {
            own,
            ..Follower::new(settings, limits)
        };
        Self {
            dealer: Dealer {
                order: Order::default(),
                followers,
                places: 0,
                syns: 0,
                let_go: 0,
            },
            followers: (0..followers).map(follower).collect(),
            threads: settings.threads(),
            found: Found {
                detectors: detect::all(&settings.pools, shares.detectors),
                fingerprints: Fingerprints::default(),
                findings: Vec::new(),
                flows: FlowList::with_room_for(MAX_FLOWS, shares.listed),
                indices: Indices::default(),
                encapsulations: Vec::new(),
                spans: (!settings.logs.is_empty()).then(Vec::new),
                shares: *shares,
                holes_omitted: 0,
                other_contents: 0,
                conflicts: Vec::new(),
                full: 0,
                not_believed: (0, None),
                window: None,
                chapters: None,
            },
        }
    }

    /// For a run that may go on for days, in one thread: other limits, and somebody who watches it.
    pub(super) fn watched(
        settings: &Settings,
        shares: &Shares,
        limits: Limits,
        listed: usize,
        window: Window,
    ) -> Self {
        let mut tracker = Self::of(settings, shares, limits, 1);
        tracker.threads = 1;
        tracker.found.flows = FlowList::with_room_for(listed, shares.listed);
        tracker.found.window = Some(window);
        tracker.found.chapters = Some(Chapters::new(&settings.pools, shares.detectors));
        tracker
    }

    /// Takes the next segments through all parts.
    pub(super) fn push(&mut self, followed: &mut Followed) {
        self.dealer.deal(followed);
        self.take(followed);
    }

    /// All flows end here.
    pub(super) fn end_of_capture(&mut self) {
        let mut followed = Followed::default();
        while self.dealer.end_of_capture(&mut followed) {
            self.take(&mut followed);
        }
    }

    fn take(&mut self, followed: &mut Followed) {
        for follower in &mut self.followers {
            follower.take(followed);
        }
        self.found.take(followed);
    }

    /// Who watches the run.
    pub(super) fn window(&mut self) -> Option<&mut Window> {
        self.found.window.as_mut()
    }

    /// The flows under way with their dialogs, as they would be if the capture ended now; see [`FlowTable::so_far`].
    pub(super) fn so_far(
        &self,
        now: Timestamp,
        most: usize,
        patience: Duration,
    ) -> Vec<(FlowRecord, DialogRecord)> {
        let mut all = Vec::new();
        for Follower { table, dialogs, .. } in &self.followers {
            for (slot, mut record) in table.so_far(now, most, patience) {
                let dialog = dialogs.open.get(slot as usize).and_then(Option::as_ref);
                let mut dialog =
                    dialog.map_or_else(DialogRecord::default, |d| d.copy().finish(record.end));
                dialog.settle_network(&record);
                record.index = self.found.indices.of(record.index);
                all.push((record, dialog));
            }
        }
        if all.len() > most {
            all.sort_by_key(|(record, _)| (Reverse(record.end), record.index));
            all.truncate(most);
        }
        all.sort_by_key(|(record, _)| record.index);
        all
    }

    /// A count of all followers.
    fn sum(&self, count: impl Fn(&FlowTable) -> u64) -> u64 {
        self.followers.iter().map(|f| count(&f.table)).sum()
    }

    /// Flows under way.
    pub(super) fn under_way(&self) -> usize {
        self.followers.iter().map(|f| f.table.len()).sum()
    }

    /// TCP segments so far.
    pub(super) fn segments(&self) -> u64 {
        self.sum(|table| table.segments)
    }

    /// Encapsulations that have a name.
    pub(super) fn encapsulations(&self) -> u32 {
        u32::try_from(self.found.encapsulations.len()).unwrap_or(u32::MAX)
    }

    /// Its parts, in the order in which segments go through them.
    pub(super) fn parts(&mut self) -> (&mut Dealer, &mut [Follower], &mut Found) {
        (&mut self.dealer, &mut self.followers, &mut self.found)
    }

    /// All captures were read.
    pub(super) fn finish(self) -> Tracked {
        let segments = self.segments();
        let [stragglers, silent, evicted, overlong] = [
            self.sum(|table| table.stragglers),
            self.sum(|table| table.silent),
            self.sum(|table| table.evicted),
            self.sum(|table| table.overlong),
        ];
        let first_straggler = self
            .followers
            .iter()
            .filter_map(|f| f.table.first_straggler)
            .min();
        let Self {
            dealer,
            followers,
            mut found,
            threads,
        } = self;
        // No flow is under way any more, and what comes now wants room.
        drop(followers);
        let full = found
            .detectors
            .iter_mut()
            .flat_map(|detector| detector.limited())
            .any(|limited| limited.is_full());
        let last = each(threads, found.detectors, |mut detector| {
            let mut findings = Vec::new();
            detector.order(&dealer.order);
            detector.finish(&mut findings);
            findings
        });
        found.findings.extend(last.into_iter().flatten());
        let (inferred, names) = found.fingerprints.finish();
        let mut notes = Vec::new();
        let mut findings = detect::judge(found.findings);
        if let Some(chapters) = found.chapters {
            let (all, note) = chapters.finish(findings);
            findings = all;
            notes.extend(note);
        }
        if let Some(first) = first_straggler {
            notes.push(format!(
                "{stragglers} segments and ICMP errors came for connections that had been closed and silent for a while (the first: frame \
                 {first}); they are counted with no flow"
            ));
        }
        if silent > 0 {
            notes.push(format!(
                "{} connections are told of as they stood when they had been silent for ten minutes with something unanswered, or for two \
                 hours; what came of them later counts as further flows",
                silent
            ));
        }
        if evicted > 0 {
            notes.push(format!(
                "{} flows were given up before their end to stay within the limits of memory; what came of them later counts as \
                 further flows",
                evicted
            ));
        }
        if overlong > 0 {
            notes.push(format!(
                "{} segments claim more octets than their frame had room for, and nothing bears that out; no more than the room was counted",
                overlong
            ));
        }
        if found.holes_omitted > 0 {
            notes.push(format!(
                "{} holes were not followed, because more than {MAX_HOLES} were open in one direction of a flow; whether what filled them \
                 was late or sent again is less sure",
                found.holes_omitted
            ));
        }
        if let (count, Some(first)) = found.not_believed {
            notes.push(format!(
                "{count} ICMP errors were not believed (the first: frame {first}): they quote nothing that was on its way, or an MTU that it \
                 did not exceed; they are made up or stale, or the capture lacks what they are about"
            ));
        }
        if found.other_contents > 0 {
            let frames: Vec<String> = found
                .conflicts
                .iter()
                .map(|(again, first)| format!("frame {again} against frame {first}"))
                .collect();
            notes.push(format!(
                "{} octets were sent again with other contents ({}): somebody hides something, or a device changes what it passes on; the first \
                 copy counts here, and what the receiver took is not known",
                found.other_contents,
                frames.join(", ")
            ));
        }
        if found.full > 0 {
            notes.push(format!(
                "of {} only the first requests are timed (10,000 of SMTP, 1,000 of a protocol that is not read): whether later ones \
                 were answered late is not told",
                detect::plural(found.full, "connection")
            ));
        }
        if full {
            notes.push(format!(
                "there are more pairs of hosts, services or attempts to connect than can be told apart ({} of a kind, in each direction), and \
                 findings do not speak of the others: give the hosts in question by --filter{}",
                detect::most_groups(found.shares.detectors),
                if found.shares.detectors < 1.0 {
                    ", or more memory by --max-memory"
                } else {
                    ""
                }
            ));
        }
        let most = found.shares.spans;
        if found.spans.as_ref().is_some_and(|s| s.len() >= most) {
            notes.push(format!(
                "logs were joined with the first {most} flows alone"
            ));
        }
        Tracked {
            flows: found.flows,
            segments,
            findings,
            inferred,
            names,
            spans: found.spans.unwrap_or_default(),
            notes,
        }
    }
}

impl Dealer {
    /// Deals the next segments out.
    pub(super) fn deal(&mut self, followed: &mut Followed) {
        let stepped = self.order.put(&mut followed.batch);
        followed.turn = if stepped {
            Turn::ClockStepped
        } else {
            Turn::Take
        };
        let begins = |seg: &&Segment| seg.flags.has(TcpFlags::SYN);
        self.syns += followed.batch.segments.iter().filter(begins).count() as u64;
        self.places = followed
            .deal
            .deal(&followed.batch, self.places, self.followers);
    }

    /// The last file of a capture was read: its flows end with it, in the order in which they began, and the next one's are others even
    /// where addresses and ports are the same. To be called until there is nothing to be taken any more.
    pub(super) fn end_of_capture(&mut self, followed: &mut Followed) -> bool {
        self.order.end_of_capture();
        if self.let_go > self.places {
            (self.places, self.syns, self.let_go) = (0, 0, 0);
            return false;
        }
        followed.batch = SegmentBatch::default();
        let parts = (self.syns + self.places / SEGMENTS) / AT_ONCE + 1;
        let parts = parts.min(MOST_PARTS);
        self.let_go += self.places / parts + 1;
        followed.turn = if self.let_go > self.places {
            Turn::LetGoAll
        } else {
            Turn::LetGo(number_at(self.let_go))
        };
        true
    }
}

impl Found {
    /// Takes the flows that have ended.
    pub(super) fn take(&mut self, followed: &mut Followed) {
        self.encapsulations.append(&mut followed.encapsulations);
        self.indices.begin(&mut followed.given);
        let mut in_order: Vec<(u64, FlowIndex, usize)> = Vec::with_capacity(followed.ended.len());
        for (n, ended) in followed.ended.iter_mut().enumerate() {
            if let Some((life, _, at)) = ended {
                let index = self.indices.end(life.index());
                in_order.push((*at, index, n));
            }
        }
        in_order.sort_unstable();
        for note in &followed.batch.notes {
            for detector in &mut self.detectors {
                detector.note(note);
            }
            if let Some(window) = &mut self.window {
                window.note(note);
            }
        }
        for (_, index, n) in in_order {
            let ended = followed.ended.get_mut(n).and_then(Option::take);
            if let Some((life, dialog, _)) = ended {
                let mut record = life.record();
                record.index = index;
                self.ended(record, dialog);
            }
        }
        followed.ended.clear();
        if followed.turn == Turn::LetGoAll {
            self.encapsulations.clear();
            self.indices.end_of_capture();
        }
    }

    /// A flow has ended.
    fn ended(&mut self, record: Box<FlowRecord>, mut dialog: DialogRecord) {
        dialog.settle_network(&record);
        let seen = Seen {
            flow: &record,
            dialog: &dialog,
        };
        let lone = record.is_lone_syn();
        for detector in &mut self.detectors {
            if !lone || detector.minds_lone_syns() {
                detector.flow(seen, &mut self.findings);
            }
        }
        self.fingerprints.flow(seen);
        self.full += u64::from(dialog.is_full());
        self.holes_omitted += record.halves.iter().map(|h| h.holes_omitted).sum::<u64>();
        for e in &record.events {
            match e.kind {
                EventKind::OtherContents { of, octets } => {
                    self.other_contents += octets;
                    if self.conflicts.len() < MAX_CONFLICTS {
                        self.conflicts.push((e.frame, of));
                    }
                }
                EventKind::Icmp {
                    credible: false, ..
                } => {
                    self.not_believed.0 += 1;
                    let first = self.not_believed.1.get_or_insert(e.frame);
                    *first = e.frame.min(*first);
                }
                _ => {}
            }
        }
        if let Some(spans) = self.spans.as_mut().filter(|s| s.len() < self.shares.spans) {
            spans.push(Span {
                flow: record.index,
                first: FrameRef {
                    capture: record.capture,
                    frame: record.first_frame,
                },
                ends: (record.client, record.server, record.start, record.end),
            });
        }
        let encapsulation = (record.encapsulation as usize)
            .checked_sub(1)
            .and_then(|at| self.encapsulations.get(at).map(String::as_str));
        self.flows.take(&record, &dialog, encapsulation);
        if let Some(window) = &mut self.window {
            window.ended(record, dialog, encapsulation);
        }
        if self.chapters.as_mut().is_some_and(Chapters::flow) {
            self.turn();
        }
    }

    /// A chapter is over: what its detectors found is kept, and fresh ones take over.
    fn turn(&mut self) {
        let Some(chapters) = &mut self.chapters else {
            return;
        };
        let over = std::mem::replace(&mut self.detectors, chapters.detectors());
        for mut detector in over {
            detector.finish(&mut self.findings);
        }
        let findings = detect::judge(std::mem::take(&mut self.findings));
        for finding in &findings {
            self.flows.cite(&finding.flows);
        }
        chapters.turn(findings);
    }
}

/// Who is handed a flow that has ended, its dialog, and [when](Observed::Closed::at).
pub(super) type Ended<'a> = &'a mut dyn FnMut(Life, DialogRecord, u64);

impl Follower {
    pub(super) fn new(settings: &Settings, limits: Limits) -> Self {
        let mut table = FlowTable::new(limits);
        table.ports = [&settings.smtp_ports[..], &settings.smb_ports].concat();
        Self {
            table,
            dialogs: Dialogs {
                ports: Ports {
                    smtp: settings.smtp_ports.clone(),
                    smb: settings.smb_ports.clone(),
                },
                show_addresses: settings.show_addresses,
                open: Vec::new(),
            },
            observed: Vec::new(),
            of_no_use: Vec::new(),
            own: 0,
        }
    }

    /// Takes its share; puts the flows that ended with it beside it.
    pub(super) fn take(&mut self, followed: &mut Followed) {
        let Followed {
            batch,
            deal,
            turn,
            given,
            ended,
            ..
        } = followed;
        match *turn {
            Turn::Take | Turn::ClockStepped => {
                if *turn == Turn::ClockStepped {
                    self.table.clock_stepped();
                }
                if let Some(share) = deal.share(self.own) {
                    let open = &self.dialogs.open;
                    let beside = |slot| {
                        let dialog = open.get(slot as usize).and_then(Option::as_ref);
                        dialog.map_or(0, |dialog| dialog.held())
                    };
                    self.table
                        .push_share(batch, share, &beside, &mut self.observed);
                }
            }
            Turn::LetGo(number) => {
                self.table.finish_below(number, &mut self.observed);
            }
            Turn::LetGoAll => {
                self.table.finish_below(u64::MAX, &mut self.observed);
            }
        }
        given.append(&mut self.table.given);
        self.hand_on(batch, &mut |life, dialog, at| {
            ended.push(Some((life, dialog, at)));
        });
    }

    /// The next segments, in order of time.
    pub(super) fn push(&mut self, batch: &SegmentBatch, ended: Ended<'_>) {
        self.table.push(batch, &mut self.observed);
        self.hand_on(batch, ended);
    }

    /// All flows end here.
    pub(super) fn end_of_capture(&mut self, ended: Ended<'_>) {
        let nothing = SegmentBatch::default();
        while self.table.finish(&mut self.observed) {
            self.hand_on(&nothing, ended);
        }
        self.hand_on(&nothing, ended);
    }

    fn hand_on(&mut self, batch: &SegmentBatch, ended: Ended<'_>) {
        self.dialogs
            .hand_on(batch, &mut self.observed, &mut self.of_no_use, ended);
        for (slot, flow) in self.of_no_use.drain(..) {
            self.table.lose_interest(slot, flow);
        }
    }
}

impl Dialogs {
    /// Hands on what the flow stage observed in `batch`.
    fn hand_on(
        &mut self,
        batch: &SegmentBatch,
        observed: &mut Vec<Observed>,
        of_no_use: &mut Vec<OfNoUse>,
        ended: Ended<'_>,
    ) {
        for seen in observed.drain(..) {
            match seen {
                Observed::Opened {
                    slot,
                    client_port,
                    server_port,
                    connected,
                    ..
                } => {
                    let mut dialog = if self.show_addresses {
                        proto::dialog_showing_addresses(&self.ports, client_port, server_port)
                    } else {
                        proto::dialog(&self.ports, client_port, server_port)
                    };
                    if let Some((frame, time)) = connected {
                        dialog.connected(frame, time);
                    }
                    let slot = slot as usize;
                    if self.open.len() <= slot {
                        self.open.resize_with(slot + 1, || None);
                    }
                    self.open[slot] = Some(dialog);
                }
                Observed::Chunk(chunk) => {
                    let Some(Some(dialog)) = self.open.get_mut(chunk.slot as usize) else {
                        continue;
                    };
                    let octets = match &chunk.data {
                        ChunkData::InBatch(at) => Ok(batch.octets_of(*at)),
                        ChunkData::Kept(kept) => Ok(&kept[..]),
                        ChunkData::Gap(n) => Err(*n),
                    };
                    let piece = Piece {
                        direction: chunk.direction,
                        offset: chunk.offset,
                        frame: chunk.frame,
                        sent: chunk.sent,
                        readable: chunk.readable,
                        octets,
                    };
                    if dialog.piece(piece) == Interest::Nothing {
                        of_no_use.push((chunk.slot, chunk.flow));
                    }
                }
                Observed::Acked {
                    slot,
                    direction,
                    upto,
                    time,
                    ..
                } => {
                    if let Some(Some(dialog)) = self.open.get_mut(slot as usize) {
                        dialog.acked(direction, upto, time);
                    }
                }
                Observed::Closed { slot, life, at } => {
                    let dialog = self.open.get_mut(slot as usize).and_then(Option::take);
                    let dialog = match (dialog, &life) {
                        (Some(dialog), Life::Told(record)) => dialog.finish(record.end),
                        _ => DialogRecord::default(),
                    };
                    ended(life, dialog, at);
                }
            }
        }
    }
}
