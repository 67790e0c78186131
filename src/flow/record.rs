//! What is known of one flow when it has ended: numbers and noted events, no judgement.

use std::time::Duration;

use super::FlowIndex;
use crate::decode::Checksum;
use crate::net::{Direction, Endpoint, FrameNo, MacAddr, SeqNum, Side, Timestamp};

/// Events kept for one flow; [`FlowRecord::events_omitted`] counts the rest.
pub const MAX_EVENTS: usize = 4_000;

/// Holes followed in one direction of a flow at one time; [`HalfRecord::holes_omitted`] counts those beyond.
pub const MAX_HOLES: usize = 512;

/// The life of one TCP connection as the capture shows it.
#[derive(Clone, Debug)]
pub struct FlowRecord {
    /// Its number (see [`FlowIndex`]).
    pub index: FlowIndex,
    /// Index of the capture that its first segment came from.
    pub capture: u32,
    /// The end that opened the connection; where the start is missing, the end with the higher port.
    pub client: Endpoint,
    /// The other end.
    pub server: Endpoint,
    /// Number of the encapsulation, 0 for none.
    pub encapsulation: u32,
    /// Hardware addresses as seen in the first segment that shows them: client, server (or the router before it).
    pub macs: [MacAddr; 2],
    /// First frame.
    pub first_frame: FrameNo,
    /// Last frame.
    pub last_frame: FrameNo,
    /// Time of the first segment.
    pub start: Timestamp,
    /// Time of the last segment; never before `start`.
    pub end: Timestamp,
    /// How it was opened.
    pub handshake: Handshake,
    /// How it ended.
    pub close: Close,
    /// Where the capture was taken, as far as the segments tell.
    pub vantage: Vantage,
    /// Evidence for `vantage`, in words.
    pub vantage_basis: &'static str,
    /// Per direction: index with [`Direction::index`].
    pub halves: [HalfRecord; 2],
    /// The whole life of the flow divided among causes, in the order of [`Cause`]; sums to `end - start`.
    pub time: Vec<(Cause, Duration)>,
    /// Silences worth telling.
    pub stalls: Vec<Stall>,
    /// Waits for a delayed acknowledgement that are too short to count as stalls.
    pub short_waits: Vec<Stall>,
    /// Noted events in order of time, at most [`MAX_EVENTS`].
    pub events: Vec<Event>,
    /// Events that were not kept.
    pub events_omitted: u64,
    /// Copies that the capture made of frames of this flow (mirror port, two layers): left out of all counts.
    pub capture_duplicates: u64,
    /// Segments whose time lay before that of an earlier one in the file, put right before analysis.
    pub disordered: u64,
    /// Times that the capture's clock stepped back during the flow: what was measured across one is not known.
    pub clock_steps: u32,
    /// Silences of which neither end's clock knows, at most [`MAX_LEAPS`].
    pub clock_leaps: Vec<ClockLeap>,
    /// Frames whose payload the snap length cut.
    pub truncated: u64,
    /// Whether the flow was given up before its end because the table was full.
    pub evicted: bool,
}

/// Leaps of the clock kept for one flow.
pub const MAX_LEAPS: usize = 16;

/// A silence by the capture's clock of which the TSvals of neither end know: its clock was set forward, unless other flows were heard
/// meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct ClockLeap {
    /// First frame behind it.
    pub frame: FrameNo,
    /// Time of the flow's last segment before it.
    pub from: Timestamp,
    /// Time of the first one behind it.
    pub to: Timestamp,
    /// How much of that time did not pass, by the end's clock that shows more of it.
    pub by: Duration,
}

