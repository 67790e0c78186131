//! What an id or a code means: symptoms, remedies, causes, SMTP replies, NTSTATUS, Winsock errors; and the catalogue of remedies.
//!
//! Takes:  an id or code as a person types it; [`Engine`]
//! Gives:  text from the rules, texts of symptoms and causes, and tables: nothing is written twice
//! Never:  guesses: what is not known by its name has near names, and no text

use std::fmt::Write as _;

use super::file::{Rule, RuleStep};
use super::{Engine, causes, near, symptoms};

const SMTP: &str = include_str!("../proto/smtp/codes.tsv");
const NTSTATUS: &str = include_str!("../proto/smb/status.tsv");
const WINSOCK: &str = include_str!("tables/winsock.tsv");

/// What `query` means, by the embedded rules; `None` where it is not known.
#[must_use]
pub fn explain(query: &str) -> Option<String> {
    Engine::load(&[]).ok()?.explain(query)
}

/// Ids and codes near to `query`.
#[must_use]
pub fn nearest(query: &str) -> Vec<String> {
    Engine::load(&[])
        .map(|e| e.nearest(query))
        .unwrap_or_default()
}

fn rows(table: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    table
        .lines()
        .filter(|l| !l.starts_with('#') && !l.is_empty())
        .map(|l| l.split('\t').collect())
}

/// Whose a row of the table of SMTP's codes is, in words.
fn whose(kind: &str) -> &str {
    match kind {
        "enhanced" => "RFC 3463",
        "basic" => "RFC 5321",
        "exchange" => "Exchange",
        "exchange2003" => "Exchange 2000 and 2003",
        "exo" => "Exchange Online",
        "postfix" => "Postfix",
        "exim" => "Exim",
        other => other,
    }
}

/// Whether an enhanced status code lies in a range of the table: `5.7.950` in `5.7.900-5.7.999`.
fn lies_between(code: &str, from: &str, to: &str) -> bool {
    let numbers =
        |code: &str| -> Option<Vec<u16>> { code.split('.').map(|n| n.parse().ok()).collect() };
    match (numbers(code), numbers(from), numbers(to)) {
        (Some(code), Some(from), Some(to)) => from <= code && code <= to,
        _ => false,
    }
}

fn cell<'a>(row: &[&'a str], at: usize) -> &'a str {
    row.get(at).copied().unwrap_or("").trim()
}

/// Name and meaning of a Winsock error: `WSAETIMEDOUT, …`; `None` for a code that is not known.
#[must_use]
pub fn winsock(code: u32) -> Option<String> {
    let code = code.to_string();
    let row = rows(WINSOCK).find(|row| cell(row, 0) == code)?;
    Some(format!("{}, {}", cell(&row, 2), cell(&row, 4)))
}

impl Engine {
    /// What `query` means: a symptom, a remedy, a cause that time is booked under, an SMTP reply or status code, an NTSTATUS, a
    /// Winsock error.
    #[must_use]
    pub fn explain(&self, query: &str) -> Option<String> {
        let query = query.trim();
        if let Some(symptom) = symptoms::get(&query.to_lowercase()) {
            let mut text = format!(
                "{}: {}\n\nWhat it means\n  {}\n\nHow it is measured\n  {}\n\nWhat it is not\n  {}\n",
                symptom.id, symptom.title, symptom.means, symptom.measured, symptom.not
            );
            let remedies: Vec<&Rule> = self.remedies_of(&symptom.id).collect();
            if !remedies.is_empty() {
                text.push_str("\nRemedies\n");
                for rule in remedies {
                    let _ = writeln!(text, "  {}: {}", rule.id, rule.title);
                }
            }
            return Some(text);
        }
        if let Some(rule) = self.rule(&query.to_lowercase().replace('.', "-")) {
            return Some(page(rule));
        }
        if let Some(cause) = causes::get(&query.to_lowercase()) {
            let mut text = format!(
                "{}: {}\n\nWhat it means\n  {}\n\nHow it is measured\n  {}\n\nWhat to do\n  {}\n\nFindings of it\n",
                cause.id, cause.title, cause.means, cause.measured, cause.todo
            );
            for symptom in cause.see.iter().filter_map(|id| symptoms::get(id)) {
                let _ = writeln!(text, "  {}: {}", symptom.id, symptom.title);
            }
            return Some(text);
        }
        self.smtp(query)
            .or_else(|| self.ntstatus(query))
            .or_else(|| self.winsock(query))
    }

