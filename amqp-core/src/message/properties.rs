//! The properties section (part 3, 3.2.4).

use crate::codec::format as f;
use crate::codec::format::descriptor as d;
use crate::codec::{self, Decode, DecodeError, Encode, ListWriter, Reader, put_list};
use crate::value::{Symbol, Value};
use bytes::{Bytes, BytesMut};

/// A field of the properties section, by its index in the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PropertyField {
    /// message-id.
    MessageId = 0,
    /// user-id.
    UserId = 1,
    /// to.
    To = 2,
    /// subject.
    Subject = 3,
    /// reply-to.
    ReplyTo = 4,
    /// correlation-id.
    CorrelationId = 5,
    /// content-type.
    ContentType = 6,
    /// content-encoding.
    ContentEncoding = 7,
    /// absolute-expiry-time.
    AbsoluteExpiryTime = 8,
    /// creation-time.
    CreationTime = 9,
    /// group-id.
    GroupId = 10,
    /// group-sequence.
    GroupSequence = 11,
    /// reply-to-group-id.
    ReplyToGroupId = 12,
}

/// A view of an encoded properties section that reads fields when asked for them.
#[derive(Debug, Clone, Copy)]
pub struct PropertiesView<'a> {
    value: &'a [u8],
}

/// The properties of a message, owned.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Properties {
    /// A ulong, uuid, binary or string; null when absent.
    pub message_id: Value,
    /// The identity of the user responsible for the message.
    pub user_id: Option<Bytes>,
    /// The address of the node that the message is meant for.
    pub to: Option<String>,
    /// What the message is about.
    pub subject: Option<String>,
    /// The address of the node for replies.
    pub reply_to: Option<String>,
    /// A ulong, uuid, binary or string; null when absent.
    pub correlation_id: Value,
    /// A symbol by the standard, though routers write a string; null when absent.
    pub content_type: Value,
    /// The coding of the content.
    pub content_encoding: Option<Symbol>,
    /// Milliseconds since the Unix epoch.
    pub absolute_expiry_time: Option<i64>,
    /// Milliseconds since the Unix epoch.
    pub creation_time: Option<i64>,
    /// The group that the message belongs to.
    pub group_id: Option<String>,
    /// The position in the group.
    pub group_sequence: Option<u32>,
    /// The group for replies.
    pub reply_to_group_id: Option<String>,
}

// === impl PropertiesView ===

impl<'a> PropertiesView<'a> {
    /// A view of the section with the value `value`, from its constructor on.
    #[must_use]
    pub const fn new(value: &'a [u8]) -> Self {
        Self { value }
    }

    /// The encoded value of a field; `None` if it is absent, null or malformed.
    #[must_use]
    pub fn raw(&self, field: PropertyField) -> Option<&'a [u8]> {
        let mut fields = Reader::new(self.value).read_list().ok()?;
        fields.skip(field as u32).ok()?;
        fields.opt(Reader::raw_value).ok()?
    }

    /// The text of a field that is a string or symbol; `None` if it is absent or anything else.
    #[must_use]
    pub fn text(&self, field: PropertyField) -> Option<&'a str> {
        Reader::new(self.raw(field)?).read_text().ok()
    }

    /// The value of a field; `None` if it is absent, null or malformed.
    #[must_use]
    pub fn get(&self, field: PropertyField) -> Option<Value> {
        Value::decode(&mut Reader::new(self.raw(field)?)).ok()
    }

    /// The address of the node that the message is meant for.
    #[must_use]
    pub fn to(&self) -> Option<&'a str> {
        self.text(PropertyField::To)
    }

    /// The address of the node for replies.
    #[must_use]
    pub fn reply_to(&self) -> Option<&'a str> {
        self.text(PropertyField::ReplyTo)
    }

    /// What the message is about.
    #[must_use]
    pub fn subject(&self) -> Option<&'a str> {
        self.text(PropertyField::Subject)
    }

    /// The type of the content, be it a symbol or a string.
    #[must_use]
    pub fn content_type(&self) -> Option<&'a str> {
        self.text(PropertyField::ContentType)
    }

    /// The octets of the user-id, be it binary, string or symbol; `None` if it is absent or null.
    ///
    /// # Errors
    ///
    /// It may be there, and nobody can tell: it is of another type, or the section is malformed.
    pub fn user_id(&self) -> Result<Option<&'a [u8]>, DecodeError> {
        let mut fields = Reader::new(self.value).read_list()?;
        fields.skip(PropertyField::UserId as u32)?;
        let Some(raw) = fields.opt(Reader::raw_value)? else { return Ok(None) };
        let mut r = Reader::new(raw);
        match raw.first() {
            Some(&f::BIN8 | &f::BIN32) => r.read_binary().map(Some),
            _ => r.read_text().map(|text| Some(text.as_bytes())),
        }
    }
}

// === impl Properties ===

/// Reads the value of the section, without descriptor.
impl Decode for Properties {
    fn decode(r: &mut Reader<'_>) -> Result<Self, DecodeError> {
        fn text(r: &mut Reader<'_>) -> Result<String, DecodeError> {
            r.read_text().map(str::to_owned)
        }
        let mut f = r.read_list()?;
        Ok(Self {
            message_id: f.opt(Value::decode)?.unwrap_or_default(),
            user_id: f.opt(Bytes::decode)?,
            to: f.opt(text)?,
            subject: f.opt(text)?,
            reply_to: f.opt(text)?,
            correlation_id: f.opt(Value::decode)?.unwrap_or_default(),
            content_type: f.opt(Value::decode)?.unwrap_or_default(),
            content_encoding: f.opt(Reader::read_symbol_text)?.map(|text| Symbol::from(text.to_owned())),
            absolute_expiry_time: f.opt(Reader::read_timestamp)?,
            creation_time: f.opt(Reader::read_timestamp)?,
            group_id: f.opt(text)?,
            group_sequence: f.opt(Reader::read_uint)?,
            reply_to_group_id: f.opt(text)?,
        })
    }
}

/// Appends the section, with descriptor.
impl Encode for Properties {
    fn encode(&self, out: &mut BytesMut) {
        fn value(list: &mut ListWriter<'_>, value: &Value) {
            list.opt(Some(value).filter(|value| !value.is_null()));
        }
        fn timestamp(list: &mut ListWriter<'_>, millis: Option<i64>) {
            match millis {
                Some(millis) => list.with(|out| codec::put_timestamp(out, millis)),
                None => list.null(),
            }
        }
        codec::put_descriptor(out, d::PROPERTIES);
        put_list(out, |list| {
            value(list, &self.message_id);
            list.opt(self.user_id.as_ref());
            list.opt(self.to.as_ref());
            list.opt(self.subject.as_ref());
            list.opt(self.reply_to.as_ref());
            value(list, &self.correlation_id);
            value(list, &self.content_type);
            list.opt(self.content_encoding.as_ref());
            timestamp(list, self.absolute_expiry_time);
            timestamp(list, self.creation_time);
            list.opt(self.group_id.as_ref());
            list.opt_uint(self.group_sequence);
            list.opt(self.reply_to_group_id.as_ref());
        });
    }
}
