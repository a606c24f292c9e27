//! What the receiving end of a stream grants its sender on a long path: a window of the path's own size.
//!
//! Time is taken at reports, and measured in rounds. A round is over with the first octet that its sender could not
//! send before it had the report that began the round, so none is shorter than the way there and back:
//!
//! ```text
//!  receiver: report, window ------------------> report ... report -----> octet behind what was granted: round over
//!  sender:             '--> octets it has no window for yet ------'
//!
//!  way    = shortest round
//!  window = 2 * octets of a way's time          doubles while it is what holds up, and while the transport drains
//! ```
//!
//! A window that is larger than the path fills queues, and rounds take longer than the way. So that a way that has
//! become longer is known for what it is, and not taken for such a queue, the window is narrowed now and then for a fresh
//! measurement:
//!
//! ```text
//!  Cruise --every 10 s, to 3/8--> Drain --round over--> Measure --round over: that was the way--> Cruise
//! ```

#[cfg(test)]
mod tests;

use super::pool::Share;
use super::window::WINDOW;
use amqp_core::Instant;
use std::time::Duration;

/// Octets of one in the section-number of a report.
pub(super) const UNIT: u64 = 64 * 1024;

/// The widest window.
pub(super) const WIDEST: u64 = 64 * 1024 * 1024;

/// Longer ways are taken for that long: a round may last for any time when there is little to send.
const LONGEST_WAY: Duration = Duration::from_secs(1);

/// A way for which the fixed window is wide enough whatever the rate.
const SHORT_WAY: Duration = Duration::from_millis(1);

/// Time between two fresh measurements of the way.
const MEASURE_EVERY: Duration = Duration::from_secs(10);

/// A round while cruising ends after so many ways, however little came.
const ROUND_MAX: u32 = 4;

/// The grants of one stream.
#[derive(Debug)]
pub(super) struct Grant {
    /// Octets that the sender may have unreported, as it was told last; [`WINDOW`] is the fixed window.
    window: u64,
    /// The end of what was ever granted.
    edge: u64,
    way: Duration,
    /// When the way was measured afresh.
    measured: Instant,
    phase: Phase,
    round: Round,
    share: Share,
    /// The total at the last visit.
    visited: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Cruise,
    Drain,
    Measure,
}

#[derive(Debug, Clone, Copy)]
struct Round {
    begun: Instant,
    /// Octets that had been written.
    from: u64,
    /// It is over when so many are.
    until: u64,
}

/// How far a receiving end is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Progress {
    /// Octets written.
    pub(super) total: u64,
    /// Octets that have come and wait for the transport.
    pub(super) waiting: u64,
}

// === impl Grant ===

impl Grant {
    /// The sender has the fixed window, and its first report is due.
    pub(super) const fn new(share: Share, total: u64, now: Instant) -> Self {
        let edge = total + WINDOW;
        let round = Round { begun: now, from: total, until: edge };
        let (phase, visited) = (Phase::Cruise, None);
        Self { window: WINDOW, edge, way: LONGEST_WAY, measured: now, phase, round, share, visited }
    }

    /// A report is due. Returns what it grants, in [`UNIT`]s; 0 is the fixed window.
    pub(super) fn report(&mut self, progress: Progress, now: Instant) -> u32 {
        let Progress { total, waiting } = progress;
        if self.share.pool().is_closed() {
            self.window = WINDOW;
        } else if self.is_over(total, waiting, now) {
            let wanted = self.end_round(total, waiting, now);
            self.window = self.afford(wanted, now);
            self.promise(total);
            self.round = Round { begun: now, from: total, until: self.edge };
        }
        self.promise(total);
        self.share.shrink(self.window.max(self.edge - total) - WINDOW);
        self.units()
    }

    /// Somebody else needs a share. A stream that has not got on since the last visit has the fixed window again, and
    /// gives its share back unless something waits; what may come by the old window until its sender hears of that is
    /// not counted. True: the sender is to be told.
    pub(super) fn visit(&mut self, progress: Progress) -> bool {
        let Progress { total, waiting } = progress;
        if self.visited.replace(total) != Some(total) {
            return false;
        }
        if waiting == 0 {
            self.edge = total + WINDOW;
            self.share.shrink(0);
        }
        std::mem::replace(&mut self.window, WINDOW) > WINDOW
    }

    fn units(&self) -> u32 {
        if self.window > WINDOW { (self.window / UNIT) as u32 } else { 0 }
    }

    fn promise(&mut self, total: u64) {
        self.edge = self.edge.max(total + self.window);
    }

    fn is_over(&self, total: u64, waiting: u64, now: Instant) -> bool {
        let long =
            self.phase == Phase::Cruise && (now - self.round.begun > self.way * ROUND_MAX || self.clogs(waiting));
        total >= self.round.until || long
    }

    /// Most of the window waits for the transport.
    const fn clogs(&self, waiting: u64) -> bool {
        waiting > self.window / 4 * 3
    }

    /// What the window should be after a round.
    fn end_round(&mut self, total: u64, waiting: u64, now: Instant) -> u64 {
        let took = (now - self.round.begun).max(Duration::from_micros(1));
        match self.phase {
            Phase::Cruise if now - self.measured >= MEASURE_EVERY => {
                self.phase = Phase::Drain;
                return self.window / 8 * 3;
            }
            Phase::Cruise if total >= self.round.until => self.way = self.way.min(took),
            Phase::Cruise => {}
            Phase::Drain => {
                self.phase = Phase::Measure;
                return self.window;
            }
            Phase::Measure => {
                (self.phase, self.way, self.measured) = (Phase::Cruise, took.min(LONGEST_WAY), now);
            }
        }
        self.wanted(total - self.round.from, took, waiting)
    }

    /// Twice what came in a way's time, as far as the transport takes it.
    fn wanted(&self, octets: u64, took: Duration, waiting: u64) -> u64 {
        if self.way < SHORT_WAY {
            return WINDOW;
        }
        let micros = |time: Duration| time.as_micros() as u64;
        let wanted = octets.saturating_mul(2 * micros(self.way)) / micros(took);
        let most = match waiting {
            _ if self.clogs(waiting) => self.window / 2,
            _ if waiting > self.window / 2 => self.window,
            _ => WIDEST,
        };
        // Little may have come by chance.
        wanted.clamp(self.window / 2, WIDEST).min(most)
    }

    /// What memory allows of a window; whole units.
    fn afford(&mut self, wanted: u64, now: Instant) -> u64 {
        let extra = wanted.saturating_sub(WINDOW);
        let extra = self.share.grow(extra, now).min(extra);
        ((WINDOW + extra) / UNIT * UNIT).max(WINDOW)
    }
}
