//! A TCP connection between an application and a flow: without delay, with bounded buffers.

use crate::exchange::{Read, Transport, WriteError};
use crate::stream::Finish;
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::IoSlice;
use std::task::{Context, Poll};

/// Octets that fit in one direction.
const CAPACITY: usize = 64 * 1024;
/// Octets that one read takes at most.
const READ: usize = 20_000;

/// How a direction of a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// In good order: everything was sent.
    Fin,
    /// The same, without the closing alert of TLS.
    Bare,
    /// By a reset.
    Reset,
}

/// One direction.
#[derive(Debug, Default)]
pub(super) struct Lane {
    chunks: VecDeque<Bytes>,
    octets: usize,
    pub(super) end: Option<End>,
}

/// A TCP connection. The flow has it as its transport; the application has the other end.
#[derive(Debug, Default)]
pub(super) struct Socket {
    pub(super) to_flow: Lane,
    pub(super) to_app: Lane,
    /// The flow was given something to do since it was asked.
    pub(super) stirred: bool,
}

// === impl End ===

impl End {
    /// Whether everything was sent.
    pub(super) const fn is_whole(self) -> bool {
        matches!(self, Self::Fin | Self::Bare)
    }
}

// === impl Lane ===

impl Lane {
    pub(super) fn room(&self) -> usize {
        if self.end.is_some() { 0 } else { CAPACITY.saturating_sub(self.octets) }
    }

    pub(super) fn push(&mut self, chunk: Bytes) {
        self.octets += chunk.len();
        self.chunks.push_back(chunk);
    }

    pub(super) fn pop(&mut self, max: usize) -> Option<Bytes> {
        let front = self.chunks.front_mut()?;
        let taken = front.split_to(front.len().min(max));
        if !front.has_remaining() {
            self.chunks.pop_front();
        }
        self.octets -= taken.len();
        Some(taken)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Ends the direction. A reset takes the place of an end in good order that was not read yet.
    pub(super) fn finish(&mut self, end: End) {
        if self.end.is_none() || end == End::Reset {
            self.end = Some(end);
        }
    }
}

// === impl Socket ===

impl Socket {
    /// The application resets the connection: what the flow has sent is of no use any more.
    pub(super) fn reset_by_app(&mut self) {
        self.to_flow.finish(End::Reset);
        self.to_app = Lane { end: Some(End::Reset), ..Lane::default() };
        self.stirred = true;
    }

    /// The flow closes the connection: in good order, or by a reset that may overtake what is on its way.
    pub(super) fn close(&mut self, in_order: bool, overtakes: bool) {
        if in_order {
            self.to_app.finish(End::Fin);
            return;
        }
        if overtakes {
            self.to_app = Lane::default();
        }
        self.to_app.finish(End::Reset);
        self.to_flow.finish(End::Reset);
    }

    pub(super) fn is_reset_by_app(&self) -> bool {
        self.to_flow.end == Some(End::Reset)
    }
}

impl Transport for Socket {
    fn poll_read(&mut self, _: &mut Context<'_>) -> Poll<Read> {
        match (self.to_flow.pop(READ), self.to_flow.end) {
            (Some(data), _) => Poll::Ready(Read::Data(data)),
            (None, Some(End::Fin)) => Poll::Ready(Read::End(Finish::Orderly)),
            (None, Some(End::Bare)) => Poll::Ready(Read::End(Finish::Bare)),
            (None, Some(End::Reset)) => Poll::Ready(Read::Failed),
            (None, None) => Poll::Pending,
        }
    }

    fn poll_write(&mut self, _: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<Result<usize, WriteError>> {
        if self.is_reset_by_app() {
            return Poll::Ready(Err(WriteError::Broken));
        }
        let mut written = 0;
        for slice in slices {
            let part = &slice[..slice.len().min(self.to_app.room())];
            if !part.is_empty() {
                self.to_app.push(Bytes::copy_from_slice(part));
            }
            written += part.len();
        }
        if written == 0 { Poll::Pending } else { Poll::Ready(Ok(written)) }
    }

    fn wants_flush(&self) -> bool {
        false
    }

    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>, finish: Finish, last: bool) -> Poll<()> {
        if !self.is_reset_by_app() {
            match finish {
                Finish::Bare => self.to_app.finish(End::Bare),
                Finish::Orderly if last => {}
                Finish::Orderly => self.to_app.finish(End::Fin),
            }
        }
        Poll::Ready(())
    }
}
