//! Compares two captures of the same traffic.
//!
//! Takes:  settings whose captures are left aside, and those of either side
//! Gives:  a [`Comparison`]; each segment's fate, to whoever wants it
//! Never:  holds a frame: the octets of damaged segments are read a second time

use crate::capture::{self, CaptureInfo, OpenOptions};
use crate::compare::{self, Compared, Limits, SegmentFate, View};
use crate::decode::Undecoded;
use crate::flow::order::Order;

use super::read;
use super::{Error, Settings};

/// What was read of both sides.
struct Both {
    views: [View; 2],
    captures: Vec<(CaptureInfo, Vec<Undecoded>)>,
    notes: Vec<String>,
}

fn read_both(settings: &Settings, sides: [&[String]; 2]) -> Result<Both, Error> {
    let limits = settings
        .max_memory
        .map_or_else(Limits::default, Limits::within);
    let mut both = Both {
        views: [View::default(), View::default()],
        captures: Vec::new(),
        notes: Vec::new(),
    };
    for (captures, view) in sides.into_iter().zip(&mut both.views) {
        let found = capture::find(captures, &OpenOptions::default())?;
        let mut seen = View::new(limits);
        let mut order = Order::default();
        let read = read::segments_of(settings, found, both.captures.len(), &mut |batch| {
            order.put(batch);
            seen.push(batch);
        })?;
        both.captures.extend(read.captures);
        both.notes.extend(read.notes);
        *view = seen;
    }
    Ok(both)
}

/// Compares both sides, and hands each segment's fate to `sink`.
///
/// # Errors
/// Where a capture cannot be read at all.
pub fn fates(
    settings: &Settings,
    sides: [&[String]; 2],
    sink: &mut dyn FnMut(&SegmentFate),
) -> Result<Compared, Error> {
    let mut both = read_both(settings, sides)?;
    let [left, right] = &mut both.views;
    Ok(compare::compare(left, right, sink))
}
