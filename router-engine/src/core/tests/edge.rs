//! Edge routers and their uplinks (spec `inter-router-protocol.md` section 9).

use super::super::Mode;
use super::super::Router;
use super::super::action::{Action, Direction};
use super::super::connection::ConnectionRole;
use super::super::effect::{AttachOut, Effect, Push};
use super::super::ids::LinkId;
use super::world::{Peer, message, router_of};
use crate::annotations::Annotations;
use crate::stream::Payload;
use amqp_core::message::MessageBuilder;
use amqp_core::performative::DeliveryState;
use amqp_core::value::Value;

fn uplink<'a>(router: &'a Router, ordinal: impl Into<Option<u64>>) -> Peer<'a> {
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

fn detached(peer: &Peer<'_>) -> Vec<LinkId> {
    peer.effects().iter().filter_map(|e| if let Effect::Detach { link, .. } = e { Some(*link) } else { None }).collect()
}

fn tracked(key: &str, reachable: bool) -> Payload {
    Payload::One(MessageBuilder::new().value(Value::List(vec![Value::from(key.to_owned()), Value::Bool(reachable)])))
}

pub(super) fn refusal(peer: &mut Peer<'_>, direction: Direction, address: &str) -> String {
    peer.attach_unanswered(direction, Some(address));
    refused(peer)
}

/// The condition of the refusal that has come.
pub(super) fn refused(peer: &Peer<'_>) -> String {
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
    let standing = first.answer_attaches();
    assert_eq!(standing.len(), 4);
    let mut clear = uplink(&router, None);
    let mut newer = uplink(&router, 2);
    assert!(clear.answer_attaches().is_empty());
    assert_eq!((detached(&first).len(), newer.answer_attaches().len()), (3, 4));
    let down = standing[2].link;
    first.submit(Action::Drained { link: down, skipped: 10 });
    assert_eq!(detached(&first), [down], "nothing can be on its way any more");
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
fn only_the_loss_of_the_uplink_has_another_connection_take_over() {
    let router = router_of(Mode::Edge);
    let mut secured = uplink(&router, 1);
    let (mut clear, mut other) = (uplink(&router, None), uplink(&router, None));
    secured.submit(Action::Closed);
    other.submit(Action::Closed);
    assert_eq!(router.uplink(), None);
    assert!(clear.answer_attaches().is_empty());
}
