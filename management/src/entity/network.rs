//! `network`: which network and tenant the router belongs to.

use super::EntityKind;
use crate::schema::EntityDef;
use crate::schema::attribute::text;

static DEF: EntityDef = EntityDef {
    name: "network",
    singleton: true,
    operations: &["UPDATE"],
    description: "Which network and tenant the router belongs to.",
    attributes: &[
        text("networkId", "The id of the network.").create().update(),
        text("tenantId", "The id of the tenant on a shared network.").create(),
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
        Some(2)
    }
}
