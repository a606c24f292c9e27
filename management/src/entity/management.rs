//! `management`: the management node itself.

use super::EntityKind;
use crate::attributes::Attributes;
use crate::schema::{EntityDef, EntityType};

static DEF: EntityDef = EntityDef {
    name: "management",
    extends: Some(EntityType::AmqpManagement),
    singleton: true,
    operations: &["GET-SCHEMA", "GET-JSON-SCHEMA", "GET-LOG", "PROFILE"],
    description: "The management node, with the operations that this router adds.",
    ..EntityDef::ROOT
};

/// See the module documentation.
pub(super) struct Kind;

impl EntityKind for Kind {
    fn def(&self) -> &'static EntityDef {
        &DEF
    }

    fn own_id(&self, _: &Attributes) -> Option<String> {
        Some("self".to_owned())
    }

    fn identity(&self, _prefix: &str, own_id: &str) -> String {
        own_id.to_owned()
    }
}
