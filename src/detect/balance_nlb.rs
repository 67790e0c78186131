//! Finds the traces of Network Load Balancing and of balancers before Exchange servers.
//!
//! Reads:   hardware addresses, outcomes of attempts, names in greetings, verbs that only Exchange servers use among themselves
//! Yields:  `balance.nlb-flooding`, `balance.nlb-dead-service`, `balance.intra-org-through-balancer`: one for each address
//! Silent:  addresses that no cluster uses; a service that is away for one stretch of time (then the whole of it is)
//! Source:  Microsoft: 02-bf and the four octets of the virtual address (unicast), 03-bf and the same (multicast), 01-00-5e-7f and
//!          its last two octets (IGMP multicast)

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::balance::{Outcome, outcome};
use super::trace::{Groups, Place, Room, Trace, plural};
use super::{Detector, Finding, Limited, Seen, Severity};
use crate::net::{Direction, FrameNo, MacAddr, Timestamp};

/// Attempts kept in all.
const MAX_ATTEMPTS: usize = 200_000;
/// Failures and successes by turns that show one node among several to be dead.
const LEAST_OF_EACH: u64 = 2;
const LEAST_TURNS: u64 = 3;
/// Verbs that Exchange servers use among themselves.
const EXCHANGE_VERBS: [&str; 6] = [
    "X-ANONYMOUSTLS",
    "X-EXPS",
    "XEXCH50",
    "XSHADOW",
    "XSHADOWREQUEST",
    "XQDISCARD",
];

/// How a cluster shows itself in a hardware address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Mode {
    Unicast,
    Multicast,
    Igmp,
}

impl Mode {
    const fn name(self) -> &'static str {
        match self {
            Self::Unicast => "unicast",
            Self::Multicast => "multicast",
            Self::Igmp => "IGMP multicast",
        }
    }
}

/// The mode that this hardware address of this host stands for. The octets of the address have to be in it: anybody may use the
/// prefix.
fn mode(mac: MacAddr, host: IpAddr) -> Option<Mode> {
    let IpAddr::V4(host) = host else {
        return None;
    };
    let [a, b, c, d] = host.octets();
    match mac.0 {
        [0x02, 0xbf, e, f, g, h] if [e, f, g, h] == [a, b, c, d] => Some(Mode::Unicast),
        [0x03, 0xbf, e, f, g, h] if [e, f, g, h] == [a, b, c, d] => Some(Mode::Multicast),
        [0x01, 0x00, 0x5e, 0x7f, g, h] if [g, h] == [c, d] => Some(Mode::Igmp),
        _ => None,
    }
}

#[derive(Default)]
struct Address {
    mode: Option<Mode>,
    flows: u64,
    one_way: u64,
    first: Option<(Place, FrameNo, Timestamp, MacAddr)>,
    trace: Trace,
    attempts: Vec<(Timestamp, Outcome, Place, FrameNo)>,
    names: BTreeSet<String>,
    exchange: u64,
    exchange_trace: Trace,
}

/// See the head of this file.
pub(super) struct Nlb {
    addresses: Groups<(IpAddr, u16), Address>,
    room: Room,
}

impl Default for Nlb {
    fn default() -> Self {
        Self {
            addresses: Groups::default(),
            room: Room::new(MAX_ATTEMPTS),
        }
    }
}

impl Detector for Nlb {
    fn minds_lone_syns(&self) -> bool {
        true
    }