impl FlowRecord {
    /// Last time minus first.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.end.since(self.start).unwrap_or_default()
    }

    /// Whether a lone SYN is all that was seen of it.
    #[must_use]
    pub fn is_lone_syn(&self) -> bool {
        let [client, server] = &self.halves;
        self.handshake.syn_seen
            && client.frames == 1
            && server.frames == 0
            && client.data_segments == 0
            && self.events.is_empty()
    }

    /// The half that `direction` names.
    #[must_use]
    pub fn half(&self, direction: Direction) -> &HalfRecord {
        &self.halves[direction.index()]
    }

    /// The end that sends in `direction`.
    #[must_use]
    pub fn sender(&self, direction: Direction) -> Endpoint {
        match direction.sender() {
            Side::Client => self.client,
            Side::Server => self.server,
        }
    }

    /// One of which no more is known than its ends and its first frame.
    pub(crate) fn begun(ends: [Endpoint; 2], frame: FrameNo, time: Timestamp) -> Self {
        let [client, server] = ends;
        Self {
            index: 0,
            capture: frame.capture(),
            client,
            server,
            encapsulation: 0,
            macs: [MacAddr::default(); 2],
            first_frame: frame,
            last_frame: frame,
            start: time,
            end: time,
            handshake: Handshake::default(),
            close: Close::default(),
            vantage: Vantage::Unknown,
            vantage_basis: "",
            halves: Default::default(),
            time: Vec::new(),
            stalls: Vec::new(),
            short_waits: Vec::new(),
            events: Vec::new(),
            events_omitted: 0,
            capture_duplicates: 0,
            disordered: 0,
            clock_steps: 0,
            clock_leaps: Vec::new(),
            truncated: 0,
            evicted: false,
        }
    }

    /// Whether the capture was taken beside the sender of `direction`: nothing can be lost or reordered before it then.
    #[must_use]
    pub const fn is_beside_sender(&self, direction: Direction) -> bool {
        matches!(
            (self.vantage, direction.sender()),
            (Vantage::Client, Side::Client) | (Vantage::Server, Side::Server)
        )
    }
}

/// How a connection was opened (RFC 9293 section 3.5).
#[derive(Clone, Debug, Default)]
pub struct Handshake {
    /// SYN, SYN-ACK and the ACK of it were all seen.
    pub complete: bool,
    /// Whether a SYN from the client was seen at all (else the capture started in mid-stream).
    pub syn_seen: bool,
    /// Whether a SYN-ACK was seen.
    pub syn_ack_seen: bool,
    /// SYNs sent again by the client.
    pub syn_retries: u32,
    /// SYN-ACKs sent again by the server.
    pub syn_ack_retries: u32,
    /// SYN to the ACK that ends the handshake; a handshake with repeated SYNs gives the time from the last SYN before the SYN-ACK.
    pub rtt: Option<Duration>,
    /// SYN-ACK to ACK: the part between capture point and client.
    pub to_client: Option<Duration>,
    /// SYN to SYN-ACK: the part between capture point and server.
    pub to_server: Option<Duration>,
    /// First SYN to the end of the handshake, repeats included.
    pub connect_time: Option<Duration>,
    /// Frames of all SYNs of the client, at most 16.
    pub syn_frames: Vec<FrameNo>,
    /// Whether the first SYN asked for ECN and a later one did not.
    pub ecn_fallback: bool,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Close {
    /// In which manner.
    pub how: End,
    /// The end that did it first, where one did.
    pub by: Option<Side>,
    /// Frame of the first FIN or RST.
    pub frame: Option<FrameNo>,
    /// When.
    pub at: Option<Timestamp>,
    /// Whether data or its acknowledgement was outstanding at that moment, as far as is seen: also where data comes behind a reset.
    pub with_data_pending: bool,
    /// For a reset: whether its TTL or IP id departs from that of its supposed sender, so that a device between made it.
    pub reset_by_middlebox: bool,
    /// For a reset that comes at once for the other end's FIN, with data outstanding: that FIN. Whoever resets could not take it, as a
    /// program that is gone, or its connection, does.
    pub answers: Option<FrameNo>,
    /// Silence of the whole flow before the close, or before the FIN that it answers.
    pub idle_before: Option<Duration>,
}

impl Close {
    /// The end that wanted no more first: who sent the FIN that a reset answers, else who closed.
    #[must_use]
    pub fn asked_by(&self) -> Option<Side> {
        match self.answers {
            Some(_) => self.by.map(Side::other),
            None => self.by,
        }
    }
}

/// Manner of an end.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum End {
    /// FIN from at least one end.
    Fin,
    /// RST on an open connection.
    Reset,
    /// No end in the capture.
    #[default]
    Open,
    /// RST in answer to the SYN.
    Refused,
    /// SYNs without any answer.
    Unanswered,
}

