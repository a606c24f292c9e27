//! The one task of an AMQP connection: moves octets between a transport and its port.
//!
//! ```text
//!  socket readable -> read all there is (bounded) -> port.receive
//!                                                        |
//!  mailbox, timer, write room ------------------> port.turn (takes the core at most once or twice)
//!                                                        |
//!  socket <- one vectored write for everything <- port.output
//! ```
//!
//! A poll does a bounded amount of work, then yields to other tasks by waking itself.

use crate::clock;
use crate::net::io_text;
use crate::transport::{Transport, TransportError};
use amqp_core::Instant;
use router_engine::core::ids::ConnId;
use router_engine::emit;
use router_engine::log::{self, Level, LogModule};
use router_engine::port::{AmqpPort, PortError, PortState};
use std::future::Future;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Sleep;

use super::authentication::Authentication;
use super::params::Authenticator;
use super::round_trip::Probe;

/// Octets read before the port gets its turn.
const READ_BUDGET: usize = 256 * 1024;
/// Rounds of read, turn and write before other tasks get the thread.
const ROUNDS: usize = 8;
/// Slices handed to the kernel, or gathered into TLS records, at a time.
const MAX_SLICES: usize = 64;

/// How long a peer has to take the last frames.
pub(super) const LAST_WORDS: Duration = Duration::from_secs(2);

/// Called once when both opens were exchanged.
pub type OnOpened = Box<dyn FnOnce(&AmqpPort) + Send>;

/// How a connection ended.
#[derive(Debug)]
pub enum Ending {
    /// In good order.
    Closed,
    /// With an error of the protocol, told to the peer where that was possible.
    Protocol(PortError),
    /// Cut without a word, or, when the peer is dead, with what the socket took at once. With an error when it was not by
    /// request.
    Dropped(Option<PortError>),
    /// The peer went away without closing.
    Aborted,
    /// The transport failed.
    Transport(TransportError),
}

// === impl Ending ===

impl Ending {
    /// What to report of it; `peer` is how the peer's address is shown.
    #[must_use]
    pub fn failure(&self, peer: &str) -> Option<PortError> {
        match self {
            Self::Closed => None,
            Self::Protocol(error) => Some(error.clone()),
            Self::Dropped(error) => error.clone(),
            Self::Aborted => Some(PortError {
                condition: "amqp:connection:framing-error".to_owned(),
                description: "connection aborted".to_owned(),
            }),
            Self::Transport(error) => Some(transport_failure(error, peer)),
        }
    }

    /// Whether last frames may still be on their way, so that the socket must not be cut at once.
    #[must_use]
    pub const fn lingers(&self) -> bool {
        matches!(self, Self::Closed | Self::Protocol(_))
    }
}

/// How a failure of the transport is reported.
pub(super) fn transport_failure(error: &TransportError, peer: &str) -> PortError {
    match error {
        TransportError::Tls(error) => PortError {
            condition: "amqp:connection:framing-error".to_owned(),
            description: format!("SSL Failure: {error}"),
        },
        TransportError::Io(error) => PortError {
            condition: "proton:io".to_owned(),
            description: format!("{} (connection aborted)", io_text(error, "disconnected", peer)),
        },
    }
}

/// The driver of one connection: a future that ends with the connection.
pub struct Driver<S> {
    /// Once it is open, if others look how long the way is. Before the transport: nothing keeps a socket that it closes.
    probe: Option<Arc<Probe>>,
    is_open: bool,
    transport: Transport<S>,
    port: AmqpPort,
    id: ConnId,
    timer: Option<Pin<Box<Sleep>>>,
    /// When the timer fires.
    armed: Option<Instant>,
    input_open: bool,
    /// When to stop trying to write the last frames.
    give_up: Option<Instant>,
    /// The router-wide trace setting that the port follows.
    trace_epoch: u32,
    authentication: Authentication,
    on_opened: Option<OnOpened>,
}

/// What a part of a round found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// Everything there was is done.
    Idle,
    /// There is more to do right away.
    More,
    /// The socket takes nothing now; it will wake us.
    Blocked,
    /// The port takes nothing now; there may be more in the socket, which will not wake us.
    Refused,
}

