//! Lays what one side saw of a direction on what the other side saw of it.
//!
//! Takes:  the segments as they left one point, and as they came to the other
//! Gives:  which arrival is which departure, octet by octet, so that segments split or merged between are no losses
//! Never:  takes a number in the IP header for proof: sequence numbers and content decide, time stamps and IP identification only
//!         between copies of the same octets

use std::collections::HashMap;

use super::clock::Clock;
use super::ranges::{Covered, Range, Ranges};
use super::table::{Half, Sighting};
use crate::net::{SeqNum, Timestamp};

/// Segments that a trust in a header field must rest on, and how many of them it has to hold for.
const LEAST_TO_TRUST: usize = 4;
const TRUSTED_SHARE: f64 = 0.9;
/// A super-segment is sent as so many at most: how far its IP identification counts on.
const PIECES: u16 = 64;
/// Clocks are read this coarsely.
const COARSE: i64 = 1_000_000;

/// One direction of a connection, as it left one side and came to the other.
pub(super) struct Direction<'a> {
    pub(super) sent: &'a Half,
    pub(super) came: &'a Half,
    /// Ranges of sequence space, in the order in which they were sent, and in which they came.
    pub(super) departures: Vec<Range>,
    pub(super) arrivals: Vec<Range>,
    /// The departures by their place.
    by_place: Ranges,
    /// Pairs that need no clock: places of ranges that each side saw once.
    pub(super) sure: Vec<(usize, usize)>,
    pub(super) trust: Trust,
    /// Sequence number that the place 0 has on the sender's side, and on the other.
    pub(super) origin: [SeqNum; 2],
    /// Payload of one segment on the wire.
    pub(super) piece: i64,
}

/// Which fields of the headers come through unchanged, so that they can tell copies apart.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Trust {
    pub(super) timestamps: bool,
    pub(super) ip_id: bool,
}

/// One stretch of a departure that came, or an arrival that nobody sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Match {
    pub(super) from: i64,
    pub(super) to: i64,
    /// Places in the lists of sightings.
    pub(super) sent: Option<usize>,
    pub(super) came: usize,
    /// The same octets of the same departure had come before.
    pub(super) copy: bool,
    /// Came after what was sent later.
    pub(super) reordered: bool,
}

/// How long a segment was under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delay<'a> {
    pub(super) clock: Option<&'a Clock>,
    pub(super) sender_is_left: bool,
}

impl Delay<'_> {
    /// Nanoseconds; `None` where the clocks are not known, or one of them was set in between.
    pub(super) fn between(&self, sent: Timestamp, came: Timestamp) -> Option<i64> {
        let clock = self.clock.filter(|c| c.step.is_none())?;
        Some(if self.sender_is_left {
            came.nanos_since(clock.to_right(sent))
        } else {
            came.nanos_since(clock.to_left(sent))
        })
    }

    /// When a segment that came at this moment was sent at the latest, by the sender's clock.
    pub(super) fn sent_by(&self, came: Timestamp) -> Option<Timestamp> {
        let clock = self.clock?;
        Some(if self.sender_is_left {
            clock.to_left(came)
        } else {
            clock.to_right(came)
        })
    }

    /// The path's shortest delay, as far as the clocks know it.
    pub(super) fn shortest(&self) -> i64 {
        seconds_to_nanos(self.clock.and_then(|c| c.error).unwrap_or_default())
    }

    /// How far a delay may lie below the shortest.
    pub(super) fn slack(&self) -> i64 {
        let jitter = self
            .clock
            .and_then(|c| c.error_if_symmetric)
            .unwrap_or_default();
        COARSE.saturating_add(seconds_to_nanos(jitter * 3.0))
    }
}

#[allow(clippy::cast_possible_truncation)]
fn seconds_to_nanos(seconds: f64) -> i64 {
    (seconds * 1e9) as i64
}

impl<'a> Direction<'a> {
    /// `shift`: what is added to a sequence number of the sender's side to get the other's.
    pub(super) fn new(sent: &'a Half, came: &'a Half, shift: u32, piece: i64) -> Self {
        let first = |half: &Half| {
            half.syn()
                .map(|s| s.seq)
                .or(half.segments.first().map(|s| s.seq))
        };
        let own = first(sent)
            .or_else(|| first(came).map(|seq| seq.plus(shift.wrapping_neg())))
            .unwrap_or_default();
        let other = own.plus(shift);
        let (departures, arrivals) = (ranges(sent, own), ranges(came, other));
        let by_place = Ranges::new(&departures);
        let mut direction = Self {
            sent,
            came,
            sure: sure(&by_place, &Ranges::new(&arrivals)),
            departures,
            by_place,
            arrivals,
            trust: Trust::default(),
            origin: [own, other],
            piece: piece.max(1),
        };
        direction.trust = direction.learn_trust();
        direction
    }

