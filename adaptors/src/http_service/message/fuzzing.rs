//! What the fuzz target of messages runs.

use super::{BodyReader, Decoded, Dialect, answer, request};
use bytes::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use std::collections::VecDeque;

/// Reads octets as a request, as an answer, and as a body; in one piece, and octet by octet as far as that is short.
pub(in super::super) fn run(octets: &[u8]) {
    let octets = Bytes::copy_from_slice(octets);
    let whole = std::slice::from_ref(&octets);
    let _ = answer(whole, true);
    let asked = request(whole, true);
    let short: Vec<Bytes> = (0..octets.len().min(512)).map(|at| octets.slice(at..=at)).collect();
    let _ = request(&short, false);
    let from = match asked {
        Ok(Some(Decoded { len, .. })) => len,
        _ => 0,
    };
    for mut chunks in [VecDeque::from([octets.slice(from..)]), short.into()] {
        let mut fields = HeaderMap::new();
        fields.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        let mut again = chunks.clone();
        count(BodyReader::default(), &mut chunks, octets.len());
        count(BodyReader::new(Dialect::Http1, &fields), &mut again, octets.len());
    }
}

fn count(mut reader: BodyReader, chunks: &mut VecDeque<Bytes>, octets: usize) {
    let mut parts = 0;
    while let Ok(Some(_)) = reader.next(chunks, true) {
        parts += 1;
        assert!(parts <= octets + 1, "a part has an octet at least");
    }
}
