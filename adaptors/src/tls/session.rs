//! A TLS session over any socket: records in, cleartext [`Bytes`] out, and slices in, records out.
//!
//! ```text
//!  socket --read--> input segment --open--> data segment --> Bytes (records joined)
//!  socket <-write-- output segment <-seal-- slices (records filled)
//! ```
//!
//! Both segments go back to their pool as soon as they are empty: an idle session holds none.

use super::error::TlsError;
use super::handshake::{Established, Handshake, KeySource, Progress, SessionInfo};
use super::record::{Framed, Gather, HEADER, MAX_PLAINTEXT, OVERHEAD, Protector, content, frame};
use crate::pool::{self, Segment};
use crate::transport::TransportError;
use bytes::Bytes;
use rustls::AlertDescription;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Post-handshake messages (key updates, tickets) that may follow each other without data between them.
const MAX_CONTROL_RUN: u32 = 64;
/// The longest post-handshake message.
const MAX_CONTROL: usize = 64 * 1024;

const HANDSHAKE_READ: usize = 4096;

/// A TLS session. See the module documentation.
pub struct Session {
    phase: Phase,
    input: Window,
    output: Window,
    peer_end: Option<PeerEnd>,
    close_sent: bool,
}

/// How the peer's octets ended. A fatal alert is no such end but an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerEnd {
    /// With its closing alert: it sent no more than what came.
    CloseNotify,
    /// The transport ended without one: whoever controls the path may have cut something off.
    Truncated,
}

enum Phase {
    Handshake(Box<Handshake>),
    Open(Box<Records>),
    Failed(TlsError),
}

struct Records {
    sealer: Protector,
    opener: Protector,
    keys: KeySource,
    info: SessionInfo,
    /// A post-handshake message that is not complete yet.
    control: Vec<u8>,
    control_run: u32,
    key_update_due: bool,
}

/// A part of a segment that holds octets, or nothing at all.
#[derive(Default)]
struct Window {
    segment: Option<Segment>,
    start: usize,
    end: usize,
}

// === impl Session ===

impl Session {
    pub(crate) fn new(handshake: Handshake) -> Self {
        Self {
            phase: Phase::Handshake(Box::new(handshake)),
            input: Window::default(),
            output: Window::default(),
            peer_end: None,
            close_sent: false,
        }
    }

    /// What the handshake established, once it is done.
    #[must_use]
    pub fn info(&self) -> Option<&SessionInfo> {
        match &self.phase {
            Phase::Open(records) => Some(&records.info),
            _ => None,
        }
    }

    /// How the peer's octets ended, once [`Self::poll_read`] has returned `None`.
    #[must_use]
    pub const fn peer_end(&self) -> Option<PeerEnd> {
        self.peer_end
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
        let Established { sealer, opener, keys, info, rest } = handshake.finish().map_err(|e| self.fail(e))?;
        if !rest.is_empty() {
            let mut segment = pool::CIPHER.take();
            let room = segment.get_mut(..rest.len()).ok_or_else(|| self.fail(TlsError::RecordTooLong))?;
            room.copy_from_slice(&rest);
            self.input = Window { segment: Some(segment), start: 0, end: rest.len() };
        }
        let control = Vec::new();
        let records = Records { sealer, opener, keys, info, control, control_run: 0, key_update_due: false };
        self.phase = Phase::Open(Box::new(records));
        Ok(())
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
                Poll::Ready(Ok(0)) => self.peer_end = Some(PeerEnd::Truncated),
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
        let records = match &mut self.phase {
            Phase::Open(records) => records,
            Phase::Failed(error) => return Err(error.clone().into()),
            Phase::Handshake(_) => return Err(TlsError::Internal("read before the handshake").into()),
        };
        if self.peer_end.is_some() || self.input.is_empty() {
            return Ok(None);
        }
        let mut filled = 0;
        let (data, failure) = match records.open_all(&mut self.input, &mut filled, &mut self.peer_end) {
            Ok(segment) => (segment, None),
            Err((segment, error)) => (segment, Some(error)),
        };
        self.input.release_if_empty();
        if let Some(error) = failure {
            self.send_alert(cx, socket, &error);
            // What came before the bad record is good, and is given out first.
            let failed = self.fail(error);
            if filled == 0 {
                return Err(failed);
            }
        }
        Ok(match data {
            Some(segment) if filled > 0 => Some(segment.share(filled).0),
            _ => None,
        })
    }

