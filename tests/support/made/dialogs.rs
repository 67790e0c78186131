//! Healthy dialogs as octets: SMTP as Exchange 2007 speaks it, SMB as Windows Server 2003 does, HTTP; and frames that are no TCP.
//!
//! [MS-CIFS] section 2.2.4, [MS-SMB] section 2.2.4.5.2 (negotiation with extended security), RFC 4178 (SPNEGO), RFC 5321.

use super::super::convo::{C2S, Convo, S2C};
use super::random::Random;

/// Text that mail bodies are filled with.
const FILLER: &[u8] =
    b"The quarterly figures are attached; please send your comments by Friday noon.\r\n";

/// The greeting of an Exchange 2007 hub. `clock` is the time of day that it names.
pub fn banner(host: &str, date: &str, clock: &str) -> Vec<u8> {
    format!("220 {host} Microsoft ESMTP MAIL Service ready at {date} {clock} +0000\r\n")
        .into_bytes()
}

/// The EHLO reply of an Exchange 2007 hub to a client at this address.
pub fn ehlo_reply(host: &str, client: &str) -> Vec<u8> {
    format!(
        "250-{host} Hello [{client}]\r\n250-SIZE\r\n250-PIPELINING\r\n250-DSN\r\n250-ENHANCEDSTATUSCODES\r\n\
         250-STARTTLS\r\n250-X-ANONYMOUSTLS\r\n250-AUTH GSSAPI NTLM LOGIN\r\n250-X-EXPS GSSAPI NTLM\r\n250-8BITMIME\r\n\
         250-BINARYMIME\r\n250-CHUNKING\r\n250 XEXCH50\r\n"
    )
    .into_bytes()
}

/// 2010-01-05 15:22 UTC in units of 100 ns since 1601 ([MS-DTYP] section 2.3.3): the time that SMB servers name.
const SYSTEM_TIME: u64 = (1_262_704_920 + 11_644_473_600) * 10_000_000;

/// A pause before a step, in microseconds: what a server on a quiet machine takes.
fn think(convo: Convo, random: &mut Random) -> Convo {
    convo.wait_us(random.range(40, 900))
}

/// One message sent and taken, from the handshake to the last ACK.
pub fn smtp(
    convo: Convo,
    random: &mut Random,
    server: &str,
    client: &str,
    clock: &str,
    octets: usize,
) -> Convo {
    let convo = convo
        .handshake()
        .send(S2C, &banner(server, "Tue, 5 Jan 2010", clock));
    let mut convo = think(convo, random)
        .send(C2S, format!("EHLO {client}\r\n").as_bytes())
        .send(S2C, &ehlo_reply(server, "192.168.24.34"));
    let id = random.draw() % 1_000_000;
    let message_id = format!("<{id:06}@{client}>");
    for (command, reply) in [
        (
            "MAIL FROM:<reports@testdomain.com>".to_owned(),
            "250 2.1.0 Sender OK".to_owned(),
        ),
        (
            "RCPT TO:<staff@testdomain.com>".to_owned(),
            "250 2.1.5 Recipient OK".to_owned(),
        ),
        (
            "DATA".to_owned(),
            "354 Start mail input; end with <CRLF>.<CRLF>".to_owned(),
        ),
    ] {
        convo = think(convo, random).send(C2S, format!("{command}\r\n").as_bytes());
        convo = think(convo, random).send(S2C, format!("{reply}\r\n").as_bytes());
    }
    let head = format!(
        "From: <reports@testdomain.com>\r\nTo: <staff@testdomain.com>\r\nSubject: Figures\r\nMessage-ID: {message_id}\r\n\r\n"
    );
    let mut mail = head.into_bytes();
    mail.extend(
        FILLER
            .iter()
            .cycle()
            .take(octets.saturating_sub(mail.len())),
    );
    mail.extend_from_slice(b"\r\n.\r\n");
    convo = think(convo, random).stream(C2S, &mail);
    convo = think(convo, random).send(
        S2C,
        format!("250 2.6.0 {message_id} Queued mail for delivery\r\n").as_bytes(),
    );
    convo = think(convo, random)
        .send(C2S, b"QUIT\r\n")
        .send(S2C, b"221 2.0.0 Service closing transmission channel\r\n");
    convo.close(S2C)
}

