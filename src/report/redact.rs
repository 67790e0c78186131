//! Replaces what names a host, a person or a place in a report, the same one always by the same.
//!
//! Takes:  a finished report
//! Gives:  the same report without anything that names a host
//! Never:  lets a word of others through that the program does not use itself; touches what rules say, but for addresses that findings name
//!
//! Texts are of three kinds. What rules say is ours: of it, only addresses that were put in are replaced. Sentences of findings and notes are
//! ours with others' words among them, and what was said on the wire is others': there a word stays where it is one of the program's own
//! (see `vocabulary`), and numbers do; names, addresses and domains are replaced each by its own, and what is left by its length. A name
//! that is one of our own words (`mail`, `switch`) is replaced where it stands for a host, and stays in a sentence.
//!
//! IP addresses keep their common prefixes (after Xu, Fan, Ammar, Moon, "Prefix-preserving IP address anonymization", 2002): two
//! hosts of one subnet stay so. The key is made anew for each run, so two reports cannot be joined.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::beside::{Beside, Shape};
use super::escape;
use super::mail;
use super::model::{Finding, Flow, Problem, Remedy, Report, Step};
use super::vocabulary;
use crate::decode::Mask;
use crate::net::MacAddr;
use crate::proto::smtp::records::ADDRESS_SIGNS;

/// Addresses of a kind that the key remembers.
const MAX_KEYS: usize = 1_000_000;

/// Endings of files, which are no top-level domains.
const FILES: [&str; 14] = [
    "cap", "conf", "csv", "etl", "gz", "json", "log", "netmon", "pcap", "pcapng", "snoop", "toml",
    "txt", "xz",
];

/// Digits in a row that stay in what others said: sizes and codes have so many, telephone numbers and tickets more.
const LONGEST_NUMBER: usize = 4;

/// Replaces what names a host. What is returned replaces the same elsewhere by the same, and knows what stands for what.
pub fn redact(report: &mut Report) -> Redaction {
    let mut redaction = Redaction::new(report, RandomState::new());
    redaction.report(report);
    redaction
}

/// What stands for what.
#[derive(Debug, Default)]
pub struct Redaction {
    key: RandomState,
    /// Addresses replaced so far, and paths, for whoever wants the key.
    addresses: BTreeMap<IpAddr, IpAddr>,
    macs: BTreeMap<[u8; 6], [u8; 6]>,
    /// Replacements that the key has no room for; an address counts each time.
    unkept: u64,
    paths: Vec<(String, String)>,
    /// Labels of hosts, in lower case, and what stands for them.
    labels: HashMap<String, String>,
    /// Domains, likewise.
    domains: HashMap<String, String>,
    /// What stands before the `@` of mail addresses, likewise.
    users: HashMap<String, String>,
    /// Ids that look like domains.
    ids: Vec<String>,
    /// Addresses that stand for hosts: only these are replaced in what rules say, where four numbers may be a version.
    hosts: HashSet<IpAddr>,
    /// Long numbers that others said: our own sentences repeat some.
    numbers: HashSet<String>,
}

/// Whose words a text is made of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Words {
    /// A rule's: addresses of hosts were put in.
    Rule,
    /// Wireshark's: addresses and ports.
    Filter,
    /// Ours, with others' among them.
    Ours,
    /// Others': long numbers may name somebody, too.
    Others,
}

impl Redaction {
    fn new(report: &Report, key: RandomState) -> Self {
        let mut redactor = Self {
            key,
            ids: report.findings.iter().map(|f| f.id.clone()).collect(),
            ..Self::default()
        };
        let smtp = report.flows.iter().filter_map(|f| f.smtp.as_ref());
        let said = smtp.flat_map(|s| [&s.client_name, &s.server_name]);
        let smb = report.flows.iter().filter_map(|f| f.smb.as_ref());
        let names = report.names.values().chain(said.flatten());
        let names: Vec<&String> = names
            .chain(smb.filter_map(|s| s.server_name.as_ref()))
            .collect();
        for name in names {
            redactor.learn(name);
        }
        redactor
    }

