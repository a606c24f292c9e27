//! What interior routers do for edge routers (spec `inter-router-protocol.md` 9.4 to 9.8).

use super::super::action::{Action, Direction};
use super::super::connection::ConnectionRole;
use super::super::effect::Push;
use super::edge::refusal;
use super::world::{NOW, Peer, message, router};
use crate::annotations::Annotations;
use crate::stream::Payload;
use crate::{LinkId, Router};
use amqp_core::message::{Body, Message, MessageBuilder};
use amqp_core::performative::DeliveryState;
use amqp_core::value::{Map, Value};
use bytes::Bytes;
use std::time::Duration;

const MESH: &str = "abcdefghijklmno";

fn announcement(mesh: &str) -> Payload {
    let properties = Map::new().with("meshid", mesh);
    Payload::One(MessageBuilder::new().application_properties(&properties).without_body())
}

/// What an edge router is told of addresses.
fn told(pushes: &[Push]) -> Vec<(String, bool)> {
    let read = |push: &Push| {
        let message = Message::decode(&[push.payload.contiguous()?]).ok()?;
        let Body::Value(Value::List(fields)) = message.body else { return None };
        Some((fields[0].as_str()?.to_owned(), fields[1].as_bool()?))
    };
    pushes.iter().filter_map(read).collect()
}

/// An edge router of a mesh, which hears of addresses, and the link on which it announces the mesh.
fn edge_in<'a>(router: &'a Router, mesh: &str) -> (Peer<'a>, LinkId) {
    let mut edge = Peer::with_role(router, ConnectionRole::Edge);
    let discovery = edge.sender("_$qd.mesh_discovery");
    edge.receiver("_$qd.edge_addr_tracking");
    edge.deliver(discovery, None, announcement(mesh), Annotations::default(), false);
    (edge, discovery)
}

#[test]
fn links_to_what_the_router_serves_itself_are_shown_with_its_address() {
    let router = router();
    edge_in(&router, MESH);
    let mut shown: Vec<_> = router.link_rows(NOW).into_iter().filter_map(|row| row.owning_address).collect();
    shown.sort();
    assert_eq!(shown, ["M_$qd.edge_addr_tracking", "M_$qd.mesh_discovery"]);
}

#[test]
fn edge_routers_are_told_of_consumers_that_they_cannot_reach_themselves() {
    let router = router();
    let mut edge = Peer::with_role(&router, ConnectionRole::Edge);
    let discovery = edge.sender("_$qd.mesh_discovery");
    edge.sender("q");
    edge.receiver("_$qd.edge_addr_tracking");
    edge.deliver(discovery, None, announcement(MESH), Annotations::default(), false);
    let own = edge.receiver("q");
    assert_eq!(told(&edge.pushes()), [], "its own consumer is in its mesh");
    let mut client = Peer::new(&router);
    let consumer = client.receiver("q");
    assert_eq!(told(&edge.pushes()), [("Mq".to_owned(), true)]);
    client.receiver("q");
    assert_eq!(told(&edge.pushes()), []);
    client.submit(Action::Closed);
    assert_eq!(told(&edge.pushes()), [("Mq".to_owned(), false)]);
    edge.detached(own);
    assert_eq!(told(&edge.pushes()), []);
    let _ = consumer;
}

#[test]
fn consumers_of_another_mesh_are_told_of() {
    let router = router();
    let mut edges = [MESH, "ABCDEFGHIJKLMNO"].map(|mesh| edge_in(&router, mesh));
    edges[0].0.sender("q");
    edges[1].0.receiver("q");
    assert_eq!(told(&edges[0].0.pushes()), [("Mq".to_owned(), true)]);
    let (other, discovery) = &mut edges[1];
    other.deliver(*discovery, None, announcement(MESH), Annotations::default(), false);
    assert_eq!(told(&edges[0].0.pushes()), [("Mq".to_owned(), false)], "they are in one mesh now");
    let rows = router.connection_rows(super::world::NOW);
    assert!(rows.iter().all(|row| row.mesh.as_deref() == Some(MESH)));
}

#[test]
fn an_edge_router_that_keeps_changing_its_mesh_does_not_keep_others_busy() {
    let router = router();
    let mut edges = [MESH, "ABCDEFGHIJKLMNO"].map(|mesh| edge_in(&router, mesh));
    edges[0].0.sender("q");
    edges[1].0.receiver("q");
    let [(producer, _), (consumer, discovery)] = &mut edges;
    let mut news = || {
        let pushes = producer.pushes();
        pushes.iter().for_each(|push| producer.answer(push, DeliveryState::Accepted, true));
        told(&pushes)
    };
    assert_eq!(news(), [("Mq".to_owned(), true)]);
    let mut heard = Vec::new();
    for n in 0..100 {
        let mesh = if n % 2 == 0 { MESH } else { "ABCDEFGHIJKLMNO" };
        consumer.deliver(*discovery, None, announcement(mesh), Annotations::default(), false);
        heard.extend(news());
    }
    assert!((1..=4).contains(&heard.len()), "{heard:?}");
    for mesh in ["another_mesh_00", "another_mesh_01", "ABCDEFGHIJKLMNO"] {
        consumer.deliver(*discovery, None, announcement(mesh), Annotations::default(), false);
    }
    assert_eq!(news(), []);
    let tick = || router.handle_timeout(router.poll_timeout() + Duration::from_secs(1));
    tick();
    assert_eq!(news(), [("Mq".to_owned(), true)], "of the last one they are told");
    (0..8).for_each(|_| tick());
    consumer.deliver(*discovery, None, announcement(MESH), Annotations::default(), false);
    assert_eq!(news(), [("Mq".to_owned(), false)], "at once again");
}

