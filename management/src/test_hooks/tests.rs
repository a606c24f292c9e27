//! The test hooks against a core, with peers that the tests make up.

use super::{Fault, Hooks};
use amqp_core::Instant;
use amqp_core::message::{Message, MessageBuilder, Properties};
use amqp_core::performative::{DeliveryState, Source, Target};
use amqp_core::value::Map;
use bytes::Bytes;
use router_engine::core::action::{Action, AttachRequest, Deliver, Direction, PeerOpen, Side};
use router_engine::core::connection::{ConnHandle, ConnParams, ConnectionRole};
use router_engine::core::effect::{AttachOut, Push};
use router_engine::core::{Mode, RouterConfig};
use router_engine::port::local::{Attach, Endpoint, Identity};
use router_engine::stream::Payload;
use router_engine::{Effect, InToken, LinkId, Router};
use std::sync::Arc;
use std::time::Duration;

const NOW: Instant = Instant::from_micros(0);

/// A client of a router that has test hooks.
struct Peer {
    router: Arc<Router>,
    conn: ConnHandle,
    hooks: Hooks,
}

impl Peer {
    fn new(container: &str) -> Self {
        let config = RouterConfig { id: "R".into(), mode: Mode::Standalone, ..RouterConfig::default() };
        let router = Arc::new(Router::new(config, adaptors::random::seed(), 1, NOW));
        let hooks = Hooks::join(&router, |_| {}, NOW);
        let conn = router.connect(ConnParams::amqp(ConnectionRole::Normal), NOW);
        let mut peer = Self { router, conn, hooks };
        let container_id = container.to_owned();
        peer.submit(Action::Opened(Box::new(PeerOpen { container_id, ..PeerOpen::default() })));
        peer
    }

    /// Tells the router something, and lets the hooks do what they have to.
    fn submit(&mut self, action: Action) {
        self.router.submit(self.conn.id, &mut vec![action], &mut Vec::new(), NOW);
        self.settle();
    }

    fn settle(&mut self) {
        while self.hooks.endpoint.take() {
            while let Some(event) = self.hooks.endpoint.next_event() {
                self.hooks.on_event(event);
            }
            while self.hooks.nodes.step(&mut self.hooks.endpoint) {}
            self.hooks.endpoint.submit(NOW);
        }
    }

    fn effects(&self) -> Vec<Effect> {
        let (mut effects, mut keys) = (Vec::new(), Vec::new());
        self.conn.mailbox.take(&mut effects, &mut keys);
        effects
    }

    /// Asks for a link; the effects of that.
    fn ask(&mut self, direction: Direction, node: &str) -> Vec<Effect> {
        let address = Some(format!("io.skupper.router.router/test/{node}"));
        let (mut source, mut target) = (Source::default(), Target::default());
        match direction {
            Direction::In => target.address = address,
            Direction::Out => source.address = address,
        }
        let (source, target) = (Some(Box::new(source)), Some(Box::new(target)));
        let name = format!("{node}-{direction:?}");
        self.submit(Action::Attach(Box::new(AttachRequest {
            token: 0,
            name,
            direction,
            source,
            target,
            settle_on_send: false,
        })));
        self.effects()
    }

    /// The answer to an attach: the link, or what is said of a refusal.
    fn attach(&mut self, direction: Direction, node: &str) -> Result<LinkId, String> {
        let answer = self.ask(direction, node).into_iter().find_map(answer).expect("an answer");
        answer.map_err(|error| error.description.unwrap_or_default())
    }

    /// Sends an unsettled message, and tells its outcome.
    fn send(&mut self, link: LinkId, message: Bytes) -> Option<DeliveryState> {
        let payload = Payload::One(message);
        self.submit(Action::Deliver(Box::new(Deliver {
            link,
            token: InToken(1),
            settled: false,
            payload,
            to: None,
            annotations: Default::default(),
            priority: 4,
            state: None,
            unattended: false,
        })));
        self.effects().into_iter().find_map(|e| if let Effect::UpdateIn { state, .. } = e { state } else { None })
    }

    fn grant(&mut self, link: LinkId, credit: u32, drain: bool) -> Vec<Push> {
        self.submit(Action::PeerCredit { link, credit, drain });
        pushes(self.effects())
    }
}

fn answer(effect: Effect) -> Option<Result<LinkId, Box<amqp_core::performative::Error>>> {
    if let Effect::AttachReply(reply) = effect { Some(reply.link) } else { None }
}

fn pushes(effects: Vec<Effect>) -> Vec<Push> {
    effects.into_iter().filter_map(|e| if let Effect::Push(push) = e { Some(*push) } else { None }).collect()
}

