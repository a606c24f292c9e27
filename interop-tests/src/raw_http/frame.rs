//! Frames of HTTP/2, right and wrong ones.

use std::fmt;
use std::io::{self, Read};

use anyhow::{Result, bail};

use super::shown;

/// What a client says first.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Octets of a frame's head.
const HEAD: usize = 9;

/// Kinds of frames.
#[allow(missing_docs, reason = "names of RFC 9113, section 6")]
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames.
#[allow(missing_docs, reason = "names of RFC 9113, section 6")]
pub mod flag {
    pub const ACK: u8 = 1;
    pub const END_STREAM: u8 = 1;
    pub const END_HEADERS: u8 = 4;
    pub const PADDED: u8 = 8;
    pub const PRIORITY: u8 = 0x20;
    /// A head that is all of a request.
    pub const END: u8 = END_STREAM | END_HEADERS;
}

/// Error codes.
#[allow(missing_docs, reason = "names of RFC 9113, section 7")]
pub mod code {
    pub const NO_ERROR: u32 = 0;
    pub const PROTOCOL_ERROR: u32 = 1;
    pub const INTERNAL_ERROR: u32 = 2;
    pub const FLOW_CONTROL_ERROR: u32 = 3;
    pub const SETTINGS_TIMEOUT: u32 = 4;
    pub const STREAM_CLOSED: u32 = 5;
    pub const FRAME_SIZE_ERROR: u32 = 6;
    pub const REFUSED_STREAM: u32 = 7;
    pub const CANCEL: u32 = 8;
    pub const COMPRESSION_ERROR: u32 = 9;
    pub const CONNECT_ERROR: u32 = 10;
    pub const ENHANCE_YOUR_CALM: u32 = 11;
}

/// Settings.
#[allow(missing_docs, reason = "names of RFC 9113, section 6.5.2")]
pub mod setting {
    pub const HEADER_TABLE_SIZE: u16 = 1;
    pub const ENABLE_PUSH: u16 = 2;
    pub const MAX_CONCURRENT_STREAMS: u16 = 3;
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
    pub const MAX_FRAME_SIZE: u16 = 5;
    pub const MAX_HEADER_LIST_SIZE: u16 = 6;
}

/// A frame.
#[derive(Clone, PartialEq, Eq)]
pub struct Frame {
    /// One of [`kind`], or any.
    pub kind: u8,
    /// Of [`flag`], or any.
    pub flags: u8,
    /// The stream.
    pub stream: u32,
    /// What follows the head.
    pub payload: Vec<u8>,
}

// === impl Frame ===

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, flags, stream, payload } = self;
        write!(f, "frame of kind {kind} with flags {flags:#x} on stream {stream}: {}", shown(payload))
    }
}

impl Frame {
    /// A frame of these parts, whether they fit or not.
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, flags, stream, payload: payload.into() }
    }

    /// A frame with settings.
    pub fn settings(settings: &[(u16, u32)]) -> Self {
        let pair = |(id, value): &(u16, u32)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat();
        Self::new(kind::SETTINGS, 0, 0, settings.iter().flat_map(pair).collect::<Vec<_>>())
    }

    /// A frame that ends a stream.
    pub fn reset(stream: u32, code: u32) -> Self {
        Self::new(kind::RST_STREAM, 0, stream, code.to_be_bytes())
    }

    /// A frame that allows so many octets more.
    pub fn window_update(stream: u32, increment: u32) -> Self {
        Self::new(kind::WINDOW_UPDATE, 0, stream, increment.to_be_bytes())
    }

    /// A frame that ends a connection.
    pub fn goaway(last_stream: u32, code: u32) -> Self {
        Self::new(kind::GOAWAY, 0, 0, [last_stream.to_be_bytes(), code.to_be_bytes()].concat())
    }

    /// As it goes over the wire.
    pub fn octets(&self) -> Vec<u8> {
        let mut octets = head(self.payload.len(), self.kind, self.flags, self.stream);
        octets.extend(&self.payload);
        octets
    }

    /// Reads a frame; none at the end of the connection, however that came.
    ///
    /// # Errors
    /// If nothing comes in time, or the frame is longer than the limit.
    pub fn read(reader: &mut impl Read, limit: usize) -> Result<Option<Self>> {
        let mut head = [0; HEAD];
        if !fill(reader, &mut head)? {
            return Ok(None);
        }
        let [a, b, c, kind, flags, stream @ ..] = head;
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        if length > limit {
            bail!("a frame of kind {kind} with {length} octets");
        }
        let mut payload = vec![0; length];
        if !fill(reader, &mut payload)? {
            return Ok(None);
        }
        Ok(Some(Self { kind, flags, stream: u32::from_be_bytes(stream) & 0x7fff_ffff, payload }))
    }

    /// Whether it has that flag.
    pub fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    /// The payload of DATA or HEADERS without padding and priority.
    pub fn content(&self) -> Result<&[u8]> {
        let mut content = self.payload.as_slice();
        if self.has(flag::PADDED) {
            let Some((&padding, rest)) = content.split_first() else { bail!("no length of the padding") };
            let Some(kept) = rest.len().checked_sub(padding.into()) else { bail!("more padding than payload") };
            content = &rest[..kept];
        }
        if self.kind == kind::HEADERS && self.has(flag::PRIORITY) {
            let Some(rest) = content.get(5..) else { bail!("half a priority") };
            content = rest;
        }
        Ok(content)
    }

    /// A number in the payload.
    pub fn number(&self, at: usize) -> Result<u32> {
        match self.payload.get(at..at + 4).map(<[u8; 4]>::try_from) {
            Some(Ok(octets)) => Ok(u32::from_be_bytes(octets)),
            _ => bail!("a frame of kind {} with {} octets", self.kind, self.payload.len()),
        }
    }

    /// The settings in the payload.
    pub fn pairs(&self) -> Result<Vec<(u16, u32)>> {
        if !self.payload.len().is_multiple_of(6) {
            bail!("half a setting");
        }
        let pair = |at: usize| {
            let id = u16::from_be_bytes([self.payload[at], self.payload[at + 1]]);
            Ok((id, self.number(at + 2)?))
        };
        (0..self.payload.len()).step_by(6).map(pair).collect()
    }
}

/// The head of a frame with so many octets.
pub fn head(length: usize, kind: u8, flags: u8, stream: u32) -> Vec<u8> {
    let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes()].concat()
}

/// Fills the buffer, or tells that the connection has ended.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if is_waiting(&error) => bail!("nothing comes"),
        Err(_) => Ok(false),
    }
}

/// Whether it means that a limit of time was reached.
pub(crate) fn is_waiting(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}
