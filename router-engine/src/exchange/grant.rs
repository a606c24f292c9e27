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
        let held = self.window.max(self.edge - total) - WINDOW;
        if held < self.share.octets() {
            self.share.resize(held, now);
        }
        self.units()
    }

    /// Somebody else needs a share. True: the sender is to be told of the fixed window. A stream that has not got on
    /// since the last visit gives back what nothing can come for any more.
    pub(super) fn visit(&mut self, progress: Progress) -> bool {
        let Progress { total, waiting } = progress;
        let idle = self.visited.replace(total) == Some(total);
        if !idle || self.share.octets() == 0 {
            return false;
        }
        self.window = WINDOW;
        if waiting == 0 {
            self.edge = total + WINDOW;
            self.share.resize(0, self.measured);
        }
        true
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
        let extra = if extra > self.share.octets() { self.share.resize(extra, now) } else { extra };
        ((WINDOW + extra) / UNIT * UNIT).max(WINDOW)
    }
}

#[cfg(test)]
mod tests {
    use super::super::pool::Pool;
    use super::super::window::{ReceiveWindow, SendWindow};
    use super::*;
    use crate::memory::Budget;
    use proptest::prelude::*;
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;
    use std::sync::Arc;

    const MB: u64 = 1_000_000;
    /// Octets that travel together.
    const CHUNK: u64 = 32 * 1024;

    fn secs(micros: u64) -> f64 {
        micros as f64 / 1e6
    }

