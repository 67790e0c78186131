//! Writes captures: pcapng with comments, names and drop counts; plain pcap.
//!
//! Takes:  frames, a comment or two
//! Gives:  files that Wireshark reads, times to the nanosecond
//! Never:  alters a frame; flushes by itself: give it a buffered writer and call [`PcapngWriter::finish`]

use std::borrow::Cow;
use std::io::{self, Write};
use std::net::IpAddr;
use std::time::Duration;

use pcap_file::pcap::{PcapHeader, PcapTsResolution, RawPcapPacket};
use pcap_file::pcapng::blocks::enhanced_packet::{EnhancedPacketBlock, EnhancedPacketOption};
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
};
use pcap_file::pcapng::blocks::interface_statistics::{
    InterfaceStatisticsBlock, InterfaceStatisticsOption,
};
use pcap_file::pcapng::blocks::name_resolution::{
    Ipv4Record, Ipv6Record, NameResolutionBlock, Record,
};
use pcap_file::pcapng::blocks::opt_common::CommonOption;
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::{PcapNgWriteError, PcapNgWriter};
use pcap_file::{DataLink, Endianness};

use super::LinkType;
use crate::net::Timestamp;

/// Longest text of an option, whose length field has 16 bits.
const MAX_OPTION_OCTETS: usize = u16::MAX as usize;

/// Writes pcapng: one section, an interface for each link type.
pub struct PcapngWriter<W: Write> {
    inner: PcapNgWriter<W>,
    links: Vec<LinkType>,
}

impl<W: Write> PcapngWriter<W> {
    /// Writes the section header and the description of the first interface.
    ///
    /// # Errors
    /// Where `out` cannot be written to.
    pub fn new(out: W, link: LinkType) -> io::Result<Self> {
        let mut writer = Self::empty(out)?;
        writer.interface(link)?;
        Ok(writer)
    }

    /// Writes the section header, and a description of each of these interfaces: their names and link types. Frames name them by
    /// their place ([`frame_of`](Self::frame_of)).
    ///
    /// # Errors
    /// Where `out` cannot be written to.
    pub fn with_interfaces<'a>(
        out: W,
        interfaces: impl Iterator<Item = (&'a str, LinkType)>,
    ) -> io::Result<Self> {
        let mut writer = Self::empty(out)?;
        for (name, link) in interfaces {
            writer.describe(Some(name), link)?;
        }
        Ok(writer)
    }

    fn empty(out: W) -> io::Result<Self> {
        let application = concat!("tcptriage ", env!("CARGO_PKG_VERSION"));
        let section = SectionHeaderBlock {
            endianness: Endianness::Little,
            options: vec![SectionHeaderOption::UserApplication(application.into())],
            ..SectionHeaderBlock::default()
        };
        let inner = PcapNgWriter::with_section_header(out, section).map_err(io_error)?;
        Ok(Self {
            inner,
            links: Vec::new(),
        })
    }

    fn describe(&mut self, name: Option<&str>, link: LinkType) -> io::Result<()> {
        let resolution = InterfaceDescriptionOption::IfTsResol(InterfaceTsResolution::NANO);
        let name = name.map(|name| InterfaceDescriptionOption::IfName(Cow::Borrowed(name)));
        let block = InterfaceDescriptionBlock {
            linktype: DataLink::from(u32::from(link.0)),
            snaplen: 0,
            options: name.into_iter().chain([resolution]).collect(),
        };
        self.inner.write_pcapng_block(block).map_err(io_error)?;
        self.links.push(link);
        Ok(())
    }

    /// The interface for frames of this link type; described where it is new.
    fn interface(&mut self, link: LinkType) -> io::Result<u32> {
        let index = match self.links.iter().position(|&known| known == link) {
            Some(index) => index,
            None => {
                self.describe(None, link)?;
                self.links.len() - 1
            }
        };
        u32::try_from(index).map_err(io::Error::other)
    }

