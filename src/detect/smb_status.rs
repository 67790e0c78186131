//! Finds errors in SMB dialogs, by their NTSTATUS.
//!
//! Reads:   statuses of responses, and the table that says which of them belong to normal work
//! Yields:  `smb.errors`: one for each server and status
//! Silent:  statuses that belong to normal work (a name that is not there yet, the end of a file, another leg of authentication)
//! Source:  MS-ERREF section 2.3; MS-SMB2 section 3.3

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::trace::{Groups, Trace, plural};
use super::wait;
use super::{Detector, Finding, Limited, Seen, Severity};
use crate::proto::smb::status::{self, Severity as Weight};

/// Times that a status worth watching has to come before it is more than a note.
const OFTEN: u64 = 10;

#[derive(Default)]
struct Group {
    count: u64,
    responses: u64,
    commands: BTreeSet<String>,
    clients: BTreeSet<IpAddr>,
    trace: Trace,
}

/// See the head of this file.
#[derive(Default)]
pub(super) struct Errors {
    groups: Groups<(IpAddr, u16, String), Group>,
}

impl Detector for Errors {
    fn flow(&mut self, seen: Seen<'_>, _out: &mut Vec<Finding>) {
        let Some(smb) = &seen.dialog.smb else {
            return;
        };
        let f = seen.flow;
        let (server, client) = wait::ends(seen);
        for (command, c) in &smb.commands {
            for (name, count) in &c.errors {
                if status::look_up(name).is_some_and(|known| known.severity == Weight::Normal) {
                    continue;
                }
                let key = (server.addr, server.port, name.clone());
                let Some(g) = self.groups.group(key) else {
                    continue;
                };
                g.count += count;
                g.responses += c.times.count;
                if g.commands.len() < 16 {
                    g.commands.insert(command.clone());
                }
                if g.clients.len() < 64 {
                    g.clients.insert(client);
                }
                g.trace.flow(f, f.start, f.end);
                if let Some(frame) = c.error_frames.get(name) {
                    g.trace
                        .proof(f, *frame, || format!("{command} is answered {name}"));
                }
            }
        }
    }

    fn limited(&mut self) -> Vec<&mut dyn Limited> {
        vec![&mut self.groups]
    }

    fn finish(&mut self, out: &mut Vec<Finding>) {
        for ((addr, port, name), g) in self.groups.take() {
            let known = status::look_up(&name);
            let severity = severity(known.map(|k| k.severity), g.count);
            let commands: Vec<&str> = g.commands.iter().map(String::as_str).collect();
            let mut summary = format!(
                "{addr} answers {} with {name} ({})",
                plural(g.count, "request"),
                commands.join(", ")
            );
            if let Some(known) = known {
                summary += &format!(": {}", known.meaning);
            }
            let mut f = g.trace.finding("smb.errors", severity, 0.95, summary);
            f.subject = Some(addr);
            f.peer = g.clients.first().copied().filter(|_| g.clients.len() == 1);
            f.measures = vec![
                ("count", g.count as f64),
                (
                    "share",
                    g.count as f64 / g.responses.max(g.count).max(1) as f64,
                ),
                ("port", f64::from(port)),
            ];
            f.words = vec![
                ("application", "smb".to_owned()),
                ("status", name),
                ("command", commands.join(" ")),
            ];
            if let Some(remedy) = known.and_then(|known| known.remedy) {
                f.words.push(("remedy", remedy.to_owned()));
            }
            out.push(f);
        }
    }
}

fn severity(weight: Option<Weight>, count: u64) -> Severity {
    match weight {
        Some(Weight::Fault) => Severity::Warning,
        Some(Weight::Watch) if count >= OFTEN => Severity::Warning,
        _ => Severity::Info,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn severities() {
        for (name, weight, count, want) in [
            ("a fault, once", Some(Weight::Fault), 1, Severity::Warning),
            (
                "to be watched, once",
                Some(Weight::Watch),
                1,
                Severity::Info,
            ),
            (
                "to be watched, often",
                Some(Weight::Watch),
                10,
                Severity::Warning,
            ),
            ("not in the table", None, 100, Severity::Info),
        ] {
            assert_eq!(severity(weight, count), want, "{name}");
        }
    }
}
