//! Where the fuzzer begins: sound inputs of every kind, out of captures and made here.
//!
//! Takes:  captures (those of `captures/`, and any that are given)
//! Gives:  inputs by target
//! Never:  is committed as files: `cargo run --example seeds` writes them where the fuzzer looks

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use tcptriage::capture::{self as reader, FrameBatch, LinkType, OpenOptions, PcapngWriter};
use tcptriage::decode::{Decoder, SegmentBatch};
use tcptriage::flow::{ChunkData, FlowTable, Limits, Observed};
use tcptriage::net::{Direction, Timestamp};

use super::decode::{LINKS, ipv4, ipv6};
use super::{capture, proto, text};

/// Inputs by target.
pub type Seeds = BTreeMap<&'static str, Vec<Vec<u8>>>;

/// Longest file taken as a seed, as it is.
const MAX_FILE: u64 = 64 << 10;
/// Frames taken of one capture.
const MAX_FRAMES: usize = 24;
/// Dialogs taken of one capture, and octets of each.
const MAX_DIALOGS: usize = 6;
const MAX_DIALOG: usize = 4 << 10;

/// The folder of the project, from its own tests and from this package.
fn project() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let above = here.parent().unwrap_or(here);
    let project = if here.join("captures").is_dir() {
        here
    } else {
        above
    };
    project.to_owned()
}

/// The captures that come with the project.
pub fn captures() -> Vec<PathBuf> {
    files(&project().join("captures"), "capture.pcapng")
}

/// Files below a folder whose names end so, in order.
fn files(folder: &Path, end: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path, end));
        } else if path.to_string_lossy().ends_with(end) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// All seeds, those of these captures among them.
pub fn all(captures: &[PathBuf]) -> Seeds {
    let mut seeds = Seeds::new();
    for path in captures {
        from_capture(path, &mut seeds);
    }
    formats(&mut seeds);
    frames(&mut seeds);
    flows(&mut seeds);
    dialogs(&mut seeds);
    texts(&mut seeds);
    seeds
}

fn add(seeds: &mut Seeds, target: &'static str, parts: &[&[u8]]) {
    let seed = parts.concat();
    let of = seeds.entry(target).or_default();
    if !of.contains(&seed) {
        of.push(seed);
    }
}

