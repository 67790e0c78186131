//! Reads captures of Microsoft Network Monitor: 1.x (`RTSS`) and 2.0 to 2.3 (`GMBU`).
//!
//! Takes:  a mapped file, or the whole capture in memory: the frame table stands anywhere, mostly at the end
//! Gives:  frames in the order of the frame table; records that are no packets get a link type of their own and are counted
//! Never:  reads by anything but the table: there are holes between records, and records out of order
//!
//! Records that Wireshark does not number (payload headers, lists of adapters, the DNS cache) are left out, so that frame numbers
//! agree. Before version 2.3 times are the local time of the capturing machine, whose zone the file does not tell: they are taken as UTC.
//!
//! Source: the Network Monitor 3.4 help, "Capture File Format"; Wireshark's `wiretap/netmon.c` for what the help leaves open.

use std::sync::Arc;

use super::fields::Order;
use super::records::MAX_BATCH_OCTETS;
use super::tally::Tally;
use super::{BATCH_FRAMES, CaptureError, CaptureInfo, FrameBatch, LinkType, Map, Octets, Source};
use crate::net::Timestamp;

/// Octets of the header up to the end of the comment table's length.
const HEADER: usize = 48;

/// Longest frame believed, as in Wireshark.
const MAX_FRAME_OCTETS: usize = 262_144;

/// 100 ns units between 1601, where FILETIME begins, and 1970.
const EPOCH_1970: i64 = 116_444_736_000_000_000;

const ORDER: Order = Order::Little;

/// Where the octets of the capture are.
pub(super) enum Store {
    Map(Arc<Map>),
    Memory(Vec<u8>),
}

impl Store {
    fn octets(&self) -> &[u8] {
        match self {
            Self::Map(map) => map,
            Self::Memory(octets) => octets,
        }
    }
}

/// Where a NetMon capture stands.
pub(super) struct NetMon {
    store: Store,
    major: u8,
    minor: u8,
    /// Media type of all frames before version 2.1.
    media: u16,
    /// Begin of the capture in nanoseconds.
    begin: i64,
    /// Place and number of entries of the frame table.
    table: usize,
    entries: usize,
    next: usize,
    /// Where the record read last ended.
    read: usize,
    /// Comments by the place of the record that they were made on.
    comments: Vec<(usize, String)>,
    tally: Tally,
}

/// One record of the capture.
struct Record {
    place: usize,
    start: usize,
    captured: usize,
    wire: u32,
    time: Timestamp,
    /// `None`: a record that is not numbered.
    link: Option<LinkType>,
}

impl NetMon {
    /// Reads the header and finds the frame table. `packed` is what to add to the name of the format, `broken` why no more of it came.
    pub(super) fn open(
        path: &str,
        store: Store,
        packed: &str,
        broken: Option<String>,
    ) -> Result<Box<dyn Source>, CaptureError> {
        let refuse = |reason: String| CaptureError::NotACapture {
            path: path.to_owned(),
            reason,
        };
        let octets = store.octets();
        let Some(head) = octets.first_chunk::<HEADER>() else {
            return Err(refuse(format!(
                "it breaks off in the file header, after {} octets",
                octets.len()
            )));
        };
        let [_, _, _, _, minor, major, ..] = *head;
        if !(1..=2).contains(&major) {
            return Err(refuse(format!(
                "it is a NetMon capture of version {major}.{minor}, which is not known"
            )));
        }
        let word = |at| ORDER.u16(head, at).unwrap_or(0);
        let long = |at| ORDER.u32(head, at).unwrap_or(0) as usize;
        let (table, length) = (long(24), long(28));
        let format = match major {
            1 => "netmon1",
            _ => "netmon2",
        };
        let mut tally = Tally::new(path, &format!("{format}{packed}"));
        if let Some(why) = broken {
            tally.problem(None, why);
        }
        let there = octets.len().saturating_sub(table).min(length) / 4;
        if there < length / 4 {
            let text = format!(
                "the file breaks off: its frame table lies at octet {table} and has {} entries, of which {there} are there",
                length / 4
            );
            tally.problem(None, text);
        }
        if (major, minor) < (2, 3) {
            let text = "times are the local time of the capturing machine, whose time zone the file does not tell";
            tally.problem(None, text.to_owned());
        }
        let comments = comments(octets, (long(40), long(44)), (major, minor));
        let begin = civil_nanos([word(8), word(10), word(14), word(16), word(18), word(20)])
            .saturating_add(i64::from(word(22)) * 1_000_000);
        Ok(Box::new(Self {
            major,
            minor,
            media: word(6),
            begin,
            table,
            entries: there,
            next: 0,
            read: 0,
            comments,
            tally,
            store,
        }))
    }

