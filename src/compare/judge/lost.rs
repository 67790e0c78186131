//! What left one capture and never came to the other: segments, stretches of time, acknowledgements.

use super::super::fate::{Event, EventKind, Fate, SILENCE};
use super::{ENOUGH, LOSS_SHARE, ORDER_SHARE, Way, is_syn, share};
use crate::detect::{Evidence, Finding, Severity, percent, plural, span, times};
use crate::net::{FrameRef, Timestamp};

/// Octets lost so often stop a connection.
const STUCK: u32 = 4;
/// Segments that leave into a silence and are lost, for it to be an outage; and the share of others lost beside which it proves none.
const LEAST_INTO_SILENCE: usize = 3;
const LOSSY: f64 = 0.05;
/// A queue has grown when segments wait at least so long, and this many times the shortest way.
const QUEUE: f64 = 0.002;
const QUEUE_SHARE: f64 = 0.5;
/// Segments that are less than this much of a packet are no proof of a limit on its length.
const LONG: u32 = 500;

/// A time in which nothing came of what left.
struct Silence {
    from: Timestamp,
    to: Timestamp,
    /// Segments that left meanwhile.
    lost: usize,
}

impl Silence {
    fn seconds(&self) -> f64 {
        self.to.seconds_since(self.from)
    }

    fn holds(&self, time: Timestamp) -> bool {
        self.from < time && time < self.to
    }
}

