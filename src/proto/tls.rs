//! The outline of TLS: what its records show without being decrypted (RFC 8446, RFC 5246).
//!
//! Takes:  octets of both directions, gaps marked
//! Gives:  records as they end; versions, server name, protocols, cipher, alerts, the time of the handshake
//! Never:  decrypts; keeps more than one hello of `MAX_HELLO` octets a direction

use super::recognise::{Guess, Opening, Start};
use super::turns::{TurnTaker, length};
use super::{Dialog, DialogRecord, Interest, Piece, Said, room};
use crate::net::{Direction, FrameNo, Timestamp};

/// Octets kept of a handshake message.
const MAX_HELLO: usize = 4_096;

/// Longest record that is believed: 2^14 octets and what encryption may add (RFC 5246 section 6.2.3).
const MAX_RECORD: u16 = 16_384 + 2_048;

/// Lines of evidence kept.
const MAX_SAID: usize = 50;

const CHANGE_CIPHER_SPEC: u8 = 20;
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;

/// A handshake record at the start of the client's octets.
pub(crate) fn content(opening: &Opening<'_>) -> Guess {
    match opening.octets[Direction::ClientToServer.index()] {
        [22, 3, 0..=4, _, _, 1, ..] => Guess::Yes,
        [] | [22] | [22, 3] | [22, 3, 0..=4] | [22, 3, 0..=4, _] | [22, 3, 0..=4, _, _] => {
            Guess::More
        }
        _ => Guess::No,
    }
}

/// Whether the octets, three at least, begin a record.
pub(crate) fn is_record(octets: &[u8]) -> bool {
    matches!(octets, [20..=23, 3, 0..=4, ..])
}

/// Where some octets were.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) frame: FrameNo,
    pub(crate) sent: Timestamp,
    pub(crate) offset: u64,
}

impl Mark {
    pub(crate) fn of(piece: &Piece<'_>) -> Self {
        Self {
            frame: piece.frame,
            sent: piece.sent,
            offset: piece.offset,
        }
    }

    /// The same frame, `octets` further on.
    pub(crate) fn plus(self, octets: usize) -> Self {
        Self {
            offset: self.offset.saturating_add(octets as u64),
            ..self
        }
    }
}

/// What a record is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    ClientHello,
    ServerHello,
    /// Handshake, in the clear or encrypted, of another type.
    Handshake,
    /// Octets of the application.
    Data,
    Alert,
    Other,
}

/// A record that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) kind: Kind,
    pub(crate) octets: u64,
    pub(crate) start: Mark,
    /// Its last octet.
    pub(crate) end: Mark,
}

#[derive(Clone, Debug, Default)]
struct Half {
    /// Header of the record being read.
    header: Vec<u8>,
    /// Octets of it still to come.
    left: u64,
    /// Start of its contents: of hellos and alerts.
    contents: Vec<u8>,
    start: Option<Mark>,
    /// From CCS on (TLS 1.2) all is encrypted.
    changed: bool,
    /// Records of application data so far.
    data: u64,
    finished: bool,
    lost: bool,
}

/// What the records of a connection have shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outline {
    halves: [Half; 2],
    /// Version that the server chose.
    pub(crate) version: Option<u16>,
    /// Name of the server that the client asked for (hostile).
    pub(crate) server_name: Option<String>,
    /// Protocol that the client offered first by ALPN (hostile).
    pub(crate) protocol: Option<String>,
    /// Cipher suite that the server chose.
    pub(crate) cipher: Option<u16>,
    /// First alert that is more than a goodbye.
    pub(crate) alert: Option<String>,
    /// The ClientHello's first octet.
    pub(crate) hello: Option<Mark>,
    /// The end of the handshake.
    pub(crate) established: Option<Mark>,
}

impl Outline {
    /// Reads octets of one direction; `told` gets each record that ends in them.
    pub(crate) fn octets(
        &mut self,
        direction: Direction,
        mut octets: &[u8],
        mut at: Mark,
        told: &mut dyn FnMut(Record),
    ) {
        while !octets.is_empty() {
            let half = &mut self.halves[direction.index()];
            if half.lost {
                // After a gap only a piece that begins with a record's header is believed.
                if !is_record(octets) || octets.len() < 5 {
                    return;
                }
                half.lost = false;
            }
            let used = if half.header.len() < 5 {
                half.start.get_or_insert(at);
                let used = octets.len().min(5 - half.header.len());
                half.header.extend(octets.iter().take(used));
                if let &[kind, _, _, high, low] = half.header.as_slice() {
                    let length = u16::from_be_bytes([high, low]);
                    if !is_record(&half.header) || length > MAX_RECORD {
                        half.forget();
                        half.lost = true;
                        return;
                    }
                    half.left = u64::from(length);
                    // Only hellos and alerts are read; the rest is skipped.
                    if kind == APPLICATION_DATA || kind == CHANGE_CIPHER_SPEC {
                        half.contents = Vec::new();
                    }
                }
                used
            } else {
                let used = usize::try_from(half.left)
                    .unwrap_or(usize::MAX)
                    .min(octets.len());
                if matches!(half.header.first(), Some(&(HANDSHAKE | ALERT))) {
                    let room = MAX_HELLO.saturating_sub(half.contents.len());
                    half.contents.extend(octets.iter().take(used.min(room)));
                }
                half.left = half.left.saturating_sub(used as u64);
                used
            };
            if half.header.len() == 5 && half.left == 0 {
                let end = at.plus(used.saturating_sub(1));
                if let Some(record) = self.ended(direction, end) {
                    told(record);
                }
            }
            octets = octets.get(used..).unwrap_or_default();
            at = at.plus(used);
        }
    }

