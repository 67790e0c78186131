//! A run that goes on: frames come in as they are captured, and what is wrong is known at any time.
//!
//! Takes:  batches of frames; the time, by argument
//! Gives:  [`Snapshot`]s: the flows under way, findings as they begin and end; at the end the same [`Report`] as reading the files gives
//! Never:  reads a clock; waits; grows with the run beyond its named limits
//!
//! What is wrong *now* is told by detectors that see the flows under way and those that ended in the last minutes. What was wrong in the
//! whole run is told by detectors that see each flow once, when it has ended, as with files.

use std::time::Duration;

use serde::Serialize;

use super::chapters::{self, Key, key};
use super::know::Knowledge;
use super::memory::Shares;
use super::merge::Aside;
use super::read::Read;
use super::track::{Followed, Tracker};
use super::window::Window;
use super::{Error, Settings, conclude, lossy};
use crate::capture::{CaptureInfo, FrameBatch};
use crate::decode::{Decoder, Undecoded};
use crate::detect::{Finding, Severity};
use crate::flow::{FlowRecord, Limits};
use crate::net::Timestamp;
use crate::proto::DialogRecord;
use crate::report::build::{self, Parts};
use crate::report::model::{self, Epoch, Flow, Report};

pub use super::window::{Counted, MAX_COUNTED, OTHERS, Sums};

/// Flows that the report of a live run lists; the rest is summed up. Detectors judge as many at a time.
pub const MAX_LISTED: usize = chapters::FLOWS as usize;

/// Flows at one time.
const MAX_FLOWS: usize = 200_000;

/// Octets that flows under way may hold, where the settings say nothing else.
const MAX_OCTETS: usize = 512 << 20;

/// The record of a closed flow is made after such a silence: longer than what is lost at the end of a connection takes to be sent again,
/// four times or so (RFC 6298). What comes later still belongs to no other flow.
const SETTLE: Duration = Duration::from_secs(10);

/// Flows under way that are looked at in one snapshot: those heard of last.
const MAX_LOOKED_AT: usize = 2_000;

/// A connection that is being opened is no trouble before this.
const PATIENCE: Duration = Duration::from_secs(3);

/// A finding is over when nothing more of it was seen for so long.
const QUIET: Duration = Duration::from_secs(30);

/// Less certain findings are not spoken of while the run goes on.
const LEAST_CONFIDENCE: f64 = 0.3;

/// From this confidence on a finding is at least likely, and may stop a run or start a command.
pub const LIKELY: f64 = 0.6;

/// Findings that are on at one time; more are not told apart from none.
const MAX_ALERTS: usize = 1_000;

/// Seconds of history of a flow.
pub const HISTORY: usize = 60;

/// A finding while the run goes on.
#[derive(Clone, Debug, Serialize)]
pub struct Alert {
    /// Counts the findings of the run, from 1: beginning and end have the same.
    pub number: u64,
    /// When it was told first.
    pub began: Epoch,
    /// The finding as it stands.
    pub finding: model::Finding,
    #[serde(skip)]
    severity: Severity,
    #[serde(skip)]
    key: Key,
    #[serde(skip)]
    last: Timestamp,
    #[serde(skip)]
    told: bool,
}

impl Alert {
    /// How bad.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        self.severity
    }

    /// Whether it is bad and sure enough to act upon.
    #[must_use]
    pub fn calls_for(&self, least: Severity) -> bool {
        self.severity >= least && self.finding.confidence >= LIKELY
    }
}

