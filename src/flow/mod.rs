//! Flow stage: segments in, the life of every connection out.
//!
//! Takes:  [`SegmentBatch`](crate::decode::SegmentBatch)es
//! Gives:  [`Observed`]: the octets of each direction in order, and a [`FlowRecord`] when a flow has ended
//! Never:  reads an application's protocol; judges what hurts a user (that is `detect`)

mod account;
mod clock;
mod connection;
mod half;
mod ipid;
pub mod labels;
mod lone;
pub mod order;
pub mod reassembly;
mod record;
mod reuse;
mod rounds;
mod rtt;
mod series;
pub mod share;
mod table;
mod vantage;

pub use lone::Lone;
pub use record::*;
pub use series::{Line, Moment, Point, PointKind, Series, Way};
pub use table::{FlowTable, Limits};

use crate::net::{Direction, FrameNo, Timestamp};

/// Number of a flow, from 0 in the order of the file: by its first segment, or by the first ICMP error that quotes one. Never reused; a flow
/// that was quoted and never seen leaves its number out.
pub type FlowIndex = u64;

/// What was made of a segment at sight, where it is neither new octets nor a bare acknowledgement. What became clear later stands
/// in the [`FlowRecord`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Judged {
    /// Octets sent before.
    Repeat(Trigger),
    /// An original that came late.
    Reordered,
    /// A copy of this frame, made by the network or by the capture.
    Copy(Option<FrameNo>),
    /// A keep-alive.
    KeepAlive,
    /// A probe of a closed window.
    WindowProbe,
    /// Fits no window.
    Outside,
}

/// What the flow stage tells the stages after it, in the order in which it came about.
#[derive(Debug)]
pub enum Observed {
    /// The first octets of a flow are about to come.
    Opened {
        /// The flow.
        flow: FlowIndex,
        /// Its place in the table: small, and reused after [`Observed::Closed`].
        slot: u32,
        /// Port of the client.
        client_port: u16,
        /// Port of the server.
        server_port: u16,
        /// Frame and time of the end of its handshake, where the capture has one.
        connected: Option<(FrameNo, Timestamp)>,
    },
    /// Octets of one direction became readable in order, or a hole was given up.
    Chunk(Chunk),
    /// The peer acknowledged all octets below `upto`.
    Acked {
        /// The flow.
        flow: FlowIndex,
        /// Its place in the table.
        slot: u32,
        /// Direction whose octets are acknowledged.
        direction: Direction,
        /// First octet not acknowledged, counted as [`Chunk::offset`] is.
        upto: u64,
        /// When.
        time: Timestamp,
    },
    /// A flow has ended, or was given up; nothing more of it comes.
    Closed {
        /// Its place in the table; `u32::MAX` for a SYN that never had one.
        slot: u32,
        /// Its life.
        life: Life,
        /// The number that a flow would have which began as this one ended: tells in what order flows of several tables ended.
        at: u64,
    },
}

/// The life of a flow that has ended.
#[derive(Debug)]
pub enum Life {
    /// As it is told.
    Told(Box<FlowRecord>),
    /// Of a SYN, and nothing more.
    Syn(Box<Lone>),
}

impl Life {
    /// Its number.
    #[must_use]
    pub const fn index(&self) -> FlowIndex {
        match self {
            Self::Told(record) => record.index,
            Self::Syn(lone) => lone.index,
        }
    }

    /// All that is to be told.
    #[must_use]
    pub fn record(self) -> Box<FlowRecord> {
        match self {
            Self::Told(record) => record,
            Self::Syn(lone) => Box::new(lone.record()),
        }
    }
}

/// Part of one direction's octet stream, in order and without overlap.
#[derive(Debug)]
pub struct Chunk {
    /// The flow.
    pub flow: FlowIndex,
    /// Its place in the table.
    pub slot: u32,
    /// Which way the octets went.
    pub direction: Direction,
    /// Offset of the first octet from the first sequence number seen: the first octet after a SYN is 1, the first of a
    /// flow whose start is missing 0.
    pub offset: u64,
    /// Frame that carried the first of the octets (its first copy). For a gap: the frame after it.
    pub frame: FrameNo,
    /// When that frame was captured.
    pub sent: Timestamp,
    /// When the octets became readable in order: later than `sent` where they had to wait for a repair.
    pub readable: Timestamp,
    /// The octets.
    pub data: ChunkData,
}

/// The octets of a [`Chunk`].
#[derive(Debug)]
pub enum ChunkData {
    /// They lie in the batch being worked on.
    InBatch(crate::decode::OctetRef),
    /// They had to wait, and were kept.
    Kept(Box<[u8]>),
    /// So many octets are missing here: never captured, cut by the snap length, or given up.
    Gap(u64),
}
