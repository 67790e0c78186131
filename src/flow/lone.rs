//! A flow of which a lone SYN is all that was seen: what a flood is made of.
//!
//! Takes:  the SYN
//! Gives:  a [`Connection`] once more of it comes, or its [`FlowRecord`]
//! Never:  holds more than the SYN

use super::connection::Connection;
use super::{Close, End, FlowIndex, FlowRecord, HalfRecord, Handshake, vantage};
use crate::decode::{Checksum, Segment};

/// The SYN of a flow that has shown nothing more. Its record takes up twelve times as much.
#[derive(Debug)]
pub struct Lone {
    pub(super) syn: Segment,
    pub(super) index: FlowIndex,
    /// Given up before the end of the capture.
    pub(super) evicted: bool,
}

impl Lone {
    pub(super) fn grow(&self) -> Box<Connection> {
        grow(&self.syn, self.index)
    }

    /// What a [`Connection`] would say of it, without one, which would have to be made first.
    pub(super) fn record(&self) -> FlowRecord {
        let syn = &self.syn;
        if syn.checksum == Checksum::Wrong || syn.outgoing == Some(true) {
            return self.grow().finish(self.evicted);
        }
        let ends = [syn.key.endpoint(0), syn.key.endpoint(1)];
        let ends = if syn.from_first {
            ends
        } else {
            [ends[1], ends[0]]
        };
        FlowRecord {
            index: self.index,
            encapsulation: syn.key.encapsulation,
            macs: syn.macs,
            handshake: Handshake {
                syn_seen: true,
                syn_frames: vec![syn.frame],
                ..Handshake::default()
            },
            close: Close {
                how: End::Unanswered,
                ..Close::default()
            },
            vantage_basis: vantage::TOO_LITTLE,
            halves: [
                HalfRecord {
                    frames: 1,
                    good_checksums: u64::from(syn.checksum == Checksum::Good),
                    unfilled_checksums: u64::from(syn.checksum.is_unfilled()),
                    window_scale: syn.syn.window_scale,
                    syn_seen: true,
                    mss: syn.syn.mss,
                    sack_permitted: Some(syn.syn.sack_permitted),
                    timestamps: Some(syn.timestamps.is_some()),
                    max_window: u64::from(syn.window),
                    ttl: Some((syn.ttl, syn.ttl)),
                    first_seq: Some(syn.seq),
                    ..HalfRecord::default()
                },
                HalfRecord::default(),
            ],
            evicted: self.evicted,
            ..FlowRecord::begun(ends, syn.frame, syn.time)
        }
    }
}

/// A connection that has shown one segment.
pub(super) fn grow(first: &Segment, index: u64) -> Box<Connection> {
    // A SYN says itself who is the client.
    let mut c = Box::new(Connection::new(first, index, &[]));
    c.segment(first, &[], &[], &mut [Vec::new(), Vec::new()]);
    c
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::syn;
    use super::*;
    use crate::decode::SynOptions;
    use crate::net::MacAddr;

    #[test]
    fn a_lone_syn_is_told_as_a_connection_would_tell_it() {
        let plain = syn(7);
        let rows = [
            ("plain", plain),
            (
                "from the end that stands second",
                Segment {
                    from_first: false,
                    ..plain
                },
            ),
            (
                "with all options",
                Segment {
                    timestamps: Some((5, 0)),
                    syn: SynOptions {
                        mss: Some(1460),
                        window_scale: Some(8),
                        sack_permitted: true,
                    },
                    ip_id: Some(9),
                    macs: [MacAddr([1; 6]), MacAddr([2; 6])],
                    ..plain
                },
            ),
            ("window shut", Segment { window: 0, ..plain }),
            (
                "checksum left to the adapter",
                Segment {
                    checksum: Checksum::UnfilledPartial,
                    ..plain
                },
            ),
            (
                "checksum wrong",
                Segment {
                    checksum: Checksum::Wrong,
                    ..plain
                },
            ),
            (
                "sent by the capturing host",
                Segment {
                    outgoing: Some(true),
                    ..plain
                },
            ),
            (
                "received by it, and not checked",
                Segment {
                    outgoing: Some(false),
                    checksum: Checksum::Unchecked,
                    ..plain
                },
            ),
        ];
        for (name, syn) in rows {
            for evicted in [false, true] {
                let lone = Lone {
                    syn,
                    index: 3,
                    evicted,
                };
                let (told, known) = (lone.record(), lone.grow().finish(evicted));
                assert_eq!(format!("{told:?}"), format!("{known:?}"), "{name}");
            }
        }
    }
}
