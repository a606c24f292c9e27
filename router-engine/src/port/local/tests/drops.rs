//! Whatever is dropped, and whenever: nothing stays in the core, and whoever is concerned hears of it.

use super::super::{Attach, Attached, Connection, Delivery, Endpoint, Envelope, Identity, SendStream};
use super::{CAPACITY, NOW, attach, delivery, endpoint, events, linked, message, outcomes, router, send};
use crate::core::Population;
use crate::core::connection::PeerKind;
use crate::stream::{Finish, Notify, Pull, Reader};
use crate::{LinkId, Router};
use amqp_core::performative::DeliveryState;
use bytes::Bytes;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// An endpoint in the course of its life, and its far end.
struct Life {
    router: Arc<Router>,
    /// What there was before it.
    before: Population,
    near: Near,
    far: Endpoint,
    /// Sends to the endpoint.
    to_near: LinkId,
    /// What the far end sends of a stream, and reads.
    sending: Option<SendStream>,
    reading: Option<(Delivery, Reader)>,
}

/// What belongs to the endpoint's owner.
#[derive(Default)]
struct Near {
    endpoint: Option<Endpoint>,
    to_far: Option<LinkId>,
    held: Vec<Delivery>,
    readers: Vec<Reader>,
    sending: Option<SendStream>,
}

/// How an owner loses what it has.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Loss {
    EndpointFirst,
    EndpointLast,
    Panic,
}

impl Life {
    fn new() -> Self {
        let router = router();
        let (mut far, to_near) = linked(&router, Attach::sender("to near", "near"));
        attach(&mut far, Attach::receiver("of far", "far"));
        let before = router.population();
        Self { router, before, near: Near::default(), far, to_near, sending: None, reading: None }
    }

    fn near(&mut self) -> &mut Endpoint {
        self.near.endpoint.as_mut().expect("joined")
    }

    fn lose(&mut self, loss: Loss) {
        let mut near = std::mem::take(&mut self.near);
        match loss {
            Loss::EndpointFirst => drop(near.endpoint.take()),
            Loss::EndpointLast => {
                let endpoint = near.endpoint.take();
                drop(near);
                return drop(endpoint);
            }
            Loss::Panic => {
                let fault = catch_unwind(AssertUnwindSafe(move || {
                    let _near = near;
                    std::panic::resume_unwind(Box::new("a fault"));
                }));
                return assert!(fault.is_err());
            }
        }
        drop(near);
    }
}

