//! What the system is: name, version, addresses, hypervisor.
//!
//! Takes:  a section with the output of `ver`, `systeminfo`, `uname`, `hostname`, `ipconfig`, `ip -o addr`, …
//! Gives:  `os`, `os.version`, `host.name`, `host.address`, `virtual`, `virtual.hypervisor`; `nic.team` where teams were counted and are none
//! Never:  tells a server from a client by a build number that both have: such an `os` is inferred

use super::records::Field;
use super::{Found, Section, Sink};

/// Reads one line.
pub(super) fn read(section: &Section<'_>, from: usize, out: &mut Sink) -> usize {
    let line = section.at(from).trim();
    let command = section.command.as_str();
    let first_word = command.split_whitespace().next().unwrap_or_default();
    if first_word == "hostname"
        && let Some(name) = super::context::host_name(line)
    {
        out.host(name.clone());
        out.fact(Found::new("host.name", name, from));
        return 1;
    }
    if first_word == "systemd-detect-virt"
        && line.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
    {
        let value = match line {
            "microsoft" => "hyper-v",
            "oracle" => "virtualbox",
            other => other,
        };
        out.hypervisor(value, from, false);
        return 1;
    }
    if counts_teams(command)
        && let Some(count) = line
            .rsplit([' ', ':'])
            .next()
            .and_then(super::value::number)
    {
        if count == 0 {
            out.fact(Found::new("nic.team", "none", from));
        }
        return 1;
    }
    if let Some(consumed) = windows(line, from, out).or_else(|| uname(line, from, out)) {
        return consumed;
    }
    address(section, line, from, out)
}

/// `Get-NetLbfoTeam | Measure-Object`, `ls -A /proc/net/bonding | wc -l`: without a team the plain commands say nothing, and so does a
/// command that fails.
fn counts_teams(command: &str) -> bool {
    let windows = command.starts_with("get-netlbfoteam ") && command.contains("measure-object");
    windows || command.starts_with("ls ") && command.contains("/proc/net/bonding | wc")
}

/// `Microsoft Windows [Version 6.1.7601]`, `Microsoft Windows NT 10.0.17763.0`, and the rows of `systeminfo` by their values:
/// its labels are localised.
fn windows(line: &str, from: usize, out: &mut Sink) -> Option<usize> {
    if let Some(rest) = line
        .strip_prefix("Microsoft Windows [Version ")
        .and_then(|r| r.strip_suffix(']'))
    {
        version(rest, from, out);
        return Some(1);
    }
    if let Some(rest) = line.strip_prefix("Microsoft Windows NT ") {
        version(rest.split_whitespace().next()?, from, out);
        return Some(1);
    }
    if line.starts_with("Microsoft Windows ") || line.starts_with("Microsoft(R) Windows(R) ") {
        return caption(line, from, out).then_some(1);
    }
    let (label, value) = line.split_once(':').map(|(l, v)| (l.trim(), v.trim()))?;
    match label {
        "Host Name" | "Hostname" | "ホスト名" => {
            let name = super::context::host_name(value)?;
            out.host(name.clone());
            out.fact(Found::new("host.name", name, from));
            Some(1)
        }
        "System Manufacturer" | "System Model" | "Systemhersteller" | "Systemmodell" => {
            if let Some(value) = hypervisor(value) {
                out.hypervisor(value, from, false);
            }
            Some(1)
        }
        _ if value.starts_with("Microsoft Windows ")
            || value.starts_with("Microsoft(R) Windows(R) ") =>
        {
            caption(value, from, out).then_some(1)
        }
        // `OS Version: 6.1.7601 Service Pack 1 Build 7601`; BIOS versions have another shape.
        "OS Version" | "Betriebssystemversion" | "OS バージョン" => {
            version(value.split_whitespace().next()?, from, out);
            Some(1)
        }
        _ => None,
    }
}

/// Properties of `wmic os`, `wmic computersystem` and of the PowerShell objects of the same names.
pub(super) fn record(record: &[Field], out: &mut Sink) -> bool {
    let mut known = false;
    for field in record {
        match field.key.as_str() {
            "Caption" => known |= caption(&field.value, field.line, out),
            "VersionString" => known |= windows(&field.value, field.line, out).is_some(),
            "Model" | "Manufacturer" if record.iter().any(|f| f.key == "Model") => {
                known = true;
                if let Some(value) = hypervisor(&field.value) {
                    out.hypervisor(value, field.line, false);
                }
            }
            _ => {}
        }
    }
    known
}

