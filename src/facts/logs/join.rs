//! Sessions of logs and flows of a capture: which is which, and how far the two clocks are apart.
//!
//! Takes:  [`LogSession`]s; flows by their ends and times
//! Gives:  pairs with the offset of each, and the offset of the clocks over all
//! Never:  pairs without all four of addresses and ports; hides how far the pairs disagree

use std::collections::HashMap;

use crate::net::{Endpoint, Timestamp};

use super::LogSession;

/// A flow: client, server, time of its first and last segment.
pub type FlowSpan = (Endpoint, Endpoint, Timestamp, Timestamp);

/// A session and the flow that carried it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pair {
    /// Index of the session.
    pub session: usize,
    /// Index of the flow.
    pub flow: usize,
    /// Start in the log minus start in the capture, nanoseconds.
    pub offset: i64,
}

/// How far the clock of the log's server is ahead of the capture's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct ClockOffset {
    /// Log minus capture, nanoseconds: the median of the pairs.
    pub nanos: i64,
    /// Largest minus least offset of a pair, nanoseconds: delays below it cannot be compared between log and capture.
    pub spread: i64,
    /// How many pairs it rests on.
    pub pairs: usize,
}

/// What was joined.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Joined {
    /// In order of the sessions.
    pub pairs: Vec<Pair>,
    /// `None`: no pair.
    pub clock: Option<ClockOffset>,
    /// Sessions for which the capture has no flow.
    pub unjoined: Vec<usize>,
}

/// How far a session may begin from its flow, once the clocks are aligned. A server logs a connection when it has accepted it.
const SLACK: i64 = 2_000_000_000;

/// Finds the flow of each session by its four-tuple; where ports were used again, by time.
#[must_use]
pub fn join(sessions: &[LogSession], flows: &[FlowSpan]) -> Joined {
    let mut by_ends: HashMap<(Endpoint, Endpoint), Vec<usize>> = HashMap::new();
    for (at, (client, server, _, _)) in flows.iter().enumerate() {
        by_ends.entry((*client, *server)).or_default().push(at);
    }
    let candidates = |session: &LogSession| -> &[usize] {
        let Some((client, server)) = session.ends() else {
            return &[];
        };
        // A capture that begins in mid-stream may have the ends the other way round.
        by_ends
            .get(&(client, server))
            .or_else(|| by_ends.get(&(server, client)))
            .map_or(&[], Vec::as_slice)
    };
    let offset = |session: &LogSession, flow: usize| {
        flows
            .get(flow)
            .map(|(_, _, start, _)| session.start.nanos_since(*start))
    };
    // Those with one candidate tell the clocks; failing those, the nearest candidate of each.
    let certain: Vec<i64> = sessions
        .iter()
        .filter_map(|s| match candidates(s) {
            [flow] => offset(s, *flow),
            _ => None,
        })
        .collect();
    let guide = if certain.is_empty() {
        let nearest = |s| {
            candidates(s)
                .iter()
                .filter_map(|f| offset(s, *f))
                .min_by_key(|o| o.unsigned_abs())
        };
        median(sessions.iter().filter_map(nearest).collect())
    } else {
        median(certain)
    };
    let mut joined = Joined::default();
    let mut taken = vec![false; flows.len()];
    for (at, session) in sessions.iter().enumerate() {
        let best = guide.and_then(|guide| {
            candidates(session)
                .iter()
                .filter(|flow| taken.get(**flow) == Some(&false))
                .filter_map(|flow| Some((*flow, offset(session, *flow)?)))
                .filter(|(flow, offset)| {
                    let late = offset.saturating_sub(guide);
                    let overlaps = flows.get(*flow).is_some_and(|(_, _, start, end)| {
                        session.start.plus_nanos(-guide) <= *end
                            && session.end.plus_nanos(-guide) >= *start
                    });
                    late.unsigned_abs() <= SLACK.unsigned_abs() || overlaps
                })
                .min_by_key(|(_, offset)| offset.saturating_sub(guide).unsigned_abs())
        });
        match best {
            Some((flow, offset)) => {
                if let Some(taken) = taken.get_mut(flow) {
                    *taken = true;
                }
                joined.pairs.push(Pair {
                    session: at,
                    flow,
                    offset,
                });
            }
            None => joined.unjoined.push(at),
        }
    }
    let offsets: Vec<i64> = joined.pairs.iter().map(|p| p.offset).collect();
    let (least, largest) = (offsets.iter().min().copied(), offsets.iter().max().copied());
    if let (Some(least), Some(largest), Some(nanos)) = (least, largest, median(offsets)) {
        joined.clock = Some(ClockOffset {
            nanos,
            spread: largest.saturating_sub(least),
            pairs: joined.pairs.len(),
        });
    }
    joined
}

fn median(mut values: Vec<i64>) -> Option<i64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}
