//! Header blocks of HTTP/2: the tables of their decoder stay within bounds.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| adaptors::observe::fuzzing::header_blocks(octets));
