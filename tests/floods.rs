//! Floods: so much of one thing that whatever keeps all of it, or goes through all of it each time, shows. The program ends well, counts
//! every frame, and holds no more memory than the row says.
//!
//! `TCPTRIAGE_FLOODS=full cargo test --test floods -- --nocapture` takes the full numbers and prints the figures of docs/robustness.md;
//! `TCPTRIAGE=target/release/tcptriage` before it measures another binary, `TCPTRIAGE_FLOOD=zstd` takes those named so alone. It writes files of up to 1.3 GB.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use support::made::random::Random;
use support::wire::{ACK, FIN, PSH, SYN, fold, sum};

const CLIENT: [u8; 4] = [192, 0, 2, 1];
const SERVER: [u8; 4] = [198, 51, 100, 2];

/// A pcap file of raw IP under way.
struct Dump<W: Write> {
    out: W,
    frames: u64,
}

impl<W: Write> Dump<W> {
    fn new(mut out: W) -> Self {
        for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 262_144, 101] {
            out.write_all(&word.to_le_bytes()).unwrap();
        }
        Self { out, frames: 0 }
    }

    fn packet(&mut self, packet: &[u8]) {
        // One each millisecond.
        let (seconds, micros) = (self.frames / 1_000, self.frames % 1_000 * 1_000);
        let length = packet.len() as u32;
        for word in [1_000_000 + seconds as u32, micros as u32, length, length] {
            self.out.write_all(&word.to_le_bytes()).unwrap();
        }
        self.out.write_all(packet).unwrap();
        self.frames += 1;
    }

    fn segment(&mut self, from: End, to: End, control: Control, payload: &[u8]) {
        let Control(seq, ack, flags, options) = control;
        let words = 5 + options.len().div_ceil(4);
        let mut tcp = Vec::with_capacity(words * 4 + payload.len());
        tcp.extend(from.1.to_be_bytes());
        tcp.extend(to.1.to_be_bytes());
        tcp.extend(seq.to_be_bytes());
        tcp.extend(ack.to_be_bytes());
        tcp.extend([(words as u8) << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
        tcp.extend(options);
        tcp.resize(words * 4, 0);
        tcp.extend(payload);
        let pseudo = sum(&from.0) + sum(&to.0) + 6 + tcp.len() as u64;
        let check = !fold(pseudo + sum(&tcp));
        tcp[16..18].copy_from_slice(&check.to_be_bytes());
        self.packet(&ipv4(from.0, to.0, 6, 0, 0, &tcp));
    }
}

type End = ([u8; 4], u16);

/// Sequence number, acknowledgement, control bits, options.
struct Control<'a>(u32, u32, u8, &'a [u8]);

fn ipv4(from: [u8; 4], to: [u8; 4], protocol: u8, id: u16, field: u16, payload: &[u8]) -> Vec<u8> {
    let mut ip = Vec::with_capacity(20 + payload.len());
    ip.extend([0x45, 0]);
    ip.extend((20 + payload.len() as u16).to_be_bytes());
    ip.extend(id.to_be_bytes());
    ip.extend(field.to_be_bytes());
    ip.extend([64, protocol, 0, 0]);
    ip.extend(from);
    ip.extend(to);
    let check = !fold(sum(&ip));
    ip[10..12].copy_from_slice(&check.to_be_bytes());
    ip.extend(payload);
    ip
}

/// One of ten million clients, by number.
fn client(n: u64) -> End {
    let [_, a, b, c] = ((n / 50_000) as u32).to_be_bytes();
    ([10 + a, b, c, 7], 10_000 + (n % 50_000) as u16)
}

fn syns<W: Write>(n: u64, dump: &mut Dump<W>) {
    for i in 0..n {
        dump.segment(
            client(i),
            (SERVER, 25),
            Control(i as u32, 0, SYN as u8, &[]),
            &[],
        );
    }
}

