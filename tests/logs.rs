//! Logs of servers beside a capture, and without one: what they prove, what they cast doubt on, what only they tell.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;

use support::scene::{Scene, pcap};
use support::scenes::*;
use tcptriage::pipeline::{Settings, analyze};
use tcptriage::report::model::{Finding, Report};

/// A receive log of the session of the first connection of a scene, by a clock three seconds ahead; with these lines in it, each
/// (seconds after the connection, event, data, context).
fn receive(version: u32, lines: &[(f64, &str, &str, &str)]) -> String {
    let mut text = format!(
        "#Software: Microsoft Exchange Server\r\n#Version: {version}.0.0.0\r\n#Log-type: SMTP Receive Protocol Log\r\n\
         #Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context\r\n"
    );
    let all = [(0.0, "+", "", "")]
        .into_iter()
        .chain(lines.iter().copied());
    for (n, (seconds, event, data, context)) in all.enumerate() {
        // The connection begins at 22:14:09.152.
        let at = 12.16 + seconds;
        let (minute, second) = (14 + (at as u32) / 60, at % 60.0);
        text.push_str(&format!(
            "2023-11-14T22:{minute:02}:{second:06.3}Z,MAIL\\Relay,08D892B7A9441226,{n},{SERVER}:25,{CLIENT}:49152,{event},{data},{context}\r\n"
        ));
    }
    text
}

const UNHEALTHY: &str = "#Log-Type: Transport Connectivity Log\r\n#Version: 14.0.0.0\r\n\
    #Fields: date-time,session,Source,Destination,direction,description\r\n\
    2023-11-14T22:14:33.000Z,08CDA5F0C3B2E1A4,SMTP,site:site-b,>,\"Failed connection to 192.0.2.25:25 (TimedOut:0000274C)\
    [TargetIPAddress:192.0.2.25:25|MarkedUnhealthy|FailureCount:3|NextRetryTime:2023-11-14T22:15:33.000Z]\"\r\n";

fn report(name: &str, scene: Option<Scene>, logs: &[&str]) -> Report {
    let folder = std::env::temp_dir().join(format!("tcptriage-logs-{}-{name}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let mut settings = Settings::default();
    if let Some(scene) = scene {
        let path = folder.join("capture.pcap");
        fs::write(&path, pcap(&scene.frames())).unwrap();
        settings.captures.push(path.to_str().unwrap().to_owned());
    }
    for (n, text) in logs.iter().enumerate() {
        let path = folder.join(format!("{n}.LOG"));
        fs::write(&path, text).unwrap();
        settings.logs.push(path);
    }
    let report = analyze(&settings).unwrap();
    fs::remove_dir_all(folder).unwrap();
    report
}

fn find<'a>(report: &'a Report, id: &str) -> &'a Finding {
    let all: Vec<_> = report
        .findings
        .iter()
        .map(|f| (&f.id, &f.summary))
        .collect();
    report
        .findings
        .iter()
        .find(|f| f.id == id)
        .unwrap_or_else(|| panic!("{id}: {all:?}"))
}

fn tarpitted() -> Scene {
    refused(
        EXCHANGE,
        "RCPT TO:<x@example.org>",
        5_000,
        "550 5.7.1 Unable to relay",
    )
}

#[test]
fn a_tarpit_that_the_log_names_is_proven() {
    let plain = report("plain", Some(tarpitted()), &[]);
    let said = receive(
        15,
        &[
            (0.02, "<", "RCPT TO:<x@example.org>", ""),
            (0.02, "*", "Tarpit for '0.00:00:05'", ""),
            (5.03, ">", "550 5.7.1 Unable to relay", ""),
        ],
    );
    let with = report("named", Some(tarpitted()), &[&said]);
    let (before, after) = (find(&plain, "smtp.tarpit"), find(&with, "smtp.tarpit"));
    assert!(after.confidence > before.confidence && after.confidence >= 0.98);
    assert!(
        after
            .summary
            .contains("says that it held back 1 reply after errors"),
        "{}",
        after.summary
    );
    assert!(
        after.summary.contains("MAIL\\Relay") && after.summary.contains("line 7"),
        "{}",
        after.summary
    );
    assert_eq!(
        after.evidence[0].frame, 1,
        "the connection that is this session"
    );
    let clock = with.notes.iter().find(|n| n.contains("clock")).unwrap();
    assert!(
        clock.contains("of these among the flows: 1") && clock.contains("3.0 s ahead"),
        "{clock}"
    );
    // The head of the log tells the version, and with it which command fits.
    let tarpit = with
        .remediations
        .iter()
        .find(|r| r.id == "smtp-tarpit")
        .unwrap();
    assert!(
        tarpit
            .known
            .iter()
            .any(|k| k.contains("the head of its log")),
        "{:?}",
        tarpit.known
    );
}

