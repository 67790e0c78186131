//! What the flow stage must not be led astray by: each row a conversation through the whole pipe, and the counts of one direction.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use support::convo::{C2S, Convo, S2C};
use support::scene::{Frame, Scene, pcap};
use support::shared;
use support::wire::{ACK, Checksum, FIN, RST, SYN};
use tcptriage::pipeline::{Settings, analyze, segments};
use tcptriage::report::model::{Flow, Report};

fn report(name: &str, convo: Convo) -> Report {
    report_of(name, vec![convo])
}

/// The same of several conversations in one capture.
fn report_of(name: &str, convos: Vec<Convo>) -> Report {
    let mut scene = Scene::new();
    for convo in convos {
        scene.add(convo);
    }
    report_of_files(name, &[pcap(&scene.frames())])
}

/// The same of whole files, given in this order.
fn report_of_files(name: &str, files: &[Vec<u8>]) -> Report {
    let folder = std::env::temp_dir().join(format!(
        "tcptriage-verdicts-{}-{}",
        std::process::id(),
        name.replace([' ', '/'], "-")
    ));
    std::fs::create_dir_all(&folder).unwrap();
    let mut captures = Vec::new();
    for (n, file) in files.iter().enumerate() {
        // Named as dumpcap names the files of a rotated set.
        let path = folder.join(format!("part_{:05}_20260101{n:06}.pcap", n + 1));
        std::fs::write(&path, file).unwrap();
        captures.push(path.to_str().unwrap().to_owned());
    }
    let report = analyze(&Settings {
        captures,
        ..Settings::default()
    })
    .unwrap();
    std::fs::remove_dir_all(folder).unwrap();
    report
}

/// A client that sends ten segments of 100 octets, each acknowledged.
fn ten(mut convo: Convo, from: usize) -> Convo {
    for n in from..10 {
        convo = convo
            .send(C2S, &[b'a' + u8::try_from(n).unwrap(); 100])
            .ack(S2C)
            .wait_ms(50);
    }
    convo
}

fn start() -> Convo {
    Convo::new()
        .rtt_us(200, 20_000)
        .handshake()
        .send(S2C, b"hello\r\n")
        .ack(C2S)
}

/// The invariants that every flow keeps.
fn sound(flow: &Flow, name: &str) {
    let parts: f64 = flow.time.iter().map(|t| t.seconds).sum();
    assert!(
        (parts - flow.duration).abs() < 1e-3,
        "{name}: {parts} of {}",
        flow.duration
    );
    for half in [&flow.client_to_server, &flow.server_to_client] {
        let kinds = &half.retransmissions;
        assert_eq!(
            kinds.fast + kinds.timeout + kinds.tail_probe + kinds.spurious + kinds.unknown,
            half.retransmitted_segments,
            "{name}"
        );
        assert!(half.unique_octets <= half.octets, "{name}");
        assert!(half.zero_window_seconds <= flow.duration + 1e-9, "{name}");
    }
}

