//! An administrator's published case, rebuilt frame by frame: two Exchange 2007 hubs that cannot talk to each other.
//!
//! What the publication says and what is invented stands in `captures/exchange2007-nic-team/README.md`. The numbers in
//! [`SMTP_FRAMES`], [`SMB_FRAMES`] and in [`stuck_smtp`] and [`stuck_smb`] are the publication's, times apart.

use std::net::{IpAddr, Ipv4Addr};

use super::super::convo::{C2S, Convo, S2C};
use super::super::scene::{About, Scene, pcapng};
use super::super::wire::{Checksum, Host};
use super::dialogs::{
    arp, banner, bpdu, ehlo_reply, http, smb, smb_negotiate, smb_negotiate_response, smtp,
};
use super::random::Random;

/// What the checksum field of the segments that never arrive holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Variant {
    /// The pseudo-header's sum, as in all other frames that the host sends.
    Unfilled,
    /// A plainly wrong sum.
    Wrong,
}

impl Variant {
    const fn stuck(self) -> Checksum {
        match self {
            Self::Unfilled => Checksum::UnfilledPartial,
            Self::Wrong => Checksum::Wrong,
        }
    }
}

/// 2010-01-05 15:22:00 UTC in seconds since the epoch. Times below count from here.
const MINUTE_22: i64 = 1_262_704_920;

const fn at_ms(millis: i64) -> i64 {
    (MINUTE_22 * 1_000 + millis) * 1_000_000
}

/// SMTP: frame numbers of EHLO, of its reply, of the stuck segment and of its seven repeats; and when, in milliseconds.
/// The waits double from 3.6 s.
pub const SMTP_FRAMES: [(u64, i64); 10] = [
    (338, 11_300),
    (1197, 11_999),
    (1198, 12_000),
    (4159, 15_600),
    (8142, 22_800),
    (11786, 37_200),
    (15476, 66_000),
    (17902, 123_600),
    (20735, 238_800),
    (23227, 469_200),
];

/// SMB: frame numbers of the stuck Negotiate response and of its seven repeats; and when, in milliseconds. The waits double
/// from 0.9 s: the only kind of doubling that puts the frames into the minutes that the publication names.
pub const SMB_FRAMES: [(u64, i64); 8] = [
    (14560, 55_000),
    (14650, 55_900),
    (14943, 57_700),
    (15334, 61_300),
    (15862, 68_500),
    (16383, 82_900),
    (17225, 111_700),
    (18568, 169_300),
];

/// When the capture starts, in milliseconds.
const START: i64 = 9_000;
/// When the host gives the SMB connection up: one doubled wait after the last repeat.
const SMB_GIVEN_UP: i64 = 284_500;
/// When the slow transfer test starts, in milliseconds.
const TEST_START: i64 = 172_000;
/// When the same test to another host of that site runs.
const OTHER_TEST_START: i64 = 300_000;
/// Frames in all, and when the capture is stopped.
const END: (u64, i64) = (23_261, 470_200);

/// Octets a second that the publication's test reached.
const TEST_RATE: i64 = 557;
/// Segments of the transfer test.
const TEST_SEGMENTS: i64 = 40;

/// Round trip between the sites and within one, in microseconds.
const WAN_US: i64 = 4_000;
const LAN_US: i64 = 250;

const XXXMAIL02: [u8; 4] = [192, 168, 24, 34];
const YYYMAIL02: [u8; 4] = [192, 168, 15, 63];
/// Another server of the peer's site, behind the same router.
const YYYMAIL01: [u8; 4] = [192, 168, 15, 64];
const DC01: [u8; 4] = [192, 168, 24, 10];
const XXXMAIL01: [u8; 4] = [192, 168, 24, 35];
const GATEWAY: [u8; 4] = [192, 168, 24, 20];

const NAMES: [([u8; 4], &str); 6] = [
    (XXXMAIL02, "XXXMAIL02.testdomain.com"),
    (YYYMAIL02, "YYYMAIL02.testdomain.com"),
    (YYYMAIL01, "YYYMAIL01.testdomain.com"),
    (DC01, "XXXDC01.testdomain.com"),
    (XXXMAIL01, "XXXMAIL01.testdomain.com"),
    (GATEWAY, "XXXGATE01.testdomain.com"),
];

