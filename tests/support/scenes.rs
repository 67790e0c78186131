//! Small captures, each with one thing wrong: what calls for the rules, and what nearly does.
//!
//! Takes:  what departs from health: a reply, a delay, a status, a lost segment
//! Gives:  a [`Scene`] of the hosts [`CLIENT`] and [`SERVER`], captured beside the client unless the name says otherwise
//! Never:  lets TTLs or names tell what the hosts run: that is for the rows that use a scene

use std::net::{IpAddr, Ipv4Addr};

use super::convo::{C2S, Convo, S2C, Way};
use super::scene::Scene;
use super::wire::{Checksum, Host, Packet, fold, sum};

/// The client, or the sender.
pub const CLIENT: &str = "192.0.2.1";
/// The server.
pub const SERVER: &str = "192.0.2.25";

/// One second, in nanoseconds.
const SECOND: i64 = 1_000_000_000;
/// When all scenes begin: 14 November 2023. Ages of drivers count up to their end.
const START: i64 = 1_700_000_000 * SECOND;

/// A host of the scene's network. A TTL of 200 is nobody's.
pub fn host(last: u8) -> Host {
    Host {
        addr: IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)),
        mac: [2, 0, 0, 0, 0, last],
        ttl: 200,
        local: false,
    }
}

/// A conversation of the client with a port of the server, some milliseconds apart.
pub fn to(port: u16) -> Convo {
    between(1, 49_152, 25, port)
}

/// A conversation of two hosts, captured beside the client.
pub fn between(client: u8, client_port: u16, server: u8, port: u16) -> Convo {
    Convo::between(host(client), client_port, host(server), port)
        .rtt_us(100, 4_000)
        .at(START + i64::from(client_port) * 1_000_000)
}

/// One conversation alone.
pub fn of(convo: Convo) -> Scene {
    all([convo])
}

/// Several conversations.
pub fn all(convos: impl IntoIterator<Item = Convo>) -> Scene {
    let mut scene = Scene::new();
    for convo in convos {
        scene.add(convo);
    }
    scene
}

// ---- TCP ----

/// A page asked for and given, without a fault: 40 segments.
pub fn healthy() -> Scene {
    of(page(to(80).handshake()).close(C2S))
}