    fn send_alert<S: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, socket: &mut S, error: &TlsError) {
        const FATAL: u8 = 2;
        if !matches!(error, TlsError::Alert(_)) && self.queue(content::ALERT, &[FATAL, error.alert()]).is_ok() {
            let _ = self.output.poll_drain(cx, socket);
        }
    }

    /// Seals one record with a few octets behind what waits for the socket.
    fn queue(&mut self, content: u8, data: &[u8]) -> Result<(), TlsError> {
        let Phase::Open(records) = &mut self.phase else { return Ok(()) };
        records.seal_small(content, data, &mut self.output)
    }

    /// Takes octets to send; returns how many. They are on their way once [`Self::poll_flush`] is ready.
    pub fn poll_write<S: AsyncRead + AsyncWrite + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        socket: &mut S,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize, TransportError>> {
        ready!(self.poll_flush(cx, socket))?;
        let records = match &mut self.phase {
            Phase::Open(records) => records,
            Phase::Failed(error) => return Poll::Ready(Err(error.clone().into())),
            Phase::Handshake(_) => return Poll::Ready(Err(TlsError::Internal("write before the handshake").into())),
        };
        let taken = records.seal_all(slices, &mut self.output)?;
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
        const WARNING: u8 = 1;
        ready!(self.poll_flush(cx, socket))?;
        if !self.close_sent {
            self.close_sent = true;
            self.queue(content::ALERT, &[WARNING, u8::from(AlertDescription::CloseNotify)])?;
            ready!(self.poll_flush(cx, socket))?;
        }
        Pin::new(socket).poll_shutdown(cx).map_err(TransportError::from)
    }
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("info", &self.info()).finish_non_exhaustive()
    }
}

/// The data segment in use, if any, when opening failed.
type OpenFailure = (Option<Segment>, TlsError);

// === impl Records ===

impl Records {
    /// Opens whole records at the front of `input` into one data segment, as far as they fit.
    fn open_all(
        &mut self,
        input: &mut Window,
        filled: &mut usize,
        peer_end: &mut Option<PeerEnd>,
    ) -> Result<Option<Segment>, OpenFailure> {
        let Some(source) = &input.segment else { return Ok(None) };
        let mut target = None;
        while peer_end.is_none() {
            let whole = match frame(&source[input.start..input.end]) {
                Ok(Framed::Whole(len)) => len,
                Ok(Framed::Partial) => break,
                Err(error) => return Err((target, error)),
            };
            if *filled + whole - HEADER > pool::SEGMENT {
                break;
            }
            let segment = target.get_or_insert_with(|| pool::DATA.take());
            let out = &mut segment[*filled..];
            let opened = match self.opener.open(&source[input.start..input.start + whole], out) {
                Ok(opened) => opened,
                Err(error) => return Err((target, error)),
            };
            input.start += whole;
            let result = match opened.content {
                content::DATA => {
                    *filled += opened.len;
                    self.control_run = 0;
                    Ok(())
                }
                content::ALERT => on_alert(&out[..opened.len], peer_end),
                content::HANDSHAKE => self.on_control(&out[..opened.len]),
                _ => Err(TlsError::UnexpectedMessage),
            };
            if let Err(error) = result {
                return Err((target, error));
            }
        }
        Ok(target)
    }

