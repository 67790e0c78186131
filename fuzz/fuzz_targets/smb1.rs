//! See `proto::smb1`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tcptriage_fuzz::proto::smb1(input));
