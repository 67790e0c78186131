//! Tests of the logs: what Exchange writes, cut anywhere, and joined with flows.
#![allow(clippy::unwrap_used)]
use super::*;

/// A receive log with an error's tarpit under pipelining, an AUTH that fails, and a delayed acknowledgement.
const RECEIVE: &str = "#Software: Microsoft Exchange Server
#Version: 15.0.0.0
#Log-type: SMTP Receive Protocol Log
#Date: 2020-11-27T09:00:00.000Z
#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context
2020-11-27T09:34:38.900Z,EX1\\Relay,08D892B7A9441226,0,10.0.1.5:25,203.0.113.96:54368,+,,
2020-11-27T09:34:38.910Z,EX1\\Relay,08D892B7A9441226,1,10.0.1.5:25,203.0.113.96:54368,>,\"220 EX1 Microsoft ESMTP MAIL Service, ready\",
2020-11-27T09:34:38.920Z,EX1\\Relay,08D892B7A9441226,2,10.0.1.5:25,203.0.113.96:54368,<,EHLO app,
2020-11-27T09:34:38.930Z,EX1\\Relay,08D892B7A9441226,3,10.0.1.5:25,203.0.113.96:54368,>,250-EX1,
2020-11-27T09:34:38.930Z,EX1\\Relay,08D892B7A9441226,4,10.0.1.5:25,203.0.113.96:54368,>,250 PIPELINING,
2020-11-27T09:34:39.000Z,EX1\\Relay,08D892B7A9441226,5,10.0.1.5:25,203.0.113.96:54368,<,AUTH LOGIN c2VjcmV0,
2020-11-27T09:34:39.010Z,EX1\\Relay,08D892B7A9441226,6,10.0.1.5:25,203.0.113.96:54368,>,334 <authentication response>,
2020-11-27T09:34:39.020Z,EX1\\Relay,08D892B7A9441226,7,10.0.1.5:25,203.0.113.96:54368,<,cGFzc3dvcmQ=,
2020-11-27T09:34:39.030Z,EX1\\Relay,08D892B7A9441226,8,10.0.1.5:25,203.0.113.96:54368,>,535 5.7.3 Authentication unsuccessful,
2020-11-27T09:34:39.100Z,EX1\\Relay,08D892B7A9441226,9,10.0.1.5:25,203.0.113.96:54368,<,MAIL FROM:<a@example.net>,
2020-11-27T09:34:39.100Z,EX1\\Relay,08D892B7A9441226,10,10.0.1.5:25,203.0.113.96:54368,<,RCPT TO:<b@example.net>,
2020-11-27T09:34:39.159Z,EX1\\Relay,08D892B7A9441226,11,10.0.1.5:25,203.0.113.96:54368,*,Tarpit for '0.00:00:05',
2020-11-27T09:34:44.175Z,EX1\\Relay,08D892B7A9441226,12,10.0.1.5:25,203.0.113.96:54368,>,250 2.1.0 Sender OK,
2020-11-27T09:34:44.175Z,EX1\\Relay,08D892B7A9441226,13,10.0.1.5:25,203.0.113.96:54368,>,550 5.7.1 Unable to relay,
2020-11-27T09:34:44.191Z,EX1\\Relay,08D892B7A9441226,14,10.0.1.5:25,203.0.113.96:54368,<,DATA,
2020-11-27T09:34:44.200Z,EX1\\Relay,08D892B7A9441226,15,10.0.1.5:25,203.0.113.96:54368,>,354 Start mail input; end with <CRLF>.<CRLF>,
2020-11-27T09:34:44.300Z,EX1\\Relay,08D892B7A9441226,16,10.0.1.5:25,203.0.113.96:54368,*,Tarpit for '0.00:00:16.765' due to 'DelayedAck',Delivered
2020-11-27T09:35:01.070Z,EX1\\Relay,08D892B7A9441226,17,10.0.1.5:25,203.0.113.96:54368,>,250 2.6.0 Queued mail for delivery,
2020-11-27T09:35:01.100Z,EX1\\Relay,08D892B7A9441226,18,10.0.1.5:25,203.0.113.96:54368,-,,Remote
";