#[test]
fn a_pause_that_the_log_does_not_have_is_doubted() {
    for (name, lines, says) in [
        (
            "quick in the log",
            &[
                (0.02, "<", "RCPT TO:<x@example.org>", ""),
                (0.03, ">", "550 5.7.1 Unable to relay", ""),
            ][..],
            "no reply later than 0.0 s",
        ),
        (
            "slow in the log without a reason",
            &[
                (0.02, "<", "RCPT TO:<x@example.org>", ""),
                (5.03, ">", "550 5.7.1 Unable to relay", ""),
            ],
            "names no pause",
        ),
    ] {
        let plain = report("plain2", Some(tarpitted()), &[]);
        let with = report(
            &name.replace(' ', "-"),
            Some(tarpitted()),
            &[&receive(15, lines)],
        );
        let (before, after) = (find(&plain, "smtp.tarpit"), find(&with, "smtp.tarpit"));
        assert!(
            after.confidence < before.confidence * 0.7,
            "{name}: {} to {}",
            before.confidence,
            after.confidence
        );
        assert!(
            after.against.iter().any(|a| a.contains(says)),
            "{name}: {:?}",
            after.against
        );
    }
}

#[test]
fn what_only_the_log_tells_is_found() {
    let said = receive(
        14,
        &[
            (0.1, "<", "DATA", ""),
            (0.2, ">", "354 Start mail input; end with <CRLF>.<CRLF>", ""),
            (
                0.3,
                "*",
                "Tarpit for '0.00:00:30' due to 'DelayedAck'",
                "Expired;Timeout",
            ),
            (30.4, ">", "250 2.6.0 Queued mail for delivery", ""),
        ],
    );
    for (name, scene) in [
        ("beside", Some(smtp(EXCHANGE, &message(0)))),
        ("alone", None),
    ] {
        let report = report(name, scene, &[&said]);
        let held = find(&report, "smtp.delayed-ack");
        assert_eq!(held.subject.as_deref(), Some(SERVER), "{name}");
        assert!((held.seconds_lost.unwrap() - 30.0).abs() < 1e-6, "{name}");
        assert!(
            held.summary.contains("until its limit ran out"),
            "{name}: {}",
            held.summary
        );
        assert_eq!(held.flows.len(), usize::from(name == "beside"), "{name}");
        let first = &report.remediations[0];
        assert_eq!(
            first.id, "smtp-delayed-ack-2010",
            "{name}: Exchange 2010 by its log's head"
        );
        assert!(
            first
                .fix
                .iter()
                .any(|s| s.command.contains("-MaxAcknowledgementDelay 00:00:15")),
            "{name}"
        );
    }
}

#[test]
fn a_target_marked_unhealthy_is_explained() {
    let beside = report(
        "unanswered",
        Some(attempts(25, Answer::Nothing)),
        &[UNHEALTHY],
    );
    let alone = report("connectivity", None, &[UNHEALTHY]);
    for (name, found) in [
        ("beside", find(&beside, "connect.unanswered")),
        ("alone", find(&alone, "balance.server-unavailable")),
    ] {
        for part in [
            "10060 WSAETIMEDOUT",
            "3 failures in a row",
            "due 60 s later",
            "line 4",
        ] {
            assert!(
                found.summary.contains(part),
                "{name}: {part}: {}",
                found.summary
            );
        }
        assert!(found.confidence >= 0.98, "{name}");
        assert_eq!(found.subject.as_deref(), Some(SERVER), "{name}");
    }
    let ids: Vec<&str> = alone.remediations.iter().map(|r| r.id.as_str()).collect();
    assert!(
        ids.contains(&"tcp-syn-timeout") && ids.contains(&"lb-hss-cadence"),
        "{ids:?}"
    );
}
