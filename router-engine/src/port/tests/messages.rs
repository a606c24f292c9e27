//! Whole messages: routing, refusal, settlement, annotations.

use super::super::*;
use super::world::{World, message, params};
use crate::annotations::Annotations;
use crate::core::connection::ConnectionRole;
use crate::log::{Level, LogModule, capture};
use amqp_core::engine::{AttachParams, Outgoing, Sent};
use amqp_core::message::{Depth, MessageBuilder, ScanResult, scan};
use amqp_core::performative::{DeliveryState, Role};

#[test]
fn unsettled_round_trip() {
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    world.receiver(b, "q", 10);
    let sender = world.sender(a, Some("q"));
    assert_eq!(world.at(a).engine.credit(sender), 10);
    for n in 0..3 {
        world.at(a).send(sender, n, false, message(None, 100));
    }
    world.run();
    let got = world.at(b).deliveries();
    assert_eq!(got.len(), 3);
    assert!(got.iter().all(|d| d.complete && !d.settled && d.octets == message(None, 100)));
    assert_eq!(world.at(a).outcomes(), []);
    // Credit returns with settlement.
    assert_eq!(world.at(a).engine.credit(sender), 7);
    world.at(b).engine.update_in(got[1].key, Some(DeliveryState::Released), true);
    world.at(b).engine.update_in(got[0].key, Some(DeliveryState::Accepted), true);
    world.run();
    let mut outcomes = world.at(a).outcomes();
    outcomes.sort_by_key(|o| o.0);
    assert_eq!(outcomes, [(0, Some(DeliveryState::Accepted), true), (1, Some(DeliveryState::Released), true)]);
    assert_eq!(world.at(a).engine.credit(sender), 9);
}

#[test]
fn sender_settles_after_the_outcome() {
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    world.receiver(b, "q", 10);
    let sender = world.sender(a, Some("q"));
    world.at(a).send(sender, 5, false, message(None, 1));
    world.run();
    let key = world.at(b).deliveries()[0].key;
    world.at(b).engine.set_token(key, 1);
    world.at(b).engine.update_in(key, Some(DeliveryState::Accepted), false);
    world.run();
    assert_eq!(world.at(a).outcomes(), [(5, Some(DeliveryState::Accepted), false)]);
    assert!(world.at(a).engine.update_out(sender, 5, None, true));
    world.run();
    let settled =
        |e: &amqp_core::engine::Event| matches!(e, amqp_core::engine::Event::Update(u) if u.incoming && u.settled);
    assert!(world.at(b).events.iter().any(settled));
    assert_eq!(world.at(a).engine.credit(sender), 10);
}

#[test]
fn settlement_in_the_same_read_as_the_transfer() {
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    world.receiver(b, "q", 10);
    let sender = world.sender(a, Some("q"));
    world.at(a).send(sender, 5, false, message(None, 1));
    assert!(world.at(a).engine.update_out(sender, 5, None, true));
    world.run();
    let got = world.at(b).deliveries();
    assert_eq!(got.len(), 1);
    // A new delivery shows that nothing is left of the first.
    world.at(a).send(sender, 6, false, message(None, 1));
    world.run();
    assert_eq!(world.at(a).engine.credit(sender), 9);
}

#[test]
fn settled_messages() {
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    world.receiver(b, "q", 10);
    let sender = world.sender(a, Some("q"));
    world.at(a).send(sender, 1, true, message(None, 30_000));
    world.at(a).send(sender, 1, true, message(None, 0));
    world.run();
    let got = world.at(b).deliveries();
    assert!(got.iter().all(|d| d.settled && d.complete));
    assert_eq!(got[0].octets, message(None, 30_000));
    assert_eq!(world.at(a).engine.credit(sender), 10);
}

