//! Messages through a whole router, from the frames of one client to those of another.

use super::Path;
use amqp_core::Instant;
use amqp_core::engine::{AttachParams, Config, Connection, Event, LinkKey, Outgoing, Output, SaslConfig};
use amqp_core::message::{Header, MessageBuilder, Properties};
use amqp_core::performative::{DeliveryState, Open, Role, Source, Target};
use bytes::Bytes;
use router_engine::Router;
use router_engine::core::connection::{ConnParams, ConnectionRole};
use router_engine::core::{Mode, RouterConfig};
use router_engine::policy::{AddressRules, Group, HostRange, Policy, Settings, Vhost};
use router_engine::port::{AmqpPort, PortParams};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;
use std::task::Waker;

const NOW: Instant = Instant::from_micros(1);
const ADDRESS: &str = "service";
/// Messages between two looks at what came of them.
pub const BATCH: u64 = 64;
/// Octets that travel at once.
const READ: usize = 64 * 1024;

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Small messages, which the receiver accepts.
    Unsettled,
    /// The same, of clients whose rights are limited.
    UnsettledPoliced,
    /// Small messages that are settled when they are sent.
    Settled,
    /// Messages of 64 KiB, in frames of the usual size.
    Large,
}

/// A client, and its connection at the router.
struct Client {
    engine: Connection,
    port: AmqpPort,
    link: Option<LinkKey>,
    /// Messages that came, or whose outcome did.
    done: u64,
}

/// Sends so many messages at each call, a multiple of [`BATCH`]; returns when all have come and are settled.
#[must_use]
pub fn through(kind: Kind) -> Path {
    let config = RouterConfig { id: "R".into(), mode: Mode::Standalone, ..RouterConfig::default() };
    let router = Arc::new(Router::new(config, router_engine::rng::Seed::from(1), 1, NOW));
    if kind == Kind::UnsettledPoliced {
        restrict(&router);
    }
    let mut clients = [Client::new(&router, Role::Receiver), Client::new(&router, Role::Sender)];
    clients.iter_mut().for_each(Client::attach);
    run(&mut clients);
    let body = vec![7; if kind == Kind::Large { 64 * 1024 } else { 100 }];
    let properties = Properties { to: Some(ADDRESS.into()), ..Properties::default() };
    let message = MessageBuilder::new().header(&Header::default()).properties(&properties).data(&body);
    let settled = kind == Kind::Settled;
    // Of large ones fewer are under way, as they would be through sockets.
    let batch = if kind == Kind::Large { 4 } else { BATCH };
    let (mut tag, mut payload) = (0, VecDeque::new());
    Box::new(move |times| {
        for _ in 0..times.div_ceil(batch) {
            let [receiver, sender] = &clients;
            let until = if settled { receiver.done } else { sender.done } + batch;
            for _ in 0..batch {
                tag += 1;
                clients[1].send(tag, settled, &message, &mut payload);
            }
            run(&mut clients);
            let [receiver, sender] = &clients;
            assert_eq!(if settled { receiver.done } else { sender.done }, until, "not all have come");
        }
    })
}

/// Clients may send to and receive from the address, and their messages have a largest size.
fn restrict(router: &Router) {
    let rules = || {
        let mut rules = AddressRules::literals();
        rules.add(ADDRESS).expect("an address");
        rules
    };
    let settings = Settings {
        max_message_size: Some(10_000),
        max_senders: Some(10),
        max_receivers: Some(10),
        allow_user_id_proxy: true,
        sources: rules(),
        targets: rules(),
        ..Settings::default()
    };
    let group = Group {
        users: vec!["anonymous".to_owned()],
        remote_hosts: vec![HostRange::Any],
        settings: Arc::new(settings),
        ..Group::default()
    };
    let vhost = Vhost::new(String::new(), Vec::new(), false, vec![("g".to_owned(), group)]).expect("a vhost");
    router.change_policy(|policy| {
        *policy = Policy::new(true, false, String::new());
        policy.put(vhost).expect("no other of that name");
    });
}

/// Until nothing moves.
fn run(clients: &mut [Client]) {
    loop {
        let moved = clients.iter_mut().fold(false, |moved, client| client.step() | moved);
        if !moved && clients.iter().all(|client| client.port.park(Waker::noop())) {
            return;
        }
    }
}

// === impl Client ===

impl Client {
    fn new(router: &Arc<Router>, role: Role) -> Self {
        let params = PortParams::new(ConnParams::amqp(ConnectionRole::Normal));
        let handle = router.connect(params.conn.clone(), NOW);
        let port = AmqpPort::new(params, handle, Arc::clone(router), NOW);
        let sasl =
            SaslConfig::Client { mechanisms: None, username: None, password: None, external: false, hostname: None };
        let mut engine = Connection::new(Config { sasl, session_window: 2048, ..Config::default() });
        engine.open(Open { container_id: format!("{role:?}"), ..Open::default() });
        let mut client = Self { engine, port, link: None, done: 0 };
        run(std::slice::from_mut(&mut client));
        let session = client.engine.begin_session().expect("open");
        let (mut source, mut target) = (Source::default(), Target::default());
        let address = Some(ADDRESS.to_owned());
        match role {
            Role::Sender => target.address = address,
            Role::Receiver => source.address = address,
        }
        let (source, target) = (Some(source.into()), Some(target.into()));
        let params = AttachParams { name: "link".to_owned(), role, source, target, snd_settle_mode: 2 };
        client.link = client.engine.attach(session, params);
        client
    }

    /// Goes on until the link has what it needs.
    fn attach(&mut self) {
        let link = self.link.expect("a session has room for a link");
        run(std::slice::from_mut(self));
        self.engine.grant_credit(link, u32::MAX / 2);
    }

    fn send(&mut self, tag: u64, settled: bool, message: &Bytes, payload: &mut VecDeque<Bytes>) {
        let link = self.link.expect("attached");
        assert!(self.engine.start(link, Outgoing { tag, settled, state: None, token: tag }), "no credit");
        payload.push_back(message.clone());
        self.engine.send(link, payload, Some(settled), usize::MAX);
        assert!(payload.is_empty(), "no window");
    }

    /// True when something has moved.
    fn step(&mut self) -> bool {
        while let Some(event) = self.engine.poll_event(NOW) {
            match event {
                Event::Transfer(transfer) if !transfer.more => {
                    self.done += 1;
                    if !transfer.settled {
                        self.engine.update_in(transfer.delivery, Some(DeliveryState::Accepted), true);
                    }
                }
                Event::Update(update) if !update.incoming && update.settled => {
                    assert_eq!(update.state, Some(DeliveryState::Accepted));
                    self.done += 1;
                }
                _ => {}
            }
        }
        self.engine.flush(NOW);
        let mut moved = self.port.turn(NOW);
        if let Some(octets) = carry(self.engine.output()) {
            self.port.receive(octets);
            moved = true;
        }
        if let Some(octets) = carry(self.port.output()) {
            self.engine.receive(octets);
            moved = true;
        }
        moved
    }
}

/// What a socket would carry at once.
fn carry(from: &mut Output) -> Option<Bytes> {
    if from.is_empty() {
        return None;
    }
    let mut slices = [IoSlice::new(&[]); 64];
    let filled = from.fill_slices(&mut slices);
    let mut octets = Vec::with_capacity(READ);
    for slice in &slices[..filled] {
        octets.extend_from_slice(&slice[..slice.len().min(READ - octets.len())]);
    }
    from.advance(octets.len());
    Some(octets.into())
}
