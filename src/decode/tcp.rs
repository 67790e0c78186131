//! TCP headers (RFC 9293 section 3.1).
//!
//! Takes:  a packet at its TCP header
//! Gives:  a [`Segment`]
//! Never:  believes the captured length: lengths come from the IP header

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::OnceLock;

use foldhash::SharedSeed;
use foldhash::fast::{FoldHasher, SeedableRandomState};

use super::reason::Reason;
use super::step::{IpHeader, Packet};
use super::view::View;
use super::{Checksum, FlowKey, OctetRef, Segment, TcpFlags, checksum, options};
use crate::net::{Family, SeqNum};

/// Octets of a header without options.
const MIN_HEADER: usize = 20;

/// Reads the header at the start of `view` and appends the segment. A header that is cut inside its options still counts.
#[inline]
pub(super) fn segment(
    packet: &Packet,
    view: View<'_>,
    segments: &mut Vec<Segment>,
    sacks: &mut Vec<(SeqNum, SeqNum)>,
) -> Result<(), Reason> {
    let &[
        p0,
        p1,
        q0,
        q1,
        s0,
        s1,
        s2,
        s3,
        a0,
        a1,
        a2,
        a3,
        offset,
        bits,
        w0,
        w1,
        c0,
        c1,
        _,
        _,
    ] = view
        .head::<MIN_HEADER>()
        .ok_or(Reason::Short("TCP header"))?;
    let header = usize::from(offset >> 4) * 4;
    if header < MIN_HEADER {
        return Err(Reason::Other("TCP header length under 20"));
    }
    if header > view.wire {
        return Err(Reason::Other("TCP header longer than its packet"));
    }
    let flags = TcpFlags(u16::from_be_bytes([offset & 1, bits]));
    let ports = [u16::from_be_bytes([p0, p1]), u16::from_be_bytes([q0, q1])];
    let (key, from_first) = flow_key(&packet.ip, ports, packet.encapsulation);

    let captured_header = header.min(view.octets.len());
    let first_sack = sacks.len();
    let options = match view.octets.get(MIN_HEADER..captured_header) {
        Some([]) | None => options::Options::default(),
        Some(octets) => options::read(octets, flags.has(TcpFlags::SYN), sacks),
    };
    let payload = OctetRef {
        offset: view.at + captured_header as u64,
        len: (view.octets.len() - captured_header) as u32,
    };
    segments.push(Segment {
        frame: packet.frame,
        time: packet.time,
        key,
        hash: flow_hash(&key),
        from_first,
        seq: SeqNum(u32::from_be_bytes([s0, s1, s2, s3])),
        ack: SeqNum(u32::from_be_bytes([a0, a1, a2, a3])),
        flags,
        window: u16::from_be_bytes([w0, w1]),
        payload_octets: (view.wire - header) as u32,
        payload,
        ip_id: packet.ip.id,
        ttl: packet.ip.ttl,
        dont_fragment: packet.ip.dont_fragment,
        ecn: packet.ip.ecn,
        dscp: packet.ip.dscp,
        checksum: checksum_of(&packet.ip, view, [c0, c1]),
        option_octets: (header - MIN_HEADER) as u8,
        timestamps: options.timestamps,
        syn: options.syn,
        sack: (first_sack as u32, options.sack_blocks),
        macs: packet.macs,
        outgoing: packet.outgoing,
    });
    Ok(())
}

#[inline]
fn checksum_of(ip: &IpHeader, view: View<'_>, field: [u8; 2]) -> Checksum {
    if !ip.whole || !view.is_whole() {
        return Checksum::Unchecked;
    }
    let [from, to] = &ip.addrs;
    let addresses = match ip.family {
        Family::V4 => checksum::sum(&from[12..]) + checksum::sum(&to[12..]),
        Family::V6 => checksum::sum(from) + checksum::sum(to),
    };
    match checksum::judge(view.octets, field, addresses) {
        // Without a length in the IP header, padding may have been summed as well.
        Checksum::Wrong if !ip.has_length => Checksum::Unchecked,
        state => state,
    }
}

/// The key of a flow, and whether the first of `ports` belongs to its first end.
#[inline]
pub(super) fn flow_key(ip: &IpHeader, ports: [u16; 2], encapsulation: u32) -> (FlowKey, bool) {
    let [from, to] = ip.addrs;
    let place = |addr, port| (u128::from_be_bytes(addr), port);
    let from_first = place(from, ports[0]) <= place(to, ports[1]);
    let key = FlowKey {
        addrs: if from_first { [from, to] } else { [to, from] },
        ports: if from_first {
            ports
        } else {
            [ports[1], ports[0]]
        },
        encapsulation,
        family: ip.family,
    };
    (key, from_first)
}

