//! Answers cut out of a stream, and their headers.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ottla::fuzzing::frames(data));
