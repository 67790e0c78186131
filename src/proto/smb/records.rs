//! Octets to SMB messages: headers, and of each body what the dialog needs.
//!
//! Takes:  the beginning of one SMB1 message, SMB2 element, or transform header (MS-CIFS, MS-SMB2 section 2.2)
//! Gives:  a [`Unit`], and before that how many octets are [`wanted`] to make one
//! Never:  keeps state; reads file contents; believes an offset or a length

use memchr::memmem;
use nom::bytes::complete::take;
use nom::number::complete::le_u16;
use nom::{IResult, Parser};

use super::command::{Command1, Command2};
use super::spnego::{self, Challenge, Mechanism};
use super::status::NtStatus;
use crate::proto::octets::{le16, le32, le64, part, u8_at, utf16};

/// Octets of a body that are kept at most: a logon token with a large ticket.
pub const MAX_KEPT: usize = 16 << 10;

/// Octets kept where only names and contexts at the beginning matter.
const KEPT_NAMES: usize = 1 << 10;

/// Header of an SMB2 element (MS-SMB2 section 2.2.1).
const HEADER2: usize = 64;

/// Header of an SMB1 message up to and with its word count (MS-CIFS section 2.2.3).
const HEADER1: usize = 33;

/// Commands of one AndX chain that are followed.
const MAX_CHAIN: usize = 8;

/// One thing said in a message.
#[derive(Clone, Debug, PartialEq)]
pub enum Unit {
    /// An SMB1 message.
    One(Message1),
    /// An SMB2 message, or one of a compound.
    Two(Message2),
    /// An encrypted message; so many octets in clear (MS-SMB2 section 2.2.41).
    Sealed(u32),
    /// A compressed message whose header is compressed too (MS-SMB2 section 2.2.42).
    Compressed,
}

/// An SMB1 message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message1 {
    /// First command.
    pub command: Command1,
    /// Name of the operation: that of a transaction's subcommand, else of the command.
    pub name: &'static str,
    /// Second command of the chain.
    pub chained: Option<Command1>,
    /// Status, or class and code.
    pub status: NtStatus,
    /// Whether the server says it.
    pub response: bool,
    /// Whether it is signed.
    pub signed: bool,
    /// Process id.
    pub pid: u32,
    /// Multiplex id.
    pub mid: u16,
    /// Tree id.
    pub tree: u16,
    /// Word count.
    pub words: u8,
    /// What else it says.
    pub body: Body,
}

/// An SMB2 message.
#[derive(Clone, Debug, PartialEq)]
pub struct Message2 {
    /// Command.
    pub command: Command2,
    /// Status (of a response).
    pub status: NtStatus,
    /// Whether the server says it.
    pub response: bool,
    /// Whether it belongs to an asynchronous request.
    pub asynchronous: bool,
    /// Whether it is signed.
    pub signed: bool,
    /// Credits that the request costs, as it stands there: 0 counts as 1.
    pub credit_charge: u16,
    /// Credits asked for or granted.
    pub credits: u16,
    /// Message id.
    pub message_id: u64,
    /// Tree id; 0 in asynchronous messages.
    pub tree: u32,
    /// Offset of the next element of a compound; 0 for none.
    pub next: u32,
    /// What else it says.
    pub body: Body,
}

/// Share of files (MS-SMB2 section 2.2.10).
pub const DISK: u8 = 1;

/// Share of named pipes.
pub const PIPES: u8 = 2;

/// Tree id of an element that relates to the one before it (MS-SMB2 section 3.2.4.1.4).
pub const RELATED: u32 = u32::MAX;

/// Pipes that services listen on (MS-SRVS, MS-WKST, MS-LSAD, MS-SAMR, MS-NRPC, MS-RPRN, MS-RRP, MS-SCMR, MS-EVEN and others).
const PIPE_NAMES: &[&str] = &[
    "atsvc", "browser", "epmapper", "eventlog", "lsarpc", "lsass", "netdfs", "netlogon", "ntsvcs",
    "samr", "spoolss", "srvsvc", "svcctl", "winreg", "wkssvc",
];

