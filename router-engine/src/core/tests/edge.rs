//! Edge routers, and what interior routers do for them (spec `inter-router-protocol.md` section 9).

use super::super::AddressConfig;
use super::super::Mode;
use super::super::Router;
use super::super::action::{Action, Direction};
use super::super::connection::ConnectionRole;
use super::super::effect::{AttachOut, Effect, Push};
use super::super::ids::LinkId;
use super::world::{Peer, message, router, router_of};
use crate::annotations::Annotations;
use crate::forward::Treatment;
use crate::stream::Payload;
use amqp_core::message::{Body, Message, MessageBuilder};
use amqp_core::performative::DeliveryState;
use amqp_core::value::{Map, Value};
use bytes::Bytes;

const MESH: &str = "abcdefghijklmno";

pub(super) fn uplink<'a>(router: &'a Router, ordinal: impl Into<Option<u64>>) -> Peer<'a> {
    Peer::of_edge(router, ConnectionRole::Edge, "A", ordinal.into())
}

/// An edge router that is connected to an interior one, and that connection, set up.
pub(super) fn edge(router: &Router) -> (Peer<'_>, Vec<AttachOut>) {
    let mut up = uplink(router, None);
    let links = up.answer_attaches();
    (up, links)
}

pub(super) fn addresses(attaches: &[AttachOut]) -> Vec<(Direction, Option<String>)> {
    let node = |attach: &AttachOut| match attach.direction {
        Direction::In => attach.source.address.clone(),
        Direction::Out => attach.target.address.clone(),
    };
    attaches.iter().map(|attach| (attach.direction, node(attach))).collect()
}

pub(super) fn detached(peer: &Peer<'_>) -> Vec<LinkId> {
    peer.effects().iter().filter_map(|e| if let Effect::Detach { link, .. } = e { Some(*link) } else { None }).collect()
}

fn tracked(key: &str, reachable: bool) -> Payload {
    Payload::One(MessageBuilder::new().value(Value::List(vec![Value::from(key.to_owned()), Value::Bool(reachable)])))
}

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

fn refusal(peer: &mut Peer<'_>, direction: Direction, address: &str) -> String {
    peer.attach_unanswered(direction, Some(address));
    let reply = peer.effects().into_iter().find_map(|e| match e {
        Effect::AttachReply(reply) => Some(reply.link),
        _ => None,
    });
    let error = reply.expect("a reply").expect_err("refused");
    error.condition.as_str().to_owned()
}

#[test]
fn an_uplink_has_its_standing_links() {
    let router = router_of(Mode::Edge);
    let (up, links) = edge(&router);
    let named = |text: &str| Some(text.to_owned());
    assert_eq!(
        addresses(&links),
        [
            (Direction::Out, named("_$qd.mesh_discovery")),
            (Direction::Out, None),
            (Direction::In, named("R")),
            (Direction::In, named("_$qd.edge_addr_tracking")),
        ]
    );
    let anonymous: Vec<bool> = links.iter().map(|link| link.anonymous).collect();
    assert_eq!(anonymous, [false, false, true, false]);
    assert_eq!(up.pushes().len(), 0, "the announcement of the mesh came with the attaches");
    assert_eq!(router.uplink(), Some(up.conn.id));
}

#[test]
fn another_connection_takes_over_when_the_uplink_is_lost() {
    let router = router_of(Mode::Edge);
    let (mut first, _) = edge(&router);
    let (mut second, mut third) = (uplink(&router, None), uplink(&router, None));
    assert!(second.answer_attaches().is_empty() && third.answer_attaches().is_empty());
    first.submit(Action::Closed);
    assert_eq!(second.answer_attaches().len(), 4);
    assert!(third.answer_attaches().is_empty());
    assert_eq!(router.uplink(), Some(second.conn.id));
}

#[test]
fn newer_credentials_take_the_uplink_over_and_nothing_falls_back_to_clear_text() {
    let router = router_of(Mode::Edge);
    let mut first = uplink(&router, 1);
    assert_eq!(first.answer_attaches().len(), 4);
    let mut clear = uplink(&router, None);
    let mut newer = uplink(&router, 2);
    assert!(clear.answer_attaches().is_empty());
    assert_eq!((detached(&first).len(), newer.answer_attaches().len()), (4, 4));
    newer.submit(Action::Closed);
    assert_eq!(router.uplink(), Some(first.conn.id));
    first.submit(Action::Closed);
    assert_eq!(router.uplink(), None);
}

