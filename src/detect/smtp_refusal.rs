//! Finds what SMTP servers refuse, grouped by what the refusal is about.
//!
//! Reads:   replies of class 4 and 5 with their texts; steps, for how much was asked; lives of connections, for how many ran at once
//! Yields:  `smtp.throttled`, `smtp.connection-limit`, `smtp.greylisted`, `smtp.shadow-failing`: one for each server;
//!          `smtp.rejected`: one for each server and code
//! Silent:  shortage of resources (`smtp_late`), timers (`smtp_ending`), TLS (`smtp_tls`); a single refused recipient is info, as are
//!          commands that a server does not know
//! Source:  RFC 5321 section 4.2, RFC 3463; texts as Exchange, Exchange Online, Postfix and Exim send them

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::smtp_reply::{self, Topic, words};
use super::trace::{Groups, MAX_GROUPS, Room, Trace, moment, plural, span};
use super::wait;
use super::{Detector, Finding, Limited, Seen, Severity};
use crate::net::Timestamp;
use crate::proto::{SmtpRefusal, smtp::codes};

/// Lives of connections and times of messages kept in all, to count what ran at once and how fast.
const MAX_TIMES: usize = 200_000;
/// A 421 at connect without a telling text counts as a limit if so many of the same source ran at the time.
const MANY_AT_ONCE: usize = 10;
/// Refusals of one kind from which, or this share of what was asked, delivery suffers.
const MANY_REFUSALS: u64 = 10;
const REFUSED_SHARE: f64 = 0.5;

#[derive(Clone, Debug, Default)]
struct Group {
    count: u64,
    reply: String,
    meaning: &'static str,
    verbs: Vec<String>,
    clients: Vec<IpAddr>,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    at_once: usize,
    trace: Trace,
}

type Key = (Topic, u16, Option<[u16; 3]>);

#[derive(Default)]
struct Server {
    groups: BTreeMap<Key, Group>,
    /// 421 at connect without a telling text: client, time, and which group.
    bare: Vec<(IpAddr, Timestamp, Key)>,
    lives: Vec<(IpAddr, Timestamp, Timestamp)>,
    taken: Vec<(IpAddr, Timestamp)>,
    asked: BTreeMap<&'static str, u64>,
}

/// See the head of this file.
pub(super) struct Refusals {
    servers: Groups<(IpAddr, u16), Server>,
    times: Room,
    groups: Room,
}

impl Default for Refusals {
    fn default() -> Self {
        Self {
            servers: Groups::default(),
            times: Room::untold(MAX_TIMES),
            groups: Room::new(MAX_GROUPS),
        }
    }
}

impl Detector for Refusals {
    fn flow(&mut self, seen: Seen<'_>, _out: &mut Vec<Finding>) {
        let Some(smtp) = &seen.dialog.smtp else {
            return;
        };
        let (server, client) = wait::ends(seen);
        let key = (server.addr, server.port);
        let Some(s) = self.servers.group(key) else {
            return;
        };
        let turned_away = smtp
            .refusals
            .first()
            .is_some_and(|r| r.verb == "CONNECT" && r.code >= 400);
        if !turned_away && self.times.take() {
            s.lives.push((client, seen.flow.start, seen.flow.end));
        }
        for step in &smtp.steps {
            if let Some(verb) = known(&step.verb)
                && step.code.is_some()
            {
                *s.asked.entry(verb).or_default() += 1;
            }
        }
        for m in smtp.messages.iter().filter(|m| m.accepted == Some(true)) {
            if self.times.take() {
                let nanos = i64::try_from(m.length.as_nanos()).unwrap_or(0);
                s.taken.push((client, m.start.plus_nanos(nanos)));
            }
        }
        for r in &smtp.refusals {
            let topic = smtp_reply::topic(&r.verb, r.code, r.enhanced, &r.text);
            if matches!(topic, Topic::Resources | Topic::Timer | Topic::Tls) {
                continue;
            }
            let key = (topic, r.code, r.enhanced);
            if !s.groups.contains_key(&key) && !self.groups.take() {
                continue;
            }
            if topic == Topic::Other && r.verb == "CONNECT" && r.code == 421 && s.bare.len() < 1_000
            {
                s.bare.push((client, r.time, key));
            }
            s.groups.entry(key).or_default().take(seen, client, r);
        }
    }

    fn limited(&mut self) -> Vec<&mut dyn Limited> {
        vec![&mut self.servers, &mut self.groups, &mut self.times]
    }