/// The name that Windows gives itself.
fn caption(text: &str, line: usize, out: &mut Sink) -> bool {
    let text = text.replace("(R)", "").replace('®', "");
    let key = [
        ("Server 2025", "ws2025"),
        ("Server 2022", "ws2022"),
        ("Server 2019", "ws2019"),
        ("Server 2016", "ws2016"),
        ("Server 2012 R2", "ws2012r2"),
        ("Server 2012", "ws2012"),
        ("Server 2008 R2", "ws2008r2"),
        ("Server 2008", "ws2008"),
        ("Server 2003", "ws2003"),
        ("Windows 11", "win11"),
        ("Windows 10", "win10"),
        ("Windows 8.1", "win8.1"),
        ("Windows 8", "win8"),
        ("Windows 7", "win7"),
    ]
    .into_iter()
    .find(|(name, _)| text.contains(name) && text.contains("Windows"));
    if let Some((_, os)) = key {
        out.fact(Found::new("os", os, line));
    }
    key.is_some()
}

/// `6.1.7601`: the version, and what it is a version of.
fn version(text: &str, line: usize, out: &mut Sink) {
    let mut parts = text.split('.').map(|part| part.parse::<u32>().ok());
    let (Some(Some(major)), Some(Some(minor)), Some(Some(build))) =
        (parts.next(), parts.next(), parts.next())
    else {
        return;
    };
    out.fact(Found::new("os.version", text, line));
    // Clients have the same numbers, save 5.2 (but for XP x64) and 20348.
    let (os, certain) = match (major, minor, build) {
        (5, 2, _) => ("ws2003", false),
        (6, 0, _) => ("ws2008", false),
        (6, 1, _) => ("ws2008r2", false),
        (6, 2, 9200) => ("ws2012", false),
        (6, 3, 9600) => ("ws2012r2", false),
        (10, 0, 14393) => ("ws2016", false),
        (10, 0, 17763) => ("ws2019", false),
        (10, 0, 20348) => ("ws2022", true),
        (10, 0, 26100) => ("ws2025", false),
        (10, 0, 10240 | 10586 | 15063 | 16299 | 17134 | 18362 | 18363 | 19041..=19045) => {
            ("win10", true)
        }
        (10, 0, 22000 | 22621 | 22631 | 26200) => ("win11", true),
        _ => return,
    };
    out.fact(Found {
        inferred: !certain,
        ..Found::new("os", os, line)
    });
}

/// `Linux mx1 6.1.0-18-amd64 #1 SMP … GNU/Linux`.
fn uname(line: &str, from: usize, out: &mut Sink) -> Option<usize> {
    let mut words = line.strip_prefix("Linux ")?.split_whitespace();
    let (host, release) = (words.next()?, words.next()?);
    if !(release.starts_with(|c: char| c.is_ascii_digit()) && release.contains('.')) {
        return None;
    }
    if let Some(host) = super::context::host_name(host) {
        out.host(host.clone());
        out.fact(Found::new("host.name", host, from));
    }
    out.fact(Found::new("os", "linux", from));
    out.fact(Found::new("os.version", release, from));
    Some(1)
}

/// Addresses in `ip -o addr` and `ipconfig`.
fn address(section: &Section<'_>, line: &str, from: usize, out: &mut Sink) -> usize {
    let mut fact = |adapter: Option<String>, text: &str| {
        let text = text.split(['/', '(', '%']).next().unwrap_or_default();
        let parsed: Result<std::net::IpAddr, _> = text.parse();
        if let Ok(addr) = parsed
            && !addr.is_loopback()
        {
            out.fact(Found {
                subject: adapter,
                ..Found::new("host.address", addr.to_string(), from)
            });
        }
        parsed.is_ok()
    };
    // `2: eth0    inet 192.0.2.5/24 brd …`
    let words: Vec<&str> = line.split_whitespace().collect();
    if let [number, adapter, "inet" | "inet6", addr, ..] = words.as_slice() {
        let numbered = number
            .strip_suffix(':')
            .is_some_and(|n| n.parse::<u32>().is_ok());
        if numbered && fact(Some((*adapter).to_owned()), addr) {
            return 1;
        }
    }
    // `   IPv4 Address. . . . . . . . . . . : 192.0.2.5(Preferred)`
    if section.command.starts_with("ipconfig") {
        if let Some((label, value)) = line.split_once(" : ") {
            // The gateway's and the DNS server's addresses are other hosts'.
            if label.starts_with("IP") || label.contains("IPv4") {
                fact(None, value.trim());
            }
        }
        return 1;
    }
    0
}

/// Which hypervisor a maker's or model's name tells.
fn hypervisor(text: &str) -> Option<&'static str> {
    let lower = text.to_lowercase();
    [
        ("vmware", "vmware"),
        ("virtual machine", "hyper-v"),
        ("virtualbox", "virtualbox"),
        ("innotek", "virtualbox"),
        ("qemu", "kvm"),
        ("kvm", "kvm"),
        ("xen", "xen"),
        ("hvm domu", "xen"),
        ("amazon ec2", "amazon"),
        ("google compute engine", "google"),
    ]
    .into_iter()
    .find(|(word, _)| lower.contains(word))
    .map(|(_, name)| name)
}
