//! Which flooded messages went through here already.
//!
//! A flooded message goes out of every link that its trace does not name, so copies of it come by every way there is, and
//! their number grows with the number of ways. One that was here is not passed on again, unless it came by a shorter way
//! than before: who looks at the length of the way may have dropped the longer one.

use amqp_core::Instant;
use bytes::Bytes;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

/// Copies come within this time. Twice of it, for which they are remembered at most, is no longer than any interval at which a
/// router says the same again.
const MEMORY: Duration = Duration::from_millis(500);

/// Messages that are remembered per [`MEMORY`]. More of them are all passed on.
const MAX_MESSAGES: usize = 1 << 14;

/// Memory of flooded messages.
#[derive(Debug, Default)]
pub(super) struct Flooded {
    /// Nobody else knows its keys, so nobody can make a message that is taken for another one.
    hasher: RandomState,
    since: Instant,
    /// By the hash of the message, how many routers it had passed at best.
    recent: HashMap<u64, u32>,
    before: HashMap<u64, u32>,
}

// === impl Flooded ===

impl Flooded {
    /// Whether a message that has passed `passed` routers is to be taken and passed on. If so it is noted.
    pub(super) fn is_news(&mut self, message: &Bytes, passed: u32, now: Instant) -> bool {
        self.forget(now);
        let hash = self.hasher.hash_one(message);
        let best = self.recent.get(&hash).or_else(|| self.before.get(&hash));
        if best.is_some_and(|best| *best <= passed) {
            return false;
        }
        if self.recent.len() < MAX_MESSAGES {
            self.recent.insert(hash, passed);
        }
        true
    }

    fn forget(&mut self, now: Instant) {
        let age = now.since(self.since);
        if age < MEMORY {
            return;
        }
        self.before = std::mem::take(&mut self.recent);
        self.since = self.since + MEMORY;
        if age >= 2 * MEMORY {
            self.before = HashMap::new();
            self.since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_no_news_for_a_while() {
        let mut flooded = Flooded::default();
        let (a, b) = (Bytes::from_static(b"a"), Bytes::from_static(b"b"));
        let at = |ms: u64| Instant::from_micros(1_000_000 + 1_000 * ms);
        assert!(flooded.is_news(&a, 3, at(0)));
        assert!(!flooded.is_news(&a, 3, at(1)));
        assert!(flooded.is_news(&b, 3, at(1)));
        assert!(flooded.is_news(&a, 2, at(2)), "by a shorter way");
        assert!(!flooded.is_news(&a, 3, at(499)));
        assert!(flooded.is_news(&a, 3, at(1_500)), "said again");
    }

    #[test]
    fn what_is_said_again_a_second_later_is_news() {
        for said in [0, 1, 250, 499, 500, 750] {
            for meanwhile in [999, 1_000, 1_001, 1_499] {
                let mut flooded = Flooded::default();
                let at = |ms: u64| Instant::from_micros(1_000_000 + 1_000 * ms);
                assert!(flooded.is_news(&Bytes::from_static(b"first"), 1, at(0)));
                assert!(flooded.is_news(&Bytes::from_static(b"a"), 1, at(said)));
                assert!(!flooded.is_news(&Bytes::from_static(b"a"), 1, at(said + 499)));
                assert!(flooded.is_news(&Bytes::from_static(b"other"), 1, at(meanwhile.min(said + 999))));
                assert!(flooded.is_news(&Bytes::from_static(b"a"), 1, at(said + 1_000)), "{said} {meanwhile}");
            }
        }
    }
}
