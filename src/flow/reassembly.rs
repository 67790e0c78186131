//! Puts the octets of one direction in order.
//!
//! Takes:  payloads with their offsets, in order of capture; acknowledgements by the other end
//! Gives:  pieces in order without overlap, with gaps where octets are missing for good
//! Never:  keeps more than [`MAX_WAITING`] octets for one direction; waits for octets that the other end has acknowledged and
//!         the capture has missed

use std::collections::BTreeMap;

use crate::decode::OctetRef;
use crate::net::{FrameNo, StreamOffset, Timestamp};

/// Octets kept for one direction while they wait for a hole before them to be filled.
pub const MAX_WAITING: usize = 4 << 20;
/// Segments kept likewise.
pub const MAX_WAITING_SEGMENTS: usize = 8192;

/// Octets that have become readable.
#[derive(Debug)]
pub struct Ready {
    /// Offset of the first octet.
    pub offset: u64,
    /// Frame that carried it; for a gap, the frame that showed it.
    pub frame: FrameNo,
    /// When that frame was captured.
    pub sent: Timestamp,
    /// When the octets became readable in order.
    pub readable: Timestamp,
    /// The octets.
    pub data: super::ChunkData,
}

/// Octets of a node of the map, which has room for eleven segments from the first on, and those that it holds at least where there
/// are several nodes.
const NODE: usize = 11 * (size_of::<u64>() + size_of::<Waiting>()) + 16;
const NODE_LEAST: usize = 5;

#[derive(Clone, Debug)]
struct Waiting {
    octets: Box<[u8]>,
    /// Octets that the capture cut off behind these.
    cut: u32,
    frame: FrameNo,
    sent: Timestamp,
}

/// One direction's octets on their way into order.
#[derive(Clone, Debug, Default)]
pub struct Reassembler {
    /// Offset of the next octet to hand on; `None` before the first.
    next: Option<u64>,
    waiting: BTreeMap<u64, Waiting>,
    waiting_octets: usize,
    conflict: Option<Conflict>,
}

/// Octets that came again with other contents while the first copy waited.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Conflict {
    /// Frame of the first copy that differs: what it holds counts.
    pub of: FrameNo,
    /// How many octets differ.
    pub octets: u64,
}

impl Reassembler {
    /// Says where the stream begins: the octet after the SYN.
    pub fn begin(&mut self, offset: u64) {
        self.next.get_or_insert(offset);
    }

    /// Takes the payload of one segment: `wire` octets from `offset` on, of which `captured` holds the first.
    #[allow(clippy::too_many_arguments)]
    pub fn segment(
        &mut self,
        offset: u64,
        wire: u32,
        at: OctetRef,
        captured: &[u8],
        frame: FrameNo,
        time: Timestamp,
        out: &mut Vec<Ready>,
    ) {
        // Octets from before the first number seen have no place to count from.
        let next = *self.next.get_or_insert(offset.max(StreamOffset::ORIGIN.0));
        let end = offset.saturating_add(u64::from(wire));
        if end <= next {
            return;
        }
        self.compare(offset, captured);
        if offset > next {
            self.keep(offset, wire, captured, frame, time, out);
            return;
        }
        let skip = next - offset;
        let have = captured.len() as u64;
        if skip < have {
            let data = OctetRef {
                offset: at.offset + skip,
                len: u32::try_from(have - skip).unwrap_or(0),
            };
            out.push(Ready {
                offset: next,
                frame,
                sent: time,
                readable: time,
                data: super::ChunkData::InBatch(data),
            });
        }
        let cut_from = next.max(offset + have);
        if cut_from < end {
            out.push(Ready {
                offset: cut_from,
                frame,
                sent: time,
                readable: time,
                data: super::ChunkData::Gap(end - cut_from),
            });
        }
        self.next = Some(end);
        self.release(time, out);
    }

    /// The conflict that the last segment made.
    pub fn conflict(&mut self) -> Option<Conflict> {
        self.conflict.take()
    }

