//! See `capture::pcapng`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tcptriage_fuzz::capture::pcapng(input));
