//! Other addresses in place of those in the headers of a frame.
//!
//! Takes:  the headers of one frame, as far as [`header_octets`](super::header_octets) says
//! Gives:  the same with other addresses; each checksum that covers them is as right, as wrong or as unfinished as it was (RFC 1624)
//! Never:  lets an address through: of layers that it does not know it gives nothing

use std::iter::successors;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::checksum::{fold, sum};
use super::encapsulation::Encapsulations;
use super::headers::{self, MAX_DEPTH, UDP_OR_ICMP, step};
use super::ip::protocol;
use super::step::{Packet, Proto};
use super::tunnel;
use super::view::View;
use crate::capture::LinkType;
use crate::net::Family;

/// Says what stands for an address.
pub trait Mask {
    /// For one of IP.
    fn ip(&mut self, addr: IpAddr) -> IpAddr;
    /// For one of hardware.
    fn mac(&mut self, addr: [u8; 6]) -> [u8; 6];
}

/// The headers with other addresses; `None` where a layer is met whose addresses are not known, and where they would be read as other
/// layers then: what lies under MPLS is guessed from octets that may be addresses.
pub fn masked(
    link: LinkType,
    headers: &[u8],
    wire_octets: usize,
    mask: &mut dyn Mask,
) -> Option<Vec<u8>> {
    let mut out = headers.to_vec();
    let mut packet = Packet::unknown();
    let mut around = Encapsulations::default();
    let mut proto = Proto::Link(link.0);
    let mut view = View::new(headers, 0, wire_octets);
    let mut change = Change::default();
    let mut seen = Vec::new();
    for _ in 0..MAX_DEPTH {
        let here = headers::place(view);
        seen.push((proto, here));
        match proto {
            Proto::Link(number) => macs_of_link(number, &mut out, here, mask)?,
            Proto::Dot11 | Proto::Dot11Padded => dot11(&mut out, here, mask),
            Proto::Ipv4 => change = ipv4(&mut out, here, mask),
            Proto::Ipv6 => change = ipv6(&mut out, here, mask),
            Proto::Transport(number) => {
                transport(
                    &mut out,
                    here,
                    number,
                    view.wire,
                    packet.ip.family,
                    change,
                    mask,
                );
            }
            _ => {}
        }
        match step(proto, view, &mut packet, &mut around) {
            Ok((next, behind)) => {
                // What covers a tunnel's contents cannot be kept: 0 says that there is no checksum (RFC 768, RFC 6935).
                if proto == Proto::Transport(protocol::UDP) {
                    put(&mut out, here + 6, &[0, 0]);
                }
                (proto, view) = (next, behind);
            }
            Err(_) => return (layers(link, &out, wire_octets) == seen).then_some(out),
        }
    }
    None
}

/// The layers of a frame from the outside in, and where each begins.
fn layers(link: LinkType, headers: &[u8], wire_octets: usize) -> Vec<(Proto, usize)> {
    let mut packet = Packet::unknown();
    let mut around = Encapsulations::default();
    let first = (Proto::Link(link.0), View::new(headers, 0, wire_octets));
    successors(Some(first), |&(proto, view)| {
        step(proto, view, &mut packet, &mut around).ok()
    })
    .take(MAX_DEPTH as usize)
    .map(|(proto, view)| (proto, headers::place(view)))
    .collect()
}

/// What became of the sum of both addresses of an IP header.
#[derive(Clone, Copy, Default)]
struct Change {
    before: u32,
    by: u32,
}

impl Change {
    fn add(&mut self, old: &[u8], new: &[u8]) {
        self.before = plus(self.before, word(old));
        self.by = plus(self.by, difference(old, new));
    }
}

fn put(out: &mut [u8], at: usize, new: &[u8]) {
    for (to, from) in out.iter_mut().skip(at).zip(new) {
        *to = *from;
    }
}

fn array<const N: usize>(out: &[u8], at: usize) -> Option<[u8; N]> {
    out.get(at..)?.first_chunk().copied()
}

fn mac(out: &mut [u8], at: usize, mask: &mut dyn Mask) {
    if let Some(old) = array(out, at) {
        put(out, at, &mask.mac(old));
    } else {
        // A piece of one is one too.
        out.iter_mut().skip(at).for_each(|o| *o = 0);
    }
}

