//! One TCP packet as octets: Ethernet, VLAN tags, IPv4 or IPv6, TCP, with the checksum that was asked for.
//!
//! RFC 791, RFC 8200, RFC 9293 section 3.1, RFC 1071.

use std::net::IpAddr;

/// One end as the capture point sees it.
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// Its address.
    pub addr: IpAddr,
    /// Hardware address in its frames: its own, or the router's before it.
    pub mac: [u8; 6],
    /// TTL or hop limit in its packets at the capture point.
    pub ttl: u8,
    /// Whether the capture runs on this host: what it sends is then captured before the adapter pads or fills anything.
    pub local: bool,
}

/// What the TCP checksum field holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Checksum {
    /// The right sum.
    #[default]
    Good,
    /// The pseudo-header's sum alone, not inverted: what a stack leaves when the adapter is to add the rest.
    UnfilledPartial,
    /// The same with a length of zero: large send offload.
    UnfilledLso,
    /// Zero.
    Zero,
    /// Off by one bit pattern that is none of the above.
    Wrong,
}

pub const FIN: u16 = 0x01;
pub const SYN: u16 = 0x02;
pub const RST: u16 = 0x04;
pub const PSH: u16 = 0x08;
pub const ACK: u16 = 0x10;
pub const URG: u16 = 0x20;
pub const ECE: u16 = 0x40;
pub const CWR: u16 = 0x80;

/// All that the headers of one TCP packet say.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Sender.
    pub from: Host,
    /// Receiver.
    pub to: Host,
    /// Ports of sender and receiver.
    pub ports: [u16; 2],
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number.
    pub ack: u32,
    /// Control bits.
    pub flags: u16,
    /// Window field.
    pub window: u16,
    /// TCP options, any length; padded to a multiple of four with "end of options".
    pub options: Vec<u8>,
    /// Payload.
    pub payload: Vec<u8>,
    /// What the checksum field holds.
    pub checksum: Checksum,
    /// VLAN ids, outermost first.
    pub vlans: Vec<u16>,
    /// Don't-fragment bit.
    pub dont_fragment: bool,
    /// ECN bits of the IP header.
    pub ecn: u8,
    /// Whether the IPv4 total length is left zero, as large send offload does.
    pub total_length_zero: bool,
}

/// Least length of an Ethernet frame without its check sequence: shorter ones are padded by the adapter that sends them.
const MIN_FRAME: usize = 60;

impl Packet {
    /// The frame. `ip_id` is the IPv4 identification.
    pub fn frame(&self, ip_id: u16) -> Vec<u8> {
        let mut out = Vec::with_capacity(94 + self.payload.len());
        out.extend_from_slice(&self.to.mac);
        out.extend_from_slice(&self.from.mac);
        for id in &self.vlans {
            out.extend_from_slice(&[0x81, 0x00]);
            out.extend_from_slice(&id.to_be_bytes());
        }
        let tcp = self.segment();
        match (self.from.addr, self.to.addr) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                out.extend_from_slice(&[0x08, 0x00]);
                let start = out.len();
                let length = if self.total_length_zero {
                    0
                } else {
                    (20 + tcp.len()) as u16
                };
                out.extend_from_slice(&[0x45, self.ecn]);
                out.extend_from_slice(&length.to_be_bytes());
                out.extend_from_slice(&ip_id.to_be_bytes());
                out.extend_from_slice(&[
                    u8::from(self.dont_fragment) << 6,
                    0,
                    self.from.ttl,
                    6,
                    0,
                    0,
                ]);
                out.extend_from_slice(&from.octets());
                out.extend_from_slice(&to.octets());
                let sum = !fold(sum(&out[start..]));
                out[start + 10..start + 12].copy_from_slice(&sum.to_be_bytes());
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                out.extend_from_slice(&[0x86, 0xdd, 0x60, self.ecn << 4, 0, 0]);
                out.extend_from_slice(&(tcp.len() as u16).to_be_bytes());
                out.extend_from_slice(&[6, self.from.ttl]);
                out.extend_from_slice(&from.octets());
                out.extend_from_slice(&to.octets());
            }
            _ => panic!("both ends of one IP version"),
        }
        out.extend_from_slice(&tcp);
        if !self.from.local && out.len() < MIN_FRAME {
            out.resize(MIN_FRAME, 0);
        }
        out
    }

    /// TCP header and payload, checksum in place.
    fn segment(&self) -> Vec<u8> {
        let mut options = self.options.clone();
        options.resize(options.len().next_multiple_of(4), 0);
        let header = 20 + options.len();
        let mut tcp = Vec::with_capacity(header + self.payload.len());
        tcp.extend_from_slice(&self.ports[0].to_be_bytes());
        tcp.extend_from_slice(&self.ports[1].to_be_bytes());
        tcp.extend_from_slice(&self.seq.to_be_bytes());
        tcp.extend_from_slice(&self.ack.to_be_bytes());
        let bits = ((header as u16 / 4) << 12) | (self.flags & 0x1ff);
        tcp.extend_from_slice(&bits.to_be_bytes());
        tcp.extend_from_slice(&self.window.to_be_bytes());
        tcp.extend_from_slice(&[0, 0, 0, 0]);
        tcp.extend_from_slice(&options);
        tcp.extend_from_slice(&self.payload);

        let pseudo = |length: usize| {
            let addresses = match (self.from.addr, self.to.addr) {
                (IpAddr::V4(a), IpAddr::V4(b)) => sum(&a.octets()) + sum(&b.octets()),
                (IpAddr::V6(a), IpAddr::V6(b)) => sum(&a.octets()) + sum(&b.octets()),
                _ => 0,
            };
            addresses + 6 + length as u64
        };
        let good = !fold(pseudo(tcp.len()) + sum(&tcp));
        let field = match self.checksum {
            Checksum::Good => good,
            Checksum::UnfilledPartial => fold(pseudo(tcp.len())),
            Checksum::UnfilledLso => fold(pseudo(0)),
            Checksum::Zero => 0,
            Checksum::Wrong => good ^ 0x5a3c,
        };
        tcp[16..18].copy_from_slice(&field.to_be_bytes());
        tcp
    }
}

/// Sum of 16-bit words, the last one padded with zero.
pub fn sum(octets: &[u8]) -> u64 {
    octets
        .chunks(2)
        .map(|c| u64::from(c[0]) << 8 | u64::from(c.get(1).copied().unwrap_or(0)))
        .sum()
}

/// One's complement folding to 16 bits (RFC 1071).
pub fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}
