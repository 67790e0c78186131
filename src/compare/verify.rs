//! Says whether a remedy worked: the same measures before and after it, side by side.
//!
//! Takes:  [`Sample`]s of the connections of two runs, and the ids of their findings that hurt
//! Gives:  a verification: measures for each two hosts and service, how much they changed and how sure that is, one sentence
//! Never:  calls gone what the captures from after the remedy had no chance to show
//!
//! Rates of many connections are compared by resampling them (a bootstrap with a fixed seed); of few, by the best and worst second within
//! them. Shares of segments are compared by the two-proportion test, times by ranks (Mann and Whitney's U): one mail, or one stall, is chance.

use std::collections::{BTreeMap, BTreeSet};

use crate::net::Timestamp;

/// Connections from which on a rate is resampled.
const LEAST_TO_RESAMPLE: usize = 5;
/// Connections resampled at most (of more, every second, third, … one), and how often.
const MOST_TO_RESAMPLE: usize = 2_000;
const RESAMPLES: usize = 1_000;
/// A rate has changed that is so many times the other, with all of its range on one side of 1.
const CHANGED: f64 = 1.2;
/// Standard errors from which a share differs, and the least difference that anybody feels.
const SURE: f64 = 3.0;
const SHARE_FELT: f64 = 0.002;
/// Transfers are of like size up to this many times. Of others the larger one takes longer over the same path, and has the higher rate, as
/// round trips take their time whatever the size.
const LIKE_SIZE: f64 = 2.0;
/// Seconds from which the seconds of a connection tell of the path, and no longer of its opening.
const STEADY_SECONDS: f64 = 3.0;
/// Standing still has changed by so much of the time, and so many seconds.
const STILL_SHARE: f64 = 0.05;
const STILL_SECONDS: f64 = 1.0;
/// So many seconds are no chance, even in one connection.
const STILL_LONG: f64 = 10.0;
/// Standard errors of the sum of ranks from which times differ: 95 %, which three against three reach where none of the one is as short as
/// any of the other.
const RANKS_SURE: f64 = 1.96;
/// A phase of SMTP has changed that takes so many times as long, or as short, and differs by so many seconds.
const PHASE_TIMES: f64 = 1.5;
const PHASE_SECONDS: f64 = 0.2;
/// What decides: a change that is more than chance, or something critical. A single warning that came or went, which weighs 1, may be chance.
const DECIDES: i32 = 2;
const CHANGE_WEIGHS: i32 = 2;
const CRITICAL_WEIGHS: i32 = 3;
/// What hurt in one run can be called gone where the other had a chance to show it: the connections of its hosts moved such a share of the
/// octets, or of the segments, or took such a share of the time.
const CHANCE: f64 = 0.5;
/// Connections moving less than this say nothing of a rate.
const LEAST_OCTETS: u64 = 1_000;

/// One connection of a run.
#[derive(Clone, Debug, Default)]
pub struct Sample {
    /// Client and server, by address.
    pub hosts: [String; 2],
    /// Client and server, by address and port.
    pub ends: [String; 2],
    /// When it was seen first and last.
    pub seen: [Timestamp; 2],
    /// One direction of it is not in the captures.
    pub one_sided: bool,
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
    /// Phases of SMTP.
    pub phases: Vec<SamplePhase>,
}

/// A phase of SMTP in one connection.
#[derive(Clone, Copy, Debug)]
pub struct SamplePhase {
    /// `greeting`, `mail`, …
    pub name: &'static str,
    /// How often.
    pub count: u64,
    /// Shortest, median and longest, in seconds.
    pub times: [f64; 3],
}

