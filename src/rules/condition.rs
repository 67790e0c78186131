//! Conditions of rules: over findings, their measures and words, and over facts of hosts; with three answers.
//!
//! Takes:  a [`Condition`], the findings, one host and its peer, and what is known of both
//! Gives:  [`Truth`], which condition could not be answered, in words, and which findings answered it
//! Never:  takes what is not known for false

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use super::host::{HostFacts, Known};
use super::version::Versions;
use crate::detect::{Finding, Severity};
use crate::facts::{self, names};
use crate::net::Timestamp;

/// Answer to a condition (Kleene's three values).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Truth {
    /// It holds.
    Yes,
    /// It does not.
    No,
    /// A fact or measure that would tell is missing.
    Unknown,
}

impl Truth {
    /// Holds where both hold.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Unknown,
        }
    }

    /// Holds where one holds.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::No, Self::No) => Self::No,
            _ => Self::Unknown,
        }
    }

    /// Holds where `self` does not.
    #[must_use]
    pub const fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
        }
    }
}

impl From<bool> for Truth {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

/// What a value is held against. All that are given must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Test {
    /// One of these words; numbers compare as numbers, versions of systems and products as such.
    pub is: Vec<String>,
    /// None of these.
    pub is_not: Vec<String>,
    /// Holds this text, whatever the case.
    pub contains: Vec<String>,
    /// Bounds: numbers, dotted versions (`4.6.16.0`).
    pub at_least: Option<String>,
    /// Upper bound, itself allowed.
    pub at_most: Option<String>,
    /// Lower bound, itself not allowed.
    pub above: Option<String>,
    /// Upper bound, itself not allowed.
    pub below: Option<String>,
    /// A date that lies longer than so many days before the capture's end.
    pub older_than_days: Option<u32>,
    /// Whether a fact that is not known counts as not so: nothing is to be asked of the reader for its sake.
    pub known: bool,
}

/// Whose fact is meant.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Whose {
    /// The host at fault or suspected.
    #[default]
    Subject,
    /// The host at the other end.
    Peer,
    /// One of both.
    Either,
}

/// A condition over findings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SymptomTest {
    /// Id, or a family as `smtp.*`.
    pub id: String,
    /// Least confidence.
    pub confidence: f64,
    /// Least severity.
    pub severity: Option<Severity>,
    /// Measures and words of the finding.
    pub tests: Vec<(String, Test)>,
}

/// A condition of a rule.
#[derive(Clone, Debug, PartialEq)]
pub enum Condition {
    /// All of them.
    All(Vec<Self>),
    /// At least one.
    Any(Vec<Self>),
    /// None of them.
    None(Vec<Self>),
    /// A finding concerns the host and looks like this.
    Symptom(SymptomTest),
    /// A fact of the host looks like this.
    Fact {
        /// Name of the fact.
        name: String,
        /// Whose.
        whose: Whose,
        /// What it is held against.
        test: Test,
    },
}

/// Findings, and which of them belong to the story of a host: each condition of each rule asks that, and findings may be thousands.
#[derive(Debug, Default)]
pub struct Stories<'a> {
    all: &'a [Finding],
    /// Indices of those that name a host.
    of: HashMap<IpAddr, Vec<usize>>,
    /// Of those that accuse none: they may concern any.
    of_anyone: Vec<usize>,
    /// Of each symptom.
    by_id: BTreeMap<&'static str, Vec<usize>>,
}

impl<'a> Stories<'a> {
    /// Sorts `findings` by host and by symptom.
    #[must_use]
    pub fn new(findings: &'a [Finding]) -> Self {
        let mut stories = Self {
            all: findings,
            ..Self::default()
        };
        for (index, finding) in findings.iter().enumerate() {
            stories.by_id.entry(finding.id).or_default().push(index);
            let Some(subject) = finding.subject else {
                stories.of_anyone.push(index);
                continue;
            };
            for host in finding.hosts.iter().chain([&subject]) {
                let story = stories.of.entry(*host).or_default();
                if story.last() != Some(&index) {
                    story.push(index);
                }
            }
        }
        stories
    }

