//! One conversation as two capture points saw it: the left one where its builder stands, the right one further along the path.
//!
//! What lies between delays, loses, copies, damages or rewrites; the right side's clock is another one.

use std::net::IpAddr;

use super::super::convo::{C2S, Convo, Step};
use super::super::scene::{Frame, pcap};
use super::super::wire::{Checksum, Packet};

/// What comes of a packet between the points.
#[derive(Clone, Debug, Default)]
pub enum Fate {
    /// It comes as it left, with the checksum filled in.
    #[default]
    Comes,
    /// It never comes.
    Lost,
    /// It comes twice.
    Twice,
    /// It comes with this checksum.
    With(Checksum),
    /// It comes with its payload changed.
    Changed(fn(&mut Vec<u8>)),
    /// It comes so many nanoseconds late.
    Late(i64),
}

/// The path between the points, and the right one's clock.
#[derive(Clone, Copy, Debug)]
pub struct Between {
    /// Time under way, in nanoseconds, there and back.
    pub delay: [i64; 2],
    /// Right clock minus left clock at the time 0, in nanoseconds.
    pub offset: i64,
    /// What the right clock gains, in millionths.
    pub drift_ppm: i64,
    /// Routers between.
    pub hops: u8,
    /// Address and port that the client has on the right.
    pub client: Option<(IpAddr, u16)>,
    /// Added to the sequence numbers of client and server on the right.
    pub shift: [u32; 2],
}

impl Default for Between {
    fn default() -> Self {
        Self {
            delay: [400_000; 2],
            offset: 0,
            drift_ppm: 0,
            hops: 1,
            client: None,
            shift: [0; 2],
        }
    }
}

/// Both captures as pcap octets. A packet whose fate is `None` comes if the builder says that its receiver got it.
pub fn captures(
    convos: Vec<Convo>,
    between: &Between,
    fate: impl Fn(usize, &Step) -> Option<Fate>,
) -> [Vec<u8>; 2] {
    let (mut left, mut right) = (Vec::new(), Vec::new());
    let mut steps: Vec<Step> = convos.into_iter().flat_map(Convo::steps).collect();
    steps.sort_by_key(|s| s.time);
    let mut ids = [1_000_u16, 40_000];
    for (n, step) in steps.iter().enumerate() {
        let way = usize::from(step.way != C2S);
        ids[way] = ids[way].wrapping_add(1);
        let id = step.ip_id.unwrap_or(ids[way]);
        let fate = fate(n, step).unwrap_or(if step.delivered() {
            Fate::Comes
        } else {
            Fate::Lost
        });
        let there = step.way == C2S;
        let (mut own, mut other) = (step.packet.clone(), far(&step.packet, there, between));
        // What the right point sees first is what its own host sends: the changes show on the left.
        let (came, late) = if there {
            (&mut other, 1)
        } else {
            (&mut own, -1)
        };
        if matches!(
            came.checksum,
            Checksum::UnfilledPartial | Checksum::UnfilledLso
        ) && there
        {
            came.checksum = Checksum::Good;
        }
        let mut times = vec![between.delay[way]];
        match fate {
            Fate::Comes => {}
            Fate::Lost => times.clear(),
            Fate::Twice => times.push(between.delay[way] + 30_000),
            Fate::With(checksum) => came.checksum = checksum,
            Fate::Changed(change) => change(&mut came.payload),
            Fate::Late(nanos) => times[0] += nanos,
        }
        let clock = |t: i64| t + between.offset + t / 1_000_000 * between.drift_ppm;
        if there {
            if step.captured {
                left.push(Frame {
                    time: step.time,
                    octets: own.frame(id),
                });
            }
            right.extend(times.iter().map(|d| Frame {
                time: clock(step.time + d * late),
                octets: other.frame(id),
            }));
        } else {
            // The builder's time is that of coming to the left point.
            right.push(Frame {
                time: clock(step.time - between.delay[way]),
                octets: other.frame(id),
            });
            left.extend(times.iter().map(|d| Frame {
                time: step.time - between.delay[way] + d,
                octets: own.frame(id),
            }));
        }
    }
    [left, right].map(|mut frames| {
        frames.sort_by_key(|f| f.time);
        pcap(&frames)
    })
}

/// The same packet as the right point has it.
fn far(packet: &Packet, there: bool, between: &Between) -> Packet {
    let mut far = packet.clone();
    let [client, server] = between.shift;
    let (own, peer) = if there {
        (client, server)
    } else {
        (server, client)
    };
    far.seq = far.seq.wrapping_add(own);
    if far.flags & super::super::wire::ACK != 0 {
        far.ack = far.ack.wrapping_add(peer);
    }
    far.from.ttl = if there {
        far.from.ttl - between.hops
    } else {
        far.from.ttl + between.hops
    };
    if let Some((addr, port)) = between.client {
        let (end, at) = if there {
            (&mut far.from, 0)
        } else {
            (&mut far.to, 1)
        };
        end.addr = addr;
        far.ports[at] = port;
    }
    far
}
