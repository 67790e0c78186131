//! Two captures of which one shows less than the other: nothing is called lost, made or damaged that the other could not have shown.
//!
//! Each doubt has a row that must stay silent, and the same with the doubt taken away, which must not.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::PathBuf;

use support::convo::{C2S, Convo, S2C, Step};
use support::made::two_points::{Between, Fate, captures};
use support::scene::{Frame, pcap};
use support::scenes::host;
use support::wire::{Checksum, RST};
use tcptriage::pipeline::{self, Settings};
use tcptriage::report::model::{Finding, Report};

const SECOND: i64 = 1_000_000_000;

/// Both captures, as lists of frames.
type Pair = [Vec<Frame>; 2];

/// A connection of 192.0.2.1 to 192.0.2.25 that begins at this moment.
fn convo(port: u16, service: u16, start: i64) -> Convo {
    let isn = u32::from(port) * 7_919 + u32::from(service);
    Convo::between(host(1), port, host(25), service)
        .isn(isn, !isn)
        .rtt_us(100, 2_000)
        .at(start)
}

fn text(n: u32, octets: u32) -> Vec<u8> {
    (0..octets).map(|k| (k * (n + 3) / 7 % 251) as u8).collect()
}

/// Requests and answers of some hundred octets.
fn talk(mut convo: Convo, times: u32) -> Convo {
    for n in 0..times {
        convo = convo
            .send(C2S, &text(n, 200))
            .send(S2C, &text(n + 100, 100))
            .ack(C2S);
    }
    convo
}

/// A whole connection with answers.
fn whole(port: u16, start: i64) -> Convo {
    talk(convo(port, 25, start).handshake(), 10).close(C2S)
}

fn frames(pcap: &[u8]) -> Vec<Frame> {
    let word = |at: usize| u32::from_le_bytes(pcap[at..at + 4].try_into().unwrap());
    let mut out = Vec::new();
    let mut at = 24;
    while at + 16 <= pcap.len() {
        let length = word(at + 8) as usize;
        out.push(Frame {
            time: i64::from(word(at)) * SECOND + i64::from(word(at + 4)) * 1_000,
            octets: pcap[at + 16..at + 16 + length].to_vec(),
        });
        at += 16 + length;
    }
    out
}

/// What both points see of these; `fate` as for [`captures`].
fn seen(convos: Vec<Convo>, fate: impl Fn(&Step) -> Option<Fate>) -> Pair {
    captures(convos, &Between::default(), |_, step| fate(step)).map(|octets| frames(&octets))
}

fn plainly(convos: Vec<Convo>) -> Pair {
    seen(convos, |_| None)
}

fn until(mut list: Vec<Frame>, end: i64) -> Vec<Frame> {
    list.retain(|f| f.time < end);
    list
}

fn from(mut list: Vec<Frame>, begin: i64) -> Vec<Frame> {
    list.retain(|f| f.time >= begin);
    list
}

/// Puts frames of the left in between.
fn with(mut list: Vec<Frame>, more: Vec<Frame>) -> Vec<Frame> {
    list.extend(more);
    list.sort_by_key(|f| f.time);
    list
}

/// A folder that goes when the test does.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn compare_octets(name: &str, sides: [(&str, &[u8]); 2], settings: &Settings) -> Report {
    let plain: String = name
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '-' })
        .collect();
    let folder = Temporary(
        std::env::temp_dir().join(format!("tcptriage-doubt-{}-{plain}", std::process::id())),
    );
    fs::create_dir_all(&folder.0).unwrap();
    let [left, right] = sides.map(|(file, octets)| {
        let path = folder.0.join(file);
        fs::write(&path, octets).unwrap();
        vec![path.to_str().unwrap().to_owned()]
    });
    pipeline::compare(settings, [&left, &right]).unwrap()
}

fn compare(name: &str, pair: &Pair) -> Report {
    let [left, right] = pair;
    let (left, right) = (pcap(left), pcap(right));
    compare_octets(
        name,
        [("left.pcap", &left), ("right.pcap", &right)],
        &Settings::default(),
    )
}

