//! Whole messages: requests with replies, and messages that arrive in parts.

use super::super::{Attach, Attached, Envelope, Event, Excess, GatherLimits};
use super::{NOW, attach, delivery, endpoint, events, linked, message, outcomes, router, send};
use crate::stream::{CHUNK_COST, Finish, Pull};
use amqp_core::performative::DeliveryState;
use bytes::Bytes;
use std::collections::VecDeque;

#[test]
fn a_reply_finds_the_address_that_was_made_up() {
    let router = router();
    let mut server = endpoint(&router);
    let links = [Attach::receiver("requests", "service"), Attach::anonymous_sender("replies")];
    let [requests, replies] = server.attach(links, NOW).map(|answer| answer.expect("attached"));
    assert_eq!(requests.source.as_deref(), Some("service"));

    let (mut client, to) = linked(&router, Attach::sender("to", "service"));
    let Attached { link: answers, source } = attach(&mut client, Attach::dynamic_receiver("answers"));
    let reply_to = source.expect("an address");
    client.send(to, message("question"), Envelope::default());
    client.submit(NOW);

    let request = delivery(&mut server);
    assert_eq!((request.link(), request.from()), (requests.link, Some(client.id().number)));
    server.settle(request, DeliveryState::Accepted);
    server.send(replies.link, message("answer"), Envelope::to(&reply_to).settled());
    server.submit(NOW);
    let answer = delivery(&mut client);
    assert_eq!((answer.link(), answer.is_settled()), (answers, true));
    assert_eq!(answer.message().map(<[Bytes]>::concat), Some(b"answer".to_vec()));
}

#[test]
fn a_refused_link_is_told_within_the_call() {
    let router = router();
    let mut endpoint = endpoint(&router);
    let answers = endpoint.attach([Attach::unbound_receiver("no"), Attach::receiver("yes", "q")], NOW);
    assert_eq!(answers.map(|answer| answer.is_ok()), [false, true]);
}

#[test]
fn messages_that_arrive_in_parts_are_gathered() {
    let router = router();
    let (mut tx, to) = linked(&router, Attach::sender("to", "q"));
    let (mut rx, _) = linked(&router, Attach::receiver("of", "q"));
    rx.gather(GatherLimits { message: 1000, total: 1000 });
    let before = router.population();
    let (first, second) =
        (tx.send_stream(to, Envelope::default(), 0, NOW), tx.send_stream(to, Envelope::default(), 1, NOW));
    first.push(Bytes::from_static(b"one, "));
    assert!(events(&mut rx).is_empty());
    second.push(Bytes::from_static(b"lost"));
    drop(second);
    assert!(matches!(events(&mut rx)[..], [Event::Withdrawn(_)]));
    first.push(Bytes::from_static(b"two"));
    first.finish(NOW);
    let whole = delivery(&mut rx);
    assert_eq!(whole.message().map(<[Bytes]>::concat), Some(b"one, two".to_vec()));
    rx.settle(whole, DeliveryState::Accepted);
    rx.submit(NOW);
    assert_eq!(outcomes(&mut tx), [DeliveryState::Accepted]);
    assert_eq!(router.population(), before);
}

#[test]
fn what_is_gathered_has_bounds() {
    let router = router();
    let (mut tx, to) = linked(&router, Attach::sender("to", "q"));
    let (mut rx, _) = linked(&router, Attach::receiver("of", "q"));
    rx.gather(GatherLimits { message: 1000, total: 1500 });
    let part = |octets: usize| Bytes::from(vec![0; octets - CHUNK_COST]);
    let streams = [(); 3].map(|()| tx.send_stream(to, Envelope::default(), 0, NOW));
    let mut oversized = |at: usize, octets| {
        streams[at].push(part(octets));
        events(&mut rx)
            .into_iter()
            .map(|event| match event {
                Event::Oversized(delivery, excess) => {
                    delivery.settle(DeliveryState::rejected("no", ""), NOW);
                    excess
                }
                other => panic!("{other:?}"),
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(oversized(0, 1000), []);
    assert_eq!(oversized(1, 500), []);
    assert_eq!(oversized(1, 100), [Excess::Total]);
    assert_eq!(oversized(2, 500), [], "there is room again");
    assert_eq!(oversized(0, 100), [Excess::Message]);
    drop(streams);
    assert_eq!(outcomes(&mut tx).len(), 2);
}

#[test]
fn what_was_taken_as_a_stream_is_no_whole_message_any_more() {
    let router = router();
    let (mut tx, to) = linked(&router, Attach::sender("to", "q"));
    let (mut rx, _) = linked(&router, Attach::receiver("of", "q"));
    send(&mut tx, to);
    let mut taken = delivery(&mut rx);
    assert!(taken.message().is_some());
    let reader = taken.take_reader(rx.notify(1));
    let mut octets = VecDeque::new();
    assert_eq!(reader.pull(usize::MAX, &mut octets), Pull::Done(Finish::Orderly));
    assert_eq!(octets, [Bytes::from_static(b"m")]);
    assert_eq!(taken.message(), None);
    let nothing = taken.take_reader(rx.notify(2));
    assert_eq!(nothing.pull(usize::MAX, &mut octets), Pull::Aborted, "not an empty message");
    rx.settle(taken, DeliveryState::Accepted);
    rx.submit(NOW);
    assert_eq!(outcomes(&mut tx), [DeliveryState::Accepted]);
}
