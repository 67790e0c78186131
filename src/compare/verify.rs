//! Says whether a remedy worked: the same measures before and after it, side by side.
//!
//! Takes:  [`Sample`]s of the connections of two runs, and the ids of their findings that hurt
//! Gives:  a verification: measures for each two hosts and service, how much they changed and how sure that is, one sentence
//! Never:  calls gone what the captures from after the remedy had no chance to show
//!
//! Rates of many connections are compared by resampling them (a bootstrap with a fixed seed); of few, by the best and worst second within
//! them. Shares of segments are compared by the two-proportion test.

use std::collections::{BTreeMap, BTreeSet};

/// Connections from which on a rate is resampled.
const LEAST_TO_RESAMPLE: usize = 5;
/// Connections resampled at most, and how often.
const MOST_TO_RESAMPLE: usize = 2_000;
const RESAMPLES: usize = 1_000;
/// A rate has changed that is so many times the other, with all of its range on one side of 1.
const CHANGED: f64 = 1.2;
/// Standard errors from which a share differs, and the least difference that anybody feels.
const SURE: f64 = 3.0;
const SHARE_FELT: f64 = 0.002;
/// Standing still has changed by so much of the time, and so many seconds.
const STILL_SHARE: f64 = 0.05;
const STILL_SECONDS: f64 = 1.0;
/// A phase of SMTP has changed that takes so many times as long, or as short, and differs by so many seconds.
const PHASE_TIMES: f64 = 1.5;
const PHASE_SECONDS: f64 = 0.2;
/// Connections moving less than this say nothing of a rate.
const LEAST_OCTETS: u64 = 1_000;

/// One connection of a run.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Client and server, by address.
    pub hosts: [String; 2],
    /// `smtp`, `smb`, `tcp/5001`, …
    pub service: String,
    /// Payload both ways, repeats left out.
    pub octets: u64,
    /// Seconds in which it was not idle, and nobody thought.
    pub seconds: f64,
    /// Octets a second in its best second, both ways together.
    pub best: Option<f64>,
    /// In its worst.
    pub worst: Option<f64>,
    /// Segments with payload.
    pub segments: u64,
    /// Of these, such as were sent again.
    pub repeated: u64,
    /// Seconds in which nothing moved although there was something to move.
    pub stalled: f64,
    /// Phases of SMTP: how often, and the median in seconds.
    pub phases: Vec<(&'static str, u64, f64)>,
}

/// Measures of all connections of two hosts and a service.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Measures {
    /// Connections.
    pub flows: u64,
    /// Payload, repeats left out.
    pub octets: u64,
    /// Seconds in which connections were busy, added up.
    pub seconds: f64,
    /// Bits a second while busy; `None` where hardly anything was moved.
    pub goodput_bps: Option<f64>,
    /// Segments with payload.
    pub segments: u64,
    /// Of these, such as were sent again.
    pub repeated: u64,
    /// Seconds in which nothing moved.
    pub stalled: f64,
    /// Phases of SMTP: how often, and the median of the connections' medians.
    pub phases: BTreeMap<&'static str, (u64, f64)>,
}

/// What changed, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// `goodput`, `retransmissions`, `stalls`, a phase.
    pub what: &'static str,
    /// Value before and after.
    pub from: f64,
    /// See [`from`](Self::from).
    pub to: f64,
    /// How many times the old value the new one is, and between what that lies with 95 %.
    pub times: f64,
    /// See [`times`](Self::times).
    pub between: (f64, f64),
    /// For the better or for the worse; `None`: no more than chance makes.
    pub better: Option<bool>,
}

/// Two hosts and a service, before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedPair {
    /// Client and server.
    pub hosts: [String; 2],
    /// The service.
    pub service: String,
    /// Before; `None` where there were no such connections.
    pub before: Option<Measures>,
    /// After.
    pub after: Option<Measures>,
    /// What changed.
    pub changes: Vec<Change>,
}

