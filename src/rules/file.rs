//! Rule files: TOML text in, a checked [`Rule`] out.
//!
//! Takes:  the text of one file and its name
//! Gives:  [`Rule`], or a [`RuleError`] that points at file, line, column and key
//! Never:  skips a key that it does not know

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::condition::{Condition, SymptomTest, Test, Whose};
use super::version::{Scale, Versions};
use crate::detect::Severity;

/// Deepest nesting of conditions.
const MAX_DEPTH: usize = 8;

/// What is wrong with a rule file, and where.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{file}{}: {}{message}", Place(*.line, *.column), Key(.key))]
pub struct RuleError {
    /// The file.
    pub file: String,
    /// Line, from 1; 0 where the file cannot be read at all.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// The key concerned, with those around it: `remedy.fix`; empty where there is none.
    pub key: String,
    /// What is wrong with it.
    pub message: String,
}

/// `:4:1`, or nothing where there is no such place.
struct Place(usize, usize);

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(0, _) => Ok(()),
            Self(line, column) => write!(f, ":{line}:{column}"),
        }
    }
}

struct Key<'a>(&'a str);

impl fmt::Display for Key<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            Ok(())
        } else {
            write!(f, "key `{}`: ", self.0)
        }
    }
}

/// Which versions something holds for: a missing list allows all.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Applies {
    /// Operating systems.
    pub systems: Option<Versions>,
    /// Mail servers.
    pub products: Option<Versions>,
}

/// Where a step is to be done.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum On {
    /// On the host at fault or suspected.
    #[default]
    Subject,
    /// On the host at the other end.
    Peer,
    /// On both.
    Both,
    /// Anywhere.
    Anywhere,
    /// On the switch that the host hangs on.
    Switch,
    /// On the firewall, or whatever device stands in the path.
    Firewall,
    /// On the machine that tcptriage runs on.
    Here,
}

/// A step as the file has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RuleStep {
    /// Where.
    pub on: On,
    /// Command or action, with `{subject}`, `{peer}`, `{port}`, `{bits}` to fill in.
    pub command: String,
    /// What to expect.
    pub expect: String,
    /// For which versions.
    pub applies: Applies,
    /// Only where these facts hold.
    pub when: Option<Condition>,
}

/// A fact or finding that makes the cause more or less likely.
#[derive(Clone, Debug, PartialEq)]
pub struct Weigh {
    /// What.
    pub when: Condition,
    /// By how much the likelihood changes.
    pub by: f64,
    /// What to tell the reader.
    pub say: String,
}

/// Place in the order of advice.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub enum Stage {
    /// Mends a cause.
    #[default]
    Mend,
    /// Finds out more where what is known does not decide.
    FindOut,
    /// Proves that it is mended.
    Prove,
}

/// A rule: from symptom to remedy.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rule {
    /// Id: the file's name without ending.
    pub id: String,
    /// File it came from.
    pub file: String,
    /// Whether it came with the program.
    pub built_in: bool,
    /// Title, small initial, no full stop.
    pub title: String,
    /// Likelihood that this is the cause where `when` holds, 0 to 1.
    pub likely: f64,
    /// 0 look, 1 setting, 2 short outage, 3 restart, 4 maintenance window, 5 new hardware.
    pub cost: u8,
    /// Place in the order.
    pub stage: Stage,
    /// Whether it mends the host at the other end of what the findings accuse: then that is its subject.
    pub of_peer: bool,
    /// Whether a host's facts alone call for it.
    pub facts_alone: Option<Condition>,
    /// When findings call for it.
    pub when: Option<Condition>,
    /// What makes it more or less likely.
    pub weigh: Vec<Weigh>,
    /// What is seen on the wire.
    pub seen: String,
    /// The cause, and why it hurts.
    pub why: String,
    /// Steps that confirm.
    pub confirm: Vec<RuleStep>,
    /// Steps that mend.
    pub fix: Vec<RuleStep>,
    /// Steps that take the fix back.
    pub undo: Vec<RuleStep>,
    /// What may break.
    pub risk: String,
    /// When it is the wrong remedy.
    pub wrong_when: String,
    /// For which versions.
    pub applies: Applies,
    /// What else it needs, in words.
    pub applies_note: String,
    /// Documents.
    pub sources: Vec<String>,
    /// `A` vendor's own document, `B` public third party, `C` inferred from protocol knowledge.
    pub grade: String,
}