#[test]
fn links_at_the_interior_stand_for_clients() {
    let router = router_of(Mode::Edge);
    let (mut up, standing) = edge(&router);
    let (mut one, mut two) = (Peer::new(&router), Peer::new(&router));
    let consumer = one.receiver("c");
    let again = two.receiver("c");
    two.sender("p");
    let proxies = up.answer_attaches();
    let named = |text: &str| Some(text.to_owned());
    assert_eq!(addresses(&proxies), [(Direction::In, named("c")), (Direction::Out, named("p"))]);
    one.detached(consumer);
    assert!(detached(&up).is_empty());
    two.detached(again);
    assert_eq!(detached(&up), [proxies[0].link]);
    assert!(!standing.iter().any(|link| link.link == proxies[0].link));
}

#[test]
fn what_is_produced_goes_up_while_somebody_consumes_it_there() {
    let router = router_of(Mode::Edge);
    let (mut up, standing) = edge(&router);
    let mut client = Peer::new(&router);
    let link = client.sender("p");
    let proxy = up.answer_attaches()[0].link;
    let tracking = standing[3].link;
    client.send(link);
    assert_eq!(client.outcomes(), [(Some(DeliveryState::Released), true)]);
    up.deliver(tracking, None, tracked("Mp", true), Annotations::default(), false);
    assert_eq!(up.outcomes(), [(Some(DeliveryState::Accepted), true)]);
    client.send(link).expect("remembered");
    let push = up.push();
    assert_eq!(push.link, proxy);
    assert_eq!(push.annotations.to_override.as_deref(), Some(b"p".as_slice()));
    assert_eq!(push.annotations.ingress_mesh.map(|mesh| mesh.len()), Some(15));
    up.deliver(tracking, None, tracked("Mp", false), Annotations::default(), false);
    client.send(link);
    assert!(up.pushes().is_empty());
    up.deliver(tracking, None, message(), Annotations::default(), false);
    assert!(matches!(up.outcomes()[..], [.., (Some(DeliveryState::Rejected(_)), true)]));
}

#[test]
fn what_is_not_known_goes_up_and_never_comes_back_up() {
    let router = router_of(Mode::Edge);
    let (mut up, standing) = edge(&router);
    let mut client = Peer::new(&router);
    let anonymous = client.attach(Direction::In, None);
    client.deliver(anonymous, Some("nowhere"), message(), Annotations::default(), false).expect("remembered");
    assert_eq!(up.push().link, standing[1].link);
    let down = standing[2].link;
    up.deliver(down, Some("nowhere"), message(), Annotations::default(), false);
    assert_eq!(up.outcomes(), [(Some(DeliveryState::Released), true)]);
    let topological = client.sender("_topo/0/A/$management");
    client.send(topological).expect("remembered");
    assert_eq!(up.push().link, standing[1].link);
    assert_eq!(refusal(&mut client, Direction::Out, "_topo/0/A/x"), "qd:no-route-to-dest");
}

