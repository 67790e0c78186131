//! The tables of `docs/accuracy.md`: our verdict on each captured data segment, against what the lab knows of it.
//!
//! The truth was written down by the link that dropped, delayed and copied the frames, and by the kernel that sent them
//! (`../shared/captures/lab/README.md`). Without these captures the test says so and passes. To write the tables anew:
//! `TCPTRIAGE_BLESS=1 cargo test --test accuracy`.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use support::shared;
use tcptriage::pipeline::{Settings, segments};

/// What a captured data segment is; both the truth and we say one of these.
const CLASSES: [&str; 9] = [
    "new",
    "fast",
    "timeout",
    "tail probe",
    "unknown trigger",
    "spurious",
    "reordered",
    "network copy",
    "probe",
];

/// Whether a class is the sender's doing it again.
fn is_repeat(class: &str) -> bool {
    matches!(
        class,
        "fast" | "timeout" | "tail probe" | "unknown trigger" | "spurious"
    )
}

/// Our verdict as a class.
fn class_of(verdict: &str) -> &'static str {
    match verdict {
        "retransmission-fast" => "fast",
        "retransmission-timeout" => "timeout",
        "retransmission-tail-probe" => "tail probe",
        "retransmission-spurious" => "spurious",
        "retransmission" => "unknown trigger",
        "reordered" => "reordered",
        "duplicate" => "network copy",
        "keep-alive" | "window-probe" => "probe",
        _ => "new",
    }
}

/// What is true of one frame of a capture: its flow and direction, and its class.
#[derive(Clone, Copy)]
struct Truth {
    flow: i64,
    class: &'static str,
}

/// The data frames of one direction in the capture taken at its sender's side (`receiver` false) or at its receiver's.
fn truth_of(truth: &Value, direction: i64, receiver: bool) -> BTreeMap<u64, Truth> {
    // Frame number in the capture, order of departure, whether it is a copy, and the rest.
    let mut seen: Vec<(u64, i64, bool, i64, &'static str)> = Vec::new();
    shared::for_each_frame(truth, |row| {
        let flow = row["flow"].as_i64().unwrap();
        if flow < 0 || row["len"].as_i64() == Some(0) || row["dir"].as_i64() != Some(direction) {
            return;
        }
        let class = match (row["rtx"].as_str(), row["spur"].as_i64()) {
            (None, _) => "new",
            (Some("probe"), _) => "probe",
            (_, Some(1 | 2)) => "spurious",
            (Some("fast"), _) => "fast",
            (Some("rto" | "slow-start"), _) => "timeout",
            (Some("tlp"), _) => "tail probe",
            _ => "unknown trigger",
        };
        let departed = row["i"].as_i64().unwrap();
        if receiver {
            let frames = row["cap_rx"].as_array().into_iter().flatten();
            for (n, frame) in frames.filter_map(Value::as_u64).enumerate() {
                seen.push((frame, departed, n > 0, flow, class));
            }
        } else if let Some(frame) = row["cap_tx"].as_u64() {
            seen.push((frame, departed, false, flow, class));
        }
    });
    seen.sort_unstable();
    let mut latest: HashMap<i64, i64> = HashMap::new();
    let mut all: BTreeMap<u64, Truth> = BTreeMap::new();
    for (frame, departed, copy, flow, class) in seen {
        let latest = latest.entry(flow).or_insert(-1);
        let class = match class {
            _ if copy => "network copy",
            "new" if departed < *latest => "reordered",
            class => class,
        };
        *latest = departed.max(*latest);
        // A super-segment stands for several: what is not new in it counts.
        let entry = all.entry(frame).or_insert(Truth { flow, class });
        if entry.class == "new" {
            entry.class = class;
        }
    }
    all
}

/// One side's figures.
#[derive(Default)]
struct Side {
    /// By what is true, then by what we say.
    matrix: BTreeMap<(usize, usize), u64>,
    /// Flow directions with repeats, true or said; those counted exactly; those that have none and were given some.
    directions: u64,
    exact: u64,
    accused: u64,
    /// Repeats in truth, and the sum of the errors of all flow directions.
    repeats: u64,
    off: u64,
    /// Captures in which something is off: name, repeats, said, frames judged otherwise.
    short: Vec<(String, u64, u64, u64)>,
}

impl Side {
    fn take(&mut self, name: &str, truth: &BTreeMap<u64, Truth>, ours: &HashMap<u64, &str>) {
        let mut flows: BTreeMap<i64, (u64, u64)> = BTreeMap::new();
        let mut otherwise = 0;
        for (frame, t) in truth {
            let said = ours.get(frame).map_or("new", |v| class_of(v));
            let place = |class| CLASSES.iter().position(|c| *c == class).unwrap();
            *self
                .matrix
                .entry((place(t.class), place(said)))
                .or_default() += 1;
            otherwise += u64::from(said != t.class);
            let flow = flows.entry(t.flow).or_default();
            flow.0 += u64::from(is_repeat(t.class));
            flow.1 += u64::from(is_repeat(said));
        }
        let (mut is, mut said) = (0, 0);
        for (want, got) in flows.into_values().filter(|f| *f != (0, 0)) {
            self.directions += 1;
            self.exact += u64::from(want == got);
            self.accused += u64::from(want == 0);
            self.off += want.abs_diff(got);
            is += want;
            said += got;
        }
        self.repeats += is;
        if otherwise > 0 {
            self.short.push((name.to_owned(), is, said, otherwise));
        }
    }

    fn tables(&self, title: &str) -> String {
        let mut out = format!("### {title}\n\n| truth \\ verdict |");
        let row = |r: usize| (0..CLASSES.len()).map(move |c| self.matrix.get(&(r, c)).copied());
        for class in CLASSES {
            write!(out, " {class} |").unwrap();
        }
        out.push_str(" right |\n|---|");
        out.push_str(&"--:|".repeat(CLASSES.len() + 1));
        out.push('\n');
        let (mut all, mut all_right) = (0, 0);
        for (r, class) in CLASSES.iter().enumerate() {
            let sum: u64 = row(r).flatten().sum();
            if sum == 0 {
                continue;
            }
            write!(out, "| {class} |").unwrap();
            for (c, n) in row(r).enumerate() {
                match n {
                    None => out.push_str(" |"),
                    Some(n) if c == r => write!(out, " **{n}** |").unwrap(),
                    Some(n) => write!(out, " {n} |").unwrap(),
                }
            }
            let right = self.matrix.get(&(r, r)).copied().unwrap_or(0);
            writeln!(out, " {} |", percent(right, sum)).unwrap();
            if is_repeat(class) {
                all += sum;
                all_right += right;
            }
        }
        writeln!(
            out,
            "\nRepeats given their class: {all_right} of {all} ({}).",
            percent(all_right, all)
        )
        .unwrap();
        writeln!(
            out,
            "Flow directions with repeats, in truth or by our verdict: {}. Counted exactly: {} ({}). Errors summed up: {} of {} \
             repeats ({}). Without repeats and given some: {}.\n",
            self.directions,
            self.exact,
            percent(self.exact, self.directions),
            self.off,
            self.repeats,
            percent(self.off, self.repeats),
            self.accused
        )
        .unwrap();
        if !self.short.is_empty() {
            out.push_str("| where something is off | repeats | by our verdict | frames classed otherwise |\n|---|--:|--:|--:|\n");
            for (name, is, said, otherwise) in &self.short {
                writeln!(out, "| {name} | {is} | {said} | {otherwise} |").unwrap();
            }
            out.push('\n');
        }
        out
    }
}

fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    format!("{:.2} %", part as f64 * 100.0 / whole as f64)
}

