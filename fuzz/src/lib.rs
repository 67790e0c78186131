//! Everything that reads foreign octets, as one function each: what the fuzzer runs without end, and what `tests/fuzz.rs` runs for a
//! moment with every change.
//!
//! Takes:  octets
//! Gives:  nothing: a function panics where the library breaks a promise
//! Never:  is part of the program
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout
)]

pub mod capture;
pub mod decode;
pub mod flow;
pub mod ops;
pub mod proto;
pub mod seeds;
pub mod text;

/// A reader of foreign octets: the name of its file in `fuzz_targets/`, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All of them, in the order of the pipe.
pub const TARGETS: &[Target] = &[
    ("pcap", capture::pcap),
    ("pcapng", capture::pcapng),
    ("netmon", capture::netmon),
    ("snoop", capture::snoop),
    ("gzip", capture::gzip),
    ("zstd", capture::zstd),
    ("lz4", capture::lz4),
    ("anything", capture::anything),
    ("link", decode::link),
    ("fragments", decode::fragments),
    ("tunnels", decode::tunnels),
    ("tcp_options", decode::tcp_options),
    ("flow", flow::flow),
    ("reassembly", flow::reassembly),
    ("smtp", proto::smtp),
    ("smb1", proto::smb1),
    ("smb2", proto::smb2),
    ("netbios", proto::netbios),
    ("dcerpc", proto::dcerpc),
    ("tls", proto::tls),
    ("unknown", proto::unknown),
    ("facts", text::facts),
    ("logs", text::logs),
    ("rule", text::rule),
    ("escapes", text::escapes),
];
