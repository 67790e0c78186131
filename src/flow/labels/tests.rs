//! Each rule with its near misses, as short conversations: the client counts from 1000, the server from 5000.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::decode::{Checksum, OctetRef, SynOptions};
use crate::net::{Family, FrameNo, MacAddr, Timestamp};

/// One segment, and the labels that it is to get.
#[derive(Clone, Copy)]
struct Said {
    client: bool,
    micros: i64,
    flags: TcpFlags,
    seq: u32,
    ack: u32,
    octets: u32,
    window: u16,
    shift: Option<u8>,
    sacks: &'static [(u32, u32)],
    want: &'static str,
}

const ACK: TcpFlags = TcpFlags::ACK;
const SYN: TcpFlags = TcpFlags::SYN;
const FIN: TcpFlags = TcpFlags::FIN.with(TcpFlags::ACK);
const RST: TcpFlags = TcpFlags::RST;
const SYN_ACK: TcpFlags = TcpFlags::SYN.with(TcpFlags::ACK);

const fn said(
    client: bool,
    micros: i64,
    seq: u32,
    ack: u32,
    octets: u32,
    want: &'static str,
) -> Said {
    Said {
        client,
        micros,
        flags: ACK,
        seq,
        ack,
        octets,
        window: 100,
        shift: None,
        sacks: &[],
        want,
    }
}

/// From the client, acknowledging 5000.
const fn c(micros: i64, seq: u32, octets: u32, want: &'static str) -> Said {
    said(true, micros, seq, 5000, octets, want)
}

/// A bare acknowledgement from the server, which stands at 5000.
const fn s(micros: i64, ack: u32, want: &'static str) -> Said {
    said(false, micros, 5000, ack, 0, want)
}

impl Said {
    const fn flags(mut self, flags: TcpFlags) -> Self {
        self.flags = flags;
        self
    }

    const fn window(mut self, window: u16) -> Self {
        self.window = window;
        self
    }

    const fn shift(mut self, shift: u8) -> Self {
        self.shift = Some(shift);
        self
    }

    const fn sacks(mut self, sacks: &'static [(u32, u32)]) -> Self {
        self.sacks = sacks;
        self
    }

    fn segment(&self, frame: u64) -> Segment {
        let mut key = FlowKey {
            addrs: [[1; 16], [2; 16]],
            ports: [40_000, 25],
            encapsulation: 0,
            family: Family::V4,
        };
        let hash = flow_hash(&key);
        // Tunnels and VLANs make no difference.
        key.encapsulation = u32::try_from(frame).unwrap() % 2;
        Segment {
            frame: FrameNo(frame),
            time: Timestamp(1_000_000_000_000 + self.micros * 1000),
            key,
            hash,
            from_first: self.client,
            seq: SeqNum(self.seq),
            ack: SeqNum(self.ack),
            flags: self.flags,
            window: self.window,
            payload_octets: self.octets,
            payload: OctetRef::default(),
            ip_id: None,
            ttl: 64,
            dont_fragment: true,
            ecn: 0,
            dscp: 0,
            checksum: Checksum::Good,
            option_octets: 0,
            timestamps: None,
            syn: SynOptions {
                window_scale: self.shift,
                ..SynOptions::default()
            },
            sack: (0, 0),
            macs: [MacAddr::default(); 2],
            outgoing: None,
        }
    }
}

/// What is said of each segment: `stream labels`, the stream left out where it is 0.
fn labels_of(conversation: &[Said], shift_numbers: u32) -> Vec<String> {
    let mut tracker = LabelTracker::default();
    let mut frame = 0;
    conversation
        .iter()
        .map(|said| {
            frame += 1;
            let mut said = *said;
            said.seq = said.seq.wrapping_add(shift_numbers);
            if said.flags.has(ACK) {
                said.ack = said.ack.wrapping_add(shift_numbers);
            }
            let sacks: Vec<_> = said
                .sacks
                .iter()
                .map(|(l, r)| {
                    let number = |n: &u32| SeqNum(n.wrapping_add(shift_numbers));
                    (number(l), number(r))
                })
                .collect();
            let got = tracker.label(&said.segment(frame), said.octets, &sacks);
            match got.stream {
                0 => got.labels.to_string(),
                n => format!("{n} {}", got.labels),
            }
        })
        .collect()
}

