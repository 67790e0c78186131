//! Exchange's transport logs: SmtpReceive, SmtpSend and connectivity logs to sessions.
//!
//! Takes:  the octets of log files, any number, in any order of sessions
//! Gives:  [`LogSession`]s: endpoints, times, commands with their replies and delays, tarpits, targets marked unhealthy;
//!         and by [`join()`] the flow of a capture that each of them is
//! Never:  keeps what a client sent to authenticate itself; needs a capture

mod grammar;
mod join;

use std::collections::HashMap;
use std::net::IpAddr;

use crate::net::{Endpoint, Timestamp};

use super::text::{self, Line};

pub use join::{ClockOffset, FlowSpan, Joined, Pair, join};

/// Sessions kept of all logs.
const MAX_SESSIONS: usize = 1 << 18;
/// Exchanges kept of one session.
const MAX_EXCHANGES: usize = 4096;
/// Commands of one session that wait for their reply.
const MAX_PENDING: usize = 256;
/// Tarpits, and targets marked unhealthy, kept of one session.
const MAX_NOTES: usize = 1024;
/// Lines kept that were not understood.
const MAX_NOT_UNDERSTOOD: usize = 1 << 12;
/// Characters kept of a command or reply.
const MAX_TEXT: usize = 256;

/// Which log a session was found in.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum LogKind {
    /// SmtpReceive: this server answers.
    Receive,
    /// SmtpSend: this server commands.
    Send,
    /// Connectivity log: attempts to reach a next hop.
    Connectivity,
}

/// Who ended a session.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Closer {
    /// The server that wrote the log.
    Local,
    /// The other side.
    Remote,
}

/// A command and its reply.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// Line of the reply.
    pub line: usize,
    /// The command (hostile), without what authenticates; `(connect)` for the greeting, `(message)` for the reply to the end
    /// of the data, counted from the go-ahead, so with the transfer.
    pub command: String,
    /// When the command was logged.
    pub asked: Timestamp,
    /// Reply code.
    pub code: u16,
    /// Text of the last line of the reply (hostile).
    pub reply: String,
    /// When the last line of the reply was logged.
    pub answered: Timestamp,
}

impl Exchange {
    /// How long the reply took, seconds; negative if the log's clock stepped back.
    #[must_use]
    pub fn seconds(&self) -> f64 {
        self.answered.seconds_since(self.asked)
    }
}

/// A reply held back on purpose.
#[derive(Clone, Debug, PartialEq)]
pub struct Tarpit {
    /// Line.
    pub line: usize,
    /// When.
    pub time: Timestamp,
    /// For how long, nanoseconds.
    pub nanos: i64,
    /// `DelayedAck`, …; `None`: the tarpit of an error.
    pub reason: Option<String>,
    /// `Delivered`, `Expired;Timeout`, …
    pub outcome: Option<String>,
}

/// A target that could not be reached and is avoided for a while.
#[derive(Clone, Debug, PartialEq)]
pub struct Unhealthy {
    /// Line.
    pub line: usize,
    /// When.
    pub time: Timestamp,
    /// The target's address.
    pub addr: Option<IpAddr>,
    /// And port.
    pub port: Option<u16>,
    /// Winsock's error code: 10060, …
    pub winsock: Option<u32>,
    /// The word that the log has for it: `TimedOut`.
    pub word: Option<String>,
    /// Failures in a row.
    pub failure_count: Option<u64>,
    /// When it will be tried again.
    pub next_retry: Option<Timestamp>,
}

