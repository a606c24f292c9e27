//! The time of the core.

use super::super::action::Action;
use super::world::{NOW, Peer, router};
use std::time::Duration;

#[test]
fn time_does_not_go_back_whoever_comes_late() {
    let router = router();
    let mut peer = Peer::new(&router);
    let second = Duration::from_secs(1);
    let now = || router.with(|core| core.now);
    peer.submit_at(Action::Closed, NOW + 5 * second);
    let _late = Peer::new(&router);
    assert_eq!(now(), NOW + 5 * second, "a connection and its first batch");
    router.handle_timeout(NOW + 4 * second);
    assert_eq!(now(), NOW + 5 * second, "a tick");
    router.handle_timeout(NOW + 6 * second);
    assert_eq!(now(), NOW + 6 * second);
}
