//! The dialog of SMB: which response answers which request, how long it took, and what the client had to wait for.
//!
//! Takes:  [`Unit`]s with the [`Span`] of their message
//! Gives:  an [`SmbRecord`], lines of evidence, and exchanges
//! Never:  takes an interim response for an answer; counts a CHANGE_NOTIFY as work that a server is slow with

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::command::{Command1, Command2};
use super::records::{
    Agreed, Body, Logon, Message1, Message2, PIPES, RELATED, Unit, cipher_name, dialect_name,
};
use super::status::NtStatus;
use crate::net::{Direction, FrameNo, Sketch, Timestamp};
use crate::proto::exchanges::Exchanges;
use crate::proto::netbios::Span;
use crate::proto::{DialogRecord, DurationStats, Exchange, Said, SmbCommand, SmbRecord, room};

/// Requests under way that are remembered; a server grants no more than 8,192 credits (MS-SMB2 section 3.3.1.1).
pub const MAX_OUTSTANDING: usize = 8_192;

/// Lines of evidence kept; the last quarter is kept free for errors and for what is said once.
const MAX_SAID: usize = 400;

/// Kinds of errors kept for one command; the rest is counted as `OTHER`.
const MAX_ERRORS: usize = 64;

/// Shares whose type is remembered.
const MAX_TREES: usize = 1_024;

/// Octets of the requests that have next to nothing to say: CANCEL, ECHO, LOGOFF and TREE_DISCONNECT, and of the answers to the last
/// three (MS-SMB2 sections 2.2.7, 2.2.11, 2.2.28 and 2.2.30). Nothing else is as short.
const SHORTEST: u32 = 68;

/// How soon after a grant a client must use it for the wait before to count as starved, while no shorter turn of the client
/// has been seen: a round trip and a little.
const PROMPT: Duration = Duration::from_millis(50);

/// Least patience with a client's turn.
const LEAST_PROMPT: Duration = Duration::from_millis(2);

/// What a response names to find its request.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Key {
    /// SMB1: process and multiplex id.
    One(u32, u16),
    /// SMB2: message id.
    Two(u64),
    /// Encrypted: the order alone; and among those of [`SHORTEST`], of which some are never answered.
    Sealed(u64),
    SealedShort(u64),
}

/// A request under way.
#[derive(Clone, Debug)]
struct Pending {
    name: &'static str,
    /// Frame and time of its last octet.
    frame: FrameNo,
    sent: Timestamp,
    direction: Direction,
    /// Offset after its last octet.
    end: u64,
    acked: Option<Timestamp>,
    /// Whether it may wait for what is not the server's doing.
    waits: bool,
    /// Whether its primary part will be answered by an interim response.
    in_parts: bool,
    charge: i64,
}

/// Counts of one command.
#[derive(Clone, Debug, Default)]
struct Tally {
    times: Sketch,
    unanswered: u64,
    interim: u64,
    errors: BTreeMap<NtStatus, (u64, FrameNo)>,
    other_errors: u64,
    slowest: Option<(Duration, FrameNo, FrameNo)>,
}

impl Tally {
    fn answered(&mut self, time: Duration, request: FrameNo, answer: FrameNo) {
        self.times.add(time);
        if self.slowest.is_none_or(|(most, ..)| time > most) {
            self.slowest = Some((time, request, answer));
        }
    }

    fn error(&mut self, status: NtStatus, frame: FrameNo) {
        if let Some(known) = self.errors.get_mut(&status) {
            known.0 += 1;
        } else if self.errors.len() < MAX_ERRORS {
            self.errors.insert(status, (1, frame));
        } else {
            self.other_errors += 1;
        }
    }