/// What a capture holds: itself where it is small, some frames, some dialogs.
fn from_capture(path: &Path, seeds: &mut Seeds) {
    if fs::metadata(path).is_ok_and(|m| m.len() <= MAX_FILE)
        && let Ok(octets) = fs::read(path)
    {
        for (target, magic) in [
            ("pcap", capture::PCAP),
            ("pcapng", capture::PCAPNG),
            ("netmon", capture::NETMON),
            ("snoop", capture::SNOOP),
            ("gzip", capture::GZIP),
            ("zstd", capture::ZSTD),
            ("lz4", capture::LZ4),
        ] {
            for (at, magic) in magic.iter().enumerate() {
                if let Some(rest) = octets.strip_prefix(*magic) {
                    // Of pcapng the first octet says whether what follows is a file.
                    add(seeds, target, &[&[at as u8], rest]);
                }
            }
        }
    }
    let Some(path) = path.to_str() else { return };
    let Ok(mut source) = reader::open(path, &OpenOptions::default()) else {
        return;
    };
    let (mut batch, mut segments) = (FrameBatch::default(), SegmentBatch::default());
    let (mut decoder, mut table) = (Decoder::new(0), FlowTable::new(Limits::default()));
    let (mut observed, mut taken) = (Vec::new(), 0);
    let mut spoken: HashMap<u64, (&'static str, Vec<u8>)> = HashMap::new();
    while source.next_batch(&mut batch).is_ok_and(|more| more) {
        for frame in &batch.frames {
            let link = LINKS.iter().position(|l| *l == frame.link.0);
            if let Some(link) = link.filter(|_| taken < MAX_FRAMES) {
                taken += 1;
                add(seeds, "link", &[&[link as u8, 0], batch.captured(frame)]);
            }
        }
        decoder.push(&mut batch, &mut segments);
        table.push(&segments, &mut observed);
        for seen in observed.drain(..) {
            match seen {
                Observed::Opened {
                    flow, server_port, ..
                } => {
                    let target = match server_port {
                        25 | 587 => "smtp",
                        139 => "smb1",
                        445 => "smb2",
                        135 => "dcerpc",
                        443 | 465 => "tls",
                        _ => "unknown",
                    };
                    let of = spoken.values().filter(|(t, _)| *t == target).count();
                    if of < MAX_DIALOGS {
                        // Bare: the dialog has its own opening.
                        spoken.insert(flow, (target, vec![1]));
                    }
                }
                Observed::Chunk(chunk) => {
                    let octets = match &chunk.data {
                        ChunkData::InBatch(at) => segments.octets_of(*at),
                        ChunkData::Kept(kept) => kept,
                        ChunkData::Gap(_) => &[],
                    };
                    if let Some((_, dialog)) = spoken.get_mut(&chunk.flow)
                        && dialog.len() + octets.len() < MAX_DIALOG
                    {
                        dialog.extend(proto::operation(chunk.direction, octets));
                    }
                }
                _ => {}
            }
        }
    }
    let mut spoken: Vec<_> = spoken.into_iter().collect();
    spoken.sort();
    for (_, (target, dialog)) in spoken {
        add(seeds, target, &[&dialog]);
    }
}

/// A small TCP packet.
fn packet() -> Vec<u8> {
    let tcp = [
        &[
            0x9c, 0x40, 0, 25, 0, 0, 0, 1, 0, 0, 0, 1, 0x80, 0x18, 4, 0, 0, 0, 0, 0,
        ][..],
        &[1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2],
        b"MAIL FROM:<a@b.example>\r\n",
    ]
    .concat();
    ipv4(6, 7, 0, tcp.len(), &tcp)
}

/// The same in Ethernet.
fn ethernet() -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0][..], &packet()].concat()
}

