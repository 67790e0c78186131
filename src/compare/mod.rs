//! Compare stage: two captures of the same traffic in, the fate of each segment out; and the same traffic before and after a remedy.
//!
//! Takes:  [`SegmentBatch`](crate::decode::SegmentBatch)es of two sides, each into a [`View`]
//! Gives:  [`Compared`]: the difference of the clocks, and for each connection and direction a [`Path`]; [`Finding`](crate::detect::Finding)s
//! Never:  trusts IP identification alone; claims a loss that one of the captures may have made

mod align;
mod clock;
mod fate;
mod judge;
mod octets;
mod pair;
mod ranges;
mod sample;
mod table;
mod taken;
mod tell;
pub mod verify;

pub use clock::{Clock, Step};
pub use fate::{Event, EventKind, Events, Fate, Modified, Path, SegmentFate};
pub use judge::findings;
pub use octets::{Difference, difference};
pub use pair::Basis;
pub use sample::{Relation, Sample, connection, relate};
pub use table::{Limits, View};

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use crate::decode::TcpFlags;
use crate::net::{Direction, Endpoint, FrameNo, SeqNum, Timestamp};

use align::Delay;
use clock::Samples;
use pair::Pair;
use table::{Connection, Half, Sighting};
use tell::Frame;

/// Points of a series of delays.
pub const POINTS: usize = 1_000;
/// Payload of a segment where no SYN tells.
const USUAL_PIECE: u32 = 1_460;
/// Octets of the IP and TCP headers without options.
const HEADERS: [u32; 2] = [40, 60];
/// Two points that are nearer to each other than this are as one.
const AS_ONE: u64 = 20_000;

/// The delays of a stretch of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DelayPoint {
    /// Its beginning, by the left side's clock.
    pub time: Timestamp,
    /// Least, seconds.
    pub min: f64,
    /// Greatest, seconds.
    pub max: f64,
    /// Segments.
    pub segments: u64,
}

/// One connection as both sides saw it.
#[derive(Clone, Debug)]
pub struct Joined {
    /// Number of the flow on the left and on the right, and the capture of the side in which it began.
    pub flows: [Option<(u64, u32)>; 2],
    /// Its ends, as the left side has them, or the right where the left has nothing.
    pub client: Endpoint,
    /// See [`client`](Self::client).
    pub server: Endpoint,
    /// Its ends on the right, where they are others there.
    pub right_ends: Option<[Endpoint; 2]>,
    /// How the two were found to be one.
    pub basis: Basis,
    /// Whether the left side lies nearer to the client.
    pub left_is_client: bool,
    /// By direction, client to server first.
    pub paths: [Path; 2],
    /// By direction.
    pub events: [Events; 2],
    /// First moment, by the clock of the left side.
    pub start: Timestamp,
    /// How long the client and the server took for their answers, each by the capture beside it.
    pub waits: [Wait; 2],
    /// By direction: a router said that segments between these hosts were too long for its next link: the frame that says so, and what
    /// fits.
    pub too_big: [Option<(FrameNo, u32)>; 2],
    /// What the server's side shows of its SYN.
    pub opening: Opening,
    /// What both captures show of the path between its hosts.
    pub ground: Ground,
    /// A SYN beside the client, and no answer, where the other side does not have the connection.
    pub unanswered: bool,
    /// Whether its segments were counted: those of a connection that one side alone saw are not, unless nobody answered it and the other
    /// side shows that service of these hosts.
    pub counted: bool,
}

/// What the capture beside the server shows of how a connection began.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Opening {
    /// The first SYN where it left, and where it came.
    pub syns: [Option<FrameNo>; 2],
    /// Whether anything left there in answer.
    pub answered: bool,
    /// Seconds for which both captures went on behind the first SYN that came.
    pub watched: Option<f64>,
}

/// What both captures show of two hosts. Where they do not show the same traffic, what one of them lacks is not lost.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Ground {
    /// Nothing.
    #[default]
    Nothing,
    /// Other services of these hosts: a capture may have been filtered, or a device may let pass these alone.
    Hosts,
    /// The same service of these hosts.
    Service,
}