/// One session of a log.
#[derive(Clone, Debug, PartialEq)]
pub struct LogSession {
    /// Which log.
    pub kind: LogKind,
    /// File of its first line.
    pub file: String,
    /// Its first line.
    pub line: usize,
    /// The session's id: 16 hexadecimal digits.
    pub id: String,
    /// Major version of the server that wrote it, as the log's head says: 8, 14 or 15.
    pub version: Option<u32>,
    /// Connector, or the next hop in a connectivity log.
    pub connector: String,
    /// This server's end.
    pub local: Option<Endpoint>,
    /// The other end.
    pub remote: Option<Endpoint>,
    /// First line's time, by the log server's clock.
    pub start: Timestamp,
    /// Last line's time.
    pub end: Timestamp,
    /// Who ended it; `None`: not seen to end, or not said.
    pub closed_by: Option<Closer>,
    /// Commands with their replies, in order of the replies.
    pub exchanges: Vec<Exchange>,
    /// Tarpits.
    pub tarpits: Vec<Tarpit>,
    /// Targets marked unhealthy.
    pub unhealthy: Vec<Unhealthy>,
    /// `QueueLength` when a connection was begun.
    pub queue_length: Option<u64>,
    /// `Messages` when it ended.
    pub messages: Option<u64>,
    /// `Bytes` when it ended.
    pub octets: Option<u64>,
    /// Connectivity log: what the last line says (hostile).
    pub outcome: Option<String>,
    pending: Vec<(String, Timestamp)>,
    authenticating: bool,
    /// Something of it was left out because of a limit.
    is_cut: bool,
}

/// What all logs given say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logs {
    /// In order of their first lines.
    pub sessions: Vec<LogSession>,
    /// Lines that are no records: file, number, text (hostile).
    pub not_understood: Vec<(String, usize, String)>,
    /// What was left out because a limit was reached, in sentences.
    pub left_out: Vec<String>,
}

/// The columns of a log, as its `#Fields` names them.
struct Columns {
    kind: LogKind,
    version: Option<u32>,
    names: Vec<String>,
}

impl Columns {
    fn get<'a>(&self, record: &'a [String], names: &[&str]) -> &'a str {
        self.names
            .iter()
            .position(|name| names.contains(&name.as_str()))
            .and_then(|at| record.get(at))
            .map_or("", String::as_str)
    }
}

/// What [`read_log`] knows, in words.
pub const KNOWN: &str =
    "SmtpReceive, SmtpSend and connectivity logs of Exchange, with the line #Fields at their head";

/// Reads a log file into `into`. Says whether it is one of [`KNOWN`]; such a log may still hold no session.
pub fn read_log(file_name: &str, octets: &[u8], into: &mut Logs) -> bool {
    let lines = text::lines(octets);
    into.left_out
        .extend(text::unread(file_name, octets, &lines));
    let mut sessions: HashMap<(LogKind, String), usize> = into
        .sessions
        .iter()
        .enumerate()
        .map(|(at, s)| ((s.kind, s.id.clone()), at))
        .collect();
    let mut kind = None;
    let mut version: Option<u32> = None;
    let mut columns: Option<Columns> = None;
    for line in lines {
        if line.text.trim().is_empty() {
            continue;
        }
        if let Some(header) = line.text.strip_prefix('#') {
            let (name, value) = header.split_once(':').unwrap_or((header, ""));
            let value = value.trim().to_lowercase();
            match name.trim().to_lowercase().as_str() {
                "log-type" => kind = kind_of(&value),
                "version" => version = value.split('.').next().and_then(|major| major.parse().ok()),
                "fields" => {
                    let names: Vec<String> =
                        value.split(',').map(|n| n.trim().to_owned()).collect();
                    // A log whose type was cut away is known by its columns, save which of the two protocol logs it is.
                    let by_columns = names
                        .iter()
                        .any(|n| n == "destination")
                        .then_some(LogKind::Connectivity);
                    columns = kind
                        .or(by_columns)
                        .or_else(|| kind_of(&file_name.to_lowercase()))
                        .map(|kind| Columns {
                            kind,
                            version,
                            names,
                        });
                }
                _ => {}
            }
            continue;
        }
        let understood = columns
            .as_ref()
            .is_some_and(|columns| take(file_name, &line, columns, &mut sessions, into));
        if !understood {
            if into.not_understood.len() < MAX_NOT_UNDERSTOOD {
                into.not_understood
                    .push((file_name.to_owned(), line.number, line.text));
            } else {
                left_out(
                    into,
                    format!(
                        "only the first {MAX_NOT_UNDERSTOOD} lines that were not understood are listed"
                    ),
                );
            }
        }
    }
    columns.is_some()
}

fn left_out(into: &mut Logs, sentence: String) {
    if !into.left_out.contains(&sentence) {
        into.left_out.push(sentence);
    }
}

