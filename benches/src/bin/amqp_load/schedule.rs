//! When messages are meant to be sent, whatever becomes of those before.

const SECOND: u64 = 1_000_000_000;

/// The times of one sender's messages: `rate` a second for all senders together, who take turns.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    /// When the first sender sends first, nanoseconds.
    start: u64,
    /// Messages a second of all senders.
    rate: u64,
    senders: u64,
    /// Which of them this is.
    index: u64,
}

// === impl Schedule ===

impl Schedule {
    pub(crate) const fn new(start: u64, rate: u64, senders: u64, index: u64) -> Self {
        Self { start, rate, senders, index }
    }

    /// When message `number` is to be sent, nanoseconds.
    pub(crate) fn time_of(&self, number: u64) -> u64 {
        let turn = u128::from(number) * u128::from(self.senders) + u128::from(self.index);
        let offset = turn * u128::from(SECOND) / u128::from(self.rate);
        self.start.saturating_add(u64::try_from(offset).unwrap_or(u64::MAX))
    }

    /// How many messages are to be sent by `now`.
    pub(crate) fn due(&self, now: u64) -> u64 {
        let Some(passed) = now.checked_sub(self.start) else { return 0 };
        // The last turn with turn * SECOND / rate <= passed, rounded down.
        let turn = ((u128::from(passed) + 1) * u128::from(self.rate) - 1) / u128::from(SECOND);
        let Some(turn) = turn.checked_sub(u128::from(self.index)) else { return 0 };
        u64::try_from(turn / u128::from(self.senders)).unwrap_or(u64::MAX).saturating_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn due_when_its_time_has_come() {
        for rate in [1, 3, 7, 1000, 999_983, 2_000_000_000] {
            for (senders, index) in [(1, 0), (8, 0), (8, 7)] {
                let schedule = Schedule::new(5_000, rate, senders, index);
                for number in [0, 1, 2, 100, 1_000_003] {
                    let time = schedule.time_of(number);
                    assert!(schedule.due(time) > number, "{schedule:?} {number}");
                    if rate < SECOND {
                        assert_eq!(schedule.due(time - 1), number, "{schedule:?} {number}");
                    }
                }
            }
        }
    }

    #[test]
    fn nothing_before_the_start() {
        assert_eq!(Schedule::new(5_000, 10, 1, 0).due(4_999), 0);
        assert_eq!(Schedule::new(0, 10, 4, 3).due(0), 0);
    }

    #[test]
    fn senders_take_turns() {
        let times: Vec<u64> = (0..8).map(|turn| Schedule::new(0, 1000, 4, turn % 4).time_of(turn / 4)).collect();
        assert_eq!(times, (0..8).map(|turn| turn * 1_000_000).collect::<Vec<_>>());
    }
}
