//! What is counted of the connections to other routers: by router and role, for as long as this router lives.

use super::Router;
use super::connection::ConnectionRole;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Pairs of a router and a role; what comes beyond is counted together, under [`OTHERS`].
const PAIRS_MAX: usize = 1024;

/// Octets of a name at most; peers choose it.
const NAME_MAX: usize = 255;

/// The name for all routers beyond the bounds.
pub const OTHERS: &str = "other";

/// The connections to all other routers.
#[derive(Debug, Default)]
pub(super) struct Traffic(Mutex<Vec<Arc<PeerTraffic>>>);

/// The connections to one other router, of one role.
#[derive(Debug)]
pub struct PeerTraffic {
    peer: Box<str>,
    role: ConnectionRole,
    opened: AtomicU64,
    closed: AtomicU64,
    lost: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

/// A connection to another router that is open; dropped, it is not any more.
#[derive(Debug)]
pub(crate) struct OpenPeer {
    traffic: Arc<PeerTraffic>,
    /// It has ended as it should.
    in_order: bool,
}

// === impl Traffic ===

impl Traffic {
    fn of(&self, peer: &str, role: ConnectionRole) -> Arc<PeerTraffic> {
        let mut pairs = self.0.lock();
        let peer = named(peer);
        if let Some(known) = find(&pairs, peer, role) {
            return known;
        }
        let has_room = pairs.len() < PAIRS_MAX || give_room(&mut pairs);
        add(&mut pairs, if has_room { peer } else { OTHERS }, role)
    }
}

fn find(pairs: &[Arc<PeerTraffic>], peer: &str, role: ConnectionRole) -> Option<Arc<PeerTraffic>> {
    pairs.iter().find(|pair| &*pair.peer == peer && pair.role == role).map(Arc::clone)
}

fn add(pairs: &mut Vec<Arc<PeerTraffic>>, peer: &str, role: ConnectionRole) -> Arc<PeerTraffic> {
    find(pairs, peer, role).unwrap_or_else(|| {
        let traffic = Arc::new(PeerTraffic::new(peer, role));
        pairs.push(Arc::clone(&traffic));
        traffic
    })
}

/// Counts the router with [`OTHERS`] that was first of those without a connection now: edge routers come and go under ever
/// new names, which must not keep out those that come later. False: there is none.
fn give_room(pairs: &mut Vec<Arc<PeerTraffic>>) -> bool {
    // Nobody else can get hold of one meanwhile.
    let is_idle = |pair: &Arc<PeerTraffic>| &*pair.peer != OTHERS && Arc::strong_count(pair) == 1;
    let Some(at) = pairs.iter().position(is_idle) else { return false };
    let gone = pairs.remove(at);
    add(pairs, OTHERS, gone.role).take_over(&gone);
    true
}

/// The name that a router is shown by.
fn named(peer: &str) -> &str {
    if peer.len() <= NAME_MAX { peer } else { OTHERS }
}

// === impl PeerTraffic ===

impl PeerTraffic {
    fn new(peer: &str, role: ConnectionRole) -> Self {
        let [opened, closed, lost, received, sent] = [const { AtomicU64::new(0) }; 5];
        Self { peer: peer.into(), role, opened, closed, lost, received, sent }
    }

    fn counters(&self) -> [&AtomicU64; 5] {
        [&self.opened, &self.closed, &self.lost, &self.received, &self.sent]
    }