/// Where the capture was taken.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Vantage {
    /// On the client's host, or right beside it.
    Client,
    /// On the server's host, or right beside it.
    Server,
    /// Between both.
    Middle,
    /// The segments do not tell.
    #[default]
    Unknown,
}

/// One direction of a flow. Counts are of wire segments: a super-segment counts as those that it stands for.
#[derive(Clone, Debug, Default)]
pub struct HalfRecord {
    /// Frames captured, capture duplicates apart.
    pub frames: u64,
    /// Those of them that only acknowledge.
    pub bare_acks: u64,
    /// TCP payload as sent, repeats included.
    pub octets: u64,
    /// Payload without repeats.
    pub unique_octets: u64,
    /// Wire segments with payload, keep-alives and window probes apart.
    pub data_segments: u64,
    /// Those of them that repeat octets sent before.
    pub retransmitted_segments: u64,
    /// Whole payload of these.
    pub retransmitted_octets: u64,
    /// The split by trigger.
    pub retransmissions: RetransmissionCounts,
    /// Every retransmission, at most [`MAX_EVENTS`].
    pub repeats: Vec<Repeat>,
    /// Retransmissions that were not kept; they are in all counts.
    pub repeats_omitted: u64,
    /// Segments that the network delivered late.
    pub out_of_order_segments: u64,
    /// Copies that the network made.
    pub network_duplicates: u64,
    /// Frames that are copies of others, whoever made them; bare acknowledgements too.
    pub copies: u64,
    /// Acknowledged, never captured.
    pub unseen_octets: u64,
    /// Holes that were not followed, because more than [`MAX_HOLES`] were open at the time: whether what filled them was late or sent again
    /// is less sure.
    pub holes_omitted: u64,
    /// Frames without a timestamps option, SYNs and resets apart: where both SYNs offered it, none may lack it (RFC 7323 section 3.2).
    pub unstamped: u64,
    /// Frames whose checksum is plainly wrong.
    pub bad_checksums: u64,
    /// Frames whose checksum was left for the adapter to fill in.
    pub unfilled_checksums: u64,
    /// Frames whose checksum is right.
    pub good_checksums: u64,
    /// Wire segments with payload and a bad or unfilled checksum that no ACK ever covered.
    pub unacked_bad_checksum_segments: u64,
    /// The first of them, at most 16.
    pub unacked_bad_checksum_frames: Vec<FrameNo>,
    /// Wire segments with an unfilled checksum and payload that an ACK covered.
    pub acked_unfilled_segments: u64,
    /// Frames with a wrong (not unfilled) checksum whose octets a later copy brought in good form before they were acknowledged; at most 16.
    pub wrong_then_good_frames: Vec<FrameNo>,
    /// How many such there were.
    pub wrong_then_good: u64,
    /// Duplicate ACKs by the five conditions of RFC 5681 section 2.
    pub duplicate_acks: u64,
    /// Times that this end shut its window.
    pub zero_windows: u64,
    /// How long in all it was shut.
    pub zero_window_time: Duration,
    /// Shift offered in the SYN; `None` where no SYN was seen or it had none: see `syn_seen`.
    pub window_scale: Option<u8>,
    /// Whether a SYN of this direction was captured.
    pub syn_seen: bool,
    /// Maximum segment size that this end says it takes (RFC 9293 section 3.7.1); `None`: no SYN of its own was seen, or one without the option.
    pub mss: Option<u16>,
    /// Whether SACK was offered; `None` without a SYN.
    pub sack_permitted: Option<bool>,
    /// Whether timestamps were offered; `None` without a SYN.
    pub timestamps: Option<bool>,
    /// Largest payload of one wire segment.
    pub largest_segment: u32,
    /// Frames larger than one segment may be (TSO/LSO or GRO/LRO).
    pub super_segments: u64,
    /// Round trip from this direction's data to its ACK, at the capture point (Karn's rule).
    pub rtt: Option<RttStats>,
    /// Round trip from a timestamp of this end to the first data of the other end that echoes it: beside the receiver, the only
    /// way to see how long the path of the data takes.
    pub echo_rtt: Option<RttStats>,
    /// Unique octets in bits a second: mean over the time with data on its way, best and worst second (full ones with data on its way).
    pub goodput: Option<Goodput>,
    /// Payload octets for each second of the capture's clock since the flow's start: (second, unique octets, repeated octets),
    /// seconds without any left out, at most 100,000; then coarser.
    pub per_second: Vec<(u32, u64, u64)>,
    /// Largest receive window that this end offered, scaled.
    pub max_window: u64,
    /// Most octets of this direction on their way at once.
    pub max_flight: u64,
    /// How the sender fills the IPv4 identification.
    pub ip_id: IpIdUse,
    /// Smallest and largest TTL.
    pub ttl: Option<(u8, u8)>,
    /// Keep-alives sent.
    pub keep_alives: u64,
    /// Zero-window probes sent.
    pub window_probes: u64,
    /// When the first payload was sent; `None`: none was.
    pub first_data: Option<Timestamp>,
    /// When the last was.
    pub last_data: Option<Timestamp>,
    /// Sequence number of the first segment seen.
    pub first_seq: Option<SeqNum>,
    /// Time in which everything that could be sent was on its way and the peer's window allowed no more.
    pub window_limited: Duration,
    /// Flights that never grew, although the receive window had room for twice as much as seen here.
    pub pinned: Option<Pinned>,
    /// Time with octets of this direction on their way.
    pub busy: Duration,
    /// Octets still not acknowledged at the end.
    pub unacked_octets: u64,
    /// Segments that the capture shows later than the other end's acknowledgement of them: the capture is out of order.
    pub late_in_capture: u64,
    /// Packets of this sender that are missing here by its IP identifications, and leave no hole in the octets: bare
    /// acknowledgements, mostly. Counted only where the sender numbers per connection.
    pub unseen_packets: u64,
    /// Wire segments with a wrong checksum, of which no good copy was seen, that an ACK covered.
    pub acked_wrong_segments: u64,
    /// Wire segments with a good or unchecked checksum that no ACK covered.
    pub unacked_good_checksum_segments: u64,
    /// Largest wire segment that an ACK or a SACK block covered.
    pub largest_acked: u32,
    /// Segments that were passed over by SACK and acknowledged later without having been sent again: they had come late.
    pub sack_healed: u64,
    /// Acknowledgements with SACK blocks, all of them far from anything that this direction sent (RFC 2018).
    pub sacks_outside: u64,
    /// Acknowledgements with SACK blocks of what was sent, or may have been.
    pub sacks_inside: u64,
    /// D-SACKs received for octets of this direction (RFC 2883).
    pub dsacks: u64,
    /// Those of them that no retransmission explains: the network made a copy.
    pub unexplained_dsacks: u64,
}

