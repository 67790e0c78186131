//! What tests and the capture generator share: TCP conversations with chosen faults, put on the wire as capture files.
//!
//! Takes:  what departs from health, in the order in which it happens
//! Gives:  frames with times; pcap and pcapng octets; the captures of `captures/` that the project makes itself
//! Never:  names the library: what builds the input of a test must not share code with what it tests
#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::print_stdout)] // every user takes a part of it only

pub mod convo;
#[cfg(target_os = "linux")]
pub mod daemons;
pub mod made;
#[cfg(target_os = "linux")]
pub mod mail;
pub mod mutate;
#[cfg(target_os = "linux")]
pub mod netns;
pub mod program;
pub mod scene;
pub mod scenes;
pub mod shared;
pub mod wire;
