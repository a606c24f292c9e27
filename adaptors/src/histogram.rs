//! Distributions of times, counted without locks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets of a histogram; the last one has no bound.
const BUCKETS: usize = 8;

/// The upper bounds of the buckets of a histogram, but for the last.
pub type Bounds = [Duration; BUCKETS - 1];

/// For what a server or the network makes wait.
pub(crate) const WAITS: Bounds = [
    Duration::from_millis(1),
    Duration::from_millis(5),
    Duration::from_millis(25),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_millis(2500),
    Duration::from_secs(10),
];

/// How often times were in which bucket, and their sum. To observe one takes two relaxed additions.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static Bounds,
    counts: [AtomicU64; BUCKETS],
    /// Microseconds.
    sum: AtomicU64,
}

/// What a histogram has counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The upper bounds of the buckets, but for the last, and how many times were below or at each.
    pub cumulative: Vec<(Duration, u64)>,
    /// How many times there were.
    pub count: u64,
    /// Their sum.
    pub sum: Duration,
}

// === impl Histogram ===

impl Histogram {
    /// No times yet. The bounds are in ascending order.
    pub(crate) const fn new(bounds: &'static Bounds) -> Self {
        Self { bounds, counts: [const { AtomicU64::new(0) }; BUCKETS], sum: AtomicU64::new(0) }
    }

    /// Counts a time.
    pub(crate) fn observe(&self, time: Duration) {
        let bucket = self.bounds.iter().position(|bound| time <= *bound).unwrap_or(BUCKETS - 1);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// What was counted; none before the first time. Of a time that is being counted right now it may have a part.
    #[must_use]
    pub fn snapshot(&self) -> Option<Snapshot> {
        let counts: [u64; BUCKETS] = std::array::from_fn(|bucket| self.counts[bucket].load(Ordering::Relaxed));
        let mut count = 0;
        let mut add = |more: u64| {
            count += more;
            count
        };
        let cumulative = self.bounds.iter().zip(counts).map(|(bound, more)| (*bound, add(more))).collect();
        let count = add(counts[BUCKETS - 1]);
        let sum = Duration::from_micros(self.sum.load(Ordering::Relaxed));
        (count > 0).then_some(Snapshot { cumulative, count, sum })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = [
        Duration::from_millis(1),
        Duration::from_millis(2),
        Duration::from_millis(5),
        Duration::from_millis(10),
        Duration::from_millis(20),
        Duration::from_millis(50),
        Duration::from_millis(100),
    ];

    #[test]
    fn times_count_in_all_buckets_above_them() {
        let histogram = Histogram::new(&BOUNDS);
        assert_eq!(histogram.snapshot(), None);
        for millis in [0, 1, 2, 3, 100, 101, 5000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let Snapshot { cumulative, count, sum } = histogram.snapshot().expect("there are some");
        let counts: Vec<_> = cumulative.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [2, 3, 4, 4, 4, 4, 5]);
        assert_eq!((count, sum), (7, Duration::from_millis(5207)));
        assert_eq!(cumulative[0].0, Duration::from_millis(1));
    }

    #[test]
    fn threads_do_not_wait_for_each_other_and_lose_nothing() {
        let histogram = Histogram::new(&BOUNDS);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..10_000).for_each(|_| histogram.observe(Duration::from_millis(7))));
            }
        });
        let told = histogram.snapshot().expect("there are some");
        assert_eq!((told.count, told.sum), (40_000, Duration::from_secs(280)));
    }
}
