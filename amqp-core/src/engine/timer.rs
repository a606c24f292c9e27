//! The timers of a connection.

use crate::time::Instant;
use std::time::Duration;

/// What can become due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    /// Nothing was received for too long.
    Idle,
    /// Nothing was received although the peer agreed to send something.
    Liveness,
    /// Nothing was sent for long; the peer wants to hear something.
    Heartbeat,
    /// The peer has not answered our close.
    Close,
}

const ALL: [Timer; 4] = [Timer::Idle, Timer::Liveness, Timer::Heartbeat, Timer::Close];

#[derive(Debug, Default)]
pub(super) struct Timers([Option<Instant>; ALL.len()]);

// === impl Timers ===

impl Timers {
    pub(super) const fn set(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize] = Some(at);
    }

    /// Moves a timer back, if it is set.
    pub(super) fn postpone(&mut self, timer: Timer, time: Duration) {
        if let Some(at) = &mut self.0[timer as usize] {
            *at = *at + time;
        }
    }

    pub(super) const fn unset(&mut self, timer: Timer) {
        self.0[timer as usize] = None;
    }

    pub(super) const fn is_set(&self, timer: Timer) -> bool {
        self.0[timer as usize].is_some()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    /// How much later than the earliest deadline it is.
    pub(super) fn lateness(&self, now: Instant) -> Duration {
        self.next().map_or(Duration::ZERO, |due| now - due)
    }

    /// The earliest deadline.
    pub(super) fn next(&self) -> Option<Instant> {
        self.0.iter().flatten().min().copied()
    }

    /// Takes a timer that is due.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Timer> {
        ALL.into_iter().find(|&timer| self.0[timer as usize].take_if(|at| *at <= now).is_some())
    }
}
