//! Shares flows out among several tables, and numbers them all the same as one table would.
//!
//! Takes:  [`SegmentBatch`]es in order of time
//! Gives:  whose each segment is, and the numbers of flows
//! Never:  has two tables follow one flow
//!
//! A table gives a flow the place of its first segment in the capture for a number. These are in the right order, though not without holes;
//! once all tables have taken a batch, [`Indices`] turns them into [`FlowIndex`]es.

use super::FlowIndex;
use crate::decode::{FlowKey, Note, NoteKind, Segment, SegmentBatch};
use crate::net::Timestamp;

/// Places in the capture are apart by this in the numbers that tables give, for notes between segments: a batch has fewer.
const PLACE: u64 = 1 << 16;

/// Flows that begin before this place in the capture have numbers below this one.
#[must_use]
pub const fn number_at(place: u64) -> u64 {
    place * PLACE
}

/// Whose flow this is, of so many tables. Not the keyed hash of the table of flows: results are to be the same in each run, also where a
/// table has reached its limits.
fn owner(key: &FlowKey, tables: usize) -> usize {
    const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
    let word = |octets: &[u8; 16], at: usize| {
        let octets = octets.get(at..).and_then(|o| o.first_chunk());
        octets.map_or(0, |o| u64::from_be_bytes(*o))
    };
    let [a, b] = &key.addrs;
    let ports = u64::from(key.ports[0]) << 16 | u64::from(key.ports[1]);
    let addrs = [word(a, 0), word(a, 8), word(b, 0), word(b, 8)];
    let mixed = addrs.iter().fold(ports, |mixed, word| {
        (mixed ^ word).wrapping_mul(ODD).rotate_left(29)
    });
    let mixed = mixed.wrapping_mul(ODD) >> 32;
    usize::try_from((mixed * tables as u64) >> 32).unwrap_or(0)
}

/// A batch dealt out.
#[derive(Debug, Default)]
pub struct Deal {
    shares: Vec<Share>,
}

/// The part of a batch that one table follows.
#[derive(Debug, Default)]
pub struct Share {
    /// Where the file's order is not that of time: its segments in the order of the file, each by its place in the batch, with the number
    /// of a flow that begins there.
    pub(super) filed: Vec<(u32, u64)>,
    /// Its segments in order of time; the same.
    pub(super) segments: Vec<(u32, u64)>,
    /// Its ICMP errors by their place among the notes; the same, and the place of the first segment behind.
    pub(super) notes: Vec<(u32, u64, u32)>,
    /// What the numbers of all flows that begin in this batch or before are less than.
    pub(super) behind: u64,
    /// The latest time in the batch.
    pub(super) latest: Timestamp,
}

impl Deal {
    /// Deals a batch that begins at this place out among so many tables; gives the place of what comes behind it.
    pub fn deal(&mut self, batch: &SegmentBatch, mut place: u64, tables: u8) -> u64 {
        self.shares.resize_with(tables.into(), Share::default);
        for share in &mut self.shares {
            share.filed.clear();
            share.segments.clear();
            share.notes.clear();
        }
        if !is_as_filed(batch) {
            let mut filed: Vec<(u32, &Segment)> = (0..).zip(&batch.segments).collect();
            filed.sort_unstable_by_key(|(_, seg)| seg.frame);
            for (at, seg) in filed {
                if let Some(share) = self.owner(&seg.key) {
                    share.filed.push((at, number_at(place)));
                }
                place += 1;
            }
        }
        let mut latest = Timestamp(i64::MIN);
        for (at, seg) in (0..).zip(&batch.segments) {
            latest = latest.max(seg.time);
            let number = number_at(place + u64::from(at)) + PLACE - 1;
            if let Some(share) = self.owner(&seg.key) {
                share.segments.push((at, number));
            }
        }
        let mut behind = 0;
        for (at, note) in (0..).zip(&batch.notes) {
            let later = batch.segments.get(behind..).unwrap_or(&[]);
            behind += later.iter().take_while(|s| !comes_before(note, s)).count();
            if let NoteKind::IcmpError { key, .. } = &note.kind
                && let Some(share) = self.owner(key)
            {
                let number = number_at(place + behind as u64) + u64::from(at).min(PLACE - 2);
                let behind = u32::try_from(behind).unwrap_or(u32::MAX);
                share.notes.push((at, number, behind));
            }
        }
        place += batch.segments.len() as u64 + 1;
        for share in &mut self.shares {
            share.behind = number_at(place);
            share.latest = latest;
        }
        place
    }

    fn owner(&mut self, key: &FlowKey) -> Option<&mut Share> {
        let owner = owner(key, self.shares.len());
        self.shares.get_mut(owner)
    }

    /// The part of one of the tables; `None` for one that there is not.
    #[must_use]
    pub fn share(&self, own: u8) -> Option<&Share> {
        self.shares.get(usize::from(own))
    }
}

