//! The engine: holds the rules, and turns findings and facts into remedies in order.
//!
//! Takes:  rule files, [`Finding`]s, [`HostFacts`]
//! Gives:  [`Remedy`]s, ranked: first by the share of the lost time that the cause explains, then by how cheap the test is
//! Never:  prints a command for another version than the host's; turns a missing fact into a blind change

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::condition::{Stories, Trace, Truth, World};
use super::file::{self, Applies, On, Rule, RuleError, RuleStep, Stage};
use super::host::{HostFacts, KnownVersions};
use super::version::Versions;
use super::{Remedy, Step};
use crate::detect::{Finding, Severity, consequences};
use crate::facts::names;
use crate::net::Timestamp;

include!(concat!(env!("OUT_DIR"), "/rules.rs"));

/// Hosts that one rule is asked about; those that lost most time come first.
const MAX_HOSTS: usize = 32;
/// Largest rule file of a user, in octets.
const MAX_FILE: u64 = 1 << 20;
/// Adapters of one host that a rule is asked about one by one; more are taken together.
const MAX_ADAPTERS: usize = 64;
/// What a remedy is still worth where a fact is missing.
const UNKNOWN_FACTOR: f64 = 0.9;

/// The rules, and what can be asked of them.
#[derive(Clone, Debug)]
pub struct Engine {
    rules: Vec<Rule>,
}

/// The embedded rules, read once.
static EMBEDDED: LazyLock<Result<Vec<Rule>, RuleError>> = LazyLock::new(|| {
    let read = REMEDIES.iter().map(|(id, text)| {
        let mut rule = file::parse(id, &format!("remedies/{id}.toml"), text)?;
        rule.built_in = true;
        Ok(rule)
    });
    read.collect()
});

/// Texts of symptoms: (file's name, contents).
pub(super) const fn symptom_files() -> &'static [(&'static str, &'static str)] {
    SYMPTOMS
}

impl Engine {
    /// The embedded rules and those of `user_files` (files, or folders of them). A user's rule replaces an embedded one of
    /// the same id.
    ///
    /// # Errors
    /// At the first thing wrong in any of them, with file, line and key.
    pub fn load(user_files: &[PathBuf]) -> Result<Self, RuleError> {
        let mut rules = EMBEDDED.clone()?;
        for path in user_files {
            for path in expand(path)? {
                let rule = check(&path)?;
                rules.retain(|r| r.id != rule.id);
                rules.push(rule);
            }
        }
        rules.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Self { rules })
    }

    /// All rules, by id.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// One rule.
    #[must_use]
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rules.iter().find(|r| r.id == id)
    }

    /// What is not sure about the facts of hosts, in sentences: of whom they are, and whether the wire says otherwise.
    #[must_use]
    pub fn doubts(&self, findings: &[Finding], facts: &HostFacts) -> Vec<String> {
        let mut all = facts.unplaced(&accused(findings));
        let hosts = facts.hosts();
        all.extend(hosts.into_iter().flat_map(|h| facts.contradictions(h)));
        all
    }

    /// What to do about `findings`, in order. `now` is the end of the capture: ages of drivers count up to it.
    #[must_use]
    pub fn advise(
        &self,
        findings: &[Finding],
        facts: &HostFacts,
        now: Option<Timestamp>,
    ) -> Vec<Remedy> {
        let whole: f64 = findings.iter().map(weight).sum();
        let follows = consequences(findings);
        let sole = match accused(findings)[..] {
            [one] => Some(one),
            _ => None,
        };
        let stories = Stories::new(findings);
        let mut drafts: Vec<(f64, &Rule, Remedy)> = Vec::new();
        for rule in &self.rules {
            let Some(remedy) = Case {
                rule,
                of_adapters: of_adapters(rule),
                findings,
                stories: &stories,
                facts,
                sole,
                now,
            }
            .remedy() else {
                continue;
            };
            let explained: f64 = remedy
                .findings
                .iter()
                .filter_map(|i| findings.get(*i))
                .map(weight)
                .sum();
            // Asking for facts is not worth it for what another finding explains.
            if late(&remedy, &follows) && !remedy.unknown.is_empty() {
                continue;
            }
            let share = if whole > 0.0 { explained / whole } else { 0.0 };
            drafts.push((share * remedy.likely, rule, remedy));
        }
        // Scores within one per cent count as equal: then the cheaper test goes first.
        let grade = |score: f64| (score * 100.0).round() as i64;
        drafts.sort_by(|(a, ra, one), (b, rb, other)| {
            let last = |r: &Rule| r.stage == Stage::Prove;
            last(ra)
                .cmp(&last(rb))
                .then(late(one, &follows).cmp(&late(other, &follows)))
                .then(grade(*b).cmp(&grade(*a)))
                .then(ra.cost.cmp(&rb.cost))
                .then(ra.id.cmp(&rb.id))
        });
        drafts
            .into_iter()
            .enumerate()
            .map(|(at, (_, _, mut remedy))| {
                remedy.rank = at + 1;
                remedy
            })
            .collect()
    }
}

