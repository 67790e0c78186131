//! What one flow did over time, for graphs.
//!
//! Takes:  [`Moment`]s: what the flow stage made of each segment, told where somebody asks ([`FlowTable::moments`](super::FlowTable::moments))
//! Gives:  a [`Series`], at most some thousand points a line
//! Never:  thins away an extreme: of each slice of time the first and the last point stay, and the least and the greatest

use super::FlowIndex;
use super::connection::{Connection, Step};
use super::half::Verdict;
use super::record::{FlowRecord, Trigger};
use crate::decode::{Segment, TcpFlags};
use crate::net::{Direction, FrameNo, SeqNum, StreamOffset, Timestamp};

/// Slices of a flow's life that are told apart once its points are thinned.
const SLICES: i64 = 400;

/// Points of a line that are kept as they are; with more of them the line is thinned.
const MAX_WHOLE: usize = 1_600;

/// Points of a line held at one time before it is thinned.
const MAX_HELD: usize = 16_384;

/// Bars of the rates.
const BARS: i64 = 300;

/// Shortest bar: below it a rate tells single segments, and nothing of the path.
const MIN_BAR_NANOS: i64 = 10_000_000;

/// SACK blocks of one segment: more do not fit into its options (RFC 2018 section 3).
const MAX_BLOCKS: usize = 4;

/// A segment, and how its flow stands after it. Offsets count from the first sequence number seen of their direction.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The flow.
    pub flow: FlowIndex,
    /// The frame.
    pub frame: FrameNo,
    /// When.
    pub time: Timestamp,
    /// Which way it went.
    pub direction: Direction,
    /// Offset of its first octet.
    start: i64,
    octets: u32,
    kind: PointKind,
    /// What the sender has on its way, and what the other end's window allows.
    flight: u64,
    peer_window: Option<u64>,
    /// Of the other direction: what is acknowledged, what is on its way, what the sender of this segment allows.
    una: Option<i64>,
    peer_flight: u64,
    window: Option<u64>,
    /// Round-trip samples of the other direction so far, and the last one.
    rtt: (u64, Option<i64>),
    blocks: [(i64, i64); MAX_BLOCKS],
}

/// What a segment is, for a mark of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PointKind {
    /// Nothing that needs a mark.
    Plain,
    /// Sent again by duplicate ACKs, SACK or RACK.
    Fast,
    /// Sent again by the timer.
    Timeout,
    /// Sent again as a tail loss probe.
    TailProbe,
    /// Sent again needlessly.
    Spurious,
    /// Sent again, and not told why.
    Repeat,
    /// An original that came late.
    Reordered,
    /// A copy made by the network or by the capture.
    Copy,
    /// A keep-alive or a probe of a closed window.
    Probe,
    /// Its sender's window is shut.
    ZeroWindow,
    /// It carries SYN.
    Syn,
    /// It carries FIN.
    Fin,
    /// It carries RST.
    Reset,
}

impl Connection {
    /// How the connection stands after `seg`.
    pub(super) fn moment(
        &mut self,
        seg: &Segment,
        sacks: &[(SeqNum, SeqNum)],
        step: &Step,
    ) -> Moment {
        let (own, other) = (step.direction.index(), step.direction.reverse().index());
        let relative = |offset: u64| StreamOffset(offset).since(StreamOffset::ORIGIN);
        let mut blocks = [(0, 0); MAX_BLOCKS];
        if self.halves[other].started() {
            for (block, (left, right)) in blocks.iter_mut().zip(sacks) {
                let half = &mut self.halves[other];
                *block = (relative(half.offset(*left)), relative(half.offset(*right)));
            }
        }
        let start = self.halves[own].offset(seg.seq);
        let (mine, theirs) = (&self.halves[own], &self.halves[other]);
        Moment {
            flow: self.index,
            frame: seg.frame,
            time: seg.time,
            direction: step.direction,
            start: relative(start),
            octets: seg.payload_octets,
            kind: kind(seg, step.verdict, mine.is_shut()),
            flight: mine.flight(),
            peer_window: theirs.window,
            una: theirs.una.map(relative),
            peer_flight: theirs.flight(),
            window: mine.window,
            rtt: (theirs.rtts.count(), theirs.last_rtt),
            blocks,
        }
    }
}

fn kind(seg: &Segment, verdict: Verdict, shut: bool) -> PointKind {
    match verdict {
        Verdict::Repeat(_, trigger) => trigger_kind(trigger),
        Verdict::Reordered => PointKind::Reordered,
        Verdict::Copy => PointKind::Copy,
        Verdict::KeepAlive | Verdict::WindowProbe => PointKind::Probe,
        Verdict::Bare | Verdict::New | Verdict::Outside => {
            if seg.flags.has(TcpFlags::RST) {
                PointKind::Reset
            } else if seg.flags.has(TcpFlags::SYN) {
                PointKind::Syn
            } else if seg.flags.has(TcpFlags::FIN) {
                PointKind::Fin
            } else if shut {
                PointKind::ZeroWindow
            } else {
                PointKind::Plain
            }
        }
    }
}

