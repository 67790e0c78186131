//! Rules stage: findings and host facts in, remedies in order out.
//!
//! Takes:  [`Finding`](crate::detect::Finding)s, [`Facts`](crate::facts::Facts), and rule files (one TOML file a rule)
//! Gives:  [`Remedy`]s, ranked
//! Never:  a command for another version than the host's; a change where a fact is missing (a check instead)

mod causes;
mod condition;
mod engine;
mod explain;
mod file;
pub mod fingerprint;
mod host;
mod near;
mod symptoms;
#[cfg(test)]
mod tests;
mod version;
mod words;

pub use condition::{Condition, Stories, SymptomTest, Test, Trace, Truth, Whose, World};
pub use engine::{Engine, check};
pub use explain::{explain, nearest, winsock};
pub use file::{Applies, On, Rule, RuleError, RuleStep, Stage, Weigh, parse};
pub use host::{HostFacts, Inferred, Known, KnownVersions};
pub use symptoms::Symptom;
pub use version::{PRODUCTS, SYSTEMS, Scale, Versions};

/// A command and what its output should show.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Step {
    /// Host to type it on; `None`: any, or not known.
    pub on: Option<String>,
    /// Only where this holds, which is not known: `the host runs Windows Server 2003`; empty where the step stands as it is.
    pub only_if: String,
    /// The command, or an action in words.
    pub command: String,
    /// What to expect of it; empty where nothing is to be said.
    pub expect: String,
}

/// Advice: why, what to type, how to take it back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remedy {
    /// The rule's file name: hyphens only.
    pub id: String,
    /// Title.
    pub title: String,
    /// Why it is advised here, with the numbers of the finding.
    pub why: String,
    /// Commands that confirm the cause.
    pub confirm: Vec<Step>,
    /// Commands that mend it; empty where only checks are justified.
    pub fix: Vec<Step>,
    /// Commands that take the fix back.
    pub undo: Vec<Step>,
    /// What it may break.
    pub risk: String,
    /// Versions that it holds for, in words.
    pub applies_to: String,
    /// Addresses of documents.
    pub sources: Vec<String>,
    /// Indices of the findings that called for it.
    pub findings: Vec<usize>,
    /// Place in the order, from 1.
    pub rank: usize,
    /// Likelihood that it is the cause, 0 to 1.
    pub likely: f64,
    /// What is not known and makes this a check first, in words; empty where the change stands as it is.
    pub unknown: Vec<String>,
    /// What speaks against it.
    pub against: Vec<String>,
    /// Where versions are known from: `192.0.2.1 runs Windows Server 2003 (facts.txt line 3)`.
    pub known: Vec<String>,
}
