//! Gives up what a run no longer needs once its interfaces are open.
//!
//! Takes:  the user to become, the folders to write to
//! Gives:  a process that has no capabilities, gains none, and (where the kernel can) writes to few folders, opens no connection and starts no
//!         program, unless it is to start one: then files and system calls stay open
//! Never:  stays root unless told to; goes on where the user cannot be changed
//!
//! To be called before any thread is started, as some of it holds for the calling thread and those that it starts.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use caps::CapSet;
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetStatus,
};
use nix::fcntl::{OFlag, posix_fallocate};
use nix::unistd::{
    AccessFlags, Gid, Uid, User, access, geteuid, initgroups, setgroups, setresgid, setresuid,
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

/// Who becomes of root where nobody says else.
const NOBODY: &str = "nobody";

/// System calls of a program that takes over others, or changes the system: nothing of a run needs them.
const REFUSED: &[i64] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_setns,
    libc::SYS_unshare,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_open_by_handle_at,
    libc::SYS_personality,
    libc::SYS_acct,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
];

/// The user that the run is to be done as.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Account {
    /// Its name, or number.
    pub name: String,
    uid: Uid,
    gid: Gid,
}

impl Account {
    /// Who it is to be: `wanted`, or for root who called sudo, or else nobody. `None`: the user need not change.
    ///
    /// # Errors
    /// Where there is no such user, or the user may not be changed.
    pub fn choose(wanted: Option<&str>) -> Result<Option<Self>, String> {
        let own = geteuid();
        let found = match wanted {
            Some(name) => named(name)?,
            None if !own.is_root() => return Ok(None),
            None => match by_sudo() {
                Some(account) => account,
                None => named(NOBODY)?,
            },
        };
        if found.uid == own {
            return Ok(None);
        }
        if !own.is_root() {
            return Err(format!("only root can become {}", found.name));
        }
        Ok(Some(found))
    }

    /// Whether this user may write to an existing folder, by its owner and mode.
    #[must_use]
    pub fn may_write(&self, folder: &Path) -> bool {
        fs::metadata(folder).is_ok_and(|meta| {
            let mode = meta.mode();
            meta.is_dir()
                && (self.uid.is_root()
                    || (meta.uid() == self.uid.as_raw() && mode & 0o300 == 0o300)
                    || (meta.gid() == self.gid.as_raw() && mode & 0o030 == 0o030)
                    || mode & 0o003 == 0o003)
        })
    }

    /// Makes a folder that this user may write to: a new one is its own, and so becomes one that is empty and root's, unless `sudo` lends
    /// root's rights: they are not lent to be given away. Another folder stays as it is, and so does one that a link leads to.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn make_folder(&self, folder: &Path) -> io::Result<()> {
        let new = match fs::symlink_metadata(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(folder)?;
                true
            }
            other => {
                other?;
                false
            }
        };
        if self.may_write(folder) || (!new && by_sudo().is_some()) {
            return Ok(());
        }
        let flags = OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW;
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits())
            .open(folder);
        let Ok(opened) = opened else {
            return Ok(());
        };
        let (there, named) = (opened.metadata()?, fs::symlink_metadata(folder)?);
        let same = (there.dev(), there.ino()) == (named.dev(), named.ino());
        let empty = fs::read_dir(folder)?.next().is_none();
        if same && empty && there.uid() == geteuid().as_raw() {
            fchown(&opened, Some(self.uid.as_raw()), Some(self.gid.as_raw()))?;
        }
        Ok(())
    }

    /// Opens a file to be written later, in a folder that this user may not write to: a new one, or one that is its own or the caller's. What
    /// it holds stays.
    ///
    /// # Errors
    /// Where it is no such file: a link, or another's.
    pub fn open_for_later(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.write(true).custom_flags(OFlag::O_NOFOLLOW.bits());
        let file = match options.open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return options.create_new(true).open(path);
            }
            Err(_) if fs::symlink_metadata(path).is_ok_and(|there| there.is_symlink()) => {
                return Err(io::Error::other(
                    "it is a link; remove it, or give another name",
                ));
            }
            opened => opened?,
        };
        let there = file.metadata()?;
        let own = [geteuid().as_raw(), self.uid.as_raw()].contains(&there.uid());
        if !there.is_file() || !own || there.nlink() != 1 {
            return Err(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "it is no plain file of yours; remove it, or give another name",
            ));
        }
        Ok(file)
    }

    /// Becomes this user, for good.
    ///
    /// # Errors
    /// Where the system refuses: then nothing must go on.
    pub fn take_on(&self) -> Result<(), String> {
        let refused = |error: nix::Error| format!("cannot become {}: {error}", self.name);
        for capability in caps::all() {
            // Of those that this kernel does not know, none can be gained.
            let _ = caps::drop(None, CapSet::Bounding, capability);
        }
        let groups = CString::new(self.name.as_str())
            .ok()
            .and_then(|name| initgroups(&name, self.gid).ok());
        if groups.is_none() {
            setgroups(&[self.gid]).map_err(refused)?;
        }
        setresgid(self.gid, self.gid, self.gid).map_err(refused)?;
        setresuid(self.uid, self.uid, self.uid).map_err(refused)?;
        if !self.uid.is_root()
            && setresuid(Uid::from_raw(0), Uid::from_raw(0), Uid::from_raw(0)).is_ok()
        {
            return Err(format!("became {}, and could become root again", self.name));
        }
        Ok(())
    }
}

