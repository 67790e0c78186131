//! Finds replies that an SMTP server holds back, and in which manner it does so.
//!
//! Reads:   steps of SMTP dialogs, less what the network took of them
//! Yields:  `smtp.tarpit`, `smtp.delayed-ack`, `smtp.back-pressure`, `smtp.slow-server`: one of each for a server; each late
//!          reply counts in one of them alone
//! Silent:  replies within half a second or five round trips; requests that were not acknowledged in time; a server whose late
//!          replies sum to less than a second, or to less than a tenth of its sessions' life and of its replies;
//!          greetings (`smtp_greeting`)
//! Source:  Exchange's TarpitInterval, MaxAcknowledgementDelay and back pressure, Postfix's error sleep, as their vendors
//!          document them

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::smtp_manner::{Late, PILE, Pattern, back_pressure, held_back, split, tarpit};
use super::smtp_reply::{self, Maker, Topic, words};
use super::trace::{Groups, Place, Room, Trace, plural, span, times};
use super::wait::{self, Request, median};
use super::{Detector, Finding, Limited, Seen, Severity};
use crate::net::Timestamp;
use crate::proto::{SmtpPhase, SmtpStep};

/// Late replies kept in all; what comes after is counted, not judged.
const MAX_LATE: usize = 200_000;
/// Sum and shares from which a slow server is worth a word.
const SLOW_SECONDS: f64 = 1.0;
const SLOW_SHARE: f64 = 0.1;

#[derive(Default)]
struct Server {
    late: Vec<Late>,
    unjudged: u64,
    replies: u64,
    /// Prompt replies of class 2 and 3, ends of data apart.
    prompt: u64,
    life: f64,
    maker: Maker,
    shortages: u64,
    shortage_words: String,
    shortage_trace: Trace,
}

/// See the head of this file.
pub(super) struct LateReplies {
    servers: Groups<(IpAddr, u16), Server>,
    room: Room,
}

impl Default for LateReplies {
    fn default() -> Self {
        Self {
            servers: Groups::default(),
            room: Room::untold(MAX_LATE),
        }
    }
}

impl Detector for LateReplies {
    fn flow(&mut self, seen: Seen<'_>, _out: &mut Vec<Finding>) {
        let Some(smtp) = &seen.dialog.smtp else {
            return;
        };
        let (server, _) = wait::ends(seen);
        let key = (server.addr, server.port);
        let Some(s) = self.servers.group(key) else {
            return;
        };
        s.life += seen.flow.duration().as_secs_f64();
        if s.maker == Maker::Unknown {
            s.maker = smtp_reply::maker(smtp);
        }
        for r in &smtp.refusals {
            if smtp_reply::topic(&r.verb, r.code, r.enhanced, &r.text) == Topic::Resources {
                s.shortages += 1;
                s.shortage_trace.flow(seen.flow, r.time, r.time);
                let said = words(r.code, r.enhanced, &r.text);
                s.shortage_trace.proof(seen.flow, r.frame, || {
                    format!("{} is answered {said}", r.verb)
                });
                s.shortage_words = said;
            }
        }
        s.steps(seen, &smtp.steps, &mut self.room);
    }

    fn limited(&mut self) -> Vec<&mut dyn Limited> {
        vec![&mut self.servers, &mut self.room]
    }

    fn finish(&mut self, out: &mut Vec<Finding>) {
        for ((addr, port), server) in self.servers.take() {
            server.judge(addr, port, out);
        }
    }
}

