//! One TCP socket of a service: copies between the socket and two streams
//! (spec `tcp-adaptor.md` sections 7 to 9).
//!
//! ```text
//!  socket --read--> inbound Stream  --> (mesh)      window: stop at WINDOW unreported octets
//!  socket <-write-- outbound Reader <-- (mesh)      window: report every REPORT_EVERY octets
//! ```
//!
//! The core sees the start and the end of each stream; payload passes it by. Both directions of a
//! socket are driven by one task. How flows end: [`super::ending`].

use super::encap::{self, HeadError};
use super::ending::Fate;
use super::service::Member;
use super::streams::{DATA, Inbound, Outbound, ROOM, reader_of};
use crate::clock;
use crate::tls::SessionInfo;
use crate::tls::secret::os_text;
use crate::transport::{Transport, TransportError};
use amqp_core::performative::DeliveryState;
use bytes::Bytes;
use router_engine::core::Accepted;
use router_engine::core::action::{TlsFacts, TransportFacts};
use router_engine::core::connection::ConnHandle;
use router_engine::core::ids::ConnId;
use router_engine::log::{Level, LogModule};
use router_engine::stream::{Pressure, Pull};
use router_engine::{Action, Effect, Router, Side};
use smallvec::SmallVec;
use std::io::IoSlice;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::net::TcpStream;

/// Rounds of reading and writing before other tasks get their turn.
const ROUNDS: usize = 8;
/// Reads before the other direction gets its turn.
const READS: usize = 4;
/// Octets pulled from the outbound stream at once.
const PULL: usize = 256 * 1024;
/// Slices handed to one write.
const SLICES: usize = 16;

/// Which end of the service a flow is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// The client's socket, accepted by a tcpListener.
    Listener,
    /// The server's socket, opened by a tcpConnector.
    Connector,
}

/// A socket and its two streams.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) role: Role,
    pub(super) router: Arc<Router>,
    pub(super) conn: ConnHandle,
    pub(super) transport: Transport<TcpStream>,
    /// The TLS handshake with the server is under way (spec 7.2: only after the server stream's head went out).
    pub(super) handshaking: bool,
    pub(super) inbound: Inbound,
    pub(super) outbound: Outbound,
    /// Held for as long as the flow lives.
    pub(super) _member: Member,
    pub(super) actions: Vec<Action>,
    pub(super) fate: Fate,
}

/// Why reading stopped.
enum ReadEnd {
    /// It was enough for now.
    Later,
    /// There is no more for now.
    Empty,
    /// The peer has closed its sending half.
    Closed,
    Failed(TransportError),
}

/// Why copying stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// There is nothing to do for now, and the socket is not read: nothing tells of its failure.
    Deaf,
    /// The TLS handshake is done.
    Secured,
    /// The far end takes nothing more from the socket.
    Refused,
    /// All is over but the end of the TLS session.
    Closing,
    /// Everything was written to a socket that will be reset.
    Written,
    /// The flow has left the core.
    Over,
}

/// How TLS with a server is shown; the generation of its credentials is not.
fn tls_facts(info: &SessionInfo) -> TlsFacts {
    TlsFacts { protocol: info.protocol.to_owned(), cipher: info.cipher.to_owned(), ssf: info.ssf, ordinal: 0 }
}

/// Logs why TLS with a client or server failed, in the known words.
pub(super) fn log_tls_failure(conn: ConnId, error: &TransportError) {
    let text = match error {
        TransportError::Tls(error) => format!("Code: {} {error}", error.code()),
        TransportError::Io(error) => format!("Unknown protocol error ({})", os_text(error)),
    };
    router_engine::log!(LogModule::TcpAdaptor, Level::Warning, conn = conn, "TLS connection failed: {text}");
}

// === impl Flow ===

