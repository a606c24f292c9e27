//! Gathering of changes: the first one is acted on at once, more of them ever more seldom (as the throttles of OSPF and
//! IS-IS do, RFC 8405 names the reasons).

use amqp_core::Instant;
use std::time::Duration;

/// How soon changes are acted on, and how seldom at worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// From the first change after a quiet time to the act. What comes meanwhile is part of it.
    pub first: Duration,
    /// Between two acts when changes never end: after the first act the pause doubles from twice [`Self::first`] up to this.
    pub longest: Duration,
}

/// When to act on changes. Quiet is a time of `longest` without an act. After it there are at most about
/// log2(`longest` / `first`) acts within `longest`, and from then on one per `longest` until it is quiet again.
#[derive(Debug)]
pub(super) struct Throttle {
    pace: Pace,
    due: Option<Instant>,
    last: Option<Instant>,
    /// To pass between the last act and the next.
    pause: Duration,
}

// === impl Pace ===

impl Default for Pace {
    fn default() -> Self {
        Self { first: Duration::from_millis(5), longest: Duration::from_secs(1) }
    }
}

// === impl Throttle ===

impl Throttle {
    pub(super) const fn new(pace: Pace) -> Self {
        Self { pace, due: None, last: None, pause: Duration::ZERO }
    }

    /// Something changed.
    pub(super) fn note(&mut self, now: Instant) {
        if self.due.is_some() {
            return;
        }
        let first = now + self.pace.first;
        self.due = Some(match self.last {
            Some(last) if now.since(last) < self.pace.longest => first.max(last + self.pause),
            _ => {
                self.pause = Duration::ZERO;
                first
            }
        });
    }

    /// When to act, if there is a reason to.
    pub(super) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// The longest that a change which is noted now waits.
    #[cfg(test)]
    pub(super) fn pause(&self) -> Duration {
        self.pause.max(self.pace.first)
    }

    /// Whether it is time to act. If so, that is taken as done.
    pub(super) fn take_due(&mut self, now: Instant) -> bool {
        let is_due = self.due.is_some_and(|due| due <= now);
        if is_due {
            self.due = None;
            self.last = Some(now);
            let longer = self.pause.max(self.pace.first).saturating_mul(2);
            self.pause = longer.min(self.pace.longest);
        }
        is_due
    }

    /// Acts no earlier than then.
    pub(super) fn hold(&mut self, until: Instant) {
        self.due = self.due.map(|due| due.max(until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn one_change_is_acted_on_once_and_soon() {
        let mut throttle = Throttle::new(Pace::default());
        let now = Instant::from_micros(1_000_000);
        throttle.note(now);
        throttle.note(now + MS);
        assert_eq!(throttle.due(), Some(now + 5 * MS));
        assert!(!throttle.take_due(now + 4 * MS));
        assert!(throttle.take_due(now + 5 * MS));
        assert!(!throttle.take_due(now + 60_000 * MS));
    }

    #[test]
    fn quiet_brings_the_first_pace_back() {
        let mut throttle = Throttle::new(Pace::default());
        let mut now = Instant::from_micros(0);
        for _ in 0..20 {
            throttle.note(now);
            now = throttle.due().expect("noted");
            assert!(throttle.take_due(now));
        }
        throttle.note(now);
        assert_eq!(throttle.due(), Some(now + 1_000 * MS));
        now = now + 1_000 * MS;
        assert!(throttle.take_due(now));
        now = now + 1_000 * MS;
        throttle.note(now);
        assert_eq!(throttle.due(), Some(now + 5 * MS));
    }

    proptest! {
        /// Whatever happens, acts are bounded, and no change waits longer than the longest pause.
        #[test]
        fn acts_are_bounded(gaps in proptest::collection::vec(0_u64..400, 1..400)) {
            let mut throttle = Throttle::new(Pace::default());
            let (mut now, mut acts, mut waiting) = (Instant::from_micros(0), Vec::new(), None);
            for gap in gaps {
                now = now + MS * u32::try_from(gap).unwrap_or(0);
                while let Some(due) = throttle.due().filter(|due| *due <= now) {
                    prop_assert!(throttle.take_due(due));
                    let since: Instant = waiting.take().expect("something was noted");
                    prop_assert!(due.since(since) <= 1_005 * MS);
                    acts.push(due);
                }
                throttle.note(now);
                waiting.get_or_insert(now);
            }
            for (i, from) in acts.iter().enumerate() {
                let within = acts[i..].iter().filter(|at| at.since(*from) < 10_000 * MS).count();
                prop_assert!(within <= 40, "{within} in ten seconds");
            }
        }
    }
}
