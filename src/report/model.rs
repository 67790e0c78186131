//! The report as data: what every format renders, and what `--format json` prints as it stands.
//!
//! Times are seconds; timestamps seconds since the epoch; octets and segments integers. What was not seen is `null`,
//! never 0. Frame numbers count from 1 in each file. Fields are added, never renamed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::beside::Beside;
pub use super::epoch::Epoch;
pub use super::few::Few;

/// Name of this shape of the report.
pub const SCHEMA: &str = "tcptriage.report/1";

/// Everything that a run found out.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Report {
    /// Always [`SCHEMA`].
    pub schema: &'static str,
    /// What was read.
    pub captures: Vec<Capture>,
    /// Sums over all captures.
    pub totals: Totals,
    /// What is wrong, worst first.
    pub findings: Vec<Finding>,
    /// What to do, in order of rank.
    pub remediations: Vec<Remedy>,
    /// In one word and one sentence.
    pub verdict: Verdict,
    /// Names of hosts, by address, as far as the captures told them.
    pub names: BTreeMap<String, String>,
    /// Who sends how much mail to whom; absent where nobody spoke SMTP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mail: Option<Mail>,
    /// How servers of one port share its load, the busiest port first; at most 20, of those that two servers or more were asked for. All
    /// flows count, listed or not.
    pub services: Vec<Service>,
    /// What was left out, could not be joined, or was given up, in sentences.
    pub notes: Vec<String>,
    /// The flows; all of them up to 100,000, beyond that those with findings and the longest-lived.
    pub flows: Vec<Flow>,
    /// What graphs are drawn of, where a format with graphs is wanted; in no other.
    #[serde(skip)]
    pub plots: Vec<super::plot::Plot>,
    /// What a comparison or a verification adds.
    #[serde(skip)]
    pub beside: Beside,
}

/// What the SMTP dialogs that are listed say together.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Mail {
    /// By client and server, the busiest first; at most 200.
    pub pairs: Vec<MailPair>,
    /// By the hosts that wrote two `Received:` fields in a row, the busiest first; at most 200.
    pub hops: Vec<HopDelay>,
}

/// What one client sends to one server.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct MailPair {
    /// Address.
    pub client: String,
    /// Address and port.
    pub server: String,
    /// Connections.
    pub connections: u64,
    /// Messages sent whole.
    pub messages: u64,
    /// Of these, taken.
    pub accepted: u64,
    /// Replies of class 4 and 5.
    pub refusals: u64,
    /// Recipients accepted.
    pub recipients: u64,
    /// Octets of the messages.
    pub octets: u64,
    /// Messages by connections.
    pub messages_per_connection: f64,
    /// Connections that began, a minute, between the first and the last such start; `None` of one, or of several at one moment.
    pub connections_per_minute: Option<f64>,
}

/// How long messages took from one host to the next, by both hosts' own clocks.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct HopDelay {
    /// Host that had the message (hostile).
    pub from: String,
    /// Host that took it (hostile).
    pub by: String,
    /// Messages.
    pub messages: u64,
    /// Seconds.
    pub min: i64,
    /// Seconds.
    pub median: i64,
    /// Seconds.
    pub max: i64,
    /// A message arrived before it was sent: the clocks of the two differ, and no delay here can be believed.
    pub clocks_differ: bool,
}

/// What the servers of one port were asked for, and which of them how much.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Service {
    /// What most of its connections spoke: `smtp`; `unknown` where none could be told.
    pub service: String,
    /// TCP port.
    pub port: u16,
    /// Servers that were asked for it, listed or not.
    pub servers_in_all: u64,
    /// Connections to all of them.
    pub connections: u64,
    /// Mail sent whole to all of them, at most 1,000 messages of a connection; `null` where nobody spoke SMTP.
    pub messages: Option<u64>,
    /// Payload both ways, without repeats, of all of them.
    pub octets: u64,
    /// When the first step of what is `in_time` begins.
    pub start: Epoch,
    /// How long a step is.
    pub step_seconds: u64,
    /// The servers, those with most connections first; at most 64.
    pub servers: Vec<ServerLoad>,
}