/// A finding that hurts, as far as a comparison of two runs needs it.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Hurt {
    /// Id of the symptom.
    pub id: String,
    /// Its hosts.
    pub hosts: Vec<String>,
    /// Critical.
    pub critical: bool,
}

/// One run.
#[derive(Clone, Debug, Default)]
pub struct Run {
    /// Its connections.
    pub samples: Vec<Sample>,
    /// Its findings that hurt.
    pub hurts: Vec<Hurt>,
}

/// In one word.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It helped.
    Better,
    /// It harmed.
    Worse,
    /// Nothing changed.
    Same,
    /// The captures do not tell.
    CannotTell,
}

/// Before and after.
#[derive(Clone, Debug, PartialEq)]
pub struct Verified {
    /// Two hosts and a service each, those with most traffic first.
    pub pairs: Vec<VerifiedPair>,
    /// Ids of findings that hurt before and not after.
    pub gone: Vec<String>,
    /// After and not before.
    pub new: Vec<String>,
    /// Both.
    pub still: Vec<String>,
    /// Before, and the captures from after hold no connection of those hosts.
    pub not_seen: Vec<String>,
    /// In one word.
    pub outcome: Outcome,
}

/// Compares two runs.
#[must_use]
pub fn verify(before: &Run, after: &Run) -> Verified {
    let mut groups: BTreeMap<(&[String; 2], &str), [Vec<&Sample>; 2]> = BTreeMap::new();
    for (place, run) in [before, after].into_iter().enumerate() {
        for sample in &run.samples {
            let lists = groups.entry((&sample.hosts, &sample.service)).or_default();
            if let Some(list) = lists.get_mut(place) {
                list.push(sample);
            }
        }
    }
    let mut pairs: Vec<VerifiedPair> = groups
        .into_iter()
        .map(|((hosts, service), [old, new])| pair(hosts, service, &old, &new))
        .collect();
    let octets = |p: &VerifiedPair| {
        let of = |m: &Option<Measures>| m.as_ref().map_or(0, |m| m.octets);
        of(&p.before) + of(&p.after)
    };
    let both = |p: &VerifiedPair| p.before.is_some() && p.after.is_some();
    pairs.sort_by(|a, b| {
        (
            both(b),
            b.changes.iter().any(|c| c.better.is_some()),
            octets(b),
        )
            .cmp(&(
                both(a),
                a.changes.iter().any(|c| c.better.is_some()),
                octets(a),
            ))
            .then_with(|| (&a.hosts, &a.service).cmp(&(&b.hosts, &b.service)))
    });
    let ids = |run: &Run| -> BTreeSet<String> { run.hurts.iter().map(|h| h.id.clone()).collect() };
    let (old, new) = (ids(before), ids(after));
    let seen: BTreeSet<&String> = after.samples.iter().flat_map(|s| &s.hosts).collect();
    // What hurt hosts that do not appear any more is not gone: nobody looked.
    let shown = |id: &String| {
        before
            .hurts
            .iter()
            .filter(|h| h.id == *id)
            .any(|h| h.hosts.iter().all(|host| seen.contains(host)))
    };
    let (gone, not_seen) = old.difference(&new).cloned().partition(shown);
    let mut verified = Verified {
        pairs,
        gone,
        new: new.difference(&old).cloned().collect(),
        still: old.intersection(&new).cloned().collect(),
        not_seen,
        outcome: Outcome::CannotTell,
    };
    verified.outcome = outcome(&verified, before, after);
    verified
}

fn pair(hosts: &[String; 2], service: &str, old: &[&Sample], new: &[&Sample]) -> VerifiedPair {
    let (before, after) = (measures(old), measures(new));
    let changes = match (&before, &after) {
        (Some(a), Some(b)) => changes(a, b, old, new),
        _ => Vec::new(),
    };
    VerifiedPair {
        hosts: hosts.clone(),
        service: service.to_owned(),
        before,
        after,
        changes,
    }
}

