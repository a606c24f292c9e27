//! The byte window between the two ends of a stream (spec `tcp-adaptor.md` section 9.1).

/// Octets after which the receiving end reports.
pub const REPORT_EVERY: u64 = 521_216;
/// Octets that the sending end has unreported at most.
pub const WINDOW: u64 = 2 * REPORT_EVERY;

/// The sending end: how much of the socket may still be read.
#[derive(Debug, Clone, Copy, Default)]
pub struct SendWindow {
    produced: u64,
    reported: u64,
    unlimited: bool,
}

/// The receiving end: when to report.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReceiveWindow {
    written: u64,
    reported: u64,
}

// === impl SendWindow ===

impl SendWindow {
    /// Octets were read from the socket into the stream.
    pub const fn produce(&mut self, octets: usize) {
        self.produced += octets as u64;
    }

    /// The receiving end reports its total. A report of more than was produced counts as everything.
    pub const fn on_report(&mut self, total: u64) {
        let total = if total > self.produced { self.produced } else { total };
        if total > self.reported {
            self.reported = total;
        }
    }

    /// No more reports will come: the stream is settled or has its outcome.
    pub const fn lift(&mut self) {
        self.unlimited = true;
    }

    /// Whether reading must stop.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        !self.unlimited && self.produced - self.reported >= WINDOW
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

    /// Octets were written to the socket. Returns the total to report, when a report is due.
    pub const fn write(&mut self, octets: usize) -> Option<u64> {
        self.written += octets as u64;
        if self.written - self.reported >= REPORT_EVERY {
            self.reported = self.written;
            Some(self.written)
        } else {
            None
        }
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
        window.on_report(0);
        assert!(window.is_closed());
        window.on_report(REPORT_EVERY);
        assert!(!window.is_closed());
        window.on_report(u64::MAX);
        window.produce(WINDOW as usize);
        assert!(window.is_closed(), "a report cannot run ahead of what was sent");
        window.lift();
        assert!(!window.is_closed());
    }

    #[test]
    fn a_receiver_reports_every_half_window() {
        let mut window = ReceiveWindow::default();
        assert_eq!(window.write(REPORT_EVERY as usize - 1), None);
        assert_eq!(window.write(2), Some(REPORT_EVERY + 1));
        assert_eq!(window.write(REPORT_EVERY as usize - 1), None);
        assert_eq!(window.write(1), Some(2 * REPORT_EVERY + 1));
    }
}
