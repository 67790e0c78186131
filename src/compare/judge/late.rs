//! What came late, more than once, or in another order than it left.

use super::super::fate::{Event, EventKind, Fate};
use super::{ENOUGH, MAX_PROOF, ORDER_SHARE, Way, share};
use crate::detect::{Finding, Severity, percent, plural, span};
use crate::net::Sketch;

/// Delay that users feel, and how many times the shortest it has to be.
const BLOAT: f64 = 0.1;
const BLOAT_FACTOR: f64 = 4.0;
const BLOAT_SEGMENTS: u64 = 50;
/// A single segment late by this much stands out.
const SPIKE: f64 = 0.2;
const SPIKE_SEGMENTS: u64 = 10;

impl<'a> Way<'a> {
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn disorder(&self, out: &mut Vec<Finding>) {
        let sum = &self.sum;
        let (from, to) = (self.from, self.to);
        for (id, n, kind, what, say) in [
            (
                "duplication.network",
                sum.duplicated,
                EventKind::Fate(Fate::Copy),
                "came more than once, though they left once: the path copies them",
                "a copy: it left once",
            ),
            (
                "reordering.network",
                sum.reordered,
                EventKind::Reordered,
                "came after segments that had left later: the path changes their order",
                "comes after what left later",
            ),
        ] {
            if n < ENOUGH {
                continue;
            }
            let part = share(n, sum.matched);
            let events = self.events(|k| k == kind);
            let mut f = self.finding(
                id,
                if part >= ORDER_SHARE {
                    Severity::Warning
                } else {
                    Severity::Info
                },
                0.97,
                format!(
                    "{} of {} ({}) from {from} to {to} {what}",
                    plural(n, "segment"),
                    sum.matched,
                    percent(part)
                ),
                &events,
                |_| say.to_owned(),
            );
            f.subject = Some(from);
            f.peer = Some(to);
            f.measures = vec![("share", part), ("count", n as f64)];
            f.flows = self.flows(|p| {
                if id == "duplication.network" {
                    p.duplicated
                } else {
                    p.reordered
                }
            });
            out.push(f);
        }
    }

    pub(super) fn delays(&self, out: &mut Vec<Finding>) {
        let sum = &self.sum;
        let (from, to) = (self.from, self.to);
        let delay: &Sketch = &sum.delay;
        if !sum.measured || delay.count() < SPIKE_SEGMENTS {
            return;
        }
        let (least, usual, much, most) = (
            delay.min().as_secs_f64(),
            delay.quantile(0.5).as_secs_f64(),
            delay.quantile(0.9).as_secs_f64(),
            delay.max().as_secs_f64(),
        );
        let mut late = self.events(|k| k == EventKind::Late);
        if late.is_empty() {
            late.extend(self.slowest());
        }
        let say = |e: &Event| {
            format!(
                "under way for {}",
                e.delay.map_or_else(|| "long".to_owned(), span)
            )
        };
        // One-way delays are as unsure as the clocks: what is above the shortest is not.
        if delay.count() >= BLOAT_SEGMENTS && much - least >= BLOAT && much >= least * BLOAT_FACTOR
        {
            let mut f = self.finding(
                "path.bufferbloat",
                Severity::Warning,
                0.95,
                format!(
                    "one tenth of the segments from {from} to {to} wait {} and more in a queue between the captures, where the shortest way takes {}",
                    span(much - least),
                    span(least)
                ),
                &late,
                say,
            );
            f.subject = Some(from);
            f.peer = Some(to);
            f.measures = vec![("queue_ms", (much - least) * 1e3)];
            out.push(f);
        } else if most - usual >= SPIKE && sum.delayed > 0 {
            let mut f = self.finding(
                "path.latency-spike",
                Severity::Warning,
                0.95,
                format!(
                    "{} from {from} to {to} were under way for up to {}, where {} is usual: held between the captures",
                    plural(sum.delayed, "segment"),
                    span(most),
                    span(usual)
                ),
                &late,
                say,
            );
            f.subject = Some(from);
            f.peer = Some(to);
            f.seconds_lost = Some(most - usual);
            f.flows = self.flows(|p| p.delayed);
            out.push(f);
        }
    }

    /// The segments that were under way for longest, of each connection.
    fn slowest(&self) -> Vec<&'a Event> {
        let paths = self
            .joined
            .iter()
            .filter_map(|(j, d)| j.paths.get(d.index()));
        let mut events: Vec<&Event> = paths.filter_map(|p| p.slowest.as_ref()).collect();
        events.sort_by(|a, b| b.delay.unwrap_or(0.0).total_cmp(&a.delay.unwrap_or(0.0)));
        events.truncate(MAX_PROOF / 2);
        events
    }
}
