//! Figures of the whole router.

use super::super::Router;
use super::super::action::Action;
use super::world::{NOW, Peer, router};
use crate::rng::SplitMix64;
use std::time::{Duration, Instant};

/// Counts what is there.
fn count(router: &Router) -> (usize, usize, u64) {
    router.with(|core| {
        let shown = || core.conns.iter().filter(|conn| conn.is_shown());
        let clients = shown().filter(|conn| conn.role.is_client()).count() as u64;
        (shown().count(), shown().map(|conn| conn.links.len()).sum(), clients)
    })
}

#[test]
fn figures_agree_with_what_is_there_after_any_history() {
    let router = router();
    let (mut rng, mut peers) = (SplitMix64::new(3), Vec::new());
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
        let row = router.router_row(NOW);
        let clients = row.services.iter().map(|(_, count)| count).sum();
        assert_eq!((row.connections, row.links, clients), count(&router));
    }
    peers.drain(..).for_each(|(mut peer, _)| peer.submit(Action::Closed));
    let row = router.router_row(NOW);
    assert_eq!((row.connections, row.links, count(&router)), (0, 0, (0, 0, 0)));
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
