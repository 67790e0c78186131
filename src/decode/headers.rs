//! Where the headers of a frame end and what people wrote to each other begins.
//!
//! Takes:  the captured octets of one frame
//! Gives:  how many of them are headers
//! Never:  counts an octet of payload among them, not even where it does not know the protocol

use super::dot11::{self, Body};
use super::encapsulation::Encapsulations;
use super::ip::{self, Behind, protocol};
use super::reason::Reason;
use super::step::{Other, Packet, Proto, Step, Stop};
use super::view::View;
use super::{link, tunnel};
use crate::capture::LinkType;
use crate::net::Family;

/// Headers looked at in one frame.
pub(super) const MAX_DEPTH: u32 = 32;
/// No header follows (RFC 8200 section 4.7).
const NOTHING: u8 = 59;
/// Octets of a UDP header, and of an ICMP header before what it quotes.
pub(super) const UDP_OR_ICMP: usize = 8;

/// How many octets at the start of a frame are headers: to the end of the TCP header with its options, where there is one, or else to
/// the end of the last header known. Of what an ICMP error quotes, the IP header and the eight octets behind it count (RFC 792).
#[must_use]
pub fn header_octets(link: LinkType, captured: &[u8], wire_octets: usize) -> usize {
    let mut packet = Packet::unknown();
    let mut around = Encapsulations::default();
    let mut proto = Proto::Link(link.0);
    let mut view = View::new(captured, 0, wire_octets);
    for _ in 0..MAX_DEPTH {
        let here = place(view);
        if let Proto::Transport(number) = proto
            && let Some(header) = last_header(number, packet.ip.family, view)
        {
            return here.saturating_add(header).min(captured.len());
        }
        match step(proto, view, &mut packet, &mut around) {
            Ok(next) => (proto, view) = next,
            Err(_) => return behind(proto, here, captured.len()),
        }
    }
    place(view)
}

pub(super) fn place(view: View<'_>) -> usize {
    usize::try_from(view.at).unwrap_or_default()
}

/// Where a walk that ends in this layer has left the headers behind.
fn behind(proto: Proto, here: usize, captured: usize) -> usize {
    let header = match proto {
        Proto::Transport(protocol::UDP) => UDP_OR_ICMP,
        _ => 0,
    };
    here.saturating_add(header).min(captured)
}

/// Octets of a header that none follows.
fn last_header(number: u8, family: Family, view: View<'_>) -> Option<usize> {
    match number {
        protocol::TCP => Some(view.octet(12).map_or(0, |o| usize::from(o >> 4) * 4)),
        protocol::ICMP | protocol::ICMPV6 => Some(UDP_OR_ICMP + quoted(family, view)),
        _ => None,
    }
}

/// Octets of an ICMP error's quotation that are headers.
fn quoted(family: Family, view: View<'_>) -> usize {
    let error = match (family, view.octet(0)) {
        (Family::V4, Some(kind)) => matches!(kind, 3 | 4 | 5 | 11 | 12),
        (Family::V6, Some(kind)) => kind < 128,
        (_, None) => false,
    };
    let header = match view.octet(UDP_OR_ICMP).map(|o| (o >> 4, o & 15)) {
        Some((4, words)) => usize::from(words) * 4,
        Some((6, _)) => 40,
        _ => return 0,
    };
    if error { header + 8 } else { 0 }
}

/// The next layer. Of a datagram in pieces, the first goes on as if it were whole.
pub(super) fn step<'a>(
    proto: Proto,
    view: View<'a>,
    packet: &mut Packet,
    around: &mut Encapsulations,
) -> Step<'a> {
    let behind = match proto {
        Proto::Link(number) => return link::link(number, view, packet),
        Proto::Ethertype(number) => return link::ethertype(number, view, packet, around),
        Proto::Llc => return link::llc(view),
        Proto::Ppp => return link::ppp(view),
        Proto::Multilink => {
            return match link::multilink(view)? {
                (piece, rest) if piece.begins => Ok((Proto::Ppp, rest)),
                _ => Err(Stop::Other(Other::Link)),
            };
        }
        Proto::Mpls => return link::mpls(view),
        Proto::Dot11 | Proto::Dot11Padded => {
            return match dot11::data_frame(view, proto == Proto::Dot11Padded, packet)? {
                Body::Llc(body) => Ok((Proto::Llc, body)),
                Body::Piece(piece, body) if piece.begins => Ok((Proto::Llc, body)),
                Body::Piece(..) | Body::Aggregate(_) => Err(Stop::Other(Other::Link)),
            };
        }
        Proto::Ip => return ip::either(view),
        Proto::Ipv4 => ip::v4(view, packet)?,
        Proto::Ipv6 => return ip::v6(view, packet),
        Proto::Transport(number) => match ip::extension(number, view, packet)? {
            Some(behind) => behind,
            None => return tunnelled(number, view, packet, around),
        },
    };
    match behind {
        Behind::Next(next, payload) => Ok((next, payload)),
        Behind::Fragment(piece, payload) if piece.offset == 0 => {
            Ok((Proto::Transport(piece.protocol), payload))
        }
        // No header begins in a later piece.
        Behind::Fragment(_, payload) => Ok((Proto::Transport(NOTHING), payload)),
    }
}

/// What a tunnel carries.
fn tunnelled<'a>(
    number: u8,
    view: View<'a>,
    packet: &mut Packet,
    around: &mut Encapsulations,
) -> Step<'a> {
    match number {
        protocol::UDP => {
            let (Some(from), Some(to), Some(payload)) =
                (view.be16(0), view.be16(2), view.skip(UDP_OR_ICMP))
            else {
                return Err(Reason::Short("UDP header").into());
            };
            tunnel::in_udp([from, to], payload, packet, around)
        }
        protocol::GRE => tunnel::gre(view, packet, around),
        protocol::MPLS => Ok((Proto::Mpls, view)),
        protocol::ETHER_IP => view
            .skip(2)
            .map(|inner| (Proto::Link(1), inner))
            .ok_or(Stop::Other(Other::Ip)),
        protocol::IPV4 => Ok((Proto::Ipv4, view)),
        protocol::IPV6 => Ok((Proto::Ipv6, view)),
        _ => Err(Stop::Other(Other::Ip)),
    }
}
