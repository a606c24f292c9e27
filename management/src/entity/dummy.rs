//! `dummy`: does nothing; lets management clients be tried out.

use crate::schema::attribute::{number, text};
use crate::schema::{EntityDef, EntityType};

pub(super) static DEF: EntityDef = EntityDef {
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
    ..EntityDef::CONFIGURATION
};