    fn record(self) -> SmbCommand {
        let mut record = SmbCommand {
            times: stats(&self.times),
            unanswered: self.unanswered,
            interim: self.interim,
            slowest: self.slowest.map(|(_, request, answer)| (request, answer)),
            ..SmbCommand::default()
        };
        for (status, (count, frame)) in self.errors {
            let name = status.name().into_owned();
            record.error_frames.insert(name.clone(), frame);
            record.errors.insert(name, count);
        }
        if self.other_errors > 0 {
            record.errors.insert("OTHER".to_owned(), self.other_errors);
        }
        record
    }
}

/// A sketch as the record has it.
pub(crate) fn stats(times: &Sketch) -> DurationStats {
    DurationStats {
        count: times.count(),
        min: times.min(),
        median: times.quantile(0.5),
        p95: times.quantile(0.95),
        max: times.max(),
        sum: times.sum(),
    }
}

/// Credits of the client (MS-SMB2 section 3.2.4.1.2), known where the dialog was seen from its start.
#[derive(Clone, Debug, Default)]
struct Credits {
    /// What is left; `None` in mid-stream.
    left: Option<i64>,
    /// What requests under way have cost.
    in_flight: i64,
    /// Largest number held at one time.
    most: i64,
    /// Largest number granted in one response.
    largest_grant: u16,
    /// Since when a READ or WRITE had used up what there was.
    empty_since: Option<Timestamp>,
    /// Such a time that has ended: its length, and when it ended.
    ended: Option<(Duration, Timestamp)>,
    starved: Duration,
}

/// No client holds more than 65,535 credits, whatever a server writes.
const MAX_CREDITS: i64 = 1 << 16;

impl Credits {
    fn spend(&mut self, charge: i64, bulk: bool, now: Timestamp, prompt: Duration) {
        if let Some((length, ended)) = self.ended.take()
            && bulk
            && now.since(ended).is_some_and(|turn| turn <= prompt)
        {
            self.starved = self.starved.saturating_add(length);
        }
        self.in_flight = self.in_flight.saturating_add(charge);
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(charge).max(-MAX_CREDITS);
            if *left < charge && bulk && self.empty_since.is_none() {
                self.empty_since = Some(now);
            }
        }
    }

    fn grant(&mut self, granted: u16, now: Timestamp) {
        self.largest_grant = self.largest_grant.max(granted);
        if let Some(left) = &mut self.left {
            *left = left.saturating_add(i64::from(granted)).min(MAX_CREDITS);
            self.most = self.most.max(left.saturating_add(self.in_flight));
            if granted > 0
                && *left > 0
                && let Some(since) = self.empty_since.take()
            {
                self.ended = Some((now.since(since).unwrap_or_default(), now));
            }
        }
    }

    fn release(&mut self, charge: i64) {
        self.in_flight = self.in_flight.saturating_sub(charge).max(0);
    }
}

/// Number of requests under way, over time.
#[derive(Clone, Debug, Default)]
struct Depth {
    now: u64,
    most: u64,
    since: Timestamp,
    /// Nanoseconds times requests, and nanoseconds with any.
    area: u128,
    busy: u128,
}

impl Depth {
    fn at(&mut self, time: Timestamp) {
        if let Some(span) = time.since(self.since) {
            if self.now > 0 {
                self.area += span.as_nanos() * u128::from(self.now);
                self.busy += span.as_nanos();
            }
            self.since = time;
        }
    }

    fn up(&mut self, time: Timestamp) {
        self.at(time);
        self.now += 1;
        self.most = self.most.max(self.now);
    }

    fn down(&mut self, time: Timestamp) {
        self.at(time);
        self.now = self.now.saturating_sub(1);
    }

    fn mean(&self) -> f64 {
        if self.busy == 0 {
            0.0
        } else {
            self.area as f64 / self.busy as f64
        }
    }
}

