//! `routerMetrics`: totals of the running router.

use super::EntityKind;
use crate::schema::EntityDef;
use crate::schema::attribute::{gauge, map, text};

static DEF: EntityDef = EntityDef {
    name: "routerMetrics",
    description: "Totals of the running router.",
    attributes: &[
        text("id", "The router id, configured or generated.").create(),
        text("version", "The release that runs."),
        gauge("addrCount", "Addresses in the table."),
        gauge("linkCount", "Attached links."),
        gauge("nodeCount", "Other routers that can be reached."),
        gauge("autoLinkCount", "Auto-links in the configuration."),
        gauge("connectionCount", "Open connections."),
        gauge("presettledDeliveries", "Deliveries that came settled."),
        gauge("droppedPresettledDeliveries", "Settled deliveries thrown away because a receiver was slow."),
        gauge("acceptedDeliveries", "Deliveries that ended accepted."),
        gauge("rejectedDeliveries", "Deliveries that ended rejected."),
        gauge("releasedDeliveries", "Deliveries that ended released."),
        gauge("modifiedDeliveries", "Deliveries that ended modified."),
        gauge("deliveriesIngress", "Deliveries that entered the network at this router."),
        gauge("deliveriesEgress", "Deliveries that left the network at this router."),
        gauge("deliveriesTransit", "Deliveries handed on to another router."),
        gauge("deliveriesIngressRouteContainer", "Deliveries that entered from route containers."),
        gauge("deliveriesEgressRouteContainer", "Deliveries that left to route containers."),
        gauge("deliveriesIngressInterNetwork", "Deliveries that entered from another network."),
        gauge("deliveriesEgressInterNetwork", "Deliveries that left to another network."),
        gauge("residentMemoryUsage", "Resident memory of the process in octets."),
        gauge("memoryUsage", "Virtual memory of the process in octets."),
        gauge("uptimeSeconds", "Seconds since the router started."),
        gauge("deliveriesStuck", "Deliveries that wait for settlement for more than 10 seconds now."),
        gauge("deliveriesDelayed10Sec", "Deliveries whose settlement took more than 10 seconds."),
        gauge("deliveriesDelayed1Sec", "Deliveries whose settlement took from 1 to 10 seconds."),
        map("connectionCounters", "Open service connections by protocol."),
    ],
    ..EntityDef::OPERATIONAL
};

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn def(&self) -> &'static EntityDef {
        &DEF
    }
}
