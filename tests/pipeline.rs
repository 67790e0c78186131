//! Several captures in one run: files of a rotated set are one capture, others keep their flows apart, and every frame is named by the
//! file that it stands in. What the user gives besides is read, or refused with its name.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::PathBuf;

use support::convo::{C2S, Convo, S2C};
use support::scene::{Frame, Scene, pcap};
use support::wire::Checksum;
use tcptriage::net::Timestamp;
use tcptriage::pipeline::{Settings, analyze};
use tcptriage::report::model::Report;

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path =
            std::env::temp_dir().join(format!("tcptriage-pipeline-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, octets: &[u8]) -> String {
        let path = self.0.join(name);
        fs::write(&path, octets).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn run(captures: &[String], change: impl FnOnce(&mut Settings)) -> Report {
    let mut settings = Settings {
        captures: captures.to_vec(),
        ..Settings::default()
    };
    change(&mut settings);
    analyze(&settings).unwrap()
}

fn refused(change: impl FnOnce(&mut Settings)) -> String {
    let folder = Folder::new("refused");
    let mut settings = Settings {
        captures: vec![folder.write("a.pcap", &pcap(&stuck()))],
        ..Settings::default()
    };
    change(&mut settings);
    analyze(&settings).unwrap_err().to_string()
}

/// A client that says EHLO five times, ever slower, and is never heard: 3 frames of handshake, 2 of greeting, 5 of EHLO.
fn stuck() -> Vec<Frame> {
    let mut convo = Convo::new()
        .handshake()
        .send(S2C, b"220 mail.example ESMTP Postfix\r\n")
        .ack(C2S)
        .send(C2S, b"EHLO client.example\r\n")
        .lost();
    for wait in [300, 600, 1_200, 2_400] {
        convo = convo.wait_ms(wait).again().lost();
    }
    let mut scene = Scene::new();
    scene.add(convo);
    scene.frames()
}

fn proofs(report: &Report, id: &str) -> Vec<(u32, u64)> {
    let found = report.findings.iter().find(|f| f.id == id);
    let found = found.unwrap_or_else(|| panic!("no {id} in {:#?}", report.findings));
    let frames = found.evidence.iter().map(|e| (e.capture, e.frame));
    frames.collect()
}

#[test]
fn a_rotated_set_is_one_capture() {
    let folder = Folder::new("rotated");
    let frames = stuck();
    assert_eq!(frames.len(), 10);
    let whole = run(&[folder.write("whole.pcap", &pcap(&frames))], |_| ());
    let parts = [
        folder.write("ring_2.pcap", &pcap(&frames[7..])),
        folder.write("ring_1.pcap", &pcap(&frames[..7])),
    ];
    let rotated = run(&parts, |_| ());
    let one_thread = run(&parts, |s| s.jobs = Some(1));

    assert_eq!(whole.totals.flows, 1);
    assert_eq!(rotated.totals.flows, 1);
    let first = &rotated.flows[0];
    assert_eq!(
        (
            first.capture,
            first.first_frame,
            first.last_capture,
            first.last_frame
        ),
        (0, 1, 1, 3)
    );
    assert_eq!(
        proofs(&whole, "storm.retransmission"),
        [(0, 6), (0, 7), (0, 8), (0, 9), (0, 10)]
    );
    assert_eq!(
        proofs(&rotated, "storm.retransmission"),
        [(0, 6), (0, 7), (1, 1), (1, 2), (1, 3)]
    );
    assert_eq!(whole.findings.len(), rotated.findings.len());
    assert!(rotated.notes.is_empty(), "{:?}", rotated.notes);
    assert_eq!(
        serde_json::to_value(&rotated).unwrap(),
        serde_json::to_value(&one_thread).unwrap()
    );
}

#[test]
fn two_captures_of_one_connection_are_two_views_of_it() {
    let folder = Folder::new("views");
    let octets = pcap(&stuck());
    for (name, paths) in [
        ("other names", ["client.pcap", "server.pcap"]),
        (
            "names of a set, but they overlap",
            ["host1.pcap", "host2.pcap"],
        ),
    ] {
        let paths = paths.map(|path| folder.write(path, &octets));
        let report = run(&paths, |_| ());
        let captures: Vec<_> = report.flows.iter().map(|f| f.capture).collect();
        assert_eq!(captures, [0, 1], "{name}");
        assert_eq!(report.flows[1].first_frame, 1, "{name}");
        let notes = report.notes.join("\n");
        assert!(
            notes.contains("captures 1 and 2 show the same connection"),
            "{name}: {notes}"
        );
        let told = notes.contains("they overlap");
        assert_eq!(told, name.contains("overlap"), "{name}: {notes}");
    }
}

#[test]
fn frames_outside_the_span_of_time_are_left_out() {
    let folder = Folder::new("span");
    let frames = stuck();
    let report = run(&[folder.write("a.pcap", &pcap(&frames))], |s| {
        s.from = Some(Timestamp(frames[5].time));
        s.to = Some(Timestamp(frames[8].time));
    });
    let flow = &report.flows[0];
    assert_eq!((flow.first_frame, flow.last_frame), (6, 9));
}

#[test]
fn names_of_tunnels_and_the_time_to_the_greeting_reach_the_report() {
    let folder = Folder::new("vlan");
    let mut scene = Scene::new();
    for (port, vlan) in [(49_152, 7), (49_153, 12)] {
        let host = |last: u8| support::wire::Host {
            addr: std::net::Ipv4Addr::new(192, 0, 2, last).into(),
            mac: [2, 0, 0, 0, 0, last],
            ttl: 64,
            local: false,
        };
        scene.add(
            Convo::between(host(1), port, host(25), 25)
                .vlans(&[vlan])
                .handshake()
                .wait_ms(3_000)
                .send(S2C, b"220 mail.example ESMTP Postfix\r\n")
                .ack(C2S)
                .close(C2S),
        );
    }
    let frames = scene.frames();
    // The second file of the set begins when both are under way.
    let parts = [
        folder.write("a1.pcap", &pcap(&frames[..7])),
        folder.write("a2.pcap", &pcap(&frames[7..])),
    ];
    let report = run(&parts, |_| ());
    assert_eq!(report.flows.len(), 2);
    for (flow, vlan) in report.flows.iter().zip(["VLAN 7", "VLAN 12"]) {
        assert_eq!(flow.encapsulation.as_deref(), Some(vlan));
        assert_eq!(flow.last_capture, 1);
        let phases = &flow.smtp.as_ref().unwrap().phases;
        let greeting = &phases["greeting"];
        assert_eq!(greeting.count, 1);
        assert!((3.0..3.1).contains(&greeting.sum), "{}", greeting.sum);
    }
}

#[test]
#[cfg(feature = "live")]
fn frames_that_the_filter_does_not_match_are_left_out() {
    let folder = Folder::new("filter");
    let path = [folder.write("a.pcap", &pcap(&stuck()))];
    let report = run(&path, |s| s.filter = Some("src port 25".to_owned()));
    assert_eq!(report.totals.tcp_segments, 2);
    assert_eq!(report.flows[0].first_frame, 2);
    let error = analyze(&Settings {
        captures: path.to_vec(),
        filter: Some("src port".to_owned()),
        ..Settings::default()
    });
    assert!(error.unwrap_err().to_string().contains("src port"));
}

#[test]
fn what_cannot_be_used_is_named() {
    let folder = Folder::new("bad");
    let rule = folder.write("my-rule.toml", b"title = 3\n");
    let nowhere = folder.0.join("nowhere.txt");
    let named = |s: &mut Settings, what: &str| match what {
        "facts" => s.facts.push((None, nowhere.clone())),
        "log" => s.logs.push(nowhere.clone()),
        "rule" => s.rules.push(PathBuf::from(&rule)),
        _ => s.os.push(("192.0.2.1".to_owned(), "windows95".to_owned())),
    };
    for (what, want) in [
        ("facts", &["cannot read", "nowhere.txt"][..]),
        ("log", &["cannot read", "nowhere.txt"]),
        ("rule", &["my-rule.toml:1", "title"]),
        ("system", &["windows95", "ws2008r2"]),
    ] {
        let text = refused(|s| named(s, what));
        for part in want {
            assert!(text.contains(part), "{what}: {text}");
        }
    }
}

#[test]
fn logs_are_joined_and_facts_not_understood_are_told() {
    let folder = Folder::new("besides");
    let log = "#Software: Microsoft Exchange Server\r\n#Version: 14.0.0.0\r\n#Log-type: SMTP Receive Protocol Log\r\n#Fields: \
        date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context\r\n\
        1970-01-01T00:00:05.000Z,HUB\\Default,08D1,0,192.0.2.25:25,192.0.2.1:49152,+,,\r\n\
        1970-01-01T00:00:05.010Z,HUB\\Default,08D1,1,192.0.2.25:25,192.0.2.1:49152,>,220 mail.example,\r\n";
    let log = folder.write("RECV1.LOG", log.as_bytes());
    let facts = b"Receive-Side Scaling State          : enabled\nthere is no sense in this line\n";
    let facts = folder.write("facts.txt", facts);
    let report = run(&[folder.write("a.pcap", &pcap(&stuck()))], |s| {
        s.logs.push(PathBuf::from(log));
        s.facts.push((None, PathBuf::from(facts)));
    });
    let notes = report.notes.join("\n");
    for part in [
        "sessions in the logs: 1; of these among the flows: 1",
        "5.0 s ahead of the capture's",
        "facts.txt line 2",
    ] {
        assert!(notes.contains(part), "{part}: {notes}");
    }
}

/// A client whose adapter leaves the checksums of its data unfilled on the wire, seen `client` and `server` microseconds from the two.
fn unfilled_on_the_wire(client: i64, server: i64, headers: Checksum) -> Vec<Frame> {
    let mut convo = Convo::new()
        .rtt_us(client, server)
        .checksums(C2S, headers)
        .handshake()
        .send(S2C, b"220 mail.example ESMTP Postfix\r\n")
        .ack(C2S)
        .send(C2S, &[b'x'; 1_000])
        .checksum(Checksum::UnfilledPartial)
        .lost();
    for wait in [300, 600, 1_200, 2_400] {
        convo = convo
            .wait_ms(wait)
            .again()
            .checksum(Checksum::UnfilledPartial)
            .lost();
    }
    let mut scene = Scene::new();
    scene.add(convo);
    scene.frames()
}

#[test]
fn unfilled_checksums_are_judged_by_where_they_were_seen() {
    let folder = Folder::new("unfilled");
    for (name, client, server, headers, proven) in [
        (
            "beside the sender",
            20,
            4_000,
            Checksum::UnfilledPartial,
            false,
        ),
        ("beside the receiver", 4_000, 20, Checksum::Good, true),
    ] {
        let frames = unfilled_on_the_wire(client, server, headers);
        let report = run(&[folder.write("a.pcap", &pcap(&frames))], |_| ());
        let broken = report
            .findings
            .iter()
            .find(|f| f.id == "checksum.offload-broken")
            .unwrap_or_else(|| panic!("{name}: {:#?}", report.findings));
        assert_eq!(
            broken.confidence >= 0.95,
            proven,
            "{name}: {}",
            broken.summary
        );
        assert_eq!(
            broken.summary.contains("at the receiver's side"),
            proven,
            "{name}"
        );
        assert!(
            !report.findings.iter().any(|f| f.id == "loss.ack"),
            "{name}: what rides on stuck data is stuck with it"
        );
    }
}
