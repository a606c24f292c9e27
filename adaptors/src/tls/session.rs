//! A TLS session over any socket: records in, cleartext [`Bytes`] out, and slices in, records out.
//!
//! ```text
//!  socket --read--> input segment --open--> data segment --> Bytes (records joined)
//!  socket <-write-- output segment <-seal-- slices (records filled)
//! ```
//!
//! Both segments go back to their pool as soon as they are empty: an idle session holds none.

use super::control::level;
use super::error::TlsError;
use super::handshake::{Established, Handshake, Progress, SessionInfo};
use super::traffic::Traffic;
use super::window::Window;
use crate::figures::HANDSHAKES_FAILED;
use crate::pool;
use crate::transport::TransportError;
use bytes::Bytes;
use rustls::AlertDescription;
use std::io::ErrorKind::BrokenPipe;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

const HANDSHAKE_READ: usize = 4096;

/// A TLS session. See the module documentation.
pub struct Session {
    phase: Phase,
    input: Window,
    output: Window,
    peer_end: Option<PeerEnd>,
    /// Nothing more is sent: the closing alert was, or the sending direction was ended without.
    close_sent: bool,
    key_limit: u64,
}

/// How the peer's octets ended. A fatal alert is no such end but an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerEnd {
    /// With its closing alert: it sent no more than what came.
    CloseNotify,
    /// The transport ended without one, between records. Many programs end so; but whoever controls the path may have cut
    /// something off.
    Bare,
    /// The transport ended amid a record: something is missing.
    Truncated,
}

enum Phase {
    Handshake(Box<Handshake>),
    Open(Box<Open>),
    Failed(TlsError),
}

struct Open {
    traffic: Traffic,
    info: SessionInfo,
}

// === impl Session ===

impl Session {
    pub(crate) fn new(handshake: Handshake) -> Self {
        Self::with_phase(Phase::Handshake(Box::new(handshake)))
    }

    fn with_phase(phase: Phase) -> Self {
        Self {
            phase,
            input: Window::default(),
            output: Window::default(),
            peer_end: None,
            close_sent: false,
            key_limit: u64::MAX,
        }
    }

    /// What the handshake established, once it is done.
    #[must_use]
    pub fn info(&self) -> Option<&SessionInfo> {
        match &self.phase {
            Phase::Open(open) => Some(&open.info),
            _ => None,
        }
    }

    /// How the peer's octets ended, once [`Self::poll_read`] has returned `None`.
    #[must_use]
    pub const fn peer_end(&self) -> Option<PeerEnd> {
        self.peer_end
    }

    /// Lets keys change after so many full records, if their ciphers would not have it sooner. For whoever
    /// wants to see it happen; to be called before the handshake is done.
    pub const fn limit_keys(&mut self, records: u64) {
        self.key_limit = records;
    }

    /// Adds octets that were read from the socket before TLS began.
    pub(crate) fn feed(&mut self, data: &[u8]) -> Result<(), TlsError> {
        match &mut self.phase {
            Phase::Handshake(handshake) => handshake.feed(data),
            _ => Ok(()),
        }
    }