/// A flow under way.
#[derive(Clone, Debug, Default)]
pub struct FlowNow {
    /// Its number.
    pub index: u64,
    /// `ip:port`.
    pub client: String,
    /// `ip:port`.
    pub server: String,
    /// `smtp`, `smb`, …
    pub application: String,
    /// Since its first segment, in seconds.
    pub age: f64,
    /// Since its last segment, in seconds.
    pub silent: f64,
    /// How it stands: `open`, `fin`, `unanswered`, …
    pub state: &'static str,
    /// Payload by direction, client to server first.
    pub octets: [u64; 2],
    /// Data segments both ways.
    pub segments: u64,
    /// Those of them that were sent again.
    pub retransmitted: u64,
    /// Median round trip of the side with more data, in seconds.
    pub rtt: Option<f64>,
    /// Payload of each of the last seconds both ways, the present one last.
    pub rate: Vec<u64>,
    /// Repeated payload of each of these seconds.
    pub repeats: Vec<u64>,
    /// The phase in which an SMTP dialog stands, and since when in seconds.
    pub phase: Option<(&'static str, f64)>,
    /// What was said last in its dialog (hostile).
    pub said: Option<String>,
    /// The worst that is wrong with it.
    pub worst: Option<Severity>,
    /// Numbers of the alerts that name it.
    pub alerts: Vec<u64>,
}

/// How a run stands.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// When.
    pub time: Timestamp,
    /// Frames taken.
    pub frames: u64,
    /// Their captured octets.
    pub octets: u64,
    /// TCP segments among them.
    pub segments: u64,
    /// Flows under way.
    pub under_way: usize,
    /// The flows under way, worst first; the limit is that of one look.
    pub flows: Vec<FlowNow>,
    /// What is wrong now, worst first.
    pub alerts: Vec<Alert>,
    /// What began since the last snapshot.
    pub begun: Vec<Alert>,
    /// What ended since the last snapshot.
    pub ended: Vec<Alert>,
    /// Sums over all flows of the run.
    pub counted: Counted,
}

/// See the head of this file.
pub struct Run {
    settings: Settings,
    knowledge: Knowledge,
    decoder: Decoder,
    followed: Followed,
    tracker: Tracker,
    capture: u32,
    undecoded: Vec<Vec<Undecoded>>,
    frames: u64,
    octets: u64,
    alerts: Vec<Alert>,
    numbered: u64,
    speak_from: Severity,
}

impl Run {
    /// Begins a run. Findings below `speak_from` are left to the report; `keep_ended`: [`ended`](Self::ended) will be called.
    ///
    /// # Errors
    /// Where a file that the settings name cannot be read.
    pub fn new(settings: &Settings, speak_from: Severity, keep_ended: bool) -> Result<Self, Error> {
        let shares = Shares::of_live(settings);
        let limits = Limits {
            flows: MAX_FLOWS,
            octets: settings.max_memory.map_or(MAX_OCTETS, |_| shares.under_way),
            settle: Some(SETTLE),
            ..Limits::default()
        };
        Ok(Self {
            knowledge: Knowledge::gather(settings)?,
            decoder: Decoder::new(0),
            followed: Followed::default(),
            tracker: Tracker::watched(
                settings,
                &shares,
                limits,
                MAX_LISTED,
                Window::new(keep_ended, shares),
            ),
            settings: settings.clone(),
            capture: 0,
            undecoded: Vec::new(),
            frames: 0,
            octets: 0,
            alerts: Vec::new(),
            numbered: 0,
            speak_from,
        })
    }

    /// Takes the next frames, which belong to the capture of this index.
    pub fn push(&mut self, frames: &mut FrameBatch, capture: u32) {
        while self.capture < capture {
            self.capture += 1;
            self.undecoded.push(self.decoder.next_file(self.capture));
        }
        self.frames += frames.frames.len() as u64;
        self.octets += frames
            .frames
            .iter()
            .map(|f| f.range.len() as u64)
            .sum::<u64>();
        self.followed.frames = frames.frames.len() as u64;
        self.decoder.push(frames, &mut self.followed.batch);
        let mut known = self.tracker.encapsulations();
        while let Some(name) = self.decoder.encapsulation_name(known + 1) {
            self.followed.encapsulations.push(name);
            known += 1;
        }
        self.tracker.push(&mut self.followed);
    }

    /// The flows that have ended since the last call, as the report shows them.
    pub fn ended(&mut self) -> Vec<Flow> {
        self.tracker.window().map(Window::fetch).unwrap_or_default()
    }

    /// How the run stands. `dropped`: frames that the capturing system dropped so far.
    pub fn tick(&mut self, now: Timestamp, dropped: u64) -> Snapshot {
        let under_way = self.tracker.so_far(now, MAX_LOOKED_AT, PATIENCE);
        self.look(now, dropped, &under_way, false)
    }