    /// The findings that one of the tests is passed by, or may be: not surely failed.
    pub(super) fn passing(&self, tests: &[&SymptomTest]) -> Vec<&'a Finding> {
        let mut passing: Vec<usize> = Vec::new();
        for test in tests {
            let named = self.by_id.iter().filter(|(id, _)| test.names(id));
            let may_pass = |at: &usize| {
                self.all
                    .get(*at)
                    .is_some_and(|f| test.matches(f) != Truth::No)
            };
            passing.extend(named.flat_map(|(_, all)| all).copied().filter(may_pass));
        }
        passing.sort_unstable();
        passing.dedup();
        passing
            .into_iter()
            .filter_map(|at| self.all.get(at))
            .collect()
    }

    /// The findings of a host's story, with their indices; without a host, all.
    fn of(&self, host: Option<IpAddr>) -> impl Iterator<Item = (usize, &'a Finding)> {
        let own = host.and_then(|host| self.of.get(&host));
        let some = own.into_iter().chain([&self.of_anyone]).flatten().copied();
        let all = 0..self.all.len();
        let (all, some) = match host {
            None => (Some(all), None),
            Some(_) => (None, Some(some)),
        };
        let indices = all.into_iter().flatten().chain(some.into_iter().flatten());
        indices.filter_map(|index| Some((index, self.all.get(index)?)))
    }
}

/// What conditions are asked of.
#[derive(Clone, Copy, Debug)]
pub struct World<'a> {
    /// All findings.
    pub findings: &'a Stories<'a>,
    /// What is known of hosts.
    pub facts: &'a HostFacts,
    /// The host at fault or suspected.
    pub subject: Option<IpAddr>,
    /// The other.
    pub peer: Option<IpAddr>,
    /// The only host that findings accuse, where it is one: facts that name no host are its.
    pub sole: Option<IpAddr>,
    /// The one adapter of the subject that is asked about, so that what is said of two is not taken for one's.
    pub adapter: Option<&'a str>,
    /// End of the capture, for ages.
    pub now: Option<Timestamp>,
}

/// What came out besides the answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    /// Indices of findings that met a condition.
    pub findings: Vec<usize>,
    /// Conditions that could not be answered, in words.
    pub unknown: Vec<String>,
    /// Facts that were asked for: whether each is as it should be, and what it is, of what, and where that is known from, in words.
    pub facts: Vec<(bool, String)>,
}

impl Condition {
    /// Whether it holds. `trace` takes the findings that it rests on, and what was missing.
    pub fn eval(&self, world: &World<'_>, trace: &mut Trace) -> Truth {
        match self {
            Self::All(parts) => {
                let mut whole = Truth::Yes;
                let mut inner = Trace::default();
                for part in parts {
                    whole = whole.and(part.eval(world, &mut inner));
                }
                trace.take(inner, whole);
                whole
            }
            Self::Any(parts) => {
                let mut whole = if parts.is_empty() {
                    Truth::Yes
                } else {
                    Truth::No
                };
                let mut inner = Trace::default();
                for part in parts {
                    whole = whole.or(part.eval(world, &mut inner));
                }
                trace.take(inner, whole);
                whole
            }
            Self::None(parts) => {
                let mut whole = Truth::No;
                let mut inner = Trace::default();
                for part in parts {
                    let mut one = Trace::default();
                    whole = whole.or(part.eval(world, &mut one));
                    inner
                        .unknown
                        .extend(one.unknown.into_iter().map(|u| negated(&u)));
                    inner
                        .facts
                        .extend(one.facts.into_iter().map(|(met, fact)| (!met, fact)));
                }
                let whole = whole.not();
                trace.take(inner, whole);
                whole
            }
            Self::Symptom(test) => test.eval(world, trace),
            Self::Fact { name, whose, test } => {
                let mut of = |host| fact(world, host, name, test, &mut trace.facts);
                let truth = match whose {
                    Whose::Subject => of(world.subject),
                    Whose::Peer => of(world.peer),
                    Whose::Either => of(world.subject).or(of(world.peer)),
                };
                match truth {
                    Truth::Unknown if test.known => Truth::No,
                    Truth::Unknown => {
                        trace.unknown.push(self.words());
                        Truth::Unknown
                    }
                    known => known,
                }
            }
        }
    }

