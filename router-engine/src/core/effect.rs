//! What the core tells ports, through their [`crate::Mailbox`].

use super::action::{Direction, InToken};
use super::connection::PeerKind;
use super::gauge::LinkGauge;
use super::ids::{ConnId, LinkId, OutId};
use super::served::PeerAttach;
use crate::annotations::Annotations;
use crate::stream::{Notify, Payload, Reader};
use amqp_core::performative::{DeliveryState, Error, Source, Target};
use bytes::Bytes;
use std::sync::Arc;

/// Number of message priorities (AMQP part 3, 3.2.1; spec `inter-router-protocol.md` section 1).
pub const PRIORITIES: usize = 10;

/// Which session a router-initiated link goes on; links of one class share a session unless said otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionClass {
    /// The control links.
    Control,
    /// The pair of data links of one priority (0..=9).
    Priority(u8),
    /// Every streaming link has a session of its own, so that a stalled stream stalls nothing else.
    Streaming,
    /// Auto-links.
    AutoLink,
    /// Links that stand for those of clients.
    Endpoint,
    /// Links that end in the core.
    Core,
}

/// When the deliveries of an incoming link are forwarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CutThrough {
    /// Complete; before that when they are large, or marked as streams.
    #[default]
    Large,
    /// As they arrive.
    Always,
    /// Complete, however large: the core reads them itself.
    Never,
}

/// A link that the core wants attached.
#[derive(Debug, Clone)]
pub struct AttachOut {
    /// The link.
    pub link: LinkId,
    /// The link name.
    pub name: String,
    /// `In`: the router is the receiver.
    pub direction: Direction,
    /// The source terminus.
    pub source: Box<Source>,
    /// The target terminus.
    pub target: Box<Target>,
    /// Which session.
    pub session: SessionClass,
    /// Incoming link that is bound to no address: the port must supply [`super::action::Deliver::to`].
    pub anonymous: bool,
    /// When incoming deliveries are forwarded.
    pub cut_through: CutThrough,
    /// Rank among the outgoing links of the connection, 0..=9; higher ones are served first.
    pub priority: u8,
    /// Where to count what leaves by an outgoing link.
    pub gauge: Option<Arc<LinkGauge>>,
}

/// The answer to an [`super::action::AttachRequest`].
#[derive(Debug, Clone)]
pub struct AttachReply {
    /// The port's name of the link.
    pub token: u32,
    /// The link's id when accepted. A refused attach is answered and then detached with `error`.
    pub link: Result<LinkId, Box<Error>>,
    /// The source to answer with; `None` is encoded as null.
    pub source: Option<Box<Source>>,
    /// The target to answer with; `None` is encoded as null.
    pub target: Option<Box<Target>>,
    /// Incoming link without an address: the port must supply [`super::action::Deliver::to`].
    pub anonymous: bool,
    /// When incoming deliveries are forwarded.
    pub cut_through: CutThrough,
    /// Router annotations are read on this (incoming) or written on this (outgoing) link.
    pub annotations: bool,
    /// Rank among the outgoing links of the connection, 0..=9; higher ones are served first.
    pub priority: u8,
    /// What comes by an incoming link is kept until it is settled, to be sent again.
    pub resend_released: bool,
    /// Where to count what leaves by an outgoing link.
    pub gauge: Option<Arc<LinkGauge>>,
}

/// An outgoing delivery for a link.
#[derive(Debug)]
pub struct Push {
    /// The outgoing link.
    pub link: LinkId,
    /// The delivery.
    pub id: OutId,
    /// Number of the connection that it came in on; none when the core itself sends.
    pub from: Option<u32>,
    /// Who is at the other end of that connection.
    pub from_kind: Option<PeerKind>,
    /// Sent settled.
    pub settled: bool,
    /// The message without a router annotations section.
    pub payload: Payload,
    /// Of a stream with several consumers, or that was released by another one: this consumer's place, made by the
    /// core so that every copy begins at the beginning. `None` for a stream with one consumer: attach a new reader.
    pub reader: Option<Reader>,
    /// What to write in the router annotations section, where the link carries one.
    pub annotations: Annotations,
    /// State to carry on the transfer.
    pub state: Option<DeliveryState>,
}

/// How many there are of each kind on a watched address (spec `tcp-adaptor.md` section 3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WatchCounts {
    /// Consumer links on this router.
    pub local: u32,
    /// In-process consumers.
    pub in_process: u32,
    /// Routers that advertise the address, to and from which flows can be carried.
    pub remote: u32,
    /// Producer links on this router.
    pub producers: u32,
}

