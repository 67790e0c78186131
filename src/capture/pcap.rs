//! Reads pcap: micro- and nanoseconds, both byte orders, the modified kinds with longer record headers, and version 2.2.
//!
//! Takes:  octets at a record
//! Gives:  frames
//! Never:  believes a length that no capture tool writes: there reading stops, and the account says where
//!
//! Three old kinds have longer record headers and no magic number of their own; the first records show them.
//!
//! Source: <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html>; `sf-pcap.c` of libpcap and `wiretap/libpcap.c` of Wireshark
//! for what old versions did.

use pcap_file::Endianness;
use pcap_file::pcap::{PcapParser, PcapTsResolution};

use super::fields::Order;
use super::records::{Pause, Records, Window};
use super::tally::{Oddity, Tally};
use super::{BATCH_FRAMES, Frame, LinkType};
use crate::net::Timestamp;

/// Octets of the file header.
pub(super) const HEADER: usize = 24;

/// Octets of the header of a record; the modified kind has [`MODIFIED_EXTRA`] more (interface, protocol, packet type).
const RECORD_HEADER: usize = 16;
const MODIFIED_EXTRA: usize = 8;

/// What else may stand behind the header of a record, by the magic number: octets more, and the name of the kind.
const KINDS: &[(usize, &str)] = &[(4, "pcap-nokia"), (MODIFIED_EXTRA, "pcap-modified")];
const MODIFIED_KINDS: &[(usize, &str)] = &[(12, "pcap-modified")];

/// Records that a kind is told by, and octets in which they are looked for.
const TELLING_RECORDS: usize = 4;
const TELLING_OCTETS: usize = 64 << 10;

/// In seconds.
const ONE_DAY: u32 = 86_400;

/// Longest frame believed, as in Wireshark: WTAP_MAX_PACKET_SIZE_STANDARD. A snap length above it is believed up to
/// [`MAX_SNAP_LENGTH`].
const MAX_FRAME_OCTETS: u32 = 262_144;
const MAX_SNAP_LENGTH: u32 = 16 << 20;

/// Which of the two lengths of a record header comes first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Lengths {
    CapturedFirst,
    /// Before version 2.3 (and DG/UX's 543.0) the length on the wire came first.
    WireFirst,
    /// Version 2.3: the smaller one is the captured length.
    SmallerIsCaptured,
}

/// Where a pcap file stands.
#[derive(Debug)]
pub(super) struct Pcap {
    parser: PcapParser,
    order: Order,
    link: LinkType,
    /// Nanoseconds in one unit of the fraction.
    unit: i64,
    lengths: Lengths,
    extra: usize,
    /// Other kinds that the file may yet turn out to be.
    kinds: &'static [(usize, &'static str)],
    longest: u32,
}

/// How the first records look, read as those of one kind.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Fit {
    /// A header that no tool writes.
    Absurd,
    /// The octets end inside a record.
    BreaksOff,
    Sound,
    /// Nothing odd in two of them or more.
    Certain,
}

impl Pcap {
    /// Reads the file header. Gives the reader and the name of the format, or `None` if it is none or not complete.
    pub(super) fn start(octets: &[u8]) -> Option<(Self, &'static str)> {
        let mut header = *octets.first_chunk::<HEADER>()?;
        let extra = match &header {
            [0xa1, 0xb2, 0xcd, 0x34, ..] => {
                [header[2], header[3]] = [0xc3, 0xd4];
                MODIFIED_EXTRA
            }
            [0x34, 0xcd, 0xb2, 0xa1, ..] => {
                [header[0], header[1]] = [0xd4, 0xc3];
                MODIFIED_EXTRA
            }
            _ => 0,
        };
        let (_, parser) = PcapParser::new(&header).ok()?;
        let head = parser.header();
        let nano = head.ts_resolution == PcapTsResolution::NanoSecond;
        let snap = Some(head.snaplen).filter(|&snap| snap <= MAX_SNAP_LENGTH);
        let records = Self {
            order: match head.endianness {
                Endianness::Big => Order::Big,
                Endianness::Little => Order::Little,
            },
            link: LinkType::from_field(u32::from(head.datalink)),
            unit: if nano { 1 } else { 1_000 },
            lengths: match (head.version_major, head.version_minor) {
                (2, 3) => Lengths::SmallerIsCaptured,
                (2, 0..=2) | (543, _) => Lengths::WireFirst,
                _ => Lengths::CapturedFirst,
            },
            extra,
            kinds: match (extra, nano) {
                (0, false) => KINDS,
                (0, true) => &[],
                _ => MODIFIED_KINDS,
            },
            longest: snap.unwrap_or(0).max(MAX_FRAME_OCTETS),
            parser,
        };
        let format = match (extra, nano) {
            (0, false) => "pcap",
            (0, true) => "pcap-ns",
            _ => "pcap-modified",
        };
        Some((records, format))
    }

