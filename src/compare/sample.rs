//! Tells whether two captures show the same connections, and then whether each has a view of them or each a part of them.
//!
//! Takes:  [`SegmentBatch`]es of each capture, into a [`Sample`]
//! Gives:  a [`Relation`] of two samples: how far their clocks are apart, and of each connection whether both have a view of it, and
//!         which of them shows more
//! Never:  keeps payload; grows beyond its room: of many segments it keeps every second, fourth, … one, and of all captures the same ones
//!
//! Two captures have a view of a connection where the segments of one are those of the other: two points of a path, a switch and an
//! adapter. They have each a part of it where hardly any are: adapters of a team. A segment is the same by ends, numbers, flags
//! and length. The share of those seen twice decides, not a single one: what is sent again through the other adapter of a
//! team looks like a segment seen twice.

use std::collections::HashMap;

use super::AS_ONE;
use super::clock::{Clock, Samples};
use crate::decode::{FlowKey, Segment, SegmentBatch, flow_hash};
use crate::net::{SeqNum, Timestamp};

/// Segments seen twice that make two captures of one connection two views of it: one in so many of the lesser one's.
const SHARE: u64 = 3;
/// Segments on either side from which a connection is judged by itself.
const ENOUGH: u64 = 4;
/// Segments seen twice before anything is said of clocks.
const FOR_CLOCK: u64 = 3;
/// Numbers further apart than this are no part of one stream.
const NEAR: u32 = 1 << 28;
/// How long what one capture shows may be under way to the other: at least, and at most.
const GRACE: (i64, i64) = (1_000_000, 2_000_000_000);

/// A connection, whatever VLAN or tunnel it was found in: the same at all points of a run.
#[must_use]
pub fn connection(key: &FlowKey, hash: u64) -> u64 {
    match key.encapsulation {
        0 => hash,
        _ => flow_hash(&FlowKey {
            encapsulation: 0,
            ..*key
        }),
    }
}

/// A segment that was looked at.
#[derive(Clone, Copy, Debug)]
struct Mark {
    connection: u64,
    from_first: bool,
    seq: SeqNum,
    /// Of the first one that looks like this.
    time: Timestamp,
    octets: u32,
    /// How many look like this.
    seen: u32,
}

/// What one capture shows, in bounded room.
#[derive(Debug)]
pub struct Sample {
    room: usize,
    /// Only marks that end in so many bits of zero are kept.
    bits: u32,
    marks: HashMap<u64, Mark>,
    span: Option<(Timestamp, Timestamp)>,
    /// Segments that it was made of.
    pub segments: u64,
}

impl Sample {
    /// An empty sample that keeps no more than `room` segments.
    #[must_use]
    pub fn new(room: usize) -> Self {
        Self {
            room: room.max(16),
            bits: 0,
            marks: HashMap::new(),
            span: None,
            segments: 0,
        }
    }

    /// Takes the next segments.
    pub fn push(&mut self, batch: &SegmentBatch) {
        for seg in &batch.segments {
            self.segments += 1;
            let (first, last) = self.span.unwrap_or((seg.time, seg.time));
            self.span = Some((first.min(seg.time), last.max(seg.time)));
            let mark = mark(seg);
            if mark.trailing_zeros() < self.bits {
                continue;
            }
            let entry = self.marks.entry(mark).or_insert_with(|| Mark {
                connection: connection(&seg.key, seg.hash),
                from_first: seg.from_first,
                seq: seg.seq,
                time: seg.time,
                octets: seg.payload_octets,
                seen: 0,
            });
            entry.seen = entry.seen.saturating_add(1);
            while self.marks.len() > self.room && self.bits < 63 {
                self.bits += 1;
                let bits = self.bits;
                self.marks.retain(|mark, _| mark.trailing_zeros() >= bits);
            }
        }
    }

    fn kept(&self, bits: u32) -> impl Iterator<Item = (&u64, &Mark)> {
        self.marks
            .iter()
            .filter(move |(mark, _)| mark.trailing_zeros() >= bits)
    }
}

