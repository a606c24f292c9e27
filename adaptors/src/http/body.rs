//! Bodies of answers: short texts, and files that are read as they are sent.

use super::seats::Busy;
use super::thread::READING;
use crate::tasks::blocking::FILES;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::fs::File;
use std::future::Future;
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Octets of a file that are read at a time.
const CHUNK: usize = 64 * 1024;

/// The body of an answer.
pub(super) struct AnswerBody {
    content: Content,
    /// Until it is sent, its connection is not idle.
    _busy: Busy,
}

/// What an answer brings.
pub(super) enum Content {
    /// What is left of a text.
    Text(Bytes),
    /// What is left of a file.
    File(FileContent),
}

/// A file on its way.
pub(super) struct FileContent {
    /// Octets that are still to be sent.
    left: u64,
    at: Position,
}

/// The next octets of a file, and the file.
type Reading = Pin<Box<dyn Future<Output = io::Result<(File, Bytes)>> + Send>>;

enum Position {
    /// The file, to be read on.
    Resting(File),
    /// It is being read, or waits for a thread.
    Reading(Reading),
    /// It failed.
    Failed,
}

// === impl AnswerBody ===

impl AnswerBody {
    pub(super) const fn new(content: Content, busy: Busy) -> Self {
        Self { content, _busy: busy }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let chunk = match &mut self.get_mut().content {
            Content::Text(text) => Ok(std::mem::take(text)),
            Content::File(file) => ready!(file.poll_chunk(cx)),
        };
        Poll::Ready(match chunk {
            Ok(chunk) if chunk.is_empty() => None,
            chunk => Some(chunk.map(Frame::data)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.content.left() == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.content.left())
    }
}

// === impl Content ===

impl Content {
    /// A file of so many octets.
    pub(super) const fn file(file: File, octets: u64) -> Self {
        Self::File(FileContent { left: octets, at: Position::Resting(file) })
    }

    const fn left(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::File(file) => file.left,
        }
    }
}

// === impl FileContent ===

impl FileContent {
    /// The next octets; none at the end.
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        if self.left == 0 {
            return Poll::Ready(Ok(Bytes::new()));
        }
        let mut reading = match std::mem::replace(&mut self.at, Position::Failed) {
            Position::Resting(file) => {
                let octets = self.left.min(CHUNK as u64);
                Box::pin(read_with_permit(file, octets))
            }
            Position::Reading(reading) => reading,
            Position::Failed => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        };
        let Poll::Ready(read) = reading.as_mut().poll(cx) else {
            self.at = Position::Reading(reading);
            return Poll::Pending;
        };
        let (file, chunk) = read?;
        self.left -= chunk.len() as u64;
        self.at = Position::Resting(file);
        Poll::Ready(Ok(chunk))
    }
}

async fn read_with_permit(file: File, octets: u64) -> io::Result<(File, Bytes)> {
    let permit = READING.acquire().await.map_err(io::Error::other)?;
    let reading = FILES.run(move || {
        let _permit = permit;
        read(file, octets)
    });
    reading.await.map_err(io::Error::other)?
}

/// Reads so many octets: a file that has become shorter than it was is an error, as its length was told already.
fn read(mut file: File, octets: u64) -> io::Result<(File, Bytes)> {
    let mut chunk = Vec::new();
    file.by_ref().take(octets).read_to_end(&mut chunk)?;
    if chunk.len() as u64 == octets { Ok((file, chunk.into())) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