impl Applies {
    /// In words.
    #[must_use]
    pub fn words(&self) -> String {
        match (self.systems, self.products) {
            (None, None) => "all".to_owned(),
            (Some(s), None) => s.words(),
            (None, Some(p)) => p.words(),
            (Some(s), Some(p)) => format!("{} on {}", p.words(), s.words()),
        }
    }
}

type Value<'i> = Spanned<DeValue<'i>>;

/// One file being read.
struct File<'a> {
    name: &'a str,
    text: &'a str,
}

/// A table being read: every key must be asked for.
struct Table<'a, 'i> {
    file: &'a File<'a>,
    path: String,
    table: &'a DeTable<'i>,
    span: Range<usize>,
    asked: Vec<&'static str>,
}

impl File<'_> {
    fn error(&self, span: Range<usize>, key: &str, message: impl Into<String>) -> RuleError {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        RuleError {
            file: self.name.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.get(line_start..).map_or(0, |l| l.chars().count()) + 1,
            key: key.to_owned(),
            message: message.into(),
        }
    }
}

/// Reads one rule; `id` is the file's name without its ending.
///
/// # Errors
/// At the first thing that is wrong.
pub fn parse(id: &str, file: &str, text: &str) -> Result<Rule, RuleError> {
    let src = File { name: file, text };
    let doc = DeTable::parse(text)
        .map_err(|e| src.error(e.span().unwrap_or(0..0), "", e.message().to_owned()))?;
    let mut top = Table::new(&src, String::new(), doc.get_ref(), 0..0);
    if id.is_empty()
        || !id
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    {
        return Err(src.error(
            0..0,
            "",
            format!("the file's name `{id}` is the id: small letters, digits and hyphens only"),
        ));
    }
    let mut rule = Rule {
        id: id.to_owned(),
        file: file.to_owned(),
        title: top.need_text("title")?,
        likely: top.number("likely")?.unwrap_or(0.3),
        ..Rule::default()
    };
    if !(0.0..=1.0).contains(&rule.likely) {
        return Err(top.error("likely", "must lie between 0 and 1"));
    }
    let cost = top.number("cost")?.unwrap_or(1.0);
    rule.cost = match (0u8..=5).find(|c| (f64::from(*c) - cost).abs() < f64::EPSILON) {
        Some(cost) => cost,
        None => {
            return Err(top.error(
                "cost",
                "must be a whole number from 0 (look) to 5 (new hardware)",
            ));
        }
    };
    rule.stage = match top.text("stage")?.as_deref() {
        None | Some("mend") => Stage::Mend,
        Some("find-out") => Stage::FindOut,
        Some("prove") => Stage::Prove,
        Some(_) => return Err(top.error("stage", "must be `mend`, `find-out` or `prove`")),
    };
    rule.of_peer = match top.text("of")?.as_deref() {
        None | Some("subject") => false,
        Some("peer") => true,
        Some(_) => return Err(top.error("of", "must be `subject` or `peer`")),
    };
    rule.grade = top.text("grade")?.unwrap_or_default();
    if let Some(when) = top.table("when")? {
        rule.when = Some(condition(when, 0)?);
    }
    if let Some(alone) = top.table("facts_alone")? {
        rule.facts_alone = Some(condition(alone, 0)?);
    }
    if rule.when.is_none() && rule.facts_alone.is_none() {
        return Err(src.error(
            0..0,
            "when",
            "is missing: nothing would ever call for this rule",
        ));
    }
    for (path, item) in top.array("weigh")? {
        rule.weigh.push(weigh(Table::of(&src, path, item)?)?);
    }
    let Some(mut remedy) = top.table("remedy")? else {
        return Err(src.error(0..0, "remedy", "is missing"));
    };
    rule.confirm = steps(&mut remedy, "confirm")?;
    rule.fix = steps(&mut remedy, "fix")?;
    rule.undo = steps(&mut remedy, "undo")?;
    if rule.confirm.is_empty() && rule.fix.is_empty() {
        return Err(remedy.error_here("has neither `confirm` nor `fix`"));
    }
    rule.risk = remedy.text("risk")?.unwrap_or_default();
    rule.wrong_when = remedy.text("wrong_when")?.unwrap_or_default();
    rule.applies = applies(&mut remedy, "applies_to")?;
    rule.applies_note = remedy.text("applies_note")?.unwrap_or_default();
    rule.sources = remedy.texts("sources")?;
    remedy.done()?;
    let Some(mut explain) = top.table("explain")? else {
        return Err(src.error(0..0, "explain", "is missing"));
    };
    rule.seen = explain.need_text("seen")?;
    rule.why = explain.need_text("why")?;
    explain.done()?;
    top.done()?;
    Ok(rule)
}

