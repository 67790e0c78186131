//! Finds clients that make poor use of SMTP: a connection for every message, floods of recipients.
//!
//! Reads:   messages and refused recipients of dialogs, and the time that setting up and closing took
//! Yields:  `smtp.one-message-per-connection`, `smtp.recipient-flood`: one of each for a client and a server
//! Silent:  fewer than ten connections, connections far apart in time, or less than a second spent on opening and closing; lists of less than 200 recipients that are accepted
//! Source:  RFC 5321 section 3.3; Exchange's limits of recipients; the thresholds are ours

use super::trace::{Groups, PairKey, Trace, percent, plural, span};
use super::wait;
use super::{Detector, Finding, Limited, Seen, Severity};
use crate::net::Timestamp;
use crate::proto::SmtpPhase;

/// Connections from which their use is judged, and the share of them with one message.
const LEAST_CONNECTIONS: u64 = 10;
const SINGLE_SHARE: f64 = 0.9;
/// Seconds of opening and closing below which it is not worth a word.
const LEAST_SETUP: f64 = 1.0;
/// Connections further apart than this have nothing to share.
const SECONDS_APART: f64 = 6.0;
/// Connections, seconds and share of time from which users wait for it.
const COSTLY: (u64, f64, f64) = (100, 30.0, 0.5);
/// Refused recipients, and their share, from which somebody guesses addresses.
const GUESSES: u64 = 20;
const GUESSED_SHARE: f64 = 0.5;
/// Recipients of one message that are many.
const MANY_RECIPIENTS: u32 = 200;
/// Messages in a minute with one recipient each.
const SINGLES_A_MINUTE: f64 = 100.0;

#[derive(Default)]
struct Pair {
    connections: u64,
    single: u64,
    messages: u64,
    one_recipient: u64,
    setup: f64,
    life: f64,
    recipients: u64,
    refused: u64,
    most: u32,
    span: Option<(Timestamp, Timestamp)>,
    trace: Trace,
    refused_trace: Trace,
}

/// See the head of this file.
#[derive(Default)]
pub(super) struct Use {
    pairs: Groups<PairKey, Pair>,
}

impl Detector for Use {
    fn flow(&mut self, seen: Seen<'_>, _out: &mut Vec<Finding>) {
        let Some(smtp) = &seen.dialog.smtp else {
            return;
        };
        let f = seen.flow;
        let (server, client) = wait::ends(seen);
        let key = (server.addr, client, server.port);
        let Some(p) = self.pairs.group(key) else {
            return;
        };
        for step in smtp.steps.iter().filter(|s| s.verb == "RCPT") {
            let Some(code) = step.code else {
                continue;
            };
            p.recipients += 1;
            if (500..600).contains(&code) {
                p.refused += 1;
                p.refused_trace.flow(f, step.sent, step.sent);
                let frame = step.reply_frame.unwrap_or(step.frame);
                p.refused_trace
                    .proof(f, frame, || format!("RCPT is answered {code}"));
            }
        }
        let messages = smtp.messages.len() as u64;
        if messages == 0 {
            return;
        }
        p.connections += 1;
        p.single += u64::from(messages == 1);
        p.messages += messages;
        for m in &smtp.messages {
            p.most = p.most.max(m.recipients);
            p.one_recipient += u64::from(m.recipients == 1);
        }
        let setup: f64 = smtp
            .phases
            .iter()
            .filter(|(phase, _, _)| {
                matches!(
                    phase,
                    SmtpPhase::Greeting
                        | SmtpPhase::Ehlo
                        | SmtpPhase::Tls
                        | SmtpPhase::Auth
                        | SmtpPhase::Quit
                )
            })
            .map(|(_, times, _)| times.sum.as_secs_f64())
            .sum();
        p.setup += setup + f.handshake.connect_time.unwrap_or_default().as_secs_f64();
        p.life += f.duration().as_secs_f64();
        let (start, end) = p.span.unwrap_or((f.start, f.end));
        p.span = Some((start.min(f.start), end.max(f.end)));
        p.trace.flow(f, f.start, f.end);
        p.trace.proof(f, f.first_frame, || {
            format!("a connection for {}", plural(messages, "message"))
        });
    }

    fn limited(&mut self) -> Vec<&mut dyn Limited> {
        vec![&mut self.pairs]
    }

    fn finish(&mut self, out: &mut Vec<Finding>) {
        for (key, p) in self.pairs.take() {
            out.extend(p.one_message(key));
            out.extend(p.flood(key));
        }
    }
}

impl Pair {
    fn seconds(&self) -> f64 {
        self.span
            .map_or(0.0, |(start, end)| end.seconds_since(start))
    }

