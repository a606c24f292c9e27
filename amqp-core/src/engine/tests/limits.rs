//! Breaches of the protocol; each must be told apart and close the connection.

use super::super::*;
use super::pair::{Pair, Raw, attach, encode};
use crate::performative::{Begin, Detach, Disposition, End, Flow, Performative, Role, Transfer};
use bytes::Bytes;

fn after(frames: impl IntoIterator<Item = (u16, Performative)>) -> (Raw, Option<Violation>) {
    let mut raw = Raw::new(Config { channel_max: 3, session_window: 4, ..Config::default() });
    for (channel, frame) in frames {
        raw.feed(encode(channel, frame));
    }
    let failure = raw.failure().cloned();
    if failure.is_some() {
        assert_eq!(raw.server.status(), Status::Closing);
        assert!(matches!(raw.events.last(), Some(Event::Failed(_))));
    }
    (raw, failure)
}

fn transfer(handle: u32, id: Option<u32>) -> Performative {
    Transfer { handle, delivery_id: id, settled: Some(true), ..Transfer::default() }.into()
}

fn sender(handle: u32) -> Performative {
    attach("s", handle, Role::Sender).into()
}

#[test]
fn violations_are_told_apart() {
    let begin = || Performative::from(Begin { incoming_window: 9, ..Begin::default() });
    let flow = |handle| Performative::from(Flow { handle: Some(handle), ..Flow::default() });
    let cases: Vec<(Vec<(u16, Performative)>, Violation)> = vec![
        (vec![(4, begin())], Violation::ChannelAboveMax { channel: 4, max: 3 }),
        (vec![(0, begin())], Violation::ChannelInUse(0)),
        (vec![(2, End::default().into())], Violation::NoSuchChannel(2)),
        (vec![(2, sender(0))], Violation::NoSuchChannel(2)),
        (vec![(0, sender(0x8000_0000))], Violation::HandleAboveMax { handle: 0x8000_0000, max: 0x7fff_ffff }),
        (vec![(0, sender(1)), (0, attach("t", 1, Role::Sender).into())], Violation::HandleInUse(1)),
        (vec![(0, sender(1)), (0, sender(2))], Violation::LinkNameInUse("s".into())),
        (vec![(0, flow(7))], Violation::NoSuchHandle(7)),
        (vec![(0, transfer(7, Some(0)))], Violation::NoSuchHandle(7)),
        (vec![(0, Detach { handle: 5, closed: true, error: None }.into())], Violation::NoSuchHandle(5)),
        (vec![(0, sender(0)), (0, Detach::default().into())], Violation::SuspendNotSupported),
        (vec![(0, sender(0)), (0, transfer(0, None))], Violation::NoDeliveryId),
        (
            vec![(0, sender(0)), (0, transfer(0, Some(5))), (0, transfer(0, Some(7)))],
            Violation::Sequencing { expected: 6, got: 7 },
        ),
        (vec![(0, attach("r", 0, Role::Receiver).into()), (0, transfer(0, Some(0)))], Violation::TransferByReceiver),
        (vec![(0, super::pair::container("again").into())], Violation::Unexpected("open")),
    ];
    for (frames, violation) in cases {
        assert_eq!(after(frames).1, Some(violation));
    }
}

#[test]
fn texts_of_the_interface() {
    for (violation, condition, text) in [
        (
            Violation::ChannelAboveMax { channel: 9, max: 3 },
            "amqp:connection:framing-error",
            "remote channel 9 is above negotiated channel_max 3.",
        ),
        (
            Violation::HandleAboveMax { handle: 9, max: 3 },
            "amqp:connection:framing-error",
            "remote handle 9 is above handle_max 3.",
        ),
        (Violation::NoSuchChannel(2), "amqp:not-allowed", "no such channel: 2"),
        (Violation::NoSuchHandle(2), "amqp:invalid-field", "no such handle: 2"),
        (Violation::LinkNameInUse("x".into()), "amqp:invalid-field", "link name already attached: x"),
        (
            Violation::Sequencing { expected: 1, got: 2 },
            "amqp:session:invalid-field",
            "sequencing error, expected delivery-id 1, got 2",
        ),
        (Violation::WindowExceeded, "amqp:session:window-violation", "incoming session window exceeded"),
        (Violation::SuspendNotSupported, "amqp:not-implemented", "Link detach/reattach not supported"),
        (Violation::MalformedFrame, "amqp:connection:framing-error", "malformed frame"),
    ] {
        assert_eq!((violation.condition(), &*violation.to_string()), (condition, text));
    }
}

#[test]
fn credit_and_window_are_enforced() {
    let many = |n: u32| std::iter::once((0, sender(0))).chain((0..n).map(|id| (0, transfer(0, Some(id)))));
    // Ten credits are given by the fixture; the window of four opens at each turn.
    assert_eq!(after(many(10)).1, None);
    assert_eq!(after(many(11)).1, Some(Violation::CreditExceeded));
    let (mut raw, _) = after(many(0));
    let link =
        raw.events.iter().find_map(|e| if let Event::Attach { link, .. } = e { Some(*link) } else { None }).unwrap();
    let session = raw.server.link_session(link).unwrap();
    raw.server.keep(session, 4);
    for id in 0..5 {
        assert_eq!(raw.failure(), None);
        raw.feed(encode(0, transfer(0, Some(id))));
    }
    assert_eq!(raw.failure(), Some(&Violation::WindowExceeded));
}

