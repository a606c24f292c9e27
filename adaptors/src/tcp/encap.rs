//! The head of a TCP stream on the mesh (spec `tcp-adaptor.md` section 6).

use amqp_core::codec;
use amqp_core::codec::format::descriptor;
use amqp_core::message::{Depth, PropertiesView, PropertyField, ScanResult, SectionMap, scan};
use bytes::{BufMut, Bytes, BytesMut};

/// What marks a message as a TCP stream; a string, not a symbol.
const CONTENT_TYPE: &str = "application/octet-stream";
/// Version of the mapping, in application property `V`.
const MAPPING_VERSION: u32 = 1;
/// A head larger than this is not a TCP stream's.
const HEAD_MAX: usize = 64 * 1024;

/// What the head of a stream tells.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// Octets of the head; what follows is the TCP stream.
    pub len: usize,
    /// Where the answering stream goes.
    pub reply_to: Option<String>,
    /// The protocol negotiated by the client's TLS.
    pub alpn: Option<String>,
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

/// The head of a client stream to the service address `to`, answered at `reply_to`.
#[must_use]
pub(super) fn client_head(to: &str, reply_to: &str, alpn: Option<&str>) -> Bytes {
    compose(to, Some(reply_to), alpn)
}

/// The head of a server stream to the client stream's reply-to.
#[must_use]
pub(super) fn server_head(to: &str) -> Bytes {
    compose(to, None, None)
}

fn compose(to: &str, reply_to: Option<&str>, alpn: Option<&str>) -> Bytes {
    let mut out = BytesMut::with_capacity(160);
    compound(&mut out, descriptor::PROPERTIES, 0xd0, 7, |out| {
        codec::put_null(out);
        codec::put_null(out);
        codec::put_str(out, to);
        codec::put_null(out);
        match reply_to {
            Some(reply_to) => codec::put_str(out, reply_to),
            None => codec::put_null(out),
        }
        codec::put_null(out);
        codec::put_str(out, CONTENT_TYPE);
    });
    let pairs = if alpn.is_some() { 4 } else { 2 };
    compound(&mut out, descriptor::APPLICATION_PROPERTIES, 0xd1, pairs, |out| {
        codec::put_str(out, "V");
        codec::put_uint(out, MAPPING_VERSION);
        if let Some(alpn) = alpn {
            codec::put_str(out, "alpn");
            codec::put_str(out, alpn);
        }
    });
    codec::put_descriptor(&mut out, descriptor::AMQP_VALUE);
    codec::put_null(&mut out);
    out.freeze()
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
pub(super) fn parse(chunks: &[Bytes], complete: bool) -> Result<Option<Head>, HeadError> {
    let map = match scan(chunks, complete, Depth::Body) {
        ScanResult::Ok(map) => map,
        ScanResult::Incomplete if !complete && total(chunks) < HEAD_MAX => return Ok(None),
        ScanResult::Incomplete | ScanResult::Invalid(_) => return Err(HeadError::Malformed),
    };
    let Some(len) = body_end(&map, chunks)? else {
        return if complete { Err(HeadError::Malformed) } else { Ok(None) };
    };
    let properties = map.properties.map(|section| section.value(chunks)).unwrap_or_default();
    let properties = PropertiesView::new(&properties);
    if properties.text(PropertyField::ContentType) != Some(CONTENT_TYPE) {
        return Err(HeadError::WrongEncapsulation);
    }
    let application = map.application_properties.map(|section| section.value(chunks)).unwrap_or_default();
    let alpn = amqp_core::message::app_properties::decode(&application)
        .ok()
        .and_then(|properties| properties.get("alpn").and_then(amqp_core::Value::as_str).map(str::to_owned));
    Ok(Some(Head { len, reply_to: properties.reply_to().map(str::to_owned), alpn }))
}

fn total(chunks: &[Bytes]) -> usize {
    chunks.iter().map(Bytes::len).sum()
}

/// Where the one dummy body section ends and the TCP stream begins.
fn body_end(map: &SectionMap, chunks: &[Bytes]) -> Result<Option<usize>, HeadError> {
    let Some((start, _)) = map.body else { return Err(HeadError::Malformed) };
    let mut head = BytesMut::new();
    let mut skip = start;
    for chunk in chunks {
        let from = skip.min(chunk.len());
        skip -= from;
        // The dummy body is three octets; a longer one is legal but need not be supported at length.
        let room = 256 - head.len().min(256);
        head.extend_from_slice(&chunk[from..(from + room).min(chunk.len())]);
    }
    let mut reader = codec::Reader::new(&head);
    Ok(reader.skip_value().is_ok().then(|| start + reader.position()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_are_read_back() {
        let head = client_head("svc", "amqp:/_topo/0/RA/temp.x", Some("h2"));
        let parsed = parse(std::slice::from_ref(&head), false).expect("a head").expect("complete");
        let expected =
            Head { len: head.len(), reply_to: Some("amqp:/_topo/0/RA/temp.x".into()), alpn: Some("h2".into()) };
        assert_eq!(parsed, expected);
        let head = server_head("amqp:/_topo/0/RA/temp.x");
        let parsed = parse(&[head.clone(), Bytes::from_static(b"\0Sw payload")], false).expect("a head");
        assert_eq!(parsed.map(|p| p.len), Some(head.len()));
    }

    #[test]
    fn a_head_may_come_octet_by_octet() {
        let head = client_head("svc", "r", None);
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
    fn the_encoding_is_the_known_one() {
        let head = server_head("a");
        assert_eq!(&head[..12], &[0x00, 0x53, 0x73, 0xd0, 0, 0, 0, 0x26, 0, 0, 0, 7][..12]);
        assert!(head.ends_with(&[0xa1, 1, b'V', 0x52, 1, 0x00, 0x53, 0x77, 0x40]));
    }
}
