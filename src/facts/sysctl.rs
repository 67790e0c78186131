//! `sysctl`: settings of Linux's TCP.
//!
//! Takes:  a section at a `net.…` line
//! Gives:  the settings that carry facts; that there are any says that the host runs Linux
//! Never:  reads a parameter by a part of its name

use super::{Found, Section, Sink, value};

/// Reads one line.
pub(super) fn read(section: &Section<'_>, from: usize, out: &mut Sink) -> usize {
    let Some((name, text)) = section
        .at(from)
        .split_once(" = ")
        .or_else(|| section.at(from).split_once('='))
    else {
        return 0;
    };
    let plain = name.starts_with("net.") && !name.contains(' ');
    if !plain {
        return 0;
    }
    let text = text.trim();
    let mut fact = |name, value: String| out.fact(Found::new(name, value, from));
    let count = value::number(text);
    match (name, count) {
        ("net.ipv4.tcp_rto_min_us", Some(n)) => fact("tcp.min_rto_ms", (n / 1000).to_string()),
        ("net.ipv4.tcp_syn_retries", Some(n)) => fact("tcp.max_syn", n.to_string()),
        ("net.ipv4.tcp_mtu_probing", Some(n)) => fact("tcp.mtu_probing", n.to_string()),
        ("net.ipv4.tcp_ecn", Some(n)) => match n {
            0 => fact("tcp.ecn", "disabled".to_owned()),
            1 => fact("tcp.ecn", "enabled".to_owned()),
            2 => fact("tcp.ecn", "passive".to_owned()),
            _ => {}
        },
        // 2: without the random offset.
        ("net.ipv4.tcp_timestamps", Some(n)) => {
            fact("tcp.timestamps", value::switched(n > 0).to_owned())
        }
        ("net.ipv4.tcp_sack", Some(n)) => fact("tcp.sack", value::switched(n > 0).to_owned()),
        ("net.ipv4.tcp_window_scaling", Some(n)) => {
            fact("tcp.window_scaling", value::switched(n > 0).to_owned())
        }
        ("net.ipv4.tcp_keepalive_time", Some(n)) => {
            fact("tcp.keepalive_ms", n.saturating_mul(1000).to_string())
        }
        ("net.ipv4.tcp_congestion_control", _) if !text.is_empty() => {
            fact("tcp.congestion", text.to_lowercase())
        }
        ("net.ipv4.ip_local_port_range", _) => {
            let mut ends = text.split_whitespace().map(value::number);
            if let (Some(Some(first)), Some(Some(last))) = (ends.next(), ends.next())
                && let Some(count) = last.checked_sub(first)
            {
                fact("tcp.dynamic_ports.start", first.to_string());
                fact("tcp.dynamic_ports", count.saturating_add(1).to_string());
            }
        }
        _ => {}
    }
    1
}
