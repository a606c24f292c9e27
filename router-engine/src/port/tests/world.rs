//! The fixture.

use super::super::*;
use crate::Router;
use crate::core::RouterConfig;
use crate::core::connection::{ConnParams, ConnectionRole};
use amqp_core::engine::{AttachParams, Event, LinkKey, Outgoing, Sent};
use amqp_core::message::{Header, MessageBuilder, Properties};
use amqp_core::performative::{Attach, DeliveryState, Open, Role, Source, Target};
use std::io::IoSlice;

/// A client of the router: an engine joined to a port.
pub(super) struct Client {
    pub(super) engine: Connection,
    pub(super) port: AmqpPort,
    pub(super) events: Vec<Event>,
    /// Nothing is carried from the port to the client: its socket is full.
    pub(super) stalled: bool,
    /// Most octets that ever waited to be written by the port.
    pub(super) peak_output: usize,
}

pub(super) struct World {
    pub(super) router: Arc<Router>,
    pub(super) now: Instant,
    pub(super) clients: Vec<Client>,
}

pub(super) fn params(role: ConnectionRole) -> PortParams {
    let mut conn = ConnParams::amqp(role);
    conn.facts.host = "127.0.0.1:5000".into();
    conn.links.capacity = 10;
    PortParams::new(conn)
}

/// A message with an address and a body of `len` octets.
pub(super) fn message(to: Option<&str>, len: usize) -> Bytes {
    let body: Vec<u8> = (0..len).map(|n| (n % 253) as u8).collect();
    MessageBuilder::new()
        .header(&Header::default())
        .properties(&Properties { to: to.map(str::to_owned), ..Properties::default() })
        .data(&body)
}

fn carry(from: &mut Output, max: usize) -> Bytes {
    let mut slices = [IoSlice::new(&[]); 64];
    let n = from.fill_slices(&mut slices);
    let mut octets: Vec<u8> = slices[..n].iter().flat_map(|s| s.iter().copied()).collect();
    octets.truncate(max);
    from.advance(octets.len());
    octets.into()
}

/// All that waits to be written.
pub(super) fn taken(from: &mut Output) -> Bytes {
    carry(from, usize::MAX)
}

impl World {
    pub(super) fn new() -> Self {
        let now = Instant::from_micros(1);
        let config = RouterConfig { id: "R".into(), ..RouterConfig::default() };
        Self { router: Arc::new(Router::new(config, crate::rng::Seed::from(1), 1, now)), now, clients: Vec::new() }
    }

    pub(super) fn client(&mut self) -> usize {
        self.client_with(params(ConnectionRole::Normal))
    }

    /// A client whose sessions have small windows at the router.
    pub(super) fn narrow_client(&mut self) -> usize {
        self.client_with(PortParams { session_window: Some(16), ..params(ConnectionRole::Normal) })
    }

    pub(super) fn client_with(&mut self, params: PortParams) -> usize {
        let at = self.join(params);
        self.clients[at].engine.open(Open { container_id: format!("client{at}"), ..Open::default() });
        self.run();
        assert!(self.clients[at].engine.is_open() && self.clients[at].port.opened());
        at
    }

    /// A client that has not opened.
    pub(super) fn join(&mut self, params: PortParams) -> usize {
        let handle = self.router.connect(params.conn.clone(), self.now);
        let port = AmqpPort::new(params, handle, Arc::clone(&self.router), self.now);
        let sasl =
            SaslConfig::Client { mechanisms: None, username: None, password: None, external: false, hostname: None };
        let engine = Connection::new(Config { sasl, session_window: 64, ..Config::default() });
        self.clients.push(Client { engine, port, events: Vec::new(), stalled: false, peak_output: 0 });
        self.clients.len() - 1
    }

    /// Runs everything until nothing moves.
    pub(super) fn run(&mut self) {
        for _ in 0..100_000 {
            let mut moved = false;
            for client in &mut self.clients {
                moved |= client.step(self.now);
            }
            if !moved && self.clients.iter().all(Client::idle) {
                return;
            }
        }
        panic!("the world does not come to rest");
    }

    pub(super) fn at(&mut self, client: usize) -> &mut Client {
        &mut self.clients[client]
    }

    /// Attaches a link of a client that sends (to `address`) or receives (from it).
    pub(super) fn attach(&mut self, client: usize, role: Role, address: Option<&str>) -> LinkKey {
        let session = self.at(client).engine.begin_session().expect("session");
        self.attach_on(client, session, role, address, 2)
    }

