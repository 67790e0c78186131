//! The time of each phase, and how much of it was the network's.
//!
//! Takes:  how long each step took, and the part until it was acknowledged; at the end, what TCP knows of the flow
//! Gives:  [`DurationStats`] and the network's share by phase
//! Never:  blames a server for the wait for a segment that was lost

use std::collections::BTreeMap;
use std::time::Duration;

use crate::flow::FlowRecord;
use crate::net::Timestamp;
use crate::proto::{DurationStats, SmtpPhase, SmtpRecord};

/// Spans of one phase that its quantiles and the network's share are taken from; later ones count in all else.
const MAX_SPANS: usize = 5_000;

/// One wait of a phase.
#[derive(Clone, Copy, Debug)]
pub struct SmtpSpan {
    /// Its end.
    pub until: Timestamp,
    /// Its length.
    pub whole: Duration,
    /// What of it the octets were not acknowledged yet; `None` where no ACK came before the answer.
    pub network: Option<Duration>,
}

/// Time of one phase, summed.
#[derive(Clone, Debug, Default)]
pub(super) struct PhaseTime {
    spans: Vec<SmtpSpan>,
    count: u64,
    sum: Duration,
    max: Duration,
}

impl PhaseTime {
    pub(super) fn add(&mut self, until: Timestamp, whole: Duration, network: Option<Duration>) {
        self.count += 1;
        self.sum = self.sum.saturating_add(whole);
        self.max = self.max.max(whole);
        if self.spans.len() < MAX_SPANS {
            self.spans.push(SmtpSpan {
                until,
                whole,
                network: network.map(|network| network.min(whole)),
            });
        }
    }

    /// Octets of memory that it holds beside itself.
    pub(super) fn held(&self) -> usize {
        self.spans.capacity() * size_of::<SmtpSpan>()
    }

    /// `sorted` is room to sort in.
    fn stats(&self, sorted: &mut Vec<Duration>) -> DurationStats {
        sorted.clear();
        sorted.extend(self.spans.iter().map(|span| span.whole));
        sorted.sort_unstable();
        let at = |part: usize| {
            let index = (sorted.len().saturating_sub(1) * part).div_ceil(100);
            sorted.get(index).copied().unwrap_or_default()
        };
        DurationStats {
            count: self.count,
            min: at(0),
            median: at(50),
            p95: at(95),
            max: self.max,
            sum: self.sum,
        }
    }
}

/// Network's share of some spans; `None` where nothing is known of any.
fn share(spans: &[SmtpSpan]) -> Option<f64> {
    let known = spans
        .iter()
        .filter_map(|span| Some((span.network?, span.whole)));
    let (network, whole) = known.fold((Duration::ZERO, Duration::ZERO), |sum, span| {
        (sum.0.saturating_add(span.0), sum.1.saturating_add(span.1))
    });
    (!whole.is_zero()).then(|| network.as_secs_f64() / whole.as_secs_f64())
}

impl SmtpRecord {
    /// Puts the phases into the record. Where a step's own ACK was not seen apart from its reply, the least time that an ACK of that
    /// direction took stands for it: `[requests, replies]`.
    pub(super) fn keep_phases(
        &mut self,
        phases: BTreeMap<SmtpPhase, PhaseTime>,
        least_ack: [Option<Duration>; 2],
    ) {
        // Requests are acknowledged by the server, replies by the client: for either the other is better than nothing.
        let [request, reply] = least_ack;
        self.phases.reserve_exact(phases.len());
        let mut sorted = Vec::new();
        for (phase, mut time) in phases {
            let least = match phase {
                SmtpPhase::Client => reply.or(request),
                _ => request.or(reply),
            };
            for span in &mut time.spans {
                span.network = span
                    .network
                    .or(least)
                    .map(|network| network.min(span.whole));
            }
            let share = share(&time.spans);
            self.phases.push((phase, time.stats(&mut sorted), share));
            self.spans.insert(phase, time.spans);
        }
    }

    /// Adds to the network's share what TCP knows: waits for repairs and for windows.
    pub fn settle_network(&mut self, flow: &FlowRecord) {
        let troubled = !flow.stalls.is_empty() || flow.halves.iter().any(|h| !h.repeats.is_empty());
        for (phase, _, of_network) in &mut self.phases {
            let Some(spans) = self.spans.get_mut(phase).filter(|_| troubled) else {
                continue;
            };
            for span in spans.iter_mut() {
                let repaired = repaired(flow, *phase, span);
                if !repaired.is_zero() {
                    let network = span.network.unwrap_or_default().max(repaired);
                    span.network = Some(network.min(span.whole));
                }
            }
            *of_network = share(spans);
        }
    }
}

/// Part of a wait in which a segment had to be repaired, or the window was shut.
fn repaired(flow: &FlowRecord, phase: SmtpPhase, span: &SmtpSpan) -> Duration {
    let nanos = i64::try_from(span.whole.as_nanos()).unwrap_or(i64::MAX);
    let start = span.until.plus_nanos(nanos.saturating_neg());
    // The server did not know of the connection before its SYN-ACK got through.
    if phase == SmtpPhase::Greeting && flow.handshake.syn_ack_retries > 0 {
        return span.whole;
    }
    let mut most = Duration::ZERO;
    for half in &flow.halves {
        // Repeats stand in order of time.
        let upto = half.repeats.partition_point(|r| r.time <= span.until);
        let inside = half.repeats.iter().take(upto).rev();
        let last = inside.take_while(|r| r.time > start).find(|r| !r.spurious);
        match last {
            // What ended the wait had been sent before.
            Some(last) if last.time == span.until => return span.whole,
            // A message may go on after its last repair.
            Some(last) if phase != SmtpPhase::Transfer => {
                most = most.max(last.time.since(start).unwrap_or_default());
            }
            _ => {}
        }
    }
    let stalls = flow
        .stalls
        .iter()
        .filter(|stall| stall.cause.holds_octets_up());
    let stalled: Duration = stalls
        .map(|stall| {
            let length = i64::try_from(stall.length.as_nanos()).unwrap_or(i64::MAX);
            let end = stall.start.plus_nanos(length).min(span.until);
            end.since(stall.start.max(start)).unwrap_or_default()
        })
        .sum();
    most.max(stalled)
}
