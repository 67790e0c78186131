//! Drawings that need no script: the time–sequence graph of a flow, for paper and for readers who run none, and its dialog.
//!
//! Takes:  a [`Plot`]
//! Gives:  paths in the units of an SVG of [`WIDTH`] by [`HEIGHT`]
//! Never:  text from packets: the template puts that beside, escaped

use std::fmt::Write as _;

use minijinja::{Value, context};

use super::super::model::Flow;
use super::super::plot::{Plot, Step};
use super::super::words::{count, duration, octets};
use super::data::{KINDS, kind, main_way};
use super::line;
use crate::flow::{Point, Way};

const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 300.0;
/// Marks drawn by hand; the graphs with script have all that were kept.
const MARKS: usize = 400;
/// Half the size of a mark.
const MARK: f64 = 4.0;

/// Turns time and offset into places.
struct Frame {
    length: f64,
    low: f64,
    high: f64,
}

#[allow(clippy::cast_precision_loss)] // a drawing needs no more
fn float(number: i64) -> f64 {
    number as f64
}

impl Frame {
    fn x(&self, point: &Point) -> f64 {
        (float(point.at) / self.length * WIDTH).clamp(0.0, WIDTH)
    }

    fn y(&self, offset: i64) -> f64 {
        let share = (float(offset) - self.low) / (self.high - self.low);
        (HEIGHT - share * HEIGHT).clamp(0.0, HEIGHT)
    }
}

/// The time–sequence graph of the direction worth looking at first.
pub(super) fn sequence(plot: &Plot) -> Value {
    let which = main_way(plot);
    let Some(way) = plot.series.ways.get(which) else {
        return Value::UNDEFINED;
    };
    let frame = frame(plot, way);
    let mut segments = String::new();
    for point in &way.segments.points {
        let (x, y) = (frame.x(point), frame.y(point.value));
        let up = y - frame.y(point.value.saturating_add(point.other.unwrap_or(0)));
        let _ = write!(segments, "M{x:.1} {y:.1}v-{:.1}", up.max(0.8));
    }
    let acks = stairs(&frame, way.acks.points.iter().map(|p| (p, p.value)));
    let edge = stairs(
        &frame,
        way.acks.points.iter().filter_map(|p| Some((p, p.other?))),
    );
    let marks: Vec<Value> = KINDS
        .iter()
        .enumerate()
        .filter_map(|(number, (name, about))| {
            let of_kind = || {
                way.marks
                    .points
                    .iter()
                    .filter(|m| kind(m.kind) == Some(number))
            };
            let all = of_kind().count();
            if all == 0 {
                return None;
            }
            let path: String = of_kind()
                .take(MARKS)
                .map(|m| shape(number, frame.x(m), frame.y(m.value)))
                .collect();
            Some(context! { name => *name, about => *about, path, all => count(all as u64) })
        })
        .collect();
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    // of octets that were counted in integers
    let height = (frame.high - frame.low).max(0.0) as u64;
    context! {
        way => if which == 0 { "client to server" } else { "server to client" },
        segments,
        acks,
        edge,
        marks,
        length => duration(frame.length / 1e9),
        height => octets(height),
        thinned => (way.segments.all > way.segments.points.len() as u64)
            .then(|| (count(way.segments.points.len() as u64), count(way.segments.all))),
    }
}

fn frame(plot: &Plot, way: &Way) -> Frame {
    let ends = way
        .segments
        .points
        .iter()
        .flat_map(|p| [p.value, p.value.saturating_add(p.other.unwrap_or(0))]);
    let all = ends.chain(way.acks.points.iter().map(|p| p.value));
    let (low, high) = all.fold((i64::MAX, i64::MIN), |(low, high), v| {
        (low.min(v), high.max(v))
    });
    let (low, high) = if low > high { (0, 1) } else { (low, high) };
    Frame {
        length: float(plot.series.length.max(1)),
        low: float(low),
        high: float(high.max(low.saturating_add(1))) * 1.02,
    }
}

