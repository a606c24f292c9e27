//! The connections to other routers of the network.

use super::Kind::{Counter, Gauge};
use super::{Figure, Sink, figure, seconds, tell as tell_rows, whole};
use adaptors::amqp::{RoundTrip, round_trips};
use router_engine::Router;
use router_engine::core::PeerTraffic;
use std::sync::Arc;

const LINKS: &[Figure<Arc<PeerTraffic>>] = &[
    figure(
        Gauge,
        "skrouter_link_connections",
        "Connections to another router that are open now; 0 when it is lost.",
        |link| whole(link.opened().saturating_sub(link.closed())),
    ),
    figure(
        Counter,
        "skrouter_link_connections_opened_total",
        "Connections to another router that were opened.",
        |link| whole(link.opened()),
    ),
    figure(
        Counter,
        "skrouter_link_connections_lost_total",
        "Connections to another router that have ended without being closed in good order.",
        |link| whole(link.lost()),
    ),
    figure(Counter, "skrouter_link_received_bytes_total", "Bytes from another router, without those of TLS.", |link| {
        whole(link.received())
    }),
    figure(Counter, "skrouter_link_sent_bytes_total", "Bytes to another router, without those of TLS.", |link| {
        whole(link.sent())
    }),
];

const COSTS: &[Figure<u32>] =
    &[figure(Gauge, "skrouter_link_cost", "The cost of the connection to a neighbour.", |cost| whole((*cost).into()))];

const ROUND_TRIPS: &[Figure<RoundTrip>] = &[figure(
    Gauge,
    "skrouter_link_round_trip_seconds",
    "The way to another router and back, as TCP has measured and smoothed it on a connection.",
    |trip| seconds(trip.time),
)];

pub(super) fn tell(router: &Arc<Router>, sink: &mut dyn Sink) {
    let traffic = router.peer_traffic();
    let links = traffic.iter().map(|link| {
        let labels = vec![("peer", link.peer().into()), ("role", link.role().name().into())];
        (labels, Arc::clone(link))
    });
    tell_rows(sink, LINKS, &links.collect::<Vec<_>>());
    let costs = router.neighbour_costs().into_iter().map(|(peer, cost)| (vec![("peer", peer.into())], cost));
    tell_rows(sink, COSTS, &costs.collect::<Vec<_>>());
    let trips = round_trips(router).into_iter().map(|trip| {
        let connection = trip.connection.to_string().into();
        let (peer, role) = (trip.peer.peer().to_owned(), trip.peer.role().name());
        let labels = vec![("peer", peer.into()), ("role", role.into()), ("connection", connection)];
        (labels, trip)
    });
    tell_rows(sink, ROUND_TRIPS, &trips.collect::<Vec<_>>());
}
