//! Tells formats by their first octets.
//!
//! Takes:  the first octets of a file (or of what is packed in it) and its name
//! Gives:  the format; for those that are known and not read, the command that converts them
//! Never:  goes by the name where the octets tell

/// What a file is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Pcap,
    Pcapng,
    NetMon,
    Snoop,
    /// Known and not read: name of the format, and the command.
    Refused(&'static str, String),
    /// Nothing known; what was seen.
    Unknown(String),
}

/// Octets that are enough to tell.
pub(super) const PREFIX: usize = 64;

/// How a format is made readable; `IN` and `OUT` stand for the file and its name with `.pcapng`.
const EDITCAP: &str = "editcap -F pcapng IN OUT";
const UNZIP: &str = "unzip IN, then give the files inside";

/// Formats by their first octets.
const MAGIC: &[(&[u8], &str, &str)] = &[
    (b"\xfd7zXZ\0", "xz", "xz -dc IN | tcptriage analyze -"),
    (b"BZh", "bzip2", "bzip2 -dc IN | tcptriage analyze -"),
    (
        b"\x1f\x9d",
        "compress (.Z)",
        "gzip -dc IN | tcptriage analyze -",
    ),
    (
        b"7z\xbc\xaf\x27\x1c",
        "7-Zip",
        "7z x -so IN | tcptriage analyze -",
    ),
    (
        b"Rar!\x1a\x07",
        "RAR",
        "unrar p -inul IN | tcptriage analyze -",
    ),
    (b"iptrace 1.0", "AIX iptrace", EDITCAP),
    (b"iptrace 2.0", "AIX iptrace", EDITCAP),
    (b"TRSNIFF data    \x1a", "Sniffer (DOS)", EDITCAP),
    (b"XCP\0", "Sniffer (Windows)", EDITCAP),
    (b"VL\0\0", "NetXRay", EDITCAP),
    (b"\x7fver", "OmniPeek", EDITCAP),
    (b"btsnoop\0", "Bluetooth snoop", EDITCAP),
    (b"\x05VNF", "Visual Networks", EDITCAP),
    (b"\xaa\xaa\xaa\xaa", "5View", EDITCAP),
    (b"ObserverPktBuffe", "Network Instruments Observer", EDITCAP),
    (b"\x42\xd2\x00\x34\x12\x66\x22\x88", "RADCOM", EDITCAP),
    (b"\x54\x52\x00\x64\x00", "HP-UX nettl", EDITCAP),
    (b"\x00\x00\x03\x9f", "K12", EDITCAP),
    (b"\x1c\x00\x01\xab", "IXIA lcap", EDITCAP),
    (b"\x1c\x00\x01\xac", "IXIA lcap", EDITCAP),
    (b"\xab\x01\x00\x1c", "IXIA lcap", EDITCAP),
    (b"\xac\x01\x00\x1c", "IXIA lcap", EDITCAP),
    (b"\xa1\x2b\x3c\x4d", "Navtel pcap", EDITCAP),
    (b"\x4d\x3c\x2b\xa1", "Navtel pcap", EDITCAP),
    (
        b"ElfFile\0",
        "Windows event log (.evtx)",
        "it holds no packets; capture with pktmon or netsh instead",
    ),
];

/// Formats without a magic number, by the ending of the name, asked only where the octets tell nothing.
const ENDING: &[(&str, &str, &str)] = &[
    (
        ".etl",
        "Windows event trace (netsh trace, pktmon)",
        "etl2pcapng IN OUT (from github.com/microsoft/etl2pcapng), or on Windows: pktmon etl2pcap IN --out OUT",
    ),
    (".erf", "Endace ERF", EDITCAP),
    (".pkt", "EtherPeek", EDITCAP),
    (".wpz", "OmniPeek", EDITCAP),
    (".tr1", "Novell LANalyzer", EDITCAP),
    (
        ".mau",
        "Microsoft Message Analyzer",
        "open it in Message Analyzer and export it as .cap (File, Save As, Export)",
    ),
];

/// Tells what a file is.
pub(super) fn sniff(path: &str, octets: &[u8]) -> Kind {
    let kind = match octets {
        [0xa1, 0xb2, 0xc3, 0xd4, ..] | [0xd4, 0xc3, 0xb2, 0xa1, ..] => Kind::Pcap,
        [0xa1, 0xb2, 0x3c, 0x4d, ..] | [0x4d, 0x3c, 0xb2, 0xa1, ..] => Kind::Pcap,
        [0xa1, 0xb2, 0xcd, 0x34, ..] | [0x34, 0xcd, 0xb2, 0xa1, ..] => Kind::Pcap,
        [0x0a, 0x0d, 0x0d, 0x0a, ..] => Kind::Pcapng,
        [b'G', b'M', b'B', b'U', ..] | [b'R', b'T', b'S', b'S', ..] => Kind::NetMon,
        [b's', b'n', b'o', b'o', b'p', 0, 0, 0, ..] => Kind::Snoop,
        _ => Kind::Unknown(String::new()),
    };
    if !matches!(kind, Kind::Unknown(_)) {
        return kind;
    }
    let lower = path.to_ascii_lowercase();
    let refused = |name, command: &str| {
        let out = format!(
            "{}.pcapng",
            path.rsplit_once('.').map_or(path, |(stem, _)| stem)
        );
        Kind::Refused(name, command.replace("IN", path).replace("OUT", &out))
    };
    if octets.starts_with(b"PK\x03\x04") {
        let analyzer = [".matp", ".matu"].iter().any(|end| lower.ends_with(end));
        return if analyzer {
            refused(
                "Microsoft Message Analyzer",
                "open it in Message Analyzer and export it as .cap (File, Save As, Export)",
            )
        } else {
            refused("zip", UNZIP)
        };
    }
    if let Some((_, name, command)) = MAGIC.iter().find(|(magic, ..)| octets.starts_with(magic)) {
        return refused(name, command);
    }
    if let Some((_, name, command)) = ENDING.iter().find(|(end, ..)| lower.ends_with(end)) {
        return refused(name, command);
    }
    Kind::Unknown(describe(octets))
}

/// What was found instead of a capture.
fn describe(octets: &[u8]) -> String {
    if octets.is_empty() {
        return "it is empty".to_owned();
    }
    if octets
        .iter()
        .all(|octet| matches!(octet, b'\t' | b'\n' | b'\r' | b' '..=b'~'))
    {
        return "it is text".to_owned();
    }
    let shown: Vec<String> = octets
        .iter()
        .take(8)
        .map(|octet| format!("{octet:02x}"))
        .collect();
    format!("it begins with {}", shown.join(" "))
}
