//! Reads pcapng: sections of either byte order, many interfaces, all packet blocks, statistics, names, comments.
//!
//! Takes:  octets at a block
//! Gives:  frames; names, comments and drop counts to the account
//! Never:  stops at a block that is wrong inside; where the frame of a block itself is broken it goes on behind it as far as one of its two
//!         lengths, a new section or two sound blocks in a row show where that is, within [`RESYNC_OCTETS`], and says so
//!
//! pcap-file cuts the blocks and knows the byte order; packet, interface and statistics blocks are decoded here, because its strict
//! calls refuse what common tools write (comments that are not UTF-8, lengths on the wire of 0, odd resolutions).
//!
//! Source: <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-04.html>

use std::net::IpAddr;

use pcap_file::Endianness;
use pcap_file::pcapng::blocks::name_resolution::Record;
use pcap_file::pcapng::{Block, PcapNgParser};

use super::fields::Order;
use super::pcap::cut;
use super::records::{Pause, Records, Window};
use super::tally::{Oddity, Tally};
use super::{BATCH_FRAMES, Frame, LinkType};
use crate::net::{FrameNo, Timestamp};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const NAME_RESOLUTION: u32 = 4;
const STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;

/// Longest block believed, as in Wireshark. Secrets and custom blocks can be large; what is above is a broken length.
const MAX_BLOCK_OCTETS: usize = 16 << 20;

/// How far to look for a sound block behind a broken one.
const RESYNC_OCTETS: usize = 1 << 20;

/// Broken blocks passed over in one file; each may cost a look at [`RESYNC_OCTETS`].
const MAX_PASSED: u32 = 1_000;

/// Interfaces of one section kept apart.
const MAX_INTERFACES: usize = 10_000;

/// Octets around the body of a block: type and length before it, the length again behind it.
const BLOCK_FRAME: usize = 12;

/// How time stamps of an interface are turned into nanoseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Scale {
    Times(i64),
    Over(u64),
    /// Units of 2^-n seconds.
    Binary(u32),
}

impl Scale {
    /// From the option `if_tsresol`: the top bit set means a power of two.
    fn from_option(resolution: u8) -> Self {
        let exponent = u32::from(resolution & 0x7f);
        if resolution & 0x80 != 0 {
            Self::Binary(exponent)
        } else if exponent <= 9 {
            Self::Times(10_i64.pow(9 - exponent))
        } else {
            // Finer than 10^-28 a 64-bit stamp is always below a nanosecond: 0 stands for that.
            Self::Over(10_u64.checked_pow(exponent - 9).unwrap_or(0))
        }
    }

    #[inline]
    fn nanos(self, stamp: u64) -> i64 {
        let wide = match self {
            Self::Times(factor) => {
                return i64::try_from(stamp)
                    .ok()
                    .and_then(|stamp| stamp.checked_mul(factor))
                    .unwrap_or(i64::MAX);
            }
            Self::Over(divisor) => u128::from(stamp.checked_div(divisor).unwrap_or(0)),
            Self::Binary(shift) => (u128::from(stamp) * 1_000_000_000) >> shift,
        };
        i64::try_from(wide).unwrap_or(i64::MAX)
    }
}

/// An interface of the section.
#[derive(Clone, Copy, Debug)]
struct Interface {
    link: LinkType,
    /// 0 means no limit.
    snap_length: u32,
    scale: Scale,
    offset: i64,
    /// Drops by its last statistics block: by the interface, by the system.
    counted: Option<u64>,
    /// Drops summed up over packets.
    noted: Option<u64>,
}

impl Interface {
    #[inline]
    fn time(&self, high: u32, low: u32) -> Timestamp {
        let stamp = u64::from(high) << 32 | u64::from(low);
        Timestamp(self.scale.nanos(stamp)).plus_nanos(self.offset)
    }
}

/// Where a pcapng file stands.
#[derive(Debug)]
pub(super) struct Pcapng {
    parser: PcapNgParser,
    order: Order,
    interfaces: Vec<Interface>,
    /// Drops of the sections before.
    dropped: Option<u64>,
    /// Broken blocks passed over.
    passed: u32,
}

/// What stands at a place where a block is due.
enum Next<'a> {
    /// A block: its type, its body, its length in all.
    Block(u32, &'a [u8], usize),
    /// More octets are needed: this many in all.
    Starved(usize),
    /// No sound block; why.
    Broken(String),
}

