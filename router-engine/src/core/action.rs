//! What ports tell the core.

use super::ids::{InId, LinkId, OutId};
use crate::annotations::Annotations;
use crate::policy::Decision;
use crate::stream::Payload;
use amqp_core::performative::{DeliveryState, Error, Source, Target};
use amqp_core::value::{Map, Symbol};
use bytes::Bytes;

/// The port's own name for an incoming delivery, handed back in effects. Opaque to the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct InToken(pub u64);

/// A direction as the router sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The peer sends.
    In,
    /// The router sends.
    Out,
}

impl Direction {
    /// The other one.
    #[must_use]
    pub const fn reverse(self) -> Self {
        match self {
            Self::In => Self::Out,
            Self::Out => Self::In,
        }
    }
}

/// A delivery as named in an [`Action::Update`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The sending peer updates a delivery that it sent to the router.
    In(InId),
    /// The receiving peer updates a delivery that the router sent to it.
    Out(OutId),
}

/// What the peer's open told (AMQP part 2, 2.7.1).
#[derive(Debug, Clone, Default)]
pub struct PeerOpen {
    /// The peer's container id.
    pub container_id: String,
    /// The hostname field.
    pub hostname: Option<String>,
    /// Offered capabilities.
    pub offered_capabilities: Vec<Symbol>,
    /// Connection properties.
    pub properties: Map,
    /// The SASL mechanism used, if any.
    pub sasl_mechanism: Option<String>,
    /// The user id, if any (spec `amqp-endpoint.md` section 2).
    pub user: Option<String>,
    /// TLS protocol name (`TLSv1.3`), if encrypted.
    pub tls_protocol: Option<String>,
    /// TLS cipher name, if encrypted.
    pub tls_cipher: Option<String>,
    /// Secret bits of the cipher.
    pub tls_ssf: u32,
    /// What policy says of the connection, as it was when the open came.
    pub policy: Decision,
}

impl PeerOpen {
    /// Whether the peer offers a capability.
    pub(super) fn offers(&self, name: &str) -> bool {
        self.offered_capabilities.iter().any(|symbol| symbol.0 == name)
    }
}

/// What has become known of a connection's transport since the connection began.
#[derive(Debug, Clone, Default)]
pub struct TransportFacts {
    /// The socket's local address, when it was opened only now.
    pub local_socket: Option<String>,
    /// TLS, when it was established on an open connection.
    pub tls: Option<TlsFacts>,
}

/// TLS below a connection.
#[derive(Debug, Clone)]
pub struct TlsFacts {
    /// Protocol name (`TLSv1.3`).
    pub protocol: String,
    /// Cipher name.
    pub cipher: String,
    /// Secret bits of the cipher.
    pub ssf: u32,
    /// The generation of credentials to show.
    pub ordinal: u64,
}

/// An attach that came from a peer.
#[derive(Debug, Clone)]
pub struct AttachRequest {
    /// The port's own name for the link, handed back in [`super::Effect::AttachReply`].
    pub token: u32,
    /// The link name.
    pub name: String,
    /// `In` when the peer is the sender.
    pub direction: Direction,
    /// The source terminus.
    pub source: Option<Box<Source>>,
    /// The target terminus.
    pub target: Option<Box<Target>>,
    /// The peer asked for snd-settle-mode settled (1): outgoing deliveries are sent settled and count as accepted.
    pub settle_on_send: bool,
}

/// The first notice of an incoming delivery, after its sections were validated up to the depth
/// that routing needs. Either complete, or the head of a stream.
#[derive(Debug, Clone)]
pub struct Deliver {
    /// The incoming link.
    pub link: LinkId,
    /// The port's name of the delivery.
    pub token: InToken,
    /// Pre-settled.
    pub settled: bool,
    /// The message without its router annotations section.
    pub payload: Payload,
    /// On anonymous links: the to-override annotation if present, else properties `to`.
    pub to: Option<Bytes>,
    /// As received; default when none came or the listener strips them.
    pub annotations: Annotations,
    /// Header priority clamped to 0..=9; 4 when absent.
    pub priority: u8,
    /// State carried on the transfer.
    pub state: Option<DeliveryState>,
    /// Nobody waits to hear that it was accepted: that is told with whatever wakes the port next.
    pub unattended: bool,
}

/// One thing that happened at a port. Applied in order.
#[derive(Debug)]
pub enum Action {
    /// Both opens are exchanged.
    Opened(Box<PeerOpen>),
    /// The transport is known better than when the connection began.
    Transport(Box<TransportFacts>),
    /// A peer attaches a link.
    Attach(Box<AttachRequest>),
    /// The peer answered a router-initiated attach; absent termini mean that a refusal follows.
    Attached {
        /// The link.
        link: LinkId,
        /// The peer's source.
        source: Option<Box<Source>>,
        /// The peer's target.
        target: Option<Box<Target>>,
        /// The peer asked for settled sending.
        settle_on_send: bool,
    },
    /// A link ended: detached by the peer, session ended, or connection lost. The core settles what
    /// was outstanding. `unsent` lists outgoing deliveries of which nothing complete was sent; those that are still in
    /// the port's mailbox need not be named.
    Detached {
        /// The link.
        link: LinkId,
        /// The peer's error.
        error: Option<Box<Error>>,
        /// Queued or partly sent outgoing deliveries.
        unsent: Vec<OutId>,
    },
    /// Credit state of an outgoing link, told when it changes by a flow from the peer.
    PeerCredit {
        /// The link.
        link: LinkId,
        /// Credit now available.
        credit: u32,
        /// Drain mode as requested by the peer.
        drain: bool,
    },
    /// The peer gave up credit on an incoming link: all that it had when the drain request came.
    Drained {
        /// The link.
        link: LinkId,
        /// The credit that went unused.
        skipped: u32,
    },
    /// A delivery arrived.
    Deliver(Box<Deliver>),
    /// A streaming incoming delivery is now completely received (or was aborted, see `aborted`).
    Complete {
        /// The delivery.
        delivery: InId,
        /// The peer aborted it.
        aborted: bool,
    },
    /// An incoming delivery was refused by the port itself (invalid section, oversize):
    /// only counted, and its credit returned.
    Refused {
        /// The link.
        link: LinkId,
    },
    /// State or settlement from a peer.
    Update {
        /// Which delivery.
        delivery: Side,
        /// The new state, if any.
        state: Option<DeliveryState>,
        /// The peer settled.
        settled: bool,
    },
    /// An outgoing link of the submitting connection takes no more deliveries; those that it has go on to their ends.
    Unbind {
        /// The link.
        link: LinkId,
    },
    /// Moves an outgoing stream to an outgoing link of this port, which takes over its effects. The
    /// stream still counts as load of the link it came from.
    Move {
        /// The delivery.
        delivery: OutId,
        /// The link, of the submitting connection.
        link: LinkId,
    },
    /// An outgoing delivery left completely. Not sent for deliveries that stay unsettled and have
    /// no stream: the core learns those by their outcome.
    Sent {
        /// The delivery.
        delivery: OutId,
    },
    /// Pre-settled deliveries were discarded from the link's queue (spec `amqp-endpoint.md` 12.6).
    Dropped {
        /// The delivery.
        delivery: OutId,
    },
    /// The connection is gone. Every link is detached as by `Detached` with an empty `unsent`
    /// unless `Detached` was given before.
    Closed,
}
