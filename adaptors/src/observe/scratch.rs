//! What came of something before the rest of it.

/// The most that is kept, in octets: of a line, a frame or a header block.
pub(super) const LIMIT: usize = 65_535;

/// What stays allocated for the next time, in octets.
const RETAINED: usize = 1024;

/// Octets that are kept until the rest of them has come; [`LIMIT`] at most.
#[derive(Debug, Default)]
pub(super) struct Scratch(Vec<u8>);

/// There would be more than [`LIMIT`] octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Full;

// === impl Scratch ===

impl Scratch {
    pub(super) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn push(&mut self, octets: &[u8]) -> Result<(), Full> {
        let needed = self.0.len() + octets.len();
        if needed > LIMIT {
            return Err(Full);
        }
        if needed > self.0.capacity() {
            // The growth of a vector, but not beyond the limit.
            let capacity = needed.max(self.0.capacity() * 2).min(LIMIT);
            self.0.reserve_exact(capacity - self.0.len());
        }
        self.0.extend_from_slice(octets);
        Ok(())
    }

    /// Forgets everything, and gives back memory that few would need.
    pub(super) fn clear(&mut self) {
        self.0.clear();
        if self.0.capacity() > RETAINED {
            self.0 = Vec::new();
        }
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) const fn footprint(&self) -> usize {
        self.0.capacity()
    }
}

impl std::ops::Deref for Scratch {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_its_limit() {
        let mut scratch = Scratch::new();
        for _ in 0..LIMIT {
            assert_eq!(scratch.push(b"x"), Ok(()));
            assert!(scratch.footprint() <= LIMIT);
        }
        assert_eq!(scratch.push(b"x"), Err(Full));
        assert_eq!((scratch.len(), scratch.footprint()), (LIMIT, LIMIT));
        scratch.clear();
        assert_eq!((scratch.len(), scratch.footprint()), (0, 0));
    }
}
