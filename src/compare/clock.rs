//! How far the right side's clock is from the left side's, and how fast it runs away.
//!
//! Takes:  for segments that both sides saw: when the left saw it, when the right did, and which way it went
//! Gives:  a [`Clock`]: offset and drift, with the error that no capture can do better than
//! Never:  trusts a single segment: a queue makes any one late, so that only the quickest count; takes a clock that was set for a slow path
//!
//! A segment from left to right takes at least the path's shortest delay, so that the differences of the clocks that these show lie
//! above a straight line; those of the way back lie below one of the same slope. Between both lines lies the true difference: in their
//! middle where the path is as quick both ways, and never outside (after Paxson, "On calibrating measurements of packet transit
//! times", 1998, and Moon, Skelly, Towsley, "Estimation and removal of clock skew", 1999).

use crate::net::{Timestamp, seconds};

/// Stretches of time of which the quickest segment is kept, each way.
const STRETCHES: usize = 2_048;
/// Clocks that drift more than this are set, not drifting.
const MOST_DRIFT: f64 = 1e-3;
/// Time that must be seen before a drift is told.
const LEAST_SPAN: f64 = 0.5;
/// Seconds that a clock has to gain over the whole time, for it to be more than the jitter of hosts.
const LEAST_GAIN: f64 = 0.000_05;
/// Segments each way, in stretches of their own, before a drift is told.
const LEAST_STRETCHES: usize = 4;

/// Seconds by which segments come before they left, where both clocks are taken to run evenly: from here on one of them was set.
const SET: f64 = 0.02;
/// Seconds around that moment of which neither side is asked: what is under way then shows the old time in one direction and the new one in
/// the other.
const UNDER_WAY: [f64; 3] = [0.0, 0.2, 2.0];

/// One of the clocks was set while both captures ran.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The last segment before, and the first behind it, by the left side's clock. Where one step does not explain what was seen, all of
    /// the time.
    pub between: (Timestamp, Timestamp),
    /// Seconds by which the right clock went ahead of the left one; 0 where more than one step was made.
    pub by: f64,
}

/// Difference of two clocks: right minus left.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clock {
    /// Moment of the left side's clock for which `offset` holds: that of the first segment that both saw.
    pub at: Timestamp,
    /// Seconds, right minus left, at `at`.
    pub offset: f64,
    /// Seconds that the right clock gains in each second.
    pub drift: f64,
    /// How far `offset` may be off, if all the path's delay lay in one direction; `None` where only one direction was seen.
    pub error: Option<f64>,
    /// How far it is off where the path is as quick both ways: what jitter leaves.
    pub error_if_symmetric: Option<f64>,
    /// Segments that it rests on.
    pub samples: u64,
    /// Where one of the clocks was set in between; delays mean nothing then.
    pub step: Option<Step>,
}

impl Clock {
    /// Seconds, right minus left, at a moment of the left side's clock.
    #[must_use]
    pub fn difference(&self, left: Timestamp) -> f64 {
        let step = self.step.filter(|s| left >= s.between.1);
        self.offset + self.drift * left.seconds_since(self.at) + step.map_or(0.0, |s| s.by)
    }

    /// The same with the sides changed.
    #[must_use]
    pub fn turned(&self) -> Self {
        Self {
            at: self.to_right(self.at),
            offset: -self.offset,
            drift: -self.drift / (1.0 + self.drift),
            step: self.step.map(|s| Step {
                between: (self.to_right(s.between.0), self.to_right(s.between.1)),
                by: -s.by,
            }),
            ..*self
        }
    }

    /// The moment of the left side's clock when the right side's shows `right`.
    #[must_use]
    pub fn to_left(&self, right: Timestamp) -> Timestamp {
        // The difference hardly changes over its own length.
        let near = |by: f64| {
            let near = right.plus_nanos(nanos(-self.offset - by));
            right.plus_nanos(nanos(-self.difference(near)))
        };
        match self.step {
            // Of a time that the right clock showed twice, or never, the first that is behind the step.
            Some(step) if near(step.by) >= step.between.1 => near(step.by),
            _ => near(0.0),
        }
    }

    /// The moment of the right side's clock when the left side's shows `left`.
    #[must_use]
    pub fn to_right(&self, left: Timestamp) -> Timestamp {
        left.plus_nanos(nanos(self.difference(left)))
    }
}

#[allow(clippy::cast_possible_truncation)] // saturating is what is wanted
fn nanos(seconds: f64) -> i64 {
    (seconds * 1e9).round() as i64
}

