//! Shares out the memory that a run may take among the parts that grow with what is read.
//!
//! Takes:  [`Settings::max_memory`]
//! Gives:  what each part may hold, by its own account: [`Shares`]
//! Never:  measures what the process holds: the report is not to depend on the machine

use super::Settings;
use crate::flow::Limits;

/// What the program itself takes, with batches on their way between two threads.
const FIXED: u64 = 80 << 20;

/// For so many octets of memory there may be a thread, beyond two: batches on their way to it take a twelfth of that.
const THREAD: u64 = 128 << 20;

/// What detectors hold where they are full, as floods that many of them mind fill them.
const DETECTORS: u64 = 384 << 20;

/// Octets of listed flows where memory is no concern.
const LISTED: u64 = 512 << 20;

/// A flow that logs are joined with, in octets.
const SPAN: usize = 128;

/// Flows remembered for the logs of servers where memory is no concern.
const MAX_SPANS: usize = 1_000_000;

/// What the parts of a run may hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shares {
    /// Octets of flows under way, with their dialogs.
    pub(super) under_way: usize,
    /// Octets of the flows that are listed.
    pub(super) listed: usize,
    /// Flows that logs are joined with.
    pub(super) spans: usize,
    /// How much detectors keep, of what they keep where memory is no concern.
    pub(super) detectors: f64,
}

impl Shares {
    /// Two fifths go to flows under way, and a fifth each to those that are listed, to detectors, and to the findings that these make.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn of(settings: &Settings) -> Self {
        let octets = |octets: u64| usize::try_from(octets).unwrap_or(usize::MAX);
        let Some(most) = settings.max_memory else {
            return Self {
                under_way: Limits::default().octets,
                listed: octets(LISTED),
                spans: MAX_SPANS,
                detectors: 1.0,
            };
        };
        let fifth = beside_itself(most) / 5;
        Self {
            under_way: octets(2 * fifth),
            listed: octets(fifth.min(LISTED)),
            spans: (octets(fifth / 2) / SPAN).min(MAX_SPANS),
            detectors: (fifth as f64 / DETECTORS as f64).min(1.0),
        }
    }
}

/// What is left of so much memory for what grows.
pub(super) fn beside_itself(most: u64) -> u64 {
    most.saturating_sub(FIXED + most / 12).max(most / 4)
}

/// How many threads there may be within so much memory.
pub(super) fn threads(most: Option<u64>) -> usize {
    most.map_or(usize::MAX, |most| {
        usize::try_from(most / THREAD).unwrap_or(usize::MAX).max(2)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_stay_below_what_is_given() {
        for megabytes in [1, 64, 128, 256, 1_000, 4_000, 100_000] {
            let most = megabytes * 1_000_000;
            let shares = Shares::of(&Settings {
                max_memory: Some(most),
                ..Settings::default()
            });
            #[allow(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss
            )]
            let detectors = (shares.detectors * DETECTORS as f64) as u64;
            // What detectors hold may be told in as many findings.
            let sum = (shares.under_way + shares.listed + shares.spans * SPAN) as u64;
            assert!(sum + 2 * detectors <= most, "{megabytes} MB: {shares:?}");
            assert!(shares.under_way > 0 && shares.listed > 0 && shares.detectors > 0.0);
        }
        for (most, want) in [
            (None, usize::MAX),
            (Some(0), 2),
            (Some(1 << 28), 2),
            (Some(1 << 30), 8),
        ] {
            assert_eq!(threads(most), want, "{most:?}");
        }
    }
}
