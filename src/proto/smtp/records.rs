//! Lines of SMTP, read: commands, replies, enhanced status codes, `Received:` fields. Pure: octets in, structs out.
//!
//! Takes:  octets of one line
//! Gives:  what the line says, borrowed from it
//! Never:  returns the credentials of an AUTH line; reads a message's text

use std::borrow::Cow;

use nom::branch::alt;
use nom::bytes::complete::{tag_no_case, take_while, take_while_m_n, take_while1};
use nom::bytes::streaming::take;
use nom::character::complete::{char, space0, space1, u16 as number16, u32 as number32};
use nom::combinator::{map_opt, opt, verify};
use nom::sequence::{preceded, terminated};
use nom::{IResult, Parser};

/// Octets of a text kept in records.
pub(crate) const MAX_TEXT: usize = 256;

/// Verbs that are known.
const VERBS: [&str; 44] = [
    "EHLO",
    "HELO",
    "LHLO",
    "MAIL",
    "RCPT",
    "DATA",
    "BDAT",
    "RSET",
    "NOOP",
    "QUIT",
    "AUTH",
    "STARTTLS",
    "VRFY",
    "EXPN",
    "HELP",
    "TURN",
    "ETRN",
    "ATRN",
    "BURL",
    "SEND",
    "SOML",
    "SAML",
    "XCLIENT",
    "XFORWARD",
    "X-EXPS",
    "X-ANONYMOUSTLS",
    "XEXCH50",
    "XSHADOW",
    "XSHADOWREQUEST",
    "XQDISCARD",
    "XPROXY",
    "XPROXYFROM",
    "XPROXYTO",
    "XSESSIONPARAMS",
    "X-LINK2STATE",
    "XRDST",
    "XSYSPROBE",
    "XXXX",
    "XADR",
    "XCIR",
    "XGEN",
    "XONE",
    "XSTA",
    "XVERP",
];

/// A command line without its end.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Command<'a> {
    /// Verb in upper case; `?` where it is none that is known, and so might be a secret.
    pub verb: &'static str,
    /// What follows the verb and its blanks.
    pub argument: &'a [u8],
}

/// Reads a command line, its end taken off (RFC 5321 section 4.1.1).
///
/// `None` where the line does not begin with a word.
#[must_use]
pub fn command(line: &[u8]) -> Option<Command<'_>> {
    let word = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
    let parsed: IResult<&[u8], &[u8]> = verify(take_while1(word), |verb: &[u8]| {
        verb.first().is_some_and(u8::is_ascii_alphabetic)
    })
    .parse(line);
    let (rest, verb) = parsed.ok()?;
    if !matches!(rest.first(), None | Some(b' ' | b'\t' | b':')) {
        return None;
    }
    let known = VERBS
        .iter()
        .find(|known| known.as_bytes().eq_ignore_ascii_case(verb));
    let verb = match known {
        Some(known) => *known,
        // It may be a line of an AUTH exchange whose command was missed, or of a body; an X, with which private verbs begin (RFC 5321
        // section 4.1.5), tells nothing, as Base64 begins with it as well.
        None => "?",
    };
    Some(Command {
        verb,
        argument: rest.trim_ascii_start(),
    })
}

/// Whether the line can hardly be anything but a command: for finding the dialog again.
#[must_use]
pub fn is_plain_command(line: &[u8]) -> bool {
    let Some(command) = command(line) else {
        return false;
    };
    let argument = command.argument.trim_ascii();
    match command.verb {
        "EHLO" | "HELO" | "LHLO" => !argument.is_empty() && !argument.contains(&b' '),
        "MAIL" => argument
            .get(..5)
            .is_some_and(|from| from.eq_ignore_ascii_case(b"FROM:")),
        "RCPT" => argument
            .get(..3)
            .is_some_and(|to| to.eq_ignore_ascii_case(b"TO:")),
        "DATA" | "RSET" | "QUIT" | "STARTTLS" | "X-ANONYMOUSTLS" | "NOOP" => argument.is_empty(),
        "BDAT" => bdat(argument).is_some(),
        "AUTH" | "X-EXPS" => {
            argument.first().is_some_and(u8::is_ascii_uppercase) && mechanism(argument).is_some()
        }
        "XEXCH50" | "XSHADOW" | "XSHADOWREQUEST" | "XQDISCARD" | "XPROXY" | "XPROXYFROM"
        | "XPROXYTO" | "XCLIENT" | "XFORWARD" | "XSESSIONPARAMS" => true,
        _ => false,
    }
}

