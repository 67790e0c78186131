//! The small grammars within Exchange's log lines: times, records, tarpits, targets that failed.
//!
//! Takes:  one line or one field
//! Gives:  its parts
//! Never:  fails loudly: what does not fit is `None`

use std::net::{IpAddr, SocketAddr};

use nom::bytes::complete::{tag, take_while, take_while1};
use nom::character::complete::{char, digit1};
use nom::combinator::{map_opt, opt, recognize};
use nom::multi::many0_count;
use nom::sequence::{delimited, pair, preceded};
use nom::{IResult, Parser};

use crate::net::{Endpoint, Timestamp};

use super::super::value;

/// Fields of one record; more are no log of Exchange's.
const MAX_FIELDS: usize = 64;

/// Cuts a record at its commas. A field in quotes may hold commas, and quotes doubled.
pub(super) fn record(line: &str) -> Vec<String> {
    let mut fields = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.next_if_eq(&'"').is_some() => field.push('"'),
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            ',' if !quoted && fields.len() < MAX_FIELDS => fields.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
    }
    fields.push(field);
    fields
}

/// `2020-11-27T09:34:39.159Z`: always UTC.
pub(super) fn time(text: &str) -> Option<Timestamp> {
    let (date, clock) = text.trim().strip_suffix('Z')?.split_once('T')?;
    let (_, (hours, minutes, seconds, fraction)) = clock_parts(clock).ok()?;
    let day = value::days(date)?;
    if hours > 23 || minutes > 59 || seconds > 60 {
        return None;
    }
    let seconds = day * 86_400 + i64::try_from((hours * 60 + minutes) * 60 + seconds).ok()?;
    seconds
        .checked_mul(1_000_000_000)?
        .checked_add(fraction)
        .map(Timestamp)
}

/// `09:34:39.159`: hours, minutes, seconds, and nanoseconds of the fraction.
fn clock_parts(text: &str) -> IResult<&str, (u64, u64, u64, i64)> {
    let (rest, (hours, _, minutes, _, seconds)) =
        (number, char(':'), number, char(':'), number).parse(text)?;
    let (rest, fraction) = opt(preceded(char('.'), digit1)).parse(rest)?;
    Ok((
        rest,
        (hours, minutes, seconds, nanos(fraction.unwrap_or_default())),
    ))
}

/// A number of few digits.
fn number(text: &str) -> IResult<&str, u64> {
    map_opt(digit1, |digits: &str| {
        digits.parse().ok().filter(|n| *n < 1_000_000)
    })
    .parse(text)
}

/// Digits after the point to nanoseconds.
fn nanos(digits: &str) -> i64 {
    digits
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(9)
        .fold(0, |sum, digit| {
            sum * 10 + i64::from(digit.saturating_sub(b'0'))
        })
}

/// `Tarpit for '0.00:00:16.765' due to 'DelayedAck'`: nanoseconds, reason, and what follows.
pub(super) fn tarpit(text: &str) -> Option<(i64, Option<String>, &str)> {
    let parsed: IResult<&str, (i64, Option<&str>)> = (
        delimited(tag("Tarpit for '"), span, char('\'')),
        opt(delimited(
            tag(" due to '"),
            take_while(|c| c != '\''),
            char('\''),
        )),
    )
        .parse(text);
    let (rest, (nanos, reason)) = parsed.ok()?;
    Some((nanos, reason.map(str::to_owned), rest))
}

/// `0.00:00:16.765`: days, then a clock.
fn span(text: &str) -> IResult<&str, i64> {
    let (rest, days) = opt((number, char('.'))).parse(text)?;
    let (rest, (hours, minutes, seconds, fraction)) = clock_parts(rest)?;
    let days = days.map_or(0, |(days, _)| days);
    let seconds = ((days * 24 + hours) * 60 + minutes) * 60 + seconds;
    let nanos = i64::try_from(seconds)
        .unwrap_or(i64::MAX)
        .saturating_mul(1_000_000_000);
    Ok((rest, nanos.saturating_add(fraction)))
}

/// `10.0.0.5:25`, `[2001:db8::1]:25`.
pub(super) fn endpoint(text: &str) -> Option<Endpoint> {
    let text = text.trim();
    let (addr, port) = match text.parse::<SocketAddr>() {
        Ok(parsed) => (parsed.ip(), parsed.port()),
        // An IPv6 address with its zone, or without brackets.
        Err(_) => {
            let (addr, port) = text.rsplit_once(':')?;
            let addr = addr.trim_matches(['[', ']']).split('%').next()?;
            (addr.parse::<IpAddr>().ok()?, port.parse().ok()?)
        }
    };
    // A dual-stack socket logs IPv4 as mapped.
    let addr = match addr {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(addr, IpAddr::V4),
        IpAddr::V4(_) => addr,
    };
    Some(Endpoint { addr, port })
}

/// Number after `name`, with blanks or not round the colon: `FailureCount:1`, `FailureCount : 1`.
pub(super) fn labelled(text: &str, name: &str) -> Option<u64> {
    let rest = after_label(text, name)?;
    let digits: IResult<&str, u64> = number(rest);
    digits.ok().map(|(_, n)| n)
}

