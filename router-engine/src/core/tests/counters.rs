//! What management shows of links and of the router.

use super::super::action::{Action, Side};
use super::super::{LinkCounters, Router};
use super::world::{NOW, Peer, message, router};
use crate::LinkId;
use crate::annotations::Annotations;
use amqp_core::Instant;
use amqp_core::performative::DeliveryState;
use std::time::Duration;

fn counters(router: &Router, link: LinkId) -> LinkCounters {
    let rows = router.link_rows(NOW);
    rows.iter().find(|row| row.number == link.number).map(|row| row.counters).expect("the link")
}

#[test]
fn messages_that_were_sent_are_counted_when_that_is_known() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    let queue = rx.receiver("q");
    let link = tx.sender("q");
    tx.send(link);
    let push = rx.push();
    rx.answer(&push, DeliveryState::Accepted, false);
    assert_eq!(counters(&router, queue).deliveries, 1);
    rx.answer(&push, DeliveryState::Accepted, true);
    assert_eq!(counters(&router, queue).deliveries, 1);
    let id = tx.send(link).expect("unsettled");
    tx.submit(Action::Update { delivery: Side::In(id), state: None, settled: true });
    assert_eq!(counters(&router, queue).deliveries, 2);
}

#[test]
fn settled_messages_are_counted() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    rx.receiver("q");
    let link = tx.sender("q");
    tx.deliver(link, None, message(), Annotations::default(), true);
    assert_eq!(router.router_row(NOW).totals.outcomes.presettled, 1);
}

#[test]
fn late_outcomes_are_counted() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    let queue = rx.receiver("q");
    let link = tx.sender("q");
    for seconds in [1, 2, 10, 11] {
        tx.send(link);
        let delivery = Side::Out(rx.push().id);
        let action = Action::Update { delivery, state: Some(DeliveryState::Accepted), settled: true };
        rx.submit_at(action, NOW + Duration::from_secs(seconds));
    }
    for c in [counters(&router, queue), counters(&router, link), router.router_row(NOW).totals.outcomes] {
        assert_eq!((c.accepted, c.delayed_1sec, c.delayed_10sec), (4, 2, 1));
    }
}

#[test]
fn the_time_without_credit_begins_with_the_link_and_with_the_last_credit() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    let queue = rx.receiver("q");
    let link = tx.sender("q");
    let without = |at: u64| {
        let rows = router.link_rows(Instant::from_micros(at * 1_000_000));
        rows.iter().find(|row| row.number == queue.number).map(|row| row.zero_credit.as_secs())
    };
    assert_eq!(without(3), Some(3));
    rx.submit(Action::PeerCredit { link: queue, credit: 1, drain: false });
    assert_eq!(without(3), Some(0));
    tx.send(link);
    assert_eq!(without(3), Some(3));
}
