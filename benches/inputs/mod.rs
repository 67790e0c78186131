//! What the benches read: made of conversations that are the same on every run.
#![allow(dead_code)] // every bench takes a part of it only

use std::net::{IpAddr, Ipv4Addr};

use tcptriage::capture::{BATCH_FRAMES, Frame, FrameBatch, LinkType, Octets};
use tcptriage::decode::{Decoder, SegmentBatch};
use tcptriage::net::{FrameNo, Timestamp};

use crate::support::convo::{C2S, Convo};
use crate::support::scene::{self, Scene};
use crate::support::wire::Host;

/// A host of 10.0.0.0/8.
fn host(n: u32) -> Host {
    Host {
        addr: IpAddr::V4(Ipv4Addr::from(0x0a00_0000 | n)),
        mac: [2, 0, 0, 0, 0, n as u8],
        ttl: 64,
        local: false,
    }
}

/// One client sends `segments` full segments of `octets` to the server, which acknowledges every second one.
pub(crate) fn bulk(segments: usize, octets: usize) -> Vec<scene::Frame> {
    let payload = vec![b'x'; segments * octets];
    let convo = Convo::new()
        .mss(u16::try_from(octets).unwrap_or(u16::MAX))
        .handshake()
        .stream(C2S, &payload);
    let mut scene = Scene::new();
    scene.add(convo);
    scene.frames()
}

/// `flows` clients send `segments` segments each, all at the same time.
pub(crate) fn interleaved(flows: u32, segments: usize) -> Vec<scene::Frame> {
    let payload = vec![b'x'; segments * 1_000];
    let mut scene = Scene::new();
    for n in 0..flows {
        let convo = Convo::between(host(n + 2), 49_152, host(1), 445)
            .mss(1_000)
            .at(i64::from(n) * 97)
            .handshake()
            .stream(C2S, &payload);
        scene.add(convo);
    }
    scene.frames()
}

/// So many SYNs, each from another client, that nobody answers.
pub(crate) fn syn_flood(flows: u32) -> Vec<scene::Frame> {
    let mut scene = Scene::new();
    for n in 0..flows {
        let convo = Convo::between(host(n + 2), 49_152, host(1), 25)
            .at(i64::from(n) * 1_000)
            .syn();
        scene.add(convo);
    }
    scene.frames()
}

/// All frames as one batch.
pub(crate) fn frames(frames: Vec<scene::Frame>) -> FrameBatch {
    let (mut octets, mut listed) = (Vec::new(), Vec::new());
    for (n, frame) in frames.into_iter().enumerate() {
        let start = octets.len();
        octets.extend_from_slice(&frame.octets);
        listed.push(Frame {
            number: FrameNo(n as u64 + 1),
            time: Timestamp(frame.time),
            range: start..octets.len(),
            wire_octets: frame.octets.len() as u32,
            link: LinkType::ETHERNET,
        });
    }
    FrameBatch {
        octets: Octets::Owned(octets),
        frames: listed,
    }
}

/// The frames decoded, in batches as the capture stage makes them.
pub(crate) fn segments(all: Vec<scene::Frame>) -> Vec<SegmentBatch> {
    let mut decoder = Decoder::new(0);
    let mut frame = 0;
    all.chunks(BATCH_FRAMES)
        .map(|part| {
            let mut input = frames(part.to_vec());
            for f in &mut input.frames {
                frame += 1;
                f.number = FrameNo(frame);
            }
            let mut out = SegmentBatch::default();
            decoder.push(&mut input, &mut out);
            out
        })
        .collect()
}
