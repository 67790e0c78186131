//! Joins the stages; the only place that does.
//!
//! [`analyze`] gathers what is known beforehand (`know`), reads captures into segments (`read`), follows them to findings (`track`),
//! and asks the rules for remedies. [`segments()`] lists what was read segment by segment.
//!
//! Files of one rotated set are one capture: flows go on from file to file. Captures that are not of one set keep their flows apart,
//! as two hosts' captures of one connection are two views of it. A frame is named by capture and number
//! ([`FrameNo`](crate::net::FrameNo)) all the way.

mod calls;
mod chapters;
mod compare;
mod each;
mod know;
mod line;
pub mod live;
mod logged;
mod lossy;
mod memory;
mod merge;
mod plan;
mod plots;
mod read;
mod segments;
mod track;
mod verify;
mod window;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use crate::capture::{self, CaptureError};
use crate::net::Timestamp;
use crate::proto::Ports;
use crate::report::build::{self, Parts};
use crate::report::model::{Flow, Report};
use know::Knowledge;
use plan::Plan;
use read::Read;
use track::{Tracked, Tracker};

pub use compare::{Captures, compare, fates};
pub use segments::{Judgement, SegmentRow, Shortfall, segments};
pub use verify::verify;

/// What a run is to do: made once from the command line, and all that the library knows of it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Captures to read: files, folders, patterns, `-` for standard input; found by [`capture`].
    pub captures: Vec<String>,
    /// Ports of SMTP.
    pub smtp_ports: Vec<u16>,
    /// Ports of SMB.
    pub smb_ports: Vec<u16>,
    /// Capture filter in the language of libpcap; frames that do not match are left out.
    pub filter: Option<String>,
    /// Frames before this moment are left out.
    pub from: Option<Timestamp>,
    /// Frames after this moment are left out.
    pub to: Option<Timestamp>,
    /// Threads to work with; `None`: as many as are of use. With 1, all is done in one.
    pub jobs: Option<usize>,
    /// Octets of memory that the run should stay below; `None`: the stages' own limits alone.
    pub max_memory: Option<u64>,
    /// Servers that share one job behind a name or a balancer.
    pub pools: Vec<(String, Vec<IpAddr>)>,
    /// Files of host facts, and the host that they are of where the user said so.
    pub facts: Vec<(Option<String>, PathBuf)>,
    /// Operating systems as the user says: host, then version (`ws2008r2`).
    pub os: Vec<(String, String)>,
    /// Logs of the servers.
    pub logs: Vec<PathBuf>,
    /// Rule files of the user's own.
    pub rules: Vec<PathBuf>,
    /// Show the addresses of mail users, which are left out otherwise.
    pub show_addresses: bool,
    /// Replace addresses and names in the report, the same one always by the same: for [`report::redact`](crate::report::redact),
    /// which whoever prints the report calls at the end.
    pub redact: bool,
    /// Collect what graphs are drawn of; the captures are read a second time for that.
    pub plots: bool,
    /// Told from time to time how far the reading is.
    pub progress: Option<ProgressFn>,
}

impl Default for Settings {
    fn default() -> Self {
        let ports = Ports::default();
        Self {
            captures: Vec::new(),
            smtp_ports: ports.smtp,
            smb_ports: ports.smb,
            filter: None,
            from: None,
            to: None,
            jobs: None,
            max_memory: None,
            pools: Vec::new(),
            facts: Vec::new(),
            os: Vec::new(),
            logs: Vec::new(),
            rules: Vec::new(),
            show_addresses: false,
            redact: false,
            plots: false,
            progress: None,
        }
    }
}

impl Settings {
    /// How many threads there are to be at most; few where [`Settings::max_memory`] is scarce, as each has batches on their way.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.jobs
            .or_else(|| std::thread::available_parallelism().ok().map(Into::into))
            .unwrap_or(1)
            .clamp(1, memory::threads(self.max_memory))
    }

    /// Whether the user wants some of the frames only.
    fn some_only(&self) -> bool {
        self.filter.is_some() || self.from.is_some() || self.to.is_some()
    }
}

/// How far the reading of one capture is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The capture.
    pub path: &'a str,
    /// Its place among all captures, from 0.
    pub index: usize,
    /// How many captures there are.
    pub of: usize,
    /// Octets of the file read so far.
    pub octets: u64,
    /// Octets of the file; `None` for a pipe.
    pub octets_in_all: Option<u64>,
    /// Frames read so far.
    pub frames: u64,
}

/// Who is told of [`Progress`]. Called at most once a batch, from any thread.
#[derive(Clone)]
pub struct ProgressFn(pub Arc<dyn Fn(&Progress<'_>) + Send + Sync>);

impl fmt::Debug for ProgressFn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProgressFn")
    }
}

