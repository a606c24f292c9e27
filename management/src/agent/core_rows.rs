//! Columns of the core tables, and rows with the types that clients know.

use crate::memory;
use crate::schema::EntityType;
use amqp_core::Value;
use amqp_core::value::Map;
use router_engine::core::connection::ConnectionRole;
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
