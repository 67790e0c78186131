//! Finds receivers that hold the sender up, and senders that the window of the receiver limits.
//!
//! Reads:   closed windows and how long they were; time with the window full
//! Yields:  `window.zero`, `limit.receive-window`: one for each sender and receiver
//! Silent:  windows shut for less than a tenth of a second in all; full windows for less than three tenths of the time that data was on
//!          its way, or for less than a quarter of a second
//! Source:  RFC 9293 sections 3.8.6 and 3.8.6.1; T-RAT's receiver-limited class

use std::net::IpAddr;

use super::trace::{Groups, Trace, ip_field, percent, rate, span, times};
use super::{Detector, Finding, Limited, Seen, Severity};
use crate::flow::{Cause, EventKind};
use crate::net::Direction;

/// Shut time worth telling.
const MIN_SHUT: f64 = 0.1;
/// Shut time that users feel.
const BAD_SHUT: f64 = 0.5;
/// Share of the busy time with a full window.
const FULL_SHARE: f64 = 0.3;
/// And at least so much of it.
const FULL_SECONDS: f64 = 0.25;

#[derive(Default)]
struct Pair {
    shut: f64,
    times: u64,
    shut_trace: Trace,
    full: f64,
    busy: f64,
    window: u64,
    rtt: f64,
    scaled: Option<bool>,
    /// Whether the SYN of who receives has window scale.
    offered: Option<bool>,
    /// Octets that the window seems to be where the sender is, and those offered here.
    lowered: Option<(u64, u64)>,
    full_trace: Trace,
}

/// Yes, no, or not known.
fn told(answer: Option<bool>) -> f64 {
    answer.map_or(-1.0, |yes| f64::from(u8::from(yes)))
}

/// See the head of this file.
#[derive(Default)]
pub(super) struct Window {
    pairs: Groups<(IpAddr, IpAddr), Pair>,
}

impl Detector for Window {
    fn flow(&mut self, seen: Seen<'_>, _out: &mut Vec<Finding>) {
        let f = seen.flow;
        for direction in Direction::BOTH {
            let (data, owner) = (f.half(direction), f.half(direction.reverse()));
            let key = (f.sender(direction).addr, f.sender(direction.reverse()).addr);
            let shut = owner.zero_window_time.as_secs_f64();
            let Some(p) = self.pairs.group(key) else {
                continue;
            };
            if owner.zero_windows > 0 && data.data_segments > 0 {
                p.shut += shut;
                p.times += owner.zero_windows;
                p.shut_trace.flow(f, f.start, f.end);
                for e in f
                    .events
                    .iter()
                    .filter(|e| e.direction == direction.reverse())
                {
                    match e.kind {
                        EventKind::ZeroWindow => p.shut_trace.proof(f, e.frame, || {
                            format!("{} shuts its window", f.sender(direction.reverse()))
                        }),
                        EventKind::WindowOpened { shut } => p.shut_trace.proof(f, e.frame, || {
                            format!("and opens it again after {}", span(shut.as_secs_f64()))
                        }),
                        _ => {}
                    }
                }
            }
            let full: f64 = f
                .time
                .iter()
                .filter(|t| t.0 == Cause::ReceiveWindow)
                .map(|t| t.1.as_secs_f64())
                .sum();
            let limited = data.window_limited.as_secs_f64().min(full.max(0.0) + 1e-9);
            p.busy += data.busy.as_secs_f64();
            if limited > 0.0 {
                p.full += limited;
                let pinned = data.pinned.filter(|p| p.by_window);
                p.lowered = pinned
                    .map(|pinned| (pinned.octets, owner.max_window))
                    .or(p.lowered);
                // Beside the receiver some of what is on its way has not come yet.
                let beside_receiver = f.is_beside_sender(direction.reverse());
                let unscaled = owner.max_window <= u64::from(u16::MAX);
                let filled = if beside_receiver && unscaled && pinned.is_none() {
                    owner.max_window
                } else {
                    data.max_flight
                };
                p.window = p.window.max(filled).max(pinned.map_or(0, |p| p.octets));
                if let Some(r) = f
                    .handshake
                    .rtt
                    .map(|d| d.as_secs_f64())
                    .or_else(|| data.rtt.map(|r| r.median.as_secs_f64()))
                {
                    p.rtt = p.rtt.max(r);
                }
                p.scaled = owner
                    .syn_seen
                    .then_some(owner.window_scale.is_some() && data.window_scale.is_some())
                    .or(p.scaled);
                p.offered = owner
                    .syn_seen
                    .then_some(owner.window_scale.is_some())
                    .or(p.offered);
                p.full_trace.flow(f, f.start, f.end);
                p.full_trace.proof(f, f.first_frame, || {
                    format!(
                        "flow with a full window for {} of the {} that it lasted; the window was never more than {} octets",
                        span(limited),
                        span(f.duration().as_secs_f64()),
                        owner.max_window
                    )
                });
            }
        }
    }