    /// Handles post-handshake messages: key updates; tickets are not used, renegotiation is not offered.
    fn on_control(&mut self, data: &[u8]) -> Result<(), TlsError> {
        const HELLO_REQUEST: u8 = 0;
        const NEW_SESSION_TICKET: u8 = 4;
        const KEY_UPDATE: u8 = 24;
        self.control_run += 1;
        if self.control_run > MAX_CONTROL_RUN || self.control.len() + data.len() > MAX_CONTROL {
            return Err(TlsError::UnexpectedMessage);
        }
        self.control.extend_from_slice(data);
        while let Some(header) = self.control.first_chunk::<4>() {
            let len = usize::from(header[1]) << 16 | usize::from(header[2]) << 8 | usize::from(header[3]);
            let kind = header[0];
            let Some(body) = self.control.get(4..4 + len) else { break };
            match (kind, body) {
                (HELLO_REQUEST | NEW_SESSION_TICKET, _) => {}
                (KEY_UPDATE, &[requested]) => {
                    self.opener = self.keys.update_receiver()?;
                    self.key_update_due |= requested == 1;
                }
                _ => return Err(TlsError::UnexpectedMessage),
            }
            self.control.drain(..4 + len);
        }
        if self.control.is_empty() {
            self.control = Vec::new();
        }
        Ok(())
    }

    fn seal_small(&mut self, content: u8, data: &[u8], output: &mut Window) -> Result<(), TlsError> {
        let slices = [IoSlice::new(data)];
        let room = output.room();
        let sealed = self.sealer.seal(content, &Gather::new(&slices), data.len(), room)?;
        output.end += sealed;
        Ok(())
    }

    /// Seals as much as fits the output segment, in records as full as possible. Returns the octets taken.
    fn seal_all(&mut self, slices: &[IoSlice<'_>], output: &mut Window) -> Result<usize, TlsError> {
        const KEY_UPDATE_NOT_REQUESTED: [u8; 5] = [24, 0, 0, 1, 0];
        if self.key_update_due || self.sealer.is_worn() {
            self.seal_small(content::HANDSHAKE, &KEY_UPDATE_NOT_REQUESTED, output)?;
            self.sealer = self.keys.update_sender()?;
            self.key_update_due = false;
        }
        let mut source = Gather::new(slices);
        let mut left = source.len();
        let mut taken = 0;
        while left > 0 {
            let room = output.room();
            if room.len() < MAX_PLAINTEXT.min(left) + OVERHEAD {
                break;
            }
            let len = left.min(MAX_PLAINTEXT);
            let sealed = self.sealer.seal(content::DATA, &source, len, room)?;
            output.end += sealed;
            source.advance(len);
            left -= len;
            taken += len;
        }
        Ok(taken)
    }
}

fn on_alert(data: &[u8], peer_end: &mut Option<PeerEnd>) -> Result<(), TlsError> {
    let &[_, description] = data else { return Err(TlsError::UnexpectedMessage) };
    match AlertDescription::from(description) {
        AlertDescription::CloseNotify => *peer_end = Some(PeerEnd::CloseNotify),
        AlertDescription::UserCanceled | AlertDescription::NoRenegotiation => {}
        other => return Err(TlsError::Alert(other)),
    }
    Ok(())
}

// === impl Window ===

impl Window {
    const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn release_if_empty(&mut self) {
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// The free part behind the octets; takes a segment when there is none.
    fn room(&mut self) -> &mut [u8] {
        let segment = self.segment.get_or_insert_with(|| pool::CIPHER.take());
        &mut segment[self.end..]
    }

    /// Reads from the socket behind the octets that are there.
    fn poll_fill<S: AsyncRead + Unpin>(
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
    fn poll_drain<S: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, socket: &mut S) -> Poll<std::io::Result<()>> {
        while !self.is_empty() {
            let Some(segment) = &self.segment else { break };
            let n = ready!(Pin::new(&mut *socket).poll_write(cx, &segment[self.start..self.end]))?;
            if n == 0 {
                return Poll::Ready(Err(std::io::ErrorKind::WriteZero.into()));
            }
            self.start += n;
        }
        *self = Self::default();
        Poll::Ready(Ok(()))
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