    /// Looks at the first records: another kind is taken only where it fits and the plain one does not.
    #[cold]
    fn tell_kind(&mut self, octets: &[u8], tally: &mut Tally) {
        let plain = self.fit(self.extra, octets);
        for (extra, name) in std::mem::take(&mut self.kinds) {
            if plain < Fit::Sound && self.fit(*extra, octets) == Fit::Certain {
                self.extra = *extra;
                tally.is_rather("pcap", name);
                return;
            }
        }
    }

    fn fit(&self, extra: usize, octets: &[u8]) -> Fit {
        let (mut at, mut records, mut is_odd, mut breaks_off) = (0, 0, false, false);
        let mut before = None;
        while records < TELLING_RECORDS && at < octets.len() {
            let header = octets.get(at..).and_then(|rest| self.header(rest));
            let Some((seconds, fraction, captured, wire)) = header else {
                breaks_off = true;
                break;
            };
            if captured > self.longest || wire > self.longest || fraction >= 1_000_000 {
                return Fit::Absurd;
            }
            at += RECORD_HEADER + extra + captured as usize;
            if at > octets.len() {
                breaks_off = true;
                break;
            }
            is_odd |= captured == 0
                || captured > wire
                || before.is_some_and(|before: u32| before.abs_diff(seconds) > ONE_DAY);
            before = Some(seconds);
            records += 1;
        }
        match (records >= 2 && !is_odd, breaks_off) {
            (true, _) => Fit::Certain,
            (false, true) => Fit::BreaksOff,
            (false, false) => Fit::Sound,
        }
    }

    /// The numbers of the record header at the start of `octets`: seconds, fraction, captured length, length on the wire.
    #[inline]
    fn header(&self, octets: &[u8]) -> Option<(u32, u32, u32, u32)> {
        if self.lengths == Lengths::CapturedFirst
            && let Ok((_, raw)) = self.parser.next_raw_packet(octets)
        {
            return Some((raw.ts_sec, raw.ts_frac, raw.incl_len, raw.orig_len));
        }
        // The parser gives no header of a record that is not complete or whose lengths stand the other way round.
        let field = |at| self.order.u32(octets, at);
        let (first, second) = (field(8)?, field(12)?);
        let (captured, wire) = match self.lengths {
            Lengths::CapturedFirst => (first, second),
            Lengths::WireFirst => (second, first),
            Lengths::SmallerIsCaptured => (first.min(second), first.max(second)),
        };
        Some((field(0)?, field(4)?, captured, wire))
    }
}

impl Records for Pcap {
    fn read(
        &mut self,
        window: Window<'_>,
        frames: &mut Vec<Frame>,
        tally: &mut Tally,
    ) -> (usize, Pause) {
        if !self.kinds.is_empty() {
            if !window.last && window.octets.len() < TELLING_OCTETS {
                return (0, Pause::Starved);
            }
            self.tell_kind(window.octets, tally);
        }
        let head = RECORD_HEADER + self.extra;
        let mut at = 0;
        loop {
            if frames.len() >= BATCH_FRAMES {
                return (at, Pause::Full);
            }
            let rest = window.octets.get(at..).unwrap_or(&[]);
            if rest.is_empty() && window.last {
                return (at, Pause::Ended);
            }
            let Some((seconds, fraction, captured, wire)) = self.header(rest) else {
                return (at, cut(window, at, rest.len(), head, tally));
            };
            if captured > self.longest {
                let text = format!(
                    "the record at octet {} claims {captured} octets, more than the {} that a frame of this file can have; \
                     what follows cannot be read",
                    window.offset + at as u64,
                    self.longest
                );
                tally.problem(Some(tally.next_number()), text);
                return (at, Pause::Ended);
            }
            let length = head + captured as usize;
            if rest.len() < length {
                return (at, cut(window, at, rest.len(), length, tally));
            }
            let fraction = i64::from(fraction) * self.unit;
            if fraction >= 1_000_000_000 {
                tally.odd(Oddity::FractionOverflow, tally.next_number());
            }
            let time = Timestamp(i64::from(seconds) * 1_000_000_000 + fraction);
            let start = window.base + at + head;
            tally.frame(
                frames,
                time,
                start..start + captured as usize,
                wire,
                self.link,
            );
            at += length;
        }
    }
}

/// What to do about a record of which only `have` of `want` octets are there.
#[cold]
pub(super) fn cut(
    window: Window<'_>,
    at: usize,
    have: usize,
    want: usize,
    tally: &mut Tally,
) -> Pause {
    if !window.last {
        return Pause::Starved;
    }
    let text = format!(
        "the file breaks off in the record at octet {}: {have} of its {want} octets are there",
        window.offset + at as u64,
    );
    tally.problem(Some(tally.next_number()), text);
    Pause::Ended
}
