//! Tests of SMTP: lines and codes, whole dialogs, gaps, TLS, and every prefix of good ones.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::records::{self, Hop};
use crate::net::Direction::{ClientToServer as C, ServerToClient as S};
use crate::net::{Direction, FrameNo, Timestamp};
use crate::proto::{
    Dialog, DialogRecord, Interest, Piece, Ports, SmtpPhase, SmtpRecord, dialog,
    dialog_showing_addresses,
};

/// What happens on a flow, one millisecond after the other unless told otherwise.
#[derive(Clone, Debug)]
enum Step {
    Say(Direction, Vec<u8>),
    Gap(Direction, u64),
    /// All octets of that direction so far are acknowledged.
    Ack(Direction),
    Wait(u64),
}

fn say(direction: Direction, text: &str) -> Step {
    Step::Say(direction, text.as_bytes().to_vec())
}

const MS: i64 = 1_000_000;

/// Plays the steps; `split` cuts each piece in two at that octet of the whole.
fn play(mut flow: Box<dyn Dialog>, steps: &[Step], split: Option<u64>) -> DialogRecord {
    let (mut offsets, mut now, mut frame, mut whole) = ([0_u64; 2], 0_i64, 0, 0_u64);
    flow.connected(FrameNo(0), Timestamp(0));
    for step in steps {
        if !matches!(step, Step::Wait(_)) {
            now += MS;
        }
        match step {
            Step::Say(direction, octets) => {
                frame += 1;
                let cut = split
                    .and_then(|at| at.checked_sub(whole))
                    .map_or(0, |at| usize::try_from(at).unwrap().min(octets.len()));
                let mut offset = offsets[direction.index()];
                for part in [&octets[..cut], &octets[cut..]] {
                    if part.is_empty() {
                        continue;
                    }
                    let _: Interest = flow.piece(Piece {
                        direction: *direction,
                        offset,
                        frame: FrameNo(frame),
                        sent: Timestamp(now),
                        readable: Timestamp(now),
                        octets: Ok(part),
                    });
                    offset += part.len() as u64;
                }
                offsets[direction.index()] = offset;
                whole += octets.len() as u64;
            }
            Step::Gap(direction, octets) => {
                let offset = offsets[direction.index()];
                flow.piece(Piece {
                    direction: *direction,
                    offset,
                    frame: FrameNo(frame + 1),
                    sent: Timestamp(now),
                    readable: Timestamp(now),
                    octets: Err(*octets),
                });
                offsets[direction.index()] += octets;
            }
            Step::Ack(direction) => {
                flow.acked(*direction, offsets[direction.index()], Timestamp(now));
            }
            Step::Wait(ms) => now += i64::try_from(*ms).unwrap() * MS,
        }
    }
    flow.finish(Timestamp(now))
}

fn read(steps: &[Step]) -> DialogRecord {
    play(dialog(&Ports::default(), 40_000, 25), steps, None)
}

fn smtp(record: &DialogRecord) -> &SmtpRecord {
    record.smtp.as_deref().unwrap()
}

fn counts(record: &DialogRecord) -> String {
    let smtp = smtp(record);
    let commands: Vec<String> = smtp
        .commands
        .iter()
        .map(|(k, n)| format!("{k} {n}"))
        .collect();
    let replies: Vec<String> = smtp
        .replies
        .iter()
        .map(|(k, n)| format!("{k} {n}"))
        .collect();
    format!("{} / {}", commands.join(", "), replies.join(", "))
}

/// Verb and code of each step.
fn pairs(record: &DialogRecord) -> String {
    let steps = smtp(record).steps.iter();
    let pairs: Vec<String> = steps
        .map(|step| match step.code {
            Some(code) => format!("{}={code}", step.verb),
            None => format!("{}=", step.verb),
        })
        .collect();
    pairs.join(" ")
}

