//! Dialogs through the whole pipe: each row a small capture with something in it that a detector or the report has to tell, beside
//! one that nearly has it.
#![allow(clippy::unwrap_used)]

mod support;

use support::convo::{C2S, Convo, S2C};
use support::made::dialogs::{smb_message, smb_negotiate_response};
use support::scene::{Scene, pcap};
use support::scenes::{self, EXCHANGE, POSTFIX, between, late_greeting, meanwhile, of, udp};
use tcptriage::pipeline::{Settings, analyze};
use tcptriage::report::model::{Finding, Report, Smtp};
use tcptriage::report::{FORMATS, Look};

const MILLISECOND: i64 = 1_000_000;

fn report(name: &str, scene: Scene) -> Report {
    let path = std::env::temp_dir().join(format!(
        "tcptriage-dialogs-{}-{}.pcap",
        std::process::id(),
        name.replace([' ', '/'], "-")
    ));
    std::fs::write(&path, pcap(&scene.frames())).unwrap();
    let report = analyze(&Settings {
        captures: vec![path.to_str().unwrap().to_owned()],
        ..Settings::default()
    })
    .unwrap();
    std::fs::remove_file(path).unwrap();
    report
}

fn found<'a>(report: &'a Report, id: &str) -> Option<&'a Finding> {
    report.findings.iter().find(|f| f.id == id)
}

fn ids(report: &Report) -> Vec<&str> {
    report.findings.iter().map(|f| &*f.id).collect()
}

fn smtp(report: &Report) -> &Smtp {
    report.flows[0].smtp.as_ref().unwrap()
}

/// When the handshake of each late greeting begins.
fn greetings() -> impl Iterator<Item = (u16, i64)> {
    (0..3u16).map(|n| (n, between(1, 49_152 + n * 20, 25, 25).now()))
}

/// A look-up of the client's name by `asks`, answered after so many milliseconds.
fn look_up(scene: &mut Scene, asks: u8, id: u16, at: i64, answered_ms: i64) {
    let mut question = vec![0, 1, 0, 0, 0, 0, 0, 0];
    for label in ["1", "2", "0", "192", "in-addr", "arpa"] {
        question.push(u8::try_from(label.len()).unwrap());
        question.extend_from_slice(label.as_bytes());
    }
    question.extend_from_slice(&[0, 0, 12, 0, 1]);
    let message = |flags: [u8; 2]| [&id.to_be_bytes()[..], &flags, &question].concat();
    let port = 53_000 + id;
    scene.add_frame(at, udp(asks, port, 53, 53, &message([1, 0])));
    let answer = udp(53, 53, asks, port, &message([0x81, 0x83]));
    scene.add_frame(at + answered_ms * MILLISECOND, answer);
}

