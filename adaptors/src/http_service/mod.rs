//! HTTP services: httpListener and httpConnector, whose requests are carried and balanced one by one (spec `tcp-adaptor.md`
//! section 15).
//!
//! ```text
//!  client --> client: serve --> respond --request--> (mesh) --> connector --> server: run ---> server
//!     hyper      |                 ^                             pool           |  hyper
//!                '-- Requester ----'<------answer--- (mesh) <--- Responder <----'
//! ```
//!
//! * One task owns one socket, and everything that is under way there ([`nursery`]).
//! * A request whose body is short goes as one message, a longer one as a stream; so does its answer.
//! * A request counts as outstanding at its server, which is what balancing goes by, until its answer has arrived.
//! * hyper speaks HTTP; what it would repair in requests of HTTP/1 is refused before it sees that ([`framing`]).

mod aggregate;
mod body;
mod client;
mod connector;
mod framing;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod io;
mod limit;
mod listener;
mod message;
mod nursery;
mod pace;
mod record;
mod requester;
mod respond;
mod responder;
mod serve;
mod server;
mod setup;
mod tally;
mod tunnel;

#[cfg(test)]
mod tests;

pub use connector::{HttpConnector, HttpConnectorParams};
pub use framing::is_authority;
pub use listener::{HttpListener, HttpListenerParams};
pub use tally::{Counters, Direction, Failures, HOSTS_MAX, RequestInfo};

/// What clients or servers of a service speak; the attribute `protocolVersion`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum HttpVersion {
    /// HTTP/1.1, and HTTP/1.0.
    #[default]
    Http1,
    /// HTTP/2.
    Http2,
}

/// How the answers of all servers become one; the attribute `aggregation`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aggregation {
    /// As the parts of a `multipart/mixed` body.
    Multipart,
    /// As an array of JSON objects.
    Json,
}

// === impl HttpVersion ===

impl HttpVersion {
    /// What operators call it.
    #[must_use]
    pub const fn protocol(self) -> &'static str {
        match self {
            Self::Http1 => "http1",
            Self::Http2 => "http2",
        }
    }

    /// What TLS agrees on (RFC 7301).
    const fn alpn(self) -> &'static [u8] {
        match self {
            Self::Http1 => b"http/1.1",
            Self::Http2 => b"h2",
        }
    }

    const fn http(self) -> http::Version {
        match self {
            Self::Http1 => http::Version::HTTP_11,
            Self::Http2 => http::Version::HTTP_2,
        }
    }

    const fn dialect(self) -> message::Dialect {
        match self {
            Self::Http1 => message::Dialect::Http1,
            Self::Http2 => message::Dialect::Http2,
        }
    }
}
