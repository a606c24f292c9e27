//! How a flow ends.
//!
//! Only a stream whose producer saw its peer's end (FIN) is complete, and ends the socket at the other side in the same
//! way: without a closing alert of TLS if a peer with TLS ended without one. Whatever else stops a stream, its delivery is
//! aborted, and the socket that it was written to is reset, without a closing alert. Sockets are set to be reset from the start, so that one that is closed
//! by accident (the task panicked, the process was killed) is no complete one either.

use super::flow::{Flow, Turn};
use super::idle::TIMED_OUT;
use super::report;
use crate::clock;
use crate::transport::TransportError;
use router_engine::exchange::{Failure, Phase};
use socket2::SockRef;
use std::future::{Future, poll_fn};
use std::io;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
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

/// How far a flow's task knows that the flow is about to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// It is not.
    None,
    /// Unless a server is found in time.
    Waiting,
    /// In good order: only the end of the TLS session is missing.
    Closing,
    /// By a reset, once what is on its way to the socket has arrived.
    Draining,
    /// The same; everything was written.
    Written,
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
        let mut turn = if self.exchange.is_connecting() { Box::pin(self.secure()).await } else { self.copy().await };
        while turn != Turn::Over {
            turn = match turn {
                Turn::Waiting => Box::pin(self.wait()).await,
                Turn::Draining => Box::pin(self.drain()).await,
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
            Turn::Unwatched
        })
    }

    /// Copies until something other than copying is to be done.
    async fn copy(&mut self) -> Turn {
        loop {
            match poll_fn(|cx| self.poll_copy(cx)).await {
                Turn::Unwatched => {
                    if let Some(error) = woken_or_failed(self.socket.transport.socket()).await {
                        self.fail(&error.into());
                    }
                }
                turn => return turn,
            }
        }
    }

    /// Waits until the client's stream was sent again, or was given up.
    async fn wait(&mut self) -> Turn {
        loop {
            let now = clock::now();
            let Some(due) = self.exchange.resend(now) else { return self.copy().await };
            if let Ok(turn) = timeout(due.since(now), self.copy()).await {
                return turn;
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
                    self.exchange.cut();
                    return Turn::Unwatched;
                }
            }
        }
    }

    /// Writes what is on its way to a socket that will be reset, for as long as that goes on, and has it delivered.
    async fn drain(&mut self) -> Turn {
        let mut turn = Turn::Draining;
        while turn != Turn::Written {
            turn = self.copy_within(DRAIN_LIMIT).await;
            if turn == Turn::Over || self.exchange.phase() == Phase::Cut {
                return turn;
            }
        }
        let (socket, half_closed) =
            (self.socket.transport.socket().as_fd().try_clone_to_owned(), self.socket.half_closed);
        let delivered = async {
            if half_closed {
                tokio::time::sleep(ENDED_LIMIT).await
            } else {
                delivered(socket).await.unwrap_or_default()
            }
        };
        tokio::select! {
            turn = self.copy() => turn,
            _ = timeout(DELIVERY_LIMIT, delivered) => {
                self.exchange.cut();
                Turn::Unwatched
            }
        }
    }

    /// Changes whenever the socket takes something: octets that TLS took are still on their way.
    fn progress(&self) -> (u64, usize) {
        (self.exchange.octets().1, self.socket.transport.unsent())
    }

    /// What the task is to be told of the end that is coming.
    pub(super) fn next_ending(&mut self) -> Option<Turn> {
        let closing = self.ending == Ending::None && self.socket.transport.is_tls() && self.exchange.is_ending();
        let (ending, turn) = match (self.exchange.phase(), self.ending) {
            (Phase::Waiting, Ending::None) => (Ending::Waiting, Turn::Waiting),
            (Phase::Open, Ending::Waiting) => (Ending::None, Turn::Resent),
            (Phase::Open, Ending::None) if closing => (Ending::Closing, Turn::Closing),
            (Phase::Draining, Ending::None | Ending::Closing) => (Ending::Draining, Turn::Draining),
            (Phase::Draining, Ending::Draining) if self.exchange.is_drained() => (Ending::Written, Turn::Written),
            _ => return None,
        };
        self.ending = ending;
        Some(turn)
    }

    fn fail(&mut self, error: &TransportError) {
        self.socket.log_failure(error);
        self.exchange.cut();
    }

    /// Ends the socket and leaves the core.
    pub(super) fn leave(&mut self) {
        let in_order = self.exchange.phase() == Phase::Open && !self.exchange.is_broken();
        if in_order {
            disarm(self.socket.transport.socket());
        }
        self.exchange.leave();
        self.submit();
        self.tell_end();
    }

    /// Notes why it ended, if not in good order; the record ends with the flow.
    fn tell_end(&mut self) {
        self.socket.tap.end();
        self.tell_timeout();
        let record = &mut self.member.record;
        record.blame(self.exchange.failure());
        if let Some((condition, description)) = self.socket.take_failure() {
            record.fail(condition, &description);
        }
        report::connection_closed(self.id());
    }

    /// Counts and names a flow that was told to close as it carried nothing.
    fn tell_timeout(&mut self) {
        if self.exchange.failure() != Some(Failure::Closed) {
            return;
        }
        if let Some(seconds) = self.member.count_timeout() {
            self.member.record.fail(TIMED_OUT, &format!("no octets for {seconds} s"));
            report::timed_out(self, seconds);
        }
    }
}

impl Drop for Flow {
    /// A flow whose task ended before its time, by a panic or with the executor, leaves nothing behind in the core: its
    /// exchange sees to that, and its socket is reset.
    fn drop(&mut self) {
        if self.exchange.phase() != Phase::Left {
            // What made the task panic may do so again, and would end the process.
            let _ = catch_unwind(AssertUnwindSafe(|| self.tell_end()));
        }
    }
}
