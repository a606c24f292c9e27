//! The producing end of a stream.

use super::{Finish, Notify, Stream, StreamLimits};
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
        self.finish_as(Finish::Orderly);
    }

    /// As [`Stream::finish_as`].
    pub fn finish_as(&mut self, finish: Finish) {
        self.ended = true;
        self.stream.finish_as(finish);
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
    use crate::stream::{Finish, Pull};
    use bytes::Bytes;
    use std::collections::VecDeque;

    #[test]
    fn a_stream_ends_with_its_producer() {
        let (orderly, bare) = (Finish::Orderly, Finish::Bare);
        for (finish, end) in
            [(None, Pull::Aborted), (Some(orderly), Pull::Done(orderly)), (Some(bare), Pull::Done(bare))]
        {
            let mut producer = Producer::new(StreamLimits::DEFAULT, None);
            let reader = producer.share().reader(None);
            producer.push(Bytes::from_static(b"a"));
            if let Some(finish) = finish {
                producer.finish_as(finish);
            }
            drop(producer);
            let mut out = VecDeque::new();
            reader.pull(usize::MAX, &mut out);
            assert_eq!(reader.pull(usize::MAX, &mut out), end);
            assert_eq!(out, [Bytes::from_static(b"a")]);
        }
    }
}
