//! Positions: in the sequence space, in a stream, in a capture; and the two directions of a flow.

use std::fmt;

/// A TCP sequence number as it stands in the header: an integer modulo 2^32.
///
/// It has no `Ord`: circular order is not transitive, so sorting or taking a `max` of raw sequence numbers is a bug
/// waiting for a wrap. Ask [`precedes`](Self::precedes) of two numbers, or turn them into [`StreamOffset`]s, which do order.
///
/// RFC 9293 section 3.4.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct SeqNum(pub u32);

impl SeqNum {
    /// Octets from `self` forward to `later`; negative if `later` lies behind. Never panics.
    #[must_use]
    pub const fn distance_to(self, later: Self) -> i32 {
        later.0.wrapping_sub(self.0).cast_signed()
    }

    /// Whether `self` lies before `other` on the sequence circle.
    #[must_use]
    pub const fn precedes(self, other: Self) -> bool {
        self.distance_to(other) > 0
    }

    /// The number `octets` further on, around the circle.
    #[must_use]
    pub const fn plus(self, octets: u32) -> Self {
        Self(self.0.wrapping_add(octets))
    }
}

/// A position in one direction of one connection, in octets and 64 bits, so that positions order and never wrap.
///
/// The origin lies in the middle of the range ([`StreamOffset::ORIGIN`]): the first sequence number that the capture shows of
/// a direction gets it, and octets from before the capture began lie below it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StreamOffset(pub u64);

impl StreamOffset {
    /// Where the first sequence number seen of a direction is put.
    pub const ORIGIN: Self = Self(1 << 40);

    /// Octets from `earlier` to `self`; negative where `self` lies before it.
    #[must_use]
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }

    /// The offset `octets` further on (or back).
    #[must_use]
    pub const fn plus(self, octets: i64) -> Self {
        Self(self.0.wrapping_add_signed(octets))
    }
}

/// Number of a frame within its capture file, from 1, as Wireshark counts; and, in the bits above, which capture of the run that is.
///
/// So a frame is named by one number wherever it goes, and numbers order over all captures as they were read. What comes from the
/// first capture, or the only one, is the plain number.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FrameNo(pub u64);

impl FrameNo {
    /// Bits of the number within the file.
    const BITS: u32 = 40;

    /// The frame of this number in the capture of this index, from 0.
    #[must_use]
    pub const fn in_capture(self, capture: u32) -> Self {
        Self(self.number() | ((capture as u64) << Self::BITS))
    }

    /// Number in its file, from 1.
    #[must_use]
    pub const fn number(self) -> u64 {
        self.0 & ((1 << Self::BITS) - 1)
    }

    /// Whether it stands before another of the same file; frames of two files are in no order but that of time.
    #[must_use]
    pub const fn stands_before(self, other: Self) -> bool {
        self.capture() == other.capture() && self.0 < other.0
    }

    /// Index of its capture in the order of reading, from 0.
    #[must_use]
    #[allow(clippy::cast_possible_truncation)] // 24 bits are left
    pub const fn capture(self) -> u32 {
        (self.0 >> Self::BITS) as u32
    }
}

/// `12`, and `12 of capture 3` where it is not of the first: captures are counted from 1 before people.
impl fmt::Display for FrameNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.capture() {
            0 => self.number().fmt(f),
            later => write!(f, "{} of capture {}", self.number(), u64::from(later) + 1),
        }
    }
}

/// A frame named across several captures.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct FrameRef {
    /// Index of the capture in the order of reading, from 0.
    pub capture: u32,
    /// Frame number in that capture.
    pub frame: FrameNo,
}

impl From<FrameNo> for FrameRef {
    fn from(frame: FrameNo) -> Self {
        Self {
            capture: frame.capture(),
            frame,
        }
    }
}

/// Which way a segment travels between the two ends of a flow.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Direction {
    /// From the end that opened the connection (or that looks like it).
    ClientToServer,
    /// Back.
    ServerToClient,
}

impl Direction {
    /// Both, in the order in which arrays are indexed.
    pub const BOTH: [Self; 2] = [Self::ClientToServer, Self::ServerToClient];

    /// 0 for client to server, 1 for the way back: the index into `[T; 2]`.
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::ClientToServer => 0,
            Self::ServerToClient => 1,
        }
    }

    /// The other way.
    #[must_use]
    pub const fn reverse(self) -> Self {
        match self {
            Self::ClientToServer => Self::ServerToClient,
            Self::ServerToClient => Self::ClientToServer,
        }
    }

    /// The end that sends in this direction.
    #[must_use]
    pub const fn sender(self) -> Side {
        match self {
            Self::ClientToServer => Side::Client,
            Self::ServerToClient => Side::Server,
        }
    }
}

/// One of the two ends of a flow.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Side {
    /// The end that opened the connection.
    Client,
    /// The end that accepted it.
    Server,
}

impl Side {
    /// The direction in which this end sends.
    #[must_use]
    pub const fn sends(self) -> Direction {
        match self {
            Self::Client => Direction::ClientToServer,
            Self::Server => Direction::ServerToClient,
        }
    }

    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_told_apart_by_capture() {
        let plain = FrameNo(4159);
        let third = plain.in_capture(2);
        assert_eq!((plain.capture(), plain.number()), (0, 4159));
        assert_eq!((third.capture(), third.number()), (2, 4159));
        assert_eq!(plain.in_capture(0), plain);
        assert_eq!(third.in_capture(1), plain.in_capture(1));
        assert!(FrameNo(1).in_capture(1) > FrameNo(u64::MAX).in_capture(0));
        assert!(plain.stands_before(FrameNo(4160)) && !FrameNo(4160).stands_before(plain));
        assert!(!plain.stands_before(third) && !third.stands_before(plain));
        assert_eq!(plain.to_string(), "4159");
        assert_eq!(third.to_string(), "4159 of capture 3");
    }

    #[test]
    fn sequence_numbers_go_round() {
        for (name, from, to, want) in [
            ("same", 5, 5, 0),
            ("one on", 5, 6, 1),
            ("over the wrap", u32::MAX, 0, 1),
            ("back over the wrap", 0, u32::MAX, -1),
            ("half the circle is behind", 0, 1 << 31, i32::MIN),
        ] {
            assert_eq!(SeqNum(from).distance_to(SeqNum(to)), want, "{name}");
        }
        assert!(SeqNum(u32::MAX).precedes(SeqNum(3)));
        assert!(!SeqNum(3).precedes(SeqNum(3)));
        assert_eq!(SeqNum(u32::MAX).plus(2), SeqNum(1));
    }
}
