//! One direction of a connection: what its sender has sent, what came back, and what each segment was.
//!
//! Takes:  the segments of this direction, and the acknowledgements of the other
//! Gives:  a [`Verdict`] for each segment; a [`HalfRecord`] at the end
//! Never:  touches the other direction; keeps more than [`MAX_SENT`] ranges, [`MAX_HOLES`] holes or [`MAX_BLOCKS`] SACKed ranges

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::time::Duration;

use super::ipid::IpIds;
use super::record::{
    Event, EventKind, HalfRecord, IpIdUse, MAX_EVENTS, MAX_HOLES, Repeat, RetransmissionCounts,
    Trigger,
};
use super::rounds::Rounds;
use super::rtt::Estimator;
use crate::decode::{Checksum, Segment, TcpFlags};
use crate::net::{Direction, FrameNo, SeqNum, Sketch, StreamOffset, Timestamp};

/// No timer of a stack is finer than this.
const PROBE_SLACK: i64 = 2_000_000;
/// Basis of a repeat that a D-SACK proved needless; each D-SACK proves one (RFC 2883 section 4).
const REPORTED: &str = "the receiver reported it as a duplicate (D-SACK)";
/// Ranges remembered of what was sent: those on their way, and some that were acknowledged, to know late copies by.
pub(super) const MAX_SENT: usize = 16_384;
/// Acknowledged ranges remembered.
const HISTORY: usize = 128;
/// Ranges apart from each other that SACK blocks have covered, remembered as one each; what further ones cover is not known.
const MAX_BLOCKS: usize = MAX_SENT;
/// Ranges that one acknowledgement is taken to pass over; the rest is left to the next one.
const MAX_PASSED: usize = 1_024;
/// Ranges sent in vain that are told at the end of a direction.
const MAX_STUCK: usize = 64;
/// Segments remembered to know copies by.
const RECENT: usize = 16;
/// A sequence number further off than this fits no window (RFC 7323 section 2.3: at most 2^30).
const MAX_DISTANCE: i64 = 1 << 30;
/// SACK blocks further than this from all that was seen of a direction are of no octets that the capture may lack: that is more than
/// the windows that systems offer by themselves.
const MOST_UNSEEN: u64 = 16 << 20;
/// A FIN or RST further from what its sender has sent fits no window in use, and the receiver ignores it (RFC 9293 section
/// 3.10.7.4, RFC 5961 section 3).
pub(super) const NEAR: u64 = 1 << 26;
/// Two frames alike and closer than this are copies made by the capture or the network, where the IP identification cannot tell.
const COPY_NANOS: i64 = 200_000;
/// A copy comes within this time of the first, or it is none: a shared 16-bit identification comes round again.
const COPY_WINDOW_NANOS: i64 = 2_000_000_000;
/// Segments in a row outside every window after which the sender is believed to have moved on.
const MOVED_ON: u32 = 8;
/// Without a round-trip time, what fills a hole sooner than this was late, and not sent again.
const LATE_NANOS: i64 = 3_000_000;

/// What one segment was.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Verdict {
    /// No payload.
    Bare,
    /// Octets not sent before.
    New,
    /// Octets sent before: index into [`HalfRecord::repeats`] where that has room.
    Repeat(Option<usize>, Trigger),
    /// An original that came late.
    Reordered,
    /// A copy of a frame, made by the network or by the capture.
    Copy,
    /// A keep-alive (RFC 9293 section 3.8.4).
    KeepAlive,
    /// A probe of a closed window (RFC 9293 section 3.8.6.1).
    WindowProbe,
    /// Fits no window.
    Outside,
}

/// A range of octets that was sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    start: u64,
    end: u64,
    first: Timestamp,
    last: Timestamp,
    frame: FrameNo,
    ip_id: Option<u16>,
    last_ip_id: Option<u16>,
    tsval: u32,
    sends: u32,
    segments: u16,
    sacked: bool,
    /// The peer said something after the first copy that did not cover it, while it covered later octets.
    passed_over: bool,
    /// State of the first copy's checksum.
    checksum: Checksum,
    /// Whether any copy had a right checksum.
    some_good: bool,
}

/// Octets that this capture has not seen, with later ones seen.
#[derive(Clone, Copy, Debug)]
struct Hole {
    start: u64,
    end: u64,
    time: Timestamp,
    /// Of the segment that opened it, and of the one before it.
    opener_id: Option<u16>,
    before_id: Option<u16>,
    opener_tsval: Option<u32>,
    /// TSval of the peer's first acknowledgement after it opened.
    peer_tsval: Option<u32>,
}

/// What a frame is recognised by.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Mark {
    ip_id: Option<u16>,
    seq: SeqNum,
    ack: SeqNum,
    flags: TcpFlags,
    window: u16,
    octets: u32,
    timestamps: Option<(u32, u32)>,
    sacks: u64,
}

/// A leap of a sender by more than a whole window: octets that the capture missed, or a segment that is none of its own.
#[derive(Clone, Copy, Debug)]
struct Leap {
    /// Offset of the octet that was to come, and its number.
    from: u64,
    anchor: Option<SeqNum>,
    /// Time and frame of the segment that leapt.
    time: Timestamp,
    frame: FrameNo,
    /// Repeats kept before it.
    repeats: usize,
    beyond: Beyond,
}

/// What was counted of a sender since a leap, beyond where it leapt from.
#[derive(Clone, Copy, Debug, Default)]
struct Beyond {
    octets: u64,
    unique_octets: u64,
    segments: u64,
    repeated_octets: u64,
    repeated_segments: u64,
    late_segments: u64,
    /// Repeats for which there was no room, and their segments by trigger.
    repeats_omitted: u64,
    omitted: RetransmissionCounts,
}

impl Leap {
    /// Counts what of `start..end` lies beyond, `unique` octets of it for the first time; the segments are those that begin there.
    fn count(&mut self, start: u64, end: u64, unique: u64, segments: u64, verdict: Verdict) {
        let octets = end.saturating_sub(start.max(self.from));
        let segments = if start < self.from { 0 } else { segments };
        let b = &mut self.beyond;
        b.octets += octets;
        b.unique_octets += unique.min(octets);
        b.segments += segments;
        match verdict {
            Verdict::Repeat(..) => {
                b.repeated_octets += octets;
                b.repeated_segments += segments;
            }
            Verdict::Reordered => b.late_segments += segments,
            _ => {}
        }
    }
}

/// In which repair the sender is, as far as its segments show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Phase {
    Open,
    /// Fast recovery until `until` is acknowledged.
    Recovery {
        until: u64,
    },
    /// After a timeout, until `until` is acknowledged.
    Loss {
        until: u64,
    },
}