/// Octets of a chunk, and whether it is the last (RFC 3030 section 2).
#[must_use]
pub fn bdat(argument: &[u8]) -> Option<(u64, bool)> {
    let size: IResult<&[u8], u64> = nom::character::complete::u64(argument);
    let (rest, size) = size.ok()?;
    let last: IResult<&[u8], Option<&[u8]>> =
        opt(preceded(space1, tag_no_case(&b"LAST"[..]))).parse(rest);
    let (rest, last) = last.ok()?;
    rest.trim_ascii()
        .is_empty()
        .then_some((size, last.is_some()))
}

/// Name of the mechanism of AUTH or X-EXPS (RFC 4954 section 4); what follows it is a secret.
#[must_use]
pub fn mechanism(argument: &[u8]) -> Option<&str> {
    let name: IResult<&[u8], &[u8]> = take_while_m_n(1, 20, |c: u8| {
        c.is_ascii_alphanumeric() || c == b'-' || c == b'_'
    })
    .parse(argument);
    let (rest, name) = name.ok()?;
    if !matches!(rest.first(), None | Some(b' ' | b'\r')) {
        return None;
    }
    std::str::from_utf8(name).ok()
}

/// One line of a reply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ReplyLine<'a> {
    /// Reply code.
    pub code: u16,
    /// Whether the reply ends here.
    pub is_last: bool,
    /// Text after the code and its mark, without the line's end.
    pub text: &'a [u8],
}

/// Reads one line of a reply: `250-SIZE 35882577`, `250 OK`, `250`.
///
/// `Incomplete` until the line's end is in; an `Error` means the octets are no reply and the dialog has to be found again. A bare LF
/// is taken for a line's end too, as receivers do. RFC 5321 section 4.2.
///
/// # Errors
/// As nom gives them.
pub fn reply_line(input: &[u8]) -> IResult<&[u8], ReplyLine<'_>> {
    let (rest, code) = map_opt(take(3usize), reply_code).parse(input)?;
    // `take_until` would build a searcher for each line.
    let Some((line, rest)) =
        memchr::memchr(b'\n', rest).and_then(|end| Some((rest.get(..end)?, rest.get(end + 1..)?)))
    else {
        return Err(nom::Err::Incomplete(nom::Needed::Unknown));
    };
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let (is_last, text) = match line.split_first() {
        None => (true, line),
        Some((b' ', text)) => (true, text),
        Some((b'-', text)) => (false, text),
        Some(_) => {
            return Err(nom::Err::Error(nom::error::Error::new(
                input,
                nom::error::ErrorKind::Char,
            )));
        }
    };
    Ok((
        rest,
        ReplyLine {
            code,
            is_last,
            text,
        },
    ))
}