/// Severities and ids, in alphabetical order.
fn told(report: &Report) -> Vec<String> {
    let mut told: Vec<String> = report
        .findings
        .iter()
        .map(|f| format!("{} {}", f.severity, f.id))
        .collect();
    told.sort_unstable();
    told
}

fn the<'r>(report: &'r Report, id: &str) -> &'r Finding {
    report.findings.iter().find(|f| f.id == id).unwrap()
}

fn json(report: &Report) -> serde_json::Value {
    let mut out = Vec::new();
    let format = tcptriage::report::format_named("json").unwrap();
    format
        .write(report, tcptriage::report::Look::default(), &mut out)
        .unwrap();
    serde_json::from_slice(&out).unwrap()
}

/// A SYN that is sent three times and never comes.
fn lost_syns(convo: Convo) -> Convo {
    let mut convo = convo.syn().lost();
    for _ in 0..2 {
        convo = convo.wait_ms(900).again().lost();
    }
    convo
}

/// A message that is sent four times, and never comes; nothing is heard of the other end meanwhile.
fn stuck(convo: Convo, octets: u32) -> Convo {
    let mut convo = convo.send(C2S, &text(7, octets)).lost();
    for n in 0..3 {
        convo = convo.wait_ms(300 << n).again().lost();
    }
    convo
}

#[test]
fn what_the_other_capture_could_not_show_is_not_lost() {
    let talked = || talk(convo(50_000, 25, 0).handshake(), 10);
    let elsewhere = |service: u16| {
        Convo::between(host(1), 51_000, host(99), service)
            .isn(5, 6)
            .at(SECOND / 100)
    };
    let later = || whole(50_009, 20 * SECOND);
    let end = SECOND;
    let rows: Vec<(&str, Pair, &[&str])> = vec![
        (
            "a SYN to a host that the right never shows",
            plainly(vec![whole(50_000, 0), lost_syns(elsewhere(25)), later()]),
            &["info connect.unanswered"],
        ),
        (
            "a SYN to a service that the right never shows",
            plainly(vec![
                whole(50_000, 0),
                lost_syns(convo(51_000, 445, SECOND)),
                later(),
            ]),
            &["info connect.unanswered"],
        ),
        (
            "a SYN behind the right's last frame",
            plainly(vec![
                whole(50_000, 0),
                lost_syns(convo(51_000, 25, 3_600 * SECOND)),
            ]),
            &["info connect.unanswered"],
        ),
        (
            "a SYN, and nothing at all on the right",
            plainly(vec![lost_syns(convo(51_000, 25, 0))]),
            &["info connect.unanswered"],
        ),
        (
            "a SYN while the right shows that service of these hosts",
            plainly(vec![
                whole(50_000, 0),
                lost_syns(convo(51_000, 25, SECOND)),
                // Others come meanwhile, so that the path is not away.
                whole(50_001, SECOND + SECOND / 2),
                whole(50_002, 2 * SECOND + SECOND / 4),
                later(),
            ]),
            &["critical connect.unanswered"],
        ),
        (
            "the right ends with the SYN",
            {
                let [left, right] = plainly(vec![whole(50_000, 0)]);
                [left, right[..1].to_vec()]
            },
            &[],
        ),
        (
            "the server is silent for long",
            plainly(vec![
                whole(50_000, 0),
                convo(51_000, 25, SECOND).syn().wait_ms(900).again(),
                later(),
            ]),
            &["critical connect.unanswered"],
        ),
        (
            "repeats behind the right's last frame",
            plainly(vec![stuck(talked(), 1_400)]),
            &[],
        ),
        (
            "repeats while the right goes on",
            plainly(vec![stuck(talked(), 1_400), later()]),
            &["critical path.mtu-black-hole"],
        ),
        (
            "the first copy left before the right's first frame",
            {
                let lost = talk(
                    talked()
                        .send(C2S, &text(7, 900))
                        .ack(S2C)
                        .wait_ms(300)
                        .repeat(C2S)
                        .ack(S2C),
                    5,
                );
                let [left, right] = plainly(vec![lost]);
                // Begins between the two copies.
                let second = left.iter().rposition(|f| f.octets.len() > 900).unwrap();
                let begin = left[second].time - SECOND / 10;
                [left, from(right, begin)]
            },
            &[],
        ),
        (
            "a reset behind the end of its sender's capture",
            {
                let [left, right] = plainly(vec![talked().wait_ms(5_000).rst(S2C)]);
                [left, until(right, end)]
            },
            &[],
        ),
        (
            "a reset that its sender's capture should have",
            {
                let [left, mut right] = plainly(vec![talked().wait_ms(5_000).rst(S2C), later()]);
                right.retain(|f| u16::from(f.octets[47]) & RST == 0);
                [left, right]
            },
            &["critical close.reset"],
        ),
    ];
    for (name, pair, want) in rows {
        let report = compare(name, &pair);
        assert_eq!(told(&report), want, "{name}");
        for f in report.findings.iter().filter(|f| f.severity != "info") {
            assert!(!f.evidence.is_empty(), "{name}: {} without proof", f.id);
        }
    }
}

