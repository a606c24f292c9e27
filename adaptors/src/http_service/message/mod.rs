//! How requests and answers look as AMQP messages (spec `tcp-adaptor.md` 15.3, 15.4 and 15.6).
//!
//! ```text
//!  header | properties: to, subject (method or status), reply-to, ids | application properties: the head | data* | footer
//! ```
//!
//! There are two forms, those of the HTTP/1 and of the HTTP/2 adaptor of routers that have had them. An answer has the
//! form of its request, whatever its server speaks, so that each listener gets what it knows.
//!
//! | | HTTP/1 | HTTP/2 |
//! |---|---|---|
//! | names of fields | symbols | strings |
//! | body of unknown length | with its chunks, and `Transfer-Encoding` in the head | bare |
//! | trailers | in the last chunk | a footer |
//! | no body | no data section | an empty one |
//!
//! Those routers die of some messages that are none of theirs: of the HTTP/2 form without `:flowid`, or with a footer and no
//! data before it; of an answer that overtakes a `100`. A request of this implementation is known by its correlation id,
//! which theirs has not, and what they cannot take is only sent to their like.

mod body;
mod chunked;
mod decode;
mod encode;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzzing;
#[cfg(test)]
mod tests;

pub(super) use body::{BodyForm, BodyReader, Part};
pub(super) use decode::{Answer, Decoded, MessageError, RequestMessage, answer, request};
pub(super) use encode::{Address, answer_head, request_head};

use hyper::header::{self, HeaderMap, HeaderName};

/// The form of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Dialect {
    /// Names of fields are symbols; the request line is in pseudo fields of this mapping's own.
    Http1,
    /// Names of fields are strings; pseudo fields are those of HTTP/2.
    Http2,
}

/// What marks a property that is no field of HTTP.
const PSEUDO: char = ':';
const FLOW_ID: &str = ":flowid";
const VERSION: &str = ":version";
const REASON: &str = ":reason";
const PATH: &str = ":path";
const METHOD: &str = ":method";
const SCHEME: &str = ":scheme";
const AUTHORITY: &str = ":authority";
const STATUS: &str = ":status";
/// The protocol that a connection is to speak after the answer. Of this implementation.
const UPGRADE: &str = ":upgrade";
/// The answers of all servers become one. Of this implementation.
const AGGREGATION: &str = ":aggregation";

/// Octets in the name of a site; a longer one is none.
const SITE_MAX: usize = 256;

/// Octets of a message before its body. A longer head is none.
pub(super) const HEAD_MAX: usize = 256 * 1024;

/// Fields that concern one connection only (RFC 9110 7.6.1), beside those that `Connection` names.
const HOP_BY_HOP: [HeaderName; 6] = [
    header::CONNECTION,
    // Of RFC 7540 3.2.1.
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Takes out what concerns one connection only.
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().filter(|name| !is_needed(name)).chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
    // The one coding that concerns more than a connection is the consent to trailers.
    let takes_trailers = headers.get_all(header::TE).iter().any(|value| {
        value.to_str().is_ok_and(|value| value.split(',').any(|coding| coding.trim().eq_ignore_ascii_case("trailers")))
    });
    if takes_trailers {
        headers.insert(header::TE, header::HeaderValue::from_static("trailers"));
    } else {
        headers.remove(header::TE);
    }
}

/// Fields that a message has before its body or not at all (RFC 9110 6.5.1): those of framing, routing, request modifiers,
/// authentication, control of answers, and the form of the body; beside those that concern one connection only.
const NO_TRAILERS: [HeaderName; 29] = [
    header::AGE,
    header::AUTHORIZATION,
    header::CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::COOKIE,
    header::DATE,
    header::EXPECT,
    header::EXPIRES,
    header::HOST,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::LOCATION,
    header::MAX_FORWARDS,
    header::PRAGMA,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::RANGE,
    header::RETRY_AFTER,
    header::SET_COOKIE,
    header::TE,
    header::TRAILER,
    header::VARY,
    header::WWW_AUTHENTICATE,
];

/// The trailers that may go on, if there are any.
pub(super) fn proper_trailers(mut trailers: HeaderMap) -> Option<HeaderMap> {
    strip_hop_by_hop(&mut trailers);
    NO_TRAILERS.iter().for_each(|name| drop(trailers.remove(name)));
    (!trailers.is_empty()).then_some(trailers)
}

/// Fields without which a message is another one, whatever `Connection` says.
fn is_needed(name: &HeaderName) -> bool {
    [header::HOST, header::CONTENT_LENGTH, header::TE, header::AUTHORIZATION, header::COOKIE].contains(name)
}
