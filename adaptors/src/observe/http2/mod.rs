//! HTTP/2 (RFC 9113), as far as requests, answers and the lengths of bodies need it.
//!
//! ```text
//!  octets --> FrameReader --+--> HeaderBlocks --> hpack --> Fields --+--> Streams --> Records
//!  of a side                |                                        |
//!  (client's: after         +--> lengths of DATA, ends of streams ---'
//!   the preface)            '--> SETTINGS --> HeaderBlocks of the other side
//! ```

mod error;
mod fields;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
pub(super) mod fuzzing;
mod headers;
mod hpack;
mod streams;
#[cfg(test)]
mod tests;

pub use error::Error;
pub use hpack::Error as HpackError;

use super::detect::PREFACE;
use super::records::{Recorder, Records};
use super::{Off, Side};
use frame::{FrameHead, FrameReader, Piece, kind};
use headers::HeaderBlocks;
use streams::Streams;

/// `SETTINGS_HEADER_TABLE_SIZE`.
const HEADER_TABLE_SIZE: u16 = 1;

/// The observer of a connection that carries HTTP/2.
#[derive(Debug)]
pub(super) struct Http2<S> {
    /// How much of the preface the client has sent.
    preface: usize,
    client: Direction,
    server: Direction,
    streams: Streams<S>,
}

/// One direction of a connection.
#[derive(Debug)]
struct Direction {
    frames: FrameReader,
    headers: HeaderBlocks,
}

/// All that frames of one side change.
struct Frames<'a, S> {
    side: Side,
    headers: &'a mut HeaderBlocks,
    other_headers: &'a mut HeaderBlocks,
    streams: &'a mut Streams<S>,
}

// === impl Http2 ===

impl<S> Http2<S> {
    pub(super) fn new() -> Self {
        Self { preface: 0, client: Direction::new(), server: Direction::new(), streams: Streams::new() }
    }

    pub(super) fn watch<R>(&mut self, side: Side, octets: &[u8], recorder: &mut Recorder<'_, R>) -> Result<(), Off>
    where
        R: Records<Slot = S>,
    {
        self.decode(side, octets, recorder).map_err(Off::Http2)
    }

    /// Ends all records.
    pub(super) fn end<R: Records<Slot = S>>(&mut self, recorder: &mut Recorder<'_, R>) {
        self.streams.end_above(0, recorder);
    }

    fn decode<R>(&mut self, side: Side, octets: &[u8], recorder: &mut Recorder<'_, R>) -> Result<(), Error>
    where
        R: Records<Slot = S>,
    {
        let mut octets = if side == Side::Client { self.after_preface(octets)? } else { octets };
        let (from, to) = match side {
            Side::Client => (&mut self.client, &mut self.server),
            Side::Server => (&mut self.server, &mut self.client),
        };
        let (headers, other_headers) = (&mut from.headers, &mut to.headers);
        let mut frames = Frames { side, headers, other_headers, streams: &mut self.streams };
        while !octets.is_empty() {
            let (piece, consumed) = from.frames.read(octets, frames.headers.room())?;
            frames.on_piece(piece, recorder)?;
            octets = &octets[consumed..];
        }
        Ok(())
    }

    /// What follows the preface, which is checked as far as it comes.
    fn after_preface<'a>(&mut self, octets: &'a [u8]) -> Result<&'a [u8], Error> {
        let wanted = &PREFACE[self.preface..];
        let (preface, rest) = octets.split_at(wanted.len().min(octets.len()));
        if !wanted.starts_with(preface) {
            return Err(Error::Preface);
        }
        self.preface += preface.len();
        Ok(rest)
    }

    /// Octets on the heap.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn footprint(&self) -> usize {
        self.client.footprint() + self.server.footprint() + self.streams.footprint()
    }
}

// === impl Direction ===

impl Direction {
    fn new() -> Self {
        Self { frames: FrameReader::new(), headers: HeaderBlocks::new() }
    }

    #[cfg(any(test, feature = "fuzzing"))]
    fn footprint(&self) -> usize {
        self.frames.footprint() + self.headers.footprint()
    }
}

// === impl Frames ===

impl<S> Frames<'_, S> {
    fn on_piece<R>(&mut self, piece: Piece<'_>, recorder: &mut Recorder<'_, R>) -> Result<(), Error>
    where
        R: Records<Slot = S>,
    {
        match piece {
            Piece::Nothing => {}
            Piece::Data { head, octets, last } => self.on_data(head, octets, last, recorder),
            Piece::Frame(head, payload) => self.on_frame(head, payload, recorder)?,
        }
        Ok(())
    }

    fn on_data<R>(&mut self, head: FrameHead, octets: usize, last: bool, recorder: &mut Recorder<'_, R>)
    where
        R: Records<Slot = S>,
    {
        if octets > 0 {
            self.streams.on_body(self.side, head.stream, octets, recorder);
        }
        if last && head.ends_stream() {
            self.on_end_stream(head.stream, recorder);
        }
    }

    fn on_frame<R>(&mut self, head: FrameHead, payload: &[u8], recorder: &mut Recorder<'_, R>) -> Result<(), Error>
    where
        R: Records<Slot = S>,
    {
        match (head.kind, self.side) {
            (kind::HEADERS | kind::PUSH_PROMISE | kind::CONTINUATION, _) => self.on_headers(head, payload, recorder)?,
            (kind::SETTINGS, _) => self.on_settings(payload),
            (kind::RST_STREAM, _) => self.streams.end(head.stream, recorder),
            // What the server has not begun to handle will not be answered (RFC 9113 section 6.8).
            (kind::GOAWAY, Side::Server) => {
                let last = payload.first_chunk().ok_or(Error::TooShort(head.kind))?;
                self.streams.end_above(u32::from_be_bytes(*last) & 0x7FFF_FFFF, recorder);
            }
            _ => {}
        }
        Ok(())
    }

    fn on_headers<R>(&mut self, head: FrameHead, payload: &[u8], recorder: &mut Recorder<'_, R>) -> Result<(), Error>
    where
        R: Records<Slot = S>,
    {
        let Some(begun) = self.headers.on_frame(head, payload)? else { return Ok(()) };
        // Nobody asked for what is promised.
        if begun.kind == kind::PUSH_PROMISE {
            return Ok(());
        }
        let fields = self.headers.fields();
        match self.side {
            Side::Client => self.streams.on_request(begun.stream, fields, recorder),
            Side::Server => self.streams.on_response(begun.stream, fields, recorder),
        }
        if begun.ends_stream() {
            self.on_end_stream(begun.stream, recorder);
        }
        Ok(())
    }

    /// The size of the dynamic table that the other side may use. An acknowledgement has no settings.
    fn on_settings(&mut self, payload: &[u8]) {
        let (settings, _) = payload.as_chunks();
        for [id0, id1, v0, v1, v2, v3] in settings {
            if u16::from_be_bytes([*id0, *id1]) == HEADER_TABLE_SIZE {
                self.other_headers.offer_table(u32::from_be_bytes([*v0, *v1, *v2, *v3]));
            }
        }
    }

    /// One half of a stream has ended. A request is over when its answer is.
    fn on_end_stream<R: Records<Slot = S>>(&mut self, stream: u32, recorder: &mut Recorder<'_, R>) {
        if self.side == Side::Server {
            self.streams.end(stream, recorder);
        }
    }
}
