//! The outline of TLS: what its records show without being decrypted.

use super::Dialog;
use super::recognise::{Guess, Opening, Start};
use super::turns::Turns;
use crate::net::Direction;

/// A handshake record of SSL 3.0 to TLS 1.3 at the start of either direction (RFC 8446 section 5.1).
pub(crate) fn content(opening: &Opening<'_>) -> Guess {
    match opening.octets[Direction::ClientToServer.index()] {
        [22, 3, minor, _, _, 1, ..] if *minor <= 4 => Guess::Yes,
        [] | [22] | [22, 3] | [22, 3, 0..=4] | [22, 3, 0..=4, _] | [22, 3, 0..=4, _, _] => {
            Guess::More
        }
        _ => Guess::No,
    }
}

pub(crate) fn open(start: Start) -> Box<dyn Dialog> {
    Box::new(Turns::new(start.application))
}
