//! Connection groups: a control connection and the data connections beside it.

use super::super::action::{Action, Direction};
use super::super::effect::Effect;
use super::super::objects::Conn;
use super::super::table::{Identity, Slot};
use super::world::{Peer, router, stream};
use crate::annotations::Annotations;
use crate::core::connection::ConnectionRole;
use crate::index::NeighbourIndex;

#[test]
fn a_data_connection_that_goes_while_its_control_links_are_gone_is_forgotten() {
    let router = router();
    let mut tx = Peer::new(&router);
    let (mut first, mut gone) = (Peer::neighbour(&router, "q"), Peer::data(&router));
    let mut left = Peer::data(&router);
    first.detached(first.links()[0]);
    gone.submit(Action::Closed);
    first.submit(Action::Closed);
    // The next one gets the data connections that are left.
    let next = Peer::neighbour(&router, "q");
    let link = tx.sender("q");
    for _ in 0..4 {
        tx.deliver(link, None, stream(), Annotations::default(), false);
    }
    assert_eq!((next.pushes().len(), left.pushes().len()), (0, 4));
    left.submit(Action::Closed);
    assert!(!tx.outcomes().is_empty());
}

/// Whether the router closes the connection of a peer in good order.
fn is_closed(peer: &Peer<'_>) -> bool {
    peer.effects().iter().any(|e| matches!(e, Effect::Close { hard: false, error: None }))
}

#[test]
fn a_data_connection_that_ends_elsewhere_gets_no_streams() {
    let router = router();
    let mut tx = Peer::new(&router);
    let (mut early, mut neighbour) = (Peer::data_of(&router, "X"), Peer::neighbour(&router, "q"));
    let (mut late, mut good) = (Peer::data_of(&router, "X"), Peer::data(&router));
    assert!([&early, &late].into_iter().all(is_closed) && !is_closed(&good));
    let link = tx.sender("q");
    let mut send = || {
        for _ in 0..4 {
            tx.deliver(link, None, stream(), Annotations::default(), false);
        }
    };
    send();
    assert_eq!([&mut early, &mut late, &mut good, &mut neighbour].map(|peer| peer.pushes().len()), [0, 0, 4, 0]);
    // The control connection is made anew, and ends at the other router: so must the data connections.
    neighbour.submit(Action::Closed);
    let mut other = Peer::named(&router, ConnectionRole::InterRouter, "X");
    other.attach_all();
    assert!(is_closed(&good));
    send();
    assert_eq!([&mut early, &mut late, &mut good].map(|peer| peer.pushes().len()), [2, 2, 0]);
}

/// Whether the router has cut the connection of a peer since the last look.
fn is_cut(peer: &Peer<'_>) -> bool {
    peer.effects().iter().any(|e| matches!(e, Effect::Close { hard: true, .. }))
}

/// The slot of the active control connection.
fn active(peer: &Peer<'_>) -> Option<Slot<Conn>> {
    peer.router.with(|core| core.neighbours.conn(NeighbourIndex::at(0)))
}

#[test]
fn a_newer_generation_takes_over_from_one_that_is_not_active_yet() {
    let router = router();
    let mut first = Peer::generation(&router, 1);
    first.attach_all();
    let (mut third, mut fourth) = (Peer::generation(&router, 3), Peer::generation(&router, 4));
    assert!(is_cut(&third), "its place is taken");
    assert_eq!(active(&first), Some(first.conn.id.slot()), "until the newest has its control links");
    fourth.attach_all();
    assert_eq!(active(&first), Some(fourth.conn.id.slot()));
    // What the one between still does before it is gone changes nothing.
    third.attach_all();
    third.submit(Action::Closed);
    assert_eq!(active(&first), Some(fourth.conn.id.slot()));
    assert!(!is_cut(&first), "streams may come to their end on it");
    first.submit(Action::Closed);
    assert_eq!(active(&fourth), Some(fourth.conn.id.slot()));
    fourth.submit(Action::Closed);
    assert_eq!(router.with(|core| core.neighbours.conn(NeighbourIndex::at(0))), None);
}

#[test]
fn a_control_link_too_many_makes_no_difference() {
    let router = router();
    let (mut tx, mut neighbour) = (Peer::new(&router), Peer::neighbour(&router, "q"));
    let mut data = Peer::data(&router);
    let (link, own) = (tx.sender("q"), neighbour.links()[0]);
    for direction in [Direction::In, Direction::Out] {
        let surplus = neighbour.attach_control(direction);
        assert_eq!(router.address_row("Lqdhello").map(|row| row.subscribers), Some(1), "HELLO is sent once");
        neighbour.detached(surplus);
        assert_eq!(active(&neighbour), Some(neighbour.conn.id.slot()));
        tx.deliver(link, None, stream(), Annotations::default(), true);
        data.push();
    }
    let surplus = neighbour.attach_control(Direction::In);
    neighbour.detached(own);
    assert_eq!(active(&neighbour), None, "the first one counts");
    neighbour.detached(surplus);
    neighbour.attach_control(Direction::In);
    assert_eq!(active(&neighbour), Some(neighbour.conn.id.slot()));
    data.submit(Action::Closed);
}

#[test]
fn no_generation_is_followed_by_an_older_one() {
    let router = router();
    let mut first = Peer::generation(&router, 1);
    first.attach_all();
    let mut third = Peer::generation(&router, 3);
    // Newer than the active one, but not than the one that is about to be active.
    for ordinal in [2, 3] {
        let mut late = Peer::generation(&router, ordinal);
        assert!(is_cut(&late), "generation {ordinal}");
        late.submit(Action::Closed);
    }
    assert!(!is_cut(&first));
    third.attach_all();
    assert_eq!(active(&third), Some(third.conn.id.slot()));
    assert!(is_cut(&Peer::generation(&router, 3)));
}
