//! What the GET-SCHEMA family of operations answers.

use super::{Attribute, Default, EntityDef, EntityType, PREFIX, ValueType};
use amqp_core::Value;
use amqp_core::value::Map;
use serde_json::Value as Json;

/// The whole schema as a map. Only members that say something are there: no false, zero, or empty ones.
#[must_use]
pub fn schema() -> Map {
    let types = EntityType::ALL.iter().map(|&ty| (ty.identity_prefix(), Value::Map(entity_type(ty)))).collect::<Map>();
    Map::new().with("prefix", PREFIX).with("entityTypes", types)
}

/// The whole schema as JSON text: on one line, or indented.
#[must_use]
pub fn schema_json(indent: Option<usize>) -> String {
    json_text(&to_json(&Value::Map(schema())), indent)
}

fn entity_type(ty: EntityType) -> Map {
    let def: &EntityDef = ty.def();
    let attributes: Map =
        ty.attributes().filter(|a| a.name != "type").map(|a| (a.name, Value::Map(attribute(a)))).collect();
    let operations: Vec<Value> = ty.operations().map(Value::from).collect();
    let mut map = Map::new();
    map.push("attributes", attributes);
    if !operations.is_empty() {
        map.push("operations", operations);
    }
    map.push("description", def.description);
    map.push("fullyQualifiedType", ty.full());
    if def.singleton {
        map.push("singleton", true);
    }
    map
}

fn attribute(a: &Attribute) -> Map {
    let mut map = Map::new();
    match a.ty {
        ValueType::Enum(words) => map.push("type", words.iter().map(|w| Value::from(*w)).collect::<Vec<_>>()),
        ty => map.push("type", ty.name()),
    }
    match a.default {
        Some(Default::Text(text)) if !text.is_empty() => map.push("default", text),
        Some(Default::Number(number)) if number != 0 => map.push("default", number),
        Some(Default::Flag(true)) => map.push("default", true),
        _ => {}
    }
    if a.required {
        map.push("required", true);
    }
    if a.unique {
        map.push("unique", true);
    }
    map.push("description", a.description);
    if a.graph {
        map.push("graph", true);
    }
    map
}

/// A value as JSON; kinds that JSON does not have become null.
#[must_use]
pub fn to_json(value: &Value) -> Json {
    match value {
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Float(v) => Json::from(*v),
        Value::Double(v) => Json::from(*v),
        Value::Ulong(v) => Json::from(*v),
        Value::Timestamp(v) => Json::from(*v),
        Value::List(items) | Value::Array(items) => items.iter().map(to_json).collect(),
        Value::Map(map) => {
            let entries = map.iter().filter_map(|(k, v)| Some((k.as_str()?.to_owned(), to_json(v))));
            Json::Object(entries.collect())
        }
        other => match (other.as_str(), other.as_i64()) {
            (Some(text), _) => Json::from(text),
            (None, Some(number)) => Json::from(number),
            (None, None) => Json::Null,
        },
    }
}

/// JSON text with `", "` and `": "` on one line, or indented by that many blanks per level.
#[must_use]
pub fn json_text(json: &Json, indent: Option<usize>) -> String {
    let mut out = String::new();
    write_json(json, indent, 0, &mut out);
    out
}

fn write_json(json: &Json, indent: Option<usize>, depth: usize, out: &mut String) {
    match json {
        Json::Array(items) if !items.is_empty() => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                new_item(i, indent, depth + 1, out);
                write_json(item, indent, depth + 1, out);
            }
            new_line(indent, depth, out);
            out.push(']');
        }
        Json::Object(map) if !map.is_empty() => {
            out.push('{');
            for (i, (key, value)) in map.iter().enumerate() {
                new_item(i, indent, depth + 1, out);
                write_text(key, out);
                out.push_str(": ");
                write_json(value, indent, depth + 1, out);
            }
            new_line(indent, depth, out);
            out.push('}');
        }
        Json::String(text) => write_text(text, out),
        other => out.push_str(&other.to_string()),
    }
}

fn new_item(index: usize, indent: Option<usize>, depth: usize, out: &mut String) {
    if index > 0 {
        out.push_str(if indent.is_some() { "," } else { ", " });
    }
    new_line(indent, depth, out);
}

fn new_line(indent: Option<usize>, depth: usize, out: &mut String) {
    if let Some(width) = indent {
        out.push('\n');
        out.extend(std::iter::repeat_n(' ', width * depth));
    }
}

/// Quoted text; what is not ASCII is escaped.
fn write_text(text: &str, out: &mut String) {
    let quoted = Json::from(text).to_string();
    for c in quoted.chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                out.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
}
