//! A router that is about to stop.

use super::super::action::{Action, Direction};
use super::super::connection::{ConnectionRole, UPLINK_CHANGE};
use super::super::effect::Effect;
use super::super::withdraw::{UnderWay, WITHDRAWN};
use super::super::{AddressConfig, Mode, Router};
use super::edge::edge;
use super::world::{NOW, Peer, message, router, router_of, stream};
use crate::annotations::Annotations;
use crate::forward::Treatment;
use amqp_core::Instant;
use amqp_core::performative::{DeliveryState, Error};
use std::time::Duration;

/// The condition with which a connection was closed in order, if it was.
fn closed(peer: &Peer<'_>) -> Option<String> {
    peer.effects().into_iter().find_map(|effect| match effect {
        Effect::Close { error: Some(error), hard: false } => Some(error.condition.as_str().to_owned()),
        _ => None,
    })
}

/// When clients have been without a delivery for long enough.
const LATER: Instant = Instant::from_micros(1_000_000);

fn wind_down(router: &Router) {
    router.withdraw(NOW);
    router.wind_down(NOW);
}

fn of_connections(connections: usize) -> UnderWay {
    UnderWay { connections, ..UnderWay::default() }
}

#[test]
fn idle_clients_are_sent_away_and_others_once_they_have_done() {
    let router = router();
    let (mut sender, mut receiver, idle) = (Peer::new(&router), Peer::new(&router), Peer::new(&router));
    receiver.receiver("q");
    let link = sender.sender("q");
    sender.send(link).expect("remembered");
    let push = receiver.push();
    wind_down(&router);
    let under_way = UnderWay { messages: 1, ..of_connections(3) };
    assert_eq!(router.release_idle(NOW), under_way);
    assert_eq!(closed(&idle).as_deref(), Some("amqp:connection:forced"));
    assert_eq!((closed(&sender), closed(&receiver)), (None, None));
    receiver.answer(&push, DeliveryState::Accepted, true);
    assert_eq!(sender.outcomes(), [(Some(DeliveryState::Accepted), true)]);
    assert_eq!(router.release_idle(NOW), of_connections(3));
    assert_eq!((closed(&sender), closed(&receiver)), (None, None), "they may be about to answer");
    assert_eq!(router.release_idle(LATER), of_connections(3));
    assert!(closed(&sender).is_some() && closed(&receiver).is_some());
    assert_eq!(closed(&idle), None, "once is enough");
    for peer in [&mut sender, &mut receiver] {
        peer.submit(Action::Closed);
    }
    assert_eq!(router.release_idle(NOW), of_connections(1));
}

#[test]
fn clients_get_nothing_new_once_everybody_knows() {
    let router = router();
    let (mut client, mut other) = (Peer::new(&router), Peer::new(&router));
    client.receiver("q");
    let link = other.sender("q");
    other.send(link).expect("remembered");
    let push = client.push();
    router.withdraw(NOW);
    other.send(link).expect("remembered");
    client.push();
    router.wind_down(NOW);
    assert_eq!(router.with(|core| core.addresses.with_key("Mq").map(|a| core.addresses[a].consumers.len())), Some(0));
    client.answer(&push, DeliveryState::Accepted, true);
    assert!(!other.effects().iter().any(|effect| matches!(effect, Effect::Credit { .. })));
}

#[test]
fn who_has_others_behind_itself_is_served_to_the_end() {
    let router = router();
    let mut client = Peer::new(&router);
    client.receiver("_topo/0/R/reply");
    let mut edge = Peer::with_role(&router, ConnectionRole::Edge);
    let link = edge.attach(Direction::In, None);
    wind_down(&router);
    for _ in 0..2 {
        edge.effects();
        edge.deliver(link, Some("_topo/0/R/reply"), message(), Annotations::default(), false).expect("remembered");
        client.push();
        assert!(edge.effects().iter().any(|effect| matches!(effect, Effect::Credit { .. })));
    }
    assert_eq!(closed(&edge), None);
}

#[test]
fn answers_still_come() {
    let router = router();
    let (mut client, mut server) = (Peer::new(&router), Peer::new(&router));
    let reply_to = router.with(|core| core.addresses.names.dynamic_source(None, "reply"));
    client.receiver(&reply_to);
    let anonymous = server.attach(Direction::In, None);
    wind_down(&router);
    server.deliver(anonymous, Some(&reply_to), message(), Annotations::default(), false).expect("remembered");
    client.push();
}

#[test]
fn flows_and_other_routers_stay() {
    let router = router();
    let mut neighbour = Peer::neighbour(&router, "q");
    let mut flow = Peer::flow(&router);
    let link = flow.sender("q");
    let id = flow.deliver(link, None, stream(), Annotations::default(), false).expect("remembered");
    wind_down(&router);
    assert_eq!(router.release_idle(NOW), UnderWay { streams: 1, ..UnderWay::default() });
    assert_eq!((closed(&neighbour), closed(&flow)), (None, None));
    flow.submit(Action::Complete { delivery: id, aborted: true });
    neighbour.submit(Action::Closed);
    flow.submit(Action::Closed);
    assert!(router.release_idle(NOW).is_none());
}

