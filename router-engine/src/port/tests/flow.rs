//! Credit and drain.

use super::super::{PortState, limits};
use super::world::{World, message};
use amqp_core::engine::{AttachParams, Event, LinkKey, SessionKey};
use amqp_core::frame::{FrameType, finish_frame, start_frame};
use amqp_core::performative::{Flow, Performative, Role, Source};
use bytes::{Bytes, BytesMut};
use std::time::Duration;

/// A flow on channel 0.
fn frame(flow: Flow) -> Bytes {
    let mut out = BytesMut::new();
    let open = start_frame(&mut out, FrameType::Amqp, 0);
    Performative::Flow(flow).encode(&mut out);
    finish_frame(&mut out, open, 0);
    out.freeze()
}

#[test]
fn no_consumer_no_credit() {
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    let sender = world.sender(a, Some("q"));
    assert_eq!(world.at(a).engine.credit(sender), 0);
    world.receiver(b, "q", 10);
    assert_eq!(world.at(a).engine.credit(sender), 10);
}

#[test]
fn peer_drains_after_messages() {
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    let receiver = world.receiver(b, "q", 0);
    let sender = world.sender(a, Some("q"));
    for n in 0..3 {
        world.at(a).send(sender, n, true, message(None, 10));
    }
    world.run();
    for (credit, left) in [(2, 1), (5, 0), (0, 0), (4, 0)] {
        world.at(b).events.clear();
        world.at(b).engine.grant_credit(receiver, credit);
        world.at(b).engine.set_drain(receiver, true);
        world.run();
        let drained = world.at(b).events.iter().filter(|e| matches!(e, Event::Drained { .. })).count();
        assert_eq!(drained, 1, "after {credit} credits, {left} left");
        assert_eq!(world.at(b).engine.credit(receiver), 0);
    }
    world.at(b).engine.set_drain(receiver, false);
    world.at(b).engine.grant_credit(receiver, 4);
    world.run();
    world.at(a).send(sender, 9, true, message(None, 10));
    world.run();
    assert_eq!(world.at(b).engine.credit(receiver), 3);
}

/// A receiver with one credit and a shut window, and a message that waits for it.
fn behind_a_shut_window() -> (World, usize, LinkKey, SessionKey) {
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    let receiver = world.receiver(b, "q", 0);
    let sender = world.sender(a, Some("q"));
    let session = world.at(b).engine.link_session(receiver).unwrap();
    world.at(b).engine.keep(session, 64);
    world.at(b).engine.grant_credit(receiver, 1);
    world.at(a).send(sender, 1, true, message(None, 10));
    world.run();
    assert!(world.at(b).deliveries().is_empty());
    (world, b, receiver, session)
}

#[test]
fn a_message_that_waits_for_the_window_comes_before_the_drain_is_answered() {
    let (mut world, b, receiver, session) = behind_a_shut_window();
    world.at(b).engine.set_drain(receiver, true);
    world.run();
    assert!(!world.at(b).events.iter().any(|e| matches!(e, Event::Drained { .. })));
    world.at(b).engine.consume(session, 64);
    world.run();
    let last: Vec<_> = world.at(b).events.iter().rev().take(2).collect();
    assert!(matches!(last[..], [Event::Drained { .. }, Event::Transfer(_)]), "{last:?}");
}

#[test]
fn a_message_that_waits_for_the_window_does_not_go_out_without_credit() {
    let (mut world, b, ..) = behind_a_shut_window();
    let key = world.at(b).port.links.get(0).unwrap().key;
    let credit = |link_credit| Flow {
        next_incoming_id: Some(0),
        incoming_window: 64,
        handle: Some(0),
        delivery_count: Some(0),
        link_credit: Some(link_credit),
        ..Flow::default()
    };
    // The engine of the client does not take credit back.
    world.at(b).port.receive(frame(credit(0)));
    world.run();
    assert_eq!(world.at(b).port.engine.credit(key), 0);
    assert!(world.at(b).deliveries().is_empty());
    world.at(b).port.receive(frame(credit(1)));
    world.run();
    assert_eq!(world.at(b).deliveries().len(), 1);
}