/// What the other end and the connection contribute to a verdict.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    /// Scaled receive window of the other end, `None` before it is known.
    pub(super) peer_window: Option<u64>,
    /// Largest window that it ever offered, where its scale is certain.
    pub(super) peer_most: Option<u64>,
    /// Shortest round trip of the whole path, if known.
    pub(super) path_rtt: Option<i64>,
    /// Both ends may use SACK.
    pub(super) sack: bool,
    /// Wire segments with payload that the other end has sent so far.
    pub(super) peer_segments: u64,
    /// The capture has all octets of the other direction that were acknowledged.
    pub(super) peer_whole: bool,
    /// The capture was taken beside the sender of this direction: whatever it sends is seen.
    pub(super) beside_sender: bool,
    /// When an ICMP error last told the sender to send smaller packets.
    pub(super) too_big: Option<Timestamp>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Half {
    pub(super) rec: HalfRecord,
    /// [`HalfRecord::busy`] and [`HalfRecord::window_limited`] as they grow, with each segment.
    pub(super) busy_nanos: u64,
    pub(super) limited_nanos: u64,
    /// Sequence number that stands at `nxt`.
    anchor: Option<SeqNum>,
    /// Offset after the highest octet sent (SND.NXT as seen).
    pub(super) nxt: u64,
    /// Highest acknowledgement from the other end (SND.UNA as seen).
    pub(super) una: Option<u64>,
    pub(super) fin: Option<u64>,
    /// Window that this end offers, scaled; `None` before its first segment with one.
    pub(super) window: Option<u64>,
    raw_window: u16,
    /// Shift in force for `window`.
    pub(super) scale: u8,
    /// Whether that is certain: both SYNs were seen.
    pub(super) scale_known: bool,
    shut_since: Option<(Timestamp, FrameNo)>,
    /// Payload of one full wire segment of this direction, 0 if not known.
    pub(super) unit: u32,
    /// Same as advertised by the peer's SYN and ours, before options.
    pub(super) mss_limit: u32,
    sent: VecDeque<Sent>,
    /// How many of the first entries of `sent` are acknowledged.
    acked_entries: usize,
    /// In order of their octets, which is that of their time but for rests; apart from each other.
    holes: Vec<Hole>,
    /// Holes that were acknowledged without having been filled.
    acked_holes: Vec<(u64, u64)>,
    /// Grows up to [`RECENT`], so that a flow of few segments stays small; then a ring.
    recent: Vec<(Mark, Timestamp, FrameNo)>,
    recent_at: usize,
    pub(super) ids: IpIds,
    pub(super) estimator: Estimator,
    pub(super) rtts: Sketch,
    pub(super) last_rtt: Option<i64>,
    pub(super) min_rtt: Option<i64>,
    pub(super) phase: Option<Phase>,
    dup_run: u32,
    highest_sacked: u64,
    /// What SACK blocks have covered above `una`: start and end, apart from each other (the scoreboard of RFC 6675).
    scoreboard: BTreeMap<u64, u64>,
    /// Up to where SACK has passed over what it left out.
    passed_upto: u64,
    /// Repeats whose fate is open: indices into `rec.repeats`.
    pending: Vec<usize>,
    /// Octets still to be taken for repeats of octets lost before the capture point.
    lost_credit: u64,
    /// `Context::peer_segments` for which that holds.
    credit_until: u64,
    /// The one octet of a window probe that may yet be acknowledged.
    probe_octet: bool,
    /// Octets of a hole that the segment being judged fills.
    filled: u64,
    /// Segments in a row that fit no window.
    outside: u32,
    /// Apart, as few flows have one.
    leap: Option<Box<Leap>>,
    /// Where the last segment ends by a length that its frame had no room for, and whether such lengths were borne out.
    claimed: Option<u64>,
    pub(super) believed: bool,
    pub(super) rounds: Rounds,
    pub(super) last_data: Option<Timestamp>,
    /// Payload of the last segment.
    pub(super) last_octets: u32,
    pub(super) last_any: Option<Timestamp>,
    /// When the retransmission timer was set anew: `una` advanced, its segment was repeated, or the first of a flight was sent
    /// (RFC 6298 section 5).
    timer_from: Option<Timestamp>,
    /// When the probe timer was: with each segment sent, and each acknowledgement (RFC 8985 section 7.2).
    probe_from: Option<Timestamp>,
    /// Trigger and time of the last repeat.
    last_repeat: Option<(Trigger, Timestamp)>,
    pub(super) last_tsval: Option<u32>,
    pub(super) dsacks: u64,
    /// Copies by frames: for telling the capture's from the network's.
    pub(super) copies: u64,
    pub(super) copies_by_ttl: u64,
    tail_probe_open: bool,
    /// `Context::peer_segments` when this end last sent anything.
    peer_segments: u64,
    pub(super) first_ttl: Option<u8>,
    /// Right edges of the window that this end offered: when, and up to which offset of the other direction. Thinned.
    edges: VecDeque<(Timestamp, u64)>,
    /// Whether one of them was ever before the one before it, as RFC 9293 section 3.8.6 discourages.
    retreated: bool,
    /// TSvals of this end and when each was first seen.
    stamps: VecDeque<(u32, Timestamp)>,
    /// Round trips from a TSval of this end to the first data that echoes it: through the other end and back.
    pub(super) echoes: Sketch,
}

/// Offers and timestamps remembered.
const REMEMBERED: usize = 64;

/// `a` is older than `b` on a 32-bit clock (RFC 7323 section 5.2).
fn older(a: u32, b: u32) -> bool {
    b.wrapping_sub(a).cast_signed() > 0
}

impl Half {
    /// Offset of a sequence number of this direction; the first one seen becomes the origin.
    pub(super) fn offset(&mut self, seq: SeqNum) -> u64 {
        match self.anchor {
            Some(anchor) => self
                .nxt
                .saturating_add_signed(i64::from(anchor.distance_to(seq))),
            None => {
                self.anchor = Some(seq);
                self.nxt = StreamOffset::ORIGIN.0;
                self.rec.first_seq = Some(seq);
                self.nxt
            }
        }
    }

    /// Whether octets from this number on are on their way: sent, and not acknowledged.
    pub(super) fn is_under_way(&self, seq: SeqNum) -> bool {
        self.anchor.is_some_and(|anchor| {
            let at = self
                .nxt
                .saturating_add_signed(i64::from(anchor.distance_to(seq)));
            (self.una.unwrap_or(0)..self.nxt).contains(&at)
        })
    }

    /// Sequence number of the next octet.
    pub(super) fn next_number(&self) -> Option<SeqNum> {
        self.anchor
    }

    /// Whether anything has been seen of this direction.
    pub(super) fn started(&self) -> bool {
        self.anchor.is_some()
    }

    fn advance(&mut self, to: u64) {
        if to > self.nxt {
            let by = u32::try_from((to - self.nxt) & 0xffff_ffff).unwrap_or(0);
            self.anchor = self.anchor.map(|a| a.plus(by));
            self.nxt = to;
        }
    }

    /// A segment of which less was counted claims to be so long.
    pub(super) fn claims(&mut self, seg: &Segment) {
        let end = self
            .offset(seg.seq)
            .saturating_add(u64::from(seg.payload_octets));
        self.claimed = Some(end).filter(|&end| end > self.nxt);
    }

    /// The sender goes on at `upto`, or the other end has got so far: where the last segment had claimed just that, it was that long, and
    /// the capture forgot how long its frame was.
    fn borne_out(&mut self, upto: u64) {
        if self.claimed != Some(upto) {
            return;
        }
        self.believed = true;
        self.claimed = None;
        let missing = upto.saturating_sub(self.nxt);
        self.rec.octets += missing;
        self.rec.unique_octets += missing;
        if let Some(leap) = &mut self.leap {
            leap.beyond.octets += missing;
            leap.beyond.unique_octets += missing;
        }
        if let Some(last) = self.sent.back_mut().filter(|s| s.end == self.nxt) {
            last.end = upto;
        }
        self.advance(upto);
    }

    /// Octets on their way: sent and not acknowledged.
    pub(super) fn flight(&self) -> u64 {
        self.una.map_or(0, |una| self.nxt.saturating_sub(una))
    }

    /// Wire segments that a payload of `octets` stands for.
    pub(super) fn wire_segments(&self, octets: u32) -> u32 {
        if self.unit == 0 || octets <= self.unit {
            1
        } else {
            octets.div_ceil(self.unit)
        }
    }

    /// Whether this frame is a copy of a recent one: the frame and its time, if so. Remembers it otherwise.
    pub(super) fn copy_of(
        &mut self,
        seg: &Segment,
        sacks: &[(SeqNum, SeqNum)],
        advances: bool,
    ) -> Option<(Timestamp, FrameNo)> {
        let mark = Mark {
            ip_id: seg.ip_id,
            seq: seg.seq,
            ack: seg.ack,
            flags: seg.flags,
            window: seg.window,
            octets: seg.payload_octets,
            timestamps: seg.timestamps,
            sacks: sacks.iter().fold(0, |h, &(l, r)| {
                h.rotate_left(7) ^ (u64::from(l.0) << 32 | u64::from(r.0))
            }),
        };
        if !advances {
            let telling =
                seg.ip_id.is_some_and(|id| id != 0) && !matches!(self.ids.learned(), IpIdUse::Zero);
            for (old, time, frame) in &self.recent {
                let apart = seg.time.nanos_since(*time);
                if *old == mark
                    && apart
                        < if telling {
                            COPY_WINDOW_NANOS
                        } else {
                            COPY_NANOS
                        }
                    && (telling || seg.payload_octets > 0)
                {
                    return Some((*time, *frame));
                }
            }
        }
        let mark = (mark, seg.time, seg.frame);
        match self.recent.get_mut(self.recent_at) {
            Some(oldest) => *oldest = mark,
            None => self.recent.push(mark),
        }
        self.recent_at = (self.recent_at + 1) % RECENT;
        None
    }