fn good() -> Vec<Step> {
    vec![
        say(S, "220 mail.example ESMTP\r\n"),
        say(C, "EHLO client.example\r\n"),
        say(
            S,
            "250-mail.example Hello [192.0.2.1]\r\n250-PIPELINING\r\n250-SIZE 35882577\r\n250 AUTH LOGIN\r\n",
        ),
        say(C, "AUTH LOGIN\r\n"),
        say(S, "334 VXNlcm5hbWU6\r\n"),
        say(C, "c2VjcmV0dXNlcg==\r\n"),
        say(S, "334 UGFzc3dvcmQ6\r\n"),
        say(C, "c2VjcmV0cGFzcw==\r\n"),
        say(S, "235 2.7.0 ok\r\n"),
        say(
            C,
            "MAIL FROM:<joe@client.example> SIZE=40\r\nRCPT TO:<ann@mail.example>\r\nRCPT TO:<bob@mail.example>\r\nDATA\r\n",
        ),
        say(S, "250 2.1.0 ok\r\n250 2.1.5 ok\r\n"),
        say(
            S,
            "550 5.1.1 <bob@mail.example>: no such user here bob@mail.example\r\n354 go ahead\r\n",
        ),
        say(
            C,
            "Received: from a.example (a.example [192.0.2.9]) by b.example with ESMTP\r\n\tfor <ann@mail.example>; Sat, 21 Nov 2026 10:00:05 +0100\r\nSubject: x\r\n\r\nthe body\r\n..\r\nQUIT\r\n.\r\n",
        ),
        say(S, "250 2.6.0 queued\r\n"),
        say(C, "QUIT\r\n"),
        say(S, "221 2.0.0 bye\r\n"),
    ]
}

#[test]
fn a_whole_dialog() {
    let record = read(&good());
    assert_eq!(record.application, "smtp");
    assert_eq!(
        counts(&record),
        "AUTH 1, DATA 1, EHLO 1, MAIL 1, QUIT 1, RCPT 2 / 220 1, 221 1, 235 1, 250 4, 334 2, 354 1, 550 1"
    );
    assert_eq!(
        pairs(&record),
        "CONNECT=220 EHLO=250 AUTH=334 AUTH=334 AUTH=235 MAIL=250 RCPT=250 RCPT=550 DATA=354 .=250 QUIT=221"
    );
    let smtp = smtp(&record);
    assert_eq!(
        smtp.capabilities,
        ["PIPELINING", "SIZE 35882577", "AUTH LOGIN"]
    );
    assert_eq!(smtp.client_name.as_deref(), Some("client.example"));
    assert_eq!(smtp.server_name.as_deref(), Some("mail.example"));
    assert!(smtp.authenticated && smtp.orderly);
    assert_eq!(smtp.tls, "none");
    assert_eq!(smtp.last_phase, Some(SmtpPhase::Quit));
    let [message] = smtp.messages.as_slice() else {
        panic!("one message")
    };
    let body = match &good()[12] {
        Step::Say(_, octets) => octets.len() as u64 - 3,
        _ => 0,
    };
    assert_eq!((message.octets, message.recipients), (body, 1));
    assert_eq!(message.accepted, Some(true));
    assert_eq!(message.length, Duration::from_millis(4));
    assert_eq!(
        message.hops,
        [Hop {
            from: Some("a.example".into()),
            by: Some("b.example".into()),
            time: Some(1_795_251_605),
        }]
    );
    let [refusal] = smtp.refusals.as_slice() else {
        panic!("one refusal")
    };
    assert_eq!((refusal.code, refusal.enhanced), (550, Some([5, 1, 1])));
    assert_eq!(refusal.text, "5.1.1 <address>: no such user here <address>");
    assert_eq!(refusal.verb, "RCPT");
}

#[test]
fn nothing_secret_is_kept() {
    let text = format!("{:?}", read(&good()));
    for secret in ["c2Vj", "VXNl", "joe", "ann@", "bob", "the body"] {
        assert!(!text.contains(secret), "{secret}");
    }
    let shown = play(
        dialog_showing_addresses(&Ports::default(), 40_000, 25),
        &good(),
        None,
    );
    let text = format!("{shown:?}");
    assert!(text.contains("ann@mail.example"));
    assert!(!text.contains("c2Vj") && !text.contains("the body"));
}

