//! The flow tracker by a list of operations, and the reassembler beside a naive model.
//!
//! Takes:  operations: segments, acknowledgements, leaps of the clock
//! Gives:  nothing; panics where a promise of the flow stage is broken
//! Never:  compares what the stage makes of a segment: the tests beside the code do

use std::collections::HashMap;

use tcptriage::capture::{Frame, FrameBatch, LinkType, Octets};
use tcptriage::decode::{Decoder, OctetRef, SegmentBatch};
use tcptriage::detect::{self, Seen};
use tcptriage::flow::reassembly::{Ready, Reassembler};
use tcptriage::flow::share::{Deal, Indices, number_at};
use tcptriage::flow::{ChunkData, FlowTable, Limits, Observed, order::Order};
use tcptriage::net::{Direction, FrameNo, StreamOffset, Timestamp};
use tcptriage::proto::{self, Dialog, DialogRecord, Interest, Piece, Ports};

use super::decode::ipv4;
use super::ops::Ops;

/// Where the numbers of both ends begin: just before the wrap, and at the middle, where signs change.
const FIRST: [u32; 2] = [u32::MAX - 300, 1 << 31];

/// Ports of the servers, so that each dialog gets its turn.
const SERVICES: [u16; 4] = [25, 445, 139, 8080];

/// Segments of up to four flows through flow, protocol and detect stage. Each operation has a control octet (flow, direction, kind),
/// control bits, and numbers that depend on the kind.
pub fn flow(input: &[u8]) {
    let (mut octets, mut frames) = (Vec::new(), Vec::new());
    let mut next = [FIRST; 4];
    let mut time = 0_i64;
    let mut ops = Ops(input);
    while let Some(control) = ops.octet() {
        let flow = usize::from(control & 3);
        let way = usize::from(control >> 2 & 1);
        let flags = ops.small();
        let step = i64::from(ops.small());
        // From a microsecond to some minutes, and back where the last bit says so.
        let unit = [1_000, 1_000_000, 100_000_000, 2_000_000_000][usize::from(control >> 3 & 3)];
        time += if flags & 0x40 == 0 {
            step * unit
        } else {
            -step * unit
        };
        let (from_next, from_edge) = (ops.small() as i8, ops.small() as i8);
        let length = usize::from(ops.small());
        let seq = next[flow][way].wrapping_add_signed(i32::from(from_next));
        let ack = next[flow][1 - way].wrapping_add_signed(i32::from(from_edge));
        let options = if control & 0x20 != 0 {
            let options = usize::from(ops.small()) % 41;
            ops.take(options)
        } else {
            &[]
        };
        let payload = ops.take(length);
        let beyond = if control & 0x40 != 0 { 100 } else { 0 };
        if from_next == 0 {
            let taken =
                payload.len() as u32 + beyond + u32::from(flags & 1) + u32::from(flags >> 1 & 1);
            next[flow][way] = seq.wrapping_add(taken);
        }
        let mut ports = [40_000 + flow as u16, SERVICES[flow]];
        if way == 1 {
            ports.reverse();
        }
        let words = 5 + options.len().div_ceil(4) as u8;
        let mut tcp = [
            &ports[0].to_be_bytes()[..],
            &ports[1].to_be_bytes(),
            &seq.to_be_bytes(),
            &ack.to_be_bytes(),
            // ACK unless the last bit says otherwise.
            &[words << 4, (flags & 0x3f) ^ 0x10],
            &(if flags & 0x80 == 0 { 0x4000_u16 } else { 0 }).to_be_bytes(),
            &[0; 4],
            options,
        ]
        .concat();
        tcp.resize(usize::from(words) * 4, 0);
        tcp.extend_from_slice(payload);
        let claimed = tcp.len() + beyond as usize;
        let mut packet = ipv4(6, seq as u16, 0x4000, claimed, &tcp);
        if way == 1 {
            let (from, to) = ([198, 51, 100, 2], [192, 0, 2, 1]);
            packet[12..16].copy_from_slice(&from);
            packet[16..20].copy_from_slice(&to);
        }
        let start = octets.len();
        octets.extend(packet);
        frames.push(Frame {
            number: FrameNo(frames.len() as u64 + 1),
            time: Timestamp(time),
            range: start..octets.len(),
            wire_octets: (octets.len() - start) as u32 + beyond,
            link: LinkType(101),
        });
    }
    let mut batch = SegmentBatch::default();
    let mut input = FrameBatch {
        octets: Octets::Owned(octets),
        frames,
    };
    Decoder::new(0).push(&mut input, &mut batch);
    Track::default().run(&mut batch);
}

