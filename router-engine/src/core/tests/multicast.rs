//! Outcomes of several copies.

use super::super::AddressConfig;
use super::super::action::Action;
use super::world::{Peer, router};
use crate::Router;
use crate::forward::Treatment;
use amqp_core::performative::DeliveryState;

fn multicast() -> Router {
    let router = router();
    router.add_address_config("mc", AddressConfig { treatment: Treatment::Multicast, priority: None }).expect("new");
    router
}

#[test]
fn the_outcome_is_told_when_the_last_one_comes_with_settlement() {
    let router = multicast();
    let (mut tx, mut a, mut b) = (Peer::new(&router), Peer::new(&router), Peer::new(&router));
    a.receiver("mc");
    b.receiver("mc");
    let link = tx.sender("mc");
    tx.send(link);
    let (pa, pb) = (a.push(), b.push());
    a.answer(&pa, DeliveryState::Accepted, false);
    assert_eq!(tx.outcomes(), []);
    b.answer(&pb, DeliveryState::Released, true);
    assert_eq!(tx.outcomes(), [(Some(DeliveryState::Accepted), false)]);
    a.answer(&pa, DeliveryState::Accepted, true);
    assert_eq!(tx.outcomes(), [(Some(DeliveryState::Accepted), true)]);
}

#[test]
fn the_outcome_is_told_once_when_undecided_consumers_leave() {
    let router = multicast();
    let mut tx = Peer::new(&router);
    let mut consumers: Vec<_> = (0..4).map(|_| Peer::new(&router)).collect();
    for consumer in &mut consumers {
        consumer.receiver("mc");
    }
    let link = tx.sender("mc");
    tx.send(link);
    let pushes: Vec<_> = consumers.iter().map(Peer::push).collect();
    consumers[1].submit(Action::Closed);
    consumers[0].answer(&pushes[0], DeliveryState::Released, false);
    consumers[3].answer(&pushes[3], DeliveryState::Released, false);
    assert_eq!(tx.outcomes(), []);
    consumers[2].submit(Action::Closed);
    assert_eq!(tx.outcomes(), [(Some(DeliveryState::failed()), false)]);
    consumers[0].answer(&pushes[0], DeliveryState::Accepted, true);
    assert_eq!(tx.outcomes(), []);
    consumers[3].submit(Action::Closed);
    assert_eq!(tx.outcomes(), [(Some(DeliveryState::failed()), true)]);
}
