//! Message bodies: whole messages as byte slices, and streams through bounded rings.

mod ring;

pub use ring::{CHUNK_COST, Notify, Pressure, Pull, RETAINED_MAX, Reader, Stream, StreamLimits};

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
