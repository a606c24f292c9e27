//! The PROXY protocol: headers of any octets, and of any addresses.

#![no_main]

use adaptors::proxy_protocol::fuzzing::{header, written};
use std::net::IpAddr;

libfuzzer_sys::fuzz_target!(|input: (&[u8], Option<((IpAddr, u16), (IpAddr, u16))>)| {
    let (octets, addresses) = input;
    header(octets);
    if let Some((source, destination)) = addresses {
        written(source, destination);
    }
});