    /// All symptom ids that it asks for, those it must not find left out.
    pub fn symptoms<'a>(&'a self, out: &mut Vec<&'a str>) {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().for_each(|p| p.symptoms(out)),
            Self::Symptom(test) => out.push(&test.id),
            Self::None(_) | Self::Fact { .. } => {}
        }
    }

    /// Calls `each` for every condition on a finding, those it must not find left out.
    pub fn each_symptom<'a>(&'a self, each: &mut impl FnMut(&'a SymptomTest)) {
        match self {
            Self::All(parts) | Self::Any(parts) => {
                for part in parts {
                    part.each_symptom(each);
                }
            }
            Self::Symptom(test) => each(test),
            Self::None(_) | Self::Fact { .. } => {}
        }
    }

    /// Calls `each` for the name of every fact that is asked for.
    pub fn each_fact<'a>(&'a self, each: &mut impl FnMut(&'a str)) {
        match self {
            Self::All(parts) | Self::Any(parts) | Self::None(parts) => {
                for part in parts {
                    part.each_fact(each);
                }
            }
            Self::Fact { name, .. } => each(name),
            Self::Symptom(_) => {}
        }
    }

    /// In words, for the reader: `nic.chimney is disabled`.
    #[must_use]
    pub fn words(&self) -> String {
        let join =
            |parts: &[Self], by: &str| parts.iter().map(Self::words).collect::<Vec<_>>().join(by);
        match self {
            Self::All(parts) => join(parts, " and "),
            Self::Any(parts) => join(parts, " or "),
            Self::None(parts) => negated(&join(parts, " or ")),
            Self::Symptom(test) => {
                let mut words = format!("finding {}", test.id);
                for (name, t) in &test.tests {
                    words.push_str(&format!(", {}", t.words(name)));
                }
                words
            }
            Self::Fact { name, whose, test } => {
                let of = match whose {
                    Whose::Subject => "",
                    Whose::Peer => "peer's ",
                    Whose::Either => "either end's ",
                };
                test.words(&format!("{of}{}", super::words::label(name)))
            }
        }
    }
}

fn negated(words: &str) -> String {
    // `the adapter team is none`
    if let Some(what) = words.strip_suffix(" is none") {
        let what = what.strip_prefix("the ").unwrap_or(what);
        let article = if what.starts_with(['a', 'e', 'i', 'o', 'u']) {
            "an"
        } else {
            "a"
        };
        return format!("the host has {article} {what}");
    }
    if let Some(what) = words.strip_suffix(" is disabled") {
        return format!("{what} is on");
    }
    // That it is neither of the two is not what is asked: which of them it is, is.
    if words.ends_with(" is windows or linux") {
        return "the host runs Windows or Linux".to_owned();
    }
    for (yes, no) in [
        (" is at least ", " is below "),
        (" is not ", " is "),
        (" is ", " is not "),
        (" names ", " does not name "),
    ] {
        if words.matches(yes).count() == 1 && !words.contains(" and ") {
            return words.replacen(yes, no, 1);
        }
    }
    format!("not ({words})")
}

impl Trace {
    /// What a group found counts where the group did not fail; what it missed counts where it stayed unanswered.
    fn take(&mut self, inner: Self, whole: Truth) {
        if whole != Truth::No {
            self.findings.extend(inner.findings);
            self.facts.extend(inner.facts.into_iter().filter(|f| f.0));
        }
        if whole == Truth::Unknown {
            self.unknown.extend(inner.unknown);
        }
    }
}

