//! A TCP conversation that keeps both sides' numbers, so that a test says only what departs from health.
//!
//! ```ignore
//! let convo = Convo::new()                        // the client's ISN lies just before the wrap
//!     .handshake()
//!     .send(S2C, b"220 mail.example ESMTP\r\n")
//!     .send(C2S, b"EHLO client\r\n").unseen()     // sent and received, but the capture missed it
//!     .ack(S2C)
//!     .send(C2S, b"MAIL FROM:<a@b>\r\n").lost()   // captured, never received
//!     .wait_ms(1_000).again()                     // the last data segment of that direction once more
//!     .window(C2S, 0).ack(C2S);
//! ```
//!
//! Times are those of the capture point. A step in the same direction follows the last by the `gap`; a step the other way by
//! the round trip between the capture point and the side that answers.

use std::net::{IpAddr, Ipv4Addr};

use super::wire::{ACK, Checksum, FIN, Host, PSH, Packet, RST, SYN};

/// A direction.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Way {
    /// From the client.
    C2S,
    /// From the server.
    S2C,
}
pub use Way::{C2S, S2C};

impl Way {
    const fn back(self) -> Self {
        match self {
            C2S => S2C,
            S2C => C2S,
        }
    }
}

/// A packet of the conversation with its fate.
#[derive(Clone, Debug)]
pub struct Step {
    /// When it passed the capture point, in nanoseconds.
    pub time: i64,
    /// Headers and payload.
    pub packet: Packet,
    /// Which way.
    pub way: Way,
    /// Whether the capture has it.
    pub captured: bool,
    /// IPv4 identification, where a test fixes it; else the host's shared counter gives it.
    pub ip_id: Option<u16>,
    /// Whether the receiver got it.
    delivered: bool,
}

impl Step {
    /// Whether the receiver got it.
    pub fn delivered(&self) -> bool {
        self.delivered
    }
}

/// What one side knows.
#[derive(Clone, Debug)]
struct End {
    host: Host,
    port: u16,
    isn: u32,
    /// Next octet to send, counted from the ISN.
    nxt: u64,
    /// Ranges received, counted from the peer's ISN, sorted, apart.
    received: Vec<(u64, u64)>,
    window: u16,
    checksum: Checksum,
    mss: u16,
    window_scale: Option<u8>,
    sack: bool,
    timestamps: bool,
    /// The last TSval that came in.
    echo: u32,
    /// Index of the last data segment sent.
    last_data: Option<usize>,
}

impl End {
    fn rcv_nxt(&self) -> u64 {
        match self.received.first() {
            Some(&(0, end)) => end,
            _ => 0,
        }
    }

    fn receive(&mut self, from: u64, to: u64) {
        self.received.push((from, to));
        self.received.sort_unstable();
        let mut merged: Vec<(u64, u64)> = Vec::new();
        for &(a, b) in &self.received {
            match merged.last_mut() {
                Some(last) if a <= last.1 => last.1 = last.1.max(b),
                _ => merged.push((a, b)),
            }
        }
        self.received = merged;
    }
}

/// The builder.
#[derive(Clone, Debug)]
pub struct Convo {
    ends: [End; 2],
    steps: Vec<Step>,
    /// Steps whose fate is still open: the last one.
    open: Option<usize>,
    now: i64,
    /// Whether the next step happens at `now` exactly.
    exact: bool,
    last: Option<Way>,
    gap: i64,
    /// Time from the last step to an answer of that side.
    turn: [i64; 2],
    vlans: Vec<u16>,
}

const fn ns(micros: i64) -> i64 {
    micros * 1_000
}

impl Default for Convo {
    fn default() -> Self {
        Self::new()
    }
}

