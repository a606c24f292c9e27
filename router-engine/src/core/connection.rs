//! What the core knows of a connection.

use crate::Mailbox;
use amqp_core::value::{Map, Value};
use std::sync::Arc;

/// Offered by everybody who accepts links without a target address.
pub const ANONYMOUS_RELAY: &str = "ANONYMOUS-RELAY";
/// Offered by peers on which streams may be moved to links of their own.
pub const STREAMING_LINKS: &str = "qd.streaming-links";
/// Offered by routers that take streams on data connections.
pub const CONNECTION_TRUNKING: &str = "qd.connection_trunking";

/// The role of a connection (spec `inter-router-protocol.md` section 1, codes of `qd.inter-router-role`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ConnectionRole {
    /// An ordinary peer.
    #[default]
    Normal,
    /// A neighbour router's control connection.
    InterRouter,
    /// A container that auto-links apply to.
    RouteContainer,
    /// Between an edge router and its interior router.
    Edge,
    /// Carries streams beside an inter-router connection.
    InterRouterData,
    /// Between two edge routers.
    InterEdge,
    /// Between two networks.
    InterNetwork,
}

/// How a connection came to be.
#[derive(Debug, Clone)]
pub struct ConnParams {
    /// The configured role.
    pub role: ConnectionRole,
    /// The router opened it (a connector), not the peer (a listener).
    pub initiator: bool,
    /// Shown as `host` by management: the peer's `ip:port`, or the connector's configured target.
    pub host: String,
    /// Local `ip:port` of the socket, where there is one.
    pub local_socket: Option<String>,
    /// The configured name of the listener or connector.
    pub origin_name: String,
    /// The listener's `host:port` text, or the connector's target; for logs.
    pub origin_address: String,
    /// Configured cost, at least 1.
    pub cost: u32,
    /// Initial credit of incoming links and queue bound of outgoing ones.
    pub link_capacity: u32,
    /// Ignore router annotations that come in.
    pub strip_in: bool,
    /// Do not send router annotations.
    pub strip_out: bool,
    /// `qd.group-correlator` (connectors of role inter-router and inter-router-data).
    pub group_correlator: Option<String>,
    /// `qd.group-ordinal`, sent by a connector that uses TLS.
    pub group_ordinal: Option<u64>,
    /// The ordinal of the TLS credentials of the listener or connector, when it has any.
    pub tls_ordinal: Option<u64>,
    /// `qd.access-id`, sent by a listener of role inter-router, edge or inter-edge.
    pub access_id: Option<String>,
    /// Extra open properties configured by the operator.
    pub open_properties: Map,
    /// `failover-server-list` of a listener: the already built AMQP list, if any.
    pub failover_list: Option<Value>,
    /// `amqp`, or `tcp` for the TCP adaptor's in-process peers.
    pub protocol: &'static str,
    /// The container id to show before (or without) an open: `TcpAdaptor` for the TCP adaptor.
    pub container: String,
}

/// The answer to opening a connection in the core.
#[derive(Debug, Clone)]
pub struct ConnHandle {
    /// The core's id.
    pub id: super::ids::ConnId,
    /// Where the core leaves work for the port.
    pub mailbox: Arc<Mailbox>,
}
