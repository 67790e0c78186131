//! What a live run holds: no more after many connections than after few, whatever hosts they are between.
//!
//! Allocations are counted, so neither the machine nor the kernel has a part in it. `cargo test --release --test live_memory -- --ignored
//! --nocapture` prints what flows cost.
#![cfg(all(feature = "live", target_os = "linux"))]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;

use peak_alloc::PeakAlloc;
use support::convo::{C2S, Convo, S2C};
use support::wire::Host;
use tcptriage::capture::{CaptureInfo, Frame, FrameBatch, LinkType, Octets};
use tcptriage::detect::Severity;
use tcptriage::net::{FrameNo, Timestamp};
use tcptriage::pipeline::Settings;
use tcptriage::pipeline::live::{MAX_LISTED, Run};

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// What the tests of this file allocate is counted together: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// 208 connections a second, as in the soak.
const EVERY: i64 = 4_800_000;

/// The first one.
const BEGIN: i64 = 1_700_000_000_000_000_000;

/// How far two looks at what is held may lie apart, in octets: what is held of 10,000 listed flows is five times as much at least.
const MOST_APART: usize = 4_500_000;

/// Connection number `n`: its client is a host that no other has; its server is one of sixteen.
fn opening(n: u32) -> Convo {
    let host = |addr: Ipv4Addr, last: u8| Host {
        addr: IpAddr::V4(addr),
        mac: [2, 0, 0, 0, 0, last],
        ttl: 64,
        local: false,
    };
    let client = host(Ipv4Addr::from(0x0a00_0000 + n), 1);
    let server = host(Ipv4Addr::new(192, 0, 2, (n % 16) as u8 + 1), 2);
    Convo::between(client, 49_152, server, 25)
        .at(BEGIN + i64::from(n) * EVERY)
        .rtt_us(10, 100)
        .gap_us(10)
        .handshake()
        .send(S2C, b"220 mail.example ESMTP\r\n")
        .send(C2S, b"EHLO client.example\r\n")
        .send(S2C, b"250-mail.example\r\n250 SIZE 1000000\r\n")
}

/// A message, with a segment sent twice in each two-thousandth connection.
fn message(n: u32) -> Convo {
    let convo = opening(n)
        .send(C2S, b"MAIL FROM:<a@b.example>\r\n")
        .send(S2C, b"250 ok\r\n")
        .send(C2S, b"RCPT TO:<c@d.example>\r\n")
        .send(S2C, b"250 ok\r\n")
        .send(C2S, b"DATA\r\n")
        .send(S2C, b"354 go\r\n")
        .stream(C2S, &[b'x'; 3_000]);
    let convo = match n % 2_000 {
        0 => convo.repeat(C2S).ack(S2C),
        _ => convo,
    };
    convo
        .send(C2S, b"\r\n.\r\n")
        .send(S2C, b"250 queued\r\n")
        .close(C2S)
}

/// A live run without a network.
struct Fed {
    run: Run,
    batch: FrameBatch,
    frames: u64,
    before: usize,
}

impl Fed {
    fn new() -> Self {
        let before = ALLOCATED.current_usage();
        Self {
            run: Run::new(&Settings::default(), Severity::Warning, false).unwrap(),
            batch: FrameBatch::default(),
            frames: 0,
            before,
        }
    }

    fn take(&mut self, convo: Convo) {
        for step in convo.steps() {
            self.frames += 1;
            let octets = step.packet.frame(self.frames as u16);
            let Octets::Owned(buffer) = &mut self.batch.octets else {
                unreachable!("nothing is mapped here")
            };
            let start = buffer.len();
            buffer.extend_from_slice(&octets);
            self.batch.frames.push(Frame {
                number: FrameNo(self.frames),
                time: Timestamp(step.time),
                range: start..buffer.len(),
                wire_octets: octets.len() as u32,
                link: LinkType::ETHERNET,
            });
        }
        if self.batch.frames.len() >= 1_000 {
            self.flush();
        }
    }

    fn flush(&mut self) {
        self.run.push(&mut self.batch, 0);
        self.batch = FrameBatch::default();
    }

    /// Octets that it holds, everything handed on.
    fn held(&mut self) -> usize {
        self.flush();
        ALLOCATED.current_usage() - self.before
    }
}

#[test]
fn finished_connections_cost_nothing_in_the_long_run() {
    let _alone = ALONE.lock();
    let mut fed = Fed::new();
    // Detectors begin anew after so many flows: two looks as far apart see the same point of two rounds. Before the first one the list has
    // been full.
    let round = MAX_LISTED as u32;
    let (first, last) = (round + round / 2, 2 * round + round / 2);
    let mut held = Vec::new();
    for n in 0..last {
        if n == first {
            held.push(fed.held());
        }
        let convo = opening(n);
        fed.take(match n % 100 {
            0 => message(n),
            _ => convo.close(C2S),
        });
    }
    held.push(fed.held());
    assert!(held[0].abs_diff(held[1]) < MOST_APART, "{held:?}");
    assert!(held[1] < 128 << 20, "{held:?}");
    let now = Timestamp(BEGIN + i64::from(last) * EVERY);
    let (report, ..) = fed.run.finish(vec![CaptureInfo::default()], now, 0);
    let listed = report.flows.len() as u64;
    assert_eq!(listed, MAX_LISTED as u64);
    assert_eq!(report.totals.flows_omitted + listed, u64::from(last));
    assert!(
        report.notes.iter().any(|note| note.contains("parts of")),
        "{:?}",
        report.notes
    );
}

#[test]
#[ignore = "prints figures"]
fn what_flows_cost() {
    let _alone = ALONE.lock();
    let several = 2_000u32;
    // Time goes on by connections of another kind.
    let later = |fed: &mut Fed, seconds: i64| {
        for n in 0..4u32 {
            let at = BEGIN + i64::from(several) * EVERY + (seconds + i64::from(n)) * 1_000_000_000;
            fed.take(opening(1_000_000 + n).at(at).ack(C2S));
            fed.flush();
        }
    };
    let each = |octets: usize| octets / several as usize;
    let mut open = Fed::new();
    let none = open.held();
    (0..several).for_each(|n| open.take(opening(n)));
    println!(
        "octets of a connection after its EHLO: {}",
        each(open.held() - none)
    );
    later(&mut open, 11);
    println!("the same when idle: {}", each(open.held() - none));
    let mut closed = Fed::new();
    let none = closed.held();
    (0..several).for_each(|n| closed.take(message(n)));
    println!(
        "of one that sent a message and has just closed: {}",
        each(closed.held() - none)
    );
    later(&mut closed, 11);
    let settled = closed.held();
    println!(
        "the same after ten seconds, with what detectors, window and list keep: {}",
        each(settled - none)
    );
    let (report, ..) = closed
        .run
        .finish(vec![CaptureInfo::default()], Timestamp(BEGIN), 0);
    let with = ALLOCATED.current_usage();
    let flows = report.flows.len();
    drop(report);
    println!(
        "of a flow in the report: {}",
        (with - ALLOCATED.current_usage()) / flows
    );
}
