//! Merges captures that were taken at the same time into one timeline.
//!
//! Takes:  a [`Plan`]
//! Gives:  batches of segments in order of time, one stretch of time after the other; of connections that several captures have a view of,
//!         the segments of one view
//! Never:  holds more than a batch of each lane; leaves a segment out without counting it for its capture
//!
//! A connection is followed in the view that shows more of it, as far as the samples tell, and else in the one that shows it first, which
//! is the one nearer to who opened it. Where that capture ends first, another view takes over. Captures that each have a part
//! of a connection (adapters of a team) give it together.

use std::collections::{BTreeMap, HashMap};

use crate::capture::{BATCH_FRAMES, CaptureInfo, Octets};
use crate::compare::{Relation, connection};
use crate::decode::Undecoded;
use crate::decode::{Note, NoteKind, OctetRef, Segment, SegmentBatch, TcpFlags, flow_hash};
use crate::net::Timestamp;

use super::memory::Shares;
use super::plan::{Indexed, Plan};
use super::read::{Lane, Read};
use super::track::Followed;
use super::{Error, Settings};

/// Packets that are no TCP and are remembered, to know them again in another view.
const MAX_NOTES: usize = 256;

/// Segments that were not followed.
#[derive(Debug, Default)]
pub(super) struct Aside {
    /// By the index of their capture.
    pub(super) by_capture: BTreeMap<u32, u64>,
}

impl Aside {
    pub(super) fn segments(&self) -> u64 {
        self.by_capture.values().sum()
    }
}

/// A lane that has not begun.
struct Pending<'a> {
    lane: usize,
    files: &'a [Indexed],
    /// `None`: it is read by itself, behind all others.
    first: Option<Timestamp>,
}

/// A lane that is being read, and its next segments.
struct Head<'a> {
    number: usize,
    lane: Lane<'a>,
    batch: SegmentBatch,
    /// Place of the next segment, and of the next note.
    at: usize,
    note: usize,
    /// Latest time in the batch.
    until: Timestamp,
    /// What its encapsulations are called in the timeline.
    encapsulations: Vec<u32>,
}

impl Head<'_> {
    fn next(&self) -> Option<&Segment> {
        self.batch.segments.get(self.at)
    }
}

/// See the head of this file.
pub(super) struct Timeline<'a> {
    settings: &'a Settings,
    plan: &'a Plan,
    /// The next one last.
    pending: Vec<Pending<'a>>,
    heads: Vec<Head<'a>>,
    /// Whether others join the lane that a stretch of time begins with.
    joined: bool,
    names: Names,
    views: Views<'a>,
    /// Frames read and not told of yet.
    frames: u64,
    read: Vec<(u32, CaptureInfo, Vec<Undecoded>)>,
    notes: Vec<String>,
    /// Files of these indices alone are needed, where they are read one after the other.
    needed: Option<&'a (dyn Fn(u32) -> bool + Sync)>,
}

impl<'a> Timeline<'a> {
    pub(super) fn new(settings: &'a Settings, plan: &'a Plan) -> Self {
        let mut timeline = Self::empty(settings, plan);
        for (lane, planned) in plan.lanes.iter().enumerate() {
            timeline.put(Pending {
                lane,
                files: &planned.files,
                first: planned.first,
            });
        }
        timeline
    }

    /// The same once more, without what can be read but once; of one lane, `needed` files alone.
    pub(super) fn again(
        settings: &'a Settings,
        plan: &'a Plan,
        needed: &'a (dyn Fn(u32) -> bool + Sync),
    ) -> Self {
        let mut timeline = Self::new(settings, plan);
        timeline.pending.retain(|p| !plan.lanes[p.lane].is_pipe());
        timeline.needed = (plan.lanes.len() == 1).then_some(needed);
        timeline
    }

    fn empty(settings: &'a Settings, plan: &'a Plan) -> Self {
        Self {
            settings,
            plan,
            pending: Vec::new(),
            heads: Vec::new(),
            joined: false,
            names: Names::default(),
            views: Views::new(plan, Shares::of(settings).owners),
            frames: 0,
            read: Vec::new(),
            notes: Vec::new(),
            needed: None,
        }
    }

    fn put(&mut self, pending: Pending<'a>) {
        self.pending.push(pending);
        self.pending
            .sort_by_key(|p| std::cmp::Reverse((p.first.is_none(), p.first, p.lane)));
    }

    /// Begins the next stretch of time; `false` behind the last.
    pub(super) fn begin(&mut self) -> Result<bool, Error> {
        let Some(next) = self.pending.pop() else {
            return Ok(false);
        };
        self.names = Names::default();
        self.views.begin();
        self.joined = next.first.is_some();
        self.let_in(next);
        Ok(true)
    }

