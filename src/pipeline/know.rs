//! What is known besides the captures: rules, facts of hosts, logs of servers.
//!
//! Takes:  the files that the settings name
//! Gives:  remedies for findings; sentences on what of the files was of no use
//! Never:  waits for the captures to tell that a file cannot be read

use std::fs::File;
use std::io::Read;
use std::net::IpAddr;
use std::path::Path;

use crate::detect::Finding;
use crate::facts::logs::{self, FlowSpan, Logs};
use crate::facts::{self, Fact, Facts};
use crate::net::{Timestamp, seconds};
use crate::rules::{Engine, HostFacts, Inferred, Remedy, SYSTEMS, Versions};

use super::logged::{self, Span};
use super::{Error, Settings};

/// Octets read of one file of facts or logs; the parsers say so where they leave out some of them.
const MAX_FILE: u64 = 1 << 28;

/// Servers whose logs tell their version.
const MAX_SERVERS: usize = 1_000;

/// What is known besides the captures.
pub(super) struct Knowledge {
    engine: Engine,
    facts: Facts,
    logs: Logs,
    /// Sentences on files of which nothing came.
    of_no_use: Vec<String>,
}

impl Knowledge {
    /// Reads all files.
    pub(super) fn gather(settings: &Settings) -> Result<Self, Error> {
        let engine =
            Engine::load(&settings.rules).map_err(|error| Error::Refused(error.to_string()))?;
        let mut of_no_use = Vec::new();
        let mut facts = Facts::default();
        for (host, os) in &settings.os {
            facts.facts.push(system(host, os)?);
        }
        for (host, path) in &settings.facts {
            let octets = read(path)?;
            let name = path.display().to_string();
            let before = facts.facts.len();
            if facts::read(host.as_deref(), &name, &octets, &mut facts) == 0 {
                return Err(unknown(&name, "facts of hosts", facts::KNOWN));
            }
            if facts.facts.len() == before {
                of_no_use.push(format!("no fact came of the facts in {name}"));
            }
        }
        let mut logs = Logs::default();
        for path in &settings.logs {
            let name = path.display().to_string();
            let before = logs.sessions.len();
            if !logs::read_log(&name, &read(path)?, &mut logs) {
                return Err(unknown(&name, "a log", logs::KNOWN));
            }
            if logs.sessions.len() == before {
                of_no_use.push(format!("no session was found in the log {name}"));
            }
        }
        Ok(Self {
            engine,
            facts,
            logs,
            of_no_use,
        })
    }

    /// Adds what follows from the facts and from the logs, once the captures were read; `last` is their last moment. Logs prove
    /// findings, cast doubt on them, and add their own. Gives sentences for the reader.
    pub(super) fn complete(
        &mut self,
        findings: &mut Vec<Finding>,
        flows: &[Span],
        last: Option<Timestamp>,
    ) -> Vec<String> {
        if let Some(last) = last {
            facts::derive(&mut self.facts, last);
        }
        let mut notes = std::mem::take(&mut self.of_no_use);
        notes.extend(self.of_facts());
        if !self.logs.sessions.is_empty() || !self.logs.not_understood.is_empty() {
            notes.extend(self.of_logs(findings, flows));
        }
        notes
    }

    /// What to do about the findings; and sentences on what is not sure about the facts of hosts.
    pub(super) fn advise(
        &self,
        findings: &[Finding],
        mut inferred: Vec<Inferred>,
        names: Vec<(IpAddr, String)>,
        last: Option<Timestamp>,
    ) -> (Vec<Remedy>, Vec<String>) {
        inferred.extend(self.servers());
        let hosts = HostFacts::new(&self.facts, inferred, names);
        let remedies = self.engine.advise(findings, &hosts, last);
        (remedies, self.engine.doubts(findings, &hosts))
    }

    /// What logs tell of the servers that wrote them: their version stands at the head.
    fn servers(&self) -> Vec<Inferred> {
        let mut all: Vec<Inferred> = Vec::new();
        for session in &self.logs.sessions {
            let value = match session.version {
                Some(8) => "ex2007",
                Some(14) => "ex2010",
                Some(15) => "ex2013..exse",
                _ => continue,
            };
            let Some(local) = session.local.filter(|_| all.len() < MAX_SERVERS) else {
                continue;
            };
            if !all.iter().any(|i| i.host == local.addr && i.value == value) {
                all.push(Inferred {
                    host: local.addr,
                    name: "exchange",
                    value: value.to_owned(),
                    confidence: 0.9,
                    basis: format!("the head of its log {}", session.file),
                });
            }
        }
        all
    }

    fn of_facts(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let Facts {
            not_understood,
            left_out,
            ..
        } = &self.facts;
        if let Some((file, line, _)) = not_understood.first() {
            notes.push(format!(
                "{} not understood (the first: {file} line {line}); tcptriage facts lists them",
                were(not_understood.len(), "of the facts given")
            ));
        }
        notes.extend(left_out.iter().cloned());
        notes
    }

    fn of_logs(&self, findings: &mut Vec<Finding>, flows: &[Span]) -> Vec<String> {
        let Logs {
            sessions,
            not_understood,
            left_out,
        } = &self.logs;
        let ends: Vec<FlowSpan> = flows.iter().map(|span| span.ends).collect();
        let joined = logs::join(sessions, &ends);
        logged::weigh(findings, &self.logs, &joined, flows);
        let mut note = format!(
            "sessions in the logs: {}; of these among the flows: {}",
            sessions.len(),
            joined.pairs.len()
        );
        if let Some(clock) = joined.clock {
            note += &format!(
                "; the logs' clock is {:.1} s {} the capture's, give or take {:.1} s",
                seconds(clock.nanos).abs(),
                if clock.nanos < 0 {
                    "behind"
                } else {
                    "ahead of"
                },
                seconds(clock.spread)
            );
        }
        let mut notes = vec![note];
        if let Some((file, line, _)) = not_understood.first() {
            notes.push(format!(
                "{} not understood (the first: {file} line {line})",
                were(not_understood.len(), "of the logs")
            ));
        }
        notes.extend(left_out.iter().cloned());
        notes
    }
}

/// A file that is nothing of what it was given for.
fn unknown(name: &str, what: &str, known: &str) -> Error {
    Error::Refused(format!(
        "{name} cannot be read as {what}: nothing in it was understood; known are {known}"
    ))
}

/// `1 line was`, `3 lines were`.
fn were(n: usize, of: &str) -> String {
    match n {
        1 => format!("1 line {of} was"),
        n => format!("{n} lines {of} were"),
    }
}

/// A system as the user says it.
fn system(host: &str, os: &str) -> Result<Fact, Error> {
    let plain = |name: &str| name.to_lowercase().replace([' ', '-', '_'], "");
    let os = SYSTEMS
        .iter()
        .find(|(key, name)| {
            let said = plain(os);
            said == plain(key) || said == plain(name) || format!("windows{said}") == plain(name)
        })
        .map_or(os, |(key, _)| *key);
    if Versions::parse(os).is_none() {
        let known: Vec<_> = SYSTEMS.iter().map(|(key, _)| *key).collect();
        return Err(Error::Refused(format!(
            "--os {host}={os}: no such system is known; known are {}",
            known.join(", ")
        )));
    }
    Ok(Fact {
        host: Some(host.to_owned()),
        name: "os".to_owned(),
        value: os.to_owned(),
        file: "as given by --os".to_owned(),
        ..Fact::default()
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let mut octets = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_FILE).read_to_end(&mut octets))
        .map_err(|error| Error::Refused(format!("cannot read {}: {error}", path.display())))?;
    Ok(octets)
}
