//! Heads of messages that come in.

use super::{
    AGGREGATION, AUTHORITY, Dialect, FLOW_ID, HEAD_MAX, METHOD, PATH, PSEUDO, SITE_MAX, STATUS, UPGRADE, VERSION,
};
use amqp_core::Value;
use amqp_core::codec::format as f;
use amqp_core::codec::{DecodeError, Reader};
use amqp_core::message::{Depth, PropertiesView, PropertyField, ScanResult, scan};
use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use router_engine::stream::CHUNK_COST;
use router_engine::vanflow::Identity;

/// Fields of a head. More are none.
pub(in super::super) const FIELDS_MAX: usize = 512;

/// Why a message is no request, or no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in super::super) enum MessageError {
    #[error("undecodable message")]
    Malformed,
    #[error("head of more than {HEAD_MAX} octets")]
    TooLarge,
    #[error("more than {FIELDS_MAX} header fields")]
    TooManyFields,
    #[error("no {0}")]
    Missing(&'static str),
    #[error("bad {0}")]
    Bad(&'static str),
}

/// A head, and how many octets of the message it has; the body follows.
#[derive(Debug)]
pub(in super::super) struct Decoded<T> {
    pub(in super::super) head: T,
    pub(in super::super) len: usize,
}

/// A request.
#[derive(Debug, Clone)]
pub(in super::super) struct RequestMessage {
    pub(in super::super) dialect: Dialect,
    pub(in super::super) method: Method,
    /// What is asked for; an authority for CONNECT.
    pub(in super::super) path: String,
    pub(in super::super) authority: Option<String>,
    pub(in super::super) headers: HeaderMap,
    /// None where no answer is wanted.
    pub(in super::super) reply_to: Option<String>,
    pub(in super::super) id: Option<u64>,
    pub(in super::super) record: Option<Identity>,
    /// The protocol that is asked for.
    pub(in super::super) upgrade: Option<String>,
    /// The site of the listener.
    pub(in super::super) site: Option<String>,
    /// It is from this implementation.
    pub(in super::super) own: bool,
    /// The answers of all servers become one.
    pub(in super::super) aggregates: bool,
}

/// An answer.
#[derive(Debug, Clone)]
pub(in super::super) struct Answer {
    pub(in super::super) status: StatusCode,
    pub(in super::super) headers: HeaderMap,
    /// The number of its request, where that is told.
    pub(in super::super) id: Option<u64>,
    /// The site of the connector.
    pub(in super::super) site: Option<String>,
    pub(in super::super) dialect: Dialect,
}

/// What is common to both.
struct Head {
    subject: Option<String>,
    reply_to: Option<String>,
    message_id: Option<u64>,
    correlation_id: Option<u64>,
    site: Option<String>,
    fields: Fields,
    len: usize,
}

/// Application properties.
#[derive(Default)]
struct Fields {
    pseudo: Vec<(String, Bytes)>,
    headers: HeaderMap,
    /// The first name of an HTTP field was a symbol.
    symbols: Option<bool>,
}

/// Reads the head of a request from what has arrived; none while it is incomplete.
///
/// # Errors
/// When the message is no request.
pub(in super::super) fn request(
    chunks: &[Bytes],
    complete: bool,
) -> Result<Option<Decoded<RequestMessage>>, MessageError> {
    let Some(head) = read(chunks, complete)? else { return Ok(None) };
    let Head { subject, reply_to, message_id, correlation_id, site, mut fields, len } = head;
    let dialect = fields.dialect();
    let method = subject.or_else(|| fields.take(METHOD)).ok_or(MessageError::Missing("method"))?;
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| MessageError::Bad("method"))?;
    let path = fields.take(PATH).ok_or(MessageError::Missing("path"))?;
    let head = RequestMessage {
        dialect,
        method,
        path,
        authority: fields.take(AUTHORITY),
        reply_to,
        id: message_id,
        record: fields.take(FLOW_ID).and_then(|id| Identity::parse(&id)),
        upgrade: fields.take(UPGRADE),
        aggregates: fields.take(AGGREGATION).is_some(),
        site,
        own: correlation_id.is_some(),
        headers: fields.headers,
    };
    Ok(Some(Decoded { head, len }))
}

/// Reads the head of an answer from what has arrived; none while it is incomplete.
///
/// # Errors
/// When the message is no answer.
pub(in super::super) fn answer(chunks: &[Bytes], complete: bool) -> Result<Option<Decoded<Answer>>, MessageError> {
    let Some(head) = read(chunks, complete)? else { return Ok(None) };
    let Head { subject, correlation_id, site, mut fields, len, .. } = head;
    let dialect = fields.dialect();
    let status = subject.or_else(|| fields.take(STATUS)).ok_or(MessageError::Missing("status"))?;
    let status = StatusCode::from_bytes(status.split(' ').next().unwrap_or_default().as_bytes())
        .map_err(|_| MessageError::Bad("status"))?;
    Ok(Some(Decoded { head: Answer { status, headers: fields.headers, id: correlation_id, site, dialect }, len }))
}

