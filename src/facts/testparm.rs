//! `testparm -s`: Samba's parameters.
//!
//! Takes:  a section at `[share]` or the comment above it
//! Gives:  each parameter as `samba.<parameter>`, with the share; that of `[global]` without
//! Never:  reads a parameter outside of a share

use super::{Found, Section, Sink};

/// Lines that testparm prints round its output.
const NOISE: &[&str] = &[
    "# Global parameters",
    "Loaded services file OK.",
    "Server role: ",
];

/// Reads one share.
pub(super) fn read(section: &Section<'_>, from: usize, out: &mut Sink) -> usize {
    let line = section.at(from);
    if NOISE.iter().any(|begin| line.starts_with(begin))
        || line.starts_with("Load smb config files from ")
    {
        return 1;
    }
    let Some(share) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']')) else {
        return 0;
    };
    let subject = (share != "global").then(|| share.to_owned());
    let mut at = from + 1;
    while let Some((name, value)) = parameter(section.at(at)) {
        let key: String = name
            .split_whitespace()
            .collect::<Vec<_>>()
            .join("_")
            .to_lowercase();
        let secret = key.contains("password") || key.contains("passwd");
        if !key.is_empty() && !secret && !value.is_empty() {
            let value = value.to_owned();
            out.fact(Found {
                subject: subject.clone(),
                ..Found::new(format!("samba.{key}"), lower_switch(value), at)
            });
        }
        at += 1;
    }
    at - from
}

/// `Yes` and `No` in lower case; other values as they stand.
fn lower_switch(value: String) -> String {
    if matches!(value.as_str(), "Yes" | "No") {
        value.to_lowercase()
    } else {
        value
    }
}

fn parameter(line: &str) -> Option<(&str, &str)> {
    let (name, value) = line
        .split_once(" = ")
        .or_else(|| Some((line.strip_suffix(" =")?, "")))?;
    line.starts_with(['\t', ' '])
        .then(|| (name.trim(), value.trim()))
}