/// What one server was asked for.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ServerLoad {
    /// Address.
    pub server: String,
    /// Connections.
    pub connections: u64,
    /// Of these, refused or not answered.
    pub failed: u64,
    /// Of these, that ended in a reset.
    pub reset: u64,
    /// How long a connection lasted, as a mean.
    pub mean_seconds: f64,
    /// As of the service.
    pub messages: Option<u64>,
    /// As of the service.
    pub octets: u64,
    /// Step by step.
    pub in_time: LoadInTime,
}

/// A server's load, one number for each step of its service: at most 60.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct LoadInTime {
    /// Connections that began in the step.
    pub connections: Vec<u64>,
    /// Messages that began in it.
    pub messages: Option<Vec<u64>>,
    /// Octets of the connections that began in it, to their end.
    pub octets: Vec<u64>,
}

/// One capture.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Capture {
    /// As given.
    pub path: String,
    /// `pcap`, `pcapng+gzip`, …
    pub format: String,
    /// Names of the link types.
    pub link_types: Vec<String>,
    /// Frames read.
    pub frames: u64,
    /// Their captured octets.
    pub octets: u64,
    /// Time of the first frame.
    pub first: Option<Epoch>,
    /// Latest time.
    pub last: Option<Epoch>,
    /// Frames cut by the snap length.
    pub truncated_frames: u64,
    /// Frames that could not be decoded.
    pub undecoded_frames: u64,
    /// Why not: reason, frames, first frame.
    pub undecoded: Vec<Undecoded>,
    /// Frames that the capturing system dropped, where it says so.
    pub dropped_by_capture: Option<u64>,
    /// Frames left out of all counts as they were seen twice: copies that the capture made, and what another capture shows as well.
    pub duplicates_removed: u64,
    /// Of these, TCP segments whose connection was followed in another capture of it.
    pub seen_twice: u64,
    /// What was wrong with the file.
    pub problems: Vec<Problem>,
    /// Comments that the file carries.
    pub comments: Vec<Problem>,
}

/// Frames that could not be decoded for one reason.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Undecoded {
    /// The reason.
    pub reason: String,
    /// How many.
    pub frames: u64,
    /// The first of them.
    pub first_frame: u64,
}

/// Something wrong with a capture.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Problem {
    /// Frame concerned, `null` for the file.
    pub frame: Option<u64>,
    /// A sentence.
    pub text: String,
}

/// Sums.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Totals {
    /// Flows seen.
    pub flows: u64,
    /// Flows not listed.
    pub flows_omitted: u64,
    /// Frames.
    pub frames: u64,
    /// Octets.
    pub octets: u64,
    /// TCP segments as captured.
    pub tcp_segments: u64,
}

/// One flow.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Flow {
    /// Equals Wireshark's `tcp.stream` when one file is read.
    pub index: u64,
    /// Index of its capture.
    pub capture: u32,
    /// `ip:port`.
    pub client: String,
    /// `ip:port`.
    pub server: String,
    /// VLANs and tunnels around it, in words.
    pub encapsulation: Option<String>,
    /// `smtp`, `smb`, `tls`, `unknown`, …
    pub application: &'static str,
    /// First frame.
    pub first_frame: u64,
    /// Last frame.
    pub last_frame: u64,
    /// Index of the capture that holds it: another than `capture` where a flow goes on over files of a rotated set.
    pub last_capture: u32,
    /// Time of the first segment.
    pub start: Epoch,
    /// Last minus first.
    pub duration: f64,
    /// How it was opened.
    pub handshake: Handshake,
    /// `fin`, `reset`, `open`, `refused`, `unanswered`.
    pub end: &'static str,
    /// `client`, `server`.
    pub ended_by: Option<&'static str>,
    /// `client`, `server`, `middle`, `unknown`.
    pub vantage: &'static str,
    /// Why so.
    pub vantage_basis: &'static str,
    /// One direction.
    pub client_to_server: Box<Half>,
    /// The other.
    pub server_to_client: Box<Half>,
    /// The whole life of the flow.
    pub time: Vec<TimeShare>,
    /// SMTP in depth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smtp: Option<Box<Smtp>>,
    /// SMB in depth.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smb: Option<Box<Smb>>,
    /// DCE/RPC, where it was spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpc: Option<Box<Rpc>>,
    /// Copies that the capture made, left out of all counts.
    pub capture_duplicates: u64,
    /// Frames whose payload the snap length cut.
    pub truncated_frames: u64,
    /// Segments whose time lay before that of an earlier one.
    pub disordered_segments: u64,
    /// Given up before its end because the table was full.
    pub given_up: bool,
}

