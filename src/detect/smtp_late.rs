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

use super::smtp_reply::{self, Maker, Topic, phase, words};
use super::trace::{MAX_GROUPS, Place, Trace, plural, span};
use super::wait::{self, Request, median};
use super::{Detector, Finding, Seen, Severity};
use crate::net::{FrameNo, Timestamp};
use crate::proto::{SmtpPhase, SmtpStep};

/// Late replies kept in all; what comes after is counted, not judged.
const MAX_LATE: usize = 200_000;
/// A set pause holds to within so many seconds.
const STEADY: f64 = 0.3;
/// Exchange's tarpit, and the step of its back pressure.
const FIVE: f64 = 5.0;
/// Refusals that show a pause of any other length to be set.
const FIXED_REFUSALS: usize = 3;
/// Least such pause: Postfix sleeps a second.
const LEAST_PAUSE: f64 = 0.9;
/// Exchange 2010 holds a 250 so long at most, and how near to it counts as a pile-up.
const MAX_HOLD: f64 = 30.0;
const PILE: f64 = 1.0;
/// Least hold that is worth a word without a pile-up.
const MIN_HOLD: f64 = 1.0;
/// A 250 of an unknown server counts as held back on purpose from here, if its other replies are prompt.
const HOLD_OF_UNKNOWN: f64 = 2.0;
/// Sum and shares from which a slow server is worth a word.
const SLOW_SECONDS: f64 = 1.0;
const SLOW_SHARE: f64 = 0.1;

/// A late reply.
#[derive(Clone, Debug)]
struct Late {
    place: Place,
    phase: SmtpPhase,
    verb: String,
    code: Option<u16>,
    enhanced: Option<[u16; 3]>,
    text: String,
    seconds: f64,
    acknowledged: bool,
    authenticated: bool,
    inferred: bool,
    sent: Timestamp,
    replied: Timestamp,
    frame: FrameNo,
    reply_frame: FrameNo,
}

impl Late {
    fn is_refusal(&self) -> bool {
        self.code.is_some_and(|code| code >= 400)
    }
}

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
#[derive(Default)]
pub(super) struct LateReplies {
    servers: BTreeMap<(IpAddr, u16), Server>,
    kept: usize,
}

impl Detector for LateReplies {
    fn flow(&mut self, seen: Seen<'_>, _out: &mut Vec<Finding>) {
        let Some(smtp) = &seen.dialog.smtp else {
            return;
        };
        let (server, _) = wait::ends(seen);
        let key = (server.addr, server.port);
        if self.servers.len() >= MAX_GROUPS && !self.servers.contains_key(&key) {
            return;
        }
        let s = self.servers.entry(key).or_default();
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
        s.steps(seen, &smtp.steps, &mut self.kept);
    }

    fn finish(&mut self, out: &mut Vec<Finding>) {
        for ((addr, port), server) in std::mem::take(&mut self.servers) {
            server.judge(addr, port, out);
        }
    }
}

impl Server {
    fn steps(&mut self, seen: Seen<'_>, steps: &[SmtpStep], kept: &mut usize) {
        let f = seen.flow;
        let asks = wait::asks(seen);
        let round_trip = wait::round_trip(f, asks);
        let mut authenticated = false;
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
                if *kept < MAX_LATE {
                    *kept += 1;
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
            authenticated |= matches!(step.verb.as_str(), "AUTH" | "X-EXPS")
                && step.code.is_some_and(|code| code == 235);
        }
    }

    #[allow(clippy::cast_precision_loss)]
    fn judge(mut self, addr: IpAddr, port: u16, out: &mut Vec<Finding>) {
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
    }

