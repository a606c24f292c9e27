//! The socket of an HTTP connection, as hyper reads and writes it, with what a service counts and watches.

use super::framing::{Framing, Verdict};
use super::limit::Limit;
use super::pace::STALL_LIMIT;
use crate::tls::PeerEnd;
use crate::transport::{Transport, TransportError};
use bytes::Bytes;
use hyper::rt::{Read, ReadBufCursor, Write};
use socket2::SockRef;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a peer may take to read what it was sent last, and to close.
const CLOSE_LIMIT: Duration = Duration::from_secs(1);

/// How long the head of a request may take from its first octet to its last.
const HEAD_LIMIT: Duration = Duration::from_secs(20);

/// Octets read and written.
#[derive(Debug, Default)]
pub(super) struct Counts {
    read: AtomicU64,
    written: AtomicU64,
}

/// A socket for hyper.
pub(super) struct ServiceIo {
    transport: Transport<TcpStream>,
    /// Octets that were read and not asked for yet.
    rest: Bytes,
    counts: Arc<Counts>,
    /// Of a client of HTTP/1: how its requests are framed.
    framing: Option<Box<Framing>>,
    /// Runs while a head is coming, which is the one after so many.
    head: Limit,
    heads: u64,
    /// Runs while something waits for a client that takes nothing.
    stall: Option<Limit>,
    /// It has taken nothing for too long.
    stalled: bool,
    /// What a client has said is of no use: it is read no more.
    refused: bool,
}

// === impl Counts ===

impl Counts {
    /// Octets read and written so far.
    pub(super) fn get(&self) -> (u64, u64) {
        (self.read.load(Ordering::Relaxed), self.written.load(Ordering::Relaxed))
    }
}

// === impl ServiceIo ===

impl ServiceIo {
    pub(super) fn new(transport: Transport<TcpStream>) -> Self {
        Self {
            transport,
            rest: Bytes::new(),
            counts: Arc::default(),
            framing: None,
            head: Limit::new(HEAD_LIMIT),
            heads: 0,
            stall: None,
            stalled: false,
            refused: false,
        }
    }

    /// Of a client whose requests are looked at before hyper gets them.
    pub(super) fn framed(transport: Transport<TcpStream>) -> Self {
        Self { framing: Some(Box::default()), ..Self::new(transport) }
    }

    /// The peer has to take what it is sent, after [`STALL_LIMIT`] at the latest.
    pub(super) fn limited(self) -> Self {
        Self { stall: Some(Limit::new(STALL_LIMIT)), ..self }
    }

    /// Whether the peer has failed to.
    pub(super) const fn is_stalled(&self) -> bool {
        self.stalled
    }

    pub(super) fn counts(&self) -> Arc<Counts> {
        Arc::clone(&self.counts)
    }