    /// The report of a part of the run: of the flows that ended since the last call, and those under way. The first call begins the first
    /// part, and gives nothing.
    pub fn interim(&mut self, now: Timestamp, interfaces: &str, dropped: u64) -> Option<Report> {
        let window = self.tracker.window()?;
        let mut period = window.next_period(&self.settings.pools)?;
        for (flow, dialog) in self.tracker.so_far(now, MAX_LOOKED_AT, PATIENCE) {
            period.add(&flow, &dialog, None);
        }
        let (flows, mut findings) = period.finish();
        lossy::weigh_by(&mut findings, dropped, self.frames);
        let (remedies, _) = self
            .knowledge
            .advise(&findings, Vec::new(), Vec::new(), Some(now));
        let info = CaptureInfo {
            path: interfaces.to_owned(),
            format: "live".to_owned(),
            frames: self.frames,
            octets: self.octets,
            last: Some(now),
            dropped_by_capture: Some(dropped),
            ..CaptureInfo::default()
        };
        Some(build::build(Parts {
            captures: vec![(info, Vec::new())],
            flows,
            tcp_segments: self.tracker.segments(),
            findings,
            remedies,
            notes: vec![
                "of the flows under way and those that ended since the report before; frames and octets are those of the whole run"
                    .to_owned(),
            ],
            ..Parts::default()
        }))
    }

    fn look(
        &mut self,
        now: Timestamp,
        dropped: u64,
        under_way: &[(FlowRecord, DialogRecord)],
        last: bool,
    ) -> Snapshot {
        let Some(window) = self.tracker.window() else {
            return Snapshot::default();
        };
        window.move_on(now);
        let mut findings = window.findings(&self.settings.pools, under_way);
        let counted = window.counted(under_way);
        lossy::weigh_by(&mut findings, dropped, self.frames);
        let (begun, ended) = self.compare(findings, now, last);
        let mut flows: Vec<FlowNow> = under_way
            .iter()
            .map(|(flow, dialog)| flow_now(flow, dialog, now, &self.alerts))
            .collect();
        flows.sort_by(|a, b| {
            (b.worst, b.retransmitted)
                .cmp(&(a.worst, a.retransmitted))
                .then(b.rate.last().cmp(&a.rate.last()))
                .then(a.index.cmp(&b.index))
        });
        Snapshot {
            time: now,
            frames: self.frames,
            octets: self.octets,
            segments: self.tracker.segments(),
            under_way: self.tracker.under_way(),
            flows,
            alerts: self.alerts.iter().filter(|a| a.told).cloned().collect(),
            begun,
            ended,
            counted,
        }
    }

    /// Sets the findings of now beside those that are on: what began, and what ended. What is seen for the first time is told when it is
    /// still there at the next look (or at the `last` one): a finding of a moment, made by a half-captured exchange, is none.
    fn compare(
        &mut self,
        findings: Vec<Finding>,
        now: Timestamp,
        last: bool,
    ) -> (Vec<Alert>, Vec<Alert>) {
        let mut begun = Vec::new();
        let mut seen = vec![false; self.alerts.len()];
        for f in findings {
            let current = last || now.since(f.end).is_none_or(|age| age < QUIET);
            if f.severity < self.speak_from || f.confidence < LEAST_CONFIDENCE || !current {
                continue;
            }
            let key = key(&f);
            let found = self.alerts.iter().position(|a| a.key == key);
            let at = match found {
                Some(at) => at,
                None if self.alerts.len() >= MAX_ALERTS => continue,
                None => {
                    self.alerts.push(Alert {
                        number: 0,
                        began: now.into(),
                        finding: build::finding(f.clone()),
                        severity: f.severity,
                        key,
                        last: now,
                        told: false,
                    });
                    seen.push(false);
                    self.alerts.len() - 1
                }
            };
            let first = found.is_none();
            let (Some(alert), Some(seen)) = (self.alerts.get_mut(at), seen.get_mut(at)) else {
                continue;
            };
            if std::mem::replace(seen, true) {
                continue;
            }
            alert.last = now;
            alert.severity = f.severity;
            if alert.told || !first || last {
                let remedies = std::mem::take(&mut alert.finding.remediations);
                alert.finding = build::finding(f.clone());
                alert.finding.remediations = remedies;
                if !std::mem::replace(&mut alert.told, true) {
                    self.numbered += 1;
                    alert.number = self.numbered;
                    alert.began = now.into();
                    alert.finding.remediations = self
                        .knowledge
                        .advise(&[f], Vec::new(), Vec::new(), Some(now))
                        .0
                        .into_iter()
                        .map(|remedy| remedy.id)
                        .collect();
                    begun.push(alert.clone());
                }
            }
        }
        let mut ended = Vec::new();
        let mut seen = seen.into_iter();
        self.alerts.retain(|alert| {
            let on = seen.next().unwrap_or(false);
            if !on && alert.told {
                ended.push(alert.clone());
            }
            on
        });
        self.alerts
            .sort_by(|a, b| b.severity.cmp(&a.severity).then(a.number.cmp(&b.number)));
        (begun, ended)
    }

