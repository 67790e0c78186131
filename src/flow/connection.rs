//! One connection: its two halves, how it opened and closed, where the capture stood.
//!
//! Takes:  the segments of one flow in order of time
//! Gives:  its octets in order, and a [`FlowRecord`] at the end
//! Never:  looks at other flows

use std::time::Duration;

use super::account::{Account, Before, Ended};
use super::clock::Clocks;
use super::half::{Context, Events, Half, NEAR, Verdict};
use super::order::STEP_NANOS;
use super::reassembly::{Conflict, Ready, Reassembler};
use super::record::{
    Cause, ClockLeap, Close, End, EventKind, FlowRecord, Goodput, Handshake, MAX_LEAPS,
};
use super::reuse::{Numbers, Rival};
use super::vantage;
use crate::decode::{FlowKey, Note, NoteKind, Segment, TcpFlags};
use crate::net::{Direction, FrameNo, MacAddr, SeqNum, StreamOffset, Timestamp, nanos};

/// Seconds kept one by one in the series of a half.
const MAX_SECONDS: usize = 100_000;

/// From this window scale on a number of octets that is a multiple of the unit is no accident.
const TELLING_SHIFT: u8 = 6;
/// Octets of IP and TCP headers around a payload, with all the options that they have room for; IPv6 extensions are few.
const MOST_HEADERS: u32 = 120;

/// Ports on which a server listens by custom; used where no SYN tells.
const SERVICES: [u16; 12] = [25, 587, 465, 445, 139, 135, 80, 443, 110, 143, 389, 88];

#[derive(Clone, Debug)]
pub(super) struct Connection {
    pub(super) key: FlowKey,
    pub(super) hash: u64,
    pub(super) index: u64,
    /// Whether the end that stands first in the key is the client.
    client_is_first: bool,
    pub(super) halves: [Half; 2],
    streams: [Reassembler; 2],
    /// Whether anyone wants the octets.
    pub(super) wanted: bool,
    /// Whether the flow has been announced to those who want them.
    pub(super) announced: bool,
    first_frame: FrameNo,
    last_frame: FrameNo,
    start: Timestamp,
    pub(super) end: Timestamp,
    handshake: Handshake,
    /// Nanoseconds that an offer of the receiver takes to show in the data here: to the sender of each half and back. 0 where that is not known.
    lags: [i64; 2],
    syn: Option<(Timestamp, SeqNum)>,
    first_syn: Option<Timestamp>,
    first_syn_ecn: bool,
    syn_ack: Option<(Timestamp, SeqNum)>,
    established: bool,
    /// Frame and time of the ACK that ended the handshake.
    pub(super) connected: Option<(FrameNo, Timestamp)>,
    close: Close,
    fins: [bool; 2],
    resets: u32,
    /// The first reset, for as long as it may turn out to be none.
    reset: Option<Reset>,
    account: Account,
    events: Events,
    last_data: Option<Direction>,
    macs: [MacAddr; 2],
    /// Latest time since the clock last stepped back.
    latest: Timestamp,
    clock_steps: u32,
    clocks: Clocks,
    clock_leaps: Vec<ClockLeap>,
    disordered: u64,
    truncated: u64,
    outgoing: [u32; 2],
    too_big: [Option<Timestamp>; 2],
    pub(super) numbers: Numbers,
    /// A SYN with another number that came into its life.
    pub(super) rival: Option<Box<Rival>>,
}

/// A reset, and how things stood before it.
#[derive(Clone, Copy, Debug)]
struct Reset {
    by: Direction,
    /// What its supposed sender had sent by then.
    upto: u64,
    time: Timestamp,
    frame: FrameNo,
    close: Close,
}

/// What a segment did, for those who look at segments one by one.
pub(super) struct Step {
    pub(super) direction: Direction,
    pub(super) verdict: Verdict,
    /// Newly acknowledged offset of the other direction, if it moved.
    pub(super) acked: Option<u64>,
    /// Of a copy: the frame that it is a copy of.
    pub(super) of: Option<FrameNo>,
}

impl Connection {
    /// `ports`: where servers listen, beyond the ports of custom.
    pub(super) fn new(seg: &Segment, index: u64, ports: &[u16]) -> Self {
        let syn = seg.flags.has(TcpFlags::SYN);
        let ack = seg.flags.has(TcpFlags::ACK);
        let sender_is_client = if syn {
            !ack
        } else {
            let (own, other) = if seg.from_first {
                (seg.key.ports[0], seg.key.ports[1])
            } else {
                (seg.key.ports[1], seg.key.ports[0])
            };
            let serves = |port: u16| SERVICES.contains(&port) || ports.contains(&port);
            match (serves(own), serves(other)) {
                (true, false) => false,
                (false, true) => true,
                _ => own >= other,
            }
        };
        Self {
            key: seg.key,
            hash: seg.hash,
            index,
            client_is_first: sender_is_client == seg.from_first,
            halves: Default::default(),
            streams: Default::default(),
            wanted: true,
            announced: false,
            first_frame: seg.frame,
            last_frame: seg.frame,
            start: seg.time,
            end: seg.time,
            handshake: Handshake::default(),
            lags: [0; 2],
            syn: None,
            first_syn: None,
            first_syn_ecn: false,
            syn_ack: None,
            established: false,
            connected: None,
            close: Close::default(),
            fins: [false; 2],
            resets: 0,
            reset: None,
            account: Account::default(),
            events: Events::default(),
            last_data: None,
            macs: [MacAddr::default(); 2],
            latest: seg.time,
            clock_steps: 0,
            clocks: Clocks::default(),
            clock_leaps: Vec::new(),
            disordered: 0,
            truncated: 0,
            outgoing: [0; 2],
            too_big: [None; 2],
            numbers: Numbers::default(),
            rival: None,
        }
    }

