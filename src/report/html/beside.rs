//! What a comparison or a verification adds to the page: its tables, and its values over time as drawings that need no script.
//!
//! Takes:  the tables and trends beside a report
//! Gives:  values for the template: cells, and paths in the units of an SVG of [`WIDTH`] by [`HEIGHT`]
//! Never:  leaves text unescaped

use std::fmt::Write as _;

use minijinja::{Value, context};

use super::super::beside::{Table, Trend, TrendPoint};
use super::super::words::{duration, moment, sentence};
use super::line;

const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 160.0;
/// Free above and below the dots.
const MARGIN: f64 = 3.0;
/// Steps of the scale.
const TICKS: u32 = 4;
/// Beyond this many times the median, the scale is logarithmic.
const SPIKE: f64 = 20.0;
/// Classes of the lines, in order.
const CLASSES: [&str; 2] = ["g-seg", "g-ack"];

/// A table for the template.
pub(super) fn table(table: &Table) -> Value {
    let heads: Vec<Value> = table
        .columns
        .iter()
        .map(|(head, number)| context! { head => *head, number => *number })
        .collect();
    let rows: Vec<Vec<Value>> = table
        .rows
        .iter()
        .map(|row| {
            row.iter()
                .zip(&table.columns)
                .map(|(cell, (_, number))| context! { text => line(cell), number => *number })
                .collect()
        })
        .collect();
    context! {
        title => line(&table.title),
        text => table.text.iter().map(|t| line(&sentence(t))).collect::<Vec<_>>(),
        heads,
        rows,
    }
}

/// Three digits at most.
fn short(value: f64) -> String {
    match value.abs() {
        v if v >= 99.95 => format!("{value:.0}"),
        v if v >= 9.995 => format!("{value:.1}"),
        0.0 => "0".to_owned(),
        v if v >= 0.0995 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

/// A trend for the template; `None` where it has nothing to draw.
pub(super) fn trend(trend: &Trend) -> Option<Value> {
    let points = || trend.lines.iter().flat_map(|(_, points)| points);
    let first = points().map(|p| p.time.0).min()?;
    let last = points().map(|p| p.time.0).max()?;
    let high = points().map(|p| p.max).fold(0.0, f64::max);
    let low = points().map(|p| p.min).fold(high, f64::min).min(0.0);
    let length = last.seconds_since(first).max(1e-9);
    // One spike would press all else to the ground.
    let mut middle: Vec<f64> = points().map(|p| p.max).collect();
    middle.sort_by(f64::total_cmp);
    let middle = middle.get(middle.len() / 2).copied().unwrap_or_default();
    let floor = points().map(|p| p.min).fold(high, f64::min);
    let logarithmic = floor > 0.0 && high > SPIKE * middle;
    let low = if logarithmic { floor } else { low };
    let height = (high - low).max(1e-9);
    let share = |value: f64| {
        if logarithmic {
            (value / low).ln() / (high / low).ln()
        } else {
            (value - low) / height
        }
    };
    let at = |share: f64| {
        if logarithmic {
            low * (high / low).powf(share)
        } else {
            low + height * share
        }
    };
    let places = || (0..=TICKS).map(|n| f64::from(n) / f64::from(TICKS));
    let grid = places().skip(1).take(TICKS as usize - 1);
    let grid: String = grid
        .map(|p| format!("M0 {:.1}H{WIDTH}", p * HEIGHT))
        .collect();
    let ticks: Vec<String> = places()
        .map(|p| format!("{} {}", short(at(1.0 - p)), trend.unit))
        .collect();
    let x = |p: &TrendPoint| p.time.0.seconds_since(first) / length * WIDTH;
    // Half a dot's size from the edges.
    let y = |value: f64| HEIGHT - MARGIN - share(value) * (HEIGHT - 2.0 * MARGIN);
    let lines: Vec<Value> = trend
        .lines
        .iter()
        .zip(CLASSES)
        .filter(|((_, points), _)| !points.is_empty())
        .map(|((name, points), class)| {
            let mut path = String::new();
            for p in points {
                // From the quickest to the slowest of each stretch of time.
                let _ = write!(path, "M{:.1} {:.1}V{:.1}", x(p), y(p.min), y(p.max) - 0.8);
            }
            context! { name => line(name), class => class, path }
        })
        .collect();
    Some(context! {
        title => line(&trend.title),
        unit => trend.unit,
        high => short(high),
        low => short(low),
        ticks,
        grid,
        logarithmic,
        first => moment(first.into()),
        length => duration(last.seconds_since(first)),
        lines,
    })
}
