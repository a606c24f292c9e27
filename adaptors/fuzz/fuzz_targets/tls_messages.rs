//! Handshake messages behind the handshake, in any pieces, against a reader that keeps everything.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| adaptors::tls::fuzzing::messages(octets));
