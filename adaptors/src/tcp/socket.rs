//! The socket of a flow, as an exchange sees it: what the kernel and TLS tell becomes ends and failures.

use super::limits::Throttle;
use super::tap::Tap;
use crate::net;
use crate::tls::PeerEnd;
use crate::tls::secret::os_text;
use crate::transport::{Transport, TransportError};
use router_engine::core::ids::ConnId;
use router_engine::exchange::{self, Read, Role, WriteError};
use router_engine::log::{Level, LogModule};
use router_engine::stream::Finish;
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};
use tokio::net::TcpStream;

/// The socket of a flow.
#[derive(Debug)]
pub(super) struct Socket {
    pub(super) transport: Transport<TcpStream>,
    conn: ConnId,
    role: Role,
    /// A write has taken the news of a reset from the kernel: an end that is read now is none of the peer's.
    doubtful: bool,
    /// The sending half has ended in order, while the other had not.
    pub(super) half_closed: bool,
    /// Condition and description of its first failure.
    failure: Option<(&'static str, String)>,
    /// Watches a client's flow.
    pub(super) tap: Tap,
    /// Octets of the service are limited.
    pub(super) throttle: Option<Box<Throttle>>,
}

/// The condition of a flow whose TLS has failed.
pub(super) const TLS_FAILED: &str = "TLS-connection-failed";

/// The same of one whose socket has.
pub(super) const IO_FAILED: &str = "proton:io";

/// Why TLS with a client or server failed, in the known words.
pub(super) fn tls_failure(error: &TransportError) -> String {
    match error {
        TransportError::Tls(error) => format!("Code: {} {error}", error.code()),
        TransportError::Io(error) => format!("Unknown protocol error ({})", os_text(error)),
    }
}

/// Logs why TLS with a client or server failed, in the known words.
pub(super) fn log_tls_failure(conn: ConnId, error: &TransportError) {
    let text = tls_failure(error);
    router_engine::log!(LogModule::TcpAdaptor, Level::Warning, conn = conn, "TLS connection failed: {text}");
}

/// The side of the service, as logs name it.
pub(super) const fn side(role: Role) -> &'static str {
    match role {
        Role::Requester => "Listener",
        Role::Responder => "Connector",
    }
}

// === impl Socket ===

impl Socket {
    pub(super) const fn new(transport: Transport<TcpStream>, conn: ConnId, role: Role) -> Self {
        Self {
            transport,
            conn,
            role,
            doubtful: false,
            half_closed: false,
            failure: None,
            tap: Tap::none(),
            throttle: None,
        }
    }

    /// Condition and description of its first failure.
    pub(super) const fn take_failure(&mut self) -> Option<(&'static str, String)> {
        self.failure.take()
    }

    fn note_octets(&mut self, octets: usize) {
        if let Some(throttle) = &mut self.throttle {
            throttle.note(octets);
        }
    }

    fn note_failure(&mut self, error: &TransportError) {
        self.failure.get_or_insert_with(|| match error {
            TransportError::Io(cause) if !self.transport.is_tls() => {
                let peer = self.transport.socket().peer_addr();
                let peer = peer.map_or_else(|_| "(unknown)".to_owned(), |peer| peer.to_string());
                (IO_FAILED, net::io_text(cause, "async disconnect", &peer))
            }
            _ => (TLS_FAILED, tls_failure(error)),
        });
    }

    /// Logs that TLS with the peer did not begin.
    pub(super) fn log_failed_handshake(&mut self, error: &TransportError) {
        self.note_failure(error);
        log_tls_failure(self.conn, error);
    }

    /// Logs that the socket has failed.
    pub(super) fn log_failure(&mut self, error: &TransportError) {
        self.note_failure(error);
        if error.is_tls() {
            log_tls_failure(self.conn, error);
        } else {
            let (id, side) = (self.conn, side(self.role));
            router_engine::log!(LogModule::TcpAdaptor, Level::Debug, conn = id, "{side} side failed: {error}");
            #[cfg(test)]
            super::report::capture::trip(side);
        }
    }

    /// A closing alert is beyond doubt. An end without one is the peer's too, but TLS does not vouch for it.
    fn end_of_input(&mut self) -> Read {
        let error = match self.transport.tls_end() {
            Some(PeerEnd::CloseNotify) => return Read::End(Finish::Orderly),
            Some(PeerEnd::Truncated) => io::Error::new(io::ErrorKind::UnexpectedEof, "closed amid a record of TLS"),
            _ if self.doubtful => io::ErrorKind::ConnectionReset.into(),
            Some(PeerEnd::Bare) => return Read::End(Finish::Bare),
            None => return Read::End(Finish::Orderly),
        };
        self.log_failure(&error.into());
        Read::Failed
    }

    /// A reset is told once: from here on reading finds the end of input. A peer that had ended its direction before is
    /// the exception, and its reset has another name.
    fn on_write_error(&mut self, error: &TransportError) -> WriteError {
        self.log_failure(error);
        match error {
            TransportError::Tls(_) => WriteError::Failed,
            TransportError::Io(cause) => {
                self.doubtful |= cause.kind() != io::ErrorKind::BrokenPipe;
                WriteError::Broken
            }
        }
    }
}

impl exchange::Transport for Socket {
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Read> {
        if let Some(throttle) = &mut self.throttle {
            ready!(throttle.poll(cx));
        }
        self.transport.poll_read(cx).map(|read| match read {
            Ok(Some(data)) => {
                self.tap.read(&data);
                self.note_octets(data.len());
                Read::Data(data)
            }
            Ok(None) => self.end_of_input(),
            Err(error) => {
                self.log_failure(&error);
                Read::Failed
            }
        })
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<Result<usize, WriteError>> {
        if let Some(throttle) = &mut self.throttle {
            ready!(throttle.poll(cx));
        }
        match self.transport.poll_write(cx, slices) {
            Poll::Ready(Ok(count)) => {
                self.tap.written(slices, count);
                self.note_octets(count);
                Poll::Ready(Ok(count))
            }
            other => other.map_err(|error| self.on_write_error(&error)),
        }
    }

    fn wants_flush(&self) -> bool {
        self.transport.wants_flush()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        self.transport.poll_flush(cx).map_err(|error| self.on_write_error(&error))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>, finish: Finish, last: bool) -> Poll<()> {
        // Closing the socket, which comes next, does the same.
        if last && !self.transport.is_tls() {
            return Poll::Ready(());
        }
        let ended = match finish {
            Finish::Orderly => self.transport.poll_shutdown(cx),
            Finish::Bare => self.transport.poll_shutdown_bare(cx),
        };
        ended.map(|ended| match ended {
            Ok(()) => self.half_closed = true,
            // A socket that the peer closed already is as shut as it can be.
            Err(error) => self.doubtful |= is_news(&error),
        })
    }
}

/// Whether the kernel tells an error once only.
fn is_news(error: &TransportError) -> bool {
    match error {
        TransportError::Io(error) => !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected),
        TransportError::Tls(_) => false,
    }
}
