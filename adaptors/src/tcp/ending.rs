//! How a flow ends.
//!
//! Only a stream whose producer saw its peer's end (FIN; with TLS its closing alert) is complete, and ends the socket at
//! the other side in the same way. Whatever else stops a stream, its delivery is aborted, and the socket that it was
//! written to is reset, without a closing alert. Sockets are set to be reset from the start, so that one that is closed
//! by accident (the task panicked, the process was killed) is no complete one either.

use super::flow::{Flow, Turn, log_tls_failure};
use super::report;
use super::streams::Outbound;
use crate::transport::TransportError;
use amqp_core::performative::DeliveryState;
use router_engine::log::{Level, LogModule};
use router_engine::{Action, Side};
use socket2::SockRef;
use std::future::{Future, poll_fn};
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long a flow that will be reset may make no progress with what is still to be written.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);
/// How long the socket of a flow that is over but for the end of its TLS session may take nothing. Without TLS the kernel
/// has the last octets by then, and gives up on a peer that has no room for them after about as long.
const CLOSE_LIMIT: Duration = Duration::from_secs(300);
/// How long the peer of a flow that will be reset may take for what the kernel has still to send.
pub(super) const DELIVERY_LIMIT: Duration = Duration::from_secs(30);
/// The same for a socket whose sending half has ended: of those the kernel does not tell what has arrived.
const ENDED_LIMIT: Duration = Duration::from_secs(2);
/// How long the TLS handshake with a server may take.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(60);

/// How a flow is going to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Each direction by the end of its stream.
    Open,
    /// By a reset, once what is on its way to the socket has arrived. Its task is still to be told.
    Refused,
    /// The same; the task knows.
    Draining,
    /// The same; everything was written.
    Written,
    /// By a reset now.
    Cut,
    /// It has left the core.
    Left,
}

/// The outcome of a stream whose socket is gone or was never opened.
pub(super) fn modified() -> DeliveryState {
    DeliveryState::failed()
}

/// From now on closing the socket resets the connection.
pub(super) fn arm(socket: &TcpStream) {
    linger(socket, Some(Duration::ZERO));
}

/// From now on closing the socket ends the connection in good order.
fn disarm(socket: &TcpStream) {
    linger(socket, None);
}

fn linger(socket: &TcpStream, time: Option<Duration>) {
    // It cannot fail on a socket that is open.
    let _ = SockRef::from(socket).set_linger(time);
}

/// Ends both directions of a socket that is about to be closed before a flow began. Closing alone would reset a
/// connection with unread data, and what the peer still has to read, an alert, would be lost to it.
pub(super) fn hang_up(socket: &TcpStream) {
    disarm(socket);
    // A socket that the peer closed already is as shut as it can be.
    let _ = SockRef::from(socket).shutdown(Shutdown::Both);
}

/// Sleeps until the task is woken, or the socket has failed. An end of input is no failure.
async fn woken_or_failed(socket: &TcpStream) -> Option<io::Error> {
    let mut failed = pin!(socket.ready(Interest::ERROR));
    let mut slept = false;
    let has_failed = poll_fn(|cx| match failed.as_mut().poll(cx) {
        Poll::Ready(_) => Poll::Ready(true),
        Poll::Pending if std::mem::replace(&mut slept, true) => Poll::Ready(false),
        Poll::Pending => Poll::Pending,
    });
    let reset = || io::ErrorKind::ConnectionReset.into();
    has_failed.await.then(|| socket.take_error().ok().flatten().unwrap_or_else(reset))
}

/// Waits until a socket to which nothing more is written has sent everything, and its peer has received all but the last
/// packet, or until it has failed: a reset takes back what waits in the kernel. `socket` is a handle that the executor
/// does not know yet, so that it asks the kernel anew.
async fn delivered(socket: io::Result<OwnedFd>) -> io::Result<()> {
    let socket = std::net::TcpStream::from(socket?);
    let limits = SockRef::from(&socket);
    // A socket with little room can be written to once nearly nothing in it is unacknowledged.
    limits.set_tcp_notsent_lowat(1)?;
    limits.set_send_buffer_size(1)?;
    TcpStream::from_std(socket)?.writable().await
}

// === impl Flow ===

