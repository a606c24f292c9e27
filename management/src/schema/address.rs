//! Addresses, their configuration, and auto-links.

use super::attribute::{flag, gauge, list, number, one_of, text};
use super::entity_type::{EntityDef, EntityType};
use super::router::DISTRIBUTIONS;

pub(super) static CONFIG_ADDRESS: EntityDef = EntityDef {
    name: "router.config.address",
    extends: Some(EntityType::ConfigurationEntity),
    singleton: false,
    referential: false,
    operations: &["CREATE", "DELETE"],
    description: "How messages to a family of addresses are treated.",
    attributes: &[
        text("prefix", "Covers the address and all below it.").create(),
        text("pattern", "Covers addresses that match, with * for one token and # for any number.").create(),
        one_of("distribution", DISTRIBUTIONS, "Which consumers get a message.").or_text("balanced").create(),
        number("priority", "The priority of messages that carry none.").create(),
    ],
};

pub(super) static AUTO_LINK: EntityDef = EntityDef {
    name: "router.config.autoLink",
    extends: Some(EntityType::ConfigurationEntity),
    singleton: false,
    referential: false,
    operations: &["CREATE", "DELETE"],
    description: "A link that the router attaches whenever a certain peer is connected.",
    attributes: &[
        text("address", "The address inside the network.").create(),
        one_of("direction", &["in", "out"], "Whether the router receives or sends.").required().create(),
        text("containerId", "The container id of the peer.").create(),
        text("connection", "The name of the listener or connector of the peer.").create(),
        text("externalAddress", "The address at the peer, when another.").create(),
        text("linkRef", "The link that is attached."),
        one_of(
            "operStatus",
            &["inactive", "attaching", "failed", "active", "quiescing", "idle"],
            "How the link stands.",
        ),
        text("lastError", "Why the last attempt failed."),
    ],
};

pub(super) static ADDRESS: EntityDef = EntityDef {
    name: "router.address",
    extends: Some(EntityType::OperationalEntity),
    singleton: false,
    referential: false,
    operations: &[],
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
};
