//! Finds what the capture did to itself: what looks like trouble and is none.
//!
//! Reads:   copies, holes that were acknowledged, disorder, steps of the clock, missing directions, super-segments
//! Yields:  `capture.duplicates`, `capture.drops`, `capture.truncated`, `capture.one-way`, `capture.super-segments`, `capture.mid-stream`,
//!          `capture.disorder`, `capture.clock`: one for the whole run, all of them `info`
//! Silent:  less than three of a kind (two octet holes for drops); a clock set forward where no flow has timestamps on both sides of it
//! Source:  Paxson's measurement errors; RFC 9293 section 3.8 for what an acknowledgement proves

use std::time::Duration;

use super::trace::{MAX_PROOF, Place, Trace, plural, span as length, times};
use super::{Detector, Evidence, Finding, Seen, Severity};
use crate::flow::order::{Order, Silence, Step};
use crate::flow::{ClockLeap, EventKind};
use crate::net::{Direction, FrameNo, FrameRef, Timestamp};

/// Leaps of flows that are looked at.
const MAX_LEAPS: usize = 1_024;
/// A flow's own pause may add this much to a leap of the clock.
const SLACK: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Kind {
    count: u64,
    trace: Trace,
}

impl Kind {
    fn add(&mut self, seen: Seen<'_>, count: u64) {
        if count > 0 {
            self.count += count;
            self.trace.flow(seen.flow, seen.flow.start, seen.flow.end);
        }
    }
}

/// See the head of this file.
#[derive(Default)]
pub(super) struct CaptureFaults {
    flows: u64,
    duplicates: Kind,
    drops: Kind,
    unseen_octets: u64,
    one_way: Kind,
    supers: Kind,
    mid_stream: Kind,
    disorder: Kind,
    /// Segments that stood out of order in the file, whatever their flow.
    put_right: u64,
    /// Steps back of the clock, and the flows that steps cut through.
    steps: Vec<Step>,
    stepped: u64,
    stepped_trace: Trace,
    /// Leaps of the clock, by the ends of single flows; and when nothing at all was captured.
    leaps: Vec<(ClockLeap, Place, Timestamp, Timestamp)>,
    silences: Vec<Silence>,
    truncated: Kind,
    /// First and last moment of all.
    span: Option<(Timestamp, Timestamp)>,
}

impl Detector for CaptureFaults {
    fn minds_lone_syns(&self) -> bool {
        true
    }

    fn flow(&mut self, seen: Seen<'_>, _out: &mut Vec<Finding>) {
        let f = seen.flow;
        self.flows += 1;
        self.duplicates.add(seen, f.capture_duplicates);
        self.truncated.add(seen, f.truncated);
        self.disorder.add(seen, f.disordered);
        if f.clock_steps > 0 {
            self.stepped_trace.flow(f, f.start, f.end);
        }
        for leap in &f.clock_leaps {
            if self.leaps.len() < MAX_LEAPS {
                self.leaps.push((*leap, Place::from(f), f.start, f.end));
            }
        }
        self.span = Some(
            self.span
                .map_or((f.start, f.end), |(a, b)| (a.min(f.start), b.max(f.end))),
        );
        let [a, b] = &f.halves;
        let one_way = (a.frames == 0 || b.frames == 0) && a.data_segments + b.data_segments > 0;
        self.one_way.add(seen, u64::from(one_way));
        // A SYN-ACK alone tells of one end what it can do, and of the other what it had offered.
        let opened = f.handshake.syn_seen || f.handshake.syn_ack_seen;
        self.mid_stream.add(
            seen,
            u64::from(!opened && a.data_segments + b.data_segments > 0),
        );
        for direction in Direction::BOTH {
            let h = f.half(direction);
            self.supers.add(seen, h.super_segments);
            // Beside the sender nothing can be out of order before the capture point; and nothing is acknowledged before it is sent.
            let late = h.late_in_capture
                + if seen.flow.is_beside_sender(direction) {
                    h.out_of_order_segments.saturating_sub(h.late_in_capture)
                } else {
                    0
                };
            self.disorder.add(seen, late);
            if h.unseen_octets > 0 && !one_way {
                self.unseen_octets += h.unseen_octets;
                let holes = f.events.iter().filter(|e| {
                    e.direction == direction && matches!(e.kind, EventKind::UnseenAcked { .. })
                });
                let mut n = 0;
                for e in holes {
                    n += 1;
                    if let EventKind::UnseenAcked { octets } = e.kind {
                        self.drops.trace.proof(f, e.frame, || {
                            format!("acknowledges {octets} octets that this capture does not have")
                        });
                    }
                }
                self.drops.add(seen, n.max(1));
            }
        }
    }

    fn order(&mut self, order: &Order) {
        self.put_right += order.disordered;
        self.stepped += order.stepped;
        self.steps.extend(&order.steps);
        self.steps.truncate(MAX_PROOF);
        self.silences.extend(&order.silences);
    }