fn named(name: &str) -> Result<Account, String> {
    let unknown = || format!("there is no user {name}");
    let found = match name.parse() {
        Ok(number) => User::from_uid(Uid::from_raw(number)),
        Err(_) => User::from_name(name),
    };
    let user = found
        .map_err(|error| format!("{}: {error}", unknown()))?
        .ok_or_else(unknown)?;
    Ok(Account {
        name: user.name,
        uid: user.uid,
        gid: user.gid,
    })
}

/// Who called sudo.
fn by_sudo() -> Option<Account> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    let (uid, gid) = (number("SUDO_UID")?, number("SUDO_GID")?);
    (uid != 0).then(|| Account {
        name: std::env::var("SUDO_USER").unwrap_or_else(|_| uid.to_string()),
        uid: Uid::from_raw(uid),
        gid: Gid::from_raw(gid),
    })
}

/// Puts what `write` gives into an open file, in place of what it holds. The room is there before anything is given up: `write` is asked
/// twice, and has to give the same.
///
/// # Errors
/// As `write`, and where there is no room: the file is as before then.
pub fn replace(
    file: &File,
    mut write: impl FnMut(&mut dyn io::Write) -> io::Result<()>,
) -> io::Result<()> {
    let mut counted = Counted(0);
    write(&mut counted)?;
    let before = file.metadata()?.len();
    let length = i64::try_from(counted.0).map_err(io::Error::other)?;
    if length > 0
        && let Err(error) = posix_fallocate(file, 0, length)
    {
        file.set_len(before)?;
        return Err(error.into());
    }
    let mut place = file;
    io::Seek::rewind(&mut place)?;
    let mut out = io::BufWriter::new(place);
    write(&mut out)?;
    io::Write::flush(&mut out)?;
    file.set_len(counted.0)?;
    file.sync_all()
}

/// Counts what is written to it.
struct Counted(u64);

