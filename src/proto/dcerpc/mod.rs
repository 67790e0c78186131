//! DCE/RPC over TCP, connection-oriented (DCE 1.1 RPC chapter 12, MS-RPCE section 2.2.2): the way from Outlook and Hub Transport to a mailbox.
//!
//! Takes:  [`Piece`]s of one flow
//! Gives:  a [`RpcRecord`]: interfaces bound, operations called, how long each answer took, faults and refusals
//! Never:  reads the arguments of a call; keeps authentication
//!
//! A response time runs from the last octet of the request (its last fragment) to the last octet of the first fragment of
//! the response, so that a long answer over a slow path does not count as a slow server.

mod interfaces;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

pub use self::interfaces::{Uuid, name as interface_name, operation as operation_name};
use super::exchanges::Exchanges;
use super::netbios::Span;
use super::octets::{array, u8_at};
use super::recognise::{Guess, Opening, Start, either};
use super::smb::session::stats;
use super::{Dialog, DialogRecord, DurationStats, Exchange, Interest, Piece, Said, room};
use crate::net::{Direction, FrameNo, Sketch, Timestamp};

/// Octets of the common header.
const HEADER: usize = 16;

/// Octets of a bind and its answer that are read.
const MAX_BIND: usize = 4 << 10;

/// Calls under way that are remembered.
pub const MAX_CALLS: usize = 4_096;

/// Presentation contexts remembered.
pub const MAX_CONTEXTS: usize = 256;

/// Operations told apart.
pub const MAX_OPERATIONS: usize = 1_024;

/// Lines of evidence.
const MAX_SAID: usize = 300;

/// Octets without a PDU after which a flow is taken to be something else.
const MAX_STRANGE: u64 = 4 << 20;

/// What was understood of a flow of DCE/RPC.
#[derive(Clone, Debug, Default)]
pub struct RpcRecord {
    /// Interfaces in the order in which they were bound.
    pub interfaces: Vec<RpcInterface>,
    /// Operations by name: `EMSMDB EcDoRpcExt2`, `EPM ept_map`, `NETLOGON 29`, `context 1 operation 2`.
    pub operations: BTreeMap<String, RpcOperation>,
    /// Binds refused as a whole.
    pub binds_refused: u64,
    /// Most calls under way at once.
    pub max_outstanding: u64,
    /// Calls given up because too many were under way.
    pub calls_forgotten: u64,
    /// Times that the boundary of PDUs was lost.
    pub places_lost: u64,
}

/// An interface that the client asked for.
#[derive(Clone, Debug)]
pub struct RpcInterface {
    /// Its UUID as text.
    pub uuid: String,
    /// `EMSMDB`, `NSPI`, …
    pub name: Option<&'static str>,
    /// Frame of the bind.
    pub frame: FrameNo,
    /// Whether the server took it; `None` where its answer was not seen.
    pub accepted: Option<bool>,
}

/// One operation.
#[derive(Clone, Debug, Default)]
pub struct RpcOperation {
    /// Response times.
    pub times: DurationStats,
    /// Never answered.
    pub unanswered: u64,
    /// Faults by status: `nca_s_op_rng_error`, `0x00000721`, …
    pub faults: BTreeMap<String, u64>,
    /// Request and response that were furthest apart.
    pub slowest: Option<(FrameNo, FrameNo)>,
    /// Whether the operation waits for an event by design (`EcDoAsyncWaitEx`): not the server's slowness.
    pub waits: bool,
}

/// Types of PDU (DCE 1.1 RPC section 12.6.1).
mod kind {
    pub(super) const REQUEST: u8 = 0;
    pub(super) const RESPONSE: u8 = 2;
    pub(super) const FAULT: u8 = 3;
    pub(super) const BIND: u8 = 11;
    pub(super) const BIND_ACK: u8 = 12;
    pub(super) const BIND_NAK: u8 = 13;
    pub(super) const ALTER_CONTEXT: u8 = 14;
    pub(super) const ALTER_CONTEXT_RESP: u8 = 15;
    pub(super) const LAST: u8 = 20;
}

/// The common header.
#[derive(Clone, Copy, Debug)]
struct Header {
    kind: u8,
    first: bool,
    last: bool,
    object: bool,
    little: bool,
    length: usize,
    call: u32,
}

