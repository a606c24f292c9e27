//! What the engine tells its caller.

use super::error::Violation;
use super::ids::{DeliveryKey, LinkKey, SessionKey};
use crate::performative::{Attach, DeliveryState, Error, Open};
use crate::sasl::AuthRequest;
use bytes::Bytes;
use std::sync::Arc;

/// One thing that happened on a connection, given by [`super::Connection::poll_event`].
#[derive(Debug)]
pub enum Event {
    /// A question of authentication; to be answered by [`super::Connection::auth_result`]. Nothing more is read until
    /// then.
    Auth(AuthRequest),
    /// The peer's open. A server must answer with [`super::Connection::open`] (or close); nothing
    /// more is read until then.
    RemoteOpen(Box<Open>),
    /// The peer began a session, which was answered already.
    Begun(SessionKey),
    /// The peer's window opened on a session on which sending was stopped by it.
    WindowOpen(SessionKey),
    /// A session is gone: the peer ended it, or answered our end. Its links got [`Event::Detached`].
    Ended {
        /// The session.
        session: SessionKey,
        /// The peer's error.
        error: Option<Box<Error>>,
        /// When the peer began the end: names of the links that it took along.
        links: Vec<Arc<str>>,
    },
    /// The peer attaches a link; to be answered by [`super::Connection::answer_attach`].
    Attach {
        /// The new link.
        link: LinkKey,
        /// What the peer sent.
        attach: Box<Attach>,
    },
    /// The peer answered our attach.
    Attached {
        /// The link.
        link: LinkKey,
        /// What the peer sent.
        attach: Box<Attach>,
    },
    /// The peer's flow for an outgoing link.
    Flow {
        /// The link.
        link: LinkKey,
        /// Credit now available.
        credit: u32,
        /// The peer wants the credit used up: [`super::Connection::drained`] when nothing more can be sent.
        drain: bool,
    },
    /// The peer gave up credit, as we ask it to with [`super::Connection::set_drain`]. It has some left if more was
    /// granted since.
    Drained {
        /// The incoming link.
        link: LinkKey,
        /// The credit that went unused.
        skipped: u32,
    },
    /// A transfer frame.
    Transfer(Incoming),
    /// The peer tells state or settlement of a delivery.
    Update(Update),
    /// A link is gone. The peer's detach is answered already, unless its attach was not answered
    /// yet: then [`super::Connection::answer_attach`] is still due.
    Detached {
        /// The link.
        link: LinkKey,
        /// The peer's error.
        error: Option<Box<Error>>,
    },
    /// The peer closed the connection, which is answered already.
    Closed {
        /// The peer's error.
        error: Option<Box<Error>>,
    },
    /// The connection is at its end; see [`super::Connection::status`].
    Failed(Violation),
}

/// One transfer frame of an incoming delivery.
#[derive(Debug)]
pub struct Incoming {
    /// The link.
    pub link: LinkKey,
    /// The delivery.
    pub delivery: DeliveryKey,
    /// The first frame of its delivery.
    pub first: bool,
    /// More frames will follow.
    pub more: bool,
    /// The delivery is aborted: it is over and to be forgotten.
    pub aborted: bool,
    /// The delivery is settled by its sender; if not on the first frame, from now on.
    pub settled: bool,
    /// The state at the sender.
    pub state: Option<DeliveryState>,
    /// A part of the message.
    pub payload: Bytes,
}

/// State or settlement of one delivery, told by the peer.
#[derive(Debug)]
pub struct Update {
    /// The delivery is an incoming one.
    pub incoming: bool,
    /// The delivery. A settled incoming delivery is kept until [`super::Connection::forget_in`];
    /// a settled outgoing one is forgotten already.
    pub delivery: DeliveryKey,
    /// The link.
    pub link: LinkKey,
    /// The caller's token; `None` when an incoming delivery was given none.
    pub token: Option<u64>,
    /// The state.
    pub state: Option<DeliveryState>,
    /// Settled by the peer.
    pub settled: bool,
}

/// Where a connection is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Exchange octets.
    Running,
    /// Write what is in the output, then close the transport.
    Closing,
    /// Cut the transport without writing.
    Dropped,
}