    /// Ids and codes near to `query`, the nearest first.
    #[must_use]
    pub fn nearest(&self, query: &str) -> Vec<String> {
        let mut names: Vec<String> = self.rules().iter().map(|r| r.id.clone()).collect();
        names.extend(symptoms::all().iter().map(|s| s.id.clone()));
        names.extend(causes::all().iter().map(|c| c.id.clone()));
        names.extend(rows(NTSTATUS).map(|r| cell(&r, 1).to_owned()));
        names.extend(rows(WINSOCK).map(|r| cell(&r, 2).to_owned()));
        names.extend(
            rows(SMTP)
                .filter(|r| cell(r, 0) == "enhanced")
                .map(|r| cell(&r, 1).to_owned()),
        );
        near::of(query, names, 5)
    }

    /// Codes, symptoms and remedies whose text holds `query`, in any case.
    #[must_use]
    pub fn speaking_of(&self, query: &str) -> Vec<String> {
        let query = query.trim().to_lowercase();
        if query.len() < 3 {
            return Vec::new();
        }
        let holds = |text: &str| text.to_lowercase().contains(&query);
        let mut names = Vec::new();
        for (table, name) in [(SMTP, 1), (NTSTATUS, 1), (WINSOCK, 2)] {
            let found = rows(table).filter(|row| row.iter().any(|cell| holds(cell)));
            names.extend(found.map(|row| cell(&row, name).to_owned()));
        }
        let symptoms = symptoms::all().iter();
        names.extend(
            symptoms
                .filter(|s| holds(&s.title) || holds(&s.means))
                .map(|s| s.id.clone()),
        );
        let rules = self.rules().iter();
        names.extend(
            rules
                .filter(|r| holds(&r.title) || holds(&r.why))
                .map(|r| r.id.clone()),
        );
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(name.clone()));
        names
    }

    /// Rules that a symptom may call for.
    pub fn remedies_of<'a>(&'a self, symptom: &'a str) -> impl Iterator<Item = &'a Rule> {
        self.rules().iter().filter(move |rule| {
            let mut asked = Vec::new();
            if let Some(when) = &rule.when {
                when.symptoms(&mut asked);
            }
            asked.iter().any(|a| match a.strip_suffix('*') {
                Some(family) => symptom.starts_with(family),
                None => *a == symptom,
            })
        })
    }

    /// Names the remedy of a table's row, where there is one.
    fn pointer(&self, id: &str) -> String {
        let id = id.replace('.', "-");
        self.rule(&id)
            .map_or_else(String::new, |r| format!("  remedy {}: {}\n", r.id, r.title))
    }

    fn smtp(&self, query: &str) -> Option<String> {
        let parts: Vec<&str> = query.split([' ', '-']).filter(|p| !p.is_empty()).collect();
        let basic = parts
            .iter()
            .find(|p| p.len() == 3 && p.bytes().all(|b| b.is_ascii_digit()));
        let enhanced = parts.iter().find(|p| {
            let fields: Vec<&str> = p.split('.').collect();
            fields.len() == 3
                && fields
                    .iter()
                    .all(|f| !f.is_empty() && f.len() <= 3 && f.bytes().all(|b| b.is_ascii_digit()))
        });
        if parts.len() > 2
            || basic.is_some() as usize + enhanced.is_some() as usize != parts.len()
            || parts.is_empty()
        {
            return None;
        }
        let mut text = String::new();
        for row in rows(SMTP) {
            let (kind, code) = (cell(&row, 0), cell(&row, 1));
            let hit = code.split([' ', '/']).any(|c| {
                basic.is_some_and(|b| *b == c)
                    || enhanced.is_some_and(|e| {
                        *e == c
                            || c.strip_prefix('X')
                                .is_some_and(|tail| e.get(1..) == Some(tail))
                            || c.split_once('-')
                                .is_some_and(|(from, to)| lies_between(e, from, to))
                    })
            });
            // With both given, a row that names both wins over one that names half.
            if !hit
                || (basic.is_some() && enhanced.is_some() && kind == "basic" && !text.is_empty())
            {
                continue;
            }
            let pattern = cell(&row, 2);
            let said = if pattern.is_empty() {
                String::new()
            } else {
                format!(" \"{pattern}\"")
            };
            let _ = writeln!(
                text,
                "{code}{said} ({}, {}): {}",
                whose(kind),
                match cell(&row, 4) {
                    "by-class" => "what it comes to is told by its first digit",
                    outcome => outcome,
                },
                cell(&row, 3)
            );
            text.push_str(&self.pointer(cell(&row, 6)));
        }
        (!text.is_empty()).then_some(text)
    }

    fn ntstatus(&self, query: &str) -> Option<String> {
        let wanted = query.to_uppercase();
        let number = wanted
            .strip_prefix("0X")
            .and_then(|h| u32::from_str_radix(h, 16).ok());
        for row in rows(NTSTATUS) {
            let value = cell(&row, 0)
                .strip_prefix("0x")
                .and_then(|h| u32::from_str_radix(h, 16).ok());
            let name = cell(&row, 1);
            let named = name == wanted || name.strip_prefix("STATUS_") == Some(wanted.as_str());
            if (number.is_some() && number == value) || named {
                let mut text = format!(
                    "{} {name} ({}): {}\n",
                    cell(&row, 0),
                    cell(&row, 2),
                    cell(&row, 4)
                );
                if !cell(&row, 6).is_empty() {
                    let _ = writeln!(text, "  {}", cell(&row, 6));
                }
                text.push_str(&self.pointer(cell(&row, 5)));
                return Some(text);
            }
        }
        None
    }

    fn winsock(&self, query: &str) -> Option<String> {
        let wanted = query.to_uppercase();
        let hex = wanted.strip_prefix("0X").unwrap_or(&wanted);
        for row in rows(WINSOCK) {
            let names = [cell(&row, 0), cell(&row, 1), cell(&row, 2), cell(&row, 3)];
            let hit = names.iter().any(|n| !n.is_empty() && *n == wanted)
                || (hex.len() >= 4
                    && cell(&row, 1).trim_start_matches('0') == hex.trim_start_matches('0'));
            if hit {
                let mut text = format!(
                    "{} {} (0x{}, {}): {}\n",
                    names[0],
                    names[2],
                    names[1],
                    names[3],
                    cell(&row, 4)
                );
                if !cell(&row, 7).is_empty() {
                    let _ = writeln!(text, "  on the wire: {}", cell(&row, 7));
                }
                text.push_str(&self.pointer(cell(&row, 6)));
                return Some(text);
            }
        }
        None
    }

    /// One line a rule: id, title, versions.
    #[must_use]
    pub fn list(&self) -> Vec<(&str, &str, String)> {
        self.rules()
            .iter()
            .map(|r| (r.id.as_str(), r.title.as_str(), r.applies.words()))
            .collect()
    }

    /// One rule as a page of text; `None` where the id is not known.
    #[must_use]
    pub fn show(&self, id: &str) -> Option<String> {
        self.rule(id).map(page)
    }

    /// The catalogue of all remedies as Markdown: `docs/remedies.md`.
    #[must_use]
    pub fn catalogue(&self) -> String {
        let mut text = String::from(
            "# Remedies\n\nGenerated from `src/rules/remedies/`: edit there, then run `TCPTRIAGE_BLESS=1 cargo test --lib rules::`.\n\
             `{subject}` is the host at fault or suspected, `{peer}` the other end.\n",
        );
        for rule in self.rules() {
            let _ = write!(
                text,
                "\n## {}\n\n{}\n\n",
                rule.id,
                markdown(&sentence(&rule.title))
            );
            let _ = writeln!(text, "- **Applies to:** {}", applies(rule));
            let mut asked = Vec::new();
            if let Some(when) = &rule.when {
                when.symptoms(&mut asked);
            }
            asked.sort_unstable();
            asked.dedup();
            if !asked.is_empty() {
                let ids: Vec<String> = asked.iter().map(|s| format!("`{s}`")).collect();
                let _ = writeln!(text, "- **Called for by:** {}", ids.join(", "));
            }
            if rule.facts_alone.is_some() {
                text.push_str("- Also called for by a host's facts alone.\n");
            }
            for (head, body) in [
                ("What is seen", &rule.seen),
                ("Why it hurts", &rule.why),
                ("Risk", &rule.risk),
                ("Wrong when", &rule.wrong_when),
            ] {
                if !body.is_empty() {
                    let _ = writeln!(text, "- **{head}:** {}", markdown(body));
                }
            }
            for (head, steps) in [
                ("Confirm", &rule.confirm),
                ("Fix", &rule.fix),
                ("Undo", &rule.undo),
            ] {
                if !steps.is_empty() {
                    let _ = writeln!(text, "\n{head}:\n");
                    for step in steps {
                        let _ = writeln!(
                            text,
                            "- {}`` {} ``{}",
                            markdown(&before(step)),
                            step.command,
                            markdown(&after(step))
                        );
                    }
                }
            }
            if !rule.sources.is_empty() {
                let _ = writeln!(text, "\nSources: {}", rule.sources.join("; "));
            }
        }
        text
    }
}

