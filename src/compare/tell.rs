//! The fate of each segment of one direction of one connection; `tell/` has one file a question.
//!
//! Takes:  a [`Direction`], the clock, what the receiving host said
//! Gives:  a [`Path`]: counts and delays; a [`SegmentFate`] for each stretch of each segment, to whoever wants them; [`Event`]s as proof
//! Never:  calls octets lost that were acknowledged without being seen: a capture that missed them is no path that lost them

mod beside;
mod came;
mod lost;

use super::align::{Delay, Direction, Match};
use super::fate::{Event, EventKind, Events, Fate, Path, SegmentFate};
use super::table::{Half, Sighting};
use super::taken::Receiver;
use crate::net::{FrameNo, Timestamp};

/// Octets that the timestamps option takes of a segment.
pub(super) const TIMESTAMPS_OCTETS: u32 = 12;

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
            windows: sent.zip(came).map(|(s, c)| [s.window, c.window]),
        }
    }

    /// Keeps that a smaller window came than was offered.
    fn window(&mut self, sent: &Sighting, came: &Sighting) {
        if came.window < sent.window {
            self.path.windows_lowered += 1;
            let event = self.event(EventKind::Window, Some(sent), Some(came), None, None);
            self.events.add(event);
        }
    }

    /// Payload of one segment on the wire.
    fn on_the_wire(&self, sent: &Sighting) -> u32 {
        sent.payload()
            .min(u32::try_from(self.direction.piece).unwrap_or(u32::MAX))
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
}

/// The lower 32 bits of a place, as an addend to a sequence number.
#[allow(clippy::cast_possible_truncation)] // sequence numbers go round
const fn low_half(place: i64) -> i32 {
    place as i32
}
