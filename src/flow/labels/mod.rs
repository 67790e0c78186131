//! What Wireshark 4.6 says of each segment: its stream number and its `tcp.analysis` labels.
//!
//! Takes:  segments in the order of the file
//! Gives:  for each, a stream number and [`Labels`]
//! Never:  has a say in our own verdicts, or reads ahead: the labels are a guess at sight, and are shown as what they are

mod conversation;

#[cfg(test)]
mod tests;

use std::fmt;

use hashbrown::HashTable;

use self::conversation::Conversation;
use crate::decode::{FlowKey, Segment, SegmentBatch, TcpFlags, flow_hash};
use crate::net::SeqNum;

/// A set of labels, named as Wireshark names them.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Labels(u16);

impl Labels {
    /// No label.
    pub const NONE: Self = Self(0);
    /// Acknowledges octets that the capture does not have.
    pub const ACK_LOST_SEGMENT: Self = Self(1);
    /// Repeats an acknowledgement.
    pub const DUPLICATE_ACK: Self = Self(1 << 1);
    /// Sent again on duplicate acknowledgements or SACK.
    pub const FAST_RETRANSMISSION: Self = Self(1 << 2);
    /// Asks whether the other end is still there.
    pub const KEEP_ALIVE: Self = Self(1 << 3);
    /// Says that it is.
    pub const KEEP_ALIVE_ACK: Self = Self(1 << 4);
    /// Octets before this segment are not in the capture so far.
    pub const LOST_SEGMENT: Self = Self(1 << 5);
    /// Came late.
    pub const OUT_OF_ORDER: Self = Self(1 << 6);
    /// Sent again; goes with the fast and the spurious kind too.
    pub const RETRANSMISSION: Self = Self(1 << 7);
    /// Opens a connection on ports that were in use before.
    pub const REUSED_PORTS: Self = Self(1 << 8);
    /// Sent again although it had been acknowledged.
    pub const SPURIOUS_RETRANSMISSION: Self = Self(1 << 9);
    /// Fills the window of the other end.
    pub const WINDOW_FULL: Self = Self(1 << 10);
    /// Changes the window and nothing else.
    pub const WINDOW_UPDATE: Self = Self(1 << 11);
    /// Shuts the window.
    pub const ZERO_WINDOW: Self = Self(1 << 12);
    /// Tries whether the window is still shut.
    pub const ZERO_WINDOW_PROBE: Self = Self(1 << 13);
    /// Says that it is.
    pub const ZERO_WINDOW_PROBE_ACK: Self = Self(1 << 14);

    /// Names in the order of the bits, which is that of the alphabet.
    const NAMES: [&'static str; 15] = [
        "ack_lost_segment",
        "duplicate_ack",
        "fast_retransmission",
        "keep_alive",
        "keep_alive_ack",
        "lost_segment",
        "out_of_order",
        "retransmission",
        "reused_ports",
        "spurious_retransmission",
        "window_full",
        "window_update",
        "zero_window",
        "zero_window_probe",
        "zero_window_probe_ack",
    ];

    /// Whether no label is set.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether any label of `other` is set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The union of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Names of the labels, in alphabetical order, without `tcp.analysis.`.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::NAMES
            .into_iter()
            .enumerate()
            .filter(move |(bit, _)| self.0 & (1 << bit) != 0)
            .map(|(_, name)| name)
    }
}

