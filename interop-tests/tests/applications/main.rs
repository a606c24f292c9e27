//! Real applications through one router and through two, ours and the C router's, with and without TLS.
//!
//! Each module has the checks of an application. What takes minutes is ignored unless asked for (`make applications`).

use interop_tests::apps::{Encryption, Routers};

/// Tests of one check, each with the routers and the encryption that it names.
macro_rules! through {
    ($check:path; $($name:ident: $routers:ident, $encryption:ident;)*) => {$(
        #[test]
        fn $name() {
            interop_tests::harness::run(|| $check(crate::Routers::$routers, crate::Encryption::$encryption));
        }
    )*};
}

mod ftp;
mod grpc;
mod half_close;
mod idle;
mod mariadb;
mod nginx;
mod postgres;
mod redis;
mod smtp;
mod ssh;
mod websocket;

/// So many octets that no compression makes less of, the same for the same seed.
fn octets(seed: u64, count: usize) -> Vec<u8> {
    let mut octets = Vec::with_capacity(count);
    interop_tests::tcp::send_pattern(&mut octets, seed, count as u64).expect("memory takes all");
    octets
}

/// Lines with a number and a text, as databases copy them.
fn rows(count: usize) -> String {
    (0..count).map(|n| format!("{n}\trow {n} {}\n", "x".repeat(n % 50))).collect()
}