/// What to do after a round.
enum Round {
    Again,
    /// Everything that can wake us is armed.
    Sleep,
    End(Ending),
}

// === impl Driver ===

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Driver<S> {
    /// Joins a transport whose handshake is done to a port.
    pub fn new(transport: Transport<S>, port: AmqpPort, id: ConnId) -> Self {
        Self {
            probe: None,
            is_open: false,
            transport,
            port,
            id,
            timer: None,
            armed: None,
            input_open: true,
            give_up: None,
            trace_epoch: 0,
            authentication: Authentication::default(),
            on_opened: None,
        }
    }

    /// Who checks what this connection's peer says of itself, or answers what it asks of us.
    #[must_use]
    pub fn with_authenticator(mut self, authenticator: Option<Arc<dyn Authenticator>>) -> Self {
        self.authentication = Authentication::new(authenticator);
        self
    }

    /// What to call when the connection is open.
    #[must_use]
    pub fn with_on_opened(mut self, on_opened: OnOpened) -> Self {
        self.on_opened = Some(on_opened);
        self
    }

    fn round(&mut self, cx: &mut Context<'_>) -> Round {
        let now = clock::now();
        let epoch = log::protocol_epoch();
        if self.trace_epoch != epoch {
            self.trace_epoch = epoch;
            self.port.set_trace(log::enabled(LogModule::Protocol, Level::Debug));
        }
        // Before the timers: a process that was stopped finds in its sockets what its peers said meanwhile.
        let read = match self.read(cx) {
            Ok(progress) => progress,
            Err(error) => return Round::End(Ending::Transport(error)),
        };
        if self.port.poll_timeout().is_some_and(|due| due <= now) {
            self.port.handle_timeout(now);
        }
        let mut turn = self.port.turn(now);
        turn |= self.authenticate(cx, now);
        self.after_turn();
        if let PortState::Dropped(error) = self.port.state() {
            return Round::End(Ending::Dropped(error));
        }
        let write = match self.write(cx) {
            Ok(progress) => progress,
            // The peer may have closed in good order without waiting for our last frames.
            Err(_) if matches!(self.port.state(), PortState::Closing(None)) => return Round::End(Ending::Closed),
            Err(error) => return Round::End(Ending::Transport(error)),
        };
        if let PortState::Closing(error) = self.port.state() {
            if self.port.peer_is_dead() {
                return Round::End(Ending::Dropped(error));
            }
            let give_up = *self.give_up.get_or_insert(now + LAST_WORDS);
            if write == Progress::Blocked && now < give_up {
                let sleeps = self.port.park(cx.waker()) && self.sleep(cx);
                return if sleeps { Round::Sleep } else { Round::Again };
            }
            return Round::End(error.map_or(Ending::Closed, Ending::Protocol));
        }
        if !self.input_open {
            return Round::End(Ending::Aborted);
        }
        let busy = match read {
            Progress::More => true,
            // The turn may have made room, which nobody else will tell us.
            Progress::Refused => self.port.wants_input(),
            Progress::Idle | Progress::Blocked => false,
        } || (turn && write != Progress::Blocked);
        if busy || !self.port.park(cx.waker()) || !self.sleep(cx) { Round::Again } else { Round::Sleep }
    }

    /// Tells the port that its transport is gone. How an unexpected end counts is for the port to say.
    fn end(&mut self, ending: Ending) -> Ending {
        self.probe = None;
        // What is not polled any more keeps no place.
        self.authentication = Authentication::default();
        self.port.transport_closed(clock::now());
        self.trace();
        match (ending, self.port.state()) {
            (Ending::Aborted, PortState::Closing(Some(error)) | PortState::Dropped(Some(error))) => {
                Ending::Protocol(error)
            }
            (ending, _) => ending,
        }
    }

    /// Reads until nothing is there, the port wants no more, or the budget is used up.
    fn read(&mut self, cx: &mut Context<'_>) -> Result<Progress, TransportError> {
        let mut budget = READ_BUDGET;
        while self.input_open {
            if !self.port.wants_input() {
                return Ok(Progress::Refused);
            }
            match self.transport.poll_read(cx)? {
                Poll::Ready(Some(data)) => {
                    budget = budget.saturating_sub(data.len());
                    self.port.receive(data);
                    if budget == 0 {
                        return Ok(Progress::More);
                    }
                }
                Poll::Ready(None) => self.input_open = false,
                Poll::Pending => break,
            }
        }
        Ok(Progress::Idle)
    }

    /// Has answered what the port asks. True when that made the port do something.
    fn authenticate(&mut self, cx: &mut Context<'_>, now: Instant) -> bool {
        let mut turn = false;
        // The next message may be there already, and with it the next question, which nothing else tells of.
        while self.authentication.poll(cx, &mut self.port) {
            turn |= self.port.turn(now);
        }
        turn
    }

    fn after_turn(&mut self) {
        self.trace();
        if !self.is_open && self.port.opened() {
            self.is_open = true;
            self.probe = Probe::begin(&self.port, self.transport.socket());
            if let Some(on_opened) = self.on_opened.take() {
                on_opened(&self.port);
            }
        }
    }

    /// Logs the frames of the turn. A connection may be traced although the module is not enabled.
    fn trace(&mut self) {
        for line in self.port.take_trace() {
            log::count(LogModule::Protocol, Level::Debug);
            emit!(LogModule::Protocol, Level::Debug, conn = self.id, separator = ":", "FRAME: {line}");
        }
    }

    /// Writes everything that waits, as far as the socket takes it.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<Progress, TransportError> {
        loop {
            let output = self.port.output();
            if output.is_empty() {
                break;
            }
            let mut slices = [IoSlice::new(&[]); MAX_SLICES];
            let filled = output.fill_slices(&mut slices);
            match self.transport.poll_write(cx, &slices[..filled])? {
                Poll::Ready(0) => return Err(std::io::Error::from(std::io::ErrorKind::WriteZero).into()),
                Poll::Ready(n) => output.advance(n),
                Poll::Pending => return Ok(Progress::Blocked),
            }
        }
        match self.transport.poll_flush(cx)? {
            Poll::Ready(()) => Ok(Progress::Idle),
            Poll::Pending => Ok(Progress::Blocked),
        }
    }

    /// Arms the timer. False when it is due already.
    ///
    /// Deadlines mostly move back as the connection is used; then the timer is left to fire early,
    /// which is cheaper than to move it with every round.
    fn sleep(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(due) = self.port.poll_timeout().into_iter().chain(self.give_up).min() else { return true };
        if self.armed.is_none_or(|armed| due < armed) {
            let at = clock::to_std(due).into();
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(at),
                None => self.timer = Some(Box::pin(tokio::time::sleep_until(at))),
            }
            self.armed = Some(due);
        }
        let Some(timer) = &mut self.timer else { return true };
        if timer.as_mut().poll(cx).is_ready() {
            self.armed = None;
            return false;
        }
        true
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Future for Driver<S> {
    type Output = Ending;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ending> {
        for _ in 0..ROUNDS {
            match self.round(cx) {
                Round::Again => {}
                Round::Sleep => return Poll::Pending,
                Round::End(ending) => return Poll::Ready(self.end(ending)),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + 'static> Driver<S> {
    /// Ends the transport after the future was ready: shuts the sending direction down and waits a
    /// little for the peer to do the same, so that the last frames are not lost to a reset.
    pub async fn linger(mut self) {
        let finish = async {
            std::future::poll_fn(|cx| self.transport.poll_shutdown(cx)).await?;
            while std::future::poll_fn(|cx| self.transport.poll_read(cx)).await?.is_some() {}
            Ok::<_, TransportError>(())
        };
        let _ = tokio::time::timeout(LAST_WORDS, finish).await;
    }
}

impl<S> std::fmt::Debug for Driver<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Driver").field("id", &self.id).finish_non_exhaustive()
    }
}
