//! Columns of the core tables, and rows with the types that clients know.

use crate::memory;
use crate::schema::EntityType;
use amqp_core::Value;
use amqp_core::value::Map;
use router_engine::core::snapshot::{AddressRow, ConnectionRow, LinkRow, RouterRow};
use router_engine::forward::Treatment;
use std::time::Duration;

/// One value per column.
pub(super) type Row = Vec<Value>;

pub(super) const METRICS: &[&str] = &[
    "identity",
    "type",
    "id",
    "addrCount",
    "linkCount",
    "nodeCount",
    "autoLinkCount",
    "connectionCount",
    "presettledDeliveries",
    "droppedPresettledDeliveries",
    "acceptedDeliveries",
    "rejectedDeliveries",
    "releasedDeliveries",
    "modifiedDeliveries",
    "deliveriesDelayed1Sec",
    "deliveriesDelayed10Sec",
    "deliveriesStuck",
    "deliveriesIngress",
    "deliveriesEgress",
    "deliveriesTransit",
    "deliveriesIngressRouteContainer",
    "deliveriesEgressRouteContainer",
    "deliveriesIngressInterNetwork",
    "deliveriesEgressInterNetwork",
    "deliveriesRedirectedToFallback",
    "linksBlocked",
    "uptimeSeconds",
    "memoryUsage",
    "residentMemoryUsage",
    "connectionCounters",
    "version",
];

pub(super) const CONNECTION: &[&str] = &[
    "name",
    "identity",
    "host",
    "localSocket",
    "role",
    "protocol",
    "dir",
    "container",
    "sasl",
    "isAuthenticated",
    "user",
    "isEncrypted",
    "sslProto",
    "sslCipher",
    "properties",
    "sslSsf",
    "type",
    "ssl",
    "opened",
    "active",
    "adminStatus",
    "operStatus",
    "uptimeSeconds",
    "lastDlvSeconds",
    "enableProtocolTrace",
    "meshId",
    "tlsOrdinal",
    "groupCorrelationId",
    "groupOrdinal",
];

pub(super) const LINK: &[&str] = &[
    "name",
    "identity",
    "type",
    "linkName",
    "linkType",
    "linkDir",
    "owningAddr",
    "capacity",
    "undeliveredCount",
    "unsettledCount",
    "deliveryCount",
    "connectionId",
    "operStatus",
    "presettledCount",
    "droppedPresettledCount",
    "acceptedCount",
    "rejectedCount",
    "releasedCount",
    "modifiedCount",
    "deliveriesDelayed1Sec",
    "deliveriesDelayed10Sec",
    "deliveriesStuck",
    "openMovedStreams",
    "ingressHistogram",
    "priority",
    "settleRate",
    "creditAvailable",
    "zeroCreditSeconds",
];

pub(super) const ADDRESS: &[&str] = &[
    "name",
    "identity",
    "type",
    "key",
    "distribution",
    "inProcess",
    "subscriberCount",
    "remoteCount",
    "remoteHostRouters",
    "deliveriesIngress",
    "deliveriesEgress",
    "deliveriesTransit",
    "deliveriesToContainer",
    "deliveriesFromContainer",
    "deliveriesEgressRouteContainer",
    "deliveriesIngressRouteContainer",
    "deliveriesEgressInterNetwork",
    "deliveriesIngressInterNetwork",
    "transitOutstanding",
    "trackedDeliveries",
    "priority",
    "deliveriesRedirectedToFallback",
    "watch",
];

pub(super) const CONFIG_ADDRESS: &[&str] =
    &["name", "identity", "type", "prefix", "distribution", "pattern", "priority"];

pub(super) const AUTO_LINK: &[&str] = &[
    "name",
    "identity",
    "type",
    "address",
    "direction",
    "connection",
    "containerId",
    "externalAddress",
    "linkRef",
    "operStatus",
    "lastError",
];

/// The type column of the totals is a name from long ago.
const METRICS_TYPE: &str = "org.apache.qpid.dispatch.routerMetrics";

/// Where in a row the trailing figures are the same for many columns, this keeps them short.
fn ulongs(row: &mut Row, figures: impl IntoIterator<Item = u64>) {
    row.extend(figures.into_iter().map(Value::Ulong));
}

fn seconds(duration: Duration) -> Value {
    Value::Uint(u32::try_from(duration.as_secs()).unwrap_or(u32::MAX))
}

/// Connections that serve clients, by protocol.
fn service_connections(services: &[(&str, u64)]) -> Map {
    let count = |protocol: &str| services.iter().find(|(p, _)| *p == protocol).map_or(0, |(_, count)| *count);
    ["tcp", "amqp", "http1", "http2"].into_iter().map(|protocol| (protocol, count(protocol))).collect()
}

pub(super) fn metrics(totals: &RouterRow, id: &str, auto_links: usize) -> Row {
    let t = &totals.totals;
    let o = &t.outcomes;
    let mut row: Row = vec!["1".into(), METRICS_TYPE.into(), id.into()];
    let sizes = [totals.addresses, totals.links, totals.nodes, auto_links, totals.connections];
    ulongs(&mut row, sizes.map(|n| n as u64));
    ulongs(&mut row, [o.presettled, o.dropped_presettled, o.accepted, o.rejected, o.released, o.modified]);
    ulongs(&mut row, [o.delayed_1sec, o.delayed_10sec, 0]);
    ulongs(&mut row, [t.ingress, t.egress, t.transit, t.ingress_route_container, t.egress_route_container]);
    // Between networks; redirected to a fallback.
    ulongs(&mut row, [0, 0, 0]);
    row.push(Value::Uint(0));
    row.push(seconds(totals.uptime));
    let usage = memory::usage();
    row.push(usage.map(|u| u.total).into());
    row.push(usage.map(|u| u.resident).into());
    row.push(service_connections(&totals.services).into());
    row.push(router_engine::VERSION.into());
    row
}

