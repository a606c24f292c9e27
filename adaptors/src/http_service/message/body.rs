//! Bodies: data sections, and a footer with trailers.

use super::chunked::{self, Dechunker};
use super::decode::trailers;
use super::encode::footer;
use super::{Dialect, HEAD_MAX, MessageError, proper_trailers};
use amqp_core::codec::format::{self as f, descriptor as d};
use amqp_core::codec::{self, DecodeError, Reader};
use bytes::{BufMut, Bytes, BytesMut};
use hyper::header::{self, HeaderMap, HeaderValue};
use router_engine::stream::CHUNK_COST;
use smallvec::{SmallVec, smallvec};
use std::collections::VecDeque;

/// Octets in which the start of a section ends: descriptor, constructor, and length. Descriptors may be long forms.
const START_MAX: usize = 32;

/// Sections of a body that are no data, at most: each is joined before it is left out.
const OTHERS_MAX: u8 = 16;

/// What a body consists of.
#[derive(Debug, PartialEq)]
pub(in super::super) enum Part {
    /// Octets.
    Data(Bytes),
    /// The trailers, which come last.
    Trailers(HeaderMap),
}

/// Takes the body of a message apart, which comes in pieces.
#[derive(Debug, Default)]
pub(in super::super) struct BodyReader {
    sections: Sections,
    /// Where data is in chunks.
    chunks: Option<Box<Dechunker>>,
    /// Data that was not taken apart yet.
    raw: Bytes,
}

#[derive(Debug, Default)]
struct Sections {
    /// Of the data section that is being read.
    left: usize,
    /// The footer has come, or something that is no body.
    ended: bool,
    /// Sections that are no data.
    others: u8,
}

/// How the body of a message that goes out looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum BodyForm {
    /// Data, and trailers as a footer: of HTTP/2, or of known length.
    Bare(Dialect),
    /// Data in chunks, and trailers in the last one.
    Chunked,
}

/// What comes next in the body.
enum Section {
    Data(usize),
    Footer,
    /// No body of HTTP: passed over with its octets.
    Other(usize),
}

/// Appends the start of a data section.
fn data_section_head(out: &mut BytesMut, octets: usize) {
    codec::put_descriptor(out, d::DATA);
    match u8::try_from(octets) {
        Ok(octets) => out.put_slice(&[f::BIN8, octets]),
        Err(_) => {
            out.put_u8(f::BIN32);
            out.put_u32(octets as u32);
        }
    }
}

// === impl BodyForm ===

impl BodyForm {
    /// For a body with these fields in its head, which are made to tell of it. `known`: how many octets it has.
    pub(in super::super) fn of(dialect: Dialect, headers: &mut HeaderMap, known: Option<usize>) -> Self {
        headers.remove(header::TRANSFER_ENCODING);
        if dialect == Dialect::Http2 || headers.contains_key(header::CONTENT_LENGTH) {
            return Self::Bare(dialect);
        }
        if let Some(octets) = known {
            if octets > 0 {
                headers.insert(header::CONTENT_LENGTH, octets.into());
            }
            return Self::Bare(dialect);
        }
        headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        Self::Chunked
    }

    /// Appends a whole body.
    pub(in super::super) fn put_whole(
        self,
        out: &mut BytesMut,
        data: &[Bytes],
        trailers: Option<&HeaderMap>,
        own: bool,
    ) {
        let octets = data.iter().map(Bytes::len).sum::<usize>();
        if self == Self::Chunked {
            let mut end = BytesMut::new();
            if octets > 0 {
                chunked::put_size(&mut end, octets);
                data.iter().for_each(|data| end.extend_from_slice(data));
                end.extend_from_slice(b"\r\n");
            }
            chunked::put_end(&mut end, trailers);
            data_section_head(out, end.len());
            return out.extend_from_slice(&end);
        }
        if octets > 0 || self == Self::Bare(Dialect::Http2) {
            data_section_head(out, octets);
            data.iter().for_each(|data| out.extend_from_slice(data));
        }
        if let Some(trailers) = trailers.filter(|_| octets > 0 || own) {
            footer(out, trailers);
        }
    }

