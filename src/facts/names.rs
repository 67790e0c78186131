//! The names of facts: what rules match on. Stable: names are added, never renamed or dropped.
//!
//! Takes nothing; gives the one table that says what each name means and which values it takes.
//! A name that ends in `.*` stands for a family: the rest is the tool's own parameter name.

/// Name, subject (what [`Fact::subject`](super::Fact::subject) holds; `-` for none), values and meaning.
pub const NAMES: &[(&str, &str, &str)] = &[
    (
        "connector.auth_tarpit_s",
        "connector",
        "seconds; AuthTarpitInterval",
    ),
    (
        "connector.connection_timeout_s",
        "connector",
        "seconds; ConnectionTimeout",
    ),
    (
        "connector.identity",
        "connector",
        "the connector's Identity, or Name",
    ),
    (
        "connector.inactivity_timeout_s",
        "connector",
        "seconds; ConnectionInactivityTimeout",
    ),
    (
        "connector.logging",
        "connector",
        "none, verbose; ProtocolLoggingLevel",
    ),
    (
        "connector.max_ack_delay_s",
        "connector",
        "seconds; MaxAcknowledgementDelay",
    ),
    (
        "connector.max_inbound",
        "connector",
        "number or unlimited; MaxInboundConnection",
    ),
    (
        "connector.max_per_source",
        "connector",
        "number or unlimited; MaxInboundConnectionPerSource",
    ),
    (
        "connector.max_percent_per_source",
        "connector",
        "per cent; MaxInboundConnectionPercentagePerSource",
    ),
    (
        "connector.max_protocol_errors",
        "connector",
        "number or unlimited; MaxProtocolErrors",
    ),
    (
        "connector.message_rate",
        "connector",
        "messages a minute or unlimited; MessageRateLimit",
    ),
    (
        "connector.message_rate_source",
        "connector",
        "none, ipaddress, user, all; MessageRateSource",
    ),
    (
        "connector.role",
        "connector",
        "frontendtransport, hubtransport; TransportRole",
    ),
    ("connector.tarpit_s", "connector", "seconds; TarpitInterval"),
    (
        "exchange",
        "server",
        "ex2007, ex2010rtm, ex2010sp1, ex2013, ex2016, ex2019, exse",
    ),
    ("exchange.version", "server", "14.1.218.15, …"),
    ("host.address", "adapter", "an IP address of the host"),
    (
        "host.name",
        "-",
        "the host's name as its own output gives it",
    ),
    (
        "nic.align_errors",
        "adapter",
        "frames received with an odd number of bits",
    ),
    (
        "nic.checksum_offload",
        "adapter",
        "enabled, disabled (Linux: transmit); rx, tx, partly on Windows",
    ),
    ("nic.chimney", "-", "enabled, disabled, automatic"),
    (
        "nic.chimney.connection",
        "local>remote",
        "offloaded: a connection that the adapter carries now",
    ),
    (
        "nic.chimney.offloaded",
        "adapter index",
        "connections offloaded now (column Olc)",
    ),
    (
        "nic.chimney.supported",
        "adapter index",
        "yes, no (column Supp)",
    ),
    (
        "nic.crc_errors",
        "adapter",
        "frames received with a bad frame check",
    ),
    ("nic.dca", "-", "enabled, disabled"),
    (
        "nic.discards",
        "adapter",
        "frames received and dropped for want of buffers",
    ),
    (
        "nic.driver.age_days",
        "adapter",
        "derived: days from the driver's date; not told of Microsoft's own drivers",
    ),
    ("nic.driver.date", "adapter", "YYYY-MM-DD"),
    ("nic.driver.firmware", "adapter", "the adapter's firmware"),
    (
        "nic.driver.known_bad",
        "adapter",
        "derived: yes, no; told only of families with a known bad range",
    ),
    (
        "nic.driver.name",
        "adapter",
        "bnx2, virtio_net, … (Windows: the adapter's description)",
    ),
    ("nic.driver.vendor", "adapter", "who made the driver"),
    ("nic.driver.version", "adapter", "2.8.13.0, …"),
    ("nic.duplex", "adapter", "full, half"),
    (
        "nic.gro",
        "adapter",
        "enabled, disabled (Linux: generic-receive-offload)",
    ),
    (
        "nic.input_errors",
        "adapter",
        "frames received in error, of all kinds",
    ),
    (
        "nic.late_collisions",
        "adapter",
        "collisions after the first 64 octets: the sign of a duplex mismatch",
    ),
    (
        "nic.link_failures",
        "team/member",
        "times that the member's link failed, where not 0",
    ),
    (
        "nic.lro",
        "adapter",
        "enabled, disabled (Linux: large-receive-offload)",
    ),
    ("nic.lso", "adapter", "enabled, disabled"),
    ("nic.mtu", "adapter", "octets"),
    ("nic.netdma", "-", "enabled, disabled"),
    (
        "nic.power_saving",
        "adapter",
        "enabled, disabled: may the system turn the adapter off?",
    ),
    ("nic.rsc", "adapter", "enabled, disabled"),
    ("nic.rsc.active", "adapter", "yes, no: is it at work?"),
    (
        "nic.rsc.failure_reason",
        "adapter",
        "ndiscompatibility, capability, … (nofailure is not told)",
    ),
    (
        "nic.rss",
        "adapter",
        "enabled, disabled; without an adapter: the system's switch",
    ),
    ("nic.rss.queues", "adapter", "receive queues"),
    ("nic.speed_mbps", "adapter", "megabits a second"),
    (
        "nic.team",
        "team",
        "lbfo, bonding; none: the system counts none",
    ),
    (
        "nic.team.aggregator_mismatch",
        "team",
        "yes: members sit in different LACP aggregators",
    ),
    (
        "nic.team.lacp_partner",
        "team",
        "the partner's hardware address, or none",
    ),
    ("nic.team.member", "team", "a member"),
    (
        "nic.team.member_down",
        "team/member",
        "yes: the member is down or failed",
    ),
    (
        "nic.team.mode",
        "team",
        "lacp, static, switchindependent, active-backup, balance-rr, …",
    ),
    ("nic.team.status", "team", "up, degraded, down"),
    ("nic.vmq", "adapter", "enabled, disabled"),
    (
        "os",
        "-",
        "ws2003 … ws2025, win7 … win11, linux; where inferred perhaps a range: ws2022..ws2025",
    ),
    ("os.version", "-", "6.1.7601, 6.1.0-18-amd64, …"),
    ("postfix.*", "-", "a parameter as postconf prints it"),
    ("queue.last_error", "queue", "text of LastError, as printed"),
    ("queue.messages", "queue", "messages waiting"),
    ("queue.next_hop", "queue", "NextHopDomain"),
    (
        "queue.status",
        "queue",
        "ready, retry, active, suspended, …",
    ),
    (
        "samba.*",
        "share",
        "a parameter as testparm prints it, spaces as underscores",
    ),
    (
        "smb.channel.failed",
        "server",
        "yes: a multichannel connection failed",
    ),
    ("smb.credits_max", "-", "Smb2CreditsMax"),
    ("smb.dialect", "server", "3.1.1, 2.1, … as negotiated"),
    ("smb.encrypted", "server", "yes, no"),
    ("smb.legacy", "-", "enabled, disabled: SMB 1"),
    ("smb.multichannel", "-", "enabled, disabled"),
    (
        "smb.signing",
        "client, server, or the other host",
        "required, enabled, disabled",
    ),
    (
        "switch.crc_errors",
        "port",
        "frames that the port received with a bad frame check",
    ),
    ("switch.duplex", "port", "full, half"),
    (
        "switch.input_errors",
        "port",
        "frames that the port received in error, of all kinds",
    ),
    (
        "switch.late_collisions",
        "port",
        "collisions after the first 64 octets",
    ),
    ("switch.speed_mbps", "port", "megabits a second"),
    (
        "tcp.autotuning",
        "setting",
        "normal, disabled, restricted, highlyrestricted, experimental",
    ),
    (
        "tcp.autotuning.overridden",
        "-",
        "yes: heuristics set the level above, not the administrator",
    ),
    (
        "tcp.autotuning.policy",
        "setting",
        "level set by group policy, where configured",
    ),
    (
        "tcp.congestion",
        "setting",
        "ctcp, cubic, dctcp, default, none, …",
    ),
    ("tcp.delayed_ack_ms", "setting", "milliseconds"),
    (
        "tcp.dynamic_ports",
        "setting",
        "how many ports connections may start from",
    ),
    ("tcp.dynamic_ports.start", "setting", "the first of them"),
    (
        "tcp.ecn",
        "setting",
        "enabled, disabled, passive (Linux: only when asked)",
    ),
    (
        "tcp.failed_opens",
        "IP version",
        "failed connection attempts since boot",
    ),
    (
        "tcp.heuristics",
        "setting",
        "enabled, disabled: window scaling heuristics",
    ),
    (
        "tcp.in_csum_errors",
        "-",
        "segments received with a bad checksum since boot",
    ),
    ("tcp.in_errors", "-", "bad segments received since boot"),
    ("tcp.initial_rto_ms", "setting", "milliseconds"),
    (
        "tcp.keepalive_ms",
        "-",
        "idle time before the first probe, milliseconds",
    ),
    (
        "tcp.listen_drops",
        "-",
        "connections dropped by full queues since boot",
    ),
    (
        "tcp.listen_overflows",
        "-",
        "times that an accept queue was full since boot",
    ),
    (
        "tcp.max_syn",
        "setting",
        "SYN retransmissions before giving up",
    ),
    ("tcp.max_user_port", "-", "MaxUserPort (ws2003)"),
    ("tcp.min_rto_ms", "setting", "milliseconds"),
    ("tcp.mtu_probing", "-", "0, 1, 2 (Linux)"),
    ("tcp.resets", "IP version", "connections reset since boot"),
    (
        "tcp.retransmitted",
        "IP version",
        "segments retransmitted since boot",
    ),
    (
        "tcp.rsc",
        "-",
        "enabled, disabled: the system's switch for segment coalescing",
    ),
    ("tcp.sack", "-", "enabled, disabled"),
    ("tcp.sent", "IP version", "segments sent since boot"),
    (
        "tcp.snp.chimney",
        "-",
        "enabled, disabled (ws2003 registry: EnableTCPChimney)",
    ),
    (
        "tcp.snp.rss",
        "-",
        "enabled, disabled (ws2003 registry: EnableRSS)",
    ),
    (
        "tcp.snp.tca",
        "-",
        "enabled, disabled (ws2003 registry: EnableTCPA)",
    ),
    (
        "tcp.task_offload",
        "-",
        "enabled, disabled: the system's switch for all offloads",
    ),
    ("tcp.timed_wait_s", "-", "TcpTimedWaitDelay, seconds"),
    ("tcp.timeouts", "-", "retransmission timeouts since boot"),
    ("tcp.timestamps", "setting", "enabled, disabled, allowed"),
    ("tcp.window_scaling", "-", "enabled, disabled"),
    (
        "tcp.zero_windows",
        "-",
        "times that this host shut its window since boot",
    ),
    (
        "virtual",
        "-",
        "true, false: is it a virtual machine? host: it runs some",
    ),
    (
        "virtual.hypervisor",
        "-",
        "vmware, hyper-v, kvm, xen, virtualbox, …",
    ),
];

/// Whether `name` stands in [`NAMES`], in full or by its family.
#[must_use]
pub fn is_known(name: &str) -> bool {
    NAMES
        .iter()
        .any(|(known, _, _)| match known.strip_suffix('*') {
            Some(family) => name.len() > family.len() && name.starts_with(family),
            None => name == *known,
        })
}

/// Whether facts of this name hold for one adapter each.
#[must_use]
pub fn is_of_adapter(name: &str) -> bool {
    let at = NAMES.binary_search_by(|known| known.0.cmp(name));
    at.is_ok_and(|at| NAMES.get(at).is_some_and(|known| known.1 == "adapter"))
}

/// Whether values are versions: 4.10 is later than 4.9 then, where a number would be less.
#[must_use]
pub fn is_version(name: &str) -> bool {
    name.ends_with("version") || matches!(name, "nic.driver.firmware" | "smb.dialect")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_and_once_each() {
        assert!(NAMES.is_sorted_by(|a, b| a.0 < b.0));
        assert!(is_known("nic.chimney") && is_known("postfix.mynetworks"));
        assert!(!is_known("postfix.") && !is_known("nic.chimneys"));
        assert!(is_of_adapter("nic.driver.date") && !is_of_adapter("nic.team.mode"));
    }
}
