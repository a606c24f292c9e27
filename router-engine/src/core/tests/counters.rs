//! What management shows of links and of the router.

use super::super::action::{Action, Side};
use super::super::snapshot::{AddressRow, LinkKey, LinkRow};
use super::super::table::Identity;
use super::super::{LinkCounters, Router};
use super::world::{NOW, Peer, message, router, stream};
use crate::LinkId;
use crate::annotations::Annotations;
use amqp_core::Instant;
use amqp_core::performative::DeliveryState;
use std::time::Duration;

fn row(router: &Router, link: LinkId) -> LinkRow {
    router.link_row(LinkKey::Number(link.number), NOW).expect("the link")
}

fn counters(router: &Router, link: LinkId) -> LinkCounters {
    row(router, link).counters
}

fn address(router: &Router, key: &str) -> AddressRow {
    router.address_row(key).expect("the address")
}

/// Delivered, waiting and unsettled.
fn figures(router: &Router, link: LinkId) -> (u64, u32, u32) {
    let row = row(router, link);
    (row.counters.deliveries, row.undelivered, row.unsettled)
}

/// As the port of the link does when a whole message has left.
fn leaves(router: &Router, link: LinkId) {
    router.with(|core| core.links[link.slot()].gauge.as_ref().expect("of an outgoing link").add_one());
}

#[test]
fn messages_that_have_left_are_counted_before_they_have_an_outcome() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    let queue = rx.receiver("q");
    let link = tx.sender("q");
    for _ in 0..3 {
        tx.send(link);
    }
    assert_eq!(figures(&router, queue), (0, 3, 0));
    assert_eq!(figures(&router, link), (3, 0, 3));
    leaves(&router, queue);
    leaves(&router, queue);
    assert_eq!(figures(&router, queue), (2, 1, 2));
    let pushes = rx.pushes();
    rx.answer(&pushes[0], DeliveryState::Accepted, false);
    assert_eq!(figures(&router, queue), (2, 1, 2));
    rx.answer(&pushes[0], DeliveryState::Accepted, true);
    assert_eq!(figures(&router, queue), (2, 1, 1));
    assert_eq!(figures(&router, link), (3, 0, 2));
}

#[test]
fn messages_are_counted_by_their_outcomes_where_nobody_tells_of_each() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    let queue = rx.receiver("q");
    router.with(|core| core.links[queue.slot()].gauge = None);
    let link = tx.sender("q");
    tx.send(link);
    let push = rx.push();
    rx.answer(&push, DeliveryState::Accepted, false);
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
    let seconds = [1, 2, 10, 11];
    seconds.iter().for_each(|_| assert!(tx.send(link).is_some()));
    for (push, seconds) in rx.pushes().iter().zip(seconds) {
        let delivery = Side::Out(push.id);
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

#[test]
fn the_credit_of_a_sender_is_what_it_has_not_used() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    let link = tx.sender("q");
    assert_eq!((row(&router, link).credit, row(&router, link).capacity), (0, 10));
    let later = Instant::from_micros(5_000_000);
    let without =
        |router: &Router| router.link_row(LinkKey::Number(link.number), later).map(|row| row.zero_credit.as_secs());
    assert_eq!(without(&router), Some(5), "nobody is there to take anything");
    rx.receiver("q");
    assert_eq!((row(&router, link).credit, without(&router)), (10, Some(0)));
    for _ in 0..4 {
        tx.send(link);
    }
    assert_eq!(row(&router, link).credit, 6);
    tx.deliver(link, None, message(), Annotations::default(), true);
    assert_eq!(row(&router, link).credit, 6, "that of settled messages comes back at once");
    rx.answer(&rx.pushes()[0], DeliveryState::Accepted, true);
    assert_eq!(row(&router, link).credit, 7);
    tx.submit(Action::Refused { link });
    assert_eq!(row(&router, link).credit, 7);
    for _ in 0..7 {
        tx.send(link);
    }
    assert_eq!((row(&router, link).credit, without(&router)), (0, Some(5)));
}