impl Server {
    fn steps(&mut self, seen: Seen<'_>, steps: &[SmtpStep], room: &mut Room) {
        let f = seen.flow;
        let asks = wait::asks(seen);
        let round_trip = wait::round_trip(f, asks);
        let mut authenticated = false;
        let mut refused = false;
        let mut before: Option<Timestamp> = None;
        // Replies that were held back together leave together: the refusal among them is what held them.
        let mut batch: Option<usize> = None;
        for step in steps {
            let Some(replied) = step.replied else {
                continue;
            };
            let previous = before.replace(replied);
            if matches!(step.phase, SmtpPhase::Greeting) || step.verb == "TLS" {
                continue;
            }
            // A timer that ran out is `smtp_ending`'s.
            let timed_out = step.code == Some(421)
                && smtp_reply::topic(&step.verb, 421, step.enhanced, &step.text) == Topic::Timer;
            if timed_out {
                continue;
            }
            self.replies += 1;
            let together = previous.is_some_and(|p| replied.seconds_since(p).abs() < 0.01);
            if together
                && let Some(late) = batch.and_then(|n| self.late.get_mut(n))
                && !late.is_refusal()
                && step.code.is_some_and(|code| code >= 400)
                && step.sent <= late.replied
            {
                late.code = step.code;
                late.enhanced = step.enhanced;
                late.text.clone_from(&step.text);
                late.verb.clone_from(&step.verb);
                late.phase = step.phase;
                continue;
            }
            if !together {
                batch = None;
            }
            let queued = previous.is_some_and(|p| p > step.sent);
            let request = Request {
                sent: previous.map_or(step.sent, |p| p.max(step.sent)),
                acked: step.acked,
                queued,
            };
            if replied.seconds_since(request.sent) >= wait::LATE
                && let Some(held) = wait::held(f, asks, request, replied)
                && wait::is_late(held.seconds, round_trip)
            {
                if room.take() {
                    batch = Some(self.late.len());
                    self.late.push(Late {
                        place: Place::from(f),
                        phase: step.phase,
                        verb: step.verb.clone(),
                        code: step.code,
                        enhanced: step.enhanced,
                        text: step.text.clone(),
                        seconds: held.seconds,
                        acknowledged: held.acknowledged,
                        authenticated,
                        after_refusal: refused,
                        inferred: step.inferred,
                        sent: request.sent,
                        replied,
                        frame: step.frame,
                        reply_frame: step.reply_frame.unwrap_or(step.frame),
                    });
                } else {
                    self.unjudged += 1;
                }
            } else if step.code.is_none_or(|code| code < 400) && step.phase != SmtpPhase::EndOfData
            {
                self.prompt += 1;
            }
            authenticated |= matches!(step.verb.as_ref(), "AUTH" | "X-EXPS")
                && step.code.is_some_and(|code| code == 235);
            refused |= step.code.is_some_and(|code| code >= 400);
        }
    }

    fn judge(mut self, addr: IpAddr, port: u16, out: &mut Vec<Finding>) {
        let before = out.len();
        let late = std::mem::take(&mut self.late);
        let tarpit = tarpit(&late, self.prompt);
        let (tarpitted, late) = split(late, tarpit.as_ref().map(|t| &t.members[..]));
        if let Some(pause) = tarpit {
            out.push(self.tarpitted(addr, port, &pause, &tarpitted));
        }
        let pressed = back_pressure(&late, self.shortages);
        let (slowed, late) = split(late, pressed.as_ref().map(|p| &p.members[..]));
        if let Some(pressed) = pressed {
            out.push(self.pressed(addr, port, &pressed, &slowed));
        }
        let hold = held_back(&late, self.maker, self.prompt);
        let (holding, late) = split(late, hold.as_ref().map(|h| &h.members[..]));
        if let Some(hold) = hold {
            out.push(self.holds(addr, port, &hold, &holding));
        }
        self.slow(addr, port, &late, out);
        if self.unjudged > 0 {
            let more = format!(
                "{} more late replies of this server were counted and not looked at, as there was no room to keep them",
                self.unjudged
            );
            for f in out.iter_mut().skip(before) {
                f.against.push(more.clone());
            }
        }
    }

    fn tarpitted(&self, addr: IpAddr, port: u16, pause: &Pattern, late: &[Late]) -> Finding {
        let refused = late.iter().filter(|l| l.is_refusal()).count();
        let after = late.iter().filter(|l| !l.is_refusal() && l.after_refusal);
        let after = after.count();
        let strangers = late.len() - refused - after;
        let sleep = pause.seconds < 2.0 || after > 0;
        let mut held = Vec::new();
        if refused > 0 {
            held.push(plural(refused as u64, "refusal"));
        }
        if after > 0 {
            held.push(plural(after as u64, "answer") + " that followed in the same sessions");
        }
        if strangers > 0 {
            held.push(plural(strangers as u64, "answer") + " to senders without logon");
        }
        let summary = format!(
            "{addr} waits {} before {}: {} of waiting on purpose",
            span(pause.seconds),
            held.join(" and "),
            span(late.iter().map(|l| l.seconds).sum())
        );
        let mut f = finding(
            "smtp.tarpit",
            Severity::Warning,
            pause.confidence,
            summary,
            late,
        );
        dress(&mut f, addr, port, late, pause.seconds);
        f.measures.push(("fixed", 1.0));
        f.words.push((
            "cause",
            if sleep { "error-sleep" } else { "tarpit" }.to_owned(),
        ));
        if pause.confidence < 0.8 {
            f.against.push(format!(
                "{} only: a server that is slow by chance looks the same",
                plural(late.len() as u64, "late refusal")
            ));
        }
        if refused == 0 {
            f.against.push("the answers were accepted: a name server that does not answer makes the same pause of five seconds".to_owned());
        }
        f
    }

