//! One SMTP connection: pairs commands with replies, keeps the time of each step, skips message bodies, survives gaps.
//!
//! Takes:  pieces of both directions in the order in which they became readable, and acknowledgements
//! Gives:  a [`DialogRecord`] with an [`SmtpRecord`]
//! Never:  keeps a body, a secret, or (unless told to) a mail address; holds more than its `MAX_*` say, and counts what it left out

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write;
use std::sync::LazyLock;
use std::time::Duration;

use memchr::memmem::Finder;

use super::phases::PhaseTime;
use super::records::{self, Command, Hop};
use crate::net::{Direction, FrameNo, Timestamp};
use crate::proto::exchanges::MAX_EXCHANGES;
use crate::proto::tls::{self, Kind, Mark, Outline, Record};
use crate::proto::turns::{Turn, TurnTaker, length};
use crate::proto::{
    Dialog, DialogRecord, Exchange, Interest, Piece, Said, SmtpMessage, SmtpPhase, SmtpRecord,
    SmtpRefusal, SmtpStep, room,
};

/// Octets kept of a line. A command has 512 at most, with extensions some more (RFC 5321 section 4.5.3.1).
const MAX_LINE: usize = 1_024;
/// Lines read of one reply; the capabilities of an EHLO reply are some 30.
const MAX_REPLY_LINES: usize = 128;
/// Commands under way at once: a list of recipients sent in one go.
const MAX_PENDING: usize = 5_000;
/// Steps kept.
const MAX_STEPS: usize = 5_000;
/// Messages kept.
const MAX_MESSAGES: usize = 1_000;
/// Refusals kept.
const MAX_REFUSALS: usize = 1_000;
/// Lines of evidence kept.
const MAX_SAID: usize = 400;
/// Verbs counted by name.
const MAX_VERBS: usize = 100;
/// Octets of a message's head in which `Received:` fields are looked for.
const MAX_HEAD: u64 = 64 * 1_024;
/// `Received:` fields read of one message.
const MAX_HOPS: usize = 32;
/// Octets of one such field.
const MAX_FIELD: usize = 1_024;
/// Octets of a burst under TLS from which on it is taken for a message.
const MESSAGE_UNDER_TLS: u64 = 2_048;

/// End of a message (RFC 5321 section 4.1.1.4), looked for in bulk.
static END_OF_DATA: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"\r\n.\r\n"));

/// Who speaks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Role {
    Client,
    Server,
}

/// What the client's next octets are.
#[derive(Clone, Debug)]
enum Mode {
    /// Command lines.
    Commands,
    /// Lines of an AUTH exchange, each a secret.
    Secrets,
    /// DATA was said and not answered yet.
    Offered,
    /// The head of a message, line by line.
    Head,
    /// The rest of it.
    Body,
    /// A chunk of so many octets; whether it is the last.
    Chunk(u64, bool),
    /// So many octets of something else (XEXCH50).
    Blob(u64),
    /// The place in the dialog is lost: lines are skipped up to one that is plainly a command. `true`: the message being sent has its
    /// answer already.
    Lost(bool),
    /// Records of TLS, in both directions.
    Tls,
}

/// Line being read in one direction.
#[derive(Clone, Debug, Default)]
struct Line {
    kept: Vec<u8>,
    octets: u64,
    start: Option<Mark>,
}

/// A line that has ended; its octets are in [`Line::kept`].
#[derive(Clone, Copy, Debug)]
struct Ended {
    start: Mark,
    /// Its last octet.
    end: Mark,
    octets: u64,
    /// Whether it ended in CR LF.
    crlf: bool,
}

/// A command that waits for its reply.
#[derive(Clone, Debug)]
struct Pending {
    verb: Cow<'static, str>,
    phase: Option<SmtpPhase>,
    /// Frame and time of its last octet.
    frame: FrameNo,
    sent: Timestamp,
    /// First octet after it.
    end: u64,
    acked: Option<Timestamp>,
    /// For XEXCH50: octets that follow.
    number: u64,
    /// For the end of a message: what was sent.
    message: Option<Box<Sent>>,
}

/// A message that was sent whole.
#[derive(Clone, Debug)]
struct Sent {
    start: Timestamp,
    octets: u64,
    hops: Vec<Hop>,
    /// From its first octet to its last.
    transfer: Duration,
}

/// A reply being read.
#[derive(Clone, Debug)]
struct Reply {
    code: u16,
    enhanced: Option<[u16; 3]>,
    /// What follows the code in each; never empty.
    lines: Vec<String>,
    start: Mark,
    /// First octet of the last line so far.
    last_line: Mark,
    octets: u64,
}

impl Reply {
    /// Text of the first line.
    fn text(&self) -> &str {
        self.lines.first().map_or("", String::as_str)
    }

    /// The first line, as it was sent.
    fn first_line(&self) -> String {
        let text = self.text();
        let mark = if self.lines.len() > 1 { '-' } else { ' ' };
        let mut line = String::with_capacity("250 ".len() + text.len());
        let _ = write!(line, "{}{mark}{text}", self.code);
        line
    }
}

/// Message being sent.
#[derive(Clone, Debug, Default)]
struct Body {
    /// First octet; `None` before there is any.
    start: Option<Mark>,
    octets: u64,
    /// Last octets of the body so far, at most 4: the end may lie across pieces.
    tail: Vec<u8>,
    head_octets: u64,
    field: Vec<u8>,
    hops: Vec<Hop>,
    /// Last octet so far.
    last: Option<Mark>,
    /// Time in which the client sent nothing though all was acknowledged.
    paused: Duration,
}

/// Mail transaction under way, from the reply to MAIL on.
#[derive(Clone, Debug)]
struct Transaction {
    start: Timestamp,
    recipients: u32,
    spent: BTreeMap<SmtpPhase, Duration>,
}

impl Transaction {
    fn begun(start: Timestamp) -> Self {
        Self {
            start,
            recipients: 0,
            spent: BTreeMap::new(),
        }
    }
}