/// The dialog so far.
#[derive(Clone, Debug, Default)]
pub struct Session {
    pending: BTreeMap<Key, Pending>,
    /// Requests in the order of their ends, for acknowledgements; by direction.
    unacked: [VecDeque<(u64, Key)>; 2],
    tallies: BTreeMap<&'static str, Tally>,
    sealed: Tally,
    sealed_sent: u64,
    /// Who sends requests, once that is known.
    client: Option<Direction>,
    offered: Vec<String>,
    record: SmbRecord,
    dialect: Option<u16>,
    seen_sealed: bool,
    seen_clear: bool,
    seen_signed: bool,
    signing_required: bool,
    credits: Credits,
    depth: Depth,
    /// Octets of READs and WRITEs: how many, and how many in all.
    io: (u64, u128),
    /// Type of each share that is in use, by tree id.
    trees: BTreeMap<u32, u8>,
    /// Tree of the last element: those related to it do not repeat it.
    last_tree: u32,
    /// Breaks told to the client and not acknowledged.
    breaks: VecDeque<Timestamp>,
    break_waits: Sketch,
    /// When the last response was complete, and the client's shortest turn after one.
    last_response: Option<Timestamp>,
    shortest_turn: Option<Duration>,
    said: Vec<Said>,
    exchanges: Exchanges,
}

impl Session {
    /// Octets of memory that it holds beside itself, about.
    pub(super) fn held(&self) -> usize {
        room::<Said>(self.said.capacity())
            + room::<(Key, Pending)>(self.pending.len())
            + room::<Tally>(self.tallies.len())
            + room::<SmbCommand>(self.record.commands.len())
            + self.trees.len() * size_of::<(u32, u8)>()
            + self.exchanges.held()
    }

    /// A message has ended.
    pub fn message(&mut self, direction: Direction, span: Span, units: &[Unit]) {
        for unit in units {
            match unit {
                Unit::One(message) => self.one(direction, span, message),
                Unit::Two(message) => self.two(direction, span, message),
                Unit::Sealed(octets) => self.sealed(direction, span, *octets),
                Unit::Compressed => {
                    self.say(direction, span, false, || {
                        "SMB2 compressed message".to_owned()
                    });
                }
            }
        }
    }

    /// A line of evidence; `rare` ones find room when there is none for others.
    pub fn say(
        &mut self,
        direction: Direction,
        span: Span,
        rare: bool,
        text: impl FnOnce() -> String,
    ) {
        let room = if rare { MAX_SAID } else { MAX_SAID / 4 * 3 };
        if self.said.len() < room {
            self.said.push(Said {
                frame: span.frame,
                time: span.first,
                direction,
                offset: span.offset,
                octets: span.octets,
                text: text(),
            });
        }
    }

    /// The peer acknowledged everything below `upto`.
    pub fn acked(&mut self, direction: Direction, upto: u64, time: Timestamp) {
        while let Some(&(end, key)) = self.unacked[direction.index()].front() {
            if end > upto {
                return;
            }
            self.unacked[direction.index()].pop_front();
            if let Some(pending) = self.pending.get_mut(&key)
                && pending.end == end
            {
                pending.acked = Some(time);
            }
        }
    }

    fn tally(&mut self, name: &'static str) -> &mut Tally {
        self.tallies.entry(name).or_default()
    }

    fn requested(&mut self, key: Key, pending: Pending) {
        self.client.get_or_insert(pending.direction);
        if let Some(old) = self.pending.remove(&key) {
            self.unanswered(old);
        }
        if self.pending.len() >= MAX_OUTSTANDING
            && let Some((_, old)) = self.pending.pop_first()
        {
            self.record.requests_forgotten += 1;
            self.unanswered(old);
        }
        if !pending.waits {
            self.depth.up(pending.sent);
        }
        if let Some(turn) = self.last_response.take()
            && let Some(turn) = pending.sent.since(turn)
        {
            let shortest = self.shortest_turn.get_or_insert(turn);
            *shortest = turn.min(*shortest);
        }
        let queue = &mut self.unacked[pending.direction.index()];
        if queue.len() >= MAX_OUTSTANDING {
            queue.pop_front();
        }
        queue.push_back((pending.end, key));
        self.pending.insert(key, pending);
    }

