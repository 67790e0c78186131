//! Dialogs of each protocol by a list of operations, and the parsers below them.
//!
//! Takes:  operations: pieces, gaps, acknowledgements, leaps of the clock
//! Gives:  nothing; panics where a promise of the protocol stage is broken
//! Never:  judges what was understood: the tests beside the code do

use tcptriage::net::{Direction, FrameNo, Timestamp};
use tcptriage::proto::netbios::{self, Framer, Step};
use tcptriage::proto::smb::{records as smb, spnego};
use tcptriage::proto::smtp::records as smtp;
use tcptriage::proto::{self, Interest, Piece, Ports};

use super::ops::Ops;

use Direction::{ClientToServer as C2S, ServerToClient as S2C};

/// Kinds of operations; the direction stands in the bit above, a factor in the bits above that.
const GAP: u8 = 4;
const ACKED: u8 = 5;
const CLOCK: u8 = 6;
const CLOCK_BACK: u8 = 7;

/// Octets that go before each piece of a kind: the frame of the protocol, so that a fuzzer need not find it.
type Frame = fn(&[u8]) -> Vec<u8>;

/// The operations as pieces.
fn pieces(input: &[u8], frame: Frame, each: &mut dyn FnMut(Event<'_>)) {
    let mut offsets = [1_u64; 2];
    let (mut time, mut number) = (0_i64, 0);
    let mut ops = Ops(input);
    while let Some(control) = ops.octet() {
        let direction = if control & 8 == 0 { C2S } else { S2C };
        let offset = offsets[direction.index()];
        let factor = control >> 4;
        let amount = ops.small();
        let wide = u64::from(amount) << factor;
        number += 1;
        time += 1_000;
        let event = |octets| {
            Event::Piece(Piece {
                direction,
                offset,
                frame: FrameNo(number),
                sent: Timestamp(time),
                readable: Timestamp(time),
                octets,
            })
        };
        match control & 7 {
            GAP => {
                offsets[direction.index()] += wide;
                if wide > 0 {
                    each(event(Err(wide)));
                }
            }
            ACKED => {
                let upto = offset.saturating_sub(u64::from(amount >> 1));
                each(Event::Acked(direction, upto, Timestamp(time)));
            }
            CLOCK => time += i64::from(amount) << factor << 16,
            CLOCK_BACK => time -= i64::from(amount) << factor << 16,
            kind => {
                let octets = ops.take(usize::from(amount) << (factor & 3));
                let framed = if kind == 3 {
                    frame(octets)
                } else {
                    octets.to_vec()
                };
                offsets[direction.index()] += framed.len() as u64;
                if !framed.is_empty() {
                    each(event(Ok(&framed)));
                }
            }
        }
    }
}

/// One operation, ready to be played.
enum Event<'a> {
    Piece(Piece<'a>),
    Acked(Direction, u64, Timestamp),
}

/// One piece as an operation, the inverse of [`pieces`]; for seeds.
pub fn operation(direction: Direction, octets: &[u8]) -> Vec<u8> {
    let way = (direction.index() as u8) << 3;
    octets
        .chunks(255)
        .flat_map(|part| [&[way, part.len() as u8][..], part].concat())
        .collect()
}

/// Plays the operations to a new dialog behind an opening that tells the protocol.
fn play(port: u16, opening: &[(Direction, &[u8])], frame: Frame, input: &[u8]) {
    let mut ops = Ops(input);
    let bare = ops.small() & 1 == 1;
    let mut all = Vec::new();
    for (direction, octets) in opening.iter().filter(|_| !bare) {
        all.extend(operation(*direction, octets));
    }
    all.extend_from_slice(ops.0);
    for (client, server) in [(50_000, port), (port, 50_000)] {
        let mut dialog = proto::dialog(&Ports::default(), client, server);
        dialog.connected(FrameNo(1), Timestamp(0));
        let (mut wanted, mut time) = (true, Timestamp(0));
        pieces(&all, frame, &mut |event| match event {
            Event::Piece(piece) if wanted => {
                time = piece.sent;
                wanted = dialog.piece(piece) == Interest::Continue;
            }
            Event::Acked(direction, upto, at) if wanted => dialog.acked(direction, upto, at),
            _ => {}
        });
        let record = dialog.finish(time);
        assert!(record.said.len() <= 1_000, "lines of evidence are bounded");
        assert!(record.exchanges.len() <= 10_000);
    }
}

/// An SMTP dialog; and the readers of lines, on the input as it is.
pub fn smtp(input: &[u8]) {
    play(
        25,
        &[(S2C, b"220 m ESMTP\r\n"), (C2S, b"EHLO c\r\n")],
        line,
        input,
    );
    if let Some(command) = smtp::command(input) {
        let _ = smtp::bdat(command.argument);
        let _ = smtp::mechanism(command.argument);
        for addresses in [false, true] {
            let _ = smtp::evidence(input, &command, addresses);
        }
    }
    let _ = smtp::reply_line(input);
    let _ = smtp::is_plain_command(input);
    let _ = smtp::enhanced(input);
    let _ = smtp::text(input, false);
    let _ = smtp::received(input);
    let _ = smtp::date_time(input);
}

/// A line of SMTP.
fn line(octets: &[u8]) -> Vec<u8> {
    [octets, b"\r\n"].concat()
}

/// A message under NetBIOS's prefix.
fn session_message(magic: &[u8; 4], octets: &[u8]) -> Vec<u8> {
    let length = (magic.len() + octets.len()) as u32;
    [&length.to_be_bytes()[..], magic, octets].concat()
}

/// NEGOTIATE of SMB1: header, no words, one dialect.
const NEGOTIATE1: &[u8] = b"\0\0\0\x2f\xffSMB\x72\0\0\0\0\x18\x01\x28\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xfe\0\0\0\0\0\x0c\0\x02NT LM 0.12\0";

/// A dialog of SMB1.
pub fn smb1(input: &[u8]) {
    play(
        139,
        &[(C2S, NEGOTIATE1)],
        |o| session_message(b"\xffSMB", o),
        input,
    );
    smb_units(b"\xffSMB", input);
}

/// NEGOTIATE of SMB2: a header and 36 octets of body.
const NEGOTIATE2: &[u8] = b"\0\0\0\x66\xfeSMB\x40\0\0\0\0\0\0\0\0\0\x1f\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x24\0\x01\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02\x02";

/// A dialog of SMB2 and 3.
pub fn smb2(input: &[u8]) {
    play(
        445,
        &[(C2S, NEGOTIATE2)],
        |o| session_message(b"\xfeSMB", o),
        input,
    );
    smb_units(b"\xfeSMB", input);
}

/// The parsers of a message and of the tokens in it.
fn smb_units(magic: &[u8], input: &[u8]) {
    let message = [magic, input].concat();
    let _ = smb::wanted(&message);
    let _ = smb::unit(&message);
    let _ = spnego::is_spnego(input);
    let _ = spnego::mechanism(input);
    let _ = spnego::challenge(input);
    let _ = spnego::dialect_strings(input);
}

/// The framer of NetBIOS: what it hands on of a message fits into it, in order.
pub fn netbios(input: &[u8]) {
    let _ = netbios::starts_message(input);
    let mut framers = [Framer::default(), Framer::default()];
    let mut open: [Option<(u32, u32)>; 2] = [None, None];
    pieces(input, |o| session_message(b"\xfeSMB", o), &mut |event| {
        let Event::Piece(piece) = event else {
            return;
        };
        let index = piece.direction.index();
        framers[index].feed(&piece, &mut |step| match step {
            Step::Begin(length) => open[index] = Some((length, 0)),
            Step::Octets { at, octets } => {
                let (length, read) = open[index].expect("a message has begun");
                let end = at + octets.len() as u32;
                assert!(
                    at >= read && end <= length,
                    "octets of a message are in order, and its own"
                );
                open[index] = Some((length, end));
            }
            Step::End { .. } => {
                assert!(open[index].take().is_some(), "what ends has begun");
            }
            Step::Service(..) => assert!(open[index].is_none()),
        });
    });
}

/// BIND: header, sizes, no context.
const BIND: &[u8] = b"\x05\0\x0b\x03\x10\0\0\0\x1c\0\0\0\x01\0\0\0\xd0\x16\xd0\x16\0\0\0\0\0\0\0\0";

/// A dialog of DCE/RPC.
pub fn dcerpc(input: &[u8]) {
    play(135, &[(C2S, BIND)], pdu, input);
}

/// A PDU, little-endian, of the kind that the first octet tells.
fn pdu(octets: &[u8]) -> Vec<u8> {
    let mut ops = Ops(octets);
    let (kind, flags, call) = (ops.small() % 21, ops.small(), ops.small());
    let length = (16 + ops.0.len() as u16).to_le_bytes();
    [
        &[5, 0, kind, flags, 0x10, 0, 0, 0][..],
        &length,
        &[0, 0, call, 0, 0, 0],
        ops.0,
    ]
    .concat()
}

/// The head of a ClientHello.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\0\x2f\x01\0\0\x2b\x03\x03................................\0\0\x02\x13\x01\x01\0\0\0";

/// A flow of TLS.
pub fn tls(input: &[u8]) {
    play(443, &[(C2S, CLIENT_HELLO)], record, input);
}

/// A record of the kind that the first octet tells.
fn record(octets: &[u8]) -> Vec<u8> {
    let mut ops = Ops(octets);
    let kind = 20 + ops.small() % 4;
    let [high, low] = (ops.0.len() as u16).to_be_bytes();
    [&[kind, 3, 3, high, low][..], ops.0].concat()
}

/// Any octets on any port: the protocols are told apart by them.
pub fn unknown(input: &[u8]) {
    play(8080, &[], |o| o.to_vec(), input);
}