/// Flows that nobody ends, each with two segments behind a hole that overlap and say different things.
fn half_open<W: Write>(n: u64, dump: &mut Dump<W>) {
    let server = (SERVER, 25);
    for i in 0..n {
        let client = client(i);
        let isn = (i as u32).wrapping_mul(0x9e37_79b9);
        let at = |offset: u32| isn.wrapping_add(offset);
        dump.segment(client, server, Control(isn, 0, SYN as u8, &[]), &[]);
        dump.segment(
            server,
            client,
            Control(7, at(1), (SYN | ACK) as u8, &[]),
            &[],
        );
        dump.segment(
            client,
            server,
            Control(at(101), 8, ACK as u8, &[]),
            &[b'a'; 100],
        );
        dump.segment(
            client,
            server,
            Control(at(151), 8, ACK as u8, &[]),
            &[b'b'; 100],
        );
    }
}

/// One flow whose numbers leap by about half of all there are, back and forth.
fn wraps<W: Write>(n: u64, dump: &mut Dump<W>) {
    const LEAPS: [u32; 8] = [
        0,
        1,
        0x7fff_ffff,
        0x8000_0000,
        0x8000_0001,
        0xffff_ffff,
        0x4000_0000,
        0xffff_0000,
    ];
    let (mut random, mut seq, mut ack) = (Random(1), 0xffff_fff0_u32, 0_u32);
    for i in 0..n {
        let mut ends = [(CLIENT, 40_000), (SERVER, 25)];
        ends.rotate_left((i % 2) as usize);
        dump.segment(
            ends[0],
            ends[1],
            Control(seq, ack, ACK as u8, &[]),
            &[b'x'; 40],
        );
        seq = seq.wrapping_add(random.pick(&LEAPS));
        ack = ack.wrapping_add(random.pick(&LEAPS));
        if i % 2 == 0 {
            std::mem::swap(&mut seq, &mut ack);
        }
    }
}

/// A sender of which every other segment is lost, and a receiver that tells of each hole.
fn holes<W: Write>(n: u64, dump: &mut Dump<W>) {
    let flow = Flow::open(dump, 25);
    for i in 0..n as u32 {
        let start = flow.next[0].wrapping_add(200 * i + 100);
        let here = Control(start, flow.next[1], ACK as u8, &[]);
        flow.dump
            .segment(flow.ends[0], flow.ends[1], here, &[b'x'; 100]);
        let mut sack = vec![1, 1, 5, 26];
        for back in 0..3 {
            let start = start.wrapping_sub(200 * back.min(i));
            sack.extend(start.to_be_bytes());
            sack.extend(start.wrapping_add(100).to_be_bytes());
        }
        let there = Control(flow.next[1], flow.next[0], ACK as u8, &sack);
        flow.dump.segment(flow.ends[1], flow.ends[0], there, &[]);
    }
}

/// Hosts of which each has one connection to the same server.
fn pairs<W: Write>(n: u64, dump: &mut Dump<W>) {
    let server = (SERVER, 25);
    for i in 0..n {
        let client = client(i * 50_000);
        dump.segment(client, server, Control(1, 0, SYN as u8, &[]), &[]);
        let both = Control(1, 2, (SYN | ACK) as u8, &[]);
        dump.segment(server, client, both, &[]);
        dump.segment(client, server, Control(2, 2, ACK as u8, &[]), &[]);
    }
}

/// Connections whose first segment with data is lost, with ten full ones behind the hole.
fn waiting<W: Write>(n: u64, dump: &mut Dump<W>) {
    let server = (SERVER, 25);
    for i in 0..n {
        let client = client(i);
        dump.segment(client, server, Control(1, 0, SYN as u8, &[]), &[]);
        let both = Control(1, 2, (SYN | ACK) as u8, &[]);
        dump.segment(server, client, both, &[]);
        for n in 1..=10 {
            let behind = Control(2 + n * 1_400, 2, ACK as u8, &[]);
            dump.segment(client, server, behind, &[b'x'; 1_400]);
        }
    }
}

/// A scan: one SYN to each port of hosts one after the other.
fn scan<W: Write>(n: u64, dump: &mut Dump<W>) {
    for i in 0..n {
        let server = ([198, 51, 100, (i >> 16) as u8], i as u16);
        dump.segment((CLIENT, 40_000), server, Control(1, 0, SYN as u8, &[]), &[]);
    }
}