fn reply_code(digits: &[u8]) -> Option<u16> {
    match digits {
        &[a @ b'1'..=b'5', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
            Some(u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0'))
        }
        _ => None,
    }
}

/// Enhanced status code at the start of a reply's text: `4.3.2 Service not available` (RFC 2034, RFC 3463).
#[must_use]
pub fn enhanced(text: &[u8]) -> Option<[u16; 3]> {
    let code: IResult<&[u8], (u16, u16, u16)> = (
        terminated(
            verify(number16, |class| matches!(class, 2 | 4 | 5)),
            char('.'),
        ),
        terminated(number16, char('.')),
        number16,
    )
        .parse(text);
    let (rest, (class, subject, detail)) = code.ok()?;
    (subject < 1_000 && detail < 1_000 && matches!(rest.first(), None | Some(b' ' | b'\t')))
        .then_some([class, subject, detail])
}

/// Text for a record: its start, as UTF-8, with mail addresses replaced unless they may be kept.
#[must_use]
pub fn text(octets: &[u8], addresses: bool) -> String {
    // Addresses are sought beyond what is kept, so that none shows its beginning where the text is cut.
    let octets = match octets.get(..2 * MAX_TEXT) {
        Some(start) => {
            let whole = start.iter().rposition(u8::is_ascii_whitespace);
            start.get(..whole.unwrap_or(MAX_TEXT)).unwrap_or_default()
        }
        None => octets,
    };
    let kept = if addresses {
        String::from_utf8_lossy(octets).into_owned()
    } else {
        String::from_utf8_lossy(&without_addresses(octets)).into_owned()
    };
    let end = kept.floor_char_boundary(MAX_TEXT);
    if end == kept.len() {
        return kept;
    }
    kept.get(..end).unwrap_or_default().to_owned()
}

/// What stands between a local part and its domain: as it is written in mail, in xtext (RFC 3461 section 4), in a URL, and full-width.
pub(crate) const ADDRESS_SIGNS: [&str; 4] = ["@", "+40", "%40", "＠"];

/// The first address sign: where it begins, and its octets. One that is coded counts only before a domain with a dot.
fn address_sign(octets: &[u8]) -> Option<(usize, usize)> {
    // The coded signs are found by their second octet.
    let mut places = memchr::memchr3_iter(b'@', b'4', 0xef, octets);
    places.find_map(|place| {
        let start = match octets.get(place) {
            Some(b'4') => place.checked_sub(1)?,
            _ => place,
        };
        let rest = octets.get(start..)?;
        let mut signs = ADDRESS_SIGNS.iter().map(|sign| sign.as_bytes());
        let (sign, domain) = signs.find_map(|sign| Some((sign, rest.strip_prefix(sign)?)))?;
        let domain = domain.split(ends_domain).next().unwrap_or_default();
        (sign == b"@" || domain.contains(&b'.')).then_some((start, sign.len()))
    })
}

fn ends_domain(c: &u8) -> bool {
    c.is_ascii_whitespace() || b"<>()[],;:\"'=".contains(c)
}

/// Ends a local part, looked at from behind: `=` and `'` may stand in one (RFC 5322 section 3.2.3), and do in those that name a bounce.
fn ends_local(c: &u8) -> bool {
    c.is_ascii_whitespace() || b"<>()[],;:\"".contains(c)
}

/// Where a quoted local part begins that ends before the closing quote of `before`: it may hold anything (RFC 5321 section 4.1.2).
fn opening_quote(quoted: &[u8]) -> usize {
    let mut end = quoted.len();
    while let Some(at) = memchr::memrchr(b'"', quoted.get(..end).unwrap_or_default()) {
        let escapes = quoted.get(..at).unwrap_or_default();
        let escapes = escapes.iter().rev().take_while(|c| **c == b'\\').count();
        if escapes % 2 == 0 {
            return at;
        }
        end = at;
    }
    0
}

/// Replaces everything that looks like `local@domain` by `<address>`, and a path that is cut.
fn without_addresses(octets: &[u8]) -> Cow<'_, [u8]> {
    let cut = memchr::memrchr(b'<', octets)
        .filter(|open| !octets.get(*open..).unwrap_or_default().contains(&b'>'));
    if cut.is_none() && address_sign(octets).is_none() {
        return Cow::Borrowed(octets);
    }
    let mut clean: Vec<u8> = Vec::with_capacity(octets.len());
    let mut rest = octets
        .get(..cut.unwrap_or(octets.len()))
        .unwrap_or_default();
    while let Some((at, sign)) = address_sign(rest) {
        let (before, after) = rest.split_at(at);
        let after = after.get(sign..).unwrap_or_default();
        let local = match before.strip_suffix(b"\"") {
            Some(quoted) => opening_quote(quoted),
            None => before.iter().rposition(ends_local).map_or(0, |end| end + 1),
        };
        let domain = if after.first() == Some(&b'[') {
            memchr::memchr(b']', after).map_or(after.len(), |end| end + 1)
        } else {
            after.iter().position(ends_domain).unwrap_or(after.len())
        };
        let kept = before.get(..local).unwrap_or_default();
        clean.extend_from_slice(kept.strip_suffix(b"<").unwrap_or(kept));
        clean.extend_from_slice(b"<address>");
        rest = after.get(domain..).unwrap_or_default();
        rest = rest.strip_prefix(b">").unwrap_or(rest);
    }
    clean.extend_from_slice(rest);
    if cut.is_some() {
        clean.extend_from_slice(b"<address>");
    }
    Cow::Owned(clean)
}

