//! Composing whole messages.

use super::{Header, Properties, RouterAnnotations};
use crate::codec::format::descriptor as d;
use crate::codec::{self, Encode};
use crate::value::{Map, Value};
use bytes::{Bytes, BytesMut};

/// Composes a message; sections that are not given are left out.
///
/// ```
/// use amqp_core::message::{MessageBuilder, Properties};
/// let message = MessageBuilder::new()
///     .properties(&Properties { to: Some("svc".into()), ..Properties::default() })
///     .value("hello");
/// assert_eq!(&message[..], b"\0\x53\x73\xc0\x08\x03\x40\x40\xa1\x03svc\0\x53\x77\xa1\x05hello");
/// ```
#[derive(Debug, Default)]
#[must_use]
pub struct MessageBuilder {
    out: BytesMut,
}

// === impl MessageBuilder ===

impl MessageBuilder {
    /// A message without any section. The sections must be added in the order of the methods.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds router annotations; see [`RouterAnnotations::encode`] for `own`.
    pub fn router_annotations(mut self, annotations: &RouterAnnotations, own: Option<&[u8]>) -> Self {
        annotations.encode(own, &mut self.out);
        self
    }

    /// Adds the header.
    pub fn header(mut self, header: &Header) -> Self {
        header.encode(&mut self.out);
        self
    }

    /// Adds the message annotations.
    pub fn message_annotations(self, annotations: &Map) -> Self {
        self.section(d::MESSAGE_ANNOTATIONS, annotations)
    }

    /// Adds the properties.
    pub fn properties(mut self, properties: &Properties) -> Self {
        properties.encode(&mut self.out);
        self
    }

    /// Adds the application properties.
    pub fn application_properties(self, properties: &Map) -> Self {
        self.section(d::APPLICATION_PROPERTIES, properties)
    }

    /// Ends the message with a value as body.
    #[must_use]
    pub fn value(self, body: impl Into<Value>) -> Bytes {
        self.section(d::AMQP_VALUE, &body.into()).without_body()
    }

    /// Ends the message with one data section as body.
    #[must_use]
    pub fn data(mut self, body: &[u8]) -> Bytes {
        codec::put_descriptor(&mut self.out, d::DATA);
        codec::put_binary(&mut self.out, body);
        self.without_body()
    }

    /// Ends the message with no body.
    #[must_use]
    pub fn without_body(self) -> Bytes {
        self.out.freeze()
    }

    fn section(mut self, code: u64, value: &impl Encode) -> Self {
        codec::put_descriptor(&mut self.out, code);
        value.encode(&mut self.out);
        self
    }
}
