//! Frames of every link type, fragments, tunnels, TCP options.
//!
//! Takes:  octets of headers, behind those that lead to the reader that is meant
//! Gives:  nothing; panics where a promise of the decode stage is broken
//! Never:  keeps anything between inputs

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use tcptriage::capture::{Frame, FrameBatch, LinkType, Octets};

use tcptriage::decode::{Decoder, Mask, Segment, SegmentBatch, header_octets, masked};
use tcptriage::net::{FrameNo, Timestamp};

use super::ops::Ops;

/// Link types that the decode stage reads, and one that it does not.
pub const LINKS: &[u16] = &[
    1, 0, 6, 9, 10, 11, 12, 50, 51, 101, 104, 105, 107, 108, 109, 113, 117, 119, 127, 147, 163,
    192, 204, 219, 228, 229, 239, 240, 241, 274, 276, 138, 149, 182, 205, 206, 258,
];

/// Raw IP.
const RAW: u16 = 101;

/// Decodes frames of (link type, octets, octets on the wire beyond them) and holds the decoder to what it promises.
pub fn decode(frames: &[(u16, Vec<u8>, u32)]) -> (Decoder, SegmentBatch) {
    let (mut octets, mut listed) = (Vec::new(), Vec::new());
    for (n, (link, frame, beyond)) in frames.iter().enumerate() {
        let start = octets.len();
        octets.extend_from_slice(frame);
        listed.push(Frame {
            number: FrameNo(n as u64 + 1),
            time: Timestamp(n as i64 * 1_000_000),
            range: start..octets.len(),
            wire_octets: frame.len() as u32 + beyond,
            link: LinkType(*link),
        });
        let wire = frame.len() + *beyond as usize;
        assert!(header_octets(LinkType(*link), frame, wire) <= frame.len());
    }
    let mut input = FrameBatch {
        octets: Octets::Owned(octets),
        frames: listed,
    };
    let (mut decoder, mut out) = (Decoder::new(0), SegmentBatch::default());
    decoder.push(&mut input, &mut out);
    let mut seen = 0;
    for segment in &out.segments {
        let payload = out.payload(segment);
        assert_eq!(payload.len(), segment.payload.len as usize);
        assert!(payload.len() <= segment.payload_octets as usize);
        let (start, count) = segment.sack;
        assert_eq!(out.sack_blocks(segment).len(), usize::from(count));
        assert!(start as usize + usize::from(count) <= out.sacks.len());
        assert!(
            segment.frame.0 >= seen,
            "segments come in the order of frames"
        );
        seen = segment.frame.0;
        if segment.key.encapsulation != 0 {
            let name = decoder.encapsulation_name(segment.key.encapsulation);
            assert!(name.is_some());
        }
    }
    let counted: u64 = decoder.undecoded().iter().map(|u| u.frames).sum();
    let other = decoder.other_packets();
    let other = other.arp + other.udp + other.icmp + other.ip + other.link;
    assert!(
        counted + other <= frames.len() as u64,
        "no frame counts twice"
    );
    (decoder, out)
}

/// Other addresses that are as easily told from each other. Their first half stays: what lies under MPLS is guessed, and these octets
/// are part of the guess.
struct Inverted;

impl Mask for Inverted {
    fn ip(&mut self, addr: IpAddr) -> IpAddr {
        match addr {
            IpAddr::V4(a) => Ipv4Addr::from_bits(a.to_bits() ^ u32::from(u16::MAX)).into(),
            IpAddr::V6(a) => Ipv6Addr::from_bits(a.to_bits() ^ u128::from(u64::MAX)).into(),
        }
    }

    fn mac(&mut self, [a, b, c, d, e, f]: [u8; 6]) -> [u8; 6] {
        [a, b, c, !d, !e, !f]
    }
}

/// What a diagnosis makes of a segment, whatever its addresses are.
fn shape(segment: &Segment, batch: &SegmentBatch) -> impl PartialEq + std::fmt::Debug + use<> {
    let key = segment.key;
    let from = key.ports[usize::from(!segment.from_first)];
    let to = key.ports[usize::from(segment.from_first)];
    (
        (from, to, key.family, key.encapsulation),
        (segment.seq, segment.ack, segment.flags, segment.window),
        (segment.syn, segment.timestamps, segment.payload_octets),
        batch.sack_blocks(segment).to_vec(),
    )
}

/// Redacted headers are as long, decode to the same, and hold no address.
fn redacted(link: u16, frame: &[u8], beyond: u32) {
    let wire = frame.len() + beyond as usize;
    let headers = &frame[..header_octets(LinkType(link), frame, wire)];
    let Some(other) = masked(LinkType(link), headers, wire, &mut Inverted) else {
        return;
    };
    assert_eq!(other.len(), headers.len());
    let beyond = (wire - headers.len()) as u32;
    let (_, was) = decode(&[(link, headers.to_vec(), beyond)]);
    let (_, is) = decode(&[(link, other.clone(), beyond)]);
    let shapes = |batch: &SegmentBatch| -> Vec<_> {
        batch.segments.iter().map(|s| shape(s, batch)).collect()
    };
    assert_eq!(
        shapes(&was),
        shapes(&is),
        "{headers:02x?} became {other:02x?}"
    );
    for (was, is) in was.segments.iter().zip(&is.segments) {
        let sender = |s: &Segment| s.key.endpoint(usize::from(!s.from_first)).addr;
        assert_eq!(Inverted.ip(sender(was)), sender(is));
    }
}

