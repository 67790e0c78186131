//! Link layers: from the first captured octet to an IP header.
//!
//! Takes:  a frame and its link type, or the ethertype that a header named
//! Gives:  the next layer and the octets it starts at; hardware addresses and who sent it, where the header says so
//! Never:  keeps anything between frames, save the numbers of VLANs
//!
//! Link types are those of tcpdump.org/linktypes.html, ethertypes those of the IEEE registry.

use super::encapsulation::{Encapsulations, Layer};
use super::pieces::{Cutter, Piece};
use super::reason::Reason;
use super::step::{Other, Packet, Proto, Step, Stop};
use super::view::View;
use crate::net::MacAddr;

/// Labels looked at in one MPLS stack.
const MAX_LABELS: usize = 16;
/// Attributes looked at in one NFLOG message.
const MAX_ATTRIBUTES: usize = 64;

/// Peels the outermost header of a frame.
#[inline]
pub(super) fn link<'a>(link: u16, view: View<'a>, packet: &mut Packet) -> Step<'a> {
    if link == 1 {
        return ethernet(view, packet);
    }
    other_link(link, view, packet)
}

fn other_link<'a>(link: u16, view: View<'a>, packet: &mut Packet) -> Step<'a> {
    match link {
        0 | 108 => loopback(view),
        6 => token_ring(view, packet),
        9 => ppp(view),
        10 => fddi(view, packet),
        11 | 100 => Ok((Proto::Llc, view)),
        12 | 14 | 101 => Ok((Proto::Ip, view)),
        50 | 104 => hdlc(view),
        51 => pppoe_session(view),
        105 => Ok((Proto::Dot11, view)),
        107 => frame_relay(view),
        109 => skip(view, 12, "IPsec enclosure header", Proto::Ip),
        113 => cooked(view, packet),
        117 => packet_filter(view),
        119 | 163 => prism(view),
        127 => radiotap(view),
        138 => inner_ethertype(view, 16, "IEEE 1394 header"),
        149 | 258 => packet_tap(view),
        182 => multilink_frame_relay(view),
        192 => per_packet_information(view),
        204..=206 => {
            let direction = view.octet(0).ok_or(Reason::Short("direction"))?;
            packet.outgoing = Some(direction != 0);
            let next = match link {
                204 => Proto::Ppp,
                205 => Proto::Link(104),
                _ => Proto::Link(107),
            };
            skip(view, 1, "direction", next)
        }
        219 => Ok((Proto::Mpls, view)),
        228 => Ok((Proto::Ipv4, view)),
        229 => Ok((Proto::Ipv6, view)),
        239 => nflog(view),
        240 => skip(view, 4, "netANALYZER header", Proto::Link(1)),
        241 => skip(view, 12, "netANALYZER header", Proto::Link(1)),
        274 => skip(view, 8, "mPacket preamble", Proto::Link(1)),
        276 => cooked2(view, packet),
        _ => Err(Reason::LinkType(link).into()),
    }
}

fn skip<'a>(view: View<'a>, octets: usize, header: &'static str, next: Proto) -> Step<'a> {
    let rest = view.skip(octets).ok_or(Reason::Short(header))?;
    Ok((next, rest))
}

#[inline]
fn ethernet<'a>(view: View<'a>, packet: &mut Packet) -> Step<'a> {
    let &[d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5, t0, t1] =
        view.head::<14>().ok_or(Reason::Short("Ethernet header"))?;
    packet.macs = [
        MacAddr([s0, s1, s2, s3, s4, s5]),
        MacAddr([d0, d1, d2, d3, d4, d5]),
    ];
    let rest = view.skip(14).ok_or(Reason::Short("Ethernet header"))?;
    Ok(type_or_length(u16::from_be_bytes([t0, t1]), rest))
}

