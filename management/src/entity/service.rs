//! What listeners and connectors of services have in common, those of TCP and those of HTTP.

use crate::attributes::Attributes;
use crate::error::RouterError;
use crate::schema::Attribute;
use crate::schema::attribute::number;

pub(super) const BACKLOG: Attribute =
    number("backlog", "Connections that may wait to be taken; 0 is what the system allows.").or_number(0).create();

/// Out of range is the system's limit, for which zero stands.
pub(super) fn backlog(a: &Attributes) -> u32 {
    a.number(BACKLOG.name).and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
}

/// An attribute that the schema does not require, but sockets do.
pub(super) fn needed(a: &Attributes, name: &str) -> Result<String, RouterError> {
    a.owned(name).ok_or_else(|| RouterError::python(format!("KeyError: ('{name}',)")).of_attributes())
}
