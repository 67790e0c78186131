//! Puts the segments of a batch in order of time.
//!
//! Takes:  a [`SegmentBatch`] in the order of the file
//! Gives:  the same in order of time; segments of equal time keep the order of the file
//! Never:  moves a segment into another batch: disorder across the border of two batches is left to the flow stage

use crate::decode::SegmentBatch;

/// Sorts by time where that is needed, and says how many segments had stood before an earlier one.
pub fn by_time(batch: &mut SegmentBatch) -> u64 {
    let mut latest = i64::MIN;
    let mut back = 0;
    for s in &batch.segments {
        if s.time.0 < latest {
            back += 1;
        }
        latest = latest.max(s.time.0);
    }
    if back > 0 {
        batch.segments.sort_by_key(|s| s.time);
        batch.notes.sort_by_key(|n| n.time);
    }
    back
}