    /// A request is no longer under way: off the books of depth and credits.
    fn settle(&mut self, pending: &Pending, time: Timestamp) {
        if !pending.waits {
            self.depth.down(time);
        }
        self.credits.release(pending.charge);
    }

    fn unanswered(&mut self, pending: Pending) {
        let since = self.depth.since;
        self.settle(&pending, since);
        let tally = match pending.name {
            SEALED => &mut self.sealed,
            name => self.tally(name),
        };
        tally.unanswered += 1;
        if !pending.waits && self.exchanges.wants(None) {
            self.exchanges.add(exchange(&pending, None));
        }
    }

    fn answered(&mut self, pending: &Pending, span: Span) {
        self.settle(pending, span.last);
        self.last_response = Some(span.last);
        let time = span.last.since(pending.sent).unwrap_or_default();
        let tally = match pending.name {
            SEALED => &mut self.sealed,
            name => self.tally(name),
        };
        tally.answered(time, pending.frame, span.last_frame);
        if !pending.waits && self.exchanges.wants(span.first.since(pending.sent)) {
            self.exchanges.add(exchange(pending, Some(span)));
        }
    }

    // Encrypted messages

    fn sealed(&mut self, direction: Direction, span: Span, octets: u32) {
        self.seen_sealed = true;
        let client = *self.client.get_or_insert(Direction::ClientToServer);
        let short = octets == SHORTEST;
        if direction == client {
            let key = if short { Key::SealedShort } else { Key::Sealed };
            let key = key(self.sealed_sent);
            self.sealed_sent += 1;
            let pending = Pending {
                waits: short,
                ..Pending::new(SEALED, direction, span)
            };
            self.requested(key, pending);
        } else {
            // A CANCEL has no answer: if it stood at the head of the queue, all that follows would count as late.
            let asked = if short {
                self.pending.range(Key::SealedShort(0)..).next()
            } else {
                let sealed = Key::Sealed(0)..Key::SealedShort(0);
                self.pending.range(sealed).next()
            };
            let asked = asked.map(|(&key, _)| key);
            if let Some(pending) = asked.and_then(|key| self.pending.remove(&key)) {
                self.answered(&pending, span);
            }
        }
        let from = if direction == client {
            "client"
        } else {
            "server"
        };
        self.say(direction, span, false, || {
            format!("SMB2 encrypted message of the {from}")
        });
    }

    // SMB2

    fn two(&mut self, direction: Direction, span: Span, message: &Message2) {
        let name = message.command.name();
        let session_level = matches!(
            message.command,
            Command2::NEGOTIATE | Command2::SESSION_SETUP | Command2(2) | Command2::TREE_CONNECT
        );
        // The last SESSION_SETUP response and the first TREE_CONNECT of 3.1.1 are signed in any case (MS-SMB2 sections 3.3.5.5.3
        // and 3.2.4.1.1), and so is the IOCTL that validates the negotiation.
        if !session_level && message.command != Command2::IOCTL {
            self.seen_clear = true;
            self.seen_signed |= message.signed;
        }
        if message.response {
            self.response2(direction, span, message, name);
        } else {
            self.request2(direction, span, message, name);
        }
    }