/// The dialog of one SMTP connection.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    addresses: bool,
    /// Direction in which commands go.
    client: Direction,
    roles_known: bool,
    mode: Mode,
    lines: [Line; 2],
    pending: VecDeque<Pending>,
    /// How often each verb is among them.
    waiting: BTreeMap<Cow<'static, str>, usize>,
    /// So many at the front of `pending` are acknowledged.
    acked_pending: usize,
    reply: Option<Reply>,
    /// Octets of the server were missed since `pending` was last empty.
    reply_gap: bool,
    pipelining: bool,
    greeted: bool,
    greeting: Option<SmtpStep>,
    connected: Option<Timestamp>,
    body: Option<Body>,
    transaction: Option<Transaction>,
    /// What the chunks of a message before this one held, and the time that they took.
    chunks: (u64, Duration),
    /// Whether TLS was asked for.
    starttls: bool,
    /// Whether AUTH was asked for: a refusal may echo what came with it.
    secrets: bool,
    /// Octets of the texts that steps, refusals, hops and evidence hold.
    texts: usize,
    /// Last octet of the last reply, if the client has said nothing since; and its ACK.
    replied: Option<(Mark, Option<Timestamp>)>,
    /// Acknowledged of each direction: below what, and when.
    acked: [(u64, Option<Timestamp>); 2],
    /// Least time from a request to its ACK, and from a reply to its.
    least_ack: [Option<Duration>; 2],
    phases: BTreeMap<SmtpPhase, PhaseTime>,
    outline: Option<Box<Outline>>,
    hidden: Hidden,
    said: Vec<Said>,
    exchanges: Vec<Exchange>,
    record: SmtpRecord,
}

/// What the turns under TLS look like.
#[derive(Clone, Debug, Default)]
struct Hidden {
    taker: TurnTaker,
    /// Octets of the client's burst under way.
    burst: u64,
    burst_start: Option<Mark>,
    turns: u64,
    /// The turn before, and the octets of its request: whether it was DATA shows with the next one.
    last: Option<(Turn, u64)>,
    greeted: bool,
}

impl Session {
    pub(crate) fn new(addresses: bool) -> Self {
        Self {
            addresses,
            client: Direction::ClientToServer,
            roles_known: false,
            mode: Mode::Lost(false),
            lines: [Line::default(), Line::default()],
            pending: VecDeque::new(),
            waiting: BTreeMap::new(),
            acked_pending: 0,
            reply: None,
            reply_gap: false,
            pipelining: false,
            greeted: false,
            greeting: None,
            connected: None,
            body: None,
            transaction: None,
            chunks: (0, Duration::ZERO),
            starttls: false,
            secrets: false,
            texts: 0,
            replied: None,
            acked: [(0, None), (0, None)],
            least_ack: [None, None],
            phases: BTreeMap::new(),
            outline: None,
            hidden: Hidden::default(),
            said: Vec::new(),
            exchanges: Vec::new(),
            record: SmtpRecord {
                tls: "none",
                ..SmtpRecord::default()
            },
        }
    }

    fn role(&self, direction: Direction) -> Role {
        if direction == self.client {
            Role::Client
        } else {
            Role::Server
        }
    }

    fn octets(&mut self, direction: Direction, mut octets: &[u8], mut at: Mark) {
        while !octets.is_empty() {
            let used = match (self.role(direction), &self.mode) {
                (_, Mode::Tls) => {
                    self.tls_octets(direction, octets, at);
                    octets.len()
                }
                (Role::Client, Mode::Body) => self.body_octets(octets, at),
                (Role::Client, Mode::Chunk(..) | Mode::Blob(_)) => self.counted_octets(octets, at),
                _ => self.line_octets(direction, octets, at),
            };
            // Each of them takes one octet at least.
            octets = octets.get(used.max(1)..).unwrap_or_default();
            at = at.plus(used.max(1));
        }
    }

    /// Takes octets up to the end of a line, and reads the line when it is whole.
    fn line_octets(&mut self, direction: Direction, octets: &[u8], at: Mark) -> usize {
        let line = &mut self.lines[direction.index()];
        let start = *line.start.get_or_insert(at);
        // The first three octets of a line show whether TLS has begun, be it asked for or not.
        let first = line.kept.first().or(octets.first());
        let found = if first.is_some_and(|first| (20..=23).contains(first)) && line.octets < 3 {
            None
        } else {
            memchr::memchr(b'\n', octets)
        };
        let used = match found {
            Some(end) => end + 1,
            None if line.octets < 3 && first.is_some_and(|first| (20..=23).contains(first)) => 1,
            None => octets.len(),
        };
        let room = MAX_LINE.saturating_sub(line.kept.len());
        line.kept.extend(octets.iter().take(used.min(room)));
        line.octets = line.octets.saturating_add(used as u64);
        let ended = found.is_some() || (used == 1 && line.kept.ends_with(b"\n"));
        let record = line.octets == 3 && found.is_none() && tls::is_record(&line.kept);
        if record && self.may_turn_to_tls(direction) {
            let begun = std::mem::take(&mut self.lines[direction.index()]).kept;
            self.begin_tls();
            self.tls_octets(direction, &begun, start);
        } else if ended {
            self.line_ended(direction, start, at.plus(used.saturating_sub(1)));
        }
        used
    }

    fn may_turn_to_tls(&self, direction: Direction) -> bool {
        self.role(direction) == Role::Server
            || matches!(self.mode, Mode::Commands | Mode::Lost(_) | Mode::Offered)
    }

    fn line_ended(&mut self, direction: Direction, start: Mark, end: Mark) {
        // The buffer is lent out and put back, so that its room is used again.
        let mut line = std::mem::take(&mut self.lines[direction.index()]);
        let kept = line.kept.as_slice();
        let crlf = kept.ends_with(b"\r\n") || kept.len() == MAX_LINE;
        let text = kept.strip_suffix(b"\n").unwrap_or(kept);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let ended = Ended {
            start,
            end,
            octets: line.octets,
            crlf,
        };
        if !self.roles_known {
            // Where the start is missing, the ends may be taken for each other.
            let reply = matches!(records::reply_line(kept), Ok((_, line)) if line.code >= 200);
            if records::is_plain_command(text) {
                self.client = direction;
                self.roles_known = true;
            } else if reply {
                self.client = direction.reverse();
                self.roles_known = true;
            }
        }
        match self.role(direction) {
            Role::Client => self.client_line(text, ended),
            Role::Server => self.server_line(kept, ended),
        }
        line.kept.clear();
        self.lines[direction.index()] = Line {
            kept: line.kept,
            octets: 0,
            start: None,
        };
    }

