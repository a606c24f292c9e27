//! What the port of an outgoing link knows and management shows.

use std::sync::atomic::{AtomicU64, Ordering};

/// How many unsettled whole messages have left by a link: its port does not tell the core of each. The port is the only
/// writer; who reads may see the last of it a moment late.
#[derive(Debug, Default)]
pub struct LinkGauge(AtomicU64);

// === impl LinkGauge ===

impl LinkGauge {
    /// One more has left, or waits no longer for other reasons.
    pub fn add_one(&self) {
        // With one writer this need not be one operation.
        self.0.store(self.0.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// How many have left since the link was attached.
    #[must_use]
    pub fn left(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