    pub(super) fn direction(&self, from_first: bool) -> Direction {
        if from_first == self.client_is_first {
            Direction::ClientToServer
        } else {
            Direction::ServerToClient
        }
    }

    /// Ports of client and server.
    pub(super) fn ports(&self) -> (u16, u16) {
        if self.client_is_first {
            (self.key.ports[0], self.key.ports[1])
        } else {
            (self.key.ports[1], self.key.ports[0])
        }
    }

    /// Whether lengths are believed that the frames of this sender had no room for.
    pub(super) fn is_believed(&self, seg: &Segment) -> bool {
        self.halves[self.direction(seg.from_first).index()].believed
    }

    /// A segment of which less was counted claims to be so long.
    pub(super) fn claims(&mut self, seg: &Segment) {
        let direction = self.direction(seg.from_first);
        self.halves[direction.index()].claims(seg);
    }

    /// Whether it is open both ways, so that a SYN changes nothing (RFC 5961 section 4).
    pub(super) fn is_live(&self) -> bool {
        self.established && self.fins == [false; 2] && self.resets == 0
    }

    /// What each end sends next, in the order of the key; `None` where one has shown no number yet.
    pub(super) fn next_numbers(&self) -> Option<[SeqNum; 2]> {
        let [client, server] = &self.halves;
        let (client, server) = (client.next_number()?, server.next_number()?);
        Some(if self.client_is_first {
            [client, server]
        } else {
            [server, client]
        })
    }

    /// A SYN with another number came, and nothing followed from it.
    pub(super) fn outlived(&mut self, syn: &Segment) {
        let direction = self.direction(syn.from_first);
        self.events.add(syn, direction, EventKind::OutsideWindow);
    }

    /// Whether it got beyond its opening: established, refused, or seen from the middle on.
    pub(super) fn is_open(&self) -> bool {
        self.established || !self.handshake.syn_seen || self.close.frame.is_some()
    }

    /// Whether it was closed both ways, or reset.
    pub(super) fn is_closed(&self) -> bool {
        self.fins == [true; 2] || self.resets > 0
    }

    /// Whether nothing more is to be expected: closed for `nanos`.
    pub(super) fn is_over(&self, now: Timestamp, nanos: i64) -> bool {
        self.is_closed() && now.nanos_since(self.end) > nanos
    }

    /// Frames of both directions.
    pub(super) fn frames(&self) -> u64 {
        self.halves.iter().map(|h| h.rec.frames).sum()
    }

    /// Whether nothing of it is on its way, and nothing that came into its life waits for an answer.
    pub(super) fn is_at_rest(&self) -> bool {
        self.rival.is_none() && (self.resets > 0 || self.halves.iter().all(|h| h.flight() == 0))
    }

    /// Shortest round trip of the whole path in nanoseconds: both parts, as seen from the capture point.
    fn path_rtt(&self) -> Option<i64> {
        let shake = self.handshake.rtt.map(nanos);
        match (self.halves[0].min_rtt, self.halves[1].min_rtt) {
            (Some(a), Some(b)) => {
                Some(shake.map_or(a.saturating_add(b), |s| s.min(a.saturating_add(b))))
            }
            (Some(a), None) | (None, Some(a)) => Some(shake.unwrap_or(a)),
            (None, None) => shake,
        }
    }

    /// A part of the handshake's round trip was measured.
    fn set_lags(&mut self) {
        let parts = [self.handshake.to_client, self.handshake.to_server];
        self.lags = parts.map(|part| part.map_or(0, nanos));
    }

    /// Whether the capture was taken beside the sender of half `n`: nearly all of its checksums are left to its adapter, or its part
    /// of the handshake's round trip is next to nothing.
    fn beside(&self, n: usize) -> bool {
        let h = &self.halves[n].rec;
        if h.unfilled_checksums >= 2 && h.good_checksums * 5 < h.frames {
            return true;
        }
        let (near, far) = (self.lags[n], self.lags[1 - n]);
        far > 0 && near.saturating_mul(5) < far
    }