    fn finish(&mut self, out: &mut Vec<Finding>) {
        for ((addr, port), server) in self.servers.take() {
            server.judge(addr, port, out);
        }
    }
}

/// Verbs whose refusal hinders mail.
fn known(verb: &str) -> Option<&'static str> {
    [
        "CONNECT", "MAIL", "RCPT", "DATA", ".", "BDAT", "AUTH", "X-EXPS",
    ]
    .into_iter()
    .find(|one| *one == verb)
}

impl Group {
    fn take(&mut self, seen: Seen<'_>, client: IpAddr, r: &SmtpRefusal) {
        self.count += 1;
        let said = words(r.code, r.enhanced, &r.text);
        self.trace.flow(seen.flow, r.time, r.time);
        self.trace
            .proof(seen.flow, r.frame, || match r.verb.as_str() {
                "CONNECT" => format!("the greeting is {said}"),
                "" => format!("unasked: {said}"),
                "." => format!("the end of data is answered {said}"),
                verb => format!("{verb} is answered {said}"),
            });
        if self.reply.is_empty() {
            self.reply = said;
            self.meaning = codes::explain(Some(r.code), r.enhanced, &r.text)
                .first()
                .map_or("", |row| row.meaning);
        }
        if self.verbs.len() < 8 && !self.verbs.contains(&r.verb) {
            self.verbs.push(r.verb.clone());
        }
        if self.clients.len() < 64 && !self.clients.contains(&client) {
            self.clients.push(client);
        }
        self.first = Some(self.first.map_or(r.time, |first| first.min(r.time)));
        self.last = self.last.max(Some(r.time));
    }

    /// Since when, and for how long.
    fn since(&self) -> String {
        let Some(first) = self.first else {
            return String::new();
        };
        let lasted = self.last.map_or(0.0, |last| last.seconds_since(first));
        if self.count < 2 {
            format!("; refused at {} UTC", moment(first))
        } else if lasted < 0.001 {
            format!("; all refused at {} UTC", moment(first))
        } else {
            format!(
                "; refused since {} UTC, the last {} later",
                moment(first),
                span(lasted)
            )
        }
    }

    /// Another group with the same end of the story.
    fn merge(&mut self, other: Self) {
        if self.count == 0 {
            *self = other;
            return;
        }
        self.count += other.count;
        self.first = self.first.into_iter().chain(other.first).min();
        self.last = self.last.max(other.last);
        self.at_once = self.at_once.max(other.at_once);
        self.trace.merge(other.trace);
        for verb in other.verbs {
            if !self.verbs.contains(&verb) {
                self.verbs.push(verb);
            }
        }
        for client in other.clients {
            if !self.clients.contains(&client) {
                self.clients.push(client);
            }
        }
    }
}

impl Server {
    fn judge(mut self, addr: IpAddr, port: u16, out: &mut Vec<Finding>) {
        // A bare 421 at connect: a limit if many connections of the same source ran.
        for (client, at, key) in std::mem::take(&mut self.bare) {
            let ran = self.at_once(client, at);
            if let Some(group) = self.groups.get_mut(&key) {
                group.at_once = group.at_once.max(ran);
            }
        }
        let mut by_topic: BTreeMap<Topic, Group> = BTreeMap::new();
        for (key, group) in std::mem::take(&mut self.groups) {
            match key.0 {
                Topic::Other if group.at_once >= MANY_AT_ONCE => {
                    by_topic.entry(Topic::Connections).or_default().merge(group);
                }
                Topic::Other | Topic::Inactive => out.push(self.rejected(addr, port, key.1, group)),
                topic => by_topic.entry(topic).or_default().merge(group),
            }
        }
        for (topic, group) in by_topic {
            let finding = match topic {
                Topic::Connections => self.connections(addr, group),
                Topic::Rate => self.throttled(addr, group),
                Topic::Greylist => self.greylisted(addr, group),
                Topic::Shadow => Self::shadow(addr, group),
                _ => continue,
            };
            out.push(with_port(finding, port));
        }
    }

    /// Connections of one source that ran at a moment.
    fn at_once(&self, client: IpAddr, at: Timestamp) -> usize {
        self.lives
            .iter()
            .filter(|(c, start, end)| *c == client && *start <= at && at <= *end)
            .count()
    }

