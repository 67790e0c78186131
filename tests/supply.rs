//! What enters from outside: the locked packages, by the lists of `deny.toml`, and `unsafe` in the one file that may have it.
//!
//! `cargo deny check licenses bans sources` asks more; this needs nothing but cargo, and asks the packages of this machine's kind.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::shared;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// The packages that a build for this machine takes; `None`, and a word on it, where cargo cannot tell.
fn packages() -> Option<Vec<Value>> {
    let cargo = |args: &[&str]| {
        let output = Command::new(env!("CARGO"))
            .args(args)
            .current_dir(root())
            .output();
        let output = output.ok().filter(|o| o.status.success())?;
        String::from_utf8(output.stdout).ok()
    };
    let about = cargo(&["version", "--verbose"])?;
    let host = about.lines().find_map(|l| l.strip_prefix("host: "))?;
    let told = cargo(&[
        "metadata",
        "--locked",
        "--offline",
        "--format-version=1",
        "--filter-platform",
        host,
    ]);
    let Some(told) = told else {
        println!("skipped: cargo metadata cannot tell of the packages");
        return None;
    };
    let mut metadata: Value = serde_json::from_str(&told).unwrap();
    let packages: Vec<Value> = serde_json::from_value(metadata["packages"].take()).unwrap();
    assert!(packages.len() > 50, "{}", packages.len());
    Some(packages)
}

fn list(table: &toml::Value, key: &str) -> Vec<String> {
    let entries = table[key].as_array().unwrap();
    let named = entries.iter().map(|entry| match entry {
        toml::Value::Table(table) => table["crate"].as_str().unwrap().to_owned(),
        entry => entry.as_str().unwrap().to_owned(),
    });
    named.collect()
}

/// Whether an SPDX expression can be met with these licences alone. `/` is the old way to write OR.
fn is_allowed(expression: &str, allowed: &[String]) -> bool {
    let expression = expression.replace('/', " OR ");
    // Parentheses stand around alternatives here, and never in each other.
    let mut depth = 0;
    let mut all = vec![String::new()];
    for word in expression
        .replace('(', " ( ")
        .replace(')', " ) ")
        .split_whitespace()
    {
        match word {
            "(" => depth += 1,
            ")" => depth -= 1,
            "AND" if depth == 0 => all.push(String::new()),
            word => {
                let last = all.last_mut().unwrap();
                last.push(' ');
                last.push_str(word);
            }
        }
    }
    all.iter().all(|part| {
        part.split(" OR ")
            .any(|licence| allowed.iter().any(|a| a == licence.trim()))
    })
}

#[test]
fn expressions() {
    let allowed = ["MIT".to_owned(), "Unicode-3.0".to_owned()];
    for (expression, want) in [
        ("MIT", true),
        ("Apache-2.0 OR MIT", true),
        ("Unlicense/MIT", true),
        ("MIT AND Apache-2.0", false),
        ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
        ("(GPL-3.0 OR AGPL-3.0) AND MIT", false),
        ("Apache-2.0 WITH LLVM-exception", false),
        ("", false),
    ] {
        assert_eq!(is_allowed(expression, &allowed), want, "{expression}");
    }
}

#[test]
fn packages_keep_to_the_lists() {
    let Some(packages) = packages() else { return };
    let deny: toml::Value = toml::from_str(&read("deny.toml")).unwrap();
    let licences = list(&deny["licenses"], "allow");
    let registries = list(&deny["sources"], "allow-registry");
    let (banned, skipped) = (list(&deny["bans"], "deny"), list(&deny["bans"], "skip"));
    let mut versions = BTreeMap::<&str, Vec<&str>>::new();
    for package in &packages {
        let text = |key: &str| package[key].as_str().unwrap_or_default();
        let (name, version) = (text("name"), text("version"));
        assert!(
            is_allowed(text("license"), &licences),
            "{name}: {}",
            text("license")
        );
        let source = text("source").trim_start_matches("registry+").to_owned();
        assert!(
            name == env!("CARGO_PKG_NAME") || registries.contains(&source),
            "{name} comes from {source}"
        );
        assert!(!banned.iter().any(|b| b == name), "{name} is banned");
        let is_skipped = skipped.iter().any(|skip| {
            let (of, start) = skip.split_once('@').unwrap();
            of == name && (version == start || version.starts_with(&format!("{start}.")))
        });
        if !is_skipped {
            versions.entry(name).or_default().push(version);
        }
    }
    for (name, versions) in versions {
        assert_eq!(versions.len(), 1, "{name} comes as {versions:?}");
    }
}

#[test]
fn unsafe_stands_in_one_file() {
    let manifest: toml::Value = toml::from_str(&read("Cargo.toml")).unwrap();
    assert_eq!(
        manifest["lints"]["rust"]["unsafe_code"].as_str(),
        Some("deny")
    );
    let with: Vec<String> = shared::files(&root().join("src"))
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "rs"))
        .filter(|path| {
            let text = fs::read_to_string(path).unwrap();
            text.contains("allow(unsafe_code)") || text.contains("unsafe {")
        })
        .map(|path| {
            path.strip_prefix(root())
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(with, ["src/capture/map.rs"]);
}
