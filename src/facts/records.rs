//! Records of cmdlets and `wmic`: which property of which object is which fact.
//!
//! Takes:  a record: properties with their values, from a list or from a row of a table
//! Gives:  its facts
//! Never:  reads a record whose kind its properties do not show

use super::value::Kind;
use super::{Found, Sink};

/// One property of a record.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    /// Name of the property, without blanks: `InterfaceDescription`.
    pub(super) key: String,
    /// The value as printed.
    pub(super) value: String,
    /// Index of its line in the section.
    pub(super) line: usize,
}

/// A property and the fact that it gives.
type Rule = (&'static str, &'static str, Kind);

/// One kind of object.
struct Object {
    /// A record is of this kind if it has all of these properties …
    has: &'static [&'static str],
    /// … and one of these, if any is named.
    one_of: &'static [&'static str],
    /// The subject: the first of these that it has.
    subject: &'static [&'static str],
    /// Its facts.
    rules: &'static [Rule],
}

use Kind::{
    BitSpeed, Checksum, Date, Dialect, Duplex, Limit, Number, Span, Speed, Switch, Text, Word,
    YesNo,
};

/// All kinds that are known. A record may be of several; each property speaks for itself.
const OBJECTS: &[Object] = &[
    // Get-NetAdapter
    Object {
        has: &["InterfaceDescription"],
        one_of: &[],
        subject: &["Name"],
        rules: &[("InterfaceDescription", "nic.driver.name", Text)],
    },
    Object {
        has: &["InterfaceDescription"],
        one_of: &[
            "DriverVersion",
            "DriverDate",
            "DriverProvider",
            "LinkSpeed",
            "LinkSpeed(Gbps)",
            "LinkSpeed(Mbps)",
            "FullDuplex",
        ],
        subject: &["Name"],
        rules: &[
            ("DriverProvider", "nic.driver.vendor", Text),
            ("DriverVersion", "nic.driver.version", Word),
            ("DriverDate", "nic.driver.date", Date),
            ("LinkSpeed", "nic.speed_mbps", Speed),
            ("FullDuplex", "nic.duplex", Duplex),
            ("MtuSize", "nic.mtu", Number),
        ],
    },
    // Get-NetAdapterRss
    Object {
        has: &["Name", "Enabled"],
        one_of: &[
            "NumberOfReceiveQueues",
            "BaseProcessor:[Group:Number]",
            "MaxProcessors",
        ],
        subject: &["Name"],
        rules: &[
            ("Enabled", "nic.rss", Switch),
            ("NumberOfReceiveQueues", "nic.rss.queues", Number),
        ],
    },
    // Get-NetAdapterVmq
    Object {
        has: &["Name", "Enabled", "BaseVmqProcessor"],
        one_of: &[],
        subject: &["Name"],
        rules: &[("Enabled", "nic.vmq", Switch)],
    },
    // Get-NetIPInterface
    Object {
        has: &["InterfaceAlias", "NlMtu(Bytes)"],
        one_of: &[],
        subject: &["InterfaceAlias"],
        rules: &[("NlMtu(Bytes)", "nic.mtu", Number)],
    },
    // Get-NetAdapterRsc
    Object {
        has: &["Name", "IPv4Enabled"],
        one_of: &["IPv4OperationalState", "IPv4FailureReason"],
        subject: &["Name"],
        rules: &[
            ("IPv4Enabled", "nic.rsc", Switch),
            ("IPv4OperationalState", "nic.rsc.active", YesNo),
            ("IPv4FailureReason", "nic.rsc.failure_reason", Word),
        ],
    },
    // Get-NetAdapterLso
    Object {
        has: &["Name", "V1IPv4Enabled", "IPv4Enabled"],
        one_of: &[],
        subject: &["Name"],
        rules: &[("IPv4Enabled", "nic.lso", Switch)],
    },
    // Get-NetAdapterChecksumOffload
    Object {
        has: &["TcpIPv4Enabled"],
        one_of: &[],
        subject: &["Name"],
        rules: &[("TcpIPv4Enabled", "nic.checksum_offload", Checksum)],
    },
    // Get-NetAdapterStatistics
    Object {
        has: &[],
        one_of: &[
            "ReceivedDiscardedPackets",
            "ReceivedPacketErrors",
            "ReceivedDiscards",
            "ReceivedErrors",
        ],
        subject: &["Name"],
        rules: &[
            ("ReceivedDiscardedPackets", "nic.discards", Number),
            ("ReceivedPacketErrors", "nic.input_errors", Number),
        ],
    },
    Object {
        has: &["ReceivedBytes", "SentBytes"],
        one_of: &[],
        subject: &["Name"],
        rules: &[],
    },
    // Get-NetAdapterPowerManagement
    Object {
        has: &["AllowComputerToTurnOffDevice"],
        one_of: &[],
        subject: &["Name"],
        rules: &[("AllowComputerToTurnOffDevice", "nic.power_saving", Switch)],
    },
    // Get-NetOffloadGlobalSetting
    Object {
        has: &["ReceiveSideScaling"],
        one_of: &[],
        subject: &[],
        rules: &[
            ("ReceiveSideScaling", "nic.rss", Switch),
            ("ReceiveSegmentCoalescing", "tcp.rsc", Switch),
            ("Chimney", "nic.chimney", Word),
            ("TaskOffload", "tcp.task_offload", Switch),
        ],
    },
    // Get-NetTCPSetting
    Object {
        has: &["SettingName"],
        one_of: &[],
        subject: &["SettingName"],
        rules: &[
            ("AutoTuningLevelLocal", "tcp.autotuning", Word),
            ("EcnCapability", "tcp.ecn", Word),
            ("Timestamps", "tcp.timestamps", Word),
            ("InitialRto(ms)", "tcp.initial_rto_ms", Number),
            ("InitialRtoMs", "tcp.initial_rto_ms", Number),
            ("InitialRto", "tcp.initial_rto_ms", Number),
            ("MinRto(ms)", "tcp.min_rto_ms", Number),
            ("MinRtoMs", "tcp.min_rto_ms", Number),
            ("MinRto", "tcp.min_rto_ms", Number),
            ("DelayedAckTimeout(ms)", "tcp.delayed_ack_ms", Number),
            ("DelayedAckTimeoutMs", "tcp.delayed_ack_ms", Number),
            ("DelayedAckTimeout", "tcp.delayed_ack_ms", Number),
            ("CongestionProvider", "tcp.congestion", Word),
            ("ScalingHeuristics", "tcp.heuristics", Switch),
            ("MaxSynRetransmissions", "tcp.max_syn", Number),
            (
                "DynamicPortRangeStartPort",
                "tcp.dynamic_ports.start",
                Number,
            ),
            ("DynamicPortRangeNumberOfPorts", "tcp.dynamic_ports", Number),
        ],
    },
    // Get-NetLbfoTeam
    Object {
        has: &["Name", "TeamingMode"],
        one_of: &[],
        subject: &["Name"],
        rules: &[
            ("TeamingMode", "nic.team.mode", Word),
            ("Status", "nic.team.status", Word),
        ],
    },
    // Get-SmbConnection
    Object {
        has: &["ServerName", "Dialect"],
        one_of: &[],
        subject: &["ServerName"],
        rules: &[
            ("Dialect", "smb.dialect", Dialect),
            ("Encrypted", "smb.encrypted", YesNo),
            ("Signed", "smb.signing", Switch),
        ],
    },
    // Get-SmbMultichannelConnection
    Object {
        has: &["ServerName", "Failed"],
        one_of: &["CurrentChannels", "FailureCount"],
        subject: &["ServerName"],
        rules: &[("Failed", "smb.channel.failed", YesNo)],
    },
    Object {
        has: &["ServerName", "ClientIP", "ServerIP"],
        one_of: &[],
        subject: &["ServerName"],
        rules: &[],
    },
    // Get-SmbServerConfiguration
    Object {
        has: &[],
        one_of: &["EnableSMB1Protocol", "Smb2CreditsMax", "EnableMultiChannel"],
        subject: &[],
        rules: &[
            ("EnableSMB1Protocol", "smb.legacy", Switch),
            ("EnableMultiChannel", "smb.multichannel", Switch),
            ("Smb2CreditsMax", "smb.credits_max", Number),
        ],
    },
    // Get-ReceiveConnector
    Object {
        has: &[],
        one_of: &[
            "TarpitInterval",
            "MaxAcknowledgementDelay",
            "MessageRateLimit",
            "MaxInboundConnection",
            "ConnectionInactivityTimeout",
            "MaxInboundConnectionPerSource",
        ],
        subject: &["Identity", "Name"],
        rules: &[
            ("TarpitInterval", "connector.tarpit_s", Span),
            ("AuthTarpitInterval", "connector.auth_tarpit_s", Span),
            ("MaxAcknowledgementDelay", "connector.max_ack_delay_s", Span),
            ("MessageRateLimit", "connector.message_rate", Limit),
            ("MessageRateSource", "connector.message_rate_source", Word),
            ("MaxInboundConnection", "connector.max_inbound", Limit),
            (
                "MaxInboundConnectionPerSource",
                "connector.max_per_source",
                Limit,
            ),
            (
                "MaxInboundConnectionPercentagePerSource",
                "connector.max_percent_per_source",
                Number,
            ),
            ("ConnectionTimeout", "connector.connection_timeout_s", Span),
            (
                "ConnectionInactivityTimeout",
                "connector.inactivity_timeout_s",
                Span,
            ),
            ("MaxProtocolErrors", "connector.max_protocol_errors", Limit),
            ("TransportRole", "connector.role", Word),
            ("ProtocolLoggingLevel", "connector.logging", Word),
            ("Identity", "connector.identity", Text),
            ("Name", "connector.identity", Text),
        ],
    },
    // Get-Queue
    Object {
        has: &["Identity"],
        one_of: &["NextHopDomain", "LastError", "DeliveryType"],
        subject: &["Identity"],
        rules: &[
            ("LastError", "queue.last_error", Text),
            ("Status", "queue.status", Word),
            ("MessageCount", "queue.messages", Number),
            ("NextHopDomain", "queue.next_hop", Text),
        ],
    },
    // wmic path win32_pnpsigneddriver
    Object {
        has: &["Description", "DriverVersion"],
        one_of: &[],
        subject: &["Description"],
        rules: &[
            ("Description", "nic.driver.name", Text),
            ("DriverDate", "nic.driver.date", Date),
            ("DriverVersion", "nic.driver.version", Word),
            ("Manufacturer", "nic.driver.vendor", Text),
        ],
    },
    // wmic nic
    Object {
        has: &["Name", "Speed"],
        one_of: &[],
        subject: &["Name"],
        rules: &[("Speed", "nic.speed_mbps", BitSpeed)],
    },
];

