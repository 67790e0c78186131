//! Facts stage: what the hosts say of themselves in, named facts with their source out.
//!
//! Takes:  text of `netsh`, `Get-Net*`, `ethtool`, `postconf`, …, in any mix and encoding; Exchange's logs
//! Gives:  [`Facts`]: each with the line that it came from; and the lines that were not understood
//! Never:  guesses; runs anything
//!
//! [`read`] cuts the text at prompts and markers and offers every line to the parsers of one table in turn. A
//! parser says how many lines it has understood, 0 if none. What a parser tells of the first lines of a text, it tells
//! of the whole: a text that breaks off yields fewer facts, never others.

use std::borrow::Cow;

mod bonding;
mod chimneystats;
mod cisco;
mod collect;
mod context;
mod derive;
mod ethtool;
pub mod logs;
pub mod names;
mod netsh_tcp;
mod netstat;
mod nstat;
mod postconf;
mod powershell_list;
mod powershell_table;
mod records;
mod reg;
mod sysctl;
mod system;
mod testparm;
#[cfg(test)]
mod tests;
mod text;
mod value;
mod wmic;

pub use collect::{Os, collect_script};
pub use derive::derive;
pub use names::NAMES;
pub use value::day;

use context::Section;
use text::Line;

/// Facts kept in all; more are one text gone wrong.
const MAX_FACTS: usize = 1 << 18;
/// Lines kept that were not understood.
const MAX_NOT_UNDERSTOOD: usize = 1 << 14;

/// One fact of one host.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fact {
    /// Host as named by the user (`--facts HOST=FILE`), or in the text itself; `None`: not said.
    pub host: Option<String>,
    /// Name: `os`, `nic.chimney`, `nic.driver.version`, `exchange.version`, …; all of them stand in [`NAMES`].
    pub name: String,
    /// Adapter, team, connector, queue, … that it holds for; `None`: the whole host, or not said.
    pub subject: Option<String>,
    /// Value in lower case: `disabled`, `ws2008r2`, `2.8.13.0`, …
    pub value: String,
    /// Not said in so many words but following from what was said (`os` from the rows of a table, perhaps as a range
    /// `ws2022..ws2025`; a virtual machine from its adapter; a driver's age).
    pub inferred: bool,
    /// Where it came from: file and line number, from 1, and the line itself (hostile).
    pub file: String,
    /// Line number.
    pub line: usize,
    /// The line.
    pub text: String,
}

/// All facts given, and what was not understood.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts {
    /// In order of reading.
    pub facts: Vec<Fact>,
    /// Lines that no parser understood: file, number, and what they are about (hostile), without what they say of it.
    pub not_understood: Vec<(String, usize, String)>,
    /// What was left out because a limit was reached, in sentences.
    pub left_out: Vec<String>,
}

/// A fact as a parser finds it.
struct Found {
    name: Cow<'static, str>,
    value: String,
    subject: Option<String>,
    /// Index of its line in the section.
    line: usize,
    /// What may be shown of that line; `None`: all of it.
    shown: Option<String>,
    inferred: bool,
}

impl Found {
    fn new(name: impl Into<Cow<'static, str>>, value: impl Into<String>, line: usize) -> Self {
        Self {
            name: name.into(),
            value: value.into(),
            subject: None,
            line,
            shown: None,
            inferred: false,
        }
    }
}

/// Where parsers put what they find.
#[derive(Default)]
struct Sink {
    found: Vec<Found>,
    not_understood: Vec<usize>,
    host: Option<String>,
}

impl Sink {
    fn fact(&mut self, found: Found) {
        self.found.push(found);
    }

    /// A line within a known output that has no meaning here.
    fn not_understood(&mut self, line: usize) {
        self.not_understood.push(line);
    }

    /// The host is a virtual machine of this hypervisor; `none`: it is none.
    fn hypervisor(&mut self, name: &str, line: usize, inferred: bool) {
        let on = if name == "none" { "false" } else { "true" };
        let mut fact = |fact: &'static str, value: &str| {
            self.fact(Found {
                inferred,
                ..Found::new(fact, value, line)
            });
        };
        fact("virtual", on);
        if on == "true" {
            fact("virtual.hypervisor", name);
        }
    }

    /// The text names its host.
    fn host(&mut self, name: String) {
        self.host = Some(name);
    }
}