#[test]
fn what_the_receiver_acknowledged_first_was_missed_by_the_capture() {
    // Of forty messages every fourth has its acknowledgement lost, so that it is sent again.
    let mut talking = convo(50_000, 5_001, 0).handshake();
    for n in 0..40 {
        talking = talking.send(C2S, &text(n, 300)).ack(S2C);
        if n % 4 == 1 {
            talking = talking.wait_ms(300).repeat(C2S).ack(S2C);
        }
    }
    let talking = talk(talking, 3);
    // The steps by their times, which are those of the left.
    let steps = talking.clone().steps();
    let mut first = Vec::new();
    let mut answers = Vec::new();
    for (n, step) in steps.iter().enumerate() {
        let again = steps.get(n + 2).is_some_and(|later| {
            later.way == C2S
                && !step.packet.payload.is_empty()
                && later.packet.seq == step.packet.seq
        });
        if step.way == C2S && again {
            first.push(step.time);
            answers.push(steps[n + 1].time);
        }
    }
    assert_eq!(first.len(), 10);
    for (name, missed, want) in [
        (
            "the capture missed them",
            true,
            &["info capture.drops", "warning loss.ack"][..],
        ),
        (
            "the path lost acknowledgements",
            false,
            &["warning loss.ack"],
        ),
    ] {
        let pair = seen(vec![talking.clone()], |step| {
            let lost = answers.contains(&step.time) || missed && first.contains(&step.time);
            lost.then_some(Fate::Lost)
        });
        let report = compare(name, &pair);
        assert_eq!(told(&report), want, "{name}");
        if missed {
            assert!(
                the(&report, "capture.drops")
                    .summary
                    .starts_with("10 segments")
            );
        }
    }
}

#[test]
fn frames_that_a_capture_holds_twice_are_counted_once() {
    let twice = |list: &[Frame]| {
        let copies = list.iter().map(|f| Frame {
            time: f.time + 2_000,
            octets: f.octets.clone(),
        });
        with(list.to_vec(), copies.collect())
    };
    let [left, right] = plainly(vec![whole(50_000, 0), whole(50_001, SECOND)]);
    for (name, pair) in [
        ("the right", [left.clone(), twice(&right)]),
        ("the left", [twice(&left), right.clone()]),
        ("both", [twice(&left), twice(&right)]),
    ] {
        let report = compare(name, &pair);
        let mut want = vec!["info capture.duplicates"];
        if name == "both" {
            want.push("info capture.duplicates");
        }
        assert_eq!(told(&report), want, "{name}");
        assert_eq!(report.verdict.grade, "healthy", "{name}");
        assert!(json(&report)["clock"]["offset"].is_number(), "{name}");
    }
    // What the path copies comes twice, and leaves once.
    let pair = seen(vec![whole(50_000, 0)], |step| {
        (step.way == C2S && !step.packet.payload.is_empty()).then_some(Fate::Twice)
    });
    assert_eq!(
        told(&compare("the path copies", &pair)),
        ["warning duplication.network"]
    );
}

