//! Capture stage: the same frames from a mapped file of each format, and through a pipe where the format allows.
#![allow(missing_docs)]

#[path = "../tests/support/mod.rs"]
mod support;

mod inputs;

use std::fs::File;
use std::hint::black_box;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use support::scene;
use tcptriage::capture::{self, FrameBatch, LinkType, OpenOptions, PcapWriter, PcapngWriter};
use tcptriage::net::Timestamp;

/// Segments of the transfer; every second one is acknowledged.
const SEGMENTS: usize = 100_000;

/// Writes the frames in every format; gives names and paths.
fn files(folder: &Path, frames: &[scene::Frame]) -> Vec<(&'static str, PathBuf)> {
    let create = |name: &str| {
        let path = folder.join(name);
        let file = File::create(&path).expect("a file can be made");
        (path, BufWriter::new(file))
    };
    let (pcap, out) = create("bench.pcap");
    let mut writer = PcapWriter::new(out, LinkType::ETHERNET).expect("it can be written");
    for frame in frames {
        let written = writer.frame(Timestamp(frame.time), &frame.octets, 0);
        written.expect("it can be written");
    }
    drop(writer.finish());
    let (pcapng, out) = create("bench.pcapng");
    let mut writer = PcapngWriter::new(out, LinkType::ETHERNET).expect("it can be written");
    for frame in frames {
        let written = writer.frame(Timestamp(frame.time), &frame.octets, 0, None);
        written.expect("it can be written");
    }
    drop(writer.finish());
    let (netmon, mut out) = create("bench.cap");
    out.write_all(&network_monitor(frames))
        .expect("it can be written");
    drop(out);
    vec![("pcap", pcap), ("pcapng", pcapng), ("netmon", netmon)]
}

/// Network Monitor 2.3: header, records with their trailers, the table of their places.
fn network_monitor(frames: &[scene::Frame]) -> Vec<u8> {
    const HEADER: usize = 128;
    let (mut body, mut table) = (Vec::new(), Vec::new());
    for frame in frames {
        table.extend(((HEADER + body.len()) as u32).to_le_bytes());
        let length = (frame.octets.len() as u32).to_le_bytes();
        body.extend(0_u64.to_le_bytes());
        body.extend([length, length].concat());
        body.extend(&frame.octets);
        // Media type, process, time, time zone.
        body.extend(1_u16.to_le_bytes());
        body.extend(u32::MAX.to_le_bytes());
        body.extend((132_223_104_000_000_000 + frame.time / 100).to_le_bytes());
        body.push(0);
    }
    let mut head = b"GMBU\x03\x02\x01\x00".to_vec();
    for field in [2020_u16, 1, 3, 1, 0, 0, 0, 0] {
        head.extend(field.to_le_bytes());
    }
    head.extend(((HEADER + body.len()) as u32).to_le_bytes());
    head.extend((table.len() as u32).to_le_bytes());
    head.resize(HEADER, 0);
    [head, body, table].concat()
}

fn capture(c: &mut Criterion) {
    let folder = std::env::temp_dir().join(format!("tcptriage-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder can be made");
    for (size, octets) in [("66_octets", 66), ("1500_octets", 1_500)] {
        let frames = inputs::bulk(SEGMENTS, octets - 54);
        let mut group = c.benchmark_group(format!("capture/{size}"));
        group.sample_size(30);
        group.throughput(Throughput::Elements(frames.len() as u64));
        for (name, path) in files(&folder, &frames) {
            // What was changed just now is read, not mapped.
            let settled = SystemTime::now() - Duration::from_secs(3_600);
            let file = File::options().append(true).open(&path);
            file.and_then(|file| file.set_modified(settled))
                .expect("its time can be set");
            let path = path.to_str().expect("the path is text").to_owned();
            for (way, map) in [("mapped", true), ("read", false)] {
                let options = OpenOptions {
                    map,
                    ..OpenOptions::default()
                };
                let mut batch = FrameBatch::default();
                group.bench_function(format!("{name}/{way}"), |b| {
                    b.iter(|| {
                        let mut source = capture::open(&path, &options).expect("it opens");
                        while source.next_batch(&mut batch).is_ok_and(|more| more) {
                            black_box(batch.frames.len());
                        }
                        assert_eq!(source.info().frames, frames.len() as u64);
                    });
                });
            }
        }
        group.finish();
    }
    drop(std::fs::remove_dir_all(&folder));
}

criterion_group!(benches, capture);
criterion_main!(benches);
