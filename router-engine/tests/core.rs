//! The routing core seen from its ports: links, credit, forwarding, outcomes.

use amqp_core::Instant;
use amqp_core::performative::{DeliveryState, Modified, Source, Target};
use amqp_core::value::{Map, Symbol};
use bytes::Bytes;
use router_engine::annotations::Annotations;
use router_engine::core::action::{AttachRequest, Direction};
use router_engine::core::connection::{ConnHandle, ConnParams, ConnectionRole, PeerKind};
use router_engine::core::effect::{AttachReply, Push};
use router_engine::core::snapshot::{LinkKey, Page};
use router_engine::core::{Accepted, AddressConfig, Mode, RouterConfig};
use router_engine::forward::Treatment;
use router_engine::stream::{Finish, Payload, Pull, Stream, StreamLimits};
use router_engine::{Action, Deliver, Effect, InId, InToken, LinkId, Mailbox, Router, Side};
use std::collections::VecDeque;
use std::sync::Arc;

const NOW: Instant = Instant::from_micros(0);

struct Peer<'a> {
    router: &'a Router,
    conn: ConnHandle,
    token: u32,
    accepted: Vec<Accepted>,
}

fn router() -> Router {
    let config = RouterConfig { id: "R".into(), mode: Mode::Standalone, ..RouterConfig::default() };
    Router::new(config, router_engine::rng::Seed::from(1), 1, NOW)
}

fn params() -> ConnParams {
    let mut params = ConnParams::amqp(ConnectionRole::Normal);
    params.links.capacity = 10;
    params
}

impl<'a> Peer<'a> {
    fn new(router: &'a Router) -> Self {
        Self::with(router, params())
    }

    fn with(router: &'a Router, params: ConnParams) -> Self {
        let conn = router.connect(params, NOW);
        let mut peer = Self { router, conn, token: 0, accepted: Vec::new() };
        peer.submit(Action::Opened(Box::default()));
        peer
    }

    fn submit(&mut self, action: Action) {
        self.router.submit(self.conn.id, &mut vec![action], &mut self.accepted, NOW);
    }

    fn effects(&self) -> Vec<Effect> {
        let (mut effects, mut ready) = (Vec::new(), Vec::new());
        self.conn.mailbox.take(&mut effects, &mut ready);
        effects
    }

    fn attach(&mut self, direction: Direction, source: Source, target: Target) -> (AttachReply, Vec<Effect>) {
        self.token += 1;
        self.submit(Action::Attach(Box::new(AttachRequest {
            token: self.token,
            name: format!("link{}", self.token),
            direction,
            source: Some(Box::new(source)),
            target: Some(Box::new(target)),
            settle_on_send: false,
        })));
        let mut effects = self.effects();
        let at = effects.iter().position(|e| matches!(e, Effect::AttachReply(_))).expect("a reply");
        let Effect::AttachReply(reply) = effects.remove(at) else { unreachable!() };
        (*reply, effects)
    }

    fn sender(&mut self, address: &str) -> (LinkId, Vec<Effect>) {
        let target = Target { address: Some(address.into()), ..Target::default() };
        let (reply, effects) = self.attach(Direction::In, Source::default(), target);
        (reply.link.expect("accepted"), effects)
    }

    fn anonymous(&mut self) -> LinkId {
        let (reply, effects) = self.attach(Direction::In, Source::default(), Target::default());
        assert!(reply.anonymous);
        assert_eq!(credit(&effects), 10);
        reply.link.expect("accepted")
    }

    fn receiver(&mut self, address: &str) -> LinkId {
        let source = Source { address: Some(address.into()), ..Source::default() };
        self.attach(Direction::Out, source, Target::default()).0.link.expect("accepted")
    }

    fn send(&mut self, link: LinkId, token: u64, settled: bool, to: Option<&str>) -> Option<InId> {
        self.send_payload(link, token, settled, to, Payload::One(Bytes::from_static(b"m")))
    }

    fn send_payload(
        &mut self,
        link: LinkId,
        token: u64,
        settled: bool,
        to: Option<&str>,
        payload: Payload,
    ) -> Option<InId> {
        self.submit(Action::Deliver(Box::new(Deliver {
            link,
            token: InToken(token),
            settled,
            payload,
            to: to.map(|t| Bytes::copy_from_slice(t.as_bytes())),
            annotations: Annotations::default(),
            priority: 4,
            state: None,
            unattended: false,
        })));
        self.accepted.drain(..).next().map(|a| a.id)
    }

