//! `site`: a site record. Nothing comes of it yet: the record is published with the flow records.

use crate::schema::attribute::text;
use crate::schema::{EntityDef, Identity};

pub(super) static DEF: EntityDef = EntityDef {
    name: "site",
    identity: Identity::None,
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
