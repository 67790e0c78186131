//! The walk through a frame, header by header, until TCP or until it is clear why not.
//!
//! Takes:  [`FrameBatch`]es
//! Gives:  [`SegmentBatch`]es, and counts of everything that did not become a segment
//! Never:  allocates for a frame, once its buffers have grown to their size (notes and fragments apart)

use super::encapsulation::Encapsulations;
use super::ip::{self, Behind, protocol};
use super::reason::{Reason, Tally};
use super::step::{IpHeader, Other, Packet, Proto, Step, Stop};
use super::view::View;
use super::{Note, Segment, SegmentBatch, Undecoded, link, tcp};
use crate::capture::{FrameBatch, LinkType};
use crate::net::{MacAddr, SeqNum};

/// Headers walked through in one frame: enough for eight tunnels in one another, or thirty VLAN tags.
const MAX_DEPTH: u32 = 32;

/// Packets that are no TCP, by what they are.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct OtherPackets {
    /// ARP.
    pub arp: u64,
    /// UDP, tunnels that were looked into apart.
    pub udp: u64,
    /// ICMP and ICMPv6.
    pub icmp: u64,
    /// Other IP protocols, encrypted ones (ESP) among them.
    pub ip: u64,
    /// What is not IP: spanning tree, LLDP, management of links, …
    pub link: u64,
}

/// Decodes the frames of one capture.
#[derive(Debug)]
pub struct Decoder {
    capture: u32,
    encapsulations: Encapsulations,
    tally: Tally,
    other: OtherPackets,
    truncated: u64,
}

/// Where the findings of one batch go.
struct Sink<'b> {
    extra: &'b mut Vec<u8>,
    segments: &'b mut Vec<Segment>,
    sacks: &'b mut Vec<(SeqNum, SeqNum)>,
    notes: &'b mut Vec<Note>,
}

impl Decoder {
    /// For the capture with this index.
    #[must_use]
    pub fn new(capture: u32) -> Self {
        Self {
            capture,
            encapsulations: Encapsulations::default(),
            tally: Tally::default(),
            other: OtherPackets::default(),
            truncated: 0,
        }
    }

    /// Clears `out`, moves the octets of `input` into it and fills it. `input` gets the octets that were in `out`, so that
    /// buffers go round; its frames are cleared.
    pub fn push(&mut self, input: &mut FrameBatch, out: &mut SegmentBatch) {
        out.capture = self.capture;
        std::mem::swap(&mut input.octets, &mut out.octets);
        let SegmentBatch {
            octets,
            extra,
            segments,
            sacks,
            notes,
            ..
        } = out;
        extra.clear();
        segments.clear();
        sacks.clear();
        notes.clear();
        let octets = octets.as_slice();
        let mut sink = Sink {
            extra,
            segments,
            sacks,
            notes,
        };
        for frame in input.frames.drain(..) {
            let captured = octets.get(frame.range.clone()).unwrap_or(&[]);
            let wire = frame.wire_octets as usize;
            self.truncated += u64::from(captured.len() < wire);
            let LinkType(link) = frame.link;
            let packet = Packet {
                frame: frame.number,
                time: frame.time,
                macs: [MacAddr::default(); 2],
                outgoing: None,
                encapsulation: 0,
                depth: 0,
                ip: IpHeader::default(),
            };
            let view = View::new(captured, frame.range.start as u64, wire);
            match self.walk(packet, Proto::Link(link), view, &mut sink) {
                Ok(()) | Err(Stop::Waiting) => {}
                Err(Stop::Undecoded(reason)) => self.tally.add(reason, 1, frame.number),
                Err(Stop::Other(other)) => self.count(other),
            }
        }
    }

    /// Frames that could not be decoded, by reason, in the order in which the reasons came up.
    #[must_use]
    pub fn undecoded(&self) -> Vec<Undecoded> {
        self.tally.rows().collect()
    }

    /// Frames of which the snap length cut something.
    #[must_use]
    pub const fn truncated_frames(&self) -> u64 {
        self.truncated
    }

    /// Packets that are no TCP.
    #[must_use]
    pub const fn other_packets(&self) -> OtherPackets {
        self.other
    }

    /// VLANs and tunnels that an encapsulation number stands for, from the outside in: `VXLAN 42 / VLAN 7`. `None` for 0.
    #[must_use]
    pub fn encapsulation_name(&self, number: u32) -> Option<String> {
        self.encapsulations.name(number)
    }

    fn count(&mut self, other: Other) {
        let count = match other {
            Other::Arp => &mut self.other.arp,
            Other::Udp => &mut self.other.udp,
            Other::Icmp => &mut self.other.icmp,
            Other::Ip => &mut self.other.ip,
            Other::Link => &mut self.other.link,
        };
        *count += 1;
    }

    /// Goes from header to header. Calls itself only for payloads put together from pieces, and each call is one deeper.
    fn walk(
        &mut self,
        mut packet: Packet,
        mut proto: Proto,
        mut view: View<'_>,
        out: &mut Sink<'_>,
    ) -> Result<(), Stop> {
        loop {
            packet.depth += 1;
            if packet.depth > MAX_DEPTH {
                return Err(Reason::Other("more than 32 headers in one frame").into());
            }
            (proto, view) = match proto {
                Proto::Link(number) => link::link(number, view, &mut packet)?,
                Proto::Ethertype(number) => {
                    link::ethertype(number, view, &mut packet, &mut self.encapsulations)?
                }
                Proto::Llc => link::llc(view)?,
                Proto::Ppp => link::ppp(view)?,
                Proto::Mpls => link::mpls(view)?,
                Proto::Dot11 | Proto::Dot11Padded => {
                    return Err(Reason::Other("802.11").into());
                }
                Proto::Ip => ip::either(view)?,
                Proto::Ipv4 => match ip::v4(view, &mut packet)? {
                    Behind::Next(next, payload) => (next, payload),
                    Behind::Fragment(..) => return Err(Reason::Other("IP fragment").into()),
                },
                Proto::Ipv6 => ip::v6(view, &mut packet)?,
                Proto::Transport(protocol::TCP) => {
                    return Ok(tcp::segment(&packet, view, out.segments, out.sacks)?);
                }
                Proto::Transport(number) => match ip::extension(number, view, &mut packet)? {
                    Some(Behind::Next(next, payload)) => (next, payload),
                    Some(Behind::Fragment(..)) => {
                        return Err(Reason::Other("IP fragment").into());
                    }
                    None => self.transport(number, view, &mut packet, out)?,
                },
            };
        }
    }

    /// Goes on behind an IP header with anything but TCP.
    fn transport<'a>(
        &mut self,
        number: u8,
        _view: View<'a>,
        _packet: &mut Packet,
        _out: &mut Sink<'_>,
    ) -> Step<'a> {
        match number {
            protocol::UDP => Err(Stop::Other(Other::Udp)),
            protocol::ICMP | protocol::ICMPV6 => Err(Stop::Other(Other::Icmp)),
            _ => Err(Stop::Other(Other::Ip)),
        }
    }
}
