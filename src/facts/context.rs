//! What stands between outputs: section markers, prompts with the command that was typed, bare commands.
//!
//! Takes:  a line
//! Gives:  the command that the lines after it answer, and the host where the prompt names it
//! Never:  takes a line of output for a command: a prompt needs its form, a bare command a known first word

use super::text::Line;

/// A marker or a prompt, read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Echo {
    /// The command, without the prompt; empty at a bare prompt.
    pub(super) command: String,
    /// The host that the prompt names.
    pub(super) host: Option<String>,
}

/// The lines that answer one command.
pub(super) struct Section<'a> {
    /// The command in lower case, empty where the text does not say.
    pub(super) command: String,
    /// The command as typed: names of adapters keep their case.
    pub(super) typed: String,
    /// The lines.
    pub(super) lines: &'a [Line],
    /// Whether the text goes on after this section: then its last line was not cut away.
    pub(super) ended: bool,
}

impl Section<'_> {
    /// The text of a line; empty past the end.
    pub(super) fn at(&self, index: usize) -> &str {
        self.lines.get(index).map_or("", |line| &line.text)
    }

    /// Whether anything stands at or after `index`, even an empty line, or the text goes on.
    pub(super) fn goes_on(&self, index: usize) -> bool {
        // A last line end leaves one empty line of no meaning.
        self.ended || index + 1 < self.lines.len()
    }

    /// The last argument of the command, if the command has `word` in it: the adapter of `ethtool -i eth0`.
    pub(super) fn argument(&self, word: &str) -> Option<&str> {
        let mut words = self.typed.split_whitespace();
        let tool = words.any(|w| w.rsplit('/').next().is_some_and(|w| w == word));
        let argument = words
            .take_while(|w| !matches!(*w, "|" | ">" | "2>&1" | "2>/dev/null" | ";"))
            .last()?;
        (tool && !argument.starts_with('-')).then_some(argument)
    }
}

/// First words of commands whose output is understood, so that they are known without a prompt.
const COMMANDS: &[&str] = &[
    "netsh",
    "ethtool",
    "sysctl",
    "nstat",
    "netstat",
    "postconf",
    "testparm",
    "uname",
    "hostname",
    "cat",
    "reg",
    "wmic",
    "systeminfo",
    "ver",
    "ipconfig",
    "ip",
    "systemd-detect-virt",
];

/// Second words that tell such a command from output.
const VERBS: &[&str] = &[
    "int",
    "interface",
    "path",
    "nic",
    "os",
    "query",
    "addr",
    "link",
    "computersystem",
];

/// Reads a line as a marker, prompt or bare command.
pub(super) fn echo(line: &str) -> Option<Echo> {
    let line = line.trim();
    marker(line)
        .or_else(|| windows(line))
        .or_else(|| unix(line))
        .or_else(|| device(line))
        .or_else(|| bare(line))
}

/// `=== command ===`: what `collect` writes.
fn marker(line: &str) -> Option<Echo> {
    let command = line.strip_prefix("=== ")?.strip_suffix(" ===")?;
    Some(Echo {
        command: command.trim().to_owned(),
        host: None,
    })
}

/// `C:\>netsh …`, `PS C:\> Get-…`, `[PS] C:\Windows\system32>Get-…`, `[host]: PS C:\> …`.
fn windows(line: &str) -> Option<Echo> {
    let mut rest = line;
    let mut host = None;
    if let Some((name, after)) = rest.strip_prefix('[').and_then(|r| r.split_once("]: ")) {
        host = host_name(name);
        rest = after;
    }
    let shell = rest
        .strip_prefix("PS ")
        .or_else(|| rest.strip_prefix("[PS] "));
    let path = shell.unwrap_or(rest);
    let (place, command) = path.split_once('>')?;
    let drive = matches!(place.as_bytes(), [drive, b':', b'\\', ..] if drive.is_ascii_alphabetic());
    let provider = shell.is_some() && place.contains(":\\");
    (drive || provider || place.starts_with("\\\\")).then(|| Echo {
        command: command.trim().to_owned(),
        host,
    })
}

/// `$ cmd`, `# cmd`, `user@host:~$ cmd`, `[root@host ~]# cmd`.
fn unix(line: &str) -> Option<Echo> {
    let (prompt, command) = match line.find(['$', '#']) {
        Some(at) => (line.get(..at)?, line.get(at + 1..)?),
        None => return None,
    };
    if !(command.is_empty() || command.starts_with(' ')) {
        return None;
    }
    let command = command.trim();
    let prompt = prompt.trim();
    if prompt.is_empty() {
        // `# ` begins a comment too: only a command that is known counts.
        return is_command(command).then(|| Echo {
            command: command.to_owned(),
            host: None,
        });
    }
    let (user, rest) = prompt.trim_matches(['[', ']']).split_once('@')?;
    if user.is_empty() || user.contains(char::is_whitespace) {
        return None;
    }
    let end = rest.find([':', ' ', ']']).unwrap_or(rest.len());
    Some(Echo {
        command: command.to_owned(),
        host: host_name(rest.get(..end)?),
    })
}