impl Flow {
    /// Tells the core of the flow, which was told `effects` while it was set up.
    pub(super) fn start(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            self.on_effect(effect);
        }
        self.submit();
    }

    pub(super) fn poll_copy(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        if self.fate == Fate::Left {
            return Poll::Ready(Turn::Over);
        }
        let handshaking = self.handshaking;
        for _ in 0..ROUNDS {
            let busy = self.round(cx);
            if self.is_over() {
                self.leave();
                return Poll::Ready(Turn::Over);
            }
            self.submit();
            if let Some(turn) = self.next_of_fate() {
                return Poll::Ready(turn);
            }
            if self.is_closing() && !std::mem::replace(&mut self.outbound.closing, true) {
                return Poll::Ready(Turn::Closing);
            }
            if handshaking && !self.handshaking {
                return Poll::Ready(Turn::Secured);
            }
            if !busy && self.conn.mailbox.park(cx.waker()) {
                return if self.is_deaf() { Poll::Ready(Turn::Deaf) } else { Poll::Pending };
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Does what can be done in both directions. True: there may be more to do right away.
    fn round(&mut self, cx: &mut Context<'_>) -> bool {
        self.take_mail();
        let mut busy = false;
        if self.handshaking && self.fate != Fate::Cut {
            self.poll_handshake(cx);
        }
        if self.fate != Fate::Cut {
            busy |= self.poll_inbound(cx);
        }
        if self.fate != Fate::Cut {
            busy |= self.poll_outbound(cx);
        }
        busy
    }

    /// Whether a reset must be looked out for, as nothing is read that would tell of it. What a server has sent before
    /// its reset is still to be read, when there is room.
    fn is_deaf(&self) -> bool {
        let answer_waits = self.role == Role::Connector && !self.inbound.ended;
        !(self.handshaking || self.inbound.reads() || answer_waits || self.outbound.broken)
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) {
        match self.transport.poll_handshake(cx) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => {
                self.handshaking = false;
                let tls = self.transport.info().map(tls_facts);
                self.actions.push(Action::Transport(Box::new(TransportFacts { tls, local_socket: None })));
            }
            Poll::Ready(Err(error)) => {
                log_tls_failure(self.conn.id, &error);
                self.fate = Fate::Cut;
            }
        }
    }

    fn take_mail(&mut self) {
        let (mut effects, mut ready) = (Vec::new(), Vec::new());
        if !self.conn.mailbox.take(&mut effects, &mut ready) {
            return;
        }
        for key in ready {
            match key {
                ROOM => self.inbound.blocked = false,
                DATA => self.outbound.dry = false,
                _ => {}
            }
        }
        for effect in effects {
            self.on_effect(effect);
        }
    }

    fn on_effect(&mut self, effect: Effect) {
        match effect {
            Effect::Push(mut push) => {
                if self.outbound.out.is_some() {
                    let delivery = Side::Out(push.id);
                    self.actions.push(Action::Update { delivery, state: Some(DeliveryState::Released), settled: true });
                    return;
                }
                self.outbound.out = Some(push.id);
                self.outbound.reader = Some(reader_of(&mut push, &self.conn.mailbox));
            }
            Effect::UpdateIn { state, settled, .. } => self.on_sender_update(state, settled),
            Effect::UpdateOut { settled: true, .. } => self.outbound.settled = true,
            Effect::Weigh => self.conn.mailbox.set_load(self.outbound.weight()),
            Effect::AbortOut { .. } | Effect::Close { .. } => self.fate = Fate::Cut,
            _ => {}
        }
    }

    /// The far end reports on our stream.
    fn on_sender_update(&mut self, state: Option<DeliveryState>, settled: bool) {
        match state {
            Some(DeliveryState::Received { section_offset, .. }) => self.inbound.window.on_report(section_offset),
            Some(DeliveryState::Accepted) | None => {}
            // A question that has been sent to its end is done with; the answer may still be coming.
            Some(_) if self.inbound.ended && self.role == Role::Listener => {}
            Some(_) => self.refuse(),
        }
        if settled {
            self.inbound.settled = true;
            self.inbound.window.lift();
        }
    }

    /// Reads the socket into the inbound stream. True: there may be more to read right away.
    fn poll_inbound(&mut self, cx: &mut Context<'_>) -> bool {
        if self.handshaking || !self.inbound.reads() {
            return false;
        }
        // The stream is told once: its reader, woken by less, would write in smaller pieces.
        let mut read = SmallVec::<[Bytes; READS]>::new();
        let end = self.read_some(cx, &mut read);
        if !read.is_empty() {
            self.inbound.blocked = self.inbound.stream.push_all(read) == Pressure::Full;
        }
        match end {
            ReadEnd::Later => self.inbound.reads(),
            ReadEnd::Empty => false,
            ReadEnd::Closed => {
                self.on_end_of_input();
                false
            }
            ReadEnd::Failed(error) => {
                self.fail(&error);
                true
            }
        }
    }

    fn read_some(&mut self, cx: &mut Context<'_>, read: &mut SmallVec<[Bytes; READS]>) -> ReadEnd {
        while read.len() < READS && !self.inbound.window.is_closed() {
            match self.transport.poll_read(cx) {
                Poll::Pending => return ReadEnd::Empty,
                Poll::Ready(Ok(Some(data))) => {
                    self.inbound.window.produce(data.len());
                    read.push(data);
                }
                Poll::Ready(Ok(None)) => return ReadEnd::Closed,
                Poll::Ready(Err(error)) => return ReadEnd::Failed(error),
            }
        }
        ReadEnd::Later
    }

    /// Writes the outbound stream to the socket. True: something was done.
    fn poll_outbound(&mut self, cx: &mut Context<'_>) -> bool {
        if self.outbound.shut {
            return false;
        }
        let pulled = (self.outbound.heading || self.outbound.pending.is_empty()) && self.pull();
        if self.outbound.heading || self.fate == Fate::Cut || self.handshaking {
            return pulled;
        }
        if !self.outbound.pending.is_empty() {
            return self.poll_write(cx) || pulled;
        }
        if self.transport.wants_flush() {
            match self.transport.poll_flush(cx) {
                Poll::Pending => return pulled,
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => {
                    self.on_write_failure(&error);
                    return true;
                }
            }
        }
        if self.outbound.source_ended {
            return self.end_outbound(cx) || pulled;
        }
        pulled
    }

    /// Moves what the stream holds to `pending`, without the head. True: something came.
    fn pull(&mut self) -> bool {
        let outbound = &mut self.outbound;
        let Some(reader) = outbound.reader.as_ref().filter(|_| !outbound.source_ended && !outbound.dry) else {
            return false;
        };
        let pull = reader.pull(PULL, &mut outbound.pending);
        outbound.dry = pull == Pull::Empty;
        outbound.source_ended = matches!(pull, Pull::Done | Pull::Aborted);
        if pull == Pull::Aborted {
            self.refuse();
        } else if outbound.heading {
            self.read_head();
        }
        pull != Pull::Empty
    }

    fn read_head(&mut self) {
        let outbound = &mut self.outbound;
        match encap::parse(outbound.pending.make_contiguous(), outbound.source_ended) {
            Ok(None) => {}
            Ok(Some(head)) => {
                outbound.heading = false;
                Outbound::consume(&mut outbound.pending, head.len);
                self.inbound.flowing = true;
            }
            Err(error) => {
                if error == HeadError::WrongEncapsulation {
                    router_engine::log!(LogModule::TcpAdaptor, Level::Error, conn = self.conn.id, "{error}");
                }
                self.settle_outbound(DeliveryState::Rejected(None));
                self.fate = Fate::Cut;
            }
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> bool {
        let outbound = &mut self.outbound;
        let mut slices = [IoSlice::new(&[]); SLICES];
        let count = outbound.pending.iter().zip(&mut slices).map(|(data, slice)| *slice = IoSlice::new(data)).count();
        match self.transport.poll_write(cx, &slices[..count]) {
            Poll::Pending => return false,
            Poll::Ready(Ok(octets)) => {
                Outbound::consume(&mut outbound.pending, octets);
                if let (Some(total), Some(out)) = (outbound.window.write(octets), outbound.out)
                    && !outbound.source_ended
                    && !outbound.settled
                {
                    let state = DeliveryState::Received { section_number: 0, section_offset: total };
                    self.actions.push(Action::Update { delivery: Side::Out(out), state: Some(state), settled: false });
                }
            }
            Poll::Ready(Err(error)) => self.on_write_failure(&error),
        }
        true
    }

    pub(super) fn submit(&mut self) {
        if self.actions.is_empty() {
            return;
        }
        // Both lists go: a flow has something to tell at its ends and once in a window of octets.
        let (mut actions, mut accepted) = (std::mem::take(&mut self.actions), Vec::<Accepted>::new());
        self.router.submit(self.conn.id, &mut actions, &mut accepted, clock::now());
        if let Some(accepted) = accepted.first() {
            self.inbound.id = Some(accepted.id);
        }
    }
}