/// Answers of one host, from the last octet of a request that came to its first octet of the answer.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Wait {
    /// Answers.
    pub answers: u64,
    /// Seconds, all of them together.
    pub seconds: f64,
    /// Seconds, the longest.
    pub longest: f64,
    /// Frame of the request, and that of the answer, of the longest.
    pub frames: Option<[FrameNo; 2]>,
}

/// What two views show together.
#[derive(Clone, Debug, Default)]
pub struct Compared {
    /// Difference of the clocks; `None` where no segment was seen on both sides.
    pub clock: Option<Clock>,
    /// The connections, in the order of the left side.
    pub pairs: Vec<Joined>,
    /// One-way delays: from left to right, and back.
    pub delays: [Vec<DelayPoint>; 2],
    /// From this moment on (by the left side's clock) nothing was compared, for want of room.
    pub until: Option<Timestamp>,
    /// Frames left out of the left and of the right side, as the capture holds them twice; and the first with its like.
    pub copies: [(u64, Option<[FrameNo; 2]>); 2],
}

/// Damaged segments whose octets are looked at a second time.
pub const MAX_DIFFERENCES: usize = 200;

impl Compared {
    /// Frames, left and right, of segments whose payload changed on the way: what to read again, to tell which octets.
    #[must_use]
    pub fn changed(&self) -> Vec<[FrameNo; 2]> {
        self.events()
            .filter(|e| e.payload_differs == Some(true))
            .filter_map(|e| match e.frames {
                [Some(left), Some(right)] => Some([left, right]),
                _ => None,
            })
            .take(MAX_DIFFERENCES)
            .collect()
    }

    /// Takes in which octets of them differ. Text that a device masked is no damage.
    pub fn settle(&mut self, differences: &HashMap<[FrameNo; 2], Difference>) {
        for joined in &mut self.pairs {
            for (path, events) in joined.paths.iter_mut().zip(&mut joined.events) {
                for event in events.iter_mut() {
                    let [Some(left), Some(right)] = event.frames else {
                        continue;
                    };
                    event.difference = differences.get(&[left, right]).copied();
                    if event.difference.is_some_and(|d| d.masked)
                        && event.came_good
                        && event.kind == EventKind::Fate(Fate::Damaged)
                    {
                        event.kind = EventKind::Payload;
                        path.corrupted = path.corrupted.saturating_sub(1);
                        path.rewritten = path.rewritten.saturating_sub(1);
                    }
                }
            }
        }
    }

    fn events(&self) -> impl Iterator<Item = &Event> {
        self.pairs
            .iter()
            .flat_map(|p| p.events.iter().flat_map(Events::iter))
    }
}