#[test]
fn strays_do_not_lead_astray() {
    let five = |convo| {
        let mut convo: Convo = convo;
        for n in 0..5u8 {
            convo = convo.send(C2S, &[n; 100]).ack(S2C).wait_ms(50);
        }
        convo
    };
    // (name, conversation, data segments and unique octets of the client, repeats, end)
    let stray = |flags, seq| {
        five(start())
            .send(C2S, b"")
            .with(move |p| (p.seq, p.flags) = (seq, flags))
    };
    let near = |flags, octets: &'static [u8], beyond: u32| {
        let convo = five(start());
        let seq = convo.next_seq(C2S).wrapping_add(beyond);
        convo
            .send(C2S, b"")
            .with(move |p| (p.seq, p.flags, p.payload) = (seq, flags, octets.to_vec()))
            .lost()
            .ack(S2C)
            .wait_ms(50)
    };
    // Octets beyond the window, several times: how far beyond, and how many.
    let many = |sent: &[(u32, usize)]| {
        let mut convo = five(start());
        let next = convo.next_seq(C2S);
        for &(beyond, octets) in sent {
            convo = convo
                .send(C2S, b"")
                .with(move |p| (p.seq, p.payload) = (next.wrapping_add(beyond), vec![b'x'; octets]))
                .lost()
                .wait_ms(50);
        }
        convo
    };
    let apart: Vec<(u32, usize)> = (0..17_000).map(|n| (1_000_000 + 10 * n, 10)).collect();
    let rows: [(&str, Convo, u64, u64, u64, &str); 19] = [
        (
            "more octets beyond the window than ranges are remembered",
            ten(many(&apart), 5),
            10,
            1000,
            0,
            "open",
        ),
        (
            "octets beyond the window more often than repeats are kept",
            ten(many(&[(1_000_000, 15); 4_500]), 5),
            10,
            1000,
            0,
            "open",
        ),
        (
            "octets beyond the window, three times",
            ten(many(&[(1_000_000, 15); 3]), 5),
            10,
            1000,
            0,
            "open",
        ),
        (
            "octets beyond the window, then some around them",
            ten(many(&[(1_000_010, 10), (1_000_000, 50)]), 5),
            10,
            1000,
            0,
            "open",
        ),
        (
            "a reset within the window that does not hit the next number",
            ten(near(RST, b"", 1_000), 5),
            10,
            1000,
            0,
            "open",
        ),
        (
            "the same, then an orderly close",
            ten(near(RST, b"", 1_000), 5).close(C2S),
            10,
            1000,
            0,
            "fin",
        ),
        ("a reset that hits", near(RST, b"", 0), 5, 500, 0, "reset"),
        (
            "a FIN beyond the window, and not far",
            ten(near(FIN | ACK, b"", 1_000_000), 5),
            10,
            1000,
            0,
            "open",
        ),
        (
            "octets beyond the window, and not far",
            ten(near(ACK, b"none of its own", 1_000_000), 5),
            10,
            1000,
            0,
            "open",
        ),
        (
            "a SYN with another number, answered by an acknowledgement",
            ten(stray(SYN, 0x7000_0000).ack(S2C).wait_ms(50), 5),
            10,
            1000,
            0,
            "open",
        ),
        (
            "the same twice, then an orderly close",
            ten(
                stray(SYN, 0x7000_0000)
                    .ack(S2C)
                    .send(C2S, b"")
                    .with(|p| (p.seq, p.flags) = (0x9000_0000, SYN))
                    .ack(S2C),
                5,
            )
            .close(C2S),
            10,
            1000,
            0,
            "fin",
        ),
        (
            "a SYN-ACK with another number",
            ten(
                five(start())
                    .send(S2C, b"")
                    .with(|p| (p.seq, p.flags) = (0x7000_0000, SYN | ACK))
                    .wait_ms(50),
                5,
            ),
            10,
            1000,
            0,
            "open",
        ),
        (
            "a SYN with the same number",
            ten(stray(SYN, u32::MAX - 5).ack(S2C).wait_ms(50), 5),
            10,
            1000,
            0,
            "open",
        ),
        ("healthy", ten(start(), 0), 10, 1000, 0, "open"),
        (
            "a lost segment",
            ten(
                start()
                    .send(C2S, &[9; 100])
                    .lost()
                    .wait_ms(400)
                    .again()
                    .ack(S2C),
                1,
            ),
            11,
            1000,
            1,
            "open",
        ),
        (
            "a FIN outside every window",
            ten(
                five(start())
                    .send(C2S, b"")
                    .with(|p| (p.seq, p.flags) = (0x7000_0000, ACK | FIN))
                    .wait_ms(50),
                5,
            ),
            10,
            1000,
            0,
            "open",
        ),
        (
            "a blind RST",
            ten(
                five(start())
                    .send(C2S, b"")
                    .with(|p| (p.seq, p.flags) = (0x9000_0000, RST))
                    .wait_ms(50),
                5,
            ),
            10,
            1000,
            0,
            "open",
        ),
        (
            "an acknowledgement with a flipped bit",
            ten(
                five(start())
                    .ack(S2C)
                    .with(|p| p.ack ^= 1 << 28)
                    .checksum(Checksum::Wrong)
                    .wait_ms(50),
                5,
            ),
            10,
            1000,
            0,
            "open",
        ),
        (
            "an orderly close",
            ten(start(), 0).close(C2S),
            10,
            1000,
            0,
            "fin",
        ),
    ];
    for (name, convo, data, unique, repeats, end) in rows {
        let report = report(name, convo);
        let flow = &report.flows[0];
        let half = &flow.client_to_server;
        assert_eq!(
            (
                half.data_segments,
                half.unique_octets,
                half.retransmitted_segments,
                flow.end
            ),
            (data, unique, repeats, end),
            "{name}"
        );
        assert_eq!(half.octets, unique + 100 * repeats, "{name}");
        let r = &half.retransmissions;
        let by_trigger = r.fast + r.timeout + r.tail_probe + r.spurious + r.unknown;
        assert_eq!(by_trigger, repeats, "{name}");
        sound(flow, name);
    }
}

/// What must not depend on numbering, time or company.
fn counts(flow: &Flow) -> Vec<[u64; 8]> {
    [&flow.client_to_server, &flow.server_to_client]
        .map(|h| {
            let r = &h.retransmissions;
            [
                h.data_segments,
                h.unique_octets,
                h.retransmitted_segments,
                r.fast,
                r.timeout + r.tail_probe,
                r.spurious,
                h.out_of_order_segments,
                h.unseen_octets,
            ]
        })
        .to_vec()
}

/// Losses repaired by the timer, octets that the capture missed, a shut window: a bit of everything.
fn troubled(convo: Convo) -> Convo {
    convo
        .rtt_us(200, 20_000)
        .handshake()
        .send(S2C, b"hello\r\n")
        .ack(C2S)
        .stream(C2S, &[b'x'; 20_000])
        .ack(S2C)
        .wait_ms(40)
        .send(C2S, &[b'y'; 900])
        .lost()
        .wait_ms(400)
        .again()
        .ack(S2C)
        .wait_ms(40)
        .send(S2C, &[b'z'; 300])
        .unseen()
        .ack(C2S)
        .wait_ms(40)
        .send(C2S, b"bye\r\n")
        .ack(S2C)
        .close(C2S)
}