    /// Whether the sender of half `n` had sent all that the window allowed it as far as it can have known.
    fn limited(&self, n: usize) -> bool {
        let (data, owner) = (&self.halves[n], &self.halves[1 - n]);
        // What costs least goes first: this is asked of each half before each segment.
        if data.rec.data_segments <= 4 || data.rec.unseen_octets > 0 || !owner.scale_known {
            return false;
        }
        let Some(last) = data.last_data else {
            return false;
        };
        let unit = u64::from(data.unit.max(1));
        owner.is_beyond_edge(
            data.nxt.saturating_add(unit),
            last.plus_nanos(-self.lags[n]),
        )
    }

    fn before(&self) -> Before {
        let [a, b] = &self.halves;
        let rtt = self.path_rtt();
        let usual = [a, b]
            .iter()
            .filter_map(|h| h.estimator.srtt())
            .sum::<i64>();
        Before {
            since: self.end,
            opening: !self.established,
            closing: self.close.frame.is_some(),
            flight: [a.flight(), b.flight()],
            window: [
                b.window.filter(|_| b.scale_known),
                a.window.filter(|_| a.scale_known),
            ],
            shut: [b.is_shut(), a.is_shut()],
            unit: [a.unit, b.unit],
            phase: [a.phase, b.phase],
            limited: [self.limited(0), self.limited(1)],
            last_data: self.last_data,
            rtt: rtt.map(|r| r.max(usual)),
            least_rtt: rtt,
            lag: [self.lags[1], self.lags[0]],
            small: [a.last_octets < a.unit, b.last_octets < b.unit],
        }
    }