/// `None` for link layers whose addresses are not known.
fn macs_of_link(number: u16, out: &mut [u8], here: usize, mask: &mut dyn Mask) -> Option<()> {
    match number {
        1 => {
            mac(out, here, mask);
            mac(out, here + 6, mask);
        }
        // Linux cooked, both versions: the address has eight octets of room.
        113 | 276 => {
            let at = here + if number == 113 { 6 } else { 12 };
            mac(out, at, mask);
            put(out, at + 6, &[0, 0]);
        }
        // Loopback, PPP, HDLC, and IP with nothing before it; 802.11 is looked at as a layer of its own.
        0 | 9 | 12 | 14 | 50 | 51 | 101 | 104 | 105 | 108 | 119 | 127 | 163 | 228 | 229 => {}
        _ => return None,
    }
    Some(())
}

/// Three addresses, and a fourth on the way from one access point to another (IEEE 802.11 table 9-30).
fn dot11(out: &mut [u8], here: usize, mask: &mut dyn Mask) {
    const BOTH_WAYS: u8 = 3;
    let four = out
        .get(here + 1)
        .is_some_and(|flags| flags & BOTH_WAYS == BOTH_WAYS);
    for at in [4, 10, 16].into_iter().chain(four.then_some(24)) {
        mac(out, here + at, mask);
    }
}

/// One address of IPv4, which may be cut; gives both.
fn v4(out: &mut [u8], at: usize, mask: &mut dyn Mask) -> Option<([u8; 4], [u8; 4])> {
    let Some(old) = array::<4>(out, at) else {
        out.iter_mut().skip(at).for_each(|o| *o = 0);
        return None;
    };
    let IpAddr::V4(new) = mask.ip(Ipv4Addr::from(old).into()) else {
        return None;
    };
    put(out, at, &new.octets());
    Some((old, new.octets()))
}

/// Both addresses of an IPv4 header, its options gone.
fn ipv4(out: &mut [u8], here: usize, mask: &mut dyn Mask) -> Change {
    let words = out.get(here).map_or(5, |o| usize::from(o & 15));
    let mut change = Change::default();
    for at in [here + 12, here + 16] {
        if let Some((old, new)) = v4(out, at, mask) {
            change.add(&old, &new);
        }
    }
    // Options may hold addresses (record route, source route); 1 is no operation (RFC 791).
    let options = here + 20..here + words * 4;
    let before = out.get(options.clone()).unwrap_or_default().to_vec();
    let nothing = vec![1; before.len()];
    put(out, options.start, &nothing);
    adjust(
        out,
        here + 10,
        plus(change.by, difference(&before, &nothing)),
    );
    change
}

fn ipv6(out: &mut [u8], here: usize, mask: &mut dyn Mask) -> Change {
    let mut change = Change::default();
    for at in [here + 8, here + 24] {
        let Some(old) = array::<16>(out, at) else {
            out.iter_mut().skip(at).for_each(|o| *o = 0);
            continue;
        };
        if let IpAddr::V6(new) = mask.ip(Ipv6Addr::from(old).into()) {
            change.add(&old, &new.octets());
            put(out, at, &new.octets());
        }
    }
    change
}

fn transport(
    out: &mut [u8],
    here: usize,
    number: u8,
    octets: usize,
    family: Family,
    change: Change,
    mask: &mut dyn Mask,
) {
    match number {
        protocol::TCP => {
            let options = tcp_options(out, here);
            let pseudo = plus(change.before, u32::from(protocol::TCP));
            let length = u32::try_from(octets & 0xffff).unwrap_or_default();
            let field = array::<2>(out, here + 16).map(|f| u32::from(u16::from_be_bytes(f)));
            // Unfinished fields, as the checksum's judge knows them, hold the sum itself and not its complement.
            if field == Some(pseudo) || field == Some(plus(pseudo, length)) {
                adjust(out, here + 16, 0xffff - change.by);
            } else {
                adjust(out, here + 16, plus(change.by, options));
            }
        }
        protocol::UDP => {
            adjust(out, here + 6, change.by);
            udp(out, here, mask);
        }
        protocol::ICMP | protocol::ICMPV6 => {
            let inside = icmp(out, here, family, mask);
            let pseudo = if family == Family::V6 { change.by } else { 0 };
            adjust(out, here + 2, plus(pseudo, inside));
        }
        // Extension headers may hold addresses (routing, home address); in options 0 is padding (RFC 8200).
        0 | 43 | 60 => {
            let length = out.get(here + 1).map_or(0, |o| (usize::from(*o) + 1) * 8);
            let nothing = vec![0; length.saturating_sub(4)];
            put(out, here + 4, &nothing);
        }
        _ => {}
    }
}