    /// Adds what was counted there.
    fn take_over(&self, gone: &Self) {
        for (counter, gone) in self.counters().into_iter().zip(gone.counters()) {
            counter.fetch_add(gone.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// The id of the router.
    #[must_use]
    pub const fn peer(&self) -> &str {
        &self.peer
    }

    /// The role of the connections.
    #[must_use]
    pub const fn role(&self) -> ConnectionRole {
        self.role
    }

    /// Connections that were opened.
    #[must_use]
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Those of them that have ended.
    #[must_use]
    pub fn closed(&self) -> u64 {
        self.closed.load(Ordering::Relaxed)
    }

    /// Those of these that neither side has closed in good order.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Octets received, without those of TLS.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Octets sent, without those of TLS.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

// === impl OpenPeer ===

impl OpenPeer {
    /// What is counted of it and of others to the same router.
    pub(crate) const fn traffic(&self) -> &Arc<PeerTraffic> {
        &self.traffic
    }

    /// Counts octets of a turn.
    pub(crate) fn add(&self, sent: u64, received: u64) {
        self.traffic.sent.fetch_add(sent, Ordering::Relaxed);
        self.traffic.received.fetch_add(received, Ordering::Relaxed);
    }

    /// The connection is about to end as it should.
    pub(crate) const fn end_in_order(&mut self) {
        self.in_order = true;
    }
}

impl Drop for OpenPeer {
    fn drop(&mut self) {
        // Who reads the counters never sees more that were lost than have ended.
        self.traffic.closed.fetch_add(1, Ordering::Relaxed);
        if !self.in_order {
            self.traffic.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

// === impl Router ===

impl Router {
    /// What was counted of the connections to other routers, those first that were first.
    #[must_use]
    pub fn peer_traffic(&self) -> Vec<Arc<PeerTraffic>> {
        self.traffic.0.lock().clone()
    }

    /// A connection to another router has opened.
    pub(crate) fn open_peer(&self, peer: &str, role: ConnectionRole) -> OpenPeer {
        let traffic = self.traffic.of(peer, role);
        traffic.opened.fetch_add(1, Ordering::Relaxed);
        OpenPeer { traffic, in_order: false }
    }

    /// The neighbours that are connected, and the cost of each connection.
    #[must_use]
    pub fn neighbour_costs(&self) -> Vec<(String, u32)> {
        let core = self.core.lock();
        let conns = core.neighbours.active.iter().flatten().filter_map(|&conn| core.conns.get(conn));
        let costs =
            conns.filter_map(|c| Some((named(&c.peer.as_ref()?.container_id).to_owned(), c.router.as_ref()?.cost)));
        costs.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_comes_beyond_the_bound_is_counted_with_others() {
        let traffic = Traffic::default();
        let mut connected = Vec::new();
        for number in 0..PAIRS_MAX + 10 {
            let pair = traffic.of(&format!("R{number}"), ConnectionRole::Edge);
            assert_eq!(pair.peer() == OTHERS, number >= PAIRS_MAX, "{number}");
            connected.push(pair);
        }
        assert_eq!(traffic.of("R7", ConnectionRole::Edge).peer(), "R7");
        assert_eq!(Traffic::default().of(&"x".repeat(NAME_MAX + 1), ConnectionRole::Edge).peer(), OTHERS);
        assert_eq!(traffic.of("R7", ConnectionRole::InterRouter).peer(), OTHERS);
        assert_eq!(traffic.0.lock().len(), PAIRS_MAX + 2);
    }

    #[test]
    fn routers_without_connections_make_room_and_nothing_is_lost() {
        let traffic = Traffic::default();
        let lasting = traffic.of("lasting", ConnectionRole::InterRouter);
        for number in 0..2 * PAIRS_MAX {
            let passing = traffic.of(&format!("pod-{number}"), ConnectionRole::Edge);
            assert_ne!(passing.peer(), OTHERS);
            passing.received.fetch_add(1, Ordering::Relaxed);
        }
        assert!(Arc::ptr_eq(&lasting, &traffic.of("lasting", ConnectionRole::InterRouter)));
        let pairs = traffic.0.lock();
        assert_eq!(pairs.iter().map(|pair| pair.received()).sum::<u64>(), 2 * PAIRS_MAX as u64);
        assert!(pairs.len() <= PAIRS_MAX + 1, "{}", pairs.len());
    }
}
