//! Decode stage: frames in, TCP [`Segment`]s out (and the few other packets that explain TCP's fate).
//!
//! Takes:  [`FrameBatch`](crate::capture::FrameBatch)es
//! Gives:  [`SegmentBatch`]es that take over the octets of the frames; counts of what could not be decoded
//! Never:  keeps state between frames, save for packets in pieces (IP, 802.11, PPP); follows flows

mod checksum;
mod decoder;
mod dns;
mod dot11;
mod encapsulation;
mod fragment;
mod headers;
mod icmp;
mod ip;
mod link;
mod masked;
mod options;
mod pieces;
mod reason;
mod step;
mod tcp;
mod tunnel;
mod view;

#[cfg(test)]
mod tests;

pub use decoder::{Decoder, OtherPackets};
pub use headers::header_octets;
pub use masked::{Mask, masked};
pub use tcp::{Seeded, flow_hash};

use std::net::IpAddr;

use crate::capture::Octets;
use crate::net::{Endpoint, Family, FrameNo, MacAddr, SeqNum, Timestamp};

/// Which flow a segment belongs to: both ends in a fixed order, so that both directions have one key, and the
/// encapsulation that it was found in.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct FlowKey {
    /// Addresses, the smaller (address, port) pair first; IPv4 in the mapped form.
    pub addrs: [[u8; 16]; 2],
    /// Ports in the same order.
    pub ports: [u16; 2],
    /// VLANs and tunnels around the packet, as a number: equal numbers mean the same encapsulation; 0 means none.
    /// [`SegmentBatch`]'s decoder can name it.
    pub encapsulation: u32,
    /// IP version.
    pub family: Family,
}

impl FlowKey {
    /// The end that stands first (0) or second (1).
    #[must_use]
    pub fn endpoint(&self, which: usize) -> Endpoint {
        Endpoint::from_octets(self.addrs[which & 1], self.family, self.ports[which & 1])
    }
}

/// The control bits of the TCP header (RFC 9293 section 3.1, RFC 3168).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct TcpFlags(pub u16);

impl TcpFlags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronise sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgement field counts.
    pub const ACK: Self = Self(0x10);
    /// The urgent pointer counts.
    pub const URG: Self = Self(0x20);
    /// ECN echo.
    pub const ECE: Self = Self(0x40);
    /// Congestion window reduced.
    pub const CWR: Self = Self(0x80);

    /// Whether any of the bits of `other` is set.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The union of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What the TCP checksum field of one segment holds. The verdict on a host is another matter: it goes by consequence.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Checksum {
    /// Right. A field of `0xFFFF` where 0 was computed counts as right.
    Good,
    /// The sum of the pseudo-header alone, not inverted: the adapter was to fill in the rest.
    UnfilledPartial,
    /// The same with the length taken as zero: large send offload.
    UnfilledLso,
    /// The field is zero and that is not right: left to the adapter, or never computed (loopback).
    Zero,
    /// None of the above.
    Wrong,
    /// Cut by the snap length, fragmented, or inside a super-segment of unknown length: cannot be computed.
    Unchecked,
}

impl Checksum {
    /// Whether the field holds what offload leaves behind.
    #[must_use]
    pub const fn is_unfilled(self) -> bool {
        matches!(self, Self::UnfilledPartial | Self::UnfilledLso | Self::Zero)
    }

    /// Whether the field is not right, for whatever reason.
    #[must_use]
    pub const fn is_bad(self) -> bool {
        self.is_unfilled() || matches!(self, Self::Wrong)
    }
}

/// Where octets lie in a [`SegmentBatch`]: see [`SegmentBatch::octets_of`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct OctetRef {
    /// Offset into the batch's octets; from [`OctetRef::IN_EXTRA`] on, into its `extra` octets.
    pub offset: u64,
    /// Number of octets.
    pub len: u32,
}

impl OctetRef {
    /// Offsets from here on count in [`SegmentBatch::extra`].
    pub const IN_EXTRA: u64 = 1 << 62;
}

/// Options of a SYN (RFC 9293 section 3.2, RFC 7323, RFC 2018). `None`: not offered.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SynOptions {
    /// Maximum segment size.
    pub mss: Option<u16>,
    /// Window scale shift as sent (a shift over 14 counts as 14: RFC 7323 section 2.3).
    pub window_scale: Option<u8>,
    /// SACK permitted.
    pub sack_permitted: bool,
}

/// One TCP segment as captured, in plain numbers. About 140 octets, no heap.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// Its frame.
    pub frame: FrameNo,
    /// When it was captured.
    pub time: Timestamp,
    /// Flow key and its seeded hash.
    pub key: FlowKey,
    /// Hash of `key`, the same for both directions.
    pub hash: u64,
    /// Whether the end that stands first in `key` sent it.
    pub from_first: bool,
    /// Sequence number.
    pub seq: SeqNum,
    /// Acknowledgement number; counts only with [`TcpFlags::ACK`].
    pub ack: SeqNum,
    /// Control bits.
    pub flags: TcpFlags,
    /// Window field, unscaled.
    pub window: u16,
    /// Octets of payload on the wire, from the IP length: may be more than `payload.len`, which is what was captured.
    pub payload_octets: u32,
    /// The captured part of the payload.
    pub payload: OctetRef,
    /// IPv4 identification; `None` for IPv6 without a fragment header.
    pub ip_id: Option<u16>,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// The don't-fragment bit (true for IPv6).
    pub dont_fragment: bool,
    /// The two ECN bits of the IP header (RFC 3168).
    pub ecn: u8,
    /// The six bits before them: how routers are to treat the packet (RFC 2474).
    pub dscp: u8,
    /// State of the checksum field.
    pub checksum: Checksum,
    /// Octets of TCP options.
    pub option_octets: u8,
    /// TSval and TSecr (RFC 7323 section 3).
    pub timestamps: Option<(u32, u32)>,
    /// Options of a SYN; all `None` otherwise.
    pub syn: SynOptions,
    /// SACK blocks as (left, right) edges: index of the first in [`SegmentBatch::sacks`], and how many.
    pub sack: (u32, u8),
    /// Hardware addresses (source, destination); unknown ones are zero.
    pub macs: [MacAddr; 2],
    /// Whether the capturing host marked it as sent by itself (Linux cooked packet type 4); `None` where it does not say.
    pub outgoing: Option<bool>,
}

