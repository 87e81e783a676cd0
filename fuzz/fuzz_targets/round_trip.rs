//! Records written, compressed, sealed, and read back.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ottla::fuzzing::round_trip(data));
