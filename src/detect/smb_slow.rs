//! Finds file servers that answer late although the request had reached them.
//!
//! Reads:   SMB requests and responses, less what the network took of them
//! Yields:  `smb.slow-server`: for each server one for logons and one for all else
//! Silent:  requests that wait by design (change notification, locks, pipes, echo); responses within 0.3 s or five round trips;
//!          servers whose late responses sum to less than a second, or to less than a tenth of their connections' life and of the
//!          responses to those commands
//! Source:  MS-SMB2 section 3.3.4.2 (interim responses); thresholds are ours, above what a delayed acknowledgement costs

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;

use super::trace::{Groups, Trace, plural, span};
use super::wait::{self, Request};
use super::{Detector, Finding, Limited, Seen, Severity};

/// From here on a response is late.
const LATE: f64 = 0.3;
/// Sum and share from which users feel it.
const LEAST_SECONDS: f64 = 1.0;
const LEAST_SHARE: f64 = 0.1;
/// Commands that wait for something to happen.
const WAITING: [&str; 9] = [
    "NOTIFY",
    "LOCK",
    "IOCTL",
    "ECHO",
    "CANCEL",
    "BREAK",
    "TRANSACTION",
    "NT_TRANSACT",
    "NMPIPE",
];

#[derive(Default)]
struct Command {
    responses: u64,
    late: u64,
    acknowledged: u64,
    seconds: f64,
    longest: f64,
}

#[derive(Default)]
struct Server {
    commands: BTreeMap<Cow<'static, str>, Command>,
    life: f64,
    clients: Vec<IpAddr>,
    trace: Trace,
}

/// See the head of this file.
#[derive(Default)]
pub(super) struct Slow {
    servers: Groups<(IpAddr, u16, bool), Server>,
}

fn is_logon(command: &str) -> bool {
    command.contains("SESSION_SETUP") || command.contains("NEGOTIATE")
}

fn waits_by_design(command: &str) -> bool {
    WAITING.iter().any(|one| command.contains(one))
}

impl Detector for Slow {
    fn flow(&mut self, seen: Seen<'_>, _out: &mut Vec<Finding>) {
        if seen.dialog.smb.is_none() {
            return;
        }
        let f = seen.flow;
        let (server, client) = wait::ends(seen);
        for logon in [false, true] {
            let key = (server.addr, server.port, logon);
            let Some(s) = self.servers.group(key) else {
                return;
            };
            s.life += f.duration().as_secs_f64();
            if s.clients.len() < 64 && !s.clients.contains(&client) {
                s.clients.push(client);
            }
            for e in &seen.dialog.exchanges {
                let Some(answered) = e.answered else {
                    continue;
                };
                if is_logon(&e.name) != logon || waits_by_design(&e.name) {
                    continue;
                }
                if s.commands.len() >= 100 && !s.commands.contains_key(&e.name) {
                    continue;
                }
                let c = s.commands.entry(e.name.clone()).or_default();
                c.responses += 1;
                if answered.seconds_since(e.requested) < LATE {
                    continue;
                }
                let request = Request {
                    sent: e.requested,
                    acked: e.acked,
                    queued: false,
                };
                let round_trip = wait::round_trip(f, e.direction);
                let Some(held) = wait::held(f, e.direction, request, answered).filter(|h| {
                    h.seconds >= LATE && h.seconds >= wait::LATE_ROUND_TRIPS * round_trip
                }) else {
                    continue;
                };
                c.late += 1;
                c.acknowledged += u64::from(held.acknowledged.is_seen());
                c.seconds += held.seconds;
                c.longest = c.longest.max(held.seconds);
                s.trace.flow(f, e.requested, answered);
                s.trace.proof(f, e.request_frame, || {
                    format!("{} request{}", e.name, held.acknowledged.words())
                });
                if let Some(frame) = e.answer_frame {
                    s.trace.proof(f, frame, || {
                        format!("{} response, {} later", e.name, span(held.seconds))
                    });
                }
            }
        }
    }

    fn limited(&mut self) -> Vec<&mut dyn Limited> {
        vec![&mut self.servers]
    }

    fn finish(&mut self, out: &mut Vec<Finding>) {
        for ((addr, port, _), s) in self.servers.take() {
            let slow: Vec<(&Cow<str>, &Command)> =
                s.commands.iter().filter(|(_, c)| c.late > 0).collect();
            let late: u64 = slow.iter().map(|(_, c)| c.late).sum();
            let responses: u64 = slow.iter().map(|(_, c)| c.responses).sum();
            let seconds: f64 = slow.iter().map(|(_, c)| c.seconds).sum();
            let share = late as f64 / responses.max(1) as f64;
            if seconds < LEAST_SECONDS || (seconds < LEAST_SHARE * s.life && share < LEAST_SHARE) {
                continue;
            }
            let Some((worst, _)) = slow
                .iter()
                .max_by(|a, b| a.1.seconds.total_cmp(&b.1.seconds))
            else {
                continue;
            };
            let longest = slow.iter().map(|(_, c)| c.longest).fold(0.0, f64::max);
            let list: Vec<String> = slow
                .iter()
                .map(|(name, c)| {
                    format!(
                        "{name} {} of {}, {} each",
                        c.late,
                        c.responses,
                        span(c.seconds / c.late as f64)
                    )
                })
                .collect();
            let summary = format!(
                "{addr} is slow to answer: {} late, {} in all ({})",
                plural(late, "SMB response"),
                span(seconds),
                list.join("; ")
            );
            let acknowledged: u64 = slow.iter().map(|(_, c)| c.acknowledged).sum();
            let sure = acknowledged * 2 >= late;
            let mut f = s.trace.clone().finding(
                "smb.slow-server",
                Severity::Warning,
                if sure { 0.9 } else { 0.65 },
                summary,
            );
            f.subject = Some(addr);
            f.peer = s.clients.first().copied().filter(|_| s.clients.len() == 1);
            f.seconds_lost = Some(seconds);
            f.measures = vec![
                ("count", late as f64),
                ("share", share),
                ("seconds", seconds),
                ("delay_s", seconds / late.max(1) as f64),
                ("max_s", longest),
                ("port", f64::from(port)),
            ];
            f.words = vec![
                ("application", "smb".to_owned()),
                ("command", worst.to_string()),
            ];
            if !sure {
                f.against.push("the acknowledgements of most requests were not seen: they may have arrived late".to_owned());
            }
            f.display_filter += " && (smb2.time || smb.time)";
            out.push(f);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_commands() {
        for (command, logon, waits) in [
            ("READ", false, false),
            ("SESSION_SETUP", true, false),
            ("SESSION_SETUP_ANDX", true, false),
            ("CHANGE_NOTIFY", false, true),
            ("LOCKING_ANDX", false, true),
            ("OPLOCK_BREAK", false, true),
            ("CREATE", false, false),
        ] {
            assert_eq!(is_logon(command), logon, "{command}");
            assert_eq!(waits_by_design(command), waits, "{command}");
        }
    }
}
