//! ICMP and ICMPv6 errors that quote a TCP segment.
//!
//! Takes:  a packet at its ICMP header
//! Gives:  a [`NoteKind::IcmpError`] tied to the flow of the quoted segment
//! Never:  asks for more of the quotation than its first eight octets: all that RFC 792 promises

use super::ip::{self, Behind, protocol};
use super::step::{Packet, Proto};
use super::tcp;
use super::view::View;
use super::{NoteKind, TcpFlags};
use crate::net::{Family, SeqNum};

/// Headers walked through in a quotation.
const MAX_QUOTED: usize = 8;

/// Reads the error; `None` for anything else, and where nothing of TCP is quoted.
pub(super) fn error(packet: &Packet, view: View<'_>) -> Option<NoteKind> {
    let &[icmp_type, code, _, _, r0, r1, r2, r3] = view.head::<8>()?;
    let (is_error, mtu) = match packet.ip.family {
        // Unreachable, source quench, redirect, time exceeded, bad parameter.
        Family::V4 => (
            matches!(icmp_type, 3 | 4 | 5 | 11 | 12),
            // RFC 1191 section 4; older routers leave 0.
            (icmp_type == 3 && code == 4).then(|| u32::from(u16::from_be_bytes([r2, r3]))),
        ),
        Family::V6 => (
            matches!(icmp_type, 1..=4),
            (icmp_type == 2).then(|| u32::from_be_bytes([r0, r1, r2, r3])),
        ),
    };
    if !is_error {
        return None;
    }
    let mut quoted = *packet;
    let mut view = view.skip(8)?;
    let mut proto = Proto::Ip;
    for _ in 0..MAX_QUOTED {
        let behind = match proto {
            Proto::Ip => {
                let (next, at) = ip::either(view).ok()?;
                Behind::Next(next, at)
            }
            Proto::Ipv4 => ip::v4(view, &mut quoted).ok()?,
            Proto::Ipv6 => {
                let (next, at) = ip::v6(view, &mut quoted).ok()?;
                Behind::Next(next, at)
            }
            Proto::Transport(protocol::TCP) => {
                let &[p0, p1, q0, q1, s0, s1, s2, s3] = view.head::<8>()?;
                let ports = [u16::from_be_bytes([p0, p1]), u16::from_be_bytes([q0, q1])];
                let (key, from_first) = tcp::flow_key(&quoted.ip, ports, packet.encapsulation);
                return Some(NoteKind::IcmpError {
                    family: quoted.ip.family,
                    icmp_type,
                    code,
                    mtu: mtu.filter(|&m| m != 0),
                    key,
                    from_first,
                    seq: SeqNum(u32::from_be_bytes([s0, s1, s2, s3])),
                    flags: view.be16(12).map(|bits| TcpFlags(bits & 0x1ff)),
                });
            }
            Proto::Transport(number) => ip::extension(number, view, &mut quoted).ok()??,
            _ => return None,
        };
        (proto, view) = match behind {
            Behind::Next(next, at) => (next, at),
            // The first piece has the TCP header.
            Behind::Fragment(piece, at) if piece.offset == 0 => {
                (Proto::Transport(piece.protocol), at)
            }
            Behind::Fragment(..) => return None,
        };
    }
    None
}
