//! One stream over one path in virtual time.

use super::*;
use crate::exchange::pool::Pool;
use crate::exchange::window::{ReceiveWindow, SendWindow};
use crate::memory::Budget;
use proptest::prelude::*;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

const MB: u64 = 1_000_000;
/// Octets that travel together.
const CHUNK: u64 = 32 * 1024;

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
    #![proptest_config(ProptestConfig::with_cases(48))]

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
            prop_assert!(u64::from(units) * UNIT <= WIDEST, "at {now} us");
            grant.visit(progress);
        }
    }
}