/// The same octets give the same record however they are cut.
#[test]
fn any_split_gives_the_same() {
    for (name, steps) in [("clear", good()), ("chunks", chunks()), ("tls", starttls())] {
        let want = format!("{:?}", read(&steps));
        let octets: usize = steps
            .iter()
            .map(|step| match step {
                Step::Say(_, octets) => octets.len(),
                _ => 0,
            })
            .sum();
        for split in 0..octets as u64 {
            let flow = dialog(&Ports::default(), 40_000, 25);
            let got = format!("{:?}", play(flow, &steps, Some(split)));
            assert_eq!(got, want, "{name} split at {split}");
        }
    }
}

/// Every prefix, and every dialog with one piece missing, is read without a panic, and never says more than the whole.
#[test]
fn every_prefix_and_every_hole() {
    for steps in [good(), chunks(), starttls()] {
        let whole = smtp(&read(&steps)).steps.len();
        for end in 0..steps.len() {
            let mut cut = steps[..end].to_vec();
            if let Step::Say(direction, octets) = &steps[end] {
                for length in 0..octets.len() {
                    cut.push(Step::Say(*direction, octets[..length].to_vec()));
                    let record = read(&cut);
                    assert!(record.smtp.is_none_or(|smtp| smtp.steps.len() <= whole));
                    cut.pop();
                }
                let mut holed = steps.clone();
                holed[end] = Step::Gap(*direction, octets.len() as u64);
                let record = read(&holed);
                assert!(smtp(&record).steps.len() <= whole + 1);
                holed.remove(end);
                read(&holed);
            }
        }
    }
}

fn chunks() -> Vec<Step> {
    vec![
        say(S, "220 mail.example ESMTP\r\n"),
        say(C, "EHLO client.example\r\n"),
        say(S, "250-mail.example\r\n250-PIPELINING\r\n250 CHUNKING\r\n"),
        say(
            C,
            "MAIL FROM:<>\r\nRCPT TO:<a@b>\r\nBDAT 10\r\n0123456789BDAT 6 LAST\r\nQUIT\r\n",
        ),
        say(S, "250 ok\r\n250 ok\r\n250 ok\r\n250 ok\r\n"),
        say(
            C,
            "MAIL FROM:<c@d>\r\nRCPT TO:<a@b>\r\nBDAT 0 LAST\r\nRSET\r\nQUIT\r\n",
        ),
        say(
            S,
            "250 ok\r\n250 ok\r\n554 5.6.0 empty\r\n250 ok\r\n221 bye\r\n",
        ),
    ]
}

#[test]
fn chunks_hold_anything() {
    let record = read(&chunks());
    assert_eq!(
        counts(&record),
        "BDAT 3, EHLO 1, MAIL 2, QUIT 1, RCPT 2, RSET 1 / 220 1, 221 1, 250 8, 554 1"
    );
    let messages = smtp(&record).messages.iter();
    let messages: Vec<_> = messages
        .map(|one| (one.octets, one.recipients, one.accepted))
        .collect();
    assert_eq!(messages, [(16, 1, Some(true)), (0, 1, Some(false))]);
}

fn hello(kind: u8, rest: &[u8]) -> Vec<u8> {
    let length = u8::try_from(rest.len() + 4).unwrap();
    let mut record = vec![22, 3, 1, 0, length, kind, 0, 0, length - 4];
    record.extend_from_slice(rest);
    record
}

fn record(kind: u8, octets: usize) -> Vec<u8> {
    let [high, low] = u16::try_from(octets).unwrap().to_be_bytes();
    let mut record = vec![kind, 3, 3, high, low];
    record.resize(5 + octets, 0xaa);
    record
}

