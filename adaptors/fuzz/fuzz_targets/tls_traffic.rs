//! A TLS session behind its handshake, against a model of what it has to do.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| adaptors::tls::fuzzing::traffic(octets));
