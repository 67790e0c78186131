//! Tables of frames for the decode stage.
#![allow(clippy::unwrap_used)]

use std::net::IpAddr;

use super::*;
use crate::capture::{Frame, FrameBatch, LinkType};

const CLIENT: [u8; 4] = [192, 0, 2, 1];
const SERVER: [u8; 4] = [198, 51, 100, 2];
const PORTS: (u16, u16) = (40_000, 25);
const DATA: &[u8] = b"MAIL FROM:<a@example.org>\r\n";
const MACS: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];

fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn addr6(last: u8) -> [u8; 16] {
    let mut a = [0; 16];
    a[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
    a[15] = last;
    a
}

fn ones(parts: &[&[u8]]) -> u16 {
    let all = join(parts);
    let mut sum = 0u64;
    for pair in all.chunks(2) {
        sum += u64::from(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

fn tcp_bare(options: &[u8], data: &[u8]) -> Vec<u8> {
    let words = 5 + options.len().div_ceil(4) as u8;
    let mut padded = options.to_vec();
    padded.resize(usize::from(words - 5) * 4, 0);
    join(&[
        &PORTS.0.to_be_bytes(),
        &PORTS.1.to_be_bytes(),
        &0xffff_fff0u32.to_be_bytes(),
        &77u32.to_be_bytes(),
        &[words << 4, 0x18],
        &1000u16.to_be_bytes(),
        &[0, 0, 0, 0],
        &padded,
        data,
    ])
}

fn pseudo(from: &[u8], to: &[u8], length: u32) -> Vec<u8> {
    join(&[from, to, &length.to_be_bytes(), &6u32.to_be_bytes()])
}

fn with_checksum(mut tcp: Vec<u8>, from: &[u8], to: &[u8]) -> Vec<u8> {
    let sum = !ones(&[&pseudo(from, to, tcp.len() as u32), &tcp]);
    tcp[16..18].copy_from_slice(&sum.to_be_bytes());
    tcp
}

fn tcp4() -> Vec<u8> {
    with_checksum(tcp_bare(&[], DATA), &CLIENT, &SERVER)
}

fn tcp6() -> Vec<u8> {
    with_checksum(tcp_bare(&[], DATA), &addr6(1), &addr6(2))
}

fn ipv4_with(protocol: u8, id: u16, flags_offset: u16, payload: &[u8]) -> Vec<u8> {
    join(&[
        &[0x45, 0],
        &(20 + payload.len() as u16).to_be_bytes(),
        &id.to_be_bytes(),
        &flags_offset.to_be_bytes(),
        &[64, protocol, 0, 0],
        &CLIENT,
        &SERVER,
        payload,
    ])
}

fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    ipv4_with(protocol, 1234, 0x4000, payload)
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    join(&[
        &[0x60, 0, 0, 0],
        &(payload.len() as u16).to_be_bytes(),
        &[next, 64],
        &addr6(1),
        &addr6(2),
        payload,
    ])
}

fn eth(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    join(&[&MACS, &ethertype.to_be_bytes(), payload])
}

fn udp(to: u16, payload: &[u8]) -> Vec<u8> {
    join(&[
        &50_000u16.to_be_bytes(),
        &to.to_be_bytes(),
        &(8 + payload.len() as u16).to_be_bytes(),
        &[0, 0],
        payload,
    ])
}

/// An IPv4 packet with the usual segment inside.
fn packet() -> Vec<u8> {
    ipv4(6, &tcp4())
}

/// The usual Ethernet frame.
fn frame() -> Vec<u8> {
    eth(0x0800, &packet())
}

fn llc(payload: &[u8]) -> Vec<u8> {
    join(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], payload])
}

fn dot11(control: [u8; 2], body: &[u8]) -> Vec<u8> {
    join(&[&control, &[0, 0], &MACS, &[2, 0, 0, 0, 0, 3, 0, 0], body])
}

struct Got {
    batch: SegmentBatch,
    decoder: Decoder,
}

impl Got {
    fn payloads(&self) -> Vec<&[u8]> {
        self.batch
            .segments
            .iter()
            .map(|s| self.batch.payload(s))
            .collect()
    }

    fn reasons(&self) -> Vec<String> {
        self.decoder
            .undecoded()
            .into_iter()
            .map(|u| format!("{} x {} from {}", u.frames, u.reason, u.first))
            .collect()
    }
}

/// Frames with their length on the wire.
fn decode_cut(link: u16, frames: &[(Vec<u8>, usize)]) -> Got {
    let mut input = FrameBatch::default();
    let mut octets = Vec::new();
    for (i, (frame, wire)) in frames.iter().enumerate() {
        let start = octets.len();
        octets.extend_from_slice(frame);
        input.frames.push(Frame {
            number: FrameNo(i as u64 + 1),
            time: Timestamp(i as i64),
            range: start..octets.len(),
            wire_octets: *wire as u32,
            link: LinkType(link),
        });
    }
    input.octets = Octets::Owned(octets);
    let mut decoder = Decoder::new(0);
    let mut batch = SegmentBatch::default();
    decoder.push(&mut input, &mut batch);
    Got { batch, decoder }
}

fn decode(link: u16, frames: &[Vec<u8>]) -> Got {
    let frames: Vec<_> = frames.iter().map(|f| (f.clone(), f.len())).collect();
    decode_cut(link, &frames)
}

/// Frames of every kind that hold the usual segment: name, link type, octets, name of the encapsulation.
#[allow(clippy::too_many_lines)]
fn kinds() -> Vec<(&'static str, u16, Vec<u8>, Option<&'static str>)> {
    let p = packet();
    let f = frame();
    let vlans = |tags: &[u16]| {
        let mut inner = join(&[&[8, 0], &p]);
        for tag in tags.iter().rev() {
            inner = join(&[&[0x81, 0], &tag.to_be_bytes(), &inner]);
        }
        join(&[&MACS, &inner])
    };
    let in_udp = |port, inner: &[u8]| eth(0x0800, &ipv4(17, &udp(port, inner)));
    let gre = |header: &[u8], inner: &[u8]| eth(0x0800, &ipv4(47, &join(&[header, inner])));
    let sll = |kind: u8, protocol: u16, inner: &[u8]| {
        join(&[
            &[0, kind, 0, 1, 0, 6],
            &MACS[6..],
            &[0, 0],
            &protocol.to_be_bytes(),
            inner,
        ])
    };
    let sll2 = |kind: u8, protocol: u16, inner: &[u8]| {
        join(&[
            &protocol.to_be_bytes(),
            &[0, 0, 0, 0, 0, 1, 0, 1, kind, 6],
            &MACS[6..],
            &[0, 0],
            inner,
        ])
    };
    let ext = |next: u8| [next, 0, 1, 4, 0, 0, 0, 0];
    vec![
        ("Ethernet", 1, f.clone(), None),
        ("Ethernet, IPv6", 1, eth(0x86dd, &ipv6(6, &tcp6())), None),
        (
            "802.3 with SNAP",
            1,
            eth(8 + p.len() as u16, &llc(&p)),
            None,
        ),
        (
            "802.3 with LLC for IP",
            1,
            eth(3 + p.len() as u16, &join(&[&[6, 6, 3], &p])),
            None,
        ),
        ("VLAN", 1, vlans(&[10]), Some("VLAN 10")),
        ("VLAN with priority", 1, vlans(&[0xa00a]), Some("VLAN 10")),
        ("priority tag alone", 1, vlans(&[0xa000]), None),
        (
            "QinQ",
            1,
            join(&[&MACS, &[0x88, 0xa8, 0, 5, 0x81, 0, 0, 6, 8, 0], &p]),
            Some("VLAN 5 / VLAN 6"),
        ),
        (
            "old QinQ",
            1,
            join(&[&MACS, &[0x91, 0, 0, 5, 0x81, 0, 0, 6, 8, 0], &p]),
            Some("VLAN 5 / VLAN 6"),
        ),
        (
            "five tags",
            1,
            vlans(&[1, 2, 3, 4, 5]),
            Some("VLAN 1 / VLAN 2 / VLAN 3 / VLAN 4 / VLAN 5"),
        ),
        (
            "VLAN around LLC",
            1,
            join(&[
                &MACS,
                &[0x81, 0, 0, 9],
                &(8 + p.len() as u16).to_be_bytes(),
                &llc(&p),
            ]),
            Some("VLAN 9"),
        ),
        (
            "VN-Tag",
            1,
            eth(0x8926, &join(&[&[0, 1, 0, 2, 8, 0], &p])),
            None,
        ),
        (
            "provider backbone",
            1,
            eth(0x88e7, &join(&[&[0, 0, 1, 0], &f])),
            Some("802.1ah 256"),
        ),
        (
            "MACsec without encryption",
            1,
            eth(
                0x88e5,
                &join(&[
                    &[0x20, 0, 0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 0, 1, 8, 0],
                    &p,
                    &[9; 16],
                ]),
            ),
            None,
        ),
        ("cooked, to this host", 113, sll(0, 0x0800, &p), None),
        ("cooked, from this host", 113, sll(4, 0x0800, &p), None),
        (
            "cooked, VLAN",
            113,
            sll(0, 0x8100, &join(&[&[0, 7, 8, 0], &p])),
            Some("VLAN 7"),
        ),
        ("cooked 2", 276, sll2(0, 0x0800, &p), None),
        (
            "cooked 2, from this host",
            276,
            sll2(4, 0x86dd, &ipv6(6, &tcp6())),
            None,
        ),
        (
            "loopback, little-endian",
            0,
            join(&[&[2, 0, 0, 0], &p]),
            None,
        ),
        ("loopback, big-endian", 0, join(&[&[0, 0, 0, 2], &p]), None),
        (
            "loopback, OpenBSD",
            108,
            join(&[&[0, 0, 0, 24], &ipv6(6, &tcp6())]),
            None,
        ),
        (
            "loopback, FreeBSD IPv6",
            0,
            join(&[&[28, 0, 0, 0], &ipv6(6, &tcp6())]),
            None,
        ),
        (
            "loopback, Darwin IPv6",
            0,
            join(&[&[30, 0, 0, 0], &ipv6(6, &tcp6())]),
            None,
        ),
        (
            "loopback, Windows IPv6",
            0,
            join(&[&[23, 0, 0, 0], &ipv6(6, &tcp6())]),
            None,
        ),
        ("raw", 101, p.clone(), None),
        ("raw, old number", 12, ipv6(6, &tcp6()), None),
        ("raw, OpenBSD", 14, p.clone(), None),
        ("raw IPv4", 228, p.clone(), None),
        ("raw IPv6", 229, ipv6(6, &tcp6()), None),
        ("PPP", 9, join(&[&[0xff, 3, 0, 0x21], &p]), None),
        ("PPP without framing", 9, join(&[&[0, 0x21], &p]), None),
        (
            "PPP with a short protocol field",
            9,
            join(&[&[0x21], &p]),
            None,
        ),
        (
            "PPP multilink, whole",
            9,
            join(&[&[0xff, 3, 0, 0x3d, 0xc0, 0, 0, 7, 0, 0x21], &p]),
            None,
        ),
        (
            "PPP in HDLC",
            50,
            join(&[&[0xff, 3, 0, 0x57], &ipv6(6, &tcp6())]),
            None,
        ),
        (
            "PPP with direction",
            204,
            join(&[&[1, 0xff, 3, 0, 0x21], &p]),
            None,
        ),
        (
            "PPPoE",
            1,
            eth(
                0x8864,
                &join(&[
                    &[0x11, 0, 0, 5],
                    &(2 + p.len() as u16).to_be_bytes(),
                    &[0, 0x21],
                    &p,
                    &[0; 4],
                ]),
            ),
            Some("PPPoE 5"),
        ),
        ("Cisco HDLC", 104, join(&[&[0x0f, 0, 8, 0], &p]), None),
        (
            "PPP on an HDLC interface",
            104,
            join(&[&[0xff, 3, 0, 0x21], &p]),
            None,
        ),
        (
            "Cisco HDLC with direction",
            205,
            join(&[&[1, 0x0f, 0, 8, 0], &p]),
            None,
        ),
        (
            "frame relay with direction",
            206,
            join(&[&[0, 0x18, 0x41, 3, 0xcc], &p]),
            None,
        ),
        (
            "multilink frame relay, whole",
            182,
            join(&[&[0xc1, 7, 0x18, 0x41, 3, 0xcc], &p]),
            None,
        ),
        (
            "frame relay",
            107,
            join(&[&[0x18, 0x41, 3, 0xcc], &p]),
            None,
        ),
        (
            "frame relay, SNAP",
            107,
            join(&[&[0x18, 0x41, 3, 0, 0x80, 0, 0, 0, 8, 0], &p]),
            None,
        ),
        (
            "frame relay, Cisco",
            107,
            join(&[&[0x18, 0x41, 8, 0], &p]),
            None,
        ),
        (
            "MPLS",
            1,
            eth(0x8847, &join(&[&[0, 1, 0, 64, 0, 2, 1, 64], &p])),
            None,
        ),
        (
            "MPLS, IPv6",
            1,
            eth(0x8847, &join(&[&[0, 2, 1, 64], &ipv6(6, &tcp6())])),
            None,
        ),
        (
            "pseudowire with control word",
            1,
            eth(0x8847, &join(&[&[0, 2, 1, 64, 0, 0, 0, 0], &f])),
            None,
        ),
        (
            "pseudowire without control word",
            1,
            eth(0x8847, &join(&[&[0, 2, 1, 64], &f])),
            None,
        ),
        (
            "pseudowire to an address that begins with 4",
            1,
            eth(0x8847, &join(&[&[0, 2, 1, 64, 0x40], &f[1..]])),
            None,
        ),
        ("802.11", 105, dot11([0x08, 0x02], &llc(&p)), None),
        (
            "802.11 with quality of service",
            105,
            dot11([0x88, 0x01], &join(&[&[0, 0], &llc(&p)])),
            None,
        ),
        (
            "802.11 between access points",
            105,
            dot11([0x08, 0x03], &join(&[&[2, 0, 0, 0, 0, 9], &llc(&p)])),
            None,
        ),
        (
            "802.11 aggregate",
            105,
            dot11(
                [0x88, 0x02],
                &join(&[
                    &[0x80, 0],
                    &MACS,
                    &(8 + p.len() as u16).to_be_bytes(),
                    &llc(&p),
                ]),
            ),
            None,
        ),
        (
            "radiotap",
            127,
            join(&[&[0, 0, 8, 0, 0, 0, 0, 0], &dot11([0x08, 0x02], &llc(&p))]),
            None,
        ),
        (
            "radiotap with flags: check sequence and padding",
            127,
            join(&[
                &[0, 0, 17, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x30],
                &dot11(
                    [0x88, 0x02],
                    &join(&[&[0, 0, 0, 0], &llc(&p), &[1, 2, 3, 4]]),
                ),
            ]),
            None,
        ),
        (
            "Prism",
            119,
            join(&[
                &[0x44, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0],
                &dot11([0x08, 0x02], &llc(&p)),
            ]),
            None,
        ),
        (
            "AVS",
            119,
            join(&[
                &[0x80, 0x21, 0x10, 1, 0, 0, 0, 12, 0, 0, 0, 0],
                &dot11([0x08, 0x02], &llc(&p)),
            ]),
            None,
        ),
        (
            "PPI",
            192,
            join(&[&[0, 0, 8, 0, 105, 0, 0, 0], &dot11([0x08, 0x02], &llc(&p))]),
            None,
        ),
        (
            "token ring with a route",
            6,
            join(&[
                &[0x10, 0x40],
                &MACS[..6],
                &[0x82, 0, 0, 0, 0, 1],
                &[4, 0, 1, 2],
                &llc(&p),
            ]),
            None,
        ),
        ("FDDI", 10, join(&[&[0x50], &MACS, &llc(&p)]), None),
        ("netANALYZER", 240, join(&[&[0; 4], &f]), None),
        ("netANALYZER, transparent", 241, join(&[&[0; 12], &f]), None),
        (
            "NFLOG",
            239,
            join(&[
                &[2, 0, 0, 0, 8, 0, 1, 0, 0, 0, 0, 0],
                &(4 + p.len() as u16).to_le_bytes(),
                &[9, 0],
                &p,
            ]),
            None,
        ),
        (
            "pktap",
            258,
            join(&[&[16, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0], &[0; 4], &f]),
            None,
        ),
        (
            "IP over IEEE 1394",
            138,
            join(&[&[0; 16], &[8, 0], &p]),
            None,
        ),
        ("pflog", 117, join(&[&[61, 2, 0, 0], &[0; 60], &p]), None),
        (
            "IPv4 options",
            1,
            {
                let mut o = join(&[&p[..20], &[7, 7, 4, 0, 0, 0, 0, 0], &p[20..]]);
                o[0] = 0x47;
                let total = o.len() as u16;
                o[2..4].copy_from_slice(&total.to_be_bytes());
                eth(0x0800, &o)
            },
            None,
        ),
        (
            "IPv6 extension headers",
            1,
            eth(
                0x86dd,
                &ipv6(
                    0,
                    &join(&[&ext(60), &ext(43), &[6, 0, 4, 0, 0, 0, 0, 0], &tcp6()]),
                ),
            ),
            None,
        ),
        (
            "IPv6 atomic fragment",
            1,
            eth(
                0x86dd,
                &ipv6(44, &join(&[&[6, 0, 0, 0, 0, 0, 0, 9], &tcp6()])),
            ),
            None,
        ),
        (
            "authentication header",
            1,
            eth(
                0x0800,
                &ipv4(
                    51,
                    &join(&[&[6, 4, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1], &[0; 12], &tcp4()]),
                ),
            ),
            None,
        ),
        ("IP-in-IP", 1, eth(0x0800, &ipv4(4, &p)), Some("IP-in-IP")),
        (
            "6in4",
            1,
            eth(0x0800, &ipv4(41, &ipv6(6, &tcp6()))),
            Some("6in4"),
        ),
        (
            "EtherIP",
            1,
            eth(0x0800, &ipv4(97, &join(&[&[0x30, 0], &f]))),
            None,
        ),
        (
            "MPLS in IP",
            1,
            eth(0x0800, &ipv4(137, &join(&[&[0, 1, 1, 64], &p]))),
            None,
        ),
        ("GRE", 1, gre(&[0, 0, 8, 0], &p), Some("GRE")),
        (
            "GRE with all fields",
            1,
            gre(&[0xb0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1], &p),
            Some("GRE 7"),
        ),
        (
            "GRE with Ethernet inside",
            1,
            gre(&[0, 0, 0x65, 0x58], &f),
            Some("GRE"),
        ),
        (
            "PPTP",
            1,
            gre(
                &[0x30, 0x81, 0x88, 0x0b, 0, 9, 0, 9, 0, 0, 0, 1, 0, 0, 0, 1],
                &join(&[&[0xff, 3, 0, 0x21], &p]),
            ),
            Some("GRE"),
        ),
        (
            "Aruba",
            1,
            gre(
                &[0, 0, 0x82, 0],
                &dot11([0x88, 0x01], &join(&[&[0, 0], &llc(&p)])),
            ),
            Some("GRE"),
        ),
        (
            "WCCP",
            1,
            gre(&[0, 0, 0x88, 0x3e], &join(&[&[0, 0, 0, 0], &p])),
            Some("GRE"),
        ),
        (
            "ERSPAN I",
            1,
            gre(&[0, 0, 0x88, 0xbe], &f),
            Some("ERSPAN 0"),
        ),
        (
            "ERSPAN II",
            1,
            gre(
                &[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 0, 0, 7, 0, 0, 0, 0],
                &f,
            ),
            Some("ERSPAN 7"),
        ),
        (
            "ERSPAN III",
            1,
            gre(
                &[
                    0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0,
                ],
                &f,
            ),
            Some("ERSPAN 8"),
        ),
        (
            "ERSPAN III with subheader",
            1,
            gre(
                &[
                    0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0,
                    0, 0, 0, 0, 0, 0,
                ],
                &f,
            ),
            Some("ERSPAN 8"),
        ),
        (
            "VXLAN",
            1,
            in_udp(4789, &join(&[&[8, 0, 0, 0, 0, 0, 42, 0], &f])),
            Some("VXLAN 42"),
        ),
        (
            "VXLAN on Linux's port, VLAN inside",
            1,
            in_udp(8472, &join(&[&[8, 0, 0, 0, 0, 0, 42, 0], &vlans(&[7])])),
            Some("VXLAN 42 / VLAN 7"),
        ),
        (
            "GENEVE with options",
            1,
            in_udp(
                6081,
                &join(&[&[1, 0, 0x65, 0x58, 0, 0, 9, 0, 1, 2, 3, 0], &f]),
            ),
            Some("GENEVE 9"),
        ),
        (
            "GENEVE with IP inside",
            1,
            in_udp(6081, &join(&[&[0, 0, 8, 0, 0, 0, 9, 0], &p])),
            Some("GENEVE 9"),
        ),
        (
            "GTP-U",
            1,
            in_udp(2152, &join(&[&[0x30, 255, 0, 0, 0, 0, 0, 5], &p])),
            Some("GTP-U"),
        ),
        (
            "GTP-U with an extension header",
            1,
            in_udp(
                2152,
                &join(&[
                    &[0x34, 255, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0x85, 1, 0, 9, 0],
                    &p,
                ]),
            ),
            Some("GTP-U"),
        ),
        ("Teredo", 1, in_udp(3544, &ipv6(6, &tcp6())), Some("Teredo")),
        (
            "Teredo with both indicators",
            1,
            in_udp(
                3544,
                &join(&[
                    &[0, 1, 0, 0],
                    &[0; 9],
                    &[0, 0, 1, 2, 3, 4, 5, 6],
                    &ipv6(6, &tcp6()),
                ]),
            ),
            Some("Teredo"),
        ),
    ]
}

#[test]
fn every_kind_of_frame_shows_its_segment() {
    for (name, link, octets, encapsulation) in kinds() {
        let got = decode(link, &[octets]);
        assert_eq!(got.reasons(), Vec::<String>::new(), "{name}");
        assert_eq!(got.payloads(), [DATA], "{name}");
        let s = &got.batch.segments[0];
        assert_eq!(
            got.decoder
                .encapsulation_name(s.key.encapsulation)
                .as_deref(),
            encapsulation,
            "{name}"
        );
        assert_eq!(s.checksum, Checksum::Good, "{name}");
        assert_eq!(s.payload_octets as usize, DATA.len(), "{name}");
        assert_eq!((s.seq, s.ack), (SeqNum(0xffff_fff0), SeqNum(77)), "{name}");
        assert!(s.from_first, "{name}");
        assert_eq!(s.key.ports, [PORTS.0, PORTS.1], "{name}");
    }
}

#[test]
fn headers_end_where_payload_begins() {
    for (name, link, octets, _) in kinds() {
        let payload = octets.windows(DATA.len()).position(|w| w == DATA).unwrap();
        let whole = header_octets(LinkType(link), &octets, octets.len());
        if name.contains("aggregate") {
            assert!(whole <= payload, "{name}: {whole} of {payload}");
        } else {
            assert_eq!(whole, payload, "{name}");
        }
        for cut in 0..octets.len() {
            let kept = header_octets(LinkType(link), &octets[..cut], octets.len());
            assert!(kept <= cut.min(payload), "{name} cut at {cut}");
        }
    }
    let tcp = tcp4();
    let first = eth(0x0800, &ipv4_with(6, 1, 0x2000, &tcp[..24]));
    let later = eth(0x0800, &ipv4_with(6, 1, 3, &tcp[24..]));
    let query = eth(0x0800, &ipv4(17, &udp(53, b"a question")));
    let error = [&[3, 4, 0, 0, 0, 0, 5, 0][..], &ipv4(6, &tcp)].concat();
    let error = eth(0x0800, &ipv4(1, &error));
    for (name, octets, want) in [
        ("first piece of a datagram", first, 54),
        ("later piece", later, 34),
        ("UDP", query, 42),
        ("ICMP error", error, 14 + 20 + 8 + 20 + 8),
        ("ARP", eth(0x0806, &[0; 46]), 14),
        ("nothing", Vec::new(), 0),
    ] {
        let got = header_octets(LinkType(1), &octets, octets.len());
        assert_eq!(got, want, "{name}");
    }
    assert_eq!(header_octets(LinkType(147), &[1; 60], 60), 0);
}

#[test]
fn what_the_link_layer_says_of_hosts() {
    let source = MacAddr([2, 0, 0, 0, 0, 1]);
    let destination = MacAddr([2, 0, 0, 0, 0, 2]);
    let other = MacAddr([2, 0, 0, 0, 0, 3]);
    let none = MacAddr::default();
    for (want, macs, outgoing) in [
        ("Ethernet", [source, destination], None),
        ("cooked, to this host", [source, none], Some(false)),
        ("cooked, from this host", [source, none], Some(true)),
        ("cooked 2, from this host", [source, none], Some(true)),
        ("PPP with direction", [none, none], Some(true)),
        ("raw", [none, none], None),
        ("802.11", [other, destination], None),
        ("802.11 with quality of service", [source, other], None),
        ("802.11 aggregate", [source, destination], None),
    ] {
        let (name, link, octets, _) = kinds().into_iter().find(|k| k.0 == want).unwrap();
        let got = decode(link, &[octets]);
        assert_eq!(got.batch.segments[0].macs, macs, "{name}");
        assert_eq!(got.batch.segments[0].outgoing, outgoing, "{name}");
    }
}

#[test]
fn frames_cut_at_any_octet() {
    for (name, link, octets, _) in kinds() {
        let mut seen = false;
        for cut in 0..octets.len() {
            let got = decode_cut(link, &[(octets[..cut].to_vec(), octets.len())]);
            assert_eq!(got.decoder.truncated_frames(), 1, "{name} cut at {cut}");
            let segments = got.batch.segments.len();
            let other = got.decoder.other_packets();
            let counted = got
                .decoder
                .undecoded()
                .iter()
                .map(|u| u.frames)
                .sum::<u64>()
                + other.udp
                + other.ip
                + other.link;
            assert_eq!(segments as u64 + counted, 1, "{name} cut at {cut}");
            // Once the header is there, it stays there; and the length is that of the wire.
            assert!(!seen || segments == 1, "{name} cut at {cut}");
            seen = segments == 1;
            if let Some(s) = got.batch.segments.first() {
                assert_eq!(s.payload_octets as usize, DATA.len(), "{name} cut at {cut}");
                let captured = got.batch.payload(s);
                assert_eq!(captured, &DATA[..captured.len()], "{name} cut at {cut}");
                if captured.len() < DATA.len() {
                    assert_eq!(s.checksum, Checksum::Unchecked, "{name} cut at {cut}");
                }
            }
        }
        assert!(seen, "{name}");
    }
}

#[test]
fn any_octet_may_lie() {
    for (_, link, octets, _) in kinds() {
        for at in 0..octets.len() {
            for lie in [0, 1, 0x7f, 0x80, 0xff, octets[at] ^ 1] {
                let mut lying = octets.clone();
                lying[at] = lie;
                let got = decode(link, &[lying.clone()]);
                for s in &got.batch.segments {
                    assert!(got.batch.payload(s).len() <= s.payload_octets as usize);
                }
                if let Some(next) = lying.get_mut(at + 1) {
                    *next = lie;
                    decode(link, &[lying]);
                }
            }
        }
    }
}

#[test]
fn lengths() {
    let tso = |mut f: Vec<u8>| {
        f[16..18].copy_from_slice(&[0, 0]);
        f
    };
    let with_total = |total: u16| {
        let mut f = frame();
        f[16..18].copy_from_slice(&total.to_be_bytes());
        f
    };
    let total = packet().len();
    let ts = [1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2];
    let with_options = eth(
        0x0800,
        &ipv4(6, &with_checksum(tcp_bare(&ts, DATA), &CLIENT, &SERVER)),
    );
    let wire = frame().len();
    for (name, octets, wire, want, captured, checksum) in [
        (
            "padding is no payload",
            join(&[&frame(), &[0; 9]]),
            wire + 9,
            DATA.len(),
            DATA.len(),
            Checksum::Good,
        ),
        (
            "send offload leaves total length 0",
            tso(frame()),
            wire,
            DATA.len(),
            DATA.len(),
            Checksum::Good,
        ),
        (
            "payload cut",
            frame()[..wire - 5].to_vec(),
            wire,
            DATA.len(),
            DATA.len() - 5,
            Checksum::Unchecked,
        ),
        (
            "cut by a tool that forgot the length",
            frame()[..wire - 5].to_vec(),
            wire - 5,
            DATA.len(),
            DATA.len() - 5,
            Checksum::Unchecked,
        ),
        (
            "options cut",
            with_options[..14 + 20 + 25].to_vec(),
            wire + 12,
            DATA.len(),
            0,
            Checksum::Unchecked,
        ),
        (
            "options gone",
            with_options[..14 + 20 + 20].to_vec(),
            wire + 12,
            DATA.len(),
            0,
            Checksum::Unchecked,
        ),
        (
            "IP says less",
            with_total(total as u16 - 4),
            wire,
            DATA.len() - 4,
            DATA.len() - 4,
            Checksum::Wrong,
        ),
        (
            "IP says much more",
            with_total(0xffff),
            wire,
            65_535 - 40,
            DATA.len(),
            Checksum::Unchecked,
        ),
    ] {
        let got = decode_cut(1, &[(octets, wire)]);
        assert_eq!(got.batch.segments.len(), 1, "{name}");
        let s = &got.batch.segments[0];
        assert_eq!(s.payload_octets as usize, want, "{name}");
        assert_eq!(got.batch.payload(s), &DATA[..captured], "{name}");
        assert_eq!(s.checksum, checksum, "{name}");
    }
}

#[test]
fn states_of_the_checksum_field() {
    let length = tcp4().len() as u32;
    // Words of the payload chosen so that the right sum is 0.
    let zero_sum = {
        let mut data = DATA.to_vec();
        data.resize(28, 0);
        let mut tcp = tcp_bare(&[], &data);
        let at = tcp.len() - 2;
        tcp[at..].copy_from_slice(&[0, 0]);
        let left = !ones(&[&pseudo(&CLIENT, &SERVER, tcp.len() as u32), &tcp]);
        tcp[at..].copy_from_slice(&left.to_be_bytes());
        tcp
    };
    let with_field = |mut tcp: Vec<u8>, field: u16| {
        tcp[16..18].copy_from_slice(&field.to_be_bytes());
        tcp
    };
    let partial = ones(&[&pseudo(&CLIENT, &SERVER, length)]);
    let lso = ones(&[&pseudo(&CLIENT, &SERVER, 0)]);
    let source_route = {
        let inner = tcp4();
        let mut ip = join(&[&ipv4(6, &[]), &[131, 7, 8, 10, 0, 0, 1, 0], &inner]);
        ip[0] = 0x47;
        let total = ip.len() as u16;
        ip[2..4].copy_from_slice(&total.to_be_bytes());
        ip
    };
    for (name, ip, want) in [
        ("right", packet(), Checksum::Good),
        (
            "zero and right",
            ipv4(6, &with_field(zero_sum.clone(), 0)),
            Checksum::Good,
        ),
        (
            "all ones for zero",
            ipv4(6, &with_field(zero_sum, 0xffff)),
            Checksum::Good,
        ),
        (
            "pseudo-header with length",
            ipv4(6, &with_field(tcp4(), partial)),
            Checksum::UnfilledPartial,
        ),
        (
            "pseudo-header without length",
            ipv4(6, &with_field(tcp4(), lso)),
            Checksum::UnfilledLso,
        ),
        (
            "the inverted pseudo-header is just wrong",
            ipv4(6, &with_field(tcp4(), !partial)),
            Checksum::Wrong,
        ),
        ("zero", ipv4(6, &with_field(tcp4(), 0)), Checksum::Zero),
        (
            "wrong",
            ipv4(6, &with_field(tcp4(), 0x1234)),
            Checksum::Wrong,
        ),
        ("source route on its way", source_route, Checksum::Unchecked),
    ] {
        let got = decode(1, &[eth(0x0800, &ip)]);
        assert_eq!(got.batch.segments[0].checksum, want, "{name}");
    }
}

#[test]
fn both_directions_have_one_key() {
    let there = decode(1, &[frame()]).batch.segments[0];
    let mut back = frame();
    back[26..30].copy_from_slice(&SERVER);
    back[30..34].copy_from_slice(&CLIENT);
    back[34..36].copy_from_slice(&PORTS.1.to_be_bytes());
    back[36..38].copy_from_slice(&PORTS.0.to_be_bytes());
    let back = decode(1, &[back]).batch.segments[0];
    assert_eq!((there.key, there.hash), (back.key, back.hash));
    assert!(there.from_first && !back.from_first);
    assert_eq!(there.key.endpoint(0).to_string(), "192.0.2.1:40000");
    assert_eq!(there.key.endpoint(1).to_string(), "198.51.100.2:25");
    let mut seen = std::collections::HashSet::new();
    for port in 0..1000u16 {
        let mut other = frame();
        other[34..36].copy_from_slice(&port.to_be_bytes());
        seen.insert(decode(1, &[other]).batch.segments[0].hash);
    }
    assert_eq!(seen.len(), 1000);
}

#[test]
fn options_and_flags_reach_the_segment() {
    let options = [2, 4, 5, 0xb4, 4, 2, 1, 3, 3, 7];
    let mut syn = tcp_bare(&options, &[]);
    syn[13] = 0xc2;
    let ack = tcp_bare(&[1, 1, 5, 10, 0, 0, 0, 1, 0, 0, 0, 9], &[]);
    let got = decode(
        1,
        &[eth(0x0800, &ipv4(6, &syn)), eth(0x0800, &ipv4(6, &ack))],
    );
    let [syn, ack] = got.batch.segments[..] else {
        panic!("{:?}", got.reasons());
    };
    assert_eq!(
        syn.syn,
        SynOptions {
            mss: Some(1460),
            window_scale: Some(7),
            sack_permitted: true
        }
    );
    assert_eq!(syn.option_octets, 12);
    assert!(
        syn.flags.has(TcpFlags::SYN)
            && syn.flags.has(TcpFlags::ECE)
            && !syn.flags.has(TcpFlags::ACK)
    );
    assert_eq!(got.batch.sack_blocks(&ack), [(SeqNum(1), SeqNum(9))]);
    assert_eq!(
        (syn.ip_id, syn.ttl, syn.dont_fragment, syn.window),
        (Some(1234), 64, true, 1000)
    );
}

/// The usual packet in pieces that start at these offsets.
fn pieces(starts: &[usize], id: u16) -> Vec<Vec<u8>> {
    let tcp = tcp4();
    starts
        .iter()
        .enumerate()
        .map(|(i, &start)| {
            let end = starts.get(i + 1).copied().unwrap_or(tcp.len());
            let more = u16::from(end < tcp.len()) << 13;
            eth(
                0x0800,
                &ipv4_with(6, id, more | (start / 8) as u16, &tcp[start..end]),
            )
        })
        .collect()
}

#[test]
fn fragments_come_together() {
    let p = pieces(&[0, 16, 32], 5);
    let q = pieces(&[0, 24], 6);
    let mut false_piece = p[1].clone();
    *false_piece.last_mut().unwrap() ^= 1;
    let v6 = |offset: u16, more: bool, part: &[u8]| {
        let field = offset | u16::from(more);
        eth(
            0x86dd,
            &ipv6(
                44,
                &join(&[&[6, 0], &field.to_be_bytes(), &[0, 0, 0, 9], part]),
            ),
        )
    };
    let six = tcp6();
    let none: &[&str] = &[];
    for (name, frames, at, reasons) in [
        ("in order", p.clone(), vec![3], none),
        (
            "backward",
            vec![p[2].clone(), p[1].clone(), p[0].clone()],
            vec![3],
            none,
        ),
        (
            "a piece twice",
            vec![p[0].clone(), p[1].clone(), p[1].clone(), p[2].clone()],
            vec![4],
            none,
        ),
        (
            "two datagrams at once",
            vec![
                p[0].clone(),
                q[0].clone(),
                p[1].clone(),
                q[1].clone(),
                p[2].clone(),
            ],
            vec![4, 5],
            none,
        ),
        (
            "IPv6",
            vec![v6(0, true, &six[..24]), v6(24, false, &six[24..])],
            vec![2],
            none,
        ),
        (
            "a piece missing",
            vec![p[0].clone(), p[2].clone()],
            vec![],
            &["2 x IP fragment whose other pieces are missing from 1"],
        ),
        (
            "pieces that contradict each other",
            vec![p[0].clone(), p[1].clone(), false_piece, p[2].clone()],
            vec![],
            &[
                "3 x IP fragments that overlap and contradict each other from 1",
                "1 x IP fragment whose other pieces are missing from 4",
            ],
        ),
        (
            "two ends",
            vec![p[0].clone(), p[2].clone(), {
                let mut shorter = p[1].clone();
                shorter[20] &= !0x20;
                shorter
            }],
            vec![],
            &["3 x IP fragments that overlap and contradict each other from 1"],
        ),
        (
            "past any datagram",
            vec![eth(0x0800, &ipv4_with(6, 1, 0x1fff, &[0; 16]))],
            vec![],
            &["1 x IP fragment past the end of any datagram from 1"],
        ),
        (
            "an odd length in the middle",
            vec![eth(0x0800, &ipv4_with(6, 1, 0x2000, &[0; 15]))],
            vec![],
            &["1 x IP fragment of an impossible length from 1"],
        ),
    ] {
        let got = decode(1, &frames);
        let seen: Vec<u64> = got.batch.segments.iter().map(|s| s.frame.0).collect();
        assert_eq!(seen, at, "{name}");
        assert_eq!(got.reasons(), reasons, "{name}");
        for s in &got.batch.segments {
            assert_eq!(got.batch.payload(s), DATA, "{name}");
            assert_eq!(s.checksum, Checksum::Good, "{name}");
        }
    }
}

#[test]
fn fragments_that_overlap_are_told() {
    let p = pieces(&[0, 16, 32], 5);
    let tcp = tcp4();
    let wide = eth(0x0800, &ipv4_with(6, 5, 1 << 13 | 1, &tcp[8..32]));
    for (name, frames, told) in [
        ("beside each other", vec![&p[0], &p[1], &p[2]], false),
        ("one twice", vec![&p[0], &p[0], &p[1], &p[2]], false),
        ("over the edge", vec![&p[0], &wide, &p[2]], true),
    ] {
        let frames: Vec<_> = frames.into_iter().cloned().collect();
        let mut got = decode(1, &frames);
        assert_eq!(got.payloads(), [DATA], "{name}");
        let problems = got.decoder.take_problems();
        assert_eq!(problems.len(), usize::from(told), "{name}: {problems:?}");
        if told {
            assert_eq!(problems[0].frame, Some(FrameNo(2)), "{name}");
            assert!(got.decoder.take_problems().is_empty(), "{name}: once");
        }
    }
}

#[test]
fn link_layers_cut_packets_too() {
    let whole = llc(&packet());
    let radio = |number: u16, more: bool, octets: &[u8]| {
        let mut frame = dot11([0x08, 0x02 | u8::from(more) << 2], octets);
        frame[22..24].copy_from_slice(&(7 << 4 | number).to_le_bytes());
        (105, frame)
    };
    let air = [
        radio(0, true, &whole[..20]),
        radio(1, true, &whole[20..40]),
        radio(2, false, &whole[40..]),
    ];
    let framed = join(&[&[0, 0x21], &packet()]);
    let wire = |number: u8, bits: u8, octets: &[u8]| {
        (
            9,
            join(&[&[0xff, 3, 0, 0x3d, bits, 0xff, 0xff, number], octets]),
        )
    };
    let bundle = [
        wire(0xff, 0x80, &framed[..30]),
        (
            9,
            join(&[&[0xff, 3, 0, 0x3d, 0x40, 0, 0, 0], &framed[30..]]),
        ),
    ];
    let none: &[&str] = &[];
    for (name, frames, at, reasons) in [
        ("802.11", vec![&air[0], &air[1], &air[2]], vec![3], none),
        (
            "802.11, the first again",
            vec![&air[0], &air[0], &air[1], &air[2]],
            vec![4],
            &["1 x 802.11 fragment whose other pieces are missing from 1"],
        ),
        (
            "802.11, one missing",
            vec![&air[0], &air[2]],
            vec![],
            &["2 x 802.11 fragment whose other pieces are missing from 1"],
        ),
        (
            "PPP multilink, over the wrap of its numbers",
            vec![&bundle[0], &bundle[1]],
            vec![2],
            none,
        ),
        (
            "PPP multilink, the end first",
            vec![&bundle[1], &bundle[0]],
            vec![],
            &["2 x PPP multilink fragment whose other pieces are missing from 1"],
        ),
    ] {
        let frames: Vec<(u16, Vec<u8>)> = frames.into_iter().cloned().collect();
        let octets: Vec<Vec<u8>> = frames.iter().map(|f| f.1.clone()).collect();
        let got = decode(frames[0].0, &octets);
        let seen: Vec<u64> = got.batch.segments.iter().map(|s| s.frame.0).collect();
        assert_eq!(seen, at, "{name}");
        assert_eq!(got.reasons(), reasons, "{name}");
        for s in &got.batch.segments {
            assert_eq!(got.batch.payload(s), DATA, "{name}");
            assert_eq!(s.checksum, Checksum::Good, "{name}");
        }
    }
    let (link, first) = radio(0, true, &whole[..60]);
    let got = decode_cut(link, &[(first[..first.len() - 1].to_vec(), first.len())]);
    let captured = 60 - 1 - (whole.len() - DATA.len());
    assert_eq!(
        got.payloads(),
        [&DATA[..captured]],
        "cut by the snap length"
    );
    let flood: Vec<Vec<u8>> = (0..500_u16)
        .map(|n| {
            let mut frame = radio(0, true, &whole[..20]).1;
            frame[22..24].copy_from_slice(&(n << 4).to_le_bytes());
            frame
        })
        .collect();
    let got = decode(105, &flood);
    assert_eq!(
        got.reasons(),
        ["500 x 802.11 fragment whose other pieces are missing from 1"]
    );
}

#[test]
fn a_frame_of_several_packets_counts_once() {
    let cut = pieces(&[0, 16, 32], 5);
    let piece = |n: usize| llc(&cut[n][14..]);
    let other = |id: u16, more: u16, payload: &[u8]| llc(&ipv4_with(17, id, more << 13, payload));
    let arp = join(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 6], &[0; 28]]);
    let whole = llc(&packet());
    let missing = "1 x IP fragment whose other pieces are missing from 1";
    for (name, parts, reasons, others, segments) in [
        ("segments", vec![&whole, &whole], &[][..], 0, 2),
        (
            "pieces of one datagram",
            vec![&piece(0), &piece(1)],
            &[missing],
            0,
            0,
        ),
        (
            "pieces of two datagrams",
            vec![&piece(0), &other(9, 1, &[0; 8])],
            &[missing],
            0,
            0,
        ),
        (
            "a piece before what is no TCP",
            vec![&piece(0), &arp],
            &[],
            1,
            0,
        ),
        (
            "a piece behind what is no TCP",
            vec![&arp, &piece(0)],
            &[],
            1,
            0,
        ),
        (
            "all pieces of a segment",
            vec![&piece(0), &piece(1), &piece(2)],
            &[],
            0,
            1,
        ),
        (
            "all pieces of what is no TCP",
            vec![&other(9, 1, &[0; 8]), &llc(&ipv4_with(17, 9, 1, &[0; 8]))],
            &[],
            1,
            0,
        ),
        (
            "pieces that contradict each other",
            vec![&other(9, 1, &[0; 8]), &other(9, 1, &[1; 8])],
            &["1 x IP fragments that overlap and contradict each other from 1"],
            0,
            0,
        ),
        (
            "a piece before what is cut short",
            vec![&piece(0), &llc(&packet()[..30])],
            &["1 x TCP header cut short from 1"],
            0,
            0,
        ),
    ] {
        let mut body = vec![0x80, 0];
        for part in parts {
            body.resize((body.len() - 2).next_multiple_of(4) + 2, 0);
            body.extend(join(&[&MACS, &(part.len() as u16).to_be_bytes(), part]));
        }
        let got = decode(105, &[dot11([0x88, 0x02], &body)]);
        assert_eq!(got.reasons(), reasons, "{name}");
        let other = got.decoder.other_packets();
        assert_eq!(other.arp + other.udp, others, "{name}");
        assert_eq!(got.batch.segments.len(), segments, "{name}");
    }
}