const SYNS: [Said; 3] = [
    said(true, 0, 999, 0, 0, "-").flags(SYN).shift(2),
    said(false, 10_000, 4999, 1000, 0, "-")
        .flags(SYN_ACK)
        .shift(3),
    c(20_000, 1000, 0, "-"),
];

/// A client that has 300 octets on their way, the second hundred not captured, and a server that has asked for them twice.
const HOLE: [Said; 6] = [
    SYNS[0],
    SYNS[1].window(9_000),
    SYNS[2],
    c(30_000, 1000, 100, "-"),
    s(40_000, 1100, "-"),
    c(50_000, 1200, 100, "lost_segment"),
];

fn after<const N: usize>(before: &[Said], then: [Said; N]) -> Vec<Said> {
    [before, &then].concat()
}

#[test]
#[allow(clippy::too_many_lines)]
fn rules() {
    let asked = |then: Said| {
        after(
            &HOLE,
            [
                s(60_000, 1100, "duplicate_ack"),
                s(61_000, 1100, "duplicate_ack"),
                then,
            ],
        )
    };
    for (name, conversation) in [
        (
            "1 window probe: one octet at the edge of a shut window, and its answer",
            vec![
                c(0, 1000, 10, "-"),
                s(1, 1010, "zero_window").window(0),
                c(2, 1010, 1, "zero_window_probe"),
                s(3, 1010, "zero_window,zero_window_probe_ack").window(0),
                c(4, 1010, 1, "zero_window_probe"),
                s(5, 1011, "zero_window,zero_window_probe_ack").window(0),
                // The octet was taken, so the next one is no repeat.
                c(6, 1011, 1, "zero_window_probe"),
                s(7, 1012, "window_update").window(50),
            ],
        ),
        (
            "1 near miss: two octets, or the window open",
            vec![
                c(0, 1000, 10, "-"),
                s(1, 1010, "zero_window").window(0),
                c(2, 1010, 2, "-"),
                s(3, 1012, "-").window(1),
                c(4, 1012, 1, "-"),
            ],
        ),
        (
            "2 zero window: not on SYN, FIN or RST",
            vec![
                said(true, 0, 999, 0, 0, "-").flags(SYN).window(0),
                s(1, 1000, "zero_window").window(0),
                s(2, 1000, "-").flags(FIN).window(0),
                s(3, 1000, "-").flags(RST).window(0),
            ],
        ),
        (
            "3 lost segment: beyond what was to come, not on RST, not on the first segment",
            vec![
                c(0, 1000, 10, "-"),
                c(1, 1011, 10, "lost_segment"),
                c(2, 1021, 10, "-"),
                c(3, 1050, 0, "-").flags(RST),
            ],
        ),
        (
            "4 and 7 keep-alive with none or one octet, and its answer",
            vec![
                c(0, 1000, 10, "-"),
                s(1, 1010, "-"),
                c(2, 1009, 0, "keep_alive"),
                s(3, 1010, "keep_alive_ack"),
                c(4, 1009, 1, "keep_alive"),
                s(5, 1010, "keep_alive_ack"),
                s(6, 1010, "keep_alive_ack"),
            ],
        ),
        (
            "4 near miss: two octets before the next; a FIN; an answer with another window",
            vec![
                c(0, 1000, 10, "-"),
                s(1, 1010, "-"),
                c(2, 1008, 0, "-"),
                c(3, 1009, 1, "keep_alive"),
                s(4, 1010, "window_update").window(99),
                c(5, 1009, 0, "retransmission").flags(FIN),
            ],
        ),
        (
            "5 window update: the window alone changes",
            vec![
                s(0, 1000, "-"),
                s(1, 1000, "window_update").window(99),
                s(2, 1001, "-").window(98),
                s(3, 1001, "zero_window").window(0),
            ],
        ),
        (
            "5 a window update with SACK is a duplicate acknowledgement",
            vec![
                s(0, 1000, "-"),
                s(1, 1000, "duplicate_ack")
                    .window(99)
                    .sacks(&[(1100, 1200)]),
            ],
        ),
        (
            "6 window full: up to the edge, scaled from the first acknowledgement on",
            after(
                &SYNS,
                [
                    // 100 unscaled: the server acknowledged nothing yet but the SYN.
                    c(30_000, 1000, 100, "window_full"),
                    s(40_000, 1100, "-"),
                    c(50_000, 1100, 799, "-"),
                    c(60_000, 1899, 1, "window_full"),
                ],
            ),
        ),
        (
            "6 near miss: the scale is not known",
            vec![s(0, 1000, "-"), c(1, 1000, 100, "-")],
        ),
        (
            "6 one SYN without scale: nobody scales",
            vec![
                said(true, 0, 999, 0, 0, "-").flags(SYN),
                said(false, 1, 4999, 1000, 0, "-").flags(SYN_ACK).shift(3),
                c(2, 1000, 0, "-"),
                s(3, 1000, "duplicate_ack"),
                c(4, 1000, 100, "window_full"),
            ],
        ),
        (
            "9 duplicate acknowledgement: nothing need be outstanding",
            vec![
                c(0, 1000, 0, "-"),
                s(1, 1000, "-"),
                s(2, 1000, "duplicate_ack"),
                said(false, 3, 5000, 1000, 5, "-"),
                said(false, 4, 5005, 1000, 0, "duplicate_ack"),
                said(false, 5, 5005, 1000, 0, "-").flags(FIN),
            ],
        ),
        (
            "11 acknowledged and never captured: told once",
            vec![
                c(0, 1000, 100, "-"),
                s(1, 1300, "ack_lost_segment"),
                s(2, 1300, "duplicate_ack"),
                s(3, 1300, "-").flags(RST),
            ],
        ),
        (
            "11 what lies in one piece from the acknowledged number on is not told again",
            vec![
                c(0, 1000, 100, "-"),
                c(1, 1200, 100, "lost_segment"),
                c(2, 1300, 100, "-"),
                s(3, 1200, "ack_lost_segment"),
                s(4, 1400, "-"),
            ],
        ),
        (
            "11 near miss: without the flag the number does not count here",
            vec![c(0, 1000, 100, "-"), s(1, 1300, "-").flags(RST)],
        ),
        (
            "12 spurious: up to what was acknowledged",
            vec![
                c(0, 1000, 100, "-"),
                s(1, 1100, "-"),
                c(2, 1000, 100, "retransmission,spurious_retransmission"),
                c(3, 1050, 50, "retransmission,spurious_retransmission"),
            ],
        ),
        (
            "12 near miss: one octet more",
            vec![
                c(0, 1000, 100, "-"),
                c(1, 1100, 100, "-"),
                s(2, 1100, "-"),
                c(3, 1000, 101, "out_of_order"),
            ],
        ),
        (
            "13 the octet of a probe sent again within new ones",
            vec![c(0, 1000, 100, "-"), c(1, 1099, 2, "-")],
        ),
        (
            "14 fast: asked for twice, within 20 ms of the other end's last segment",
            asked(c(80_999, 1100, 100, "fast_retransmission,retransmission")),
        ),
        (
            "14 near miss: 20 ms",
            asked(c(81_000, 1100, 100, "retransmission")),
        ),
        (
            "14 near miss: asked for once",
            after(
                &HOLE,
                [
                    s(60_000, 1100, "duplicate_ack"),
                    c(60_001, 1100, 100, "out_of_order"),
                ],
            ),
        ),
        (
            "14 with SACK, any segment below the next may be a fast one",
            after(
                &HOLE,
                [
                    s(60_000, 1100, "duplicate_ack").sacks(&[(1200, 1300)]),
                    s(61_000, 1100, "duplicate_ack").sacks(&[(1200, 1300)]),
                    c(61_500, 1150, 50, "fast_retransmission,retransmission"),
                ],
            ),
        ),
        (
            "14 near miss: without SACK it has to be the one asked for",
            asked(c(61_500, 1150, 50, "out_of_order")),
        ),
        (
            "15 out of order: sooner than the round trip of the handshake after the other end's last segment",
            after(&HOLE, [c(59_999, 1100, 100, "out_of_order")]),
        ),
        (
            "15 near miss: as late as that round trip",
            after(&HOLE, [c(60_000, 1100, 100, "retransmission")]),
        ),
        (
            "15 without a handshake: 3 ms",
            vec![
                s(0, 1000, "-"),
                c(0, 1000, 100, "-"),
                c(1, 1200, 100, "lost_segment"),
                c(2, 1500, 100, "lost_segment"),
                c(2_999, 1100, 50, "out_of_order"),
                c(3_000, 1150, 50, "retransmission"),
            ],
        ),
        (
            "15 near miss: seen before",
            after(&HOLE, [c(51_000, 1200, 100, "retransmission")]),
        ),
        (
            "15 up to the highest number: out of order only where that came with a bare acknowledgement, or 256 octets",
            vec![
                s(0, 1000, "-"),
                c(1, 1000, 100, "-"),
                c(2, 1300, 0, "lost_segment"),
                c(3, 1200, 100, "out_of_order"),
                c(4, 1500, 256, "lost_segment"),
                c(5, 1490, 266, "out_of_order"),
                c(6, 1956, 255, "lost_segment"),
                c(7, 1946, 265, "retransmission"),
            ],
        ),
        (
            "15 a clock that stepped back: no time at all",
            after(&HOLE, [c(-900_000, 1100, 100, "out_of_order")]),
        ),
        (
            "16 retransmission of SYN, SYN-ACK and FIN",
            vec![
                SYNS[0],
                said(true, 1_000_000, 999, 0, 0, "retransmission").flags(SYN),
                SYNS[1],
                said(false, 1_000_000, 4999, 1000, 0, "retransmission").flags(SYN_ACK),
                c(1_100_000, 1000, 0, "-"),
                c(1_200_000, 1000, 0, "-").flags(FIN),
                c(2_400_000, 1000, 0, "retransmission").flags(FIN),
            ],
        ),
        (
            "reused ports: a SYN with another number",
            vec![
                SYNS[0],
                said(true, 9, 7999, 0, 0, "1 reused_ports").flags(SYN),
                said(false, 10, 8999, 8000, 0, "1 -").flags(SYN_ACK),
                said(true, 11, 8000, 9000, 0, "1 -"),
            ],
        ),
        (
            "reused ports: the same number after an end",
            vec![
                SYNS[0],
                said(false, 5, 0, 1000, 0, "-").flags(RST.with(ACK)),
                said(true, 9, 999, 0, 0, "1 reused_ports").flags(SYN),
            ],
        ),
        (
            "reused ports: a SYN-ACK with another number",
            vec![
                SYNS[0],
                SYNS[1],
                said(false, 30, 6999, 1000, 0, "1 reused_ports").flags(SYN_ACK),
            ],
        ),
        (
            "near miss: a FIN without ACK is no end",
            vec![
                SYNS[0],
                said(true, 5, 1000, 0, 0, "-").flags(TcpFlags::FIN),
                said(true, 9, 999, 0, 0, "retransmission").flags(SYN),
            ],
        ),
    ] {
        let want: Vec<_> = conversation.iter().map(|s| s.want).collect();
        assert_eq!(labels_of(&conversation, 0), want, "{name}");
        // Numbers go round within the conversation.
        for start in [1000u32, 1100, 1200] {
            let round = 0u32.wrapping_sub(start).wrapping_sub(7);
            let got = labels_of(&conversation, round);
            assert_eq!(got, want, "{name}, numbers going round near {start}");
        }
    }
}

