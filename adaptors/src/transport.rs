//! A socket with or without TLS on it: cleartext [`Bytes`] in, slices of cleartext out.

use crate::pool;
use crate::tls::{PeerEnd, Session, SessionInfo, TlsError};
use bytes::Bytes;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// A socket with or without TLS.
#[derive(Debug)]
pub struct Transport<S> {
    socket: S,
    tls: Option<Box<Session>>,
}

/// Why a transport failed.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The socket failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// TLS failed.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

// === impl Transport ===

impl<S> Transport<S> {
    /// The same transport on what is made of its socket.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn try_map<T>(self, make: impl FnOnce(S) -> io::Result<T>) -> io::Result<Transport<T>> {
        Ok(Transport { socket: make(self.socket)?, tls: self.tls })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Transport<S> {
    /// Cleartext on the socket.
    pub const fn plain(socket: S) -> Self {
        Self { socket, tls: None }
    }

    /// TLS on the socket; [`Self::poll_handshake`] comes first.
    pub fn tls(socket: S, session: Session) -> Self {
        Self { socket, tls: Some(Box::new(session)) }
    }

    /// Starts TLS on a cleartext transport.
    pub fn start_tls(&mut self, session: Session) {
        self.tls = Some(Box::new(session));
    }

    /// The socket.
    pub const fn socket(&self) -> &S {
        &self.socket
    }

    /// What the TLS handshake established, if there was one.
    #[must_use]
    pub fn info(&self) -> Option<&SessionInfo> {
        self.tls.as_ref().and_then(|session| session.info())
    }

    /// Whether TLS is on.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Completes the TLS handshake, if there is TLS.
    pub fn poll_handshake(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        match &mut self.tls {
            Some(session) => session.poll_handshake(cx, &mut self.socket),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Cleartext octets; `None` at the end of input.
    pub fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, TransportError>> {
        match &mut self.tls {
            Some(session) => session.poll_read(cx, &mut self.socket),
            None => self.poll_read_plain(cx),
        }
    }

    /// How the peer ended its direction of TLS, once it has.
    #[must_use]
    pub fn tls_end(&self) -> Option<PeerEnd> {
        self.tls.as_ref().and_then(|session| session.peer_end())
    }

    fn poll_read_plain(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, TransportError>> {
        let mut segment = pool::take_spare();
        let mut buf = ReadBuf::new(&mut segment[..pool::READ_MAX]);
        let result = Pin::new(&mut self.socket).poll_read(cx, &mut buf);
        let n = buf.filled().len();
        let data = pool::share(segment, n);
        ready!(result)?;
        Poll::Ready(Ok(data))
    }

    /// Takes octets to send; returns how many. With TLS they may wait for [`Self::poll_flush`].
    pub fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<Result<usize, TransportError>> {
        match &mut self.tls {
            Some(session) => session.poll_write(cx, &mut self.socket, slices),
            None => match slices {
                // A plain send is cheaper than a vectored one.
                [slice] => Pin::new(&mut self.socket).poll_write(cx, slice),
                slices => Pin::new(&mut self.socket).poll_write_vectored(cx, slices),
            }
            .map_err(TransportError::from),
        }
    }

    /// Whether [`Self::poll_flush`] has something to do.
    #[must_use]
    pub fn wants_flush(&self) -> bool {
        self.tls.as_ref().is_some_and(|session| session.wants_flush())
    }

    /// Octets that TLS has taken and holds back, as records.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.tls.as_ref().map_or(0, |session| session.unsent())
    }

    /// Sends what TLS or the socket holds back.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        match &mut self.tls {
            Some(session) => session.poll_flush(cx, &mut self.socket),
            None => Pin::new(&mut self.socket).poll_flush(cx).map_err(TransportError::from),
        }
    }

    /// Ends the sending direction, with a closing alert in TLS.
    pub fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        match &mut self.tls {
            Some(session) => session.poll_shutdown(cx, &mut self.socket),
            None => Pin::new(&mut self.socket).poll_shutdown(cx).map_err(TransportError::from),
        }
    }

    /// Ends the sending direction, in TLS without a closing alert.
    pub fn poll_shutdown_bare(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), TransportError>> {
        match &mut self.tls {
            Some(session) => session.poll_shutdown_bare(cx, &mut self.socket),
            None => self.poll_shutdown(cx),
        }
    }
}

// === impl TransportError ===

impl TransportError {
    /// The error of the socket, or that of TLS as one.
    pub(crate) fn into_io(self) -> io::Error {
        match self {
            Self::Io(error) => error,
            Self::Tls(error) => io::Error::other(error),
        }
    }

    /// Whether TLS (not the socket) failed.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}