/// What a segment is recognised by at another point. The same in every run, as it decides what is looked at.
fn mark(seg: &Segment) -> u64 {
    let mut mark = 0u64;
    let mut take = |word: u64| {
        // The finalizer of MurmurHash3 (Appleby, public domain).
        mark ^= word;
        mark = (mark ^ (mark >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        mark = (mark ^ (mark >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
        mark ^= mark >> 33;
    };
    for address in &seg.key.addrs {
        let (high, low) = address.split_at(8);
        for half in [high, low] {
            take(
                half.iter()
                    .fold(0, |word, octet| word << 8 | u64::from(*octet)),
            );
        }
    }
    let [a, b] = seg.key.ports.map(u64::from);
    take(a << 32 | b << 16 | u64::from(seg.from_first));
    take(u64::from(seg.seq.0) << 32 | u64::from(seg.ack.0));
    take(u64::from(seg.flags.0) << 32 | u64::from(seg.payload_octets));
    mark
}

/// What both captures show of one connection.
#[derive(Clone, Copy, Debug, Default)]
struct Shown {
    /// Octets on the left and on the right, as far as they were looked at, and one for each segment.
    weight: [u64; 2],
    /// Segments within the time that both captured.
    within: [u64; 2],
    /// The earliest sequence number, by side and direction.
    first: [[Option<(Timestamp, SeqNum)>; 2]; 2],
    twice: u64,
    judged: Option<bool>,
}

impl Shown {
    fn lesser(&self) -> u64 {
        let [left, right] = self.within;
        left.min(right)
    }

    /// Whether both sides' numbers may be of one stream; where a device between renumbers, they are not.
    fn is_near(&self) -> bool {
        let [left, right] = &self.first;
        left.iter().zip(right).all(|(a, b)| match (a, b) {
            (Some((_, a)), Some((_, b))) => a.distance_to(*b).unsigned_abs() < NEAR,
            _ => true,
        })
    }
}

/// How two captures belong together.
#[derive(Debug, Default)]
pub struct Relation {
    /// Difference of the clocks, right minus left, where segments that both saw tell.
    pub clock: Option<Clock>,
    /// Whether both were taken at one place, as far as times tell.
    pub one_place: bool,
    /// How long after one capture shows a segment the other may show it, nanoseconds.
    pub grace: i64,
    connections: HashMap<u64, Shown>,
    /// What holds for connections that were not looked at.
    views: Option<bool>,
}

impl Relation {
    /// Whether both captures have a view of this connection; otherwise each has a part of it. `None`: nothing tells, as no connection
    /// was found in both.
    #[must_use]
    pub fn is_view(&self, connection: u64) -> Option<bool> {
        let shown = self.connections.get(&connection).and_then(|s| s.judged);
        shown.or(self.views)
    }

    /// Whether any connection was found in both.
    #[must_use]
    pub fn is_akin(&self) -> bool {
        self.views.is_some()
    }

    /// Whether the right one shows more of this connection than the left one, as far as they were looked at.
    #[must_use]
    pub fn right_shows_more(&self, connection: u64) -> bool {
        self.connections
            .get(&connection)
            .is_some_and(|shown| shown.weight[1] > shown.weight[0])
    }

    /// The same of the left one.
    #[must_use]
    pub fn left_shows_more(&self, connection: u64) -> bool {
        self.connections
            .get(&connection)
            .is_some_and(|shown| shown.weight[0] > shown.weight[1])
    }
}

/// A segment that both captures show once.
struct Pair {
    connection: u64,
    from_first: bool,
    times: [Timestamp; 2],
}

/// Relates two captures.
#[must_use]
pub fn relate(left: &Sample, right: &Sample) -> Relation {
    let bits = left.bits.max(right.bits);
    let mut pairs = Vec::new();
    let mut twice: HashMap<u64, u64> = HashMap::new();
    for (mark, l) in left.kept(bits) {
        if let Some(r) = right.marks.get(mark) {
            *twice.entry(l.connection).or_default() += 1;
            if l.seen == 1 && r.seen == 1 {
                pairs.push(Pair {
                    connection: l.connection,
                    from_first: l.from_first,
                    times: [l.time, r.time],
                });
            }
        }
    }
    pairs.sort_unstable_by_key(|p| (p.times, p.from_first, p.connection));
    let apart = |p: &Pair| p.times[1].0.saturating_sub(p.times[0].0);
    let offset = middle(pairs.iter().map(apart).collect()).unwrap_or(0);
    let common = match (left.span, right.span) {
        (Some((a, b)), Some((c, d))) => (
            a.max(c.plus_nanos(offset.saturating_neg())),
            b.min(d.plus_nanos(offset.saturating_neg())),
        ),
        _ => (Timestamp(0), Timestamp(0)),
    };
    let mut connections: HashMap<u64, Shown> = HashMap::new();
    for (side, sample) in [left, right].into_iter().enumerate() {
        let back = if side == 0 {
            0
        } else {
            offset.saturating_neg()
        };
        for (_, m) in sample.kept(bits) {
            let shown = connections.entry(m.connection).or_default();
            let time = m.time.plus_nanos(back);
            shown.weight[side] += (u64::from(m.octets) + 1) * u64::from(m.seen);
            shown.within[side] += u64::from(common.0 <= time && time <= common.1);
            let first = &mut shown.first[side][usize::from(m.from_first)];
            // Not by the order of the map.
            if first.is_none_or(|(t, seq)| (m.time, m.seq.0) < (t, seq.0)) {
                *first = Some((m.time, m.seq));
            }
        }
    }
    connections.retain(|_, shown| shown.weight[0] > 0 && shown.weight[1] > 0);
    // Few or none are left where two captures have little in common, and there may be two thousand such pairs.
    connections.shrink_to_fit();
    let (mut of_views, mut of_parts) = (0, 0);
    for (connection, shown) in &mut connections {
        shown.twice = twice.get(connection).copied().unwrap_or_default();
        let view = shown.twice * SHARE >= shown.lesser().max(1) || !shown.is_near();
        let weight = shown.lesser().max(1);
        *(if view { &mut of_views } else { &mut of_parts }) += weight;
        shown.judged = (shown.lesser() >= ENOUGH).then_some(view);
    }
    let mut relation = Relation {
        clock: None,
        one_place: false,
        grace: GRACE.0,
        views: (of_views + of_parts > 0).then_some(of_views >= of_parts),
        connections,
    };
    pairs.retain(|p| relation.is_view(p.connection) == Some(true));
    if pairs.len() as u64 >= FOR_CLOCK {
        relation.measure(&pairs);
    }
    relation
}

impl Relation {
    /// Clocks and places, by segments that both have seen once.
    fn measure(&mut self, pairs: &[Pair]) {
        // By connection: differences of the clocks by direction.
        let mut ways: HashMap<u64, [Vec<i64>; 2]> = HashMap::new();
        for p in pairs {
            let way = &mut ways.entry(p.connection).or_default()[usize::from(p.from_first)];
            way.push(p.times[1].0.saturating_sub(p.times[0].0));
        }
        // What goes on to the right comes there later than what comes from there.
        let rounds: HashMap<u64, i64> = ways
            .into_iter()
            .filter_map(|(connection, [back, forth])| {
                Some((connection, middle(forth)?.saturating_sub(middle(back)?)))
            })
            .collect();
        let mut samples = Samples::default();
        for p in pairs {
            if let Some(round) = rounds.get(&p.connection) {
                let to_right = (*round >= 0) == p.from_first;
                samples.add(usize::from(!to_right), p.times[0], p.times[1]);
            }
        }
        let round = middle(rounds.values().map(|r| r.abs()).collect());
        let Some(clock) = samples.fit().filter(|clock| clock.error.is_some()) else {
            return;
        };
        self.one_place = round.is_some_and(|round| round.unsigned_abs() <= AS_ONE);
        let furthest = pairs
            .iter()
            .map(|p| clock.to_left(p.times[1]).nanos_since(p.times[0]).abs())
            .max();
        self.grace = furthest.unwrap_or(0).clamp(GRACE.0, GRACE.1);
        self.clock = Some(clock);
    }
}

fn middle(mut all: Vec<i64>) -> Option<i64> {
    let half = all.len() / 2;
    (!all.is_empty()).then(|| *all.select_nth_unstable(half).1)
}