    /// A piece of a body that is not empty, as chunks of a message.
    pub(in super::super) fn data(self, octets: Bytes) -> SmallVec<[Bytes; 3]> {
        let mut head = BytesMut::with_capacity(24);
        if self != Self::Chunked {
            data_section_head(&mut head, octets.len());
            return smallvec![head.freeze(), octets];
        }
        let mut size = BytesMut::with_capacity(16);
        chunked::put_size(&mut size, octets.len());
        data_section_head(&mut head, size.len() + octets.len() + 2);
        head.extend_from_slice(&size);
        smallvec![head.freeze(), octets, Bytes::from_static(b"\r\n")]
    }

    /// What comes after the last piece. `any`: there was one; `own`: the receiver is of this implementation.
    pub(in super::super) fn end(self, trailers: Option<&HeaderMap>, any: bool, own: bool) -> Option<Bytes> {
        let mut out = BytesMut::new();
        if self == Self::Chunked {
            let mut end = BytesMut::new();
            chunked::put_end(&mut end, trailers);
            data_section_head(&mut out, end.len());
            out.extend_from_slice(&end);
        } else {
            footer(&mut out, trailers.filter(|_| any || own)?);
        }
        Some(out.freeze())
    }
}

// === impl BodyReader ===

impl BodyReader {
    /// Of a message with that head.
    pub(in super::super) fn new(dialect: Dialect, headers: &HeaderMap) -> Self {
        let chunked = dialect == Dialect::Http1 && headers.contains_key(header::TRANSFER_ENCODING);
        Self { chunks: chunked.then(Box::default), ..Self::default() }
    }

    /// The next part of what has come; none when more must come first, or, when the message is `complete`, at its end.
    ///
    /// # Errors
    /// When the message is malformed, or ends within a section or a chunk.
    pub(in super::super) fn next(
        &mut self,
        chunks: &mut VecDeque<Bytes>,
        complete: bool,
    ) -> Result<Option<Part>, MessageError> {
        match self.next_part(chunks, complete)? {
            Some(Part::Trailers(trailers)) => match proper_trailers(trailers) {
                Some(trailers) => Ok(Some(Part::Trailers(trailers))),
                None => self.next_part(chunks, complete),
            },
            part => Ok(part),
        }
    }

    fn next_part(&mut self, chunks: &mut VecDeque<Bytes>, complete: bool) -> Result<Option<Part>, MessageError> {
        let Some(dechunker) = &mut self.chunks else { return self.sections.next(chunks, complete) };
        loop {
            if let Some(part) = dechunker.next(&mut self.raw)? {
                return Ok(Some(part));
            }
            match self.sections.next(chunks, complete)? {
                Some(Part::Data(data)) => self.raw = data,
                Some(Part::Trailers(_)) => {}
                None if complete && !dechunker.is_done() => return Err(MessageError::Malformed),
                None => return Ok(None),
            }
        }
    }
}

// === impl Sections ===

impl Sections {
    fn next(&mut self, chunks: &mut VecDeque<Bytes>, complete: bool) -> Result<Option<Part>, MessageError> {
        loop {
            if self.ended {
                chunks.clear();
                return Ok(None);
            }
            if self.left > 0 {
                let Some(data) = take_some(chunks, self.left) else {
                    return if complete { Err(MessageError::Malformed) } else { Ok(None) };
                };
                self.left -= data.len();
                return Ok(Some(Part::Data(data)));
            }
            let Some(section) = start(chunks, complete)? else { return Ok(None) };
            match section {
                Section::Data(octets) => self.left = octets,
                Section::Footer => {
                    let Some(footer) = whole_footer(chunks, complete)? else { return Ok(None) };
                    self.ended = true;
                    let trailers = trailers(&footer)?;
                    if !trailers.is_empty() {
                        return Ok(Some(Part::Trailers(trailers)));
                    }
                }
                Section::Other(octets) => {
                    self.others += 1;
                    if self.others > OTHERS_MAX {
                        return Err(MessageError::Malformed);
                    }
                    drop_front(chunks, octets);
                }
            }
        }
    }
}

