//! Our open, and what the core is told of the peer's (spec `amqp-endpoint.md` section 4,
//! `inter-router-protocol.md` 2.2 and 2.3).

use super::bare;
use super::liveness;
use super::params::{PortParams, SaslParams, TlsInfo};
use super::wide;
use crate::VERSION;
use crate::core::action::PeerOpen;
use crate::core::connection::{ANONYMOUS_RELAY, CONNECTION_TRUNKING, LINK_STATE_SYNC, STREAMING_LINKS, UPLINK_CHANGE};
use crate::core::ids::ConnId;
use crate::policy::{Asked, Decision};
use amqp_core::engine::Authentication;
use amqp_core::performative::Open;
use amqp_core::value::{Map, Symbol, Value};
use std::net::SocketAddr;

/// The product that routers name themselves.
const PRODUCT: &str = "skupper-router";

/// The version of the router annotations section.
const ANNOTATIONS_VERSION: i32 = 2;

/// The open property of a connector that says what its connection is for.
pub(super) const ROLE: &str = "qd.inter-router-role";

/// The code of a data connection there.
pub(super) const ROLE_DATA: i32 = 4;

/// The open property of a listener with its record's identity.
pub const ACCESS_ID: &str = "qd.access-id";

/// Octets that routers of ordinary and of other roles want in a session window.
const WINDOW_NORMAL: u32 = 8_388_608;
const WINDOW_OTHER: u32 = 134_217_728;

/// The incoming-window of sessions, frames (spec `amqp-endpoint.md` 5.3).
pub(super) fn session_window(params: &PortParams) -> u32 {
    session_window_of(params, params.max_frame_size)
}

/// The same with frames of another size.
pub(super) fn session_window_of(params: &PortParams, max_frame_size: u32) -> u32 {
    let octets = if params.conn.role.is_client() { WINDOW_NORMAL } else { WINDOW_OTHER };
    params.session_window.unwrap_or(octets / max_frame_size.max(1)).max(2)
}

/// Our open.
pub(super) fn our_open(params: &PortParams, container: &str, conn: ConnId) -> Open {
    let mut capabilities: Vec<Symbol> =
        [ANONYMOUS_RELAY, STREAMING_LINKS, CONNECTION_TRUNKING].into_iter().map(Symbol::from_static).collect();
    if params.conn.role.has_control_links() {
        capabilities.push(Symbol::from_static(LINK_STATE_SYNC));
    }
    if params.conn.role.is_edge() {
        capabilities.push(Symbol::from_static(UPLINK_CHANGE));
    }
    if params.conn.role.is_inter_edge() {
        capabilities.push(Symbol::from_static("qd.router-inter-edge"));
    }
    Open {
        container_id: container.to_owned(),
        hostname: params.open.hostname.clone().filter(|_| params.conn.initiator),
        max_frame_size: Some(params.max_frame_size),
        channel_max: Some(channel_max(params)),
        idle_time_out: None,
        outgoing_locales: Vec::new(),
        incoming_locales: Vec::new(),
        offered_capabilities: capabilities.clone(),
        desired_capabilities: capabilities,
        properties: Some(properties(params, conn)),
    }
}

/// The channel-max to advertise.
pub(super) fn channel_max(params: &PortParams) -> u16 {
    u16::try_from(params.max_sessions.clamp(1, 65536) - 1).unwrap_or(u16::MAX)
}

fn properties(params: &PortParams, id: ConnId) -> Map {
    let conn = &params.conn;
    let mut map = Map::new();
    let mut put = |key: &'static str, value: Value| map.push(Value::symbol(key), value);
    put("product", PRODUCT.to_owned().into());
    put("version", VERSION.to_owned().into());
    put("qd.conn-id", Value::Int(i32::try_from(id.number).unwrap_or(i32::MAX)));
    if conn.trunk.cost > 1 {
        put("qd.inter-router-cost", Value::Int(i32::try_from(conn.trunk.cost).unwrap_or(i32::MAX)));
    }
    if conn.initiator && conn.role.is_data_only() {
        put(ROLE, Value::Int(ROLE_DATA));
    }
    if conn.initiator && conn.role.is_inter_router() {
        if let Some(correlator) = &conn.trunk.correlator {
            put("qd.group-correlator", correlator.clone().into());
        }
        if let Some(ordinal) = conn.trunk.ordinal {
            put("qd.group-ordinal", Value::Ulong(ordinal));
        }
    }
    if !conn.initiator
        && conn.role.tells_access_id()
        && let Some(access_id) = &params.open.access_id
    {
        put(ACCESS_ID, access_id.clone().into());
    }
    if conn.role.tells_annotations_version() {
        put("qd.annotations-version", Value::Int(ANNOTATIONS_VERSION));
    }
    if let Some(offer) = liveness::offer(params) {
        liveness::properties(offer).into_iter().for_each(|(key, value)| put(key, value));
    }
    for (key, value) in wide::property(params).into_iter().chain(bare::property(params)) {
        put(key, value);
    }
    if let Some(list) = &params.open.failover_list {
        put("failover-server-list", list.clone());
    }
    map.0.extend(params.open.properties.0.iter().cloned());
    map
}

/// What the core is told of the peer.
pub(super) fn peer_open(
    open: &Open,
    params: &PortParams,
    authentication: &Authentication,
    tls: Option<&TlsInfo>,
) -> PeerOpen {
    let by_tls = || tls.and_then(|tls| tls.user.clone());
    // Spec security-and-policy.md 1.3.
    let user = match authentication.mechanism.as_deref() {
        _ if params.conn.initiator => match &params.sasl {
            SaslParams::Client { username, .. } => username.clone(),
            _ => None,
        },
        Some("EXTERNAL") => by_tls().or_else(|| authentication.user.clone()),
        Some(_) => authentication.user.clone(),
        None if tls.is_some() => by_tls(),
        None => Some("anonymous".to_owned()),
    };
    PeerOpen {
        container_id: open.container_id.clone(),
        hostname: open.hostname.clone(),
        offered_capabilities: open.offered_capabilities.clone(),
        properties: open.properties.clone().unwrap_or_default(),
        sasl_mechanism: authentication.mechanism.clone(),
        user,
        tls_protocol: tls.map(|tls| tls.protocol.clone()),
        tls_cipher: tls.map(|tls| tls.cipher.clone()),
        tls_ssf: tls.map_or(0, |tls| tls.ssf),
        policy: Decision::default(),
    }
}

/// What policy is asked about a connection.
pub(super) fn asked<'a>(params: &'a PortParams, peer: &'a PeerOpen, conn_id: ConnId) -> Asked<'a> {
    let conn = &params.conn;
    Asked {
        initiator: conn.initiator,
        role: conn.role,
        policy_vhost: params.policy_vhost.as_deref(),
        hostname: peer.hostname.as_deref(),
        user: peer.user.as_deref(),
        // Only of a peer that came to a listener is it an address.
        remote_host: conn.facts.host.parse().ok().map(|address: SocketAddr| address.ip().to_canonical()),
        peer: &conn.facts.host,
        number: conn_id.number,
    }
}
