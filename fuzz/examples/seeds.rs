//! Writes the corpora that the fuzzer begins with: `cargo run --release --example seeds [CAPTURE ...]`.
//!
//! Takes:  captures, beside those of the project
//! Gives:  `corpus/TARGET/seed-N`, named in the order in which they were made
//! Never:  takes away what the fuzzer has found itself

use std::path::{Path, PathBuf};
use std::{env, fs, io};

use tcptriage_fuzz::{TARGETS, seeds};

fn main() -> io::Result<()> {
    let mut captures = seeds::captures();
    captures.extend(env::args().skip(1).map(PathBuf::from));
    let all = seeds::all(&captures);
    for (target, _) in TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("corpus")
            .join(target);
        fs::create_dir_all(&folder)?;
        let seeds = all.get(target).map_or(&[][..], Vec::as_slice);
        for (n, seed) in seeds.iter().enumerate() {
            fs::write(folder.join(format!("seed-{n:04}")), seed)?;
        }
        println!("{target}: {} seeds", seeds.len());
    }
    Ok(())
}
