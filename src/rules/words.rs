//! The names that conditions may use: facts of hosts, measures and words of findings.
//!
//! A name that is not listed here is an error in a rule file, so that a slip of the pen does not turn into a rule that
//! never speaks.

use crate::facts::NAMES;

/// What to call facts before a reader; a fact that is not listed goes by its name.
const LABELS: &[(&str, &str)] = &[
    ("os", "the operating system"),
    ("tcp.task_offload", "the task offload setting"),
    ("exchange", "the Exchange version"),
    ("mta", "the mail server"),
    ("virtual", "the host being a virtual machine"),
    ("nic.chimney", "the chimney setting"),
    (
        "nic.chimney.supported",
        "the adapter's chimney support (Supp)",
    ),
    (
        "nic.chimney.offloaded",
        "the number of connections offloaded now",
    ),
    ("nic.rss", "the RSS setting"),
    ("nic.netdma", "the NetDMA setting"),
    ("nic.driver.name", "the adapter or its driver"),
    ("nic.driver.version", "the driver's version"),
    ("nic.driver.date", "the driver's date"),
    ("nic.driver.vendor", "the driver's vendor"),
    ("nic.rsc", "the RSC setting"),
    ("nic.rsc.failure_reason", "the reason why RSC does not work"),
    ("nic.lso", "the LSO setting"),
    ("nic.gro", "the GRO setting"),
    ("nic.lro", "the LRO setting"),
    ("nic.checksum_offload", "the checksum offload setting"),
    ("nic.vmq", "the VMQ setting"),
    ("nic.team", "the adapter team"),
    ("nic.team.mode", "the team's mode"),
    ("nic.team.status", "the team's status"),
    ("nic.team.lacp_partner", "the team's LACP partner"),
    ("nic.team.member_down", "a member of the team being down"),
    ("nic.duplex", "the duplex setting"),
    ("nic.speed_mbps", "the link speed"),
    ("nic.discards", "the count of discarded packets"),
    ("nic.crc_errors", "the count of CRC errors"),
    ("nic.input_errors", "the count of receive errors"),
    ("nic.link_failures", "the count of link failures"),
    ("nic.power_saving", "power saving of the adapter"),
    ("nic.mtu", "the MTU"),
    (
        "switch.late_collisions",
        "the switch's count of late collisions",
    ),
    ("switch.crc_errors", "the switch's count of CRC errors"),
    ("switch.duplex", "the switch port's duplex"),
    ("tcp.autotuning", "receive window auto-tuning"),
    ("tcp.heuristics", "the scaling heuristics"),
    ("tcp.ecn", "the ECN setting"),
    ("tcp.timestamps", "the timestamps setting"),
    ("tcp.initial_rto_ms", "the initial retransmission timeout"),
    ("tcp.keepalive_ms", "KeepAliveTime"),
    ("tcp.dynamic_ports", "the number of dynamic ports"),
    (
        "tcp.listen_overflows",
        "the count of listen queue overflows",
    ),
    (
        "tcp.in_csum_errors",
        "the count of received checksum errors",
    ),
    ("connector.tarpit_s", "the connector's TarpitInterval"),
    (
        "connector.max_ack_delay_s",
        "the connector's MaxAcknowledgementDelay",
    ),
    ("connector.message_rate", "the connector's MessageRateLimit"),
    (
        "connector.max_per_source",
        "the connector's MaxInboundConnectionPerSource",
    ),
    (
        "connector.max_percent_per_source",
        "the connector's MaxInboundConnectionPercentagePerSource",
    ),
    (
        "connector.connection_timeout_s",
        "the connector's ConnectionTimeout",
    ),
    (
        "connector.inactivity_timeout_s",
        "the connector's ConnectionInactivityTimeout",
    ),
    ("smb.signing", "SMB signing"),
    ("smb.multichannel", "the SMB multichannel setting"),
    ("smb.dialect", "the SMB dialect"),
    ("samba.socket_options", "Samba's socket options"),
    ("postfix.stress", "Postfix's stress setting"),
    ("queue.last_error", "the last error of a queue"),
];

/// Measures and words of findings.
const MEASURES: &[&str] = &[
    "acknowledged_elsewhere",
    "came_up",
    "congested",
    "data_segments",
    "missing_share",
    "never_acknowledged",
    "spurious",
    "stuck_ranges",
    "unacknowledged",
    "unfilled",
    "wrong",
    "at_receiver",
    "application",
    "port",
    "role",
    "phase",
    "reply",
    "code",
    "enhanced",
    "verb",
    "cause",
    "trigger",
    "checksum",
    "scope",
    "unacknowledged_share",
    "share",
    "rate",
    "repeats",
    "sends",
    "segments",
    "octets",
    "seconds",
    "count",
    "flows",
    "rtt_ms",
    "delay_s",
    "delay_ms",
    "median_s",
    "max_s",
    "period_s",
    "interval_s",
    "idle_s",
    "window",
    "window_scale",
    "mss",
    "mtu",
    "largest_passed",
    "smallest_lost",
    "size",
    "bps",
    "goodput_bps",
    "option",
    "status",
    "command",
    "dialect",
    "outstanding",
    "credits",
    "io_octets",
    "recipients",
    "messages",
    "per_connection",
    "fixed",
    "dns",
    "ident",
    "middlebox",
    "small_segments_lost",
    "full_size_only",
    "other_peers_fine",
    "vantage",
    "direction",
    "sender",
    "dsack",
    "ecn",
    "targets",
    "skew",
    "cadence",
    "losses",
    "bursts",
];

/// Names of facts: those that [`crate::facts`] reads, and those that the wire gives away.
pub(super) fn facts() -> impl Iterator<Item = &'static str> {
    NAMES.iter().map(|(name, _, _)| *name).chain(["mta"])
}

/// Whether a fact of this name may be asked for; `samba.*` stands for a family.
#[must_use]
pub(super) fn is_fact(name: &str) -> bool {
    facts().any(|f| match f.strip_suffix('*') {
        Some(family) => name.len() > family.len() && name.starts_with(family),
        None => f == name,
    })
}

/// What to call a fact before a reader; anything else stays as it is.
#[must_use]
pub(super) fn label(name: &str) -> &str {
    LABELS
        .iter()
        .find(|(n, _)| *n == name)
        .map_or(name, |(_, label)| label)
}

/// Names of measures and words.
pub(super) fn measures() -> impl Iterator<Item = &'static str> {
    MEASURES.iter().copied()
}

/// Whether a measure or word of this name may be asked for.
#[must_use]
pub(super) fn is_measure(name: &str) -> bool {
    MEASURES.contains(&name)
}