    fn flow(&mut self, seen: Seen<'_>, _out: &mut Vec<Finding>) {
        let f = seen.flow;
        let key = (f.server.addr, f.server.port);
        let [_, mac] = f.macs;
        let mode = mode(mac, f.server.addr);
        let smtp = seen.dialog.smtp.as_ref();
        if mode.is_none() && smtp.is_none() {
            return;
        }
        let Some(a) = self.addresses.group(key) else {
            return;
        };
        if mode.is_some() {
            a.mode = mode;
            a.flows += 1;
            a.one_way += u64::from(
                f.half(Direction::ServerToClient).frames == 0
                    && f.half(Direction::ClientToServer).data_segments > 0,
            );
            a.trace.flow(f, f.start, f.end);
            a.first
                .get_or_insert((Place::from(f), f.first_frame, f.start, mac));
        }
        if mode.is_some()
            && let Some(outcome) = outcome(seen)
            && self.room.take()
        {
            let frame = f.close.frame.filter(|_| outcome == Outcome::Refused);
            a.attempts.push((
                f.start,
                outcome,
                Place::from(f),
                frame.unwrap_or(f.first_frame),
            ));
        }
        if let Some(smtp) = smtp {
            if let Some(name) = &smtp.server_name
                && a.names.len() < 16
            {
                a.names.insert(
                    name.chars()
                        .take(200)
                        .collect::<String>()
                        .to_ascii_lowercase(),
                );
            }
            if EXCHANGE_VERBS
                .iter()
                .any(|v| smtp.commands.contains_key(*v))
            {
                a.exchange += 1;
                a.exchange_trace.flow(f, f.start, f.end);
                if let Some(step) = smtp
                    .steps
                    .iter()
                    .find(|s| EXCHANGE_VERBS.contains(&&*s.verb))
                {
                    a.exchange_trace.proof(f, step.frame, || {
                        format!(
                            "{}: only Exchange servers say this to each other",
                            step.verb
                        )
                    });
                }
                if let (Some(step), Some(name)) = (smtp.steps.first(), &smtp.server_name) {
                    let frame = step.reply_frame.unwrap_or(step.frame);
                    a.exchange_trace
                        .proof(f, frame, || format!("here the server calls itself {name}"));
                }
            }
        }
    }

    fn limited(&mut self) -> Vec<&mut dyn Limited> {
        vec![&mut self.addresses, &mut self.room]
    }

    fn finish(&mut self, out: &mut Vec<Finding>) {
        for ((addr, port), mut a) in self.addresses.take() {
            a.attempts.sort_by_key(|(at, _, _, frame)| (*at, *frame));
            out.extend(a.flooding(addr, port));
            out.extend(a.dead_service(addr, port));
            out.extend(a.intra_org(addr, port));
        }
    }
}

#[allow(clippy::cast_precision_loss)]
impl Address {
    fn flooding(&self, addr: IpAddr, port: u16) -> Option<Finding> {
        let mode = self.mode?;
        let (place, frame, at, mac) = self.first?;
        // Frames towards the cluster alone reach ports that have nothing to do with it.
        let flooded = self.one_way > 0 && self.one_way * 2 >= self.flows;
        let summary = if flooded {
            format!(
                "frames for the cluster address {addr} ({mac}, {}) reach this capture point without their answers, on {} of {}: the switch floods them",
                mode.name(),
                self.one_way,
                plural(self.flows, "connection")
            )
        } else {
            format!(
                "{addr} is an address of Network Load Balancing in {} mode ({mac}); switches flood frames to it unless they are told where it is",
                mode.name()
            )
        };
        let mut trace = self.trace.clone();
        trace.place(place, at, at);
        trace.cite(place, frame, || format!("the first frame to {mac}"));
        let (severity, confidence) = if flooded {
            (Severity::Warning, 0.85)
        } else {
            (Severity::Info, 0.6)
        };
        let mut f = trace.finding("balance.nlb-flooding", severity, confidence, summary);
        f.subject = Some(addr);
        f.measures = vec![("count", self.flows as f64), ("port", f64::from(port))];
        f.words = vec![("cause", mode.name().to_owned())];
        f.display_filter = format!("eth.dst == {mac}");
        if !flooded {
            f.against.push("both directions are here: this capture point may be where the frames belong; a capture at a port of another host tells".to_owned());
        }
        Some(f)
    }