impl Convo {
    /// 192.0.2.1:49152 talks to 192.0.2.25:25 from the epoch on; 1 ms to the server and back, captured beside the client.
    pub fn new() -> Self {
        let host = |last: u8| Host {
            addr: IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)),
            mac: [2, 0, 0, 0, 0, last],
            ttl: 64,
            local: false,
        };
        Self::between(host(1), 49_152, host(25), 25)
    }

    /// A conversation of these two.
    pub fn between(client: Host, client_port: u16, server: Host, server_port: u16) -> Self {
        let end = |host, port, isn| End {
            host,
            port,
            isn,
            nxt: 0,
            received: Vec::new(),
            window: 65_535,
            checksum: Checksum::Good,
            mss: 1_460,
            window_scale: None,
            sack: true,
            timestamps: false,
            echo: 0,
            last_data: None,
        };
        Self {
            ends: [
                end(client, client_port, u32::MAX - 5),
                end(server, server_port, 1_000),
            ],
            steps: Vec::new(),
            open: None,
            now: 0,
            exact: true,
            last: None,
            gap: ns(100),
            turn: [ns(100), ns(1_000)],
            vlans: Vec::new(),
        }
    }

    // ---- settings ----

    /// Initial sequence numbers of client and server.
    pub fn isn(mut self, client: u32, server: u32) -> Self {
        self.ends[0].isn = client;
        self.ends[1].isn = server;
        self
    }

    /// Time from the capture point to the client and back, and to the server and back, in microseconds.
    pub fn rtt_us(mut self, client: i64, server: i64) -> Self {
        self.turn = [ns(client), ns(server)];
        self
    }

    /// Time between steps of one direction, in microseconds.
    pub fn gap_us(mut self, gap: i64) -> Self {
        self.gap = ns(gap);
        self
    }

    /// Checksum of what this side sends from here on.
    pub fn checksums(mut self, way: Way, checksum: Checksum) -> Self {
        self.ends[way as usize].checksum = checksum;
        self
    }

    /// MSS option of both sides.
    pub fn mss(mut self, mss: u16) -> Self {
        for end in &mut self.ends {
            end.mss = mss;
        }
        self
    }

    /// Window scale option of both sides.
    pub fn window_scale(mut self, client: Option<u8>, server: Option<u8>) -> Self {
        self.ends[0].window_scale = client;
        self.ends[1].window_scale = server;
        self
    }

    /// Whether both sides offer SACK.
    pub fn sack(mut self, offered: bool) -> Self {
        for end in &mut self.ends {
            end.sack = offered;
        }
        self
    }

    /// Whether both sides use timestamps (a clock of 1 ms).
    pub fn timestamps(mut self, offered: bool) -> Self {
        for end in &mut self.ends {
            end.timestamps = offered;
        }
        self
    }

    /// VLAN ids around the packets, outermost first.
    pub fn vlans(mut self, ids: &[u16]) -> Self {
        self.vlans = ids.to_vec();
        self
    }

    /// Window field of what this side sends from here on.
    pub fn window(mut self, way: Way, window: u16) -> Self {
        self.ends[way as usize].window = window;
        self
    }

    // ---- time ----

    /// Lets time pass.
    pub fn wait_us(mut self, micros: i64) -> Self {
        self.now += ns(micros);
        self
    }

    /// Lets time pass.
    pub fn wait_ms(self, millis: i64) -> Self {
        self.wait_us(millis * 1_000)
    }

    /// The next step is captured at this moment.
    pub fn at(mut self, nanos: i64) -> Self {
        self.now = nanos;
        self.exact = true;
        self
    }

    // ---- steps ----

    /// SYN, SYN-ACK, ACK.
    pub fn handshake(self) -> Self {
        self.syn().syn_ack().ack(C2S)
    }

    /// The client's SYN.
    pub fn syn(self) -> Self {
        self.step(C2S, SYN, &[], None)
    }

    /// The server's SYN-ACK.
    pub fn syn_ack(self) -> Self {
        self.step(S2C, SYN | ACK, &[], None)
    }

    /// One segment with these octets, however many.
    pub fn send(self, way: Way, octets: &[u8]) -> Self {
        self.step(way, ACK | PSH, octets, None)
    }

    /// Segments of the MSS, PSH on the last; the other side acknowledges every second one and the last.
    pub fn stream(mut self, way: Way, octets: &[u8]) -> Self {
        let mss = usize::from(self.ends[way as usize].mss);
        let count = octets.len().div_ceil(mss);
        for (n, part) in octets.chunks(mss).enumerate() {
            let last = n + 1 == count;
            self = self.step(way, if last { ACK | PSH } else { ACK }, part, None);
            if last || n % 2 == 1 {
                self = self.ack(way.back());
            }
        }
        self
    }

    /// A pure acknowledgement of all that came in order; with SACK blocks for what came beyond, where SACK is on.
    pub fn ack(self, way: Way) -> Self {
        self.step(way, ACK, &[], None)
    }

    /// A FIN.
    pub fn fin(self, way: Way) -> Self {
        self.step(way, FIN | ACK, &[], None)
    }

    /// A RST.
    pub fn rst(self, way: Way) -> Self {
        self.step(way, RST | ACK, &[], None)
    }

    /// FIN and its ACK both ways, begun by this side.
    pub fn close(self, way: Way) -> Self {
        self.fin(way).ack(way.back()).fin(way.back()).ack(way)
    }

    /// Sends the last segment with data, SYN or FIN again, octet for octet, in the direction of the last step.
    pub fn again(self) -> Self {
        let way = self.steps.last().map_or(C2S, |s| s.way);
        self.repeat(way)
    }

    /// Sends the last data segment of this direction again.
    pub fn repeat(mut self, way: Way) -> Self {
        self.settle();
        let index = self.ends[way as usize]
            .last_data
            .expect("something was sent that can be repeated");
        let old = self.steps[index].packet.clone();
        self.step(way, old.flags, &old.payload, Some(old.seq))
    }

    // ---- the fate of the last step ----

    /// It was sent and received, but the capture missed it.
    pub fn unseen(mut self) -> Self {
        self.last_step().captured = false;
        self
    }

    /// It was captured, and never received.
    pub fn lost(mut self) -> Self {
        self.last_step().delivered = false;
        self
    }

    /// Its checksum field.
    pub fn checksum(mut self, checksum: Checksum) -> Self {
        self.last_step().packet.checksum = checksum;
        self
    }

    /// Its IPv4 identification.
    pub fn ip_id(mut self, id: u16) -> Self {
        self.last_step().ip_id = Some(id);
        self
    }

    /// Whatever else is to be odd about it.
    pub fn with(mut self, change: impl FnOnce(&mut Packet)) -> Self {
        change(&mut self.last_step().packet);
        self
    }

    // ---- result ----

    /// All steps, in order.
    pub fn steps(mut self) -> Vec<Step> {
        self.settle();
        self.steps
    }

    /// Time of the last step.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// Sequence number of the next octet that this side sends.
    pub fn next_seq(&self, way: Way) -> u32 {
        let end = &self.ends[way as usize];
        end.isn.wrapping_add(end.nxt as u32)
    }

    /// Captured frames so far.
    pub fn captured(&self) -> usize {
        self.steps.iter().filter(|s| s.captured).count()
    }

    fn last_step(&mut self) -> &mut Step {
        self.steps.last_mut().expect("a step before its fate")
    }

    /// Carries out what the last step means for its receiver.
    fn settle(&mut self) {
        let Some(step) = self.open.take().and_then(|i| self.steps.get(i)) else {
            return;
        };
        if !step.delivered {
            return;
        }
        let packet = &step.packet;
        let from = u64::from(packet.seq.wrapping_sub(self.ends[step.way as usize].isn));
        // Offsets past 4 GiB in one conversation are beyond what a test builds.
        let length = sequence_length(packet);
        let tsval = timestamp_of(&packet.options);
        let receiver = &mut self.ends[step.way.back() as usize];
        if length > 0 {
            receiver.receive(from, from + length);
        }
        if let Some(tsval) = tsval {
            receiver.echo = tsval;
        }
    }

    fn step(mut self, way: Way, flags: u16, octets: &[u8], seq: Option<u32>) -> Self {
        self.settle();
        if self.exact {
            self.exact = false;
        } else if self.last == Some(way) {
            self.now += self.gap;
        } else {
            self.now += self.turn[way as usize];
        }
        self.last = Some(way);

        let me = &self.ends[way as usize];
        let peer = &self.ends[way.back() as usize];
        let ack = if flags & ACK == 0 {
            0
        } else {
            peer.isn.wrapping_add(me.rcv_nxt() as u32)
        };
        let packet = Packet {
            from: me.host,
            to: peer.host,
            ports: [me.port, peer.port],
            seq: seq.unwrap_or_else(|| me.isn.wrapping_add(me.nxt as u32)),
            ack,
            flags,
            window: me.window,
            options: self.options(way, flags),
            payload: octets.to_vec(),
            checksum: me.checksum,
            vlans: self.vlans.clone(),
            dont_fragment: true,
            ecn: 0,
            total_length_zero: false,
        };
        let length = sequence_length(&packet);
        let index = self.steps.len();
        let me = &mut self.ends[way as usize];
        if length > 0 {
            if seq.is_none() {
                me.nxt += length;
            }
            me.last_data = Some(index);
        }
        self.steps.push(Step {
            time: self.now,
            packet,
            way,
            captured: true,
            ip_id: None,
            delivered: true,
        });
        self.open = Some(index);
        self
    }

    /// Options in the order that Windows writes them in a SYN: MSS, window scale, timestamps, SACK permitted.
    fn options(&self, way: Way, flags: u16) -> Vec<u8> {
        let me = &self.ends[way as usize];
        let peer = &self.ends[way.back() as usize];
        let mut out = Vec::new();
        let stamp = |out: &mut Vec<u8>| {
            out.extend_from_slice(&[1, 1, 8, 10]);
            out.extend_from_slice(&((self.now / 1_000_000) as u32).to_be_bytes());
            out.extend_from_slice(&me.echo.to_be_bytes());
        };
        if flags & SYN != 0 {
            out.extend_from_slice(&[2, 4]);
            out.extend_from_slice(&me.mss.to_be_bytes());
            if let Some(shift) = me.window_scale {
                out.extend_from_slice(&[1, 3, 3, shift]);
            }
            if me.timestamps {
                stamp(&mut out);
            }
            if me.sack {
                out.extend_from_slice(&[1, 1, 4, 2]);
            }
            return out;
        }
        if me.timestamps && peer.timestamps {
            stamp(&mut out);
        }
        if me.sack && peer.sack {
            let nxt = me.rcv_nxt();
            let most = if me.timestamps { 3 } else { 4 };
            let blocks: Vec<_> = me
                .received
                .iter()
                .rev()
                .filter(|&&(from, _)| from > nxt)
                .take(most)
                .collect();
            if !blocks.is_empty() {
                out.extend_from_slice(&[1, 1, 5, 2 + 8 * blocks.len() as u8]);
                for &&(from, to) in &blocks {
                    for edge in [from, to] {
                        let number = peer.isn.wrapping_add(edge as u32);
                        out.extend_from_slice(&number.to_be_bytes());
                    }
                }
            }
        }
        out
    }
}

/// Sequence numbers that a packet takes up (RFC 9293 section 3.4).
fn sequence_length(packet: &Packet) -> u64 {
    packet.payload.len() as u64
        + u64::from(packet.flags & SYN != 0)
        + u64::from(packet.flags & FIN != 0)
}

/// TSval, where the builder put it.
fn timestamp_of(options: &[u8]) -> Option<u32> {
    let at = options.windows(2).position(|w| w == [8, 10])?;
    options
        .get(at + 2..at + 6)
        .map(|v| u32::from_be_bytes([v[0], v[1], v[2], v[3]]))
}
