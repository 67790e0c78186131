//! The table of flows: finds a segment's flow, opens and retires flows, keeps the whole within its memory.
//!
//! Takes:  [`SegmentBatch`]es in order of time
//! Gives:  [`Observed`]
//! Never:  holds more than [`Limits::flows`] flows or, by its own account, more than [`Limits::octets`] octets for long, one flow alone apart

use std::cmp::Reverse;
use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashTable;

use super::connection::Connection;
use super::half::Verdict;
use super::lone::{Lone, grow};
use super::reassembly::Ready;
use super::reuse::{Belongs, Numbers, Rival};
use super::series::Moment;
use super::share::{Given, Share, comes_before, is_as_filed};
use super::{Chunk, End, FlowRecord, Judged, Life, Observed};
use crate::decode::{FlowKey, Note, NoteKind, Segment, SegmentBatch, TcpFlags, flow_hash};
use crate::net::{Direction, FrameNo, StreamOffset, Timestamp};

/// Twice the longest segment lifetime of RFC 9293 section 3.4.2.
const LINGER: Duration = Duration::from_secs(240);

/// How much the table may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Flows at one time.
    pub flows: usize,
    /// Octets, about.
    pub octets: usize,
    /// How long a closed flow is kept for stragglers.
    pub linger: Duration,
    /// After this silence a closed flow with nothing on its way is given up, and only what it takes to know its stragglers is kept of it;
    /// they count as [`FlowTable::stragglers`], and are in no record; flows that have fallen silent are given up too, and count as
    /// [`FlowTable::silent`]. `None`: they are kept as a whole, closed ones until there are some thousand flows and they were silent for a
    /// minute.
    pub settle: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            flows: 1_000_000,
            octets: 1 << 30,
            linger: LINGER,
            settle: None,
        }
    }
}

impl Limits {
    /// The limits of each of so many tables that share flows out.
    #[must_use]
    pub fn shared_by(self, tables: u8) -> Self {
        let tables = usize::from(tables.max(1));
        Self {
            flows: self.flows / tables,
            octets: self.octets / tables,
            ..self
        }
    }

    /// So many flows that the memory of those that are over matters.
    const fn many(&self) -> usize {
        self.flows / 1_024
    }
}

/// Flows that are over are looked for this often by the capture's clock, once there are [`Limits::many`]: as long as they are kept, what
/// comes for one later still finds it.
const CHECK_EVERY: i64 = 30_000_000_000;

/// Then only what it takes to know its stragglers is kept of a closed flow that has been silent for so long, with nothing on its way: as long
/// as Linux keeps one (TIME-WAIT).
const SETTLED: Duration = Duration::from_secs(60);

/// With [`Limits::settle`], a flow that waits for an answer is given up after this silence: several times what any stack waits between two
/// retransmissions (four minutes, seen from Windows).
const UNANSWERED: Duration = Duration::from_secs(600);

/// The same where nothing is on its way: as long as a NAT has to keep an idle connection (RFC 5382, REQ-5).
const IDLE: Duration = Duration::from_secs(7_440);

/// With [`Limits::settle`], closed and silent flows are looked for this often by the capture's clock.
const SETTLE_EVERY: i64 = 1_000_000_000;

/// Flows retired at one time: so many, or a few more than came segments, so that the table gets no fuller meanwhile.
const AT_ONCE: usize = 512;
/// Flows retired at one time when the capture has ended: so few that others can judge them while the next are retired.
const AT_ITS_END: usize = 256;

/// Numbers kept for flows that are still to come; one whose number was not kept takes the next.
const MAX_RESERVED: usize = 8_192;

/// A flow under way. One that has shown a lone SYN is kept small: a flood of SYNs is nothing else. So is one that is over.
#[derive(Debug)]
enum Slot {
    Syn(Box<Lone>),
    Full(Box<Connection>),
    Past(Box<Past>),
}

/// Which flows have to go first where there are too many.
#[derive(Clone, Copy, Eq, Ord, PartialEq, PartialOrd)]
enum Rank {
    Past,
    /// Refused, reset, or closed both ways.
    Closed,
    /// Not answered yet, or a segment out of nowhere.
    Opening,
    Open,
}

/// Why a flow has to leave the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Why {
    /// It is closed; unless a straggler comes meanwhile.
    Over,
    /// It has fallen silent; unless it speaks meanwhile.
    Silent,
    /// There is no room.
    Evicted,
    /// The capture has ended.
    Ended,
}

/// What is kept of a flow whose record was handed on: enough to know its stragglers, and what is another flow.
#[derive(Debug)]
struct Past {
    key: FlowKey,
    hash: u64,
    index: u64,
    end: Timestamp,
    numbers: Numbers,
}

/// A rival as a connection of its own, with what was kept of it.
fn grow_rival(rival: &Rival) -> Box<Connection> {
    let mut c = grow(&rival.syn, rival.index);
    for seg in &rival.more {
        c.segment(seg, &[], &[], &mut [Vec::new(), Vec::new()]);
    }
    c
}

/// Closes the books of a SYN from which nothing followed. It has an index, and no place in the table.
fn dismiss(connection: &mut Connection, rival: &Rival, at: u64) -> Observed {
    let alone = grow_rival(rival);
    let mut record = Box::new(alone.finish(false));
    if rival.outlived {
        connection.outlived(&rival.syn);
        if record.close.how == End::Unanswered {
            // It was answered, with an acknowledgement of the connection that was there.
            record.close.how = End::Open;
        }
    }
    Observed::Closed {
        slot: u32::MAX,
        life: Life::Told(record),
        at,
    }
}

/// Where a segment belongs, as to connections that share its ports.
enum Place {
    Here,
    /// To a SYN that waits for what follows.
    Aside,
    /// To a connection that begins with it.
    Anew,
    /// To the one that waited.
    Rival,
}

impl Slot {
    fn key(&self) -> &FlowKey {
        match self {
            Self::Syn(l) => &l.syn.key,
            Self::Full(c) => &c.key,
            Self::Past(p) => &p.key,
        }
    }

    fn hash(&self) -> u64 {
        match self {
            Self::Syn(l) => l.syn.hash,
            Self::Full(c) => c.hash,
            Self::Past(p) => p.hash,
        }
    }

    fn index(&self) -> u64 {
        match self {
            Self::Syn(l) => l.index,
            Self::Full(c) => c.index,
            Self::Past(p) => p.index,
        }
    }

    fn end(&self) -> Timestamp {
        match self {
            Self::Syn(l) => l.syn.time,
            Self::Full(c) => c.end,
            Self::Past(p) => p.end,
        }
    }

    fn memory(&self) -> usize {
        PLACE
            + match self {
                Self::Syn(_) => size_of::<Lone>(),
                Self::Full(c) => c.memory(),
                Self::Past(_) => size_of::<Past>(),
            }
    }

    /// Whether it got beyond its opening, one way or the other.
    fn is_open(&self) -> bool {
        match self {
            Self::Syn(_) | Self::Past(_) => false,
            Self::Full(c) => c.is_open(),
        }
    }

    fn rank(&self) -> Rank {
        match self {
            Self::Past(_) => Rank::Past,
            Self::Syn(_) => Rank::Opening,
            Self::Full(c) => {
                if c.is_closed() {
                    Rank::Closed
                } else if c.is_open() && c.frames() > 1 {
                    Rank::Open
                } else {
                    Rank::Opening
                }
            }
        }
    }

    /// Its record, if it ended now; `None` where that was handed on.
    fn record(&self) -> Option<FlowRecord> {
        match self {
            Self::Syn(lone) => Some(lone.record()),
            Self::Full(c) => Some(c.clone().finish(false)),
            Self::Past(_) => None,
        }
    }