/// A host as XXXMAIL02's adapter sees it: those of the other site come through the router.
fn host(addr: [u8; 4]) -> Host {
    let remote = addr[2] != 24;
    let mac = match addr {
        XXXMAIL02 => [0x00, 0x1c, 0xc4, 0x5e, 0x24, 0x34],
        _ if remote => [0x00, 0x0b, 0xbe, 0x18, 0x00, 0x01],
        [.., last] => [0x00, 0x1b, 0x78, 0x30, 0x00, last],
    };
    Host {
        addr: IpAddr::V4(Ipv4Addr::from(addr)),
        mac,
        ttl: if remote { 126 } else { 128 },
        local: addr == XXXMAIL02,
    }
}

/// A conversation that XXXMAIL02 takes part in, with its offload at work, at this time (milliseconds).
fn convo(client: [u8; 4], port: u16, server: [u8; 4], service: u16, millis: i64) -> Convo {
    let there = |a: [u8; 4]| match a {
        XXXMAIL02 => 60,
        [_, _, 24, _] => LAN_US,
        _ => WAN_US,
    };
    let local = if client == XXXMAIL02 { C2S } else { S2C };
    Convo::between(host(client), port, host(server), service)
        .rtt_us(there(client), there(server))
        .gap_us(15)
        .checksums(local, Checksum::UnfilledPartial)
        .at(at_ms(millis))
}

/// The SMTP conversation: greeted, EHLO answered, and then 16 octets that never arrive.
fn stuck_smtp(variant: Variant) -> Convo {
    let [ehlo, reply, stuck, repeats @ ..] = SMTP_FRAMES.map(|(_, ms)| at_ms(ms));
    let mut convo = convo(XXXMAIL02, 44_217, YYYMAIL02, 25, 11_200)
        .isn(3_183_382_952 - 31 - 1, 1_774_779_495 - 255 - 99 - 1)
        .handshake()
        .send(
            S2C,
            &banner("YYYMAIL02.testdomain.com", "Tue, 5 Jan 2010", "15:22:11"),
        )
        .window(C2S, 65_535 - 99)
        .at(ehlo)
        .send(C2S, b"EHLO XXXMAIL02.testdomain.com\r\n")
        .wait_ms(180)
        .window(S2C, 65_535 - 31)
        .ack(S2C)
        .at(reply)
        .send(
            S2C,
            &ehlo_reply("YYYMAIL02.testdomain.com", "192.168.24.34"),
        )
        .window(C2S, 65_181)
        .at(stuck)
        .send(C2S, b"X-ANONYMOUSTLS\r\n")
        .checksum(variant.stuck())
        .lost()
        // The ACK of the reply was lost with it: the server repeats its reply, and is told.
        .wait_ms(310)
        .repeat(S2C)
        .ack(C2S);
    for time in repeats {
        convo = convo.at(time).repeat(C2S).checksum(variant.stuck()).lost();
    }
    convo
}

/// The SMB conversation: a Negotiate response that never arrives.
fn stuck_smb(variant: Variant) -> Convo {
    let [response, repeats @ ..] = SMB_FRAMES.map(|(_, ms)| at_ms(ms));
    let mut convo = convo(YYYMAIL02, 44_946, XXXMAIL02, 445, 54_600)
        .isn(2_070_264_315 - 137 - 1, 3_446_414_444 - 1)
        .handshake()
        .send(C2S, &smb_negotiate())
        .window(S2C, 65_398)
        // The delayed ACK.
        .wait_ms(170)
        .ack(S2C)
        .at(response)
        .send(S2C, &smb_negotiate_response("XXXMAIL02", 0x34))
        .checksum(variant.stuck())
        .lost();
    for time in repeats {
        convo = convo.at(time).repeat(S2C).checksum(variant.stuck()).lost();
    }
    convo.at(at_ms(SMB_GIVEN_UP)).rst(S2C)
}

/// The transfer test that crawls: two, three or four copies of a segment get lost before one arrives.
fn slow_test(variant: Variant) -> Convo {
    const LOST: [i64; 8] = [3, 3, 2, 3, 4, 3, 3, 2];
    let lost = |n: i64| LOST[(n % 8) as usize];
    // All waits are multiples of one, which follows from the rate.
    let total_us = TEST_SEGMENTS * 1_460 * 1_000_000 / TEST_RATE;
    let waits: i64 = (0..TEST_SEGMENTS).map(|n| (1 << lost(n)) - 1).sum();
    let unit_us = (total_us - TEST_SEGMENTS * (WAN_US + 60)) / waits;

    let mut convo = convo(XXXMAIL02, 44_290, YYYMAIL02, 5_001, TEST_START)
        .isn(911_400_223, 402_115_871)
        .handshake();
    for n in 0..TEST_SEGMENTS {
        convo = convo
            .send(C2S, &test_octets(1_460))
            .checksum(variant.stuck())
            .lost();
        for copy in 0..lost(n) {
            convo = convo.wait_us(unit_us << copy).repeat(C2S);
            if copy + 1 < lost(n) {
                convo = convo.checksum(variant.stuck()).lost();
            }
        }
        convo = convo.ack(S2C);
    }
    convo.close(C2S)
}

