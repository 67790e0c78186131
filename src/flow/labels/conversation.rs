//! One conversation as Wireshark 4.6 keeps it, and the rules by which it labels a segment.
//!
//! Takes:  one segment after the other
//! Gives:  its labels
//! Never:  improves on a rule: where one is odd, the oddness is part of what users compare with, and a comment says so
//!
//! Numbers are raw 32-bit ones and 0 means "not known", as there: a stream that comes to stand at exactly 0 is a blank again.

use std::collections::VecDeque;

use super::Labels;
use crate::decode::{FlowKey, Segment, TcpFlags};
use crate::net::{SeqNum, Timestamp};

/// Unacknowledged segments remembered for one direction; later ones are not remembered.
pub(super) const MAX_UNACKED: usize = 10_000;

/// SACK blocks remembered: as many as one segment can carry (RFC 2018 section 3).
const MAX_SACKS: usize = 4;

/// A repeat this soon after the other end's last segment is taken for a fast one.
const FAST_NANOS: u64 = 20_000_000;

/// A segment this soon after the other end's last one may have come late; used where no handshake gave a round trip.
const LATE_NANOS: u64 = 3_000_000;

/// Window scale of one direction.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Scale {
    /// No SYN was seen.
    #[default]
    Unknown,
    /// An end does without.
    Unused,
    /// The shift offered.
    Shift(u8),
}

/// A segment that occupies sequence space and is not acknowledged yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Unacked {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// Segments not acknowledged yet, oldest first.
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) segments: VecDeque<Unacked>,
    /// One of them begins or ends before an older one, or they lie too far apart to be compared.
    mixed: bool,
}

impl Queue {
    /// Numbers nearer than this order as plain numbers do.
    const NEAR: u32 = 1 << 30;

    pub(super) fn push(&mut self, segment: Unacked) {
        if let (Some(oldest), Some(newest)) = (self.segments.front(), self.segments.back()) {
            self.mixed |= !Self::in_order(oldest, newest, &segment);
        } else {
            self.mixed = false;
        }
        self.segments.push_back(segment);
    }

    fn in_order(oldest: &Unacked, before_it: &Unacked, it: &Unacked) -> bool {
        !before(it.start, before_it.start)
            && !before(it.end, before_it.end)
            && it.end.wrapping_sub(oldest.start) < Self::NEAR
    }

    /// Drops what lies before `ack` and cuts what reaches over it. In order, only what is dropped or cut is looked at.
    pub(super) fn acknowledge(&mut self, ack: u32) {
        let Some(oldest) = self.segments.front() else {
            return;
        };
        let distance = SeqNum(oldest.start).distance_to(SeqNum(ack));
        if self.mixed || distance.unsigned_abs() >= Self::NEAR {
            self.segments.retain_mut(|s| {
                if before(s.start, ack) && before(ack, s.end) {
                    s.start = ack;
                }
                before(ack, s.end)
            });
            self.mixed = self.segments.front().is_some_and(|oldest| {
                let pairs = self.segments.iter().zip(self.segments.iter().skip(1));
                pairs
                    .into_iter()
                    .any(|(a, b)| !Self::in_order(oldest, a, b))
            });
            return;
        }
        while self.segments.front().is_some_and(|s| !before(ack, s.end)) {
            self.segments.pop_front();
        }
        for s in &mut self.segments {
            if !before(s.start, ack) {
                break;
            }
            s.start = ack;
        }
    }
}

/// What is remembered of one direction.
#[derive(Debug)]
struct Half {
    /// Number before its first octet: that of its SYN where there was one.
    base: Option<u32>,
    /// The highest number that is to come next; a window probe does not move it.
    next: u32,
    /// End of what lies in one piece; an acknowledgement beyond is one of octets not seen.
    seen_upto: u32,
    /// Payload of the segment that last moved `next`, modulo 256: it is kept in eight bits there, so that 512 octets pass for none.
    last_advance_octets: u8,
    /// Acknowledgement number, raw window, time and labels of the last segment.
    last_ack: u32,
    window: u32,
    last_time: Timestamp,
    last_labels: Labels,
    /// Duplicates of `last_ack` so far.
    duplicates: u32,
    /// Edges of the last SACK option, counted from the base of the other direction.
    sacks: [(u32, u32); MAX_SACKS],
    sack_count: usize,
    scale: Scale,
    /// Between its SYN and its first acknowledgement windows are not scaled.
    before_first_ack: bool,
    unacked: Queue,
}