    fn let_in(&mut self, pending: Pending<'a>) {
        self.views.live[pending.lane] = Live::Yes;
        let of = self.plan.upto as usize;
        self.heads.push(Head {
            number: pending.lane,
            lane: Lane::new(self.settings, pending.files, of, self.plan.lanes.len()),
            batch: SegmentBatch::default(),
            at: 0,
            note: 0,
            until: Timestamp(i64::MIN),
            encapsulations: Vec::new(),
        });
    }

    /// Fills `out` with the next segments; `false` behind the last of this stretch of time.
    pub(super) fn next(&mut self, out: &mut Followed) -> Result<bool, Error> {
        clear(&mut out.batch);
        loop {
            let full = self.refill(&mut out.batch)?;
            let Some(place) = self.earliest() else {
                break;
            };
            let now = self.heads[place]
                .next()
                .map_or(Timestamp(i64::MAX), |s| s.time);
            if self.joined
                && let Some(next) = self
                    .pending
                    .pop_if(|p| p.first.is_some_and(|first| first <= now))
            {
                self.let_in(next);
                continue;
            }
            if full || out.batch.segments.len() >= BATCH_FRAMES {
                break;
            }
            // How far this lane goes before another one's turn comes.
            let joins = self.pending.last().filter(|_| self.joined);
            let others = self.heads.iter().enumerate().filter(|(n, _)| *n != place);
            let bound = others
                .filter_map(|(_, head)| Some((head.next()?.time, head.number)))
                .chain(joins.and_then(|p| Some((p.first?, p.lane))))
                .min()
                .unwrap_or((Timestamp(i64::MAX), usize::MAX));
            let head = &mut self.heads[place];
            if out.batch.segments.is_empty()
                && out.batch.notes.is_empty()
                && (head.at, head.note) == (0, 0)
                && (head.until, head.number) <= bound
            {
                std::mem::swap(&mut head.batch, &mut out.batch);
                self.views.leave_out(head.number, &mut out.batch);
                break;
            }
            self.views.copy(head, bound, &mut out.batch);
        }
        if !out.batch.notes.is_sorted_by_key(|n| n.time) {
            out.batch.notes.sort_by_key(|n| n.time);
        }
        out.frames = std::mem::take(&mut self.frames);
        out.encapsulations.append(&mut self.names.new);
        Ok(!(self.heads.is_empty()
            && out.batch.segments.is_empty()
            && out.batch.notes.is_empty()
            && out.frames == 0))
    }

    /// Reads on where a lane's segments are used up, and lets lanes go that have ended. Whether there are so many packets without segments
    /// that they have to be handed on.
    fn refill(&mut self, out: &mut SegmentBatch) -> Result<bool, Error> {
        let mut place = 0;
        while let Some(head) = self.heads.get_mut(place) {
            if head.next().is_some() {
                place += 1;
                continue;
            }
            let notes = head.batch.notes.get(head.note..).unwrap_or(&[]);
            for note in notes {
                if self.views.takes_note(head.number, note) {
                    out.notes.push(note.clone());
                }
            }
            clear(&mut head.batch);
            (head.at, head.note) = (0, 0);
            if out.notes.len() >= BATCH_FRAMES {
                return Ok(true);
            }
            if let Some(needed) = self.needed {
                head.lane.pass_over(needed);
            }
            match head.lane.fill(&mut head.batch)? {
                Some(frames) => {
                    self.frames += frames;
                    self.names.take(head, self.plan);
                }
                None => {
                    let mut head = self.heads.remove(place);
                    self.let_go(&mut head);
                }
            }
        }
        Ok(false)
    }

    fn let_go(&mut self, head: &mut Head<'a>) {
        self.views.live[head.number] = Live::Ended;
        self.notes.append(&mut head.lane.notes);
        self.read.append(&mut head.lane.read);
        if !head.lane.rest.is_empty() {
            self.put(Pending {
                lane: head.number,
                files: head.lane.rest,
                first: None,
            });
        }
    }

    /// The lane whose segment is next.
    fn earliest(&self) -> Option<usize> {
        let times = self.heads.iter().enumerate();
        times
            .filter_map(|(place, head)| Some((head.next()?.time, head.number, place)))
            .min()
            .map(|(_, _, place)| place)
    }