#[test]
fn a_first_fragment_that_is_cut_shows_its_header() {
    let p = pieces(&[0, 32], 5);
    let got = decode_cut(
        1,
        &[
            (p[0][..14 + 20 + 26].to_vec(), p[0].len()),
            (p[1][..14 + 20 + 2].to_vec(), p[1].len()),
        ],
    );
    assert_eq!(got.payloads(), [&DATA[..6]]);
    assert_eq!(got.batch.segments[0].checksum, Checksum::Unchecked);
    assert_eq!(got.reasons(), ["1 x IP fragment cut short from 2"]);
}

#[test]
fn a_flood_of_fragments_stays_in_its_bounds() {
    let frames: Vec<_> = (0..2000u16)
        .map(|id| eth(0x0800, &ipv4_with(6, id, 0x2000, &tcp4()[..32])))
        .collect();
    let got = decode(1, &frames);
    assert_eq!(
        got.reasons(),
        ["2000 x IP fragment whose other pieces are missing from 1"]
    );
}

#[test]
fn reasons() {
    let vxlan = |inner: &[u8]| {
        eth(
            0x0800,
            &ipv4(17, &udp(4789, &join(&[&[8, 0, 0, 0, 0, 0, 42, 0], inner]))),
        )
    };
    let mut nested = frame();
    for _ in 0..12 {
        nested = vxlan(&nested);
    }
    let mut short_header = frame();
    short_header[46] = 0x40;
    let mut long_header = eth(0x0800, &ipv4(6, &tcp4()[..20]));
    long_header[46] = 0xf0;
    let mut not_ip = packet();
    not_ip[0] = 0x10;
    for (name, link, octets, want) in [
        ("link type", 147, frame(), "link type USER0 is not known"),
        (
            "NetMon event",
            0xffe0,
            vec![1, 2],
            "event record of Network Monitor, no packet",
        ),
        ("nothing", 1, vec![], "Ethernet header cut short"),
        ("IPv4", 1, frame()[..20].to_vec(), "IPv4 header cut short"),
        ("TCP", 1, frame()[..40].to_vec(), "TCP header cut short"),
        ("data offset", 1, short_header, "TCP header length under 20"),
        (
            "data offset past the packet",
            1,
            long_header,
            "TCP header longer than its packet",
        ),
        (
            "no IP",
            101,
            not_ip,
            "neither IPv4 nor IPv6 where IP was expected",
        ),
        ("nested", 1, nested, "more than 32 headers in one frame"),
        ("MACsec", 1, eth(0x88e5, &[0x2c; 60]), "encrypted by MACsec"),
        (
            "802.11 encrypted",
            105,
            dot11([0x08, 0x42], &[0; 40]),
            "802.11 frame is encrypted",
        ),
        (
            "802.11 aggregate of nothing",
            105,
            dot11([0x88, 0x02], &[0x80, 0, 1, 2, 3]),
            "802.11 aggregate cut short",
        ),
        (
            "VJ",
            9,
            vec![0xff, 3, 0, 0x2d, 0, 0],
            "TCP header compressed by PPP (RFC 1144)",
        ),
    ] {
        let got = decode(link, &[octets]);
        assert_eq!(got.reasons(), [format!("1 x {want} from 1")], "{name}");
        assert!(got.batch.segments.is_empty(), "{name}");
    }
}