    /// Compares octets with those that wait for the same place: with each at most once, so that this costs no more than the segment has
    /// octets. Of several that begin before it, only the nearest is looked at.
    fn compare(&mut self, offset: u64, captured: &[u8]) {
        if self.waiting.is_empty() {
            return;
        }
        let end = offset.saturating_add(captured.len() as u64);
        let before = self.waiting.range(..offset).next_back();
        for (&start, w) in before.into_iter().chain(self.waiting.range(offset..end)) {
            let from = start.max(offset);
            let mine = tail(captured, from - offset);
            let octets = tail(&w.octets, from - start).iter().zip(mine);
            let differ = octets.filter(|(a, b)| a != b).count() as u64;
            if differ > 0 {
                let known = self.conflict.get_or_insert(Conflict {
                    of: w.frame,
                    octets: 0,
                });
                known.octets += differ;
            }
        }
    }

    /// The other end has acknowledged everything below `upto`: what is missing there will not come.
    pub fn acknowledged(
        &mut self,
        upto: u64,
        frame: FrameNo,
        time: Timestamp,
        out: &mut Vec<Ready>,
    ) {
        let Some(next) = self.next else { return };
        if upto <= next {
            return;
        }
        // Up to the acknowledged offset or the first octets that wait, whichever comes first; then on from there.
        while let Some(next) = self.next {
            if next >= upto {
                break;
            }
            let stop = self
                .waiting
                .keys()
                .next()
                .copied()
                .unwrap_or(upto)
                .min(upto);
            if stop > next {
                out.push(Ready {
                    offset: next,
                    frame,
                    sent: time,
                    readable: time,
                    data: super::ChunkData::Gap(stop - next),
                });
                self.next = Some(stop);
            }
            self.release(time, out);
        }
    }

    /// What waits from `offset` on was not the sender's.
    pub fn forget_from(&mut self, offset: u64) {
        for waiting in self.waiting.split_off(&offset).into_values() {
            self.waiting_octets -= waiting.octets.len();
        }
    }

    fn keep(
        &mut self,
        offset: u64,
        wire: u32,
        captured: &[u8],
        frame: FrameNo,
        time: Timestamp,
        out: &mut Vec<Ready>,
    ) {
        let known = self
            .waiting
            .get(&offset)
            .is_some_and(|w| w.octets.len() as u64 + u64::from(w.cut) >= u64::from(wire));
        if known {
            return;
        }
        let cut = wire.saturating_sub(u32::try_from(captured.len()).unwrap_or(u32::MAX));
        self.waiting_octets += captured.len();
        if let Some(old) = self.waiting.insert(
            offset,
            Waiting {
                octets: captured.into(),
                cut,
                frame,
                sent: time,
            },
        ) {
            self.waiting_octets -= old.octets.len();
        }
        if self.waiting_octets > MAX_WAITING || self.waiting.len() > MAX_WAITING_SEGMENTS {
            // Give the hole up rather than grow.
            if let (Some(next), Some((&first, w))) = (self.next, self.waiting.first_key_value()) {
                out.push(Ready {
                    offset: next,
                    frame: w.frame,
                    sent: w.sent,
                    readable: time,
                    data: super::ChunkData::Gap(first.saturating_sub(next)),
                });
                self.next = Some(first);
                self.release(time, out);
            }
        }
    }

    /// Hands on what waits and has become readable.
    fn release(&mut self, time: Timestamp, out: &mut Vec<Ready>) {
        if self.waiting.is_empty() {
            return;
        }
        while let (Some(next), Some(entry)) = (self.next, self.waiting.first_entry()) {
            let offset = *entry.key();
            if offset > next {
                break;
            }
            let w = entry.remove();
            self.waiting_octets -= w.octets.len();
            let end = offset + w.octets.len() as u64 + u64::from(w.cut);
            if end <= next {
                continue;
            }
            let skip = usize::try_from(next - offset).unwrap_or(usize::MAX);
            if let Some(rest) = w.octets.get(skip..).filter(|r| !r.is_empty()) {
                out.push(Ready {
                    offset: next,
                    frame: w.frame,
                    sent: w.sent,
                    readable: time,
                    data: super::ChunkData::Kept(rest.into()),
                });
            }
            let cut_from = next.max(offset + w.octets.len() as u64);
            if cut_from < end {
                out.push(Ready {
                    offset: cut_from,
                    frame: w.frame,
                    sent: w.sent,
                    readable: time,
                    data: super::ChunkData::Gap(end - cut_from),
                });
            }
            self.next = Some(end);
        }
    }

    /// Octets of memory held, about.
    #[must_use]
    pub fn held(&self) -> usize {
        self.waiting_octets + self.waiting.len().div_ceil(NODE_LEAST) * NODE
    }
}