/// Small files of every format.
fn formats(seeds: &mut Seeds) {
    let frame = ethernet();
    let length = frame.len() as u32;
    let mut plain = Vec::new();
    for (at, magic) in capture::PCAP.iter().enumerate() {
        let big = magic[0] == 0xa1;
        let word = |n: u32| {
            if big {
                n.to_be_bytes()
            } else {
                n.to_le_bytes()
            }
        };
        let version = if big { [0, 2, 0, 4] } else { [2, 0, 4, 0] };
        let extra = if magic.contains(&0xcd) { 8 } else { 0 };
        let mut file = [&version[..], &[0; 8], &word(65_535), &word(1)].concat();
        for n in 0..3 {
            file.extend([word(n), word(n * 1_000), word(length), word(length)].concat());
            file.resize(file.len() + extra, 0);
            file.extend(&frame);
        }
        add(seeds, "pcap", &[&[at as u8], &file]);
        plain = [magic, &file[..]].concat();
        add(seeds, "anything", &[&plain]);
    }
    let mut writer = PcapngWriter::new(Vec::new(), LinkType::ETHERNET).unwrap();
    let name = ("192.0.2.1".parse().unwrap(), "mail.example".to_owned());
    writer.names(&[name]).unwrap();
    writer
        .frame(Timestamp(1), &frame, length, Some("look here"))
        .unwrap();
    writer
        .frame_on(LinkType(101), Timestamp(2), &packet(), 900, None)
        .unwrap();
    writer.statistics(Timestamp(3), 2, 1).unwrap();
    let file = writer.finish().unwrap();
    add(seeds, "pcapng", &[&[0], &file[4..]]);
    add(seeds, "anything", &[&file]);
    // As blocks: an interface with options, packets of all three kinds, statistics, names, secrets, a custom block.
    let mut blocks = vec![1];
    let mut block = |kind: u8, body: &[u8]| {
        blocks.extend([kind, body.len() as u8]);
        blocks.extend(body);
    };
    block(1, b"\x01\0\0\0\0\0\0\0\x09\0\x01\0\x09\0\0\0\x0e\0\x08\0\x01\0\0\0\0\0\0\0\x01\0\x04\0text\0\0\0\0");
    let times = [
        &[0_u8; 12][..],
        &[length as u8, 0, 0, 0, length as u8, 0, 0, 0],
        &frame,
    ]
    .concat();
    block(6, &times);
    block(2, &times);
    block(3, &[&[length as u8, 0, 0, 0], &frame[..]].concat());
    block(4, b"\x01\0\x09\0\xc0\0\x02\x01mail\0\0\0\0\0\0\0\0");
    block(
        5,
        b"\0\0\0\0\0\0\0\0\0\0\0\0\x05\0\x08\0\x02\0\0\0\0\0\0\0\0\0\0\0",
    );
    block(10, b"\0\0\0\0\x04\0\0\0keys");
    block(
        20,
        b"\x1a\x2b\x3c\x4d\0\x01\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
    );
    add(seeds, "pcapng", &[&blocks]);

    for (at, version) in [(0, [3, 2]), (0, [1, 2]), (1, [1, 1])] {
        let file = netmon(version, &frame);
        add(seeds, "netmon", &[&[at], &file]);
    }
    let mut snoop = vec![0, 0, 0, 2, 0, 0, 0, 4];
    for n in 0..2_u32 {
        for field in [length, length, 24 + length, n, n, n] {
            snoop.extend(field.to_be_bytes());
        }
        snoop.extend(&frame);
    }
    add(seeds, "snoop", &[&[0], &snoop]);

    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let mut lz4 = lz4_flex::frame::FrameEncoder::new(Vec::new());
    lz4.write_all(&plain).unwrap();
    for (target, magic, packed) in [
        ("gzip", capture::GZIP, gzip.finish().unwrap()),
        (
            "zstd",
            capture::ZSTD,
            zstd::stream::encode_all(&plain[..], 1).unwrap(),
        ),
        ("lz4", capture::LZ4, lz4.finish().unwrap()),
    ] {
        add(seeds, target, &[&[0], &packed[magic[0].len()..]]);
        add(seeds, "anything", &[&packed]);
    }
}

/// A capture of Network Monitor behind its magic: two records and the table that names them.
fn netmon([minor, major]: [u8; 2], frame: &[u8]) -> Vec<u8> {
    const HEADER: usize = 72;
    let (mut body, mut table) = (Vec::new(), Vec::new());
    for n in 0..2_u8 {
        table.extend(((HEADER + body.len()) as u32).to_le_bytes());
        if major == 1 {
            let length = (frame.len() as u16).to_le_bytes();
            body.extend([&[n, 0, 0, 0][..], &length, &length, frame].concat());
        } else {
            let length = (frame.len() as u32).to_le_bytes();
            body.extend(
                [
                    &[n, 0, 0, 0, 0, 0, 0, 0][..],
                    &length,
                    &length,
                    frame,
                    &[1, 0],
                ]
                .concat(),
            );
            // Process, time in units of 100 ns, time zone.
            body.extend([0xff; 4]);
            body.extend(132_223_104_000_000_000_u64.to_le_bytes());
            body.push(0);
        }
    }
    let mut head = vec![minor, major, 1, 0];
    for field in [2020_u16, 1, 3, 1, 0, 0, 0, 500] {
        head.extend(field.to_le_bytes());
    }
    head.extend(((HEADER + body.len()) as u32).to_le_bytes());
    head.extend((table.len() as u32).to_le_bytes());
    head.resize(HEADER - 4, 0);
    [head, body, table].concat()
}

