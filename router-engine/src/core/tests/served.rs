//! Links that end at a part of the router.

use super::super::action::{Action, Direction};
use super::super::effect::{AttachOut, AttachReply, Effect, PeerEvent, SessionClass};
use super::super::{PeerAttach, Router};
use super::world::{NOW, Peer, router};
use crate::LinkId;
use amqp_core::performative::{DeliveryState, Error};

/// A part of the router that serves an address.
fn server<'a>(router: &'a Router, address: &str) -> Peer<'a> {
    let server = Peer::in_process(router);
    router.serve(server.conn.id, address);
    server
}

fn peer_events(server: &Peer<'_>) -> Vec<PeerEvent> {
    server.effects().into_iter().filter_map(|e| if let Effect::Peer(event) = e { Some(*event) } else { None }).collect()
}

/// The only attach that the server was asked about.
fn asked(server: &Peer<'_>) -> (LinkId, PeerAttach) {
    match peer_events(server).pop() {
        Some(PeerEvent::Attach { link, attach }) => (link, attach),
        other => panic!("{other:?}"),
    }
}

fn replies(peer: &Peer<'_>) -> Vec<AttachReply> {
    peer.effects().into_iter().filter_map(|e| if let Effect::AttachReply(r) = e { Some(*r) } else { None }).collect()
}

fn error() -> Error {
    Error::new("qd:forbidden", "no")
}

/// A link of a peer, accepted: the server's name of it, and the peer's.
fn accepted(server: &Peer<'_>, peer: &mut Peer<'_>, direction: Direction, credit: u32) -> (LinkId, LinkId) {
    peer.attach_unanswered(direction, Some("svc"));
    let (own, _) = asked(server);
    server.router.answer_attach(own, Ok(credit), NOW);
    let link = replies(peer).pop().expect("an answer").link.expect("accepted");
    (own, link)
}

#[test]
fn a_server_is_asked_and_the_peer_waits_for_its_answer() {
    let router = router();
    let server = server(&router, "svc");
    let mut peer = Peer::new(&router);
    peer.attach_unanswered(Direction::In, Some("svc"));
    assert!(replies(&peer).is_empty(), "not yet");
    let (own, attach) = asked(&server);
    assert_eq!((attach.conn, attach.direction), (peer.conn.id, Direction::In));
    assert_eq!(attach.target.address.as_deref(), Some("svc"));
    router.answer_attach(own, Ok(3), NOW);
    let effects = peer.effects();
    let [Effect::AttachReply(reply), Effect::Credit { credit: 3, .. }] = &effects[..] else { panic!("{effects:?}") };
    assert!(reply.link.is_ok() && !reply.anonymous);
    assert!(router.address_row("Msvc").is_none(), "nobody else can be sent there");
}

#[test]
fn a_refused_attach_leaves_nothing_behind() {
    let router = router();
    let server = server(&router, "svc");
    let mut peer = Peer::new(&router);
    let before = router.population();
    peer.attach_unanswered(Direction::Out, Some("svc"));
    router.answer_attach(asked(&server).0, Err(error()), NOW);
    let reply = replies(&peer).pop().expect("an answer");
    assert_eq!(reply.link.map_err(|e| *e), Err(error()));
    assert_eq!(router.population(), before);
}

#[test]
fn a_message_and_its_outcome_pass_through() {
    let router = router();
    let mut server = server(&router, "svc");
    let mut peer = Peer::new(&router);
    let (own, link) = accepted(&server, &mut peer, Direction::In, 1);
    peer.effects();
    peer.send(link);
    let push = server.push();
    assert_eq!(push.link, own);
    server.answer(&push, DeliveryState::Rejected(None), true);
    let effects = peer.effects();
    assert!(matches!(effects[0], Effect::UpdateIn { state: Some(DeliveryState::Rejected(None)), settled: true, .. }));
    assert!(matches!(effects[1], Effect::Credit { credit: 1, .. }), "{effects:?}");
}

