//! Bodies of unknown length in the HTTP/1 form, which travel as HTTP/1.1 has them: in chunks (RFC 9112 7.1).

use super::{MessageError, Part};
use bytes::{Bytes, BytesMut};
use hyper::header::{HeaderMap, HeaderName, HeaderValue};

/// Octets in the line of a chunk's size, or of a trailer field.
const LINE_MAX: usize = 16 * 1024;

/// Fields of the trailer.
const FIELDS_MAX: usize = 128;

/// Digits of a size that are believed.
const DIGITS_MAX: usize = 15;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailer,
    Done,
}

/// Takes chunks apart.
#[derive(Debug, Default)]
pub(super) struct Dechunker {
    state: State,
    /// Of the line that is being read.
    line: Vec<u8>,
    trailers: HeaderMap,
}

/// The size of a chunk, as its line.
pub(super) fn put_size(out: &mut BytesMut, octets: usize) {
    out.extend_from_slice(format!("{octets:x}\r\n").as_bytes());
}

/// The last chunk, and trailers.
pub(super) fn put_end(out: &mut BytesMut, trailers: Option<&HeaderMap>) {
    out.extend_from_slice(b"0\r\n");
    for (name, value) in trailers.into_iter().flatten() {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    out.extend_from_slice(b"\r\n");
}

// === impl Dechunker ===

impl Dechunker {
    /// Whether the last chunk and the trailers have come.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Takes the next part off the octets; none when more must come, or at the end, behind which nothing counts.
    ///
    /// # Errors
    /// When these are no chunks.
    pub(super) fn next(&mut self, octets: &mut Bytes) -> Result<Option<Part>, MessageError> {
        while !octets.is_empty() {
            match self.state {
                State::Done => octets.clear(),
                State::Data(left) => {
                    let data = octets.split_to(octets.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
                    let left = left - data.len() as u64;
                    self.state = if left == 0 { State::DataEnd } else { State::Data(left) };
                    return Ok(Some(Part::Data(data)));
                }
                State::Size | State::DataEnd | State::Trailer => {
                    if self.take_line(octets)?
                        && let Some(part) = self.on_line()?
                    {
                        return Ok(Some(part));
                    }
                }
            }
        }
        Ok(None)
    }

    /// Adds octets to the line. True: it is complete.
    fn take_line(&mut self, octets: &mut Bytes) -> Result<bool, MessageError> {
        let end = octets.iter().position(|&octet| octet == b'\n');
        let taken = octets.split_to(end.map_or(octets.len(), |end| end + 1));
        self.line.extend_from_slice(&taken);
        if self.line.len() > LINE_MAX {
            return Err(MessageError::TooLarge);
        }
        Ok(end.is_some())
    }

    fn on_line(&mut self) -> Result<Option<Part>, MessageError> {
        let line = std::mem::take(&mut self.line);
        let line = line.trim_ascii_end();
        self.state = match self.state {
            State::Size => match size(line)? {
                0 => State::Trailer,
                size => State::Data(size),
            },
            State::DataEnd if line.is_empty() => State::Size,
            State::Trailer if line.is_empty() => {
                self.state = State::Done;
                let trailers = std::mem::take(&mut self.trailers);
                return Ok((!trailers.is_empty()).then_some(Part::Trailers(trailers)));
            }
            State::Trailer => {
                self.add_trailer(line)?;
                State::Trailer
            }
            State::DataEnd | State::Data(_) | State::Done => return Err(MessageError::Bad("chunk")),
        };
        Ok(None)
    }

    fn add_trailer(&mut self, line: &[u8]) -> Result<(), MessageError> {
        let bad = MessageError::Bad("trailer");
        let colon = line.iter().position(|&octet| octet == b':').ok_or(bad)?;
        let name = HeaderName::from_bytes(&line[..colon]).map_err(|_| bad)?;
        let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii()).map_err(|_| bad)?;
        if self.trailers.len() >= FIELDS_MAX {
            return Err(MessageError::TooManyFields);
        }
        self.trailers.append(name, value);
        Ok(())
    }
}

fn size(line: &[u8]) -> Result<u64, MessageError> {
    let digits = line.iter().position(|octet| !octet.is_ascii_hexdigit()).unwrap_or(line.len());
    let (digits, extension) = line.split_at(digits);
    let follows = extension.trim_ascii_start();
    if digits.is_empty() || digits.len() > DIGITS_MAX || !(follows.is_empty() || follows.starts_with(b";")) {
        return Err(MessageError::Bad("chunk size"));
    }
    let digits = std::str::from_utf8(digits).map_err(|_| MessageError::Bad("chunk size"))?;
    u64::from_str_radix(digits, 16).map_err(|_| MessageError::Bad("chunk size"))
}
