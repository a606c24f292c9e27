//! A part of a segment that holds octets on their way to or from a socket.

use crate::pool::{self, Segment};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A part of a segment that holds octets, or nothing at all.
#[derive(Default)]
pub(super) struct Window {
    segment: Option<Segment>,
    start: usize,
    end: usize,
}

// === impl Window ===

impl Window {
    /// A window with these octets. `None` when they do not fit a segment.
    pub(super) fn holding(octets: &[u8]) -> Option<Self> {
        if octets.is_empty() {
            return Some(Self::default());
        }
        let mut segment = pool::CIPHER.take();
        segment.get_mut(..octets.len())?.copy_from_slice(octets);
        Some(Self { segment: Some(segment), start: 0, end: octets.len() })
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// The octets.
    pub(super) fn octets(&self) -> &[u8] {
        self.segment.as_ref().map_or(&[], |segment| &segment[self.start..self.end])
    }

    /// Forgets the first `n` octets.
    pub(super) const fn consume(&mut self, n: usize) {
        self.start += n;
    }

    /// Gives an empty segment back.
    pub(super) fn release_if_empty(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// The free part behind the octets; takes a segment when there is none.
    pub(super) fn room(&mut self) -> &mut [u8] {
        let segment = self.segment.get_or_insert_with(|| pool::CIPHER.take());
        &mut segment[self.end..]
    }

    /// Counts `n` octets that were put into the room.
    pub(super) const fn produce(&mut self, n: usize) {
        self.end += n;
    }

    /// Reads from the socket behind the octets that are there.
    pub(super) fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut S,
    ) -> Poll<std::io::Result<usize>> {
        if self.start > 0
            && let Some(segment) = &mut self.segment
        {
            // At most one partial record is left here.
            segment.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        let mut buf = ReadBuf::new(self.room());
        let result = Pin::new(socket).poll_read(cx, &mut buf);
        let n = buf.filled().len();
        self.end += n;
        self.release_if_empty();
        result.map_ok(|()| n)
    }

    /// Writes everything to the socket.
    pub(super) fn poll_drain<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut S,
    ) -> Poll<std::io::Result<()>> {
        while !self.is_empty() {
            let n = ready!(Pin::new(&mut *socket).poll_write(cx, self.octets()))?;
            if n == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            self.start += n;
        }
        *self = Self::default();
        Poll::Ready(Ok(()))
    }
}