/// Compares two views; each segment's fate goes to `sink` as well.
#[must_use]
pub fn compare(left: &mut View, right: &mut View, sink: &mut dyn FnMut(&SegmentFate)) -> Compared {
    left.settle();
    right.settle();
    pair::agree_on_roles([left, right]);
    let found = pair::pairs([left, right]);
    let mut orientation = Orientation::default();
    let mut nearer: Vec<Option<bool>> = Vec::with_capacity(found.len());
    let mut probes = Vec::with_capacity(found.len());
    let mut common = Common::default();
    for pair in &found {
        let sides = sides(pair, left, right);
        let probe = sides.map_or_else(Probe::default, |(l, r)| Probe::of(l, r, pair));
        if let Some((l, r)) = sides
            && probe.samples.iter().any(|list| !list.is_empty())
        {
            common.add([l, r]);
        }
        let [n, m] = pair.sides;
        let each = n.and_then(|n| left.connections.get(n));
        for c in each
            .into_iter()
            .chain(m.and_then(|m| right.connections.get(m)))
        {
            common.told(c);
        }
        let near = probe.left_is_client();
        if let (Some(near), Some((l, _))) = (near, sides) {
            orientation.vote(l.end(true).addr, near);
            orientation.vote(l.end(false).addr, !near);
        }
        nearer.push(near);
        probes.push(probe);
    }
    let mut samples = Samples::default();
    let mut oriented = Vec::with_capacity(found.len());
    for ((pair, near), probe) in found.iter().zip(nearer).zip(probes) {
        let near = near
            .or_else(|| any(pair, left, right).and_then(|c| orientation.left_is_client(c)))
            .unwrap_or(true);
        for (direction, list) in probe.samples.iter().enumerate() {
            let left_to_right = (direction == 0) == near;
            for (l, r) in list {
                samples.add(usize::from(!left_to_right), *l, *r);
            }
        }
        oriented.push(near);
    }
    let clock = samples.fit();
    cut(left, right, clock.as_ref());
    let until = match (left.full, right.full, &clock) {
        (Some(l), Some(r), Some(clock)) => Some(l.min(clock.to_left(r))),
        (None, Some(r), Some(clock)) => Some(clock.to_left(r)),
        (l, r, _) => l.or(r),
    };
    let mut series = [Series::default(), Series::default()];
    if let Some((first, last)) = left.span {
        series = [Series::over(first, last), Series::over(first, last)];
    }
    let mut pairs = Vec::with_capacity(found.len());
    for ((number, pair), near) in (0..).zip(&found).zip(oriented) {
        pairs.extend(one(
            number,
            pair,
            [left, right],
            near,
            &Known {
                clock: clock.as_ref(),
                common: &common,
            },
            &mut series,
            sink,
        ));
    }
    Compared {
        clock,
        pairs,
        delays: series.map(Series::points),
        until,
        copies: [(left.copies, left.copy), (right.copies, right.copy)],
    }
}

/// What is known once all pairs were looked at.
struct Known<'a> {
    clock: Option<&'a Clock>,
    common: &'a Common,
}

/// What both captures show, by the addresses that either side has.
#[derive(Debug, Default)]
struct Common {
    hosts: [HashSet<(IpAddr, IpAddr)>; 2],
    services: [HashSet<(IpAddr, IpAddr, u16)>; 2],
    /// By sender and receiver: what a router said to fit.
    too_big: HashMap<(IpAddr, IpAddr), (FrameNo, u32)>,
}

impl Common {
    /// A connection of which both sides saw the same segments.
    fn add(&mut self, sides: [&Connection; 2]) {
        for ((hosts, services), c) in self.hosts.iter_mut().zip(&mut self.services).zip(sides) {
            let (client, server) = (c.end(true), c.end(false));
            hosts.insert(ordered(client.addr, server.addr));
            services.insert((client.addr, server.addr, server.port));
        }
    }

    fn told(&mut self, c: &Connection) {
        for of_client in [true, false] {
            if let Some(told) = c.too_big_of(of_client) {
                let ends = (c.end(of_client).addr, c.end(!of_client).addr);
                self.too_big.entry(ends).or_insert(told);
            }
        }
    }

    /// Of a connection as the left (0) or the right side (1) has it.
    fn ground(&self, side: usize, c: &Connection) -> Ground {
        let (client, server) = (c.end(true), c.end(false));
        let (hosts, services) = (self.hosts.get(side), self.services.get(side));
        if services.is_some_and(|s| s.contains(&(client.addr, server.addr, server.port))) {
            Ground::Service
        } else if hosts.is_some_and(|h| h.contains(&ordered(client.addr, server.addr))) {
            Ground::Hosts
        } else {
            Ground::Nothing
        }
    }

    fn too_big(&self, c: &Connection, of_client: bool) -> Option<(FrameNo, u32)> {
        let ends = (c.end(of_client).addr, c.end(!of_client).addr);
        self.too_big.get(&ends).copied()
    }
}

fn ordered(a: IpAddr, b: IpAddr) -> (IpAddr, IpAddr) {
    (a.min(b), a.max(b))
}

/// Both connections of a pair.
fn sides<'v>(
    pair: &Pair,
    left: &'v View,
    right: &'v View,
) -> Option<(&'v Connection, &'v Connection)> {
    match pair.sides {
        [Some(n), Some(m)] => Some((left.connections.get(n)?, right.connections.get(m)?)),
        _ => None,
    }
}