    fn finish(&mut self, out: &mut Vec<Finding>) {
        let Self {
            flows,
            duplicates,
            drops,
            unseen_octets,
            one_way,
            supers,
            mid_stream,
            mut disorder,
            put_right,
            steps,
            stepped,
            mut stepped_trace,
            leaps,
            silences,
            truncated,
            span,
        } = std::mem::take(self);
        disorder.count = disorder.count.max(put_right);
        let mut push = |kind: Kind,
                        least: u64,
                        id: &'static str,
                        confidence: f64,
                        filter: &str,
                        summary: String| {
            if kind.count < least {
                return;
            }
            let count = kind.count;
            let mut f = kind.trace.finding(id, Severity::Info, confidence, summary);
            f.measures = vec![("count", count as f64)];
            if let Some((start, end)) = span.filter(|_| f.flows.is_empty()) {
                (f.start, f.end) = (start, end);
            }
            if !filter.is_empty() {
                filter.clone_into(&mut f.display_filter);
            }
            out.push(f);
        };
        let n = plural(duplicates.count, "frame");
        push(
            duplicates,
            3,
            "capture.duplicates",
            0.95,
            "",
            format!(
                "the capture holds {n} twice (a mirror port that copies both ways, or two capture layers); the copies are left out of all counts"
            ),
        );
        let n = plural(drops.count, "hole");
        push(
            drops,
            2,
            "capture.drops",
            0.9,
            "tcp.analysis.ack_lost_segment || tcp.analysis.lost_segment",
            format!(
                "the capture missed {unseen_octets} octets in {n}: they were acknowledged and never captured, so nothing was lost on the way"
            ),
        );
        let n = plural(one_way.count, "flow");
        push(
            one_way,
            1,
            "capture.one-way",
            0.9,
            "",
            format!(
                "{n} of {flows} captured in one direction only: what was acknowledged cannot be known"
            ),
        );
        let n = plural(supers.count, "frame");
        push(
            supers,
            3,
            "capture.super-segments",
            0.95,
            "tcp.len > 1460",
            format!(
                "{n} larger than a wire segment: captured before the adapter divided them, or after it put them together; counted as the wire segments that they stand for"
            ),
        );
        let n = plural(mid_stream.count, "flow");
        push(
            mid_stream,
            1,
            "capture.mid-stream",
            0.95,
            "",
            format!(
                "{n} of {flows} had begun before the capture: window scale and options are not known"
            ),
        );
        let n = plural(disorder.count, "frame");
        push(
            disorder,
            1,
            "capture.disorder",
            0.85,
            "",
            format!("{n} out of order in the capture itself, put right before analysis"),
        );
        let n = plural(truncated.count, "frame");
        push(
            truncated,
            1,
            "capture.truncated",
            0.99,
            "frame.cap_len < frame.len",
            format!(
                "{n} cut by the snap length: headers count in full, contents and checksums cannot be checked"
            ),
        );
        let mut forward: Vec<(FrameNo, Duration)> = Vec::new();
        for (leap, place, start, end) in leaps {
            // All flows leapt at once: where one was heard meanwhile, both ends of the others had slept.
            let Some(silence) = silences.iter().find(|s| is_silence(s, &leap)) else {
                continue;
            };
            stepped_trace.place(place, start, end);
            match forward.iter_mut().find(|f| f.0 == silence.frame) {
                Some(known) => known.1 = known.1.max(leap.by),
                None => forward.push((silence.frame, leap.by)),
            }
        }
        let furthest = forward.iter().map(|f| f.1).max();
        let longest = steps.iter().map(|s| s.back).max();
        if longest.is_some() || furthest.is_some() {
            let say = |n: u64, way: &str, most: Duration| {
                let most = length(most.as_secs_f64());
                format!("stepped {way} {}, by up to {most}", times(n))
            };
            let back = longest.map(|most| say(stepped, "back", most));
            let ahead = furthest.map(|most| say(forward.len() as u64, "forward", most));
            let said: Vec<String> = back.into_iter().chain(ahead).collect();
            let mut f = stepped_trace.finding(
                "capture.clock",
                Severity::Info,
                0.9,
                format!(
                    "the capture's clock {}: what was measured across a step means nothing",
                    said.join(" and ")
                ),
            );
            let mut cite = |frame: FrameNo, text: String| {
                if f.evidence.len() < MAX_PROOF {
                    let at = FrameRef::from(frame);
                    f.evidence.push(Evidence { at, text });
                }
            };
            for step in &steps {
                let back = length(step.back.as_secs_f64());
                cite(
                    step.frame,
                    format!(
                        "{back} earlier than a frame before it, and those that follow stay there"
                    ),
                );
            }
            for (frame, by) in &forward {
                let by = length(by.as_secs_f64());
                cite(
                    *frame,
                    format!(
                        "nothing was captured before it for {by} that the timestamps of both ends know nothing of"
                    ),
                );
            }
            if longest.is_some() {
                f.against.push(
                    "after a step back the time of a flow is accounted for only from when the clock has caught up; until then its waits, and the \
                     order of frames across the step, are not to be trusted"
                        .to_owned(),
                );
            }
            if furthest.is_some() {
                f.against.push(
                    "times behind a step forward are too late by as much, and waits and durations across it too long"
                        .to_owned(),
                );
            }
            if let Some((start, end)) = span.filter(|_| f.flows.is_empty()) {
                (f.start, f.end) = (start, end);
            }
            f.measures = vec![
                ("count", (stepped + forward.len() as u64) as f64),
                ("back_seconds", longest.unwrap_or_default().as_secs_f64()),
                (
                    "forward_seconds",
                    furthest.unwrap_or_default().as_secs_f64(),
                ),
            ];
            out.push(f);
        }
    }
}

/// Whether a leap of one flow is a time in which nothing at all was captured.
fn is_silence(silence: &Silence, leap: &ClockLeap) -> bool {
    let all = silence.to.since(silence.from).unwrap_or_default();
    leap.from <= silence.from
        && silence.to <= leap.to
        && leap.by >= all / 2
        && leap.by <= all + SLACK
        && silence.frame.capture() == leap.frame.capture()
}