/// Facts of adapters that any condition of a rule asks for.
fn of_adapters(rule: &Rule) -> BTreeSet<&str> {
    let steps = rule.confirm.iter().chain(&rule.fix).chain(&rule.undo);
    let mut names = BTreeSet::new();
    for condition in (rule.when.iter().chain(&rule.facts_alone))
        .chain(rule.weigh.iter().map(|w| &w.when))
        .chain(steps.filter_map(|s| s.when.as_ref()))
    {
        condition.each_fact(&mut |name| {
            if names::is_of_adapter(name) {
                names.insert(name);
            }
        });
    }
    names
}

/// The hosts that findings accuse: those of harm where there is any, else all.
fn accused(findings: &[Finding]) -> Vec<IpAddr> {
    let of = |least: Severity| -> Vec<IpAddr> {
        let harmful = findings.iter().filter(|f| f.severity >= least);
        let hosts: BTreeSet<IpAddr> = harmful.filter_map(|f| f.subject).collect();
        hosts.into_iter().collect()
    };
    let harmful = of(Severity::Warning);
    if harmful.is_empty() {
        of(Severity::Info)
    } else {
        harmful
    }
}

/// Whether only consequences of other findings call for it: then it waits for what mends their cause.
fn late(remedy: &Remedy, follows: &[bool]) -> bool {
    let mut called_by = remedy.findings.iter();
    !remedy.findings.is_empty() && called_by.all(|i| follows.get(*i).is_some_and(|f| *f))
}

/// Reads a user's rule file: what `rules check` does.
///
/// # Errors
/// At the first thing wrong, with file, line and key.
pub fn check(path: &Path) -> Result<Rule, RuleError> {
    let name = path.display().to_string();
    let size = fs::metadata(path)
        .map_err(|e| unreadable(&name, &e.to_string()))?
        .len();
    if size > MAX_FILE {
        return Err(unreadable(
            &name,
            &format!("{size} octets are more than a rule file may have ({MAX_FILE})"),
        ));
    }
    let text = fs::read_to_string(path).map_err(|e| unreadable(&name, &e.to_string()))?;
    let id = path
        .file_stem()
        .map(|s| s.to_string_lossy().into_owned())
        .unwrap_or_default();
    file::parse(&id, &name, &text)
}

