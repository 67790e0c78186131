//! Round-trip times: the estimator of RFC 6298.
//!
//! Takes:  samples that Karn's rule admits
//! Gives:  SRTT and RTO

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
pub const MIN_RTO_NANOS: i64 = 200_000_000;

/// SRTT, RTTVAR and RTO as RFC 6298 section 2 has them, with the floor of [`MIN_RTO_NANOS`] on the variance term, as Linux keeps it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Estimator {
    srtt: i64,
    rttvar: i64,
    samples: u32,
}

impl Estimator {
    /// Takes one sample in nanoseconds.
    pub fn sample(&mut self, nanos: i64) {
        let nanos = nanos.max(0);
        if self.samples == 0 {
            // (2.2)
            self.srtt = nanos;
            self.rttvar = nanos / 2;
        } else {
            // (2.3), alpha = 1/8, beta = 1/4
            self.rttvar += ((self.srtt - nanos).abs() - self.rttvar) / 4;
            self.srtt += (nanos - self.srtt) / 8;
        }
        self.samples = self.samples.saturating_add(1);
    }

    /// Smoothed round-trip time in nanoseconds; `None` before the first sample.
    #[must_use]
    pub fn srtt(&self) -> Option<i64> {
        (self.samples > 0).then_some(self.srtt)
    }

    /// Retransmission timeout in nanoseconds; 1 s before the first sample (2.1).
    #[must_use]
    pub fn rto(&self) -> i64 {
        if self.samples == 0 {
            1_000_000_000
        } else {
            self.srtt + (4 * self.rttvar).max(MIN_RTO_NANOS)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::cast_precision_loss)]
    use super::*;

    #[test]
    fn estimator_follows_the_rfc() {
        let mut e = Estimator::default();
        assert_eq!((e.srtt(), e.rto()), (None, 1_000_000_000));
        e.sample(100_000_000);
        assert_eq!((e.srtt(), e.rto()), (Some(100_000_000), 300_000_000));
        e.sample(100_000_000);
        assert_eq!(e.srtt(), Some(100_000_000));
    }
}