impl io::Write for Counted {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0 += octets.len() as u64;
        Ok(octets.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether the process, as it is now, may write to a folder.
#[must_use]
pub fn may_write(folder: &Path) -> bool {
    access(folder, AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
}

/// What is left to a run.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// Folders that it writes to.
    pub folders: Vec<PathBuf>,
    /// Whether it starts programs: what they may do cannot be known, so files and system calls are left open then.
    pub programs: bool,
}

/// Gives up capabilities and the right to gain any; then, where the kernel can, files and system calls that are not needed. Gives
/// sentences on what could not be had.
///
/// # Errors
/// Where capabilities stay although they should not.
pub fn confine(needs: &Needs) -> Result<Vec<String>, String> {
    let _ = caps::clear(None, CapSet::Ambient);
    for set in [CapSet::Inheritable, CapSet::Effective, CapSet::Permitted] {
        caps::clear(None, set).map_err(|error| format!("cannot drop capabilities: {error}"))?;
    }
    let mut missing = Vec::new();
    if let Err(error) = nix::sys::prctl::set_no_new_privs() {
        missing.push(format!("cannot renounce new privileges: {error}"));
    }
    if needs.programs {
        missing.push(
            "files and system calls are not restricted, as the command to be run may need any"
                .to_owned(),
        );
        return Ok(missing);
    }
    match restrict_files(&needs.folders) {
        Ok(RulesetStatus::NotEnforced) => {
            missing.push("this kernel cannot restrict files (Landlock)".to_owned());
        }
        Ok(_) => {}
        Err(error) => missing.push(format!("files are not restricted: {error}")),
    }
    if let Err(error) = restrict_calls() {
        missing.push(format!("system calls are not restricted: {error}"));
    }
    Ok(missing)
}

/// Leaves the folders to write to, and what the state of interfaces and the terminal are read from.
fn restrict_files(folders: &[PathBuf]) -> Result<RulesetStatus, landlock::RulesetError> {
    const KNOWN: ABI = ABI::V4;
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(AccessNet::from_all(KNOWN))?
        .create()?;
    let read = AccessFs::from_read(KNOWN);
    let both = AccessFs::from_all(KNOWN);
    let fixed = [
        ("/sys", read),
        ("/dev/tty", AccessFs::ReadFile | AccessFs::WriteFile),
    ];
    let named = folders.iter().map(|folder| (folder.as_path(), both));
    for (path, rights) in fixed
        .map(|(path, rights)| (Path::new(path), rights))
        .into_iter()
        .chain(named)
    {
        // What is not there needs no right.
        if let Ok(place) = PathFd::new(path) {
            rules = rules.add_rule(PathBeneath::new(place, rights))?;
        }
    }
    Ok(rules.restrict_self()?.ruleset)
}

/// Refuses the system calls that a run does not need.
fn restrict_calls() -> Result<(), Box<dyn std::error::Error>> {
    let rules: BTreeMap<i64, Vec<_>> = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let refusal = u32::try_from(libc::EPERM)?;
    let filter = SeccompFilter::new(
        rules,
        SeccompAction::Allow,
        SeccompAction::Errno(refusal),
        TargetArch::try_from(std::env::consts::ARCH)?,
    )?;
    let program: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter(&program)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs::File;
    use std::net::TcpListener;
    use std::process::Command;

    /// All of it holds for the calling thread alone, and those that it starts.
    fn confined<T: Send>(needs: &Needs, work: impl FnOnce(&[String]) -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| work(&confine(needs).unwrap()));
            thread.join().unwrap()
        })
    }

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("tcptriage-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn what_a_run_does_not_need_is_gone() {
        let own = folder("confined");
        let needs = Needs {
            folders: vec![own.clone()],
            programs: false,
        };
        confined(&needs, |missing| {
            let has = |what: &str| missing.iter().all(|text| !text.contains(what));
            File::create(own.join("ring")).unwrap();
            fs::remove_file(own.join("ring")).unwrap();
            for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
                assert!(caps::read(None, set).unwrap().is_empty(), "{set:?}");
            }
            if has("iles") {
                assert!(File::open("/etc/passwd").is_err(), "files outside are read");
                assert!(File::create(std::env::temp_dir().join("tcptriage-outside")).is_err());
            }
            if has("calls") {
                assert!(
                    Command::new("true").spawn().is_err(),
                    "a program is started"
                );
                assert!(
                    TcpListener::bind("127.0.0.1:0").is_err(),
                    "a socket is opened"
                );
            }
        });
        File::open("/etc/passwd").unwrap();
        fs::remove_dir_all(own).unwrap();
    }

    #[test]
    fn a_command_may_still_be_started_where_one_is_wanted() {
        let needs = Needs {
            programs: true,
            ..Needs::default()
        };
        confined(&needs, |missing| {
            assert!(missing.iter().any(|text| text.contains("not restricted")));
            assert!(Command::new("true").status().unwrap().success());
        });
    }

    #[test]
    fn a_file_for_later_is_no_link_and_nobody_elses() {
        if !geteuid().is_root() {
            return;
        }
        let nobody = Account::choose(Some(NOBODY)).unwrap().unwrap();
        let folder = folder("later");
        let [plain, link, twice, others] =
            ["plain", "link", "twice", "others"].map(|name| folder.join(name));
        fs::write(&plain, "old and long").unwrap();
        fs::write(&twice, "precious").unwrap();
        fs::write(&others, "").unwrap();
        std::os::unix::fs::symlink(&plain, &link).unwrap();
        fs::hard_link(&twice, folder.join("once more")).unwrap();
        std::os::unix::fs::chown(&others, Some(12_345), None).unwrap();
        for (path, opens) in [
            (&plain, true),
            (&folder.join("new"), true),
            (&link, false),
            (&twice, false),
            (&others, false),
        ] {
            assert_eq!(nobody.open_for_later(path).is_ok(), opens, "{path:?}");
        }
        let file = nobody.open_for_later(&plain).unwrap();
        let failed = replace(&file, |out| {
            out.write_all(b"half")?;
            Err(io::Error::other("no"))
        });
        assert!(failed.is_err());
        assert_eq!(fs::read_to_string(&plain).unwrap(), "old and long");
        for text in ["newer", "new"] {
            replace(&file, |out| out.write_all(text.as_bytes())).unwrap();
            assert_eq!(fs::read_to_string(&plain).unwrap(), text);
        }
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn who_it_is_to_be() {
        assert!(Account::choose(Some("no-such-user")).is_err());
        let nobody = Account::choose(Some(NOBODY));
        if geteuid().is_root() {
            let nobody = nobody.unwrap().unwrap();
            assert_eq!(Account::choose(Some("root")), Ok(None));
            assert!(nobody.may_write(&std::env::temp_dir()));
            assert!(!nobody.may_write(Path::new("/etc")));
            let own = folder("empty");
            let full = folder("full");
            File::create(full.join("kept")).unwrap();
            let linked = folder("linked");
            let link = linked.with_extension("link");
            std::os::unix::fs::symlink(&linked, &link).unwrap();
            for folder in [&own, &full, &link] {
                nobody.make_folder(folder).unwrap();
            }
            assert!(!nobody.may_write(&linked), "a link is not followed");
            fs::remove_file(link).unwrap();
            fs::remove_dir_all(linked).unwrap();
            assert!(nobody.may_write(&own), "an empty folder becomes its own");
            assert!(!nobody.may_write(&full), "another's files stay another's");
            fs::remove_dir_all(own).unwrap();
            fs::remove_dir_all(full).unwrap();
        } else {
            assert!(nobody.is_err(), "only root becomes somebody else");
        }
    }
}
