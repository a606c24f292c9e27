//! Message bodies: whole messages as byte slices, and streams through bounded rings.

mod producer;
mod ring;

pub use producer::Producer;
pub use ring::{CHUNK_COST, Finish, Notify, Pressure, Pull, RETAINED_MAX, Reader, Stream, StreamLimits};

use bytes::Bytes;
use std::sync::Arc;

/// The octets of a message, without the router annotations section. Cloning shares them.
#[derive(Debug, Clone)]
pub enum Payload {
    /// A complete message in one slice.
    One(Bytes),
    /// A complete message in several slices.
    Many(Arc<[Bytes]>),
    /// A message that may still be arriving.
    Stream(Arc<Stream>),
}

// === impl Payload ===

impl Payload {
    /// Octets held: of a stream those that wait in it.
    #[must_use]
    pub fn octets(&self) -> usize {
        match self {
            Self::One(message) => message.len(),
            Self::Many(chunks) => chunks.iter().map(Bytes::len).sum(),
            Self::Stream(stream) => stream.buffered(),
        }
    }

    /// The stream, or one that is complete.
    #[must_use]
    pub fn into_stream(self) -> Arc<Stream> {
        self.into_stream_finished(Finish::Orderly)
    }

    /// The stream, or one that is complete and finished so.
    #[must_use]
    pub fn into_stream_finished(self, finish: Finish) -> Arc<Stream> {
        let whole = |chunks: &[Bytes]| {
            let stream = Stream::new(StreamLimits::DEFAULT, None);
            stream.push_all(chunks.iter().cloned());
            stream.finish_as(finish);
            stream
        };
        match self {
            Self::Stream(stream) => stream,
            Self::One(octets) => whole(&[octets]),
            Self::Many(chunks) => whole(&chunks),
        }
    }

    /// The octets of a complete message in one slice; `None` of a stream.
    #[must_use]
    pub fn contiguous(&self) -> Option<Bytes> {
        match self {
            Self::One(message) => Some(message.clone()),
            Self::Many(chunks) => Some(chunks.concat().into()),
            Self::Stream(_) => None,
        }
    }
}
