//! What can become of a segment between two captures, and how that adds up.
//!
//! Takes:  nothing
//! Gives:  a [`SegmentFate`] for a stretch of a segment; a [`Path`]: counts and delays of one direction; [`Event`]s as proof
//! Never:  decides: `tell` does

use std::collections::HashMap;

use super::octets::Difference;
use crate::net::{FrameNo, Sketch, Timestamp};

/// Events of one kind kept for one direction.
const MAX_EVENTS: usize = 200;
/// A silence at the receiving side from which it may be an outage.
pub(super) const SILENCE: i64 = 1_000_000_000;

/// What became of a stretch of a segment.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Fate {
    /// Left one side and came to the other.
    Delivered,
    /// Left one side and never came to the other.
    Lost,
    /// Came with other octets, or with a checksum that no longer fits.
    Damaged,
    /// Left with a checksum that the adapter was to fill in, came without, and was refused.
    Unfilled,
    /// Came whole as far as the capture beside the receiving host, which did not take it.
    Refused,
    /// One more copy of one that came.
    Copy,
    /// Came, but the sender's side did not see it leave.
    Unsent,
    /// Acknowledged, so it came; the capture there did not see it.
    Missed,
    /// Before or behind what both sides captured.
    Outside,
}

impl Fate {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Delivered,
        Self::Lost,
        Self::Damaged,
        Self::Unfilled,
        Self::Refused,
        Self::Copy,
        Self::Unsent,
        Self::Missed,
        Self::Outside,
    ];

    /// The word for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Delivered => "delivered",
            Self::Lost => "lost",
            Self::Damaged => "damaged",
            Self::Unfilled => "unfilled",
            Self::Refused => "not-taken",
            Self::Copy => "copy",
            Self::Unsent => "unsent",
            Self::Missed => "missed-by-capture",
            Self::Outside => "outside",
        }
    }
}

/// One stretch of one segment, and what became of it.
#[derive(Clone, Copy, Debug)]
pub struct SegmentFate {
    /// Number of the pair of connections.
    pub pair: u64,
    /// Which way it went.
    pub to_server: bool,
    /// Its frame on the left and on the right.
    pub frames: [Option<FrameNo>; 2],
    /// Sequence number, as the side that saw it leave has it (of one that nobody saw leave: as it came).
    pub seq: u32,
    /// Octets of sequence space.
    pub octets: u32,
    /// Segments on the wire that these stand for.
    pub segments: u64,
    /// What became of it.
    pub fate: Fate,
    /// Came after what was sent later.
    pub reordered: bool,
    /// When it was under way for longer than most.
    pub late: bool,
    /// Seconds that it was under way.
    pub delay: Option<f64>,
}

/// Fields that were changed on the way: how many segments.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Modified {
    /// MSS option of a SYN.
    pub mss: u64,
    /// Window scale option of a SYN.
    pub window_scale: u64,
    /// SACK-permitted option of a SYN.
    pub sack: u64,
    /// Timestamps: the option of a SYN, or the value of any.
    pub timestamps: u64,
    /// Time to live: what routers do.
    pub ttl: u64,
    /// DSCP or ECN.
    pub tos: u64,
    /// Window.
    pub window: u64,
    /// Sequence numbers.
    pub sequence: u64,
    /// Payload, with a checksum that fits.
    pub payload: u64,
}

/// One direction of one connection between the two sides. Counts are of segments on the wire that carry payload, SYN or FIN.
#[derive(Clone, Debug, Default)]
pub struct Path {
    /// Left the sender's side and came, damaged or not.
    pub matched: u64,
    /// Did not come.
    pub lost: u64,
    /// Of these, SYNs, and FINs without payload.
    pub lost_syns: u64,
    /// See [`lost_syns`](Self::lost_syns).
    pub lost_fins: u64,
    /// Of those that did not come, such as a router had called too long for its next link.
    pub lost_long: u64,
    /// Came damaged.
    pub corrupted: u64,
    /// Of these, such as left with an unfilled checksum and came so.
    pub unfilled: u64,
    /// Of those that came damaged, such as have their payload whole and a checksum that the sender's adapter did not fill in.
    pub by_adapter: u64,
    /// Of those that came damaged, such as have a checksum that fits.
    pub rewritten: u64,
    /// Further copies of what came.
    pub duplicated: u64,
    /// Came after what was sent later.
    pub reordered: u64,
    /// Under way for much longer than the others.
    pub delayed: u64,
    /// Came whole, and the host did not take them.
    pub not_taken: u64,
    /// Came, and the sender's side did not see them leave.
    pub only_right: u64,
    /// Acknowledged, but not seen where they came.
    pub missed: u64,
    /// Before or behind what both sides captured.
    pub outside: u64,
    /// Changed on the way.
    pub modified: Modified,
    /// Bare acknowledgements that left, and such as did not come.
    pub acks: u64,
    /// See [`acks`](Self::acks).
    pub acks_lost: u64,
    /// Resets that came and that the sender's side did not see leave.
    pub resets_made: u64,
    /// Came with a smaller window than they left with, bare acknowledgements among them.
    pub windows_lowered: u64,
    /// Routers between, by the time to live.
    pub hops: Option<i16>,
    /// How long segments were under way.
    pub delay: Sketch,
    /// Whether delays were measured at all.
    pub measured: bool,
    /// Payload that left the sender's side, repeats included.
    pub octets: u64,
    /// Largest payload on the wire that came, and smallest that was lost; what a router called too long apart.
    pub largest_came: u32,
    /// See [`largest_came`](Self::largest_came).
    pub smallest_lost: Option<u32>,
    /// The segment that was under way for longest.
    pub slowest: Option<Event>,
    /// How often the same octets were lost, at most.
    pub times_lost: u32,
    /// When the receiving side heard of the sender at all, by the left side's clock: stretches without a silence of a second.
    pub heard: Vec<(Timestamp, Timestamp)>,
    /// When what was lost had left, by the left side's clock.
    pub lost_at: Vec<Timestamp>,
}