/// A page fetched.
pub fn http(convo: Convo, random: &mut Random, host: &str, pages: i64) -> Convo {
    let mut convo = convo.handshake();
    for page in 0..pages {
        let body = format!("<html><body>{page}: nothing new</body></html>\r\n");
        convo = convo.send(
            C2S,
            format!(
                "GET /status/{page} HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive\r\n\r\n"
            )
            .as_bytes(),
        );
        convo = think(convo, random).send(
            S2C,
            format!(
                "HTTP/1.1 200 OK\r\nServer: Microsoft-IIS/6.0\r\nContent-Type: text/html\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        );
        convo = convo.wait_us(random.range(200, 4_000));
    }
    convo.close(C2S)
}

/// A file opened and read in small pieces, from the handshake to the last ACK.
pub fn smb(convo: Convo, random: &mut Random, server: &str, reads: i64) -> Convo {
    let mut convo = convo
        .handshake()
        .send(C2S, &smb_negotiate())
        .send(S2C, &smb_negotiate_response(server, 0x42));
    let file = format!("\\\\{server}\\logs\0?????\0");
    let mut mid = 1;
    let mut exchange =
        |convo: Convo, random: &mut Random, command, status, ask: Body, answer: Body| {
            mid += 1;
            let convo = convo.wait_us(random.range(30, 300));
            let convo = convo.send(C2S, &smb_message(command, 0, false, mid, &ask));
            let convo = convo.wait_us(random.range(30, 400));
            convo.send(S2C, &smb_message(command, status, true, mid, &answer))
        };
    const SESSION_SETUP: u8 = 0x73;
    for (kind, status) in [(1u32, 0xc000_0016u32), (3, 0)] {
        let token = ntlm_message(kind);
        let mut ask = vec![0xff, 0, 0, 0, 0x04, 0x11, 10, 0, 0, 0, 0, 0, 0, 0];
        ask.extend_from_slice(&(token.len() as u16).to_le_bytes());
        ask.extend_from_slice(&[0, 0, 0, 0, 0xd4, 0, 0, 0x80]);
        let reply = if kind == 1 {
            ntlm_message(2)
        } else {
            Vec::new()
        };
        let mut answer = vec![0xff, 0, 0, 0, 0, 0];
        answer.extend_from_slice(&(reply.len() as u16).to_le_bytes());
        convo = exchange(
            convo,
            random,
            SESSION_SETUP,
            status,
            (
                ask,
                [
                    &token[..],
                    b"Windows Server 2003 3790\0Windows Server 2003 5.2\0",
                ]
                .concat(),
            ),
            (
                answer,
                [
                    &reply[..],
                    b"Windows Server 2003 3790\0Windows Server 2003 5.2\0",
                ]
                .concat(),
            ),
        );
    }
    convo = exchange(
        convo,
        random,
        0x75, // TREE_CONNECT_ANDX
        0,
        (
            vec![0xff, 0, 0, 0, 0, 0, 1, 0],
            [b"\0", file.as_bytes()].concat(),
        ),
        (vec![0xff, 0, 0, 0, 1, 0], b"A:\0NTFS\0".to_vec()),
    );
    convo = exchange(convo, random, 0xa2, 0, nt_create(), nt_create_response());
    for n in 0..reads {
        let count = random.range(8, 72) as u16;
        let mut ask = vec![0xff, 0, 0, 0, 0x01, 0x40];
        ask.extend_from_slice(&(n as u32 * 256).to_le_bytes());
        ask.extend_from_slice(&count.to_le_bytes());
        ask.extend_from_slice(&[0; 8]);
        let mut answer = vec![0xff, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0];
        answer.extend_from_slice(&count.to_le_bytes());
        answer.extend_from_slice(&60u16.to_le_bytes());
        answer.extend_from_slice(&[0; 10]);
        let mut data = vec![0]; // pads the data to offset 60
        data.extend(FILLER.iter().cycle().take(usize::from(count)));
        convo = exchange(convo, random, 0x2e, 0, (ask, Vec::new()), (answer, data));
    }
    let empty = || (Vec::new(), Vec::new());
    let fid = (vec![0x01, 0x40, 0, 0, 0, 0], Vec::new());
    convo = exchange(convo, random, 0x04, 0, fid, empty()); // CLOSE
    convo = exchange(convo, random, 0x71, 0, empty(), empty()); // TREE_DISCONNECT
    let logoff = || (vec![0xff, 0, 0, 0], Vec::new());
    convo = exchange(convo, random, 0x74, 0, logoff(), logoff());
    convo.close(C2S)
}

/// Parameter words (as octets) and data octets of an SMB message.
pub type Body = (Vec<u8>, Vec<u8>);

/// An SMB message in its NetBIOS session message. Texts are ASCII, statuses NTSTATUS, security extended.
pub fn smb_message(command: u8, status: u32, is_response: bool, mid: u16, body: &Body) -> Vec<u8> {
    let mut smb = vec![0xff, b'S', b'M', b'B', command];
    smb.extend_from_slice(&status.to_le_bytes());
    smb.push(if is_response { 0x98 } else { 0x18 });
    smb.extend_from_slice(&0x4801u16.to_le_bytes());
    smb.extend_from_slice(&[0; 12]);
    let [tid, uid] = if command == 0x72 || command == 0x73 {
        [0, 0]
    } else {
        [0x0800, 0x0800]
    };
    for word in [tid, 0xfeff_u16, uid, mid] {
        smb.extend_from_slice(&word.to_le_bytes());
    }
    let (words, data) = body;
    smb.push((words.len() / 2) as u8);
    smb.extend_from_slice(words);
    smb.extend_from_slice(&(data.len() as u16).to_le_bytes());
    smb.extend_from_slice(data);
    let mut out = (smb.len() as u32).to_be_bytes().to_vec();
    out.extend_from_slice(&smb);
    out
}

/// The Negotiate request of Windows 2000 to 2003: 137 octets.
pub fn smb_negotiate() -> Vec<u8> {
    let mut dialects = Vec::new();
    for name in [
        "PC NETWORK PROGRAM 1.0",
        "LANMAN1.0",
        "Windows for Workgroups 3.1a",
        "LM1.2X002",
        "LANMAN2.1",
        "NT LM 0.12",
    ] {
        dialects.push(2);
        dialects.extend_from_slice(name.as_bytes());
        dialects.push(0);
    }
    smb_message(0x72, 0, false, 0, &(Vec::new(), dialects))
}

/// The Negotiate response with extended security: dialect 5 (NT LM 0.12) and a SPNEGO token that names `server`'s account.
/// For a host name of nine letters in `TESTDOMAIN.COM` it has 186 octets.
pub fn smb_negotiate_response(server: &str, seed: u8) -> Vec<u8> {
    let mut words = Vec::new();
    words.extend_from_slice(&5u16.to_le_bytes()); // dialect index
    words.push(0x0f); // security mode: user level, challenge and response, signing enabled and required
    words.extend_from_slice(&50u16.to_le_bytes()); // requests at a time
    words.extend_from_slice(&1u16.to_le_bytes());
    words.extend_from_slice(&16_644u32.to_le_bytes());
    words.extend_from_slice(&65_536u32.to_le_bytes());
    words.extend_from_slice(&0u32.to_le_bytes());
    words.extend_from_slice(&0x8001_f3fdu32.to_le_bytes()); // capabilities, extended security among them
    words.extend_from_slice(&SYSTEM_TIME.to_le_bytes()); // system time
    words.extend_from_slice(&0u16.to_le_bytes());
    words.push(0); // key length
    let mut data: Vec<u8> = (0..16)
        .map(|n| seed.wrapping_mul(17).wrapping_add(n * 13))
        .collect();
    data.extend_from_slice(&spnego_init(&format!(
        "{}$@TESTDOMAIN.COM",
        server.to_lowercase()
    )));
    smb_message(0x72, 0, true, 0, &(words, data))
}

/// NegTokenInit2 ([MS-SPNG] section 2.2.1): Kerberos in Microsoft's and in the right number, user to user, NTLM; and the
/// principal's name as a hint.
fn spnego_init(principal: &str) -> Vec<u8> {
    fn tlv(tag: u8, value: &[u8]) -> Vec<u8> {
        [&[tag, value.len() as u8], value].concat()
    }
    let mechanisms = [
        tlv(6, &[0x2a, 0x86, 0x48, 0x82, 0xf7, 0x12, 1, 2, 2]),
        tlv(6, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2]),
        tlv(6, &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x12, 1, 2, 2, 3]),
        tlv(6, &[0x2b, 6, 1, 4, 1, 0x82, 0x37, 2, 2, 0x0a]),
    ]
    .concat();
    let hint = tlv(
        0xa3,
        &tlv(0x30, &tlv(0xa0, &tlv(0x1b, principal.as_bytes()))),
    );
    let inner = [tlv(0xa0, &tlv(0x30, &mechanisms)), hint].concat();
    let spnego = tlv(6, &[0x2b, 6, 1, 5, 5, 2]);
    tlv(0x60, &[spnego, tlv(0xa0, &tlv(0x30, &inner))].concat())
}