fn measures(list: &[&Sample]) -> Option<Measures> {
    if list.is_empty() {
        return None;
    }
    let mut m = Measures {
        flows: list.len() as u64,
        ..Measures::default()
    };
    let mut phases: BTreeMap<&'static str, Vec<(f64, u64)>> = BTreeMap::new();
    for s in list {
        m.octets += s.octets;
        m.seconds += s.seconds;
        m.segments += s.segments;
        m.repeated += s.repeated;
        m.stalled += s.stalled;
        for (phase, n, median) in &s.phases {
            phases.entry(phase).or_default().push((*median, *n));
        }
    }
    m.goodput_bps = rate(list.iter().copied());
    for (phase, mut medians) in phases {
        medians.sort_by(|a, b| a.0.total_cmp(&b.0));
        let all: u64 = medians.iter().map(|(_, n)| n).sum();
        let mut seen = 0;
        let median = medians.iter().find(|(_, n)| {
            seen += n;
            seen * 2 >= all
        });
        if let Some((median, _)) = median {
            m.phases.insert(phase, (all, *median));
        }
    }
    Some(m)
}

/// Bits a second while busy.
#[allow(clippy::cast_precision_loss)]
fn rate<'a>(list: impl Iterator<Item = &'a Sample>) -> Option<f64> {
    let (octets, seconds) = list.fold((0, 0.0), |(o, s), x| (o + x.octets, s + x.seconds));
    (octets >= LEAST_OCTETS && seconds > 0.0).then(|| octets as f64 * 8.0 / seconds)
}

#[allow(clippy::cast_precision_loss)]
fn changes(a: &Measures, b: &Measures, old: &[&Sample], new: &[&Sample]) -> Vec<Change> {
    let mut changes = Vec::new();
    if let (Some(from), Some(to)) = (a.goodput_bps, b.goodput_bps) {
        let between = range(old, new);
        let better = if between.0 > 1.0 && to >= from * CHANGED {
            Some(true)
        } else if between.1 < 1.0 && from >= to * CHANGED {
            Some(false)
        } else {
            None
        };
        changes.push(Change {
            what: "goodput",
            from,
            to,
            times: to / from,
            between,
            better,
        });
    }
    if a.segments > 0 && b.segments > 0 {
        let share = |m: &Measures| m.repeated as f64 / m.segments as f64;
        let (from, to) = (share(a), share(b));
        let all = (a.segments + b.segments) as f64;
        let pooled = (a.repeated + b.repeated) as f64 / all;
        let error =
            (pooled * (1.0 - pooled) * (1.0 / a.segments as f64 + 1.0 / b.segments as f64)).sqrt();
        let differs = (to - from).abs() >= SHARE_FELT && (to - from).abs() > SURE * error;
        let spread = 1.96 * error;
        changes.push(Change {
            what: "retransmissions",
            from,
            to,
            times: if from > 0.0 { to / from } else { f64::NAN },
            between: (to - from - spread, to - from + spread),
            better: differs.then_some(to < from),
        });
    }
    if a.seconds > 0.0 && b.seconds > 0.0 {
        let share = |m: &Measures| (m.stalled / m.seconds).min(1.0);
        let (from, to) = (share(a), share(b));
        let felt =
            (to - from).abs() >= STILL_SHARE && (a.stalled - b.stalled).abs() >= STILL_SECONDS;
        changes.push(Change {
            what: "stalls",
            from,
            to,
            times: if from > 0.0 { to / from } else { f64::NAN },
            between: (f64::NAN, f64::NAN),
            better: felt.then_some(to < from),
        });
    }
    for (phase, (_, from)) in &a.phases {
        let Some((_, to)) = b.phases.get(phase) else {
            continue;
        };
        let (small, large) = if from < to { (from, to) } else { (to, from) };
        let felt = large - small >= PHASE_SECONDS && *large >= small * PHASE_TIMES;
        // How long a client thinks is not the server's, nor the path's.
        if *phase != "client" {
            changes.push(Change {
                what: phase,
                from: *from,
                to: *to,
                times: if *from > 0.0 { to / from } else { f64::NAN },
                between: (f64::NAN, f64::NAN),
                better: felt.then_some(to < from),
            });
        }
    }
    changes
}