    fn learn_trust(&self) -> Trust {
        let (mut with_time, mut same_time) = (0, 0);
        let (mut with_id, mut same_id) = (0, 0);
        for &(s, c) in &self.sure {
            let (Some(s), Some(c)) = (self.sent.segments.get(s), self.came.segments.get(c)) else {
                continue;
            };
            if let (Some(a), Some(b)) = (s.timestamp(), c.timestamp()) {
                with_time += 1;
                same_time += usize::from(a == b);
            }
            if let (Some(a), Some(b)) = (s.ip_id(), c.ip_id()) {
                with_id += 1;
                same_id += usize::from(a == b);
            }
        }
        // Where nothing is known to be against it, what is there is believed.
        let holds = |same: usize, of: usize| {
            of < LEAST_TO_TRUST || same as f64 >= of as f64 * TRUSTED_SHARE
        };
        Trust {
            timestamps: holds(same_time, with_time),
            ip_id: holds(same_id, with_id),
        }
    }

    /// Lays arrivals on departures.
    pub(super) fn matches(&self, delay: Delay<'_>) -> (Vec<Match>, HashMap<usize, Covered>) {
        let mut found = Vec::with_capacity(self.arrivals.len());
        let mut covered: HashMap<usize, Covered> = HashMap::new();
        let mut whole = vec![false; self.sent.segments.len()];
        let mut latest = (0, i64::MIN);
        for arrival in &self.arrivals {
            let Some(came) = self.came.segments.get(arrival.at) else {
                continue;
            };
            let mut from = arrival.start;
            while from < arrival.end {
                let best = self.best(from, arrival, came, delay, |at| {
                    whole.get(at).copied().unwrap_or_default()
                        || covered.get(&at).is_some_and(|c| c.holds(from))
                });
                let Some(departure) = best else {
                    let to = self
                        .by_place
                        .next_start(from)
                        .map_or(arrival.end, |next| next.min(arrival.end));
                    found.push(Match {
                        from,
                        to,
                        sent: None,
                        came: arrival.at,
                        copy: false,
                        reordered: false,
                    });
                    from = to;
                    continue;
                };
                let to = departure.end.min(arrival.end);
                let copy = whole.get(departure.at).copied().unwrap_or_default()
                    || covered.get(&departure.at).is_some_and(|c| c.holds(from));
                if from == departure.start && to == departure.end {
                    if let Some(w) = whole.get_mut(departure.at) {
                        *w = true;
                    }
                } else {
                    covered.entry(departure.at).or_default().add(from, to);
                }
                let place = (departure.at, from);
                let reordered = !copy && place < latest;
                if !copy {
                    latest = latest.max(place);
                }
                found.push(Match {
                    from,
                    to,
                    sent: Some(departure.at),
                    came: arrival.at,
                    copy,
                    reordered,
                });
                from = to;
            }
        }
        for departure in &self.departures {
            if whole.get(departure.at).copied().unwrap_or_default() {
                covered
                    .entry(departure.at)
                    .or_default()
                    .add(departure.start, departure.end);
            }
        }
        (found, covered)
    }

    /// The departure that an arrival's octet at `place` most likely is of.
    fn best(
        &self,
        place: i64,
        arrival: &Range,
        came: &Sighting,
        delay: Delay<'_>,
        taken: impl Fn(usize) -> bool,
    ) -> Option<Range> {
        let near = delay.sent_by(arrival.time);
        let mut best: Option<((bool, u32, bool, i64), Range)> = None;
        self.by_place.holding(place, near, |departure| {
            let Some(sent) = self.sent.segments.get(departure.at) else {
                return;
            };
            let differs = self.differs(place, departure, sent, arrival, came);
            let under_way = delay.between(sent.time, came.time);
            let early =
                under_way.is_some_and(|d| d < delay.shortest().saturating_sub(delay.slack()));
            let excess =
                under_way.map_or(0, |d| d.saturating_sub(delay.shortest()).saturating_abs());
            let cost = (early, differs, taken(departure.at), excess);
            if best.as_ref().is_none_or(|(least, _)| cost < *least) {
                best = Some((cost, *departure));
            }
        });
        // What came before it was sent is another copy, which the sender's side did not see; unless nothing tells the two apart.
        best.filter(|((early, differs, ..), _)| !early || *differs < Self::ANOTHER)
            .map(|(_, departure)| departure)
    }

