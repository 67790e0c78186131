//! Captures with errors beside tshark: what it makes of sequence numbers, streams and octets in order, beside what we make of them.
//!
//! Errors are put into TCP headers and payloads, and both checksums put right again, so that each side takes every frame for sound. Without
//! tshark there is nothing to ask, and the test says so. `TCPTRIAGE_BENT=20` bends each capture that many times.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use support::made::random::Random;
use support::mutate::mutate;
use support::netns::{Folder, missing};
use support::program::printed;
use support::wire::{fold, sum};
use tcptriage::capture::{self, FrameBatch, LinkType, OpenOptions, PcapWriter};
use tcptriage::decode::{Decoder, SegmentBatch};
use tcptriage::flow::{ChunkData, FlowTable, Limits, Observed, order::Order};
use tcptriage::net::Direction;
use tcptriage::pipeline::{Settings, segments};

/// Captures of one link type, with dialogs of several kinds.
const CAPTURES: [&str; 4] = [
    "postfix-greylisting",
    "samba-nt1",
    "smtp-tarpit",
    "samba-smb3-encrypted",
];

/// Where the TCP header of an Ethernet frame begins, and where its packet ends.
fn tcp(frame: &[u8]) -> Option<(usize, usize)> {
    let ip = frame.get(14..34)?;
    let (header, total) = (
        usize::from(ip[0] & 15) * 4,
        u16::from_be_bytes([ip[2], ip[3]]),
    );
    let is = frame[12..14] == [8, 0] && ip[0] >> 4 == 4 && ip[9] == 6;
    let end = 14 + usize::from(total);
    (is && end <= frame.len() && 14 + header + 20 <= end).then_some((14 + header, end))
}

/// Puts errors behind the ports of a TCP header, and the checksum right. The header's length stays, as all else hangs on it.
fn bend(random: &mut Random, frame: &mut [u8]) {
    let Some((at, end)) = tcp(frame) else { return };
    let words = frame[at + 12];
    mutate(random, 0.002, &mut frame[at + 4..end]);
    frame[at + 12] = words;
    frame[at + 16..at + 18].fill(0);
    let pseudo = sum(&frame[26..34]) + 6 + (end - at) as u64;
    let check = !fold(pseudo + sum(&frame[at..end]));
    frame[at + 16..at + 18].copy_from_slice(&check.to_be_bytes());
}

/// A capture with errors, as pcap; gives the number of frames.
fn write(capture: &Path, to: &Path, seed: u64) -> u64 {
    let mut source = capture::open(capture.to_str().unwrap(), &OpenOptions::default()).unwrap();
    let mut out = PcapWriter::new(Vec::new(), LinkType::ETHERNET).unwrap();
    let (mut batch, mut random, mut frames) = (FrameBatch::default(), Random(seed), 0);
    while source.next_batch(&mut batch).unwrap() {
        for frame in &batch.frames {
            assert_eq!(frame.link, LinkType::ETHERNET);
            let mut octets = batch.captured(frame).to_vec();
            bend(&mut random, &mut octets);
            out.frame(frame.time, &octets, frame.wire_octets).unwrap();
            frames += 1;
        }
    }
    fs::write(to, out.finish().unwrap()).unwrap();
    frames
}

fn tshark(capture: &Path, args: &[&str]) -> String {
    let absolute = ["-n", "-o", "tcp.relative_sequence_numbers:FALSE", "-r"];
    printed(
        Command::new("tshark")
            .args(absolute)
            .arg(capture)
            .args(args),
    )
}

/// Octets of each stream and direction in order (0: the side that spoke first), as far as no octet is missing; `None` where one is.
type Streams = BTreeMap<(u64, usize), Option<Vec<u8>>>;

