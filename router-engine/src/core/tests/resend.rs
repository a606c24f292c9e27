//! Deliveries that are sent to somebody else when they are released.

use super::super::AddressConfig;
use super::super::action::{Action, Direction, Side};
use super::super::effect::Push;
use super::super::forwarding::Route;
use super::super::table::Identity;
use super::world::{NODE, NOW, Peer, message, router, stream};
use crate::annotations::{Annotations, flags};
use crate::forward::Treatment;
use crate::stream::{Finish, Payload, Pressure, Pull, RETAINED_MAX, Reader, Stream};
use crate::{LinkId, Router};
use amqp_core::performative::DeliveryState;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

#[test]
fn an_address_lives_as_long_as_a_delivery_may_be_sent_to_it_again() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    let queue = rx.receiver("q");
    let link = tx.attach(Direction::In, None);
    tx.send_resend(link, "q", message());
    let unsent = vec![rx.push().id];
    rx.submit(Action::Detached { link: queue, error: None, unsent });
    assert_eq!(tx.outcomes(), [(Some(DeliveryState::Released), true)]);
    assert!(router.address_row("Mq").is_none(), "nothing refers to the address any more");
}

#[test]
fn an_address_that_a_neighbour_withdraws_is_still_known_to_what_it_has_not_settled() {
    let router = router();
    // Only balanced addresses count what a neighbour has not settled.
    router.add_address_config("q", AddressConfig { treatment: Treatment::Closest, priority: None }).expect("new");
    let (mut tx, mut b) = (Peer::new(&router), Peer::neighbour(&router, "q"));
    let link = tx.attach(Direction::In, None);
    tx.send_resend(link, "q", message());
    let push = b.push();
    router.with(|core| {
        let address = core.addresses.lookup("q").expect("known");
        core.map_remote(address, NODE, false);
    });
    b.answer(&push, DeliveryState::Released, true);
    assert_eq!(tx.outcomes(), [(Some(DeliveryState::Released), true)]);
    assert!(router.address_row("Mq").is_none());
}

#[test]
fn a_stream_that_a_neighbour_releases_on_a_data_connection_does_not_go_to_it_again() {
    let router = router();
    let (mut tx, mut control) = (Peer::new(&router), Peer::neighbour(&router, "q"));
    let mut data = Peer::data(&router);
    let link = tx.attach(Direction::In, None);
    tx.send_resend(link, "q", stream());
    assert!(control.pushes().is_empty());
    data.answer(&data.push(), DeliveryState::Released, true);
    assert_eq!(tx.outcomes(), [(Some(DeliveryState::Released), true)]);
    control.submit(Action::Closed);
}

#[test]
fn what_waits_on_a_connection_that_closes_is_not_forwarded_by_it_again() {
    let router = router();
    let (mut tx, _control) = (Peer::new(&router), Peer::neighbour(&router, "q"));
    let mut data = Peer::data(&router);
    let link = tx.attach(Direction::In, None);
    let links = router.link_rows(NOW).len();
    tx.send_resend(link, "q", stream());
    data.submit(Action::Closed);
    assert_eq!(tx.outcomes(), [(Some(DeliveryState::Released), true)]);
    assert_eq!(router.link_rows(NOW).len(), links);
}

#[test]
fn a_stream_that_all_consumers_of_a_connection_lose_leaves_no_link() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    rx.receiver("q");
    rx.receiver("q");
    let link = tx.attach(Direction::In, None);
    tx.send_resend(link, "q", stream());
    rx.submit(Action::Closed);
    assert_eq!(tx.outcomes(), [(Some(DeliveryState::Released), true)]);
    assert_eq!(router.link_rows(NOW).len(), 1);
}

#[test]
fn a_stream_that_was_received_in_part_may_still_be_released() {
    let router = router();
    let (mut tx, mut a, mut b) = (Peer::new(&router), Peer::new(&router), Peer::new(&router));
    a.receiver("q");
    let link = tx.attach(Direction::In, None);
    let Payload::Stream(stream) = stream() else { unreachable!() };
    tx.send_resend(link, "q", Payload::Stream(stream.clone()));
    let push = a.push();
    b.receiver("q");
    let (reader, mut out) = (stream.reader(None), VecDeque::new());
    stream.push(Bytes::from_static(b"head"));
    assert_eq!(reader.pull(100, &mut out), Pull::Data);
    let received = DeliveryState::Received { section_number: 0, section_offset: 4 };
    a.answer(&push, received.clone(), false);
    a.answer(&push, DeliveryState::Released, true);
    assert_eq!(tx.outcomes(), [(Some(received), false)]);
    let again = b.push().reader.expect("a place of its own");
    out.clear();
    assert_eq!(again.pull(100, &mut out), Pull::Data);
    assert_eq!(out, [Bytes::from_static(b"head")]);
}

