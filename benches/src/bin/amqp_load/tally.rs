//! What a receiver has counted, and whether messages are missing or came twice.

/// Messages of one sender, at one receiver.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) received: u64,
    /// Numbers that were left out.
    pub(crate) missing: u64,
    /// Numbers that came again, or behind higher ones.
    pub(crate) repeated: u64,
    /// The number that is due.
    next: u64,
}

// === impl Tally ===

impl Tally {
    pub(crate) const fn new() -> Self {
        Self { received: 0, missing: 0, repeated: 0, next: 0 }
    }

    /// Counts a message with its number. A receiver that may have come late takes the first number for the first there was.
    #[inline]
    pub(crate) const fn count(&mut self, number: u64, may_be_late: bool) {
        if may_be_late && self.received == 0 {
            self.next = number;
        }
        self.received += 1;
        if number < self.next {
            self.repeated += 1;
            return;
        }
        self.missing += number - self.next;
        self.next = number + 1;
    }

    /// Counts a message without number.
    pub(crate) const fn count_one(&mut self) {
        self.received += 1;
        self.next += 1;
    }

    /// All messages before this number are accounted for.
    pub(crate) const fn next(&self) -> u64 {
        self.next
    }

    /// No more will come of the `sent` messages: what is not here is missing.
    pub(crate) const fn end(&mut self, sent: u64) {
        self.missing += sent.saturating_sub(self.next);
        if self.next < sent {
            self.next = sent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(numbers: &[u64], may_be_late: bool, sent: u64) -> (u64, u64, u64) {
        let mut tally = Tally::new();
        numbers.iter().for_each(|&number| tally.count(number, may_be_late));
        tally.end(sent);
        (tally.received, tally.missing, tally.repeated)
    }

    #[test]
    fn gaps_and_repetitions() {
        assert_eq!(tally(&[0, 1, 2], false, 3), (3, 0, 0));
        assert_eq!(tally(&[0, 2, 3], false, 5), (3, 2, 0));
        assert_eq!(tally(&[0, 1, 1, 2], false, 3), (4, 0, 1));
        assert_eq!(tally(&[], false, 4), (0, 4, 0));
    }

    #[test]
    fn who_comes_late_misses_nothing() {
        assert_eq!(tally(&[7, 8], true, 9), (2, 0, 0));
        assert_eq!(tally(&[7, 9], true, 10), (2, 1, 0));
        assert_eq!(tally(&[7, 8], false, 9), (2, 7, 0));
    }

    #[test]
    fn messages_without_number_are_counted() {
        let mut tally = Tally::new();
        (0..3).for_each(|_| tally.count_one());
        assert_eq!(tally.next(), 3);
        tally.end(4);
        assert_eq!((tally.received, tally.missing), (3, 1));
    }
}