/// Two pieces each of datagrams that stay incomplete.
fn fragments<W: Write>(n: u64, dump: &mut Dump<W>) {
    for i in 0..n {
        let from = client(i / 65_536).0;
        for (offset, length) in [(0, 64), (100, 64)] {
            let more = 0x2000;
            let piece = ipv4(from, SERVER, 6, i as u16, more | offset, &vec![7; length]);
            dump.packet(&piece);
        }
    }
}

/// A connection that works.
struct Flow<'a, W: Write> {
    dump: &'a mut Dump<W>,
    ends: [End; 2],
    next: [u32; 2],
}

impl<'a, W: Write> Flow<'a, W> {
    fn open(dump: &'a mut Dump<W>, port: u16) -> Self {
        Self::between(dump, [(CLIENT, 40_000), (SERVER, port)])
    }

    fn between(dump: &'a mut Dump<W>, ends: [End; 2]) -> Self {
        let options = [2, 4, 5, 0xb4, 4, 2, 0, 0];
        let (one, other) = (u32::MAX - 1_000, 5_000);
        dump.segment(ends[0], ends[1], Control(one, 0, SYN as u8, &options), &[]);
        let both = Control(other, one.wrapping_add(1), (SYN | ACK) as u8, &options);
        dump.segment(ends[1], ends[0], both, &[]);
        let next = [one.wrapping_add(1), other + 1];
        dump.segment(
            ends[0],
            ends[1],
            Control(next[0], next[1], ACK as u8, &[]),
            &[],
        );
        Self { dump, ends, next }
    }

    /// Octets from one end, acknowledged by the other every few segments.
    fn say(&mut self, from: usize, octets: &[u8]) {
        for (n, part) in octets.chunks(1_400).enumerate() {
            let control = Control(self.next[from], self.next[1 - from], (ACK | PSH) as u8, &[]);
            self.dump
                .segment(self.ends[from], self.ends[1 - from], control, part);
            self.next[from] = self.next[from].wrapping_add(part.len() as u32);
            if n % 8 == 7 {
                self.acknowledge(1 - from);
            }
        }
        self.acknowledge(1 - from);
    }

    fn acknowledge(&mut self, from: usize) {
        let control = Control(self.next[from], self.next[1 - from], ACK as u8, &[]);
        self.dump
            .segment(self.ends[from], self.ends[1 - from], control, &[]);
    }

    fn close(self) {
        let control = Control(self.next[0], self.next[1], (FIN | ACK) as u8, &[]);
        self.dump.segment(self.ends[0], self.ends[1], control, &[]);
    }
}

/// Clients by turns, each of which has a thousand commands refused, in a text as long as is kept.
fn refusals<W: Write>(n: u64, dump: &mut Dump<W>) {
    let reply = [b"550 ".as_slice(), &[0xff; 250], b"\r\n"].concat();
    let mut flows: Vec<([End; 2], [u32; 2])> = (0..n)
        .map(|i| {
            let mut flow = Flow::between(dump, [client(i), (SERVER, 25)]);
            flow.say(1, b"220 mx.example ESMTP\r\n");
            flow.say(0, b"EHLO a.example\r\n");
            flow.say(1, b"250-mx.example\r\n250 PIPELINING\r\n");
            (flow.ends, flow.next)
        })
        .collect();
    for _ in 0..5 {
        for (ends, next) in &mut flows {
            let mut flow = Flow {
                dump,
                ends: *ends,
                next: *next,
            };
            flow.say(0, &b"RSET\r\n".repeat(200));
            flow.say(1, &reply.repeat(200));
            *next = flow.next;
        }
    }
}

/// One message of SMB2 with so many requests in it.
fn compound<W: Write>(n: u64, dump: &mut Dump<W>) {
    const REQUEST: usize = 72;
    let mut message = Vec::new();
    for i in 0..n {
        let next = if i + 1 < n { REQUEST as u32 } else { 0 };
        message.extend(b"\xfeSMB\x40\0\0\0\0\0\0\0\x0d\0\x01\0\0\0\0\0");
        message.extend(next.to_le_bytes());
        message.extend(i.to_le_bytes());
        message.extend([0; 32]);
        message.extend([4, 0, 0, 0, 0, 0, 0, 0]);
    }
    assert_eq!(message.len(), n as usize * REQUEST);
    let mut flow = Flow::open(dump, 445);
    flow.say(0, &(message.len() as u32).to_be_bytes());
    flow.say(0, &message);
    flow.close();
}

