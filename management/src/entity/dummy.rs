//! `dummy`: does nothing; lets management clients be tried out.

use super::{EntityKind, OTHERS};
use crate::schema::attribute::{number, text};
use crate::schema::{EntityDef, EntityType};

static DEF: EntityDef = EntityDef {
    name: "dummy",
    extends: Some(EntityType::Entity),
    operations: &["CREATE", "READ", "UPDATE", "DELETE", "CALLME"],
    description: "Does nothing; lets management clients be tried out.",
    attributes: &[
        text("arg1", "Any text.").create().update(),
        text("arg2", "Any other text.").create().update(),
        number("num1", "Any number.").create().update(),
        number("num2", "Any other number.").create().update(),
    ],
    ..EntityDef::ROOT
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
}