#[test]
fn who_releases_a_stream_after_it_has_left_does_not_get_it_again() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    let queue = rx.receiver("q");
    let link = tx.attach(Direction::In, None);
    tx.send_resend(link, "q", stream());
    let push = rx.push();
    assert_ne!(push.link, queue, "it has a link of its own");
    rx.submit(Action::Sent { delivery: push.id });
    rx.answer(&push, DeliveryState::Released, true);
    assert_eq!(tx.outcomes(), [(Some(DeliveryState::Released), true)]);
    assert!(rx.pushes().is_empty());
}

#[test]
fn what_a_connection_loses_is_sent_again_once_however_many_consumers_it_had() {
    let detached = |&link: &LinkId| Action::Detached { link, error: None, unsent: Vec::new() };
    for each_is_told in [false, true] {
        let router = router();
        let (mut tx, mut rx, mut other) = (Peer::new(&router), Peer::new(&router), Peer::new(&router));
        let receivers: Vec<LinkId> = (0..50).map(|_| rx.receiver("q")).collect();
        let link = tx.attach(Direction::In, None);
        for _ in 0..100 {
            tx.send_resend(link, "q", message());
        }
        other.receiver("q");
        let mut ends: Vec<Action> = receivers.iter().filter(|_| each_is_told).map(detached).collect();
        ends.push(Action::Closed);
        router.submit(rx.conn.id, &mut ends, &mut Vec::new(), NOW);
        assert_eq!(other.pushes().len(), 100);
        assert_eq!(router.address_row("Mq").map(|row| row.counters.egress), Some(200), "{each_is_told}");
    }
}

/// A consumer here, and one beyond the neighbour.
fn near_and_far(router: &Router, treatment: Treatment) -> (Peer<'_>, Peer<'_>) {
    router.add_address_config("q", AddressConfig { treatment, priority: None }).expect("new");
    let (mut near, far) = (Peer::new(router), Peer::neighbour(router, "q"));
    near.receiver("q");
    (near, far)
}

#[test]
fn what_a_flow_sends_after_a_refusal_goes_to_somebody_else_until_all_have_refused() {
    for treatment in [Treatment::Closest, Treatment::Balanced] {
        for outcome in [DeliveryState::Released, DeliveryState::failed()] {
            let router = router();
            let (mut near, mut far) = near_and_far(&router, treatment);
            let mut flow = Peer::flow(&router);
            let link = flow.sender("q");
            for _round in 0..2 {
                flow.send(link);
                near.answer(&near.push(), outcome.clone(), true);
                flow.send(link);
                far.answer(&far.push(), outcome.clone(), true);
            }
            let outcomes = flow.outcomes();
            assert_eq!(outcomes, vec![(Some(outcome), true); 4], "it learns of each: {treatment:?}");
            // Another flow has no part in it.
            let mut other = Peer::flow(&router);
            let link = other.sender("q");
            other.send(link);
            near.push();
        }
    }
}

#[test]
fn a_consumer_that_takes_a_stream_over_and_is_lost_with_it_has_refused_it() {
    let router = router();
    let (near, far) = near_and_far(&router, Treatment::Closest);
    let mut flow = Peer::flow(&router);
    let link = flow.sender("q");
    flow.deliver(link, None, stream(), Annotations::default(), false);
    let push = near.push();
    let mut taker = Peer::flow(&router);
    let taken = taker.attach(Direction::Out, None);
    taker.submit(Action::Move { delivery: push.id, link: taken });
    taker.submit(Action::Closed);
    flow.send(link);
    far.push();
    assert!(near.pushes().is_empty());
}

/// Annotations of what passes a router with consumers by.
fn passing_by() -> Annotations {
    Annotations { flags: flags::PASS_BY_ONE, ..Annotations::default() }
}

