//! The `.conf` syntax: whatever is read is read again from a file written with it.

#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| management::config::fuzzing::conf(text));