#[test]
fn many_link_types_share_a_count() {
    let mut tally = reason::Tally::default();
    for n in 0..10_000u16 {
        tally.add(
            reason::Reason::LinkType(0x8000 + n),
            1,
            FrameNo(u64::from(n)),
        );
    }
    assert!(tally.rows().count() < 200);
    assert_eq!(tally.rows().map(|r| r.frames).sum::<u64>(), 10_000);
}

#[test]
fn icmp_errors_name_the_flow_that_they_quote() {
    let quoted = &packet()[..28];
    let too_big = join(&[&[2, 0, 0, 0], &1280u32.to_be_bytes(), &ipv6(6, &tcp6())]);
    let segment = decode(1, &[frame()]).batch.segments[0];
    for (name, octets, want) in [
        (
            "fragmentation needed",
            eth(
                0x0800,
                &ipv4(1, &join(&[&[3, 4, 0, 0, 0, 0, 5, 0], quoted])),
            ),
            Some((3, 4, Some(1280))),
        ),
        (
            "from an old router",
            eth(
                0x0800,
                &ipv4(1, &join(&[&[3, 4, 0, 0, 0, 0, 0, 0], quoted])),
            ),
            Some((3, 4, None)),
        ),
        (
            "port unreachable",
            eth(
                0x0800,
                &ipv4(1, &join(&[&[3, 3, 0, 0, 0, 0, 5, 0], quoted])),
            ),
            Some((3, 3, None)),
        ),
        (
            "packet too big",
            eth(0x86dd, &ipv6(58, &too_big)),
            Some((2, 0, Some(1280))),
        ),
        (
            "echo",
            eth(
                0x0800,
                &ipv4(1, &join(&[&[8, 0, 0, 0, 0, 0, 0, 0], quoted])),
            ),
            None,
        ),
        (
            "quoted UDP",
            eth(
                0x0800,
                &ipv4(
                    1,
                    &join(&[&[3, 3, 0, 0, 0, 0, 0, 0], &ipv4(17, &udp(53, &[]))]),
                ),
            ),
            None,
        ),
        (
            "quotation too short",
            eth(
                0x0800,
                &ipv4(1, &join(&[&[3, 3, 0, 0, 0, 0, 0, 0], &quoted[..27]])),
            ),
            None,
        ),
    ] {
        let got = decode(1, &[octets]);
        assert_eq!(got.decoder.other_packets().icmp, 1, "{name}");
        assert!(got.batch.segments.is_empty(), "{name}");
        let seen = got.batch.notes.first().map(|n| match &n.kind {
            NoteKind::IcmpError {
                icmp_type,
                code,
                mtu,
                key,
                from_first,
                seq,
                family,
                flags,
            } => {
                assert_eq!(*seq, SeqNum(0xffff_fff0), "{name}");
                assert!(*from_first, "{name}");
                // Eight octets of TCP do not reach the control bits; the whole quotation of version 6 does.
                let whole = *family == Family::V6;
                assert_eq!(*flags, whole.then_some(TcpFlags(0x18)), "{name}");
                if *family == Family::V4 {
                    assert_eq!(*key, segment.key, "{name}");
                }
                (*icmp_type, *code, *mtu)
            }
            other => panic!("{name}: {other:?}"),
        });
        assert_eq!(seen, want, "{name}");
    }
}

