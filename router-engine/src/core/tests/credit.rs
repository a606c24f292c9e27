//! Credit of senders.

use super::super::action::Direction;
use super::super::effect::Effect;
use super::super::ids::LinkId;
use super::super::objects::LinkKind;
use super::world::{Peer, router, stream};
use crate::annotations::Annotations;
use crate::core::Router;
use crate::stream::Payload;
use amqp_core::Instant;
use amqp_core::performative::DeliveryState;
use bytes::Bytes;

/// Credit that a peer was granted on a link since the last look.
fn granted(peer: &Peer<'_>, on: LinkId) -> u32 {
    let grants = peer.effects().into_iter().filter_map(|e| match e {
        Effect::Credit { link, credit, .. } if link == on => Some(credit),
        _ => None,
    });
    grants.sum()
}

fn tick(router: &Router, second: u64) {
    router.handle_timeout(Instant::from_micros(second * 1_000_000));
}

#[test]
fn a_sender_goes_on_when_the_way_to_a_remote_consumer_is_lost_for_a_moment() {
    let router = router();
    let (mut tx, b) = (Peer::new(&router), Peer::neighbour(&router, "q"));
    let link = tx.sender("q");
    b.way(false);
    tx.send(link);
    let effects = tx.effects();
    let released =
        |e: &Effect| matches!(e, Effect::UpdateIn { state: Some(DeliveryState::Released), settled: true, .. });
    assert!(effects.iter().any(released), "{effects:?}");
    assert!(
        effects.iter().any(|e| matches!(e, Effect::Credit { credit: 1, drain: false, .. })),
        "credit comes back: {effects:?}"
    );
    b.way(true);
    tx.send(link);
    b.push();
}

#[test]
fn a_stream_of_a_router_that_lasts_brings_its_credit_back_once_before_its_end() {
    let router = router();
    let (mut b, mut rx) = (Peer::neighbour(&router, "far"), Peer::new(&router));
    rx.receiver("q");
    let link = b.sender("q");
    b.deliver(link, None, stream(), Annotations::default(), false);
    let push = rx.push();
    assert_eq!(granted(&b, link), 0, "as it begins");
    tick(&router, 1);
    assert_eq!(granted(&b, link), 1, "with the tick after it began");
    tick(&router, 2);
    rx.answer(&push, DeliveryState::Accepted, true);
    assert_eq!(granted(&b, link), 0, "ever again");
}

#[test]
fn a_stream_of_a_router_that_is_short_brings_its_credit_back_at_its_end() {
    let router = router();
    let (mut b, mut rx) = (Peer::neighbour(&router, "far"), Peer::new(&router));
    rx.receiver("q");
    let link = b.sender("q");
    b.deliver(link, None, stream(), Annotations::default(), false);
    let push = rx.push();
    rx.answer(&push, DeliveryState::Accepted, true);
    assert_eq!(granted(&b, link), 1);
    tick(&router, 1);
    assert_eq!(granted(&b, link), 0);
}

#[test]
fn a_stream_of_a_client_brings_its_credit_back_at_its_end_however_long_it_lasts() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    rx.receiver("q");
    let link = tx.sender("q");
    tx.deliver(link, None, stream(), Annotations::default(), false);
    let push = rx.push();
    granted(&tx, link);
    tick(&router, 1);
    tick(&router, 2);
    assert_eq!(granted(&tx, link), 0);
    rx.answer(&push, DeliveryState::Accepted, true);
    assert_eq!(granted(&tx, link), 1);
}

#[test]
fn a_router_gets_more_credit_once_it_has_used_some() {
    let router = router();
    let (mut b, mut rx) = (Peer::neighbour(&router, "far"), Peer::new(&router));
    rx.receiver("q");
    let links = b.links();
    let (link, has) = router.with(|core| {
        let mut links = links.iter().filter_map(|&id| core.links.find(id)).map(|slot| &core.links[slot]);
        let data = links.find(|link| matches!(link.kind, LinkKind::Data(_)) && link.direction == Direction::In);
        data.map(|link| (link.id, link.peer_credit)).expect("a link for messages")
    });
    assert!(has > 8, "{has}");
    granted(&b, link);
    let mut send = |b: &mut Peer<'_>| {
        b.deliver(link, Some("q"), Payload::One(Bytes::from_static(b"m")), Annotations::default(), false);
        let push = rx.push();
        rx.answer(&push, DeliveryState::Accepted, true);
        granted(b, link)
    };
    let quarter = has.div_ceil(4);
    for _ in 1..quarter {
        assert_eq!(send(&mut b), 0, "it has plenty");
    }
    assert_eq!(send(&mut b), quarter, "all at once");
}