fn stairs<'a>(frame: &Frame, points: impl Iterator<Item = (&'a Point, i64)>) -> String {
    let mut path = String::new();
    let mut before = None;
    for (point, value) in points {
        let (x, y) = (frame.x(point), frame.y(value));
        match before {
            None => {
                let _ = write!(path, "M{x:.1} {y:.1}");
            }
            // Less than can be seen.
            Some((old_x, old_y)) if x - old_x < 0.5_f64 && f64::abs(y - old_y) < 0.5 => continue,
            Some(_) => {
                let _ = write!(path, "H{x:.1}V{y:.1}");
            }
        }
        before = Some((x, y));
    }
    path
}

/// Each family of marks has a shape of its own, so that none is told by colour alone.
fn shape(number: usize, x: f64, y: f64) -> String {
    let m = MARK;
    match number {
        // Sent again: a cross.
        0..=4 => format!(
            "M{:.1} {:.1}l{d} {d}m0 -{d}l-{d} {d}",
            x - m,
            y - m,
            d = 2.0 * m
        ),
        // Late or doubled: a triangle.
        5 | 6 => format!("M{:.1} {:.1}l{m} -{d}l{m} {d}z", x - m, y + m, d = 2.0 * m),
        // Probes and shut windows: a square.
        7 | 8 => format!("M{:.1} {:.1}h{d}v{d}h-{d}z", x - m, y - m, d = 2.0 * m),
        // Begin and end: an upright line.
        _ => format!("M{x:.1} {:.1}v{d}", y - 2.0 * m, d = 4.0 * m),
    }
}

/// The whole life of a flow as one bar.
pub(super) fn life(shares: &[(&'static str, f64)], whole: f64) -> Vec<Value> {
    let mut x = 0.0;
    shares
        .iter()
        .map(|(cause, seconds)| {
            let width = if whole > 0.0 {
                seconds * 100.0 / whole
            } else {
                0.0
            };
            let start = x;
            x += width;
            context! {
                cause => *cause,
                seconds => duration(*seconds),
                percent => format!("{width:.1} %"),
                x => format!("{start:.2}"),
                width => format!("{width:.2}"),
            }
        })
        .collect()
}

/// The dialog step by step, each with a bar of its time.
pub(super) fn ladder(plot: &Plot, flow: &Flow) -> Value {
    let ends = plot
        .steps
        .iter()
        .map(|s| s.answer.map_or(flow.duration, |(_, at)| at));
    let end = ends.fold(0.0, f64::max).max(1e-6);
    let place = |at: f64| (at / end * 100.0).clamp(0.0, 100.0);
    let rows: Vec<Value> = plot.steps.iter().map(|s| rung(s, end, place)).collect();
    context! {
        rows,
        in_all => count(plot.steps_in_all as u64),
        shown => count(plot.steps.len() as u64),
        end => duration(end),
    }
}

fn rung(step: &Step, end: f64, place: impl Fn(f64) -> f64) -> Value {
    let over = step.answer.map_or(end, |(_, at)| at);
    let arrived = step.acked.filter(|at| *at <= over);
    let (from, middle, to) = (
        place(step.asked),
        place(arrived.unwrap_or(step.asked)),
        place(over),
    );
    context! {
        at => duration(step.asked.max(0.0)),
        name => line(&step.name),
        by_client => step.by_client,
        phase => step.phase.replace('_', " "),
        frame => step.frame,
        answer_frame => step.answer.map(|(frame, _)| frame),
        text => line(&step.text),
        took => step.answer.map(|(_, at)| duration((at - step.asked).max(0.0))),
        acked => arrived.map(|at| duration((at - step.asked).max(0.0))),
        slow => over - step.asked >= 1.0,
        x => format!("{from:.2}"),
        travel => format!("{:.2}", (middle - from).max(0.0)),
        middle => format!("{middle:.2}"),
        think => format!("{:.2}", (to - middle).max(0.4)),
    }
}
