//! Leaps of the capture's clock, told by the clocks of both ends.
//!
//! Takes:  times and TSvals of one flow's segments (RFC 7323 section 3)
//! Gives:  [`ClockLeap`]: a silence by the capture's clock of which neither end's clock knows
//! Never:  believes one end alone, as its host may have slept; judges without timestamps, or before it knows how fast a clock ticks

use std::time::Duration;

use super::record::ClockLeap;
use crate::decode::Segment;
use crate::net::Timestamp;

/// A shorter silence is not asked about.
pub(super) const LEAST_NANOS: i64 = 10_000_000_000;
/// How long a clock has to be watched, and how often it has to tick meanwhile, before its rate is known.
const LEARN_NANOS: i64 = 1_000_000_000;
const LEARN_TICKS: u32 = 10;

/// One end's timestamp clock: first and last value, and when.
#[derive(Clone, Copy, Debug, Default)]
struct Ticks {
    first: Option<(u32, Timestamp)>,
    last: Option<(u32, Timestamp)>,
}

/// What a clock showed before a silence.
#[derive(Clone, Copy, Debug)]
struct Known {
    nanos_a_tick: i64,
    value: u32,
    time: Timestamp,
}

impl Ticks {
    fn known(&self) -> Option<Known> {
        let ((first, from), (value, time)) = (self.first?, self.last?);
        let (ticks, nanos) = (value.wrapping_sub(first), time.nanos_since(from));
        let learned = nanos >= LEARN_NANOS && (LEARN_TICKS..1 << 31).contains(&ticks);
        learned.then(|| Known {
            nanos_a_tick: nanos / i64::from(ticks),
            value,
            time,
        })
    }
}

/// A silence that may be none.
#[derive(Clone, Copy, Debug)]
struct Asked {
    leap: ClockLeap,
    before: [Known; 2],
    /// By how much the clock leapt, as far as each end shows.
    by: [Option<i64>; 2],
}

/// The clocks of both ends of a flow.
#[derive(Clone, Debug, Default)]
pub(super) struct Clocks {
    ends: [Ticks; 2],
    asked: Option<Box<Asked>>,
}

impl Clocks {
    /// Takes a segment of the end `own`; `latest` is the time of the flow's latest one before it.
    pub(super) fn see(
        &mut self,
        own: usize,
        seg: &Segment,
        latest: Timestamp,
    ) -> Option<ClockLeap> {
        let [first, second] = &self.ends;
        if seg.time.nanos_since(latest) >= LEAST_NANOS {
            self.asked = first.known().zip(second.known()).map(|(a, b)| {
                let leap = ClockLeap {
                    frame: seg.frame,
                    from: latest,
                    to: seg.time,
                    by: Duration::ZERO,
                };
                Box::new(Asked {
                    leap,
                    before: [a, b],
                    by: [None; 2],
                })
            });
        }
        let (value, _) = seg.timestamps?;
        let leap = self.answer(own, value, seg.time);
        if leap.is_some() {
            self.ends = Default::default();
        }
        if let Some(ticks) = self.ends.get_mut(own) {
            ticks.first.get_or_insert((value, seg.time));
            ticks.last = Some((value, seg.time));
        }
        leap
    }

    /// What the value says of the silence asked about.
    fn answer(&mut self, own: usize, value: u32, time: Timestamp) -> Option<ClockLeap> {
        let asked = self.asked.as_mut()?;
        let (before, by) = (asked.before.get(own)?, asked.by.get_mut(own)?);
        let ticks = value.wrapping_sub(before.value);
        let shown = i64::from(ticks).saturating_mul(before.nanos_a_tick);
        let passed = time.nanos_since(before.time);
        if by.is_none() {
            if shown > passed / 2 {
                self.asked = None;
                return None;
            }
            *by = Some(passed - shown);
        }
        let [Some(a), Some(b)] = asked.by else {
            return None;
        };
        let by = Duration::from_nanos(a.min(b).max(0).unsigned_abs());
        let leap = ClockLeap { by, ..asked.leap };
        self.asked = None;
        Some(leap)
    }
}
