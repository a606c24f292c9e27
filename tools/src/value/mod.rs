//! AMQP values and JSON, which is what people and scripts see.

mod integer;
mod json;

use fe2o3_amqp::types::primitives::{SimpleValue, Value};
use serde_json::{Map, Number, Value as Json};

pub use integer::parse_integer;
pub use json::{decode, encode};

/// The AMQP value of JSON. Integers become `long`, as the general agent and the core agent both take them.
pub fn to_amqp(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => number_to_amqp(number),
        Json::String(text) => Value::String(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(to_amqp).collect()),
        Json::Object(map) => {
            Value::Map(map.iter().map(|(key, value)| (Value::String(key.clone()), to_amqp(value))).collect())
        }
    }
}

/// The AMQP value of JSON where AMQP allows no lists and maps: in application properties.
pub fn to_simple(json: &Json) -> Option<SimpleValue> {
    Some(match to_amqp(json) {
        Value::Null => SimpleValue::Null,
        Value::Bool(value) => SimpleValue::Bool(value),
        Value::Long(value) => SimpleValue::Long(value),
        Value::Ulong(value) => SimpleValue::Ulong(value),
        Value::Double(value) => SimpleValue::Double(value),
        Value::String(text) => SimpleValue::String(text),
        _ => return None,
    })
}

/// JSON of an AMQP value. What JSON has no form for becomes text.
pub fn to_json(value: Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => value.into(),
        Value::Ubyte(value) => value.into(),
        Value::Ushort(value) => value.into(),
        Value::Uint(value) => value.into(),
        Value::Ulong(value) => value.into(),
        Value::Byte(value) => value.into(),
        Value::Short(value) => value.into(),
        Value::Int(value) => value.into(),
        Value::Long(value) => value.into(),
        Value::Timestamp(value) => value.milliseconds().into(),
        Value::Float(value) => f64::from(value.into_inner()).into(),
        Value::Double(value) => value.into_inner().into(),
        Value::Char(value) => value.to_string().into(),
        Value::String(value) => value.into(),
        Value::Symbol(value) => value.0.into(),
        Value::Binary(octets) => octets_to_text(&octets).into(),
        Value::List(items) => items.into_iter().map(to_json).collect(),
        Value::Array(items) => items.0.into_iter().map(to_json).collect(),
        Value::Map(map) => {
            Json::Object(map.into_iter().map(|(key, value)| (key_text(key), to_json(value))).collect::<Map<_, _>>())
        }
        other => format!("{other:?}").into(),
    }
}

fn number_to_amqp(number: &Number) -> Value {
    match (number.as_i64(), number.as_u64()) {
        (Some(value), _) => Value::Long(value),
        (None, Some(value)) => Value::Ulong(value),
        (None, None) => Value::Double(number.as_f64().unwrap_or_default().into()),
    }
}

fn key_text(key: Value) -> String {
    match to_json(key) {
        Json::String(text) => text,
        other => other.to_string(),
    }
}

/// UTF-8 as it is, else hexadecimal.
fn octets_to_text(octets: &[u8]) -> String {
    match std::str::from_utf8(octets) {
        Ok(text) => text.to_owned(),
        Err(_) => octets.iter().map(|octet| format!("{octet:02x}")).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_survives_the_way_there_and_back() {
        let sent = json!({"a": [1, -5, 2_147_483_648_i64, u64::MAX, 1.5, true, null, "ö"], "b": {"c": []}});
        assert_eq!(to_json(to_amqp(&sent)), sent);
    }

    #[test]
    fn keys_and_octets_become_text() {
        let map = Value::Map([(Value::Int(5), Value::Binary(vec![0xff, 1].into()))].into_iter().collect());
        assert_eq!(to_json(map), json!({"5": "ff01"}));
    }

    #[test]
    fn application_properties_are_simple() {
        assert_eq!(to_simple(&json!(5)), Some(SimpleValue::Long(5)));
        assert_eq!(to_simple(&json!([])), None);
    }
}
