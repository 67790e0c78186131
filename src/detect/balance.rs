//! Finds out how connections are spread over servers that share one job, and which of these does not take its part.
//!
//! Reads:   beginnings and ends of flows, greetings of SMTP, DNS answers with several addresses, the pools that the user names
//! Yields:  `balance.server-unavailable` (one for each server that fails while others of its group take connections),
//!          `balance.failover-skew`, `balance.uneven` (one for each group)
//! Silent:  groups of which no member takes connections (then it is the path); skew that chance explains; ports other than SMTP's
//!          unless pools, DNS or repeated failover show a group
//! Source:  round robin of Exchange 2007 and 2010 RTM; RFC 5321 section 5.1; thresholds of the shares are ours

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use super::smtp_reply::{self, Topic, words};
use super::trace::{Groups, Place, Room, Trace, percent, plural, span};
use super::{Detector, Finding, Limited, Seen, Severity};
use crate::decode::{Note, NoteKind};
use crate::flow::End;
use crate::net::{FrameNo, Timestamp};

/// Attempts kept in all.
const MAX_ATTEMPTS: usize = 500_000;
/// DNS answers with several addresses that are kept.
const MAX_NAMES: usize = 10_000;
/// The next address is tried within so many seconds of a failure.
const NEXT_TRY: f64 = 5.0;
/// A SYN that nobody answers is given up at some time; stacks that wait longer than this are not seen to fail over.
const NEXT_TRY_AFTER_SILENCE: f64 = 65.0;
/// Largest group: beyond, somebody scans.
const MAX_MEMBERS: usize = 64;
/// Connections in a group from which its shares are judged.
const LEAST_CONNECTIONS: u64 = 20;
/// Connections from which a failover's skew is.
const LEAST_FOR_SKEW: u64 = 30;
/// How sure a group has to be, or how many connections its least member must have, for an uneven spread to be worth a warning.
const SHARES: f64 = 0.95;
const TAKES_PART: u64 = 3;
/// How unlikely chance has to be.
const CHANCE_OF_SPREAD: f64 = 1e-4;
const CHANCE_OF_SKEW: f64 = 0.01;
/// Against the fair share.
const MUCH: f64 = 1.5;
const LITTLE: f64 = 0.5;
/// A member is slow whose connections last so long, and so many times as long as those of the next.
const SLOW_SECONDS: f64 = 1.0;
const SLOW_TIMES: f64 = 3.0;

/// How an attempt ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    /// The service took it.
    Taken,
    /// RST in answer to the SYN.
    Refused,
    /// Nothing in answer to the SYN.
    Unanswered,
    /// Turned away in the greeting.
    TurnedAway,
}

/// How an attempt to reach a service ended; `None` where its beginning is not in the capture, or nothing came of it yet.
pub(super) fn outcome(seen: Seen<'_>) -> Option<Outcome> {
    let f = seen.flow;
    if !f.handshake.syn_seen {
        return None;
    }
    Some(match f.close.how {
        End::Refused => Outcome::Refused,
        End::Unanswered => Outcome::Unanswered,
        _ => {
            let turned_away = seen.dialog.smtp.as_ref().is_some_and(|smtp| {
                smtp.refusals.first().is_some_and(|r| {
                    r.verb == "CONNECT"
                        && smtp_reply::topic(&r.verb, r.code, r.enhanced, &r.text)
                            != Topic::Connections
                })
            });
            if turned_away {
                Outcome::TurnedAway
            } else if f.handshake.syn_ack_seen {
                Outcome::Taken
            } else {
                return None;
            }
        }
    })
}

#[derive(Clone, Debug)]
struct Attempt {
    start: Timestamp,
    /// Of a failure: when it was known.
    end: Timestamp,
    outcome: Outcome,
    /// Messages that it carried, and how long it lasted.
    messages: u64,
    seconds: f64,
    place: Place,
    frame: FrameNo,
}

/// What a server calls itself, without the digits that tell it from its neighbours.
type Name = String;

#[derive(Default)]
struct Service {
    attempts: Vec<Attempt>,
    names: BTreeMap<IpAddr, Name>,
    replies: BTreeMap<IpAddr, String>,
    is_smtp: bool,
}