/// What of a body matters.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Body {
    /// Nothing.
    #[default]
    Other,
    /// READ and WRITE: octets asked for or moved.
    Io(u32),
    /// Dialects offered.
    Offer(Vec<String>),
    /// Answer to the offer.
    Agreed(Box<Agreed>),
    /// Logon.
    Logon(Box<Logon>),
    /// Host in the path of a share (hostile).
    Share(Option<String>),
    /// Share type: [`DISK`], [`PIPES`], 3 printer.
    ShareType(u8),
    /// A control code.
    Control(u32),
    /// An open that takes up a durable handle again.
    Reconnect,
    /// An open of a pipe that services listen on.
    Pipe,
    /// A transaction whose parameters or data follow in secondary requests.
    InParts,
    /// An acknowledged oplock break, which gets no answer (MS-CIFS section 2.2.4.32).
    BreakAcknowledged,
}

/// What a NEGOTIATE response says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Agreed {
    /// SMB2: the revision. SMB1: the index into the offer.
    pub dialect: u16,
    /// Whether the server requires signatures.
    pub signing_required: bool,
    /// Capabilities (MS-SMB2 section 2.2.4, MS-CIFS section 2.2.4.52.2).
    pub capabilities: u32,
    /// Most octets of a READ and of a WRITE; 0 where not said.
    pub max_read: u32,
    /// Most octets of a WRITE.
    pub max_write: u32,
    /// Whether a SPNEGO token comes with it.
    pub spnego: bool,
    /// Cipher agreed on, by its number (MS-SMB2 section 2.2.3.1.2).
    pub cipher: Option<u16>,
    /// Whether compression was agreed on.
    pub compression: bool,
}

/// What a SESSION_SETUP says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Logon {
    /// Mechanism of its token.
    pub mechanism: Option<Mechanism>,
    /// The server's introduction.
    pub challenge: Option<Challenge>,
    /// Whether it binds another connection to a session (multichannel).
    pub binding: bool,
    /// Whether it takes the place of a session lost.
    pub replaces: bool,
    /// SMB2 response: session flags, 1 guest, 2 anonymous, 4 encrypt.
    pub flags: u16,
}

/// How many octets of a unit are needed, judged by those at hand. Asked again with so many until it asks for no more.
#[must_use]
pub fn wanted(octets: &[u8]) -> usize {
    match octets.first() {
        None => 4,
        Some(0xFF) => wanted1(octets),
        Some(0xFE) => wanted2(octets),
        Some(0xFD) => 52,
        Some(0xFC) => 16 + HEADER2 + 32,
        Some(_) => 0,
    }
}

fn wanted1(octets: &[u8]) -> usize {
    let (Some(command), Some(words)) = (u8_at(octets, 4), u8_at(octets, HEADER1 - 1)) else {
        return HEADER1;
    };
    let chained = words >= 2 && u8_at(octets, HEADER1) != Some(Command1::NONE.0);
    match Command1(command) {
        Command1::NEGOTIATE | Command1::SESSION_SETUP_ANDX => MAX_KEPT,
        Command1::TREE_CONNECT_ANDX => KEPT_NAMES,
        command if chained && is_andx(command) => KEPT_NAMES,
        _ => HEADER1 + 2 * usize::from(words),
    }
}

fn wanted2(octets: &[u8]) -> usize {
    let (Some(command), Some(next)) = (le16(octets, 12), le32(octets, 20)) else {
        return HEADER2;
    };
    if octets.len() < HEADER2 {
        return HEADER2;
    }
    let all = match Command2(command) {
        Command2::NEGOTIATE | Command2::SESSION_SETUP => MAX_KEPT,
        Command2::TREE_CONNECT | Command2::CREATE => KEPT_NAMES,
        _ => HEADER2 + 16,
    };
    if next == 0 {
        all
    } else {
        all.min((next as usize).max(HEADER2))
    }
}

/// A unit out of its first octets. Those after what was [`wanted`] are not looked at; a body that is cut short says less.
#[must_use]
pub fn unit(octets: &[u8]) -> Option<Unit> {
    match octets.first()? {
        0xFF => message1(octets).map(Unit::One),
        0xFE => message2(octets).map(Unit::Two),
        // OriginalMessageSize, after signature and nonce.
        0xFD => le32(octets, 36).map(Unit::Sealed),
        0xFC => Some(compressed(octets)),
        _ => None,
    }
}

/// A compressed message. What stands before the first compressed octet is in clear: `Offset` octets of an unchained one,
/// or the first payload of a chained one where that is of type NONE (MS-SMB2 sections 2.2.42.1 and 2.2.42.2).
fn compressed(octets: &[u8]) -> Unit {
    let clear = |chained: u16, algorithm: u16, len: u32| {
        (chained & 1 == 0 || algorithm == 0) && len as usize >= HEADER2
    };
    let fields = (le16(octets, 8), le16(octets, 10), le32(octets, 12));
    if let (Some(algorithm), Some(flags), Some(len)) = fields
        && clear(flags, algorithm, len)
        && let Some(mut message) = message2(part(octets, 16, len as usize))
    {
        // The elements after it are compressed.
        message.next = 0;
        return Unit::Two(message);
    }
    Unit::Compressed
}

