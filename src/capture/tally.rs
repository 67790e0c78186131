//! Keeps the account of one capture while it is read: what there was, and what was wrong with it.
//!
//! Takes:  one call a frame, one a problem
//! Gives:  the frames of a batch, numbered and corrected; a [`CaptureInfo`]
//! Never:  grows with the capture: problems, comments, names and link types have limits

use std::net::IpAddr;
use std::ops::Range;

use super::{CaptureInfo, Frame, LinkType, MAX_COMMENTS, MAX_NAMES, MAX_PROBLEMS, Problem};
use crate::net::{FrameNo, Timestamp};

/// Link types listed for one capture.
const MAX_LINK_TYPES: usize = 32;

/// Octets kept of one comment or name.
const MAX_TEXT_OCTETS: usize = 1000;

/// What may be odd with many frames alike: told once, with a count, not once a frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Oddity {
    /// The length on the wire is given as less than what was captured.
    WireBelowCaptured,
    /// The fraction of the time stamp is a second or more.
    FractionOverflow,
    /// A simple packet block has no time stamp.
    NoTime,
    /// The packet names an interface that the section does not describe.
    NoInterface,
    /// The record does not hold what it says.
    Broken,
}

const ODDITIES: [(Oddity, &str); 5] = [
    (
        Oddity::WireBelowCaptured,
        "give a length on the wire below the captured length, which was taken instead",
    ),
    (
        Oddity::FractionOverflow,
        "have a time stamp whose fraction is a second or more, which was carried over",
    ),
    (
        Oddity::NoTime,
        "have no time stamp; the time of the frame before was taken",
    ),
    (
        Oddity::NoInterface,
        "name an interface that the file does not describe, and were left out",
    ),
    (
        Oddity::Broken,
        "lie in records that do not hold what they announce, and were left out",
    ),
];

/// The account.
#[derive(Debug, Default)]
pub(super) struct Tally {
    info: CaptureInfo,
    links: Vec<LinkType>,
    last_link: Option<LinkType>,
    oddities: [(u64, FrameNo); ODDITIES.len()],
    more_problems: u64,
}

impl Tally {
    pub(super) fn new(path: &str, format: &str) -> Self {
        Self {
            info: CaptureInfo {
                path: path.to_owned(),
                format: format.to_owned(),
                ..CaptureInfo::default()
            },
            ..Self::default()
        }
    }

    /// The path as given.
    pub(super) fn path(&self) -> &str {
        &self.info.path
    }

    /// The format has shown to be a kind of its own: `pcap+gzip` becomes `pcap-nokia+gzip`.
    #[cold]
    pub(super) fn is_rather(&mut self, family: &str, kind: &str) {
        if !self.info.format.starts_with(kind) {
            self.info.format = self.info.format.replacen(family, kind, 1);
        }
    }

    /// Whether exactly this was noted already.
    pub(super) fn has_problem(&self, text: &str) -> bool {
        self.info
            .problems
            .iter()
            .any(|problem| problem.text == text)
    }

    /// The number that the next frame will get.
    pub(super) fn next_number(&self) -> FrameNo {
        FrameNo(self.info.frames + 1)
    }

    /// The latest time so far.
    pub(super) fn latest(&self) -> Option<Timestamp> {
        self.info.last
    }

    /// Numbers a frame, counts it and puts it into the batch.
    #[inline]
    pub(super) fn frame(
        &mut self,
        frames: &mut Vec<Frame>,
        time: Timestamp,
        range: Range<usize>,
        wire_octets: u32,
        link: LinkType,
    ) {
        let info = &mut self.info;
        info.frames += 1;
        let number = FrameNo(info.frames);
        let captured = range.len() as u64;
        info.octets += captured;
        let mut wire = wire_octets;
        if u64::from(wire_octets) > captured {
            info.truncated_frames += 1;
        } else if u64::from(wire_octets) < captured {
            wire = u32::try_from(captured).unwrap_or(u32::MAX);
            self.odd(Oddity::WireBelowCaptured, number);
        }
        let info = &mut self.info;
        if info.last.is_none_or(|last| last < time) {
            info.last = Some(time);
        }
        if info.first.is_none() {
            info.first = Some(time);
        }
        if self.last_link != Some(link) {
            self.met(link);
        }
        frames.push(Frame {
            number,
            time,
            range,
            wire_octets: wire,
            link,
        });
    }

    #[cold]
    fn met(&mut self, link: LinkType) {
        self.last_link = Some(link);
        if !self.links.contains(&link) && self.links.len() < MAX_LINK_TYPES {
            self.links.push(link);
            self.info.link_types.push(link.name());
        }
    }

    /// Notes an oddity of a frame.
    #[cold]
    pub(super) fn odd(&mut self, what: Oddity, frame: FrameNo) {
        for ((kind, _), (count, first)) in ODDITIES.iter().zip(&mut self.oddities) {
            if *kind == what {
                if *count == 0 {
                    *first = frame;
                }
                *count += 1;
            }
        }
    }

    /// Notes a problem of the file or of one frame.
    #[cold]
    pub(super) fn problem(&mut self, frame: Option<FrameNo>, text: String) {
        // One place is kept for the sentence that says how many more there were, and one for each oddity.
        if self.info.problems.len() + 1 + ODDITIES.len() < MAX_PROBLEMS {
            self.info.problems.push(Problem { frame, text });
        } else {
            self.more_problems += 1;
        }
    }

    /// Keeps a comment that the file holds.
    #[cold]
    pub(super) fn comment(&mut self, frame: Option<FrameNo>, text: &[u8]) {
        if self.info.comments.len() < MAX_COMMENTS {
            let text = String::from_utf8_lossy(text.get(..MAX_TEXT_OCTETS).unwrap_or(text));
            self.info.comments.push(Problem {
                frame,
                text: text.trim_end_matches('\0').to_owned(),
            });
        }
    }

    /// Keeps a host name that the file holds.
    #[cold]
    pub(super) fn name(&mut self, addr: IpAddr, name: &str) {
        if self.info.names.len() < MAX_NAMES && name.len() <= MAX_TEXT_OCTETS {
            self.info.names.push((addr, name.to_owned()));
        }
    }

    /// Sets how many frames the capturing system says it dropped.
    pub(super) fn dropped(&mut self, frames: Option<u64>) {
        self.info.dropped_by_capture = frames;
    }

    /// What is known so far.
    pub(super) fn info(&self) -> CaptureInfo {
        let mut info = self.info.clone();
        for ((_, text), (count, first)) in ODDITIES.iter().zip(&self.oddities) {
            if *count > 0 {
                info.problems.push(Problem {
                    frame: Some(*first),
                    text: format!("{count} frames, from number {first} on, {text}"),
                });
            }
        }
        if self.more_problems > 0 {
            info.problems.push(Problem {
                frame: None,
                text: format!("and {} more problems", self.more_problems),
            });
        }
        info
    }
}