    /// The record that the table's entry `index` points to; the error says what is wrong with it.
    fn record(&self, index: usize) -> Result<Record, String> {
        let octets = self.store.octets();
        let place = ORDER
            .u32(octets, self.table + 4 * index)
            .ok_or("its entry in the frame table is missing")? as usize;
        let head = octets.get(place..).unwrap_or(&[]);
        let missing = || format!("the file breaks off in its record at octet {place}");
        let (size, elapsed, wire, captured) = if self.major == 1 {
            (
                8,
                // Milliseconds.
                ORDER
                    .u32(head, 0)
                    .map(|t| i64::from(t).saturating_mul(1_000_000)),
                ORDER.u16(head, 4).map(u32::from),
                ORDER.u16(head, 6).map(u32::from),
            )
        } else {
            (
                16,
                // Microseconds; signed in truth.
                ORDER
                    .u64(head, 0)
                    .map(|t| t.wrapping_mul(10).cast_signed().saturating_mul(100)),
                ORDER.u32(head, 8),
                ORDER.u32(head, 12),
            )
        };
        let (Some(elapsed), Some(wire), Some(captured)) = (elapsed, wire, captured) else {
            return Err(missing());
        };
        let captured = captured as usize;
        if captured > MAX_FRAME_OCTETS {
            return Err(format!(
                "its record at octet {place} claims {captured} octets, more than a frame can have"
            ));
        }
        let frame = head.get(size..size + captured).ok_or_else(missing)?;
        let trailer = head.get(size + captured..).unwrap_or(&[]);
        let mut time = Timestamp(self.begin).plus_nanos(elapsed);
        let mut media = self.media;
        if (self.major, self.minor) >= (2, 1) {
            media = ORDER.u16(trailer, 0).ok_or_else(missing)?;
        }
        if (self.major, self.minor) >= (2, 3) {
            // Behind the media type and the index of the process; then the index of the time zone.
            let stamp = ORDER.u64(trailer, 6).ok_or_else(missing)?;
            time = Timestamp(
                stamp
                    .cast_signed()
                    .saturating_sub(EPOCH_1970)
                    .saturating_mul(100),
            );
        }
        let mut record = Record {
            place,
            start: place + size,
            captured,
            wire,
            time,
            link: link(media),
        };
        if media == MEDIA_80211 {
            // Radio data stand before the frame, their length (with it) in octets 1 and 2.
            let radio = ORDER.u16(frame, 1).map_or(0, usize::from).min(captured);
            record.start += radio;
            record.captured -= radio;
            record.wire = wire.saturating_sub(radio as u32);
        }
        Ok(record)
    }
}

impl Source for NetMon {
    fn next_batch(&mut self, batch: &mut FrameBatch) -> Result<bool, CaptureError> {
        batch.frames.clear();
        let mut buffer = match (&self.store, std::mem::take(&mut batch.octets)) {
            (Store::Map(map), _) => {
                batch.octets = Octets::Mapped(Arc::clone(map));
                None
            }
            (Store::Memory(_), Octets::Owned(mut buffer)) => {
                buffer.clear();
                Some(buffer)
            }
            (Store::Memory(_), Octets::Mapped(_)) => Some(Vec::new()),
        };
        while self.next < self.entries && batch.frames.len() < BATCH_FRAMES {
            let index = self.next;
            self.next += 1;
            let record = match self.record(index) {
                Ok(record) => record,
                Err(why) => {
                    let text = format!("entry {} of the frame table: {why}", index + 1);
                    self.tally.problem(Some(self.tally.next_number()), text);
                    continue;
                }
            };
            self.read = record.start + record.captured;
            let Some(link) = record.link else {
                continue;
            };
            let number = self.tally.next_number();
            for (_, text) in self.comments.iter().filter(|(at, _)| *at == record.place) {
                self.tally.comment(Some(number), text.as_bytes());
            }
            let mut range = record.start..self.read;
            if let Some(buffer) = &mut buffer {
                let octets = self.store.octets().get(range).unwrap_or(&[]);
                range = buffer.len()..buffer.len() + octets.len();
                buffer.extend_from_slice(octets);
            }
            self.tally
                .frame(&mut batch.frames, record.time, range, record.wire, link);
            if buffer.as_ref().is_some_and(|b| b.len() >= MAX_BATCH_OCTETS) {
                break;
            }
        }
        if let Some(buffer) = buffer {
            batch.octets = Octets::Owned(buffer);
        }
        Ok(!batch.frames.is_empty())
    }

