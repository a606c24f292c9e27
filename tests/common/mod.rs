//! What tests of the daemon have in common.

use std::time::{Duration, Instant};

/// Only bounds failures.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits until it holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