fn page(convo: Convo) -> Convo {
    convo
        .send(C2S, b"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
        .stream(S2C, &[b'x'; 58_400])
}

/// A capture that begins in the middle of five connections.
pub fn mid_stream() -> Scene {
    all((0..5u16).map(|n| {
        between(1, 49_152 + n, 25, 80)
            .syn()
            .unseen()
            .syn_ack()
            .unseen()
            .ack(C2S)
            .unseen()
            .send(C2S, b"GET / HTTP/1.1\r\n\r\n")
            .send(S2C, b"HTTP/1.1 204 No Content\r\n\r\n")
            .ack(C2S)
    }))
}

/// Uploads, with every `nth` segment lost and sent again after three duplicate ACKs.
pub fn loss(nth: usize) -> Scene {
    loss_reported(nth, 0)
}

/// The same; the numbers in the receiver's SACK blocks are so far off.
pub fn loss_reported(nth: usize, off: u32) -> Scene {
    let shift = |p: &mut Packet| {
        if let Some(at) = p.options.windows(2).position(|w| w == [1, 5]) {
            let (_, edges) = p.options.split_at_mut(at + 3);
            for edge in edges.chunks_exact_mut(4) {
                let number = u32::from_be_bytes(edge.try_into().unwrap());
                edge.copy_from_slice(&number.wrapping_add(off).to_be_bytes());
            }
        }
    };
    let mut convo = to(80).handshake();
    for n in 1..=600usize {
        convo = convo.send(C2S, &[n as u8; 1_460]);
        if n % nth == 0 {
            let missing = convo.next_seq(C2S).wrapping_sub(1_460);
            convo = convo.lost();
            for _ in 0..3 {
                convo = convo.send(C2S, &[1; 1_460]).ack(S2C).with(shift);
            }
            convo = convo
                .send(C2S, &[n as u8; 1_460])
                .with(|p| p.seq = missing)
                .ack(S2C)
                .with(shift);
        } else if n % 2 == 0 {
            convo = convo.ack(S2C).with(shift);
        }
    }
    // The farewell would bear blocks of its own.
    of(if off == 0 { convo.close(C2S) } else { convo })
}

/// A sender whose segments leave with this checksum: the first of four connections has one repeated eight times that nobody
/// acknowledges, or acknowledges at once.
pub fn checksums(checksum: Checksum, acknowledged: bool) -> Scene {
    let other = |n: u16| {
        let mut convo = between(1, 50_000 + n, 26, 25)
            .checksums(C2S, checksum)
            .handshake();
        for _ in 0..6 {
            convo = convo.send(C2S, &[b'a'; 400]).ack(S2C).wait_ms(20);
        }
        convo.close(C2S)
    };
    let mut bad = to(25)
        .checksums(C2S, checksum)
        .handshake()
        .send(S2C, b"220 mail.example.com ready\r\n")
        .send(C2S, b"EHLO client.example.com\r\n")
        .send(S2C, b"250 mail.example.com\r\n")
        .send(C2S, b"MAIL FROM:<a@example.com>\r\n");
    if acknowledged {
        bad = bad.send(S2C, b"250 2.1.0 Sender OK\r\n").ack(C2S);
    } else {
        bad = bad.lost();
        for n in 0..7 {
            bad = bad.wait_ms(300 << n).repeat(C2S).lost();
        }
        bad = bad.wait_ms(300 << 7).rst(C2S);
    }
    let mut scene = all((0..3).map(other));
    scene.add(bad);
    scene
}

/// Segments that arrive with a wrong checksum, captured beside their receiver, each followed by a good copy.
pub fn corruption(count: usize) -> Scene {
    let mut convo = to(80).rtt_us(20_000, 100).handshake();
    for n in 0..60usize {
        convo = convo.send(C2S, &[n as u8; 1_000]);
        if n < count * 5 && n % 5 == 4 {
            convo = convo
                .checksum(Checksum::Wrong)
                .lost()
                .wait_ms(250)
                .repeat(C2S);
        }
        convo = convo.ack(S2C);
    }
    of(convo.close(C2S))
}

/// Segments that arrive whole beside their receiver, which asks for each until it comes again.
pub fn passed_over(count: usize) -> Scene {
    let mut convo = to(80).rtt_us(20_000, 100).handshake();
    for n in 0..count {
        convo = convo.send(C2S, &[n as u8; 1_000]);
        let missing = convo.next_seq(C2S).wrapping_sub(1_000);
        convo = convo.lost();
        for _ in 0..3 {
            convo = convo.send(C2S, &[1; 1_000]).ack(S2C);
        }
        convo = convo
            .wait_ms(20)
            .send(C2S, &[n as u8; 1_000])
            .with(|p| p.seq = missing)
            .ack(S2C);
    }
    of(convo.close(C2S))
}

/// A transfer under which full-size segments never pass while small ones do.
pub fn black_hole(mss: u16, small: bool) -> Scene {
    let convo = to(80).mss(mss).handshake();
    let mut convo = convo.send(C2S, b"POST / HTTP/1.1\r\n\r\n").ack(S2C);
    convo = convo
        .send(C2S, &vec![b'x'; if small { 200 } else { usize::from(mss) }])
        .lost();
    for n in 0..5 {
        convo = convo.wait_ms(300 << n).repeat(C2S).lost();
    }
    of(convo.wait_ms(10_000).rst(C2S))
}

/// Every `nth` of 80 segments shows twice: within microseconds, as a mirror port makes it, or as far apart as a loop in the network
/// does.
pub fn twice(nth: u16, micros: i64) -> Scene {
    let mut convo = to(80).handshake();
    for n in 0..80u16 {
        convo = convo.send(C2S, &[n as u8; 900]).ip_id(100 + n);
        if n % nth == 0 {
            let now = convo.now();
            convo = convo.at(now + micros * 1_000).repeat(C2S).ip_id(100 + n);
        }
        convo = convo.wait_ms(3).ack(S2C);
    }
    of(convo.close(C2S))
}

/// A transfer whose round trip grows tenfold while it runs, or does not.
pub fn queue(grows: bool) -> Scene {
    let mut convo = to(80).rtt_us(100, 20_000).handshake();
    for n in 0..200 {
        convo = convo.send(C2S, &[b'x'; 1_460]);
        if grows {
            convo = convo.wait_ms(i64::from(n.min(40)) * 8);
        }
        convo = convo.ack(S2C);
    }
    of(convo.close(C2S))
}

/// Transfers that all stand still for so many milliseconds, with repeats into the silence.
pub fn outage(millis: i64) -> Scene {
    all((0..4u16).map(|n| {
        let mut convo = between(1, 49_152 + n, 25, 80).handshake();
        for _ in 0..10 {
            convo = convo.send(C2S, &[b'x'; 1_000]).ack(S2C);
        }
        if millis > 0 {
            convo = convo.send(C2S, &[b'y'; 1_000]).lost();
            convo = convo
                .wait_ms(millis / 4)
                .repeat(C2S)
                .lost()
                .wait_ms(millis * 3 / 4)
                .repeat(C2S)
                .ack(S2C);
        }
        for _ in 0..10 {
            convo = convo.send(C2S, &[b'x'; 1_000]).ack(S2C);
        }
        convo.close(C2S)
    }))
}

/// Segments sent again 20 ms later although they had arrived, as D-SACKs say (RFC 2883).
pub fn needless(repeats: bool) -> Scene {
    let mut convo = to(80).rtt_us(100, 40_000).handshake();
    for n in 0..40 {
        convo = convo.send(C2S, &[b'x'; 1_000]);
        if repeats && n % 2 == 0 {
            let end = convo.next_seq(C2S);
            let block = [end.wrapping_sub(1_000).to_be_bytes(), end.to_be_bytes()].concat();
            convo = convo.wait_ms(20).repeat(C2S).ack(S2C);
            convo = convo
                .ack(S2C)
                .with(|p| p.options = [&[1, 1, 5, 10], &block[..]].concat());
        } else {
            convo = convo.ack(S2C);
        }
    }
    of(convo.close(C2S))
}

/// What a device takes out of the SYNs, or out of all that follows.
#[derive(Clone, Copy, Debug)]
pub enum Stripped {
    Scale,
    Sack,
    Stamps,
    Nothing,
}

/// Connections through a device that takes a TCP option out.
pub fn stripped(what: Stripped) -> Scene {
    all((0..3u16).map(|n| {
        let convo = between(1, 49_152 + n, 25, 80).timestamps(true);
        let server = if matches!(what, Stripped::Scale) {
            None
        } else {
            Some(7)
        };
        let convo = convo
            .window_scale(Some(7), server)
            .sack(!matches!(what, Stripped::Sack));
        let mut convo = convo.handshake();
        for _ in 0..6 {
            convo = convo.send(C2S, &[b'x'; 500]);
            if matches!(what, Stripped::Stamps) {
                convo = convo.with(|p| p.options.clear());
            }
            convo = convo.ack(S2C);
        }
        convo.close(C2S)
    }))
}

/// A transfer to a mail server whose client pauses most of the time.
pub fn pauses(port: u16) -> Scene {
    let mut convo = if port == 25 {
        say(greeted(to(25), EXCHANGE), &message(0)[..3])
    } else {
        to(port)
            .handshake()
            .send(C2S, b"POST / HTTP/1.1\r\nContent-Length: 80000\r\n\r\n")
    };
    for _ in 0..20 {
        convo = convo.ack(S2C).wait_ms(400).stream(C2S, &[b'x'; 4_000]);
    }
    if port == 25 {
        return of(quit(say(
            convo,
            &[("\r\n.", 0, "250 2.6.0 Queued mail for delivery")],
        )));
    }
    of(convo
        .send(S2C, b"HTTP/1.1 204 No Content\r\n\r\n")
        .close(C2S))
}

/// A file opened over SMB 1.
pub fn smb1() -> Scene {
    of(super::made::dialogs::smb(
        to(445),
        &mut super::made::random::Random(7),
        "FILES",
        4,
    ))
}

/// SYNs to a host, and what comes of them.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    Refused,
    Nothing,
    /// The third SYN is answered.
    Late,
    /// The third SYN is answered, and it is the first without ECN.
    WithoutEcn,
    AtOnce,
}

