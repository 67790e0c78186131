//! DNS messages over UDP (RFC 1035), as far as they tell who was looked up.
//!
//! Takes:  the payload of a UDP datagram from or to port 53
//! Gives:  the question, and the addresses in the answer
//! Never:  follows a name pointer forward, so no message can keep it busy

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::NoteKind;

/// Octets of a name (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 255;
/// Answer records looked at.
const MAX_RECORDS: u16 = 64;

/// Reads a query or an answer; `None` where it is neither or breaks off before the end of the question.
pub(super) fn message(octets: &[u8]) -> Option<NoteKind> {
    const RESPONSE: u8 = 0x80;
    const OPCODE: u8 = 0x78;
    let &[i0, i1, high, low, q0, q1, a0, a1, _, _, _, _] = octets.first_chunk::<12>()?;
    if high & OPCODE != 0 || u16::from_be_bytes([q0, q1]) == 0 {
        return None;
    }
    let id = u16::from_be_bytes([i0, i1]);
    let (name, at) = name(octets, 12)?;
    let qtype = be16(octets, at)?;
    be16(octets, at + 2)?;
    if high & RESPONSE == 0 {
        return Some(NoteKind::DnsQuery { id, name, qtype });
    }
    let records = u16::from_be_bytes([a0, a1]).min(MAX_RECORDS);
    let mut addresses = Vec::new();
    let mut at = at + 4;
    for _ in 0..records {
        let Some((address, next)) = record(octets, at) else {
            break;
        };
        addresses.extend(address);
        at = next;
    }
    Some(NoteKind::DnsAnswer {
        id,
        rcode: low & 0x0F,
        name,
        addresses,
    })
}

fn be16(octets: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*octets.get(at..)?.first_chunk()?))
}

/// The address of a record, if it is one, and where the next record starts.
fn record(octets: &[u8], at: usize) -> Option<(Option<IpAddr>, usize)> {
    const IN: u16 = 1;
    let at = skip_name(octets, at)?;
    let (kind, class) = (be16(octets, at)?, be16(octets, at + 2)?);
    let length = usize::from(be16(octets, at + 8)?);
    let data = octets.get(at + 10..)?.get(..length)?;
    let address = match (class, kind, data) {
        (IN, 1, &[a, b, c, d]) => Some(IpAddr::V4(Ipv4Addr::new(a, b, c, d))),
        (IN, 28, data) => data
            .try_into()
            .ok()
            .map(|a: [u8; 16]| IpAddr::V6(Ipv6Addr::from(a))),
        _ => None,
    };
    Some((address, at + 10 + length))
}

/// Where a name ends, without reading it.
fn skip_name(octets: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *octets.get(at)? {
            0 => return Some(at + 1),
            length @ 1..=63 => at += 1 + usize::from(length),
            0xC0.. => return octets.get(at + 1).map(|_| at + 2),
            _ => return None,
        }
    }
}

/// The name at `at` as dotted text, and where it ends. What is not printable ASCII comes out as `\ooo` (RFC 4343 section 2.1
/// in decimal), a dot inside a label too, so that the text has one meaning.
fn name(octets: &[u8], start: usize) -> Option<(String, usize)> {
    let end = skip_name(octets, start)?;
    let mut text = String::new();
    let mut wire_octets = 1;
    let mut at = start;
    let mut before = start;
    loop {
        let length = *octets.get(at)?;
        match length {
            0 => break,
            1..=63 => {
                let label = octets.get(at + 1..)?.get(..usize::from(length))?;
                wire_octets += label.len() + 1;
                if wire_octets > MAX_NAME {
                    return None;
                }
                if !text.is_empty() {
                    text.push('.');
                }
                for &octet in label {
                    if octet.is_ascii_graphic() && octet != b'.' && octet != b'\\' {
                        text.push(char::from(octet));
                    } else {
                        text.push_str(&format!("\\{octet:03}"));
                    }
                }
                at += 1 + label.len();
            }
            0xC0.. => {
                let target = usize::from(be16(octets, at)? & 0x3FFF);
                // Backward only, and each time further back: so it ends.
                if target >= before {
                    return None;
                }
                before = target;
                at = target;
            }
            _ => return None,
        }
    }
    if text.is_empty() {
        text.push('.');
    }
    Some((text, end))
}