    fn client_line(&mut self, line: &[u8], ended: Ended) {
        match self.mode {
            Mode::Commands => self.command_line(line, ended),
            Mode::Secrets => {
                if records::is_plain_command(line) {
                    self.command_line(line, ended);
                } else {
                    self.say(ended, format!("credentials, {} octets", line.len()));
                    self.thought(ended.start);
                    self.await_reply("AUTH".into(), Some(SmtpPhase::Auth), ended.end, 0, None);
                }
            }
            Mode::Offered => {
                // The go-ahead may be missing in the capture: then the message is known by not being a command.
                if records::is_plain_command(line) {
                    self.command_line(line, ended);
                } else {
                    self.begin_body();
                    self.head_line(line, ended);
                }
            }
            Mode::Head => self.head_line(line, ended),
            Mode::Lost(answered) => {
                if records::is_plain_command(line) {
                    self.mode = Mode::Commands;
                    self.command_line(line, ended);
                } else if line == b"." {
                    self.mode = Mode::Commands;
                    if !answered {
                        self.end_of_data(ended.end);
                    }
                }
            }
            Mode::Body | Mode::Chunk(..) | Mode::Blob(_) | Mode::Tls => {}
        }
    }

    fn command_line(&mut self, line: &[u8], ended: Ended) {
        self.mode = Mode::Commands;
        let Some(command) = records::command(line) else {
            self.count("?");
            self.say(ended, format!("unknown command, {} octets", line.len()));
            self.await_reply("?".into(), None, ended.end, 0, None);
            return;
        };
        self.count(command.verb);
        let text = records::evidence(line, &command, self.addresses);
        self.say(ended, text);
        self.thought(ended.start);
        self.settle_lost();
        let verb = command.verb;
        let phase = phase_of(verb);
        let mut number = 0;
        match verb {
            "EHLO" | "HELO" | "LHLO" if self.record.client_name.is_none() => {
                let name = command.argument.split(|c| *c == b' ').next();
                self.record.client_name = name.map(|name| records::text(name, false));
            }
            "DATA" => self.mode = Mode::Offered,
            "AUTH" | "X-EXPS" => {
                self.mode = Mode::Secrets;
                self.secrets = true;
            }
            "BDAT" => {
                if let Some((octets, last)) = records::bdat(command.argument) {
                    self.begin_chunk(ended.end, octets, last);
                    return;
                }
            }
            "XEXCH50" => number = first_number(&command),
            "STARTTLS" | "X-ANONYMOUSTLS" => self.starttls = true,
            "MAIL" | "RSET" => self.chunks = (0, Duration::ZERO),
            _ => {}
        }
        self.await_reply(command.verb.into(), phase, ended.end, number, None);
    }

    /// A command is out: `end` is its last octet.
    fn await_reply(
        &mut self,
        verb: Cow<'static, str>,
        phase: Option<SmtpPhase>,
        end: Mark,
        number: u64,
        message: Option<Box<Sent>>,
    ) {
        if self.pending.len() >= MAX_PENDING {
            self.settle_front(None);
        }
        let end_offset = end.offset.saturating_add(1);
        let (acked_below, acked_at) = self.acked[self.client.index()];
        // Octets that had to wait for a repair may be acknowledged before they are read.
        let acked = acked_at.filter(|_| acked_below >= end_offset);
        *self.waiting.entry(verb.clone()).or_default() += 1;
        self.pending.push_back(Pending {
            verb,
            phase,
            frame: end.frame,
            sent: end.sent,
            end: end_offset,
            acked,
            number,
            message,
        });
        if acked.is_some() && self.acked_pending + 1 == self.pending.len() {
            self.acked_pending += 1;
        }
    }

    /// Replies were missed: a command that cannot be sent before its predecessors are answered (RFC 2920 section 3.1) shows that
    /// they were.
    fn settle_lost(&mut self) {
        if !self.reply_gap {
            return;
        }
        while let Some(front) = self.pending.front() {
            let ends_group =
                !matches!(front.verb.as_ref(), "MAIL" | "RCPT" | "RSET" | "BDAT" | ".");
            if self.pipelining && !ends_group {
                return;
            }
            self.settle_front(None);
        }
        self.reply_gap = false;
    }

    // ----- messages

    fn begin_body(&mut self) {
        self.mode = Mode::Head;
        self.body = Some(Body {
            tail: b"\r\n".to_vec(),
            ..Body::default()
        });
        self.replied = None;
    }

    /// A line of a message's head.
    fn head_line(&mut self, line: &[u8], ended: Ended) {
        self.mode = Mode::Head;
        let Some(body) = &mut self.body else {
            return;
        };
        body.start.get_or_insert(ended.start);
        if line == b"." && ended.crlf && body.tail.ends_with(b"\r\n") {
            self.end_of_data(ended.end);
            return;
        }
        body.octets = body.octets.saturating_add(ended.octets);
        body.head_octets = body.head_octets.saturating_add(ended.octets);
        body.last = Some(ended.end);
        body.tail.clear();
        body.tail
            .extend_from_slice(if ended.crlf { b"\r\n" } else { b"\n" });
        let folded = matches!(line.first(), Some(b' ' | b'\t'));
        if folded && !body.field.is_empty() {
            let room = MAX_FIELD.saturating_sub(body.field.len());
            body.field.extend(line.iter().take(room));
        } else {
            body.end_field();
            if line
                .get(..9)
                .is_some_and(|name| name.eq_ignore_ascii_case(b"received:"))
            {
                body.field = line
                    .get(9..MAX_FIELD)
                    .or(line.get(9..))
                    .unwrap_or(b" ")
                    .to_vec();
            }
        }
        if line.is_empty() || body.head_octets > MAX_HEAD {
            body.end_field();
            self.mode = Mode::Body;
        }
    }