/// The field behind the addresses: up to 1500 it is a length and LLC follows (IEEE 802.3 clause 3.2.6).
#[inline]
fn type_or_length(field: u16, rest: View<'_>) -> (Proto, View<'_>) {
    if field > 1500 {
        (Proto::Ethertype(field), rest)
    } else {
        let length = usize::from(field).min(rest.wire);
        (Proto::Llc, rest.with_length(length))
    }
}

/// Goes on behind an ethertype.
#[inline]
pub(super) fn ethertype<'a>(
    ethertype: u16,
    view: View<'a>,
    packet: &mut Packet,
    encapsulations: &mut Encapsulations,
) -> Step<'a> {
    match ethertype {
        0x0800 => Ok((Proto::Ipv4, view)),
        0x86DD => Ok((Proto::Ipv6, view)),
        0x8100 | 0x88A8 | 0x9100 | 0x9200 | 0x9300 => {
            let &[t0, t1, e0, e1] = view.head::<4>().ok_or(Reason::Short("VLAN tag"))?;
            // VLAN 0 means "priority only" (IEEE 802.1Q clause 9.6): not a network of its own.
            let id = u16::from_be_bytes([t0, t1]) & 0x0FFF;
            if id != 0 {
                packet.encapsulation =
                    encapsulations.enter(packet.encapsulation, Layer::Vlan(id))?;
            }
            let rest = view.skip(4).ok_or(Reason::Short("VLAN tag"))?;
            Ok(type_or_length(u16::from_be_bytes([e0, e1]), rest))
        }
        0x6558 => Ok((Proto::Link(1), view)),
        0x8847 | 0x8848 => Ok((Proto::Mpls, view)),
        0x8864 => {
            let session = view.be16(2).ok_or(Reason::Short("PPPoE header"))?;
            packet.encapsulation =
                encapsulations.enter(packet.encapsulation, Layer::Pppoe(session))?;
            pppoe_session(view)
        }
        0x880B => Ok((Proto::Ppp, view)),
        0x88E5 => macsec(view),
        0x88E7 => {
            let tag = view.be32(0).ok_or(Reason::Short("802.1ah tag"))?;
            packet.encapsulation = encapsulations.enter(
                packet.encapsulation,
                Layer::ServiceInstance(tag & 0x00FF_FFFF),
            )?;
            skip(view, 4, "802.1ah tag", Proto::Link(1))
        }
        0x8926 => inner_ethertype(view, 4, "VN-Tag"),
        0x893F => inner_ethertype(view, 6, "802.1BR tag"),
        0x0806 => Err(Stop::Other(Other::Arp)),
        _ => Err(Stop::Other(Other::Link)),
    }
}

/// A tag of `octets` octets that ends in front of another ethertype.
fn inner_ethertype<'a>(view: View<'a>, octets: usize, tag: &'static str) -> Step<'a> {
    let ethertype = view.be16(octets).ok_or(Reason::Short(tag))?;
    let rest = view.skip(octets + 2).ok_or(Reason::Short(tag))?;
    Ok(type_or_length(ethertype, rest))
}

