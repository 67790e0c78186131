//! Several conversations, put into one capture in the order of their times; the capture as pcap or pcapng octets.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::convo::{Convo, Step};

/// One frame of the capture.
#[derive(Clone, Debug)]
pub struct Frame {
    /// When, in nanoseconds since the epoch.
    pub time: i64,
    /// Its octets.
    pub octets: Vec<u8>,
}

/// What takes part.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    steps: Vec<Step>,
    others: Vec<Frame>,
}

impl Scene {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A conversation.
    pub fn add(&mut self, convo: Convo) {
        self.steps.extend(convo.steps());
    }

    /// A frame that is no TCP.
    pub fn add_frame(&mut self, time: i64, octets: Vec<u8>) {
        self.others.push(Frame { time, octets });
    }

    /// Captured frames with `from <= time < to`.
    pub fn count(&self, from: i64, to: i64) -> usize {
        let within = |time: i64| (from..to).contains(&time);
        let steps = self.steps.iter().filter(|s| s.captured && within(s.time));
        steps.count() + self.others.iter().filter(|f| within(f.time)).count()
    }

    /// The frames in order of time. Each host counts its IPv4 identification up over all its packets, captured or not
    /// (as Windows does), from a start that depends on its address.
    pub fn frames(mut self) -> Vec<Frame> {
        self.steps.sort_by_key(|s| s.time);
        let mut ids: BTreeMap<IpAddr, u16> = BTreeMap::new();
        let mut frames = self.others;
        for step in &self.steps {
            let host = step.packet.from.addr;
            let id = ids.entry(host).or_insert_with(|| start_of_ids(host));
            *id = id.wrapping_add(1);
            if step.captured {
                frames.push(Frame {
                    time: step.time,
                    octets: step.packet.frame(step.ip_id.unwrap_or(*id)),
                });
            }
        }
        frames.sort_by_key(|f| f.time);
        frames
    }
}

fn start_of_ids(host: IpAddr) -> u16 {
    let last = match host {
        IpAddr::V4(a) => a.octets()[3],
        IpAddr::V6(a) => a.octets()[15],
    };
    u16::from(last).wrapping_mul(0x0503)
}

/// A pcap file (microseconds, little-endian, Ethernet).
pub fn pcap(frames: &[Frame]) -> Vec<u8> {
    let mut out = Vec::new();
    for word in [0xa1b2_c3d4u32, 0x0004_0002, 0, 0, 262_144, 1] {
        out.extend_from_slice(&word.to_le_bytes());
    }
    for frame in frames {
        let length = frame.octets.len() as u32;
        let seconds = frame.time.div_euclid(1_000_000_000) as u32;
        let micros = (frame.time.rem_euclid(1_000_000_000) / 1_000) as u32;
        for word in [seconds, micros, length, length] {
            out.extend_from_slice(&word.to_le_bytes());
        }
        out.extend_from_slice(&frame.octets);
    }
    out
}

/// What a pcapng file says of itself.
#[derive(Clone, Debug, Default)]
pub struct About<'a> {
    /// Comment of the section.
    pub comment: &'a str,
    /// Name of the interface.
    pub interface: &'a str,
    /// Names of hosts.
    pub names: &'a [([u8; 4], &'a str)],
}

/// A pcapng file: one section, one Ethernet interface with microseconds, the names, the frames, and statistics that say that
/// nothing was dropped.
pub fn pcapng(about: &About<'_>, frames: &[Frame]) -> Vec<u8> {
    let mut out = Vec::new();

    let mut section = Vec::new();
    section.extend_from_slice(&0x1a2b_3c4du32.to_le_bytes());
    section.extend_from_slice(&[1, 0, 0, 0]);
    section.extend_from_slice(&[0xff; 8]);
    option(&mut section, 1, about.comment.as_bytes());
    end_of_options(&mut section);
    block(&mut out, 0x0a0d_0d0a, &section);

    let mut interface = vec![1, 0, 0, 0, 0, 0, 4, 0]; // Ethernet, snap length 262144
    option(&mut interface, 2, about.interface.as_bytes());
    option(&mut interface, 9, &[6]);
    end_of_options(&mut interface);
    block(&mut out, 1, &interface);

    if !about.names.is_empty() {
        let mut names = Vec::new();
        for (addr, name) in about.names {
            let mut value = addr.to_vec();
            value.extend_from_slice(name.as_bytes());
            value.push(0);
            option(&mut names, 1, &value);
        }
        end_of_options(&mut names);
        block(&mut out, 4, &names);
    }

    for frame in frames {
        let length = frame.octets.len() as u32;
        let mut packet = Vec::with_capacity(24 + frame.octets.len());
        packet.extend_from_slice(&0u32.to_le_bytes());
        packet.extend_from_slice(&timestamp(frame.time));
        packet.extend_from_slice(&length.to_le_bytes());
        packet.extend_from_slice(&length.to_le_bytes());
        packet.extend_from_slice(&frame.octets);
        pad(&mut packet);
        block(&mut out, 6, &packet);
    }

    let last = frames.last().map_or(0, |f| f.time);
    let mut statistics = 0u32.to_le_bytes().to_vec();
    statistics.extend_from_slice(&timestamp(last));
    option(&mut statistics, 4, &(frames.len() as u64).to_le_bytes());
    option(&mut statistics, 5, &0u64.to_le_bytes());
    end_of_options(&mut statistics);
    block(&mut out, 5, &statistics);
    out
}

/// Microseconds since the epoch, upper half first.
fn timestamp(nanos: i64) -> [u8; 8] {
    let micros = nanos.div_euclid(1_000) as u64;
    let mut out = [0; 8];
    out[..4].copy_from_slice(&((micros >> 32) as u32).to_le_bytes());
    out[4..].copy_from_slice(&(micros as u32).to_le_bytes());
    out
}

fn option(out: &mut Vec<u8>, code: u16, value: &[u8]) {
    out.extend_from_slice(&code.to_le_bytes());
    out.extend_from_slice(&(value.len() as u16).to_le_bytes());
    out.extend_from_slice(value);
    pad(out);
}

fn end_of_options(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; 4]);
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(4), 0);
}

fn block(out: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let length = (body.len() + 12) as u32;
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(body);
    out.extend_from_slice(&length.to_le_bytes());
}
