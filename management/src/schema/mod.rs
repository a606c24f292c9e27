//! The one table of entity types and attributes.
//!
//! Everything that knows the schema derives from the declarations in the rooms of `entity`: validation and
//! defaults ([`validate`]), the GET-SCHEMA family ([`dump`]), configuration files and the command line tools.
//! Order matters: it is the order of GET-TYPES, GET-ATTRIBUTES and of QUERY columns.

pub(crate) mod attribute;
pub mod dump;
mod entity_type;
pub mod validate;

#[cfg(test)]
mod tests;

pub use crate::entity::EntityType;
pub use attribute::{Attribute, Default, ValueType};
pub(crate) use entity_type::OTHERS;
pub use entity_type::{EntityDef, Identity, Origin};

/// What full type names begin with; a dot follows.
pub const PREFIX: &str = "io.skupper.router";