/// A connection attempt, four times, an hour's distance from port to port.
pub fn attempts(port: u16, answer: Answer) -> Scene {
    all((0..4u16).map(|n| {
        let convo = between(1, 49_152 + n * 100, 25, port);
        attempt(convo, answer)
    }))
}

fn attempt(convo: Convo, answer: Answer) -> Convo {
    use super::wire::{CWR, ECE};
    let open = |convo: Convo| {
        convo
            .syn_ack()
            .ack(C2S)
            .send(C2S, b"hello\r\n")
            .ack(S2C)
            .close(C2S)
    };
    match answer {
        Answer::Refused => convo.syn().rst(S2C),
        Answer::Nothing => convo
            .syn()
            .lost()
            .wait_ms(3_000)
            .again()
            .lost()
            .wait_ms(6_000)
            .again()
            .lost(),
        Answer::Late => open(
            convo
                .syn()
                .lost()
                .wait_ms(3_000)
                .again()
                .lost()
                .wait_ms(6_000)
                .again(),
        ),
        Answer::WithoutEcn => {
            let ecn = |c: Convo| c.with(|p| p.flags |= ECE | CWR).lost();
            let convo = ecn(ecn(convo.syn()).wait_ms(3_000).again());
            open(
                convo
                    .wait_ms(6_000)
                    .again()
                    .with(|p| p.flags &= !(ECE | CWR)),
            )
        }
        Answer::AtOnce => open(convo.syn()),
    }
}

