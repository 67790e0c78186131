//! Finds packets that the network delivered out of order or twice.
//!
//! Reads:   late originals, copies, D-SACKs that no repeat explains
//! Yields:  `reordering.network`, `duplication.network`: one for each sender and receiver
//! Silent:  less than three of a kind; what the capture itself did (see `capture.rs`)
//! Source:  RFC 4737, RFC 2883; IP identification order after public measurement studies

use std::net::IpAddr;

use super::trace::{Groups, Trace, percent, plural, span};
use super::{Detector, Finding, Limited, Seen, Severity};
use crate::flow::EventKind;
use crate::net::Direction;

/// Fewer than this say nothing of a network.
const ENOUGH: u64 = 3;

#[derive(Default)]
struct Pair {
    segments: u64,
    late: u64,
    latest: f64,
    late_trace: Trace,
    copies: u64,
    dsacks: u64,
    copy_trace: Trace,
}

/// See the head of this file.
#[derive(Default)]
pub(super) struct Order {
    pairs: Groups<(IpAddr, IpAddr), Pair>,
    /// Segments that were late although the capture was taken beside their sender: the capture itself is out of order.
    by_capture: u64,
}

/// A capture that is out of order by itself is so by less than this.
const CAPTURE_LATE: f64 = 0.001;

impl Detector for Order {
    fn flow(&mut self, seen: Seen<'_>, _out: &mut Vec<Finding>) {
        let f = seen.flow;
        for direction in Direction::BOTH {
            let h = f.half(direction);
            let key = (f.sender(direction).addr, f.sender(direction.reverse()).addr);
            let Some(p) = self.pairs.group(key) else {
                continue;
            };
            p.segments += h.data_segments;
            let at_sender = f.is_beside_sender(direction);
            if h.out_of_order_segments > h.late_in_capture && !at_sender {
                p.late += h.out_of_order_segments - h.late_in_capture;
                p.late_trace.flow(f, f.start, f.end);
                for e in f.events.iter().filter(|e| e.direction == direction) {
                    if let EventKind::Reordered { late } = e.kind {
                        p.latest = p.latest.max(late.as_secs_f64());
                        p.late_trace.proof(f, e.frame, || {
                            format!(
                                "came {} after a segment that was sent later",
                                span(late.as_secs_f64())
                            )
                        });
                    }
                }
            }
            if at_sender {
                self.by_capture += h.out_of_order_segments;
            }
            // Beside the sender, reordering behind the capture point shows as holes that close without a repeat.
            if at_sender {
                let healed = h.sack_healed;
                if healed > 0 {
                    p.late += healed;
                    p.late_trace.flow(f, f.start, f.end);
                    for e in f.events.iter().filter(|e| e.direction == direction) {
                        if let EventKind::HealedHole { .. } = e.kind {
                            p.late_trace.proof(f, e.frame, || "acknowledges octets that were passed over before, without their having been sent again".to_owned());
                        }
                    }
                }
            }
            p.copies += h.network_duplicates;
            // Among repeats a D-SACK is more likely theirs.
            let dsacks = if h.retransmitted_segments == 0 {
                h.unexplained_dsacks
            } else {
                0
            };
            p.dsacks += dsacks;
            if h.network_duplicates > 0 || dsacks > 0 {
                p.copy_trace.flow(f, f.start, f.end);
                for e in f.events.iter().filter(|e| e.direction == direction) {
                    if let EventKind::NetworkDuplicate { of } = e.kind {
                        p.copy_trace.proof(f, e.frame, || {
                            format!("a copy of frame {of}: the same IP identification and contents")
                        });
                    }
                }
            }
        }
    }

    fn limited(&mut self) -> Vec<&mut dyn Limited> {
        vec![&mut self.pairs]
    }

    fn finish(&mut self, out: &mut Vec<Finding>) {
        for ((from, to), p) in self.pairs.take() {
            let mut push = |mut f: Finding, share: f64, count: u64| {
                f.subject = Some(from);
                f.peer = Some(to);
                f.measures = vec![("share", share), ("count", count as f64)];
                out.push(f);
            };
            let all = p.segments.max(1) as f64;
            if p.late >= ENOUGH && !(self.by_capture > 0 && p.latest < CAPTURE_LATE) {
                let share = p.late as f64 / all;
                let severity = if share >= 0.002 {
                    Severity::Warning
                } else {
                    Severity::Info
                };
                let f = p.late_trace.finding(
                    "reordering.network",
                    severity,
                    0.85,
                    format!(
                        "{} of {} from {from} to {to} ({}) came out of order{}",
                        p.late,
                        plural(p.segments, "data segment"),
                        percent(share),
                        // What only the receiver reports comes to light without a time.
                        if p.latest > 0.0 {
                            format!(", up to {} late", span(p.latest))
                        } else {
                            String::new()
                        }
                    ),
                );
                push(f, share, p.late);
            }
            // More reports than segments are no reports of the network's copies.
            let dsacks = if p.dsacks * 2 <= p.segments {
                p.dsacks
            } else {
                0
            };
            let copies = p.copies.max(dsacks);
            if copies >= ENOUGH {
                let share = copies as f64 / all;
                let severity = if share >= 0.002 {
                    Severity::Warning
                } else {
                    Severity::Info
                };
                let f = p.copy_trace.finding(
                    "duplication.network",
                    severity,
                    if p.copies > 0 { 0.85 } else { 0.65 },
                    format!(
                        "{} from {from} to {to} ({}) arrived twice without having been sent twice",
                        plural(copies, "segment"),
                        percent(share)
                    ),
                );
                push(f, share, copies);
            }
        }
    }
}