    /// Judges a segment of this direction that carries payload, and takes it in.
    pub(super) fn data(
        &mut self,
        seg: &Segment,
        start: u64,
        direction: Direction,
        ctx: &Context,
        events: &mut Events,
    ) -> Verdict {
        let octets = seg.payload_octets;
        let end = start + u64::from(octets);
        if start.abs_diff(self.nxt) > MAX_DISTANCE.unsigned_abs() {
            events.add(seg, direction, EventKind::OutsideWindow);
            self.outside += 1;
            if self.outside < MOVED_ON {
                return Verdict::Outside;
            }
            // One such segment is a stray or an attack; many in a row are where the sender is now.
            return self.move_on(seg, direction, events);
        }
        self.outside = 0;
        if start > self.nxt {
            self.borne_out(start);
        }
        self.leaps(seg, start, ctx);
        let shut = ctx.peer_window == Some(0);
        // A probe of a closed window is one octet at the edge; a keep-alive lies one octet before it.
        if octets == 1 && shut && start == self.nxt {
            self.rec.window_probes += 1;
            self.probe_octet = true;
            return Verdict::WindowProbe;
        }
        if octets == 1 && start + 1 == self.nxt && self.una.is_some_and(|una| una >= self.nxt) {
            self.rec.keep_alives += 1;
            return Verdict::KeepAlive;
        }
        let segments = self.wire_segments(octets);
        if self.flight() == 0 {
            self.timer_from = Some(seg.time);
        }
        let verdict = if start >= self.nxt {
            self.forward(seg, start, end, direction, ctx, events)
        } else {
            self.backward(seg, start, end, direction, ctx, events)
        };
        if verdict == Verdict::Copy {
            return verdict;
        }
        self.count(seg, segments, start, end, verdict);
        if let Some(rtt) = ctx.path_rtt
            && self.rec.retransmitted_segments == 0
        {
            self.rounds.data(seg.time, octets, self.unit, rtt);
        }
        self.advance(end);
        self.probe_octet = false;
        self.last_data = Some(seg.time);
        self.last_octets = octets;
        self.probe_from = Some(seg.time);
        if matches!(verdict, Verdict::Repeat(..)) && self.una.is_some_and(|una| start <= una) {
            self.timer_from = Some(seg.time);
        }
        verdict
    }

    /// Notes where the sender goes on, if this segment begins more than a whole window beyond.
    pub(super) fn leaps(&mut self, seg: &Segment, start: u64, ctx: &Context) {
        let most = ctx.peer_most.filter(|_| self.una.is_some());
        if self.leap.is_none() && most.is_some_and(|most| start > self.nxt.saturating_add(most)) {
            self.leap = Some(Box::new(Leap {
                from: self.nxt,
                anchor: self.anchor,
                time: seg.time,
                frame: seg.frame,
                repeats: self.rec.repeats.len(),
                beyond: Beyond::default(),
            }));
        }
    }

    /// The sender goes on where it was before a leap over more than a window. It had sent nothing beyond, as it may not before the
    /// octets between are acknowledged: what leapt was an attacker's, or a stray, and is taken back. Gives its frame and time, and from
    /// which offset on nothing holds.
    pub(super) fn take_back(&mut self, start: u64) -> Option<(FrameNo, Timestamp, u64)> {
        let leap = self.leap.take_if(|leap| leap.from == start)?;
        while self.sent.pop_back_if(|s| s.start >= leap.from).is_some() {}
        let (r, b) = (&mut self.rec, &leap.beyond);
        r.octets = r.octets.saturating_sub(b.octets);
        r.unique_octets = r.unique_octets.saturating_sub(b.unique_octets);
        r.repeats_omitted = r.repeats_omitted.saturating_sub(b.repeats_omitted);
        r.retransmissions.take_back(&b.omitted);
        r.data_segments = r.data_segments.saturating_sub(b.segments);
        r.retransmitted_octets = r.retransmitted_octets.saturating_sub(b.repeated_octets);
        r.retransmitted_segments = r.retransmitted_segments.saturating_sub(b.repeated_segments);
        r.out_of_order_segments = r.out_of_order_segments.saturating_sub(b.late_segments);
        self.forget_repeats(&leap);
        self.acked_entries = self.acked_entries.min(self.sent.len());
        self.holes.retain(|h| h.start < leap.from);
        self.fin = self.fin.filter(|&fin| fin < leap.from);
        (self.nxt, self.anchor) = (leap.from, leap.anchor);
        // Nor did it repair anything up to there.
        if let Some(Phase::Recovery { until } | Phase::Loss { until }) = self.phase
            && until > leap.from
        {
            self.phase = Some(Phase::Open);
        }
        Some((leap.frame, leap.time, leap.from))
    }

    /// Repeats of what a leap brought were no more of the sender than that.
    #[cold]
    fn forget_repeats(&mut self, leap: &Leap) {
        let first = leap.repeats.min(self.rec.repeats.len());
        let later = self.rec.repeats.split_off(first);
        let open = self
            .pending
            .split_off(self.pending.partition_point(|&p| p < first));
        for (was, repeat) in (first..).zip(later) {
            if repeat.offset < leap.from {
                if open.binary_search(&was).is_ok() {
                    self.pending.push(self.rec.repeats.len());
                }
                self.rec.repeats.push(repeat);
            }
        }
    }

    /// Takes up the stream where the sender has got to: what lies between was never captured.
    #[cold]
    fn move_on(&mut self, seg: &Segment, direction: Direction, events: &mut Events) -> Verdict {
        let jump = self
            .anchor
            .map_or(0, |a| u64::from(seg.seq.0.wrapping_sub(a.0)));
        self.advance(self.nxt.saturating_add(jump));
        self.rec.unseen_octets += jump;
        events.add(seg, direction, EventKind::UnseenAcked { octets: jump });
        self.una = Some(self.nxt);
        self.sent.clear();
        self.acked_entries = 0;
        self.scoreboard.clear();
        self.holes.clear();
        self.pending.clear();
        self.leap = None;
        self.outside = 0;
        let (start, end) = (self.nxt, self.nxt + u64::from(seg.payload_octets));
        self.push_sent(seg, start, end);
        self.count(
            seg,
            self.wire_segments(seg.payload_octets),
            start,
            end,
            Verdict::New,
        );
        self.advance(end);
        self.last_data = Some(seg.time);
        Verdict::New
    }

    /// A segment at or beyond everything sent so far.
    fn forward(
        &mut self,
        seg: &Segment,
        start: u64,
        end: u64,
        direction: Direction,
        ctx: &Context,
        events: &mut Events,
    ) -> Verdict {
        if start > self.nxt && (self.rec.data_segments > 0 || self.rec.syn_seen) {
            self.open_hole(seg, start, direction, events);
            self.lost_credit = 0;
        } else if start == self.nxt && (self.rec.data_segments > 0 || self.rec.syn_seen) {
            // Packets of this sender are missing here, and no octets are: either they were bare acknowledgements, of which each segment
            // of the other end calls for one at most, or they carried the octets that come now, for the second time.
            // A capture that misses packets of its own says nothing here.
            let whole = self.rec.unseen_octets == 0 && ctx.peer_whole;
            let missing = match whole && !ctx.beside_sender {
                true => self.missing_before(seg),
                false => 0,
            };
            if missing > 0 {
                let to_acknowledge = ctx.peer_segments.saturating_sub(self.peer_segments);
                // While a hole is open, a repeat of its octets may be what got lost.
                let unit = u64::from(self.unit.max(1));
                let in_holes: u64 = self
                    .holes
                    .iter()
                    .map(|h| (h.end - h.start).div_ceil(unit))
                    .sum();
                let surplus = u64::from(missing)
                    .saturating_sub(to_acknowledge)
                    .saturating_sub(in_holes);
                let quiet = self.last_any.map_or(0, |t| seg.time.nanos_since(t));
                let rtt = ctx.path_rtt.unwrap_or(LATE_NANOS);
                // An answer that comes just when the first timer of the stacks in use runs out had been sent before, with the
                // acknowledgement that is missing.
                let timer = rtt + super::rtt::MIN_RTO_NANOS;
                let by_timer = quiet >= timer - timer / 16 && quiet <= 2 * rtt + 330_000_000;
                // What comes after the other end has spoken answers that, unless it comes as late as a probe (RFC 8985 section 7.2):
                // then the missing numbers went to other connections of the sender.
                let soonest = match to_acknowledge {
                    0 => LATE_NANOS / 10,
                    _ => 2 * rtt + PROBE_SLACK,
                };
                let again = if surplus > 0 && quiet >= soonest {
                    surplus
                } else {
                    u64::from(by_timer)
                };
                self.lost_credit = again * u64::from(self.unit.max(seg.payload_octets));
                self.credit_until = ctx.peer_segments;
                self.rec.unseen_packets += u64::from(missing).saturating_sub(again);
            }
        }
        // What comes after the other end has spoken again answers that, and is new.
        let credited =
            self.lost_credit > 0 && start == self.nxt && ctx.peer_segments == self.credit_until;
        self.push_sent(seg, start, end);
        if credited {
            self.lost_credit = self.lost_credit.saturating_sub(end - start);
            let trigger = if matches!(
                self.phase,
                Some(Phase::Loss { .. } | Phase::Recovery { .. })
            ) {
                Trigger::Timeout
            } else {
                self.silent_trigger(ctx)
            };
            let known = Repeated {
                of: None,
                sends_before: 1,
                after: None,
                confidence: 0.7,
                basis: "its first copy is missing here: the sender's IP identification skips, and it was silent for a round trip or more",
            };
            return self.repeat(seg, start, trigger, &known);
        }
        Verdict::New
    }

