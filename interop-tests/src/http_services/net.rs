//! Routers with HTTP services.

use std::net::{SocketAddr, TcpStream};

use anyhow::{Context, Result, ensure};

use crate::harness::{Binary, Certificates, Management, Port, Router, RouterConfig, TLS_PROFILE, eventually};
use crate::topology::{Line, LineBuilder};

/// The address of the service that [`Net::serve`] makes.
const SERVICE: &str = "web";
/// The prefix of addresses all of whose servers get each request.
pub const MULTICAST: &str = "multicast";

/// What HTTP services speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0 and 1.1.
    Http1,
    /// HTTP/2.
    Http2,
}

/// Which routers there are. Neighbours are joined with mutual TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One.
    One,
    /// Two, with clients at the first and servers at the second.
    Two,
    /// Three in a line, with clients at the one in the middle and servers at the last.
    Three,
    /// Two, and an edge router of the first that has the clients.
    EdgeClients,
    /// Two, and an edge router of the first that has the servers.
    EdgeServers,
    /// This router with the clients, and a C router with the servers.
    CServers,
    /// The other way round.
    CClients,
}

/// Running routers. An edge router comes last.
#[derive(Debug)]
pub struct Net {
    shape: Shape,
    // Before the line, so that it has gone before its files.
    edge: Option<(Router, Port)>,
    /// The routers that are no edge router.
    pub line: Line,
    ports: Vec<Port>,
    entities: usize,
}

// === impl Version ===

impl Version {
    /// The value of `protocolVersion`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP1",
            Self::Http2 => "HTTP2",
        }
    }
}

// === impl Net ===

impl Net {
    /// Starts the routers, and waits until they know each other.
    ///
    /// # Errors
    /// A router does not start, or they do not find each other.
    pub fn start(shape: Shape) -> Result<Self> {
        let line = match shape {
            Shape::One => LineBuilder::ours(1)?,
            Shape::Three => LineBuilder::ours(3)?,
            Shape::CServers => LineBuilder::new([Binary::ours()?, Binary::upstream_with_http()?]),
            Shape::CClients => LineBuilder::new([Binary::upstream_with_http()?, Binary::ours()?]),
            Shape::Two | Shape::EdgeClients | Shape::EdgeServers => LineBuilder::ours(2)?,
        };
        let line = line.distribution(MULTICAST, "multicast").start()?;
        let mut net = Self { shape, edge: None, line, ports: Vec::new(), entities: 0 };
        if matches!(shape, Shape::EdgeClients | Shape::EdgeServers) {
            net.add_edge()?;
        }
        Ok(net)
    }

    fn add_edge(&mut self) -> Result<()> {
        let (amqp, uplink) = (Port::reserve()?, Port::reserve()?);
        let [amqp_port, uplink_port] = [&amqp, &uplink].map(|port| port.number().to_string());
        let secured = [("sslProfile", TLS_PROFILE), ("saslMechanisms", "EXTERNAL")];
        let listener = [("role", "edge"), ("host", "127.0.0.1"), ("port", &uplink_port), ("authenticatePeer", "yes")];
        self.line.first().management()?.create("listener", "edges", &[&listener[..], &secured].concat())?;
        let connector = [("name", "uplink"), ("role", "edge"), ("host", "localhost"), ("port", &uplink_port)];
        let local = [("host", "127.0.0.1"), ("port", &*amqp_port), ("saslMechanisms", "ANONYMOUS")];
        let config = RouterConfig::edge("edge")
            .tls_profile(self.line.certificates())
            .section("listener", &local)
            .section("connector", &[&connector[..], &secured].concat())
            .with_wanted_logs();
        let router = Router::start(&Binary::ours()?, &config, self.line.folder())?;
        self.ports.push(uplink);
        self.edge = Some((router, amqp));
        Ok(())
    }

    /// The router that has the clients.
    pub fn front(&self) -> usize {
        match self.shape {
            Shape::One | Shape::Two | Shape::EdgeServers | Shape::CServers | Shape::CClients => 0,
            Shape::Three => 1,
            Shape::EdgeClients => 2,
        }
    }

    /// The router that has the servers.
    pub fn back(&self) -> usize {
        match self.shape {
            Shape::One => 0,
            Shape::Two | Shape::EdgeClients | Shape::CServers | Shape::CClients => 1,
            Shape::Three | Shape::EdgeServers => 2,
        }
    }

