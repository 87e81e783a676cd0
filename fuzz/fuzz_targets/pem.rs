//! Certificates and keys in PEM.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ottla::fuzzing::pem(data));