impl Header {
    fn read(octets: &[u8]) -> Option<Self> {
        let [major, minor, kind, flags, drep, ch, r1, r2, ..] = *octets.first_chunk::<HEADER>()?;
        // Version 5.0 or 5.1; integers big or little, ASCII; IEEE floating point in all implementations that matter.
        let known = major == 5 && minor <= 1 && kind <= kind::LAST;
        if !known || !matches!(drep, 0 | 0x10) || ch != 0 || r1 != 0 || r2 != 0 {
            return None;
        }
        let little = drep == 0x10;
        let length = usize::from(u16_at(octets, 8, little)?);
        if length < HEADER {
            return None;
        }
        Some(Self {
            kind,
            first: flags & 1 != 0,
            last: flags & 2 != 0,
            object: flags & 0x80 != 0,
            little,
            length,
            call: u32_at(octets, 12, little)?,
        })
    }

    /// Octets of the PDU that are read.
    fn wanted(self) -> usize {
        let wanted = match self.kind {
            kind::BIND
            | kind::BIND_ACK
            | kind::BIND_NAK
            | kind::ALTER_CONTEXT
            | kind::ALTER_CONTEXT_RESP => MAX_BIND,
            kind::FAULT => 28,
            _ => 24,
        };
        wanted.min(self.length)
    }
}

fn u16_at(octets: &[u8], at: usize, little: bool) -> Option<u16> {
    let two = array(octets, at)?;
    Some(if little {
        u16::from_le_bytes(two)
    } else {
        u16::from_be_bytes(two)
    })
}

fn u32_at(octets: &[u8], at: usize, little: bool) -> Option<u32> {
    let four = array(octets, at)?;
    Some(if little {
        u32::from_le_bytes(four)
    } else {
        u32::from_be_bytes(four)
    })
}

/// Whether a flow is DCE/RPC: a PDU at the start of a direction.
pub(crate) fn content(opening: &Opening<'_>) -> Guess {
    either(opening, starts)
}

fn starts(octets: &[u8]) -> Guess {
    if octets.len() >= HEADER {
        return Header::read(octets).map_or(Guess::No, |_| Guess::Yes);
    }
    match octets {
        [] | [5] | [5, 0 | 1] => Guess::More,
        [5, 0 | 1, kind, ..] if *kind <= kind::LAST => Guess::More,
        _ => Guess::No,
    }
}

/// Opens a flow.
pub(crate) fn open(_: Start) -> Box<dyn Dialog> {
    Box::new(RpcDialog::default())
}

/// Reads the PDUs of one direction.
#[derive(Clone, Debug, Default)]
struct Reader {
    /// First octets of a PDU; while the place is being looked for, the last ones seen.
    kept: Vec<u8>,
    /// Octets of it still to come after those kept.
    skip: usize,
    header: Option<Header>,
    seeking: bool,
    span: Option<Span>,
    lost: u64,
}

/// A PDU that has ended.
struct Pdu<'a> {
    header: Header,
    octets: &'a [u8],
    span: Span,
}

