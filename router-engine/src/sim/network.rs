//! Routers, ports, clients and wires: how they are put together, and what is done to them.

use super::client::{Client, LinkSpec, Plan};
use super::ledger::Ledger;
use super::service::{FlowRecord, Server};
use super::wire::{EndId, ROOM, Wire};
use crate::Router;
use crate::core::connection::{ConnParams, ConnectionRole};
use crate::core::{AddressConfig, AutoLinkConfig, Mode, RouterConfig};
use crate::port::{AmqpPort, Liveness, PortParams, SaslParams};
use crate::rng::SplitMix64;
use amqp_core::Instant;
use slab::Slab;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;
use std::time::Duration;

/// For how long requests of services that fail before they reach a server are sent again.
pub(super) const STREAM_RETRY: Duration = Duration::from_secs(2);

/// How a router is configured.
#[derive(Debug, Clone)]
pub struct RouterSpec {
    /// The router id.
    pub id: String,
    /// Interior or edge.
    pub mode: Mode,
    /// The network that it belongs to. Routers of different ones are joined by connections of the role `inter-network`.
    pub network: Option<String>,
    /// Auto-links.
    pub auto_links: Vec<AutoLinkConfig>,
    /// Address configurations: pattern, and what applies to its addresses.
    pub addresses: Vec<(String, AddressConfig)>,
    /// Whether it takes part in wide windows; others do not.
    pub wide_windows: bool,
    /// Whether it tells its neighbours of bare ends, and they it; others do not.
    pub bare_ends: bool,
}

/// A connector of one router to another; its role follows from their networks and modes. It is the edge router that connects to an
/// interior router.
#[derive(Debug, Clone, Copy)]
pub struct TrunkSpec {
    /// Index of the connecting router, and of the listening one.
    pub ends: [usize; 2],
    /// Cost on both sides.
    pub cost: u32,
    /// Time from one end to the other.
    pub delay: Duration,
}

/// A network in virtual time. See the module documentation.
#[derive(Debug)]
pub struct Sim {
    /// The time.
    pub now: Instant,
    /// Messages.
    pub ledger: Ledger,
    /// Randomness for whoever drives the network.
    pub rng: SplitMix64,
    /// Largest frame that routers accept, in octets.
    pub max_frame_size: u32,
    /// How closely routers watch each other.
    pub liveness: Option<Liveness>,
    /// Octets that fit in one direction of a connection: socket buffers and what is under way.
    pub room: usize,
    pub(super) routers: Vec<SimRouter>,
    pub(super) trunks: Vec<Trunk>,
    pub(super) clients: Vec<Client>,
    pub(super) servers: Vec<Server>,
    pub(super) flows: Vec<FlowRecord>,
    pub(super) ends: Slab<End>,
    pub(super) wires: Slab<Wire>,
    boots: i64,
}

#[derive(Debug)]
pub(super) struct SimRouter {
    spec: RouterSpec,
    pub(super) router: Arc<Router>,
    /// Nobody can connect to it before.
    pub(super) start: Instant,
}

#[derive(Debug)]
pub(super) struct Trunk {
    pub(super) spec: TrunkSpec,
    /// The connector may connect.
    pub(super) enabled: bool,
    pub(super) wire: Option<usize>,
    pub(super) retry: Instant,
}

/// One end of a wire.
#[derive(Debug)]
pub(super) struct End {
    pub(super) wire: usize,
    /// When it stops trying to send its last octets, as a driver does: both ends may be full of what the other one does
    /// not read any more.
    pub(super) give_up: Option<Instant>,
    pub(super) body: EndBody,
}

pub(super) enum EndBody {
    Port { router: usize, port: Box<AmqpPort>, flag: Arc<Flag> },
    Client(usize),
}

impl std::fmt::Debug for EndBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Port { router, .. } => write!(f, "Port of {router}"),
            Self::Client(client) => write!(f, "Client {client}"),
        }
    }
}

/// Set when a port is woken: a lost wake-up stops the traffic, as it would in a real driver.
#[derive(Debug)]
pub(super) struct Flag(pub(super) AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

// === impl RouterSpec ===

impl RouterSpec {
    /// An interior router without configured addresses.
    #[must_use]
    pub fn interior(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            mode: Mode::Interior,
            network: None,
            auto_links: Vec::new(),
            addresses: Vec::new(),
            wide_windows: true,
            bare_ends: true,
        }
    }

    /// An edge router without configured addresses.
    #[must_use]
    pub fn edge(id: impl Into<String>) -> Self {
        Self { mode: Mode::Edge, ..Self::interior(id) }
    }
}

// === impl Sim: building ===