impl Object {
    fn fits(&self, record: &[Field]) -> bool {
        let has = |key: &&str| record.iter().any(|f| f.key == **key);
        self.has.iter().all(has) && (self.one_of.is_empty() || self.one_of.iter().any(has))
    }
}

/// Reads one record; `cut` where the text may break off in it. Says whether its kind is known.
pub(super) fn read(record: &[Field], cut: bool, out: &mut Sink) -> bool {
    let mut known = special(record, cut, out);
    for object in OBJECTS.iter().filter(|object| object.fits(record)) {
        let subject = subject(record, object.subject);
        known = true;
        // The subject may stand below the cut: then these facts are another's for all that we can tell.
        if subject.is_none() && cut && !object.subject.is_empty() {
            continue;
        }
        for (key, name, kind) in object.rules {
            // The identity of a connector is its Identity; its Name only where that is not shown.
            if *name == "connector.identity" && subject != value(record, key) {
                continue;
            }
            let fields = record.iter().filter(|f| f.key == *key);
            for (field, value) in fields.filter_map(|f| Some((f, kind.read(&f.value)?))) {
                if *name == "nic.rsc.failure_reason" && value == "nofailure"
                    || *name == "tcp.autotuning" && !is_level(&value)
                {
                    continue;
                }
                out.fact(Found {
                    subject: subject.clone(),
                    ..Found::new(*name, value, field.line)
                });
                if *name == "connector.identity" {
                    break;
                }
            }
        }
    }
    known
}

