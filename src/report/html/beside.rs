//! What a comparison or a verification adds to the page: its tables, and its values over time as drawings that need no script.
//!
//! Takes:  the tables and trends beside a report
//! Gives:  values for the template: cells, and paths in the units of an SVG of [`WIDTH`] by [`HEIGHT`]
//! Never:  leaves text unescaped

use std::fmt::Write as _;

use minijinja::{Value, context};

use super::super::beside::{Table, Trend, TrendPoint};
use super::super::words::{moment, sentence};
use super::line;

const WIDTH: f64 = 1_000.0;
const HEIGHT: f64 = 160.0;
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

/// A trend for the template; `None` where it has nothing to draw.
pub(super) fn trend(trend: &Trend) -> Option<Value> {
    let points = || trend.lines.iter().flat_map(|(_, points)| points);
    let first = points().map(|p| p.time.0).min()?;
    let last = points().map(|p| p.time.0).max()?;
    let high = points().map(|p| p.max).fold(0.0, f64::max);
    let low = points().map(|p| p.min).fold(high, f64::min).min(0.0);
    let length = last.seconds_since(first).max(1e-9);
    let height = (high - low).max(1e-9);
    let x = |p: &TrendPoint| p.time.0.seconds_since(first) / length * WIDTH;
    let y = |value: f64| HEIGHT - (value - low) / height * HEIGHT;
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
        high => format!("{high:.1}"),
        low => format!("{low:.1}"),
        first => moment(first.into()),
        last => moment(last.into()),
        lines,
    })
}