    fn pushes(&self) -> Vec<Push> {
        self.effects().into_iter().filter_map(|e| if let Effect::Push(p) = e { Some(*p) } else { None }).collect()
    }

    fn update(&mut self, side: Side, state: Option<DeliveryState>, settled: bool) {
        self.submit(Action::Update { delivery: side, state, settled });
    }

    /// (token, state, settled) of each update to an incoming delivery, and the credit granted.
    fn updates(&self) -> (Vec<(u64, Option<DeliveryState>, bool)>, u32) {
        let effects = self.effects();
        let credit = credit(&effects);
        let updates = effects
            .into_iter()
            .filter_map(|e| match e {
                Effect::UpdateIn { token, state, settled, .. } => Some((token.0, state, settled)),
                _ => None,
            })
            .collect();
        (updates, credit)
    }
}

fn credit(effects: &[Effect]) -> u32 {
    effects.iter().map(|e| if let Effect::Credit { credit, .. } = e { *credit } else { 0 }).sum()
}

#[test]
fn credit_comes_with_the_first_consumer_and_back_with_settlement() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    let (link, effects) = tx.sender("q");
    assert_eq!(credit(&effects), 0);
    rx.receiver("q");
    assert_eq!(credit(&tx.effects()), 10);

    tx.send(link, 7, false, None);
    assert!(tx.effects().is_empty());
    let push = rx.pushes().pop().expect("forwarded");
    assert_eq!(push.annotations.to_override.as_deref(), Some(&b"q"[..]));
    rx.update(Side::Out(push.id), Some(DeliveryState::Accepted), true);
    assert_eq!(tx.updates(), (vec![(7, Some(DeliveryState::Accepted), true)], 1));
}

#[test]
fn three_acknowledgements_pass_through() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    rx.receiver("q");
    let (link, _) = tx.sender("q");
    let id = tx.send(link, 1, false, None).expect("remembered");
    let push = rx.pushes().pop().expect("forwarded");
    rx.update(Side::Out(push.id), Some(DeliveryState::Accepted), false);
    assert_eq!(tx.updates(), (vec![(1, Some(DeliveryState::Accepted), false)], 0));
    tx.update(Side::In(id), None, true);
    assert!(matches!(rx.effects()[..], [Effect::UpdateOut { settled: true, .. }]));
    assert_eq!(tx.updates(), (vec![], 1));
    rx.update(Side::Out(push.id), Some(DeliveryState::Released), true);
    assert!(tx.effects().is_empty(), "what comes after settlement is discarded");
}

#[test]
fn every_outcome_reaches_the_sender() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    rx.receiver("q");
    let (link, _) = tx.sender("q");
    let other = DeliveryState::Other { descriptor: 0x33, fields: Bytes::from_static(&[0x45]) };
    for state in [
        DeliveryState::Accepted,
        DeliveryState::Rejected(None),
        DeliveryState::Released,
        DeliveryState::failed(),
        other,
    ] {
        tx.send(link, 1, false, None);
        let push = rx.pushes().pop().expect("forwarded");
        rx.update(Side::Out(push.id), Some(state.clone()), true);
        assert_eq!(tx.updates().0, vec![(1, Some(state), true)]);
    }
    let totals = router.router_row(NOW).totals;
    assert_eq!((totals.ingress, totals.egress, totals.outcomes.accepted, totals.outcomes.modified), (5, 5, 1, 1));
}

#[test]
fn what_is_modified_has_failed() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    rx.receiver("q");
    let (link, _) = tx.sender("q");
    tx.send(link, 1, false, None);
    let push = rx.pushes().pop().expect("forwarded");
    let annotations = Some((&Map::new().with("k", 1_u32)).into());
    let modified = |delivery_failed| {
        let modified = Modified { delivery_failed, undeliverable_here: true, message_annotations: annotations.clone() };
        Some(DeliveryState::Modified(Arc::new(modified)))
    };
    rx.update(Side::Out(push.id), modified(false), true);
    assert_eq!(tx.updates().0, vec![(1, modified(true), true)]);
}

#[test]
fn nothing_changes_after_declared() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    rx.receiver("q");
    let (link, _) = tx.sender("q");
    tx.send(link, 1, false, None);
    let push = rx.pushes().pop().expect("forwarded");
    let declared = DeliveryState::Other { descriptor: 0x33, fields: Bytes::from_static(&[0x45]) };
    rx.update(Side::Out(push.id), Some(declared.clone()), false);
    assert_eq!(tx.updates().0, vec![(1, Some(declared), false)]);
    rx.update(Side::Out(push.id), Some(DeliveryState::Released), false);
    assert!(tx.effects().is_empty());
}

