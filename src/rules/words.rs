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

/// Measures (numbers) and words of findings, each with its meaning. They stand in `docs/rules.md` too.
const MEASURES: &[(&str, &str)] = &[
    (
        "acknowledged_elsewhere",
        "segments with the same flaw that other hosts acknowledged",
    ),
    ("application", "smtp, smb, tls, ..."),
    (
        "arrived_wrong",
        "segments that arrived with a wrong checksum",
    ),
    (
        "at_receiver",
        "1 where the capture was taken beside the receiver, else 0",
    ),
    (
        "at_server",
        "of the connections that came up late, those whose repeated SYNs reached a capture beside the server",
    ),
    ("bps", "bits a second that this way of asking allows"),
    (
        "cadence",
        "the role whose retry series fits: hub, edge, ...",
    ),
    ("came_up", "connections to the same service that came up"),
    ("cause", "what the detector holds for the cause, in a word"),
    ("code", "SMTP reply code"),
    ("command", "SMB commands"),
    (
        "congested",
        "losses that came when the round trip had grown",
    ),
    (
        "count",
        "how many: connections, replies, frames, as the summary says",
    ),
    ("credits", "SMB credits granted"),
    (
        "cut",
        "1 where the snap length cut segments, so that checksums cannot be told, else 0",
    ),
    ("data_segments", "segments with payload, as sent"),
    (
        "delay_s",
        "seconds that one answer was late, or the timer that ran out",
    ),
    ("dialect", "SMB dialect"),
    ("dns", "late greetings with a name look-up inside the wait"),
    (
        "ecn",
        "connections that came up once the client no longer asked for ECN",
    ),
    ("fixed", "1 where the pauses are of one length, else 0"),
    ("flows", "connections concerned"),
    ("goodput_bps", "bits a second that were reached"),
    ("icmp", "ICMP messages that said the packet was too big"),
    (
        "ident",
        "late greetings with an ident connection inside the wait",
    ),
    (
        "idle_s",
        "seconds of silence before the end of an SMTP session",
    ),
    (
        "idle_seconds",
        "seconds of silence before the end of a connection",
    ),
    ("interval_s", "seconds until the next attempt"),
    ("io_octets", "octets of one read or write"),
    ("least_rtt_ms", "least round trip, milliseconds"),
    ("max_s", "longest wait, seconds"),
    (
        "lowered",
        "1 where a window seems to be lowered between the one who offers it and the other end, else 0",
    ),
    ("mean_ms", "mean wait, milliseconds"),
    ("median_s", "median wait, seconds"),
    ("messages", "messages"),
    (
        "middlebox",
        "resets that a device made, by their TTL or IP id",
    ),
    (
        "missing_share",
        "share of octets that the capture lacks, 0 to 1",
    ),
    ("mtu", "MTU that a router named; 0: none"),
    (
        "never_acknowledged",
        "ranges repeated and never acknowledged",
    ),
    ("octets", "octets of the range that was sent most often"),
    ("octets_per_second", "octets a second at the worst"),
    (
        "offers_scale",
        "window scale in the SYN of the receiver: 1 yes, 0 no, -1 not seen",
    ),
    ("option", "TCP option: window scale, sack, timestamps"),
    ("outstanding", "requests or connections under way at once"),
    ("passing_octets", "largest segment that passed"),
    (
        "phase",
        "part of the SMTP dialog: greeting, ehlo, tls, auth, mail, rcpt, data, end_of_data, quit",
    ),
    ("port", "TCP port of the service"),
    ("rate", "messages taken before the refusal, or a minute"),
    ("recipients", "recipients"),
    ("refused", "refusals for want of a resource"),
    (
        "remedy",
        "remedy that the table of NTSTATUS values names for the status",
    ),
    ("repeats", "segments sent again with need"),
    ("reply", "SMTP reply: code and text"),
    ("rtt_ms", "round trip, milliseconds"),
    ("scaled", "window scale in use: 1 yes, 0 no, -1 not seen"),
    ("seconds", "seconds in all"),
    ("sender", "who ended the SMTP session"),
    ("sends", "sends of the range that was sent most often"),
    ("share", "share that the finding is about, 0 to 1"),
    ("shut_seconds", "seconds that the window was shut"),
    ("skew", "load against the even share"),
    ("spikes", "times that the round trip jumped"),
    (
        "soonest_ms",
        "milliseconds after the copy before it that the first needless repeat came",
    ),
    ("spurious", "segments sent again without need"),
    ("status", "NTSTATUS"),
    ("stuck_octets", "smallest segment that never passed"),
    ("stuck_ranges", "ranges that got nowhere"),
    ("targets", "servers that share the job"),
    ("times", "times that the window was shut"),
    (
        "unacknowledged",
        "segments with a bad checksum that were never acknowledged",
    ),
    (
        "unacknowledged_share",
        "their share of those with a bad checksum, 0 to 1",
    ),
    ("unfilled", "segments whose checksum was not filled in"),
    ("verb", "SMTP commands"),
    ("waits", "pauses"),
    ("window_octets", "window, octets"),
    (
        "with_data_pending",
        "connections that ended with data under way",
    ),
    ("wrong", "segments whose checksum was wrong"),
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
    MEASURES.iter().map(|(name, _)| *name)
}

/// The names that conditions may use, each with its meaning, as a part of the guide.
#[cfg(test)]
pub(super) fn guide() -> String {
    let mut text =
        "\n## Measures and words of findings\n\n| name | meaning |\n|---|---|\n".to_owned();
    for (name, meaning) in MEASURES {
        text.push_str(&format!("| `{name}` | {meaning} |\n"));
    }
    text.push_str("\n## Facts of hosts\n\n| name | of | values |\n|---|---|---|\n");
    for (name, of, values) in NAMES {
        text.push_str(&format!("| `{name}` | {of} | {values} |\n"));
    }
    text.push_str("| `mta` | - | postfix, exim, sendmail, iis: as its banner tells |\n");
    text
}

/// Whether a measure or word of this name may be asked for.
#[must_use]
pub(super) fn is_measure(name: &str) -> bool {
    measures().any(|known| known == name)
}
