//! Messages that are forwarded while they arrive.

use super::super::annotate::AnnotationEncoder;
use super::super::*;
use super::world::{World, message, params};
use crate::LinkId;
use crate::annotations::{Annotations, flags};
use crate::core::action::Direction;
use crate::core::connection::ConnectionRole;
use crate::core::effect::{AttachOut, CutThrough, SessionClass};
use crate::port::local::{self, Attach, Endpoint, Envelope, Identity};
use crate::stream::{Finish, Payload, Pull, Stream, StreamLimits};
use amqp_core::engine::{AttachParams, Event, LinkKey, Outgoing, Sent};
use amqp_core::performative::{DeliveryState, Open, Role, Target};
use amqp_core::value::{Map, Symbol, Value};

const CHUNK: usize = 16 * 1024;

/// Sends as much of a message as the window allows; true when nothing is left of it.
fn feed(world: &mut World, client: usize, link: LinkKey, payload: &mut VecDeque<Bytes>, last: Option<bool>) -> bool {
    let sent = world.at(client).engine.send(link, payload, last, usize::MAX);
    world.run();
    assert_ne!(sent, Sent::Gone);
    matches!(sent, Sent::Done | Sent::Hungry)
}

fn chunks(message: &Bytes) -> VecDeque<Bytes> {
    message.chunks(CHUNK).map(Bytes::copy_from_slice).collect()
}

fn start(world: &mut World, client: usize, link: LinkKey, settled: bool) {
    assert!(world.at(client).engine.start(link, Outgoing { tag: 1, settled, state: None, token: 1 }));
}

/// Two clients, the first sending to the second.
fn pair(credit: u32) -> (World, LinkKey, LinkKey) {
    let mut world = World::new();
    let (a, b) = (world.narrow_client(), world.client());
    let receiver = world.receiver(b, "q", credit);
    let sender = world.sender(a, Some("q"));
    (world, sender, receiver)
}

#[test]
fn large_message_flows_through() {
    for settled in [false, true] {
        let (mut world, sender, _) = pair(10);
        let whole = message(None, 3_000_000);
        let mut payload = chunks(&whole);
        start(&mut world, 0, sender, settled);
        let mut early = false;
        while !feed(&mut world, 0, sender, &mut payload, Some(settled)) {
            early |= !world.at(1).deliveries().is_empty();
        }
        world.run();
        let got = world.at(1).deliveries();
        assert!(early, "the message was held until it was complete");
        assert_eq!(got.len(), 1);
        assert_eq!((got[0].complete, got[0].settled), (true, settled));
        assert!(got[0].octets == whole, "octets differ");
        if !settled {
            world.at(1).engine.update_in(got[0].key, Some(DeliveryState::Accepted), true);
            world.run();
            assert_eq!(world.at(0).outcomes(), [(1, Some(DeliveryState::Accepted), true)]);
        }
        assert_eq!(world.at(0).engine.credit(sender), 10);
        assert!(world.at(0).port.stalls.is_empty());
        // The link goes on with ordinary messages.
        world.at(0).send(sender, 2, true, message(None, 5));
        world.run();
        assert_eq!(world.at(1).deliveries().len(), 2);
    }
}

#[test]
fn a_drain_is_answered_while_a_stream_is_on_its_way() {
    let (mut world, sender, receiver) = pair(10);
    let whole = message(None, 600_000);
    let mut payload = chunks(&whole);
    let mut tail = payload.split_off(20);
    start(&mut world, 0, sender, false);
    while !feed(&mut world, 0, sender, &mut payload, None) {}
    assert!(!world.at(1).deliveries()[0].complete);
    world.at(1).engine.set_drain(receiver, true);
    world.run();
    assert!(world.at(1).events.iter().any(|e| matches!(e, Event::Drained { .. })), "its credit is taken");
    while !feed(&mut world, 0, sender, &mut tail, Some(false)) {}
    assert!(world.at(1).deliveries()[0].octets == whole);
}

