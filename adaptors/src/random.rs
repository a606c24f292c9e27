//! Randomness that nobody can guess.

use router_engine::rng::Seed;

/// A seed for the core.
#[must_use]
pub fn seed() -> Seed {
    Seed(octets())
}

/// A random UUID (version 4) as text.
#[must_use]
pub fn uuid() -> String {
    let number = u128::from_be_bytes(octets());
    let number = number & !(0xf << 76) & !(0x3 << 62) | 0x4 << 76 | 0x2 << 62;
    let digits = format!("{number:032x}");
    [0..8, 8..12, 12..16, 16..20, 20..32].map(|part| &digits[part]).join("-")
}

/// Random octets. The generator of the TLS library cannot fail once it is seeded, and without one there is no TLS either:
/// then they are zero.
#[must_use]
pub(crate) fn octets<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    let _ = aws_lc_rs::rand::fill(&mut octets);
    octets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_tells_its_version() {
        let text = uuid();
        let lengths: Vec<usize> = text.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12], "{text}");
        assert!(text.as_bytes()[14] == b'4' && matches!(text.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{text}");
        assert_ne!(text, uuid());
    }
}
