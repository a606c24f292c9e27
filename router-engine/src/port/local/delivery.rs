//! A delivery that came in.

use super::{Connection, tell_dropped};
use crate::annotations::Annotations;
use crate::core::connection::PeerKind;
use crate::core::effect::Push;
use crate::core::ids::ConnId;
use crate::stream::{Notify, Payload, Producer, Reader, StreamLimits};
use crate::{Action, LinkId, OutId, Router, Side};
use amqp_core::Instant;
use amqp_core::performative::DeliveryState;
use bytes::Bytes;
use std::sync::Arc;

/// A delivery that came in. Dropped before it was settled, it has failed: its sender is told MODIFIED.
///
/// It may outlive its endpoint, and be settled by another task; once the endpoint has left the core, nothing that is
/// said of the delivery counts.
#[derive(Debug)]
pub struct Delivery {
    router: Arc<Router>,
    conn: ConnId,
    push: Box<Push>,
    /// It came as a stream, so the core wants to know when nothing more of it is read.
    stream: bool,
    /// Its octets were taken as a stream.
    taken: bool,
    /// There is nothing to tell of it any more.
    concluded: bool,
}

// === impl Delivery ===

impl Delivery {
    pub(super) fn new(connection: &Connection, push: Box<Push>) -> Self {
        let stream = matches!(push.payload, Payload::Stream(_));
        let (router, conn) = (Arc::clone(connection.router()), connection.id());
        Self { router, conn, push, stream, taken: false, concluded: false }
    }

    /// The router that it came through.
    #[must_use]
    pub const fn router(&self) -> &Arc<Router> {
        &self.router
    }

    /// The connection that it came to.
    #[must_use]
    pub const fn connection(&self) -> ConnId {
        self.conn
    }

    /// The core's id.
    #[must_use]
    pub const fn id(&self) -> OutId {
        self.push.id
    }

    /// The link that it came on.
    #[must_use]
    pub const fn link(&self) -> LinkId {
        self.push.link
    }

    /// Number of the connection that it came in on; none when the core itself sent it.
    #[must_use]
    pub const fn from(&self) -> Option<u32> {
        self.push.from
    }

    /// Who is at the other end of that connection.
    #[must_use]
    pub const fn from_kind(&self) -> Option<PeerKind> {
        self.push.from_kind
    }

    /// What the routers on its way told of it.
    #[must_use]
    pub const fn annotations(&self) -> &Annotations {
        &self.push.annotations
    }

    /// Whether it was sent settled.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.push.settled
    }

    /// The octets of a whole message, without the router annotations section; none of a stream, or of what was taken as
    /// one.
    #[must_use]
    pub fn message(&self) -> Option<&[Bytes]> {
        match &self.push.payload {
            _ if self.taken => None,
            Payload::One(octets) => Some(std::slice::from_ref(octets)),
            Payload::Many(chunks) => Some(chunks),
            Payload::Stream(_) => None,
        }
    }

    /// Takes the octets as a stream, whatever form they came in. A second time there are none, and the stream is aborted.
    #[must_use]
    pub fn take_reader(&mut self, notify: Notify) -> Reader {
        if std::mem::replace(&mut self.taken, true) {
            return Producer::new(StreamLimits::DEFAULT, None).share().reader(Some(notify));
        }
        self.push.take_reader(notify)
    }

    /// The message has come as a whole by now.
    pub(super) fn complete(&mut self, message: Vec<Bytes>) {
        self.push.payload = Payload::Many(message.into());
        self.taken = false;
    }

    /// Settles the delivery. Nothing more of it is read.
    pub fn settle(mut self, outcome: DeliveryState, now: Instant) {
        let mut actions = Vec::new();
        self.conclude(Some(outcome), &mut actions);
        self.router.submit(self.conn, &mut actions, &mut Vec::new(), now);
    }

    /// What tells a state without settling, for instance how much was received.
    #[must_use]
    pub fn update(&self, state: DeliveryState) -> Action {
        Action::Update { delivery: Side::Out(self.id()), state: Some(state), settled: false }
    }

    /// Moves a stream to an unbound receiver of another connection. From here on it is that connection's, and fails with
    /// it. When the router has taken it back meanwhile, the connection is told [`crate::Effect::AbortOut`].
    pub fn move_to(mut self, connection: &mut Connection, link: LinkId, now: Instant) -> OutId {
        self.concluded = true;
        let moved = Action::Move { delivery: self.id(), link };
        connection.submit(&mut vec![moved], &mut Vec::new(), now);
        self.id()
    }

    /// Nothing is to be told of it any more.
    pub(super) fn forget(mut self) {
        self.concluded = true;
    }

    /// What ends the delivery. Without an outcome its sender is told nothing.
    pub(super) fn conclude(&mut self, outcome: Option<DeliveryState>, actions: &mut Vec<Action>) {
        self.concluded = true;
        let (id, settled) = (self.id(), self.is_settled());
        if settled || self.stream {
            actions.push(Action::Sent { delivery: id });
        }
        if let Some(state) = outcome.filter(|_| !settled) {
            actions.push(Action::Update { delivery: Side::Out(id), state: Some(state), settled: true });
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if self.concluded {
            return;
        }
        let mut actions = Vec::new();
        self.conclude(Some(DeliveryState::failed()), &mut actions);
        tell_dropped(&self.router, self.conn, actions);
    }
}