impl Default for Half {
    fn default() -> Self {
        Self {
            base: None,
            next: 0,
            seen_upto: 0,
            last_advance_octets: 0,
            last_ack: 0,
            window: u32::MAX,
            last_time: Timestamp(0),
            last_labels: Labels::NONE,
            duplicates: 0,
            sacks: [(0, 0); MAX_SACKS],
            sack_count: 0,
            scale: Scale::Unknown,
            before_first_ack: false,
            unacked: Queue::default(),
        }
    }
}

impl Half {
    fn sacks(&self) -> &[(u32, u32)] {
        self.sacks.get(..self.sack_count).unwrap_or(&[])
    }

    /// Upper edge of the window that this end offers, scaled as far as known.
    fn window_edge(&self) -> u32 {
        let shift = match self.scale {
            Scale::Shift(shift) if !self.before_first_ack => u32::from(shift),
            _ => 0,
        };
        self.last_ack.wrapping_add(self.window.wrapping_shl(shift))
    }
}

/// One conversation.
#[derive(Debug)]
pub(super) struct Conversation {
    pub(super) key: FlowKey,
    pub(super) stream: u64,
    /// Which end of the key is the client.
    pub(super) client: usize,
    pub(super) last_used: u64,
    halves: [Half; 2],
    /// A FIN or RST was seen.
    ended: bool,
    last_syn: Option<Timestamp>,
    /// From the last SYN to the first acknowledgement; 0 where not known.
    first_rtt: i64,
}

/// One segment under the rules.
struct Step<'a> {
    seq: u32,
    ack: u32,
    octets: u32,
    window: u32,
    /// SYN or FIN, which take a sequence number.
    marks: bool,
    /// None of SYN, FIN and RST.
    plain: bool,
    is_rst: bool,
    is_ack: bool,
    time: Timestamp,
    fwd: &'a mut Half,
    rev: &'a mut Half,
    labels: Labels,
}

/// `a` lies before `b` on the circle.
const fn before(a: u32, b: u32) -> bool {
    SeqNum(a).precedes(SeqNum(b))
}

impl Conversation {
    pub(super) fn new(key: FlowKey, stream: u64, client: usize) -> Self {
        Self {
            key,
            stream,
            client,
            last_used: 0,
            halves: [Half::default(), Half::default()],
            ended: false,
            last_syn: None,
            first_rtt: 0,
        }
    }

    /// Unacknowledged segments remembered.
    pub(super) fn unacked(&self) -> usize {
        self.halves.iter().map(|h| h.unacked.segments.len()).sum()
    }

    /// Whether anything is known of what the end `own` sends.
    pub(super) fn knows(&self, own: usize) -> bool {
        self.halves[own].base.is_some()
    }

    /// Whether a segment opens another connection on the same ports: a SYN, with or without ACK, that has another number, or comes
    /// after an end.
    pub(super) fn is_reopened_by(&self, flags: TcpFlags, seq: SeqNum, own: usize) -> bool {
        flags.has(TcpFlags::SYN)
            && self.halves[own]
                .base
                .is_some_and(|base| base != seq.0 || self.ended)
    }

