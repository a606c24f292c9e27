//! How long a connector waits between attempts.

use crate::random;
use std::time::Duration;

/// The pause after an attempt that did not open.
const AFTER_FAILURE: Duration = Duration::from_secs(5);
/// The pause after a connection that had been open.
const AFTER_LOSS: Duration = Duration::from_secs(2);
/// The longest pause when there is another target to try.
const FAILOVER: Duration = Duration::from_secs(1);
/// The first pause of a connector between routers, each further one is twice as long.
const FIRST: Duration = Duration::from_millis(50);
/// A connection that lasted for this long shows that its peer is well.
const STEADY: Duration = Duration::from_secs(1);

/// The pauses of one connection of a connector.
///
/// A network is no better than its connections between routers, so these are made again at once, and ever less often while
/// nobody answers. Others wait as those of the C implementation do.
#[derive(Debug)]
pub(super) struct Pauses {
    between_routers: bool,
    next: Duration,
}

// === impl Pauses ===

impl Pauses {
    pub(super) const fn new(between_routers: bool) -> Self {
        Self { between_routers, next: FIRST }
    }

    /// The pause after an attempt whose connection, if it `opened`, `lasted` for this long.
    pub(super) fn after(&mut self, opened: bool, lasted: Duration, alternatives: bool) -> Duration {
        let pause = if self.between_routers {
            if opened && lasted >= STEADY {
                self.next = FIRST;
            }
            let pause = self.next;
            self.next = pause.saturating_mul(2).min(AFTER_FAILURE);
            scattered(pause)
        } else if opened {
            AFTER_LOSS
        } else {
            AFTER_FAILURE
        };
        if !alternatives {
            pause
        } else if self.between_routers {
            pause.min(FAILOVER)
        } else {
            FAILOVER
        }
    }
}

/// From three quarters to five quarters of a pause: many who lost the same peer do not come back all at once.
fn scattered(pause: Duration) -> Duration {
    let [dice] = random::octets::<1>();
    pause.mul_f64(0.75 + f64::from(dice) / 510.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(pause: Duration, want: u64) -> bool {
        let want = Duration::from_millis(want);
        (want.mul_f64(0.74)..=want.mul_f64(1.26)).contains(&pause)
    }

    #[test]
    fn routers_try_again_at_once_and_then_less_often() {
        let mut pauses = Pauses::new(true);
        for want in [50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000] {
            let pause = pauses.after(false, Duration::ZERO, false);
            assert!(near(pause, want), "{pause:?} instead of {want} ms");
        }
        assert!(
            near(pauses.after(true, Duration::from_millis(900), false), 5_000),
            "it opens and is lost again and again"
        );
        assert!(near(pauses.after(true, Duration::from_secs(60), false), 50));
        assert!(pauses.after(false, Duration::ZERO, true) <= FAILOVER);
    }

    #[test]
    fn others_wait_as_they_always_did() {
        let mut pauses = Pauses::new(false);
        let mut after = |opened, alternatives| pauses.after(opened, Duration::ZERO, alternatives).as_secs();
        assert_eq!([after(false, false), after(true, false), after(false, true), after(true, true)], [5, 2, 1, 1]);
    }
}
