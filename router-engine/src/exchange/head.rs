//! The head of a TCP stream on the mesh (spec `tcp-adaptor.md` section 6).

use crate::stream::CHUNK_COST;
use crate::vanflow::Identity;
use amqp_core::Value;
use amqp_core::codec::format::descriptor;
use amqp_core::codec::{self, DecodeError};
use amqp_core::message::{Depth, PropertiesView, PropertyField, ScanResult, Section, scan};
use bytes::{BufMut, Bytes, BytesMut};
use std::fmt::Write;
use std::net::SocketAddr;

/// What marks a message as a TCP stream; a string, not a symbol.
const CONTENT_TYPE: &str = "application/octet-stream";
/// Version of the mapping, in application property `V`.
const MAPPING_VERSION: u32 = 1;
/// Application property: the protocol negotiated by the client's TLS.
const ALPN: &str = "alpn";
/// Application properties of this implementation: the ends of the client's connection, as `<address>:<port>`.
const CLIENT: &str = "client";
const SERVER: &str = "server";
/// A head larger than this, with [`CHUNK_COST`] for each piece, is not a TCP stream's.
const HEAD_MAX: usize = 64 * 1024;
/// Octets in which the dummy body usually ends.
const BODY_USUAL: usize = 16;
/// Octets that a head usually has room for.
const HEAD_USUAL: usize = 320;

/// The ends of a client's connection, as the client sees them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientEnds {
    /// The client's own.
    pub client: SocketAddr,
    /// The one that it has connected to.
    pub server: SocketAddr,
}

/// What the head of a request tells, beside where the answer goes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RequestHead {
    /// The service address.
    pub to: String,
    /// The protocol negotiated by the client's TLS.
    pub alpn: Option<String>,
    /// The record of the flow that the client's router has begun.
    pub record: Option<Identity>,
    /// Whose request it is.
    pub ends: Option<ClientEnds>,
}

/// What the head of a stream tells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// Octets of the head; what follows is the TCP stream.
    pub len: usize,
    /// Where the answering stream goes.
    pub reply_to: Option<String>,
    /// The protocol negotiated by the client's TLS.
    pub alpn: Option<String>,
    /// The record of the flow that the client's router has begun.
    pub record: Option<Identity>,
    /// Whose request it is. Other implementations do not tell.
    pub ends: Option<ClientEnds>,
}

/// Why a message is not a TCP stream (spec `tcp-adaptor.md` 6.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// The sections cannot be read.
    #[error("undecodable message")]
    Malformed,
    /// The content type is another.
    #[error("Misconfigured TCP adaptor (wrong encapsulation)")]
    WrongEncapsulation,
}

impl RequestHead {
    /// A request to a service, and nothing more.
    #[must_use]
    pub fn new(to: impl Into<String>) -> Self {
        Self { to: to.into(), ..Self::default() }
    }
}

/// The head of a client stream that is answered at `reply_to`.
#[must_use]
pub fn client_head(request: &RequestHead, reply_to: &str) -> Bytes {
    compose(request, Some(reply_to))
}

/// The head of a server stream to the client stream's reply-to.
#[must_use]
pub fn server_head(to: &str) -> Bytes {
    compose(&RequestHead::new(to), None)
}

fn compose(request: &RequestHead, reply_to: Option<&str>) -> Bytes {
    let mut out = BytesMut::with_capacity(HEAD_USUAL);
    compound(&mut out, descriptor::PROPERTIES, 0xd0, 7, |out| {
        codec::put_null(out);
        codec::put_null(out);
        codec::put_str(out, &request.to);
        codec::put_null(out);
        match reply_to {
            Some(reply_to) => codec::put_str(out, reply_to),
            None => codec::put_null(out),
        }
        match request.record {
            Some(record) => codec::put_str(out, &record.to_string()),
            None => codec::put_null(out),
        }
        codec::put_str(out, CONTENT_TYPE);
    });
    let RequestHead { alpn, ends, .. } = request;
    let pairs = 1 + u32::from(alpn.is_some()) + if ends.is_some() { 2 } else { 0 };
    compound(&mut out, descriptor::APPLICATION_PROPERTIES, 0xd1, 2 * pairs, |out| {
        codec::put_str(out, "V");
        codec::put_uint(out, MAPPING_VERSION);
        if let Some(alpn) = alpn {
            codec::put_str(out, ALPN);
            codec::put_str(out, alpn);
        }
        if let Some(ClientEnds { client, server }) = ends {
            put_address(out, CLIENT, *client);
            put_address(out, SERVER, *server);
        }
    });
    codec::put_descriptor(&mut out, descriptor::AMQP_VALUE);
    codec::put_null(&mut out);
    out.freeze()
}

