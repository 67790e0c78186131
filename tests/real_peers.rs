//! Real peers over a real stack: what the report says of Postfix, Samba and a scripted server whose manners are known.
//!
//! Each test makes its own two hosts (`support/netns.rs`), captures at both, and reads the report of either capture. Where namespaces,
//! tcpdump or a peer are not to be had, a test says so and passes. `TCPTRIAGE_KEEP_CAPTURES=DIR` keeps the captures.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::PathBuf;

use support::daemons::{USER, postfix, samba};
use support::mail::{self, Script, Then, leave, message, say, talk, turns};
use support::netns::{self, Folder, Host, Lab, command};
use tcptriage::pipeline::{Settings, analyze};
use tcptriage::report::model::Report;

/// Two hosts, and tcpdump on them.
fn lab(test: &str, programs: &[&str]) -> Option<Lab> {
    netns::lab(test, &[&["tcpdump"], programs].concat())
}

/// Captures at both ends while `work` runs: the reports of the client's capture and of the server's.
fn observed(lab: &Lab, name: &str, work: impl FnOnce()) -> [(&'static str, Report); 2] {
    let name = name.replace(' ', "-");
    let kept = std::env::var_os("TCPTRIAGE_KEEP_CAPTURES").map(PathBuf::from);
    let folder = Folder::new(&name);
    let at = |host: &Host, end: &str| {
        let place = kept.as_ref().unwrap_or(&folder.0);
        host.capture(&place.join(format!("{name}-{end}.pcap")))
            .unwrap()
    };
    let captures = [
        ("client", at(&lab.client, "client")),
        ("server", at(&lab.server, "server")),
    ];
    work();
    captures.map(|(end, capture)| {
        let file = capture.stop();
        let settings = Settings {
            captures: vec![file.to_str().unwrap().to_owned()],
            ..Settings::default()
        };
        (end, analyze(&settings).unwrap())
    })
}

/// Ids of the findings, each once. A busy machine makes TCP repeat a segment for nothing: what harms nobody counts only if it is of
/// the dialog.
fn ids(report: &Report) -> Vec<&str> {
    let of_dialog = |id: &str| id.starts_with("smtp.") || id.starts_with("smb.");
    let findings = report.findings.iter();
    let mut ids: Vec<&str> = findings
        .filter(|f| f.severity != "info" || of_dialog(&f.id))
        .map(|f| &*f.id)
        .collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn told(report: &Report) -> Vec<&str> {
    report.findings.iter().map(|f| &*f.summary).collect()
}

/// What is wrong in the best of three tries: a machine that stands still for a second makes real peers slow, and a report that says so
/// is right. What the program gets wrong is wrong each time.
fn at_best(name: &str, mut wrongs: impl FnMut() -> Vec<String>) -> Vec<String> {
    for _ in 0..2 {
        let wrong = wrongs();
        if wrong.is_empty() {
            return wrong;
        }
        eprintln!("{name}: once more, as {}", wrong.join("\n"));
    }
    wrongs()
}

/// What is wrong with the findings of a report.
fn other_than(report: &Report, end: &str, name: &str, wanted: &[&str]) -> Option<String> {
    let (ids, told) = (ids(report), told(report));
    (ids != wanted).then(|| format!("{name} at the {end}: {ids:?}, not {wanted:?}: {told:#?}"))
}

/// Seconds of one phase, in all connections.
fn spent(report: &Report, phase: &str) -> f64 {
    let smtp = report.flows.iter().filter_map(|f| f.smtp.as_ref());
    smtp.filter_map(|smtp| smtp.phases.get(phase))
        .map(|phase| phase.sum)
        .sum()
}

/// A phase is measured this well.
const MOST_OFF: f64 = 0.05;

/// A scripted server and what is to be found.
struct Row {
    name: &'static str,
    script: Script,
    /// The client's connections.
    sessions: Vec<Vec<String>>,
    findings: &'static [&'static str],
    /// Phases that the script makes long, and the verb that is held in each.
    phases: &'static [(&'static str, &'static str)],
}

fn mail(recipients: &[&str], octets: usize) -> Vec<String> {
    let mut all = turns(&["EHLO client.example.net"]);
    all.extend(message(recipients, octets));
    all.extend(turns(&["QUIT"]));
    all
}

fn mails(number: usize) -> Vec<String> {
    let mut all = turns(&["EHLO client.example.net"]);
    for _ in 0..number {
        all.extend(message(&["user@example.com"], 2_000));
    }
    all.extend(turns(&["QUIT"]));
    all
}

fn rows() -> Vec<Row> {
    let one = || vec![mail(&["user@example.com"], 3_000)];
    vec![
        Row {
            name: "healthy",
            script: |_, _, _| None,
            sessions: vec![mails(3), mails(2)],
            findings: &[],
            phases: &[],
        },
        Row {
            name: "tarpit",
            script: |verb, line, _| {
                (verb == "RCPT" && line.contains("nobody"))
                    .then(|| say(5_000, "550 5.1.1 User unknown"))?
            },
            sessions: vec![mail(
                &[
                    "nobody1@example.com",
                    "nobody2@example.com",
                    "user@example.com",
                ],
                3_000,
            )],
            findings: &["smtp.rejected", "smtp.tarpit"],
            phases: &[("rcpt", "RCPT")],
        },
        Row {
            name: "refusals at once",
            script: |verb, line, _| {
                (verb == "RCPT" && line.contains("nobody"))
                    .then(|| say(20, "550 5.1.1 User unknown"))?
            },
            sessions: vec![mail(&["nobody1@example.com", "user@example.com"], 3_000)],
            findings: &["smtp.rejected"],
            phases: &[],
        },
        Row {
            name: "delayed acknowledgement",
            script: |verb, _, _| match verb {
                "CONNECT" => say(0, "220 hub.example.com Microsoft ESMTP MAIL Service ready"),
                "EHLO" => say(
                    0,
                    "250-hub.example.com Hello\r\n250-X-ANONYMOUSTLS\r\n250-XEXCH50\r\n250 XSHADOW",
                ),
                "." => say(4_000, "250 2.6.0 Queued mail for delivery"),
                _ => None,
            },
            sessions: vec![mails(3)],
            findings: &["smtp.delayed-ack"],
            phases: &[("end_of_data", ".")],
        },
        Row {
            name: "back pressure",
            script: |verb, _, before| match (verb, before) {
                ("MAIL", 0) => say(10_000, "250 2.1.0 Sender OK"),
                ("MAIL", _) => say(15_000, "250 2.1.0 Sender OK"),
                _ => None,
            },
            sessions: vec![mails(2)],
            findings: &["smtp.back-pressure"],
            phases: &[("mail", "MAIL")],
        },
        Row {
            name: "short of resources",
            script: |verb, _, _| {
                (verb == "MAIL").then(|| say(0, "452 4.3.1 Insufficient system resources"))?
            },
            sessions: vec![turns(&[
                "EHLO client.example.net",
                "MAIL FROM:<sender@example.net>",
                "QUIT",
            ])],
            findings: &["smtp.back-pressure"],
            phases: &[],
        },
        Row {
            name: "throttling",
            script: |verb, _, before| {
                (verb == "MAIL" && before >= 3).then(|| {
                    leave(
                        "421 4.4.2 Message submission rate for this client has exceeded the configured limit",
                        Then::Close,
                    )
                })?
            },
            sessions: vec![mails(5)],
            findings: &["smtp.throttled"],
            phases: &[],
        },
        Row {
            name: "connection limit",
            script: |verb, _, before| {
                (verb == "CONNECT" && before >= 1).then(|| {
                    leave(
                        "421 4.3.2 The maximum number of concurrent connections has exceeded a limit, closing transmission channel",
                        Then::Close,
                    )
                })?
            },
            sessions: vec![mails(1), mails(1), mails(1)],
            findings: &["smtp.connection-limit"],
            phases: &[],
        },
        Row {
            name: "late greeting",
            script: |verb, _, _| {
                (verb == "CONNECT").then(|| say(6_000, "220 mail.example.com ESMTP ready"))?
            },
            sessions: vec![mails(1), mails(1)],
            findings: &["smtp.slow-greeting"],
            phases: &[("greeting", "CONNECT")],
        },
        Row {
            name: "greylisting",
            script: |verb, _, before| {
                (verb == "RCPT" && before == 0)
                    .then(|| say(0, "451 4.7.1 Greylisted, please try again later"))?
            },
            sessions: vec![
                turns(&[
                    "EHLO client.example.net",
                    "MAIL FROM:<sender@example.net>",
                    "RCPT TO:<user@example.com>",
                    "QUIT",
                ]),
                mails(1),
            ],
            findings: &["smtp.greylisted"],
            phases: &[],
        },
        Row {
            name: "timer of the server",
            script: |verb, _, _| {
                (verb == "NOOP").then(|| {
                    let text = "421 4.4.2 mail.example.com Error: timeout exceeded";
                    let answer = leave(text, Then::Close)?;
                    Some(mail::Answer {
                        after_ms: 2_000,
                        ..answer
                    })
                })?
            },
            sessions: vec![turns(&["EHLO client.example.net", "NOOP"])],
            findings: &["smtp.timeout"],
            phases: &[],
        },
        Row {
            name: "reset in the message",
            script: |verb, _, _| (verb == "DATA").then(|| leave("354 Go ahead", Then::Reset))?,
            sessions: one(),
            findings: &["close.reset", "smtp.connection-dropped"],
            phases: &[],
        },
        Row {
            name: "masked banner",
            script: |verb, _, _| {
                (verb == "CONNECT").then(|| say(0, "220 **************************************"))?
            },
            sessions: one(),
            findings: &["smtp.banner-masked"],
            phases: &[],
        },
        Row {
            name: "no TLS",
            script: |_, _, _| None,
            sessions: vec![turns(&["EHLO client.example.net", "STARTTLS", "QUIT"])],
            findings: &["smtp.tls-failed"],
            phases: &[],
        },
        Row {
            name: "no second copy",
            script: |verb, _, _| {
                (verb == ".").then(|| say(0, "451 4.4.0 Message failed to be made redundant"))?
            },
            sessions: one(),
            findings: &["smtp.shadow-failing"],
            phases: &[],
        },
        Row {
            name: "one message a connection",
            script: |verb, _, _| {
                (verb == "CONNECT").then(|| say(150, "220 mail.example.com ESMTP ready"))?
            },
            sessions: vec![mails(1); 12],
            findings: &["smtp.one-message-per-connection"],
            phases: &[("greeting", "CONNECT")],
        },
        Row {
            name: "guessed recipients",
            script: |verb, _, _| (verb == "RCPT").then(|| say(0, "550 5.1.1 User unknown"))?,
            sessions: vec![
                turns(&["EHLO client.example.net", "MAIL FROM:<sender@example.net>"])
                    .into_iter()
                    .chain((0..25).map(|n| format!("RCPT TO:<user{n}@example.com>\r\n")))
                    .chain(turns(&["QUIT"]))
                    .collect(),
            ],
            findings: &["smtp.recipient-flood", "smtp.rejected"],
            phases: &[],
        },
        Row {
            name: "slow server",
            script: |verb, _, _| match verb {
                "EHLO" => say(1_300, usual_ehlo()),
                "MAIL" => say(700, "250 2.1.0 OK"),
                _ => None,
            },
            sessions: vec![mails(2)],
            findings: &["smtp.slow-server"],
            phases: &[("ehlo", "EHLO"), ("mail", "MAIL")],
        },
    ]
}

fn usual_ehlo() -> &'static str {
    "250-mail.example.com\r\n250 8BITMIME"
}

