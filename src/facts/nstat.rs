//! `nstat -az`: counters of Linux's TCP since boot.
//!
//! Takes:  a section at a counter
//! Gives:  the counters that carry facts
//! Never:  takes a rate for a count

use super::{Found, Section, Sink, value};

/// Reads one line.
pub(super) fn read(section: &Section<'_>, from: usize, out: &mut Sink) -> usize {
    let line = section.at(from);
    if line == "#kernel" {
        return 1;
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let [name, count, rate] = words.as_slice() else {
        return 0;
    };
    let ours = ["Tcp", "Ip", "Icmp", "Udp", "MPTcp"]
        .iter()
        .any(|begin| name.starts_with(begin))
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let (true, Some(count), Ok(_)) = (ours, value::number(count), rate.parse::<f64>()) else {
        return 0;
    };
    let fact = match *name {
        "TcpRetransSegs" => "tcp.retransmitted",
        "TcpOutSegs" => "tcp.sent",
        "TcpInErrs" => "tcp.in_errors",
        "TcpInCsumErrors" => "tcp.in_csum_errors",
        "TcpAttemptFails" => "tcp.failed_opens",
        "TcpEstabResets" => "tcp.resets",
        "TcpExtListenOverflows" => "tcp.listen_overflows",
        "TcpExtListenDrops" => "tcp.listen_drops",
        "TcpExtTCPTimeouts" => "tcp.timeouts",
        "TcpExtTCPToZeroWindowAdv" => "tcp.zero_windows",
        _ => return 1,
    };
    out.fact(Found::new(fact, count.to_string(), from));
    1
}