    /// The near end of the socket.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        self.transport.socket().local_addr().ok()
    }

    /// Goes on with another protocol, which begins with what hyper has read ahead.
    pub(super) fn unframed(mut self, ahead: Bytes) -> Self {
        self.framing = None;
        self.head.end();
        if !ahead.is_empty() {
            self.rest =
                if self.rest.is_empty() { ahead } else { [ahead, std::mem::take(&mut self.rest)].concat().into() };
        }
        self
    }

    /// Octets, or the end of input.
    pub(super) fn poll_octets(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Ok(Some(std::mem::take(&mut self.rest))));
        }
        let octets = ready!(self.transport.poll_read(cx)).map_err(TransportError::into_io)?;
        // An end that TLS does not vouch for may come from anybody.
        if octets.is_none() && self.transport.tls_end().is_some_and(|end| end != PeerEnd::CloseNotify) {
            return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into()));
        }
        if let Some(octets) = &octets {
            self.counts.read.fetch_add(octets.len() as u64, Ordering::Relaxed);
        }
        Poll::Ready(Ok(octets))
    }

    /// Takes octets to send; returns how many.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let Poll::Ready(written) = self.transport.poll_write(cx, slices).map_err(TransportError::into_io)? else {
            return self.poll_stalled(cx).map(Err);
        };
        self.stall.iter_mut().for_each(Limit::end);
        self.counts.written.fetch_add(written as u64, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    pub(super) fn poll_flushed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.transport.poll_flush(cx) {
            Poll::Ready(flushed) => {
                self.stall.iter_mut().for_each(Limit::end);
                Poll::Ready(flushed.map_err(TransportError::into_io))
            }
            Poll::Pending => self.poll_stalled(cx).map(Err),
        }
    }

    /// Nothing can be sent: for too long?
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let Some(stall) = &mut self.stall else { return Poll::Pending };
        stall.begin();
        stall.poll(cx).map(|()| {
            self.stalled = true;
            io::ErrorKind::TimedOut.into()
        })
    }

    pub(super) fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.transport.poll_shutdown(cx).map_err(TransportError::into_io)
    }

    /// Ends the connection so that nobody takes what was sent for all.
    pub(super) fn reset(self) {
        let _ = SockRef::from(self.transport.socket()).set_linger(Some(Duration::ZERO));
    }

    /// Ends the connection so that the peer gets what it was sent last: a socket that is closed with unread input would be
    /// reset.
    pub(super) async fn finish(mut self) {
        let transport = &mut self.transport;
        let finish = async {
            poll_fn(|cx| transport.poll_shutdown(cx)).await?;
            while poll_fn(|cx| transport.poll_read(cx)).await?.is_some() {}
            Ok::<_, TransportError>(())
        };
        let _ = timeout(CLOSE_LIMIT, finish).await;
    }

    /// More of what the peer sends, once it was looked at.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.refused {
            // Of a body that makes no sense there is no end.
            let within_body = self.framing.as_ref().is_some_and(|framing| !framing.is_at_head());
            return Poll::Ready(if within_body { Err(io::ErrorKind::InvalidData.into()) } else { Ok(()) });
        }
        let octets = match self.poll_octets(cx)? {
            Poll::Ready(octets) => octets,
            Poll::Pending => return self.poll_late(cx),
        };
        let Some(octets) = octets else { return Poll::Ready(Ok(())) };
        self.rest = match &mut self.framing {
            None => octets,
            Some(framing) => match framing.look(&octets) {
                Verdict::Pass => octets,
                // hyper answers 400 to what cannot be a request, once those before it were answered.
                Verdict::Refuse(good) if framing.is_at_head() => {
                    self.refused = true;
                    [&octets[..good], b"\0\r\n\r\n"].concat().into()
                }
                Verdict::Refuse(good) => {
                    self.refused = true;
                    if good == 0 {
                        return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                    }
                    octets.slice(..good)
                }
            },
        };
        self.watch_head(cx);
        Poll::Ready(Ok(()))
    }

    /// Nothing has come: is it too late for what is missing of a head?
    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.head.poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    /// Begins or ends the time that a head may take.
    fn watch_head(&mut self, cx: &mut Context<'_>) {
        let Some(framing) = self.framing.as_ref().filter(|framing| !self.refused && framing.is_within_head()) else {
            return self.head.end();
        };
        // What ends a head may begin the next one.
        if std::mem::replace(&mut self.heads, framing.heads()) != framing.heads() {
            self.head.end();
        }
        self.head.begin();
        // It has not passed yet; whoever waits is to be woken when it has.
        let _ = self.head.poll(cx);
    }
}

impl Read for ServiceIo {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.rest.is_empty() {
            ready!(this.poll_more(cx))?;
        }
        let octets = this.rest.split_to(this.rest.len().min(buf.remaining()));
        buf.put_slice(&octets);
        Poll::Ready(Ok(()))
    }
}

impl Write for ServiceIo {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, octets: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_send(cx, &[IoSlice::new(octets)])
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_flushed(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_ended(cx)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_send(cx, slices)
    }
}
