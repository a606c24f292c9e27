//! HTTP/1.0 and HTTP/1.1 (RFC 9112), as far as requests, answers and the lengths of bodies need it.
//!
//! ```text
//!  octets --> LineReader --> Decoder --Messages--> Requests  ---+
//!  of a side                 (grammar)             Responses ---+--> Transactions --> Records
//! ```

mod decoder;
mod error;
mod header;
mod line;
mod messages;
mod start;
#[cfg(test)]
mod tests;
mod transaction;

pub use error::Error;

use super::records::{Recorder, Records};
use super::{Off, Side};
use decoder::Decoder;
use messages::{Requests, Responses};
use start::RequestLine;
use transaction::Transactions;

/// The observer of a connection that carries HTTP/1.
#[derive(Debug)]
pub(super) struct Http1<S> {
    client: Decoder,
    server: Decoder,
    transactions: Transactions<S>,
    /// A request was answered, or the connection is watched from its first octet.
    is_proven: bool,
}

/// Why nothing more can be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Error(Error),
    /// Another protocol follows.
    Tunnel,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// How far the end of a request line is looked for where nobody knows whether there is one, in octets.
const JOINED_LINE: usize = 8 * 1024;

/// Whether a request may begin with these octets.
pub(super) fn is_request(octets: &[u8]) -> bool {
    let octets = &octets[..octets.len().min(JOINED_LINE)];
    let line = octets.iter().position(|octet| *octet == b'\n').map(|end| &octets[..end]);
    line.is_some_and(|line| RequestLine::parse(line.strip_suffix(b"\r").unwrap_or(line)).is_ok())
}

// === impl Http1 ===

impl<S> Http1<S> {
    pub(super) const fn new() -> Self {
        let transactions = Transactions::new();
        Self { client: Decoder::new(), server: Decoder::new(), transactions, is_proven: true }
    }

    /// The observer of a connection on which what follows seems to be a request.
    pub(super) fn joined() -> Self {
        Self { is_proven: false, ..Self::new() }
    }

    /// Whether what is watched is surely HTTP/1.
    pub(super) const fn is_proven(&self) -> bool {
        self.is_proven
    }

    /// Whether every request so far was answered, and no other one has begun.
    pub(super) fn is_between_requests(&self) -> bool {
        self.transactions.is_empty() && self.client.is_between_messages() && self.server.is_between_messages()
    }

    pub(super) fn watch<R>(&mut self, side: Side, octets: &[u8], recorder: &mut Recorder<'_, R>) -> Result<(), Off>
    where
        R: Records<Slot = S>,
    {
        let transactions = &mut self.transactions;
        let decoded = match side {
            Side::Client => self.client.decode(octets, &mut Requests { transactions, recorder }),
            Side::Server => self.server.decode(octets, &mut Responses { transactions, recorder }),
        };
        self.is_proven |= decoded.is_ok() && self.transactions.is_empty();
        decoded.map_err(|stop| match stop {
            Stop::Tunnel => Off::Tunnel,
            Stop::Error(error) if self.transactions.is_empty() => Off::NotHttp1(error),
            Stop::Error(error) => Off::Http1(error),
        })
    }

    /// Ends all records.
    pub(super) fn end<R: Records<Slot = S>>(&mut self, recorder: &mut Recorder<'_, R>) {
        self.transactions.end(recorder);
    }

    /// Octets on the heap.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn footprint(&self) -> usize {
        self.client.footprint() + self.server.footprint() + self.transactions.footprint()
    }
}
