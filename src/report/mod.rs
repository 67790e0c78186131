//! Report stage: all that was found in, text for people and for programs out.
//!
//! Takes:  what the stages found, of which `build` makes a [`Report`]
//! Gives:  text, JSON, …: one file a format; the frames that findings cite (`evidence`)
//! Never:  judges beyond the verdict; prints text from packets unescaped

pub mod beside;
pub mod build;
pub mod comparison;
mod csv;
mod epoch;
pub mod escape;
pub mod evidence;
mod few;
mod held;
mod html;
pub mod json;
mod mail;
mod markdown;
pub mod model;
pub mod plot;
mod redact;
mod services;
mod text;
mod verdict;
pub mod verification;
mod view;
mod vocabulary;
pub(crate) mod words;

pub use redact::{Redaction, redact};

use std::{fmt, io};

use crate::detect::Severity;
use model::Report;

/// How a report is to be written, and how a format that is made for people is to look.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    /// With ANSI colours.
    pub color: bool,
    /// Columns of the terminal.
    pub width: usize,
    /// In full, where text for a terminal is shortened otherwise.
    pub full: bool,
    /// Threads that may write at it; the text is the same.
    pub jobs: usize,
}

impl Default for Look {
    /// As in a file: no colour, 100 columns, shortened; one thread.
    fn default() -> Self {
        Self {
            color: false,
            width: 100,
            full: false,
            jobs: 1,
        }
    }
}

/// A way to write a report.
pub trait Format: fmt::Debug + Sync {
    /// Its name, as `--format` takes it.
    fn name(&self) -> &'static str;

    /// What it is for, in a few words: the help of `--format`.
    fn purpose(&self) -> &'static str;

    /// The ending of its files, with the dot.
    fn ending(&self) -> &'static str;

    /// Writes the report.
    ///
    /// # Errors
    /// Where `out` refuses.
    fn write(&self, report: &Report, look: Look, out: &mut dyn io::Write) -> io::Result<()>;
}

/// All formats. A new one is one file, its `mod` above, and one line here.
pub static FORMATS: &[&dyn Format] = &[
    &text::Text,
    &json::Json,
    &markdown::Markdown,
    &html::Html,
    &csv::Csv,
];

/// The format of this name.
#[must_use]
pub fn format_named(name: &str) -> Option<&'static dyn Format> {
    FORMATS.iter().copied().find(|f| f.name() == name)
}

/// The format of files with this ending (with the dot, in any case).
#[must_use]
pub fn format_ending(ending: &str) -> Option<&'static dyn Format> {
    FORMATS
        .iter()
        .copied()
        .find(|f| f.ending().eq_ignore_ascii_case(ending))
}

/// The JSON Schema of the report.
#[must_use]
pub fn schema() -> schemars::Schema {
    schemars::schema_for!(Report)
}

/// The word for a severity.
#[must_use]
pub const fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    }
}

/// The severity that a word names.
#[must_use]
pub fn severity_named(name: &str) -> Option<Severity> {
    [Severity::Info, Severity::Warning, Severity::Critical]
        .into_iter()
        .find(|s| severity_name(*s) == name)
}

#[cfg(test)]
mod tests;
