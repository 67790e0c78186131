//! `postconf -n`: Postfix's parameters.
//!
//! Takes:  a section at a parameter
//! Gives:  each parameter that bears on transfers as `postfix.<parameter>`
//! Never:  reads `name = value` lines of others: the name must be one of Postfix's; keeps no tables with secrets

use super::{Found, Section, Sink};

/// How Postfix's names begin, save those of [`NAMES`].
const PREFIXES: &[&str] = &[
    "smtpd_",
    "smtp_",
    "postscreen_",
    "default_process",
    "default_destination",
    "anvil_",
    "lmtp_",
    "tlsproxy_",
    "stress",
];

/// Names that stand for themselves.
const NAMES: &[&str] = &[
    "compatibility_level",
    "inet_interfaces",
    "inet_protocols",
    "mynetworks",
    "mail_version",
    "myhostname",
    "mydestination",
    "relayhost",
    "message_size_limit",
    "queue_run_delay",
    "minimal_backoff_time",
    "maximal_backoff_time",
    "relay_domains",
    "maximal_queue_lifetime",
    "in_flow_delay",
    "disable_dns_lookups",
    "qmgr_message_active_limit",
];

/// Reads one parameter with the lines that go on with it.
pub(super) fn read(section: &Section<'_>, from: usize, out: &mut Sink) -> usize {
    let line = section.at(from);
    // An empty value leaves `name =` once the end of the line is trimmed.
    let Some((name, value)) = line
        .split_once(" = ")
        .or_else(|| Some((line.strip_suffix(" =")?, "")))
    else {
        return 0;
    };
    let plain = !name.is_empty()
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let known = PREFIXES.iter().any(|begin| name.starts_with(begin)) || NAMES.contains(&name);
    let asked = section.command.contains("postconf");
    if !plain || !(known || asked) {
        return 0;
    }
    let mut value = value.trim().to_owned();
    let mut at = from + 1;
    while section.at(at).starts_with([' ', '\t'])
        && !section.at(at).trim().is_empty()
        && !section.at(at).contains(" = ")
    {
        value.push(' ');
        value.push_str(section.at(at).trim());
        at += 1;
    }
    let secret = name.contains("password") || name.contains("_key");
    if known && !secret && !value.is_empty() {
        let value = without_tables(&value);
        out.fact(Found {
            shown: Some(without_tables(section.at(from))),
            ..Found::new(format!("postfix.{name}"), value, from)
        });
    }
    at - from
}

/// Tables whose contents stand in the parameter itself, by the words that begin them.
const TABLES: &[&str] = &["inline:", "static:"];

/// The value with `…` in place of what such tables hold: it may be a password, or the key of a block list.
fn without_tables(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(end) = TABLES
        .iter()
        .filter_map(|table| Some(rest.find(table)? + table.len()))
        .min()
    {
        let (before, table) = rest.split_at(end);
        text.push_str(before);
        text.push('…');
        let mut depth = 0_usize;
        let ends = table.find(|c: char| {
            depth += usize::from(c == '{');
            // The brace that closes the table is left where it is.
            let is_last = c == '}' && depth <= 1;
            depth = depth.saturating_sub(usize::from(c == '}'));
            is_last || depth == 0 && (c == ',' || c.is_whitespace())
        });
        rest = ends.and_then(|at| table.get(at..)).unwrap_or_default();
    }
    text + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_left_out() {
        for (value, want) in [
            ("permit", "permit"),
            ("inline:{a=secret}", "inline:…}"),
            ("static:secret", "static:…"),
            ("static:secret, permit", "static:…, permit"),
            (
                "hash:/etc/a, inline:{ {a = b c} d=e }, permit",
                "hash:/etc/a, inline:…}, permit",
            ),
            ("static:{535 no} inline:{a=b} x", "static:…} inline:…} x"),
            ("inline:", "inline:…"),
            ("inline:{a", "inline:…"),
            ("inline:}}, x", "inline:…}}, x"),
        ] {
            assert_eq!(without_tables(value), want, "{value}");
        }
    }
}
