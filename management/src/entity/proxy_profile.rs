//! `proxyProfile`: an HTTP proxy that connectors name.

use super::{EntityKind, OTHERS, identity};
use crate::attributes::Attributes;
use crate::schema::EntityDef;
use crate::schema::attribute::{port, text};

static DEF: EntityDef = EntityDef {
    name: "proxyProfile",
    referential: true,
    operations: &["CREATE", "UPDATE", "DELETE"],
    description: "An HTTP proxy for connectors to go through.",
    attributes: &[
        text("host", "The host of the proxy.").create().update(),
        port("port", "The port of the proxy.").create().update(),
        text("username", "The user at the proxy.").create().update(),
        text("password", "The password at the proxy.").create().update().hidden(),
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
        Some(OTHERS)
    }

    fn own_id(&self, attributes: &Attributes) -> Option<String> {
        Some(identity::of(attributes, "name"))
    }
}
