//! The timers of a connection.

use crate::time::Instant;

/// What can become due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    /// Nothing was received for too long.
    Idle,
    /// Nothing was sent for long; the peer wants to hear something.
    Heartbeat,
    /// The peer has not answered our close.
    Close,
}

const ALL: [Timer; 3] = [Timer::Idle, Timer::Heartbeat, Timer::Close];

#[derive(Debug, Default)]
pub(super) struct Timers([Option<Instant>; ALL.len()]);

// === impl Timers ===

impl Timers {
    pub(super) const fn set(&mut self, timer: Timer, at: Instant) {
        self.0[timer as usize] = Some(at);
    }

    pub(super) const fn is_set(&self, timer: Timer) -> bool {
        self.0[timer as usize].is_some()
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
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