    fn info(&self) -> CaptureInfo {
        self.tally.info()
    }

    fn progress(&self) -> (u64, Option<u64>) {
        (self.read as u64, Some(self.store.octets().len() as u64))
    }
}

const MEDIA_80211: u16 = 6;

/// Link type of a NetMon media type; `None` for records that are not numbered.
fn link(media: u16) -> Option<LinkType> {
    Some(match media {
        // Some captures of tunnels say 0 and hold Ethernet.
        0 | 1 => LinkType::ETHERNET,
        2 => LinkType(6),
        3 => LinkType(10),
        MEDIA_80211 => LinkType(105),
        // Tunnels, wireless WAN, raw IP.
        7..=9 => LinkType(101),
        // Written by Message Analyzer; not LINKTYPE numbers.
        0xe080 => LinkType(105),
        0xe081..=0xe08a => LinkType(media),
        // Converted from pcap: LINKTYPE numbers.
        0xe000..=0xefff => LinkType(media & 0xfff),
        // Payload header, lists of adapters, DNS cache.
        0xfffc..=0xfffe => return None,
        0xf000.. => LinkType(media),
        other => LinkType(0xf000 | (other & 0xfff)),
    })
}

/// Comments on frames (from version 2.2): entries of the number of frames, the place of the first, title and text in UTF-16. The
/// text is rich text, and the title says what it is about.
fn comments(
    octets: &[u8],
    (place, length): (usize, usize),
    version: (u8, u8),
) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    if version < (2, 2) {
        return found;
    }
    let mut rest = octets
        .get(place..)
        .map_or(&[][..], |table| table.get(..length).unwrap_or(table));
    let part = |rest: &mut &[u8]| -> Option<String> {
        let length = ORDER.u32(rest, 0)? as usize;
        let text = rest.get(4..4_usize.checked_add(length)?)?;
        *rest = rest.get(4 + length..)?;
        let units = text
            .as_chunks::<2>()
            .0
            .iter()
            .map(|&c| u16::from_le_bytes(c));
        let text: String = char::decode_utf16(units.take(MAX_COMMENT_UNITS))
            .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect();
        Some(text.trim_end_matches('\0').to_owned())
    };
    for _ in 0..super::MAX_COMMENTS {
        let (Some(at), Some(mut entry)) = (ORDER.u32(rest, 4), rest.get(8..)) else {
            break;
        };
        let (Some(title), Some(_)) = (part(&mut entry), part(&mut entry)) else {
            break;
        };
        found.push((at as usize, title));
        rest = entry;
    }
    found
}

/// UTF-16 units read of a comment.
const MAX_COMMENT_UNITS: usize = 500;

/// Nanoseconds since 1970 of a date and time: year, month, day, hour, minute, second.
fn civil_nanos([year, month, day, hour, minute, second]: [u16; 6]) -> i64 {
    let [year, month, day] = [year, month, day].map(i64::from);
    // Days by the civil calendar, years beginning in March.
    let shifted = if month <= 2 { year - 1 } else { year };
    let era = shifted.div_euclid(400);
    let year_of_era = shifted.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    let [hour, minute, second] = [hour, minute, second].map(i64::from);
    (((days * 24 + hour) * 60 + minute) * 60 + second).saturating_mul(1_000_000_000)
}
