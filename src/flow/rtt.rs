//! Round-trip times: the smoothed one of RFC 6298, and quantiles.
//!
//! Takes:  samples that Karn's rule admits
//! Gives:  SRTT; least, median, p95 and greatest
//! Never:  keeps a sample

use super::record::RttStats;
use crate::net::Sketch;

/// Quantiles of round-trip samples; `None` without any.
pub(super) fn stats(sketch: &Sketch) -> Option<RttStats> {
    (sketch.count() > 0).then(|| RttStats {
        samples: sketch.count(),
        min: sketch.min(),
        median: sketch.quantile(0.5),
        p95: sketch.quantile(0.95),
        max: sketch.max(),
    })
}

/// Least retransmission timeout that a stack in use keeps (Linux: 200 ms; Windows: 300 ms; the 20 ms of its data-centre template apart).
pub(super) const MIN_RTO_NANOS: i64 = 200_000_000;

/// SRTT as RFC 6298 section 2 has it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Estimator {
    srtt: i64,
    samples: u32,
}

impl Estimator {
    /// Takes one sample in nanoseconds.
    pub(super) fn sample(&mut self, nanos: i64) {
        let nanos = nanos.max(0);
        if self.samples == 0 {
            // (2.2)
            self.srtt = nanos;
        } else {
            // (2.3), alpha = 1/8
            self.srtt += (nanos - self.srtt) / 8;
        }
        self.samples = self.samples.saturating_add(1);
    }

    /// Smoothed round-trip time in nanoseconds; `None` before the first sample.
    pub(super) fn srtt(&self) -> Option<i64> {
        (self.samples > 0).then_some(self.srtt)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn estimator_follows_the_rfc() {
        let mut e = Estimator::default();
        assert_eq!(e.srtt(), None);
        e.sample(100_000_000);
        assert_eq!(e.srtt(), Some(100_000_000));
        e.sample(180_000_000);
        assert_eq!(e.srtt(), Some(110_000_000));
    }
}