    /// Takes in a name that is known to be a host's.
    fn learn(&mut self, name: &str) {
        if is_of_host(name) {
            self.name(name.trim_matches('.'));
        }
    }

    /// What is said to be the name of a host: its name, its address, or whatever it sent in place of one.
    fn called(&mut self, name: &mut String) {
        if is_of_host(name) {
            *name = self.name(name.trim_matches('.'));
        } else {
            self.text(name, Words::Others);
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
        if self.unkept > 0 {
            writeln!(
                out,
                "# left out: {} replacements of further addresses",
                self.unkept
            )?;
        }
        Ok(())
    }

    /// What stands for an address, remembered for the key.
    fn address(&mut self, addr: IpAddr) -> IpAddr {
        let is = self.masked(addr);
        self.unkept += u64::from(!keep(&mut self.addresses, addr, is));
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
        self.unkept += u64::from(!keep(&mut self.macs, addr, is));
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
        while let Some((at, sign)) = address_sign(rest) {
            let (before, after) = (&rest[..at], &rest[at + sign.len()..]);
            let (before, user) = before.split_at(before.trim_end_matches(is_of_user).len());
            out.push_str(before);
            let of_domain = |c: char| is_of_token(c) || c == '[';
            let domain = after.split(char::is_whitespace).next();
            let coded = sign != "@" && !domain.is_some_and(|domain| domain.contains('.'));
            if user.is_empty() || coded || !after.starts_with(of_domain) {
                out.push_str(user);
            } else {
                let number = self.users.len() + 1;
                let is = self.users.entry(user.to_lowercase());
                out.push_str(is.or_insert_with(|| format!("user-{number}")));
            }
            out.push_str(sign);
            rest = after;
        }
        out.push_str(rest);
        out
    }

    /// A text, word by word. What is left of several words in a row is told by its length alone.
    fn text(&mut self, text: &mut String, words: Words) {
        if address_sign(text).is_some() {
            *text = self.users(text);
        }
        let mut out = String::with_capacity(text.len());
        // Blanks before the word, and what could not be told of the words before it.
        let (mut blanks, mut untold) = (String::new(), None::<(String, usize, String)>);
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let end = rest
                .find(|c: char| !c.is_whitespace())
                .unwrap_or(rest.len());
            let (space, from) = rest.split_at(end);
            let end = from.find(char::is_whitespace).unwrap_or(from.len());
            let (chunk, after) = from.split_at(end);
            rest = after;
            blanks.push_str(space);
            match self.chunk(chunk, words) {
                Some(told) => {
                    if let Some((before, length, behind)) = untold.take() {
                        let _ = write!(out, "{before}‹text of {length} characters›{behind}");
                    }
                    out.push_str(&std::mem::take(&mut blanks));
                    out.push_str(&told);
                }
                None => {
                    let core = chunk.trim_matches(is_around);
                    let (head, tail) = chunk.split_once(core).unwrap_or_default();
                    let length = core.chars().count();
                    untold = Some(match untold.take() {
                        None => (
                            format!("{}{head}", std::mem::take(&mut blanks)),
                            length,
                            tail.to_owned(),
                        ),
                        Some((before, sum, behind)) => {
                            let between = [&*behind, &*std::mem::take(&mut blanks), head];
                            let between: usize = between.iter().map(|s| s.chars().count()).sum();
                            (before, sum + between + length, tail.to_owned())
                        }
                    });
                }
            }
        }
        if let Some((before, length, behind)) = untold {
            let _ = write!(out, "{before}‹text of {length} characters›{behind}");
        }
        out.push_str(&blanks);
        *text = out;
    }

