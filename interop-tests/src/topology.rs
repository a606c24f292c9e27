//! Lines of routers: one, two or three of them, joined by plain or mutually authenticated connections.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::harness::{
    Binary, Certificates, Entity, Identity, Management, Mark, Port, Router, RouterConfig, TLS_PROFILE, eventually,
};
use crate::peers::Route;
use crate::tcp::Relay;

/// How two neighbours are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// No TLS, SASL ANONYMOUS.
    Plain,
    /// TLS with certificates on both sides, SASL EXTERNAL.
    MutualTls,
}

/// Which of two neighbours opens the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialler {
    /// The earlier router in the line has the connector.
    Left,
    /// The later router in the line has the connector.
    Right,
}

/// Where a TCP service has TLS of the routers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tls {
    /// Nowhere: what client and server speak passes.
    #[default]
    None,
    /// Between client and listener.
    Listener,
    /// Between connector and server.
    Connector,
    /// At both.
    Both,
}

/// A TCP service across the line.
#[derive(Clone, Debug)]
pub struct Service {
    /// Service address, and name of the listener.
    pub address: String,
    /// Index of the router with the tcpListener.
    pub listener: usize,
    /// Index of the router with the tcpConnector, if it is configured from the start.
    pub connector: Option<usize>,
    /// Where the server is.
    pub server: SocketAddr,
    /// Where TLS is.
    pub tls: Tls,
    /// More attributes of the listener.
    pub listener_options: Vec<(&'static str, &'static str)>,
    /// More attributes of the connector.
    pub connector_options: Vec<(&'static str, &'static str)>,
}

/// Description of a line, before it is started.
#[derive(Debug)]
pub struct LineBuilder {
    binaries: Vec<Binary>,
    security: Security,
    dialler: Dialler,
    services: Vec<Service>,
    addresses: Vec<(String, String)>,
    names: Vec<String>,
    identity: Identity,
    authenticated_clients: bool,
    relayed: bool,
    /// Of relays.
    delay: Duration,
    over_websocket: bool,
    /// More attributes of the routers.
    options: Vec<(&'static str, &'static str)>,
}

/// Running routers in a line.
#[derive(Debug)]
pub struct Line {
    nodes: Vec<Node>,
    services: Vec<(Service, Port)>,
    certificates: Certificates,
    relays: Vec<Relay>,
    over_websocket: bool,
    // Last, so that the routers are gone before their files are.
    folder: TempDir,
}

/// One router of a line.
#[derive(Debug)]
pub struct Node {
    /// The process.
    pub router: Router,
    ports: Ports,
}

/// Where a router listens.
#[derive(Debug)]
struct Ports {
    amqp: Port,
    amqps: Port,
    inter_router: Port,
    /// For WebSocket, in a line that has it.
    ws: Port,
    wss: Port,
}

// === impl Ports ===

impl Ports {
    fn reserve() -> Result<Self> {
        let [amqp, amqps, inter_router, ws, wss] = [(); 5].map(|()| Port::reserve());
        Ok(Self { amqp: amqp?, amqps: amqps?, inter_router: inter_router?, ws: ws?, wss: wss? })
    }

    /// For clients, with TLS, over WebSocket, with TLS, for routers.
    fn numbers(&self) -> [u16; 5] {
        [&self.amqp, &self.amqps, &self.ws, &self.wss, &self.inter_router].map(|port| port.number())
    }
}

// === impl Tls ===

impl Tls {
    /// Whether the listener has TLS.
    pub const fn is_at_listener(self) -> bool {
        matches!(self, Self::Listener | Self::Both)
    }

    /// Whether the connector has TLS.
    pub const fn is_at_connector(self) -> bool {
        matches!(self, Self::Connector | Self::Both)
    }
}

// === impl Service ===

impl Service {
    fn new(address: &str, listener: usize, connector: Option<usize>, server: SocketAddr) -> Self {
        let (listener_options, connector_options) = (Vec::new(), Vec::new());
        let address = address.to_owned();
        Self { address, listener, connector, server, tls: Tls::None, listener_options, connector_options }
    }
}

