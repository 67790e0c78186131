//! Finds what the path does to segments besides losing them.
//!
//! Reads:   sizes of what passes and what does not, ICMP errors, round-trip times, options at both ends
//! Yields:  `path.mtu-black-hole`, `path.mtu-discovery`, `path.bufferbloat`, `path.latency-spike`, `path.option-stripped`,
//!          `path.sack-shifted`
//! Silent:  black holes where small segments do not pass either; delay that does not exceed four times the least round trip, by 100 ms at least;
//!          options where the other end's SYN was not captured, or that a host leaves out beside which the capture was taken; SACK blocks
//!          that lie astray where others do not, or where the capture lacks octets
//! Source:  RFC 1191, 2923, 8201 (MTU); RFC 7323, 2018 (options)

use std::net::IpAddr;

use super::trace::{Groups, Trace, plural, retransmit_line, span};
use super::{Detector, Finding, Limited, Seen, Severity};
use crate::flow::EventKind;
use crate::net::Direction;

/// Round trip far above the least one: queues on the way.
const BLOAT_FACTOR: f64 = 4.0;
const BLOAT_SECONDS: f64 = 0.1;
/// Frames without the timestamps that both ends agreed on.
const UNSTAMPED: u64 = 5;
/// Segments smaller than any path must carry (RFC 9293 section 3.7.1) do not show that size alone decides.
const TELLING_SIZE: u32 = 536;
/// Acknowledgements whose SACK blocks lie astray, from which a device is at work.
const ASTRAY: u64 = 3;
/// Samples that it takes.
const BLOAT_SAMPLES: u64 = 50;

#[derive(Default)]
struct Pair {
    hole: u64,
    hole_seconds: f64,
    hole_trace: Trace,
    passes: u32,
    stuck_at: u32,
    /// Largest segment that got through on any connection of the pair.
    carried: u32,
    mtu: Option<u32>,
    discovery: u64,
    discovery_trace: Trace,
    bloat: f64,
    bloat_min: f64,
    bloat_trace: Trace,
    spikes: u64,
    spike: f64,
    usual: f64,
    spike_trace: Trace,
    astray: u64,
    astray_trace: Trace,
}