    /// Octets before `start` were sent and have not come by: `seg` came first.
    #[cold]
    fn open_hole(&mut self, seg: &Segment, start: u64, direction: Direction, events: &mut Events) {
        if self.holes.len() < MAX_HOLES {
            self.holes.push(Hole {
                start: self.nxt,
                end: start,
                time: seg.time,
                opener_id: seg.ip_id,
                before_id: self.ids.last,
                opener_tsval: seg.timestamps.map(|t| t.0),
                peer_tsval: None,
            });
        } else {
            self.rec.holes_omitted += 1;
        }
        let octets = start - self.nxt;
        events.add(seg, direction, EventKind::Hole { octets });
    }

    /// A bare acknowledgement bears SND.NXT (RFC 9293 section 3.4): where it stands beyond all octets seen, those between were sent
    /// before, and what brings them later is late or a repeat. One number alone may be a FIN's.
    pub(super) fn bare(
        &mut self,
        seg: &Segment,
        start: u64,
        direction: Direction,
        ctx: &Context,
        events: &mut Events,
    ) {
        let most = ctx.peer_most.unwrap_or(u64::from(u16::MAX));
        let beyond = start.saturating_sub(self.nxt);
        let open = self.rec.data_segments > 0 || self.rec.syn_seen;
        if open && self.fin.is_none() && !ctx.beside_sender && (2..=most).contains(&beyond) {
            self.open_hole(seg, start, direction, events);
            self.advance(start);
        }
    }

    /// A segment that begins below what was sent already.
    #[cold]
    fn backward(
        &mut self,
        seg: &Segment,
        start: u64,
        end: u64,
        direction: Direction,
        ctx: &Context,
        events: &mut Events,
    ) -> Verdict {
        let at = self.holes.partition_point(|h| h.end <= start);
        if let Some(hole) = self.holes.get(at).copied().filter(|h| h.start <= start) {
            return self.fills(seg, start, end, &hole, direction, ctx, events);
        }
        if let Some(at) = self
            .acked_holes
            .iter()
            .position(|h| start >= h.0 && end <= h.1)
        {
            // The other end had it before the capture shows it: the capture is out of order, or the frame took another way.
            let (from, upto) = self.acked_holes.swap_remove(at);
            for rest in [(from, start), (end, upto)] {
                if rest.0 < rest.1 && self.acked_holes.len() < MAX_HOLES {
                    self.acked_holes.push(rest);
                }
            }
            self.rec.unseen_octets = self.rec.unseen_octets.saturating_sub(end - start);
            self.rec.late_in_capture += 1;
            self.insert_sent(seg, start, end);
            return Verdict::Reordered;
        }
        // Seen before: whose copy is it?
        let found = self
            .sent
            .range(self.sent_within(start, end))
            .next()
            .copied();
        if let Some(first) = found {
            let wire = if self.unit > 0 {
                u16::try_from((start.saturating_sub(first.start)) / u64::from(self.unit))
                    .unwrap_or(0)
            } else {
                0
            };
            let telling = !matches!(self.ids.learned(), IpIdUse::Zero | IpIdUse::Unknown);
            let same_id = seg.ip_id.filter(|id| *id != 0).is_some_and(|id| {
                first.ip_id.map(|f| f.wrapping_add(wire)) == Some(id)
                    || first.last_ip_id == Some(id)
            });
            let apart = seg.time.nanos_since(first.last);
            let alike = seg.timestamps.map_or(0, |t| t.0) == first.tsval
                && apart < ctx.path_rtt.map_or(COPY_NANOS, |r| (r / 4).min(COPY_NANOS));
            if (same_id && telling && apart < COPY_WINDOW_NANOS)
                || (!telling && alike && first.sends == 1)
            {
                events.add(
                    seg,
                    direction,
                    EventKind::NetworkDuplicate { of: first.frame },
                );
                self.copies += 1;
                return Verdict::Copy;
            }
        }
        let sends_before = found.map_or(1, |f| f.sends);
        let trigger = self.trigger(seg, start, end, sends_before, ctx);
        let after = found.and_then(|f| seg.time.since(f.last));
        let delivered =
            end <= self.una.unwrap_or(0) || found.is_some_and(|f| f.sacked && f.end >= end);
        if let Some(f) = found
            .filter(|f| f.passed_over && !f.sacked && f.checksum != Checksum::Wrong && !delivered)
        {
            events.add(seg, direction, EventKind::NotTaken { of: f.frame });
        }
        let known = Repeated {
            of: found.map(|f| f.frame),
            sends_before,
            after,
            confidence: if found.is_some() { 0.98 } else { 0.85 },
            basis: if delivered {
                "these octets had been acknowledged before"
            } else if found.is_some() {
                "these octets were captured before, in a packet of its own"
            } else {
                "it lies below octets sent before"
            },
        };
        if self.sent_again(seg, start, end)
            && let Some(s) = self.sent.back_mut()
        {
            s.sends = 2;
        }
        let verdict = self.repeat(seg, start, trigger, &known);
        if delivered && let Verdict::Repeat(Some(n), _) = verdict {
            self.rec.repeats[n].spurious = true;
            self.rec.repeats[n].acked = true;
            self.pending.retain(|&p| p != n);
        }
        verdict
    }

    /// Notes that `start..end` was sent by `seg`, some of it not for the first time. `true`: it reached beyond all sent before.
    #[cold]
    fn sent_again(&mut self, seg: &Segment, start: u64, end: u64) -> bool {
        let again = self.sent_within(start, end);
        for s in self.sent.range_mut(again) {
            s.sends = s.sends.saturating_add(1);
            s.last = seg.time;
            s.last_ip_id = seg.ip_id;
            s.some_good |= seg.checksum == Checksum::Good;
        }
        self.fill_holes(seg, start, end);
        let further = end > self.nxt;
        if further {
            self.push_sent(seg, self.nxt, end);
        }
        further
    }

    /// Ranges sent before that share octets with `start..end`: places in `sent`.
    fn sent_within(&self, start: u64, end: u64) -> Range<usize> {
        let from = self.sent.partition_point(|s| s.end <= start);
        from..self.sent.partition_point(|s| s.start < end).max(from)
    }

    /// Takes `start..end` out of the holes, and notes the octets that filled some.
    #[cold]
    fn fill_holes(&mut self, seg: &Segment, start: u64, end: u64) {
        let mut at = self.holes.partition_point(|h| h.end <= start);
        while let Some(hole) = self.holes.get(at).copied().filter(|h| h.start < end) {
            let (from, upto) = (start.max(hole.start), end.min(hole.end));
            let before = Hole { end: from, ..hole };
            let behind = Hole {
                start: upto,
                ..hole
            };
            let rests = [before, behind].into_iter().filter(|h| h.start < h.end);
            if start > hole.start && end < hole.end && self.holes.len() >= MAX_HOLES {
                self.rec.holes_omitted += 1;
                self.holes[at] = before;
                at += 1;
            } else {
                let kept = usize::from(from > hole.start);
                self.holes.splice(at..=at, rests);
                at += kept;
            }
            self.insert_sent(seg, from, upto);
            self.filled += upto - from;
            if upto < hole.end {
                break;
            }
        }
    }