#[test]
fn ports_that_are_used_again_are_not_mixed_up() {
    // The same ends; only the second is on the right, and greets with the same words.
    let session = |isn: u32, start: i64, user: u32| {
        let mut convo = Convo::between(host(1), 50_000, host(25), 25)
            .isn(isn, !isn)
            .at(start)
            .handshake()
            .send(S2C, b"220 mail.example ESMTP ready at your service\r\n")
            .send(C2S, b"EHLO client.example with a long name\r\n")
            .send(S2C, b"250-mail.example\r\n250 SIZE 1000000\r\n");
        for n in 0..5 {
            convo = convo
                .send(C2S, &text(user + n, 60))
                .send(S2C, &text(user + n + 50, 40));
        }
        convo.ack(C2S).close(C2S)
    };
    let sessions = || vec![session(1_000, 0, 1), session(900_000, 60 * SECOND, 20)];
    let [left, right] = plainly(sessions());
    let other = plainly(vec![session(77_000, 60 * SECOND, 90)])[1].clone();
    for (name, pair, offset) in [
        (
            "the right has the second",
            [left.clone(), from(right.clone(), 30 * SECOND)],
            true,
        ),
        (
            "the right has another one",
            [until(left, 30 * SECOND), other],
            false,
        ),
    ] {
        let report = compare(name, &pair);
        assert_eq!(told(&report), Vec::<String>::new(), "{name}");
        let clock = &json(&report)["clock"]["offset"];
        assert_eq!(
            clock.as_f64().is_some_and(|o| o.abs() < 0.001),
            offset,
            "{name}: {clock}"
        );
    }
}

#[test]
fn ports_that_are_used_very_often_take_no_longer_for_each() {
    // Twenty thousand SYNs of one pair of ends, each with another number: pairing each with all would take minutes.
    let mut left = Vec::new();
    let base = convo(50_000, 25, 0).syn().steps().remove(0).packet;
    for n in 0..20_000_u32 {
        let mut packet = base.clone();
        packet.seq = n.wrapping_mul(7_919);
        left.push(Frame {
            time: i64::from(n) * 1_000_000,
            octets: packet.frame(n as u16),
        });
    }
    let report = compare("reopened", &[left.clone(), left]);
    let flows = json(&report)["flows"].as_array().unwrap().len();
    assert_eq!(flows, 20_000);
    // Resets that come in another order than they left.
    let resets = |turned: bool| -> Vec<Frame> {
        (0..20_000_u32)
            .map(|n| {
                let mut packet = base.clone();
                packet.flags = RST;
                packet.seq = 1_000 + 3 * if turned { 20_000 - n } else { n };
                Frame {
                    time: i64::from(n) * 1_000_000,
                    octets: packet.frame(n as u16),
                }
            })
            .collect()
    };
    compare("resets", &[resets(false), resets(true)]);
}

/// ICMP "fragmentation needed" that quotes a frame.
fn too_big(quoted: &Frame, mtu: u16) -> Frame {
    let mut icmp = vec![3, 4, 0, 0, 0, 0];
    icmp.extend_from_slice(&mtu.to_be_bytes());
    icmp.extend_from_slice(&quoted.octets[14..14 + 28]);
    let sum = |octets: &[u8]| {
        let mut sum: u32 = octets
            .chunks(2)
            .map(|c| u32::from(u16::from_be_bytes([c[0], c[1]])))
            .sum();
        while sum >> 16 != 0 {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    };
    let fits = sum(&icmp);
    icmp[2..4].copy_from_slice(&fits.to_be_bytes());
    let mut ip = vec![0x45, 0];
    ip.extend_from_slice(&((20 + icmp.len()) as u16).to_be_bytes());
    ip.extend_from_slice(&[0, 1, 0, 0, 60, 1, 0, 0, 192, 0, 2, 254, 192, 0, 2, 1]);
    let fits = sum(&ip);
    ip[10..12].copy_from_slice(&fits.to_be_bytes());
    let mut octets = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 254, 8, 0];
    octets.extend(ip);
    octets.extend(icmp);
    Frame {
        time: quoted.time + 2_000_000,
        octets,
    }
}

