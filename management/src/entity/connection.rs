//! `connection`: an open connection.

#[cfg(test)]
mod tests;

use super::column::{Column, seconds};
use super::table::{Core, Key, Rows, Table, not_implemented, row_map};
use super::{EntityKind, EntityType};
use crate::agent::{Failure, Request, Response, Status};
use crate::schema::EntityDef;
use crate::schema::attribute::{flag, gauge, map, number, one_of, text};
use crate::schema::validate;
use amqp_core::Value;
use amqp_core::value::Map;
use router_engine::core::connection::PeerKind;
use router_engine::core::snapshot::{ConnectionRow, Page};
use router_engine::log::{Level, LogModule};

pub(super) static DEF: EntityDef = EntityDef {
    name: "connection",
    description: "An open connection.",
    attributes: &[
        one_of("adminStatus", &["enabled", "deleted"], "Set to deleted to cut the connection.")
            .or_text("enabled")
            .update(),
        one_of("operStatus", &["up", "closing"], "How the connection stands."),
        text("protocol", "The protocol."),
        text("container", "The container id of the peer."),
        flag("opened", "The peer has opened."),
        text("host", "The peer."),
        text("localSocket", "The own end of the socket."),
        one_of("dir", &["in", "out"], "Who connected."),
        text("role", "What the connection is for."),
        text("meshId", "The edge mesh that the peer is in."),
        flag("isAuthenticated", "The peer has authenticated."),
        flag("isEncrypted", "What is sent is encrypted."),
        flag("enableProtocolTrace", "Log the frames of this connection.").or_flag(false).update(),
        text("sasl", "The SASL mechanism used."),
        text("user", "Who the peer is."),
        flag("ssl", "TLS is used."),
        text("sslProto", "The version of TLS."),
        text("sslCipher", "The cipher."),
        number("sslSsf", "The strength of the cipher in bits."),
        gauge("uptimeSeconds", "Seconds since the connection was made."),
        map("properties", "The properties that the peer opened with."),
        gauge("lastDlvSeconds", "Seconds since the last delivery; absent before the first."),
        number("tlsOrdinal", "The generation of credentials used."),
        text("groupCorrelationId", "Common to the connections of one connector."),
        number("groupOrdinal", "The generation within the group."),
    ],
    ..EntityDef::OPERATIONAL
};

const NOT_ALLOWED: &str = "You are not allowed to perform this operation.";

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn table(&self) -> Option<&'static dyn Table> {
        Some(&Self)
    }
}

impl Rows for Kind {
    type Row = ConnectionRow;

    const TYPE: EntityType = EntityType::Connection;

    const COLUMNS: &'static [Column<ConnectionRow>] = &[
        ("name", |c| format!("connection/{}", c.params.facts.host).into()),
        ("identity", |c| c.number.to_string().into()),
        ("host", |c| c.params.facts.host.as_str().into()),
        // The sockets of AMQP connections are not shown.
        ("localSocket", |c| c.params.facts.local_socket.as_deref().filter(|_| is_tcp(c)).into()),
        ("role", |c| c.role.name().into()),
        ("protocol", |c| c.params.kind.protocol().into()),
        ("dir", |c| if c.params.initiator { "out" } else { "in" }.into()),
        ("container", |c| container(c).into()),
        ("sasl", |c| or_empty(c, mechanism(c))),
        ("isAuthenticated", |c| (!is_tcp(c) && mechanism(c).is_some()).into()),
        ("user", |c| or_empty(c, c.peer.as_ref().and_then(|peer| peer.user.as_deref()))),
        ("isEncrypted", |c| tls_protocol(c).is_some().into()),
        ("sslProto", |c| tls_protocol(c).into()),
        ("sslCipher", |c| c.peer.as_ref().and_then(|peer| peer.tls_cipher.as_deref()).into()),
        ("properties", |c| properties(c.peer.as_ref().map(|peer| &peer.properties))),
        ("sslSsf", |c| Value::Long(c.peer.as_ref().map_or(0, |peer| peer.tls_ssf.into()))),
        ("type", |_| Self::TYPE.full().into()),
        ("ssl", |c| (tls_protocol(c).is_some() || c.params.facts.tls_ordinal.is_some()).into()),
        ("opened", |c| c.peer.is_some().into()),
        ("active", |c| c.active.into()),
        ("adminStatus", |c| if c.deleted { "deleted" } else { "enabled" }.into()),
        ("operStatus", |c| if c.deleted { "closing" } else { "up" }.into()),
        ("uptimeSeconds", |c| seconds(c.uptime)),
        ("lastDlvSeconds", |c| c.last_delivery.map(seconds).unwrap_or_default()),
        ("enableProtocolTrace", |c| c.traced.into()),
        ("meshId", |c| c.mesh.as_deref().into()),
        ("tlsOrdinal", |c| c.params.facts.tls_ordinal.into()),
        ("groupCorrelationId", |c| group(c).into()),
        ("groupOrdinal", |c| group(c).map(|_| group_ordinal(c)).into()),
    ];

    fn page(&self, core: &Core<'_>, page: Page) -> Vec<ConnectionRow> {
        core.backend.connections(page)
    }

    fn key<'a>(&self, request: &'a Request) -> Result<Key<'a>, Failure> {
        let identity = request.text("identity").map(Key::Identity);
        identity.ok_or_else(|| Failure::bad_request("Name not supported. Identity required"))
    }

    fn find(&self, core: &Core<'_>, (Key::Identity(number) | Key::Name(number)): Key<'_>) -> Option<ConnectionRow> {
        core.backend.connection(number.parse().ok()?)
    }

    fn create_row(&self, _: &mut Core<'_>, _: &Request) -> Response {
        not_implemented(Self::TYPE, "CREATE")
    }

    fn update_row(&self, core: &mut Core<'_>, request: &Request) -> Response {
        update(core, request).unwrap_or_else(Response::from)
    }
}

