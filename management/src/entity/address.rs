//! `router.address`: an address that the router knows.

use super::EntityKind;
use crate::schema::EntityDef;
use crate::schema::attribute::{flag, gauge, list, number, one_of, text};

static DEF: EntityDef = EntityDef {
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
    fn def(&self) -> &'static EntityDef {
        &DEF
    }
}