    /// So many octets are missing.
    pub(crate) fn gap(&mut self, direction: Direction, octets: u64) {
        let half = &mut self.halves[direction.index()];
        if half.header.len() == 5 && octets < half.left {
            half.left -= octets;
        } else {
            half.forget();
            half.lost = true;
        }
    }

    /// A record is whole.
    fn ended(&mut self, direction: Direction, end: Mark) -> Option<Record> {
        let half = &mut self.halves[direction.index()];
        let contents = std::mem::take(&mut half.contents);
        let header = std::mem::take(&mut half.header);
        let start = half.start.take()?;
        let (kind, changed) = (header.first().copied()?, half.changed);
        let length = match header.as_slice() {
            [_, _, _, high, low] => u64::from(u16::from_be_bytes([*high, *low])),
            _ => 0,
        };
        half.left = 0;
        let kind = match kind {
            CHANGE_CIPHER_SPEC => {
                half.changed = true;
                Kind::Other
            }
            HANDSHAKE if changed => {
                half.finished = true;
                if self.halves.iter().all(|half| half.finished) {
                    self.established.get_or_insert(end);
                }
                Kind::Handshake
            }
            HANDSHAKE => match contents.first() {
                Some(1) => {
                    self.client_hello(&contents);
                    self.hello.get_or_insert(start);
                    Kind::ClientHello
                }
                Some(2) => {
                    self.server_hello(&contents);
                    Kind::ServerHello
                }
                _ => Kind::Handshake,
            },
            ALERT => {
                // An encrypted alert shows neither level nor description.
                if let &[level, description] = contents.as_slice()
                    && description != 0
                    && !changed
                {
                    let level = if level == 2 { "fatal" } else { "warning" };
                    let text = format!("{level}: {}", alert(description));
                    self.alert.get_or_insert(text);
                }
                Kind::Alert
            }
            APPLICATION_DATA => {
                half.data += 1;
                let first = half.data == 1;
                let thirteen = self.version == Some(0x0304);
                if thirteen && self.established.is_none() {
                    // TLS 1.3 hides its handshake in records of data up to the client's Finished, its first of them.
                    if direction == Direction::ClientToServer && first {
                        self.established = Some(end);
                    }
                    Kind::Handshake
                } else {
                    Kind::Data
                }
            }
            _ => Kind::Other,
        };
        Some(Record {
            kind,
            octets: length,
            start,
            end,
        })
    }

    /// Server name (RFC 6066 section 3) and protocol (RFC 7301) of a ClientHello.
    fn client_hello(&mut self, message: &[u8]) {
        let _: Option<()> = (|| {
            let mut reader = Reader(message.get(38..)?);
            reader.prefixed8()?;
            reader.prefixed16()?;
            reader.prefixed8()?;
            let mut extensions = Reader(reader.0.get(2..)?);
            while let Some((kind, body)) = extensions.extension() {
                let mut body = Reader(body);
                match kind {
                    0 => {
                        let name = body.0.get(3..).and_then(|body| Reader(body).prefixed16());
                        self.server_name = name.map(printable);
                    }
                    16 => {
                        let list = body.prefixed16()?;
                        self.protocol = Reader(list).prefixed8().map(printable);
                    }
                    _ => {}
                }
            }
            Some(())
        })();
    }

    /// Version (RFC 8446 section 4.2.1) and cipher of a ServerHello.
    fn server_hello(&mut self, message: &[u8]) {
        let _: Option<()> = (|| {
            let version = message.get(4..6)?;
            self.version = Some(u16::from_be_bytes([*version.first()?, *version.get(1)?]));
            let mut reader = Reader(message.get(38..)?);
            reader.prefixed8()?;
            self.cipher = reader.number16();
            reader.0 = reader.0.get(3..)?;
            while let Some((kind, body)) = reader.extension() {
                if kind == 43 {
                    self.version = Reader(body).number16();
                }
            }
            Some(())
        })();
    }

    /// `TLS 1.2, server name mail.example`, for a line of evidence.
    pub(crate) fn summary(&self) -> String {
        let mut text = match self.version {
            Some(0x0300) => "SSL 3.0".to_owned(),
            Some(version @ 0x0301..=0x0304) => format!("TLS 1.{}", version - 0x0301),
            Some(version) => format!("TLS {version:#06x}"),
            None => "TLS".to_owned(),
        };
        if let Some(cipher) = self.cipher {
            text.push_str(&format!(", cipher {cipher:#06x}"));
        }
        if let Some(name) = &self.server_name {
            text.push_str(&format!(", server name {name}"));
        }
        if let Some(protocol) = &self.protocol {
            text.push_str(&format!(", protocol {protocol}"));
        }
        if let Some(alert) = &self.alert {
            text.push_str(&format!(", alert {alert}"));
        }
        text
    }
}