/// See the head of this file.
pub(super) struct Balance {
    pools: Vec<(String, Vec<IpAddr>)>,
    services: Groups<u16, Service>,
    names: BTreeSet<Vec<IpAddr>>,
    room: Room,
}

impl Balance {
    pub(super) fn new(pools: &[(String, Vec<IpAddr>)]) -> Self {
        Self {
            pools: pools.to_vec(),
            services: Groups::default(),
            names: BTreeSet::new(),
            room: Room::new(MAX_ATTEMPTS),
        }
    }
}

impl Detector for Balance {
    fn minds_lone_syns(&self) -> bool {
        true
    }

    fn flow(&mut self, seen: Seen<'_>, _out: &mut Vec<Finding>) {
        let Some(outcome) = outcome(seen) else {
            return;
        };
        let f = seen.flow;
        if self.room.is_used_up() {
            return;
        }
        let Some(s) = self.services.group(f.server.port) else {
            return;
        };
        self.room.take();
        s.is_smtp |= seen.dialog.smtp.is_some() || matches!(f.server.port, 25 | 587 | 2525);
        let (mut frame, mut end) = (f.first_frame, f.end);
        if let Some(smtp) = &seen.dialog.smtp {
            if let Some(name) = &smtp.server_name {
                s.names.insert(f.server.addr, without_digits(name));
            }
            if outcome == Outcome::TurnedAway
                && let Some(r) = smtp.refusals.first()
            {
                (frame, end) = (r.frame, r.time);
                s.replies
                    .insert(f.server.addr, words(r.code, r.enhanced, &r.text));
            }
        }
        if outcome == Outcome::Refused {
            frame = f.close.frame.unwrap_or(frame);
        }
        s.attempts.push(Attempt {
            start: f.start,
            end,
            outcome,
            messages: seen
                .dialog
                .smtp
                .as_ref()
                .map_or(0, |smtp| smtp.messages.len() as u64),
            seconds: f.duration().as_secs_f64(),
            place: Place::from(f),
            frame,
        });
    }

    fn note(&mut self, note: &Note) {
        if let NoteKind::DnsAnswer { addresses, .. } = &note.kind
            && (2..=MAX_MEMBERS).contains(&addresses.len())
            && self.names.len() < MAX_NAMES
        {
            let mut set = addresses.clone();
            set.sort_unstable();
            self.names.insert(set);
        }
    }

    fn limited(&mut self) -> Vec<&mut dyn Limited> {
        vec![&mut self.services, &mut self.room]
    }

    fn finish(&mut self, out: &mut Vec<Finding>) {
        for (port, mut service) in self.services.take() {
            service
                .attempts
                .sort_by_key(|a| (a.start, a.place.flow, a.place.capture));
            for group in service.groups(&self.pools, &self.names) {
                group.judge(port, &service, out);
            }
        }
    }
}

/// `hub12.example.com` and `hub3.example.com` are neighbours.
fn without_digits(name: &str) -> Name {
    name.chars()
        .filter(|c| !c.is_ascii_digit())
        .take(200)
        .collect::<String>()
        .to_ascii_lowercase()
}

/// Whether two addresses lie in one /24 or /64.
fn near(a: IpAddr, b: IpAddr) -> bool {
    match (a, b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => a.octets().iter().take(3).eq(b.octets().iter().take(3)),
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            a.segments().iter().take(4).eq(b.segments().iter().take(4))
        }
        _ => false,
    }
}

/// Servers that share one job, and how we know.
#[derive(Debug)]
struct Group {
    members: BTreeSet<IpAddr>,
    name: Option<String>,
    basis: &'static str,
    confidence: f64,
}

