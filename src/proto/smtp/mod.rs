//! SMTP (RFC 5321).

use super::Dialog;
use super::recognise::{Guess, Opening, Start};
use super::turns::Turns;

/// Whether the octets are those of an SMTP dialog.
pub(crate) fn content(opening: &Opening<'_>) -> Guess {
    let [client, _] = opening.octets;
    match client.get(..5) {
        Some(b"EHLO " | b"HELO ") => Guess::Yes,
        Some(_) => Guess::No,
        None => Guess::More,
    }
}

pub(crate) fn open(start: Start) -> Box<dyn Dialog> {
    Box::new(Turns::new(start.application))
}
