//! Reading whole messages into owned parts, for management and control traffic.

use super::sections::{BodyKind, Depth, ScanResult, Section, SectionError, SectionMap, scan};
use super::{Header, Properties, app_properties};
use crate::codec::format::descriptor as d;
use crate::codec::{Decode, DecodeError, Reader};
use crate::value::{Map, Value};
use bytes::{Bytes, BytesMut};

/// A message in owned parts. Annotations and footer are left out.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Message {
    /// The header, if there is one.
    pub header: Option<Header>,
    /// The properties; all absent if the section is.
    pub properties: Properties,
    /// The application properties; empty if the section is absent.
    pub application_properties: Map,
    /// The body.
    pub body: Body,
}

/// The body of a message.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Body {
    /// There is none.
    #[default]
    Empty,
    /// The octets of all data sections together.
    Data(Bytes),
    /// The elements of all AMQP-sequence sections together.
    Sequence(Vec<Value>),
    /// The AMQP value.
    Value(Value),
}

/// Why a message cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageError {
    /// The sections are malformed.
    #[error(transparent)]
    Section(#[from] SectionError),
    /// The contents of a section are malformed.
    #[error(transparent)]
    Content(#[from] DecodeError),
}

// === impl Message ===

impl Message {
    /// Reads the complete message in `chunks`.
    ///
    /// # Errors
    ///
    /// What is malformed in the parts that a [`Message`] has.
    pub fn decode(chunks: &[Bytes]) -> Result<Self, MessageError> {
        let map = match scan(chunks, true, Depth::All) {
            ScanResult::Ok(map) => map,
            ScanResult::Invalid(error) => return Err(error.into()),
            ScanResult::Incomplete => return Err(SectionError::Truncated.into()),
        };
        let value = |section: Option<Section>| section.map(|section| section.value(chunks));
        Ok(Self {
            header: value(map.header).map(|v| Header::decode(&mut Reader::new(&v))).transpose()?,
            properties: match value(map.properties) {
                Some(v) => Properties::decode(&mut Reader::from_bytes(&v))?,
                None => Properties::default(),
            },
            application_properties: match value(map.application_properties) {
                Some(v) => app_properties::decode(&v)?,
                None => Map::new(),
            },
            body: Body::decode(&map, chunks)?,
        })
    }
}

// === impl Body ===

impl Body {
    /// The value of an AMQP-value body.
    #[must_use]
    pub const fn as_value(&self) -> Option<&Value> {
        match self {
            Self::Value(value) => Some(value),
            _ => None,
        }
    }

    fn decode(map: &SectionMap, chunks: &[Bytes]) -> Result<Self, DecodeError> {
        let Some((start, kind)) = map.body else { return Ok(Self::Empty) };
        let end = map.footer.map_or(map.scanned, |footer| footer.start);
        let body = Section { start, value: start, end }.octets(chunks);
        let mut r = Reader::from_bytes(&body);
        match kind {
            BodyKind::Value => {
                r.read_descriptor()?;
                Value::decode(&mut r).map(Self::Value)
            }
            BodyKind::Data => data(r, &body).map(Self::Data),
            BodyKind::Sequence => {
                let mut items = Vec::new();
                while !r.is_empty() {
                    let mut list = r.read_composite(d::AMQP_SEQUENCE, "an AMQP sequence")?;
                    while let Some(r) = list.next_element() {
                        items.push(Value::decode(r)?);
                    }
                }
                Ok(Self::Sequence(items))
            }
        }
    }
}

/// The octets of the data sections at `r`, a part of `body`; a single section is shared.
fn data(mut r: Reader<'_>, body: &Bytes) -> Result<Bytes, DecodeError> {
    let mut gathered = BytesMut::new();
    while !r.is_empty() {
        match r.read_descriptor_code()? {
            d::DATA => {}
            found => return Err(DecodeError::UnexpectedDescriptor { expected: "data", found }),
        }
        let octets = r.read_binary()?;
        if gathered.is_empty() && r.is_empty() {
            return Ok(body.slice_ref(octets));
        }
        gathered.extend_from_slice(octets);
    }
    Ok(gathered.freeze())
}
