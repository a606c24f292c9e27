//! `routerMetrics`: totals of the running router.

use super::column::{Column, seconds};
use super::table::{Core, Key, Rows, Table, forbidden, paged};
use super::{EntityKind, EntityType};
use crate::agent::{Failure, Request, Response};
use crate::memory::{self, Usage};
use crate::schema::EntityDef;
use crate::schema::attribute::{gauge, map, text};
use amqp_core::Value;
use amqp_core::value::Map;
use router_engine::core::AutoLinkConfig;
use router_engine::core::snapshot::{Page, RouterRow};

pub(super) static DEF: EntityDef = EntityDef {
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

/// The type column is a name from long ago.
const OLD_TYPE: &str = "org.apache.qpid.dispatch.routerMetrics";

/// Figures of the router.
pub(super) struct Metrics {
    row: RouterRow,
    id: String,
    auto_links: usize,
    usage: Option<Usage>,
}

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn table(&self) -> Option<&'static dyn Table> {
        Some(&Self)
    }
}

impl Rows for Kind {
    type Row = Metrics;

    const TYPE: EntityType = EntityType::RouterMetrics;

    const COLUMNS: &'static [Column<Metrics>] = &[
        ("identity", |_| "1".into()),
        ("type", |_| OLD_TYPE.into()),
        ("id", |m| m.id.as_str().into()),
        ("addrCount", |m| size(m.row.addresses)),
        ("linkCount", |m| size(m.row.links)),
        ("nodeCount", |m| size(m.row.nodes)),
        ("autoLinkCount", |m| size(m.auto_links)),
        ("connectionCount", |m| size(m.row.connections)),
        ("presettledDeliveries", |m| Value::Ulong(m.row.totals.outcomes.presettled)),
        ("droppedPresettledDeliveries", |m| Value::Ulong(m.row.totals.outcomes.dropped_presettled)),
        ("acceptedDeliveries", |m| Value::Ulong(m.row.totals.outcomes.accepted)),
        ("rejectedDeliveries", |m| Value::Ulong(m.row.totals.outcomes.rejected)),
        ("releasedDeliveries", |m| Value::Ulong(m.row.totals.outcomes.released)),
        ("modifiedDeliveries", |m| Value::Ulong(m.row.totals.outcomes.modified)),
        ("deliveriesDelayed1Sec", |m| Value::Ulong(m.row.totals.outcomes.delayed_1sec)),
        ("deliveriesDelayed10Sec", |m| Value::Ulong(m.row.totals.outcomes.delayed_10sec)),
        ("deliveriesStuck", |m| Value::Ulong(m.row.totals.outcomes.stuck)),
        ("deliveriesIngress", |m| Value::Ulong(m.row.totals.ingress)),
        ("deliveriesEgress", |m| Value::Ulong(m.row.totals.egress)),
        ("deliveriesTransit", |m| Value::Ulong(m.row.totals.transit)),
        ("deliveriesIngressRouteContainer", |m| Value::Ulong(m.row.totals.ingress_route_container)),
        ("deliveriesEgressRouteContainer", |m| Value::Ulong(m.row.totals.egress_route_container)),
        ("deliveriesIngressInterNetwork", |m| Value::Ulong(m.row.totals.ingress_inter_network)),
        ("deliveriesEgressInterNetwork", |m| Value::Ulong(m.row.totals.egress_inter_network)),
        ("deliveriesRedirectedToFallback", |_| Value::Ulong(0)),
        ("linksBlocked", |m| Value::Uint(m.row.totals.links_blocked)),
        ("uptimeSeconds", |m| seconds(m.row.uptime)),
        ("memoryUsage", |m| m.usage.map(|usage| usage.total).into()),
        ("residentMemoryUsage", |m| m.usage.map(|usage| usage.resident).into()),
        ("connectionCounters", |m| service_connections(&m.row).into_iter().collect::<Map>().into()),
        ("version", |_| router_engine::VERSION.into()),
    ];

    fn page(&self, core: &Core<'_>, page: Page) -> Vec<Metrics> {
        let metrics = Metrics {
            row: core.backend.totals(),
            id: core.backend.router_id(),
            auto_links: core.numbered.all::<AutoLinkConfig>().count(),
            usage: memory::usage(),
        };
        paged(std::iter::once(metrics), page)
    }

    /// They can only be queried.
    fn find(&self, _: &Core<'_>, _: Key<'_>) -> Option<Metrics> {
        None
    }

    fn read_row(&self, _: &Core<'_>, _: &Request) -> Result<Response, Failure> {
        Ok(forbidden(Value::Null))
    }
}