    /// What stands between two blanks; `None` where some of it may name somebody.
    fn chunk(&mut self, chunk: &str, words: Words) -> Option<String> {
        let mut out = String::with_capacity(chunk.len());
        let mut rest = chunk;
        while !rest.is_empty() {
            let start = rest.find(is_of_token).unwrap_or(rest.len());
            let (before, from) = rest.split_at(start);
            out.push_str(before);
            let end = from.find(|c| !is_of_token(c)).unwrap_or(from.len());
            let (token, after) = from.split_at(end);
            out.push_str(&self.token(token, words)?);
            rest = after;
        }
        Some(out)
    }

    fn token(&mut self, token: &str, words: Words) -> Option<String> {
        let core = token.trim_end_matches(['.', ':', '-']);
        let tail = token.get(core.len()..).unwrap_or_default();
        if let Some(addr) = hardware_address(core) {
            let parted = if core.contains('-') { "-" } else { ":" };
            let is = self.hardware(addr).map(|o| format!("{o:02x}"));
            return Some(format!("{}{tail}", is.join(parted)));
        }
        if let Ok(addr) = core.parse::<IpAddr>() {
            return Some(format!("{}{tail}", self.told(addr, words)));
        }
        if let Some((addr, port)) = core.rsplit_once(':')
            && let Ok(addr) = addr.parse::<Ipv4Addr>()
        {
            return Some(format!("{}:{port}{tail}", self.told(addr.into(), words)));
        }
        // `GreetPause:192.0.2.1`; and IPv6 has colons of its own.
        let behind = core.match_indices(':').find_map(|(at, _)| {
            let (before, from) = core.split_at(at);
            Some((before, from.strip_prefix(':')?.parse().ok()?))
        });
        let (core, tail) = match behind {
            Some((before, addr)) => (before, format!(":{}{tail}", self.told(addr, words))),
            None => (core, tail.to_owned()),
        };
        if matches!(words, Words::Rule | Words::Filter) {
            return Some(format!("{core}{tail}"));
        }
        // `mail.example:25` and `host:` hold a name each.
        let parts: Option<Vec<String>> = core.split(':').map(|p| self.word(p, words)).collect();
        Some(format!("{}{tail}", parts?.join(":")))
    }

    /// What stands for an address in a text of this kind.
    fn told(&mut self, addr: IpAddr, words: Words) -> IpAddr {
        match words {
            Words::Rule if !self.hosts.contains(&addr) => return addr,
            Words::Filter if self.hosts.len() < MAX_KEYS => {
                self.hosts.insert(addr);
            }
            _ => {}
        }
        self.address(addr)
    }

    /// A word; `None` where it is neither ours, nor a number, nor a name that something can stand for.
    fn word(&mut self, word: &str, words: Words) -> Option<String> {
        if is_stand_in(word) {
            return Some(word.to_owned());
        }
        let lower = word.to_lowercase();
        if self.domains.contains_key(&lower) {
            return Some(self.domain(&lower));
        }
        let (label, domain) = lower.split_once('.').unwrap_or((&lower, ""));
        // A name with a number is no word, though the documentation may have the like of it.
        let is_word = vocabulary::knows(label) && !label.contains(|c: char| c.is_ascii_digit());
        let named = self.labels.contains_key(label)
            && (self.domains.contains_key(domain) || (domain.is_empty() && !is_word));
        let is_domain = !self.ids.contains(&lower) && looks_like_a_domain(&lower);
        if named || is_domain {
            return Some(self.name(&lower));
        }
        let long = long_numbers(word);
        if words == Words::Others {
            let room = MAX_KEYS.saturating_sub(self.numbers.len());
            self.numbers.extend(long.take(room).map(str::to_owned));
        } else if long.into_iter().any(|n| self.numbers.contains(n)) {
            return None;
        }
        (is_ours(word) || is_number(word, words) || self.ids.contains(&lower))
            .then(|| word.to_owned())
    }