impl Path {
    /// Takes in another connection's, of the same way between two hosts: all that can be summed up.
    pub fn add(&mut self, other: &Self) {
        self.matched += other.matched;
        self.lost += other.lost;
        self.lost_syns += other.lost_syns;
        self.lost_fins += other.lost_fins;
        self.lost_long += other.lost_long;
        self.corrupted += other.corrupted;
        self.by_adapter += other.by_adapter;
        self.rewritten += other.rewritten;
        self.unfilled += other.unfilled;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.delayed += other.delayed;
        self.not_taken += other.not_taken;
        self.only_right += other.only_right;
        self.missed += other.missed;
        self.outside += other.outside;
        self.acks += other.acks;
        self.acks_lost += other.acks_lost;
        self.resets_made += other.resets_made;
        self.windows_lowered += other.windows_lowered;
        self.hops = self.hops.or(other.hops);
        self.delay.merge(&other.delay);
        self.measured |= other.measured;
        self.octets += other.octets;
        self.largest_came = self.largest_came.max(other.largest_came);
        self.smallest_lost = match (self.smallest_lost, other.smallest_lost) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.times_lost = self.times_lost.max(other.times_lost);
        self.heard.extend(&other.heard);
        self.lost_at.extend(&other.lost_at);
    }
}

/// What is worth a proof.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum EventKind {
    /// Of a segment's fate.
    Fate(Fate),
    /// Came after what was sent later.
    Reordered,
    /// Under way for much longer than others.
    Late,
    /// A bare acknowledgement was lost.
    AckLost,
    /// A reset that nobody sent.
    Reset,
    /// An option of a SYN was taken away or changed.
    Option(&'static str),
    /// Payload was changed, with a checksum that fits.
    Payload,
    /// A smaller window came than was offered.
    Window,
}

/// One thing that happened to one segment.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// What.
    pub kind: EventKind,
    /// Its frame on the left and on the right.
    pub frames: [Option<FrameNo>; 2],
    /// When, by the left side's clock.
    pub time: Timestamp,
    /// Octets of payload.
    pub octets: u32,
    /// A SYN, a FIN.
    pub flags: u8,
    /// Seconds under way; of a lost one, those of the last before it that came.
    pub delay: Option<f64>,
    /// Whether it left with a checksum for its adapter to fill in.
    pub left_unfilled: bool,
    /// Whether the checksum that came is right.
    pub came_good: bool,
    /// Whether octets of the payload differ; `None` where that could not be compared.
    pub payload_differs: Option<bool>,
    /// Which octets do, where the captures could be read a second time.
    pub difference: Option<Difference>,
    /// Longer than what a router said to fit through its next link.
    pub too_long: bool,
    /// Its window field, unscaled, as it left and as it came; `None` where it did not come, or was not seen to leave.
    pub windows: Option<[u16; 2]>,
}

impl Event {
    /// The payload came as it had left, and the sum was never filled in: that is the sender's adapter. Else something changed it.
    pub(super) fn is_by_adapter(&self) -> bool {
        self.kind == EventKind::Fate(Fate::Unfilled)
            || (self.left_unfilled && !self.came_good && self.payload_differs == Some(false))
    }
}

/// Events by kind, no more than `MAX_EVENTS` of each.
#[derive(Clone, Debug, Default)]
pub struct Events {
    list: Vec<Event>,
    counts: HashMap<EventKind, usize>,
}

impl Events {
    pub(super) fn add(&mut self, event: Event) {
        let count = self.counts.entry(event.kind).or_default();
        *count += 1;
        if *count <= MAX_EVENTS {
            self.list.push(event);
        }
    }

    /// Those of one kind, in order of time.
    pub fn of(&self, kind: EventKind) -> impl Iterator<Item = &Event> {
        self.list.iter().filter(move |e| e.kind == kind)
    }

    /// Changes each.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Event> {
        self.list.iter_mut()
    }

    /// All, in order of finding.
    pub fn iter(&self) -> impl Iterator<Item = &Event> {
        self.list.iter()
    }
}
