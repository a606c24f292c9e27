//! What waits to be sent.

use super::super::egress::position;
use crate::annotations::Annotations;
use crate::core::effect::Push;
use crate::core::ids::{LinkId, OutId};
use crate::stream::Payload;
use bytes::Bytes;
use std::collections::VecDeque;

fn id(number: u32) -> OutId {
    OutId::from_bits(number.into())
}

fn waiting(number: u32) -> Box<Push> {
    Box::new(Push {
        link: LinkId::made_up(1),
        id: id(number),
        from: None,
        from_kind: None,
        settled: false,
        payload: Payload::One(Bytes::new()),
        reader: None,
        annotations: Annotations::default(),
        state: None,
    })
}

#[test]
fn deliveries_are_found_while_their_numbers_begin_anew() {
    let numbers = [u32::MAX - 4, u32::MAX - 1, u32::MAX, 1, 2, 7];
    let queue: VecDeque<_> = numbers.map(waiting).into();
    for (at, &number) in numbers.iter().enumerate() {
        assert_eq!(position(&queue, id(number)), Some(at));
    }
    // Sent before, sent by other links, and still to come.
    for number in [5, 8, 1_000_000, u32::MAX - 5, u32::MAX - 2] {
        assert_eq!(position(&queue, id(number)), None, "{number}");
    }
    assert_eq!(position(&VecDeque::new(), id(1)), None);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "measures")]
fn what_has_left_is_not_searched_among_all_that_waits() {
    let cost = |length: u32| {
        let queue: VecDeque<_> = (1000..1000 + length).map(waiting).collect();
        let ask = || {
            let begun = std::time::Instant::now();
            (1..1000).for_each(|number| assert_eq!(position(&queue, id(number)), None));
            begun.elapsed()
        };
        // The quickest of several: others may use the machine.
        (0..20).map(|_| ask()).min().expect("asked")
    };
    let (few, many) = (cost(10), cost(10_000));
    // Looking at each would cost hundreds of times as much.
    assert!(many < 50 * few, "{many:?}, {few:?}");
}