fn message2(octets: &[u8]) -> Option<Message2> {
    let header = octets.first_chunk::<HEADER2>()?;
    if !header.starts_with(b"\xFESMB") || le16(header, 4) != Some(64) {
        return None;
    }
    let flags = le32(header, 16)?;
    let (response, asynchronous) = (flags & 1 != 0, flags & 2 != 0);
    let mut message = Message2 {
        command: Command2(le16(header, 12)?),
        status: NtStatus(if response { le32(header, 8)? } else { 0 }),
        response,
        asynchronous,
        signed: flags & 8 != 0,
        credit_charge: le16(header, 6)?,
        credits: le16(header, 14)?,
        message_id: le64(header, 24)?,
        tree: if asynchronous { 0 } else { le32(header, 36)? },
        next: le32(header, 20)?,
        body: Body::Other,
    };
    message.body = body2(&message, octets).unwrap_or_default();
    Some(message)
}

/// The body of an SMB2 message: fixed part at 64, variable parts where it points, counted from the header.
fn body2(message: &Message2, octets: &[u8]) -> Option<Body> {
    let body = octets.get(HEADER2..)?;
    // An error response (MS-SMB2 section 2.2.2) has nothing of the command's own.
    if message.response && message.status.is_error() && message.command != Command2::SESSION_SETUP {
        return None;
    }
    let buffer = |at: usize| -> Option<&[u8]> {
        let (start, len) = (le16(body, at)?, le16(body, at + 2)?);
        Some(part(octets, usize::from(start), usize::from(len)))
    };
    Some(match (message.command, message.response) {
        (Command2::NEGOTIATE, false) => {
            let count = usize::from(le16(body, 2)?);
            let revisions = part(body, 36, 2 * count).as_chunks::<2>().0.iter();
            let names = revisions
                .take(64)
                .map(|r| dialect_name(u16::from_le_bytes(*r)));
            Body::Offer(names.collect())
        }
        (Command2::NEGOTIATE, true) => {
            let dialect = le16(body, 4)?;
            let mut agreed = Agreed {
                dialect,
                signing_required: le16(body, 2)? & 2 != 0,
                capabilities: le32(body, 24)?,
                max_read: le32(body, 32)?,
                max_write: le32(body, 36)?,
                spnego: buffer(56).is_some_and(spnego::is_spnego),
                cipher: None,
                compression: false,
            };
            if dialect == 0x0311 {
                let contexts = octets.get(le32(body, 60)? as usize..).unwrap_or(&[]);
                read_contexts(contexts, le16(body, 6)?, &mut agreed);
            }
            Body::Agreed(Box::new(agreed))
        }
        (Command2::SESSION_SETUP, false) => {
            let token = buffer(12).unwrap_or(&[]);
            Body::Logon(Box::new(Logon {
                mechanism: spnego::mechanism(token),
                challenge: None,
                binding: u8_at(body, 2)? & 1 != 0,
                replaces: le64(body, 16).is_some_and(|session| session != 0),
                flags: 0,
            }))
        }
        (Command2::SESSION_SETUP, true) => {
            let token = buffer(4).unwrap_or(&[]);
            Body::Logon(Box::new(Logon {
                mechanism: spnego::mechanism(token),
                challenge: spnego::challenge(token),
                flags: le16(body, 2)?,
                ..Logon::default()
            }))
        }
        (Command2::TREE_CONNECT, false) => {
            Body::Share(spnego::host_of_path(&utf16(buffer(4)?, KEPT_NAMES)))
        }
        (Command2::TREE_CONNECT, true) => Body::ShareType(u8_at(body, 2)?),
        (Command2::CREATE, false) => {
            let at = le32(body, 48)? as usize;
            let contexts = part(octets, at, le32(body, 52)? as usize);
            let taken_up = [&b"DHnC"[..], b"DH2C"]
                .iter()
                .any(|name| memmem::find(contexts, name).is_some());
            if taken_up {
                Body::Reconnect
            } else if is_pipe(buffer(44).unwrap_or(&[])) {
                Body::Pipe
            } else {
                Body::Other
            }
        }
        // Length, DataLength, Length and Count stand in one place.
        (Command2::READ | Command2::WRITE, _) => Body::Io(le32(body, 4)?),
        (Command2::IOCTL, false) => Body::Control(le32(body, 4)?),
        _ => Body::Other,
    })
}

