//! Parts a run that goes on for days into chapters, so that detectors need not remember the whole of it.
//!
//! Takes:  how many flows have ended; the findings of each chapter when it is over
//! Gives:  the findings of all chapters as one list: what is the same in several is told once, with the numbers of the worst
//! Never:  keeps more than [`MAX_FINDINGS`] findings; changes anything where the run had one chapter

use std::net::IpAddr;

use crate::detect::{self, Detector, Finding};

/// Flows of a chapter: as many as a live report lists.
pub(super) const FLOWS: u64 = 10_000;

/// Findings kept of the chapters that are over: the worst.
const MAX_FINDINGS: usize = 1_000;

/// Flows and hosts that one finding names, as in a chapter.
const MAX_NAMED: (usize, usize) = (1_000, 64);

/// What makes two findings at different times the same one.
pub(super) type Key = (&'static str, Option<IpAddr>, Option<IpAddr>, String);

/// See [`Key`].
pub(super) fn key(f: &Finding) -> Key {
    let word = f.words.iter().find(|(name, _)| *name == "application");
    let port = f.measures.iter().find(|(name, _)| *name == "port");
    let word = format!(
        "{}{}",
        word.map_or("", |(_, word)| word),
        port.map_or(0.0, |(_, port)| *port)
    );
    (f.id, f.subject, f.peer, word)
}

/// A finding, and in how many chapters it was made.
struct Kept {
    key: Key,
    finding: Finding,
    chapters: u64,
}

/// See the head of this file.
#[derive(Default)]
pub(super) struct Chapters {
    /// Servers that share one job, as detectors are told.
    pools: Vec<(String, Vec<IpAddr>)>,
    /// How much they may keep, as for [`detect::all`].
    share: f64,
    flows: u64,
    over: u64,
    kept: Vec<Kept>,
    omitted: u64,
}

impl Chapters {
    pub(super) fn new(pools: &[(String, Vec<IpAddr>)], share: f64) -> Self {
        Self {
            pools: pools.to_vec(),
            share,
            ..Self::default()
        }
    }

    /// Fresh detectors, for the next chapter.
    pub(super) fn detectors(&self) -> Vec<Box<dyn Detector>> {
        detect::all(&self.pools, self.share)
    }

    /// A flow has ended; whether the chapter is over with it.
    pub(super) fn flow(&mut self) -> bool {
        self.flows += 1;
        self.flows >= FLOWS
    }

    /// Takes the findings of a chapter that is over. Another begins.
    pub(super) fn turn(&mut self, findings: Vec<Finding>) {
        self.flows = 0;
        self.over += 1;
        let places = self.kept.iter().map(|k| k.key.clone()).zip(0..);
        let mut places: std::collections::HashMap<Key, usize> = places.collect();
        for finding in findings {
            let key = key(&finding);
            match places.get(&key).and_then(|at| self.kept.get_mut(*at)) {
                Some(kept) => kept.join(finding),
                None => {
                    places.insert(key.clone(), self.kept.len());
                    self.kept.push(Kept {
                        key,
                        finding,
                        chapters: 1,
                    });
                }
            }
        }
        self.kept
            .sort_by(|a, b| rank(&b.finding).total_cmp(&rank(&a.finding)));
        self.omitted += self.kept.len().saturating_sub(MAX_FINDINGS) as u64;
        self.kept.truncate(MAX_FINDINGS);
    }

    /// The findings of all chapters, the last one's included, and what to tell the reader.
    pub(super) fn finish(mut self, last: Vec<Finding>) -> (Vec<Finding>, Option<String>) {
        if self.over == 0 {
            return (last, None);
        }
        self.turn(last);
        let mut note = format!(
            "the run had many flows, so they were judged in {} parts of {FLOWS}: a finding that is the same in several stands here once, with the \
             numbers of the worst part",
            self.over
        );
        if self.omitted > 0 {
            note += &format!("; {} lesser findings were left out", self.omitted);
        }
        let findings = self.kept.into_iter().map(Kept::told).collect();
        (findings, Some(note))
    }
}

/// Worse is more: severity first, then the time lost.
fn rank(f: &Finding) -> f64 {
    let seconds = f.seconds_lost.unwrap_or(0.0).clamp(0.0, 1e9);
    f64::from(f.severity as u8) * 1e12 + seconds + f.confidence
}

impl Kept {
    /// The same was found in another chapter.
    fn join(&mut self, mut other: Finding) {
        self.chapters += 1;
        if rank(&other) > rank(&self.finding) {
            std::mem::swap(&mut self.finding, &mut other);
        }
        let f = &mut self.finding;
        f.start = f.start.min(other.start);
        f.end = f.end.max(other.end);
        f.seconds_lost = match (f.seconds_lost, other.seconds_lost) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        };
        f.flows.extend(other.flows);
        f.flows.sort_unstable();
        f.flows.dedup();
        f.flows.truncate(MAX_NAMED.0);
        for host in other.hosts {
            if f.hosts.len() < MAX_NAMED.1 && !f.hosts.contains(&host) {
                f.hosts.push(host);
            }
        }
    }

    fn told(self) -> Finding {
        let mut f = self.finding;
        if self.chapters > 1 {
            let more = self.chapters - 1;
            f.summary += &format!(
                "; the same in {more} other {} of the run",
                if more == 1 { "part" } else { "parts" }
            );
        }
        f
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::Severity;
    use crate::net::Timestamp;

    fn finding(severity: Severity, subject: u8, seconds: f64, flow: u64) -> Finding {
        let host = IpAddr::from([192, 0, 2, subject]);
        Finding {
            subject: Some(host),
            hosts: vec![host],
            flows: vec![flow],
            start: Timestamp(flow as i64),
            end: Timestamp(flow as i64 + 1),
            seconds_lost: Some(seconds),
            ..Finding::new("loss.network", severity, 0.9, format!("{seconds} s"))
        }
    }

    #[test]
    fn what_is_the_same_in_several_chapters_is_told_once() {
        use Severity::{Critical, Warning};
        let mut chapters = Chapters::default();
        chapters.turn(vec![
            finding(Warning, 1, 2.0, 7),
            finding(Warning, 2, 1.0, 8),
        ]);
        chapters.turn(vec![finding(Critical, 1, 0.5, 20)]);
        let (found, note) = chapters.finish(vec![finding(Warning, 1, 1.0, 30)]);
        let told: Vec<_> = found
            .iter()
            .map(|f| (f.severity, &*f.summary, f.seconds_lost, &f.flows[..]))
            .collect();
        assert_eq!(
            told,
            [
                (
                    Critical,
                    "0.5 s; the same in 2 other parts of the run",
                    Some(3.5),
                    &[7, 20, 30][..]
                ),
                (Warning, "1 s", Some(1.0), &[8]),
            ]
        );
        assert!(note.is_some_and(|note| note.contains("3 parts")));
    }

    #[test]
    fn one_chapter_is_left_as_it_is() {
        let last = vec![
            finding(Severity::Info, 1, 0.0, 1),
            finding(Severity::Critical, 2, 9.0, 2),
        ];
        let (found, note) = Chapters::default().finish(last);
        assert_eq!((found[0].severity, note), (Severity::Info, None));
    }

    #[test]
    fn the_worst_are_kept() {
        let mut chapters = Chapters::default();
        for n in 0..30u16 {
            let many = (0..100u8).map(|host| {
                let mut f = finding(Severity::Warning, host, f64::from(n), 1);
                f.peer = Some(IpAddr::from([10, 0, 0, n as u8]));
                f
            });
            chapters.turn(many.collect());
        }
        assert_eq!(chapters.kept.len(), MAX_FINDINGS);
        let (found, note) = chapters.finish(Vec::new());
        assert!(found.iter().all(|f| f.seconds_lost >= Some(20.0)));
        assert!(note.is_some_and(|note| note.contains("2000 lesser")));
    }
}
