//! Joins the stages; the only place that does.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::capture::{self, CaptureError, CaptureInfo, FrameBatch, OpenOptions, Source};
use crate::decode::{Decoder, SegmentBatch, Undecoded};
use crate::detect::{self, Detector, Finding, Seen};
use crate::flow::{ChunkData, FlowTable, Limits, Observed, order};
use crate::net::Timestamp;
use crate::proto::{self, Dialog, DialogRecord, Interest, Piece, Ports};
use crate::report::build::{self, FlowList, Parts};
use crate::report::model::Report;

/// TCP ports on which SMTP is expected, before the octets are looked at.
pub const SMTP_PORTS: [u16; 4] = [25, 465, 587, 2525];

/// TCP ports on which SMB is expected, before the octets are looked at.
pub const SMB_PORTS: [u16; 2] = [445, 139];

/// What a run is to do: made once from the command line, and all that the library knows of it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Captures to read: files, folders, patterns, `-` for standard input; found by [`capture`](crate::capture).
    pub captures: Vec<String>,
    /// Ports of SMTP.
    pub smtp_ports: Vec<u16>,
    /// Ports of SMB.
    pub smb_ports: Vec<u16>,
    /// Capture filter in the language of libpcap; frames that do not match are left out.
    pub filter: Option<String>,
    /// Frames before this moment are left out.
    pub from: Option<Timestamp>,
    /// Frames from this moment on are left out.
    pub to: Option<Timestamp>,
    /// Files worked on at once; `None`: as many as the machine has processors.
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
    /// Told from time to time how far the reading is.
    pub progress: Option<ProgressFn>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            captures: Vec::new(),
            smtp_ports: SMTP_PORTS.to_vec(),
            smb_ports: SMB_PORTS.to_vec(),
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
            progress: None,
        }
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
    /// Something else that the user asked for could not be done.
    #[error("{0}")]
    Refused(String),
}

/// Reads the captures and says what is wrong in them.
///
/// # Errors
/// Where a capture cannot be read at all, or something else that the settings ask for cannot be had. A capture that breaks off is
/// no error.
pub fn analyze(settings: &Settings) -> Result<Report, Error> {
    let mut tracker = Tracker::new(settings);
    let mut captures = Vec::new();
    let paths = &settings.captures;
    for (index, path) in paths.iter().enumerate() {
        let source = capture::open(path, &OpenOptions::default())?;
        let read = Reading {
            settings,
            path,
            index,
            of: paths.len(),
        };
        captures.push(read.run(source, &mut tracker)?);
    }
    Ok(tracker.report(captures))
}

/// Batches on their way between the two threads.
const IN_FLIGHT: usize = 4;

/// One capture being read.
struct Reading<'a> {
    settings: &'a Settings,
    path: &'a str,
    index: usize,
    of: usize,
}

impl Reading<'_> {
    /// Reads and decodes in one thread, follows flows in the other (or both in one, with one job).
    fn run(
        &self,
        mut source: Box<dyn Source>,
        tracker: &mut Tracker,
    ) -> Result<(CaptureInfo, Vec<Undecoded>), Error> {
        let mut decoder = Decoder::new(u32::try_from(self.index).unwrap_or(u32::MAX));
        if self.settings.jobs == Some(1) {
            let (mut frames, mut batch) = (FrameBatch::default(), SegmentBatch::default());
            while self.decode(source.as_mut(), &mut decoder, &mut frames, &mut batch)? {
                tracker.push(&mut batch);
            }
        } else {
            let (full_in, full_out) = crossbeam_channel::bounded::<SegmentBatch>(IN_FLIGHT);
            let (empty_in, empty_out) = crossbeam_channel::bounded::<SegmentBatch>(IN_FLIGHT + 2);
            let (source, decoder) = (source.as_mut(), &mut decoder);
            std::thread::scope(|scope| {
                let reader = scope.spawn(move || -> Result<(), Error> {
                    let mut frames = FrameBatch::default();
                    loop {
                        let mut batch = empty_out.try_recv().unwrap_or_default();
                        if !self.decode(source, decoder, &mut frames, &mut batch)?
                            || full_in.send(batch).is_err()
                        {
                            return Ok(());
                        }
                    }
                });
                for mut batch in full_out {
                    tracker.push(&mut batch);
                    // Nobody may be waiting for it any more; then it is dropped.
                    let _ = empty_in.try_send(batch);
                }
                reader
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })?;
        }
        let info = source.info();
        Ok((info, decoder.undecoded()))
    }

    fn decode(
        &self,
        source: &mut dyn Source,
        decoder: &mut Decoder,
        frames: &mut FrameBatch,
        batch: &mut SegmentBatch,
    ) -> Result<bool, Error> {
        if !source.next_batch(frames)? {
            return Ok(false);
        }
        if let Some(ProgressFn(tell)) = &self.settings.progress {
            let (octets, octets_in_all) = source.progress();
            let frames = frames.frames.last().map_or(0, |f| f.number.0);
            tell(&Progress {
                path: self.path,
                index: self.index,
                of: self.of,
                octets,
                octets_in_all,
                frames,
            });
        }
        decoder.push(frames, batch);
        Ok(true)
    }
}

