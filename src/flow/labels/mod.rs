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
use hashbrown::hash_table::Entry;

use self::conversation::Conversation;
use crate::decode::{FlowKey, Note, NoteKind, Segment, SegmentBatch, TcpFlags, flow_hash};
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
#[derive(Debug)]
pub struct LabelTracker {
    conversations: HashTable<Box<Conversation>>,
    /// Conversations, and segments that wait for their acknowledgement, that are remembered at most.
    most: (usize, usize),
    next_stream: u64,
    /// Segments and quoted segments taken; orders conversations by their last use.
    clock: u64,
    unacked: usize,
    forgotten: u64,
}

impl Default for LabelTracker {
    fn default() -> Self {
        Self::within(usize::MAX)
    }
}

impl LabelTracker {
    /// One that has seen nothing yet, and remembers no more than fits into so many octets, about, nor more than [`MAX_CONVERSATIONS`] and [`MAX_UNACKED_IN_ALL`].
    #[must_use]
    pub fn within(octets: usize) -> Self {
        let conversations = octets / 2 / (size_of::<Conversation>() + 64);
        // Lists grow by doubling.
        let unacked = octets / 2 / (2 * size_of::<u64>());
        Self {
            conversations: HashTable::new(),
            most: (
                conversations.clamp(1_000, MAX_CONVERSATIONS),
                unacked.clamp(1_000, MAX_UNACKED_IN_ALL),
            ),
            next_stream: 0,
            clock: 0,
            unacked: 0,
            forgotten: 0,
        }
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
        let (c, opened) = self.conversation(&seg.key, seg.flags, seg.seq, own);
        let given = if opened == Opened::Again {
            Labels::REUSED_PORTS
        } else {
            Labels::NONE
        };
        let before = c.unacked();
        let labels = c.segment(seg, octets, sacks, own, opened != Opened::No, given);
        let labelled = Labelled {
            stream: c.stream,
            from_client: own == c.client,
            labels,
        };
        let after = c.unacked();
        self.unacked = (self.unacked + after).saturating_sub(before);
        labelled
    }

    /// An ICMP error quoted a segment. What was quoted counts for the conversation, short of its octets and numbers; where that is
    /// not known yet, it takes a stream number. A quotation without the control bits counts for nothing.
    pub fn quoted(&mut self, note: &Note) {
        if let NoteKind::IcmpError {
            key,
            from_first,
            seq,
            flags: Some(flags),
            ..
        } = note.kind
        {
            let own = usize::from(!from_first);
            let (c, opened) = self.conversation(&key, flags, seq, own);
            c.quoted(flags, note.time, own, opened != Opened::No);
        }
    }

    /// The conversation that a segment belongs to, and whether it begins with it.
    fn conversation(
        &mut self,
        key: &FlowKey,
        flags: TcpFlags,
        seq: SeqNum,
        own: usize,
    ) -> (&mut Conversation, Opened) {
        self.keep_within_limits();
        self.clock += 1;
        let key = FlowKey {
            encapsulation: 0,
            ..*key
        };
        let hash = flow_hash(&key);
        let entry = self
            .conversations
            .entry(hash, |c| c.key == key, |c| flow_hash(&c.key));
        let (mut slot, mut opened) = match entry {
            Entry::Occupied(slot) => (slot, Opened::No),
            Entry::Vacant(free) => {
                let fresh = Conversation::new(key, self.next_stream, client(&key, flags, own));
                self.next_stream += 1;
                (free.insert(Box::new(fresh)), Opened::First)
            }
        };
        let c = slot.get_mut();
        if c.is_reopened_by(flags, seq, own) {
            self.unacked = self.unacked.saturating_sub(c.unacked());
            **c = Conversation::new(key, self.next_stream, client(&key, flags, own));
            self.next_stream += 1;
            opened = Opened::Again;
        } else if flags.has(TcpFlags::SYN) && !flags.has(TcpFlags::ACK) && !c.knows(own) {
            // The other end was heard before, this one was not.
            opened = Opened::First;
        }
        c.last_used = self.clock;
        (slot.into_mut(), opened)
    }

    /// Forgets the half of the conversations that has been silent longest, where there are too many.
    fn keep_within_limits(&mut self) {
        let (conversations, unacked) = self.most;
        if self.conversations.len() < conversations && self.unacked < unacked {
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

/// Whether a segment opens its conversation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Opened {
    No,
    First,
    /// On ports that had another one before.
    Again,
}

/// Which end of the key is the client, as far as its first segment tells.
fn client(key: &FlowKey, flags: TcpFlags, own: usize) -> usize {
    let other = 1 - own;
    let answers = flags.has(TcpFlags::SYN) && flags.has(TcpFlags::ACK);
    let looks_like_server = !flags.has(TcpFlags::SYN) && key.ports[other] > key.ports[own];
    if answers || looks_like_server {
        other
    } else {
        own
    }
}