    /// A segment that begins in `hole`: a late original, or a repeat of one that was lost before the capture point.
    #[cold]
    #[allow(clippy::too_many_arguments)]
    fn fills(
        &mut self,
        seg: &Segment,
        start: u64,
        end: u64,
        hole: &Hole,
        direction: Direction,
        ctx: &Context,
        events: &mut Events,
    ) -> Verdict {
        let late = seg.time.nanos_since(hole.time);
        let by_id = match (
            self.ids.learned(),
            seg.ip_id,
            hole.before_id,
            hole.opener_id,
        ) {
            (IpIdUse::PerConnection | IpIdUse::Shared, Some(id), Some(before), Some(opener))
                if late < 10_000_000_000 =>
            {
                let (mine, span) = (id.wrapping_sub(before), opener.wrapping_sub(before));
                if span > 1 && span < 0x4000 && mine > 0 && mine < span {
                    Some((
                        true,
                        0.95,
                        "its IP identification lies between those of the segments around the hole",
                    ))
                } else if self
                    .ids
                    .last
                    .is_some_and(|last| (1..0x4000).contains(&id.wrapping_sub(last)))
                {
                    Some((
                        false,
                        0.95,
                        "its IP identification is newer than that of all segments before it",
                    ))
                } else {
                    None
                }
            }
            _ => None,
        };
        let by_timestamp = || {
            let (val, ecr) = seg.timestamps?;
            let opener = hole.opener_tsval?;
            if older(val, opener) {
                return Some((
                    true,
                    0.9,
                    "its timestamp is older than that of the segment that overtook it",
                ));
            }
            if hole.peer_tsval.is_some_and(|p| !older(ecr, p)) {
                return Some((
                    false,
                    0.9,
                    "it echoes a timestamp that the receiver sent after the hole had opened",
                ));
            }
            older(opener, val).then_some((
                false,
                0.8,
                "its timestamp is newer than that of the segment that overtook it",
            ))
        };
        let by_time = || {
            let limit = ctx.path_rtt.map_or(LATE_NANOS, |r| r - r / 4);
            if late < limit {
                (
                    true,
                    0.6,
                    "it came sooner than a round trip after the hole had opened",
                )
            } else {
                (
                    false,
                    0.6,
                    "it came a round trip or more after the hole had opened",
                )
            }
        };
        let (original, confidence, basis) = if end > hole.end {
            // An original holds nothing that another one held.
            (false, 0.95, "it reaches over octets sent before")
        } else {
            by_id.or_else(by_timestamp).unwrap_or_else(by_time)
        };
        self.sent_again(seg, start, end);
        if !original && let Some(gap) = self.id_gap(seg).filter(|_| !ctx.beside_sender) {
            // Packets behind the newest one seen are missing too, and their octets are still to come.
            let to_acknowledge = ctx.peer_segments.saturating_sub(self.peer_segments);
            let surplus = u64::from(gap).saturating_sub(to_acknowledge);
            self.lost_credit = surplus * u64::from(self.unit);
            self.credit_until = ctx.peer_segments;
        }
        if original {
            events.add(
                seg,
                direction,
                EventKind::Reordered {
                    late: Duration::from_nanos(late.max(0).unsigned_abs()),
                },
            );
            return Verdict::Reordered;
        }
        let trigger = self.trigger(seg, start, end, 1, ctx);
        let known = Repeated {
            of: None,
            sends_before: 1,
            after: None,
            confidence,
            basis,
        };
        self.repeat(seg, start, trigger, &known)
    }

    /// Packets of this sender that are certainly missing before this one. Mostly it is the next one, which is told without asking how
    /// the sender numbers its packets.
    fn missing_before(&self, seg: &Segment) -> u16 {
        let next = self.ids.last.map(|last| last.wrapping_add(1));
        match next {
            Some(_) if next == seg.ip_id => 0,
            _ => self.id_gap(seg).unwrap_or(0),
        }
    }

    /// Packets of this sender missing before this one, by its IP identification; `None` where that cannot be told.
    fn id_gap(&self, seg: &Segment) -> Option<u16> {
        let (Some(id), Some(last)) = (seg.ip_id, self.ids.last) else {
            return None;
        };
        let gap = id.wrapping_sub(last).wrapping_sub(1);
        let counts = match self.ids.learned() {
            IpIdUse::PerConnection => gap < 1024,
            // The first packets cannot tell. Linux counts per connection, and looks like this.
            IpIdUse::Unknown => {
                gap < 64 && seg.timestamps.is_some() && seg.ttl <= 64 && seg.dont_fragment
            }
            _ => false,
        };
        counts.then_some(gap)
    }

    /// Trigger of a repeat that no acknowledgement called for: a tail loss probe where the ends may use those, else the timer.
    fn silent_trigger(&self, ctx: &Context) -> Trigger {
        if ctx.sack && !self.tail_probe_open {
            Trigger::TailProbe
        } else {
            Trigger::Timeout
        }
    }

    /// What made the sender repeat `start..end` now; moves the phase on.
    #[cold]
    fn trigger(
        &mut self,
        seg: &Segment,
        start: u64,
        end: u64,
        sends_before: u32,
        ctx: &Context,
    ) -> Trigger {
        let waited = self.timer_from.map_or(0, |t| seg.time.nanos_since(t));
        let quiet = self.probe_from.map_or(0, |t| seg.time.nanos_since(t));
        let una = self.una.unwrap_or(0);
        let at_head = start <= una;
        let evidence =
            self.highest_sacked >= end || (self.dup_run >= if ctx.sack { 1 } else { 2 } && at_head);
        let rtt = self
            .estimator
            .srtt()
            .into_iter()
            .chain(ctx.path_rtt)
            .max()
            .unwrap_or(100_000_000);
        // A timer does not run out sooner than this.
        let timer = (rtt + super::rtt::MIN_RTO_NANOS) * 85 / 100;
        if ctx.too_big.is_some_and(|t| {
            seg.time
                .since(t)
                .is_some_and(|d| d < Duration::from_millis(500))
        }) && sends_before < 2
        {
            self.phase = Some(Phase::Loss {
                until: self.nxt.max(end),
            });
            return Trigger::Timeout;
        }
        match self.phase {
            Some(Phase::Loss { until }) if start < until => return Trigger::Timeout,
            Some(Phase::Recovery { until }) if start < until => {
                if at_head
                    && waited >= timer
                    && (sends_before >= 2 || waited >= rtt + super::rtt::MIN_RTO_NANOS)
                {
                    self.phase = Some(Phase::Loss {
                        until: self.nxt.max(end),
                    });
                    return Trigger::Timeout;
                }
                return Trigger::Fast;
            }
            _ => {}
        }
        if evidence && !(at_head && waited >= timer && sends_before >= 2) {
            self.phase = Some(Phase::Recovery {
                until: self.nxt.max(end),
            });
            return Trigger::Fast;
        }
        let tail = end >= self.nxt;
        if tail && sends_before < 2 && ctx.sack && !self.tail_probe_open && quiet * 10 >= rtt * 12 {
            // RFC 8985 section 7.3: the probe repeats the highest segment; one probe until it is answered.
            self.tail_probe_open = true;
            return Trigger::TailProbe;
        }
        // One of a burst goes by the same trigger as the one before it.
        if !at_head
            && let Some((trigger, at)) = self.last_repeat
            && seg.time.nanos_since(at) < rtt
        {
            return trigger;
        }
        if at_head || quiet >= timer || sends_before >= 2 {
            self.phase = Some(Phase::Loss {
                until: self.nxt.max(end),
            });
            return Trigger::Timeout;
        }
        Trigger::Unknown
    }

    #[cold]
    fn repeat(&mut self, seg: &Segment, start: u64, trigger: Trigger, known: &Repeated) -> Verdict {
        let segments = self.wire_segments(seg.payload_octets);
        self.last_repeat = Some((trigger, seg.time));
        if self.rec.repeats.len() >= MAX_EVENTS {
            // Past the limit the first judgement stands.
            self.rec.repeats_omitted += 1;
            self.rec.retransmissions.add(trigger, u64::from(segments));
            if let Some(leap) = self.leap.as_mut().filter(|leap| start >= leap.from) {
                leap.beyond.repeats_omitted += 1;
                leap.beyond.omitted.add(trigger, u64::from(segments));
            }
            return Verdict::Repeat(None, trigger);
        }
        let n = self.rec.repeats.len();
        self.rec.repeats.push(Repeat {
            frame: seg.frame,
            time: seg.time,
            of: known.of,
            seq: seg.seq,
            offset: start,
            octets: seg.payload_octets,
            segments,
            trigger,
            spurious: false,
            sends_before: known.sends_before,
            after: known.after,
            confidence: known.confidence,
            basis: known.basis,
            checksum: seg.checksum,
            tsval: seg.timestamps.map(|t| t.0),
            una_before: self.una,
            rtt_before: self
                .last_rtt
                .map(|r| Duration::from_nanos(r.max(0).unsigned_abs())),
            acked: false,
        });
        if self.pending.len() < 1024 {
            self.pending.push(n);
        }
        Verdict::Repeat(Some(n), trigger)
    }