    fn limited(&mut self) -> Vec<&mut dyn Limited> {
        vec![&mut self.pairs]
    }

    fn finish(&mut self, out: &mut Vec<Finding>) {
        for ((from, to), p) in self.pairs.take() {
            if p.shut >= MIN_SHUT {
                let severity = if p.shut >= BAD_SHUT {
                    Severity::Warning
                } else {
                    Severity::Info
                };
                let mut f = p.shut_trace.finding(
                    "window.zero",
                    severity,
                    0.97,
                    format!("{to} shut its receive window {}, {} in all: its application did not read what {from} sent", times(p.times), span(p.shut)),
                );
                f.subject = Some(to);
                f.peer = Some(from);
                f.seconds_lost = Some(p.shut);
                f.measures = vec![("shut_seconds", p.shut), ("times", p.times as f64)];
                f.display_filter = format!(
                    "tcp.analysis.zero_window && {ip}.src == {to}",
                    ip = ip_field(to)
                );
                out.push(f);
            }
            if p.full >= FULL_SECONDS && p.full >= FULL_SHARE * p.busy && p.shut < p.full {
                let ceiling = if p.rtt > 0.0 {
                    p.window as f64 * 8.0 / p.rtt
                } else {
                    0.0
                };
                let small = p.window < 70_000;
                let mut f = p.full_trace.finding(
                    "limit.receive-window",
                    if small || p.full > 1.0 { Severity::Warning } else { Severity::Info },
                    if p.lowered.is_some() { 0.65 } else { 0.85 },
                    match p.lowered {
                        Some((octets, offered)) => format!(
                            "{from} sent no more than {octets} octets to {to} in each round trip of {}, as only a window makes it do, though {to} offers up to {offered} here: that allows {}",
                            span(p.rtt),
                            rate(octets as f64 * 8.0 / p.rtt.max(1e-6))
                        ),
                        None => format!(
                            "{from} waited for the receive window of {to} in {} of the time with data on its way: {} octets at most in each round trip of {} allow {}",
                            percent(p.full / p.busy.max(p.full)),
                            p.window,
                            span(p.rtt),
                            rate(ceiling)
                        ),
                    },
                );
                f.subject = Some(to);
                f.peer = Some(from);
                f.seconds_lost = Some(p.full);
                if let Some((octets, offered)) = p.lowered {
                    f.against.push(format!(
                        "{to} offers {offered} octets here, and {from} stops at {octets} each round trip as only a window makes it do: a device \
                         between here and {from} seems to lower the window; a capture beside {from} decides"
                    ));
                }
                f.measures = vec![
                    ("window_octets", p.window as f64),
                    ("rtt_ms", p.rtt * 1e3),
                    ("share", p.full / p.busy.max(p.full)),
                    ("scaled", told(p.scaled)),
                    ("offers_scale", told(p.offered)),
                    ("lowered", f64::from(u8::from(p.lowered.is_some()))),
                ];
                let ip = ip_field(from);
                f.display_filter = if p.lowered.is_some() {
                    format!(
                        "{ip}.addr == {from} && {ip}.addr == {to} && tcp.analysis.bytes_in_flight"
                    )
                } else {
                    // Wireshark calls a window full at one moment only; the receiver's offers show it all along.
                    format!(
                        "(tcp.analysis.window_full && {ip}.src == {from}) || ({ip}.src == {to} && {ip}.dst == {from} && tcp.window_size <= {})",
                        p.window
                    )
                };
                out.push(f);
            }
        }
    }
}