/// Gathers what both sides saw.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples {
    /// From left to right, and back: (left's time, right's time).
    ways: [Vec<(Timestamp, Timestamp)>; 2],
    count: u64,
    /// Once there are many: every so many-th pair of them is the quickest of a stretch.
    pruned_at: usize,
}

impl Samples {
    /// Adds a segment that went from left to right (0) or back (1).
    pub(super) fn add(&mut self, way: usize, left: Timestamp, right: Timestamp) {
        self.count += 1;
        if let Some(list) = self.ways.get_mut(way) {
            list.push((left, right));
            if list.len() >= (4 * STRETCHES).max(self.pruned_at) {
                let kept = quickest(list, way);
                *list = kept;
                self.pruned_at = list.len() * 2;
            }
        }
    }

    /// What follows of them; `None` without any.
    pub(super) fn fit(&self) -> Option<Clock> {
        let [forth, back] = [0, 1].map(|way| {
            self.ways
                .get(way)
                .map_or_else(Vec::new, |list| quickest(list, way))
        });
        let at = forth.iter().chain(&back).map(|(left, _)| *left).min()?;
        let points = |list: &[(Timestamp, Timestamp)]| -> Vec<(f64, f64)> {
            list.iter()
                .map(|(left, right)| (left.seconds_since(at), right.seconds_since(*left)))
                .collect()
        };
        // Differences around the first one, so that years between the clocks cost no precision.
        let lead = forth
            .iter()
            .chain(&back)
            .next()
            .map(|(l, r)| r.0.saturating_sub(l.0))?;
        let around = |list: Vec<(f64, f64)>| -> Vec<(f64, f64)> {
            list.into_iter()
                .map(|(t, d)| (t, d - seconds(lead)))
                .collect()
        };
        let (forth, back) = (around(points(&forth)), around(points(&back)));
        let line = Line::through(&forth, &back)?;
        let parts = if line.gap < -SET {
            Some(UNDER_WAY.iter().find_map(|w| parted(&forth, &back, *w)))
        } else {
            None
        };
        let moment = |t: f64| at.plus_nanos(nanos(t));
        let worse = |a: Option<f64>, b: Option<f64>| a.into_iter().chain(b).reduce(f64::max);
        let (line, step) = match parts {
            None => (line, None),
            Some(Some((before, after, [from, to]))) => {
                let by = after.at(to) - before.at(to);
                let between = (moment(from), moment(to));
                let line = Line {
                    error: worse(before.error, after.error),
                    jitter: worse(before.jitter, after.jitter),
                    ..before
                };
                (line, Some(Step { between, by }))
            }
            Some(None) => {
                let last = forth.iter().chain(&back).map(|p| p.0).fold(0.0, f64::max);
                let between = (at, moment(last));
                (line, Some(Step { between, by: 0.0 }))
            }
        };
        Some(Clock {
            at,
            offset: seconds(lead) + line.offset,
            drift: line.drift,
            error: line.error,
            error_if_symmetric: line.jitter,
            samples: self.count,
            step,
        })
    }
}

/// Seconds and seconds: when, and right clock minus left clock.
type Point = (f64, f64);

/// The line between what was seen of both ways.
#[derive(Clone, Copy, Debug)]
struct Line {
    offset: f64,
    drift: f64,
    error: Option<f64>,
    jitter: Option<f64>,
    /// The shortest round trip; below nothing where no line lies between both ways.
    gap: f64,
}

impl Line {
    fn through(forth: &[Point], back: &[Point]) -> Option<Self> {
        let drift = drift(forth, back);
        let low = forth
            .iter()
            .map(|(t, d)| d - drift * t)
            .fold(f64::INFINITY, f64::min);
        let high = back
            .iter()
            .map(|(t, d)| d - drift * t)
            .fold(f64::NEG_INFINITY, f64::max);
        let (offset, error, jitter, gap) = match (forth.is_empty(), back.is_empty()) {
            (false, false) => (
                f64::midpoint(low, high),
                Some(((low - high) / 2.0).abs()),
                Some(f64::midpoint(
                    unsteady(forth, drift, low, 1.0),
                    unsteady(back, drift, high, -1.0),
                )),
                low - high,
            ),
            (false, true) => (low, None, None, 0.0),
            (true, false) => (high, None, None, 0.0),
            (true, true) => return None,
        };
        Some(Self {
            offset,
            drift,
            error,
            jitter,
            gap,
        })
    }

    fn at(&self, time: f64) -> f64 {
        self.offset + self.drift * time
    }
}

