//! The list of exchanges of one dialog, bounded, with the slow ones kept.
//!
//! Takes:  [`Exchange`]s in the order in which they ended
//! Gives:  at most [`MAX_EXCHANGES`] of them
//! Never:  drops a slow one while a quick one stays

use std::time::Duration;

use super::{Exchange, room};

/// Exchanges kept of one flow.
pub(crate) const MAX_EXCHANGES: usize = 10_000;

/// A list that thins itself out: once full, what was answered quicker than its median goes, and stays out from then on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Exchanges {
    kept: Vec<Exchange>,
    floor: Duration,
    limit: Option<usize>,
}

impl Exchanges {
    /// Room for fewer, for tests.
    #[cfg(test)]
    fn with_limit(limit: usize) -> Self {
        Self {
            limit: Some(limit),
            ..Self::default()
        }
    }

    /// Octets of memory that it holds beside itself, about.
    pub(crate) fn held(&self) -> usize {
        room::<Exchange>(self.kept.capacity())
    }

    /// Whether one that took `time` (`None`: never answered) would be kept: asked before it is built.
    #[must_use]
    pub(crate) fn wants(&self, time: Option<Duration>) -> bool {
        time.is_none_or(|t| t >= self.floor)
    }

    /// One more.
    pub(crate) fn add(&mut self, exchange: Exchange) {
        let limit = self.limit.unwrap_or(MAX_EXCHANGES);
        if self.wants(length(&exchange)) {
            self.kept.push(exchange);
        }
        if self.kept.len() > limit {
            let mut times: Vec<_> = self.kept.iter().filter_map(length).collect();
            let middle = times.len() / 2;
            if times.is_empty() {
                self.kept.truncate(limit);
                return;
            }
            let (_, &mut median, _) = times.select_nth_unstable(middle);
            self.floor = median.saturating_add(Duration::from_nanos(1));
            let floor = self.floor;
            self.kept
                .retain(|e| length(e).is_none_or(|time| time >= floor));
            self.kept.truncate(limit);
        }
    }

    /// All of them, in order of the request.
    #[must_use]
    pub(crate) fn into_vec(mut self) -> Vec<Exchange> {
        self.kept.sort_by_key(|e| (e.requested, e.request_frame));
        self.kept
    }
}

/// Request to answer.
fn length(exchange: &Exchange) -> Option<Duration> {
    Some(
        exchange
            .answered?
            .since(exchange.requested)
            .unwrap_or_default(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Direction, FrameNo, Timestamp};

    #[test]
    fn slow_ones_stay() {
        let mut list = Exchanges::with_limit(10);
        for n in 0..1_000_i64 {
            let slow = n == 3 || n == 900;
            list.add(Exchange {
                name: "READ".into(),
                request_frame: FrameNo(n.unsigned_abs()),
                requested: Timestamp(n * 1_000_000),
                acked: None,
                answer_frame: None,
                answered: Some(Timestamp(
                    n * 1_000_000 + if slow { 900_000 } else { n % 7 },
                )),
                direction: Direction::ClientToServer,
            });
        }
        let kept = list.into_vec();
        assert!(kept.len() <= 10);
        let frames: Vec<_> = kept.iter().map(|e| e.request_frame.0).collect();
        assert!(
            frames.contains(&3) && frames.contains(&900),
            "only {frames:?} are left"
        );
    }
}