pub(super) fn connection(c: &ConnectionRow) -> Row {
    let is_tcp = c.params.kind.is_tcp();
    let peer = c.peer.as_ref();
    // Flows of the TCP adaptor show empty texts where AMQP connections show nothing.
    let optional = |text: Option<&String>| match text {
        Some(text) => text.as_str().into(),
        None if is_tcp => "".into(),
        None => Value::Null,
    };
    let mechanism = peer.and_then(|p| p.sasl_mechanism.as_ref());
    let user = peer.and_then(|p| p.user.as_ref());
    let protocol = peer.and_then(|p| p.tls_protocol.as_deref());
    let cipher = peer.and_then(|p| p.tls_cipher.as_deref());
    let container = peer.map(|p| p.container_id.as_str()).filter(|c| !c.is_empty());
    let text = |key: &str| peer.and_then(|p| p.properties.get(key)).and_then(Value::as_str);
    let group = text("qd.group-correlator").or(c.params.trunk.correlator.as_deref());
    let ordinal = peer.and_then(|p| p.properties.get("qd.group-ordinal")).and_then(Value::as_u64);
    vec![
        format!("connection/{}", c.params.facts.host).into(),
        c.number.to_string().into(),
        c.params.facts.host.as_str().into(),
        // The sockets of AMQP connections are not shown.
        c.params.facts.local_socket.as_deref().filter(|_| is_tcp).into(),
        c.role.name().into(),
        c.params.kind.protocol().into(),
        if c.params.initiator { "out" } else { "in" }.into(),
        container.into(),
        optional(mechanism),
        (!is_tcp && mechanism.is_some()).into(),
        optional(user),
        protocol.is_some().into(),
        protocol.into(),
        cipher.into(),
        properties(peer.map(|p| &p.properties)),
        Value::Long(i64::from(peer.map_or(0, |p| p.tls_ssf))),
        EntityType::Connection.full().into(),
        (protocol.is_some() || c.params.facts.tls_ordinal.is_some()).into(),
        peer.is_some().into(),
        true.into(),
        if c.deleted { "deleted" } else { "enabled" }.into(),
        if c.deleted { "closing" } else { "up" }.into(),
        seconds(c.uptime),
        c.last_delivery.map(seconds).unwrap_or_default(),
        c.traced.into(),
        text("qd.edge-mesh-id").into(),
        c.params.facts.tls_ordinal.map_or(Value::Null, Value::Ulong),
        group.into(),
        group.map(|_| ordinal.or(c.params.trunk.ordinal).unwrap_or(0)).into(),
    ]
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

pub(super) fn link(l: &LinkRow) -> Row {
    let c = &l.counters;
    let mut row: Row = vec![
        l.name.as_str().into(),
        l.number.to_string().into(),
        EntityType::Link.full().into(),
        l.name.as_str().into(),
        l.link_type.into(),
        if l.incoming { "in" } else { "out" }.into(),
        l.owning_address.as_deref().into(),
        Value::Uint(l.capacity),
    ];
    ulongs(&mut row, [l.undelivered.into(), l.unsettled.into(), c.deliveries]);
    row.push(l.connection.to_string().into());
    row.push(if l.up { "up" } else { "down" }.into());
    ulongs(&mut row, [c.presettled, c.dropped_presettled, c.accepted, c.rejected, c.released, c.modified]);
    ulongs(&mut row, [c.delayed_1sec, c.delayed_10sec, 0, l.moved_streams.into()]);
    row.push(Value::Null);
    row.extend([u32::from(l.priority), 0, l.credit].map(Value::Uint));
    row.push(seconds(l.zero_credit));
    row
}

pub(super) fn address(a: &AddressRow) -> Row {
    let c = &a.counters;
    let remotes: Vec<Value> = a.remotes.iter().map(|r| r.as_str().into()).collect();
    let mut row: Row = vec![
        a.key.as_str().into(),
        a.key.as_str().into(),
        EntityType::Address.full().into(),
        a.key.as_str().into(),
        a.treatment.as_str().into(),
        Value::Uint(a.in_process),
        Value::Uint(a.subscribers),
        Value::Uint(u32::try_from(remotes.len()).unwrap_or(u32::MAX)),
        remotes.into(),
    ];
    ulongs(&mut row, [c.ingress, c.egress, c.transit, c.to_container, c.from_container]);
    // Other networks are the last two.
    ulongs(&mut row, [c.egress_route_container, c.ingress_route_container, 0, 0]);
    row.push(Value::Null);
    row.push(Value::Long(a.tracked.into()));
    row.push(Value::Int(a.priority.map_or(-1, i32::from)));
    row.push(Value::Ulong(0));
    row.push(a.watched.into());
    row
}

/// The distribution of an address configuration; unavailable shows as nothing.
pub(super) fn distribution(treatment: Treatment) -> Value {
    match treatment {
        Treatment::Unavailable => Value::Null,
        treatment => treatment.as_str().into(),
    }
}