/// The lines before and behind the moment at which a clock was set, and the segments next to that moment; `None` where no single moment
/// explains what was seen.
fn parted(forth: &[Point], back: &[Point], under_way: f64) -> Option<(Line, Line, [f64; 2])> {
    let mut times: Vec<f64> = forth.iter().chain(back).map(|p| p.0).collect();
    times.sort_by(f64::total_cmp);
    times.dedup();
    let least = |a: f64, b: f64| a.min(b);
    let most = |a: f64, b: f64| a.max(b);
    let before = (
        running(&times, forth, f64::INFINITY, least),
        running(&times, back, f64::NEG_INFINITY, most),
    );
    let backwards = |list: &[Point]| list.iter().rev().map(|p| (-p.0, p.1)).collect::<Vec<_>>();
    let from_end: Vec<f64> = times.iter().rev().map(|t| -t).collect();
    let behind = (
        running(&from_end, &backwards(forth), f64::INFINITY, least),
        running(&from_end, &backwards(back), f64::NEG_INFINITY, most),
    );
    // How far both ways are apart in the part that is nearer to having none of it, for each place to part.
    let room = |(low, high): &(Vec<f64>, Vec<f64>), at: usize| Some(low.get(at)? - high.get(at)?);
    let (mut best, mut place) = (f64::NEG_INFINITY, None);
    for (n, time) in times.iter().enumerate() {
        let next = (n + 1).max(times.partition_point(|t| *t < time + under_way));
        let Some(last) = times.len().checked_sub(next + 1) else {
            break;
        };
        let (Some(a), Some(b)) = (room(&before, n), room(&behind, last)) else {
            continue;
        };
        if a.min(b) > best {
            (best, place) = (a.min(b), Some((n, next)));
        }
    }
    let (n, next) = place?;
    let (from, to) = (*times.get(n)?, *times.get(next)?);
    let part = |list: &[Point], behind: bool| -> Vec<Point> {
        let mut list = list.to_vec();
        list.retain(|p| if behind { p.0 >= to } else { p.0 <= from });
        list
    };
    let [first, second] =
        [false, true].map(|late| Line::through(&part(forth, late), &part(back, late)));
    let (first, second) = (first?, second?);
    (first.gap >= -SET && second.gap >= -SET).then_some((first, second, [from, to]))
}

/// For each time, what `fold` makes of all points until then; both are in order of time.
fn running(times: &[f64], points: &[Point], none: f64, fold: impl Fn(f64, f64) -> f64) -> Vec<f64> {
    let mut points = points.iter().peekable();
    let mut so_far = none;
    times
        .iter()
        .map(|time| {
            while let Some(p) = points.next_if(|p| p.0 <= *time) {
                so_far = fold(so_far, p.1);
            }
            so_far
        })
        .collect()
}

/// Of each stretch of time the quickest segment: least difference from left to right, greatest on the way back.
fn quickest(list: &[(Timestamp, Timestamp)], way: usize) -> Vec<(Timestamp, Timestamp)> {
    let (Some(first), Some(last)) = (
        list.iter().map(|p| p.0).min(),
        list.iter().map(|p| p.0).max(),
    ) else {
        return Vec::new();
    };
    let width = last.0.saturating_sub(first.0) / (STRETCHES as i64) + 1;
    let mut best: Vec<Option<(Timestamp, Timestamp)>> = vec![None; STRETCHES];
    for &(left, right) in list {
        let place = usize::try_from(left.0.saturating_sub(first.0) / width).unwrap_or(0);
        let Some(slot) = best.get_mut(place) else {
            continue;
        };
        let difference = |p: &(Timestamp, Timestamp)| p.1.0.saturating_sub(p.0.0);
        let better = slot.as_ref().is_none_or(|old| {
            if way == 0 {
                difference(&(left, right)) < difference(old)
            } else {
                difference(&(left, right)) > difference(old)
            }
        });
        if better {
            *slot = Some((left, right));
        }
    }
    best.into_iter().flatten().collect()
}

