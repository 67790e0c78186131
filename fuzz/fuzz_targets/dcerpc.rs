//! See `proto::dcerpc`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tcptriage_fuzz::proto::dcerpc(input));
