//! Puts the segments of a batch in order of time, and tells disorder from a clock that stepped back.
//!
//! Takes:  [`SegmentBatch`]es in the order of the file
//! Gives:  the same in order of time, where segments of equal time keep the order of the file; the longest silences
//! Never:  moves a segment into another batch (disorder across the border of two is left to the flow stage), or past a step of the clock:
//!         on each side of one the file's order is the true one

use std::time::Duration;

use super::clock::LEAST_NANOS;
use crate::decode::{Segment, SegmentBatch};
use crate::net::{FrameNo, Timestamp};

/// Buffers of several queues or interfaces are merged within less than this; a time further back may be another clock.
pub(super) const STEP_NANOS: i64 = 1_000_000_000;
/// And is one where so many segments in a row stay back; fewer before the end of a batch do not tell.
const STAYS: usize = 4;
/// Steps kept with their frames.
const MAX_STEPS: usize = 16;

/// Silences kept, the longest.
const MAX_SILENCES: usize = 64;

/// A time in which nothing at all was captured.
#[derive(Clone, Copy, Debug)]
pub struct Silence {
    /// The first segment behind it.
    pub frame: FrameNo,
    /// Time of the last segment before it.
    pub from: Timestamp,
    /// Time of the first one behind it.
    pub to: Timestamp,
}

impl Silence {
    fn nanos(&self) -> i64 {
        self.to.nanos_since(self.from)
    }
}

/// A step of the capture's clock.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The first segment behind it.
    pub frame: FrameNo,
    /// Its time.
    pub time: Timestamp,
    /// By how much it lies before the latest one.
    pub back: Duration,
}

/// The order of the captures of one run.
#[derive(Debug, Default)]
pub struct Order {
    latest: Option<Timestamp>,
    /// Segments that stood behind later ones.
    pub disordered: u64,
    /// Steps back of the clock, the first sixteen.
    pub steps: Vec<Step>,
    /// All of them.
    pub stepped: u64,
    /// The longest silences, from ten seconds on, in no order.
    pub silences: Vec<Silence>,
}

impl Order {
    /// Sorts a batch by time where that is needed; whether the clock stepped back in it.
    pub fn put(&mut self, batch: &mut SegmentBatch) -> bool {
        let mut latest = self.latest.unwrap_or(Timestamp(i64::MIN));
        let mut back = 0u64;
        for s in &batch.segments {
            back += u64::from(s.time < latest);
            if s.time.nanos_since(latest) >= LEAST_NANOS {
                self.silence(latest, s);
            }
            latest = latest.max(s.time);
        }
        if back == 0 {
            self.latest = Some(latest);
            return false;
        }
        self.put_right(batch)
    }

    #[cold]
    fn silence(&mut self, latest: Timestamp, next: &Segment) {
        if latest == Timestamp(i64::MIN) {
            return;
        }
        let silence = Silence {
            frame: next.frame,
            from: latest,
            to: next.time,
        };
        if self.silences.len() < MAX_SILENCES {
            self.silences.push(silence);
        } else if let Some(least) = self.silences.iter_mut().min_by_key(|s| s.nanos())
            && least.nanos() < silence.nanos()
        {
            *least = silence;
        }
    }

    /// The next capture has a clock of its own.
    pub fn end_of_capture(&mut self) {
        self.latest = None;
    }