/// A transfer test that runs as it should: slow start, then one segment each `spacing_us`; every second one is acknowledged.
fn fast_test(convo: Convo, segments: u32, spacing_us: i64) -> Convo {
    const MSS: u32 = 1_460;
    let mut convo = convo.handshake();
    let first = convo.next_seq(C2S);
    let start = convo.now() + 200_000;
    // When each segment is sent, and when its ACK comes back.
    let mut sent: Vec<i64> = Vec::new();
    let mut acked: Vec<i64> = Vec::new();
    for n in 0..segments as usize {
        let paced = sent.last().map_or(start, |t| t + spacing_us * 1_000);
        // The flight doubles with each round trip, up to the window of 44 segments: segment n waits for the ACK of the one
        // that opened the window for it.
        let needs = if n < 2 {
            None
        } else {
            Some(((n - 2) / 2).max(n.saturating_sub(44)))
        };
        sent.push(needs.map_or(paced, |a: usize| paced.max(acked[a | 1] + 20_000)));
        acked.push(sent[n] + (WAN_US + 40) * 1_000);
    }
    let mut events: Vec<(i64, Option<u32>)> = Vec::new();
    for n in 0..segments {
        events.push((sent[n as usize], None));
        if n % 2 == 1 || n + 1 == segments {
            events.push((acked[n as usize], Some(n + 1)));
        }
    }
    events.sort();
    for (time, acks) in events {
        convo = match acks {
            None => convo.at(time).send(C2S, &test_octets(MSS as usize)),
            Some(upto) => convo
                .at(time)
                .ack(S2C)
                .with(|p| p.ack = first.wrapping_add(upto * MSS)),
        };
    }
    convo.close(C2S)
}

/// The conversations that go wrong, without those of other hosts.
pub fn stuck(variant: Variant) -> Vec<Convo> {
    vec![stuck_smtp(variant), stuck_smb(variant), slow_test(variant)]
}

/// What the test program sends.
fn test_octets(count: usize) -> Vec<u8> {
    b"0123456789".iter().copied().cycle().take(count).collect()
}

/// Hands out the ports of the hosts, leaving out those of the published conversations.
struct Ports(u16);

impl Ports {
    fn next(&mut self) -> u16 {
        self.0 += 1;
        if matches!(self.0, 44_217 | 44_290 | 44_946) {
            self.0 += 1;
        }
        self.0
    }
}

/// A conversation of XXXMAIL02 with somebody else, in perfect health.
fn healthy(random: &mut Random, ports: &mut Ports, millis: i64) -> Convo {
    let clock = format!("15:{:02}:{:02}", 22 + millis / 60_000, millis / 1_000 % 60);
    let kind = random.range(0, 100);
    let port = ports.next();
    let octets = random.range(250, 700) as usize;
    match kind {
        0..30 => {
            let to = random.pick(&[XXXMAIL01, YYYMAIL01, GATEWAY]);
            smtp(
                started(convo(XXXMAIL02, port, to, 25, millis), random),
                random,
                name_of(to),
                name_of(XXXMAIL02),
                &clock,
                octets,
            )
        }
        30..50 => {
            let from = random.pick(&[XXXMAIL01, YYYMAIL01, GATEWAY]);
            smtp(
                started(convo(from, port, XXXMAIL02, 25, millis), random),
                random,
                name_of(XXXMAIL02),
                name_of(from),
                &clock,
                octets,
            )
        }
        50..80 => {
            let with = random.pick(&[DC01, XXXMAIL01, YYYMAIL01]);
            let (client, server) = random.pick(&[(XXXMAIL02, with), (with, XXXMAIL02)]);
            let reads = random.range(3, 40);
            let server_name = name_of(server).split('.').next().unwrap();
            smb(
                started(convo(client, port, server, 445, millis), random),
                random,
                server_name,
                reads,
            )
        }
        _ => {
            let from = [192, 168, 24, random.range(100, 140) as u8];
            let pages = random.range(1, 8);
            http(
                started(convo(from, port, XXXMAIL02, 80, millis), random),
                random,
                name_of(XXXMAIL02),
                pages,
            )
        }
    }
}