const CONNECTIVITY: &str = "#Log-Type: Transport Connectivity Log
#Fields: date-time,session,Source,Destination,direction,description
2011-03-01T10:15:19.000Z,08CDA5F0C3B2E1A4,SMTP,site:site-b,+,SmtpRelayToRemoteAdSite 0;QueueLength=17
2011-03-01T10:15:20.123Z,08CDA5F0C3B2E1A4,SMTP,site:site-b,>,\"Failed connection to 10.2.0.4:25 (TimedOut:0000274C)[TargetIPAddress:10.2.0.4:25|MarkedUnhealthy|FailureCount:1|NextRetryTime:2011-03-01T10:16:20.123Z]\"
2011-03-01T10:15:21.000Z,08CDA5F0C3B2E1A4,SMTP,site:site-b,>,Failed connection to 10.2.0.5:25 (ConnectionRefused:0000274D)[TargetIPAddress:10.2.0.5:25 | NotMarkedUnhealthy | FailureCount : 2]
2011-03-01T10:15:22.000Z,08CDA5F0C3B2E1A4,SMTP,site:site-b,-,Messages: 3 Bytes: 4711 (Retry : Service not active)
";

fn logs(text: &str) -> Logs {
    let mut logs = Logs::default();
    read_log("log", text.as_bytes(), &mut logs);
    logs
}

#[test]
fn a_receive_session() {
    let logs = logs(RECEIVE);
    assert_eq!(logs.not_understood, []);
    let [session] = logs.sessions.as_slice() else {
        panic!("one session")
    };
    assert_eq!(session.kind, LogKind::Receive);
    assert_eq!(
        session.ends().map(|(c, s)| format!("{c} {s}")).unwrap(),
        "203.0.113.96:54368 10.0.1.5:25"
    );
    assert_eq!(session.closed_by, Some(Closer::Remote));
    let got: Vec<_> = session
        .exchanges
        .iter()
        .map(|e| (e.command.as_str(), e.code, (e.seconds() * 1000.0).round()))
        .collect();
    let want = [
        ("(connect)", 220, 10.0),
        ("EHLO app", 250, 10.0),
        ("AUTH LOGIN", 535, 30.0),
        ("MAIL FROM:<a@example.net>", 250, 5075.0),
        ("RCPT TO:<b@example.net>", 550, 5075.0),
        ("DATA", 354, 9.0),
        ("(message)", 250, 16_870.0),
    ];
    assert_eq!(got, want);
    let tarpits: Vec<_> = session
        .tarpits
        .iter()
        .map(|t| {
            (
                t.nanos / 1_000_000,
                t.reason.as_deref(),
                t.outcome.as_deref(),
            )
        })
        .collect();
    assert_eq!(
        tarpits,
        [
            (5000, None, None),
            (16_765, Some("DelayedAck"), Some("Delivered"))
        ]
    );
    assert!((session.tarpit_seconds(Some("DelayedAck")) - 16.765).abs() < 1e-9);
    // What authenticates is nowhere kept.
    let all = format!("{logs:?}");
    assert!(!all.contains("c2VjcmV0") && !all.contains("cGFzc3dvcmQ"));
}

#[test]
fn a_connectivity_session() {
    let logs = logs(CONNECTIVITY);
    let [session] = logs.sessions.as_slice() else {
        panic!("one session")
    };
    assert_eq!(
        (session.queue_length, session.messages, session.octets),
        (Some(17), Some(3), Some(4711))
    );
    let [unhealthy] = session.unhealthy.as_slice() else {
        panic!("one target: {:?}", session.unhealthy)
    };
    assert_eq!(
        unhealthy.addr.map(|a| a.to_string()).as_deref(),
        Some("10.2.0.4")
    );
    assert_eq!(
        (unhealthy.port, unhealthy.winsock, unhealthy.failure_count),
        (Some(25), Some(10060), Some(1))
    );
    assert_eq!(
        unhealthy.next_retry.unwrap().seconds_since(unhealthy.time),
        60.0
    );
}

#[test]
fn every_cut_reads_to_its_end() {
    for text in [RECEIVE, CONNECTIVITY] {
        let whole = logs(text);
        for at in 0..text.len() {
            let cut = logs(text.get(..at).unwrap());
            let sessions = cut.sessions.iter().zip(&whole.sessions);
            for (part, all) in sessions {
                assert!(part.exchanges.len() <= all.exchanges.len(), "cut at {at}");
            }
        }
    }
    let crlf = RECEIVE.replace('\n', "\r\n");
    assert_eq!(logs(&crlf).sessions, logs(RECEIVE).sessions);
}