#[test]
fn a_neighbour_that_refuses_is_asked_to_pass_ever_more_consumers_by() {
    let router = router();
    let (mut flow, mut far) = (Peer::flow(&router), Peer::neighbour(&router, "q"));
    let link = flow.sender("q");
    let mut passed = Vec::new();
    for _ in 0..6 {
        flow.send(link);
        let push = far.push();
        passed.push((push.annotations.flags & flags::PASSES_BY) / flags::PASS_BY_ONE);
        far.answer(&push, DeliveryState::failed(), true);
    }
    assert_eq!(passed, [0, 1, 2, 3, 0, 1]);
}

#[test]
fn what_passes_a_router_by_goes_beyond_it_or_stays() {
    for treatment in [Treatment::Closest, Treatment::Balanced] {
        let router = router();
        let (near, far) = near_and_far(&router, treatment);
        let mut tx = Peer::new(&router);
        let link = tx.sender("q");
        tx.deliver(link, None, message(), passing_by(), false);
        assert_eq!(far.push().annotations.flags & flags::PASSES_BY, 0, "one was passed by");
        assert!(near.pushes().is_empty());
        far.way(false);
        tx.deliver(link, None, message(), passing_by(), false);
        near.push();
    }
}

#[test]
fn a_router_without_consumers_is_none_to_be_passed_by() {
    let router = router();
    let far = Peer::neighbour(&router, "q");
    let mut tx = Peer::new(&router);
    let link = tx.sender("q");
    tx.deliver(link, None, message(), passing_by(), false);
    assert_eq!(far.push().annotations.flags & flags::PASSES_BY, flags::PASS_BY_ONE);
}

#[test]
fn a_flow_that_is_refused_by_the_only_consumer_asks_it_again() {
    let router = router();
    let (mut flow, mut rx) = (Peer::flow(&router), Peer::new(&router));
    rx.receiver("q");
    let link = flow.sender("q");
    for _ in 0..3 {
        flow.send(link);
        rx.answer(&rx.push(), DeliveryState::failed(), true);
    }
}

#[test]
fn what_others_send_goes_to_the_nearest_whatever_it_refused() {
    let router = router();
    let (mut near, far) = near_and_far(&router, Treatment::Closest);
    let mut tx = Peer::new(&router);
    let link = tx.sender("q");
    for _ in 0..3 {
        tx.send(link);
        near.answer(&near.push(), DeliveryState::Released, true);
    }
    assert!(far.pushes().is_empty());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "measures")]
fn to_find_out_who_has_released_a_message_costs_the_same_however_many_have() {
    let cost = |released: u32| {
        let router = router();
        let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
        let (queue, link) = (rx.receiver("q").slot(), tx.attach(Direction::In, None));
        let id = tx.send_resend(link, "q", message());
        router.with(|core| {
            let origin = core.incoming.find(id);
            let resend = origin.and_then(|origin| core.incoming[origin].resend.as_mut()).expect("kept");
            resend.refusals.links.extend((1000..1000 + released).map(LinkId::made_up));
            let route = Route { origin, refused: true, ..Route::internal(false) };
            let ask = || {
                let begun = Instant::now();
                (0..1000).for_each(|_| assert!(!core.is_invalidated(&route, queue)));
                begun.elapsed()
            };
            // The quickest of several: others may use the machine.
            (0..20).map(|_| ask()).min().expect("asked")
        })
    };
    let (few, many) = (cost(10), cost(10_000));
    // Looking at each would cost hundreds of times as much.
    assert!(many < 20 * few, "{many:?}, {few:?}");
}

#[test]
fn a_stream_that_is_sent_again_is_whole_though_its_sender_settles() {
    let router = router();
    let (mut tx, mut a, mut b) = (Peer::new(&router), Peer::new(&router), Peer::new(&router));
    a.receiver("q");
    let link = tx.attach(Direction::In, None);
    let Payload::Stream(stream) = stream() else { unreachable!() };
    let id = tx.send_resend(link, "q", Payload::Stream(stream.clone()));
    let push = a.push();
    b.receiver("q");
    let (reader, mut out) = (stream.reader(None), VecDeque::new());
    stream.push(Bytes::from_static(b"head"));
    assert_eq!(reader.pull(100, &mut out), Pull::Data);
    a.answer(&push, DeliveryState::Released, true);
    drop(reader);
    let again = b.push();
    stream.push(Bytes::from_static(b"tail"));
    stream.finish();
    tx.submit(Action::Complete { delivery: id, aborted: false });
    tx.submit(Action::Update { delivery: Side::In(id), state: None, settled: true });
    let mut whole = VecDeque::new();
    let reader = again.reader.unwrap_or_else(|| stream.reader(None));
    assert_eq!(reader.pull(100, &mut whole), Pull::Done(Finish::Orderly));
    assert_eq!(whole, [Bytes::from_static(b"head"), Bytes::from_static(b"tail")]);
}

