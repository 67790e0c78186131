//! Finds greetings that come late, and greetings that a device has rewritten.
//!
//! Reads:   the first step of SMTP dialogs; DNS look-ups of the server and its connections to port 113 in that time
//! Yields:  `smtp.slow-greeting`, `smtp.banner-masked`: one of each for a server
//! Silent:  greetings within a second or five round trips; connections whose handshake had to be repaired, or is not in the capture
//! Source:  RFC 5321 section 3.1; RFC 1413; postscreen's greet wait of 6 s; resolvers' steps of 1, 2, 4 s and 5 s

use std::net::IpAddr;

use super::smtp_reply::words;
use super::trace::{Groups, Place, Trace, plural, span};
use super::wait::{self, Request, median};
use super::{Detector, Finding, Limited, Seen, Severity};
use crate::decode::{Note, NoteKind};
use crate::net::{FrameNo, Timestamp};
use crate::proto::SmtpPhase;

/// From here on a greeting is late.
const LATE: f64 = 1.0;
/// Look-ups and connections to port 113 kept in all; late greetings kept of a server.
const MAX_LOOKUPS: usize = 50_000;
const MAX_LATE: usize = 5_000;
/// Port of the identification protocol (RFC 1413).
const IDENT: u16 = 113;
/// Pauses that are set are alike to within so many seconds.
const STEADY: f64 = 0.3;
/// Asterisks in a row that no server writes by itself.
const MASK: &str = "********";

struct Lookup {
    from: IpAddr,
    id: u16,
    reverse: bool,
    frame: FrameNo,
    asked: Timestamp,
    answered: Option<Timestamp>,
}

struct Ident {
    from: IpAddr,
    to: IpAddr,
    start: Timestamp,
}

struct Late {
    place: Place,
    client: IpAddr,
    seconds: f64,
    from: Timestamp,
    to: Timestamp,
    frame: FrameNo,
    greeting: String,
}

#[derive(Default)]
struct Server {
    greetings: u64,
    late: Vec<Late>,
    masked: u64,
    mask: String,
    masked_trace: Trace,
}

/// See the head of this file.
#[derive(Default)]
pub(super) struct Greetings {
    servers: Groups<(IpAddr, u16), Server>,
    lookups: Vec<Lookup>,
    idents: Vec<Ident>,
}

impl Detector for Greetings {
    // A SYN to port 113 that nobody answers is what a late greeting waits for.
    fn minds_lone_syns(&self) -> bool {
        true
    }

    fn flow(&mut self, seen: Seen<'_>, _out: &mut Vec<Finding>) {
        let f = seen.flow;
        if f.server.port == IDENT && self.idents.len() < MAX_LOOKUPS {
            self.idents.push(Ident {
                from: f.client.addr,
                to: f.server.addr,
                start: f.start,
            });
        }
        let Some(smtp) = &seen.dialog.smtp else {
            return;
        };
        let (server, client) = wait::ends(seen);
        let key = (server.addr, server.port);
        let Some(step) = smtp.steps.first() else {
            return;
        };
        let Some(s) = self.servers.group(key) else {
            return;
        };
        let reply_frame = step.reply_frame.unwrap_or(step.frame);
        let masked = smtp.banner.as_deref().is_some_and(|b| b.contains(MASK));
        let crossed = smtp.capabilities.iter().find(|c| is_crossed_out(c));
        if masked || crossed.is_some() {
            s.masked += 1;
            let what = crossed.map_or_else(
                || "the banner is asterisks".to_owned(),
                |c| format!("a capability reads {c}"),
            );
            s.masked_trace.flow(f, f.start, f.end);
            s.masked_trace.proof(f, reply_frame, || what.clone());
            s.mask = what;
        }
        if step.phase != SmtpPhase::Greeting || step.inferred {
            return;
        }
        s.greetings += 1;
        let Some(replied) = step
            .replied
            .filter(|_| f.handshake.complete && f.handshake.syn_ack_retries == 0)
        else {
            return;
        };
        let asks = wait::asks(seen);
        let request = Request {
            sent: step.sent,
            acked: None,
            queued: false,
        };
        if let Some(held) = wait::held(f, asks, request, replied)
            && held.seconds >= LATE
            && wait::is_late(held.seconds, wait::round_trip(f, asks))
            && s.late.len() < MAX_LATE
        {
            s.late.push(Late {
                place: Place::from(f),
                client,
                seconds: held.seconds,
                from: step.sent,
                to: replied,
                frame: reply_frame,
                greeting: words(step.code.unwrap_or(220), None, &step.text),
            });
        }
    }

    fn note(&mut self, note: &Note) {
        match &note.kind {
            NoteKind::DnsQuery { id, qtype, .. } if self.lookups.len() < MAX_LOOKUPS => {
                self.lookups.push(Lookup {
                    from: note.from,
                    id: *id,
                    reverse: *qtype == 12,
                    frame: note.frame,
                    asked: note.time,
                    answered: None,
                });
            }
            NoteKind::DnsAnswer { id, .. } => {
                // The answer to a recent question: looking far back would cost more than it tells.
                if let Some(one) = self
                    .lookups
                    .iter_mut()
                    .rev()
                    .take(256)
                    .find(|l| l.id == *id && l.from == note.to && l.answered.is_none())
                {
                    one.answered = Some(note.time);
                }
            }
            _ => {}
        }
    }

    fn limited(&mut self) -> Vec<&mut dyn Limited> {
        vec![&mut self.servers]
    }

