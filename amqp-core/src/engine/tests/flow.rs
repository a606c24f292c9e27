//! Credit and windows, as raw peers tell them.

use super::super::*;
use super::pair::{Raw, attach, encode};
use crate::performative::{Begin, Flow, Role};
use bytes::Bytes;
use std::collections::VecDeque;

/// The attached links of a server, in order.
fn links(raw: &Raw) -> Vec<LinkKey> {
    raw.events.iter().filter_map(|e| if let Event::Attach { link, .. } = e { Some(*link) } else { None }).collect()
}

fn start(raw: &mut Raw, link: LinkKey) -> bool {
    raw.server.start(link, Outgoing { tag: 1, settled: true, state: None, token: 1 })
}

fn send(raw: &mut Raw, link: LinkKey) -> Sent {
    raw.server.send(link, &mut VecDeque::from([Bytes::from_static(b"x")]), Some(true), usize::MAX)
}

#[test]
fn what_is_started_goes_out_with_credit_only() {
    let mut raw = Raw::new(Config::default());
    raw.feed(encode(0, attach("r", 0, Role::Receiver)));
    let link = links(&raw)[0];
    let flow = |window, count, credit| Flow {
        next_incoming_id: Some(0),
        incoming_window: window,
        handle: Some(0),
        delivery_count: Some(count),
        link_credit: Some(credit),
        ..Flow::default()
    };
    // The peer takes its credit back.
    raw.feed(encode(0, flow(0, 0, 1)));
    assert!(start(&mut raw, link));
    assert_eq!(send(&mut raw, link), Sent::NoWindow);
    raw.feed(encode(0, flow(5, 0, 0)));
    assert_eq!(send(&mut raw, link), Sent::NoCredit);
    // The credit is used up by the answer to a drain.
    raw.feed(encode(0, flow(0, 0, 3)));
    assert_eq!(send(&mut raw, link), Sent::NoWindow);
    raw.server.drained(link);
    raw.feed(encode(0, flow(5, 3, 0)));
    assert_eq!(send(&mut raw, link), Sent::NoCredit);
    let before = raw.server.output().total();
    raw.feed(encode(0, flow(5, 3, 1)));
    assert_eq!(send(&mut raw, link), Sent::Done);
    assert!(raw.server.output().total() > before);
    assert_eq!((raw.server.credit(link), raw.failure()), (0, None));
}

#[test]
fn credit_given_up_late_is_told() {
    let mut raw = Raw::new(Config::default());
    raw.feed(encode(0, attach("s", 0, Role::Sender)));
    let link = links(&raw)[0];
    raw.server.set_drain(link, true);
    raw.server.flush(raw.now);
    raw.server.set_drain(link, false);
    raw.server.grant_credit(link, 5);
    raw.server.flush(raw.now);
    let drained = |raw: &mut Raw, count| {
        raw.events.clear();
        let flow = Flow { handle: Some(0), delivery_count: Some(count), link_credit: Some(0), ..Flow::default() };
        raw.feed(encode(0, flow));
        match raw.events[..] {
            [] => None,
            [Event::Drained { skipped, .. }] => Some(skipped),
            _ => panic!("{:?}", raw.events),
        }
    };
    assert_eq!((drained(&mut raw, 10), raw.server.credit(link)), (Some(10), 5));
    // Nothing new, and nonsense.
    assert_eq!((drained(&mut raw, 10), drained(&mut raw, 9), drained(&mut raw, 16)), (None, None, None));
    raw.server.set_drain(link, true);
    assert_eq!((drained(&mut raw, 15), raw.server.credit(link)), (Some(5), 0));
    // Each drain is answered, even with nothing to give up.
    assert_eq!(drained(&mut raw, 15), Some(0));
}

#[test]
fn the_largest_window_and_credit() {
    for most in [0x8000_0000, u32::MAX] {
        let mut raw = Raw::new(Config::default());
        raw.feed(encode(1, Begin { incoming_window: most, ..Begin::default() }));
        raw.feed(encode(1, attach("r", 0, Role::Receiver)));
        let link = links(&raw)[0];
        let flow = Flow { next_incoming_id: Some(0), incoming_window: most, ..Flow::default() };
        let credit = Flow { handle: Some(0), delivery_count: Some(0), link_credit: Some(most), ..flow.clone() };
        for (left, flow) in [(most, credit.clone()), (most - 1, credit), (most - 2, flow)] {
            raw.feed(encode(1, flow));
            assert_eq!(raw.server.credit(link), left);
            assert!(start(&mut raw, link));
            assert_eq!(send(&mut raw, link), Sent::Done);
        }
        let session = raw.server.link_session(link).unwrap();
        assert_eq!(raw.server.session_window(session), most - 3);
        assert_eq!(raw.failure(), None);
    }
}