/// A stream with a consumer that has read all that came, more than is retained of it. The producer was never stopped.
fn long_stream(tx: &mut Peer, rx: &Peer) -> (Arc<Stream>, Push, Reader) {
    let link = tx.attach(Direction::In, None);
    let Payload::Stream(stream) = stream() else { unreachable!() };
    tx.send_resend(link, "q", Payload::Stream(stream.clone()));
    let push = rx.push();
    let (reader, mut out) = (stream.reader(None), VecDeque::new());
    for _ in 0..100 {
        assert_eq!(stream.push(Bytes::from(vec![7; 10_000])), Pressure::Open);
        assert_eq!(reader.pull(20_000, &mut out), Pull::Data);
        assert!(stream.buffered() < RETAINED_MAX + 2 * 10_000, "what is retained is bounded");
        out.clear();
    }
    assert_eq!(stream.buffered(), 0);
    (stream, push, reader)
}

#[test]
fn a_stream_of_which_the_beginning_is_gone_ends_as_its_receiver_says() {
    for state in [DeliveryState::Released, DeliveryState::failed(), DeliveryState::Accepted] {
        let router = router();
        let (mut tx, mut a, mut b) = (Peer::new(&router), Peer::new(&router), Peer::new(&router));
        a.receiver("q");
        let (stream, push, _reader) = long_stream(&mut tx, &a);
        b.receiver("q");
        a.answer(&push, state.clone(), true);
        assert_eq!(tx.outcomes(), [(Some(state), true)]);
        assert!(b.pushes().is_empty());
        stream.discard();
    }
}

#[test]
fn a_stream_of_which_little_was_read_is_sent_again_though_much_of_it_waits() {
    let router = router();
    let (mut tx, mut a, mut b) = (Peer::new(&router), Peer::new(&router), Peer::new(&router));
    a.receiver("q");
    let link = tx.attach(Direction::In, None);
    let Payload::Stream(stream) = stream() else { unreachable!() };
    tx.send_resend(link, "q", Payload::Stream(stream.clone()));
    let push = a.push();
    b.receiver("q");
    let (reader, mut out) = (stream.reader(None), VecDeque::new());
    let mut pressure = Pressure::Open;
    for _ in 0..60 {
        pressure = stream.push(Bytes::from(vec![7; 10_000]));
    }
    assert_eq!(pressure, Pressure::Full);
    assert_eq!(reader.pull(100_000, &mut out), Pull::Data);
    a.answer(&push, DeliveryState::Released, true);
    drop(reader);
    let again = b.push().reader.expect("a place of its own");
    stream.finish();
    out.clear();
    assert_eq!(again.pull(1_000_000, &mut out), Pull::Done(Finish::Orderly));
    assert_eq!(out.iter().map(Bytes::len).sum::<usize>(), 600_000);
}

#[test]
fn what_in_process_consumers_release_goes_to_each_of_them_once() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    let (mut first, mut second) = (Peer::in_process(&router), Peer::in_process(&router));
    first.receiver("q");
    second.receiver("q");
    rx.receiver("q");
    let link = tx.attach(Direction::In, None);
    tx.send_resend(link, "q", message());
    first.answer(&first.push(), DeliveryState::Released, true);
    second.answer(&second.push(), DeliveryState::Released, true);
    assert!(first.pushes().is_empty() && second.pushes().is_empty());
    assert!(rx.pushes().is_empty(), "in-process consumers do not share an address with others");
    assert_eq!(tx.outcomes(), [(Some(DeliveryState::Released), true)]);
    // They take turns as before.
    for consumer in [&first, &second, &first] {
        tx.deliver(link, Some("q"), message(), Default::default(), true);
        assert_eq!(consumer.pushes().len(), 1);
    }
}