fn any<'v>(pair: &Pair, left: &'v View, right: &'v View) -> Option<&'v Connection> {
    match pair.sides {
        [Some(n), _] => left.connections.get(n),
        [None, Some(m)] => right.connections.get(m),
        [None, None] => None,
    }
}

/// Where one side had no more room, the other is cut at the same moment.
fn cut(left: &mut View, right: &mut View, clock: Option<&Clock>) {
    let Some(clock) = clock else { return };
    if let Some(at) = left.full {
        right.cut(clock.to_right(at));
    }
    if let Some(at) = right.full {
        left.cut(clock.to_left(at));
    }
}

/// What a pair tells before the clocks are known: segments that each side saw once.
#[derive(Debug, Default)]
struct Probe {
    /// By direction: when the left saw it, and when the right did.
    samples: [Vec<(Timestamp, Timestamp)>; 2],
    /// By direction: how much more of its time to live a segment has on the left.
    hops: [Option<i32>; 2],
}

impl Probe {
    fn of(l: &Connection, r: &Connection, pair: &Pair) -> Self {
        let mut probe = Self::default();
        for direction in Direction::BOTH {
            let of_client = direction == Direction::ClientToServer;
            let [c, s] = pair.shift;
            let (own, back) = if of_client { (c, s) } else { (s, c) };
            let (a, b) = (l.half(of_client), r.half(of_client));
            let laid = align::Direction::new(a, b, own, 1);
            let mut times = Vec::new();
            let mut hops = None;
            for &(n, m) in &laid.sure {
                let (Some(x), Some(y)) = (a.segments.get(n), b.segments.get(m)) else {
                    continue;
                };
                let differ = laid.trust.timestamps
                    && matches!((x.timestamp(), y.timestamp()), (Some(x), Some(y)) if x != y);
                if !differ {
                    times.push((x.time, y.time));
                    hops.get_or_insert(i32::from(x.ttl) - i32::from(y.ttl));
                }
            }
            times.extend(bare(a, b, back));
            times.sort_unstable();
            if let (Some(list), Some(h)) = (
                probe.samples.get_mut(direction.index()),
                probe.hops.get_mut(direction.index()),
            ) {
                *list = times;
                *h = hops;
            }
        }
        probe
    }

    /// Whether the left side lies nearer to the client; `None` where both are at one place, or nothing tells.
    fn left_is_client(&self) -> Option<bool> {
        let [forth, back] = &self.samples;
        // Whatever the clocks show, what goes on to the right comes there later than what comes from there: each is held against the next
        // one back, as clocks may be set in between.
        let mut back = back.iter().peekable();
        let mut latest: Option<i64> = None;
        let mut rounds: Vec<i64> = Vec::with_capacity(forth.len());
        let difference = |(l, r): &(Timestamp, Timestamp)| r.0.saturating_sub(l.0);
        for sample in forth {
            while let Some(b) = back.next_if(|b| b.0 <= sample.0) {
                latest = Some(difference(b));
            }
            if let Some(b) = latest.or_else(|| back.peek().map(|b| difference(b))) {
                rounds.push(difference(sample).saturating_sub(b));
            }
        }
        if !rounds.is_empty() {
            let half = rounds.len() / 2;
            let round = *rounds.select_nth_unstable(half).1;
            if round.unsigned_abs() > AS_ONE {
                return Some(round > 0);
            }
        }
        match self.hops {
            [Some(h), _] if h != 0 => Some(h > 0),
            [_, Some(h)] if h != 0 => Some(h < 0),
            _ => None,
        }
    }
}

/// Bare acknowledgements that each side saw once.
fn bare(a: &Half, b: &Half, ack_shift: u32) -> Vec<(Timestamp, Timestamp)> {
    let singles = |half: &Half, shift: u32| {
        let mut seen: HashMap<_, Option<Timestamp>> = HashMap::new();
        // A reset that acknowledges is as good.
        for s in half
            .segments
            .iter()
            .filter(|s| s.length() == 0 && s.has(TcpFlags::ACK))
        {
            let key = (
                s.flags,
                s.ack.0.wrapping_add(shift),
                s.sack().map(|k| k.1),
                s.timestamp(),
                s.ip_id(),
                s.window,
            );
            seen.entry(key)
                .and_modify(|t| *t = None)
                .or_insert(Some(s.time));
        }
        seen
    };
    let (a, b) = (singles(a, ack_shift), singles(b, 0));
    let mut pairs: Vec<_> = a
        .into_iter()
        .filter_map(|(key, time)| Some((time?, (*b.get(&key)?)?)))
        .collect();
    pairs.sort_unstable();
    pairs
}

