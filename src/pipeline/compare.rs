//! Compares two captures of the same traffic.
//!
//! Takes:  settings whose captures are left aside, and those of either side
//! Gives:  a [`Report`] with the comparison beside it; each segment's fate, to whoever wants it
//! Never:  holds a frame: the octets of damaged segments are read a second time

use std::collections::HashMap;
use std::path::Path;

use crate::capture::{self, CaptureInfo};
use crate::compare::{self, Compared, Difference, Limits, SegmentFate, View};
use crate::decode::{SegmentBatch, Undecoded};
use crate::detect;
use crate::flow::order::Order;
use crate::net::FrameNo;
use crate::report::build::Parts;
use crate::report::comparison;
use crate::report::model::Report;

use super::know::Knowledge;
use super::memory::{self, of_comparison};
use super::plan::Plan;
use super::read;
use super::{Error, Settings};

/// The remedy that asks for a capture at the other end.
const OTHER_END: &str = "capture-other-end";
/// How steps begin that ask for captures at two points.
const BOTH_ENDS: [&str; 3] = [
    "capture at both ends",
    "capture on both sides",
    "capture the handshake at both ends",
];

/// What was read of both sides.
struct Both {
    views: [View; 2],
    captures: Vec<(CaptureInfo, Vec<Undecoded>)>,
    /// How many of them are the left side's.
    left_captures: usize,
    notes: Vec<String>,
    frames: u64,
}

/// The names of captures of one side, as given.
pub type Captures<'a> = &'a [String];