// === impl Push ===

impl Push {
    /// Takes the octets as a stream, whatever form they have. There are none a second time.
    #[must_use]
    pub fn take_reader(&mut self, notify: Notify) -> Reader {
        let payload = std::mem::replace(&mut self.payload, Payload::One(Bytes::new()));
        if let Some(reader) = self.reader.take() {
            reader.set_notify(notify);
            return reader;
        }
        payload.into_stream().reader(Some(notify))
    }
}

// === impl WatchCounts ===

impl WatchCounts {
    /// Whether the consumers are the same.
    pub(super) const fn has_consumers_of(&self, other: &Self) -> bool {
        self.local == other.local && self.in_process == other.in_process && self.remote == other.remote
    }

    /// Whether anything consumes the address anywhere.
    #[must_use]
    pub const fn reachable(&self) -> bool {
        self.local + self.in_process + self.remote > 0
    }
}

/// What a peer does to those who serve addresses, or attach links to it, from inside the process.
#[derive(Debug)]
pub enum PeerEvent {
    /// A peer with a container id that was asked for has opened its connection.
    Opened(ConnId),
    /// A peer attaches a link to an address that is served. To be answered.
    Attach {
        /// What the link is called here.
        link: LinkId,
        /// What the peer wants.
        attach: PeerAttach,
    },
    /// A peer has answered an attach; without the terminus that names the node it refuses, and detaches.
    Attached {
        /// The link.
        link: LinkId,
        /// The peer's source.
        source: Option<Box<Source>>,
        /// The peer's target.
        target: Option<Box<Target>>,
    },
    /// A peer gives credit on a link that it receives from.
    Credit {
        /// The link.
        link: LinkId,
        /// What there is now.
        credit: u32,
        /// The peer wants it to be used up.
        drain: bool,
    },
}

/// One thing that a port must do. Applied in order.
#[derive(Debug)]
pub enum Effect {
    /// Answer a peer's attach.
    AttachReply(Box<AttachReply>),
    /// Attach a link.
    Attach(Box<AttachOut>),
    /// Detach a link, with an error or in good order.
    Detach {
        /// The link.
        link: LinkId,
        /// Why.
        error: Option<Box<Error>>,
    },
    /// Grant credit on an incoming link. Grants are coalesced by the port.
    Credit {
        /// The link.
        link: LinkId,
        /// Credit to add.
        credit: u32,
        /// Set drain mode (with or without new credit); false leaves drain mode.
        drain: bool,
    },
    /// Queue a delivery on an outgoing link.
    Push(Box<Push>),
    /// State or settlement for a delivery that came in on this port. When the delivery is not yet
    /// complete the port sends the state at once and settles after the last frame, reading and
    /// discarding what is still to come if `discard`.
    UpdateIn {
        /// The incoming link.
        link: LinkId,
        /// The port's name of the delivery.
        token: InToken,
        /// The new state.
        state: Option<DeliveryState>,
        /// Settle.
        settled: bool,
        /// What is still arriving of this delivery goes nowhere.
        discard: bool,
    },
    /// State or settlement by the sender for a delivery that went out (or waits) on this port.
    UpdateOut {
        /// The outgoing link.
        link: LinkId,
        /// The delivery.
        id: OutId,
        /// The new state.
        state: Option<DeliveryState>,
        /// Settle.
        settled: bool,
    },
    /// Abandon an outgoing delivery: drop it when nothing was sent, else abort it.
    AbortOut {
        /// The outgoing link.
        link: LinkId,
        /// The delivery.
        id: OutId,
    },
    /// Close the connection: with a close frame, or (`hard`) by cutting the transport in both directions.
    Close {
        /// Why.
        error: Option<Box<Error>>,
        /// No close frame.
        hard: bool,
    },
    /// What a watched address can reach has changed (see [`super::Router::watch`]).
    Watch {
        /// The key given with the watch.
        key: u64,
        /// Destinations and producers now.
        counts: WatchCounts,
    },
    /// Something that a peer did and this part of the router asked to be told (see [`PeerEvent`]).
    Peer(Box<PeerEvent>),
    /// Turn the frame trace of this connection on or off.
    Trace(bool),
    /// Find out what the peer makes the process hold, and tell by [`crate::Mailbox::set_load`].
    Weigh,
}