#[test]
fn what_is_beyond_a_limit_is_told() {
    let head = RECEIVE.split_inclusive('\n').take(5).collect::<String>();
    let record = |event: &str, data: &str| {
        format!(
            "2020-11-27T09:34:38.900Z,EX1,08D892B7A9441226,0,10.0.1.5:25,203.0.113.96:54368,{event},{data},\n"
        )
    };
    let exchange = record("<", "NOOP") + &record(">", "250 ok");
    let tarpit = record("*", "Tarpit for '0.00:00:05'");
    let failed = "2011-03-01T10:15:20.123Z,08CDA5F0C3B2E1A4,SMTP,site:site-b,>,Failed connection to 10.2.0.4:25 (TimedOut:0000274C)\
                  [TargetIPAddress:10.2.0.4:25|MarkedUnhealthy|FailureCount:1]\n";
    let connectivity = CONNECTIVITY
        .split_inclusive('\n')
        .take(2)
        .collect::<String>();
    let long = |by: usize| record("<", &"x".repeat((1 << 16) - record("<", "").len() + by));
    for (name, text, want) in [
        (
            "replies: as many",
            head.clone() + &exchange.repeat(MAX_EXCHANGES),
            None,
        ),
        (
            "replies: one more",
            head.clone() + &exchange.repeat(MAX_EXCHANGES + 1),
            Some("of one session"),
        ),
        (
            "commands: as many",
            head.clone() + &record("<", "NOOP").repeat(MAX_PENDING),
            None,
        ),
        (
            "commands: one more",
            head.clone() + &record("<", "NOOP").repeat(MAX_PENDING + 1),
            Some("of one session"),
        ),
        (
            "tarpits: as many",
            head.clone() + &tarpit.repeat(MAX_NOTES),
            None,
        ),
        (
            "tarpits: one more",
            head.clone() + &tarpit.repeat(MAX_NOTES + 1),
            Some("of one session"),
        ),
        (
            "targets: as many",
            connectivity.clone() + &failed.repeat(MAX_NOTES),
            None,
        ),
        (
            "targets: one more",
            connectivity.clone() + &failed.repeat(MAX_NOTES + 1),
            Some("of one session"),
        ),
        ("a line: shorter", head.clone() + &long(0), None),
        (
            "a line: cut",
            head.clone() + &long(2),
            Some("(the first: line 6)"),
        ),
    ] {
        let logs = logs(&text);
        assert_eq!(logs.sessions.len(), 1, "{name}");
        let told = &logs.left_out;
        match want {
            None => assert!(told.is_empty(), "{name}: {told:?}"),
            Some(want) => assert!(
                told.len() == 1 && told[0].contains(want),
                "{name}: {told:?}"
            ),
        }
    }
}

#[test]
fn sessions_join_flows() {
    let session = logs(RECEIVE).sessions.remove(0);
    let (client, server) = session.ends().unwrap();
    let second = 1_000_000_000;
    let shifted = |by: i64| LogSession {
        start: session.start.plus_nanos(by * second),
        end: session.end.plus_nanos(by * second),
        ..session.clone()
    };
    let other = |port| Endpoint { port, ..client };
    let flow = |client, start: i64| -> FlowSpan {
        let start = session.start.plus_nanos(start * second);
        (client, server, start, start.plus_nanos(22 * second))
    };
    let with_port = |session: LogSession, port| LogSession {
        remote: Some(other(port)),
        ..session
    };
    for (name, sessions, flows, pairs, offset) in [
        (
            "clock 3 s ahead",
            vec![session.clone()],
            vec![flow(client, -3)],
            vec![(0, 0)],
            Some(3),
        ),
        (
            "another port",
            vec![session.clone()],
            vec![flow(other(1), 0)],
            vec![],
            None,
        ),
        (
            "port used again: by time",
            vec![with_port(shifted(0), 7), shifted(600), shifted(0)],
            vec![flow(client, -3), flow(client, 597), flow(other(7), -3)],
            vec![(0, 2), (1, 1), (2, 0)],
            Some(3),
        ),
        (
            "port used again, one flow not captured",
            vec![
                with_port(shifted(0), 7),
                with_port(shifted(1), 8),
                shifted(600),
            ],
            vec![flow(client, -3), flow(other(7), -3), flow(other(8), -2)],
            vec![(0, 1), (1, 2)],
            Some(3),
        ),
    ] {
        let joined = join(&sessions, &flows);
        let got: Vec<_> = joined.pairs.iter().map(|p| (p.session, p.flow)).collect();
        assert_eq!(got, pairs, "{name}");
        assert_eq!(joined.clock.map(|c| c.nanos / second), offset, "{name}");
        assert_eq!(joined.unjoined.len() + got.len(), sessions.len(), "{name}");
    }
}
