//! Writes the captures that the project makes itself into `captures/`: `cargo run --example make_captures`.
//!
//! They are committed; `tests/captures.rs` fails when the files and this generator disagree.

#[path = "../tests/support/mod.rs"]
mod support;

fn main() -> std::io::Result<()> {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    for (name, make) in support::made::ALL {
        let folder = root.join(name);
        std::fs::create_dir_all(&folder)?;
        let octets = make();
        eprintln!("{name}: {} octets", octets.len());
        std::fs::write(folder.join("capture.pcapng"), octets)?;
    }
    Ok(())
}
