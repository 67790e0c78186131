//! How far the right side's clock is from the left side's, and how fast it runs away.
//!
//! Takes:  for segments that both sides saw: when the left saw it, when the right did, and which way it went
//! Gives:  a [`Clock`]: offset and drift, with the error that no capture can do better than
//! Never:  trusts a single segment: a queue makes any one late, so that only the quickest count
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
}

impl Clock {
    /// Seconds, right minus left, at a moment of the left side's clock.
    #[must_use]
    pub fn difference(&self, left: Timestamp) -> f64 {
        self.offset + self.drift * left.seconds_since(self.at)
    }

    /// The same with the sides changed.
    #[must_use]
    pub fn turned(&self) -> Self {
        Self {
            at: self.to_right(self.at),
            offset: -self.offset,
            drift: -self.drift / (1.0 + self.drift),
            ..*self
        }
    }

    /// The moment of the left side's clock when the right side's shows `right`.
    #[must_use]
    pub fn to_left(&self, right: Timestamp) -> Timestamp {
        // The difference hardly changes over its own length.
        let near = right.plus_nanos(nanos(-self.offset));
        let difference = self.difference(near);
        right.plus_nanos(nanos(-difference))
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
        let drift = drift(&forth, &back);
        let low = forth
            .iter()
            .map(|(t, d)| d - drift * t)
            .fold(f64::INFINITY, f64::min);
        let high = back
            .iter()
            .map(|(t, d)| d - drift * t)
            .fold(f64::NEG_INFINITY, f64::max);
        let (offset, error, jitter) = match (forth.is_empty(), back.is_empty()) {
            (false, false) => (
                f64::midpoint(low, high),
                Some(((low - high) / 2.0).abs()),
                Some(f64::midpoint(
                    unsteady(&forth, drift, low, 1.0),
                    unsteady(&back, drift, high, -1.0),
                )),
            ),
            (false, true) => (low, None, None),
            (true, false) => (high, None, None),
            (true, true) => return None,
        };
        Some(Clock {
            at,
            offset: seconds(lead) + offset,
            drift,
            error,
            error_if_symmetric: jitter,
            samples: self.count,
        })
    }
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
