//! Finds out which protocol a flow speaks, by its first octets first and by its port second, and hands it to the parser.
//!
//! Takes:  the first pieces of a flow, which it holds back for as long as they may be of several protocols
//! Gives:  a [`Dialog`] of the protocol, or one that only takes the turns of both sides (`turns`)
//! Never:  holds more than [`MAX_OPENING`] octets a direction, or [`MAX_HELD`] pieces

use super::turns::Turns;
use super::{Dialog, DialogRecord, Interest, Piece, dcerpc, smb, smtp, tls};
use crate::net::{Direction, FrameNo, Timestamp};

/// Octets of one direction after which a flow is judged by what there is.
const MAX_OPENING: usize = 4_096;

/// Pieces and acknowledgements held back before a flow is judged by what there is.
const MAX_HELD: usize = 256;

/// Ports that tell a protocol where the octets do not.
#[derive(Clone, Debug)]
pub struct Ports {
    /// SMTP.
    pub smtp: Vec<u16>,
    /// SMB.
    pub smb: Vec<u16>,
}

impl Default for Ports {
    fn default() -> Self {
        Self {
            smtp: vec![25, 465, 587, 2525],
            smb: vec![445, 139],
        }
    }
}

/// What there is to recognise a protocol by.
pub(crate) struct Opening<'a> {
    /// First octets of each direction; index with [`Direction::index`]. A gap ends them.
    pub(crate) octets: [&'a [u8]; 2],
    /// Whether the server's port is one of the protocol's.
    pub(crate) on_port: bool,
}

/// What a protocol's probe says of an [`Opening`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Guess {
    /// It is this protocol.
    Yes,
    /// It is not, as far as the octets tell.
    No,
    /// It may be; more octets would tell.
    More,
}

/// What a parser is told when it is opened.
#[derive(Clone, Copy)]
pub(crate) struct Start {
    /// Name of the protocol, as in its line of [`PROBES`].
    pub(crate) application: &'static str,
    /// Whether the addresses of mail users may be kept.
    pub(crate) addresses: bool,
}