    /// A new management connection to a router.
    pub fn management(&self, at: usize) -> Result<Management> {
        match &self.edge {
            Some((_, amqp)) if at == self.line.nodes().len() => Management::connect(amqp.address()),
            _ => self.line.node(at).management(),
        }
    }

    /// Files for TLS between clients, routers and servers.
    pub fn certificates(&self) -> &Certificates {
        self.line.certificates()
    }

    /// Creates an `httpListener` of a service address. Where it will listen.
    pub fn listen(&mut self, at: usize, address: &str, version: Version, more: &[(&str, &str)]) -> Result<SocketAddr> {
        let port = Port::reserve()?;
        let (entrance, number) = (port.address(), port.number().to_string());
        let own = [("host", "127.0.0.1"), ("port", &*number)];
        self.create(at, "httpListener", address, version, &[&own, more].concat())?;
        self.ports.push(port);
        Ok(entrance)
    }

    /// Creates an `httpConnector` of a service address.
    pub fn connect(
        &mut self,
        at: usize,
        address: &str,
        version: Version,
        server: SocketAddr,
        more: &[(&str, &str)],
    ) -> Result<()> {
        // The certificate names `localhost`.
        let host = if more.iter().any(|(name, _)| *name == "sslProfile") { "localhost" } else { "127.0.0.1" };
        let port = server.port().to_string();
        let own = [("host", host), ("port", &*port)];
        self.create(at, "httpConnector", address, version, &[&own, more].concat())
    }

    fn create(&mut self, at: usize, kind: &str, address: &str, version: Version, more: &[(&str, &str)]) -> Result<()> {
        self.entities += 1;
        let name = format!("{kind}-{}", self.entities);
        let own = [("address", address), ("protocolVersion", version.name())];
        self.management(at)?.create(kind, &name, &[&own, more].concat()).with_context(|| format!("{kind} {more:?}"))
    }

    /// Makes a service between clients and a server. Where it takes clients.
    pub fn serve(&mut self, version: Version, server: SocketAddr) -> Result<SocketAddr> {
        self.serve_with(version, server, &[], &[])
    }

    /// The same with further attributes of the listener and the connector.
    pub fn serve_with(
        &mut self,
        version: Version,
        server: SocketAddr,
        listener: &[(&str, &str)],
        connector: &[(&str, &str)],
    ) -> Result<SocketAddr> {
        let (front, back) = (self.front(), self.back());
        let entrance = self.listen(front, SERVICE, version, listener)?;
        self.connect(back, SERVICE, version, server, connector)?;
        eventually("the service takes clients", || Ok(TcpStream::connect(entrance).map(drop)?))?;
        Ok(entrance)
    }

    /// Waits until a router knows so many servers of an address, of its own and at other routers together.
    pub fn wait_for_servers(&self, at: usize, address: &str, here: u64, elsewhere: u64) -> Result<()> {
        let mut management = self.management(at)?;
        eventually(&format!("{address} is served by {here} here and at {elsewhere} other routers"), || {
            let rows = management.query("router.address")?;
            let key = |row: &crate::harness::Entity| row["key"].as_str().unwrap_or_default().to_owned();
            let row = rows.iter().find(|row| key(row) == format!("M{address}")).context("unknown")?;
            let found = ["subscriberCount", "remoteCount"].map(|column| row[column].as_u64());
            ensure!(found == [Some(here), Some(elsewhere)], "{found:?}");
            Ok(())
        })
    }

    /// Resident memory of a router in KiB.
    pub fn resident_kib(&self, at: usize) -> Result<u64> {
        match &self.edge {
            Some((router, _)) if at == self.line.nodes().len() => router.resident_kib(),
            _ => self.line.node(at).router.resident_kib(),
        }
    }

    /// Fails if a router has logged an error. What C routers say of themselves is their own affair.
    pub fn expect_no_errors(&self) -> Result<()> {
        let edge = self.edge.iter().map(|(router, _)| router);
        let routers = self.line.nodes().iter().map(|node| &node.router).chain(edge);
        routers.filter(|router| router.is_ours()).try_for_each(|router| router.expect_no_errors(&[]))
    }
}
