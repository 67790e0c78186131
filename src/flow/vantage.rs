//! Where the capture was taken, from the segments of one flow.
//!
//! Takes:  handshake times, checksums, marks of direction
//! Gives:  [`Vantage`] and the grounds for it
//! Never:  guesses from addresses

use std::time::Duration;

use super::half::Half;
use super::record::{Handshake, Vantage};

/// A part of the round trip this much smaller than the other lies within the host or beside it.
const FAR_SMALLER: u32 = 10;
/// No wire to another site answers within this time.
const BESIDE: Duration = Duration::from_micros(500);

/// Of a flow that shows next to nothing.
pub(super) const TOO_LITTLE: &str = "too little was captured to tell";

/// Vantage of a flow and its grounds in words.
pub(super) fn of(
    handshake: &Handshake,
    halves: &[Half; 2],
    outgoing: [u32; 2],
) -> (Vantage, &'static str) {
    match outgoing {
        [c, s] if c > 0 && s == 0 => {
            return (
                Vantage::Client,
                "the capture marks the client's packets as its own",
            );
        }
        [c, s] if s > 0 && c == 0 => {
            return (
                Vantage::Server,
                "the capture marks the server's packets as its own",
            );
        }
        _ => {}
    }
    let unfilled = |n: usize| {
        let r = &halves[n].rec;
        r.unfilled_checksums >= 2 && r.unfilled_checksums * 10 >= r.frames * 5
    };
    let by_times = match (handshake.to_client, handshake.to_server) {
        (Some(c), Some(s)) => Some(split(
            c,
            s,
            "its part of the handshake's round trip is a tenth of the other or less",
            "both parts of the handshake's round trip are alike",
        )),
        _ => None,
    };
    // Of a sender with offload nearly all packets look so. Where others of it are filled in, and the handshake tells the other
    // side, they arrived unfilled.
    let mixed = |n: usize| halves[n].rec.good_checksums * 5 >= halves[n].rec.frames;
    let arrived = |n: usize, there: Vantage| {
        by_times
            .filter(|(vantage, _)| mixed(n) && *vantage == there)
            .map(|(vantage, _)| {
                (
                    vantage,
                    "its part of the handshake's round trip is a tenth of the other or less, and only some packets of the other end lack \
                     their checksum",
                )
            })
    };
    match (unfilled(0), unfilled(1)) {
        (true, false) => {
            if let Some(told) = arrived(0, Vantage::Server) {
                return told;
            }
            return (
                Vantage::Client,
                "only the client's packets have checksums left for its adapter to fill in",
            );
        }
        (false, true) => {
            if let Some(told) = arrived(1, Vantage::Client) {
                return told;
            }
            return (
                Vantage::Server,
                "only the server's packets have checksums left for its adapter to fill in",
            );
        }
        _ => {}
    }
    if let Some(told) = by_times {
        return told;
    }
    // Least time from data to acknowledgement: data of the server goes to the client and back.
    if let (Some(to_server), Some(to_client)) = (halves[0].min_rtt, halves[1].min_rtt) {
        let nanos = |n: i64| Duration::from_nanos(n.max(0).unsigned_abs());
        return split(
            nanos(to_client),
            nanos(to_server),
            "its acknowledgements come ten times sooner than the other end's",
            "both ends acknowledge after like times",
        );
    }
    (Vantage::Unknown, TOO_LITTLE)
}

fn split(
    to_client: Duration,
    to_server: Duration,
    near: &'static str,
    alike: &'static str,
) -> (Vantage, &'static str) {
    if to_client * FAR_SMALLER <= to_server && to_client < BESIDE {
        (Vantage::Client, near)
    } else if to_server * FAR_SMALLER <= to_client && to_server < BESIDE {
        (Vantage::Server, near)
    } else if to_client > BESIDE && to_server > BESIDE {
        (Vantage::Middle, alike)
    } else {
        (
            Vantage::Unknown,
            "the round trips to both ends are too alike to tell",
        )
    }
}
