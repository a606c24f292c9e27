//! Multi-frame deliveries, windows and aborts.

use super::super::*;
use super::pair::{Pair, messages};
use crate::performative::{DeliveryState, Role};
use bytes::Bytes;
use std::collections::VecDeque;

fn body(len: usize) -> Vec<u8> {
    (0..len).map(|n| u8::try_from(n * 7 % 251).unwrap()).collect()
}

#[test]
fn tiny_frames() {
    let mut pair = Pair::opened_with(|_, server| server.max_frame_size = 512);
    let (ours, theirs) = pair.link(Role::Sender);
    pair.server.grant_credit(theirs, 10);
    pair.run();
    let whole = body(10_000);
    for len in [0, 1, 470, 480, 490, 500, 512, 1000, 10_000] {
        pair.to_server.clear();
        pair.send_one(ours, 1, true, &whole[..len]);
        pair.run();
        assert_eq!(messages(&pair.to_server), [(whole[..len].to_vec(), true, false)]);
        pair.server.grant_credit(theirs, 1);
        pair.run();
    }
    assert_eq!(pair.failures(), []);
}

#[test]
fn stream_in_pieces_settled_at_the_end() {
    let mut pair = Pair::opened();
    let (ours, theirs) = pair.link(Role::Sender);
    pair.server.grant_credit(theirs, 10);
    pair.run();
    let state = Some(DeliveryState::Received { section_number: 1, section_offset: 2 });
    assert!(pair.client.start(ours, Outgoing { tag: 0x0102, settled: false, state: state.clone(), token: 9 }));
    assert!(!pair.client.can_start(ours));
    let whole = body(100_000);
    for piece in whole.chunks(30_000) {
        let mut payload: VecDeque<Bytes> = piece.chunks(700).map(Bytes::copy_from_slice).collect();
        while pair.client.send(ours, &mut payload, None, 8_000) == Sent::Limit {}
        assert!(payload.is_empty());
        pair.run();
        assert!(pair.client.is_sending(ours));
    }
    assert_eq!(pair.client.send(ours, &mut VecDeque::new(), Some(true), usize::MAX), Sent::Done);
    pair.run();
    assert_eq!(messages(&pair.to_server), [(whole, true, false)]);
    let Some(Event::Transfer(first)) = pair.to_server.iter().find(|e| matches!(e, Event::Transfer(_))) else {
        panic!()
    };
    assert_eq!(first.state, state);
    assert!(pair.client.links.iter().all(|(_, l)| l.unsettled == 0));
    assert!(pair.server.links.iter().all(|(_, l)| l.unsettled == 0));
}

#[test]
fn window_shuts_and_opens() {
    let mut pair = Pair::opened_with(|_, server| {
        server.max_frame_size = 512;
        server.session_window = 8;
    });
    let (ours, theirs) = pair.link(Role::Sender);
    pair.server.grant_credit(theirs, 10);
    pair.run();
    let session = pair.server.link_session(theirs).unwrap();
    pair.server.keep(session, 8);
    let whole = body(50_000);
    assert!(pair.client.start(ours, Outgoing { tag: 1, settled: false, state: None, token: 1 }));
    let mut payload = VecDeque::from([Bytes::from(whole.clone())]);
    assert_eq!(pair.client.send(ours, &mut payload, Some(false), usize::MAX), Sent::NoWindow);
    pair.run();
    assert_eq!(pair.to_server.iter().filter(|e| matches!(e, Event::Transfer(_))).count(), 8);
    assert_eq!(pair.client.session_window(pair.client.link_session(ours).unwrap()), 0);
    // Credit may be given meanwhile without opening the window.
    pair.server.grant_credit(theirs, 1);
    pair.run();
    assert_eq!(pair.client.send(ours, &mut payload, Some(false), usize::MAX), Sent::NoWindow);
    pair.server.consume(session, 8);
    let mut rounds = 0;
    loop {
        pair.run();
        assert!(matches!(pair.to_client.last(), Some(Event::WindowOpen(_))));
        rounds += 1;
        if pair.client.send(ours, &mut payload, Some(false), usize::MAX) == Sent::Done {
            break;
        }
    }
    pair.run();
    assert_eq!(messages(&pair.to_server), [(whole, false, false)]);
    assert!(rounds > 8);
    assert_eq!(pair.failures(), []);
}