    /// What was read. `frames`: such as were handed on.
    pub(super) fn finish(mut self, frames: u64) -> Read {
        for mut head in std::mem::take(&mut self.heads) {
            head.lane.leave();
            self.let_go(&mut head);
        }
        self.read.sort_by_key(|(index, ..)| *index);
        let mut notes = self.plan.notes.clone();
        notes.append(&mut self.notes);
        notes.extend(self.views.sentences());
        Read {
            captures: self
                .read
                .into_iter()
                .map(|(_, info, undecoded)| (info, undecoded))
                .collect(),
            notes,
            frames,
            aside: self.views.aside,
        }
    }
}

/// Empties a batch and keeps its room.
fn clear(batch: &mut SegmentBatch) {
    batch.segments.clear();
    batch.sacks.clear();
    batch.notes.clear();
    batch.overlong.clear();
    batch.extra.clear();
    if let Octets::Owned(octets) = &mut batch.octets {
        octets.clear();
    }
}

/// Names of the encapsulations of a stretch of time: its lanes number their own.
#[derive(Default)]
struct Names {
    numbers: HashMap<String, u32>,
    /// Not told of yet.
    new: Vec<String>,
    /// How many the only lane has.
    known: u32,
}

impl Names {
    /// Gives what a lane has just read the numbers and the clock of the timeline.
    fn take(&mut self, head: &mut Head<'_>, plan: &Plan) {
        let Head {
            lane,
            batch,
            encapsulations,
            ..
        } = head;
        if plan.lanes.len() == 1 {
            while let Some(name) = lane.encapsulation(self.known + 1) {
                self.new.push(name);
                self.known += 1;
            }
            head.until = Timestamp(i64::MIN);
            return;
        }
        while let Some(name) = lane.encapsulation(encapsulations.len() as u32 + 1) {
            let next = self.numbers.len() as u32 + 1;
            let number = *self.numbers.entry(name).or_insert_with_key(|name| {
                self.new.push(name.clone());
                next
            });
            encapsulations.push(number);
        }
        let place = |key: &mut crate::decode::FlowKey| {
            let own = (key.encapsulation as usize).checked_sub(1);
            let number = own.and_then(|own| encapsulations.get(own).copied());
            let moved = number.is_some_and(|n| n != key.encapsulation);
            key.encapsulation = number.unwrap_or(key.encapsulation);
            moved
        };
        let planned = &plan.lanes[head.number];
        head.until = Timestamp(i64::MIN);
        for seg in &mut batch.segments {
            if place(&mut seg.key) {
                seg.hash = flow_hash(&seg.key);
            }
            seg.time = planned.time(seg.time);
            head.until = head.until.max(seg.time);
        }
        for note in &mut batch.notes {
            if let NoteKind::IcmpError { key, .. } = &mut note.kind {
                place(key);
            }
            note.time = planned.time(note.time);
        }
    }
}

/// Where a lane stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Live {
    NotYet,
    Yes,
    Ended,
}

/// The view in which a connection is followed.
#[derive(Clone, Copy, Debug)]
struct Owner {
    lane: usize,
    /// When it was last heard of.
    last: Timestamp,
    /// What tells its latest SYN.
    syn: Option<Syn>,
    /// Lanes, as bits: those with views of it that were counted, and those that show parts of it.
    views: u64,
    parts: u64,
}

/// A SYN that another view shows as well.
type Syn = (u32, bool, Option<(u32, u32)>, Option<u16>);

fn syn(seg: &Segment) -> Option<Syn> {
    seg.flags
        .has(TcpFlags::SYN)
        .then_some((seg.seq.0, seg.from_first, seg.timestamps, seg.ip_id))
}

/// What several captures have views of.
struct Views<'a> {
    relations: &'a BTreeMap<(usize, usize), Relation>,
    live: Vec<Live>,
    /// When each lane begins.
    firsts: Vec<Option<Timestamp>>,
    /// Connections whose view is remembered: those heard of lately, and those before them. Those not heard of while so many others were are
    /// forgotten.
    owners: [HashMap<u64, Owner>; 2],
    most_owners: usize,
    forgotten: u64,
    said: Vec<(usize, Note)>,
    aside: Aside,
    /// By lanes: connections of which both have a view.
    both: BTreeMap<(usize, usize), u64>,
    lanes: Vec<Vec<u32>>,
}

impl<'a> Views<'a> {
    fn new(plan: &'a Plan, most_owners: usize) -> Self {
        let indices = |files: &[Indexed]| files.iter().map(|(index, _)| *index).collect();
        Self {
            relations: &plan.relations,
            live: vec![Live::NotYet; plan.lanes.len()],
            firsts: plan.lanes.iter().map(|lane| lane.first).collect(),
            owners: [HashMap::new(), HashMap::new()],
            most_owners,
            forgotten: 0,
            said: Vec::new(),
            aside: Aside::default(),
            both: BTreeMap::new(),
            lanes: plan.lanes.iter().map(|l| indices(&l.files)).collect(),
        }
    }

