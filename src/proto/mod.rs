//! Protocol stage: octets of a flow in order in, the dialog of its application out.
//!
//! Takes:  [`Chunk`](crate::flow::Chunk)s and acknowledgements of one flow
//! Gives:  [`DialogRecord`]s: what was said, when, and how long each answer took
//! Never:  keeps passwords or message bodies; judges
//!
//! [`dialog`] opens a flow: it looks at the first octets and hands them to the parser that knows them. A new protocol is one line in
//! the table of `recognise.rs`.

pub mod dcerpc;
mod exchanges;
pub mod netbios;
mod octets;
mod recognise;
pub mod smb;
pub mod smtp;
pub mod tls;
mod turns;

pub use recognise::{Ports, dialog, dialog_showing_addresses};

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::flow::FlowRecord;
use crate::net::{Direction, FrameNo, Timestamp};

/// Octets of one direction as handed to a [`Dialog`].
#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    /// Which way they went.
    pub direction: Direction,
    /// Offset of the first octet in its direction.
    pub offset: u64,
    /// Frame that carried the first of them.
    pub frame: FrameNo,
    /// When that frame was captured.
    pub sent: Timestamp,
    /// When they became readable in order.
    pub readable: Timestamp,
    /// The octets, or `Err(n)`: so many are missing here.
    pub octets: Result<&'a [u8], u64>,
}

/// What a dialog wants of its flow from here on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Interest {
    /// Go on handing over octets.
    Continue,
    /// Nothing more: not this protocol, or nothing more to learn.
    Nothing,
}

/// A parser of one protocol on one flow. Never panics; survives gaps; everything in it that grows has a limit.
pub trait Dialog: Send {
    /// The next octets, or a gap.
    fn piece(&mut self, piece: Piece<'_>) -> Interest;

    /// The peer acknowledged everything below `upto` of `direction`, counted as [`Piece::offset`] is.
    fn acked(&mut self, direction: Direction, upto: u64, time: Timestamp);

    /// When the connection came to be: the end of its handshake, at any time before [`finish`](Self::finish). Not called where the
    /// capture has no handshake.
    fn connected(&mut self, frame: FrameNo, time: Timestamp) {
        let _ = (frame, time);
    }

    /// The flow has ended; `reset` tells whether by RST.
    fn finish(self: Box<Self>, ended: Timestamp) -> DialogRecord;

    /// A copy of it, to be finished while it goes on itself: what is known so far.
    fn copy(&self) -> Box<dyn Dialog>;

    /// Octets of memory that it holds, about.
    fn held(&self) -> usize;
}

/// Octets that so many things take up in memory, about, each with a short text of its own.
pub(crate) const fn room<T>(things: usize) -> usize {
    things * (size_of::<T>() + 32)
}

impl Clone for Box<dyn Dialog> {
    fn clone(&self) -> Self {
        (**self).copy()
    }
}

/// A line of evidence: what a frame says in the words of its protocol. Text may be hostile; it holds no secrets and no addresses
/// of mail users.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// Frame that carries its first octet.
    pub frame: FrameNo,
    /// When.
    pub time: Timestamp,
    /// Which way.
    pub direction: Direction,
    /// Offset of its first octet in that direction, and length.
    pub offset: u64,
    /// Octets.
    pub octets: u64,
    /// `EHLO mail.example`, `250-mail.example Hello [192.0.2.1]`, `NEGOTIATE response NT LM 0.12`, …
    pub text: String,
}

/// What was understood of the application's dialog on one flow.
#[derive(Clone, Debug, Default)]
pub struct DialogRecord {
    /// `smtp`, `smb`, `tls`, `dcerpc`, `unknown`, …
    pub application: &'static str,
    /// Lines of evidence, in order, at most some hundred.
    pub said: Vec<Said>,
    /// SMTP in depth.
    pub smtp: Option<Box<SmtpRecord>>,
    /// SMB in depth.
    pub smb: Option<Box<SmbRecord>>,
    /// DCE/RPC in depth.
    pub rpc: Option<Box<dcerpc::RpcRecord>>,
    /// Requests and their answers, whatever the protocol: for `server.slow`. At most 10,000.
    pub exchanges: Vec<Exchange>,
}

impl DialogRecord {
    /// Whether it has no room for more exchanges, so that later ones lack. Of SMB and DCE/RPC the slowest are kept, however many there are.
    #[must_use]
    pub fn is_full(&self) -> bool {
        let keeps_slowest = self.smb.is_some() || self.rpc.is_some();
        let most = match self.smtp {
            Some(_) => exchanges::MAX_EXCHANGES,
            None => turns::MAX_EXCHANGES,
        };
        !keeps_slowest && self.exchanges.len() >= most
    }