#[test]
fn a_scripted_server_is_seen_through() {
    let mut wrong = Vec::new();
    std::thread::scope(|scope| {
        let rows: Vec<_> = rows()
            .into_iter()
            .map(|row| scope.spawn(move || at_best(row.name, || scripted(&row))))
            .collect();
        for row in rows {
            wrong.extend(row.join().unwrap());
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What is wrong with the reports on one row.
fn scripted(row: &Row) -> Vec<String> {
    let Some(lab) = lab(row.name, &[]) else {
        return Vec::new();
    };
    let mut held = mail::Held::default();
    let reports = observed(&lab, row.name, || {
        held = mail::serve(&lab.server, row.script);
        for session in &row.sessions {
            talk(&lab.client, &lab.server, session);
        }
    });
    let held = held.lock().unwrap();
    let mut wrong = Vec::new();
    for (end, report) in &reports {
        wrong.extend(other_than(report, end, row.name, row.findings));
        for (phase, verb) in row.phases {
            let (got, truth) = (spent(report, phase), held[*verb].as_secs_f64());
            let off = got / truth - 1.0;
            let line = format!(
                "{} at the {end}: {phase} {got:.3} s, held {truth:.3} s, off {:.2} %",
                row.name,
                off * 100.0
            );
            eprintln!("{line}");
            if off.abs() > MOST_OFF {
                wrong.push(line);
            }
        }
    }
    wrong
}

/// Phases in which a client waits for the server, but the greeting: at the client, nothing tells one that was lost from one that is late.
const ASKED: [&str; 6] = ["ehlo", "mail", "rcpt", "data", "end_of_data", "quit"];

/// Seconds of waiting for the server, and those of them that are not the network's, in all connections.
fn waited(report: &Report) -> [f64; 2] {
    let smtp = report.flows.iter().filter_map(|f| f.smtp.as_ref());
    let phases = smtp.flat_map(|smtp| &smtp.phases);
    let asked = phases.filter(|(phase, _)| ASKED.contains(phase));
    asked.fold([0.0; 2], |[waited, blamed], (_, p)| {
        let servers = p.sum * (1.0 - p.network_share.unwrap_or(0.0));
        [waited + p.sum, blamed + servers]
    })
}

#[test]
fn losses_are_not_the_servers() {
    let name = "lossy path";
    let wrong = at_best(name, || over_a_lossy_path(name));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn over_a_lossy_path(name: &str) -> Vec<String> {
    let Some(lab) = lab(name, &["smtp-source", "smtp-sink", "nft"]) else {
        return Vec::new();
    };
    if let Err(reason) = lab.lose(5) {
        eprintln!("{name}: skipped: {reason}");
        return Vec::new();
    }
    let to = format!("{}:25", lab.server.addr);
    let sink = command("smtp-sink", &["-u", "nobody", &to, "10"]);
    let _sink = lab.server.spawn(sink).unwrap();
    lab.server.wait_for_port(25).unwrap();
    let reports = observed(&lab, name, || source(&lab, 2, 30, 8_000));
    let mut wrong = Vec::new();
    for (end, report) in &reports {
        let repeats: u64 = report
            .flows
            .iter()
            .flat_map(|f| [&f.client_to_server, &f.server_to_client])
            .map(|half| half.retransmitted_segments)
            .sum();
        let [waited, blamed] = waited(report);
        eprintln!(
            "{name} at the {end}: {repeats} repeats, {waited:.3} s of waiting for the server, {blamed:.3} s blamed on it"
        );
        if repeats <= 5 {
            wrong.push(format!("{name} at the {end}: nothing was lost"));
        }
        let of_server = report.findings.iter().find(|f| {
            matches!(
                &*f.id,
                "smtp.slow-server" | "smtp.slow-greeting" | "smtp.tarpit" | "smtp.delayed-ack"
            )
        });
        if let Some(finding) = of_server {
            wrong.push(format!("{name} at the {end}: {}", finding.summary));
        }
        // A busy machine takes its time now and then.
        if blamed > 0.5 + waited * 0.1 {
            wrong.push(format!(
                "{name} at the {end}: {blamed:.3} s of {waited:.3} s are blamed on the server"
            ));
        }
    }
    wrong
}

/// Postfix set up in a way, and what is to be found.
struct Setup {
    name: &'static str,
    services: &'static str,
    settings: &'static str,
    /// What the client does.
    work: fn(&Lab),
    findings: &'static [&'static str],
    accepted: usize,
}

const SMTPD: &str = "smtp inet n - n - - smtpd";

/// Postfix's own source of mail: so many sessions at once, messages, and octets each.
fn source(lab: &Lab, sessions: u32, messages: u32, octets: u32) {
    let arguments = format!(
        "-s {sessions} -m {messages} -l {octets} -f sender@example.net -t user@example.com {}:25",
        lab.server.addr
    );
    let arguments: Vec<&str> = arguments.split(' ').collect();
    // It fails where the server refuses, which is meant.
    let _ = lab.client.run(command("smtp-source", &arguments));
}

fn setups() -> Vec<Setup> {
    vec![
        Setup {
            name: "postfix healthy",
            services: SMTPD,
            settings: "",
            work: |lab| source(lab, 2, 8, 20_000),
            findings: &[],
            accepted: 8,
        },
        Setup {
            name: "postfix error sleep",
            services: SMTPD,
            settings: "smtpd_soft_error_limit = 1\nsmtpd_error_sleep_time = 2s",
            work: |lab| {
                let mut all = turns(&["EHLO client.example.net", "MAIL FROM:<sender@example.net>"]);
                all.extend((0..5).map(|n| format!("RCPT TO:<user@other{n}.example>\r\n")));
                all.extend(turns(&["RCPT TO:<user@example.com>", "QUIT"]));
                talk(&lab.client, &lab.server, &all);
            },
            findings: &["smtp.rejected", "smtp.tarpit"],
            accepted: 0,
        },
        Setup {
            name: "postfix anvil",
            services: SMTPD,
            settings: "smtpd_client_event_limit_exceptions =\nsmtpd_client_message_rate_limit = 3",
            work: |lab| {
                talk(&lab.client, &lab.server, &mails(5));
            },
            findings: &["smtp.throttled"],
            accepted: 3,
        },
        Setup {
            name: "postfix connection limit",
            services: SMTPD,
            settings: "smtpd_client_event_limit_exceptions =\nsmtpd_client_connection_count_limit = 2",
            work: |lab| {
                let held: Vec<_> = (0..4)
                    .map(|_| {
                        let to = (lab.server.addr, 25);
                        let stream = lab.client.enter(|| std::net::TcpStream::connect(to));
                        // So that the greeting of one comes before the next connection.
                        std::thread::sleep(std::time::Duration::from_millis(300));
                        stream
                    })
                    .collect();
                drop(held);
            },
            findings: &["smtp.connection-limit"],
            accepted: 0,
        },
        Setup {
            name: "postfix postscreen",
            services: "smtp inet n - n - 1 postscreen\nsmtpd pass - - n - - smtpd",
            settings: "postscreen_greet_banner = mail.example.com is looking at you\n\
                       postscreen_access_list =\npostscreen_greet_wait = 4s",
            work: |lab| {
                talk(&lab.client, &lab.server, &mails(1));
            },
            findings: &["smtp.slow-greeting"],
            accepted: 1,
        },
        Setup {
            name: "postfix greylisting",
            services: SMTPD,
            settings: "smtpd_recipient_restrictions = check_policy_service inet:127.0.0.1:10031",
            work: |lab| {
                policy(&lab.server);
                let mut refused = mails(1)[..3].to_vec();
                refused.extend(turns(&["QUIT"]));
                talk(&lab.client, &lab.server, &refused);
                talk(&lab.client, &lab.server, &mails(1));
            },
            findings: &["smtp.greylisted"],
            accepted: 1,
        },
        Setup {
            name: "postfix timer",
            services: SMTPD,
            settings: "smtpd_timeout = 3s",
            work: |lab| {
                // Asks, and then waits for an answer to nothing.
                let mut all = turns(&["EHLO client.example.net"]);
                all.push("NO".to_owned());
                talk(&lab.client, &lab.server, &all);
            },
            findings: &["smtp.timeout"],
            accepted: 0,
        },
    ]
}

/// A policy service of Postfix that sends the first request away.
fn policy(host: &Host) {
    use std::io::{BufRead, BufReader, Write};
    let listener = host.enter(|| std::net::TcpListener::bind(("127.0.0.1", 10_031)).unwrap());
    std::thread::spawn(move || {
        let mut asked = false;
        for stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let mut stream = stream;
            while let Some(Ok(line)) = lines.next() {
                if line.is_empty() {
                    let action = if asked {
                        "DUNNO"
                    } else {
                        "450 4.2.0 Greylisted, come again"
                    };
                    asked = true;
                    let _ = write!(stream, "action={action}\n\n");
                }
            }
        }
    });
}

#[test]
fn postfix_is_seen_through() {
    let mut wrong = Vec::new();
    std::thread::scope(|scope| {
        let rows: Vec<_> = setups()
            .into_iter()
            .map(|setup| scope.spawn(move || at_best(setup.name, || with_postfix(&setup))))
            .collect();
        for row in rows {
            wrong.extend(row.join().unwrap());
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn with_postfix(setup: &Setup) -> Vec<String> {
    let name = setup.name;
    let Some(lab) = lab(name, &["postfix", "smtp-source"]) else {
        return Vec::new();
    };
    let folder = Folder::new(&format!("{}-daemon", name.replace(' ', "-")));
    let server = postfix(&lab.server, &folder.0, setup.services, setup.settings);
    let running = match server {
        Ok(running) => running,
        Err(reason) => {
            eprintln!("{name}: skipped: {reason}");
            return Vec::new();
        }
    };
    let reports = observed(&lab, name, || (setup.work)(&lab));
    drop(running);
    let mut wrong = Vec::new();
    for (end, report) in &reports {
        wrong.extend(other_than(report, end, name, setup.findings));
        let smtp = report.flows.iter().filter_map(|f| f.smtp.as_ref());
        let messages = smtp.flat_map(|smtp| &smtp.messages);
        let accepted = messages.filter(|m| m.accepted == Some(true)).count();
        let by_pair: u64 = report
            .mail
            .iter()
            .flat_map(|m| &m.pairs)
            .map(|p| p.accepted)
            .sum();
        if by_pair != accepted as u64 {
            wrong.push(format!(
                "{name} at the {end}: the pairs have {by_pair} messages"
            ));
        }
        if accepted != setup.accepted {
            wrong.push(format!(
                "{name} at the {end}: {accepted} messages accepted, not {}",
                setup.accepted
            ));
        }
    }
    wrong
}

/// A way to speak to Samba.
struct Share {
    name: &'static str,
    settings: &'static str,
    client: &'static [&'static str],
    findings: &'static [&'static str],
    /// One of these.
    dialects: &'static [&'static str],
    /// Whether messages are signed, and whether they are encrypted.
    protection: [Option<bool>; 2],
}

fn shares() -> Vec<Share> {
    vec![
        Share {
            name: "samba NT1",
            settings: "",
            client: &["-m", "NT1", "--option=client min protocol=NT1"],
            findings: &["smb.legacy-dialect"],
            dialects: &["NT LANMAN 1.0", "NT LM 0.12"],
            protection: [Some(false), Some(false)],
        },
        Share {
            name: "samba NT1 in NetBIOS sessions",
            settings: "",
            client: &["-m", "NT1", "--option=client min protocol=NT1", "-p", "139"],
            findings: &["smb.legacy-dialect"],
            dialects: &["NT LANMAN 1.0", "NT LM 0.12"],
            protection: [Some(false), Some(false)],
        },
        Share {
            name: "samba SMB2",
            settings: "",
            client: &["-m", "SMB2_02"],
            findings: &[],
            dialects: &["2.0.2"],
            protection: [Some(false), Some(false)],
        },
        Share {
            name: "samba SMB3",
            settings: "",
            client: &["-m", "SMB3"],
            findings: &[],
            dialects: &["3.1.1"],
            protection: [Some(false), Some(false)],
        },
        Share {
            name: "samba SMB3 signed",
            settings: "server signing = mandatory",
            client: &["-m", "SMB3", "--client-protection=sign"],
            findings: &[],
            dialects: &["3.1.1"],
            protection: [Some(true), Some(false)],
        },
        Share {
            name: "samba SMB3 encrypted",
            settings: "server smb encrypt = required",
            client: &["-m", "SMB3", "--client-protection=encrypt"],
            findings: &[],
            dialects: &["3.1.1"],
            // Encrypted messages carry no signature of their own.
            protection: [None, Some(true)],
        },
    ]
}

#[test]
fn samba_is_understood_in_all_its_dialects() {
    let mut wrong = Vec::new();
    std::thread::scope(|scope| {
        let rows: Vec<_> = shares()
            .into_iter()
            .map(|share| scope.spawn(move || at_best(share.name, || with_samba(&share))))
            .collect();
        for row in rows {
            wrong.extend(row.join().unwrap());
        }
    });
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn with_samba(share: &Share) -> Vec<String> {
    let name = share.name;
    let Some(lab) = lab(name, &["smbd", "smbpasswd", "smbclient"]) else {
        return Vec::new();
    };
    let folder = Folder::new(&format!("{}-daemon", name.replace(' ', "-")));
    let running = match samba(&lab.server, &folder.0, share.settings) {
        Ok(running) => running,
        Err(reason) => {
            eprintln!("{name}: skipped: {reason}");
            return Vec::new();
        }
    };
    let up = folder.0.join("up.bin");
    let down = folder.0.join("down.bin");
    fs::write(&up, vec![7; 40_000]).unwrap();
    let orders = format!(
        "put {} up.bin; ls; get up.bin {}; del up.bin",
        up.display(),
        down.display()
    );
    let service = format!("//{}/files", lab.server.addr);
    let conf = folder.0.join("smb.conf");
    let conf = conf.to_string_lossy();
    let mut failed = None;
    let reports = observed(&lab, name, || {
        let arguments = [&service, "-s", &*conf, "-U", USER, "-c", &orders];
        let smbclient = command("smbclient", &[&arguments[..], share.client].concat());
        failed = lab.client.run(smbclient).err();
    });
    drop(running);
    let mut wrong: Vec<String> = failed.into_iter().collect();
    for (end, report) in &reports {
        wrong.extend(other_than(report, end, name, share.findings));
        let mut check = |what: &str, right: bool| {
            if !right {
                let smb: Vec<_> = report.flows.iter().map(|f| &f.smb).collect();
                wrong.push(format!("{name} at the {end}: {what}: {smb:?}"));
            }
        };
        let mut flows = report.flows.iter().filter_map(|f| f.smb.as_ref());
        let Some(smb) = flows.next() else {
            check("no SMB", false);
            continue;
        };
        let dialect = smb.dialect.as_deref().unwrap_or("");
        check("dialect", share.dialects.contains(&dialect));
        check(
            "protection",
            [smb.signing, smb.encrypted] == share.protection,
        );
        // Encrypted or not: a file goes there and back and is looked at, which takes some ten requests.
        let sealed = smb.encrypted_requests.as_ref();
        let answered: u64 = smb.commands.values().chain(sealed).map(|c| c.count).sum();
        check("requests", answered >= 12);
        check(
            "response times",
            sealed.is_some() == (smb.encrypted == Some(true))
                && sealed.is_none_or(|c| c.median.is_some() && c.unanswered == 0),
        );
        check(
            "nothing unanswered",
            smb.commands.values().all(|c| c.unanswered == 0),
        );
    }
    wrong
}