#[test]
fn a_message_without_a_route_is_released() {
    let router = router();
    let mut tx = Peer::new(&router);
    let link = tx.anonymous();
    tx.send(link, 1, false, Some("nowhere"));
    assert_eq!(tx.updates(), (vec![(1, Some(DeliveryState::Released), true)], 1));
    tx.send(link, 2, true, Some("nowhere"));
    assert_eq!(tx.updates(), (vec![], 1));
    assert_eq!(router.router_row(NOW).totals.outcomes.dropped_presettled, 1);
}

#[test]
fn losing_the_last_consumer_drains_and_its_return_restarts() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    let queue = rx.receiver("q");
    let (link, _) = tx.sender("q");
    rx.submit(Action::Detached { link: queue, error: None, unsent: vec![] });
    tx.send(link, 1, false, None);
    let effects = tx.effects();
    assert!(effects.iter().any(|e| matches!(e, Effect::Credit { credit: 0, drain: true, .. })));
    tx.submit(Action::Drained { link, skipped: 9 });
    rx.receiver("q");
    assert!(matches!(tx.effects()[..], [Effect::Credit { credit: 10, drain: false, .. }]));
}

#[test]
fn credit_given_up_for_a_drain_that_has_ended_comes_back() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    let queue = rx.receiver("q");
    let (link, _) = tx.sender("q");
    rx.submit(Action::Detached { link: queue, error: None, unsent: vec![] });
    tx.send(link, 1, false, None);
    let queue = rx.receiver("q");
    assert!(matches!(tx.effects().last(), Some(Effect::Credit { credit: 1, drain: false, .. })));
    tx.submit(Action::Drained { link, skipped: 5 });
    assert!(matches!(tx.effects()[..], [Effect::Credit { credit: 5, drain: false, .. }]));
    // It is kept back where nobody could use it.
    rx.submit(Action::Detached { link: queue, error: None, unsent: vec![] });
    tx.submit(Action::Drained { link, skipped: 4 });
    assert!(tx.effects().is_empty());
    rx.receiver("q");
    assert!(matches!(tx.effects()[..], [Effect::Credit { credit: 4, drain: false, .. }]));
}

#[test]
fn a_lost_consumer_releases_what_was_unsent_and_modifies_what_was_sent() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    let queue = rx.receiver("q");
    let (link, _) = tx.sender("q");
    tx.send(link, 1, false, None);
    tx.send(link, 2, false, None);
    let unsent = rx.pushes()[1].id;
    rx.submit(Action::Detached { link: queue, error: None, unsent: vec![unsent] });
    let (updates, credit) = tx.updates();
    assert_eq!(updates, vec![(1, Some(DeliveryState::failed()), true), (2, Some(DeliveryState::Released), true)]);
    assert_eq!(credit, 2);
}

#[test]
fn a_lost_sender_settles_as_modified_at_the_consumer() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    rx.receiver("q");
    let (link, _) = tx.sender("q");
    tx.send(link, 1, false, None);
    let push = rx.pushes().pop().expect("forwarded");
    tx.submit(Action::Closed);
    let effects = rx.effects();
    let [Effect::UpdateOut { id, state: Some(state), settled: true, .. }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((*id, state), (push.id, &DeliveryState::failed()));
    rx.update(Side::Out(push.id), Some(DeliveryState::Accepted), true);
}

#[test]
fn balanced_spreads_by_load_and_closest_by_turns() {
    let router = router();
    router.add_address_config("near/#", AddressConfig { treatment: Treatment::Closest, priority: None }).expect("new");
    let (mut tx, mut a, mut b) = (Peer::new(&router), Peer::new(&router), Peer::new(&router));
    for address in ["q", "near/q"] {
        a.receiver(address);
        b.receiver(address);
        let (link, _) = tx.sender(address);
        for token in 0..6 {
            tx.send(link, token, false, None);
        }
        assert_eq!((a.pushes().len(), b.pushes().len()), (3, 3), "{address}");
    }
}