    fn is_over(&self, now: Timestamp, linger: Duration) -> bool {
        let nanos = i64::try_from(linger.as_nanos()).unwrap_or(i64::MAX);
        match self {
            Self::Syn(_) => false,
            Self::Full(c) => c.is_over(now, nanos),
            Self::Past(p) => now.nanos_since(p.end) > nanos,
        }
    }

    /// Whether it has been silent for so long that nothing more is to be expected.
    fn has_fallen_silent(&self, now: Timestamp) -> bool {
        let waits = match self {
            Self::Syn(_) => true,
            Self::Full(c) => !c.is_open() || !c.is_at_rest(),
            Self::Past(_) => return false,
        };
        let patience = if waits { UNANSWERED } else { IDLE };
        now.since(self.end())
            .is_some_and(|silent| silent > patience)
    }

    /// Whether it is closed, has been silent for so long, and waits for nothing.
    fn is_settled(&self, now: Timestamp, silence: Duration) -> bool {
        match self {
            Self::Full(c) => c.is_at_rest() && self.is_over(now, silence),
            Self::Syn(_) | Self::Past(_) => false,
        }
    }
}

/// Octets that a flow takes up in lists that double when they are full: of slots, of hashes, of [indices](super::share::Indices).
const PLACE: usize = 128;

/// All flows under way.
#[derive(Debug)]
pub struct FlowTable {
    slots: Vec<Option<Slot>>,
    /// Slots to retire with the numbers of their flows, and why; worked off some at a time, so that no crowd of records has to be held at once.
    leaving: VecDeque<(u32, u64, Why)>,
    ending: bool,
    full: usize,
    past: usize,
    free: Vec<u32>,
    find: HashTable<(u64, u32)>,
    next_index: u64,
    /// Numbers of flows still to come. Wireshark gives a number to a flow that an ICMP error quotes, and goes by the order of the file
    /// where that is not the order of time.
    reserved: HashTable<(FlowKey, u64)>,
    /// Numbers given to flows, where several tables share them out: kept as long as nobody takes them.
    pub given: Vec<Given>,
    shares: bool,
    limits: Limits,
    /// Ports on which servers listen, beyond those of custom; used where no SYN tells.
    pub ports: Vec<u16>,
    last: Option<(FlowKey, u32)>,
    now: Timestamp,
    ready: [Vec<Ready>; 2],
    /// Batches since the limits were last checked, and what they may have added.
    since_check: u32,
    checked: Timestamp,
    taken: usize,
    /// What a flow held when they were, on average, with what others held for it.
    each: usize,
    /// When closed flows were last looked for.
    settled: Timestamp,
    /// Segments and ICMP errors that came for flows whose record was handed on.
    pub stragglers: u64,
    /// The first of them.
    pub first_straggler: Option<FrameNo>,
    /// Flows given up because they had been silent for long; what comes of one later counts as a further flow.
    pub silent: u64,
    /// Flows given up before their end to keep within the limits.
    pub evicted: u64,
    /// Segments that claimed more octets than their frame had room for, and were not believed.
    pub overlong: u64,
    /// TCP segments taken.
    pub segments: u64,
    /// What was made of each segment, where somebody wants to know: kept as long as nobody takes it.
    pub judged: Option<Vec<(FrameNo, Judged)>>,
    /// How each flow stood after each segment, where somebody wants to know: kept as long as nobody takes it.
    pub moments: Option<Vec<Moment>>,
}

