//! What was not sent when a link or a connection goes.

use super::super::action::{Action, Direction};
use super::world::{Peer, router};
use amqp_core::performative::DeliveryState;

#[test]
fn what_is_still_in_the_mailbox_of_a_lost_link_is_released() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    let queue = rx.receiver("q");
    let link = tx.sender("q");
    tx.send(link);
    rx.push();
    tx.send(link);
    rx.detached(queue);
    assert_eq!(tx.outcomes(), [(Some(DeliveryState::failed()), true), (Some(DeliveryState::Released), true)]);
}

#[test]
fn what_came_for_a_link_that_was_never_answered_is_released() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    let link = tx.sender("q");
    rx.attach_unanswered(Direction::Out, Some("q"));
    tx.send(link);
    rx.submit(Action::Closed);
    assert_eq!(tx.outcomes(), [(Some(DeliveryState::Released), true)]);
}
