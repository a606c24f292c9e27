//! The one table of entity types and attributes.
//!
//! Everything that knows the schema derives from the statics below: validation and defaults
//! ([`validate`]), the GET-SCHEMA family ([`dump`]), configuration files and the command line tools.
//! Order matters: it is the order of GET-TYPES, GET-ATTRIBUTES and of QUERY columns.

mod address;
mod amqp;
mod attribute;
mod base;
pub mod dump;
mod entity_type;
mod logging;
mod operational;
mod policy;
mod router;
mod tcp;
pub mod validate;

#[cfg(test)]
mod tests;

pub use attribute::{Attribute, Default, ValueType};
pub use entity_type::{EntityDef, EntityType};

/// What full type names begin with; a dot follows.
pub const PREFIX: &str = "io.skupper.router";
