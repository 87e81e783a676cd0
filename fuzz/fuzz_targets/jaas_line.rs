//! The line of `sasl.jaas.config`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ottla::fuzzing::jaas_line(data));