// === impl LineBuilder ===

impl LineBuilder {
    /// A line of the given routers, joined with mutual TLS, each dialling its left neighbour.
    pub fn new(binaries: impl IntoIterator<Item = Binary>) -> Self {
        Self {
            binaries: binaries.into_iter().collect(),
            security: Security::MutualTls,
            dialler: Dialler::Right,
            services: Vec::new(),
            addresses: Vec::new(),
            names: Vec::new(),
            identity: Identity::default(),
            authenticated_clients: false,
            relayed: false,
            delay: Duration::ZERO,
            over_websocket: false,
            options: Vec::new(),
        }
    }

    /// A line of `count` routers under test.
    pub fn ours(count: usize) -> Result<Self> {
        let binary = Binary::ours()?;
        Ok(Self::new(std::iter::repeat_n(binary, count)))
    }

    /// Gives attributes to the `router` entities.
    #[must_use]
    pub fn router_options(mut self, options: impl IntoIterator<Item = (&'static str, &'static str)>) -> Self {
        self.options.extend(options);
        self
    }

    /// Sets how neighbours are joined.
    #[must_use]
    pub fn joined(mut self, security: Security, dialler: Dialler) -> Self {
        (self.security, self.dialler) = (security, dialler);
        self
    }

    /// Gives the routers ids of their own, in order.
    #[must_use]
    pub fn named<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.names = names.into_iter().map(str::to_owned).collect();
        self
    }

    /// Sets the kind of certificate that all routers have.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = identity;
        self
    }

    /// Lets the clients of TCP services need a certificate.
    #[must_use]
    pub fn authenticated_clients(mut self) -> Self {
        self.authenticated_clients = true;
        self
    }

    /// Adds a TCP service with its listener on router `listener` and its connector on router `connector`.
    #[must_use]
    pub fn service(mut self, address: &str, listener: usize, connector: usize, server: SocketAddr) -> Self {
        self.services.push(Service::new(address, listener, Some(connector), server));
        self
    }

    /// Gives attributes to the listeners and the connectors of the services added so far.
    #[must_use]
    pub fn with_options(
        mut self,
        listener: impl IntoIterator<Item = (&'static str, &'static str)> + Clone,
        connector: impl IntoIterator<Item = (&'static str, &'static str)> + Clone,
    ) -> Self {
        for service in &mut self.services {
            service.listener_options.extend(listener.clone());
            service.connector_options.extend(connector.clone());
        }
        self
    }

    /// Lets the clients and servers of the services added so far use TLS.
    #[must_use]
    pub fn with_tls(self) -> Self {
        self.tls(Tls::Both)
    }

    /// Sets where the services added so far have TLS.
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.services.iter_mut().for_each(|service| service.tls = tls);
        self
    }

    /// Lets AMQP clients speak WebSocket.
    #[must_use]
    pub fn over_websocket(mut self) -> Self {
        self.over_websocket = true;
        self
    }

    /// Leads the connections between routers through relays.
    #[must_use]
    pub fn relayed(mut self) -> Self {
        self.relayed = true;
        self
    }

    /// Leads the connections between routers over paths that are so long, one way.
    #[must_use]
    pub fn delayed(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self.relayed()
    }

    /// Adds a TCP listener whose service has no connector yet.
    #[must_use]
    pub fn dormant_service(mut self, address: &str, listener: usize, server: SocketAddr) -> Self {
        self.services.push(Service::new(address, listener, None, server));
        self
    }

    /// Sets the treatment of addresses with a prefix, on every router.
    #[must_use]
    pub fn distribution(mut self, prefix: &str, distribution: &str) -> Self {
        self.addresses.push((prefix.to_owned(), distribution.to_owned()));
        self
    }

    /// Starts the routers and waits until all see each other and all services with a connector listen.
    pub fn start(self) -> Result<Line> {
        let line = self.launch()?;
        line.wait_until_joined()?;
        for (service, _) in line.services.iter().filter(|(service, _)| service.connector.is_some()) {
            line.wait_until_listening(&service.address, Mark::default())?;
        }
        Ok(line)
    }

    /// Starts the routers, one after the other, and leaves it to them to find each other.
    pub fn launch(self) -> Result<Line> {
        let folder = tempfile::Builder::new().prefix("interop-").tempdir()?;
        let certificates = Certificates::of(self.identity, folder.path())?;
        let services = self.services.iter().map(|service| Ok((service.clone(), Port::reserve()?)));
        let services: Vec<_> = services.collect::<Result<_>>()?;
        let ports = self.binaries.iter().map(|_| Ports::reserve()).collect::<Result<Vec<_>>>()?;
        let relayed =
            ports.iter().filter(|_| self.relayed).map(|at| Relay::delayed(at.inter_router.address(), 0, self.delay));
        let relays = relayed.collect::<Result<Vec<_>>>()?;
        let dialled = |index: usize| match relays.get(index) {
            Some(relay) => relay.address().port(),
            None => ports[index].inter_router.number(),
        };
        let dialled: Vec<_> = (0..ports.len()).map(dialled).collect();
        let config = |index| self.config(index, &ports, &dialled, &services, &certificates);
        let configs: Vec<_> = (0..self.binaries.len()).map(config).collect();
        let start = |((binary, config), ports): ((&Binary, &RouterConfig), Ports)| {
            let router = Router::start(binary, config, folder.path())?;
            Ok(Node { router, ports })
        };
        let described = self.binaries.iter().zip(&configs).zip(ports);
        // Whoever is dialled starts first, so that the first attempt succeeds and nobody logs an error.
        let nodes = match self.dialler {
            Dialler::Right => described.map(start).collect::<Result<Vec<_>>>()?,
            Dialler::Left => {
                let mut nodes = described.rev().map(start).collect::<Result<Vec<_>>>()?;
                nodes.reverse();
                nodes
            }
        };
        let over_websocket = self.over_websocket;
        Ok(Line { nodes, services, certificates, relays, over_websocket, folder })
    }

    fn config(
        &self,
        index: usize,
        ports: &[Ports],
        dialled: &[u16],
        services: &[(Service, Port)],
        certificates: &Certificates,
    ) -> RouterConfig {
        let id = self.names.get(index).cloned();
        let id = id.unwrap_or_else(|| format!("{}{index}", self.binaries[index].name()));
        let mode = if self.binaries.len() > 1 { "interior" } else { "standalone" };
        let router = [&[("mode", mode), ("id", id.as_str())], self.options.as_slice()].concat();
        let [amqp, amqps, ws, wss, inter_router] = ports[index].numbers().map(|number| number.to_string());
        let mut config = RouterConfig::with(&id, &router)
            .tls_profile(certificates)
            .section("listener", &plain_listener("amqp", &amqp))
            .section("listener", &tls_listener("amqps", "normal", &amqps));
        if self.over_websocket {
            for listener in [plain_listener("ws", &ws), tls_listener("wss", "normal", &wss)] {
                config = config.section("listener", &[listener, vec![("http", "yes")]].concat());
            }
        }
        config = config.with_wanted_logs();
        for (prefix, distribution) in &self.addresses {
            config = config.section("address", &[("prefix", prefix), ("distribution", distribution)]);
        }
        if self.binaries.len() > 1 {
            config = config.section("listener", &self.inter_router_listener(&inter_router));
            for neighbour in self.dialled_by(index) {
                let port = dialled[neighbour].to_string();
                let name = format!("to-{neighbour}");
                config = config.section("connector", &self.inter_router_connector(&name, &port));
            }
        }
        for (service, port) in services {
            let listen = port.number().to_string();
            let server = (service.server.ip().to_string(), service.server.port().to_string());
            let address = ("address", service.address.as_str());
            let profile = |here: bool| here.then_some(("sslProfile", TLS_PROFILE));
            if service.listener == index {
                let mut listener =
                    vec![("name", service.address.as_str()), address, ("host", "127.0.0.1"), ("port", &listen)];
                listener.extend(profile(service.tls.is_at_listener()));
                listener.extend(&service.listener_options);
                listener.extend(self.authenticated_clients.then_some(("authenticatePeer", "yes")));
                config = config.section("tcpListener", &listener);
            }
            if service.connector == Some(index) {
                // Names are unique among all entities of a router.
                let name = format!("{}-connector", service.address);
                // The certificate names `localhost`.
                let host = if service.tls.is_at_connector() { "localhost" } else { &server.0 };
                let mut connector = vec![("name", name.as_str()), address, ("host", host), ("port", &server.1)];
                connector.extend(profile(service.tls.is_at_connector()));
                connector.extend(&service.connector_options);
                config = config.section("tcpConnector", &connector);
            }
        }
        config
    }

    /// Indices of the neighbours that router `index` connects to.
    fn dialled_by(&self, index: usize) -> Vec<usize> {
        let neighbour = match self.dialler {
            Dialler::Left => Some(index + 1),
            Dialler::Right => index.checked_sub(1),
        };
        neighbour.filter(|neighbour| *neighbour < self.binaries.len()).into_iter().collect()
    }

    fn inter_router_listener<'a>(&self, port: &'a str) -> Vec<(&'a str, &'a str)> {
        match self.security {
            Security::MutualTls => tls_listener("inter-router", "inter-router", port),
            Security::Plain => [plain_listener("inter-router", port), vec![("role", "inter-router")]].concat(),
        }
    }

    fn inter_router_connector<'a>(&self, name: &'a str, port: &'a str) -> Vec<(&'a str, &'a str)> {
        // The certificate names `localhost`, so the connector checks the host name too.
        let common = [("name", name), ("role", "inter-router"), ("host", "localhost"), ("port", port)];
        let security = match self.security {
            Security::Plain => vec![("saslMechanisms", "ANONYMOUS")],
            Security::MutualTls => vec![("sslProfile", TLS_PROFILE), ("saslMechanisms", "EXTERNAL")],
        };
        [common.to_vec(), security].concat()
    }
}

