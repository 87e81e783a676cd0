//! Fetched record sets, header and CRC repaired.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ottla::fuzzing::record_set(data));
