//! See `capture::lz4`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tcptriage_fuzz::capture::lz4(input));
