//! What one point of the path saw: each connection with its segments, in few octets.
//!
//! Takes:  [`SegmentBatch`]es of one side, in order of time
//! Gives:  a [`View`]: its [`Connection`]s in the order of their first segment
//! Never:  keeps payload (a digest of it, which two points can compare); holds more than [`Limits::segments`] segments

use std::collections::HashMap;

use crate::decode::{Checksum, FlowKey, NoteKind, Segment, SegmentBatch, SynOptions, TcpFlags};
use crate::net::{Endpoint, FrameNo, SeqNum, Timestamp};

/// Ports on which a server listens by custom; used where no SYN tells who is the client.
const SERVICES: [u16; 12] = [25, 587, 465, 445, 139, 135, 80, 443, 110, 143, 389, 88];

/// SYNs of one direction of a connection of which the options are kept.
const MAX_SYNS: usize = 16;
/// A frame that a mirror port or a second capture layer copied follows within so many nanoseconds.
const COPY_NANOS: i64 = 200_000;
/// And within so many where its IP identification is the same: a host numbers what it sends again anew.
const COPY_WINDOW_NANOS: i64 = 2_000_000_000;
/// Segments of the same direction looked back through for the first of two alike.
const COPY_LOOKBACK: usize = 16;
/// One in so many segments of a direction is a copy where the capture makes them.
const COPIED: usize = 5;

/// How much is held of one side.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Segments; each takes 48 octets.
    pub segments: usize,
    /// Connections.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            segments: 16_000_000,
            connections: 500_000,
        }
    }
}

/// Octets that a connection takes on both sides, with what is made of it, apart from its segments.
const CONNECTION: u64 = 6_000;

impl Limits {
    /// What fits into so many octets, for both sides together.
    #[must_use]
    pub fn within(octets: u64) -> Self {
        let all = Self::default();
        // Lists grow by doubling, so that a third of what they hold may be room to grow; then comes the matching.
        let segment = 4 * size_of::<Sighting>() as u64;
        let within = |most: usize, each: u64| {
            let fit = usize::try_from(octets / 2 / each).unwrap_or(usize::MAX);
            fit.clamp(1_000.min(most), most)
        };
        Self {
            segments: within(all.segments, segment),
            connections: within(all.connections, CONNECTION),
        }
    }
}

/// One segment as one side saw it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sighting {
    pub(super) time: Timestamp,
    pub(super) frame: FrameNo,
    pub(super) seq: SeqNum,
    pub(super) ack: SeqNum,
    /// Octets of payload. Of a bare acknowledgement: length of its first SACK block.
    pub(super) octets: u32,
    /// CRC-32 of the captured payload. Of a bare acknowledgement: left edge of its first SACK block.
    pub(super) digest: u32,
    pub(super) ts_val: u32,
    /// Octets of payload that were captured, 65,535 for more.
    captured: u16,
    pub(super) ip_id: u16,
    pub(super) window: u16,
    pub(super) flags: u8,
    pub(super) ttl: u8,
    /// DSCP and ECN, as they stand in the IP header.
    pub(super) tos: u8,
    bits: u8,
}

impl Sighting {
    const HAS_TIMESTAMPS: u8 = 0x08;
    const HAS_IP_ID: u8 = 0x10;
    const CHECKSUM: u8 = 0x07;

    fn new(batch: &SegmentBatch, seg: &Segment) -> Self {
        let bare = seg.payload_octets == 0;
        let (octets, digest) = if bare {
            batch.sack_blocks(seg).first().map_or((0, 0), |(from, to)| {
                (from.distance_to(*to).unsigned_abs(), from.0)
            })
        } else {
            (seg.payload_octets, crc32fast::hash(batch.payload(seg)))
        };
        let mut bits = match seg.checksum {
            Checksum::Good => 0,
            Checksum::UnfilledPartial | Checksum::UnfilledLso => 1,
            Checksum::Zero => 2,
            Checksum::Wrong => 3,
            Checksum::Unchecked => 4,
        };
        if seg.timestamps.is_some() {
            bits |= Self::HAS_TIMESTAMPS;
        }
        if seg.ip_id.is_some_and(|id| id != 0) {
            bits |= Self::HAS_IP_ID;
        }
        Self {
            time: seg.time,
            frame: seg.frame,
            seq: seg.seq,
            ack: seg.ack,
            octets,
            digest,
            ts_val: seg.timestamps.map_or(0, |(val, _)| val),
            captured: u16::try_from(seg.payload.len).unwrap_or(u16::MAX),
            ip_id: seg.ip_id.unwrap_or_default(),
            window: seg.window,
            flags: seg.flags.0.to_le_bytes()[0],
            ttl: seg.ttl,
            tos: seg.dscp << 2 | seg.ecn & 3,
            bits: bits | if bare { 0 } else { Self::HAS_PAYLOAD },
        }
    }