#[test]
fn a_router_s_word_explains_what_is_too_long_and_nothing_else() {
    let long = convo(50_000, 5_001, 0)
        .handshake()
        .send(C2S, &text(1, 1_460))
        .lost()
        .wait_ms(10);
    let long = talk(long.repeat(C2S).with(|p| p.payload.truncate(1_360)), 3);
    let mut short = convo(50_001, 5_001, SECOND).handshake();
    for n in 0..100 {
        short = short.send(C2S, &text(n, 400));
        if n % 10 == 3 {
            short = short.lost().wait_ms(300).again();
        }
        short = short.ack(S2C);
    }
    for (name, convos, want) in [
        (
            "both",
            vec![long.clone(), short.clone()],
            &["info path.mtu-discovery", "warning loss.network"][..],
        ),
        ("the long one", vec![long], &["info path.mtu-discovery"]),
    ] {
        let [left, right] = plainly(convos);
        let quoted = left
            .iter()
            .find(|f| f.octets.len() > 1_400)
            .unwrap()
            .clone();
        let pair = [with(left, vec![too_big(&quoted, 1_400)]), right];
        let report = compare(name, &pair);
        assert_eq!(told(&report), want, "{name}");
        let found = the(&report, "path.mtu-discovery");
        assert!(
            found.summary.starts_with("1 segment "),
            "{name}: {}",
            found.summary
        );
        if want.len() > 1 {
            let lost = the(&report, "loss.network");
            assert!(
                lost.summary.starts_with("10 segments of"),
                "{}",
                lost.summary
            );
            assert_eq!(lost.flows, [1], "{name}");
        }
    }
}

#[test]
fn holes_of_one_super_segment_are_no_repeated_loss() {
    let big = text(3, 14_600);
    let begin = || talk(convo(50_000, 5_001, 0).handshake(), 3);
    // As the stack hands it over, and as it goes over the wire: four pieces are lost.
    let lost = |k: usize| matches!(k, 1 | 3 | 5 | 7);
    let mut above = begin().send(C2S, &big).lost();
    let mut wire = begin();
    let seq = above.next_seq(C2S).wrapping_sub(14_600);
    for (k, piece) in big.chunks(1_460).enumerate() {
        wire = wire.send(C2S, piece);
        if lost(k) {
            wire = wire.lost();
        }
    }
    let now = wire.now().max(above.now()) + SECOND / 20;
    (above, wire) = (above.at(now), wire.at(now));
    for (k, piece) in big.chunks(1_460).enumerate().filter(|(k, _)| lost(*k)) {
        let start = seq.wrapping_add(1_460 * k as u32);
        above = above.repeat(C2S).with(|p| {
            p.payload = piece.to_vec();
            p.seq = start;
        });
        wire = wire.repeat(C2S).with(|p| {
            p.payload = piece.to_vec();
            p.seq = start;
        });
    }
    let now = wire.now().max(above.now()) + SECOND / 20;
    let end = seq.wrapping_add(14_600);
    let finish = |convo: Convo| {
        let mut convo = convo.at(now).ack(S2C).with(|p| p.ack = end);
        for n in 0..20 {
            convo = convo.send(C2S, &text(n, 200)).wait_ms(2);
        }
        convo
    };
    let [left, _] = plainly(vec![finish(above)]);
    let [_, right] = plainly(vec![finish(wire)]);
    let report = compare("super-segment", &[left, right]);
    let found = the(&report, "loss.network");
    assert_eq!(found.severity, "warning", "{}", found.summary);
    assert!(
        found.summary.starts_with("4 segments of") && !found.summary.contains("up to"),
        "{}",
        found.summary
    );
}