    fn request2(
        &mut self,
        direction: Direction,
        span: Span,
        message: &Message2,
        name: &'static str,
    ) {
        let text = || match &message.body {
            Body::Offer(offer) => format!("SMB2 {name} request, {}", offer.join(" ")),
            Body::Logon(logon) => logon_text("SMB2", name, "request", logon),
            Body::Reconnect => format!("SMB2 {name} request, durable handle taken up again"),
            _ => format!("SMB2 {name} request"),
        };
        let rare = matches!(
            message.body,
            Body::Offer(_) | Body::Logon(_) | Body::Reconnect
        );
        self.say(direction, span, rare, text);
        let mut waits = message.command == Command2::CHANGE_NOTIFY;
        match &message.body {
            // A client begins with one credit (MS-SMB2 section 3.2.1.2).
            Body::Offer(_) if message.message_id == 0 => self.credits.left = Some(1),
            Body::Logon(logon) => self.logon(logon),
            Body::Share(Some(host)) => {
                self.record.server_name.get_or_insert_with(|| host.clone());
            }
            Body::Reconnect => self.record.durable_reconnects += 1,
            // FSCTL_PIPE_WAIT waits for somebody else.
            Body::Control(0x0011_0018) => waits = true,
            Body::Io(octets) if message.command == Command2::WRITE => self.io(*octets),
            _ => {}
        }
        // A pipe is read before there is anything in it, and a lock may be somebody else's.
        let tree = match message.tree {
            RELATED => self.last_tree,
            tree => tree,
        };
        self.last_tree = tree;
        if message.body == Body::Pipe {
            self.trees.entry(tree).or_insert(PIPES);
        }
        let pipe_read = matches!(message.command, Command2::READ | Command2::IOCTL)
            && self.trees.get(&tree) == Some(&PIPES);
        waits |= pipe_read || message.command == Command2::LOCK;
        match message.command {
            // No answer, and no credit (MS-SMB2 section 3.2.4.24).
            Command2::CANCEL => return,
            Command2::OPLOCK_BREAK => {
                if let Some(told) = self.breaks.pop_front() {
                    let waited = span.last.since(told).unwrap_or_default();
                    self.break_waits.add(waited);
                }
            }
            _ => {}
        }
        let bulk = matches!(message.command, Command2::READ | Command2::WRITE);
        let charge = i64::from(message.credit_charge.max(1));
        let prompt = self.shortest_turn.map_or(PROMPT, |turn| {
            turn.saturating_mul(2)
                .clamp(LEAST_PROMPT, Duration::from_secs(1))
        });
        self.credits.spend(charge, bulk, span.last, prompt);
        let pending = Pending {
            waits,
            charge,
            ..Pending::new(name, direction, span)
        };
        self.requested(Key::Two(message.message_id), pending);
    }

    fn response2(
        &mut self,
        direction: Direction,
        span: Span,
        message: &Message2,
        name: &'static str,
    ) {
        self.client.get_or_insert(direction.reverse());
        // An oplock or lease break comes unasked (MS-SMB2 section 2.2.23).
        if message.command == Command2::OPLOCK_BREAK && message.message_id == u64::MAX {
            self.say(direction, span, true, || {
                "SMB2 OPLOCK_BREAK notification".to_owned()
            });
            self.record.breaks += 1;
            if self.breaks.len() < MAX_OUTSTANDING {
                self.breaks.push_back(span.last);
            }
            return;
        }
        let error = message.status.is_error();
        let text = || response_text("SMB2", name, message.status, &message.body);
        let rare = error || matches!(message.body, Body::Agreed(_) | Body::Logon(_));
        self.say(direction, span, rare, text);
        if message.command == Command2::NEGOTIATE
            && message.message_id == 0
            && let Some((&key, _)) = self.pending.range(Key::One(0, 0)..Key::Two(0)).next()
            && let Some(asked) = self.pending.remove(&key)
        {
            // The answer to an SMB1 NEGOTIATE that offered SMB2 (MS-SMB2 section 3.3.5.3): not a pair of one protocol, so it is
            // no response time of either, but an exchange it is. The request has used the one credit.
            self.settle(&asked, span.last);
            self.exchanges.add(exchange(&asked, Some(span)));
            self.credits.left = Some(0);
        }
        match &message.body {
            Body::Agreed(agreed) => self.agreed2(agreed),
            Body::Logon(logon) => self.logon(logon),
            Body::ShareType(kind) => self.share(message.tree, *kind),
            Body::Io(octets) if message.command == Command2::READ => self.io(*octets),
            _ => {}
        }
        if message.status == NtStatus::PENDING {
            self.tally(name).interim += 1;
            self.credits.grant(message.credits, span.last);
            return;
        }
        if error {
            self.tally(name).error(message.status, span.frame);
        }
        if let Some(pending) = self.pending.remove(&Key::Two(message.message_id)) {
            self.answered(&pending, span);
        }
        // After the request has given back its own, or they would count twice in what the client holds.
        self.credits.grant(message.credits, span.last);
    }