type Step = (&'static str, fn(&mut Life));

/// The life of an endpoint, step by step.
const STEPS: [Step; 9] = [
    ("joined", |life| life.near.endpoint = Some(endpoint(&life.router))),
    ("attached", |life| {
        let links = [Attach::receiver("of near", "near"), Attach::sender("to far", "far")];
        let [_, to_far] = life.near().attach(links, NOW);
        life.near.to_far = Some(to_far.expect("attached").link);
    }),
    ("a message waits", |life| send(&mut life.far, life.to_near)),
    ("it was taken", |life| assert!(life.near().take())),
    ("it was seen", |life| {
        let seen = std::iter::from_fn(|| life.near().next_event());
        let held = seen.filter_map(|e| if let super::Event::Delivery(d) = e { Some(d) } else { None }).collect();
        life.near.held = held;
        assert_eq!(life.near.held.len(), 1);
    }),
    ("a stream is read", |life| {
        let sending = life.far.send_stream(life.to_near, Envelope::default(), 0, NOW);
        sending.push(Bytes::from_static(b"question"));
        life.sending = Some(sending);
        let mut stream = delivery(life.near());
        let reader = stream.take_reader(life.near().notify(1));
        assert_eq!(reader.pull(usize::MAX, &mut VecDeque::new()), Pull::Data);
        life.near.held.push(stream);
        life.near.readers.push(reader);
    }),
    ("a message was sent", |life| {
        let to_far = life.near.to_far.expect("attached");
        send(life.near(), to_far);
        drop(delivery(&mut life.far));
        assert_eq!(outcomes(life.near()), [DeliveryState::failed()]);
    }),
    ("a stream is sent", |life| {
        let to_far = life.near.to_far.expect("attached");
        let sending = life.near().send_stream(to_far, Envelope::default(), 2, NOW);
        sending.push(Bytes::from_static(b"answer"));
        life.near.sending = Some(sending);
        let mut stream = delivery(&mut life.far);
        let reader = stream.take_reader(life.far.notify(1));
        life.reading = Some((stream, reader));
    }),
    ("the message was accepted", |life| {
        let first = life.near.held.remove(0);
        life.near().settle(first, DeliveryState::Accepted);
    }),
];

/// What the far end hears of its messages when the endpoint goes after so many steps.
fn expected(steps: usize) -> Vec<DeliveryState> {
    match steps {
        0..3 => vec![],
        3 | 4 => vec![DeliveryState::Released],
        5 => vec![DeliveryState::failed()],
        6..9 => vec![DeliveryState::failed(), DeliveryState::failed()],
        _ => vec![DeliveryState::Accepted, DeliveryState::failed()],
    }
}

#[test]
fn at_every_point_of_its_life_an_endpoint_leaves_nothing_behind() {
    for steps in 0..=STEPS.len() {
        for loss in [Loss::EndpointFirst, Loss::EndpointLast, Loss::Panic] {
            let after = format!("{loss:?} after {:?}", STEPS[..steps].last().map(|step| step.0));
            let mut life = Life::new();
            STEPS[..steps].iter().for_each(|(_, step)| step(&mut life));
            life.lose(loss);
            let mut heard = outcomes(&mut life.far);
            // In what order things are lost, what is told of them is told.
            heard.sort_by_key(|state| *state != DeliveryState::Accepted);
            assert_eq!(heard, expected(steps), "{after}");
            if let Some((stream, reader)) = life.reading.take() {
                let mut answer = VecDeque::new();
                assert_eq!(reader.pull(usize::MAX, &mut answer), Pull::Data, "{after}");
                assert_eq!(reader.pull(usize::MAX, &mut answer), Pull::Aborted, "{after}");
                assert_eq!(answer, [Bytes::from_static(b"answer")], "{after}");
                drop(stream);
            }
            drop(life.sending.take());
            assert_eq!(life.router.population(), life.before, "{after}");
        }
    }
}

#[test]
fn in_good_order_what_was_not_read_is_released() {
    let mut life = Life::new();
    STEPS[..6].iter().for_each(|(_, step)| step(&mut life));
    let near = std::mem::take(&mut life.near);
    near.endpoint.expect("joined").close(NOW);
    let mut heard = outcomes(&mut life.far);
    heard.sort_by_key(|state| *state == DeliveryState::Released);
    assert_eq!(heard, [DeliveryState::failed(), DeliveryState::Released]);
    drop((near.held, near.readers));
    assert!(outcomes(&mut life.far).is_empty(), "nothing is said twice");
    drop(life.sending.take());
    assert_eq!(life.router.population(), life.before);
}

#[test]
fn a_delivery_may_outlive_its_endpoint() {
    let router = router();
    let (mut tx, to) = linked(&router, Attach::sender("to", "q"));
    let (mut rx, _) = linked(&router, Attach::receiver("of", "q"));
    send(&mut tx, to);
    let held = delivery(&mut rx);
    drop(rx);
    assert_eq!(outcomes(&mut tx), [DeliveryState::failed()]);
    held.settle(DeliveryState::Accepted, NOW);
    assert!(outcomes(&mut tx).is_empty());
}

#[test]
fn a_closer_ends_what_another_task_owns() {
    let router = router();
    let (mut tx, to) = linked(&router, Attach::sender("to", "q"));
    let before = router.population();
    let (mut rx, _) = linked(&router, Attach::receiver("of", "q"));
    send(&mut tx, to);
    let closer = rx.closer();
    closer.close(NOW);
    closer.close(NOW);
    assert_eq!(router.population(), before);
    assert_eq!(outcomes(&mut tx), [DeliveryState::Released]);
    // Its owner learns nothing of it, and does no harm.
    let late = delivery(&mut rx);
    rx.settle(late, DeliveryState::Accepted);
    rx.submit(NOW);
    assert!(rx.attach([Attach::receiver("again", "q")], NOW)[0].is_err());
    drop(rx);
    assert_eq!(router.population(), before);
    assert!(outcomes(&mut tx).is_empty());
}

/// A connection that can take a stream over.
fn taker(router: &Arc<Router>) -> (Connection, LinkId) {
    let (host, initiator, local_socket) = ("server".to_owned(), true, None);
    let identity = Identity { kind: PeerKind::TcpFlow, initiator, host, local_socket, capacity: CAPACITY };
    let mut connection = Connection::join(router, identity, Arc::default(), NOW);
    let [taking] = connection.attach(&mut Vec::new(), [Attach::unbound_receiver("takes")], NOW);
    let Attached { link, source } = taking.expect("attached");
    assert_eq!(source, None);
    (connection, link)
}

#[test]
fn a_stream_that_was_moved_ends_with_its_new_connection() {
    let router = router();
    let (mut tx, to) = linked(&router, Attach::sender("to", "q"));
    let (mut rx, _) = linked(&router, Attach::receiver("of", "q"));
    let before = router.population();
    let sending = tx.send_stream(to, Envelope::default(), 0, NOW);
    let mut stream = delivery(&mut rx);
    let (mut connection, link) = taker(&router);
    let reader = stream.take_reader(Notify { mailbox: Arc::clone(connection.mailbox()), key: 0 });
    stream.move_to(&mut connection, link, NOW);
    drop(rx);
    assert!(outcomes(&mut tx).is_empty(), "it does without the one that it came to");
    drop(connection);
    assert_eq!(outcomes(&mut tx), [DeliveryState::failed()]);
    drop((sending, reader));
    let (_rx, _) = linked(&router, Attach::receiver("of", "q"));
    assert_eq!(router.population(), before);
}

#[test]
fn a_stream_that_is_gone_cannot_be_moved() {
    let router = router();
    let (mut tx, to) = linked(&router, Attach::sender("to", "q"));
    let (mut rx, _) = linked(&router, Attach::receiver("of", "q"));
    let _sending = tx.send_stream(to, Envelope::default(), 0, NOW);
    let stream = delivery(&mut rx);
    let id = stream.id();
    drop(rx);
    let (mut connection, link) = taker(&router);
    stream.move_to(&mut connection, link, NOW);
    let mut effects = Vec::new();
    connection.mailbox().take(&mut effects, &mut Vec::new());
    assert!(
        effects.iter().any(|e| matches!(e, crate::Effect::AbortOut { id: gone, .. } if *gone == id)),
        "{effects:?}"
    );
}

#[test]
fn a_stream_that_its_producer_drops_is_aborted_at_every_receiver() {
    let router = router();
    let (mut tx, to) = linked(&router, Attach::sender("to", "q"));
    let (mut rx, _) = linked(&router, Attach::receiver("of", "q"));
    let before = router.population();
    for finished in [false, true] {
        let sending = tx.send_stream(to, Envelope::default(), 0, NOW);
        let mut stream = delivery(&mut rx);
        let reader = stream.take_reader(rx.notify(0));
        let end = if finished {
            sending.finish(NOW);
            Pull::Done(Finish::Orderly)
        } else {
            drop(sending);
            Pull::Aborted
        };
        assert_eq!(reader.pull(usize::MAX, &mut VecDeque::new()), end);
        rx.settle(stream, DeliveryState::Accepted);
        rx.submit(NOW);
        let outcomes = outcomes(&mut tx);
        assert_eq!(outcomes.len(), usize::from(finished), "nobody is told of what he aborted: {outcomes:?}");
        assert_eq!(router.population(), before);
    }
}

#[test]
fn what_waits_for_nobody_is_told_in_the_first_turn() {
    let router = router();
    let (mut tx, to) = linked(&router, Attach::sender("to", "nobody"));
    let before = router.population();
    tx.send(to, message("m"), Envelope::default());
    let sending = tx.send_stream(to, Envelope::default(), 0, NOW);
    assert_eq!(outcomes(&mut tx), [DeliveryState::Released, DeliveryState::Released]);
    drop(sending);
    assert_eq!(router.population(), before);
    assert!(events(&mut tx).is_empty());
}