#[test]
fn numbers_times_and_company_change_no_verdict() {
    let plain = report("plain", troubled(Convo::new()));
    let want = counts(&plain.flows[0]);
    assert!(
        want[0][2] > 0 && want[1][7] > 0,
        "the conversation has its troubles: {want:?}"
    );
    for (name, convo) in [
        ("numbers from one", Convo::new().isn(1, 2)),
        ("over the wrap", Convo::new().isn(u32::MAX - 900, u32::MAX)),
        (
            "over the sign",
            Convo::new().isn((1 << 31) - 9_000, (1 << 31) - 4),
        ),
        ("another day", Convo::new().at(1_900_000_000_000_000_000)),
        ("the first second", Convo::new().at(1)),
    ] {
        let report = report(name, troubled(convo));
        assert_eq!(counts(&report.flows[0]), want, "{name}");
        let ids = |r: &Report| r.findings.iter().map(|f| f.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(&report), ids(&plain), "{name}");
    }
    // Two flows in one capture are judged as each alone.
    let mut scene = Scene::new();
    let other = |c: Convo| ten(c, 0);
    scene.add(troubled(Convo::new()));
    let host = |addr: &str| support::wire::Host {
        addr: addr.parse().unwrap(),
        mac: [2, 0, 0, 0, 0, 9],
        ttl: 64,
        local: false,
    };
    scene.add(other(
        Convo::between(host("198.51.100.7"), 40_001, host("198.51.100.9"), 25)
            .rtt_us(200, 20_000)
            .handshake(),
    ));
    let path = std::env::temp_dir().join(format!(
        "tcptriage-verdicts-{}-both.pcap",
        std::process::id()
    ));
    std::fs::write(&path, pcap(&scene.frames())).unwrap();
    let both = analyze(&Settings {
        captures: vec![path.to_str().unwrap().to_owned()],
        ..Settings::default()
    })
    .unwrap();
    std::fs::remove_file(path).unwrap();
    assert_eq!(both.flows.len(), 2);
    let first = both
        .flows
        .iter()
        .find(|f| !f.client.starts_with("198.51.100"))
        .unwrap();
    assert_eq!(counts(first), want, "in company");
}

#[test]
fn ports_used_again_are_another_flow() {
    // The first connection has no end in the capture, and the second begins on its ports.
    let later = |isn| Convo::new().at(60_000_000_000).isn(isn, 9_000);
    let first = || ten(start(), 0);
    for (name, second, flows, octets) in [
        (
            "at once",
            ten(later(5_000).handshake(), 0),
            2,
            vec![1000, 1000],
        ),
        (
            "at the second SYN",
            ten(
                later(5_000)
                    .syn()
                    .lost()
                    .wait_ms(1_000)
                    .again()
                    .syn_ack()
                    .ack(C2S),
                0,
            ),
            2,
            vec![1000, 1000],
        ),
        (
            "with a number just beyond the old ones",
            ten(later(39_994).handshake(), 0),
            2,
            vec![1000, 1000],
        ),
        (
            "without a SYN-ACK in the capture",
            ten(later(5_000).syn().syn_ack().unseen().ack(C2S), 0),
            2,
            vec![1000, 1000],
        ),
        (
            "refused",
            later(5_000)
                .syn()
                .send(S2C, b"")
                .with(|p| (p.seq, p.flags) = (0, RST | ACK)),
            2,
            vec![1000, 0],
        ),
    ] {
        let report = report_of(name, vec![first(), second]);
        let got: Vec<_> = report
            .flows
            .iter()
            .map(|f| f.client_to_server.unique_octets)
            .collect();
        assert_eq!((report.flows.len(), got), (flows, octets), "{name}");
        let ends: Vec<_> = report.flows.iter().map(|f| (f.index, f.end)).collect();
        let end = if name == "refused" { "refused" } else { "open" };
        assert_eq!(ends, [(0, "open"), (1, end)], "{name}");
        for flow in &report.flows {
            sound(flow, name);
        }
    }
}

#[test]
fn one_segment_may_fill_many_holes() {
    // Three of five segments never pass the capture; then the sender repeats all of it in one piece (GRO, or a larger segment).
    let parts = |convo: Convo| {
        let mut convo = convo;
        for n in 0..5u8 {
            convo = convo.send(C2S, &[b'a' + n; 200]);
            convo = match n {
                1 | 3 => convo.lost().unseen(),
                _ => convo,
            };
        }
        convo
    };
    let mut whole = Vec::new();
    for n in 0..5u8 {
        whole.extend_from_slice(&[b'a' + n; 200]);
    }
    for (name, from, upto) in [
        ("all of it", 0usize, 1000usize),
        ("from the first hole on", 200, 1000),
        ("into the last hole", 0, 700),
        ("from within the first hole", 300, 900),
    ] {
        let piece = &whole[from..upto];
        let convo = parts(start());
        let base = convo.next_seq(C2S).wrapping_sub(1000);
        let convo = convo
            .wait_ms(400)
            .send(C2S, piece)
            .with(|p| p.seq = base.wrapping_add(from as u32))
            .wait_ms(30)
            .send(S2C, b"")
            .with(|p| (p.ack, p.flags) = (base.wrapping_add(upto as u32), ACK));
        let report = report(name, convo);
        let half = &report.flows[0].client_to_server;
        let seen: u64 = (0..1000usize)
            .filter(|n| (n / 200) % 2 == 0 || (from..upto).contains(n))
            .count() as u64;
        assert_eq!(
            (
                half.unique_octets,
                half.retransmitted_segments,
                half.unseen_octets
            ),
            (seen, 1, if from > 200 { 100 } else { 0 }),
            "{name}"
        );
        sound(&report.flows[0], name);
    }
}