/// Split of the retransmitted segments by what made the sender repeat them; spurious ones are counted there alone.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RetransmissionCounts {
    /// Duplicate ACKs, SACK or RACK (RFC 5681, 6675, 8985).
    pub fast: u64,
    /// The retransmission timer, and what is repeated after it in slow start (RFC 6298).
    pub timeout: u64,
    /// A tail loss probe (RFC 8985 section 7).
    pub tail_probe: u64,
    /// Needless: the octets had arrived, or were about to (D-SACK, Eifel, an ACK that came too early).
    pub spurious: u64,
    /// Not told.
    pub unknown: u64,
}

impl RetransmissionCounts {
    /// `n` segments that were not needless.
    pub(super) const fn add(&mut self, trigger: Trigger, n: u64) {
        match trigger {
            Trigger::Fast => self.fast += n,
            Trigger::Timeout => self.timeout += n,
            Trigger::TailProbe => self.tail_probe += n,
            Trigger::Unknown => self.unknown += n,
        }
    }

    /// Without those that are no more the sender's.
    pub(super) const fn take_back(&mut self, others: &Self) {
        self.fast = self.fast.saturating_sub(others.fast);
        self.timeout = self.timeout.saturating_sub(others.timeout);
        self.tail_probe = self.tail_probe.saturating_sub(others.tail_probe);
        self.spurious = self.spurious.saturating_sub(others.spurious);
        self.unknown = self.unknown.saturating_sub(others.unknown);
    }
}

