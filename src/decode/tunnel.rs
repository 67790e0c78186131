//! Tunnels: what carries another packet inside.
//!
//! Takes:  the payload of an IP or UDP header
//! Gives:  the packet inside, and the number of the tunnel it lies in
//! Never:  puts a number that only one direction has into a flow's identity: see `encapsulation`

use super::encapsulation::{Encapsulations, Layer};
use super::reason::Reason;
use super::step::{Other, Packet, Proto, Step, Stop};
use super::view::View;

/// UDP ports of tunnels, by the side that listens.
mod port {
    pub(super) const GTP_U: u16 = 2152;
    pub(super) const TEREDO: u16 = 3544;
    pub(super) const GRE: u16 = 4754;
    pub(super) const VXLAN: u16 = 4789;
    pub(super) const VXLAN_GPE: u16 = 4790;
    pub(super) const GENEVE: u16 = 6081;
    pub(super) const MPLS: u16 = 6635;
    pub(super) const VXLAN_OF_LINUX: u16 = 8472;
}

/// Extension headers of GTP looked at.
const MAX_GTP_EXTENSIONS: usize = 8;

/// The packet inside a UDP datagram, if its ports are those of a tunnel. A port alone proves nothing, so what does not look
/// like the tunnel's header stays UDP.
pub(super) fn in_udp<'a>(
    ports: [u16; 2],
    view: View<'a>,
    packet: &mut Packet,
    encapsulations: &mut Encapsulations,
) -> Step<'a> {
    const NONE: Stop = Stop::Other(Other::Udp);
    match ports[1] {
        port::VXLAN | port::VXLAN_OF_LINUX => {
            let &[flags, _, _, _, v0, v1, v2, _] = view.head::<8>().ok_or(NONE)?;
            // The I flag (RFC 7348 section 5).
            if flags & 0x08 == 0 {
                return Err(NONE);
            }
            let vni = u32::from_be_bytes([0, v0, v1, v2]);
            let inner = view.skip(8).ok_or(NONE)?;
            packet.encapsulation = encapsulations.enter(packet.encapsulation, Layer::Vxlan(vni))?;
            Ok((Proto::Link(1), inner))
        }
        port::VXLAN_GPE => {
            let &[flags, _, _, next, v0, v1, v2, _] = view.head::<8>().ok_or(NONE)?;
            let proto = match (flags & 0x0C, next) {
                (0x0C, 1) => Proto::Ipv4,
                (0x0C, 2) => Proto::Ipv6,
                (0x0C, 3) | (0x08, _) => Proto::Link(1),
                (0x0C, 5) => Proto::Mpls,
                _ => return Err(NONE),
            };
            let vni = u32::from_be_bytes([0, v0, v1, v2]);
            let inner = view.skip(8).ok_or(NONE)?;
            packet.encapsulation = encapsulations.enter(packet.encapsulation, Layer::Vxlan(vni))?;
            Ok((proto, inner))
        }
        port::GENEVE => {
            let &[version, _, p0, p1, v0, v1, v2, _] = view.head::<8>().ok_or(NONE)?;
            // RFC 8926 section 3.4: version 0, and the length of the options in words.
            if version & 0xC0 != 0 {
                return Err(NONE);
            }
            let inner = view
                .skip(8 + usize::from(version & 0x3F) * 4)
                .ok_or(Reason::Short("GENEVE header"))?;
            let vni = u32::from_be_bytes([0, v0, v1, v2]);
            packet.encapsulation =
                encapsulations.enter(packet.encapsulation, Layer::Geneve(vni))?;
            Ok((Proto::Ethertype(u16::from_be_bytes([p0, p1])), inner))
        }
        port::GTP_U => gtp(view, packet, encapsulations),
        port::MPLS => Ok((Proto::Mpls, view)),
        port::GRE => gre(view, packet, encapsulations),
        _ if is_teredo(ports) => {
            let inner = teredo(view).ok_or(NONE)?;
            packet.encapsulation = encapsulations.enter(packet.encapsulation, Layer::Teredo)?;
            Ok((Proto::Ipv6, inner))
        }
        _ => Err(NONE),
    }
}

/// Whether what such a datagram carries is read as GENEVE.
pub(super) const fn is_geneve([_, to]: [u16; 2]) -> bool {
    to == port::GENEVE
}

/// Whether it is read as Teredo: its server's port stands on either side, and another tunnel's where that listens.
pub(super) const fn is_teredo([from, to]: [u16; 2]) -> bool {
    use port::{GENEVE, GRE, GTP_U, MPLS, TEREDO, VXLAN, VXLAN_GPE, VXLAN_OF_LINUX};
    match to {
        VXLAN | VXLAN_GPE | VXLAN_OF_LINUX | GENEVE | GTP_U | MPLS | GRE => false,
        _ => to == TEREDO || from == TEREDO,
    }
}

