//! The frames in which we see a TCP segment are those in which Wireshark does.
//!
//! Needs the captures and labels in `../shared`; without them it says so and passes.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use tcptriage::capture::{self, FrameBatch, OpenOptions};
use tcptriage::decode::{Decoder, SegmentBatch};

fn frames_with_tcp(path: &Path) -> Result<(BTreeSet<u64>, Decoder), String> {
    let mut source = capture::open(path.to_str().unwrap(), &OpenOptions::default())
        .map_err(|e| e.to_string())?;
    let mut decoder = Decoder::new(0);
    let mut frames = FrameBatch::default();
    let mut segments = SegmentBatch::default();
    let mut seen = BTreeSet::new();
    while source.next_batch(&mut frames).map_err(|e| e.to_string())? {
        decoder.push(&mut frames, &mut segments);
        seen.extend(segments.segments.iter().map(|s| s.frame.0));
    }
    Ok((seen, decoder))
}

fn labelled(path: &Path) -> BTreeSet<u64> {
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(fs::File::open(path).unwrap())
        .read_to_string(&mut text)
        .unwrap();
    text.lines()
        .filter_map(|l| l.split('\t').next()?.parse().ok())
        .collect()
}

fn captures(root: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(root) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            captures(&path, found);
        } else {
            found.push(path);
        }
    }
    found.sort();
}

#[test]
fn wireshark_sees_the_same_segments() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let labels = shared.join("score/labels");
    if !labels.is_dir() {
        println!("skipped: no labels in ../shared/score/labels");
        return;
    }
    let mut compared = 0;
    let mut differences = Vec::new();
    for folder in ["public", "lab"] {
        let root = shared.join("captures").join(folder);
        let mut files = Vec::new();
        captures(&root, &mut files);
        for file in files {
            let name = file.strip_prefix(&root).unwrap().to_str().unwrap();
            let label = labels.join(format!("{}.tsv.gz", name.replace('/', "__")));
            if !label.is_file() {
                continue;
            }
            let want = labelled(&label);
            compared += 1;
            match frames_with_tcp(&file) {
                Err(error) => differences.push(format!("{name}: {error}")),
                Ok((seen, decoder)) if seen != want => differences.push(format!(
                    "{name}: only Wireshark {:?}, only here {:?}, not decoded {:?}",
                    want.difference(&seen).take(8).collect::<Vec<_>>(),
                    seen.difference(&want).take(8).collect::<Vec<_>>(),
                    decoder.undecoded(),
                )),
                Ok(_) => {}
            }
        }
    }
    assert!(compared > 0, "labels, but no captures");
    assert!(
        differences.is_empty(),
        "{} of {compared} captures differ:\n{}",
        differences.len(),
        differences.join("\n")
    );
    println!("{compared} captures agree");
}