/// Frames of every link type, fragments, tunnels, options.
fn frames(seeds: &mut Seeds) {
    let (packet, ethernet) = (packet(), ethernet());
    let llc = [&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0][..], &packet].concat();
    let wifi = [&[0x88, 0x01, 0, 0][..], &[2; 18], &[0, 0, 0, 0], &llc].concat();
    let six = ipv6(6, packet.len() - 20, &packet[20..]);
    let heads: &[(u16, &[u8], &[u8])] = &[
        (1, &[], &ethernet),
        (
            1,
            &[2; 12],
            &[&[0x81, 0, 0, 7, 0x88, 0x47, 0, 2, 1, 64][..], &packet].concat(),
        ),
        (
            1,
            &[2; 12],
            &[&[0x88, 0x64, 0x11, 0, 0, 5, 0, 0, 0, 0x21][..], &packet].concat(),
        ),
        (
            1,
            &[2; 12],
            &[
                &[
                    0x88, 0xe5, 0x20, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 0, 1, 8, 0,
                ][..],
                &packet,
            ]
            .concat(),
        ),
        (0, &[2, 0, 0, 0], &packet),
        (
            6,
            &[
                0x10, 0x40, 2, 0, 0, 0, 0, 1, 0x82, 0, 0, 0, 0, 1, 4, 0, 1, 2,
            ],
            &llc,
        ),
        (9, &[0xff, 3, 0, 0x21], &packet),
        (9, &[0xff, 3, 0, 0x3d, 0xc0, 0, 0, 1, 0, 0x21], &packet),
        (10, &[0x50, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], &llc),
        (11, &[], &llc),
        (12, &[], &six),
        (50, &[0xff, 3, 0, 0x57], &six),
        (51, &[0x11, 0, 0, 5, 0, 0, 0, 0x21], &packet),
        (101, &[], &packet),
        (104, &[0x0f, 0, 8, 0], &packet),
        (105, &[], &wifi),
        (107, &[0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 8, 0], &packet),
        (108, &[0, 0, 0, 24], &six),
        (109, &[0; 12], &packet),
        (
            113,
            &[0, 4, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 8, 0],
            &packet,
        ),
        (117, &[61, 2, 0, 0], &[&[0; 60][..], &packet].concat()),
        (119, &[0x44, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0], &wifi),
        (
            127,
            &[0, 0, 17, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x30],
            &wifi,
        ),
        (163, &[0x80, 0x21, 0x10, 1, 0, 0, 0, 12, 0, 0, 0, 0], &wifi),
        (192, &[0, 0, 8, 0, 105, 0, 0, 0], &wifi),
        (138, &[0; 16], &[&[8, 0][..], &packet].concat()),
        (182, &[0xc1, 7, 0x18, 0x41, 3, 0xcc], &packet),
        (204, &[1, 0xff, 3, 0, 0x21], &packet),
        (205, &[1, 0x0f, 0, 8, 0], &packet),
        (206, &[0, 0x18, 0x41, 3, 0xcc], &packet),
        (258, &[12, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0], &ethernet),
        (219, &[0, 2, 1, 64], &packet),
        (228, &[], &packet),
        (229, &[], &six),
        (
            239,
            &[2, 0, 0, 0, 8, 0, 1, 0, 0, 0, 0, 0, 101, 0, 9, 0],
            &packet,
        ),
        (240, &[0; 4], &ethernet),
        (241, &[0; 12], &ethernet),
        (274, &[0x55; 8], &ethernet),
        (
            276,
            &[8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0],
            &packet,
        ),
    ];
    for (link, head, inner) in heads {
        let at = LINKS.iter().position(|l| l == link).unwrap();
        add(seeds, "link", &[&[at as u8, 0], head, inner]);
        add(
            seeds,
            "link",
            &[&[at as u8, 40], head, &inner[..inner.len() / 2]],
        );
    }

    let tcp = &packet[20..];
    for version in [0, 1] {
        let piece = |from: usize, to: usize, more: u8| {
            let head = [version | more << 1, 9, (from / 8) as u8, (to - from) as u8];
            [&head[..], &tcp[from..to]].concat()
        };
        let all = [piece(0, 24, 1), piece(24, 40, 1), piece(40, tcp.len(), 0)];
        add(seeds, "fragments", &[&all[0], &all[1], &all[2]]);
        add(seeds, "fragments", &[&all[2], &all[0], &all[0], &all[1]]);
        add(
            seeds,
            "fragments",
            &[&piece(0, 24, 1), &piece(16, 40, 1), &all[2]],
        );
    }

    let tunnels: &[(u8, &[u8], &[u8])] = &[
        (0, &[0, 0, 8, 0], &packet),
        (0, &[0xb0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1], &packet),
        (0, &[0x30, 0x81, 0x88, 0x0b, 0, 9, 0, 9, 0, 0, 0, 1, 0, 0, 0, 1, 0xff, 3, 0, 0x21], &packet),
        (0, &[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 7, 0, 0, 0, 0], &ethernet),
        (0, &[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0], &ethernet),
        (1, &[], &packet),
        (2, &[], &six),
        (3, &[0x30, 0], &ethernet),
        (4, &[0, 1, 1, 64], &packet),
        (5, &[3, 4, 0, 0, 0, 0, 5, 0], &packet),
        (6, &[2, 0, 0, 0, 0, 0, 5, 0], &six),
        (7, &[6, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], tcp),
        (8, b"\x12\x34\x81\x80\0\x01\0\x01\0\0\0\0\x03www\x07example\0\0\x01\0\x01\xc0\x0c\0\x01\0\x01\0\0\0\x09\0\x04\xc0\0\x02\x07", &[]),
        (9, &[0x34, 255, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0x85, 1, 0, 9, 0], &packet),
        (10, &[0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6], &six),
        (11, &[0, 0, 8, 0], &packet),
        (12, &[8, 0, 0, 0, 0, 0, 42, 0], &ethernet),
        (13, &[0x0c, 0, 0, 1, 0, 0, 42, 0], &packet),
        (14, &[1, 0, 0x65, 0x58, 0, 0, 9, 0, 1, 2, 3, 0], &ethernet),
        (15, &[0, 2, 1, 64], &packet),
        (16, &[8, 0, 0, 0, 0, 0, 42, 0], &ethernet),
    ];
    for (at, head, inner) in tunnels {
        add(seeds, "tunnels", &[&[*at], head, inner]);
    }

    for options in [
        &[2, 2, 4, 5, 0xb4, 1, 3, 3, 8, 1, 1, 4, 2][..],
        &[0x18, 1, 1, 8, 10, 0, 0, 0, 7, 0, 0, 0, 9],
        &[
            0x10, 1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 9,
        ],
        &[0x02, 30, 4, 1, 2, 34, 2, 19, 4, 0, 0, 0],
    ] {
        add(seeds, "tcp_options", &[options]);
    }
}