    pub(super) fn attach_on(
        &mut self,
        client: usize,
        session: SessionKey,
        role: Role,
        address: Option<&str>,
        snd_settle_mode: u8,
    ) -> LinkKey {
        let mut source = Source::default();
        let mut target = Target::default();
        match role {
            Role::Sender => target.address = address.map(str::to_owned),
            Role::Receiver => source.address = address.map(str::to_owned),
        }
        let name = format!("link{}", self.at(client).events.len());
        let params =
            AttachParams { name, role, source: Some(source.into()), target: Some(target.into()), snd_settle_mode };
        let link = self.at(client).engine.attach(session, params).expect("link");
        self.run();
        link
    }

    pub(super) fn sender(&mut self, client: usize, address: Option<&str>) -> LinkKey {
        self.attach(client, Role::Sender, address)
    }

    /// A receiving link with credit.
    pub(super) fn receiver(&mut self, client: usize, address: &str, credit: u32) -> LinkKey {
        let link = self.attach(client, Role::Receiver, Some(address));
        self.at(client).engine.grant_credit(link, credit);
        self.run();
        link
    }
}

impl Client {
    fn step(&mut self, now: Instant) -> bool {
        while let Some(event) = self.engine.poll_event(now) {
            self.events.push(event);
        }
        self.engine.flush(now);
        let more = self.port.turn(now);
        let mut moved = false;
        self.peak_output = self.peak_output.max(self.port.output().len());
        if self.port.wants_input() {
            let up = carry(self.engine.output(), 20_000);
            moved |= !up.is_empty();
            self.port.receive(up);
        }
        if !self.stalled {
            let down = carry(self.port.output(), 20_000);
            moved |= !down.is_empty();
            self.engine.receive(down);
        }
        // With a full socket more work has to wait.
        moved || (more && !self.stalled)
    }

    fn idle(&self) -> bool {
        self.port.park(Waker::noop())
    }

    pub(super) fn send(&mut self, link: LinkKey, token: u64, settled: bool, message: Bytes) -> Sent {
        assert!(self.engine.start(link, Outgoing { tag: token, settled, state: None, token }), "no credit");
        let mut payload = VecDeque::from([message]);
        let sent = self.engine.send(link, &mut payload, Some(settled), usize::MAX);
        assert!(payload.is_empty(), "the window is too small for the test");
        sent
    }

    /// Updates of deliveries that the client sent: token, state, settled.
    pub(super) fn outcomes(&self) -> Vec<(u64, Option<DeliveryState>, bool)> {
        let outcomes = self.events.iter().filter_map(|e| match e {
            Event::Update(u) if !u.incoming => Some((u.token?, u.state.clone(), u.settled)),
            _ => None,
        });
        outcomes.collect()
    }

    /// Deliveries that came: key, octets, settled, aborted; the last flag says complete.
    pub(super) fn deliveries(&self) -> Vec<Arrived> {
        let mut all: Vec<Arrived> = Vec::new();
        for event in &self.events {
            let Event::Transfer(t) = event else { continue };
            if t.first {
                all.push(Arrived { key: t.delivery, ..Arrived::default() });
            }
            let d = all.iter_mut().rev().find(|d| d.key == t.delivery).expect("first frame");
            d.octets.extend_from_slice(&t.payload);
            d.settled |= t.settled;
            d.aborted |= t.aborted;
            d.complete |= !t.more && !t.aborted;
        }
        all
    }

    pub(super) fn attach_answer(&self, link: LinkKey) -> Option<&Attach> {
        self.events.iter().find_map(|e| match e {
            Event::Attached { link: l, attach } if *l == link => Some(&**attach),
            _ => None,
        })
    }

    pub(super) fn detached(&self, link: LinkKey) -> Option<Option<String>> {
        self.events.iter().find_map(|e| match e {
            Event::Detached { link: l, error } if *l == link => Some(error.as_ref().map(|e| e.to_string())),
            _ => None,
        })
    }
}

#[derive(Debug, Clone)]
pub(super) struct Arrived {
    pub(super) key: DeliveryKey,
    pub(super) octets: Vec<u8>,
    pub(super) settled: bool,
    pub(super) aborted: bool,
    pub(super) complete: bool,
}

impl Default for Arrived {
    fn default() -> Self {
        Self {
            key: DeliveryKey { session: 0, id: 0 },
            octets: Vec::new(),
            settled: false,
            aborted: false,
            complete: false,
        }
    }
}
