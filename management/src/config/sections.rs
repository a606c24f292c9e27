//! From parsed sections to entities with complete attributes.

use super::EntityConfig;
use crate::attributes::Attributes;
use crate::schema::{EntityType, PREFIX, ValueType, validate};
use amqp_core::Value;
use amqp_core::value::Map;

/// The entities in a list of `[name, {attributes}]`.
pub(super) fn entities(value: Value) -> Result<Vec<EntityConfig>, String> {
    let Value::List(sections) = value else {
        return Err("a configuration is a list of [name, {attributes}]".to_owned());
    };
    sections.into_iter().map(section).collect()
}

fn section(value: Value) -> Result<EntityConfig, String> {
    let Value::List(parts) = value else { return Err(malformed()) };
    let Ok([Value::String(name), Value::Map(map)]) = <[Value; 2]>::try_from(parts) else { return Err(malformed()) };
    let name = camel_case(&name);
    let name = match name.as_str() {
        "address" | "autoLink" | "exchange" | "binding" => format!("router.config.{name}"),
        _ => name,
    };
    let ty = EntityType::parse(&name).ok_or_else(|| format!("No such entity type '{PREFIX}.{name}'"))?;
    entity(ty, attributes(ty, map))
}

fn malformed() -> String {
    "a section is a pair of a name and a map of attributes".to_owned()
}

fn attributes(ty: EntityType, map: Map) -> Attributes {
    let mut attributes = Attributes::new();
    let mut refused = false;
    for (key, value) in map.0 {
        let Value::String(key) = key else { continue };
        let name = camel_case(&key);
        // The level that was once below debug.
        let value = match value {
            Value::String(text) if ty == EntityType::Log && name == "enable" => text.replace("trace", "debug").into(),
            value => match ty.attribute(&name) {
                Some(attribute) => meant(attribute.ty, value),
                // The first that the type does not have is enough to refuse the entity.
                None if value.is_null() || std::mem::replace(&mut refused, true) => continue,
                None => value,
            },
        };
        attributes.set(name, value);
    }
    attributes
}

/// What a file means by a value that is not of the attribute's kind. In JSON, people write ids, names and passwords
/// that look like numbers as numbers; what goes by requests is typed with more care.
fn meant(ty: ValueType, value: Value) -> Value {
    match (ty, value) {
        (ValueType::String | ValueType::NumberText | ValueType::Path | ValueType::EntityId, value) => match value {
            Value::Bool(flag) => if flag { "True" } else { "False" }.into(),
            Value::Double(number) => format!("{number:?}").into(),
            value => match (value.as_i64(), value.as_u64()) {
                (Some(number), _) => number.to_string().into(),
                (None, Some(number)) => number.to_string().into(),
                (None, None) => value,
            },
        },
        (ValueType::Boolean, Value::Double(number)) => Value::Bool(number != 0.0),
        (ValueType::Boolean, value) => value.as_i64().map_or(value, |number| Value::Bool(number != 0)),
        (_, value) => value,
    }
}

/// An entity with its type in front and defaults filled in.
pub(super) fn entity(ty: EntityType, given: Attributes) -> Result<EntityConfig, String> {
    let mut attributes = Attributes::new().with("type", ty.full());
    for (name, value) in given {
        if name != "type" {
            attributes.set(name, value);
        }
    }
    let attributes = validate::complete(ty, attributes).map_err(|e| e.0)?;
    Ok(EntityConfig { ty, attributes: attributes.into_iter().collect::<Attributes>() })
}

/// Joins words at blanks, `_`, `-` and `.`; the letter behind becomes upper case.
fn camel_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut raise = false;
    for c in name.chars() {
        if matches!(c, ' ' | '_' | '-' | '.') {
            raise = true;
        } else if std::mem::take(&mut raise) {
            out.push(c.to_ascii_uppercase());
        } else {
            out.push(c);
        }
    }
    out
}
