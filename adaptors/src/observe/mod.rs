//! Protocol observers of TCP services: a record of every HTTP request, from the octets that pass.
//!
//! ```text
//!  client --octets--> copy loop --octets--> server
//!             |                    |
//!             '----> Observer <----'        Detector --+--> Http1: lines, bodies, transactions
//!                       |                              '--> Http2: frames, HPACK, streams
//!                       '--> Records
//! ```
//!
//! An observer only watches: it is lent octets that pass, in either direction, and keeps none of a body. It has no
//! socket and no clock. While nobody wants records it rests: a connection of HTTP/1 is not decoded, and joined at the
//! next request once somebody does. What it does not understand, or what would take more memory than it is given, ends
//! it for the rest of the connection, and [`Off`] says why.
//!
//! | What | At most, per connection |
//! |---|---|
//! | of a line, or of a header block and the frame that goes on with it | 65,535 octets in each direction |
//! | from a server before the protocol is known | 16,383 octets |
//! | requests under way with a record | 64 with HTTP/1, 256 with HTTP/2; more go without |
//! | requests under way in all | 1,024 with HTTP/1; HTTP/2 remembers none without a record |
//! | of HPACK's dynamic tables | 2,048 entries in each direction, their values only where they matter |

mod detect;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
mod http1;
mod http2;
#[cfg(any(test, feature = "fuzzing"))]
mod ledger;
mod off;
mod records;
mod scratch;

pub use http1::Error as Http1Error;
pub use http2::{Error as Http2Error, HpackError};
pub use off::Off;
pub use records::{Fact, Protocol, Records, RequestHead};

use amqp_core::Instant;
use detect::{Detector, Verdict};
use http1::Http1;
use http2::Http2;
use records::Recorder;

/// What to watch for; the attribute `observer` of a tcpListener, where it is not `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// HTTP/2 if the client begins with its preface, HTTP/1 otherwise.
    #[default]
    Auto,
    /// HTTP/1.0 and HTTP/1.1 from the first octet.
    Http1,
    /// HTTP/2 from the first octet.
    Http2,
}

/// Who sent octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client.
    Client,
    /// The server.
    Server,
}

/// What watches one connection. `S` is [`Records::Slot`].
#[derive(Debug)]
pub struct Observer<S> {
    state: State<S>,
}

/// ```text
///  Detecting --+--> Http1 --+--> Off
///              |    |  ^    |
///              |    v  |    |
///              |   Resting  |
///              '--> Http2 --'
/// ```
#[derive(Debug)]
enum State<S> {
    Detecting(Detector),
    Http1(Http1<S>),
    Http2(Box<Http2<S>>),
    /// HTTP/1, or so it seemed, of which nobody wants records: only who spoke last is known.
    Resting {
        last: Side,
        is_http1: bool,
    },
    Off,
}

// === impl Observer ===

impl<S> Observer<S> {
    /// An observer of a connection on which nothing has passed yet.
    #[must_use]
    pub fn new(mode: Mode) -> Self {
        let state = match mode {
            Mode::Auto => State::Detecting(Detector::new()),
            Mode::Http1 => State::Http1(Http1::new()),
            Mode::Http2 => State::Http2(Box::new(Http2::new())),
        };
        Self { state }
    }

    /// Watches octets that the client has sent. Tells if this was the last that the observer looked at.
    pub fn on_client<R: Records<Slot = S>>(&mut self, octets: &[u8], now: Instant, records: &mut R) -> Option<Off> {
        self.watch(Side::Client, octets, now, records)
    }

    /// Watches octets that the server has sent. Tells if this was the last that the observer looked at.
    pub fn on_server<R: Records<Slot = S>>(&mut self, octets: &[u8], now: Instant, records: &mut R) -> Option<Off> {
        self.watch(Side::Server, octets, now, records)
    }

    /// The connection has ended, or shall not be watched any more: so do all records.
    pub fn end<R: Records<Slot = S>>(&mut self, now: Instant, records: &mut R) {
        let mut recorder = Recorder { now, records };
        match std::mem::replace(&mut self.state, State::Off) {
            State::Http1(mut http1) => http1.end(&mut recorder),
            State::Http2(mut http2) => http2.end(&mut recorder),
            State::Detecting(_) | State::Resting { .. } | State::Off => {}
        }
    }

