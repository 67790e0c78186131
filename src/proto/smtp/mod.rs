//! SMTP (RFC 5321): [`records`] reads lines, `session` pairs commands with replies and keeps their times, [`codes`] tells what
//! replies mean.

pub mod codes;
pub mod phases;
pub mod records;
mod session;

#[cfg(test)]
mod tests;

use super::Dialog;
use super::recognise::{Guess, Opening, Start, starts};
use session::Session;

/// Whether the octets are those of an SMTP dialog: by the client's first word, or the server's greeting.
pub(crate) fn content(opening: &Opening<'_>) -> Guess {
    let [client, server] = opening.octets;
    let mut waiting = client.is_empty() && server.is_empty();
    for octets in [client, server] {
        // In a capture that starts in mid-stream, the ends may be taken for each other.
        for line in octets.split(|&c| c == b'\n') {
            if matches!(records::command(line), Some(command)
                if matches!(command.verb, "EHLO" | "HELO" | "LHLO" | "MAIL" | "RCPT"))
                && records::is_plain_command(line)
            {
                return Guess::Yes;
            }
        }
        let Some(first) = octets.split_inclusive(|&c| c == b'\n').next() else {
            continue;
        };
        match records::reply_line(first) {
            Ok((_, reply)) if matches!(reply.code, 220 | 421 | 554) => {
                let text = reply.text.to_ascii_uppercase();
                if opening.on_port || memchr::memmem::find(&text, b"SMTP").is_some() {
                    return Guess::Yes;
                }
                // FTP greets with 220 too: the client's first word tells.
                waiting |= client.is_empty() || server.is_empty();
            }
            Err(nom::Err::Incomplete(_)) => waiting |= octets.len() < 1_024,
            _ => {
                waiting |= !first.ends_with(b"\n")
                    && first.first().is_some_and(u8::is_ascii_alphabetic)
                    && first.len() < 512
                    && (starts(first, b"EHLO ") != Guess::No
                        || starts(first, b"HELO ") != Guess::No);
            }
        }
    }
    // Implicit TLS (RFC 8314), and captures that start in mid-stream under TLS.
    if opening.on_port && super::tls::content(opening) == Guess::Yes {
        return Guess::Yes;
    }
    if waiting { Guess::More } else { Guess::No }
}

pub(crate) fn open(start: Start) -> Box<dyn Dialog> {
    Box::new(Session::new(start.addresses))
}