impl Sim {
    /// An empty network.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            now: Instant::from_micros(1_000_000),
            ledger: Ledger::default(),
            rng: SplitMix64::new(seed),
            max_frame_size: 16384,
            liveness: None,
            room: ROOM,
            routers: Vec::new(),
            trunks: Vec::new(),
            clients: Vec::new(),
            servers: Vec::new(),
            flows: Vec::new(),
            ends: Slab::new(),
            wires: Slab::new(),
            boots: 1000,
        }
    }

    /// Adds a router and returns its index.
    pub fn add_router(&mut self, spec: RouterSpec) -> usize {
        let router = self.boot(spec, self.now);
        self.routers.push(router);
        self.routers.len() - 1
    }

    /// The router with that index.
    #[must_use]
    pub fn router(&self, index: usize) -> &Router {
        &self.routers[index].router
    }

    /// Adds a connector, which connects at once, and returns its index.
    pub fn add_trunk(&mut self, spec: TrunkSpec) -> usize {
        self.trunks.push(Trunk { spec, enabled: true, wire: None, retry: self.now });
        self.trunks.len() - 1
    }

    /// Adds a client, which connects at once, and returns its index.
    pub fn add_client(&mut self, router: usize, plan: Plan) -> usize {
        let seed = self.rng.next_u64();
        let index = self.clients.len();
        self.clients.push(Client::new(index, router, plan, seed));
        self.connect_client(index);
        index
    }

    fn boot(&mut self, spec: RouterSpec, start: Instant) -> SimRouter {
        self.boots += 1;
        let (id, mode, network_id) = (spec.id.clone(), spec.mode, spec.network.clone());
        let config = RouterConfig { id, mode, network_id, stream_retry: STREAM_RETRY, ..RouterConfig::default() };
        let router = Router::new(config, self.rng.next_u64().into(), self.boots, start);
        for (pattern, config) in &spec.addresses {
            // The specification of a simulation has no duplicates.
            let _ = router.add_address_config(pattern, config.clone());
        }
        for (number, config) in (1..).zip(&spec.auto_links) {
            router.add_auto_link(number, config.clone());
        }
        SimRouter { spec, router: Arc::new(router), start }
    }

    fn add_port(&mut self, router: usize, params: PortParams) -> EndId {
        let RouterSpec { wide_windows, bare_ends, .. } = self.routers[router].spec;
        let params = PortParams { wide_windows, bare_ends, ..params };
        let core = Arc::clone(&self.routers[router].router);
        let handle = core.connect(params.conn.clone(), self.now);
        let port = Box::new(AmqpPort::new(params, handle, core, self.now));
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        self.ends.insert(End { wire: usize::MAX, give_up: None, body: EndBody::Port { router, port, flag } })
    }

    fn join(&mut self, ends: [EndId; 2], delay: Duration) -> usize {
        let wire = self.wires.insert(Wire::new(ends, delay, self.room));
        for end in ends {
            self.ends[end].wire = wire;
        }
        wire
    }

    pub(super) fn connect_client(&mut self, client: usize) {
        self.clients[client].connect();
        let port = self.add_port(self.clients[client].router, self.params(ConnectionRole::Normal, false, 1));
        let end = self.ends.insert(End { wire: usize::MAX, give_up: None, body: EndBody::Client(client) });
        let delay = Duration::from_micros(50 + self.rng.below(2000));
        self.join([end, port], delay);
    }

    pub(super) fn connect_trunk(&mut self, trunk: usize) {
        let TrunkSpec { ends: [a, b], cost, delay } = self.trunks[trunk].spec;
        let role = self.trunk_role([a, b]);
        let connector = self.add_port(a, self.params(role, true, cost));
        let listener = self.add_port(b, self.params(role, false, cost));
        self.trunks[trunk].wire = Some(self.join([connector, listener], delay));
    }

    /// The role of connections between two routers.
    pub(super) fn trunk_role(&self, ends: [usize; 2]) -> ConnectionRole {
        let [a, b] = ends.map(|router| &self.routers[router].spec.network);
        if a != b {
            return ConnectionRole::InterNetwork;
        }
        match ends.map(|router| self.is_edge(router)) {
            [false, false] => ConnectionRole::InterRouter,
            [true, true] => ConnectionRole::InterEdge,
            _ => ConnectionRole::Edge,
        }
    }

    pub(super) fn is_edge(&self, router: usize) -> bool {
        self.routers[router].spec.mode == Mode::Edge
    }

    /// The interior router that an edge router uses to reach the network.
    pub(super) fn uplink_of(&self, edge: usize) -> Option<usize> {
        let conn = self.routers[edge].router.uplink()?;
        let (id, end) = self.ends.iter().find(|(_, end)| match &end.body {
            EndBody::Port { router, port, .. } => *router == edge && port.id() == conn,
            EndBody::Client(_) => false,
        })?;
        match self.ends.get(self.wires[end.wire].other(id)).map(|far| &far.body) {
            Some(EndBody::Port { router, .. }) => Some(*router),
            _ => None,
        }
    }

    fn params(&self, role: ConnectionRole, initiator: bool, cost: u32) -> PortParams {
        let mut conn = ConnParams { initiator, ..ConnParams::amqp(role) };
        conn.trunk.cost = cost;
        PortParams {
            max_frame_size: self.max_frame_size,
            liveness: self.liveness,
            sasl: if initiator { SaslParams::anonymous_client() } else { SaslParams::anonymous_server() },
            handshake_timeout: Some(Duration::from_secs(10)),
            ..PortParams::new(conn)
        }
    }
}

