//! How many settlements there are in a second.

use amqp_core::Instant;

/// Seconds that the rate is taken over.
const WINDOW: usize = 5;

/// Counts settlements by the second in which they were.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SettleRate {
    /// Of each of the last seconds, by its number modulo the size of the window.
    counts: [u32; WINDOW],
    /// The number of the last second in which there was one.
    last: u32,
}

// === impl SettleRate ===

impl SettleRate {
    pub(crate) fn add(&mut self, now: Instant) {
        let second = second(now);
        if second != self.last {
            for passed in 1..=second.saturating_sub(self.last).min(WINDOW as u32) {
                self.counts[place(self.last + passed)] = 0;
            }
            self.last = second;
        }
        self.counts[place(second)] += 1;
    }

    /// The rate over the last seconds, this one included.
    pub(crate) fn per_second(&self, now: Instant) -> u32 {
        let passed = second(now).saturating_sub(self.last).min(WINDOW as u32);
        // As many places before that of the last second as behind it, less those that are out of the window by now.
        let kept = passed + 1..=WINDOW as u32;
        kept.map(|ahead| self.counts[place(self.last + ahead)]).sum::<u32>() / WINDOW as u32
    }
}

fn second(now: Instant) -> u32 {
    (now.as_micros() / 1_000_000) as u32
}

const fn place(second: u32) -> usize {
    second as usize % WINDOW
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn the_rate_is_that_of_five_seconds() {
        let mut rate = SettleRate::default();
        assert_eq!(rate.per_second(at(9)), 0);
        for second in 10..15 {
            (0..second).for_each(|_| rate.add(at(second)));
        }
        assert_eq!(rate.per_second(at(14)), (10 + 11 + 12 + 13 + 14) / 5);
        assert_eq!(rate.per_second(at(16)), (12 + 13 + 14) / 5, "what is older does not count");
        assert_eq!(rate.per_second(at(19)), 0);
        // Seconds without any are no gap that old counts come through.
        rate.add(at(17));
        assert_eq!(rate.per_second(at(17)), (13 + 14 + 1) / 5);
        (0..10).for_each(|_| rate.add(at(100)));
        assert_eq!(rate.per_second(at(100)), 2);
    }
}
