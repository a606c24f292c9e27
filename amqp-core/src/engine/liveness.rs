//! Liveness: both ends have agreed to send something in every interval, and give up a peer that has missed several.
//!
//! The idle timeout watches what a peer promised in general; this watches closer, by agreement. Sending is the work of
//! the heartbeat timer, which runs at the shorter of both times.

use super::connection::Connection;
use super::error::Violation;
use super::event::Status;
use super::timer::Timer;
use crate::time::Instant;
use std::time::Duration;

/// How closely the ends of a connection watch each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Liveness {
    /// Each end sends something at least this often.
    pub interval: Duration,
    /// Intervals without an octet after which the peer counts as dead.
    pub multiplier: u32,
}

// === impl Liveness ===

impl Liveness {
    /// The silence after which the peer counts as dead.
    #[must_use]
    pub fn detection_time(self) -> Duration {
        self.interval.saturating_mul(self.multiplier)
    }

    /// What two ends agree upon: the more patient of each, so that neither can make the other hurry.
    #[must_use]
    pub fn agreed(self, peer: Self) -> Self {
        Self { interval: self.interval.max(peer.interval), multiplier: self.multiplier.max(peer.multiplier) }
    }
}

// === impl Connection ===

impl Connection {
    /// Follows an agreement that was made by the opens; [`Self::flush`] must follow.
    ///
    /// We send in every interval from now on. The peer may hear of the agreement only when our open arrives, so its
    /// silence counts from the next octets that come.
    pub fn watch(&mut self, liveness: Liveness) {
        let interval = liveness.interval;
        self.heartbeat = Some(self.heartbeat.map_or(interval, |heartbeat| heartbeat.min(interval)));
        self.liveness = Some(liveness);
        // The flush sets it anew.
        self.timers.unset(Timer::Heartbeat);
    }

    pub(super) fn set_liveness_timer(&mut self, now: Instant) {
        if let Some(liveness) = self.liveness
            && self.status == Status::Running
        {
            self.timers.set(Timer::Liveness, now + liveness.detection_time());
        }
    }

    pub(super) fn liveness_violation(&self) -> Violation {
        Violation::Liveness(self.liveness.map(Liveness::detection_time).unwrap_or_default())
    }
}
