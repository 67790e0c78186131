//! IEEE 802.11 data frames.
//!
//! Takes:  a frame at its 802.11 header
//! Gives:  the LLC packet in it, or the several of an aggregate (A-MSDU)
//! Never:  decrypts; puts fragments together (that is `pieces`)

use super::link::two_macs;
use super::pieces::{Cutter, Piece};
use super::reason::Reason;
use super::step::{Other, Packet, Stop};
use super::view::View;
use crate::net::MacAddr;

/// Packets looked at in one aggregate.
const MAX_AGGREGATED: usize = 64;

/// What a data frame holds.
pub(super) enum Body<'a> {
    /// One packet behind an LLC header.
    Llc(View<'a>),
    /// Several, each with addresses and a length.
    Aggregate(View<'a>),
    /// A piece of one.
    Piece(Piece, View<'a>),
}

/// Reads the header. `padded`: the body starts at a multiple of four, as some drivers leave it.
pub(super) fn data_frame<'a>(
    view: View<'a>,
    padded: bool,
    packet: &mut Packet,
) -> Result<Body<'a>, Stop> {
    const SHORT: Reason = Reason::Short("802.11 header");
    const DATA: u8 = 2;
    const TO_DS: u8 = 0x01;
    const FROM_DS: u8 = 0x02;
    const MORE_FRAGMENTS: u8 = 0x04;
    const PROTECTED: u8 = 0x40;
    const ORDER: u8 = 0x80;
    const QOS: u8 = 0x80;
    const NO_DATA: u8 = 0x40;
    const AGGREGATE: u8 = 0x80;
    let (control, flags) = match view.octets {
        [control, flags, ..] => (*control, *flags),
        _ => return Err(SHORT.into()),
    };
    if (control >> 2) & 3 != DATA || control & NO_DATA != 0 {
        return Err(Stop::Other(Other::Link));
    }
    if flags & PROTECTED != 0 {
        return Err(Reason::Other("802.11 frame is encrypted").into());
    }
    let mac = |at: usize| -> Option<MacAddr> {
        view.octets
            .get(at..)
            .and_then(|o| o.first_chunk())
            .map(|m| MacAddr(*m))
    };
    let (a1, a2, a3) = (
        mac(4).ok_or(SHORT)?,
        mac(10).ok_or(SHORT)?,
        mac(16).ok_or(SHORT)?,
    );
    let sequence = view
        .octets
        .get(22..24)
        .and_then(|o| o.first_chunk())
        .ok_or(SHORT)?;
    let sequence = u16::from_le_bytes(*sequence);
    let more = flags & MORE_FRAGMENTS != 0;
    let number = u32::from(sequence & 0x0F);
    let mut octets = 24;
    // IEEE 802.11 table 9-30: which address is whose.
    packet.macs = match flags & (TO_DS | FROM_DS) {
        0 => [a2, a1],
        TO_DS => [a2, a3],
        FROM_DS => [a3, a1],
        _ => {
            octets += 6;
            [mac(24).ok_or(SHORT)?, a3]
        }
    };
    let mut aggregate = false;
    if control & QOS != 0 {
        aggregate = view.octet(octets).ok_or(SHORT)? & AGGREGATE != 0;
        octets += 2;
        if flags & ORDER != 0 {
            octets += 4;
        }
    }
    if padded {
        octets = (octets + 3) & !3;
    }
    let body = view.skip(octets).ok_or(SHORT)?;
    Ok(if more || number != 0 {
        let piece = Piece {
            cutter: Cutter::Wireless(sequence >> 4),
            number,
            begins: number == 0,
            ends: !more,
        };
        Body::Piece(piece, body)
    } else if aggregate {
        Body::Aggregate(body)
    } else {
        Body::Llc(body)
    })
}

/// The packets of an aggregate, with their addresses; the reason comes last where the frame breaks off among them.
pub(super) fn aggregated(
    body: View<'_>,
) -> impl Iterator<Item = Result<([MacAddr; 2], View<'_>), Reason>> {
    const HEADER: usize = 14;
    const SHORT: Reason = Reason::Short("802.11 aggregate");
    let mut rest = Some(body);
    std::iter::from_fn(move || {
        let view = rest.take()?;
        if view.wire < HEADER {
            return None;
        }
        let (Some(addresses), Some(length), Some(packet)) =
            (view.head::<12>(), view.be16(12), view.skip(HEADER))
        else {
            return Some(Err(SHORT));
        };
        let length = usize::from(length).min(packet.wire);
        // Each but the last is padded to a multiple of four.
        let padded = (HEADER + length + 3) & !3;
        rest = (padded < view.wire)
            .then(|| view.skip(padded).unwrap_or(View::new(&[], view.at, HEADER)));
        Some(Ok((two_macs(*addresses), packet.with_length(length))))
    })
    .take(MAX_AGGREGATED)
}