#[test]
fn a_bare_acknowledgement_tells_of_octets_that_did_not_come_by() {
    // The answer and its acknowledgement go lost beyond the capture; an acknowledgement that the client calls for comes through.
    let asked = || {
        start()
            .send(C2S, b"RCPT TO:<user@example.com>\r\n")
            .send(S2C, b"250 OK\r\n")
            .lost()
            .unseen()
    };
    let probed = || asked().wait_ms(220).repeat(C2S).ack(S2C);
    let rows = [
        (
            "a repeat a second later",
            probed().wait_ms(1_100).repeat(S2C),
            1,
            0,
        ),
        // Its IP identification tells nothing, and it comes sooner than a round trip: it was overtaken.
        (
            "late, and the first of its kind",
            probed().wait_us(100).repeat(S2C).ip_id(3),
            0,
            1,
        ),
        (
            "a FIN that was lost stands there, and no octet",
            start()
                .send(C2S, b"QUIT\r\n")
                .send(S2C, b"221 Bye\r\n")
                .ack(C2S)
                .fin(S2C)
                .lost()
                .unseen()
                .wait_ms(220)
                .ack(S2C)
                .wait_ms(220)
                .repeat(S2C),
            0,
            0,
        ),
        (
            "the last octets and the FIN",
            start()
                .send(C2S, b"QUIT\r\n")
                .send(S2C, b"221 Bye\r\n")
                .with(|p| p.flags |= FIN)
                .lost()
                .unseen()
                .wait_ms(220)
                .ack(S2C)
                .with(|p| p.seq += 1)
                .wait_ms(220)
                .repeat(S2C),
            1,
            0,
        ),
    ];
    for (name, convo, repeats, reordered) in rows {
        let report = report(name, convo.ack(C2S));
        let half = &report.flows[0].server_to_client;
        let got = (
            half.retransmitted_segments,
            half.out_of_order_segments,
            half.unseen_octets,
        );
        assert_eq!(got, (repeats, reordered, 0), "{name}: {half:#?}");
        sound(&report.flows[0], name);
    }
}

/// The frames of one conversation.
fn frames(convo: Convo) -> Vec<Frame> {
    let mut scene = Scene::new();
    scene.add(convo);
    scene.frames()
}

/// Makes the IP header of the frame claim so many octets more.
fn claim(frame: &mut Frame, more: u16) {
    let length = u16::from_be_bytes([frame.octets[16], frame.octets[17]]);
    frame.octets[16..18].copy_from_slice(&length.saturating_add(more).to_be_bytes());
}

#[test]
fn a_length_beyond_the_frame_is_believed_once_it_is_borne_out() {
    let told = |r: &Report| r.notes.iter().any(|n| n.contains("claim more octets"));
    let data = |f: &Frame| f.octets.len() == 14 + 40 + 100;
    // One frame of the client lies, in the middle and at the end.
    for (name, at, more) in [("in the middle", 4, 9_000), ("the last", 9, 60_000)] {
        let mut all = frames(ten(start(), 0));
        let lying = all.iter_mut().filter(|f| data(f)).nth(at).unwrap();
        claim(lying, more);
        let report = report_of_files(name, &[pcap(&all)]);
        let half = &report.flows[0].client_to_server;
        assert_eq!(
            (
                half.data_segments,
                half.unique_octets,
                half.retransmitted_segments,
                half.unseen_octets
            ),
            (10, 1000, 0, 0),
            "{name}"
        );
        assert!(told(&report), "{name}: {:?}", report.notes);
        sound(&report.flows[0], name);
    }
    // A capture that cut each segment to 100 octets and forgot that it did.
    let mut convo = start();
    for _ in 0..10 {
        convo = convo.send(C2S, &[b'x'; 1_000]).ack(S2C).wait_ms(50);
    }
    let mut all = frames(convo);
    for frame in &mut all {
        frame.octets.truncate(14 + 40 + 100);
    }
    let report = report_of_files("cut and forgotten", &[pcap(&all)]);
    let half = &report.flows[0].client_to_server;
    assert_eq!(
        (
            half.data_segments,
            half.unique_octets,
            half.retransmitted_segments,
            half.unseen_octets
        ),
        (10, 10_000, 0, 0)
    );
}