impl Way<'_> {
    /// Silences of all its connections at once, behind which it was heard again, and which segments were lost in.
    fn silences(&self) -> Vec<Silence> {
        let mut heard = self.sum.heard.clone();
        heard.sort_unstable();
        let mut silences = Vec::new();
        let mut upto: Option<Timestamp> = None;
        for (from, to) in heard {
            if let Some(upto) = upto
                && from.nanos_since(upto) >= SILENCE
            {
                let mut silence = Silence {
                    from: upto,
                    to: from,
                    lost: 0,
                };
                let lost = self.sum.lost_at.iter().filter(|t| silence.holds(**t));
                silence.lost = lost.count();
                if silence.lost >= LEAST_INTO_SILENCE {
                    silences.push(silence);
                }
            }
            upto = upto.max(Some(to));
        }
        silences
    }

    #[allow(clippy::cast_precision_loss)]
    pub(super) fn losses(&self, out: &mut Vec<Finding>) {
        let sum = &self.sum;
        let lost = self.events(|k| k == EventKind::Fate(Fate::Lost));
        let (long, lost): (Vec<&Event>, Vec<&Event>) = lost
            .into_iter()
            .filter(|e| !is_syn(e))
            .partition(|e| e.too_long);
        self.too_long(&long, out);
        let count = sum.lost.saturating_sub(sum.lost_syns + sum.lost_long);
        if count == 0 {
            return;
        }
        let sent = self.sent();
        let share = share(count, sent);
        let (from, to) = (self.from, self.to);
        let mut against = Vec::new();
        let unfilled = lost.iter().filter(|e| e.left_unfilled).count();
        if unfilled > 0 {
            against.push(format!(
                "the capture beside {from} was taken above its adapter, which had the checksums still to fill in: what is lost may have been lost in the adapter, its driver or its team as well as behind it"
            ));
        }
        let flows = self.flows(|p| p.lost.saturating_sub(p.lost_syns + p.lost_long));
        let whole = |f: Finding| Finding {
            subject: Some(from),
            peer: Some(to),
            measures: vec![
                ("share", share),
                ("count", count as f64),
                ("repeats", f64::from(sum.times_lost)),
            ],
            flows,
            against,
            ..f
        };
        let say = |e: &Event| {
            format!(
                "{} leave and never come",
                plural(u64::from(e.octets), "octet")
            )
        };
        // What was lost once may be lost by chance, and longer ones may not have been sent at all.
        let data = count.saturating_sub(sum.lost_fins);
        let only_long = self.only_long() && data >= 2 && sum.times_lost >= 2;
        if only_long {
            out.push(whole(self.finding(
                "path.mtu-black-hole",
                Severity::Critical,
                0.95,
                format!(
                    "all {} of {} octets and more from {from} to {to} are lost on the way, while those of up to {} octets come: the path swallows long packets and says nothing",
                    plural(data, "segment"),
                    sum.smallest_lost.unwrap_or_default(),
                    sum.largest_came
                ),
                &lost,
                say,
            )));
            return;
        }
        let hurts = share >= LOSS_SHARE || sum.times_lost >= STUCK;
        let stuck = sum.times_lost >= STUCK;
        let queued = self.queued(&lost);
        let (id, why) = match queued {
            Some(wait) => (
                "loss.congestion",
                format!(
                    "; what was sent just before had waited {} in a queue",
                    span(wait)
                ),
            ),
            None => ("loss.network", String::new()),
        };
        let again = if stuck {
            format!(", the same octets up to {} times", sum.times_lost)
        } else {
            String::new()
        };
        out.push(whole(self.finding(
            id,
            match (stuck, hurts) {
                (true, _) => Severity::Critical,
                (_, true) => Severity::Warning,
                _ => Severity::Info,
            },
            if unfilled > 0 { 0.8 } else { 0.97 },
            format!(
                "{} of {sent} ({}) from {from} to {to} left one capture and never came to the other{again}: lost between them{why}",
                plural(count, "segment"),
                percent(share)
            ),
            &lost,
            say,
        )));
    }

    /// What did not come because it was too long, and a router said so.
    #[allow(clippy::cast_precision_loss)]
    fn too_long(&self, long: &[&Event], out: &mut Vec<Finding>) {
        let count = self.sum.lost_long;
        let told = self
            .joined
            .iter()
            .find_map(|(j, d)| *j.too_big.get(d.index())?);
        let Some((frame, mtu)) = told.filter(|_| count > 0) else {
            return;
        };
        let (from, to) = (self.from, self.to);
        let mut f = self.finding(
            "path.mtu-discovery",
            Severity::Info,
            0.95,
            format!(
                "{} from {from} to {to} too long for a link of {mtu} octets did not come; a router said so",
                plural(count, "segment")
            ),
            long,
            |e| format!("{} leave and never come", plural(u64::from(e.octets), "octet")),
        );
        f.evidence.insert(
            0,
            Evidence {
                at: FrameRef::from(frame),
                text: format!("ICMP: too long, at most {mtu} octets"),
            },
        );
        f.measures = vec![
            ("share", share(count, self.sent())),
            ("count", count as f64),
        ];
        f.flows = self.flows(|p| p.lost_long);
        out.push(f);
    }

    /// Whether all that was lost is longer than all that came.
    fn only_long(&self) -> bool {
        let sum = &self.sum;
        sum.smallest_lost
            .is_some_and(|s| s >= LONG && s > sum.largest_came)
    }

    /// How long segments waited in a queue just before losses, where that queue was full.
    fn queued(&self, lost: &[&Event]) -> Option<f64> {
        let delay = &self.sum.delay;
        let (least, most) = (delay.min().as_secs_f64(), delay.max().as_secs_f64());
        let mut waits: Vec<f64> = lost
            .iter()
            .filter_map(|e| e.delay)
            .map(|d| d - least)
            .collect();
        waits.sort_by(f64::total_cmp);
        let wait = *waits.get(waits.len() / 2)?;
        let median = delay.quantile(0.5).as_secs_f64() - least;
        (wait >= QUEUE && wait >= (most - least) * QUEUE_SHARE && wait >= median).then_some(wait)
    }

    /// Stretches of time in which nothing at all came, though some left, and behind which all went on.
    pub(super) fn outage(&self, back: Option<&Way<'_>>, out: &mut Vec<Finding>) {
        let silences = self.silences();
        let lost: usize = silences.iter().map(|s| s.lost).sum();
        let sum = &self.sum;
        let others = sum.lost.saturating_sub(lost as u64);
        if silences.is_empty() || share(others, sum.matched + sum.lost) >= LOSSY || self.only_long()
        {
            return;
        }
        let (from, to) = (self.from, self.to);
        let lost_back: usize = back.map_or(0, |b| b.silences().iter().map(|s| s.lost).sum());
        if (lost_back, to) > (lost, from) {
            // It is told of the other way.
            return;
        }
        // What was under way at its beginning, and what its end brings about, is no matter of the silence.
        let open = silences.iter().any(|s| {
            let edge = s.to.nanos_since(s.from) / 4;
            let (begin, end) = (s.from.plus_nanos(edge), s.to.plus_nanos(-edge));
            let mut heard = back.iter().flat_map(|b| &b.sum.heard);
            heard.any(|(from, to)| *from < end && begin < *to)
        });
        let longest = silences.iter().map(Silence::seconds).fold(0.0, f64::max);
        let events = self.events(|k| k == EventKind::Fate(Fate::Lost));
        let within: Vec<&Event> = events
            .into_iter()
            .filter(|e| silences.iter().any(|s| s.holds(e.time)))
            .collect();
        // Copies of a SYN alone are told of as such: nothing shows that anything else would have been lost.
        if within.iter().all(|e| e.octets == 0) {
            return;
        }
        let mut f = self.finding(
            "link.outage",
            Severity::Critical,
            if open { 0.9 } else { 0.97 },
            format!(
                "nothing from {from} came to {to} for {}{}, though {} left one capture{}; then everything went on: the path between was away",
                span(longest),
                match silences.len() {
                    1 => String::new(),
                    n => format!(" and {} more", times(n as u64 - 1)),
                },
                plural(lost as u64, "segment"),
                if open {
                    ", while the other way stood open"
                } else {
                    ", nor anything the other way"
                }
            ),
            &within,
            |_| "leaves into the silence".to_owned(),
        );
        f.subject = Some(from);
        f.peer = Some(to);
        f.start = silences.first().map_or(f.start, |s| s.from);
        f.end = silences.last().map_or(f.end, |s| s.to);
        f.seconds_lost = Some(silences.iter().map(Silence::seconds).sum());
        out.push(f);
    }

    #[allow(clippy::cast_precision_loss)]
    pub(super) fn acknowledgements(&self, out: &mut Vec<Finding>) {
        let sum = &self.sum;
        let part = share(sum.acks_lost, sum.acks);
        if sum.acks_lost < ENOUGH {
            return;
        }
        let (from, to) = (self.from, self.to);
        let events = self.events(|k| k == EventKind::AckLost);
        let mut f = self.finding(
            "loss.ack",
            if part >= ORDER_SHARE && sum.missed == 0 { Severity::Warning } else { Severity::Info },
            if sum.missed == 0 { 0.95 } else { 0.5 },
            format!(
                "{} of {} bare acknowledgements ({}) from {from} to {to} left one capture and never came to the other",
                sum.acks_lost,
                sum.acks,
                percent(part)
            ),
            &events,
            |_| "an acknowledgement that does not come".to_owned(),
        );
        f.subject = Some(from);
        f.peer = Some(to);
        f.measures = vec![("share", part), ("count", sum.acks_lost as f64)];
        f.flows = self.flows(|p| p.acks_lost);
        if sum.missed > 0 {
            f.against.push(format!(
                "the capture beside {to} missed segments that came, and may have missed these"
            ));
        }
        out.push(f);
    }
}
