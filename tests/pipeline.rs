//! Several captures in one run: files of a rotated set are one capture, others keep their flows apart, and every frame is named by the
//! file that it stands in. What the user gives besides is read, or refused with its name.
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
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

/// What a report says of its flows, wherever their frames lie.
fn figures(report: &Report) -> Vec<serde_json::Value> {
    let mut flows: Vec<serde_json::Value> = serde_json::to_value(&report.flows)
        .unwrap()
        .as_array()
        .unwrap()
        .clone();
    for flow in &mut flows {
        let flow = flow.as_object_mut().unwrap();
        for place in [
            "capture",
            "last_capture",
            "first_frame",
            "last_frame",
            "index",
        ] {
            flow.remove(place);
        }
        for half in ["client_to_server", "server_to_client"] {
            for stall in flow[half]["stalls"].as_array_mut().unwrap() {
                stall.as_object_mut().unwrap().remove("frame");
            }
        }
        flow.remove("smtp");
    }
    flows
}

fn seen_twice(report: &Report) -> Vec<u64> {
    report.captures.iter().map(|c| c.seen_twice).collect()
}

fn ids(report: &Report) -> Vec<&str> {
    report.findings.iter().map(|f| f.id.as_str()).collect()
}

/// The same whatever the number of threads.
fn in_any_threads(captures: &[String], report: &Report) {
    let report = serde_json::to_value(report).unwrap();
    for jobs in [1, 2, 3, 4, 7, 40] {
        let other = run(captures, |s| s.jobs = Some(jobs));
        assert_eq!(serde_json::to_value(&other).unwrap(), report, "{jobs}");
    }
}

