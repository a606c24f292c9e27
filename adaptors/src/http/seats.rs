//! How many connections a listener has at a time. When there are too many, the one that has been idle for longest makes
//! room, or else the one that has been busy for longest: peers that open many, and say nothing or read nothing, keep no
//! probe out.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Notify;

/// The connections of a listener.
#[derive(Debug)]
pub(super) struct Seats {
    table: Arc<Mutex<Table>>,
    limit: usize,
}

#[derive(Debug, Default)]
struct Table {
    /// Who makes room first comes first.
    seats: BTreeMap<Rank, Arc<Notify>>,
    numbers: u64,
}

/// Whether a connection is busy, and a number that grows whenever that changes for any of them.
type Rank = (bool, u64);

/// The place of a connection; free again when dropped.
#[derive(Debug)]
pub(super) struct Seat {
    table: Arc<Mutex<Table>>,
    /// Changes while the table is locked.
    rank: Mutex<Rank>,
    evicted: Arc<Notify>,
}

/// A connection is busy while this lives.
#[derive(Debug)]
pub(super) struct Busy(Arc<Seat>);

// === impl Seats ===

impl Seats {
    /// Places for so many connections.
    pub(super) fn new(limit: usize) -> Self {
        Self { table: Arc::default(), limit }
    }

    /// A place for one more.
    pub(super) fn take(&self) -> Arc<Seat> {
        let mut table = self.table.lock();
        if table.seats.len() >= self.limit
            && let Some((_, evicted)) = table.seats.pop_first()
        {
            evicted.notify_one();
        }
        let evicted = Arc::new(Notify::new());
        let rank = table.insert(false, Arc::clone(&evicted));
        Arc::new(Seat { table: Arc::clone(&self.table), rank: Mutex::new(rank), evicted })
    }
}

// === impl Table ===

impl Table {
    fn insert(&mut self, busy: bool, seat: Arc<Notify>) -> Rank {
        self.numbers += 1;
        let rank = (busy, self.numbers);
        self.seats.insert(rank, seat);
        rank
    }
}

// === impl Seat ===

impl Seat {
    /// The connection is busy.
    pub(super) fn busy(self: &Arc<Self>) -> Busy {
        self.change(true);
        Busy(Arc::clone(self))
    }

    /// Ready when the connection has to make room.
    pub(super) async fn evicted(&self) {
        self.evicted.notified().await;
    }

    fn change(&self, busy: bool) {
        let mut table = self.table.lock();
        let mut rank = self.rank.lock();
        // One that has been evicted is not in the table any more.
        if let Some(seat) = table.seats.remove(&*rank) {
            *rank = table.insert(busy, seat);
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.table.lock().seats.remove(self.rank.get_mut());
    }
}

// === impl Busy ===

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.change(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Waker};

    fn is_evicted(seat: &Seat) -> bool {
        let evicted = pin!(seat.evicted());
        evicted.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn the_oldest_idle_connection_makes_room() {
        let seats = Seats::new(3);
        let taken: Vec<_> = (0..3).map(|_| seats.take()).collect();
        let busy = taken[0].busy();
        let _fourth = seats.take();
        assert_eq!(taken.iter().map(|seat| is_evicted(seat)).collect::<Vec<_>>(), [false, true, false]);
        drop(busy);
        let _fifth = seats.take();
        assert_eq!([0, 2].map(|at| is_evicted(&taken[at])), [false, true], "the first was busy lately");
    }

    #[test]
    fn where_all_are_busy_the_oldest_makes_room() {
        let seats = Seats::new(2);
        let taken = [seats.take(), seats.take()];
        let _busy = [taken[1].busy(), taken[0].busy()];
        let _third = seats.take();
        assert_eq!([0, 1].map(|at| is_evicted(&taken[at])), [false, true]);
    }

    #[test]
    fn seats_are_free_again() {
        let seats = Seats::new(1);
        let first = seats.take();
        let busy = first.busy();
        let _second = seats.take();
        assert!(is_evicted(&first));
        drop((busy, first));
        assert_eq!(seats.table.lock().seats.len(), 1, "the second");
        drop(_second);
        let third = seats.take();
        assert!(!is_evicted(&third));
    }
}
