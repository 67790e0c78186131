//! Maps finished files into memory: the one place of the crate that holds `unsafe`.
//!
//! Takes:  an open regular file
//! Gives:  the map, or `None` where reading is the safer way
//! Never:  maps a file that still changes
//!
//! A mapped file that shrinks kills the process with SIGBUS as soon as a page behind its new end is touched. So a file is read,
//! not mapped, if it was changed within the last [`SETTLED`] or lies on a network mount, where another machine may cut it unseen;
//! and the reader asks for the length again before every batch ([`still_whole`]). What is left is a local file that lay still and is
//! truncated within the milliseconds that a batch takes.
#![allow(unsafe_code)]

use std::fs::{File, Metadata};
use std::path::Path;
use std::time::Duration;

use memmap2::Mmap;

/// A file that has not been changed for this long is taken as finished: capture tools flush at least every few seconds while
/// traffic runs.
const SETTLED: Duration = Duration::from_secs(5);

/// File systems whose files other machines, or programs in user space, may change under us.
const REMOTE: &[&str] = &[
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "ceph",
    "glusterfs",
    "lustre",
    "virtiofs",
    "vboxsf",
];

/// Maps a file whole if that is safe.
pub(super) fn map(file: &File, metadata: &Metadata, path: &str) -> Option<Mmap> {
    if !metadata.is_file() || metadata.len() == 0 || !has_settled(metadata) || is_remote(path) {
        return None;
    }
    // SAFETY: the map is only read, as octets, for which every bit pattern is valid. That the file does not change meanwhile cannot be
    // guaranteed by any means of the operating system; the checks above and `still_whole` make it as good as sure (see the head).
    unsafe { Mmap::map(file) }.ok()
}

/// Whether the file is still as long as its map.
pub(super) fn still_whole(file: &File, map: &Mmap) -> bool {
    file.metadata()
        .is_ok_and(|metadata| metadata.len() >= map.len() as u64)
}

/// Whether the last change lies back far enough. A time in the future, or none, says nothing: then it is read.
fn has_settled(metadata: &Metadata) -> bool {
    metadata
        .modified()
        .ok()
        .and_then(|changed| changed.elapsed().ok())
        .is_some_and(|age| age >= SETTLED)
}

/// Whether the path lies on a network or user-space mount, as far as the system tells (Linux only).
fn is_remote(path: &str) -> bool {
    let (Ok(mounts), Ok(path)) = (
        std::fs::read_to_string("/proc/self/mounts"),
        Path::new(path).canonicalize(),
    ) else {
        return false;
    };
    file_system_of(&mounts, &path).is_some_and(|kind| {
        REMOTE.contains(&kind) || (kind.starts_with("fuse.") && kind != "fuse.lxcfs")
    })
}

/// Type of the file system that a path lies on: the mount with the longest matching prefix; of equals, the last (it hides the
/// others).
fn file_system_of<'a>(mounts: &'a str, path: &Path) -> Option<&'a str> {
    mounts
        .lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            let (_, point, kind) = (words.next()?, words.next()?, words.next()?);
            // Blanks stand as \040 there.
            let point = point.replace("\\040", " ");
            path.starts_with(&point).then_some((point.len(), kind))
        })
        .max_by_key(|(length, _)| *length)
        .map(|(_, kind)| kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_mount_decides() {
        let mounts = "/dev/sda1 / ext4 rw 0 0\n\
                      srv:/caps /mnt/caps nfs4 rw 0 0\n\
                      tmpfs /mnt/caps/local tmpfs rw 0 0\n\
                      //srv/x /mnt/with\\040blank cifs rw 0 0\n";
        for (name, path, want) in [
            ("root", "/home/a.pcap", Some("ext4")),
            ("network mount", "/mnt/caps/a.pcap", Some("nfs4")),
            ("a mount inside it", "/mnt/caps/local/a.pcap", Some("tmpfs")),
            ("no prefix of a name", "/mnt/capsule/a.pcap", Some("ext4")),
            ("blank in the name", "/mnt/with blank/a.pcap", Some("cifs")),
        ] {
            assert_eq!(file_system_of(mounts, Path::new(path)), want, "{name}");
        }
    }
}
