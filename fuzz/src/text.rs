//! What administrators hand over as text: facts of hosts, logs, rules.
//!
//! Takes:  any octets
//! Gives:  nothing; panics where a promise of the facts or rules stage is broken
//! Never:  reads a file

use tcptriage::capture::{CaptureInfo, Problem};
use tcptriage::facts::{self, Facts, logs};
use tcptriage::net::Timestamp;
use tcptriage::report::build::{Parts, build};
use tcptriage::report::{FORMATS, Look, escape};
use tcptriage::rules;

use super::ops::Ops;

/// Commands whose output the facts stage knows: one before the input, so that its parser gets its turn.
pub const COMMANDS: &[&str] = &[
    "",
    "C:\\> netsh int tcp show global\r\n",
    "C:\\> netsh int tcp show chimneystats\r\n",
    "C:\\> netsh int tcp show heuristics\r\n",
    "C:\\> reg query HKLM\\SYSTEM\\CurrentControlSet\\Services\\Tcpip\\Parameters\r\n",
    "$ cat /proc/net/bonding/bond0\n",
    "$ ethtool -k eth0\n",
    "$ ethtool -S eth0\n",
    "switch# show interfaces\n",
    "$ nstat -az\n",
    "$ netstat -s\n",
    "$ sysctl -a\n",
    "$ testparm -s\n",
    "$ postconf -n\n",
    "PS C:\\> Get-NetAdapter | Format-List *\r\n",
    "PS C:\\> Get-NetAdapter | Format-Table\r\n",
    "C:\\> wmic nic list full\r\n",
    "C:\\> systeminfo\r\n",
];

/// Facts of a host: the first octet picks the command.
pub fn facts(input: &[u8]) {
    let mut ops = Ops(input);
    let command = COMMANDS[usize::from(ops.small()) % COMMANDS.len()];
    let mut found = Facts::default();
    let text = [command.as_bytes(), ops.0].concat();
    facts::read(None, "input", &text, &mut found);
    facts::derive(&mut found, Timestamp(1_600_000_000_000_000_000));
    for fact in &found.facts {
        assert!(
            facts::names::is_known(&fact.name),
            "{} is no fact",
            fact.name
        );
    }
}

/// A log of an Exchange server.
pub fn logs(input: &[u8]) {
    let mut found = logs::Logs::default();
    logs::read_log("input", input, &mut found);
    let _ = logs::join(&found.sessions, &[]);
}

/// A user's rule: what is wrong with it has its place in the text.
pub fn rule(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    match rules::parse("input", "input.toml", text) {
        Ok(rule) => {
            let _ = rule.applies.words();
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// What foreign text becomes where it leaves the tool, and whole reports that hold it in the places where files and packets name things.
pub fn escapes(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for (name, out) in [
        ("line", escape::line(&text)),
        ("markdown", escape::markdown(&text)),
        ("code", escape::markdown_code(&text)),
        ("csv", escape::csv(&text)),
    ] {
        assert!(!out.contains(char::is_control), "{name}: {out:?}");
    }
    assert!(!escape::markdown(&text).contains(['<', '>', '@']));
    let written = |text: &str| {
        let told = || {
            vec![Problem {
                frame: None,
                text: text.to_owned(),
            }]
        };
        let info = CaptureInfo {
            path: text.to_owned(),
            problems: told(),
            comments: told(),
            ..CaptureInfo::default()
        };
        let report = build(Parts {
            captures: vec![(info, Vec::new())],
            names: vec![([192, 0, 2, 1].into(), text.to_owned())],
            notes: vec![text.to_owned()],
            ..Parts::default()
        });
        FORMATS.iter().map(move |format| {
            let mut out = Vec::new();
            format.write(&report, Look::default(), &mut out).unwrap();
            let out = String::from_utf8(out).expect("every format is text");
            (format.name(), out)
        })
    };
    for ((name, out), (_, plain)) in written(&text).zip(written("plain")) {
        let acts = |c: char| c.is_control() && c != '\n';
        assert!(!out.contains(acts), "{name}: {out:?}");
        if name == "html" {
            // No text becomes markup: there are as many tags as with a text that has none.
            let tags = |text: &str| text.matches('<').count();
            assert_eq!(tags(&out), tags(&plain), "{out}");
        }
        if name == "json" {
            assert!(serde_json::from_str::<serde_json::Value>(&out).is_ok());
        }
    }
}
