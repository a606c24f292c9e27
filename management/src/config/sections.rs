//! From parsed sections to entities with complete attributes.

use super::{EntityConfig, Sections};
use crate::attributes::Attributes;
use crate::schema::{EntityType, PREFIX, ValueType, validate};
use amqp_core::Value;
use amqp_core::value::Map;

/// The entities of a file.
pub(super) fn entities(sections: Sections) -> Result<Vec<EntityConfig>, String> {
    let entity = |section| {
        let (name, map) = parts(section)?;
        let ty = EntityType::parse(&name).ok_or_else(|| format!("No such entity type '{PREFIX}.{name}'"))?;
        entity(ty, attributes(ty, map))
    };
    sections.into_iter().map(|(_, section)| entity(section)).collect()
}

/// The name of the type in a section, and the map of its attributes.
pub(super) fn parts(section: Value) -> Result<(String, Map), String> {
    let malformed = || "a section is a pair of a name and a map of attributes".to_owned();
    let Value::List(parts) = section else { return Err(malformed()) };
    let Ok([Value::String(name), Value::Map(map)]) = <[Value; 2]>::try_from(parts) else { return Err(malformed()) };
    let name = camel_case(&name);
    let name = match name.as_str() {
        "address" | "autoLink" | "exchange" | "binding" => format!("router.config.{name}"),
        _ => name,
    };
    Ok((name, map))
}

fn attributes(ty: EntityType, map: Map) -> Attributes {
    let mut attributes = Attributes::new();
    let mut refused = false;
    for (name, value) in named(ty, map) {
        // The first that the type does not have is enough to refuse the entity.
        if ty.attribute(&name).is_none() && (value.is_null() || std::mem::replace(&mut refused, true)) {
            continue;
        }
        attributes.set(name, value);
    }
    attributes
}

/// The attributes of a section by the names of the schema, with the values that are meant.
pub(super) fn named(ty: EntityType, map: Map) -> impl Iterator<Item = (String, Value)> {
    map.0.into_iter().filter_map(move |(key, value)| {
        let Value::String(key) = key else { return None };
        let name = camel_case(&key);
        // The level that was once below debug.
        let value = match value {
            Value::String(text) if ty == EntityType::Log && name == "enable" => text.replace("trace", "debug").into(),
            value => match ty.attribute(&name) {
                Some(attribute) => meant(attribute.ty, value),
                None => value,
            },
        };
        Some((name, value))
    })
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
pub(super) fn camel_case(name: &str) -> String {
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