/// Why a run could not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No capture could be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// Whoever takes the results refused them.
    #[error("cannot write: {0}")]
    Output(#[from] std::io::Error),
    /// Something else that the user asked for could not be done.
    #[error("{0}")]
    Refused(String),
}

/// Reads the captures and says what is wrong in them, and what to do.
///
/// # Errors
/// Where a capture or another file cannot be read at all, or something else that the settings ask for cannot be had. A capture that
/// breaks off is no error.
pub fn analyze(settings: &Settings) -> Result<Report, Error> {
    let mut knowledge = Knowledge::gather(settings)?;
    let opening = memory::opening(settings.max_memory, 1);
    let found = capture::find(&settings.captures, &opening)?;
    let plan = Plan::new(settings, found, 0)?;
    let mut tracker = Tracker::new(settings);
    let read = read::all(settings, &plan, &mut tracker)?;
    let tracked = tracker.finish();

    let mut report = conclude(settings, &mut knowledge, read, tracked);
    if settings.plots {
        plots::add(settings, &plan, &mut report)?;
    }
    Ok(report)
}

/// Asks the rules, and puts the report together.
fn conclude(
    settings: &Settings,
    knowledge: &mut Knowledge,
    read: Read,
    tracked: Tracked,
) -> Report {
    let wanted = settings.some_only().then_some(read.frames);
    let mut notes = read.notes;
    notes.extend(tracked.notes);
    notes.extend(memory::too_little(settings.max_memory));
    let last = read.captures.iter().filter_map(|(info, _)| info.last).max();
    let mut names = tracked.names;
    names.extend(
        read.captures
            .iter()
            .flat_map(|(info, _)| info.names.clone()),
    );
    let mut findings = tracked.findings;
    lossy::weigh(&mut findings, &read.captures);
    notes.extend(knowledge.complete(&mut findings, &tracked.spans, last));
    let (remedies, doubts) = knowledge.advise(&findings, tracked.inferred, names.clone(), last);
    notes.extend(doubts);
    let mut report = build::build(Parts {
        captures: read.captures,
        flows: tracked.flows,
        tcp_segments: tracked.segments + read.aside.segments(),
        seen_twice: read.aside.by_capture,
        findings,
        remedies,
        names,
        notes,
        wanted,
    });
    let twice = seen_twice(&report);
    report.notes.extend(twice);
    report.notes.extend(calls::failed(&report.flows));
    let strangers = strangers(settings, &report);
    report.notes.extend(strangers);
    report
}

/// What to tell of addresses that the user says something of, and that the captures do not show. Of names the rules stage tells.
fn strangers(settings: &Settings, report: &Report) -> Vec<String> {
    // Of flows that are not listed, the hosts are not known here.
    if (settings.os.is_empty() && settings.facts.is_empty()) || report.totals.flows_omitted > 0 {
        return Vec::new();
    }
    let ends = report.flows.iter().flat_map(|f| [&f.client, &f.server]);
    let shown: HashSet<IpAddr> = ends
        .filter_map(|end| end.parse::<SocketAddr>().ok())
        .map(|end| end.ip())
        .collect();
    let said = settings.os.iter().map(|(host, _)| ("--os", host));
    let facts = settings.facts.iter().filter_map(|(host, _)| host.as_ref());
    said.chain(facts.map(|host| ("--facts", host)))
        .filter(|(_, host)| {
            let address = host.parse::<IpAddr>();
            address.is_ok_and(|address| !shown.contains(&address))
        })
        .map(|(option, host)| {
            format!("no host {host} is seen in the captures, so {option} {host}=… changes nothing")
        })
        .collect()
}

/// What to tell where two captures show the same connections at the same time: two points of one path.
fn seen_twice(report: &Report) -> Option<String> {
    if report.captures.len() < 2 {
        return None;
    }
    let mut views: HashMap<(&str, &str), Vec<&Flow>> = HashMap::new();
    let mut pairs: BTreeMap<(u32, u32), u64> = BTreeMap::new();
    let end = |flow: &Flow| flow.start.0.as_seconds() + flow.duration;
    for flow in &report.flows {
        let others = views.entry((&flow.client, &flow.server)).or_default();
        let same = others.iter().find(|other| {
            other.capture != flow.capture
                && other.start.0.as_seconds() <= end(flow)
                && flow.start.0.as_seconds() <= end(other)
        });
        if let Some(other) = same {
            *pairs.entry((other.capture, flow.capture)).or_default() += 1;
        }
        others.push(flow);
    }
    let ((left, right), flows) = pairs.into_iter().max_by_key(|(_, flows)| *flows)?;
    Some(format!(
        "captures {} and {} show {} at the same time, so they were taken at two points of one path: the figures of a finding are those \
         of both together; tcptriage compare tells where segments were lost or changed",
        left + 1,
        right + 1,
        match flows {
            1 => "the same connection".to_owned(),
            n => format!("{n} connections that are the same"),
        }
    ))
}
