//! Finds connections that did not come up, or only at the second try.
//!
//! Reads:   handshakes and ends of flows
//! Yields:  `connect.refused`, `connect.unanswered`, `connect.retried`: one for each service
//! Silent:  a flow whose SYN the capture lacks; one lost SYN among 500 connections
//! Source:  RFC 9293 sections 3.5 and 3.10.7; retry times of the stacks as vendors document them

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::trace::{Groups, Trace, ip_field, plural, span};
use super::{Detector, Finding, Limited, Seen, Severity};
use crate::flow::{End, EventKind, Vantage};

/// One client that more hosts than these leave unanswered looks for hosts, or has lost its way out: that is told once.
const MANY: usize = 4;

/// One finding for all hosts that leave one client unanswered on one port.
fn nobody(
    client: IpAddr,
    port: u16,
    hosts: &[IpAddr],
    services: &mut BTreeMap<(IpAddr, u16), Box<Service>>,
    out: &mut Vec<Finding>,
) {
    let mut all = Trace::default();
    let (mut count, mut syns, mut seconds) = (0, 0, 0.0);
    for host in hosts {
        if let Some(s) = services.remove(&(*host, port)) {
            count += s.unanswered.0;
            syns += s.unanswered.1;
            seconds += s.unanswered.2;
            all.merge(s.unanswered.3);
        }
    }
    let mut f = all.finding(
        "connect.unanswered",
        Severity::Warning,
        0.9,
        format!(
            "{} hosts did not answer {} of {client} to port {port} ({}); the way out is shut, or it looks for hosts that are not there",
            hosts.len(),
            plural(count, "connection attempt"),
            plural(syns, "SYN")
        ),
    );
    f.subject = Some(client);
    f.seconds_lost = Some(seconds);
    f.measures = vec![
        ("count", count as f64),
        ("port", f64::from(port)),
        ("came_up", 0.0),
    ];
    let ip = ip_field(client);
    f.display_filter =
        format!("tcp.flags.syn == 1 && {ip}.src == {client} && tcp.dstport == {port}");
    out.push(f);
}

/// Share of connections whose SYN had to be sent again from which it is worth a warning.
const RETRIED_SHARE: f64 = 0.002;

#[derive(Default)]
struct Service {
    flows: u64,
    came_up: u64,
    refused: (u64, Trace),
    unanswered: (u64, u64, f64, Trace),
    retried: (u64, u64, f64, Trace),
    /// Of these, such as the capture beside the server saw ask in vain.
    at_server: u64,
    /// And such as came up once the client no longer asked for ECN.
    without_ecn: u64,
    prohibited: bool,
    clients: Vec<IpAddr>,
}

/// See the head of this file.
#[derive(Default)]
pub(super) struct Connect {
    services: Groups<(IpAddr, u16), Service>,
}

/// `none came up`, or `2 of 3 came up`.
fn came_up(up: u64, of: u64) -> String {
    if up == 0 {
        "none came up".to_owned()
    } else {
        format!("{up} of {of} came up")
    }
}

impl Detector for Connect {
    fn minds_lone_syns(&self) -> bool {
        true
    }

    fn flow(&mut self, seen: Seen<'_>, _out: &mut Vec<Finding>) {
        let f = seen.flow;
        if !f.handshake.syn_seen {
            return;
        }
        let key = (f.server.addr, f.server.port);
        let Some(s) = self.services.group(key) else {
            return;
        };
        s.flows += 1;
        s.came_up += u64::from(f.handshake.syn_ack_seen);
        if s.clients.len() < 64 && !s.clients.contains(&f.client.addr) {
            s.clients.push(f.client.addr);
        }
        let syns = &f.handshake.syn_frames;
        match f.close.how {
            End::Refused => {
                s.refused.0 += 1;
                s.refused.1.flow(f, f.start, f.end);
                if let Some(frame) = f.close.frame {
                    s.refused.1.proof(f, frame, || {
                        format!(
                            "RST from {} answers the SYN in frame {}",
                            f.server, f.first_frame
                        )
                    });
                }
            }
            End::Unanswered => {
                s.unanswered.0 += 1;
                s.unanswered.1 += syns.len() as u64;
                s.unanswered.2 += f.duration().as_secs_f64();
                s.prohibited |= f
                    .events
                    .iter()
                    .any(|e| matches!(e.kind, EventKind::Icmp { credible: true, .. }));
                s.unanswered.3.flow(f, f.start, f.end);
                for (n, frame) in syns.iter().enumerate() {
                    s.unanswered.3.proof(f, *frame, || {
                        format!(
                            "SYN number {} from {} to {}, no answer",
                            n + 1,
                            f.client,
                            f.server
                        )
                    });
                }
            }
            _ if f.handshake.syn_ack_seen
                && (f.handshake.syn_retries > 0 || f.handshake.syn_ack_retries > 0) =>
            {
                s.retried.0 += 1;
                s.at_server +=
                    u64::from(f.handshake.syn_retries > 0 && f.vantage == Vantage::Server);
                s.without_ecn += u64::from(f.handshake.ecn_fallback);
                s.retried.1 += u64::from(f.handshake.syn_retries);
                s.retried.2 += f
                    .handshake
                    .connect_time
                    .unwrap_or_default()
                    .saturating_sub(f.handshake.rtt.unwrap_or_default())
                    .as_secs_f64();
                s.retried.3.flow(f, f.start, f.end);
                for pair in syns.windows(2).take(3) {
                    let [before, again] = *pair else { continue };
                    s.retried.3.proof(f, again, || {
                        format!(
                            "SYN from {} sent again: the one in frame {before} had no answer",
                            f.client
                        )
                    });
                }
                if f.handshake.syn_retries == 0 {
                    s.retried.3.proof(f, f.first_frame, || {
                        "the SYN-ACK to this connection was sent again".to_owned()
                    });
                }
            }
            _ => {}
        }
    }