/// An NTLMSSP message without names or answers: an anonymous session ([MS-NLMP] section 2.2.1).
fn ntlm_message(kind: u32) -> Vec<u8> {
    let mut out = b"NTLMSSP\0".to_vec();
    out.extend_from_slice(&kind.to_le_bytes());
    let version = [5, 2, 0xce, 0x0e, 0, 0, 0, 15]; // 5.2, build 3790
    let flags = 0x0208_8206u32.to_le_bytes();
    let field = |at: u32| [&[0, 0, 0, 0][..], &at.to_le_bytes()].concat();
    match kind {
        1 => {
            out.extend_from_slice(&flags);
            out.extend(field(40));
            out.extend(field(40));
            out.extend_from_slice(&version);
        }
        2 => {
            out.extend(field(56));
            out.extend_from_slice(&flags);
            out.extend_from_slice(&[0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88]);
            out.extend_from_slice(&[0; 8]);
            out.extend(field(56));
            out.extend_from_slice(&version);
        }
        _ => {
            for _ in 0..6 {
                out.extend(field(72));
            }
            out.extend_from_slice(&flags);
            out.extend_from_slice(&version);
        }
    }
    out
}

fn nt_create() -> Body {
    let name = b"\\tracking.log\0";
    let mut words = vec![0xff, 0, 0, 0, 0];
    words.extend_from_slice(&(name.len() as u16 - 1).to_le_bytes());
    words.extend_from_slice(&[0; 8]); // flags, root
    words.extend_from_slice(&0x0002_0089u32.to_le_bytes()); // read
    words.extend_from_slice(&[0; 8]); // allocation size
    words.extend_from_slice(&0u32.to_le_bytes());
    words.extend_from_slice(&7u32.to_le_bytes()); // shared
    words.extend_from_slice(&1u32.to_le_bytes()); // open
    words.extend_from_slice(&0x40u32.to_le_bytes()); // no directory
    words.extend_from_slice(&2u32.to_le_bytes());
    words.push(3);
    (words, name.to_vec())
}

