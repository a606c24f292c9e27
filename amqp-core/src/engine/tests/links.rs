//! Sessions, links, credit, drain and settlement.

use super::super::*;
use super::pair::{Pair, messages, updates};
use crate::performative::{DeliveryState, Disposition, Error, Modified, Role};
use crate::value::{Map, Symbol, Value};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;

fn error(text: &str) -> Option<Box<Error>> {
    Some(Box::new(Error { condition: Symbol::from(text.to_owned()), description: None, info: None }))
}

#[test]
fn attach_both_ways_and_detach() {
    let mut pair = Pair::opened();
    let (ours, theirs) = pair.link(Role::Sender);
    assert!(pair.client.is_attached(ours) && pair.server.is_attached(theirs));
    assert!(matches!(pair.to_client.last(), Some(Event::Attached { .. })));
    pair.server.detach(theirs, error("amqp:not-found"));
    pair.run();
    assert!(matches!(pair.to_client.last(), Some(Event::Detached { error: Some(_), .. })));
    assert!(!pair.to_server.iter().any(|e| matches!(e, Event::Detached { .. })));
    assert_eq!((pair.client.link_count(), pair.server.link_count()), (0, 0));
    // The server can attach on a session that the client began.
    let session = pair.to_server.iter().find_map(|e| if let Event::Begun(s) = e { Some(*s) } else { None }).unwrap();
    let params =
        AttachParams { name: "back".into(), role: Role::Sender, source: None, target: None, snd_settle_mode: 2 };
    assert!(pair.server.attach(session, params).is_some());
    pair.run();
    let Some(Event::Attach { link, .. }) = pair.to_client.last() else { panic!() };
    pair.client.answer_attach(*link, AttachAnswer::default());
    pair.run();
    assert!(matches!(pair.to_server.last(), Some(Event::Attached { .. })));
}

#[test]
fn pipelined_attach_and_detach_is_answered_late() {
    let mut pair = Pair::opened();
    pair.answer = false;
    let session = pair.client.begin_session().unwrap();
    for _ in 0..3 {
        let params =
            AttachParams { name: "flap".into(), role: Role::Sender, source: None, target: None, snd_settle_mode: 2 };
        let link = pair.client.attach(session, params).unwrap();
        pair.run();
        pair.client.detach(link, None);
        pair.run();
        assert!(matches!(pair.to_server.last(), Some(Event::Detached { .. })));
        let Some(Event::Attach { link, .. }) = pair.to_server.iter().rev().find(|e| matches!(e, Event::Attach { .. }))
        else {
            panic!()
        };
        pair.server.answer_attach(*link, AttachAnswer::default());
        pair.run();
        assert_eq!((pair.client.link_count(), pair.server.link_count()), (0, 0));
    }
}

#[test]
fn names_are_per_direction_and_session() {
    let mut pair = Pair::opened();
    let session = pair.client.begin_session().unwrap();
    pair.link_on(session, Role::Sender, "n");
    pair.link_on(session, Role::Receiver, "n");
    let other = pair.client.begin_session().unwrap();
    pair.link_on(other, Role::Sender, "n");
    let params = AttachParams { name: "n".into(), role: Role::Sender, source: None, target: None, snd_settle_mode: 2 };
    assert!(pair.client.attach(session, params).is_none());
    assert_eq!(pair.server.link_count(), 3);
}

