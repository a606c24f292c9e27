//! Messages with records (spec `vanflow.md` section 2).

use super::attribute::{Attribute, Kind, Value};
use super::registry::RecordType;
use amqp_core::codec::{self, format::descriptor};
use amqp_core::message::{Message, MessageBuilder, Properties};
use amqp_core::value::{Map, Value as Amqp};
use bytes::{Bytes, BytesMut};
use std::fmt::Write;

/// Records in a message at most.
pub(super) const RECORDS_MAX: usize = 50;

/// Octets for which a message has room at first.
const USUAL: usize = 512;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Subject {
    Beacon,
    Heartbeat,
    Record,
}

/// A record as it stands in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Update {
    pub(super) kind: RecordType,
    pub(super) identity: String,
    pub(super) attributes: Vec<(Attribute, Value)>,
}

/// Writes records, and keeps the room that it needs for that.
#[derive(Debug, Default)]
pub(super) struct Composer {
    text: String,
}

// === impl Subject ===

impl Subject {
    const fn name(self) -> &'static str {
        match self {
            Self::Beacon => "BEACON",
            Self::Heartbeat => "HEARTBEAT",
            Self::Record => "RECORD",
        }
    }
}

fn properties(id: u64, to: &str, subject: Subject) -> Properties {
    Properties {
        message_id: Amqp::Ulong(id),
        to: Some(to.to_owned()),
        subject: Some(subject.name().to_owned()),
        ..Properties::default()
    }
}

/// A message without records.
pub(super) fn plain(id: u64, to: &str, subject: Subject, facts: &Map) -> Bytes {
    MessageBuilder::new().properties(&properties(id, to, subject)).application_properties(facts).value(Amqp::Null)
}

// === impl Composer ===

impl Composer {
    /// A message with `records`, of each of which `write` appends the map.
    pub(super) fn message<R>(
        &mut self,
        id: u64,
        to: &str,
        records: impl IntoIterator<Item = R>,
        mut write: impl FnMut(&mut Self, R, &mut BytesMut),
    ) -> Bytes {
        let head = MessageBuilder::new().properties(&properties(id, to, Subject::Record)).without_body();
        let mut out = BytesMut::with_capacity(USUAL);
        out.extend_from_slice(&head);
        codec::put_descriptor(&mut out, descriptor::AMQP_VALUE);
        codec::put_list(&mut out, |list| {
            records.into_iter().for_each(|record| list.with(|out| write(self, record, out)));
        });
        out.freeze()
    }

    /// Appends the map of a record; the attributes come by code.
    pub(super) fn put_record<'a>(
        &mut self,
        kind: RecordType,
        identity: &Value,
        attributes: impl IntoIterator<Item = (Attribute, &'a Value)>,
        out: &mut BytesMut,
    ) {
        codec::put_map(out, |out| {
            codec::put_uint(out, Attribute::RecordType.code().into());
            codec::put_uint(out, kind.code().into());
            self.put(Attribute::Identity, identity, out);
            let mut count = 4;
            for (attribute, value) in attributes {
                self.put(attribute, value, out);
                count += 2;
            }
            count
        });
    }

    fn put(&mut self, attribute: Attribute, value: &Value, out: &mut BytesMut) {
        codec::put_uint(out, attribute.code().into());
        match value {
            Value::Number(number) => codec::put_ulong(out, *number),
            Value::Text(text) => codec::put_str(out, text),
            Value::Static(text) => codec::put_str(out, text),
            Value::Record(_) | Value::Host(_) | Value::Port(_) => {
                self.text.clear();
                // Writing to a text cannot fail.
                let _ = write!(self.text, "{value}");
                codec::put_str(out, &self.text);
            }
        }
    }
}

/// The subject of a command.
pub(super) fn is_flush(message: &[Bytes]) -> bool {
    Message::decode(message).is_ok_and(|message| message.properties.subject.as_deref() == Some("FLUSH"))
}

/// The records in a message; those that are none are left out.
pub(super) fn updates(message: &[Bytes]) -> Vec<Update> {
    let Ok(message) = Message::decode(message) else { return Vec::new() };
    if message.properties.subject.as_deref() != Some(Subject::Record.name()) {
        return Vec::new();
    }
    let Some(Amqp::List(records)) = message.body.as_value() else { return Vec::new() };
    records.iter().filter_map(|record| if let Amqp::Map(map) = record { update(map) } else { None }).collect()
}

fn update(map: &Map) -> Option<Update> {
    let (mut kind, mut identity, mut attributes) = (None, None, Vec::new());
    for (key, value) in map.iter() {
        let attribute = Attribute::from_code(u32::try_from(key.as_u64()?).ok()?)?;
        match (attribute, attribute.kind(), value) {
            (Attribute::RecordType, _, value) => kind = Some(RecordType::from_code(value.as_u64()?)?),
            (Attribute::Identity, _, Amqp::String(text)) => identity = Some(text.to_string()),
            (_, Kind::Number, Amqp::Ulong(number)) => attributes.push((attribute, Value::Number(*number))),
            (_, Kind::Text | Kind::Whole, Amqp::String(text)) => {
                attributes.push((attribute, Value::Text(text.to_string().into())));
            }
            _ => return None,
        }
    }
    Some(Update { kind: kind?, identity: identity?, attributes })
}
