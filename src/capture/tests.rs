//! Tests of the readers: made captures of every format, cut and bent; and the captures of `../shared`, where they are.
#![allow(clippy::unwrap_used)]

use std::io::{Cursor, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::fields::Order::{self, Big, Little};
use super::find::find_up_to;
use super::*;

/// Octets put together field by field.
#[derive(Clone)]
struct Octs(Order, Vec<u8>);

impl Octs {
    fn new(order: Order) -> Self {
        Self(order, Vec::new())
    }
    fn u16(mut self, n: u16) -> Self {
        match self.0 {
            Big => self.1.extend(n.to_be_bytes()),
            Little => self.1.extend(n.to_le_bytes()),
        }
        self
    }
    fn u32(mut self, n: u32) -> Self {
        match self.0 {
            Big => self.1.extend(n.to_be_bytes()),
            Little => self.1.extend(n.to_le_bytes()),
        }
        self
    }
    fn u64(self, n: u64) -> Self {
        match self.0 {
            Big => self.u32((n >> 32) as u32).u32(n as u32),
            Little => self.u32(n as u32).u32((n >> 32) as u32),
        }
    }
    fn put(mut self, octets: &[u8]) -> Self {
        self.1.extend(octets);
        self
    }
    fn pad(mut self) -> Self {
        self.1.resize(self.1.len().next_multiple_of(4), 0);
        self
    }
}

/// A frame as read: number, time in nanoseconds, octets, length on the wire, link type.
type Seen = (u64, i64, Vec<u8>, u32, u16);

fn drain(mut source: Box<dyn Source>) -> (Vec<Seen>, CaptureInfo) {
    let mut batch = FrameBatch::default();
    let mut seen = Vec::new();
    while source.next_batch(&mut batch).unwrap() {
        assert!(!batch.frames.is_empty());
        for frame in &batch.frames {
            assert!(frame.range.end <= batch.octets.as_slice().len());
            assert!(u64::from(frame.wire_octets) >= frame.range.len() as u64);
            let octets = batch.captured(frame).to_vec();
            let link = frame.link.0;
            seen.push((
                frame.number.0,
                frame.time.0,
                octets,
                frame.wire_octets,
                link,
            ));
        }
    }
    assert!(batch.frames.is_empty());
    assert!(
        !source.next_batch(&mut batch).unwrap(),
        "it stays at its end"
    );
    let info = source.info();
    assert_eq!(info.frames, seen.len() as u64);
    assert!((1..).zip(&seen).all(|(number, frame)| number == frame.0));
    assert!(info.problems.len() <= MAX_PROBLEMS);
    (seen, info)
}

fn read(octets: &[u8]) -> Result<(Vec<Seen>, CaptureInfo), CaptureError> {
    let reader = Box::new(Cursor::new(octets.to_vec()));
    open_reader("test", reader, &OpenOptions::default()).map(drain)
}

/// A file in a folder of its own, old enough to be mapped; gone with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tcptriage-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
    fn file(&self, name: &str, octets: &[u8]) -> String {
        let path = self.0.join(name);
        let mut file = std::fs::File::create(&path).unwrap();
        file.write_all(octets).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(3600))
            .unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn pcap_header(order: Order, magic: u32, version: (u16, u16), snap: u32, link: u32) -> Octs {
    Octs::new(order)
        .u32(magic)
        .u16(version.0)
        .u16(version.1)
        .u64(0)
        .u32(snap)
        .u32(link)
}

const MICRO: u32 = 0xa1b2_c3d4;
const NANO: u32 = 0xa1b2_3c4d;
const MODIFIED: u32 = 0xa1b2_cd34;

/// Three frames of 5, 0 and 3 octets.
fn small_pcap() -> Vec<u8> {
    pcap_header(Little, MICRO, (2, 4), 65_535, 1)
        .put(&record(Little, 100, 7, 5, 60, &[1, 2, 3, 4, 5]))
        .put(&record(Little, 101, 0, 0, 0, &[]))
        .put(&record(Little, 102, 999_999, 3, 3, &[6, 7, 8]))
        .1
}

fn record(order: Order, s: u32, f: u32, first: u32, second: u32, octets: &[u8]) -> Vec<u8> {
    Octs::new(order)
        .u32(s)
        .u32(f)
        .u32(first)
        .u32(second)
        .put(octets)
        .1
}

#[test]
fn pcap_variants() {
    let eight = [9_u8; 8];
    let one = |order, first, second| record(order, 10, 5, first, second, &eight);
    let s = 1_000_000_000_i64;
    for (name, file, format, want) in [
        (
            "little-endian microseconds",
            pcap_header(Little, MICRO, (2, 4), 65_535, 1).put(&one(Little, 8, 100)),
            "pcap",
            (10 * s + 5_000, 100, 1),
        ),
        (
            "big-endian microseconds",
            pcap_header(Big, MICRO, (2, 4), 65_535, 113).put(&one(Big, 8, 8)),
            "pcap",
            (10 * s + 5_000, 8, 113),
        ),
        (
            "little-endian nanoseconds",
            pcap_header(Little, NANO, (2, 4), 65_535, 1).put(&one(Little, 8, 8)),
            "pcap-ns",
            (10 * s + 5, 8, 1),
        ),
        (
            "big-endian nanoseconds",
            pcap_header(Big, NANO, (2, 4), 65_535, 1).put(&one(Big, 8, 8)),
            "pcap-ns",
            (10 * s + 5, 8, 1),
        ),
        (
            "modified, little-endian",
            pcap_header(Little, MODIFIED, (2, 4), 65_535, 1)
                .put(&record(Little, 10, 5, 8, 9, &[0; 8]))
                .put(&eight),
            "pcap-modified",
            (10 * s + 5_000, 9, 1),
        ),
        (
            "modified, big-endian",
            pcap_header(Big, MODIFIED, (2, 4), 65_535, 1)
                .put(&record(Big, 10, 5, 8, 9, &[0; 8]))
                .put(&eight),
            "pcap-modified",
            (10 * s + 5_000, 9, 1),
        ),
        (
            "version 2.2: length on the wire first",
            pcap_header(Big, MICRO, (2, 2), 68, 1).put(&one(Big, 300, 8)),
            "pcap",
            (10 * s + 5_000, 300, 1),
        ),
        (
            "version 2.3: the smaller is the captured one",
            pcap_header(Big, MICRO, (2, 3), 68, 1).put(&one(Big, 300, 8)),
            "pcap",
            (10 * s + 5_000, 300, 1),
        ),
        (
            "link type with the length of the check sequence",
            pcap_header(Little, MICRO, (2, 4), 65_535, 0x2400_0001).put(&one(Little, 8, 8)),
            "pcap",
            (10 * s + 5_000, 8, 1),
        ),
        (
            "snap length 0",
            pcap_header(Little, MICRO, (2, 4), 0, 1).put(&one(Little, 8, 8)),
            "pcap",
            (10 * s + 5_000, 8, 1),
        ),
        (
            "snap length too small",
            pcap_header(Little, MICRO, (2, 4), 4, 1).put(&one(Little, 8, 8)),
            "pcap",
            (10 * s + 5_000, 8, 1),
        ),
        (
            "length on the wire below the captured one",
            pcap_header(Little, MICRO, (2, 4), 65_535, 1).put(&one(Little, 8, 3)),
            "pcap",
            (10 * s + 5_000, 8, 1),
        ),
        (
            "a million microseconds and more",
            pcap_header(Little, MICRO, (2, 4), 65_535, 1)
                .put(&record(Little, 10, 1_500_000, 8, 8, &eight)),
            "pcap",
            (11 * s + s / 2, 8, 1),
        ),
    ] {
        let (frames, info) = read(&file.1).unwrap();
        let (time, wire, link) = want;
        assert_eq!(frames, [(1, time, eight.to_vec(), wire, link)], "{name}");
        assert_eq!(info.format, format, "{name}");
    }
}

/// Three frames of 15, 14 and 16 octets, with so many octets more in each record header.
fn old_pcap(order: Order, magic: u32, extra: usize) -> Vec<u8> {
    let mut file = pcap_header(order, magic, (2, 4), 65_535, 1).1;
    for (second, length) in [(100, 15), (100, 14), (101, 16)] {
        file.extend(record(order, second, 7, length, 60, &vec![0xee; extra]));
        file.extend((1..).take(length as usize));
    }
    file
}

#[test]
fn kinds_of_pcap_without_a_magic_number_are_told_by_their_records() {
    for (name, magic, extra, format) in [
        ("plain", MICRO, 0, "pcap"),
        ("Nokia", MICRO, 4, "pcap-nokia"),
        ("Red Hat 6.1", MICRO, 8, "pcap-modified"),
        ("modified", MODIFIED, 8, "pcap-modified"),
        ("SuSE 6.3", MODIFIED, 12, "pcap-modified"),
    ] {
        for order in [Big, Little] {
            let (frames, info) = read(&old_pcap(order, magic, extra)).unwrap();
            assert_eq!(info.format, format, "{name}");
            assert_eq!(info.problems, [], "{name}");
            let lengths: Vec<usize> = frames.iter().map(|frame| frame.2.len()).collect();
            assert_eq!(lengths, [15, 14, 16], "{name}");
            assert!(frames.iter().all(|frame| frame.2[0] == 1), "{name}");
        }
    }
    // A plain file with a broken record stays one.
    let mut broken = old_pcap(Little, MICRO, 0);
    broken[24 + 31 + 8..24 + 31 + 12].copy_from_slice(&[0xff; 4]);
    let (frames, info) = read(&broken).unwrap();
    assert_eq!((frames.len(), &*info.format), (1, "pcap"));
}

#[test]
fn absurd_lengths_stop_pcap() {
    for (name, snap, claimed, want) in [
        ("more than any frame", 65_535, 262_145, 1),
        ("all ones", 65_535, u32::MAX, 1),
        ("a large snap length allows it", 1 << 20, 262_145, 2),
        ("an absurd snap length does not", u32::MAX, 262_145, 1),
    ] {
        let file = pcap_header(Little, MICRO, (2, 4), snap, 1)
            .put(&record(Little, 1, 0, 1, 1, &[1]))
            .put(&record(Little, 2, 0, claimed, claimed, &vec![0; 262_145]))
            .1;
        let (frames, info) = read(&file).unwrap();
        assert_eq!(frames.len(), want, "{name}");
        assert_eq!(info.problems.is_empty(), want == 2, "{name}");
    }
}

/// A pcapng block.
fn block(order: Order, kind: u32, body: Octs) -> Vec<u8> {
    let body = body.pad().1;
    let length = body.len() as u32 + 12;
    Octs::new(order)
        .u32(kind)
        .u32(length)
        .put(&body)
        .u32(length)
        .1
}

fn section(order: Order) -> Vec<u8> {
    let body = Octs::new(order).u32(0x1a2b_3c4d).u16(1).u16(0);
    block(order, 0x0a0d_0d0a, body.u64(u64::MAX))
}

fn option(octets: Octs, code: u16, value: &[u8]) -> Octs {
    octets.u16(code).u16(value.len() as u16).put(value).pad()
}

fn interface(order: Order, link: u16, snap: u32, options: &[(u16, &[u8])]) -> Vec<u8> {
    let body = Octs::new(order).u16(link).u16(0).u32(snap);
    block(
        order,
        1,
        options
            .iter()
            .fold(body, |body, (code, value)| option(body, *code, value)),
    )
}

fn enhanced(order: Order, id: u32, stamp: u64, octets: &[u8], wire: u32) -> Octs {
    Octs::new(order)
        .u32(id)
        .u32((stamp >> 32) as u32)
        .u32(stamp as u32)
        .u32(octets.len() as u32)
        .u32(wire)
        .put(octets)
        .pad()
}

fn small_pcapng() -> Vec<u8> {
    let mut file = section(Little);
    file.extend(interface(Little, 1, 0, &[(1, b"an interface")]));
    file.extend(block(
        Little,
        6,
        option(enhanced(Little, 0, 7, &[1, 2, 3, 4, 5], 60), 1, b"look"),
    ));
    file.extend(block(Little, 6, enhanced(Little, 0, 9, &[6, 7, 8], 3)));
    file
}

#[test]
fn pcapng_packets_and_times() {
    let packet = |order, id, stamp| block(order, 6, enhanced(order, id, stamp, &[1, 2, 3], 9));
    let seconds = 1_600_000_000_u64;
    let s = 1_000_000_000_i64;
    for (name, resolution, offset, stamp, want) in [
        ("microseconds when not told", None, 0, 7, 7_000),
        ("10^-0", Some(0), 0, seconds, 1_600_000_000 * s),
        ("10^-3", Some(3), 0, 5, 5_000_000),
        (
            "10^-9",
            Some(9),
            0,
            seconds * 1_000_000_000 + 1,
            1_600_000_000 * s + 1,
        ),
        ("10^-12", Some(12), 0, 5_999, 5),
        ("10^-100", Some(100), 0, u64::MAX, 0),
        ("2^-0", Some(0x80), 0, 3, 3 * s),
        ("2^-6", Some(0x86), 0, 64 * 5 + 32, 5 * s + s / 2),
        ("2^-127", Some(0xff), 0, u64::MAX, 0),
        ("an offset", Some(6), 100, 7, 100 * s + 7_000),
        ("an offset back", Some(6), -1, 7, -s + 7_000),
        ("seconds past all measure", Some(0), 0, u64::MAX, i64::MAX),
        ("offset past all measure", Some(0), i64::MAX, 1, i64::MAX),
    ] {
        for order in [Big, Little] {
            let offset = Octs::new(order).u64(i64::cast_unsigned(offset)).1;
            let mut options: Vec<(u16, &[u8])> = vec![(14, &offset)];
            let resolution: Option<[u8; 1]> = resolution.map(|r| [r]);
            if let Some(resolution) = &resolution {
                options.push((9, resolution));
            }
            let mut file = section(order);
            file.extend(interface(order, 1, 0, &options));
            file.extend(packet(order, 0, stamp));
            let (frames, _) = read(&file).unwrap();
            assert_eq!(frames, [(1, want, vec![1, 2, 3], 9, 1)], "{name}");
        }
    }
}

/// Every kind of block, in two sections, with two packets that lie.
fn rich_pcapng() -> Vec<u8> {
    let mut file = section(Little);
    file.extend(interface(Little, 1, 0, &[]));
    // A second interface, whose reserved field and comment pcap-file refuses.
    let odd = Octs::new(Little).u16(113).u16(77).u32(2);
    file.extend(block(Little, 1, option(odd, 1, b"caf\xe9")));
    file.extend(block(Little, 6, enhanced(Little, 1, 1_000, &[1], 1)));
    // Simple packet, obsolete packet (3 drops), unknown, secrets, custom.
    file.extend(block(Little, 3, Octs::new(Little).u32(3).put(&[7, 8, 9])));
    let old = Octs::new(Little).u16(0).u16(3).u64(0).u32(2).u32(2);
    file.extend(block(Little, 2, old.put(&[5, 6])));
    for kind in [0x7fff_0000, 0x0a, 0xbad, 0x4000_0bad] {
        file.extend(block(Little, kind, Octs::new(Little).u32(1).u32(2)));
    }
    let names = Octs::new(Little)
        .u16(1)
        .u16(9)
        .put(&[192, 0, 2, 1, b'm', b'a', b'i', b'l', 0])
        .pad()
        .u32(0);
    file.extend(block(Little, 4, names));
    // Statistics: 5 dropped by the interface, 2 by the system.
    let counts = Octs::new(Little).u32(1).u64(0);
    let counts = option(counts, 5, &5_u64.to_le_bytes());
    file.extend(block(Little, 5, option(counts, 7, &2_u64.to_le_bytes())));
    // A section of the other byte order; its interface numbers begin anew.
    file.extend(section(Big));
    file.extend(interface(Big, 101, 0, &[]));
    file.extend(block(Big, 6, enhanced(Big, 0, 2_000, &[4], 4)));
    // No such interface; then more captured than the block holds.
    file.extend(block(Big, 6, enhanced(Big, 9, 0, &[4], 4)));
    let lying = Octs::new(Big).u32(0).u64(0).u32(400).u32(400).u32(0);
    file.extend(block(Big, 6, lying));
    file
}

#[test]
fn pcapng_holds_more_than_packets() {
    let (frames, info) = read(&rich_pcapng()).unwrap();
    assert_eq!(
        frames,
        [
            (1, 1_000_000, vec![1], 1, 113),
            (2, 1_000_000, vec![7, 8, 9], 3, 1),
            (3, 0, vec![5, 6], 2, 1),
            (4, 2_000_000, vec![4], 4, 101),
        ]
    );
    assert_eq!(info.dropped_by_capture, Some(10));
    assert_eq!(
        info.names,
        [("192.0.2.1".parse().unwrap(), "mail".to_owned())]
    );
    assert_eq!(info.comments.len(), 1);
    assert_eq!(info.comments[0].text, "caf\u{fffd}");
    assert_eq!(info.link_types, ["LINUX_SLL", "ETHERNET", "RAW"]);
    let told: Vec<&str> = info.problems.iter().map(|p| p.text.as_str()).collect();
    assert_eq!(told.len(), 3, "{told:?}");
}

#[test]
fn broken_blocks_are_passed() {
    let good = || block(Little, 6, enhanced(Little, 0, 1, &[1, 2, 3, 4], 4));
    let bent = |at: usize, to: u32| {
        let mut block = good();
        block[at..at + 4].copy_from_slice(&to.to_le_bytes());
        block
    };
    let last = good().len() - 4;
    for (name, middle) in [
        ("trailer differs", bent(last, 99)),
        ("length too small", bent(4, 8)),
        ("length 0", bent(4, 0)),
        ("length absurd", bent(4, u32::MAX)),
        ("length odd", bent(4, 37)),
        ("rubbish between", vec![0xaa; 400]),
        ("both length fields wrong", {
            let mut block = bent(4, 60);
            block[last..].copy_from_slice(&[7, 7, 7, 7]);
            block
        }),
        ("a section header without magic", {
            let mut section = section(Little);
            section[8] = 0;
            section
        }),
    ] {
        let mut file = section(Little);
        file.extend(interface(Little, 1, 0, &[]));
        file.extend(good());
        let place = file.len();
        file.extend(middle);
        file.extend(good());
        file.extend(good());
        let (frames, info) = read(&file).unwrap();
        assert_eq!(frames.len(), 3, "{name}: {:?}", info.problems);
        assert_eq!(info.problems.len(), 1, "{name}");
        let text = &info.problems[0].text;
        assert!(text.contains(&format!("octet {place} ")), "{name}: {text}");
        // The last of the file is broken: nothing shows where it would end.
        let (frames, info) = read(&file[..file.len() - 2 * good().len() + 8]).unwrap();
        assert_eq!(frames.len(), 1, "{name}");
        assert!(!info.problems.is_empty(), "{name}");
    }
    // A capture inside the payload of the broken block is none of the file's.
    for (name, field, length) in [("leading", 4, 8_u32), ("trailing", 0, 8)] {
        let inner: Vec<u8> = [good(), good(), good()].concat();
        let mut carrier = block(
            Little,
            6,
            enhanced(Little, 0, 1, &inner[..inner.len() - 8], 4),
        );
        let at = if field == 4 { 4 } else { carrier.len() - 4 };
        carrier[at..at + 4].copy_from_slice(&length.to_le_bytes());
        let mut file = section(Little);
        file.extend(interface(Little, 1, 0, &[]));
        file.extend(carrier);
        file.extend(good());
        let (frames, info) = read(&file).unwrap();
        assert_eq!(frames.len(), 1, "{name}: {:?}", info.problems);
    }
    // Cut anywhere, with another file behind it.
    let (first, second) = (small_pcapng(), small_pcapng());
    for cut in 60..first.len() {
        let file = [&first[..cut], &second[..]].concat();
        let (frames, info) = read(&file).unwrap();
        assert!(frames.len() >= 2, "cut at {cut}: {:?}", info.problems);
    }
    // What does not end on four octets, with the length that is or the one that should be.
    for (name, length) in [("true length", 37_u32), ("rounded", 40)] {
        let body = Octs::new(Little).u32(0).u64(1 << 32).u32(5).u32(5);
        let mut odd = Octs::new(Little)
            .u32(6)
            .u32(length)
            .put(&body.1)
            .put(&[1, 2, 3, 4, 5]);
        if length == 40 {
            odd = odd.pad();
        }
        let odd = odd.u32(length).pad().1;
        let mut file = section(Little);
        file.extend(interface(Little, 1, 0, &[]));
        file.extend(odd);
        file.extend(good());
        let (frames, info) = read(&file).unwrap();
        assert_eq!(frames.len(), 2, "{name}: {:?}", info.problems);
        assert_eq!(frames[0].2, [1, 2, 3, 4, 5], "{name}");
    }
}

/// A NetMon capture: frames of (media, octets); the table first points to the second half, as the real ones may.
fn netmon(version: (u8, u8), frames: &[(u16, &[u8])]) -> Vec<u8> {
    let (major, minor) = version;
    let mut body = Octs::new(Little);
    let mut table = Octs::new(Little);
    for (index, (media, octets)) in frames.iter().enumerate() {
        table = table.u32(72 + body.1.len() as u32);
        let elapsed = index as u32 + 1;
        let length = octets.len() as u32;
        body = if major == 1 {
            let length = length as u16;
            body.u32(elapsed).u16(length).u16(length)
        } else {
            body.u64(u64::from(elapsed)).u32(length).u32(length)
        };
        body = body.put(octets);
        if version >= (2, 1) {
            body = body.u16(*media);
        }
        if version >= (2, 2) {
            body = body.u32(u32::MAX);
        }
        if version >= (2, 3) {
            // 2020-01-01 and `elapsed` times 100 ns.
            let stamp = 132_223_104_000_000_000 + u64::from(elapsed);
            body = body.u64(stamp).put(&[0]);
        }
        // A hole.
        body = body.put(&[0xee; 3]);
    }
    let magic: &[u8] = if major == 1 { b"RTSS" } else { b"GMBU" };
    let mut head = Octs::new(Little).put(magic).put(&[minor, major]).u16(1);
    // 2020-01-01 00:00:00.500, a Wednesday.
    for field in [2020, 1, 3, 1, 0, 0, 0, 500] {
        head = head.u16(field);
    }
    head = head.u32(72 + body.1.len() as u32).u32(table.1.len() as u32);
    head.1.resize(72, 0);
    head.put(&body.1).put(&table.1).1
}

#[test]
fn netmon_versions() {
    let radio = [2, 4, 0, 0, 0x08, 0x02];
    let frames: &[(u16, &[u8])] = &[
        (1, &[1, 2, 3]),
        (0xffe0, &[4]),
        (0xfffd, &[5]),
        (0xe071, &[6]),
        (6, &radio),
    ];
    let year = 1_577_836_800_000_000_000_i64;
    for (version, times, links) in [
        (
            (1, 1),
            [500_000_000 + 1_000_000, 1_000_000],
            [1, 1, 1, 1, 1],
        ),
        ((2, 0), [500_000_000 + 1_000, 1_000], [1, 1, 1, 1, 1]),
        (
            (2, 1),
            [500_000_000 + 1_000, 1_000],
            [1, 0xffe0, 0, 0x71, 105],
        ),
        (
            (2, 2),
            [500_000_000 + 1_000, 1_000],
            [1, 0xffe0, 0, 0x71, 105],
        ),
        ((2, 3), [100, 100], [1, 0xffe0, 0, 0x71, 105]),
    ] {
        let (seen, info) = read(&netmon(version, frames)).unwrap();
        let [first, step] = times;
        let expected: Vec<(i64, u16)> = (0..)
            .zip(links)
            .filter(|(_, link)| *link != 0)
            .map(|(n, link)| (year + first + n * step, link))
            .collect();
        let got: Vec<(i64, u16)> = seen.iter().map(|frame| (frame.1, frame.4)).collect();
        assert_eq!(got, expected, "{version:?}");
        assert_eq!(seen[0].2, [1, 2, 3], "{version:?}");
        if version >= (2, 1) {
            assert_eq!(
                seen.last().unwrap().2,
                [0x08, 0x02],
                "radio data are taken off"
            );
        }
        assert_eq!(info.problems.is_empty(), version >= (2, 3), "{version:?}");
    }
}

#[test]
fn netmon_comments_name_their_frames() {
    let frames: &[(u16, &[u8])] = &[(1, &[1]), (0xfffd, &[2]), (1, &[3])];
    for (version, told) in [((2, 3), true), ((2, 2), true), ((2, 1), false)] {
        let mut file = netmon(version, frames);
        let table = Little.u32(&file, 24).unwrap() as usize;
        let last = Little.u32(&file, table + 8).unwrap();
        let wide = |text: &str| -> Vec<u8> {
            let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            Octs::new(Little).u32(units.len() as u32).put(&units).1
        };
        let entry = Octs::new(Little).u32(1).u32(last);
        let entry = entry.put(&wide("caf\u{e9}\0")).put(&wide("{\\rtf}")).1;
        let place = file.len() as u32;
        file.extend(&entry);
        file[40..44].copy_from_slice(&place.to_le_bytes());
        file[44..48].copy_from_slice(&(entry.len() as u32).to_le_bytes());
        let (seen, info) = read(&file).unwrap();
        assert_eq!(seen.len(), if version >= (2, 1) { 2 } else { 3 });
        let want = Problem {
            frame: Some(FrameNo(2)),
            text: "caf\u{e9}".to_owned(),
        };
        let want = if told { vec![want] } else { vec![] };
        assert_eq!(info.comments, want, "{version:?}");
        for cut in 0..file.len() {
            drop(read(&file[..cut]));
        }
    }
}

fn small_snoop() -> Vec<u8> {
    let rec = |wire: u32, octets: &[u8], drops: u32| {
        let padded = Octs::new(Big).put(octets).pad().1;
        Octs::new(Big)
            .u32(wire)
            .u32(octets.len() as u32)
            .u32(24 + padded.len() as u32)
            .u32(drops)
            .u32(50)
            .u32(4)
            .put(&padded)
            .1
    };
    Octs::new(Big)
        .put(b"snoop\0\0\0")
        .u32(2)
        .u32(4)
        .put(&rec(60, &[1, 2, 3, 4, 5], 0))
        .put(&rec(3, &[6, 7, 8], 2))
        .1
}

#[test]
fn snoop() {
    let (frames, info) = read(&small_snoop()).unwrap();
    assert_eq!(
        frames,
        [
            (1, 50_000_004_000, vec![1, 2, 3, 4, 5], 60, 1),
            (2, 50_000_004_000, vec![6, 7, 8], 3, 1)
        ]
    );
    assert_eq!(info.dropped_by_capture, Some(2));
}

fn small_captures() -> Vec<(&'static str, Vec<u8>, u64)> {
    let frames: &[(u16, &[u8])] = &[(1, &[1, 2, 3]), (0xffe0, &[4]), (1, &[5; 9])];
    vec![
        ("pcap", small_pcap(), 3),
        ("pcap, big-endian, nanoseconds", old_pcap(Big, NANO, 0), 3),
        ("pcap, Nokia", old_pcap(Little, MICRO, 4), 3),
        ("pcap, Red Hat 6.1", old_pcap(Big, MICRO, 8), 3),
        ("pcap, modified", old_pcap(Little, MODIFIED, 8), 3),
        ("pcap, SuSE 6.3", old_pcap(Little, MODIFIED, 12), 3),
        ("pcapng", small_pcapng(), 2),
        ("pcapng, all blocks", rich_pcapng(), 4),
        ("netmon 1", netmon((1, 1), frames), 3),
        ("netmon 2.0", netmon((2, 0), frames), 3),
        ("netmon 2.1", netmon((2, 1), frames), 3),
        ("netmon 2.2", netmon((2, 2), frames), 3),
        ("netmon 2.3", netmon((2, 3), frames), 3),
        ("snoop", small_snoop(), 2),
    ]
}

/// Every prefix is read as far as it goes: never more frames than the whole has, never fewer than a shorter prefix gave (save where a
/// table at the end is cut), and a cut inside a record is told.
#[test]
fn cut_at_every_octet() {
    let folder = Folder::new("cut");
    for (name, whole, frames) in small_captures() {
        let mut before = 0;
        for length in 0..whole.len() {
            let cut = &whole[..length];
            let piped = read(cut);
            let path = folder.file("cut", cut);
            let mapped = open(&path, &OpenOptions::default()).map(drain);
            match (piped, mapped) {
                (Ok((seen, info)), Ok((again, other))) => {
                    assert_eq!(seen, again, "{name} cut at {length}");
                    assert_eq!(info.problems, other.problems, "{name} cut at {length}");
                    assert!((before..=frames).contains(&info.frames));
                    before = info.frames;
                }
                (Err(CaptureError::NotACapture { reason, .. }), Err(_)) => {
                    assert_eq!(before, 0, "{name} cut at {length}: {reason}");
                }
                (a, b) => panic!("{name} cut at {length}: {a:?}, {b:?}"),
            }
        }
        assert_eq!(read(&whole).unwrap().1.frames, frames, "{name}");
    }
}

/// No number in a file can do harm: each aligned field of two and four octets set to 0, 1 and the largest, in both halves.
#[test]
fn every_field_bent() {
    for (name, whole, _) in small_captures() {
        for at in (0..whole.len() - 4).step_by(2) {
            for bytes in [
                [0; 4],
                [1, 0, 0, 0],
                [0, 0, 0, 1],
                [0xff; 4],
                [0xff, 0xff, 0xff, 0x7f],
                [0x7f, 0xff, 0xff, 0xff],
                [0, 0, 0xff, 0xff],
                [0xff, 0xff, 0, 0],
            ] {
                let mut bent = whole.clone();
                bent[at..at + 4].copy_from_slice(&bytes);
                if let Ok((_, info)) = read(&bent) {
                    // A table of lies may name one record many times, no more.
                    assert!(info.frames <= whole.len() as u64 / 4, "{name} at {at}");
                }
            }
        }
    }
}

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

fn lz4(octets: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

fn zstd(octets: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(octets, 1).unwrap()
}

#[test]
fn packed() {
    let whole = small_pcap();
    let want = read(&whole).unwrap().0;
    let (a, b) = whole.split_at(30);
    for (name, file) in [
        ("pcap+gzip", gzip(&whole)),
        ("pcap+gzip", [gzip(a), gzip(b)].concat()),
        ("pcap+zstd", zstd(&whole)),
        ("pcap+zstd", [zstd(a), zstd(b)].concat()),
        ("pcap+lz4", lz4(&whole)),
        ("pcap+lz4", [lz4(a), lz4(b)].concat()),
    ] {
        let (frames, info) = read(&file).unwrap();
        assert_eq!(frames, want, "{name}");
        assert_eq!(info.format, name);
        assert!(info.problems.is_empty(), "{name}: {:?}", info.problems);
        // Cut anywhere: what could be unpacked is read; nothing hangs.
        for length in 0..file.len() {
            if let Ok((frames, _)) = read(&file[..length]) {
                assert_eq!(frames, want[..frames.len()], "{name} cut at {length}");
            }
        }
    }
    let netmon = netmon((2, 3), &[(1, &[1, 2, 3])]);
    assert_eq!(read(&gzip(&netmon)).unwrap().1.format, "netmon2+gzip");
    let twice = read(&gzip(&gzip(&whole))).unwrap_err().to_string();
    assert!(twice.contains("packed twice"), "{twice}");
}

#[test]
fn bombs_are_stopped() {
    let zeros = vec![0; 4 << 20];
    let bomb = gzip(&[small_pcap(), zeros].concat());
    let options = OpenOptions {
        unpack: UnpackLimits {
            ratio: 10,
            free_octets: 1 << 20,
            total_octets: 1 << 30,
            ..UnpackLimits::default()
        },
        ..OpenOptions::default()
    };
    let source = open_reader("bomb", Box::new(Cursor::new(bomb)), &options).unwrap();
    let (frames, info) = drain(source);
    // Zeros are records of length 0.
    assert!((3..200_000).contains(&frames.len()), "{}", frames.len());
    let text = &info.problems[0].text;
    assert!(text.contains("stopped"), "{text}");
}

#[test]
fn batches_are_full_however_octets_come() {
    /// Gives a few octets at a time.
    struct Drip(Cursor<Vec<u8>>, usize);
    impl Read for Drip {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            self.1 = self.1 % 97 + 1;
            let length = buffer.len().min(self.1);
            self.0.read(&mut buffer[..length])
        }
    }
    let mut file = pcap_header(Little, MICRO, (2, 4), 65_535, 1).1;
    for n in 0..5_000 {
        file.extend(record(Little, n, 0, 100, 100, &[n as u8; 100]));
    }
    let sizes = |mut source: Box<dyn Source>| {
        let mut batch = FrameBatch::default();
        let mut sizes = Vec::new();
        while source.next_batch(&mut batch).unwrap() {
            sizes.push(batch.frames.len());
        }
        sizes
    };
    let options = OpenOptions::default();
    let dripping = Drip(Cursor::new(file.clone()), 0);
    let piped = open_reader("-", Box::new(dripping), &options).unwrap();
    let folder = Folder::new("batches");
    let mapped = open(&folder.file("a.pcap", &file), &options).unwrap();
    let want = [2048, 2048, 904];
    assert_eq!(sizes(piped), want);
    assert_eq!(sizes(mapped), want);
}

#[test]
fn octets_of_a_batch_are_bounded() {
    let mut file = pcap_header(Little, MICRO, (2, 4), 65_535, 1).1;
    for n in 0..300 {
        file.extend(record(Little, n, 0, 262_144, 262_144, &vec![0; 262_144]));
    }
    let reader = Box::new(Cursor::new(file));
    let mut source = open_reader("-", reader, &OpenOptions::default()).unwrap();
    let mut batch = FrameBatch::default();
    let mut frames = 0;
    while source.next_batch(&mut batch).unwrap() {
        frames += batch.frames.len();
        assert!(batch.octets.as_slice().len() <= records::MAX_BATCH_OCTETS + (1 << 20));
    }
    assert_eq!(frames, 300);
}

#[test]
fn what_is_no_capture() {
    let folder = Folder::new("none");
    for (name, octets, want) in [
        ("empty", &b""[..], "it is empty"),
        ("notes.txt", b"Dear colleague,\n", "it is text"),
        ("a.bin", b"\x01\x02\x03\xff", "begins with 01 02 03 ff"),
        ("a.xz", b"\xfd7zXZ\0\0", "xz -dc"),
        ("a.zip", b"PK\x03\x04....", "unzip -d "),
        ("a.matp", b"PK\x03\x04....", "Message Analyzer"),
        ("a.etl", b"\0\0\x01\0....", "etl2pcapng"),
        ("a.erf", b"\0\0\x01\0....", "editcap -F pcapng"),
        ("a.enc", b"TRSNIFF data    \x1a", "Sniffer"),
        ("a.trc", b"iptrace 2.0", "AIX iptrace"),
        ("a.ncf", &[0x3e, 0, 0x3e, 0], "CommView"),
        (
            "k12.txt",
            b"+---------+---------------+----------+\n",
            "K12 text",
        ),
        (
            "ns.cap",
            b"\x01\0\x28\0....NetScaler V20 Performance Data",
            "NetScaler",
        ),
        ("short.pcap", &MICRO.to_be_bytes(), "after 4 octets"),
        ("shomiti", b"snoop\0\0\0\0\0\0\x05\0\0\0\0", "version 5"),
        ("future.cap", b"GMBU\0\x03", "after 6 octets"),
    ] {
        let path = folder.file(name, octets);
        for map in [true, false] {
            let options = OpenOptions {
                map,
                ..OpenOptions::default()
            };
            let Err(error) = open(&path, &options) else {
                panic!("{name} was opened");
            };
            let text = error.to_string();
            assert!(text.contains(want), "{name}: {text}");
            assert!(text.contains(&path), "{name}: {text}");
        }
    }
    let options = OpenOptions::default();
    let text = |path: &str| open(path, &options).err().unwrap().to_string();
    assert!(text(folder.0.to_str().unwrap()).contains("folder"));
    assert!(text("/nowhere/at/all.pcap").contains("/nowhere/at/all.pcap"));
}

#[test]
fn finding() {
    let folder = Folder::new("find");
    let at = |second| {
        pcap_header(Little, MICRO, (2, 4), 65_535, 1)
            .put(&record(Little, second, 0, 1, 1, &[1]))
            .1
    };
    // Names in one order, times in the other.
    let late = folder.file("mail_00001_0700.pcap", &at(2_000));
    let early = folder.file("mail_00002_0600.pcap", &at(1_000));
    let other = folder.file("server.pcap", &at(1_500));
    folder.file("readme.txt", b"hello");
    let options = OpenOptions::default();
    let paths = |args: &[&str]| {
        let args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
        find(&args, &options).map(|found| {
            let sets: Vec<Vec<String>> = found
                .sets
                .into_iter()
                .map(|set| set.files.into_iter().map(|file| file.path).collect())
                .collect();
            (sets, found.notes.len())
        })
    };
    let inside = folder.0.to_str().unwrap();
    let set = vec![early.clone(), late.clone()];
    for (name, args, want) in [
        (
            "a folder",
            vec![inside],
            (vec![set.clone(), vec![other.clone()]], 1),
        ),
        (
            "a pattern",
            vec![&*format!("{inside}/mail*")],
            (vec![set.clone()], 0),
        ),
        ("files", vec![&*late, &*early], (vec![set.clone()], 0)),
        (
            "one twice",
            vec![&*other, &*other],
            (vec![vec![other.clone()]], 1),
        ),
        ("standard input", vec!["-"], (vec![vec!["-".to_owned()]], 0)),
        (
            "one that is not there",
            vec!["nowhere.pcap"],
            (vec![vec!["nowhere.pcap".to_owned()]], 0),
        ),
    ] {
        assert_eq!(paths(&args).unwrap(), want, "{name}");
    }
    assert!(paths(&[&format!("{inside}/*.nothing")]).is_err());
    std::fs::create_dir(folder.0.join("empty")).unwrap();
    assert!(paths(&[&format!("{inside}/empty")]).is_err());

    // Of more files than are taken, the first by name, and a word on the others.
    for arg in [inside.to_owned(), format!("{inside}/*")] {
        for (most, files, told) in [(2, 2, true), (4, 3, false)] {
            let found = find_up_to(std::slice::from_ref(&arg), &options, most).unwrap();
            let taken: usize = found.sets.iter().map(|set| set.files.len()).sum();
            let want = format!("{arg} names more than {most} files");
            let is_told = found.notes.iter().any(|n| n.starts_with(&want));
            assert_eq!((taken, is_told), (files, told), "{arg}, {most}");
        }
    }
}

#[test]
fn seams() {
    let read = CaptureInfo {
        last: Some(Timestamp(100_000_000_000)),
        ..CaptureInfo::default()
    };
    for (name, first, want) in [
        ("goes on", Some(100_000_000_001), Seam::Continues),
        (
            "a little out of order",
            Some(99_500_000_000),
            Seam::Continues,
        ),
        (
            "a silence",
            Some(160_000_000_000),
            Seam::Gap(60_000_000_000),
        ),
        (
            "overlap",
            Some(90_000_000_000),
            Seam::Overlap(10_000_000_000),
        ),
        ("no frames", None, Seam::Continues),
    ] {
        let next = CaptureFile {
            path: "b".to_owned(),
            first: first.map(Timestamp),
        };
        let seam = seam(&read, &next);
        assert_eq!(seam, want, "{name}");
        assert_eq!(seam.sentence("a", "b").is_none(), want == Seam::Continues);
    }
}

#[test]
fn what_is_written_can_be_read() {
    let names = [("2001:db8::1".parse().unwrap(), "hub".to_owned())];
    let mut writer = PcapngWriter::new(Vec::new(), LinkType::ETHERNET).unwrap();
    writer.names(&names).unwrap();
    let time = Timestamp(1_262_704_920_123_456_789);
    writer.frame(time, &[1, 2, 3], 60, Some("why")).unwrap();
    writer.frame_on(LinkType(101), time, &[4], 0, None).unwrap();
    writer
        .frame(time, &[], 0, Some(&"ä".repeat(40_000)))
        .unwrap();
    writer.statistics(time, 10, 2).unwrap();
    let (frames, info) = self::read(&writer.finish().unwrap()).unwrap();
    assert_eq!(
        frames,
        [
            (1, time.0, vec![1, 2, 3], 60, 1),
            (2, time.0, vec![4], 1, 101),
            (3, time.0, vec![], 0, 1)
        ]
    );
    assert_eq!(info.comments[0].text, "why");
    assert_eq!(info.comments[0].frame, Some(FrameNo(1)));
    assert_eq!(info.names, names);
    assert_eq!(info.dropped_by_capture, Some(2));
    assert_eq!(info.problems, []);

    let mut writer = PcapWriter::new(Vec::new(), LinkType(113)).unwrap();
    writer.frame(time, &[1, 2, 3], 60).unwrap();
    let (frames, info) = self::read(&writer.finish().unwrap()).unwrap();
    assert_eq!(frames, [(1, time.0, vec![1, 2, 3], 60, 113)]);
    assert_eq!(info.format, "pcap-ns");
}

#[test]
fn a_span_of_time_keeps_numbers() {
    let source = open_reader(
        "-",
        Box::new(Cursor::new(small_pcap())),
        &OpenOptions::default(),
    );
    let from = Some(Timestamp(101_000_000_000));
    let mut source = TimeSpan::new(source.unwrap(), from, Some(Timestamp(102_000_000_000)));
    let mut batch = FrameBatch::default();
    assert!(source.next_batch(&mut batch).unwrap());
    let numbers: Vec<u64> = batch.frames.iter().map(|frame| frame.number.0).collect();
    assert_eq!(numbers, [2]);
    assert!(!source.next_batch(&mut batch).unwrap());
}

#[cfg(feature = "live")]
#[test]
fn a_filter_keeps_numbers() {
    // Two Ethernet frames: ARP, IPv4; then the same of a link type that is no packet.
    let ethernet = |kind: [u8; 2]| [&[0_u8; 12][..], &kind, &[0x45; 46]].concat();
    let mut writer = PcapngWriter::new(Vec::new(), LinkType::ETHERNET).unwrap();
    for kind in [[8, 6], [8, 0]] {
        writer
            .frame(Timestamp(0), &ethernet(kind), 0, None)
            .unwrap();
    }
    let file = writer.finish().unwrap();
    let source = || {
        open_reader(
            "-",
            Box::new(Cursor::new(file.clone())),
            &OpenOptions::default(),
        )
        .unwrap()
    };
    let mut batch = FrameBatch::default();
    let mut filtered = filter(source(), "ip").unwrap();
    assert!(filtered.next_batch(&mut batch).unwrap());
    let numbers: Vec<u64> = batch.frames.iter().map(|frame| frame.number.0).collect();
    assert_eq!(numbers, [2]);
    assert!(!filtered.next_batch(&mut batch).unwrap());
    let error = filter(source(), "porrt 25").err().unwrap().to_string();
    assert!(error.contains("porrt 25"), "{error}");
}

fn shared() -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/captures");
    if !path.is_dir() {
        eprintln!("skipped: there is no {}", path.display());
        return None;
    }
    Some(path)
}