#[test]
fn multicast_reports_the_highest_outcome_once_all_are_settled() {
    let router = router();
    router.add_address_config("mc", AddressConfig { treatment: Treatment::Multicast, priority: None }).expect("new");
    let (mut tx, mut a, mut b) = (Peer::new(&router), Peer::new(&router), Peer::new(&router));
    a.receiver("mc");
    b.receiver("mc");
    let (link, _) = tx.sender("mc");
    tx.send(link, 1, false, None);
    let (pa, pb) = (a.pushes().pop().expect("copy"), b.pushes().pop().expect("copy"));
    a.update(Side::Out(pa.id), Some(DeliveryState::Released), true);
    assert!(tx.effects().is_empty());
    b.update(Side::Out(pb.id), Some(DeliveryState::Accepted), true);
    assert_eq!(tx.updates(), (vec![(1, Some(DeliveryState::Accepted), true)], 1));
    // Transactions over several consumers are refused.
    tx.send(link, 2, false, None);
    let (pa, pb) = (a.pushes().pop().expect("copy"), b.pushes().pop().expect("copy"));
    let declared = DeliveryState::Other { descriptor: 0x33, fields: Bytes::from_static(&[0x45]) };
    a.update(Side::Out(pa.id), Some(declared), true);
    b.update(Side::Out(pb.id), Some(DeliveryState::Accepted), true);
    assert_eq!(tx.updates(), (vec![(2, Some(DeliveryState::Rejected(None)), true)], 1));
}

#[test]
fn dynamic_sources_are_reachable_until_their_link_goes() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    let source = Source { dynamic: true, ..Source::default() };
    let (reply, _) = rx.attach(Direction::Out, source, Target::default());
    let address = reply.source.and_then(|s| s.address).expect("generated");
    assert!(address.starts_with("amqp:/_topo/0/R/temp."), "{address}");
    let link = tx.anonymous();
    tx.send(link, 1, true, Some(&address));
    assert_eq!(rx.pushes().len(), 1);
    rx.submit(Action::Closed);
    assert!(router.address_rows().is_empty(), "nothing refers to the address any more");
}

#[test]
fn unavailable_addresses_are_refused() {
    let router = router();
    router
        .add_address_config("no/#", AddressConfig { treatment: Treatment::Unavailable, priority: None })
        .expect("new");
    let mut tx = Peer::new(&router);
    let target = Target { address: Some("no/q".into()), ..Target::default() };
    let (reply, _) = tx.attach(Direction::In, Source::default(), target);
    assert_eq!(reply.link.expect_err("refused").condition.as_str(), "amqp:not-found");
    let link = tx.anonymous();
    tx.send(link, 1, false, Some("no/q"));
    assert!(matches!(&tx.updates().0[..], [(1, Some(DeliveryState::Rejected(Some(e))), true)]
        if e.condition.as_str() == "amqp:not-found"));
}

#[test]
fn a_released_delivery_is_sent_to_somebody_else_when_asked_for() {
    let router = router();
    let (mut tx, mut a, mut b) = (Peer::new(&router), Peer::new(&router), Peer::new(&router));
    a.receiver("q");
    b.receiver("q");
    let target = Target {
        address: Some("q".into()),
        capabilities: vec![Symbol::from_static("qd.resend-released")],
        ..Target::default()
    };
    let link = tx.attach(Direction::In, Source::default(), target).0.link.expect("accepted");
    tx.send(link, 1, false, None);
    let (first, second) = if let Some(push) = a.pushes().pop() {
        a.update(Side::Out(push.id), Some(DeliveryState::Released), true);
        (&mut a, &mut b)
    } else {
        let push = b.pushes().pop().expect("one of them has it");
        b.update(Side::Out(push.id), Some(DeliveryState::Released), true);
        (&mut b, &mut a)
    };
    assert!(tx.effects().is_empty());
    assert!(first.pushes().is_empty());
    let push = second.pushes().pop().expect("forwarded again");
    second.update(Side::Out(push.id), Some(DeliveryState::Released), true);
    assert_eq!(tx.updates().0, vec![(1, Some(DeliveryState::Released), true)]);
}