impl Pcapng {
    /// Begins at the first section header, whose first 12 octets must be there; it is read as a block like the others.
    pub(super) fn start(octets: &[u8]) -> Option<Self> {
        let order = section_order(octets)?;
        Some(Self {
            parser: parser(order)?,
            order,
            interfaces: Vec::new(),
            dropped: None,
            passed: 0,
        })
    }

    /// The block at the start of `octets`.
    #[inline]
    fn next<'a>(&mut self, octets: &'a [u8]) -> Next<'a> {
        let kind = self.order.u32(octets, 0);
        let order = if kind == Some(SECTION_HEADER) {
            if octets.len() < BLOCK_FRAME {
                return Next::Starved(BLOCK_FRAME);
            }
            match section_order(octets) {
                Some(order) => order,
                None => return Next::Broken("its byte-order magic is wrong".to_owned()),
            }
        } else {
            self.order
        };
        let (Some(kind), Some(length)) = (kind, order.u32(octets, 4)) else {
            return Next::Starved(BLOCK_FRAME);
        };
        let length = length as usize;
        if !(BLOCK_FRAME..=MAX_BLOCK_OCTETS).contains(&length) {
            return Next::Broken(format!("it claims a length of {length} octets"));
        }
        // Some writers forget that blocks end on four octets.
        let whole = length.next_multiple_of(4);
        if octets.len() < whole {
            return Next::Starved(whole);
        }
        if let Ok((rest, block)) = self.parser.next_raw_block(octets) {
            if kind == SECTION_HEADER {
                self.order = order;
            }
            let used = octets.len() - rest.len();
            let body = octets.get(8..used - 4).unwrap_or(&[]);
            return Next::Block(block.type_, body, used);
        }
        let ends = |at: usize| order.u32(octets, at) == Some(length as u32);
        if !ends(whole - 4) && !ends(length - 4) {
            let trailer = order.u32(octets, length - 4).unwrap_or(0);
            return Next::Broken(format!(
                "its two length fields differ ({length} and {trailer})"
            ));
        }
        // Sound in its frame; pcap-file does not like what is inside.
        if kind == SECTION_HEADER {
            let Some(parser) = parser(order) else {
                return Next::Broken("its section header cannot be read".to_owned());
            };
            (self.parser, self.order) = (parser, order);
        }
        let body = octets.get(8..length - 4).unwrap_or(&[]);
        Next::Block(kind, body, whole)
    }

    /// The length of the whole sound block that begins here, as far as can be told.
    fn sound(&self, octets: &[u8]) -> Option<usize> {
        let order = match self.order.u32(octets, 0)? {
            SECTION_HEADER => section_order(octets)?,
            1..=6 => self.order,
            _ => return None,
        };
        let length = order.u32(octets, 4)?;
        let at = length as usize;
        let is_sound = (BLOCK_FRAME..=MAX_BLOCK_OCTETS).contains(&at)
            && at.is_multiple_of(4)
            && order.u32(octets, at - 4) == Some(length);
        is_sound.then_some(at)
    }

    /// A block that holds no packet; `octets` is where it begins. Unknown ones, secrets and custom ones are passed over.
    fn aside(&mut self, kind: u32, body: &[u8], octets: &[u8], tally: &mut Tally) {
        match kind {
            SECTION_HEADER => self.section(body, tally),
            INTERFACE => self.interface(body, tally),
            NAME_RESOLUTION => self.names(octets, tally),
            STATISTICS => self.statistics(body, tally),
            _ => {}
        }
    }

    fn section(&mut self, body: &[u8], tally: &mut Tally) {
        self.dropped = self.dropped_in_all();
        self.interfaces.clear();
        for (code, value) in options(self.order, body.get(16..)) {
            if code == 1 {
                tally.comment(None, value);
            }
        }
    }

    fn interface(&mut self, body: &[u8], tally: &mut Tally) {
        let (Some(link), Some(snap_length)) = (self.order.u16(body, 0), self.order.u32(body, 4))
        else {
            let text = format!(
                "the description of interface {} is cut short",
                self.interfaces.len()
            );
            tally.problem(None, text);
            return;
        };
        let mut interface = Interface {
            link: LinkType(link),
            snap_length,
            scale: Scale::from_option(6),
            offset: 0,
            counted: None,
            noted: None,
        };
        for (code, value) in options(self.order, body.get(8..)) {
            match (code, value) {
                (1, text) => tally.comment(None, text),
                (9, &[resolution, ..]) => interface.scale = Scale::from_option(resolution),
                (14, _) => {
                    let seconds = self.order.u64(value, 0).unwrap_or(0).cast_signed();
                    interface.offset = seconds.saturating_mul(1_000_000_000);
                }
                _ => {}
            }
        }
        if self.interfaces.len() < MAX_INTERFACES {
            self.interfaces.push(interface);
            return;
        }
        if self.interfaces.len() == MAX_INTERFACES {
            // Once: `interfaces` does not grow any more, but pcap-file's own list would.
            let text = format!(
                "a section has more than {MAX_INTERFACES} interfaces; the others' frames are left out"
            );
            if !tally.has_problem(&text) {
                tally.problem(None, text);
            }
        }
        if let Some(parser) = parser(self.order) {
            self.parser = parser;
        }
    }

    fn statistics(&mut self, body: &[u8], tally: &mut Tally) {
        let order = self.order;
        let interface = order
            .u32(body, 0)
            .and_then(|id| self.interfaces.get_mut(id as usize));
        let Some(interface) = interface else {
            return;
        };
        let mut drops = None;
        for (code, value) in options(order, body.get(12..)) {
            match code {
                1 => tally.comment(None, value),
                // isb_ifdrop, isb_osdrop: since the beginning of the capture.
                5 | 7 => {
                    if let Some(count) = order.u64(value, 0) {
                        drops = Some(count.saturating_add(drops.unwrap_or(0)));
                    }
                }
                _ => {}
            }
        }
        interface.counted = drops.or(interface.counted);
        tally.dropped(self.dropped_in_all());
    }

    fn dropped_in_all(&self) -> Option<u64> {
        self.interfaces
            .iter()
            .filter_map(|interface| interface.counted.or(interface.noted))
            .chain(self.dropped)
            .reduce(u64::saturating_add)
    }

    fn names(&mut self, octets: &[u8], tally: &mut Tally) {
        let block = self
            .parser
            .next_raw_block(octets)
            .ok()
            .and_then(|(_, raw)| raw.try_into_block(self.parser.state()).ok());
        let Some(Block::NameResolution(block)) = block else {
            tally.problem(None, "a block of host names cannot be read".to_owned());
            return;
        };
        for record in &block.records {
            match record {
                Record::Ipv4(record) => {
                    for name in &record.names {
                        tally.name(IpAddr::V4(record.ip_addr), name);
                    }
                }
                Record::Ipv6(record) => {
                    for name in &record.names {
                        tally.name(IpAddr::V6(record.ip_addr), name);
                    }
                }
                Record::End | Record::Unknown(_) => {}
            }
        }
    }

    /// Enhanced packet block. `None`: the block does not hold what it says.
    #[inline]
    fn enhanced(
        &mut self,
        body: &[u8],
        start: usize,
        frames: &mut Vec<Frame>,
        tally: &mut Tally,
    ) -> Option<()> {
        let order = self.order;
        let fields = body.first_chunk::<20>()?;
        let field = |at| order.u32(fields, at).unwrap_or(0);
        let (id, captured, wire) = (field(0), field(12) as usize, field(16));
        let padded = captured.checked_next_multiple_of(4)?.checked_add(20)?;
        if captured > body.len() - 20 {
            return None;
        }
        let Some(interface) = self.interfaces.get_mut(id as usize) else {
            tally.odd(Oddity::NoInterface, tally.next_number());
            return Some(());
        };
        let time = interface.time(field(4), field(8));
        if body.len() > padded {
            let number = tally.next_number();
            let mut drops = None;
            for (code, value) in options(order, body.get(padded..)) {
                match code {
                    1 => tally.comment(Some(number), value),
                    4 => drops = order.u64(value, 0),
                    _ => {}
                }
            }
            if let Some(drops) = drops {
                interface.noted = Some(drops.saturating_add(interface.noted.unwrap_or(0)));
            }
        }
        let start = start + 20;
        tally.frame(frames, time, start..start + captured, wire, interface.link);
        Some(())
    }

    /// The obsolete packet block.
    fn packet(
        &mut self,
        body: &[u8],
        start: usize,
        frames: &mut Vec<Frame>,
        tally: &mut Tally,
    ) -> Option<()> {
        let order = self.order;
        let fields = body.first_chunk::<20>()?;
        let field = |at| order.u32(fields, at).unwrap_or(0);
        let (id, drops) = (order.u16(fields, 0)?, order.u16(fields, 2)?);
        let captured = field(12) as usize;
        if captured > body.len() - 20 {
            return None;
        }
        let Some(interface) = self.interfaces.get_mut(usize::from(id)) else {
            tally.odd(Oddity::NoInterface, tally.next_number());
            return Some(());
        };
        // 0xFFFF: not known.
        if drops != u16::MAX {
            let noted = interface.noted.unwrap_or(0);
            interface.noted = Some(noted.saturating_add(u64::from(drops)));
        }
        let number = tally.next_number();
        for (code, value) in options(order, body.get(20 + captured.next_multiple_of(4)..)) {
            if code == 1 {
                tally.comment(Some(number), value);
            }
        }
        let start = start + 20;
        let time = interface.time(field(4), field(8));
        tally.frame(
            frames,
            time,
            start..start + captured,
            field(16),
            interface.link,
        );
        Some(())
    }

    /// Simple packet block: the first interface's, without a time; the captured length is not given but follows.
    fn simple(
        &mut self,
        body: &[u8],
        start: usize,
        frames: &mut Vec<Frame>,
        tally: &mut Tally,
    ) -> Option<()> {
        let wire = self.order.u32(body, 0)?;
        let Some(interface) = self.interfaces.first() else {
            tally.odd(Oddity::NoInterface, tally.next_number());
            return Some(());
        };
        let limit = match interface.snap_length {
            0 => u32::MAX,
            length => length,
        };
        let captured = (wire.min(limit) as usize).min(body.len() - 4);
        tally.odd(Oddity::NoTime, tally.next_number());
        let time = tally.latest().unwrap_or_default();
        let start = start + 4;
        tally.frame(frames, time, start..start + captured, wire, interface.link);
        Some(())
    }

    /// Where a broken block ends: a sound block has to begin there, and something has to say that it is not one inside the broken one (a
    /// capture may hold the transfer of a capture). `breaks_off`: the block claims more than the file has.
    #[cold]
    fn end_of_broken(&self, rest: &[u8], last: bool, breaks_off: bool) -> Option<usize> {
        if self.passed >= MAX_PASSED {
            return None;
        }
        let limit = rest.len().min(RESYNC_OCTETS);
        let from = |skip: usize| rest.get(skip..).unwrap_or(&[]);
        let is_sound = |skip: &usize| self.sound(from(*skip)).is_some();
        let places = || (4..limit).step_by(4);
        let by_length = || {
            let claimed = self.order.u32(rest, 4)? as usize;
            Some(claimed.next_multiple_of(4))
                .filter(|skip| (4..limit).contains(skip))
                .filter(is_sound)
        };
        let by_trailer = || {
            places()
                .filter(|&skip| self.order.u32(rest, skip - 4) == u32::try_from(skip).ok())
                .find(is_sound)
        };
        // A section header begins a file, wherever the one before it was cut.
        let section = || {
            memchr::memmem::find_iter(rest.get(1..limit)?, &SECTION_HEADER.to_be_bytes())
                .map(|skip| skip + 1)
                .find(|skip| section_order(from(*skip)).is_some() && is_sound(skip))
        };
        let two_in_a_row = || {
            places().filter(|_| !breaks_off).find(|&skip| {
                self.sound(from(skip)).is_some_and(|length| {
                    let next = from(skip.saturating_add(length));
                    (next.is_empty() && last) || self.sound(next).is_some()
                })
            })
        };
        by_length()
            .or_else(by_trailer)
            .or_else(|| section().into_iter().chain(two_in_a_row()).min())
    }

    /// Goes on behind a broken block. Gives the octets to pass over, or why to pause.
    #[cold]
    fn pass_over(
        &mut self,
        why: &str,
        window: Window<'_>,
        at: usize,
        tally: &mut Tally,
    ) -> Result<usize, Pause> {
        let rest = window.octets.get(at..).unwrap_or(&[]);
        if !window.last && rest.len() < RESYNC_OCTETS + BLOCK_FRAME {
            return Err(Pause::Starved);
        }
        let found = self.end_of_broken(rest, window.last, false);
        self.tell(why, window.offset + at as u64, found, tally);
        found.ok_or(Pause::Ended)
    }

    /// The file ends before the block does: its end is cut off, or its length is wrong and the rest of the file is sound.
    #[cold]
    fn cut_or_broken(
        &mut self,
        want: usize,
        window: Window<'_>,
        at: usize,
        tally: &mut Tally,
    ) -> Result<usize, Pause> {
        let rest = window.octets.get(at..).unwrap_or(&[]);
        let found = match window.last {
            true => self.end_of_broken(rest, true, true),
            false => None,
        };
        if found.is_none() {
            return Err(cut(window, at, rest.len(), want, tally));
        }
        let why = format!("it claims {want} octets, more than the file has left");
        self.tell(&why, window.offset + at as u64, found, tally);
        found.ok_or(Pause::Ended)
    }

    fn tell(&mut self, why: &str, place: u64, passed: Option<usize>, tally: &mut Tally) {
        let then = match passed {
            Some(octets) => {
                self.passed += 1;
                format!("{octets} octets were passed over")
            }
            None => "what follows cannot be read".to_owned(),
        };
        let text = format!("the block at octet {place} is broken: {why}; {then}");
        tally.problem(Some(tally.next_number()), text);
    }
}

