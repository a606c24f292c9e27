//! What `tcpListener` and `tcpConnector` have in common.

use super::column::{Column, counter};
use crate::attributes::Attributes;
use crate::schema::Attribute;
use crate::schema::attribute::{gauge, number};
use adaptors::net::KeepAlive;
use adaptors::tcp::{IdleLimits, Service};
use std::sync::Arc;

/// Live attributes of either.
pub(super) const COLUMNS: &[Column<Arc<Service>>] = &[
    ("bytesIn", |service| counter(service.read())),
    ("bytesOut", |service| counter(service.written())),
    ("connectionsOpened", |service| counter(service.opened())),
    ("connectionsClosed", |service| counter(service.closed())),
    ("connectionsTimedOut", |service| counter(service.timed_out())),
];

pub(super) const TIMED_OUT: Attribute = gauge("connectionsTimedOut", "Connections cut as they had carried nothing.");

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

/// Whether, and how, TCP probes the peer.
pub(super) fn keep_alive(a: &Attributes) -> Option<KeepAlive> {
    let interval = a.seconds(KEEP_ALIVE.name);
    let probes = u32::try_from(a.count(KEEP_ALIVE_PROBES.name)).unwrap_or(KeepAlive::PROBES_MAX);
    (!interval.is_zero()).then_some(KeepAlive { interval, probes })
}