    /// Labels a segment from the end `own` and remembers it.
    pub(super) fn segment(
        &mut self,
        seg: &Segment,
        octets: u32,
        sacks: &[(SeqNum, SeqNum)],
        own: usize,
        is_new: bool,
        given: Labels,
    ) -> Labels {
        let flags = seg.flags;
        let syn = flags.has(TcpFlags::SYN);
        let is_ack = flags.has(TcpFlags::ACK);
        let [first, second] = &mut self.halves;
        let (fwd, rev) = if own == 0 {
            (first, second)
        } else {
            (second, first)
        };
        let mut step = Step {
            seq: seg.seq.0,
            ack: seg.ack.0,
            octets,
            window: u32::from(seg.window),
            marks: flags.has(TcpFlags::SYN.with(TcpFlags::FIN)),
            plain: !flags.has(TcpFlags::SYN.with(TcpFlags::FIN).with(TcpFlags::RST)),
            is_rst: flags.has(TcpFlags::RST),
            is_ack,
            time: seg.time,
            fwd,
            rev,
            labels: given,
        };
        if syn && !is_ack && step.fwd.base.is_some() {
            // A SYN again: a reset in between may have moved the number that is to come next.
            step.fwd.next = step.fwd.seen_upto;
        }
        if step.fwd.base.is_none() {
            step.fwd.base = Some(if syn {
                step.seq
            } else {
                step.seq.wrapping_sub(1)
            });
        }
        if step.rev.base.is_none() && is_ack {
            step.rev.base = Some(step.ack.wrapping_sub(1));
        }

        step.analyse(self.first_rtt);

        step.options(seg, sacks);
        let labels = step.labels;
        self.progress(flags, seg.time, own, is_new);
        labels
    }

    /// A segment from the end `own` came back in an ICMP error: it opens, ends and times a connection as if it had been captured.
    pub(super) fn quoted(&mut self, flags: TcpFlags, time: Timestamp, own: usize, is_new: bool) {
        let half = &mut self.halves[own];
        if flags.has(TcpFlags::SYN) && !flags.has(TcpFlags::ACK) && half.base.is_some() {
            half.next = half.seen_upto;
        }
        self.progress(flags, time, own, is_new);
    }

    /// Opening, first round trip, end.
    fn progress(&mut self, flags: TcpFlags, time: Timestamp, own: usize, is_new: bool) {
        let is_ack = flags.has(TcpFlags::ACK);
        let ends = flags.has(TcpFlags::RST) || (flags.has(TcpFlags::FIN) && is_ack);
        self.ended = ends || (self.ended && !is_new);
        if flags.has(TcpFlags::SYN) {
            if !is_ack {
                self.last_syn = Some(time);
            }
            self.halves[own].before_first_ack = true;
        } else if is_ack {
            if let Some(last_syn) = self.last_syn
                && self.first_rtt == 0
            {
                self.first_rtt = time.nanos_since(last_syn);
            }
            self.halves[own].before_first_ack = false;
        }
    }
}

