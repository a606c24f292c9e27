//! `site`: a site record. Nothing comes of it yet: the record is published with the flow records.

use super::{EntityKind, OTHERS, identity};
use crate::attributes::Attributes;
use crate::schema::EntityDef;
use crate::schema::attribute::text;

static DEF: EntityDef = EntityDef {
    name: "site",
    description: "Has the router publish a site record of its own.",
    attributes: &[
        text("location", "The place of the site.").create(),
        text("provider", "Who hosts the site.").create(),
        text("version", "The version of the control plane.").create(),
        text("platform", "The platform of the site.").create(),
        text("namespace", "The namespace or user of the site.").create(),
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

    fn own_id(&self, _: &Attributes) -> Option<String> {
        Some(identity::NONE.to_owned())
    }
}
