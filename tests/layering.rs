//! Holds `src/` to the map of the stages: which stage may name which, and where each outside package enters.
//!
//! A failure names file, line and rule. Either the line goes, or the design changed: then change [`MAP`] and
//! `ARCHITECTURE.md` together, and say why in the commit.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// (stage, stages it may name, packages that it may use)
const MAP: &[(&str, &[&str], &[&str])] = &[
    ("net", &[], &[]),
    (
        "capture",
        &["net"],
        &[
            "flate2",
            "glob",
            "jiff",
            "libc",
            "lz4_flex",
            "memmap2",
            "nix",
            "pcap",
            "pcap_file",
            "zstd",
        ],
    ),
    ("decode", &["net", "capture"], &["etherparse", "foldhash"]),
    ("flow", &["net", "decode"], &["hashbrown"]),
    ("proto", &["net", "flow"], &["nom"]),
    ("detect", &["net", "decode", "flow", "proto"], &["jiff"]),
    ("facts", &["net"], &["nom"]),
    ("rules", &["net", "detect", "facts"], &["toml"]),
    (
        "compare",
        &["net", "capture", "decode", "flow", "detect"],
        &["crc32fast"],
    ),
    (
        "report",
        &[
            "net", "capture", "decode", "flow", "proto", "detect", "facts", "rules", "compare",
        ],
        &[
            "base64",
            "jiff",
            "minijinja",
            "owo_colors",
            "schemars",
            "serde_json",
            "sha2",
        ],
    ),
    (
        "pipeline",
        &[
            "net", "capture", "decode", "flow", "proto", "detect", "facts", "rules", "compare",
            "report",
        ],
        &[],
    ),
    // What a live run has around it.
    (
        "live",
        &[
            "net", "capture", "decode", "flow", "proto", "detect", "facts", "rules", "compare",
            "report", "pipeline",
        ],
        &[
            "caps",
            "crossbeam_channel",
            "jiff",
            "landlock",
            "libc",
            "nix",
            "ratatui",
            "seccompiler",
        ],
    ),
    // The binary: it names the library's stages by `tcptriage::`.
    (
        "cli",
        &[
            "net", "capture", "decode", "flow", "proto", "detect", "facts", "rules", "compare",
            "report", "pipeline", "live",
        ],
        &[
            "anstream",
            "anyhow",
            "clap",
            "clap_complete",
            "clap_mangen",
            "crossbeam_channel",
            "indicatif",
            "jiff",
            "mimalloc",
            "serde_json",
            "signal_hook",
            "terminal_size",
        ],
    ),
];

/// Packages that any stage may use: they bring no foreign types into what stages hand on.
const ANYWHERE: &[&str] = &["memchr", "serde", "thiserror"];

/// Files that belong to no stage.
const APART: &[&str] = &["lib", "main"];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every Rust file below `folder`, in order.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

/// The stage that a file below `src/` belongs to: its first folder, or its own name.
fn stage_of(file: &Path) -> String {
    let inside = file.strip_prefix(source()).unwrap();
    let first = inside.components().next().unwrap().as_os_str();
    Path::new(first)
        .file_stem()
        .unwrap()
        .to_string_lossy()
        .into_owned()
}

/// Names of the packages in `Cargo.toml`, as code writes them; those for tests and benches apart.
fn packages() -> BTreeSet<String> {
    let manifest =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml")).unwrap();
    let mut found = BTreeSet::new();
    let mut inside = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line.ends_with("dependencies]") && !line.contains("dev-dependencies");
        } else if inside && let Some((name, _)) = line.split_once('=') {
            found.insert(name.trim().replace('-', "_"));
        }
    }
    found
}

/// The code of one line: what stands before a comment. (Within a text, `//` is taken for one too: nothing is lost by it here.)
fn code(line: &str) -> &str {
    line.split("//").next().unwrap_or("")
}

/// What follows each `prefix::` that begins a path in `code`, up to the end of the identifier; a group `{a::b, c}` gives each
/// of its parts.
fn named_after<'a>(code: &'a str, prefix: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    let mut rest = code;
    let needle = format!("{prefix}::");
    while let Some(at) = rest.find(&needle) {
        let before = rest[..at].chars().next_back();
        rest = &rest[at + needle.len()..];
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            for part in group.split_inclusive([',', '{', '}']) {
                if depth == 0 {
                    found.push(identifier(part.trim()));
                }
                match part.chars().next_back() {
                    Some('{') => depth += 1,
                    Some('}') => depth -= 1,
                    _ => {}
                }
                if depth < 0 {
                    break;
                }
            }
        } else {
            found.push(identifier(rest));
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_');
    &text[..end.unwrap_or(text.len())]
}

/// Whether a path in `code` begins with the package `name`.
fn uses(code: &str, name: &str) -> bool {
    let mut rest = code;
    while let Some(at) = rest.find(name) {
        let before = rest[..at].chars().next_back();
        rest = &rest[at + name.len()..];
        let begins =
            !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '.');
        if begins && rest.starts_with("::") {
            return true;
        }
    }
    false
}

