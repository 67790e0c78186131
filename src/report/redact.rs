//! Replaces addresses, host names and domains in a report, the same one always by the same.
//!
//! Takes:  a finished report
//! Gives:  the same report without anything that names a host
//! Never:  touches numbers, ids, commands' own words, or addresses of documents
//!
//! IP addresses keep their common prefixes (after Xu, Fan, Ammar, Moon, "Prefix-preserving IP address anonymization", 2002): two
//! hosts of one subnet stay so. The key is made anew for each run, so two reports cannot be joined.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::beside::{Beside, Shape};
use super::escape;
use super::mail;
use super::model::{Flow, Problem, Report, Step};
use crate::decode::Mask;
use crate::net::MacAddr;

/// Addresses of a kind that the key remembers.
const MAX_KEYS: usize = 1_000_000;

/// Replaces what names a host. What is returned replaces the same elsewhere by the same, and knows what stands for what.
pub fn redact(report: &mut Report) -> Redaction {
    let mut redaction = Redaction::new(report, RandomState::new());
    redaction.report(report);
    redaction
}

/// What stands for what.
#[derive(Debug)]
pub struct Redaction {
    key: RandomState,
    /// Addresses replaced so far, and paths, for whoever wants the key.
    addresses: BTreeMap<IpAddr, IpAddr>,
    macs: BTreeMap<[u8; 6], [u8; 6]>,
    paths: Vec<(String, String)>,
    /// Labels of hosts, in lower case, and what stands for them.
    labels: HashMap<String, String>,
    /// Domains, likewise.
    domains: HashMap<String, String>,
    /// What stands before the `@` of mail addresses, likewise.
    users: HashMap<String, String>,
    /// Ids that look like domains.
    ids: Vec<String>,
}

impl Redaction {
    fn new(report: &Report, key: RandomState) -> Self {
        let mut redactor = Self {
            key,
            addresses: BTreeMap::new(),
            macs: BTreeMap::new(),
            paths: Vec::new(),
            labels: HashMap::new(),
            domains: HashMap::new(),
            users: HashMap::new(),
            ids: report.findings.iter().map(|f| f.id.clone()).collect(),
        };
        let smtp = report.flows.iter().filter_map(|f| f.smtp.as_ref());
        let said = smtp.flat_map(|s| [&s.client_name, &s.server_name]);
        let smb = report.flows.iter().filter_map(|f| f.smb.as_ref());
        let steps = report
            .remediations
            .iter()
            .flat_map(|r| r.confirm.iter().chain(&r.fix).chain(&r.undo));
        let names: Vec<String> = report
            .names
            .values()
            .chain(said.flatten())
            .chain(smb.filter_map(|s| s.server_name.as_ref()))
            .chain(steps.filter_map(|s| s.on.as_ref()))
            .cloned()
            .collect();
        for name in names {
            for word in name.split(|c: char| !is_of_name(c)) {
                redactor.learn(word);
            }
        }
        redactor
    }

    /// Takes in a name that is known to be a host's.
    fn learn(&mut self, name: &str) {
        let name = name.trim_matches('.');
        // A bare number, or an address, is no name.
        if name.len() > 1
            && name.parse::<IpAddr>().is_err()
            && name.contains(|c: char| c.is_alphabetic())
        {
            self.name(name);
        }
    }

    /// What stands for a host's name, with or without its domain.
    fn name(&mut self, name: &str) -> String {
        let (label, domain) = name.split_once('.').unwrap_or((name, ""));
        let number = self.labels.len() + 1;
        let label = self
            .labels
            .entry(label.to_lowercase())
            .or_insert_with(|| format!("host-{number}"))
            .clone();
        if domain.is_empty() {
            return label;
        }
        format!("{label}.{}", self.domain(domain))
    }

    fn domain(&mut self, domain: &str) -> String {
        let number = self.domains.len() + 1;
        self.domains
            .entry(domain.to_lowercase())
            .or_insert_with(|| format!("domain-{number}.example"))
            .clone()
    }