    fn agreed2(&mut self, agreed: &Agreed) {
        self.dialect = Some(agreed.dialect);
        // 2.??? is settled by the NEGOTIATE that follows.
        if agreed.dialect != 0x02FF || self.record.dialect.is_none() {
            self.record.dialect = Some(dialect_name(agreed.dialect));
        }
        self.signing_required |= agreed.signing_required;
        self.record.max_read = Some(agreed.max_read);
        self.record.max_write = Some(agreed.max_write);
        self.record.cipher = agreed.cipher.and_then(cipher_name);
        self.record.compression |= agreed.compression;
        // SMB2_GLOBAL_CAP_MULTI_CHANNEL
        self.record.multichannel_offered |= agreed.capabilities & 8 != 0;
    }

    fn logon(&mut self, logon: &Logon) {
        if let Some(mechanism) = logon.mechanism {
            self.record.authentication = Some(mechanism.name());
        }
        self.record.multichannel_bound |= logon.binding;
        self.record.sessions_replaced += u64::from(logon.replaces);
        if let Some(challenge) = &logon.challenge {
            if challenge.name.is_some() {
                self.record.server_name.clone_from(&challenge.name);
            }
            if challenge.version.is_some() {
                self.record.server_version = challenge.version;
            }
        }
    }

    /// A share is in use from now on; ids are used again.
    fn share(&mut self, tree: u32, kind: u8) {
        if self.trees.len() < MAX_TREES || self.trees.contains_key(&tree) {
            self.trees.insert(tree, kind);
        }
    }

    fn io(&mut self, octets: u32) {
        self.io.0 += 1;
        self.io.1 += u128::from(octets);
    }

    // SMB1

    fn one(&mut self, direction: Direction, span: Span, message: &Message1) {
        let session_level = matches!(
            message.command,
            Command1::NEGOTIATE | Command1::SESSION_SETUP_ANDX
        );
        if !session_level {
            self.seen_clear = true;
            self.seen_signed |= message.signed;
        }
        match &message.body {
            Body::Logon(logon) => self.logon(logon),
            Body::Share(Some(host)) => {
                self.record.server_name.get_or_insert_with(|| host.clone());
            }
            _ => {}
        }
        let key = Key::One(message.pid, message.mid);
        if message.response {
            self.response1(direction, span, message, key);
        } else {
            self.request1(direction, span, message, key);
        }
    }

