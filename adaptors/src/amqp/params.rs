//! Parameters of AMQP listeners and connectors.

use super::proxy::ViaProxy;
use crate::net::{Family, limit_unacknowledged};
use crate::sasl::Exchange;
use crate::tls::TlsProfile;
use amqp_core::Value;
use amqp_core::value::Map;
use router_engine::core::connection::{ConnFacts, ConnParams, ConnectionRole, LinkPolicy, TrunkParams};
use router_engine::port::{
    Liveness, Mechanism, MessageFields, OpenParams, PlainCredentials, PortParams, SaslParams, Secret,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// Knows users and their passwords, or the one user that a client is.
pub trait Authenticator: Send + Sync {
    /// Whether the credentials are good. Called on a thread that may wait for files.
    fn check(&self, credentials: &PlainCredentials) -> bool;

    /// Begins an exchange of a mechanism with several messages, if there is such a mechanism.
    fn begin(&self, _mechanism: Mechanism) -> Option<Box<dyn Exchange>> {
        None
    }
}

/// What listeners and connectors have in common.
#[derive(Debug, Clone)]
pub struct EndpointParams {
    /// The configured name, or the entity's default one.
    pub name: String,
    /// The configured host; the empty host of a listener means every local address.
    pub host: String,
    /// The configured port: a number or a service name.
    pub port: String,
    /// Restricts the protocol family.
    pub family: Option<Family>,
    /// The role.
    pub role: ConnectionRole,
    /// The cost, at least 1.
    pub cost: u32,
    /// The max-frame-size to advertise.
    pub max_frame_size: u32,
    /// How many sessions at most, 1..=32768.
    pub max_sessions: u32,
    /// The incoming-window of each session in frames; `None` computes it.
    pub max_session_frames: Option<u32>,
    /// Give up when nothing is received for this long; zero is never.
    pub idle_timeout: Duration,
    /// How closely to watch a router of the same network that offers the like.
    pub liveness: Option<Liveness>,
    /// Initial credit of incoming links.
    pub link_capacity: u32,
    /// What is logged of messages.
    pub message_fields: MessageFields,
    /// `stripAnnotations` covers what comes in.
    pub strip_in: bool,
    /// `stripAnnotations` covers what goes out.
    pub strip_out: bool,
    /// Extra open properties.
    pub open_properties: Map,
    /// The vhost whose policy applies, whatever the peer asks for.
    pub policy_vhost: Option<String>,
    /// The TLS profile.
    pub tls: Option<TlsProfile>,
}

/// An AMQP listener.
#[derive(Clone)]
pub struct ListenerParams {
    /// What connectors have too.
    pub endpoint: EndpointParams,
    /// Peers must authenticate.
    pub authenticate_peer: bool,
    /// Peers must encrypt.
    pub require_encryption: bool,
    /// Peers must use TLS.
    pub require_ssl: bool,
    /// SASL mechanisms to offer, in order.
    pub mechanisms: Vec<String>,
    /// The text of `saslMechanisms` contains `EXTERNAL`: a client certificate is demanded.
    pub demand_certificate: bool,
    /// Drop peers whose open has not come in this time.
    pub handshake_timeout: Option<Duration>,
    /// The list for the open property `failover-server-list`.
    pub failover_list: Option<Value>,
    /// Who checks passwords; without, SCRAM and PLAIN fail.
    pub authenticator: Option<Arc<dyn Authenticator>>,
}

/// An AMQP connector.
#[derive(Debug, Clone)]
pub struct ConnectorParams {
    /// What listeners have too.
    pub endpoint: EndpointParams,
    /// The server's certificate must name the host.
    pub verify_hostname: bool,
    /// The only SASL mechanisms to use.
    pub mechanisms: Option<Vec<String>>,
    /// User name for SCRAM and PLAIN.
    pub sasl_username: Option<String>,
    /// Password for SCRAM and PLAIN, resolved.
    pub sasl_password: Option<Secret>,
    /// Data connections beside the control connection (role inter-router only).
    pub data_connections: DataConnections,
    /// It goes through a proxy.
    pub proxy: Option<ViaProxy>,
}

/// The attribute `dataConnectionCount`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataConnections {
    /// By the number of worker threads.
    Auto,
    /// A fixed number.
    Count(u32),
}

// === impl EndpointParams ===

impl EndpointParams {
    /// `host:port` as configured.
    #[must_use]
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// `<host:port> proto=<family>, role=<role><protocol>[, sslProfile=<name>]`: the text in log lines.
    #[must_use]
    pub fn describe(&self, protocol: &str) -> String {
        let family = self.family.map_or("any", Family::name);
        let tls = self.tls.as_ref().map(|p| format!(", sslProfile={}", p.name)).unwrap_or_default();
        format!("{} proto={family}, role={}{protocol}{tls}", self.address(), self.role.name())
    }

    /// What the core is told of a connection that was accepted here.
    pub(super) fn conn_params(&self, role: ConnectionRole, facts: ConnFacts) -> ConnParams {
        let links = LinkPolicy { capacity: self.link_capacity, strip_in: self.strip_in, strip_out: self.strip_out };
        let trunk = TrunkParams { cost: self.cost, ..TrunkParams::default() };
        let label = role.takes_auto_links().then(|| chosen(&self.name)).flatten().map(str::to_owned);
        ConnParams { label, links, trunk, facts, ..ConnParams::amqp(role) }
    }

    /// Prepares the socket of a connection: between routers, the kernel gives up a peer that acknowledges nothing. A
    /// peer that lives sends something within the idle timeout, so it has acknowledged by then what came before; a
    /// peer for which that would be too hasty is not watched for silence either.
    pub(super) fn prepare(&self, stream: &TcpStream) {
        if self.role.is_within_network() && !self.idle_timeout.is_zero() {
            limit_unacknowledged(stream, self.idle_timeout);
        }
    }

    pub(super) fn port_params(&self, conn: ConnParams, sasl: SaslParams) -> PortParams {
        PortParams {
            max_frame_size: self.max_frame_size,
            max_sessions: self.max_sessions,
            session_window: self.max_session_frames,
            idle_timeout: self.idle_timeout,
            liveness: self.liveness,
            open: OpenParams { properties: self.open_properties.clone(), ..OpenParams::default() },
            policy_vhost: self.policy_vhost.clone(),
            sasl,
            message_fields: self.message_fields,
            ..PortParams::new(conn)
        }
    }
}

impl std::fmt::Debug for ListenerParams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ListenerParams").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// The name of a listener or connector, if it is not the entity's default one.
fn chosen(name: &str) -> Option<&str> {
    let is_default = ["listener/", "connector/"].iter().any(|prefix| name.starts_with(prefix));
    (!is_default).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_names_are_not_chosen() {
        for (name, is_chosen) in
            [("broker", true), ("listener", true), ("listener/:5672", false), ("connector/h:1", false)]
        {
            assert_eq!(chosen(name), is_chosen.then_some(name));
        }
    }
}
