//! One direction of a connection: messages, one after the other.

use super::header::{Body, Field, Framing, chunk_size};
use super::line::LineReader;
use super::start::Version;
use super::{Error, Stop};

/// Takes a direction apart.
#[derive(Debug)]
pub(super) struct Decoder {
    lines: LineReader,
    parser: Parser,
}

/// What to do with messages: those of a client and those of a server differ here.
pub(super) trait Messages {
    /// A message has begun.
    fn on_start_line(&mut self, line: &[u8]) -> Result<Version, Error>;

    /// A value of `X-Forwarded-For`.
    fn on_forwarded_for(&mut self, value: &[u8]);

    /// The head is complete: where does the body end?
    fn on_head(&mut self, framing: Framing) -> Result<Body, Error>;

    /// Octets of the body have passed.
    fn on_body(&mut self, octets: u64);

    /// The message is complete.
    fn on_end(&mut self) -> Result<(), Stop>;
}

#[derive(Debug)]
struct Parser {
    stage: Stage,
    framing: Framing,
}

/// ```text
///  StartLine --> Headers --+--> Body ---------------------------------------+--> StartLine
///                          +--> ChunkSize --> Chunk --> ChunkEnd --> ...    |
///                          |        '--> Trailers --------------------------'
///                          '--> UntilClose
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    StartLine,
    Headers,
    /// Octets that are still to come of a body.
    Body(u64),
    UntilClose,
    ChunkSize,
    /// Octets that are still to come of a chunk.
    Chunk(u64),
    ChunkEnd,
    Trailers,
}

// === impl Decoder ===

impl Decoder {
    pub(super) const fn new() -> Self {
        let parser = Parser { stage: Stage::StartLine, framing: Framing::new(Version::Http11) };
        Self { lines: LineReader::new(), parser }
    }

    /// Whether nothing of a message has come that is not complete.
    pub(super) fn is_between_messages(&self) -> bool {
        self.parser.stage == Stage::StartLine && self.lines.is_between_lines()
    }

    pub(super) fn decode<M: Messages>(&mut self, mut octets: &[u8], messages: &mut M) -> Result<(), Stop> {
        while !octets.is_empty() {
            let consumed = match self.parser.stage {
                Stage::Body(left) | Stage::Chunk(left) => self.parser.on_body(left, octets, messages)?,
                Stage::UntilClose => {
                    messages.on_body(octets.len() as u64);
                    octets.len()
                }
                Stage::Headers => match self.lines.skip(octets, Field::may_matter) {
                    0 => self.on_line(octets, messages)?,
                    skipped => skipped,
                },
                _ => self.on_line(octets, messages)?,
            };
            octets = &octets[consumed..];
        }
        Ok(())
    }

    /// A line, as far as it goes. Returns how many of the octets it is.
    fn on_line<M: Messages>(&mut self, octets: &[u8], messages: &mut M) -> Result<usize, Stop> {
        let Some(line) = self.lines.read(octets)? else { return Ok(octets.len()) };
        self.parser.on_line(line.text, messages)?;
        Ok(line.consumed)
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) const fn footprint(&self) -> usize {
        self.lines.footprint()
    }
}

// === impl Parser ===

impl Parser {
    fn on_line<M: Messages>(&mut self, line: &[u8], messages: &mut M) -> Result<(), Stop> {
        match self.stage {
            // Blank lines before a message are none of it.
            Stage::StartLine if line.is_empty() => {}
            Stage::StartLine => {
                self.framing = Framing::new(messages.on_start_line(line)?);
                self.stage = Stage::Headers;
            }
            Stage::Headers if line.is_empty() => self.on_head(messages)?,
            Stage::Headers => self.on_header(line, messages)?,
            Stage::ChunkSize => {
                let size = chunk_size(line)?;
                self.stage = if size == 0 { Stage::Trailers } else { Stage::Chunk(size) };
            }
            Stage::ChunkEnd if line.is_empty() => self.stage = Stage::ChunkSize,
            Stage::ChunkEnd => return Err(Error::ChunkEnd.into()),
            Stage::Trailers if line.is_empty() => self.on_end(messages)?,
            Stage::Trailers | Stage::Body(_) | Stage::Chunk(_) | Stage::UntilClose => {}
        }
        Ok(())
    }

    fn on_header<M: Messages>(&mut self, line: &[u8], messages: &mut M) -> Result<(), Error> {
        match Field::parse(line) {
            Some(Field::ContentLength(value)) => self.framing.on_content_length(value)?,
            Some(Field::TransferEncoding(value)) => self.framing.on_transfer_encoding(value),
            Some(Field::ForwardedFor(value)) => messages.on_forwarded_for(value),
            None => {}
        }
        Ok(())
    }

    fn on_head<M: Messages>(&mut self, messages: &mut M) -> Result<(), Stop> {
        self.stage = match messages.on_head(self.framing)? {
            Body::Length(0) => return self.on_end(messages),
            Body::Length(length) => Stage::Body(length),
            Body::Chunked => Stage::ChunkSize,
            Body::UntilClose => Stage::UntilClose,
        };
        Ok(())
    }

    /// Octets of a body or chunk of which so many are left. Returns how many of `octets` are.
    fn on_body<M: Messages>(&mut self, left: u64, octets: &[u8], messages: &mut M) -> Result<usize, Stop> {
        let consumed = usize::try_from(left).map_or(octets.len(), |left| left.min(octets.len()));
        messages.on_body(consumed as u64);
        let left = left - consumed as u64;
        match self.stage {
            Stage::Chunk(_) => self.stage = if left == 0 { Stage::ChunkEnd } else { Stage::Chunk(left) },
            _ if left == 0 => self.on_end(messages)?,
            _ => self.stage = Stage::Body(left),
        }
        Ok(consumed)
    }

    fn on_end<M: Messages>(&mut self, messages: &mut M) -> Result<(), Stop> {
        self.stage = Stage::StartLine;
        messages.on_end()
    }
}
