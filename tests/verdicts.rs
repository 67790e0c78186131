//! What the flow stage must not be led astray by: each row a conversation through the whole pipe, and the counts of one direction.
#![allow(clippy::unwrap_used)]

mod support;

use support::convo::{C2S, Convo, S2C};
use support::scene::{Scene, pcap};
use support::wire::{ACK, Checksum, FIN, RST};
use tcptriage::pipeline::{Settings, analyze};
use tcptriage::report::model::{Flow, Report};

fn report(name: &str, convo: Convo) -> Report {
    let path = std::env::temp_dir().join(format!(
        "tcptriage-verdicts-{}-{}.pcap",
        std::process::id(),
        name.replace(' ', "-")
    ));
    let mut scene = Scene::new();
    scene.add(convo);
    std::fs::write(&path, pcap(&scene.frames())).unwrap();
    let report = analyze(&Settings {
        captures: vec![path.to_str().unwrap().to_owned()],
        ..Settings::default()
    })
    .unwrap();
    std::fs::remove_file(path).unwrap();
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
    let rows: [(&str, Convo, u64, u64, u64, &str); 6] = [
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