/// Routers on Proton go on with what they have held back only when a link of theirs is told of.
#[test]
fn a_window_that_opens_is_told_with_the_link_that_used_it() {
    let mut pair = Pair::opened_with(|_, server| {
        server.max_frame_size = 512;
        server.session_window = 8;
    });
    let (ours, theirs) = pair.link(Role::Sender);
    pair.server.grant_credit(theirs, 1);
    pair.run();
    let session = pair.server.link_session(theirs).unwrap();
    pair.server.keep(session, 8);
    assert!(pair.client.start(ours, Outgoing { tag: 1, settled: false, state: None, token: 1 }));
    let mut payload = VecDeque::from([Bytes::from(body(50_000))]);
    assert_eq!(pair.client.send(ours, &mut payload, Some(false), usize::MAX), Sent::NoWindow);
    pair.run();
    pair.server.set_trace(true);
    pair.server.consume(session, 8);
    pair.run();
    let flows: Vec<_> = pair.server.take_trace().into_iter().filter(|line| line.contains("@flow")).collect();
    assert!(!flows.is_empty() && flows.iter().all(|line| line.contains("handle=0")), "{flows:?}");
    assert_eq!(pair.failures(), []);
}

#[test]
fn narrowed_window_slows_the_peer_down() {
    let mut pair = Pair::opened_with(|_, server| {
        server.max_frame_size = 512;
        server.session_window = 64;
    });
    let (ours, theirs) = pair.link(Role::Sender);
    pair.server.grant_credit(theirs, 1);
    pair.run();
    let (near, far) = (pair.client.link_session(ours).unwrap(), pair.server.link_session(theirs).unwrap());
    pair.server.narrow_window(far, Some(4));
    // What is on its way by the old window is taken.
    let mut payload = VecDeque::from([Bytes::from(body(50_000))]);
    assert!(pair.client.start(ours, Outgoing { tag: 1, settled: false, state: None, token: 1 }));
    pair.client.send(ours, &mut payload, Some(false), 10_000);
    pair.run();
    assert_eq!(pair.failures(), []);
    pair.run();
    assert_eq!(pair.client.session_window(near), 4);
    pair.server.narrow_window(far, None);
    pair.run();
    assert_eq!(pair.client.session_window(near), 64);
}

#[test]
fn abort_before_and_after_the_first_frame() {
    let mut pair = Pair::opened();
    let (ours, theirs) = pair.link(Role::Sender);
    pair.server.grant_credit(theirs, 2);
    pair.run();
    let outgoing = |token| Outgoing { tag: token, settled: false, state: None, token };
    assert!(pair.client.start(ours, outgoing(1)));
    assert!(!pair.client.abort(ours));
    assert_eq!(pair.client.credit(ours), 2);
    assert!(pair.client.start(ours, outgoing(2)));
    let mut payload = VecDeque::from([Bytes::from_static(b"half")]);
    assert_eq!(pair.client.send(ours, &mut payload, None, usize::MAX), Sent::Hungry);
    assert!(pair.client.abort(ours));
    assert!(!pair.client.abort(ours));
    pair.run();
    assert_eq!(messages(&pair.to_server), [(b"half".to_vec(), true, true)]);
    assert_eq!(pair.send_one(ours, 3, false, b"next"), Sent::Done);
    pair.run();
    assert_eq!(messages(&pair.to_server).len(), 2);
    assert_eq!(pair.failures(), []);
}

#[test]
fn abort_waits_for_the_window() {
    let mut pair = Pair::opened_with(|_, server| {
        server.max_frame_size = 512;
        server.session_window = 2;
    });
    let (ours, theirs) = pair.link(Role::Sender);
    pair.server.grant_credit(theirs, 2);
    pair.run();
    let session = pair.server.link_session(theirs).unwrap();
    pair.server.keep(session, 2);
    assert!(pair.client.start(ours, Outgoing { tag: 1, settled: false, state: None, token: 1 }));
    let mut payload = VecDeque::from([Bytes::from(body(5000))]);
    assert_eq!(pair.client.send(ours, &mut payload, None, usize::MAX), Sent::NoWindow);
    assert!(pair.client.abort(ours));
    assert_eq!(pair.client.send(ours, &mut payload, None, usize::MAX), Sent::Gone);
    assert!(!pair.client.can_start(ours));
    pair.run();
    pair.server.consume(session, 2);
    pair.run();
    assert!(messages(&pair.to_server)[0].2);
    assert!(pair.client.can_start(ours));
    assert_eq!(pair.failures(), []);
}

