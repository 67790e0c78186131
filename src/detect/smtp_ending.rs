//! Finds SMTP sessions that ended without goodbye, and those that a timer ended.
//!
//! Reads:   ends of flows with the phase in which the dialog stood; 421s that name a timer
//! Yields:  `smtp.connection-dropped`, `smtp.timeout`: one of each for a client and a server
//! Silent:  sessions that said QUIT, or whose client left with nothing outstanding; those that a 421 of another kind ended;
//!          encrypted ones, unless data was outstanding at a reset; connections of which one direction is missing
//! Source:  RFC 5321 sections 3.8 and 4.5.3.2; Exchange's ConnectionTimeout (600 s, Edge 300) and ConnectionInactivityTimeout
//!          (300 s, Edge 60), Postfix's smtpd_timeout (300 s)

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::smtp_reply::{self, Topic, words};
use super::trace::{Groups, Trace, plural, span};
use super::wait;
use super::{Detector, Finding, Limited, Seen, Severity};
use crate::flow::{End, EventKind, FlowRecord};
use crate::net::{Direction, FrameNo, Side};
use crate::proto::{SmtpPhase, SmtpRecord};

/// Timers of servers: silence, and life of a connection; and how near a match has to be.
const SILENCES: [f64; 3] = [60.0, 300.0, 600.0];
const LIVES: [f64; 2] = [300.0, 600.0];
const SLACK: f64 = 0.02;
/// A client that leaves an unanswered connection sooner only looked whether the port is open.
const PROBE: f64 = 2.0;