impl Service {
    /// The groups among the servers of this port. A server belongs to one at most; what the user says goes first.
    fn groups(&self, pools: &[(String, Vec<IpAddr>)], names: &BTreeSet<Vec<IpAddr>>) -> Vec<Group> {
        let servers: BTreeSet<IpAddr> = self.attempts.iter().map(|a| a.place.server).collect();
        let mut taken: BTreeSet<IpAddr> = BTreeSet::new();
        let mut groups = Vec::new();
        let mut add = |members: BTreeSet<IpAddr>, name: Option<String>, basis, confidence| {
            let members: BTreeSet<_> = members
                .into_iter()
                .filter(|m| servers.contains(m) && !taken.contains(m))
                .collect();
            if (2..=MAX_MEMBERS).contains(&members.len()) {
                taken.extend(&members);
                groups.push(Group {
                    members,
                    name,
                    basis,
                    confidence,
                });
            }
        };
        for (name, members) in pools {
            let members = members.iter().copied().collect();
            add(members, Some(name.clone()), "given as a pool", 1.0);
        }
        for members in names {
            let members = members.iter().copied().collect();
            add(members, None, "a name stands for all of them", 0.95);
        }
        for members in self.failovers() {
            add(
                members,
                None,
                "clients go from one to the next when it fails",
                0.95,
            );
        }
        if self.is_smtp {
            for members in self.namesakes() {
                add(members, None, "neighbours with like names", 0.8);
            }
        }
        groups
    }

    /// Servers that clients tried right after another had failed.
    fn failovers(&self) -> Vec<BTreeSet<IpAddr>> {
        let mut links: BTreeMap<(IpAddr, IpAddr), u32> = BTreeMap::new();
        for (failed, next) in self.next_tries() {
            if failed.place.server != next.place.server
                && failed.place.server.is_ipv4() == next.place.server.is_ipv4()
            {
                *links
                    .entry((failed.place.server, next.place.server))
                    .or_default() += 1;
            }
        }
        let mut groups: Vec<BTreeSet<IpAddr>> = Vec::new();
        for ((a, b), times) in links {
            let alike = self
                .names
                .get(&a)
                .is_some_and(|n| self.names.get(&b) == Some(n));
            // Once may be a coincidence on a busy client.
            if times < 2 && !(self.is_smtp && (near(a, b) || alike)) {
                continue;
            }
            let (mut joined, rest): (Vec<_>, Vec<_>) = groups
                .into_iter()
                .partition(|g| g.contains(&a) || g.contains(&b));
            let mut one: BTreeSet<IpAddr> = joined.drain(..).flatten().collect();
            one.extend([a, b]);
            groups = rest;
            groups.push(one);
        }
        // Others of the same name and network belong to it, although nobody had to fall back on them.
        for group in &mut groups {
            let more: Vec<IpAddr> = self
                .names
                .iter()
                .filter(|(addr, name)| {
                    group
                        .iter()
                        .any(|m| near(*m, **addr) && self.names.get(m) == Some(name))
                })
                .map(|(addr, _)| *addr)
                .collect();
            group.extend(more);
        }
        groups
    }

    /// A failed attempt and what the same client tried next.
    fn next_tries(&self) -> Vec<(&Attempt, &Attempt)> {
        // Attempts stand in order of time.
        let mut before: HashMap<IpAddr, &Attempt> = HashMap::new();
        let mut pairs = Vec::new();
        for next in &self.attempts {
            let Some(failed) = before.insert(next.place.client, next) else {
                continue;
            };
            if failed.outcome == Outcome::Taken {
                continue;
            }
            let after = next.start.seconds_since(failed.end);
            let most = if failed.outcome == Outcome::Unanswered {
                NEXT_TRY_AFTER_SILENCE
            } else {
                NEXT_TRY
            };
            if (0.0..=most).contains(&after) {
                pairs.push((failed, next));
            }
        }
        pairs
    }

    /// Servers of one network that call themselves alike, to which one client connects.
    fn namesakes(&self) -> Vec<BTreeSet<IpAddr>> {
        let mut groups: Vec<(IpAddr, &Name, BTreeSet<IpAddr>)> = Vec::new();
        for (addr, name) in &self.names {
            match groups
                .iter_mut()
                .find(|(first, n, _)| near(*first, *addr) && *n == name)
            {
                Some((_, _, members)) => {
                    members.insert(*addr);
                }
                None => groups.push((*addr, name, BTreeSet::from([*addr]))),
            }
        }
        groups.into_iter().map(|(_, _, members)| members).collect()
    }
}

/// What one member did.
#[derive(Clone, Debug, Default)]
struct Member {
    taken: u64,
    failed: Vec<usize>,
}