#[test]
fn receiver_wants_settled() {
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    let session = world.at(b).engine.begin_session().unwrap();
    let link = world.attach_on(b, session, Role::Receiver, Some("q"), 1);
    world.at(b).engine.grant_credit(link, 5);
    let sender = world.sender(a, Some("q"));
    world.at(a).send(sender, 1, false, message(None, 10));
    world.run();
    assert!(world.at(b).deliveries()[0].settled);
    assert_eq!(world.at(a).outcomes(), [(1, Some(DeliveryState::Accepted), true)]);
}

#[test]
fn anonymous_sender() {
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    world.receiver(b, "q", 10);
    let sender = world.sender(a, None);
    world.at(a).send(sender, 1, false, message(Some("q"), 10));
    world.at(a).send(sender, 2, false, message(None, 10));
    world.at(a).send(sender, 3, false, message(Some("nobody"), 10));
    world.run();
    assert_eq!(world.at(b).deliveries().len(), 1);
    let mut outcomes = world.at(a).outcomes();
    outcomes.sort_by_key(|o| o.0);
    let [(2, Some(DeliveryState::Rejected(Some(error))), true), (3, Some(DeliveryState::Released), true)] =
        &outcomes[..]
    else {
        panic!("{outcomes:?}")
    };
    assert_eq!(error.to_string(), "amqp:precondition-failed: Routing failure: no address present");
    assert_eq!(world.at(a).engine.credit(sender), 9);
}

#[test]
fn malformed_messages_are_rejected() {
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    world.receiver(b, "q", 10);
    let sender = world.sender(a, Some("q"));
    // No octets at all; router annotations that are no list.
    let not_a_list = Bytes::from_static(b"\x00\x80SKPR--RA\xa1\x01x");
    for (n, bad) in [Bytes::new(), not_a_list].into_iter().enumerate() {
        world.at(a).send(sender, n as u64, false, bad);
    }
    world.run();
    let outcomes = world.at(a).outcomes();
    assert_eq!(outcomes.len(), 2);
    for (_, state, settled) in outcomes {
        let Some(DeliveryState::Rejected(Some(error))) = state else { panic!() };
        assert_eq!((error.to_string().as_str(), settled), ("amqp:decode-error: invalid message format", true));
    }
    assert!(world.at(b).deliveries().is_empty());
    assert_eq!(world.at(a).engine.credit(sender), 10);
}

#[test]
fn malformed_message_of_many_frames_is_settled_after_its_last() {
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    world.receiver(b, "q", 10);
    let sender = world.sender(a, Some("q"));
    assert!(world.at(a).engine.start(sender, Outgoing { tag: 1, settled: false, state: None, token: 1 }));
    let mut payload = VecDeque::from([Bytes::from_static(b"\x00\x80SKPR--RA\xa1\x01x")]);
    assert_eq!(world.at(a).engine.send(sender, &mut payload, None, usize::MAX), Sent::Hungry);
    world.run();
    let outcomes = world.at(a).outcomes();
    assert!(matches!(outcomes[..], [(1, Some(DeliveryState::Rejected(_)), false)]), "{outcomes:?}");
    payload.push_back(Bytes::from_static(b"rest"));
    assert_eq!(world.at(a).engine.send(sender, &mut payload, Some(false), usize::MAX), Sent::Done);
    world.run();
    let outcomes = world.at(a).outcomes();
    assert!(matches!(outcomes[..], [_, (1, Some(DeliveryState::Rejected(_)), true)]), "{outcomes:?}");
    assert_eq!(world.at(a).engine.credit(sender), 10);
}

fn annotated(annotations: &Annotations) -> Bytes {
    let mut out = bytes::BytesMut::new();
    annotations.encode(None, &mut out);
    out.extend_from_slice(&MessageBuilder::new().data(b"body"));
    out.freeze()
}

