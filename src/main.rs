//! Router daemon.
fn main() {}