    #[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum What {
        Arrives,
        Written,
        Reported { total: u64, units: u32 },
        Look,
    }

    /// One stream over one path in virtual time, microseconds.
    struct Path {
        /// There and back.
        way: u64,
        /// Octets a second that pass the narrowest place.
        rate: u64,
        /// Octets a second that the receiver's transport takes; 0: it takes none.
        drain: u64,
        /// Octets a second that there are to send.
        offered: u64,
        now: u64,
        events: BinaryHeap<Reverse<(u64, u64, What)>>,
        serial: u64,
        sender: SendWindow,
        receiver: ReceiveWindow,
        grant: Option<Grant>,
        pool: &'static Pool,
        budget: &'static Budget,
        /// When the narrowest place, and the source, are free again.
        busy: u64,
        source: u64,
        /// When the source will be looked at.
        looks: u64,
        draining: bool,
        arrived: u64,
        most_waiting: u64,
    }

    impl Path {
        fn new(way: u64, rate: u64) -> Self {
            let budget: &Budget = Box::leak(Box::new(Budget::new()));
            Self {
                way,
                rate,
                drain: 10_000 * MB,
                offered: 10_000 * MB,
                now: 0,
                events: BinaryHeap::new(),
                serial: 0,
                sender: SendWindow::default(),
                receiver: ReceiveWindow::new(),
                grant: None,
                pool: Box::leak(Box::new(Pool::new(budget))),
                budget,
                busy: 0,
                source: 0,
                looks: 0,
                draining: false,
                arrived: 0,
                most_waiting: 0,
            }
        }

        fn at(&mut self, time: u64, what: What) {
            self.serial += 1;
            self.events.push(Reverse((time, self.serial, what)));
        }

        fn send(&mut self) {
            while !self.sender.is_closed() && self.source <= self.now {
                self.sender.produce(CHUNK as usize);
                self.source = self.source.max(self.now) + CHUNK * MB / self.offered;
                self.busy = self.busy.max(self.now) + CHUNK * MB / self.rate;
                self.at(self.busy + self.way / 2, What::Arrives);
            }
            if self.source > self.now && self.looks < self.source {
                self.looks = self.source;
                self.at(self.source, What::Look);
            }
        }

        fn drain(&mut self) {
            if !self.draining && self.drain > 0 && self.waiting() > 0 {
                self.draining = true;
                self.at(self.now + CHUNK * MB / self.drain, What::Written);
            }
        }

        fn waiting(&self) -> u64 {
            self.arrived - self.receiver.written()
        }

        fn progress(&self) -> Progress {
            Progress { total: self.receiver.written(), waiting: self.waiting() }
        }

        fn written(&mut self) {
            self.draining = false;
            if !self.receiver.write(CHUNK as usize) {
                return;
            }
            let total = self.receiver.written();
            let (progress, now) = (self.progress(), Instant::from_micros(self.now));
            let new = || Grant::new(Share::none(self.pool, &Arc::default()), total, now);
            let units = self.grant.get_or_insert_with(new).report(progress, now);
            self.at(self.now + self.way / 2, What::Reported { total, units });
        }

        /// Runs for so many seconds. Returns octets a second that were written.
        fn run(&mut self, seconds: f64) -> u64 {
            let (end, before) = (self.now + (seconds * 1e6) as u64, self.receiver.written());
            self.at(self.now, What::Look);
            while self.events.peek().is_some_and(|Reverse((time, ..))| *time <= end) {
                let Some(Reverse((time, _, what))) = self.events.pop() else { break };
                self.now = time;
                match what {
                    What::Arrives => self.arrived += CHUNK,
                    What::Written => self.written(),
                    What::Reported { total, units } => self.sender.on_report(total, units),
                    What::Look => {}
                }
                self.send();
                self.drain();
                self.most_waiting = self.most_waiting.max(self.waiting());
            }
            self.now = end;
            ((self.receiver.written() - before) as f64 / seconds) as u64
        }

        fn window(&self) -> u64 {
            self.grant.as_ref().map_or(WINDOW, |grant| grant.window)
        }
    }

    #[test]
    fn the_window_follows_the_path() {
        for way in [20, 50, 100, 300] {
            let mut path = Path::new(way * 1000, 100 * MB);
            path.run(way as f64 * 0.012);
            let rate = path.run(30.0);
            assert!(rate > 97 * MB, "{way} ms: {rate} octets/s, window {}", path.window());
            let product = 100 * MB * way / 1000;
            assert!(path.window() <= (3 * product).max(2 * WINDOW), "{way} ms: window {}", path.window());
        }
    }

    #[test]
    fn a_short_path_needs_no_wide_window() {
        let mut path = Path::new(200, 2000 * MB);
        assert!(path.run(1.0) > 1900 * MB);
        assert_eq!((path.window(), path.pool.taken()), (WINDOW, 0));
        let mut path = Path::new(200, 100 * MB);
        path.run(60.0);
        assert!(path.window() <= 32 * UNIT, "whatever time passes: {}", path.window());
    }

    #[test]
    fn the_widest_window_is_not_exceeded() {
        let mut path = Path::new(900_000, 2000 * MB);
        path.run(30.0);
        assert_eq!(path.window(), WIDEST);
        assert!(path.most_waiting <= WIDEST);
    }

    #[test]
    fn a_slow_transport_gathers_no_more_than_its_rate_needs() {
        let mut path = Path::new(100_000, 1000 * MB);
        path.drain = 5 * MB;
        path.run(30.0);
        assert!(path.window() <= 2 * WINDOW, "window {}", path.window());
        assert!(path.most_waiting <= 3 * WINDOW, "{} waited", path.most_waiting);
    }

    #[test]
    fn a_transport_that_becomes_slow_has_its_window_shrink() {
        let mut path = Path::new(100_000, 200 * MB);
        path.run(5.0);
        assert!(path.window() > 20 * MB);
        path.drain = 8 * MB;
        path.run(20.0);
        assert!(path.window() <= 3 * WINDOW, "window {}", path.window());
        let (held, waiting) = (path.pool.taken(), path.waiting());
        assert!(held < 3 * MB && waiting < 3 * MB, "{held} held, {waiting} waiting");
        path.drain = 10_000 * MB;
        path.run(1.5);
        assert!(path.run(5.0) > 190 * MB, "and grow again");
    }

    #[test]
    fn a_transport_that_is_stuck_holds_what_was_granted_and_no_more() {
        let mut path = Path::new(100_000, 200 * MB);
        path.run(5.0);
        path.drain = 0;
        path.run(60.0);
        assert!(path.waiting() <= path.pool.taken() + WINDOW + CHUNK);
        assert!(path.waiting() <= 64 * MB);
    }

    #[test]
    fn a_longer_way_is_found_out() {
        let mut path = Path::new(10_000, 100 * MB);
        path.run(5.0);
        path.way = 100_000;
        path.run(15.0);
        assert!(path.run(5.0) > 95 * MB, "window {}", path.window());
    }

    #[test]
    fn little_to_send_needs_no_wide_window() {
        let mut path = Path::new(100_000, 100 * MB);
        path.run(5.0);
        path.offered = 2 * MB;
        path.run(10.0);
        assert!(path.window() <= 2 * WINDOW, "window {}", path.window());
    }

    #[test]
    fn scarce_memory_ends_wide_windows() {
        let mut path = Path::new(100_000, 100 * MB);
        path.run(5.0);
        path.budget.set_ceiling(100 * MB as usize);
        path.budget.judge(40 * MB as usize, 0);
        path.run(2.0);
        assert_eq!((path.window(), path.pool.taken()), (WINDOW, 0));
        path.budget.set_ceiling(0);
        path.budget.judge(0, 0);
        path.run(2.0);
        assert!(path.run(5.0) > 95 * MB);
    }

    #[test]
    fn an_idle_stream_gives_its_share_back() {
        let mut path = Path::new(100_000, 100 * MB);
        path.run(5.0);
        let busy = path.progress();
        let grant = path.grant.as_mut().expect("a grant");
        assert!(!grant.visit(busy), "it may get on yet");
        path.source = u64::MAX / 2;
        path.run(5.0);
        let idle = path.progress();
        let grant = path.grant.as_mut().expect("a grant");
        assert!(!grant.visit(idle));
        assert!(grant.visit(idle));
        assert_eq!((grant.units(), path.pool.taken()), (0, 0));
        assert!(!path.grant.as_mut().expect("a grant").visit(idle), "that was told");
    }

    #[test]
    fn what_waits_for_a_stuck_transport_stays_counted() {
        let mut path = Path::new(100_000, 100 * MB);
        path.run(5.0);
        path.drain = 0;
        path.run(5.0);
        let (stuck, held) = (path.progress(), path.pool.taken());
        let grant = path.grant.as_mut().expect("a grant");
        grant.visit(stuck);
        assert!(grant.visit(stuck));
        assert_eq!((grant.units(), path.pool.taken()), (0, held));
        path.drain = 1000 * MB;
        path.run(0.3);
        assert!(path.pool.taken() < held);
    }

    proptest! {
        /// Whatever path, transport and source do: what waits was counted, and the window stays in its bounds.
        #[test]
        fn what_waits_is_counted(
            way in 0_u64..400_000,
            rate in 1_u64..2000,
            ceiling in prop::sample::select(vec![0_u64, 16, 64, 1024]),
            phases in prop::collection::vec((0_u64..300, 1_u64..2000, 1_u32..40), 1..6),
        ) {
            let mut path = Path::new(way, rate * MB);
            path.budget.set_ceiling((ceiling * 1024 * 1024) as usize);
            for (drain, offered, tenths) in phases {
                path.drain = drain * MB;
                path.offered = offered * MB;
                for _ in 0..tenths {
                    path.run(0.1);
                    let held = path.pool.taken();
                    prop_assert!(path.waiting() <= held + WINDOW + CHUNK, "{} wait, {held} held", path.waiting());
                    prop_assert!((WINDOW..=WIDEST).contains(&path.window()));
                    prop_assert!(ceiling == 0 || held <= ceiling * 1024 * 1024 / 8);
                }
            }
        }

        /// A receiving end that sees nonsense does no harm to itself.
        #[test]
        fn any_progress_is_taken(steps in prop::collection::vec((0_u64..1 << 40, any::<u32>(), 0_u64..1 << 40), 1..50)) {
            let path = Path::new(0, 1);
            let mut grant = Grant::new(Share::none(path.pool, &Arc::default()), 0, Instant::default());
            let (mut total, mut now) = (0, 0);
            for (octets, waiting, pause) in steps {
                (total, now) = (total + octets, now + pause);
                let progress = Progress { total, waiting: waiting.into() };
                let units = grant.report(progress, Instant::from_micros(now));
                prop_assert!(u64::from(units) * UNIT <= WIDEST, "at {} s", secs(now));
                grant.visit(progress);
            }
        }
    }
}