    /// Whether there is nothing left to watch for.
    #[must_use]
    pub const fn is_off(&self) -> bool {
        matches!(self.state, State::Off)
    }

    /// Whether the connection is taken for one of HTTP/1 now.
    #[must_use]
    pub const fn is_http1(&self) -> bool {
        matches!(self.state, State::Http1(_) | State::Resting { is_http1: true, .. })
    }

    /// Whether the next octets of a client or server need not be watched: nobody wants records, and watching can begin
    /// again at any request. HTTP/2 is followed all the same, as nobody can join its compression later.
    pub fn rests<R: Records<Slot = S>>(&mut self, side: Side, records: &R) -> bool {
        if records.are_wanted() {
            return false;
        }
        match &mut self.state {
            State::Resting { last, .. } => *last = side,
            State::Http1(http1) if http1.is_between_requests() => {
                self.state = State::Resting { last: side, is_http1: true };
            }
            State::Http1(_) | State::Detecting(_) | State::Http2(_) | State::Off => return false,
        }
        true
    }

    fn watch<R: Records<Slot = S>>(&mut self, side: Side, octets: &[u8], now: Instant, records: &mut R) -> Option<Off> {
        let mut recorder = Recorder { now, records };
        let watched = match &mut self.state {
            State::Off => return None,
            State::Detecting(detector) => {
                let verdict = detector.watch(side, octets);
                self.on_verdict(verdict, octets, &mut recorder)
            }
            State::Resting { last, .. } => {
                let before = std::mem::replace(last, side);
                if (before, side) == (Side::Server, Side::Client) && http1::is_request(octets) {
                    self.state = State::Http1(Http1::joined());
                }
                self.decode(side, octets, &mut recorder)
            }
            State::Http1(_) | State::Http2(_) => self.decode(side, octets, &mut recorder),
        };
        let off = watched.err()?;
        let missed = matches!(&self.state, State::Http1(http1) if !http1.is_proven());
        self.end(now, records);
        if missed {
            // What looked like a request was something else, or came before its turn.
            self.state = State::Resting { last: side, is_http1: false };
            return None;
        }
        Some(off)
    }

    fn decode<R>(&mut self, side: Side, octets: &[u8], recorder: &mut Recorder<'_, R>) -> Result<(), Off>
    where
        R: Records<Slot = S>,
    {
        match &mut self.state {
            State::Http1(http1) => http1.watch(side, octets, recorder),
            State::Http2(http2) => http2.watch(side, octets, recorder),
            State::Detecting(_) | State::Resting { .. } | State::Off => Ok(()),
        }
    }

    /// The protocol is known, or will not be. What has passed so far is looked at again: no client had said enough for an
    /// answer, so what the server said came before.
    fn on_verdict<R: Records<Slot = S>>(
        &mut self,
        verdict: Verdict,
        octets: &[u8],
        recorder: &mut Recorder<'_, R>,
    ) -> Result<(), Off> {
        let (state, replay) = match verdict {
            Verdict::Undecided => return Ok(()),
            Verdict::Unknown => return Err(Off::Undetected),
            Verdict::Http1(_) if !recorder.records.are_wanted() => {
                self.state = State::Resting { last: Side::Client, is_http1: http1::is_request(octets) };
                return Ok(());
            }
            Verdict::Http1(replay) => (State::Http1(Http1::new()), replay),
            Verdict::Http2(replay) => (State::Http2(Box::new(Http2::new())), replay),
        };
        self.state = state;
        self.decode(Side::Server, &replay.server, recorder)?;
        self.decode(Side::Client, replay.client, recorder)?;
        self.decode(Side::Client, octets, recorder)
    }

    /// Octets on the heap.
    #[cfg(any(test, feature = "fuzzing"))]
    fn footprint(&self) -> usize {
        match &self.state {
            State::Detecting(detector) => detector.footprint(),
            State::Http1(http1) => http1.footprint(),
            State::Http2(http2) => http2.footprint(),
            State::Resting { .. } | State::Off => 0,
        }
    }
}