    /// Writes a frame of the link type that [`new`](Self::new) was given.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn frame(
        &mut self,
        time: Timestamp,
        octets: &[u8],
        wire_octets: u32,
        comment: Option<&str>,
    ) -> io::Result<()> {
        self.enhanced(0, time, octets, wire_octets, comment)
    }

    /// Writes a frame of any link type.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn frame_on(
        &mut self,
        link: LinkType,
        time: Timestamp,
        octets: &[u8],
        wire_octets: u32,
        comment: Option<&str>,
    ) -> io::Result<()> {
        let interface = self.interface(link)?;
        self.enhanced(interface, time, octets, wire_octets, comment)
    }

    /// Writes a frame of one of the interfaces that [`with_interfaces`](Self::with_interfaces) was given.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn frame_of(
        &mut self,
        interface: u16,
        time: Timestamp,
        octets: &[u8],
        wire_octets: u32,
    ) -> io::Result<()> {
        self.enhanced(u32::from(interface), time, octets, wire_octets, None)
    }

    /// What is written to.
    pub fn out(&mut self) -> &mut W {
        self.inner.get_mut()
    }

    fn enhanced(
        &mut self,
        interface_id: u32,
        time: Timestamp,
        octets: &[u8],
        wire_octets: u32,
        comment: Option<&str>,
    ) -> io::Result<()> {
        let captured = u32::try_from(octets.len()).map_err(io::Error::other)?;
        let options = comment
            .map(|text| {
                let text = Cow::Borrowed(shortened(text, MAX_OPTION_OCTETS));
                EnhancedPacketOption::Common(CommonOption::Comment(text))
            })
            .into_iter()
            .collect();
        let block = EnhancedPacketBlock {
            interface_id,
            timestamp: since_epoch(time),
            original_len: wire_octets.max(captured),
            data: Cow::Borrowed(octets),
            options,
        };
        self.inner.write_pcapng_block(block).map_err(io_error)?;
        Ok(())
    }

    /// Writes names of hosts. Those that cannot stand in a file (empty, or with a NUL) are left out.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub fn names(&mut self, names: &[(IpAddr, String)]) -> io::Result<()> {
        let records: Vec<Record<'_>> = names
            .iter()
            .filter(|(_, name)| !name.is_empty() && !name.contains('\0') && name.len() < 4096)
            .map(|(addr, name)| {
                let names = vec![Cow::Borrowed(name.as_str())];
                match *addr {
                    IpAddr::V4(ip_addr) => Record::Ipv4(Ipv4Record { ip_addr, names }),
                    IpAddr::V6(ip_addr) => Record::Ipv6(Ipv6Record { ip_addr, names }),
                }
            })
            .collect();
        if records.is_empty() {
            return Ok(());
        }
        let block = NameResolutionBlock {
            records,
            options: Vec::new(),
        };
        self.inner.write_pcapng_block(block).map_err(io_error)?;
        Ok(())
    }

    /// Writes how many frames the first interface received and how many the system dropped, as of `time`.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn statistics(&mut self, time: Timestamp, received: u64, dropped: u64) -> io::Result<()> {
        let block = InterfaceStatisticsBlock {
            interface_id: 0,
            timestamp: since_epoch(time),
            options: vec![
                InterfaceStatisticsOption::IsbIfRecv(received),
                InterfaceStatisticsOption::IsbIfDrop(dropped),
            ],
        };
        self.inner.write_pcapng_block(block).map_err(io_error)?;
        Ok(())
    }

    /// Flushes and gives the writer back.
    ///
    /// # Errors
    /// Where the last octets cannot be written.
    pub fn finish(self) -> io::Result<W> {
        let mut out = self.inner.into_inner();
        out.flush()?;
        Ok(out)
    }
}

/// Writes pcap with nanoseconds: one link type, no comments.
pub struct PcapWriter<W: Write> {
    inner: pcap_file::pcap::PcapWriter<W>,
}

impl<W: Write> PcapWriter<W> {
    /// Writes the file header.
    ///
    /// # Errors
    /// Where `out` cannot be written to.
    pub fn new(out: W, link: LinkType) -> io::Result<Self> {
        let header = PcapHeader {
            snaplen: 262_144,
            datalink: DataLink::from(u32::from(link.0)),
            ts_resolution: PcapTsResolution::NanoSecond,
            endianness: Endianness::Little,
            ..PcapHeader::default()
        };
        let inner =
            pcap_file::pcap::PcapWriter::with_header(out, header).map_err(io::Error::other)?;
        Ok(Self { inner })
    }

    /// Writes a frame.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn frame(&mut self, time: Timestamp, octets: &[u8], wire_octets: u32) -> io::Result<()> {
        let captured = u32::try_from(octets.len()).map_err(io::Error::other)?;
        let time = since_epoch(time);
        let packet = RawPcapPacket {
            // The format ends in 2106.
            ts_sec: u32::try_from(time.as_secs()).unwrap_or(u32::MAX),
            ts_frac: time.subsec_nanos(),
            incl_len: captured,
            orig_len: wire_octets.max(captured),
            data: Cow::Borrowed(octets),
        };
        self.inner
            .write_raw_packet(&packet)
            .map_err(io::Error::other)?;
        Ok(())
    }

    /// Flushes and gives the writer back.
    ///
    /// # Errors
    /// Where the last octets cannot be written.
    pub fn finish(self) -> io::Result<W> {
        let mut out = self.inner.into_inner();
        out.flush()?;
        Ok(out)
    }
}

/// Neither format holds a time before 1970.
fn since_epoch(time: Timestamp) -> Duration {
    Duration::from_nanos(u64::try_from(time.0).unwrap_or(0))
}

/// As much of a text as fits, cut between characters.
fn shortened(text: &str, octets: usize) -> &str {
    text.get(..text.floor_char_boundary(octets)).unwrap_or("")
}

fn io_error(error: PcapNgWriteError) -> io::Error {
    match error {
        PcapNgWriteError::Io(error) => error,
        other => io::Error::other(other),
    }
}