    /// Tells the network's share of each wait with what TCP knows of the flow: to be done once both are known.
    pub fn settle_network(&mut self, flow: &FlowRecord) {
        if let Some(smtp) = &mut self.smtp {
            smtp.settle_network(flow);
        }
    }
}

/// A request and its answer.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// Command, as in the protocol.
    pub name: Cow<'static, str>,
    /// Frame of the request, time of its last octet.
    pub request_frame: FrameNo,
    /// When its last octet was captured first.
    pub requested: Timestamp,
    /// When the peer's ACK covered it; `None` if that was not seen before the answer.
    pub acked: Option<Timestamp>,
    /// Frame and time of the answer's first octet; `None`: never answered.
    pub answer_frame: Option<FrameNo>,
    /// When its first octet was captured.
    pub answered: Option<Timestamp>,
    /// Who was asked: the direction of the request.
    pub direction: Direction,
}

/// Least, median, 95th percentile, largest and sum of some durations.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct DurationStats {
    /// How many.
    pub count: u64,
    /// Least.
    pub min: Duration,
    /// Median.
    pub median: Duration,
    /// 95th percentile.
    pub p95: Duration,
    /// Largest.
    pub max: Duration,
    /// Sum.
    pub sum: Duration,
}

/// An SMTP dialog (RFC 5321).
#[derive(Clone, Debug, Default)]
pub struct SmtpRecord {
    /// Text of the 220 reply (hostile).
    pub banner: Option<String>,
    /// Keywords of the EHLO reply.
    pub capabilities: Vec<String>,
    /// `none`, `starttls` or `implicit`.
    pub tls: &'static str,
    /// Commands by verb, upper case.
    pub commands: BTreeMap<Cow<'static, str>, u64>,
    /// Replies by code.
    pub replies: BTreeMap<u16, u64>,
    /// Time by phase, in the order of [`SmtpPhase`]; the share that was network from 0 to 1.
    pub phases: Vec<(SmtpPhase, DurationStats, Option<f64>)>,
    /// The waits that phases are made of, at most 5,000 of each.
    pub spans: BTreeMap<SmtpPhase, Vec<smtp::phases::SmtpSpan>>,
    /// Messages, at most 1,000.
    pub messages: Vec<SmtpMessage>,
    /// Replies of class 4 and 5: at most 1,000.
    pub refusals: Vec<SmtpRefusal>,
    /// Each timed step, at most 5,000: for the signatures.
    pub steps: Vec<SmtpStep>,
    /// Phase in which the dialog stood when the flow ended.
    pub last_phase: Option<SmtpPhase>,
    /// Name that the client gave in EHLO or HELO (hostile).
    pub client_name: Option<String>,
    /// Name that the server gave (hostile).
    pub server_name: Option<String>,
    /// Whether AUTH or X-EXPS succeeded.
    pub authenticated: bool,
    /// Whether the dialog ended with QUIT and its reply.
    pub orderly: bool,
    /// TLS handshake failed: an alert's description.
    pub tls_alert: Option<String>,
    /// Steps, messages, refusals and verbs that were not kept because there were too many.
    pub omitted: u64,
}

/// Phases of an SMTP dialog, in the order in which they come.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum SmtpPhase {
    /// Connection up to the 220.
    Greeting,
    /// EHLO or HELO.
    Ehlo,
    /// STARTTLS and the TLS handshake.
    Tls,
    /// AUTH.
    Auth,
    /// MAIL FROM.
    Mail,
    /// RCPT TO.
    Rcpt,
    /// DATA to the 354.
    Data,
    /// The message's octets.
    Transfer,
    /// End of data to its reply.
    EndOfData,
    /// QUIT.
    Quit,
    /// Reply to the next command: the client thinks.
    Client,
}

impl SmtpPhase {
    /// Its name in reports, and in the conditions of rules.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Greeting => "greeting",
            Self::Ehlo => "ehlo",
            Self::Tls => "tls",
            Self::Auth => "auth",
            Self::Mail => "mail",
            Self::Rcpt => "rcpt",
            Self::Data => "data",
            Self::Transfer => "transfer",
            Self::EndOfData => "end_of_data",
            Self::Quit => "quit",
            Self::Client => "client",
        }
    }
}

/// One command and its reply.
#[derive(Clone, Debug)]
pub struct SmtpStep {
    /// Phase.
    pub phase: SmtpPhase,
    /// Command verb, upper case; `CONNECT` for the greeting, `.` for the end of data.
    pub verb: Cow<'static, str>,
    /// Frame and time of the command's last octet.
    pub frame: FrameNo,
    /// When.
    pub sent: Timestamp,
    /// When the peer's ACK covered it.
    pub acked: Option<Timestamp>,
    /// Reply code, enhanced status code and the start of its text (hostile).
    pub code: Option<u16>,
    /// Enhanced status code (RFC 3463).
    pub enhanced: Option<[u16; 3]>,
    /// Start of the text.
    pub text: String,
    /// Frame of the reply.
    pub reply_frame: Option<FrameNo>,
    /// When the reply's first octet was captured.
    pub replied: Option<Timestamp>,
    /// Whether the step is inferred from the pattern of TLS records rather than read.
    pub inferred: bool,
}

