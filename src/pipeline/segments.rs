//! One line a segment: Wireshark's labels beside our own verdict.
//!
//! Takes:  one capture
//! Gives:  [`SegmentRow`]s in the order of the file
//! Never:  keeps rows, save where the capture can be read but once: a verdict may rest on what comes much later, so that a file is
//!         read twice

use std::collections::HashMap;
use std::path::Path;

use super::memory::beside_itself;
use super::{Error, Settings, read};
use crate::decode::SegmentBatch;
use crate::flow::labels::{LabelTracker, Labelled, Labels};
use crate::flow::{
    EventKind, FlowRecord, FlowTable, Judged, Limits, Observed, Trigger, order::Order,
};
use crate::net::{FrameNo, SeqNum};

/// Verdicts kept between the two readings: those that are not plain.
const MAX_VERDICTS: usize = 8_000_000;

/// Octets that one takes, where the map of them has just doubled.
const VERDICT: usize = 3 * size_of::<(FrameNo, Judgement)>();

/// Rows kept of a capture that can be read but once.
const MAX_ROWS: usize = 10_000_000;

/// What we make of one segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// `new`, `retransmission-timeout`, `reordered`, …
    pub verdict: &'static str,
    /// The frame that it repeats.
    pub of: Option<FrameNo>,
    /// How sure, 0 to 1.
    pub confidence: f32,
    /// On what grounds.
    pub basis: &'static str,
}

/// One segment.
#[derive(Clone, Copy, Debug)]
pub struct SegmentRow {
    /// Its frame.
    pub frame: FrameNo,
    /// Wireshark's stream number and labels, and who sent it.
    pub label: Labelled,
    /// Sequence number.
    pub seq: SeqNum,
    /// Octets of payload.
    pub octets: u32,
    /// Our verdict; `None` for a segment that carries nothing to judge.
    pub judged: Option<Judgement>,
    /// Why label and verdict differ, where they do.
    pub departs: Option<&'static str>,
}

/// What could not be had, for want of room.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Shortfall {
    /// Conversations whose labels started anew.
    pub conversations: u64,
    /// Verdicts that were not kept: their segments show as new.
    pub verdicts: u64,
}

/// Hands the segments of the one capture of `settings` to `out`.
///
/// # Errors
/// Where the capture cannot be read, where `out` says no, and where a capture that can be read but once is too long.
pub fn segments(
    settings: &Settings,
    out: &mut (dyn FnMut(&SegmentRow) -> std::io::Result<()> + Send),
) -> Result<Shortfall, Error> {
    let [path] = settings.captures.as_slice() else {
        return Err(Error::Refused(
            "segments are listed of one capture at a time".to_owned(),
        ));
    };
    let room = settings.max_memory.map_or(usize::MAX, |most| {
        usize::try_from(beside_itself(most)).unwrap_or(usize::MAX)
    });
    // When a file is labelled, its flows are let go of already; verdicts are not. What comes through a pipe holds all at once, and the rows.
    let is_file = Path::new(path).is_file();
    let part = if is_file { room / 2 } else { room / 4 };
    let mut judge = Judge::new(part);
    let mut labels = LabelTracker::within(part);
    if is_file {
        read::one(settings, path, &mut |batch| {
            judge.push(batch);
            Ok(())
        })?;
        let verdicts = judge.finish();
        read::one(settings, path, &mut |batch| {
            label(&mut labels, batch, |row| Ok(out(&verdicts.judge(row))?))
        })?;
        return Ok(Shortfall {
            conversations: labels.forgotten(),
            verdicts: verdicts.omitted,
        });
    }
    let most = MAX_ROWS.min(part / (2 * size_of::<Bare>()));
    let mut rows = Vec::new();
    read::one(settings, path, &mut |batch| {
        label(&mut labels, batch, |row| {
            if rows.len() >= most {
                return Err(Error::Refused(format!(
                    "more than {most} segments on a pipe; write them to a file first, which can be read twice, or give more by --max-memory"
                )));
            }
            rows.push(row);
            Ok(())
        })?;
        judge.push(batch);
        Ok(())
    })?;
    let verdicts = judge.finish();
    for row in rows {
        out(&verdicts.judge(row))?;
    }
    Ok(Shortfall {
        conversations: labels.forgotten(),
        verdicts: verdicts.omitted,
    })
}

/// A segment before its verdict.
#[derive(Clone, Copy)]
struct Bare {
    frame: FrameNo,
    label: Labelled,
    seq: SeqNum,
    octets: u32,
}