/// All that `text`, a file of `stage`, does against the map: (line, what).
fn offences(stage: &str, text: &str, packages: &BTreeSet<String>) -> Vec<(usize, String)> {
    let Some((_, may_name, may_use)) = MAP.iter().find(|(name, ..)| *name == stage) else {
        return vec![(
            1,
            format!("`{stage}` is no stage of the map in tests/layering.rs"),
        )];
    };
    let mut found = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let code = code(line);
        for prefix in ["crate", "tcptriage"] {
            for named in named_after(code, prefix) {
                let is_stage = MAP.iter().any(|(name, ..)| *name == named);
                if is_stage && named != stage && !may_name.contains(&named) {
                    found.push((
                        n + 1,
                        format!("`{stage}` names `{named}`; it may name {may_name:?} only"),
                    ));
                }
            }
        }
        for package in packages {
            let allowed =
                may_use.contains(&package.as_str()) || ANYWHERE.contains(&package.as_str());
            if allowed || !uses(code, package) {
                continue;
            }
            // A module of ours may have the name of a package: `capture::pcap`.
            let own = text.contains(&format!("mod {package};"))
                || code.contains(&format!("self::{package}"));
            if !own {
                let doors: Vec<_> = MAP
                    .iter()
                    .filter(|(_, _, used)| used.contains(&package.as_str()))
                    .map(|(name, ..)| *name)
                    .collect();
                found.push((
                    n + 1,
                    format!("`{stage}` uses the package `{package}`, whose door is {doors:?}"),
                ));
            }
        }
    }
    found
}

#[test]
fn stages_name_only_what_the_map_allows() {
    let packages = packages();
    assert!(
        packages.contains("etherparse"),
        "no packages were read from Cargo.toml"
    );
    let mut report = String::new();
    for file in rust_files(&source()) {
        let stage = stage_of(&file);
        if APART.contains(&stage.as_str()) {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        // Tests beside the code may read results with whatever package they like.
        let is_test = file.file_name().is_some_and(|name| name == "tests.rs");
        let doors = if is_test {
            BTreeSet::new()
        } else {
            packages.clone()
        };
        for (line, what) in offences(&stage, &text, &doors) {
            report += &format!("  {}:{line}: {what}\n", file.display());
        }
    }
    assert!(
        report.is_empty(),
        "the layers are mixed up (see the head of tests/layering.rs):\n{report}"
    );
}

#[test]
fn every_package_has_a_door() {
    for package in packages() {
        let has_door = ANYWHERE.contains(&package.as_str())
            || MAP
                .iter()
                .any(|(_, _, used)| used.contains(&package.as_str()));
        assert!(
            has_door,
            "`{package}` is in Cargo.toml and in no row of the map in tests/layering.rs"
        );
    }
}

#[test]
fn every_package_is_explained() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/dependencies.md");
    let rows = fs::read_to_string(docs).unwrap().replace('-', "_");
    for package in packages() {
        assert!(
            rows.contains(&format!("\n| `{package}` | ")),
            "docs/dependencies.md does not say what `{package}` is for"
        );
    }
}

#[test]
fn every_package_is_used_and_every_door_has_its_package() {
    let files = rust_files(&source());
    let code: Vec<String> = files
        .iter()
        .map(|file| fs::read_to_string(file).unwrap())
        .collect();
    let packages = packages();
    for package in &packages {
        let used = code
            .iter()
            .any(|text| text.lines().any(|line| uses(self::code(line), package)));
        assert!(used, "`{package}` is in Cargo.toml and used nowhere");
    }
    for (stage, _, doors) in MAP {
        for package in *doors {
            assert!(
                packages.contains(*package),
                "the map lets `{stage}` use `{package}`, which is not in Cargo.toml"
            );
            let used = files.iter().zip(&code).any(|(file, text)| {
                let is_test = file.file_name().is_some_and(|name| name == "tests.rs");
                let of_stage = stage_of(file) == *stage && !is_test;
                of_stage && text.lines().any(|line| uses(self::code(line), package))
            });
            assert!(
                used,
                "the map lets `{stage}` use `{package}`, which it does not"
            );
        }
    }
}

#[test]
fn the_test_sees_what_it_should() {
    let packages: BTreeSet<String> = ["etherparse", "serde_json", "pcap"]
        .map(String::from)
        .into();
    for (name, stage, text, want) in [
        ("an earlier stage", "flow", "use crate::decode::Segment;", 0),
        ("a later stage", "flow", "use crate::detect::Finding;", 1),
        (
            "a later stage in a path",
            "flow",
            "let x = crate::report::model::Report;",
            1,
        ),
        (
            "two in a group",
            "flow",
            "use crate::{net::SeqNum, report::model, rules::Remedy};",
            2,
        ),
        (
            "nested groups",
            "flow",
            "use crate::{decode::{A, report}, net};",
            0,
        ),
        ("itself", "flow", "use crate::flow::record;", 0),
        ("a comment", "flow", "//! see [`detect`](crate::detect)", 0),
        (
            "the library from the binary",
            "cli",
            "use tcptriage::pipeline::Settings;",
            0,
        ),
        (
            "a package at its door",
            "decode",
            "use etherparse::TcpSlice;",
            0,
        ),
        (
            "a package elsewhere",
            "flow",
            "use etherparse::TcpSlice;",
            1,
        ),
        (
            "a package in a path",
            "flow",
            "let v: serde_json::Value = x;",
            1,
        ),
        (
            "a module with the name of a package",
            "decode",
            "use super::pcap::read;",
            0,
        ),
        ("a longer name", "decode", "use my_pcap::read;", 0),
        ("an unknown stage", "new", "", 1),
    ] {
        assert_eq!(offences(stage, text, &packages).len(), want, "{name}");
    }
}
