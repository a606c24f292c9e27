//! One TCP socket of a service: an exchange and the socket that it copies to and from
//! (spec `tcp-adaptor.md` sections 7 to 9).
//!
//! The core sees the start and the end of each stream; payload passes it by. Both directions of a socket are driven by
//! one task. How flows end: [`super::ending`].

use super::ending::Ending;
use super::service::Member;
use super::socket::Socket;
use crate::clock;
use crate::tls::SessionInfo;
use router_engine::core::action::{TlsFacts, TransportFacts};
use router_engine::core::ids::ConnId;
use router_engine::exchange::{Exchange, Phase};
use router_engine::{Action, Effect, LinkId};
use std::task::{Context, Poll};

/// Rounds of reading and writing before other tasks get their turn.
const ROUNDS: usize = 8;

/// An exchange and its socket.
#[derive(Debug)]
pub(super) struct Flow {
    pub(super) exchange: Exchange,
    pub(super) socket: Socket,
    /// How far the task knows that the flow is about to end.
    pub(super) ending: Ending,
    /// Held for as long as the flow lives.
    pub(super) member: Member,
}

/// Why copying stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// There is nothing to do for now, and the socket is not read: nothing tells of its failure.
    Unwatched,
    /// The TLS handshake is done.
    Secured,
    /// The client's stream failed before it reached a server, and is to be sent again.
    Waiting,
    /// It was sent again.
    Resent,
    /// The socket will be reset; what is on its way to it comes first.
    Draining,
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

// === impl Flow ===

impl Flow {
    pub(super) fn new(mut exchange: Exchange, mut socket: Socket, member: Member) -> Self {
        member.record.count(&mut exchange);
        socket.throttle = member.throttle();
        Self { exchange, socket, ending: Ending::None, member }
    }

    pub(super) const fn id(&self) -> ConnId {
        self.exchange.id()
    }

    /// Sends a server's stream on a link of the flow's connection. The core told `effects` while the flow was set up.
    pub(super) fn start(&mut self, link: LinkId, reply_to: String, effects: Vec<Effect>) {
        self.exchange.start(link, reply_to, effects);
        self.submit();
    }

    pub(super) fn submit(&mut self) {
        self.exchange.submit(clock::now);
    }

    pub(super) fn poll_copy(&mut self, cx: &mut Context<'_>) -> Poll<Turn> {
        if self.exchange.phase() == Phase::Left {
            return Poll::Ready(Turn::Over);
        }
        let handshaking = self.exchange.is_connecting();
        for _ in 0..ROUNDS {
            self.exchange.take_mail();
            if self.exchange.phase() == Phase::Waiting {
                self.exchange.resend(clock::now());
            }
            if self.exchange.is_connecting() && self.exchange.phase() != Phase::Cut {
                self.poll_handshake(cx);
            }
            let busy = self.copy_once(cx);
            if self.exchange.is_over() {
                self.leave();
                return Poll::Ready(Turn::Over);
            }
            self.submit();
            if let Some(turn) = self.next_ending() {
                return Poll::Ready(turn);
            }
            if handshaking && !self.exchange.is_connecting() {
                return Poll::Ready(Turn::Secured);
            }
            if !busy && self.exchange.park(cx.waker()) {
                return if self.exchange.watches_for_reset() { Poll::Ready(Turn::Unwatched) } else { Poll::Pending };
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Copies what can be copied.
    fn copy_once(&mut self, cx: &mut Context<'_>) -> bool {
        let busy = self.copy_timed(cx);
        if let Some(origin) = self.exchange.take_origin() {
            if !self.member.has_met() {
                self.member.count_setup();
            }
            self.member.meet(&origin, self.exchange.router().id());
        }
        self.member.note(self.exchange.octets(), self.exchange.is_half_closed());
        busy
    }

    /// Copies, and times the first answer.
    fn copy_timed(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.member.is_timing() {
            return self.exchange.copy(cx, &mut self.socket);
        }
        let (at, before) = (clock::now(), self.exchange.octets());
        let busy = self.exchange.copy(cx, &mut self.socket);
        self.member.time(at, before, self.exchange.octets());
        busy
    }

    fn poll_handshake(&mut self, cx: &mut Context<'_>) {
        match self.socket.transport.poll_handshake(cx) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => {
                self.exchange.set_connecting(false);
                let tls = self.socket.transport.info().map(tls_facts);
                self.exchange.tell(Action::Transport(Box::new(TransportFacts { tls, local_socket: None })));
            }
            Poll::Ready(Err(error)) => {
                self.socket.log_failed_handshake(&error);
                self.exchange.cut();
            }
        }
    }
}
