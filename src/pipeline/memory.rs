//! Shares out the memory that a run may take among the parts that grow with what is read.
//!
//! Takes:  [`Settings::max_memory`]
//! Gives:  what each part may hold, by its own account: [`Shares`]
//! Never:  measures what the process holds: the report is not to depend on the machine

use super::Settings;
use crate::capture::{OpenOptions, UnpackLimits};
use crate::flow::Limits;

/// What the program itself takes, with batches on their way between two threads.
const FIXED: u64 = 84 << 20;

/// Least memory that is kept to whatever comes.
const LEAST: u64 = 200_000_000;

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

/// Octets for relations of captures where memory is no concern.
const RELATIONS: u64 = 512 << 20;

/// Octets of flows that a live run remembers where memory is no concern.
const WINDOW: u64 = 64 << 20;

/// Octets of two connections whose view is remembered, in maps that double.
const OWNERS: usize = 128;

/// Connections whose view is remembered where memory is no concern.
const MAX_OWNERS: usize = 500_000;

/// Octets that zstd may look back in any case: what it does without being asked for more.
const LEAST_WINDOW: u64 = 2 << 20;

/// Octets of captures that have to be held whole, where memory is no concern.
const WHOLE: u64 = 1 << 30;

/// What the parts of a run may hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Shares {
    /// Octets of flows under way, with their dialogs.
    pub(super) under_way: usize,
    /// Octets of the flows that are listed.
    pub(super) listed: usize,
    /// Flows that logs are joined with.
    pub(super) spans: usize,
    /// Octets of what is known of connections that two captures show, of all pairs of captures.
    pub(super) relations: usize,
    /// Connections whose view is remembered, twice over.
    pub(super) owners: usize,
    /// Octets of flows that a live run remembers to tell what is wrong now, and as many of those that it lists for a period.
    pub(super) window: usize,
    /// How much detectors keep, of what they keep where memory is no concern.
    pub(super) detectors: f64,
}

impl Shares {
    /// Two sixths go to flows under way, and one each to those that are listed (with the ends that logs are joined with), to detectors, to the
    /// findings that these make, and to what only some runs keep: relations of captures, or what a live run tells of its last minutes.
    #[allow(clippy::cast_precision_loss)]
    pub(super) fn of(settings: &Settings) -> Self {
        let octets = |octets: u64| usize::try_from(octets).unwrap_or(usize::MAX);
        let Some(most) = settings.max_memory else {
            return Self {
                under_way: Limits::default().octets,
                listed: octets(LISTED),
                spans: MAX_SPANS,
                relations: octets(RELATIONS),
                owners: MAX_OWNERS,
                window: octets(WINDOW),
                detectors: 1.0,
            };
        };
        let sixth = beside_itself(most) / 6;
        let half = sixth / 2;
        let (listed, spans) = if settings.logs.is_empty() {
            (sixth, 0)
        } else {
            (half, half)
        };
        Self {
            under_way: octets(2 * sixth),
            listed: octets(listed.min(LISTED)),
            spans: (octets(spans) / SPAN).min(MAX_SPANS),
            relations: octets(half.min(RELATIONS)),
            owners: (octets(half) / OWNERS).min(MAX_OWNERS),
            window: octets(half.min(WINDOW)),
            detectors: (sixth as f64 / DETECTORS as f64).min(1.0),
        }
    }

    /// The same for a live run, which has three sets of detectors: for the run, for the period, and for what is wrong now.
    pub(super) fn of_live(settings: &Settings) -> Self {
        let shares = Self::of(settings);
        let sets = settings.max_memory.map_or(1.0, |_| 3.0);
        Self {
            detectors: shares.detectors / sets,
            ..shares
        }
    }
}

/// What is left of so much memory for what grows.
pub(super) fn beside_itself(most: u64) -> u64 {
    most.saturating_sub(FIXED + most / 12).max(most / 4)
}

/// What of so much memory a comparison may hold of its two sides: with no flows under way and no detectors it takes less for itself.
pub(super) const fn of_comparison(most: u64) -> u64 {
    most / 3 * 2
}

/// How captures are opened of which so many may be read at one time. One that has to be held whole takes up to three times its octets while
/// it grows.
pub(super) fn opening(most: Option<u64>, files: usize) -> OpenOptions {
    let files = files.max(1) as u64;
    let sixth = most.map(|most| beside_itself(most) / 6 / files);
    let mut unpack = UnpackLimits::default();
    if let Some(sixth) = sixth {
        unpack.window = unpack.window.min(sixth.max(LEAST_WINDOW));
    }
    OpenOptions {
        held_octets: sixth.map_or(WHOLE / files, |sixth| sixth / 3),
        unpack,
        ..OpenOptions::default()
    }
}

/// What is to be told where so little is given that it cannot be kept to.
#[allow(clippy::cast_precision_loss)]
pub(super) fn too_little(most: Option<u64>) -> Option<String> {
    most.filter(|most| *most < LEAST).map(|most| {
        format!(
            "--max-memory {:.0}M is less than can be kept to whatever comes ({}M): more may have been taken, and few flows are followed at one time and listed",
            most as f64 / 1e6,
            LEAST / 1_000_000
        )
    })
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
    fn captures_are_held_within_what_is_given() {
        for (most, files, held, window) in [
            (None, 1, 1 << 30, 128 << 20),
            (None, 4, 1 << 28, 128 << 20),
            (Some(LEAST), 1, 5_000_000, 8 << 20),
            (Some(LEAST), 100, 50_000, 2 << 20),
            (Some(4_000_000_000), 1, 190_000_000, 128 << 20),
        ] {
            let opening = opening(most, files);
            assert!(opening.held_octets >= held, "{most:?} {files}: {opening:?}");
            assert!(opening.held_octets <= held + held / 4, "{opening:?}");
            assert!(opening.unpack.window >= window, "{opening:?}");
            assert!(opening.unpack.window < 2 * window, "{opening:?}");
        }
    }

    #[test]
    fn shares_stay_below_what_is_given() {
        for megabytes in [1, 64, 128, 256, 1_000, 4_000, 100_000] {
            let most = megabytes * 1_000_000;
            let shares = Shares::of(&Settings {
                max_memory: Some(most),
                logs: vec!["mail.log".into()],
                ..Settings::default()
            });
            #[allow(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss
            )]
            let detectors = (shares.detectors * DETECTORS as f64) as u64;
            // What detectors hold may be told in as many findings; no run has captures to relate and a window.
            let kept = shares.under_way + shares.listed + shares.spans * SPAN;
            let related = shares.relations + shares.owners * OWNERS;
            let sum = (kept + related.max(2 * shares.window)) as u64;
            let room = beside_itself(most);
            assert!(sum + 2 * detectors <= room, "{megabytes} MB: {shares:?}");
            assert!(shares.under_way > 0 && shares.listed > 0 && shares.detectors > 0.0);
        }
        for (most, told) in [(None, false), (Some(LEAST), false), (Some(LEAST - 1), true)] {
            assert_eq!(too_little(most).is_some(), told, "{most:?}");
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