#[test]
fn other_networks_hear_and_tell_nothing_of_the_way() {
    let mut world = World::new();
    let [far, local] = [ConnectionRole::InterNetwork, ConnectionRole::Edge].map(|role| world.client_with(params(role)));
    let mesh = Bytes::from_static(b"abcdefghijklmno");
    let given = Annotations {
        flags: 0x10,
        trace: [b"0/X".as_slice()].into_iter().collect(),
        ingress: Some(Bytes::from_static(b"0/X")),
        ingress_mesh: Some(mesh.clone()),
        to_override: None,
    };
    let mut passed = |from: usize, to: usize| {
        world.receiver(to, "q", 10);
        let sender = world.sender(from, Some("q"));
        world.at(from).send(sender, 1, false, annotated(&given));
        world.run();
        let octets = [Bytes::from(world.at(to).deliveries()[0].octets.clone())];
        let ScanResult::Ok(map) = scan(&octets, true, Depth::All) else { panic!() };
        let found = Annotations::parse(&map.router_annotations.expect("a section").value(&octets)).unwrap();
        assert_eq!((found.flags, found.to_override.as_deref()), (0x10, Some(b"q".as_slice())));
        assert_eq!(found.ingress_mesh, Some(mesh.clone()));
        found
    };
    let arrived = passed(far, local);
    assert_eq!(arrived.ingress.as_deref(), Some(b"0/R".as_slice()));
    assert_eq!(arrived.trace.iter().collect::<Vec<_>>(), [b"0/R"]);
    let left = passed(local, far);
    assert_eq!((left.ingress, left.trace.count()), (None, 0));
}

#[test]
fn annotations_by_strip_mode() {
    for (strip_in, strip_out) in [(true, true), (false, true), (true, false), (false, false)] {
        let mut world = World::new();
        let mut p = params(ConnectionRole::Normal);
        (p.conn.links.strip_in, p.conn.links.strip_out) = (strip_in, strip_out);
        let (a, b) = (world.client_with(p.clone()), world.client_with(p));
        world.receiver(b, "q", 10);
        let sender = world.sender(a, Some("q"));
        let given = Annotations {
            flags: 0x10,
            trace: [b"0/X".as_slice()].into_iter().collect(),
            ingress: Some(Bytes::from_static(b"0/X")),
            ..Annotations::default()
        };
        world.at(a).send(sender, 1, false, annotated(&given));
        world.run();
        let got = world.at(b).deliveries();
        let octets = [Bytes::from(got[0].octets.clone())];
        let ScanResult::Ok(map) = scan(&octets, true, Depth::All) else { panic!() };
        let Some(section) = map.router_annotations else {
            assert!(strip_out);
            assert_eq!(octets[0], MessageBuilder::new().data(b"body"));
            continue;
        };
        assert!(!strip_out);
        let found = Annotations::parse(&section.value(&octets)).unwrap();
        assert_eq!(found.to_override.as_deref(), Some(b"q".as_slice()));
        let trace: Vec<&[u8]> = found.trace.iter().collect();
        if strip_in {
            assert_eq!((found.flags, &trace[..]), (0, &[b"0/R".as_slice()][..]));
            assert_eq!(found.ingress.as_deref(), Some(b"0/R".as_slice()));
        } else {
            assert_eq!((found.flags, &trace[..]), (0x10, &[b"0/X".as_slice(), b"0/R"][..]));
            assert_eq!(found.ingress.as_deref(), Some(b"0/X".as_slice()));
        }
        assert_eq!(octets[0].slice(section.end..), MessageBuilder::new().data(b"body"));
    }
}