#[test]
fn a_syn_that_asks_for_less_is_no_stripped_option() {
    let mss_only = |p: &mut support::wire::Packet| p.options.truncate(4);
    let opened = || {
        convo(50_000, 25, SECOND)
            .window_scale(Some(8), Some(8))
            .syn()
            .lost()
            .wait_ms(3_000)
            .again()
            .lost()
            .wait_ms(3_000)
    };
    let rest = |convo: Convo| talk(convo.syn_ack().ack(C2S), 5);
    for (name, opening, want) in [
        (
            "the third asks for less",
            opened().again().with(mss_only),
            &["warning connect.retried"][..],
        ),
        (
            "a device takes it away",
            opened().again(),
            &["warning connect.retried", "warning path.option-stripped"],
        ),
    ] {
        let stripped = want.len() > 1;
        let [left, mut right] = plainly(vec![
            whole(49_000, 0),
            rest(opening),
            whole(50_009, 20 * SECOND),
        ]);
        if stripped {
            let own = rest(opened().again().with(mss_only));
            let [_, other] = plainly(vec![whole(49_000, 0), own, whole(50_009, 20 * SECOND)]);
            right = other;
        }
        assert_eq!(told(&compare(name, &[left, right])), want, "{name}");
    }
}

#[test]
fn damage_is_counted_and_not_reckoned_from_what_was_kept() {
    // Three hundred that the adapter spoils, twenty that the path does.
    let mut spoilt = convo(50_000, 5_001, 0).handshake();
    for n in 0..320 {
        spoilt = spoilt.send(C2S, &text(n, 100));
        spoilt = if n < 300 {
            spoilt.checksum(Checksum::UnfilledPartial)
        } else {
            spoilt
        };
        spoilt = spoilt.lost().wait_ms(250).again().checksum(if n < 300 {
            Checksum::UnfilledPartial
        } else {
            Checksum::Good
        });
        spoilt = spoilt.ack(S2C);
    }
    let first = |step: &Step| {
        if step.delivered() {
            None
        } else if step.packet.checksum == Checksum::Good {
            Some(Fate::With(Checksum::Wrong))
        } else {
            Some(Fate::With(Checksum::UnfilledPartial))
        }
    };
    let report = compare("damage", &seen(vec![spoilt], first));
    for (id, says) in [
        ("checksum.offload-broken", "300 segments of "),
        ("checksum.corruption-on-path", "20 segments of "),
    ] {
        let found = the(&report, id);
        assert!(found.summary.starts_with(says), "{id}: {}", found.summary);
    }
}

#[test]
fn what_a_last_word_does_not_hold_was_not_taken() {
    for (name, sack, says) in [
        ("with SACK", true, "6 segments of 7 "),
        // Those beyond the hole may have been taken.
        ("without", false, "1 segment of 7 "),
    ] {
        let mut stuck = convo(50_000, 5_001, 0).sack(sack).handshake();
        for n in 0..6 {
            let sent = stuck.send(C2S, &text(n, 1_400));
            stuck = sent.checksum(Checksum::UnfilledPartial).lost();
        }
        let stuck = stuck.wait_ms(5_000).fin(S2C);
        let first = |step: &Step| {
            let lost = !step.delivered();
            lost.then_some(Fate::With(Checksum::UnfilledPartial))
        };
        let report = compare(name, &seen(vec![stuck], first));
        let found = the(&report, "checksum.offload-broken");
        assert!(found.summary.starts_with(says), "{name}: {}", found.summary);
    }
}

#[test]
fn a_black_hole_is_seen_beside_a_lost_syn() {
    let opened = convo(50_000, 25, SECOND)
        .syn()
        .lost()
        .wait_ms(1_000)
        .again();
    let swallowed = stuck(talk(opened.syn_ack().ack(C2S), 4), 1_460);
    let pair = plainly(vec![
        whole(49_000, 0),
        swallowed,
        whole(50_009, 20 * SECOND),
    ]);
    assert_eq!(
        told(&compare("black hole", &pair)),
        ["critical path.mtu-black-hole", "warning connect.retried"]
    );
}

#[test]
fn copies_of_one_syn_are_no_outage() {
    let retried = lost_syns(convo(50_000, 25, 5 * SECOND))
        .wait_ms(900)
        .again();
    let retried = talk(retried.syn_ack().ack(C2S), 4);
    let swallowed = stuck(talk(convo(50_000, 25, 5 * SECOND).handshake(), 4), 200);
    let swallowed = talk(swallowed.wait_ms(2_400).again().ack(S2C), 4);
    for (name, middle, wanted) in [
        ("three SYNs", retried, false),
        ("a message", swallowed, true),
    ] {
        let pair = plainly(vec![whole(49_000, 0), middle, whole(50_009, 20 * SECOND)]);
        let told = told(&compare(name, &pair));
        let away = told.contains(&"critical link.outage".to_owned());
        assert_eq!(away, wanted, "{name}: {told:?}");
    }
}