/// Operations for the flow tracker and the reassembler.
fn flows(seeds: &mut Seeds) {
    // Control (flow, way, unit of time, options, cut), bits (0x10 turns ACK off), time, steps from the numbers due, length, payload.
    let there = |bits: u8, from: u8, text: &[u8]| {
        [&[8, bits, 3, from, 0, text.len() as u8][..], text].concat()
    };
    let back = |bits: u8, from: u8, text: &[u8]| {
        [&[12, bits, 3, from, 0, text.len() as u8][..], text].concat()
    };
    let shake = [there(0x12, 0, b""), back(0x02, 0, b""), there(0, 0, b"")].concat();
    let greeting = back(0x08, 0, b"220 mail.example ESMTP\r\n");
    let hello = there(0x08, 0, b"EHLO client.example\r\n");
    let late = there(0x48, 0, b"QUIT\r\n");
    let again = there(
        0x08,
        256_u16.wrapping_sub(21) as u8,
        b"EHLO client.example\r\n",
    );
    let hole = there(0x08, 100, b"MAIL FROM:<a@b>\r\n");
    let end = [there(0x01, 0, b""), back(0x01, 0, b""), there(0, 0, b"")].concat();
    let reset = back(0x04, 0, b"");
    let shut = back(0x80, 0, b"");
    for steps in [
        &[&shake, &greeting, &hello, &end][..],
        &[&shake, &greeting, &hello, &again, &again, &reset],
        &[&greeting, &hello, &hole, &again, &late, &shut, &end],
        &[&shake, &hole, &shut, &hello, &late],
        &[&shake, &end, &shake, &reset, &shake],
    ] {
        let steps: Vec<&[u8]> = steps.iter().map(|s| s.as_slice()).collect();
        add(seeds, "flow", &steps);
    }
    for steps in [
        &[0, 0, 0, 9, 0, 9, 0, 9, 0, 18, 0, 9, 1, 27, 0][..],
        &[0, 9, 0, 9, 0, 0, 0, 9],
        &[0, 20, 0, 9, 1, 25, 0, 0, 0, 0, 30],
        &[0x22, 0, 0, 9, 0, 4, 0, 20, 1, 40, 0],
    ] {
        add(seeds, "reassembly", &[steps]);
    }
}