/// `SW1#show interfaces`, `SW1>show …`: prompts of switches and routers.
fn device(line: &str) -> Option<Echo> {
    let (name, command) = line.split_once(['#', '>'])?;
    let command = command.trim();
    let known = ["sh ", "sho ", "show "]
        .iter()
        .any(|word| command.starts_with(word));
    known.then(|| host_name(name)).flatten().map(|host| Echo {
        command: command.to_owned(),
        host: Some(host),
    })
}

/// A command without a prompt.
fn bare(line: &str) -> Option<Echo> {
    (is_command(line) || is_cmdlet(line)).then(|| Echo {
        command: line.to_owned(),
        host: None,
    })
}

fn is_command(line: &str) -> bool {
    let mut words = line.split_whitespace().peekable();
    words.next_if_eq(&"sudo");
    let first = words.next().unwrap_or_default();
    let first = first.rsplit('/').next().unwrap_or_default();
    let first = first.strip_suffix(".exe").unwrap_or(first);
    // Output never begins so: nothing, an option, a file, a parameter or a verb follows the word.
    COMMANDS.contains(&first)
        && words.next().is_none_or(|second| {
            second.starts_with(['-', '/'])
                || second.starts_with("net.")
                || VERBS.contains(&second)
                || first == "ethtool" && words.next().is_none()
        })
}

/// `Get-NetAdapter | fl`: verb, hyphen, noun, and no list or table row.
fn is_cmdlet(line: &str) -> bool {
    let first = line.split_whitespace().next().unwrap_or_default();
    first.strip_prefix("Get-").is_some_and(|noun| {
        noun.len() > 2 && noun.bytes().all(|b| b.is_ascii_alphanumeric()) && !line.contains(" : ")
    })
}

/// A host name or address as prompts and `hostname` print it.
pub(super) fn host_name(text: &str) -> Option<String> {
    let text = text.trim();
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'));
    (plain && !text.is_empty() && text.len() <= 255).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts() {
        for (line, want) in [
            ("=== ethtool -k eth0 ===", Some(("ethtool -k eth0", None))),
            (
                r"C:\>netsh int tcp show global",
                Some(("netsh int tcp show global", None)),
            ),
            (r"C:\Users\admin>", Some(("", None))),
            (
                r"PS C:\> Get-NetAdapter | fl",
                Some(("Get-NetAdapter | fl", None)),
            ),
            (
                r"[PS] C:\Windows\system32>Get-Queue",
                Some(("Get-Queue", None)),
            ),
            (
                r"[EX1]: PS C:\> Get-Queue",
                Some(("Get-Queue", Some("EX1"))),
            ),
            ("$ ethtool -k eth0", Some(("ethtool -k eth0", None))),
            ("# sysctl -a", Some(("sysctl -a", None))),
            ("# Global parameters", None),
            ("#kernel", None),
            ("root@mx1:~# nstat -az", Some(("nstat -az", Some("mx1")))),
            (
                "[root@mx1 ~]# postconf -n",
                Some(("postconf -n", Some("mx1"))),
            ),
            (
                "SW1#show interfaces Fa0/1",
                Some(("show interfaces Fa0/1", Some("SW1"))),
            ),
            (
                "netsh int tcp show global",
                Some(("netsh int tcp show global", None)),
            ),
            ("Get-NetAdapter", Some(("Get-NetAdapter", None))),
            ("UserName              : Contoso\\Contoso-HV1$", None),
            (
                "Contoso-FS1  VMS5  Contoso\\Contoso-HV1$ Contoso\\Contoso-HV1$ 3.00  1",
                None,
            ),
            ("Ethernet2   vmxnet3 Ethernet Adapter #2       4 Up", None),
            (
                "InterfaceDescription : Broadcom BCM5708C NetXtreme II GigE (NDIS VBD Client) #66",
                None,
            ),
            ("postscreen_greet_wait = ${stress?{2}:{6}}s", None),
            ("    EnableRSS    REG_DWORD    0x1", None),
        ] {
            let got = echo(line);
            let got = got
                .as_ref()
                .map(|e| (e.command.as_str(), e.host.as_deref()));
            assert_eq!(got, want, "{line}");
        }
    }
}
