//! `netstat -s`: counters of TCP since boot, of Windows and of Linux.
//!
//! Takes:  a section at the title of the TCP counters
//! Gives:  the counters that carry facts; on Windows in any language, by their order, if all eight are there
//! Never:  counts where the list may be cut and its labels are not known

use super::{Found, Section, Sink, value};

/// Rows of Windows in their order: label in English, and the fact that it gives.
const WINDOWS: [(&str, Option<&str>); 8] = [
    ("Active Opens", None),
    ("Passive Opens", None),
    ("Failed Connection Attempts", Some("tcp.failed_opens")),
    ("Reset Connections", Some("tcp.resets")),
    ("Current Connections", None),
    ("Segments Received", None),
    ("Segments Sent", Some("tcp.sent")),
    ("Segments Retransmitted", Some("tcp.retransmitted")),
];

/// Reads the counters of one protocol.
pub(super) fn read(section: &Section<'_>, from: usize, out: &mut Sink) -> usize {
    let line = section.at(from);
    if line == "Tcp:" || line == "TcpExt:" {
        return linux(section, from, out);
    }
    let version = ["IPv4", "IPv6"].into_iter().find(|v| line.contains(v));
    match version {
        Some(version) if line.contains("TCP") && !line.contains([':', '=']) => {
            windows(section, from, version, out)
        }
        _ => 0,
    }
}

fn windows(section: &Section<'_>, from: usize, version: &str, out: &mut Sink) -> usize {
    let mut at = from + 1;
    while section.at(at).is_empty() && at < section.lines.len() {
        at += 1;
    }
    let rows: Vec<(usize, &str, u64)> = (at..section.lines.len().min(at + WINDOWS.len()))
        .map_while(|line| {
            let (label, count) = section.at(line).split_once(" = ")?;
            Some((line, label.trim(), value::number(count.trim())?))
        })
        .collect();
    if rows.is_empty() {
        // The title alone: the text breaks off below it, or it is something else.
        return usize::from(line_is_title(section.at(from)));
    }
    let whole = rows.len() == WINDOWS.len();
    for ((line, label, count), (_, by_order)) in rows.iter().zip(WINDOWS) {
        let by_label = WINDOWS
            .iter()
            .find(|(known, _)| known == label)
            .map(|(_, name)| *name);
        let name = match by_label {
            Some(name) => name,
            None if whole => by_order,
            None => {
                out.not_understood(*line);
                None
            }
        };
        if let Some(name) = name {
            out.fact(Found {
                subject: Some(version.to_lowercase()),
                ..Found::new(name, count.to_string(), *line)
            });
        }
    }
    at + rows.len() - from
}

fn line_is_title(line: &str) -> bool {
    line.starts_with("TCP Statistics for IPv")
}

fn linux(section: &Section<'_>, from: usize, out: &mut Sink) -> usize {
    let mut at = from + 1;
    while section.at(at).starts_with("    ") {
        let line = section.at(at).trim();
        // `18623 segments sent out`, or `InCsumErrors: 3`.
        let (count, label) = match line.split_once(": ") {
            Some((label, count)) => (value::number(count), label),
            None => {
                let (count, label) = line.split_once(' ').unwrap_or((line, ""));
                (value::number(count), label)
            }
        };
        let name = match label {
            "segments sent out" | "segments send out" => Some("tcp.sent"),
            "segments retransmitted" | "segments retransmited" => Some("tcp.retransmitted"),
            "bad segments received" | "bad segments received." => Some("tcp.in_errors"),
            "failed connection attempts" => Some("tcp.failed_opens"),
            "connection resets received" => Some("tcp.resets"),
            "InCsumErrors" => Some("tcp.in_csum_errors"),
            "times the listen queue of a socket overflowed" => Some("tcp.listen_overflows"),
            "SYNs to LISTEN sockets dropped" => Some("tcp.listen_drops"),
            "TCPTimeouts" | "other TCP timeouts" => Some("tcp.timeouts"),
            "TCPToZeroWindowAdv" => Some("tcp.zero_windows"),
            _ => None,
        };
        if let (Some(name), Some(count)) = (name, count) {
            out.fact(Found::new(name, count.to_string(), at));
        }
        at += 1;
    }
    at - from
}
