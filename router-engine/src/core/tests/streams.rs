//! Streams on links of their own.

use super::super::action::{Action, Side};
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
