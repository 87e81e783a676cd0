//! CreateTopics, DeleteTopics and InitProducerId answers.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ottla::fuzzing::other_answer(data));
