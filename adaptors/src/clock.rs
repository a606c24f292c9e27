//! The one place where wall-clock time enters: maps the monotonic clock to [`amqp_core::Instant`].

use amqp_core::Instant;
use std::sync::OnceLock;
use std::time::Duration;

/// Instants count from a little before the first use, so that zero is never "now".
const HEAD_START: Duration = Duration::from_secs(1);

static ORIGIN: OnceLock<std::time::Instant> = OnceLock::new();

fn origin() -> std::time::Instant {
    *ORIGIN.get_or_init(std::time::Instant::now)
}

/// The time now.
#[must_use]
pub fn now() -> Instant {
    Instant::default() + (origin().elapsed() + HEAD_START)
}

/// The same point in time on the system's monotonic clock.
#[must_use]
pub fn to_std(at: Instant) -> std::time::Instant {
    origin() + at.since(Instant::default()).saturating_sub(HEAD_START)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_there_and_back() {
        let before = std::time::Instant::now();
        let at = now();
        assert!(to_std(at) + Duration::from_millis(1) >= before);
        assert!(to_std(at + Duration::from_secs(5)) > before + Duration::from_secs(4));
    }
}
