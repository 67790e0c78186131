//! What a report tells to type into Wireshark, typed into tshark: filters show the frames that they are printed with, and the evidence
//! opens with its comments. Without tshark there is nothing to ask, and the tests say so.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use support::program::printed;

/// Lines that tshark prints; `None` without tshark.
fn tshark(capture: &Path, args: &[&str]) -> Option<Vec<String>> {
    let output = Command::new("tshark")
        .args([
            "-n",
            "-o",
            "tcp.check_checksum:TRUE",
            "-o",
            "ip.check_checksum:TRUE",
            "-r",
        ])
        .arg(capture)
        .args(args)
        .stdin(Stdio::null())
        .output();
    let Ok(output) = output else {
        eprintln!("skipped: there is no tshark");
        return None;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "tshark {args:?}: {said}");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some(text.lines().map(str::to_owned).collect())
}

/// How many frames each filter shows: all in one reading of the capture.
fn shown(capture: &Path, filters: &[String]) -> Option<Vec<u64>> {
    let statistic = format!("io,stat,0,{}", filters.join(","));
    // Commas part the filters, so that sets are written as alternatives.
    let lines = tshark(capture, &["-q", "-z", &statistic])?;
    let row = lines.iter().find(|l| l.contains("<>")).unwrap();
    let figures: Vec<u64> = row
        .split('|')
        .skip(2)
        .step_by(2)
        .filter_map(|n| n.trim().parse().ok())
        .collect();
    assert_eq!(figures.len(), filters.len(), "{row}");
    Some(figures)
}

/// A filter without commas: `x in {1, 2}` as `(x == 1 || x == 2)`.
fn without_commas(filter: &str) -> String {
    let Some((before, rest)) = filter.split_once(" in {") else {
        return filter.to_owned();
    };
    let (inside, behind) = rest.split_once('}').unwrap();
    let (lead, field) = before.rsplit_once([' ', '(']).map_or(("", before), |_| {
        let at = before.rfind([' ', '(']).unwrap() + 1;
        before.split_at(at)
    });
    let each: Vec<String> = inside
        .split(',')
        .map(|value| format!("{field} == {}", value.trim()))
        .collect();
    format!("{lead}({}){}", each.join(" || "), without_commas(behind))
}

fn run(args: &[&str]) -> String {
    printed(Command::new(env!("CARGO_BIN_EXE_tcptriage")).args(args))
}

fn captures() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let mut found: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path().join("capture.pcapng"))
        .filter(|p| p.is_file())
        .collect();
    found.sort();
    assert!(!found.is_empty());
    found
}