fn value(record: &[Field], key: &str) -> Option<String> {
    let field = record.iter().find(|f| f.key == key)?;
    Some(field.value.clone()).filter(|v| !v.is_empty())
}

fn subject(record: &[Field], keys: &[&str]) -> Option<String> {
    keys.iter().find_map(|key| value(record, key))
}

/// Whether a word is a level of window auto-tuning.
pub(super) fn is_level(word: &str) -> bool {
    matches!(
        word,
        "normal" | "disabled" | "restricted" | "highlyrestricted" | "experimental"
    )
}

/// Properties that give several facts, or depend on another.
fn special(record: &[Field], cut: bool, out: &mut Sink) -> bool {
    let mut known = false;
    let name = subject(record, &["Name"]);
    for field in record {
        let mut fact = |fact: &'static str, value: String, subject: Option<String>| {
            out.fact(Found {
                subject,
                ..Found::new(fact, value, field.line)
            });
        };
        match field.key.as_str() {
            // `Driver Date 2015-03-20 Version 12.12.50.6 NDIS 6.30`
            "DriverInformation" if name.is_some() || !cut => {
                known = true;
                let mut words = field.value.split_whitespace();
                while let Some(word) = words.next() {
                    match word {
                        "Date" => {
                            if let Some(date) = words.next().and_then(|w| Date.read(w)) {
                                fact("nic.driver.date", date, name.clone());
                            }
                        }
                        "Version" => {
                            if let Some(version) = words.next() {
                                fact("nic.driver.version", version.to_lowercase(), name.clone());
                            }
                        }
                        _ => {}
                    }
                }
            }
            "LinkSpeed(Gbps)" | "LinkSpeed(Mbps)" if name.is_some() || !cut => {
                known = true;
                let factor = if field.key.contains('G') { 1000.0 } else { 1.0 };
                if let Some(speed) = super::value::scaled(&field.value, factor) {
                    fact("nic.speed_mbps", speed, name.clone());
                }
            }
            "Members" if name.is_some() => {
                known = true;
                fact("nic.team", "lbfo".to_owned(), name.clone());
                let members = field.value.trim_matches(['{', '}']);
                for member in members.split(',').map(str::trim) {
                    if !member.is_empty() && !member.ends_with("...") && !member.ends_with('…') {
                        fact("nic.team.member", member.to_owned(), name.clone());
                    }
                }
            }
            // Get-NetLbfoTeamMember
            "OperationalStatus" | "FailureReason"
                if record.iter().any(|f| f.key == "AdministrativeMode") =>
            {
                known = true;
                let team = subject(record, &["Team"]);
                let bad = match field.key.as_str() {
                    "FailureReason" => !matches!(field.value.as_str(), "NoFailure" | ""),
                    _ => field.value == "Failed" || field.value == "Down",
                };
                // Both say the same of one member: the reason speaks only where the status is not shown.
                let doubled = field.key == "FailureReason"
                    && record.iter().any(|f| f.key == "OperationalStatus");
                if let (true, false, Some(member), true) =
                    (bad, doubled, name.clone(), team.is_some() || !cut)
                {
                    let subject =
                        team.map_or_else(|| member.clone(), |team| format!("{team}/{member}"));
                    fact("nic.team.member_down", "yes".to_owned(), Some(subject));
                }
            }
            "RequireSecuritySignature" | "EnableSecuritySignature" => {
                known = true;
                let required = field.key.starts_with("Require");
                // Client and server configuration have properties of their own by which to tell them.
                let has = |key: &str| record.iter().any(|f| f.key == key);
                let side =
                    if has("EnableSMB1Protocol") || has("EncryptData") || has("AnnounceServer") {
                        Some("server".to_owned())
                    } else if has("EnableBandwidthThrottling")
                        || has("EnableInsecureGuestLogons")
                        || has("ConnectionCountPerRssNetworkInterface")
                    {
                        Some("client".to_owned())
                    } else {
                        None
                    };
                let on = super::value::switch(&field.value.to_lowercase());
                if let (true, Some(on), Some(side)) = (required, on, side) {
                    let value = if on { "required" } else { "enabled" };
                    fact("smb.signing", value.to_owned(), Some(side));
                }
            }
            "IndirectionTable:[Group:Number]" => known = true,
            // Get-ExchangeServer: `Version 14.1 (Build 218.15)`
            "AdminDisplayVersion" => {
                known = true;
                let told = name.is_some() || !cut;
                if let Some((product, version)) = exchange(&field.value).filter(|_| told) {
                    fact("exchange", product.to_owned(), name.clone());
                    fact("exchange.version", version, name.clone());
                }
            }
            _ => {}
        }
    }
    known
}

/// Product key and version of `Version 14.1 (Build 218.15)`.
pub(super) fn exchange(text: &str) -> Option<(&'static str, String)> {
    let rest = text.trim().strip_prefix("Version ")?;
    let (version, build) = rest.split_once(" (Build ")?;
    let build = build.strip_suffix(')')?;
    let (major, minor) = version.split_once('.')?;
    let (major, minor): (u32, u32) = (major.parse().ok()?, minor.parse().ok()?);
    let first: u32 = build.split('.').next()?.parse().ok()?;
    let product = match (major, minor) {
        (8, _) => "ex2007",
        (14, 0) => "ex2010rtm",
        (14, _) => "ex2010sp1",
        (15, 0) => "ex2013",
        (15, 1) => "ex2016",
        // Subscription Edition goes on with 2019's numbers from build 2562.
        (15, 2) if first >= 2562 => "exse",
        (15, 2) => "ex2019",
        _ => return None,
    };
    Some((product, format!("{version}.{build}")))
}