#[test]
fn small_incomplete_message_is_held() {
    let (mut world, sender, _) = pair(10);
    let whole = message(None, 200_000);
    let mut payload = chunks(&whole);
    let tail = payload.split_off(5);
    start(&mut world, 0, sender, false);
    feed(&mut world, 0, sender, &mut payload, None);
    assert!(world.at(1).deliveries().is_empty());
    let mut tail = tail;
    feed(&mut world, 0, sender, &mut tail, Some(false));
    assert!(world.at(1).deliveries()[0].octets == whole);
}

#[test]
fn slow_receiver_stalls_the_sender_only() {
    let (mut world, sender, _) = pair(10);
    world.at(1).stalled = true;
    let whole = message(None, 20_000_000);
    let mut payload = chunks(&whole);
    let all = payload.len();
    start(&mut world, 0, sender, false);
    for _ in 0..200 {
        feed(&mut world, 0, sender, &mut payload, Some(false));
    }
    // The window of 16 frames, the stream, and the output: that much was taken, and no more.
    let taken = (all - payload.len()) * CHUNK;
    assert!(taken <= 16 * CHUNK + 1024 * 1024, "{taken} octets were taken");
    assert!(world.at(1).peak_output <= limits::OUTPUT_TARGET + limits::LINK_SHARE + CHUNK);
    assert!(!world.at(0).port.stalls.is_empty());
    // Another session of the same connection is not affected.
    let third = world.client();
    world.receiver(third, "other", 10);
    let other = world.attach(0, Role::Sender, Some("other"));
    world.at(0).send(other, 9, true, message(None, 10));
    world.run();
    assert_eq!(world.at(third).deliveries().len(), 1);
    world.at(1).stalled = false;
    while !feed(&mut world, 0, sender, &mut payload, Some(false)) {}
    world.run();
    assert!(world.at(1).deliveries()[0].octets == whole);
    assert!(world.at(0).port.stalls.is_empty());
}

#[test]
fn abort_travels() {
    for complete_first in [false, true] {
        let (mut world, sender, _) = pair(10);
        let whole = message(None, 1_000_000);
        let mut payload = chunks(&whole);
        payload.truncate(if complete_first { 3 } else { 40 });
        start(&mut world, 0, sender, false);
        while !feed(&mut world, 0, sender, &mut payload, None) {}
        assert!(world.at(0).engine.abort(sender));
        world.run();
        let got = world.at(1).deliveries();
        if complete_first {
            // It was still held: nobody hears of it.
            assert!(got.is_empty());
        } else {
            assert!(got[0].aborted && !got[0].complete);
        }
        assert_eq!(world.at(0).engine.credit(sender), 10);
        world.at(0).send(sender, 2, true, message(None, 5));
        world.run();
        assert!(world.at(1).deliveries().last().unwrap().complete);
    }
}

#[test]
fn what_came_before_an_abort_is_sent_first() {
    let (mut world, sender, _) = pair(10);
    let whole = message(None, 1_000_000);
    let mut payload = chunks(&whole);
    let mut tail = payload.split_off(40);
    tail.truncate(1);
    start(&mut world, 0, sender, false);
    while !feed(&mut world, 0, sender, &mut payload, None) {}
    // The router finds both in one turn.
    world.at(0).engine.send(sender, &mut tail, None, usize::MAX);
    assert!(tail.is_empty(), "the window is too small");
    assert!(world.at(0).engine.abort(sender));
    world.run();
    let got = world.at(1).deliveries();
    assert!(got[0].aborted && !got[0].complete);
    assert!(got[0].octets[..] == whole[..41 * CHUNK], "{} octets", got[0].octets.len());
}

#[test]
fn what_came_before_an_abort_is_sent_also_when_nothing_was_sent_before_it() {
    // The receiver gives credit only when the abort is known.
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    let receiver = world.receiver(b, "q", 0);
    let sender = world.sender(a, Some("q"));
    let whole = message(None, 1_000_000);
    let mut payload = chunks(&whole);
    // More than is held.
    payload.truncate(17);
    start(&mut world, 0, sender, false);
    assert!(feed(&mut world, 0, sender, &mut payload, None));
    assert!(world.at(0).engine.abort(sender));
    world.run();
    world.at(1).engine.grant_credit(receiver, 10);
    world.run();
    let got = world.at(1).deliveries();
    assert!(got[0].aborted && !got[0].complete);
    assert!(got[0].octets[..] == whole[..17 * CHUNK], "{} octets", got[0].octets.len());
}