/// What no address can be in: RFC 9293, 7323, 2018, 2385, 4782, 5482, 5925, 7413; of RFC 8684 all but what adds an address.
fn is_known(kind: u8, value: &[u8]) -> bool {
    const MULTIPATH: u8 = 30;
    const ADD_ADDR: u8 = 3;
    match kind {
        2..=8 | 19 | 27 | 28 | 29 | 34 => true,
        MULTIPATH => value.first().is_some_and(|o| o >> 4 != ADD_ADDR),
        _ => false,
    }
}

/// Puts no-operations in place of options that may hold an address, as those of proxies and balancers do; gives what that changed.
fn tcp_options(out: &mut [u8], here: usize) -> u32 {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    let octets = out.get(here + 12).map_or(0, |o| usize::from(o >> 4) * 4);
    let mut options = out
        .get(here + 20..out.len().min(here + octets))
        .unwrap_or_default()
        .to_vec();
    let before = options.clone();
    let mut at = 0;
    while let Some(&kind) = options.get(at) {
        let length = match kind {
            NO_OPERATION => 1,
            END => 0,
            _ => options.get(at + 1).map_or(0, |&n| usize::from(n)),
        };
        let (of, end) = match options.get(at + 2..at + length) {
            _ if kind == NO_OPERATION => (None, at + 1),
            Some(value) if is_known(kind, value) => (None, at + length),
            Some(_) => (Some(NO_OPERATION), at + length),
            // Behind the end, and behind a length that cannot be, nothing has a meaning.
            None => (Some(kind.min(NO_OPERATION)), options.len()),
        };
        if let Some(of) = of {
            let option = options.get_mut(at..end).unwrap_or_default();
            option.fill(of);
        }
        at = end;
    }
    put(out, here + 20, &options);
    difference(&before, &options)
}

/// Headers of tunnels that may hold addresses or names: Teredo's indicators (RFC 4380 section 5.1.1), GENEVE's options (RFC 8926).
fn udp(out: &mut [u8], here: usize, mask: &mut dyn Mask) {
    const AUTHENTICATION: [u8; 2] = [0, 1];
    const ORIGIN: [u8; 2] = [0, 0];
    let port = |at| array(out, at).map_or(0, u16::from_be_bytes);
    let ports = [port(here), port(here + 2)];
    let mut at = here + UDP_OR_ICMP;
    if tunnel::is_geneve(ports) {
        let octets = out.get(at).map_or(0, |o| usize::from(o & 0x3f) * 4);
        put(out, at + 8, &vec![0; octets]);
    }
    if !tunnel::is_teredo(ports) {
        return;
    }
    if array(out, at) == Some(AUTHENTICATION) {
        let [id, value] = array(out, at + 2).map_or([0; 2], |l: [u8; 2]| l.map(usize::from));
        // Identifier, value, nonce, confirmation.
        put(out, at + 4, &vec![0; id + value + 9]);
        at += 13 + id + value;
    }
    if array(out, at) == Some(ORIGIN) {
        // Inverted, so that no address translator finds it.
        let invert = |out: &mut [u8]| out.iter_mut().skip(at + 4).take(4).for_each(|o| *o = !*o);
        invert(out);
        v4(out, at + 4, mask);
        invert(out);
    }
}

