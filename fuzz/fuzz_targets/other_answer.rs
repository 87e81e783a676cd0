//! The other answers: about topics, access control, quotas, tokens and transactions.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ottla::fuzzing::other_answer(data));