/// GTP-U (3GPP TS 29.281 section 5): only G-PDUs carry packets.
fn gtp<'a>(view: View<'a>, packet: &mut Packet, encapsulations: &mut Encapsulations) -> Step<'a> {
    const NONE: Stop = Stop::Other(Other::Udp);
    const SHORT: Reason = Reason::Short("GTP-U header");
    const G_PDU: u8 = 255;
    const VERSION_1: u8 = 0x30;
    const OPTIONAL_FIELDS: u8 = 0x07;
    const EXTENSION: u8 = 0x04;
    let &[flags, kind, _, _, _, _, _, _] = view.head::<8>().ok_or(NONE)?;
    if flags & 0xF0 != VERSION_1 || kind != G_PDU {
        return Err(NONE);
    }
    let mut rest = view.skip(8).ok_or(SHORT)?;
    if flags & OPTIONAL_FIELDS != 0 {
        let mut next = rest.octet(3).ok_or(SHORT)?;
        rest = rest.skip(4).ok_or(SHORT)?;
        let mut seen = 0;
        while flags & EXTENSION != 0 && next != 0 {
            seen += 1;
            let octets = usize::from(rest.octet(0).ok_or(SHORT)?) * 4;
            if octets == 0 || seen > MAX_GTP_EXTENSIONS {
                return Err(Reason::Other("GTP-U extension headers without end").into());
            }
            next = rest.octet(octets - 1).ok_or(SHORT)?;
            rest = rest.skip(octets).ok_or(SHORT)?;
        }
    }
    packet.encapsulation = encapsulations.enter(packet.encapsulation, Layer::Gtp)?;
    Ok((Proto::Ip, rest))
}

/// The IPv6 packet behind Teredo's indicators (RFC 4380 section 5.1.1).
fn teredo(view: View<'_>) -> Option<View<'_>> {
    let mut rest = view;
    if rest.be16(0)? == 0x0001 {
        let (id, value) = (rest.octet(2)?, rest.octet(3)?);
        rest = rest.skip(13 + usize::from(id) + usize::from(value))?;
    }
    if rest.be16(0)? == 0x0000 {
        rest = rest.skip(8)?;
    }
    (rest.octet(0)? >> 4 == 6).then_some(rest)
}

/// GRE (RFC 2784, RFC 2890), PPTP's variant (RFC 2637) and what is put on top of it: ERSPAN, Aruba's 802.11.
pub(super) fn gre<'a>(
    view: View<'a>,
    packet: &mut Packet,
    encapsulations: &mut Encapsulations,
) -> Step<'a> {
    const SHORT: Reason = Reason::Short("GRE header");
    const CHECKSUM: u16 = 0x8000;
    const ROUTING: u16 = 0x4000;
    const KEY: u16 = 0x2000;
    const SEQUENCE: u16 = 0x1000;
    const ACKNOWLEDGEMENT: u16 = 0x0080;
    let flags = view.be16(0).ok_or(SHORT)?;
    let protocol = view.be16(2).ok_or(SHORT)?;
    let version = flags & 7;
    if flags & ROUTING != 0 || version > 1 {
        return Err(Reason::Other("GRE with source routes or of another version").into());
    }
    let mut octets = 4;
    if flags & CHECKSUM != 0 {
        octets += 4;
    }
    let mut key = None;
    if flags & KEY != 0 {
        key = Some(view.be32(octets).ok_or(SHORT)?);
        octets += 4;
    }
    if flags & SEQUENCE != 0 {
        octets += 4;
    }
    if version == 1 {
        // Here the key is a length and a call id, which each direction has its own of.
        key = None;
        if flags & ACKNOWLEDGEMENT != 0 {
            octets += 4;
        }
    }
    let inner = view.skip(octets).ok_or(SHORT)?;
    let mut enter = |layer| encapsulations.enter(packet.encapsulation, layer);
    match protocol {
        // ERSPAN: type I has neither sequence number nor header of its own.
        0x88BE if flags & SEQUENCE == 0 => {
            packet.encapsulation = enter(Layer::Erspan(0))?;
            Ok((Proto::Link(1), inner))
        }
        0x88BE => {
            let session = inner.be16(2).ok_or(Reason::Short("ERSPAN header"))? & 0x03FF;
            packet.encapsulation = enter(Layer::Erspan(session))?;
            let frame = inner.skip(8).ok_or(Reason::Short("ERSPAN header"))?;
            Ok((Proto::Link(1), frame))
        }
        0x22EB => erspan3(inner, packet, encapsulations),
        // Aruba: 802.11 frames between access point and controller, by priority.
        0x8200..=0x83FF => {
            packet.encapsulation = enter(Layer::Gre(key))?;
            Ok((Proto::Dot11, inner))
        }
        // WCCP: a redirect header that version 1 does not have.
        0x883E => {
            packet.encapsulation = enter(Layer::Gre(key))?;
            match inner.octet(0).ok_or(SHORT)? >> 4 {
                4 => Ok((Proto::Ipv4, inner)),
                _ => Ok((Proto::Ip, inner.skip(4).ok_or(SHORT)?)),
            }
        }
        _ => {
            packet.encapsulation = enter(Layer::Gre(key))?;
            Ok((Proto::Ethertype(protocol), inner))
        }
    }
}

/// ERSPAN type III: 12 octets, and 8 more where the last bit says so.
fn erspan3<'a>(
    view: View<'a>,
    packet: &mut Packet,
    encapsulations: &mut Encapsulations,
) -> Step<'a> {
    const SHORT: Reason = Reason::Short("ERSPAN header");
    let session = view.be16(2).ok_or(SHORT)? & 0x03FF;
    let last = view.be16(10).ok_or(SHORT)?;
    let octets = if last & 1 == 0 { 12 } else { 20 };
    let frame = view.skip(octets).ok_or(SHORT)?;
    packet.encapsulation = encapsulations.enter(packet.encapsulation, Layer::Erspan(session))?;
    match (last >> 10) & 0x1F {
        0 => Ok((Proto::Link(1), frame)),
        2 => Ok((Proto::Ip, frame)),
        _ => Err(Reason::Other("ERSPAN with something else than Ethernet or IP").into()),
    }
}
