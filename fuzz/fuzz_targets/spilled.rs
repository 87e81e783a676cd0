//! Files of spilled records: any bytes, and damage to what we wrote.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ottla::fuzzing::spilled(data));