#[test]
fn malformed_annotations_are_rejected_by_name() {
    let mut world = World::new();
    let mut p = params(ConnectionRole::Normal);
    p.conn.links.strip_in = false;
    let (a, b) = (world.client_with(p), world.client());
    world.receiver(b, "q", 10);
    let sender = world.sender(a, Some("q"));
    capture::start();
    let lists: [&[u8]; 2] = [b"\x00\x80SKPR--RA\xc0\x02\x01\x43", b"\x00\x80SKPR--RA\x45"];
    for (n, list) in lists.into_iter().enumerate() {
        world.at(a).send(sender, n as u64, false, Bytes::from_static(list));
    }
    world.run();
    let outcomes = world.at(a).outcomes();
    let text = "Invalid router annotations section: wrong list count";
    for (_, state, settled) in &outcomes {
        let Some(DeliveryState::Rejected(Some(error))) = state else { panic!("{outcomes:?}") };
        assert_eq!((error.to_string(), *settled), (format!("amqp:invalid-field: {text}"), true));
    }
    let line = "[C1][L2] Message rejected - invalid router annotations section";
    assert_eq!(outcomes.len(), 2);
    assert_eq!(capture::notable(), [(LogModule::Router, Level::Warning, &*format!("{line}: {text}")); 2]);
    assert_eq!(world.at(a).engine.credit(sender), 10);
}

#[test]
fn receiver_lost_with_messages_queued_and_sent() {
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    let receiver = world.receiver(b, "q", 1);
    let sender = world.sender(a, Some("q"));
    for n in 0..3 {
        world.at(a).send(sender, n, false, message(None, 10));
    }
    world.run();
    assert_eq!(world.at(b).deliveries().len(), 1);
    world.at(b).engine.detach(receiver, None);
    world.run();
    let mut outcomes = world.at(a).outcomes();
    outcomes.sort_by_key(|o| o.0);
    assert!(matches!(&outcomes[0], (0, Some(DeliveryState::Modified(m)), true) if m.delivery_failed), "{outcomes:?}");
    assert_eq!(outcomes[1..], [(1, Some(DeliveryState::Released), true), (2, Some(DeliveryState::Released), true)]);
}

#[test]
fn connection_lost() {
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    world.receiver(b, "q", 1);
    let sender = world.sender(a, Some("q"));
    for n in 0..2 {
        world.at(a).send(sender, n, false, message(None, 10));
    }
    world.run();
    let now = world.now;
    capture::start();
    world.at(b).port.transport_closed(now);
    let aborted = capture::texts(LogModule::Container);
    assert!(matches!(aborted[..], [line] if line.ends_with("due to parent connection end")), "{aborted:?}");
    assert!(matches!(world.at(b).port.state(), PortState::Dropped(Some(e)) if e.description == "connection aborted"));
    world.run();
    assert_eq!(world.at(a).outcomes().len(), 2);
}

#[test]
fn a_session_takes_its_links_along() {
    let mut world = World::new();
    let client = world.client();
    let session = world.at(client).engine.begin_session().expect("session");
    world.attach_on(client, session, Role::Sender, Some("q"), 2);
    world.run();
    capture::start();
    world.at(client).engine.end_session(session, None);
    world.run();
    let aborted = capture::texts(LogModule::Container);
    let is_it = |line: &str| line.starts_with("Aborting link '") && line.ends_with("' due to parent session end");
    assert!(matches!(aborted[..], [line] if is_it(line)), "{aborted:?}");
}

#[test]
fn settled_messages_drop_from_a_full_queue() {
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    let receiver = world.receiver(b, "q", 0);
    let sender = world.sender(a, Some("q"));
    for n in 0..25_u8 {
        let text = MessageBuilder::new().data(&[n]);
        world.at(a).send(sender, 1, true, text);
        world.run();
    }
    world.at(b).engine.grant_credit(receiver, 100);
    world.run();
    let got: Vec<u8> = world.at(b).deliveries().iter().map(|d| *d.octets.last().unwrap()).collect();
    // The first is kept, and the newest; each overflow of the ten empties the rest.
    assert_eq!(got, [0, 19, 20, 21, 22, 23, 24]);
}

#[test]
fn names_of_links_do_not_matter_to_messages() {
    let mut world = World::new();
    let a = world.client();
    let session = world.at(a).engine.begin_session().unwrap();
    let params = AttachParams { name: "x".into(), role: Role::Sender, source: None, target: None, snd_settle_mode: 2 };
    let link = world.at(a).engine.attach(session, params).unwrap();
    world.run();
    assert!(world.at(a).engine.is_attached(link));
    assert_eq!(world.at(a).engine.credit(link), 10);
}

