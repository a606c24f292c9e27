//! Messages of HTTP services: whatever comes is read or refused, in bounded memory.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| adaptors::http_service::fuzzing::messages(octets));