fn markdown(text: &str) -> String {
    text.replace('<', "&lt;")
        .replace('*', "\\*")
        .replace('_', "\\_")
}

fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |c| {
        format!("{}{}.", c.to_uppercase(), chars.as_str())
    })
}

fn applies(rule: &Rule) -> String {
    if rule.applies_note.is_empty() {
        rule.applies.words()
    } else {
        format!("{}; {}", rule.applies.words(), rule.applies_note)
    }
}

fn before(step: &RuleStep) -> String {
    use super::On;
    let mut parts = Vec::new();
    match step.on {
        On::Subject => {}
        On::Peer => parts.push("at the other end".to_owned()),
        On::Both => parts.push("at both ends".to_owned()),
        On::Anywhere => parts.push("anywhere".to_owned()),
        On::Switch => parts.push("on the switch".to_owned()),
        On::Firewall => parts.push("on the firewall or device between".to_owned()),
        On::Here => parts.push("on this machine".to_owned()),
    }
    if step.applies != super::Applies::default() {
        parts.push(step.applies.words());
    }
    if let Some(when) = &step.when {
        parts.push(format!("if {}", when.words()));
    }
    if parts.is_empty() {
        String::new()
    } else {
        format!("({}) ", parts.join("; "))
    }
}

fn after(step: &RuleStep) -> String {
    if step.expect.is_empty() {
        String::new()
    } else {
        format!(" → {}", step.expect)
    }
}

/// A rule under its fixed headings.
fn page(rule: &Rule) -> String {
    let mut text = format!(
        "{}: {}\n\nWhat was seen\n  {}\n\nWhy it hurts\n  {}\n\nWhat to do (applies to: {})\n",
        rule.id,
        rule.title,
        rule.seen,
        rule.why,
        applies(rule)
    );
    for (head, steps) in [
        ("confirm", &rule.confirm),
        ("fix", &rule.fix),
        ("undo", &rule.undo),
    ] {
        for step in steps {
            let _ = writeln!(
                text,
                "  {head}: {}{}{}",
                before(step),
                step.command,
                after(step)
            );
        }
    }
    if !rule.risk.is_empty() {
        let _ = writeln!(text, "  risk: {}", rule.risk);
    }
    let silent = if rule.wrong_when.is_empty() {
        "nothing known"
    } else {
        &rule.wrong_when
    };
    let _ = write!(text, "\nWhen it is wrong\n  {silent}\n");
    if !rule.sources.is_empty() {
        let _ = write!(text, "\nSources\n  {}\n", rule.sources.join("\n  "));
    }
    text
}
