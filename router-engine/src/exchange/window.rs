//! The byte window between the two ends of a stream (spec `tcp-adaptor.md` section 9.1), fixed or as wide as the
//! receiving end grants ([`super::grant`]).

use super::grant::{UNIT, WIDEST};

/// Octets after which the receiving end reports.
pub const REPORT_EVERY: u64 = 521_216;
/// Octets that the sending end has unreported at most, without a grant.
pub const WINDOW: u64 = 2 * REPORT_EVERY;

/// The sending end: how much of the socket may still be read.
#[derive(Debug, Clone, Copy)]
pub struct SendWindow {
    produced: u64,
    reported: u64,
    /// What may be unreported.
    limit: u64,
    unlimited: bool,
}

/// The receiving end: when to report.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReceiveWindow {
    written: u64,
    reported: u64,
}

// === impl SendWindow ===

impl Default for SendWindow {
    fn default() -> Self {
        Self { produced: 0, reported: 0, limit: WINDOW, unlimited: false }
    }
}

impl SendWindow {
    /// Octets were read from the socket into the stream.
    pub const fn produce(&mut self, octets: usize) {
        self.produced += octets as u64;
    }

    /// The receiving end reports its total, and grants so many units of 64 KiB in place of the fixed window. A report of
    /// more than was produced counts as everything, and one that another has overtaken as nothing.
    pub fn on_report(&mut self, total: u64, grant: u32) {
        let total = total.min(self.produced);
        if total >= self.reported {
            self.reported = total;
            self.limit = (u64::from(grant) * UNIT).clamp(WINDOW, WIDEST);
        }
    }

    /// No more reports will come: the stream is settled or has its outcome.
    pub const fn lift(&mut self) {
        self.unlimited = true;
    }

    /// Whether reading must stop.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        !self.unlimited && self.produced - self.reported >= self.limit
    }

    /// Octets read from the socket so far.
    #[must_use]
    pub const fn produced(&self) -> u64 {
        self.produced
    }
}

// === impl ReceiveWindow ===

impl ReceiveWindow {
    /// Nothing was written.
    #[must_use]
    pub const fn new() -> Self {
        Self { written: 0, reported: 0 }
    }

    /// Octets were written to the socket. Returns whether a report is due.
    pub const fn write(&mut self, octets: usize) -> bool {
        self.written += octets as u64;
        let due = self.written - self.reported >= REPORT_EVERY;
        if due {
            self.reported = self.written;
        }
        due
    }

    /// Octets written to the socket so far.
    #[must_use]
    pub const fn written(&self) -> u64 {
        self.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_stops_at_the_window_and_goes_on_with_a_report() {
        let mut window = SendWindow::default();
        window.produce(WINDOW as usize - 1);
        assert!(!window.is_closed());
        window.produce(1);
        assert!(window.is_closed());
        window.on_report(0, 0);
        assert!(window.is_closed());
        window.on_report(REPORT_EVERY, 0);
        assert!(!window.is_closed());
        window.on_report(u64::MAX, 0);
        window.produce(WINDOW as usize);
        assert!(window.is_closed(), "a report cannot run ahead of what was sent");
        window.lift();
        assert!(!window.is_closed());
    }

    #[test]
    fn a_grant_widens_the_window_until_it_is_taken_back() {
        let mut window = SendWindow::default();
        window.produce(WINDOW as usize);
        window.on_report(REPORT_EVERY, 32);
        window.produce(32 * UNIT as usize - REPORT_EVERY as usize - 1);
        assert!(!window.is_closed());
        window.produce(1);
        assert!(window.is_closed());
        window.on_report(REPORT_EVERY - 1, 64);
        assert!(window.is_closed(), "that report is an old one");
        window.on_report(REPORT_EVERY, 64);
        assert!(!window.is_closed());
        for grant in [0, 1, 15] {
            window.on_report(REPORT_EVERY, grant);
            assert!(window.is_closed(), "{grant}");
        }
        window.on_report(4 * REPORT_EVERY, 0);
        assert!(!window.is_closed());
    }

    #[test]
    fn no_grant_is_wider_than_the_widest() {
        let mut window = SendWindow::default();
        window.on_report(0, u32::MAX);
        window.produce(WIDEST as usize - 1);
        assert!(!window.is_closed());
        window.produce(1);
        assert!(window.is_closed());
    }

    #[test]
    fn a_receiver_reports_every_half_window() {
        let mut window = ReceiveWindow::default();
        assert!(!window.write(REPORT_EVERY as usize - 1));
        assert!(window.write(2));
        assert!(!window.write(REPORT_EVERY as usize - 1));
        assert!(window.write(1));
        assert_eq!(window.written(), 2 * REPORT_EVERY + 1);
    }
}