/// On which side of the path hosts are.
#[derive(Debug, Default)]
struct Orientation(HashMap<IpAddr, i64>);

impl Orientation {
    fn vote(&mut self, host: IpAddr, left: bool) {
        *self.0.entry(host).or_default() += if left { 1 } else { -1 };
    }

    fn left_is_client(&self, c: &Connection) -> Option<bool> {
        let votes = |host: IpAddr| self.0.get(&host).copied().unwrap_or_default();
        match votes(c.end(true).addr) - votes(c.end(false).addr) {
            0 => None,
            v => Some(v > 0),
        }
    }
}

/// Delays by stretches of time.
#[derive(Debug, Default)]
struct Series {
    first: Timestamp,
    width: i64,
    points: Vec<Option<DelayPoint>>,
}

impl Series {
    fn over(first: Timestamp, last: Timestamp) -> Self {
        Self {
            first,
            width: last.nanos_since(first) / (POINTS as i64) + 1,
            points: vec![None; POINTS],
        }
    }

    fn add(&mut self, time: Timestamp, delay: f64) {
        if self.width == 0 || time < self.first {
            return;
        }
        let place =
            usize::try_from(time.nanos_since(self.first) / self.width).unwrap_or(usize::MAX);
        let Some(slot) = self.points.get_mut(place) else {
            return;
        };
        let point = slot.get_or_insert(DelayPoint {
            time,
            min: delay,
            max: delay,
            segments: 0,
        });
        point.min = point.min.min(delay);
        point.max = point.max.max(delay);
        point.segments += 1;
    }

    fn points(self) -> Vec<DelayPoint> {
        self.points.into_iter().flatten().collect()
    }
}

