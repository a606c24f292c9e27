//! Auto-links: where they are attached, what they carry, and how they come back.

use super::super::action::{Action, Direction};
use super::super::connection::ConnectionRole;
use super::super::effect::{AttachOut, Effect, SessionClass};
use super::super::ids::LinkId;
use super::super::{AddressConfig, AutoLinkConfig, AutoLinkPeer, AutoLinkState, AutoLinkStatus, Router};
use super::world::{NOW, Peer, message, router};
use crate::annotations::Annotations;
use crate::forward::Treatment;
use amqp_core::Instant;
use amqp_core::performative::{DeliveryState, Error, Source, Target};
use bytes::Bytes;
use std::time::Duration;

/// The number of the auto-link, where there is only one.
const NUMBER: u64 = 7;

/// An auto-link for the container `c`.
fn config(direction: Direction, address: Option<&str>, external: Option<&str>) -> AutoLinkConfig {
    let (address, external_address) = (address.map(str::to_owned), external.map(str::to_owned));
    let peer = Some(AutoLinkPeer::Container("c".into()));
    AutoLinkConfig { name: None, direction, address, external_address, peer }
}

fn container(router: &Router) -> Peer<'_> {
    Peer::container(router, None, "c")
}

/// What the router wants attached.
fn attaches(peer: &Peer<'_>) -> Vec<AttachOut> {
    peer.effects().into_iter().filter_map(|e| if let Effect::Attach(a) = e { Some(*a) } else { None }).collect()
}

fn attach(peer: &Peer<'_>) -> AttachOut {
    let mut attaches = attaches(peer);
    assert_eq!(attaches.len(), 1, "{attaches:?}");
    attaches.remove(0)
}

/// The peer answers as it was asked.
fn agree(peer: &mut Peer<'_>, attach: &AttachOut) {
    let (source, target) = (Some(attach.source.clone()), Some(attach.target.clone()));
    peer.submit(Action::Attached { link: attach.link, source, target, settle_on_send: false });
}

fn detached(link: LinkId, why: Option<&str>) -> Action {
    let error = why.map(|why| Box::new(Error::new("amqp:not-found", why)));
    Action::Detached { link, error, unsent: Vec::new() }
}

fn credit(peer: &Peer<'_>) -> u32 {
    peer.effects().iter().map(|e| if let Effect::Credit { credit, .. } = e { *credit } else { 0 }).sum()
}

fn second(second: u64) -> Instant {
    Instant::from_micros(second * 1_000_000)
}

fn status(router: &Router) -> AutoLinkStatus {
    router.auto_link_status(NUMBER)
}

fn state(router: &Router) -> AutoLinkState {
    status(router).state
}

#[test]
fn incoming_one_is_a_producer_for_its_address() {
    let router = router();
    router.add_auto_link(NUMBER, config(Direction::In, Some("inside"), Some("outside")));
    assert_eq!(state(&router), AutoLinkState::Inactive);
    let mut peer = container(&router);
    let link = attach(&peer);
    assert!(link.name.starts_with("qdlink."), "{}", link.name);
    assert_eq!((link.direction, link.session, link.anonymous), (Direction::In, SessionClass::AutoLink, false));
    assert_eq!((link.source.address.as_deref(), link.target.address.as_deref()), (Some("outside"), None));
    let attaching = AutoLinkStatus { link: Some(link.link.number), state: AutoLinkState::Attaching, last_error: None };
    assert_eq!(status(&router), attaching);
    agree(&mut peer, &link);
    assert_eq!(status(&router), AutoLinkStatus { state: AutoLinkState::Active, ..attaching });
    assert_eq!(credit(&peer), 0, "nobody consumes the address");

    let mut consumer = Peer::new(&router);
    consumer.receiver("inside");
    assert_eq!(credit(&peer), 10);
    peer.send(link.link);
    assert_eq!(consumer.push().annotations.to_override.as_deref(), Some(&b"inside"[..]));
    let row = router.address_row("Minside").expect("there");
    assert_eq!((row.counters.ingress, row.counters.ingress_route_container), (1, 1));
}

#[test]
fn outgoing_one_is_a_consumer_of_its_address() {
    let router = router();
    router.add_auto_link(NUMBER, config(Direction::Out, Some("q"), None));
    let mut peer = container(&router);
    let link = attach(&peer);
    assert_eq!((link.source.address.as_deref(), link.target.address.as_deref()), (None, Some("q")));
    let mut client = Peer::new(&router);
    let sender = client.sender("q");
    assert_eq!(credit(&client), 0, "not attached yet");
    agree(&mut peer, &link);
    assert_eq!(credit(&client), 10);
    client.send(sender);
    peer.answer(&peer.push(), DeliveryState::Accepted, true);
    assert_eq!(client.outcomes(), [(Some(DeliveryState::Accepted), true)]);
    let row = router.address_row("Mq").expect("there");
    assert_eq!((row.subscribers, row.counters.egress_route_container), (1, 1));
}