#[test]
fn messages_do_not_go_back_to_the_mesh_that_they_came_from() {
    let router = router();
    let mut edge = Peer::with_role(&router, ConnectionRole::Edge);
    let discovery = edge.sender("_$qd.mesh_discovery");
    edge.deliver(discovery, None, announcement(MESH), Annotations::default(), false);
    edge.receiver("q");
    let mut client = Peer::new(&router);
    let anonymous = client.attach(Direction::In, None);
    let from = |mesh: &'static str| Annotations {
        ingress_mesh: Some(Bytes::from_static(mesh.as_bytes())),
        ..Annotations::default()
    };
    assert!(client.deliver(anonymous, Some("q"), message(), from(MESH), false).is_none());
    assert!(edge.pushes().is_empty());
    client.deliver(anonymous, Some("q"), message(), from("ABCDEFGHIJKLMNO"), false).expect("remembered");
    assert_eq!(edge.pushes().len(), 1);
}

#[test]
fn services_for_edge_routers_are_for_them_alone() {
    let router = router();
    let (mut client, mut edge) = (Peer::new(&router), Peer::with_role(&router, ConnectionRole::Edge));
    assert_eq!(refusal(&mut client, Direction::Out, "_$qd.edge_addr_tracking"), "qd:connection-role");
    assert_eq!(refusal(&mut client, Direction::In, "_$qd.mesh_discovery"), "qd:connection-role");
    assert_eq!(refusal(&mut edge, Direction::In, "_$qd.edge_addr_tracking"), "amqp:not-implemented");
    assert_eq!(refusal(&mut edge, Direction::Out, "_$qd.mesh_discovery"), "amqp:not-implemented");
}

#[test]
fn what_is_for_an_edge_router_is_not_for_clients() {
    let router = router();
    let mut client = Peer::new(&router);
    assert_eq!(refusal(&mut client, Direction::Out, "_edge/E1/x"), "qd:no-route-to-dest");
    client.sender("_edge/E1/x");
    let mut edge = Peer::with_role(&router, ConnectionRole::Edge);
    assert_eq!(refusal(&mut edge, Direction::Out, "_edge/E2/x"), "qd:no-route-to-dest");
}

#[test]
fn an_edge_router_that_does_not_answer_is_not_told_more_than_it_takes() {
    let router = router();
    let mut edge = Peer::with_role(&router, ConnectionRole::Edge);
    edge.receiver("_$qd.edge_addr_tracking");
    let addresses: Vec<String> = (0..300).map(|n| format!("q{n}")).collect();
    addresses.iter().for_each(|address| _ = edge.sender(address));
    let mut client = Peer::new(&router);
    let before: Vec<Push> = edge.pushes();
    addresses.iter().for_each(|address| _ = client.receiver(address));
    let first = edge.pushes();
    assert!(before.is_empty() && first.len() < 200, "{}", first.len());
    let mut all = told(&first);
    let mut next = first;
    while !next.is_empty() {
        for push in &next {
            edge.answer(push, DeliveryState::Accepted, true);
        }
        next = edge.pushes();
        all.extend(told(&next));
    }
    all.sort();
    all.dedup();
    assert_eq!(all.len(), addresses.len());
}

#[test]
fn an_edge_router_that_asks_again_is_told_all_again() {
    let router = router();
    let mut edge = Peer::with_role(&router, ConnectionRole::Edge);
    edge.sender("q");
    edge.receiver("_$qd.edge_addr_tracking");
    let mut client = Peer::new(&router);
    client.receiver("q");
    assert_eq!(told(&edge.pushes()), [("Mq".to_owned(), true)]);
    edge.attach_unanswered(Direction::Out, Some("_$qd.edge_addr_tracking"));
    assert_eq!(told(&edge.pushes()), [("Mq".to_owned(), true)]);
}

/// Tracking goes by address: what was told of a proxy would else count for the one that takes its place.
#[test]
fn what_was_told_of_a_link_is_taken_back_as_it_goes() {
    let router = router();
    let (mut edge, _) = edge_in(&router, MESH);
    let proxy = edge.sender("q");
    let mut client = Peer::new(&router);
    client.receiver("q");
    assert_eq!(told(&edge.pushes()), [("Mq".to_owned(), true)]);
    edge.detached(proxy);
    assert_eq!(told(&edge.pushes()), [("Mq".to_owned(), false)]);
}

/// It answers nothing for a while, so there is no room to take anything back.
#[test]
fn an_edge_router_that_could_not_be_told_of_the_end_is_told_at_the_next_link() {
    let router = router();
    let (mut edge, _) = edge_in(&router, MESH);
    let mut client = Peer::new(&router);
    let keys: Vec<String> = (0..1_100).map(|n| format!("other{n}")).collect();
    let proxy = edge.sender("q");
    for key in &keys {
        edge.sender(key);
    }
    let consumer = client.receiver("q");
    for key in &keys {
        client.receiver(key);
    }
    let mut pushes = edge.pushes();
    assert!(pushes.len() < keys.len(), "there is no more room");
    edge.detached(proxy);
    client.detached(consumer);
    edge.sender("q");
    let mut believes = false;
    while !pushes.is_empty() {
        for push in std::mem::take(&mut pushes) {
            told(std::slice::from_ref(&push)).iter().filter(|(key, _)| key == "Mq").for_each(|(_, is)| believes = *is);
            edge.answer(&push, DeliveryState::Accepted, true);
        }
        pushes.extend(edge.pushes());
    }
    assert!(!believes, "nobody consumes it");
}