/// A packet that is no TCP segment but tells something of one.
#[derive(Clone, Debug)]
pub struct Note {
    /// Its frame.
    pub frame: FrameNo,
    /// When.
    pub time: Timestamp,
    /// Who sent it.
    pub from: IpAddr,
    /// To whom.
    pub to: IpAddr,
    /// What it says.
    pub kind: NoteKind,
}

/// Kinds of [`Note`].
#[derive(Clone, Debug, PartialEq)]
pub enum NoteKind {
    /// An ICMP or ICMPv6 error that quotes a TCP segment (RFC 792, RFC 4443).
    IcmpError {
        /// Version of the quoted packet.
        family: Family,
        /// ICMP type.
        icmp_type: u8,
        /// ICMP code.
        code: u8,
        /// The next hop's MTU in a "fragmentation needed" or "packet too big" (RFC 1191, RFC 8201).
        mtu: Option<u32>,
        /// Key of the quoted segment's flow, in the encapsulation of the ICMP packet.
        key: FlowKey,
        /// Whether the first end of `key` had sent the quoted segment.
        from_first: bool,
        /// Sequence number quoted.
        seq: SeqNum,
        /// Control bits, where the quotation reaches that far.
        flags: Option<TcpFlags>,
    },
    /// A DNS query over UDP (RFC 1035): name as dotted text (hostile), type number.
    DnsQuery {
        /// Message id.
        id: u16,
        /// Name asked for, at most 255 octets.
        name: String,
        /// QTYPE: 12 is PTR.
        qtype: u16,
    },
    /// A DNS answer over UDP.
    DnsAnswer {
        /// Message id.
        id: u16,
        /// RCODE.
        rcode: u8,
        /// Name asked for.
        name: String,
        /// Addresses in the answer section.
        addresses: Vec<IpAddr>,
    },
}

/// Segments of one [`FrameBatch`](crate::capture::FrameBatch), with the octets that they point into.
#[derive(Debug, Default)]
pub struct SegmentBatch {
    /// Index of the capture that the frames come from.
    pub capture: u32,
    /// Octets of the frames.
    pub octets: Octets,
    /// Octets that do not lie in a frame as they are: payloads put together from IP fragments.
    pub extra: Vec<u8>,
    /// The TCP segments in file order.
    pub segments: Vec<Segment>,
    /// SACK blocks of all segments.
    pub sacks: Vec<(SeqNum, SeqNum)>,
    /// Other packets that matter.
    pub notes: Vec<Note>,
    /// Segments that are longer by their IP header than their frame was on the wire, as far as the capture knows: index in
    /// `segments` as decoded, and the payload that the frame had room for.
    pub overlong: Vec<(u32, u32)>,
}

impl SegmentBatch {
    /// Captured payload of a segment of this batch.
    #[must_use]
    pub fn payload(&self, segment: &Segment) -> &[u8] {
        self.octets_of(segment.payload)
    }

    /// What [`overlong`](Self::overlong) says of the segment at this place.
    pub(crate) fn overlong_at(&self, place: usize) -> Option<u32> {
        if self.overlong.is_empty() {
            return None;
        }
        let found = self
            .overlong
            .binary_search_by_key(&place, |(n, _)| *n as usize);
        found
            .ok()
            .and_then(|n| self.overlong.get(n))
            .map(|(_, room)| *room)
    }

    /// The octets that a reference points to; empty where it points outside.
    #[must_use]
    pub fn octets_of(&self, at: OctetRef) -> &[u8] {
        let (all, start) = if at.offset >= OctetRef::IN_EXTRA {
            (self.extra.as_slice(), at.offset - OctetRef::IN_EXTRA)
        } else {
            (self.octets.as_slice(), at.offset)
        };
        usize::try_from(start)
            .ok()
            .and_then(|s| all.get(s..s.saturating_add(at.len as usize)))
            .unwrap_or(&[])
    }

    /// SACK blocks of a segment of this batch, as (left, right) edges in the order of the option.
    #[must_use]
    pub fn sack_blocks(&self, segment: &Segment) -> &[(SeqNum, SeqNum)] {
        let start = segment.sack.0 as usize;
        self.sacks
            .get(start..start + segment.sack.1 as usize)
            .unwrap_or(&[])
    }
}

/// Frames that could not be decoded down to TCP or to something that is not TCP, by reason.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Undecoded {
    /// What stood in the way: `link type 147 is not known`, `IPv4 header cut short`, …
    pub reason: String,
    /// How many frames.
    pub frames: u64,
    /// The first of them.
    pub first: FrameNo,
}
