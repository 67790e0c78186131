//! What administrators hand over as text: facts of hosts, logs, rules.
//!
//! Takes:  any octets
//! Gives:  nothing; panics where a promise of the facts or rules stage is broken
//! Never:  reads a file

use tcptriage::facts::{self, Facts, logs};
use tcptriage::net::Timestamp;
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
