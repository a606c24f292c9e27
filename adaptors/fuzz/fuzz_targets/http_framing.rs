//! How requests of HTTP/1 are framed: whatever pieces they come in, the same is found.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| adaptors::http_service::fuzzing::framing(octets));
