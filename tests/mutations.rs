//! Every capture with errors in its frames, in the manner of Wireshark's `editcap -E`: nothing panics, hangs or grows, and each run ends as
//! the contract says.
//!
//! The captures are those of `captures/` and, where they are there, of `../shared/captures`. `TCPTRIAGE_MUTATIONS=108` runs that many of
//! each (20,000 in all take 108) in place of the one of some that a change is tested with.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use support::made::random::Random;
use support::mutate::mutate;
use support::shared;
use tcptriage::capture::{self, FrameBatch, LinkType, OpenOptions, PcapngWriter};
use tcptriage::net::Timestamp;
use tcptriage::pipeline::{self, Error, Settings};
use tcptriage::report::evidence::{self, Keeping};
use tcptriage::report::{self, FORMATS, Look};

/// One capture in so many is tested with every change.
const SOME: usize = 4;

/// Errors for each octet.
const RATES: [f64; 5] = [0.001, 0.003, 0.01, 0.02, 0.05];

/// Frames read of one capture.
const MAX_FRAMES: usize = 250;

/// A run may take so many times as long as that without errors.
const MAX_SLOWER: u32 = 10;

/// Time below which runs are not compared.
const FLOOR: Duration = Duration::from_secs(2);

/// Octets of memory that the process may have held at most.
const CEILING: u64 = 512 << 20;

/// A frame as it was captured.
struct Frame {
    link: LinkType,
    time: Timestamp,
    octets: Vec<u8>,
    wire_octets: u32,
}

/// The first frames of a capture; none of a file that is none.
fn frames(path: &Path) -> Vec<Frame> {
    let mut frames = Vec::new();
    let Ok(mut source) = capture::open(path.to_str().unwrap(), &OpenOptions::default()) else {
        return frames;
    };
    let mut batch = FrameBatch::default();
    while frames.len() < MAX_FRAMES && source.next_batch(&mut batch).unwrap_or(false) {
        let room = MAX_FRAMES - frames.len();
        frames.extend(batch.frames.iter().take(room).map(|frame| Frame {
            link: frame.link,
            time: frame.time,
            octets: batch.captured(frame).to_vec(),
            wire_octets: frame.wire_octets,
        }));
    }
    frames
}

/// The frames as a file, with errors.
fn file(frames: &[Frame], mut bend: impl FnMut(&mut [u8])) -> Vec<u8> {
    let mut writer = PcapngWriter::new(Vec::new(), frames[0].link).unwrap();
    for frame in frames {
        let mut octets = frame.octets.clone();
        bend(&mut octets);
        let (time, wire) = (frame.time, frame.wire_octets);
        // What has no number in the registry cannot be written.
        let _ = writer.frame_on(frame.link, time, &octets, wire, None);
    }
    writer.finish().unwrap()
}

/// Time that this thread has had a processor: what else runs on the machine does not count.
fn worked() -> Option<Duration> {
    let told = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let nanoseconds = told.split(' ').next()?.parse().ok()?;
    Some(Duration::from_nanos(nanoseconds))
}

/// Most memory that the process has held.
fn held() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    line.split_whitespace()
        .nth(1)?
        .parse::<u64>()
        .ok()
        .map(|kilo| kilo << 10)
}

/// How much is done with a file.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Work {
    Report,
    /// With graphs, in every format, with evidence and segments.
    All,
    /// The same, redacted.
    Redacted,
}

/// What the program does with one file. What cannot be read gives a reason of one line.
fn run(path: &str, work: Work) -> Result<(), String> {
    let redact = work == Work::Redacted;
    let settings = Settings {
        captures: vec![path.to_owned()],
        jobs: Some(1),
        max_memory: Some(64 << 20),
        redact,
        plots: work != Work::Report,
        ..Settings::default()
    };
    let refused = |error: Error| {
        assert!(matches!(error, Error::Capture(_)), "{error}");
        let text = report::escape::line(&error.to_string());
        assert!(!text.is_empty() && !text.contains('\n'), "{text}");
        text
    };
    let mut report = pipeline::analyze(&settings).map_err(refused)?;
    if work == Work::Report {
        return Ok(());
    }
    let paths = [path.to_owned()];
    let mut redaction = redact.then(|| report::redact(&mut report));
    for format in FORMATS {
        format
            .write(&report, Look::default(), &mut io::sink())
            .unwrap();
    }
    let keeping = Keeping {
        paths: &paths,
        payload: !redact,
        redaction: redaction.as_mut(),
    };
    evidence::write(&report, keeping, &mut io::sink()).unwrap();
    let mut last = 0;
    pipeline::segments(&settings, &mut |row| {
        assert!(row.frame.number() >= last);
        last = row.frame.number();
        Ok(())
    })
    .map_err(refused)?;
    assert!(last <= report.totals.frames);
    Ok(())
}

