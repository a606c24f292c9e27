//! What is told of a request, and to whom.

use amqp_core::Instant;
use std::borrow::Cow;
use std::time::Duration;

/// What records carry of a text at most, in octets.
const TEXT_LIMIT: usize = 300;

/// How much of an `X-Forwarded-For` is looked at, in octets.
const FORWARDED_LIMIT: usize = 127;

/// The protocol of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
}

/// A request, as it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead<'a> {
    /// As the request line has it, or the connection preface.
    pub protocol: Protocol,
    method: &'a [u8],
    /// The stream of an HTTP/2 request.
    pub stream: Option<u32>,
}

/// What becomes known of a request. Counts are totals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact<'a> {
    /// The client that the first proxy saw: the first element of the first `X-Forwarded-For`.
    SourceHost(Cow<'a, str>),
    /// From the request's head to the head of the first answer, an informational one included.
    Latency(Duration),
    /// The status of the final answer, from 100 to 999, and with HTTP/1 its reason phrase.
    Result {
        /// The status.
        status: u16,
        /// The reason phrase, empty if there is none; `None` with HTTP/2.
        reason: Option<Cow<'a, str>>,
    },
    /// Octets of the request's body.
    RequestOctets(u64),
    /// Octets of the answer's body.
    ResponseOctets(u64),
}

/// Where requests are noted. A request that is given no slot is watched without.
pub trait Records {
    /// The record of one request.
    type Slot;

    /// Whether requests that begin now are given slots.
    fn are_wanted(&self) -> bool;

    /// A request has begun.
    fn begin(&mut self, request: &RequestHead<'_>, now: Instant) -> Option<Self::Slot>;

    /// Something is known of it.
    fn update(&mut self, slot: &mut Self::Slot, fact: Fact<'_>);

    /// It is answered, or its connection has ended or is not watched any more.
    fn end(&mut self, slot: Self::Slot, now: Instant);
}

/// The records at one point in time.
pub(super) struct Recorder<'a, R> {
    pub(super) now: Instant,
    pub(super) records: &'a mut R,
}

/// A text as records take it: with an end, and of UTF-8.
pub(super) fn text(octets: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(&octets[..octets.len().min(TEXT_LIMIT)])
}

/// The first element of an `X-Forwarded-For`.
pub(super) fn first_forwarded(value: &[u8]) -> Option<&[u8]> {
    let value = &value[..value.len().min(FORWARDED_LIMIT)];
    value.split(|octet| *octet == b',').find(|element| !element.is_empty())
}

// === impl Protocol ===

impl Protocol {
    /// The name of the protocol in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Http2 => "HTTP/2",
        }
    }
}

// === impl RequestHead ===

impl<'a> RequestHead<'a> {
    pub(super) const fn new(protocol: Protocol, method: &'a [u8], stream: Option<u32>) -> Self {
        Self { protocol, stream, method }
    }

    /// The method; empty if an HTTP/2 request names none.
    #[must_use]
    pub fn method(&self) -> Cow<'a, str> {
        text(self.method)
    }
}

// === impl Recorder ===

impl<R: Records> Recorder<'_, R> {
    pub(super) fn begin(&mut self, request: &RequestHead<'_>) -> Option<R::Slot> {
        self.records.begin(request, self.now)
    }

    /// Tells a fact of a request that has a record.
    pub(super) fn update(&mut self, slot: Option<&mut R::Slot>, fact: Fact<'_>) {
        if let Some(slot) = slot {
            self.records.update(slot, fact);
        }
    }

    pub(super) fn end(&mut self, slot: Option<R::Slot>) {
        if let Some(slot) = slot {
            self.records.end(slot, self.now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_of_those_who_forwarded() {
        let long = [b'x'; 200];
        let cases: [(&[u8], Option<&[u8]>); 7] = [
            (b"192.0.2.1", Some(b"192.0.2.1")),
            (b"192.0.2.1, 192.0.2.2", Some(b"192.0.2.1")),
            (b"192.0.2.1 ,192.0.2.2", Some(b"192.0.2.1 ")),
            (b",,192.0.2.1", Some(b"192.0.2.1")),
            (b"", None),
            (b",", None),
            (&long, Some(&long[..127])),
        ];
        for (value, first) in cases {
            assert_eq!(first_forwarded(value), first, "{}", value.escape_ascii());
        }
    }

    #[test]
    fn texts_end() {
        assert_eq!(text(&[b'x'; 301]).len(), 300);
        assert_eq!(text(b"a\xffb"), "a\u{fffd}b");
    }
}
