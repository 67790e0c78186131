//! How long an answer was in the server's hands.
//!
//! Takes:  the times of a request, of its acknowledgement and of its answer, and the flow that carried them
//! Gives:  the seconds that neither the round trip, nor a repair, nor a shut window explains
//! Never:  blames the server for a request that it did not acknowledge in time, or for an answer that had to be sent twice

use std::net::IpAddr;

use super::Seen;
use super::trace::span;
use crate::flow::FlowRecord;
use crate::net::{Direction, Endpoint, Timestamp};

/// Seconds from which an answer is late: less is disk, directory and scheduling on any busy server.
pub(super) const LATE: f64 = 0.5;
/// And so many round trips: on a long path nobody feels less.
pub(super) const LATE_ROUND_TRIPS: f64 = 5.0;
/// An acknowledgement may be held back so long (RFC 9293 section 3.8.6.3 allows 500 ms; stacks take 40 to 200).
const DELAYED_ACK: f64 = 0.2;
/// What an acknowledgement may take beyond the round trip and still come at once.
const AT_ONCE: f64 = 0.05;

/// A request, as far as its way to the server matters.
#[derive(Clone, Copy, Debug)]
pub(super) struct Request {
    /// Its last octet was captured.
    pub(super) sent: Timestamp,
    /// The ACK that covered it.
    pub(super) acked: Option<Timestamp>,
    /// The server was still busy with an earlier one at that moment: then no round trip lies in the wait.
    pub(super) queued: bool,
}

/// What was the server's of a wait.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Held {
    /// Seconds.
    pub(super) seconds: f64,
    pub(super) acknowledged: Acknowledged,
}

/// Whether a request was seen acknowledged before its answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Acknowledged {
    /// It was not.
    No,
    /// Within the round trip and what a busy host may take.
    AtOnce,
    /// After so many seconds.
    After(f64),
}

impl Acknowledged {
    pub(super) fn is_seen(self) -> bool {
        self != Self::No
    }

    /// What the proof of a late answer says of it.
    pub(super) fn words(self) -> String {
        match self {
            Self::No => String::new(),
            Self::AtOnce => ", acknowledged at once".to_owned(),
            Self::After(seconds) => format!(", acknowledged {} later", span(seconds)),
        }
    }
}

/// Least round trip between the capture point and the end that is asked, in seconds.
pub(super) fn round_trip(flow: &FlowRecord, asks: Direction) -> f64 {
    let handshake = match asks {
        Direction::ClientToServer => flow.handshake.to_server,
        Direction::ServerToClient => flow.handshake.to_client,
    };
    let data = flow.half(asks).rtt.map(|rtt| rtt.min);
    match (handshake, data) {
        (Some(a), Some(b)) => a.min(b).as_secs_f64(),
        (Some(one), None) | (None, Some(one)) => one.as_secs_f64(),
        (None, None) => 0.0,
    }
}

/// Whether so many seconds are late on a path with this round trip.
pub(super) fn is_late(seconds: f64, round_trip: f64) -> bool {
    seconds >= LATE && seconds >= LATE_ROUND_TRIPS * round_trip
}

/// Takes the network's part off the time between a request and its answer. `None` where the server cannot be blamed: its answer had
/// been sent before and was lost, or the request was not taken in time.
pub(super) fn held(
    flow: &FlowRecord,
    asks: Direction,
    request: Request,
    answered: Timestamp,
) -> Option<Held> {
    let whole = answered.seconds_since(request.sent);
    if whole <= 0.0 {
        return None;
    }
    let round_trip = round_trip(flow, asks);
    let (there, back) = (flow.half(asks), flow.half(asks.reverse()));
    // Repeats stand in order of time.
    let upto = back.repeats.partition_point(|r| r.time <= answered);
    let answer_was_lost = back.repeats[..upto]
        .iter()
        .rev()
        .take_while(|r| r.time == answered)
        .any(|r| !r.spurious);
    if answer_was_lost {
        return None;
    }
    let upto = there.repeats.partition_point(|r| r.time < answered);
    let repaired = there.repeats[..upto]
        .iter()
        .rev()
        .take_while(|r| r.time > request.sent)
        .find(|r| !r.spurious);
    let from = repaired.map_or(request.sent, |r| r.time);
    let acked = request.acked.filter(|&acked| acked >= from);
    let taken = acked.map(|acked| acked.seconds_since(from));
    let usual = there
        .rtt
        .map_or(round_trip, |rtt| rtt.p95.as_secs_f64().max(round_trip));
    if taken.is_some_and(|taken| taken > usual + DELAYED_ACK + round_trip) {
        return None;
    }
    let network = if request.queued {
        0.0
    } else {
        taken.map_or(round_trip, |taken| (taken - DELAYED_ACK).max(round_trip))
    };
    let stalled: f64 = flow
        .stalls
        .iter()
        .filter(|stall| stall.cause.holds_octets_up())
        .map(|stall| {
            let begin = stall.start.seconds_since(from).max(0.0);
            let end = stall.start.seconds_since(from) + stall.length.as_secs_f64();
            (end.min(answered.seconds_since(from)) - begin).max(0.0)
        })
        .sum();
    Some(Held {
        seconds: (answered.seconds_since(from) - network - stalled).max(0.0),
        acknowledged: match taken {
            Some(taken) if taken > round_trip + AT_ONCE => Acknowledged::After(taken),
            Some(_) => Acknowledged::AtOnce,
            None if request.queued => Acknowledged::AtOnce,
            None => Acknowledged::No,
        },
    })
}

