//! A socket in memory whose other end is moved by hand.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// See the module documentation.
#[derive(Debug, Default)]
pub(in super::super) struct Socket {
    /// Octets on their way in.
    pub(in super::super) input: VecDeque<u8>,
    /// Nothing comes after the input.
    pub(in super::super) ended: bool,
    /// Octets that one read gives at most.
    pub(in super::super) read_max: usize,
    /// Octets that were written.
    pub(in super::super) output: Vec<u8>,
    /// Octets that may be written before the socket blocks.
    pub(in super::super) room: usize,
    /// The sending direction was shut down.
    pub(in super::super) shut: bool,
}

impl AsyncRead for Socket {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.input.is_empty() {
            return if self.ended { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        let n = self.input.len().min(buf.remaining()).min(self.read_max);
        let octets: Vec<u8> = self.input.drain(..n).collect();
        buf.put_slice(&octets);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        assert!(!self.shut, "written after the end");
        let n = data.len().min(self.room);
        if n == 0 && !data.is_empty() {
            return Poll::Pending;
        }
        self.room -= n;
        self.output.extend_from_slice(&data[..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shut = true;
        Poll::Ready(Ok(()))
    }
}