impl Flow {
    /// Copies until both directions have ended or the flow failed, then leaves the core.
    pub(super) async fn run(mut self) {
        // Rare or short parts are futures of their own, which ordinary flows need no room for.
        let mut turn = if self.handshaking { Box::pin(self.secure()).await } else { self.copy().await };
        while turn != Turn::Over {
            turn = match turn {
                Turn::Refused => Box::pin(self.drain()).await,
                Turn::Closing => Box::pin(self.copy_within(CLOSE_LIMIT)).await,
                _ => self.copy().await,
            };
        }
    }

    /// Copies with a limit to how long the TLS handshake may take.
    async fn secure(&mut self) -> Turn {
        let turn = timeout(HANDSHAKE_LIMIT, self.copy()).await;
        turn.unwrap_or_else(|_| {
            self.fail(&io::Error::from(io::ErrorKind::TimedOut).into());
            Turn::Deaf
        })
    }

    /// Copies until something other than copying is to be done.
    async fn copy(&mut self) -> Turn {
        loop {
            match poll_fn(|cx| self.poll_copy(cx)).await {
                Turn::Deaf => {
                    if let Some(error) = woken_or_failed(self.transport.socket()).await {
                        self.fail(&error.into());
                    }
                }
                turn => return turn,
            }
        }
    }

    /// Copies until something other than copying is to be done. When the socket takes nothing for `limit`, it will be
    /// reset.
    async fn copy_within(&mut self, limit: Duration) -> Turn {
        loop {
            let before = self.progress();
            match timeout(limit, self.copy()).await {
                Ok(turn) => return turn,
                Err(_) if self.progress() != before => {}
                Err(_) => {
                    self.fate = Fate::Cut;
                    return Turn::Deaf;
                }
            }
        }
    }

    /// Writes what is on its way to a socket that will be reset, for as long as that goes on, and has it delivered.
    async fn drain(&mut self) -> Turn {
        let mut turn = Turn::Refused;
        while turn != Turn::Written {
            turn = self.copy_within(DRAIN_LIMIT).await;
            if turn == Turn::Over || self.fate == Fate::Cut {
                return turn;
            }
        }
        let (socket, finished) = (self.transport.socket().as_fd().try_clone_to_owned(), self.outbound.finished);
        let delivered = async {
            if finished { tokio::time::sleep(ENDED_LIMIT).await } else { delivered(socket).await.unwrap_or_default() }
        };
        tokio::select! {
            turn = self.copy() => turn,
            _ = timeout(DELIVERY_LIMIT, delivered) => {
                self.fate = Fate::Cut;
                Turn::Deaf
            }
        }
    }

    /// Changes whenever the socket takes something: octets that TLS took are still on their way.
    fn progress(&self) -> (u64, usize) {
        (self.outbound.window.written(), self.transport.unsent())
    }

    /// Whether nothing is left but the end of a TLS session, which waits for the socket.
    pub(super) fn is_closing(&self) -> bool {
        let Outbound { source_ended, ref pending, .. } = self.outbound;
        self.fate == Fate::Open && self.inbound.ended && source_ended && pending.is_empty() && self.transport.is_tls()
    }

    pub(super) fn is_over(&self) -> bool {
        self.fate == Fate::Cut || (self.fate == Fate::Open && self.inbound.ended && self.outbound.shut)
    }

    /// What the task of a flow that will be reset is to be told.
    pub(super) fn next_of_fate(&mut self) -> Option<Turn> {
        let (fate, turn) = match self.fate {
            Fate::Refused => (Fate::Draining, Turn::Refused),
            Fate::Draining if self.outbound.shut => (Fate::Written, Turn::Written),
            _ => return None,
        };
        self.fate = fate;
        Some(turn)
    }

    /// One of the streams has failed at the far end, so the other direction is of no use either. What is on its way to
    /// the socket may be all that the far end had to say.
    pub(super) fn refuse(&mut self) {
        if self.fate != Fate::Open {
            return;
        }
        self.end_inbound(true);
        let Outbound { ref out, heading, source_ended, broken, .. } = self.outbound;
        let nothing_comes = out.is_none() || broken || self.handshaking || (heading && source_ended);
        self.fate = if nothing_comes { Fate::Cut } else { Fate::Refused };
    }