    fn rejected(&self, addr: IpAddr, port: u16, code: u16, group: Group) -> Finding {
        let hinders: Vec<&str> = group.verbs.iter().filter_map(|v| known(v)).collect();
        let asked: u64 = hinders.iter().filter_map(|v| self.asked.get(v)).sum();
        let share = group.count as f64 / asked.max(group.count) as f64;
        // 503 is the consequence of a refusal before it.
        let severity = if hinders.is_empty()
            || code == 503
            || (group.count < MANY_REFUSALS && (share < REFUSED_SHARE || group.count < 2))
        {
            Severity::Info
        } else {
            Severity::Warning
        };
        let mut summary = format!(
            "{addr} refused {} with {}",
            plural(group.count, "command"),
            group.reply
        );
        if !hinders.is_empty() {
            // A single full stop is the command that ends the message.
            let said: Vec<&str> = hinders
                .iter()
                .map(|v| if *v == "." { "end of data" } else { v })
                .collect();
            summary += &format!(" ({} of {asked} {})", group.count, said.join(", "));
        }
        if !group.meaning.is_empty() {
            summary += &format!(": {}", group.meaning);
        }
        let mut f = dress("smtp.rejected", severity, 0.97, summary, addr, group);
        f.measures.push(("code", f64::from(code)));
        f.measures.push(("share", share));
        with_port(f, port)
    }

    fn connections(&self, addr: IpAddr, mut group: Group) -> Finding {
        let first = group.first.unwrap_or_default();
        let most = group.clients.iter().map(|&c| self.at_once(c, first)).max();
        group.at_once = group.at_once.max(most.unwrap_or(0));
        let at_once = group.at_once;
        let sure = !smtp_reply_is_bare(&group.reply);
        let summary = format!(
            "{addr} turned away {}: {}{}",
            plural(group.count, "connection"),
            group.reply,
            if at_once > 0 {
                format!("; {at_once} of the same source ran at the first of them")
            } else {
                String::new()
            }
        );
        let confidence = if sure { 0.96 } else { 0.65 };
        let mut f = dress(
            "smtp.connection-limit",
            Severity::Warning,
            confidence,
            summary,
            addr,
            group,
        );
        f.measures.push(("outstanding", count(at_once)));
        if !sure {
            f.against
                .push("the reply does not say why: the service may as well be down".to_owned());
        }
        f
    }

    fn throttled(&self, addr: IpAddr, group: Group) -> Finding {
        const MINUTE: i64 = 60_000_000_000;
        let first = group.first.unwrap_or_default();
        let before = self
            .taken
            .iter()
            .filter(|(client, at)| {
                group.clients.contains(client) && *at <= first && *at >= first.plus_nanos(-MINUTE)
            })
            .count();
        let summary = format!(
            "{addr} limits the rate: {} with {}, after {} taken in the minute before",
            plural(group.count, "refusal"),
            group.reply,
            plural(before as u64, "message")
        );
        let mut f = dress(
            "smtp.throttled",
            Severity::Warning,
            0.95,
            summary,
            addr,
            group,
        );
        f.measures.push(("rate", count(before)));
        f
    }

    fn greylisted(&self, addr: IpAddr, group: Group) -> Finding {
        let first = group.first.unwrap_or_default();
        let passed = self
            .taken
            .iter()
            .filter(|(client, at)| group.clients.contains(client) && *at > first)
            .map(|(_, at)| at.seconds_since(first))
            .min_by(f64::total_cmp);
        let summary = format!(
            "{addr} asks to come again: {} with {}{}",
            plural(group.count, "refusal"),
            group.reply,
            passed.map_or(String::new(), |s| format!(
                "; a message of the same sender was taken {} later",
                span(s)
            ))
        );
        let by_name = group.reply.to_ascii_lowercase().contains("list");
        let confidence = match (by_name, passed.is_some()) {
            (true, _) => 0.95,
            (false, true) => 0.75,
            (false, false) => 0.5,
        };
        let mut f = dress(
            "smtp.greylisted",
            Severity::Warning,
            confidence,
            summary,
            addr,
            group,
        );
        f.seconds_lost = passed;
        if passed.is_none() {
            f.against.push("no retry that passes lies in the capture: a policy that blocks for good says the same".to_owned());
        }
        f
    }

    fn shadow(addr: IpAddr, group: Group) -> Finding {
        let summary = format!(
            "{addr} cannot place its second copy of messages: {} with {}",
            plural(group.count, "refusal"),
            group.reply
        );
        let sure = group.reply.to_ascii_lowercase().contains("redundan");
        let confidence = if sure { 0.95 } else { 0.65 };
        dress(
            "smtp.shadow-failing",
            Severity::Warning,
            confidence,
            summary,
            addr,
            group,
        )
    }
}