    /// Takes one segment. `ready` receives the octets that became readable, by direction.
    #[allow(clippy::too_many_lines)]
    pub(super) fn segment(
        &mut self,
        seg: &Segment,
        sacks: &[(SeqNum, SeqNum)],
        payload: &[u8],
        ready: &mut [Vec<Ready>; 2],
    ) -> Step {
        self.numbers.see(seg);
        let direction = self.direction(seg.from_first);
        let (own, other) = (direction.index(), direction.reverse().index());
        let time = seg.time;
        let is_behind = seg.frame.stands_before(self.last_frame);
        if time < self.latest || is_behind {
            if !is_behind
                && seg.frame != self.last_frame
                && self.latest.nanos_since(time) > STEP_NANOS
            {
                self.clock_steps += 1;
                self.latest = time;
            } else {
                self.disordered += 1;
            }
        }
        if let Some(leap) = self.clocks.see(own, seg, self.latest) {
            self.account.disown(leap.from);
            if self.clock_leaps.len() < MAX_LEAPS {
                self.clock_leaps.push(leap);
            }
        }
        self.latest = self.latest.max(time);
        if seg.outgoing == Some(true) {
            self.outgoing[own] = self.outgoing[own].saturating_add(1);
        }
        for (side, mac) in [(own, seg.macs[0]), (other, seg.macs[1])] {
            if !self.macs[side].is_known() {
                self.macs[side] = mac;
            }
        }
        let syn = seg.flags.has(TcpFlags::SYN);
        let ack = seg.flags.has(TcpFlags::ACK);
        let fin = seg.flags.has(TcpFlags::FIN);
        let rst = seg.flags.has(TcpFlags::RST);
        if seg.payload.len < seg.payload_octets {
            self.truncated += 1;
        }

        // Where the segment stands.
        let advances = {
            let h = &mut self.halves[own];
            let known = h.started();
            let start = h.offset(seg.seq);
            !known
                || start.saturating_add(u64::from(seg.payload_octets) + u64::from(syn || fin))
                    > h.nxt
                || {
                    let o = &mut self.halves[other];
                    ack && o.started() && o.offset(seg.ack) > o.una.unwrap_or(0)
                }
        };
        if let Some((_, of)) = self.halves[own].copy_of(seg, sacks, advances) {
            let h = &mut self.halves[own];
            h.copies += 1;
            if h.first_ttl.is_some_and(|t| t != seg.ttl) {
                h.copies_by_ttl += 1;
            }
            let h = &mut self.halves[own];
            if seg.payload_octets > 0 {
                h.rec.network_duplicates += u64::from(h.wire_segments(seg.payload_octets));
            }
            h.rec.copies += 1;
            self.events
                .add(seg, direction, EventKind::NetworkDuplicate { of });
            self.touch(seg, direction, false);
            return Step {
                direction,
                verdict: Verdict::Copy,
                acked: None,
                of: Some(of),
            };
        }

        // From a sender whose other checksums are right, the receiver takes nothing of a segment whose checksum is wrong.
        let trusted = seg.checksum != crate::decode::Checksum::Wrong || {
            let r = &self.halves[own].rec;
            r.good_checksums <= 4 * r.bad_checksums
        };
        let (syn, ack, fin, rst) = (
            syn && trusted,
            ack && trusted,
            fin && trusted,
            rst && trusted,
        );
        if syn {
            self.syn(seg, direction);
        }
        let before = self.before();
        let start = self.halves[own].offset(seg.seq) + u64::from(syn);
        let segments = self.halves[own].wire_segments(seg.payload_octets);
        let ctx = Context {
            peer_window: self.halves[other].window,
            peer_most: Some(self.halves[other].rec.max_window)
                .filter(|_| self.halves[other].scale_known),
            path_rtt: before.least_rtt,
            sack: self.sack_in_use(),
            peer_segments: self.halves[other].rec.data_segments,
            peer_whole: self.halves[other].rec.unseen_octets == 0,
            beside_sender: seg.payload_octets > 0 && self.beside(own),
            too_big: self.too_big[own],
        };
        let mut tail = false;
        let mut verdict = Verdict::Bare;
        if seg.payload_octets > 0 && !rst {
            tail = start.saturating_add(u64::from(seg.payload_octets)) >= self.halves[own].nxt;
            if let Some(stray) = self.halves[own].take_back(start) {
                self.not_sent(stray, direction);
            }
            let h = &mut self.halves[own];
            if h.unit == 0 || h.mss_limit == 0 {
                self.guess_unit(own, seg);
            }
            verdict = self.halves[own].data(seg, start, direction, &ctx, &mut self.events);
        } else if seg.payload_octets == 0 && !syn && !fin && !rst {
            let h = &mut self.halves[own];
            if start + 1 == h.nxt && h.flight() == 0 && h.rec.data_segments > 0 {
                if self.halves[other].is_shut() {
                    self.halves[own].rec.window_probes += 1;
                    verdict = Verdict::WindowProbe;
                } else {
                    self.halves[own].rec.keep_alives += 1;
                    verdict = Verdict::KeepAlive;
                }
            } else if ack {
                h.bare(seg, start, direction, &ctx, &mut self.events);
            }
        }
        if verdict == Verdict::Copy {
            let h = &mut self.halves[own];
            h.rec.network_duplicates += u64::from(h.wire_segments(seg.payload_octets));
            h.rec.copies += 1;
            self.touch(seg, direction, false);
            return Step {
                direction,
                verdict,
                acked: None,
                of: None,
            };
        }
        let peer_segments = self.halves[other].rec.data_segments;
        self.halves[own].packet(seg, segments, peer_segments);
        if seg.checksum == crate::decode::Checksum::Wrong {
            self.events.add(seg, direction, EventKind::WrongChecksum);
        }
        if matches!(
            verdict,
            Verdict::New | Verdict::Repeat(..) | Verdict::Reordered
        ) {
            self.per_second(own, seg, verdict);
            self.last_data = Some(direction);
            if self.wanted {
                let wrong = seg.checksum == crate::decode::Checksum::Wrong && {
                    let r = &self.halves[own].rec;
                    r.good_checksums > 4 * r.bad_checksums
                };
                if !wrong {
                    let stream = &mut self.streams[own];
                    if self.halves[own].rec.data_segments == u64::from(segments)
                        && !self.halves[own].rec.syn_seen
                    {
                        // Octets from before the first number seen have no place to count from.
                        stream.begin(start.max(StreamOffset::ORIGIN.0));
                    }
                    stream.segment(
                        start,
                        seg.payload_octets,
                        seg.payload,
                        payload,
                        seg.frame,
                        time,
                        &mut ready[own],
                    );
                    if let Some(Conflict { of, octets }) = stream.conflict() {
                        let kind = EventKind::OtherContents { of, octets };
                        self.events.add(seg, direction, kind);
                    }
                }
            }
        }
        // What it acknowledges.
        let mut newly = 0;
        let mut acked = None;
        // Windows are of no use to who has said all it has to say.
        let said_all = self.fins[other] && self.halves[other].flight() <= 1;
        let same_window = if rst || !trusted || said_all || self.resets > 0 {
            true
        } else {
            self.halves[own].offers(seg, direction, &mut self.events)
        };
        if ack && !rst {
            let bare = seg.payload_octets == 0 && !syn && !fin;
            let srtt = self.halves[other].estimator.srtt();
            newly = self.halves[other].acknowledged(
                seg,
                sacks,
                bare,
                same_window,
                direction.reverse(),
                &mut self.events,
            );
            if newly > 0 {
                let una = self.halves[other].una.unwrap_or(0);
                acked = Some(una);
                self.outlives_reset(direction.reverse(), una);
                if self.wanted {
                    self.streams[other].acknowledged(
                        una.min(self.halves[other].fin.unwrap_or(u64::MAX)),
                        seg.frame,
                        time,
                        &mut ready[other],
                    );
                }
                if let (Some(usual), Some(rtt)) = (srtt, self.halves[other].last_rtt)
                    && self.halves[other].rtts.count() > 3
                    && rtt > usual.saturating_mul(3).saturating_add(100_000_000)
                    // A lone small segment may wait half a second for its acknowledgement (RFC 9293 section 3.8.6.3).
                    && (rtt > usual.saturating_add(600_000_000) || before.flight[other] >= 2 * u64::from(before.unit[other].max(1)))
                    && self.halves.iter().all(|h| h.rec.unseen_octets == 0)
                {
                    let kind = EventKind::LatencySpike {
                        rtt: Duration::from_nanos(rtt.unsigned_abs()),
                        usual: Duration::from_nanos(usual.max(0).unsigned_abs()),
                    };
                    self.events.add(seg, direction.reverse(), kind);
                }
            }
            self.handshake_ack(seg, direction, syn);
            if let (Some(una), Some(window)) = (self.halves[other].una, self.halves[own].window) {
                let grain = self.lags[other] / 16;
                self.halves[own].remember_edge(time, una.saturating_add(window), grain);
            }
        }
        if let Some((_, ecr)) = seg.timestamps.filter(|_| seg.payload_octets > 0) {
            self.halves[other].echoed(ecr, time);
        }
        self.window_limited(&before, time);
        let near = start.abs_diff(self.halves[own].nxt) <= NEAR;
        if (fin || rst) && !near {
            self.events.add(seg, direction, EventKind::OutsideWindow);
        }
        if fin && !rst && near {
            self.halves[own].leaps(seg, start, &ctx);
            let at = start + u64::from(seg.payload_octets);
            self.halves[own].fin.get_or_insert(at);
            self.halves[own].control(at);
            self.fins[own] = true;
            // Who has sent a FIN has no more octets to send, and waits for no window.
            if self.halves[own].flight() <= 1 {
                self.halves[other].stop_waiting(time);
            }
            self.closed(seg, direction, End::Fin, &before);
        }
        if rst && near {
            self.reset(seg, direction, &before);
        } else if self.resets > 0
            && matches!(verdict, Verdict::New)
            && self.close.by != Some(direction.sender())
        {
            // Sent before the reset came there.
            self.close.with_data_pending |= self.close.how == End::Reset;
        }
        let ended = Ended {
            at: time,
            frame: seg.frame,
            direction,
            verdict,
            tail,
            newly_acked: newly,
            syn,
        };
        self.account.interval(&before, &ended);
        self.touch(seg, direction, true);
        Step {
            direction,
            verdict,
            acked,
            of: None,
        }
    }

