//! What is counted of the whole process, whichever router or listener it belongs to.

use std::sync::atomic::{AtomicU64, Ordering};

/// Connections that the system could not give to a listener.
pub static ACCEPTS_FAILED: Counter = Counter::new();

/// TLS handshakes that have failed, at either side; not those that took too long.
pub static HANDSHAKES_FAILED: Counter = Counter::new();

/// Something that only grows.
#[derive(Debug)]
pub struct Counter(AtomicU64);

// === impl Counter ===

impl Counter {
    const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(crate) fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How often it was counted.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