    fn entry(seg: &Segment, start: u64, end: u64, segments: u32) -> Sent {
        Sent {
            start,
            end,
            first: seg.time,
            last: seg.time,
            frame: seg.frame,
            ip_id: seg.ip_id,
            last_ip_id: seg.ip_id,
            tsval: seg.timestamps.map_or(0, |t| t.0),
            sends: 1,
            segments: u16::try_from(segments).unwrap_or(u16::MAX),
            sacked: false,
            passed_over: false,
            checksum: seg.checksum,
            some_good: seg.checksum == Checksum::Good,
        }
    }

    fn push_sent(&mut self, seg: &Segment, start: u64, end: u64) {
        if self.sent.len() >= MAX_SENT {
            self.sent.pop_front();
            self.acked_entries = self.acked_entries.saturating_sub(1);
        }
        let segments = self.wire_segments(seg.payload_octets);
        self.sent.push_back(Self::entry(seg, start, end, segments));
    }

    #[cold]
    fn insert_sent(&mut self, seg: &Segment, start: u64, end: u64) {
        let segments = self.wire_segments(seg.payload_octets);
        let at = self.sent.partition_point(|s| s.start < start);
        if self.sent.len() < MAX_SENT {
            self.sent.insert(at, Self::entry(seg, start, end, segments));
            self.passed_upto = self.passed_upto.min(start);
            if at < self.acked_entries {
                self.acked_entries += 1;
            }
        }
    }

    fn count(&mut self, seg: &Segment, segments: u32, start: u64, end: u64, verdict: Verdict) {
        let r = &mut self.rec;
        let octets = u64::from(seg.payload_octets);
        let n = u64::from(segments);
        r.octets += octets;
        r.data_segments += n;
        r.first_data.get_or_insert(seg.time);
        r.last_data = Some(seg.time);
        let per_segment = seg.payload_octets.div_ceil(segments.max(1));
        r.largest_segment = r.largest_segment.max(per_segment);
        if segments > 1 {
            r.super_segments += 1;
        }
        let unique = match verdict {
            Verdict::Repeat(..) => {
                r.retransmitted_segments += n;
                r.retransmitted_octets += octets;
                // What of it had not been captured before is new to this capture.
                let beyond = end.saturating_sub(self.nxt.max(start));
                beyond + self.filled
            }
            Verdict::Reordered => {
                r.out_of_order_segments += n;
                octets
            }
            _ => octets,
        };
        r.unique_octets += unique;
        self.filled = 0;
        if let Some(leap) = &mut self.leap {
            leap.count(start, end, unique, n, verdict);
        }
    }

    /// The other end acknowledges `ack`, with its SACK blocks; `bare` tells whether its segment carried nothing else.
    /// Returns how many octets that newly acknowledges.
    #[allow(clippy::too_many_lines)]
    pub(super) fn acknowledged(
        &mut self,
        seg: &Segment,
        sacks: &[(SeqNum, SeqNum)],
        bare: bool,
        same_window: bool,
        direction: Direction,
        events: &mut Events,
    ) -> u64 {
        let first_ack = self.anchor.is_none();
        let ack = self.offset(seg.ack);
        if first_ack {
            self.una = Some(ack);
            return 0;
        }
        if ack.abs_diff(self.nxt) > MAX_DISTANCE.unsigned_abs() {
            return 0;
        }
        if ack > self.nxt {
            self.borne_out(ack);
        }
        if ack > self.nxt {
            if self.probe_octet && ack == self.nxt + 1 {
                self.rec.unique_octets += 1;
                self.rec.octets += 1;
            } else if self.rec.data_segments > 0 || self.una.is_some() {
                let unseen = ack - self.nxt;
                self.rec.unseen_octets += unseen;
                self.remember_acked(self.nxt, ack);
                events.add(seg, direction, EventKind::UnseenAcked { octets: unseen });
            }
            self.advance(ack);
        }
        // What is acknowledged was sent.
        self.leap.take_if(|leap| ack > leap.from);
        let una = self.una.unwrap_or(ack);
        let newly = ack.saturating_sub(una);
        if !sacks.is_empty() {
            self.selective(seg, sacks, ack, direction, events);
        }
        if !self.holes.is_empty() {
            if let Some((val, _)) = seg.timestamps {
                // The newest ones are the last.
                for h in self.holes.iter_mut().rev() {
                    if h.peer_tsval.is_some() {
                        break;
                    }
                    h.peer_tsval = Some(val);
                }
            }
            self.give_up_holes(ack, seg, direction, events);
        }
        if self.una.is_none() || ack > una {
            self.una = Some(ack);
            self.dup_run = 0;
            while let Some(block) = self.scoreboard.first_entry().filter(|b| *b.get() <= ack) {
                block.remove();
            }
            self.take_acked(seg, ack, una, direction, events);
            self.timer_from = Some(seg.time);
            self.probe_from = Some(seg.time);
            self.tail_probe_open = false;
            match self.phase {
                Some(Phase::Recovery { until } | Phase::Loss { until }) if ack >= until => {
                    self.phase = Some(Phase::Open)
                }
                _ => {}
            }
        } else if ack == una && bare && self.nxt > ack && same_window {
            // RFC 5681 section 2, all five conditions.
            self.rec.duplicate_acks += 1;
            self.dup_run += 1;
        } else if ack == una && bare && self.nxt > ack && !sacks.is_empty() {
            self.dup_run += 1;
        }
        newly
    }

    /// Marks what SACK blocks cover, and what a D-SACK proves (RFC 2018, RFC 2883).
    #[cold]
    fn selective(
        &mut self,
        seg: &Segment,
        sacks: &[(SeqNum, SeqNum)],
        ack: u64,
        direction: Direction,
        events: &mut Events,
    ) {
        let mut blocks = [(0u64, 0u64); 4];
        let mut n = 0;
        let mut away = None;
        for &(l, r) in sacks.iter().take(4) {
            let (l, r) = (self.offset(l), self.offset(r));
            let beyond = l.saturating_sub(self.nxt);
            let before = StreamOffset::ORIGIN.0.saturating_sub(r);
            if beyond.max(before) > MOST_UNSEEN {
                away = Some(beyond.max(before));
            } else if l < r && r.abs_diff(self.nxt) <= MAX_DISTANCE.unsigned_abs() {
                blocks[n] = (l, r);
                n += 1;
            }
        }
        let blocks = &blocks[..n];
        let Some(&first) = blocks.first() else {
            if let Some(octets) = away {
                self.rec.sacks_outside += 1;
                events.add(seg, direction, EventKind::SackOutside { octets });
            }
            return;
        };
        self.rec.sacks_inside += 1;
        let duplicate = first.1 <= ack
            || blocks
                .get(1)
                .is_some_and(|b| b.0 <= first.0 && first.1 <= b.1);
        if duplicate {
            self.dsacks += 1;
            let mut proved = false;
            for r in self.rec.repeats.iter_mut().rev().take(256) {
                let end = r.offset + u64::from(r.octets);
                if r.offset >= first.0
                    && end <= first.1.max(first.0 + 1)
                    && r.basis != REPORTED
                    && seg.time >= r.time
                {
                    r.spurious = true;
                    r.confidence = r.confidence.max(0.95);
                    r.basis = REPORTED;
                    proved = true;
                    if r.trigger == Trigger::Timeout
                        && matches!(self.phase, Some(Phase::Loss { .. }))
                    {
                        // The timeout was needless, and the sender learns that too (RFC 5682, RFC 3708).
                        self.phase = Some(Phase::Open);
                    }
                    break;
                }
            }
            if !proved {
                self.rec.unexplained_dsacks += 1;
            }
        }
        let mut lowest_new = u64::MAX;
        for &(l, r) in &blocks[usize::from(duplicate)..] {
            if r <= ack {
                continue;
            }
            self.highest_sacked = self.highest_sacked.max(r);
            // What was never sent cannot have arrived.
            self.sacked(l.max(ack), r.min(self.nxt), &mut lowest_new);
        }
        if lowest_new != u64::MAX {
            self.pass_over(lowest_new, ack, seg.time);
        }
    }

    /// Puts a block on the scoreboard, and marks what it covers and none before it had. Each range is marked once, however often
    /// blocks come round.
    #[cold]
    fn sacked(&mut self, l: u64, r: u64, lowest_new: &mut u64) {
        let (mut start, mut end) = (l, r);
        if l >= r || self.scoreboard.len() >= MAX_BLOCKS {
            return;
        }
        let touching = |map: &BTreeMap<u64, u64>| {
            let (&s, &e) = map.range(..=r).next_back()?;
            (e >= l).then_some((s, e))
        };
        // Parts of the block that are new, from the last to the first.
        let mut upto = r;
        while let Some((s, e)) = touching(&self.scoreboard) {
            if s <= l && e >= r {
                return;
            }
            self.scoreboard.remove(&s);
            (start, end) = (start.min(s), end.max(e));
            self.mark(e.max(l)..upto, s.min(l)..end, lowest_new);
            upto = s.max(l);
        }
        self.mark(l..upto, start..end, lowest_new);
        self.scoreboard.insert(start, end);
    }

