//! Our transport as hyper reads and writes it, and as WebSocket does after it.

use crate::transport::{Transport, TransportError};
use bytes::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep, timeout};

/// A peer that takes nothing for so long is gone.
const STALL_LIMIT: Duration = Duration::from_secs(30);

/// How long a peer may take to read what it was sent last, and to close.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// A transport, and octets that were read from it ahead of who wants them.
pub(super) struct Cleartext<S> {
    transport: Transport<S>,
    /// Octets that were read and not asked for yet.
    rest: Bytes,
}

/// A transport for hyper.
pub(super) struct HttpIo<S> {
    cleartext: Cleartext<S>,
    /// Runs while the peer takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

/// So many octets at most from the front.
pub(super) fn split_front(octets: &mut Bytes, most: usize) -> Bytes {
    octets.split_to(octets.len().min(most))
}

// === impl Cleartext ===

impl<S: AsyncRead + AsyncWrite + Unpin> Cleartext<S> {
    /// A transport from which these octets were read already.
    pub(super) const fn new(transport: Transport<S>, rest: Bytes) -> Self {
        Self { transport, rest }
    }

    pub(super) fn into_parts(self) -> (Transport<S>, Bytes) {
        (self.transport, self.rest)
    }

    /// The next octets, so many at most; none at the end.
    fn poll_octets(&mut self, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<Bytes>> {
        if self.rest.is_empty() {
            self.rest = ready!(self.transport.poll_read(cx)).map_err(TransportError::into_io)?.unwrap_or_default();
        }
        Poll::Ready(Ok(split_front(&mut self.rest, most)))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Cleartext<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let octets = ready!(self.get_mut().poll_octets(cx, buf.remaining()))?;
        buf.put_slice(&octets);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Cleartext<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().transport.poll_write(cx, &[IoSlice::new(octets)]).map_err(TransportError::into_io)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().transport.poll_flush(cx).map_err(TransportError::into_io)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().transport.poll_shutdown(cx).map_err(TransportError::into_io)
    }
}

// === impl HttpIo ===

impl<S: AsyncRead + AsyncWrite + Unpin> HttpIo<S> {
    /// A transport from which these octets were read already.
    pub(super) const fn new(transport: Transport<S>, first: Bytes) -> Self {
        Self { cleartext: Cleartext::new(transport, first), stalled: None }
    }

    /// For another protocol, which is to begin with what HTTP has read ahead.
    pub(super) fn into_cleartext(self, ahead: Bytes) -> Cleartext<S> {
        let Cleartext { transport, rest } = self.cleartext;
        Cleartext { transport, rest: if ahead.is_empty() { rest } else { [ahead, rest].concat().into() } }
    }

    /// Ends the connection so that the peer gets what it was sent last: a socket that is closed with unread input would
    /// be reset.
    pub(super) async fn finish(self) {
        let mut transport = self.cleartext.transport;
        let finish = async {
            poll_fn(|cx| transport.poll_shutdown(cx)).await?;
            while poll_fn(|cx| transport.poll_read(cx)).await?.is_some() {}
            Ok::<_, TransportError>(())
        };
        let _ = timeout(CLOSE_LIMIT, finish).await;
    }

    /// Fails when a peer has taken nothing for too long.
    fn watch<T>(&mut self, cx: &mut Context<'_>, written: Poll<Result<T, TransportError>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(result) = written {
            self.stalled = None;
            return Poll::Ready(result.map_err(TransportError::into_io));
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(STALL_LIMIT)));
        stalled.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Read for HttpIo<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let octets = ready!(self.get_mut().cleartext.poll_octets(cx, buf.remaining()))?;
        buf.put_slice(&octets);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Write for HttpIo<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(octets)])
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = this.cleartext.transport.poll_flush(cx);
        this.watch(cx, flushed)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let shut = this.cleartext.transport.poll_shutdown(cx);
        this.watch(cx, shut)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = this.cleartext.transport.poll_write(cx, slices);
        this.watch(cx, written)
    }
}
