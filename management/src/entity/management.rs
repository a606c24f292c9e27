//! `management`: the management node itself.

use crate::schema::{EntityDef, EntityType, Identity};

pub(super) static DEF: EntityDef = EntityDef {
    name: "management",
    extends: Some(EntityType::AmqpManagement),
    singleton: true,
    operations: &["GET-SCHEMA", "GET-JSON-SCHEMA", "GET-LOG", "PROFILE"],
    identity: Identity::Text("self"),
    description: "The management node, with the operations that this router adds.",
    ..EntityDef::ROOT
};
