//! One capture in every format that `editcap` writes: those that are read give the same findings, the others an error that names the
//! format and the command that converts it.
//!
//! Needs `editcap` (Debian: wireshark-common); without it this says so and passes.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tcptriage::pipeline::{self, Error, Settings};

/// Formats that are read, by editcap's names, with the unit of their times in nanoseconds and ours for them.
const READ: &[(&str, i64, &str)] = &[
    ("pcap", 1_000, "pcap"),
    ("nsecpcap", 1, "pcap-ns"),
    ("modpcap", 1_000, "pcap-modified"),
    ("rh6_1pcap", 1_000, "pcap-modified"),
    ("suse6_3pcap", 1_000, "pcap-modified"),
    ("nokiapcap", 1_000, "pcap-nokia"),
    ("pcapng", 1, "pcapng"),
    ("snoop", 1_000, "snoop"),
    ("netmon1", 1_000_000, "netmon1"),
    ("netmon2", 1_000, "netmon2"),
];

/// Formats that are known and not read.
const REFUSED: &[&str] = &[
    "5views",
    "commview-ncf",
    "commview-ncfx",
    "erf",
    "k12text",
    "lanalyzer",
    "nettl",
    "ngsniffer",
    "ngwsniffer_1_1",
    "ngwsniffer_2_0",
    "observer",
    "visual",
];

/// The capture, by its folder.
const ORIGINAL: &str = "exchange2007-nic-team";

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn original() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("captures")
        .join(ORIGINAL)
        .join("capture.pcapng")
}

/// Writes the capture in a format; `None` where this editcap cannot.
fn converted(format: &str, folder: &Path) -> Option<String> {
    let ending = match format {
        "commview-ncf" => "ncf",
        "commview-ncfx" => "ncfx",
        "erf" => "erf",
        _ => "cap",
    };
    let path = folder.join(format!("{format}.{ending}"));
    let done = Command::new("editcap")
        .args(["-F", format])
        .args([&original(), &path])
        .output()
        .unwrap();
    done.status
        .success()
        .then(|| path.to_str().unwrap().to_owned())
}

fn report(path: String) -> Result<Value, Error> {
    let settings = Settings {
        captures: vec![path],
        ..Settings::default()
    };
    pipeline::analyze(&settings).map(|report| serde_json::to_value(report).unwrap())
}

/// What of a report has to be the same whatever the format: all but the file itself, and what its times say to the last digit.
fn findings(report: &Value) -> Value {
    let of = |list: &str, keys: &[&str]| -> Vec<Value> {
        let rows = report[list].as_array().unwrap().iter();
        rows.map(|row| keys.iter().map(|key| row[key].clone()).collect())
            .collect()
    };
    json!({
        "totals": report["totals"],
        "grade": report["verdict"]["grade"],
        "findings": of("findings", &["id", "severity", "hosts", "flows", "display_filter"]),
        "remediations": of("remediations", &["id", "findings"]),
        "flows": of("flows", &["client", "server", "application", "first_frame", "last_frame", "end"]),
    })
}

#[test]
fn every_format_gives_the_same_findings() {
    let version = Command::new("editcap").arg("--version").output();
    if !version.is_ok_and(|done| done.status.success()) {
        println!("skipped: editcap is not installed (Debian: wireshark-common)");
        return;
    }
    let folder = std::env::temp_dir().join(format!("tcptriage-formats-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let folder = Folder(folder);
    let first = report(original().to_str().unwrap().to_owned()).unwrap();
    let (want, mut told) = (findings(&first), 0);
    assert!(!first["findings"].as_array().unwrap().is_empty());
    for (format, unit, ours) in READ {
        let path = converted(format, &folder.0).unwrap();
        let report = report(path).unwrap();
        let capture = &report["captures"][0];
        assert_eq!(capture["format"], *ours);
        assert_eq!(
            capture["frames"], first["captures"][0]["frames"],
            "{format}"
        );
        // A millisecond is too coarse to tell a late answer, and which of two segments was first.
        if *unit < 1_000_000 {
            assert_eq!(findings(&report), want, "{format}");
        } else {
            assert_eq!(report["totals"], first["totals"], "{format}");
        }
        told += 1;
    }
    for format in REFUSED {
        // Not every version writes every format.
        let Some(path) = converted(format, &folder.0) else {
            println!("this editcap does not write {format}");
            continue;
        };
        let text = report(path.clone()).unwrap_err().to_string();
        let want = format!("editcap -F pcapng {path}");
        assert!(text.contains(&want), "{format}: {text}");
        told += 1;
    }
    println!("{told} formats agree");
}