fn starttls() -> Vec<Step> {
    let mut client_hello = vec![3, 3];
    client_hello.extend([7; 32]);
    client_hello.extend([0, 0, 2, 0xc0, 0x2f, 1, 0]);
    // Server name: 17 octets of extension, 4 before it.
    client_hello.extend([0, 21, 0, 0, 0, 17, 0, 15, 0, 0, 12]);
    client_hello.extend(b"mail.example");
    let mut server_hello = vec![3, 3];
    server_hello.extend([9; 32]);
    server_hello.extend([0, 0xc0, 0x2f, 0, 0, 0]);
    let mut finished = record(20, 1);
    finished.extend(record(22, 40));
    let mut mail = record(23, 9_000);
    mail.extend(record(23, 900));
    vec![
        say(S, "220 mail.example ESMTP\r\n"),
        say(C, "EHLO client.example\r\n"),
        say(S, "250-mail.example\r\n250 STARTTLS\r\n"),
        say(C, "STARTTLS\r\n"),
        say(S, "220 2.0.0 go ahead\r\n"),
        Step::Say(C, hello(1, &client_hello)),
        Step::Say(S, hello(2, &server_hello)),
        Step::Say(C, finished.clone()),
        Step::Say(S, finished),
        Step::Say(C, record(23, 40)),
        Step::Say(S, record(23, 200)),
        Step::Say(C, record(23, 60)),
        Step::Say(S, record(23, 40)),
        Step::Say(C, record(23, 30)),
        Step::Say(S, record(23, 40)),
        Step::Say(C, mail),
        Step::Wait(500),
        Step::Say(S, record(23, 60)),
        Step::Say(C, record(23, 30)),
        Step::Say(S, record(23, 40)),
    ]
}

#[test]
fn the_outline_of_tls() {
    let record = read(&starttls());
    let smtp = smtp(&record);
    assert_eq!(smtp.tls, "starttls");
    let steps: Vec<_> = smtp
        .steps
        .iter()
        .map(|step| (step.verb.as_ref(), step.inferred))
        .collect();
    assert_eq!(
        steps,
        [
            ("CONNECT", false),
            ("EHLO", false),
            ("STARTTLS", false),
            ("TLS", true),
            ("EHLO", true),
            ("DATA", true),
            (".", true),
        ]
    );
    assert_eq!(
        smtp.steps[3].text,
        "TLS 1.2, cipher 0xc02f, server name mail.example"
    );
    let tls = smtp.phases.iter().find(|one| one.0 == SmtpPhase::Tls);
    let sum = tls.map(|(_, stats, _)| (stats.count, stats.sum));
    // STARTTLS to its reply, and the first hello to the last Finished: what lies between is the client's own time.
    assert_eq!(sum, Some((2, Duration::from_millis(1 + 3))));
    let end = smtp.steps.last().unwrap();
    let waited = end.replied.unwrap().since(end.sent).unwrap();
    assert_eq!(waited, Duration::from_millis(501));
}