#[test]
fn receiver_lost_in_the_middle() {
    let (mut world, sender, receiver) = pair(10);
    let whole = message(None, 1_000_000);
    let mut payload = chunks(&whole);
    let mut tail = payload.split_off(40);
    start(&mut world, 0, sender, false);
    while !feed(&mut world, 0, sender, &mut payload, None) {}
    assert!(!world.at(1).deliveries().is_empty());
    world.at(1).engine.detach(receiver, None);
    world.run();
    let outcomes = world.at(0).outcomes();
    assert!(matches!(outcomes[..], [(1, Some(DeliveryState::Released), false)]), "{outcomes:?}");
    while !feed(&mut world, 0, sender, &mut tail, Some(false)) {}
    let outcomes = world.at(0).outcomes();
    assert!(matches!(outcomes[..], [_, (1, Some(DeliveryState::Released), true)]), "{outcomes:?}");
    // The link stays usable.
    world.receiver(1, "q", 5);
    world.at(0).send(sender, 2, false, message(None, 5));
    world.run();
    assert!(world.at(1).deliveries().last().unwrap().complete);
}

#[test]
fn receiver_rejects_in_the_middle() {
    let (mut world, sender, _) = pair(10);
    let whole = message(None, 1_000_000);
    let mut payload = chunks(&whole);
    let mut tail = payload.split_off(40);
    start(&mut world, 0, sender, false);
    while !feed(&mut world, 0, sender, &mut payload, None) {}
    let key = world.at(1).deliveries()[0].key;
    world.at(1).engine.update_in(key, Some(DeliveryState::Rejected(None)), true);
    world.run();
    assert!(world.at(1).deliveries()[0].aborted);
    while !feed(&mut world, 0, sender, &mut tail, Some(false)) {}
    let outcomes = world.at(0).outcomes();
    assert!(
        matches!(
            outcomes[..],
            [(1, Some(DeliveryState::Rejected(None)), false), (1, Some(DeliveryState::Rejected(None)), true)]
        ),
        "{outcomes:?}"
    );
    world.at(0).send(sender, 2, true, message(None, 5));
    world.run();
    assert!(world.at(1).deliveries().last().unwrap().complete);
}

#[test]
fn sender_lost_in_the_middle() {
    let (mut world, sender, _) = pair(10);
    let whole = message(None, 1_000_000);
    let mut payload = chunks(&whole);
    payload.truncate(40);
    start(&mut world, 0, sender, false);
    while !feed(&mut world, 0, sender, &mut payload, None) {}
    let now = world.now;
    world.at(0).port.transport_closed(now);
    world.run();
    let got = world.at(1).deliveries();
    assert!(got[0].aborted && !got[0].complete);
}

#[test]
fn stalled_stream_leaves_its_session_to_other_links() {
    let (mut world, sender, _) = pair(10);
    let third = world.client();
    world.receiver(third, "other", 200);
    let session = world.at(0).engine.link_session(sender).expect("session");
    let other = world.attach_on(0, session, Role::Sender, Some("other"), 2);
    world.at(1).stalled = true;
    let mut payload = chunks(&message(None, 20_000_000));
    start(&mut world, 0, sender, false);
    while world.at(0).port.stalls.is_empty() {
        let mut some: VecDeque<Bytes> = payload.drain(..4).collect();
        assert!(feed(&mut world, 0, sender, &mut some, None));
    }
    for token in 0..100 {
        world.at(0).send(other, token, true, message(None, 10));
        world.run();
    }
    assert_eq!(world.at(third).deliveries().len(), 100);
}