/// All public captures have the frames that Wireshark counts, mapped and read.
#[test]
fn public_captures_have_all_their_frames() {
    let Some(shared) = shared() else { return };
    let folder = shared.join("public");
    let manifest = std::fs::read_to_string(folder.join("MANIFEST.tsv")).unwrap();
    let mut rows = manifest.lines().filter(|line| !line.starts_with('#'));
    let head: Vec<&str> = rows.next().unwrap().split('\t').collect();
    let column = |name| head.iter().position(|column| *column == name).unwrap();
    let (packets, format) = (column("packets"), column("format"));
    let mut wrong = Vec::new();
    for row in rows {
        let cells: Vec<&str> = row.split('\t').collect();
        let path = folder.join(cells[0]).to_str().unwrap().to_owned();
        let options = OpenOptions {
            map: false,
            ..OpenOptions::default()
        };
        let (piped, info) = drain(open(&path, &options).unwrap());
        let (mapped, _) = drain(open(&path, &OpenOptions::default()).unwrap());
        assert_eq!(piped, mapped, "{path}");
        if info.frames.to_string() != cells[packets] {
            wrong.push(format!("{} ({}): {info:?}", cells[0], cells[packets]));
        }
        let family = cells[format].trim_end_matches(".gz");
        let family = family.split("-LE").next().unwrap_or(family);
        let family = family.split("-BE").next().unwrap_or(family);
        let ours = info.format.trim_end_matches("+gzip");
        let same = match ours {
            "pcap" => family == "pcap-us",
            other => family == other,
        };
        assert!(same, "{}: {ours} for {family}", cells[0]);
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// The laboratory's captures have the frames that their truth tells.
#[test]
fn lab_captures_have_all_their_frames() {
    let Some(shared) = shared() else { return };
    let mut checked = 0;
    for folder in std::fs::read_dir(shared.join("lab")).unwrap() {
        let folder = folder.unwrap().path();
        let Ok(truth) = std::fs::File::open(folder.join("truth.json.gz")) else {
            continue;
        };
        let mut text = String::new();
        flate2::read::MultiGzDecoder::new(truth)
            .read_to_string(&mut text)
            .unwrap();
        let truth: serde_json::Value = serde_json::from_str(&text).unwrap();
        for side in ["client", "server"] {
            let Some(frames) = truth["capture"][side]["frames"].as_u64() else {
                continue;
            };
            let path = folder.join(format!("{side}.pcap.gz"));
            let source = open(path.to_str().unwrap(), &OpenOptions::default()).unwrap();
            let (_, info) = drain(source);
            assert_eq!(info.frames, frames, "{}", path.display());
            assert!(info.problems.is_empty(), "{}", path.display());
            checked += 1;
        }
    }
    assert!(checked > 50, "{checked}");
}