/// Connections, silent for so many seconds, that a reset of this TTL then ends.
pub fn reset_after(seconds: i64, ttl: u8) -> Scene {
    all((0..3u16).map(|n| {
        between(1, 49_152 + n, 25, 8080)
            .handshake()
            .send(C2S, &[b'q'; 200])
            .send(S2C, &[b'a'; 900])
            .ack(C2S)
            .wait_ms(seconds * 1_000)
            .rst(S2C)
            .with(|p| p.from.ttl = ttl)
    }))
}

/// A sender that fills the receiver's window and waits, round after round.
pub fn window_limited(scale: Option<u8>, window: u16) -> Scene {
    let mut convo = to(80)
        .rtt_us(100, 80_000)
        .window_scale(Some(8), scale)
        .window(S2C, window)
        .handshake();
    for _ in 0..30 {
        for _ in 0..u32::from(window) / 1_460 {
            convo = convo.send(C2S, &[b'x'; 1_460]);
        }
        convo = convo
            .send(C2S, &vec![b'x'; usize::from(window % 1_460)])
            .ack(S2C);
    }
    of(convo.close(C2S))
}

/// A sender that stops at 8,192 octets each round trip, seen beside a receiver that offers 65,000 and more.
pub fn window_lowered() -> Scene {
    let mut convo = to(80)
        .rtt_us(80_000, 100)
        .window_scale(Some(8), Some(10))
        .window(S2C, 65)
        .handshake();
    for _ in 0..40 {
        for _ in 0..5 {
            convo = convo.send(C2S, &[b'x'; 1_460]);
        }
        convo = convo.send(C2S, &[b'x'; 892]).ack(S2C);
    }
    of(convo.close(C2S))
}

/// A receiver that shuts its window for this long, three times.
pub fn shut(millis: i64) -> Scene {
    let mut convo = to(80).handshake();
    for _ in 0..3 {
        convo = convo.send(C2S, &[b'x'; 1_460]).send(C2S, &[b'x'; 1_460]);
        if millis > 0 {
            convo = convo
                .window(S2C, 0)
                .ack(S2C)
                .wait_ms(millis)
                .window(S2C, 65_535)
                .ack(S2C);
        } else {
            convo = convo.ack(S2C);
        }
    }
    of(convo.close(C2S))
}

