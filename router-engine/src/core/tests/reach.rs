//! Who can be reached at an address, and what comes of a change of it.

use super::super::Mode;
use super::super::connection::ConnectionRole;
use super::super::reach::{Links, LocalChange, Reach, ReachChange};
use super::super::table::Slot;
use super::world::{Peer, router, router_of};

fn change(before: Reach, after: Reach) -> ReachChange {
    ReachChange { address: Slot::from_bits(0), before, after }
}

#[test]
fn the_network_is_told_of_the_first_and_the_last_consumer() {
    let none = Reach::default();
    let own = Reach { consumers: Links { own: 1, proxied: 0 }, ..none };
    let both = Reach { consumers: Links { own: 1, proxied: 1 }, ..none };
    let others = [Reach { in_process: 1, ..none }, Reach { remotes: 1, ..none }];
    assert_eq!(change(none, own).local(), Some(LocalChange::Gained));
    assert_eq!(change(own, both).local(), None);
    assert_eq!(change(both, own).local(), None);
    assert_eq!(change(own, none).local(), Some(LocalChange::Lost));
    for other in others {
        assert_eq!(change(none, other).local(), None, "{other:?}");
        assert_eq!(change(other, none).local(), None, "{other:?}");
    }
}

#[test]
fn links_that_other_routers_attach_for_their_clients_are_told_apart() {
    let router = router();
    let (mut client, mut edge) = (Peer::new(&router), Peer::with_role(&router, ConnectionRole::Edge));
    let mut agent = Peer::in_process(&router);
    client.receiver("q");
    edge.sender("q");
    let consumer = edge.receiver("q");
    agent.receiver("q");
    let reach = || {
        router.with(|core| {
            let slot = core.addresses.lookup("q").expect("known");
            core.addresses[slot].reach()
        })
    };
    let producers = Links { own: 0, proxied: 1 };
    assert_eq!(reach(), Reach { in_process: 1, consumers: Links { own: 1, proxied: 1 }, producers, remotes: 0 });
    edge.detached(consumer);
    assert_eq!(reach(), Reach { in_process: 1, consumers: Links { own: 1, proxied: 0 }, producers, remotes: 0 });
}

#[test]
fn addresses_go_with_the_last_link() {
    let router = router();
    let count = || router.with(|core| core.addresses.records().len());
    let before = count();
    let mut client = Peer::new(&router);
    let links = [client.receiver("q"), client.sender("q")];
    assert_eq!(count(), before + 1);
    links.into_iter().for_each(|link| client.detached(link));
    assert_eq!(count(), before);
}

#[test]
fn clients_of_an_edge_router_without_an_uplink_reach_each_other() {
    let router = router_of(Mode::Edge);
    let (mut sender, mut receiver) = (Peer::new(&router), Peer::new(&router));
    receiver.receiver("q");
    let link = sender.sender("q");
    sender.send(link).expect("remembered");
    receiver.push();
    assert!(router.node_rows(super::world::NOW).is_empty());
}
