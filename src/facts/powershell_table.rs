//! `Format-Table`: headings, a line of dashes, rows.
//!
//! Takes:  a section at a heading, which may be wrapped over several lines
//! Gives:  the facts of every row
//! Never:  takes a cell that the width has cut for a value; joins what stands in two columns

use super::records::{self, Field};
use super::{Section, Sink};

/// Lines that a heading may take.
const MAX_HEADING: usize = 4;
/// Columns of one table.
const MAX_COLUMNS: usize = 64;

/// A column: its heading and the cells of the terminal under its dashes.
struct Column {
    key: String,
    start: usize,
    end: usize,
}

/// Reads one table, if the section has one at its start.
pub(super) fn read(section: &Section<'_>, from: usize, out: &mut Sink) -> usize {
    let Some(dashes) = (1..=MAX_HEADING).find(|n| is_dashes(section.at(from + n))) else {
        return 0;
    };
    // Nothing but headings may stand above the dashes.
    if (0..dashes).any(|n| section.at(from + n).is_empty() || section.at(from + n).contains(" : "))
    {
        return 0;
    }
    let mut columns = columns(section.at(from + dashes));
    for n in 0..dashes {
        let heading = cells(section.at(from + n), &columns);
        for (column, part) in columns.iter_mut().zip(heading) {
            column.key.extend(part.chars().filter(|c| *c != ' '));
        }
    }
    let mut known = false;
    let mut at = from + dashes + 1;
    while at < section.lines.len() {
        let first = at;
        let line = section.at(at);
        if line.trim().is_empty() || line.contains(" : ") || starts_table(section, at) {
            break;
        }
        let mut row = cells(line, &columns);
        at += 1;
        // A cell wrapped within its column goes on under it, with the first column empty.
        while at < section.lines.len() && is_continuation(section.at(at)) {
            for (cell, more) in row.iter_mut().zip(cells(section.at(at), &columns)) {
                if !more.is_empty() {
                    cell.push(' ');
                    cell.push_str(&more);
                }
            }
            at += 1;
        }
        let record: Vec<Field> = columns
            .iter()
            .zip(row)
            .map(|(column, value)| Field {
                key: column.key.clone(),
                value,
                line: first,
            })
            .collect();
        // The text may break off between the lines of a wrapped row, yet a row of one line is whole.
        known |= records::read(&record, false, out);
    }
    // A table without rows is known by its headings alone.
    if at == from + dashes + 1 {
        let heading: Vec<Field> = columns
            .iter()
            .map(|column| Field {
                key: column.key.clone(),
                value: String::new(),
                line: from,
            })
            .collect();
        known = records::read(&heading, true, out);
    }
    if known { at - from } else { 0 }
}

/// Whether a table begins at `at`: then the rows above have ended.
fn starts_table(section: &Section<'_>, at: usize) -> bool {
    (1..=MAX_HEADING).any(|n| {
        is_dashes(section.at(at + n)) && (1..n).all(|k| !section.at(at + k).trim().is_empty())
    })
}

/// At least two runs of dashes and nothing else.
fn is_dashes(line: &str) -> bool {
    line.bytes().all(|b| matches!(b, b'-' | b' '))
        && line.split_whitespace().nth(1).is_some()
        && line.contains("--")
}

fn is_continuation(line: &str) -> bool {
    line.starts_with("          ") && !line.trim().is_empty()
}

fn columns(dashes: &str) -> Vec<Column> {
    let mut columns: Vec<Column> = Vec::new();
    for (at, _) in dashes.bytes().enumerate().filter(|(_, b)| *b == b'-') {
        if let Some(column) = columns.last_mut().filter(|column| column.end == at) {
            column.end = at + 1;
        } else if columns.len() < MAX_COLUMNS {
            columns.push(Column {
                key: String::new(),
                start: at,
                end: at + 1,
            });
        }
    }
    columns
}

/// The cells of a row. A column reaches from its dashes to those of the next; a number that is wider than its heading
/// reaches back to the blank before it.
fn cells(line: &str, columns: &[Column]) -> Vec<String> {
    // Where each character stands on the terminal: East Asian ones take two cells.
    let mut place = 0;
    let placed: Vec<(usize, char)> = line
        .chars()
        .map(|c| {
            let at = place;
            place += if is_wide(c) { 2 } else { 1 };
            (at, c)
        })
        .collect();
    let mut from = 0;
    columns
        .iter()
        .enumerate()
        .map(|(n, _)| {
            let to = match columns.get(n + 1) {
                Some(next) => {
                    let mut to = placed.partition_point(|(at, _)| *at < next.start);
                    let blank = |to: usize| {
                        placed
                            .get(to.wrapping_sub(1))
                            .is_none_or(|(_, c)| *c == ' ')
                    };
                    let set_in = placed.get(to).is_some_and(|(_, c)| *c != ' ');
                    // Only a cell that runs over the border moves it.
                    if set_in {
                        let mut moved = to;
                        while moved > from && !blank(moved) {
                            moved -= 1;
                        }
                        if moved > from {
                            to = moved;
                        }
                    }
                    to
                }
                None => placed.len(),
            };
            let cell: String = placed
                .get(from..to)
                .unwrap_or_default()
                .iter()
                .map(|(_, c)| *c)
                .collect();
            from = to.max(from);
            cell.trim().to_owned()
        })
        .collect()
}

fn is_wide(c: char) -> bool {
    matches!(u32::from(c), 0x1100..=0x115f | 0x2e80..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff | 0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_keep_to_their_columns() {
        let dashes = "----       ----------- ------- ---";
        for (name, line, want) in [
            (
                "left and right",
                "Ethernet 4 True             15 Up",
                ["Ethernet 4", "True", "15", "Up"],
            ),
            (
                "wider than its heading",
                "a          b           12345678 Up",
                ["a", "b", "12345678", "Up"],
            ),
            (
                "empty cells",
                "a                              Up",
                ["a", "", "", "Up"],
            ),
            (
                "wide characters",
                "イーサ     True             15 Up",
                ["イーサ", "True", "15", "Up"],
            ),
            ("cut", "Ethernet 4 Tr", ["Ethernet 4", "Tr", "", ""]),
        ] {
            assert_eq!(cells(line, &columns(dashes)), want, "{name}");
        }
    }
}