fn verdicts(path: &Path) -> HashMap<u64, &'static str> {
    let settings = Settings {
        captures: vec![path.to_str().unwrap().to_owned()],
        ..Settings::default()
    };
    let mut all = HashMap::new();
    segments(&settings, &mut |row| {
        if let Some(judged) = row.judged {
            all.insert(row.frame.number(), judged.verdict);
        }
        Ok(())
    })
    .unwrap();
    all
}

fn tables(scenarios: &[PathBuf]) -> String {
    let (mut sender, mut receiver) = (Side::default(), Side::default());
    for folder in scenarios {
        let truth = shared::truth(folder);
        let name = folder.file_name().unwrap().to_str().unwrap();
        for (direction, file, other) in [
            (0, "client.pcap.gz", "server.pcap.gz"),
            (1, "server.pcap.gz", "client.pcap.gz"),
        ] {
            let way = ["client to server", "server to client"][usize::from(direction == 1)];
            let name = format!("{name}, {way}");
            for (path, side, at_receiver) in [
                (folder.join(file), &mut sender, false),
                (folder.join(other), &mut receiver, true),
            ] {
                let known = truth_of(&truth, direction, at_receiver);
                if path.is_file() && !known.is_empty() {
                    side.take(&name, &known, &verdicts(&path));
                }
            }
        }
    }
    format!(
        "{} scenarios, both captures of each.\n\n{}{}",
        scenarios.len(),
        sender.tables("Captured at the sender"),
        receiver.tables("Captured at the receiver")
    )
}

#[test]
fn the_sheet_is_what_the_lab_gives() {
    const BEGIN: &str = "<!-- from here on written by tests/accuracy.rs -->\n";
    const END: &str = "<!-- up to here written by tests/accuracy.rs -->\n";
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if shared::folder("captures/lab").is_none() {
        return;
    }
    let path = root.join("docs/accuracy.md");
    let sheet = fs::read_to_string(&path).unwrap();
    let (head, rest) = sheet.split_once(BEGIN).unwrap();
    let (old, tail) = rest.split_once(END).unwrap();
    let new = format!("\n{}", tables(&shared::scenarios()));
    if std::env::var_os("TCPTRIAGE_BLESS").is_some() {
        fs::write(&path, format!("{head}{BEGIN}{new}{END}{tail}")).unwrap();
        return;
    }
    let differs: Vec<_> = new.lines().filter(|l| !old.contains(l)).collect();
    assert!(
        new == old,
        "docs/accuracy.md is not what the lab gives now. If the change is for the better, write it anew: \
         TCPTRIAGE_BLESS=1 cargo test --test accuracy\n{}",
        differs.join("\n")
    );
}