/// Whether a batch that is in order of time stands in the order of the file.
pub(super) fn is_as_filed(batch: &SegmentBatch) -> bool {
    let segments = &batch.segments;
    segments.is_sorted_by(|a, b| !b.frame.stands_before(a.frame))
}

/// Whether a note stands before a segment, in order of time.
pub(super) fn comes_before(note: &Note, seg: &Segment) -> bool {
    (note.time, note.frame) < (seg.time, seg.frame)
}

/// A number that a table gave.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    /// The number.
    pub number: u64,
    /// Whether a flow bears it, or is to. A number that was not kept leaves a hole.
    pub kept: bool,
}

/// The numbers of all tables' flows.
#[derive(Debug, Default)]
pub struct Indices {
    next: FlowIndex,
    /// In the order of the numbers that tables gave, which is that of the indices: both only grow.
    known: Vec<Known>,
    /// Of these, flows that have ended: no more than half.
    ended: usize,
    /// Behind the one that was asked for last: where one flow ends, mostly the next one does.
    at: usize,
}

/// A number with its index.
#[derive(Clone, Copy, Debug)]
struct Known {
    number: u64,
    index: FlowIndex,
    ended: bool,
}

impl Indices {
    /// Takes what all tables gave in one batch.
    pub fn begin(&mut self, given: &mut Vec<Given>) {
        given.sort_unstable_by_key(|g| g.number);
        for Given { number, kept } in given.drain(..) {
            if kept {
                debug_assert!(self.known.last().is_none_or(|last| last.number < number));
                self.known.push(Known {
                    number,
                    index: self.next,
                    ended: false,
                });
            }
            self.next += 1;
        }
    }

    /// The place of a number among those known.
    fn find(&self, number: u64) -> Option<usize> {
        if self.known.get(self.at).is_some_and(|k| k.number == number) {
            return Some(self.at);
        }
        self.known.binary_search_by_key(&number, |k| k.number).ok()
    }

    /// The index of a flow under way.
    #[must_use]
    pub fn of(&self, number: u64) -> FlowIndex {
        let known = self.find(number).and_then(|at| self.known.get(at));
        known.map_or(number, |k| k.index)
    }

    /// The index of a flow that has ended.
    pub fn end(&mut self, number: u64) -> FlowIndex {
        let at = self.find(number);
        debug_assert!(at.is_some(), "no table gave {number}");
        let Some((at, known)) = at.and_then(|at| Some((at, self.known.get_mut(at)?))) else {
            return number;
        };
        known.ended = true;
        let index = known.index;
        self.at = at + 1;
        self.ended += 1;
        if self.ended > self.known.len() / 2 {
            self.known.retain(|k| !k.ended);
            self.ended = 0;
            self.at = self.known.partition_point(|k| k.number < number);
        }
        index
    }