    const HAS_PAYLOAD: u8 = 0x20;

    pub(super) const fn has(&self, flag: TcpFlags) -> bool {
        self.flags as u16 & flag.0 != 0
    }

    /// Octets of payload.
    pub(super) const fn payload(&self) -> u32 {
        if self.bits & Self::HAS_PAYLOAD != 0 {
            self.octets
        } else {
            0
        }
    }

    /// What it takes of the sequence space.
    pub(super) const fn length(&self) -> u32 {
        self.payload()
            .saturating_add(self.has(TcpFlags::SYN) as u32)
            .saturating_add(self.has(TcpFlags::FIN) as u32)
    }

    /// Whether it is a bare acknowledgement.
    pub(super) const fn is_bare_ack(&self) -> bool {
        self.length() == 0 && self.has(TcpFlags::ACK) && !self.has(TcpFlags::RST)
    }

    /// The first SACK block of a bare acknowledgement: left edge and length.
    pub(super) const fn sack(&self) -> Option<(SeqNum, u32)> {
        if self.is_bare_ack() && self.octets > 0 {
            Some((SeqNum(self.digest), self.octets))
        } else {
            None
        }
    }

    pub(super) const fn timestamp(&self) -> Option<u32> {
        if self.bits & Self::HAS_TIMESTAMPS != 0 {
            Some(self.ts_val)
        } else {
            None
        }
    }

    /// IPv4 identification; `None` where it says nothing.
    pub(super) const fn ip_id(&self) -> Option<u16> {
        if self.bits & Self::HAS_IP_ID != 0 {
            Some(self.ip_id)
        } else {
            None
        }
    }

    /// Whether all of its payload was captured, so that the digest is one of all of it.
    pub(super) fn is_whole(&self) -> bool {
        let captured = u32::from(self.captured);
        captured == self.payload() || self.captured == u16::MAX
    }

    pub(super) const fn is_unfilled(&self) -> bool {
        matches!(self.bits & Self::CHECKSUM, 1 | 2)
    }

    pub(super) const fn is_good(&self) -> bool {
        self.bits & Self::CHECKSUM == 0
    }

    /// Whether this is the same packet as one seen before it. It may have passed a router between.
    fn is_copy_of(&self, first: &Self) -> bool {
        let same = self.seq == first.seq
            && self.ack == first.ack
            && self.octets == first.octets
            && self.digest == first.digest
            && self.ts_val == first.ts_val
            && self.ip_id == first.ip_id
            && self.window == first.window
            && self.flags == first.flags
            && self.bits == first.bits;
        same && self.time.nanos_since(first.time)
            < if self.ip_id().is_some() {
                COPY_WINDOW_NANOS
            } else {
                COPY_NANOS
            }
    }

    /// Whether the checksum is plainly wrong.
    pub(super) const fn is_wrong(&self) -> bool {
        self.bits & Self::CHECKSUM == 3
    }
}

/// A SYN or SYN-ACK's options.
#[derive(Clone, Copy, Debug)]
pub(super) struct Syn {
    pub(super) frame: FrameNo,
    pub(super) time: Timestamp,
    pub(super) seq: SeqNum,
    pub(super) options: SynOptions,
    pub(super) timestamps: bool,
    pub(super) ts_val: u32,
}

/// One direction as one side saw it.
#[derive(Debug, Default)]
pub(super) struct Half {
    pub(super) segments: Vec<Sighting>,
    /// Its SYNs, no more than [`MAX_SYNS`].
    pub(super) syns: Vec<Syn>,
    /// Sequence number of the first segment, as the reopening of a connection is told by it.
    first: Option<SeqNum>,
    fin: bool,
    /// Octets of payload whose digest says nothing, as the snap length cut them.
    pub(super) cut: u64,
}

impl Half {
    /// The first SYN.
    pub(super) fn syn(&self) -> Option<Syn> {
        self.syns.first().copied()
    }

    /// Calls `take` for each segment of which an identical one was seen just before, with that one.
    fn copies(&self, mut take: impl FnMut(usize, &Sighting, &Sighting)) {
        for (at, s) in self.segments.iter().enumerate() {
            let before = at.saturating_sub(COPY_LOOKBACK);
            let recent = self.segments.get(before..at).unwrap_or_default();
            if let Some(first) = recent.iter().rev().find(|r| s.is_copy_of(r)) {
                take(at, s, first);
            }
        }
    }
}