impl SymptomTest {
    fn eval(&self, world: &World<'_>, trace: &mut Trace) -> Truth {
        let mut whole = Truth::No;
        for (index, finding) in world.findings.of(world.subject) {
            if !self.names(finding.id) {
                continue;
            }
            let one = self.matches(finding);
            if one != Truth::No {
                trace.findings.push(index);
            }
            if one == Truth::Unknown {
                trace.unknown.push(Condition::Symptom(self.clone()).words());
            }
            whole = whole.or(one);
        }
        whole
    }

    /// Whether a finding has the id, or is of the family, that is asked for.
    fn names(&self, id: &str) -> bool {
        match self.id.strip_suffix('*') {
            Some(family) => id.starts_with(family),
            None => id == self.id,
        }
    }

    /// Whether one finding looks like this; a measure that it lacks is not known.
    #[must_use]
    pub fn matches(&self, finding: &Finding) -> Truth {
        let strong = finding.confidence >= self.confidence
            && self.severity.is_none_or(|least| finding.severity >= least);
        if !strong || !self.names(finding.id) {
            return Truth::No;
        }
        let mut whole = Truth::Yes;
        for (name, test) in &self.tests {
            let mut one = Truth::Unknown;
            for (_, value) in finding.measures.iter().filter(|(n, _)| n == name) {
                one = test.holds(name, &value.to_string(), None);
            }
            for (_, word) in finding.words.iter().filter(|(n, _)| n == name) {
                one = test.holds(name, word, None);
            }
            // A finding without the word is not of the application, the remedy or the reply that is asked for.
            let told = test.known || matches!(name.as_str(), "application" | "remedy" | "reply");
            if one == Truth::Unknown && told {
                one = Truth::No;
            }
            whole = whole.and(one);
        }
        whole
    }
}

impl World<'_> {
    /// Whether facts that name no host are this one's.
    pub(super) fn suspects(&self, host: Option<IpAddr>) -> bool {
        host == self.sole && host.is_some() || host.is_none() && self.subject.is_none()
    }
}

/// Whether a fact of a host passes; `asked` takes its values.
fn fact(
    world: &World<'_>,
    host: Option<IpAddr>,
    name: &str,
    test: &Test,
    asked: &mut Vec<(bool, String)>,
) -> Truth {
    let suspect = world.suspects(host);
    if name == "os" || name == "exchange" || name == "mta" {
        let known = if name == "os" {
            world.facts.system(host, suspect)
        } else {
            world.facts.product(host, suspect)
        };
        return known.map_or(Truth::Unknown, |k| test.holds_version(k.versions));
    }
    let mut values = world.facts.values(host, suspect, name);
    // What nothing says of this adapter, another output may say of it under another name.
    if host == world.subject
        && world.adapter.is_some()
        && values.iter().any(|known| known.part == world.adapter)
    {
        values.retain(|known| known.part == world.adapter || known.part.is_none());
    }
    let mut whole: Option<Truth> = None;
    for known in values {
        let one = test.holds(name, known.value, world.now);
        if one != Truth::Unknown {
            asked.push((one == Truth::Yes, said(host, name, &known)));
        }
        whole = Some(whole.map_or(one, |w| w.or(one)));
    }
    whole.unwrap_or(Truth::Unknown)
}

/// `192.0.2.25, Ethernet 2: the driver's date is 2006-06-30 (hub1.txt line 12)`
fn said(host: Option<IpAddr>, name: &str, known: &Known<'_>) -> String {
    let host = host.map_or_else(|| "the host".to_owned(), |host| host.to_string());
    let part = known.part.map_or_else(String::new, |p| format!(", {p}"));
    let (label, value, basis) = (super::words::label(name), known.value, &known.basis);
    format!("{host}{part}: {label} is {value} ({basis})")
}