/// Reads what stands at a line of a section; returns the number of lines understood.
type Parser = fn(&Section<'_>, usize, &mut Sink) -> usize;

/// All parsers, the stricter first.
const PARSERS: &[(&str, Parser)] = &[
    ("netsh int tcp", netsh_tcp::read),
    ("chimneystats", chimneystats::read),
    ("reg query", reg::read),
    ("bonding", bonding::read),
    ("ethtool", ethtool::read),
    ("show interfaces", cisco::read),
    ("nstat", nstat::read),
    ("netstat -s", netstat::read),
    ("sysctl", sysctl::read),
    ("testparm", testparm::read),
    ("postconf", postconf::read),
    ("Format-List", powershell_list::read),
    ("Format-Table", powershell_table::read),
    ("wmic", wmic::read),
    ("system", system::read),
];

/// What [`read`] knows, in words.
pub const KNOWN: &str = "outputs of netsh, of Get-Net*, Get-Smb*, Get-ReceiveConnector and other cmdlets, reg query, wmic, ethtool, sysctl, \
nstat, netstat -s, postconf, testparm and show interfaces, and what `tcptriage collect` gathers";

/// Reads a text with any mix of outputs into `into`. Returns the number of lines understood: where it is 0, the text is none
/// of [`KNOWN`].
///
/// The host is the one given; else the one that the text names, from where it names it. A text that names a second host
/// holds several, and then each host's part is its own.
pub fn read(host: Option<&str>, file_name: &str, octets: &[u8], into: &mut Facts) -> usize {
    let lines = text::lines(octets);
    into.left_out
        .extend(text::unread(file_name, octets, &lines));
    let mut hosts = Hosts {
        given: host.map(str::to_owned),
        ..Hosts::default()
    };
    let mut understood = 0;
    let mut from = 0;
    let mut command = String::new();
    while from <= lines.len() {
        let echo = |at: usize| lines.get(at).and_then(|line| context::echo(&line.text));
        let end = (from..lines.len())
            .find(|at| echo(*at).is_some())
            .unwrap_or(lines.len());
        let section = Section {
            command: command.to_lowercase(),
            typed: command,
            lines: lines.get(from..end).unwrap_or_default(),
            ended: end < lines.len(),
        };
        understood += read_section(&section, &mut hosts, file_name, into);
        let echo = echo(end).unwrap_or_default();
        if let Some(name) = echo.host {
            hosts.seen(name);
        }
        command = echo.command;
        from = end + 1;
    }
    understood
}

/// Which host the lines speak of.
#[derive(Default)]
struct Hosts {
    given: Option<String>,
    first: Option<String>,
    current: Option<String>,
}

impl Hosts {
    fn seen(&mut self, name: String) {
        let several = self
            .first
            .as_ref()
            .is_some_and(|first| !first.eq_ignore_ascii_case(&name));
        if several {
            self.given = None;
        }
        self.first.get_or_insert_with(|| name.clone());
        self.current = Some(name);
    }

    fn now(&self) -> Option<String> {
        self.given.clone().or_else(|| self.current.clone())
    }
}

/// Reads what stands between two echoes; returns the number of lines understood.
fn read_section(section: &Section<'_>, hosts: &mut Hosts, file: &str, into: &mut Facts) -> usize {
    let mut all = 0;
    let mut at = 0;
    while let Some(line) = section.lines.get(at) {
        if line.text.trim().is_empty() {
            at += 1;
            continue;
        }
        let mut sink = Sink::default();
        let understood = PARSERS.iter().find_map(|(_, parser)| {
            let lines = parser(section, at, &mut sink);
            if lines == 0 {
                sink = Sink::default();
            }
            (lines > 0).then_some(lines)
        });
        if let Some(name) = sink.host.take() {
            hosts.seen(name);
        }
        if understood.is_none() {
            sink.not_understood.push(at);
        }
        take(section, sink, hosts, file, into);
        all += understood.unwrap_or(0);
        at += understood.unwrap_or(1);
    }
    all
}

fn take(section: &Section<'_>, mut sink: Sink, hosts: &Hosts, file: &str, into: &mut Facts) {
    let line = |index: usize| {
        section.lines.get(index).cloned().unwrap_or(Line {
            number: 0,
            text: String::new(),
        })
    };
    sink.found.sort_by_key(|found| found.line);
    for found in sink.found {
        if into.facts.len() >= MAX_FACTS {
            left_out(into, format!("only the first {MAX_FACTS} facts were kept"));
            break;
        }
        let Line { number, text } = line(found.line);
        into.facts.push(Fact {
            host: hosts.now(),
            name: found.name.into_owned(),
            subject: found.subject,
            value: found.value,
            inferred: found.inferred,
            file: file.to_owned(),
            line: number,
            text: found.shown.unwrap_or(text),
        });
    }
    for index in sink.not_understood {
        if into.not_understood.len() >= MAX_NOT_UNDERSTOOD {
            left_out(
                into,
                format!(
                    "only the first {MAX_NOT_UNDERSTOOD} lines that were not understood are listed"
                ),
            );
            break;
        }
        let Line { number, text } = line(index);
        let text = name_of(&text);
        into.not_understood.push((file.to_owned(), number, text));
    }
}

/// What a line that nobody understands is about, as what it says of that may be a password: up to its `=` or `:`, or its first word.
fn name_of(line: &str) -> String {
    let sign = line.find(['=', ':']).map(|at| at + 1);
    let words = line.trim_start();
    let end = sign.or_else(|| Some(line.len() - words.len() + words.find(' ')?));
    match end.and_then(|end| line.split_at_checked(end)) {
        Some((name, rest)) if !rest.trim().is_empty() => format!("{} …", name.trim_end()),
        _ => line.to_owned(),
    }
}

fn left_out(into: &mut Facts, sentence: String) {
    if !into.left_out.contains(&sentence) {
        into.left_out.push(sentence);
    }
}
