//! What `httpListener` and `httpConnector` have in common.

use super::column::{Column, counter};
use crate::attributes::Attributes;
use crate::config::EntityConfig;
use crate::schema::Attribute;
use crate::schema::attribute::{flag, gauge, one_of, text};
use adaptors::http_service::{Aggregation, HttpVersion};
use adaptors::tcp::Service;
use router_engine::log::{Level, LogModule};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Live attributes of either.
pub(super) const COLUMNS: &[Column<Arc<Service>>] = &[
    ("connectionsOpened", |service| counter(service.opened())),
    ("connectionsClosed", |service| counter(service.closed())),
    ("requestsUnderWay", |service| counter(service.http().map_or(0, |(_, counters)| counters.under_way()))),
    ("requestsRetried", |service| {
        counter(service.http().map_or(0, |(_, counters)| counters.retried.load(Ordering::Relaxed)))
    }),
];

pub(super) const OPENED: Attribute = gauge("connectionsOpened", "Connections made.");

pub(super) const CLOSED: Attribute = gauge("connectionsClosed", "Connections that ended.");

pub(super) const UNDER_WAY: Attribute = gauge("requestsUnderWay", "Requests that have begun and not ended.");

pub(super) const RETRIED: Attribute = gauge("requestsRetried", "Requests sent once more, as their server had failed.");

pub(super) const SITE_ID: Attribute = text("siteId", "The name of the site, told with requests and answers.").create();

pub(super) const PROTOCOL_VERSION: Attribute =
    one_of("protocolVersion", &["HTTP1", "HTTP2"], "What is spoken at the socket.").or_text("HTTP1").create();

pub(super) const AGGREGATION: Attribute = one_of(
    "aggregation",
    &["multipart", "json"],
    "The answers of all servers of a multicast address become one (HTTP1 only).",
)
.create();

pub(super) const EVENT_CHANNEL: Attribute =
    flag("eventChannel", "Requests are events: they are answered when they have arrived (HTTP1 only).").create();

pub(super) fn version(a: &Attributes) -> HttpVersion {
    match a.text(PROTOCOL_VERSION.name) {
        Some("HTTP2") => HttpVersion::Http2,
        _ => HttpVersion::Http1,
    }
}

/// None for HTTP/2, which takes the attribute and does without.
pub(super) fn aggregation(a: &Attributes) -> Option<Aggregation> {
    match a.text(AGGREGATION.name) {
        _ if version(a) == HttpVersion::Http2 => None,
        Some("multipart") => Some(Aggregation::Multipart),
        Some("json") => Some(Aggregation::Json),
        _ => None,
    }
}

/// As with the aggregation.
pub(super) fn event_channel(a: &Attributes) -> bool {
    a.flag(EVENT_CHANNEL.name) && version(a) == HttpVersion::Http1
}

/// What is given and does nothing, and why.
pub(super) fn ignored(a: &Attributes) -> Vec<(&'static str, &'static str)> {
    let given =
        [(AGGREGATION.name, a.text(AGGREGATION.name).is_some()), (EVENT_CHANNEL.name, a.flag(EVENT_CHANNEL.name))];
    let without_effect = |given: &(_, bool)| given.1 && version(a) == HttpVersion::Http2;
    given.into_iter().filter(without_effect).map(|(name, _)| (name, "is of HTTP1 only")).collect()
}

/// Tells what is given and does nothing.
pub(super) fn warn_of_ignored(entity: &EntityConfig) {
    for (name, why) in ignored(&entity.attributes) {
        let (kind, of) = (entity.ty.short(), entity.name());
        router_engine::log!(LogModule::HttpAdaptor, Level::Warning, "{kind} {of}: '{name}' {why}, it has no effect");
    }
}
