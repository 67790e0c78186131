//! See `flow::reassembly`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tcptriage_fuzz::flow::reassembly(input));