/// What follows the flow stage, as the pipeline joins it.
#[derive(Default)]
struct Track {
    dialogs: HashMap<u32, Box<dyn Dialog>>,
    /// Where the next chunk of a slot and direction has to begin.
    due: HashMap<(u32, Direction), u64>,
}

impl Track {
    fn run(mut self, batch: &mut SegmentBatch) {
        let mut order = Order::default();
        let stepped = order.put(batch);
        let mut detectors = detect::all(&[], 1.0);
        for note in &batch.notes {
            detectors.iter_mut().for_each(|d| d.note(note));
        }
        shares(batch, stepped);
        let mut table = FlowTable::new(Limits {
            flows: 3,
            octets: 1 << 20,
            ..Limits::default()
        });
        if stepped {
            table.clock_stepped();
        }
        detectors.iter_mut().for_each(|d| d.order(&order));
        let (mut observed, mut findings) = (Vec::new(), Vec::new());
        table.push(batch, &mut observed);
        self.hand_on(batch, &mut table, &mut observed, &mut |seen| {
            detectors
                .iter_mut()
                .for_each(|d| d.flow(seen, &mut findings));
        });
        let nothing = SegmentBatch::default();
        let mut more = true;
        while more {
            more = table.finish(&mut observed);
            self.hand_on(&nothing, &mut table, &mut observed, &mut |seen| {
                detectors
                    .iter_mut()
                    .for_each(|d| d.flow(seen, &mut findings));
            });
        }
        assert!(table.is_empty());
        detectors.iter_mut().for_each(|d| d.finish(&mut findings));
        for finding in detect::judge(findings) {
            assert!((0.0..=1.0).contains(&finding.confidence));
        }
    }

    fn hand_on(
        &mut self,
        batch: &SegmentBatch,
        table: &mut FlowTable,
        observed: &mut Vec<Observed>,
        closed: &mut dyn FnMut(Seen<'_>),
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
                    let mut dialog = proto::dialog(&Ports::default(), client_port, server_port);
                    if let Some((frame, time)) = connected {
                        dialog.connected(frame, time);
                    }
                    self.dialogs.insert(slot, dialog);
                    self.due.retain(|(of, _), _| *of != slot);
                }
                Observed::Chunk(chunk) => {
                    let octets = match &chunk.data {
                        ChunkData::InBatch(at) => Ok(batch.octets_of(*at)),
                        ChunkData::Kept(kept) => Ok(&kept[..]),
                        ChunkData::Gap(missing) => Err(*missing),
                    };
                    let length = octets.map_or_else(|missing| missing, |o| o.len() as u64);
                    assert!(length > 0, "a chunk is not empty");
                    let due = self
                        .due
                        .entry((chunk.slot, chunk.direction))
                        .or_insert(chunk.offset);
                    assert_eq!(*due, chunk.offset, "octets come without hole or overlap");
                    *due += length;
                    let Some(dialog) = self.dialogs.get_mut(&chunk.slot) else {
                        continue;
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
                        table.lose_interest(chunk.slot, chunk.flow);
                    }
                }
                Observed::Acked {
                    slot,
                    direction,
                    upto,
                    time,
                    ..
                } => {
                    if let Some(dialog) = self.dialogs.get_mut(&slot) {
                        dialog.acked(direction, upto, time);
                    }
                }
                Observed::Closed { slot, life, .. } => {
                    let record = life.record();
                    for half in &record.halves {
                        assert!(half.unique_octets <= half.octets);
                        assert!(half.retransmitted_segments <= half.data_segments);
                        assert!(half.retransmitted_octets <= half.octets);
                        let by = half.retransmissions;
                        let split = by.fast + by.timeout + by.tail_probe + by.spurious + by.unknown;
                        assert_eq!(split, half.retransmitted_segments);
                    }
                    let dialog = self
                        .dialogs
                        .remove(&slot)
                        .map_or_else(DialogRecord::default, |d| d.finish(record.end));
                    closed(Seen {
                        flow: &record,
                        dialog: &dialog,
                    });
                }
            }
        }
    }
}

