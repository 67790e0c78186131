//! Conversations of SMB, whole, split, cut and hostile.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::SmbDialog;
use super::spnego::tests::challenge_token;
use crate::net::Direction::{ClientToServer as C2S, ServerToClient as S2C};
use crate::net::{Direction, FrameNo, Timestamp};
use crate::proto::{Dialog, DialogRecord, Piece};

/// A message under NetBIOS's prefix.
fn framed(message: &[u8]) -> Vec<u8> {
    let mut all = u32::try_from(message.len()).unwrap().to_be_bytes().to_vec();
    all.extend(message);
    all
}

/// An element of SMB2. A response where `status` is given.
struct Two {
    command: u16,
    id: u64,
    status: Option<u32>,
    credits: u16,
    flags: u32,
    tree: u32,
    body: Vec<u8>,
}

const ASK: Two = Two {
    command: 0,
    id: 0,
    status: None,
    credits: 1,
    flags: 0,
    tree: 0,
    body: Vec::new(),
};

impl Two {
    fn octets(&self, next: u32) -> Vec<u8> {
        let mut all = b"\xFESMB\x40\0\x01\0".to_vec();
        all.extend(self.status.unwrap_or(0).to_le_bytes());
        all.extend(self.command.to_le_bytes());
        all.extend(self.credits.to_le_bytes());
        let flags = self.flags | u32::from(self.status.is_some());
        all.extend(flags.to_le_bytes());
        all.extend(next.to_le_bytes());
        all.extend(self.id.to_le_bytes());
        all.extend([0; 4]);
        all.extend(self.tree.to_le_bytes());
        all.resize(64, 0);
        all.extend(&self.body);
        all
    }
}

fn two(message: &Two) -> Vec<u8> {
    framed(&message.octets(0))
}

fn compound(messages: &[Two]) -> Vec<u8> {
    let mut all = Vec::new();
    for (at, message) in messages.iter().enumerate() {
        let mut octets = message.octets(0);
        octets.resize(octets.len().next_multiple_of(8), 0);
        let next = if at + 1 < messages.len() {
            u32::try_from(octets.len()).unwrap()
        } else {
            0
        };
        octets[20..24].copy_from_slice(&next.to_le_bytes());
        all.extend(octets);
    }
    framed(&all)
}

/// A READ or WRITE of so many octets, with them where they belong.
fn io(command: u16, id: u64, status: Option<u32>, octets: u32) -> Vec<u8> {
    let mut body = vec![49, 0, 0x50, 0];
    body.extend(octets.to_le_bytes());
    body.resize(16, 0);
    if (command == 8) == status.is_some() {
        body.resize(16 + octets as usize, 0xEE);
    } else {
        body.resize(49, 0);
    }
    two(&Two {
        command,
        id,
        status,
        body,
        ..ASK
    })
}

/// An SMB1 message.
fn one(command: u8, mid: u16, status: Option<u32>, words: &[u8], data: &[u8]) -> Vec<u8> {
    let mut all = b"\xFFSMB".to_vec();
    all.push(command);
    all.extend(status.unwrap_or(0).to_le_bytes());
    all.push(if status.is_some() { 0x80 } else { 0 });
    all.extend(0xC000_u16.to_le_bytes());
    all.resize(26, 0);
    all.extend(7_u16.to_le_bytes());
    all.extend([0; 2]);
    all.extend(mid.to_le_bytes());
    all.push(u8::try_from(words.len() / 2).unwrap());
    all.extend(words);
    all.extend(u16::try_from(data.len()).unwrap().to_le_bytes());
    all.extend(data);
    framed(&all)
}

/// What is sent, by whom, at how many milliseconds; `Err` is a gap.
type Sent = (Direction, i64, Result<Vec<u8>, u64>);