/// Whether a reply says nothing of a limit.
fn smtp_reply_is_bare(reply: &str) -> bool {
    smtp_reply::topic("CONNECT", 421, None, reply) != Topic::Connections
}

fn count(n: usize) -> f64 {
    n as f64
}

fn with_port(mut f: Finding, port: u16) -> Finding {
    f.measures.push(("port", f64::from(port)));
    f
}

fn dress(
    id: &'static str,
    severity: Severity,
    confidence: f64,
    summary: String,
    addr: IpAddr,
    group: Group,
) -> Finding {
    let summary = summary + &group.since();
    let mut f = group.trace.finding(id, severity, confidence, summary);
    f.subject = Some(addr);
    f.peer = group
        .clients
        .first()
        .copied()
        .filter(|_| group.clients.len() == 1);
    f.measures = vec![("count", group.count as f64)];
    f.words = vec![
        ("application", "smtp".to_owned()),
        ("verb", group.verbs.join(" ")),
        ("reply", group.reply),
    ];
    let codes: String = f
        .words
        .iter()
        .filter(|(name, _)| *name == "reply")
        .map(|(_, reply)| reply.chars().take(3).collect::<String>())
        .collect();
    f.display_filter = format!("{} && smtp.response.code == {codes}", f.display_filter);
    f
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::net::Ipv4Addr;

    use super::*;

    fn group(count: u64, verb: &str, reply: &str, clients: u8) -> Group {
        Group {
            count,
            reply: reply.to_owned(),
            verbs: vec![verb.to_owned()],
            clients: (1..=clients)
                .map(|n| Ipv4Addr::new(192, 0, 2, n).into())
                .collect(),
            first: Some(Timestamp(1_000)),
            ..Group::default()
        }
    }

    #[test]
    fn severities_of_rejections() {
        for (name, verb, count, asked, want) in [
            ("one of many recipients", "RCPT", 1, 50, Severity::Info),
            ("the only recipient, once", "RCPT", 1, 1, Severity::Info),
            ("most recipients", "RCPT", 4, 5, Severity::Warning),
            ("many, though most pass", "RCPT", 12, 500, Severity::Warning),
            ("a command that nobody needs", "VRFY", 40, 0, Severity::Info),
        ] {
            let mut server = Server::default();
            if let Some(verb) = known(verb) {
                server.asked.insert(verb, asked);
            }
            let addr = Ipv4Addr::new(192, 0, 2, 99).into();
            let f = server.rejected(addr, 25, 550, group(count, verb, "550 5.1.1 no", 1));
            assert_eq!(f.severity, want, "{name}");
        }
    }

    #[test]
    fn since_when() {
        const FIRST: i64 = 1_262_704_920_000_000_000;
        let cases = [
            ("never", 0, None, None, ""),
            (
                "once",
                1,
                Some(0),
                Some(0),
                "; refused at 2010-01-05 15:22:00 UTC",
            ),
            (
                "in one segment",
                3,
                Some(0),
                Some(0),
                "; all refused at 2010-01-05 15:22:00 UTC",
            ),
            (
                "for some time",
                3,
                Some(0),
                Some(42_500_000_000),
                "; refused since 2010-01-05 15:22:00 UTC, the last 42.5 s later",
            ),
        ];
        for (name, count, first, last, want) in cases {
            let at = |nanos: i64| Timestamp(FIRST + nanos);
            let group = Group {
                first: first.map(at),
                last: last.map(at),
                ..group(count, "RCPT", "550 5.1.1 no", 1)
            };
            assert_eq!(group.since(), want, "{name}");
        }
    }

    #[test]
    fn bare_421_at_connect() {
        let addr: IpAddr = Ipv4Addr::new(192, 0, 2, 99).into();
        let client: IpAddr = Ipv4Addr::new(192, 0, 2, 1).into();
        for (name, running, want) in [
            (
                "while many of the same source run",
                20,
                "smtp.connection-limit",
            ),
            ("while few do", 3, "smtp.rejected"),
        ] {
            let key = (Topic::Other, 421, None);
            let mut server = Server::default();
            server
                .groups
                .insert(key, group(1, "CONNECT", "421 go away", 1));
            server.bare.push((client, Timestamp(5), key));
            server.lives = vec![(client, Timestamp(0), Timestamp(9)); running];
            let mut out = Vec::new();
            server.judge(addr, 25, &mut out);
            assert_eq!(out.first().unwrap().id, want, "{name}");
        }
    }
}