#[test]
fn complete_messages_that_wait_count_against_the_window() {
    let (mut world, sender, _) = pair(100);
    world.at(1).stalled = true;
    let whole = message(None, 400_000);
    let mut sent = 0;
    for _ in 0..100 {
        if !world.at(0).engine.can_start(sender) {
            break;
        }
        let mut payload = chunks(&whole);
        start(&mut world, 0, sender, true);
        let mut left = usize::MAX;
        while !feed(&mut world, 0, sender, &mut payload, Some(true)) && payload.len() < left {
            left = payload.len();
        }
        if !payload.is_empty() {
            break;
        }
        sent += 1;
    }
    // Two messages are on their way out; of each further one the stream holds 16 of 25 frames, until the rest of them
    // have used up the window of 16.
    assert!((1..=5).contains(&sent), "{sent} messages were taken");
    world.at(1).stalled = false;
    world.run();
    assert_eq!(world.at(1).deliveries().iter().filter(|d| d.complete).count(), sent);
    assert!(world.at(0).port.stalls.is_empty());
    assert_eq!(world.at(0).port.engine.kept(), 0);
}

#[test]
fn unfinished_messages_cannot_fill_the_memory() {
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    world.receiver(b, "q", 10);
    let chunk = message(None, 200_000);
    let mut octets = 0;
    while matches!(world.at(a).port.state(), PortState::Running) {
        assert!(octets < 2 * limits::ARRIVING_MAX, "{octets} octets were taken");
        let link = world.sender(a, Some("q"));
        start(&mut world, a, link, false);
        feed(&mut world, a, link, &mut VecDeque::from([chunk.clone()]), None);
        octets += chunk.len();
    }
    assert!(octets > limits::ARRIVING_MAX / 2, "sent away after {octets} octets");
    let (PortState::Closing(error) | PortState::Dropped(error)) = world.at(a).port.state() else { unreachable!() };
    assert_eq!(error.expect("error").condition, "amqp:resource-limit-exceeded");
    // Nobody else suffers.
    let c = world.client();
    let sender = world.sender(c, Some("q"));
    world.at(c).send(sender, 1, true, message(None, 10));
    world.run();
    assert_eq!(world.at(b).deliveries().len(), 1);
}

#[test]
fn nobody_takes_the_stream() {
    let mut world = World::new();
    let a = world.client();
    let sender = world.sender(a, None);
    let whole = message(Some("nobody"), 1_000_000);
    let mut payload = chunks(&whole);
    start(&mut world, a, sender, false);
    while !feed(&mut world, a, sender, &mut payload, Some(false)) {}
    world.run();
    let outcomes = world.at(a).outcomes();
    assert!(matches!(outcomes.last(), Some((1, Some(DeliveryState::Released), true))), "{outcomes:?}");
    assert_eq!(world.at(a).engine.credit(sender), 10);
    assert!(world.at(a).port.stalls.is_empty());
}

#[test]
fn receiver_without_credit_holds_the_stream() {
    let (mut world, sender, receiver) = pair(0);
    let whole = message(None, 2_000_000);
    let mut payload = chunks(&whole);
    start(&mut world, 0, sender, true);
    for _ in 0..20 {
        assert!(!feed(&mut world, 0, sender, &mut payload, Some(true)));
    }
    assert!(world.at(1).deliveries().is_empty());
    world.at(1).engine.grant_credit(receiver, 1);
    world.run();
    while !feed(&mut world, 0, sender, &mut payload, Some(true)) {}
    world.run();
    assert!(world.at(1).deliveries()[0].octets == whole);
}