fn plain_listener<'a>(name: &'a str, port: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("name", name),
        ("host", "127.0.0.1"),
        ("port", port),
        ("authenticatePeer", "no"),
        ("saslMechanisms", "ANONYMOUS"),
    ]
}

fn tls_listener<'a>(name: &'a str, role: &'a str, port: &'a str) -> Vec<(&'a str, &'a str)> {
    vec![
        ("name", name),
        ("role", role),
        ("host", "127.0.0.1"),
        ("port", port),
        ("sslProfile", TLS_PROFILE),
        ("requireSsl", "yes"),
        ("authenticatePeer", "yes"),
        ("saslMechanisms", "EXTERNAL"),
    ]
}

// === impl Line ===

impl Line {
    /// The router at `index`.
    pub fn node(&self, index: usize) -> &Node {
        &self.nodes[index]
    }

    /// The router at `index`, to stop and start it.
    pub fn router_mut(&mut self, index: usize) -> &mut Router {
        &mut self.nodes[index].router
    }

    /// All routers.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The first router.
    pub fn first(&self) -> &Node {
        &self.nodes[0]
    }

    /// The last router; the first one in a line of one.
    pub fn last(&self) -> &Node {
        &self.nodes[self.nodes.len() - 1]
    }

    /// Files of the identity that every router and client of this line uses.
    pub fn certificates(&self) -> &Certificates {
        &self.certificates
    }