    /// Marks the ranges of `new` that lie within `all`.
    #[cold]
    fn mark(&mut self, new: Range<u64>, all: Range<u64>, lowest_new: &mut u64) {
        if new.is_empty() {
            return;
        }
        let within = self.sent_within(new.start, new.end);
        let mut largest = 0;
        for s in self.sent.range_mut(within) {
            if s.start >= all.start && s.end <= all.end && !s.sacked {
                s.sacked = true;
                *lowest_new = (*lowest_new).min(s.start);
                largest = largest.max((s.end - s.start) / u64::from(s.segments.max(1)));
            }
        }
        let largest = u32::try_from(largest).unwrap_or(u32::MAX);
        self.rec.largest_acked = self.rec.largest_acked.max(largest);
    }

    /// What was sent before the octets from `upto` on, which are SACKed now, and is not, was passed over.
    #[cold]
    fn pass_over(&mut self, upto: u64, ack: u64, now: Timestamp) {
        let from = self
            .sent
            .partition_point(|s| s.end <= self.passed_upto)
            .max(self.acked_entries);
        let mut reached = self.passed_upto;
        for s in self
            .sent
            .iter_mut()
            .skip(from)
            .take_while(|s| s.start < upto)
            .take(MAX_PASSED)
        {
            if s.end > ack && !s.sacked && s.last < now {
                s.passed_over = true;
            }
            reached = s.end;
        }
        self.passed_upto = reached.max(self.passed_upto);
    }

    /// Remembers octets that were acknowledged and never captured, the oldest the shortest.
    fn remember_acked(&mut self, start: u64, end: u64) {
        if self.acked_holes.len() >= MAX_HOLES {
            self.acked_holes.remove(0);
        }
        self.acked_holes.push((start, end));
    }

    /// Holes below an acknowledgement will not be filled: the capture missed those octets.
    #[cold]
    fn give_up_holes(
        &mut self,
        ack: u64,
        seg: &Segment,
        direction: Direction,
        events: &mut Events,
    ) {
        let given_up = self.holes.partition_point(|h| h.start < ack);
        for at in 0..given_up {
            let Some(h) = self.holes.get(at).copied() else {
                break;
            };
            let upto = h.end.min(ack);
            self.rec.unseen_octets += upto - h.start;
            events.add(
                seg,
                direction,
                EventKind::UnseenAcked {
                    octets: upto - h.start,
                },
            );
            self.remember_acked(h.start, upto);
        }
        // Of the last one a rest may lie above.
        let rest = given_up
            .checked_sub(1)
            .and_then(|last| self.holes.get_mut(last))
            .filter(|h| h.end > ack)
            .map(|h| h.start = ack);
        self.holes.drain(..given_up - usize::from(rest.is_some()));
    }

    /// Settles the ranges below `ack`: round-trip sample, checksums by consequence, fate of repeats.
    fn take_acked(
        &mut self,
        seg: &Segment,
        ack: u64,
        una: u64,
        direction: Direction,
        events: &mut Events,
    ) {
        let mut sample = None;
        while let Some(s) = self.sent.get(self.acked_entries).copied() {
            if s.end > ack {
                break;
            }
            self.acked_entries += 1;
            if s.passed_over && s.sends == 1 && !s.sacked && seg.time.nanos_since(s.last) > 0 {
                self.rec.sack_healed += u64::from(s.segments);
                events.add(
                    seg,
                    direction,
                    EventKind::HealedHole {
                        segments: s.segments,
                    },
                );
            }
            // Karn: nothing sent twice gives a sample; nor does what had been SACKed before.
            sample = (s.sends == 1 && !s.sacked).then(|| seg.time.nanos_since(s.first));
            self.rec.largest_acked = self
                .rec
                .largest_acked
                .max(u32::try_from((s.end - s.start) / u64::from(s.segments.max(1))).unwrap_or(0));
            if s.checksum.is_unfilled() {
                self.rec.acked_unfilled_segments += u64::from(s.segments);
            } else if s.checksum == Checksum::Wrong {
                if s.some_good {
                    self.rec.wrong_then_good += u64::from(s.segments);
                    if self.rec.wrong_then_good_frames.len() < 16 {
                        self.rec.wrong_then_good_frames.push(s.frame);
                    }
                } else {
                    self.rec.acked_wrong_segments += u64::from(s.segments);
                }
            }
        }
        while self.acked_entries > HISTORY {
            self.sent.pop_front();
            self.acked_entries -= 1;
        }
        if let Some(rtt) = sample.filter(|&r| r >= 0) {
            self.estimator.sample(rtt);
            self.rtts.add(Duration::from_nanos(rtt.unsigned_abs()));
            self.last_rtt = Some(rtt);
            self.min_rtt = Some(self.min_rtt.map_or(rtt, |m| m.min(rtt)));
        }
        if self.pending.is_empty() {
            return;
        }
        let min_rtt = self.min_rtt;
        let repeats = &mut self.rec.repeats;
        self.pending.retain(|&n| {
            let Some(r) = repeats.get_mut(n) else {
                return false;
            };
            let end = r.offset + u64::from(r.octets);
            if end > ack {
                return true;
            }
            r.acked = true;
            if r.offset <= una && !r.spurious {
                // Eifel (RFC 3522): the acknowledgement echoes a segment sent before the repeat.
                if let (Some(val), Some((_, ecr))) = (r.tsval, seg.timestamps)
                    && seg.flags.has(TcpFlags::ACK)
                    && older(ecr, val)
                {
                    r.spurious = true;
                    r.confidence = r.confidence.max(0.9);
                    r.basis = "the acknowledgement echoes an earlier segment (Eifel)";
                } else if let Some(min) = min_rtt.filter(|&m| m > 2_000_000)
                    && seg.time.nanos_since(r.time) < min / 2
                    && r.of.is_some()
                {
                    r.spurious = true;
                    r.basis = "it was acknowledged in less than half a round trip";
                }
            }
            if r.trigger == Trigger::TailProbe && !r.spurious && r.una_before.is_some_and(|u| u < r.offset) && una < r.offset {
                // What went before it in the flight was acknowledged only now, without having been sent again: it was the
                // acknowledgements that were missing.
                r.spurious = true;
                r.confidence = r.confidence.min(0.7);
                r.basis = "what was sent before it arrived too, and its acknowledgement was missing just so";
            }
            false
        });
    }

    /// Takes the window that a segment of this end offers.
    pub(super) fn offers(
        &mut self,
        seg: &Segment,
        direction: Direction,
        events: &mut Events,
    ) -> bool {
        let same = self.raw_window == seg.window && self.window.is_some();
        self.raw_window = seg.window;
        let scaled = if seg.flags.has(TcpFlags::SYN) {
            u64::from(seg.window)
        } else {
            u64::from(seg.window) << self.scale
        };
        self.window = Some(scaled);
        self.rec.max_window = self.rec.max_window.max(scaled);
        if seg.window == 0
            && !seg
                .flags
                .has(TcpFlags::SYN.with(TcpFlags::FIN).with(TcpFlags::RST))
        {
            if self.shut_since.is_none() {
                self.shut_since = Some((seg.time, seg.frame));
                self.rec.zero_windows += 1;
                events.add(seg, direction, EventKind::ZeroWindow);
            }
        } else if let Some((since, _)) = self.shut_since.take() {
            let shut = seg.time.since(since).unwrap_or_default();
            self.rec.zero_window_time += shut;
            events.add(seg, direction, EventKind::WindowOpened { shut });
        }
        same
    }

    /// Nobody waits for this end's window any more: the connection has ended, or the capture.
    pub(super) fn stop_waiting(&mut self, at: Timestamp) {
        if let Some((since, _)) = self.shut_since.take() {
            self.rec.zero_window_time += at.since(since).unwrap_or_default();
        }
    }

    /// Remembers up to where the other end may send, at most once in `grain` nanoseconds.
    pub(super) fn remember_edge(&mut self, time: Timestamp, edge: u64, grain: i64) {
        if self
            .edges
            .back()
            .is_none_or(|b| time.nanos_since(b.0) >= grain)
        {
            if self.edges.len() >= REMEMBERED {
                self.edges.pop_front();
            }
            self.retreated |= self.edges.back().is_some_and(|last| edge < last.1);
            self.edges.push_back((time, edge));
        }
    }