#[test]
fn finds_its_place_again() {
    let start = || {
        vec![
            say(S, "220 mail.example ESMTP\r\n"),
            say(C, "EHLO c.example\r\n"),
            say(S, "250 mail.example\r\n"),
        ]
    };
    let with = |more: Vec<Step>| {
        let mut steps = start();
        steps.extend(more);
        steps
    };
    for (name, steps, want) in [
        (
            "reply lost",
            with(vec![
                say(C, "MAIL FROM:<a@b>\r\n"),
                Step::Gap(S, 8),
                say(C, "RCPT TO:<a@b>\r\n"),
                say(S, "250 ok\r\n"),
                say(C, "QUIT\r\n"),
                say(S, "221 bye\r\n"),
            ]),
            "CONNECT=220 EHLO=250 MAIL= RCPT=250 QUIT=221",
        ),
        (
            "command lost",
            with(vec![
                Step::Gap(C, 17),
                say(S, "250 ok\r\n"),
                say(C, "RCPT TO:<a@b>\r\n"),
                say(S, "250 ok\r\n"),
            ]),
            "CONNECT=220 EHLO=250 RCPT=250",
        ),
        (
            "go-ahead lost",
            with(vec![
                say(C, "DATA\r\n"),
                Step::Gap(S, 8),
                say(C, "Subject: x\r\n\r\nQUIT\r\n.\r\n"),
                say(S, "250 ok\r\n"),
                say(C, "QUIT\r\n"),
                say(S, "221 bye\r\n"),
            ]),
            "CONNECT=220 EHLO=250 DATA= .=250 QUIT=221",
        ),
        (
            "end of the message lost",
            with(vec![
                say(C, "DATA\r\n"),
                say(S, "354 go\r\n"),
                say(C, "Subject: x\r\n\r\nhello"),
                Step::Gap(C, 100),
                say(S, "250 ok\r\n"),
                say(C, "MAIL FROM:<a@b>\r\n"),
                say(S, "250 ok\r\n"),
            ]),
            "CONNECT=220 EHLO=250 DATA=354 .=250 MAIL=250",
        ),
        (
            "data command lost",
            with(vec![
                Step::Gap(C, 6),
                say(S, "354 go\r\n"),
                say(C, "Subject: x\r\n\r\nMAIL FROM:<a@b>\r\n.\r\n"),
                say(S, "250 ok\r\n"),
            ]),
            "CONNECT=220 EHLO=250 .=250",
        ),
        (
            "start missing, in a message",
            vec![
                say(C, "of the message\r\nMore of it\r\n.\r\n"),
                say(S, "250 2.6.0 queued\r\n"),
                say(C, "MAIL FROM:<a@b>\r\n"),
                say(S, "250 ok\r\n"),
            ],
            ".=250 MAIL=250",
        ),
        (
            "the client speaks first",
            vec![
                say(C, "EHLO c.example\r\n"),
                say(S, "220 mail.example\r\n"),
                say(S, "250 mail.example\r\n"),
            ],
            "CONNECT=220 EHLO=250",
        ),
        (
            "closed at the door",
            vec![say(S, "421 4.3.2 too many connections\r\n")],
            "CONNECT=421",
        ),
        (
            "replies to the message before its end in the capture",
            with(vec![
                say(C, "DATA\r\n"),
                say(S, "354 go\r\n"),
                say(C, "Subject: x\r\n\r\nhello\r\n"),
                say(S, "250 ok\r\n"),
                say(C, ".\r\nQUIT\r\n"),
                say(S, "221 bye\r\n"),
            ]),
            "CONNECT=220 EHLO=250 DATA=354 .=250 QUIT=221",
        ),
        (
            "data refused",
            with(vec![
                say(C, "DATA\r\n"),
                say(S, "503 5.5.1 no recipients\r\n"),
                say(C, "RSET\r\n"),
                say(S, "250 ok\r\n"),
            ]),
            "CONNECT=220 EHLO=250 DATA=503 RSET=250",
        ),
        (
            "one side only",
            vec![
                say(C, "EHLO c.example\r\n"),
                say(C, "MAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\n"),
                say(C, "DATA\r\n"),
                say(C, "Subject: x\r\n\r\nhello\r\n.\r\n"),
                say(C, "QUIT\r\n"),
            ],
            "EHLO= MAIL= RCPT= DATA= .= QUIT=",
        ),
        (
            "an exchange blob is skipped",
            with(vec![
                say(C, "XEXCH50 12 2\r\n"),
                say(S, "354 send it\r\n"),
                say(C, "QUIT\r\nQUIT\r\nQUIT\r\n"),
                say(S, "250 ok\r\n"),
                say(S, "221 bye\r\n"),
            ]),
            "CONNECT=220 EHLO=250 XEXCH50=354 XEXCH50=250 QUIT=221",
        ),
    ] {
        assert_eq!(pairs(&read(&steps)), want, "{name}");
    }
}

/// Where the greeting was missed, the ends may be taken for each other.
#[test]
fn the_ends_may_be_swapped() {
    let swapped: Vec<Step> = good()
        .into_iter()
        .map(|step| match step {
            Step::Say(direction, octets) => Step::Say(direction.reverse(), octets),
            step => step,
        })
        .collect();
    let flow = dialog(&Ports::default(), 25, 40_000);
    assert_eq!(pairs(&play(flow, &swapped, None)), pairs(&read(&good())));
}

