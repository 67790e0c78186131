//! Capture formats: any octets behind a format's magic number.
//!
//! Takes:  an octet that picks the magic number (or the way to wrap), and the file behind it
//! Gives:  nothing; panics where a promise of the capture stage is broken
//! Never:  writes to disk

use std::io::Cursor;

use tcptriage::capture::{
    self, FrameBatch, MAX_COMMENTS, MAX_NAMES, MAX_PROBLEMS, OpenOptions, UnpackLimits,
};

use super::ops::Ops;

/// Octets that a packed input may grow to.
const UNPACKED: u64 = 4 << 20;

/// Reads a capture to its end and holds it to what `capture` promises.
pub fn read(octets: Vec<u8>) {
    let most = (octets.len() as u64).max(UNPACKED);
    let options = OpenOptions {
        unpack: UnpackLimits {
            ratio: 300,
            free_octets: UNPACKED / 4,
            total_octets: UNPACKED,
            window: UNPACKED,
        },
        held_octets: UNPACKED,
        ..OpenOptions::default()
    };
    let reader = Box::new(Cursor::new(octets));
    let Ok(mut source) = capture::open_reader("input", reader, &options) else {
        return;
    };
    let (mut batch, mut last) = (FrameBatch::default(), 0);
    while source.next_batch(&mut batch).expect("memory can be read") {
        assert!(!batch.frames.is_empty());
        let held = batch.octets.as_slice().len();
        for frame in &batch.frames {
            assert!(frame.range.start <= frame.range.end && frame.range.end <= held);
            assert!(u64::from(frame.wire_octets) >= frame.range.len() as u64);
            last += 1;
            assert_eq!(frame.number.0, last, "frames are numbered without a hole");
        }
    }
    assert!(!source.next_batch(&mut batch).expect("it stays at its end"));
    let info = source.info();
    assert_eq!(info.frames, last);
    assert!(info.frames <= most, "no frame without an octet of its own");
    assert!(info.problems.len() <= MAX_PROBLEMS);
    assert!(info.comments.len() <= MAX_COMMENTS);
    assert!(info.names.len() <= MAX_NAMES);
}

/// The input behind one of `magic`, which its first octet picks.
fn behind(magic: &[&[u8]], input: &[u8]) {
    let mut ops = Ops(input);
    let at = usize::from(ops.small()) % magic.len();
    read([magic[at], ops.0].concat());
}

/// pcap: both byte orders, micro- and nanoseconds, the modified kind.
pub const PCAP: &[&[u8]] = &[
    b"\xa1\xb2\xc3\xd4",
    b"\xd4\xc3\xb2\xa1",
    b"\xa1\xb2\x3c\x4d",
    b"\x4d\x3c\xb2\xa1",
    b"\xa1\xb2\xcd\x34",
    b"\x34\xcd\xb2\xa1",
];

/// A pcap file.
pub fn pcap(input: &[u8]) {
    behind(PCAP, input);
}

/// pcapng's first block type.
pub const PCAPNG: &[&[u8]] = &[b"\x0a\x0d\x0d\x0a"];

/// A pcapng file as it is where the first octet is even; else blocks, each with a type, a length and a body, in a sound frame.
pub fn pcapng(input: &[u8]) {
    let mut ops = Ops(input);
    if ops.small() & 1 == 0 {
        return read([PCAPNG[0], ops.0].concat());
    }
    let mut file = block(
        0x0a0d_0d0a,
        b"\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
    );
    while let Some(kind) = ops.octet() {
        let kind = match kind {
            0..=15 => u32::from(kind),
            16..=31 => 0x0a0d_0d0a,
            _ => 6,
        };
        let length = usize::from(ops.small());
        file.extend(block(kind, ops.take(length)));
    }
    read(file);
}

/// A block of pcapng, little-endian.
pub fn block(kind: u32, body: &[u8]) -> Vec<u8> {
    let padded = body.len().next_multiple_of(4);
    let length = (padded as u32 + 12).to_le_bytes();
    let mut block = [&kind.to_le_bytes()[..], &length, body].concat();
    block.resize(8 + padded, 0);
    block.extend(length);
    block
}

/// Network Monitor 2 and 1.
pub const NETMON: &[&[u8]] = &[b"GMBU", b"RTSS"];

/// A capture of Network Monitor.
pub fn netmon(input: &[u8]) {
    behind(NETMON, input);
}

/// snoop.
pub const SNOOP: &[&[u8]] = &[b"snoop\0\0\0"];

/// A snoop file.
pub fn snoop(input: &[u8]) {
    behind(SNOOP, input);
}

/// gzip, zstd (with its frames to skip) and lz4.
pub const GZIP: &[&[u8]] = &[b"\x1f\x8b"];
/// See [`GZIP`].
pub const ZSTD: &[&[u8]] = &[b"\x28\xb5\x2f\xfd", b"\x50\x2a\x4d\x18"];
/// See [`GZIP`].
pub const LZ4: &[&[u8]] = &[b"\x04\x22\x4d\x18"];

/// A file packed by gzip.
pub fn gzip(input: &[u8]) {
    behind(GZIP, input);
}

/// A file packed by zstd.
pub fn zstd(input: &[u8]) {
    behind(ZSTD, input);
}

/// A file packed by lz4.
pub fn lz4(input: &[u8]) {
    behind(LZ4, input);
}

/// Any octets, as a stranger's file.
pub fn anything(input: &[u8]) {
    read(input.to_vec());
}