    fn texts<'a>(&mut self, texts: impl IntoIterator<Item = &'a mut String>, words: Words) {
        for text in texts {
            self.text(text, words);
        }
    }

    fn beside(&mut self, beside: &mut Beside) {
        for table in &mut beside.tables {
            self.texts(&mut table.text, Words::Ours);
            self.texts(table.rows.iter_mut().flatten(), Words::Ours);
        }
        for trend in &mut beside.trends {
            self.text(&mut trend.title, Words::Ours);
            self.texts(trend.lines.iter_mut().map(|(name, _)| name), Words::Ours);
        }
        match &mut beside.shape {
            None => {}
            Some(Shape::Comparison(comparison)) => {
                for flow in &mut comparison.flows {
                    self.texts([&mut flow.client, &mut flow.server], Words::Filter);
                    self.texts(flow.right_ends.iter_mut().flatten(), Words::Filter);
                }
            }
            Some(Shape::Verification(verification)) => {
                for pair in &mut verification.pairs {
                    self.texts(&mut pair.hosts, Words::Filter);
                }
                self.text(&mut verification.text, Words::Ours);
            }
        }
    }

    /// Hosts come first, as rules name only these; then what rules quote of findings, as it was.
    fn report(&mut self, report: &mut Report) {
        for flow in &mut report.flows {
            self.flow(flow);
        }
        report.mail = mail::mail(&report.flows);
        let servers = report.services.iter_mut().flat_map(|s| &mut s.servers);
        self.texts(servers.map(|s| &mut s.server), Words::Filter);
        let was: Vec<Finding> = report.findings.clone();
        for finding in &mut report.findings {
            self.finding(finding);
        }
        for remedy in &mut report.remediations {
            self.remedy(remedy, &was, &report.findings);
        }
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
            self.problems(&mut capture.problems, Words::Ours);
            self.problems(&mut capture.comments, Words::Others);
        }
        for step in report.plots.iter_mut().flat_map(|p| &mut p.steps) {
            self.texts([&mut step.name, &mut step.text], Words::Others);
        }
        self.beside(&mut report.beside);
        self.text(&mut report.verdict.text, Words::Ours);
        self.texts(&mut report.notes, Words::Ours);
        report.names = std::mem::take(&mut report.names)
            .into_iter()
            .map(|(mut addr, mut name)| {
                self.text(&mut addr, Words::Filter);
                self.called(&mut name);
                (addr, name)
            })
            .collect();
    }

    fn problems(&mut self, problems: &mut [Problem], words: Words) {
        self.texts(problems.iter_mut().map(|p| &mut p.text), words);
    }

    fn finding(&mut self, finding: &mut Finding) {
        self.texts(
            finding
                .hosts
                .iter_mut()
                .chain(&mut finding.subject)
                .chain(&mut finding.peer)
                .chain([&mut finding.display_filter]),
            Words::Filter,
        );
        self.text(&mut finding.summary, Words::Ours);
        self.texts(
            finding.evidence.iter_mut().map(|e| &mut e.text),
            Words::Ours,
        );
        self.texts(&mut finding.against, Words::Ours);
    }

    /// `was` and `is`: the findings before and after.
    fn remedy(&mut self, remedy: &mut Remedy, was: &[Finding], is: &[Finding]) {
        let cited: Vec<(&Finding, &Finding)> = remedy
            .findings
            .iter()
            .filter_map(|at| was.get(*at).zip(is.get(*at)))
            .collect();
        let steps = || remedy.confirm.iter().chain(&remedy.fix).chain(&remedy.undo);
        let hosts: Vec<IpAddr> = steps()
            .filter_map(|step| step.on.as_ref()?.parse().ok())
            .collect();
        for host in hosts {
            self.told(host, Words::Filter);
        }
        for text in &mut remedy.against {
            let pairs = cited.iter();
            let of_finding = pairs
                .flat_map(|(was, is)| was.against.iter().zip(&is.against))
                .find(|(was, _)| *was == text);
            match of_finding {
                Some((_, is)) => text.clone_from(is),
                None => self.text(text, Words::Ours),
            }
        }
        // Files of facts are named there.
        self.texts(&mut remedy.known, Words::Ours);
        self.texts(&mut remedy.unknown, Words::Rule);
        let texts = [&mut remedy.title, &mut remedy.risk, &mut remedy.applies_to];
        self.texts(texts, Words::Rule);
        let quoted = cited.iter().find_map(|(was, is)| {
            let (before, after) = remedy.why.split_once(&was.summary)?;
            Some((before.to_owned(), is.summary.clone(), after.to_owned()))
        });
        let (mut before, quoted, mut after) = quoted.unwrap_or_else(|| {
            (
                std::mem::take(&mut remedy.why),
                String::new(),
                String::new(),
            )
        });
        self.texts([&mut before, &mut after], Words::Rule);
        remedy.why = before + &quoted + &after;
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
            self.texts(on.iter_mut().chain([only_if, command, expect]), Words::Rule);
        }
    }

    fn flow(&mut self, flow: &mut Flow) {
        self.texts([&mut flow.client, &mut flow.server], Words::Filter);
        self.texts(&mut flow.encapsulation, Words::Ours);
        if let Some(smtp) = &mut flow.smtp {
            let hops = smtp.messages.iter_mut().flat_map(|m| &mut m.hops);
            let hosts = hops.flat_map(|hop| hop.by.iter_mut().chain(&mut hop.from));
            for name in hosts
                .chain(&mut smtp.client_name)
                .chain(&mut smtp.server_name)
            {
                self.called(name);
            }
            let refused = smtp
                .refusals
                .iter_mut()
                .flat_map(|r| [&mut r.verb, &mut r.text]);
            let said = smtp.banner.iter_mut().chain(&mut smtp.capabilities);
            self.texts(said.chain(refused), Words::Others);
            let mut commands = BTreeMap::<Cow<str>, u64>::new();
            for (verb, count) in std::mem::take(&mut smtp.commands) {
                let mut verb = verb.into_owned();
                self.text(&mut verb, Words::Others);
                *commands.entry(verb.into()).or_default() += count;
            }
            smtp.commands = commands.into_iter().collect();
        }
        if let Some(name) = flow.smb.as_mut().and_then(|smb| smb.server_name.as_mut()) {
            self.called(name);
        }
    }
}