impl Group {
    #[allow(clippy::cast_precision_loss)]
    fn judge(&self, port: u16, service: &Service, out: &mut Vec<Finding>) {
        let attempts = &service.attempts;
        let mut members: BTreeMap<IpAddr, Member> = BTreeMap::new();
        for (n, a) in attempts.iter().enumerate() {
            if self.members.contains(&a.place.server) {
                let m = members.entry(a.place.server).or_default();
                match a.outcome {
                    Outcome::Taken => m.taken += 1,
                    _ => m.failed.push(n),
                }
            }
        }
        let next: BTreeMap<(u32, u64, FrameNo), &Attempt> = service
            .next_tries()
            .into_iter()
            .map(|(failed, next)| (key(failed), next))
            .collect();
        let mut away = Vec::new();
        for (addr, m) in &members {
            if let Some(f) = self.unavailable(port, *addr, m, service, &next) {
                away.push(*addr);
                out.push(f);
            }
        }
        self.spread(port, &members, &away, service, &next, out);
    }

    #[allow(clippy::cast_precision_loss)]
    fn unavailable(
        &self,
        port: u16,
        addr: IpAddr,
        m: &Member,
        service: &Service,
        next: &BTreeMap<(u32, u64, FrameNo), &Attempt>,
    ) -> Option<Finding> {
        let failed: Vec<&Attempt> = m
            .failed
            .iter()
            .filter_map(|&n| service.attempts.get(n))
            .collect();
        let (first, last) = (failed.first()?, failed.last()?);
        // Others take connections at the time, or the path is away.
        let minute = 60_000_000_000;
        let others: BTreeSet<IpAddr> = service
            .attempts
            .iter()
            .filter(|a| {
                a.place.server != addr
                    && a.outcome == Outcome::Taken
                    && self.members.contains(&a.place.server)
                    && a.start >= first.start.plus_nanos(-minute)
                    && a.start <= last.end.plus_nanos(minute)
            })
            .map(|a| a.place.server)
            .collect();
        if others.is_empty() {
            return None;
        }
        let took_meanwhile = service
            .attempts
            .iter()
            .filter(|a| {
                a.place.server == addr
                    && a.outcome == Outcome::Taken
                    && a.start >= first.start
                    && a.start <= last.start
            })
            .count() as u64;
        // A server that fails now and then among many that it takes has another ailment.
        if took_meanwhile > failed.len() as u64 * 4 {
            return None;
        }
        let mut trace = Trace::default();
        let mut lost = 0.0;
        let mut ways: BTreeMap<&str, u64> = BTreeMap::new();
        for a in &failed {
            trace.place(a.place, a.start, a.end);
            let way = match a.outcome {
                Outcome::Refused => "refused",
                Outcome::Unanswered => "unanswered",
                _ => "turned away",
            };
            *ways.entry(way).or_default() += 1;
            let then = next.get(&key(a)).copied();
            lost += then
                .map_or(a.end, |t| t.start)
                .seconds_since(a.start)
                .max(0.0);
            trace.cite(a.place, a.frame, || {
                let reply = service
                    .replies
                    .get(&addr)
                    .filter(|_| a.outcome == Outcome::TurnedAway);
                format!(
                    "connection to {addr} {way}{}{}",
                    reply.map_or(String::new(), |r| format!(" with {r}")),
                    then.map_or(String::new(), |t| format!(
                        "; {} later the client tries {}",
                        span(t.start.seconds_since(a.start)),
                        t.place.server
                    ))
                )
            });
        }
        let failovers = failed.iter().filter(|a| next.contains_key(&key(a))).count();
        let said: Vec<String> = ways.iter().map(|(w, n)| format!("{n} {w}")).collect();
        let summary = format!(
            "{addr} does not take connections on port {port} ({}), while {} {}",
            said.join(", "),
            plural(others.len() as u64, "other server"),
            if others.len() == 1 {
                "of its group does"
            } else {
                "of its group do"
            }
        );
        let confidence = match (took_meanwhile, failed.len(), failovers) {
            (1.., _, _) => 0.7,
            (_, 1, _) => 0.75,
            _ => 0.95,
        } * if self.confidence < 0.9 { 0.9 } else { 1.0 };
        let mut f = trace.finding(
            "balance.server-unavailable",
            if took_meanwhile == 0 && failed.len() > 1 {
                Severity::Critical
            } else {
                Severity::Warning
            },
            confidence,
            summary,
        );
        f.subject = Some(addr);
        f.hosts.extend(
            others
                .iter()
                .filter(|o| !f.hosts.contains(o))
                .copied()
                .collect::<Vec<_>>(),
        );
        f.seconds_lost = Some(lost);
        f.measures = vec![
            ("count", failed.len() as f64),
            ("targets", self.members.len() as f64),
            ("port", f64::from(port)),
        ];
        f.words = vec![(
            "application",
            if service.is_smtp { "smtp" } else { "unknown" }.to_owned(),
        )];
        if let Some(reply) = service.replies.get(&addr) {
            f.words.push(("reply", reply.clone()));
        }
        f.against
            .push(format!("the group is known from this: {}", self.basis));
        if took_meanwhile > 0 {
            f.against.push(format!(
                "it took {} in between",
                plural(took_meanwhile, "connection")
            ));
        }
        f.display_filter = format!(
            "{}.addr == {addr} && tcp.port == {port}",
            super::trace::ip_field(addr)
        );
        Some(f)
    }

