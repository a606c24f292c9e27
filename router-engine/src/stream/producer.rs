//! The producing end of a stream.

use super::{Notify, Stream, StreamLimits};
use std::ops::Deref;
use std::sync::Arc;

/// The one who produces a stream. Dropped before the end of the stream, it aborts it: what was not finished on purpose is
/// not complete.
#[derive(Debug)]
pub struct Producer {
    stream: Arc<Stream>,
    /// It was finished or aborted.
    ended: bool,
}

// === impl Producer ===

impl Producer {
    /// An empty stream. `notify` is told when room returns after [`super::Pressure::Full`].
    #[must_use]
    pub fn new(limits: StreamLimits, notify: Option<Notify>) -> Self {
        Self { stream: Stream::new(limits, notify), ended: false }
    }

    /// The stream, for those who read it.
    #[must_use]
    pub fn share(&self) -> Arc<Stream> {
        Arc::clone(&self.stream)
    }

    /// As [`Stream::finish`].
    pub fn finish(&mut self) {
        self.ended = true;
        self.stream.finish();
    }

    /// As [`Stream::abort`].
    pub fn abort(&mut self) {
        self.ended = true;
        self.stream.abort();
    }
}

impl Deref for Producer {
    type Target = Stream;

    fn deref(&self) -> &Stream {
        &self.stream
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        if !self.ended {
            self.stream.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::Pull;
    use bytes::Bytes;
    use std::collections::VecDeque;

    #[test]
    fn a_stream_ends_with_its_producer() {
        for (finished, end) in [(false, Pull::Aborted), (true, Pull::Done)] {
            let mut producer = Producer::new(StreamLimits::DEFAULT, None);
            let reader = producer.share().reader(None);
            producer.push(Bytes::from_static(b"a"));
            if finished {
                producer.finish();
            }
            drop(producer);
            let mut out = VecDeque::new();
            reader.pull(usize::MAX, &mut out);
            assert_eq!(reader.pull(usize::MAX, &mut out), end);
            assert_eq!(out, [Bytes::from_static(b"a")]);
        }
    }
}
