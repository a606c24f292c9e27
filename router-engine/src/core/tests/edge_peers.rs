//! Edge routers that are connected with each other, and the identifier of their mesh
//! (spec `inter-router-protocol.md` 9.6, 9.7).

use super::super::action::Direction;
use super::super::connection::ConnectionRole;
use super::super::effect::{AttachOut, Effect, Push};
use super::super::ids::LinkId;
use super::super::{Action, AddressConfig, Mode, Router};
use super::edge::{addresses, edge};
use super::world::{Peer, message, router_of};
use crate::annotations::Annotations;
use crate::forward::Treatment;
use crate::stream::Payload;
use amqp_core::message::{Message, MessageBuilder};
use amqp_core::performative::DeliveryState;
use amqp_core::value::{Map, Value};

const NEGOTIATION: &str = "_$qd.mesh_id_negotiation";

/// A bid, as messages carry it.
type Bid = (i64, String);

fn connection<'a>(router: &'a Router, id: &str) -> Peer<'a> {
    Peer::of_edge(router, ConnectionRole::InterEdge, id, None)
}

/// A connection to an edge router that agrees to all, and its link for bids.
fn peer<'a>(router: &'a Router, id: &str) -> (Peer<'a>, LinkId) {
    let mut peer = connection(router, id);
    peer.answer_attaches();
    let bids = peer.sender(NEGOTIATION);
    (peer, bids)
}

fn negotiation(attaches: &[AttachOut]) -> Option<LinkId> {
    let attach = attaches.iter().find(|attach| attach.target.address.as_deref() == Some(NEGOTIATION));
    attach.map(|attach| attach.link)
}

fn properties(push: &Push) -> Map {
    let payload = push.payload.contiguous().expect("a whole message");
    Message::decode(&[payload]).expect("a message").application_properties
}

/// The bids among messages.
fn bids(pushes: &[Push]) -> Vec<Bid> {
    let read = |push: &Push| {
        let properties = properties(push);
        Some((properties.get("ordinal")?.as_i64()?, properties.get("id")?.as_str()?.to_owned()))
    };
    pushes.iter().filter_map(read).collect()
}

fn bid((ordinal, id): &Bid) -> Payload {
    let properties = Map::new().with("ordinal", Value::Long(*ordinal)).with("id", id.as_str());
    Payload::One(MessageBuilder::new().application_properties(&properties).without_body())
}

fn identifier(letter: &str) -> String {
    letter.repeat(15)
}

/// Settles what a peer was sent, and returns its bids.
fn take_bids(peer: &mut Peer<'_>) -> Vec<Bid> {
    let pushes = peer.pushes();
    for push in &pushes {
        peer.answer(push, DeliveryState::Accepted, true);
    }
    bids(&pushes)
}

/// The peer bids.
fn bid_on(peer: &mut Peer<'_>, link: LinkId, of: &Bid) {
    peer.deliver(link, None, bid(of), Annotations::default(), true);
}

/// The identifier that the interior router was told last; what it is told is settled.
fn announced(up: &mut Peer<'_>) -> Option<String> {
    let pushes = up.pushes();
    for push in &pushes {
        up.answer(push, DeliveryState::Accepted, true);
    }
    pushes.iter().filter_map(|push| Some(properties(push).get("meshid")?.as_str()?.to_owned())).next_back()
}

fn own_bid(router: &Router) -> Bid {
    let mut other = connection(router, "other");
    let first = bids(&other.pushes()).pop().expect("a bid comes with the link");
    other.submit(Action::Closed);
    first
}

#[test]
fn a_peer_that_echoes_bids_does_not_have_the_router_draw_for_ever() {
    let router = router_of(Mode::Edge);
    let mut echo = connection(&router, "E2");
    let first = bids(&echo.pushes());
    assert_eq!(first.len(), 1);
    let link = echo.sender(NEGOTIATION);
    let (mut drawn, mut next) = (first.clone(), first);
    while let Some(last) = next.pop() {
        bid_on(&mut echo, link, &last);
        next = take_bids(&mut echo);
        drawn.extend(next.clone());
        assert!(drawn.len() < 20, "{drawn:?}");
    }
    assert!(drawn.len() > 1, "who really has drawn the same gets another bid");
    assert_ne!(drawn[0].0, drawn[1].0);
}

#[test]
fn a_peer_that_keeps_lowering_its_bid_is_ignored_in_the_end() {
    let router = router_of(Mode::Edge);
    let (mut up, _) = edge(&router);
    let (mut peer, link) = peer(&router, "E2");
    let mut told = 0;
    for ordinal in 0..50 {
        bid_on(&mut peer, link, &(-ordinal, format!("{ordinal:015}")));
        told += usize::from(announced(&mut up).is_some());
    }
    assert!((1..20).contains(&told), "{told}");
}

#[test]
fn a_negotiation_link_that_is_refused_on_one_connection_is_tried_on_the_other() {
    let router = router_of(Mode::Edge);
    let mut first = connection(&router, "E2");
    let refused = negotiation(&first.answer_attaches()).expect("the first is used");
    let mut second = connection(&router, "E2");
    assert_eq!(negotiation(&second.answer_attaches()), None);
    first.detached(refused);
    assert_eq!(bids(&first.pushes()), []);
    let again = negotiation(&second.answer_attaches()).expect("tried");
    second.detached(again);
    assert_eq!(negotiation(&first.answer_attaches()), None, "it has refused");
    let third = connection(&router, "E2");
    assert_eq!(bids(&third.pushes()).len(), 1, "with the link comes the bid");
}

