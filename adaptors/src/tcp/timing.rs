//! How long the parts of a flow take.

use crate::histogram::{Bounds, Histogram, WAITS};
use amqp_core::Instant;
use router_engine::exchange::Role;
use std::time::Duration;

/// For how long flows last.
const LIVES: Bounds = [
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_secs(1),
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(600),
    Duration::from_secs(3600),
];

/// What the flows of a service have taken.
#[derive(Debug)]
pub struct Times {
    /// At a listener from accepting a client until its server is connected, at a connector until TCP is.
    pub setup: Histogram,
    /// From the first octet of the client until the first of the answer.
    pub first_octet: Histogram,
    /// From the beginning to the end.
    pub duration: Histogram,
}

/// Measures how long the first answer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stopwatch {
    /// Nothing was asked yet.
    Ready,
    Running(Instant),
    /// It was read; or the server was first to speak.
    Done,
}

// === impl Times ===

impl Times {
    pub(super) const fn new() -> Self {
        Self { setup: Histogram::new(&WAITS), first_octet: Histogram::new(&WAITS), duration: Histogram::new(&LIVES) }
    }
}

// === impl Stopwatch ===

impl Stopwatch {
    /// Notes how many octets were read and written before a turn of copying, which began at `at`, and after it. Returns
    /// how long the answer took, when it has come.
    ///
    /// A client is timed from before its first octet is read until after the first is written to it, a server from after
    /// the first octet is written to it until before its first is read: so what the server took is never more than the
    /// whole.
    pub(super) fn note(
        &mut self,
        side: Role,
        at: Instant,
        before: (u64, u64),
        after: (u64, u64),
        now: impl Fn() -> Instant,
    ) -> Option<Duration> {
        let (has_read, has_written) = (after.0 > before.0, after.1 > before.1);
        let (asked, answered) = match side {
            Role::Requester => (has_read, has_written),
            Role::Responder => (has_written, has_read),
        };
        match *self {
            Self::Ready if asked => *self = Self::Running(if side == Role::Requester { at } else { now() }),
            Self::Ready if answered => *self = Self::Done,
            Self::Running(since) if answered => {
                *self = Self::Done;
                let answer = if side == Role::Requester { now() } else { at };
                return Some(answer.since(since));
            }
            Self::Ready | Self::Running(_) | Self::Done => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::default() + Duration::from_secs(seconds)
    }

    /// Turns of copying a second each: octets read and written by the end of each. Returns what the answer took.
    fn timed(side: Role, turns: &[(u64, u64)]) -> Option<u64> {
        let mut watch = Stopwatch::Ready;
        let mut before = (0, 0);
        let mut taken = None;
        for (second, &after) in (10..).step_by(10).zip(turns) {
            let told = watch.note(side, at(second), before, after, || at(second + 1));
            assert!(told.is_none() || taken.is_none(), "told twice");
            taken = taken.or(told);
            before = after;
        }
        taken.map(|taken| taken.as_secs())
    }

    #[test]
    fn the_client_waits_for_longer_than_the_server_takes() {
        assert_eq!(timed(Role::Requester, &[(0, 0), (5, 0), (9, 0), (9, 7), (9, 9)]), Some(21));
        assert_eq!(timed(Role::Responder, &[(0, 0), (0, 5), (0, 9), (7, 9), (9, 9)]), Some(19));
    }

    #[test]
    fn a_server_that_speaks_first_answers_nothing() {
        assert_eq!(timed(Role::Requester, &[(0, 5), (5, 5), (5, 9)]), None);
        assert_eq!(timed(Role::Responder, &[(5, 0), (5, 5), (9, 5)]), None);
    }
}
