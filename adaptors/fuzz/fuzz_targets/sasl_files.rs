//! The files of SASL: a Cyrus configuration and a database of users.

#![no_main]

use adaptors::sasl::fuzzing::{configuration, database};

libfuzzer_sys::fuzz_target!(|octets: &[u8]| {
    database(octets);
    if let Ok(text) = std::str::from_utf8(octets) {
        configuration(text);
    }
});