    /// Looks for the end of the message, in bulk.
    fn body_octets(&mut self, octets: &[u8], at: Mark) -> usize {
        let acked = self.acked[self.client.index()];
        let Some(body) = &mut self.body else {
            self.mode = Mode::Lost(false);
            return 0;
        };
        body.start.get_or_insert(at);
        body.pause_before(at, acked);
        let end = end_of_data(&mut body.tail, octets);
        let used = end.unwrap_or(octets.len());
        body.octets = body.octets.saturating_add(used as u64);
        let last = at.plus(used.saturating_sub(1));
        body.last = Some(last);
        if end.is_some() {
            // The dot and its line end are not the message's.
            body.octets = body.octets.saturating_sub(3);
            self.end_of_data(last);
        }
        used
    }

    /// The message is sent; `end` is its last octet.
    fn end_of_data(&mut self, end: Mark) {
        self.mode = Mode::Commands;
        let sent = self.take_body(end);
        self.await_reply(".".into(), Some(SmtpPhase::EndOfData), end, 0, sent);
    }

    /// Books the time that the message's octets took.
    fn take_body(&mut self, end: Mark) -> Option<Box<Sent>> {
        let mut body = self.body.take()?;
        body.end_field();
        let start = body.start.unwrap_or(end).sent;
        let whole = end.sent.since(start).unwrap_or_default();
        let network = whole.saturating_sub(body.paused);
        let (octets, transfer) = std::mem::take(&mut self.chunks);
        self.phases
            .entry(SmtpPhase::Transfer)
            .or_default()
            .add(end.sent, whole, Some(network));
        Some(Box::new(Sent {
            start,
            octets: octets.saturating_add(body.octets),
            hops: body.hops,
            transfer: transfer.saturating_add(whole),
        }))
    }

    /// A chunk begins (RFC 3030); its reply is awaited from its last octet on. `command` is the last octet of the command.
    fn begin_chunk(&mut self, command: Mark, octets: u64, last: bool) {
        self.body = Some(Body::default());
        self.mode = Mode::Chunk(octets, last);
        if octets == 0 {
            self.counted_ended(command);
        }
    }

    /// Takes octets whose number is known.
    fn counted_octets(&mut self, octets: &[u8], at: Mark) -> usize {
        let acked = self.acked[self.client.index()];
        if let Some(body) = &mut self.body {
            body.start.get_or_insert(at);
            body.pause_before(at, acked);
        }
        let (Mode::Chunk(left, _) | Mode::Blob(left)) = &mut self.mode else {
            return 0;
        };
        let used = usize::try_from(*left)
            .unwrap_or(usize::MAX)
            .min(octets.len());
        *left = left.saturating_sub(used as u64);
        let done = *left == 0;
        let end = at.plus(used.saturating_sub(1));
        if let Some(body) = &mut self.body {
            body.octets = body.octets.saturating_add(used as u64);
            body.last = Some(end);
        }
        if done {
            self.counted_ended(end);
        }
        used
    }

    fn counted_ended(&mut self, end: Mark) {
        match std::mem::replace(&mut self.mode, Mode::Commands) {
            Mode::Chunk(_, true) => {
                let sent = self.take_body(end);
                self.await_reply("BDAT".into(), Some(SmtpPhase::EndOfData), end, 0, sent);
            }
            Mode::Chunk(_, false) => {
                // Its reply says go on, as that to DATA does.
                if let Some(sent) = self.take_body(end) {
                    self.chunks = (sent.octets, sent.transfer);
                }
                self.await_reply("BDAT".into(), Some(SmtpPhase::Data), end, 0, None);
            }
            Mode::Blob(_) => self.await_reply("XEXCH50".into(), None, end, 0, None),
            _ => {}
        }
    }

    // ----- replies

    fn server_line(&mut self, line: &[u8], ended: Ended) {
        let bounded;
        let line = if line.ends_with(b"\n") {
            line
        } else {
            // A line longer than what is kept of it.
            bounded = [line, b"\n"].concat();
            &bounded
        };
        let Ok((_, line)) = records::reply_line(line) else {
            return;
        };
        let addresses = self.addresses;
        let unquoted;
        // A challenge may name the user; nothing of an AUTH exchange is kept.
        // And a server that does not understand a line may echo it: what it quotes may be a secret sent out of turn.
        let text = if line.code == 334 {
            &b"challenge"[..]
        } else if line.code >= 400
            && (self.secrets
                || matches!(line.code, 500..=504 | 530..=538)
                || records::names_auth(line.text))
        {
            unquoted = records::without_quotes(line.text);
            &unquoted
        } else {
            line.text
        };
        let reply = self.reply.get_or_insert_with(|| Reply {
            code: line.code,
            enhanced: records::enhanced(line.text),
            lines: Vec::new(),
            start: ended.start,
            last_line: ended.start,
            octets: 0,
        });
        reply.last_line = ended.start;
        reply.octets = reply.octets.saturating_add(ended.octets);
        reply.code = line.code;
        if reply.lines.len() < MAX_REPLY_LINES {
            reply.lines.push(records::text(text, addresses));
        }
        if line.is_last
            && let Some(reply) = self.reply.take()
        {
            self.replied(reply, ended.end);
        }
    }

    fn replied(&mut self, reply: Reply, end: Mark) {
        *self.record.replies.entry(reply.code).or_default() += 1;
        let said = Ended {
            start: reply.start,
            end,
            octets: reply.octets,
            crlf: true,
        };
        let direction = self.client.reverse();
        self.say_in(direction, said, reply.first_line());

        // A client may speak before the greeting; the 220 is the greeting all the same.
        let opens = self.pending.is_empty() && !matches!(reply.code, 200..=219 | 221..=399);
        let greets = reply.code == 220
            && !self
                .pending
                .front()
                .is_some_and(|front| fits(&front.verb, 220));
        let greeting = !self.greeted && (opens || greets);
        self.greeted = true;
        if greeting {
            self.greeting_came(&reply);
        } else {
            self.skip_unfitting(reply.code);
            if self
                .pending
                .front()
                .is_some_and(|front| fits(&front.verb, reply.code))
            {
                self.settle_front(Some(&reply));
            } else {
                self.unasked(&reply);
            }
        }
        if self.pending.is_empty() {
            self.reply_gap = false;
            self.replied = Some((end, None));
        }
    }

