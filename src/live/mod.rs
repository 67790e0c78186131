//! What a live run has around it: threads, privileges, the view, metrics, hooks (feature `live`, Linux).
//!
//! Takes:  open interfaces (`Tap`), a `Run`, a `Plan`
//! Gives:  `News` while it goes on, a `Report` at its end
//! Never:  reads a frame itself; lets a slow reader of its news hold up the capture

mod hook;
pub mod lines;
mod metrics;
pub mod privileges;
mod run;
pub mod view;

pub use hook::Hook;
pub use metrics::Metrics;
pub use run::{News, Plan, Status, run};