#[test]
fn time_is_given_to_network_server_and_client() {
    let record = read(&[
        Step::Wait(99),
        say(S, "220 mail.example ESMTP\r\n"),
        Step::Wait(49),
        say(C, "EHLO c.example\r\n"),
        Step::Wait(9),
        Step::Ack(C),
        Step::Wait(29),
        say(S, "250 mail.example\r\n"),
        Step::Ack(S),
        Step::Wait(3),
        say(C, "QUIT\r\n"),
        Step::Wait(19),
        say(S, "221 bye\r\n"),
    ]);
    let ms = Duration::from_millis;
    let phases: Vec<_> = smtp(&record)
        .phases
        .iter()
        .map(|(phase, stats, share)| {
            (
                *phase,
                stats.sum,
                share.map(|share| (share * 100.0).round()),
            )
        })
        .collect();
    assert_eq!(
        phases,
        [
            // No ACK of its own: the least that one took stands for it.
            (SmtpPhase::Greeting, ms(100), Some(10.0)),
            (SmtpPhase::Ehlo, ms(40), Some(25.0)),
            (SmtpPhase::Quit, ms(20), Some(50.0)),
            // 50 ms without an ACK, 5 ms with one after 1 ms.
            (SmtpPhase::Client, ms(55), Some(4.0)),
        ]
    );
}

#[test]
fn limits_hold() {
    let mut steps = vec![say(S, "220 mail.example ESMTP\r\n")];
    for _ in 0..6_000 {
        steps.push(say(C, "NOOP\r\n"));
        steps.push(say(S, "450 4.7.1 later\r\n"));
    }
    let record = read(&steps);
    let smtp = smtp(&record);
    assert_eq!(smtp.commands["NOOP"], 6_000);
    assert_eq!(smtp.refusals.len(), 1_000);
    assert!(smtp.steps.len() <= 5_001);
    assert_eq!(smtp.omitted, 5_000 + 1_000);
    assert_eq!(record.said.len(), 400);

    let endless = "x".repeat(100_000);
    let record = read(&[
        say(S, "220 mail.example ESMTP\r\n"),
        say(C, &endless),
        say(C, &endless),
    ]);
    assert_eq!(pairs(&record), "CONNECT=220");
}

#[test]
fn recognised_by_content_and_port() {
    for (name, port, steps, want) in [
        ("smtp anywhere", 9_999, good(), "smtp"),
        ("smtp by port", 25, vec![say(S, "garbage\r\n")], "smtp"),
        (
            "http on the port of smtp",
            25,
            vec![say(C, "GET / HTTP/1.1\r\n")],
            "http",
        ),
        (
            "ftp",
            21,
            vec![
                say(S, "220 ready\r\n"),
                say(C, "USER x\r\n"),
                say(S, "331 password\r\n"),
            ],
            "ftp",
        ),
        (
            "smtp that greets like ftp",
            26,
            vec![
                say(S, "220 ready\r\n"),
                say(C, "EHLO x\r\n"),
                say(S, "250 x\r\n"),
            ],
            "smtp",
        ),
        (
            "neither",
            4_000,
            vec![say(C, "\u{1}\u{2}\u{3}\u{4}"), say(S, "zzzzzzzz")],
            "unknown",
        ),
        ("nothing said", 4_000, vec![], "unknown"),
        ("nothing said to a mail server", 25, vec![], "smtp"),
        ("tls", 443, vec![Step::Say(C, hello(1, &[3; 40]))], "tls"),
        (
            "implicit tls",
            465,
            vec![Step::Say(C, hello(1, &[3; 40]))],
            "smtp",
        ),
    ] {
        let record = play(dialog(&Ports::default(), 40_000, port), &steps, None);
        assert_eq!(record.application, want, "{name}");
    }
}