/// Compares one pair.
fn one(
    number: u64,
    pair: &Pair,
    views: [&View; 2],
    left_is_client: bool,
    known: &Known<'_>,
    series: &mut [Series; 2],
    sink: &mut dyn FnMut(&SegmentFate),
) -> Option<Joined> {
    let [left, right] = views;
    let clock = known.clock;
    let nothing = Half::default();
    let [l, r] = [
        pair.sides[0].and_then(|n| left.connections.get(n)),
        pair.sides[1].and_then(|m| right.connections.get(m)),
    ];
    let shown = l.or(r)?;
    let mut result = Joined {
        flows: [
            l.map(|c| (c.index, c.capture)),
            r.map(|c| (c.index, c.capture)),
        ],
        client: shown.end(true),
        server: shown.end(false),
        right_ends: match (l, r) {
            (Some(l), Some(r)) if l.key != r.key => Some([r.end(true), r.end(false)]),
            _ => None,
        },
        basis: pair.basis,
        left_is_client,
        paths: [Path::default(), Path::default()],
        events: [Events::default(), Events::default()],
        start: match (l, r, clock) {
            (None, Some(r), Some(clock)) => clock.to_left(r.first_time()?),
            _ => shown.first_time()?,
        },
        waits: [Wait::default(); 2],
        too_big: Direction::BOTH.map(|direction| {
            let of_client = direction == Direction::ClientToServer;
            let told = |c: &Connection| known.common.too_big(c, of_client);
            l.and_then(told).or(r.and_then(told))
        }),
        opening: Opening::default(),
        ground: known.common.ground(usize::from(l.is_none()), shown),
        unanswered: false,
        counted: true,
    };
    let alone = l.is_none() || r.is_none();
    result.unanswered = alone && unanswered(shown, l.is_some(), left_is_client);
    if result.ground < Ground::Service || alone && !result.unanswered {
        result.counted = false;
        return Some(result);
    }
    let piece = piece(l, r);
    let (beside_client, beside_server) = if left_is_client { (l, r) } else { (r, l) };
    if let Some(c) = beside_server {
        result.opening = opening([l, r], [left, right], c);
    }
    for (wait, c, of_client) in [(0, beside_client, true), (1, beside_server, false)] {
        if let (Some(c), Some(wait)) = (c, result.waits.get_mut(wait)) {
            let is_left = of_client == left_is_client;
            *wait = waits(c.half(!of_client), c.half(of_client), set(clock, is_left));
        }
    }
    for direction in Direction::BOTH {
        let of_client = direction == Direction::ClientToServer;
        let [c, s] = pair.shift;
        let (own, back) = if of_client { (c, s) } else { (s, c) };
        let halves = [l, r].map(|c| c.map_or(&nothing, |c| c.half(of_client)));
        let backs = [l, r].map(|c| c.map_or(&nothing, |c| c.half(!of_client)));
        let sender_is_left = of_client == left_is_client;
        let ([sent, came], [heard, beside]) = if sender_is_left {
            (halves, backs)
        } else {
            let ([a, b], [c, d]) = (halves, backs);
            ([b, a], [d, c])
        };
        let (shift, ack_shift) = if sender_is_left {
            (own, back)
        } else {
            (own.wrapping_neg(), back.wrapping_neg())
        };
        let delay = Delay {
            clock,
            sender_is_left,
        };
        let (receiver_span, sender_span) = if sender_is_left {
            (right.span, left.span)
        } else {
            (left.span, right.span)
        };
        let to_sender = |t: Timestamp| match clock {
            Some(clock) if sender_is_left => clock.to_left(t),
            Some(clock) => clock.to_right(t),
            None => t,
        };
        let to_receiver = |t: Timestamp| match clock {
            Some(clock) if sender_is_left => clock.to_right(t),
            Some(clock) => clock.to_left(t),
            None => t,
        };
        // The quickest segment comes so much later than the clocks alone say.
        let (under_way, slack) = (delay.shortest(), delay.slack());
        let common = receiver_span.map(|(first, last)| {
            (
                to_sender(first).plus_nanos(slack.saturating_sub(under_way)),
                to_sender(last).plus_nanos(slack.saturating_add(under_way).saturating_neg()),
            )
        });
        let watched = sender_span.map(|(first, last)| {
            (
                to_receiver(first).plus_nanos(under_way.saturating_add(slack)),
                to_receiver(last).plus_nanos(under_way.saturating_sub(slack)),
            )
        });
        let [v4, v6] = HEADERS;
        let frame = Frame {
            pair: number,
            to_server: of_client,
            delay,
            back: [beside, heard],
            common: common.filter(|_| clock.is_some()),
            watched: watched.filter(|_| clock.is_some()),
            fits: result
                .too_big
                .get(direction.index())
                .and_then(|t| Some((*t)?.1)),
            headers: if result.client.addr.is_ipv4() { v4 } else { v6 },
            shift,
            ack_shift,
        };
        let laid = align::Direction::new(sent, came, shift, i64::from(piece));
        let way = usize::from(!sender_is_left);
        let mut add = |time: Timestamp, delay: f64| {
            if let Some(s) = series.get_mut(way) {
                s.add(time, delay);
            }
        };
        let (path, events) = tell::fates(&laid, &frame, sink, &mut add);
        if let (Some(p), Some(e)) = (
            result.paths.get_mut(direction.index()),
            result.events.get_mut(direction.index()),
        ) {
            *p = path;
            *e = events;
        }
    }
    Some(result)
}

/// When one of the clocks was set, by the clock of either side.
fn set(clock: Option<&Clock>, left: bool) -> Option<(Timestamp, Timestamp)> {
    let clock = clock?;
    let (from, to) = clock.step?.between;
    Some(if left {
        (from, to)
    } else {
        (clock.to_right(from), clock.to_right(to))
    })
}