/// A command of SMTP that never ends.
fn long_line<W: Write>(n: u64, dump: &mut Dump<W>) {
    let mut flow = Flow::open(dump, 25);
    flow.say(1, b"220 mx.example ESMTP\r\n");
    flow.say(0, b"EHLO ");
    for _ in 0..n / 14_000 {
        flow.say(0, &[b'a'; 14_000]);
    }
    flow.close();
}

/// Messages of NetBIOS that claim the largest length there is, behind each other.
fn lies<W: Write>(n: u64, dump: &mut Dump<W>) {
    let mut flow = Flow::open(dump, 139);
    for i in 0..n {
        flow.say(
            (i % 2) as usize,
            b"\0\xff\xff\xff\xffSMBr\0\0\0\0\xff\xff\xff\xfe",
        );
    }
    flow.close();
}

/// A flood: what it is called, the number that is tested with every change, the full one, megabytes of memory at most, how it is made,
/// and what is told of it.
struct Flood {
    name: &'static str,
    some: u64,
    full: u64,
    most: u64,
    make: fn(u64, &Path) -> Option<u64>,
    /// What the report says of a limit that was reached.
    tells: &'static str,
}

fn file(path: &Path) -> BufWriter<File> {
    BufWriter::with_capacity(1 << 20, File::create(path).unwrap())
}

/// A function that makes a pcap file with the help of one of those above; it gives the number of frames.
macro_rules! pcap {
    ($make:ident) => {
        |n, path| {
            let mut dump = Dump::new(file(path));
            $make(n, &mut dump);
            dump.out.flush().unwrap();
            Some(dump.frames)
        }
    };
}

/// pcapng with so many interfaces, and a frame on the last.
fn interfaces(n: u64, path: &Path) -> Option<u64> {
    let mut out = file(path);
    let mut block = |kind: u32, body: &[u8]| {
        let length = (body.len() as u32 + 12).to_le_bytes();
        for part in [&kind.to_le_bytes()[..], &length, body, &length] {
            out.write_all(part).unwrap();
        }
    };
    block(
        0x0a0d_0d0a,
        b"\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
    );
    for i in 0..n {
        // The name of each: another.
        let name = format!("{i:08}");
        let body = [
            b"\x65\0\0\0\0\0\x04\0\x02\0\x08\0",
            name.as_bytes(),
            &[0; 4],
        ]
        .concat();
        block(1, &body);
    }
    let mut dump = Dump::new(Vec::new());
    syns(1, &mut dump);
    let packet = &dump.out[40..];
    let words = [n as u32 - 1, 0, 0, packet.len() as u32, packet.len() as u32];
    let mut body: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    body.extend(packet);
    block(6, &body);
    out.flush().unwrap();
    // Frames of interfaces beyond the limit are left out, and told.
    None
}

/// So many megabytes of frames that hold nothing but zeros.
fn zeros(n: u64, out: &mut dyn Write) {
    let mut dump = Dump::new(out);
    for _ in 0..n * 4 {
        dump.packet(&[0; (1 << 18) - 16]);
    }
}