const fn trigger_kind(trigger: Trigger) -> PointKind {
    match trigger {
        Trigger::Fast => PointKind::Fast,
        Trigger::Timeout => PointKind::Timeout,
        Trigger::TailProbe => PointKind::TailProbe,
        Trigger::Unknown => PointKind::Repeat,
    }
}

/// A point of a line.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Nanoseconds since the start of the flow.
    pub at: i64,
    /// Its frame.
    pub frame: FrameNo,
    /// What the line is of.
    pub value: i64,
    /// What goes with it; `None` where that is not known.
    pub other: Option<i64>,
    /// The mark that it has.
    pub kind: PointKind,
}

/// Points in order of time, thinned where they are too many.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// Those that were kept.
    pub points: Vec<Point>,
    /// How many there were.
    pub all: u64,
}

impl Line {
    fn push(&mut self, point: Point, slice: i64) {
        self.all += 1;
        self.points.push(point);
        if self.points.len() >= MAX_HELD {
            self.thin(slice);
        }
    }

    /// Keeps, of each slice of time, the first and the last point, and those with the least and greatest values (after Jugel and
    /// others, "M4: A Visualization-Oriented Time Series Data Aggregation", 2014). Thinning what was thinned loses nothing more.
    fn thin(&mut self, slice: i64) {
        let slice_of = |p: &Point| p.at.div_euclid(slice.max(1)).clamp(-1, SLICES + 1);
        self.points.sort_by_key(|p| p.at);
        let mut kept = Vec::with_capacity(self.points.len().min(MAX_HELD / 2));
        for points in self.points.chunk_by(|a, b| slice_of(a) == slice_of(b)) {
            let by_value = |p: &(usize, &Point)| p.1.value;
            let by_other = |p: &(usize, &Point)| p.1.other;
            let numbered = || points.iter().enumerate();
            let known = || numbered().filter(|(_, p)| p.other.is_some());
            let mut places = [
                Some(0),
                Some(points.len() - 1),
                numbered().min_by_key(by_value).map(|p| p.0),
                numbered().max_by_key(by_value).map(|p| p.0),
                known().min_by_key(by_other).map(|p| p.0),
                known().max_by_key(by_other).map(|p| p.0),
            ];
            places.sort_unstable();
            let mut last = None;
            for place in places.into_iter().flatten() {
                if last != Some(place) {
                    kept.extend(points.get(place));
                    last = Some(place);
                }
            }
        }
        self.points = kept;
    }

    fn finish(&mut self, slice: i64) {
        if self.points.len() > MAX_WHOLE {
            self.thin(slice);
        }
    }
}

/// One direction over time.
#[derive(Clone, Debug, Default)]
pub struct Way {
    /// Segments with payload: offset of the first octet, and how many.
    pub segments: Line,
    /// Segments with a mark: the same.
    pub marks: Line,
    /// The other end's acknowledgements: offset acknowledged, and the edge of its window.
    pub acks: Line,
    /// The other end's SACK blocks: left and right edge.
    pub blocks: Line,
    /// Octets on their way, and the other end's window.
    pub flight: Line,
    /// Round-trip samples in nanoseconds.
    pub rtt: Line,
    /// Octets sent, repeats included, and octets acknowledged, for each of [`Series::bar`].
    pub rates: Vec<(u64, u64)>,
    una: Option<i64>,
    samples: u64,
}

/// One flow over time.
#[derive(Clone, Debug)]
pub struct Series {
    /// Time of its first segment.
    pub start: Timestamp,
    /// Nanoseconds from first to last segment.
    pub length: i64,
    /// Nanoseconds that one entry of [`Way::rates`] stands for.
    pub bar: i64,
    /// Per direction: index with [`Direction::index`].
    pub ways: [Way; 2],
}

impl Series {
    /// An empty one for a flow of this life.
    #[must_use]
    pub fn new(start: Timestamp, end: Timestamp) -> Self {
        let length = end.nanos_since(start).max(1);
        let bar = (length / BARS).max(MIN_BAR_NANOS);
        let bars = usize::try_from(length / bar).unwrap_or_default() + 1;
        let way = || Way {
            rates: vec![(0, 0); bars],
            ..Way::default()
        };
        Self {
            start,
            length,
            bar,
            ways: [way(), way()],
        }
    }

    fn slice(&self) -> i64 {
        self.length / SLICES + 1
    }