    /// The relays in front of the routers' inter-router listeners, in order; none unless the line is relayed.
    pub fn relays(&self) -> &[Relay] {
        &self.relays
    }

    /// A folder that lives as long as the line.
    pub fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// The route for messages that start at one router and end at another.
    pub fn route(&self, from: usize, to: usize) -> Route {
        let listeners = |at: usize| {
            let Ports { amqp, amqps, ws, wss, .. } = &self.nodes[at].ports;
            if self.over_websocket { [ws, wss] } else { [amqp, amqps] }.map(|port| port.address())
        };
        let ([send, send_tls], [recv, recv_tls]) = (listeners(from), listeners(to));
        Route {
            send,
            recv,
            send_tls,
            recv_tls,
            over_websocket: self.over_websocket,
            routers: self.nodes.iter().map(|node| node.router.id().to_owned()).collect(),
            certificates: self.certificates.clone(),
        }
    }

    /// Where the TCP listener of a service listens.
    pub fn listen_address(&self, service: &str) -> Result<SocketAddr> {
        let found = self.services.iter().find(|(known, _)| known.address == service);
        Ok(found.with_context(|| format!("no service {service}"))?.1.address())
    }

    /// Whether all routers are the ones under test.
    pub fn is_ours(&self) -> bool {
        self.nodes.iter().all(|node| node.router.is_ours())
    }