/// Which way the requests of this dialog go: where the capture starts in mid-stream the ends may have been taken for each other.
pub(super) fn asks(seen: Seen<'_>) -> Direction {
    seen.dialog
        .exchanges
        .first()
        .map_or(Direction::ClientToServer, |exchange| exchange.direction)
}

/// The end that is asked, and the host that asks.
pub(super) fn ends(seen: Seen<'_>) -> (Endpoint, IpAddr) {
    let asks = asks(seen);
    (
        seen.flow.sender(asks.reverse()),
        seen.flow.sender(asks).addr,
    )
}

/// Median of some numbers, which it sorts; 0 of none.
pub(super) fn median(numbers: &mut [f64]) -> f64 {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().unwrap_or(0.0)
}

#[cfg(test)]
pub(super) mod tests {
    use std::net::Ipv4Addr;
    use std::time::Duration;

    use super::*;
    use crate::decode::Checksum;
    use crate::flow::Cause;
    use crate::flow::{Handshake, Repeat, Stall, Trigger, Vantage};
    use crate::net::{FrameNo, SeqNum};

    pub(in super::super) fn at(ms: i64) -> Timestamp {
        Timestamp(ms * 1_000_000)
    }

    /// A healthy flow over a path of 100 ms, ten seconds long.
    pub(in super::super) fn flow() -> FlowRecord {
        let end = |n: u8, port| Endpoint {
            addr: Ipv4Addr::new(192, 0, 2, n).into(),
            port,
        };
        FlowRecord {
            last_frame: FrameNo(99),
            end: at(10_000),
            handshake: Handshake {
                complete: true,
                to_server: Some(Duration::from_millis(100)),
                ..Handshake::default()
            },
            vantage: Vantage::Client,
            ..FlowRecord::begun([end(1, 40_000), end(2, 25)], FrameNo(1), at(0))
        }
    }

    pub(in super::super) fn repeat(time: Timestamp, spurious: bool) -> Repeat {
        Repeat {
            frame: FrameNo(50),
            time,
            of: None,
            seq: SeqNum(0),
            offset: 0,
            octets: 10,
            segments: 1,
            trigger: Trigger::Timeout,
            spurious,
            sends_before: 1,
            after: None,
            confidence: 1.0,
            basis: "",
            checksum: Checksum::Good,
            tsval: None,
            rtt_before: None,
            una_before: None,
            acked: true,
        }
    }

    #[test]
    fn what_is_the_servers() {
        let plain = flow();
        let mut repaired = flow();
        repaired.halves[0].repeats = vec![repeat(at(2_000), false)];
        let mut needless = flow();
        needless.halves[0].repeats = vec![repeat(at(2_000), true)];
        let mut answer_lost = flow();
        answer_lost.halves[1].repeats = vec![repeat(at(5_000), false)];
        let mut shut = flow();
        shut.stalls = vec![Stall {
            start: at(2_000),
            length: Duration::from_secs(1),
            cause: Cause::ZeroWindow,
            direction: None,
            frame: FrameNo(9),
        }];
        // The request is sent at 1 s, the answer comes at 5 s.
        for (name, flow, acked, queued, want) in [
            (
                "a round trip is the network's",
                &plain,
                Some(1_100),
                false,
                Some((3.9, true)),
            ),
            (
                "a delayed acknowledgement changes nothing",
                &plain,
                Some(1_290),
                false,
                Some((3.9, true)),
            ),
            ("not acknowledged in time", &plain, Some(2_500), false, None),
            (
                "acknowledgement not seen",
                &plain,
                None,
                false,
                Some((3.9, false)),
            ),
            (
                "behind another request",
                &plain,
                None,
                true,
                Some((4.0, true)),
            ),
            (
                "the request was lost",
                &repaired,
                Some(2_100),
                false,
                Some((2.9, true)),
            ),
            (
                "sent again without need",
                &needless,
                Some(1_100),
                false,
                Some((3.9, true)),
            ),
            (
                "the answer was lost",
                &answer_lost,
                Some(1_100),
                false,
                None,
            ),
            (
                "the window was shut for a second",
                &shut,
                Some(1_100),
                false,
                Some((2.9, true)),
            ),
        ] {
            let request = Request {
                sent: at(1_000),
                acked: acked.map(at),
                queued,
            };
            let got = held(flow, Direction::ClientToServer, request, at(5_000));
            let got = got.map(|h| {
                (
                    (h.seconds * 100.0).round() / 100.0,
                    h.acknowledged.is_seen(),
                )
            });
            assert_eq!(got, want, "{name}");
        }
        for (acked, want) in [
            (None, ""),
            (Some(1_150), ", acknowledged at once"),
            (Some(1_300), ", acknowledged 300 ms later"),
        ] {
            let request = Request {
                sent: at(1_000),
                acked: acked.map(at),
                queued: false,
            };
            let got = held(&plain, Direction::ClientToServer, request, at(5_000));
            let got = got.map(|h| h.acknowledged.words());
            assert_eq!(got.as_deref(), Some(want));
        }
        let backwards = Request {
            sent: at(1_000),
            acked: None,
            queued: false,
        };
        assert_eq!(
            held(&plain, Direction::ClientToServer, backwards, at(900)),
            None,
            "the clock stepped back"
        );
    }

    #[test]
    fn late_or_not() {
        for (name, seconds, round_trip, want) in [
            ("half a second nearby", 0.5, 0.001, true),
            ("less", 0.49, 0.001, false),
            ("half a second on a long path", 0.5, 0.3, false),
            ("five of its round trips", 1.5, 0.3, true),
        ] {
            assert_eq!(is_late(seconds, round_trip), want, "{name}");
        }
    }
}
