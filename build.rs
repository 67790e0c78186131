//! Lists the embedded rule files and symptom texts, so that a new one is one file and touches nothing else; and the words of all sources, by
//! which redaction tells the program's own words from others'.

use std::collections::BTreeSet;
use std::{env, fmt::Write as _, fs, io, path::Path};

fn main() -> io::Result<()> {
    let root = env::var("CARGO_MANIFEST_DIR").map_err(io::Error::other)?;
    let mut code = String::new();
    for (name, folder) in [
        ("REMEDIES", "src/rules/remedies"),
        ("SYMPTOMS", "src/rules/symptoms"),
    ] {
        println!("cargo:rerun-if-changed={folder}");
        let mut files = Vec::new();
        for entry in fs::read_dir(Path::new(&root).join(folder))? {
            let path = entry?.path();
            if path.extension().is_some_and(|e| e == "toml") {
                files.push(path);
            }
        }
        files.sort();
        let _ = writeln!(code, "pub(super) const {name}: &[(&str, &str)] = &[");
        for path in &files {
            let id = path.file_stem().unwrap_or_default().to_string_lossy();
            let _ = writeln!(code, "    ({id:?}, include_str!({:?})),", path.display());
        }
        let _ = writeln!(code, "];");
    }
    let out = env::var("OUT_DIR").map_err(io::Error::other)?;
    fs::write(Path::new(&out).join("rules.rs"), code)?;
    println!("cargo:rerun-if-changed=src");
    let mut words = BTreeSet::new();
    read(&Path::new(&root).join("src"), &mut words)?;
    let words: Vec<String> = words.into_iter().collect();
    fs::write(Path::new(&out).join("words.txt"), words.join("\n"))
}

/// Takes the words of all sources and tables below a folder, without those of tests.
fn read(folder: &Path, words: &mut BTreeSet<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let ending = path.extension().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if name != "vendor" && name != "expected" {
                read(&path, words)?;
            }
        } else if matches!(&*ending, "rs" | "toml" | "tsv" | "txt") && name != "tests.rs" {
            let text = fs::read_to_string(&path)?;
            let text = text.split("mod tests {").next().unwrap_or_default();
            // Wholes, as `x-anonymoustls` and `status_pending`, and their parts.
            for whole in text.split(|c: char| !c.is_alphanumeric() && c != '-' && c != '_') {
                take(whole, words);
                whole.split(['-', '_']).for_each(|part| take(part, words));
            }
        }
    }
    Ok(())
}

/// What has a letter in it. Words with numbers are whole ones: `ip-10-0-0-1` is an example of a name.
fn take(word: &str, words: &mut BTreeSet<String>) {
    let word = word.trim_matches(['-', '_']).to_lowercase();
    let digits = word.chars().filter(char::is_ascii_digit).count();
    if word.chars().any(char::is_alphabetic) && (digits == 0 || !word.contains('-') || digits < 4) {
        words.insert(word);
    }
}
