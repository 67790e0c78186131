//! Finds hosts that take what arrives too late, or not at all.
//!
//! Reads:   segments that arrived and were passed over; waits for a delayed acknowledgement
//! Yields:  `host.arrived-not-acknowledged`, `host.delayed-ack`: one for each sender and receiver
//! Silent:  captures that were not taken beside the receiver (for the first); less than five waits (for the second)
//! Source:  RFC 9293 sections 3.7.4 and 3.8.6.3; RFC 896; the first is ours

use std::net::IpAddr;

use super::trace::{Groups, Trace, percent, plural, span, times};
use super::{Detector, Finding, Limited, Seen, Severity, spoilt};
use crate::flow::{Cause, EventKind};
use crate::net::Direction;

#[derive(Default)]
struct Pair {
    /// Segments with payload that came to a capture beside their receiver; of these, those that it passed over, and those that it never took.
    segments: u64,
    passed_over: u64,
    never_taken: u64,
    /// The snap length cut segments of these flows: their checksums cannot be told.
    cut: bool,
    seconds: f64,
    trace: Trace,
    waits: u64,
    waited: f64,
    wait_trace: Trace,
}

/// See the head of this file.
#[derive(Default)]
pub(super) struct Host {
    pairs: Groups<(IpAddr, IpAddr), Pair>,
}

/// Waits that make a pattern.
const ENOUGH_WAITS: u64 = 5;

impl Detector for Host {
    fn flow(&mut self, seen: Seen<'_>, _out: &mut Vec<Finding>) {
        let f = seen.flow;
        for direction in Direction::BOTH {
            let key = (f.sender(direction).addr, f.sender(direction.reverse()).addr);
            let Some(p) = self.pairs.group(key) else {
                continue;
            };
            let h = f.half(direction);
            let before = p.passed_over;
            let whole = if f.truncated > 0 {
                "arrived here"
            } else {
                "arrived here whole, with a good checksum,"
            };
            if seen.flow.is_beside_sender(direction.reverse()) {
                p.segments += h.data_segments;
                let events = f.events.iter().filter(|e| e.direction == direction);
                for e in events {
                    if let EventKind::NotTaken { of } = e.kind {
                        p.passed_over += 1;
                        p.trace.flow(f, e.time, e.time);
                        p.trace.proof(f, of, || {
                            format!("{whole} and was passed over by the receiver")
                        });
                        p.trace.proof(f, e.frame, || {
                            format!("so it had to be sent again (frame {of} was the first copy)")
                        });
                    }
                }
                // Arrived again and again, and never taken.
                let stuck: Vec<_> = h
                    .repeats
                    .iter()
                    .filter(|r| {
                        !r.acked && r.of.is_some() && !r.checksum.is_bad() && r.sends_before >= 2
                    })
                    .collect();
                for r in stuck {
                    p.passed_over += 1;
                    p.never_taken += 1;
                    p.trace.flow(f, r.time, r.time);
                    p.trace.proof(f, r.frame, || {
                        format!(
                            "arrived here {} times and was never acknowledged",
                            r.sends_before + 1
                        )
                    });
                }
            }
            for s in f
                .stalls
                .iter()
                .chain(&f.short_waits)
                .filter(|s| s.cause == Cause::DelayedAck && s.direction == Some(direction))
            {
                p.waits += 1;
                p.waited += s.length.as_secs_f64();
                p.wait_trace.flow(f, s.start, s.start);
                p.wait_trace.proof(f, s.frame, || format!("bare acknowledgement after {}; the sender had waited for it with more to send", span(s.length.as_secs_f64())));
            }
            if p.passed_over > before {
                p.cut |= f.truncated > 0;
                let repair = f.time.iter().filter(|t| t.0 == Cause::LossRecovery);
                p.seconds += repair.map(|t| t.1.as_secs_f64()).sum::<f64>();
            }
        }
    }

    fn limited(&mut self) -> Vec<&mut dyn Limited> {
        vec![&mut self.pairs]
    }

    fn finish(&mut self, out: &mut Vec<Finding>) {
        for ((from, to), p) in self.pairs.take() {
            if p.passed_over >= 3 {
                let share = p.passed_over as f64 / p.segments.max(1) as f64;
                let (how, what) = if p.cut {
                    (
                        "",
                        "damaged on their way, or lost inside that host, which a cut capture does not tell apart",
                    )
                } else {
                    (" whole and with good checksums", "lost inside that host")
                };
                let mut f = p.trace.finding(
                    "host.arrived-not-acknowledged",
                    if p.never_taken > 0 {
                        Severity::Critical
                    } else {
                        spoilt(share)
                    },
                    if p.cut { 0.5 } else { 0.9 },
                    format!(
                        "{} of {} from {from} ({}) reached {to}{how}, and {to} did not take them: they were {what}",
                        p.passed_over,
                        plural(p.segments, "segment"),
                        percent(share),
                    ),
                );
                if p.cut {
                    f.against.push(
                        "the snap length cut segments, so that their checksums cannot be told: a host does well not to take damaged ones"
                            .to_owned(),
                    );
                }
                f.subject = Some(to);
                f.peer = Some(from);
                f.seconds_lost = (p.seconds > 0.0).then_some(p.seconds);
                f.measures = vec![
                    ("share", share),
                    ("count", p.passed_over as f64),
                    ("cut", f64::from(u8::from(p.cut))),
                ];
                out.push(f);
            }
            if p.waits >= ENOUGH_WAITS && p.waited >= 0.2 {
                let mean = p.waited / p.waits as f64;
                let mut f = p.wait_trace.finding(
                    "host.delayed-ack",
                    Severity::Warning,
                    0.85,
                    format!("{from} waited {} for the delayed acknowledgement of {to} before it sent the rest of what it had, {} each time: small writes, Nagle's algorithm and delayed acknowledgements work against each other", times(p.waits), span(mean)),
                );
                f.subject = Some(from);
                f.peer = Some(to);
                f.seconds_lost = Some(p.waited);
                f.measures = vec![("waits", p.waits as f64), ("mean_ms", mean * 1e3)];
                out.push(f);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::wait::tests::{at, flow, repeat};
    use super::*;
    use crate::flow::{Repeat, Vantage};
    use crate::net::FrameNo;
    use crate::proto::DialogRecord;

    #[test]
    fn what_the_snap_length_cut_proves_less() {
        for (name, truncated, sure, says) in [
            ("whole", 0, 0.9, "whole and with good checksums"),
            (
                "cut",
                9,
                0.5,
                "damaged on their way, or lost inside that host",
            ),
        ] {
            let mut f = flow();
            (f.vantage, f.truncated) = (Vantage::Server, truncated);
            let arrived = Repeat {
                of: Some(FrameNo(7)),
                sends_before: 2,
                acked: false,
                ..repeat(at(2_000), false)
            };
            f.halves[0].repeats = vec![arrived; 3];
            let mut host = Host::default();
            let mut out = Vec::new();
            let dialog = DialogRecord::default();
            host.flow(
                Seen {
                    flow: &f,
                    dialog: &dialog,
                },
                &mut out,
            );
            host.finish(&mut out);
            let told: Vec<_> = out.iter().map(|f| (f.id, f.confidence)).collect();
            assert_eq!(told, [("host.arrived-not-acknowledged", sure)], "{name}");
            assert!(
                out.iter().all(|f| f.summary.contains(says)),
                "{name}: {out:?}"
            );
        }
    }
}
