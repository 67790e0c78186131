//! The frames in which we see a TCP segment are those in which Wireshark does.
//!
//! Needs the captures and labels in `../shared`; without them it says so and passes.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::collections::BTreeSet;
use std::path::Path;

use support::shared::{self, Labelled};
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

#[test]
fn wireshark_sees_the_same_segments() {
    let Some(labelled) = shared::labelled() else {
        return;
    };
    let compared = labelled.len();
    let mut differences = Vec::new();
    for Labelled {
        capture,
        name,
        frames,
    } in labelled
    {
        let want: BTreeSet<u64> = frames.into_keys().collect();
        match frames_with_tcp(&capture) {
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
    assert!(compared > 0, "labels, but no captures");
    assert!(
        differences.is_empty(),
        "{} of {compared} captures differ:\n{}",
        differences.len(),
        differences.join("\n")
    );
    println!("{compared} captures agree");
}