/// What the chunks take in memory: a head that comes in tiny pieces must not be looked at too often either.
fn held(chunks: &[Bytes]) -> usize {
    chunks.iter().map(|chunk| chunk.len() + CHUNK_COST).sum()
}

fn read(chunks: &[Bytes], complete: bool) -> Result<Option<Head>, MessageError> {
    let map = match scan(chunks, complete, Depth::ApplicationProperties) {
        ScanResult::Ok(map) => map,
        ScanResult::Incomplete if held(chunks) > HEAD_MAX => return Err(MessageError::TooLarge),
        ScanResult::Incomplete => return Ok(None),
        ScanResult::Invalid(_) => return Err(MessageError::Malformed),
    };
    let Some(section) = map.application_properties else { return Err(MessageError::Missing("application properties")) };
    if section.end > HEAD_MAX {
        return Err(MessageError::TooLarge);
    }
    let fields = fields(&section.value(chunks))?;
    let properties = map.properties.map(|section| section.value(chunks)).unwrap_or_default();
    let view = PropertiesView::new(&properties);
    let number = |field| match view.get(field) {
        Some(Value::Ulong(number)) => Some(number),
        _ => None,
    };
    Ok(Some(Head {
        subject: view.subject().map(str::to_owned),
        reply_to: view.reply_to().map(str::to_owned),
        message_id: number(PropertyField::MessageId),
        correlation_id: number(PropertyField::CorrelationId),
        site: view.text(PropertyField::GroupId).filter(|site| (1..=SITE_MAX).contains(&site.len())).map(str::to_owned),
        fields,
        len: section.end,
    }))
}

/// Reads a map whose keys may repeat, as header fields do.
fn fields(section: &Bytes) -> Result<Fields, MessageError> {
    let mut reader = Reader::from_bytes(section);
    let mut map = reader.read_map().map_err(|_| MessageError::Malformed)?;
    let mut fields = Fields::default();
    let mut count = 0;
    while let Some(key) = map.next_element() {
        let symbol = key.peek().is_ok_and(|constructor| matches!(constructor, f::SYM8 | f::SYM32));
        let name = text(key).map_err(|_| MessageError::Bad("name of a field"))?;
        let value = map.next_element().ok_or(MessageError::Malformed)?;
        let value = text(value).map_err(|_| MessageError::Bad("value of a field"))?;
        count += 1;
        if count > FIELDS_MAX {
            return Err(MessageError::TooManyFields);
        }
        fields.add(name, section.slice_ref(value), symbol)?;
    }
    Ok(fields)
}

/// The octets of a string, symbol or binary value.
fn text<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], DecodeError> {
    let raw = reader.raw_value()?;
    let skip = match raw.first() {
        Some(&(f::STR8 | f::SYM8 | f::BIN8)) => 2,
        Some(&(f::STR32 | f::SYM32 | f::BIN32)) => 5,
        _ => return Err(DecodeError::UnexpectedEnd),
    };
    raw.get(skip..).ok_or(DecodeError::UnexpectedEnd)
}

/// Reads the trailers of a footer.
///
/// # Errors
/// When it is no map of header fields.
pub(super) fn trailers(section: &Bytes) -> Result<HeaderMap, MessageError> {
    Ok(fields(section)?.headers)
}

/// Whether a field that tells the length of a body does so in the one way that all understand.
fn is_plain(name: &HeaderName, value: &HeaderValue) -> bool {
    match *name {
        header::CONTENT_LENGTH => (1..=18).contains(&value.len()) && value.as_bytes().iter().all(u8::is_ascii_digit),
        header::TRANSFER_ENCODING => value.as_bytes().eq_ignore_ascii_case(b"chunked"),
        _ => true,
    }
}

// === impl Fields ===

impl Fields {
    fn add(&mut self, name: &[u8], value: Bytes, symbol: bool) -> Result<(), MessageError> {
        if name.first() == Some(&(PSEUDO as u8)) {
            let name = std::str::from_utf8(name).map_err(|_| MessageError::Bad("name of a field"))?;
            self.pseudo.push((name.to_owned(), value));
            return Ok(());
        }
        self.symbols.get_or_insert(symbol);
        let name = HeaderName::from_bytes(name).map_err(|_| MessageError::Bad("name of a field"))?;
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| MessageError::Bad("value of a field"))?;
        if !is_plain(&name, &value) || (name == header::CONTENT_LENGTH && self.headers.contains_key(&name)) {
            return Err(MessageError::Bad("length of the body"));
        }
        self.headers.try_append(name, value).map_err(|_| MessageError::TooManyFields)?;
        Ok(())
    }

    fn dialect(&self) -> Dialect {
        let has = |name| self.pseudo.iter().any(|(known, _)| known == name);
        if has(VERSION) || (self.symbols == Some(true) && !has(METHOD) && !has(STATUS)) {
            Dialect::Http1
        } else {
            Dialect::Http2
        }
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let at = self.pseudo.iter().position(|(known, _)| known == name)?;
        String::from_utf8(self.pseudo.swap_remove(at).1.into()).ok()
    }
}
