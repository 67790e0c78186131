//! Whether the interfaces of open captures are up, as the kernel tells of its packet sockets.
//!
//! Takes:  the open capture
//! Gives:  [`State`]
//! Never:  opens anything after the start: a run may not do that any more

use std::fs::File;
use std::io::{Read, Seek};

use nix::sys::stat::fstat;
use pcap::{Active, Capture};

/// Octets read of the table.
const MAX_TABLE: u64 = 1 << 20;

/// How an interface stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    Up,
    Down,
    /// Removed: it does not come back, even under the same name.
    Gone,
}

/// The kernel's table of packet sockets.
pub(super) struct States {
    table: Option<File>,
    text: String,
}

impl States {
    /// Opens the table.
    pub(super) fn open() -> Self {
        Self {
            table: File::open("/proc/self/net/packet").ok(),
            text: String::new(),
        }
    }

    /// Reads the table anew.
    pub(super) fn read(&mut self) {
        self.text.clear();
        if let Some(table) = &mut self.table
            && table.rewind().is_ok()
        {
            // What cannot be read tells nothing.
            let _ = table.take(MAX_TABLE).read_to_string(&mut self.text);
        }
    }

    /// The state of the interface behind the socket with this inode; `None` where the table does not tell.
    pub(super) fn of(&self, inode: u64) -> Option<State> {
        self.text.lines().find_map(|line| state(line, inode))
    }
}

/// The inode of a capture's socket.
pub(super) fn inode(capture: &Capture<Active>) -> u64 {
    fstat(capture).map_or(0, |stat| stat.st_ino)
}

/// A line: `sk RefCnt Type Proto Iface R Rmem User Inode`, where R tells whether frames are taken.
fn state(line: &str, inode: u64) -> Option<State> {
    let mut fields = line.split_ascii_whitespace().skip(4);
    let (interface, running) = (fields.next()?, fields.next()?);
    if fields.nth(2)?.parse() != Ok(inode) {
        return None;
    }
    Some(match (interface, running) {
        ("-1", _) => State::Gone,
        (_, "0") => State::Down,
        _ => State::Up,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read() {
        for (name, line, want) in [
            ("up", "00000000d0b3 3 3 0003 2 1 0 0 4711", Some(State::Up)),
            (
                "down",
                "00000000d0b3 3 3 0003 2 0 0 0 4711",
                Some(State::Down),
            ),
            (
                "removed",
                "00000000d0b3 3 3 0003 -1 0 0 0 4711",
                Some(State::Gone),
            ),
            (
                "all interfaces",
                "00000000d0b3 3 3 0003 0 1 0 0 4711",
                Some(State::Up),
            ),
            ("another socket", "00000000d0b3 3 3 0003 2 1 0 0 4712", None),
            (
                "the head",
                "sk       RefCnt Type Proto  Iface R Rmem   User   Inode",
                None,
            ),
            ("cut off", "00000000d0b3 3 3", None),
        ] {
            assert_eq!(state(line, 4711), want, "{name}");
        }
    }
}