#[test]
fn without_an_address_the_messages_say_where_they_go() {
    let router = router();
    router.add_auto_link(NUMBER, config(Direction::In, None, Some("outside")));
    let mut peer = container(&router);
    let link = attach(&peer);
    assert!(link.anonymous);
    agree(&mut peer, &link);
    assert_eq!(credit(&peer), 10);
    let mut consumer = Peer::new(&router);
    consumer.receiver("q");
    peer.deliver(link.link, Some("q"), message(), Annotations::default(), false);
    assert_eq!(consumer.push().annotations.to_override, None);
    assert_eq!(router.link_rows(NOW)[0].owning_address, None);
}

#[test]
fn connections_are_known_by_listener_or_container() {
    let router = router();
    let for_listener = AutoLinkConfig {
        peer: Some(AutoLinkPeer::Connection("l".into())),
        ..config(Direction::Out, Some("by listener"), None)
    };
    let for_nobody = AutoLinkConfig { peer: None, ..for_listener.clone() };
    let for_container = config(Direction::Out, Some("by container"), None);
    for (number, config) in [for_listener, for_nobody, for_container].into_iter().enumerate() {
        router.add_auto_link(number as u64, config);
    }
    let asked = |peer: Peer<'_>| attaches(&peer).into_iter().filter_map(|a| a.target.address).collect::<Vec<_>>();
    assert_eq!(asked(Peer::container(&router, Some("l"), "c")), ["by listener", "by container"]);
    assert_eq!(asked(Peer::container(&router, Some("l"), "d")), ["by listener"]);
    assert_eq!(asked(Peer::container(&router, Some("c"), "l")), [""; 0]);
    assert_eq!(asked(Peer::container(&router, None, "c")), ["by container"]);
    // The containers of clients do not count.
    assert_eq!(asked(Peer::named(&router, ConnectionRole::Normal, "c")), [""; 0]);
    assert_eq!(asked(Peer::named(&router, ConnectionRole::InterNetwork, "c")), ["by container"]);
}

#[test]
fn a_new_one_is_attached_everywhere_and_one_that_is_removed_goes() {
    let router = router();
    let mut peers = [container(&router), container(&router)];
    router.add_auto_link(NUMBER, config(Direction::Out, Some("q"), None));
    let links = peers.each_ref().map(attach);
    for (peer, link) in peers.iter_mut().zip(&links) {
        agree(peer, link);
    }
    assert_eq!(router.address_row("Mq").expect("there").subscribers, 2);
    router.remove_auto_link(NUMBER);
    for (peer, attach) in peers.iter().zip(&links) {
        let effects = peer.effects();
        assert!(matches!(effects[..], [Effect::Detach { link, error: None }] if link == attach.link), "{effects:?}");
    }
    assert_eq!(status(&router), AutoLinkStatus::default());
    assert!(router.address_row("Mq").is_none());
    assert!(router.link_rows(NOW).is_empty());
}

#[test]
fn of_two_connections_the_better_one_is_shown() {
    let router = router();
    router.add_auto_link(NUMBER, config(Direction::Out, Some("q"), None));
    let (mut good, mut bad) = (container(&router), container(&router));
    let (accepted, refused) = (attach(&good), attach(&bad));
    agree(&mut good, &accepted);
    bad.submit(detached(refused.link, Some("no")));
    let expected = AutoLinkStatus {
        link: Some(accepted.link.number),
        state: AutoLinkState::Active,
        last_error: Some("no".into()),
    };
    assert_eq!(status(&router), expected);
}

#[test]
fn a_peer_that_names_no_node_refuses() {
    let router = router();
    router.add_auto_link(1, config(Direction::In, None, Some("x")));
    router.add_auto_link(NUMBER, config(Direction::Out, Some("q"), None));
    let mut peer = container(&router);
    let links = attaches(&peer);
    // The other terminus is its own business.
    let source = Some(Box::new(Source { address: Some("x".into()), ..Source::default() }));
    let target = Some(Box::new(Target { address: Some("x".into()), ..Target::default() }));
    peer.submit(Action::Attached { link: links[0].link, source: None, target, settle_on_send: false });
    peer.submit(Action::Attached { link: links[1].link, source, target: None, settle_on_send: false });
    assert_eq!(credit(&peer), 0);
    assert_eq!(router.address_row("Mq").expect("held").subscribers, 0);
    assert_eq!(state(&router), AutoLinkState::Attaching);
    peer.submit(detached(links[1].link, Some("Node not found")));
    let failed = AutoLinkStatus { link: None, state: AutoLinkState::Failed, last_error: Some("Node not found".into()) };
    assert_eq!(status(&router), failed);
}

