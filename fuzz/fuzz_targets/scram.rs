//! A server's messages in a login by SCRAM: none is trusted that does not know the password.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ottla::fuzzing::scram(data));