/// One connection as one side saw it.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) key: FlowKey,
    /// Number of the flow, as all other commands count.
    pub(super) index: u64,
    pub(super) capture: u32,
    /// By the ends of `key`: what the first sent, what the second sent.
    pub(super) halves: [Half; 2],
    /// Which end of `key` is the client.
    pub(super) client: usize,
    /// Whether a SYN says so.
    pub(super) sure: bool,
    /// By the ends of `key`: a router said that a segment of this end was too long for its next link.
    pub(super) too_big: [Option<(FrameNo, u32)>; 2],
    reset: bool,
}

impl Connection {
    pub(super) fn half(&self, of_client: bool) -> &Half {
        let [a, b] = &self.halves;
        if (self.client == 0) == of_client {
            a
        } else {
            b
        }
    }

    pub(super) fn end(&self, client: bool) -> Endpoint {
        self.key
            .endpoint(if client { self.client } else { 1 - self.client })
    }

    /// See [`too_big`](Self::too_big).
    pub(super) fn too_big_of(&self, client: bool) -> Option<(FrameNo, u32)> {
        let [a, b] = self.too_big;
        if (self.client == 0) == client { a } else { b }
    }

    pub(super) fn first_time(&self) -> Option<Timestamp> {
        let [a, b] = &self.halves;
        let first = |h: &Half| h.segments.first().map(|s| s.time);
        match (first(a), first(b)) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        }
    }

    /// As in the flow stage: another initial sequence number, or the old connection was closed.
    fn is_reopened_by(&self, seg: &Segment) -> bool {
        if !seg.flags.has(TcpFlags::SYN) {
            return false;
        }
        let [a, b] = &self.halves;
        let half = if seg.from_first { a } else { b };
        let Some(first) = half.first else {
            return false;
        };
        let base = if half.syn().is_some() {
            first
        } else {
            first.plus(u32::MAX)
        };
        if seg.flags.has(TcpFlags::ACK) {
            base != seg.seq
        } else {
            base != seg.seq || a.fin || b.fin || self.reset
        }
    }
}

/// What one side saw.
#[derive(Debug, Default)]
pub struct View {
    pub(super) connections: Vec<Connection>,
    find: HashMap<FlowKey, usize>,
    limits: Limits,
    segments: usize,
    /// First and last moment of any segment.
    pub(super) span: Option<(Timestamp, Timestamp)>,
    /// Where the limit was reached: nothing later is held.
    pub(super) full: Option<Timestamp>,
    /// Ports on which servers listen, beyond those of custom.
    ports: Vec<u16>,
    /// Frames left out, as the capture holds them twice, and the first of them with its like.
    pub(super) copies: u64,
    pub(super) copy: Option<[FrameNo; 2]>,
    next_index: u64,
}

impl View {
    /// An empty one. `ports`: where servers listen, beyond the ports of custom.
    #[must_use]
    pub fn new(limits: Limits, ports: Vec<u16>) -> Self {
        Self {
            limits,
            ports,
            ..Self::default()
        }
    }

    /// Connections held.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// TCP segments held.
    #[must_use]
    pub fn segments(&self) -> usize {
        self.segments
    }

    /// The moment from which on segments were not taken for want of room.
    #[must_use]
    pub fn full(&self) -> Option<Timestamp> {
        self.full
    }

    /// Takes a batch of segments in order of time.
    pub fn push(&mut self, batch: &SegmentBatch) {
        for seg in &batch.segments {
            self.segment(batch, seg);
        }
        for note in &batch.notes {
            if let NoteKind::IcmpError {
                key,
                mtu: Some(mtu),
                from_first,
                ..
            } = &note.kind
            {
                let key = FlowKey {
                    encapsulation: 0,
                    ..*key
                };
                let at = self.find.get(&key).copied();
                if let Some(c) = at.and_then(|at| self.connections.get_mut(at)) {
                    let [a, b] = &mut c.too_big;
                    let told = if *from_first { a } else { b };
                    told.get_or_insert((note.frame, *mtu));
                }
            }
        }
    }

