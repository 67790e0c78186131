//! Requests and answers of a protocol that is not read: whoever speaks after the other one answers.
//!
//! Takes:  pieces of both directions; their octets only to name the requests of HTTP
//! Gives:  an [`Exchange`] for each burst of the client, answered by the server's first octet after it
//! Never:  goes on for longer than [`MAX_EXCHANGES`] or [`MAX_OCTETS`]: what a flow has not shown by then it will not show

use std::borrow::Cow;

use super::{Dialog, DialogRecord, Exchange, Interest, Piece, room};
use crate::net::{Direction, FrameNo, Timestamp};

/// Exchanges kept of a protocol that is not read.
pub(super) const MAX_EXCHANGES: usize = 1_000;

/// Octets after which the flow of a protocol that is not read is let go.
const MAX_OCTETS: u64 = 64 << 20;

/// Takes turns: a burst of the client is a request, ended by the server's next octet.
#[derive(Clone, Debug, Default)]
pub(crate) struct TurnTaker {
    open: Option<Open>,
    exchanges: Vec<Exchange>,
}

/// A request that is not answered yet.
#[derive(Clone, Debug)]
struct Open {
    name: Cow<'static, str>,
    frame: FrameNo,
    sent: Timestamp,
    end: u64,
    acked: Option<Timestamp>,
}

/// A burst of the client and the first octet of its answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Turn {
    /// Frame and time of the request's last octet.
    pub(crate) frame: FrameNo,
    pub(crate) sent: Timestamp,
    pub(crate) acked: Option<Timestamp>,
    pub(crate) answer_frame: FrameNo,
    pub(crate) answered: Timestamp,
}

impl TurnTaker {
    /// Whether there is room for more exchanges.
    pub(crate) fn is_full(&self) -> bool {
        self.exchanges.len() >= MAX_EXCHANGES
    }

    /// Octets of the client; `name` is asked for at the start of a request.
    pub(crate) fn request(
        &mut self,
        frame: FrameNo,
        sent: Timestamp,
        end: u64,
        name: impl FnOnce() -> Cow<'static, str>,
    ) {
        let open = self.open.get_or_insert_with(|| Open {
            name: name(),
            frame,
            sent,
            end,
            acked: None,
        });
        (open.frame, open.sent, open.end, open.acked) = (frame, sent, end, None);
    }

    /// Octets of the server: the answer, if something was asked.
    pub(crate) fn answer(&mut self, frame: FrameNo, sent: Timestamp) -> Option<Turn> {
        let open = self.open.take()?;
        // An ACK that came with the answer says nothing of when the request had arrived.
        let acked = open.acked.filter(|&acked| acked < sent);
        if !self.is_full() {
            self.exchanges.push(Exchange {
                name: open.name,
                request_frame: open.frame,
                requested: open.sent,
                acked,
                answer_frame: Some(frame),
                answered: Some(sent),
                direction: Direction::ClientToServer,
            });
        }
        Some(Turn {
            frame: open.frame,
            sent: open.sent,
            acked,
            answer_frame: frame,
            answered: sent,
        })
    }

    /// The server acknowledged everything below `upto`.
    pub(crate) fn acked(&mut self, upto: u64, time: Timestamp) {
        if let Some(open) = &mut self.open
            && open.acked.is_none()
            && upto >= open.end
        {
            open.acked = Some(time);
        }
    }

    /// Octets of memory that it holds beside itself, about.
    pub(crate) fn held(&self) -> usize {
        room::<Exchange>(self.exchanges.capacity())
    }

    /// What was asked and answered; a request that is still open was never answered.
    pub(crate) fn finish(mut self) -> Vec<Exchange> {
        if let Some(open) = self.open.take()
            && !self.is_full()
        {
            self.exchanges.push(Exchange {
                name: open.name,
                request_frame: open.frame,
                requested: open.sent,
                acked: open.acked,
                answer_frame: None,
                answered: None,
                direction: Direction::ClientToServer,
            });
        }
        self.exchanges
    }
}

/// Octets that a piece stands for.
pub(crate) fn length(piece: &Piece<'_>) -> u64 {
    match piece.octets {
        Ok(octets) => octets.len() as u64,
        Err(missing) => missing,
    }
}

/// The dialog of a protocol that is named and timed, not read.
#[derive(Clone)]
pub(crate) struct Turns {
    application: &'static str,
    taker: TurnTaker,
    octets: u64,
}

impl Turns {
    pub(crate) fn new(application: &'static str) -> Self {
        Self {
            application,
            taker: TurnTaker::default(),
            octets: 0,
        }
    }

    /// First word of an HTTP request; other protocols are not read.
    fn name(application: &str, piece: &Piece<'_>) -> Cow<'static, str> {
        let word: String = match piece.octets {
            Ok(octets) if application == "http" => octets
                .iter()
                .take(16)
                .take_while(|octet| octet.is_ascii_uppercase())
                .map(|&octet| char::from(octet))
                .collect(),
            _ => String::new(),
        };
        if word.is_empty() {
            "request".into()
        } else {
            word.into()
        }
    }
}

impl Dialog for Turns {
    fn piece(&mut self, piece: Piece<'_>) -> Interest {
        let octets = length(&piece);
        self.octets = self.octets.saturating_add(octets);
        match piece.direction {
            Direction::ClientToServer => {
                let end = piece.offset.saturating_add(octets);
                let application = self.application;
                self.taker.request(piece.frame, piece.sent, end, || {
                    Self::name(application, &piece)
                });
            }
            Direction::ServerToClient => {
                self.taker.answer(piece.frame, piece.sent);
            }
        }
        if self.taker.is_full() || self.octets > MAX_OCTETS {
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
        size_of::<Self>() + self.taker.held()
    }

    fn finish(self: Box<Self>, _ended: Timestamp) -> DialogRecord {
        DialogRecord {
            application: self.application,
            exchanges: self.taker.finish(),
            ..DialogRecord::default()
        }
    }
}
