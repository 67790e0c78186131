//! Lists the embedded rule files and symptom texts, so that a new one is one file and touches nothing else.

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
    fs::write(Path::new(&out).join("rules.rs"), code)
}
