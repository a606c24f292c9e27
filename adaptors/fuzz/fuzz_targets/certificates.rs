//! Certificate chains of any octets, with any octets trusted: they are judged, in bounded time, without a panic.

#![no_main]

use adaptors::tls::{Purpose, judge};
use libfuzzer_sys::fuzz_target;
use rustls_pki_types::CertificateDer;

fuzz_target!(|input: (bool, u64, Vec<Vec<u8>>, Vec<Vec<u8>>)| {
    let (server, now, chain, trusted) = input;
    let certificates = |list: Vec<Vec<u8>>| list.into_iter().map(CertificateDer::from).collect::<Vec<_>>();
    let purpose = if server { Purpose::Server } else { Purpose::Client };
    let (chain, trusted) = (certificates(chain), certificates(trusted));
    let accepted = judge(trusted.clone(), &chain, purpose, Some("localhost"), now).is_ok();
    // Nobody can forge a signature by chance: what is accepted is trusted itself.
    assert!(!accepted || trusted.contains(&chain[0]));
});
