//! The links of connections and addresses.

use super::super::ids::LinkId;
use super::super::{AddressConfig, Router};
use super::world::{NOW, Peer, router};
use crate::forward::Treatment;
use crate::rng::SplitMix64;

/// The lists of the only client connection and of the only address agree with what is there.
fn check(router: &Router, receivers: usize, senders: usize) {
    router.with(|core| {
        let conn = core.conns.slots()[0];
        let links = &core.conns[conn].links;
        assert_eq!(links.len(), receivers + senders);
        assert!(links.iter().enumerate().all(|(at, &link)| core.links[link].at as usize == at));
    });
    let row = router.address_rows().pop();
    assert_eq!(row.map_or((0, 0), |a| (a.subscribers, a.producers)), (receivers as u32, senders as u32));
    assert_eq!(router.link_rows(NOW).len(), receivers + senders);
}

#[test]
fn links_go_in_any_order_and_the_others_keep_their_turn() {
    let router = router();
    router.add_address_config("q", AddressConfig { treatment: Treatment::Closest, priority: None }).expect("new");
    let mut peer = Peer::new(&router);
    let mut rng = SplitMix64::new(7);
    let mut receivers: Vec<LinkId> = (0..30).map(|_| peer.receiver("q")).collect();
    let mut senders: Vec<LinkId> = (0..30).map(|_| peer.sender("q")).collect();
    while let Some(&sender) = senders.first() {
        check(&router, receivers.len(), senders.len());
        for _ in 0..receivers.len() + 1 {
            peer.send(sender);
        }
        let got: Vec<_> = peer.pushes().iter().map(|p| p.link).collect();
        let turns: Vec<_> = receivers.iter().cycle().copied().take(got.len()).collect();
        assert_eq!(got, turns);
        // One message more than there are receivers was sent.
        receivers.rotate_left(1);
        for links in [&mut receivers, &mut senders] {
            let link = links.remove(rng.below(links.len() as u64) as usize);
            peer.detached(link);
        }
    }
    check(&router, 0, 0);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "measures")]
fn many_links_of_one_connection_and_address_go_fast() {
    let router = router();
    let mut peer = Peer::new(&router);
    for _ in 0..20_000 {
        peer.receiver("q");
        peer.sender("q");
    }
    let links = peer.links();
    let began = std::time::Instant::now();
    links.into_iter().for_each(|link| peer.detached(link));
    // A hundred times of what it takes where every link is found at once, a tenth of it where each is searched for.
    assert!(began.elapsed().as_secs() < 5);
}
