//! Fetch answers of every version.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ottla::fuzzing::fetch_answer(data));