/// See the head of this file.
#[derive(Default)]
pub(super) struct Path {
    pairs: Groups<(IpAddr, IpAddr), Pair>,
    stripped: Groups<(IpAddr, IpAddr, &'static str), (u64, Trace)>,
}

impl Detector for Path {
    fn flow(&mut self, seen: Seen<'_>, _out: &mut Vec<Finding>) {
        let f = seen.flow;
        for direction in Direction::BOTH {
            let h = f.half(direction);
            let key = (f.sender(direction).addr, f.sender(direction.reverse()).addr);
            let Some(p) = self.pairs.group(key) else {
                continue;
            };
            p.carried = p.carried.max(h.largest_acked);
            // Large segments are stuck while smaller ones pass, on a path that must not fragment.
            let stuck: Vec<_> = h
                .repeats
                .iter()
                .filter(|r| {
                    !r.acked && !r.spurious && r.octets / r.segments.max(1) > h.largest_acked
                })
                .collect();
            // The smaller of both: what the other end takes, and what this one's own link does.
            let limits = h.mss.into_iter().chain(f.half(direction.reverse()).mss);
            let full = limits.min().map_or(1200, |m| u32::from(m) * 8 / 10);
            let large = stuck
                .iter()
                .filter(|r| r.octets / r.segments.max(1) >= full.min(1200))
                .count() as u64;
            if large >= 2
                && h.largest_acked > 0
                && large == stuck.len() as u64
                && !stuck.iter().any(|r| r.checksum.is_bad())
            {
                p.hole += large;
                p.passes = p.passes.max(h.largest_acked);
                let least = stuck.iter().map(|r| r.octets / r.segments.max(1)).min();
                let known = Some(p.stuck_at).filter(|&octets| octets > 0);
                p.stuck_at = known.into_iter().chain(least).min().unwrap_or(0);
                if let (Some(a), Some(b)) = (stuck.first(), stuck.last()) {
                    let began = a.after.map_or(a.time, |d| {
                        a.time.plus_nanos(-i64::try_from(d.as_nanos()).unwrap_or(0))
                    });
                    p.hole_seconds += b.time.seconds_since(began).max(0.0);
                    p.hole_trace.flow(f, began, b.time);
                }
                for r in stuck {
                    p.hole_trace
                        .proof(f, r.frame, || retransmit_line(seen, direction, r));
                }
            }
            for e in f.events.iter().filter(|e| e.direction == direction) {
                match e.kind {
                    EventKind::Icmp {
                        icmp_type,
                        code,
                        mtu,
                        v6,
                        credible: true,
                    } if (v6 && icmp_type == 2) || (!v6 && icmp_type == 3 && code == 4) => {
                        p.discovery += 1;
                        p.mtu = mtu.or(p.mtu);
                        p.discovery_trace.flow(f, e.time, e.time);
                        p.discovery_trace.proof(f, e.frame, || {
                            format!(
                                "a device on the way asks for packets of {} octets at most",
                                mtu.map_or_else(|| "fewer".to_owned(), |m| m.to_string())
                            )
                        });
                    }
                    // A late acknowledgement is none where the capture missed the first.
                    EventKind::LatencySpike { rtt, usual }
                        if f.half(direction.reverse()).bare_acks > 0
                            && f.halves.iter().all(|h| h.unseen_packets == 0)
                            && usual.as_secs_f64() < 1.0 =>
                    {
                        p.spikes += 1;
                        if rtt.as_secs_f64() > p.spike {
                            p.spike = rtt.as_secs_f64();
                            p.usual = usual.as_secs_f64();
                        }
                        p.spike_trace.flow(f, e.time, e.time);
                        p.spike_trace.proof(f, e.frame, || {
                            format!(
                                "acknowledges after {}; usual were {}",
                                span(rtt.as_secs_f64()),
                                span(usual.as_secs_f64())
                            )
                        });
                    }
                    _ => {}
                }
            }
            if h.sacks_outside > 0 && h.sacks_inside == 0 && h.unseen_octets == 0 {
                p.astray += h.sacks_outside;
                p.astray_trace.flow(f, f.start, f.end);
                for e in f.events.iter().filter(|e| e.direction == direction) {
                    if let EventKind::SackOutside { octets } = e.kind {
                        p.astray_trace.proof(f, e.frame, || {
                            format!("acknowledges what was sent, and its SACK blocks lie {octets} octets away from it")
                        });
                    }
                }
            }
            // Beside the receiver only echoed timestamps show the path of the data.
            let beside_receiver = seen.flow.is_beside_sender(direction.reverse());
            let rtt = if beside_receiver {
                f.half(direction.reverse()).echo_rtt
            } else {
                h.rtt
            };
            if let Some(r) = rtt.filter(|r| r.samples >= BLOAT_SAMPLES) {
                let (least, median) = (r.min.as_secs_f64(), r.median.as_secs_f64());
                let base = f
                    .handshake
                    .rtt
                    .map_or(least, |d| d.as_secs_f64().min(least.max(1e-6)));
                if median > base * BLOAT_FACTOR
                    && median - base > BLOAT_SECONDS
                    && h.unique_octets > 100_000
                {
                    if median > p.bloat {
                        (p.bloat, p.bloat_min) = (median, base);
                    }
                    p.bloat_trace.flow(f, f.start, f.end);
                    p.bloat_trace.proof(f, f.last_frame, || {
                        format!(
                            "flow whose median round trip of {} samples is {} against {} at least",
                            r.samples,
                            span(median),
                            span(base)
                        )
                    });
                }
            }
        }
        self.options(seen);
    }

    fn limited(&mut self) -> Vec<&mut dyn Limited> {
        vec![&mut self.pairs, &mut self.stripped]
    }

