//! Stuck deliveries, blocked links, and what else is counted while deliveries wait.

use super::super::action::Action;
use super::super::snapshot::{LinkKey, LinkRow};
use super::super::{Router, Totals};
use super::world::{NOW, Peer, message, router, stream};
use crate::LinkId;
use crate::annotations::Annotations;
use crate::index::LISTED_ROUTERS;
use amqp_core::Instant;
use amqp_core::performative::DeliveryState;
use bytes::Bytes;
use std::time::Duration;

const INTERVAL: Duration = Duration::from_secs(5);
const AGE: Duration = Duration::from_secs(3);

fn detecting() -> Router {
    let router = router();
    router.detect_stuck(INTERVAL, AGE, NOW);
    router
}

/// Lets time pass until then.
fn run(router: &Router, until: Duration) {
    while router.poll_timeout() <= NOW + until {
        router.handle_timeout(router.poll_timeout());
    }
}

fn totals(router: &Router) -> Totals {
    router.router_row(NOW).totals
}

fn row(router: &Router, link: LinkId, now: Instant) -> LinkRow {
    router.link_row(LinkKey::Number(link.number), now).expect("the link")
}

fn stuck(router: &Router, link: LinkId) -> u64 {
    row(router, link, NOW).counters.stuck
}

#[test]
fn deliveries_are_stuck_until_they_are_settled() {
    let router = detecting();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    let queue = rx.receiver("q");
    let link = tx.sender("q");
    for _ in 0..3 {
        tx.send(link);
    }
    run(&router, Duration::from_millis(4900));
    assert_eq!(totals(&router).outcomes.stuck, 0, "nobody has looked yet");
    run(&router, Duration::from_secs(6));
    assert_eq!((stuck(&router, link), stuck(&router, queue), totals(&router).outcomes.stuck), (3, 3, 6));
    // They count once.
    run(&router, Duration::from_secs(20));
    assert_eq!(totals(&router).outcomes.stuck, 6);
    for push in rx.pushes() {
        rx.answer(&push, DeliveryState::Accepted, true);
    }
    assert_eq!((stuck(&router, link), stuck(&router, queue), totals(&router).outcomes.stuck), (0, 0, 0));
}

#[test]
fn what_goes_with_a_link_is_not_stuck_any_more() {
    let router = detecting();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    let queue = rx.receiver("q");
    let link = tx.sender("q");
    tx.send(link);
    run(&router, Duration::from_secs(6));
    assert_eq!(totals(&router).outcomes.stuck, 2);
    rx.detached(queue);
    assert_eq!(totals(&router).outcomes.stuck, 0);
}

#[test]
fn streams_and_young_deliveries_are_not_stuck() {
    let router = detecting();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    rx.receiver("q");
    let link = tx.sender("q");
    tx.deliver(link, None, stream(), Annotations::default(), false);
    run(&router, Duration::from_secs(4));
    tx.submit_at(Action::Refused { link }, NOW + Duration::from_secs(4));
    run(&router, Duration::from_secs(6));
    assert_eq!(totals(&router).outcomes.stuck, 0);
}

#[test]
fn a_search_of_many_is_made_in_steps() {
    let router = detecting();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    rx.receiver("q");
    let link = tx.sender("q");
    for _ in 0..2000 {
        tx.send(link);
    }
    run(&router, INTERVAL);
    assert!(totals(&router).outcomes.stuck < 2000, "{}", totals(&router).outcomes.stuck);
    run(&router, INTERVAL + Duration::from_millis(100));
    assert_eq!(totals(&router).outcomes.stuck, 4000);
}

#[test]
fn links_without_credit_are_blocked_until_they_have_some() {
    let router = detecting();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    tx.sender("q");
    let other = rx.receiver("other");
    run(&router, Duration::from_secs(6));
    assert_eq!(totals(&router).links_blocked, 2);
    rx.submit(Action::PeerCredit { link: other, credit: 1, drain: false });
    assert_eq!(totals(&router).links_blocked, 1);
    let queue = rx.receiver("q");
    assert_eq!(totals(&router).links_blocked, 0, "now there is somebody to send to");
    run(&router, Duration::from_secs(12));
    assert_eq!(totals(&router).links_blocked, 1);
    rx.detached(queue);
    assert_eq!(totals(&router).links_blocked, 0);
}

#[test]
fn settlements_are_counted_by_the_second() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    let queue = rx.receiver("q");
    let link = tx.sender("q");
    for _ in 0..10 {
        tx.send(link);
    }
    for (push, state) in rx.pushes().iter().zip([DeliveryState::Accepted, DeliveryState::Released].into_iter().cycle())
    {
        rx.answer(push, state, true);
    }
    let rate = |link, seconds| row(&router, link, NOW + Duration::from_secs(seconds)).settle_rate;
    assert_eq!([rate(link, 0), rate(queue, 4), rate(link, 5)], [1, 1, 0], "five in five seconds, and then none");
}

#[test]
fn outgoing_links_count_by_the_router_where_messages_came_from() {
    let router = router();
    let mut neighbour = Peer::neighbour(&router, "elsewhere");
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    let queue = rx.receiver("q");
    let link = tx.sender("q");
    tx.send(link);
    tx.send(link);
    let between = neighbour.attach(super::super::action::Direction::In, None);
    let annotations = Annotations { ingress: Some(Bytes::from_static(b"0/B")), ..Annotations::default() };
    neighbour.deliver(between, Some("q"), message(), annotations, false);
    let histogram = row(&router, queue, NOW).ingress.expect("of an outgoing link");
    assert_eq!((histogram.len(), &histogram[..3]), (LISTED_ROUTERS, &[2, 1, 0][..]));
    assert!(row(&router, link, NOW).ingress.is_none());
}