fn expand(path: &Path) -> Result<Vec<PathBuf>, RuleError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let name = path.display().to_string();
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(|e| unreadable(&name, &e.to_string()))? {
        let path = entry.map_err(|e| unreadable(&name, &e.to_string()))?.path();
        if path.extension().is_some_and(|e| e == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn unreadable(file: &str, message: &str) -> RuleError {
    RuleError {
        file: file.to_owned(),
        line: 0,
        column: 0,
        key: String::new(),
        message: message.to_owned(),
    }
}

/// Seconds lost, and a little by severity so that findings without seconds still order.
fn weight(finding: &Finding) -> f64 {
    let base = match finding.severity {
        Severity::Critical => 1.0,
        Severity::Warning => 0.1,
        Severity::Info => 0.001,
    };
    let seconds = if finding.severity == Severity::Info {
        0.0
    } else {
        finding.seconds_lost.unwrap_or(0.0).max(0.0)
    };
    (base + seconds) * finding.confidence.clamp(0.0, 1.0)
}

/// One rule on one set of findings.
struct Case<'a> {
    rule: &'a Rule,
    /// Facts of adapters that it asks for.
    of_adapters: BTreeSet<&'a str>,
    findings: &'a [Finding],
    stories: &'a Stories<'a>,
    facts: &'a HostFacts,
    sole: Option<IpAddr>,
    now: Option<Timestamp>,
}

impl Case<'_> {
    /// The remedy that this rule yields, over all hosts that it concerns.
    fn remedy(&self) -> Option<Remedy> {
        let mut hosts = self.suspects();
        let omitted = hosts.len().saturating_sub(MAX_HOSTS);
        hosts.truncate(MAX_HOSTS);
        let mut whole: Option<Remedy> = None;
        for (subject, peer, facts_only) in hosts {
            let Some(one) = self.for_host(subject, peer, facts_only) else {
                continue;
            };
            whole = Some(match whole {
                None => one,
                Some(all) => merge(all, one),
            });
        }
        let mut remedy = whole?;
        if omitted > 0 {
            remedy.why.push_str(&format!(
                " The same shows on {omitted} more hosts, which are not listed."
            ));
        }
        Some(remedy)
    }

    /// Hosts that a finding which this rule asks for suspects, each with its peer (or the other way round, where the rule says
    /// so); and hosts with facts, where those alone may call for it: whether only they may, stands last.
    fn suspects(&self) -> Vec<(Option<IpAddr>, Option<IpAddr>, bool)> {
        let mut anchors = self.anchors();
        anchors.sort_by(|a, b| weight(b).total_cmp(&weight(a)));
        let mut hosts = Vec::new();
        let mut seen = BTreeSet::new();
        for finding in anchors {
            let other = || {
                let mut hosts = finding.hosts.iter();
                hosts.find(|h| Some(**h) != finding.subject).copied()
            };
            let peer = finding.peer.or_else(other);
            let (asked, other) = if self.rule.of_peer {
                (peer, finding.subject)
            } else {
                (finding.subject, peer)
            };
            if seen.insert(asked) {
                hosts.push((asked, other, false));
            }
        }
        if self.rule.facts_alone.is_some() {
            let nameless = self.facts.has_unplaced();
            for host in (self.facts.hosts().into_iter()).chain(self.sole.filter(|_| nameless)) {
                if seen.insert(Some(host)) {
                    hosts.push((Some(host), None, false));
                }
            }
            // Of a host that nobody names, only its own facts may speak.
            if self.sole.is_none() && nameless && !seen.contains(&None) {
                hosts.push((None, None, true));
            }
        }
        hosts
    }

    /// Findings that the rule asks for.
    fn anchors(&self) -> Vec<&Finding> {
        let mut tests = Vec::new();
        if let Some(when) = &self.rule.when {
            when.each_symptom(&mut |t| tests.push(t));
        }
        self.stories.passing(&tests)
    }

    /// The remedy for one host: for each adapter of which its facts speak, as if that were its only one. Where some of them
    /// surely call for it, those of which too little is known are left out.
    fn for_host(
        &self,
        subject: Option<IpAddr>,
        peer: Option<IpAddr>,
        facts_only: bool,
    ) -> Option<Remedy> {
        let world = World {
            findings: self.stories,
            facts: self.facts,
            subject,
            peer,
            sole: self.sole,
            adapter: None,
            now: self.now,
        };
        let facts = self.of_adapters.iter();
        let adapters: BTreeSet<&str> = facts
            .flat_map(|name| (self.facts).values(subject, world.suspects(subject), name))
            .filter_map(|known| known.part)
            .collect();
        if !(2..=MAX_ADAPTERS).contains(&adapters.len()) {
            return self.in_world(world, facts_only);
        }
        let mut each: Vec<Remedy> = adapters
            .into_iter()
            .map(Some)
            .filter_map(|adapter| self.in_world(World { adapter, ..world }, facts_only))
            .collect();
        if each.iter().any(|remedy| remedy.unknown.is_empty()) {
            each.retain(|remedy| remedy.unknown.is_empty());
        }
        each.sort_by(|a, b| b.likely.total_cmp(&a.likely));
        each.into_iter().reduce(merge)
    }

    fn in_world(&self, world: World<'_>, facts_only: bool) -> Option<Remedy> {
        let (rule, subject, peer) = (self.rule, world.subject, world.peer);
        let mut trace = Trace::default();
        // Without a host, all findings would be its.
        let called = match &rule.when {
            Some(when) if !facts_only => when.eval(&world, &mut trace),
            _ => Truth::No,
        };
        let alone = match &rule.facts_alone {
            // Facts alone must be known to hold: what is missing calls for nothing.
            Some(c) if called != Truth::Yes => {
                let mut inner = Trace::default();
                let alone = c.eval(&world, &mut inner);
                trace.facts.extend(inner.facts);
                alone
            }
            _ => Truth::No,
        };
        if called == Truth::No && alone != Truth::Yes {
            return None;
        }
        let mut unknown = if alone == Truth::Yes {
            Vec::new()
        } else {
            trace.unknown
        };
        let mut basis = Vec::new();
        let fits = applies(&rule.applies, &world, Whose::Subject, &mut basis);
        if fits == Truth::No {
            return None;
        }
        let versions_unknown = fits == Truth::Unknown;
        let mut likely = rule.likely;
        let mut pro = Vec::new();
        let mut against = Vec::new();
        for weigh in &rule.weigh {
            let mut inner = Trace::default();
            if weigh.when.eval(&world, &mut inner) == Truth::Yes {
                trace.facts.extend(inner.facts);
                likely += weigh.by;
                if weigh.by >= 0.0 {
                    &mut pro
                } else {
                    &mut against
                }
                .push(weigh.say.clone());
            }
        }
        trace.findings.sort_unstable();
        trace.findings.dedup();
        let mut known = basis;
        for (_, fact) in trace.facts.into_iter().filter(|f| f.0) {
            if !known.contains(&fact) {
                known.push(fact);
            }
        }
        let cited: Vec<&Finding> = trace
            .findings
            .iter()
            .filter_map(|i| self.findings.get(*i))
            .collect();
        let sure = cited
            .iter()
            .map(|f| f.confidence)
            .fold(None, |a: Option<f64>, c| Some(a.map_or(c, |a| a.max(c))));
        likely = likely.clamp(0.0, 1.0) * sure.unwrap_or(1.0);
        if versions_unknown || !unknown.is_empty() {
            likely *= UNKNOWN_FACTOR;
        }
        for finding in &cited {
            against.extend(finding.against.iter().cloned());
        }
        // Where versions decide, it matters that the wire says otherwise.
        if rule.applies != Applies::default() {
            against.extend(
                subject
                    .into_iter()
                    .flat_map(|s| self.facts.contradictions(s)),
            );
        }
        against.sort();
        against.dedup();

        let fill = |text: &str| fill(text, subject, peer, &cited);
        let mut condition = Vec::new();
        if versions_unknown {
            condition.push(format!("the host runs {}", rule.applies.words()));
        }
        unknown.sort();
        unknown.dedup();
        condition.extend(unknown.iter().cloned());
        let other_end = World {
            subject: peer,
            peer: subject,
            adapter: None,
            ..world
        };
        // Of which hosts it is not known whether they run this.
        let mut lacking: Vec<(Option<IpAddr>, Applies)> = Vec::new();
        if versions_unknown {
            lacking.push((subject, rule.applies));
        }
        let mut gate = |steps: &[RuleStep], changes: bool| -> Vec<Step> {
            let mut out = Vec::new();
            for step in steps {
                for (whose, on) in places(step.on, subject, peer) {
                    let (host, other) = match whose {
                        Some(Whose::Subject) => (subject, peer),
                        Some(Whose::Peer) => (peer, subject),
                        None => (None, None),
                    };
                    if let Some(host) = host.filter(|h| stranger(*h, other, self.facts)) {
                        let tell = Step {
                            command: format!("tell the operator of {host}: {}", rule.title),
                            ..Step::default()
                        };
                        if changes && !out.contains(&tell) {
                            out.push(tell);
                        }
                        continue;
                    }
                    // A step for both ends asks each end for its own facts, and a change for its versions: to look at both is right
                    // whatever the other one is.
                    let turned = step.on == On::Both && whose == Some(Whose::Peer);
                    let needs = if turned && changes && step.applies == Applies::default() {
                        &rule.applies
                    } else {
                        &step.applies
                    };
                    let fits = match whose {
                        Some(whose) => applies(needs, &world, whose, &mut Vec::new()),
                        None => Truth::Yes,
                    };
                    let there = if turned { &other_end } else { &world };
                    let when = step
                        .when
                        .as_ref()
                        .map_or(Truth::Yes, |w| w.eval(there, &mut Trace::default()));
                    if fits == Truth::No || when == Truth::No {
                        continue;
                    }
                    let mut only_if: Vec<String> = Vec::new();
                    if changes {
                        only_if.extend(condition.iter().cloned());
                    } else if versions_unknown
                        && step.applies == Applies::default()
                        && whose.is_some()
                    {
                        only_if.push(format!("the host runs {}", rule.applies.words()));
                    }
                    if fits == Truth::Unknown {
                        only_if.retain(|c| !c.starts_with("the host runs "));
                        only_if.push(format!("the host runs {}", needs.words()));
                        lacking.push((host, *needs));
                    }
                    if let (Truth::Unknown, Some(when)) = (when, &step.when) {
                        // The rule itself may ask for the same.
                        let words = when.words();
                        if !only_if.contains(&words) {
                            only_if.push(words);
                        }
                    }
                    let step = Step {
                        on,
                        only_if: only_if.join(" and "),
                        command: fill(&step.command),
                        expect: fill(&step.expect),
                    };
                    // A host may be its own peer.
                    if !out.contains(&step) {
                        out.push(step);
                    }
                }
            }
            out
        };
        let mut confirm = gate(&rule.confirm, false);
        let fix = gate(&rule.fix, true);
        let mut undo = gate(&rule.undo, true);
        undo.retain(|s| !s.command.starts_with("tell the operator of "));
        if confirm.is_empty() && fix.is_empty() {
            return None;
        }
        // Whose version decides over a step is asked for it, the subject first.
        let mut ask = ask_versions(subject, peer, &lacking, &world);
        if peer.is_some() && peer != subject {
            ask.extend(ask_versions(peer, subject, &lacking, &world));
        }
        confirm.splice(0..0, ask);
        let mut why = fill(&rule.why);
        if !cited.is_empty() {
            // The worst of them; the others stand with their numbers in the report.
            let seen = cited.iter().max_by(|a, b| weight(a).total_cmp(&weight(b)));
            let seen = seen.map_or("", |f| f.summary.as_str());
            why = format!("{why}. Seen here: {seen}");
        }
        why.push('.');
        if let Some(first) = why.get(..1).map(str::to_uppercase) {
            why.replace_range(..1, &first);
        }
        for say in pro {
            why.push_str(&format!(" {}.", fill(&say)));
        }
        if !condition.is_empty() && rule.stage == Stage::Mend {
            why.push_str(&format!(
                " Check first, because it is not known whether {}.",
                condition.join(" and whether ")
            ));
        }
        let mut risk = fill(&rule.risk);
        if !rule.wrong_when.is_empty() {
            if !risk.is_empty() {
                risk.push_str(". ");
            }
            risk.push_str(&format!("Wrong when: {}", fill(&rule.wrong_when)));
        }
        let mut applies_to = rule.applies.words();
        if !rule.applies_note.is_empty() {
            applies_to = format!("{applies_to}; {}", rule.applies_note);
        }
        Some(Remedy {
            id: rule.id.clone(),
            title: rule.title.clone(),
            why,
            confirm,
            fix,
            undo,
            risk,
            applies_to,
            sources: rule.sources.clone(),
            findings: trace.findings,
            rank: 0,
            likely,
            unknown: condition,
            against,
            known,
        })
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Whose {
    Subject,
    Peer,
}

/// Whether something for certain versions fits a host; `basis` takes where its versions are known from.
fn applies(needs: &Applies, world: &World<'_>, whose: Whose, basis: &mut Vec<String>) -> Truth {
    let host = match whose {
        Whose::Subject => world.subject,
        Whose::Peer => world.peer,
    };
    let suspect = world.suspects(host);
    let system = world.facts.system(host, suspect);
    let mut whole = Truth::Yes;
    let called = |what: &str, from: &str| match host {
        Some(host) => format!("{host} runs {what} ({from})"),
        None => format!("the host runs {what} ({from})"),
    };
    if let Some(allowed) = needs.systems {
        whole = whole.and(match &system {
            Some(known) => {
                basis.push(called(&known.versions.words(), &known.basis));
                known.versions.within(allowed)
            }
            None => Truth::Unknown,
        });
    }
    if let Some(allowed) = needs.products {
        let product = world.facts.product(host, suspect);
        whole = whole.and(match (&product, &system) {
            (Some(known), _) => {
                basis.push(called(&known.versions.words(), &known.basis));
                known.versions.within(allowed)
            }
            // A mail server that cannot run on this system is not there.
            (None, Some(known)) => {
                Versions::found_on(known.versions).map_or(Truth::Unknown, |possible| {
                    if possible.within(allowed) == Truth::No {
                        Truth::No
                    } else {
                        Truth::Unknown
                    }
                })
            }
            (None, None) => Truth::Unknown,
        });
    }
    whole
}

/// Whether nobody here can type a command on `host`: an address of the Internet, of which no fact was given, seen from a
/// local one. Where both are of the Internet, one of them is ours, and which is not known.
fn stranger(host: IpAddr, other: Option<IpAddr>, facts: &HostFacts) -> bool {
    !local(host) && other.is_some_and(local) && !facts.hosts().contains(&host)
}

/// Addresses that are not routed on the Internet: private, link-local, loopback, documentation.
fn local(host: IpAddr) -> bool {
    match host {
        IpAddr::V4(v4) => {
            v4.is_private()
                || v4.is_link_local()
                || v4.is_loopback()
                || v4.is_documentation()
                || v4.is_unspecified()
        }
        IpAddr::V6(v6) => {
            let [first, second, ..] = v6.segments();
            v6.is_loopback()
                || v6.is_unspecified()
                || first & 0xfe00 == 0xfc00
                || first & 0xffc0 == 0xfe80
                || (first, second) == (0x2001, 0x0db8)
        }
    }
}

/// The hosts that a step is for: whose facts gate it, and the name to print.
fn places(
    on: On,
    subject: Option<IpAddr>,
    peer: Option<IpAddr>,
) -> Vec<(Option<Whose>, Option<String>)> {
    let name = |host: Option<IpAddr>| host.map(|h| h.to_string());
    match on {
        On::Subject => vec![(Some(Whose::Subject), name(subject))],
        On::Peer => vec![(Some(Whose::Peer), name(peer))],
        On::Both => {
            let mut both = vec![(Some(Whose::Subject), name(subject))];
            if peer.is_some() {
                both.push((Some(Whose::Peer), name(peer)));
            }
            both
        }
        On::Anywhere => vec![(None, None)],
        On::Switch => vec![(None, Some("switch".to_owned()))],
        On::Firewall => vec![(None, Some("firewall".to_owned()))],
        On::Here => vec![(None, Some("this machine".to_owned()))],
    }
}

fn fill(text: &str, subject: Option<IpAddr>, peer: Option<IpAddr>, cited: &[&Finding]) -> String {
    if !text.contains('{') {
        return text.to_owned();
    }
    let name = |host: Option<IpAddr>, other: &str| {
        host.map_or_else(|| other.to_owned(), |h| h.to_string())
    };
    let port = cited
        .iter()
        .flat_map(|f| &f.measures)
        .find(|(n, _)| *n == "port")
        .map_or_else(|| "<port>".to_owned(), |(_, v)| format!("{v:.0}"));
    text.replace("{subject}", &name(subject, "<host>"))
        .replace("{peer}", &name(peer, "<other host>"))
        .replace("{port}", &port)
        // Of a prefix that is the other host alone.
        .replace(
            "{bits}",
            if peer.is_some_and(|peer| peer.is_ipv6()) {
                "128"
            } else {
                "32"
            },
        )
}

/// How to find out what decides over steps on `host`: its system, or its Exchange.
fn ask_versions(
    host: Option<IpAddr>,
    other: Option<IpAddr>,
    lacking: &[(Option<IpAddr>, Applies)],
    world: &World<'_>,
) -> Vec<Step> {
    if host.is_some_and(|h| stranger(h, other, world.facts)) {
        return Vec::new();
    }
    let suspect = world.suspects(host);
    let system = world.facts.system(host, suspect);
    let product = world.facts.product(host, suspect);
    let unsure = |known: &Option<KnownVersions>, needs: Versions| {
        let known = known.as_ref();
        known.is_none_or(|k| k.versions.within(needs) == Truth::Unknown)
    };
    let is_exchange = |needs: Versions| {
        let exchange = Versions::parse("exchange");
        exchange.is_some_and(|all| needs.within(all) == Truth::Yes)
    };
    let (mut of_system, mut of_exchange) = (false, false);
    for (_, needs) in lacking.iter().filter(|(of, _)| *of == host) {
        of_system |= needs.systems.is_some_and(|s| unsure(&system, s));
        if let Some(products) = needs.products.filter(|p| unsure(&product, *p)) {
            of_exchange |= is_exchange(products);
            of_system |= !is_exchange(products);
        }
    }
    let mut ask = Vec::new();
    if of_system {
        ask.push(ask_system(host, system.as_ref()));
    }
    if of_exchange {
        ask.push(Step {
            on: host.map(|h| h.to_string()),
            only_if: String::new(),
            command: "Get-ExchangeServer | fl Name,AdminDisplayVersion".to_owned(),
            expect: "the version of Exchange, if it runs there; then give this output with --facts HOST=FILE, and only the commands that fit are left".to_owned(),
        });
    }
    ask
}

fn ask_system(host: Option<IpAddr>, known: Option<&KnownVersions>) -> Step {
    let command = match known {
        Some(known)
            if Versions::parse("windows")
                .is_some_and(|w| known.versions.within(w) == Truth::Yes) =>
        {
            "ver"
        }
        Some(known)
            if Versions::parse("linux").is_some_and(|l| known.versions.within(l) == Truth::Yes) =>
        {
            "cat /etc/os-release"
        }
        _ => "ver (Windows) or cat /etc/os-release (Linux)",
    };
    Step {
        on: host.map(|h| h.to_string()),
        only_if: String::new(),
        command: command.to_owned(),
        expect: "the version of the system; then give it with --os HOST=VERSION, and only the commands that fit are left".to_owned(),
    }
}

/// The same remedy on two hosts.
fn merge(mut all: Remedy, one: Remedy) -> Remedy {
    let add = |into: &mut Vec<Step>, steps: Vec<Step>| {
        for step in steps {
            if !into.contains(&step) {
                into.push(step);
            }
        }
    };
    add(&mut all.confirm, one.confirm);
    add(&mut all.fix, one.fix);
    add(&mut all.undo, one.undo);
    all.findings.extend(one.findings);
    all.findings.sort_unstable();
    all.findings.dedup();
    all.likely = all.likely.max(one.likely);
    for (into, from) in [
        (&mut all.unknown, one.unknown),
        (&mut all.against, one.against),
        (&mut all.known, one.known),
    ] {
        for text in from {
            if !into.contains(&text) {
                into.push(text);
            }
        }
    }
    all
}