/// Dialogs that no capture of the project holds.
fn dialogs(seeds: &mut Seeds) {
    let (there, back) = (Direction::ClientToServer, Direction::ServerToClient);
    // A piece in the protocol's own frame.
    let framed = |direction: Direction, octets: &[u8]| {
        let way = (direction.index() as u8) << 3 | 3;
        [&[way, octets.len() as u8][..], octets].concat()
    };
    let smtp: Vec<u8> = [
        proto::operation(
            back,
            b"250-mail.example\r\n250-SIZE 100\r\n250-PIPELINING\r\n250 CHUNKING\r\n",
        ),
        proto::operation(
            there,
            b"MAIL FROM:<a@b.example> SIZE=9\r\nRCPT TO:<c@d.example>\r\nDATA\r\n",
        ),
        proto::operation(back, b"250 2.1.0 Ok\r\n250 2.1.5 Ok\r\n354 Go on\r\n"),
        proto::operation(
            there,
            b"Received: from a by b; Tue, 5 Jan 2010 15:22:00 +0100\r\n\r\nhello\r\n.\r\n",
        ),
        proto::operation(
            back,
            b"451 4.4.0 Primary target\r\n421 4.4.2 Connection dropped\r\n",
        ),
        proto::operation(there, b"BDAT 5 LAST\r\nhello"),
        proto::operation(
            there,
            b"AUTH LOGIN\r\ndXNlcg==\r\nc2VjcmV0\r\nSTARTTLS\r\nQUIT\r\n",
        ),
        proto::operation(
            back,
            b"334 VXNlcm5hbWU6\r\n235 2.7.0 ok\r\n220 2.0.0 Ready\r\n221 Bye\r\n",
        ),
    ]
    .concat();
    add(seeds, "smtp", &[&[0], &smtp]);
    for target in ["smb1", "smb2", "netbios"] {
        let mut all = Vec::new();
        for (direction, command) in [
            (there, 0_u8),
            (back, 0),
            (there, 8),
            (back, 8),
            (there, 0x2e),
            (back, 0x2e),
        ] {
            let mut body = vec![0; 96];
            if target == "smb1" {
                body[0] = command;
                body[5] = (direction.index() as u8) << 7;
            } else {
                body[0] = 64;
                body[8] = command;
                body[10] = 1;
                body[12] = direction.index() as u8;
                body[20] = command;
                body[60] = 49;
            }
            all.extend(framed(direction, &body));
        }
        let bare: &[u8] = if target == "netbios" { &[] } else { &[0] };
        add(seeds, target, &[bare, &all]);
    }
    let rpc: Vec<u8> = [
        framed(
            there,
            &[
                11, 3, 1, 0xd0, 0x16, 0xd0, 0x16, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0,
            ],
        ),
        framed(
            back,
            &[
                12, 3, 1, 0xd0, 0x16, 0xd0, 0x16, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0,
            ],
        ),
        framed(there, &[0, 3, 2, 9, 0, 0, 0, 0, 0, 4, 0]),
        framed(back, &[2, 3, 2, 9, 0, 0, 0, 0, 0, 0, 0]),
        framed(there, &[0, 3, 3, 9, 0, 0, 0, 0, 0, 5, 0]),
        framed(back, &[3, 3, 3, 9, 0, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0]),
    ]
    .concat();
    add(seeds, "dcerpc", &[&[0], &rpc]);
    let tls: Vec<u8> = [
        framed(back, &[2, 2, 0, 0, 0x26, 3, 3, 7, 7, 7, 7, 7, 7, 7, 7]),
        framed(back, &[0, 1]),
        framed(there, &[0, 1]),
        framed(there, &[3, 1, 2, 3, 4, 5, 6, 7, 8]),
        framed(back, &[1, 2, 40]),
    ]
    .concat();
    add(seeds, "tls", &[&[0], &tls]);
    for opening in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"SSH-2.0-x\r\n",
        b"\x03\0\0\x13\x0e\xe0",
        b"+OK \r\n",
    ] {
        add(seeds, "unknown", &[&[1], &proto::operation(there, opening)]);
        add(seeds, "unknown", &[&[1], &proto::operation(back, opening)]);
    }
}