    fn greeting_came(&mut self, reply: &Reply) {
        if reply.code == 220 {
            self.record.banner = Some(reply.lines.join("\n"));
            self.record.server_name = reply.text().split_whitespace().next().map(str::to_owned);
        }
        if matches!(self.mode, Mode::Lost(_)) {
            self.mode = Mode::Commands;
        }
        self.refuse("CONNECT", reply);
        self.greeting = Some(SmtpStep {
            phase: SmtpPhase::Greeting,
            verb: "CONNECT".into(),
            frame: reply.start.frame,
            sent: reply.last_line.sent,
            acked: None,
            code: Some(reply.code),
            enhanced: reply.enhanced,
            text: reply.text().to_owned(),
            // The first line may be a teaser: a client has to wait for the last one, and a screen that looks who does not wait sends
            // that one late.
            reply_frame: Some(reply.last_line.frame),
            replied: Some(reply.last_line.sent),
            inferred: false,
        });
    }

    /// Replies were missed: those waiting whose answer this cannot be go unanswered, if it can be that of a later one.
    fn skip_unfitting(&mut self, code: u16) {
        // Thousands may wait: they are gone through only where one of them is to be found.
        let mut waiting = self.waiting.iter().filter(|(_, number)| **number > 0);
        if !waiting.any(|(verb, _)| fits(verb, code)) {
            return;
        }
        let place = self.pending.iter().position(|one| fits(&one.verb, code));
        for _ in 0..place.unwrap_or(0) {
            self.settle_front(None);
        }
    }

    /// A reply that answers nothing that was seen.
    fn unasked(&mut self, reply: &Reply) {
        match (reply.code, &self.mode) {
            (354, Mode::Commands | Mode::Lost(_) | Mode::Offered) => self.begin_body(),
            // The end of the message was not seen, or comes later in the capture than its answer.
            (250..=259 | 400..=599, Mode::Head | Mode::Body) => {
                while !self.pending.is_empty() {
                    self.settle_front(None);
                }
                let last = self.body.as_ref().and_then(|body| body.last);
                let last = last.unwrap_or(reply.start);
                let sent = self.take_body(last);
                self.mode = Mode::Lost(true);
                self.await_reply(".".into(), Some(SmtpPhase::EndOfData), last, 0, sent);
                self.settle_front(Some(reply));
            }
            _ => self.refuse("", reply),
        }
    }

    fn refuse(&mut self, verb: &str, reply: &Reply) {
        if reply.code < 400 {
            return;
        }
        if self.record.refusals.len() >= MAX_REFUSALS {
            self.record.omitted += 1;
            return;
        }
        self.texts += reply.text().len();
        self.record.refusals.push(SmtpRefusal {
            frame: reply.start.frame,
            time: reply.start.sent,
            verb: verb.into(),
            code: reply.code,
            enhanced: reply.enhanced,
            text: reply.text().to_owned(),
        });
    }

    /// The command at the front is answered, or never will be.
    fn settle_front(&mut self, reply: Option<&Reply>) {
        let Some(asked) = self.pending.pop_front() else {
            return;
        };
        if let Some(waiting) = self.waiting.get_mut(&asked.verb) {
            *waiting = waiting.saturating_sub(1);
        }
        self.acked_pending = self.acked_pending.saturating_sub(1);
        let at = reply.map(|reply| reply.start.sent);
        // An ACK that came with the reply says nothing of when the command had arrived.
        let acked = asked.acked.filter(|&acked| at.is_none_or(|at| acked < at));
        let whole = at.and_then(|at| at.since(asked.sent));
        let network = acked.and_then(|acked| acked.since(asked.sent));
        if let Some(network) = network {
            let least = &mut self.least_ack[0];
            *least = Some(least.map_or(network, |least| least.min(network)));
        }
        if let (Some(phase), Some(at), Some(whole)) = (asked.phase, at, whole) {
            self.spend(phase, at, whole, network);
        }
        if let Some(reply) = reply {
            self.refuse(&asked.verb, reply);
        }
        let phase = asked.phase.unwrap_or_else(|| self.phase_now());
        self.keep_step(SmtpStep {
            phase,
            verb: asked.verb.clone(),
            frame: asked.frame,
            sent: asked.sent,
            acked,
            code: reply.map(|reply| reply.code),
            enhanced: reply.and_then(|reply| reply.enhanced),
            text: reply
                .map(|reply| reply.text().to_owned())
                .unwrap_or_default(),
            reply_frame: reply.map(|reply| reply.start.frame),
            replied: at,
            inferred: false,
        });
        self.react(asked, reply);
    }

    fn keep_step(&mut self, step: SmtpStep) {
        if self.exchanges.len() < MAX_EXCHANGES {
            self.exchanges.push(Exchange {
                name: step.verb.clone(),
                request_frame: step.frame,
                requested: step.sent,
                acked: step.acked,
                answer_frame: step.reply_frame,
                answered: step.replied,
                direction: self.client,
            });
        }
        if self.record.steps.len() < MAX_STEPS {
            self.texts += step.text.len();
            self.record.steps.push(step);
        } else {
            self.record.omitted += 1;
        }
    }