    fn segment(&mut self, batch: &SegmentBatch, seg: &Segment) {
        if self.full.is_some() {
            return;
        }
        // One point may show a connection inside a VLAN or tunnel that the other does not know.
        let key = FlowKey {
            encapsulation: 0,
            ..seg.key
        };
        let mut at = self.find.get(&key).copied();
        if let Some(n) = at
            && self
                .connections
                .get(n)
                .is_some_and(|c| c.is_reopened_by(seg))
        {
            at = None;
        }
        let at = match at {
            Some(at) => at,
            None => {
                if self.connections.len() >= self.limits.connections {
                    self.full = Some(seg.time);
                    return;
                }
                self.connections
                    .push(open(key, seg, self.next_index, batch.capture, &self.ports));
                self.next_index += 1;
                self.find.insert(key, self.connections.len() - 1);
                self.connections.len() - 1
            }
        };
        if self.segments >= self.limits.segments {
            self.full = Some(seg.time);
            return;
        }
        let Some(c) = self.connections.get_mut(at) else {
            return;
        };
        self.segments += 1;
        self.span = Some(self.span.map_or((seg.time, seg.time), |(a, b)| {
            (a.min(seg.time), b.max(seg.time))
        }));
        c.reset |= seg.flags.has(TcpFlags::RST);
        let [a, b] = &mut c.halves;
        let half = if seg.from_first { a } else { b };
        half.first.get_or_insert(seg.seq);
        half.fin |= seg.flags.has(TcpFlags::FIN);
        if seg.flags.has(TcpFlags::SYN) && half.syns.len() < MAX_SYNS {
            half.syns.push(Syn {
                frame: seg.frame,
                time: seg.time,
                seq: seg.seq,
                options: seg.syn,
                timestamps: seg.timestamps.is_some(),
                ts_val: seg.timestamps.map_or(0, |(val, _)| val),
            });
            if !c.sure {
                let by_client = !seg.flags.has(TcpFlags::ACK);
                c.client = usize::from(seg.from_first != by_client);
                c.sure = true;
            }
        }
        let sighting = Sighting::new(batch, seg);
        if !sighting.is_whole() {
            half.cut += u64::from(sighting.payload());
        }
        half.segments.push(sighting);
    }
}

fn open(key: FlowKey, seg: &Segment, index: u64, capture: u32, ports: &[u16]) -> Connection {
    let [a, b] = key.ports;
    let (own, other) = if seg.from_first { (a, b) } else { (b, a) };
    let serves = |port: u16| SERVICES.contains(&port) || ports.contains(&port);
    let sender_is_client = match (serves(own), serves(other)) {
        (true, false) => false,
        (false, true) => true,
        // Both sides have to come to the same, whoever is seen first.
        _ if own == other => seg.from_first,
        _ => own > other,
    };
    Connection {
        key,
        index,
        capture,
        halves: [Half::default(), Half::default()],
        client: usize::from(sender_is_client != seg.from_first),
        sure: false,
        too_big: [None; 2],
        reset: false,
    }
}

impl View {
    /// Puts each direction in order of time, as several captures of one side may have brought its segments, and leaves out the second of
    /// two alike where the capture makes them: a mirror port that copies both ways, two layers, two captures of one side.
    pub(super) fn settle(&mut self) {
        for half in self.connections.iter_mut().flat_map(|c| &mut c.halves) {
            if !half.segments.is_sorted_by_key(|s| s.time) {
                half.segments.sort_by_key(|s| s.time);
            }
        }
        let by_capture: Vec<bool> = self.connections.iter().map(copied_by_capture).collect();
        let segments = |wanted: bool| -> usize {
            let of = self.connections.iter().zip(&by_capture);
            of.filter(|(_, copied)| !wanted || **copied)
                .flat_map(|(c, _)| &c.halves)
                .map(|h| h.segments.len())
                .sum()
        };
        // Where it copies most of what it sees, what goes one way only is no exception.
        let all = segments(true) * 2 > segments(false);
        for (c, copied) in self.connections.iter_mut().zip(by_capture) {
            if copied || all {
                for half in &mut c.halves {
                    let mut copies = Vec::new();
                    half.copies(|at, copy, first| copies.push((at, [first.frame, copy.frame])));
                    let Some((_, first)) = copies.first() else {
                        continue;
                    };
                    self.copy.get_or_insert(*first);
                    self.copies += copies.len() as u64;
                    let mut gone = copies.iter().map(|(at, _)| *at).peekable();
                    let mut at = 0;
                    half.segments.retain(|_| {
                        let copy = gone.next_if_eq(&at).is_some();
                        at += 1;
                        !copy
                    });
                }
            }
        }
    }

    /// Leaves out what was seen at `at` or later.
    pub(super) fn cut(&mut self, at: Timestamp) {
        self.full = Some(self.full.map_or(at, |full| full.min(at)));
        for half in self.connections.iter_mut().flat_map(|c| &mut c.halves) {
            half.segments
                .truncate(half.segments.partition_point(|s| s.time < at));
        }
    }
}

/// Whether the capture doubles this connection: both ways, which no network does to what a host sends, or on both sides of a router. A
/// network that copies does so to what comes.
fn copied_by_capture(c: &Connection) -> bool {
    let (mut both_ways, mut copies, mut routed) = (true, 0, 0);
    for half in &c.halves {
        let mut own = 0;
        half.copies(|_, copy, first| {
            own += 1;
            routed += usize::from(copy.ttl != first.ttl);
        });
        both_ways &= own > 0 && own * COPIED >= half.segments.len();
        copies += own;
    }
    both_ways || routed * 2 > copies
}
