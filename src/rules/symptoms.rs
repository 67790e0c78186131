//! Texts of the symptoms: what each means, how it is measured, what it is not.
//!
//! Takes:  the files of `src/rules/symptoms/`
//! Gives:  [`Symptom`]s by id
//! Never:  says how to mend one: that is for rules

use std::sync::LazyLock;

use serde::Deserialize;

/// A symptom, explained.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Symptom {
    /// Id: `smtp.tarpit`.
    pub id: String,
    /// In a few words.
    pub title: String,
    /// What it means for the one who waits.
    pub means: String,
    /// How it is told from the packets.
    pub measured: String,
    /// What looks like it and is not.
    pub not: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Family {
    symptom: Vec<Symptom>,
}

static ALL: LazyLock<Vec<Symptom>> = LazyLock::new(|| {
    let mut all = Vec::new();
    for (_, text) in super::engine::symptom_files() {
        // That every file reads is held by a test.
        if let Ok(family) = toml::from_str::<Family>(text) {
            all.extend(family.symptom);
        }
    }
    all.sort_by(|a: &Symptom, b: &Symptom| a.id.cmp(&b.id));
    all
});

/// All symptoms, by id.
#[must_use]
pub(super) fn all() -> &'static [Symptom] {
    &ALL
}

/// One symptom.
#[must_use]
pub(super) fn get(id: &str) -> Option<&'static Symptom> {
    all().iter().find(|s| s.id == id)
}

/// Whether a rule may ask for this id, or for this family (`smtp.*`).
#[must_use]
pub(super) fn is_known(id: &str) -> bool {
    match id.strip_suffix('*') {
        Some(family) => family.ends_with('.') && all().iter().any(|s| s.id.starts_with(family)),
        None => get(id).is_some(),
    }
}

/// Each file reads, or why not.
#[cfg(test)]
pub(super) fn check_files() -> Result<(), String> {
    for (name, text) in super::engine::symptom_files() {
        toml::from_str::<Family>(text).map_err(|e| format!("{name}: {e}"))?;
    }
    Ok(())
}