    /// What a reply, or its absence, means for the dialog.
    fn react(&mut self, mut asked: Pending, reply: Option<&Reply>) {
        let code = reply.map(|reply| reply.code);
        let done = matches!(code, Some(200..=299));
        let refused = matches!(code, Some(400..=599));
        let message = asked.message.take();
        match asked.verb.as_ref() {
            "EHLO" | "HELO" | "LHLO" => {
                self.transaction = None;
                if let Some(reply) = reply.filter(|_| done) {
                    let keywords = reply.lines.iter().skip(1);
                    self.record.capabilities = keywords.cloned().collect();
                    let offered = |line: &String| line.eq_ignore_ascii_case("PIPELINING");
                    self.pipelining = reply.lines.iter().any(offered);
                    if self.record.server_name.is_none() {
                        let name = reply.text().split_whitespace().next();
                        self.record.server_name = name.map(str::to_owned);
                    }
                }
            }
            "STARTTLS" | "X-ANONYMOUSTLS" => {
                if code == Some(220) {
                    self.begin_tls();
                } else {
                    self.starttls = false;
                }
            }
            "AUTH" | "X-EXPS" => {
                self.record.authenticated |= done;
                if code != Some(334) && matches!(self.mode, Mode::Secrets) {
                    self.mode = Mode::Commands;
                }
            }
            "MAIL" if !refused => {
                let mut transaction = Transaction::begun(asked.sent);
                if let Some(whole) = reply.and_then(|reply| reply.start.sent.since(asked.sent)) {
                    transaction.spent.insert(SmtpPhase::Mail, whole);
                }
                self.transaction = Some(transaction);
            }
            "RCPT" if done => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.recipients = transaction.recipients.saturating_add(1);
                }
            }
            "DATA" => {
                if code == Some(354) && matches!(self.mode, Mode::Offered) {
                    self.begin_body();
                } else if refused && matches!(self.mode, Mode::Offered) {
                    self.mode = Mode::Commands;
                }
            }
            "XEXCH50" if code == Some(354) && asked.number > 0 => {
                self.mode = Mode::Blob(asked.number);
            }
            "." | "BDAT" => self.message_ended(message, asked.sent, reply),
            "RSET" if done => self.transaction = None,
            "QUIT" if done => self.record.orderly = true,
            _ => {}
        }
    }

    fn message_ended(&mut self, sent: Option<Box<Sent>>, end: Timestamp, reply: Option<&Reply>) {
        // A chunk that is not the last ends nothing.
        let Some(sent) = sent else {
            return;
        };
        let end = reply.map_or(end, |reply| reply.start.sent);
        self.keep_message(*sent, end, reply.map(|reply| reply.code < 300));
    }

    fn keep_message(&mut self, sent: Sent, end: Timestamp, accepted: Option<bool>) {
        let transaction = self.transaction.take();
        if self.record.messages.len() >= MAX_MESSAGES {
            self.record.omitted += 1;
            return;
        }
        let mut transaction = transaction.unwrap_or_else(|| Transaction::begun(sent.start));
        *transaction.spent.entry(SmtpPhase::Transfer).or_default() += sent.transfer;
        let names = sent.hops.iter().flat_map(|hop| [&hop.from, &hop.by]);
        self.texts += names.flatten().map(String::len).sum::<usize>();
        let slowest = transaction.spent.iter().max_by_key(|(_, spent)| **spent);
        self.record.messages.push(SmtpMessage {
            start: transaction.start,
            octets: sent.octets,
            recipients: transaction.recipients,
            accepted,
            length: end.since(transaction.start).unwrap_or_default(),
            transfer: sent.transfer,
            slowest_phase: slowest.map_or(SmtpPhase::EndOfData, |(phase, _)| *phase),
            hops: sent.hops,
        });
    }

    // ----- time

    /// A phase took so long, of which so much was network where that is known.
    fn spend(
        &mut self,
        phase: SmtpPhase,
        until: Timestamp,
        whole: Duration,
        network: Option<Duration>,
    ) {
        self.phases
            .entry(phase)
            .or_default()
            .add(until, whole, network);
        if let Some(transaction) = &mut self.transaction {
            *transaction.spent.entry(phase).or_default() += whole;
        }
    }

    /// The client speaks again: what it thought since the last reply.
    fn thought(&mut self, start: Mark) {
        if let Some((reply, acked)) = self.replied.take()
            && let Some(whole) = start.sent.since(reply.sent)
        {
            let acked = acked.filter(|&acked| acked < start.sent);
            let network = acked.and_then(|acked| acked.since(reply.sent));
            if let Some(network) = network {
                let least = &mut self.least_ack[1];
                *least = Some(least.map_or(network, |least| least.min(network)));
            }
            self.spend(SmtpPhase::Client, start.sent, whole, network);
        }
    }

    fn phase_now(&self) -> SmtpPhase {
        if let Some(phase) = self.pending.front().and_then(|front| front.phase) {
            return phase;
        }
        match self.mode {
            Mode::Head | Mode::Body | Mode::Chunk(..) => SmtpPhase::Transfer,
            Mode::Tls
                if self
                    .outline
                    .as_ref()
                    .is_some_and(|outline| outline.established.is_none()) =>
            {
                SmtpPhase::Tls
            }
            _ if self.record.orderly => SmtpPhase::Quit,
            _ if !self.greeted && self.record.steps.is_empty() => SmtpPhase::Greeting,
            _ => SmtpPhase::Client,
        }
    }

    // ----- evidence

    fn count(&mut self, verb: &'static str) {
        if let Some(count) = self.record.commands.get_mut(verb) {
            *count += 1;
        } else if self.record.commands.len() < MAX_VERBS {
            self.record.commands.insert(verb.into(), 1);
        } else {
            self.record.omitted += 1;
        }
    }

    fn say(&mut self, ended: Ended, text: String) {
        self.say_in(self.client, ended, text);
    }

    fn say_in(&mut self, direction: Direction, ended: Ended, text: String) {
        if self.said.len() < MAX_SAID {
            self.texts += text.len();
            self.said.push(Said {
                frame: ended.start.frame,
                time: ended.start.sent,
                direction,
                offset: ended.start.offset,
                octets: ended.octets,
                text,
            });
        }
    }

    // ----- gaps

    fn gap(&mut self, direction: Direction, octets: u64) {
        if let (Mode::Tls, Some(outline)) = (&self.mode, &mut self.outline) {
            outline.gap(direction, octets);
            return;
        }
        self.lines[direction.index()] = Line::default();
        if self.role(direction) == Role::Server {
            self.reply = None;
            self.reply_gap = true;
            return;
        }
        match &mut self.mode {
            Mode::Head | Mode::Body => {
                if let Some(body) = &mut self.body {
                    body.octets = body.octets.saturating_add(octets);
                    body.tail.clear();
                    body.end_field();
                }
                self.mode = Mode::Body;
            }
            Mode::Chunk(left, _) | Mode::Blob(left) if octets < *left => *left -= octets,
            Mode::Chunk(..) | Mode::Blob(_) => {
                let end = self.body.as_ref().and_then(|body| body.last);
                if let Some(end) = end {
                    self.counted_ended(end);
                }
                self.mode = Mode::Lost(false);
            }
            Mode::Secrets | Mode::Tls => {}
            Mode::Commands | Mode::Offered | Mode::Lost(_) => self.mode = Mode::Lost(false),
        }
        self.replied = None;
    }

    // ----- TLS

    fn begin_tls(&mut self) {
        self.record.tls = if self.starttls || self.greeted {
            "starttls"
        } else {
            "implicit"
        };
        self.greeted = true;
        self.mode = Mode::Tls;
        self.replied = None;
        self.outline = Some(Box::default());
    }

    fn tls_octets(&mut self, direction: Direction, octets: &[u8], at: Mark) {
        let Some(mut outline) = self.outline.take() else {
            return;
        };
        let established = outline.established.is_some();
        let mut records: Vec<Record> = Vec::new();
        outline.octets(direction, octets, at, &mut |record| records.push(record));
        for record in &records {
            if self.said.len() < MAX_SAID {
                self.said.extend(tls::say(record, direction));
            }
            if record.kind == Kind::Data {
                self.hidden_data(direction, record, outline.version);
            }
        }
        if let (false, Some(end), Some(hello)) = (established, outline.established, outline.hello) {
            // STARTTLS and its reply are booked by themselves.
            let whole = end.sent.since(hello.sent).unwrap_or_default();
            self.spend(SmtpPhase::Tls, end.sent, whole, None);
            self.keep_step(SmtpStep {
                phase: SmtpPhase::Tls,
                verb: "TLS".into(),
                frame: hello.frame,
                sent: hello.sent,
                acked: None,
                code: None,
                enhanced: None,
                text: outline.summary(),
                reply_frame: Some(end.frame),
                replied: Some(end.sent),
                inferred: true,
            });
        }
        self.record.tls_alert.clone_from(&outline.alert);
        self.outline = Some(outline);
    }

    /// Octets of the application under TLS: turns, and what can be inferred of them.
    fn hidden_data(&mut self, direction: Direction, record: &Record, version: Option<u16>) {
        let hidden = &mut self.hidden;
        if self.client == direction {
            if hidden.burst_start.is_none() {
                hidden.burst_start = Some(record.start);
            }
            hidden.burst = hidden.burst.saturating_add(record.octets);
            let (frame, sent) = (record.end.frame, record.end.sent);
            let end = record.end.offset.saturating_add(1);
            hidden.taker.request(frame, sent, end, || "request".into());
            return;
        }
        let Some(turn) = hidden.taker.answer(record.start.frame, record.start.sent) else {
            // TLS 1.3 sends its session tickets as data too, so there the first octets are no greeting.
            let greets =
                self.record.tls == "implicit" && !hidden.greeted && version != Some(0x0304);
            if greets && let Some(end) = self.outline_end() {
                self.hidden.greeted = true;
                let step = inferred(SmtpPhase::Greeting, "CONNECT", end, record.start);
                self.keep_inferred(step);
            }
            return;
        };
        let octets = std::mem::take(&mut hidden.burst);
        let start = hidden.burst_start.take();
        hidden.turns += 1;
        let before = hidden.last.replace((turn, octets));
        let known = if hidden.turns == 1 {
            Some((SmtpPhase::Ehlo, "EHLO"))
        } else if octets >= MESSAGE_UNDER_TLS {
            Some((SmtpPhase::EndOfData, "."))
        } else {
            None
        };
        let Some((phase, verb)) = known else {
            return;
        };
        if phase == SmtpPhase::EndOfData {
            if let Some((data, _)) = before.filter(|_| hidden.turns > 2) {
                self.keep_inferred(turn_step(SmtpPhase::Data, "DATA", &data));
            }
            if let Some(whole) = start.and_then(|start| turn.sent.since(start.sent)) {
                self.spend(SmtpPhase::Transfer, turn.sent, whole, None);
            }
        }
        self.keep_inferred(turn_step(phase, verb, &turn));
    }

    fn outline_end(&self) -> Option<Mark> {
        self.outline
            .as_ref()
            .and_then(|outline| outline.established)
    }

    fn keep_inferred(&mut self, step: SmtpStep) {
        if let Some(replied) = step.replied
            && let Some(whole) = replied.since(step.sent)
        {
            let network = step.acked.and_then(|acked| acked.since(step.sent));
            self.spend(step.phase, replied, whole, network);
        }
        if self.record.steps.len() < MAX_STEPS {
            self.record.steps.push(step);
        } else {
            self.record.omitted += 1;
        }
    }
}

