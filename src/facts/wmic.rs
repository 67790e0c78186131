//! `wmic … /format:list`: `Key=Value` lines.
//!
//! Takes:  a section at a property
//! Gives:  the facts of one record
//! Never:  reads rows with blanks round the sign: those are Postfix's or sysctl's

use super::records::{self, Field};
use super::{Section, Sink};

/// Properties of one record.
const MAX_FIELDS: usize = 64;

/// Reads one record.
pub(super) fn read(section: &Section<'_>, from: usize, out: &mut Sink) -> usize {
    let mut record: Vec<Field> = Vec::new();
    let mut at = from;
    while let Some((key, value)) = property(section.at(at)) {
        if record.len() >= MAX_FIELDS || record.iter().any(|f| f.key == key) {
            break;
        }
        record.push(Field {
            key: key.to_owned(),
            value: value.to_owned(),
            line: at,
        });
        at += 1;
    }
    if record.is_empty() {
        return 0;
    }
    let known =
        records::read(&record, !section.goes_on(at), out) | super::system::record(&record, out);
    // A lone `Description=` above the cut is a record begun.
    if known
        || record
            .iter()
            .all(|f| matches!(f.key.as_str(), "Description" | "DriverDate"))
    {
        at - from
    } else if record.len() < super::powershell_list::SURELY_RECORD {
        0
    } else {
        (from..at).for_each(|line| out.not_understood(line));
        at - from
    }
}

fn property(line: &str) -> Option<(&str, &str)> {
    let (key, value) = line.split_once('=')?;
    let plain = key.starts_with(|c: char| c.is_ascii_uppercase())
        && key.bytes().all(|b| b.is_ascii_alphanumeric());
    (plain && !value.starts_with(' ')).then_some((key, value.trim()))
}