/// Flow, protocol and detect stage: takes segments, keeps what was found.
struct Tracker {
    table: FlowTable,
    ports: Ports,
    show_addresses: bool,
    dialogs: Vec<Option<Box<dyn Dialog>>>,
    observed: Vec<Observed>,
    detectors: Vec<Box<dyn Detector>>,
    findings: Vec<Finding>,
    flows: FlowList,
}

impl Tracker {
    fn new(settings: &Settings) -> Self {
        let mut limits = Limits::default();
        if let Some(most) = settings.max_memory {
            limits.octets = usize::try_from(most).unwrap_or(usize::MAX) / 2;
        }
        Self {
            table: FlowTable::new(limits),
            ports: Ports {
                smtp: settings.smtp_ports.clone(),
                smb: settings.smb_ports.clone(),
            },
            show_addresses: settings.show_addresses,
            dialogs: Vec::new(),
            observed: Vec::new(),
            detectors: detect::all(),
            findings: Vec::new(),
            flows: FlowList::default(),
        }
    }

    fn push(&mut self, batch: &mut SegmentBatch) {
        order::by_time(batch);
        for note in &batch.notes {
            for detector in &mut self.detectors {
                detector.note(note);
            }
        }
        let mut observed = std::mem::take(&mut self.observed);
        self.table.push(batch, &mut observed);
        self.hand_on(batch, &mut observed);
        self.observed = observed;
    }

    /// Hands what the flow stage observed to the protocol and detect stages.
    fn hand_on(&mut self, batch: &SegmentBatch, observed: &mut Vec<Observed>) {
        for seen in observed.drain(..) {
            match seen {
                Observed::Opened {
                    slot,
                    client_port,
                    server_port,
                    connected,
                    ..
                } => {
                    let mut dialog = if self.show_addresses {
                        proto::dialog_showing_addresses(&self.ports, client_port, server_port)
                    } else {
                        proto::dialog(&self.ports, client_port, server_port)
                    };
                    if let Some((frame, time)) = connected {
                        dialog.connected(frame, time);
                    }
                    let slot = slot as usize;
                    if self.dialogs.len() <= slot {
                        self.dialogs.resize_with(slot + 1, || None);
                    }
                    self.dialogs[slot] = Some(dialog);
                }
                Observed::Chunk(chunk) => {
                    let Some(Some(dialog)) = self.dialogs.get_mut(chunk.slot as usize) else {
                        continue;
                    };
                    let octets = match &chunk.data {
                        ChunkData::InBatch(at) => Ok(batch.octets_of(*at)),
                        ChunkData::Kept(kept) => Ok(&kept[..]),
                        ChunkData::Gap(n) => Err(*n),
                    };
                    let piece = Piece {
                        direction: chunk.direction,
                        offset: chunk.offset,
                        frame: chunk.frame,
                        sent: chunk.sent,
                        readable: chunk.readable,
                        octets,
                    };
                    if dialog.piece(piece) == Interest::Nothing {
                        self.table.lose_interest(chunk.slot, chunk.flow);
                    }
                }
                Observed::Acked {
                    slot,
                    direction,
                    upto,
                    time,
                    ..
                } => {
                    if let Some(Some(dialog)) = self.dialogs.get_mut(slot as usize) {
                        dialog.acked(direction, upto, time);
                    }
                }
                Observed::Closed { slot, record } => {
                    let dialog = self.dialogs.get_mut(slot as usize).and_then(Option::take);
                    let dialog =
                        dialog.map_or_else(DialogRecord::default, |d| d.finish(record.end));
                    let seen = Seen {
                        flow: &record,
                        dialog: &dialog,
                    };
                    for detector in &mut self.detectors {
                        detector.flow(seen, &mut self.findings);
                    }
                    self.flows.push(
                        build::flow(&record, &dialog, None),
                        record.halves.iter().any(|h| h.retransmitted_segments > 0),
                    );
                }
            }
        }
    }

    fn report(mut self, captures: Vec<(CaptureInfo, Vec<Undecoded>)>) -> Report {
        let mut observed = std::mem::take(&mut self.observed);
        self.table.finish(&mut observed);
        self.hand_on(&SegmentBatch::default(), &mut observed);
        for detector in &mut self.detectors {
            detector.finish(&mut self.findings);
        }
        let findings = detect::judge(self.findings);
        build::build(Parts {
            captures,
            flows: self.flows,
            tcp_segments: self.table.segments,
            findings,
            ..Parts::default()
        })
    }
}