/// A protocol that can be recognised.
struct Probe {
    application: &'static str,
    ports: fn(&Ports) -> &[u16],
    content: fn(&Opening<'_>) -> Guess,
    open: fn(Start) -> Box<dyn Dialog>,
}

/// Every protocol known, the most telling first. Those that end in `turns` are named and timed, not read.
const PROBES: &[Probe] = &[
    Probe {
        application: "smtp",
        ports: |ports| &ports.smtp,
        content: smtp::content,
        open: smtp::open,
    },
    Probe {
        application: "smb",
        ports: |ports| &ports.smb,
        content: smb::content,
        open: smb::open,
    },
    Probe {
        application: "dcerpc",
        ports: |_| &[],
        content: dcerpc::content,
        open: dcerpc::open,
    },
    Probe {
        application: "tls",
        ports: |_| &[],
        content: tls::content,
        open: tls::open,
    },
    Probe {
        application: "http",
        ports: |_| &[],
        content: http,
        open: turns,
    },
    Probe {
        application: "ssh",
        ports: |_| &[],
        content: |opening| either(opening, |octets| starts(octets, b"SSH-")),
        open: turns,
    },
    Probe {
        application: "ftp",
        ports: |_| &[],
        content: ftp,
        open: turns,
    },
    Probe {
        application: "pop3",
        ports: |_| &[],
        content: |opening| starts(opening.octets[Direction::ServerToClient.index()], b"+OK "),
        open: turns,
    },
    Probe {
        application: "imap",
        ports: |_| &[],
        content: |opening| starts(opening.octets[Direction::ServerToClient.index()], b"* OK "),
        open: turns,
    },
    Probe {
        application: "rdp",
        ports: |_| &[],
        content: rdp,
        open: turns,
    },
];

fn turns(start: Start) -> Box<dyn Dialog> {
    Box::new(Turns::new(start.application))
}

/// Whether `octets` begin with `want`, as far as there are any.
pub(crate) fn starts(octets: &[u8], want: &[u8]) -> Guess {
    let known = octets.len().min(want.len());
    if octets.get(..known) != want.get(..known) {
        Guess::No
    } else if known == want.len() {
        Guess::Yes
    } else {
        Guess::More
    }
}

/// The better of the guesses for both directions.
pub(crate) fn either(opening: &Opening<'_>, guess: impl Fn(&[u8]) -> Guess) -> Guess {
    let [client, server] = opening.octets.map(guess);
    match (client, server) {
        (Guess::Yes, _) | (_, Guess::Yes) => Guess::Yes,
        (Guess::More, _) | (_, Guess::More) => Guess::More,
        _ => Guess::No,
    }
}

/// A whole request line or status line of HTTP/1 (RFC 9112 sections 3 and 4), or the preface of HTTP/2 (RFC 9113 section 3.4).
fn http(opening: &Opening<'_>) -> Guess {
    let [client, server] = opening.octets;
    let guesses = [
        request_line(client),
        starts(client, b"PRI * HTTP/2.0"),
        starts(server, b"HTTP/1."),
    ];
    if guesses.contains(&Guess::Yes) {
        Guess::Yes
    } else if guesses.contains(&Guess::More) {
        Guess::More
    } else {
        Guess::No
    }
}

/// `GET /index.html HTTP/1.1`: a method, a target, and the version. The method alone tells nothing: many a protocol begins its requests
/// with GET or PUT.
fn request_line(octets: &[u8]) -> Guess {
    const METHODS: [&[u8]; 9] = [
        b"GET ",
        b"POST ",
        b"HEAD ",
        b"PUT ",
        b"DELETE ",
        b"OPTIONS ",
        b"CONNECT ",
        b"PATCH ",
        b"PROPFIND ",
    ];
    let methods = METHODS.map(|method| starts(octets, method));
    if !methods.contains(&Guess::Yes) {
        return if methods.contains(&Guess::More) {
            Guess::More
        } else {
            Guess::No
        };
    }
    // A target has no control characters, and nothing beyond ASCII.
    let of_line = |c: &u8| matches!(c, b' '..=b'~' | b'\r');
    match memchr::memchr(b'\n', octets) {
        None if octets.iter().all(of_line) => Guess::More,
        None => Guess::No,
        Some(end) => {
            let line = octets.get(..end).unwrap_or_default().trim_ascii_end();
            let last = line.rsplit(|&c| c == b' ').next();
            match last {
                Some([b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0'..=b'9']) => Guess::Yes,
                _ => Guess::No,
            }
        }
    }
}

/// A 220 alone may be SMTP too: the client's first word tells (RFC 959).
fn ftp(opening: &Opening<'_>) -> Guess {
    const WORDS: [&[u8]; 5] = [b"USER ", b"AUTH ", b"FEAT", b"SYST", b"OPTS "];
    let [client, server] = opening.octets;
    match starts(server, b"220") {
        Guess::Yes if client.is_empty() => Guess::More,
        Guess::Yes if WORDS.iter().any(|word| client.starts_with(word)) => Guess::Yes,
        Guess::More if !server.is_empty() => Guess::More,
        _ => Guess::No,
    }
}

/// A TPKT header of version 3 and an X.224 connection request (MS-RDPBCGR section 2.2.1.1).
fn rdp(opening: &Opening<'_>) -> Guess {
    match opening.octets[Direction::ClientToServer.index()] {
        [3, 0, _, _, _, 0xe0, ..] => Guess::Yes,
        [3, 0, _, _, _, ..] | [_, _, _, ..] => Guess::No,
        [] | [3] | [3, 0] => Guess::More,
        _ => Guess::No,
    }
}

/// Opens the dialog of a new flow.
#[must_use]
pub fn dialog(ports: &Ports, client_port: u16, server_port: u16) -> Box<dyn Dialog> {
    open(ports, client_port, server_port, false)
}

/// The same, with the addresses of mail users kept in the texts of the records.
#[must_use]
pub fn dialog_showing_addresses(
    ports: &Ports,
    client_port: u16,
    server_port: u16,
) -> Box<dyn Dialog> {
    open(ports, client_port, server_port, true)
}

fn open(ports: &Ports, client_port: u16, server_port: u16, addresses: bool) -> Box<dyn Dialog> {
    // Where the start is missing, the end with the higher port counts as the client, which may be the wrong one.
    let on_port = |port| {
        PROBES
            .iter()
            .position(|probe| (probe.ports)(ports).contains(&port))
    };
    Box::new(Recogniser {
        by_port: on_port(server_port).or_else(|| on_port(client_port)),
        addresses,
        opening: [Opened::default(), Opened::default()],
        held: Vec::new(),
        connected: None,
        chosen: None,
    })
}

/// First octets of one direction.
#[derive(Clone, Default)]
struct Opened {
    octets: Vec<u8>,
    /// A gap came: what follows is not the opening.
    ended: bool,
}

/// Something held back until the parser is known.
#[derive(Clone)]
enum Held {
    Octets(Box<[u8]>, Place),
    Gap(u64, Place),
    Acked(Direction, u64, Timestamp),
}

/// A [`Piece`] without its octets.
#[derive(Clone, Copy)]
struct Place {
    direction: Direction,
    offset: u64,
    frame: FrameNo,
    sent: Timestamp,
    readable: Timestamp,
}

impl Place {
    fn of(piece: &Piece<'_>) -> Self {
        Self {
            direction: piece.direction,
            offset: piece.offset,
            frame: piece.frame,
            sent: piece.sent,
            readable: piece.readable,
        }
    }

    fn with<'a>(self, octets: Result<&'a [u8], u64>) -> Piece<'a> {
        Piece {
            direction: self.direction,
            offset: self.offset,
            frame: self.frame,
            sent: self.sent,
            readable: self.readable,
            octets,
        }
    }
}

/// The dialog of a flow whose protocol is not known yet, and the way to it once it is.
#[derive(Clone)]
struct Recogniser {
    /// Index in [`PROBES`] of the protocol that the port tells.
    by_port: Option<usize>,
    addresses: bool,
    opening: [Opened; 2],
    held: Vec<Held>,
    connected: Option<(FrameNo, Timestamp)>,
    chosen: Option<Box<dyn Dialog>>,
}

impl Recogniser {
    /// The protocol, as far as it can be told; `None` while it may be several. `last`: there will be no more octets to judge by.
    fn judge(&self, last: bool) -> Option<Box<dyn Dialog>> {
        let mut waiting = false;
        for (index, probe) in PROBES.iter().enumerate() {
            let opening = Opening {
                octets: [&self.opening[0].octets, &self.opening[1].octets],
                on_port: self.by_port == Some(index),
            };
            match (probe.content)(&opening) {
                Guess::Yes => return Some(self.start(probe)),
                Guess::More => waiting = true,
                Guess::No => {}
            }
        }
        if waiting && !last {
            return None;
        }
        match self.by_port.and_then(|index| PROBES.get(index)) {
            Some(probe) => Some(self.start(probe)),
            None => Some(Box::new(Turns::new("unknown"))),
        }
    }