#[test]
fn a_capture_says_that_it_is_out_of_order_or_its_clock_stepped() {
    let healthy = || frames(ten(start(), 0));
    let ids = |r: &Report| -> Vec<String> {
        let faults = r.findings.iter().filter(|f| f.id.starts_with("capture."));
        faults.map(|f| f.id.clone()).collect()
    };
    let counts_of = |r: &Report| {
        let half = &r.flows[0].client_to_server;
        (
            half.data_segments,
            half.unique_octets,
            half.retransmitted_segments,
            half.out_of_order_segments,
        )
    };
    let plain = report_of_files("in order", &[pcap(&healthy())]);
    assert_eq!((ids(&plain), counts_of(&plain)), (vec![], (10, 1000, 0, 0)));

    let mut swapped = healthy();
    swapped.swap(9, 12);
    let swapped = report_of_files("swapped", &[pcap(&swapped)]);
    assert_eq!(ids(&swapped), ["capture.disorder"]);
    assert_eq!(counts_of(&swapped), (10, 1000, 0, 0));

    let mut stepped = healthy();
    for frame in stepped.iter_mut().skip(12) {
        frame.time -= 3_600_000_000_000;
    }
    let first = stepped.first().unwrap().time;
    for frame in &mut stepped {
        frame.time += 7_200_000_000_000 - first;
    }
    let stepped = report_of_files("stepped", &[pcap(&stepped)]);
    assert_eq!(ids(&stepped), ["capture.clock"]);
    assert_eq!(counts_of(&stepped), (10, 1000, 0, 0));
    assert_eq!(stepped.flows.len(), 1);
    let finding = &stepped.findings[0];
    assert_eq!(finding.evidence[0].frame, 13);
    sound(&stepped.flows[0], "stepped");
}

#[test]
fn a_clock_set_forward_is_told_by_the_clocks_of_both_ends() {
    const HOUR: i64 = 3_600_000_000_000;
    let convo = |stamps, wait_ms| {
        let convo = Convo::new()
            .rtt_us(200, 20_000)
            .window_scale(Some(7), Some(7))
            .timestamps(stamps);
        let convo = ten(ten(convo.handshake(), 0), 0).wait_ms(wait_ms);
        ten(ten(convo, 0), 0)
    };
    // Frames behind the middle an hour later; the ends' timestamps know nothing of that.
    let later = |convo: Convo, by: i64| {
        let mut all = frames(convo);
        let middle = all.len() / 2;
        for frame in all.iter_mut().skip(middle) {
            frame.time += by;
        }
        all
    };
    let mut other: Vec<Frame> = frames(ten(
        Convo::between(
            support::wire::Host {
                addr: "192.0.2.7".parse().unwrap(),
                mac: [2, 0, 0, 0, 0, 7],
                ttl: 64,
                local: false,
            },
            50_000,
            support::wire::Host {
                addr: "192.0.2.25".parse().unwrap(),
                mac: [2, 0, 0, 0, 0, 25],
                ttl: 64,
                local: false,
            },
            25,
        )
        .at(HOUR / 2)
        .handshake(),
        0,
    ));
    other.extend(later(convo(true, 0), HOUR));
    other.sort_by_key(|f| f.time);
    let asleep = |way| {
        // This end's clock stood still: its host slept, and the capture's clock was right.
        let steps = convo(true, 3_600_000).steps();
        let mut all = Vec::new();
        for (n, mut step) in steps.into_iter().enumerate() {
            let options = &mut step.packet.options;
            if step.way == way
                && step.time > HOUR
                && let Some(at) = options.windows(2).position(|w| w == [8, 10])
            {
                let stopped = ((step.time - HOUR) / 1_000_000) as u32;
                options[at + 2..at + 6].copy_from_slice(&stopped.to_be_bytes());
            }
            all.push(Frame {
                time: step.time,
                octets: step.packet.frame(n as u16),
            });
        }
        all
    };
    for (name, all, leapt) in [
        ("an hour forward", later(convo(true, 0), HOUR), true),
        ("no timestamps", later(convo(false, 0), HOUR), false),
        ("an hour of silence", frames(convo(true, 3_600_000)), false),
        ("a client that slept", asleep(C2S), false),
        ("a server that slept", asleep(S2C), false),
        ("another flow was heard meanwhile", other, false),
        ("five seconds", later(convo(true, 0), HOUR / 720), false),
    ] {
        let report = report_of_files(name, &[pcap(&all)]);
        let told: Vec<_> = report
            .findings
            .iter()
            .filter(|f| f.id == "capture.clock")
            .map(|f| f.summary.as_str())
            .collect();
        assert_eq!(told.len(), usize::from(leapt), "{name}: {told:?}");
        if leapt {
            assert!(
                told[0].contains("stepped forward once, by up to 60 min 0 s"),
                "{told:?}"
            );
            assert_eq!(report.findings.len(), 1, "{name}: {:?}", report.findings);
            assert!(report.flows[0].client_to_server.stalls.is_empty(), "{name}");
            assert!(report.flows[0].server_to_client.stalls.is_empty(), "{name}");
        }
        sound(&report.flows[0], name);
    }
}

#[test]
fn a_storm_of_many_thousands_is_counted_whole() {
    let mut convo = start().send(C2S, b"the same again\r\n").lost();
    for _ in 0..5_000 {
        convo = convo.wait_ms(250).again().lost();
    }
    let report = report("storm", convo);
    let half = &report.flows[0].client_to_server;
    assert_eq!(
        (half.retransmitted_segments, half.unique_octets),
        (5_000, 16)
    );
    let storm = report
        .findings
        .iter()
        .find(|f| f.id == "storm.retransmission")
        .unwrap();
    assert!(
        storm.summary.contains("the same 16 octets 5001 times"),
        "{}",
        storm.summary
    );
    sound(&report.flows[0], "storm");
}