    /// The run has ended: `captures` are the files that hold its frames, in order, or the interface. Gives the report, and how the run
    /// stood at its end; flows that were under way are among [`Snapshot::flows`] no more.
    pub fn finish(
        mut self,
        captures: Vec<CaptureInfo>,
        now: Timestamp,
        dropped: u64,
    ) -> (Report, Vec<Flow>, Snapshot) {
        self.tracker.end_of_capture();
        let snapshot = self.look(now, dropped, &[], true);
        let flows = self.ended();
        self.undecoded.push(self.decoder.undecoded());
        let mut undecoded = self.undecoded.into_iter();
        let unfetched = self.tracker.window().map_or(0, |w| w.unfetched);
        let read = Read {
            captures: captures
                .into_iter()
                .map(|info| (info, undecoded.next().unwrap_or_default()))
                .collect(),
            notes: unfetched_note(unfetched).into_iter().collect(),
            frames: self.frames,
            aside: Aside::default(),
        };
        let report = conclude(
            &self.settings,
            &mut self.knowledge,
            read,
            self.tracker.finish(),
        );
        (report, flows, snapshot)
    }
}

/// What to tell of flows that ended faster than they were told of.
fn unfetched_note(flows: u64) -> Option<String> {
    (flows > 0).then(|| {
        format!(
            "{flows} flows ended faster than they could be told of while the run went on; they count in the report, and there were no events of them"
        )
    })
}

fn flow_now(flow: &FlowRecord, dialog: &DialogRecord, now: Timestamp, alerts: &[Alert]) -> FlowNow {
    let since = |then: Timestamp| now.since(then).unwrap_or_default().as_secs_f64();
    let [up, down] = &flow.halves;
    let main = if up.octets >= down.octets { up } else { down };
    let second = now.since(flow.start).unwrap_or_default().as_secs();
    let mut rate = vec![0; HISTORY];
    let mut repeats = vec![0; HISTORY];
    for half in &flow.halves {
        for (at, new, again) in half.per_second.iter().rev() {
            // The present second stands last.
            let Some(place) = (u64::from(*at) + HISTORY as u64 - 1).checked_sub(second) else {
                break;
            };
            let place = usize::try_from(place).unwrap_or(usize::MAX);
            if let (Some(rate), Some(repeats)) = (rate.get_mut(place), repeats.get_mut(place)) {
                *rate += new + again;
                *repeats += again;
            }
        }
    }
    let phase = dialog.smtp.as_ref().and_then(|smtp| {
        let from = smtp
            .steps
            .last()
            .map_or(flow.start, |step| step.replied.unwrap_or(step.sent));
        let phase = match smtp.steps.last() {
            Some(step) if step.replied.is_none() => step.phase,
            _ => smtp.last_phase?,
        };
        Some((phase.name(), since(from)))
    });
    let named: Vec<&Alert> = alerts
        .iter()
        .filter(|a| a.told && a.finding.flows.contains(&flow.index))
        .collect();
    FlowNow {
        index: flow.index,
        client: flow.client.to_string(),
        server: flow.server.to_string(),
        application: match dialog.application {
            "" => "unknown".to_owned(),
            application => application.to_owned(),
        },
        age: since(flow.start),
        silent: since(flow.end),
        state: build::end_name(flow.close.how),
        octets: [up.octets, down.octets],
        segments: up.data_segments + down.data_segments,
        retransmitted: up.retransmitted_segments + down.retransmitted_segments,
        rtt: main.rtt.map(|rtt| rtt.median.as_secs_f64()),
        rate,
        repeats,
        phase,
        said: dialog.said.last().map(|said| said.text.clone()),
        worst: named.iter().map(|a| a.severity).max(),
        alerts: named.iter().map(|a| a.number).collect(),
    }
}