    fn finish(&mut self, out: &mut Vec<Finding>) {
        for ((from, to), p) in self.pairs.take() {
            let mut push = |mut f: Finding, lost: f64, m: Vec<(&'static str, f64)>| {
                f.subject = Some(from);
                f.peer = Some(to);
                f.seconds_lost = (lost > 0.0).then_some(lost);
                f.measures = m;
                out.push(f);
            };
            if p.hole > 0 {
                let mut f = p.hole_trace.finding(
                    "path.mtu-black-hole",
                    Severity::Critical,
                    match (p.discovery, p.passes) {
                        // As large ones got through elsewhere: size alone does not decide.
                        (0, _) if p.carried >= p.stuck_at => 0.4,
                        (0, ..TELLING_SIZE) => 0.7,
                        (0, _) => 0.85,
                        _ => 0.95,
                    },
                    format!(
                        "full-size segments ({} octets) from {from} never reach {to}, while segments up to {} octets do: something on the path drops large packets{}",
                        p.stuck_at,
                        p.passes,
                        if p.discovery > 0 { " and the sender does not follow its ICMP messages" } else { " and no ICMP message says so" }
                    ),
                );
                if p.discovery == 0 && p.passes < TELLING_SIZE {
                    f.against.push(format!("nothing between {} and {} octets was tried: whether size decides is not proved", p.passes, p.stuck_at));
                }
                if p.carried >= p.stuck_at {
                    f.against.push(format!("segments of {} octets got through between the same hosts, on another connection or at another time", p.carried));
                }
                if p.discovery == 0 {
                    f.against.push("a host that loses only large segments by itself (offload, driver) looks the same from here; a ping of full size with don't-fragment from the sender decides".to_owned());
                }
                push(
                    f,
                    p.hole_seconds,
                    vec![
                        ("stuck_octets", f64::from(p.stuck_at)),
                        ("passing_octets", f64::from(p.passes)),
                        ("icmp", p.discovery as f64),
                    ],
                );
            } else if p.discovery > 0 {
                let f = p.discovery_trace.finding(
                    "path.mtu-discovery",
                    Severity::Info,
                    0.97,
                    match p.mtu {
                        Some(mtu) => format!("path MTU discovery from {from} to {to} is at work: packets of {mtu} octets pass"),
                        None => format!("path MTU discovery from {from} to {to} is at work: a device on the way asks for smaller packets, and does not say how small"),
                    },
                );
                push(f, 0.0, vec![("mtu", p.mtu.map_or(0.0, f64::from))]);
            }
            if p.astray >= ASTRAY {
                let f = p.astray_trace.finding(
                    "path.sack-shifted",
                    Severity::Warning,
                    0.9,
                    format!(
                        "{} of {to} report octets by SACK that {from} never sent: a device on the path changes sequence numbers and forgets those in the option, so that {from} cannot use it",
                        plural(p.astray, "acknowledgement")
                    ),
                );
                push(f, 0.0, vec![("count", p.astray as f64)]);
            }
            if p.bloat > 0.0 {
                let f = p.bloat_trace.finding(
                    "path.bufferbloat",
                    Severity::Warning,
                    0.85,
                    format!("round trips from {from} to {to} grew from {} to {} while data flowed: a queue on the way holds far more than it should", span(p.bloat_min), span(p.bloat)),
                );
                push(
                    f,
                    0.0,
                    vec![
                        ("rtt_ms", p.bloat * 1e3),
                        ("least_rtt_ms", p.bloat_min * 1e3),
                    ],
                );
            } else if p.spikes > 0 {
                let f = p.spike_trace.finding(
                    "path.latency-spike",
                    if p.spike >= 0.3 {
                        Severity::Warning
                    } else {
                        Severity::Info
                    },
                    0.75,
                    format!(
                        "{} from {from} to {to} took up to {} instead of {}",
                        plural(p.spikes, "round trip"),
                        span(p.spike),
                        span(p.usual)
                    ),
                );
                push(
                    f,
                    p.spike,
                    vec![("spikes", p.spikes as f64), ("rtt_ms", p.spike * 1e3)],
                );
            }
        }
        for ((sender, receiver, option), stripped) in self.stripped.take() {
            let (flows, trace) = *stripped;
            // Some stacks had timestamps and window scale long before SACK.
            let (severity, confidence) = if option == "SACK" {
                (Severity::Info, 0.6)
            } else {
                (Severity::Warning, 0.8)
            };
            let mut f = trace.finding(
                "path.option-stripped",
                severity,
                confidence,
                if option == "SACK" {
                    format!("SACK is not offered between {sender} and {receiver} ({}), though window scale and timestamps are: a device on the path takes the option out, or one end has it switched off", plural(flows, "connection"))
                } else {
                    format!("{option} does not survive between {sender} and {receiver} ({}): a device on the path takes the option out", plural(flows, "connection"))
                },
            );
            f.subject = None;
            f.hosts = vec![sender, receiver];
            f.measures = vec![("flows", flows as f64)];
            f.words = vec![("option", option.to_owned())];
            if option == "window scale" {
                f.against
                    .push("an end that has window scaling switched off looks the same".to_owned());
            }
            out.push(f);
        }
    }
}

impl Path {
    /// Options that one end shows by its behaviour to have in force, or not, against what its SYN said.
    fn options(&mut self, seen: Seen<'_>) {
        let f = seen.flow;
        let [c, s] = &f.halves;
        if !f.handshake.complete {
            return;
        }
        let mut note = |option: &'static str, from: IpAddr, to: IpAddr, text: String| {
            let Some((flows, trace)) = self.stripped.group((from, to, option)) else {
                return;
            };
            *flows += 1;
            trace.flow(f, f.start, f.end);
            trace.proof(f, f.first_frame, || text);
        };
        // Nothing stands between a host and a capture beside it: an option that is missing there was never offered.
        let own = |direction| seen.flow.is_beside_sender(direction);
        let (by_client, by_server) = (
            own(Direction::ClientToServer),
            own(Direction::ServerToClient),
        );
        let (client, server) = (f.client.addr, f.server.addr);
        // A modern SYN offers scaling, SACK and timestamps together; one of them missing in both SYNs, with the others there, was taken out.
        let modern = |h: &crate::flow::HalfRecord| {
            usize::from(h.window_scale.is_some())
                + usize::from(h.sack_permitted == Some(true))
                + usize::from(h.timestamps == Some(true))
        };
        let (mc, ms) = (modern(c), modern(s));
        let agreed = c.timestamps == Some(true) && s.timestamps == Some(true);
        if agreed
            && [c, s]
                .iter()
                .any(|h| h.unstamped >= UNSTAMPED && h.unstamped * 2 > h.frames)
        {
            note(
                "timestamps",
                client,
                server,
                "both SYNs offer timestamps, and most segments after them have none".to_owned(),
            );
        }
        // Timestamps and window scale came with one document (RFC 1323): an end that has the one and not the other had it taken out.
        if mc >= 2 && ms >= 1 {
            let stamped = if c.window_scale.is_none() {
                c.timestamps
            } else {
                s.timestamps
            } == Some(true);
            let (without, who, own) = if c.window_scale.is_none() {
                ("SYN", client, by_client)
            } else {
                ("SYN-ACK", server, by_server)
            };
            if own {
                // Said by the host itself.
            } else if c.window_scale.is_some() != s.window_scale.is_some() && stamped {
                note(
                    "window scale",
                    client,
                    server,
                    format!(
                        "the {without} of {who} has no window scale, and that of the other end has, although both offer other options of the same age"
                    ),
                );
            } else if c.window_scale.is_none()
                && c.timestamps == Some(true)
                && c.sack_permitted == Some(true)
            {
                note(
                    "window scale",
                    client,
                    server,
                    format!(
                        "neither SYN has window scale, although that of {client} has timestamps and SACK"
                    ),
                );
            }
            let without = |h: &crate::flow::HalfRecord| {
                h.sack_permitted == Some(false)
                    && h.window_scale.is_some()
                    && h.timestamps == Some(true)
            };
            if (without(c) && !by_client) || (without(s) && !by_server) {
                note(
                    "SACK",
                    client,
                    server,
                    "SACK-permitted is missing from a SYN that has window scale and timestamps"
                        .to_owned(),
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::wait::tests::{at, flow, repeat};
    use super::*;
    use crate::flow::{FlowRecord, Repeat, Vantage};
    use crate::proto::DialogRecord;

    fn told(flows: &[FlowRecord]) -> Vec<(&'static str, f64)> {
        let mut path = Path::default();
        let mut out = Vec::new();
        let dialog = DialogRecord::default();
        for flow in flows {
            path.flow(
                Seen {
                    flow,
                    dialog: &dialog,
                },
                &mut out,
            );
        }
        path.finish(&mut out);
        out.iter().map(|f| (f.id, f.confidence)).collect()
    }

    /// Segments of 1,400 octets never get through, such of 600 do.
    fn stuck() -> FlowRecord {
        let mut f = flow();
        f.halves[0].largest_acked = 600;
        f.halves[0].repeats = vec![
            Repeat {
                octets: 1_400,
                acked: false,
                ..repeat(at(2_000), false)
            };
            3
        ];
        f
    }

    #[test]
    fn a_hole_that_others_pass_is_less_sure() {
        let other = |largest| {
            let mut f = flow();
            f.halves[0].largest_acked = largest;
            f
        };
        for (name, flows, sure) in [
            ("alone", vec![stuck()], 0.85),
            ("beside a small exchange", vec![stuck(), other(800)], 0.85),
            ("beside a transfer", vec![other(1_460), stuck()], 0.4),
        ] {
            assert_eq!(told(&flows), [("path.mtu-black-hole", sure)], "{name}");
        }
    }

    #[test]
    fn what_a_host_leaves_out_itself_nobody_took() {
        for (name, vantage, want) in [
            ("beside the server", Vantage::Server, true),
            ("in between", Vantage::Middle, true),
            ("beside the client", Vantage::Client, false),
        ] {
            let mut f = flow();
            f.vantage = vantage;
            for h in &mut f.halves {
                (h.sack_permitted, h.timestamps) = (Some(true), Some(true));
            }
            let told = told(&[f]);
            assert_eq!(
                told.iter().any(|t| t.0 == "path.option-stripped"),
                want,
                "{name}"
            );
        }
    }
}