#[test]
fn end_takes_the_links_along() {
    let mut pair = Pair::opened();
    let session = pair.client.begin_session().unwrap();
    let (ours, theirs) = pair.link_on(session, Role::Sender, "a");
    pair.link_on(session, Role::Receiver, "b");
    pair.client.end_session(session, None);
    pair.run();
    let gone = pair.to_server.iter().filter(|e| matches!(e, Event::Detached { .. })).count();
    assert_eq!(gone, 2);
    let names = |events: &[Event]| match events.last() {
        Some(Event::Ended { links, .. }) => links.iter().map(|name| name.to_string()).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(names(&pair.to_server), ["a", "b"]);
    assert!(names(&pair.to_client).is_empty(), "the end was ours");
    assert_eq!((pair.client.link_count(), pair.server.link_count()), (0, 0));
    assert_eq!((pair.client.session_count(), pair.server.session_count()), (0, 0));
    // Stale keys do nothing.
    pair.server.detach(theirs, None);
    pair.server.grant_credit(theirs, 5);
    pair.client.detach(ours, None);
    assert!(!pair.client.can_start(ours));
    pair.run();
}

#[test]
fn flapping_leaks_nothing() {
    let mut pair = Pair::opened();
    for _ in 0..100 {
        let session = pair.client.begin_session().unwrap();
        let (ours, theirs) = pair.link_on(session, Role::Sender, "flap");
        pair.server.grant_credit(theirs, 10);
        pair.run();
        pair.send_one(ours, 1, false, b"x");
        pair.client.detach(ours, None);
        pair.client.end_session(session, None);
        pair.run();
    }
    assert_eq!((pair.server.session_count(), pair.server.link_count()), (0, 0));
    assert!(pair.server.sessions.capacity() <= 4 && pair.server.links.capacity() <= 4);
    assert!(pair.server.names.is_empty());
}

#[test]
fn credit_is_gathered_and_used() {
    let mut pair = Pair::opened();
    let (ours, theirs) = pair.link(Role::Sender);
    assert!(!pair.client.can_start(ours));
    pair.server.grant_credit(theirs, 1);
    pair.server.grant_credit(theirs, 1);
    pair.run();
    let flows: Vec<_> = pair.to_client.iter().filter(|e| matches!(e, Event::Flow { .. })).collect();
    assert!(matches!(flows[..], [Event::Flow { credit: 2, drain: false, .. }]), "{flows:?}");
    assert_eq!(pair.send_one(ours, 1, true, b"one"), Sent::Done);
    assert_eq!(pair.send_one(ours, 2, false, b"two"), Sent::Done);
    assert!(!pair.client.can_start(ours));
    pair.run();
    assert_eq!(messages(&pair.to_server), [(b"one".to_vec(), true, false), (b"two".to_vec(), false, false)]);
    assert_eq!(pair.server.credit(theirs), 0);
    // A grant that crosses transfers on the way adds up.
    pair.server.grant_credit(theirs, 5);
    pair.run();
    assert_eq!(pair.client.credit(ours), 5);
}

#[test]
fn drain_is_answered_each_time() {
    let mut pair = Pair::opened();
    let (ours, theirs) = pair.link(Role::Sender);
    for granted in [10, 0, 3] {
        pair.to_server.clear();
        pair.server.grant_credit(theirs, granted);
        pair.server.set_drain(theirs, true);
        pair.run();
        assert!(matches!(pair.to_client.last(), Some(Event::Flow { drain: true, credit, .. }) if *credit == granted));
        if granted > 3 {
            pair.send_one(ours, 1, true, b"x");
        }
        pair.client.drained(ours);
        pair.run();
        assert!(matches!(pair.to_server.last(), Some(Event::Drained { .. })), "{:?}", pair.to_server);
        assert_eq!((pair.client.credit(ours), pair.server.credit(theirs)), (0, 0));
    }
    pair.server.set_drain(theirs, false);
    pair.server.grant_credit(theirs, 2);
    pair.run();
    assert!(matches!(pair.to_client.last(), Some(Event::Flow { drain: false, credit: 2, .. })));
}

#[test]
fn outcomes_and_second_acks() {
    let mut pair = Pair::opened();
    let (ours, theirs) = pair.link(Role::Sender);
    pair.server.grant_credit(theirs, 10);
    pair.run();
    for n in 0..3 {
        pair.send_one(ours, n + 1, false, b"m");
    }
    pair.run();
    let keys: Vec<_> = pair
        .to_server
        .iter()
        .filter_map(|e| if let Event::Transfer(t) = e { Some(t.delivery) } else { None })
        .collect();
    // Accepted but not settled; the sender settles.
    pair.server.update_in(keys[0], Some(DeliveryState::Accepted), false);
    let rejected = DeliveryState::Rejected(error("x:y").map(Into::into));
    pair.server.update_in(keys[1], Some(rejected.clone()), true);
    pair.run();
    assert_eq!(pair.client_updates(), [(1, Some(DeliveryState::Accepted), false), (2, Some(rejected), true)]);
    assert!(pair.client.update_out(ours, 1, None, true));
    assert!(!pair.client.update_out(ours, 2, None, true));
    assert!(pair.client.update_out(ours, 3, Some(DeliveryState::Released), true));
    pair.run();
    assert_eq!(updates(&pair.to_server), [(1000, None, true), (1002, Some(DeliveryState::Released), true)]);
    pair.server.forget_in(keys[0]);
    pair.server.forget_in(keys[2]);
    pair.server.update_in(keys[2], None, true);
    assert!(pair.server.links.iter().all(|(_, l)| l.unsettled == 0));
    assert!(pair.client.links.iter().all(|(_, l)| l.unsettled == 0));
}

#[test]
fn dispositions_travel_as_ranges() {
    let mut pair = Pair::opened();
    let (ours, theirs) = pair.link(Role::Sender);
    pair.server.grant_credit(theirs, 100);
    pair.run();
    for n in 0..50 {
        pair.send_one(ours, n, false, b"m");
    }
    pair.run();
    let mut keys: Vec<_> = pair
        .to_server
        .iter()
        .filter_map(|e| if let Event::Transfer(t) = e { Some(t.delivery) } else { None })
        .collect();
    keys.reverse();
    keys.swap(10, 30);
    pair.server.set_trace(true);
    for key in keys {
        pair.server.update_in(key, Some(DeliveryState::Accepted), true);
    }
    pair.run();
    let lines = pair.server.take_trace();
    let dispositions: Vec<_> = lines.iter().filter(|l| l.contains("@disposition")).collect();
    assert_eq!(
        dispositions,
        ["0 -> @disposition(21) [role=true, first=0x0, last=0x31, settled=true, state=@accepted(36) []]"]
    );
    assert_eq!(pair.client_updates().len(), 50);
    assert!(pair.client_updates().iter().enumerate().all(|(n, u)| u.0 == n as u64));
}

#[test]
fn deliveries_of_a_range_share_its_state() {
    let mut pair = Pair::opened();
    let (ours, theirs) = pair.link(Role::Sender);
    pair.server.grant_credit(theirs, 5);
    pair.run();
    for token in 0..5 {
        pair.send_one(ours, token, false, b"x");
    }
    pair.run();
    let annotations = Map((0..1000).map(|n| (Value::Uint(n), Value::Null)).collect());
    let modified = Modified { message_annotations: Some((&annotations).into()), ..Modified::default() };
    let state = Some(DeliveryState::Modified(Arc::new(modified)));
    let disposition =
        Disposition { role: Role::Receiver, first: 0, last: Some(4), settled: true, state, batchable: false };
    pair.client.receive(super::pair::encode(0, disposition));
    pair.run();
    let states: Vec<_> = pair
        .to_client
        .iter()
        .filter_map(|e| match e {
            Event::Update(Update { state: Some(DeliveryState::Modified(m)), .. }) => Some(m),
            _ => None,
        })
        .collect();
    assert!(states.len() == 5 && states.iter().all(|state| Arc::ptr_eq(state, states[0])));
}

#[test]
fn detach_forgets_deliveries() {
    let mut pair = Pair::opened();
    let session = pair.client.begin_session().unwrap();
    let (a, their_a) = pair.link_on(session, Role::Sender, "a");
    let (b, their_b) = pair.link_on(session, Role::Sender, "b");
    pair.server.grant_credit(their_a, 10);
    pair.server.grant_credit(their_b, 10);
    pair.run();
    for n in 0..10 {
        pair.send_one(if n % 2 == 0 { a } else { b }, n, false, b"m");
    }
    pair.run();
    pair.client.detach(a, None);
    pair.run();
    let s = pair.client.sessions.iter().next().unwrap().1;
    assert_eq!(s.outgoing.len(), 5);
    let s = pair.server.sessions.iter().next().unwrap().1;
    assert_eq!(s.incoming.len(), 5);
}

#[test]
fn echo_is_answered() {
    let mut pair = Pair::opened();
    let (ours, _) = pair.link(Role::Sender);
    let flow = crate::performative::Flow {
        next_incoming_id: Some(0),
        incoming_window: 10,
        handle: Some(0),
        delivery_count: Some(0),
        link_credit: Some(7),
        echo: true,
        ..Default::default()
    };
    pair.client.set_trace(true);
    pair.client.receive(super::pair::encode(0, flow));
    pair.run();
    assert_eq!(pair.client.credit(ours), 7);
    let lines = pair.client.take_trace();
    assert!(lines.iter().any(|l| l.contains("-> @flow(19)") && l.contains("handle=0x0")), "{lines:?}");
}

#[test]
fn idle_link_is_lean() {
    let mut pair = Pair::opened();
    let (ours, theirs) = pair.link(Role::Sender);
    pair.server.grant_credit(theirs, 1000);
    pair.run();
    for n in 0..500 {
        pair.client.start(ours, Outgoing { tag: n, settled: false, state: None, token: n });
        let mut payload = VecDeque::from([Bytes::from(vec![0; 2000])]);
        pair.client.send(ours, &mut payload, Some(false), usize::MAX);
        pair.run();
    }
    let keys: Vec<_> = pair
        .to_server
        .iter()
        .filter_map(|e| if let Event::Transfer(t) = e { Some(t.delivery) } else { None })
        .collect();
    for key in keys {
        pair.server.update_in(key, Some(DeliveryState::Accepted), true);
    }
    pair.run();
    let s = pair.server.sessions.iter().next().unwrap().1;
    assert_eq!(s.incoming.len(), 0);
    assert!(size_of::<session::Session>() + size_of::<link::Link>() < 1024);
    assert!(s.pending.capacity() <= 16);
}