    /// The end that was told of a reset takes octets that were sent after it: it has ignored the reset, as it must one that does not hit
    /// the very next number (RFC 5961 section 3), and the sender knows nothing of it.
    fn outlives_reset(&mut self, sender: Direction, una: u64) {
        let Some(reset) = self.reset.take_if(|r| r.by == sender && una > r.upto) else {
            return;
        };
        self.resets = 0;
        self.close = reset.close;
        self.events.push(super::record::Event {
            time: reset.time,
            frame: reset.frame,
            direction: sender,
            kind: EventKind::OutsideWindow,
        });
    }

    /// A segment was none of its sender's: what it did to the connection is undone.
    #[cold]
    fn not_sent(&mut self, (frame, time, from): (FrameNo, Timestamp, u64), direction: Direction) {
        let own = direction.index();
        self.streams[own].forget_from(from);
        self.fins[own] = self.halves[own].fin.is_some();
        if self.close.frame == Some(frame) {
            self.close = Close::default();
        }
        self.events.push(super::record::Event {
            time,
            frame,
            direction,
            kind: EventKind::OutsideWindow,
        });
    }

    fn touch(&mut self, seg: &Segment, direction: Direction, accounted: bool) {
        if !accounted {
            let before = self.before();
            let ended = Ended {
                at: seg.time,
                frame: seg.frame,
                direction,
                verdict: Verdict::Copy,
                tail: false,
                newly_acked: 0,
                syn: false,
            };
            self.account.interval(&before, &ended);
        }
        self.last_frame = seg.frame;
        self.end = self.end.max(seg.time);
    }

    fn sack_in_use(&self) -> bool {
        match (
            self.halves[0].rec.sack_permitted,
            self.halves[1].rec.sack_permitted,
        ) {
            (Some(a), Some(b)) => a && b,
            (Some(a), None) | (None, Some(a)) => a,
            (None, None) => true,
        }
    }

    /// Without a SYN, the size of a full segment has to be told from the segments.
    #[cold]
    fn guess_unit(&mut self, own: usize, seg: &Segment) {
        let ethernet = match seg.key.family {
            crate::net::Family::V4 => 1460,
            crate::net::Family::V6 => 1440,
        } - u32::from(seg.option_octets);
        let h = &mut self.halves[own];
        h.unit = h
            .unit
            .max(if seg.payload_octets > ethernet {
                ethernet
            } else {
                seg.payload_octets
            })
            .max(536);
        if h.mss_limit == 0
            && seg.payload_octets > ethernet
            && !seg.payload_octets.is_multiple_of(ethernet)
            && seg.payload_octets < 9_000
        {
            // A jumbo frame rather than a super-segment, perhaps; what is larger than any before is the better guess.
            h.unit = h.unit.max(ethernet);
        }
    }