/// How a flow was opened.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Handshake {
    /// All three segments seen.
    pub complete: bool,
    /// SYNs sent again.
    pub syn_retries: u32,
    /// Seconds.
    pub rtt: Option<f64>,
    /// The part towards the client.
    pub to_client: Option<f64>,
    /// The part towards the server.
    pub to_server: Option<f64>,
}

/// One direction of a flow.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Half {
    /// Frames captured.
    pub frames: u64,
    /// Payload as sent, repeats included.
    pub octets: u64,
    /// Payload without repeats.
    pub unique_octets: u64,
    /// Wire segments with payload.
    pub data_segments: u64,
    /// Those that repeat octets.
    pub retransmitted_segments: u64,
    /// Their whole payload.
    pub retransmitted_octets: u64,
    /// By trigger.
    pub retransmissions: Retransmissions,
    /// Network reordering.
    pub out_of_order_segments: u64,
    /// Copies made by the network.
    pub network_duplicates: u64,
    /// Acknowledged, never captured.
    pub unseen_octets: u64,
    /// Plainly wrong.
    pub bad_checksums: u64,
    /// Left for the adapter.
    pub unfilled_checksums: u64,
    /// Bad or unfilled, and never acknowledged.
    pub unacked_bad_checksum_segments: u64,
    /// RFC 5681 section 2.
    pub duplicate_acks: u64,
    /// Times that this end shut its window.
    pub zero_windows: u64,
    /// For how long.
    pub zero_window_seconds: f64,
    /// Shift offered.
    pub window_scale: Option<u8>,
    /// Offered.
    pub mss: Option<u16>,
    /// Offered.
    pub sack_permitted: Option<bool>,
    /// Round trip from data to its ACK.
    pub rtt: Option<Rtt>,
    /// Bits a second.
    pub goodput_bps: Option<Goodput>,
    /// Silences.
    pub stalls: Vec<Stall>,
}

/// Retransmitted segments by trigger; spurious ones are counted there alone.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Retransmissions {
    /// Duplicate ACKs, SACK, RACK.
    pub fast: u64,
    /// The timer.
    pub timeout: u64,
    /// Tail loss probe.
    pub tail_probe: u64,
    /// Needless.
    pub spurious: u64,
    /// Not told.
    pub unknown: u64,
}

/// Seconds.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Rtt {
    /// Samples.
    pub samples: u64,
    /// Least.
    pub min: f64,
    /// Median.
    pub median: f64,
    /// 95th percentile.
    pub p95: f64,
    /// Largest.
    pub max: f64,
}

/// Bits a second.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Goodput {
    /// Mean.
    pub mean: f64,
    /// Best second.
    pub peak: f64,
    /// Worst second.
    pub worst: f64,
}

/// A silence.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Stall {
    /// When.
    pub start: Epoch,
    /// How long.
    pub seconds: f64,
    /// Why.
    pub cause: &'static str,
    /// Frame that ended it.
    pub frame: u64,
    /// Index of its capture.
    pub capture: u32,
}

/// Seconds spent on one cause.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TimeShare {
    /// The cause.
    pub cause: &'static str,
    /// Seconds.
    pub seconds: f64,
}