#[test]
fn credit_that_a_sender_gives_up_is_gone() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    let queue = rx.receiver("q");
    let link = tx.sender("q");
    rx.detached(queue);
    tx.send(link);
    tx.submit(Action::Drained { link, skipped: 9 });
    assert_eq!(row(&router, link).credit, 0);
    rx.receiver("q");
    assert_eq!(row(&router, link).credit, 10);
}

#[test]
fn what_goes_to_another_router_is_in_transit_wherever_it_comes_from() {
    let router = router();
    let (mut tx, mut neighbour) = (Peer::new(&router), Peer::neighbour(&router, "q"));
    let link = tx.sender("q");
    assert_eq!(address(&router, "Mq").outstanding, None, "there never was any");
    tx.send(link);
    neighbour.push();
    assert!(address(&router, "Mq").outstanding.is_some());
    let totals = router.router_row(NOW).totals;
    assert_eq!((totals.ingress, totals.transit, totals.egress), (1, 1, 0));
    let counters = address(&router, "Mq").counters;
    assert_eq!((counters.ingress, counters.transit, counters.egress), (1, 1, 0));
    neighbour.submit(Action::Closed);
}

#[test]
fn what_the_router_itself_sends_is_not_counted_among_what_comes_in() {
    let router = router();
    let (mut agent, mut rx) = (Peer::in_process(&router), Peer::new(&router));
    rx.receiver("q");
    let link = agent.sender("q");
    agent.deliver(link, None, message(), Annotations::default(), true);
    agent.send(link);
    let pushes = rx.pushes();
    rx.answer(&pushes[1], DeliveryState::Accepted, true);
    let totals = router.router_row(NOW).totals;
    assert_eq!((totals.ingress, totals.outcomes.presettled, totals.outcomes.accepted), (0, 0, 0));
    assert_eq!(totals.egress, 2);
    assert_eq!(address(&router, "Mq").counters.from_container, 2);
}

#[test]
fn settled_messages_without_a_way_are_dropped() {
    let router = router();
    let mut tx = Peer::new(&router);
    let link = tx.sender("q");
    tx.deliver(link, None, message(), Annotations::default(), true);
    tx.deliver(link, None, stream(), Annotations::default(), true);
    let c = counters(&router, link);
    assert_eq!((c.presettled, c.dropped_presettled), (2, 2));
    assert_eq!(router.router_row(NOW).totals.outcomes.dropped_presettled, 2);
    assert_eq!(address(&router, "Mq").counters.ingress, 0, "nothing was there to take it");
}

#[test]
fn settled_messages_that_a_link_drops_are_settled_ones_of_it() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    let queue = rx.receiver("q");
    let link = tx.sender("q");
    for _ in 0..2 {
        tx.deliver(link, None, message(), Annotations::default(), true);
    }
    let pushes = rx.pushes();
    rx.submit(Action::Dropped { delivery: pushes[0].id });
    rx.submit(Action::Sent { delivery: pushes[1].id });
    let c = counters(&router, queue);
    assert_eq!((c.deliveries, c.presettled, c.dropped_presettled), (1, 2, 1));
}

#[test]
fn what_a_receiver_wants_settled_is_accepted_not_presettled() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    let queue = rx.receiver("q");
    router.with(|core| core.links[queue.slot()].settle_on_send = true);
    let link = tx.sender("q");
    tx.send(link);
    rx.submit(Action::Sent { delivery: rx.push().id });
    for c in [counters(&router, queue), counters(&router, link)] {
        assert_eq!((c.deliveries, c.presettled, c.accepted), (1, 0, 1));
    }
}

#[test]
fn a_stream_that_arrives_is_unsettled_unless_its_sender_settled_it() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    rx.receiver("q");
    let link = tx.sender("q");
    tx.deliver(link, None, stream(), Annotations::default(), false);
    assert_eq!(figures(&router, link), (1, 0, 1));
    let settled = tx.deliver(link, None, stream(), Annotations::default(), true).expect("remembered");
    assert_eq!(figures(&router, link), (2, 0, 1));
    tx.submit(Action::Complete { delivery: settled, aborted: false });
    assert_eq!(figures(&router, link), (2, 0, 1));
}