#[test]
fn edge_routers_are_asked_to_use_another_uplink() {
    let router = router();
    let mut edges = [
        Peer::offering(&router, ConnectionRole::Edge, "E", UPLINK_CHANGE),
        Peer::with_role(&router, ConnectionRole::Edge),
    ];
    let tracking = edges.each_mut().map(|edge| edge.receiver("_$qd.edge_addr_tracking"));
    router.withdraw(NOW);
    let asked = |peer: &Peer<'_>| {
        peer.effects().into_iter().find_map(|effect| match effect {
            Effect::Detach { link, error: Some(error) } => Some((link, error.condition.as_str().to_owned())),
            _ => None,
        })
    };
    assert_eq!(asked(&edges[0]), Some((tracking[0], WITHDRAWN.to_owned())));
    assert_eq!(asked(&edges[1]), None, "it would not understand");
    // One that has no other uplink asks again, and stays.
    edges[0].receiver("_$qd.edge_addr_tracking");
    assert_eq!(asked(&edges[0]), None);
    router.wind_down(NOW);
    router.release_idle(LATER);
    assert!(edges.iter().all(|edge| closed(edge).is_none()), "they are served to the end");
    // One that comes in the last moment.
    let mut late = Peer::offering(&router, ConnectionRole::Edge, "L", UPLINK_CHANGE);
    late.attach_unanswered(Direction::Out, Some("_$qd.edge_addr_tracking"));
    assert!(asked(&late).is_some());
}

#[test]
fn an_edge_router_changes_its_uplink_when_asked_as_soon_as_it_can() {
    let router = router_of(Mode::Edge);
    let (mut first, standing) = edge(&router);
    let asks = |peer: &mut Peer<'_>, link| {
        let error = Some(Box::new(Error::new(WITHDRAWN, "")));
        peer.submit(Action::Detached { link, error, unsent: Vec::new() });
    };
    asks(&mut first, standing[3].link);
    assert_eq!(router.uplink(), Some(first.conn.id), "there is no other");
    assert_eq!(first.answer_attaches().len(), 1, "it goes on to hear of addresses");
    let mut client = Peer::new(&router);
    client.receiver("q");
    client.sender("p");
    let mut second = Peer::of_edge(&router, ConnectionRole::Edge, "B", None);
    assert_eq!(router.uplink(), Some(second.conn.id));
    let standing = second.answer_attaches();
    let mut third = Peer::of_edge(&router, ConnectionRole::Edge, "C", None);
    asks(&mut second, standing[3].link);
    let attached = third.answer_attaches();
    assert_eq!((router.uplink(), attached.len()), (Some(third.conn.id), 6));
    let links = third.links();
    assert!(attached.iter().all(|attach| links.contains(&attach.link)), "all of them are known");
    third.submit(Action::Closed);
    assert_eq!(router.uplink(), None, "who is about to stop is not gone back to");
}

/// The addresses that others would be told of.
fn advertised(router: &Router) -> Vec<String> {
    router.with(|core| core.plane.mesh().expect("of an interior router").advertised())
}

#[test]
fn the_network_is_told_of_no_client_but_of_edge_routers_until_they_leave() {
    let router = router();
    let mut client = Peer::new(&router);
    client.receiver("c");
    let mut edge = Peer::with_role(&router, ConnectionRole::Edge);
    edge.receiver("e");
    let proxy = edge.receiver("both");
    client.receiver("both");
    assert_eq!(advertised(&router), ["Mboth", "Mc", "Me"]);
    assert_eq!(router.withdraw(NOW), Duration::from_millis(500), "an edge router is told");
    assert_eq!(advertised(&router), ["Mboth", "Me"]);
    client.receiver("new");
    edge.detached(proxy);
    assert_eq!(advertised(&router), ["Me"]);
    let late = edge.receiver("c");
    assert_eq!(advertised(&router), ["Mc", "Me"], "a client here does not stand in its way");
    edge.detached(late);
    edge.submit(Action::Closed);
    assert!(advertised(&router).is_empty());
}

#[test]
fn what_clients_of_an_edge_router_have_is_theirs_until_they_have_done() {
    for is_asked in [true, false] {
        let router = router_of(Mode::Edge);
        let (mut up, standing) = edge(&router);
        let mut client = Peer::new(&router);
        client.receiver("q");
        let proxy = up.answer_attaches()[0].link;
        let drained = |peer: &mut Peer<'_>| {
            let asks = |e: Effect| if let Effect::Credit { link, drain: true, .. } = e { Some(link) } else { None };
            let links: Vec<_> = peer.effects().into_iter().filter_map(asks).collect();
            links.iter().for_each(|&link| peer.submit(Action::Drained { link, skipped: 10 }));
            links
        };
        up.send(proxy).expect("remembered");
        let push = client.push();
        let _other = Peer::of_edge(&router, ConnectionRole::Edge, "B", None);
        if is_asked {
            let error = Some(Box::new(Error::new(WITHDRAWN, "")));
            up.submit(Action::Detached { link: standing[3].link, error, unsent: Vec::new() });
        } else {
            wind_down(&router);
        }
        assert!(drained(&mut up).contains(&proxy));
        assert_eq!(up.outcomes(), [], "nothing is decided");
        client.answer(&push, DeliveryState::Accepted, true);
        let told = up.effects();
        let accepted = told.iter().any(|e| matches!(e, Effect::UpdateIn { state: Some(DeliveryState::Accepted), .. }));
        let gone = told.iter().any(|e| matches!(e, Effect::Detach { link, .. } if *link == proxy));
        assert!(accepted && gone, "{told:?}");
    }
}

#[test]
fn what_everybody_is_to_get_is_not_kept_from_clients_that_are_there() {
    let router = router();
    let config = AddressConfig { treatment: Treatment::Multicast, priority: None };
    router.add_address_config("all/#", config).expect("new");
    let mut client = Peer::new(&router);
    client.receiver("all/q");
    let mut other = Peer::new(&router);
    let link = other.sender("all/q");
    wind_down(&router);
    assert_eq!(advertised(&router), ["Mall/q"]);
    other.send(link).expect("remembered");
    client.push();
}
