//! The commands that ask what the program knows: `explain`, `rules`, `facts` and `collect`.
//!
//! Takes:  an id, a code, a rule file, what hosts print
//! Gives:  what the program knows of it, as text or JSON
//! Never:  reads a capture

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use tcptriage::facts::{self, Facts};
use tcptriage::report::{escape, json};
use tcptriage::rules::{self, Engine};

use super::args::{CollectOs, Explain, FactsFormat, FactsOf, RulesCommand};
use super::{Outcome, Talk, complain, print};

/// Largest file of facts that is read; the facts stage has a lower limit of its own and says when it is reached.
const MAX_FACTS_FILE: u64 = 1 << 30;

/// `rules list`, `rules show ID`, `rules check FILE...`.
pub(super) fn rules(talk: Talk, command: &RulesCommand) -> anyhow::Result<Outcome> {
    match command {
        RulesCommand::List => {
            let engine = Engine::load(&[])?;
            let width = engine
                .rules()
                .iter()
                .map(|r| r.id.len())
                .max()
                .unwrap_or_default();
            let mut text = String::new();
            for rule in engine.rules() {
                let _ = writeln!(text, "{:width$}  {}", rule.id, escape::line(&rule.title));
            }
            print(talk, text.as_bytes())
        }
        RulesCommand::Show { id } => {
            let engine = Engine::load(&[])?;
            if engine.rule(id).is_none() {
                bail!("there is no rule '{id}'; see tcptriage rules list");
            }
            print(talk, explained(&engine, id)?.as_bytes())
        }
        RulesCommand::Check { files } => {
            let mut wrong = 0;
            let mut text = String::new();
            for path in files {
                match rules::check(path) {
                    Ok(rule) => {
                        let _ = writeln!(
                            text,
                            "{}: rule {} is good",
                            escape::line(&path.display().to_string()),
                            rule.id
                        );
                    }
                    Err(error) => {
                        wrong += 1;
                        complain(&error.to_string());
                    }
                }
            }
            print(talk, text.as_bytes())?;
            if wrong > 0 {
                bail!("{wrong} of {} rule files cannot be used", files.len());
            }
            Ok(Outcome::Done)
        }
    }
}

/// `explain ID`.
pub(super) fn explain(talk: Talk, args: &Explain) -> anyhow::Result<Outcome> {
    let engine = Engine::load(&args.rules)?;
    // Words of one code (`421 4.4.2`), or several names.
    let whole = args.id.join(" ");
    if args.id.len() < 2 || engine.explain(&whole).is_some() {
        return print(talk, explained(&engine, &whole)?.as_bytes());
    }
    let each: anyhow::Result<Vec<String>> =
        args.id.iter().map(|id| explained(&engine, id)).collect();
    print(talk, each?.join("\n").as_bytes())
}

/// What an id means, line by line harmless: a user's own rule file may hold anything.
fn explained(engine: &Engine, id: &str) -> anyhow::Result<String> {
    let Some(text) = engine.explain(id) else {
        let near: Vec<String> = engine.nearest(id).into_iter().take(3).collect();
        let speaking: Vec<String> = (engine.speaking_of(id).into_iter())
            .filter(|name| !near.contains(name))
            .take(6)
            .collect();
        let mut message = format!("nothing is known by the name '{id}'");
        for (how, names) in [("near to it", near), ("it is spoken of in", speaking)] {
            if !names.is_empty() {
                let _ = write!(message, "; {how}: {}", names.join(", "));
            }
        }
        bail!(message);
    };
    Ok(text.lines().fold(String::new(), |mut out, line| {
        let _ = writeln!(out, "{}", escape::line(line));
        out
    }))
}

/// `facts FILE...`: what was understood, and what was not.
pub(super) fn facts(talk: Talk, args: &FactsOf) -> anyhow::Result<Outcome> {
    let mut facts = Facts::default();
    let mut unknown = Vec::new();
    for (host, path) in &args.files {
        let octets = read_bounded(path)?;
        let name = path.display().to_string();
        if facts::read(host.as_deref(), &name, &octets, &mut facts) == 0 {
            unknown.push(name);
        }
    }
    let mut text = Vec::new();
    match args.format {
        FactsFormat::Text => text.extend_from_slice(facts_text(&facts).as_bytes()),
        FactsFormat::Json => json::pretty(&facts_json(&facts), &mut text)?,
    }
    let done = print(talk, &text)?;
    if !unknown.is_empty() {
        bail!(
            "nothing in {} was understood; known are {}",
            unknown.join(", "),
            facts::KNOWN
        );
    }
    Ok(done)
}

fn read_bounded(path: &Path) -> anyhow::Result<Vec<u8>> {
    let cannot = || format!("cannot read {}", path.display());
    let mut octets = Vec::new();
    File::open(path)
        .with_context(cannot)?
        .take(MAX_FACTS_FILE)
        .read_to_end(&mut octets)
        .with_context(cannot)?;
    Ok(octets)
}

fn facts_text(facts: &Facts) -> String {
    let mut text = String::new();
    let mut last = None;
    for fact in &facts.facts {
        if last != Some(&fact.host) {
            let host = fact.host.as_deref().unwrap_or("(host not said)");
            let gap = if last.is_some() { "\n" } else { "" };
            let _ = writeln!(text, "{gap}{}", escape::line(host));
            last = Some(&fact.host);
        }
        let mut name = fact.name.clone();
        if let Some(subject) = &fact.subject {
            let _ = write!(name, " [{subject}]");
        }
        let mark = if fact.inferred { " (inferred)" } else { "" };
        let _ = writeln!(
            text,
            "  {} = {}{mark}  ({}:{})",
            escape::line(&name),
            escape::line(&fact.value),
            escape::line(&fact.file),
            fact.line
        );
    }
    if facts.facts.is_empty() {
        text.push_str("No facts were understood.\n");
    }
    if !facts.not_understood.is_empty() {
        let _ = writeln!(text, "\nNot understood:");
        for (file, line, what) in &facts.not_understood {
            let _ = writeln!(
                text,
                "  {}:{line}: {}",
                escape::line(file),
                escape::line(what)
            );
        }
    }
    for what in &facts.left_out {
        let _ = writeln!(text, "Left out: {}", escape::line(what));
    }
    text
}

fn facts_json(facts: &Facts) -> serde_json::Value {
    serde_json::json!({
        "schema": "tcptriage.facts/1",
        "facts": facts.facts.iter().map(|f| serde_json::json!({
            "host": f.host, "name": f.name, "subject": f.subject, "value": f.value, "inferred": f.inferred,
            "file": f.file, "line": f.line, "text": f.text,
        })).collect::<Vec<_>>(),
        "not_understood": facts.not_understood.iter().map(|(file, line, text)| serde_json::json!({
            "file": file, "line": line, "text": text,
        })).collect::<Vec<_>>(),
        "left_out": facts.left_out,
    })
}

/// `collect`: the script.
pub(super) const fn script(os: CollectOs) -> &'static str {
    facts::collect_script(match os {
        CollectOs::Windows => facts::Os::Windows,
        CollectOs::Windows2003 => facts::Os::Windows2003,
        CollectOs::Linux => facts::Os::Linux,
    })
}