/// An SMTP dialog.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Smtp {
    /// Text of the 220.
    pub banner: Option<String>,
    /// EHLO keywords.
    pub capabilities: Vec<String>,
    /// `none`, `starttls`, `implicit`.
    pub tls: &'static str,
    /// By verb.
    pub commands: Few<Cow<'static, str>, u64>,
    /// By code.
    pub replies: Few<u16, u64>,
    /// By phase.
    pub phases: Few<&'static str, Phase>,
    /// Mail transactions.
    pub messages: Vec<Message>,
    /// Replies of class 4 and 5.
    pub refusals: Vec<Refusal>,
    /// Name that the client gave.
    pub client_name: Option<String>,
    /// Name that the server gave.
    pub server_name: Option<String>,
}

/// Time spent in one phase.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Phase {
    /// How often.
    pub count: u64,
    /// Seconds.
    pub min: f64,
    /// Seconds.
    pub median: f64,
    /// Seconds.
    pub max: f64,
    /// Seconds.
    pub sum: f64,
    /// Share of the sum that the network took, 0 to 1.
    pub network_share: Option<f64>,
}

/// A mail transaction.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Message {
    /// MAIL FROM.
    pub start: Epoch,
    /// Size.
    pub octets: u64,
    /// Accepted recipients.
    pub recipients: u32,
    /// Taken?
    pub accepted: Option<bool>,
    /// Seconds.
    pub seconds: f64,
    /// Longest phase.
    pub slowest_phase: &'static str,
    /// Its octets over the time from the first to the last of them; `None` where one frame held all.
    pub bps: Option<f64>,
    /// Its `Received:` fields, the newest first, where it was sent in the clear.
    pub hops: Vec<Hop>,
}

/// A host that a message had come through, as it says itself.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Hop {
    /// Host that took the message.
    pub by: Option<String>,
    /// Host that it took it from.
    pub from: Option<String>,
    /// When, by its own clock, to the second.
    pub time: Option<i64>,
    /// Seconds from the hop before it. Two hosts' clocks are in it: one below zero proves that they differ.
    pub delay: Option<i64>,
}

/// A reply of class 4 or 5.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Refusal {
    /// Frame.
    pub frame: u64,
    /// Index of its capture.
    pub capture: u32,
    /// When.
    pub time: Epoch,
    /// Verb that it answers; `CONNECT` at the greeting; empty where unasked.
    pub verb: String,
    /// Reply code.
    pub code: u16,
    /// Enhanced status code: `4.4.2`.
    pub enhanced: Option<String>,
    /// Start of its text.
    pub text: String,
    /// What such a reply means; `None` where it is in no table.
    pub meaning: Option<&'static str>,
}

/// An SMB dialog.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Smb {
    /// Negotiated dialect.
    pub dialect: Option<String>,
    /// Signed?
    pub signing: Option<bool>,
    /// Encrypted?
    pub encrypted: Option<bool>,
    /// Most requests under way.
    pub max_outstanding: u64,
    /// Seconds without a credit.
    pub credit_starved_seconds: f64,
    /// By command.
    pub commands: Few<String, SmbCommand>,
    /// Name that the server gave.
    pub server_name: Option<String>,
    /// Mean octets of a READ or WRITE.
    pub mean_io_octets: Option<f64>,
    /// Mean requests under way, while any was.
    pub mean_outstanding: f64,
    /// Most credits that the client held.
    pub max_credits: Option<u64>,
    /// `NTLM`, `Kerberos`.
    pub authentication: Option<&'static str>,
    /// `AES-128-GCM`, …
    pub cipher: Option<&'static str>,
    /// Whether both agreed on compression.
    pub compression: bool,
    /// Whether this connection is a further channel of a session.
    pub multichannel: bool,
    /// Durable handles taken up again.
    pub durable_reconnects: u64,
    /// Oplock and lease breaks that the server announced, and seconds that it waited for the client's word in all.
    pub breaks: u64,
    /// Seconds.
    pub break_wait_seconds: f64,
    /// Encrypted requests, told and timed by their order alone: inferred.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encrypted_requests: Option<SmbCommand>,
}

