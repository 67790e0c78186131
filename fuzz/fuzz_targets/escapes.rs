//! See `text::escapes`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tcptriage_fuzz::text::escapes(input));
