//! What SMTP's reply codes mean: the table `codes.tsv`, and how to look a reply up in it.
//!
//! Takes:  reply code, enhanced status code and text, as far as there are any
//! Gives:  the rows that explain it, the most telling first
//! Never:  guesses: a reply that no row fits is not explained

use std::ops::RangeInclusive;
use std::sync::LazyLock;

/// A row of the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Meaning {
    /// Whose it is: `exchange`, `exo`, `postfix`, `exim`, `exchange2003`, `enhanced` or `basic`.
    pub kind: &'static str,
    /// Reply code, enhanced status code, or both; an `X` stands for any class.
    pub code: &'static str,
    /// Text that the reply must hold, in any case; empty: the code alone tells.
    pub text: &'static str,
    /// What it means.
    pub meaning: &'static str,
    /// `ok`, `interim`, `transient`, `permanent`; `by-class`: as the first digit says.
    pub outcome: &'static str,
    /// `none`, `policy`, `resource`, `network`, …
    pub area: &'static str,
    /// Id of the remedy, with dots; empty where there is none.
    pub remedy: &'static str,
    /// Where the meaning is written down.
    pub source: &'static str,
}

static TABLE: LazyLock<Vec<Meaning>> =
    LazyLock::new(|| include_str!("codes.tsv").lines().filter_map(row).collect());

fn row(line: &'static str) -> Option<Meaning> {
    if line.starts_with('#') {
        return None;
    }
    let mut columns = line.split('\t');
    let mut next = || columns.next();
    Some(Meaning {
        kind: next()?,
        code: next()?,
        text: next()?,
        meaning: next()?,
        outcome: next()?,
        area: next()?,
        remedy: next()?,
        source: next()?,
    })
}

/// What each row asks of a reply's codes: all of these. Read once, as every refusal is held against every row.
static ASKED: LazyLock<Vec<Vec<Asked>>> = LazyLock::new(|| {
    let asked = |row: &Meaning| row.code.split(' ').filter_map(Asked::read).collect();
    TABLE.iter().map(asked).collect()
});

/// A code as a row names it.
#[derive(Debug)]
enum Asked {
    /// `421`.
    Basic(u16),
    /// `4.4.2`, `X.1.0`: `None` stands for any number.
    Enhanced([Option<u16>; 3]),
    /// `5.7.900-5.7.999`.
    Range(RangeInclusive<[u16; 3]>),
}

/// All rows of the table, in its order.
#[must_use]
pub fn table() -> &'static [Meaning] {
    &TABLE
}

/// The rows that explain a reply, the most telling first: a server's own words (the longest first), then the enhanced status code,
/// then what single products mean by it, then the reply code.
#[must_use]
pub fn explain(code: Option<u16>, enhanced: Option<[u16; 3]>, text: &str) -> Vec<&'static Meaning> {
    let text = text.to_ascii_lowercase();
    let mut found: Vec<(u8, usize, &Meaning)> = TABLE
        .iter()
        .zip(ASKED.iter())
        .filter(|(row, asked)| asked.iter().all(|a| a.fits(row, code, enhanced)))
        .map(|(row, _)| row)
        .filter(|row| text.contains(&row.text.to_ascii_lowercase()))
        .map(|row| (row.rank(), usize::MAX - row.text.len(), row))
        .collect();
    // Stable: rows of one rank and length stay in the table's order.
    found.sort_by_key(|&(rank, length, _)| (rank, length));
    found.into_iter().map(|(_, _, row)| row).collect()
}

impl Meaning {
    fn rank(&self) -> u8 {
        match self.kind {
            _ if !self.text.is_empty() => 0,
            "enhanced" => 1,
            "basic" => 3,
            _ => 2,
        }
    }
}

impl Asked {
    /// `None`: no code.
    fn read(part: &str) -> Option<Self> {
        if let Some((from, to)) = part.split_once('-') {
            return Some(Self::Range(whole(from)?..=whole(to)?));
        }
        if part.contains('.') {
            return Some(Self::Enhanced(numbers(part)?));
        }
        part.parse().ok().map(Self::Basic)
    }

    /// Whether a reply has the code. Where the row knows the text, the enhanced code may be missing.
    fn fits(&self, row: &Meaning, code: Option<u16>, enhanced: Option<[u16; 3]>) -> bool {
        match (self, enhanced) {
            (Self::Basic(asked), _) => code == Some(*asked),
            (_, None) => !row.text.is_empty(),
            (Self::Enhanced(asked), Some(enhanced)) => {
                let mut pairs = asked.iter().zip(enhanced);
                pairs.all(|(asked, number)| asked.is_none_or(|asked| asked == number))
            }
            (Self::Range(asked), Some(enhanced)) => asked.contains(&enhanced),
        }
    }
}

/// The three numbers of an enhanced status code; `None` for the `X` that stands for any.
fn numbers(code: &str) -> Option<[Option<u16>; 3]> {
    let parts: Vec<Option<u16>> = code
        .split('.')
        .map(|part| match part {
            "X" => Some(None),
            number => number.parse().ok().map(Some),
        })
        .collect::<Option<_>>()?;
    parts.try_into().ok()
}

fn whole(code: &str) -> Option<[u16; 3]> {
    let [class, subject, detail] = numbers(code)?;
    Some([class?, subject?, detail?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_row() {
        let lines = include_str!("codes.tsv").lines();
        let rows = lines.filter(|line| !line.starts_with('#')).count();
        assert_eq!(table().len(), rows);
        assert!(rows > 200);
        for row in table() {
            assert!(!row.meaning.is_empty() && !row.source.is_empty(), "{row:?}");
            for part in row.code.split(' ') {
                assert!(Asked::read(part).is_some(), "{row:?}");
            }
        }
    }

    #[test]
    fn the_most_telling_row_comes_first() {
        for (name, code, enhanced, text, want) in [
            (
                "code alone",
                Some(421),
                None,
                "closing",
                Some(("basic", "421")),
            ),
            (
                "enhanced",
                Some(550),
                Some([5, 1, 1]),
                "5.1.1 no",
                Some(("enhanced", "X.1.1")),
            ),
            (
                "words before codes",
                Some(421),
                Some([4, 4, 2]),
                "4.4.2 mx.example ERROR: timeout exceeded",
                Some(("postfix", "421 4.4.2")),
            ),
            (
                "words of another code do not count",
                Some(250),
                Some([2, 0, 0]),
                "Error: timeout exceeded",
                Some(("enhanced", "X.0.0")),
            ),
            (
                "enhanced alone",
                None,
                Some([4, 4, 7]),
                "",
                Some(("enhanced", "X.4.7")),
            ),
            (
                "a range",
                Some(550),
                Some([5, 7, 950]),
                "5.7.950 Delivery not authorized, message refused",
                Some(("exchange", "5.7.900-5.7.999")),
            ),
            ("not known", Some(299), None, "", None),
            ("nothing", None, None, "", None),
        ] {
            let got = explain(code, enhanced, text);
            let got = got.first().map(|row| (row.kind, row.code));
            assert_eq!(got, want, "{name}");
        }
    }
}