#[test]
fn nobody_waits_for_the_answer_to_a_keep_alive() {
    let quiet = |probes: bool| {
        let mut convo = talk(convo(50_000, 8_000, 0).handshake(), 2);
        for n in 0..4 {
            convo = convo.wait_ms(30_000);
            let last = convo.next_seq(C2S).wrapping_sub(1);
            convo = if probes {
                convo.ack(C2S).with(|p| {
                    p.seq = last;
                    p.payload = vec![0];
                })
            } else {
                convo.send(C2S, &text(n, 20))
            };
            convo = convo
                .ack(S2C)
                .wait_ms(15_000)
                .send(S2C, &text(n, 70))
                .ack(C2S);
        }
        convo
    };
    for (name, probes, want) in [
        ("keep-alives", true, &[][..]),
        ("requests", false, &["warning server.slow"]),
    ] {
        let report = compare(name, &plainly(vec![quiet(probes)]));
        assert_eq!(told(&report), want, "{name}");
    }
}

#[test]
fn a_clock_that_is_set_is_no_slow_path() {
    let [left, right] = plainly(vec![whole(50_000, 0), whole(50_001, SECOND)]);
    // A clock that went back is seen in the capture itself, and put right.
    for (name, by, want, notes) in [
        ("ahead", 2 * SECOND, &["info capture.clock"][..], 0),
        ("back", -2 * SECOND, &[], 1),
    ] {
        let mut set = right.clone();
        for f in &mut set {
            f.time += 10 * SECOND + if f.time < SECOND + SECOND / 50 { 0 } else { by };
        }
        let report = compare(name, &[left.clone(), set]);
        assert_eq!(told(&report), want, "{name}");
        assert_eq!(report.notes.len(), notes, "{name}: {:?}", report.notes);
        let offset = json(&report)["clock"]["offset"].as_f64().unwrap();
        assert!((offset - 10.0).abs() < 0.001, "{name}: {offset}");
        assert_eq!(report.verdict.grade, "healthy", "{name}");
    }
}

#[test]
fn times_at_both_ends_of_all_time_are_no_crash() {
    let [left, right] = plainly(vec![whole(50_000, 0)]);
    let at = |list: &[Frame], client: i64, server: i64| -> Vec<Frame> {
        list.iter()
            .map(|f| Frame {
                time: if f.octets[29] == 1 { client } else { server },
                octets: f.octets.clone(),
            })
            .collect()
    };
    let about = support::scene::About::default();
    let far = i64::MAX;
    for [a, b, c, d] in [[0, far, far, 0], [far, 0, 0, far], [0, 0, far, far]] {
        let left = support::scene::pcapng(&about, &at(&left, a, b));
        let right = support::scene::pcapng(&about, &at(&right, c, d));
        compare_octets(
            "extremes",
            [("left.pcapng", &left), ("right.pcapng", &right)],
            &Settings::default(),
        );
    }
}

#[test]
fn the_server_is_who_listens_on_a_port_that_was_named() {
    // From a low port to a high one, and the beginning is missing.
    let talking = talk(
        Convo::between(host(1), 2_000, host(25), 3_333)
            .isn(1, 2)
            .at(0)
            .handshake(),
        10,
    );
    let [left, right] = plainly(vec![talking]).map(|list| list[6..].to_vec());
    let named = Settings {
        smtp_ports: vec![25, 3_333],
        ..Settings::default()
    };
    let (left, right) = (pcap(&left), pcap(&right));
    for (name, settings, server) in [
        ("by custom", Settings::default(), "192.0.2.1:2000"),
        ("named", named, "192.0.2.25:3333"),
    ] {
        let sides = [("left.pcap", &left[..]), ("right.pcap", &right[..])];
        let report = json(&compare_octets(name, sides, &settings));
        assert_eq!(report["flows"][0]["server"], server, "{name}");
    }
}