    fn request1(&mut self, direction: Direction, span: Span, message: &Message1, key: Key) {
        let name = message.name;
        let rare = matches!(message.body, Body::Offer(_) | Body::Logon(_));
        self.say(direction, span, rare, || match &message.body {
            Body::Logon(logon) => logon_text("SMB", name, "request", logon),
            _ => match message.chained {
                Some(next) => format!("SMB {name} and {} request", next.name()),
                None => format!("SMB {name} request"),
            },
        });
        match message.command {
            // The rest of a request already on the books; and what gets no answer.
            Command1::TRANSACTION_SECONDARY
            | Command1::TRANSACTION2_SECONDARY
            | Command1::NT_TRANSACT_SECONDARY => {
                if let Some(pending) = self.pending.get_mut(&key) {
                    pending.sent = span.last;
                    pending.frame = span.last_frame;
                    pending.in_parts = false;
                }
                return;
            }
            Command1::NT_CANCEL => return,
            Command1::LOCKING_ANDX if message.mid == 0xFFFF => {
                // The server's break notification is a request of its own (MS-CIFS section 3.3.4.2).
                if Some(direction) != self.client {
                    self.record.breaks += 1;
                    if self.breaks.len() < MAX_OUTSTANDING {
                        self.breaks.push_back(span.last);
                    }
                }
                return;
            }
            _ => {}
        }
        match &message.body {
            Body::Offer(offer) => self.offered.clone_from(offer),
            Body::BreakAcknowledged => {
                if let Some(told) = self.breaks.pop_front() {
                    self.break_waits
                        .add(span.last.since(told).unwrap_or_default());
                }
                return;
            }
            Body::Io(octets)
                if matches!(message.command, Command1::WRITE_ANDX | Command1::WRITE) =>
            {
                self.io(*octets);
            }
            _ => {}
        }
        let pipe_read = matches!(message.command, Command1::READ_ANDX | Command1::READ)
            && self.trees.get(&message.tree.into()) == Some(&PIPES);
        let pending = Pending {
            waits: pipe_read
                || matches!(
                    name,
                    "NT_TRANSACT_NOTIFY_CHANGE" | "TRANS_WAIT_NMPIPE" | "LOCKING_ANDX"
                ),
            in_parts: message.body == Body::InParts,
            ..Pending::new(name, direction, span)
        };
        self.requested(key, pending);
    }

    fn response1(&mut self, direction: Direction, span: Span, message: &Message1, key: Key) {
        self.client.get_or_insert(direction.reverse());
        if let Some(pending) = self.pending.get_mut(&key)
            && pending.in_parts
            && message.words == 0
            && message.status == NtStatus::SUCCESS
        {
            // "Go on": the interim response to the first part (MS-CIFS section 3.2.5.1.4).
            pending.in_parts = false;
            return;
        }
        let pending = self.pending.remove(&key);
        let name = pending.as_ref().map_or(message.name, |p| p.name);
        let error = message.status.is_error();
        let rare = error || matches!(message.body, Body::Agreed(_) | Body::Logon(_));
        let dialect = match &message.body {
            Body::Agreed(agreed) => Some(self.agreed1(agreed, message.words)),
            _ => None,
        };
        self.say(direction, span, rare, || match (&message.body, dialect) {
            (Body::Agreed(agreed), Some(dialect)) => {
                let token = if agreed.spnego { ", SPNEGO" } else { "" };
                format!(
                    "SMB NEGOTIATE response, {dialect} (#{}){token}",
                    agreed.dialect
                )
            }
            (body, _) => response_text("SMB", name, message.status, body),
        });
        if let Body::ShareType(kind) = message.body {
            self.share(message.tree.into(), kind);
        }
        if let Body::Io(octets) = message.body
            && matches!(message.command, Command1::READ_ANDX | Command1::READ)
            && !error
        {
            self.io(octets);
        }
        if error {
            self.tally(name).error(message.status, span.frame);
        }
        if let Some(pending) = pending {
            self.answered(&pending, span);
        }
    }

    fn agreed1(&mut self, agreed: &Agreed, words: u8) -> String {
        let dialect = match self.offered.get(usize::from(agreed.dialect)) {
            _ if agreed.dialect == 0xFFFF => "none of those offered".to_owned(),
            Some(name) => name.clone(),
            // Only that dialect has 17 words (MS-CIFS section 2.2.4.52.2).
            None if words == 17 => "NT LM 0.12".to_owned(),
            None => format!("dialect {}", agreed.dialect),
        };
        if agreed.dialect != 0xFFFF {
            self.record.dialect = Some(dialect.clone());
        }
        self.signing_required |= agreed.signing_required;
        dialect
    }

