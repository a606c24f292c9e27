//! Defaults and conversion of attribute values.

use super::{Attribute, Default, EntityType, ValueType};
use crate::attributes::{Attributes, Name};
use crate::notation::{Literal, Names, Plain, Quoted};
use amqp_core::Value;

/// Why attributes do not fit the schema. The text is an interface (spec `management-protocol.md` 3.6).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SchemaError(pub String);

/// Python shows where an exception was caught; clients only ever see an address that varies.
const TRACEBACK: &str = "<traceback object at 0x7f0000000000>";

/// Fills in defaults and converts every value. Null values are dropped first.
///
/// # Errors
/// Tells the first attribute that is missing, unknown, or has a value that cannot be converted.
pub fn complete(ty: EntityType, mut attributes: Attributes) -> Result<Attributes, SchemaError> {
    attributes.retain(|_, value| !value.is_null());
    for attribute in ty.attributes() {
        if attributes.get(attribute.name).is_some() {
            continue;
        }
        if let Some(default) = attribute.default {
            attributes.set(attribute.name, default_value(default));
        } else if attribute.required {
            return Err(prefixed(ty, &format!("Missing required attribute '{}'", attribute.name)));
        }
    }
    attributes
        .into_iter()
        .map(|(name, value)| {
            let attribute = ty.attribute(&name).ok_or_else(|| prefixed(ty, &unknown_attribute(ty, &name).0))?;
            let value = convert(attribute, value).map_err(|text| prefixed(ty, &text))?;
            Ok((Name::Borrowed(attribute.name), value))
        })
        .collect()
}

/// The error for an attribute that the type does not have.
#[must_use]
pub fn unknown_attribute(ty: EntityType, name: &str) -> SchemaError {
    SchemaError(format!("Unknown attribute '{name}' for '{ty}'"))
}

fn prefixed(ty: EntityType, text: &str) -> SchemaError {
    SchemaError(format!("{ty}: {text}"))
}

fn default_value(default: Default) -> Value {
    match default {
        Default::Text(text) => text.into(),
        Default::Number(number) => number.into(),
        Default::Flag(flag) => flag.into(),
    }
}

fn convert(attribute: &Attribute, value: Value) -> Result<Value, String> {
    match attribute.ty {
        ValueType::String | ValueType::Path | ValueType::EntityId => Ok(match value {
            Value::String(_) => value,
            other => Plain(&other).to_string().into(),
        }),
        ValueType::Integer => integer(&value).map(Value::Long),
        ValueType::Boolean => boolean(&value).map(Value::Bool),
        ValueType::Enum(words) => word(words, &value).map(Value::from),
        ValueType::List => match value {
            Value::List(_) => Ok(value),
            Value::Array(items) => Ok(Value::List(items)),
            Value::Map(map) => Ok(Value::List(map.0.into_iter().map(|(k, _)| k).collect())),
            other => match other.as_str() {
                Some(text) => Ok(Value::List(text.chars().map(|c| c.to_string().into()).collect())),
                None => Err(format!("'{}' object is not iterable:{TRACEBACK}", kind(&other))),
            },
        },
        ValueType::Map => match value {
            Value::Map(_) => Ok(value),
            other if other.as_str().is_some() => {
                Err(format!("dictionary update sequence element #0 has length 1; 2 is required:{TRACEBACK}"))
            }
            other => Err(format!("'{}' object is not iterable:{TRACEBACK}", kind(&other))),
        },
        ValueType::Properties => properties(value),
    }
}

/// A number from a number, a truth value, or text that holds one.
pub(crate) fn integer(value: &Value) -> Result<i64, String> {
    let number = match value {
        Value::Bool(flag) => Some(i64::from(*flag)),
        Value::Timestamp(millis) => Some(*millis),
        // Truncation is what is meant; the casts saturate.
        #[allow(clippy::cast_possible_truncation)]
        Value::Double(number) => Some(*number as i64),
        #[allow(clippy::cast_possible_truncation)]
        Value::Float(number) => Some(*number as i64),
        other => other.as_i64().or_else(|| parse_integer(other.as_str()?)),
    };
    number.ok_or_else(|| match value.as_str() {
        Some(text) => format!("invalid literal for int() with base 10: {}:{TRACEBACK}", Quoted(text)),
        None => format!(
            "int() argument must be a string, a bytes-like object or a real number, not '{}':{TRACEBACK}",
            kind(value)
        ),
    })
}

/// Decimal text with an optional sign, blanks around, and single underscores between digits.
pub(crate) fn parse_integer(text: &str) -> Option<i64> {
    let text = text.trim();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let sound = !digits.starts_with('_')
        && !digits.ends_with('_')
        && !digits.contains("__")
        && digits.bytes().all(|b| b.is_ascii_digit() || b == b'_');
    if sound { text.replace('_', "").parse().ok() } else { None }
}

fn boolean(value: &Value) -> Result<bool, String> {
    let Some(text) = value.as_str() else { return Ok(truthy(value)) };
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" => Ok(true),
        "no" | "false" | "off" => Ok(false),
        _ => Err(format!("Invalid Boolean value '{}'", Quoted(text))),
    }
}

fn truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Float(v) => *v != 0.0,
        Value::Double(v) => *v != 0.0,
        Value::Binary(octets) => !octets.is_empty(),
        Value::List(items) | Value::Array(items) => !items.is_empty(),
        Value::Map(map) => !map.is_empty(),
        other => other.as_str().is_none_or(|t| !t.is_empty()) && other.as_u64() != Some(0),
    }
}

fn word(words: &'static [&'static str], value: &Value) -> Result<&'static str, String> {
    let exact = value.as_str().and_then(|text| words.iter().copied().find(|w| *w == text));
    exact
        .or_else(|| indexed(words, value))
        .ok_or_else(|| format!("Invalid value for enum{}: {}", Names(words.iter().copied()), Literal(value)))
}

/// The word at an index; negative ones count from the end.
fn indexed(words: &'static [&'static str], value: &Value) -> Option<&'static str> {
    let index = integer(value).ok()?;
    let at = if index < 0 { i64::try_from(words.len()).ok()?.checked_add(index)? } else { index };
    words.get(usize::try_from(at).ok()?).copied()
}

fn properties(value: Value) -> Result<Value, String> {
    let Value::Map(map) = value else { return Err("Properties must be a map".to_owned()) };
    if map.iter().all(|(key, _)| key.as_str().is_some_and(str::is_ascii)) {
        Ok(Value::Map(map))
    } else {
        Err("Property keys must be ASCII encoded".to_owned())
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "NoneType",
        Value::Bool(_) => "bool",
        Value::Float(_) | Value::Double(_) => "float",
        Value::Binary(_) => "bytes",
        Value::List(_) | Value::Array(_) => "list",
        Value::Map(_) => "dict",
        value if value.as_str().is_some() => "str",
        _ => "int",
    }
}
