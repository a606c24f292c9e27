//! Figures of the whole router, and what is told of its objects.

use super::super::Router;
use super::super::action::Action;
use super::world::{NOW, Peer, router};
use crate::rng::SplitMix64;
use crate::telemetry::{Event, EventQueue};
use crate::{ConnId, LinkId};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Wake;
use std::time::{Duration, Instant};

/// What has begun and has not ended, from what was told.
#[derive(Default)]
struct Told {
    conns: HashSet<ConnId>,
    links: HashSet<LinkId>,
}

impl Told {
    fn hear(&mut self, queue: &EventQueue) {
        let mut events = VecDeque::new();
        assert_eq!(queue.take(&mut events), 0);
        for event in events {
            let as_it_should = match event {
                Event::ConnectionOpened { conn, .. } => self.conns.insert(conn),
                Event::ConnectionClosed { conn } => self.conns.remove(&conn),
                Event::LinkAttached { link, conn, .. } => self.conns.contains(&conn) && self.links.insert(link),
                Event::LinkDetached { link } => self.links.remove(&link),
                other => panic!("{other:?}"),
            };
            assert!(as_it_should, "{event:?}");
        }
    }
}

/// Counts what is there.
fn count(router: &Router) -> (usize, usize, u64) {
    router.with(|core| {
        let shown = || core.conns.iter().filter(|conn| conn.is_shown());
        let clients = shown().filter(|conn| conn.role.is_client()).count() as u64;
        (shown().count(), shown().map(|conn| conn.links.len()).sum(), clients)
    })
}

#[test]
fn figures_and_events_agree_with_what_is_there_after_any_history() {
    let router = router();
    let queue = Arc::new(EventQueue::new(10_000));
    assert!(router.set_telemetry(Arc::clone(&queue) as _));
    assert!(!router.set_telemetry(Arc::clone(&queue) as _), "there is one already");
    let (mut rng, mut told, mut peers) = (SplitMix64::new(3), Told::default(), Vec::new());
    for _ in 0..600 {
        match rng.below(8) {
            0 => peers.push((Peer::new(&router), true)),
            1 => peers.push((Peer::in_process(&router), true)),
            2 => peers.push((Peer::generation(&router, rng.below(4)), false)),
            3 if !peers.is_empty() => {
                let (mut peer, _) = peers.swap_remove(rng.below(peers.len() as u64) as usize);
                peer.submit(Action::Closed);
            }
            4 => {
                for (peer, _) in &mut peers {
                    if let Some(&link) = peer.links().first() {
                        peer.detached(link);
                    }
                }
            }
            _ => {
                let at = rng.below(peers.len().max(1) as u64) as usize;
                if let Some((peer, true)) = peers.get_mut(at) {
                    peer.receiver("q");
                    peer.sender("q");
                }
            }
        }
        told.hear(&queue);
        let row = router.router_row(NOW);
        let clients = row.services.iter().map(|(_, count)| count).sum();
        assert_eq!((row.connections, row.links, clients), count(&router));
        assert_eq!((told.conns.len(), told.links.len()), (row.connections, row.links));
    }
    peers.drain(..).for_each(|(mut peer, _)| peer.submit(Action::Closed));
    told.hear(&queue);
    assert_eq!((told.conns.len(), told.links.len(), count(&router)), (0, 0, (0, 0, 0)));
}

/// A collector that wants to know something of the router whenever it is woken.
struct Curious {
    router: Arc<Router>,
    queue: Arc<EventQueue>,
    asked: AtomicUsize,
}

impl Wake for Curious {
    fn wake(self: Arc<Self>) {
        assert!(self.router.core.try_lock().is_some(), "the core is locked");
        assert_eq!(self.queue.take(&mut VecDeque::new()), 0);
        self.asked.fetch_add(1, Ordering::Relaxed);
        let waker = Arc::clone(&self).into();
        assert!(self.queue.park(&waker));
    }
}

#[test]
fn who_collects_events_may_ask_the_core_when_it_is_woken() {
    let (router, queue) = (Arc::new(router()), Arc::new(EventQueue::new(10)));
    assert!(router.set_telemetry(Arc::clone(&queue) as _));
    let asked = AtomicUsize::new(0);
    let curious = Arc::new(Curious { router: Arc::clone(&router), queue: Arc::clone(&queue), asked });
    assert!(queue.park(&Arc::clone(&curious).into()));
    let mut peer = Peer::new(&router);
    let link = peer.receiver("q");
    peer.detached(link);
    peer.submit(Action::Closed);
    assert_eq!(curious.asked.load(Ordering::Relaxed), 4);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "measures")]
fn totals_cost_the_same_with_ten_links_and_with_a_hundred_thousand() {
    let cost = |links: u32| {
        let router = router();
        let mut peer = Peer::new(&router);
        for _ in 0..links {
            peer.receiver("q");
        }
        let ask = || {
            let begun = Instant::now();
            (0..100).for_each(|_| assert_eq!(router.router_row(NOW).links, links as usize));
            begun.elapsed()
        };
        // The quickest of several: others may use the machine.
        (0..20).map(|_| ask()).min().expect("asked")
    };
    let (few, many) = (cost(10).max(Duration::from_micros(10)), cost(100_000));
    // Looking at each link would cost a thousand times as much.
    assert!(many < 20 * few, "{many:?}, {few:?}");
}