// === impl Sim: what is done to the network ===

impl Sim {
    /// Enters a message and queues it on a sending link of a client.
    pub fn send(&mut self, client: usize, link: usize, address: &str, size: usize, settled: bool, probe: bool) {
        let id = self.ledger.add(address, size, settled, probe);
        self.clients[client].enqueue(link, id);
        self.kick_client(client);
    }

    /// Cuts the connection of a connector, which connects again.
    pub fn cut_trunk(&mut self, trunk: usize) {
        if let Some(wire) = self.trunks[trunk].wire {
            self.cut(wire);
        }
    }

    /// Lets a connector connect, or not any more.
    pub fn enable_trunk(&mut self, trunk: usize, on: bool) {
        self.trunks[trunk].enabled = on;
        if !on {
            self.cut_trunk(trunk);
        }
    }

    /// The connection of a connector loses everything from now on, and nobody is told.
    pub fn mute_trunk(&mut self, trunk: usize) {
        if let Some(wire) = self.trunks[trunk].wire {
            self.wires[wire].mute();
        }
    }

    /// What is under way on the connection of a connector, and what is sent on it, arrives after that time at the
    /// earliest.
    pub fn stall_trunk(&mut self, trunk: usize, time: Duration) {
        if let Some(wire) = self.trunks[trunk].wire {
            self.wires[wire].stall(self.now + time);
        }
    }

    /// Cuts the connection of a client, which connects again.
    pub fn cut_client(&mut self, client: usize) {
        let end = self.ends.iter().find(|(_, e)| matches!(e.body, EndBody::Client(c) if c == client));
        if let Some(wire) = end.map(|(_, e)| e.wire) {
            self.clients[client].disturbed = true;
            self.cut(wire);
        }
    }

    /// A client stops (or starts again) to grant credit and to answer.
    pub fn stall_client(&mut self, client: usize, on: bool) {
        self.clients[client].stalled = on;
        self.kick_client(client);
    }

    /// A router dies and starts again after some time.
    pub fn restart_router(&mut self, router: usize, downtime: Duration) {
        let ports: Vec<EndId> = self
            .ends
            .iter()
            .filter(|(_, e)| matches!(e.body, EndBody::Port { router: r, .. } if r == router))
            .map(|(id, _)| id)
            .collect();
        for end in ports {
            let wire = self.ends[end].wire;
            let other = self.wires[wire].other(end);
            // The far end may be gone, and its number in use elsewhere.
            let far = self.ends.get(other).filter(|e| e.wire == wire);
            if let Some(EndBody::Client(client)) = far.map(|e| &e.body) {
                self.clients[*client].disturbed = true;
            }
            self.wires[wire].cut(self.now);
            // The process is gone: its ports say nothing any more.
            self.ends.remove(end);
            self.release_wire(wire, other);
        }
        self.kill_services(router);
        let spec = self.routers[router].spec.clone();
        self.routers[router] = self.boot(spec, self.now + downtime);
    }

    /// All clients close their connections for good.
    pub fn close_clients(&mut self) {
        for client in &mut self.clients {
            client.close();
        }
        (0..self.clients.len()).for_each(|client| self.kick_client(client));
    }

    /// Index of the first sending link of a client without an address.
    pub(super) fn anonymous_link(&self, client: usize) -> Option<usize> {
        self.clients[client].plan.links.iter().position(|l| matches!(l, LinkSpec::Sender(None)))
    }

    fn cut(&mut self, wire: usize) {
        self.wires[wire].cut(self.now);
    }

    fn kick_client(&mut self, client: usize) {
        if let Some((end, _)) = self.ends.iter().find(|(_, e)| matches!(e.body, EndBody::Client(c) if c == client)) {
            self.step(end);
        }
    }
}