/// The gateway of a redirect and what an error quotes; gives what that changed.
fn icmp(out: &mut [u8], here: usize, family: Family, mask: &mut dyn Mask) -> u32 {
    const REDIRECT: u8 = 5;
    let before = out.get(here..).unwrap_or_default().to_vec();
    if family == Family::V4 && out.get(here) == Some(&REDIRECT) {
        v4(out, here + 4, mask);
    }
    let quoted = here + UDP_OR_ICMP;
    let first = out.get(quoted).copied().unwrap_or_default();
    let behind = match first >> 4 {
        4 => {
            ipv4(out, quoted, mask);
            Some((quoted + usize::from(first & 15) * 4, quoted + 9))
        }
        6 => {
            ipv6(out, quoted, mask);
            Some((quoted + 40, quoted + 6))
        }
        _ => None,
    };
    // Of other protocols, even the first eight octets may hold an address.
    if let Some((behind, protocol)) = behind
        && !matches!(out.get(protocol), Some(&(protocol::TCP | protocol::UDP)))
    {
        put(out, behind, &[0; 8]);
    }
    difference(&before, out.get(here..).unwrap_or_default())
}

/// One's complement sum of two numbers below 65536, in the order of the network.
const fn plus(a: u32, b: u32) -> u32 {
    let sum = a + b;
    (sum & 0xffff) + (sum >> 16)
}

fn word(octets: &[u8]) -> u32 {
    u32::from(u16::from_be_bytes(fold(sum(octets)).to_ne_bytes()))
}

/// What has to be added to the sum of `old` to get that of `new`.
fn difference(old: &[u8], new: &[u8]) -> u32 {
    plus(word(new), 0xffff - word(old))
}