/// Between what the new rate lies with 95 %, in times of the old one.
fn range(old: &[&Sample], new: &[&Sample]) -> (f64, f64) {
    let enough = |list: &[&Sample]| (LEAST_TO_RESAMPLE..=MOST_TO_RESAMPLE).contains(&list.len());
    if enough(old) && enough(new) {
        return resampled(old, new);
    }
    // Too few connections to resample, or so many that chance hardly matters: their own seconds tell how unsteady they are.
    let best = |list: &[&Sample]| list.iter().filter_map(|s| s.best).reduce(f64::max);
    let worst = |list: &[&Sample]| list.iter().filter_map(|s| s.worst).reduce(f64::min);
    let over = |a: Option<f64>, b: Option<f64>| match (a, b) {
        (Some(a), Some(b)) if b > 0.0 => a / b,
        (Some(_), Some(_)) => f64::INFINITY,
        _ => f64::NAN,
    };
    let (low, high) = (over(worst(new), best(old)), over(best(new), worst(old)));
    (
        if low.is_nan() { 0.0 } else { low },
        if high.is_nan() { f64::INFINITY } else { high },
    )
}

fn resampled(old: &[&Sample], new: &[&Sample]) -> (f64, f64) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut pick = |n: usize| {
        // xorshift64*, seeded with a constant: the same captures give the same range.
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let bits = state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(bits).unwrap_or_default() % n.max(1)
    };
    let mut again = |list: &[&Sample]| {
        let picked: Vec<&Sample> = (0..list.len())
            .filter_map(|_| list.get(pick(list.len())).copied())
            .collect();
        rate(picked.into_iter())
    };
    let mut ratios: Vec<f64> = (0..RESAMPLES)
        .filter_map(|_| Some(again(new)? / again(old)?))
        .collect();
    ratios.sort_by(f64::total_cmp);
    let at = |permille: usize| ratios.get(ratios.len() * permille / 1000).copied();
    match (at(25), at(975)) {
        (Some(low), Some(high)) => (low, high),
        _ => (0.0, f64::INFINITY),
    }
}