impl SamplePhase {
    /// Times that stand for it: at most three, as those of one connection are no chance of each other.
    fn points(&self) -> impl Iterator<Item = f64> {
        let [min, median, max] = self.times;
        let points = match self.count {
            0 | 1 => [Some(median), None, None],
            2 => [Some(min), Some(max), None],
            _ => [Some(min), Some(median), Some(max)],
        };
        points.into_iter().flatten()
    }
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
    /// For the better or for the worse; `None`: no more than chance makes, or [`unlike`](Self::unlike).
    pub better: Option<bool>,
    /// Median octets of a transfer before and after, where they differ so much that rates cannot be compared.
    pub unlike: Option<[f64; 2]>,
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
    /// After, and the captures from before hold as little of those hosts.
    pub new_elsewhere: Vec<String>,
    /// Both.
    pub still: Vec<String>,
    /// Before, and the captures from after hold no connection of those hosts, or too little of them, or one direction alone.
    pub not_seen: Vec<String>,
    /// A connection, by its ends, that both runs show at the same time: they are two views of one thing.
    pub same: Option<[String; 2]>,
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
    // What hurts hosts of which one of the runs shows too little is neither gone nor new: nobody looked.
    let (exposed_before, exposed_after) = (Exposures::of(before), Exposures::of(after));
    let shown = |id: &String, hurts: &[Hurt], here: &Exposures<'_>, there: &Exposures<'_>| {
        let mut of_id = hurts.iter().filter(|h| h.id == *id);
        of_id.any(|h| there.to(&h.hosts).had_a_chance(here.to(&h.hosts)))
    };
    let (gone, not_seen) = old
        .difference(&new)
        .cloned()
        .partition(|id| shown(id, &before.hurts, &exposed_before, &exposed_after));
    let (new_here, new_elsewhere) = new
        .difference(&old)
        .cloned()
        .partition(|id| shown(id, &after.hurts, &exposed_after, &exposed_before));
    let mut verified = Verified {
        pairs,
        gone,
        new: new_here,
        new_elsewhere,
        still: old.intersection(&new).cloned().collect(),
        not_seen,
        same: same(before, after),
        outcome: Outcome::CannotTell,
    };
    verified.outcome = outcome(&verified, before, after);
    verified
}

/// What a run shows of some connections.
#[derive(Clone, Copy, Debug, Default)]
struct Exposure {
    flows: u64,
    octets: u64,
    segments: u64,
    seconds: f64,
    /// Any of them is there in both directions.
    whole: bool,
}

impl Exposure {
    fn add(&mut self, other: Self) {
        self.flows += other.flows;
        self.octets += other.octets;
        self.segments += other.segments;
        self.seconds += other.seconds;
        self.whole |= other.whole;
    }

    /// Whether what hurt there could have been seen here.
    #[allow(clippy::cast_precision_loss)]
    fn had_a_chance(self, there: Self) -> bool {
        let enough = self.octets as f64 >= there.octets as f64 * CHANCE
            || self.segments as f64 >= there.segments as f64 * CHANCE
            || self.seconds >= there.seconds * CHANCE;
        self.flows > 0 && enough && (self.whole || !there.whole)
    }
}

/// What a run shows of each host, and of each two.
#[derive(Debug, Default)]
struct Exposures<'a> {
    hosts: BTreeMap<&'a str, Exposure>,
    pairs: BTreeMap<[&'a str; 2], Exposure>,
}

impl<'a> Exposures<'a> {
    fn of(run: &'a Run) -> Self {
        let mut all = Self::default();
        for sample in &run.samples {
            let one = Exposure {
                flows: 1,
                octets: sample.octets,
                segments: sample.segments,
                seconds: sample.seconds,
                whole: !sample.one_sided,
            };
            let [client, server] = &sample.hosts;
            all.hosts.entry(client).or_default().add(one);
            all.hosts.entry(server).or_default().add(one);
            all.pairs.entry([client, server]).or_default().add(one);
        }
        all
    }

    /// Of the connections among these hosts; of all of its own where there is but one.
    fn to(&self, hosts: &[String]) -> Exposure {
        if let [host] = hosts {
            return self.hosts.get(host.as_str()).copied().unwrap_or_default();
        }
        let mut sum = Exposure::default();
        for a in hosts {
            for b in hosts {
                if let Some(one) = self.pairs.get(&[a.as_str(), b.as_str()]) {
                    sum.add(*one);
                }
            }
        }
        sum
    }
}