/// Octets from the front, so many at most; never none.
fn take_some(chunks: &mut VecDeque<Bytes>, most: usize) -> Option<Bytes> {
    while chunks.front()?.is_empty() {
        chunks.pop_front();
    }
    let front = chunks.front_mut()?;
    if front.len() <= most { chunks.pop_front() } else { Some(front.split_to(most)) }
}

fn drop_front(chunks: &mut VecDeque<Bytes>, mut octets: usize) {
    while octets > 0
        && let Some(taken) = take_some(chunks, octets)
    {
        octets -= taken.len();
    }
}

/// The first octets, in one piece.
fn peek(chunks: &VecDeque<Bytes>, most: usize) -> Bytes {
    match chunks.front() {
        Some(front) if front.len() >= most || chunks.len() == 1 => front.slice(..front.len().min(most)),
        _ => {
            let held = chunks.iter().map(Bytes::len).sum::<usize>();
            let mut out = BytesMut::with_capacity(held.min(most));
            for chunk in chunks {
                out.put_slice(&chunk[..chunk.len().min(most - out.len())]);
                if out.len() == most {
                    break;
                }
            }
            out.freeze()
        }
    }
}

/// Reads the start of a section, and takes it off where it is a data section's. None at the end, or when more must come.
fn start(chunks: &mut VecDeque<Bytes>, complete: bool) -> Result<Option<Section>, MessageError> {
    let first = peek(chunks, START_MAX);
    if first.is_empty() {
        return Ok(None);
    }
    let mut reader = Reader::from_bytes(&first);
    match read_start(&mut reader) {
        Ok((d::FOOTER, _)) => Ok(Some(Section::Footer)),
        Ok((d::DATA, Some(octets))) => {
            let taken = first.len() - reader.remaining().len();
            drop_front(chunks, taken);
            Ok(Some(Section::Data(octets)))
        }
        Ok((d::DATA, None)) => Err(MessageError::Malformed),
        Ok(_) => other(chunks, complete),
        Err(DecodeError::UnexpectedEnd) if !complete && first.len() < START_MAX => Ok(None),
        Err(_) => Err(MessageError::Malformed),
    }
}

/// The code of a section, and of a data section how many octets it has.
fn read_start(reader: &mut Reader<'_>) -> Result<(u64, Option<usize>), DecodeError> {
    let code = reader.read_descriptor_code()?;
    if code != d::DATA {
        return Ok((code, None));
    }
    let octets = match reader.octet()? {
        f::BIN8 => usize::from(reader.octet()?),
        f::BIN32 => {
            let size = reader.take(4)?;
            size.iter().fold(0, |size, &octet| size << 8 | usize::from(octet))
        }
        _ => return Ok((code, None)),
    };
    Ok((code, Some(octets)))
}

/// A section that HTTP has no use for, such as the empty value that some put in place of no body.
fn other(chunks: &VecDeque<Bytes>, complete: bool) -> Result<Option<Section>, MessageError> {
    let Some((section, octets)) = whole(chunks, complete)? else { return Ok(None) };
    drop(section);
    Ok(Some(Section::Other(octets)))
}

/// The value of the footer.
fn whole_footer(chunks: &mut VecDeque<Bytes>, complete: bool) -> Result<Option<Bytes>, MessageError> {
    let Some((value, octets)) = whole(chunks, complete)? else { return Ok(None) };
    drop_front(chunks, octets);
    Ok(Some(value))
}

/// The value of the section at the front and how many octets that has, once it has come as a whole.
fn whole(chunks: &VecDeque<Bytes>, complete: bool) -> Result<Option<(Bytes, usize)>, MessageError> {
    let there = peek(chunks, HEAD_MAX);
    let mut reader = Reader::from_bytes(&there);
    let value = reader.read_descriptor_code().and_then(|_| reader.raw_value());
    match value {
        Ok(value) => {
            let value = there.slice_ref(value);
            Ok(Some((value, there.len() - reader.remaining().len())))
        }
        Err(DecodeError::UnexpectedEnd) if !complete && there.len() + chunks.len() * CHUNK_COST < HEAD_MAX => Ok(None),
        Err(_) => Err(MessageError::Malformed),
    }
}