/// MACsec (IEEE 802.1AE clause 9): readable only where it protects without encrypting.
fn macsec(view: View<'_>) -> Step<'_> {
    const SCI: u8 = 0x20;
    const ENCRYPTED_OR_CHANGED: u8 = 0x0C;
    let control = view.octet(0).ok_or(Reason::Short("MACsec tag"))?;
    if control & ENCRYPTED_OR_CHANGED != 0 {
        return Err(Reason::Other("encrypted by MACsec").into());
    }
    let tag = if control & SCI == 0 { 6 } else { 14 };
    inner_ethertype(view, tag, "MACsec tag")
}

/// LLC, and SNAP inside it (IEEE 802.2, RFC 1042).
pub(super) fn llc(view: View<'_>) -> Step<'_> {
    match view.octets {
        [0xAA, 0xAA, 0x03, o0, o1, o2, p0, p1, ..] => {
            let rest = view.skip(8).ok_or(Reason::Short("SNAP header"))?;
            let protocol = u16::from_be_bytes([*p0, *p1]);
            match (o0, o1, o2) {
                (0, 0, 0 | 0xF8) => Ok((Proto::Ethertype(protocol), rest)),
                // Bridged Ethernet, with and without FCS (RFC 2684 section 5.2).
                (0, 0x80, 0xC2) if matches!(protocol, 0x0001 | 0x0007) => {
                    // On ATM two octets of padding come first.
                    Ok((Proto::Link(1), rest))
                }
                _ => Err(Stop::Other(Other::Link)),
            }
        }
        [0x06, 0x06, 0x03, ..] => skip(view, 3, "LLC header", Proto::Ip),
        // Routed by NLPID (RFC 2684 section 5.1).
        [0xFE, 0xFE, 0x03, 0xCC | 0x8E, ..] => skip(view, 4, "LLC header", Proto::Ip),
        [_, _, _, ..] => Err(Stop::Other(Other::Link)),
        _ => Err(Reason::Short("LLC header").into()),
    }
}

/// BSD loopback: an address family in the order of the machine that wrote it, or in network order.
fn loopback(view: View<'_>) -> Step<'_> {
    let family = view.be32(0).ok_or(Reason::Short("loopback header"))?;
    let rest = view.skip(4).ok_or(Reason::Short("loopback header"))?;
    // Families are small numbers, so the order shows.
    let family = if family > 0xFFFF {
        family.swap_bytes()
    } else {
        family
    };
    match family {
        2 => Ok((Proto::Ipv4, rest)),
        // NetBSD and OpenBSD, Linux, FreeBSD, Darwin, Windows.
        24 | 10 | 28 | 30 | 23 => Ok((Proto::Ipv6, rest)),
        0x0600..=0xFFFF => Ok((Proto::Ethertype(family as u16), rest)),
        _ => Err(Stop::Other(Other::Link)),
    }
}

/// Linux cooked capture, first version.
fn cooked<'a>(view: View<'a>, packet: &mut Packet) -> Step<'a> {
    let &[k0, k1, h0, h1, _, len, a0, a1, a2, a3, a4, a5, _, _, p0, p1] =
        view.head::<16>().ok_or(Reason::Short("cooked header"))?;
    from_this_host(u16::from_be_bytes([k0, k1]), packet);
    if len == 6 {
        packet.macs = [MacAddr([a0, a1, a2, a3, a4, a5]), MacAddr::default()];
    }
    let rest = view.skip(16).ok_or(Reason::Short("cooked header"))?;
    cooked_protocol(
        u16::from_be_bytes([h0, h1]),
        u16::from_be_bytes([p0, p1]),
        rest,
    )
}

/// Linux cooked capture, second version.
fn cooked2<'a>(view: View<'a>, packet: &mut Packet) -> Step<'a> {
    let &[
        p0,
        p1,
        _,
        _,
        _,
        _,
        _,
        _,
        h0,
        h1,
        kind,
        len,
        a0,
        a1,
        a2,
        a3,
        a4,
        a5,
        _,
        _,
    ] = view.head::<20>().ok_or(Reason::Short("cooked header"))?;
    from_this_host(u16::from(kind), packet);
    if len == 6 {
        packet.macs = [MacAddr([a0, a1, a2, a3, a4, a5]), MacAddr::default()];
    }
    let rest = view.skip(20).ok_or(Reason::Short("cooked header"))?;
    cooked_protocol(
        u16::from_be_bytes([h0, h1]),
        u16::from_be_bytes([p0, p1]),
        rest,
    )
}

fn from_this_host(kind: u16, packet: &mut Packet) {
    const OUTGOING: u16 = 4;
    packet.outgoing = Some(kind == OUTGOING);
}