    /// The flow has ended. `lost` is how often the place was lost, `omitted` how many elements were not read.
    #[must_use]
    pub fn finish(mut self, ended: Timestamp, lost: u64, omitted: u64) -> DialogRecord {
        self.depth.at(ended);
        for (key, pending) in std::mem::take(&mut self.pending) {
            if !matches!(key, Key::SealedShort(_)) {
                self.unanswered(pending);
            }
        }
        let mut record = self.record;
        record.signing = match (self.seen_signed, self.seen_clear) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => self.signing_required.then_some(true),
        };
        record.encrypted = match (self.seen_sealed, self.seen_clear) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        };
        record.max_outstanding = self.depth.most;
        record.mean_outstanding = self.depth.mean();
        record.max_credits = match self.credits.left {
            Some(_) => u64::try_from(self.credits.most).ok(),
            None if self.credits.largest_grant > 0 => Some(self.credits.largest_grant.into()),
            None => None,
        };
        record.credit_starved = self.credits.starved;
        if self.io.0 > 0 {
            record.io_size = Some((self.io.0, self.io.1 as f64 / self.io.0 as f64));
        }
        record.break_waits = stats(&self.break_waits);
        record.places_lost = lost;
        record.units_omitted = omitted;
        record.sealed = (self.sealed_sent > 0 || self.seen_sealed).then(|| self.sealed.record());
        record.commands = self
            .tallies
            .into_iter()
            .map(|(name, tally)| (name.to_owned(), tally.record()))
            .collect();
        DialogRecord {
            application: "smb",
            said: self.said,
            smb: Some(Box::new(record)),
            exchanges: self.exchanges.into_vec(),
            ..DialogRecord::default()
        }
    }
}

/// Name of what cannot be read.
const SEALED: &str = "ENCRYPTED";

impl Pending {
    fn new(name: &'static str, direction: Direction, span: Span) -> Self {
        Self {
            name,
            frame: span.last_frame,
            sent: span.last,
            direction,
            end: span.offset.saturating_add(span.octets),
            acked: None,
            waits: false,
            in_parts: false,
            charge: 0,
        }
    }
}

/// A request and its answer, for whoever judges the server.
fn exchange(pending: &Pending, answer: Option<Span>) -> Exchange {
    let answered = answer.map(|span| span.first);
    Exchange {
        name: pending.name.into(),
        request_frame: pending.frame,
        requested: pending.sent,
        // An ACK that comes with the answer does not tell when the request had arrived.
        acked: pending
            .acked
            .filter(|acked| answered.is_none_or(|answered| *acked < answered)),
        answer_frame: answer.map(|span| span.frame),
        answered,
        direction: pending.direction,
    }
}

/// `SMB2 SESSION_SETUP request, NTLM`.
fn logon_text(protocol: &str, name: &str, kind: &str, logon: &Logon) -> String {
    let mut text = format!("{protocol} {name} {kind}");
    if let Some(mechanism) = logon.mechanism {
        text.push_str(", ");
        text.push_str(mechanism.name());
    }
    if logon.binding {
        text.push_str(", binds a channel");
    }
    if logon.replaces {
        text.push_str(", replaces a session");
    }
    text
}

/// `SMB2 CREATE response STATUS_OBJECT_NAME_NOT_FOUND`.
fn response_text(protocol: &str, name: &str, status: NtStatus, body: &Body) -> String {
    let mut text = format!("{protocol} {name} response");
    if status != NtStatus::SUCCESS {
        text.push(' ');
        text.push_str(&status.name());
    }
    match body {
        Body::Agreed(agreed) => {
            text.push_str(", ");
            text.push_str(&dialect_name(agreed.dialect));
            if agreed.spnego {
                text.push_str(", SPNEGO");
            }
            if let Some(cipher) = agreed.cipher.and_then(cipher_name) {
                text.push_str(", ");
                text.push_str(cipher);
            }
        }
        Body::Logon(logon) => {
            if let Some(mechanism) = logon.mechanism {
                text.push_str(", ");
                text.push_str(mechanism.name());
            }
        }
        _ => {}
    }
    text
}