/// Plays a conversation; each piece is cut into parts of at most `part` octets. All parts of one piece carry its time.
fn play(sent: &[Sent], part: usize) -> DialogRecord {
    let mut dialog = Box::new(SmbDialog::default());
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

/// Command, count, milliseconds in all, unanswered.
fn times(record: &DialogRecord) -> Vec<(&str, u64, u128, u64)> {
    let commands = &record.smb.as_ref().unwrap().commands;
    commands
        .iter()
        .map(|(name, c)| {
            (
                name.as_str(),
                c.times.count,
                c.times.sum.as_millis(),
                c.unanswered,
            )
        })
        .collect()
}

fn says(record: &DialogRecord, text: &str) -> bool {
    record.said.iter().any(|said| said.text == text)
}

/// The start of a session of SMB 3.1.1, some work, and what else may come.
fn session() -> Vec<Sent> {
    let mut offer = vec![36, 0, 2, 0];
    offer.resize(36, 0);
    offer.extend([0x02, 0x02, 0x11, 0x03]);
    let mut agreed = vec![65, 0, 1, 0, 0x11, 0x03, 1, 0];
    agreed.resize(24, 0);
    agreed.extend(8_u32.to_le_bytes());
    agreed.extend([0, 0, 0x10, 0].repeat(3));
    agreed.resize(56, 0);
    let token = b"\x60\x10\x06\x06\x2b\x06\x01\x05\x05\x02\x00\x00\x00\x00\x00\x00";
    agreed.extend([128, 0, 16, 0]);
    agreed.extend(144_u32.to_le_bytes());
    agreed.extend(token);
    // Encryption: one cipher, AES-128-GCM.
    agreed.extend([2, 0, 4, 0, 0, 0, 0, 0, 1, 0, 2, 0]);
    let token = challenge_token();
    let mut logon = vec![9, 0, 0, 0, 72, 0];
    logon.extend(u16::try_from(token.len()).unwrap().to_le_bytes());
    logon.extend(token);
    let read = |id, status| Two {
        command: 8,
        id,
        status,
        body: io(8, 0, None, 4096)[68..].to_vec(),
        ..ASK
    };
    vec![
        (C2S, 0, Ok(two(&Two { body: offer, ..ASK }))),
        (
            S2C,
            10,
            Ok(two(&Two {
                status: Some(0),
                body: agreed,
                ..ASK
            })),
        ),
        (
            C2S,
            20,
            Ok(two(&Two {
                command: 1,
                id: 1,
                ..ASK
            })),
        ),
        (
            S2C,
            25,
            Ok(two(&Two {
                command: 1,
                id: 1,
                status: Some(0xC000_0016),
                body: logon,
                ..ASK
            })),
        ),
        // A compound: open and read; the open fails.
        (
            C2S,
            30,
            Ok(compound(&[
                Two {
                    command: 5,
                    id: 2,
                    ..ASK
                },
                read(3, None),
            ])),
        ),
        (
            S2C,
            37,
            Ok(compound(&[
                Two {
                    command: 5,
                    id: 2,
                    status: Some(0xC000_0034),
                    ..ASK
                },
                Two {
                    command: 8,
                    id: 3,
                    status: Some(0xC000_0034),
                    ..ASK
                },
            ])),
        ),
        // A write that becomes pending, a cancelled wait for changes, a break that nobody asked for.
        (C2S, 100, Ok(io(9, 4, None, 70_000))),
        (
            S2C,
            101,
            Ok(two(&Two {
                command: 9,
                id: 4,
                status: Some(0x103),
                flags: 2,
                ..ASK
            })),
        ),
        (
            C2S,
            110,
            Ok(two(&Two {
                command: 15,
                id: 5,
                ..ASK
            })),
        ),
        (
            S2C,
            120,
            Ok(two(&Two {
                command: 18,
                id: u64::MAX,
                status: Some(0),
                ..ASK
            })),
        ),
        (
            C2S,
            123,
            Ok(two(&Two {
                command: 18,
                id: 6,
                ..ASK
            })),
        ),
        (
            S2C,
            124,
            Ok(two(&Two {
                command: 18,
                id: 6,
                status: Some(0),
                ..ASK
            })),
        ),
        (S2C, 1_100, Ok(io(9, 4, Some(0), 70_000))),
        (
            C2S,
            1_200,
            Ok(two(&Two {
                command: 12,
                id: 5,
                ..ASK
            })),
        ),
        (
            S2C,
            1_203,
            Ok(two(&Two {
                command: 15,
                id: 5,
                status: Some(0xC000_0120),
                flags: 2,
                ..ASK
            })),
        ),
        (C2S, 1_300, Ok(io(8, 7, None, 65_536))),
        (S2C, 1_304, Ok(io(8, 7, Some(0), 65_536))),
    ]
}

#[test]
fn a_session_is_told_alike_in_pieces_of_any_size() {
    for part in [usize::MAX, 1460, 64, 7, 1] {
        let record = play(&session(), part);
        assert_eq!(
            times(&record),
            [
                ("CHANGE_NOTIFY", 1, 1_093, 0),
                ("CREATE", 1, 7, 0),
                ("NEGOTIATE", 1, 10, 0),
                ("OPLOCK_BREAK", 1, 1, 0),
                ("READ", 2, 11, 0),
                ("SESSION_SETUP", 1, 5, 0),
                ("WRITE", 1, 1_000, 0),
            ],
            "in pieces of {part}"
        );
        assert!(says(
            &record,
            "SMB2 NEGOTIATE response, 3.1.1, SPNEGO, AES-128-GCM"
        ));
        assert!(says(
            &record,
            "SMB2 CREATE response STATUS_OBJECT_NAME_NOT_FOUND"
        ));
        assert!(says(
            &record,
            "SMB2 SESSION_SETUP response STATUS_MORE_PROCESSING_REQUIRED, NTLM"
        ));
        assert!(says(&record, "SMB2 OPLOCK_BREAK notification"));
        // A wait for changes is nobody's slowness.
        assert!(record.exchanges.iter().all(|e| e.name != "CHANGE_NOTIFY"));
        assert_eq!(record.exchanges.len(), 7);
        let write = record.exchanges.iter().find(|e| e.name == "WRITE").unwrap();
        assert_eq!(write.acked, Some(Timestamp(100_500_000)));
        let smb = record.smb.unwrap();
        assert_eq!(smb.dialect.as_deref(), Some("3.1.1"));
        assert_eq!(smb.cipher, Some("AES-128-GCM"));
        assert_eq!(smb.server_name.as_deref(), Some("files.example"));
        assert_eq!(smb.server_version, Some((10, 0, 20348)));
        assert_eq!((smb.signing, smb.encrypted), (Some(false), Some(false)));
        assert_eq!(smb.commands["WRITE"].interim, 1);
        assert_eq!(
            smb.commands["READ"].errors["STATUS_OBJECT_NAME_NOT_FOUND"],
            1
        );
        assert_eq!(smb.max_outstanding, 2);
        assert_eq!(
            (smb.breaks, smb.break_waits.max),
            (1, Duration::from_millis(3))
        );
        assert_eq!(smb.io_size, Some((2, 67_768.0)));
        assert_eq!((smb.places_lost, smb.units_omitted), (0, 0));
    }
}

#[test]
fn every_prefix_is_read_without_harm() {
    let sent = session();
    let whole: usize = sent.iter().map(|s| s.2.as_ref().unwrap().len()).sum();
    let mut last = 0;
    for end in (0..whole).step_by(if whole > 50_000 { 97 } else { 1 }) {
        let mut left = end;
        let mut cut = sent.clone();
        for (_, _, octets) in &mut cut {
            let octets = octets.as_mut().unwrap();
            let keep = octets.len().min(left);
            octets.truncate(keep);
            left -= keep;
        }
        let record = play(&cut, 512);
        let answered = record.smb.map_or(0, |smb| {
            smb.commands.values().map(|c| c.times.count).sum::<u64>()
        });
        assert!(answered >= last, "fewer answers with {end} octets");
        last = answered;
    }
    assert!(last >= 7);
}

#[test]
fn the_place_is_found_again() {
    let read = |id, ms| (C2S, ms, Ok(io(8, id, None, 60_000)));
    let answer = |id, ms| (S2C, ms, Ok(io(8, id, Some(0), 60_000)));
    let head = |id, ms, keep: usize| (S2C, ms, Ok(io(8, id, Some(0), 60_000)[..keep].to_vec()));
    let tail = |ms, from: usize| (S2C, ms, Ok(io(8, 0, Some(0), 60_000)[from..].to_vec()));
    let len = io(8, 0, Some(0), 60_000).len();
    for (name, sent, want) in [
        (
            "a hole in what is read changes nothing",
            vec![
                read(1, 0),
                head(1, 5, 3000),
                (S2C, 6, Err(50_000)),
                tail(7, 53_000),
                read(2, 10),
                answer(2, 12),
            ],
            (2, 9),
        ),
        (
            "a hole up to the end",
            vec![
                read(1, 0),
                head(1, 5, 3000),
                (S2C, 6, Err(len as u64 - 3000)),
                read(2, 10),
                answer(2, 12),
            ],
            (2, 7),
        ),
        (
            "a hole over the end into the next",
            vec![
                read(1, 0),
                read(2, 1),
                head(1, 5, 3000),
                (S2C, 6, Err(len as u64)),
                tail(7, 3000),
                read(3, 10),
                answer(3, 12),
            ],
            (2, 7),
        ),
        (
            "mid-stream",
            vec![(S2C, 0, Ok(vec![0xEE; 5000])), read(1, 1), answer(1, 4)],
            (1, 3),
        ),
        (
            "garbage between",
            vec![
                read(1, 0),
                answer(1, 2),
                // Two marks, and no length with them that a message could have.
                (S2C, 3, Ok(b"\0\0\0\x09SMBSMB\0\0\0\x01\xFESMB\0".to_vec())),
                read(2, 4),
                answer(2, 8),
            ],
            (2, 6),
        ),
        (
            "a hole in a prefix",
            vec![
                read(1, 0),
                head(1, 5, 2),
                (S2C, 6, Err(200)),
                tail(6, 202),
                read(2, 10),
                answer(2, 12),
            ],
            (1, 2),
        ),
    ] {
        for part in [usize::MAX, 1000, 3] {
            let record = play(&sent, part);
            let reads = &record.smb.as_ref().unwrap().commands["READ"];
            let got = (reads.times.count, reads.times.sum.as_millis());
            assert_eq!(got, want, "{name}, in pieces of {part}");
        }
    }
}

#[test]
fn smb1_is_paired_by_process_and_multiplex_id() {
    let mut words = vec![5, 0, 3, 50, 0, 1, 0];
    words.resize(19, 0);
    words.extend(0x8000_0000_u32.to_le_bytes());
    words.resize(34, 0);
    let mut guid_and_token = vec![0; 16];
    guid_and_token.extend(b"\x60\x08\x06\x06\x2b\x06\x01\x05\x05\x02");
    let dialects = b"\x02A\0\x02B\0\x02C\0\x02D\0\x02E\0\x02NT LM 0.12\0";
    // TRANS2_FIND_FIRST2, whose parameters come in two parts.
    let mut find = vec![20, 0, 0, 0];
    find.resize(18, 0);
    find.extend([10, 0]);
    find.resize(26, 0);
    find.extend([1, 0, 1, 0]);
    let record = play(
        &[
            (C2S, 0, Ok(one(0x72, 1, None, &[], dialects))),
            (S2C, 4, Ok(one(0x72, 1, Some(0), &words, &guid_and_token))),
            (C2S, 10, Ok(one(0x32, 2, None, &find, b""))),
            (S2C, 11, Ok(one(0x32, 2, Some(0), &[], b""))),
            (C2S, 12, Ok(one(0x33, 2, None, &[0; 18], b""))),
            (S2C, 15, Ok(one(0x32, 2, Some(0x0002_0001), &[], b""))),
            (C2S, 20, Ok(one(0x04, 3, None, &[0; 6], b""))),
            (C2S, 21, Ok(one(0xA4, 3, None, &[], b""))),
            (S2C, 22, Ok(one(0x24, 0xFFFF, None, &[0; 16], b""))),
        ],
        5,
    );
    assert_eq!(
        times(&record),
        [
            ("CLOSE", 0, 0, 1),
            ("NEGOTIATE", 1, 4, 0),
            ("TRANS2_FIND_FIRST2", 1, 3, 0),
        ]
    );
    assert!(says(
        &record,
        "SMB NEGOTIATE response, NT LM 0.12 (#5), SPNEGO"
    ));
    let smb = record.smb.unwrap();
    assert_eq!(smb.dialect.as_deref(), Some("NT LM 0.12"));
    assert_eq!(
        smb.commands["TRANS2_FIND_FIRST2"].errors["ERRDOS/ERRbadfile"],
        1
    );
    assert_eq!(smb.breaks, 1);
}

#[test]
fn a_client_without_credit_is_starved() {
    let write = |id, ms| (C2S, ms, Ok(io(9, id, None, 1000)));
    let answer = |id, ms, credits| {
        let mut octets = io(9, id, Some(0), 1000);
        octets[4 + 14] = credits;
        (S2C, ms, Ok(octets))
    };
    let mut sent = session()[..2].to_vec();
    sent.extend([
        write(1, 20),
        // Nothing left from here to 120, and the next comes at once.
        answer(1, 120, 1),
        write(2, 121),
        answer(2, 221, 1),
        // The client takes its time: not starved.
        write(3, 900),
        answer(3, 905, 9),
    ]);
    let smb = play(&sent, usize::MAX).smb.unwrap();
    assert_eq!(smb.credit_starved, Duration::from_millis(100));
    assert_eq!(smb.max_credits, Some(9));
}

#[test]
fn encrypted_messages_are_timed_by_their_order() {
    let sealed = || {
        let mut octets = b"\xFDSMB".to_vec();
        octets.resize(36, 0);
        octets.extend(200_u32.to_le_bytes());
        octets.resize(300, 0xAA);
        framed(&octets)
    };
    let mut sent = session()[..2].to_vec();
    sent.extend([
        (C2S, 50, Ok(sealed())),
        (C2S, 51, Ok(sealed())),
        (S2C, 60, Ok(sealed())),
        (S2C, 62, Ok(sealed())),
        (S2C, 70, Ok(sealed())),
    ]);
    for part in [usize::MAX, 11] {
        let record = play(&sent, part);
        assert_eq!(record.exchanges.len(), 3);
        let smb = record.smb.unwrap();
        let times = smb.sealed.unwrap().times;
        assert_eq!((times.count, times.sum.as_millis()), (2, 21));
        assert_eq!((smb.encrypted, smb.max_outstanding), (Some(true), 2));
        assert!(!smb.commands.contains_key("ENCRYPTED"));
    }
}

#[test]
fn lies_are_bounded() {
    // A compound of more elements than anyone sends.
    let chain: Vec<Two> = (0..3_000)
        .map(|id| Two {
            command: 13,
            id,
            ..ASK
        })
        .collect();
    let record = play(&[(C2S, 0, Ok(compound(&chain)))], 1 << 16);
    let smb = record.smb.unwrap();
    assert_eq!(
        smb.commands["ECHO"].unanswered,
        super::walk::MAX_UNITS as u64
    );
    assert_eq!(smb.units_omitted, 1);
    // More requests under way than credits exist.
    let many: Vec<Sent> = (0..10_000)
        .map(|id| {
            (
                C2S,
                0,
                Ok(two(&Two {
                    command: 13,
                    id,
                    ..ASK
                })),
            )
        })
        .collect();
    let smb = play(&many, usize::MAX).smb.unwrap();
    assert_eq!(smb.max_outstanding, super::session::MAX_OUTSTANDING as u64);
    assert_eq!(
        smb.requests_forgotten,
        10_000 - super::session::MAX_OUTSTANDING as u64
    );
    assert_eq!(smb.commands["ECHO"].unanswered, 10_000);
    // An element that begins inside its own header, and a length without end.
    let mut lying = two(&Two {
        command: 13,
        id: 1,
        ..ASK
    });
    lying[4 + 20] = 8;
    let mut endless = two(&Two {
        command: 13,
        id: 2,
        ..ASK
    });
    endless[1] = 0xFF;
    let smb = play(&[(C2S, 0, Ok(lying)), (C2S, 1, Ok(endless))], 9)
        .smb
        .unwrap();
    assert_eq!((smb.commands["ECHO"].unanswered, smb.units_omitted), (1, 1));
    // Any octet of a good conversation turned into another.
    let sent = session();
    for (number, (_, _, octets)) in sent.iter().enumerate() {
        let len = octets.as_ref().unwrap().len().min(160);
        for at in 0..len {
            for value in [0, 0x7F, 0xFF] {
                let mut twisted = sent.clone();
                twisted[number].2.as_mut().unwrap()[at] = value;
                let record = play(&twisted, usize::MAX);
                assert!(record.said.len() <= sent.len() + 2);
            }
        }
    }
}

#[test]
fn what_is_no_smb_is_let_go() {
    let record = play(&[(C2S, 0, Ok(b"GET / HTTP/1.1\r\n".repeat(9)))], 10);
    assert_eq!(
        (record.application, record.smb.is_none()),
        ("unknown", true)
    );
}

/// Whether the READ of that tree, 900 ms long, counts as the server's slowness.
fn slow_read(tree: u32, before: &[Sent]) -> bool {
    let read = |status: Option<u32>| {
        let body = vec![0; 17];
        Ok(two(&Two {
            command: 8,
            id: 90,
            status,
            tree,
            body,
            ..ASK
        }))
    };
    let mut sent = before.to_vec();
    sent.push((C2S, 1_000, read(None)));
    sent.push((S2C, 1_900, read(Some(0))));
    let record = play(&sent, 512);
    let smb = record.smb.unwrap();
    assert_eq!(smb.commands["READ"].times.max, Duration::from_millis(900));
    record.exchanges.iter().any(|e| e.name == "READ")
}

#[test]
fn reads_of_pipes_wait_for_services() {
    let share = |tree, kind: u8, ms| -> [Sent; 2] {
        let id = u64::from(kind);
        let (command, body) = (3, vec![16, 0, kind, 0, 0, 0, 0, 0]);
        let ask = Two {
            command,
            id,
            body: vec![9, 0, 0, 0, 72, 0, 0, 0],
            ..ASK
        };
        let status = Some(0);
        let tell = Two {
            command,
            id,
            status,
            tree,
            body,
            ..ASK
        };
        [(C2S, ms, Ok(two(&ask))), (S2C, ms + 1, Ok(two(&tell)))]
    };
    let open = |tree, name: &str| -> [Sent; 1] {
        let mut body = vec![0; 56];
        let wide: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        body[44..46].copy_from_slice(&120_u16.to_le_bytes());
        body[46..48].copy_from_slice(&u16::try_from(wide.len()).unwrap().to_le_bytes());
        body.extend(wide);
        let ask = Two {
            command: 5,
            id: 50,
            tree,
            body,
            ..ASK
        };
        [(C2S, 500, Ok(two(&ask)))]
    };
    for (name, before, want) in [
        ("a file", share(7, 1, 0).to_vec(), true),
        ("a pipe", share(7, 2, 0).to_vec(), false),
        ("a pipe of another tree", share(8, 2, 0).to_vec(), true),
        (
            "the tree id used again, for files",
            [share(7, 2, 0), share(7, 1, 100)].concat(),
            true,
        ),
        ("in mid-stream", open(7, "srvsvc").to_vec(), false),
        ("in mid-stream, of a file", open(7, "a.txt").to_vec(), true),
        (
            "a file with the name of a pipe",
            [&share(7, 1, 0)[..], &open(7, "spoolss")].concat(),
            true,
        ),
    ] {
        assert_eq!(slow_read(7, &before), want, "{name}");
    }
    // READ_ANDX of SMB1 on a tree whose service is IPC; the tree id of `one` is 0.
    for (service, want) in [(&b"IPC\0"[..], false), (b"A:\0", true)] {
        let read = |status| one(0x2E, 5, status, &[0xFF; 24], b"");
        let record = play(
            &[
                (
                    C2S,
                    0,
                    Ok(one(0x75, 4, None, &[0xFF, 0, 0, 0, 0, 0, 0, 0], b"")),
                ),
                (
                    S2C,
                    1,
                    Ok(one(0x75, 4, Some(0), &[0xFF, 0, 0, 0, 0, 0], service)),
                ),
                (C2S, 10, Ok(read(None))),
                (S2C, 900, Ok(read(Some(0)))),
            ],
            512,
        );
        let seen = record.exchanges.iter().any(|e| e.name == "READ_ANDX");
        assert_eq!(seen, want, "{service:?}");
    }
}

#[test]
fn a_sealed_cancel_shifts_nothing() {
    let sealed = |octets: u32| {
        let mut all = b"\xFDSMB".to_vec();
        all.resize(36, 0);
        all.extend(octets.to_le_bytes());
        all.resize(52 + octets as usize, 0xAA);
        framed(&all)
    };
    // A wait for changes with its interim answer, cancelled; then work.
    let record = play(
        &[
            (C2S, 0, Ok(sealed(96))),
            (S2C, 5, Ok(sealed(73))),
            (C2S, 1_000, Ok(sealed(68))),
            (C2S, 9_000, Ok(sealed(120))),
            (S2C, 9_010, Ok(sealed(180))),
            (C2S, 20_000, Ok(sealed(113))),
            (S2C, 20_020, Ok(sealed(900))),
        ],
        512,
    );
    let smb = record.smb.unwrap();
    let sealed = smb.sealed.unwrap();
    assert_eq!(sealed.times.count, 3);
    assert_eq!(sealed.times.max, Duration::from_millis(20));
    assert_eq!(sealed.unanswered, 0);
    assert_eq!(smb.max_outstanding, 1);
}