    fn dead_service(&self, addr: IpAddr, port: u16) -> Option<Finding> {
        self.mode?;
        let refused = |o: Outcome| o == Outcome::Refused;
        let down = self
            .attempts
            .iter()
            .filter(|(_, o, _, _)| refused(*o))
            .count() as u64;
        let up = self.attempts.len() as u64 - down;
        let turns = turns(self.attempts.iter().map(|(_, o, _, _)| refused(*o)));
        if down < LEAST_OF_EACH || up < LEAST_OF_EACH || turns < LEAST_TURNS {
            return None;
        }
        let mut trace = Trace::default();
        for (at, o, place, frame) in &self.attempts {
            if refused(*o) {
                trace.place(*place, *at, *at);
                trace.cite(*place, *frame, || {
                    format!("RST from {addr}: this node's service is dead")
                });
            }
        }
        let summary = format!(
            "the cluster address {addr} refuses {} to port {port} and takes {up} others in between: the service of one node is dead while its host lives",
            plural(down, "connection")
        );
        let mut f = trace.finding("balance.nlb-dead-service", Severity::Warning, 0.85, summary);
        f.subject = Some(addr);
        f.measures = vec![
            ("count", down as f64),
            ("share", down as f64 / self.attempts.len().max(1) as f64),
            ("port", f64::from(port)),
        ];
        Some(f)
    }

    fn intra_org(&self, addr: IpAddr, port: u16) -> Option<Finding> {
        let several = self.names.len() > 1;
        if self.exchange == 0 || !(several || self.mode.is_some()) {
            return None;
        }
        let names: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let summary = format!(
            "{} between Exchange servers to {addr} go through a balancer{}",
            plural(self.exchange, "session"),
            if several {
                format!(": the address answers as {}", names.join(", "))
            } else {
                String::new()
            }
        );
        let mut f = self.exchange_trace.clone().finding(
            "balance.intra-org-through-balancer",
            Severity::Warning,
            if several { 0.75 } else { 0.6 },
            summary,
        );
        f.subject = Some(addr);
        f.measures = vec![
            ("count", self.exchange as f64),
            ("targets", self.names.len() as f64),
            ("port", f64::from(port)),
        ];
        f.words = vec![("application", "smtp".to_owned())];
        f.against.push(
            "a server with several receive connectors may call itself by several names".to_owned(),
        );
        Some(f)
    }
}

/// How often one kind follows the other.
fn turns(kinds: impl Iterator<Item = bool>) -> u64 {
    let mut before = None;
    let mut turns = 0;
    for kind in kinds {
        turns += u64::from(before.is_some_and(|b| b != kind));
        before = Some(kind);
    }
    turns
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    #[test]
    fn addresses_of_clusters() {
        let host = Ipv4Addr::new(192, 0, 2, 25).into();
        for (name, mac, host, want) in [
            (
                "unicast",
                [0x02, 0xbf, 192, 0, 2, 25],
                host,
                Some(Mode::Unicast),
            ),
            (
                "multicast",
                [0x03, 0xbf, 192, 0, 2, 25],
                host,
                Some(Mode::Multicast),
            ),
            (
                "IGMP",
                [0x01, 0x00, 0x5e, 0x7f, 2, 25],
                host,
                Some(Mode::Igmp),
            ),
            ("the prefix by chance", [0x02, 0xbf, 1, 2, 3, 4], host, None),
            (
                "the mask of a node",
                [0x02, 0x01, 192, 0, 2, 25],
                host,
                None,
            ),
            ("an adapter", [0x00, 0x15, 0x5d, 0, 2, 25], host, None),
            (
                "no IPv6",
                [0x02, 0xbf, 192, 0, 2, 25],
                Ipv6Addr::LOCALHOST.into(),
                None,
            ),
        ] {
            assert_eq!(mode(MacAddr(mac), host), want, "{name}");
        }
    }

    #[test]
    fn turns_of_outcomes() {
        for (name, kinds, want) in [
            ("nothing", &[][..], 0),
            ("away for a stretch", &[false, false, true, true, false], 2),
            ("by turns", &[false, true, false, true], 3),
        ] {
            assert_eq!(turns(kinds.iter().copied()), want, "{name}");
        }
    }
}