/// Time after `NextRetryTime`.
pub(super) fn next_retry(text: &str) -> Option<Timestamp> {
    let rest = after_label(text, "NextRetryTime")?;
    let word: IResult<&str, &str> =
        take_while1(|c: char| c.is_ascii_alphanumeric() || ":.-".contains(c)).parse(rest);
    time(word.ok()?.1)
}

fn after_label<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(name)?;
    let colon: IResult<&str, &str> =
        recognize(pair(take_while(|c| c == ' '), char(':'))).parse(rest);
    let (rest, _) = colon.ok()?;
    let blanks: IResult<&str, usize> = many0_count(char(' ')).parse(rest);
    Some(blanks.ok()?.0)
}

/// `(TimedOut:0000274C)`: Winsock's word and code.
pub(super) fn winsock(text: &str) -> Option<(String, u32)> {
    text.match_indices('(').find_map(|(at, _)| {
        let inner = text.get(at + 1..)?.split(')').next()?;
        let (word, hex) = inner.rsplit_once(':')?;
        let plain =
            hex.len() == 8 && !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric());
        Some((
            word.to_owned(),
            plain.then(|| u32::from_str_radix(hex, 16).ok()).flatten()?,
        ))
    })
}

/// Address, and port where it is given, after `connection to`.
pub(super) fn target(text: &str) -> Option<(IpAddr, Option<u16>)> {
    let at = text.to_ascii_lowercase().find("connection to ")?;
    let word = text.get(at + 14..)?.split([' ', ',', '(']).next()?;
    match endpoint(word) {
        Some(Endpoint { addr, port }) => Some((addr, Some(port))),
        None => word
            .trim_matches(['[', ']'])
            .parse()
            .ok()
            .map(|addr| (addr, None)),
    }
}

/// Whether `word` stands in `text` as a whole word: `NotMarkedUnhealthy` is not `MarkedUnhealthy`.
pub(super) fn has_word(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|t| t.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|t| t.chars().next());
        !before.is_some_and(char::is_alphanumeric) && !after.is_some_and(char::is_alphanumeric)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tarpits() {
        for (text, want) in [
            ("Tarpit for '0.00:00:05'", Some((5_000_000_000, None, ""))),
            (
                "Tarpit for '0.00:00:16.765' due to 'DelayedAck'",
                Some((16_765_000_000, Some("DelayedAck"), "")),
            ),
            (
                "Tarpit for '0.00:00:30' due to 'DelayedAck',Expired;Timeout",
                Some((30_000_000_000, Some("DelayedAck"), ",Expired;Timeout")),
            ),
            (
                "Tarpit for '1.01:01:01' due to 'Back Pressure'",
                Some((90_061_000_000_000, Some("Back Pressure"), "")),
            ),
            ("Tarpit for '00:05'", None),
            ("Tarpit for", None),
        ] {
            let want = want.map(|(n, r, t): (_, Option<&str>, _)| (n, r.map(str::to_owned), t));
            assert_eq!(tarpit(text), want, "{text}");
        }
    }

    #[test]
    fn times_and_endpoints() {
        for (text, want) in [
            ("1970-01-02T00:00:01.5Z", Some(86_401_500_000_000)),
            ("2020-11-27T09:34:39.159Z", Some(1_606_469_679_159_000_000)),
            ("2020-11-27T09:34:39.159", None),
            ("2020-13-27T09:34:39Z", None),
            ("2020-11-27T25:34:39Z", None),
        ] {
            assert_eq!(time(text).map(|t| t.0), want, "{text}");
        }
        for (text, want) in [
            ("10.0.1.5:25", Some("10.0.1.5:25")),
            ("[2001:db8::1]:25", Some("[2001:db8::1]:25")),
            ("[::ffff:10.0.1.5]:25", Some("10.0.1.5:25")),
            ("fe80::1%12:25", Some("[fe80::1]:25")),
            ("mail:25", None),
        ] {
            assert_eq!(
                endpoint(text).map(|e| e.to_string()).as_deref(),
                want,
                "{text}"
            );
        }
    }

    #[test]
    fn words_and_records() {
        assert!(has_word("a|MarkedUnhealthy|b", "MarkedUnhealthy"));
        assert!(!has_word("a|NotMarkedUnhealthy|b", "MarkedUnhealthy"));
        assert_eq!(record(r#"a,"b,""c""",,d"#), ["a", r#"b,"c""#, "", "d"]);
        assert_eq!(
            labelled("x | FailureCount : 12 | y", "FailureCount"),
            Some(12)
        );
        assert_eq!(
            winsock("to 10.2.0.4:25 (TimedOut:0000274C)[T"),
            Some(("TimedOut".to_owned(), 10060))
        );
        assert_eq!(
            target("Failed connection to 10.2.0.4:25 (x)"),
            "10.2.0.4".parse().ok().map(|a| (a, Some(25)))
        );
        assert_eq!(
            target("Established connection to 192.168.0.12"),
            "192.168.0.12".parse().ok().map(|a| (a, None))
        );
    }
}