    #[allow(clippy::cast_precision_loss)]
    fn spread(
        &self,
        port: u16,
        members: &BTreeMap<IpAddr, Member>,
        away: &[IpAddr],
        service: &Service,
        next: &BTreeMap<(u32, u64, FrameNo), &Attempt>,
        out: &mut Vec<Finding>,
    ) {
        let working: Vec<(IpAddr, u64)> = members
            .iter()
            .filter(|(addr, _)| !away.contains(addr))
            .map(|(addr, m)| (*addr, m.taken))
            .collect();
        let total: u64 = working.iter().map(|(_, n)| n).sum();
        let counts: Vec<u64> = working.iter().map(|(_, n)| *n).collect();
        let Some(&(top, most)) = working.iter().max_by_key(|(_, n)| *n) else {
            return;
        };
        let k = working.len() as f64;
        let mut trace = Trace::default();
        for a in &service.attempts {
            if self.members.contains(&a.place.server) {
                trace.place(a.place, a.start, a.end);
                if a.place.server == top {
                    trace.cite(a.place, a.frame, || format!("a connection to {top}"));
                }
            }
        }
        let list: Vec<String> = working
            .iter()
            .map(|(addr, n)| format!("{addr} {n} ({})", percent(*n as f64 / total.max(1) as f64)))
            .collect();
        let share = most as f64 / total.max(1) as f64;
        let dress = |mut f: Finding| {
            f.subject = Some(top);
            f.measures = vec![
                ("share", share),
                ("skew", share * k),
                ("targets", self.members.len() as f64),
                ("count", total as f64),
                ("port", f64::from(port)),
            ];
            f.words = vec![(
                "application",
                if service.is_smtp { "smtp" } else { "unknown" }.to_owned(),
            )];
            f.against
                .push(format!("the group is known from this: {}", self.basis));
            f
        };
        // One after a dead one: it gets its own share and that of those before it.
        if !away.is_empty() && total >= LEAST_FOR_SKEW && working.len() >= 2 {
            let heirs = away
                .iter()
                .filter(|dead| heir(**dead, service, next) == Some(top))
                .count();
            let n = self.members.len() as f64;
            let inherited = (heirs as f64 + 1.0) / n;
            if heirs > 0
                && (share - inherited).abs() < (share - 1.0 / k).abs()
                && binomial_tail(total, most, 1.0 / k) < CHANCE_OF_SKEW
            {
                let dead: Vec<String> = away.iter().map(ToString::to_string).collect();
                let summary = format!(
                    "{top} carries the share of {} as well: {} of {total} connections, where an even spread over the working servers were {} ({})",
                    dead.join(", "),
                    percent(share),
                    percent(1.0 / k),
                    list.join(", ")
                );
                let f = trace.finding(
                    "balance.failover-skew",
                    Severity::Warning,
                    0.9 * self.confidence,
                    summary,
                );
                out.push(dress(f));
                return;
            }
        }
        if total < LEAST_CONNECTIONS || working.len() < 2 {
            return;
        }
        let fair = total as f64 / k;
        let least = counts.iter().min().copied().unwrap_or(0);
        let much = most as f64 > MUCH * fair || (least as f64) < LITTLE * fair;
        if !much || chi_square_tail(&counts) >= CHANCE_OF_SPREAD {
            return;
        }
        let summary = format!(
            "{} connections to port {port} are spread unevenly over {} servers{}: {}",
            total,
            working.len(),
            self.name
                .as_ref()
                .map_or(String::new(), |n| format!(" of {n}")),
            list.join(", ")
        );
        let mut f = dress(trace.finding(
            "balance.uneven",
            // Like names alone do not say that a server which hardly any connection went to shares their load: mail hubs each have
            // their own mail.
            if self.confidence >= SHARES || least >= TAKES_PART {
                Severity::Warning
            } else {
                Severity::Info
            },
            0.85 * self.confidence.max(0.85),
            summary,
        ));
        if let Some((client, n)) = pinned(service, top)
            && n * 2 > most
            && most - n <= (fair * MUCH) as u64
        {
            f.peer = Some(client);
            f.against.push(format!("{client} alone makes {n} of the {most} connections to {top}: a sender tied to one server"));
        }
        f.against.extend(service.messages(&working));
        f.against.extend(service.slow_member(&working));
        f.against
            .push("the servers may have different weights or priorities".to_owned());
        out.push(f);
    }
}