/// The hash of a key: the same everywhere in this process, another in the next, so that no file can be made to collide.
#[inline]
pub fn flow_hash(key: &FlowKey) -> u64 {
    seeded_hash(key, seeds())
}

#[inline]
fn seeded_hash(key: &FlowKey, (seed, shared): &(u64, SharedSeed)) -> u64 {
    let mut hasher = FoldHasher::with_seed(*seed, shared);
    let word = |octets: &[u8; 16], at: usize| {
        octets
            .get(at..)
            .and_then(|o| o.first_chunk())
            .map_or(0, |w| u64::from_ne_bytes(*w))
    };
    let [a, b] = &key.addrs;
    if key.family == Family::V6 {
        hasher.write_u64(word(a, 0));
        hasher.write_u64(word(b, 0));
    }
    hasher.write_u64(word(a, 8));
    hasher.write_u64(word(b, 8));
    hasher.write_u64(
        u64::from(key.encapsulation) << 32
            | u64::from(key.ports[0]) << 16
            | u64::from(key.ports[1]),
    );
    hasher.finish()
}

/// Seeds from the system's randomness, drawn once: foldhash's own come from addresses alone.
#[inline]
fn seeds() -> &'static (u64, SharedSeed) {
    static SEEDS: OnceLock<(u64, SharedSeed)> = OnceLock::new();
    SEEDS.get_or_init(draw)
}

/// Hashes for maps whose keys come from packets: quick, and with the seed of [`flow_hash`].
#[derive(Clone, Debug)]
pub struct Seeded(SeedableRandomState);

impl Default for Seeded {
    fn default() -> Self {
        let (seed, shared) = seeds();
        Self(SeedableRandomState::with_seed(*seed, shared))
    }
}

impl BuildHasher for Seeded {
    type Hasher = FoldHasher<'static>;

    fn build_hasher(&self) -> FoldHasher<'static> {
        self.0.build_hasher()
    }
}

fn draw() -> (u64, SharedSeed) {
    let random = RandomState::new();
    (random.hash_one(0), SharedSeed::from_u64(random.hash_one(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Buckets that the keys are spread over: fewer than a table of as many flows has.
    const BUCKETS: usize = 512;

    /// Keys in the fullest bucket under a seed. A table picks its bucket by the lowest bits.
    fn fullest(keys: &[FlowKey], seeds: &(u64, SharedSeed)) -> usize {
        let mut buckets = [0; BUCKETS];
        for key in keys {
            buckets[seeded_hash(key, seeds) as usize % BUCKETS] += 1;
        }
        buckets.into_iter().max().unwrap_or_default()
    }

    #[test]
    fn connections_that_collide_under_one_seed_do_not_under_another() {
        let known = (7, SharedSeed::from_u64(7));
        for family in [Family::V4, Family::V6] {
            // What somebody who knew the seed would send: all of it into one bucket.
            let mut addrs = [[0; 16]; 2];
            let all = (0_u32..).map(|n| {
                addrs[0][12..].copy_from_slice(&n.to_be_bytes());
                FlowKey {
                    addrs,
                    ports: [40_000, 25],
                    encapsulation: 0,
                    family,
                }
            });
            let keys: Vec<FlowKey> = all
                .filter(|key| (seeded_hash(key, &known) as usize).is_multiple_of(BUCKETS))
                .take(BUCKETS)
                .collect();
            assert_eq!(fullest(&keys, &known), BUCKETS, "{family:?}");
            // One in each bucket on average. Twenty in one by chance: once in 10^16 runs.
            for seeds in [seeds(), &draw(), &draw()] {
                let fullest = fullest(&keys, seeds);
                assert!(fullest < 20, "{family:?}: {fullest}");
            }
        }
    }

    #[test]
    fn each_seed_is_another() {
        let key = FlowKey {
            addrs: [[1; 16], [2; 16]],
            ports: [40_000, 25],
            encapsulation: 0,
            family: Family::V4,
        };
        assert_eq!(flow_hash(&key), flow_hash(&key));
        assert_ne!(seeded_hash(&key, &draw()), seeded_hash(&key, &draw()));
    }
}