fn condition(mut table: Table<'_, '_>, depth: usize) -> Result<Condition, RuleError> {
    if depth > MAX_DEPTH {
        return Err(table.error_here(format!("conditions nest deeper than {MAX_DEPTH}")));
    }
    let found = if table.has("symptom") {
        symptom(&mut table)?
    } else if table.has("fact") {
        fact(&mut table)?
    } else {
        let mut parts = Vec::new();
        for key in ["all", "any", "none"] {
            if !table.has(key) {
                continue;
            }
            let mut group = Vec::new();
            for (path, item) in table.array(key)? {
                group.push(condition(Table::of(table.file, path, item)?, depth + 1)?);
            }
            if group.is_empty() {
                return Err(table.error(key, "holds no condition"));
            }
            parts.push(match key {
                "all" => Condition::All(group),
                "any" => Condition::Any(group),
                _ => Condition::None(group),
            });
        }
        match parts.len() {
            0 => return Err(table.error_here("wants `symptom`, `fact`, `all`, `any` or `none`")),
            1 => parts.swap_remove(0),
            _ => Condition::All(parts),
        }
    };
    table.done()?;
    Ok(found)
}

fn symptom(table: &mut Table<'_, '_>) -> Result<Condition, RuleError> {
    let id = table.need_text("symptom")?;
    if !super::symptoms::is_known(&id) {
        return Err(table.error(
            "symptom",
            format!("`{id}` is no symptom; `tcptriage rules list` names them"),
        ));
    }
    let confidence = table.number("confidence")?.unwrap_or(0.0);
    let severity = match table.text("severity")?.as_deref() {
        None => None,
        Some("info") => Some(Severity::Info),
        Some("warning") => Some(Severity::Warning),
        Some("critical") => Some(Severity::Critical),
        Some(_) => return Err(table.error("severity", "must be `info`, `warning` or `critical`")),
    };
    let mut tests = Vec::new();
    for (key, value) in table.rest() {
        let name = key.get_ref().to_string();
        if !super::words::is_measure(&name) {
            let near = super::near::of(&name, super::words::measures(), 1);
            return Err(table.file.error(
                key.span(),
                &table.path_of(&name),
                format!(
                    "no finding has a measure or word of this name{}",
                    near.first()
                        .map_or_else(String::new, |n| format!("; `{n}` is near"))
                ),
            ));
        }
        tests.push((
            name.clone(),
            self::test(table.file, &table.path_of(&name), value)?,
        ));
    }
    tests.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Condition::Symptom(SymptomTest {
        id,
        confidence,
        severity,
        tests,
    }))
}

fn fact(table: &mut Table<'_, '_>) -> Result<Condition, RuleError> {
    let name = table.need_text("fact")?;
    if !super::words::is_fact(&name) {
        let near = super::near::of(&name, super::words::facts(), 1);
        return Err(table.error(
            "fact",
            format!(
                "`{name}` is no fact that is ever known{}",
                near.first()
                    .map_or_else(String::new, |n| format!("; `{n}` is near"))
            ),
        ));
    }
    let whose = match table.text("of")?.as_deref() {
        None | Some("subject") => Whose::Subject,
        Some("peer") => Whose::Peer,
        Some("either") => Whose::Either,
        Some(_) => return Err(table.error("of", "must be `subject`, `peer` or `either`")),
    };
    let test = read_test(table)?;
    if matches!(name.as_str(), "os" | "exchange" | "mta") {
        for word in test.is.iter().chain(&test.is_not) {
            if Versions::parse(word).is_none() {
                return Err(table.error(
                    "is",
                    format!("`{word}` is no version of a system or product"),
                ));
            }
        }
    }
    Ok(Condition::Fact { name, whose, test })
}

/// A bare value means `is`; a table holds comparisons.
fn test(file: &File<'_>, path: &str, value: &Value<'_>) -> Result<Test, RuleError> {
    if let DeValue::Table(inner) = value.get_ref() {
        let mut table = Table::new(file, path.to_owned(), inner, value.span());
        let test = read_test(&mut table)?;
        table.done()?;
        return Ok(test);
    }
    Ok(Test {
        is: words(file, path, value)?,
        ..Test::default()
    })
}