/// What tshark puts together of so many streams.
fn followed(capture: &Path, streams: u64) -> Streams {
    let wanted: Vec<String> = (0..streams)
        .map(|n| format!("follow,tcp,raw,{n}"))
        .collect();
    let mut args = vec!["-q"];
    for statistic in &wanted {
        args.extend(["-z", statistic]);
    }
    let mut found = Streams::new();
    let mut stream = 0;
    for line in tshark(capture, &args).lines() {
        if let Some(number) = line.strip_prefix("Filter: tcp.stream eq ") {
            stream = number.trim().parse().unwrap();
        }
        let (side, digits) = match line.strip_prefix('\t') {
            Some(rest) => (1, rest),
            None => (0, line),
        };
        let hex = |at: usize| {
            let pair = digits.get(at..at + 2)?;
            u8::from_str_radix(pair, 16).ok()
        };
        let octets: Option<Vec<u8>> = (0..digits.len()).step_by(2).map(hex).collect();
        let Some(octets) = octets.filter(|o| !o.is_empty()) else {
            continue;
        };
        let all = found
            .entry((stream, side))
            .or_insert_with(|| Some(Vec::new()));
        // Among the octets it says in words how many are missing.
        let missing = octets.windows(8).any(|w| w == b" missing");
        *all = all.take().filter(|_| !missing).map(|mut all| {
            all.extend(octets);
            all
        });
    }
    found
}

/// The same by the library; streams are numbered alike as long as nobody differs on them.
fn reassembled(capture: &Path) -> Streams {
    let mut source = capture::open(capture.to_str().unwrap(), &OpenOptions::default()).unwrap();
    let (mut frames, mut batch) = (FrameBatch::default(), SegmentBatch::default());
    let (mut decoder, mut order) = (Decoder::new(0), Order::default());
    let mut table = FlowTable::new(Limits::default());
    let (mut found, mut observed) = (Streams::new(), Vec::new());
    let take = |found: &mut Streams, observed: &mut Vec<Observed>, batch: &SegmentBatch| {
        for seen in observed.drain(..) {
            let Observed::Chunk(chunk) = seen else {
                continue;
            };
            let side = usize::from(chunk.direction == Direction::ServerToClient);
            let all = found
                .entry((chunk.flow, side))
                .or_insert_with(|| Some(Vec::new()));
            let octets = match &chunk.data {
                ChunkData::InBatch(at) => Some(batch.octets_of(*at)),
                ChunkData::Kept(kept) => Some(&kept[..]),
                ChunkData::Gap(_) => None,
            };
            *all = all.take().zip(octets).map(|(mut all, octets)| {
                all.extend(octets);
                all
            });
        }
    };
    while source.next_batch(&mut frames).unwrap() {
        decoder.push(&mut frames, &mut batch);
        if order.put(&mut batch) {
            table.clock_stepped();
        }
        table.push(&batch, &mut observed);
        take(&mut found, &mut observed, &batch);
    }
    let mut more = true;
    while more {
        more = table.finish(&mut observed);
        take(&mut found, &mut observed, &SegmentBatch::default());
    }
    found
}

/// Labels whose rules are the same in all versions of Wireshark since 4.0. Of those that tell kinds of repeats from each other, later
/// versions changed the rules: they count as one.
const REPEATS: [&str; 4] = [
    "retransmission",
    "fast_retransmission",
    "spurious_retransmission",
    "out_of_order",
];
const LABELS: [&str; 11] = [
    "lost_segment",
    "ack_lost_segment",
    "keep_alive",
    "keep_alive_ack",
    "duplicate_ack",
    "zero_window",
    "zero_window_probe",
    "zero_window_probe_ack",
    "window_update",
    "window_full",
    "reused_ports",
];

fn sorted<'a>(labels: impl Iterator<Item = &'a str>) -> String {
    let mut labels: Vec<&str> = labels
        .map(|label| {
            if REPEATS.contains(&label) {
                "again"
            } else {
                label
            }
        })
        .collect();
    labels.sort_unstable();
    labels.dedup();
    labels.join(",")
}

