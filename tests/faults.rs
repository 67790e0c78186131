//! What befalls a run from outside: a full disk, links in the folder that it writes to, a kill at any moment, packets that nobody sound sends.
//!
//! `TCPTRIAGE_KILLS=100` and `TCPTRIAGE_SOAK=1800` (seconds) make the long runs of docs/robustness.md, with `--nocapture`, of what takes
//! seconds with every change; `TCPTRIAGE` names the binary then. Where namespaces, mounts or a program are not to be had, a test says so and passes.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use support::netns::Folder;
use support::program::tcptriage;

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
fn a_system_that_gives_no_thread_gets_the_same_report() {
    let name = "a_system_that_gives_no_thread_gets_the_same_report";
    let folder = Folder::new("faults-threads");
    // Where whoever has no rights can read them; copied by somebody else, as a program that is being written cannot be started.
    let [program, input, again] = ["tcptriage", "in.pcapng", "again.pcapng"].map(|f| folder.at(f));
    let original = capture().to_str().unwrap().to_owned();
    for (from, to) in [
        (env!("CARGO_BIN_EXE_tcptriage"), &program),
        (&original, &input),
        (&original, &again),
    ] {
        let copied = Command::new("cp").args([from, to]).status().unwrap();
        assert!(copied.success());
    }
    let alone = |args: &[&str]| {
        // The limit holds for everybody but root.
        Command::new("prlimit")
            .args(["--nproc=1", "setpriv", "--reuid=65534", "--clear-groups"])
            .args(args)
            .stdin(Stdio::null())
            .output()
    };
    let succeeds = |args: &[&str]| alone(args).is_ok_and(|o| o.status.success());
    if !succeeds(&["test", "-x", &program]) || succeeds(&["sh", "-c", "true & wait"]) {
        println!("{name}: skipped: nobody can be kept from having threads here");
        return;
    }
    for args in [
        &["analyze", "--format=json", &input][..],
        &["analyze", "--format=json", &input, &again],
        &["analyze", "--format=html", &input],
        &["compare", "--format=json", &input, &again],
        &["segments", &input],
    ] {
        let args = [args, &["-q", "--jobs=8"]].concat();
        let want = tcptriage(&args);
        let got = alone(&[&[&program[..]], &args[..]].concat()).unwrap();
        let said = String::from_utf8_lossy(&got.stderr);
        assert_eq!(got.status.code(), want.status.code(), "{args:?}: {said}");
        assert!(got.stdout == want.stdout, "{args:?}");
    }
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

/// Live runs on interfaces of hosts that the test makes.
#[cfg(feature = "live")]
mod live {
    use std::fs::{self, File};
    use std::path::{Path, PathBuf};
    use std::process::{Child, Command, Stdio};
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::thread;
    use std::time::{Duration, Instant};

    use serde_json::Value;
    use tcptriage::capture::{self, FrameBatch, OpenOptions};

    use super::support::made::random::Random;
    use super::support::mutate::mutate;
    use super::support::netns::{Folder, Host, INTERFACE, Lab, lab, missing};

    /// Longest wait for anything: a busy machine is slow.
    const PATIENCE: Duration = Duration::from_secs(120);

    fn number(variable: &str) -> Option<u64> {
        std::env::var(variable).ok().map(|n| n.parse().unwrap())
    }

    /// Ethernet frames of the project's captures.
    fn frames() -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        for name in [
            "postfix-greylisting",
            "samba-nt1",
            "smtp-tarpit",
            "samba-smb3-encrypted",
        ] {
            let path = format!(
                "{}/captures/{name}/capture.pcapng",
                env!("CARGO_MANIFEST_DIR")
            );
            let mut source = capture::open(&path, &OpenOptions::default()).unwrap();
            let mut batch = FrameBatch::default();
            while source.next_batch(&mut batch).unwrap() {
                let all = batch.frames.iter().map(|f| batch.captured(f).to_vec());
                frames.extend(all.filter(|f| f.len() <= 1_514));
            }
        }
        assert!(frames.len() > 300);
        frames
    }

    /// Sends frames with errors from `host` until it is told to stop.
    fn flood<'s>(
        scope: &'s thread::Scope<'s, '_>,
        host: &'s Host,
        over: &'s AtomicBool,
        sent: &'s AtomicU64,
    ) {
        scope.spawn(move || {
            host.enter(|| {
                let frames = frames();
                let mut random = Random(7);
                let mut out = pcap::Capture::from_device(INTERFACE)
                    .unwrap()
                    .open()
                    .unwrap();
                while !over.load(Ordering::Relaxed) {
                    for frame in &frames {
                        let mut frame = frame.clone();
                        mutate(&mut random, 0.005, &mut frame);
                        if out.sendpacket(&frame[..]).is_ok() {
                            sent.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    // Some thousand a second: the capture is to be tried, and not the interface.
                    thread::sleep(Duration::from_millis(100));
                }
            });
        });
    }

    /// Tells the sender to stop when it goes out of scope, also where the test fails: else nobody would ever hear of it.
    struct Ends<'a>(&'a AtomicBool);

    impl Drop for Ends<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// Starts a live run in `host`, and waits until it captures.
    fn start(host: &Host, folder: &Folder, arguments: &[&str]) -> Child {
        let errors = folder.0.join("errors");
        // Long runs want a binary that no build replaces meanwhile.
        let program = std::env::var_os("TCPTRIAGE");
        let mut command =
            Command::new(program.unwrap_or_else(|| env!("CARGO_BIN_EXE_tcptriage").into()));
        command
            .args(["live", "-i", INTERFACE, "--format", "ndjson"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(File::create(folder.0.join("events")).unwrap())
            .stderr(File::create(&errors).unwrap());
        let child = host.enter(|| command.spawn().unwrap());
        wait_for("it captures", || {
            fs::read_to_string(&errors)
                .unwrap()
                .contains("capturing on")
        });
        child
    }

    fn wait_for(what: &str, there: impl Fn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !there() {
            assert!(Instant::now() < end, "{what}: not seen");
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn files(ring: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(ring).into_iter().flatten();
        let mut files: Vec<PathBuf> = entries.map(|e| e.unwrap().path()).collect();
        files.sort();
        files
    }

    /// Packet blocks of a pcapng file that are there as a whole, and the octets behind the last whole block, with the length that these
    /// claim.
    fn blocks(octets: &[u8]) -> (usize, usize, usize) {
        let word = |at: usize| {
            let octets = octets.get(at..at + 4)?;
            Some(u32::from_le_bytes(octets.try_into().unwrap()) as usize)
        };
        let (mut at, mut packets) = (0, 0);
        while let (Some(kind), Some(length)) = (word(at), word(at + 4)) {
            assert!(
                length >= 12 && length % 4 == 0,
                "a block of {length} octets"
            );
            let Some(trailer) = word(at + length - 4) else {
                return (packets, octets.len() - at, length);
            };
            assert_eq!(trailer, length);
            packets += usize::from(kind == 6);
            at += length;
        }
        (packets, octets.len() - at, 12)
    }

    /// Frames that tshark reads of a file, and what it complains of.
    fn tshark(file: &Path) -> (usize, String) {
        // What the frames hold is bent, and no matter here.
        let output = Command::new("tshark")
            .args(["-n", "-T", "fields", "-e", "frame.number"])
            .args(["--disable-protocol", "ip", "--disable-protocol", "ipv6"])
            .arg("-r")
            .arg(file)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        // That it is root is no news, and that its own dissectors stumble over bent frames says nothing of the file.
        let no_news = ["Running as user", "Dissector bug"];
        let said = said
            .lines()
            .filter(|l| !no_news.iter().any(|n| l.contains(n)));
        let frames = output.stdout.iter().filter(|o| **o == b'\n').count();
        (frames, said.collect::<Vec<_>>().join("\n"))
    }

    #[test]
    fn a_kill_at_any_moment_costs_the_last_block_at_most() {
        let name = "a_kill_at_any_moment_costs_the_last_block_at_most";
        let Some(lab) = lab(name, &[]) else { return };
        let rounds = number("TCPTRIAGE_KILLS").unwrap_or(3);
        let with_tshark = missing(&["tshark"]).is_none();
        let (over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
        let (mut read, mut cut, mut all) = (0, 0, 0);
        thread::scope(|scope| {
            flood(scope, &lab.client, &over, &sent);
            let _ends = Ends(&over);
            let mut random = Random(3);
            for round in 0..rounds {
                let folder = Folder::new("faults-kill");
                let ring = folder.0.join("ring");
                let arguments = ["--write", ring.to_str().unwrap(), "--ring", "20x100kB"];
                let mut child = start(&lab.client, &folder, &arguments);
                wait_for("frames are written", || {
                    files(&ring)
                        .iter()
                        .any(|f| fs::metadata(f).is_ok_and(|m| m.len() > 2_000))
                });
                thread::sleep(Duration::from_micros(random.range(0, 400_000) as u64));
                child.kill().unwrap();
                child.wait().unwrap();
                let files = files(&ring);
                assert!(!files.is_empty());
                for (n, file) in files.iter().enumerate() {
                    let octets = fs::read(file).unwrap();
                    let (frames, behind, claimed) = blocks(&octets);
                    let name = format!("round {round}, {}", file.display());
                    assert!(behind < claimed, "{name}: {behind} octets");
                    assert!(
                        behind == 0 || n + 1 == files.len(),
                        "{name} was not the last"
                    );
                    if with_tshark {
                        let (seen, said) = tshark(file);
                        assert_eq!(seen, frames, "{name}: {said}");
                        let is_cut = behind > 0 || octets.is_empty();
                        assert!(is_cut || said.is_empty(), "{name}: {said}");
                    }
                    read += frames;
                    cut += usize::from(behind > 0);
                    all += 1;
                }
                if round % 10 == 9 {
                    println!("{} kills, {all} files", round + 1);
                }
            }
        });
        println!("{rounds} kills: {all} files, {read} frames, {cut} files that end within a block");
        assert!(read > 0);
    }

    /// Memory that a process holds, in kB.
    fn held(child: &Child) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
        let line = status.lines().find(|l| l.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    }

    #[test]
    fn packets_with_errors_do_no_harm_to_a_live_run() {
        let name = "packets_with_errors_do_no_harm_to_a_live_run";
        let Some(lab): Option<Lab> = lab(name, &[]) else {
            return;
        };
        let seconds = number("TCPTRIAGE_SOAK");
        let folder = Folder::new("faults-fuzz");
        let (over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
        let mut child = start(&lab.server, &folder, &[]);
        thread::scope(|scope| {
            flood(scope, &lab.server, &over, &sent);
            let _ends = Ends(&over);
            match seconds {
                None => wait_for("packets were sent", || sent.load(Ordering::Relaxed) > 2_000),
                Some(seconds) => {
                    for minute in 0..seconds.div_ceil(60) {
                        thread::sleep(Duration::from_secs((seconds - minute * 60).min(60)));
                        println!(
                            "minute {minute}: {} packets, {} kB held",
                            sent.load(Ordering::Relaxed),
                            held(&child).unwrap_or_default()
                        );
                    }
                }
            }
        });
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let status = child.wait().unwrap();
        let errors = fs::read_to_string(folder.0.join("errors")).unwrap();
        assert_eq!(status.code(), Some(0), "{errors}");
        assert!(!errors.contains("panicked"), "{errors}");
        let events = fs::read_to_string(folder.0.join("events")).unwrap();
        let last: Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
        assert_eq!(last["event"], "report");
        let (frames, dropped) = (
            &last["report"]["totals"]["frames"],
            &last["report"]["captures"][0]["dropped_by_capture"],
        );
        println!(
            "{} packets sent, {frames} captured, {dropped} dropped, {} undecoded",
            sent.load(Ordering::Relaxed),
            last["report"]["captures"][0]["undecoded_frames"]
        );
        assert!(frames.as_u64().unwrap() + dropped.as_u64().unwrap_or_default() > 0);
    }
}
