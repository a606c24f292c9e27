//! Streams on links of their own.

use super::super::action::{Action, Direction, Side};
use super::super::effect::Effect;
use super::super::ids::OutId;
use super::world::{Peer, router, stream};
use crate::annotations::Annotations;

use amqp_core::Instant;
use amqp_core::performative::DeliveryState;

fn settled(delivery: OutId) -> Action {
    Action::Update { delivery: Side::Out(delivery), state: Some(DeliveryState::Accepted), settled: true }
}

#[test]
fn a_link_whose_stream_is_not_settled_gets_no_other() {
    let router = router();
    let (mut tx, mut b) = (Peer::new(&router), Peer::neighbour(&router, "q"));
    let link = tx.sender("q");
    for _ in 0..3 {
        tx.deliver(link, None, stream(), Annotations::default(), false);
    }
    let first = b.pushes();
    for push in &first {
        b.submit(Action::Sent { delivery: push.id });
    }
    // Who has them may not have read them.
    tx.deliver(link, None, stream(), Annotations::default(), false);
    let next = b.push();
    assert!(first.iter().all(|push| push.link != next.link));
    b.submit(settled(first[1].id));
    tx.deliver(link, None, stream(), Annotations::default(), false);
    assert_eq!(b.push().link, first[1].link);
}

#[test]
fn a_stream_takes_the_idle_link_that_has_credit() {
    let router = router();
    let (mut tx, mut b) = (Peer::new(&router), Peer::neighbour(&router, "q"));
    let link = tx.sender("q");
    for _ in 0..3 {
        tx.deliver(link, None, stream(), Annotations::default(), false);
    }
    let first = b.pushes();
    for push in &first {
        b.submit(Action::PeerCredit { link: push.link, credit: 0, drain: false });
        b.submit(Action::Sent { delivery: push.id });
        b.submit(settled(push.id));
    }
    // The one that has waited longest is the only one to which credit came back.
    b.submit(Action::PeerCredit { link: first[0].link, credit: 5, drain: false });
    tx.deliver(link, None, stream(), Annotations::default(), false);
    assert_eq!(b.push().link, first[0].link);
    // Credit is coming on the others: no link is attached beside them.
    tx.deliver(link, None, stream(), Annotations::default(), false);
    assert_eq!(b.push().link, first[2].link);
}

#[test]
fn as_many_idle_links_are_kept_as_was_asked_for() {
    let router = router();
    router.keep_idle_streams(2);
    let (mut tx, mut b) = (Peer::new(&router), Peer::neighbour(&router, "q"));
    let link = tx.sender("q");
    for _ in 0..12 {
        tx.deliver(link, None, stream(), Annotations::default(), true);
    }
    for delivery in b.pushes().iter().map(|p| p.id).collect::<Vec<_>>() {
        b.submit(Action::Sent { delivery });
    }
    (1..20).for_each(|second| router.handle_timeout(Instant::from_micros(second * 1_000_000)));
    assert_eq!(b.effects().iter().filter(|e| matches!(e, Effect::Detach { .. })).count(), 10);
}

#[test]
fn a_link_that_takes_nothing_more_goes_with_the_last_of_what_it_has() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    let (idle, busy) = (rx.receiver("idle"), rx.receiver("q"));
    let link = tx.sender("q");
    tx.send(link);
    let push = rx.push();
    rx.submit(Action::Unbind { link: idle });
    rx.submit(Action::Unbind { link: busy });
    let detached = |rx: &mut Peer| -> Vec<_> {
        let detach = |effect| if let Effect::Detach { link, .. } = effect { Some(link) } else { None };
        rx.effects().into_iter().filter_map(detach).collect()
    };
    assert_eq!(detached(&mut rx), [idle]);
    rx.submit(settled(push.id));
    assert_eq!(detached(&mut rx), [busy]);
}

#[test]
fn a_stream_that_was_moved_counts_where_it_came_from_until_it_is_over() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::flow(&router));
    rx.receiver("q");
    let link = tx.sender("q");
    tx.deliver(link, None, stream(), Annotations::default(), false);
    let push = rx.push();
    let own = rx.attach(Direction::Out, None);
    let moved = || router.link_rows(Instant::from_micros(0)).iter().map(|row| row.moved_streams).sum::<u32>();
    rx.submit(Action::Move { delivery: push.id, link: own });
    let load = moved();
    assert_ne!(load, 0);
    // Its client has said all, but is not answered.
    rx.submit(Action::Sent { delivery: push.id });
    assert_eq!(moved(), load);
    rx.submit(settled(push.id));
    rx.submit(Action::Detached { link: own, error: None, unsent: Vec::new() });
    assert_eq!(moved(), load - 1);
}