    fn one_message(&self, key: PairKey) -> Option<Finding> {
        let share = self.single as f64 / self.connections.max(1) as f64;
        let apart = self.seconds() / self.connections.max(1) as f64;
        if self.connections < LEAST_CONNECTIONS
            || share < SINGLE_SHARE
            || apart > SECONDS_APART
            || self.setup < LEAST_SETUP
        {
            return None;
        }
        let part = self.setup / self.life.max(f64::MIN_POSITIVE);
        let (many, long, much) = COSTLY;
        let costly = self.connections >= many && self.setup >= long && part >= much;
        let summary = format!(
            "{} opens a connection to {} for every message: {} for {}, {} of them ({}) spent on opening and closing",
            key.1,
            key.0,
            plural(self.connections, "connection"),
            plural(self.messages, "message"),
            span(self.setup),
            percent(part.min(1.0))
        );
        let severity = if costly {
            Severity::Warning
        } else {
            Severity::Info
        };
        let mut f = self.trace.clone().of_pair(
            "smtp.one-message-per-connection",
            (severity, 0.9),
            summary,
            key,
            "smtp",
        );
        f.seconds_lost = Some(self.setup);
        f.measures.extend([
            ("count", self.connections as f64),
            ("messages", self.messages as f64),
            (
                "per_connection",
                self.messages as f64 / self.connections.max(1) as f64,
            ),
            ("seconds", self.setup),
            ("share", part),
        ]);
        Some(f)
    }

    fn flood(&self, key: PairKey) -> Option<Finding> {
        let share = self.refused as f64 / self.recipients.max(1) as f64;
        let a_minute = self.one_recipient as f64 / (self.seconds() / 60.0).max(1.0);
        let (severity, confidence, cause, summary) =
            if self.refused >= GUESSES && share >= GUESSED_SHARE {
                (
                    Severity::Warning,
                    0.85,
                    "guessing",
                    format!(
                        "{} names recipients that {} does not know: {} of {} refused",
                        key.1, key.0, self.refused, self.recipients
                    ),
                )
            } else if self.most >= MANY_RECIPIENTS {
                (
                    Severity::Info,
                    0.9,
                    "list",
                    format!(
                        "{} sends messages with up to {} recipients to {}",
                        key.1, self.most, key.0
                    ),
                )
            } else if a_minute >= SINGLES_A_MINUTE && self.one_recipient * 10 >= self.messages * 9 {
                (
                    Severity::Info,
                    0.8,
                    "singles",
                    format!(
                        "{} sends {a_minute:.0} messages a minute to {}, one for each recipient",
                        key.1, key.0
                    ),
                )
            } else {
                return None;
            };
        let trace = if cause == "guessing" {
            &self.refused_trace
        } else {
            &self.trace
        };
        let mut f = trace.clone().of_pair(
            "smtp.recipient-flood",
            (severity, confidence),
            summary,
            key,
            "smtp",
        );
        f.subject = Some(key.1);
        f.peer = Some(key.0);
        f.measures.extend([
            ("recipients", f64::from(self.most)),
            ("count", self.refused as f64),
            ("share", share),
            ("rate", a_minute),
        ]);
        f.words.push(("cause", cause.to_owned()));
        if cause != "guessing" {
            f.against
                .push("a large but regular mailing looks the same".to_owned());
        }
        Some(f)
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn key() -> PairKey {
        let addr = |n| IpAddr::from(Ipv4Addr::new(192, 0, 2, n));
        (addr(1), addr(2), 25)
    }

    #[test]
    fn one_message_each() {
        let busy = Pair {
            connections: 200,
            single: 200,
            messages: 200,
            setup: 60.0,
            life: 90.0,
            span: Some((Timestamp(0), Timestamp(100_000_000_000))),
            ..Pair::default()
        };
        for (name, pair, want) in [
            (
                "many, and most of the time",
                part(&busy),
                Some(Severity::Warning),
            ),
            (
                "cheap ones",
                Pair {
                    setup: 3.0,
                    ..part(&busy)
                },
                Some(Severity::Info),
            ),
            (
                "some carry more",
                Pair {
                    single: 150,
                    ..part(&busy)
                },
                None,
            ),
            (
                "nine are few",
                Pair {
                    connections: 9,
                    single: 9,
                    ..part(&busy)
                },
                None,
            ),
            (
                "one a minute",
                Pair {
                    span: Some((Timestamp(0), Timestamp(12_000_000_000_000))),
                    ..part(&busy)
                },
                None,
            ),
        ] {
            assert_eq!(pair.one_message(key()).map(|f| f.severity), want, "{name}");
        }
    }

    fn part(p: &Pair) -> Pair {
        Pair {
            connections: p.connections,
            single: p.single,
            messages: p.messages,
            setup: p.setup,
            life: p.life,
            span: p.span,
            ..Pair::default()
        }
    }

    #[test]
    fn floods() {
        let base = || Pair {
            messages: 5,
            recipients: 40,
            most: 3,
            ..Pair::default()
        };
        for (name, pair, want) in [
            (
                "most are unknown",
                Pair {
                    refused: 25,
                    ..base()
                },
                Some(Severity::Warning),
            ),
            (
                "some are",
                Pair {
                    refused: 19,
                    ..base()
                },
                None,
            ),
            (
                "a large list",
                Pair {
                    most: 300,
                    ..base()
                },
                Some(Severity::Info),
            ),
            (
                "one by one, fast",
                Pair {
                    messages: 500,
                    one_recipient: 500,
                    ..base()
                },
                Some(Severity::Info),
            ),
            ("nothing special", base(), None),
        ] {
            assert_eq!(pair.flood(key()).map(|f| f.severity), want, "{name}");
        }
    }
}