#[test]
fn interleaved_deliveries_of_two_links() {
    let mut pair = Pair::opened_with(|_, server| server.max_frame_size = 512);
    let session = pair.client.begin_session().unwrap();
    let (a, their_a) = pair.link_on(session, Role::Sender, "a");
    let (b, their_b) = pair.link_on(session, Role::Sender, "b");
    pair.server.grant_credit(their_a, 5);
    pair.server.grant_credit(their_b, 5);
    pair.run();
    let mut payloads = [VecDeque::from([Bytes::from(body(9000))]), VecDeque::from([Bytes::from(body(7000))])];
    for (n, link) in [a, b].into_iter().enumerate() {
        pair.client.start(link, Outgoing { tag: n as u64, settled: false, state: None, token: n as u64 });
    }
    let mut open = vec![0, 1];
    while !open.is_empty() {
        open.retain(|&n| pair.client.send([a, b][n], &mut payloads[n], Some(false), 400) != Sent::Done);
    }
    pair.run();
    let mut got = messages(&pair.to_server);
    got.sort_by_key(|m| m.0.len());
    assert_eq!(got, [(body(7000), false, false), (body(9000), false, false)]);
}

#[test]
fn payload_is_not_copied() {
    let mut pair = Pair::opened_with(|_, server| server.max_frame_size = 65536);
    let (ours, theirs) = pair.link(Role::Sender);
    pair.server.grant_credit(theirs, 1);
    pair.run();
    let data = Bytes::from(body(40_000));
    let mut payload = VecDeque::from([data.clone()]);
    assert!(pair.client.start(ours, Outgoing { tag: 1, settled: true, state: None, token: 1 }));
    assert_eq!(pair.client.send(ours, &mut payload, Some(true), usize::MAX), Sent::Done);
    let mut slices = [std::io::IoSlice::new(&[]); 4];
    let n = pair.client.output().fill_slices(&mut slices);
    assert!(slices[..n].iter().any(|s| s.as_ptr() == data.as_ptr() && s.len() == data.len()));
}

#[test]
fn a_last_state_is_on_the_last_frame_only() {
    let received = |section_number| DeliveryState::Received { section_number, section_offset: 0 };
    // The state of the first frame gives way where that is the last one too.
    for (len, expected) in
        [(0, [None, Some(9)]), (100, [None, Some(9)]), (500, [Some(1), Some(9)]), (5_000, [Some(1), Some(9)])]
    {
        let mut pair = Pair::opened_with(|_, server| server.max_frame_size = 512);
        let (ours, theirs) = pair.link(Role::Sender);
        pair.server.grant_credit(theirs, 10);
        pair.run();
        assert!(pair.client.start(ours, Outgoing { tag: 1, settled: false, state: Some(received(1)), token: 1 }));
        pair.client.set_last_state(ours, received(9));
        let mut payload = VecDeque::from([Bytes::from(body(len))]);
        assert_eq!(pair.client.send(ours, &mut payload, Some(false), usize::MAX), Sent::Done);
        pair.run();
        let transfers = pair.to_server.iter().filter_map(|e| if let Event::Transfer(t) = e { Some(t) } else { None });
        let states: Vec<_> = transfers.map(|t| t.state.clone()).collect();
        let (last, before) = states.split_last().expect("a transfer");
        assert_eq!(
            (before.first().cloned().flatten(), last.clone()),
            (expected[0].map(received), expected[1].map(received))
        );
        assert!(before.iter().skip(1).all(Option::is_none), "{states:?}");
        // The next delivery has none.
        pair.to_server.clear();
        pair.send_one(ours, 2, false, b"next");
        pair.run();
        assert!(pair.to_server.iter().all(|e| !matches!(e, Event::Transfer(t) if t.state.is_some())));
        assert_eq!(pair.failures(), []);
    }
}
