//! TLS records: what was sealed opens to the same, once, and not after any change.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| adaptors::tls::fuzzing::records(octets));
