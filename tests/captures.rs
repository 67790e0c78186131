//! Every folder of `captures/`: the committed file is what its generator writes, shows what its README promises, and gives the
//! report that was reviewed.
//!
//! `TCPTRIAGE_WRITE_EXPECTED=1 cargo test --test captures` writes every `expected.json` anew; read the difference before you commit it.
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use support::made::{self, exchange2007};
use tcptriage::pipeline::{self, Settings};

fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures")
}

#[test]
fn committed_captures_are_what_the_generator_writes() {
    for (name, make) in made::ALL {
        let path = captures().join(name).join("capture.pcapng");
        let committed = fs::read(&path).unwrap_or_default();
        assert!(
            committed == make(),
            "{} differs from its generator: run `cargo run --example make_captures` and look at what changed",
            path.display()
        );
    }
}

#[test]
fn every_capture_has_its_story() {
    for entry in fs::read_dir(captures()).unwrap() {
        let folder = entry.unwrap().path();
        if folder.is_dir() {
            let readme = folder.join("README.md");
            assert!(readme.is_file(), "{} is missing", readme.display());
        }
    }
}

/// The octets of frame `number` of a pcapng file with one interface.
fn frame(file: &[u8], number: u64) -> &[u8] {
    let word = |at: usize| u32::from_le_bytes(file[at..at + 4].try_into().unwrap()) as usize;
    let (mut at, mut seen) = (0, 0);
    while at < file.len() {
        if word(at) == 6 {
            seen += 1;
            if seen == number {
                return &file[at + 28..at + 28 + word(at + 20)];
            }
        }
        at += word(at + 4);
    }
    panic!("no frame {number}");
}

#[test]
fn published_frames_have_their_published_numbers() {
    let word =
        |octets: &[u8], at: usize| u32::from_be_bytes(octets[at..at + 4].try_into().unwrap());
    let short =
        |octets: &[u8], at: usize| u16::from_be_bytes(octets[at..at + 2].try_into().unwrap());
    for variant in [
        "exchange2007-nic-team",
        "exchange2007-nic-team-wrong-checksum",
    ] {
        let file = fs::read(captures().join(variant).join("capture.pcapng")).unwrap();
        let smtp = exchange2007::SMTP_FRAMES.map(|(number, _)| number);
        let smb = exchange2007::SMB_FRAMES.map(|(number, _)| number);
        assert_eq!(
            smtp,
            [
                338, 1197, 1198, 4159, 8142, 11786, 15476, 17902, 20735, 23227
            ]
        );
        assert_eq!(
            smb,
            [14560, 14650, 14943, 15334, 15862, 16383, 17225, 18568]
        );
        // Frames, ports, payload octets, [sequence number, acknowledgement number], window, what the payload starts with.
        type Row<'a> = (&'a [u64], [u16; 2], u16, [u32; 2], u16, &'a [u8]);
        let rows: [Row; 4] = [
            (
                &smtp[..1],
                [44217, 25],
                31,
                [3183382921, 1774779240],
                65436,
                b"EHLO XXXMAIL02.testdomain.com\r\n",
            ),
            (
                &smtp[1..2],
                [25, 44217],
                255,
                [1774779240, 3183382952],
                65504,
                b"250-YYYMAIL02.testdomain.com Hello [192.168.24.34]\r\n",
            ),
            (
                &smtp[2..],
                [44217, 25],
                16,
                [3183382952, 1774779495],
                65181,
                b"X-ANONYMOUSTLS\r\n",
            ),
            (
                &smb,
                [445, 44946],
                186,
                [3446414444, 2070264315],
                65398,
                b"\0\0\0\xb6\xffSMB\x72\0\0\0\0",
            ),
        ];
        for (numbers, ports, octets, [seq, ack], window, payload) in rows {
            for &number in numbers {
                let seen = frame(&file, number);
                assert_eq!(
                    (
                        [short(seen, 34), short(seen, 36)],
                        short(seen, 16) - 40,
                        [word(seen, 38), word(seen, 42)],
                        short(seen, 48),
                    ),
                    (ports, octets, [seq, ack], window),
                    "{variant}, frame {number}"
                );
                assert!(seen[54..].starts_with(payload), "{variant}, frame {number}");
            }
        }
    }
}

/// The part of the report that is reviewed: findings, remedies and verdict in full, and of the flows those that findings name.
fn core_of(report: &Value) -> Value {
    let named: Vec<u64> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|f| f["flows"].as_array().unwrap())
        .filter_map(Value::as_u64)
        .collect();
    let flows: Vec<&Value> = report["flows"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|f| f["index"].as_u64().is_some_and(|i| named.contains(&i)))
        .take(10)
        .collect();
    let captures: Vec<Value> = report["captures"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| {
            let mut capture = c.clone();
            let path = capture["path"].as_str().unwrap();
            let name = Path::new(path)
                .file_name()
                .unwrap()
                .to_string_lossy()
                .into_owned();
            capture["path"] = json!(name);
            capture
        })
        .collect();
    json!({
        "captures": captures,
        "totals": report["totals"],
        "flows": flows,
        "findings": report["findings"],
        "remediations": report["remediations"],
        "verdict": report["verdict"],
    })
}

/// Every capture gives the report that was reviewed. A new folder is a new test.
/// The folders, each with its capture.
fn folders() -> Vec<PathBuf> {
    let mut folders: Vec<_> = fs::read_dir(captures())
        .unwrap()
        .map(|e| e.unwrap().path())
        .filter(|p| p.is_dir())
        .collect();
    folders.sort();
    assert!(!folders.is_empty());
    folders
}

fn settings(folder: &Path) -> Settings {
    Settings {
        captures: vec![folder.join("capture.pcapng").to_string_lossy().into_owned()],
        ..Settings::default()
    }
}

#[test]
fn flows_that_matter_have_graphs() {
    for folder in folders() {
        let settings = Settings {
            plots: true,
            ..settings(&folder)
        };
        let report = pipeline::analyze(&settings).unwrap();
        let name = folder.display();
        assert!(!report.plots.is_empty(), "{name}: no graph");
        for plot in &report.plots {
            let flow = report.flows.iter().find(|f| f.index == plot.flow).unwrap();
            let ways = [&flow.client_to_server, &flow.server_to_client];
            for (way, half) in plot.series.ways.iter().zip(ways) {
                // A mark takes the place of its segment.
                let drawn = way.segments.all + way.marks.all;
                let data = half.data_segments;
                assert!(
                    drawn >= data,
                    "{name}, flow {}: {drawn} of {data}",
                    plot.flow
                );
            }
        }
    }
}

#[test]
fn captures_give_the_reviewed_report() {
    let write = std::env::var_os("TCPTRIAGE_WRITE_EXPECTED").is_some();
    let mut differing = Vec::new();
    for folder in folders() {
        let settings = settings(&folder);
        let report = pipeline::analyze(&settings).unwrap();
        let got = core_of(&serde_json::to_value(&report).unwrap());
        let got = serde_json::to_string_pretty(&got).unwrap() + "\n";
        let path = folder.join("expected.json");
        if write {
            fs::write(&path, &got).unwrap();
        } else if fs::read_to_string(&path).unwrap_or_default() != got {
            differing.push(path.display().to_string());
        }
    }
    assert!(
        differing.is_empty(),
        "the report differs from {differing:?}: run with TCPTRIAGE_WRITE_EXPECTED=1 and read the difference"
    );
}
