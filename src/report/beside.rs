//! What a comparison or a check of a remedy adds to a report: tables and trends that every format shows, and the shape of its JSON.
//!
//! Takes:  values in words, made by `comparison` and `verification`
//! Gives:  them, for the formats to lay out
//! Never:  appears in the JSON of a report: a comparison's and a verification's have a shape of their own

use super::comparison::Comparison;
use super::epoch::Epoch;
use super::verification::Verification;

/// All of it; empty for a plain report.
#[derive(Clone, Debug, Default)]
pub struct Beside {
    /// Tables, behind the verdict.
    pub tables: Vec<Table>,
    /// Values over time, to be drawn.
    pub trends: Vec<Trend>,
    /// What the JSON is, where it is not the report itself.
    pub shape: Option<Shape>,
}

/// The other shapes that a report's JSON can have.
#[derive(Clone, Debug)]
pub enum Shape {
    /// Two points of one path.
    Comparison(Box<Comparison>),
    /// Before and after a remedy.
    Verification(Box<Verification>),
}

/// A table with some sentences before it.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// Heading.
    pub title: String,
    /// Sentences: small initial, no full stop.
    pub text: Vec<String>,
    /// Heads of the columns, and whether numbers stand in them.
    pub columns: Vec<(&'static str, bool)>,
    /// Cells, as many a row as there are columns. May hold foreign text.
    pub rows: Vec<Vec<String>>,
}

/// Values over time.
#[derive(Clone, Debug, Default)]
pub struct Trend {
    /// Heading.
    pub title: String,
    /// Unit of the values: `ms`.
    pub unit: &'static str,
    /// Lines by name.
    pub lines: Vec<(String, Vec<TrendPoint>)>,
}

/// A stretch of time in a trend.
#[derive(Clone, Copy, Debug)]
pub struct TrendPoint {
    /// Its beginning.
    pub time: Epoch,
    /// Least value in it.
    pub min: f64,
    /// Greatest.
    pub max: f64,
}
