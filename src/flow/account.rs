//! The life of a flow, second by second: what was it waiting for?
//!
//! Takes:  for each interval between two segments, how things stood before it and what ended it
//! Gives:  time by [`Cause`], which sums to the flow's duration; [`Stall`]s
//! Never:  looks at octets

use std::time::Duration;

use super::half::{Phase, Verdict};
use super::record::{Cause, Stall, Trigger};
use crate::net::{Direction, FrameNo, Timestamp, nanos as nanos_of};

/// Shortest silence worth telling: below it a reader cannot feel the pause.
pub(super) const MIN_STALL: Duration = Duration::from_millis(200);
const MIN_STALL_NANOS: i64 = nanos_of(MIN_STALL);
/// Stalls kept for one flow.
const MAX_STALLS: usize = 1_000;
/// A silence of the client with nothing pending that is longer than this is no thinking.
const IDLE: Duration = Duration::from_secs(30);
/// Shortest and longest wait that a delayed acknowledgement makes (Linux 40 ms, Windows 200 ms; RFC 9293 allows 500 ms).
const DELAYED_ACK: std::ops::RangeInclusive<i64> = 30_000_000..=520_000_000;

/// Round trips vary by such a part of the shortest one: what an acknowledgement takes longer is no delay of the receiver's.
const UNSTEADY: i64 = 4;

/// How things stood before an interval.
#[derive(Clone, Copy, Debug)]
pub(super) struct Before {
    /// When the interval began.
    pub(super) since: Timestamp,
    /// The handshake was not done.
    pub(super) opening: bool,
    /// A FIN or RST had been seen.
    pub(super) closing: bool,
    /// Octets on their way, by direction.
    pub(super) flight: [u64; 2],
    /// Scaled window of the other end, by direction of the data.
    pub(super) window: [Option<u64>; 2],
    /// Whether the other end's window was shut, by direction of the data.
    pub(super) shut: [bool; 2],
    /// Full segment, by direction.
    pub(super) unit: [u32; 2],
    /// Phase of repair, by direction.
    pub(super) phase: [Option<Phase>; 2],
    /// The sender had used up the window that it can have known of, by direction.
    pub(super) limited: [bool; 2],
    /// Whether the last segment sent was less than full: Nagle's algorithm holds back what comes after one (RFC 896).
    pub(super) small: [bool; 2],
    /// Round trip from here to the receiver of the data, by direction.
    pub(super) lag: [i64; 2],
    /// Who sent payload last.
    pub(super) last_data: Option<Direction>,
    /// Usual round trip.
    pub(super) rtt: Option<i64>,
    /// Shortest round trip of the whole path.
    pub(super) least_rtt: Option<i64>,
}

/// What ended an interval.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) at: Timestamp,
    pub(super) frame: FrameNo,
    pub(super) direction: Direction,
    pub(super) verdict: Verdict,
    /// It repeats the last octets sent, with nothing to tell the sender but its timer.
    pub(super) tail: bool,
    /// Octets that it newly acknowledges.
    pub(super) newly_acked: u64,
    /// It carries a SYN.
    pub(super) syn: bool,
}

/// Time by cause, and the silences.
#[derive(Clone, Debug, Default)]
pub(super) struct Account {
    nanos: [i64; 16],
    pub(super) stalls: Vec<Stall>,
    /// Waits for a delayed acknowledgement below [`MIN_STALL`].
    pub(super) short_waits: Vec<Stall>,
    /// A wait for a delayed acknowledgement that counts only if the sender goes on at once.
    unsure: Option<Stall>,
}

/// A sender that was held back goes on within a round trip and this.
const GOES_ON: i64 = 5_000_000;

impl Account {
    /// Books one interval.
    pub(super) fn interval(&mut self, before: &Before, ended: &Ended) {
        let nanos = ended.at.nanos_since(before.since);
        if nanos <= 0 {
            return;
        }
        let (cause, direction) = cause(before, ended, nanos);
        if self.unsure.is_some()
            && let Some(wait) = self.unsure.take()
        {
            let goes_on = wait.direction == Some(ended.direction)
                && matches!(ended.verdict, Verdict::New | Verdict::Reordered)
                && nanos <= before.least_rtt.unwrap_or(0).saturating_add(GOES_ON);
            if goes_on {
                let kept = if wait.length >= MIN_STALL {
                    &mut self.stalls
                } else {
                    &mut self.short_waits
                };
                if kept.len() < MAX_STALLS {
                    kept.push(wait);
                }
            } else {
                // Nobody was waiting: the acknowledgement was late, and nothing hung on it.
                let length = nanos_of(wait.length);
                self.nanos[Cause::DelayedAck as usize & 15] -= length;
                self.nanos[Cause::Latency as usize & 15] += length;
            }
        }
        self.nanos[cause as usize & 15] += nanos;
        let worth = nanos >= MIN_STALL_NANOS
            && nanos >= before.rtt.unwrap_or(0).saturating_mul(3) / 2
            && !matches!(cause, Cause::Idle | Cause::Close);
        if cause != Cause::DelayedAck && !worth {
            return;
        }
        let stall = Stall {
            start: before.since,
            length: Duration::from_nanos(nanos.unsigned_abs()),
            cause,
            direction,
            frame: ended.frame,
        };
        if cause == Cause::DelayedAck {
            self.unsure = Some(stall);
        } else if self.stalls.len() < MAX_STALLS {
            self.stalls.push(stall);
        }
    }

