//! A server's messages in a login by OAUTHBEARER.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ottla::fuzzing::oauthbearer(data));