#[test]
fn a_sender_of_which_much_waits_is_told_to_stop() {
    let mut world = World::new();
    let mut generous = params(ConnectionRole::Normal);
    generous.conn.links.capacity = 50;
    let (a, b) = (world.client_with(generous), world.client());
    let receiver = world.receiver(b, "q", 0);
    let sender = world.sender(a, Some("q"));
    let before = world.at(a).engine.credit(sender);
    let mut sent = 0;
    while world.at(a).engine.credit(sender) > 0 {
        // The second one is on its way when the first is looked at.
        for _ in 0..2 {
            assert_eq!(world.at(a).send(sender, sent, false, message(None, 200_000)), Sent::Done);
            sent += 1;
        }
        world.run();
    }
    assert!((6..=8).contains(&sent) && sent < u64::from(before), "{sent} messages of {before} were let in");
    assert!(!world.at(a).port.stalls.is_empty());

    world.at(b).engine.grant_credit(receiver, 3);
    world.run();
    assert_eq!(world.at(a).engine.credit(sender), 3, "as many as have left");
    world.at(b).engine.grant_credit(receiver, 50);
    world.run();
    let got = world.at(b).deliveries();
    assert_eq!(got.len() as u64, sent);
    assert_eq!(u64::from(world.at(a).engine.credit(sender)), u64::from(before) - sent);
    for delivery in got {
        world.at(b).engine.update_in(delivery.key, Some(DeliveryState::Accepted), true);
    }
    world.run();
    assert_eq!(world.at(a).engine.credit(sender), before);
    assert!(world.at(a).port.stalls.is_empty());
}

#[test]
fn a_receiver_that_stands_still_does_not_stop_the_others() {
    let mut world = World::new();
    let (stalled, b) = (world.client(), world.client());
    world.receiver(stalled, "q", 0);
    let receiver = world.receiver(b, "q", 50);
    let mut generous = params(ConnectionRole::Normal);
    generous.conn.links.capacity = 50;
    let a = world.client_with(generous);
    let sender = world.sender(a, Some("q"));
    let mut sent = 0;
    let mut done = 0;
    for _ in 0..60 {
        if world.at(a).engine.credit(sender) > 0 {
            assert_eq!(world.at(a).send(sender, sent, false, message(None, 200_000)), Sent::Done);
            sent += 1;
        }
        world.run();
        let keys: Vec<_> = world.at(b).deliveries().iter().skip(done).map(|delivery| delivery.key).collect();
        done += keys.len();
        for key in keys {
            world.at(b).engine.update_in(key, Some(DeliveryState::Accepted), true);
            world.at(b).engine.grant_credit(receiver, 1);
        }
        world.run();
    }
    assert!(sent > 40 && done + 20 > sent as usize, "only {sent} messages went on, and {done} arrived");
}

#[test]
fn settled_messages_are_dropped_for_a_receiver_that_stands_still() {
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    world.receiver(b, "q", 0);
    let sender = world.sender(a, Some("q"));
    for token in 0..50 {
        assert!(world.at(a).engine.credit(sender) > 0, "{token} were sent");
        assert_eq!(world.at(a).send(sender, token, true, message(None, 200_000)), Sent::Done);
        world.run();
    }
}

/// They wait here until they are settled, for which their receiver may want more of them.
#[test]
fn what_is_kept_to_be_sent_again_does_not_stop_its_sender() {
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    world.receiver(b, "q", 50);
    let session = world.at(a).engine.begin_session().expect("session");
    let capabilities = vec![Symbol::from_static("qd.resend-released")];
    let target = Target { address: Some("q".into()), capabilities, ..Target::default() };
    let params = AttachParams {
        name: "resent".into(),
        role: Role::Sender,
        source: Some(Box::default()),
        target: Some(target.into()),
        snd_settle_mode: 2,
    };
    let sender = world.at(a).engine.attach(session, params).expect("link");
    world.run();
    let before = world.at(a).engine.credit(sender);
    for token in 0..9 {
        assert_eq!(world.at(a).send(sender, token, false, message(None, 130_000)), Sent::Done);
        world.run();
    }
    assert_eq!(world.at(b).deliveries().len(), 9);
    assert_eq!(world.at(a).engine.credit(sender), before - 9);
}

#[test]
fn small_messages_are_not_weighed() {
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    world.receiver(b, "q", 0);
    let sender = world.sender(a, Some("q"));
    let credit = world.at(a).engine.credit(sender);
    for token in 0..u64::from(credit) {
        world.at(a).send(sender, token, false, message(None, 5000));
        world.run();
        assert_eq!(world.at(a).engine.credit(sender), credit - 1 - token as u32);
    }
}