    /// Another stretch of time: what was said before is not said again.
    fn begin(&mut self) {
        self.owners = [HashMap::new(), HashMap::new()];
        self.said.clear();
    }

    /// How two lanes are related, and whether the first of them is the left one.
    fn relation(&self, a: usize, b: usize) -> Option<(&'a Relation, bool)> {
        let relation = self.relations.get(&(a.min(b), a.max(b)))?;
        Some((relation, a < b))
    }

    /// Whether this lane has nothing to do with another, as far as is known.
    fn is_alone(&self, lane: usize) -> bool {
        !(0..self.live.len()).any(|n| {
            self.relation(lane, n)
                .is_some_and(|(r, _)| self.live[n] != Live::NotYet || r.is_akin())
        })
    }

    /// Whether a lane is being read, or will be at this moment.
    fn is_live(&self, lane: usize, moment: Timestamp) -> bool {
        match self.live[lane] {
            Live::Yes => true,
            Live::NotYet => self.firsts[lane].is_some_and(|first| first <= moment),
            Live::Ended => false,
        }
    }

    /// Whether a segment of this lane is followed.
    fn takes(&mut self, lane: usize, seg: &Segment) -> bool {
        let flow = connection(&seg.key, seg.hash);
        let syn = syn(seg);
        let owner = match self.owner(flow) {
            // Another connection on the same ports.
            Some(owner)
                if owner.lane != lane
                    && syn.is_some_and(|s| {
                        !seg.flags.has(TcpFlags::ACK)
                            && owner.syn.is_some_and(|o| o.1 == s.1 && o.0 != s.0)
                    }) =>
            {
                None
            }
            known => known,
        };
        let mut owner = owner.unwrap_or_else(|| Owner {
            lane: self.best(lane, flow, seg.time),
            last: seg.time,
            syn: None,
            views: 0,
            parts: 0,
        });
        let bit = 1 << (lane as u32 % u64::BITS);
        if owner.lane == lane {
            owner.last = owner.last.max(seg.time);
            owner.syn = syn.or(owner.syn);
            self.keep(flow, owner);
            return true;
        }
        let Some((relation, _)) = self.relation(owner.lane, lane) else {
            return true;
        };
        let is_view = relation.is_view(flow).unwrap_or_else(|| {
            // Nothing is known of the two but this connection: it is seen twice if its beginning is.
            owner.views & bit != 0 || owner.parts & bit == 0 && syn.is_some() && syn == owner.syn
        });
        if !is_view {
            owner.parts |= bit;
            self.keep(flow, owner);
            return true;
        }
        if self.live[owner.lane] == Live::Ended && seg.time.nanos_since(owner.last) > relation.grace
        {
            (owner.lane, owner.last) = (lane, seg.time);
            self.keep(flow, owner);
            return true;
        }
        if owner.views & bit == 0 {
            owner.views |= bit;
            let pair = (lane.min(owner.lane), lane.max(owner.lane));
            *self.both.entry(pair).or_default() += 1;
        }
        self.keep(flow, owner);
        *self
            .aside
            .by_capture
            .entry(seg.frame.capture())
            .or_default() += 1;
        false
    }

    fn owner(&self, flow: u64) -> Option<Owner> {
        self.owners.iter().find_map(|o| o.get(&flow)).copied()
    }

    fn keep(&mut self, flow: u64, owner: Owner) {
        let [new, old] = &mut self.owners;
        if new.len() >= self.most_owners && !new.contains_key(&flow) {
            self.forgotten += old.len() as u64;
            *old = std::mem::take(new);
        }
        new.insert(flow, owner);
    }

    /// The lane among those being read that shows most of a connection that this one shows.
    fn best(&self, lane: usize, flow: u64, now: Timestamp) -> usize {
        let mut best = lane;
        for other in 0..self.live.len() {
            let Some((relation, best_is_left)) = self.relation(best, other) else {
                continue;
            };
            let more = if best_is_left {
                relation.right_shows_more(flow)
            } else {
                relation.left_shows_more(flow)
            };
            if more
                && relation.is_view(flow) == Some(true)
                && self.is_live(other, now.plus_nanos(relation.grace))
            {
                best = other;
            }
        }
        best
    }

