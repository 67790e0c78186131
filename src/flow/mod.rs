//! Flow stage: segments in, the life of every connection out.
//!
//! Takes:  [`SegmentBatch`](crate::decode::SegmentBatch)es
//! Gives:  [`Observed`]: the octets of each direction in order, and a [`FlowRecord`] when a flow has ended
//! Never:  reads an application's protocol; judges what hurts a user (that is `detect`)

pub mod record;

pub use record::*;

use crate::net::{Direction, FrameNo, StreamOffset, Timestamp};

/// Number of a flow in order of its first segment, from 0; never reused.
pub type FlowIndex = u64;

/// What the flow stage tells the stages after it, in the order in which it came about.
#[derive(Debug)]
pub enum Observed {
    /// A new flow; `ports` of client and server as far as that is known.
    Opened {
        /// The flow.
        flow: FlowIndex,
        /// Port of the client.
        client_port: u16,
        /// Port of the server.
        server_port: u16,
    },
    /// Octets of one direction became readable in order, or a hole was given up.
    Chunk(Chunk),
    /// The peer acknowledged all octets below `upto`.
    Acked {
        /// The flow.
        flow: FlowIndex,
        /// Direction whose octets are acknowledged.
        direction: Direction,
        /// First octet not acknowledged.
        upto: StreamOffset,
        /// When.
        time: Timestamp,
    },
    /// A flow has ended, or was given up; nothing more of it comes.
    Closed(Box<FlowRecord>),
}

/// Part of one direction's octet stream, in order and without overlap.
#[derive(Debug)]
pub struct Chunk {
    /// The flow.
    pub flow: FlowIndex,
    /// Which way the octets went.
    pub direction: Direction,
    /// Offset of the first octet; 0 is the first octet after the SYN, or the first seen where the start is missing.
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