#[test]
fn what_was_detached_comes_back_after_two_seconds_and_then_five() {
    let router = router();
    router.add_auto_link(NUMBER, config(Direction::Out, Some("q"), None));
    let mut peer = container(&router);
    let mut link = attach(&peer);
    let mut now = 0;
    for (wait, answered) in [(2, false), (5, true), (5, false)] {
        if answered {
            agree(&mut peer, &link);
            assert_eq!(state(&router), AutoLinkState::Active);
        }
        peer.submit_at(detached(link.link, None), second(now));
        let last = link;
        for _ in 1..wait {
            now += 1;
            router.handle_timeout(second(now));
            assert_eq!((attaches(&peer).len(), state(&router)), (0, AutoLinkState::Failed), "second {now}");
        }
        now += 1;
        router.handle_timeout(second(now));
        link = attach(&peer);
        assert_ne!(link.name, last.name);
        assert_eq!(state(&router), AutoLinkState::Attaching);
    }
}

#[test]
fn it_comes_back_in_time_whatever_else_is_due() {
    let router = router();
    router.add_auto_link(NUMBER, config(Direction::Out, Some("q"), None));
    let mut peer = container(&router);
    let link = attach(&peer);
    let half = Instant::from_micros(500_000);
    peer.submit_at(detached(link.link, None), half);
    let due = half + Duration::from_secs(2);
    while router.poll_timeout() < due {
        router.handle_timeout(router.poll_timeout());
        assert!(attaches(&peer).is_empty());
    }
    router.handle_timeout(due);
    attach(&peer);
    assert!(router.poll_timeout() > due);
}

#[test]
fn nothing_is_left_of_it_on_a_connection_that_has_gone() {
    let router = router();
    router.add_auto_link(1, config(Direction::In, Some("q"), None));
    router.add_auto_link(NUMBER, config(Direction::Out, Some("q"), None));
    let mut peer = container(&router);
    let links = attaches(&peer);
    peer.submit(detached(links[0].link, None));
    agree(&mut peer, &links[1]);
    let mut end = vec![detached(links[1].link, None), Action::Closed];
    router.submit(peer.conn.id, &mut end, &mut Vec::new(), NOW);
    router.with(|core| assert!(core.auto_links.is_idle(), "{:?}", core.auto_links));
    // It has not failed, and is attached at once where it is wanted next.
    assert_eq!(status(&router), AutoLinkStatus::default());
    assert_eq!(attaches(&container(&router)).len(), 2);
}

#[test]
fn one_whose_address_is_unavailable_makes_it_available() {
    let router = router();
    router.add_address_config("q", AddressConfig { treatment: Treatment::Unavailable, priority: None }).expect("new");
    let mut client = Peer::new(&router);
    client.attach_unanswered(Direction::In, Some("q"));
    assert!(matches!(client.effects()[..], [Effect::AttachReply(ref reply)] if reply.link.is_err()));
    router.add_auto_link(NUMBER, config(Direction::Out, Some("q"), None));
    assert_eq!(router.address_row("Mq").expect("held").treatment, Treatment::Balanced);
    client.sender("q");
}

#[test]
fn what_was_sent_before_the_connection_ended_keeps_its_outcome() {
    let router = router();
    router.add_auto_link(NUMBER, config(Direction::Out, Some("q"), None));
    let mut peer = container(&router);
    let link = attach(&peer);
    agree(&mut peer, &link);
    let mut client = Peer::new(&router);
    let sender = client.sender("q");
    client.effects();
    client.send(sender);
    client.send(sender);
    let unsent = peer.pushes().pop().expect("two").id;
    let mut end = vec![Action::Detached { link: link.link, error: None, unsent: vec![unsent] }, Action::Closed];
    router.submit(peer.conn.id, &mut end, &mut Vec::new(), NOW);
    let outcomes = client.outcomes();
    assert_eq!(outcomes, [(Some(DeliveryState::failed()), true), (Some(DeliveryState::Released), true)]);
}

#[test]
fn the_address_of_a_multicast_pattern_is_multicast() {
    let router = router();
    router
        .add_address_config("m.#", AddressConfig { treatment: Treatment::Multicast, priority: Some(3) })
        .expect("new");
    router.add_auto_link(NUMBER, config(Direction::In, Some("m.x"), None));
    let row = router.address_row("Mm.x").expect("held");
    assert_eq!((row.treatment, row.priority), (Treatment::Multicast, Some(3)));
    let mut peer = container(&router);
    let link = attach(&peer);
    agree(&mut peer, &link);
    let mut consumers = [Peer::new(&router), Peer::new(&router)];
    for consumer in &mut consumers {
        consumer.receiver("m.x");
    }
    peer.send(link.link);
    assert!(consumers.iter().all(|c| c.push().annotations.to_override == Some(Bytes::from_static(b"m.x"))));
}
