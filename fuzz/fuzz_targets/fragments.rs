//! See `decode::fragments`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tcptriage_fuzz::decode::fragments(input));