impl Service {
    /// How messages are spread, where connections carry several (Exchange sends up to 20 over one): they are the load, not the connections.
    #[allow(clippy::cast_precision_loss)]
    fn messages(&self, members: &[(IpAddr, u64)]) -> Option<String> {
        let of = |addr: IpAddr| -> u64 {
            let attempts = self.attempts.iter().filter(|a| a.place.server == addr);
            attempts.map(|a| a.messages).sum()
        };
        let total: u64 = members.iter().map(|(addr, _)| of(*addr)).sum();
        let connections: u64 = members.iter().map(|(_, n)| n).sum();
        if total <= connections {
            return None;
        }
        let shares: Vec<String> = members
            .iter()
            .map(|(addr, _)| {
                let n = of(*addr);
                format!("{addr} {n} ({})", percent(n as f64 / total as f64))
            })
            .collect();
        Some(format!(
            "connections carry {:.1} messages each; by messages the shares are {}",
            total as f64 / connections.max(1) as f64,
            shares.join(", ")
        ))
    }

    /// The member whose connections last much longer than the others': senders that wait for it use it less, or pile up there.
    fn slow_member(&self, members: &[(IpAddr, u64)]) -> Option<String> {
        let mut medians: Vec<(f64, IpAddr)> = members
            .iter()
            .filter_map(|(addr, _)| {
                let mut lasted: Vec<f64> = self
                    .attempts
                    .iter()
                    .filter(|a| a.place.server == *addr && a.outcome == Outcome::Taken)
                    .map(|a| a.seconds)
                    .collect();
                lasted.sort_by(f64::total_cmp);
                Some((*lasted.get(lasted.len() / 2)?, *addr))
            })
            .collect();
        medians.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (slowest, addr) = *medians.first()?;
        let (next, _) = *medians.get(1)?;
        (slowest >= SLOW_SECONDS && slowest >= next * SLOW_TIMES).then(|| {
            format!(
                "{addr} is the slow member: its connections last {} in the median, those of the next {}",
                span(slowest),
                span(next)
            )
        })
    }
}

fn key(a: &Attempt) -> (u32, u64, FrameNo) {
    (a.place.capture, a.place.flow, a.frame)
}

/// Who is tried most often after a dead server.
fn heir(
    dead: IpAddr,
    service: &Service,
    next: &BTreeMap<(u32, u64, FrameNo), &Attempt>,
) -> Option<IpAddr> {
    let mut tried: BTreeMap<IpAddr, u64> = BTreeMap::new();
    for a in &service.attempts {
        if a.place.server == dead
            && let Some(then) = next.get(&key(a))
        {
            *tried.entry(then.place.server).or_default() += 1;
        }
    }
    tried
        .into_iter()
        .max_by_key(|(_, n)| *n)
        .map(|(addr, _)| addr)
}

