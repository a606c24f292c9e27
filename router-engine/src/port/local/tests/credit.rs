//! Credit, settlement, and receivers that stand still.

use super::super::{Attach, Endpoint, Envelope, Event, Identity};
use super::{CAPACITY, NOW, attach, delivery, events, linked, message, outcomes, router, send};
use crate::core::snapshot::LinkKey;
use crate::stream::{Finish, Pressure, Pull, StreamLimits};
use amqp_core::performative::DeliveryState;
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

#[test]
fn a_sender_gets_credit_with_the_first_consumer_and_back_with_settlement() {
    let router = router();
    let (mut tx, to) = linked(&router, Attach::sender("to", "q"));
    assert_eq!(tx.credit(to), 0);
    let (mut rx, _) = linked(&router, Attach::receiver("of", "q"));
    let told = events(&mut tx);
    assert!(matches!(told[..], [Event::Credit { link, credit: CAPACITY }] if link == to), "{told:?}");
    let tokens: Vec<_> = (0..CAPACITY).map(|_| tx.send(to, message("m"), Envelope::default())).collect();
    tx.submit(NOW);
    assert_eq!(tx.credit(to), 0);
    assert!(events(&mut tx).is_empty(), "a receiver that stands still gives nothing back");

    assert!(rx.take());
    let Some(Event::Delivery(first)) = rx.next_event() else { panic!("a delivery") };
    assert_eq!(first.message().map(<[Bytes]>::concat), Some(b"m".to_vec()));
    rx.settle(first, DeliveryState::Accepted);
    assert!(events(&mut tx).is_empty(), "it was not submitted");
    rx.submit(NOW);
    let told = events(&mut tx);
    let [Event::Update { token, state: Some(DeliveryState::Accepted), settled: true }, Event::Credit { credit: 1, .. }] =
        told[..]
    else {
        panic!("{told:?}")
    };
    assert_eq!((token, tx.credit(to)), (tokens[0], 1));
}

#[test]
fn a_drain_is_answered_and_its_credit_comes_back() {
    let router = router();
    let (mut tx, to) = linked(&router, Attach::sender("to", "q"));
    let (rx, _) = linked(&router, Attach::receiver("of", "q"));
    events(&mut tx);
    drop(rx);
    send(&mut tx, to);
    let told = events(&mut tx);
    assert!(matches!(told[..], [Event::Update { .. }, Event::Credit { credit: 0, .. }]), "{told:?}");
    tx.submit(NOW);
    let (_rx, _) = linked(&router, Attach::receiver("of", "q"));
    events(&mut tx);
    assert_eq!(tx.credit(to), CAPACITY);
}

#[test]
fn a_receiver_shows_the_credit_that_it_gives() {
    let router = router();
    let (mut tx, to) = linked(&router, Attach::sender("to", "q"));
    let (mut rx, of) = linked(&router, Attach::receiver("of", "q").with_credit(10));
    let shown = || router.link_row(LinkKey::Number(of.number), NOW).expect("attached").credit;
    assert_eq!(shown(), 10);
    send(&mut tx, to);
    assert_eq!(shown(), 9);
    let got = delivery(&mut rx);
    rx.settle(got, DeliveryState::Accepted);
    rx.submit(NOW);
    assert_eq!(shown(), 10);
}

#[test]
fn settled_messages_for_a_part_of_the_router_that_stands_still_are_dropped() {
    let router = router();
    let mut rx = Endpoint::join(&router, Identity::internal("part", 2), Default::default(), NOW);
    attach(&mut rx, Attach::receiver("of", "q"));
    let (mut tx, to) = linked(&router, Attach::sender("to", "q"));
    for _ in 0..5 {
        tx.send(to, message("m"), Envelope::default().settled());
    }
    tx.submit(NOW);
    let got = events(&mut rx);
    assert_eq!(got.len(), 2, "{got:?}");
    drop(got);
    send(&mut tx, to);
    assert_eq!(events(&mut rx).len(), 1, "there is room again");
}

