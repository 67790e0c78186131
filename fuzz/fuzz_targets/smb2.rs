//! See `proto::smb2`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tcptriage_fuzz::proto::smb2(input));
