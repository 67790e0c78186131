//! Time as the capture's clock tells it.

use std::time::Duration;

/// A moment on the capture's own clock: nanoseconds since the epoch of 1970, UTC, as far as that clock was right.
///
/// Capture clocks step back, so differences come as an `Option` ([`since`](Self::since)) or signed
/// ([`nanos_since`](Self::nanos_since)).
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Time from `earlier` to `self`; `None` if `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Option<Duration> {
        u64::try_from(self.0.saturating_sub(earlier.0))
            .ok()
            .map(Duration::from_nanos)
    }

    /// Nanoseconds from `earlier` to `self`, negative where the clock stepped back, saturating.
    #[must_use]
    pub const fn nanos_since(self, earlier: Self) -> i64 {
        let nanos = self.0.saturating_sub(earlier.0);
        if nanos > Self::FAR {
            Self::FAR
        } else if nanos < -Self::FAR {
            -Self::FAR
        } else {
            nanos
        }
    }

    /// Some two years: longer waits are told as this, so that a few of them can be added up or multiplied without overflow.
    const FAR: i64 = 1 << 54;

    /// Seconds from `earlier` to `self`, negative where the clock stepped back.
    #[must_use]
    pub fn seconds_since(self, earlier: Self) -> f64 {
        seconds(self.0.saturating_sub(earlier.0))
    }

    /// The moment `nanos` later (or earlier), saturating.
    #[must_use]
    pub const fn plus_nanos(self, nanos: i64) -> Self {
        Self(self.0.saturating_add(nanos))
    }

    /// Seconds since the epoch, to the microsecond and a little finer (a double holds no more).
    #[must_use]
    pub fn as_seconds(self) -> f64 {
        seconds(self.0)
    }
}

/// Nanoseconds as seconds.
#[must_use]
#[allow(clippy::cast_precision_loss)]
pub fn seconds(nanos: i64) -> f64 {
    nanos as f64 / 1e9
}

/// A duration in nanoseconds, saturating. `Duration::as_nanos` reckons in 128 bits, which shows where each segment asks.
#[must_use]
#[allow(clippy::cast_possible_wrap)]
pub const fn nanos(time: Duration) -> i64 {
    const LONGEST: u64 = i64::MAX.unsigned_abs() / 1_000_000_000;
    if time.as_secs() >= LONGEST {
        return i64::MAX;
    }
    time.as_secs() as i64 * 1_000_000_000 + time.subsec_nanos() as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_in_nanoseconds() {
        for (time, want) in [
            (Duration::ZERO, 0),
            (Duration::new(3, 7), 3_000_000_007),
            (
                Duration::from_secs(9_223_372_035),
                9_223_372_035_000_000_000,
            ),
            (Duration::MAX, i64::MAX),
        ] {
            assert_eq!(nanos(time), want, "{time:?}");
        }
    }

    #[test]
    fn differences() {
        for (name, a, b, want) in [
            ("forward", 5, 3, Some(2)),
            ("same", 3, 3, Some(0)),
            ("stepped back", 3, 5, None),
            (
                "extremes do not overflow",
                i64::MAX,
                i64::MIN,
                Some(i64::MAX.unsigned_abs()),
            ),
        ] {
            assert_eq!(
                Timestamp(a).since(Timestamp(b)),
                want.map(Duration::from_nanos),
                "{name}"
            );
        }
    }
}
