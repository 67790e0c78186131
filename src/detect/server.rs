//! Finds servers that answer late although the request had reached them, whatever they speak.
//!
//! Reads:   exchanges of dialogs, less what the network took of them
//! Yields:  `server.slow`: one for each service
//! Silent:  SMTP and SMB, which have detectors of their own; answers within half a second or five round trips; waits that a repair
//!          or a shut window explains; the words with which a server ends a silent connection; a single late answer is info; services whose late answers sum to less than a second, or to less than a tenth of their
//!          connections' life and of their answers
//! Source:  the thresholds are ours

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::trace::{MAX_GROUPS, Trace, percent, plural, span};
use super::wait::{self, Request};
use super::{Detector, Finding, Seen, Severity};

/// Sum from which users feel it.
const LEAST_SECONDS: f64 = 1.0;
/// An answer this late, with which the server closes, is no answer: a timer ran out.
const TIMER: f64 = 10.0;
/// A single late answer makes users wait from here on.
const LONE_SECONDS: f64 = 3.0;
/// Share of the connections' life, or of the answers, that has to be late.
const LEAST_SHARE: f64 = 0.1;

#[derive(Default)]
struct Service {
    application: &'static str,
    answers: u64,
    late: u64,
    acknowledged: u64,
    seconds: f64,
    longest: f64,
    life: f64,
    clients: Vec<IpAddr>,
    trace: Trace,
}

/// See the head of this file.
#[derive(Default)]
pub(super) struct Slow {
    services: BTreeMap<(IpAddr, u16), Service>,
}

impl Detector for Slow {
    fn flow(&mut self, seen: Seen<'_>, _out: &mut Vec<Finding>) {
        let d = seen.dialog;
        if d.exchanges.is_empty() || d.smtp.is_some() || d.smb.is_some() {
            return;
        }
        let f = seen.flow;
        let (server, client) = wait::ends(seen);
        let key = (server.addr, server.port);
        if self.services.len() >= MAX_GROUPS && !self.services.contains_key(&key) {
            return;
        }
        let s = self.services.entry(key).or_default();
        s.application = d.application;
        s.life += f.duration().as_secs_f64();
        if s.clients.len() < 64 && !s.clients.contains(&client) {
            s.clients.push(client);
        }
        for e in &d.exchanges {
            let Some(answered) = e.answered else {
                continue;
            };
            s.answers += 1;
            if answered.seconds_since(e.requested) < wait::LATE {
                continue;
            }
            let request = Request {
                sent: e.requested,
                acked: e.acked,
                queued: false,
            };
            let Some(held) = wait::held(f, e.direction, request, answered) else {
                continue;
            };
            let closes = f.close.by == Some(e.direction.reverse().sender())
                && f.close
                    .at
                    .is_some_and(|at| at.seconds_since(answered).abs() < 1.0);
            if !wait::is_late(held.seconds, wait::round_trip(f, e.direction))
                || (closes && held.seconds >= TIMER)
            {
                continue;
            }
            s.late += 1;
            s.acknowledged += u64::from(held.acknowledged);
            s.seconds += held.seconds;
            s.longest = s.longest.max(held.seconds);
            s.trace.flow(f, e.requested, answered);
            s.trace.proof(f, e.request_frame, || {
                if held.acknowledged {
                    format!("{}, acknowledged at once", e.name)
                } else {
                    e.name.clone()
                }
            });
            if let Some(frame) = e.answer_frame {
                s.trace.proof(f, frame, || {
                    format!("the answer, {} later", span(held.seconds))
                });
            }
        }
    }

    #[allow(clippy::cast_precision_loss)]
    fn finish(&mut self, out: &mut Vec<Finding>) {
        for ((addr, port), s) in std::mem::take(&mut self.services) {
            let share = s.late as f64 / s.answers.max(1) as f64;
            if s.seconds < LEAST_SECONDS
                || (s.seconds < LEAST_SHARE * s.life && share < LEAST_SHARE)
            {
                continue;
            }
            let summary = format!(
                "{addr} is slow to answer on port {port}: {} of {} came {} late on average, {} at most; {} of its connections' life",
                s.late,
                plural(s.answers, "answer"),
                span(s.seconds / s.late.max(1) as f64),
                span(s.longest),
                percent((s.seconds / s.life.max(f64::MIN_POSITIVE)).min(1.0))
            );
            let sure = s.acknowledged * 2 >= s.late;
            let lone =
                s.late == 1 && (s.seconds < LONE_SECONDS || !sure || s.application == "unknown");
            let severity = if lone {
                Severity::Info
            } else {
                Severity::Warning
            };
            let confidence = if sure { 0.9 } else { 0.6 };
            let mut f = s
                .trace
                .finding("server.slow", severity, confidence, summary);
            f.subject = Some(addr);
            f.peer = s.clients.first().copied().filter(|_| s.clients.len() == 1);
            f.seconds_lost = Some(s.seconds);
            f.measures = vec![
                ("count", s.late as f64),
                ("share", share),
                ("seconds", s.seconds),
                ("delay_s", s.seconds / s.late.max(1) as f64),
                ("max_s", s.longest),
                ("port", f64::from(port)),
            ];
            f.words = vec![("application", s.application.to_owned())];
            if !sure {
                f.against.push(
                    "the acknowledgements of most requests were not seen: they may have arrived late"
                        .to_owned(),
                );
            }
            out.push(f);
        }
    }
}