/// Keeps a checksum as right or as wrong as it was while the sum that it covers changes (RFC 1624).
fn adjust(out: &mut [u8], at: usize, change: u32) {
    let Some(old) = array::<2>(out, at).map(u16::from_be_bytes) else {
        return;
    };
    // 0 stands for none.
    if old == 0 || change == 0 || change == 0xffff {
        return;
    }
    let new = plus(u32::from(old), 0xffff - change);
    let new = if new == 0 { 0xffff } else { new };
    put(out, at, &u16::try_from(new).unwrap_or(0xffff).to_be_bytes());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::capture::{Frame, FrameBatch, Octets};
    use crate::decode::{Checksum, Decoder, SegmentBatch};
    use crate::net::{FrameNo, Timestamp};

    struct Other;

    impl Mask for Other {
        fn ip(&mut self, addr: IpAddr) -> IpAddr {
            match addr {
                IpAddr::V4(a) => Ipv4Addr::from_bits(a.to_bits() ^ 0x0101_0101).into(),
                IpAddr::V6(a) => Ipv6Addr::from_bits(a.to_bits() ^ 0x1234_5678_9abc).into(),
            }
        }

        fn mac(&mut self, _: [u8; 6]) -> [u8; 6] {
            [2, 9, 9, 9, 9, 9]
        }
    }

    /// Ethernet, IPv4 with a record-route option, TCP with three octets; `field` makes the checksum from the right one and the
    /// pseudo-header's sum.
    fn frame(field: impl Fn(u32, u32) -> u32) -> Vec<u8> {
        let mut ip = vec![
            0x46, 0, 0, 47, 0, 1, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 7, 7, 4, 192, 0,
        ];
        let check = 0xffff - word(&ip);
        put(&mut ip, 10, &u16::try_from(check).unwrap().to_be_bytes());
        let mut tcp = vec![
            0x9c, 0x40, 0, 25, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0x10, 0, 0, 0, 0, 0, b'a', b'b',
            b'c',
        ];
        let pseudo = plus(plus(word(&ip[12..20]), 6), 23);
        let right = 0xffff - plus(word(&tcp), pseudo);
        put(
            &mut tcp,
            16,
            &u16::try_from(field(right, pseudo)).unwrap().to_be_bytes(),
        );
        [
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 8, 0][..],
            &ip,
            &tcp,
        ]
        .concat()
    }

    fn judged(frame: &[u8]) -> (Checksum, IpAddr) {
        let mut frames = FrameBatch {
            octets: Octets::Owned(frame.to_vec()),
            frames: vec![Frame {
                number: FrameNo(1),
                time: Timestamp(0),
                range: 0..frame.len(),
                wire_octets: frame.len() as u32,
                link: LinkType::ETHERNET,
            }],
        };
        let mut batch = SegmentBatch::default();
        Decoder::new(0).push(&mut frames, &mut batch);
        let segment = batch.segments[0];
        let addr = segment.key.addrs[usize::from(!segment.from_first)];
        (segment.checksum, Ipv6Addr::from(addr).to_canonical())
    }

    #[test]
    fn checksums_stay_what_they_were() {
        for (name, field, want) in [
            (
                "right",
                (|right, _| right) as fn(u32, u32) -> u32,
                Checksum::Good,
            ),
            ("wrong", |right, _| right ^ 0x0101, Checksum::Wrong),
            ("unfinished", |_, pseudo| pseudo, Checksum::UnfilledPartial),
            (
                "unfinished, without length",
                |_, pseudo| plus(pseudo, 0xffff - 23),
                Checksum::UnfilledLso,
            ),
            ("none", |_, _| 0, Checksum::Zero),
        ] {
            let old = frame(field);
            assert_eq!(judged(&old).0, want, "{name} before");
            let new = masked(LinkType::ETHERNET, &old, old.len(), &mut Other).unwrap();
            assert_eq!(new.len(), old.len());
            let (checksum, from) = judged(&new);
            assert_eq!(checksum, want, "{name}");
            assert_eq!(from, "193.1.3.0".parse::<IpAddr>().unwrap(), "{name}");
            assert_eq!(
                word(&new[14..38]),
                0xffff,
                "{name}: the IP header's own checksum"
            );
            assert_eq!(&new[..12], &[2, 9, 9, 9, 9, 9, 2, 9, 9, 9, 9, 9], "{name}");
            assert_eq!(&new[34..38], &[1; 4], "{name}: options");
        }
    }

    #[test]
    fn nothing_of_an_unknown_layer_and_no_panic() {
        let whole = frame(|right, _| right);
        assert!(masked(LinkType(147), &whole, whole.len(), &mut Other).is_none());
        for cut in 0..whole.len() {
            let new = masked(LinkType::ETHERNET, &whole[..cut], whole.len(), &mut Other).unwrap();
            assert_eq!(new.len(), cut);
            for secret in [&[192, 0, 2, 1][..], &[198, 51, 100, 7], &[1, 2, 3, 4, 5, 6]] {
                assert!(!new.windows(secret.len()).any(|w| w == secret), "{cut}");
            }
        }
    }

    /// An IPv4 packet between two addresses that nothing else here has.
    fn packet(protocol: u8, payload: &[&[u8]]) -> Vec<u8> {
        let payload = payload.concat();
        let total = u8::try_from(20 + payload.len()).unwrap();
        let mut ip = vec![
            0x45, 0, 0, total, 0, 1, 0, 0, 64, protocol, 0, 0, 203, 0, 113, 1, 203, 0, 113, 2,
        ];
        let check = 0xffff - word(&ip);
        put(&mut ip, 10, &u16::try_from(check).unwrap().to_be_bytes());
        ip.extend(payload);
        ip
    }

    #[test]
    fn addresses_in_odd_places() {
        const HOST: [u8; 4] = [192, 0, 2, 77];
        const INVERTED: [u8; 4] = [!192, !0, !2, !77];
        let tcp: &[u8] = &[
            0x9c, 0x40, 0, 25, 0, 0, 0, 1, 0, 0, 0, 1, 0x90, 0x10, 1, 0, 7, 7, 0, 0,
        ];
        let teredo: &[u8] = &[0x0d, 0xd8, 0x0d, 0xd8, 0, 62, 7, 7];
        let v6: &[u8] = &[0x60, 0, 0, 0, 0, 0, 59, 64];
        let within = packet(1, &[&[5, 0, 7, 7], &HOST]);
        for (name, frame, stays) in [
            (
                "the gateway of a redirect",
                packet(1, &[&[5, 0, 7, 7], &HOST]),
                &[5, 0][..],
            ),
            (
                "a redirect that an error quotes",
                packet(1, &[&[3, 1, 7, 7, 0, 0, 0, 0], &within]),
                &[3, 1],
            ),
            (
                "an address that multipath TCP adds",
                packet(6, &[tcp, &[30, 8, 0x30, 1], &HOST, &[1; 8]]),
                tcp.split_at(16).0,
            ),
            (
                "a balancer's option with the client's address",
                packet(6, &[tcp, &[254, 8, 1, 2], &HOST, &[8, 6, 1, 1, 0, 0, 0, 0]]),
                tcp.split_at(16).0,
            ),
            (
                "octets behind the end of the options",
                packet(6, &[tcp, &[1, 0, 1, 8], &HOST, &[1; 8]]),
                tcp.split_at(16).0,
            ),
            (
                "octets behind a length that cannot be",
                packet(6, &[tcp, &[1, 1, 8, 200], &HOST, &[1; 8]]),
                tcp.split_at(16).0,
            ),
            (
                "the client's address at Teredo's server",
                packet(17, &[teredo, &[0, 0, 1, 2], &INVERTED, v6, &[0; 32]]),
                v6,
            ),
            (
                "the same where the packet inside is cut off",
                packet(17, &[teredo, &[0, 0, 1, 2], &INVERTED]),
                teredo.split_at(6).0,
            ),
            (
                "a client's identifier",
                packet(17, &[teredo, &[0, 1, 4, 0], &HOST, &[9; 9], v6, &[0; 32]]),
                v6,
            ),
            (
                "GENEVE's options",
                packet(
                    17,
                    &[
                        &[1, 1, 0x17, 0xc1, 0, 24, 0, 0, 2, 0, 8, 0, 0, 0, 9, 0],
                        &[1, 2, 3, 1],
                        &HOST,
                        &within,
                    ],
                ),
                &[2, 0, 8, 0, 0, 0, 9, 0],
            ),
        ] {
            let new = masked(LinkType(101), &frame, frame.len(), &mut Other).unwrap();
            let holds = |part: &[u8]| new.windows(part.len()).any(|w| w == part);
            assert!(!holds(&HOST) && !holds(&INVERTED), "{name}: {new:02x?}");
            assert!(holds(stays), "{name}: {new:02x?}");
            assert_eq!(new.len(), frame.len(), "{name}");
            assert_eq!(word(&new[..20]), 0xffff, "{name}: the IP header's checksum");
        }
    }

    /// Keeps the first half of hardware addresses.
    struct Half;

    impl Mask for Half {
        fn ip(&mut self, addr: IpAddr) -> IpAddr {
            Other.ip(addr)
        }

        fn mac(&mut self, [a, b, c, ..]: [u8; 6]) -> [u8; 6] {
            [a, b, c, 30, 1, 1]
        }
    }

    #[test]
    fn nothing_of_a_frame_that_would_be_read_as_another() {
        // MPLS in IP, and under it what is taken for Ethernet because the length that IPv4 would have does not fit.
        let under = |first: [u8; 6]| {
            packet(
                137,
                &[&[0, 2, 1, 64], &first, &[2; 6], &[8, 0], &packet(6, &[])],
            )
        };
        for (name, address, kept) in [
            (
                "an address that is nothing else",
                [2, 8, 0, 255, 1, 0],
                true,
            ),
            (
                "one that an IPv4 header could begin with",
                [0x45, 8, 0, 255, 1, 0],
                false,
            ),
        ] {
            let frame = under(address);
            let new = masked(LinkType(101), &frame, frame.len(), &mut Half);
            assert_eq!(new.is_some(), kept, "{name}");
        }
    }

    #[test]
    fn the_fourth_address_of_a_wireless_frame_is_there_between_access_points_alone() {
        let llc: &[u8] = &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0];
        let addresses: &[u8] = &[3; 18];
        for (name, flags, fourth) in [("to one", 1, &[][..]), ("between two", 3, &[3; 6])] {
            let frame = [&[8, flags, 0, 0][..], addresses, &[0, 0], fourth, llc].concat();
            let new = masked(LinkType(105), &frame, frame.len(), &mut Other).unwrap();
            assert!(new.ends_with(llc), "{name}: {new:02x?}");
            assert!(!new.windows(6).any(|w| w == [3; 6]), "{name}");
        }
    }
}