#[test]
fn a_stream_stops_with_a_reader_that_stands_still() {
    let router = router();
    let (mut tx, to) = linked(&router, Attach::sender("to", "q"));
    let (mut rx, _) = linked(&router, Attach::receiver("of", "q"));
    let stream = tx.send_stream(to, Envelope::default().streaming(), 7, NOW);
    events(&mut tx);
    let block = Bytes::from(vec![0; 16 * 1024]);
    let pushed = std::iter::from_fn(|| (stream.push(block.clone()) == Pressure::Open).then_some(())).count();
    assert!((14..17).contains(&pushed), "{pushed}");
    assert!(stream.buffered() < StreamLimits::DEFAULT.high + 2 * block.len());
    assert!(events(&mut tx).is_empty(), "nobody reads");

    let mut got = delivery(&mut rx);
    let reader = got.take_reader(rx.notify(1));
    reader.pull(usize::MAX, &mut VecDeque::new());
    let told = events(&mut tx);
    assert!(matches!(told[..], [Event::Ready(7)]), "{told:?}");
    assert_eq!(stream.push(block), Pressure::Open);
    reader.pull(usize::MAX, &mut VecDeque::new());
    assert_eq!(reader.pull(usize::MAX, &mut VecDeque::new()), Pull::Empty);
    stream.finish(NOW);
    let told = events(&mut rx);
    assert!(matches!(told[..], [Event::Ready(1)]), "{told:?}");
    assert_eq!(reader.pull(usize::MAX, &mut VecDeque::new()), Pull::Done(Finish::Orderly));
    rx.settle(got, DeliveryState::Accepted);
    rx.submit(NOW);
    assert_eq!(outcomes(&mut tx), [DeliveryState::Accepted]);
}

#[derive(Default)]
struct Alarm(AtomicUsize);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_parked_endpoint_is_woken_once() {
    let router = router();
    let (mut tx, to) = linked(&router, Attach::sender("to", "q"));
    let (mut rx, _) = linked(&router, Attach::receiver("of", "q"));
    let alarm = Arc::new(Alarm::default());
    let waker = Waker::from(Arc::clone(&alarm));
    let mut cx = Context::from_waker(&waker);
    assert!(rx.poll_event(&mut cx).is_pending());
    send(&mut tx, to);
    send(&mut tx, to);
    assert_eq!(alarm.0.load(Ordering::Relaxed), 1);
    for _ in 0..2 {
        assert!(matches!(rx.poll_event(&mut cx), Poll::Ready(Event::Delivery(_))));
    }
    assert!(rx.poll_event(&mut cx).is_pending());
}

#[test]
fn who_does_not_wait_for_acceptance_is_told_with_what_comes_next() {
    let router = router();
    let mut tx = Endpoint::join(&router, Identity::internal("part", CAPACITY), Default::default(), NOW);
    let to = attach(&mut tx, Attach::sender("to", "q")).link;
    let (mut rx, _) = linked(&router, Attach::receiver("of", "q"));
    events(&mut tx);
    let alarm = Arc::new(Alarm::default());
    let waker = Waker::from(Arc::clone(&alarm));
    let mut cx = Context::from_waker(&waker);
    let mut settle = |tx: &mut Endpoint, envelope: Envelope, outcome| {
        assert!(tx.poll_event(&mut cx).is_pending());
        let token = tx.send(to, message("m"), envelope);
        tx.submit(NOW);
        let got = delivery(&mut rx);
        rx.settle(got, outcome);
        rx.submit(NOW);
        token
    };
    let woken = || alarm.0.load(Ordering::Relaxed);
    let quiet = settle(&mut tx, Envelope::default().unattended(), DeliveryState::Accepted);
    assert_eq!(woken(), 0);
    let told = events(&mut tx);
    assert!(matches!(told[..], [Event::Update { token, settled: true, .. }, Event::Credit { .. }] if token == quiet));
    settle(&mut tx, Envelope::default(), DeliveryState::Accepted);
    assert_eq!(woken(), 1, "who waits is woken");
    events(&mut tx);
    settle(&mut tx, Envelope::default().unattended(), DeliveryState::Released);
    assert_eq!(woken(), 2, "of anything else too");
    assert_eq!(outcomes(&mut tx), [DeliveryState::Released]);
}