#[test]
fn a_stream_passes_the_core_only_at_its_ends() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    rx.receiver("q");
    let (link, _) = tx.sender("q");
    let stream = Stream::new(StreamLimits::DEFAULT, None);
    stream.push(Bytes::from_static(b"head"));
    let id = tx.send_payload(link, 1, false, None, Payload::Stream(stream.clone())).expect("remembered");
    let push = rx.pushes().pop().expect("forwarded while it arrives");
    let Payload::Stream(body) = &push.payload else { panic!("a stream") };
    let reader = body.reader(None);
    let mut out = VecDeque::new();
    assert_eq!(reader.pull(100, &mut out), Pull::Data);
    stream.push(Bytes::from_static(b"tail"));
    stream.finish();
    tx.submit(Action::Complete { delivery: id, aborted: false });
    assert_eq!(reader.pull(100, &mut out), Pull::Done(Finish::Orderly));
    assert_eq!(out.iter().map(Bytes::len).sum::<usize>(), 8);
    rx.submit(Action::Sent { delivery: push.id });
    rx.update(Side::Out(push.id), Some(DeliveryState::Accepted), true);
    assert_eq!(tx.updates(), (vec![(1, Some(DeliveryState::Accepted), true)], 1));
}

#[test]
fn a_consumer_that_leaves_in_the_middle_of_a_stream_releases_it() {
    let router = router();
    let (mut tx, mut rx) = (Peer::new(&router), Peer::new(&router));
    rx.receiver("q");
    let (link, _) = tx.sender("q");
    let stream = Stream::new(StreamLimits::DEFAULT, None);
    let id = tx.send_payload(link, 1, false, None, Payload::Stream(stream)).expect("remembered");
    rx.submit(Action::Closed);
    let effects = tx.effects();
    assert!(
        effects.iter().any(|e| matches!(
            e,
            Effect::UpdateIn { state: Some(DeliveryState::Released), settled: true, discard: true, .. }
        )),
        "{effects:?}"
    );
    tx.submit(Action::Complete { delivery: id, aborted: false });
}

#[test]
fn settled_deliveries_wait_for_an_in_process_consumer_up_to_its_capacity() {
    let router = router();
    let mut agent = Peer::with(&router, ConnParams { kind: PeerKind::Internal, ..params() });
    let consumer = agent.receiver("_local/agent");
    let mut client = Peer::new(&router);
    let sender = client.anonymous();
    for token in 0..100 {
        client.send(sender, token, true, Some("_local/agent"));
    }
    let waiting = agent.pushes();
    assert_eq!(waiting.len(), 10);
    assert!(waiting.iter().all(|p| p.link == consumer));
    assert_eq!(client.updates().1, 100, "credit");
    assert_eq!(router.router_row(NOW).totals.outcomes.dropped_presettled, 90);
    agent.submit(Action::Sent { delivery: waiting[0].id });
    for token in 100..102 {
        client.send(sender, token, true, Some("_local/agent"));
    }
    assert_eq!(agent.pushes().len(), 1);
    // What is not settled is bounded by its sender's credit.
    client.send(sender, 102, false, Some("_local/agent"));
    assert_eq!(agent.pushes().len(), 1);
}

#[test]
fn tables_are_read_in_pages_oldest_first() {
    let router = router();
    let peers: Vec<_> = (0..5).map(|_| Peer::new(&router)).collect();
    let unopened = router.connect(params(), NOW);
    let numbers: Vec<u32> = peers.iter().map(|p| p.conn.id.number).collect();
    let page = |offset, count| -> Vec<u32> {
        router.connection_page(Page { offset, count }, NOW).iter().map(|row| row.number).collect()
    };
    assert_eq!(page(0, usize::MAX), numbers);
    assert_eq!(page(1, 2), numbers[1..3]);
    assert_eq!(page(4, 2), numbers[4..]);
    assert_eq!((page(5, 1), page(usize::MAX, usize::MAX), page(0, 0)), (vec![], vec![], vec![]));
    assert_eq!(router.connection_row(numbers[3], NOW).map(|row| row.number), Some(numbers[3]));
    assert!(router.connection_row(unopened.id.number, NOW).is_none());
    Peer::with(&router, ConnParams { kind: PeerKind::Internal, ..params() }).receiver("_local/agent");
    let totals = router.router_row(NOW);
    assert_eq!((totals.connections, totals.links, totals.services), (5, 0, vec![("amqp", 5)]));

    let mut peer = peers.into_iter().next().expect("five");
    let links = ["z", "a", "m"].map(|address| peer.receiver(address));
    assert_eq!(router.router_row(NOW).links, 3);
    let keys = |offset: usize| -> Vec<String> {
        router.address_page(Page { offset: offset + 1, count: 2 }).into_iter().map(|row| row.key).collect()
    };
    assert_eq!((keys(0), keys(2)), (vec!["Mz".to_owned(), "Ma".to_owned()], vec!["Mm".to_owned()]));
    assert_eq!(router.address_row("Ma").map(|row| row.subscribers), Some(1));
    assert!(router.address_row("Mx").is_none());
    // The place of the first is free again; what takes it is the youngest.
    peer.submit(Action::Detached { link: links[0], error: None, unsent: Vec::new() });
    peer.receiver("b");
    assert_eq!((keys(0), keys(2)), (vec!["Ma".to_owned(), "Mm".to_owned()], vec!["Mb".to_owned()]));
    let rows = router.link_page(Page { offset: 1, count: 1 }, NOW);
    assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), [links[2].number]);
    let by_number = router.link_row(LinkKey::Number(links[1].number), NOW).expect("a link");
    assert_eq!(by_number.owning_address.as_deref(), Some("Ma"));
    let by_name = router.link_row(LinkKey::Name(&by_number.name), NOW).expect("a link");
    assert_eq!(by_name.number, by_number.number);
}