    fn pressed(&self, addr: IpAddr, port: u16, pattern: &Pattern, late: &[Late]) -> Finding {
        let mut summary = format!("{addr} is short of resources: ");
        if !late.is_empty() {
            let longest = late.iter().map(|l| l.seconds).fold(0.0, f64::max);
            summary += &format!(
                "it holds back {} to MAIL in steps of five seconds, up to {}",
                plural(late.len() as u64, "answer"),
                span(longest)
            );
        }
        if self.shortages > 0 {
            if !late.is_empty() {
                summary += ", and ";
            }
            summary += &format!(
                "it refuses {} with {}",
                plural(self.shortages, "command"),
                self.shortage_words
            );
        }
        let severity = if self.shortages > 0 {
            Severity::Critical
        } else {
            Severity::Warning
        };
        let mut trace = self.shortage_trace.clone();
        add(&mut trace, late);
        let mut f = trace.finding("smtp.back-pressure", severity, pattern.confidence, summary);
        dress(&mut f, addr, port, late, pattern.seconds);
        f.measures.push(("refused", self.shortages as f64));
        if !self.shortage_words.is_empty() {
            f.words.retain(|(name, _)| *name != "reply");
            f.words.push(("reply", self.shortage_words.clone()));
        }
        if pattern.confidence < 0.7 {
            f.against.push(
                "the pause did not grow: a fixed delay at MAIL has other causes as well".to_owned(),
            );
        }
        f
    }

    fn holds(&self, addr: IpAddr, port: u16, hold: &Pattern, late: &[Late]) -> Finding {
        let mut seconds: Vec<f64> = late.iter().map(|l| l.seconds).collect();
        let middle = median(&mut seconds);
        let longest = seconds.last().copied().unwrap_or(0.0);
        let piled = seconds
            .iter()
            .filter(|s| (**s - hold.seconds).abs() <= PILE)
            .count();
        let mut summary = format!(
            "{addr} holds back the reply to {} for {} (median; at most {})",
            plural(late.len() as u64, "message"),
            span(middle),
            span(longest)
        );
        if late.len() > 1 && piled > 1 {
            summary += &format!("; {piled} of them at {}", span(hold.seconds));
        }
        let mut f = finding(
            "smtp.delayed-ack",
            Severity::Warning,
            hold.confidence,
            summary,
            late,
        );
        dress(&mut f, addr, port, late, middle);
        f.measures
            .push(("fixed", if piled * 2 > late.len() { 1.0 } else { 0.0 }));
        match self.maker {
            Maker::Exchange { is_later: true, .. } => f.against.push("its capabilities are those of Exchange 2013 or later, which delays no acknowledgement: there the copy to another server takes the time".to_owned()),
            Maker::Unknown => f.against.push("the server does not tell what it is: a filter that reads the message before it is taken looks the same".to_owned()),
            _ => {}
        }
        if late.iter().any(|l| l.inferred) {
            f.against.push("the dialog is encrypted: the end of the message is inferred from the pattern of its records".to_owned());
        }
        f
    }

