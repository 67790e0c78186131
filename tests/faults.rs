//! What befalls a run from outside: a full disk, links in the folder that it writes to, a kill at any moment, packets that nobody sound sends.
//!
//! `TCPTRIAGE_KILLS=100` and `TCPTRIAGE_SOAK=1800` (seconds) make the long runs of docs/robustness.md, with `--nocapture`, of what takes
//! seconds with every change. Where namespaces, mounts or a program are not to be had, a test says so and passes.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use support::netns::Folder;

fn tcptriage(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tcptriage"))
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn capture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/postfix-connection-limit/capture.pcapng")
}

/// The one line of a run that could not do its work.
fn refused(name: &str, output: &Output) -> String {
    let said = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{name}: {said}");
    assert_eq!(said.matches('\n').count(), 1, "{name}: {said}");
    said
}

#[test]
fn an_input_is_never_written_over_by_whatever_name() {
    let folder = Folder::new("faults-input");
    let octets = fs::read(capture()).unwrap();
    let (input, hard, soft) = (
        folder.at("in.pcapng"),
        folder.at("hard.pcapng"),
        folder.at("soft.pcapng"),
    );
    fs::write(&input, &octets).unwrap();
    fs::hard_link(&input, &hard).unwrap();
    symlink(&input, &soft).unwrap();
    let around = format!("{}/../{}/in.pcapng", folder.0.display(), name_of(&folder));
    for target in [&input, &hard, &soft, &around] {
        let output = tcptriage(&["analyze", "-q", "-o", target, &input]);
        refused(target, &output);
        assert!(output.stdout.is_empty(), "{target}: nothing was done");
        assert_eq!(fs::read(&input).unwrap(), octets, "{target}");
    }
    // Facts, logs and rules are read as well.
    let facts = folder.at("facts.txt");
    fs::write(&facts, "net.ipv4.tcp_sack = 0\n").unwrap();
    let output = tcptriage(&["analyze", "-q", "--facts", &facts, "-o", &facts, &input]);
    refused("facts", &output);
    // What is not an input is replaced where it stands, and nothing at the end of a link.
    let (precious, link) = (folder.at("precious.txt"), folder.at("link.txt"));
    fs::write(&precious, "precious").unwrap();
    symlink(&precious, &link).unwrap();
    let output = tcptriage(&["analyze", "-q", "-o", &link, &input]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    assert!(fs::symlink_metadata(&link).unwrap().is_file());
    assert!(fs::metadata(&link).unwrap().len() > 100);
    let left: Vec<_> = fs::read_dir(&folder.0).unwrap().collect();
    assert_eq!(left.len(), 6, "no temporary file is left: {left:?}");
}

fn name_of(folder: &Folder) -> String {
    folder.0.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn a_reader_sees_the_old_report_or_the_new_one() {
    let folder = Folder::new("faults-whole");
    let (report, capture) = (folder.at("r.json"), capture());
    fs::write(&report, "{}").unwrap();
    let old = fs::metadata(&report).unwrap().ino();
    let kept = fs::File::open(&report).unwrap();
    let output = tcptriage(&["analyze", "-q", "-o", &report, capture.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
    assert_ne!(fs::metadata(&report).unwrap().ino(), old, "another file");
    assert_eq!(
        std::io::read_to_string(kept).unwrap(),
        "{}",
        "whoever has the old one open reads it to its end"
    );
    let text = fs::read_to_string(&report).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
}

#[test]
fn a_full_disk_leaves_the_old_report() {
    let name = "a_full_disk_leaves_the_old_report";
    let full = fs::OpenOptions::new().write(true).open("/dev/full");
    let capture = capture();
    let capture = capture.to_str().unwrap();
    match full {
        Err(error) => println!("{name}: skipped in part: /dev/full: {error}"),
        Ok(full) => {
            for command in ["analyze", "segments"] {
                let output = Command::new(env!("CARGO_BIN_EXE_tcptriage"))
                    .args([command, "-q", capture])
                    .stdin(Stdio::null())
                    .stdout(full.try_clone().unwrap())
                    .stderr(Stdio::piped())
                    .output()
                    .unwrap();
                let said = refused(command, &output);
                assert!(said.contains("No space left"), "{said}");
            }
            // No file, so not to be replaced by one.
            let output = tcptriage(&["analyze", "-q", "-o", "/dev/full.txt/x.txt", capture]);
            refused("a folder that is not there", &output);
        }
    }
    let folder = Folder::new("faults-full");
    let disk = folder.at("disk");
    fs::create_dir(&disk).unwrap();
    // In a mount namespace of its own, which goes with the shell.
    let script = "mount -t tmpfs -o size=16k none \"$1\" || exit 77
        echo old > \"$1/r.html\"
        for ending in html pcapng json; do
            \"$2\" analyze -q --show-addresses -o \"$1/r.$ending\" \"$3\" > \"$1/../told\" 2> \"$1/../said.$ending\"
            echo $? >> \"$1/../codes\"
        done
        cat \"$1/r.html\" > \"$1/../after\"; ls -A \"$1\" > \"$1/../left\"";
    let large =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/exchange2007-nic-team/capture.pcapng");
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", script, "sh", &disk])
        .args([env!("CARGO_BIN_EXE_tcptriage"), large.to_str().unwrap()])
        .output();
    let done = output.is_ok_and(|o| o.status.code() == Some(0));
    if !done {
        println!("{name}: skipped in part: no small disk can be mounted");
        return;
    }
    let read = |file: &str| fs::read_to_string(folder.at(file)).unwrap();
    assert_eq!(read("codes"), "2\n2\n2\n", "{}", read("said.html"));
    for ending in ["html", "pcapng", "json"] {
        let said = read(&format!("said.{ending}"));
        assert!(
            said.contains("No space left") && said.matches('\n').count() == 1,
            "{said}"
        );
    }
    assert_eq!(read("after"), "old\n", "the old report");
    assert_eq!(read("left"), "r.html\n", "nothing half written");
}