#[test]
fn turns_of_what_is_not_read() {
    let record = play(
        dialog(&Ports::default(), 40_000, 80),
        &[
            say(C, "GET / HTTP/1.1\r\n"),
            say(C, "\r\n"),
            Step::Ack(C),
            Step::Wait(700),
            say(S, "HTTP/1.1 200 OK\r\n\r\n"),
            say(C, "POST / HTTP/1.1\r\n\r\n"),
        ],
        None,
    );
    let [first, second] = record.exchanges.as_slice() else {
        panic!("two exchanges: {:?}", record.exchanges)
    };
    assert_eq!(
        (first.name.as_ref(), first.request_frame),
        ("GET", FrameNo(2))
    );
    assert_eq!(first.requested, Timestamp(2 * MS));
    assert_eq!(first.acked, Some(Timestamp(3 * MS)));
    assert_eq!(first.answered, Some(Timestamp(704 * MS)));
    assert_eq!((second.name.as_ref(), second.answered), ("POST", None));
}

#[test]
fn lines() {
    for (line, verb, argument) in [
        ("mail from:<a@b>", "MAIL", "from:<a@b>"),
        ("Quit", "QUIT", ""),
        ("X-EXPS NTLM", "X-EXPS", "NTLM"),
        ("XFOO bar", "?", "bar"),
        ("SECRET", "?", ""),
        ("NOOP  x", "NOOP", "x"),
    ] {
        let command = records::command(line.as_bytes()).unwrap();
        assert_eq!(command.verb, verb, "{line}");
        assert_eq!(command.argument, argument.as_bytes(), "{line}");
    }
    for line in ["", " QUIT", "1QUIT", "=", "c2Vj=="] {
        assert_eq!(records::command(line.as_bytes()), None, "{line}");
    }
    for (argument, want) in [
        ("10", Some((10, false))),
        ("86 LAST", Some((86, true))),
        ("86 last", Some((86, true))),
        ("86LAST", None),
        ("", None),
        ("99999999999999999999999", None),
        ("-1", None),
    ] {
        assert_eq!(records::bdat(argument.as_bytes()), want, "{argument}");
    }
    for (text, want) in [
        ("2.1.0 ok", Some([2, 1, 0])),
        ("5.7.513", Some([5, 7, 513])),
        ("3.1.0 x", None),
        ("2.1.0x", None),
        ("2.1", None),
        ("192.0.2.1 x", None),
    ] {
        assert_eq!(records::enhanced(text.as_bytes()), want, "{text}");
    }
}

#[test]
fn reply_lines() {
    let whole = b"250-SIZE 1\r\n";
    for length in 0..whole.len() {
        assert!(
            matches!(
                records::reply_line(&whole[..length]),
                Err(nom::Err::Incomplete(_))
            ),
            "{length}"
        );
    }
    for (line, want) in [
        ("250-SIZE 1\r\n", Some((250, false, "SIZE 1"))),
        ("250 ok\n", Some((250, true, "ok"))),
        ("250\r\n", Some((250, true, ""))),
        ("25 ok\r\n", None),
        ("250ok\r\n", None),
        ("650 ok\r\n", None),
    ] {
        let got = records::reply_line(line.as_bytes()).ok();
        let got = got.map(|(_, line)| {
            (
                line.code,
                line.is_last,
                std::str::from_utf8(line.text).unwrap(),
            )
        });
        assert_eq!(got, want, "{line:?}");
    }
}

