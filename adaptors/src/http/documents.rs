//! Documents that are there already: whoever asks for one waits for nothing.

use super::body::Content;
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, HeaderName};
use hyper::header::{HeaderValue, IF_NONE_MATCH, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS};
use hyper::{Method, Response, StatusCode};
use std::fmt::Debug;

/// The content security policy of a document without one of its own: it may do nothing.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

/// Where a listener gets documents from.
pub trait Documents: Debug + Send + Sync {
    /// The document at a path. It is asked on the thread that serves HTTP, and must not wait.
    fn find(&self, path: &str) -> Option<Document>;
}

/// A text, and what browsers are told of it.
#[derive(Debug, Clone)]
pub struct Document {
    /// The text.
    pub body: Bytes,
    /// Its media type.
    pub content_type: &'static str,
    /// Changes with the text. A text without one is not to be kept.
    pub version: Option<String>,
    /// Its content security policy.
    pub policy: Option<String>,
}

// === impl Document ===

impl Document {
    /// The answer to a request for it.
    pub(super) fn answer(self, method: &Method, headers: &HeaderMap) -> Response<Content> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut answer = Response::new(Content::Text(Bytes::from_static(b"This is only to be read\n")));
            *answer.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            answer.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        let Self { body, content_type, version, policy } = self;
        let version = version.map(|version| format!("\"{version}\""));
        let is_known = version.as_deref().is_some_and(|version| is_known(headers, version));
        let mut answer = Response::new(Content::Text(if is_known { Bytes::new() } else { body }));
        *answer.status_mut() = if is_known { StatusCode::NOT_MODIFIED } else { StatusCode::OK };
        let told = answer.headers_mut();
        let fixed = [
            (CONTENT_TYPE, content_type),
            (CACHE_CONTROL, if version.is_some() { "no-cache" } else { "no-store" }),
            (X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (REFERRER_POLICY, "no-referrer"),
            (X_FRAME_OPTIONS, "DENY"),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        ];
        told.extend(fixed.map(|(name, value)| (name, HeaderValue::from_static(value))));
        let policy = policy.and_then(|policy| HeaderValue::try_from(policy).ok());
        told.insert(CONTENT_SECURITY_POLICY, policy.unwrap_or(HeaderValue::from_static(NOTHING)));
        if let Some(version) = version.and_then(|version| HeaderValue::try_from(version).ok()) {
            told.insert(ETAG, version);
        }
        answer
    }
}

/// Whether a request names a version as one that it has.
fn is_known(headers: &HeaderMap, version: &str) -> bool {
    let named = headers.get_all(IF_NONE_MATCH).iter().filter_map(|named| named.to_str().ok());
    named.flat_map(|named| named.split(',')).any(|named| named.trim().trim_start_matches("W/") == version)
}

/// The SHA-256 of a text in base64, as content security policies name what may run.
#[must_use]
pub fn fingerprint(text: &str) -> String {
    base64(digest(&SHA256, text.as_bytes()).as_ref())
}

fn base64(octets: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in octets.chunks(3) {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | u32::from(three.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at > three.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn octets_in_base64() {
        let vectors =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("\u{ff}", "w78=")];
        for (text, expected) in vectors {
            assert_eq!(base64(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(fingerprint("abc"), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
    }

    fn document(version: Option<&str>) -> Document {
        let body = Bytes::from_static(b"text");
        Document { body, content_type: "text/html; charset=utf-8", version: version.map(str::to_owned), policy: None }
    }

    fn asked(document: Document, method: &Method, known: &[&'static str]) -> (u16, HeaderMap) {
        let mut headers = HeaderMap::new();
        for known in known {
            headers.append(IF_NONE_MATCH, HeaderValue::from_static(known));
        }
        let answer = document.answer(method, &headers);
        (answer.status().as_u16(), answer.headers().clone())
    }

    #[test]
    fn browsers_are_told_what_not_to_do() {
        let (status, headers) = asked(document(None), &Method::GET, &[]);
        assert_eq!((status, headers[CONTENT_SECURITY_POLICY].as_bytes()), (200, NOTHING.as_bytes()));
        let shown = [X_CONTENT_TYPE_OPTIONS, REFERRER_POLICY, CACHE_CONTROL].map(|name| headers[name].as_bytes());
        assert_eq!(shown, [&b"nosniff"[..], b"no-referrer", b"no-store"]);
        assert_eq!(headers.get(ETAG), None);
        let policy = Some("default-src 'self'".to_owned());
        let (_, headers) = asked(Document { policy, ..document(None) }, &Method::HEAD, &[]);
        assert_eq!(headers[CONTENT_SECURITY_POLICY], "default-src 'self'");
    }

    #[test]
    fn what_is_known_is_not_sent_again() {
        let version = |known: &[&'static str]| asked(document(Some("v1")), &Method::GET, known);
        let (status, headers) = version(&[]);
        let shown = [ETAG, CACHE_CONTROL].map(|name| headers[name].as_bytes());
        assert_eq!((status, shown), (200, [&b"\"v1\""[..], b"no-cache"]));
        assert_eq!(version(&["\"v0\", W/\"v1\""]).0, 304);
        assert_eq!(version(&["\"v0\"", "\"v1\""]).0, 304);
        assert_eq!(version(&["\"v\""]).0, 200);
        assert_eq!(asked(document(None), &Method::GET, &["*"]).0, 200);
    }

    #[test]
    fn it_is_only_read() {
        let (status, headers) = asked(document(Some("v1")), &Method::POST, &[]);
        assert_eq!((status, headers[ALLOW].as_bytes()), (405, &b"GET, HEAD"[..]));
    }
}