/// A DCE/RPC dialog.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Rpc {
    /// Interfaces that the client asked for.
    pub interfaces: Vec<RpcInterface>,
    /// Binds refused as a whole.
    pub binds_refused: u64,
    /// Most calls under way.
    pub max_outstanding: u64,
    /// By interface and operation: name or number.
    pub operations: Few<String, RpcOperation>,
}

/// An interface of DCE/RPC.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RpcInterface {
    /// UUID.
    pub uuid: String,
    /// `EMSMDB`, `NSPI`, …
    pub name: Option<&'static str>,
    /// Whether the server took the bind.
    pub accepted: Option<bool>,
}

/// An operation of DCE/RPC.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RpcOperation {
    /// Answered, faults included.
    pub count: u64,
    /// Never answered.
    pub unanswered: u64,
    /// By status.
    pub faults: Few<String, u64>,
    /// Seconds.
    pub min: Option<f64>,
    /// Seconds.
    pub median: Option<f64>,
    /// Seconds.
    pub p95: Option<f64>,
    /// Seconds.
    pub max: Option<f64>,
    /// Seconds.
    pub sum: Option<f64>,
}

/// One SMB command.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct SmbCommand {
    /// Answered.
    pub count: u64,
    /// Never answered.
    pub unanswered: u64,
    /// By NTSTATUS name.
    pub errors: Few<String, u64>,
    /// Seconds.
    pub min: Option<f64>,
    /// Seconds.
    pub median: Option<f64>,
    /// Seconds.
    pub p95: Option<f64>,
    /// Seconds.
    pub max: Option<f64>,
    /// Seconds.
    pub sum: Option<f64>,
}

/// A symptom, judged.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Finding {
    /// Id of the symptom.
    pub id: String,
    /// `info`, `warning`, `critical`.
    pub severity: &'static str,
    /// 0 to 1.
    pub confidence: f64,
    /// One sentence.
    pub summary: String,
    /// Hosts concerned.
    pub hosts: Vec<String>,
    /// The host at fault or suspected, where one is.
    pub subject: Option<String>,
    /// The host at the other end, where it is one.
    pub peer: Option<String>,
    /// Flows concerned.
    pub flows: Vec<u64>,
    /// When it began.
    pub start: Epoch,
    /// When it ended.
    pub end: Epoch,
    /// What it cost.
    pub seconds_lost: Option<f64>,
    /// Proof.
    pub evidence: Vec<Evidence>,
    /// What speaks against it.
    pub against: Vec<String>,
    /// Wireshark display filter.
    pub display_filter: String,
    /// Ids of remedies.
    pub remediations: Vec<String>,
}

/// A frame as proof.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Evidence {
    /// Index of the capture.
    pub capture: u32,
    /// Frame number.
    pub frame: u64,
    /// What it shows.
    pub text: String,
}

/// Advice.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Remedy {
    /// Id of the rule.
    pub id: String,
    /// Title.
    pub title: String,
    /// Why here.
    pub why: String,
    /// Commands that confirm.
    pub confirm: Vec<Step>,
    /// Commands that mend.
    pub fix: Vec<Step>,
    /// Commands that take the fix back.
    pub undo: Vec<Step>,
    /// What it may break.
    pub risk: String,
    /// Versions.
    pub applies_to: String,
    /// Documents.
    pub sources: Vec<String>,
    /// Indices into `findings`.
    pub findings: Vec<usize>,
    /// From 1.
    pub rank: usize,
    /// How likely it is that this is the cause, 0 to 1.
    pub likely: f64,
    /// What is not known and makes this a check first.
    pub unknown: Vec<String>,
    /// What speaks against it.
    pub against: Vec<String>,
    /// Where versions are known from.
    pub known: Vec<String>,
}

/// A command.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Step {
    /// Host to type it on.
    pub on: Option<String>,
    /// Only where this holds, which is not known; empty where the step stands as it is.
    pub only_if: String,
    /// What to type.
    pub command: String,
    /// What to expect.
    pub expect: String,
}

/// The whole in one word.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Verdict {
    /// `healthy`, `suspect`, `sick`, `cannot-tell`.
    pub grade: &'static str,
    /// A sentence or two.
    pub text: String,
}