/// Runs one file, and gives how long that took; or what is wrong: a panic, a refusal of what can be read, a run far longer than that of
/// the sound file.
fn check(
    path: &Path,
    octets: &[u8],
    work: Work,
    sound: Option<Duration>,
) -> Result<Duration, String> {
    fs::write(path, octets).unwrap();
    let (before, clock) = (worked(), Instant::now());
    let done = catch_unwind(AssertUnwindSafe(|| run(path.to_str().unwrap(), work)));
    let took = match (before, worked()) {
        (Some(before), Some(after)) => after.saturating_sub(before),
        _ => clock.elapsed(),
    };
    match done {
        Err(_) => return Err("panics".to_owned()),
        Ok(Err(refused)) => return Err(format!("is refused: {refused}")),
        Ok(Ok(())) => {}
    }
    match sound {
        Some(sound) if took > (sound * MAX_SLOWER).max(FLOOR) => {
            Err(format!("takes {took:?}, without errors {sound:?}"))
        }
        _ => Ok(took),
    }
}

#[test]
fn errors_in_frames_do_no_harm() {
    let rounds: Option<usize> = std::env::var("TCPTRIAGE_MUTATIONS")
        .ok()
        .map(|n| n.parse().unwrap());
    let mut files = shared::files(&Path::new(env!("CARGO_MANIFEST_DIR")).join("captures"));
    if let Some(folder) = shared::folder("captures") {
        files.extend(shared::files(&folder));
    }
    let path: PathBuf =
        std::env::temp_dir().join(format!("tcptriage-mutations-{}.pcapng", std::process::id()));
    let (mut captures, mut runs, mut slowest) = (0_usize, 0, (0.0_f64, String::new()));
    let mut wrong = Vec::new();
    for (n, capture) in files.iter().enumerate() {
        if rounds.is_none() && n % SOME != 0 {
            continue;
        }
        let frames = frames(capture);
        if frames.is_empty() {
            continue;
        }
        captures += 1;
        let name = capture.display();
        let sound = check(&path, &file(&frames, |_| {}), Work::All, None);
        let sound = sound.unwrap_or_else(|what| panic!("{name}, sound, {what}"));
        for round in 0..rounds.unwrap_or(1) {
            let rate = RATES[(captures + round) % RATES.len()];
            let seed = (n * 10_007 + round) as u64;
            let mut random = Random(seed);
            let octets = file(&frames, |octets| mutate(&mut random, rate, octets));
            let name = format!("{name} with errors of {rate} by seed {seed}");
            let work = match runs % 4 {
                1 => Work::All,
                3 => Work::Redacted,
                _ => Work::Report,
            };
            runs += 1;
            match check(&path, &octets, work, Some(sound)) {
                Ok(took) => {
                    let ratio = took.as_secs_f64() / sound.as_secs_f64().max(1e-2);
                    if ratio > slowest.0 {
                        slowest = (ratio, format!("{name}: {took:?}, without {sound:?}"));
                    }
                }
                Err(what) => wrong.push(format!("{name} {what}")),
            }
        }
        if rounds.is_some() {
            println!(
                "{runs} runs, {} MB, {name}",
                held().unwrap_or_default() >> 20
            );
        }
    }
    let _ = fs::remove_file(&path);
    let held = held();
    println!(
        "{runs} runs over {captures} captures; {} MB held at most; slowest beside the sound one: {:.1} times, {}",
        held.unwrap_or_default() >> 20,
        slowest.0,
        slowest.1
    );
    assert!(captures > 0);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    if let Some(held) = held {
        assert!(held < CEILING, "{held} octets were held");
    }
}

/// Errors in headers of the file as well: the program itself, with its exit codes and its one line on standard error.
#[test]
fn errors_anywhere_in_a_file_end_as_the_contract_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let path: PathBuf =
        std::env::temp_dir().join(format!("tcptriage-errors-{}.pcapng", std::process::id()));
    let mut codes = [0; 3];
    let files = shared::files(&folder);
    let captures = files.iter().filter(|f| f.ends_with("capture.pcapng"));
    for (n, capture) in captures.enumerate() {
        let sound = fs::read(capture).unwrap();
        let mut random = Random(n as u64);
        for (start, rate) in [(0, 0.05), (4, 0.01), (12, 0.001)] {
            let mut octets = sound.get(..30_000).unwrap_or(&sound).to_vec();
            mutate(&mut random, rate, &mut octets[start..]);
            fs::write(&path, &octets).unwrap();
            let done = Command::new(env!("CARGO_BIN_EXE_tcptriage"))
                .args(["analyze", "-q", "--fail-on=info"])
                .arg(&path)
                .stdin(Stdio::null())
                .output()
                .unwrap();
            let said = String::from_utf8(done.stderr).unwrap();
            let name = format!(
                "{} with errors of {rate} from octet {start} on: {said}",
                capture.display()
            );
            let code = done.status.code().unwrap_or_else(|| panic!("{name}"));
            codes[usize::try_from(code).unwrap()] += 1;
            if code == 2 {
                assert!(done.stdout.is_empty(), "{name}");
                assert!(said.starts_with("tcptriage: "), "{name}");
                assert_eq!(said.matches('\n').count(), 1, "{name}");
            } else {
                assert!(said.is_empty(), "{name}");
                assert!(!done.stdout.is_empty(), "{name}");
            }
        }
    }
    fs::remove_file(&path).unwrap();
    assert!(codes[1] > 0 && codes[2] > 0, "{codes:?}");
}
