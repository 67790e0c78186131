//! A short pass of every fuzz target with every change: sound inputs, the same cut, bent and crossed, without a fuzzer's tools.
//!
//! The inputs are the same in every run. `fuzz/` holds the functions and the seeds, and runs them without end where nightly is at hand.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "../fuzz/src/lib.rs"]
mod fuzz;
#[path = "support/made/random.rs"]
#[allow(dead_code, unreachable_pub)]
mod random;

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use random::Random;

/// Bent inputs for each target.
const ROUNDS: usize = 1_200;

/// The same where each input takes whole reports.
const FEW_ROUNDS: usize = 30;

/// Longest input: what is longer is cut, so that the pass stays short.
const MAX_INPUT: usize = 6_000;

/// Numbers that lengths and offsets are bent to.
const ODD: [u32; 9] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    u32::MAX,
];

/// Runs one input; a panic names the target and gives the input.
fn run((name, target): fuzz::Target, input: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| target(input))).is_err() {
        panic!("the target `{name}` panics on\n{input:02x?}");
    }
}

/// One input made of a seed, and perhaps of another.
fn bent(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut at = |below: usize| random.range(0, below.max(1) as i64) as usize;
    let mut input = seeds[at(seeds.len())].clone();
    input.truncate(MAX_INPUT);
    for _ in 0..1 + at(4) {
        let place = at(input.len());
        match at(7) {
            0 => input.truncate(place),
            1 if !input.is_empty() => input[place] ^= 1 << at(8),
            2 if !input.is_empty() => input[place] = at(256) as u8,
            3 => {
                let odd = ODD[at(ODD.len())];
                let octets = if at(2) == 0 {
                    odd.to_be_bytes()
                } else {
                    odd.to_le_bytes()
                };
                let width = [1, 2, 4][at(3)];
                let end = (place + width).min(input.len());
                let from = if at(2) == 0 {
                    &octets[..width]
                } else {
                    &octets[4 - width..]
                };
                input[place..end].copy_from_slice(&from[..end - place]);
            }
            4 => {
                let end = (place + 1 + at(40)).min(input.len());
                input.drain(place..end);
            }
            5 => {
                let end = (place + 1 + at(80)).min(input.len());
                let part = input[place..end].to_vec();
                let there = at(input.len());
                input.splice(there..there, part);
            }
            _ => {
                let other = &seeds[at(seeds.len())];
                input.truncate(place);
                input.extend_from_slice(&other[at(other.len())..]);
            }
        }
        input.truncate(MAX_INPUT);
    }
    input
}

#[test]
fn no_input_does_harm() {
    let seeds = fuzz::seeds::all(&fuzz::seeds::captures());
    for target in fuzz::TARGETS {
        let seeds = &seeds[target.0];
        let mut random = Random(0x5eed);
        for seed in seeds {
            run(*target, seed);
        }
        run(*target, &[]);
        let rounds = match target.0 {
            "escapes" => FEW_ROUNDS,
            _ => ROUNDS,
        };
        for _ in 0..rounds {
            run(*target, &bent(&mut random, seeds));
        }
    }
}

/// A target that is not listed in one of the three places is never run.
#[test]
fn every_target_has_its_files() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz");
    let manifest = fs::read_to_string(fuzz.join("Cargo.toml")).unwrap();
    let mut files: Vec<String> = fs::read_dir(fuzz.join("fuzz_targets"))
        .unwrap()
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    files.sort();
    let mut names: Vec<&str> = fuzz::TARGETS.iter().map(|(name, _)| *name).collect();
    for name in &names {
        assert!(
            manifest.contains(&format!(
                "name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\""
            )),
            "{name}"
        );
    }
    names.sort_unstable();
    assert_eq!(files, names);
}
