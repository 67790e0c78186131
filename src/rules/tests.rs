//! Tests of the registry, of versions, and of the published case.
#![allow(clippy::unwrap_used)]

use super::file::parse;
use super::*;

fn engine() -> Engine {
    Engine::load(&[]).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn every_embedded_file_reads() {
    symptoms::check_files().unwrap();
    engine();
}