/// Flows are the same, however many tables share them out.
fn shares(batch: &SegmentBatch, stepped: bool) {
    let table = || {
        let mut table = FlowTable::new(Limits::default());
        if stepped {
            table.clock_stepped();
        }
        table
    };
    let told = |observed: Vec<Observed>, indices: Option<&Indices>| {
        let mut told: Vec<String> = Vec::new();
        for seen in observed {
            if let Observed::Closed { life, .. } = seen {
                let mut record = life.record();
                record.index = indices.map_or(record.index, |i| i.of(record.index));
                told.push(format!("{record:?}"));
            }
        }
        told.sort_unstable();
        told
    };
    let (mut alone, mut observed) = (table(), Vec::new());
    alone.push(batch, &mut observed);
    while alone.finish(&mut observed) {}
    let want = told(observed, None);
    let mut deal = Deal::default();
    let end = number_at(deal.deal(batch, 0, 3));
    let (mut indices, mut given, mut observed) = (Indices::default(), Vec::new(), Vec::new());
    for share in (0..).map_while(|own| deal.share(own)) {
        let mut table = table();
        table.push_share(batch, share, &|_| 0, &mut observed);
        given.append(&mut table.given);
        assert!(!table.finish_below(end, &mut observed));
    }
    indices.begin(&mut given);
    assert_eq!(told(observed, Some(&indices)), want);
}

/// What the model knows of one octet of the stream.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    captured: bool,
    /// It was on the wire in a segment whose end the capture cut off.
    cut: bool,
}

/// Octets of the model's stream.
const STREAM: usize = 2_048;

/// Segments and acknowledgements in any order, beside a model that is a plain array.
pub fn reassembly(input: &[u8]) {
    // Every octet tells its place, so that a wrong one shows.
    let octet = |at: usize| (at.wrapping_mul(31) >> 3) as u8;
    let stream: Vec<u8> = (0..STREAM).map(octet).collect();
    let mut known = vec![Known::default(); STREAM];
    let (mut next, mut acked) = (0, 0);
    let mut reassembler = Reassembler::default();
    let origin = StreamOffset::ORIGIN.0;
    reassembler.begin(origin);
    let mut out: Vec<Ready> = Vec::new();
    let mut ops = Ops(input);
    while let Some(control) = ops.octet() {
        let at = usize::from(ops.short()) % STREAM;
        let (frame, time) = (FrameNo(1), Timestamp(0));
        let mut segment = &stream[at..at];
        if control & 1 == 1 {
            acked = acked.max(at);
            reassembler.acknowledged(origin + at as u64, frame, time, &mut out);
        } else {
            let wire = usize::from(ops.small()).min(STREAM - at);
            let cut = if control & 2 == 0 {
                0
            } else {
                usize::from(control >> 2).min(wire)
            };
            segment = &stream[at..at + wire - cut];
            for place in &mut known[at..at + segment.len()] {
                place.captured = true;
            }
            for place in &mut known[at + segment.len()..at + wire] {
                place.cut = true;
            }
            let whole = OctetRef {
                offset: 0,
                len: segment.len() as u32,
            };
            let offset = origin + at as u64;
            reassembler.segment(offset, wire as u32, whole, segment, frame, time, &mut out);
        }
        for ready in out.drain(..) {
            assert_eq!(
                ready.offset,
                origin + next as u64,
                "without hole or overlap"
            );
            match ready.data {
                ChunkData::Gap(missing) => {
                    assert!(missing > 0);
                    let end = next + missing as usize;
                    let lost = known[next..end].iter().all(|k| k.cut) || end <= acked;
                    assert!(
                        lost,
                        "octets {next} to {end} are given up and may still come"
                    );
                    next = end;
                }
                ChunkData::InBatch(at) => {
                    let start = at.offset as usize;
                    next = check(
                        &stream,
                        &known,
                        next,
                        &segment[start..start + at.len as usize],
                    );
                }
                ChunkData::Kept(kept) => next = check(&stream, &known, next, &kept),
            }
        }
        assert!(next >= acked, "what is acknowledged is not waited for");
        assert!(
            known.get(next).is_none_or(|k| !k.captured && !k.cut),
            "octet {next} is held back"
        );
        assert!(reassembler.held() <= STREAM * 256);
    }
}

/// Holds octets handed on to the model; gives where the next ones begin.
fn check(stream: &[u8], known: &[Known], next: usize, octets: &[u8]) -> usize {
    let end = next + octets.len();
    assert!(!octets.is_empty());
    assert_eq!(&stream[next..end], octets);
    assert!(known[next..end].iter().all(|k| k.captured));
    end
}