#[test]
fn names_of_smb_stay_text_in_every_format() {
    const NAME: &str = "\u{1b}[31m<script>alert(1)</script>`|";
    // The dialect that the server picks has this name.
    let mut offer = Vec::new();
    for name in ["A", "B", "C", "D", "E", NAME] {
        offer.extend([&[2], name.as_bytes(), &[0]].concat());
    }
    let scene = of(between(1, 50_000, 25, 445)
        .handshake()
        .send(C2S, &smb_message(0x72, 0, false, 0, &(Vec::new(), offer)))
        .send(S2C, &smb_negotiate_response("FILES", 1))
        .ack(C2S)
        .close(C2S));
    let report = report("names of SMB", scene);
    let finding = found(&report, "smb.legacy-dialect").unwrap();
    assert!(finding.summary.contains(NAME), "{}", finding.summary);
    for format in FORMATS {
        let mut out = Vec::new();
        let look = Look {
            full: true,
            ..Look::default()
        };
        format.write(&report, look, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        let name = format.name();
        assert!(text.contains("alert(1)") || name == "csv", "{name}");
        assert!(!text.contains('\u{1b}'), "{name}");
        if matches!(name, "html" | "markdown") {
            assert!(!text.contains("<script>alert"), "{name}");
        }
    }
}

#[test]
fn greetings_that_wait_for_look_ups() {
    let looked_up = |asks: u8, after_ms: i64, answered_ms: i64| {
        let mut scene = late_greeting(EXCHANGE, 10_000);
        for (n, start) in greetings() {
            let at = start + after_ms * MILLISECOND;
            look_up(&mut scene, asks, n, at, answered_ms);
        }
        scene
    };
    let identified = |asks: u8, after_ms: i64| {
        let mut scene = late_greeting(POSTFIX, 10_000);
        for (n, start) in greetings() {
            let at = start + after_ms * MILLISECOND;
            scene.add(between(asks, 40_000 + n, 1, 113).at(at).syn().wait_ms(10));
        }
        scene
    };
    let names = "it looks up names in the meantime";
    let ident = "it asks the client's port 113 in the meantime";
    let pause = "always for the same time";
    for (name, scene, says) in [
        (
            "a look-up without answer",
            meanwhile(late_greeting(EXCHANGE, 10_000), false),
            names,
        ),
        ("a look-up answered late", looked_up(25, 50, 9_000), names),
        ("a look-up answered at once", looked_up(25, 50, 2), pause),
        ("a look-up of another host", looked_up(26, 50, 9_000), pause),
        (
            "a look-up after the greeting",
            looked_up(25, 10_050, 9_000),
            pause,
        ),
        (
            "ident that nobody takes",
            meanwhile(late_greeting(POSTFIX, 30_000), true),
            ident,
        ),
        ("ident once", identified(25, 50), ident),
        ("ident of another host", identified(26, 50), pause),
        ("ident after the greeting", identified(25, 10_050), pause),
    ] {
        let report = report(name, scene);
        let finding = found(&report, "smtp.slow-greeting")
            .unwrap_or_else(|| panic!("{name}: {:?}", ids(&report)));
        assert!(
            finding.summary.contains(says),
            "{name}: {}",
            finding.summary
        );
    }
    let report = report("a greeting in time", late_greeting(EXCHANGE, 300));
    assert!(found(&report, "smtp.slow-greeting").is_none());
}

/// A session that says so much and then nothing for so many seconds, until the server closes.
fn silent(seconds: i64) -> Scene {
    of(asked(EXCHANGE)
        .send(C2S, b"MAIL FROM:<a@example.com>\r\n")
        .send(S2C, b"250 2.1.0 Sender OK\r\n")
        .ack(C2S)
        .wait_ms(seconds * 1_000)
        .close(S2C))
}

/// Greeting and EHLO, with what Exchange servers offer one another.
fn asked(banner: &str) -> Convo {
    scenes::to(25)
        .handshake()
        .send(S2C, format!("{banner}\r\n").as_bytes())
        .send(C2S, b"EHLO hub.example.com\r\n")
        .send(
            S2C,
            b"250-mail.example.com Hello\r\n250-PIPELINING\r\n250-XEXCH50\r\n250 XSHADOW\r\n",
        )
}

#[test]
fn timers_that_end_silent_sessions() {
    for (seconds, timer) in [
        (60, true),
        (300, true),
        (600, true),
        (40, false),
        (200, false),
        (450, false),
    ] {
        let name = format!("silent for {seconds} s");
        let report = report(&name, silent(seconds));
        let (is, is_not) = if timer {
            ("smtp.timeout", "smtp.connection-dropped")
        } else {
            ("smtp.connection-dropped", "smtp.timeout")
        };
        assert!(found(&report, is).is_some(), "{name}: {:?}", ids(&report));
        assert!(
            found(&report, is_not).is_none(),
            "{name}: {:?}",
            ids(&report)
        );
    }
}

/// A session of these commands and replies, and a message at its end.
fn session(said: &[(&[u8], &str)]) -> Scene {
    let mut convo = asked(EXCHANGE);
    let message: [(&[u8], &str); 5] = [
        (b"MAIL FROM:<a@example.com>\r\n", "250 2.1.0 Sender OK"),
        (b"RCPT TO:<b@example.com>\r\n", "250 2.1.5 Recipient OK"),
        (b"DATA\r\n", "354 Start mail input"),
        (b"Subject: x\r\n\r\nx\r\n.\r\n", "250 2.6.0 Queued mail"),
        (b"QUIT\r\n", "221 2.0.0 Closing"),
    ];
    for (command, reply) in said.iter().chain(&message) {
        convo = convo
            .send(C2S, command)
            .send(S2C, format!("{reply}\r\n").as_bytes());
    }
    of(convo.close(S2C))
}

#[test]
fn shadow_redundancy_in_use_or_failing() {
    let agreed: (&[u8], &str) = (b"XSHADOW aHVi\r\n", "250 2.0.0 bWFpbA==");
    let discards: (&[u8], &str) = (b"XQDISCARD 50\r\n", "250 2.0.0 OK, no discard events");
    let not_placed = "451 4.4.0 Message failed to be made redundant";
    for (name, said, failing) in [
        ("in use", vec![agreed, discards], false),
        ("not spoken", vec![], false),
        (
            "failing",
            vec![
                agreed,
                (b"MAIL FROM:<c@example.com>\r\n", not_placed),
                (b"RSET\r\n", "250 2.0.0 Resetting"),
            ],
            true,
        ),
        (
            "a shortage is no failure of the copy",
            vec![
                agreed,
                (
                    b"MAIL FROM:<c@example.com>\r\n",
                    "452 4.3.1 Insufficient system resources",
                ),
                (b"RSET\r\n", "250 2.0.0 Resetting"),
            ],
            false,
        ),
    ] {
        let report = report(name, session(&said));
        let verbs = &smtp(&report).commands;
        for verb in ["XSHADOW", "XQDISCARD"] {
            let times = said
                .iter()
                .filter(|s| s.0.starts_with(verb.as_bytes()))
                .count();
            let seen = verbs.get(verb).copied().unwrap_or(0);
            assert_eq!(seen, times as u64, "{name}: {verb}");
        }
        let finding = found(&report, "smtp.shadow-failing");
        assert_eq!(finding.is_some(), failing, "{name}: {:?}", ids(&report));
        if let Some(finding) = finding {
            let when = "; refused at 2023-11-14 22:14:09 UTC";
            assert!(
                finding.summary.ends_with(when),
                "{name}: {}",
                finding.summary
            );
        }
        assert!(smtp(&report).messages[0].accepted == Some(true), "{name}");
    }
}

#[test]
fn octets_that_follow_xexch50() {
    let blob: &[u8] = b"\x01\x00RSET\r\nQUIT\r\n\xff\r\n";
    let asks = format!("XEXCH50 {} 2\r\n", blob.len());
    for (name, said, replies) in [
        (
            "taken: what follows is no command",
            vec![
                (asks.as_bytes(), "354 Send binary data"),
                (blob, "250 2.0.0 XEXCH50 OK"),
            ],
            (2, 0),
        ),
        (
            "refused: nothing follows",
            vec![(asks.as_bytes(), "504 5.7.4 Need to authenticate first")],
            (1, 1),
        ),
    ] {
        let report = report(name, session(&said));
        let smtp = smtp(&report);
        assert_eq!(smtp.commands.get("XEXCH50"), Some(&1), "{name}");
        assert_eq!(smtp.commands.get("QUIT"), Some(&1), "{name}");
        assert_eq!(smtp.commands.get("RSET"), None, "{name}");
        let times = |code: u16| smtp.replies.get(&code).copied().unwrap_or(0);
        assert_eq!((times(354), times(504)), replies, "{name}");
        assert_eq!(smtp.messages.len(), 1, "{name}");
        assert!(
            report.findings.iter().all(|f| f.severity == "info"),
            "{name}: {:?}",
            ids(&report)
        );
    }
}