impl Step<'_> {
    fn add(&mut self, label: Labels) {
        self.labels = self.labels.with(label);
    }

    fn analyse(&mut self, first_rtt: i64) {
        self.window_and_acknowledgement();
        if self.ack != self.fwd.last_ack {
            self.fwd.duplicates = 0;
        }
        self.acknowledges_unseen();
        self.repeat(first_rtt);
        self.remember();
        self.take_acknowledged();
    }

    /// The segment stands where the next one is expected, carries nothing and acknowledges nothing more.
    fn says_nothing_new(&self) -> bool {
        self.octets == 0 && self.plain && self.seq == self.fwd.next && self.ack == self.fwd.last_ack
    }

    /// Window probes, keep-alives, windows and duplicate acknowledgements: the first of the four kinds of answer ends the rules.
    fn window_and_acknowledgement(&mut self) {
        if self.octets == 1 && self.seq == self.fwd.next && self.rev.window == 0 {
            self.add(Labels::ZERO_WINDOW_PROBE);
            return;
        }
        if self.window == 0 && self.plain {
            self.add(Labels::ZERO_WINDOW);
        }
        if self.fwd.next != 0 && before(self.fwd.next, self.seq) && !self.is_rst {
            self.add(Labels::LOST_SEGMENT);
        }
        if self.octets <= 1 && self.plain && self.seq == self.fwd.next.wrapping_sub(1) {
            self.add(Labels::KEEP_ALIVE);
        }
        let same_window = self.window == self.fwd.window;
        if self.says_nothing_new() && self.window != 0 && !same_window {
            self.add(Labels::WINDOW_UPDATE);
        }
        if self.octets > 0
            && self.plain
            && self.rev.scale != Scale::Unknown
            && self.seq.wrapping_add(self.octets) == self.rev.window_edge()
        {
            self.add(Labels::WINDOW_FULL);
        }
        if self.says_nothing_new()
            && self.window != 0
            && same_window
            && self.rev.last_labels.has(Labels::KEEP_ALIVE)
        {
            self.add(Labels::KEEP_ALIVE_ACK);
            return;
        }
        if self.octets == 0
            && self.plain
            && self.window == 0
            && same_window
            && self.seq == self.fwd.next
            && self.ack.wrapping_sub(self.fwd.last_ack) <= 1
            && self.rev.last_labels.has(Labels::ZERO_WINDOW_PROBE)
        {
            self.add(Labels::ZERO_WINDOW_PROBE_ACK);
            if self.ack != self.fwd.last_ack {
                // The octet of the probe was taken after all.
                self.rev.next = self.ack;
                self.rev.seen_upto = self.ack;
            }
            return;
        }
        if self.says_nothing_new() && self.window != 0 && same_window {
            self.fwd.duplicates = self.fwd.duplicates.saturating_add(1);
            self.add(Labels::DUPLICATE_ACK);
        }
    }

    /// Acknowledgements of octets that were not captured: told once for each hole.
    fn acknowledges_unseen(&mut self) {
        if self.rev.seen_upto == 0 || !before(self.rev.seen_upto, self.ack) || !self.is_ack {
            return;
        }
        if self.ack == self.fwd.last_ack.wrapping_add(1)
            && self.seq == self.fwd.next
            && self.rev.last_labels.has(Labels::ZERO_WINDOW_PROBE)
        {
            // The answer to a probe that opens the window, and takes the octet of the probe.
            self.rev.next = self.ack;
            self.rev.seen_upto = self.ack;
            self.add(Labels::WINDOW_UPDATE);
            return;
        }
        self.rev.seen_upto = self.end_of_run_at_ack();
        self.add(Labels::ACK_LOST_SEGMENT);
    }

    /// End of the unacknowledged segments that lie in one piece from the acknowledged number on; that number where there are
    /// none. Goes from the newest to the oldest, and starts over at each that does not end where the run begins.
    fn end_of_run_at_ack(&self) -> u32 {
        let (mut start, mut end) = (0, 0);
        for u in self.rev.unacked.segments.iter().rev() {
            if start == end {
                (start, end) = (u.start, u.end);
            }
            if !before(u.start, self.ack) {
                if u.end == start {
                    start = u.start;
                } else {
                    (start, end) = (u.start, u.end);
                }
            }
        }
        if start == self.ack && before(self.ack, end) {
            end
        } else {
            self.ack
        }
    }

    /// Which kind of repeat the segment is, or whether it came late.
    fn repeat(&mut self, first_rtt: i64) {
        if (self.octets == 0 && !self.marks) || self.labels.has(Labels::KEEP_ALIVE) {
            return;
        }
        let end = self.seq.wrapping_add(self.octets);
        if self.octets > 0 && self.rev.last_ack != 0 && !before(self.rev.last_ack, end) {
            self.add(Labels::SPURIOUS_RETRANSMISSION.with(Labels::RETRANSMISSION));
            return;
        }
        let advances = self.fwd.next == 0 || !before(self.seq, self.fwd.next);
        // New octets that begin with the one octet of a window probe.
        let takes_in_probe = self.octets > 1 && self.fwd.next.wrapping_sub(1) == self.seq;
        if advances || takes_in_probe {
            return;
        }
        // Time since the other end's last segment; none where the capture is out of order.
        let since = u64::try_from(self.time.nanos_since(self.rev.last_time)).unwrap_or(0);
        if since < FAST_NANOS && self.is_asked_for(end) {
            self.add(Labels::FAST_RETRANSMISSION.with(Labels::RETRANSMISSION));
        } else if self.came_late(end, since, first_rtt) {
            self.add(Labels::OUT_OF_ORDER);
        } else {
            self.add(Labels::RETRANSMISSION);
        }
    }

    /// Whether duplicate acknowledgements or SACK ask for the segment.
    fn is_asked_for(&self, end: u32) -> bool {
        if self.rev.duplicates < 2 {
            return false;
        }
        if self.rev.last_ack == self.seq {
            return true;
        }
        let sacks = self.rev.sacks();
        if sacks.is_empty() {
            return false;
        }
        // The edges count from the start of the stream, the segment's numbers do not: a segment is hardly ever found inside.
        let inside = |&(left, right): &(u32, u32)| self.seq >= left && end <= right;
        !sacks.iter().any(inside)
    }

    /// Whether the segment, soon after the other end's last one and not seen before, closes a hole.
    fn came_late(&self, end: u32, since: u64, first_rtt: i64) -> bool {
        let limit = match first_rtt {
            0 => LATE_NANOS,
            // A clock that stepped back: everything is soon.
            rtt => u64::try_from(rtt).unwrap_or(u64::MAX),
        };
        if since >= limit {
            return false;
        }
        let seen = self
            .fwd
            .unacked
            .segments
            .iter()
            .any(|u| !before(self.seq, u.start) && !before(u.end, end));
        let is_highest = self.fwd.next == end.wrapping_add(u32::from(self.marks));
        !seen && (!is_highest || self.fwd.last_advance_octets == 0)
    }

    fn remember(&mut self) {
        let mut end = self.seq.wrapping_add(self.octets);
        if (self.octets > 0 || self.marks) && self.fwd.unacked.segments.len() < MAX_UNACKED {
            // Without room the number that a SYN or FIN takes does not count either.
            end = end.wrapping_add(u32::from(self.marks));
            self.fwd.unacked.push(Unacked {
                start: self.seq,
                end,
            });
        }
        let fwd = &mut *self.fwd;
        let probe = self.labels.has(Labels::ZERO_WINDOW_PROBE);
        if fwd.next == 0 || before(fwd.next.wrapping_add(u32::from(self.marks)), end) {
            fwd.last_advance_octets = self.octets.to_le_bytes()[0];
        }
        if (fwd.next == 0 || before(fwd.next, end)) && !probe {
            fwd.next = end;
        }
        if (self.seq == fwd.seen_upto || fwd.seen_upto == 0) && !probe {
            fwd.seen_upto = fwd.next;
        }
        fwd.window = self.window;
        fwd.last_ack = self.ack;
        fwd.last_time = self.time;
        fwd.last_labels = self.labels;
    }

    /// Drops what this segment acknowledges; its acknowledgement number is believed even without the flag.
    fn take_acknowledged(&mut self) {
        self.rev.unacked.acknowledge(self.ack);
    }

    /// What the options tell comes after the rules, and counts from the next segment on; but SACK corrects them.
    fn options(&mut self, seg: &Segment, sacks: &[(SeqNum, SeqNum)]) {
        if let Some(shift) = seg.syn.window_scale {
            self.fwd.scale = Scale::Shift(shift);
        }
        if !sacks.is_empty() {
            self.sack(sacks);
        }
        if seg.flags.has(TcpFlags::SYN) {
            if self.fwd.scale == Scale::Unknown {
                self.fwd.scale = Scale::Unused;
                self.rev.scale = Scale::Unused;
            } else if self.is_ack && self.rev.scale == Scale::Unused {
                self.fwd.scale = Scale::Unused;
            }
        }
    }

    /// Remembers the blocks. A window update with SACK is a duplicate acknowledgement after all.
    fn sack(&mut self, sacks: &[(SeqNum, SeqNum)]) {
        let base = self.rev.base.unwrap_or(0);
        let fwd = &mut *self.fwd;
        fwd.sack_count = 0;
        for (block, (left, right)) in fwd.sacks.iter_mut().zip(sacks) {
            *block = (left.0.wrapping_sub(base), right.0.wrapping_sub(base));
            fwd.sack_count += 1;
        }
        if self.labels.has(Labels::WINDOW_UPDATE) {
            self.labels = self
                .labels
                .without(Labels::WINDOW_UPDATE)
                .with(Labels::DUPLICATE_ACK);
            fwd.duplicates = fwd.duplicates.saturating_add(1);
        }
    }
}
