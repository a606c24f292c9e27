//! What `tcpListener` and `tcpConnector` have in common.

use super::column::{Column, counter};
use crate::attributes::Attributes;
use crate::schema::Attribute;
use crate::schema::attribute::{gauge, number};
use adaptors::net::KeepAlive;
use adaptors::tcp::{IdleLimits, Service, ServiceLimits};
use std::sync::Arc;

/// Live attributes of either.
pub(super) const COLUMNS: &[Column<Arc<Service>>] = &[
    ("bytesIn", |service| counter(service.read())),
    ("bytesOut", |service| counter(service.written())),
    ("connectionsOpened", |service| counter(service.opened())),
    ("connectionsClosed", |service| counter(service.closed())),
    ("connectionsTimedOut", |service| counter(service.timed_out())),
    REFUSED_COLUMN,
];

pub(super) const REFUSED_COLUMN: Column<Arc<Service>> = (REFUSED.name, |service| counter(service.refused()));

pub(super) const TIMED_OUT: Attribute = gauge("connectionsTimedOut", "Connections cut as they had carried nothing.");

pub(super) const REFUSED: Attribute =
    gauge("connectionsRefused", "Connections refused: of clients that may not use the service, and beyond its limits.");

pub(super) const MAX_CONNECTIONS: Attribute =
    number("maxConnections", "Connections at a time; 0 as many as come.").natural().or_number(0).create();

pub(super) const MAX_CONNECTION_RATE: Attribute =
    number("maxConnectionsPerSecond", "New connections a second, as many of them at once; 0 as many as come.")
        .natural()
        .or_number(0)
        .create();

pub(super) const MAX_OCTET_RATE: Attribute =
    number("maxOctetsPerSecond", "Octets a second, of all connections in both directions; 0 as many as there are.")
        .natural()
        .or_number(0)
        .create();

pub(super) const IDLE_TIMEOUT: Attribute =
    number("idleTimeoutSeconds", "Connections are cut that have carried nothing for so long; 0 never.")
        .natural()
        .or_number(0)
        .create();

pub(super) const HALF_CLOSED_TIMEOUT: Attribute =
    number("halfClosedTimeoutSeconds", "The same once one direction has ended; 0 never.")
        .natural()
        .or_number(0)
        .create();

pub(super) const KEEP_ALIVE: Attribute =
    number("keepAliveSeconds", "TCP probes a peer that has been silent for so long, and again so often; 0 never.")
        .within(0, KeepAlive::LONGEST as i64)
        .or_number(0)
        .create();

pub(super) const KEEP_ALIVE_PROBES: Attribute =
    number("keepAliveProbes", "Probes without an answer until the connection is given up.")
        .within(1, KeepAlive::PROBES_MAX as i64)
        .or_number(3)
        .create();

/// What its values mean differs between the two.
pub(super) const PROXY_PROTOCOL: &str = "proxyProtocol";

/// For how long flows may carry nothing.
pub(super) fn idle_limits(a: &Attributes) -> IdleLimits {
    let limit = |name| Some(a.seconds(name)).filter(|limit| !limit.is_zero());
    IdleLimits { idle: limit(IDLE_TIMEOUT.name), half_closed: limit(HALF_CLOSED_TIMEOUT.name) }
}

/// How much the service takes.
pub(super) fn limits(a: &Attributes) -> ServiceLimits {
    let limit = |attribute: &Attribute| Some(a.count(attribute.name)).filter(|limit| *limit > 0);
    ServiceLimits {
        connections: limit(&MAX_CONNECTIONS),
        connection_rate: limit(&MAX_CONNECTION_RATE),
        octet_rate: limit(&MAX_OCTET_RATE),
    }
}

/// Whether, and how, TCP probes the peer.
pub(super) fn keep_alive(a: &Attributes) -> Option<KeepAlive> {
    let interval = a.seconds(KEEP_ALIVE.name);
    let probes = u32::try_from(a.count(KEEP_ALIVE_PROBES.name)).unwrap_or(KeepAlive::PROBES_MAX);
    (!interval.is_zero()).then_some(KeepAlive { interval, probes })
}