#[test]
fn what_came_for_a_link_that_was_detached_before_its_answer_is_released() {
    let mut world = World::new();
    let at = world.client();
    let sender = world.sender(at, None);
    let client = world.at(at);
    let session = client.engine.begin_session().expect("session");
    let source = amqp_core::performative::Source { address: Some("q".into()), ..Default::default() };
    let params = AttachParams {
        name: "brief".into(),
        role: Role::Receiver,
        source: Some(Box::new(source)),
        target: Some(Box::default()),
        snd_settle_mode: 2,
    };
    let link = client.engine.attach(session, params).expect("link");
    client.engine.detach(link, None);
    client.send(sender, 1, false, message(Some("q"), 10));
    world.run();
    assert_eq!(world.at(at).outcomes(), [(1, Some(DeliveryState::Released), true)]);
    assert_eq!(world.at(at).port.link_count(), 1);
}

#[test]
fn what_waits_for_credit_and_what_has_left_is_told_apart() {
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    let receiver = world.receiver(b, "q", 1);
    let sender = world.sender(a, Some("q"));
    for token in 1..=4 {
        world.at(a).send(sender, token, false, message(None, 10));
    }
    world.run();
    let figures = |world: &World| {
        let rows = world.router.link_rows(world.now);
        let row = rows.iter().find(|row| !row.incoming).expect("the receiver");
        (row.counters.deliveries, row.undelivered, row.unsettled)
    };
    assert_eq!(figures(&world), (1, 3, 1));
    // The sender settles one that waits: it will leave as a settled one, which is none of the unsettled.
    world.at(a).engine.update_out(sender, 2, None, true);
    world.run();
    assert_eq!(figures(&world).1, 2);
    world.at(b).engine.grant_credit(receiver, 2);
    world.run();
    assert_eq!(figures(&world), (3, 1, 2));
    let first = world.at(b).deliveries()[0].key;
    world.at(b).engine.update_in(first, Some(DeliveryState::Accepted), true);
    world.run();
    assert_eq!(figures(&world), (3, 1, 1));
}

/// A delivery is named by the slot of its session and its number, and both begin anew with the next session: but answers
/// are for the link that it came on, and that does not come again.
#[test]
fn late_answers_miss_deliveries_that_look_the_same() {
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    world.receiver(b, "q", 10);
    let session = world.at(a).engine.begin_session().expect("session");
    let old = world.attach_on(a, session, Role::Sender, Some("q"), 2);
    world.at(a).send(old, 1, false, message(None, 1));
    world.run();
    let stale = world.at(b).deliveries()[0].key;
    // The answer is on its way when the session ends, and another one takes its place.
    world.at(a).engine.end_session(session, None);
    let session = world.at(a).engine.begin_session().expect("session");
    world.at(b).engine.update_in(stale, Some(DeliveryState::Rejected(None)), true);
    let new = world.attach_on(a, session, Role::Sender, Some("q"), 2);
    world.at(a).send(new, 2, false, message(None, 1));
    world.run();
    assert_eq!(world.at(a).outcomes(), []);
    let keys: Vec<_> = world.at(b).deliveries().iter().map(|d| d.key).collect();
    assert_eq!(keys.len(), 2);
    world.at(b).engine.update_in(keys[1], Some(DeliveryState::Accepted), true);
    world.run();
    assert_eq!(world.at(a).outcomes(), [(2, Some(DeliveryState::Accepted), true)]);
}

/// The octets of a message whose properties have this `to`.
fn with_to(to: &[u8]) -> Bytes {
    let list = [&[3, 0x40, 0x40], to].concat();
    [b"\x00\x53\x73\xc0", &[list.len() as u8][..], &list, b"\x00\x53\x75\xa0\x01x"].concat().into()
}

