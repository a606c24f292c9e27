//! Log lines about connections that open and close, and about messages that are refused (spec `amqp-endpoint.md` 11 and 23,
//! `security-and-policy.md` 5).

use crate::core::action::PeerOpen;
use crate::core::connection::{ConnParams, ConnectionRole};
use crate::core::ids::{ConnId, LinkId};
use crate::log;
use crate::log::{Level, LogModule};
use amqp_core::Value;

pub(super) fn opened(id: ConnId, conn: &ConnParams, peer: &PeerOpen) {
    if let Some(user) = &peer.user {
        log!(LogModule::Server, Level::Debug, conn = id, "User id is '{user}'");
    }
    if conn.role.joins_network()
        && let Some(Value::Int(version)) = peer.properties.get("qd.annotations-version")
    {
        log!(LogModule::Router, Level::Debug, "Remote router annotations version: {version}");
    }
    log!(
        LogModule::RouterCore,
        level(conn.role),
        conn = id,
        "Connection Opened: dir={} host={} encrypted={} auth={} user={} container_id={} props={}",
        if conn.initiator { "out" } else { "in" },
        conn.facts.host,
        peer.tls_protocol.as_deref().unwrap_or("no"),
        peer.sasl_mechanism.as_deref().unwrap_or("no"),
        peer.user.as_deref().unwrap_or("(null)"),
        peer.container_id,
        peer.properties
    );
}

pub(super) fn closed(id: ConnId, role: ConnectionRole) {
    log!(LogModule::RouterCore, level(role), conn = id, "Connection Closed");
}

/// A message is refused before the core sees it.
pub(super) fn refused(conn: ConnId, link: LinkId, condition: &str, description: &str) {
    let module = LogModule::Router;
    match condition {
        "amqp:invalid-field" => {
            let what = "Message rejected - invalid router annotations section";
            log!(module, Level::Warning, conn = conn, link = link, "{what}: {description}");
        }
        "amqp:precondition-failed" => {
            log!(module, Level::Debug, conn = conn, link = link, "Message rejected - no address present");
        }
        "amqp:decode-error" => {
            log!(module, Level::Debug, conn = conn, link = link, "Incoming message validation failed - rejected");
        }
        _ => {}
    }
}

/// A link ends because its parent does, which is a session or the connection.
pub(super) fn aborted(link: &str, parent: &str) {
    log!(LogModule::Container, Level::Debug, "Aborting link '{link}' due to parent {parent} end");
}

/// Clients come and go often.
fn level(role: ConnectionRole) -> Level {
    if role.is_client() { Level::Debug } else { Level::Info }
}