fn is_tcp(c: &ConnectionRow) -> bool {
    c.params.kind.is_of_service()
}

/// Flows of the TCP adaptor show empty texts where AMQP connections show nothing.
fn or_empty(c: &ConnectionRow, text: Option<&str>) -> Value {
    text.or(is_tcp(c).then_some("")).into()
}

fn container(c: &ConnectionRow) -> Option<&str> {
    let id = c.peer.as_ref().map(|peer| peer.container_id.as_str());
    id.filter(|id| !id.is_empty())
}

fn mechanism(c: &ConnectionRow) -> Option<&str> {
    c.peer.as_ref()?.sasl_mechanism.as_deref()
}

fn tls_protocol(c: &ConnectionRow) -> Option<&str> {
    c.peer.as_ref()?.tls_protocol.as_deref()
}

/// A property of the peer's open.
fn property<'a>(c: &'a ConnectionRow, key: &str) -> Option<&'a Value> {
    c.peer.as_ref()?.properties.get(key)
}

/// What the connections of one connector have in common.
fn group(c: &ConnectionRow) -> Option<&str> {
    property(c, "qd.group-correlator").and_then(Value::as_str).or(c.params.trunk.correlator.as_deref())
}

fn group_ordinal(c: &ConnectionRow) -> u64 {
    property(c, "qd.group-ordinal").and_then(Value::as_u64).or(c.params.trunk.ordinal).unwrap_or(0)
}

/// What the peer listed in its open: text and whole numbers only, up to the first of another kind.
fn properties(given: Option<&Map>) -> Value {
    let mut shown = Map::new();
    for (key, value) in given.into_iter().flatten() {
        let Some(key) = key.as_str() else { break };
        match (value.as_str(), value) {
            (Some(text), _) => shown.push(key, text),
            (None, Value::Int(_) | Value::Long(_)) => shown.push(key, value.clone()),
            _ => break,
        }
    }
    shown.into()
}

fn update(core: &mut Core<'_>, request: &Request) -> Result<Response, Failure> {
    let bad_request = || Failure::bad_request(Status::BadRequest.description());
    let body = request.body.as_map().ok_or_else(bad_request)?;
    let number: u32 = request.text("identity").and_then(|i| i.parse().ok()).ok_or_else(bad_request)?;
    // Nothing is done before all is known to make sense.
    let admin = attribute(body, "adminStatus")?;
    let trace = attribute(body, "enableProtocolTrace")?;
    if admin.is_none() && trace.is_none() {
        return Err(bad_request());
    }
    let mut target = core.backend.connection(number).ok_or_else(bad_request)?;
    if let Some(admin) = admin {
        // Whoever asks must still be there.
        let requester = request.requester.filter(|n| core.backend.connection(*n).is_some());
        let requester = requester.ok_or_else(bad_request)?;
        if !core.backend.may_update_admin_status(requester) {
            return Err(not_allowed());
        }
        if admin.as_str() == Some("deleted") {
            cut(core, &mut target, requester)?;
        }
    }
    if let Some(trace) = trace {
        let on = trace.as_bool() == Some(true);
        core.backend.trace_connection(number, on);
        target.traced = on;
    }
    Ok(Response::new(Status::Ok, row_map::<Kind>(&target)))
}

fn cut(core: &mut Core<'_>, target: &mut ConnectionRow, requester: u32) -> Result<(), Failure> {
    if target.role.joins_network() || target.params.kind == PeerKind::TcpDispatcher {
        return Err(not_allowed());
    }
    let number = target.number;
    router_engine::log!(
        LogModule::Agent,
        Level::Info,
        conn = number,
        "Connection force-closed by request from connection [C{requester}]"
    );
    target.deleted = true;
    core.backend.cut_connection(number);
    Ok(())
}

fn not_allowed() -> Failure {
    Failure { status: Status::Forbidden, class: "ForbiddenStatus", text: NOT_ALLOWED.to_owned() }
}

/// The converted value of an attribute of a connection, if the body has it.
fn attribute(body: &Map, name: &'static str) -> Result<Option<Value>, Failure> {
    let ty = Kind::TYPE;
    let value = body.get(name).filter(|value| !value.is_null());
    let Some((value, attribute)) = value.zip(ty.attribute(name)) else { return Ok(None) };
    Ok(Some(validate::value_of(ty, attribute, value.clone())?))
}