/// What made the sender repeat a segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Trigger {
    /// Duplicate ACKs, SACK or RACK.
    Fast,
    /// The timer.
    Timeout,
    /// A tail loss probe.
    TailProbe,
    /// Not told.
    Unknown,
}

/// One retransmission.
#[derive(Clone, Copy, Debug)]
pub struct Repeat {
    /// Its frame.
    pub frame: FrameNo,
    /// When.
    pub time: Timestamp,
    /// The frame that it repeats, where the capture has it.
    pub of: Option<FrameNo>,
    /// Sequence number.
    pub seq: SeqNum,
    /// The same as an offset of its direction (see [`StreamOffset`](crate::net::StreamOffset)).
    pub offset: u64,
    /// Payload octets.
    pub octets: u32,
    /// Wire segments that it stands for.
    pub segments: u32,
    /// Why it was sent.
    pub trigger: Trigger,
    /// Whether it was needless.
    pub spurious: bool,
    /// How many times these octets had been sent before, as far as seen or inferred; at least 1.
    pub sends_before: u32,
    /// Time since the copy before it, where known.
    pub after: Option<Duration>,
    /// How sure, 0 to 1.
    pub confidence: f32,
    /// On what grounds.
    pub basis: &'static str,
    /// Its own checksum.
    pub checksum: Checksum,
    /// Its TSval.
    pub tsval: Option<u32>,
    /// SND.UNA when it was sent, as an offset.
    pub una_before: Option<u64>,
    /// Last round-trip sample before it.
    pub rtt_before: Option<Duration>,
    /// Whether an ACK covered it in the end.
    pub acked: bool,
}

/// A run of round trips, each with the same burst.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pinned {
    /// Octets of one burst.
    pub octets: u64,
    /// How long they went on.
    pub time: Duration,
    /// Nearly all bursts had these octets to the last one.
    pub exact: bool,
    /// That number cuts a segment short, and is a multiple of the receiver's unit of its window: only a window, lowered between here and
    /// the sender, makes a sender stop there.
    pub by_window: bool,
}

/// Round-trip times.
#[derive(Clone, Copy, Debug, Default)]
pub struct RttStats {
    /// Samples taken.
    pub samples: u64,
    /// Least.
    pub min: Duration,
    /// Median (of a sketch, within 3 %).
    pub median: Duration,
    /// 95th percentile.
    pub p95: Duration,
    /// Largest.
    pub max: Duration,
}

/// Bits a second of unique payload.
#[derive(Clone, Copy, Debug, Default)]
pub struct Goodput {
    /// Over the time with data on its way.
    pub mean_bps: f64,
    /// Best second.
    pub peak_bps: f64,
    /// Worst second between two with data on its way.
    pub worst_bps: f64,
}

/// How a sender fills the IPv4 identification field.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum IpIdUse {
    /// Too little seen, or IPv6.
    #[default]
    Unknown,
    /// Up by one with each packet of the connection.
    PerConnection,
    /// Up, shared with other connections.
    Shared,
    /// Always zero.
    Zero,
    /// No order.
    Random,
}

/// What a second of a flow's life was spent on. The order is that of the report.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Cause {
    /// Opening the connection.
    Handshake,
    /// The server waits for the client's application.
    ClientThink,
    /// The client waits for the server's application.
    ServerThink,
    /// Data moves at the rate that the path gives.
    Transfer,
    /// A round trip with nothing else to wait for.
    Latency,
    /// The peer's window is full.
    ReceiveWindow,
    /// The peer's window is shut.
    ZeroWindow,
    /// The sender's buffer is full.
    SendBuffer,
    /// Repair without a timeout.
    LossRecovery,
    /// Waiting for the retransmission timer.
    Timeout,
    /// The last segment was lost, and nothing but a timer or probe could tell.
    TailLoss,
    /// Waiting for a delayed acknowledgement.
    DelayedAck,
    /// The path took longer than it used to.
    PathDelay,
    /// Nobody has anything to say.
    Idle,
    /// Closing.
    Close,
    /// Not told.
    Unknown,
}

