//! One step of the walk through the headers of a frame.
//!
//! Takes:  nothing
//! Gives:  the words that the layers of this stage share
//! Never:  leaves this stage

use super::reason::Reason;
use super::view::View;
use crate::net::{Family, FrameNo, MacAddr, Timestamp};

/// What comes next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Proto {
    /// A link layer by its LINKTYPE number.
    Link(u16),
    /// What the ethertype says.
    Ethertype(u16),
    /// IEEE 802.2.
    Llc,
    /// PPP's protocol field, or HDLC's framing before it.
    Ppp,
    /// PPP's multilink header.
    Multilink,
    /// A label stack.
    Mpls,
    /// An 802.11 header.
    Dot11,
    /// An 802.11 header whose body starts at a multiple of four.
    Dot11Padded,
    /// IP of either version, as its first four bits say.
    Ip,
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
    /// What the IP header's protocol number says; the header is in [`Packet::ip`].
    Transport(u8),
}

/// The layer to go on with and where it starts, or the reason to stop.
pub(super) type Step<'a> = Result<(Proto, View<'a>), Stop>;

/// Why the walk through a frame ends before a TCP segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Stop {
    /// It could not be read.
    Undecoded(Reason),
    /// It was read, and is no TCP.
    Other(Other),
    /// It is a fragment that waits for the others; the fragment table accounts for it.
    Waiting,
}

impl From<Reason> for Stop {
    fn from(reason: Reason) -> Self {
        Self::Undecoded(reason)
    }
}

/// Packets that are no TCP.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Other {
    Arp,
    /// Another ethertype, or link-layer control.
    Link,
    Udp,
    Icmp,
    /// Another IP protocol.
    Ip,
}

/// What is known of the packet at the present step.
#[derive(Clone, Copy, Debug)]
pub(super) struct Packet {
    pub(super) frame: FrameNo,
    pub(super) time: Timestamp,
    pub(super) macs: [MacAddr; 2],
    pub(super) outgoing: Option<bool>,
    pub(super) encapsulation: u32,
    /// Headers passed so far.
    pub(super) depth: u32,
    /// The innermost IP header.
    pub(super) ip: IpHeader,
}

impl Packet {
    /// One of which nothing is known but its octets.
    pub(super) fn unknown() -> Self {
        Self {
            frame: FrameNo::default(),
            time: Timestamp(0),
            macs: [MacAddr::default(); 2],
            outgoing: None,
            encapsulation: 0,
            depth: 0,
            ip: IpHeader::default(),
        }
    }
}

/// What later layers need of an IP header.
#[derive(Clone, Copy, Debug)]
pub(super) struct IpHeader {
    pub(super) family: Family,
    /// Source and destination; IPv4 in the mapped form.
    pub(super) addrs: [[u8; 16]; 2],
    pub(super) id: Option<u16>,
    pub(super) ttl: u8,
    pub(super) dont_fragment: bool,
    pub(super) ecn: u8,
    pub(super) dscp: u8,
    /// Whether the payload is all that the sender's TCP made: not a piece of it, addressed to whom the header names.
    pub(super) whole: bool,
    /// Whether the header gives a length (send offload may leave 0).
    pub(super) has_length: bool,
}

impl Default for IpHeader {
    fn default() -> Self {
        Self {
            family: Family::V4,
            addrs: [[0; 16]; 2],
            id: None,
            ttl: 0,
            dont_fragment: false,
            ecn: 0,
            dscp: 0,
            whole: true,
            has_length: true,
        }
    }
}