/// Joined by commas; `-` for none.
impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("-");
        }
        for (n, name) in self.names().enumerate() {
            if n > 0 {
                f.write_str(",")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

/// What is said of one segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Labelled {
    /// Number of its conversation: `tcp.stream`.
    pub stream: u64,
    /// Whether the client sent it: the end that opened the connection, or has the higher port where its start is missing.
    pub from_client: bool,
    /// Its labels.
    pub labels: Labels,
}

/// Conversations remembered at one time. Beyond, those silent longest are forgotten, and start anew with their next segment.
pub const MAX_CONVERSATIONS: usize = 1 << 20;

/// Unacknowledged segments remembered over all conversations, eight octets each.
pub const MAX_UNACKED_IN_ALL: usize = 1 << 25;

/// Follows conversations as Wireshark tells them apart, and labels their segments.
///
/// Conversations are told apart by addresses and ports alone: VLANs and tunnels do not count, as they do not there.
#[derive(Debug, Default)]
pub struct LabelTracker {
    conversations: HashTable<Box<Conversation>>,
    next_stream: u64,
    /// Segments and quoted segments taken; orders conversations by their last use.
    clock: u64,
    unacked: usize,
    forgotten: u64,
}

impl LabelTracker {
    /// One that has seen nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Conversations forgotten to keep within the limits. From the first of them on, stream numbers and labels may differ from
    /// Wireshark's.
    #[must_use]
    pub const fn forgotten(&self) -> u64 {
        self.forgotten
    }

    /// Labels one segment. `batch` is the one that it lies in; `octets` its payload as Wireshark counts it, which is no more than
    /// its frame had room for ([`SegmentBatch::overlong`]).
    pub fn segment(&mut self, batch: &SegmentBatch, seg: &Segment, octets: u32) -> Labelled {
        self.label(seg, octets, batch.sack_blocks(seg))
    }

    fn label(&mut self, seg: &Segment, octets: u32, sacks: &[(SeqNum, SeqNum)]) -> Labelled {
        let own = usize::from(!seg.from_first);
        let mut key = seg.key;
        let hash = if key.encapsulation == 0 {
            seg.hash
        } else {
            key.encapsulation = 0;
            flow_hash(&key)
        };
        self.keep_within_limits();
        self.clock += 1;
        let opening = seg.flags.has(TcpFlags::SYN);
        let is_ack = seg.flags.has(TcpFlags::ACK);
        let found = self.conversations.find_mut(hash, |c| c.key == key);
        let is_new = found.is_none();
        let reused = found.as_ref().is_some_and(|c| c.is_reopened_by(seg, own));
        let c = match found {
            Some(c) if !reused => c,
            found => {
                let stream = self.next_stream;
                self.next_stream += 1;
                let fresh = Box::new(Conversation::new(key, stream, client(seg, own)));
                match found {
                    Some(c) => {
                        self.unacked = self.unacked.saturating_sub(c.unacked());
                        *c = fresh;
                        c
                    }
                    None => self
                        .conversations
                        .insert_unique(hash, fresh, |c| flow_hash(&c.key))
                        .into_mut(),
                }
            }
        };
        c.last_used = self.clock;
        let given = if reused {
            Labels::REUSED_PORTS
        } else {
            Labels::NONE
        };
        let before = c.unacked();
        // A SYN from an end of which nothing was known opens the conversation, even where the other end was heard before.
        let is_new = is_new || reused || (opening && !is_ack && !c.knows(own));
        let labels = c.segment(seg, octets, sacks, own, is_new, given);
        self.unacked = (self.unacked + c.unacked()).saturating_sub(before);
        Labelled {
            stream: c.stream,
            from_client: own == c.client,
            labels,
        }
    }

    /// An ICMP error quoted a segment of this flow. Where that flow is not known yet, it takes a stream number.
    pub fn quoted(&mut self, key: &FlowKey, from_first: bool) {
        let key = FlowKey {
            encapsulation: 0,
            ..*key
        };
        let hash = flow_hash(&key);
        self.clock += 1;
        if self.conversations.find(hash, |c| c.key == key).is_some() {
            return;
        }
        let fresh = Conversation::new(key, self.next_stream, usize::from(!from_first));
        self.next_stream += 1;
        self.conversations
            .insert_unique(hash, Box::new(fresh), |c| flow_hash(&c.key));
    }

    /// Forgets the half of the conversations that has been silent longest, where there are too many.
    fn keep_within_limits(&mut self) {
        if self.conversations.len() < MAX_CONVERSATIONS && self.unacked < MAX_UNACKED_IN_ALL {
            return;
        }
        let mut used: Vec<u64> = self.conversations.iter().map(|c| c.last_used).collect();
        let middle = used.len() / 2;
        let (_, &mut oldest_kept, _) = used.select_nth_unstable(middle);
        let before = self.conversations.len();
        self.conversations.retain(|c| c.last_used > oldest_kept);
        self.forgotten += (before - self.conversations.len()) as u64;
        self.unacked = self.conversations.iter().map(|c| c.unacked()).sum();
    }
}

/// Which end of the key is the client, as far as its first segment tells.
fn client(seg: &Segment, own: usize) -> usize {
    let other = 1 - own;
    if seg.flags.has(TcpFlags::SYN) {
        if seg.flags.has(TcpFlags::ACK) {
            other
        } else {
            own
        }
    } else if seg.key.ports[other] > seg.key.ports[own] {
        other
    } else {
        own
    }
}
