//! JSON configuration: what another reader takes is read as the same.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| management::config::fuzzing::json(text));
