//! Conversations of HTTP/1, or of nothing known: whatever pieces they come in, the same is seen, in bounded memory.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| adaptors::observe::fuzzing::http1(octets));