#[test]
fn stream_numbers_go_by_addresses_and_ports() {
    let mut tracker = LabelTracker::default();
    let mut one = SYNS[0].segment(1);
    assert_eq!(tracker.label(&one, 0, &[]).stream, 0);
    one.key.ports[0] = 40_001;
    assert_eq!(tracker.label(&one, 0, &[]).stream, 1);
    one.key.encapsulation = 7;
    assert_eq!(tracker.label(&one, 0, &[]).stream, 1, "in a tunnel");
    let note = |flags| Note {
        frame: FrameNo(2),
        time: one.time,
        from: [10, 0, 0, 1].into(),
        to: [10, 0, 0, 2].into(),
        kind: NoteKind::IcmpError {
            family: Family::V4,
            icmp_type: 3,
            code: 1,
            mtu: None,
            key: FlowKey {
                ports: [40_002, 25],
                ..one.key
            },
            from_first: true,
            seq: SeqNum(1),
            flags,
        },
    };
    tracker.quoted(&note(None));
    one.key.ports[0] = 40_003;
    assert_eq!(
        tracker.label(&one, 0, &[]).stream,
        2,
        "a short quotation counts for nothing"
    );
    tracker.quoted(&note(Some(SYN)));
    one.key.ports[0] = 40_004;
    assert_eq!(
        tracker.label(&one, 0, &[]).stream,
        4,
        "a longer one takes a number"
    );
}

