//! Credit and drain.

use super::world::{World, message};
use amqp_core::engine::Event;

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
fn early_credit_counts() {
    // A peer that pipelines attach and flow.
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    let sender_session = world.at(b).engine.begin_session().unwrap();
    let params = amqp_core::engine::AttachParams {
        name: "early".into(),
        role: amqp_core::performative::Role::Receiver,
        source: Some(Box::new(amqp_core::performative::Source { address: Some("q".into()), ..Default::default() })),
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
