//! NetBIOS session service (RFC 1002 section 4.3) and its twin over port 445 (MS-SMB2 section 2.1): where a message begins and ends.
//!
//! Takes:  [`Piece`]s of one direction
//! Gives:  [`Step`]s: the octets of each message as they come, and its [`Span`] at the end
//! Never:  keeps octets of a message; believes a length that no known message follows

use memchr::memmem;

use super::Piece;
use crate::net::{FrameNo, Timestamp};

/// Octets before a message: type and length.
const PREFIX: usize = 4;

/// Octets by which a message is told: prefix and protocol id.
const MARK: usize = 8;

/// Longest message of which a prefix is believed while the place is being looked for: the largest READ or WRITE of MS-SMB2 section
/// 3.3.5.12 (8 MiB) and its headers.
const MAX_SOUGHT: u32 = (8 << 20) + (1 << 17);

/// Where a message lies in its direction, and when it was sent.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Span {
    /// Frame of the first octet.
    pub frame: FrameNo,
    /// When that frame was captured.
    pub first: Timestamp,
    /// Frame of the last octet.
    pub last_frame: FrameNo,
    /// When the message was complete: the latest of the frames that carry it.
    pub last: Timestamp,
    /// Offset of the first octet of the prefix.
    pub offset: u64,
    /// Octets, prefix included.
    pub octets: u64,
}

/// Packet types of RFC 1002 section 4.3.1.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PacketType(pub u8);

impl PacketType {
    /// A message of the session.
    pub const MESSAGE: Self = Self(0x00);
    /// Opens a session.
    pub const REQUEST: Self = Self(0x81);
    /// Accepts it.
    pub const POSITIVE: Self = Self(0x82);
    /// Refuses it.
    pub const NEGATIVE: Self = Self(0x83);
    /// Sends the client elsewhere.
    pub const RETARGET: Self = Self(0x84);
    /// Nothing to say.
    pub const KEEP_ALIVE: Self = Self(0x85);

    /// Its name in the evidence.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MESSAGE => "NetBIOS session message",
            Self::REQUEST => "NetBIOS session request",
            Self::POSITIVE => "NetBIOS session accepted",
            Self::NEGATIVE => "NetBIOS session refused",
            Self::RETARGET => "NetBIOS session sent elsewhere",
            Self::KEEP_ALIVE => "NetBIOS keep-alive",
            _ => "NetBIOS packet of unknown type",
        }
    }
}

/// What the framer finds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Step<'a> {
    /// A message begins; it is `length` octets long without its prefix.
    Begin(u32),
    /// Its octets from `at` on.
    Octets {
        /// Place in the message.
        at: u32,
        /// The octets.
        octets: &'a [u8],
    },
    /// It ends, or the capture lacks its end. Octets that were never captured have been left out of `Octets`.
    End {
        /// Where it lies.
        span: Span,
    },
    /// A packet of the session service itself.
    Service(PacketType, Span),
}

/// Whether `octets` (at least 8 to say yes) start with a session prefix and an SMB message.
#[must_use]
pub fn starts_message(octets: &[u8]) -> bool {
    octets.first_chunk::<MARK>().is_some_and(|mark| {
        let length = u32::from_be_bytes([0, mark[1], mark[2], mark[3]]);
        mark[0] == 0 && length <= MAX_SOUGHT && is_smb(mark, length)
    })
}

/// Whether the protocol id after the prefix is one of SMB's, and the length has room for its header.
fn is_smb(mark: &[u8; MARK], length: u32) -> bool {
    let least = match mark[PREFIX] {
        // MS-CIFS section 2.2.3.1: header, word count and octet count.
        0xFF => 35,
        // MS-SMB2 sections 2.2.1, 2.2.41 and 2.2.42.
        0xFE => 64,
        0xFD => 52,
        0xFC => 16,
        _ => return false,
    };
    mark.ends_with(b"SMB") && length >= least
}

/// Finds the messages of one direction.
#[derive(Clone, Debug)]
pub struct Framer {
    state: State,
    /// The message being read, as far as known; its `octets` is the number read so far.
    span: Span,
    /// Times that the place was lost.
    pub lost: u64,
}