/// A property whose value is an address as text, written in place as a str8.
fn put_address(out: &mut BytesMut, key: &str, address: SocketAddr) {
    codec::put_str(out, key);
    out.put_slice(&[0xa1, 0]);
    let at = out.len();
    // It cannot fail.
    let _ = write!(out, "{address}");
    out[at - 1] = (out.len() - at) as u8;
}

/// A described list32 or map32: the forms that other routers emit whatever the size.
fn compound(out: &mut BytesMut, code: u64, format: u8, count: u32, fields: impl FnOnce(&mut BytesMut)) {
    codec::put_descriptor(out, code);
    out.put_u8(format);
    let at = out.len();
    out.put_u32(0);
    out.put_u32(count);
    fields(out);
    let size = (out.len() - at - 4) as u32;
    out[at..at + 4].copy_from_slice(&size.to_be_bytes());
}

/// Reads the head from what has arrived; `None` while it is incomplete.
///
/// # Errors
/// When the message is not a TCP stream.
pub fn parse(chunks: &[Bytes], complete: bool) -> Result<Option<Head>, HeadError> {
    let more = || if complete || held(chunks) >= HEAD_MAX { Err(HeadError::Malformed) } else { Ok(None) };
    let map = match scan(chunks, complete, Depth::Body) {
        ScanResult::Ok(map) => map,
        ScanResult::Incomplete => return more(),
        ScanResult::Invalid(_) => return Err(HeadError::Malformed),
    };
    let Some((body, _)) = map.body else { return Err(HeadError::Malformed) };
    let properties = map.properties.map(|section| section.value(chunks)).unwrap_or_default();
    let properties = PropertiesView::new(&properties);
    if properties.text(PropertyField::ContentType) != Some(CONTENT_TYPE) {
        return Err(HeadError::WrongEncapsulation);
    }
    let Some(len) = body_end(body, chunks)? else { return more() };
    let application = map.application_properties.map(|section| section.value(chunks)).unwrap_or_default();
    let application = amqp_core::message::app_properties::decode(&application).unwrap_or_default();
    let text = |key| application.get(key).and_then(Value::as_str);
    let address = |key| text(key)?.parse().ok();
    let ends = address(CLIENT).zip(address(SERVER)).map(|(client, server)| ClientEnds { client, server });
    let record = properties.text(PropertyField::CorrelationId).and_then(Identity::parse);
    let [reply_to, alpn] = [properties.reply_to(), text(ALPN)].map(|text| text.map(str::to_owned));
    Ok(Some(Head { len, reply_to, alpn, record, ends }))
}

/// What the chunks take in memory: a head that comes in tiny pieces must not be looked at too often either.
fn held(chunks: &[Bytes]) -> usize {
    chunks.iter().map(|chunk| chunk.len() + CHUNK_COST).sum()
}