/// Whether a file name in UTF-16 is that of a pipe.
fn is_pipe(name: &[u8]) -> bool {
    // No pipe of these has a longer name; the names of files are not kept.
    name.len() <= 16 && PIPE_NAMES.contains(&utf16(name, 16).to_ascii_lowercase().as_str())
}

/// One negotiate context: type and data (MS-SMB2 section 2.2.3.1).
fn context(input: &[u8]) -> IResult<&[u8], (u16, &[u8])> {
    let (rest, kind) = le_u16.parse(input)?;
    let (rest, len) = le_u16.parse(rest)?;
    let (rest, _) = take(4_usize).parse(rest)?;
    let (rest, data) = take(usize::from(len)).parse(rest)?;
    // Each begins on a multiple of eight octets; the last needs no padding.
    let padding = usize::from(len).next_multiple_of(8) - usize::from(len);
    Ok((rest.get(padding..).unwrap_or(&[]), (kind, data)))
}

fn read_contexts(mut input: &[u8], count: u16, agreed: &mut Agreed) {
    for _ in 0..count.min(32) {
        let Ok((rest, (kind, data))) = context(input) else {
            return;
        };
        match kind {
            2 => agreed.cipher = le16(data, 2).filter(|cipher| *cipher != 0),
            3 => agreed.compression = le16(data, 8).is_some_and(|first| first != 0),
            _ => {}
        }
        input = rest;
    }
}

/// Name of an SMB2 dialect revision.
#[must_use]
pub fn dialect_name(revision: u16) -> String {
    match revision {
        0x0202 => "2.0.2".to_owned(),
        0x0210 => "2.1".to_owned(),
        0x02FF => "2.???".to_owned(),
        0x0300 => "3.0".to_owned(),
        0x0302 => "3.0.2".to_owned(),
        0x0311 => "3.1.1".to_owned(),
        other => format!("0x{other:04X}"),
    }
}

/// Name of a cipher (MS-SMB2 section 2.2.3.1.2).
#[must_use]
pub const fn cipher_name(cipher: u16) -> Option<&'static str> {
    match cipher {
        1 => Some("AES-128-CCM"),
        2 => Some("AES-128-GCM"),
        3 => Some("AES-256-CCM"),
        4 => Some("AES-256-GCM"),
        _ => None,
    }
}

/// Whether the words of a command begin with those of an AndX chain (MS-CIFS section 2.2.3.4).
const fn is_andx(command: Command1) -> bool {
    matches!(
        command.0,
        0x24 | 0x2D | 0x2E | 0x2F | 0x73 | 0x74 | 0x75 | 0xA2
    )
}

fn message1(octets: &[u8]) -> Option<Message1> {
    if !octets.starts_with(b"\xFFSMB") {
        return None;
    }
    let header = octets.first_chunk::<{ HEADER1 - 1 }>()?;
    let command = Command1(u8_at(header, 4)?);
    let flags2 = le16(header, 10)?;
    let words = u8_at(octets, HEADER1 - 1).unwrap_or(0);
    let params = part(octets, HEADER1, 2 * usize::from(words));
    let response = u8_at(header, 9)? & 0x80 != 0;
    let mut message = Message1 {
        command,
        name: command.name(),
        chained: None,
        status: NtStatus(if response { le32(header, 5)? } else { 0 }),
        response,
        signed: flags2 & 4 != 0,
        pid: u32::from(le16(header, 12)?) << 16 | u32::from(le16(header, 26)?),
        mid: le16(header, 30)?,
        tree: le16(header, 24)?,
        words,
        body: Body::Other,
    };
    if !response {
        message.name = operation(command, params);
    }
    let wide = flags2 & 0x8000 != 0;
    let mut at = HEADER1 - 1;
    let mut current = command;
    for step in 0..MAX_CHAIN {
        let Some(count) = u8_at(octets, at) else {
            break;
        };
        let params = part(octets, at + 1, 2 * usize::from(count));
        let data = octets.get(at + 3 + 2 * usize::from(count)..).unwrap_or(&[]);
        let len = le16(octets, at + 1 + 2 * usize::from(count)).unwrap_or(0);
        let data = part(data, 0, usize::from(len));
        if let Some(body) = body1(current, &message, wide, params, data)
            && message.body == Body::Other
        {
            message.body = body;
        }
        let (Some(next), Some(offset)) = (u8_at(params, 0), le16(params, 2)) else {
            break;
        };
        // An offset that does not lead forward would chain for ever.
        if !is_andx(current) || next == Command1::NONE.0 || usize::from(offset) <= at {
            break;
        }
        current = Command1(next);
        if step == 0 {
            message.chained = Some(current);
        }
        at = usize::from(offset);
    }
    Some(message)
}