impl FlowTable {
    /// An empty table.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            slots: Vec::new(),
            leaving: VecDeque::new(),
            ending: false,
            full: 0,
            past: 0,
            free: Vec::new(),
            find: HashTable::new(),
            next_index: 0,
            reserved: HashTable::new(),
            given: Vec::new(),
            shares: false,
            limits,
            ports: Vec::new(),
            last: None,
            now: Timestamp(i64::MIN),
            ready: [Vec::new(), Vec::new()],
            since_check: 0,
            checked: Timestamp(i64::MIN),
            taken: 0,
            each: PLACE + size_of::<Connection>(),
            settled: Timestamp(i64::MIN),
            stragglers: 0,
            first_straggler: None,
            silent: 0,
            evicted: 0,
            overlong: 0,
            segments: 0,
            judged: None,
            moments: None,
        }
    }

    /// Takes a batch of segments; what is observed goes to `out` in order. References in `out` point into `batch`.
    pub fn push(&mut self, batch: &SegmentBatch, out: &mut Vec<Observed>) {
        if !is_as_filed(batch) {
            self.number_as_filed(batch);
        }
        let before = self.segments;
        let mut notes = batch.notes.iter().peekable();
        for (n, seg) in batch.segments.iter().enumerate() {
            while let Some(note) = notes.next_if(|note| comes_before(note, seg)) {
                self.note(note);
            }
            self.believed(batch, n, seg, out);
        }
        for note in notes {
            self.note(note);
        }
        self.end_of_batch(before, &|_| 0, out);
    }

    /// Takes the segments of one share of a batch, as [`push`](Self::push) takes all. [`given`](Self::given) are the numbers of the flows
    /// that begin in it. `beside`: octets that others hold for the flow in a slot, about, which count against [`Limits::octets`] too.
    pub fn push_share(
        &mut self,
        batch: &SegmentBatch,
        share: &Share,
        beside: &dyn Fn(u32) -> usize,
        out: &mut Vec<Observed>,
    ) {
        self.shares = true;
        for &(n, number) in &share.filed {
            self.next_index = number;
            if let Some(seg) = batch.segments.get(n as usize) {
                self.number_ahead(seg);
            }
        }
        let before = self.segments;
        let mut notes = share.notes.iter().peekable();
        for &(n, number) in &share.segments {
            while let Some(&(k, number, _)) = notes.next_if(|(_, _, behind)| *behind <= n) {
                self.note_at(batch, k, number);
            }
            self.next_index = number;
            if let Some(seg) = batch.segments.get(n as usize) {
                self.believed(batch, n as usize, seg, out);
            }
        }
        for &(k, number, _) in notes {
            self.note_at(batch, k, number);
        }
        self.next_index = share.behind;
        // The capture's clock goes on for flows that are silent.
        self.now = self.now.max(share.latest);
        self.end_of_batch(before, beside, out);
    }

    #[cold]
    fn note_at(&mut self, batch: &SegmentBatch, at: u32, number: u64) {
        self.next_index = number;
        if let Some(note) = batch.notes.get(at as usize) {
            self.note(note);
        }
    }

    /// A segment of the batch, as far as its length is to be believed.
    #[inline]
    fn believed(
        &mut self,
        batch: &SegmentBatch,
        at: usize,
        seg: &Segment,
        out: &mut Vec<Observed>,
    ) {
        match batch.overlong_at(at) {
            Some(room) => self.overlong(batch, seg, room, out),
            None => self.segment(batch, seg, out),
        }
        self.taken += size_of::<Segment>() + seg.payload.len as usize;
    }

    /// Sees to the limits. `before`: segments before this batch.
    fn end_of_batch(
        &mut self,
        before: u64,
        beside: &dyn Fn(u32) -> usize,
        out: &mut Vec<Observed>,
    ) {
        self.since_check += 1;
        let came = usize::try_from(self.segments - before).unwrap_or(usize::MAX);
        let crowded = self.taken > self.limits.octets / 8
            || self.find.len() > self.limits.flows
            || self.full * self.each
                + self.past * (PLACE + size_of::<Past>())
                + self.find.len().saturating_sub(self.full + self.past)
                    * (PLACE + size_of::<Lone>())
                > self.limits.octets;
        let due = self.since_check >= 256
            || (self.full >= self.limits.many()
                && self.now.nanos_since(self.checked) >= CHECK_EVERY);
        if self.leaving.is_empty() && (due || crowded) {
            (self.since_check, self.taken) = (0, 0);
            self.checked = self.now;
            self.keep_within_limits(beside);
        }
        if let Some(silence) = self.limits.settle
            && self.now.nanos_since(self.settled) >= SETTLE_EVERY
        {
            self.settled = self.now;
            self.settle(silence, out);
        }
        self.leave(AT_ONCE.max(came + came / 4), u64::MAX, out);
    }

    /// A segment that is longer by its IP header than its frame had room for. The capture may have forgotten how long the frame was,
    /// or the header lies: it is believed once what follows has borne it out.
    #[cold]
    fn overlong(
        &mut self,
        batch: &SegmentBatch,
        seg: &Segment,
        room: u32,
        out: &mut Vec<Observed>,
    ) {
        let believed = self
            .slot_of(&seg.key, seg.hash)
            .and_then(|slot| self.grown(slot))
            .is_some_and(|c| c.is_believed(seg));
        if believed {
            self.segment(batch, seg, out);
            return;
        }
        self.overlong += 1;
        let bounded = Segment {
            payload_octets: room,
            ..*seg
        };
        self.segment(batch, &bounded, out);
        if let Some((_, slot)) = self.last
            && let Some(c) = self.grown(slot)
        {
            c.claims(seg);
        }
    }

    /// The capture's clock has stepped back: flows that ended before are no longer younger than what comes now.
    pub fn clock_stepped(&mut self) {
        self.now = Timestamp(i64::MIN);
        self.settled = self.now;
        self.checked = self.now;
    }

    /// Hands on the records of closed flows that have been silent for so long, and keeps of them what it takes to know their stragglers;
    /// flows that are idle give back what room they do not use, and have to leave when they have been so for long.
    fn settle(&mut self, silence: Duration, out: &mut Vec<Observed>) {
        let nanos = i64::try_from(silence.as_nanos()).unwrap_or(i64::MAX);
        let may_leave = self.leaving.is_empty();
        for n in 0..self.slots.len() {
            let at = u32::try_from(n).unwrap_or(u32::MAX);
            let Some(slot) = &mut self.slots[n] else {
                continue;
            };
            if slot.is_settled(self.now, silence) {
                self.settle_one(at, out);
            } else if may_leave && slot.has_fallen_silent(self.now) {
                self.leaving.push_back((at, slot.index(), Why::Silent));
            } else if let Slot::Full(c) = slot
                // Once or twice in a silence.
                && (nanos..nanos + 2 * SETTLE_EVERY).contains(&self.now.nanos_since(c.end))
            {
                c.rest();
            }
        }
    }

    /// Hands on the record of a closed flow, and keeps of it what it takes to know its stragglers.
    fn settle_one(&mut self, slot: u32, out: &mut Vec<Observed>) {
        let place = &mut self.slots[slot as usize];
        let Some(Slot::Full(c)) = place.take_if(|s| matches!(s, Slot::Full(_))) else {
            return;
        };
        self.full -= 1;
        self.past += 1;
        *place = Some(Slot::Past(Box::new(Past {
            key: c.key,
            hash: c.hash,
            index: c.index,
            end: c.end,
            numbers: c.numbers,
        })));
        out.push(Observed::Closed {
            slot,
            life: Life::Told(Box::new(c.finish(false))),
            at: self.next_index,
        });
    }

    /// Retires as many of those that have to go, as far as their numbers are below this one.
    fn leave(&mut self, most: usize, below: u64, out: &mut Vec<Observed>) {
        for _ in 0..most {
            let next = self.leaving.pop_front_if(|(_, index, _)| *index < below);
            let Some((slot, index, why)) = next else {
                return;
            };
            let there = self.slots[slot as usize].as_ref();
            let Some(there) = there.filter(|s| s.index() == index) else {
                continue;
            };
            match why {
                Why::Over if there.is_over(self.now, self.limits.linger) => {}
                Why::Over => {
                    if there.is_settled(self.now, SETTLED) {
                        self.settle_one(slot, out);
                    }
                    continue;
                }
                Why::Silent if !there.has_fallen_silent(self.now) => continue,
                Why::Silent => self.silent += 1,
                Why::Evicted => self.evicted += u64::from(there.rank() != Rank::Past),
                Why::Ended => {}
            }
            self.retire(slot, why == Why::Evicted, out);
        }
    }

    fn note(&mut self, note: &Note) {
        let NoteKind::IcmpError { key, flags, .. } = &note.kind else {
            return;
        };
        let hash = flow_hash(key);
        match self.slot_of(key, hash) {
            Some(slot) => match self.grown(slot) {
                Some(c) => c.icmp(note),
                None => self.straggler(note.frame),
            },
            None if flags.is_some() => self.reserve(key, hash),
            None => {}
        }
    }

    fn straggler(&mut self, frame: FrameNo) {
        self.stragglers += 1;
        self.first_straggler.get_or_insert(frame);
    }

    /// Keeps a number for a flow of which no segment has come yet.
    fn reserve(&mut self, key: &FlowKey, hash: u64) {
        if self.reserved.find(hash, |r| r.0 == *key).is_some() {
            return;
        }
        let kept = self.reserved.len() < MAX_RESERVED;
        let number = self.give(kept);
        if kept {
            self.reserved
                .insert_unique(hash, (*key, number), |r| flow_hash(&r.0));
        }
    }

    /// The next number. `kept`: a flow bears it, or is to.
    fn give(&mut self, kept: bool) -> u64 {
        let number = self.next_index;
        self.next_index += 1;
        if self.shares {
            self.given.push(Given { number, kept });
        }
        number
    }

    /// Numbers the flows that begin in a batch that had to be put in order of time, in the order of the file.
    #[cold]
    fn number_as_filed(&mut self, batch: &SegmentBatch) {
        let mut filed: Vec<&Segment> = batch.segments.iter().collect();
        filed.sort_unstable_by_key(|s| s.frame);
        for seg in filed {
            self.number_ahead(seg);
        }
    }

    /// Keeps a number for the flow of a segment that is still to come, unless it is there already.
    fn number_ahead(&mut self, seg: &Segment) {
        if self.slot_of(&seg.key, seg.hash).is_none() {
            self.reserve(&seg.key, seg.hash);
        }
    }

    /// The number of a flow that begins with this segment.
    fn number(&mut self, seg: &Segment) -> u64 {
        if let Ok(known) = self.reserved.find_entry(seg.hash, |r| r.0 == seg.key) {
            return known.remove().0.1;
        }
        self.give(true)
    }

    /// The connection in a slot; a lone SYN becomes one.
    fn grown(&mut self, slot: u32) -> Option<&mut Connection> {
        let place = self.slots.get_mut(slot as usize)?;
        if let Some(Slot::Syn(_)) = place
            && let Some(Slot::Syn(lone)) = place.take()
        {
            self.full += 1;
            *place = Some(Slot::Full(lone.grow()));
        }
        match place {
            Some(Slot::Full(c)) => Some(c),
            _ => None,
        }
    }

    fn slot_of(&self, key: &FlowKey, hash: u64) -> Option<u32> {
        self.find
            .find(hash, |(h, slot)| {
                *h == hash
                    && self.slots[*slot as usize]
                        .as_ref()
                        .is_some_and(|s| s.key() == key)
            })
            .map(|(_, slot)| *slot)
    }

    fn segment(&mut self, batch: &SegmentBatch, seg: &Segment, out: &mut Vec<Observed>) {
        self.segments += 1;
        self.now = self.now.max(seg.time);
        let mut slot = match self.last {
            Some((key, slot)) if key == seg.key => Some(slot),
            _ => self.slot_of(&seg.key, seg.hash),
        };
        if let Some(at) = slot
            && !self.goes_on(at, seg)
        {
            match self.place(at, seg, out) {
                Place::Here => {}
                Place::Aside => return,
                Place::Anew => {
                    self.retire(at, false, out);
                    slot = None;
                }
                Place::Rival => slot = self.succeed(at, out),
            }
        }
        let slot = if let Some(slot) = slot {
            slot
        } else {
            let lone = seg.flags == TcpFlags::SYN
                && seg.payload_octets == 0
                && self.judged.is_none()
                && self.moments.is_none();
            let slot = self.open(seg, lone);
            if lone {
                self.last = Some((seg.key, slot));
                return;
            }
            slot
        };
        self.last = Some((seg.key, slot));
        let Some(Some(Slot::Full(c))) = self.slots.get_mut(slot as usize) else {
            return;
        };
        let step = c.segment(
            seg,
            batch.sack_blocks(seg),
            batch.payload(seg),
            &mut self.ready,
        );
        if let Some(moments) = &mut self.moments {
            moments.push(c.moment(seg, batch.sack_blocks(seg), &step));
        }
        if c.wanted {
            let flow = c.index;
            for direction in Direction::BOTH {
                let ready = &mut self.ready[direction.index()];
                if ready.is_empty() {
                    continue;
                }
                if !c.announced {
                    c.announced = true;
                    let (client_port, server_port) = c.ports();
                    out.push(Observed::Opened {
                        flow,
                        slot,
                        client_port,
                        server_port,
                        connected: c.connected,
                    });
                }
                for r in ready.drain(..) {
                    out.push(Observed::Chunk(Chunk {
                        flow,
                        slot,
                        direction,
                        offset: r.offset.saturating_sub(StreamOffset::ORIGIN.0),
                        frame: r.frame,
                        sent: r.sent,
                        readable: r.readable,
                        data: r.data,
                    }));
                }
            }
            if let Some(una) = step.acked.filter(|_| c.announced) {
                out.push(Observed::Acked {
                    flow,
                    slot,
                    direction: step.direction.reverse(),
                    upto: una.saturating_sub(StreamOffset::ORIGIN.0),
                    time: seg.time,
                });
            }
        } else {
            self.ready[0].clear();
            self.ready[1].clear();
        }
        if let Some(judged) = &mut self.judged {
            let at_sight = match step.verdict {
                Verdict::Bare | Verdict::New => None,
                Verdict::Repeat(_, trigger) => Some(Judged::Repeat(trigger)),
                Verdict::Reordered => Some(Judged::Reordered),
                Verdict::Copy => Some(Judged::Copy(step.of)),
                Verdict::KeepAlive => Some(Judged::KeepAlive),
                Verdict::WindowProbe => Some(Judged::WindowProbe),
                Verdict::Outside => Some(Judged::Outside),
            };
            judged.extend(at_sight.map(|j| (seg.frame, j)));
        }
        debug_assert!(step.verdict != Verdict::Outside || seg.payload_octets > 0);
    }

    /// Nobody wants the octets of the flow in this slot any more.
    pub fn lose_interest(&mut self, slot: u32, flow: u64) {
        if let Some(Some(Slot::Full(c))) = self.slots.get_mut(slot as usize)
            && c.index == flow
        {
            c.wanted = false;
        }
    }

    /// Whether a segment goes on with the connection in its slot, as nearly all do: only a SYN may open another, and only of two can one
    /// be meant.
    fn goes_on(&self, slot: u32, seg: &Segment) -> bool {
        match self.slots.get(slot as usize) {
            Some(Some(Slot::Full(c))) => c.rival.is_none() && !seg.flags.has(TcpFlags::SYN),
            _ => false,
        }
    }

    /// Which connection on its ports a segment belongs to.
    fn place(&mut self, slot: u32, seg: &Segment, out: &mut Vec<Observed>) -> Place {
        if let Some(Some(Slot::Past(past))) = self.slots.get_mut(slot as usize) {
            if past.numbers.reopened_by(seg) {
                return Place::Anew;
            }
            past.numbers.see(seg);
            past.end = past.end.max(seg.time);
            self.straggler(seg.frame);
            return Place::Aside;
        }
        let at = self.next_index;
        let Some(c) = self.grown(slot) else {
            return Place::Here;
        };
        if c.numbers.reopened_by(seg) {
            if c.next_numbers().is_none() || !c.is_live() {
                return Place::Anew;
            }
            c.numbers = Numbers::begin(seg);
            let before = c.rival.take();
            if let Some(before) = before {
                out.push(dismiss(c, &before, at));
            }
            let rival = Box::new(Rival {
                syn: *seg,
                index: self.give(true),
                more: Vec::new(),
                outlived: false,
            });
            if let Some(c) = self.grown(slot) {
                c.rival = Some(rival);
            }
            return Place::Aside;
        }
        if c.rival.is_some()
            && let Some(next) = c.next_numbers()
            && let Some(rival) = &mut c.rival
        {
            match rival.place(seg, next) {
                Belongs::Connection => {}
                Belongs::Kept => {
                    c.numbers.see(seg);
                    return Place::Aside;
                }
                Belongs::Rival => return Place::Rival,
            }
        }
        Place::Here
    }

    fn open(&mut self, seg: &Segment, lone: bool) -> u32 {
        let index = self.number(seg);
        let new = if lone {
            Slot::Syn(Box::new(Lone {
                syn: *seg,
                index,
                evicted: false,
            }))
        } else {
            self.full += 1;
            Slot::Full(Box::new(Connection::new(seg, index, &self.ports)))
        };
        self.seat(seg.hash, new)
    }

    /// Gives a flow a place.
    fn seat(&mut self, hash: u64, new: Slot) -> u32 {
        let slot = if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = Some(new);
            slot
        } else {
            self.slots.push(Some(new));
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        };
        self.find.insert_unique(hash, (hash, slot), |(h, _)| *h);
        slot
    }

    fn retire(&mut self, slot: u32, evicted: bool, out: &mut Vec<Observed>) {
        let hash = self.slots[slot as usize].as_ref().map_or(0, Slot::hash);
        if let Ok(entry) = self.find.find_entry(hash, |(_, s)| *s == slot) {
            entry.remove();
        }
        self.last = None;
        let at = self.next_index;
        let mut connection = match self.slots[slot as usize].take() {
            Some(Slot::Full(c)) => {
                self.full -= 1;
                c
            }
            Some(Slot::Syn(mut lone)) => {
                self.free.push(slot);
                lone.evicted = evicted;
                out.push(Observed::Closed {
                    slot,
                    life: Life::Syn(lone),
                    at,
                });
                return;
            }
            Some(Slot::Past(_)) => {
                self.past -= 1;
                self.free.push(slot);
                return;
            }
            None => return,
        };
        self.free.push(slot);
        let stray = connection
            .rival
            .take()
            .map(|rival| dismiss(&mut connection, &rival, at));
        out.push(Observed::Closed {
            slot,
            life: Life::Told(Box::new(connection.finish(evicted))),
            at,
        });
        out.extend(stray);
    }

    /// The rival of the connection in this slot has turned out to be real: it takes the ports over.
    fn succeed(&mut self, slot: u32, out: &mut Vec<Observed>) -> Option<u32> {
        let c = self.grown(slot)?;
        let rival = c.rival.take()?;
        let (numbers, hash) = (c.numbers, c.hash);
        self.retire(slot, false, out);
        let mut new = grow_rival(&rival);
        new.numbers = numbers;
        self.full += 1;
        Some(self.seat(hash, Slot::Full(new)))
    }

    /// Marks flows that are over for retiring; where that is not enough, those that have been silent longest.
    fn keep_within_limits(&mut self, beside: &dyn Fn(u32) -> usize) {
        // Who wants to know of each segment wants to know of stragglers too.
        let may_settle =
            self.full >= self.limits.many() && self.judged.is_none() && self.moments.is_none();
        let (mut held, mut full, mut held_by_full) = (0, 0, 0);
        let mut over = Vec::new();
        let mut live = Vec::new();
        for (n, s) in self.slots.iter().enumerate() {
            let Some(s) = s else { continue };
            let slot = u32::try_from(n).unwrap_or(u32::MAX);
            if s.is_over(self.now, self.limits.linger)
                || (may_settle && s.is_settled(self.now, SETTLED))
            {
                over.push((s.index(), slot));
            } else {
                let mut octets = s.memory();
                if matches!(s, Slot::Full(_)) {
                    octets += beside(slot);
                    held_by_full += octets;
                    full += 1;
                }
                held += octets;
                live.push((s.rank(), s.end(), s.index(), slot, octets));
            }
        }
        self.each = (held_by_full / full.max(1)).max(PLACE + size_of::<Connection>());
        over.sort_unstable();
        self.leaving
            .extend(over.iter().map(|&(index, slot)| (slot, index, Why::Over)));
        let too_many = live.len() > self.limits.flows;
        let too_large = held > self.limits.octets && live.len() > 1;
        if !too_many && !too_large {
            return;
        }
        // A quarter at once, so that this happens seldom; first of those that are past. Where there are too many, connections go last: what
        // floods the table with SYNs is not to cut them in two.
        live.sort_unstable_by_key(|&(rank, end, index, ..)| {
            let rank = if too_many {
                rank
            } else {
                rank.min(Rank::Closed)
            };
            (rank, end, index)
        });
        let flows = if too_many { (live.len() / 4).max(1) } else { 0 };
        let octets = if too_large { held / 4 } else { 0 };
        let mut freed = 0;
        let gone = live.iter().zip(0..).take_while(|((.., octets_of_it), n)| {
            let more = *n < flows || freed < octets;
            freed += octets_of_it;
            more
        });
        let mut gone: Vec<(u64, u32)> = gone.map(|(l, _)| (l.2, l.3)).collect();
        gone.sort_unstable();
        self.leaving.extend(
            gone.iter()
                .map(|&(index, slot)| (slot, index, Why::Evicted)),
        );
    }

    /// The capture has ended: all flows end with it, in order of their first segment. Another capture may follow, with a clock of its
    /// own. Some flows are retired at each call; `true` means that there are more, and that it has to be called again.
    pub fn finish(&mut self, out: &mut Vec<Observed>) -> bool {
        self.finish_some(AT_ITS_END, u64::MAX, out)
    }

    /// The same for flows with a number below this one; where several tables share flows out, so that they end in the same order.
    pub fn finish_below(&mut self, number: u64, out: &mut Vec<Observed>) -> bool {
        self.next_index = number;
        self.finish_some(usize::MAX, number, out)
    }

    fn finish_some(&mut self, most: usize, below: u64, out: &mut Vec<Observed>) -> bool {
        if !self.ending {
            self.ending = true;
            // No segment asks for them any more, and in a large table each would have to be found to be taken out.
            self.find = HashTable::new();
            let mut all: Vec<_> = (0u32..)
                .zip(&self.slots)
                .filter_map(|(slot, s)| s.as_ref().map(|s| (s.index(), slot)))
                .collect();
            all.sort_unstable();
            self.leaving = all
                .into_iter()
                .map(|(index, slot)| (slot, index, Why::Ended))
                .collect();
        }
        self.leave(most, below, out);
        if self.leaving.is_empty() {
            self.ending = false;
            self.slots.clear();
            self.free.clear();
            self.reserved.clear();
            self.clock_stepped();
        }
        !self.leaving.is_empty()
    }

    /// Slots and records of the flows under way, as they would be if the capture ended now, in order of their first segment: of the `most`
    /// that were heard of last. Left out are those that are still being opened, and have been for less than `patience`.
    #[must_use]
    pub fn so_far(
        &self,
        now: Timestamp,
        most: usize,
        patience: Duration,
    ) -> Vec<(u32, FlowRecord)> {
        let mut found: Vec<(Timestamp, u32, &Slot)> = (0u32..)
            .zip(&self.slots)
            .filter_map(|(slot, s)| s.as_ref().map(|s| (s.end(), slot, s)))
            .filter(|(end, _, s)| match s {
                Slot::Past(_) => false,
                _ => s.is_open() || now.since(*end).is_some_and(|silent| silent >= patience),
            })
            .collect();
        if found.len() > most {
            found.sort_unstable_by_key(|(end, slot, _)| (Reverse(*end), *slot));
            found.truncate(most);
        }
        found.sort_unstable_by_key(|(_, _, s)| s.index());
        found
            .into_iter()
            .filter_map(|(_, slot, s)| Some((slot, s.record()?)))
            .collect()
    }

    /// Flows under way.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len() - self.past
    }

    /// Whether no flow is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Octets that the table holds, about.
    #[must_use]
    pub fn held(&self) -> usize {
        self.slots.iter().flatten().map(Slot::memory).sum()
    }

    /// Time of the latest segment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }
}

