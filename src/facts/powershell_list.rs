//! `Format-List`: `Key : Value` lines in records that blank lines part.
//!
//! Takes:  a section at a line with a property
//! Gives:  the facts of one record
//! Never:  takes a row of another tool for a property: the colon has a blank before it, or the key is known to end so

use super::records::{self, Field};
use super::{Section, Sink};

/// Properties of one record; an object of Exchange has some 100.
const MAX_FIELDS: usize = 256;
/// Properties from which on a record of an unknown kind is passed over at once: its lines are no other tool's either, and
/// to try again at each of them would take the square of their number.
pub(super) const SURELY_RECORD: usize = 8;

/// Key and value of a line; the column of the value is where continuation lines go on.
fn property(line: &str) -> Option<(String, &str, usize)> {
    // `BaseProcessor: [Group:Number]  : 0:0`: the colon that parts is the first with a blank before it.
    if let Some(key) = line.strip_suffix("]:") {
        // Some systems print the key of a table of processors alone.
        let plain = key.starts_with("IndirectionTable");
        return plain.then(|| (format!("{}]", key.replace(' ', "")), "", 4));
    }
    let at = line.find(" :")?;
    let (key, value) = (line.get(..at)?, line.get(at + 2..)?);
    if !(value.is_empty() || value.starts_with(' ')) {
        return None;
    }
    let key = key.trim_start_matches('*').trim_end();
    let plain = key.chars().next().is_some_and(|c| c.is_ascii_alphabetic())
        && key
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || " ()[]:/_.-".contains(c))
        && key.split_whitespace().count() <= 3;
    // A property has one word, or goes on in brackets.
    let one_word = !key.contains(' ') || key.contains(": [") || key.contains(" [");
    plain.then_some(())?;
    one_word.then(|| (key.replace(' ', ""), value.trim(), at + 3))
}

/// Reads one record, if the section has one at its start.
pub(super) fn read(section: &Section<'_>, from: usize, out: &mut Sink) -> usize {
    let mut record: Vec<Field> = Vec::new();
    let mut column = 0;
    let mut at = from;
    while at < section.lines.len() && record.len() < MAX_FIELDS {
        let line = section.at(at);
        if let Some((key, value, value_column)) = property(line) {
            // A key that comes again begins another record.
            if record.iter().any(|f| f.key == key) {
                break;
            }
            column = value_column;
            record.push(Field {
                key,
                value: value.to_owned(),
                line: at,
            });
        } else if let Some(field) = record.last_mut().filter(|_| continues(line, column)) {
            if !field.value.is_empty() {
                field.value.push(' ');
            }
            field.value.push_str(line.trim());
        } else {
            break;
        }
        at += 1;
    }
    if record.is_empty() {
        return 0;
    }
    let cut = !section.goes_on(at);
    let known = records::read(&record, cut, out) | super::system::record(&record, out);
    if !known {
        if record.len() < SURELY_RECORD {
            return 0;
        }
        (from..at).for_each(|line| out.not_understood(line));
    }
    at - from
}

/// Whether a line goes on with the value above it: it begins at its column or further right.
fn continues(line: &str, column: usize) -> bool {
    let indent = line.chars().take_while(|c| *c == ' ' || *c == '\t').count();
    indent < line.chars().count() && column > 3 && indent + 2 >= column.min(20)
}