#[test]
fn a_capture_given_twice_counts_once() {
    let folder = Folder::new("views");
    let octets = pcap(&stuck());
    let whole = run(&[folder.write("whole.pcap", &octets)], |_| ());
    for (name, paths) in [
        ("other names", ["client.pcap", "server.pcap"]),
        ("names of a set", ["host1.pcap", "host2.pcap"]),
    ] {
        let paths = paths.map(|path| folder.write(path, &octets));
        let report = run(&paths, |_| ());
        assert_eq!(figures(&report), figures(&whole), "{name}");
        assert_eq!(ids(&report), ids(&whole), "{name}");
        assert_eq!(seen_twice(&report), [0, 10], "{name}");
        assert_eq!(report.totals.tcp_segments, 20, "{name}");
        let notes = report.notes.join("\n");
        for part in [
            "capture 1 and capture 2 show the same connection",
            "at one place",
        ] {
            assert!(notes.contains(part), "{name}: {notes}");
        }
        in_any_threads(&paths, &report);
    }
    let path = folder.write("same.pcap", &octets);
    let report = run(&[path.clone(), path], |_| ());
    assert_eq!(report.captures.len(), 1);
    assert!(report.notes.join("\n").contains("named twice"));
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
        let greeting = phases.get("greeting").unwrap();
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

/// Connections of several hosts by turns, some with losses: the client is 192.0.2.1.
fn busy() -> Vec<Frame> {
    let mut scene = support::scenes::loss(50);
    for (n, server) in [(0u16, 26u8), (1, 27), (2, 26)] {
        scene.add(
            support::scenes::between(1, 50_000 + 100 * n, server, 80)
                .gap_us(700)
                .handshake()
                .send(C2S, b"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
                .stream(S2C, &[b'x'; 146_000])
                .close(C2S),
        );
    }
    scene.frames()
}

/// Deals frames out to several captures.
fn deal(frames: &[Frame], captures: usize, to: impl Fn(usize, &Frame) -> usize) -> Vec<Vec<Frame>> {
    let mut dealt = vec![Vec::new(); captures];
    for (n, frame) in frames.iter().enumerate() {
        dealt[to(n, frame)].push(frame.clone());
    }
    dealt
}

/// The same, so many times as slow: files that are one second apart or less may be one ring's.
fn slowly(frames: &[Frame], times: i64) -> Vec<Frame> {
    let first = frames[0].time;
    let slow = |f: &Frame| Frame {
        time: first + (f.time - first) * times,
        octets: f.octets.clone(),
    };
    frames.iter().map(slow).collect()
}

/// Last octet of the source address.
fn sender(frame: &Frame) -> u8 {
    frame.octets[29]
}

#[test]
fn parts_of_one_capture_give_the_report_of_the_whole() {
    let folder = Folder::new("parts");
    let frames = slowly(&busy(), 8);
    let whole = run(&[folder.write("whole.pcap", &pcap(&frames))], |_| ());
    assert!(ids(&whole).contains(&"loss.network"), "{:?}", ids(&whole));
    let half = frames.len() / 2;
    let odd = |n: usize, _: &Frame| n % 2;
    let way = |_: usize, f: &Frame| usize::from(sender(f) == 1);
    let bunches = |n: usize, _: &Frame| n / 7 % 3;
    // A ring of two files for each of two adapters, whose names differ in numbers only.
    let rings = |n: usize, _: &Frame| n % 2 + 2 * usize::from(n > half);
    type Deal<'a> = &'a dyn Fn(usize, &Frame) -> usize;
    let rows: [(&str, &[&str], Deal<'_>); 5] = [
        ("by turns", &["nic-a.pcap", "nic-b.pcap"], &odd),
        (
            "a team whose names differ in numbers",
            &["eth0.pcap", "eth1.pcap"],
            &odd,
        ),
        (
            "each way by its own adapter",
            &["out.pcap", "in.pcap"],
            &way,
        ),
        (
            "in bunches, over three",
            &["x.pcap", "y.pcap", "z.pcap"],
            &bunches,
        ),
        (
            "two rings",
            &["eth0_1.pcap", "eth1_1.pcap", "eth0_2.pcap", "eth1_2.pcap"],
            &rings,
        ),
    ];
    for (name, files, to) in rows {
        let dealt = deal(&frames, files.len(), to);
        let paths: Vec<String> = files
            .iter()
            .zip(dealt)
            .map(|(file, frames)| folder.write(file, &pcap(&frames)))
            .collect();
        let report = run(&paths, |_| ());
        assert_eq!(figures(&report), figures(&whole), "{name}");
        assert_eq!(ids(&report), ids(&whole), "{name}");
        assert!(seen_twice(&report).iter().all(|n| *n == 0), "{name}");
        assert!(report.notes.is_empty(), "{name}: {:?}", report.notes);
        // A proof is named by the file that it stands in.
        for finding in &report.findings {
            for e in &finding.evidence {
                let capture = &report.captures[e.capture as usize];
                assert!((1..=capture.frames).contains(&e.frame), "{name}: {e:?}");
            }
        }
        in_any_threads(&paths, &report);
    }
}

#[test]
fn captures_that_overlap_count_what_both_show_once() {
    let folder = Folder::new("overlap");
    let frames = busy();
    let n = frames.len();
    let whole = run(&[folder.write("whole.pcap", &pcap(&frames))], |_| ());
    let all: Vec<Frame> = frames.clone();
    let part = |from: usize, to: usize| frames[from * n / 10..to * n / 10].to_vec();
    type Files<'a> = Vec<(&'a str, Vec<Frame>)>;
    let rows: [(&str, Files<'_>); 4] = [
        (
            "two captures, one started later",
            vec![("a.pcap", part(0, 7)), ("b.pcap", part(4, 10))],
        ),
        (
            "rings that overlap",
            vec![
                ("a_1.pcap", part(0, 3)),
                ("a_2.pcap", part(3, 7)),
                ("b_1.pcap", part(4, 8)),
                ("b_2.pcap", part(8, 10)),
            ],
        ),
        (
            "all interfaces, and one of them",
            vec![
                ("any.pcap", all.clone()),
                (
                    "eth0.pcap",
                    all.iter()
                        .filter(|f| sender(f) != 27 && f.octets[33] != 27)
                        .cloned()
                        .collect(),
                ),
            ],
        ),
        (
            "both adapters of a team, and the team",
            vec![
                ("bond.pcap", all.clone()),
                ("slave-a.pcap", deal(&all, 2, |n, _| n % 2).remove(0)),
                ("slave-b.pcap", deal(&all, 2, |n, _| n % 2).remove(1)),
            ],
        ),
    ];
    for (name, files) in rows {
        let total: usize = files.iter().map(|(_, frames)| frames.len()).sum();
        let paths: Vec<String> = files
            .iter()
            .map(|(file, frames)| folder.write(file, &pcap(frames)))
            .collect();
        let report = run(&paths, |_| ());
        assert_eq!(figures(&report), figures(&whole), "{name}");
        assert_eq!(ids(&report), ids(&whole), "{name}");
        let twice: u64 = seen_twice(&report).iter().sum();
        assert_eq!(twice, (total - n) as u64, "{name}");
        assert!(
            report.notes.join("\n").contains("at the same time"),
            "{name}"
        );
        in_any_threads(&paths, &report);
    }
}

#[test]
fn interfaces_of_one_file_that_show_the_same_frames() {
    use tcptriage::capture::{LinkType, PcapngWriter};
    let folder = Folder::new("interfaces");
    let frames = busy();
    let whole = run(&[folder.write("whole.pcap", &pcap(&frames))], |_| ());
    let names = [("vSwitch", LinkType::ETHERNET), ("NIC", LinkType::ETHERNET)];
    let mut out = PcapngWriter::with_interfaces(Vec::new(), names.into_iter()).unwrap();
    for frame in &frames {
        for interface in 0..2 {
            let time = Timestamp(frame.time + i64::from(interface) * 9_000);
            let length = frame.octets.len() as u32;
            out.frame_of(interface, time, &frame.octets, length)
                .unwrap();
        }
    }
    let report = run(
        &[folder.write("two.pcapng", &out.finish().unwrap())],
        |_| (),
    );
    let repeats = |report: &Report| -> Vec<u64> {
        let halves = report
            .flows
            .iter()
            .flat_map(|f| [&f.client_to_server, &f.server_to_client]);
        halves.map(|h| h.retransmitted_segments).collect()
    };
    assert_eq!(repeats(&report), repeats(&whole));
    assert_eq!(report.captures[0].duplicates_removed, frames.len() as u64);
    let hurts = |report: &Report| -> Vec<String> {
        let found = report.findings.iter().filter(|f| f.severity != "info");
        found.map(|f| f.id.clone()).collect()
    };
    assert_eq!(hurts(&report), hurts(&whole));
    assert!(ids(&report).contains(&"capture.duplicates"));
}

#[test]
fn hosts_that_have_nothing_to_do_with_each_other() {
    let folder = Folder::new("strangers");
    let one = busy();
    let other = support::scenes::all((0..4u16).map(|n| {
        support::scenes::between(101, 49_160 + n, 125, 25)
            .handshake()
            .send(S2C, b"220 mail.example ESMTP Postfix\r\n")
            .ack(C2S)
            .close(C2S)
    }))
    .frames();
    let (a, b) = (
        folder.write("hub1.pcap", &pcap(&one)),
        folder.write("mail.pcap", &pcap(&other)),
    );
    let [first, second] = [&a, &b].map(|path| run(std::slice::from_ref(path), |_| ()));
    let paths = [a, b];
    let report = run(&paths, |_| ());
    let mut want = figures(&first);
    want.extend(figures(&second));
    let by_start = |mut flows: Vec<serde_json::Value>| {
        flows.sort_by(|a, b| {
            a["start"]
                .as_f64()
                .unwrap()
                .total_cmp(&b["start"].as_f64().unwrap())
        });
        flows
    };
    // One timeline: in order of time.
    assert_eq!(figures(&report), by_start(want));
    assert_eq!(seen_twice(&report), [0, 0]);
    assert!(report.notes.is_empty(), "{:?}", report.notes);
    in_any_threads(&paths, &report);
}

#[test]
fn both_ends_of_a_path_are_followed_at_one_of_them() {
    use support::made::two_points::{Between, captures};
    let folder = Folder::new("ends");
    let convos = || {
        (0..3u16).map(|n| {
            let mut convo = support::scenes::between(1, 49_160 + 1_000 * n, 25, 80)
                .gap_us(400)
                .handshake()
                .send(C2S, b"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
                .stream(S2C, &[b'x'; 146_000]);
            for _ in 0..40 {
                convo = convo.send(C2S, &[b'u'; 1_000]).ack(S2C).wait_ms(5);
            }
            convo.close(C2S)
        })
    };
    for (name, offset, drift_ppm) in [
        ("one clock", 0, 0),
        ("ahead", 5_000_000_000, 0),
        ("behind", -5_000_000_000, 0),
        ("set to another zone", 3_600_000_000_000, 0),
        ("drifting", 700_000_000, 50),
    ] {
        let between = Between {
            offset,
            drift_ppm,
            ..Between::default()
        };
        let [left, right] = captures(convos().collect(), &between, |_, _| None);
        for (order, files) in [
            ("left first", [&left, &right]),
            ("right first", [&right, &left]),
        ] {
            let paths = [
                folder.write("first.pcap", files[0]),
                folder.write("second.pcap", files[1]),
            ];
            let report = run(&paths, |_| ());
            assert_eq!(report.flows.len(), 3, "{name}, {order}");
            let whole: Vec<u64> = report.captures.iter().map(|c| c.frames).collect();
            let twice = seen_twice(&report);
            assert_eq!(
                twice.iter().sum::<u64>(),
                whole[0],
                "{name}, {order}: {twice:?} of {whole:?}"
            );
            for flow in &report.flows {
                for half in [&flow.client_to_server, &flow.server_to_client] {
                    assert_eq!(half.retransmitted_segments, 0, "{name}, {order}");
                    assert_eq!(half.out_of_order_segments, 0, "{name}, {order}");
                    assert_eq!(half.unseen_octets, 0, "{name}, {order}");
                }
                assert_eq!(flow.disordered_segments, 0, "{name}, {order}");
            }
            let hurts = report.findings.iter().filter(|f| f.severity != "info");
            assert_eq!(hurts.count(), 0, "{name}, {order}: {:?}", ids(&report));
            assert!(!ids(&report).contains(&"capture.clock"), "{name}, {order}");
            let notes = report.notes.join("\n");
            assert!(
                notes.contains("tcptriage compare"),
                "{name}, {order}: {notes}"
            );
            let said = notes.contains("the clock of capture 2 is");
            assert_eq!(said, offset != 0, "{name}, {order}: {notes}");
            in_any_threads(&paths, &report);
        }
    }
}

#[test]
fn pairs_of_the_laboratory_show_no_more_together_than_alone() {
    let hurts = |report: &Report| -> BTreeSet<String> {
        let found = report.findings.iter().filter(|f| f.severity != "info");
        found.map(|f| f.id.clone()).collect()
    };
    let repeats = |report: &Report| -> u64 {
        let halves = report
            .flows
            .iter()
            .flat_map(|f| [&f.client_to_server, &f.server_to_client]);
        halves.map(|h| h.retransmitted_segments).sum()
    };
    for folder in support::shared::scenarios() {
        let paths = ["client.pcap.gz", "server.pcap.gz"]
            .map(|name| folder.join(name).to_str().unwrap().to_owned());
        let [client, server] = [0, 1].map(|n| run(&paths[n..=n], |_| ()));
        let both = run(&paths, |_| ());
        let name = folder.file_name().unwrap().to_string_lossy();
        assert_eq!(
            both.flows.len(),
            client.flows.len().max(server.flows.len()),
            "{name}"
        );
        assert!(
            repeats(&both) <= repeats(&client).max(repeats(&server)),
            "{name}"
        );
        let found = hurts(&both);
        assert!(
            found.is_subset(&hurts(&client)) || found.is_subset(&hurts(&server)),
            "{name}: {found:?}, {:?}, {:?}",
            hurts(&client),
            hurts(&server)
        );
        let segments = client.totals.tcp_segments + server.totals.tcp_segments;
        assert_eq!(both.totals.tcp_segments, segments, "{name}");
    }
}

#[test]
#[cfg(unix)]
fn pipes_are_read_from_their_beginning() {
    let folder = Folder::new("pipes");
    let frames = stuck();
    let whole = run(&[folder.write("whole.pcap", &pcap(&frames))], |_| ());
    let paths = ["1", "2"].map(|name| folder.0.join(name).to_str().unwrap().to_owned());
    let made = std::process::Command::new("mkfifo").args(&paths).status();
    if !made.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no mkfifo");
        return;
    }
    let octets = pcap(&frames);
    let writers: Vec<_> = paths
        .iter()
        .map(|path| {
            let (path, octets) = (path.clone(), octets.clone());
            std::thread::spawn(move || fs::write(path, octets))
        })
        .collect();
    let report = run(&paths, |_| ());
    for writer in writers {
        writer.join().unwrap().unwrap();
    }
    let frames: Vec<u64> = report.captures.iter().map(|c| c.frames).collect();
    assert_eq!(frames, [whole.captures[0].frames; 2]);
    // What can be read but once is not sampled, so that nothing tells that both are the same.
    assert_eq!(report.flows.len(), 2);
    assert!(report.notes.join("\n").contains("show the same connection"));
}