fn cooked_protocol(hardware: u16, protocol: u16, rest: View<'_>) -> Step<'_> {
    const IEEE80211: u16 = 801;
    const IEEE80211_PRISM: u16 = 802;
    const IEEE80211_RADIOTAP: u16 = 803;
    const IPGRE: u16 = 778;
    match (hardware, protocol) {
        (IEEE80211, _) => Ok((Proto::Dot11, rest)),
        (IEEE80211_PRISM, _) => Ok((Proto::Link(119), rest)),
        (IEEE80211_RADIOTAP, _) => Ok((Proto::Link(127), rest)),
        // Here the field is what the GRE header named.
        (IPGRE, _) => Ok((Proto::Ethertype(protocol), rest)),
        (_, 0x0004) => Ok((Proto::Llc, rest)),
        (_, 0..=0x05FF) => Err(Stop::Other(Other::Link)),
        _ => Ok((Proto::Ethertype(protocol), rest)),
    }
}

/// PPP with or without HDLC framing (RFC 1661, RFC 1662).
pub(super) fn ppp(view: View<'_>) -> Step<'_> {
    let view = match view.octets {
        [0xFF, 0x03, ..] => view.skip(2).ok_or(Reason::Short("PPP header"))?,
        _ => view,
    };
    let first = view.octet(0).ok_or(Reason::Short("PPP header"))?;
    // The protocol field is one octet where its first is odd (RFC 1661 section 2).
    let (protocol, octets) = if first & 1 == 1 {
        (u16::from(first), 1)
    } else {
        (view.be16(0).ok_or(Reason::Short("PPP header"))?, 2)
    };
    let rest = view.skip(octets).ok_or(Reason::Short("PPP header"))?;
    match protocol {
        0x0021 => Ok((Proto::Ipv4, rest)),
        0x0057 => Ok((Proto::Ipv6, rest)),
        0x0281 | 0x0283 => Ok((Proto::Mpls, rest)),
        0x002D | 0x002F => Err(Reason::Other("TCP header compressed by PPP (RFC 1144)").into()),
        0x003D => Ok((Proto::Multilink, rest)),
        0x00FD | 0x00FB => Err(Reason::Other("compressed by PPP").into()),
        0x0053 => Err(Reason::Other("encrypted by PPP").into()),
        _ => Err(Stop::Other(Other::Link)),
    }
}

/// The header of a multilink fragment with long numbers, as is usual (RFC 1990 section 3).
pub(super) fn multilink(view: View<'_>) -> Result<(Piece, View<'_>), Stop> {
    const SHORT: Reason = Reason::Short("PPP multilink header");
    const BEGINS: u32 = 0x8000_0000;
    const ENDS: u32 = 0x4000_0000;
    let header = view.be32(0).ok_or(SHORT)?;
    let piece = Piece {
        cutter: Cutter::Multilink,
        number: header & 0x00FF_FFFF,
        begins: header & BEGINS != 0,
        ends: header & ENDS != 0,
    };
    Ok((piece, view.skip(4).ok_or(SHORT)?))
}

/// Multilink frame relay (FRF.16.1): whole packets and control messages; pieces are told.
fn multilink_frame_relay(view: View<'_>) -> Step<'_> {
    const WHOLE: u8 = 0xC0;
    const CONTROL: u8 = 0x20;
    match view.octet(0).ok_or(Reason::Short("frame relay header"))? {
        bits if bits & CONTROL != 0 => Err(Stop::Other(Other::Link)),
        bits if bits & WHOLE == WHOLE => skip(view, 2, "frame relay header", Proto::Link(107)),
        _ => Err(Reason::Other("frame relay fragment or compressed").into()),
    }
}

/// Darwin's header before what an interface captured: its length, and the link type behind it.
fn packet_tap(view: View<'_>) -> Step<'_> {
    const SHORT: Reason = Reason::Short("pktap header");
    let &[l0, l1, l2, l3, _, _, _, _, t0, t1, t2, t3] = view.head::<12>().ok_or(SHORT)?;
    let length = u32::from_le_bytes([l0, l1, l2, l3]);
    let link = u32::from_le_bytes([t0, t1, t2, t3]);
    let (Ok(length), Ok(link)) = (usize::try_from(length), u16::try_from(link)) else {
        return Err(SHORT.into());
    };
    if length < 12 {
        return Err(Reason::Other("pktap header with an impossible length").into());
    }
    skip(view, length, "pktap header", Proto::Link(link))
}

/// The PPPoE header of a session (RFC 2516 section 4); its length says where padding begins.
fn pppoe_session(view: View<'_>) -> Step<'_> {
    let &[_, code, _, _, l0, l1] = view.head::<6>().ok_or(Reason::Short("PPPoE header"))?;
    let rest = view.skip(6).ok_or(Reason::Short("PPPoE header"))?;
    if code != 0 {
        return Err(Stop::Other(Other::Link));
    }
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let rest = if length == 0 || length > rest.wire {
        rest
    } else {
        rest.with_length(length)
    };
    Ok((Proto::Ppp, rest))
}

/// HDLC: Cisco's with an ethertype, or PPP's.
fn hdlc(view: View<'_>) -> Step<'_> {
    match view.octets {
        [0x0F | 0x8F, _, e0, e1, ..] => {
            let rest = view.skip(4).ok_or(Reason::Short("HDLC header"))?;
            Ok(type_or_length(u16::from_be_bytes([*e0, *e1]), rest))
        }
        [_, _, _, _, ..] => Ok((Proto::Ppp, view)),
        _ => Err(Reason::Short("HDLC header").into()),
    }
}

/// Frame relay: RFC 2427 by NLPID, or Cisco's by ethertype.
fn frame_relay(view: View<'_>) -> Step<'_> {
    const SHORT: Reason = Reason::Short("frame relay header");
    // The low bit marks the last octet of the address; addresses have 2 to 4.
    let address = (1..4)
        .find(|&i| view.octet(i).is_some_and(|o| o & 1 == 1))
        .map(|i| i + 1)
        .ok_or(SHORT)?;
    let mut rest = view.skip(address).ok_or(SHORT)?;
    if rest.octet(0) != Some(0x03) {
        return inner_ethertype(rest, 0, "frame relay header");
    }
    rest = rest.skip(1).ok_or(SHORT)?;
    if rest.octet(0) == Some(0) {
        rest = rest.skip(1).ok_or(SHORT)?;
    }
    match rest.octet(0).ok_or(SHORT)? {
        0xCC => skip(rest, 1, "frame relay header", Proto::Ipv4),
        0x8E => skip(rest, 1, "frame relay header", Proto::Ipv6),
        0x80 => {
            let oui = rest.octets.get(1..4).ok_or(SHORT)?;
            if oui == [0, 0, 0] {
                inner_ethertype(rest, 4, "frame relay header")
            } else if oui == [0, 0x80, 0xC2] {
                skip(rest, 6, "frame relay header", Proto::Link(1))
            } else {
                Err(Stop::Other(Other::Link))
            }
        }
        0xCF => skip(rest, 1, "frame relay header", Proto::Ppp),
        0xB0 | 0xB1 => Err(Reason::Other("frame relay fragment or compressed").into()),
        _ => Err(Stop::Other(Other::Link)),
    }
}

/// FDDI: frame control, addresses, LLC.
fn fddi<'a>(view: View<'a>, packet: &mut Packet) -> Step<'a> {
    let addresses = view
        .skip(1)
        .and_then(|v| v.head::<12>())
        .ok_or(Reason::Short("FDDI header"))?;
    packet.macs = two_macs(*addresses);
    skip(view, 13, "FDDI header", Proto::Llc)
}

/// Token ring: two octets of control, addresses, perhaps a route, LLC.
fn token_ring<'a>(view: View<'a>, packet: &mut Packet) -> Step<'a> {
    let addresses = view
        .skip(2)
        .and_then(|v| v.head::<12>())
        .ok_or(Reason::Short("token ring header"))?;
    packet.macs = two_macs(*addresses);
    let routed = packet.macs[0].0[0] & 0x80 != 0;
    let route = if routed {
        let control = view.octet(14).ok_or(Reason::Short("token ring header"))?;
        usize::from(control & 0x1F)
    } else {
        0
    };
    skip(view, 14 + route, "token ring header", Proto::Llc)
}

/// Destination and source as they lie; turned into (source, destination).
pub(super) fn two_macs(octets: [u8; 12]) -> [MacAddr; 2] {
    let [d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5] = octets;
    [
        MacAddr([s0, s1, s2, s3, s4, s5]),
        MacAddr([d0, d1, d2, d3, d4, d5]),
    ]
}

/// BSD's pflog: a header that tells its length and the address family.
fn packet_filter(view: View<'_>) -> Step<'_> {
    let length = view.octet(0).ok_or(Reason::Short("pflog header"))?;
    let padded = (usize::from(length) + 3) & !3;
    skip(view, padded, "pflog header", Proto::Ip)
}

/// Prism and AVS headers in front of 802.11.
fn prism(view: View<'_>) -> Step<'_> {
    const SHORT: Reason = Reason::Short("Prism header");
    let cookie = view.be32(0).ok_or(SHORT)?;
    let length = view.be32(4).ok_or(SHORT)?;
    let length = if cookie & 0xFFFF_F000 == 0x8021_1000 {
        length
    } else if length > 0xFFFF {
        length.swap_bytes()
    } else {
        length
    };
    let length = usize::try_from(length).map_err(|_| SHORT)?;
    if length < 8 {
        return Err(Reason::Other("Prism header with an impossible length").into());
    }
    skip(view, length, "Prism header", Proto::Dot11)
}

/// Radiotap in front of 802.11 (radiotap.org). Of its fields only the flags matter.
fn radiotap(view: View<'_>) -> Step<'_> {
    const SHORT: Reason = Reason::Short("radiotap header");
    const PRESENT_TSFT: u32 = 1;
    const PRESENT_FLAGS: u32 = 1 << 1;
    const MORE: u32 = 1 << 31;
    const FLAG_FCS: u8 = 0x10;
    const FLAG_PADDED: u8 = 0x20;
    let &[_, _, l0, l1, p0, p1, p2, p3] = view.head::<8>().ok_or(SHORT)?;
    let length = usize::from(u16::from_le_bytes([l0, l1]));
    if length < 8 {
        return Err(Reason::Other("radiotap header with an impossible length").into());
    }
    let present = u32::from_le_bytes([p0, p1, p2, p3]);
    let mut at = 8;
    let mut word = present;
    while word & MORE != 0 {
        let next = view
            .octets
            .get(at..)
            .and_then(|o| o.first_chunk())
            .ok_or(SHORT)?;
        word = u32::from_le_bytes(*next);
        at += 4;
    }
    if present & PRESENT_TSFT != 0 {
        at = ((at + 7) & !7) + 8;
    }
    let flags = if present & PRESENT_FLAGS != 0 && at < length {
        view.octet(at).ok_or(SHORT)?
    } else {
        0
    };
    let mut rest = view.skip(length).ok_or(SHORT)?;
    if flags & FLAG_FCS != 0 {
        rest = rest.with_length(rest.wire.saturating_sub(4));
    }
    let next = if flags & FLAG_PADDED != 0 {
        Proto::Dot11Padded
    } else {
        Proto::Dot11
    };
    Ok((next, rest))
}

/// PPI: a header that names a link type.
fn per_packet_information(view: View<'_>) -> Step<'_> {
    const SHORT: Reason = Reason::Short("PPI header");
    let &[_, _, l0, l1, t0, t1, t2, t3] = view.head::<8>().ok_or(SHORT)?;
    let length = usize::from(u16::from_le_bytes([l0, l1]));
    let link = u32::from_le_bytes([t0, t1, t2, t3]);
    let link = u16::try_from(link).unwrap_or(u16::MAX);
    if length < 8 {
        return Err(Reason::Other("PPI header with an impossible length").into());
    }
    skip(view, length, "PPI header", Proto::Link(link))
}

/// Linux netfilter log: attributes, one of which is the packet.
fn nflog(view: View<'_>) -> Step<'_> {
    const SHORT: Reason = Reason::Short("NFLOG header");
    const PAYLOAD: u16 = 9;
    let mut rest = view.skip(4).ok_or(SHORT)?;
    for _ in 0..MAX_ATTRIBUTES {
        let &[l0, l1, t0, t1] = rest.head::<4>().ok_or(SHORT)?;
        // In the order of the machine that wrote it; lengths are small, so it shows.
        let (mut length, mut kind) = (
            u16::from_le_bytes([l0, l1]),
            u16::from_le_bytes([t0, t1]) & 0x7FFF,
        );
        if usize::from(length) > rest.wire || kind > 0xFF {
            (length, kind) = (length.swap_bytes(), u16::from_be_bytes([t0, t1]) & 0x7FFF);
        }
        let length = usize::from(length);
        if length < 4 {
            return Err(Reason::Other("NFLOG attribute with an impossible length").into());
        }
        if kind == PAYLOAD {
            let payload = rest.skip(4).ok_or(SHORT)?;
            let length = (length - 4).min(payload.wire);
            return Ok((Proto::Ip, payload.with_length(length)));
        }
        rest = rest.skip((length + 3) & !3).ok_or(SHORT)?;
    }
    Err(Reason::Other("NFLOG message without a packet").into())
}

/// A stack of MPLS labels (RFC 3032), and a guess at what lies under it, for no field says so.
pub(super) fn mpls(view: View<'_>) -> Step<'_> {
    const SHORT: Reason = Reason::Short("MPLS label stack");
    const BOTTOM: u32 = 0x100;
    let mut rest = view;
    for _ in 0..MAX_LABELS {
        let entry = rest.be32(0).ok_or(SHORT)?;
        rest = rest.skip(4).ok_or(SHORT)?;
        if entry & BOTTOM != 0 {
            return under_mpls(rest);
        }
    }
    Err(Reason::Other("more than 16 MPLS labels").into())
}

fn under_mpls(view: View<'_>) -> Step<'_> {
    const SHORT: Reason = Reason::Short("packet under MPLS");
    let first = view.octet(0).ok_or(SHORT)?;
    match first >> 4 {
        // A hardware address may begin with these digits too, but then no IP header follows.
        4 if looks_like_ipv4(view) || !looks_like_ethernet(view) => Ok((Proto::Ipv4, view)),
        6 if looks_like_ipv6(view) || !looks_like_ethernet(view) => Ok((Proto::Ipv6, view)),
        // The control word of a pseudowire (RFC 4385), or an address that begins with 0.
        0 => {
            let behind_word = view.skip(4).ok_or(SHORT)?;
            if looks_like_ethernet(view) && !looks_like_ethernet(behind_word) {
                Ok((Proto::Link(1), view))
            } else {
                Ok((Proto::Link(1), behind_word))
            }
        }
        _ if looks_like_ethernet(view) => Ok((Proto::Link(1), view)),
        _ => Err(Stop::Other(Other::Link)),
    }
}

fn looks_like_ipv4(view: View<'_>) -> bool {
    view.octet(0).is_some_and(|o| (0x45..=0x4F).contains(&o))
        && view
            .be16(2)
            .is_some_and(|total| total == 0 || (20..=view.wire).contains(&usize::from(total)))
}

fn looks_like_ipv6(view: View<'_>) -> bool {
    view.be16(4)
        .is_some_and(|length| usize::from(length) + 40 <= view.wire)
}

fn looks_like_ethernet(view: View<'_>) -> bool {
    view.be16(12).is_some_and(|t| {
        matches!(
            t,
            0x0800 | 0x86DD | 0x0806 | 0x8100 | 0x88A8 | 0x9100 | 0x8847 | 0x8863 | 0x8864
        )
    })
}
