//! Tells harmless checksums from those that cost deliveries, by their consequence.
//!
//! Reads:   states of checksum fields, and whether the octets under them were acknowledged
//! Yields:  `checksum.offload-broken`, `checksum.corruption-on-path`: one for each sender and receiver;
//!          `checksum.offload-artefact`: one for each sender
//! Silent:  hosts with less than two bad checksums
//! Source:  RFC 9293 section 3.1 (checksum); how adapters leave it: vendors' documents on offload; the consequence test is ours

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::trace::{self, Groups, Trace, ip_field, percent, plural, retransmit_line};
use super::{Detector, Finding, Limited, Seen, Severity, spoilt};
use crate::flow::EventKind;
use crate::net::Direction;

#[derive(Default)]
struct Pair {
    frames: u64,
    good: u64,
    unfilled: u64,
    wrong: u64,
    acked_unfilled: u64,
    acked_wrong: u64,
    unacked_bad: u64,
    unacked_good: u64,
    wrong_then_good: u64,
    repeats_bad: u64,
    repeats_bad_unfilled: u64,
    beside_sender: u64,
    beside_receiver: u64,
    trace: Trace,
    bad_trace: Trace,
    healed_trace: Trace,
}

/// What a sender's adapter fills in after the capture, to the harm of nobody.
#[derive(Default)]
struct Artefact {
    packets: u64,
    acknowledged: bool,
    peers: u64,
    peer: Option<IpAddr>,
    trace: Trace,
}

impl Artefact {
    fn finding(self, from: IpAddr) -> Finding {
        let to = match self.peer {
            Some(peer) if self.peers == 1 => peer.to_string(),
            _ => plural(self.peers, "host"),
        };
        let mut f = self.trace.finding(
            "checksum.offload-artefact",
            Severity::Info,
            if self.acknowledged { 0.97 } else { 0.7 },
            format!(
                "{} from {from} to {to} were captured before the adapter filled in their checksum: harmless{}",
                plural(self.packets, "packet"),
                match (self.acknowledged, self.peers) {
                    (false, _) => "",
                    (true, 1) => ", the other end acknowledged them",
                    (true, _) => ", the other ends acknowledged them",
                }
            ),
        );
        f.subject = Some(from);
        f.peer = self.peer.filter(|_| self.peers == 1);
        let ip = ip_field(from);
        f.display_filter = format!("tcp.checksum.status == \"Bad\" && {ip}.src == {from}");
        f.measures.push(("unfilled", self.packets as f64));
        f
    }
}

/// See the head of this file.
#[derive(Default)]
pub(super) struct Checksums {
    pairs: Groups<(IpAddr, IpAddr), Pair>,
}

impl Detector for Checksums {
    fn minds_lone_syns(&self) -> bool {
        true
    }

    fn flow(&mut self, seen: Seen<'_>, _out: &mut Vec<Finding>) {
        let f = seen.flow;
        for direction in Direction::BOTH {
            let h = f.half(direction);
            if h.frames == 0 {
                continue;
            }
            let key = (f.sender(direction).addr, f.sender(direction.reverse()).addr);
            let Some(p) = self.pairs.group(key) else {
                continue;
            };
            p.frames += h.frames;
            p.good += h.good_checksums;
            p.unfilled += h.unfilled_checksums;
            p.wrong += h.bad_checksums;
            p.acked_unfilled += h.acked_unfilled_segments;
            p.acked_wrong += h.acked_wrong_segments;
            p.unacked_good += h.unacked_good_checksum_segments;
            p.wrong_then_good += h.wrong_then_good;
            if seen.flow.is_beside_sender(direction) {
                p.beside_sender += 1;
            } else if seen.flow.is_beside_sender(direction.reverse()) {
                p.beside_receiver += 1;
            }
            if h.unfilled_checksums + h.bad_checksums > 0 {
                p.trace.flow(f, f.start, f.end);
            }
            let bad: Vec<_> = h.repeats.iter().filter(|r| r.checksum.is_bad()).collect();
            if h.unacked_bad_checksum_segments > 0 && !bad.is_empty() {
                p.unacked_bad += h.unacked_bad_checksum_segments;
            }
            p.repeats_bad += bad.iter().map(|r| u64::from(r.segments)).sum::<u64>();
            p.repeats_bad_unfilled += bad
                .iter()
                .filter(|r| r.checksum.is_unfilled())
                .map(|r| u64::from(r.segments))
                .sum::<u64>();
            for r in &bad {
                p.bad_trace.flow(f, r.time, r.time);
                if let Some(of) = r.of {
                    let unfilled = r.checksum.is_unfilled();
                    let bad = h.unacked_bad_checksum_frames.contains(&of);
                    p.bad_trace.proof(f, of, || {
                        format!(
                            "first copy{}{}",
                            if !bad {
                                ""
                            } else if unfilled {
                                ", checksum not filled in"
                            } else {
                                ", checksum wrong"
                            },
                            trace::said(seen, direction, r.offset, u64::from(r.octets))
                                .map_or(String::new(), |t| format!(": {t}"))
                        )
                    });
                }
                p.bad_trace
                    .proof(f, r.frame, || retransmit_line(seen, direction, r));
            }
            if h.wrong_then_good > 0 {
                p.healed_trace.flow(f, f.start, f.end);
            }
            for frame in &h.wrong_then_good_frames {
                p.healed_trace.proof(f, *frame, || {
                    "checksum wrong; a later copy of the same octets is right".to_owned()
                });
            }
            for e in f
                .events
                .iter()
                .filter(|e| e.direction == direction && matches!(e.kind, EventKind::WrongChecksum))
                .take(8)
            {
                p.healed_trace
                    .proof(f, e.frame, || "captured with a wrong checksum".to_owned());
                p.healed_trace.flow(f, e.time, e.time);
            }
        }
    }

