//! The table of flows: finds a segment's flow, opens and retires flows, keeps the whole within its memory.
//!
//! Takes:  [`SegmentBatch`]es in order of time
//! Gives:  [`Observed`]
//! Never:  holds more than [`Limits::flows`] flows or, by its own account, more than [`Limits::octets`] octets

use hashbrown::HashTable;

use super::connection::Connection;
use super::half::Verdict;
use super::reassembly::Ready;
use super::{Chunk, Judged, Observed};
use crate::decode::{FlowKey, NoteKind, Segment, SegmentBatch};
use crate::net::{Direction, FrameNo, StreamOffset, Timestamp};

/// A closed flow is kept this long for stragglers: twice the longest segment lifetime of RFC 9293 section 3.4.2.
const LINGER_NANOS: i64 = 240_000_000_000;

/// How much the table may hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Flows at one time.
    pub flows: usize,
    /// Octets, about.
    pub octets: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            flows: 1_000_000,
            octets: 1 << 30,
        }
    }
}

/// All flows under way.
#[derive(Debug)]
pub struct FlowTable {
    slots: Vec<Option<Box<Connection>>>,
    free: Vec<u32>,
    find: HashTable<(u64, u32)>,
    next_index: u64,
    limits: Limits,
    last: Option<(FlowKey, u32)>,
    now: Timestamp,
    ready: [Vec<Ready>; 2],
    since_check: u32,
    /// Flows given up before their end to keep within the limits.
    pub evicted: u64,
    /// TCP segments taken.
    pub segments: u64,
    /// What was made of each segment, where somebody wants to know: kept as long as nobody takes it.
    pub judged: Option<Vec<(FrameNo, Judged)>>,
}

impl FlowTable {
    /// An empty table.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            find: HashTable::new(),
            next_index: 0,
            limits,
            last: None,
            now: Timestamp(i64::MIN),
            ready: [Vec::new(), Vec::new()],
            since_check: 0,
            evicted: 0,
            segments: 0,
            judged: None,
        }
    }

    /// Takes a batch of segments; what is observed goes to `out` in order. References in `out` point into `batch`.
    pub fn push(&mut self, batch: &SegmentBatch, out: &mut Vec<Observed>) {
        let mut notes = batch.notes.iter().peekable();
        for seg in &batch.segments {
            while let Some(note) =
                notes.next_if(|n| n.time < seg.time || (n.time == seg.time && n.frame < seg.frame))
            {
                self.note(note);
            }
            self.segment(batch, seg, out);
        }
        for note in notes {
            self.note(note);
        }
        self.since_check += 1;
        if self.since_check >= 256 || self.find.len() > self.limits.flows {
            self.since_check = 0;
            self.keep_within_limits(out);
        }
    }

    fn note(&mut self, note: &crate::decode::Note) {
        let NoteKind::IcmpError { key, .. } = &note.kind else {
            return;
        };
        let hash = crate::decode::flow_hash(key);
        if let Some(slot) = self.slot_of(key, hash)
            && let Some(c) = self.slots.get_mut(slot as usize).and_then(Option::as_mut)
        {
            c.icmp(note);
        }
    }

    fn slot_of(&self, key: &FlowKey, hash: u64) -> Option<u32> {
        self.find
            .find(hash, |(h, slot)| {
                *h == hash
                    && self.slots[*slot as usize]
                        .as_ref()
                        .is_some_and(|c| c.key == *key)
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
            && self.slots[at as usize]
                .as_ref()
                .is_some_and(|c| c.is_reopened_by(seg))
        {
            self.retire(at, seg.hash, false, out);
            slot = None;
        }
        let slot = slot.unwrap_or_else(|| self.open(batch, seg));
        self.last = Some((seg.key, slot));
        let Some(c) = self.slots[slot as usize].as_mut() else {
            return;
        };
        let step = c.segment(
            seg,
            batch.sack_blocks(seg),
            batch.payload(seg),
            &mut self.ready,
        );
        if c.wanted {
            let flow = c.index;
            for direction in Direction::BOTH {
                let ready = &mut self.ready[direction.index()];
                if !ready.is_empty() && !c.announced {
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
                        offset: r.offset.wrapping_sub(StreamOffset::ORIGIN.0),
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
        if let Some(Some(c)) = self.slots.get_mut(slot as usize)
            && c.index == flow
        {
            c.wanted = false;
        }
    }

    fn open(&mut self, batch: &SegmentBatch, seg: &Segment) -> u32 {
        let connection = Box::new(Connection::new(seg, self.next_index, batch.capture));
        self.next_index += 1;
        let slot = if let Some(slot) = self.free.pop() {
            self.slots[slot as usize] = Some(connection);
            slot
        } else {
            self.slots.push(Some(connection));
            u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX)
        };
        self.find
            .insert_unique(seg.hash, (seg.hash, slot), |(h, _)| *h);
        slot
    }

    fn retire(&mut self, slot: u32, hash: u64, evicted: bool, out: &mut Vec<Observed>) {
        if let Ok(entry) = self.find.find_entry(hash, |(_, s)| *s == slot) {
            entry.remove();
        }
        self.last = None;
        if let Some(c) = self.slots[slot as usize].take() {
            self.free.push(slot);
            out.push(Observed::Closed {
                slot,
                record: Box::new(c.finish(evicted)),
            });
        }
    }

    /// Retires flows that are over; where that is not enough, those that have been silent longest.
    fn keep_within_limits(&mut self, out: &mut Vec<Observed>) {
        let mut held = 0;
        let mut over = Vec::new();
        let mut live = Vec::new();
        for (n, c) in self.slots.iter().enumerate() {
            let Some(c) = c else { continue };
            let slot = u32::try_from(n).unwrap_or(u32::MAX);
            if c.is_over(self.now, LINGER_NANOS) {
                over.push((c.index, slot));
            } else {
                held += c.memory();
                live.push((c.end, c.index, slot));
            }
        }
        over.sort_unstable();
        for (_, slot) in over {
            let hash = self.hash_in(slot);
            self.retire(slot, hash, false, out);
        }
        if live.len() > self.limits.flows || held > self.limits.octets {
            // A quarter at once, so that this happens seldom.
            live.sort_unstable();
            let give_up = (live.len() / 4).max(1);
            let mut slots: Vec<_> = live[..give_up].iter().map(|l| (l.1, l.2)).collect();
            slots.sort_unstable();
            for (_, slot) in slots {
                let hash = self.hash_in(slot);
                self.evicted += 1;
                self.retire(slot, hash, true, out);
            }
        }
    }

    fn hash_in(&self, slot: u32) -> u64 {
        self.slots[slot as usize].as_ref().map_or(0, |c| c.hash)
    }

    /// The capture has ended: all flows end with it, in order of their first segment. Another capture may follow, with a clock of its
    /// own.
    pub fn finish(&mut self, out: &mut Vec<Observed>) {
        let mut all: Vec<_> = self
            .slots
            .iter()
            .enumerate()
            .filter_map(|(n, c)| {
                c.as_ref()
                    .map(|c| (c.index, u32::try_from(n).unwrap_or(u32::MAX)))
            })
            .collect();
        all.sort_unstable();
        for (_, slot) in all {
            let hash = self.hash_in(slot);
            self.retire(slot, hash, false, out);
        }
        self.now = Timestamp(i64::MIN);
    }

    /// Records of the flows under way, as they stand (for a live view); the flows go on.
    #[must_use]
    pub fn len(&self) -> usize {
        self.find.len()
    }

    /// Whether no flow is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.find.is_empty()
    }

    /// Time of the latest segment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.now
    }
}