#[test]
fn dns_notes() {
    let question = |name: &[u8], qtype: u8| join(&[name, &[0, qtype, 0, 1]]);
    let header = |flags: [u8; 2], answers: u8| {
        join(&[&[0x12, 0x34], &flags, &[0, 1, 0, answers, 0, 0, 0, 0]])
    };
    let www = b"\x03www\x07example\x03org\x00";
    let query = join(&[&header([1, 0], 0), &question(www, 1)]);
    let answer = join(&[
        &header([0x81, 0x80], 3),
        &question(www, 1),
        &[0xc0, 12, 0, 5, 0, 1, 0, 0, 0, 9, 0, 2, 0xc0, 12],
        &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 7],
        &[0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 9, 0, 16],
        &addr6(7),
    ]);
    let asked = |name: &str, qtype| NoteKind::DnsQuery {
        id: 0x1234,
        name: name.to_owned(),
        qtype,
    };
    let failed = join(&[&header([0x81, 0x83], 0), &question(www, 1)]);
    let addresses: Vec<IpAddr> = vec!["192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap()];
    let reply = |rcode, addresses| NoteKind::DnsAnswer {
        id: 0x1234,
        rcode,
        name: "www.example.org".to_owned(),
        addresses,
    };
    for (name, message, want) in [
        ("query", query.clone(), Some(asked("www.example.org", 1))),
        ("answer", answer.clone(), Some(reply(0, addresses.clone()))),
        (
            "answer cut in its last record",
            answer[..answer.len() - 3].to_vec(),
            Some(reply(0, addresses[..1].to_vec())),
        ),
        ("no such name", failed, Some(reply(3, vec![]))),
        (
            "hostile text",
            join(&[&header([1, 0], 0), &question(b"\x05a.\x1b[m\x00", 12)]),
            Some(asked("a\\046\\027[m", 12)),
        ),
        (
            "root",
            join(&[&header([1, 0], 0), &question(b"\x00", 2)]),
            Some(asked(".", 2)),
        ),
        (
            "a pointer to itself",
            join(&[&header([1, 0], 0), &question(&[0xc0, 12], 1)]),
            None,
        ),
        (
            "a pointer forward",
            join(&[&header([1, 0], 0), &question(&[0xc0, 20], 1), &[0; 8]]),
            None,
        ),
        (
            "two pointers in a ring",
            join(&[&header([1, 0], 0), &question(&[1, b'a', 0xc0, 12], 1)]),
            None,
        ),
        (
            "a name too long",
            join(&[
                &header([1, 0], 0),
                &question(&join(&[&[63; 64 * 5], &[0]]), 1),
            ]),
            None,
        ),
        ("cut", query[..20].to_vec(), None),
    ] {
        let got = decode(1, &[eth(0x0800, &ipv4(17, &udp(53, &message)))]);
        assert_eq!(
            got.batch.notes.first().map(|n| &n.kind),
            want.as_ref(),
            "{name}"
        );
        assert_eq!(got.decoder.other_packets().udp, 1, "{name}");
        for cut in 0..message.len() {
            dns::message(&message[..cut]);
        }
    }
}

