//! What the fuzz targets and the property tests of configuration files run: each takes any text and panics when
//! something is wrong.
#![allow(clippy::missing_panics_doc, reason = "they are there to panic")]

mod printer;

use super::{conf, json};
use amqp_core::Value;

#[cfg(test)]
pub(super) use printer::{file, json as written};

/// What is read of a `.conf` file is read again from a file written with it.
pub fn conf(text: &str) {
    match conf::parse(text) {
        Ok(sections) => {
            let values = |sections: Vec<(usize, Value)>| sections.into_iter().map(|(_, value)| value).collect();
            let sections: Vec<_> = values(sections);
            let written = printer::file(&sections);
            assert_eq!(conf::parse(&written).map(values), Ok(sections), "{written}");
        }
        Err(complaint) => assert!(text.is_char_boundary(complaint.at), "{complaint:?}"),
    }
}

/// What another reader of JSON takes is read as the same here, written anew as well.
pub fn json(text: &str) {
    let value = json::parse(text);
    if let Ok(other) = serde_json::from_str::<serde_json::Value>(text) {
        let value = value.as_ref().expect("JSON must be taken");
        assert!(alike(value, &other), "{value:?} for {other:?}");
    }
    match value {
        Ok(value) => assert_eq!(json::parse(&printer::json(&value)), Ok(value)),
        Err(complaint) => assert!(text.is_char_boundary(complaint.at), "{complaint:?}"),
    }
}

fn alike(value: &Value, other: &serde_json::Value) -> bool {
    use serde_json::Value as Json;
    match (value, other) {
        (Value::Null, Json::Null) => true,
        (Value::Bool(a), Json::Bool(b)) => a == b,
        (Value::String(a), Json::String(b)) => a == b,
        (Value::Long(a), Json::Number(b)) => b.as_i64().map_or(b.as_f64() == Some(*a as f64), |b| *a == b),
        // The other one rounds the last digits as it pleases.
        (Value::Double(a), Json::Number(b)) => {
            b.as_f64().is_some_and(|b| (a - b).abs() <= a.abs() * 1e-14 + f64::MIN_POSITIVE)
        }
        (Value::List(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Value::Map(a), Json::Object(b)) => {
            let same = |((k, a), (l, b)): (&(Value, Value), (&String, &Json))| k.as_str() == Some(l) && alike(a, b);
            a.0.len() == b.len() && a.0.iter().zip(b).all(same)
        }
        _ => false,
    }
}