    fn finish(&mut self, out: &mut Vec<Finding>) {
        self.lookups.sort_by_key(|l| (l.from, l.asked));
        self.idents.sort_by_key(|i| (i.from, i.to, i.start));
        for ((addr, port), s) in self.servers.take() {
            if s.masked > 0 {
                let summary = format!(
                    "a device between {addr} and its clients rewrites the SMTP dialog: {} on {}",
                    s.mask,
                    plural(s.masked, "connection")
                );
                let mut f = s.masked_trace.clone().finding(
                    "smtp.banner-masked",
                    Severity::Warning,
                    0.95,
                    summary,
                );
                f.subject = Some(addr);
                f.measures = vec![("count", count(s.masked)), ("port", f64::from(port))];
                f.words = vec![("application", "smtp".to_owned())];
                f.display_filter += " && smtp.response.code == 220";
                f.against
                    .push("some servers let their banner be set to asterisks by hand".to_owned());
                out.push(f);
            }
            if !s.late.is_empty() {
                out.push(self.slow(addr, port, &s));
            }
        }
    }
}

impl Greetings {
    fn slow(&self, addr: IpAddr, port: u16, s: &Server) -> Finding {
        let mut trace = Trace::default();
        let (mut dns, mut ident) = (0_u64, 0_u64);
        for late in &s.late {
            trace.place(late.place, late.from, late.to);
            trace.cite(late.place, late.frame, || {
                format!(
                    "{}, {} after the handshake",
                    late.greeting,
                    span(late.seconds)
                )
            });
            // Both lists are sorted by hosts, then by time.
            let place = |at| {
                self.lookups
                    .partition_point(|l| (l.from, l.asked) < (addr, at))
            };
            let meanwhile = self.lookups.get(place(late.from)..place(late.to));
            let mut asked = meanwhile.into_iter().flatten();
            if let Some(lookup) = asked.find(|l| is_slow(l, late.to)) {
                dns += 1;
                trace.cite(late.place, lookup.frame, || {
                    format!(
                        "meanwhile the server asks for a name{}{}",
                        if lookup.reverse {
                            " of the client's address"
                        } else {
                            ""
                        },
                        if lookup.answered.is_none() {
                            ", without answer"
                        } else {
                            ""
                        }
                    )
                });
            }
            let place = |at| {
                let key = (addr, late.client, at);
                self.idents
                    .partition_point(|i| (i.from, i.to, i.start) < key)
            };
            ident += u64::from(place(late.from) < place(late.to));
        }
        let mut seconds: Vec<f64> = s.late.iter().map(|l| l.seconds).collect();
        let sum: f64 = seconds.iter().sum();
        let middle = median(&mut seconds);
        let n = count(s.late.len() as u64);
        let alike = seconds
            .iter()
            .filter(|x| (**x - middle).abs() <= STEADY)
            .count();
        let fixed = seconds.len() >= 2 && alike * 5 >= seconds.len() * 4;
        let cause = if dns * 2 >= s.late.len() as u64 {
            "dns"
        } else if ident * 2 >= s.late.len() as u64 {
            "ident"
        } else if fixed {
            "pause"
        } else {
            "unknown"
        };
        let because = match cause {
            "dns" => "; it looks up names in the meantime",
            "ident" => "; it asks the client's port 113 in the meantime",
            "pause" => "; always for the same time, so on purpose or by a timer",
            _ => "",
        };
        let summary = format!(
            "{addr} greets late: {} of {} came {} after the handshake (median; at most {}){because}",
            s.late.len(),
            plural(s.greetings, "greeting"),
            span(middle),
            span(seconds.last().copied().unwrap_or(0.0)),
        );
        let mut f = trace.finding("smtp.slow-greeting", Severity::Warning, 0.93, summary);
        f.subject = Some(addr);
        let one = s.late.first().map(|l| l.client);
        f.peer = one.filter(|c| s.late.iter().all(|l| l.client == *c));
        f.seconds_lost = Some(sum);
        f.measures = vec![
            ("count", n),
            ("delay_s", middle),
            ("median_s", middle),
            ("max_s", seconds.last().copied().unwrap_or(0.0)),
            ("seconds", sum),
            ("share", n / count(s.greetings.max(1))),
            ("fixed", f64::from(u8::from(fixed))),
            ("dns", count(dns)),
            ("ident", count(ident)),
            ("port", f64::from(port)),
        ];
        f.words = vec![
            ("application", "smtp".to_owned()),
            ("phase", "greeting".to_owned()),
            ("cause", cause.to_owned()),
        ];
        if self.lookups.is_empty() && cause != "ident" {
            f.against.push(
                "the capture holds no DNS traffic: whether look-ups take the time cannot be seen"
                    .to_owned(),
            );
        }
        f.display_filter = format!(
            "{} && (smtp.response.code == 220 || tcp.flags.syn == 1)",
            f.display_filter
        );
        f
    }
}

/// A look-up that had no answer by then, or one that came late.
fn is_slow(lookup: &Lookup, by: Timestamp) -> bool {
    lookup
        .answered
        .is_none_or(|at| at > by || at.seconds_since(lookup.asked) >= wait::LATE)
}

/// `XXXXXXXA`: how firewalls cross out what they do not want to be used.
fn is_crossed_out(capability: &str) -> bool {
    capability.starts_with("XXXX")
}

fn count(n: u64) -> f64 {
    n as f64
}
