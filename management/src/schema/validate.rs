//! Checks attributes against the schema: which there may be, what type their values have, and in which range they
//! are. Fills in defaults and converts what clients are used to give in another form: numbers and truth values as
//! text, words of enumerations as numbers, ports as numbers.

use super::{Attribute, Default, EntityType, ValueType};
use crate::attributes::{Attributes, Name};
use crate::notation::{Literal, Names, Quoted};
use adaptors::net::port_number;
use amqp_core::Value;
use amqp_core::value::Map;

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
            Ok((Name::Borrowed(attribute.name), value_of(ty, attribute, value)?))
        })
        .collect()
}

/// The converted entries of a request's body. Null values are dropped.
///
/// # Errors
/// Tells the first entry that is no attribute of the type, may not be given in CREATE, or has a value that does not
/// fit.
pub fn given(ty: EntityType, body: &Map) -> Result<Attributes, SchemaError> {
    let mut attributes = Attributes::new();
    for (key, value) in body.iter() {
        let Some(name) = key.as_str() else { continue };
        let attribute = creatable(ty, name)?;
        if !value.is_null() {
            attributes.set(attribute.name, value_of(ty, attribute, value.clone())?);
        }
    }
    Ok(attributes)
}

/// The attribute of that name, if it may be given in CREATE. Checked before anything is kept of an entry, so that
/// what is kept is bounded by the schema.
///
/// # Errors
/// When there is none, or it may not be given.
pub fn creatable(ty: EntityType, name: &str) -> Result<&'static Attribute, SchemaError> {
    let attribute = ty.attribute(name).ok_or_else(|| unknown_attribute(ty, name))?;
    if attribute.create { Ok(attribute) } else { Err(SchemaError(format!("Cannot set attribute '{name}' in CREATE"))) }
}

/// The converted value of one attribute.
///
/// # Errors
/// When it has the wrong type or is out of range.
pub fn value_of(ty: EntityType, attribute: &Attribute, value: Value) -> Result<Value, SchemaError> {
    convert(attribute, value).map_err(|text| prefixed(ty, &text))
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
    let name = attribute.name;
    let named = |text: String| format!("{text} (attribute '{name}')");
    match attribute.ty {
        ValueType::String | ValueType::Path | ValueType::EntityId => {
            string(&value).map_err(|kind| must_be(name, "a string", kind))
        }
        ValueType::NumberText => string(&value)
            .or_else(|kind| whole(&value).map(|n| n.to_string().into()).ok_or(kind))
            .map_err(|kind| must_be(name, "a string", kind)),
        ValueType::Port => port(&value).map_err(|text| format!("Attribute '{name}' {text}")),
        ValueType::Integer => in_range(attribute, integer(&value).map_err(named)?).map(Value::Long),
        ValueType::Boolean => boolean(&value).map(Value::Bool).map_err(named),
        ValueType::Enum(words) => word(words, &value).map(Value::from).map_err(named),
        ValueType::List => match value {
            Value::List(_) => Ok(value),
            Value::Array(items) => Ok(Value::List(items)),
            other => Err(must_be(name, "a list", kind(&other))),
        },
        ValueType::Map => match value {
            Value::Map(_) => Ok(value),
            other => Err(must_be(name, "a map", kind(&other))),
        },
        ValueType::Properties => properties(value).map_err(named),
    }
}

fn must_be(name: &str, wanted: &str, kind: &str) -> String {
    format!("Attribute '{name}' must be {wanted}, not {kind}")
}

/// Text, or else the kind of the value.
fn string(value: &Value) -> Result<Value, &'static str> {
    value.as_str().map(Value::from).ok_or_else(|| kind(value))
}

fn in_range(attribute: &Attribute, number: i64) -> Result<i64, String> {
    match attribute.range {
        Some((least, most)) if !(least..=most).contains(&number) => {
            let bounds = format!("between {least} and {most}");
            Err(format!("Attribute '{}' must be {bounds}, not {number}", attribute.name))
        }
        _ => Ok(number),
    }
}

/// A port as text: a number up to 65535, or the name of a service.
fn port(value: &Value) -> Result<Value, String> {
    let text = match (value.as_str(), whole(value)) {
        (Some(text), _) => text.to_owned(),
        (None, Some(number)) => number.to_string(),
        (None, None) => return Err(format!("must be a port number or service name, not {}", kind(value))),
    };
    match port_number(&text) {
        Some(_) => Ok(text.into()),
        None => Err(format!("must be a port number or service name, not {}", Quoted(&text))),
    }
}

/// A number from a number, a truth value, or text that holds one.
pub(crate) fn integer(value: &Value) -> Result<i64, String> {
    let number = match value {
        Value::Bool(flag) => Some(i64::from(*flag)),
        other => whole(other).or_else(|| parse_integer(other.as_str()?)),
    };
    number.ok_or_else(|| match value.as_str() {
        Some(text) => format!("invalid literal for int() with base 10: {}:{TRACEBACK}", Quoted(text)),
        None => format!(
            "int() argument must be a string, a bytes-like object or a real number, not '{}':{TRACEBACK}",
            kind(value)
        ),
    })
}

/// A whole number. Clients whose numbers went through JSON send them as floating-point ones.
fn whole(value: &Value) -> Option<i64> {
    /// The integers up to here are exact.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let exact = |number: f64| number.fract() == 0.0 && number.abs() <= EXACT;
    match value {
        Value::Timestamp(millis) => Some(*millis),
        #[allow(clippy::cast_possible_truncation, reason = "it is exact")]
        Value::Double(number) => exact(*number).then_some(*number as i64),
        #[allow(clippy::cast_possible_truncation, reason = "it is exact")]
        Value::Float(number) => exact(f64::from(*number)).then_some(*number as i64),
        other => other.as_i64(),
    }
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
    let Some(text) = value.as_str() else {
        return match (value, value.as_i64()) {
            (Value::Bool(flag), _) => Ok(*flag),
            (_, Some(number @ (0 | 1))) => Ok(number == 1),
            _ => Err(format!("Invalid Boolean value '{}'", kind(value))),
        };
    };
    match text.to_ascii_lowercase().as_str() {
        "yes" | "true" | "on" => Ok(true),
        "no" | "false" | "off" => Ok(false),
        _ => Err(format!("Invalid Boolean value '{}'", Quoted(text))),
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
    let index = value.as_i64().or_else(|| parse_integer(value.as_str()?))?;
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