#[test]
fn what_nobody_takes_here_is_tried_upwards() {
    let router = router_of(Mode::Edge);
    let (up, standing) = edge(&router);
    let (mut client, mut consumer) = (Peer::new(&router), Peer::new(&router));
    consumer.receiver("c");
    let anonymous = client.attach(Direction::In, None);
    client.send_resend(anonymous, "c", message());
    consumer.answer(&consumer.push(), DeliveryState::Released, true);
    let up = up.pushes();
    assert_eq!(up.last().map(|push| push.link), Some(standing[1].link));
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
    let mut edges = [MESH, "ABCDEFGHIJKLMNO"].map(|mesh| {
        let mut edge = Peer::with_role(&router, ConnectionRole::Edge);
        let discovery = edge.sender("_$qd.mesh_discovery");
        edge.receiver("_$qd.edge_addr_tracking");
        edge.deliver(discovery, None, announcement(mesh), Annotations::default(), false);
        (edge, discovery)
    });
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
    let mut edges = [MESH, "ABCDEFGHIJKLMNO"].map(|mesh| {
        let mut edge = Peer::with_role(&router, ConnectionRole::Edge);
        let discovery = edge.sender("_$qd.mesh_discovery");
        edge.receiver("_$qd.edge_addr_tracking");
        edge.deliver(discovery, None, announcement(mesh), Annotations::default(), false);
        (edge, discovery)
    });
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
    router.handle_timeout(router.poll_timeout());
    assert_eq!(news(), [("Mq".to_owned(), true)], "of the last one they are told");
    for _ in 0..8 {
        router.handle_timeout(router.poll_timeout());
    }
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
fn edge_routers_reach_each_other_directly() {
    let router = router_of(Mode::Edge);
    let mut peer = Peer::of_edge(&router, ConnectionRole::InterEdge, "E2", None);
    let standing = peer.answer_attaches();
    let named = |text: &str| Some(text.to_owned());
    assert_eq!(addresses(&standing), [(Direction::Out, None), (Direction::Out, named("_$qd.mesh_id_negotiation"))]);
    let mut spare = Peer::of_edge(&router, ConnectionRole::InterEdge, "E2", None);
    assert!(spare.answer_attaches().is_empty());
    let mut client = Peer::new(&router);
    client.receiver("c");
    assert_eq!(addresses(&peer.answer_attaches()), [(Direction::In, named("c"))]);
    let anonymous = client.attach(Direction::In, None);
    peer.pushes();
    client.deliver(anonymous, Some("_edge/E2/x"), message(), Annotations::default(), false).expect("remembered");
    assert_eq!(peer.push().link, standing[0].link);
    client.deliver(anonymous, Some("_edge/E20/x"), message(), Annotations::default(), false);
    assert!(peer.pushes().is_empty(), "E20 is somebody else");
    peer.submit(Action::Closed);
    assert_eq!(spare.answer_attaches().len(), 3, "the other connection stands in for it");
}

#[test]
fn what_the_interior_refuses_is_not_asked_for_again_and_again() {
    let router = router_of(Mode::Edge);
    let (mut up, _) = edge(&router);
    let mut client = Peer::new(&router);
    let consumer = client.receiver("c");
    let proxy = up.answer_attaches()[0].link;
    up.detached(proxy);
    client.receiver("c");
    assert!(up.answer_attaches().is_empty());
    client.submit(Action::Closed);
    Peer::new(&router).receiver("c");
    assert_eq!(up.answer_attaches().len(), 1, "others may have more luck");
    let _ = consumer;
}

#[test]
fn what_a_producer_has_sent_goes_ahead_of_the_end_of_its_proxy() {
    let router = router_of(Mode::Edge);
    let (mut up, standing) = edge(&router);
    let mut client = Peer::new(&router);
    let link = client.sender("p");
    let proxy = up.answer_attaches()[0].link;
    up.deliver(standing[3].link, None, tracked("Mp", true), Annotations::default(), false);
    up.effects();
    client.deliver(link, None, message(), Annotations::default(), true);
    client.submit(Action::Closed);
    let effects = up.effects();
    let push = effects.iter().find_map(|e| if let Effect::Push(push) = e { Some(push.id) } else { None });
    assert!(!effects.iter().any(|e| matches!(e, Effect::Detach { .. })), "it would be lost");
    up.submit(Action::Sent { delivery: push.expect("sent") });
    assert_eq!(detached(&up), [proxy]);
}

#[test]
fn what_a_consumer_has_not_taken_is_released_ahead_of_the_end_of_its_proxy() {
    let router = router_of(Mode::Edge);
    let (mut up, _) = edge(&router);
    let mut client = Peer::new(&router);
    client.receiver("c");
    let proxy = up.answer_attaches()[0].link;
    up.deliver(proxy, None, message(), Annotations::default(), false).expect("remembered");
    client.submit(Action::Closed);
    let effects = up.effects();
    let place = |of: fn(&Effect) -> bool| effects.iter().position(of);
    let released = place(|e| matches!(e, Effect::UpdateIn { settled: true, .. }));
    let gone = place(|e| matches!(e, Effect::Detach { .. }));
    assert!(released.is_some() && released < gone, "{effects:?}");
}

/// An edge router's connection with credentials of the first generation, and the links on it that messages wait on: a
/// proxy of the client, which `p` is consumed by way of, and the one for all else.
fn waiting<'a>(router: &'a Router, client: &mut Peer<'a>) -> (Peer<'a>, [LinkId; 2], Vec<Push>) {
    let mut up = uplink(router, 1);
    let standing = up.answer_attaches();
    let link = client.sender("p");
    let proxy = up.answer_attaches()[0].link;
    up.deliver(standing[3].link, None, tracked("Mp", true), Annotations::default(), false);
    up.effects();
    client.send(link).expect("remembered");
    let anonymous = client.attach(Direction::In, None);
    client.deliver(anonymous, Some("nowhere"), message(), Annotations::default(), true);
    let pushes = up.pushes();
    assert_eq!(pushes.len(), 2);
    (up, [proxy, standing[1].link], pushes)
}

