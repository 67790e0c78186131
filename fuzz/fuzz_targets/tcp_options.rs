//! See `decode::tcp_options`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tcptriage_fuzz::decode::tcp_options(input));