impl Test {
    /// Whether the value of a fact, measure or word passes. A value that cannot be compared is not known.
    #[must_use]
    pub fn holds(&self, name: &str, value: &str, now: Option<Timestamp>) -> Truth {
        let value = value.trim().to_lowercase();
        let compare = if names::is_version(name) {
            versions
        } else {
            numbers
        };
        let same = |word: &String| {
            let word = word.to_lowercase();
            value == word || compare(&value, &word) == Some(Ordering::Equal)
        };
        let mut whole = Truth::Yes;
        if !self.is.is_empty() {
            whole = whole.and(self.is.iter().any(same).into());
        }
        whole = whole.and((!self.is_not.iter().any(same)).into());
        if !self.contains.is_empty() {
            whole = whole.and(
                self.contains
                    .iter()
                    .any(|w| value.contains(&w.to_lowercase()))
                    .into(),
            );
        }
        for (bound, good) in [
            (&self.at_least, [false, true, true]),
            (&self.at_most, [true, true, false]),
            (&self.above, [false, false, true]),
            (&self.below, [true, false, false]),
        ] {
            let Some(bound) = bound else { continue };
            whole = whole.and(compare(&value, bound).map_or(Truth::Unknown, |order| {
                let [less, equal, greater] = good;
                match order {
                    Ordering::Less => less,
                    Ordering::Equal => equal,
                    Ordering::Greater => greater,
                }
                .into()
            }));
        }
        if let Some(days) = self.older_than_days {
            let age = now.and_then(|n| Some(days_of(n) - facts::day(&value)?));
            whole = whole.and(age.map_or(Truth::Unknown, |a| (a > i64::from(days)).into()));
        }
        whole
    }

    /// Whether a host that is one of `versions` passes.
    #[must_use]
    pub fn holds_version(&self, versions: Versions) -> Truth {
        let mut whole = Truth::Yes;
        let set = |words: &[String]| {
            words
                .iter()
                .filter_map(|w| Versions::parse(w))
                .filter(|v| v.scale() == versions.scale())
                .reduce(Versions::or)
        };
        if !self.is.is_empty() {
            whole = whole.and(set(&self.is).map_or(Truth::No, |s| versions.within(s)));
        }
        if let Some(not) = set(&self.is_not) {
            whole = whole.and(versions.within(not).not());
        }
        whole
    }

    fn words(&self, name: &str) -> String {
        let mut parts = Vec::new();
        if !self.is.is_empty() {
            parts.push(format!("is {}", self.is.join(" or ")));
        }
        if !self.is_not.is_empty() {
            parts.push(format!("is not {}", self.is_not.join(" or ")));
        }
        if !self.contains.is_empty() {
            parts.push(format!("names {}", self.contains.join(" or ")));
        }
        for (bound, word) in [
            (&self.at_least, "is at least"),
            (&self.at_most, "is at most"),
            (&self.above, "is above"),
            (&self.below, "is below"),
        ] {
            if let Some(bound) = bound {
                parts.push(format!("{word} {bound}"));
            }
        }
        if let Some(days) = self.older_than_days {
            parts.push(format!("is older than {days} days"));
        }
        if parts.is_empty() {
            parts.push("is known".to_owned());
        }
        format!("{name} {}", parts.join(" and "))
    }
}

fn numbers(value: &str, bound: &str) -> Option<Ordering> {
    value.parse::<f64>().ok()?.partial_cmp(&bound.parse().ok()?)
}

/// Part by part, as far as they are numbers: of `6.1.0-18-amd64` those are 6, 1 and 0, and 2.8 is 2.8.0.
fn versions(value: &str, bound: &str) -> Option<Ordering> {
    let parts = |text: &str| -> Option<Vec<u64>> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
        let dotted = text.get(..end.unwrap_or(text.len()))?;
        let mut parts: Vec<u64> = dotted
            .trim_end_matches('.')
            .split('.')
            .map(|part| part.parse().ok())
            .collect::<Option<_>>()?;
        while parts.last() == Some(&0) {
            parts.pop();
        }
        Some(parts)
    };
    Some(parts(value)?.cmp(&parts(bound)?))
}

