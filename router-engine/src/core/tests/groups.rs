//! Connection groups: a control connection and the data connections beside it.

use super::super::action::Action;
use super::world::{Peer, router, stream};
use crate::annotations::Annotations;

#[test]
fn a_data_connection_that_goes_while_its_control_links_are_gone_is_forgotten() {
    let router = router();
    let mut tx = Peer::new(&router);
    let (mut first, mut gone) = (Peer::neighbour(&router, "q"), Peer::data(&router));
    let mut left = Peer::data(&router);
    first.detached(first.links()[0]);
    gone.submit(Action::Closed);
    first.submit(Action::Closed);
    // The next one gets the data connections that are left.
    let next = Peer::neighbour(&router, "q");
    let link = tx.sender("q");
    for _ in 0..4 {
        tx.deliver(link, None, stream(), Annotations::default(), false);
    }
    assert_eq!((next.pushes().len(), left.pushes().len()), (0, 4));
    left.submit(Action::Closed);
    assert!(!tx.outcomes().is_empty());
}
