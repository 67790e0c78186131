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

/// Flows of the same ends that are looked at on either side of a session's time: a client that connects from one port over and over has as
/// many flows as sessions.
const NEAR: usize = 256;

/// Finds the flow of each session by its four-tuple; where ports were used again, by time.
#[must_use]
pub fn join(sessions: &[LogSession], flows: &[FlowSpan]) -> Joined {
    let mut by_ends: HashMap<(Endpoint, Endpoint), Vec<usize>> = HashMap::new();
    for (at, (client, server, _, _)) in flows.iter().enumerate() {
        by_ends.entry((*client, *server)).or_default().push(at);
    }
    let start = |flow: &usize| flows.get(*flow).map(|(_, _, start, _)| *start);
    for list in by_ends.values_mut() {
        list.sort_by_key(start);
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
        let nearest =
            |s: &LogSession| offset(s, nearest_first(candidates(s), s.start, start).next()?);
        median(sessions.iter().filter_map(nearest).collect())
    } else {
        median(certain)
    };
    let mut joined = Joined::default();
    let mut taken = vec![false; flows.len()];
    for (at, session) in sessions.iter().enumerate() {
        let best = guide.and_then(|guide| {
            let began = session.start.plus_nanos(-guide);
            nearest_first(candidates(session), began, start)
                .filter(|flow| taken.get(*flow) == Some(&false))
                .filter_map(|flow| Some((flow, offset(session, flow)?)))
                .find(|(flow, offset)| {
                    let late = offset.saturating_sub(guide);
                    let overlaps = flows.get(*flow).is_some_and(|(_, _, start, end)| {
                        session.start.plus_nanos(-guide) <= *end
                            && session.end.plus_nanos(-guide) >= *start
                    });
                    late.unsigned_abs() <= SLACK.unsigned_abs() || overlaps
                })
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

/// Flows, which are in the order of their starts, those that began nearest to a moment first: up to [`NEAR`] before and as many after it.
fn nearest_first(
    flows: &[usize],
    moment: Timestamp,
    start: impl Fn(&usize) -> Option<Timestamp>,
) -> impl Iterator<Item = usize> {
    let at = flows.partition_point(|flow| start(flow).is_some_and(|start| start < moment));
    let (before, after) = flows.split_at(at);
    let mut before = before.iter().rev().take(NEAR).peekable();
    let mut after = after.iter().take(NEAR).peekable();
    let away = move |flow: Option<&&usize>| {
        let start = flow.and_then(|flow| start(flow));
        start.map_or(u64::MAX, |start| start.nanos_since(moment).unsigned_abs())
    };
    std::iter::from_fn(move || {
        if away(before.peek()) <= away(after.peek()) {
            before.next().or_else(|| after.next())
        } else {
            after.next()
        }
        .copied()
    })
}

fn median(mut values: Vec<i64>) -> Option<i64> {
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}