    fn limited(&mut self) -> Vec<&mut dyn Limited> {
        vec![&mut self.pairs]
    }

    fn finish(&mut self, out: &mut Vec<Finding>) {
        let pairs = self.pairs.take();
        // What each host's unfilled checksums came to elsewhere: others acknowledge the same pattern.
        let mut elsewhere: BTreeMap<IpAddr, (u64, u64)> = BTreeMap::new();
        for ((from, _), p) in &pairs {
            let e = elsewhere.entry(*from).or_default();
            e.0 += p.acked_unfilled;
            e.1 += u64::from(p.acked_unfilled > 0);
        }
        let mut artefacts: BTreeMap<IpAddr, Artefact> = BTreeMap::new();
        for ((from, to), p) in pairs {
            let bad = p.unfilled + p.wrong;
            if bad < 2 {
                continue;
            }
            let others = elsewhere.get(&from).map_or((0, 0), |e| {
                (
                    e.0 - p.acked_unfilled,
                    e.1 - u64::from(p.acked_unfilled > 0),
                )
            });
            let stuck = p.unacked_bad >= 2 && p.repeats_bad >= 2;
            let arrived_unfilled =
                p.unfilled >= 2 && p.beside_receiver > 0 && p.beside_sender == 0 && p.good > 0;
            let share = p.unacked_bad as f64
                / (p.unacked_bad + p.acked_unfilled + p.acked_wrong).max(1) as f64;
            let mut push = |mut f: Finding, extra: &[(&'static str, f64)]| {
                f.subject = Some(from);
                f.peer = Some(to);
                f.measures = vec![
                    ("unacknowledged_share", share),
                    ("unacknowledged", p.unacked_bad as f64),
                    ("unfilled", p.unfilled as f64),
                    ("wrong", p.wrong as f64),
                    ("acknowledged_elsewhere", others.0 as f64),
                ];
                f.measures.extend_from_slice(extra);
                let ip = ip_field(from);
                f.display_filter = format!(
                    "tcp.checksum.status == \"Bad\" && {ip}.src == {from} && {ip}.dst == {to}"
                );
                out.push(f);
            };
            // Guests of one machine hand each other segments that nobody ever fills in, and take them.
            if arrived_unfilled && p.repeats_bad > 0 && p.unacked_bad > p.acked_unfilled {
                // Seen at the receiver's side: no adapter filled them in on the way out.
                let f = p.bad_trace.clone().finding(
                    "checksum.offload-broken",
                    Severity::Critical,
                    0.96,
                    format!("{from} sends segments to {to} whose checksum nobody filled in: {} arrived that way here, at the receiver's side, and had to be repeated", p.unfilled),
                );
                push(f, &[("at_receiver", 1.0)]);
                continue;
            }
            if stuck && p.beside_receiver == 0 {
                let unfilled = p.repeats_bad_unfilled * 2 > p.repeats_bad;
                let mut f = p.bad_trace.clone().finding(
                    "checksum.offload-broken",
                    Severity::Critical,
                    if unfilled { 0.7 } else { 0.75 },
                    format!(
                        "{} from {from} to {to} were captured with a checksum that is {}, and {to} never acknowledged them{}",
                        plural(p.unacked_bad, "segment"),
                        if unfilled { "not filled in" } else { "wrong" },
                        match (others.0, unfilled) {
                            (0, _) => String::new(),
                            (n, true) => format!(
                                "; {} from the same host to {} were captured with the same pattern, and acknowledged",
                                plural(n, "segment"),
                                plural(others.1, "other host")
                            ),
                            (n, false) => format!(
                                "; {} from the same host to {} were captured not filled in, as offload leaves them, and acknowledged: wrong is another thing",
                                plural(n, "segment"),
                                plural(others.1, "other host")
                            ),
                        }
                    ),
                );
                if unfilled {
                    f.against.push("any capture on the sender shows unfilled checksums: the pattern alone proves nothing, its consequence accuses".to_owned());
                } else {
                    f.against
                        .push("a capture on the sender cannot prove what left the wire".to_owned());
                }
                f.against.push(format!("a capture at {to}, or at the switch port beside it, would show whether these segments left with good checksums, and whether they arrived"));
                push(f, &[("at_receiver", 0.0)]);
                continue;
            }
            let told = p.wrong_then_good > 0 || p.repeats_bad > 0 || p.wrong >= 2;
            if p.wrong > 0 && p.good > 0 && told && p.beside_sender == 0 {
                let share = p.wrong as f64 / p.frames.max(1) as f64;
                let f = p.healed_trace.clone().finding(
                    "checksum.corruption-on-path",
                    spoilt(share).max(Severity::Warning),
                    if p.wrong_then_good > 0 { 0.95 } else { 0.8 },
                    format!(
                        "{} of {} from {from} to {to} ({}) arrived with a wrong checksum{}",
                        p.wrong,
                        plural(p.frames, "packet"),
                        percent(share),
                        if p.wrong_then_good > 0 {
                            "; good copies followed"
                        } else {
                            ""
                        }
                    ),
                );
                push(f, &[("arrived_wrong", p.wrong as f64)]);
                continue;
            }
            if p.unfilled * 20 >= p.frames || p.acked_unfilled > 0 || p.unfilled >= 2 {
                let a = artefacts.entry(from).or_default();
                a.packets += p.unfilled;
                a.acknowledged |= p.acked_unfilled > 0;
                a.peers += 1;
                a.peer = Some(to);
                a.trace.merge(p.trace);
            }
        }
        out.extend(artefacts.into_iter().map(|(from, a)| a.finding(from)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::wait::tests::{at, flow, repeat};
    use super::*;
    use crate::decode::Checksum;
    use crate::flow::{Repeat, Vantage};
    use crate::proto::DialogRecord;

    /// What is told of segments of the client that a capture beside the server shows unfilled.
    fn told(acked: u64, stuck: u64) -> Vec<&'static str> {
        let mut f = flow();
        f.vantage = Vantage::Server;
        let h = &mut f.halves[0];
        (h.frames, h.good_checksums, h.unfilled_checksums) = (1 + acked + stuck, 1, acked + stuck);
        (h.acked_unfilled_segments, h.unacked_bad_checksum_segments) = (acked, stuck);
        h.repeats = vec![Repeat {
            checksum: Checksum::UnfilledPartial,
            ..repeat(at(2_000), false)
        }];
        let mut checksums = Checksums::default();
        let seen = Seen {
            flow: &f,
            dialog: &DialogRecord::default(),
        };
        let mut out = Vec::new();
        checksums.flow(seen, &mut out);
        checksums.finish(&mut out);
        out.iter().map(|f| f.id).collect()
    }

    #[test]
    fn what_arrives_unfilled() {
        for (name, acked, stuck, want) in [
            ("never taken", 0, 8, "checksum.offload-broken"),
            (
                "taken all the same, between guests",
                80,
                0,
                "checksum.offload-artefact",
            ),
            (
                "but for the last, which the end cut off",
                80,
                2,
                "checksum.offload-artefact",
            ),
        ] {
            assert_eq!(told(acked, stuck), [want], "{name}");
        }
    }
}