    /// Takes the next moment of its flow.
    pub fn push(&mut self, moment: &Moment) {
        let slice = self.slice();
        let at = moment.time.nanos_since(self.start);
        let bar = usize::try_from(at / self.bar).unwrap_or_default();
        let point = |value, other, kind| Point {
            at,
            frame: moment.frame,
            value,
            other,
            kind,
        };
        let [ref mut up, ref mut down] = self.ways;
        let (own, other) = match moment.direction {
            Direction::ClientToServer => (up, down),
            Direction::ServerToClient => (down, up),
        };
        let sent = point(moment.start, Some(i64::from(moment.octets)), moment.kind);
        if moment.octets > 0 {
            own.segments.push(sent, slice);
            own.level(
                point(
                    wide(moment.flight),
                    moment.peer_window.map(wide),
                    PointKind::Plain,
                ),
                slice,
            );
            if let Some((octets, _)) = own.rates.get_mut(bar) {
                *octets += u64::from(moment.octets);
            }
        }
        if !matches!(moment.kind, PointKind::Plain | PointKind::ZeroWindow) {
            own.marks.push(sent, slice);
        }
        let Some(una) = moment.una else { return };
        // A shut window concerns the octets that the other end has to send.
        if moment.kind == PointKind::ZeroWindow {
            other.marks.push(point(una, None, moment.kind), slice);
        }
        let edge = moment.window.map(|w| una.saturating_add(wide(w)));
        other.acks.push(point(una, edge, moment.kind), slice);
        if let Some(before) = other.una
            && let Ok(more) = u64::try_from(una - before)
            && let Some((_, octets)) = other.rates.get_mut(bar)
        {
            *octets += more;
        }
        other.una = Some(una);
        other.level(
            point(
                wide(moment.peer_flight),
                moment.window.map(wide),
                PointKind::Plain,
            ),
            slice,
        );
        for (left, right) in moment.blocks {
            if left != right {
                other
                    .blocks
                    .push(point(left, Some(right), PointKind::Plain), slice);
            }
        }
        let (samples, rtt) = moment.rtt;
        if samples > other.samples
            && let Some(rtt) = rtt
        {
            other.samples = samples;
            other.rtt.push(point(rtt, None, PointKind::Plain), slice);
        }
    }

    /// The flow has ended: what its record knows better of its repeats goes in, and lines that are too long are thinned.
    pub fn settle(&mut self, record: &FlowRecord) {
        let slice = self.slice();
        for (way, half) in self.ways.iter_mut().zip(&record.halves) {
            let mut repeats: Vec<_> = half.repeats.iter().map(|r| (r.frame, r)).collect();
            repeats.sort_by_key(|(frame, _)| *frame);
            for mark in &mut way.marks.points {
                if let Ok(place) = repeats.binary_search_by_key(&mark.frame, |(frame, _)| *frame)
                    && let Some((_, repeat)) = repeats.get(place)
                {
                    mark.kind = if repeat.spurious {
                        PointKind::Spurious
                    } else {
                        trigger_kind(repeat.trigger)
                    };
                }
            }
            for line in [
                &mut way.segments,
                &mut way.marks,
                &mut way.acks,
                &mut way.blocks,
                &mut way.flight,
                &mut way.rtt,
            ] {
                line.finish(slice);
            }
        }
    }
}

impl Way {
    /// What is on its way, where that or the window has changed.
    fn level(&mut self, point: Point, slice: i64) {
        let same = |last: &Point| (last.value, last.other) == (point.value, point.other);
        if !self.flight.points.last().is_some_and(same) {
            self.flight.push(point, slice);
        }
    }
}

fn wide(octets: u64) -> i64 {
    i64::try_from(octets).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(points: impl Iterator<Item = (i64, i64, Option<i64>)>, slice: i64) -> Line {
        let mut line = Line::default();
        for (at, value, other) in points {
            let point = Point {
                at,
                frame: FrameNo(1),
                value,
                other,
                kind: PointKind::Plain,
            };
            line.push(point, slice);
        }
        line.finish(slice);
        line
    }

    #[test]
    fn few_points_stay_as_they_are() {
        let kept = line((0..1_000).map(|n| (n, n % 7, None)), 10);
        assert_eq!((kept.points.len(), kept.all), (1_000, 1_000));
    }

    #[test]
    fn thinning_keeps_extremes_and_stays_small() {
        for (name, order) in [("in order", 1), ("backwards in time", -1)] {
            // 400 slices of 1000; one spike and one dip, told apart from their neighbours by value alone.
            let points = (0..400_000_i64).map(|n| {
                let value = match n {
                    123_456 => 1_000_000,
                    234_567 => -1,
                    n => 1_000 + n % 50,
                };
                (n * order, value, (n == 345_678).then_some(7))
            });
            let kept = line(points, 1_000);
            assert_eq!(kept.all, 400_000, "{name}");
            assert!(
                kept.points.len() <= 6 * 402,
                "{name}: {}",
                kept.points.len()
            );
            if order > 0 {
                for wanted in [1_000_000, -1] {
                    assert!(
                        kept.points.iter().any(|p| p.value == wanted),
                        "{name}: {wanted}"
                    );
                }
                assert!(kept.points.iter().any(|p| p.other == Some(7)), "{name}");
                let places: Vec<i64> = kept.points.iter().map(|p| p.at).collect();
                assert!(places.is_sorted(), "{name}");
                assert_eq!((places.first(), places.last()), (Some(&0), Some(&399_999)));
            }
        }
    }
}