fn read_test(table: &mut Table<'_, '_>) -> Result<Test, RuleError> {
    let older = table.number("older_than_days")?;
    let days = match older {
        None => None,
        Some(days) if (0.0..=100_000.0).contains(&days) => {
            let days = days as u32;
            Some(days)
        }
        Some(_) => return Err(table.error("older_than_days", "must lie between 0 and 100000")),
    };
    Ok(Test {
        is: table.texts("is")?,
        is_not: table.texts("is_not")?,
        contains: table.texts("contains")?,
        at_least: table.bound("at_least")?,
        at_most: table.bound("at_most")?,
        above: table.bound("above")?,
        below: table.bound("below")?,
        older_than_days: days,
        known: table.flag("known")?,
    })
}

fn weigh(mut table: Table<'_, '_>) -> Result<Weigh, RuleError> {
    let Some(by) = table.number("by")? else {
        return Err(table.error_here("wants `by`: how much more or less likely"));
    };
    if !(-1.0..=1.0).contains(&by) {
        return Err(table.error("by", "must lie between -1 and 1"));
    }
    let say = table.need_text("say")?;
    let when = condition(table, 0)?;
    Ok(Weigh { when, by, say })
}

fn steps(table: &mut Table<'_, '_>, key: &'static str) -> Result<Vec<RuleStep>, RuleError> {
    let mut all = Vec::new();
    for (path, item) in table.array(key)? {
        let mut step = Table::of(table.file, path, item)?;
        let on =
            match step.text("on")?.as_deref() {
                None | Some("subject") => On::Subject,
                Some("peer") => On::Peer,
                Some("both") => On::Both,
                Some("anywhere") => On::Anywhere,
                Some("switch") => On::Switch,
                Some("firewall") => On::Firewall,
                Some("here") => On::Here,
                Some(_) => return Err(step.error(
                    "on",
                    "must be `subject`, `peer`, `both`, `anywhere`, `switch`, `firewall` or `here`",
                )),
            };
        let when = match step.table("when")? {
            None => None,
            Some(t) => Some(condition(t, 1)?),
        };
        all.push(RuleStep {
            on,
            command: step.need_text("command")?,
            expect: step.text("expect")?.unwrap_or_default(),
            applies: applies(&mut step, "applies_to")?,
            when,
        });
        step.done()?;
    }
    Ok(all)
}

fn applies(table: &mut Table<'_, '_>, key: &'static str) -> Result<Applies, RuleError> {
    let mut both = Applies::default();
    for word in table.texts(key)? {
        if word == "all" {
            continue;
        }
        let Some(versions) = Versions::parse(&word) else {
            return Err(table.error(
                key,
                format!("`{word}` is no version of a system or product"),
            ));
        };
        let slot = match versions.scale() {
            Scale::System => &mut both.systems,
            Scale::Product => &mut both.products,
        };
        *slot = Some(slot.map_or(versions, |v| v.or(versions)));
    }
    Ok(both)
}

fn word(file: &File<'_>, path: &str, value: &Value<'_>) -> Result<String, RuleError> {
    match value.get_ref() {
        DeValue::String(s) => Ok(s.to_string()),
        DeValue::Integer(i) => Ok(i.as_str().replace('_', "")),
        DeValue::Float(f) => Ok(f.as_str().replace('_', "")),
        DeValue::Boolean(b) => Ok(b.to_string()),
        other => Err(file.error(
            value.span(),
            path,
            format!("must be text or a number, not {}", other.type_str()),
        )),
    }
}

fn words(file: &File<'_>, path: &str, value: &Value<'_>) -> Result<Vec<String>, RuleError> {
    match value.get_ref() {
        DeValue::Array(items) => items.iter().map(|i| word(file, path, i)).collect(),
        _ => Ok(vec![word(file, path, value)?]),
    }
}

impl<'a, 'i> Table<'a, 'i> {
    const fn new(
        file: &'a File<'a>,
        path: String,
        table: &'a DeTable<'i>,
        span: Range<usize>,
    ) -> Self {
        Self {
            file,
            path,
            table,
            span,
            asked: Vec::new(),
        }
    }