impl Cause {
    /// All of them, in order.
    pub const ALL: [Self; 16] = [
        Self::Handshake,
        Self::ClientThink,
        Self::ServerThink,
        Self::Transfer,
        Self::Latency,
        Self::ReceiveWindow,
        Self::ZeroWindow,
        Self::SendBuffer,
        Self::LossRecovery,
        Self::Timeout,
        Self::TailLoss,
        Self::DelayedAck,
        Self::PathDelay,
        Self::Idle,
        Self::Close,
        Self::Unknown,
    ];

    /// Whether octets that an end had given to TCP were held up: by a loss, by the window, or by the path.
    #[must_use]
    pub const fn holds_octets_up(self) -> bool {
        matches!(
            self,
            Self::ReceiveWindow
                | Self::ZeroWindow
                | Self::LossRecovery
                | Self::Timeout
                | Self::TailLoss
                | Self::PathDelay
        )
    }
}

/// A silence with work pending.
#[derive(Clone, Copy, Debug)]
pub struct Stall {
    /// When it began.
    pub start: Timestamp,
    /// How long it was.
    pub length: Duration,
    /// Why.
    pub cause: Cause,
    /// Direction whose data had to wait, where that is known.
    pub direction: Option<Direction>,
    /// Frame that ended it.
    pub frame: FrameNo,
}

/// Something that happened at one moment and is worth keeping with its frame.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// When.
    pub time: Timestamp,
    /// Frame that shows it.
    pub frame: FrameNo,
    /// Direction that it concerns: of the segment that shows it, unless the kind says otherwise.
    pub direction: Direction,
    /// What.
    pub kind: EventKind,
}

/// Kinds of [`Event`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum EventKind {
    /// A hole in the sequence space at the capture point: the segment of this event came first (upstream loss, or reordering, or a capture drop).
    Hole {
        /// Octets missing.
        octets: u64,
    },
    /// A segment that the network delivered late.
    Reordered {
        /// By how long.
        late: Duration,
    },
    /// A copy that the network made.
    NetworkDuplicate {
        /// Its first copy.
        of: FrameNo,
    },
    /// Octets were acknowledged that the capture never saw.
    UnseenAcked {
        /// How many.
        octets: u64,
    },
    /// A segment captured with a wrong (not unfilled) checksum.
    WrongChecksum,
    /// The window was shut by the sender of this segment.
    ZeroWindow,
    /// And opened again.
    WindowOpened {
        /// How long it was shut.
        shut: Duration,
    },
    /// The same octets were sent over and over and never acknowledged.
    Stuck {
        /// First copy.
        first: FrameNo,
        /// Sends in all.
        sends: u32,
    },
    /// A repeat of a segment that was captured whole and with a good checksum, and that the other end had passed over although
    /// it had taken later ones. The event's frame is the repeat.
    NotTaken {
        /// The first copy.
        of: FrameNo,
    },
    /// The segment of this event acknowledges octets that SACK had passed over, and that were not sent again in between.
    HealedHole {
        /// Wire segments.
        segments: u16,
    },
    /// The segment of this event has SACK blocks so far from anything that was sent, and no others.
    SackOutside {
        /// Octets between them and what was sent.
        octets: u64,
    },
    /// A round trip far above those before it.
    LatencySpike {
        /// The sample.
        rtt: Duration,
        /// SRTT before it.
        usual: Duration,
    },
    /// A segment that fits no window and was left out.
    OutsideWindow,
    /// A segment repeats octets with other contents, and the first copy was still there to compare: evasion, or a device that changes what
    /// it passes on. The first copy counts here; what the receiver took is not known.
    OtherContents {
        /// The first copy.
        of: FrameNo,
        /// Octets that differ.
        octets: u64,
    },
    /// An ICMP error quoted this flow; the direction is that of the quoted segment.
    Icmp {
        /// ICMP type.
        icmp_type: u8,
        /// ICMP code.
        code: u8,
        /// MTU of the next hop, where told.
        mtu: Option<u32>,
        /// IPv6?
        v6: bool,
        /// Whether it quotes octets that were on their way then, and an MTU that they exceed: else somebody made it up, or the
        /// capture lacks what it is about.
        credible: bool,
    },
}
