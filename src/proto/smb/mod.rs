//! SMB: the file service of Windows and Samba, in all its versions (MS-CIFS, MS-SMB, MS-SMB2).
//!
//! Takes:  [`Piece`]s of one flow
//! Gives:  a [`DialogRecord`] with its [`SmbRecord`](super::SmbRecord)
//! Never:  keeps file contents, tickets, challenges or hashes
//!
//! Octets go through [`netbios`] (where is a message?), [`walk`] (which of its octets matter?), [`records`] (what
//! do they say?) and [`session`] (what does it answer, and how long did that take?).
//!
//! A response time is that of Wireshark's `smb.time` and `smb2.time`: from the frame that completes the request to the frame that
//! completes the response. Here an interim response (STATUS_PENDING) never ends it.

pub mod command;
pub mod records;
pub mod session;
pub mod spnego;
pub mod status;
#[cfg(test)]
mod tests;
pub mod walk;

use self::session::Session;
use self::walk::Walker;
use super::netbios::{self, Framer, PacketType, Step};
use super::recognise::{Guess, Opening, Start, either};
use super::{Dialog, DialogRecord, Interest, Piece};
use crate::net::{Direction, Timestamp};

pub use self::status::{NtStatus, explain};

/// Octets without a single message after which a flow is taken to be something else.
const MAX_STRANGE: u64 = 4 << 20;

/// Whether a flow is SMB: a message of it, or of the NetBIOS session service, stands at the start of a direction; in mid-stream on its
/// port it may stand later.
pub(crate) fn content(opening: &Opening<'_>) -> Guess {
    either(opening, starts)
}

fn starts(octets: &[u8]) -> Guess {
    if netbios::starts_message(octets) {
        return Guess::Yes;
    }
    match octets {
        // A session request: two encoded names of 34 octets (RFC 1002 section 4.3.2).
        [0x81, 0, 0, 0x44, 0x20, ..] => Guess::Yes,
        [0x81, 0, 0, 0x44] | [0x81, 0, 0] | [0x81, 0] | [0x81] | [] => Guess::More,
        [0, ..] if octets.len() < 8 => match octets.get(4..) {
            Some([] | [0xFC..=0xFF, ..]) | None => Guess::More,
            Some(_) => Guess::No,
        },
        _ => Guess::No,
    }
}

/// Opens a flow.
pub(crate) fn open(_: Start) -> Box<dyn Dialog> {
    Box::new(SmbDialog::default())
}

/// One flow of SMB.
#[derive(Clone, Debug, Default)]
pub struct SmbDialog {
    framers: [Framer; 2],
    walkers: [Walker; 2],
    session: Session,
    /// Whether a message was found, and octets before that.
    found: bool,
    strange: u64,
}

impl Dialog for SmbDialog {
    fn piece(&mut self, piece: Piece<'_>) -> Interest {
        let direction = piece.direction;
        let (session, found) = (&mut self.session, &mut self.found);
        let walker = &mut self.walkers[direction.index()];
        self.framers[direction.index()].feed(&piece, &mut |step| match step {
            Step::Begin(length) => {
                *found = true;
                walker.begin(length);
            }
            Step::Octets { at, octets } => walker.octets(at, octets),
            Step::End { span } => session.message(direction, span, walker.end()),
            Step::Service(PacketType::KEEP_ALIVE, _) => {}
            Step::Service(kind, span) => {
                session.say(direction, span, true, || kind.name().to_owned());
            }
        });
        if !self.found {
            self.strange += piece.octets.map_or(0, |octets| octets.len() as u64);
            if self.strange > MAX_STRANGE {
                return Interest::Nothing;
            }
        }
        Interest::Continue
    }

    fn acked(&mut self, direction: Direction, upto: u64, time: Timestamp) {
        self.session.acked(direction, upto, time);
    }

    fn copy(&self) -> Box<dyn Dialog> {
        Box::new(self.clone())
    }

    fn held(&self) -> usize {
        let walkers = self.walkers.iter().map(Walker::held).sum::<usize>();
        size_of::<Self>() + walkers + self.session.held()
    }

    fn finish(self: Box<Self>, ended: Timestamp) -> DialogRecord {
        let lost = self.framers.iter().map(|framer| framer.lost).sum();
        let omitted = self.walkers.iter().map(|walker| walker.omitted).sum();
        let mut record = self.session.finish(ended, lost, omitted);
        if !self.found {
            record.application = "unknown";
            record.smb = None;
        }
        record
    }
}
