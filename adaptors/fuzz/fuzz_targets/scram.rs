//! The messages of SCRAM, to a server and to a client.

#![no_main]

libfuzzer_sys::fuzz_target!(|octets: &[u8]| adaptors::sasl::fuzzing::scram(octets));