/// Facts, logs, rules: what the project's own tests read, and its rules.
fn texts(seeds: &mut Seeds) {
    for path in files(&project().join("tests/facts"), ".txt") {
        if let Ok(text) = fs::read(path) {
            add(seeds, "facts", &[&[0], &text]);
        }
    }
    for at in 1..text::COMMANDS.len() {
        add(
            seeds,
            "facts",
            &[
                &[at as u8],
                b"Receive-Side Scaling State : enabled\r\nname  value\r\n----  -----\r\na=1  2\r\n",
            ],
        );
    }
    for path in files(&project().join("src/rules/remedies"), ".toml") {
        if let Ok(text) = fs::read(path) {
            add(seeds, "rule", &[&text]);
        }
    }
    add(seeds, "logs", &[b"#Software: Microsoft Exchange Server\r\n#Log-type: SMTP Send Protocol Log\r\n\
        #Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context\r\n\
        2010-01-05T15:22:00.000Z,Out,08CC5C6B3B1E0A11,0,192.0.2.1:44217,198.51.100.2:25,+,,\r\n\
        2010-01-05T15:22:01.000Z,Out,08CC5C6B3B1E0A11,1,192.0.2.1:44217,198.51.100.2:25,<,\"220 mail, ready\",\r\n\
        2010-01-05T15:22:02.000Z,Out,08CC5C6B3B1E0A11,2,192.0.2.1:44217,198.51.100.2:25,>,EHLO a,\r\n\
        2010-01-05T15:22:03.000Z,Out,08CC5C6B3B1E0A11,3,192.0.2.1:44217,198.51.100.2:25,*,,Tarpit for '0.00:00:05' due to 'DelayedAck'\r\n\
        2010-01-05T15:22:09.000Z,Out,08CC5C6B3B1E0A11,4,192.0.2.1:44217,198.51.100.2:25,-,,Remote\r\n"]);
    add(seeds, "logs", &[b"#Log-type: Transport Connectivity Log\r\n#Fields: date-time,session,Source,Destination,direction,description\r\n\
        2010-01-05T15:22:00.000Z,08CC5C6B3B1E0A12,SMTP,b.example,+,DnsConnectorDelivery\r\n\
        2010-01-05T15:22:01.000Z,08CC5C6B3B1E0A12,SMTP,b.example,>,\"Failed connection to 198.51.100.2:25 (TimedOut:0000274C)\"\r\n"]);
    let bidirectional = "a\u{202e}b\u{2066}\u{200b}\u{feff}";
    for text in [
        "=cmd|'/C calc'!A0",
        "<script>alert(1)</script>\"'`",
        "</script><!-- ]]> &lt; \\u003c",
        "\u{1b}[31m\u{9b}2J\r\n\t\0",
        bidirectional,
        "[x](http://evil.example) www.evil.example {{7*7}} @a ```",
    ] {
        add(seeds, "escapes", &[text.as_bytes()]);
    }
}