    fn start(&self, probe: &Probe) -> Box<dyn Dialog> {
        (probe.open)(Start {
            application: probe.application,
            addresses: self.addresses,
        })
    }

    /// Tells the parser everything that was held back.
    fn hand_over(&mut self, mut dialog: Box<dyn Dialog>) -> (Box<dyn Dialog>, Interest) {
        if let Some((frame, time)) = self.connected.take() {
            dialog.connected(frame, time);
        }
        let mut interest = Interest::Continue;
        for held in std::mem::take(&mut self.held) {
            match held {
                Held::Octets(octets, place) => interest = dialog.piece(place.with(Ok(&octets))),
                Held::Gap(octets, place) => interest = dialog.piece(place.with(Err(octets))),
                Held::Acked(direction, upto, time) => dialog.acked(direction, upto, time),
            }
        }
        self.opening = [Opened::default(), Opened::default()];
        (dialog, interest)
    }
}

impl Dialog for Recogniser {
    fn piece(&mut self, piece: Piece<'_>) -> Interest {
        if let Some(dialog) = &mut self.chosen {
            return dialog.piece(piece);
        }
        let opened = &mut self.opening[piece.direction.index()];
        match piece.octets {
            Ok(octets) if !opened.ended => {
                let room = MAX_OPENING.saturating_sub(opened.octets.len());
                opened.octets.extend(octets.iter().take(room));
            }
            Ok(_) => {}
            Err(_) => opened.ended = true,
        }
        let last = self.held.len() >= MAX_HELD
            || self
                .opening
                .iter()
                .any(|opened| opened.octets.len() >= MAX_OPENING);
        match self.judge(last) {
            Some(dialog) => {
                let (mut dialog, _) = self.hand_over(dialog);
                let interest = dialog.piece(piece);
                self.chosen = Some(dialog);
                interest
            }
            None => {
                let place = Place::of(&piece);
                self.held.push(match piece.octets {
                    Ok(octets) => Held::Octets(octets.into(), place),
                    Err(octets) => Held::Gap(octets, place),
                });
                Interest::Continue
            }
        }
    }