/// A connection that both runs show at the same time.
fn same(before: &Run, after: &Run) -> Option<[String; 2]> {
    let mut seen: BTreeMap<&[String; 2], Vec<[Timestamp; 2]>> = BTreeMap::new();
    for sample in &before.samples {
        seen.entry(&sample.ends).or_default().push(sample.seen);
    }
    let again = after.samples.iter().find(|sample| {
        let [from, to] = sample.seen;
        let mut spans = seen.get(&sample.ends).into_iter().flatten();
        spans.any(|[first, last]| *first <= to && from <= *last)
    });
    again.map(|sample| sample.ends.clone())
}

fn pair(hosts: &[String; 2], service: &str, old: &[&Sample], new: &[&Sample]) -> VerifiedPair {
    let (before, after) = (measures(old), measures(new));
    let one_sided = |list: &[&Sample]| list.iter().all(|s| s.one_sided);
    let changes = match (&before, &after) {
        // What one direction does not show is no change.
        (Some(a), Some(b)) if one_sided(old) == one_sided(new) => changes(a, b, old, new),
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
        for phase in &s.phases {
            let [_, median, _] = phase.times;
            let medians = phases.entry(phase.name).or_default();
            medians.push((median, phase.count));
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
        let (felt, fair) = if between.0 > 1.0 && to >= from * CHANGED {
            (Some(true), fair(new, old))
        } else if between.1 < 1.0 && from >= to * CHANGED {
            (Some(false), fair(old, new))
        } else {
            (None, true)
        };
        changes.push(Change {
            what: "goodput",
            from,
            to,
            times: to / from,
            between,
            better: felt.filter(|_| fair),
            unlike: (!fair).then(|| [old, new].map(|list| median(moved(list).0))),
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
            unlike: None,
        });
    }
    if a.seconds > 0.0 && b.seconds > 0.0 {
        let share = |m: &Measures| (m.stalled / m.seconds).min(1.0);
        let (from, to) = (share(a), share(b));
        let more = (a.stalled - b.stalled).abs();
        let stalls = |list: &[&Sample]| list.iter().map(|s| s.stalled).collect::<Vec<f64>>();
        let felt = (to - from).abs() >= STILL_SHARE
            && more >= STILL_SECONDS
            && (more >= STILL_LONG || differ(&stalls(old), &stalls(new)));
        changes.push(Change {
            what: "stalls",
            from,
            to,
            times: if from > 0.0 { to / from } else { f64::NAN },
            between: (f64::NAN, f64::NAN),
            better: felt.then_some(to < from),
            unlike: None,
        });
    }
    for (phase, (_, from)) in &a.phases {
        let Some((_, to)) = b.phases.get(phase) else {
            continue;
        };
        let (small, large) = if from < to { (from, to) } else { (to, from) };
        let points = |list: &[&Sample]| -> Vec<f64> {
            let phases = list.iter().flat_map(|s| &s.phases);
            let mine = phases.filter(|p| p.name == *phase);
            mine.flat_map(SamplePhase::points).collect()
        };
        let felt = large - small >= PHASE_SECONDS
            && *large >= small * PHASE_TIMES
            && differ(&points(old), &points(new));
        // How long a client thinks is not the server's, nor the path's.
        if *phase != "client" {
            changes.push(Change {
                what: phase,
                from: *from,
                to: *to,
                times: if *from > 0.0 { to / from } else { f64::NAN },
                between: (f64::NAN, f64::NAN),
                better: felt.then_some(to < from),
                unlike: None,
            });
        }
    }
    changes
}

/// Whether the higher rate of `fast` is one of the path, and not of larger transfers alone: they are of like size, or took less time all the
/// same, or their worst second was better than the best of `slow`.
fn fair(fast: &[&Sample], slow: &[&Sample]) -> bool {
    let ((fast_octets, fast_seconds), (slow_octets, slow_seconds)) = (moved(fast), moved(slow));
    let (fast_time, slow_time) = (median(fast_seconds), median(slow_seconds));
    let steady = || {
        let long = |list: &[&Sample]| list.iter().all(|s| s.seconds >= STEADY_SECONDS);
        let worst = fast.iter().filter_map(|s| s.worst).reduce(f64::min);
        let best = slow.iter().filter_map(|s| s.best).reduce(f64::max);
        long(fast) && long(slow) && worst.zip(best).is_some_and(|(worst, best)| worst > best)
    };
    median(fast_octets) <= median(slow_octets) * LIKE_SIZE
        || fast_time * CHANGED <= slow_time
        || steady()
}

/// Octets and seconds of the connections that say something of a rate.
#[allow(clippy::cast_precision_loss)]
fn moved(list: &[&Sample]) -> (Vec<f64>, Vec<f64>) {
    let moving = list.iter().filter(|s| s.octets >= LEAST_OCTETS);
    moving.map(|s| (s.octets as f64, s.seconds)).unzip()
}

fn median(mut list: Vec<f64>) -> f64 {
    list.sort_by(f64::total_cmp);
    list.get(list.len() / 2).copied().unwrap_or_default()
}

/// Whether the values of one list are mostly larger than those of the other (Mann and Whitney 1947, ties counted half).
#[allow(clippy::cast_precision_loss)]
fn differ(a: &[f64], b: &[f64]) -> bool {
    let mut sorted = b.to_vec();
    sorted.sort_by(f64::total_cmp);
    let u: f64 = a
        .iter()
        .map(|value| {
            let below = sorted.partition_point(|other| other < value);
            let upto = sorted.partition_point(|other| other <= value);
            (below + upto) as f64 / 2.0
        })
        .sum();
    let (m, n) = (a.len() as f64, b.len() as f64);
    let error = (m * n * (m + n + 1.0) / 12.0).sqrt();
    error > 0.0 && (u - m * n / 2.0).abs() >= RANKS_SURE * error
}

/// Between what the new rate lies with 95 %, in times of the old one.
fn range(old: &[&Sample], new: &[&Sample]) -> (f64, f64) {
    if old.len() >= LEAST_TO_RESAMPLE && new.len() >= LEAST_TO_RESAMPLE {
        return resampled(&thinned(old), &thinned(new));
    }
    // Too few connections to resample: their own seconds tell how unsteady they are.
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

/// As many as are resampled, spread over all.
fn thinned<'a>(list: &[&'a Sample]) -> Vec<&'a Sample> {
    let step = list.len().div_ceil(MOST_TO_RESAMPLE).max(1);
    list.iter().step_by(step).copied().collect()
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
    let critical = |id: &String, run: &Run| run.hurts.iter().any(|h| h.id == *id && h.critical);
    let weight = |ids: &[String], run: &Run| -> i32 {
        let weights = ids.iter().map(|id| {
            if critical(id, run) {
                CRITICAL_WEIGHS
            } else {
                1
            }
        });
        weights.sum()
    };
    let (mut up, mut down) = (weight(&v.gone, before), weight(&v.new, after));
    for change in v.pairs.iter().flat_map(|p| &p.changes) {
        match change.better {
            Some(true) => up += CHANGE_WEIGHS,
            Some(false) => down += CHANGE_WEIGHS,
            None => {}
        }
    }
    let came = v.new.iter().any(|id| critical(id, after));
    match (up, down) {
        (0, 0) if v.not_seen.is_empty() => Outcome::Same,
        _ if v.same.is_some() => Outcome::CannotTell,
        (up, down) if up >= DECIDES && up >= down * 2 && !came => Outcome::Better,
        (up, down) if down >= DECIDES && down >= up * 2 => Outcome::Worse,
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

    fn stalled(mut samples: Vec<Sample>, number: usize, seconds: f64) -> Vec<Sample> {
        for sample in samples.iter_mut().take(number) {
            sample.stalled = seconds;
        }
        samples
    }

    /// A connection whose server answers DATA so late.
    fn phase(count: u64, seconds: f64) -> Sample {
        let phases = vec![SamplePhase {
            name: "data",
            count,
            times: [seconds * 0.9, seconds, seconds * 1.1],
        }];
        Sample {
            phases,
            ..sample(10_000, 1.0, 10, 0)
        }
    }

    fn one_sided(mut run: Run) -> Run {
        for sample in &mut run.samples {
            sample.one_sided = true;
        }
        run
    }

    /// An hour later.
    fn later(mut run: Run) -> Run {
        for sample in &mut run.samples {
            sample.seen = [Timestamp(3_600_000_000_000); 2];
        }
        run
    }

    /// The findings are warnings.
    fn warned(mut run: Run) -> Run {
        for hurt in &mut run.hurts {
            hurt.critical = false;
        }
        run
    }

    /// The findings are of other hosts, which appear in this run alone.
    fn elsewhere(mut run: Run) -> Run {
        let hosts = ["192.0.2.7".to_owned(), "192.0.2.25".to_owned()];
        for hurt in &mut run.hurts {
            hurt.hosts = hosts.to_vec();
        }
        run.samples.push(Sample {
            hosts,
            ..sample(10_000, 1.0, 10, 0)
        });
        run
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
                "ten times the size in the same time: round trips",
                run(many(40, 1_500, 0.1), &[]),
                run(many(40, 15_000, 0.1), &[]),
                Same,
            ),
            (
                "the same, of seconds that tell",
                run(many(3, 15_000_000, 30.0), &[]),
                run(many(3, 150_000_000, 30.0), &[]),
                Better,
            ),
            (
                "smaller and quicker all the same",
                run(many(40, 15_000, 0.1), &[]),
                run(many(40, 5_000, 0.02), &[]),
                Better,
            ),
            (
                "one stall in one of them",
                run(many(40, 1_000_000, 1.0), &[]),
                run(stalled(many(40, 1_000_000, 1.0), 1, 3.0), &[]),
                Same,
            ),
            (
                "a stall in each",
                run(many(40, 1_000_000, 1.0), &[]),
                run(stalled(many(40, 1_000_000, 1.0), 40, 0.4), &[]),
                Worse,
            ),
            (
                "one warning less",
                warned(run(quick(), &["stall.tail-loss"])),
                run(quick(), &[]),
                CannotTell,
            ),
            (
                "one late answer",
                run(vec![phase(1, 0.1)], &[]),
                run(vec![phase(1, 0.4)], &[]),
                Same,
            ),
            (
                "ten late answers",
                run(vec![phase(10, 0.1)], &[]),
                run(vec![phase(10, 0.4)], &[]),
                Worse,
            ),
            (
                "two late answers in each of two",
                run(vec![phase(2, 0.1), phase(2, 0.1)], &[]),
                run(vec![phase(2, 0.4), phase(2, 0.4)], &[]),
                Worse,
            ),
            (
                "nine times as fast, in more connections than are resampled",
                run(many(2_100, 10_000, 0.9), &[]),
                run(many(2_100, 10_000, 0.1), &[]),
                Better,
            ),
            (
                "trouble of hosts that nobody saw before",
                run(quick(), &[]),
                elsewhere(run(quick(), &["storm.retransmission"])),
                Same,
            ),
            (
                "the symptom gone from one direction alone",
                run(slow(), &["a.b"]),
                one_sided(run(slow(), &[])),
                CannotTell,
            ),
            (
                "the symptom gone from a hundredth of the segments and of the time",
                run(many(100, 10_000, 1.0), &["a.b"]),
                run(many(1, 10_000, 1.0), &[]),
                CannotTell,
            ),
            (
                "ten times as fast, and something critical came",
                run(many(40, 1_000_000, 1.0), &[]),
                run(many(40, 1_000_000, 0.1), &["a.b"]),
                CannotTell,
            ),
            (
                "one symptom for another",
                run(slow(), &["a.b"]),
                run(slow(), &["c.d"]),
                CannotTell,
            ),
        ] {
            assert_eq!(verify(&before, &later(after)).outcome, want, "{name}");
        }
    }

    #[test]
    fn the_range_holds_the_truth() {
        let v = verify(
            &run(many(40, 1_000_000, 1.0), &[]),
            &later(run(many(40, 1_000_000, 0.5), &[])),
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
    fn two_views_of_one_connection_are_no_before_and_after() {
        let before = run(many(40, 1_000_000, 1.0), &["a.b"]);
        let after = run(many(40, 1_000_000, 0.1), &[]);
        let v = verify(&before, &after);
        assert_eq!(v.outcome, Outcome::CannotTell);
        assert!(v.same.is_some());
        let v = verify(&before, &later(after));
        assert_eq!((v.outcome, v.same), (Outcome::Better, None));
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