/// Where the one dummy body section that starts at `start` ends and the TCP stream begins; `None` when
/// the end has not come yet.
fn body_end(start: usize, chunks: &[Bytes]) -> Result<Option<usize>, HeadError> {
    let there: usize = chunks.iter().map(Bytes::len).sum();
    // The dummy body has four octets; a longer one is legal.
    for look in [BODY_USUAL, HEAD_MAX] {
        let section = Section { start, value: start, end: there.min(start + look) };
        match codec::Reader::new(&section.value(chunks)).raw_value() {
            Ok(body) => return Ok(Some(start + body.len())),
            Err(DecodeError::UnexpectedEnd) => {}
            Err(_) => return Err(HeadError::Malformed),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_back() {
        let record = Identity::parse("j2iDV:17");
        let [client, server] =
            ["[2001:db8::17]:50123", "[fe80::1%3]:443"].map(|text| text.parse().expect("an address"));
        let ends = Some(ClientEnds { client, server });
        let request = RequestHead { to: "svc".into(), alpn: Some("h2".into()), record, ends };
        let head = client_head(&request, "amqp:/_topo/0/RA/temp.x");
        let parsed = parse(std::slice::from_ref(&head), false).expect("a head").expect("complete");
        let reply_to = Some("amqp:/_topo/0/RA/temp.x".into());
        let expected = Head { len: head.len(), reply_to, alpn: Some("h2".into()), record, ends };
        assert_eq!(parsed, expected);
        let head = server_head("amqp:/_topo/0/RA/temp.x");
        let parsed = parse(&[head.clone(), Bytes::from_static(b"\0Sw payload")], false).expect("a head");
        assert_eq!(parsed.map(|p| p.len), Some(head.len()));
    }

    /// Of ordinary names and the longest addresses. It fits in the least frame that peers may ask for (512 octets).
    #[test]
    fn an_ordinary_head_is_written_without_growing() {
        let address = SocketAddr::from(([0xffff; 8], 65535));
        let request = RequestHead {
            to: "backend.default.svc:8080".into(),
            alpn: Some("http/1.1".into()),
            record: Identity::parse("j2iDV:170000"),
            ends: Some(ClientEnds { client: address, server: address }),
        };
        let head = client_head(&request, "amqp:/_topo/0/router-1/temp.abcdefghijklmno");
        assert!(head.len() <= HEAD_USUAL, "{}", head.len());
    }

    #[test]
    fn addresses_that_make_no_sense_are_none() {
        let [client, server] = ["192.0.2.1:9", "192.0.2.2:80"].map(|text| text.parse().expect("an address"));
        let request = RequestHead { ends: Some(ClientEnds { client, server }), ..RequestHead::new("svc") };
        let head = client_head(&request, "r");
        let at = head.windows(9).position(|part| part == b"192.0.2.1").expect("as text");
        let mut damaged = BytesMut::from(&head[..]);
        damaged[at] = b'x';
        let read = |head: Bytes| parse(&[head], true).expect("a head").expect("complete").ends;
        assert_eq!((read(head), read(damaged.freeze())), (request.ends, None));
    }

    fn request_head() -> Bytes {
        client_head(&RequestHead::new("svc"), "r")
    }

    #[test]
    fn a_head_may_come_octet_by_octet() {
        let head = request_head();
        for end in 0..head.len() {
            assert_eq!(parse(&[head.slice(..end)], false), Ok(None), "{end}");
            assert!(parse(&[head.slice(..end)], true).is_err(), "{end}");
        }
    }

    #[test]
    fn another_content_type_is_refused() {
        let message = amqp_core::message::MessageBuilder::new().value("hello");
        assert_eq!(parse(&[message], true), Err(HeadError::WrongEncapsulation));
        assert_eq!(parse(&[Bytes::from_static(b"rubbish")], true), Err(HeadError::Malformed));
    }

    #[test]
    fn another_content_type_is_seen_before_a_long_body() {
        let message = amqp_core::message::MessageBuilder::new().value("x".repeat(1000).as_str());
        for complete in [false, true] {
            let start = message.slice(..400);
            assert_eq!(parse(&[start], complete), Err(HeadError::WrongEncapsulation), "{complete}");
        }
        assert_eq!(parse(&[message], true), Err(HeadError::WrongEncapsulation));
    }

    /// A head whose body is `body`.
    fn head_with_body(body: &[u8]) -> BytesMut {
        let head = request_head();
        let mut message = BytesMut::from(&head[..head.len() - 4]);
        message.extend_from_slice(body);
        message
    }

    #[test]
    fn a_long_body_is_skipped_by_its_length() {
        for octets in [300, 40_000_u32] {
            let mut message = head_with_body(b"\0Su\xb0");
            message.put_u32(octets);
            message.put_bytes(b'x', octets as usize);
            let len = message.len();
            message.extend_from_slice(b"payload");
            let message = message.freeze();
            assert_eq!(parse(&[message.slice(..len - 1)], false), Ok(None));
            let pieces = [message.slice(..200), message.slice(200..)];
            assert_eq!(parse(&pieces, false).map(|head| head.map(|h| h.len)), Ok(Some(len)));
        }
    }

    #[test]
    fn a_body_without_end_is_refused_in_time() {
        let mut message = head_with_body(b"\0Su\xb0\x7f\xff\xff\xff");
        assert_eq!(parse(&[message.clone().freeze()], false), Ok(None));
        message.put_bytes(0, HEAD_MAX);
        let message = message.freeze();
        assert_eq!(parse(std::slice::from_ref(&message), false), Err(HeadError::Malformed));
        let tiny: Vec<Bytes> = (0..1024).map(|at| message.slice(at..=at)).collect();
        assert_eq!(parse(&tiny, false), Err(HeadError::Malformed), "octet by octet");
        let illegal = head_with_body(b"\0Sw\x10\x11\x12").freeze();
        assert_eq!(parse(&[illegal], false), Err(HeadError::Malformed));
    }

    #[test]
    fn the_encoding_is_the_known_one() {
        let head = server_head("a");
        assert_eq!(&head[..12], &[0x00, 0x53, 0x73, 0xd0, 0, 0, 0, 0x26, 0, 0, 0, 7][..12]);
        assert!(head.ends_with(&[0xa1, 1, b'V', 0x52, 1, 0x00, 0x53, 0x77, 0x40]));
    }
}
