//! Parameters of `listener` and `connector`.

use super::{SocketFamily, count, owned, text};
use crate::attributes::Attributes;
use crate::config::EntityConfig;
use crate::error::RouterError;
use amqp_core::value::Map;
use router_engine::core::connection::ConnectionRole;
use std::time::Duration;

/// Credit of a link when none is configured.
const DEFAULT_LINK_CAPACITY: u32 = 250;
const DEFAULT_MAX_FRAME_SIZE: u32 = 16384;
const DEFAULT_MAX_SESSIONS: u32 = 32768;

/// What listeners and connectors have in common.
#[derive(Debug, Clone)]
pub struct PeerParams {
    /// The configured name, or the identity when none was given.
    pub name: String,
    /// The host to listen on (empty: all) or to connect to.
    pub host: String,
    /// The port number or service name.
    pub port: String,
    /// Use only this version of IP.
    pub family: Option<SocketFamily>,
    /// What the connections are for.
    pub role: ConnectionRole,
    /// The word for the role.
    pub role_name: String,
    /// Cost, 1..=2147483647.
    pub cost: u32,
    /// The sslProfile to use.
    pub ssl_profile: Option<String>,
    /// SASL mechanisms; `None` leaves the choice to the router.
    pub sasl_mechanisms: Option<Vec<String>>,
    /// 512..=2147483647.
    pub max_frame_size: u32,
    /// 1..=32768.
    pub max_sessions: u32,
    /// Incoming window in frames, at least 2; `None` computes it.
    pub max_session_frames: Option<u32>,
    /// Zero is never.
    pub idle_timeout: Duration,
    /// Ignore router annotations that come in.
    pub strip_in: bool,
    /// Do not send router annotations.
    pub strip_out: bool,
    /// Credit of a link, at least 1.
    pub link_capacity: u32,
    /// Message properties to log: none, all, or names separated by commas.
    pub message_logging: String,
    /// The vhost whose policy applies.
    pub policy_vhost: Option<String>,
    /// Properties to add to the open.
    pub open_properties: Map,
}

/// Parameters of a listener.
#[derive(Debug, Clone)]
pub struct ListenerParams {
    /// What it shares with connectors.
    pub peer: PeerParams,
    /// Refuse peers that do not authenticate.
    pub authenticate_peer: bool,
    /// Refuse connections that are not encrypted.
    pub require_encryption: bool,
    /// Refuse connections without TLS.
    pub require_ssl: bool,
    /// Time until the peer has opened.
    pub handshake_timeout: Option<Duration>,
    /// Other routers that clients are told of.
    pub failover_urls: Option<String>,
    /// Set when the listener speaks HTTP.
    pub http: Option<HttpParams>,
}

/// What an HTTP listener serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpParams {
    /// Answer `/healthz`.
    pub healthz: bool,
    /// Answer `/metrics`.
    pub metrics: bool,
    /// Take AMQP over WebSocket.
    pub websockets: bool,
    /// Directory of files.
    pub root_dir: Option<String>,
}

/// Parameters of a connector.
#[derive(Debug, Clone)]
pub struct ConnectorParams {
    /// What it shares with listeners.
    pub peer: PeerParams,
    /// The proxyProfile to use.
    pub proxy_profile: Option<String>,
    /// The name in the peer's certificate must be its host.
    pub verify_hostname: bool,
    /// SASL user.
    pub sasl_username: Option<String>,
    /// SASL password as configured: text, or where it is.
    pub sasl_password: Option<String>,
}

// === impl PeerParams ===

