//! Detect stage: what happened on the flows in, what hurts in out.
//!
//! Takes:  [`FlowRecord`]s with their [`DialogRecord`]s, one by one as flows end
//! Gives:  [`Finding`]s: a symptom, how bad, how sure, with frames as proof and what speaks against it
//! Never:  gives advice (that is `rules`); looks at octets

mod balance;
mod balance_cadence;
mod balance_nlb;
mod capture;
mod checksum;
mod close;
mod connect;
mod host;
mod judge;
mod loss;
mod order;
mod path;
mod server;
mod smb_pipeline;
mod smb_slow;
mod smb_status;
mod smtp_ending;
mod smtp_greeting;
mod smtp_late;
mod smtp_manner;
mod smtp_refusal;
mod smtp_reply;
mod smtp_tls;
mod smtp_use;
mod throughput;
mod trace;
mod wait;
mod window;

pub use judge::{consequences, judge, rank, spoilt};
pub use trace::{FILTER_FLOWS, filter, most_groups, percent, plural, span, times};

use std::net::IpAddr;

use crate::decode::Note;
use crate::flow::order::Order;
use crate::flow::{FlowIndex, FlowRecord};
use crate::net::{FrameRef, Timestamp};
use crate::proto::DialogRecord;

/// One flow, as detectors see it.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// TCP.
    pub flow: &'a FlowRecord,
    /// The application's dialog.
    pub dialog: &'a DialogRecord,
}

/// A detector of one family of symptoms. It sees each flow once, when that has ended, keeps what it needs of it within a
/// limit, and yields what it found. It must not depend on the order of flows beyond their index.
pub trait Detector: Send {
    /// A flow has ended.
    fn flow(&mut self, seen: Seen<'_>, out: &mut Vec<Finding>);

    /// Whether flows of which a lone SYN is all that was seen tell it anything. A flood is made of those, and would fill the groups of
    /// detectors that look at traffic.
    fn minds_lone_syns(&self) -> bool {
        false
    }

    /// A packet that is no TCP segment.
    fn note(&mut self, _note: &Note) {}

    /// In what order the frames of all captures stood; told before the end.
    fn order(&mut self, _order: &Order) {}

    /// What it keeps of hosts, pairs of hosts or the like, up to a limit. Where one is full, what came, or would come, of further ones is
    /// in no finding.
    fn limited(&mut self) -> Vec<&mut dyn Limited> {
        Vec::new()
    }

    /// The captures have ended: what only shows across flows.
    fn finish(&mut self, _out: &mut Vec<Finding>) {}
}

/// Something that a detector keeps up to a limit.
pub trait Limited {
    /// Whether it keeps as much as it may.
    fn is_full(&self) -> bool;

    /// Keeps no more than this share, up to 1, of what it may.
    fn shrink(&mut self, share: f64);
}

/// How much it hurts.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Severity {
    /// Worth knowing; harmless, or made by the capture.
    Info,
    /// Users wait for it.
    Warning,
    /// Work fails or stands still.
    Critical,
}

/// A frame as proof.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Evidence {
    /// Which.
    pub at: FrameRef,
    /// What it shows. May hold text from packets: escape before showing.
    pub text: String,
}

/// A judged symptom.
#[derive(Clone, Debug)]
pub struct Finding {
    /// Id, of those that `src/rules/symptoms/` explains: `storm.retransmission`, …
    pub id: &'static str,
    /// How much it hurts.
    pub severity: Severity,
    /// How sure, 0 to 1: 0.95 and more is proven, from 0.6 likely, from 0.3 possible, below: cannot tell.
    pub confidence: f64,
    /// One sentence with numbers, small initial, no full stop.
    pub summary: String,
    /// The host at fault or suspected, where one is.
    pub subject: Option<IpAddr>,
    /// The host at the other end, where it is one.
    pub peer: Option<IpAddr>,
    /// All hosts concerned.
    pub hosts: Vec<IpAddr>,
    /// Flows concerned, ascending.
    pub flows: Vec<FlowIndex>,
    /// First and last moment.
    pub start: Timestamp,
    /// Last moment.
    pub end: Timestamp,
    /// What it cost users, in seconds; `None` where that cannot be said.
    pub seconds_lost: Option<f64>,
    /// Proof.
    pub evidence: Vec<Evidence>,
    /// What speaks against it, or what could not be known.
    pub against: Vec<String>,
    /// A Wireshark display filter that shows it.
    pub display_filter: String,
    /// Numbers that rules may ask for, by name: `unacknowledged_share`, `repeats`, `rtt_ms`, `port`, …
    pub measures: Vec<(&'static str, f64)>,
    /// Words that rules may ask for: `application` = `smtp`, `reply` = `421 4.3.2 …`, `phase` = `mail`, …
    pub words: Vec<(&'static str, String)>,
}

impl Finding {
    /// One of which nothing else is known yet: of no host, no flow, without proof.
    #[must_use]
    pub const fn new(
        id: &'static str,
        severity: Severity,
        confidence: f64,
        summary: String,
    ) -> Self {
        Self {
            id,
            severity,
            confidence,
            summary,
            subject: None,
            peer: None,
            hosts: Vec::new(),
            flows: Vec::new(),
            start: Timestamp(0),
            end: Timestamp(0),
            seconds_lost: None,
            evidence: Vec::new(),
            against: Vec::new(),
            display_filter: String::new(),
            measures: Vec::new(),
            words: Vec::new(),
        }
    }
}

/// All detectors, fresh. `pools`: servers that share one job, as far as the user names them. `share`: how much they may keep, of what
/// they may where memory is no concern.
#[must_use]
pub fn all(pools: &[(String, Vec<IpAddr>)], share: f64) -> Vec<Box<dyn Detector>> {
    let mut all: Vec<Box<dyn Detector>> = vec![
        Box::<loss::Loss>::default(),
        Box::<checksum::Checksums>::default(),
        Box::<order::Order>::default(),
        Box::<connect::Connect>::default(),
        Box::<close::Closes>::default(),
        Box::<window::Window>::default(),
        Box::<throughput::Throughput>::default(),
        Box::<host::Host>::default(),
        Box::<path::Path>::default(),
        Box::<capture::CaptureFaults>::default(),
        Box::<server::Slow>::default(),
        Box::<smtp_late::LateReplies>::default(),
        Box::<smtp_refusal::Refusals>::default(),
        Box::<smtp_greeting::Greetings>::default(),
        Box::<smtp_ending::Endings>::default(),
        Box::<smtp_use::Use>::default(),
        Box::<smtp_tls::Tls>::default(),
        Box::<smb_slow::Slow>::default(),
        Box::<smb_pipeline::Pipeline>::default(),
        Box::<smb_status::Errors>::default(),
        Box::new(balance::Balance::new(pools)),
        Box::<balance_cadence::Cadence>::default(),
        Box::<balance_nlb::Nlb>::default(),
    ];
    for limited in all.iter_mut().flat_map(|detector| detector.limited()) {
        limited.shrink(share);
    }
    all
}