#[test]
fn a_device_that_resets_one_connection_is_not_blamed_for_the_other() {
    let client = |port| {
        let host = |last: u8| support::wire::Host {
            addr: format!("192.0.2.{last}").parse().unwrap(),
            mac: [2, 0, 0, 0, 0, last],
            ttl: 64,
            local: false,
        };
        let convo = Convo::between(host(1), port, host(25), 25)
            .rtt_us(200, 20_000)
            .handshake();
        ten(convo, 0).send(C2S, b"more").rst(S2C)
    };
    let report = report_of(
        "resets",
        vec![
            client(50_001),
            client(50_002).with(|p| p.from.ttl = 251),
            client(50_003),
        ],
    );
    let resets: Vec<_> = report
        .findings
        .iter()
        .filter(|f| f.id == "close.reset")
        .map(|f| (f.flows.clone(), f.summary.contains("neither end")))
        .collect();
    assert_eq!(resets.len(), 2, "{resets:?}");
    assert!(resets.contains(&(vec![0, 2], false)), "{resets:?}");
    assert!(resets.contains(&(vec![1], true)), "{resets:?}");
}

#[test]
fn a_reset_tells_what_it_came_for() {
    let waits = |seconds: i64| {
        start()
            .send(C2S, &[b'x'; 1_000])
            .lost()
            .wait_ms(seconds * 1_000)
            .fin(S2C)
    };
    let reads = || start().stream(S2C, &[b'x'; 4_000]).ack(C2S).rst(C2S);
    // (name, conversation, finding, whom it is about, what its proof says)
    let (client, server) = ("192.0.2.1", "192.0.2.25");
    for (name, convo, id, subject, proof) in [
        (
            "the server closes after a limit, and the client's octets are refused",
            waits(300).rst(C2S),
            "close.idle",
            server,
            "the server ended the connection after 5 min 0 s of silence (a limit of 300 s)",
        ),
        (
            "the server closes meanwhile",
            waits(40).rst(C2S),
            "close.reset",
            client,
            "RST from the client, in answer to the FIN of the server (frame 7), with data on its way",
        ),
        (
            "the client goes on for a while, and resets then",
            waits(40).send(C2S, b"more").wait_ms(500).rst(C2S),
            "close.reset",
            client,
            "RST from the client, with data on its way",
        ),
        (
            "what the server has sent meanwhile comes behind the reset",
            reads().send(S2C, &[b'y'; 1_400]).send(S2C, &[b'y'; 1_400]),
            "close.reset",
            client,
            "RST from the client, with data on its way",
        ),
    ] {
        let report = report("closes", convo);
        let told = report.findings.iter().find(|f| f.id == id).expect(name);
        let proofs: Vec<_> = told.evidence.iter().map(|e| e.text.as_str()).collect();
        assert_eq!(told.subject.as_deref(), Some(subject), "{name}");
        assert_eq!(proofs, [proof], "{name}");
    }
    let read = report("closes", reads());
    assert!(read.findings.iter().all(|f| f.id != "close.reset"));
}

#[test]
fn a_shut_window_ends_with_the_connection() {
    let shut = || {
        start()
            .stream(C2S, &[b'x'; 4_000])
            .window(S2C, 0)
            .ack(S2C)
            .wait_ms(500)
    };
    // (name, conversation, seconds shut)
    for (name, convo, want) in [
        ("until the end of the capture", shut().ack(C2S), 0.5),
        (
            "until a reset, with stragglers behind it",
            shut()
                .rst(C2S)
                .wait_ms(5_000)
                .ack(S2C)
                .wait_ms(1_000)
                .ack(S2C),
            0.5,
        ),
        (
            "until the sender has no more to say",
            shut().fin(C2S).ack(S2C).wait_ms(9_000).fin(S2C).ack(C2S),
            0.5,
        ),
    ] {
        let report = report(name, convo);
        let got = report.flows[0].server_to_client.zero_window_seconds;
        assert!((got - want).abs() < 0.1, "{name}: {got}");
        sound(&report.flows[0], name);
    }
}