#[derive(Clone, Debug)]
enum State {
    /// Looking for a message; the last octets seen are kept, in case they are its beginning.
    Seek([u8; MARK - 1], usize),
    /// Between messages, or in a prefix.
    Prefix([u8; MARK], usize),
    /// In a message of so many octets, so many of which have been read.
    Message { length: u32, at: u32 },
    /// In another packet.
    Service { kind: PacketType, left: u32 },
}

impl Default for Framer {
    fn default() -> Self {
        let none = Timestamp::default();
        Self {
            state: State::Prefix([0; MARK], 0),
            span: Span {
                frame: FrameNo(0),
                first: none,
                last_frame: FrameNo(0),
                last: none,
                offset: 0,
                octets: 0,
            },
            lost: 0,
        }
    }
}

impl Framer {
    /// The next piece of this direction.
    pub fn feed(&mut self, piece: &Piece<'_>, sink: &mut dyn FnMut(Step<'_>)) {
        match piece.octets {
            Ok(octets) => self.octets(piece, octets, sink),
            Err(missing) => self.gap(missing, sink),
        }
    }

    fn octets(&mut self, piece: &Piece<'_>, octets: &[u8], sink: &mut dyn FnMut(Step<'_>)) {
        let mut rest = octets;
        while !rest.is_empty() {
            let offset = piece.offset + (octets.len() - rest.len()) as u64;
            match &mut self.state {
                State::Seek(..) => match self.seek(rest) {
                    Some((mark, used, begins)) => {
                        self.begin_span(piece, offset.saturating_add_signed(begins));
                        self.extend_span(piece, MARK as u64);
                        self.state = State::Prefix(mark, MARK);
                        rest = rest.get(used..).unwrap_or(&[]);
                        self.prefix_read(sink);
                    }
                    None => return,
                },
                State::Prefix(mark, held) => {
                    let want = mark_octets(mark, *held);
                    let new = if *held == 0 { Some(offset) } else { None };
                    let used = (want - *held).min(rest.len());
                    for (to, from) in mark.iter_mut().skip(*held).zip(rest.iter().take(used)) {
                        *to = *from;
                    }
                    *held += used;
                    let full = *held == mark_octets(mark, *held);
                    rest = rest.get(used..).unwrap_or(&[]);
                    if let Some(offset) = new {
                        self.begin_span(piece, offset);
                    }
                    self.extend_span(piece, used as u64);
                    if full {
                        self.prefix_read(sink);
                    }
                }
                State::Message { length, at } => {
                    let used = rest.len().min((*length - *at) as usize);
                    let (now, later) = rest.split_at(used);
                    sink(Step::Octets {
                        at: *at,
                        octets: now,
                    });
                    *at += u32::try_from(used).unwrap_or(u32::MAX);
                    let ended = *at >= *length;
                    rest = later;
                    self.extend_span(piece, used as u64);
                    if ended {
                        self.end(sink);
                    }
                }
                State::Service { kind, left } => {
                    let used = rest.len().min(*left as usize);
                    *left -= u32::try_from(used).unwrap_or(u32::MAX);
                    let (kind, ended) = (*kind, *left == 0);
                    rest = rest.get(used..).unwrap_or(&[]);
                    self.extend_span(piece, used as u64);
                    if ended {
                        sink(Step::Service(kind, self.span));
                        self.state = State::Prefix([0; MARK], 0);
                    }
                }
            }
        }
    }

    /// A hole inside a message leaves the place known; one that covers a prefix does not.
    fn gap(&mut self, missing: u64, sink: &mut dyn FnMut(Step<'_>)) {
        if missing == 0 {
            return;
        }
        match &mut self.state {
            State::Message { length, at } => {
                let left = u64::from(*length - *at);
                if missing < left {
                    *at += u32::try_from(missing).unwrap_or(u32::MAX);
                    self.span.octets = self.span.octets.saturating_add(missing);
                    return;
                }
                self.end(sink);
                if missing == left {
                    return;
                }
            }
            State::Service { left, .. } if missing < u64::from(*left) => {
                *left -= u32::try_from(missing).unwrap_or(u32::MAX);
                return;
            }
            _ => {}
        }
        self.lost += 1;
        self.state = State::Seek([0; MARK - 1], 0);
    }

    /// The prefix (and protocol id, where one must follow) is complete.
    fn prefix_read(&mut self, sink: &mut dyn FnMut(Step<'_>)) {
        let State::Prefix(mark, _) = self.state else {
            return;
        };
        let kind = PacketType(mark[0]);
        // RFC 1002 gives the length 17 bits; MS-SMB2 section 2.1 gives it 24.
        let length = u32::from_be_bytes([0, mark[1], mark[2], mark[3]]);
        match kind {
            PacketType::MESSAGE if is_smb(&mark, length) => {
                sink(Step::Begin(length));
                let id = mark.get(PREFIX..).unwrap_or(&[]);
                sink(Step::Octets { at: 0, octets: id });
                self.state = State::Message { length, at: 4 };
            }
            PacketType::REQUEST
            | PacketType::POSITIVE
            | PacketType::NEGATIVE
            | PacketType::RETARGET
            | PacketType::KEEP_ALIVE
                if length < 1 << 10 =>
            {
                if length == 0 {
                    sink(Step::Service(kind, self.span));
                    self.state = State::Prefix([0; MARK], 0);
                } else {
                    self.state = State::Service { kind, left: length };
                }
            }
            _ => {
                self.lost += 1;
                let held = mark_octets(&mark, PREFIX);
                let mut tail = [0; MARK - 1];
                let kept = mark.get(1..held).unwrap_or(&[]);
                for (to, from) in tail.iter_mut().zip(kept) {
                    *to = *from;
                }
                self.state = State::Seek(tail, kept.len());
            }
        }
    }

    fn end(&mut self, sink: &mut dyn FnMut(Step<'_>)) {
        sink(Step::End { span: self.span });
        self.state = State::Prefix([0; MARK], 0);
    }

    /// Looks for a message in what was kept and `octets`: its mark, how many of `octets` are used up with that, and where it
    /// begins, counted from the first of them.
    fn seek(&mut self, octets: &[u8]) -> Option<([u8; MARK], usize, i64)> {
        let State::Seek(tail, held) = &mut self.state else {
            return None;
        };
        // Across the seam first, then in the piece alone.
        let mut seam = [0; 2 * (MARK - 1)];
        let fresh = octets.len().min(MARK - 1);
        let old = tail.iter().take(*held);
        let mut len = 0;
        for (to, from) in seam.iter_mut().zip(old.chain(octets.iter().take(fresh))) {
            *to = *from;
            len += 1;
        }
        for start in 0..*held {
            let candidate = seam.get(start..len).unwrap_or(&[]);
            if starts_message(candidate) {
                let mark = *candidate.first_chunk::<MARK>()?;
                let before = *held - start;
                return Some((mark, MARK - before, -i64::try_from(before).ok()?));
            }
        }
        for at in memmem::find_iter(octets, b"SMB") {
            let Some(start) = at.checked_sub(MARK - 3) else {
                continue;
            };
            let candidate = octets.get(start..).unwrap_or(&[]);
            if starts_message(candidate) {
                let mark = *candidate.first_chunk::<MARK>()?;
                return Some((mark, start + MARK, i64::try_from(start).ok()?));
            }
        }
        let joined = seam.get(..len).unwrap_or(&[]);
        let source = if octets.len() >= MARK - 1 {
            octets
        } else {
            joined
        };
        let keep = source.len().min(MARK - 1);
        let mut next = [0; MARK - 1];
        let last = source.get(source.len() - keep..).unwrap_or(&[]);
        for (to, from) in next.iter_mut().zip(last) {
            *to = *from;
        }
        (*tail, *held) = (next, keep);
        None
    }

    fn begin_span(&mut self, piece: &Piece<'_>, offset: u64) {
        self.span = Span {
            frame: piece.frame,
            first: piece.sent,
            last_frame: piece.frame,
            last: piece.sent,
            offset,
            octets: 0,
        };
    }

    fn extend_span(&mut self, piece: &Piece<'_>, octets: u64) {
        self.span.octets = self.span.octets.saturating_add(octets);
        self.span.last_frame = piece.frame;
        self.span.last = self.span.last.max(piece.sent);
    }
}

/// Octets to hold before a prefix can be judged: a session message is told by its protocol id.
fn mark_octets(mark: &[u8; MARK], held: usize) -> usize {
    if held >= PREFIX && mark[0] == PacketType::MESSAGE.0 {
        MARK
    } else {
        PREFIX
    }
}
