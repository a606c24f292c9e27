//! What the flows of a service are counted by: the router that their other end is at.

use parking_lot::RwLock;
use router_engine::core::OTHERS;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Routers of one service that are counted apart.
pub const PEERS_PER_SERVICE: usize = 64;

/// Pairs of a service and a router that are counted apart, of all services.
pub const PEERS_MAX: usize = 10_000;

/// What the flows of a service between here and one router have come to.
#[derive(Debug)]
pub struct Peer {
    name: Box<str>,
    opened: AtomicU64,
    closed: AtomicU64,
    read: AtomicU64,
    written: AtomicU64,
}

/// How many pairs there are of all services.
#[derive(Debug, Default)]
pub(super) struct Room(AtomicUsize);

/// The routers of one service.
#[derive(Debug)]
pub(super) struct Peers {
    known: RwLock<Vec<Arc<Peer>>>,
    room: Arc<Room>,
}

// === impl Peer ===

impl Peer {
    fn new(name: &str) -> Self {
        let [opened, closed, read, written] = [const { AtomicU64::new(0) }; 4];
        Self { name: name.into(), opened, closed, read, written }
    }

    /// The id of the router; empty of flows whose other end is not known, [`OTHERS`] of those beyond the bounds.
    #[must_use]
    pub const fn name(&self) -> &str {
        &self.name
    }

    /// Flows that have come to be with that router. One that was sent again to another counts at both.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Those of them that are over.
    #[must_use]
    pub fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }

    /// Octets that the clients or servers here have sent.
    #[must_use]
    pub fn read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// Octets that were sent to them.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    pub(super) fn count_opened(&self) {
        self.opened.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_closed(&self) {
        self.closed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn add(&self, read: u64, written: u64) {
        self.read.fetch_add(read, Ordering::Relaxed);
        self.written.fetch_add(written, Ordering::Relaxed);
    }
}

// === impl Room ===

impl Room {
    fn take(&self) -> bool {
        let more = |taken| (taken < PEERS_MAX).then_some(taken + 1);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }
}

// === impl Peers ===

impl Peers {
    pub(super) const fn new(room: Arc<Room>) -> Self {
        Self { known: RwLock::new(Vec::new()), room }
    }

    /// Where flows with that router are counted.
    pub(super) fn get(&self, name: &str) -> Arc<Peer> {
        if let Some(peer) = find(&self.known.read(), name) {
            return peer;
        }
        let mut known = self.known.write();
        if let Some(peer) = find(&known, name) {
            return peer;
        }
        let apart = known.iter().filter(|peer| takes_room(&peer.name)).count();
        let has_room = !takes_room(name) || (apart < PEERS_PER_SERVICE && self.room.take()) || give_room(&mut known);
        add(&mut known, if has_room { name } else { OTHERS })
    }

    /// All of them, those first that were first.
    pub(super) fn all(&self) -> Vec<Arc<Peer>> {
        self.known.read().clone()
    }

    /// The sum of a counter.
    pub(super) fn sum(&self, counter: fn(&Peer) -> u64) -> u64 {
        self.known.read().iter().map(|peer| counter(peer)).sum()
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        let apart = self.known.get_mut().iter().filter(|peer| takes_room(&peer.name)).count();
        self.room.0.fetch_sub(apart, Ordering::Relaxed);
    }
}

fn add(known: &mut Vec<Arc<Peer>>, name: &str) -> Arc<Peer> {
    find(known, name).unwrap_or_else(|| {
        let peer = Arc::new(Peer::new(name));
        known.push(Arc::clone(&peer));
        peer
    })
}

/// Counts the router with [`OTHERS`] that was known first of those that have no flow now: names come and go, and those that
/// have come first must not keep out all others. False: there is none.
fn give_room(known: &mut Vec<Arc<Peer>>) -> bool {
    // Nobody else can get hold of one meanwhile.
    let is_idle = |peer: &Arc<Peer>| takes_room(&peer.name) && Arc::strong_count(peer) == 1;
    let Some(at) = known.iter().position(is_idle) else { return false };
    let gone = known.remove(at);
    let others = add(known, OTHERS);
    others.opened.fetch_add(gone.opened(), Ordering::Relaxed);
    others.closed.fetch_add(gone.closed(), Ordering::Relaxed);
    others.add(gone.read(), gone.written());
    true
}

fn find(known: &[Arc<Peer>], name: &str) -> Option<Arc<Peer>> {
    known.iter().find(|peer| &*peer.name == name).map(Arc::clone)
}

/// There is room for what is not known, and for all others, whatever the bounds.
fn takes_room(name: &str) -> bool {
    !name.is_empty() && name != OTHERS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_counts_a_bounded_number_of_routers_apart() {
        let peers = Peers::new(Arc::default());
        let mut busy = Vec::new();
        for number in 0..PEERS_PER_SERVICE + 10 {
            let peer = peers.get(&format!("R{number}"));
            assert_eq!(peer.name() == OTHERS, number >= PEERS_PER_SERVICE, "{number}");
            peer.add(1, 2);
            busy.push(peer);
        }
        assert_eq!(peers.get("").name(), "");
        assert_eq!(peers.get("R5").name(), "R5");
        assert_eq!((peers.get(OTHERS).read(), peers.sum(Peer::written)), (10, 2 * (PEERS_PER_SERVICE as u64 + 10)));
        assert_eq!(peers.all().len(), PEERS_PER_SERVICE + 2);
    }

    #[test]
    fn routers_without_flows_make_room_and_nothing_is_lost() {
        let peers = Peers::new(Arc::default());
        let lasting = peers.get("lasting");
        for number in 0..10 * PEERS_PER_SERVICE {
            let passing = peers.get(&format!("pod-{number}"));
            assert_ne!(passing.name(), OTHERS);
            passing.count_opened();
            passing.add(1, 0);
            passing.count_closed();
        }
        assert!(Arc::ptr_eq(&lasting, &peers.get("lasting")));
        let all = 10 * PEERS_PER_SERVICE as u64;
        assert_eq!([peers.sum(Peer::opened), peers.sum(Peer::closed), peers.sum(Peer::read)], [all; 3]);
        assert_eq!(peers.all().len(), PEERS_PER_SERVICE + 1);
    }

    #[test]
    fn all_services_together_do_so_too_and_give_room_back() {
        let room = Arc::<Room>::default();
        let services = (0..PEERS_MAX / PEERS_PER_SERVICE + 1).map(|_| Peers::new(Arc::clone(&room)));
        let services: Vec<_> = services.collect();
        for peers in &services {
            (0..PEERS_PER_SERVICE).for_each(|number| drop(peers.get(&number.to_string())));
        }
        let names = services.iter().flat_map(|peers| peers.all());
        assert_eq!(names.filter(|peer| takes_room(peer.name())).count(), PEERS_MAX);
        let newest = Peers::new(Arc::clone(&room));
        assert_eq!(newest.get("R").name(), OTHERS);
        drop(services);
        assert_eq!(newest.get("R").name(), "R");
    }
}