#[test]
fn addresses_are_taken_out() {
    for (text, want) in [
        ("no address", "no address"),
        ("<a@b.example> unknown", "<address> unknown"),
        ("a.b+c@b.example, x@y", "<address>, <address>"),
        ("user \"odd one\"@b.example", "user <address>"),
        ("at [a@[192.0.2.1]] x", "at [<address>] x"),
        ("a@b@c d", "<address> d"),
        ("@", "<address>"),
        (
            "<bounces-ann=victim.example@list.example>: no",
            "<address>: no",
        ),
        ("o'brien@b.example is full", "<address> is full"),
        (r#"user "odd\"x y"@b.example"#, "user <address>"),
        (
            "see http://x/?to=ann%40victim.example",
            "see http:<address>",
        ),
        ("rfc822;ann+40victim.example", "rfc822;<address>"),
        ("ann＠victim.example", "<address>"),
        ("since 10:00 UTC+40 or 40 %", "since 10:00 UTC+40 or 40 %"),
        ("recipient <ann.long.na", "recipient <address>"),
    ] {
        assert_eq!(records::text(text.as_bytes(), false), want, "{text}");
    }
    let long = format!("{} ann.of.the.long.name@victim.example", "x".repeat(250));
    for cut in 0..40 {
        let text = format!("{}{long}", "y ".repeat(cut * 7));
        let told = records::text(text.as_bytes(), false);
        assert!(told.len() <= 256 && !told.contains("ann"), "{told}");
    }
    let bad = [b'\xff'; 300];
    assert!(records::text(&bad, true).len() <= 256);
    for (line, want) in [
        ("MAIL FROM:<a@b> SIZE=3", "MAIL FROM:<address> SIZE=3"),
        ("MAIL FROM:<>", "MAIL FROM:<>"),
        ("RCPT TO:<postmaster>", "RCPT TO:<address>"),
        (
            "RCPT TO: a@b NOTIFY=NEVER",
            "RCPT TO:<address> NOTIFY=NEVER",
        ),
        ("VRFY ann", "VRFY <address>"),
        ("VRFY ann bee", "VRFY <address>"),
        ("RCPT TO <ann>", "RCPT <address>"),
        (
            "RCPT TO:<a@b> ORCPT=rfc822;ann+40b.example NOTIFY=DELAY",
            "RCPT TO:<address> ORCPT=… NOTIFY=DELAY",
        ),
        (
            "MAIL FROM:<a@b> AUTH=ann+40b.example BODY=8BITMIME",
            "MAIL FROM:<address> AUTH=… BODY=8BITMIME",
        ),
        ("Mail from the boss, in secret", "MAIL <address>"),
        ("Send the secret to Bob", "SEND <address>"),
        ("data that nobody may see", "DATA …"),
        ("NOOP sesame", "NOOP …"),
        ("HELP sesame", "HELP …"),
        ("Helo there, a secret", "HELO …"),
        ("BDAT 10 LAST", "BDAT 10 LAST"),
        (
            "BURL imap://ann@b/;URLAUTH=submit+ann:internal:sesame LAST",
            "BURL …",
        ),
        ("XCLIENT LOGIN=ann PASS=sesame", "XCLIENT …"),
        ("XAUTH PLAIN sesame", "unknown command, 18 octets"),
        ("Xsesame", "unknown command, 7 octets"),
        ("AUTH PLAIN AGEAYg==", "AUTH PLAIN"),
        ("X-EXPS EXCHANGEAUTH SHA256 abc", "X-EXPS EXCHANGEAUTH"),
        ("EHLO mail.example", "EHLO mail.example"),
    ] {
        let command = records::command(line.as_bytes()).unwrap();
        let text = records::evidence(line.as_bytes(), &command, false);
        assert_eq!(text, want, "{line}");
    }
}

#[test]
fn dates() {
    for (text, want) in [
        (" Fri, 21 Nov 1997 09:55:06 -0600", Some(880_127_706)),
        ("21 Nov 1997 15:55:06 GMT", Some(880_127_706)),
        ("Fri, 21 Nov 1997 10:55:06 EST", Some(880_127_706)),
        ("1 Jan 1970 00:00 +0000", Some(0)),
        ("29 Feb 2000 00:00:00 +0000", Some(951_782_400)),
        ("32 Jan 2000 00:00:00 +0000", None),
        ("yesterday", None),
        ("", None),
        ("1 Jan 99999999999 00:00 +0000", None),
    ] {
        assert_eq!(records::date_time(text.as_bytes()), want, "{text}");
    }
}