/// The client with most connections to a server.
fn pinned(service: &Service, server: IpAddr) -> Option<(IpAddr, u64)> {
    let mut clients: BTreeMap<IpAddr, u64> = BTreeMap::new();
    for a in &service.attempts {
        if a.place.server == server && a.outcome == Outcome::Taken {
            *clients.entry(a.place.client).or_default() += 1;
        }
    }
    clients
        .into_iter()
        .max_by_key(|(_, n)| *n)
        .filter(|(client, _)| service.attempts.iter().any(|a| a.place.client != *client))
}

/// Chance of `hits` or more of `n`, each with chance `p`.
#[allow(clippy::cast_precision_loss)]
fn binomial_tail(n: u64, hits: u64, p: f64) -> f64 {
    if p <= 0.0 || p >= 1.0 {
        return 1.0;
    }
    let n_ = n as f64;
    // Beyond this the normal curve is as good.
    if n > 10_000 {
        let deviation = (n_ * p * (1.0 - p)).sqrt();
        return normal_tail((hits as f64 - 0.5 - n_ * p) / deviation);
    }
    let mut log = n_ * (1.0 - p).ln();
    let mut sum = 0.0;
    for k in 0..=n {
        if k >= hits {
            sum += log.exp();
        }
        let k = k as f64;
        log += ((n_ - k) / (k + 1.0)).ln() + (p / (1.0 - p)).ln();
    }
    sum.min(1.0)
}

/// Chance of a spread at least as uneven as this, if all were alike (chi-square; Wilson and Hilferty's approximation).
#[allow(clippy::cast_precision_loss)]
fn chi_square_tail(counts: &[u64]) -> f64 {
    let degrees = counts.len().saturating_sub(1) as f64;
    let fair = counts.iter().sum::<u64>() as f64 / counts.len().max(1) as f64;
    if degrees < 1.0 || fair <= 0.0 {
        return 1.0;
    }
    let chi: f64 = counts
        .iter()
        .map(|&n| (n as f64 - fair).powi(2) / fair)
        .sum();
    let part = 2.0 / (9.0 * degrees);
    normal_tail(((chi / degrees).cbrt() - (1.0 - part)) / part.sqrt())
}

