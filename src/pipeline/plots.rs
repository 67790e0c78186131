//! Reads captures a second time, for graphs of the flows that turned out to matter.
//!
//! Takes:  a finished report, and the plan by which its captures were read
//! Gives:  [`Plot`]s of at most [`MAX_PLOTS`](crate::report::plot::MAX_PLOTS) flows
//! Never:  keeps what every flow did, on the chance that it matters: which ones do is known at the end alone

use crate::decode::{FlowKey, SegmentBatch};
use crate::flow::{FlowIndex, FlowRecord, Limits, Series, order::Order};
use crate::net::FrameNo;
use crate::proto::DialogRecord;
use crate::report::model::{Flow, Report};
use crate::report::plot::{self, Plot};

use super::plan::{Plan, Planned};
use super::read::Step;
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
pub(super) fn add(settings: &Settings, plan: &Plan, report: &mut Report) -> Result<(), Error> {
    let mut wanted: Vec<Wanted> = plot::choose(report)
        .into_iter()
        .filter_map(|place| report.flows.get(place))
        .map(Wanted::new)
        .collect();
    let indices = |lane: &Planned| lane.files.iter().map(|(index, _)| *index).collect();
    let pipes: Vec<Vec<u32>> = plan
        .lanes
        .iter()
        .filter(|lane| lane.is_pipe())
        .map(indices)
        .collect();
    let before = wanted.len();
    wanted.retain(|w| {
        !pipes
            .iter()
            .flatten()
            .any(|index| *index == w.first.capture())
    });
    if wanted.len() < before {
        report.notes.push(
            "there are no graphs of what came by a pipe: it cannot be read a second time; save it to a file first"
                .to_owned(),
        );
    }
    if !wanted.is_empty() {
        follow(settings, plan, &mut wanted)?;
    }
    report.plots = wanted.into_iter().filter_map(|w| w.plot).collect();
    Ok(())
}

/// Reads the captures as far as one of the wanted flows goes.
fn follow(settings: &Settings, plan: &Plan, wanted: &mut [Wanted]) -> Result<(), Error> {
    let mut follower = Follower::new(settings, Limits::default());
    follower.table.moments = Some(Vec::new());
    let mut order = Order::default();
    let spans: Vec<(u32, u32)> = wanted
        .iter()
        .map(|w| (w.first.capture(), w.last.capture()))
        .collect();
    let needed = move |index| spans.iter().any(|(a, b)| (*a..=*b).contains(&index));
    read::again(settings, plan, &needed, &mut |step, batch| {
        if step == Step::EndOfStretch {
            order.end_of_capture();
            follower.end_of_capture(&mut |life, dialog, _| settle(&life.record(), &dialog, wanted));
            return Ok(wanted.iter().any(|w| w.plot.is_none()));
        }
        if order.put(batch) {
            follower.table.clock_stepped();
        }
        pick(batch, wanted);
        let mut ended = Vec::new();
        follower.push(batch, &mut |life, dialog, _| {
            ended.push((life.record(), dialog))
        });
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
        Ok(wanted.iter().any(|w| !w.over))
    })
}

/// Leaves the segments of wanted flows in the batch.
fn pick(batch: &mut SegmentBatch, wanted: &mut [Wanted]) {
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
fn settle(record: &FlowRecord, dialog: &DialogRecord, wanted: &mut [Wanted]) {
    if let Some(w) = wanted.iter_mut().find(|w| w.flow == Some(record.index)) {
        w.series.settle(record);
        w.plot = Some(Plot::new(w.index, w.series.clone(), dialog));
    }
}