    /// The flows of the next capture are others.
    pub fn end_of_capture(&mut self) {
        self.known = Vec::new();
        (self.ended, self.at) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::Ipv6Addr;

    use super::super::order::Order;
    use super::super::table::tests::{batch_of, random, syn};
    use super::super::{FlowTable, Limits, Observed};
    use super::*;
    use crate::decode::{Note, NoteKind, TcpFlags};
    use crate::net::{Family, FrameNo, SeqNum};

    /// Batches in which ports are used again, ICMP errors quote flows before they are seen, the order of the file is not that of time, and
    /// the clock steps back; whether it does.
    fn games(round: u64) -> Vec<(SegmentBatch, bool)> {
        let mut random = random(round);
        let (ack, rst) = (TcpFlags::ACK, TcpFlags::RST);
        let flags = [TcpFlags::SYN, TcpFlags::SYN.with(ack), ack, rst];
        let (mut order, mut batches) = (Order::default(), Vec::new());
        for batch in 0..4 {
            let step = if random(2) == 0 { 15_000_000_000 } else { 0 };
            let disordered = random(2) == 0;
            let mut made = SegmentBatch::default();
            for n in 0..40 {
                let place = batch * 40 + n;
                let mut seg = syn(random(6) as u32);
                seg.frame = FrameNo(place + 1);
                let place = if disordered { place ^ 3 } else { place };
                let back = if n < 20 { 0 } else { step };
                seg.time = Timestamp(place as i64 * 100_000_000 - back);
                seg.from_first = random(2) == 0;
                seg.flags = flags[random(4) as usize];
                seg.seq = SeqNum([1_000, 5_000_000, 3_000_000_000][random(3) as usize]);
                seg.payload_octets = random(3) as u32;
                if random(8) == 0 {
                    made.notes.push(Note {
                        frame: seg.frame,
                        time: seg.time,
                        from: Ipv6Addr::LOCALHOST.into(),
                        to: Ipv6Addr::LOCALHOST.into(),
                        kind: NoteKind::IcmpError {
                            family: Family::V6,
                            icmp_type: 1,
                            code: 0,
                            mtu: None,
                            key: syn(random(9) as u32).key,
                            from_first: true,
                            seq: seg.seq,
                            flags: Some(ack),
                        },
                    });
                } else {
                    made.segments.push(seg);
                }
            }
            let stepped = order.put(&mut made);
            batches.push((made, stepped));
        }
        batches
    }

    /// What is to be the same: number, frames, events.
    type Told = (FlowIndex, FrameNo, FrameNo, [u64; 2], usize);

    fn told(out: Vec<Observed>, index: impl Fn(u64) -> FlowIndex) -> Vec<Told> {
        let records = out.into_iter().filter_map(|o| match o {
            Observed::Closed { life, .. } => Some(life.record()),
            _ => None,
        });
        let mut told: Vec<Told> = records
            .map(|r| {
                let frames = [r.halves[0].frames, r.halves[1].frames];
                let index = index(r.index);
                (index, r.first_frame, r.last_frame, frames, r.events.len())
            })
            .collect();
        told.sort_unstable();
        told
    }

    #[test]
    fn however_many_tables_flows_are_the_same() {
        for round in 0..100 {
            let batches = games(round);
            let (mut table, mut out) = (FlowTable::new(Limits::default()), Vec::new());
            for (batch, stepped) in &batches {
                if *stepped {
                    table.clock_stepped();
                }
                table.push(batch, &mut out);
            }
            while table.finish(&mut out) {}
            let want = told(out, |index| index);
            for tables in [1, 3, 8] {
                let mut shared: Vec<FlowTable> = (0..tables)
                    .map(|_| FlowTable::new(Limits::default()))
                    .collect();
                let (mut deal, mut indices) = (Deal::default(), Indices::default());
                let (mut out, mut given) = (Vec::new(), Vec::new());
                let mut place = 0;
                for (batch, stepped) in &batches {
                    place = deal.deal(batch, place, tables);
                    for (own, table) in (0..).zip(&mut shared) {
                        if *stepped {
                            table.clock_stepped();
                        }
                        table.push_share(batch, deal.share(own).unwrap(), &|_| 0, &mut out);
                        given.append(&mut table.given);
                    }
                    indices.begin(&mut given);
                }
                for table in &mut shared {
                    while table.finish(&mut out) {}
                }
                let got = told(out, |number| indices.of(number));
                assert_eq!(got, want, "round {round}, {tables} tables");
            }
        }
    }

    #[test]
    fn what_others_hold_for_a_flow_counts() {
        // Twenty connections, of which each shows two segments.
        let batch = batch_of((0..40).map(|n| Segment {
            flags: if n < 20 { TcpFlags::SYN } else { TcpFlags::ACK },
            time: Timestamp(i64::from(n) * 1_000),
            ..syn(n % 20)
        }));
        let limits = Limits {
            octets: 1_000_000,
            ..Limits::default()
        };
        for (name, beside, evicted) in [
            ("nothing", 0, false),
            ("little", 1_000, false),
            ("much", 100_000, true),
        ] {
            let (mut deal, mut table) = (Deal::default(), FlowTable::new(limits));
            let mut place = 0;
            for _ in 0..300 {
                place = deal.deal(&batch, place, 1);
                let share = deal.share(0).unwrap();
                table.push_share(&batch, share, &|_| beside, &mut Vec::new());
            }
            assert_eq!(table.evicted > 0, evicted, "{name}: {}", table.held());
        }
    }

    #[test]
    fn flows_end_in_the_order_in_which_they_began() {
        let (mut deal, mut indices) = (Deal::default(), Indices::default());
        let mut shared: [FlowTable; 3] = std::array::from_fn(|_| FlowTable::new(Limits::default()));
        let (mut given, mut places) = (Vec::new(), vec![0]);
        for batch in 0..3u32 {
            let made = batch_of((0..50).map(|n| syn(batch * 50 + n)));
            places.push(deal.deal(&made, places[batch as usize], 3));
            for (own, table) in (0..).zip(&mut shared) {
                table.push_share(&made, deal.share(own).unwrap(), &|_| 0, &mut Vec::new());
                given.append(&mut table.given);
            }
        }
        indices.begin(&mut given);
        for (batch, more) in [(0, true), (1, true), (2, false)] {
            let upto = number_at(places[batch as usize + 1]);
            let mut out = Vec::new();
            for table in &mut shared {
                assert_eq!(table.finish_below(upto, &mut out), more);
            }
            let ended: Vec<FlowIndex> = told(out, |number| indices.of(number))
                .iter()
                .map(|t| t.0)
                .collect();
            let began: Vec<FlowIndex> = (batch * 50..).take(50).collect();
            assert_eq!(ended, began, "batch {batch}");
        }
    }
}