    /// The key: one line for each address, name, domain and path, its kind, what it was and what stands for it, parted by tabs.
    ///
    /// # Errors
    /// Where `out` refuses.
    pub fn write_key(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "kind\twas\tis")?;
        for (was, is) in &self.addresses {
            writeln!(out, "address\t{was}\t{is}")?;
        }
        for (was, is) in &self.macs {
            writeln!(out, "hardware\t{}\t{}", MacAddr(*was), MacAddr(*is))?;
        }
        let mut names: Vec<_> = self
            .labels
            .iter()
            .map(|(was, is)| ("host", was, is))
            .collect();
        names.extend(self.domains.iter().map(|(was, is)| ("domain", was, is)));
        names.extend(self.users.iter().map(|(was, is)| ("user", was, is)));
        names.extend(self.paths.iter().map(|(was, is)| ("capture", was, is)));
        names.sort_unstable();
        for (kind, was, is) in names {
            writeln!(out, "{kind}\t{}\t{is}", escape::line(was))?;
        }
        Ok(())
    }

    /// What stands for an address, remembered for the key.
    fn address(&mut self, addr: IpAddr) -> IpAddr {
        let is = self.masked(addr);
        if self.addresses.len() < MAX_KEYS {
            self.addresses.insert(addr, is);
        }
        is
    }

    /// Hardware addresses of groups stay, and so do those that name nobody. Those that Network Load Balancing makes (`02-bf`, `03-bf`,
    /// or the number of the host in place of `bf`) hold an IP address.
    fn hardware(&mut self, addr: [u8; 6]) -> [u8; 6] {
        let [a, b, rest @ ..] = addr;
        if addr == [0; 6] || (a & 1 == 1 && a != 3) {
            return addr;
        }
        let of_balancing = matches!((a, b), (2, 1..=32 | 0xbf) | (3, 0xbf));
        let is = match self.masked(IpAddr::from(rest)) {
            IpAddr::V4(inner) if of_balancing => {
                let [c, d, e, f] = inner.octets();
                [a, b, c, d, e, f]
            }
            _ => {
                let [c, d, e, f, g, h, ..] = self.key.hash_one(addr).to_ne_bytes();
                // Locally administered, and one host.
                [(c | 2) & !1, d, e, f, g, h]
            }
        };
        if self.macs.len() < MAX_KEYS {
            self.macs.insert(addr, is);
        }
        is
    }

    /// Each bit is flipped or not by a hash of the bits before it.
    fn masked(&self, addr: IpAddr) -> IpAddr {
        let kept = match addr {
            IpAddr::V4(a) => {
                a.is_unspecified() || a.is_loopback() || a.is_broadcast() || a.is_multicast()
            }
            IpAddr::V6(a) => a.is_unspecified() || a.is_loopback() || a.is_multicast(),
        };
        if kept {
            return addr;
        }
        let flip = |bits: u128, width: u32| {
            (0..width).fold(0_u128, |out, place| {
                let prefix = bits >> (width - place - 1) >> 1;
                let bit = (bits >> (width - place - 1)) & 1;
                let flipped = u128::from(self.key.hash_one((width, place, prefix)) & 1);
                out << 1 | (bit ^ flipped)
            })
        };
        match addr {
            IpAddr::V4(a) => {
                let bits = flip(u128::from(a.to_bits()), 32);
                IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or_default()))
            }
            IpAddr::V6(a) => IpAddr::V6(Ipv6Addr::from_bits(flip(a.to_bits(), 128))),
        }
    }

    /// What stands for the users of mail addresses; their domains stay.
    fn users(&mut self, text: &str) -> String {
        let (mut out, mut rest) = (String::with_capacity(text.len()), text);
        while let Some((before, after)) = rest.split_once('@') {
            let (before, user) = before.split_at(before.trim_end_matches(is_of_user).len());
            out.push_str(before);
            let of_domain = |c: char| is_of_token(c) || c == '[';
            if user.is_empty() || !after.starts_with(of_domain) {
                out.push_str(user);
            } else {
                let number = self.users.len() + 1;
                let is = self.users.entry(user.to_lowercase());
                out.push_str(is.or_insert_with(|| format!("user-{number}")));
            }
            out.push('@');
            rest = after;
        }
        out.push_str(rest);
        out
    }

    /// A text: addresses and known names; with `domains`, also whatever looks like a domain name. Users of mail addresses
    /// in any.
    fn text(&mut self, text: &mut String, domains: bool) {
        if text.contains('@') {
            *text = self.users(text);
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let start = rest.find(is_of_token).unwrap_or(rest.len());
            let (before, from) = rest.split_at(start);
            out.push_str(before);
            let end = from.find(|c| !is_of_token(c)).unwrap_or(from.len());
            let (token, after) = from.split_at(end);
            out.push_str(&self.token(token, domains));
            rest = after;
        }
        *text = out;
    }

    fn token(&mut self, token: &str, domains: bool) -> String {
        let core = token.trim_end_matches(['.', ':', '-']);
        let tail = token.get(core.len()..).unwrap_or_default();
        if let Some(addr) = hardware_address(core) {
            let parted = if core.contains('-') { "-" } else { ":" };
            let is = self.hardware(addr).map(|o| format!("{o:02x}"));
            return format!("{}{tail}", is.join(parted));
        }
        if let Ok(addr) = core.parse::<IpAddr>() {
            return format!("{}{tail}", self.address(addr));
        }
        if let Some((addr, port)) = core.rsplit_once(':')
            && let Ok(addr) = addr.parse::<Ipv4Addr>()
        {
            return format!("{}:{port}{tail}", self.address(addr.into()));
        }
        // `mail.example:25` and `host:` hold a name each.
        if core.contains(':') {
            let parts: Vec<String> = core
                .split(':')
                .map(|part| self.word(part, domains))
                .collect();
            return format!("{}{tail}", parts.join(":"));
        }
        format!("{}{tail}", self.word(core, domains))
    }

    fn word(&mut self, word: &str, domains: bool) -> String {
        let lower = word.to_lowercase();
        let label = lower.split('.').next().unwrap_or_default();
        if self.domains.contains_key(&lower) {
            return self.domain(&lower);
        }
        let known = self.labels.contains_key(label)
            && lower
                .split_once('.')
                .is_none_or(|(_, d)| self.domains.contains_key(d));
        if known || (domains && !self.ids.contains(&lower) && looks_like_a_domain(&lower)) {
            return self.name(&lower);
        }
        word.to_owned()
    }

    fn texts<'a>(&mut self, texts: impl IntoIterator<Item = &'a mut String>, domains: bool) {
        for text in texts {
            self.text(text, domains);
        }
    }

    fn problems(&mut self, problems: &mut [Problem]) {
        self.texts(problems.iter_mut().map(|p| &mut p.text), true);
    }

    fn beside(&mut self, beside: &mut Beside) {
        for table in &mut beside.tables {
            self.texts(&mut table.text, true);
            self.texts(table.rows.iter_mut().flatten(), true);
        }
        match &mut beside.shape {
            None => {}
            Some(Shape::Comparison(comparison)) => {
                for flow in &mut comparison.flows {
                    self.texts([&mut flow.client, &mut flow.server], false);
                    self.texts(flow.right_ends.iter_mut().flatten(), false);
                }
            }
            Some(Shape::Verification(verification)) => {
                for pair in &mut verification.pairs {
                    self.texts(&mut pair.hosts, false);
                }
                self.text(&mut verification.text, true);
            }
        }
    }

    fn report(&mut self, report: &mut Report) {
        for (number, capture) in (1..).zip(&mut report.captures) {
            let ending: String = capture
                .format
                .chars()
                .take_while(char::is_ascii_alphanumeric)
                .collect();
            let path = std::mem::replace(&mut capture.path, format!("capture-{number}.{ending}"));
            for note in &mut report.notes {
                *note = note.replace(&path, &capture.path);
            }
            self.paths.push((path, capture.path.clone()));
            self.problems(&mut capture.problems);
            self.problems(&mut capture.comments);
        }
        for flow in &mut report.flows {
            self.flow(flow);
        }
        report.mail = mail::mail(&report.flows);
        for finding in &mut report.findings {
            self.text(&mut finding.summary, true);
            self.texts(
                finding
                    .hosts
                    .iter_mut()
                    .chain(&mut finding.subject)
                    .chain(&mut finding.peer),
                true,
            );
            self.texts(finding.evidence.iter_mut().map(|e| &mut e.text), true);
            self.texts(&mut finding.against, true);
            self.text(&mut finding.display_filter, false);
        }
        for remedy in &mut report.remediations {
            self.texts(
                [
                    &mut remedy.title,
                    &mut remedy.why,
                    &mut remedy.risk,
                    &mut remedy.applies_to,
                ],
                false,
            );
            self.texts(
                remedy
                    .unknown
                    .iter_mut()
                    .chain(&mut remedy.against)
                    .chain(&mut remedy.known),
                false,
            );
            for step in remedy
                .confirm
                .iter_mut()
                .chain(&mut remedy.fix)
                .chain(&mut remedy.undo)
            {
                let Step {
                    on,
                    only_if,
                    command,
                    expect,
                } = step;
                self.texts(on.iter_mut().chain([only_if, command, expect]), false);
            }
        }
        for step in report.plots.iter_mut().flat_map(|p| &mut p.steps) {
            self.texts([&mut step.name, &mut step.text], true);
        }
        self.beside(&mut report.beside);
        self.text(&mut report.verdict.text, true);
        self.texts(&mut report.notes, true);
        report.names = std::mem::take(&mut report.names)
            .into_iter()
            .map(|(mut addr, mut name)| {
                self.text(&mut addr, false);
                self.text(&mut name, true);
                (addr, name)
            })
            .collect();
    }

    fn flow(&mut self, flow: &mut Flow) {
        self.texts([&mut flow.client, &mut flow.server], false);
        if let Some(smtp) = &mut flow.smtp {
            let names = smtp
                .banner
                .iter_mut()
                .chain(&mut smtp.client_name)
                .chain(&mut smtp.server_name);
            self.texts(names.chain(&mut smtp.capabilities), true);
            self.texts(smtp.refusals.iter_mut().map(|r| &mut r.text), true);
            let hops = smtp.messages.iter_mut().flat_map(|m| &mut m.hops);
            let hosts = hops.flat_map(|hop| hop.by.iter_mut().chain(&mut hop.from));
            self.texts(hosts, true);
        }
        if let Some(smb) = &mut flow.smb {
            self.texts(&mut smb.server_name, true);
        }
    }
}