fn attaches(effects: Vec<Effect>) -> Vec<AttachOut> {
    effects.into_iter().filter_map(|e| if let Effect::Attach(out) = e { Some(*out) } else { None }).collect()
}

fn decoded(push: &Push) -> Message {
    let Payload::One(octets) = &push.payload else { panic!("{push:?}") };
    Message::decode(std::slice::from_ref(octets)).expect("valid")
}

fn titled(subject: &str) -> Bytes {
    MessageBuilder::new().properties(&Properties { subject: Some(subject.into()), ..Properties::default() }).value("x")
}

#[test]
fn nodes_refuse_links_that_they_have_no_use_for() {
    let mut peer = Peer::new("c");
    let deny = "Connectivity to the deny node is forbidden";
    for (direction, node, text) in [
        (Direction::In, "deny", deny),
        (Direction::Out, "deny", deny),
        (Direction::Out, "sink", "Sink function only accepts incoming links"),
        (Direction::Out, "discard", "Discard function only accepts incoming links"),
        (Direction::In, "source", "Source function only accepts outgoing links"),
        (Direction::In, "source_ps", "Source function only accepts outgoing links"),
        (Direction::Out, "log", "Test log function only accepts incoming links"),
        (Direction::Out, "crash", "Test crash function only accepts incoming links"),
    ] {
        assert_eq!(peer.attach(direction, node), Err(text.to_owned()), "{node}");
    }
}

#[test]
fn sinks_accept_and_discard_rejects() {
    let mut peer = Peer::new("c");
    for (node, outcome) in [("sink", DeliveryState::Accepted), ("discard", DeliveryState::Rejected(None))] {
        let link = peer.attach(Direction::In, node).expect("accepted");
        for _ in 0..2 {
            assert_eq!(peer.send(link, titled("s")), Some(outcome.clone()), "{node}");
        }
    }
}

#[test]
fn sources_send_as_many_as_there_is_credit_for() {
    let mut peer = Peer::new("c");
    let mut sequence = 0_u32;
    for (node, settled) in [("source", false), ("source_ps", true)] {
        let link = peer.attach(Direction::Out, node).expect("accepted");
        let came = peer.grant(link, 3, false);
        assert_eq!(came.len(), 3, "{node}");
        for push in came {
            let message = decoded(&push);
            assert_eq!(push.settled, settled);
            assert_eq!(message.application_properties.get("sequence"), Some(&sequence.into()));
            assert_eq!(message.body, amqp_core::message::Body::Value(format!("Sequence: {sequence}").into()));
            sequence += 1;
        }
    }
}

#[test]
fn a_source_stops_while_too_much_is_unsettled() {
    let mut peer = Peer::new("c");
    let link = peer.attach(Direction::Out, "source").expect("accepted");
    let came = peer.grant(link, 1_000_000, false);
    assert_eq!(came.len(), 250);
    let (delivery, state) = (Side::Out(came[0].id), Some(DeliveryState::Accepted));
    peer.submit(Action::Update { delivery, state, settled: true });
    assert_eq!(pushes(peer.effects()).len(), 1);
}

#[test]
fn echo_mirrors_attach_and_detach() {
    let mut peer = Peer::new("c");
    let effects = peer.ask(Direction::Out, "echo");
    let [mirror] = &attaches(effects)[..] else { panic!("one link") };
    assert_eq!(mirror.direction, Direction::In);
    assert_eq!(mirror.source.address.as_deref(), Some("io.skupper.router.router/test/echo"));
    let mirror = mirror.link;
    peer.submit(Action::Attached { link: mirror, source: None, target: None, settle_on_send: false });
    let link = peer.effects().into_iter().find_map(answer).expect("now it is answered").expect("accepted");
    peer.submit(Action::Detached { link, error: None, unsent: Vec::new() });
    assert!(peer.effects().iter().any(|e| matches!(e, Effect::Detach { link, .. } if *link == mirror)));
}

#[test]
fn a_crash_is_left_some_moments() {
    let mut peer = Peer::new("c");
    let link = peer.attach(Direction::In, "crash").expect("accepted");
    assert_eq!(peer.send(link, titled("nothing")), Some(DeliveryState::Accepted));
    assert!(peer.hooks.doomed.is_none());
    peer.send(link, titled("SEGV"));
    assert_eq!(peer.hooks.doomed.map(|(_, fault)| fault), Some(Fault::Segmentation));
}