#[test]
fn malformed_frames() {
    for bad in
        [&b"\0\0\0\x07\x02\0\0\0"[..], b"\0\xff\0\0\x02\0\0\0", b"\0\0\0\x08\x01\0\0\0", b"\0\0\0\x08\x02\x01\0\0"]
    {
        let (mut raw, _) = after([]);
        raw.feed(Bytes::from_static(bad));
        assert_eq!(raw.failure(), Some(&Violation::MalformedFrame));
    }
    let (mut raw, _) = after([]);
    raw.feed(&b"\0\0\0\x0c\x02\0\0\0\0\x53\x99\x45"[..]);
    assert!(matches!(raw.failure(), Some(Violation::Decode(_))));
}

#[test]
fn frames_before_open_are_refused() {
    let mut server = Connection::new(Config::default());
    server.receive(Bytes::from_static(b"AMQP\0\x01\0\0"));
    server.receive(encode(0, Begin::default()));
    let now = crate::time::Instant::default();
    while server.poll_event(now).is_some() {}
    assert_eq!(server.failure(), Some(&Violation::Unexpected("begin")));
}

#[test]
fn hostile_disposition_ranges_are_bounded_by_what_is_outstanding() {
    let (mut raw, _) = after([(0, sender(0))]);
    for id in 0..3 {
        raw.feed(encode(0, Transfer { delivery_id: Some(id), ..Transfer::default() }));
    }
    for (first, last) in [(0, 0x7fff_ffff), (0xffff_0000, 5), (5, 4), (0, u32::MAX)] {
        raw.events.clear();
        let d =
            Disposition { role: Role::Sender, first, last: Some(last), settled: false, state: None, batchable: false };
        raw.feed(encode(0, d));
        let told = raw.events.iter().filter(|e| matches!(e, Event::Update(_))).count();
        assert_eq!(told, if last == 4 || last == u32::MAX { 0 } else { 3 });
    }
}

/// The table of deliveries is not searched once for each link: that would take far longer than to fill it.
#[test]
#[expect(clippy::disallowed_methods, reason = "measures")]
fn end_takes_no_longer_for_many_links() {
    const LINKS: u32 = 6000;
    let mut raw = Raw::new(Config { session_window: 1000, ..Config::default() });
    for ours in [false, true] {
        let began = std::time::Instant::now();
        raw.feed(encode(1, Begin { incoming_window: 9, ..Begin::default() }));
        let mut octets = Vec::new();
        for handle in 0..LINKS {
            octets.extend_from_slice(&encode(1, attach(&handle.to_string(), handle, Role::Sender)));
        }
        raw.feed(octets);
        for round in 0..8 {
            for handle in 0..LINKS {
                let id = Some(round * LINKS + handle);
                raw.feed(encode(1, Transfer { handle, delivery_id: id, ..Transfer::default() }));
            }
        }
        assert_eq!((raw.failure(), raw.server.link_count()), (None, LINKS as usize));
        let filled = began.elapsed();
        if ours {
            let Some(Event::Begun(session)) = raw.events.iter().rfind(|e| matches!(e, Event::Begun(_))) else {
                panic!()
            };
            raw.server.end_session(*session, None);
        }
        raw.feed(encode(1, End::default()));
        assert_eq!((raw.failure(), raw.server.link_count(), raw.server.session_count()), (None, 0, 1));
        let (all, filled) = (began.elapsed(), filled.as_millis());
        assert!((all.as_millis() - filled) < filled, "{all:?} with {filled} ms to fill the session");
    }
}

#[test]
fn channels_and_handles_of_ours_are_limited() {
    let mut pair = Pair::opened_with(|client, _| client.channel_max = 1);
    assert!(pair.client.begin_session().is_some());
    let second = pair.client.begin_session().unwrap();
    assert!(pair.client.begin_session().is_none());
    pair.run();
    pair.client.end_session(second, None);
    pair.run();
    assert!(pair.client.begin_session().is_some());
}

#[test]
fn pipelined_everything_in_one_chunk() {
    let mut octets = b"AMQP\0\x01\0\0".to_vec();
    octets.extend_from_slice(&encode(0, super::pair::container("c")));
    octets.extend_from_slice(&encode(0, Begin { incoming_window: 5, ..Begin::default() }));
    octets.extend_from_slice(&encode(0, sender(0)));
    octets.extend_from_slice(&encode(0, attach("r", 1, Role::Receiver)));
    let credit = Flow { handle: Some(1), link_credit: Some(5), incoming_window: 5, ..Flow::default() };
    octets.extend_from_slice(&encode(0, credit));
    octets.extend_from_slice(&encode(0, crate::performative::Close::default()));
    let mut raw =
        Raw { server: Connection::new(Config::default()), events: Vec::new(), now: crate::time::Instant::default() };
    raw.feed(octets);
    let kinds: Vec<_> =
        raw.events.iter().map(|e| format!("{e:?}").split([' ', '(']).next().unwrap().to_owned()).collect();
    assert_eq!(kinds, ["RemoteOpen", "Begun", "Attach", "Attach", "Flow", "Closed"]);
    assert_eq!(raw.failure(), None);
    assert_eq!(raw.server.status(), Status::Closing);
}