fn read_both(settings: &Settings, sides: [Captures<'_>; 2]) -> Result<Both, Error> {
    let limits = settings
        .max_memory
        .map_or_else(Limits::default, |most| Limits::within(of_comparison(most)));
    let mut both = Both {
        views: [View::default(), View::default()],
        captures: Vec::new(),
        left_captures: 0,
        notes: Vec::new(),
        frames: 0,
    };
    for (place, captures) in sides.into_iter().enumerate() {
        let found = capture::find(captures, &memory::opening(settings.max_memory, 1))?;
        let ports = [&settings.smtp_ports[..], &settings.smb_ports].concat();
        let mut seen = View::new(limits, ports);
        let mut even = Even::default();
        let before = u32::try_from(both.captures.len()).unwrap_or(u32::MAX);
        let plan = Plan::new(settings, found, before)?;
        let read = read::segments_of(settings, &plan, &mut |batch| {
            even.put(batch);
            seen.push(batch);
        })?;
        for step in even.0.iter().flat_map(|(_, order, _)| &order.steps) {
            both.notes.push(format!(
                "the clock of the {} side was set back by {:.3} s before its frame {}; its later times are taken for so much later",
                if place == 0 { "left" } else { "right" },
                step.back.as_secs_f64(),
                step.frame.number()
            ));
        }
        both.captures.extend(read.captures);
        both.notes.extend(read.notes);
        both.frames += read.frames;
        if place == 0 {
            both.left_captures = both.captures.len();
        }
        if seen.full().is_some() {
            both.notes.push(format!(
                "the {} side was compared up to its {}th segment only, with {} connections: there was no room for more; --max-memory gives more, \
                 --filter needs less",
                if place == 0 { "left" } else { "right" },
                seen.segments(),
                seen.connections()
            ));
        }
        if let Some(view) = both.views.get_mut(place) {
            *view = seen;
        }
    }
    Ok(both)
}

/// Puts segments in order, and takes back what a capture's clock was set back: else what came behind the step would stand among what
/// came before it.
///
/// By capture: its order, and the nanoseconds by which its clock was set back so far.
#[derive(Default)]
struct Even(Vec<(u32, Order, i64)>);

impl Even {
    fn put(&mut self, batch: &mut SegmentBatch) {
        let Some(capture) = batch.segments.first().map(|s| s.frame.capture()) else {
            return;
        };
        let known = self.0.iter().position(|(of, ..)| *of == capture);
        let at = known.unwrap_or(self.0.len());
        if known.is_none() {
            self.0.push((capture, Order::default(), 0));
        }
        let Some((_, order, back)) = self.0.get_mut(at) else {
            return;
        };
        let known = order.steps.len();
        order.put(batch);
        let mut steps = order.steps.iter().skip(known).peekable();
        if *back == 0 && steps.peek().is_none() {
            return;
        }
        for seg in &mut batch.segments {
            while let Some(step) = steps.next_if(|step| step.frame == seg.frame) {
                let nanos = i64::try_from(step.back.as_nanos()).unwrap_or(i64::MAX);
                *back = back.saturating_add(nanos);
            }
            seg.time = seg.time.plus_nanos(*back);
        }
    }
}

/// Compares both sides, and hands each segment's fate to `sink`.
///
/// # Errors
/// Where a capture cannot be read at all.
pub fn fates(
    settings: &Settings,
    sides: [Captures<'_>; 2],
    sink: &mut dyn FnMut(&SegmentFate),
) -> Result<Compared, Error> {
    let mut both = read_both(settings, sides)?;
    let [left, right] = &mut both.views;
    Ok(compare::compare(left, right, sink))
}

/// Compares both sides, and says what goes wrong between them and what to do.
///
/// # Errors
/// Where a capture or another file cannot be read at all.
pub fn compare(settings: &Settings, sides: [Captures<'_>; 2]) -> Result<Report, Error> {
    let mut knowledge = Knowledge::gather(settings)?;
    let Both {
        mut views,
        captures,
        left_captures,
        mut notes,
        frames,
    } = read_both(settings, sides)?;
    let [left, right] = &mut views;
    let segments = (left.segments() + right.segments()) as u64;
    let mut compared = compare::compare(left, right, &mut |_| {});
    drop(views);
    let changed = compared.changed();
    if !changed.is_empty() {
        match differences(settings, sides, &changed)? {
            Some(differences) => compared.settle(&differences),
            None => notes.push(
                "which octets were damaged cannot be told, as a capture came through a pipe and can be read but once"
                    .to_owned(),
            ),
        }
    }
    let mut findings = detect::rank(compare::findings(&compared));
    let last = captures.iter().filter_map(|(info, _)| info.last).max();
    notes.extend(knowledge.complete(&mut findings, &[], last));
    let names: Vec<_> = captures
        .iter()
        .flat_map(|(info, _)| info.names.clone())
        .collect();
    let (mut remedies, doubts) = knowledge.advise(&findings, Vec::new(), names.clone(), last);
    // The capture that these ask for is here.
    remedies.retain(|r| r.id != OTHER_END);
    for remedy in &mut remedies {
        remedy
            .confirm
            .retain(|step| !BOTH_ENDS.iter().any(|ask| step.command.starts_with(ask)));
    }
    notes.extend(doubts);
    Ok(comparison::report(
        &compared,
        left_captures,
        Parts {
            captures,
            tcp_segments: segments,
            findings,
            remedies,
            names,
            notes,
            wanted: settings.some_only().then_some(frames),
            ..Parts::default()
        },
    ))
}

/// Reads the captures once more for the payload of some frames; `None` where that cannot be done.
fn differences(
    settings: &Settings,
    sides: [Captures<'_>; 2],
    changed: &[[FrameNo; 2]],
) -> Result<Option<HashMap<[FrameNo; 2], Difference>>, Error> {
    let twice = |name: &String| {
        name != "-"
            && (Path::new(name).is_file() || !Path::new(name).exists() || Path::new(name).is_dir())
    };
    if !sides.iter().all(|side| side.iter().all(twice)) {
        return Ok(None);
    }
    let mut payloads: HashMap<FrameNo, Vec<u8>> = changed
        .iter()
        .flatten()
        .map(|frame| (*frame, Vec::new()))
        .collect();
    let quiet = Settings {
        progress: None,
        ..settings.clone()
    };
    let mut before = 0;
    for captures in sides {
        let found = capture::find(captures, &memory::opening(settings.max_memory, 1))?;
        let plan = Plan::new(&quiet, found, before)?;
        let read = read::segments_of(&quiet, &plan, &mut |batch| {
            for seg in &batch.segments {
                if let Some(payload) = payloads.get_mut(&seg.frame) {
                    *payload = batch.payload(seg).to_vec();
                }
            }
        })?;
        before += u32::try_from(read.captures.len()).unwrap_or(u32::MAX);
    }
    Ok(Some(
        changed
            .iter()
            .filter_map(|frames| {
                let [left, right] = frames;
                let (left, right) = (payloads.get(left)?, payloads.get(right)?);
                // Either side may be the one where it came.
                let difference = compare::difference(left, right)
                    .filter(|d| d.masked)
                    .or_else(|| compare::difference(right, left))?;
                Some((*frames, difference))
            })
            .collect(),
    ))
}
