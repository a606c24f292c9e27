//! The transfer path allocates nothing per frame: what a batch of messages costs does not grow with
//! their number, but for the buffers that carry the octets.

use super::super::*;
use super::pair::Pair;
use crate::performative::{DeliveryState, Role};
use allocation_counter::measure;
use bytes::Bytes;
use std::collections::VecDeque;

const MESSAGES: u64 = 200;

fn send_batch(pair: &mut Pair, link: LinkKey, payload: &Bytes, queue: &mut VecDeque<Bytes>) {
    for token in 0..MESSAGES {
        assert!(pair.client.start(link, Outgoing { tag: token, settled: false, state: None, token }));
        queue.push_back(payload.clone());
        assert_eq!(pair.client.send(link, queue, Some(false), usize::MAX), Sent::Done);
    }
    pair.client.flush(pair.now);
}

/// Receives a batch and accepts each message. Returns how many came.
fn receive_batch(pair: &mut Pair, link: LinkKey, octets: &Bytes) -> u64 {
    pair.server.receive(octets.clone());
    let mut seen = 0;
    while let Some(event) = pair.server.poll_event(pair.now) {
        if let Event::Transfer(t) = event {
            pair.server.update_in(t.delivery, Some(DeliveryState::Accepted), true);
            seen += 1;
        }
    }
    pair.server.grant_credit(link, MESSAGES as u32);
    pair.server.flush(pair.now);
    seen
}

#[test]
fn messages_are_sent_received_and_settled_without_allocating() {
    let mut pair = Pair::opened();
    let (ours, theirs) = pair.link(Role::Sender);
    pair.server.grant_credit(theirs, MESSAGES as u32);
    pair.run();
    // Both a payload that is copied next to its header and one that is chained.
    for size in [32, 4096] {
        let payload = Bytes::from(vec![7; size]);
        let mut queue = VecDeque::with_capacity(4);
        // The first rounds grow tables and buffers to their working size.
        for round in 0..3 {
            let sent = measure(|| send_batch(&mut pair, ours, &payload, &mut queue));
            let octets = Bytes::from(super::pair::take_all(pair.client.output()));
            let mut seen = 0;
            let received = measure(|| seen = receive_batch(&mut pair, theirs, &octets));
            assert_eq!(seen, MESSAGES);
            let answer = Bytes::from(super::pair::take_all(pair.server.output()));
            let settled = measure(|| {
                pair.client.receive(answer);
                while let Some(event) = pair.client.poll_event(pair.now) {
                    drop(event);
                }
            });
            if round > 0 {
                for (what, info) in [("send", sent), ("receive", received), ("settle", settled)] {
                    let (count, limit) = (info.count_total, MESSAGES / 10);
                    assert!(count < limit, "{what} of {size} octets: {count} allocations for {MESSAGES} messages");
                }
            }
        }
    }
}