    /// From here on two copies are not the same packet.
    const ANOTHER: u32 = 8;

    /// How much two packets with the same octet differ.
    fn differs(
        &self,
        place: i64,
        departure: &Range,
        sent: &Sighting,
        arrival: &Range,
        came: &Sighting,
    ) -> u32 {
        let mut differs = 0;
        if self.trust.timestamps
            && let (Some(a), Some(b)) = (sent.timestamp(), came.timestamp())
            && a != b
        {
            differs += Self::ANOTHER;
        }
        if self.trust.ip_id
            && let (Some(a), Some(b)) = (sent.ip_id(), came.ip_id())
        {
            let single =
                i64::from(sent.payload()) <= self.piece && i64::from(came.payload()) <= self.piece;
            let same = if single && departure.start == arrival.start {
                a == b
            } else {
                // Each piece of a super-segment has the number after that of the one before.
                let number = |id: u16, start: i64| {
                    let pieces = u16::try_from((place - start) / self.piece).unwrap_or(u16::MAX);
                    id.wrapping_add(pieces)
                };
                number(b, arrival.start)
                    .wrapping_sub(number(a, departure.start))
                    .wrapping_add(2)
                    < PIECES
            };
            differs += if same { 0 } else { Self::ANOTHER };
        }
        differs += u32::from(sent.ack != came.ack);
        if departure.start == arrival.start && departure.end == arrival.end {
            differs += u32::from(sent.is_whole() && came.is_whole() && sent.digest != came.digest);
        } else {
            differs += 1;
        }
        differs
    }
}

/// The places of a half's segments in the sequence space, those that take none left out.
fn ranges(half: &Half, origin: SeqNum) -> Vec<Range> {
    let mut places = Places::new(origin);
    (0..)
        .zip(&half.segments)
        .filter(|(_, s)| s.length() > 0)
        .map(|(at, s)| {
            let start = places.of(s.seq, true);
            Range {
                start,
                end: start + i64::from(s.length()),
                time: s.time,
                at,
            }
        })
        .collect()
}

/// Turns sequence numbers into places that do not wrap.
#[derive(Clone, Copy, Debug)]
pub(super) struct Places {
    seq: SeqNum,
    place: i64,
}

impl Places {
    pub(super) const fn new(origin: SeqNum) -> Self {
        Self {
            seq: origin,
            place: 0,
        }
    }

    /// The place of a number near the last; `go_on`: later numbers are near this one.
    pub(super) fn of(&mut self, seq: SeqNum, go_on: bool) -> i64 {
        let distance = i64::from(self.seq.distance_to(seq));
        let place = self.place + distance;
        // A stray number does not carry the others along.
        if go_on && (1..1 << 30).contains(&distance) {
            *self = Self { seq, place };
        }
        place
    }
}

/// Pairs of ranges that each side saw once; of those that begin alike, where hardly any also end alike.
fn sure(sent: &Ranges, came: &Ranges) -> Vec<(usize, usize)> {
    let exact = once(sent.sorted(), came.sorted(), |r| (r.start, r.end));
    if exact.len() >= LEAST_TO_TRUST {
        return exact;
    }
    let starts = once(sent.sorted(), came.sorted(), |r| (r.start, 0));
    if starts.len() > exact.len() {
        starts
    } else {
        exact
    }
}

/// Pairs of ranges whose key stands once in either list; both are in order of their start.
fn once<K: Ord>(a: &[Range], b: &[Range], key: impl Fn(&Range) -> K) -> Vec<(usize, usize)> {
    let singles = |list: &[Range]| -> Vec<(K, usize)> {
        let mut all: Vec<(K, usize)> = list.iter().map(|r| (key(r), r.at)).collect();
        // In order already, unless octets were sent again in other pieces.
        if !all.is_sorted() {
            all.sort();
        }
        let mut kept: Vec<(K, usize)> = Vec::with_capacity(all.len());
        let mut again = false;
        for (k, at) in all {
            if kept.last().is_some_and(|(last, _)| *last == k) {
                again = true;
                continue;
            }
            if again {
                kept.pop();
                again = false;
            }
            kept.push((k, at));
        }
        if again {
            kept.pop();
        }
        kept
    };
    let (a, b) = (singles(a), singles(b));
    let mut pairs = Vec::new();
    let mut b = b.into_iter().peekable();
    for (k, at) in a {
        while b.next_if(|(other, _)| *other < k).is_some() {}
        if let Some((_, other)) = b.next_if(|(other, _)| *other == k) {
            pairs.push((at, other));
        }
    }
    pairs
}
