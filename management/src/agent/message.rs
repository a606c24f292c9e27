//! Requests and replies as AMQP messages (spec `management-protocol.md` section 2).

use super::failure::{Failure, Status};
use crate::notation::{Literal, MapLiteral};
use amqp_core::Value;
use amqp_core::message::{Body, Header, Message, MessageBuilder, MessageError, Properties};
use amqp_core::value::Map;
use bytes::Bytes;

/// A request.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// Where the reply goes.
    pub reply_to: Option<String>,
    /// Echoed in the reply.
    pub correlation_id: Value,
    /// The application properties.
    pub properties: Map,
    /// The body; null when there is none.
    pub body: Value,
    /// The connection that the request came over, where it is known.
    pub requester: Option<u32>,
}

/// A reply.
#[derive(Debug, Clone, PartialEq)]
pub struct Response {
    /// The status.
    pub status: Status,
    /// Its description.
    pub description: String,
    /// The body.
    pub body: Value,
}

// === impl Request ===

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// When a section that matters cannot be read.
    pub fn decode(chunks: &[Bytes]) -> Result<Self, MessageError> {
        let message = Message::decode(chunks)?;
        Ok(Self {
            reply_to: message.properties.reply_to,
            correlation_id: message.properties.correlation_id,
            properties: message.application_properties,
            body: match message.body {
                Body::Value(value) => value,
                Body::Sequence(items) => Value::List(items),
                Body::Data(octets) => Value::Binary(octets),
                Body::Empty => Value::Null,
            },
            requester: None,
        })
    }

    /// An application property that is text.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.properties.get(key).and_then(Value::as_str)
    }

    /// How the request shows in error texts.
    #[must_use]
    pub fn describe(&self) -> String {
        let or_none = |text: Option<&String>| text.map_or(Value::Null, |t| t.as_str().into());
        format!(
            "Message(address=None, properties={}, body={}, reply_to={}, correlation_id={}, content_type=None)",
            MapLiteral(&self.properties),
            Literal(&self.body),
            Literal(&or_none(self.reply_to.as_ref())),
            Literal(&self.correlation_id)
        )
    }
}

// === impl Response ===

impl Response {
    /// A reply with the usual description.
    #[must_use]
    pub fn new(status: Status, body: impl Into<Value>) -> Self {
        Self { status, description: status.description().to_owned(), body: body.into() }
    }

    /// The message to send to `reply_to`.
    #[must_use]
    pub fn encode(&self, reply_to: &str, correlation_id: &Value) -> Bytes {
        let properties = Properties {
            to: Some(reply_to.to_owned()),
            correlation_id: correlation_id.clone(),
            ..Properties::default()
        };
        let application =
            Map::new().with("statusCode", self.status.code()).with("statusDescription", self.description.as_str());
        MessageBuilder::new()
            .header(&Header::default())
            .properties(&properties)
            .application_properties(&application)
            .value(self.body.clone())
    }
}

/// Octets of the longest description of a failure. It may show what was sent, which may be long.
const MAX_DESCRIPTION: usize = 8 * 1024;

impl From<Failure> for Response {
    fn from(failure: Failure) -> Self {
        let mut description = failure.description();
        if description.len() > MAX_DESCRIPTION {
            description.truncate(description.floor_char_boundary(MAX_DESCRIPTION));
            description.shrink_to_fit();
        }
        Self { status: failure.status, description, body: Value::Map(Map::new()) }
    }
}

/// A received value in the form in which entities hold it: text as strings, whole numbers as longs.
/// Kinds that entities do not have stay what they are, so that the schema can refuse them.
#[must_use]
pub(super) fn incoming(value: &Value) -> Value {
    match value {
        Value::Bool(_) | Value::Binary(_) | Value::Null => value.clone(),
        Value::Timestamp(millis) => Value::Long(*millis),
        Value::List(items) => Value::List(items.iter().map(incoming).collect()),
        Value::Map(map) => Value::Map(incoming_map(map)),
        other => match (other.as_str(), other.as_i64(), other.as_u64()) {
            (Some(text), ..) => text.into(),
            (None, Some(number), _) => number.into(),
            (None, None, Some(number)) => number.into(),
            (None, None, None) => value.clone(),
        },
    }
}

/// [`incoming`] for a map.
#[must_use]
pub(super) fn incoming_map(map: &Map) -> Map {
    Map(map.iter().map(|(key, value)| (incoming(key), incoming(value))).collect())
}

/// A value of an entity in the form in which it is sent: whole numbers as ints where they fit.
#[must_use]
pub(super) fn outgoing(value: Value) -> Value {
    match value {
        Value::List(items) => Value::List(items.into_iter().map(outgoing).collect()),
        Value::Map(map) => Value::Map(Map(map.0.into_iter().map(|(k, v)| (outgoing(k), outgoing(v))).collect())),
        Value::Float(number) => Value::Double(number.into()),
        other => match other.as_i64() {
            Some(number) => i32::try_from(number).map_or(Value::Long(number), Value::Int),
            None => other,
        },
    }
}