/// Which log a type or the name of a file tells.
fn kind_of(lower: &str) -> Option<LogKind> {
    let has = |word: &str| lower.contains(word);
    if has("connectivity") || has("connectlog") {
        Some(LogKind::Connectivity)
    } else if has("receive protocol") || has("recv") {
        Some(LogKind::Receive)
    } else if has("send protocol") || has("send2") {
        Some(LogKind::Send)
    } else {
        None
    }
}

/// Takes one record; says whether it is one.
fn take(
    file: &str,
    line: &Line,
    columns: &Columns,
    sessions: &mut HashMap<(LogKind, String), usize>,
    into: &mut Logs,
) -> bool {
    let record = grammar::record(&line.text);
    let get = |names: &[&str]| columns.get(&record, names);
    let id = get(&["session-id", "session"]);
    let (Some(time), false) = (grammar::time(get(&["date-time"])), id.is_empty()) else {
        return false;
    };
    let event = get(&["event", "direction"]);
    if !matches!(event, "+" | "-" | ">" | "<" | "*") {
        return false;
    }
    let key = (columns.kind, id.to_owned());
    let at = match sessions.get(&key) {
        Some(at) => *at,
        None if into.sessions.len() >= MAX_SESSIONS => {
            left_out(
                into,
                format!("only the first {MAX_SESSIONS} sessions were kept"),
            );
            return true;
        }
        None => {
            into.sessions.push(LogSession {
                kind: columns.kind,
                file: file.to_owned(),
                line: line.number,
                id: id.to_owned(),
                version: columns.version,
                connector: get(&["connector-id", "destination"]).to_owned(),
                local: None,
                remote: None,
                start: time,
                end: time,
                closed_by: None,
                exchanges: Vec::new(),
                tarpits: Vec::new(),
                unhealthy: Vec::new(),
                queue_length: None,
                messages: None,
                octets: None,
                outcome: None,
                pending: Vec::new(),
                authenticating: false,
                is_cut: false,
            });
            sessions.insert(key, into.sessions.len() - 1);
            into.sessions.len() - 1
        }
    };
    let Some(session) = into.sessions.get_mut(at) else {
        return false;
    };
    session.end = session.end.max(time);
    session.start = session.start.min(time);
    if columns.kind == LogKind::Connectivity {
        // A description with commas that nobody quoted: all that follows the direction is one text.
        let from = columns
            .names
            .iter()
            .position(|n| n == "description")
            .unwrap_or(5);
        let text = record.get(from..).unwrap_or_default().join(",");
        session.connectivity(event, &text, time, line.number);
    } else {
        session.local = session
            .local
            .or_else(|| grammar::endpoint(get(&["local-endpoint"])));
        session.remote = session
            .remote
            .or_else(|| grammar::endpoint(get(&["remote-endpoint"])));
        session.protocol(event, get(&["data"]), get(&["context"]), time, line.number);
    }
    if std::mem::take(&mut session.is_cut) {
        left_out(
            into,
            format!(
                "of one session no more than {MAX_EXCHANGES} replies, {MAX_PENDING} commands without one, and {MAX_NOTES} tarpits and unhealthy \
                 targets were kept"
            ),
        );
    }
    true
}

impl LogSession {
    /// Sums of tarpits by reason are what a user asks first: seconds held back for `reason` (`None`: errors).
    #[must_use]
    pub fn tarpit_seconds(&self, reason: Option<&str>) -> f64 {
        let nanos = self
            .tarpits
            .iter()
            .filter(|t| t.reason.as_deref() == reason)
            .fold(0_i64, |sum, t| sum.saturating_add(t.nanos));
        crate::net::seconds(nanos)
    }

    /// Client and server, as a capture names them; `None` where the log does not give both ends.
    #[must_use]
    pub fn ends(&self) -> Option<(Endpoint, Endpoint)> {
        match self.kind {
            LogKind::Receive => Some((self.remote?, self.local?)),
            LogKind::Send => Some((self.local?, self.remote?)),
            LogKind::Connectivity => None,
        }
    }

    /// A record of a protocol log.
    fn protocol(&mut self, event: &str, data: &str, context: &str, time: Timestamp, line: usize) {
        let command = match self.kind {
            LogKind::Receive => "<",
            _ => ">",
        };
        match event {
            "+" => self.ask("(connect)".to_owned(), time),
            "-" => {
                self.closed_by = match context.trim() {
                    "Local" => Some(Closer::Local),
                    "Remote" => Some(Closer::Remote),
                    _ => None,
                }
            }
            "*" => self.note(data, context, time, line),
            _ if event == command => {
                let command = self.harmless(data);
                if let Some(command) = command {
                    self.ask(command, time);
                }
            }
            _ => self.reply(data, time, line),
        }
    }

