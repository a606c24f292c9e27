//! Log lines about connections that open and close (spec `amqp-endpoint.md` 23, `security-and-policy.md` 5).

use crate::core::action::PeerOpen;
use crate::core::connection::{ConnParams, ConnectionRole};
use crate::core::ids::ConnId;
use crate::log;
use crate::log::{Level, LogModule};
use amqp_core::Value;

pub(super) fn opened(id: ConnId, conn: &ConnParams, peer: &PeerOpen) {
    if let Some(user) = &peer.user {
        log!(LogModule::Server, Level::Debug, "[C{id}] User id is '{user}'");
    }
    if matches!(conn.role, ConnectionRole::InterRouter | ConnectionRole::Edge)
        && let Some(Value::Int(version)) = peer.properties.get("qd.annotations-version")
    {
        log!(LogModule::Router, Level::Debug, "Remote router annotations version: {version}");
    }
    log!(
        LogModule::RouterCore,
        level(conn.role),
        "[C{id}] Connection Opened: dir={} host={} encrypted={} auth={} user={} container_id={} props={}",
        if conn.initiator { "out" } else { "in" },
        conn.host,
        peer.tls_protocol.as_deref().unwrap_or("no"),
        peer.sasl_mechanism.as_deref().unwrap_or("no"),
        peer.user.as_deref().unwrap_or("(null)"),
        peer.container_id,
        peer.properties
    );
}

pub(super) fn closed(id: ConnId, role: ConnectionRole) {
    log!(LogModule::RouterCore, level(role), "[C{id}] Connection Closed");
}

/// Clients come and go often.
fn level(role: ConnectionRole) -> Level {
    if role == ConnectionRole::Normal { Level::Debug } else { Level::Info }
}