    fn acked(&mut self, direction: Direction, upto: u64, time: Timestamp) {
        match &mut self.chosen {
            Some(dialog) => dialog.acked(direction, upto, time),
            // Nothing to acknowledge before the first octets; and the limit is kept by the next piece.
            None if self.held.is_empty() || self.held.len() >= MAX_HELD => {}
            None => self.held.push(Held::Acked(direction, upto, time)),
        }
    }

    fn connected(&mut self, frame: FrameNo, time: Timestamp) {
        match &mut self.chosen {
            Some(dialog) => dialog.connected(frame, time),
            None => self.connected = Some((frame, time)),
        }
    }

    fn copy(&self) -> Box<dyn Dialog> {
        Box::new(self.clone())
    }

    fn held(&self) -> usize {
        let octets = |held: &Held| match held {
            Held::Octets(octets, _) => octets.len(),
            Held::Gap(..) | Held::Acked(..) => 0,
        };
        let opening = self.opening.iter().map(|o| o.octets.capacity());
        size_of::<Self>()
            + opening.chain(self.held.iter().map(octets)).sum::<usize>()
            + self.held.capacity() * size_of::<Held>()
            + self.chosen.as_ref().map_or(0, |dialog| dialog.held())
    }

    fn finish(mut self: Box<Self>, ended: Timestamp) -> DialogRecord {
        let chosen = self.chosen.take().or_else(|| self.judge(true));
        match chosen {
            Some(dialog) => self.hand_over(dialog).0.finish(ended),
            None => DialogRecord::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_http() {
        for (name, octets, want) in [
            ("nothing yet", &b""[..], Guess::More),
            ("a part of the method", b"GE", Guess::More),
            ("a part of the line", b"GET /a/long/pa", Guess::More),
            ("whole", b"GET / HTTP/1.1\r\nHost: a\r\n", Guess::Yes),
            ("to a proxy", b"CONNECT a:443 HTTP/1.0\n", Guess::Yes),
            ("a byte server's", b"GET 500000\n", Guess::No),
            ("a store of keys", b"PUT key 0 0 3\r\nabc\r\n", Guess::No),
            ("no text", b"GET \0\x01", Guess::No),
            ("another word", b"GOT / HTTP/1.1\r\n", Guess::No),
        ] {
            assert_eq!(request_line(octets), want, "{name}");
        }
    }
}
