//! `reg query` of Tcpip\Parameters: the Scalable Networking Pack's switches on ws2003, and timers.
//!
//! Takes:  a section at a key or a value
//! Gives:  the values that carry facts
//! Never:  reads a value of another key

use super::{Found, Section, Sink, value};

/// Reads a key with its values.
pub(super) fn read(section: &Section<'_>, from: usize, out: &mut Sink) -> usize {
    let key = section.at(from).trim().to_lowercase();
    if key.starts_with("! reg.exe version") {
        return 1;
    }
    if !key.starts_with("hkey_") {
        return 0;
    }
    let ours = key.ends_with("\\services\\tcpip\\parameters");
    let mut at = from + 1;
    while let Some((name, data)) = entry(section.at(at)) {
        if ours {
            setting(name, data, at, out);
        }
        at += 1;
    }
    at - from
}

/// Name and number of `    EnableRSS    REG_DWORD    0x1`; other types have no number.
fn entry(line: &str) -> Option<(&str, Option<u64>)> {
    let (name, rest) = line.split_once("REG_")?;
    let mut words = rest.split_whitespace();
    let kind = words.next()?;
    let data = words.next().unwrap_or_default();
    let number = match data.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => value::number(data),
    };
    line.starts_with([' ', '\t'])
        .then(|| (name.trim(), number.filter(|_| kind == "DWORD")))
}

fn setting(name: &str, data: Option<u64>, line: usize, out: &mut Sink) {
    let Some(data) = data else { return };
    let switch = match data {
        0 => Some("disabled"),
        1 => Some("enabled"),
        _ => None,
    };
    let mut fact = |name, value: String| out.fact(Found::new(name, value, line));
    let mut switched = |name| {
        if let Some(value) = switch {
            fact(name, value.to_owned());
        }
    };
    match name.to_lowercase().as_str() {
        "enabletcpchimney" => switched("tcp.snp.chimney"),
        "enablerss" => switched("tcp.snp.rss"),
        "enabletcpa" => switched("tcp.snp.tca"),
        "keepalivetime" => fact("tcp.keepalive_ms", data.to_string()),
        "tcptimedwaitdelay" => fact("tcp.timed_wait_s", data.to_string()),
        "maxuserport" => fact("tcp.max_user_port", data.to_string()),
        _ => {}
    }
}