#[test]
fn what_waits_when_newer_credentials_take_over_goes_on() {
    let router = router_of(Mode::Edge);
    let mut client = Peer::new(&router);
    let (mut old, links, pushes) = waiting(&router, &mut client);
    let mut newer = uplink(&router, 2);
    newer.answer_attaches();
    assert!(!detached(&old).iter().any(|link| links.contains(link)), "it would be lost");
    assert_eq!(client.outcomes(), []);
    let link = client.sender("q");
    client.deliver(link, None, message(), Annotations::default(), true);
    assert!(old.pushes().is_empty(), "they take nothing more");
    old.answer(&pushes[0], DeliveryState::Accepted, true);
    assert_eq!(client.outcomes(), [(Some(DeliveryState::Accepted), true)]);
    assert_eq!(detached(&old), [links[0]]);
    old.submit(Action::Sent { delivery: pushes[1].id });
    assert_eq!(detached(&old), [links[1]]);
}

#[test]
fn what_waits_when_newer_credentials_take_over_is_released_with_the_old_connection() {
    let router = router_of(Mode::Edge);
    let mut client = Peer::new(&router);
    let (mut old, links, pushes) = waiting(&router, &mut client);
    let newer = uplink(&router, 2);
    let unsent = vec![pushes[0].id];
    let mut end = vec![Action::Detached { link: links[0], error: None, unsent }, Action::Closed];
    router.submit(old.conn.id, &mut end, &mut Vec::new(), super::world::NOW);
    assert_eq!(client.outcomes(), [(Some(DeliveryState::Released), true)]);
    assert_eq!(router.uplink(), Some(newer.conn.id));
    old.submit(Action::Closed);
}

#[test]
fn standing_links_that_are_gone_are_not_taken_for_others() {
    let router = router_of(Mode::Edge);
    let mut old = uplink(&router, 1);
    let standing = old.answer_attaches();
    old.detached(standing[0].link);
    old.detached(standing[3].link);
    let mut client = Peer::new(&router);
    // They have the places that the standing links had.
    client.receiver("a");
    client.receiver("b");
    old.effects();
    let mut newer = uplink(&router, 2);
    assert_eq!(newer.answer_attaches().len(), 6);
    assert!(detached(&client).is_empty());
}

#[test]
fn what_comes_from_another_edge_router_does_not_go_up() {
    let router = router_of(Mode::Edge);
    router.add_address_config("m/#", AddressConfig { treatment: Treatment::Multicast, priority: None }).expect("new");
    let (up, _) = edge(&router);
    let mut peer = Peer::of_edge(&router, ConnectionRole::InterEdge, "E2", None);
    let mut client = Peer::new(&router);
    client.receiver("m/x");
    let anonymous = peer.attach(Direction::In, None);
    up.effects();
    peer.deliver(anonymous, Some("m/x"), message(), Annotations::default(), false).expect("remembered");
    assert_eq!(client.pushes().len(), 1);
    assert!(up.pushes().is_empty());
}

#[test]
fn only_the_loss_of_the_uplink_has_another_connection_take_over() {
    let router = router_of(Mode::Edge);
    let mut secured = uplink(&router, 1);
    let (mut clear, mut other) = (uplink(&router, None), uplink(&router, None));
    secured.submit(Action::Closed);
    other.submit(Action::Closed);
    assert_eq!(router.uplink(), None);
    assert!(clear.answer_attaches().is_empty());
}

#[test]
fn an_edge_router_is_no_peer_of_its_own() {
    let router = router_of(Mode::Edge);
    let mut own = Peer::of_edge(&router, ConnectionRole::InterEdge, router.id(), None);
    assert!(own.answer_attaches().is_empty());
}
