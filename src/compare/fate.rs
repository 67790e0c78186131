//! The fate of each segment of one direction of one connection.
//!
//! Takes:  a [`Direction`], the clock, what the receiving host said
//! Gives:  a [`Path`]: counts and delays; a [`SegmentFate`] for each stretch of each segment, to whoever wants them; [`Event`]s as proof
//! Never:  calls octets lost that were acknowledged without being seen: a capture that missed them is no path that lost them

use std::collections::HashMap;
use std::time::Duration;

use super::align::{Delay, Direction, Match};
use super::octets::Difference;
use super::ranges::{Covered, Ranges};
use super::table::{Half, Sighting};
use super::taken::{Receiver, Taken};
use crate::decode::TcpFlags;
use crate::net::{FrameNo, Sketch, Timestamp, seconds};

/// Events of one kind kept for one direction.
const MAX_EVENTS: usize = 200;
/// A segment is late that was under way this much longer than the median, and longer than twice that.
const LATE: i64 = 50_000_000;
/// A silence at the receiving side from which it may be an outage.
pub(super) const SILENCE: i64 = 1_000_000_000;
/// Stretches without such a silence, and moments at which something lost had left, kept of one direction.
const MAX_STRETCHES: usize = 1_000;
const MAX_LOST: usize = 10_000;
/// Octets that the timestamps option takes of a segment.
pub(super) const TIMESTAMPS_OCTETS: u32 = 12;

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
    fn add(&mut self, event: Event) {
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

/// What frames one direction of one connection.
pub(super) struct Frame<'a> {
    pub(super) pair: u64,
    pub(super) to_server: bool,
    pub(super) delay: Delay<'a>,
    /// What the receiving host sent, as the side beside it saw that, and as the side of the sender saw it.
    pub(super) back: [&'a Half; 2],
    /// What left from the first moment on, and until the last, can be expected to be in the receiving side's capture, by the sender's clock.
    pub(super) common: Option<(Timestamp, Timestamp)>,
    /// What came from the first moment on, and until the last, can be expected to be in the sending side's capture, by the receiver's clock.
    pub(super) watched: Option<(Timestamp, Timestamp)>,
    /// What a router said to fit through its next link: octets of a packet.
    pub(super) fits: Option<u32>,
    /// Octets of the IP and TCP headers without options.
    pub(super) headers: u32,
    /// Added to sequence numbers, and to acknowledgement numbers, on the way.
    pub(super) shift: u32,
    /// See [`shift`](Self::shift).
    pub(super) ack_shift: u32,
}

/// A stretch of time with the least and greatest delay in it.
pub(super) type Delays<'s> = &'s mut dyn FnMut(Timestamp, f64);

/// Where fates go.
pub(super) type Sink<'s> = &'s mut dyn FnMut(&SegmentFate);

/// Tells the fate of each segment of a direction.
pub(super) fn fates(
    direction: &Direction<'_>,
    frame: &Frame<'_>,
    sink: Sink<'_>,
    series: Delays<'_>,
) -> (Path, Events) {
    let (matches, covered) = direction.matches(frame.delay);
    let [beside, _] = frame.back;
    let receiver = Receiver::new(beside, &direction.arrivals, direction.origin[1]);
    let mut teller = Teller {
        direction,
        frame,
        receiver,
        path: Path::default(),
        events: Events::default(),
        sink,
        typical: 0,
    };
    teller.typical = teller.median_delay(&matches);
    let damaged = teller.damaged(&matches);
    teller.arrivals(&matches, &damaged, series);
    teller.holes(&covered, &matches);
    teller.acknowledgements(series);
    teller.resets();
    teller.options(&matches);
    teller.heard();
    (teller.path, teller.events)
}

struct Teller<'a, 's> {
    direction: &'a Direction<'a>,
    frame: &'a Frame<'a>,
    receiver: Receiver,
    path: Path,
    events: Events,
    sink: Sink<'s>,
    typical: i64,
}

/// What the content of an arrival shows.
#[derive(Clone, Copy, Debug, Default)]
struct Content {
    /// Whether octets differ; `None` where digests cannot be compared.
    differs: Option<bool>,
}

impl<'a> Teller<'a, '_> {
    fn sent(&self, at: usize) -> Option<&'a Sighting> {
        self.direction.sent.segments.get(at)
    }

    fn came(&self, at: usize) -> Option<&'a Sighting> {
        self.direction.came.segments.get(at)
    }

    fn delay_of(&self, m: &Match) -> Option<i64> {
        let (sent, came) = (self.sent(m.sent?)?, self.came(m.came)?);
        self.frame.delay.between(sent.time, came.time)
    }

    fn median_delay(&self, matches: &[Match]) -> i64 {
        let mut delays: Vec<i64> = matches.iter().filter_map(|m| self.delay_of(m)).collect();
        if delays.is_empty() {
            return 0;
        }
        let middle = delays.len() / 2;
        *delays.select_nth_unstable(middle).1
    }

    /// Segments on the wire that a stretch stands for.
    #[allow(clippy::cast_sign_loss)] // stretches are not negative
    fn pieces(&self, from: i64, to: i64) -> u64 {
        ((to - from + self.direction.piece - 1) / self.direction.piece).max(1) as u64
    }

    /// Compares digests: of like segments, and of those split or merged on the way where all parts are there.
    fn damaged(&self, matches: &[Match]) -> Vec<Content> {
        let mut contents = vec![Content::default(); matches.len()];
        // Parts of one departure, and of one arrival.
        let mut of_departure: HashMap<usize, Vec<usize>> = HashMap::new();
        let mut of_arrival: HashMap<usize, Vec<usize>> = HashMap::new();
        for (n, m) in matches.iter().enumerate() {
            let Some((sent, came)) = m
                .sent
                .and_then(|at| Some((self.sent(at)?, self.came(m.came)?)))
            else {
                continue;
            };
            if sent.payload() == 0 && came.payload() == 0 {
                continue;
            }
            if !sent.is_whole() || !came.is_whole() {
                continue;
            }
            let length = u64::try_from(m.to - m.from).unwrap_or_default();
            if sent.length() == came.length() && u64::from(sent.length()) == length {
                if let Some(content) = contents.get_mut(n) {
                    content.differs =
                        Some(sent.digest != came.digest || sent.payload() != came.payload());
                }
            } else if u64::from(came.length()) == length {
                if !m.copy
                    && let Some(at) = m.sent
                {
                    of_departure.entry(at).or_default().push(n);
                }
            } else if u64::from(sent.length()) == length {
                of_arrival.entry(m.came).or_default().push(n);
            }
        }
        let mut settle = |parts: &mut Vec<usize>,
                          whole: &Sighting,
                          part: &dyn Fn(&Match) -> Option<&'a Sighting>| {
            parts.sort_by_key(|n| matches.get(*n).map(|m| m.from));
            let mut hasher = crc32fast::Hasher::new();
            let mut octets = 0;
            for s in parts
                .iter()
                .filter_map(|n| matches.get(*n))
                .filter_map(part)
            {
                hasher.combine(&crc32fast::Hasher::new_with_initial_len(
                    s.digest,
                    u64::from(s.payload()),
                ));
                octets += s.payload();
            }
            if octets == whole.payload() {
                let differs = hasher.finalize() != whole.digest;
                for n in parts.iter() {
                    if let Some(content) = contents.get_mut(*n) {
                        // Of several parts it is not known which one differs; a wrong checksum tells.
                        content.differs = if differs { None } else { Some(false) };
                    }
                }
            }
        };
        for (at, mut parts) in of_departure {
            if let Some(whole) = self.sent(at) {
                settle(&mut parts, whole, &|m| self.came(m.came));
            }
        }
        for (at, mut parts) in of_arrival {
            if let Some(whole) = self.came(at) {
                settle(&mut parts, whole, &|m| self.sent(m.sent?));
            }
        }
        contents
    }

    fn emit(&mut self, m: &Match, fate: Fate, segments: u64, late: bool, delay: Option<f64>) {
        let sent = m.sent.and_then(|at| self.sent(at));
        let came = self.came(m.came);
        let [own, other] = self.direction.origin;
        let origin = if sent.is_some() { own } else { other };
        let fate = SegmentFate {
            pair: self.frame.pair,
            to_server: self.frame.to_server,
            frames: self.sides(sent, came),
            seq: origin.0.wrapping_add_signed(low_half(m.from)),
            octets: u32::try_from(m.to - m.from).unwrap_or(u32::MAX),
            segments,
            fate,
            reordered: m.reordered,
            late,
            delay,
        };
        (self.sink)(&fate);
    }

    /// Frames as left and right have them.
    fn sides(&self, sent: Option<&Sighting>, came: Option<&Sighting>) -> [Option<FrameNo>; 2] {
        let (sent, came) = (sent.map(|s| s.frame), came.map(|s| s.frame));
        if self.frame.delay.sender_is_left {
            [sent, came]
        } else {
            [came, sent]
        }
    }

    /// A moment of the sender's clock (or of the other's) by the left side's.
    fn left_time(&self, time: Timestamp, of_sender: bool) -> Timestamp {
        match self.frame.delay.clock {
            Some(clock) if of_sender != self.frame.delay.sender_is_left => clock.to_left(time),
            _ => time,
        }
    }

    fn event(
        &self,
        kind: EventKind,
        sent: Option<&Sighting>,
        came: Option<&Sighting>,
        delay: Option<f64>,
        differs: Option<bool>,
    ) -> Event {
        let time = match (sent, came) {
            (Some(s), _) => self.left_time(s.time, true),
            (None, Some(c)) => self.left_time(c.time, false),
            (None, None) => Timestamp::default(),
        };
        let one = sent.or(came);
        Event {
            kind,
            frames: self.sides(sent, came),
            time,
            octets: one.map_or(0, Sighting::payload),
            flags: one.map_or(0, |s| s.flags),
            delay,
            left_unfilled: sent.is_some_and(Sighting::is_unfilled),
            came_good: came.is_some_and(Sighting::is_good),
            payload_differs: differs,
            difference: None,
            too_long: false,
        }
    }

    fn arrivals(&mut self, matches: &[Match], contents: &[Content], series: Delays<'_>) {
        for (m, content) in matches.iter().zip(contents) {
            let Some(came) = self.came(m.came) else {
                continue;
            };
            let segments = self.pieces(m.from, m.to);
            let Some(sent) = m.sent.and_then(|at| self.sent(at)) else {
                self.path.only_right += segments;
                self.emit(m, Fate::Unsent, segments, false, None);
                let event = self.event(EventKind::Fate(Fate::Unsent), None, Some(came), None, None);
                self.events.add(event);
                continue;
            };
            let nanos = self.delay_of(m);
            let delay = nanos.map(seconds);
            if m.copy {
                self.path.duplicated += segments;
                self.emit(m, Fate::Copy, segments, false, delay);
                let event = self.event(
                    EventKind::Fate(Fate::Copy),
                    Some(sent),
                    Some(came),
                    delay,
                    None,
                );
                self.events.add(event);
                continue;
            }
            self.path.matched += segments;
            self.path.largest_came = self.path.largest_came.max(
                came.payload()
                    .min(u32::try_from(self.direction.piece).unwrap_or(u32::MAX)),
            );
            let late = nanos.is_some_and(|n| {
                n > self
                    .typical
                    .saturating_mul(2)
                    .max(self.typical.saturating_add(LATE))
            });
            if let Some(n) = nanos {
                let most = self.path.slowest.and_then(|e| e.delay);
                if most.is_none_or(|most| seconds(n) > most) {
                    let event = self.event(EventKind::Late, Some(sent), Some(came), delay, None);
                    self.path.slowest = Some(event);
                }
                self.path.measured = true;
                self.path
                    .delay
                    .add(Duration::from_nanos(u64::try_from(n).unwrap_or(0)));
                series(self.left_time(sent.time, true), seconds(n));
            }
            if m.reordered {
                self.path.reordered += segments;
                let event = self.event(EventKind::Reordered, Some(sent), Some(came), delay, None);
                self.events.add(event);
            }
            if late {
                self.path.delayed += segments;
                let event = self.event(EventKind::Late, Some(sent), Some(came), delay, None);
                self.events.add(event);
            }
            self.changes(sent, came, segments);
            let fate = self.fate(m, sent, came, content);
            match fate {
                Fate::Damaged | Fate::Unfilled => {
                    self.path.corrupted += segments;
                    self.path.unfilled += if fate == Fate::Unfilled { segments } else { 0 };
                    if came.is_good() {
                        self.path.modified.payload += segments;
                        self.path.rewritten += segments;
                    }
                }
                Fate::Refused => self.path.not_taken += segments,
                _ => {}
            }
            if fate != Fate::Delivered {
                let event = self.event(
                    EventKind::Fate(fate),
                    Some(sent),
                    Some(came),
                    delay,
                    content.differs,
                );
                if matches!(fate, Fate::Damaged | Fate::Unfilled) && event.is_by_adapter() {
                    self.path.by_adapter += segments;
                }
                self.events.add(event);
            }
            self.emit(m, fate, segments, late, delay);
        }
    }

    fn fate(&self, m: &Match, sent: &Sighting, came: &Sighting, content: &Content) -> Fate {
        if content.differs == Some(true) {
            return Fate::Damaged;
        }
        let taken = || self.receiver.took(m.from, m.to, came.time);
        // A sum that is wrong where the segment came, and was right or the adapter's to fill in where it left.
        if came.is_wrong() && !sent.is_wrong() {
            let proven = content.differs == Some(false) && taken() == Taken::Yes;
            return if proven {
                Fate::Delivered
            } else {
                Fate::Damaged
            };
        }
        if came.is_unfilled() || came.is_wrong() {
            return match taken() {
                Taken::No | Taken::Repeated => Fate::Unfilled,
                Taken::Yes | Taken::Unknown => Fate::Delivered,
            };
        }
        match taken() {
            Taken::No => Fate::Refused,
            Taken::Yes | Taken::Repeated | Taken::Unknown => Fate::Delivered,
        }
    }

    fn changes(&mut self, sent: &Sighting, came: &Sighting, segments: u64) {
        let modified = &mut self.path.modified;
        if sent.ttl != came.ttl {
            modified.ttl += segments;
            self.path.hops = Some(i16::from(sent.ttl) - i16::from(came.ttl));
        } else {
            self.path.hops.get_or_insert(0);
        }
        modified.tos += if sent.tos == came.tos { 0 } else { segments };
        if self.frame.shift != 0 {
            modified.sequence += segments;
        }
        if sent.ack == came.ack && sent.window != came.window && sent.length() == came.length() {
            modified.window += segments;
        }
        if let (Some(a), Some(b)) = (sent.timestamp(), came.timestamp())
            && a != b
            && !self.direction.trust.timestamps
        {
            modified.timestamps += segments;
        }
    }

    /// What left and did not come.
    fn holes(&mut self, covered: &HashMap<usize, Covered>, matches: &[Match]) {
        let direction = self.direction;
        let mut under_way: HashMap<usize, i64> = HashMap::new();
        for m in matches.iter().filter(|m| !m.copy) {
            if let (Some(at), Some(delay)) = (m.sent, self.delay_of(m)) {
                under_way.entry(at).or_insert(delay);
            }
        }
        // How long what was sent just before was under way: the queue that a lost segment met.
        let mut before = None;
        let mut times_lost: HashMap<i64, u32> = HashMap::new();
        let arrivals = Ranges::new(&direction.arrivals);
        let [_, heard] = self.frame.back;
        let heard = Receiver::new(heard, &[], direction.origin[0]);
        for departure in &direction.departures {
            let Some(sent) = self.sent(departure.at) else {
                continue;
            };
            self.path.octets += u64::from(sent.payload());
            before = under_way.get(&departure.at).copied().or(before);
            let holes = covered.get(&departure.at).map_or_else(
                || vec![(departure.start, departure.end)],
                |c| c.holes(departure.start, departure.end),
            );
            for (from, to) in holes {
                let segments = self.pieces(from, to);
                let fate = if !self.is_common(sent.time, before) {
                    Fate::Outside
                } else if self.came_unseen(from, to, sent.time, &arrivals, &heard) {
                    Fate::Missed
                } else {
                    Fate::Lost
                };
                let too_long = fate == Fate::Lost && self.is_too_long(sent);
                match fate {
                    Fate::Lost => {
                        self.path.lost += segments;
                        if sent.has(TcpFlags::SYN) {
                            self.path.lost_syns += segments;
                        } else if sent.payload() == 0 {
                            self.path.lost_fins += segments;
                        } else if too_long {
                            self.path.lost_long += segments;
                        } else {
                            let octets = self.on_the_wire(sent);
                            let least = self.path.smallest_lost.get_or_insert(octets);
                            *least = octets.min(*least);
                        }
                        let times = times_lost.entry(from).or_default();
                        *times += 1;
                        self.path.times_lost = self.path.times_lost.max(*times);
                        if self.path.lost_at.len() < MAX_LOST {
                            let left = self.left_time(sent.time, true);
                            self.path.lost_at.push(left);
                        }
                    }
                    Fate::Missed => self.path.missed += segments,
                    _ => self.path.outside += segments,
                }
                if fate != Fate::Outside {
                    let delay = before.map(seconds);
                    let mut event =
                        self.event(EventKind::Fate(fate), Some(sent), None, delay, None);
                    event.too_long = too_long;
                    self.events.add(event);
                }
                let hole = Match {
                    from,
                    to,
                    sent: Some(departure.at),
                    came: usize::MAX,
                    copy: false,
                    reordered: false,
                };
                self.emit(&hole, fate, segments, false, None);
            }
        }
    }

    /// When the receiving side heard of the sender.
    fn heard(&mut self) {
        for came in &self.direction.came.segments {
            let time = self.left_time(came.time, false);
            let full = self.path.heard.len() >= MAX_STRETCHES;
            match self.path.heard.last_mut() {
                // The last of too many stretches holds all that comes.
                Some((_, last)) if full || time.nanos_since(*last) < SILENCE => {
                    *last = time.max(*last);
                }
                _ => self.path.heard.push((time, time)),
            }
        }
    }

    /// Payload of one segment on the wire.
    fn on_the_wire(&self, sent: &Sighting) -> u32 {
        sent.payload()
            .min(u32::try_from(self.direction.piece).unwrap_or(u32::MAX))
    }

    fn is_too_long(&self, sent: &Sighting) -> bool {
        let options = if sent.timestamp().is_some() {
            TIMESTAMPS_OCTETS
        } else {
            0
        };
        let packet = self.on_the_wire(sent) + self.frame.headers + options;
        self.frame.fits.is_some_and(|mtu| packet > mtu)
    }

    /// Whether the receiving host says that it has these octets before a copy of them was seen to come: then one came that the capture
    /// there did not see. What left after it had said so is no such copy.
    fn came_unseen(
        &self,
        from: i64,
        to: i64,
        sent: Timestamp,
        arrivals: &Ranges,
        heard: &Receiver,
    ) -> bool {
        // Of one end of the hole or the other, the first copy that was seen.
        let first_seen = [from, to - 1]
            .into_iter()
            .map(|place| {
                let mut first = Timestamp(i64::MAX);
                arrivals.holding(place, Some(Timestamp(i64::MIN)), |r| {
                    first = first.min(r.time);
                });
                first
            })
            .max()
            .unwrap_or(Timestamp(i64::MAX));
        let delay = &self.frame.delay;
        if let Some(at) = self.receiver.had(from, to)
            && at < first_seen
        {
            return delay.between(sent, at).is_none_or(|n| n >= 0);
        }
        heard.had(from, to).is_some_and(|at| {
            at >= sent
                && (first_seen == Timestamp(i64::MAX)
                    || delay.sent_by(first_seen).is_some_and(|left| at < left))
        })
    }

    /// Whether the receiving side was capturing when something sent at this moment should have come. No capture tells when it was begun
    /// and stopped: its first and last frame do. `queue`: how long what was sent just before was under way.
    fn is_common(&self, sent: Timestamp, queue: Option<i64>) -> bool {
        self.frame.common.is_some_and(|(first, last)| {
            let longer = queue
                .unwrap_or(0)
                .saturating_sub(self.frame.delay.shortest());
            first <= sent && sent.plus_nanos(longer.max(0)) <= last
        })
    }

    /// Bare acknowledgements have no place of their own: each is paired with the first that is the same.
    fn acknowledgements(&mut self, series: Delays<'_>) {
        let key = |s: &Sighting, shift: u32| {
            (
                s.ack.0.wrapping_add(shift),
                if self.direction.trust.timestamps {
                    s.timestamp()
                } else {
                    None
                },
                if self.direction.trust.ip_id {
                    s.ip_id()
                } else {
                    None
                },
                s.sack().map(|(_, length)| length),
            )
        };
        let mut came: HashMap<_, Vec<&Sighting>> = HashMap::new();
        for s in self
            .direction
            .came
            .segments
            .iter()
            .filter(|s| s.is_bare_ack())
        {
            came.entry(key(s, 0)).or_default().push(s);
        }
        for list in came.values_mut() {
            list.reverse();
        }
        let any = !came.is_empty();
        for s in self
            .direction
            .sent
            .segments
            .iter()
            .filter(|s| s.is_bare_ack())
        {
            let inside = self.is_common(s.time, None);
            let found = came
                .get_mut(&key(s, self.frame.ack_shift))
                .and_then(Vec::pop);
            if found.is_none() && (!inside || !any) {
                continue;
            }
            self.path.acks += 1;
            match found {
                Some(other) => {
                    if let Some(n) = self.frame.delay.between(s.time, other.time) {
                        series(self.left_time(s.time, true), seconds(n));
                        self.path.measured = true;
                    }
                }
                None => {
                    self.path.acks_lost += 1;
                    let event = self.event(EventKind::AckLost, Some(s), None, None, None);
                    self.events.add(event);
                }
            }
        }
    }

    /// Resets that came and did not leave, while the sender's side was capturing.
    fn resets(&mut self) {
        fn resets(half: &Half) -> impl Iterator<Item = &Sighting> {
            half.segments.iter().filter(|s| s.has(TcpFlags::RST))
        }
        let Some((first, last)) = self.frame.watched else {
            return;
        };
        let mut left: HashMap<(u32, bool), u64> = HashMap::new();
        for s in resets(self.direction.sent) {
            *left.entry((s.seq.0, s.has(TcpFlags::ACK))).or_default() += 1;
        }
        for s in resets(self.direction.came) {
            let own = (s.seq.0.wrapping_sub(self.frame.shift), s.has(TcpFlags::ACK));
            match left.get_mut(&own) {
                Some(n) if *n > 0 => *n -= 1,
                _ if s.time < first || last < s.time => {}
                _ => {
                    self.path.resets_made += 1;
                    let event = self.event(EventKind::Reset, None, Some(s), None, None);
                    self.events.add(event);
                }
            }
        }
    }

    /// Options of the SYNs that came, against those of the same SYN where it left: a host that gets no answer may ask for less.
    fn options(&mut self, matches: &[Match]) {
        let pair = matches.iter().filter(|m| !m.copy).find_map(|m| {
            let (sent, came) = (self.sent(m.sent?)?, self.came(m.came)?);
            let syn =
                |half: &Half, frame: FrameNo| half.syns.iter().find(|s| s.frame == frame).copied();
            Some((
                syn(self.direction.sent, sent.frame)?,
                syn(self.direction.came, came.frame)?,
            ))
        });
        let Some((a, b)) = pair else { return };
        // Without clocks nothing tells which of several it is.
        if self.frame.delay.clock.is_none() && self.direction.sent.syns.len() > 1 {
            return;
        }
        let modified = &mut self.path.modified;
        let mut changed = Vec::new();
        if a.options.mss != b.options.mss {
            modified.mss += 1;
            changed.push("mss");
        }
        if a.options.window_scale != b.options.window_scale {
            modified.window_scale += 1;
            changed.push("window scale");
        }
        if a.options.sack_permitted != b.options.sack_permitted {
            modified.sack += 1;
            changed.push("SACK");
        }
        if a.timestamps != b.timestamps {
            modified.timestamps += 1;
            changed.push("timestamps");
        }
        for what in changed {
            let sides = if self.frame.delay.sender_is_left {
                [Some(a.frame), Some(b.frame)]
            } else {
                [Some(b.frame), Some(a.frame)]
            };
            let time = self.left_time(a.time, true);
            self.events.add(Event {
                kind: EventKind::Option(what),
                frames: sides,
                time,
                octets: 0,
                flags: 2,
                delay: None,
                left_unfilled: false,
                came_good: false,
                payload_differs: None,
                difference: None,
                too_long: false,
            });
        }
    }
}

/// The lower 32 bits of a place, as an addend to a sequence number.
#[allow(clippy::cast_possible_truncation)] // sequence numbers go round
const fn low_half(place: i64) -> i32 {
    place as i32
}
