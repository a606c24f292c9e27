//! What a port is told at birth, and what it tells its driver.

use super::MessageFields;
use crate::core::connection::ConnParams;
use crate::vanflow::Meter;
use amqp_core::engine::{Liveness, Violation};
use amqp_core::performative::Error;
use amqp_core::sasl::Secret;
use amqp_core::value::{Map, Value};
use std::sync::Arc;
use std::time::Duration;

/// How a port shall behave.
#[derive(Debug, Clone)]
pub struct PortParams {
    /// What the core knows of the connection.
    pub conn: ConnParams,
    /// The max-frame-size to advertise, octets.
    pub max_frame_size: u32,
    /// How many sessions at most, 1..=32768; channel-max is one less.
    pub max_sessions: u32,
    /// The incoming-window of each session in frames; `None` computes it from the role
    /// (spec `amqp-endpoint.md` 5.3).
    pub session_window: Option<u32>,
    /// Give up when nothing is received for this long; zero is never.
    pub idle_timeout: Duration,
    /// How closely to watch a router of the same network that offers the like; `None` offers nothing.
    pub liveness: Option<Liveness>,
    /// Whether TCP flows to a router of the same network that offers the like may have wide windows.
    pub wide_windows: bool,
    /// Whether another router that offers the like is told how streams were finished.
    pub bare_ends: bool,
    /// What its open tells beside what follows from the connection.
    pub open: OpenParams,
    /// The vhost whose policy applies, whatever the peer asks for.
    pub policy_vhost: Option<String>,
    /// The security layer.
    pub sasl: SaslParams,
    /// Drop the connection when the peer's open has not come this long after the start.
    pub handshake_timeout: Option<Duration>,
    /// What is logged of messages on its links.
    pub message_fields: MessageFields,
    /// Where it counts the octets that it sends and receives.
    pub meter: Option<Arc<Meter>>,
}

/// What the open of a port tells beside what follows from the connection.
#[derive(Debug, Clone, Default)]
pub struct OpenParams {
    /// The hostname field (connectors).
    pub hostname: Option<String>,
    /// `qd.access-id`, sent by a listener of role inter-router, edge or inter-edge.
    pub access_id: Option<String>,
    /// `failover-server-list` of a listener: the already built AMQP list, if any.
    pub failover_list: Option<Value>,
    /// Extra properties configured by the operator.
    pub properties: Map,
}

/// The security layer of a port.
#[derive(Debug, Clone)]
pub enum SaslParams {
    /// A listener.
    Server {
        /// Drop peers that skip authentication, and do not offer ANONYMOUS.
        require: bool,
        /// The mechanisms to offer, in order.
        mechanisms: Vec<String>,
        /// The identity that TLS established; EXTERNAL is offered only with one.
        external_identity: Option<String>,
    },
    /// A connector.
    Client {
        /// The only mechanisms to use; `None` allows all that are known.
        mechanisms: Option<Vec<String>>,
        /// User name for SCRAM and PLAIN.
        username: Option<String>,
        /// Password for SCRAM and PLAIN.
        password: Option<Secret>,
        /// TLS presents a client certificate, so EXTERNAL can be used.
        external: bool,
    },
    /// No security layer (in tests).
    None,
}

/// What TLS established below the port.
#[derive(Debug, Clone, Default)]
pub struct TlsInfo {
    /// The protocol name, for instance `TLSv1.3`.
    pub protocol: String,
    /// The cipher name.
    pub cipher: String,
    /// Secret bits of the cipher.
    pub ssf: u32,
    /// The peer's identity by `uidFormat`, or else its certificate's subject.
    pub user: Option<String>,
}

/// Where a port is in its life.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PortState {
    /// Exchange octets.
    #[default]
    Running,
    /// Write what is in the output, then close the transport.
    Closing(Option<PortError>),
    /// Cut the transport now, without writing anything.
    Dropped(Option<PortError>),
}

/// Why a connection ended, for logs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortError {
    /// The condition symbol, for instance `amqp:connection:framing-error`.
    pub condition: String,
    /// Text for people; may be empty.
    pub description: String,
}

// === impl PortParams ===

impl PortParams {
    /// The port of a connection where nothing is configured; of a listener that asks nobody to authenticate.
    #[must_use]
    pub fn new(conn: ConnParams) -> Self {
        Self {
            conn,
            max_frame_size: 16384,
            max_sessions: 32768,
            session_window: None,
            idle_timeout: Duration::from_secs(16),
            liveness: None,
            wide_windows: true,
            bare_ends: true,
            open: OpenParams::default(),
            policy_vhost: None,
            sasl: SaslParams::anonymous_server(),
            handshake_timeout: None,
            message_fields: MessageFields::default(),
            meter: None,
        }
    }
}

// === impl SaslParams ===

impl SaslParams {
    /// A listener that lets everybody in.
    #[must_use]
    pub fn anonymous_server() -> Self {
        Self::Server { require: false, mechanisms: vec!["ANONYMOUS".to_owned()], external_identity: None }
    }

    /// A connector without credentials.
    #[must_use]
    pub const fn anonymous_client() -> Self {
        Self::Client { mechanisms: None, username: None, password: None, external: false }
    }
}

// === impl PortError ===

impl PortError {
    pub(super) fn violation(violation: &Violation) -> Self {
        Self { condition: violation.condition().to_owned(), description: violation.to_string() }
    }

    pub(super) fn of(error: &Error) -> Self {
        Self {
            condition: error.condition.as_str().to_owned(),
            description: error.description.clone().unwrap_or_default(),
        }
    }
}
