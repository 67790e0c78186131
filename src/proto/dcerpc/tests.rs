//! Conversations of DCE/RPC, whole, split and cut.

#![allow(clippy::unwrap_used)]

use super::{RpcDialog, Uuid};
use crate::net::Direction::{ClientToServer as C2S, ServerToClient as S2C};
use crate::net::{Direction, FrameNo, Timestamp};
use crate::proto::{Dialog, DialogRecord, Piece};

/// A PDU with little-endian integers.
fn pdu(kind: u8, flags: u8, call: u32, body: &[u8]) -> Vec<u8> {
    let mut all = vec![5, 0, kind, flags, 0x10, 0, 0, 0];
    all.extend(u16::try_from(16 + body.len()).unwrap().to_le_bytes());
    all.extend([0, 0]);
    all.extend(call.to_le_bytes());
    all.extend(body);
    all
}

/// A bind of context 1 to EMSMDB.
fn bind(call: u32) -> Vec<u8> {
    let mut body = vec![0xB8, 0x10, 0xB8, 0x10, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0];
    body.extend([
        0x00, 0xdb, 0xf1, 0xa4, 0x47, 0xca, 0x67, 0x10, 0xb3, 0x1f, 0x00, 0xdd, 0x01, 0x06, 0x62,
        0xda,
    ]);
    body.extend([0, 0, 81, 0]);
    body.extend([0; 20]);
    pdu(11, 3, call, &body)
}

fn bound(call: u32, result: u8) -> Vec<u8> {
    let mut body = vec![0xB8, 0x10, 0xB8, 0x10, 1, 0, 0, 0, 5, 0];
    body.extend(b"6001\0");
    body.resize(16, 0);
    body.extend([1, 0, 0, 0, result, 0, 0, 0]);
    body.extend([0; 20]);
    pdu(12, 3, call, &body)
}

fn request(call: u32, flags: u8, operation: u8, octets: usize) -> Vec<u8> {
    let mut body = vec![0, 0, 0, 0, 1, 0, operation, 0];
    body.resize(8 + octets, 5);
    pdu(0, flags, call, &body)
}

fn response(call: u32, flags: u8, octets: usize) -> Vec<u8> {
    let mut body = vec![0, 0, 0, 0, 1, 0, 0, 0];
    body.resize(8 + octets, 5);
    pdu(2, flags, call, &body)
}

fn fault(call: u32, status: u32) -> Vec<u8> {
    let mut body = vec![0; 8];
    body.extend(status.to_le_bytes());
    body.extend([0; 4]);
    pdu(3, 3, call, &body)
}

type Sent = (Direction, i64, Result<Vec<u8>, u64>);

fn play(sent: &[Sent], part: usize) -> DialogRecord {
    let mut dialog = Box::new(RpcDialog::default());
    let mut offsets = [0_u64; 2];
    for (number, (direction, ms, what)) in sent.iter().enumerate() {
        let offset = &mut offsets[direction.index()];
        let mut piece = Piece {
            direction: *direction,
            offset: *offset,
            frame: FrameNo(number as u64 + 1),
            sent: Timestamp(ms * 1_000_000),
            readable: Timestamp(ms * 1_000_000),
            octets: Err(0),
        };
        match what {
            Ok(octets) => {
                for chunk in octets.chunks(part.max(1)) {
                    piece.octets = Ok(chunk);
                    piece.offset = *offset;
                    dialog.piece(piece);
                    *offset += chunk.len() as u64;
                }
            }
            Err(missing) => {
                piece.octets = Err(*missing);
                dialog.piece(piece);
                *offset += missing;
            }
        }
        dialog.acked(*direction, *offset, Timestamp(ms * 1_000_000 + 500_000));
    }
    dialog.finish(Timestamp(1_000_000_000_000))
}

fn session() -> Vec<Sent> {
    vec![
        (C2S, 0, Ok(bind(1))),
        (S2C, 2, Ok(bound(1, 0))),
        // In two fragments, and answered in two.
        (C2S, 10, Ok(request(2, 1, 11, 4000))),
        (C2S, 12, Ok(request(2, 2, 11, 500))),
        (S2C, 40, Ok(response(2, 1, 4000))),
        (S2C, 90, Ok(response(2, 2, 4000))),
        (C2S, 100, Ok(request(3, 3, 11, 10))),
        (S2C, 107, Ok(fault(3, 0x1C01_0002))),
        (C2S, 110, Ok(request(4, 3, 1, 10))),
    ]
}

