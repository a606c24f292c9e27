//! Randomness that nobody can guess.

use router_engine::rng::Seed;

/// A seed for the core.
#[must_use]
pub fn seed() -> Seed {
    Seed(octets())
}

/// Random octets. The generator of the TLS library cannot fail once it is seeded, and without one there is no TLS either:
/// then they are zero.
#[must_use]
pub(crate) fn octets<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    let _ = aws_lc_rs::rand::fill(&mut octets);
    octets
}
