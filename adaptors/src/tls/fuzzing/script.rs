//! Arbitrary octets as decisions. Behind their end everything is zero.

pub(super) struct Script<'a>(&'a [u8]);

// === impl Script ===

impl<'a> Script<'a> {
    pub(super) const fn new(octets: &'a [u8]) -> Self {
        Self(octets)
    }

    pub(super) const fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// The next `n` octets, or what is left.
    pub(super) fn take(&mut self, n: usize) -> &'a [u8] {
        let (now, later) = self.0.split_at(n.min(self.0.len()));
        self.0 = later;
        now
    }

    pub(super) fn octet(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    pub(super) fn short(&mut self) -> usize {
        usize::from(self.octet()) << 8 | usize::from(self.octet())
    }
}
