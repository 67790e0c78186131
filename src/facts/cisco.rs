//! `show interfaces` of Cisco's switches and routers.
//!
//! Takes:  a section at `FastEthernet0/1 is up, line protocol is up`
//! Gives:  duplex, speed and error counters of the port
//! Never:  reads rates as counts

use super::{Found, Section, Sink, value};

/// Reads one port.
pub(super) fn read(section: &Section<'_>, from: usize, out: &mut Sink) -> usize {
    let first = section.at(from);
    let Some((port, _)) = first
        .split_once(" is ")
        .filter(|_| first.contains(", line protocol is "))
    else {
        return 0;
    };
    if port.contains(' ') {
        return 0;
    }
    let mut at = from + 1;
    while section.at(at).starts_with([' ', '\t']) {
        for part in section.at(at).split(',').map(str::trim) {
            let lower = part.to_lowercase();
            let fact = match lower.as_str() {
                "full-duplex" | "full duplex" => Some(("switch.duplex", "full".to_owned())),
                "half-duplex" | "half duplex" => Some(("switch.duplex", "half".to_owned())),
                _ => counted(&lower).or_else(|| {
                    let plain = !lower.contains(' ') && lower.ends_with("b/s");
                    plain
                        .then(|| value::speed(&lower).map(|v| ("switch.speed_mbps", v)))
                        .flatten()
                }),
            };
            if let Some((name, value)) = fact {
                out.fact(Found {
                    subject: Some(port.to_owned()),
                    ..Found::new(name, value, at)
                });
            }
        }
        at += 1;
    }
    at - from
}

/// `3980 crc`, `0 late collision`.
fn counted(part: &str) -> Option<(&'static str, String)> {
    let (count, label) = part.split_once(' ')?;
    let name = match label {
        "crc" => "switch.crc_errors",
        "input errors" => "switch.input_errors",
        "late collision" | "late collisions" => "switch.late_collisions",
        _ => return None,
    };
    Some((name, value::number(count)?.to_string()))
}