#[test]
fn segments_longer_than_their_frame_are_told() {
    let whole = frame();
    let header = whole.len() - DATA.len();
    for (name, captured, wire, want) in [
        ("whole", whole.len(), whole.len(), vec![]),
        ("cut by the snap length", header + 5, whole.len(), vec![]),
        (
            "cut by a tool that wrote the length of what was left",
            header + 5,
            header + 5,
            vec![(0, 5)],
        ),
        (
            "cut so inside the options or before the payload",
            header,
            header,
            vec![(0, 0)],
        ),
    ] {
        let got = decode_cut(1, &[(whole[..captured].to_vec(), wire)]);
        assert_eq!(
            got.batch.segments[0].payload_octets as usize,
            DATA.len(),
            "{name}"
        );
        assert_eq!(got.batch.overlong, want, "{name}");
    }
}

#[test]
fn buffers_go_round() {
    let mut decoder = Decoder::new(3);
    let mut input = FrameBatch {
        octets: Octets::Owned(frame()),
        frames: vec![Frame {
            number: FrameNo(1),
            time: Timestamp(0),
            range: 0..frame().len(),
            wire_octets: frame().len() as u32,
            link: LinkType(1),
        }],
    };
    let mut out = SegmentBatch {
        octets: Octets::Owned(Vec::with_capacity(9999)),
        ..SegmentBatch::default()
    };
    decoder.push(&mut input, &mut out);
    assert_eq!((out.capture, out.segments.len()), (3, 1));
    assert!(input.frames.is_empty());
    assert!(matches!(&input.octets, Octets::Owned(v) if v.capacity() >= 9999));
    decoder.push(&mut input, &mut out);
    assert!(out.segments.is_empty());
}
