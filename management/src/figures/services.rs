//! What listeners and connectors of services carry, with whom, and how long that takes.

use super::Kind::{Counter, Gauge, Histogram};
use super::{Figure, Label, Sink, Value, figure, tell as tell_rows, whole};
use adaptors::tcp::{PEERS_MAX, PEERS_PER_SERVICE, Peer, Service};
use router_engine::exchange::Role;
use std::sync::Arc;

/// The bounds are told in the text of the families: scrapers have no other place for them.
const _: () = assert!(PEERS_PER_SERVICE == 64 && PEERS_MAX == 10_000);

const SERVICES: &[Figure<Arc<Service>>] = &[
    figure(
        Gauge,
        "skrouter_service_up",
        "Whether a tcpListener or httpListener listens (which it does while its address can be reached), or a \
         tcpConnector takes connections, or the server of an httpConnector can be reached.",
        |service| whole(service.is_up().into()),
    ),
    figure(
        Gauge,
        "skrouter_service_healthy",
        "Whether the server of a connector is offered, by its health checks and ejections; of those that have any.",
        |service| service.health().and_then(|health| whole(health.is_available().into())),
    ),
    figure(Counter, "skrouter_service_health_checks_total", "Health checks of a server.", |service| {
        service.health().and_then(|health| whole(health.checks()))
    }),
    figure(
        Counter,
        "skrouter_service_health_check_failures_total",
        "Health checks of a server that failed.",
        |service| service.health().and_then(|health| whole(health.failed_checks())),
    ),
    figure(
        Counter,
        "skrouter_service_ejections_total",
        "How often a server was offered no more for a while as connections to it had failed.",
        |service| service.health().and_then(|health| whole(health.ejections())),
    ),
    figure(
        Gauge,
        "skrouter_service_connections",
        "Connections of clients to a listener, or to the server of a connector, that are open now.",
        |service| whole(service.flows_opened().saturating_sub(service.closed())),
    ),
    figure(Counter, "skrouter_service_connections_opened_total", "Connections that were opened.", |service| {
        whole(service.flows_opened())
    }),
    figure(Counter, "skrouter_service_connections_closed_total", "Connections that have ended.", |service| {
        whole(service.closed())
    }),
    figure(
        Counter,
        "skrouter_service_connections_timed_out_total",
        "Connections of a tcpListener or tcpConnector that were cut as they had carried nothing for too long.",
        |service| whole(service.timed_out()),
    ),
    figure(
        Counter,
        "skrouter_service_connections_refused_total",
        "Connections that were refused: of clients that may not use the service, and beyond its limits.",
        |service| whole(service.refused()),
    ),
    figure(
        Counter,
        "skrouter_service_received_bytes_total",
        "Bytes from the clients of a listener or the servers of a connector.",
        |service| whole(service.read()),
    ),
    figure(
        Counter,
        "skrouter_service_sent_bytes_total",
        "Bytes to the clients of a listener or the servers of a connector.",
        |service| whole(service.written()),
    ),
    figure(
        Histogram,
        "skrouter_service_connection_setup_seconds",
        "Of a tcpListener, the time from accepting a client until its server was connected; of a connector, what TCP \
         took to connect to the server.",
        |service| service.times().setup.snapshot().map(Value::Times),
    ),
    figure(
        Histogram,
        "skrouter_service_first_byte_seconds",
        "Of TCP services, the time from the first byte of a client until the first of the answer; not of servers that \
         speak first.",
        |service| service.times().first_octet.snapshot().map(Value::Times),
    ),
    figure(
        Histogram,
        "skrouter_service_connection_duration_seconds",
        "How long connections have lasted that are over.",
        |service| service.times().duration.snapshot().map(Value::Times),
    ),
];

const PEERS: &[Figure<Arc<Peer>>] = &[
    figure(
        Gauge,
        "skrouter_service_peer_connections",
        "Connections that are open now, by the router at their other end; at most 64 routers of a service are told \
         apart, and 10000 pairs of all services, the rest is other. The name is empty where the router is not known, and of HTTP services.",
        |peer| whole(peer.opened().saturating_sub(peer.closed())),
    ),
    figure(
        Counter,
        "skrouter_service_peer_connections_opened_total",
        "Connections that were opened, by the router at their other end; counted once that is known, or at their end.",
        |peer| whole(peer.opened()),
    ),
    figure(
        Counter,
        "skrouter_service_peer_received_bytes_total",
        "Bytes from clients or servers here, by the router at the other end of their connections.",
        |peer| whole(peer.read()),
    ),
    figure(
        Counter,
        "skrouter_service_peer_sent_bytes_total",
        "Bytes to clients or servers here, by the router at the other end of their connections.",
        |peer| whole(peer.written()),
    ),
];

pub(super) fn tell(services: &[Arc<Service>], sink: &mut dyn Sink) {
    let rows: Vec<_> = services.iter().map(|service| (labels(service), Arc::clone(service))).collect();
    tell_rows(sink, SERVICES, &rows);
    let peers: Vec<_> = services.iter().flat_map(|s| s.peers().into_iter().map(move |peer| (s, peer))).collect();
    let rows: Vec<_> = peers.iter().map(|(service, peer)| (peer_labels(service, peer), Arc::clone(peer))).collect();
    tell_rows(sink, PEERS, &rows);
}

fn peer_labels<'a>(service: &'a Service, peer: &'a Peer) -> Vec<Label<'a>> {
    let mut labels = labels(service);
    labels.push(("peer", peer.name().into()));
    labels
}

pub(super) fn labels(service: &Service) -> Vec<Label<'_>> {
    let label = service.label();
    let role = match label.role {
        Role::Requester => "listener",
        Role::Responder => "connector",
    };
    let [name, address] = [&label.name, &label.address].map(|text| text.as_str().into());
    // And room for another one.
    let mut labels = Vec::with_capacity(4);
    labels.extend([("role", role.into()), ("name", name), ("address", address)]);
    // Listeners of TCP and of HTTP may have the same name.
    labels.extend(service.http().map(|(version, _)| ("protocol", version.protocol().into())));
    labels
}
