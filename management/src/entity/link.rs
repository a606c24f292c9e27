//! `router.link`: a link that is attached to the router.

use super::EntityKind;
use crate::schema::EntityDef;
use crate::schema::attribute::{gauge, list, number, one_of, text};

static DEF: EntityDef = EntityDef {
    name: "router.link",
    description: "A link that is attached to the router.",
    attributes: &[
        one_of("operStatus", &["up", "down", "quiescing", "idle"], "How the link stands."),
        text("linkName", "The name that the attaching end chose."),
        one_of("linkType", &["endpoint", "router-control", "inter-router", "inter-edge"], "What the link carries."),
        one_of("linkDir", &["in", "out"], "Whether the router receives or sends."),
        text("owningAddr", "The key of the address that the link belongs to."),
        number("capacity", "The credit that the link is given at most."),
        gauge("undeliveredCount", "Deliveries not sent yet."),
        gauge("unsettledCount", "Deliveries that wait for settlement."),
        gauge("deliveryCount", "Deliveries so far."),
        number("connectionId", "The identity of the connection."),
        gauge("presettledCount", "Deliveries that came settled."),
        gauge("droppedPresettledCount", "Settled deliveries thrown away."),
        gauge("acceptedCount", "Deliveries that ended accepted."),
        gauge("rejectedCount", "Deliveries that ended rejected."),
        gauge("releasedCount", "Deliveries that ended released."),
        gauge("modifiedCount", "Deliveries that ended modified."),
        gauge("deliveriesDelayed1Sec", "Deliveries whose settlement took from 1 to 10 seconds."),
        gauge("deliveriesDelayed10Sec", "Deliveries whose settlement took more than 10 seconds."),
        gauge("deliveriesStuck", "Deliveries that wait for settlement for more than 10 seconds now."),
        gauge("openMovedStreams", "Streams under way that were moved to a link of their own."),
        gauge("creditAvailable", "Credit left."),
        number("zeroCreditSeconds", "How long there has been no credit."),
        gauge("settleRate", "Settlements per second lately."),
        list("ingressHistogram", "Deliveries by the router where they entered."),
        number("priority", "The priority of the messages on an inter-router link."),
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
