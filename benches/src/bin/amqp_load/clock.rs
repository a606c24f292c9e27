//! Time since the start of the process.

use std::time::Instant;

/// The one clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
}

// === impl Clock ===

impl Clock {
    pub(crate) fn new() -> Self {
        Self { origin: Instant::now() }
    }

    /// Nanoseconds since the origin.
    pub(crate) fn nanos(self) -> u64 {
        u64::try_from(self.origin.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The time as the AMQP engine wants it.
pub(crate) const fn engine_time(nanos: u64) -> amqp_core::Instant {
    amqp_core::Instant::from_micros(nanos / 1000)
}
