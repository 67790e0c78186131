//! Values as tools print them to values as facts carry them.
//!
//! Takes:  one cell or the right side of one row
//! Gives:  the value in its one written form; `None` where it is empty, cut or not of its kind
//! Never:  takes a value for another

/// What kind of value a field holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    /// A word, told in lower case.
    Word,
    /// Text, told as it stands.
    Text,
    /// `True`/`False`, `Enabled`/`Disabled`, … as `enabled`/`disabled`.
    Switch,
    /// The same as `yes`/`no`.
    YesNo,
    /// A count.
    Number,
    /// A count, or `unlimited`.
    Limit,
    /// `00:00:05`, `1.00:00:00` as seconds.
    Span,
    /// `True` as `full`.
    Duplex,
    /// `1 Gbps` as megabits.
    Speed,
    /// Bits a second as megabits.
    BitSpeed,
    /// A date in any form with the year first.
    Date,
    /// `3.00`, `3.02`, `3.1.1` as the protocol's own names: `3.0`, `3.0.2`, `3.1.1`.
    Dialect,
    /// `RxTxEnabled`, `TxEnabled`, `RxEnabled`, `Disabled`.
    Checksum,
}

impl Kind {
    /// The value, if `text` is of this kind.
    pub(super) fn read(self, text: &str) -> Option<String> {
        let text = text.trim();
        // A cell that the table's width has cut is no value.
        if text.is_empty() || text.ends_with("...") || text.ends_with('…') {
            return None;
        }
        let lower = text.to_lowercase();
        let word = |yes: &str, no: &str| {
            switch(&lower).map(|on| if on { yes.to_owned() } else { no.to_owned() })
        };
        match self {
            Self::Word => (!lower.contains(char::is_whitespace)).then_some(lower),
            Self::Text => Some(text.to_owned()),
            Self::Switch => word("enabled", "disabled"),
            Self::YesNo => word("yes", "no"),
            Self::Duplex => word("full", "half"),
            Self::Number => number(text).map(|n| n.to_string()),
            Self::Limit if lower == "unlimited" => Some(lower),
            Self::Limit => number(text).map(|n| n.to_string()),
            Self::Span => span(text),
            Self::Speed => speed(&lower),
            Self::BitSpeed => number(text).map(|n| (n / 1_000_000).to_string()),
            Self::Date => date(text),
            Self::Dialect => Some(match lower.as_str() {
                "2.02" | "2.002" => "2.0.2".to_owned(),
                "2.10" => "2.1".to_owned(),
                "3.00" => "3.0".to_owned(),
                "3.02" => "3.0.2".to_owned(),
                "3.11" => "3.1.1".to_owned(),
                _ => lower,
            }),
            Self::Checksum => Some(
                match lower.as_str() {
                    "rxtxenabled" | "rxtx" => "enabled",
                    "disabled" => "disabled",
                    "rxenabled" => "rx",
                    "txenabled" => "tx",
                    _ => return None,
                }
                .to_owned(),
            ),
        }
    }
}

/// On or off, in all the words that tools have for it.
pub(super) fn switch(lower: &str) -> Option<bool> {
    match lower {
        "true" | "enabled" | "on" | "yes" | "1" => Some(true),
        "false" | "disabled" | "off" | "no" | "0" => Some(false),
        _ => None,
    }
}

/// `on` as `enabled`.
pub(super) fn switched(on: bool) -> &'static str {
    if on { "enabled" } else { "disabled" }
}

/// A whole number; separators of thousands as some tools print them are let through.
pub(super) fn number(text: &str) -> Option<u64> {
    let digits: String = text
        .chars()
        .filter(|c| !matches!(c, ',' | '\u{a0}'))
        .collect();
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| digits.parse().ok()).flatten()
}

