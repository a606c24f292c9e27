//! Streams on links of their own.

use super::super::action::{Action, Side};
use super::super::effect::Effect;
use super::world::{Peer, router, stream};
use crate::annotations::Annotations;

use amqp_core::Instant;
use amqp_core::performative::DeliveryState;

#[test]
fn links_of_streams_that_are_sent_but_not_settled_are_kept() {
    let router = router();
    let (mut tx, mut b) = (Peer::new(&router), Peer::neighbour(&router, "q"));
    let link = tx.sender("q");
    for _ in 0..200 {
        tx.deliver(link, None, stream(), Annotations::default(), false);
    }
    let sent: Vec<_> = b.pushes().iter().map(|p| p.id).collect();
    for &delivery in &sent {
        b.submit(Action::Sent { delivery });
    }
    let detached = |from: u64, to: u64| {
        (from..to).for_each(|second| router.handle_timeout(Instant::from_micros(second * 1_000_000)));
        b.effects().iter().filter(|e| matches!(e, Effect::Detach { .. })).count()
    };
    assert_eq!(detached(1, 10), 0);
    assert_eq!(tx.outcomes(), []);
    for &id in &sent[..10] {
        let delivery = Side::Out(id);
        let action = Action::Update { delivery, state: Some(DeliveryState::Accepted), settled: true };
        router.submit(b.conn.id, &mut vec![action], &mut Vec::new(), Instant::from_micros(0));
    }
    assert_eq!(detached(10, 20), 10);
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
