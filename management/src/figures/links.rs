//! The connections to other routers of the network.

use super::Kind::{Counter, Gauge};
use super::{Figure, Sink, figure, seconds, tell as tell_rows, whole};
use adaptors::amqp::{RoundTrip, round_trips};
use router_engine::Router;
use router_engine::core::PeerTraffic;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

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

const ROUND_TRIPS: &[Figure<Duration>] = &[figure(
    Gauge,
    "skrouter_link_round_trip_seconds",
    "The way to another router and back, as TCP has measured and smoothed it; of several connections the shortest.",
    |time| seconds(*time),
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
    let mut shortest = BTreeMap::<_, Duration>::new();
    for RoundTrip { peer, time, .. } in round_trips(router) {
        let known = shortest.entry((peer.peer().to_owned(), peer.role().name())).or_insert(time);
        *known = (*known).min(time);
    }
    let trips =
        shortest.into_iter().map(|((peer, role), time)| (vec![("peer", peer.into()), ("role", role.into())], time));
    tell_rows(sink, ROUND_TRIPS, &trips.collect::<Vec<_>>());
}
