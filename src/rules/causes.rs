//! Texts of the causes that a connection's time is booked under: what each means, how it is told, what to do.
//!
//! Takes:  `src/rules/causes.toml`
//! Gives:  [`Cause`]s by id, as reports name them
//! Never:  says how long anything took: that is for reports

use std::sync::LazyLock;

use serde::Deserialize;

/// A cause, explained.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cause {
    /// Its name in a report: `server-think`.
    pub(super) id: String,
    /// In a few words.
    pub(super) title: String,
    /// What it means for the one who waits.
    pub(super) means: String,
    /// How it is told from the packets.
    pub(super) measured: String,
    /// What to do where much time went by on it.
    pub(super) todo: String,
    /// Symptoms that tell more of it.
    pub(super) see: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    cause: Vec<Cause>,
}

// That the file reads is held by a test.
static ALL: LazyLock<Vec<Cause>> = LazyLock::new(|| {
    toml::from_str(include_str!("causes.toml")).map_or_else(|_| Vec::new(), |file: File| file.cause)
});

/// All causes, in the order of a report.
pub(super) fn all() -> &'static [Cause] {
    &ALL
}

/// One cause.
pub(super) fn get(id: &str) -> Option<&'static Cause> {
    all().iter().find(|c| c.id == id)
}
