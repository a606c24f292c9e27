//! Periods and ages of the protocols, as the router entity configures them.

use super::throttle::Pace;
use std::time::Duration;

/// How often a router tells others of itself, and for how long counts what they tell. The mesh
/// looks at all but the pace once per tick, so fractions of a second make no difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// Between HELLOs (`helloIntervalSeconds`).
    pub hello_interval: Duration,
    /// A HELLO counts for this long (`helloMaxAgeSeconds`).
    pub hello_max_age: Duration,
    /// Between router advertisements while nothing changes (`raIntervalSeconds`).
    pub ra_interval: Duration,
    /// Between router advertisements after a topology change (`raIntervalFluxSeconds`).
    pub ra_interval_flux: Duration,
    /// A link state counts for this long after the last sign of its router (`remoteLsMaxAgeSeconds`).
    pub link_state_max_age: Duration,
    /// From a computation to the flush of the routers that it found unreachable
    /// (`unreachableHoldoffSeconds`).
    pub unreachable_hold_off: Duration,
    /// How soon changes are computed and told.
    pub pace: Pace,
}

// === impl Timing ===

impl Timing {
    /// How long a topology change keeps the shorter interval: twice that interval, and some more so
    /// that a late timer does not lose the advertisement that is due at their end.
    pub(super) const fn flux(&self) -> Duration {
        self.ra_interval_flux.saturating_mul(2).saturating_add(Duration::from_millis(500))
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            hello_interval: Duration::from_secs(1),
            hello_max_age: Duration::from_secs(3),
            ra_interval: Duration::from_secs(30),
            ra_interval_flux: Duration::from_secs(4),
            link_state_max_age: Duration::from_secs(60),
            unreachable_hold_off: Duration::from_secs(1),
            pace: Pace::default(),
        }
    }
}