impl Mask for Redaction {
    fn ip(&mut self, addr: IpAddr) -> IpAddr {
        self.address(addr)
    }

    fn mac(&mut self, addr: [u8; 6]) -> [u8; 6] {
        self.hardware(addr)
    }
}

/// `02-bf-c0-00-02-01`, with colons too.
fn hardware_address(text: &str) -> Option<[u8; 6]> {
    let mut out = [0; 6];
    let mut parts = text.split([':', '-']);
    for octet in &mut out {
        let part = parts.next().filter(|p| p.len() == 2)?;
        *octet = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(out)
}

/// What host names are made of.
fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// What can stand before the `@` of a mail address, which is nearly anything (RFC 5321 section 4.1.2).
fn is_of_user(c: char) -> bool {
    !c.is_whitespace() && !"<>()[],;:\"@".contains(c)
}

/// What host names and addresses are made of.
fn is_of_token(c: char) -> bool {
    is_of_name(c) || c == ':'
}

/// At least two labels, the last one of letters alone, and long enough to be a top-level domain.
fn looks_like_a_domain(word: &str) -> bool {
    let Some((first, last)) = word.rsplit_once('.') else {
        return false;
    };
    last.len() >= 2
        && last.chars().all(char::is_alphabetic)
        && !first.is_empty()
        && !word.starts_with("tcp.")
        && first.chars().any(char::is_alphanumeric)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn redactor() -> Redaction {
        let mut redactor = Redaction {
            key: RandomState::new(),
            addresses: BTreeMap::new(),
            macs: BTreeMap::new(),
            paths: Vec::new(),
            labels: HashMap::new(),
            domains: HashMap::new(),
            users: HashMap::new(),
            ids: vec!["smtp.tarpit".to_owned()],
        };
        redactor.learn("HUB1.testdomain.com");
        redactor
    }

    #[test]
    fn names_and_domains() {
        for (name, text, domains, want) in [
            (
                "full name",
                "EHLO hub1.testdomain.com",
                true,
                "EHLO host-1.domain-1.example",
            ),
            ("label alone", "on Hub1: wait.", false, "on host-1: wait."),
            (
                "domain alone",
                "for testdomain.com.",
                false,
                "for domain-1.example.",
            ),
            (
                "other name",
                "220 mx.elsewhere.org hi",
                true,
                "220 host-2.domain-2.example hi",
            ),
            ("an id", "finding smtp.tarpit", true, "finding smtp.tarpit"),
            (
                "a status code",
                "421 4.4.2 dropped",
                true,
                "421 4.4.2 dropped",
            ),
            ("a command", "netsh.exe int tcp", false, "netsh.exe int tcp"),
            ("part of a word", "hub11 hub1x", true, "hub11 hub1x"),
            (
                "name and port",
                "hub1.testdomain.com:25",
                true,
                "host-1.domain-1.example:25",
            ),
        ] {
            let mut got = text.to_owned();
            redactor().text(&mut got, domains);
            assert_eq!(got, want, "{name}");
        }
    }

    #[test]
    fn hardware_addresses() {
        let mut redactor = redactor();
        let group = "01:00:5e:00:00:01 ff-ff-ff-ff-ff-ff";
        let mut text = format!("00-0c-29-12-34-56 00:0c:29:12:34:56 {group} at 12:34:56");
        redactor.text(&mut text, true);
        let words: Vec<&str> = text.split(' ').collect();
        assert!(text.ends_with(&format!("{group} at 12:34:56")), "{text}");
        assert_eq!(words[0].replace('-', ":"), words[1], "the same by the same");
        assert!(!text.contains("12-34-56 "), "{text}");
        // 02-bf-192.0.2.1: what stands for it holds what stands for that address.
        let was = [2, 0xbf, 192, 0, 2, 1];
        let IpAddr::V4(inner) = redactor.address("192.0.2.1".parse().unwrap()) else {
            panic!("another family");
        };
        assert_eq!(redactor.hardware(was)[..2], [2, 0xbf]);
        assert_eq!(redactor.hardware(was)[2..], inner.octets());
        let mut text = "<Ann.B+x@example.org> and ann.b+x@[192.0.2.1], a @ b".to_owned();
        redactor.text(&mut text, true);
        assert!(text.starts_with("<user-1@host-"), "{text}");
        assert!(
            text.contains(" user-1@[") && text.ends_with(", a @ b"),
            "{text}"
        );
        let mut key = Vec::new();
        redactor.write_key(&mut key).unwrap();
        let key = String::from_utf8(key).unwrap();
        for line in [
            format!("address\t192.0.2.1\t{inner}"),
            "host\thub1\thost-1".to_owned(),
        ] {
            assert!(key.contains(&line), "{key}");
        }
    }

    #[test]
    fn addresses_keep_their_prefixes() {
        let mut redactor = redactor();
        let mut octets = |text: &str| match text.parse().map(|a| redactor.address(a)) {
            Ok(IpAddr::V4(a)) => a.octets(),
            other => panic!("{other:?}"),
        };
        let (a, b, c) = (
            octets("192.168.24.34"),
            octets("192.168.24.35"),
            octets("192.168.15.63"),
        );
        assert_eq!(a[..3], b[..3], "one subnet");
        assert_ne!(a, b);
        assert_eq!(a[..2], c[..2]);
        assert_ne!(a[2], c[2]);
        assert_eq!(a, octets("192.168.24.34"), "the same by the same");
        let mut text = "from 192.168.24.34:25 to [2001:db8::1]:25, 127.0.0.1.".to_owned();
        redactor.text(&mut text, true);
        assert!(!text.contains("192.168.24.34") || a == [192, 168, 24, 34]);
        assert!(!text.contains("2001:db8::1"), "{text}");
        assert!(
            text.contains(":25 to [") && text.ends_with("127.0.0.1."),
            "{text}"
        );
    }
}
