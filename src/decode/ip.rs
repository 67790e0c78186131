//! IPv4 and IPv6 headers, and the extension headers of IPv6.
//!
//! Takes:  a packet at its IP header
//! Gives:  the payload cut to the length that the header claims, and what TCP needs of the header
//! Never:  puts fragments together (that is `fragment`), checks the header checksum: what a broken one does shows in TCP

use etherparse::{
    IpAuthHeaderSlice, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice,
    Ipv6RawExtHeaderSlice,
};

use super::reason::Reason;
use super::step::{IpHeader, Other, Packet, Proto, Step, Stop};
use super::view::View;
use crate::net::Family;

/// IP protocol numbers that this stage looks into.
pub(super) mod protocol {
    pub(crate) const HOP_BY_HOP: u8 = 0;
    pub(crate) const ICMP: u8 = 1;
    pub(crate) const IPV4: u8 = 4;
    pub(crate) const TCP: u8 = 6;
    pub(crate) const UDP: u8 = 17;
    pub(crate) const IPV6: u8 = 41;
    pub(crate) const ROUTING: u8 = 43;
    pub(crate) const FRAGMENT: u8 = 44;
    pub(crate) const GRE: u8 = 47;
    pub(crate) const AUTHENTICATION: u8 = 51;
    pub(crate) const ICMPV6: u8 = 58;
    pub(crate) const DESTINATION: u8 = 60;
    pub(crate) const ETHER_IP: u8 = 97;
    pub(crate) const MPLS: u8 = 137;
}

/// The piece of a datagram that a packet holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Piece {
    pub(super) id: u32,
    /// Where it belongs, in octets.
    pub(super) offset: u32,
    /// Whether others come behind it.
    pub(super) more: bool,
    /// Protocol of the whole datagram's payload.
    pub(super) protocol: u8,
}

/// What lies behind an IP header.
pub(super) enum Behind<'a> {
    /// A whole payload.
    Next(Proto, View<'a>),
    /// One piece of it.
    Fragment(Piece, View<'a>),
}

/// An IP header of either version.
pub(super) fn either(view: View<'_>) -> Step<'_> {
    match view.octet(0).ok_or(Reason::Short("IP header"))? >> 4 {
        4 => Ok((Proto::Ipv4, view)),
        6 => Ok((Proto::Ipv6, view)),
        _ => Err(Reason::Other("neither IPv4 nor IPv6 where IP was expected").into()),
    }
}

/// IPv4 (RFC 791).
#[inline]
pub(super) fn v4<'a>(view: View<'a>, packet: &mut Packet) -> Result<Behind<'a>, Stop> {
    const SHORT: Reason = Reason::Short("IPv4 header");
    let header = Ipv4HeaderSlice::from_slice(view.octets).map_err(|error| {
        use etherparse::err::ipv4::HeaderSliceError;
        match error {
            HeaderSliceError::Len(_) => SHORT,
            HeaderSliceError::Content(_) => {
                Reason::Other("IPv4 header with an impossible version or length")
            }
        }
    })?;
    let octets = header.slice().len();
    let total = usize::from(header.total_len());
    if total != 0 && total < octets {
        return Err(Reason::Other("IPv4 total length below its header's length").into());
    }
    // Send offload leaves the total length 0: then the frame's own length has to do.
    let packet_view = if total == 0 {
        view
    } else {
        view.with_length(total)
    };
    let payload = packet_view.skip(octets).ok_or(SHORT)?;
    packet.ip = IpHeader {
        family: Family::V4,
        addrs: [mapped(header.source()), mapped(header.destination())],
        id: Some(header.identification()),
        ttl: header.ttl(),
        dont_fragment: header.dont_fragment(),
        ecn: header.ecn().value(),
        dscp: header.dcp().value(),
        whole: octets == 20 || !has_source_route(header.options()),
        has_length: total != 0,
    };
    let protocol = header.protocol().0;
    if header.is_fragmenting_payload() {
        let piece = Piece {
            id: u32::from(header.identification()),
            offset: u32::from(header.fragments_offset().value()) * 8,
            more: header.more_fragments(),
            protocol,
        };
        return Ok(Behind::Fragment(piece, payload));
    }
    Ok(Behind::Next(Proto::Transport(protocol), payload))
}