/// What follows the first `skip` octets.
fn tail(octets: &[u8], skip: u64) -> &[u8] {
    usize::try_from(skip)
        .ok()
        .and_then(|skip| octets.get(skip..))
        .unwrap_or(&[])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::super::ChunkData;
    use super::*;

    /// Feeds segments `(offset, text)` and acknowledgements `(upto, "")`, and renders what comes out: text in order, `[n]` for gaps.
    fn run(steps: &[(u64, &str)]) -> String {
        let mut r = Reassembler::default();
        r.begin(100);
        let mut out = Vec::new();
        let mut text = String::new();
        for (n, &(offset, octets)) in steps.iter().enumerate() {
            let at = OctetRef {
                offset: 0,
                len: octets.len() as u32,
            };
            if octets.is_empty() {
                r.acknowledged(offset, FrameNo(n as u64), Timestamp(0), &mut out);
            } else {
                r.segment(
                    offset,
                    octets.len() as u32,
                    at,
                    octets.as_bytes(),
                    FrameNo(n as u64),
                    Timestamp(0),
                    &mut out,
                );
            }
            for ready in out.drain(..) {
                match ready.data {
                    ChunkData::InBatch(r) => {
                        text += &octets[r.offset as usize..(r.offset + u64::from(r.len)) as usize]
                    }
                    ChunkData::Kept(k) => text += std::str::from_utf8(&k).unwrap(),
                    ChunkData::Gap(n) => text += &format!("[{n}]"),
                }
            }
        }
        assert_eq!(
            r.waiting_octets,
            r.waiting.values().map(|w| w.octets.len()).sum::<usize>()
        );
        text
    }

    #[test]
    fn other_contents_are_told_while_the_first_copy_waits() {
        // (name, segments, frame of the first copy and octets that differ, of the last segment)
        type Row = (
            &'static str,
            &'static [(u64, &'static str)],
            Option<(u64, u64)>,
        );
        let rows: [Row; 7] = [
            ("the same again", &[(104, "ef"), (104, "ef")], None),
            ("other octets", &[(104, "ef"), (104, "xy")], Some((0, 2))),
            (
                "one differs, over two segments",
                &[(104, "ef"), (106, "gh"), (102, "cdefgx")],
                Some((1, 1)),
            ),
            (
                "it begins within one that waits",
                &[(104, "efgh"), (106, "gx")],
                Some((0, 1)),
            ),
            (
                "it fills the hole, and reaches over what waits",
                &[(104, "ef"), (100, "abcdxy")],
                Some((0, 2)),
            ),
            ("side by side", &[(104, "ef"), (106, "gh")], None),
            (
                "the first copy has been handed on",
                &[(100, "ab"), (100, "xy")],
                None,
            ),
        ];
        for (name, segments, want) in rows {
            let mut r = Reassembler::default();
            r.begin(100);
            let mut told = None;
            for (frame, (offset, octets)) in (0..).zip(segments) {
                let at = OctetRef::default();
                let (wire, octets) = (octets.len() as u32, octets.as_bytes());
                let frame = FrameNo(frame);
                r.segment(
                    *offset,
                    wire,
                    at,
                    octets,
                    frame,
                    Timestamp(0),
                    &mut Vec::new(),
                );
                told = r.conflict().map(|c| (c.of.0, c.octets));
            }
            assert_eq!(told, want, "{name}");
        }
    }

    #[test]
    fn octets_come_in_order() {
        for (name, steps, want) in [
            ("in order", &[(100, "ab"), (102, "cd")][..], "abcd"),
            ("swapped", &[(102, "cd"), (100, "ab")], "abcd"),
            ("repeated", &[(100, "ab"), (100, "ab"), (102, "c")], "abc"),
            ("repeat with more", &[(100, "ab"), (100, "abcd")], "abcd"),
            (
                "overlap of what waits",
                &[(104, "ef"), (102, "cdef"), (100, "abc")],
                "abcdef",
            ),
            (
                "hole never filled, acknowledged",
                &[(100, "ab"), (104, "ef"), (106, "")],
                "ab[2]ef",
            ),
            (
                "nothing seen, acknowledged",
                &[(110, ""), (110, "k")],
                "[10]k",
            ),
            (
                "acknowledged in the middle of a hole",
                &[(104, "ef"), (102, ""), (102, "cd")],
                "[2]cdef",
            ),
        ] {
            assert_eq!(run(steps), want, "{name}");
        }
    }
}
