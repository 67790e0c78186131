//! Quantiles of durations in little room.

use std::time::Duration;

use super::time::nanos;

/// A sketch of durations: counts in buckets that are 3 % wide. At most some hundred buckets for real data, 2,048 in all.
#[derive(Clone, Debug, Default)]
pub struct Sketch {
    /// (bucket, count), ascending.
    buckets: Vec<(u16, u64)>,
    count: u64,
    sum: u128,
    min: u64,
    max: u64,
}

/// Octave in the upper bits, 32 steps to the octave in the lower five.
fn bucket_of(nanos: u64) -> u16 {
    let value = nanos.max(32);
    let octave = 63 - value.leading_zeros();
    let step = (value >> (octave - 5)) & 31;
    u16::try_from(u64::from(octave) << 5 | step).unwrap_or(u16::MAX)
}

/// The middle of a bucket.
fn value_of(bucket: u16) -> u64 {
    let (octave, step) = (u32::from(bucket >> 5), u64::from(bucket & 31));
    let low = (32 + step) << (octave - 5);
    low + (1u64 << (octave - 5)) / 2
}

impl Sketch {
    /// Octets of heap that it holds.
    #[must_use]
    pub fn heap(&self) -> usize {
        self.buckets.capacity() * size_of::<(u16, u64)>()
    }

    /// Adds one sample.
    pub fn add(&mut self, sample: Duration) {
        let nanos = nanos(sample).unsigned_abs();
        let bucket = bucket_of(nanos);
        match self.buckets.binary_search_by_key(&bucket, |b| b.0) {
            Ok(at) => self.buckets[at].1 += 1,
            Err(at) => self.buckets.insert(at, (bucket, 1)),
        }
        self.min = if self.count == 0 {
            nanos
        } else {
            self.min.min(nanos)
        };
        self.max = self.max.max(nanos);
        self.sum += u128::from(nanos);
        self.count += 1;
    }

    /// Adds all samples of another.
    pub fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        for &(bucket, count) in &other.buckets {
            match self.buckets.binary_search_by_key(&bucket, |b| b.0) {
                Ok(at) => self.buckets[at].1 += count,
                Err(at) => self.buckets.insert(at, (bucket, count)),
            }
        }
        self.min = if self.count == 0 {
            other.min
        } else {
            self.min.min(other.min)
        };
        self.max = self.max.max(other.max);
        self.sum += other.sum;
        self.count += other.count;
    }

    /// Samples so far.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The value below which a share `q` (0 to 1) of the samples lies; zero without samples.
    #[must_use]
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss
    )]
    pub fn quantile(&self, q: f64) -> Duration {
        let wanted = ((self.count as f64 * q).ceil() as u64).max(1);
        let mut seen = 0;
        for &(bucket, count) in &self.buckets {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(value_of(bucket).clamp(self.min, self.max));
            }
        }
        Duration::from_nanos(self.max)
    }

    /// Least sample; zero without samples.
    #[must_use]
    pub fn min(&self) -> Duration {
        Duration::from_nanos(self.min)
    }

    /// Largest sample; zero without samples.
    #[must_use]
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// Sum of all samples, saturating.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.sum).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::cast_precision_loss)]
    use super::*;

    #[test]
    fn sketch_is_within_three_percent() {
        let mut s = Sketch::default();
        for n in 1..=1000u64 {
            s.add(Duration::from_micros(n * 10));
        }
        for (q, want) in [(0.5, 5000.0), (0.95, 9500.0), (1.0, 10_000.0)] {
            let got = s.quantile(q).as_secs_f64() * 1e6;
            assert!((got / want - 1.0).abs() < 0.03, "{q}: {got} against {want}");
        }
        assert_eq!(s.min(), Duration::from_micros(10));
        assert_eq!(Sketch::default().count(), 0);
    }

    #[test]
    fn two_sketches_are_as_one() {
        let (mut a, mut b, mut both) = (Sketch::default(), Sketch::default(), Sketch::default());
        for n in 1..=500u64 {
            let (small, large) = (Duration::from_micros(n), Duration::from_millis(n));
            a.add(large);
            b.add(small);
            both.add(small);
            both.add(large);
        }
        a.merge(&b);
        a.merge(&Sketch::default());
        assert_eq!(
            (a.min(), a.max(), a.count(), a.sum()),
            (both.min(), both.max(), both.count(), both.sum())
        );
        for q in [0.1, 0.5, 0.9] {
            assert_eq!(a.quantile(q), both.quantile(q), "{q}");
        }
    }

    #[test]
    fn buckets_meet_at_the_ends() {
        for nanos in [0, 1, 31, 32, 33, 1 << 20, u64::MAX] {
            let b = bucket_of(nanos);
            let v = value_of(b);
            assert!(
                nanos < 64 || (v as f64 / nanos as f64 - 1.0).abs() < 0.04,
                "{nanos}: {v}"
            );
        }
    }
}