#[test]
fn streams_that_wait_stop_their_sender_too() {
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    let receiver = world.receiver(b, "q", 0);
    let sender = world.sender(a, Some("q"));
    let before = world.at(a).engine.credit(sender);
    let mut sent = 0;
    while world.at(a).engine.credit(sender) > 0 {
        assert_eq!(world.at(a).send(sender, sent, true, message(None, 600_000)), Sent::Done);
        world.run();
        sent += 1;
    }
    assert!((2..=5).contains(&sent), "{sent} messages of {before} were let in");
    world.at(b).engine.grant_credit(receiver, 50);
    world.run();
    assert_eq!(world.at(b).deliveries().len() as u64, sent);
    assert_eq!(world.at(a).engine.credit(sender), before);
    assert!(world.at(a).port.stalls.is_empty());
}

/// Only a router can know what a grant is: what a client calls by that place does not reach a sender that takes grants, and
/// reaches any other as it is.
#[test]
fn clients_grant_nothing() {
    for (flags, passed) in [(flags::WIDE, 0), (0, 500)] {
        let mut world = World::new();
        let client = world.client();
        world.receiver(client, "q", 10);
        let mut sender = Endpoint::join(&world.router, Identity::client("sender", 5), Default::default(), world.now);
        let [into] = sender.attach([Attach::anonymous_sender("in")], world.now).map(|link| link.unwrap().link);
        let stream = sender.send_stream(into, Envelope { flags, ..Envelope::to("q").streaming() }, 1, world.now);
        stream.push(message(None, 1000));
        world.run();
        let [arrived] = &world.at(client).deliveries()[..] else { panic!("nothing came") };
        let told = |section_number| DeliveryState::Received { section_number, section_offset: 7 };
        world.at(client).engine.update_in(arrived.key, Some(told(500)), false);
        world.run();
        sender.take();
        let states = std::iter::from_fn(|| sender.next_event()).filter_map(|event| match event {
            local::Event::Update { state, .. } => state,
            _ => None,
        });
        assert_eq!(states.collect::<Vec<_>>(), [told(passed)]);
    }
}

/// The mark of a bare end.
const MARK: DeliveryState = DeliveryState::Received { section_number: u32::MAX, section_offset: u64::MAX };

/// Another router, which offers to tell of bare ends or does not.
fn neighbour(world: &mut World, agrees: bool) -> usize {
    let at = world.join(params(ConnectionRole::InterNetwork));
    let offer = Map::new().with(Value::symbol("qd.bare-ends"), Value::Uint(1));
    world.at(at).engine.open(Open { container_id: "N".into(), properties: agrees.then_some(offer), ..Open::default() });
    world.run();
    at
}

/// Frames of a message with those flags, without the end.
fn flagged(flags: u32) -> VecDeque<Bytes> {
    let annotations = Annotations { flags, ..Annotations::default() };
    VecDeque::from([AnnotationEncoder::new("N", false).encode(&annotations), message(None, 10)])
}