#[test]
fn a_server_is_told_of_credit_and_sends() {
    let router = router();
    let mut server = server(&router, "svc");
    let mut peer = Peer::new(&router);
    let (own, link) = accepted(&server, &mut peer, Direction::Out, 0);
    peer.submit(Action::PeerCredit { link, credit: 5, drain: true });
    let events = peer_events(&server);
    assert!(matches!(events[..], [PeerEvent::Credit { link, credit: 5, drain: true }] if link == own), "{events:?}");
    server.send(own);
    assert_eq!(peer.push().link, link);
    // What still waits at the port will use one of these.
    peer.submit(Action::PeerCredit { link, credit: 5, drain: false });
    let events = peer_events(&server);
    assert!(matches!(events[..], [PeerEvent::Credit { credit: 4, drain: false, .. }]), "{events:?}");
}

#[test]
fn settled_messages_that_nobody_takes_do_not_pile_up() {
    let router = router();
    let server = server(&router, "svc");
    let mut peer = Peer::new(&router);
    let (_, link) = accepted(&server, &mut peer, Direction::In, 1);
    for _ in 0..100 {
        peer.deliver(link, None, super::world::message(), Default::default(), true);
    }
    assert_eq!(server.pushes().len(), 10);
}

#[test]
fn the_end_of_one_is_the_end_of_the_other() {
    let router = router();
    let mut server = server(&router, "svc");
    let mut peer = Peer::new(&router);
    let before = router.population();
    for by_server in [false, true] {
        let (own, link) = accepted(&server, &mut peer, Direction::In, 1);
        peer.effects();
        let (from, to, other, gone) =
            if by_server { (&mut server, &mut peer, link, own) } else { (&mut peer, &mut server, own, link) };
        from.submit(Action::Detached { link: gone, error: Some(Box::new(error())), unsent: Vec::new() });
        let effects = to.effects();
        let [Effect::Detach { link, error: Some(told) }] = &effects[..] else { panic!("{effects:?}") };
        assert_eq!((*link, &**told), (other, &error()));
        assert_eq!(router.population(), before);
    }
}

#[test]
fn whoever_leaves_takes_the_links_along() {
    let router = router();
    let mut server = server(&router, "svc");
    let mut peer = Peer::new(&router);
    let before = router.population();
    // One is open, the other one unanswered.
    accepted(&server, &mut peer, Direction::In, 1);
    peer.attach_unanswered(Direction::Out, Some("svc"));
    server.effects();
    peer.submit(Action::Closed);
    assert_eq!(server.effects().len(), 2);
    assert_eq!(router.population().links, before.links);
    let mut peer = Peer::new(&router);
    peer.attach_unanswered(Direction::Out, Some("svc"));
    server.submit(Action::Closed);
    assert!(replies(&peer).pop().expect("an answer").link.is_err());
    assert_eq!(router.population().links, before.links);
    // From here on the address is one as others.
    peer.sender("svc");
}

#[test]
fn links_are_attached_to_peers() {
    let router = router();
    let server = Peer::in_process(&router);
    router.await_container(server.conn.id, "wanted");
    let mut peer = Peer::data_of(&router, "wanted");
    let events = peer_events(&server);
    let [PeerEvent::Opened(conn)] = events[..] else { panic!("{events:?}") };
    let attach = PeerAttach { conn, direction: Direction::In, source: Box::default(), target: Box::default() };
    let own = router.attach_to_peer(server.conn.id, attach.clone(), 7, NOW).expect("the peer is there");
    let effects = peer.effects();
    let out = effects.iter().find_map(|e| if let Effect::Attach(out) = e { Some(&**out) } else { None });
    let Some(&AttachOut { link, session: SessionClass::Endpoint, anonymous: false, .. }) = out else {
        panic!("{effects:?}")
    };
    peer.submit(Action::Attached { link, source: Some(Box::default()), target: None, settle_on_send: false });
    assert!(peer.effects().iter().any(|e| matches!(e, Effect::Credit { credit: 7, .. })));
    let events = peer_events(&server);
    assert!(matches!(events[..], [PeerEvent::Attached { link, source: Some(_), target: None }] if link == own));
    peer.submit(Action::Closed);
    assert!(router.attach_to_peer(server.conn.id, attach, 7, NOW).is_none());
}