#[test]
fn the_bid_goes_by_another_connection_when_the_one_of_the_link_is_lost() {
    let router = router_of(Mode::Edge);
    let mut first = connection(&router, "E2");
    let refused = negotiation(&first.answer_attaches()).expect("the first is used");
    let mut second = connection(&router, "E2");
    let mut third = connection(&router, "E2");
    first.detached(refused);
    assert!(negotiation(&second.answer_attaches()).is_some());
    second.submit(Action::Closed);
    let again = first.answer_attaches();
    assert_eq!(again.len(), 1, "its other links are where they were");
    first.detached(negotiation(&again).expect("the peer may have no other left"));
    assert!(negotiation(&third.answer_attaches()).is_some());
}

#[test]
fn a_router_that_has_lost_the_winner_goes_back_to_its_own_identifier() {
    let router = router_of(Mode::Edge);
    let own = own_bid(&router);
    let (mut up, _) = edge(&router);
    let (mut winner, link) = peer(&router, "E2");
    bid_on(&mut winner, link, &(0, identifier("w")));
    assert_eq!(announced(&mut up), Some(identifier("w")));
    let (mut third, _) = peer(&router, "E3");
    winner.submit(Action::Closed);
    let told = announced(&mut up).expect("another identifier");
    assert_ne!(told, identifier("w"), "the winner keeps that");
    assert_eq!(take_bids(&mut third).pop().map(|bid| bid.0), Some(own.0), "who may have lost it too");
}

#[test]
fn those_who_stay_together_come_to_the_identifier_of_the_next() {
    let router = router_of(Mode::Edge);
    let (mut up, _) = edge(&router);
    let (mut winner, link) = peer(&router, "E2");
    bid_on(&mut winner, link, &(0, identifier("w")));
    let (mut next, link) = peer(&router, "E3");
    bid_on(&mut next, link, &(1, identifier("n")));
    assert_eq!(announced(&mut up), Some(identifier("w")));
    winner.submit(Action::Closed);
    assert_eq!(announced(&mut up), Some(identifier("n")));
    // A router of the other kind keeps the identifier that it has taken, and tells.
    bid_on(&mut next, link, &(1, identifier("w")));
    assert_eq!(announced(&mut up), Some(identifier("w")));
}

#[test]
fn a_router_that_stays_alone_draws_another_identifier() {
    let router = router_of(Mode::Edge);
    let (mut up, _) = edge(&router);
    let (mut loser, link) = peer(&router, "E2");
    bid_on(&mut loser, link, &(i64::MAX, identifier("l")));
    assert_eq!(announced(&mut up), None);
    loser.submit(Action::Closed);
    assert!(announced(&mut up).is_some(), "the other one may have kept the one that they shared");
}

#[test]
fn a_peer_with_two_connections_gets_a_message_for_all_once() {
    let router = router_of(Mode::Edge);
    router.add_address_config("m/#", AddressConfig { treatment: Treatment::Multicast, priority: None }).expect("new");
    let (mut one, mut two) = (connection(&router, "E2"), connection(&router, "E2"));
    let mut other = connection(&router, "E3");
    let first = one.receiver("m/x");
    two.receiver("m/x");
    other.receiver("m/x");
    let mut client = Peer::new(&router);
    let link = client.attach(Direction::In, Some("m/x"));
    let mut send = || client.deliver(link, None, message(), Annotations::default(), true);
    let received = |peers: [&Peer<'_>; 3]| peers.map(|peer| peer.pushes().len());
    received([&one, &two, &other]);
    send();
    assert_eq!(received([&one, &two, &other]), [1, 0, 1]);
    one.detached(first);
    send();
    assert_eq!(received([&one, &two, &other]), [0, 1, 1]);
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
fn an_edge_router_is_no_peer_of_its_own() {
    let router = router_of(Mode::Edge);
    let mut own = Peer::of_edge(&router, ConnectionRole::InterEdge, router.id(), None);
    assert!(own.answer_attaches().is_empty());
}

#[test]
fn what_is_for_another_edge_router_goes_there_directly_while_it_is_a_peer() {
    let router = router_of(Mode::Edge);
    let mut client = Peer::new(&router);
    let link = client.sender("_edge/E2/x");
    assert!(client.effects().is_empty(), "no credit while it cannot be reached");
    let mut peer = connection(&router, "E2");
    let direct = peer.answer_attaches()[0].link;
    assert!(matches!(client.effects()[..], [Effect::Credit { credit: 10, .. }]));
    client.send(link).expect("remembered");
    assert_eq!(peer.pushes().pop().map(|push| push.link), Some(direct));
    let (up, standing) = edge(&router);
    peer.submit(Action::Closed);
    client.send(link).expect("remembered");
    let upwards = up.pushes();
    assert_eq!(upwards.last().map(|push| push.link), Some(standing[1].link));
}