/// How a connection began, by the capture beside its server.
fn opening(
    sides: [Option<&Connection>; 2],
    views: [&View; 2],
    beside_server: &Connection,
) -> Opening {
    let syn = |c: &Connection| c.half(true).syn();
    // Where it came not at all, nothing was waited for.
    let came = syn(beside_server).is_some();
    let mut watched: Option<f64> = None;
    for (c, view) in sides.into_iter().zip(views) {
        if let (Some(syn), Some((_, last))) = (c.and_then(syn), view.span) {
            let seconds = last.seconds_since(syn.time);
            watched = Some(watched.map_or(seconds, |w| w.min(seconds)));
        }
    }
    Opening {
        syns: sides.map(|c| c.and_then(syn).map(|s| s.frame)),
        answered: !beside_server.half(false).segments.is_empty(),
        watched: watched.filter(|_| came),
    }
}

/// How long a host took for its answers, by the capture beside it; `set`: when its clock may have been set, so that a wait across is none.
fn waits(came: &Half, left: &Half, set: Option<(Timestamp, Timestamp)>) -> Wait {
    let mut wait = Wait::default();
    // A server that speaks first answers the end of the handshake.
    let opened = came
        .syn()
        .is_some()
        .then(|| came.segments.iter().position(|s| !s.has(TcpFlags::SYN)));
    // What brings nothing new (keep-alives, repeats) asks for nothing and answers nothing.
    let (mut asked, mut said) = (Newness::default(), Newness::default());
    let mut requests = (0..)
        .zip(&came.segments)
        .filter(|(n, s)| asked.is_new(s) || opened == Some(Some(*n)))
        .map(|(_, s)| s)
        .peekable();
    for answer in left.segments.iter().filter(|s| said.is_new(s)) {
        let mut request = None;
        while let Some(r) = requests.next_if(|r| r.time <= answer.time) {
            request = Some(r);
        }
        let Some(request) = request else { continue };
        if set.is_some_and(|(from, to)| request.time < to && from < answer.time) {
            continue;
        }
        let seconds = answer.time.seconds_since(request.time);
        wait.answers += 1;
        wait.seconds += seconds;
        if seconds > wait.longest {
            wait.longest = seconds;
            wait.frames = Some([request.frame, answer.frame]);
        }
    }
    wait
}

/// Tells payload that was not seen before.
#[derive(Debug, Default)]
struct Newness(Option<SeqNum>);

impl Newness {
    fn is_new(&mut self, s: &Sighting) -> bool {
        let end = s.seq.plus(s.length());
        let new = self.0.is_none_or(|most| most.distance_to(end) > 0);
        if new {
            self.0 = Some(end);
        }
        new && s.payload() > 0
    }
}

/// Whether a connection that one side alone saw is one that nobody answered, seen beside its client: then all of it was lost between.
fn unanswered(c: &Connection, on_left: bool, left_is_client: bool) -> bool {
    let by_client = on_left == left_is_client;
    c.half(!by_client).segments.is_empty() && c.half(by_client).syn().is_some()
}

/// Payload of one segment on the wire.
fn piece(l: Option<&Connection>, r: Option<&Connection>) -> u32 {
    let halves = || {
        [l, r]
            .into_iter()
            .flatten()
            .flat_map(|c| [c.half(true), c.half(false)])
    };
    let told = halves()
        .filter_map(|h| h.syn()?.options.mss)
        .filter(|mss| *mss >= 64)
        .min();
    let stamped = halves().any(|h| {
        h.segments
            .iter()
            .rev()
            .take(8)
            .any(|s| s.timestamp().is_some())
    });
    let most = told.map_or_else(
        || {
            // A segment that both sides saw as long as this is one.
            let longest = |c: Option<&Connection>| {
                c.into_iter()
                    .flat_map(|c| [c.half(true), c.half(false)])
                    .flat_map(|h| h.segments.iter().map(Sighting::payload))
                    .filter(|n| *n <= USUAL_PIECE)
                    .max()
            };
            longest(l)
                .max(longest(r))
                .filter(|n| *n > 536)
                .unwrap_or(USUAL_PIECE)
        },
        |mss| u32::from(mss) - if stamped { tell::TIMESTAMPS_OCTETS } else { 0 },
    );
    most.max(1)
}