    fn limited(&mut self) -> Vec<&mut dyn Limited> {
        vec![&mut self.services]
    }

    fn finish(&mut self, out: &mut Vec<Finding>) {
        let mut services = self.services.take();
        let mut silent: BTreeMap<(IpAddr, u16), Vec<IpAddr>> = BTreeMap::new();
        for ((addr, port), s) in &services {
            if s.came_up == 0 && s.unanswered.0 > 0 && s.clients.len() == 1 {
                silent.entry((s.clients[0], *port)).or_default().push(*addr);
            }
        }
        for ((client, port), hosts) in silent {
            if hosts.len() > MANY {
                nobody(client, port, &hosts, &mut services, out);
            }
        }
        for ((addr, port), s) in services {
            let up = s.came_up;
            let ip = ip_field(addr);
            let (at_server, without_ecn) = (s.at_server, s.without_ecn);
            let mut push = |mut f: Finding, lost: Option<f64>, count: u64| {
                f.subject = Some(addr);
                f.peer = if s.clients.len() == 1 {
                    s.clients.first().copied()
                } else {
                    None
                };
                f.seconds_lost = lost;
                f.measures = vec![
                    ("count", count as f64),
                    ("port", f64::from(port)),
                    ("came_up", up as f64),
                ];
                if f.id == "connect.retried" {
                    f.measures.push(("at_server", at_server as f64));
                    f.measures.push(("ecn", without_ecn as f64));
                }
                out.push(f);
            };
            let (n, trace) = s.refused;
            if n > 0 {
                let severity = if up == 0 {
                    Severity::Critical
                } else {
                    Severity::Warning
                };
                let mut f = trace.finding(
                    "connect.refused",
                    severity,
                    0.97,
                    format!(
                        "{addr} refused {} to port {port}; {}",
                        plural(n, "connection"),
                        came_up(up, s.flows)
                    ),
                );
                f.display_filter =
                    format!("tcp.flags.reset == 1 && {ip}.addr == {addr} && tcp.port == {port}");
                push(f, None, n);
            }
            let (n, syns, seconds, trace) = s.unanswered;
            if n > 0 {
                let severity = if up == 0 {
                    Severity::Critical
                } else {
                    Severity::Warning
                };
                let once = syns <= n;
                let mut f = trace.finding(
                    "connect.unanswered",
                    if once && n < 3 {
                        Severity::Info
                    } else {
                        severity
                    },
                    if once { 0.5 } else { 0.92 },
                    format!(
                        "{addr} did not answer {} to port {port} ({}); {}",
                        plural(n, "connection attempt"),
                        plural(syns, "SYN"),
                        came_up(up, s.flows)
                    ),
                );
                if once {
                    f.against
                        .push("the capture ends before the SYN would be sent again".to_owned());
                }
                if s.prohibited {
                    f.against.push("an ICMP error answered some of these SYNs: a device on the way, or the host itself, turns them away".to_owned());
                }
                f.display_filter =
                    format!("tcp.flags.syn == 1 && {ip}.dst == {addr} && tcp.dstport == {port}");
                push(f, Some(seconds), n);
            }
            let (n, syns, seconds, trace) = s.retried;
            if n > 0 {
                let share = n as f64 / s.flows.max(1) as f64;
                let severity = if syns > 0 && share >= RETRIED_SHARE && seconds > 0.5 {
                    Severity::Warning
                } else {
                    Severity::Info
                };
                let mut f = trace.finding(
                    "connect.retried",
                    severity,
                    0.9,
                                        if syns > 0 {
                        format!(
                            "{} of {} to {addr} port {port} came up only after {} had been sent again, {} later than needed",
                            n,
                            plural(s.flows, "connection"),
                            plural(syns, "SYN"),
                            span(seconds)
                        )
                    } else {
                        format!(
                            "{addr} repeated its SYN-ACK on {} of {} to port {port}: the last segment of the handshake was lost, and nothing waited for it",
                            n,
                            plural(s.flows, "connection")
                        )
                    },
                );
                f.display_filter = format!(
                    "tcp.analysis.retransmission && tcp.flags.syn == 1 && {ip}.addr == {addr} && tcp.port == {port}"
                );
                push(f, Some(seconds), n);
            }
        }
    }
}