/// A command line as evidence: what it asks for, and nothing that may be a secret, a body's text, or (unless they may be kept) an address.
#[must_use]
pub fn evidence(line: &[u8], command: &Command<'_>, addresses: bool) -> String {
    let (verb, argument) = (command.verb, command.argument.trim_ascii_end());
    match verb {
        "AUTH" | "X-EXPS" => match mechanism(argument) {
            Some(mechanism) => format!("{verb} {mechanism}"),
            None => verb.to_owned(),
        },
        "?" => format!("unknown command, {} octets", line.len()),
        "EHLO" | "HELO" | "LHLO" if !argument.contains(&b' ') => {
            format!("{verb} {}", text(argument, false))
        }
        "BDAT" if bdat(argument).is_some() => format!("{verb} {}", text(argument, false)),
        "MAIL" | "RCPT" => {
            let colon = memchr::memchr(b':', argument).filter(|colon| *colon <= b"FROM ".len());
            let (word, path) = argument.split_at(colon.map_or(0, |colon| colon + 1));
            // The whole path goes, with or without an @ in it; the empty one of a bounce stays.
            let path = path.trim_ascii_start();
            let (path, parameters) = if path.starts_with(b"<") {
                let end = memchr::memchr(b'>', path).map_or(path.len(), |end| end + 1);
                path.split_at(end)
            } else {
                path.split_at(memchr::memchr(b' ', path).unwrap_or(path.len()))
            };
            let path = match path {
                b"<>" => "<>".to_owned(),
                _ if addresses && colon.is_some() => text(path, true),
                _ => "<address>".to_owned(),
            };
            let parameters = parameters.split(|c| *c == b' ').filter(|p| !p.is_empty());
            let told: String = parameters.filter_map(parameter).collect();
            format!("{verb} {}{path}{told}", text(word, false))
        }
        _ if argument.is_empty() => verb.to_owned(),
        "VRFY" | "EXPN" | "SEND" | "SOML" | "SAML" if !addresses => format!("{verb} <address>"),
        _ => format!("{verb} …"),
    }
}

/// A parameter of MAIL or RCPT, with its value where that is a word of the protocol; `None`: it is none.
fn parameter(octets: &[u8]) -> Option<String> {
    let equals = memchr::memchr(b'=', octets);
    let (name, value) = octets.split_at(equals.unwrap_or(octets.len()));
    let name = std::str::from_utf8(name).ok()?.to_ascii_uppercase();
    match name.as_str() {
        "SIZE" | "BODY" | "RET" | "NOTIFY" | "BY" | "HOLDFOR" | "HOLDUNTIL" | "MT-PRIORITY" => {
            Some(format!(
                " {name}{}",
                text(value.get(..64).unwrap_or(value), false)
            ))
        }
        "SMTPUTF8" | "REQUIRETLS" => Some(format!(" {name}")),
        "AUTH" | "ORCPT" | "ENVID" | "XOORG" | "XORIG" | "XSHADOW" | "XMESSAGECONTEXT" => {
            Some(format!(" {name}=…"))
        }
        _ => None,
    }
}

/// A hop of a message: one `Received:` field (RFC 5321 section 4.4). Names are hostile.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Hop {
    /// Name after `from`.
    pub from: Option<String>,
    /// Name after `by`.
    pub by: Option<String>,
    /// Seconds since 1970, UTC, by the clock of the host that wrote the field.
    pub time: Option<i64>,
}

/// Reads the value of a `Received:` field, unfolded or not.
#[must_use]
pub fn received(value: &[u8]) -> Hop {
    let (clauses, date) = match memchr::memrchr(b';', value) {
        Some(semicolon) => (
            value.get(..semicolon).unwrap_or_default(),
            value.get(semicolon + 1..),
        ),
        None => (value, None),
    };
    let mut hop = Hop {
        time: date.and_then(date_time),
        ..Hop::default()
    };
    let mut words = clauses
        .split(u8::is_ascii_whitespace)
        .filter(|word| !word.is_empty());
    let mut depth = 0_usize;
    while let Some(word) = words.next() {
        if depth == 0 && word.eq_ignore_ascii_case(b"from") && hop.from.is_none() {
            hop.from = words.next().map(|name| text(name, false));
        } else if depth == 0 && word.eq_ignore_ascii_case(b"by") && hop.by.is_none() {
            hop.by = words.next().map(|name| text(name, false));
        } else {
            for octet in word {
                match octet {
                    b'(' => depth += 1,
                    b')' => depth = depth.saturating_sub(1),
                    _ => {}
                }
            }
        }
    }
    hop
}

