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

/// An agreement that holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Watch {
    liveness: Liveness,
    /// Something came since it was made: the peer is there.
    heard: bool,
}

/// What the peer has in addition until it is heard for the first time. It hears of the agreement only when our open has
/// arrived, which may be lost on the way and sent again.
const ARRIVAL: Duration = Duration::from_secs(3);

// === impl Watch ===

impl Watch {
    fn allowed_silence(self) -> Duration {
        let arrival = if self.heard { Duration::ZERO } else { ARRIVAL };
        self.liveness.detection_time().saturating_add(arrival)
    }
}

// === impl Connection ===

impl Connection {
    /// Follows an agreement that was made by the opens; [`Self::flush`] must follow.
    ///
    /// We send in every interval from now on, and so does the peer from when our open arrives.
    pub fn watch(&mut self, liveness: Liveness) {
        let interval = liveness.interval;
        self.heartbeat = Some(self.heartbeat.map_or(interval, |heartbeat| heartbeat.min(interval)));
        self.watch = Some(Watch { liveness, heard: false });
        // The flush sets them.
        [Timer::Heartbeat, Timer::Liveness].into_iter().for_each(|timer| self.timers.unset(timer));
    }

    /// The peer is alive.
    pub(super) fn note_alive(&mut self, now: Instant) {
        if let Some(watch) = &mut self.watch {
            watch.heard = true;
            self.set_liveness_timer(now);
        }
    }

    pub(super) fn set_liveness_timer(&mut self, now: Instant) {
        if let Some(watch) = self.watch
            && self.status == Status::Running
        {
            self.timers.set(Timer::Liveness, now + watch.allowed_silence());
        }
    }

    pub(super) fn liveness_violation(&self) -> Violation {
        Violation::Liveness(self.watch.map(Watch::allowed_silence).unwrap_or_default())
    }
}