/// Small writes that wait for the other end's delayed acknowledgement.
pub fn delayed_ack(millis: i64) -> Scene {
    let mut convo = to(80).handshake();
    for _ in 0..10 {
        convo = convo
            .send(C2S, b"head")
            .wait_ms(millis)
            .ack(S2C)
            .send(C2S, b"body")
            .ack(S2C)
            .send(S2C, b"done")
            .ack(C2S);
    }
    of(convo.close(C2S))
}

/// Answers that come this late.
pub fn late_answers(millis: i64) -> Scene {
    let mut convo = to(80).handshake();
    for _ in 0..5 {
        convo = convo
            .send(C2S, b"GET / HTTP/1.1\r\nHost: www.example.com\r\n\r\n")
            .ack(S2C)
            .wait_ms(millis)
            .send(S2C, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .ack(C2S);
    }
    of(convo.close(C2S))
}

// ---- SMTP ----

/// Greetings of mail servers.
pub const EXCHANGE: &str =
    "220 mail.example.com Microsoft ESMTP MAIL Service ready at Tue, 5 Jan 2010 15:22:00 +0000";
pub const POSTFIX: &str = "220 mail.example.com ESMTP Postfix";
pub const EXIM: &str = "220 mail.example.com ESMTP Exim 4.94 Tue, 05 Jan 2010 15:22:00 +0000";
pub const SENDMAIL: &str =
    "220 mail.example.com ESMTP Sendmail 8.15.2; Tue, 5 Jan 2010 15:22:00 GMT";
pub const IIS: &str = "220 mail.example.com Microsoft ESMTP MAIL Service, Version: 8.5.9600.16384 ready at Tue, 5 Jan 2010";

/// A command, how late its reply comes in milliseconds, and the reply.
pub type Said<'a> = (&'a str, i64, &'a str);

/// The greeting and EHLO of a session.
fn greeted(convo: Convo, banner: &str) -> Convo {
    convo
        .handshake()
        .send(S2C, format!("{banner}\r\n").as_bytes())
        .send(C2S, b"EHLO client.example.com\r\n")
        .send(
            S2C,
            b"250-mail.example.com Hello\r\n250-SIZE\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
        )
}

fn say(mut convo: Convo, said: &[Said<'_>]) -> Convo {
    for (command, millis, reply) in said {
        convo = convo.send(C2S, format!("{command}\r\n").as_bytes());
        if *millis > 0 {
            convo = convo.ack(S2C).wait_ms(*millis);
        }
        convo = convo.send(S2C, format!("{reply}\r\n").as_bytes());
    }
    convo
}

fn quit(convo: Convo) -> Convo {
    say(convo, &[("QUIT", 0, "221 2.0.0 Closing")]).close(S2C)
}

/// One session with these commands between EHLO and QUIT.
pub fn smtp(banner: &str, said: &[Said<'_>]) -> Scene {
    of(quit(say(greeted(to(25), banner), said)))
}

/// A message, taken so late after its end.
pub const fn message(millis: i64) -> [Said<'static>; 4] {
    [
        ("MAIL FROM:<a@example.com>", 0, "250 2.1.0 Sender OK"),
        ("RCPT TO:<b@example.com>", 0, "250 2.1.5 Recipient OK"),
        ("DATA", 0, "354 Start mail input"),
        (
            "Subject: x\r\n\r\nx\r\n.",
            millis,
            "250 2.6.0 Queued mail for delivery",
        ),
    ]
}

/// The same refused command over and over.
pub fn refused(banner: &str, command: &str, millis: i64, reply: &str) -> Scene {
    let said = [(command, millis, reply); 6];
    smtp(banner, &said)
}

/// Greetings that come so late, three times.
pub fn late_greeting(banner: &str, millis: i64) -> Scene {
    all((0..3u16).map(|n| {
        let convo = between(1, 49_152 + n * 20, 25, 25)
            .handshake()
            .wait_ms(millis);
        let convo = convo.send(S2C, format!("{banner}\r\n").as_bytes());
        quit(say(
            convo,
            &[("EHLO client.example.com", 0, "250 mail.example.com")],
        ))
    }))
}

/// Adds what the server does while its greetings of [`late_greeting`] wait: look-ups of the client's name that nobody answers,
/// or ident connections that nobody takes.
pub fn meanwhile(mut scene: Scene, ident: bool) -> Scene {
    for n in 0..3u16 {
        let at = START + i64::from(49_152 + n * 20) * 1_000_000 + 50_000_000;
        if ident {
            scene.add(attempt(
                between(25, 40_000 + n, 1, 113).at(at),
                Answer::Nothing,
            ));
        } else {
            let mut query = vec![0, n as u8, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            for label in ["1", "2", "0", "192", "in-addr", "arpa"] {
                query.push(label.len() as u8);
                query.extend_from_slice(label.as_bytes());
            }
            query.extend_from_slice(&[0, 0, 12, 0, 1]);
            for again in 0..2 {
                scene.add_frame(at + again * SECOND, udp(25, 53_000 + n, 53, 53, &query));
            }
        }
    }
    scene
}

/// A UDP packet between two hosts of the scene.
pub fn udp(from: u8, from_port: u16, to: u8, to_port: u16, payload: &[u8]) -> Vec<u8> {
    let (from, to) = (host(from), host(to));
    let mut out = [&to.mac[..], &from.mac, &[8, 0]].concat();
    let length = 28 + payload.len() as u16;
    let start = out.len();
    out.extend_from_slice(&[0x45, 0]);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&[0, 1, 0, 0, 200, 17, 0, 0]);
    for host in [from, to] {
        if let IpAddr::V4(addr) = host.addr {
            out.extend_from_slice(&addr.octets());
        }
    }
    let check = !fold(sum(&out[start..]));
    out[start + 10..start + 12].copy_from_slice(&check.to_be_bytes());
    for word in [from_port, to_port, length - 20, 0] {
        out.extend_from_slice(&word.to_be_bytes());
    }
    out.extend_from_slice(payload);
    out
}

/// Many connections of the client at once: so many run, and the last ones are turned away with this.
pub fn turned_away(banner: &str, running: u16, reply: &str) -> Scene {
    let mut scene = Scene::new();
    for n in 0..running {
        let convo = greeted(
            between(1, 50_000 + n, 25, 25).at(START + i64::from(n) * 1_000_000),
            banner,
        );
        scene.add(quit(convo.wait_ms(30_000)));
    }
    for n in 0..12u16 {
        let convo =
            between(1, 51_000 + n, 25, 25).at(START + i64::from(5_000 + n * 100) * 1_000_000);
        scene.add(
            convo
                .handshake()
                .send(S2C, format!("{reply}\r\n").as_bytes())
                .close(S2C),
        );
    }
    scene
}

/// A connection for every message, so many of them; or all messages over one.
pub fn messages(connections: u16) -> Scene {
    if connections == 1 {
        let mut convo = greeted(to(25), EXCHANGE);
        for _ in 0..20 {
            convo = say(convo, &message(0));
        }
        return of(quit(convo));
    }
    all((0..connections).map(|n| {
        let convo = between(1, 49_152 + n * 200, 25, 25).rtt_us(100, 40_000);
        quit(say(greeted(convo, EXCHANGE), &message(0)))
    }))
}

/// STARTTLS, and an alert in answer to the client's hello; or a refusal of the command alone.
pub fn tls(alert: bool) -> Scene {
    let convo = greeted(to(25), EXCHANGE);
    if !alert {
        return of(quit(say(convo, &[("STARTTLS", 0, "502 5.5.1 not here")])));
    }
    let mut hello = vec![22, 3, 1, 0, 45, 1, 0, 0, 41, 3, 3];
    hello.resize(11 + 32, 7);
    hello.extend_from_slice(&[0, 0, 2, 0, 47, 1, 0]);
    of(say(convo, &[("STARTTLS", 0, "220 2.0.0 go ahead")])
        .send(C2S, &hello)
        .send(S2C, &[21, 3, 1, 0, 2, 2, 70])
        .close(S2C))
}

/// Sessions that end in the middle of the message, by this end, with a reset or after a silence.
pub fn dropped(by: Way, ttl: u8) -> Scene {
    all((0..3u16).map(|n| {
        let convo = say(
            greeted(between(1, 49_152 + n, 25, 25), EXCHANGE),
            &message(0)[..3],
        );
        convo
            .send(C2S, b"Subject: figures\r\n\r\n")
            .ack(S2C)
            .rst(by)
            .with(|p| p.from.ttl = ttl)
    }))
}

/// Sessions that the server ends after a silence of so many seconds, in the middle of the message.
pub fn timed_out(banner: &str, seconds: i64) -> Scene {
    all((0..3u16).map(|n| {
        let convo = say(
            greeted(between(1, 49_152 + n, 25, 25), banner),
            &message(0)[..3],
        );
        convo
            .send(C2S, b"Subject: figures\n\nfigures\n.\n")
            .ack(S2C)
            .wait_ms(seconds * 1_000)
            .send(S2C, b"421 4.4.2 timeout exceeded\r\n")
            .close(S2C)
    }))
}

/// EHLO keywords and verbs that only Exchange servers use, towards an address behind which names change.
pub fn exchange_to_exchange(names: &[&str]) -> Scene {
    all(names.iter().zip(0u16..).map(|(name, n)| {
        let convo = between(1, 49_152 + n * 300, 25, 25)
            .handshake()
            .send(S2C, format!("220 {name} Microsoft ESMTP MAIL Service ready\r\n").as_bytes())
            .send(C2S, b"EHLO hub1.example.com\r\n")
            .send(
                S2C,
                format!("250-{name} Hello\r\n250-X-ANONYMOUSTLS\r\n250-X-EXPS GSSAPI NTLM\r\n250 XSHADOW\r\n").as_bytes(),
            );
        let convo = say(convo, &[("X-EXPS GSSAPI", 0, "334 GSSAPI supported"), ("AAAA", 0, "235 2.7.0 ok")]);
        quit(say(convo, &message(0)))
    }))
}

// ---- SMB ----

/// SMB2 commands.
pub const NEGOTIATE: u16 = 0;
pub const SESSION_SETUP: u16 = 1;
pub const CREATE: u16 = 5;
pub const CLOSE: u16 = 6;
pub const READ: u16 = 8;

/// An SMB2 message in its NetBIOS session message; a response where `status` is given ([MS-SMB2] section 2.2.1.2).
pub fn smb2(command: u16, id: u64, status: Option<u32>, credits: u16, body: &[u8]) -> Vec<u8> {
    let mut all = b"\xFESMB\x40\0\x01\0".to_vec();
    all.extend(status.unwrap_or(0).to_le_bytes());
    all.extend(command.to_le_bytes());
    all.extend(credits.to_le_bytes());
    all.extend(u32::from(status.is_some()).to_le_bytes());
    all.extend(0u32.to_le_bytes());
    all.extend(id.to_le_bytes());
    all.resize(64, 0);
    all.extend(body);
    let mut out = (all.len() as u32).to_be_bytes().to_vec();
    out.extend(all);
    out
}

/// The negotiation of a dialect: 0x0311 is 3.1.1.
fn negotiated(convo: Convo, dialect: u16) -> Convo {
    let mut offer = vec![36, 0, 1, 0];
    offer.resize(36, 0);
    offer.extend(dialect.to_le_bytes());
    let mut agreed = vec![65, 0, 1, 0];
    agreed.extend(dialect.to_le_bytes());
    agreed.extend([1, 0]);
    agreed.resize(24, 0);
    agreed.extend(8u32.to_le_bytes());
    agreed.extend([0, 0, 0x10, 0].repeat(3));
    agreed.resize(64, 0);
    convo
        .handshake()
        .send(C2S, &smb2(NEGOTIATE, 0, None, 1, &offer))
        .send(S2C, &smb2(NEGOTIATE, 0, Some(0), 1, &agreed))
}

/// A request answered so late with this status, so many times.
pub fn smb(command: u16, millis: i64, status: u32, times: u64) -> Scene {
    of(smb_calls(negotiated(to(445), 0x0311), command, millis, status, times).close(C2S))
}

fn smb_calls(mut convo: Convo, command: u16, millis: i64, status: u32, times: u64) -> Convo {
    let body = |size: usize| {
        let mut body = vec![size as u8 | 1, 0];
        body.resize(size, 0);
        body
    };
    for id in 1..=times {
        convo = convo.send(C2S, &smb2(command, id, None, 1, &body(56)));
        if millis > 0 {
            convo = convo.ack(S2C).wait_ms(millis);
        }
        convo = convo.send(S2C, &smb2(command, id, Some(status), 1, &body(8)));
    }
    convo
}

/// A session that meets this status and then ends with a reset.
pub fn smb_broken(status: u32, reset: bool) -> Scene {
    let convo = smb_calls(negotiated(to(445), 0x0311), CREATE, 0, status, 12);
    of(if reset {
        convo
            .send(C2S, &smb2(CREATE, 40, None, 1, &[57, 0]))
            .rst(S2C)
    } else {
        convo.close(C2S)
    })
}

/// A file read block by block over a path of this round trip.
pub fn smb_reads(octets: u32, rtt_ms: i64, times: u64, credits: u16) -> Scene {
    let mut convo = negotiated(to(445).rtt_us(100, rtt_ms * 1_000), 0x0311);
    for id in 1..=times {
        let mut ask = vec![49, 0, 0x50, 0];
        ask.extend(octets.to_le_bytes());
        ask.resize(49, 0);
        let mut answer = vec![17, 0, 80, 0];
        answer.extend(octets.to_le_bytes());
        answer.resize(16, 0);
        answer.resize(16 + octets as usize, 0xee);
        convo = convo
            .send(C2S, &smb2(READ, id, None, credits, &ask))
            .stream(S2C, &smb2(READ, id, Some(0), credits, &answer));
    }
    of(convo.close(C2S))
}

// ---- many servers ----

/// Attempts of the client at these minutes, of which the last alone is taken.
pub fn retries(minutes: &[i64], answer: Answer) -> Scene {
    all(minutes.iter().zip(0u16..).map(|(minute, n)| {
        attempt(
            between(1, 49_152 + n, 25, 25).at(START + minute * 60 * SECOND),
            answer,
        )
    }))
}

/// Connections over three servers, of which this many out of each round find the second dead and go to the next.
pub fn round_robin(rounds: u16, dead: bool) -> Scene {
    let mut scene = Scene::new();
    for n in 0..rounds * 3 {
        let at = START + i64::from(n) * 5 * SECOND;
        let mut server = 25 + (n % 3) as u8;
        let mut at_port = 49_152 + n * 2;
        let mut when = at;
        if dead && server == 26 {
            scene.add(attempt(
                between(1, at_port, 26, 25).at(when),
                Answer::Refused,
            ));
            server = 27;
            at_port += 1;
            when += 100_000_000;
        }
        let convo = between(1, at_port, server, 25).at(when);
        scene.add(quit(say(greeted(convo, EXCHANGE), &message(0))));
    }
    scene
}

/// Connections with a message to servers of one name, so many to each, by turns.
pub fn spread(counts: &[u16]) -> Scene {
    let most = counts.iter().copied().max().unwrap_or(0);
    let turns = (0..most).flat_map(|turn| {
        let left = counts.iter().zip(25u8..).filter(move |(n, _)| **n > turn);
        left.map(|(_, server)| server)
    });
    all(turns.zip(0u16..).map(|(server, n)| {
        let convo = between(1, 49_152 + n, server, 25).at(START + i64::from(n) * 5 * SECOND);
        quit(say(greeted(convo, EXCHANGE), &message(0)))
    }))
}

/// Connections to a cluster's address, which by turns are taken and refused; the address of the hardware is of this mode.
pub fn cluster(mac: [u8; 6], refused: &[bool]) -> Scene {
    let mut server = host(25);
    server.mac = mac;
    all(refused.iter().zip(0u16..).map(|(refused, n)| {
        let convo = Convo::between(host(1), 49_152 + n, server, 25)
            .rtt_us(100, 4_000)
            .at(START + i64::from(n) * 10 * SECOND);
        if *refused {
            attempt(convo, Answer::Refused)
        } else {
            quit(say(greeted(convo, EXCHANGE), &message(0)))
        }
    }))
}