    /// Gives up to so much time of other causes to this one.
    pub(super) fn give(&mut self, from: &[Cause], to: Cause, time: Duration) {
        let mut left = nanos_of(time);
        for cause in from {
            let nanos = &mut self.nanos[*cause as usize & 15];
            let taken = left.min(*nanos).max(0);
            *nanos -= taken;
            left -= taken;
            self.nanos[to as usize & 15] += taken;
        }
    }

    /// The silence that began then never was: nobody waited.
    pub(super) fn disown(&mut self, start: Timestamp) {
        if let Some(at) = self.stalls.iter().rposition(|s| s.start == start) {
            let stall = self.stalls.remove(at);
            self.give(&[stall.cause], Cause::Unknown, stall.length);
        }
    }

    /// Octets of heap that it holds, about.
    pub(super) fn heap(&self) -> usize {
        (self.stalls.capacity() + self.short_waits.capacity()) * size_of::<Stall>()
    }

    /// The books, in the order of the causes.
    pub(super) fn shares(&self) -> Vec<(Cause, Duration)> {
        Cause::ALL
            .iter()
            .zip(self.nanos)
            .filter(|(_, n)| *n > 0)
            .map(|(c, n)| (*c, Duration::from_nanos(n.unsigned_abs())))
            .collect()
    }
}

fn cause(b: &Before, e: &Ended, nanos: i64) -> (Cause, Option<Direction>) {
    if b.closing {
        return (Cause::Close, None);
    }
    if b.opening || e.syn {
        return (Cause::Handshake, None);
    }
    let own = e.direction.index();
    let other = e.direction.reverse().index();
    let rtt = b.rtt.unwrap_or(0);
    // A repeat: the time before it was waited for it.
    if let Verdict::Repeat(_, trigger) = e.verdict {
        let cause = match trigger {
            Trigger::Fast => Cause::LossRecovery,
            _ if b.shut[own] => Cause::ZeroWindow,
            Trigger::TailProbe => Cause::TailLoss,
            Trigger::Timeout if e.tail && !matches!(b.phase[own], Some(Phase::Loss { .. })) => {
                Cause::TailLoss
            }
            Trigger::Timeout => Cause::Timeout,
            Trigger::Unknown => Cause::LossRecovery,
        };
        return (cause, Some(e.direction));
    }
    for (direction, n) in [(e.direction, own), (e.direction.reverse(), other)] {
        if b.shut[n] && (b.flight[n] == 0 || e.verdict == Verdict::WindowProbe || nanos > 2 * rtt) {
            return (Cause::ZeroWindow, Some(direction));
        }
    }
    // Data on its way: from the sender of this segment, or to it.
    for (direction, n) in [(e.direction.reverse(), other), (e.direction, own)] {
        if b.flight[n] == 0 {
            continue;
        }
        let full = b.limited[n]
            || b.window[n].is_some_and(|w| w > 0 && b.flight[n] + u64::from(b.unit[n].max(1)) > w);
        let repairing = matches!(
            b.phase[n],
            Some(Phase::Recovery { .. } | Phase::Loss { .. })
        );
        let cause = if repairing {
            match b.phase[n] {
                Some(Phase::Loss { .. }) if nanos > rtt.saturating_mul(2).max(100_000_000) => {
                    Cause::Timeout
                }
                _ => Cause::LossRecovery,
            }
        } else if full && b.flight[n] > u64::from(b.unit[n]) {
            Cause::ReceiveWindow
        } else if n == other
            && e.newly_acked > 0
            && e.verdict == Verdict::Bare
            && b.small[n]
            && b.least_rtt.is_some_and(|least| {
                let longer = nanos - b.lag[n].min(least);
                DELAYED_ACK.contains(&longer) && longer >= least / UNSTEADY
            })
        {
            Cause::DelayedAck
        } else if rtt > 0 && nanos > rtt.saturating_mul(3).max(100_000_000) {
            if n == other && matches!(e.verdict, Verdict::New) {
                // The answer came with the acknowledgement of the question: it was the other end that took its time.
                if e.direction == Direction::ServerToClient {
                    Cause::ServerThink
                } else {
                    Cause::ClientThink
                }
            } else {
                Cause::PathDelay
            }
        } else if b.flight[n] > 2 * u64::from(b.unit[n].max(1)) {
            Cause::Transfer
        } else {
            Cause::Latency
        };
        return (cause, Some(direction));
    }
    if matches!(
        e.verdict,
        Verdict::Bare | Verdict::KeepAlive | Verdict::Copy | Verdict::Outside
    ) && nanos > 1_000_000_000
    {
        return (Cause::Idle, None);
    }
    // Everything that was sent has been acknowledged here, and more follows: beside the receiver that is how a sender looks that
    // waits for its window, or for its congestion window, a round trip away.
    if b.last_data == Some(e.direction) && matches!(e.verdict, Verdict::New | Verdict::Reordered) {
        if b.limited[own] {
            return (Cause::ReceiveWindow, Some(e.direction));
        }
        if rtt > 0 && nanos <= rtt + rtt / 4 && b.unit[own] > 0 {
            return (Cause::Transfer, Some(e.direction));
        }
    }
    // Nothing on its way: one of the two applications has the word.
    let long = nanos > nanos_of(IDLE);
    match (b.last_data, e.direction) {
        (Some(Direction::ClientToServer), Direction::ServerToClient)
        | (None, Direction::ServerToClient) => {
            (Cause::ServerThink, Some(Direction::ServerToClient))
        }
        (Some(Direction::ServerToClient), Direction::ServerToClient) if !long => {
            (Cause::ServerThink, Some(Direction::ServerToClient))
        }
        (_, Direction::ClientToServer) if !long => {
            (Cause::ClientThink, Some(Direction::ClientToServer))
        }
        _ => (Cause::Idle, None),
    }
}