/// Labels the segments of a batch that is still in the order of the file.
fn label(
    labels: &mut LabelTracker,
    batch: &SegmentBatch,
    mut out: impl FnMut(Bare) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut notes = batch.notes.iter().peekable();
    let mut overlong = batch.overlong.iter().peekable();
    for (n, seg) in batch.segments.iter().enumerate() {
        while let Some(note) = notes.next_if(|n| n.frame < seg.frame) {
            labels.quoted(note);
        }
        // The labels go by the length of the frame where it is the shorter one.
        let octets = overlong
            .next_if(|(index, _)| *index as usize == n)
            .map_or(seg.payload_octets, |(_, room)| *room);
        out(Bare {
            frame: seg.frame,
            label: labels.segment(batch, seg, octets),
            seq: seg.seq,
            octets: seg.payload_octets,
        })?;
    }
    for note in notes {
        labels.quoted(note);
    }
    Ok(())
}

/// The first reading: follows the flows for the sake of the verdicts alone.
struct Judge {
    order: Order,
    table: FlowTable,
    observed: Vec<Observed>,
    verdicts: Verdicts,
}

impl Judge {
    /// One whose flows keep to so many octets, about, and its verdicts to as many.
    fn new(room: usize) -> Self {
        let limits = Limits::default();
        let mut table = FlowTable::new(Limits {
            octets: limits.octets.min(room),
            ..limits
        });
        table.judged = Some(Vec::new());
        Self {
            order: Order::default(),
            table,
            observed: Vec::new(),
            verdicts: Verdicts {
                most: MAX_VERDICTS.min(room / VERDICT),
                ..Verdicts::default()
            },
        }
    }

    fn push(&mut self, batch: &mut SegmentBatch) {
        if self.order.put(batch) {
            self.table.clock_stepped();
        }
        self.table.push(batch, &mut self.observed);
        self.take();
    }

    /// What was judged at sight goes in first, so that the records of flows that have ended set it right.
    fn take(&mut self) {
        if let Some(judged) = &mut self.table.judged {
            for (frame, at_sight) in judged.drain(..) {
                self.verdicts.keep(frame, Judgement::at_sight(at_sight));
            }
        }
        for seen in self.observed.drain(..) {
            match seen {
                Observed::Opened { flow, slot, .. } => self.table.lose_interest(slot, flow),
                Observed::Closed { life, .. } => self.verdicts.settle(&life.record()),
                Observed::Chunk(_) | Observed::Acked { .. } => {}
            }
        }
    }

    fn finish(mut self) -> Verdicts {
        while self.table.finish(&mut self.observed) {
            self.take();
        }
        self.take();
        self.verdicts
    }
}

/// Verdicts by frame, plain ones apart.
#[derive(Default)]
struct Verdicts {
    by_frame: HashMap<FrameNo, Judgement>,
    most: usize,
    omitted: u64,
}

impl Verdicts {
    fn keep(&mut self, frame: FrameNo, judgement: Judgement) {
        if self.by_frame.len() < self.most || self.by_frame.contains_key(&frame) {
            self.by_frame.insert(frame, judgement);
        } else {
            self.omitted += 1;
        }
    }

    /// Puts in what a flow's record knows better.
    fn settle(&mut self, flow: &FlowRecord) {
        for pair in flow.handshake.syn_frames.windows(2) {
            let [before, again] = *pair else { continue };
            self.keep(
                again,
                Judgement {
                    verdict: "retransmission-syn",
                    of: Some(before),
                    confidence: 0.99,
                    basis: "the same SYN was sent before",
                },
            );
        }
        for half in &flow.halves {
            for r in &half.repeats {
                let verdict = if r.spurious {
                    "retransmission-spurious"
                } else {
                    name(r.trigger)
                };
                self.keep(
                    r.frame,
                    Judgement {
                        verdict,
                        of: r.of,
                        confidence: r.confidence,
                        basis: r.basis,
                    },
                );
            }
        }
        for event in &flow.events {
            if let EventKind::NetworkDuplicate { of } = event.kind
                && let Some(judgement) = self.by_frame.get_mut(&event.frame)
            {
                judgement.of = Some(of);
            }
        }
    }

    fn judge(&self, row: Bare) -> SegmentRow {
        let judged = self
            .by_frame
            .get(&row.frame)
            .copied()
            .or_else(|| (row.octets > 0).then_some(Judgement::NEW));
        SegmentRow {
            frame: row.frame,
            label: row.label,
            seq: row.seq,
            octets: row.octets,
            judged,
            departs: judged.and_then(|j| departs(row.label.labels, j.verdict)),
        }
    }
}

const fn name(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Fast => "retransmission-fast",
        Trigger::Timeout => "retransmission-timeout",
        Trigger::TailProbe => "retransmission-tail-probe",
        Trigger::Unknown => "retransmission",
    }
}

impl Judgement {
    const NEW: Self = Self {
        verdict: "new",
        of: None,
        confidence: 0.99,
        basis: "octets not sent before",
    };

