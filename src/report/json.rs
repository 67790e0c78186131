//! The report as one JSON object: the model as it stands, each field documented there.

use std::io::{self, Write};

use super::model::Report;
use super::{Format, Look};

/// JSON for programs.
pub(super) struct Json;

impl Format for Json {
    fn name(&self) -> &'static str {
        "json"
    }

    fn ending(&self) -> &'static str {
        ".json"
    }

    fn write(&self, report: &Report, _: Look, out: &mut dyn Write) -> io::Result<()> {
        serde_json::to_writer_pretty(&mut *out, report)?;
        writeln!(out)
    }
}
