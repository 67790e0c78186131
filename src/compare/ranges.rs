//! Finds the segments that carried an octet, among many copies if need be.
//!
//! Takes:  ranges of sequence space with the moments at which they were seen
//! Gives:  those that hold a position, those seen nearest to a moment first where there are many
//! Never:  looks at more than [`NEAR`] copies of one range: a connection that is kept alive for years sends as many

use crate::net::Timestamp;

/// Copies of one start looked at, those nearest in time.
const NEAR: usize = 24;

/// A segment's place in the sequence space, counted from the connection's first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Range {
    pub(super) start: i64,
    pub(super) end: i64,
    pub(super) time: Timestamp,
    /// Its place in the list of sightings.
    pub(super) at: usize,
}

/// Ranges by start and time.
#[derive(Debug, Default)]
pub(super) struct Ranges {
    sorted: Vec<Range>,
    longest: i64,
}

impl Ranges {
    pub(super) fn new(list: &[Range]) -> Self {
        let mut sorted = list.to_vec();
        sorted.sort_by_key(|r| (r.start, r.time, r.at));
        let longest = sorted
            .iter()
            .map(|r| r.end - r.start)
            .max()
            .unwrap_or_default();
        Self { sorted, longest }
    }

    /// Ranges by start, then time.
    pub(super) fn sorted(&self) -> &[Range] {
        &self.sorted
    }

    /// Calls `take` for the ranges that hold the octet at `place`; of many with one start, those nearest to `near`.
    pub(super) fn holding(
        &self,
        place: i64,
        near: Option<Timestamp>,
        mut take: impl FnMut(&Range),
    ) {
        let from = place.saturating_sub(self.longest);
        let mut at = self.sorted.partition_point(|r| r.start <= from);
        while let Some(first) = self.sorted.get(at).filter(|r| r.start <= place) {
            // The group of one start: mostly of one.
            let mut end = at + 1;
            if self.sorted.get(end).is_some_and(|r| r.start == first.start) {
                end = at
                    + self
                        .sorted
                        .get(at..)
                        .map_or(1, |rest| rest.partition_point(|r| r.start == first.start));
            }
            let (mut low, mut high) = (at, end);
            if end - at > NEAR {
                let middle = near.map_or(at, |near| {
                    at + self
                        .sorted
                        .get(at..end)
                        .map_or(0, |group| group.partition_point(|r| r.time <= near))
                });
                low = middle.saturating_sub(NEAR * 2 / 3).max(at);
                high = (low + NEAR).min(end);
            }
            for r in self.sorted.get(low..high).unwrap_or_default() {
                if r.end > place {
                    take(r);
                }
            }
            at = end;
        }
    }

    /// The least start behind `place`.
    pub(super) fn next_start(&self, place: i64) -> Option<i64> {
        let at = self.sorted.partition_point(|r| r.start <= place);
        self.sorted.get(at).map(|r| r.start)
    }
}

/// What is known of a range in pieces: apart, in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Covered(Vec<(i64, i64)>);

impl Covered {
    pub(super) fn add(&mut self, from: i64, to: i64) {
        let at = self.0.partition_point(|p| p.1 < from);
        let until = self.0.partition_point(|p| p.0 <= to);
        let merged = self
            .0
            .get(at..until)
            .unwrap_or_default()
            .iter()
            .fold((from, to), |m, p| (m.0.min(p.0), m.1.max(p.1)));
        self.0.splice(at..until.max(at), [merged]);
    }

    pub(super) fn holds(&self, place: i64) -> bool {
        let at = self.0.partition_point(|p| p.1 <= place);
        self.0.get(at).is_some_and(|p| p.0 <= place)
    }

    /// What is missing of a range.
    pub(super) fn holes(&self, from: i64, to: i64) -> Vec<(i64, i64)> {
        let mut holes = Vec::new();
        let mut at = from;
        for &(a, b) in &self.0 {
            if a >= to {
                break;
            }
            if a > at {
                holes.push((at, a));
            }
            at = at.max(b);
        }
        if at < to {
            holes.push((at, to));
        }
        holes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces() {
        for (name, add, holes) in [
            ("nothing", &[][..], &[(0, 10)][..]),
            ("all", &[(0, 10)], &[]),
            ("the middle", &[(3, 5)], &[(0, 3), (5, 10)]),
            ("two that meet", &[(0, 4), (4, 10)], &[]),
            ("two that overlap", &[(5, 9), (2, 6)], &[(0, 2), (9, 10)]),
            ("one over all", &[(1, 2), (4, 5), (0, 10)], &[]),
            ("beyond", &[(-5, 2), (8, 20)], &[(2, 8)]),
        ] {
            let mut covered = Covered::default();
            for (from, to) in add {
                covered.add(*from, *to);
            }
            assert_eq!(covered.holes(0, 10), holes, "{name}");
            assert_eq!(
                covered.holds(4),
                holes.iter().all(|(a, b)| !(*a..*b).contains(&4)),
                "{name}"
            );
        }
    }

    #[test]
    fn many_copies() {
        let list: Vec<Range> = (0..1_000)
            .map(|n| Range {
                start: 5,
                end: 6,
                time: Timestamp(n),
                at: n as usize,
            })
            .collect();
        let ranges = Ranges::new(&list);
        let mut seen = Vec::new();
        ranges.holding(5, Some(Timestamp(500)), |r| seen.push(r.at));
        assert!(seen.contains(&500) && seen.contains(&499) && seen.len() <= NEAR);
        assert_eq!(ranges.next_start(4), Some(5));
        assert_eq!(ranges.next_start(5), None);
    }
}