impl Half {
    fn forget(&mut self) {
        self.header = Vec::new();
        self.contents = Vec::new();
        self.left = 0;
        self.start = None;
    }
}

/// Octets read from the front.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, octets: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(octets)?;
        self.0 = rest;
        Some(front)
    }

    fn number16(&mut self) -> Option<u16> {
        match self.take(2)? {
            &[high, low] => Some(u16::from_be_bytes([high, low])),
            _ => None,
        }
    }

    fn prefixed8(&mut self) -> Option<&'a [u8]> {
        let octets = *self.take(1)?.first()?;
        self.take(usize::from(octets))
    }

    fn prefixed16(&mut self) -> Option<&'a [u8]> {
        let octets = self.number16()?;
        self.take(usize::from(octets))
    }

    fn extension(&mut self) -> Option<(u16, &'a [u8])> {
        Some((self.number16()?, self.prefixed16()?))
    }
}

fn printable(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets.get(..255).unwrap_or(octets)).into_owned()
}

/// Name of an alert (RFC 8446 section 6).
fn alert(description: u8) -> String {
    let name = match description {
        10 => "unexpected_message",
        20 => "bad_record_mac",
        22 => "record_overflow",
        40 => "handshake_failure",
        42 => "bad_certificate",
        43 => "unsupported_certificate",
        44 => "certificate_revoked",
        45 => "certificate_expired",
        46 => "certificate_unknown",
        47 => "illegal_parameter",
        48 => "unknown_ca",
        49 => "access_denied",
        50 => "decode_error",
        51 => "decrypt_error",
        70 => "protocol_version",
        71 => "insufficient_security",
        80 => "internal_error",
        86 => "inappropriate_fallback",
        90 => "user_canceled",
        100 => "no_renegotiation",
        109 => "missing_extension",
        110 => "unsupported_extension",
        112 => "unrecognized_name",
        113 => "bad_certificate_status_response",
        115 => "unknown_psk_identity",
        116 => "certificate_required",
        120 => "no_application_protocol",
        _ => return format!("alert {description}"),
    };
    name.to_owned()
}

/// The dialog of a flow that is TLS from its first octet and nothing more is known of it.
#[derive(Clone)]
struct Tls {
    application: &'static str,
    outline: Outline,
    taker: TurnTaker,
    said: Vec<Said>,
}

pub(crate) fn open(start: Start) -> Box<dyn Dialog> {
    Box::new(Tls {
        application: start.application,
        outline: Outline::default(),
        taker: TurnTaker::default(),
        said: Vec::new(),
    })
}

impl Dialog for Tls {
    fn piece(&mut self, piece: Piece<'_>) -> Interest {
        let (direction, at) = (piece.direction, Mark::of(&piece));
        match piece.octets {
            Ok(octets) => {
                let (taker, said) = (&mut self.taker, &mut self.said);
                let mut told = |record: Record| {
                    if record.kind == Kind::Data {
                        match direction {
                            Direction::ClientToServer => taker.request(
                                record.end.frame,
                                record.end.sent,
                                record.end.offset.saturating_add(1),
                                || "request".into(),
                            ),
                            Direction::ServerToClient => {
                                taker.answer(record.start.frame, record.start.sent);
                            }
                        }
                    }
                    if said.len() < MAX_SAID {
                        said.extend(say(&record, direction));
                    }
                };
                self.outline.octets(direction, octets, at, &mut told);
            }
            Err(_) => self.outline.gap(direction, length(&piece)),
        }
        if self.taker.is_full() {
            Interest::Nothing
        } else {
            Interest::Continue
        }
    }

    fn acked(&mut self, direction: Direction, upto: u64, time: Timestamp) {
        if direction == Direction::ClientToServer {
            self.taker.acked(upto, time);
        }
    }

    fn copy(&self) -> Box<dyn Dialog> {
        Box::new(self.clone())
    }

    fn held(&self) -> usize {
        size_of::<Self>() + room::<Said>(self.said.capacity()) + self.taker.held()
    }

    fn finish(mut self: Box<Self>, _ended: Timestamp) -> DialogRecord {
        if let Some(said) = self.said.first_mut() {
            said.text = format!("{} ({})", said.text, self.outline.summary());
        }
        DialogRecord {
            application: self.application,
            said: self.said,
            exchanges: self.taker.finish(),
            ..DialogRecord::default()
        }
    }
}

/// A line of evidence for a record of the handshake or an alert.
pub(crate) fn say(record: &Record, direction: Direction) -> Option<Said> {
    let text = match record.kind {
        Kind::ClientHello => "TLS ClientHello",
        Kind::ServerHello => "TLS ServerHello",
        Kind::Alert => "TLS alert",
        _ => return None,
    };
    Some(Said {
        frame: record.start.frame,
        time: record.start.sent,
        direction,
        offset: record.start.offset,
        octets: record.octets.saturating_add(5),
        text: text.to_owned(),
    })
}
