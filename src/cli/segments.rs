//! `segments`: one line a TCP segment.
//!
//! Takes:  the rows of the library
//! Gives:  them as tab-separated values, as JSON lines, or in columns
//! Never:  prints anything that came out of a packet but numbers

use std::fmt::Write as _;
use std::io::{self, Write};

use tcptriage::pipeline::{self, SegmentRow};

use super::args::{self, SegmentsFormat, Talk};
use super::{Outcome, note, output};

/// Names of the columns.
const COLUMNS: [&str; 10] = [
    "frame",
    "stream",
    "direction",
    "seq",
    "len",
    "labels",
    "verdict",
    "of_frame",
    "confidence",
    "basis",
];

/// Widths of the columns for reading, the last one apart. What is wider moves the rest of its line.
const WIDTHS: [usize; 9] = [7, 6, 9, 10, 6, 30, 24, 8, 10];

/// Lists the segments.
pub(super) fn segments(talk: Talk, args: &args::Segments) -> anyhow::Result<Outcome> {
    let mut settings = args.settings();
    let meter = super::progress::Meter::new(talk.quiet);
    settings.progress = meter.callback();
    let (mut out, _) = output::stdout(talk.color, talk.verbose > 0);
    let mut line = String::new();
    let format = args.format;
    header(format, &mut line);
    let mut begun = false;
    let short = pipeline::segments(&settings, &mut |row| {
        if !begun {
            // Only now is it sure that there is something to list.
            begun = true;
            meter.finish();
            out.write_all(line.as_bytes())?;
        }
        write_row(format, row, &mut line, &mut out)
    });
    meter.finish();
    let short = short?;
    if !begun {
        out.write_all(line.as_bytes())?;
    }
    out.flush()?;
    if short.conversations > 0 {
        note(
            talk,
            &format!(
                "{} conversations were forgotten for want of room; their stream numbers and labels start anew",
                short.conversations
            ),
        );
    }
    if short.verdicts > 0 {
        note(
            talk,
            &format!(
                "{} verdicts were not kept for want of room; their segments are listed as new",
                short.verdicts
            ),
        );
    }
    Ok(Outcome::Done)
}

fn header(format: SegmentsFormat, line: &mut String) {
    line.clear();
    if format == SegmentsFormat::Json {
        return;
    }
    for (n, name) in COLUMNS.iter().enumerate() {
        cell(format, n, format_args!("{name}"), line);
    }
    line.push('\n');
}

fn write_row(
    format: SegmentsFormat,
    row: &SegmentRow,
    line: &mut String,
    out: &mut dyn Write,
) -> io::Result<()> {
    line.clear();
    let direction = match (format, row.label.from_client) {
        (SegmentsFormat::Text, true) => "to server",
        (SegmentsFormat::Text, false) => "to client",
        (_, true) => "client_to_server",
        (_, false) => "server_to_client",
    };
    if format == SegmentsFormat::Json {
        return write_json(row, direction, out);
    }
    cell(format, 0, format_args!("{}", row.frame.number()), line);
    cell(format, 1, format_args!("{}", row.label.stream), line);
    cell(format, 2, format_args!("{direction}"), line);
    cell(format, 3, format_args!("{}", row.seq.0), line);
    cell(format, 4, format_args!("{}", row.octets), line);
    cell(format, 5, format_args!("{}", row.label.labels), line);
    match &row.judged {
        Some(j) => {
            cell(format, 6, format_args!("{}", j.verdict), line);
            match j.of {
                Some(of) => cell(format, 7, format_args!("{}", of.number()), line),
                None => cell(format, 7, format_args!("-"), line),
            }
            cell(format, 8, format_args!("{:.2}", j.confidence), line);
            match row.departs {
                Some(why) => cell(format, 9, format_args!("{}; {why}", j.basis), line),
                None => cell(format, 9, format_args!("{}", j.basis), line),
            }
        }
        None => (6..COLUMNS.len()).for_each(|n| cell(format, n, format_args!("-"), line)),
    }
    line.push('\n');
    out.write_all(line.as_bytes())
}

/// The columns as members of an object; what is not said is `null`.
fn write_json(row: &SegmentRow, direction: &str, out: &mut dyn Write) -> io::Result<()> {
    let judged = row.judged.as_ref();
    let basis = judged.map(|j| match row.departs {
        Some(why) => format!("{}; {why}", j.basis),
        None => j.basis.to_owned(),
    });
    let object = serde_json::json!({
        "frame": row.frame.number(),
        "stream": row.label.stream,
        "direction": direction,
        "seq": row.seq.0,
        "len": row.octets,
        "labels": row.label.labels.names().collect::<Vec<_>>(),
        "verdict": judged.map(|j| j.verdict),
        "of_frame": judged.and_then(|j| j.of).map(|of| of.number()),
        "confidence": judged.map(|j| (f64::from(j.confidence) * 100.0).round() / 100.0),
        "basis": basis,
    });
    writeln!(out, "{object}")
}

/// Adds one cell to a line: after a tab, or filled up to its width.
fn cell(format: SegmentsFormat, n: usize, text: std::fmt::Arguments<'_>, line: &mut String) {
    let start = line.len();
    // Writing to a string does not fail.
    match format {
        SegmentsFormat::Tsv => {
            let _ = write!(line, "{}{text}", if n > 0 { "\t" } else { "" });
        }
        SegmentsFormat::Text | SegmentsFormat::Json => {
            let _ = write!(line, "{text}");
            if let Some(width) = WIDTHS.get(n) {
                let fill = (start + width).saturating_sub(line.len());
                line.extend(std::iter::repeat_n(' ', fill + 1));
            }
        }
    }
}
