//! The walk through a frame, header by header, until TCP or until it is clear why not.
//!
//! Takes:  [`FrameBatch`]es
//! Gives:  [`SegmentBatch`]es, and counts of everything that did not become a segment
//! Never:  allocates for a frame, once its buffers have grown to their size (notes and fragments apart)

use etherparse::UdpHeaderSlice;

use super::dot11::{self, Body};
use super::encapsulation::{Encapsulations, Layer};
use super::fragment::{Fragments, Outcome};
use super::ip::{self, Behind, Piece, protocol};
use super::pieces::{self, Pieces};
use super::reason::{Reason, Tally};
use super::step::{IpHeader, Other, Packet, Proto, Step, Stop};
use super::view::View;
use super::{
    Note, NoteKind, OctetRef, Segment, SegmentBatch, Undecoded, dns, icmp, link, tcp, tunnel,
};
use crate::capture::{FrameBatch, LinkType, Problem};
use crate::net::{Endpoint, Family, FrameNo, MacAddr, SeqNum};

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
    fragments: Fragments,
    pieces: Pieces,
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
            fragments: Fragments::default(),
            pieces: Pieces::default(),
            tally: Tally::default(),
            other: OtherPackets::default(),
            truncated: 0,
        }
    }

    /// The next file of a rotated set begins, with this index. Encapsulations keep their numbers and fragments wait on; gives what
    /// could not be decoded of the file before.
    pub fn next_file(&mut self, capture: u32) -> Vec<Undecoded> {
        self.capture = capture;
        std::mem::take(&mut self.tally).rows().collect()
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
            overlong,
            ..
        } = out;
        extra.clear();
        segments.clear();
        sacks.clear();
        notes.clear();
        overlong.clear();
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
            let first = sink.segments.len();
            match self.walk(packet, Proto::Link(link), view, &mut sink) {
                Ok(()) => {}
                Err(Stop::Waiting) => {
                    if !self.fragments.count(frame.number) {
                        self.pieces.count(frame.number);
                    }
                }
                Err(Stop::Undecoded(reason)) => self.tally.add(reason, 1, frame.number),
                Err(Stop::Other(other)) => self.count(other),
            }
            let end = frame.range.start as u64 + wire.max(captured.len()) as u64;
            for (n, seg) in sink.segments.iter().enumerate().skip(first) {
                // A payload put together from fragments lies behind every frame.
                let room = end.saturating_sub(seg.payload.offset);
                if u64::from(seg.payload_octets) > room && seg.payload.offset < OctetRef::IN_EXTRA {
                    overlong.push((n as u32, room as u32));
                }
            }
        }
    }

    /// Frames that could not be decoded, by reason, in the order in which the reasons came up. Fragments that still wait for
    /// others are among them.
    #[must_use]
    pub fn undecoded(&self) -> Vec<Undecoded> {
        let mut tally = self.tally.clone();
        self.fragments.count_waiting(&mut tally);
        self.pieces.count_waiting(&mut tally);
        tally.rows().collect()
    }

    /// What was odd about frames that were decoded, since this was asked last: IP fragments that overlap.
    pub fn take_problems(&mut self) -> Vec<Problem> {
        let told = self
            .fragments
            .take_overlapping()
            .map(|(count, first)| Problem {
                frame: Some(FrameNo(first.number())),
                text: format!(
                    "{count} IP fragments, from frame {} on, overlap others with the same octets, which no sender does by itself; \
                     their datagrams were put together",
                    first.number()
                ),
            });
        told.into_iter().collect()
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
                Proto::Multilink => {
                    let (piece, rest) = link::multilink(view)?;
                    if !(piece.begins && piece.ends) {
                        return self.piece(piece, Proto::Ppp, packet, rest, out);
                    }
                    (Proto::Ppp, rest)
                }
                Proto::Mpls => link::mpls(view)?,
                Proto::Dot11 | Proto::Dot11Padded => {
                    let padded = proto == Proto::Dot11Padded;
                    match dot11::data_frame(view, padded, &mut packet)? {
                        Body::Llc(body) => (Proto::Llc, body),
                        Body::Aggregate(body) => return self.aggregate(packet, body, out),
                        Body::Piece(piece, body) => {
                            return self.piece(piece, Proto::Llc, packet, body, out);
                        }
                    }
                }
                Proto::Ip => ip::either(view)?,
                Proto::Ipv4 => match ip::v4(view, &mut packet)? {
                    Behind::Next(next, payload) => (next, payload),
                    Behind::Fragment(piece, at) => return self.fragment(piece, packet, at, out),
                },
                Proto::Ipv6 => ip::v6(view, &mut packet)?,
                Proto::Transport(protocol::TCP) => {
                    return Ok(tcp::segment(&packet, view, out.segments, out.sacks)?);
                }
                Proto::Transport(number) => match ip::extension(number, view, &mut packet)? {
                    Some(Behind::Next(next, payload)) => (next, payload),
                    Some(Behind::Fragment(piece, at)) => {
                        return self.fragment(piece, packet, at, out);
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
        view: View<'a>,
        packet: &mut Packet,
        out: &mut Sink<'_>,
    ) -> Step<'a> {
        let tunnel = match number {
            protocol::UDP => return self.udp(view, packet, out),
            protocol::ICMP | protocol::ICMPV6 => {
                if let Some(kind) = icmp::error(packet, view) {
                    out.note(packet, kind);
                }
                return Err(Stop::Other(Other::Icmp));
            }
            protocol::GRE => return tunnel::gre(view, packet, &mut self.encapsulations),
            protocol::MPLS => return Ok((Proto::Mpls, view)),
            protocol::ETHER_IP => {
                // RFC 3378: two octets, the first of them version 3.
                let inner = view.skip(2).ok_or(Reason::Short("EtherIP header"))?;
                return Ok((Proto::Link(1), inner));
            }
            protocol::IPV4 => (Layer::IpInIp, Proto::Ipv4),
            protocol::IPV6 if packet.ip.family == Family::V4 => (Layer::Ipv6InIpv4, Proto::Ipv6),
            protocol::IPV6 => (Layer::IpInIp, Proto::Ipv6),
            _ => return Err(Stop::Other(Other::Ip)),
        };
        packet.encapsulation = self.encapsulations.enter(packet.encapsulation, tunnel.0)?;
        Ok((tunnel.1, view))
    }

    fn udp<'a>(&mut self, view: View<'a>, packet: &mut Packet, out: &mut Sink<'_>) -> Step<'a> {
        const DNS: u16 = 53;
        const SHORT: Reason = Reason::Short("UDP header");
        let header = UdpHeaderSlice::from_slice(view.octets).map_err(|_| SHORT)?;
        let ports = [header.source_port(), header.destination_port()];
        // 0 stands in jumbograms and where offload has yet to fill it in.
        let length = usize::from(header.length());
        let datagram = if (8..=view.wire).contains(&length) {
            view.with_length(length)
        } else {
            view
        };
        let payload = datagram.skip(8).ok_or(SHORT)?;
        if ports.contains(&DNS) {
            if let Some(kind) = dns::message(payload.octets) {
                out.note(packet, kind);
            }
            return Err(Stop::Other(Other::Udp));
        }
        tunnel::in_udp(ports, payload, packet, &mut self.encapsulations)
    }

    /// Takes in a piece of a datagram, and goes on with the whole where it was the last one missing.
    fn fragment(
        &mut self,
        piece: Piece,
        mut packet: Packet,
        view: View<'_>,
        out: &mut Sink<'_>,
    ) -> Result<(), Stop> {
        if !view.is_whole() {
            // The snap length cut it, so it will never be whole; but a first piece still shows its headers.
            if piece.offset != 0 {
                return Err(Reason::Other("IP fragment cut short").into());
            }
            packet.ip.whole = false;
            return self.walk(packet, Proto::Transport(piece.protocol), view, out);
        }
        let octets = match self
            .fragments
            .add(piece, view.octets, &packet, &mut self.tally)?
        {
            Outcome::Waiting => return Err(Stop::Waiting),
            Outcome::Complete(octets) => octets,
        };
        packet.ip.has_length = true;
        let walked = self.whole(&octets, Proto::Transport(piece.protocol), packet, out);
        self.fragments.recycle(octets);
        walked
    }

    /// Goes on with what was put together.
    fn whole(
        &mut self,
        octets: &[u8],
        proto: Proto,
        packet: Packet,
        out: &mut Sink<'_>,
    ) -> Result<(), Stop> {
        let start = out.extra.len();
        out.extra.extend_from_slice(octets);
        let view = View::new(octets, OctetRef::IN_EXTRA + start as u64, octets.len());
        let segments = out.segments.len();
        let walked = self.walk(packet, proto, view, out);
        if out.segments.len() == segments {
            out.extra.truncate(start);
        }
        walked
    }

    /// Takes in a piece that a link layer has cut, and goes on with the whole where it was the last one missing.
    fn piece(
        &mut self,
        piece: pieces::Piece,
        proto: Proto,
        packet: Packet,
        view: View<'_>,
        out: &mut Sink<'_>,
    ) -> Result<(), Stop> {
        if !view.is_whole() {
            // As with fragments of IP: a first piece still shows its headers.
            if !piece.begins {
                return Err(Reason::Other("link-layer fragment cut short").into());
            }
            return self.walk(packet, proto, view, out);
        }
        match self
            .pieces
            .add(piece, view.octets, &packet, &mut self.tally)?
        {
            None => Err(Stop::Waiting),
            Some(octets) => self.whole(&octets, proto, packet, out),
        }
    }

    /// Goes through the packets of an 802.11 aggregate. The frame counts once: by the first that is no TCP or could not be read, else with
    /// what waits of it, or as empty.
    fn aggregate(
        &mut self,
        mut packet: Packet,
        body: View<'_>,
        out: &mut Sink<'_>,
    ) -> Result<(), Stop> {
        let mut result = None;
        for inner in dot11::aggregated(body) {
            let walked = match inner {
                Ok((macs, view)) => {
                    packet.macs = macs;
                    self.walk(packet, Proto::Llc, view, out)
                }
                Err(reason) => Err(reason.into()),
            };
            result = Some(match (result, walked) {
                (None, walked) => walked,
                (Some(Err(Stop::Waiting)), Err(stop)) => Err(stop),
                (Some(before), walked) => before.and(walked),
            });
        }
        result.unwrap_or(Err(Reason::Short("802.11 aggregate").into()))
    }
}

impl Sink<'_> {
    fn note(&mut self, packet: &Packet, kind: NoteKind) {
        let [from, to] = packet
            .ip
            .addrs
            .map(|a| Endpoint::from_octets(a, packet.ip.family, 0).addr);
        self.notes.push(Note {
            frame: packet.frame,
            time: packet.time,
            from,
            to,
            kind,
        });
    }
}
