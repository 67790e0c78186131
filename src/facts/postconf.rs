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
        out.fact(Found::new(format!("postfix.{name}"), value, from));
    }
    at - from
}