/// `[days.]hh:mm:ss[.fraction]` to seconds, with the fraction where there is one.
fn span(text: &str) -> Option<String> {
    let mut parts = text.rsplit(':');
    let (seconds, minutes, hours) = (parts.next()?, parts.next()?, parts.next()?);
    if parts.next().is_some() {
        return None;
    }
    let (days, hours) = hours.split_once('.').unwrap_or(("0", hours));
    let (seconds, fraction) = seconds.split_once('.').unwrap_or((seconds, ""));
    let part = |text: &str| number(text).filter(|n| *n < 1_000_000);
    let sum = ((part(days)? * 24 + part(hours)?) * 60 + part(minutes)?) * 60 + part(seconds)?;
    let fraction = fraction.trim_end_matches('0');
    match fraction {
        "" => Some(sum.to_string()),
        _ if fraction.bytes().all(|b| b.is_ascii_digit()) => Some(format!("{sum}.{fraction}")),
        _ => None,
    }
}

/// `1 Gbps`, `1000Mb/s`, `100 Mbps` to megabits.
pub(super) fn speed(lower: &str) -> Option<String> {
    let at = lower.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let (amount, unit) = (lower.get(..at)?, lower.get(at..)?.trim());
    let factor = match unit.as_bytes().first()? {
        b't' => 1_000_000.0,
        b'g' => 1000.0,
        b'm' => 1.0,
        b'k' => 0.001,
        _ => return None,
    };
    scaled(amount, factor)
}

/// A decimal number times a factor, without needless digits.
pub(super) fn scaled(amount: &str, factor: f64) -> Option<String> {
    let plain = amount.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let amount: f64 = plain.then(|| amount.parse().ok()).flatten()?;
    Some(format!("{}", amount * factor))
}

/// `20060630******.******+***`, `2006-06-30…`, `2006/06/30` to `2006-06-30`.
fn date(text: &str) -> Option<String> {
    let digits: String = text
        .chars()
        .filter(|c| !matches!(c, '-' | '/'))
        .take(8)
        .collect();
    let (year, month, day) = (digits.get(..4)?, digits.get(4..6)?, digits.get(6..8)?);
    let day_number: u32 = day.parse().ok()?;
    let month_number: u32 = month.parse().ok()?;
    let _: u32 = year.parse().ok()?;
    let sane = (1..=12).contains(&month_number) && (1..=31).contains(&day_number);
    sane.then(|| format!("{year}-{month}-{day}"))
}

/// Days since 1970 of a date in any form with the year first; `None` where it is no date.
#[must_use]
pub fn day(text: &str) -> Option<i64> {
    days(&date(text)?)
}

/// Days since 1970 of `YYYY-MM-DD` (the civil calendar, by the algorithm of Howard Hinnant).
pub(super) fn days(date: &str) -> Option<i64> {
    let mut parts = date.split('-');
    let mut next = || parts.next()?.parse::<i64>().ok();
    let (year, month, day) = (next()?, next()?, next()?);
    if !(0..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        for (kind, text, want) in [
            (Kind::Span, "00:00:05", Some("5")),
            (Kind::Span, "00:10:00", Some("600")),
            (Kind::Span, "1.00:00:00", Some("86400")),
            (Kind::Span, "0.00:00:16.765", Some("16.765")),
            (Kind::Span, "5", None),
            (Kind::Speed, "1 Gbps", Some("1000")),
            (Kind::Speed, "100Mb/s", Some("100")),
            (Kind::Speed, "2.5 Gbps", Some("2500")),
            (Kind::Speed, "Unknown!", None),
            (Kind::Date, "20060630******.******+***", Some("2006-06-30")),
            (Kind::Date, "2015-03-20", Some("2015-03-20")),
            (Kind::Date, "6/30/2006", None),
            (Kind::Limit, "Unlimited", Some("unlimited")),
            (Kind::Limit, "20", Some("20")),
            (Kind::Word, "Microsoft Network Adapter Multiplexo...", None),
            (Kind::Switch, "False", Some("disabled")),
            (Kind::Switch, "Falsch", None),
            (Kind::Duplex, "True", Some("full")),
            (Kind::BitSpeed, "32000000000", Some("32000")),
        ] {
            assert_eq!(kind.read(text).as_deref(), want, "{kind:?} {text}");
        }
        assert_eq!(days("1970-01-01"), Some(0));
        assert_eq!(day("20000301000000.******+***"), Some(11_017));
        assert_eq!(days("2026-11-22"), Some(20_779));
    }
}