/// Chance of `z` deviations or more above the mean (Abramowitz and Stegun 26.2.17).
fn normal_tail(z: f64) -> f64 {
    if z < 0.0 {
        return 1.0 - normal_tail(-z);
    }
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let polynomial = t
        * (0.319_381_530
            + t * (-0.356_563_782
                + t * (1.781_477_937 + t * (-1.821_255_978 + t * 1.330_274_429))));
    (-z * z / 2.0).exp() * 0.398_942_280_4 * polynomial
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn addr(n: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, n).into()
    }

    /// Attempts of one client, one a second: server and whether it takes.
    fn service(list: impl IntoIterator<Item = (u8, Outcome)>) -> Service {
        let mut service = Service {
            is_smtp: true,
            ..Service::default()
        };
        for (n, (server, outcome)) in list.into_iter().enumerate() {
            let at = Timestamp(i64::try_from(n).unwrap_or(0) * 1_000_000_000);
            service.attempts.push(Attempt {
                start: at,
                end: at.plus_nanos(100_000_000),
                outcome,
                messages: 0,
                seconds: 0.1,
                place: Place {
                    flow: n.try_into().unwrap_or(0),
                    capture: 0,
                    client: addr(200),
                    server: addr(server),
                },
                frame: FrameNo(n as u64 + 1),
            });
            if outcome == Outcome::Taken {
                service.names.insert(addr(server), "hub.example".to_owned());
            }
        }
        service
    }

    fn found(service: &Service) -> Vec<(&'static str, Option<IpAddr>)> {
        let mut out = Vec::new();
        for group in service.groups(&[], &BTreeSet::new()) {
            group.judge(25, service, &mut out);
        }
        out.iter().map(|f| (f.id, f.subject)).collect()
    }

    /// Round robin without memory over three servers, of which the third is dead.
    fn without_memory(n: usize) -> Vec<(u8, Outcome)> {
        (0..n)
            .flat_map(|n| match n % 3 {
                0 => vec![(1, Outcome::Taken)],
                1 => vec![(2, Outcome::Taken)],
                _ => vec![(3, Outcome::Refused), (1, Outcome::Taken)],
            })
            .collect()
    }

    #[test]
    fn groups_and_their_members() {
        use Outcome::{Refused, Taken, TurnedAway};
        for (name, list, want) in [
            (
                "one of three refuses",
                vec![(1, Taken), (2, Taken), (3, Refused), (1, Taken)],
                vec![("balance.server-unavailable", Some(addr(3)))],
            ),
            (
                "one turns away",
                vec![
                    (1, Taken),
                    (3, TurnedAway),
                    (1, Taken),
                    (3, TurnedAway),
                    (1, Taken),
                ],
                vec![("balance.server-unavailable", Some(addr(3)))],
            ),
            (
                "all refuse: the path",
                vec![(1, Refused), (2, Refused), (3, Refused)],
                vec![],
            ),
            (
                "one server alone",
                vec![(1, Taken), (1, Refused), (1, Taken)],
                vec![],
            ),
            (
                "few connections after a dead one",
                without_memory(12),
                vec![("balance.server-unavailable", Some(addr(3)))],
            ),
            (
                "many connections after a dead one",
                without_memory(300),
                vec![
                    ("balance.server-unavailable", Some(addr(3))),
                    ("balance.failover-skew", Some(addr(1))),
                ],
            ),
            (
                "even over what works",
                (0..300)
                    .flat_map(|n| {
                        if n % 30 == 0 {
                            vec![(3, Refused), (1, Taken)]
                        } else {
                            vec![(if n % 2 == 0 { 1 } else { 2 }, Taken)]
                        }
                    })
                    .collect(),
                vec![("balance.server-unavailable", Some(addr(3)))],
            ),
            (
                "eight of ten to one",
                (0..30)
                    .map(|n| {
                        (
                            match n % 10 {
                                0..8 => 1,
                                8 => 2,
                                _ => 3,
                            },
                            Taken,
                        )
                    })
                    .collect(),
                vec![("balance.uneven", Some(addr(1)))],
            ),
            (
                "evenly",
                (0..60).map(|n| (n % 3 + 1, Taken)).collect(),
                vec![],
            ),
            (
                "chance",
                (0..20)
                    .map(|n| (if n < 13 { 1 } else { 2 }, Taken))
                    .collect(),
                vec![],
            ),
        ] {
            assert_eq!(found(&service(list)), want, "{name}");
        }
    }

    #[test]
    fn messages_and_slow_members_are_told_beside_uneven_shares() {
        let mut uneven = service((0..80).map(|n| (if n % 10 < 8 { 1 } else { 2 }, Outcome::Taken)));
        for a in &mut uneven.attempts {
            // Eight of ten connections with one message each; the others with twenty, over a minute.
            (a.messages, a.seconds) = if a.place.server == addr(1) {
                (1, 2.0)
            } else {
                (20, 60.0)
            };
        }
        let mut out = Vec::new();
        for group in uneven.groups(&[], &BTreeSet::new()) {
            group.judge(25, &uneven, &mut out);
        }
        let told = out
            .first()
            .map(|f| f.against.join("; "))
            .unwrap_or_default();
        for part in [
            "connections carry 4.8 messages each",
            "192.0.2.2 320 (83 %)",
            "192.0.2.2 is the slow member",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
    }

    #[test]
    fn strangers_are_no_group() {
        let mut apart = service((0..40).map(|n| (if n < 36 { 1 } else { 2 }, Outcome::Taken)));
        apart.names.insert(addr(2), "other.example".to_owned());
        assert_eq!(found(&apart), vec![]);
    }

    #[test]
    fn chances() {
        for (name, got, want) in [
            ("8 of 12 heads or more", binomial_tail(12, 8, 0.5), 0.1938),
            ("none or more", binomial_tail(12, 0, 0.5), 1.0),
            ("certain", binomial_tail(5, 5, 1.0), 1.0),
            (
                "by the normal curve",
                binomial_tail(20_000, 10_100, 0.5),
                0.0797,
            ),
            (
                "chi-square 5.99 of 2",
                chi_square_tail(&[127, 82, 91]),
                0.0037,
            ),
            ("all alike", chi_square_tail(&[10, 10, 10]), 1.0),
            ("one group", chi_square_tail(&[10]), 1.0),
        ] {
            assert!((got - want).abs() < 0.005, "{name}: {got}");
        }
    }
}