#[cfg(test)]
pub(super) mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::ChunkData;
    use super::*;
    use crate::decode::{Checksum, OctetRef, SynOptions};
    use crate::net::{Family, FrameNo, MacAddr, SeqNum};

    /// Numbers below the one asked for, as if by chance, and the same for the same seed.
    pub(in super::super) fn random(seed: u64) -> impl FnMut(u64) -> u64 {
        let mut state = seed;
        move |below| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            (state >> 33) % below
        }
    }

    /// A batch of segments alone.
    pub(in super::super) fn batch_of(segments: impl IntoIterator<Item = Segment>) -> SegmentBatch {
        SegmentBatch {
            segments: segments.into_iter().collect(),
            ..SegmentBatch::default()
        }
    }

    /// A SYN from client number `n`.
    pub(in super::super) fn syn(n: u32) -> Segment {
        let mut client = [0; 16];
        client[12..].copy_from_slice(&n.to_be_bytes());
        let key = FlowKey {
            addrs: [client, [9; 16]],
            ports: [40_000, 25],
            encapsulation: 0,
            family: Family::V6,
        };
        Segment {
            frame: FrameNo(u64::from(n) + 1),
            time: Timestamp(i64::from(n) * 1_000),
            key,
            hash: flow_hash(&key),
            from_first: true,
            seq: SeqNum(n),
            ack: SeqNum(0),
            flags: TcpFlags::SYN,
            window: 1024,
            payload_octets: 0,
            payload: OctetRef::default(),
            ip_id: None,
            ttl: 64,
            dont_fragment: true,
            ecn: 0,
            dscp: 0,
            checksum: Checksum::Good,
            option_octets: 0,
            timestamps: None,
            syn: SynOptions::default(),
            sack: (0, 0),
            macs: [MacAddr::default(); 2],
            outgoing: None,
        }
    }

    #[test]
    fn a_flood_stays_within_the_limit_and_is_counted_whole() {
        let limits = Limits {
            flows: 1_000,
            ..Limits::default()
        };
        let mut table = FlowTable::new(limits);
        let (mut closed, mut most) = (0u64, 0);
        let mut out = Vec::new();
        let mut indices = Vec::new();
        for batch in 0..50u32 {
            let segments = (0..2_000).map(|n| syn(batch * 2_000 + n));
            table.push(&batch_of(segments), &mut out);
            most = most.max(table.len());
            for o in out.drain(..) {
                if let Observed::Closed { life, .. } = o {
                    let record = life.record();
                    closed += 1;
                    indices.push(record.index);
                    assert!(record.evicted);
                    assert_eq!(record.handshake.syn_frames.len(), 1);
                }
            }
        }
        let evicted = table.evicted;
        while table.finish(&mut out) {}
        closed += out.len() as u64;
        assert_eq!(
            (closed, evicted),
            (100_000, indices.len() as u64),
            "each flow ends once"
        );
        assert!(most <= 6_000, "{most} at once");
        assert!(table.is_empty());
    }

    #[test]
    fn a_flood_cuts_no_connection_in_two() {
        let limits = Limits {
            flows: 1_000,
            ..Limits::default()
        };
        let mut table = FlowTable::new(limits);
        let mut given_up = Vec::new();
        let mut push = |given_up: &mut Vec<FrameNo>, segments: Vec<Segment>| {
            let batch = batch_of(segments);
            let mut out = Vec::new();
            table.push(&batch, &mut out);
            given_up.extend(out.into_iter().filter_map(|o| match o {
                Observed::Closed { life, .. } => Some(life.record().first_frame),
                _ => None,
            }));
        };
        let opening = syn(0);
        let answer = Segment {
            from_first: false,
            seq: SeqNum(500),
            ack: opening.seq.plus(1),
            flags: TcpFlags::SYN.with(TcpFlags::ACK),
            ..opening
        };
        let acknowledged = Segment {
            seq: opening.seq.plus(1),
            ack: SeqNum(501),
            flags: TcpFlags::ACK,
            ..opening
        };
        push(&mut given_up, vec![opening, answer, acknowledged]);
        let asked = syn(1);
        push(&mut given_up, vec![asked]);
        // SYNs that are refused, as those of a scan are.
        for batch in 0..5 {
            let syns = (0..1_000).map(|n| syn(2 + batch * 1_000 + n));
            push(
                &mut given_up,
                syns.flat_map(|syn| [syn, refused(&syn)]).collect(),
            );
        }
        push(&mut given_up, (0..500).map(|n| syn(10_000 + n)).collect());
        assert!(given_up.len() > 3_000, "{}", given_up.len());
        assert!(!given_up.contains(&asked.frame), "a handshake");
        // SYNs that nobody answers.
        for batch in 0..5 {
            push(
                &mut given_up,
                (0..2_000)
                    .map(|n| syn(20_000 + batch * 2_000 + n))
                    .collect(),
            );
        }
        assert!(given_up.len() > 8_000, "{}", given_up.len());
        assert!(!given_up.contains(&opening.frame), "a connection");
    }

    /// The answer of a closed port.
    fn refused(syn: &Segment) -> Segment {
        Segment {
            from_first: !syn.from_first,
            flags: TcpFlags::RST.with(TcpFlags::ACK),
            ack: syn.seq.plus(1),
            ..*syn
        }
    }

    #[test]
    fn a_straggler_makes_no_flow() {
        const FLOWS: u32 = 2_000;
        let mut table = FlowTable::new(Limits::default());
        let mut push = |second: i64, segments: Vec<Segment>| {
            let at = |seg| Segment {
                time: Timestamp(second * 1_000_000_000),
                ..seg
            };
            let batch = batch_of(segments.into_iter().map(at));
            table.push(&batch, &mut Vec::new());
            (table.next_index, table.stragglers)
        };
        let some_again = || (0..FLOWS).step_by(4).map(|n| refused(&syn(n))).collect();
        push(
            0,
            (0..FLOWS)
                .flat_map(|n| [syn(n), refused(&syn(n))])
                .collect(),
        );
        // Some leave, the others are on their way to it when they are heard of again, and once more.
        assert_eq!(push(70, vec![syn(FLOWS)]).0, u64::from(FLOWS) + 1);
        push(71, some_again());
        for _ in 0..4 {
            push(72, Vec::new());
        }
        let (flows, stragglers) = push(73, some_again());
        assert_eq!(flows, u64::from(FLOWS) + 1);
        assert!(stragglers > 0);
    }

    #[test]
    fn a_flow_alone_is_not_given_up_for_its_octets() {
        let limits = Limits {
            octets: 100_000,
            ..Limits::default()
        };
        let mut table = FlowTable::new(limits);
        for batch in 0..10u32 {
            let games = games(|n| (0, batch * 1_000 + n));
            table.push(&games, &mut Vec::new());
        }
        assert!(table.held() > limits.octets, "{}", table.held());
        assert_eq!((table.len(), table.evicted), (1, 0));
    }

    #[test]
    fn closed_flows_leave_in_time_where_there_are_many() {
        let many = Limits::default().many();
        // Closed flows, seconds later: flows under way, and what is kept of others.
        for (name, flows, later, want) in [
            ("few", many - 1, 300, (many, 0)),
            ("many", many, 300, (1, 0)),
            ("many, a minute ago", many, 61, (1, many)),
            ("many, just now", many, 59, (many + 1, 0)),
        ] {
            let mut table = FlowTable::new(Limits::default());
            let mut out = Vec::new();
            let mut push = |segments: Vec<Segment>| {
                let batch = batch_of(segments);
                table.push(&batch, &mut out);
                (table.len(), table.past)
            };
            let opened: Vec<Segment> = (0..flows as u32).map(syn).collect();
            let start = opened[0].time;
            let refused = opened.iter().map(refused);
            push(opened.iter().copied().chain(refused).collect());
            let later = Segment {
                time: start.plus_nanos(later * 1_000_000_000),
                ..syn(u32::MAX)
            };
            push(vec![later]);
            // Some at a time.
            for _ in 0..many / AT_ONCE {
                push(Vec::new());
            }
            assert_eq!(push(Vec::new()), want, "{name}");
        }
    }

    #[test]
    fn of_a_closed_flow_only_its_ports_are_kept_for_stragglers() {
        const SECOND: i64 = 1_000_000_000;
        let (ack, fin) = (TcpFlags::ACK, TcpFlags::FIN.with(TcpFlags::ACK));
        let limits = Limits {
            settle: Some(Duration::from_secs(10)),
            ..Limits::default()
        };
        let mut table = FlowTable::new(limits);
        let mut take = |segments: Vec<Segment>| {
            let mut out = Vec::new();
            let batch = batch_of(segments);
            table.push(&batch, &mut out);
            out
        };
        for (flags, from_first, numbers) in [
            (TcpFlags::SYN, true, [100, 0]),
            (TcpFlags::SYN.with(ack), false, [500, 101]),
            (ack, true, [101, 501]),
            (fin, true, [101, 501]),
            (fin, false, [501, 102]),
            (ack, true, [102, 502]),
        ] {
            let mut seg = syn(0);
            (seg.from_first, seg.flags, seg.time) = (from_first, flags, Timestamp(SECOND));
            (seg.seq, seg.ack) = (SeqNum(numbers[0]), SeqNum(numbers[1]));
            assert!(take(vec![seg]).is_empty());
        }
        let mut other = syn(1);
        other.time = Timestamp(11 * SECOND);
        assert!(take(vec![other]).is_empty(), "not yet");
        other.time = Timestamp(13 * SECOND);
        let out = take(vec![other]);
        assert!(
            matches!(&out[..], [Observed::Closed { life: Life::Told(record), .. }] if record.index == 0 && record.close.how == End::Fin)
        );
        let past = table.slots.iter().flatten().map(Slot::memory).min();
        assert!(past.is_some_and(|octets| octets < 300), "{past:?}");
        let straggler = |table: &mut FlowTable, flags, seq, second: i64| {
            let mut seg = syn(0);
            (seg.flags, seg.seq, seg.ack) = (flags, SeqNum(seq), SeqNum(502));
            seg.time = Timestamp(second * SECOND);
            let batch = batch_of([seg]);
            table.push(&batch, &mut Vec::new());
            (table.stragglers, table.len(), table.next_index)
        };
        for (name, flags, seq, second, want) in [
            ("a late acknowledgement", ack, 102, 60, (1, 1, 2)),
            ("the FIN again", fin, 101, 61, (2, 1, 2)),
            ("its ports used again", TcpFlags::SYN, 9_000, 62, (2, 2, 3)),
        ] {
            assert_eq!(straggler(&mut table, flags, seq, second), want, "{name}");
        }
    }

    #[test]
    fn a_flow_that_has_fallen_silent_is_given_up() {
        const SECOND: i64 = 1_000_000_000;
        let (syn_ack, ack) = (TcpFlags::SYN.with(TcpFlags::ACK), TcpFlags::ACK);
        // Flags, direction, sequence and acknowledgement number, octets.
        let opening = [
            (TcpFlags::SYN, true, 100, 0, 0),
            (syn_ack, false, 500, 101, 0),
            (ack, true, 101, 501, 0),
        ];
        let asked = [&opening[..], &[(ack, true, 101, 501, 7)]].concat();
        let answered = [&asked[..], &[(ack, false, 501, 108, 0)]].concat();
        for (name, segments, patience) in [
            ("a lone SYN", &opening[..1], UNANSWERED),
            (
                "a handshake that stays half done",
                &opening[..2],
                UNANSWERED,
            ),
            ("octets that nobody acknowledges", &asked[..], UNANSWERED),
            ("nothing on its way", &answered[..], IDLE),
        ] {
            let limits = Limits {
                settle: Some(Duration::from_secs(10)),
                ..Limits::default()
            };
            let mut table = FlowTable::new(limits);
            let mut at = |second: i64, segments: Vec<Segment>| {
                let segments = segments.into_iter().map(|seg| Segment {
                    time: Timestamp(second * SECOND),
                    ..seg
                });
                let batch = batch_of(segments);
                let mut out = Vec::new();
                table.push(&batch, &mut out);
                let closed = out.into_iter().filter_map(|o| match o {
                    Observed::Closed { life, .. } => {
                        let record = life.record();
                        Some((record.index, record.evicted))
                    }
                    _ => None,
                });
                (closed.collect::<Vec<_>>(), table.silent, table.len())
            };
            let segments = segments
                .iter()
                .map(|&(flags, from_first, seq, ack, octets)| Segment {
                    flags,
                    from_first,
                    seq: SeqNum(seq),
                    ack: SeqNum(ack),
                    payload_octets: octets,
                    ..syn(0)
                });
            let segments: Vec<Segment> = segments.collect();
            at(0, segments.clone());
            let patience = i64::try_from(patience.as_secs()).unwrap();
            assert_eq!(
                at(patience, vec![syn(1)]),
                (vec![], 0, 2),
                "{name}: not yet"
            );
            let gone = at(patience + 2, vec![syn(1)]);
            assert_eq!(gone, (vec![(0, false)], 1, 1), "{name}");
            let last = segments[segments.len() - 1];
            assert_eq!(
                at(patience + 3, vec![last]).2,
                2,
                "{name}: it goes on as another flow"
            );
        }
    }

    #[test]
    fn octets_are_handed_on_without_hole_or_overlap() {
        const ACK: u16 = 0x10;
        const SYN_ACK: u16 = 0x12;
        // (name, segments: by the client, flags, number, acknowledgement, octets; chunks: by the client, offset, octets)
        type Sent = (bool, u16, u32, u32, u32);
        type Row = (&'static str, &'static [Sent], &'static [(bool, u64, u64)]);
        let rows: [Row; 2] = [
            (
                "a SYN in front of what was acknowledged before",
                &[
                    (true, ACK, 100, 508, 0),
                    (true, 0x2f, 102, 499, 0),
                    (false, SYN_ACK, 499, 102, 3),
                    (true, ACK, 100, 602, 3),
                ],
                &[(true, 0, 3), (false, 0, 94)],
            ),
            (
                "a SYN behind its acknowledgement",
                &[
                    (true, 2, 100, 0, 0),
                    (true, ACK, 101, 500, 0),
                    (false, SYN_ACK, 499, 101, 3),
                    (true, ACK, 101, 602, 3),
                ],
                &[(false, 0, 3), (true, 1, 3), (false, 3, 99)],
            ),
        ];
        for (name, sent, want) in rows {
            let segments = sent
                .iter()
                .zip(0..)
                .map(|(&(client, flags, seq, ack, octets), n)| {
                    let mut seg = syn(0);
                    (seg.frame, seg.time) = (FrameNo(n + 1), Timestamp(n as i64 * 1_000_000));
                    (seg.from_first, seg.flags) = (client, TcpFlags(flags));
                    (seg.seq, seg.ack, seg.payload_octets) = (SeqNum(seq), SeqNum(ack), octets);
                    seg
                });
            let batch = batch_of(segments);
            let mut out = Vec::new();
            FlowTable::new(Limits::default()).push(&batch, &mut out);
            let chunks: Vec<_> = out
                .iter()
                .filter_map(|seen| match seen {
                    Observed::Chunk(chunk) => {
                        let ChunkData::Gap(octets) = chunk.data else {
                            return None;
                        };
                        Some((
                            chunk.direction == Direction::ClientToServer,
                            chunk.offset,
                            octets,
                        ))
                    }
                    _ => None,
                })
                .collect();
            assert_eq!(chunks, want, "{name}: {out:?}");
        }
    }

    /// Segments of one octet apart from each other, sent again, with SACK blocks between them: what a flow remembers most of.
    fn game(flow: u32, n: u32, sacks: &mut Vec<(SeqNum, SeqNum)>) -> Segment {
        let mut seg = syn(flow);
        seg.frame = FrameNo(u64::from(n) + 1);
        seg.time = Timestamp(i64::from(n) * 40_000_000);
        seg.flags = TcpFlags::ACK;
        seg.from_first = !n.is_multiple_of(4);
        (seg.seq, seg.ack) = (SeqNum(n * 2 + 1), SeqNum(1));
        if seg.from_first {
            seg.seq = SeqNum(if n % 4 == 3 { n * 2 - 1 } else { n * 2 + 1 });
            seg.payload_octets = 1;
            seg.payload = OctetRef {
                offset: OctetRef::IN_EXTRA,
                len: 1,
            };
        } else {
            let block = (
                SeqNum(n.saturating_sub(3) * 2 + 1),
                SeqNum(n.saturating_sub(3) * 2 + 2),
            );
            seg.sack = (sacks.len() as u32, 1);
            sacks.push(block);
        }
        seg
    }

    /// A thousand of them; `each` tells the flow and the number of each.
    fn games(each: impl Fn(u32) -> (u32, u32)) -> SegmentBatch {
        let mut sacks = Vec::new();
        let segments = (0..1_000)
            .map(each)
            .map(|(flow, n)| game(flow, n, &mut sacks))
            .collect();
        SegmentBatch {
            segments,
            sacks,
            extra: vec![0; 64],
            ..SegmentBatch::default()
        }
    }

    #[test]
    fn what_games_make_a_flow_remember_is_bounded() {
        let mut table = FlowTable::new(Limits::default());
        let mut held = Vec::new();
        for batch in 0..40u32 {
            let games = games(|n| (0, batch * 1_000 + n));
            table.push(&games, &mut Vec::new());
            held.push(table.held());
        }
        assert!(held[0] > 100_000, "{held:?}");
        assert!(held[39] < 24 << 20, "{held:?}");
        assert!(held[39] < held[29] + held[29] / 8, "{held:?}");
    }

    #[test]
    fn many_flows_that_play_games_stay_within_the_limit() {
        let limits = Limits {
            flows: 1_000_000,
            octets: 8 << 20,
            ..Limits::default()
        };
        let mut table = FlowTable::new(limits);
        let mut most = 0;
        for batch in 0..60u32 {
            let mut games = games(|n| (batch * 10 + n / 100, n % 100));
            let syns = (0..500).map(|n| syn(1_000_000 + batch * 500 + n));
            games.segments.extend(syns);
            table.push(&games, &mut Vec::new());
            most = most.max(table.held());
        }
        assert!(table.evicted > 0);
        assert!(
            most <= limits.octets + limits.octets / 4,
            "{most} octets held"
        );
    }

    #[test]
    fn a_number_is_kept_for_a_flow_that_was_quoted_first() {
        let quote = |n: u32, flags: Option<TcpFlags>| crate::decode::Note {
            frame: FrameNo(u64::from(n) + 1),
            time: Timestamp(i64::from(n) * 1_000),
            from: std::net::Ipv4Addr::LOCALHOST.into(),
            to: std::net::Ipv4Addr::LOCALHOST.into(),
            kind: NoteKind::IcmpError {
                family: Family::V6,
                icmp_type: 1,
                code: 0,
                mtu: None,
                key: syn(n + 100).key,
                from_first: true,
                seq: SeqNum(0),
                flags,
            },
        };
        let index_of = |table: &mut FlowTable, seg: Segment| {
            let mut out = Vec::new();
            let batch = batch_of([seg]);
            table.push(&batch, &mut out);
            table.slot_of(&seg.key, seg.hash).and_then(|slot| {
                let slot = table.slots[slot as usize].as_ref();
                slot.map(Slot::index)
            })
        };
        let mut table = FlowTable::new(Limits::default());
        assert_eq!(index_of(&mut table, syn(0)), Some(0));
        let notes = vec![
            quote(1, Some(TcpFlags::SYN)),
            quote(2, Some(TcpFlags::ACK)),
            quote(2, Some(TcpFlags::ACK)),
            quote(3, None),
        ];
        let batch = SegmentBatch {
            notes,
            ..SegmentBatch::default()
        };
        table.push(&batch, &mut Vec::new());
        assert_eq!(index_of(&mut table, syn(4)), Some(3), "after those quoted");
        assert_eq!(index_of(&mut table, syn(102)), Some(2), "quoted before");
        assert_eq!(
            index_of(&mut table, syn(103)),
            Some(4),
            "quoted without its control bits"
        );
        // However many are quoted, what is kept of them is bounded.
        for n in 0..2 * MAX_RESERVED as u32 {
            table.note(&quote(n + 1_000, Some(TcpFlags::ACK)));
        }
        assert_eq!(table.reserved.len(), MAX_RESERVED);
    }

    #[test]
    fn an_icmp_error_is_believed_where_it_quotes_what_is_on_its_way() {
        // 1,400 octets are sent from 101 on, after a SYN that was answered and acknowledged.
        let first = syn(100);
        let answer = Segment {
            frame: FrameNo(201),
            time: Timestamp(200_000),
            from_first: false,
            seq: SeqNum(7_000),
            ack: SeqNum(101),
            flags: TcpFlags::SYN.with(TcpFlags::ACK),
            ..first
        };
        let data = Segment {
            frame: FrameNo(202),
            time: Timestamp(201_000),
            seq: SeqNum(101),
            ack: SeqNum(7_001),
            flags: TcpFlags::ACK,
            payload_octets: 1_400,
            ..first
        };
        for (name, seq, mtu, want) in [
            ("what was just sent", 101, Some(1_400), true),
            ("its last octet", 1_500, Some(1_400), true),
            ("the SYN, long acknowledged", 100, Some(1_400), false),
            ("what was never sent", 1_501, Some(1_400), false),
            ("a number out of the air", 4_000_000_000, Some(1_400), false),
            (
                "less than any path of IPv6 may have",
                101,
                Some(1_279),
                false,
            ),
            ("the least that it may", 101, Some(1_280), true),
            ("more than was sent", 101, Some(9_000), false),
            ("no MTU at all", 101, None, true),
        ] {
            let note = crate::decode::Note {
                frame: FrameNo(203),
                time: Timestamp(202_000),
                from: std::net::Ipv6Addr::LOCALHOST.into(),
                to: std::net::Ipv6Addr::LOCALHOST.into(),
                kind: NoteKind::IcmpError {
                    family: Family::V6,
                    icmp_type: 2,
                    code: 0,
                    mtu,
                    key: first.key,
                    from_first: true,
                    seq: SeqNum(seq),
                    flags: None,
                },
            };
            let mut table = FlowTable::new(Limits::default());
            let mut out = Vec::new();
            let batch = SegmentBatch {
                notes: vec![note],
                ..batch_of([first, answer, data])
            };
            table.push(&batch, &mut out);
            table.finish(&mut out);
            let believed = out.into_iter().find_map(|seen| match seen {
                Observed::Closed { life, .. } => {
                    life.record().events.iter().find_map(|e| match e.kind {
                        super::super::EventKind::Icmp { credible, .. } => Some(credible),
                        _ => None,
                    })
                }
                _ => None,
            });
            assert_eq!(believed, Some(want), "{name}");
        }
    }

    /// Streams as `labels` numbers them: Wireshark's rules, kept apart from ours.
    #[test]
    fn indices_are_wiresharks_streams_whatever_comes() {
        use super::super::labels::LabelTracker;
        let mut random = random(7);
        let (ack, rst) = (TcpFlags::ACK, TcpFlags::RST);
        let flags = [
            TcpFlags::SYN,
            TcpFlags::SYN.with(ack),
            ack,
            ack,
            ack,
            rst,
            rst.with(ack),
            TcpFlags::FIN.with(ack),
            TcpFlags::FIN,
        ];
        let isns = [1_000, 1_000, 1_001, 5_000_000, 3_000_000_000];
        for round in 0..200 {
            let mut table = FlowTable::new(Limits::default());
            let mut labels = LabelTracker::default();
            let mut batch = SegmentBatch::default();
            for n in 0..60 {
                let mut seg = syn(random(2) as u32);
                seg.frame = FrameNo(n + 1);
                seg.time = Timestamp(n as i64 * 1_000_000);
                seg.from_first = random(2) == 0;
                seg.flags = flags[random(9) as usize];
                seg.seq = SeqNum(isns[random(5) as usize] + random(2) as u32);
                seg.ack = SeqNum(isns[random(5) as usize] + random(2) as u32);
                seg.payload_octets = random(3) as u32;
                batch.segments.push(seg);
            }
            let mut want = std::collections::BTreeMap::new();
            for seg in &batch.segments {
                let stream = labels.segment(&batch, seg, seg.payload_octets).stream;
                want.entry(stream).or_insert(seg.frame);
            }
            let mut out = Vec::new();
            table.push(&batch, &mut out);
            while table.finish(&mut out) {}
            let got: std::collections::BTreeMap<_, _> = out
                .into_iter()
                .filter_map(|o| match o {
                    Observed::Closed { life, .. } => {
                        Some((life.index(), life.record().first_frame))
                    }
                    _ => None,
                })
                .collect();
            assert_eq!(got, want, "round {round}");
        }
    }
}