#[test]
fn who_is_the_client() {
    for (name, said, want) in [
        ("the one that says SYN", SYNS[0], true),
        ("not the one that answers it", SYNS[1], false),
        ("the one with the higher port", c(0, 1, 1, ""), true),
        ("and not the other", s(0, 1, ""), false),
    ] {
        let mut segment = said.segment(1);
        assert_eq!(
            LabelTracker::default().label(&segment, 0, &[]).from_client,
            want,
            "{name}"
        );
        if said.flags.has(SYN) {
            segment.key.ports.swap(0, 1);
            assert_eq!(
                LabelTracker::default().label(&segment, 0, &[]).from_client,
                want,
                "{name}, whatever its port"
            );
        }
    }
}

#[test]
fn names_are_in_order() {
    assert!(Labels::NAMES.is_sorted());
    let all = Labels::RETRANSMISSION
        .with(Labels::FAST_RETRANSMISSION)
        .with(Labels::ZERO_WINDOW_PROBE_ACK);
    assert_eq!(
        all.to_string(),
        "fast_retransmission,retransmission,zero_window_probe_ack"
    );
    assert_eq!(Labels::NONE.to_string(), "-");
}

#[test]
fn unacknowledged_segments_are_bounded() {
    let mut tracker = LabelTracker::default();
    let mut said = c(0, 1000, 10, "-");
    for _ in 0..=conversation::MAX_UNACKED {
        tracker.label(&said.segment(1), 10, &[]);
        said.seq += 10;
    }
    assert_eq!(tracker.unacked, conversation::MAX_UNACKED);
    tracker.label(&s(1, said.seq, "").segment(1), 0, &[]);
    assert_eq!(tracker.unacked, 0);
}