impl Records for Pcapng {
    fn read(
        &mut self,
        window: Window<'_>,
        frames: &mut Vec<Frame>,
        tally: &mut Tally,
    ) -> (usize, Pause) {
        let mut at = 0;
        loop {
            if frames.len() >= BATCH_FRAMES {
                tally.dropped(self.dropped_in_all());
                return (at, Pause::Full);
            }
            let rest = window.octets.get(at..).unwrap_or(&[]);
            if rest.is_empty() && window.last {
                tally.dropped(self.dropped_in_all());
                return (at, Pause::Ended);
            }
            let (kind, body, used) = match self.next(rest) {
                Next::Block(kind, body, used) => (kind, body, used),
                Next::Starved(want) => match self.cut_or_broken(want, window, at, tally) {
                    Ok(skip) => {
                        at += skip;
                        continue;
                    }
                    Err(pause) => {
                        tally.dropped(self.dropped_in_all());
                        return (at, pause);
                    }
                },
                Next::Broken(why) => match self.pass_over(&why, window, at, tally) {
                    Ok(skip) => {
                        at += skip;
                        continue;
                    }
                    Err(pause) => return (at, pause),
                },
            };
            let start = window.base + at + 8;
            let sound = match kind {
                ENHANCED_PACKET => self.enhanced(body, start, frames, tally),
                PACKET => self.packet(body, start, frames, tally),
                SIMPLE_PACKET => self.simple(body, start, frames, tally),
                _ => {
                    self.aside(kind, body, rest, tally);
                    Some(())
                }
            };
            if sound.is_none() {
                let place = window.offset + at as u64;
                let number: FrameNo = tally.next_number();
                let text = format!(
                    "the packet block at octet {place} announces more than it holds and was left out"
                );
                tally.problem(Some(number), text);
            }
            at += used;
        }
    }
}