#[test]
fn families_ports_and_files_change_no_verdict() {
    let host = |addr: &str, last: u8| support::wire::Host {
        addr: addr.parse().unwrap(),
        mac: [2, 0, 0, 0, 0, last],
        ttl: 64,
        local: false,
    };
    let (one, other) = (host("192.0.2.1", 1), host("192.0.2.25", 25));
    let plain = report("as it is", troubled(Convo::new()));
    let want = counts(&plain.flows[0]);
    let ids = |r: &Report| r.findings.iter().map(|f| f.id.clone()).collect::<Vec<_>>();
    for (name, convo) in [
        (
            "addresses the other way round",
            Convo::between(other, 49_152, one, 25),
        ),
        (
            "the client's port below the server's",
            Convo::between(one, 24, other, 25),
        ),
        (
            "IPv6",
            Convo::between(host("2001:db8::1", 1), 49_152, host("2001:db8::25", 25), 25),
        ),
        (
            "IPv6, the other way round",
            Convo::between(host("2001:db8::25", 25), 49_152, host("2001:db8::1", 1), 25),
        ),
    ] {
        let report = report(name, troubled(convo));
        assert_eq!(counts(&report.flows[0]), want, "{name}");
        assert_eq!(ids(&report), ids(&plain), "{name}");
    }
    // One capture in two files of a set, wherever it is divided.
    let all = frames(troubled(Convo::new()));
    for at in [1, 2, 5, all.len() / 2, all.len() - 3, all.len() - 1] {
        let name = format!("divided at {at}");
        let (first, second) = all.split_at(at);
        let report = report_of_files(&name, &[pcap(first), pcap(second)]);
        assert_eq!(report.flows.len(), 1, "{name}: {:?}", report.notes);
        assert_eq!(counts(&report.flows[0]), want, "{name}");
        assert_eq!(ids(&report), ids(&plain), "{name}");
    }
}

