//! `tcptriage segments`: Wireshark's labels are Wireshark's, and our verdicts stand beside them.
//!
//! The comparison needs the captures and labels in `../shared`; without them it says so and passes.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use support::convo::{C2S, Convo, S2C};
use support::scene::{Scene, pcap};
use support::shared::{self, Labelled};
use tcptriage::flow::labels::Labels;
use tcptriage::pipeline::{SegmentRow, Settings, segments};

fn rows(path: &str) -> Vec<SegmentRow> {
    let settings = Settings {
        captures: vec![path.to_owned()],
        ..Settings::default()
    };
    let mut rows = Vec::new();
    segments(&settings, &mut |row| {
        rows.push(*row);
        Ok(())
    })
    .unwrap();
    rows
}

#[test]
fn labels_are_those_of_wireshark() {
    let Some(labelled) = shared::labelled() else {
        return;
    };
    let mut compared = 0;
    let mut differences = Vec::new();
    let mut verdicts = BTreeMap::<_, u64>::new();
    for Labelled {
        capture,
        name,
        frames: mut want,
    } in labelled
    {
        // A frame with several segments has the labels of the last one there.
        let rows = rows(capture.to_str().unwrap());
        for row in &rows {
            let verdict = row.judged.map_or("-", |j| j.verdict);
            *verdicts.entry((verdict, sort(row))).or_default() += 1;
        }
        let got: BTreeMap<_, _> = rows
            .iter()
            .map(|r| {
                let said = format!("{}\t{}", r.label.stream, r.label.labels);
                (r.frame.number(), said)
            })
            .collect();
        compared += got.len();
        for (frame, got) in got {
            match want.remove(&frame) {
                Some(want) if want == got => {}
                want => differences.push(format!("{name} {frame}: {want:?}, here {got:?}")),
            }
        }
        differences.extend(
            want.keys()
                .map(|frame| format!("{name} {frame}: absent here")),
        );
    }
    assert!(compared > 0, "labels, but no captures");
    assert!(
        differences.is_empty(),
        "{} of {compared} segments differ:\n{}",
        differences.len(),
        differences.join("\n")
    );
    println!("{compared} segments agree");
    for ((verdict, label), n) in verdicts {
        println!("{n:7}  {verdict:26} {label}");
    }
}

/// The label as far as it is about the same question as our verdict.
fn sort(row: &SegmentRow) -> &'static str {
    let labels = row.label.labels;
    for (label, name) in [
        (Labels::SPURIOUS_RETRANSMISSION, "spurious_retransmission"),
        (Labels::FAST_RETRANSMISSION, "fast_retransmission"),
        (Labels::RETRANSMISSION, "retransmission"),
        (Labels::OUT_OF_ORDER, "out_of_order"),
        (Labels::KEEP_ALIVE, "keep_alive"),
        (Labels::ZERO_WINDOW_PROBE, "zero_window_probe"),
        (Labels::DUPLICATE_ACK, "duplicate_ack"),
    ] {
        if labels.has(label) {
            return name;
        }
    }
    "none of these"
}

fn tsv(arguments: &[&str], input: Option<&[u8]>) -> Vec<Vec<String>> {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tcptriage"))
        .args(["segments", "--format", "tsv"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.unwrap_or_default()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|l| l.split('\t').map(str::to_owned).collect())
        .collect()
}

/// A client whose last segment is lost, and sent again after 300 ms.
fn repaired() -> Vec<u8> {
    let convo = Convo::new()
        .handshake()
        .send(S2C, b"220 mail.example ESMTP Postfix\r\n")
        .ack(C2S)
        .send(C2S, b"EHLO client.example\r\n")
        .lost()
        .wait_ms(300)
        .again()
        .ack(S2C);
    let mut scene = Scene::new();
    scene.add(convo);
    pcap(&scene.frames())
}

#[test]
fn one_line_a_segment_from_a_file_and_from_a_pipe() {
    let octets = repaired();
    let path = std::env::temp_dir().join(format!("tcptriage-segments-{}.pcap", std::process::id()));
    fs::write(&path, &octets).unwrap();
    let lines = tsv(&[path.to_str().unwrap()], None);
    let piped = tsv(&["-"], Some(&octets));
    let json = Command::new(env!("CARGO_BIN_EXE_tcptriage"))
        .args(["segments", "--format", "json", path.to_str().unwrap()])
        .output()
        .unwrap();
    fs::remove_file(&path).unwrap();
    assert_eq!(lines, piped);
    let header = "frame stream direction seq len labels verdict of_frame confidence basis";
    assert_eq!(lines[0].join(" "), header);
    for (n, line) in lines.iter().enumerate().skip(1) {
        assert_eq!(line.len(), 10, "{line:?}");
        assert_eq!(line[0], n.to_string());
        assert_eq!(line[1], "0");
    }
    let said = |n: usize| [2, 4, 5, 6, 7].map(|column| lines[n][column].as_str());
    assert_eq!(said(1), ["client_to_server", "0", "-", "-", "-"]);
    assert_eq!(said(4), ["server_to_client", "32", "-", "new", "-"]);
    assert_eq!(said(6), ["client_to_server", "21", "-", "new", "-"]);
    let again = said(7);
    assert_eq!(again[..3], ["client_to_server", "21", "retransmission"]);
    assert!(again[3].starts_with("retransmission-"), "{again:?}");
    assert_eq!(again[4], "6");
    assert!(!lines[7][9].is_empty());
    let objects: Vec<serde_json::Value> = String::from_utf8(json.stdout)
        .unwrap()
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    assert_eq!(objects.len() + 1, lines.len());
    assert_eq!(objects[6]["of_frame"], 6);
    assert_eq!(objects[6]["labels"][0], "retransmission");
    assert!(objects[0]["verdict"].is_null());
}

#[test]
fn a_capture_that_is_not_there_is_one_line() {
    let output = Command::new(env!("CARGO_BIN_EXE_tcptriage"))
        .args(["segments", "/no/such/file.pcap"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    assert_eq!(String::from_utf8(output.stderr).unwrap().lines().count(), 1);
}
