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
const UNZIP: &str = "unzip -d OUT.d IN && tcptriage analyze OUT.d";

/// No program converts these but the one that wrote them.
const EXPORT: &str = "open it in Message Analyzer and export it as .cap (File, Save As, Export)";

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
    (
        b"\x00\x00\x00\x01\x00\x00\x00\x00\x00\x07\xd0\x00",
        "HP-UX nettl",
        EDITCAP,
    ),
    (
        b"\x00\x00\x02\x00\x12\x05\x00\x10",
        "Tektronix K12",
        EDITCAP,
    ),
    (
        b"+---------+---------------+----------+",
        "K12 text",
        EDITCAP,
    ),
    (
        b"\x01\x10\x4c\x00\x01\x05Trace Display Trace File",
        "Novell LANalyzer",
        EDITCAP,
    ),
    (b"EyeSDN", "EyeSDN", EDITCAP),
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
    (".mau", "Microsoft Message Analyzer", EXPORT),
    (".ncf", "TamoSoft CommView", EDITCAP),
    (".ncfx", "TamoSoft CommView", EDITCAP),
];

/// Citrix NetScaler's traces begin with a record whose text says so, a few octets in.
const NETSCALER: &[&[u8]] = &[
    b"NetScaler Performance Data",
    b"NetScaler V20 Performance Data",
    b"NetScaler V30 Performance Data",
    b"Netscaler V35 Performance Data",
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
    let refused = |name, command: &str| Kind::Refused(name, typed(command, path));
    if octets.starts_with(b"PK\x03\x04") {
        let analyzer = [".matp", ".matu"].iter().any(|end| lower.ends_with(end));
        return if analyzer {
            refused("Microsoft Message Analyzer", EXPORT)
        } else {
            refused("zip", UNZIP)
        };
    }
    if NETSCALER
        .iter()
        .any(|text| memchr::memmem::find(octets, text).is_some())
    {
        return refused("Citrix NetScaler trace", EDITCAP);
    }
    if let Some((_, name, command)) = MAGIC.iter().find(|(magic, ..)| octets.starts_with(magic)) {
        return refused(name, command);
    }
    if let Some((_, name, command)) = ENDING.iter().find(|(end, ..)| lower.ends_with(end)) {
        return refused(name, command);
    }
    Kind::Unknown(describe(octets))
}

/// A command with the names of the file and of what is to come of it filled in.
fn typed(command: &str, path: &str) -> String {
    let stem = path
        .rsplit_once('.')
        .map(|(stem, _)| stem)
        .filter(|stem| !stem.is_empty() && !stem.ends_with('/'))
        .unwrap_or(path);
    // No name holds a NUL, so that a file called OUT does no harm.
    command
        .replace("OUT.d", "\0d")
        .replace("OUT", "\0")
        .replace("IN", &quoted(path))
        .replace("\0d", &quoted(stem))
        .replace('\0', &quoted(&format!("{stem}.pcapng")))
}

/// A name as a shell takes it.
pub(super) fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:\\".contains(c) || !c.is_ascii();
    if name.chars().all(plain) && !name.starts_with('-') {
        name.to_owned()
    } else {
        format!("'{}'", name.replace('\'', "'\\''"))
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// No entry hides another, and none a format that is read.
    #[test]
    fn every_known_format_is_told() {
        let told = |path: &str, octets: &[u8], name: &str, command: &str| match sniff(path, octets)
        {
            Kind::Refused(got, convert) => {
                assert_eq!(got, name);
                assert_eq!(convert, typed(command, path));
            }
            other => panic!("{name}: {other:?}"),
        };
        for (magic, name, command) in MAGIC {
            told("a.cap", &[magic, &[1; 20][..]].concat(), name, command);
        }
        for (ending, name, command) in ENDING {
            told(&format!("A{ending}"), &[1; 20], name, command);
        }
        for text in NETSCALER {
            let file = [&[1, 0, 40, 0, 1, 2, 3, 4], *text].concat();
            told("ns.cap", &file, "Citrix NetScaler trace", EDITCAP);
        }
    }

    #[test]
    fn commands_can_be_typed() {
        for (command, path, want) in [
            (EDITCAP, "a.erf", "editcap -F pcapng a.erf a.pcapng"),
            (EDITCAP, "OUT.IN", "editcap -F pcapng OUT.IN OUT.pcapng"),
            (
                EDITCAP,
                "my mail's.erf",
                "editcap -F pcapng 'my mail'\\''s.erf' 'my mail'\\''s.pcapng'",
            ),
            (EDITCAP, "d/.erf", "editcap -F pcapng d/.erf d/.erf.pcapng"),
            (
                "xz -dc IN | tcptriage analyze -",
                "$(x)",
                "xz -dc '$(x)' | tcptriage analyze -",
            ),
            (UNZIP, "a.zip", "unzip -d a a.zip && tcptriage analyze a"),
        ] {
            assert_eq!(typed(command, path), want);
        }
    }
}
