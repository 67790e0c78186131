//! Reads captures a second time, for graphs of the flows that turned out to matter.
//!
//! Takes:  a finished report, and the sets of files that it is of
//! Gives:  [`Plot`]s of at most [`MAX_PLOTS`](crate::report::plot::MAX_PLOTS) flows
//! Never:  keeps what every flow did, on the chance that it matters: which ones do is known at the end alone

use std::path::Path;

use crate::capture::CaptureSet;
use crate::decode::{Decoder, FlowKey, SegmentBatch};
use crate::flow::{FlowIndex, FlowRecord, Limits, Series, order::Order};
use crate::net::FrameNo;
use crate::proto::DialogRecord;
use crate::report::model::{Flow, Report};
use crate::report::plot::{self, Plot};

use super::track::Follower;
use super::{Error, Settings, read};

/// A flow that is wanted: it begins with one frame and ends with another.
struct Wanted {
    index: u64,
    first: FrameNo,
    last: FrameNo,
    series: Series,
    /// Once its first frame was met.
    key: Option<FlowKey>,
    /// Its number in the second reading.
    flow: Option<FlowIndex>,
    over: bool,
    plot: Option<Plot>,
}

impl Wanted {
    fn new(flow: &Flow) -> Self {
        #[allow(clippy::cast_possible_truncation)] // saturating is what is wanted
        let length = (flow.duration * 1e9) as i64;
        let start = flow.start.0;
        Self {
            index: flow.index,
            first: FrameNo(flow.first_frame).in_capture(flow.capture),
            last: FrameNo(flow.last_frame).in_capture(flow.last_capture),
            series: Series::new(start, start.plus_nanos(length)),
            key: None,
            flow: None,
            over: false,
            plot: None,
        }
    }
}

/// Draws the flows that matter. What cannot be read again is told in the notes of the report.
///
/// # Errors
/// Where a file that could be read before cannot be read any more.
pub(super) fn add(
    settings: &Settings,
    sets: &[CaptureSet],
    report: &mut Report,
) -> Result<(), Error> {
    let mut wanted: Vec<Wanted> = plot::choose(report)
        .into_iter()
        .filter_map(|place| report.flows.get(place))
        .map(Wanted::new)
        .collect();
    let mut index = 0;
    for set in sets {
        let first = index;
        index += u32::try_from(set.files.len()).unwrap_or(u32::MAX);
        let mut of_set: Vec<&mut Wanted> = wanted
            .iter_mut()
            .filter(|w| (first..index).contains(&w.first.capture()))
            .collect();
        if of_set.is_empty() {
            continue;
        }
        if set.files.iter().any(|f| !Path::new(&f.path).is_file()) {
            report.notes.push(
                "there are no graphs of what came by a pipe: it cannot be read a second time; save it to a file first"
                    .to_owned(),
            );
            continue;
        }
        one_set(settings, set, first, &mut of_set)?;
    }
    report.plots = wanted.into_iter().filter_map(|w| w.plot).collect();
    Ok(())
}

/// Reads a set as far as one of its wanted flows goes.
fn one_set(
    settings: &Settings,
    set: &CaptureSet,
    first: u32,
    wanted: &mut [&mut Wanted],
) -> Result<(), Error> {
    let mut follower = Follower::new(settings, Limits::default());
    follower.table.moments = Some(Vec::new());
    let (mut decoder, mut order) = (Decoder::new(first), Order::default());
    for (index, file) in (first..).zip(&set.files) {
        if index > first {
            decoder.next_file(index);
        }
        let needed =
            |w: &&mut Wanted| !w.over && (w.first.capture()..=w.last.capture()).contains(&index);
        if !wanted.iter().any(needed) {
            continue;
        }
        read::again(settings, &file.path, index, &mut decoder, &mut |batch| {
            if order.put(batch) {
                follower.table.clock_stepped();
            }
            pick(batch, wanted);
            let mut ended = Vec::new();
            follower.push(batch, &mut |record, dialog| ended.push((record, dialog)));
            for moment in follower.table.moments.iter_mut().flat_map(|m| m.drain(..)) {
                if let Some(w) = wanted.iter_mut().find(|w| {
                    w.flow
                        .map_or(w.first == moment.frame, |flow| flow == moment.flow)
                }) {
                    w.flow = Some(moment.flow);
                    w.series.push(&moment);
                }
            }
            for (record, dialog) in ended {
                settle(&record, &dialog, wanted);
            }
            Ok(wanted.iter().any(needed))
        })?;
    }
    follower.end_of_capture(&mut |record, dialog| settle(&record, &dialog, wanted));
    Ok(())
}

/// Leaves the segments of wanted flows in the batch.
fn pick(batch: &mut SegmentBatch, wanted: &mut [&mut Wanted]) {
    let (mut place, mut kept) = (0, 0);
    let mut overlong = std::mem::take(&mut batch.overlong).into_iter().peekable();
    batch.segments.retain(|seg| {
        let of = wanted
            .iter_mut()
            .find(|w| !w.over && w.key.map_or(w.first == seg.frame, |key| key == seg.key));
        let room = overlong.next_if(|(at, _)| *at == place);
        place += 1;
        let Some(w) = of else {
            return false;
        };
        w.key = Some(seg.key);
        w.over = w.last == seg.frame;
        batch.overlong.extend(room.map(|(_, room)| (kept, room)));
        kept += 1;
        true
    });
}

/// A flow of the second reading has ended.
fn settle(record: &FlowRecord, dialog: &DialogRecord, wanted: &mut [&mut Wanted]) {
    if let Some(w) = wanted.iter_mut().find(|w| w.flow == Some(record.index)) {
        w.series.settle(record);
        w.plot = Some(Plot::new(w.index, w.series.clone(), dialog));
    }
}