/// One frame: the first octet picks the link type, the second how much was cut off.
pub fn link(input: &[u8]) {
    let mut ops = Ops(input);
    let link = LINKS[usize::from(ops.small()) % LINKS.len()];
    let beyond = u32::from(ops.small());
    let (decoder, out) = decode(&[(link, ops.0.to_vec(), beyond)]);
    let other = decoder.other_packets();
    let counted = decoder.undecoded().len() as u64
        + (other.arp + other.udp + other.icmp + other.ip + other.link);
    assert!(!out.segments.is_empty() || counted == 1, "a frame counts");
    redacted(link, ops.0, beyond);
}

/// Pieces of IP datagrams: for each a control octet (version, more, cut), identification, offset, length and octets.
pub fn fragments(input: &[u8]) {
    let mut ops = Ops(input);
    let mut frames = Vec::new();
    while let Some(control) = ops.octet() {
        let (id, offset, length) = (ops.small(), ops.small(), usize::from(ops.small()));
        let payload = ops.take(length);
        let more = control & 2 != 0;
        let beyond = if control & 4 != 0 {
            u32::from(control >> 4)
        } else {
            0
        };
        let claimed = payload.len() + beyond as usize;
        let frame = if control & 1 == 0 {
            // Protocol: TCP, or another fragment of IP inside.
            let protocol = if control & 8 == 0 { 6 } else { 4 };
            let field = u16::from(offset) | u16::from(more) << 13;
            ipv4(protocol, u16::from(id), field, claimed, payload)
        } else {
            let field = u16::from(offset) << 3 | u16::from(more);
            let [high, low] = field.to_be_bytes();
            let head = [6, 0, high, low, 0, 0, 0, id];
            ipv6(44, 8 + claimed, &[&head[..], payload].concat())
        };
        frames.push((RAW, frame, beyond));
    }
    decode(&frames);
}

/// Ways into a tunnel: an IP protocol, or a UDP port.
const TUNNELS: &[(u8, u16)] = &[
    (47, 0),
    (4, 0),
    (41, 0),
    (97, 0),
    (137, 0),
    (1, 0),
    (58, 0),
    (51, 0),
    (17, 53),
    (17, 2152),
    (17, 3544),
    (17, 4754),
    (17, 4789),
    (17, 4790),
    (17, 6081),
    (17, 6635),
    (17, 8472),
];

/// What is inside a tunnel: the first octet picks which.
pub fn tunnels(input: &[u8]) {
    let mut ops = Ops(input);
    let (protocol, port) = TUNNELS[usize::from(ops.small()) % TUNNELS.len()];
    let inner = if protocol == 17 {
        let length = (ops.0.len() as u16).saturating_add(8).to_be_bytes();
        let [high, low] = port.to_be_bytes();
        [&[192, 0, high, low, length[0], length[1], 0, 0][..], ops.0].concat()
    } else {
        ops.0.to_vec()
    };
    let frame = match protocol {
        58 => ipv6(58, inner.len(), &inner),
        _ => ipv4(protocol, 1, 0, inner.len(), &inner),
    };
    redacted(RAW, &frame, 0);
    decode(&[(RAW, frame, 0)]);
}

/// TCP options behind an octet of control bits.
pub fn tcp_options(input: &[u8]) {
    let mut ops = Ops(input);
    let flags = ops.small();
    let options = ops.take(40);
    let words = 5 + options.len().div_ceil(4) as u8;
    let mut tcp = vec![0; usize::from(words) * 4];
    tcp[12..14].copy_from_slice(&[words << 4, flags]);
    tcp[20..20 + options.len()].copy_from_slice(options);
    tcp.extend_from_slice(ops.0);
    let frame = ipv4(6, 1, 0, tcp.len(), &tcp);
    redacted(RAW, &frame, 0);
    let (_, out) = decode(&[(RAW, frame, 0)]);
    let segment = out.segments.first().expect("the header is sound");
    assert!(out.sacks.len() <= 4, "forty octets hold four blocks");
    let syn = segment.syn;
    assert!(syn.window_scale.is_none_or(|shift| shift <= 14));
    assert!(
        flags & 2 != 0 || syn == Default::default(),
        "a SYN's options stand in a SYN"
    );
}

/// An IPv4 packet that claims `claimed` octets of payload.
pub fn ipv4(protocol: u8, id: u16, field: u16, claimed: usize, payload: &[u8]) -> Vec<u8> {
    let total = (20 + claimed.min(65_515)) as u16;
    [
        &[0x45, 0][..],
        &total.to_be_bytes(),
        &id.to_be_bytes(),
        &field.to_be_bytes(),
        &[64, protocol, 0, 0, 192, 0, 2, 1, 198, 51, 100, 2],
        payload,
    ]
    .concat()
}

/// The same of version 6.
pub fn ipv6(next: u8, claimed: usize, payload: &[u8]) -> Vec<u8> {
    let length = claimed.min(65_535) as u16;
    let mut addresses = [0; 32];
    addresses[15] = 1;
    addresses[31] = 2;
    [
        &[0x60, 0, 0, 0][..],
        &length.to_be_bytes(),
        &[next, 64],
        &addresses,
        payload,
    ]
    .concat()
}