    /// Whether octets up to `end` are beyond the edge that this end had offered by `time`. `false` where that is not remembered.
    pub(super) fn is_beyond_edge(&self, end: u64, time: Timestamp) -> bool {
        // Mostly nothing comes near any of them.
        let least = self.edges.front().filter(|_| !self.retreated);
        least.is_none_or(|least| end > least.1) && self.edge_at(time).is_some_and(|edge| end > edge)
    }

    /// The edge that this end had offered by `time`; `None` where that is not remembered.
    fn edge_at(&self, time: Timestamp) -> Option<u64> {
        // In order of time, and asked for a round trip ago at most: that is near the end.
        let known = self.edges.iter().rev().find(|e| e.0 <= time)?;
        Some(known.1)
    }

    /// The other end echoes a timestamp of this end in a segment with payload (RFC 7323 section 4).
    pub(super) fn echoed(&mut self, ecr: u32, time: Timestamp) {
        while let Some(&(val, at)) = self.stamps.front() {
            if older(ecr, val) {
                break;
            }
            self.stamps.pop_front();
            if val == ecr {
                if let Some(rtt) = time.since(at) {
                    self.echoes.add(rtt);
                }
                break;
            }
        }
    }

    /// Whether this end's window is shut.
    pub(super) fn is_shut(&self) -> bool {
        self.shut_since.is_some()
    }

    /// Takes the parts of any segment of this direction that concern the sender as a host.
    pub(super) fn packet(&mut self, seg: &Segment, segments: u32, peer_segments: u64) {
        self.peer_segments = peer_segments;
        let r = &mut self.rec;
        r.frames += 1;
        r.bare_acks += u64::from(seg.payload_octets == 0 && seg.flags == TcpFlags::ACK);
        let stamped = seg.timestamps.is_some()
            || seg.flags.has(TcpFlags::SYN)
            || seg.flags.has(TcpFlags::RST);
        r.unstamped += u64::from(!stamped);
        match seg.checksum {
            Checksum::Good => r.good_checksums += 1,
            Checksum::UnfilledPartial | Checksum::UnfilledLso | Checksum::Zero => {
                r.unfilled_checksums += 1
            }
            Checksum::Wrong => r.bad_checksums += 1,
            Checksum::Unchecked => {}
        }
        r.ttl = Some(r.ttl.map_or((seg.ttl, seg.ttl), |(a, b)| {
            (a.min(seg.ttl), b.max(seg.ttl))
        }));
        self.first_ttl.get_or_insert(seg.ttl);
        // Stacks send SYN-ACKs and resets outside the connection's own count.
        if !seg.flags.has(TcpFlags::RST.with(TcpFlags::SYN)) {
            if seg.payload_octets == 0 {
                self.rec.unseen_packets += u64::from(self.missing_before(seg));
            }
            self.ids
                .see(seg.ip_id, u16::try_from(segments).unwrap_or(1), seg.ttl);
        }
        if let Some((val, _)) = seg.timestamps {
            if self.last_tsval != Some(val) && self.stamps.len() < REMEMBERED {
                self.stamps.push_back((val, seg.time));
            }
            self.last_tsval = Some(val);
        }
        self.last_any = Some(seg.time);
    }

    /// A SYN or FIN takes one number of the sequence space.
    pub(super) fn control(&mut self, at: u64) {
        // A bare acknowledgement that came before the FIN stood behind its number, too.
        self.holes.pop_if(|h| h.start == at && h.end == at + 1);
        self.advance(at + 1);
    }

    /// Closes the books.
    pub(super) fn finish(
        &mut self,
        end: Timestamp,
        direction: Direction,
        events: &mut Events,
    ) -> HalfRecord {
        self.stop_waiting(end);
        let mut r = std::mem::take(&mut self.rec);
        r.busy = Duration::from_nanos(self.busy_nanos);
        r.window_limited = Duration::from_nanos(self.limited_nanos);
        let una = self.una.unwrap_or(0);
        if self.una.is_some() {
            r.unacked_octets = self.nxt.saturating_sub(una);
            let mut stuck = 0;
            for s in self
                .sent
                .iter()
                .skip(self.acked_entries)
                .filter(|s| s.end > una && !s.sacked)
            {
                if s.sends >= 4 && stuck < MAX_STUCK {
                    stuck += 1;
                    events.push_last(Event {
                        time: s.last,
                        frame: s.frame,
                        direction,
                        kind: EventKind::Stuck {
                            first: s.frame,
                            sends: s.sends,
                        },
                    });
                }
                if s.checksum.is_bad() {
                    r.unacked_bad_checksum_segments += u64::from(s.segments) * u64::from(s.sends);
                    if r.unacked_bad_checksum_frames.len() < 16 {
                        r.unacked_bad_checksum_frames.push(s.frame);
                    }
                } else {
                    r.unacked_good_checksum_segments += u64::from(s.segments);
                }
            }
        }
        for p in &r.repeats {
            let n = u64::from(p.segments);
            let c = &mut r.retransmissions;
            match (p.spurious, p.trigger) {
                (true, _) => c.spurious += n,
                (_, trigger) => c.add(trigger, n),
            }
        }
        r.rtt = super::rtt::stats(&self.rtts);
        r.echo_rtt = super::rtt::stats(&self.echoes);
        r.ip_id = self.ids.learned();
        r.dsacks = self.dsacks;
        r
    }

    /// Gives back the room that was kept for more: nothing has come for a while.
    pub(super) fn rest(&mut self) {
        self.sent.shrink_to_fit();
        self.recent.shrink_to_fit();
        self.holes.shrink_to_fit();
        self.acked_holes.shrink_to_fit();
        self.edges.shrink_to_fit();
        self.stamps.shrink_to_fit();
        self.pending.shrink_to_fit();
        self.rec.repeats.shrink_to_fit();
        self.rec.per_second.shrink_to_fit();
    }

    /// Octets of heap that this half holds, about.
    pub(super) fn heap(&self) -> usize {
        self.sent.capacity() * size_of::<Sent>()
            + self.recent.capacity() * size_of::<(Mark, Timestamp, FrameNo)>()
            + self.scoreboard.len() * 2 * size_of::<(u64, u64)>()
            + self.rec.repeats.capacity() * size_of::<Repeat>()
            + self.rec.per_second.capacity() * size_of::<(u32, u64, u64)>()
            + self.holes.capacity() * size_of::<Hole>()
            + (self.acked_holes.capacity() + self.edges.capacity()) * size_of::<(u64, u64)>()
            + self.stamps.capacity() * size_of::<(u32, Timestamp)>()
            + self.pending.capacity() * size_of::<usize>()
            + self.leap.as_ref().map_or(0, |_| size_of::<Leap>())
            + self.rtts.heap()
            + self.echoes.heap()
    }
}

/// What is known of the copy before a repeat.
struct Repeated {
    of: Option<FrameNo>,
    sends_before: u32,
    after: Option<Duration>,
    confidence: f32,
    basis: &'static str,
}

/// Noted events of one flow, within their limit.
#[derive(Clone, Debug, Default)]
pub(super) struct Events {
    pub(super) kept: Vec<Event>,
    pub(super) omitted: u64,
}

impl Events {
    #[cold]
    pub(super) fn add(&mut self, seg: &Segment, direction: Direction, kind: EventKind) {
        self.push(Event {
            time: seg.time,
            frame: seg.frame,
            direction,
            kind,
        });
    }

    /// Leaves room for those that are known at the end alone, and tell most.
    pub(super) fn push(&mut self, event: Event) {
        self.push_within(event, MAX_EVENTS - 2 * MAX_STUCK);
    }

    fn push_last(&mut self, event: Event) {
        self.push_within(event, MAX_EVENTS);
    }

    fn push_within(&mut self, event: Event, most: usize) {
        if self.kept.len() < most {
            self.kept.push(event);
        } else {
            self.omitted += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_that_shrank_counts_as_it_was_then() {
        let mut half = Half::default();
        for (second, edge) in [(1, 1_000), (2, 500), (3, 1_500)] {
            half.remember_edge(Timestamp(second), edge, 0);
        }
        for (name, end, second, want) in [
            ("before the first", 2_000, 0, false),
            ("within the first", 1_000, 1, false),
            ("beyond the first", 1_001, 1, true),
            ("within the first, beyond the second", 600, 2, true),
            ("within the second", 500, 2, false),
            ("within the third", 1_500, 9, false),
            ("beyond the third", 1_501, 9, true),
        ] {
            assert_eq!(half.is_beyond_edge(end, Timestamp(second)), want, "{name}");
        }
    }
}