#[test]
fn links_tell_what_was_not_delivered_yet() {
    let router = router();
    let (mut sender, mut receiver) = (Peer::new(&router), Peer::new(&router));
    let source = Source { address: Some("a".into()), ..Source::default() };
    let reply = receiver.attach(Direction::Out, source, Target::default()).0;
    let (out, gauge) = (reply.link.expect("accepted"), reply.gauge.expect("a gauge of what leaves"));
    let (link, _) = sender.sender("a");
    let figures = |link: LinkId| {
        let row = router.link_row(LinkKey::Number(link.number), NOW).expect("a link");
        (row.undelivered, row.unsettled)
    };
    sender.send(link, 1, true, None);
    sender.send(link, 2, false, None);
    let stream = Stream::new(StreamLimits::DEFAULT, None);
    let id = sender.send_payload(link, 3, false, None, Payload::Stream(Arc::clone(&stream))).expect("incomplete");
    assert_eq!((figures(link), figures(out)), ((0, 2), (3, 0)));
    let pushed: Vec<_> = receiver.pushes().iter().map(|p| p.id).collect();
    receiver.submit(Action::Sent { delivery: pushed[0] });
    assert_eq!(figures(out), (2, 0));
    gauge.add_one();
    assert_eq!(figures(out), (1, 1));
    stream.finish();
    sender.submit(Action::Complete { delivery: id, aborted: false });
    assert_eq!(figures(link), (0, 2));
    receiver.submit(Action::Sent { delivery: pushed[2] });
    assert_eq!(figures(out), (0, 2));
    receiver.update(Side::Out(pushed[1]), Some(DeliveryState::Accepted), true);
    receiver.update(Side::Out(pushed[2]), Some(DeliveryState::Accepted), true);
    assert_eq!((figures(link), figures(out)), ((0, 0), (0, 0)));
}

#[test]
fn watches_tell_every_change_of_reachability() {
    let router = router();
    let mut rx = Peer::new(&router);
    let watcher = Peer::new(&router);
    let notify = router_engine::stream::Notify { mailbox: watcher.conn.mailbox.clone(), key: 3 };
    let watch = router.watch("svc", notify);
    rx.receiver("svc");
    rx.submit(Action::Closed);
    let seen: Vec<bool> = watcher
        .effects()
        .iter()
        .map(|e| if let Effect::Watch { key: 3, counts } = e { counts.reachable() } else { panic!("{e:?}") })
        .collect();
    assert_eq!(seen, [false, true, false]);
    router.unwatch(watch);
    assert!(router.address_rows().is_empty());
}

#[test]
fn watches_of_consumers_are_not_told_of_producers() {
    let router = router();
    let (mut client, mut rx) = (Peer::new(&router), Peer::new(&router));
    let mailbox = Arc::new(Mailbox::default());
    let notify = router_engine::stream::Notify { mailbox: Arc::clone(&mailbox), key: 3 };
    let _watch = router.watch_consumers("svc", notify);
    let told = || {
        let (mut effects, mut ready) = (Vec::new(), Vec::new());
        mailbox.take(&mut effects, &mut ready);
        effects.len()
    };
    assert_eq!(told(), 1, "how it is");
    client.sender("svc");
    assert_eq!(told(), 0);
    rx.receiver("svc");
    rx.receiver("svc");
    assert_eq!(told(), 2, "each consumer");
    client.submit(Action::Closed);
    assert_eq!(told(), 0);
    rx.submit(Action::Closed);
    assert!(told() > 0);
}