#[test]
fn wireshark_sees_the_same_in_captures_with_errors() {
    if let Some(reason) = missing(&["tshark"]) {
        println!("skipped: {reason}");
        return;
    }
    let rounds: u64 = std::env::var("TCPTRIAGE_BENT").map_or(1, |n| n.parse().unwrap());
    let folder = Folder::new("bent");
    let path = folder.0.join("bent.pcap");
    let (mut compared, mut labelled, mut whole) = (0, 0, 0);
    let mut apart = BTreeMap::<String, (u64, String)>::new();
    for name in CAPTURES {
        let capture = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("captures")
            .join(name)
            .join("capture.pcapng");
        for seed in 0..rounds {
            write(&capture, &path, seed + 1);
            let mut args = vec!["-T", "fields", "-Y", "tcp"];
            let fields = LABELS
                .iter()
                .chain(&REPEATS)
                .map(|label| format!("tcp.analysis.{label}"));
            let basic = ["frame.number", "tcp.stream", "tcp.seq", "tcp.len"];
            let fields: Vec<String> = basic
                .iter()
                .map(|f| (*f).to_owned())
                .chain(fields)
                .collect();
            for field in &fields {
                args.extend(["-e", field]);
            }
            let theirs = tshark(&path, &args);
            let mut ours = BTreeMap::new();
            let settings = Settings {
                captures: vec![path.to_str().unwrap().to_owned()],
                ..Settings::default()
            };
            segments(&settings, &mut |row| {
                let labels = row.label.labels.to_string();
                ours.insert(
                    row.frame.number(),
                    (
                        row.label.stream.to_string(),
                        row.seq.0.to_string(),
                        row.octets.to_string(),
                        sorted(labels.split(',').filter(|l| *l != "-")),
                    ),
                );
                Ok(())
            })
            .unwrap();
            for line in theirs.lines() {
                let cells: Vec<&str> = line.split('\t').collect();
                let frame: u64 = cells[0].parse().unwrap();
                let told = LABELS.iter().chain(&REPEATS).zip(&cells[4..]);
                let labels = sorted(told.filter(|(_, cell)| !cell.is_empty()).map(|(l, _)| *l));
                let (stream, seq, octets, own) = ours.remove(&frame).unwrap_or_else(|| {
                    panic!("{name}, seed {seed}: frame {frame} is no segment here")
                });
                let place = format!("{name}, seed {seed}, frame {frame}");
                assert_eq!(
                    (seq.as_str(), octets.as_str()),
                    (cells[2], cells[3]),
                    "{place}"
                );
                compared += 1;
                labelled += u64::from(!labels.is_empty() || !own.is_empty());
                if stream != cells[1] {
                    let kind = format!("stream {} there, {stream} here", cells[1]);
                    apart.entry(kind).or_insert((0, place)).0 += 1;
                } else if labels != own {
                    let kind = format!("[{labels}] there, [{own}] here");
                    apart.entry(kind).or_insert((0, place)).0 += 1;
                }
            }
            assert!(ours.is_empty(), "{name}, seed {seed}: only here {ours:?}");
            let own = reassembled(&path);
            let streams = own.keys().map(|(stream, _)| stream + 1).max();
            for (at, theirs) in followed(&path, streams.unwrap_or_default()) {
                let kind = match (theirs, own.get(&at).cloned().flatten()) {
                    (Some(theirs), Some(own)) if theirs == own => {
                        whole += 1;
                        continue;
                    }
                    (Some(theirs), Some(own)) => {
                        let same = theirs.iter().zip(&own).take_while(|(a, b)| a == b).count();
                        if same == theirs.len().min(own.len()) {
                            "octets: one side has more of them".to_owned()
                        } else {
                            "octets: others".to_owned()
                        }
                    }
                    (None, None) => "octets: both miss some".to_owned(),
                    (None, Some(_)) => "octets: missing there".to_owned(),
                    (Some(_), None) => "octets: missing here".to_owned(),
                };
                let place = format!("{name}, seed {seed}, stream and side {at:?}");
                apart.entry(kind).or_insert((0, place)).0 += 1;
            }
        }
    }
    println!(
        "{compared} segments, {labelled} with a label on either side; {whole} directions with the same octets"
    );
    for (kind, (count, first)) in &apart {
        println!("{count} {kind}: {first}");
    }
    // What differs is printed; docs/wireshark-differences.md explains it, and versions of tshark differ among themselves.
    let differ: u64 = apart.values().map(|(count, _)| count).sum();
    assert!(compared > 300 && differ * 10 < compared, "{apart:#?}");
    assert!(whole > 0);
}
