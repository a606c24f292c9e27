//! What identities consist of behind the type (spec `management-protocol.md` 3.7).

use crate::attributes::Attributes;

/// Stands for what an entity does not have.
pub(super) const NONE: &str = "None";

/// The text of an attribute.
pub(super) fn of(attributes: &Attributes, name: &str) -> String {
    attributes.text(name).unwrap_or(NONE).to_owned()
}

/// The texts of two attributes, and the name where there is one.
pub(super) fn joined([first, second]: [&str; 2], attributes: &Attributes) -> String {
    let both = format!("{}:{}", of(attributes, first), of(attributes, second));
    match attributes.text("name") {
        Some(name) => format!("{both}:{name}"),
        None => both,
    }
}
