//! What wide windows may make this process hold, all flows together.
//!
//! A receiving end takes its share before it grants more than the fixed window, and keeps it for as long as octets may
//! come that were granted. When the pool is used up, those that hold shares are visited: who has nothing to do gives
//! its share back ([`super::grant`]).

use super::WIDE;
use crate::Mailbox;
use crate::memory::{BUDGET, Budget, Level};
use amqp_core::Instant;
use parking_lot::Mutex;
use slab::Slab;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// One part in so many of the memory ceiling is for wide windows.
const PART: u64 = 8;

/// Time between two visits. Who got on with nothing meanwhile counts as idle.
const VISITS: Duration = Duration::from_secs(5);

/// The wide windows of this process.
pub(super) static POOL: Pool = Pool::new(&BUDGET);

/// Octets that receiving ends may grant beyond the fixed windows.
#[derive(Debug)]
pub(super) struct Pool {
    budget: &'static Budget,
    taken: AtomicU64,
    holders: Mutex<Holders>,
}

#[derive(Debug)]
struct Holders {
    mailboxes: Slab<Arc<Mailbox>>,
    visited: Option<Instant>,
}

/// What one receiving end has taken; given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    pool: &'static Pool,
    octets: u64,
    mailbox: Arc<Mailbox>,
    /// Where the pool knows the mailbox.
    place: Option<usize>,
}

// === impl Pool ===

impl Pool {
    pub(super) const fn new(budget: &'static Budget) -> Self {
        let holders = Holders { mailboxes: Slab::new(), visited: None };
        Self { budget, taken: AtomicU64::new(0), holders: Mutex::new(holders) }
    }

    /// Whether memory is scarce: nobody grants more than the fixed window then.
    pub(super) fn is_closed(&self) -> bool {
        self.budget.level() >= Level::Slow
    }

    /// Octets that all shares come to.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    fn size(&self) -> u64 {
        match self.budget.ceiling() {
            0 => u64::MAX,
            ceiling => ceiling as u64 / PART,
        }
    }

    /// Takes up to so many octets, but never more than half of what is left: others come too. Returns how many.
    fn take(&self, wanted: u64) -> u64 {
        let mut got = 0;
        let _ = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |taken| {
            got = wanted.min(self.size().saturating_sub(taken) / 2);
            Some(taken + got)
        });
        got
    }

    /// Has those that hold shares look whether they need them, unless that was done lately.
    fn visit(&self, now: Instant) {
        let mut holders = self.holders.lock();
        if holders.visited.is_some_and(|at| now - at < VISITS) {
            return;
        }
        holders.visited = Some(now);
        let mailboxes: Vec<_> = holders.mailboxes.iter().map(|(_, mailbox)| Arc::clone(mailbox)).collect();
        drop(holders);
        mailboxes.iter().filter_map(|mailbox| mailbox.ready(WIDE)).for_each(std::task::Waker::wake);
    }
}

// === impl Share ===

impl Share {
    pub(super) fn none(pool: &'static Pool, mailbox: &Arc<Mailbox>) -> Self {
        Self { pool, octets: 0, mailbox: Arc::clone(mailbox), place: None }
    }

    pub(super) const fn pool(&self) -> &'static Pool {
        self.pool
    }

    /// Takes what is missing to so many octets, as far as there is enough. Returns how many it has now.
    pub(super) fn grow(&mut self, octets: u64, now: Instant) -> u64 {
        if octets > self.octets {
            self.octets += self.pool.take(octets - self.octets);
            self.register();
            if self.octets < octets {
                self.pool.visit(now);
            }
        }
        self.octets
    }

    /// Gives back what it has beyond so many octets.
    pub(super) fn shrink(&mut self, octets: u64) {
        if octets < self.octets {
            self.pool.taken.fetch_sub(self.octets - octets, Ordering::Relaxed);
            self.octets = octets;
            self.register();
        }
    }

    /// The pool knows those that hold something.
    fn register(&mut self) {
        match self.place {
            None if self.octets > 0 => {
                self.place = Some(self.pool.holders.lock().mailboxes.insert(Arc::clone(&self.mailbox)));
            }
            Some(place) if self.octets == 0 => {
                self.pool.holders.lock().mailboxes.remove(place);
                self.place = None;
            }
            _ => {}
        }
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.shrink(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn pool(ceiling: u64) -> &'static Pool {
        let budget = Box::leak(Box::new(Budget::new()));
        budget.set_ceiling(ceiling as usize);
        Box::leak(Box::new(Pool::new(budget)))
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn shares_come_to_a_part_of_the_ceiling() {
        let pool = pool(256 * MIB);
        let mut shares: Vec<Share> = (0..20).map(|_| Share::none(pool, &Arc::default())).collect();
        let got: Vec<u64> = shares.iter_mut().map(|share| share.grow(64 * MIB, at(0)) / MIB).collect();
        assert_eq!(got[..5], [16, 8, 4, 2, 1], "there is something for everybody");
        assert!(pool.taken() <= 32 * MIB);
        shares.iter_mut().for_each(|share| share.shrink(MIB / 2));
        assert!(pool.taken() <= 20 * MIB / 2);
        drop(shares);
        assert_eq!((pool.taken(), pool.holders.lock().mailboxes.len()), (0, 0));
    }

    #[test]
    fn holders_are_visited_when_there_is_not_enough() {
        let pool = pool(80 * MIB);
        let (held, idle) = (Arc::<Mailbox>::default(), Arc::<Mailbox>::default());
        let mut shares = [Share::none(pool, &held), Share::none(pool, &idle)];
        let visits = || {
            let mut keys = Vec::new();
            held.take(&mut Vec::new(), &mut keys);
            keys
        };
        assert_eq!(shares[0].grow(4 * MIB, at(0)), 4 * MIB);
        assert!(visits().is_empty());
        for (now, expected) in [(0, 1), (4, 0), (5, 1)] {
            shares[1].grow(64 * MIB, at(now));
            assert_eq!(visits(), vec![WIDE; expected], "at {now} s");
        }
        shares[0].shrink(0);
        shares[1].grow(64 * MIB, at(10));
        assert!(visits().is_empty(), "it holds nothing any more");
    }
}