    /// Whether a packet that is no TCP is new: one of another view tells nothing.
    fn takes_note(&mut self, lane: usize, note: &Note) -> bool {
        if self.is_alone(lane) {
            return true;
        }
        let same = self.said.iter().position(|(of, said)| {
            let relation = self.relation(*of, lane);
            relation.is_some_and(|(r, _)| note.time.nanos_since(said.time).abs() <= r.grace)
                && (said.from, said.to) == (note.from, note.to)
                && said.kind == note.kind
        });
        if let Some(at) = same {
            self.said.remove(at);
            return false;
        }
        if self.said.len() >= MAX_NOTES {
            self.said.remove(0);
        }
        self.said.push((lane, note.clone()));
        true
    }

    /// Leaves the segments and notes in the batch that are taken.
    fn leave_out(&mut self, lane: usize, batch: &mut SegmentBatch) {
        if self.is_alone(lane) {
            return;
        }
        let (mut place, mut kept) = (0, 0);
        let mut overlong = std::mem::take(&mut batch.overlong).into_iter().peekable();
        batch.segments.retain(|seg| {
            let room = overlong.next_if(|(at, _)| *at == place);
            place += 1;
            let takes = self.takes(lane, seg);
            if takes {
                batch.overlong.extend(room.map(|(_, room)| (kept, room)));
                kept += 1;
            }
            takes
        });
        batch.notes.retain(|note| self.takes_note(lane, note));
    }

    /// Copies segments up to a bound into a batch of several lanes.
    fn copy(&mut self, head: &mut Head<'_>, bound: (Timestamp, usize), out: &mut SegmentBatch) {
        let alone = self.is_alone(head.number);
        let from = &head.batch;
        if !matches!(out.octets, Octets::Owned(_)) {
            out.octets = Octets::default();
        }
        let first = from
            .overlong
            .partition_point(|(n, _)| (*n as usize) < head.at);
        let mut overlong = from.overlong.iter().skip(first).peekable();
        while let Some(seg) = from.segments.get(head.at)
            && (seg.time, head.number) <= bound
            && out.segments.len() < BATCH_FRAMES
        {
            while let Some(note) = from.notes.get(head.note).filter(|n| n.time <= seg.time) {
                if self.takes_note(head.number, note) {
                    out.notes.push(note.clone());
                }
                head.note += 1;
            }
            let room = overlong.next_if(|(n, _)| *n as usize == head.at);
            head.at += 1;
            if !alone && !self.takes(head.number, seg) {
                continue;
            }
            let mut seg = *seg;
            let payload = from.octets_of(seg.payload);
            let sacks = from.sack_blocks(&seg);
            if let Octets::Owned(octets) = &mut out.octets {
                seg.payload = OctetRef {
                    offset: octets.len() as u64,
                    len: payload.len() as u32,
                };
                octets.extend_from_slice(payload);
            }
            seg.sack = (out.sacks.len() as u32, sacks.len() as u8);
            out.sacks.extend_from_slice(sacks);
            let place = out.segments.len() as u32;
            out.overlong.extend(room.map(|(_, room)| (place, *room)));
            out.segments.push(seg);
        }
    }

    /// What to tell of captures that show the same connections.
    fn sentences(&self) -> Vec<String> {
        let mut all = Vec::new();
        for ((left, right), connections) in &self.both {
            let Some((relation, _)) = self.relation(*left, *right) else {
                continue;
            };
            let name = |lane: &usize| {
                let indices = self.lanes.get(*lane).map_or(&[][..], Vec::as_slice);
                match indices {
                    [one] => format!("capture {}", one + 1),
                    [first, .., last] => format!("captures {} to {}", first + 1, last + 1),
                    [] => String::new(),
                }
            };
            let (left, right) = (name(left), name(right));
            let what = match connections {
                1 => "the same connection".to_owned(),
                n => format!("{n} connections that are the same"),
            };
            let clocks = match &relation.clock {
                Some(clock) if clock.offset.abs() >= 0.001 => format!(
                    "; the clock of {right} is {:.3} s {} that of {left}, by which its times are given here",
                    clock.offset.abs(),
                    if clock.offset < 0.0 {
                        "behind"
                    } else {
                        "ahead of"
                    }
                ),
                _ => String::new(),
            };
            let place = if relation.one_place {
                "taken at one place".to_owned()
            } else {
                "taken at two points of one path; tcptriage compare tells where segments were lost or changed between".to_owned()
            };
            all.push(format!(
                "{left} and {right} show {what} at the same time, {place}; each is followed in the view that shows more of it, or shows it first, \
                 and the other's segments are counted as seen twice{clocks}"
            ));
        }
        if self.forgotten > 0 {
            all.push(format!(
                "more than {} connections were under way in captures that overlap: {} were forgotten, and may have gone on in another view",
                self.most_owners, self.forgotten
            ));
        }
        all
    }
}
