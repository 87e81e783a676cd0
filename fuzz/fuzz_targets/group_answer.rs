//! Answers about a group: its coordinator, membership and offsets.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ottla::fuzzing::group_answer(data));
