//! What is wrong with the captures themselves.

use super::super::Compared;
use super::super::fate::{EventKind, Fate};
use super::Way;
use crate::detect::{Evidence, Finding, Severity, plural, span};
use crate::net::{Direction, FrameRef};

impl Way<'_> {
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn captures(&self, out: &mut Vec<Finding>) {
        let sum = &self.sum;
        if sum.missed == 0 {
            return;
        }
        let events = self.events(|k| k == EventKind::Fate(Fate::Missed));
        let mut f = self.finding(
            "capture.drops",
            Severity::Info,
            0.9,
            format!(
                "{} from {} to {} were acknowledged but are in one capture only: the other missed them",
                plural(sum.missed, "segment"),
                self.from,
                self.to
            ),
            &events,
            |_| "acknowledged, and not in the other capture".to_owned(),
        );
        f.measures = vec![("count", sum.missed as f64)];
        f.flows = self.flows(|p| p.missed);
        out.push(f);
    }
}

/// Captures that hold frames twice.
#[allow(clippy::cast_precision_loss)]
pub(super) fn copies(compared: &Compared, out: &mut Vec<Finding>) {
    for ((count, example), side) in compared.copies.iter().zip(["left", "right"]) {
        if *count == 0 {
            continue;
        }
        let Some(first) = compared.pairs.first() else {
            continue;
        };
        let hosts = (first.client.addr, first.server.addr);
        let way = Way::naming(hosts, &compared.pairs, Direction::ClientToServer);
        let mut f = way.finding(
            "capture.duplicates",
            Severity::Info,
            0.95,
            format!(
                "the {side} capture holds {} twice (a mirror port that copies both ways, or two capture layers); the copies are left out of all counts",
                plural(*count, "frame")
            ),
            &[],
            |_| String::new(),
        );
        f.hosts = Vec::new();
        f.flows = Vec::new();
        f.display_filter = String::new();
        f.measures = vec![("count", *count as f64)];
        for (frame, text) in example
            .iter()
            .flatten()
            .zip(["a frame", "the same once more"])
        {
            f.evidence.push(Evidence {
                at: FrameRef {
                    capture: frame.capture(),
                    frame: *frame,
                },
                text: text.to_owned(),
            });
        }
        out.push(f);
    }
}

/// A clock that was set while both captures ran.
pub(super) fn clock(compared: &Compared, out: &mut Vec<Finding>) {
    let Some(clock) = &compared.clock else { return };
    let (Some(step), Some(first)) = (clock.step, compared.pairs.iter().find(|j| j.counted)) else {
        return;
    };
    let hosts = (first.client.addr, first.server.addr);
    let counted = compared.pairs.iter().filter(|j| j.counted);
    let way = Way::naming(hosts, counted, Direction::ClientToServer);
    let how = if step.by == 0.0 {
        "more than once".to_owned()
    } else {
        format!(
            "once: the right one is {} {} from then on",
            span(step.by.abs()),
            if step.by > 0.0 {
                "further ahead"
            } else {
                "further behind"
            }
        )
    };
    let mut f = way.finding(
        "capture.clock",
        Severity::Info,
        0.95,
        format!(
            "the clock of one of the captures was set while both ran, {how}; delays between them, and waits across that moment, are left out"
        ),
        &[],
        |_| String::new(),
    );
    f.hosts = Vec::new();
    f.display_filter = String::new();
    (f.start, f.end) = step.between;
    f.measures = vec![
        ("count", 1.0),
        ("back_seconds", (-step.by).max(0.0)),
        ("forward_seconds", step.by.max(0.0)),
    ];
    out.push(f);
}