/// How a session ended that did not end well.
#[derive(Clone, Debug, PartialEq)]
enum Ending {
    /// A timer of so many seconds: `inactivity`, `lifetime`, or as the server says.
    Timer { seconds: f64, which: &'static str },
    /// Without a word.
    Dropped,
}

/// What of a session's end matters.
#[derive(Clone, Copy, Debug)]
struct Last {
    how: End,
    by: Option<Side>,
    phase: SmtpPhase,
    outstanding: bool,
    idle: f64,
    life: f64,
    encrypted: bool,
    pending: bool,
}

/// How a session ended, if not well.
fn ending(last: &Last) -> Option<Ending> {
    if !matches!(last.how, End::Fin | End::Reset) {
        return None;
    }
    let near = |value: f64, timers: &[f64]| {
        timers
            .iter()
            .copied()
            .find(|timer| (value / timer - 1.0).abs() <= SLACK)
    };
    if let Some(seconds) = near(last.idle, &SILENCES) {
        return Some(Ending::Timer {
            seconds,
            which: "inactivity",
        });
    }
    if last.by == Some(Side::Server)
        && last.outstanding
        && let Some(seconds) = near(last.life, &LIVES)
    {
        return Some(Ending::Timer {
            seconds,
            which: "lifetime",
        });
    }
    if last.encrypted {
        return (last.how == End::Reset && last.pending).then_some(Ending::Dropped);
    }
    if last.phase == SmtpPhase::Greeting && last.by == Some(Side::Client) && last.life < PROBE {
        return None;
    }
    let by_server = last.by == Some(Side::Server);
    (last.outstanding || last.pending || by_server).then_some(Ending::Dropped)
}

#[derive(Default)]
struct Group {
    count: u64,
    outstanding: u64,
    by_server: u64,
    resets: u64,
    middlebox: u64,
    stuck: u64,
    seconds: f64,
    timer: f64,
    which: &'static str,
    phases: BTreeMap<SmtpPhase, u64>,
    reply: String,
    trace: Trace,
}

/// See the head of this file.
#[derive(Default)]
pub(super) struct Endings {
    dropped: Groups<(IpAddr, IpAddr, u16), Group>,
    timers: Groups<(IpAddr, IpAddr, u16), Group>,
    taken: Groups<(IpAddr, IpAddr, u16), u64>,
}

/// Whether the client left when only the server's last words were on their way: it need not wait for them.
fn leaves_last_words(f: &FlowRecord) -> bool {
    const LAST_WORDS: u64 = 1_000;
    let asks = f.close.by.map(Side::sends);
    asks == Some(Direction::ClientToServer)
        && f.half(Direction::ClientToServer).unacked_octets <= 1
        && f.half(Direction::ServerToClient).unacked_octets < LAST_WORDS
}

/// A 421 that names a timer: its frame and words, and after how many seconds in which the client owed the next word.
fn named_timer(smtp: &SmtpRecord) -> Option<(FrameNo, String, f64)> {
    let r = smtp
        .refusals
        .iter()
        .find(|r| smtp_reply::topic(&r.verb, r.code, r.enhanced, &r.text) == Topic::Timer)?;
    let before = smtp.steps.iter().filter_map(|s| s.replied);
    let last = before.filter(|replied| *replied < r.time).max();
    let silence = last.map_or(0.0, |last| r.time.seconds_since(last));
    Some((r.frame, words(r.code, r.enhanced, &r.text), silence))
}

impl Detector for Endings {
    fn flow(&mut self, seen: Seen<'_>, _out: &mut Vec<Finding>) {
        let Some(smtp) = &seen.dialog.smtp else {
            return;
        };
        let f = seen.flow;
        let (server, client) = wait::ends(seen);
        let key = (server.addr, client, server.port);
        let accepted = smtp.messages.iter().filter(|m| m.accepted == Some(true));
        if let Some(taken) = self.taken.group(key) {
            *taken += accepted.count() as u64;
        }
        if f.halves.iter().any(|h| h.frames == 0) || smtp.orderly {
            return;
        }
        let by_word = named_timer(smtp);
        let turned_off = smtp.refusals.iter().any(|r| r.code == 421);
        if smtp.commands.contains_key("QUIT") || (turned_off && by_word.is_none()) {
            return;
        }
        let established = smtp.steps.iter().any(|s| s.verb == "TLS");
        if smtp.tls != "none" && !smtp.tls.is_empty() && !established {
            // A handshake that failed is told as such.
            return;
        }
        if f.truncated > 0 && by_word.is_none() && f.close.how != End::Reset {
            // The goodbye may be what the snap length cut off.
            return;
        }
        let step = smtp.steps.last();
        let at = smtp.last_phase.unwrap_or(SmtpPhase::Client);
        let outstanding = step.is_some_and(|s| s.replied.is_none() && !s.inferred)
            || matches!(
                at,
                SmtpPhase::Transfer | SmtpPhase::EndOfData | SmtpPhase::Greeting
            );
        let last = Last {
            how: f.close.how,
            by: f.close.asked_by(),
            phase: at,
            outstanding,
            idle: f.close.idle_before.unwrap_or_default().as_secs_f64(),
            life: f.close.at.unwrap_or(f.end).seconds_since(f.start),
            encrypted: established,
            pending: f.close.with_data_pending && !leaves_last_words(f),
        };
        let found = if let Some((frame, reply, seconds)) = by_word {
            Some((
                Ending::Timer {
                    seconds,
                    which: "reply",
                },
                Some(frame),
                reply,
            ))
        } else {
            let frame = f.close.answers.or(f.close.frame);
            ending(&last).map(|e| (e, frame, String::new()))
        };
        let Some((ending, frame, reply)) = found else {
            return;
        };
        let map = match ending {
            Ending::Timer { .. } => &mut self.timers,
            Ending::Dropped => &mut self.dropped,
        };
        let Some(g) = map.group(key) else {
            return;
        };
        g.count += 1;
        // On its way behind a 421 is that reply itself.
        let waited = outstanding || (last.pending && reply.is_empty());
        g.outstanding += u64::from(waited);
        g.by_server += u64::from(last.by == Some(Side::Server) || !reply.is_empty());
        g.resets += u64::from(last.how == End::Reset);
        g.middlebox += u64::from(f.close.reset_by_middlebox);
        g.stuck += u64::from(
            f.events
                .iter()
                .any(|e| matches!(e.kind, EventKind::Stuck { sends, .. } if sends >= 4)),
        );
        *g.phases.entry(at).or_default() += 1;
        let progress = smtp.steps.iter().rev().find_map(|s| s.replied);
        if waited || !matches!(ending, Ending::Timer { .. }) {
            g.seconds += f.end.seconds_since(progress.unwrap_or(f.start)).max(0.0);
        }
        if let Ending::Timer { seconds, which } = ending {
            (g.timer, g.which) = (seconds, which);
        }
        if !reply.is_empty() {
            g.reply.clone_from(&reply);
        }
        let from = f.close.at.unwrap_or(f.end);
        g.trace.flow(f, progress.unwrap_or(from), from);
        if let Some(step) = step.filter(|s| s.replied.is_none()) {
            g.trace.proof(f, step.frame, || {
                format!(
                    "{}, never answered",
                    if step.verb == "." {
                        "end of data"
                    } else {
                        &step.verb
                    }
                )
            });
        }
        if let Some(frame) = frame {
            g.trace.proof(f, frame, || {
                if reply.is_empty() {
                    format!(
                        "{} from the {} in phase {}, after {} of silence",
                        if last.how == End::Reset && f.close.answers.is_none() {
                            "RST"
                        } else {
                            "FIN"
                        },
                        match last.by {
                            Some(Side::Server) => "server",
                            Some(Side::Client) => "client",
                            None => "one end",
                        },
                        at.name().replace('_', " "),
                        span(last.idle)
                    )
                } else {
                    reply
                }
            });
        }
        if let (Some(_), Some(reset)) = (f.close.answers, f.close.frame) {
            g.trace
                .proof(f, reset, || "RST in answer to the FIN".to_owned());
        }
    }

