//! `/proc/net/bonding/*`: teams of Linux.
//!
//! Takes:  a section at the driver's first line
//! Gives:  the team's mode, members, partner and faults; named by the command that was typed, if it was
//! Never:  calls a member down that it does not say is down

use super::{Found, Section, Sink};

/// Reads one team.
pub(super) fn read(section: &Section<'_>, from: usize, out: &mut Sink) -> usize {
    if !section
        .at(from)
        .starts_with("Ethernet Channel Bonding Driver:")
    {
        return 0;
    }
    let team = section
        .argument("cat")
        .and_then(|path| path.strip_prefix("/proc/net/bonding/"))
        .map(str::to_owned);
    let mut fact = |name, value: &str, subject: Option<String>, line| {
        out.fact(Found {
            subject,
            ..Found::new(name, value, line)
        });
    };
    let of_team = |member: &String| {
        Some(
            team.as_ref()
                .map_or_else(|| member.clone(), |team| format!("{team}/{member}")),
        )
    };
    fact("nic.team", "bonding", team.clone(), from);
    let mut member: Option<String> = None;
    let mut aggregator: Option<String> = None;
    let mut at = from + 1;
    while at < section.lines.len() {
        let line = section.at(at).trim();
        if line.is_empty() || line == "802.3ad info" {
            at += 1;
            continue;
        }
        let Some((key, value)) = line.split_once(':').map(|(k, v)| (k.trim(), v.trim())) else {
            break;
        };
        match (key, &member) {
            ("Bonding Mode", _) => fact("nic.team.mode", mode(value), team.clone(), at),
            ("Partner Mac Address", None) => {
                let none = value == "00:00:00:00:00:00";
                fact(
                    "nic.team.lacp_partner",
                    if none { "none" } else { value },
                    team.clone(),
                    at,
                );
            }
            ("Slave Interface", _) => {
                fact("nic.team.member", value, team.clone(), at);
                member = Some(value.to_owned());
            }
            ("MII Status", None) => fact("nic.team.status", value, team.clone(), at),
            ("MII Status", Some(member)) if value != "up" => {
                fact("nic.team.member_down", "yes", of_team(member), at);
            }
            ("Speed", Some(member)) => {
                if let Some(speed) = super::value::speed(&value.to_lowercase()) {
                    fact("nic.speed_mbps", &speed, Some(member.clone()), at);
                }
            }
            ("Duplex", Some(member)) if matches!(value, "full" | "half") => {
                fact("nic.duplex", value, Some(member.clone()), at);
            }
            ("Link Failure Count", Some(member))
                if value != "0" && super::value::number(value).is_some() =>
            {
                fact("nic.link_failures", value, of_team(member), at);
            }
            ("Aggregator ID", Some(_)) => match &aggregator {
                Some(first) if first != value => {
                    fact("nic.team.aggregator_mismatch", "yes", team.clone(), at);
                }
                _ => aggregator = Some(value.to_owned()),
            },
            _ if is_ours(key) => {}
            _ => break,
        }
        at += 1;
    }
    at - from
}

/// The mode by its short name.
fn mode(text: &str) -> &str {
    match text {
        "IEEE 802.3ad Dynamic link aggregation" => "lacp",
        "load balancing (round-robin)" => "balance-rr",
        "load balancing (xor)" => "balance-xor",
        "fault-tolerance (broadcast)" => "broadcast",
        "transmit load balancing" => "balance-tlb",
        "adaptive load balancing" => "balance-alb",
        _ if text.starts_with("fault-tolerance (active-backup)") => "active-backup",
        other => other,
    }
}

/// Keys that the driver prints and that carry no fact here.
fn is_ours(key: &str) -> bool {
    const KEYS: &[&str] = &[
        "Transmit Hash Policy",
        "Primary Slave",
        "Currently Active Slave",
        "MII Polling Interval (ms)",
        "Up Delay (ms)",
        "Down Delay (ms)",
        "Peer Notification Delay (ms)",
        "LACP rate",
        "LACP active",
        "Min links",
        "System priority",
        "Aggregator selection policy (ad_select)",
        "System MAC address",
        "Active Aggregator Info",
        "Aggregator ID",
        "Number of ports",
        "Actor Key",
        "Partner Key",
        "Partner Mac Address",
        "MII Status",
        "Speed",
        "Duplex",
        "Link Failure Count",
        "Permanent HW addr",
        "Slave queue ID",
        "Actor Churn State",
        "Partner Churn State",
        "Actor Churned Count",
        "Partner Churned Count",
        "details actor lacp pdu",
        "details partner lacp pdu",
        "system priority",
        "system mac address",
        "port key",
        "port priority",
        "port number",
        "port state",
        "oper key",
        "ARP Polling Interval (ms)",
        "ARP IP target/s (n.n.n.n form)",
        "ARP Missed Max",
    ];
    KEYS.contains(&key)
}
