//! The ring between a producer and a reader.

use super::Path;
use bytes::Bytes;
use router_engine::stream::{Stream, StreamLimits};
use std::collections::VecDeque;

/// Octets that are handed over at a time.
pub const CHUNK: usize = 64 * 1024;

/// One chunk is pushed and pulled.
#[must_use]
pub fn hand_over() -> Path {
    let chunk = Bytes::from(vec![0; CHUNK]);
    let stream = Stream::new(StreamLimits::DEFAULT, None);
    let reader = stream.reader(None);
    let mut out = VecDeque::new();
    Box::new(move |times| {
        for _ in 0..times {
            stream.push(chunk.clone());
            reader.pull(CHUNK, &mut out);
            out.clear();
        }
    })
}
