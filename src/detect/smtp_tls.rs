//! Finds SMTP sessions whose TLS could not be set up.
//!
//! Reads:   STARTTLS and its reply, the outline of the TLS handshake, alerts, ends of flows
//! Yields:  `smtp.tls-failed`: one for each server
//! Silent:  handshakes that came to their end, whatever failed later; captures that miss a part of the handshake and show no alert
//! Source:  RFC 3207 section 4; RFC 8446 section 6

use std::net::IpAddr;

use super::smtp_reply::{self, Topic, words};
use super::trace::{Groups, Trace, plural};
use super::wait;
use super::{Detector, Finding, Limited, Seen, Severity};
use crate::flow::End;

#[derive(Default)]
struct Server {
    sessions: u64,
    failed: u64,
    refused: u64,
    repeated: u64,
    clients: Vec<IpAddr>,
    reply: String,
    alert: String,
    seconds: f64,
    trace: Trace,
}

/// See the head of this file.
#[derive(Default)]
pub(super) struct Tls {
    servers: Groups<(IpAddr, u16), Server>,
}

impl Detector for Tls {
    fn flow(&mut self, seen: Seen<'_>, _out: &mut Vec<Finding>) {
        let Some(smtp) = &seen.dialog.smtp else {
            return;
        };
        let f = seen.flow;
        let refusal = smtp
            .refusals
            .iter()
            .find(|r| smtp_reply::topic(&r.verb, r.code, r.enhanced, &r.text) == Topic::Tls);
        let begun = matches!(smtp.tls, "starttls" | "implicit");
        if !begun && refusal.is_none() {
            return;
        }
        let (server, client) = wait::ends(seen);
        let key = (server.addr, server.port);
        let Some(s) = self.servers.group(key) else {
            return;
        };
        s.sessions += 1;
        let established = smtp.steps.iter().any(|step| step.verb == "TLS");
        let whole = f.handshake.syn_seen
            && f.halves
                .iter()
                .all(|h| h.unseen_octets == 0 && h.frames > 0);
        let ended = matches!(f.close.how, End::Fin | End::Reset);
        let broken = begun && !established && (smtp.tls_alert.is_some() || (ended && whole));
        if refusal.is_none() && !broken {
            return;
        }
        if s.clients.len() < 64 && !s.clients.contains(&client) {
            s.clients.push(client);
        }
        s.trace.flow(f, f.start, f.end);
        if let Some(r) = refusal {
            s.refused += 1;
            s.reply = words(r.code, r.enhanced, &r.text);
            s.trace
                .proof(f, r.frame, || format!("STARTTLS is answered {}", s.reply));
            return;
        }
        s.failed += 1;
        s.seconds += f.duration().as_secs_f64();
        s.repeated += u64::from(f.halves.iter().any(|h| h.retransmissions.timeout > 0));
        if let Some(alert) = &smtp.tls_alert {
            s.alert.clone_from(alert);
        }
        for said in seen
            .dialog
            .said
            .iter()
            .filter(|s| s.text.starts_with("TLS"))
        {
            s.trace.proof(f, said.frame, || said.text.clone());
        }
        if let Some(frame) = f.close.frame {
            s.trace.proof(f, frame, || {
                format!(
                    "{} before the handshake is done",
                    if f.close.how == End::Reset {
                        "RST"
                    } else {
                        "FIN"
                    }
                )
            });
        }
    }

    fn limited(&mut self) -> Vec<&mut dyn Limited> {
        vec![&mut self.servers]
    }

    fn finish(&mut self, out: &mut Vec<Finding>) {
        for ((addr, port), s) in self.servers.take() {
            let bad = s.failed + s.refused;
            if bad == 0 {
                continue;
            }
            let why = if !s.alert.is_empty() {
                format!("alert {}", s.alert)
            } else if !s.reply.is_empty() {
                s.reply.clone()
            } else {
                "the connection was closed in the handshake".to_owned()
            };
            let summary = format!(
                "TLS with {addr} could not be set up on {bad} of {}: {why}",
                plural(s.sessions, "session")
            );
            let confidence = if s.alert.is_empty() && s.reply.is_empty() {
                0.8
            } else {
                0.96
            };
            let mut f = s
                .trace
                .finding("smtp.tls-failed", Severity::Warning, confidence, summary);
            f.subject = Some(addr);
            f.peer = s.clients.first().copied().filter(|_| s.clients.len() == 1);
            f.seconds_lost = Some(s.seconds);
            f.measures = vec![
                ("count", bad as f64),
                ("share", bad as f64 / s.sessions.max(1) as f64),
                ("port", f64::from(port)),
            ];
            f.words = vec![
                ("application", "smtp".to_owned()),
                ("phase", "tls".to_owned()),
                ("reply", s.reply),
                ("cause", s.alert),
            ];
            if s.repeated > 0 {
                f.against.push(format!(
                    "segments were repeated in {} of these sessions: a handshake that does not get through for the path's sake looks the same",
                    s.repeated
                ));
            }
            f.display_filter += " && (tls.handshake || tls.alert_message || smtp)";
            out.push(f);
        }
    }
}