impl PeerParams {
    /// `host:port` as configured.
    #[must_use]
    pub fn host_port(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

impl TryFrom<&Attributes> for PeerParams {
    type Error = RouterError;

    fn try_from(a: &Attributes) -> Result<Self, RouterError> {
        let strip = a.text("stripAnnotations").unwrap_or("both");
        let role_name = text(a, "role");
        Ok(Self {
            name: text(a, "name"),
            host: text(a, "host"),
            port: text(a, "port"),
            family: SocketFamily::of(a),
            role: role(&role_name),
            role_name,
            cost: in_range(a, "cost", 1, i32::MAX as u32).map_err(|n| {
                RouterError::configuration(format!(
                    "Invalid cost ({n}) specified. Minimum value for cost is 1 and maximum value is 2147483647"
                ))
                .of_attributes()
            })?,
            ssl_profile: owned(a, "sslProfile"),
            sasl_mechanisms: a
                .text("saslMechanisms")
                .map(|m| m.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
                .filter(|m| !m.is_empty()),
            max_sessions: limit(a, "maxSessions", 1, 32768)?.unwrap_or(DEFAULT_MAX_SESSIONS),
            max_frame_size: limit(a, "maxFrameSize", 512, i32::MAX as u32)?.unwrap_or(DEFAULT_MAX_FRAME_SIZE),
            max_session_frames: limit(a, "maxSessionFrames", 2, i32::MAX as u32)?,
            idle_timeout: Duration::from_secs(count(a, "idleTimeoutSeconds")),
            strip_in: matches!(strip, "in" | "both"),
            strip_out: matches!(strip, "out" | "both"),
            link_capacity: match u32::try_from(count(a, "linkCapacity")) {
                Ok(0) | Err(_) => DEFAULT_LINK_CAPACITY,
                Ok(capacity) => capacity,
            },
            message_logging: text(a, "messageLoggingComponents"),
            policy_vhost: owned(a, "policyVhost"),
            open_properties: a.get("openProperties").and_then(|v| v.as_map()).cloned().unwrap_or_default(),
        })
    }
}

impl TryFrom<&EntityConfig> for ListenerParams {
    type Error = RouterError;

    fn try_from(entity: &EntityConfig) -> Result<Self, RouterError> {
        let a = &entity.attributes;
        let root_dir = owned(a, "httpRootDir");
        let http = (a.flag("http") || root_dir.is_some()).then(|| HttpParams {
            healthz: a.flag("healthz"),
            metrics: a.flag("metrics"),
            websockets: a.flag("websockets"),
            root_dir,
        });
        Ok(Self {
            peer: PeerParams::try_from(a)?,
            authenticate_peer: a.flag("authenticatePeer"),
            require_encryption: a.flag("requireEncryption"),
            require_ssl: a.flag("requireSsl"),
            handshake_timeout: match count(a, "initialHandshakeTimeoutSeconds") {
                0 => None,
                seconds => Some(Duration::from_secs(seconds)),
            },
            failover_urls: owned(a, "failoverUrls"),
            http,
        })
    }
}

impl TryFrom<&EntityConfig> for ConnectorParams {
    type Error = RouterError;

    fn try_from(entity: &EntityConfig) -> Result<Self, RouterError> {
        let a = &entity.attributes;
        Ok(Self {
            peer: PeerParams::try_from(a)?,
            proxy_profile: owned(a, "proxyProfile"),
            verify_hostname: a.flag("verifyHostname"),
            sasl_username: owned(a, "saslUsername"),
            sasl_password: owned(a, "saslPassword"),
        })
    }
}

fn role(name: &str) -> ConnectionRole {
    match name {
        "inter-router" => ConnectionRole::InterRouter,
        "route-container" => ConnectionRole::RouteContainer,
        "edge" => ConnectionRole::Edge,
        "inter-edge" => ConnectionRole::InterEdge,
        "inter-network" => ConnectionRole::InterNetwork,
        _ => ConnectionRole::Normal,
    }
}

/// A number between bounds, or else the number.
fn in_range(a: &Attributes, name: &str, min: u32, max: u32) -> Result<u32, i64> {
    let number = a.number(name).unwrap_or(0);
    u32::try_from(number).ok().filter(|n| (min..=max).contains(n)).ok_or(number)
}

/// A limit between bounds; `None` when zero or not given.
fn limit(a: &Attributes, name: &str, min: u32, max: u32) -> Result<Option<u32>, RouterError> {
    if a.number(name).unwrap_or(0) == 0 {
        return Ok(None);
    }
    in_range(a, name, min, max).map(Some).map_err(|n| {
        RouterError::configuration(format!(
            "Invalid {name} specified ({n}). Minimum value is {min} and maximum value is {max}"
        ))
        .of_attributes()
    })
}
