//! Two captures of one path: the fate of each segment against what really happened to it.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tcptriage::compare::{Compared, Fate, SegmentFate};
use tcptriage::pipeline::{self, Settings};

/// The laboratory's captures, where they are.
fn lab() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/captures/lab");
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: there is no {}", folder.display());
    None
}

fn scenarios() -> Vec<PathBuf> {
    let Some(lab) = lab() else { return Vec::new() };
    let mut found: Vec<PathBuf> = fs::read_dir(lab)
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.join("truth.json.gz").is_file())
        .collect();
    found.sort();
    found
}

fn name(folder: &Path) -> String {
    folder.file_name().unwrap().to_string_lossy().into_owned()
}

fn gunzip(path: &Path) -> Vec<u8> {
    let mut octets = Vec::new();
    flate2::read::GzDecoder::new(fs::File::open(path).unwrap())
        .read_to_end(&mut octets)
        .unwrap();
    octets
}

fn compare(left: &Path, right: &Path) -> (Compared, Vec<SegmentFate>) {
    let mut fates = Vec::new();
    let text = |p: &Path| vec![p.to_str().unwrap().to_owned()];
    let compared = pipeline::fates(
        &Settings::default(),
        [&text(left), &text(right)],
        &mut |fate| fates.push(*fate),
    )
    .unwrap();
    (compared, fates)
}

/// What happened to one frame on the wire, by the laboratory's own record.
struct Truth {
    to_server: bool,
    seq: u32,
    octets: u32,
    /// Frame where it left.
    sent: Option<u64>,
    fate: Fate,
    copies: usize,
}

/// Frames that carry payload, SYN or FIN.
fn truth(folder: &Path) -> Vec<Truth> {
    let truth: Value = serde_json::from_slice(&gunzip(&folder.join("truth.json.gz"))).unwrap();
    let columns: HashMap<&str, usize> = truth["frame_columns"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
        .map(|(n, c)| (c.as_str().unwrap(), n))
        .collect();
    let mut rows = Vec::new();
    for frame in truth["frames"].as_array().unwrap() {
        let at = |column: &str| &frame[columns[column]];
        if at("flow").as_i64().unwrap() < 0 {
            continue;
        }
        let flags = at("flags").as_str().unwrap_or_default();
        let payload = at("len").as_u64().unwrap() as u32;
        let octets = payload + u32::from(flags.contains('S')) + u32::from(flags.contains('F'));
        if octets == 0 || flags.contains('R') {
            continue;
        }
        let damaged = at("csum").as_u64().unwrap() > 0;
        let came = at("cap_rx").as_array().map_or(0, Vec::len);
        rows.push(Truth {
            to_server: at("dir").as_u64().unwrap() == 0,
            seq: at("seq").as_u64().unwrap() as u32,
            octets,
            sent: at("cap_tx").as_u64(),
            fate: match at("fate").as_str().unwrap() {
                "fwd" if damaged => Fate::Damaged,
                "fwd" => Fate::Delivered,
                "hostdrop" => Fate::Refused,
                _ => Fate::Lost,
            },
            copies: came.saturating_sub(1),
        });
    }
    rows
}

/// How the fates told agree with what happened: (frames, right, of these wrong: what for what).
fn score(truth: &[Truth], fates: &[SegmentFate]) -> (usize, usize, BTreeMap<String, usize>) {
    // By direction and frame where it left: the stretches told.
    let mut told: HashMap<(bool, u64), Vec<&SegmentFate>> = HashMap::new();
    for fate in fates {
        let [left, right] = fate.frames;
        let sent = if fate.to_server { left } else { right };
        if let Some(sent) = sent {
            told.entry((fate.to_server, sent.number()))
                .or_default()
                .push(fate);
        }
    }
    let mut wrong: BTreeMap<String, usize> = BTreeMap::new();
    let mut right = 0;
    for row in truth {
        let none = Vec::new();
        let list = row
            .sent
            .and_then(|sent| told.get(&(row.to_server, sent)))
            .unwrap_or(&none);
        let here = |f: &&&SegmentFate| {
            row.seq.wrapping_sub(f.seq) < f.octets || f.seq.wrapping_sub(row.seq) < row.octets
        };
        let first = list
            .iter()
            .filter(here)
            .find(|f| f.fate != Fate::Copy)
            .map(|f| {
                if f.fate == Fate::Unfilled {
                    Fate::Damaged
                } else {
                    f.fate
                }
            });
        let copies = list
            .iter()
            .filter(here)
            .filter(|f| f.fate == Fate::Copy)
            .count();
        if first == Some(row.fate) && copies == row.copies {
            right += 1;
        } else {
            let what = format!("{:?}+{} told {first:?}+{copies}", row.fate, row.copies);
            *wrong.entry(what).or_default() += 1;
        }
    }
    (truth.len(), right, wrong)
}

#[test]
fn the_fate_of_every_frame() {
    let (mut frames, mut right) = (0, 0);
    for folder in scenarios() {
        let (client, server) = (folder.join("client.pcap.gz"), folder.join("server.pcap.gz"));
        let (compared, fates) = compare(&client, &server);
        let truth = truth(&folder);
        let (n, ok, wrong) = score(&truth, &fates);
        frames += n;
        right += ok;
        let clock = compared.clock;
        eprintln!(
            "{:30} {ok:5} of {n:5} {wrong:?} clock {:?}",
            name(&folder),
            clock.map(|c| (c.offset * 1e6, c.drift * 1e6, c.error))
        );
    }
    eprintln!("{right} of {frames}");
    assert!(
        right as f64 >= frames as f64 * 0.995,
        "{right} of {frames} frames right"
    );
}
