//! ApiVersions answers of every version, and the downgrade they ask for.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ottla::fuzzing::api_versions_answer(data));
