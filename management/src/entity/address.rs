//! `router.address`: an address that the router knows.

use super::column::{Column, counter};
use super::table::{Core, Key, Rows, Table, not_implemented};
use super::{EntityKind, EntityType};
use crate::agent::{Request, Response};
use crate::schema::EntityDef;
use crate::schema::attribute::{flag, gauge, list, number, one_of, text};
use amqp_core::Value;
use router_engine::core::snapshot::{AddressRow, Page};

pub(super) static DEF: EntityDef = EntityDef {
    name: "router.address",
    description: "An address that the router knows.",
    attributes: &[
        one_of(
            "distribution",
            &["flood", "multicast", "closest", "balanced", "linkBalanced", "unavailable"],
            "Which consumers get a message.",
        ),
        number("inProcess", "Consumers inside the router."),
        gauge("subscriberCount", "Consumers attached to this router."),
        gauge("remoteCount", "Other routers with consumers."),
        gauge("containerCount", "Always absent."),
        gauge("deliveriesIngress", "Deliveries that entered the network here."),
        gauge("deliveriesEgress", "Deliveries that left the network here."),
        gauge("deliveriesTransit", "Deliveries handed on to another router."),
        gauge("deliveriesToContainer", "Deliveries to consumers inside the router."),
        gauge("deliveriesFromContainer", "Deliveries from inside the router."),
        gauge("deliveriesIngressRouteContainer", "Deliveries that entered from route containers."),
        gauge("deliveriesEgressRouteContainer", "Deliveries that left to route containers."),
        gauge("deliveriesIngressInterNetwork", "Deliveries that entered from another network."),
        gauge("deliveriesEgressInterNetwork", "Deliveries that left to another network."),
        text("key", "A letter for the class of the address, and the address."),
        list("remoteHostRouters", "The routers behind remoteCount."),
        list("transitOutstanding", "Unsettled deliveries by next router, for balanced addresses."),
        number("trackedDeliveries", "Deliveries in transit whose settlement is awaited."),
        number("priority", "The configured priority; -1 is none."),
        flag("watch", "Something in the router watches the address."),
    ],
    ..EntityDef::OPERATIONAL
};

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn table(&self) -> Option<&'static dyn Table> {
        Some(&Self)
    }
}

impl Rows for Kind {
    type Row = AddressRow;

    const TYPE: EntityType = EntityType::Address;

    const COLUMNS: &'static [Column<AddressRow>] = &[
        ("name", |a| a.key.as_str().into()),
        ("identity", |a| a.key.as_str().into()),
        ("type", |_| Self::TYPE.full().into()),
        ("key", |a| a.key.as_str().into()),
        ("distribution", |a| a.treatment.as_str().into()),
        ("inProcess", |a| Value::Uint(a.in_process)),
        ("subscriberCount", |a| Value::Uint(a.subscribers)),
        ("remoteCount", |a| Value::Uint(u32::try_from(a.remotes.len()).unwrap_or(u32::MAX))),
        ("remoteHostRouters", |a| Value::List(a.remotes.iter().map(|id| id.as_str().into()).collect())),
        ("deliveriesIngress", |a| Value::Ulong(a.counters.ingress)),
        ("deliveriesEgress", |a| Value::Ulong(a.counters.egress)),
        ("deliveriesTransit", |a| Value::Ulong(a.counters.transit)),
        ("deliveriesToContainer", |a| Value::Ulong(a.counters.to_container)),
        ("deliveriesFromContainer", |a| Value::Ulong(a.counters.from_container)),
        ("deliveriesEgressRouteContainer", |a| Value::Ulong(a.counters.egress_route_container)),
        ("deliveriesIngressRouteContainer", |a| Value::Ulong(a.counters.ingress_route_container)),
        ("deliveriesEgressInterNetwork", |a| Value::Ulong(a.counters.egress_inter_network)),
        ("deliveriesIngressInterNetwork", |a| Value::Ulong(a.counters.ingress_inter_network)),
        ("transitOutstanding", outstanding),
        ("trackedDeliveries", |a| Value::Long(a.tracked.into())),
        ("priority", |a| Value::Int(a.priority.map_or(-1, i32::from))),
        ("deliveriesRedirectedToFallback", |_| Value::Ulong(0)),
        ("watch", |a| a.watched.into()),
    ];

    fn page(&self, core: &Core<'_>, page: Page) -> Vec<AddressRow> {
        core.backend.addresses(page)
    }

    fn find(&self, core: &Core<'_>, (Key::Identity(key) | Key::Name(key)): Key<'_>) -> Option<AddressRow> {
        core.backend.address(key)
    }

    fn create_row(&self, _: &mut Core<'_>, _: &Request) -> Response {
        not_implemented(Self::TYPE, "CREATE")
    }

    fn update_row(&self, _: &mut Core<'_>, _: &Request) -> Response {
        not_implemented(Self::TYPE, "UPDATE")
    }

    fn delete_row(&self, _: &mut Core<'_>, _: &Request) -> Response {
        not_implemented(Self::TYPE, "DELETE")
    }
}

/// Unsettled deliveries by the index of the neighbour.
fn outstanding(address: &AddressRow) -> Value {
    let shown = |counts: &Vec<u64>| Value::List(counts.iter().map(|&count| counter(count)).collect());
    address.outstanding.as_ref().map_or(Value::Null, shown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::fake::address;
    use crate::entity::table::row_map;
    use crate::notation::Literal;
    use router_engine::forward::Treatment;

    #[test]
    fn unavailable_addresses_say_so() {
        let row = AddressRow { treatment: Treatment::Unavailable, ..address("Ma") };
        assert_eq!(row_map::<Kind>(&row).get("distribution").and_then(Value::as_str), Some("unavailable"));
    }

    #[test]
    fn all_columns() {
        let mut row = AddressRow { priority: Some(3), in_process: 1, subscribers: 2, tracked: 4, ..address("Ma") };
        row.watched = true;
        let c = &mut row.counters;
        (c.ingress, c.egress, c.transit, c.to_container, c.from_container) = (5, 6, 7, 8, 9);
        (c.ingress_route_container, c.egress_route_container) = (10, 11);
        (c.ingress_inter_network, c.egress_inter_network) = (12, 13);
        assert_eq!(
            Literal(&row_map::<Kind>(&row).into()).to_string(),
            "{'name': 'Ma', 'identity': 'Ma', 'type': 'io.skupper.router.router.address', 'key': 'Ma', 'distribution': \
             'balanced', 'inProcess': 1, 'subscriberCount': 2, 'remoteCount': 1, 'remoteHostRouters': ['R2'], \
             'deliveriesIngress': 5, 'deliveriesEgress': 6, 'deliveriesTransit': 7, 'deliveriesToContainer': 8, \
             'deliveriesFromContainer': 9, 'deliveriesEgressRouteContainer': 11, 'deliveriesIngressRouteContainer': 10, \
             'deliveriesEgressInterNetwork': 13, 'deliveriesIngressInterNetwork': 12, 'transitOutstanding': None, \
             'trackedDeliveries': 4, 'priority': 3, 'deliveriesRedirectedToFallback': 0, 'watch': True}"
        );
        let none = row_map::<Kind>(&AddressRow { priority: None, outstanding: Some(vec![0, 12]), ..row });
        assert_eq!(none.get("priority"), Some(&Value::Int(-1)));
        assert_eq!(none.get("transitOutstanding"), Some(&Value::List(vec![Value::Long(0), Value::Long(12)])));
    }
}