/// The slope for which the two lines lie closest to their points; 0 where jitter alone could make it.
#[allow(clippy::cast_precision_loss)]
fn drift(forth: &[(f64, f64)], back: &[(f64, f64)]) -> f64 {
    let span = |list: &[(f64, f64)]| match (list.first(), list.last()) {
        (Some(a), Some(b)) => b.0 - a.0,
        _ => 0.0,
    };
    let enough = |list: &[(f64, f64)]| list.len() >= LEAST_STRETCHES && span(list) >= LEAST_SPAN;
    let lists: Vec<(&[(f64, f64)], f64)> = [(forth, 1.0), (back, -1.0)]
        .into_iter()
        .filter(|(list, _)| enough(list))
        .collect();
    if lists.is_empty() {
        return 0.0;
    }
    // Hull, sign and mean of each way.
    let hulls: Vec<_> = lists
        .iter()
        .map(|(list, sign)| {
            let n = list.len() as f64;
            let mean = (
                list.iter().map(|p| p.0).sum::<f64>() / n,
                list.iter().map(|p| p.1 * sign).sum::<f64>() / n,
            );
            (
                lower_hull(list.iter().map(|p| (p.0, p.1 * sign))),
                *sign,
                mean,
            )
        })
        .collect();
    // Mean distance of the points from their line, summed over both ways: convex in the slope.
    let distance = |slope: f64| -> f64 {
        hulls
            .iter()
            .map(|(hull, sign, (t, d))| {
                let low = hull
                    .iter()
                    .map(|p| p.1 - sign * slope * p.0)
                    .fold(f64::INFINITY, f64::min);
                d - sign * slope * t - low
            })
            .sum()
    };
    let (mut a, mut b) = (-MOST_DRIFT, MOST_DRIFT);
    for _ in 0..80 {
        let third = (b - a) / 3.0;
        if distance(a + third) <= distance(b - third) {
            b -= third;
        } else {
            a += third;
        }
    }
    let slope = f64::midpoint(a, b);
    // The lines could be tilted as far as the points lie above them: a slope that is within this is jitter.
    let longest = lists.iter().map(|(list, _)| span(list)).fold(0.0, f64::max);
    let spread = distance(slope) / lists.len() as f64;
    let gain = distance(0.0) - distance(slope);
    if slope.abs() >= MOST_DRIFT * 0.999
        || slope.abs() * longest < (spread * 0.5).max(LEAST_GAIN)
        || gain < spread * 0.05
    {
        return 0.0;
    }
    slope
}

/// The points below which there are none, by time.
fn lower_hull(points: impl Iterator<Item = (f64, f64)>) -> Vec<(f64, f64)> {
    let mut hull: Vec<(f64, f64)> = Vec::new();
    for p in points {
        while let [.., a, b] = hull.as_slice() {
            // b lies on or above the line from a to p.
            if (b.1 - a.1) * (p.0 - a.0) >= (p.1 - a.1) * (b.0 - a.0) {
                hull.pop();
            } else {
                break;
            }
        }
        hull.push(p);
    }
    hull
}

