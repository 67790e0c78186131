//! Scripts that gather on a host what [`read`](super::read) understands.
//!
//! Takes:  the kind of system
//! Gives:  the text of a script that reads, changes nothing, and leaves one text file with section markers
//! Never:  runs it

/// For what system a script is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Os {
    /// Windows with PowerShell 2 or later (Windows Server 2008 R2 has it).
    Windows,
    /// Windows Server 2003: a batch file.
    Windows2003,
    /// Linux, and whatever else has a POSIX shell.
    Linux,
}

impl Os {
    /// All of them, with the names that users give them.
    pub const ALL: [(&'static str, Self); 3] = [
        ("windows", Self::Windows),
        ("windows2003", Self::Windows2003),
        ("linux", Self::Linux),
    ];
}

/// The script for `os`.
#[must_use]
pub const fn collect_script(os: Os) -> &'static str {
    match os {
        Os::Windows => include_str!("windows.ps1"),
        Os::Windows2003 => include_str!("windows2003.cmd"),
        Os::Linux => include_str!("linux.sh"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::facts::{Facts, read};

    #[test]
    fn scripts_only_read() {
        for (name, os) in Os::ALL {
            let script = collect_script(os).to_lowercase();
            for word in [
                "set-net",
                "set-smb",
                "set-rec",
                "enable-",
                "disable-",
                "remove-",
                "new-item",
                "restart-",
                "stop-",
                "reg add",
                "reg delete",
                " set global",
                "sysctl -w",
                "ethtool -k \"$adapter\" ",
                " rm ",
                "\ndel ",
                "invoke-",
            ] {
                assert!(!script.contains(word), "{name} has {word:?}");
            }
        }
    }

    /// The shell script runs under whatever `/bin/sh` is here, and what it writes is understood.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_shell_script_runs_and_is_understood() {
        let folder = std::env::temp_dir().join(format!("tcptriage-collect-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let out = folder.join("facts.txt");
        let ran = std::process::Command::new("/bin/sh")
            .args(["-c", collect_script(Os::Linux), "collect"])
            .arg(&out)
            .output()
            .unwrap();
        assert!(ran.status.success(), "{ran:?}");
        let mut facts = Facts::default();
        read(None, "facts.txt", &std::fs::read(&out).unwrap(), &mut facts);
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(facts.not_understood, []);
        for name in ["host.name", "os", "os.version"] {
            assert!(
                facts.facts.iter().any(|f| f.name == name),
                "{name} is missing"
            );
        }
        assert!(facts.facts.iter().all(|f| f.host.is_some()));
    }
}