/// Operation, count, milliseconds, unanswered.
fn operations(record: &DialogRecord) -> Vec<(&str, u64, u128, u64)> {
    let operations = &record.rpc.as_ref().unwrap().operations;
    operations
        .iter()
        .map(|(name, o)| {
            (
                name.as_str(),
                o.times.count,
                o.times.sum.as_millis(),
                o.unanswered,
            )
        })
        .collect()
}

#[test]
fn calls_are_paired_in_pieces_of_any_size() {
    for part in [usize::MAX, 100, 7, 1] {
        let record = play(&session(), part);
        assert_eq!(
            operations(&record),
            [
                ("EMSMDB EcDoDisconnect", 0, 0, 1),
                ("EMSMDB EcDoRpcExt2", 2, 28 + 7, 0),
            ],
            "in pieces of {part}"
        );
        let texts: Vec<_> = record.said.iter().map(|said| said.text.as_str()).collect();
        assert_eq!(texts[..2], ["RPC bind to EMSMDB", "RPC bind accepted"]);
        assert!(texts.contains(&"RPC fault nca_op_rng_error EMSMDB EcDoRpcExt2"));
        assert_eq!(record.exchanges.len(), 3);
        assert_eq!(record.exchanges[0].request_frame, FrameNo(4));
        let rpc = record.rpc.unwrap();
        assert_eq!(rpc.interfaces[0].name, Some("EMSMDB"));
        assert_eq!(rpc.interfaces[0].accepted, Some(true));
        assert_eq!(
            rpc.operations["EMSMDB EcDoRpcExt2"].faults["nca_op_rng_error"],
            1
        );
        assert_eq!(rpc.places_lost, 0);
    }
}

#[test]
fn binds_may_be_refused() {
    for (name, answer, want) in [
        ("provider rejection", bound(1, 2), Some(false)),
        ("bind_nak", pdu(13, 3, 1, &[4, 0]), Some(false)),
        ("of another call", bound(9, 0), None),
        ("cut off", bound(1, 0)[..20].to_vec(), None),
    ] {
        let record = play(&[(C2S, 0, Ok(bind(1))), (S2C, 1, Ok(answer))], 8);
        assert_eq!(record.rpc.unwrap().interfaces[0].accepted, want, "{name}");
    }
}

#[test]
fn the_place_is_found_again() {
    let answer = response(2, 3, 4000);
    for (name, sent, want) in [
        (
            "a hole in the arguments",
            vec![
                (C2S, 0, Ok(request(2, 3, 0, 10))),
                (S2C, 5, Ok(answer[..100].to_vec())),
                (S2C, 5, Err(1000)),
                (S2C, 6, Ok(answer[1100..].to_vec())),
            ],
            (1, 6),
        ),
        (
            "a hole over a header",
            vec![
                (C2S, 0, Err(3)),
                (C2S, 0, Ok(request(1, 3, 0, 10)[3..].to_vec())),
                (C2S, 1, Ok(request(2, 3, 0, 10))),
                (S2C, 5, Ok(answer.clone())),
            ],
            (1, 4),
        ),
    ] {
        for part in [usize::MAX, 50, 1] {
            let record = play(&sent, part);
            let found = operations(&record);
            assert_eq!(found.len(), 1, "{name}: {found:?}");
            assert_eq!(
                (found[0].1, found[0].2),
                want,
                "{name}, in pieces of {part}"
            );
            assert_eq!(found[0].0, "context 1 operation 0");
        }
    }
}

#[test]
fn prefixes_and_lies_do_no_harm() {
    let sent = session();
    for (number, (_, _, octets)) in sent.iter().enumerate() {
        let octets = octets.as_ref().unwrap();
        for at in 0..octets.len().min(80) {
            let mut cut = sent[..=number].to_vec();
            cut[number].2.as_mut().unwrap().truncate(at);
            assert!(play(&cut, 33).said.len() <= number);
            for value in [0, 4, 0xFF] {
                let mut twisted = sent.clone();
                twisted[number].2.as_mut().unwrap()[at] = value;
                assert!(play(&twisted, 700).said.len() <= 2 * sent.len());
            }
        }
    }
    let many: Vec<Sent> = (0..5_000)
        .map(|call| (C2S, 0, Ok(request(call, 3, 3, 0))))
        .collect();
    let rpc = play(&many, usize::MAX).rpc.unwrap();
    assert_eq!(rpc.max_outstanding, super::MAX_CALLS as u64);
    assert_eq!(rpc.calls_forgotten, 5_000 - super::MAX_CALLS as u64);
    assert_eq!(Uuid(1).to_string(), "00000000-0000-0000-0000-000000000001");
}
