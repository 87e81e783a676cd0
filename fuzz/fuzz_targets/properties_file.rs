//! A Java client's properties file.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ottla::fuzzing::properties_file(data));
