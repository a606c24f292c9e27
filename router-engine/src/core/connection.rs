//! What the core knows of a connection.

pub use super::role::ConnectionRole;

use super::action::Direction;
use crate::Mailbox;
use std::sync::Arc;

/// Offered by everybody who accepts links without a target address.
pub const ANONYMOUS_RELAY: &str = "ANONYMOUS-RELAY";
/// Offered by peers on which streams may be moved to links of their own.
pub const STREAMING_LINKS: &str = "qd.streaming-links";
/// Offered by routers that take streams on data connections.
pub const CONNECTION_TRUNKING: &str = "qd.connection_trunking";
/// Capability of this implementation: the router takes from a new neighbour what the others tell of themselves, and passes
/// it on.
pub const LINK_STATE_SYNC: &str = "qd.link-state-sync";

/// Capability of this implementation: the edge router changes to another uplink when the interior router asks it to, which
/// is by detaching the link that tells of addresses with the condition `qd:router-withdrawn`.
pub const UPLINK_CHANGE: &str = "qd.uplink-change";

/// Who is at the other end of a connection in the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerKind {
    /// An AMQP peer behind a socket.
    Amqp,
    /// A flow of the TCP adaptor.
    TcpFlow,
    /// What takes the client streams of a connector of the TCP adaptor, and makes flows of them.
    TcpDispatcher,
    /// A connection of an HTTP/1 service, to a client or a server.
    Http1,
    /// The same of an HTTP/2 service.
    Http2,
    /// What takes the requests of a connector of either. Operators are shown the connections to the server.
    HttpDispatcher,
    /// A part of the router that operators are not shown: the management agent.
    Internal,
    /// The same, whose addresses are the network's: what it consumes is advertised like a client's.
    Hidden,
}

/// What the core is told of a connection when it begins.
#[derive(Debug, Clone)]
pub struct ConnParams {
    /// The configured role.
    pub role: ConnectionRole,
    /// Who is at the other end.
    pub kind: PeerKind,
    /// The router opened it (a connector), not the peer (a listener).
    pub initiator: bool,
    /// The name of its listener or connector, where one was chosen and auto-links go by it.
    pub label: Option<String>,
    /// How its links behave.
    pub links: LinkPolicy,
    /// What it is among the connections between routers.
    pub trunk: TrunkParams,
    /// What operators are shown of it.
    pub facts: ConnFacts,
}

/// How the links of a connection behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LinkPolicy {
    /// Initial credit of incoming links and queue bound of outgoing ones, deliveries.
    pub capacity: u32,
    /// Ignore router annotations that come in.
    pub strip_in: bool,
    /// Do not send router annotations.
    pub strip_out: bool,
}

/// What a connection is among those between routers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrunkParams {
    /// Configured cost, at least 1.
    pub cost: u32,
    /// `qd.group-correlator` (connectors of role inter-router and inter-router-data).
    pub correlator: Option<String>,
    /// `qd.group-ordinal`, sent by a connector that uses TLS.
    pub ordinal: Option<u64>,
}

/// What operators are shown of a connection, beside what its peer tells.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConnFacts {
    /// Shown as `host` by management: the peer's `ip:port`, or the connector's configured target.
    pub host: String,
    /// Local `ip:port` of the socket, where there is one.
    pub local_socket: Option<String>,
    /// The ordinal of the TLS credentials of the listener or connector, when it has any.
    pub tls_ordinal: Option<u64>,
}

/// The answer to opening a connection in the core.
#[derive(Debug, Clone)]
pub struct ConnHandle {
    /// The core's id.
    pub id: super::ids::ConnId,
    /// Where the core leaves work for the port.
    pub mailbox: Arc<Mailbox>,
}

// === impl PeerKind ===

impl PeerKind {
    /// How many there are.
    pub(crate) const COUNT: usize = Self::ALL.len();
    /// All, in order.
    pub(crate) const ALL: [Self; 8] = [
        Self::Amqp,
        Self::TcpFlow,
        Self::TcpDispatcher,
        Self::Http1,
        Self::Http2,
        Self::HttpDispatcher,
        Self::Internal,
        Self::Hidden,
    ];

    /// The protocol that operators are shown.
    #[must_use]
    pub const fn protocol(self) -> &'static str {
        match self {
            Self::Amqp => "amqp",
            Self::TcpFlow | Self::TcpDispatcher => "tcp",
            Self::Http1 => "http/1.x",
            Self::Http2 => "http2",
            Self::HttpDispatcher => "http",
            Self::Internal | Self::Hidden => "internal",
        }
    }

    /// What its connections are counted as.
    #[must_use]
    pub const fn counted_as(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            other => other.protocol(),
        }
    }

    /// It belongs to a service: to a listener or a connector of TCP or HTTP.
    #[must_use]
    pub const fn is_of_service(self) -> bool {
        matches!(self, Self::TcpFlow | Self::TcpDispatcher | Self::Http1 | Self::Http2 | Self::HttpDispatcher)
    }
}

// === impl ConnParams ===

impl ConnParams {
    /// An AMQP peer of a listener that has no more configured than its role.
    #[must_use]
    pub const fn amqp(role: ConnectionRole) -> Self {
        Self {
            role,
            kind: PeerKind::Amqp,
            initiator: false,
            label: None,
            links: LinkPolicy::DEFAULT,
            trunk: TrunkParams { cost: 1, correlator: None, ordinal: None },
            facts: ConnFacts { host: String::new(), local_socket: None, tls_ordinal: None },
        }
    }

    /// A peer inside the process, which sees and sends router annotations. `capacity` is that of its links.
    #[must_use]
    pub fn in_process(kind: PeerKind, capacity: u32) -> Self {
        let links = LinkPolicy { capacity, strip_in: false, strip_out: false };
        Self { kind, links, ..Self::amqp(ConnectionRole::Normal) }
    }
}

// === impl LinkPolicy ===

impl LinkPolicy {
    /// What applies where nothing is configured.
    pub const DEFAULT: Self = Self { capacity: 250, strip_in: true, strip_out: true };

    /// Whether the router annotations section is read (incoming) or written (outgoing) on links of a connection of that
    /// role (spec `inter-router-protocol.md` 4.3).
    #[must_use]
    pub const fn carries_annotations(self, role: ConnectionRole, direction: Direction) -> bool {
        let strip = match direction {
            Direction::In => self.strip_in,
            Direction::Out => self.strip_out,
        };
        role.is_router() || !strip
    }
}

impl Default for LinkPolicy {
    fn default() -> Self {
        Self::DEFAULT
    }
}

// === impl TrunkParams ===

impl Default for TrunkParams {
    fn default() -> Self {
        Self { cost: 1, correlator: None, ordinal: None }
    }
}