#[test]
fn the_short_way_to_acknowledge_gives_what_the_long_way_gives() {
    use conversation::{Queue, Unacked};
    let mut random = 7u32;
    let mut next = || {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        random >> 8
    };
    for round in 0..200u32 {
        let base = round.wrapping_mul(0x0555_5555);
        let (mut short, mut long) = (Queue::default(), Vec::<Unacked>::new());
        let mut end = base;
        for _ in 0..60 {
            let is_repeat = next() % 8 == 0;
            let start = if is_repeat {
                end.wrapping_sub(next() % 300)
            } else {
                end
            };
            let segment = Unacked {
                start,
                end: start.wrapping_add(1 + next() % 100),
            };
            end = segment.end;
            short.push(segment);
            long.push(segment);
            if next() % 3 == 0 {
                let ack = match next() % 10 {
                    0 => next(),
                    _ => end.wrapping_sub(next() % 200),
                };
                short.acknowledge(ack);
                long.retain_mut(|u| {
                    let after = |a: u32, b: u32| SeqNum(a).precedes(SeqNum(b));
                    if after(u.start, ack) && after(ack, u.end) {
                        u.start = ack;
                    }
                    after(ack, u.end)
                });
                assert_eq!(Vec::from(short.segments.clone()), long, "round {round}");
            }
        }
    }
}
