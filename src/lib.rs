//! Finds out from packet captures why transfers over TCP are slow or fail, and what to do about it.
//!
//! The stages are a straight pipe, and the modules are its parts:
//!
//! | stage | takes | gives |
//! |---|---|---|
//! | [`capture`] | files, pipes, interfaces | batches of frames |
//! | [`decode`] | frames | TCP segments, checked |
//! | [`flow`] | segments | the life of each connection; its octets in order |
//! | [`proto`] | octets in order | dialogs: SMTP, SMB and DCE/RPC in depth, others by their turns |
//! | [`detect`] | flows and dialogs | findings with proof |
//! | [`facts`] | what the hosts say of themselves | named facts |
//! | [`rules`] | findings and facts | remedies, ranked |
//! | [`compare`] | two captures of one path; measures from before and after | the fate of each segment; what changed |
//! | [`report`] | all of it | text, JSON, … |
//!
//! [`pipeline`] joins them, and nothing else does; with the feature `live`, the module `live` runs it on interfaces. [`net`] holds the words that all of them share.

pub mod capture;
pub mod compare;
pub mod decode;
pub mod detect;
pub mod facts;
pub mod flow;
#[cfg(all(feature = "live", target_os = "linux"))]
pub mod live;
pub mod net;
pub mod pipeline;
pub mod proto;
pub mod report;
pub mod rules;