const FLOODS: &[Flood] = &[
    Flood {
        name: "SYNs",
        some: 20_000,
        full: 10_000_000,
        most: 1_500,
        make: pcap!(syns),
        tells: "",
    },
    Flood {
        name: "half-open flows with overlaps",
        some: 5_000,
        full: 1_000_000,
        most: 2_000,
        make: pcap!(half_open),
        tells: "octets were sent again with other contents",
    },
    Flood {
        name: "segments behind a hole",
        some: 1_000,
        full: 100_000,
        most: 2_000,
        make: pcap!(waiting),
        tells: "",
    },
    Flood {
        name: "pairs of hosts",
        // Detectors keep each direction apart.
        some: 10_100,
        full: 300_000,
        most: 2_000,
        make: pcap!(pairs),
        tells: "more pairs of hosts, services or attempts to connect",
    },
    Flood {
        name: "services that were asked for",
        some: 20_100,
        full: 1_000_000,
        most: 1_000,
        make: pcap!(scan),
        tells: "more pairs of hosts, services or attempts to connect",
    },
    Flood {
        name: "sequence numbers that leap",
        some: 20_000,
        full: 2_000_000,
        most: 200,
        make: pcap!(wraps),
        tells: "",
    },
    Flood {
        name: "holes told by SACK",
        some: 5_000,
        full: 65_535,
        most: 200,
        make: pcap!(holes),
        tells: "holes were not followed",
    },
    Flood {
        name: "fragments never completed",
        some: 20_000,
        full: 2_000_000,
        most: 200,
        make: pcap!(fragments),
        tells: "other pieces are missing",
    },
    Flood {
        name: "interfaces of pcapng",
        some: 70_000,
        full: 1_000_000,
        most: 300,
        make: interfaces,
        tells: "more than 10000 interfaces",
    },
    Flood {
        name: "requests in one SMB2 message",
        some: 65_536,
        full: 65_536,
        most: 200,
        make: pcap!(compound),
        tells: "",
    },
    Flood {
        name: "octets of one SMTP line",
        some: 5_000_000,
        full: 1_000_000_000,
        most: 200,
        make: pcap!(long_line),
        tells: "",
    },
    Flood {
        name: "NetBIOS lengths that lie",
        some: 5_000,
        full: 1_000_000,
        most: 200,
        make: pcap!(lies),
        tells: "",
    },
    Flood {
        name: "megabytes from gzip",
        some: 0,
        full: 4_000,
        most: 200,
        make: |n, path| {
            let mut out = flate2::write::GzEncoder::new(file(path), flate2::Compression::best());
            zeros(n, &mut out);
            out.finish().unwrap().flush().unwrap();
            None
        },
        tells: "",
    },
    Flood {
        name: "megabytes from zstd",
        some: 0,
        full: 4_000,
        most: 200,
        make: |n, path| {
            let mut out = zstd::stream::Encoder::new(file(path), 3).unwrap();
            zeros(n, &mut out);
            out.finish().unwrap().flush().unwrap();
            None
        },
        tells: "",
    },
    Flood {
        name: "megabytes from lz4",
        some: 0,
        full: 4_000,
        most: 200,
        make: |n, path| {
            let mut out = lz4_flex::frame::FrameEncoder::new(file(path));
            zeros(n, &mut out);
            out.finish().unwrap().flush().unwrap();
            None
        },
        tells: "",
    },
];

/// Processor time of the children that have ended, in seconds (`cutime` and `cstime` of proc(5), in hundredths).
fn worked() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let (_, behind) = stat.rsplit_once(") ").unwrap();
    let times = behind.split(' ').skip(13).take(2);
    times.map(|t| t.parse::<f64>().unwrap()).sum::<f64>() / 100.0
}

/// Runs the program; gives the report, the most memory that it held, in octets, as far as was seen, and its seconds of processor time.
/// Pages of the capture, which it maps, are the system's to keep, and do not count.
fn run(capture: &Path, options: &[&str]) -> (Value, u64, f64) {
    let before = worked();
    let program = std::env::var_os("TCPTRIAGE").map_or_else(
        || PathBuf::from(env!("CARGO_BIN_EXE_tcptriage")),
        PathBuf::from,
    );
    let mut child = Command::new(program)
        .args(["analyze", "-q", "--format", "json"])
        .args(options)
        .arg(capture)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let reader = thread::spawn(move || {
        let mut text = Vec::new();
        out.read_to_end(&mut text).unwrap();
        text
    });
    let status = format!("/proc/{}/status", child.id());
    let mut held = 0;
    let ended = loop {
        let told = fs::read_to_string(&status).unwrap_or_default();
        let most = told.lines().find_map(|l| l.strip_prefix("RssAnon:"));
        let most = most.and_then(|m| m.split_whitespace().next()?.parse::<u64>().ok());
        held = held.max(most.unwrap_or_default() << 10);
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        thread::sleep(Duration::from_millis(5));
    };
    assert_eq!(ended.code(), Some(0), "{}", capture.display());
    let report = serde_json::from_slice(&reader.join().unwrap()).unwrap();
    (report, held, worked() - before)
}