    fn limited(&mut self) -> Vec<&mut dyn Limited> {
        vec![&mut self.dropped, &mut self.timers, &mut self.taken]
    }

    fn finish(&mut self, out: &mut Vec<Finding>) {
        let taken = self.taken.take();
        for (key, g) in self.dropped.take() {
            let none_taken = taken.get(&key).is_none_or(|n| **n == 0);
            // Octets that nobody acknowledges have a cause of their own, which is told first.
            let severity = if none_taken && g.outstanding > 0 && g.count > 1 && g.stuck == 0 {
                Severity::Critical
            } else {
                Severity::Warning
            };
            let who = g.who();
            let summary = format!(
                "{} between {} and {} ended without goodbye in phase {}, by {who}{}",
                plural(g.count, "SMTP session"),
                key.1,
                key.0,
                g.worst().name().replace('_', " "),
                if g.stuck > 0 {
                    ", after octets had been sent over and over without acknowledgement"
                } else {
                    ""
                }
            );
            let mut f = g.dress("smtp.connection-dropped", severity, 0.9, summary, key);
            f.words.push((
                "cause",
                if g.middlebox > 0 {
                    "middlebox"
                } else if g.stuck > 0 {
                    "repeats"
                } else {
                    "close"
                }
                .to_owned(),
            ));
            if g.by_server == 0 {
                f.against.push(
                    "the client closed: its own program may have given up for a reason of its own"
                        .to_owned(),
                );
            }
            out.push(f);
        }
        for (key, g) in self.timers.take() {
            let severity = if g.outstanding > 0 {
                Severity::Warning
            } else {
                Severity::Info
            };
            let summary = if g.which == "reply" {
                format!(
                    "{} ended {} with {}{}",
                    key.0,
                    plural(g.count, "session"),
                    g.reply,
                    if g.outstanding == 0 && g.timer > 0.0 {
                        format!(
                            ", after {} had said nothing for {}: nothing was left to be answered",
                            key.1,
                            span(g.timer)
                        )
                    } else {
                        String::new()
                    }
                )
            } else {
                format!(
                    "{} between {} and {} ended after {:.0} s of {}, by {}: the length of a timer",
                    plural(g.count, "SMTP session"),
                    key.1,
                    key.0,
                    g.timer,
                    if g.which == "lifetime" {
                        "life"
                    } else {
                        "silence"
                    },
                    g.who()
                )
            };
            let confidence = if g.which == "reply" { 0.97 } else { 0.8 };
            let mut f = g.dress("smtp.timeout", severity, confidence, summary, key);
            f.measures.push(("delay_s", g.timer));
            f.measures.push(("idle_s", g.timer));
            f.words.push(("cause", g.which.to_owned()));
            if g.which != "reply" {
                f.against
                    .push("no reply names a timer: only the length speaks for one".to_owned());
            }
            out.push(f);
        }
    }
}

impl Group {
    fn worst(&self) -> SmtpPhase {
        self.phases
            .iter()
            .max_by_key(|(_, n)| **n)
            .map_or(SmtpPhase::Client, |(p, _)| *p)
    }