    #[cold]
    fn syn(&mut self, seg: &Segment, direction: Direction) {
        let own = direction.index();
        let ack = seg.flags.has(TcpFlags::ACK);
        let h = &mut self.halves[own];
        let again = h.rec.syn_seen;
        let at = h.offset(seg.seq);
        h.control(at);
        if !again {
            h.rec.syn_seen = true;
            h.rec.mss = seg.syn.mss;
            h.rec.window_scale = seg.syn.window_scale;
            h.rec.sack_permitted = Some(seg.syn.sack_permitted);
            h.rec.timestamps = Some(seg.timestamps.is_some());
            // Behind what the other end had acknowledged before: octets from before that have no place to count from.
            self.streams[own].begin((at + 1).max(StreamOffset::ORIGIN.0));
        }
        if ack {
            self.handshake.syn_ack_seen = true;
            if again {
                self.handshake.syn_ack_retries += 1;
            }
            self.syn_ack = Some((seg.time, seg.seq));
            // Karn: which of several SYNs this answers cannot be told.
            if let Some((at, _)) = self.syn
                && !again
                && self.handshake.syn_retries == 0
            {
                self.handshake.to_server = seg.time.since(at);
                self.set_lags();
            }
        } else {
            self.handshake.syn_seen = true;
            let ecn = seg.flags.has(TcpFlags::ECE);
            if again {
                self.handshake.syn_retries += 1;
                self.handshake.ecn_fallback |= self.first_syn_ecn && !ecn;
            } else {
                self.first_syn_ecn = ecn;
            }
            self.first_syn.get_or_insert(seg.time);
            if self.syn_ack.is_none() {
                self.syn = Some((seg.time, seg.seq));
            }
            if self.handshake.syn_frames.len() < 16 {
                self.handshake.syn_frames.push(seg.frame);
            }
        }
        self.agree();
    }

    /// What both SYNs together put in force (RFC 7323 section 2.2: scaling only if both offer it).
    #[cold]
    fn agree(&mut self) {
        let [a, b] = &mut self.halves;
        let both = a.rec.syn_seen && b.rec.syn_seen;
        let scaled = !both || (a.rec.window_scale.is_some() && b.rec.window_scale.is_some());
        let stamped = a.rec.timestamps != Some(false) && b.rec.timestamps != Some(false);
        // Each end sends what the other allows; no path carries less than some dozen octets.
        let limits = [b.rec.mss.or(a.rec.mss), a.rec.mss.or(b.rec.mss)];
        for (h, mss) in [a, b].into_iter().zip(limits) {
            h.scale_known = both;
            h.scale = if scaled {
                h.rec.window_scale.unwrap_or(0).min(14)
            } else {
                0
            };
            if let Some(mss) = mss {
                h.mss_limit = u32::from(mss);
                h.unit = u32::from(mss)
                    .saturating_sub(if stamped { 12 } else { 0 })
                    .max(48);
            }
        }
    }

    fn handshake_ack(&mut self, seg: &Segment, direction: Direction, syn: bool) {
        if self.established {
            return;
        }
        let Some((at, seq)) = self.syn_ack else {
            // Nothing to wait for in mid-stream, nor where the SYN-ACK was missed: the client goes on as it would after one.
            if !syn
                && (self.syn.is_none()
                    || direction == Direction::ClientToServer
                    || seg.payload_octets > 0)
            {
                self.established = true;
            }
            return;
        };
        if direction == Direction::ClientToServer && !syn && seq.precedes(seg.ack) {
            self.established = true;
            self.connected = Some((seg.frame, seg.time));
            self.handshake.complete = self.syn.is_some();
            self.handshake.to_client = seg.time.since(at);
            self.set_lags();
            self.handshake.rtt = self
                .syn
                .and_then(|(t, _)| seg.time.since(t))
                .filter(|_| self.handshake.syn_ack_retries == 0 && self.handshake.syn_retries == 0);
            self.handshake.connect_time = self.first_syn.and_then(|t| seg.time.since(t));
        } else if direction == Direction::ServerToClient && !syn && seg.payload_octets > 0 {
            self.established = true;
        }
    }

    fn window_limited(&mut self, before: &Before, now: Timestamp) {
        let nanos = now.nanos_since(before.since);
        if nanos <= 0 {
            return;
        }
        for n in 0..2 {
            let unit = u64::from(before.unit[n].max(1));
            let full = before.limited[n]
                || before.window[n].is_some_and(|w| {
                    w > 0 && before.flight[n] > unit && before.flight[n] + unit > w
                });
            let h = &mut self.halves[n];
            if full {
                h.limited_nanos += nanos.unsigned_abs();
            }
            if before.flight[n] > 0 {
                h.busy_nanos += nanos.unsigned_abs();
            }
            h.rec.max_flight = h.rec.max_flight.max(before.flight[n]);
        }
    }

    fn per_second(&mut self, own: usize, seg: &Segment, verdict: Verdict) {
        let second = u32::try_from(seg.time.nanos_since(self.start).max(0) / 1_000_000_000)
            .unwrap_or(u32::MAX);
        let series = &mut self.halves[own].rec.per_second;
        let (fresh, again) = if matches!(verdict, Verdict::Repeat(..)) {
            (0, u64::from(seg.payload_octets))
        } else {
            (u64::from(seg.payload_octets), 0)
        };
        let full = series.len() >= MAX_SECONDS;
        match series.last_mut() {
            Some(last) if last.0 >= second || full => {
                last.1 += fresh;
                last.2 += again;
            }
            _ => series.push((second, fresh, again)),
        }
    }