/// Initial sequence numbers, and a start off the full millisecond.
fn started(convo: Convo, random: &mut Random) -> Convo {
    convo
        .isn(random.draw() as u32, random.draw() as u32)
        .wait_us(random.range(0, 1_000))
}

fn name_of(addr: [u8; 4]) -> &'static str {
    NAMES
        .iter()
        .find(|(a, _)| *a == addr)
        .map_or("client.testdomain.com", |(_, name)| name)
}

/// Fills the time between two published frames with so many frames of other traffic that their numbers come out right.
fn fill(
    scene: &mut Scene,
    random: &mut Random,
    ports: &mut Ports,
    from_ms: i64,
    to_ms: i64,
    wanted: usize,
) {
    let (from, to) = (at_ms(from_ms) + 1, at_ms(to_ms));
    let mut missing = wanted
        .checked_sub(scene.count(from, to))
        .expect("fewer frames of the published conversations than there is room for");
    for _ in 0..20_000 {
        if missing < 20 {
            break;
        }
        let millis = random.range(from_ms, to_ms);
        let convo = healthy(random, ports, millis);
        if convo.now() + 1_000_000 < to && convo.captured() <= missing {
            missing -= convo.captured();
            scene.add(convo);
        }
    }
    assert!(
        missing < 20,
        "{missing} frames between {from_ms} and {to_ms} find no place"
    );
    for _ in 0..missing {
        let time = random.range(from, to - 1_000_000);
        let frame = if random.range(0, 3) == 0 {
            bpdu()
        } else {
            arp(random.range(100, 140) as u8, random.pick(&[1, 10, 20, 35]))
        };
        scene.add_frame(time, frame);
    }
}

/// The capture of 5 January 2010 on XXXMAIL02.
pub fn sick(variant: Variant) -> Vec<u8> {
    let mut scene = Scene::new();
    scene.add(stuck_smtp(variant));
    scene.add(stuck_smb(variant));
    scene.add(slow_test(variant));
    scene.add(fast_test(
        convo(XXXMAIL02, 44_291, YYYMAIL01, 5_001, OTHER_TEST_START).isn(77_120_402, 1_338_209_931),
        120,
        195,
    ));

    let mut random = Random(20_100_105);
    let mut ports = Ports(40_000);
    let mut anchors: Vec<(u64, i64)> = [&SMTP_FRAMES[..], &SMB_FRAMES[..]].concat();
    anchors.push(END);
    anchors.sort_unstable();
    let (mut number, mut time) = (0, START);
    for (next_number, next_time) in anchors {
        let between = (next_number - number - 1) as usize;
        if between > 0 {
            fill(
                &mut scene,
                &mut random,
                &mut ports,
                time,
                next_time,
                between,
            );
        }
        (number, time) = (next_number, next_time);
    }
    pcapng(
        &About {
            comment: "A published case, rebuilt by the generator in tests/support/made; see README.md beside this file",
            interface: "HP Network Team #1 (2 x NC373i), XXXMAIL02",
            names: &NAMES,
        },
        &scene.frames(),
    )
}

/// The short capture after the remedy, on the same host: the same test, the same dialogs, all well.
pub fn after() -> Vec<u8> {
    let mut scene = Scene::new();
    let mut random = Random(60_000_000);
    let mut ports = Ports(2_000);
    // A week later, in a maintenance window.
    const WEEK: i64 = 7 * 24 * 3_600_000 + 6 * 3_600_000;
    scene.add(smtp(
        started(convo(XXXMAIL02, 2_215, YYYMAIL02, 25, WEEK), &mut random),
        &mut random,
        name_of(YYYMAIL02),
        name_of(XXXMAIL02),
        "21:22:00",
        9_000,
    ));
    scene.add(smb(
        started(
            convo(YYYMAIL02, 1_944, XXXMAIL02, 445, WEEK + 700),
            &mut random,
        ),
        &mut random,
        "XXXMAIL02",
        60,
    ));
    scene.add(fast_test(
        convo(XXXMAIL02, 2_290, YYYMAIL02, 5_001, WEEK + 2_000).isn(3_017_448_210, 90_417_733),
        600,
        174,
    ));
    for n in 0..12 {
        scene.add(healthy(&mut random, &mut ports, WEEK + n * 190));
    }
    for n in 0..2 {
        scene.add_frame(at_ms(WEEK + 41 + n * 2_000), bpdu());
    }
    pcapng(
        &About {
            comment: "The published case after its remedy, rebuilt by the generator in tests/support/made; see README.md beside this file",
            interface: "HP NC373i Multifunction Gigabit Server Adapter, XXXMAIL02",
            names: &NAMES,
        },
        &scene.frames(),
    )
}