/// One mail transaction.
#[derive(Clone, Debug)]
pub struct SmtpMessage {
    /// MAIL FROM.
    pub start: Timestamp,
    /// Octets of the message.
    pub octets: u64,
    /// Recipients accepted.
    pub recipients: u32,
    /// Whether it was taken; `None` where the reply was not seen.
    pub accepted: Option<bool>,
    /// MAIL FROM to the reply to the end of data.
    pub length: Duration,
    /// First octet of the message to its last.
    pub transfer: Duration,
    /// Phase that took longest.
    pub slowest_phase: SmtpPhase,
    /// `Received:` fields of its head, the newest first, as far as it was sent in the clear; at most 32. The delay of a hop is the
    /// difference of two neighbours' times, by two hosts' clocks.
    pub hops: Vec<smtp::records::Hop>,
}

/// A reply of class 4 or 5.
#[derive(Clone, Debug)]
pub struct SmtpRefusal {
    /// Frame.
    pub frame: FrameNo,
    /// When.
    pub time: Timestamp,
    /// Verb that it answers; `CONNECT` at the greeting; empty where unasked.
    pub verb: String,
    /// Code.
    pub code: u16,
    /// Enhanced status code.
    pub enhanced: Option<[u16; 3]>,
    /// Start of its text (hostile), mail addresses taken out.
    pub text: String,
}

/// An SMB dialog.
#[derive(Clone, Debug, Default)]
pub struct SmbRecord {
    /// `NT LM 0.12`, `2.0.2`, `3.1.1`, …; `None` where the negotiation was not seen.
    pub dialect: Option<String>,
    /// Whether messages are signed.
    pub signing: Option<bool>,
    /// Whether they are encrypted.
    pub encrypted: Option<bool>,
    /// Most requests under way at once.
    pub max_outstanding: u64,
    /// Credits that the server granted at most at one time.
    pub max_credits: Option<u64>,
    /// How long the client had work and no credit.
    pub credit_starved: Duration,
    /// By command name of MS-SMB2 or MS-CIFS, upper case.
    pub commands: BTreeMap<String, SmbCommand>,
    /// Octets per READ and WRITE: (count, mean).
    pub io_size: Option<(u64, f64)>,
    /// Mean requests under way while any was.
    pub mean_outstanding: f64,
    /// Name of the server as given in NTLM or the tree connect (hostile).
    pub server_name: Option<String>,
    /// Version of the server's operating system as NTLM tells it: major, minor, build.
    pub server_version: Option<(u8, u8, u16)>,
    /// `NTLM` or `Kerberos`; `None` where the logon was not seen.
    pub authentication: Option<&'static str>,
    /// Cipher that both agreed on: `AES-128-GCM`, …
    pub cipher: Option<&'static str>,
    /// Whether they agreed on compression.
    pub compression: bool,
    /// Most octets of a READ that the server takes.
    pub max_read: Option<u32>,
    /// Most octets of a WRITE.
    pub max_write: Option<u32>,
    /// Whether the server offers several channels to one session.
    pub multichannel_offered: bool,
    /// Whether this connection was bound to a session as a further channel.
    pub multichannel_bound: bool,
    /// Durable handles taken up again after a loss of connection.
    pub durable_reconnects: u64,
    /// Sessions set up in place of one that was lost.
    pub sessions_replaced: u64,
    /// Oplock and lease breaks that the server announced.
    pub breaks: u64,
    /// How long the client took to acknowledge them.
    pub break_waits: DurationStats,
    /// Encrypted messages, timed by their order alone (inferred); `None` where there were none.
    pub sealed: Option<SmbCommand>,
    /// Times that the boundary of messages was lost: gaps, or octets that are no SMB.
    pub places_lost: u64,
    /// Elements of messages that could not be read, or were too many.
    pub units_omitted: u64,
    /// Requests that were given up because too many were under way.
    pub requests_forgotten: u64,
}

/// One SMB command on one flow.
#[derive(Clone, Debug, Default)]
pub struct SmbCommand {
    /// Response times; interim responses do not end them.
    pub times: DurationStats,
    /// Never answered.
    pub unanswered: u64,
    /// Errors by name.
    pub errors: BTreeMap<String, u64>,
    /// First frame with each error, for evidence.
    pub error_frames: BTreeMap<String, FrameNo>,
    /// Interim responses (STATUS_PENDING).
    pub interim: u64,
    /// Request and response that were furthest apart.
    pub slowest: Option<(FrameNo, FrameNo)>,
}