    /// Waits until every router knows a way to every other one.
    pub fn wait_until_joined(&self) -> Result<()> {
        if self.nodes.len() < 2 {
            return Ok(());
        }
        for node in &self.nodes {
            let mut management = node.management()?;
            eventually(&format!("{} knows all routers", node.router.id()), || {
                let reachable = management.query("router.node")?;
                // A neighbour's link comes up before the path over it is computed; only the path has a cost.
                let has_way = |row: &&Entity| row["nextHop"] == "(self)" || !row["cost"].is_null();
                let known = reachable.iter().filter(has_way).count();
                ensure!(known == self.nodes.len(), "{known} of {} routers: {reachable:?}", self.nodes.len());
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Waits until the listener of a service logs, after `since`, that it listens.
    pub fn wait_until_listening(&self, service: &str, since: Mark) -> Result<()> {
        let found = self.services.iter().find(|(known, _)| known.address == service);
        let listener = found.with_context(|| format!("no service {service}"))?.0.listener;
        let text = format!("Listener {service}: listening for client connections");
        self.nodes[listener].router.log().wait_for(since, &text).map(drop)
    }

    /// What each router knows of a mobile address, for messages about failures.
    pub fn describe_address(&self, address: &str) -> String {
        let known = |node: &Node| {
            let rows = node.management()?.query("router.address")?;
            let row = rows.into_iter().find(|row| row["name"] == *format!("M{address}")).context("unknown")?;
            let consumers = ["subscriberCount", "remoteHostRouters"].map(|column| &row[column]);
            anyhow::Ok(format!("{} local consumers, at routers {}", consumers[0], consumers[1]))
        };
        let lines = self.nodes.iter().map(|node| {
            let known = known(node).unwrap_or_else(|error| format!("{error:#}"));
            format!("{address} at {}: {known}", node.router.id())
        });
        lines.collect::<Vec<_>>().join("; ")
    }

    /// What the death of the router at `index` makes its neighbours log as errors: the loss of their connections
    /// to it, and failed attempts to connect again.
    pub fn errors_explained_by_death_of(&self, index: usize) -> Vec<String> {
        let dead = &self.nodes[index];
        let mut explained = vec![format!("Connection to localhost:{} failed", dead.inter_router().port())];
        let neighbours = [index.checked_sub(1), Some(index + 1)].into_iter().flatten();
        for neighbour in neighbours.filter_map(|index| self.nodes.get(index)) {
            explained.push(format!("(to {}) failed", neighbour.inter_router()));
        }
        explained
    }

    /// Fails if any router logged an error, ever, that none of `explained` explains.
    pub fn expect_no_errors(&self, explained: &[String]) -> Result<()> {
        self.nodes.iter().try_for_each(|node| node.router.expect_no_errors(explained))
    }
}

// === impl Node ===

impl Node {
    /// Address of the listener for clients without TLS.
    pub fn amqp(&self) -> SocketAddr {
        self.ports.amqp.address()
    }

    /// Address of the listener for clients with TLS and a certificate.
    pub fn amqps(&self) -> SocketAddr {
        self.ports.amqps.address()
    }

    /// Address of the listener for other routers.
    pub fn inter_router(&self) -> SocketAddr {
        self.ports.inter_router.address()
    }

    /// A new management connection to this router.
    pub fn management(&self) -> Result<Management> {
        Management::connect(self.amqp())
    }
}
