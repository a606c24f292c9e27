//! The head of a TCP stream: any octets in any pieces, and heads of any strings and addresses.

#![no_main]

use adaptors::tcp::fuzzing::{Ends, head, written_head};

libfuzzer_sys::fuzz_target!(|input: (&[u8], Option<(&str, &str, Option<&str>, Option<Ends>)>)| {
    let (octets, strings) = input;
    head(octets);
    if let Some((to, reply_to, alpn, ends)) = strings {
        written_head(to, reply_to, alpn, ends, octets);
    }
});
