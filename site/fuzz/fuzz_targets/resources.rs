//! Texts of resources: read, planned, and told.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| site::fuzz(text));