/// `Fri, 21 Nov 1997 09:55:06 -0600 (CST)` as seconds since 1970, UTC (RFC 5322 section 3.3).
#[must_use]
pub fn date_time(text: &[u8]) -> Option<i64> {
    const MONTHS: [&str; 12] = [
        "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
    ];
    let text: Vec<u8> = text
        .iter()
        .take(80)
        .map(|&c| if c.is_ascii_whitespace() { b' ' } else { c })
        .collect();
    let letters = |input| {
        take_while1::<_, &[u8], nom::error::Error<&[u8]>>(|c: u8| c.is_ascii_alphabetic())
            .parse(input)
    };
    let (rest, _) = space0::<&[u8], nom::error::Error<&[u8]>>(&text).ok()?;
    let (rest, _) = opt(terminated(letters, (char(','), space0)))
        .parse(rest)
        .ok()?;
    let (rest, day) = terminated(number16, space1::<&[u8], nom::error::Error<&[u8]>>)
        .parse(rest)
        .ok()?;
    let (rest, month) = terminated(letters, space1).parse(rest).ok()?;
    let (rest, year) = terminated(number32, space1::<&[u8], nom::error::Error<&[u8]>>)
        .parse(rest)
        .ok()?;
    let (rest, hour) = terminated(number16::<&[u8], nom::error::Error<&[u8]>>, char(':'))
        .parse(rest)
        .ok()?;
    let (rest, minute) = number16::<&[u8], nom::error::Error<&[u8]>>(rest).ok()?;
    let (rest, second) = opt(preceded(
        char(':'),
        number16::<&[u8], nom::error::Error<&[u8]>>,
    ))
    .parse(rest)
    .ok()?;
    let (rest, _) = space0::<&[u8], nom::error::Error<&[u8]>>(rest).ok()?;
    let zone: IResult<&[u8], i64> = alt((zone_number, zone_name)).parse(rest);
    let zone = zone.map_or(0, |(_, zone)| zone);
    let month = MONTHS
        .iter()
        .position(|name| name.as_bytes().eq_ignore_ascii_case(month))?;
    let month = i64::try_from(month).ok()? + 1;
    if !(1970..=9_999).contains(&year) || !(1..=31).contains(&day) || hour > 23 || minute > 59 {
        return None;
    }
    let days = days_since_1970(i64::from(year), month, i64::from(day));
    let clock = i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second.unwrap_or(0));
    Some(days * 86_400 + clock - zone)
}

fn zone_number(input: &[u8]) -> IResult<&[u8], i64> {
    let (rest, sign) = alt((char('+'), char('-'))).parse(input)?;
    let (rest, digits) = take_while_m_n(4, 4, |c: u8| c.is_ascii_digit()).parse(rest)?;
    let number = digits
        .iter()
        .fold(0_i64, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    let seconds = (number / 100) * 3_600 + (number % 100) * 60;
    Ok((rest, if sign == '-' { -seconds } else { seconds }))
}

/// The zones of RFC 822 that still turn up; others count as UTC (RFC 5322 section 4.3).
fn zone_name(input: &[u8]) -> IResult<&[u8], i64> {
    let (rest, name) = take_while(|c: u8| c.is_ascii_alphabetic()).parse(input)?;
    let hours = match name.to_ascii_uppercase().as_slice() {
        b"EDT" => -4,
        b"EST" | b"CDT" => -5,
        b"CST" | b"MDT" => -6,
        b"MST" | b"PDT" => -7,
        b"PST" => -8,
        _ => 0,
    };
    Ok((rest, hours * 3_600))
}

/// Days from 1970-01-01 in the Gregorian calendar, for years from 1970 on.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    // Years that begin in March, so that the leap day is the last of its year.
    let (year, month) = if month <= 2 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let of_year = (153 * month + 2) / 5 + day - 1;
    365 * year + year / 4 - year / 100 + year / 400 + of_year - 719_468
}

/// Whether a reply speaks of AUTH: it may echo the command.
pub(super) fn names_auth(text: &[u8]) -> bool {
    let mut words = text.windows(4);
    words.any(|word| word.eq_ignore_ascii_case(b"AUTH"))
}

/// A reply's text without what it echoes: everything between quotes, and every word that looks coded.
///
/// Servers answer a line that they do not understand with that line; it may be the answer to a challenge, sent out of turn.
pub(super) fn without_quotes(text: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(text.len());
    let mut quoted = false;
    for word in text.split(|b| *b == b' ') {
        if !kept.is_empty() {
            kept.push(b' ');
        }
        let coded = word.len() >= 8
            && word
                .iter()
                .any(|b| b.is_ascii_digit() || matches!(b, b'=' | b'+' | b'/'))
            && word.iter().any(u8::is_ascii_alphabetic)
            && !word.contains(&b'.');
        for (at, &b) in word.iter().enumerate() {
            let letter = |at: Option<usize>| {
                let b = at.and_then(|at| word.get(at));
                b.is_some_and(u8::is_ascii_alphanumeric)
            };
            let apostrophe = b == b'\'' && letter(at.checked_sub(1)) && letter(Some(at + 1));
            if (b == b'"' || b == b'\'') && !apostrophe {
                if !quoted {
                    kept.extend_from_slice(b"<echo>");
                }
                quoted = !quoted;
            } else if !quoted && !coded {
                kept.push(b);
            }
        }
        if coded && !quoted && !kept.ends_with(b"<echo>") {
            kept.extend_from_slice(b"<echo>");
        }
    }
    kept
}