    /// Completes the handshake. After an error the alert was sent as far as the socket took it.
    pub fn poll_handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut S,
    ) -> Poll<Result<(), TransportError>> {
        let done = self.advance_handshake(cx, socket);
        if matches!(done, Poll::Ready(Err(_))) {
            HANDSHAKES_FAILED.count();
        }
        done
    }

    fn advance_handshake<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut S,
    ) -> Poll<Result<(), TransportError>> {
        loop {
            let handshake = match &mut self.phase {
                Phase::Handshake(handshake) => handshake,
                Phase::Open(_) => return Poll::Ready(Ok(())),
                Phase::Failed(error) => return Poll::Ready(Err(error.clone().into())),
            };
            let progress = match handshake.advance() {
                Ok(progress) => progress,
                Err(error) => {
                    // Best effort: a socket that does not take an alert at once gets none.
                    let _ = poll_write_all(cx, socket, &mut handshake.output);
                    return Poll::Ready(Err(self.fail(error)));
                }
            };
            ready!(poll_write_all(cx, socket, &mut handshake.output))?;
            if progress == Progress::Done {
                self.open()?;
                return Poll::Ready(Ok(()));
            }
            let mut chunk = [0; HANDSHAKE_READ];
            let mut buf = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut *socket).poll_read(cx, &mut buf))?;
            if buf.filled().is_empty() {
                return Poll::Ready(Err(self.fail(TlsError::UnexpectedEof)));
            }
            if let Err(error) = handshake.feed(buf.filled()) {
                return Poll::Ready(Err(self.fail(error)));
            }
        }
    }

    fn open(&mut self) -> Result<(), TransportError> {
        let phase = std::mem::replace(&mut self.phase, Phase::Failed(TlsError::Internal("handshake lost")));
        let Phase::Handshake(handshake) = phase else { return Ok(()) };
        let established = handshake.finish().map_err(|e| self.fail(e))?;
        self.take_over(established).map_err(|e| self.fail(e))
    }

    /// Goes on with what a handshake established.
    pub(super) fn take_over(&mut self, established: Established) -> Result<(), TlsError> {
        self.input = Window::holding(&established.rest).ok_or(TlsError::RecordTooLong)?;
        let info = established.info.clone();
        self.phase = Phase::Open(Box::new(Open { traffic: Traffic::new(established, self.key_limit), info }));
        Ok(())
    }

    /// A session that begins after a handshake.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn established(established: Established, key_limit: u64) -> Result<Self, TlsError> {
        let mut session = Self::with_phase(Phase::Failed(TlsError::Internal("no handshake")));
        session.limit_keys(key_limit);
        session.take_over(established)?;
        Ok(session)
    }

    fn fail(&mut self, error: TlsError) -> TransportError {
        self.phase = Phase::Failed(error.clone());
        self.input = Window::default();
        error.into()
    }

    /// Cleartext octets, or `None` at the end of input. The handshake must be done.
    pub fn poll_read<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut S,
    ) -> Poll<Result<Option<Bytes>, TransportError>> {
        loop {
            if let Some(data) = self.decrypt(cx, socket)? {
                return Poll::Ready(Ok(Some(data)));
            }
            if self.peer_end.is_some() {
                self.input = Window::default();
                return Poll::Ready(Ok(None));
            }
            match self.input.poll_fill(cx, socket) {
                Poll::Ready(Ok(0)) => {
                    self.peer_end = Some(if self.input.is_empty() { PeerEnd::Bare } else { PeerEnd::Truncated });
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error.into())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Opens the whole records that are there, as far as they fit one data segment.
    fn decrypt<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut S,
    ) -> Result<Option<Bytes>, TransportError> {
        let traffic = match &mut self.phase {
            Phase::Open(open) => &mut open.traffic,
            Phase::Failed(error) => return Err(error.clone().into()),
            Phase::Handshake(_) => return Err(TlsError::Internal("read before the handshake").into()),
        };
        if self.peer_end.is_some() || self.input.is_empty() {
            return Ok(None);
        }
        let mut filled = 0;
        let (data, failure) = match traffic.open_all(&mut self.input, &mut filled, &mut self.peer_end) {
            Ok(segment) => (segment, None),
            Err((segment, error)) => (segment, Some(error)),
        };
        let reply_due = traffic.is_reply_due();
        self.input.release_if_empty();
        if let Some(error) = failure {
            self.send_alert(cx, socket, &error);
            // What came before the bad record is good, and is given out first.
            let failed = self.fail(error);
            if filled == 0 {
                return Err(failed);
            }
        } else if reply_due {
            self.reply(cx, socket).map_err(|error| self.fail(error))?;
        }
        Ok(data.and_then(|segment| pool::share(segment, filled)))
    }

    /// Sends what should not wait for data. Behind data that waits for the socket, it does.
    fn reply<S: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, socket: &mut S) -> Result<(), TlsError> {
        if let Phase::Open(open) = &mut self.phase
            && self.output.is_empty()
            && !self.close_sent
        {
            open.traffic.seal_due(&mut self.output)?;
            // A socket that fails here fails again at the next flush.
            let _ = self.output.poll_drain(cx, socket);
        }
        Ok(())
    }

    /// Best effort: a socket that does not take an alert at once gets none.
    fn send_alert<S: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, socket: &mut S, error: &TlsError) {
        // Nothing may follow the closing alert, and a fatal alert is not answered.
        if self.close_sent || matches!(error, TlsError::Alert(_)) {
            return;
        }
        if self.queue_alert(level::FATAL, error.alert().into()).is_ok() {
            let _ = self.output.poll_drain(cx, socket);
        }
    }

    /// Seals an alert behind what waits for the socket.
    fn queue_alert(&mut self, level: u8, description: AlertDescription) -> Result<(), TlsError> {
        let Phase::Open(open) = &mut self.phase else { return Ok(()) };
        open.traffic.seal_alert(level, description, &mut self.output)
    }

    /// Takes octets to send; returns how many. They are on their way once [`Self::poll_flush`] is ready.
    pub fn poll_write<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut S,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize, TransportError>> {
        ready!(self.poll_flush(cx, socket))?;
        let traffic = match &mut self.phase {
            Phase::Open(_) if self.close_sent => return Poll::Ready(Err(std::io::Error::from(BrokenPipe).into())),
            Phase::Open(open) => &mut open.traffic,
            Phase::Failed(error) => return Poll::Ready(Err(error.clone().into())),
            Phase::Handshake(_) => return Poll::Ready(Err(TlsError::Internal("write before the handshake").into())),
        };
        let taken = match traffic.seal_all(slices, &mut self.output) {
            Ok(taken) => taken,
            Err(error) => {
                self.send_alert(cx, socket, &error);
                return Poll::Ready(Err(self.fail(error)));
            }
        };
        if let Poll::Ready(Err(error)) = self.output.poll_drain(cx, socket) {
            return Poll::Ready(Err(error.into()));
        }
        Poll::Ready(Ok(taken))
    }

    /// Whether sealed octets wait for the socket.
    #[must_use]
    pub fn wants_flush(&self) -> bool {
        !self.output.is_empty()
    }

    /// Sealed octets that wait for the socket.
    #[must_use]
    pub fn unsent(&self) -> usize {
        self.output.octets().len()
    }

    /// Writes what was sealed.
    pub fn poll_flush<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut S,
    ) -> Poll<Result<(), TransportError>> {
        self.output.poll_drain(cx, socket).map_err(TransportError::from)
    }

    /// Sends the closing alert and shuts the sending direction of the socket down.
    pub fn poll_shutdown<S: AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut S,
    ) -> Poll<Result<(), TransportError>> {
        ready!(self.poll_flush(cx, socket))?;
        if !self.close_sent {
            self.close_sent = true;
            self.queue_alert(level::WARNING, AlertDescription::CloseNotify)?;
            ready!(self.poll_flush(cx, socket))?;
        }
        Pin::new(socket).poll_shutdown(cx).map_err(TransportError::from)
    }

    /// Shuts the sending direction of the socket down without a closing alert.
    pub fn poll_shutdown_bare<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut S,
    ) -> Poll<Result<(), TransportError>> {
        ready!(self.poll_flush(cx, socket))?;
        self.close_sent = true;
        Pin::new(socket).poll_shutdown(cx).map_err(TransportError::from)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("info", &self.info()).finish_non_exhaustive()
    }
}

fn poll_write_all<S: AsyncWrite + Unpin>(
    cx: &mut Context<'_>,
    socket: &mut S,
    data: &mut Vec<u8>,
) -> Poll<std::io::Result<()>> {
    while !data.is_empty() {
        let n = ready!(Pin::new(&mut *socket).poll_write(cx, data))?;
        if n == 0 {
            return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
        }
        data.drain(..n);
    }
    Poll::Ready(Ok(()))
}
