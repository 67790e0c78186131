//! What all SMTP dialogs of a report say together: who sends how much to whom, and how long messages lay on hosts before.
//!
//! Takes:  the flows that the report lists
//! Gives:  a [`Mail`]
//! Never:  judges; lists more than [`MAX_ROWS`] of either; believes that two hosts' clocks agree

use std::collections::BTreeMap;

use super::epoch::Epoch;
use super::model::{Flow, HopDelay, Mail, MailPair};
use super::words;

/// Pairs of client and server, and hops, listed at most: the busiest.
const MAX_ROWS: usize = 200;

/// Pairs and hops counted at most.
const MAX_COUNTED: usize = 20_000;

/// Delays of one hop that its median is taken from.
const MAX_DELAYS: usize = 1_000;

#[derive(Default)]
struct Pair {
    row: MailPair,
    /// First and last start of a connection.
    span: Option<(Epoch, Epoch)>,
}

/// Sums up the dialogs; `None` where nobody spoke SMTP.
pub(super) fn mail(flows: &[Flow]) -> Option<Mail> {
    let mut pairs: BTreeMap<(&str, &str), Pair> = BTreeMap::new();
    let mut hops: BTreeMap<(&str, &str), Vec<i64>> = BTreeMap::new();
    let mut spoken = false;
    for flow in flows {
        let Some(smtp) = &flow.smtp else { continue };
        spoken = true;
        let key = (words::host(&flow.client), flow.server.as_str());
        if pairs.len() < MAX_COUNTED || pairs.contains_key(&key) {
            let pair = pairs.entry(key).or_default();
            pair.row.connections += 1;
            pair.row.refusals += smtp.refusals.len() as u64;
            let (first, last) = pair.span.unwrap_or((flow.start, flow.start));
            pair.span = Some((first.min(flow.start), last.max(flow.start)));
            for message in &smtp.messages {
                pair.row.messages += 1;
                pair.row.accepted += u64::from(message.accepted == Some(true));
                pair.row.recipients += u64::from(message.recipients);
                pair.row.octets += message.octets;
            }
        }
        for pair in smtp.messages.iter().flat_map(|m| m.hops.windows(2)) {
            let [hop, before] = pair else { continue };
            let (Some(by), Some(from), Some(delay)) = (&hop.by, &before.by, hop.delay) else {
                continue;
            };
            let key = (from.as_str(), by.as_str());
            if hops.len() < MAX_COUNTED || hops.contains_key(&key) {
                let delays = hops.entry(key).or_default();
                if delays.len() < MAX_DELAYS {
                    delays.push(delay);
                }
            }
        }
    }
    spoken.then(|| Mail {
        pairs: busiest(pairs.into_iter().map(listed).collect(), |p| p.connections),
        hops: busiest(hops.into_iter().filter_map(delays).collect(), |h| {
            h.messages
        }),
    })
}

#[allow(clippy::cast_precision_loss)]
fn listed(((client, server), pair): ((&str, &str), Pair)) -> MailPair {
    let connections = pair.row.connections as f64;
    let minutes = pair
        .span
        .map_or(0.0, |(first, last)| last.0.seconds_since(first.0) / 60.0);
    MailPair {
        client: client.to_owned(),
        server: server.to_owned(),
        messages_per_connection: pair.row.messages as f64 / connections.max(1.0),
        // From the first start to the last there is one connection less.
        connections_per_minute: (minutes > 0.0).then(|| (connections - 1.0) / minutes),
        ..pair.row
    }
}

fn delays(((from, by), mut delays): ((&str, &str), Vec<i64>)) -> Option<HopDelay> {
    delays.sort_unstable();
    let (min, max) = (*delays.first()?, *delays.last()?);
    Some(HopDelay {
        from: from.to_owned(),
        by: by.to_owned(),
        messages: delays.len() as u64,
        min,
        median: *delays.get(delays.len() / 2)?,
        max,
        // Nothing arrives before it was sent.
        clocks_differ: min < 0,
    })
}

/// The first [`MAX_ROWS`] by a count, the largest first.
fn busiest<T>(mut rows: Vec<T>, count: impl Fn(&T) -> u64) -> Vec<T> {
    rows.sort_by_key(|row| std::cmp::Reverse(count(row)));
    rows.truncate(MAX_ROWS);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_and_clocks() {
        for (name, list, want) in [
            ("a queue", vec![3, 900, 5], Some((3, 5, 900, false))),
            ("a clock ahead", vec![-7, 2], Some((-7, 2, 2, true))),
            ("nothing", vec![], None),
        ] {
            let got = delays((("a", "b"), list));
            let got = got.map(|h| (h.min, h.median, h.max, h.clocks_differ));
            assert_eq!(got, want, "{name}");
        }
    }
}