    const fn at_sight(judged: Judged) -> Self {
        let (verdict, confidence, basis) = match judged {
            Judged::Repeat(trigger) => (
                name(trigger),
                0.6,
                "octets sent before; one of more repeats than the flow's record holds, or of octets that their sender does not stand by",
            ),
            Judged::Reordered => (
                "reordered",
                0.9,
                "fills a hole, and was sent before what had come first",
            ),
            Judged::Copy(_) => (
                "duplicate",
                0.95,
                "a copy of a frame, made by the network or by the capture",
            ),
            Judged::KeepAlive => (
                "keep-alive",
                0.95,
                "one octet before the next, with nothing outstanding (RFC 9293 section 3.8.4)",
            ),
            Judged::WindowProbe => (
                "window-probe",
                0.95,
                "one octet into a closed window (RFC 9293 section 3.8.6.1)",
            ),
            Judged::Outside => ("outside-window", 0.9, "fits no window of this connection"),
        };
        let of = match judged {
            Judged::Copy(of) => of,
            _ => None,
        };
        Self {
            verdict,
            of,
            confidence,
            basis,
        }
    }
}

/// Says why a label and a verdict differ.
fn departs(labels: Labels, verdict: &str) -> Option<&'static str> {
    let repeat = labels.has(Labels::RETRANSMISSION);
    let late = labels.has(Labels::OUT_OF_ORDER);
    let spurious = labels.has(Labels::SPURIOUS_RETRANSMISSION);
    let fast = labels.has(Labels::FAST_RETRANSMISSION);
    Some(match verdict {
        "duplicate" if repeat => "the label takes a copy for a repeat",
        "duplicate" if late => "the label takes a copy for a late original",
        "duplicate" if labels.has(Labels::DUPLICATE_ACK) => {
            "the label takes a copied frame for a duplicate acknowledgement"
        }
        "reordered" if repeat => "the label takes a late original for a repeat",
        "new" if repeat => "the label takes new octets for a repeat",
        "new" if late => "the label takes octets that were never late for late ones",
        "keep-alive" | "window-probe" if repeat => "the label takes a probe for a repeat",
        _ if !verdict.starts_with("retransmission") => return None,
        _ if late => "the label takes a quick repeat for a late original: it goes by time alone",
        "retransmission-syn" if !repeat => "the label does not see the SYN again",
        _ if !repeat => "the label sees no repeat: nothing at or beyond these octets came before",
        "retransmission-spurious" if !spurious => {
            "the label is given at sight, and that the repeat was needless was proved later"
        }
        "retransmission-fast" | "retransmission-timeout" | "retransmission-tail-probe"
            if spurious =>
        {
            "the label goes by the acknowledgement number alone"
        }
        "retransmission-fast" if !fast => {
            "the label wants the repeat within 20 ms of the other end's last segment"
        }
        "retransmission-timeout" | "retransmission-tail-probe" if fast => {
            "the label goes by the 20 ms since the other end's last segment"
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn departures_are_explained() {
        let fast = Labels::FAST_RETRANSMISSION.with(Labels::RETRANSMISSION);
        let spurious = Labels::SPURIOUS_RETRANSMISSION.with(Labels::RETRANSMISSION);
        for (labels, verdict, want) in [
            (Labels::NONE, "new", None),
            (Labels::LOST_SEGMENT, "new", None),
            (Labels::RETRANSMISSION, "new", Some("new octets")),
            (Labels::OUT_OF_ORDER, "reordered", None),
            (fast, "reordered", Some("late original")),
            (
                Labels::RETRANSMISSION,
                "duplicate",
                Some("a copy for a repeat"),
            ),
            (
                Labels::DUPLICATE_ACK,
                "duplicate",
                Some("duplicate acknowledgement"),
            ),
            (Labels::KEEP_ALIVE, "keep-alive", None),
            (
                Labels::RETRANSMISSION,
                "keep-alive",
                Some("a probe for a repeat"),
            ),
            (fast, "retransmission-fast", None),
            (Labels::RETRANSMISSION, "retransmission-fast", Some("20 ms")),
            (
                Labels::OUT_OF_ORDER,
                "retransmission-fast",
                Some("by time alone"),
            ),
            (Labels::NONE, "retransmission-fast", Some("sees no repeat")),
            (Labels::RETRANSMISSION, "retransmission-timeout", None),
            (fast, "retransmission-timeout", Some("20 ms")),
            (spurious, "retransmission-timeout", Some("number alone")),
            (spurious, "retransmission-spurious", None),
            (fast, "retransmission-spurious", Some("proved later")),
            (Labels::RETRANSMISSION, "retransmission-syn", None),
            (Labels::NONE, "retransmission-syn", Some("the SYN")),
            (Labels::RETRANSMISSION, "retransmission", None),
        ] {
            let got = departs(labels, verdict);
            let fits = match (want, got) {
                (None, None) => true,
                (Some(part), Some(text)) => text.contains(part),
                _ => false,
            };
            assert!(fits, "{labels} and {verdict}: {got:?}");
        }
    }
}
