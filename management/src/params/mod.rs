//! Typed parameters of configuration entities.
//!
//! Each type is made from a validated entity with `TryFrom<&EntityConfig>`; what the schema cannot
//! express is checked there. Whoever opens sockets takes these, never raw attributes.

mod address;

#[cfg(test)]
mod tests;

pub use address::{AddressParams, AutoLinkDirection, AutoLinkParams, MAX_PRIORITY};

use crate::attributes::Attributes;

fn owned(attributes: &Attributes, name: &str) -> Option<String> {
    attributes.text(name).map(str::to_owned)
}