/// Remembers what stands for something; `false` where there is no room.
fn keep<K: Ord>(key: &mut BTreeMap<K, K>, was: K, is: K) -> bool {
    let room = key.len() < MAX_KEYS || key.contains_key(&was);
    if room {
        key.insert(was, is);
    }
    room
}

impl Mask for Redaction {
    fn ip(&mut self, addr: IpAddr) -> IpAddr {
        self.address(addr)
    }

    fn mac(&mut self, addr: [u8; 6]) -> [u8; 6] {
        self.hardware(addr)
    }
}

/// Where a text has the first sign of a mail address, and which.
fn address_sign(text: &str) -> Option<(usize, &'static str)> {
    let found = ADDRESS_SIGNS
        .iter()
        .filter_map(|sign| Some((text.find(sign)?, *sign)));
    found.min()
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

/// Whether a text can be one host's name. A bare number, or an address, is none.
fn is_of_host(name: &str) -> bool {
    let name = name.trim_matches('.');
    name.len() > 1
        && name.chars().all(is_of_name)
        && name.contains(char::is_alphabetic)
        && name.parse::<IpAddr>().is_err()
}

/// What can stand before the `@` of a mail address, which is nearly anything (RFC 5321 section 4.1.2).
fn is_of_user(c: char) -> bool {
    !c.is_whitespace() && !"<>()[],;:\"@".contains(c)
}

/// What host names and addresses are made of.
fn is_of_token(c: char) -> bool {
    is_of_name(c) || c == ':'
}

/// What stands around words, and is no part of them.
fn is_around(c: char) -> bool {
    "()[]{}<>\"'“”‘’,;:.!?".contains(c)
}

/// Whether a word is one of the program's own, or made of several: `tail-loss`. Pieces with numbers among them are none: `ip-10-9-8-7`.
fn is_ours(word: &str) -> bool {
    word.chars().count() < 2
        || vocabulary::knows(word)
        || word.split(['-', '_', '.']).all(|part| {
            part.is_empty() || (part.chars().all(char::is_alphabetic) && vocabulary::knows(part))
        })
}

/// Whether it is what this file puts in place of a name: `host-3.domain-1.example`, `capture-1.pcap`.
fn is_stand_in(word: &str) -> bool {
    let numbered = |part: &str, kind: &str| {
        let number = part
            .strip_prefix(kind)
            .and_then(|rest| rest.strip_prefix('-'));
        number
            .is_some_and(|n| !n.is_empty() && n.len() < 8 && n.chars().all(|c| c.is_ascii_digit()))
    };
    let parts: Vec<&str> = word.split('.').collect();
    match parts[..] {
        [one] => numbered(one, "host") || numbered(one, "user"),
        [domain, "example"] => numbered(domain, "domain"),
        [host, domain, "example"] => numbered(host, "host") && numbered(domain, "domain"),
        [capture, ending] => numbered(capture, "capture") && FILES.contains(&ending),
        _ => false,
    }
}

/// Numbers that are longer than those of others may be.
fn long_numbers(word: &str) -> impl Iterator<Item = &str> {
    word.split(|c: char| !c.is_ascii_digit())
        .filter(|digits| digits.len() > LONGEST_NUMBER)
}

/// Numbers, times, spans and versions: digits, with a unit behind them. Of others, only short ones.
fn is_number(word: &str, words: Words) -> bool {
    let Some(first) = word.find(|c: char| c.is_ascii_digit()) else {
        return word.chars().all(|c| !c.is_alphanumeric());
    };
    if words == Words::Others && long_numbers(word).next().is_some() {
        return false;
    }
    let unit = word.trim_start_matches(|c: char| c.is_ascii_digit() || "-_.".contains(c));
    let hex = word.strip_prefix("0x");
    (first == 0 || word.starts_with(['-', '.']))
        && (unit.is_empty()
            || unit.chars().count() <= 2
            || (unit.chars().all(char::is_alphabetic) && vocabulary::knows(unit)))
        || hex.is_some_and(|hex| hex.len() <= 8 && hex.chars().all(|c| c.is_ascii_hexdigit()))
}

/// At least two labels, the last one of letters alone, and long enough to be a top-level domain.
fn looks_like_a_domain(word: &str) -> bool {
    let Some((first, last)) = word.rsplit_once('.') else {
        return false;
    };
    last.len() >= 2
        && !FILES.contains(&last)
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
            ids: vec!["smtp.tarpit".to_owned()],
            ..Redaction::default()
        };
        redactor.learn("HUB1.testdomain.com");
        redactor
    }

    #[test]
    fn words_of_each_kind() {
        use Words::{Filter, Others, Ours, Rule};
        for (name, text, words, want) in [
            (
                "full name",
                "EHLO hub1.testdomain.com",
                Others,
                "EHLO host-1.domain-1.example",
            ),
            ("label alone", "on Hub1: wait.", Ours, "on host-1: wait."),
            (
                "domain alone",
                "for testdomain.com.",
                Ours,
                "for domain-1.example.",
            ),
            ("a name in a rule", "hub1 switch", Rule, "hub1 switch"),
            (
                "other name",
                "220 mx.elsewhere.org hola",
                Others,
                "220 host-3.domain-2.example ‹text of 4 characters›",
            ),
            ("an id", "finding smtp.tarpit", Ours, "finding smtp.tarpit"),
            (
                "a status code",
                "421 4.4.2 dropped",
                Others,
                "421 4.4.2 dropped",
            ),
            ("a command", "netsh.exe int tcp", Rule, "netsh.exe int tcp"),
            (
                "part of a word",
                "hub11 hub1x",
                Ours,
                "‹text of 11 characters›",
            ),
            (
                "name and port",
                "hub1.testdomain.com:25",
                Ours,
                "host-1.domain-1.example:25",
            ),
            (
                "a name that is a word",
                "the switch of mail",
                Ours,
                "the switch of mail",
            ),
            (
                "the same, whole",
                "mail.testdomain.com",
                Ours,
                "host-2.domain-1.example",
            ),
            (
                "several others' words",
                "from zorro@x.zorro.org, (Zorro Zabel) here",
                Others,
                "from user-1@host-3.domain-2.example, (‹text of 11 characters›) here",
            ),
            (
                "a name with numbers",
                "host=ip-10-9-8-7 failed",
                Others,
                "‹text of 16 characters› failed",
            ),
            (
                "a machine's account",
                "from zaphod$ connection",
                Others,
                "from ‹text of 7 characters› connection",
            ),
            (
                "a share",
                r"\\zaphod\share denied",
                Others,
                "‹text of 14 characters› denied",
            ),
            (
                "a path",
                "left out: /var/zaphod/a.pcap is a folder",
                Ours,
                "left out: ‹text of 18 characters› is a folder",
            ),
            (
                "a file of facts",
                "netsh.txt line 3",
                Ours,
                "netsh.txt line 3",
            ),
            (
                "a ticket",
                "ticket 47110815",
                Others,
                "ticket ‹text of 8 characters›",
            ),
            (
                "our numbers",
                "frame 47110815, 1,234.5 ms 41.2% 3x 0xC0000022",
                Ours,
                "frame 47110815, 1,234.5 ms 41.2% 3x 0xC0000022",
            ),
            (
                "what stands for names",
                "host-7 capture-1.pcap",
                Ours,
                "host-7 capture-1.pcap",
            ),
            ("blanks", " the  same\t", Ours, " the  same\t"),
            (
                "a version",
                "device 4.6.16.0 first",
                Rule,
                "device 4.6.16.0 first",
            ),
            (
                "in a filter",
                "tcp.port == 25 && zaphod",
                Filter,
                "tcp.port == 25 && zaphod",
            ),
        ] {
            let mut got = text.to_owned();
            let mut redactor = redactor();
            redactor.learn("mail.testdomain.com");
            redactor.text(&mut got, words);
            assert_eq!(got, want, "{name}");
        }
    }

    #[test]
    fn rules_name_hosts_only() {
        let mut redactor = redactor();
        let rule = "the peer 192.0.2.1 runs 5.0.13.0";
        let mut text = rule.to_owned();
        redactor.text(&mut text, Words::Rule);
        assert_eq!(text, rule, "neither is known to be a host's");
        let mut said = "at 192.0.2.1 or 5.0.13.0".to_owned();
        redactor.text(&mut said, Words::Others);
        assert!(!said.contains("192.0.2.1") && !said.contains("5.0.13.0"));
        redactor.text(
            &mut "192.0.2.1:25 [2001:db8::1]:25".to_owned(),
            Words::Filter,
        );
        for entry in ["GreetPause:192.0.2.1 0", "GreetPause:2001:db8::1 0"] {
            let mut text = entry.to_owned();
            redactor.text(&mut text, Words::Rule);
            let is = text.strip_prefix("GreetPause:").unwrap();
            assert!(is.ends_with(" 0") && !entry.ends_with(is), "{text}");
        }
        redactor.text(&mut text, Words::Rule);
        assert!(
            !text.contains("192.0.2.1") && text.ends_with("runs 5.0.13.0"),
            "{text}"
        );
    }

    #[test]
    fn hardware_addresses() {
        let mut redactor = redactor();
        let group = "01:00:5e:00:00:01 ff-ff-ff-ff-ff-ff";
        let mut text = format!("00-0c-29-12-34-56 00:0c:29:12:34:56 {group} at 12:34:56");
        redactor.text(&mut text, Words::Ours);
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
        redactor.text(&mut text, Words::Ours);
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
        redactor.text(&mut text, Words::Ours);
        assert!(!text.contains("192.168.24.34") || a == [192, 168, 24, 34]);
        assert!(!text.contains("2001:db8::1"), "{text}");
        assert!(
            text.contains(":25 to [") && text.ends_with("127.0.0.1."),
            "{text}"
        );
    }
}