    /// Reading has come to the end of input.
    pub(super) fn on_end_of_input(&mut self) {
        if self.transport.is_truncated() {
            let error = io::Error::new(io::ErrorKind::UnexpectedEof, "closed without the closing alert of TLS");
            self.fail(&error.into());
        } else if self.inbound.doubtful && !self.transport.is_tls() {
            self.fail(&io::Error::from(io::ErrorKind::ConnectionReset).into());
        } else {
            self.end_inbound(false);
        }
    }

    fn end_inbound(&mut self, aborted: bool) {
        if std::mem::replace(&mut self.inbound.ended, true) {
            return;
        }
        if aborted {
            self.inbound.stream.abort();
        } else {
            self.inbound.stream.finish();
        }
        if let Some(delivery) = self.inbound.id {
            self.actions.push(Action::Complete { delivery, aborted });
        }
    }

    /// The socket takes nothing more. What its peer has sent before, to its end maybe, is still to be read.
    pub(super) fn on_write_failure(&mut self, error: &TransportError) {
        let TransportError::Io(cause) = error else { return self.fail(error) };
        if self.inbound.ended {
            return self.fail(error);
        }
        // A reset is told once: from here on reading finds the end of input. A peer that had ended its direction
        // before is the exception, and its reset has another name.
        self.inbound.doubtful |= cause.kind() != io::ErrorKind::BrokenPipe;
        self.log_failure(error);
        self.outbound.pending.clear();
        (self.outbound.broken, self.outbound.shut) = (true, true);
        self.settle_outbound(modified());
    }

    /// Everything was written: ends the socket's sending half as the stream ended. True: something was done.
    pub(super) fn end_outbound(&mut self, cx: &mut Context<'_>) -> bool {
        if self.fate != Fate::Open {
            self.outbound.shut = true;
            self.settle_outbound(modified());
            return true;
        }
        // With nothing left to read either, closing the socket does the same.
        if !self.inbound.ended || self.transport.is_tls() {
            match self.transport.poll_shutdown(cx) {
                Poll::Pending => return false,
                Poll::Ready(Ok(())) => self.outbound.finished = true,
                // A socket that the peer closed already is as shut as it can be.
                Poll::Ready(Err(error)) => self.inbound.doubtful |= is_news(&error),
            }
        }
        self.outbound.shut = true;
        self.settle_outbound(DeliveryState::Accepted);
        true
    }

    pub(super) fn settle_outbound(&mut self, state: DeliveryState) {
        let Some(delivery) = self.outbound.out else { return };
        self.outbound.reader = None;
        self.actions.push(Action::Sent { delivery });
        if !std::mem::replace(&mut self.outbound.settled, true) {
            self.actions.push(Action::Update { delivery: Side::Out(delivery), state: Some(state), settled: true });
        }
    }

    pub(super) fn fail(&mut self, error: &TransportError) {
        self.log_failure(error);
        self.fate = Fate::Cut;
    }

    fn log_failure(&self, error: &TransportError) {
        if error.is_tls() {
            log_tls_failure(self.conn.id, error);
        } else {
            let (id, role) = (self.conn.id, self.role);
            router_engine::log!(LogModule::TcpAdaptor, Level::Debug, conn = id, "{role:?} side failed: {error}");
        }
    }

    /// Settles what is still open (spec `tcp-adaptor.md` 8.4) and leaves the core.
    pub(super) fn leave(&mut self) {
        if self.fate == Fate::Open && !self.outbound.broken {
            disarm(self.transport.socket());
        }
        self.fate = Fate::Left;
        self.end_inbound(true);
        if !self.outbound.shut {
            self.settle_outbound(modified());
        }
        self.actions.push(Action::Closed);
        self.submit();
        report::connection_closed(self.conn.id);
    }
}

impl Drop for Flow {
    /// A flow whose task ended before its time, by a panic or with the executor, leaves nothing behind in the core.
    fn drop(&mut self) {
        if self.fate == Fate::Left {
            return;
        }
        if std::thread::panicking() {
            router_engine::log!(
                LogModule::TcpAdaptor,
                Level::Error,
                conn = self.conn.id,
                "{:?} side was cut by a fault of its task",
                self.role
            );
        }
        self.fate = Fate::Cut;
        // A second panic would end the process.
        let _ = catch_unwind(AssertUnwindSafe(|| self.leave()));
    }
}

/// Whether the kernel tells an error once only.
fn is_news(error: &TransportError) -> bool {
    match error {
        TransportError::Io(error) => !matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::NotConnected),
        TransportError::Tls(_) => false,
    }
}