fn outcome(v: &Verified, before: &Run, after: &Run) -> Outcome {
    let common = v
        .pairs
        .iter()
        .filter(|p| p.before.is_some() && p.after.is_some())
        .count();
    if common == 0 {
        return Outcome::CannotTell;
    }
    let weight = |ids: &[String], run: &Run| -> i32 {
        ids.iter()
            .map(|id| {
                if run.hurts.iter().any(|h| h.id == *id && h.critical) {
                    3
                } else {
                    1
                }
            })
            .sum()
    };
    let (mut up, mut down) = (weight(&v.gone, before), weight(&v.new, after));
    for change in v.pairs.iter().flat_map(|p| &p.changes) {
        let weight = if change.what == "goodput" { 2 } else { 1 };
        match change.better {
            Some(true) => up += weight,
            Some(false) => down += weight,
            None => {}
        }
    }
    match (up, down) {
        (0, 0) if v.not_seen.is_empty() => Outcome::Same,
        (0, 0) => Outcome::CannotTell,
        (up, down) if up >= down * 2 && up > down => Outcome::Better,
        (up, down) if down >= up * 2 && down > up => Outcome::Worse,
        _ => Outcome::CannotTell,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::cast_precision_loss)]
    use super::*;

    fn sample(octets: u64, seconds: f64, segments: u64, repeated: u64) -> Sample {
        Sample {
            hosts: ["192.0.2.1".to_owned(), "192.0.2.25".to_owned()],
            service: "smtp".to_owned(),
            octets,
            seconds,
            best: Some(octets as f64 / seconds * 1.2),
            worst: Some(octets as f64 / seconds * 0.8),
            segments,
            repeated,
            ..Sample::default()
        }
    }

    fn run(samples: Vec<Sample>, hurts: &[&str]) -> Run {
        Run {
            samples,
            hurts: hurts
                .iter()
                .map(|id| Hurt {
                    id: (*id).to_owned(),
                    hosts: vec!["192.0.2.1".to_owned(), "192.0.2.25".to_owned()],
                    critical: true,
                })
                .collect(),
        }
    }

    /// Connections whose rates differ by up to a fifth.
    fn many(n: u64, octets: u64, seconds: f64) -> Vec<Sample> {
        (0..n)
            .map(|k| {
                sample(
                    octets,
                    seconds * (0.9 + (k * 7 % 5) as f64 * 0.05),
                    1_000,
                    0,
                )
            })
            .collect()
    }

    #[test]
    fn outcomes() {
        use Outcome::{Better, CannotTell, Same, Worse};
        let slow = || vec![sample(58_400, 105.0, 160, 120)];
        let quick = || vec![sample(75_000_000, 10.0, 51_000, 0)];
        for (name, before, after, want) in [
            (
                "557 octets a second, then 60 Mb/s",
                run(slow(), &["storm.retransmission"]),
                run(quick(), &[]),
                Better,
            ),
            (
                "the other way round",
                run(quick(), &[]),
                run(slow(), &["storm.retransmission"]),
                Worse,
            ),
            ("the same", run(quick(), &[]), run(quick(), &[]), Same),
            (
                "the same trouble",
                run(slow(), &["storm.retransmission"]),
                run(slow(), &["storm.retransmission"]),
                Same,
            ),
            (
                "nothing before",
                run(vec![], &[]),
                run(quick(), &[]),
                CannotTell,
            ),
            (
                "no traffic after",
                run(slow(), &["storm.retransmission"]),
                run(vec![], &[]),
                CannotTell,
            ),
            (
                "many alike",
                run(many(40, 1_000_000, 1.0), &[]),
                run(many(40, 1_000_000, 1.02), &[]),
                Same,
            ),
            (
                "many a third slower",
                run(many(40, 1_000_000, 1.0), &[]),
                run(many(40, 1_000_000, 1.35), &[]),
                Worse,
            ),
            (
                "one symptom for another",
                run(slow(), &["a.b"]),
                run(slow(), &["c.d"]),
                CannotTell,
            ),
        ] {
            assert_eq!(verify(&before, &after).outcome, want, "{name}");
        }
    }

    #[test]
    fn the_range_holds_the_truth() {
        let v = verify(
            &run(many(40, 1_000_000, 1.0), &[]),
            &run(many(40, 1_000_000, 0.5), &[]),
        );
        let goodput = v.pairs[0]
            .changes
            .iter()
            .find(|c| c.what == "goodput")
            .expect("a rate");
        assert!((goodput.times - 2.0).abs() < 1e-6);
        assert!(
            goodput.between.0 < 2.0 && goodput.between.1 > 2.0 && goodput.between.0 > 1.8,
            "{goodput:?}"
        );
        assert_eq!(goodput.better, Some(true));
    }

    #[test]
    fn gone_is_only_what_could_have_been_seen() {
        let mut after = run(vec![sample(10_000, 1.0, 10, 0)], &[]);
        after.samples[0].hosts = ["192.0.2.7".to_owned(), "192.0.2.25".to_owned()];
        let mut before = run(vec![sample(10_000, 1.0, 10, 0)], &["smtp.tarpit"]);
        before.samples.push(after.samples[0].clone());
        let v = verify(&before, &after);
        assert_eq!((v.gone.len(), v.not_seen.len()), (0, 1));
        assert_eq!(v.outcome, Outcome::CannotTell);
    }
}