#[test]
fn the_address_of_a_message_may_be_a_symbol() {
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    world.receiver(b, "q", 10);
    let sender = world.sender(a, None);
    for (n, to) in [b"\xa3\x01q".as_slice(), b"\xb3\0\0\0\x01q", b"\xa1\x01q"].into_iter().enumerate() {
        world.at(a).send(sender, n as u64, false, with_to(to));
    }
    world.run();
    assert_eq!(world.at(b).deliveries().len(), 3, "{:?}", world.at(a).outcomes());
}

#[test]
fn an_empty_target_address_is_none() {
    let mut world = World::new();
    let (a, b) = (world.client(), world.client());
    world.receiver(b, "q", 10);
    let sender = world.sender(a, Some(""));
    let answer = world.at(a).attach_answer(sender).cloned().expect("attached");
    assert_eq!(answer.target.map(|target| target.address), Some(None));
    assert_eq!(world.at(a).engine.credit(sender), 10);
    world.at(a).send(sender, 1, false, message(Some("q"), 10));
    world.run();
    assert_eq!(world.at(b).deliveries().len(), 1);
}

/// A message with application properties, in which the properties are logged that `components` name.
fn logged_on_its_way(components: &str, len: usize) -> Vec<&'static str> {
    use amqp_core::message::Properties;
    use amqp_core::value::{Map, Symbol, Value};
    let mut world = World::new();
    let mut p = params(ConnectionRole::Normal);
    p.message_fields = MessageFields::parse(components);
    let (a, b) = (world.client_with(p.clone()), world.client_with(p));
    world.receiver(b, "q", 10);
    let sender = world.sender(a, Some("q"));
    let properties = Properties {
        message_id: Value::from("123455"),
        user_id: Some(Bytes::from_static(b"testuser")),
        subject: Some("test-subject".into()),
        reply_to: Some("hello_world".into()),
        correlation_id: Value::Ulong(89),
        content_encoding: Some(Symbol::from_static("gzip, deflate")),
        creation_time: Some(1_487_772_623_883),
        group_sequence: Some(0),
        ..Properties::default()
    };
    let app =
        Map::new().with("app-property", vec![Value::Int(10), Value::Int(20)]).with("other", Value::symbol("O_one"));
    let message = MessageBuilder::new().properties(&properties).application_properties(&app).data(&vec![b'X'; len]);
    capture::start();
    world.at(a).send(sender, 1, false, message);
    world.run();
    assert_eq!(world.at(b).deliveries().len(), 1);
    capture::texts(LogModule::Message)
}

#[test]
fn properties_of_messages_are_logged_where_that_is_asked_for() {
    let all = r#"Message{message-id="123455", user-id=b"testuser", subject="test-subject", reply-to="hello_world", correlation-id=89, content-encoding=:"gzip, deflate", creation-time="2017-02-22 14:10:23.883 +0000", group-sequence=0, app-properties={"app-property"=[10, 20], "other"=:"O_one"}}"#;
    let some = r#"Message{user-id=b"testuser", subject="test-subject"}"#;
    // In one frame, and in many as a stream.
    for len in [10, 300_000] {
        for (components, shown) in [("all", all), ("subject,user-id", some), ("to", "Message{}")] {
            let lines = [
                format!("[C1]: Received {shown} on link 'link3' ( -> q)"),
                format!("[C2]: Sent {shown} on link 'link2' (q -> )"),
            ];
            let logged = logged_on_its_way(components, len);
            let words = |line: &str| line.split(" on link").next().map(str::to_owned);
            assert_eq!(logged.iter().map(|l| words(l)).collect::<Vec<_>>(), lines.map(|l| words(&l)), "{logged:?}");
            assert!(logged[0].ends_with("( -> q)") && logged[1].ends_with("(q -> )"), "{logged:?}");
        }
        assert_eq!(logged_on_its_way("none", len), [""; 0]);
    }
}