#[test]
fn router_drains_a_sender_without_consumers() {
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    let receiver = world.receiver(b, "q", 10);
    let sender = world.sender(a, Some("q"));
    world.at(b).engine.detach(receiver, None);
    world.run();
    assert_eq!(world.at(a).engine.credit(sender), 10);
    world.at(a).send(sender, 1, false, message(None, 10));
    world.run();
    let drain = world.at(a).events.iter().rev().find_map(|e| match e {
        Event::Flow { credit, drain, .. } => Some((*credit, *drain)),
        _ => None,
    });
    assert_eq!(drain, Some((9, true)));
    world.at(a).engine.drained(sender);
    world.run();
    world.receiver(b, "q", 10);
    assert_eq!(world.at(a).engine.credit(sender), 10);
    let drain = world.at(a).events.iter().rev().find_map(|e| match e {
        Event::Flow { drain, .. } => Some(*drain),
        _ => None,
    });
    assert_eq!(drain, Some(false));
}

#[test]
fn an_answer_to_a_drain_may_cross_new_credit() {
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    let receiver = world.receiver(b, "q", 10);
    let sender = world.sender(a, Some("q"));
    world.at(b).engine.detach(receiver, None);
    world.run();
    world.at(a).send(sender, 1, false, message(None, 10));
    world.run();
    world.receiver(b, "q", 10);
    let key = world.at(a).port.links.get(0).unwrap().key;
    assert_eq!(world.at(a).port.engine.credit(key), 10);
    // Sent before the new credit was seen: one message, and nine credits that are given up.
    let flow = Flow {
        next_incoming_id: Some(0),
        handle: Some(0),
        delivery_count: Some(10),
        link_credit: Some(0),
        drain: true,
        ..Flow::default()
    };
    world.at(a).port.receive(frame(flow));
    world.run();
    assert_eq!(world.at(a).port.engine.credit(key), 10);
}

#[test]
fn answers_that_are_not_read_cannot_fill_the_memory() {
    let mut world = World::new();
    let a = world.client();
    let session = world.at(a).engine.begin_session().unwrap();
    world.run();
    world.at(a).stalled = true;
    // Filters are echoed.
    let filter = Some("x".repeat(15_000).into());
    let source = Source { address: Some("q".into()), filter, ..Source::default() };
    for n in 0.. {
        let params = AttachParams {
            name: format!("l{n}"),
            role: Role::Receiver,
            source: Some(source.clone().into()),
            target: None,
            snd_settle_mode: 2,
        };
        let link = world.at(a).engine.attach(session, params).unwrap();
        world.at(a).engine.detach(link, None);
        world.run();
        let waiting = world.at(a).port.output().len();
        assert!(waiting < limits::UNREAD_MAX + 100_000, "{waiting} octets wait");
        if world.at(a).port.core_closed {
            assert!(waiting > limits::UNREAD_MAX);
            break;
        }
    }
    // The peer does not answer the close either.
    let late = world.now + Duration::from_secs(11);
    let port = &mut world.at(a).port;
    port.handle_timeout(late);
    port.turn(late);
    let PortState::Closing(Some(error)) = port.state() else { panic!("{:?}", port.state()) };
    assert_eq!(error.condition, "amqp:resource-limit-exceeded");
}

#[test]
fn early_credit_counts() {
    // A peer that pipelines attach and flow.
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    let sender_session = world.at(b).engine.begin_session().unwrap();
    let params = AttachParams {
        name: "early".into(),
        role: Role::Receiver,
        source: Some(Box::new(Source { address: Some("q".into()), ..Default::default() })),
        target: None,
        snd_settle_mode: 2,
    };
    let link = world.at(b).engine.attach(sender_session, params).unwrap();
    world.at(b).engine.grant_credit(link, 3);
    world.run();
    let sender = world.sender(a, Some("q"));
    for n in 0..5 {
        world.at(a).send(sender, n, true, message(None, 10));
    }
    world.run();
    assert_eq!(world.at(b).deliveries().len(), 3);
}