/// The contract: the index of a flow is Wireshark's `tcp.stream`, as [`LabelTracker`] numbers streams.
///
/// [`LabelTracker`]: tcptriage::flow::labels::LabelTracker
#[test]
fn indices_are_wiresharks_streams() {
    let Some(root) = shared::folder("captures") else {
        return;
    };
    let (mut compared, mut wrong) = (0, Vec::new());
    for path in shared::files(&root) {
        let name = path.to_str().unwrap();
        if !name.contains("cap") || path.metadata().unwrap().len() > 8_000_000 {
            continue;
        }
        let settings = Settings {
            captures: vec![name.to_owned()],
            ..Settings::default()
        };
        let mut streams = std::collections::BTreeMap::new();
        let labelled = segments(&settings, &mut |row| {
            streams.insert(row.frame.number(), row.label.stream);
            Ok(())
        });
        let (Ok(_), Ok(report)) = (labelled, analyze(&settings)) else {
            continue;
        };
        // A flow is one of its tunnel or VLAN; Wireshark's streams know nothing of these.
        let all: std::collections::BTreeSet<_> = streams.values().collect();
        if report.flows.len() != all.len() {
            assert!(report.flows.len() > all.len(), "{name}");
            continue;
        }
        compared += all.len();
        wrong.extend(report.flows.iter().filter_map(|f| {
            let stream = streams.get(&f.first_frame).copied();
            (stream != Some(f.index)).then(|| format!("{name}: {} is {stream:?}", f.index))
        }));
    }
    assert!(
        compared > 0,
        "a folder of captures, and none that can be read"
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Forty round trips of 60 ms, with so many segments each.
fn rounds(segments: impl Fn(usize) -> usize, gap_us: i64) -> Convo {
    let mut convo = Convo::new()
        .rtt_us(200, 60_000)
        .window_scale(Some(7), Some(7))
        .handshake()
        .gap_us(gap_us);
    for round in 0..40 {
        for _ in 0..segments(round) {
            convo = convo.send(C2S, &[b'x'; 1_460]);
        }
        convo = convo.ack(S2C);
    }
    convo
}

#[test]
fn what_held_a_transfer_is_told_from_its_near_miss() {
    // Some segments each 10 ms, acknowledged after 5 ms or, once a queue has grown, that much later.
    let paced = |queue_us: i64, seconds: i64, uneven: bool| {
        let mut convo = Convo::new()
            .rtt_us(200, 20_000)
            .window_scale(Some(7), Some(7))
            .handshake();
        let begin = convo.now() + 10_000_000;
        for n in 0..seconds * 100 {
            let slow = if uneven && (n / 100) % 2 == 1 { 2 } else { 1 };
            for part in 0..4 / slow {
                convo = convo
                    .at(begin + n * 10_000_000 + part * 1_000)
                    .send(C2S, &[b'x'; 1_460])
                    .lost();
            }
            let upto = convo.next_seq(C2S);
            let back = if n < 20 { 0 } else { queue_us * 1_000 };
            convo = convo
                .at(begin + n * 10_000_000 + 5_000_000 + back)
                .ack(S2C)
                .with(move |p| (p.ack, p.options) = (upto, Vec::new()));
        }
        convo
    };
    // (name, conversation, limit, confidence)
    let rows: [(&str, Convo, &str, Option<f64>); 6] = [
        (
            "the same burst each round trip",
            rounds(|_| 6, 100),
            "limit.send-buffer",
            Some(0.5),
        ),
        (
            "one more each round trip",
            rounds(|n| 6 + n, 100),
            "limit.send-buffer",
            None,
        ),
        (
            "the same burst, and pauses of the application",
            rounds(|_| 6, 100).wait_ms(100_000).ack(S2C),
            "limit.send-buffer",
            None,
        ),
        (
            "second after second alike",
            paced(0, 8, false),
            "limit.path-rate",
            Some(0.7),
        ),
        (
            "a queue that grows, at no steady rate",
            paced(15_000, 8, true),
            "limit.path-rate",
            Some(0.7),
        ),
        (
            "neither steady nor with a queue",
            paced(0, 8, true),
            "limit.path-rate",
            Some(0.3),
        ),
    ];
    for (name, convo, id, want) in rows {
        let report = report(name, convo);
        let found = report.findings.iter().find(|f| f.id == id);
        assert_eq!(
            found.map(|f| f.confidence),
            want,
            "{name}: {:?}",
            report.flows[0].time
        );
        assert_eq!(
            found.is_some_and(|f| !f.against.is_empty()),
            want == Some(0.3),
            "{name}"
        );
    }
}

/// Hostile conversations: what the report says of each, and that it says what it could not know.
#[test]
fn games_are_bounded_and_told() {
    let began = std::time::Instant::now();
    let numbers = |convo: &Convo| convo.next_seq(C2S);
    // 65,535 holes of one octet, then SACK blocks over every other octet, then everything at once.
    let mut convo = start();
    let base = numbers(&convo);
    for n in 0..30_000u32 {
        convo = convo
            .send(C2S, b"x")
            .with(move |p| p.seq = base.wrapping_add(n * 2 + 1))
            .lost();
        if n % 8 == 0 {
            let (l, r) = (base.wrapping_add(n * 2 + 1), base.wrapping_add(n * 2 + 2));
            convo = convo.ack(S2C).with(move |p| {
                p.ack = base;
                p.options = [&[1, 1, 5, 10][..], &l.to_be_bytes(), &r.to_be_bytes()].concat();
            });
        }
    }
    convo = convo
        .send(C2S, &[b'y'; 60_000])
        .with(move |p| p.seq = base)
        .ack(S2C)
        .with(move |p| p.ack = base.wrapping_add(60_001));
    let report_of_holes = report("holes", convo);
    let flow = &report_of_holes.flows[0];
    sound(flow, "holes");
    assert_eq!(
        flow.client_to_server.data_segments, 30_042,
        "{:?}",
        flow.client_to_server
    );
    let told = |r: &Report, what: &str| r.notes.iter().any(|n| n.contains(what));
    assert!(told(&report_of_holes, "holes were not followed"));

    // The same octets again with other contents: the first ones count, and the reader of the report is told of the repeat.
    let convo = start()
        .send(C2S, b"MAIL FROM:<a@example>\r\n")
        .ack(S2C)
        .wait_ms(300)
        .repeat(C2S)
        .with(|p| p.payload = b"RCPT TO:<evil@example>\r\n"[..23].to_vec())
        .ack(S2C);
    let other = report("other contents", convo);
    let half = &other.flows[0].client_to_server;
    assert_eq!((half.retransmitted_segments, half.unique_octets), (1, 23));

    // The same behind a hole, where the first copy is still held: told, and counted for the first one.
    let hidden = |octets: &'static [u8]| {
        let convo = start()
            .send(C2S, b"EHLO a\r\n")
            .unseen()
            .send(C2S, b"MAIL FROM:<a@example>\r\n")
            .wait_ms(300)
            .repeat(C2S)
            .with(move |p| p.payload = octets.to_vec());
        report("hidden", convo.ack(S2C))
    };
    let other = hidden(b"RCPT TO:<evil@examp>\r\n\n");
    assert!(
        told(
            &other,
            "sent again with other contents (frame 7 against frame 6)"
        ),
        "{:?}",
        other.notes
    );
    assert_eq!(other.flows[0].client_to_server.retransmitted_segments, 1);
    assert!(!told(
        &hidden(b"MAIL FROM:<a@example>\r\n"),
        "other contents"
    ));

    // Resets: blind ones end nothing, one that fits does, and what comes behind it is no new connection.
    let mut convo = ten(start(), 0);
    for n in 0..2_000u32 {
        convo = convo
            .send(C2S, b"")
            .with(move |p| (p.seq, p.flags) = (0x8000_0000 ^ (n << 12), RST));
    }
    let blind = report("blind resets", convo.ack(S2C).close(C2S));
    assert_eq!((blind.flows.len(), blind.flows[0].end), (1, "fin"));

    // A clock that steps back ten times, by an hour each.
    let mut all = frames(ten(ten(start(), 0), 0));
    for (n, frame) in all.iter_mut().enumerate() {
        frame.time += 100_000_000_000_000 - (n as i64 / 5) * 3_600_000_000_000;
    }
    let steps = report_of_files("steps", &[pcap(&all)]);
    assert_eq!(steps.flows.len(), 1);
    sound(&steps.flows[0], "steps");
    assert!(steps.findings.iter().any(|f| f.id == "capture.clock"));
    assert!(
        steps.findings.iter().all(|f| f.severity == "info"),
        "{:?}",
        steps.findings
    );

    // Sequence numbers once round the circle: 5 GiB in jumps of 1 GiB less one octet are holes, and no earlier octets.
    let mut convo = start();
    let base = numbers(&convo);
    for n in 1..6u32 {
        convo = convo
            .send(C2S, b"far ahead")
            .with(move |p| p.seq = base.wrapping_add(n.wrapping_mul((1 << 30) - 20)));
    }
    let far = report("far ahead", convo);
    let half = &far.flows[0].client_to_server;
    assert_eq!((half.data_segments, half.retransmitted_segments), (5, 0));
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
}