    fn of(file: &'a File<'a>, path: String, value: &'a Value<'i>) -> Result<Self, RuleError> {
        match value.get_ref() {
            DeValue::Table(table) => Ok(Self::new(file, path, table, value.span())),
            other => Err(file.error(
                value.span(),
                &path,
                format!("must be a table, not {}", other.type_str()),
            )),
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    fn value(&mut self, key: &'static str) -> Option<&'a Value<'i>> {
        self.asked.push(key);
        self.table.get(key)
    }

    fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    fn error(&self, key: &str, message: impl Into<String>) -> RuleError {
        let span = self
            .table
            .get(key)
            .map_or_else(|| self.span.clone(), Spanned::span);
        self.file.error(span, &self.path_of(key), message)
    }

    fn error_here(&self, message: impl Into<String>) -> RuleError {
        self.file.error(self.span.clone(), &self.path, message)
    }

    fn text(&mut self, key: &'static str) -> Result<Option<String>, RuleError> {
        match self.value(key).map(Spanned::get_ref) {
            None => Ok(None),
            Some(DeValue::String(s)) => Ok(Some(s.trim().to_owned())),
            Some(other) => Err(self.error(key, format!("must be text, not {}", other.type_str()))),
        }
    }

    fn need_text(&mut self, key: &'static str) -> Result<String, RuleError> {
        match self.text(key)? {
            Some(text) if !text.is_empty() => Ok(text),
            Some(_) => Err(self.error(key, "is empty")),
            None => Err(self.error(key, "is missing")),
        }
    }

    fn texts(&mut self, key: &'static str) -> Result<Vec<String>, RuleError> {
        match self.value(key) {
            None => Ok(Vec::new()),
            Some(value) => words(self.file, &self.path_of(key), value),
        }
    }

    fn bound(&mut self, key: &'static str) -> Result<Option<String>, RuleError> {
        match self.value(key) {
            None => Ok(None),
            Some(value) => word(self.file, &self.path_of(key), value).map(Some),
        }
    }

    fn number(&mut self, key: &'static str) -> Result<Option<f64>, RuleError> {
        let number = match self.value(key).map(Spanned::get_ref) {
            None => return Ok(None),
            Some(DeValue::Integer(i)) => i.as_str().parse().ok(),
            Some(DeValue::Float(f)) => f.as_str().parse::<f64>().ok().filter(|n| n.is_finite()),
            Some(_) => None,
        };
        number
            .map(Some)
            .ok_or_else(|| self.error(key, "must be a number"))
    }

    fn flag(&mut self, key: &'static str) -> Result<bool, RuleError> {
        match self.value(key).map(Spanned::get_ref) {
            None => Ok(false),
            Some(DeValue::Boolean(b)) => Ok(*b),
            Some(_) => Err(self.error(key, "must be true or false")),
        }
    }

    fn table(&mut self, key: &'static str) -> Result<Option<Self>, RuleError> {
        let path = self.path_of(key);
        match self.value(key) {
            None => Ok(None),
            Some(value) => Self::of(self.file, path, value).map(Some),
        }
    }

    /// The elements of an array, each with its path; none where the key is missing.
    fn array(&mut self, key: &'static str) -> Result<Vec<(String, &'a Value<'i>)>, RuleError> {
        let path = self.path_of(key);
        match self.value(key).map(Spanned::get_ref) {
            None => Ok(Vec::new()),
            Some(DeValue::Array(items)) => {
                let items: &DeArray<'i> = items;
                Ok(items.iter().map(|v| (path.clone(), v)).collect())
            }
            Some(other) => {
                Err(self.error(key, format!("must be an array, not {}", other.type_str())))
            }
        }
    }

    /// Keys not asked for; they count as asked for then.
    fn rest(&mut self) -> Vec<(&'a Spanned<toml::de::DeString<'i>>, &'a Value<'i>)> {
        let table = self.table;
        let rest: Vec<_> = table
            .iter()
            .filter(|(k, _)| !self.asked.iter().any(|a| *a == k.get_ref().as_ref()))
            .collect();
        self.asked.push("*");
        rest
    }

    /// Fails at a key that nobody asked for.
    fn done(mut self) -> Result<(), RuleError> {
        if self.asked.contains(&"*") {
            return Ok(());
        }
        let known: Vec<&'static str> = self.asked.clone();
        let rest = self.rest();
        match rest.iter().min_by_key(|(k, _)| k.span().start) {
            None => Ok(()),
            Some((key, _)) => {
                let name = key.get_ref().to_string();
                let near = super::near::of(&name, known, 1);
                let hint = near
                    .first()
                    .map_or_else(String::new, |n| format!("; `{n}` is near"));
                Err(self.file.error(
                    key.span(),
                    &self.path_of(&name),
                    format!("is not known here{hint}"),
                ))
            }
        }
    }
}
