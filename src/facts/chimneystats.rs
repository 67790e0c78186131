//! `netsh int tcp show chimneystats`, and the column Offload State of `netstat -t`.
//!
//! Takes:  a section at one of their headings or notices
//! Gives:  what each adapter supports and carries, and the connections that are offloaded
//! Never:  reads the legend as rows

use super::{Found, Section, Sink};

/// Lines of the legend, by their beginning without blanks.
const LEGEND: &[&str] = &[
    "Idx-",
    "Supp-",
    "Atmpt-",
    "TMax-",
    "PMax-",
    "Olc-",
    "FailureReason-",
];

/// Reads one table or notice.
pub(super) fn read(section: &Section<'_>, from: usize, out: &mut Sink) -> usize {
    let line = section.at(from).trim();
    if line == "Your System Administrator has disabled TCP Chimney." {
        out.fact(Found::new("nic.chimney", "disabled", from));
        return 1;
    }
    let packed: String = line.chars().filter(|c| *c != ' ').collect();
    if LEGEND.iter().any(|begin| packed.starts_with(begin))
        || line.starts_with("Use `netsh int tcp show chimneystats")
    {
        return 1;
    }
    if packed.starts_with("IdxSuppAtmptTMaxPMaxOlc") {
        return stats(section, from, out);
    }
    if packed.ends_with("OffloadState") && packed.starts_with("Proto") {
        return connections(section, from, out);
    }
    if line == "Active Connections"
        && (1..4).any(|n| section.at(from + n).trim().ends_with("Offload State"))
    {
        return 1;
    }
    0
}

fn stats(section: &Section<'_>, from: usize, out: &mut Sink) -> usize {
    let mut at = from + 1;
    if section.at(at).trim_start().starts_with("---") {
        at += 1;
    }
    while let [index, supported, _, _, _, offloaded, _reason, ..] = words(section.at(at)).as_slice()
    {
        let (Ok(_), Ok(_)) = (index.parse::<u32>(), offloaded.parse::<u64>()) else {
            break;
        };
        let mut fact = |name, value: &str| {
            out.fact(Found {
                subject: Some((*index).to_owned()),
                ..Found::new(name, value, at)
            });
        };
        match *supported {
            "Yes" => fact("nic.chimney.supported", "yes"),
            "No" => fact("nic.chimney.supported", "no"),
            _ => {}
        }
        fact("nic.chimney.offloaded", offloaded);
        at += 1;
    }
    at - from
}

fn connections(section: &Section<'_>, from: usize, out: &mut Sink) -> usize {
    let mut at = from + 1;
    loop {
        match words(section.at(at)).as_slice() {
            [] if section.lines.len() > at + 1
                && words(section.at(at + 1)).first() == Some(&"TCP") => {}
            ["TCP", local, remote, _, state] => {
                if *state == "Offloaded" {
                    out.fact(Found {
                        subject: Some(format!("{local}>{remote}")),
                        ..Found::new("nic.chimney.connection", "offloaded", at)
                    });
                }
            }
            _ => break,
        }
        at += 1;
    }
    at - from
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}