    #[cold]
    fn closed(&mut self, seg: &Segment, direction: Direction, how: End, before: &Before) {
        if self.close.frame.is_some() && how == End::Fin {
            return;
        }
        let pending = before.flight[0] > 0 || before.flight[1] > 0;
        if self.close.frame.is_none() {
            self.close = Close {
                how,
                by: Some(direction.sender()),
                frame: Some(seg.frame),
                at: Some(seg.time),
                with_data_pending: pending,
                reset_by_middlebox: false,
                answers: None,
                idle_before: seg.time.since(before.since),
            };
        }
    }

    #[cold]
    fn reset(&mut self, seg: &Segment, direction: Direction, before: &Before) {
        if self.resets == 0 {
            self.reset = Some(Reset {
                by: direction,
                upto: self.halves[direction.index()].nxt,
                time: seg.time,
                frame: seg.frame,
                close: self.close,
            });
        }
        self.resets = self.resets.saturating_add(1);
        for h in &mut self.halves {
            h.stop_waiting(seg.time);
        }
        let own = direction.index();
        let first_ttl = self.halves[own].first_ttl;
        if !self.established
            && self.syn.is_some()
            && self.syn_ack.is_none()
            && direction == Direction::ServerToClient
            && self.halves.iter().all(|h| h.rec.data_segments == 0)
        {
            self.closed(seg, direction, End::Refused, before);
            self.close.how = End::Refused;
            return;
        }
        // After an orderly close a reset only says that nobody listens any more.
        let orderly = self.fins == [true; 2];
        if self.close.frame.is_none()
            || (!orderly && self.close.how == End::Fin && before.flight.iter().any(|&f| f > 0))
        {
            let was = self.close;
            self.close.frame = None;
            self.closed(seg, direction, End::Reset, before);
            if was.frame.is_some() && was.by == Some(direction.sender()) {
                // The same end closes, and then refuses what still comes: the close came first.
                self.close = was;
            } else if was.at == Some(before.since) {
                self.close.answers = was.frame;
                self.close.idle_before = was.idle_before;
            }
        }
        let strange_ttl = first_ttl.is_some_and(|t| t.abs_diff(seg.ttl) > 2);
        let ids = &self.halves[own].ids;
        let strange_id = ids.learned() == super::record::IpIdUse::PerConnection
            && matches!((seg.ip_id, ids.last), (Some(id), Some(last)) if id.wrapping_sub(last) > 256 && id != 0);
        if self.close.how == End::Reset && self.close.frame == Some(seg.frame) {
            self.close.reset_by_middlebox = strange_ttl || strange_id;
        }
    }

    /// An ICMP error that quotes a segment of this flow.
    pub(super) fn icmp(&mut self, note: &Note) {
        let NoteKind::IcmpError {
            icmp_type,
            code,
            mtu,
            from_first,
            family,
            seq,
            ..
        } = note.kind
        else {
            return;
        };
        let direction = self.direction(from_first);
        let v6 = family == crate::net::Family::V6;
        let h = &self.halves[direction.index()];
        // Anybody can make up an ICMP error: it has to quote what is on its way (RFC 5927 section 4.1), and an MTU that this exceeds
        // and that a path may have (RFC 791 section 3.2, RFC 8201 section 4).
        let least = if v6 { 1_280 } else { 68 };
        let most = h.rec.largest_segment.saturating_add(MOST_HEADERS);
        let credible = h.is_under_way(seq) && mtu.is_none_or(|mtu| (least..most).contains(&mtu));
        if credible && ((v6 && icmp_type == 2) || (!v6 && icmp_type == 3 && code == 4)) {
            self.too_big[direction.index()] = Some(note.time);
            if let Some(mtu) = mtu.filter(|&m| m > 120) {
                let headers = if v6 { 60 } else { 40 };
                let h = &mut self.halves[direction.index()];
                if h.unit > 0 {
                    let options = if h.rec.timestamps == Some(true) {
                        12
                    } else {
                        0
                    };
                    h.unit = h.unit.min(mtu.saturating_sub(headers + options)).max(1);
                }
            }
        }
        let kind = EventKind::Icmp {
            icmp_type,
            code,
            mtu,
            v6,
            credible,
        };
        self.events.push(super::record::Event {
            time: note.time,
            frame: note.frame,
            direction,
            kind,
        });
    }

