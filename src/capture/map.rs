//! Maps finished files into memory: the one place of the crate that holds `unsafe`.
//!
//! Takes:  an open regular file
//! Gives:  the map, or `None` where reading is the safer way
//! Never:  maps a file that still changes; ends the process because a mapped file shrinks
//!
//! As soon as a page behind the new end of a mapped file is touched, the system sends SIGBUS, which ends the process. So a file is read,
//! not mapped, if it was changed within the last [`SETTLED`] or lies on a network mount, where another machine may cut it unseen;
//! and the reader asks before every batch whether the map is still whole ([`Map::is_whole`]). A file that is cut in between reads as zeros behind
//! its end: the signal's handler (`shrunk`) puts them there.
#![allow(unsafe_code)]

use std::fs::{File, Metadata};
use std::ops::Deref;
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

/// A mapped file.
#[derive(Debug)]
pub struct Map {
    #[cfg(target_os = "linux")]
    guard: shrunk::Guard,
    // Behind the guard, which has to go first.
    map: Mmap,
}

impl Map {
    /// Whether the file is still as long as its map, and was so whenever it was read.
    pub(super) fn is_whole(&self, file: &File) -> bool {
        !self.has_lost()
            && file
                .metadata()
                .is_ok_and(|metadata| metadata.len() >= self.map.len() as u64)
    }

    /// Whether zeros were read in place of what the file has lost.
    pub(super) fn has_lost(&self) -> bool {
        #[cfg(target_os = "linux")]
        return self.guard.is_broken();
        #[cfg(not(target_os = "linux"))]
        false
    }
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.map
    }
}

/// Maps a file whole if that is safe.
pub(super) fn map(file: &File, metadata: &Metadata, path: &str) -> Option<Map> {
    if !metadata.is_file() || metadata.len() == 0 || !has_settled(metadata) || is_remote(path) {
        return None;
    }
    // SAFETY: the map is only read, as octets, for which every bit pattern is valid. That the file does not change meanwhile cannot be
    // guaranteed by any means of the operating system; the checks above, `Map::is_whole` and the guard make it harmless (see the head).
    let map = unsafe { Mmap::map(file) }.ok()?;
    Some(Map {
        #[cfg(target_os = "linux")]
        guard: shrunk::Guard::over(&map)?,
        map,
    })
}

/// Zeros in place of pages that a mapped file has lost.
#[cfg(target_os = "linux")]
mod shrunk {
    use std::ptr;
    use std::sync::Once;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    /// Files mapped at one time; what is beyond is read.
    const MAX_MAPS: usize = 256;

    /// Where a map lies. A handler of signals reads this, so that there is no lock.
    struct Slot {
        taken: AtomicBool,
        start: AtomicUsize,
        /// 0 while nothing is mapped.
        end: AtomicUsize,
        broken: AtomicBool,
    }

    static SLOTS: [Slot; MAX_MAPS] = [const {
        Slot {
            taken: AtomicBool::new(false),
            start: AtomicUsize::new(0),
            end: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
        }
    }; MAX_MAPS];

    static PAGE: AtomicUsize = AtomicUsize::new(0);

    /// A map that may lose pages, as long as this lives.
    #[derive(Debug)]
    pub(super) struct Guard(usize);

    impl Guard {
        /// `None` where too many are mapped already, or the system does not let signals be handled.
        pub(super) fn over(map: &[u8]) -> Option<Self> {
            static READY: Once = Once::new();
            READY.call_once(handle);
            if PAGE.load(Ordering::Relaxed) == 0 {
                return None;
            }
            let (at, slot) = SLOTS
                .iter()
                .enumerate()
                .find(|(_, slot)| !slot.taken.swap(true, Ordering::AcqRel))?;
            let start = map.as_ptr() as usize;
            slot.broken.store(false, Ordering::Relaxed);
            slot.start.store(start, Ordering::Relaxed);
            slot.end.store(start + map.len(), Ordering::Release);
            Some(Self(at))
        }