    /// The command without what authenticates; `None`: all of it does.
    fn harmless(&mut self, data: &str) -> Option<String> {
        if self.authenticating {
            return None;
        }
        let mut words = data.split_whitespace();
        if words
            .next()
            .is_some_and(|verb| verb.eq_ignore_ascii_case("AUTH"))
        {
            self.authenticating = true;
            return Some(
                format!("AUTH {}", words.next().unwrap_or_default())
                    .trim()
                    .to_owned(),
            );
        }
        Some(short(data))
    }

    fn ask(&mut self, command: String, time: Timestamp) {
        push(
            &mut self.pending,
            MAX_PENDING,
            (command, time),
            &mut self.is_cut,
        );
    }

    fn reply(&mut self, data: &str, time: Timestamp, line: usize) {
        let digits = data
            .get(..3)
            .filter(|d| d.bytes().all(|b| b.is_ascii_digit()));
        let Some(code) = digits.and_then(|d| d.parse::<u16>().ok()) else {
            return;
        };
        // RFC 5321 section 4.2.1: a hyphen says that more lines follow. 334 asks for more of AUTH.
        if data.as_bytes().get(3) == Some(&b'-') || code == 334 && self.authenticating {
            return;
        }
        if code != 334 {
            self.authenticating = false;
        }
        if self.pending.is_empty() {
            return;
        }
        let (command, asked) = self.pending.remove(0);
        if code == 354 {
            self.pending.insert(0, ("(message)".to_owned(), time));
        }
        let exchange = Exchange {
            line,
            command,
            asked,
            code,
            reply: short(data),
            answered: time,
        };
        push(
            &mut self.exchanges,
            MAX_EXCHANGES,
            exchange,
            &mut self.is_cut,
        );
    }

    fn note(&mut self, data: &str, context: &str, time: Timestamp, line: usize) {
        let Some((nanos, reason, rest)) = grammar::tarpit(data) else {
            return;
        };
        let outcome = [rest.trim_start_matches(','), context]
            .into_iter()
            .map(str::trim)
            .find(|text| !text.is_empty() && !text.starts_with("Tarpit for"));
        let tarpit = Tarpit {
            line,
            time,
            nanos,
            reason,
            outcome: outcome.map(short),
        };
        push(&mut self.tarpits, MAX_NOTES, tarpit, &mut self.is_cut);
    }

    /// A record of a connectivity log.
    fn connectivity(&mut self, event: &str, text: &str, time: Timestamp, line: usize) {
        self.outcome = Some(short(text));
        match event {
            "+" => {
                self.queue_length = text
                    .split_once("QueueLength=")
                    .and_then(|(_, n)| super::value::number(n.split(';').next()?.trim()));
            }
            "-" => {
                self.messages = grammar::labelled(text, "Messages");
                self.octets = text.split_once("Bytes: ").and_then(|(_, rest)| {
                    super::value::number(rest.split_whitespace().next().unwrap_or_default())
                });
            }
            _ => {}
        }
        if grammar::has_word(text, "MarkedUnhealthy") {
            let target = grammar::target(text);
            let winsock = grammar::winsock(text);
            let unhealthy = Unhealthy {
                line,
                time,
                addr: target.map(|(addr, _)| addr),
                port: target.and_then(|(_, port)| port),
                winsock: winsock.as_ref().map(|(_, code)| *code),
                word: winsock.map(|(word, _)| word),
                failure_count: grammar::labelled(text, "FailureCount"),
                next_retry: grammar::next_retry(text),
            };
            push(&mut self.unhealthy, MAX_NOTES, unhealthy, &mut self.is_cut);
        }
    }
}

/// Appends to a list that holds at most `most`; says in `is_cut` where it does already.
fn push<T>(list: &mut Vec<T>, most: usize, item: T, is_cut: &mut bool) {
    if list.len() < most {
        list.push(item);
    } else {
        *is_cut = true;
    }
}

fn short(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests;