    /// Closes the books.
    pub(super) fn finish(mut self, evicted: bool) -> FlowRecord {
        let ends = [self.key.endpoint(0), self.key.endpoint(1)];
        let (client, server) = if self.client_is_first {
            (ends[0], ends[1])
        } else {
            (ends[1], ends[0])
        };
        if self.close.frame.is_none()
            && self.handshake.syn_seen
            && !self.handshake.syn_ack_seen
            && self.halves[1].rec.frames == 0
            && self.halves[0].rec.data_segments == 0
        {
            self.close.how = End::Unanswered;
        }
        let (vantage, vantage_basis) = vantage::of(&self.handshake, &self.halves, self.outgoing);
        let copies = self.halves[0].copies + self.halves[1].copies;
        let frames = self.halves[0].rec.frames + self.halves[1].rec.frames;
        // A mirror doubles (nearly) everything, both ways, bare acknowledgements too, and no receiver complains; a network that
        // copies does so now and then, and the receiver reports it.
        let by_capture = copies * 5 >= frames
            || self.halves.iter().map(|h| h.copies_by_ttl).sum::<u64>() * 2 > copies;
        self.pinned();
        let end = self.end;
        let events = &mut self.events;
        let [a, b] = &mut self.halves;
        let mut halves = [
            a.finish(end, Direction::ClientToServer, events),
            b.finish(end, Direction::ServerToClient, events),
        ];
        for h in &mut halves {
            if by_capture {
                h.network_duplicates = 0;
            }
            h.goodput = goodput(h, self.end.since(self.start).unwrap_or_default());
        }
        let mut events = self.events;
        if by_capture && copies > 0 {
            events
                .kept
                .retain(|e| !matches!(e.kind, EventKind::NetworkDuplicate { .. }));
        }
        events.kept.sort_by_key(|e| (e.time, e.frame));
        FlowRecord {
            index: self.index,
            capture: self.first_frame.capture(),
            client,
            server,
            encapsulation: self.key.encapsulation,
            macs: self.macs,
            first_frame: self.first_frame,
            last_frame: self.last_frame,
            start: self.start,
            end: self.end,
            handshake: self.handshake,
            close: self.close,
            vantage,
            vantage_basis,
            halves,
            time: self.account.shares(),
            stalls: self.account.stalls,
            short_waits: self.account.short_waits,
            events: events.kept,
            events_omitted: events.omitted,
            capture_duplicates: if by_capture { copies } else { 0 },
            disordered: self.disordered,
            clock_steps: self.clock_steps,
            clock_leaps: self.clock_leaps,
            truncated: self.truncated,
            evicted,
        }
    }

    /// Gives time that passed for the path's to what held a sender to the same burst each round trip.
    fn pinned(&mut self) {
        for n in 0..2 {
            let owner = &self.halves[1 - n].rec;
            let (offered, shift) = (owner.max_window, owner.window_scale.unwrap_or(0));
            let h = &mut self.halves[n];
            let Some(mut pinned) = h.rounds.pinned.filter(|p| p.octets * 2 <= offered) else {
                continue;
            };
            let whole = u64::from(h.rec.largest_segment.max(1));
            pinned.by_window = pinned.exact
                && shift >= TELLING_SHIFT
                && pinned.octets % whole != 0
                && pinned.octets.trailing_zeros() >= u32::from(shift);
            let cause = if pinned.by_window {
                h.limited_nanos = h
                    .limited_nanos
                    .saturating_add(nanos(pinned.time).unsigned_abs());
                Cause::ReceiveWindow
            } else {
                Cause::SendBuffer
            };
            h.rec.pinned = Some(pinned);
            self.account
                .give(&[Cause::Transfer, Cause::Latency], cause, pinned.time);
        }
    }

    /// Gives back the room that was kept for more: nothing has come for a while.
    pub(super) fn rest(&mut self) {
        self.halves.iter_mut().for_each(Half::rest);
        self.events.kept.shrink_to_fit();
    }

    /// Octets of memory that it holds, about.
    pub(super) fn memory(&self) -> usize {
        size_of::<Self>()
            + self.halves.iter().map(Half::heap).sum::<usize>()
            + self.streams.iter().map(Reassembler::held).sum::<usize>()
            + self.events.kept.capacity() * size_of::<super::record::Event>()
            + self.account.heap()
            + self.rival.as_ref().map_or(0, |r| {
                size_of::<Rival>() + r.more.capacity() * size_of::<Segment>()
            })
    }
}

/// Goodput over the time with data on its way, and per second.
#[allow(clippy::cast_precision_loss)]
fn goodput(h: &super::record::HalfRecord, life: Duration) -> Option<Goodput> {
    let (first, last) = (h.first_data?, h.last_data?);
    let span = last
        .since(first)
        .unwrap_or_default()
        .max(h.busy.min(life))
        .as_secs_f64();
    if h.unique_octets == 0 || span <= 0.0 {
        return None;
    }
    let mean = h.unique_octets as f64 * 8.0 / span;
    let peak = h.per_second.iter().map(|s| s.1).max().unwrap_or(0) as f64 * 8.0;
    let full = if h.per_second.len() > 2 {
        &h.per_second[1..h.per_second.len() - 1]
    } else {
        &h.per_second[..]
    };
    let mut worst = full.iter().map(|s| s.1).min().unwrap_or(0) as f64 * 8.0;
    if full.windows(2).any(|w| w[1].0 - w[0].0 > 1) {
        worst = 0.0;
    }
    Some(Goodput {
        mean_bps: mean,
        peak_bps: peak.max(mean.min(peak.max(mean))),
        worst_bps: worst.min(mean),
    })
}