/// Byte order of the section whose header block begins here; `None` if none does.
fn section_order(octets: &[u8]) -> Option<Order> {
    match octets.first_chunk::<12>()? {
        [0x0a, 0x0d, 0x0d, 0x0a, .., 0x1a, 0x2b, 0x3c, 0x4d] => Some(Order::Big),
        [0x0a, 0x0d, 0x0d, 0x0a, .., 0x4d, 0x3c, 0x2b, 0x1a] => Some(Order::Little),
        _ => None,
    }
}

/// A parser that stands behind an empty section header of this byte order.
fn parser(order: Order) -> Option<PcapNgParser> {
    let header: [u32; 7] = [
        SECTION_HEADER,
        28,
        0x1a2b_3c4d,
        match order {
            Order::Big => 0x0001_0000,
            Order::Little => 0x0000_0001,
        },
        u32::MAX,
        u32::MAX,
        28,
    ];
    let octets = header.map(|word| match order {
        Order::Big => word.to_be_bytes(),
        Order::Little => word.to_le_bytes(),
    });
    let (_, parser) = PcapNgParser::new(octets.as_flattened()).ok()?;
    debug_assert_eq!(
        parser.section().endianness == Endianness::Big,
        order == Order::Big
    );
    Some(parser)
}

/// The options of a block, as far as they are whole.
fn options(order: Order, octets: Option<&[u8]>) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = octets.unwrap_or(&[]);
    std::iter::from_fn(move || {
        let (code, length) = (order.u16(rest, 0)?, usize::from(order.u16(rest, 2)?));
        if code == 0 {
            return None;
        }
        let value = rest.get(4..4 + length)?;
        rest = rest.get(4 + length.next_multiple_of(4)..).unwrap_or(&[]);
        Some((code, value))
    })
}
