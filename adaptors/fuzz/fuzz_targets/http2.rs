//! Conversations of HTTP/2: whatever pieces they come in, the same is seen, in bounded memory.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| adaptors::observe::fuzzing::http2(octets));
