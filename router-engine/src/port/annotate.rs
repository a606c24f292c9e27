//! Composing the router annotations in front of outgoing messages (spec `inter-router-protocol.md` 4.4).

use crate::annotations::Annotations;
use bytes::{Bytes, BytesMut};

/// Room made at a time; sections are slices of it.
const SEGMENT: usize = 4096;

/// A larger section gets a buffer of its own size.
const USUAL: usize = 512;

#[derive(Debug)]
pub(super) struct AnnotationEncoder {
    /// This router as it appears in traces; `None` where the path is not told.
    own: Option<Box<[u8]>>,
    scratch: BytesMut,
}

// === impl AnnotationEncoder ===

impl AnnotationEncoder {
    /// `with_path` is false on edge routers and towards other networks.
    pub(super) fn new(router: &str, with_path: bool) -> Self {
        let own = with_path.then(|| format!("0/{router}").into_bytes().into_boxed_slice());
        Self { own, scratch: BytesMut::new() }
    }

    pub(super) fn encode(&mut self, annotations: &Annotations) -> Bytes {
        if self.scratch.capacity() < USUAL {
            self.scratch.reserve(SEGMENT);
        }
        match &self.own {
            Some(own) => annotations.encode(Some(own), &mut self.scratch),
            None => annotations.encode_without_path(&mut self.scratch),
        }
        self.scratch.split().freeze()
    }

    /// Gives back memory.
    pub(super) fn release(&mut self) {
        self.scratch = BytesMut::new();
    }
}