    #[cold]
    fn put_right(&mut self, batch: &mut SegmentBatch) -> bool {
        let before = self.stepped;
        let mut latest = self.latest.unwrap_or(Timestamp(i64::MIN));
        let mut runs = vec![0];
        for (n, s) in batch.segments.iter().enumerate() {
            if s.time < latest {
                let behind = batch.segments.get(n..).unwrap_or(&[]).iter().take(STAYS);
                let stays = |t: Timestamp| latest.nanos_since(t) > STEP_NANOS;
                if behind.len() >= STAYS && behind.clone().all(|s| stays(s.time)) {
                    self.stepped += 1;
                    if self.steps.len() < MAX_STEPS {
                        self.steps.push(Step {
                            frame: s.frame,
                            time: s.time,
                            back: latest.since(s.time).unwrap_or_default(),
                        });
                    }
                    runs.push(n);
                    latest = s.time;
                } else {
                    self.disordered += 1;
                }
            }
            latest = latest.max(s.time);
        }
        self.latest = Some(latest);
        runs.push(batch.segments.len());
        let mut places: Vec<u32> = (0..).take(batch.segments.len()).collect();
        for run in runs.windows(2) {
            let [from, upto] = *run else { continue };
            let segments = &batch.segments;
            if let Some(places) = places.get_mut(from..upto) {
                places.sort_by_key(|&n| segments.get(n as usize).map(|s| s.time));
            }
        }
        let sorted = places
            .iter()
            .filter_map(|&n| batch.segments.get(n as usize).copied())
            .collect();
        batch.segments = sorted;
        if !batch.overlong.is_empty() {
            let mut now_at: Vec<(u32, u32)> = places.into_iter().zip(0..).collect();
            now_at.sort_unstable();
            for (place, _) in &mut batch.overlong {
                if let Some((_, to)) = now_at.get(*place as usize) {
                    *place = *to;
                }
            }
            batch.overlong.sort_unstable();
        }
        if self.stepped == before {
            batch.notes.sort_by_key(|n| n.time);
        }
        self.stepped > before
    }
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::syn;
    use super::*;

    #[test]
    fn disorder_is_put_right_and_steps_are_kept() {
        let s = 1_000_000_000;
        let few: Vec<i64> = (0..20).map(|n| n * s / 10).collect();
        let stepped: Vec<i64> = (0..20).chain(0..20).map(|n| n * s / 10 + 100 * s).collect();
        // (name, times of batches, frames in the order that comes out, disordered, steps)
        type Row = (&'static str, Vec<Vec<i64>>, Vec<u64>, u64, u64);
        let rows: Vec<Row> = vec![
            ("in order", vec![few], (0..20).collect(), 0, 0),
            (
                "two swapped",
                vec![vec![0, 5, 3, 9]],
                vec![0, 2, 1, 3],
                1,
                0,
            ),
            (
                "one comes two seconds late",
                vec![vec![s, 2 * s, 3 * s, s / 2, 4 * s, 5 * s]],
                vec![3, 0, 1, 2, 4, 5],
                1,
                0,
            ),
            (
                "the clock steps back",
                vec![stepped],
                (0..40).collect(),
                0,
                1,
            ),
            (
                "between two batches",
                vec![vec![900 * s, 901 * s], vec![0, 1, 2, 3, 4]],
                (0..7).collect(),
                0,
                1,
            ),
            (
                "too few to tell",
                vec![vec![900 * s, 901 * s], vec![0, 1]],
                (0..4).collect(),
                2,
                0,
            ),
        ];
        for (name, batches, want, disordered, steps) in rows {
            let mut order = Order::default();
            let (mut got, mut frame) = (Vec::new(), 0);
            for times in batches {
                let mut batch = SegmentBatch::default();
                for (n, time) in (0..).zip(times) {
                    let mut seg = syn(1);
                    (seg.frame, seg.time) = (FrameNo(frame), Timestamp(time));
                    seg.payload_octets = frame as u32;
                    batch.segments.push(seg);
                    batch.overlong.push((n, frame as u32));
                    frame += 1;
                }
                order.put(&mut batch);
                for (at, room) in &batch.overlong {
                    assert_eq!(batch.segments[*at as usize].payload_octets, *room, "{name}");
                }
                got.extend(batch.segments.iter().map(|s| s.frame.0));
            }
            assert_eq!(
                (got, order.disordered, order.stepped),
                (want, disordered, steps),
                "{name}"
            );
        }
    }
}