/// A folder of this test's own.
fn folder(name: &str) -> PathBuf {
    let folder =
        std::env::temp_dir().join(format!("tcptriage-wireshark-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn every_filter_shows_its_frames() {
    for capture in captures() {
        let path = capture.to_str().unwrap();
        let report = run(&["analyze", "-q", "--format", "json", path]);
        let report: Value = serde_json::from_str(&report).unwrap();
        let text = run(&["analyze", "-v", "--color=never", path]);
        let (mut filters, mut wanted) = (Vec::new(), Vec::new());
        for finding in report["findings"].as_array().unwrap() {
            let (id, filter) = (&finding["id"], finding["display_filter"].as_str().unwrap());
            assert!(!filter.is_empty(), "{path}: {id}");
            let printed = finding["severity"] == "info" || text.contains(filter);
            assert!(printed, "{path}: {id}: {filter} is not printed");
            let frames: BTreeSet<u64> = finding["evidence"]
                .as_array()
                .unwrap()
                .iter()
                .map(|e| e["frame"].as_u64().unwrap())
                .collect();
            // At least one of the frames cited; where none is, any.
            let frames: Vec<String> = frames.iter().map(u64::to_string).collect();
            let filter = without_commas(filter);
            filters.push(if frames.is_empty() {
                filter
            } else {
                let proof = without_commas(&format!("frame.number in {{{}}}", frames.join(",")));
                format!("({filter}) && {proof}")
            });
            wanted.push(None);
        }
        // What the text prints to show the proof alone.
        for line in text.lines() {
            if let Some(filter) = line.find("frame.number in {").and_then(|at| line.get(at..)) {
                filters.push(without_commas(filter));
                wanted.push(Some(1 + filter.matches(',').count() as u64));
            }
        }
        if filters.is_empty() {
            continue;
        }
        let Some(shown) = shown(&capture, &filters) else {
            return;
        };
        for ((filter, wanted), shown) in filters.iter().zip(wanted).zip(shown) {
            assert!(
                wanted.map_or(shown > 0, |n| shown == n),
                "{path}: {filter}: {shown}"
            );
        }
    }
}

#[test]
fn sets_are_written_as_alternatives() {
    for (filter, want) in [
        ("tcp.stream == 1", "tcp.stream == 1"),
        (
            "tcp.stream in {1, 2}",
            "(tcp.stream == 1 || tcp.stream == 2)",
        ),
        ("a && b in {1,2} && c", "a && (b == 1 || b == 2) && c"),
        ("(b in {1}) || c in {2}", "((b == 1)) || (c == 2)"),
    ] {
        assert_eq!(without_commas(filter), want);
    }
}

#[test]
fn evidence_opens_with_its_comments() {
    let folder = folder("evidence");
    let evidence = folder.join("evidence.pcapng");
    let capture = captures()
        .into_iter()
        .find(|c| c.to_string_lossy().contains("exchange2007-nic-team/"))
        .unwrap();
    run(&[
        "analyze",
        "-q",
        "-o",
        evidence.to_str().unwrap(),
        capture.to_str().unwrap(),
    ]);
    let fields = ["-T", "fields", "-e", "frame.comment", "-e", "tcp.payload"];
    let Some(lines) = tshark(&evidence, &fields) else {
        return;
    };
    assert!(lines.len() > 20, "{}", lines.len());
    for line in &lines {
        assert!(line.starts_with("frame "), "{line}");
        assert!(
            line.contains("finding ") || line.contains("the connection "),
            "{line}"
        );
        assert!(line.ends_with('\t'), "payload: {line}");
    }
    assert!(lines.iter().any(|l| l.contains("storm.retransmission")));
    assert!(
        lines
            .iter()
            .any(|l| l.contains("the connection before frame"))
    );
    let hosts = tshark(&evidence, &["-q", "-z", "hosts"])
        .unwrap()
        .join("\n");
    assert!(hosts.contains("XXXMAIL02"), "{hosts}");
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn redacted_evidence_names_nobody_and_keeps_its_checksums() {
    let folder = folder("redacted");
    let (evidence, key, page) = (
        folder.join("e.pcapng"),
        folder.join("key.txt"),
        folder.join("r.html"),
    );
    let capture = captures()
        .into_iter()
        .find(|c| c.to_string_lossy().contains("exchange2007-nic-team/"))
        .unwrap();
    let text = run(&[
        "analyze",
        "-q",
        "--redact",
        "--show-addresses",
        "--redact-key",
        key.to_str().unwrap(),
        "-o",
        evidence.to_str().unwrap(),
        "-o",
        page.to_str().unwrap(),
        capture.to_str().unwrap(),
    ]);
    let key = std::fs::read_to_string(key).unwrap();
    let is: Vec<(&str, &str)> = key
        .lines()
        .filter_map(|l| l.strip_prefix("address\t")?.split_once('\t'))
        .collect();
    let stands_for = |was: &str| is.iter().find(|(a, _)| *a == was).unwrap().1;
    let (one, other) = (stands_for("192.168.24.34"), stands_for("192.168.15.63"));
    assert!(text.contains(one) && text.contains(other));
    let page = std::fs::read_to_string(page).unwrap();
    for secret in ["192.168.24.34", "XXXMAIL02", "testdomain.com"] {
        assert!(!text.contains(secret) && !page.contains(secret), "{secret}");
    }
    let raw = std::fs::read(&evidence).unwrap();
    for secret in [
        &b"XXXMAIL02"[..],
        b"testdomain",
        &[192, 168, 24, 34],
        &[192, 168, 15, 63],
    ] {
        assert!(
            !raw.windows(secret.len()).any(|w| w == secret),
            "{secret:?}"
        );
    }
    let fields = [
        "-T",
        "fields",
        "-e",
        "ip.src",
        "-e",
        "ip.dst",
        "-e",
        "ip.checksum.status",
        "-e",
        "tcp.payload",
    ];
    let Some(lines) = tshark(&evidence, &fields) else {
        return;
    };
    assert!(lines.iter().any(|l| l.contains(one) && l.contains(other)));
    for line in lines {
        let parts: Vec<&str> = line.split('\t').collect();
        assert_eq!(
            parts[2..],
            ["1", ""],
            "right IP checksum, no payload: {line}"
        );
    }
    std::fs::remove_dir_all(folder).unwrap();
}