impl Dialog for Session {
    fn piece(&mut self, piece: Piece<'_>) -> Interest {
        match piece.octets {
            Ok(octets) => self.octets(piece.direction, octets, Mark::of(&piece)),
            Err(_) => self.gap(piece.direction, length(&piece)),
        }
        Interest::Continue
    }

    fn acked(&mut self, direction: Direction, upto: u64, time: Timestamp) {
        let acked = &mut self.acked[direction.index()];
        if upto <= acked.0 {
            return;
        }
        *acked = (upto, Some(time));
        if direction == self.client {
            while let Some(pending) = self.pending.get_mut(self.acked_pending)
                && pending.end <= upto
            {
                pending.acked.get_or_insert(time);
                self.acked_pending += 1;
            }
            self.hidden.taker.acked(upto, time);
        } else if let Some((reply, acked @ None)) = &mut self.replied
            && upto > reply.offset
        {
            *acked = Some(time);
        }
    }

    fn connected(&mut self, _frame: FrameNo, time: Timestamp) {
        self.connected = Some(time);
    }

    fn copy(&self) -> Box<dyn Dialog> {
        Box::new(self.clone())
    }

    fn held(&self) -> usize {
        let record = &self.record;
        let hops = record.messages.iter().map(|m| m.hops.capacity()).sum();
        let phases = self.phases.values().map(PhaseTime::held).sum::<usize>();
        size_of::<Self>()
            + room::<Said>(self.said.capacity())
            + room::<Exchange>(self.exchanges.capacity())
            + room::<Pending>(self.pending.capacity())
            + room::<SmtpStep>(record.steps.capacity())
            + room::<SmtpMessage>(record.messages.capacity())
            + room::<Hop>(hops)
            + room::<SmtpRefusal>(record.refusals.capacity())
            + self.texts
            + phases
    }