/// Name of what a request asks for, which for transactions stands in their setup words.
fn operation(command: Command1, params: &[u8]) -> &'static str {
    let subcommand = match command {
        Command1::TRANSACTION | Command1::TRANSACTION2 if u8_at(params, 26) > Some(0) => {
            le16(params, 28)
        }
        Command1::NT_TRANSACT => le16(params, 36),
        _ => None,
    };
    subcommand.map_or(command.name(), |sub| command.transaction_name(sub))
}

/// What one command of a chain says. `None` where that is nothing of interest.
fn body1(
    command: Command1,
    message: &Message1,
    wide: bool,
    params: &[u8],
    data: &[u8],
) -> Option<Body> {
    let short = |at: usize| le16(params, at);
    Some(match (command, message.response) {
        (Command1::NEGOTIATE, false) => {
            let offered = spnego::dialect_strings(data);
            let names = offered.iter().map(|name| {
                let text = String::from_utf8_lossy(part(name, 0, 64));
                text.into_owned()
            });
            Body::Offer(names.collect())
        }
        (Command1::NEGOTIATE, true) => {
            let nt = params.len() >= 34;
            let capabilities = if nt { le32(params, 19)? } else { 0 };
            // Extended security: a server GUID, then the token.
            let token = if capabilities & 0x8000_0000 != 0 {
                data.get(16..).unwrap_or(&[])
            } else {
                &[]
            };
            Body::Agreed(Box::new(Agreed {
                dialect: short(0)?,
                signing_required: nt && u8_at(params, 2)? & 8 != 0,
                capabilities,
                spnego: spnego::is_spnego(token),
                ..Agreed::default()
            }))
        }
        (Command1::SESSION_SETUP_ANDX, response) => Body::Logon(Box::new(Logon {
            mechanism: spnego::mechanism(data),
            challenge: if response {
                spnego::challenge(data)
            } else {
                None
            },
            ..Logon::default()
        })),
        (Command1::TREE_CONNECT_ANDX, false) => {
            let rest = data.get(usize::from(short(6)?)..)?;
            let path = if wide {
                // Unicode strings begin on an even offset, so there may be one octet of padding.
                let skip = usize::from(rest.first() == Some(&0));
                utf16(rest.get(skip..)?, KEPT_NAMES)
            } else {
                String::from_utf8_lossy(part(rest, 0, KEPT_NAMES)).into_owned()
            };
            let path = path.split('\0').next()?;
            Body::Share(spnego::host_of_path(path))
        }
        // The service's name: "IPC" for pipes (MS-CIFS section 2.2.4.55.2).
        (Command1::TREE_CONNECT_ANDX, true) => Body::ShareType(if data.starts_with(b"IPC") {
            PIPES
        } else {
            DISK
        }),
        (Command1::READ_ANDX, false) => Body::Io(u32::from(short(10)?)),
        (Command1::READ_ANDX, true) => {
            Body::Io(u32::from(short(10)?) | u32::from(short(14).unwrap_or(0)) << 16)
        }
        (Command1::WRITE_ANDX, false) => {
            Body::Io(u32::from(short(20)?) | u32::from(short(18)?) << 16)
        }
        (Command1::READ | Command1::WRITE, false) => Body::Io(u32::from(short(2)?)),
        (Command1::READ, true) => Body::Io(u32::from(short(0)?)),
        // OPLOCK_RELEASE, and neither locks nor unlocks.
        (Command1::LOCKING_ANDX, false)
            if u8_at(params, 6)? & 2 != 0 && short(12)? == 0 && short(14)? == 0 =>
        {
            Body::BreakAcknowledged
        }
        (Command1::TRANSACTION | Command1::TRANSACTION2, false)
            if short(0)? > short(18)? || short(2)? > short(22)? =>
        {
            Body::InParts
        }
        (Command1::NT_TRANSACT, false)
            if le32(params, 3)? > le32(params, 19)? || le32(params, 7)? > le32(params, 27)? =>
        {
            Body::InParts
        }
        _ => return None,
    })
}
