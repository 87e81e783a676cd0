//! Any bytes as the compressed records of a batch, and damaged output of each codec.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ottla::fuzzing::compressed(data));