#[test]
fn a_bare_end_is_heeded_where_it_was_agreed_upon_on_the_last_frame_of_a_stream() {
    use Finish::{Bare, Orderly};
    // Where the mark is: first of two frames, last of two, the only one.
    let (first, last, only) = ((2, true, false), (2, false, true), (1, false, true));
    for (agrees, flags, (frames, on_first, on_last), expected) in [
        (true, flags::STREAMING, last, Some(Bare)),
        (true, flags::STREAMING, only, Some(Bare)),
        (true, flags::STREAMING, first, Some(Orderly)),
        (false, flags::STREAMING, last, Some(Orderly)),
        (false, flags::STREAMING, only, None),
        (true, 0, last, None),
        (true, 0, only, None),
    ] {
        let mut world = World::new();
        let from = neighbour(&mut world, agrees);
        let mut receiver =
            Endpoint::join(&world.router, Identity::client("receiver", 5), Default::default(), world.now);
        receiver.attach([Attach::receiver("out", "q")], world.now).into_iter().for_each(|link| drop(link.unwrap()));
        world.run();
        let link = world.sender(from, Some("q"));
        let state = on_first.then_some(MARK);
        assert!(world.at(from).engine.start(link, Outgoing { tag: 1, settled: true, state, token: 1 }));
        let mut payload = flagged(flags);
        if frames == 2 {
            assert!(feed(&mut world, from, link, &mut payload, None));
        }
        if on_last {
            world.at(from).engine.set_last_state(link, MARK);
        }
        assert!(feed(&mut world, from, link, &mut payload, Some(true)));
        receiver.take();
        let mut events = std::iter::from_fn(|| receiver.next_event());
        let delivery = events.find_map(|e| if let local::Event::Delivery(d) = e { Some(d) } else { None });
        let mut delivery = delivery.expect("a message");
        assert!(matches!(world.at(from).port.state(), PortState::Running));
        let finish = if delivery.message().is_some() {
            None
        } else {
            let notify = crate::stream::Notify { mailbox: Arc::default(), key: 0 };
            match delivery.take_reader(notify).pull(usize::MAX, &mut VecDeque::new()) {
                Pull::Done(finish) => Some(finish),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(finish, expected, "{agrees} {flags} {frames} {on_first} {on_last}");
    }
}

#[test]
fn only_those_who_have_agreed_are_told_of_a_bare_end() {
    for (agrees, finish, expected) in
        [(true, Finish::Bare, Some(MARK)), (true, Finish::Orderly, None), (false, Finish::Bare, None)]
    {
        for octets in [0, 10, 100_000] {
            let mut world = World::new();
            let to = neighbour(&mut world, agrees);
            world.receiver(to, "q", 10);
            let mut sender =
                Endpoint::join(&world.router, Identity::client("sender", 5), Default::default(), world.now);
            let [into] = sender.attach([Attach::anonymous_sender("in")], world.now).map(|link| link.unwrap().link);
            let stream = Stream::new(StreamLimits::DEFAULT, None);
            stream.push(message(None, octets));
            stream.finish_as(finish);
            sender.send(into, Payload::Stream(stream), Envelope::to("q").streaming());
            sender.submit(world.now);
            world.run();
            let transfers =
                world.at(to).events.iter().filter_map(|e| if let Event::Transfer(t) = e { Some(t) } else { None });
            let states: Vec<_> = transfers.map(|t| (t.more, t.state.clone())).collect();
            let (last, before) = states.split_last().expect("a message");
            assert_eq!(*last, (false, expected.clone()));
            assert!(before.iter().all(|(more, state)| *more && state.is_none()), "{before:?}");
        }
    }
}

#[test]
fn streams_that_get_no_session_share_one_of_a_stream() {
    let mut world = World::new();
    let at = world.join(params(ConnectionRole::InterRouter));
    // Four sessions.
    let open = Open { container_id: "narrow".into(), channel_max: Some(3), ..Open::default() };
    world.at(at).engine.open(open);
    world.run();
    let port = &mut world.at(at).port;
    let control = port.session_for(SessionClass::Control).expect("the first").0;
    let mut session = |number: u32| {
        port.attach(AttachOut {
            link: LinkId::made_up(1000 + number),
            name: format!("stream {number}"),
            direction: Direction::Out,
            source: Box::default(),
            target: Box::default(),
            session: SessionClass::Streaming,
            anonymous: false,
            cut_through: CutThrough::default(),
            priority: 4,
            gauge: None,
        });
        let idx = port.links.indices().into_iter().max().expect("attached");
        let link = port.links.get(idx).expect("attached");
        (link.session, link.owns_session)
    };
    let sessions: Vec<_> = (0..8).map(&mut session).collect();
    assert!(sessions.iter().all(|(session, _)| *session != control), "{sessions:?}");
    let own = sessions.iter().filter(|(_, owned)| *owned).count();
    assert!((1..=3).contains(&own), "{sessions:?}");
    let shared: Vec<_> = sessions.iter().filter(|(_, owned)| !*owned).map(|(session, _)| session).collect();
    assert!(shared.windows(2).all(|pair| pair[0] == pair[1]) && shared.len() >= 5, "{sessions:?}");
    assert_eq!(port.shared_session(SessionClass::AutoLink), Some(*shared[0]));
}
