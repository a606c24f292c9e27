//! `router.node`: a router of the network, this one included.

use super::{EntityKind, identity};
use crate::attributes::Attributes;
use crate::schema::EntityDef;
use crate::schema::attribute::{entity_id, list, number, text};

static DEF: EntityDef = EntityDef {
    name: "router.node",
    description: "A router of the network, this one included.",
    attributes: &[
        text("id", "The router id."),
        number("protocolVersion", "The version of the routing protocol it speaks."),
        number("instance", "Differs each time it starts."),
        list("linkState", "Its neighbours."),
        text("nextHop", "The neighbour on the way to it, or (self)."),
        list("validOrigins", "Routers whose multicast messages to it pass here."),
        text("address", "Its address."),
        entity_id("routerLink", "The direct link to it."),
        number("cost", "The cost of the way to it."),
        number("lastTopoChange", "When the topology changed last, in seconds since 1970."),
        number("index", "Its position in histograms."),
    ],
    ..EntityDef::OPERATIONAL
};

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn def(&self) -> &'static EntityDef {
        &DEF
    }

    fn own_id(&self, attributes: &Attributes) -> Option<String> {
        Some(identity::of(attributes, "id"))
    }
}