/// A service that the client has attached to, with its two links.
fn service() -> (Peer, LinkId, LinkId) {
    let mut peer = Peer::new("io.skupper.router.test_core_client");
    let links = attaches(peer.effects());
    let [requests, replies] = &links[..] else { panic!("{links:?}") };
    assert_eq!((requests.direction, replies.direction), (Direction::Out, Direction::In));
    assert_eq!(requests.target.address.as_deref(), Some("test_client_address"));
    assert!(replies.source.dynamic);
    let (requests, replies) = (requests.link, replies.link);
    let named = |address: &str| Some(Box::new(Source { address: Some(address.to_owned()), ..Source::default() }));
    peer.submit(Action::Attached {
        link: replies,
        source: named("answers"),
        target: Some(Box::default()),
        settle_on_send: false,
    });
    peer.submit(Action::Attached {
        link: requests,
        source: Some(Box::default()),
        target: Some(Box::default()),
        settle_on_send: false,
    });
    (peer, requests, replies)
}

fn reply(id: impl Into<amqp_core::Value>) -> Bytes {
    MessageBuilder::new().properties(&Properties { correlation_id: id.into(), ..Properties::default() }).value("x")
}

#[test]
fn the_client_sends_one_request_after_the_other() {
    let (mut peer, requests, replies) = service();
    let first = peer.grant(requests, 2, false);
    assert_eq!(first.len(), 1);
    let message = decoded(&first[0]);
    assert_eq!(message.properties.reply_to.as_deref(), Some("answers"));
    assert_eq!(message.application_properties, Map::new().with("action", "echo").with("counter", 0_i64));
    let answered = reply(message.properties.correlation_id);
    peer.submit(Action::Deliver(Box::new(Deliver {
        link: replies,
        token: InToken(1),
        settled: false,
        payload: Payload::One(answered),
        to: None,
        annotations: Default::default(),
        priority: 4,
        state: None,
        unattended: false,
    })));
    assert_eq!(pushes(peer.effects()).len(), 1, "the reply makes room for the next");
}

#[test]
fn the_client_uses_up_what_is_drained() {
    let (mut peer, requests, _) = service();
    assert_eq!(peer.grant(requests, 5, true).len(), 5);
}

#[test]
fn replies_must_name_a_request() {
    let (mut peer, requests, replies) = service();
    peer.grant(requests, 1, false);
    assert_eq!(peer.send(replies, reply(amqp_core::Value::Null)), Some(DeliveryState::Rejected(None)));
    assert_eq!(peer.send(replies, reply("another")), Some(DeliveryState::Accepted));
}

#[test]
fn requests_time_out_and_a_service_may_come_again() {
    let (mut peer, requests, replies) = service();
    peer.grant(requests, 1, false);
    let due = peer.hooks.client.due().expect("a request waits");
    peer.hooks.client.on_time(due);
    assert!(peer.hooks.client.due().is_none());
    peer.submit(Action::Detached { link: requests, error: None, unsent: Vec::new() });
    assert!(peer.effects().iter().any(|e| matches!(e, Effect::Detach { link, .. } if *link == replies)));
    assert!(due.since(adaptors::clock::now()) <= Duration::from_secs(5));
    peer.hooks.client.begin(&peer.hooks.endpoint, peer.conn.id, NOW);
    assert_eq!(attaches(peer.effects()).len(), 2);
}

#[test]
fn watches_are_told_of_at_once_and_at_each_change() {
    let mut peer = Peer::new("c");
    let mut client = Endpoint::join(&peer.router, Identity::client("watcher", 10), Default::default(), NOW);
    let links = [
        Attach::receiver("events", "_local/_testhook/watch_event").with_credit(10),
        Attach::sender("control", "_local/_testhook/address_watch"),
    ];
    let [_, control] = client.attach(links, NOW).map(|attached| attached.expect("attached").link);
    let ask = |client: &mut Endpoint, opcode: &str| {
        let asked = Map::new().with("opcode", opcode).with("address", "q");
        let message = MessageBuilder::new().application_properties(&asked).without_body();
        client.send(control, Payload::One(message), Default::default());
        client.submit(NOW);
    };
    ask(&mut client, "watch-on");
    peer.settle();
    let consume =
        |client: &mut Endpoint| client.attach([Attach::receiver("q", "q")], NOW).map(|a| a.expect("attached"));
    consume(&mut client);
    peer.settle();
    ask(&mut client, "watch-off");
    peer.settle();
    consume(&mut client);
    peer.settle();
    assert_eq!(told(&mut client), [0, 1]);
}

/// The consumers that a watcher was told of.
fn told(watcher: &mut Endpoint) -> Vec<u64> {
    let mut told = Vec::new();
    while watcher.take() {
        while let Some(event) = watcher.next_event() {
            let router_engine::port::local::Event::Delivery(delivery) = event else { continue };
            let message = Message::decode(delivery.message().expect("whole")).expect("valid");
            let consumers = message.application_properties.get("local_consumers").expect("a figure");
            told.push(consumers.as_u64().expect("a number"));
        }
    }
    told
}
