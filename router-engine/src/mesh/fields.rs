//! Checked access to the body of a message.

use crate::log::LogModule;
use amqp_core::value::{Map, Value};

/// Octets of the longest router id.
const MAX_ID: usize = 512;

/// Whether a text can be a router's id: it has a length that tables and log lines bear, and nothing that would begin another
/// line.
pub(super) fn is_id(text: &str) -> bool {
    (1..=MAX_ID).contains(&text.len()) && !text.chars().any(char::is_control)
}

/// The body of a message. Keys may be strings or symbols, integers of any width (spec 6.1).
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    body: &'a Map,
}

/// A message that must be dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) module: LogModule,
    /// The offending field.
    pub(super) what: Option<&'static str>,
}

// === impl Fields ===

impl<'a> Fields<'a> {
    pub(super) const fn new(body: &'a Map) -> Self {
        Self { body }
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.body.get(key)
    }

    /// The sender.
    pub(super) fn id(&self) -> Result<&'a str, Malformed> {
        match self.get("id") {
            Some(Value::String(id)) if is_id(id) => Ok(id),
            Some(Value::Symbol(id)) if is_id(id.as_str()) => Ok(id.as_str()),
            _ => Err(Malformed::field("id")),
        }
    }

    /// A mandatory integer.
    pub(super) fn int(&self, key: &'static str) -> Result<i64, Malformed> {
        self.get(key).and_then(Value::as_i64).ok_or(Malformed::field(key))
    }

    /// An integer that is 0 when absent.
    pub(super) fn int_or_zero(&self, key: &'static str) -> Result<i64, Malformed> {
        match self.get(key) {
            None | Some(Value::Null) => Ok(0),
            Some(value) => value.as_i64().ok_or(Malformed::field(key)),
        }
    }

    /// A mandatory map.
    pub(super) fn map(&self, key: &'static str) -> Result<Self, Malformed> {
        self.get(key).and_then(Value::as_map).map(Self::new).ok_or(Malformed::field(key))
    }

    /// A list that may be absent.
    pub(super) fn list(&self, key: &'static str) -> Result<Option<&'a [Value]>, Malformed> {
        match self.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => value.as_list().map(Some).ok_or(Malformed::field(key)),
        }
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = &'a (Value, Value)> {
        self.body.iter()
    }
}

// === impl Malformed ===

impl Malformed {
    const fn field(key: &'static str) -> Self {
        Self { module: LogModule::RouterLs, what: Some(key) }
    }

    pub(super) const fn log_to(self, module: LogModule) -> Self {
        Self { module, what: self.what }
    }
}