/// How unsteady the quickest segments are: the median of how far they lie from their line.
fn unsteady(list: &[(f64, f64)], drift: f64, line: f64, sign: f64) -> f64 {
    let mut above: Vec<f64> = list
        .iter()
        .map(|(t, d)| (d - drift * t - line) * sign)
        .collect();
    above.sort_by(f64::total_cmp);
    above.get(above.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Numbers that look random.
    fn noise(n: u64) -> f64 {
        let x = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let x = (x ^ (x >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((x >> 40) as f64) / f64::from(1 << 24)
    }

    /// Segments every `step` seconds both ways over a path of `delay` with up to `jitter` on top; the right clock is `offset` ahead and
    /// drifts.
    fn samples(n: u64, step: f64, delay: f64, jitter: f64, offset: f64, drift: f64) -> Samples {
        let start = Timestamp(1_262_704_920_000_000_000);
        let right = |t: f64| start.plus_nanos(nanos(t + offset + drift * t));
        let left = |t: f64| start.plus_nanos(nanos(t));
        let mut samples = Samples::default();
        for k in 0..n {
            let t = k as f64 * step;
            // Squares, so that most are quick.
            let late = |seed: u64| delay + jitter * noise(k * 2 + seed).powi(2);
            samples.add(0, left(t), right(t + late(0)));
            samples.add(1, left(t + late(1)), right(t));
        }
        samples
    }

    #[test]
    fn offsets_and_drifts_are_recovered() {
        for (name, n, step, delay, jitter, offset, drift) in [
            ("as one", 100, 0.01, 0.01, 0.0, 0.0, 0.0),
            ("5 s ahead", 500, 0.01, 0.02, 0.001, 5.0, 0.0),
            ("5 s behind, 100 ppm", 2_000, 0.02, 0.02, 0.001, -5.0, 1e-4),
            ("100 ppm back", 2_000, 0.02, 0.02, 0.005, 5.0, -1e-4),
            ("a day ahead", 2_000, 0.02, 0.02, 0.005, 86_400.0, 5e-5),
            (
                "jitter as long as the path",
                5_000,
                0.02,
                0.02,
                0.02,
                5.0,
                1e-4,
            ),
            ("a short capture", 20, 0.01, 0.04, 0.001, -5.0, 1e-4),
            ("one segment", 1, 0.01, 0.04, 0.0, 3.0, 0.0),
            ("many", 100_000, 0.001, 0.01, 0.002, 1.0, 2e-5),
        ] {
            let clock = samples(n, step, delay, jitter, offset, drift)
                .fit()
                .unwrap();
            let end = n as f64 * step;
            for t in [0.0, end / 2.0, end] {
                let at = Timestamp(1_262_704_920_000_000_000).plus_nanos(nanos(t));
                let off = clock.difference(at) - (offset + drift * t);
                assert!(
                    off.abs() <= 0.001 + jitter / 2.0,
                    "{name} at {t}: {off}, {clock:?}"
                );
            }
            let error = clock.error.unwrap();
            assert!(
                error <= delay + jitter + 1e-9 && error >= delay * 0.9,
                "{name}: {error}"
            );
            if end >= 40.0 {
                assert!((clock.drift - drift).abs() < 5e-5, "{name}: {clock:?}");
            }
        }
    }

    #[test]
    fn a_queue_that_grows_is_no_drift() {
        let mut samples = samples(1_000, 0.01, 0.02, 0.0005, 0.0, 0.0);
        for k in 0..600_u32 {
            let t = 2.0 + f64::from(k) * 0.01;
            let left = Timestamp(1_262_704_920_000_000_000).plus_nanos(nanos(t));
            samples.add(0, left, left.plus_nanos(nanos(0.02 + f64::from(k) * 0.001)));
        }
        let clock = samples.fit().unwrap();
        assert!(
            clock.offset.abs() < 0.001 && clock.drift.abs() < 2e-5,
            "{clock:?}"
        );
    }

    #[test]
    fn a_clock_that_is_set_is_no_slow_path() {
        let start = Timestamp(1_262_704_920_000_000_000);
        for (name, steps, want) in [
            ("steady", &[][..], None),
            ("ahead", &[(5.0, 2.0)], Some(2.0)),
            ("back", &[(5.0, -2.0)], Some(-2.0)),
            ("a little", &[(5.0, 0.1)], Some(0.1)),
            ("less than the path's round trip", &[(5.0, 0.03)], None),
            ("there and back", &[(3.0, 2.0), (7.0, -2.0)], Some(0.0)),
        ] {
            let mut samples = Samples::default();
            for k in 0..1_000_u32 {
                let t = f64::from(k) * 0.01;
                let left = |t: f64| start.plus_nanos(nanos(t));
                let right = |t: f64| {
                    let set: f64 = steps.iter().filter(|s| s.0 <= t).map(|s| s.1).sum();
                    left(t + set)
                };
                let late = 0.02 + 0.001 * noise(u64::from(k)).powi(2);
                samples.add(0, left(t), right(t + late));
                samples.add(1, left(t + late), right(t));
            }
            let clock = samples.fit().unwrap();
            let by = clock.step.map(|s| s.by);
            match (by, want) {
                (Some(by), Some(want)) => assert!((by - want).abs() < 0.01, "{name}: {clock:?}"),
                (by, want) => assert_eq!(by, want, "{name}: {clock:?}"),
            }
            if want.is_some_and(|w| w != 0.0) {
                let (from, to) = clock.step.unwrap().between;
                let (from, to) = (from.seconds_since(start), to.seconds_since(start));
                assert!(4.7 < from && from < to && to < 5.3, "{name}: {clock:?}");
                // Not what the right clock showed twice.
                for at in [0.0, 2.0, 7.5, 9.0] {
                    let at = start.plus_nanos(nanos(at));
                    let off = clock.to_left(clock.to_right(at)).seconds_since(at);
                    assert!(off.abs() < 1e-3, "{name}: {off}");
                }
            }
        }
    }

    #[test]
    fn one_way_only() {
        let mut one = Samples::default();
        assert_eq!(one.fit(), None);
        one.add(0, Timestamp(0), Timestamp(2_000_000_000));
        let clock = one.fit().unwrap();
        assert!((clock.offset - 2.0).abs() < 1e-9);
        assert_eq!(clock.error, None);
        let at = Timestamp(7_000_000_000);
        assert_eq!(clock.to_left(clock.to_right(at)), at);
    }
}
