//! Finds servers that answer late although the request had reached them, whatever they speak.
//!
//! Reads:   exchanges of dialogs, less what the network took of them
//! Yields:  `server.slow`: one for each service; of DCE/RPC it names the operation that took most
//! Silent:  SMTP and SMB, which have detectors of their own; answers within half a second or five round trips; waits that a repair
//!          or a shut window explains; the words with which a server ends a silent connection; a single late answer is info; services whose late answers sum to less than a second, or to less than a tenth of their
//!          connections' life and of their answers
//! Source:  the thresholds are ours

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::trace::{Groups, Trace, percent, plural, span};
use super::wait::{self, Held, Request};
use super::{Detector, Finding, Limited, Seen, Severity};

/// Sum from which users feel it.
const LEAST_SECONDS: f64 = 1.0;
/// An answer this late, with which the server closes, is no answer: a timer ran out.
const TIMER: f64 = 10.0;
/// A single late answer makes users wait from here on.
const LONE_SECONDS: f64 = 3.0;
/// Share of the connections' life, or of the answers, that has to be late.
const LEAST_SHARE: f64 = 0.1;
/// Operations of one service told apart; those that come after are late all the same, but not named.
const MAX_OPERATIONS: usize = 256;

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
    /// Late answers and their seconds by operation, where the protocol has such.
    operations: BTreeMap<String, (u64, f64)>,
    trace: Trace,
}

impl Service {
    fn late(&mut self, operation: Option<&str>, held: Held) {
        self.late += 1;
        self.acknowledged += u64::from(held.acknowledged.is_seen());
        self.seconds += held.seconds;
        self.longest = self.longest.max(held.seconds);
        let Some(operation) = operation else {
            return;
        };
        if !self.operations.contains_key(operation) {
            if self.operations.len() >= MAX_OPERATIONS {
                return;
            }
            self.operations.insert(operation.to_owned(), (0, 0.0));
        }
        if let Some((late, seconds)) = self.operations.get_mut(operation) {
            *late += 1;
            *seconds += held.seconds;
        }
    }

    /// The operation that took most of the time, with its late answers and their seconds.
    fn slowest(&self) -> Option<(&str, u64, f64)> {
        self.operations
            .iter()
            .max_by(|a, b| a.1.1.total_cmp(&b.1.1))
            .map(|(name, &(late, seconds))| (name.as_str(), late, seconds))
    }
}

/// See the head of this file.
#[derive(Default)]
pub(super) struct Slow {
    services: Groups<(IpAddr, u16), Service>,
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
        let Some(s) = self.services.group(key) else {
            return;
        };
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
            s.late(d.rpc.is_some().then_some(&*e.name), held);
            s.trace.flow(f, e.requested, answered);
            s.trace.proof(f, e.request_frame, || {
                format!("{}{}", e.name, held.acknowledged.words())
            });
            if let Some(frame) = e.answer_frame {
                s.trace.proof(f, frame, || {
                    format!("the answer, {} later", span(held.seconds))
                });
            }
        }
    }

    fn limited(&mut self) -> Vec<&mut dyn Limited> {
        vec![&mut self.services]
    }

    fn finish(&mut self, out: &mut Vec<Finding>) {
        for ((addr, port), s) in self.services.take() {
            let share = s.late as f64 / s.answers.max(1) as f64;
            if s.seconds < LEAST_SECONDS
                || (s.seconds < LEAST_SHARE * s.life && share < LEAST_SHARE)
            {
                continue;
            }
            let slowest = s
                .slowest()
                .map(|(name, late, seconds)| (name.to_owned(), late, seconds));
            let operation = match &slowest {
                Some((name, late, _)) if *late == s.late => format!(", to {name}"),
                Some((name, late, seconds)) => {
                    format!(", {late} of them to {name} ({} in all)", span(*seconds))
                }
                None => String::new(),
            };
            let summary = format!(
                "{addr} is slow to answer on port {port}: {} of {} came {} late on average, {} at most{operation}; {} of its connections' life",
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
            f.words
                .extend(slowest.map(|(name, ..)| ("operation", name)));
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn the_operation_that_took_most_is_named() {
        const EXT2: &str = "EMSMDB EcDoRpcExt2";
        const MAP: &str = "EPM ept_map";
        type Late<'a> = &'a [(Option<&'a str>, f64)];
        let cases: [(&str, Late<'_>, &str); 4] = [
            (
                "a protocol without operations",
                &[(None, 4.0)],
                "4.0 s at most; ",
            ),
            (
                "one operation",
                &[(Some(EXT2), 4.0), (Some(EXT2), 1.0)],
                "4.0 s at most, to EMSMDB EcDoRpcExt2; ",
            ),
            (
                "most often is not longest",
                &[(Some(MAP), 1.0), (Some(MAP), 1.0), (Some(EXT2), 4.0)],
                "4.0 s at most, 1 of them to EMSMDB EcDoRpcExt2 (4.0 s in all); ",
            ),
            (
                "two that are the same",
                &[(Some(MAP), 1.0), (Some(EXT2), 2.0), (Some(EXT2), 2.0)],
                "2.0 s at most, 2 of them to EMSMDB EcDoRpcExt2 (4.0 s in all); ",
            ),
        ];
        for (name, late, says) in cases {
            let mut service = Service {
                answers: 10,
                life: 20.0,
                ..Service::default()
            };
            for &(operation, seconds) in late {
                let acknowledged = wait::Acknowledged::AtOnce;
                service.late(
                    operation,
                    Held {
                        seconds,
                        acknowledged,
                    },
                );
            }
            let mut slow = Slow::default();
            let server = Ipv4Addr::new(192, 0, 2, 1).into();
            *slow.services.group((server, 6001)).unwrap() = service;
            let mut out = Vec::new();
            slow.finish(&mut out);
            let summary = &out.first().unwrap().summary;
            assert!(summary.contains(says), "{name}: {summary}");
        }
    }
}