        /// Whether pages were lost.
        pub(super) fn is_broken(&self) -> bool {
            SLOTS
                .get(self.0)
                .is_some_and(|slot| slot.broken.load(Ordering::Acquire))
        }
    }

    impl Drop for Guard {
        fn drop(&mut self) {
            if let Some(slot) = SLOTS.get(self.0) {
                slot.end.store(0, Ordering::Release);
                slot.taken.store(false, Ordering::Release);
            }
        }
    }

    /// Has SIGBUS handled, for good.
    fn handle() {
        // SAFETY: `sysconf` reads a number. `action` is a plain structure for which zeros are valid, filled in as sigaction(2) says; the
        // handler has the form that SA_SIGINFO asks for.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_bus_error as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            libc::sigemptyset(&raw mut action.sa_mask);
            let page = libc::sysconf(libc::_SC_PAGESIZE);
            if libc::sigaction(libc::SIGBUS, &raw const action, ptr::null_mut()) == 0 {
                PAGE.store(usize::try_from(page).unwrap_or(0), Ordering::Relaxed);
            }
        }
    }

    /// Puts zeros from the page that could not be read to the end of its map. Anything else meets what it would have met without us.
    extern "C" fn on_bus_error(
        signal: libc::c_int,
        info: *mut libc::siginfo_t,
        _: *mut libc::c_void,
    ) {
        // SAFETY: the system hands on a valid `info`.
        let address = unsafe { (*info).si_addr() } as usize;
        let page = PAGE.load(Ordering::Relaxed).max(1);
        let start = address - address % page;
        for slot in &SLOTS {
            let end = slot.end.load(Ordering::Acquire);
            if address >= end || address < slot.start.load(Ordering::Relaxed) {
                continue;
            }
            slot.broken.store(true, Ordering::Release);
            // SAFETY: whole pages of a map of ours, which is only read, and which is unmapped as a whole later; mmap(2) is a bare system call.
            let put = unsafe {
                libc::mmap(
                    start as *mut libc::c_void,
                    end - start,
                    libc::PROT_READ,
                    libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
                    -1,
                    0,
                )
            };
            if put != libc::MAP_FAILED {
                return;
            }
        }
        // SAFETY: back to what the system does by itself, which the same access meets again at once.
        unsafe {
            libc::signal(signal, libc::SIG_DFL);
        }
    }
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
    #![allow(clippy::unwrap_used)]
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

    /// As it is in the moment after the reader has asked, and before the batch was looked at.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_file_that_shrinks_reads_as_zeros_behind_its_end() {
        const OCTETS: usize = 100_000;
        let path = std::env::temp_dir().join(format!("tcptriage-map-{}", std::process::id()));
        std::fs::write(&path, vec![7; OCTETS]).unwrap();
        let file = File::options().write(true).read(true).open(&path).unwrap();
        let long_ago = std::time::SystemTime::now() - Duration::from_secs(3600);
        file.set_modified(long_ago).unwrap();
        let metadata = file.metadata().unwrap();
        let name = path.to_str().unwrap();
        let (one, other) = (map(&file, &metadata, name), map(&file, &metadata, name));
        let (Some(one), Some(other)) = (one, other) else {
            // A temporary folder on a network mount.
            return;
        };
        assert!(one.is_whole(&file));
        assert_eq!(one[OCTETS - 1], 7);
        file.set_len(10).unwrap();
        assert_eq!((one[0], one[9], one[50_000], one[OCTETS - 1]), (7, 7, 0, 0));
        file.set_len(OCTETS as u64).unwrap();
        assert!(!one.is_whole(&file), "what was read as zeros stays in mind");
        assert!(other.is_whole(&file), "nothing was read there");
        drop(one);
        file.set_len(10).unwrap();
        assert_eq!(other[OCTETS - 1], 0);
        std::fs::remove_file(&path).unwrap();
    }
}