    fn finish(mut self: Box<Self>, _ended: Timestamp) -> DialogRecord {
        self.record.last_phase = Some(self.phase_now());
        if let Some(mut step) = self.greeting.take() {
            if let Some(connected) = self.connected
                && let Some(whole) = step.sent.since(connected)
            {
                let end = step.sent;
                step.sent = connected;
                let phase = self.phases.entry(SmtpPhase::Greeting).or_default();
                phase.add(end, whole, None);
            }
            self.record.steps.insert(0, step);
        }
        let body = self.body.as_ref().and_then(|body| body.last);
        let unfinished = body.and_then(|last| Some((self.take_body(last)?, last)));
        while !self.pending.is_empty() {
            self.settle_front(None);
        }
        if let Some((sent, last)) = unfinished {
            self.keep_message(*sent, last.sent, None);
        }
        let phases = std::mem::take(&mut self.phases);
        self.record.keep_phases(phases, self.least_ack);
        let mut exchanges = self.exchanges;
        exchanges.extend(self.hidden.taker.finish());
        exchanges.truncate(MAX_EXCHANGES);
        DialogRecord {
            application: "smtp",
            said: self.said,
            smtp: Some(Box::new(self.record)),
            exchanges,
            ..DialogRecord::default()
        }
    }
}

impl Body {
    fn end_field(&mut self) {
        if !self.field.is_empty() && self.hops.len() < MAX_HOPS {
            self.hops.push(records::received(&self.field));
        }
        self.field = Vec::new();
    }

    /// Books the silence before octets that come when everything sent before was acknowledged.
    fn pause_before(&mut self, at: Mark, (acked, when): (u64, Option<Timestamp>)) {
        if let Some(when) = when
            && acked >= at.offset
            && let Some(last) = self.last
            && let Some(pause) = at.sent.since(when.max(last.sent))
        {
            self.paused = self.paused.saturating_add(pause);
        }
    }
}

fn inferred(phase: SmtpPhase, verb: &'static str, from: Mark, to: Mark) -> SmtpStep {
    SmtpStep {
        phase,
        verb: verb.into(),
        frame: from.frame,
        sent: from.sent,
        acked: None,
        code: None,
        enhanced: None,
        text: String::new(),
        reply_frame: Some(to.frame),
        replied: Some(to.sent),
        inferred: true,
    }
}

fn turn_step(phase: SmtpPhase, verb: &'static str, turn: &Turn) -> SmtpStep {
    SmtpStep {
        phase,
        verb: verb.into(),
        frame: turn.frame,
        sent: turn.sent,
        acked: turn.acked,
        code: None,
        enhanced: None,
        text: String::new(),
        reply_frame: Some(turn.answer_frame),
        replied: Some(turn.answered),
        inferred: true,
    }
}

/// Phase of a command; `None` for those that belong to none.
fn phase_of(verb: &str) -> Option<SmtpPhase> {
    Some(match verb {
        "EHLO" | "HELO" | "LHLO" => SmtpPhase::Ehlo,
        "STARTTLS" | "X-ANONYMOUSTLS" => SmtpPhase::Tls,
        "AUTH" | "X-EXPS" => SmtpPhase::Auth,
        "MAIL" => SmtpPhase::Mail,
        "RCPT" => SmtpPhase::Rcpt,
        "DATA" => SmtpPhase::Data,
        "QUIT" => SmtpPhase::Quit,
        _ => return None,
    })
}

/// Whether a reply of that code can answer that command (RFC 5321 section 4.3.2).
fn fits(verb: &str, code: u16) -> bool {
    match code {
        220 => matches!(verb, "STARTTLS" | "X-ANONYMOUSTLS" | "XCLIENT"),
        221 => verb == "QUIT",
        235 => matches!(verb, "AUTH" | "X-EXPS"),
        334 => matches!(verb, "AUTH" | "X-EXPS"),
        354 => matches!(verb, "DATA" | "XEXCH50"),
        200..=399 => !matches!(verb, "DATA" | "STARTTLS" | "X-ANONYMOUSTLS"),
        _ => true,
    }
}

/// First number of XEXCH50's argument: octets that follow.
fn first_number(command: &Command<'_>) -> u64 {
    let digits = command.argument.iter().take_while(|c| c.is_ascii_digit());
    digits.fold(0, |sum: u64, digit| {
        sum.saturating_mul(10)
            .saturating_add(u64::from(digit.wrapping_sub(b'0')))
    })
}

/// Octets up to the end of data and with it, where it lies in `octets` or begins in `tail`, the last octets before them.
fn end_of_data(tail: &mut Vec<u8>, octets: &[u8]) -> Option<usize> {
    let before = tail.len();
    let mut joint = std::mem::take(tail);
    joint.extend(octets.iter().take(4));
    let end = match END_OF_DATA.find(&joint) {
        Some(place) if place + 5 > before => Some(place + 5 - before),
        _ => END_OF_DATA.find(octets).map(|place| place + 5),
    };
    if octets.len() >= 4 {
        joint.clear();
        joint.extend(octets.iter().skip(octets.len() - 4));
    } else {
        let skip = joint.len().saturating_sub(4);
        joint.drain(..skip);
    }
    *tail = joint;
    end
}