#[test]
fn floods_are_counted_and_not_kept() {
    let asked = std::env::var("TCPTRIAGE_FLOODS").ok();
    let full = asked.as_deref() == Some("full");
    let path = std::env::temp_dir().join(format!("tcptriage-flood-{}", std::process::id()));
    let mut wrong = Vec::new();
    let only = std::env::var("TCPTRIAGE_FLOOD").unwrap_or_default();
    for flood in FLOODS.iter().filter(|f| f.name.contains(&only)) {
        let number = if full { flood.full } else { flood.some };
        if number == 0 {
            continue;
        }
        let frames = (flood.make)(number, &path);
        let octets = fs::metadata(&path).unwrap().len();
        let (report, held, took) = run(&path, &[]);
        fs::remove_file(&path).unwrap();
        let name = flood.name;
        let totals = &report["totals"];
        if let Some(frames) = frames.filter(|frames| totals["frames"] != *frames) {
            wrong.push(format!("{name}: {} of {frames} frames", totals["frames"]));
        }
        if held > flood.most << 20 {
            wrong.push(format!("{name}: {held} octets were held"));
        }
        let told = format!("{}{}", report["captures"], report["notes"]);
        if !told.contains(flood.tells) {
            wrong.push(format!("{name}: {:?} is not told: {told}", flood.tells));
        }
        if asked.is_some() {
            println!(
                "{number} {name}: {} MB, {} frames, {took:.1} s of processor time, {} MB held",
                octets >> 20,
                totals["frames"],
                held >> 20
            );
            println!("  {}", report["captures"][0]["problems"]);
            println!("  {}", report["notes"]);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_asked_of_memory_is_kept() {
    // In numbers of which each would hold more, within the least that is kept to whatever comes.
    let rows = [
        ("segments behind a hole", 10_000),
        ("SYNs", 200_000),
        ("half-open flows with overlaps", 40_000),
        ("pairs of hosts", 50_000),
        ("services that were asked for", 200_000),
    ];
    let full = std::env::var("TCPTRIAGE_FLOODS").is_ok_and(|asked| asked == "full");
    let path = std::env::temp_dir().join(format!("tcptriage-memory-{}", std::process::id()));
    let mut wrong = Vec::new();
    for (name, some) in rows {
        let flood = FLOODS.iter().find(|f| f.name == name).unwrap();
        let number = if full { flood.full } else { some };
        let frames = (flood.make)(number, &path);
        for megabytes in [200, 256, 512, 1_024] {
            let most = format!("{megabytes}M");
            let (report, held, took) = run(&path, &["--max-memory", &most]);
            if full {
                println!("{name} within {most}: {took:.1} s, {} MB", held / 1_000_000);
            }
            let totals = &report["totals"];
            // None is cut in two: its segments come one behind the other.
            let counted = totals["frames"].as_u64() == frames && totals["flows"] == number;
            let notes = report["notes"].to_string();
            let told = full || notes.contains("to stay within the limits of memory");
            if held > megabytes * 1_000_000 || !counted || !told {
                wrong.push(format!(
                    "{name} within {most}: {held} octets, {totals}, {notes}"
                ));
            }
            if !full {
                break;
            }
        }
    }
    fs::remove_file(&path).unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn long_texts_are_part_of_what_is_held() {
    let path = std::env::temp_dir().join(format!("tcptriage-texts-{}", std::process::id()));
    let make: fn(u64, &Path) -> Option<u64> = pcap!(refusals);
    let frames = make(250, &path);
    let (report, held, _) = run(&path, &["--max-memory", "200M"]);
    fs::remove_file(&path).unwrap();
    assert_eq!(report["totals"]["frames"].as_u64(), frames);
    assert!(held <= 200_000_000, "{held} octets");
    let notes = report["notes"].to_string();
    assert!(
        notes.contains("to stay within the limits of memory"),
        "{notes}"
    );
}
