//! `listenerAddress`: one of the addresses of a `tcpListener` that has several.

use super::{EntityKind, identity};
use crate::attributes::Attributes;
use crate::schema::EntityDef;
use crate::schema::attribute::{number, text};

static DEF: EntityDef = EntityDef {
    name: "listenerAddress",
    operations: &["CREATE", "DELETE"],
    description: "One of the addresses of a tcpListener that has several.",
    attributes: &[
        text("address", "The service address.").required().create(),
        number("value", "Its priority or weight.").required().create(),
        text("listener", "The name of the tcpListener.").required().create(),
        number("connectionsOpened", "Connections carried to this address."),
    ],
    ..EntityDef::CONFIGURATION
};

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn def(&self) -> &'static EntityDef {
        &DEF
    }

    fn boot_rank(&self) -> Option<u8> {
        Some(13)
    }

    fn own_id(&self, attributes: &Attributes) -> Option<String> {
        Some(identity::joined(["listener", "address"], attributes))
    }
}
