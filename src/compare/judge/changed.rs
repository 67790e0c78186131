//! What came otherwise than it left: damaged, rewritten, with other options, or sent by nobody.

use std::collections::BTreeSet;

use super::super::fate::{Event, EventKind, Fate};
use super::{ENOUGH, Way, share};
use crate::detect::{Finding, Severity, percent, plural, spoilt};

impl Way<'_> {
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn damage(&self, out: &mut Vec<Finding>) {
        let sum = &self.sum;
        if sum.corrupted == 0 {
            return;
        }
        let (from, to) = (self.from, self.to);
        let bad = self.events(|k| matches!(k, EventKind::Fate(Fate::Unfilled | Fate::Damaged)));
        let (adapter, changed): (Vec<&Event>, Vec<&Event>) =
            bad.into_iter().partition(|e| e.is_by_adapter());
        let by_adapter = sum.by_adapter.min(sum.corrupted);
        let on_path = sum.corrupted - by_adapter;
        let sent = self.sent();
        let measure = |f: &mut Finding, n: u64| {
            f.subject = Some(from);
            f.peer = Some(to);
            f.measures = vec![
                ("share", share(n, sent)),
                ("count", n as f64),
                ("unacknowledged_share", 1.0),
            ];
        };
        if by_adapter > 0 {
            let n = by_adapter;
            let mut f = self.finding(
                "checksum.offload-broken",
                Severity::Critical,
                0.98,
                format!(
                    "{} of {sent} ({}) from {from} came to {to} with their payload whole and a checksum that does not fit, as {from} had left it for its adapter to fill in: the adapter, its driver or its team does not do so",
                    plural(n, "segment"),
                    percent(share(n, sent))
                ),
                &adapter,
                |e| {
                    if e.left_unfilled {
                        "leaves with an unfilled checksum, and comes so or wrong".to_owned()
                    } else {
                        "leaves with a wrong checksum, and comes so".to_owned()
                    }
                },
            );
            measure(&mut f, n);
            f.flows = self.flows(|p| p.by_adapter);
            out.push(f);
        }
        if on_path > 0 {
            let n = on_path;
            let unseen = sum.rewritten;
            let left_unfilled = changed.iter().any(|e| e.left_unfilled);
            let how = if unseen >= on_path {
                "with other octets and a checksum that fits them, so that no host notices: a device that rewrites, or memory of one that fails"
            } else if unseen > 0 {
                "damaged; some with a checksum that fits the damage, so that no host notices"
            } else {
                "damaged, with a checksum that no longer fits"
            };
            let mut f = self.finding(
                "checksum.corruption-on-path",
                if unseen > 0 {
                    Severity::Critical
                } else {
                    spoilt(share(n, sent)).max(Severity::Warning)
                },
                if left_unfilled { 0.85 } else { 0.97 },
                format!(
                    "{} of {sent} ({}) from {from} left one capture whole and came to the other {how}",
                    plural(n, "segment"),
                    percent(share(n, sent))
                ),
                &changed,
                |e| match (e.payload_differs, e.came_good) {
                    _ if e.difference.is_some() => format!(
                        "comes with a checksum that {}; {}",
                        if e.came_good { "fits" } else { "does not fit" },
                        e.difference.map_or_else(String::new, |d| d.sentence())
                    ),
                    (Some(true), true) => "comes with other octets, and a checksum that fits them".to_owned(),
                    (Some(true), false) => "comes with other octets, and a checksum that does not fit".to_owned(),
                    (Some(false), _) => "comes with the same payload and a checksum that does not fit: the header was changed".to_owned(),
                    (None, _) => "comes with a checksum that does not fit".to_owned(),
                },
            );
            measure(&mut f, n);
            f.flows = self.flows(|p| p.corrupted.saturating_sub(p.by_adapter));
            if left_unfilled {
                f.against.push(format!(
                    "the capture beside {from} was taken above its adapter: the damage may be the adapter's, which had the checksums still to fill in"
                ));
            }
            out.push(f);
        }
    }

    #[allow(clippy::cast_precision_loss)]
    pub(super) fn changes(&self, out: &mut Vec<Finding>) {
        let (from, to) = (self.from, self.to);
        let changed = self.events(|k| matches!(k, EventKind::Option(_)));
        let mut what: BTreeSet<&str> = BTreeSet::new();
        for e in &changed {
            if let EventKind::Option(name) = e.kind {
                what.insert(name);
            }
        }
        if !what.is_empty() {
            let clamped = what.len() == 1 && what.contains("mss");
            let names: Vec<&str> = what.into_iter().collect();
            let mut f = self.finding(
                "path.option-stripped",
                if clamped {
                    Severity::Info
                } else {
                    Severity::Warning
                },
                0.98,
                format!(
                    "a device between the captures {} the option {} of SYNs from {from} to {to}",
                    if clamped {
                        "lowers"
                    } else {
                        "takes away or changes"
                    },
                    names.join(", ")
                ),
                &changed,
                |e| match e.kind {
                    EventKind::Option(name) => {
                        format!("the SYN's {name} is another at the other side")
                    }
                    _ => String::new(),
                },
            );
            f.peer = Some(to);
            f.words = vec![("option", names.join(", "))];
            out.push(f);
        }
        let lowered = self.events(|k| k == EventKind::Window);
        if self.sum.windows_lowered >= ENOUGH {
            let mut f = self.finding(
                "limit.receive-window",
                Severity::Warning,
                0.97,
                format!(
                    "a device between the captures lowers the window that {from} offers {to}, in {}",
                    plural(self.sum.windows_lowered, "packet")
                ),
                &lowered,
                |e| {
                    e.windows.map_or_else(String::new, |[left, came]| {
                        format!("left with {left} in its window field, and came with {came}")
                    })
                },
            );
            f.subject = Some(from);
            f.peer = Some(to);
            f.measures = vec![("lowered", 1.0), ("count", self.sum.windows_lowered as f64)];
            out.push(f);
        }
        let masked = self.events(|k| k == EventKind::Payload);
        if !masked.is_empty() {
            let mut f = self.finding(
                "smtp.banner-masked",
                Severity::Warning,
                0.97,
                format!(
                    "a device between the captures overwrites text from {from} to {to} with one sign, in {}",
                    plural(masked.len() as u64, "segment")
                ),
                &masked,
                |e| e.difference.map_or_else(String::new, |d| d.sentence()),
            );
            f.subject = Some(from);
            f.peer = Some(to);
            f.words = vec![("application", "smtp".to_owned())];
            out.push(f);
        }
        let resets = self.events(|k| k == EventKind::Reset);
        let sum = &self.sum;
        if sum.resets_made > 0 {
            // A capture that missed what its own host sent may have missed the resets.
            let sure = sum.only_right == 0;
            let mut f = self.finding(
                "close.reset",
                if sure { Severity::Critical } else { Severity::Info },
                if sure { 0.95 } else { 0.5 },
                format!(
                    "{} in the name of {from} came to {to}, which {from} did not send: a device between the captures ends the connections",
                    plural(sum.resets_made, "reset")
                ),
                &resets,
                |_| format!("a reset that did not leave {from}"),
            );
            f.peer = Some(to);
            f.words = vec![("by", "device".to_owned())];
            f.measures = vec![("middlebox", sum.resets_made as f64)];
            f.flows = self.flows(|p| p.resets_made);
            if !sure {
                f.against.push(format!(
                    "{} more that came from {from} were not seen to leave it: the capture beside it missed some of what it sent",
                    plural(sum.only_right, "segment")
                ));
            }
            out.push(f);
        }
    }
}