    fn slow(&self, addr: IpAddr, port: u16, late: &[Late], out: &mut Vec<Finding>) {
        let sum: f64 = late.iter().map(|l| l.seconds).sum();
        let share = late.len() as f64 / self.replies.max(1) as f64;
        if sum < SLOW_SECONDS || (sum < SLOW_SHARE * self.life && share < SLOW_SHARE) {
            return;
        }
        let mut phases: BTreeMap<SmtpPhase, (u64, f64)> = BTreeMap::new();
        for l in late {
            let p = phases.entry(l.phase).or_default();
            p.0 += 1;
            p.1 += l.seconds;
        }
        let Some((worst, _)) = phases.iter().max_by(|a, b| a.1.1.total_cmp(&b.1.1)) else {
            return;
        };
        let said: Vec<String> = phases
            .iter()
            .map(|(p, (n, seconds))| {
                format!("{} {} {}", p.name(), times(*n), span(seconds / *n as f64))
            })
            .collect();
        let summary = format!(
            "{addr} is slow to answer: {} ({}) came late, {} in all",
            plural(late.len() as u64, "reply"),
            said.join(", "),
            span(sum)
        );
        let acknowledged = late.iter().filter(|l| l.acknowledged.is_seen()).count();
        let confidence = if acknowledged * 2 >= late.len() {
            0.9
        } else {
            0.65
        };
        let mut f = finding(
            "smtp.slow-server",
            Severity::Warning,
            confidence,
            summary,
            late,
        );
        let mut seconds: Vec<f64> = late.iter().map(|l| l.seconds).collect();
        dress(&mut f, addr, port, late, median(&mut seconds));
        f.words.retain(|(name, _)| *name != "phase");
        f.words.push(("phase", worst.name().to_owned()));
        f.measures.push(("share", share));
        if acknowledged < late.len() {
            f.against.push(format!(
                "{} of the requests were not seen acknowledged before the reply",
                late.len() - acknowledged
            ));
        }
        out.push(f);
    }
}

fn add(trace: &mut Trace, late: &[Late]) {
    let mut longest: Vec<&Late> = late.iter().collect();
    longest.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    for l in &longest {
        trace.place(l.place, l.sent, l.replied);
    }
    for l in longest.iter().take(6) {
        let verb = if l.verb == "." {
            "end of data"
        } else {
            &l.verb
        };
        trace.cite(l.place, l.frame, || {
            format!("{verb}{}", l.acknowledged.words())
        });
        trace.cite(l.place, l.reply_frame, || {
            let reply = l.code.map_or_else(
                || "answer".to_owned(),
                |code| words(code, l.enhanced, &l.text),
            );
            format!("{reply}, {} later", span(l.seconds))
        });
    }
}

fn finding(
    id: &'static str,
    severity: Severity,
    confidence: f64,
    summary: String,
    late: &[Late],
) -> Finding {
    let mut trace = Trace::default();
    add(&mut trace, late);
    trace.finding(id, severity, confidence, summary)
}

/// What all findings of this file have.
fn dress(f: &mut Finding, addr: IpAddr, port: u16, late: &[Late], delay: f64) {
    f.subject = Some(addr);
    let mut others = f.hosts.iter().filter(|&&host| host != addr);
    f.peer = others.next().copied().filter(|_| others.next().is_none());
    let sum: f64 = late.iter().map(|l| l.seconds).sum();
    f.seconds_lost = Some(sum);
    let mut seconds: Vec<f64> = late.iter().map(|l| l.seconds).collect();
    let middle = median(&mut seconds);
    f.measures = vec![
        ("count", late.len() as f64),
        ("delay_s", delay),
        ("median_s", middle),
        ("max_s", seconds.last().copied().unwrap_or(0.0)),
        ("seconds", sum),
        ("port", f64::from(port)),
    ];
    f.words = vec![("application", "smtp".to_owned())];
    let mut verbs: Vec<&str> = late.iter().map(|l| l.verb.as_ref()).collect();
    verbs.sort_unstable();
    verbs.dedup();
    if !verbs.is_empty() {
        f.words.push(("verb", verbs.join(" ")));
    }
    if let Some(l) = late.first() {
        f.words.push(("phase", l.phase.name().to_owned()));
        if let Some(code) = l.code {
            f.words.push(("reply", words(code, l.enhanced, &l.text)));
        }
    }
    let verbs: Vec<String> = late
        .iter()
        .filter(|l| {
            !l.inferred && l.verb.len() > 1 && l.verb.bytes().all(|c| c.is_ascii_uppercase())
        })
        .map(|l| format!("smtp.req.command == \"{}\"", l.verb))
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    if !verbs.is_empty() {
        f.display_filter = format!(
            "({}) && (smtp.response || {})",
            f.display_filter,
            verbs.join(" || ")
        );
    }
}