    fn tarpitted(&self, addr: IpAddr, port: u16, pause: &Pattern, late: &[Late]) -> Finding {
        let refused = late.iter().filter(|l| l.is_refusal()).count();
        let sleep = pause.seconds < 2.0;
        let summary = format!(
            "{addr} waits {} before {}{}: {} of waiting on purpose",
            span(pause.seconds),
            plural(refused as u64, "refusal"),
            if refused < late.len() {
                format!(
                    " and {} to senders without logon",
                    plural((late.len() - refused) as u64, "answer")
                )
            } else {
                String::new()
            },
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

    #[allow(clippy::cast_precision_loss)]
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
                format!("{} {n} times {}", phase(*p), span(seconds / *n as f64))
            })
            .collect();
        let summary = format!(
            "{addr} is slow to answer: {} ({}) came late, {} in all",
            plural(late.len() as u64, "reply").replace("replys", "replies"),
            said.join(", "),
            span(sum)
        );
        let acknowledged = late.iter().filter(|l| l.acknowledged).count();
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
        f.words.push(("phase", phase(*worst).to_owned()));
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

/// Late replies that share a manner.
#[derive(Clone, Debug, PartialEq)]
struct Pattern {
    /// Length that stands for it.
    seconds: f64,
    confidence: f64,
    /// Places in the list that was looked at, ascending.
    members: Vec<usize>,
}

/// A set pause before refusals. `prompt` replies of the same server were not late.
fn tarpit(late: &[Late], prompt: u64) -> Option<Pattern> {
    let near = |s: f64, to: f64| (s - to).abs() <= STEADY;
    let refusals: Vec<usize> = of(late, Late::is_refusal);
    let accepted = of(late, |l| !l.is_refusal() && l.phase != SmtpPhase::EndOfData);
    // A server that is as late with what it accepts is slow, and delays nothing on purpose.
    let alike = |pause: f64| {
        accepted
            .iter()
            .filter(|&&n| late[n].seconds > pause / 2.0)
            .count()
    };
    let strangers = of(late, |l| {
        !l.is_refusal() && l.phase == SmtpPhase::Rcpt && !l.authenticated && near(l.seconds, FIVE)
    });
    let fives: Vec<usize> = refusals
        .iter()
        .copied()
        .filter(|&n| near(late[n].seconds, FIVE) && !late[n].authenticated)
        .collect();
    if !fives.is_empty()
        && fives.len() * 2 >= refusals.len()
        && alike(FIVE).saturating_sub(strangers.len()) < fives.len()
    {
        let confidence = match fives.len() {
            1 => 0.7,
            2 => 0.85,
            _ => 0.94,
        };
        return Some(pattern(late, FIVE, confidence, [fives, strangers].concat()));
    }
    let mut seconds: Vec<f64> = refusals.iter().map(|&n| late[n].seconds).collect();
    let pause = median(&mut seconds);
    let members: Vec<usize> = refusals
        .iter()
        .copied()
        .filter(|&n| {
            near(late[n].seconds, pause) && (late[n].seconds - pause).abs() <= pause * 0.15
        })
        .collect();
    if members.len() >= FIXED_REFUSALS
        && members.len() * 5 >= refusals.len() * 4
        && pause >= LEAST_PAUSE
        && alike(pause) * 2 < members.len()
        && prompt > 0
    {
        return Some(pattern(late, pause, 0.75, members));
    }
    // Pauses before recipients that are then accepted.
    (strangers.len() >= FIXED_REFUSALS && alike(FIVE) == strangers.len() && prompt > 0)
        .then(|| pattern(late, FIVE, 0.55, strangers))
}

/// Answers to MAIL in steps of five seconds from ten on, or plain words.
fn back_pressure(late: &[Late], shortages: u64) -> Option<Pattern> {
    let step = |s: f64| {
        let n = (s / FIVE).round();
        ((2.0..=11.0).contains(&n) && (s - n * FIVE).abs() <= STEADY + 0.2).then_some(n)
    };
    let members = of(late, |l| {
        l.phase == SmtpPhase::Mail && !l.is_refusal() && step(l.seconds).is_some()
    });
    let mut heights: Vec<f64> = members
        .iter()
        .filter_map(|&n| step(late[n].seconds))
        .collect();
    heights.sort_by(f64::total_cmp);
    let top = heights.last().copied().unwrap_or(0.0) * FIVE;
    heights.dedup();
    let confidence = match (shortages, heights.len(), members.len()) {
        (1.., _, _) => 0.95,
        (0, 2.., _) => 0.9,
        (0, 1, 2..) => 0.6,
        _ => return None,
    };
    Some(pattern(late, top, confidence, members))
}

/// Replies to the end of data that are held back.
fn held_back(late: &[Late], maker: Maker, prompt: u64) -> Option<Pattern> {
    if maker == Maker::Other {
        return None;
    }
    let members = of(late, |l| {
        l.phase == SmtpPhase::EndOfData
            && !l.is_refusal()
            && (MIN_HOLD..=MAX_HOLD + PILE).contains(&l.seconds)
    });
    let mut seconds: Vec<f64> = members.iter().map(|&n| late[n].seconds).collect();
    let middle = median(&mut seconds);
    let longest = seconds.last().copied()?;
    let at = |value: f64, within: f64| {
        seconds
            .iter()
            .filter(|s| (**s - value).abs() <= within)
            .count()
    };
    let exchange = matches!(maker, Maker::Exchange { .. });
    let pile = at(MAX_HOLD, PILE);
    if pile > 0 {
        let confidence = if exchange { 0.9 } else { 0.8 } + if pile > 2 { 0.05 } else { 0.0 };
        return Some(pattern(late, MAX_HOLD, confidence, members));
    }
    // Other late replies than these make it a slow server.
    let others = late.len() - members.len();
    if others * 2 > members.len() || prompt == 0 {
        return None;
    }
    let shorter = at(longest, longest * 0.03);
    if shorter >= 3 && longest >= FIVE {
        return Some(pattern(
            late,
            longest,
            if exchange { 0.85 } else { 0.7 },
            members,
        ));
    }
    let confidence = match maker {
        Maker::Exchange { is_2010: true, .. } => 0.8,
        Maker::Exchange { .. } => 0.6,
        _ if middle >= HOLD_OF_UNKNOWN => 0.45,
        _ => return None,
    };
    Some(pattern(late, middle, confidence, members))
}

fn of(late: &[Late], is: impl Fn(&Late) -> bool) -> Vec<usize> {
    late.iter()
        .enumerate()
        .filter(|(_, l)| is(l))
        .map(|(n, _)| n)
        .collect()
}

/// Where hardly any request was seen acknowledged, nothing is sure.
fn pattern(late: &[Late], seconds: f64, confidence: f64, mut members: Vec<usize>) -> Pattern {
    members.sort_unstable();
    let acknowledged = members.iter().filter(|&&n| late[n].acknowledged).count();
    let confidence = if acknowledged * 2 < members.len() {
        confidence - 0.2
    } else {
        confidence
    };
    Pattern {
        seconds,
        confidence,
        members,
    }
}

/// Those that are members, and the rest.
fn split(late: Vec<Late>, members: Option<&[usize]>) -> (Vec<Late>, Vec<Late>) {
    let Some(members) = members else {
        return (Vec::new(), late);
    };
    let (inside, outside): (Vec<_>, Vec<_>) = late
        .into_iter()
        .enumerate()
        .partition(|(n, _)| members.binary_search(n).is_ok());
    let plain = |list: Vec<(usize, Late)>| list.into_iter().map(|(_, l)| l).collect();
    (plain(inside), plain(outside))
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
            format!(
                "{verb}{}",
                if l.acknowledged {
                    ", acknowledged at once"
                } else {
                    ""
                }
            )
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
#[allow(clippy::cast_precision_loss)]
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
    let mut verbs: Vec<&str> = late.iter().map(|l| l.verb.as_str()).collect();
    verbs.sort_unstable();
    verbs.dedup();
    if !verbs.is_empty() {
        f.words.push(("verb", verbs.join(" ")));
    }
    if let Some(l) = late.first() {
        f.words.push(("phase", phase(l.phase).to_owned()));
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    /// A late reply: phase, code, seconds.
    fn late(list: &[(SmtpPhase, u16, f64)]) -> Vec<Late> {
        list.iter()
            .map(|&(phase, code, seconds)| Late {
                place: Place {
                    flow: 0,
                    capture: 0,
                    client: Ipv4Addr::new(192, 0, 2, 1).into(),
                    server: Ipv4Addr::new(192, 0, 2, 2).into(),
                },
                phase,
                verb: "RCPT".to_owned(),
                code: Some(code),
                enhanced: None,
                text: String::new(),
                seconds,
                acknowledged: true,
                authenticated: false,
                inferred: false,
                sent: Timestamp(0),
                replied: Timestamp(0),
                frame: FrameNo(1),
                reply_frame: FrameNo(2),
            })
            .collect()
    }

    const EXCHANGE: Maker = Maker::Exchange {
        is_2010: false,
        is_later: false,
    };

    #[test]
    fn tarpits() {
        use SmtpPhase::{Auth, EndOfData, Mail, Rcpt};
        for (name, list, prompt, want) in [
            (
                "one refusal at five seconds",
                &[(Rcpt, 550, 5.01)][..],
                4,
                Some((5.0, 1)),
            ),
            ("not at six", &[(Rcpt, 550, 6.0)], 4, None),
            (
                "three of one length, whatever it is",
                &[(Rcpt, 550, 2.0), (Rcpt, 550, 2.02), (Rcpt, 550, 1.99)],
                4,
                Some((2.0, 3)),
            ),
            (
                "three of three lengths",
                &[(Rcpt, 550, 2.0), (Rcpt, 550, 3.1), (Rcpt, 550, 4.2)],
                4,
                None,
            ),
            (
                "what is accepted is as late",
                &[(Rcpt, 550, 5.0), (Mail, 250, 5.1), (Mail, 250, 4.8)],
                0,
                None,
            ),
            (
                "the 250 to a message says nothing",
                &[(Rcpt, 550, 5.0), (EndOfData, 250, 9.0)],
                3,
                Some((5.0, 1)),
            ),
            (
                "failed logons",
                &[(Auth, 535, 5.0), (Auth, 535, 5.1)],
                3,
                Some((5.0, 2)),
            ),
            (
                "recipients that are accepted",
                &[(Rcpt, 250, 5.0), (Rcpt, 250, 5.0), (Rcpt, 250, 5.1)],
                3,
                Some((5.0, 3)),
            ),
            (
                "two of them are chance",
                &[(Rcpt, 250, 5.0), (Rcpt, 250, 5.0)],
                3,
                None,
            ),
            (
                "Postfix sleeps a second",
                &[(Rcpt, 550, 1.0), (Rcpt, 550, 1.0), (Rcpt, 550, 1.01)],
                9,
                Some((1.0, 3)),
            ),
            ("nothing", &[], 3, None),
        ] {
            let found = tarpit(&late(list), prompt);
            let got = found.map(|p| ((p.seconds * 10.0).round() / 10.0, p.members.len()));
            assert_eq!(got, want, "{name}");
        }
    }

    #[test]
    fn staircases() {
        use SmtpPhase::{Mail, Rcpt};
        for (name, list, shortages, want) in [
            (
                "it grows",
                &[(Mail, 250, 10.1), (Mail, 250, 15.0), (Mail, 250, 20.2)][..],
                0,
                Some(0.9),
            ),
            (
                "it stays",
                &[(Mail, 250, 10.0), (Mail, 250, 10.1)],
                0,
                Some(0.6),
            ),
            ("one is chance", &[(Mail, 250, 10.0)], 0, None),
            (
                "five is a tarpit's",
                &[(Mail, 250, 5.0), (Mail, 250, 5.0)],
                0,
                None,
            ),
            (
                "off the steps",
                &[(Mail, 250, 12.4), (Mail, 250, 17.2)],
                0,
                None,
            ),
            (
                "not at MAIL",
                &[(Rcpt, 250, 10.0), (Rcpt, 250, 15.0)],
                0,
                None,
            ),
            ("in plain words", &[], 2, Some(0.95)),
        ] {
            let got = back_pressure(&late(list), shortages).map(|p| p.confidence);
            assert_eq!(got, want, "{name}");
        }
    }

    #[test]
    fn holds() {
        use SmtpPhase::{EndOfData, Rcpt};
        let end = |s: f64| (EndOfData, 250, s);
        for (name, list, maker, prompt, want) in [
            (
                "pile-up at thirty",
                &[end(30.0)][..],
                Maker::Unknown,
                5,
                Some(30.0),
            ),
            ("beyond thirty is no hold", &[end(45.0)], EXCHANGE, 5, None),
            (
                "shorter ones of Exchange",
                &[end(4.0), end(9.0), end(7.0)],
                EXCHANGE,
                5,
                Some(7.0),
            ),
            (
                "a pile-up elsewhere",
                &[end(15.0), end(15.1), end(15.0), end(3.0)],
                EXCHANGE,
                5,
                Some(15.1),
            ),
            (
                "Postfix has a filter there",
                &[end(30.0)],
                Maker::Other,
                5,
                None,
            ),
            (
                "a second of an unknown server",
                &[end(1.2)],
                Maker::Unknown,
                5,
                None,
            ),
            (
                "all replies are late",
                &[end(4.0), (Rcpt, 250, 3.0), (Rcpt, 250, 3.0)],
                EXCHANGE,
                5,
                None,
            ),
            (
                "a refusal is none",
                &[(EndOfData, 550, 30.0)],
                EXCHANGE,
                5,
                None,
            ),
            ("nothing", &[], EXCHANGE, 5, None),
        ] {
            let got = held_back(&late(list), maker, prompt).map(|p| p.seconds);
            assert_eq!(got, want, "{name}");
        }
    }
}