fn nt_create_response() -> Body {
    let mut words = vec![0xff, 0, 0, 0, 0, 0x01, 0x40];
    words.extend_from_slice(&1u32.to_le_bytes()); // opened
    for _ in 0..4 {
        words.extend_from_slice(&SYSTEM_TIME.to_le_bytes());
    }
    words.extend_from_slice(&0x20u32.to_le_bytes());
    words.extend_from_slice(&65_536u64.to_le_bytes());
    words.extend_from_slice(&65_536u64.to_le_bytes());
    words.extend_from_slice(&[0, 0, 7, 0, 0]);
    (words, Vec::new())
}

/// An ARP request for one address of the site by another, as it arrives: padded.
pub fn arp(asks: u8, wanted: u8) -> Vec<u8> {
    let mac = [0x00, 0x1b, 0x78, 0x30, 0x00, asks];
    let mut out = [&[0xff; 6][..], &mac, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1]].concat();
    out.extend_from_slice(&mac);
    out.extend_from_slice(&[192, 168, 24, asks, 0, 0, 0, 0, 0, 0, 192, 168, 24, wanted]);
    out.resize(60, 0);
    out
}

/// A spanning tree BPDU of the site's switch (IEEE 802.1D section 9.3.1), every two seconds on every port.
pub fn bpdu() -> Vec<u8> {
    let switch = [0x00, 0x0b, 0xbe, 0x29, 0x50, 0x00];
    let port = [0x00, 0x0b, 0xbe, 0x29, 0x50, 0x11];
    let mut out = [
        &[0x01, 0x80, 0xc2, 0, 0, 0][..],
        &port,
        &[0, 38, 0x42, 0x42, 3],
    ]
    .concat();
    out.extend_from_slice(&[0, 0, 0, 0, 0]);
    for _ in 0..2 {
        out.extend_from_slice(&[0x80, 1]);
        out.extend_from_slice(&switch);
        if out.len() < 32 {
            out.extend_from_slice(&[0, 0, 0, 0]);
        }
    }
    out.extend_from_slice(&[0x80, 0x11, 0, 0, 20, 0, 2, 0, 15, 0]);
    out.resize(60, 0);
    out
}