fn size(number: usize) -> Value {
    Value::Ulong(number as u64)
}

/// Connections that serve clients, by protocol.
pub(crate) fn service_connections(row: &RouterRow) -> [(&'static str, u64); 4] {
    let count = |protocol: &str| row.services.iter().find(|(p, _)| *p == protocol).map_or(0, |(_, count)| *count);
    ["tcp", "amqp", "http1", "http2"].map(|protocol| (protocol, count(protocol)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::table::row_map;
    use crate::notation::Literal;
    use std::time::Duration;

    fn metrics() -> Metrics {
        let mut row = RouterRow {
            connections: 5,
            services: vec![("amqp", 40), ("tcp", 50), ("other", 60)],
            links: 2,
            addresses: 1,
            nodes: 3,
            uptime: Duration::from_secs(70),
            ..RouterRow::default()
        };
        let o = &mut row.totals.outcomes;
        (o.presettled, o.dropped_presettled, o.accepted, o.rejected) = (6, 7, 8, 9);
        (o.released, o.modified, o.delayed_1sec, o.delayed_10sec) = (10, 11, 12, 13);
        let t = &mut row.totals;
        (t.ingress, t.egress, t.transit, t.ingress_route_container, t.egress_route_container) = (14, 15, 16, 17, 18);
        (t.ingress_inter_network, t.egress_inter_network) = (23, 24);
        (t.outcomes.stuck, t.links_blocked) = (21, 22);
        Metrics { row, id: "R".to_owned(), auto_links: 4, usage: Some(Usage { total: 20, resident: 19 }) }
    }

    #[test]
    fn all_columns() {
        assert_eq!(
            Literal(&row_map::<Kind>(&metrics()).into()).to_string(),
            format!(
                "{{'identity': '1', 'type': 'org.apache.qpid.dispatch.routerMetrics', 'id': 'R', 'addrCount': 1, \
                 'linkCount': 2, 'nodeCount': 3, 'autoLinkCount': 4, 'connectionCount': 5, 'presettledDeliveries': 6, \
                 'droppedPresettledDeliveries': 7, 'acceptedDeliveries': 8, 'rejectedDeliveries': 9, \
                 'releasedDeliveries': 10, 'modifiedDeliveries': 11, 'deliveriesDelayed1Sec': 12, \
                 'deliveriesDelayed10Sec': 13, 'deliveriesStuck': 21, 'deliveriesIngress': 14, 'deliveriesEgress': 15, \
                 'deliveriesTransit': 16, 'deliveriesIngressRouteContainer': 17, 'deliveriesEgressRouteContainer': 18, \
                 'deliveriesIngressInterNetwork': 23, 'deliveriesEgressInterNetwork': 24, \
                 'deliveriesRedirectedToFallback': 0, 'linksBlocked': 22, 'uptimeSeconds': 70, 'memoryUsage': 20, \
                 'residentMemoryUsage': 19, 'connectionCounters': {{'tcp': 50, 'amqp': 40, 'http1': 0, 'http2': 0}}, \
                 'version': '{}'}}",
                router_engine::VERSION
            )
        );
    }

    #[test]
    fn memory_that_the_system_does_not_tell_shows_as_nothing() {
        let row = row_map::<Kind>(&Metrics { usage: None, ..metrics() });
        assert_eq!([row.get("memoryUsage"), row.get("residentMemoryUsage")], [Some(&Value::Null); 2]);
    }
}
