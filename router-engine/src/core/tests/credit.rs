//! Credit of senders.

use super::super::effect::Effect;
use super::world::{Peer, router};
use amqp_core::performative::DeliveryState;

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