/// The IPv4-mapped form (RFC 4291 section 2.5.5.2).
#[inline]
pub(super) const fn mapped(addr: [u8; 4]) -> [u8; 16] {
    let [a, b, c, d] = addr;
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF, a, b, c, d]
}

/// Whether a loose or strict source route is among the options: then the pseudo-header's destination is another.
fn has_source_route(options: &[u8]) -> bool {
    let mut rest = options;
    while let Some((&kind, after)) = rest.split_first() {
        match kind {
            0 => break,
            1 => rest = after,
            131 | 137 => return true,
            _ => {
                let length = after.first().map_or(0, |&n| usize::from(n));
                match rest.get(length..) {
                    Some(next) if length >= 2 => rest = next,
                    _ => break,
                }
            }
        }
    }
    false
}

/// IPv6 (RFC 8200); its extension headers follow as steps of their own.
#[inline]
pub(super) fn v6<'a>(view: View<'a>, packet: &mut Packet) -> Step<'a> {
    const SHORT: Reason = Reason::Short("IPv6 header");
    let header = Ipv6HeaderSlice::from_slice(view.octets).map_err(|error| {
        use etherparse::err::ipv6::HeaderSliceError;
        match error {
            HeaderSliceError::Len(_) => SHORT,
            HeaderSliceError::Content(_) => Reason::Other("IPv6 header with another version"),
        }
    })?;
    let length = usize::from(header.payload_length());
    // 0 is left by send offload, and stands in jumbograms (RFC 2675).
    let packet_view = if length == 0 {
        view
    } else {
        view.with_length(40 + length)
    };
    let payload = packet_view.skip(40).ok_or(SHORT)?;
    packet.ip = IpHeader {
        family: Family::V6,
        addrs: [header.source(), header.destination()],
        id: None,
        ttl: header.hop_limit(),
        dont_fragment: true,
        ecn: header.ecn().value(),
        dscp: header.dscp().value(),
        whole: true,
        has_length: length != 0,
    };
    Ok((Proto::Transport(header.next_header().0), payload))
}

/// One extension header; `None` if `number` is none.
pub(super) fn extension<'a>(
    number: u8,
    view: View<'a>,
    packet: &mut Packet,
) -> Result<Option<Behind<'a>>, Stop> {
    let is_v6 = packet.ip.family == Family::V6;
    let (next, octets) = match number {
        protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION if is_v6 => {
            let header = Ipv6RawExtHeaderSlice::from_slice(view.octets)
                .map_err(|_| Reason::Short("IPv6 extension header"))?;
            // Segments left: the pseudo-header has the last destination, not this one (RFC 8200 section 8.1).
            if number == protocol::ROUTING && view.octet(3) != Some(0) {
                packet.ip.whole = false;
            }
            (header.next_header().0, header.slice().len())
        }
        protocol::AUTHENTICATION => {
            let header = IpAuthHeaderSlice::from_slice(view.octets)
                .map_err(|_| Reason::Short("IP authentication header"))?;
            (header.next_header().0, header.slice().len())
        }
        protocol::FRAGMENT if is_v6 => {
            const SHORT: Reason = Reason::Short("IPv6 fragment header");
            let header = Ipv6FragmentHeaderSlice::from_slice(view.octets).map_err(|_| SHORT)?;
            let payload = view.skip(8).ok_or(SHORT)?;
            packet.ip.id = Some(header.identification() as u16);
            packet.ip.dont_fragment = false;
            let protocol = header.next_header().0;
            // An atomic fragment is whole (RFC 6946).
            if !header.is_fragmenting_payload() {
                return Ok(Some(Behind::Next(Proto::Transport(protocol), payload)));
            }
            let piece = Piece {
                id: header.identification(),
                offset: u32::from(header.fragment_offset().value()) * 8,
                more: header.more_fragments(),
                protocol,
            };
            return Ok(Some(Behind::Fragment(piece, payload)));
        }
        59 => return Err(Stop::Other(Other::Ip)),
        _ => return Ok(None),
    };
    let payload = view
        .skip(octets)
        .ok_or(Reason::Short("IPv6 extension header"))?;
    Ok(Some(Behind::Next(Proto::Transport(next), payload)))
}
