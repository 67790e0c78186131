//! Facts stage: what the hosts say of themselves in, named facts with their source out.
//!
//! Takes:  text of `netsh`, `Get-Net*`, `ethtool`, `postconf`, …, in any mix and encoding; Exchange's logs
//! Gives:  [`Facts`]: each with the line that it came from; and the lines that were not understood
//! Never:  guesses; runs anything

pub mod names;

pub use names::NAMES;

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
    /// Lines that no parser understood: file, number, text (hostile).
    pub not_understood: Vec<(String, usize, String)>,
}