impl Reader {
    fn feed(&mut self, piece: &Piece<'_>, sink: &mut dyn FnMut(Pdu<'_>)) {
        let octets = match piece.octets {
            Ok(octets) => octets,
            Err(missing) => {
                self.gap(missing, sink);
                return;
            }
        };
        let mut rest = octets;
        while let Some(&first) = rest.first() {
            let offset = piece.offset + (octets.len() - rest.len()) as u64;
            if self.seeking || self.header.is_none() {
                // Octet by octet: at most sixteen of a PDU, and all of what is none.
                rest = rest.get(1..).unwrap_or(&[]);
                if self.kept.is_empty() {
                    self.begin(piece, offset);
                }
                self.kept.push(first);
                self.extend(piece, 1);
                if self.kept.len() == HEADER {
                    match Header::read(&self.kept) {
                        Some(header) if !self.seeking || plausible(&self.kept, header) => {
                            self.header = Some(header);
                            self.seeking = false;
                            self.skip = header.length - header.wanted();
                            self.end_if_complete(sink);
                        }
                        _ => self.slide(),
                    }
                }
                continue;
            }
            let want = self.header.map_or(0, Header::wanted);
            let keep = want.saturating_sub(self.kept.len()).min(rest.len());
            self.kept.extend_from_slice(rest.get(..keep).unwrap_or(&[]));
            rest = rest.get(keep..).unwrap_or(&[]);
            let skip = if self.kept.len() >= want {
                self.skip.min(rest.len())
            } else {
                0
            };
            self.skip -= skip;
            rest = rest.get(skip..).unwrap_or(&[]);
            self.extend(piece, (keep + skip) as u64);
            self.end_if_complete(sink);
        }
    }

    /// No PDU begins here: on by one octet.
    fn slide(&mut self) {
        if !self.seeking {
            self.seeking = true;
            self.lost += 1;
        }
        self.kept.remove(0);
        // The next place where one may begin.
        let next = self.kept.iter().position(|octet| *octet == 5);
        let gone = next.unwrap_or(self.kept.len());
        self.kept.drain(..gone);
        if let Some(span) = &mut self.span {
            span.offset = span.offset.saturating_add(gone as u64 + 1);
            span.octets = self.kept.len() as u64;
            (span.frame, span.first) = (span.last_frame, span.last);
        }
    }

    fn gap(&mut self, missing: u64, sink: &mut dyn FnMut(Pdu<'_>)) {
        if missing == 0 {
            return;
        }
        let left = match self.header {
            Some(header) if self.kept.len() >= header.wanted() => self.skip as u64,
            _ => 0,
        };
        if missing < left {
            self.skip -= usize::try_from(missing).unwrap_or(self.skip);
            return;
        }
        if left > 0 {
            self.skip = 0;
            self.end_if_complete(sink);
        }
        if missing != left {
            self.kept.clear();
            self.header = None;
            self.skip = 0;
            self.seeking = true;
            self.lost += 1;
        }
    }

    fn end_if_complete(&mut self, sink: &mut dyn FnMut(Pdu<'_>)) {
        if let (Some(header), Some(span)) = (self.header, self.span)
            && self.kept.len() >= header.wanted()
            && self.skip == 0
        {
            sink(Pdu {
                header,
                octets: &self.kept,
                span,
            });
            self.kept.clear();
            self.header = None;
            self.span = None;
        }
    }

    fn begin(&mut self, piece: &Piece<'_>, offset: u64) {
        self.span = Some(Span {
            frame: piece.frame,
            first: piece.sent,
            last_frame: piece.frame,
            last: piece.sent,
            offset,
            octets: 0,
        });
    }

    fn extend(&mut self, piece: &Piece<'_>, octets: u64) {
        if let Some(span) = &mut self.span {
            span.octets = span.octets.saturating_add(octets);
            span.last_frame = piece.frame;
            span.last = span.last.max(piece.sent);
        }
    }
}

/// A stricter look at a header while the place is being looked for: no authentication longer than the PDU.
fn plausible(octets: &[u8], header: Header) -> bool {
    let auth = u16_at(octets, 10, header.little).unwrap_or(u16::MAX);
    usize::from(auth) + HEADER <= header.length
        && u8_at(octets, 3).is_some_and(|flags| flags & 0x40 == 0)
}

/// A call under way.
#[derive(Clone, Debug)]
struct Call {
    name: String,
    frame: FrameNo,
    sent: Timestamp,
    end: u64,
    acked: Option<Timestamp>,
    direction: Direction,
    waits: bool,
}

#[derive(Clone, Debug, Default)]
struct Tally {
    times: Sketch,
    unanswered: u64,
    faults: BTreeMap<u32, u64>,
    slowest: Option<(std::time::Duration, FrameNo, FrameNo)>,
    waits: bool,
}

/// One flow of DCE/RPC.
#[derive(Clone, Debug, Default)]
pub struct RpcDialog {
    readers: [Reader; 2],
    session: Session,
    strange: u64,
}

#[derive(Clone, Debug, Default)]
struct Session {
    found: bool,
    record: RpcRecord,
    /// Context id to interface.
    contexts: BTreeMap<u16, Uuid>,
    /// Contexts of binds not answered yet: index into the record's interfaces, by call id.
    asked: VecDeque<(u32, Vec<usize>)>,
    calls: BTreeMap<u32, Call>,
    unacked: [VecDeque<(u64, u32)>; 2],
    tallies: BTreeMap<String, Tally>,
    said: Vec<Said>,
    exchanges: Exchanges,
}

impl Dialog for RpcDialog {
    fn piece(&mut self, piece: Piece<'_>) -> Interest {
        let direction = piece.direction;
        let session = &mut self.session;
        let reader = &mut self.readers[direction.index()];
        reader.feed(&piece, &mut |pdu| session.pdu(direction, &pdu));
        if !self.session.found {
            self.strange += piece.octets.map_or(0, |octets| octets.len() as u64);
            if self.strange > MAX_STRANGE {
                return Interest::Nothing;
            }
        }
        Interest::Continue
    }

    fn acked(&mut self, direction: Direction, upto: u64, time: Timestamp) {
        let session = &mut self.session;
        let queue = &mut session.unacked[direction.index()];
        while let Some(&(end, call)) = queue.front() {
            if end > upto {
                return;
            }
            queue.pop_front();
            if let Some(call) = session.calls.get_mut(&call)
                && call.end == end
            {
                call.acked = Some(time);
            }
        }
    }

    fn copy(&self) -> Box<dyn Dialog> {
        Box::new(self.clone())
    }

    fn held(&self) -> usize {
        let session = &self.session;
        size_of::<Self>()
            + room::<Call>(session.calls.len())
            + room::<Tally>(session.tallies.len())
            + room::<Said>(session.said.capacity())
            + room::<RpcInterface>(session.record.interfaces.capacity())
            + session.exchanges.held()
    }

    fn finish(self: Box<Self>, _ended: Timestamp) -> DialogRecord {
        let lost = self.readers.iter().map(|reader| reader.lost).sum();
        self.session.finish(lost)
    }
}

impl Session {
    fn pdu(&mut self, direction: Direction, pdu: &Pdu<'_>) {
        self.found = true;
        let header = pdu.header;
        match header.kind {
            kind::REQUEST => self.request(direction, pdu),
            kind::RESPONSE if header.first => self.response(direction, pdu, None),
            kind::FAULT => {
                let status = u32_at(pdu.octets, 24, header.little).unwrap_or(0);
                self.response(direction, pdu, Some(status));
            }
            kind::BIND | kind::ALTER_CONTEXT => self.bind(direction, pdu),
            kind::BIND_ACK | kind::ALTER_CONTEXT_RESP => self.bound(direction, pdu),
            kind::BIND_NAK => {
                self.record.binds_refused += 1;
                let reason = u16_at(pdu.octets, HEADER, header.little).unwrap_or(0);
                self.settle_bind(header.call, |_| Some(false));
                self.say(direction, pdu.span, || {
                    format!("RPC bind refused, reason {reason}")
                });
            }
            _ => {}
        }
    }

    fn say(&mut self, direction: Direction, span: Span, text: impl FnOnce() -> String) {
        if self.said.len() < MAX_SAID {
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

    /// The list of presentation contexts after eight octets of sizes and group (DCE 1.1 RPC section 12.6.4.3).
    fn bind(&mut self, direction: Direction, pdu: &Pdu<'_>) {
        let (octets, little) = (pdu.octets, pdu.header.little);
        let count = u8_at(octets, 24).unwrap_or(0);
        let mut at = 28;
        let mut asked = Vec::new();
        let mut names = Vec::new();
        for _ in 0..count {
            let (Some(context), Some(syntaxes), Some(wire)) = (
                u16_at(octets, at, little),
                u8_at(octets, at + 2),
                array::<16>(octets, at + 4),
            ) else {
                break;
            };
            // The syntax of the interface, its version, and then the transfer syntaxes offered.
            at += 24 + 20 * usize::from(syntaxes);
            let uuid = Uuid::from_wire(wire, little);
            let name = interface_name(uuid);
            names.push(name.map_or_else(|| uuid.to_string(), str::to_owned));
            if self.contexts.len() < MAX_CONTEXTS {
                self.contexts.insert(context, uuid);
            }
            // Contexts of one bind that differ in the transfer syntax alone are one interface.
            let text = uuid.to_string();
            let known = self.record.interfaces.iter().position(|i| i.uuid == text);
            let index = match known {
                Some(index) => index,
                None if self.record.interfaces.len() < MAX_CONTEXTS => {
                    self.record.interfaces.push(RpcInterface {
                        uuid: text,
                        name,
                        frame: pdu.span.frame,
                        accepted: None,
                    });
                    self.record.interfaces.len() - 1
                }
                None => continue,
            };
            asked.push(index);
        }
        if self.asked.len() >= MAX_CONTEXTS {
            self.asked.pop_front();
        }
        self.asked.push_back((pdu.header.call, asked));
        names.dedup();
        self.say(direction, pdu.span, || {
            format!("RPC bind to {}", names.join(", "))
        });
    }

    /// Results in the order of the contexts, after the secondary address (DCE 1.1 RPC section 12.6.4.4).
    fn bound(&mut self, direction: Direction, pdu: &Pdu<'_>) {
        let (octets, little) = (pdu.octets, pdu.header.little);
        let address = usize::from(u16_at(octets, 24, little).unwrap_or(0));
        let list = (26 + address).next_multiple_of(4);
        let result = |index: usize| u16_at(octets, list + 4 + 24 * index, little);
        let count = usize::from(u8_at(octets, list).unwrap_or(0));
        let refused = (0..count)
            .filter(|index| !matches!(result(*index), Some(0 | 3)))
            .count();
        // 0 acceptance; 3 negotiate_ack, for the features of MS-RPCE section 2.2.2.4.
        self.settle_bind(pdu.header.call, |index| {
            (index < count).then(|| result(index) == Some(0))
        });
        self.say(direction, pdu.span, || match refused {
            0 => "RPC bind accepted".to_owned(),
            _ => format!("RPC bind accepted, {refused} of {count} contexts not"),
        });
    }

    fn settle_bind(&mut self, call: u32, accepted: impl Fn(usize) -> Option<bool>) {
        let Some(at) = self.asked.iter().position(|asked| asked.0 == call) else {
            return;
        };
        let Some((_, asked)) = self.asked.remove(at) else {
            return;
        };
        for (order, index) in asked.into_iter().enumerate() {
            if let (Some(interface), Some(accepted)) =
                (self.record.interfaces.get_mut(index), accepted(order))
            {
                let before = interface.accepted.unwrap_or(false);
                interface.accepted = Some(before || accepted);
            }
        }
    }

    /// Allocation hint, context id and operation number, and after them perhaps an object (DCE 1.1 RPC section 12.6.4.9).
    fn request(&mut self, direction: Direction, pdu: &Pdu<'_>) {
        let (octets, little) = (pdu.octets, pdu.header.little);
        let call = pdu.header.call;
        if !pdu.header.first {
            // Only the last octet of the last fragment makes the request complete.
            if let Some(call) = self.calls.get_mut(&call) {
                (call.frame, call.sent) = (pdu.span.last_frame, pdu.span.last);
            }
            return;
        }
        let (Some(context), Some(number)) =
            (u16_at(octets, 20, little), u16_at(octets, 22, little))
        else {
            return;
        };
        let interface = self.contexts.get(&context).copied();
        let known = interface.and_then(interface_name);
        let operation = known.and_then(|name| operation_name(name, number));
        let name = match (known, operation, interface) {
            (Some(name), Some(operation), _) => format!("{name} {operation}"),
            (Some(name), None, _) => format!("{name} {number}"),
            (None, _, Some(uuid)) => format!("{uuid} {number}"),
            (None, _, None) => format!("context {context} operation {number}"),
        };
        let (whole, of_object) = (pdu.header.last, pdu.header.object);
        self.say(direction, pdu.span, || {
            let part = if whole { "" } else { ", in fragments" };
            let object = if of_object { ", on an object" } else { "" };
            format!("RPC request {name}{object}{part}")
        });
        if let Some(old) = self.calls.remove(&call) {
            self.unanswered(old);
        }
        if self.calls.len() >= MAX_CALLS
            && let Some((_, old)) = self.calls.pop_first()
        {
            self.record.calls_forgotten += 1;
            self.unanswered(old);
        }
        let end = pdu.span.offset.saturating_add(pdu.span.octets);
        let queue = &mut self.unacked[direction.index()];
        if queue.len() >= MAX_CALLS {
            queue.pop_front();
        }
        queue.push_back((end, call));
        self.calls.insert(
            call,
            Call {
                waits: operation == Some("EcDoAsyncWaitEx"),
                name,
                frame: pdu.span.last_frame,
                sent: pdu.span.last,
                end,
                acked: None,
                direction,
            },
        );
        let now = self.calls.len() as u64;
        self.record.max_outstanding = self.record.max_outstanding.max(now);
    }

    fn tally(&mut self, name: &str) -> &mut Tally {
        const OTHER: &str = "other";
        let full = self.tallies.len() >= MAX_OPERATIONS;
        let name = if full && !self.tallies.contains_key(name) {
            OTHER
        } else {
            name
        };
        if !self.tallies.contains_key(name) {
            self.tallies.insert(name.to_owned(), Tally::default());
        }
        self.tallies.entry(name.to_owned()).or_default()
    }

    fn response(&mut self, direction: Direction, pdu: &Pdu<'_>, fault: Option<u32>) {
        let call = self.calls.remove(&pdu.header.call);
        let name = call.as_ref().map_or("of an unknown call", |c| &c.name);
        let text = match fault {
            Some(status) => format!("RPC fault {} {name}", fault_name(status)),
            None => String::new(),
        };
        if fault.is_some() {
            self.say(direction, pdu.span, || text);
        } else if self.said.len() < MAX_SAID {
            let text = format!("RPC response {name}");
            self.say(direction, pdu.span, || text);
        }
        let Some(call) = call else { return };
        let time = pdu.span.last.since(call.sent).unwrap_or_default();
        let tally = self.tally(&call.name);
        tally.times.add(time);
        tally.waits |= call.waits;
        if let Some(status) = fault {
            *tally.faults.entry(status).or_default() += 1;
            if tally.faults.len() > 64 {
                tally.faults.pop_last();
            }
        }
        if tally.slowest.is_none_or(|(most, ..)| time > most) {
            tally.slowest = Some((time, call.frame, pdu.span.last_frame));
        }
        if !call.waits && self.exchanges.wants(pdu.span.first.since(call.sent)) {
            self.exchanges.add(exchange(call, Some(pdu.span)));
        }
    }

    fn unanswered(&mut self, call: Call) {
        let tally = self.tally(&call.name);
        tally.unanswered += 1;
        tally.waits |= call.waits;
        if !call.waits && self.exchanges.wants(None) {
            self.exchanges.add(exchange(call, None));
        }
    }

    fn finish(mut self, lost: u64) -> DialogRecord {
        for (_, call) in std::mem::take(&mut self.calls) {
            self.unanswered(call);
        }
        let mut record = self.record;
        record.places_lost = lost;
        record.operations = self
            .tallies
            .into_iter()
            .map(|(name, tally)| {
                let faults = tally.faults.into_iter();
                let operation = RpcOperation {
                    times: stats(&tally.times),
                    unanswered: tally.unanswered,
                    faults: faults.map(|(s, n)| (fault_name(s), n)).collect(),
                    slowest: tally.slowest.map(|(_, request, answer)| (request, answer)),
                    waits: tally.waits,
                };
                (name, operation)
            })
            .collect();
        DialogRecord {
            application: if self.found { "dcerpc" } else { "unknown" },
            said: self.said,
            rpc: self.found.then(|| Box::new(record)),
            exchanges: self.exchanges.into_vec(),
            ..DialogRecord::default()
        }
    }
}

fn exchange(call: Call, answer: Option<Span>) -> Exchange {
    let answered = answer.map(|span| span.first);
    Exchange {
        name: call.name.into(),
        request_frame: call.frame,
        requested: call.sent,
        // An ACK that comes with the answer does not tell when the request had arrived.
        acked: call
            .acked
            .filter(|acked| answered.is_none_or(|answered| *acked < answered)),
        answer_frame: answer.map(|span| span.frame),
        answered,
        direction: call.direction,
    }
}

/// Status of a fault (DCE 1.1 RPC appendix N, MS-RPCE section 2.2.1.1): by name where it is a common one.
#[must_use]
pub fn fault_name(status: u32) -> String {
    let name = match status {
        0x0000_0005 => "ERROR_ACCESS_DENIED",
        0x0000_06F7 => "RPC_X_BAD_STUB_DATA",
        0x0000_0721 => "RPC_S_SEC_PKG_ERROR",
        0x1C01_0002 => "nca_op_rng_error",
        0x1C01_0003 => "nca_unk_if",
        0x1C01_0014 => "nca_server_too_busy",
        0x1C00_0001 => "nca_s_fault_int_div_by_zero",
        0x1C00_0002 => "nca_s_fault_addr_error",
        0x1C00_0009 => "nca_s_fault_invalid_tag",
        0x1C00_000B => "nca_proto_error",
        0x1C00_000D => "nca_s_fault_cancel",
        0x1C00_0012 => "nca_s_fault_unspec",
        0x1C00_001A => "nca_s_fault_context_mismatch",
        other => return format!("0x{other:08X}"),
    };
    name.to_owned()
}