    fn who(&self) -> &'static str {
        if self.middlebox > 0 {
            "a device on the way"
        } else if self.by_server * 2 >= self.count {
            "the server"
        } else {
            "the client"
        }
    }

    fn dress(
        &self,
        id: &'static str,
        severity: Severity,
        confidence: f64,
        summary: String,
        key: (IpAddr, IpAddr, u16),
    ) -> Finding {
        let mut f = self
            .trace
            .clone()
            .finding(id, severity, confidence, summary);
        f.subject = Some(key.0);
        f.peer = Some(key.1);
        f.seconds_lost = (self.seconds > 0.0).then_some(self.seconds);
        f.measures = vec![
            ("count", self.count as f64),
            ("seconds", self.seconds),
            ("middlebox", self.middlebox as f64),
            ("port", f64::from(key.2)),
        ];
        f.words = vec![
            ("application", "smtp".to_owned()),
            ("phase", self.worst().name().to_owned()),
            ("sender", self.who().to_owned()),
        ];
        if !self.reply.is_empty() {
            f.words.push(("reply", self.reply.clone()));
        }
        f
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings() {
        let quiet = Last {
            how: End::Fin,
            by: Some(Side::Client),
            phase: SmtpPhase::Client,
            outstanding: false,
            idle: 1.0,
            life: 4.0,
            encrypted: false,
            pending: false,
        };
        let timer = |seconds, which| Some(Ending::Timer { seconds, which });
        for (name, last, want) in [
            ("the client leaves, all is said", quiet, None),
            (
                "the server leaves without a word",
                Last {
                    by: Some(Side::Server),
                    ..quiet
                },
                Some(Ending::Dropped),
            ),
            (
                "reset in a message",
                Last {
                    how: End::Reset,
                    phase: SmtpPhase::Transfer,
                    outstanding: true,
                    ..quiet
                },
                Some(Ending::Dropped),
            ),
            (
                "no end in the capture",
                Last {
                    how: End::Open,
                    outstanding: true,
                    ..quiet
                },
                None,
            ),
            (
                "five minutes of silence",
                Last {
                    by: Some(Side::Server),
                    idle: 300.4,
                    life: 320.0,
                    ..quiet
                },
                timer(300.0, "inactivity"),
            ),
            (
                "four minutes are no timer",
                Last {
                    by: Some(Side::Server),
                    idle: 240.0,
                    ..quiet
                },
                Some(Ending::Dropped),
            ),
            (
                "ten minutes of life, in work",
                Last {
                    by: Some(Side::Server),
                    outstanding: true,
                    life: 600.2,
                    ..quiet
                },
                timer(600.0, "lifetime"),
            ),
            (
                "ten minutes of life, at rest",
                Last {
                    life: 600.2,
                    ..quiet
                },
                None,
            ),
            (
                "only a look whether the port is open",
                Last {
                    phase: SmtpPhase::Greeting,
                    outstanding: true,
                    life: 0.1,
                    ..quiet
                },
                None,
            ),
            (
                "no greeting for half a minute",
                Last {
                    phase: SmtpPhase::Greeting,
                    outstanding: true,
                    life: 30.0,
                    ..quiet
                },
                Some(Ending::Dropped),
            ),
            (
                "encrypted, closed",
                Last {
                    encrypted: true,
                    outstanding: true,
                    ..quiet
                },
                None,
            ),
            (
                "encrypted, reset with data on its way",
                Last {
                    encrypted: true,
                    how: End::Reset,
                    pending: true,
                    ..quiet
                },
                Some(Ending::Dropped),
            ),
        ] {
            assert_eq!(ending(&last), want, "{name}");
        }
    }
}