const fn days_of(time: Timestamp) -> i64 {
    time.0.div_euclid(86_400_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_values() {
        use Truth::{No, Unknown, Yes};
        for (a, b, and, or) in [
            (Yes, Yes, Yes, Yes),
            (Yes, No, No, Yes),
            (Yes, Unknown, Unknown, Yes),
            (No, Unknown, No, Unknown),
            (Unknown, Unknown, Unknown, Unknown),
            (No, No, No, No),
        ] {
            assert_eq!((a.and(b), a.or(b)), (and, or), "{a:?} {b:?}");
            assert_eq!((b.and(a), b.or(a)), (and, or), "{b:?} {a:?}");
        }
        assert_eq!(Unknown.not(), Unknown);
    }

    #[test]
    fn comparisons() {
        let bound = |f: fn(&mut Test, String), b: &str| {
            let mut t = Test::default();
            f(&mut t, b.to_owned());
            t
        };
        let below: fn(&mut Test, String) = |t, b| t.below = Some(b);
        let at_least: fn(&mut Test, String) = |t, b| t.at_least = Some(b);
        let is = |word: &str| Test {
            is: vec![word.into()],
            ..Test::default()
        };
        let (number, version) = ("count", "nic.driver.version");
        for (name, value, test, want) in [
            (version, "2.8.13.0", bound(below, "2.8.18"), Truth::Yes),
            (version, "5.0.13.0", bound(below, "4.6.16.0"), Truth::No),
            (version, "10.0.1", bound(below, "9.9"), Truth::No),
            (version, "4.10", bound(below, "4.9"), Truth::No),
            (version, "4.9", bound(below, "4.10"), Truth::Yes),
            (version, "4.10", is("4.1"), Truth::No),
            (version, "2.8", bound(at_least, "2.8.0.0"), Truth::Yes),
            (version, "2.8", is("2.8.0"), Truth::Yes),
            (version, "6.1.0-18-amd64", bound(below, "6.2"), Truth::Yes),
            (version, "7.10.4 bc 7.10.5", bound(below, "7.9"), Truth::No),
            (version, "n/a", bound(below, "7.9"), Truth::Unknown),
            (version, "", bound(below, "7.9"), Truth::Unknown),
            (number, "4.10", bound(below, "4.9"), Truth::Yes),
            (number, "0.5", bound(at_least, "0.50"), Truth::Yes),
            (number, "0.5", is("0.50"), Truth::Yes),
            (number, "5", bound(at_least, "10"), Truth::No),
            (number, "soon", bound(at_least, "10"), Truth::Unknown),
            ("nic.chimney", "Disabled", is("disabled"), Truth::Yes),
            (
                "nic.driver.name",
                "hp nc373i",
                Test {
                    contains: vec!["NC37".into()],
                    ..Test::default()
                },
                Truth::Yes,
            ),
        ] {
            let holds = test.holds(name, value, None);
            assert_eq!(holds, want, "{name} {value} {test:?}");
        }
    }

    #[test]
    fn ages() {
        let now = Timestamp(1_262_704_920 * 1_000_000_000); // 5 January 2010
        let year = Test {
            older_than_days: Some(365),
            ..Test::default()
        };
        for (value, want) in [
            ("2006-06-30", Truth::Yes),
            ("20060630000000.******+***", Truth::Yes),
            ("2009-06-23", Truth::No),
            ("not a date", Truth::Unknown),
        ] {
            assert_eq!(
                year.holds("nic.driver.date", value, Some(now)),
                want,
                "{value}"
            );
        }
        assert_eq!(
            year.holds("nic.driver.date", "2006-06-30", None),
            Truth::Unknown,
            "no clock"
        );
    }
}
