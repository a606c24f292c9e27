//! The objects of the core.

use super::action::{Direction, PeerOpen};
use super::connection::{ConnParams, ConnectionRole, PeerKind};
use super::deliveries::{IncomingDelivery, OutgoingDelivery, Refusals};
use super::effect::{CutThrough, Effect, PRIORITIES, WatchCounts};
use super::gauge::LinkGauge;
use super::ids::{AddressId, ConnId, LinkId};
use super::ingress::IngressHistogram;
use super::plane::edge::EdgePeer;
use super::plane::interior::edges::Consumed;
use super::plane::messages::MeshId;
use super::rate::SettleRate;
use super::streaming::LinkPool;
use super::table::{Hook, List, Slot, entry, listed};
use crate::Mailbox;
use crate::annotations::flags;
use crate::forward::Treatment;
use crate::index::{NeighbourIndex, NodeIndex, NodeSet};
use crate::log::{self, Level, LogModule};
use crate::stream::Notify;
use amqp_core::Instant;
use bytes::Bytes;
use smallvec::SmallVec;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A connection.
#[derive(Debug)]
pub(crate) struct Conn {
    pub(crate) id: ConnId,
    pub(crate) params: ConnParams,
    /// The configured role, or what the peer's open made of it.
    pub(crate) role: ConnectionRole,
    pub(crate) mailbox: Arc<Mailbox>,
    /// Effects of the running batch, posted to the mailbox at its end.
    pub(crate) staged: Vec<Effect>,
    /// The port is to be woken for them.
    pub(crate) wakes: bool,
    pub(crate) peer: Option<PeerOpen>,
    pub(crate) links: Vec<Slot<Link>>,
    pub(crate) opened_at: Instant,
    pub(crate) last_delivery: Option<Instant>,
    /// Streaming links may be opened towards this peer.
    pub(crate) streaming_links: bool,
    /// Idle streaming links.
    pub(crate) pool: LinkPool,
    pub(crate) admin_deleted: bool,
    /// The frame trace was switched for this connection alone, in an epoch of the module's setting.
    pub(crate) trace: Option<(u32, bool)>,
    pub(crate) router: Option<Box<RouterConn>>,
    pub(crate) edge: Option<Box<EdgeConn>>,
    /// The edge router at the other end, on edge routers.
    pub(crate) edge_peer: Option<Slot<EdgePeer>>,
    /// Of a TCP flow: who has refused what it has sent, until all have.
    pub(crate) refusals: Option<Box<Refusals>>,
}

/// What a connection has at whose other end is an edge router that uses it to reach the network.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct EdgeConn {
    /// The mesh of edge routers that it is in.
    pub(crate) mesh: Option<MeshId>,
    /// Tells it which addresses it can reach.
    pub(crate) tracking: Option<Slot<Link>>,
    /// It was asked to use another uplink.
    pub(crate) asked_to_leave: bool,
    /// There was more to tell than the link took.
    pub(crate) behind: bool,
    /// There was no room to take back what it was told of a link that went.
    pub(crate) misled: bool,
    /// Changes of its mesh that were told to others; one is forgotten with each tick.
    pub(crate) recent_changes: u8,
    /// The mesh that it has announced, when it has changed that too often for others to be told.
    pub(crate) next_mesh: Option<MeshId>,
}

/// What an inter-router (control or data) connection has beyond others.
#[derive(Debug, Default)]
pub(crate) struct RouterConn {
    /// Effective cost.
    pub(crate) cost: u32,
    /// The neighbour at the other end of a control connection.
    pub(crate) neighbour: Option<NeighbourIndex>,
    pub(crate) control_in: Option<Slot<Link>>,
    pub(crate) control_out: Option<Slot<Link>>,
    /// Outgoing data links by priority.
    pub(crate) data_out: [Option<Slot<Link>>; PRIORITIES],
    /// Standing data links that were attached per direction; further ones are streaming links.
    pub(crate) data_in_count: usize,
    pub(crate) data_out_count: usize,
    pub(crate) correlator: Option<String>,
    pub(crate) ordinal: u64,
    pub(crate) trunking: bool,
    /// Data connections of the group, on the control connection.
    pub(crate) members: Vec<Slot<Conn>>,
    pub(crate) next_member: usize,
    /// Of a control connection: where a data connection of the group has ended instead.
    pub(crate) split_with: Option<String>,
}

/// What a link is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LinkKind {
    /// An ordinary link.
    Endpoint,
    /// Carries routing protocol messages.
    Control,
    /// Carries complete messages of one priority between routers.
    Data(u8),
    /// Carries one incomplete message at a time.
    Streaming,
    /// Brings an edge router what is for it.
    EdgeDownlink,
    /// Between two edge routers: brings what is for the receiving one.
    InterEdge,
    /// Ends in the core itself.
    Service(CoreService),
}

/// What links of other routers end in (spec `inter-router-protocol.md` 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CoreService {
    /// An edge router is told which addresses it can reach by way of an interior router.
    AddressTracking,
    /// An interior router is told which mesh an edge router is in.
    MeshDiscovery,
    /// Edge routers agree on the identifier of their mesh.
    MeshIdNegotiation,
}

/// A link.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(crate) conn: Slot<Conn>,
    /// Index in the connection's `links`.
    pub(crate) at: u32,
    /// Its place among the consumers or producers of the bound address.
    pub(crate) hook: Hook<Self>,
    pub(crate) name: String,
    pub(crate) direction: Direction,
    pub(crate) kind: LinkKind,
    /// The bound address.
    pub(crate) address: Option<Slot<Address>>,
    /// Text of the terminus address, for management and for the to-override annotation.
    pub(crate) terminus: Option<Bytes>,
    /// Both attaches are exchanged.
    pub(crate) up: bool,
    pub(crate) capacity: u32,
    pub(crate) settle_on_send: bool,
    pub(crate) streaming: bool,
    pub(crate) resend_released: bool,
    /// Deliveries of an incoming link.
    pub(crate) incoming: List<IncomingDelivery>,
    /// Deliveries of an outgoing link.
    pub(crate) outgoing: List<OutgoingDelivery>,
    /// Of these, pre-settled (incoming; they are still arriving), or waiting to be sent (outgoing, see [`OutgoingDelivery::waits`]).
    pub(crate) undelivered: u32,
    /// Outgoing streams that were moved from this link to streaming links.
    pub(crate) moved_streams: u32,
    /// Of a streaming link: it waits in its connection's pool.
    pub(crate) idle: bool,
    /// The other one of a pair (see [`super::served`]): what comes on one leaves by the other.
    pub(crate) partner: Option<Slot<Self>>,
    /// Of a streaming link: the link that its stream was moved from.
    pub(crate) moved_from: Option<LinkId>,
    /// Credit to grant when the address gets a path.
    pub(crate) credit_withheld: u32,
    /// Credit to grant at the end of the batch, or later where the peer has plenty.
    pub(crate) credit_due: u32,
    /// It is granted at the end of the batch.
    pub(crate) credit_queued: bool,
    pub(crate) draining: bool,
    /// Credit as known from the peer's flow (outgoing), or that the peer was given and has not used (incoming).
    pub(crate) peer_credit: u32,
    pub(crate) zero_credit_since: Option<Instant>,
    /// Of an incoming link of an edge router: whether it was told that somebody consumes the address. None when it may
    /// still believe what it was told of a link before.
    pub(crate) told_reachable: Option<bool>,
    /// It takes nothing more, and goes with the last of what is under way on it.
    pub(crate) retiring: bool,
    /// It counts as blocked, because that is long ago.
    pub(crate) blocked: bool,
    pub(crate) settle_rate: SettleRate,
    /// Of an outgoing link where messages leave the network.
    pub(crate) ingress: IngressHistogram,
    pub(crate) counters: LinkCounters,
    /// Unsettled whole messages that were queued on an outgoing link.
    pub(crate) queued_whole: u64,
    /// How many of these have left; none where the port tells of each.
    pub(crate) gauge: Option<Arc<LinkGauge>>,
}

/// Counters of a link (spec `amqp-endpoint.md` 18.2, 18.3).
#[derive(Debug, Clone, Copy, Default)]
pub struct LinkCounters {
    /// Deliveries received, or completely sent.
    pub deliveries: u64,
    /// Pre-settled; of outgoing links with those that were dropped.
    pub presettled: u64,
    /// Pre-settled and dropped.
    pub dropped_presettled: u64,
    /// Accepted.
    pub accepted: u64,
    /// Rejected.
    pub rejected: u64,
    /// Released.
    pub released: u64,
    /// Modified.
    pub modified: u64,
    /// Took more than one second.
    pub delayed_1sec: u64,
    /// Took more than ten seconds.
    pub delayed_10sec: u64,
    /// Have not been sent or settled for too long now.
    pub stuck: u64,
}

/// An address record.
#[derive(Debug)]
pub(crate) struct Address {
    pub(crate) id: AddressId,
    /// Class character and text.
    pub(crate) key: String,
    pub(crate) treatment: Treatment,
    /// Configured priority.
    pub(crate) priority: Option<u8>,
    /// Outgoing links, in rotation order.
    pub(crate) consumers: List<Link>,
    /// Incoming links.
    pub(crate) producers: List<Link>,
    /// Of the consumers, those that other routers attached for their clients.
    pub(crate) proxied_consumers: u32,
    /// Of the producers, likewise.
    pub(crate) proxied_producers: u32,
    /// In-process consumers: outgoing links of internal connections.
    pub(crate) subscribers: Vec<Slot<Link>>,
    /// The core itself consumes messages to this address.
    pub(crate) control: Option<ControlAddress>,
    /// Routers that advertise the address.
    pub(crate) remotes: NodeSet,
    /// Where its consumers are, as edge routers have been told.
    pub(crate) consumed: Consumed,
    /// The remote router that was chosen last by closest.
    pub(crate) last_remote: NodeIndex,
    /// Unsettled deliveries outstanding per neighbour (balanced).
    pub(crate) outstanding: SmallVec<[(NeighbourIndex, u32); 2]>,
    /// By number. Each client that waits for a consumer has one.
    pub(crate) watches: BTreeMap<u64, Watch>,
    /// Incoming deliveries that may be forwarded to it again, and auto-links.
    pub(crate) holds: u32,
    pub(crate) counters: AddressCounters,
}

/// Counters of an address.
#[derive(Debug, Clone, Copy, Default)]
pub struct AddressCounters {
    /// Deliveries that entered the network here.
    pub ingress: u64,
    /// Deliveries that left the network here.
    pub egress: u64,
    /// Deliveries sent to other routers.
    pub transit: u64,
    /// Deliveries to in-process consumers.
    pub to_container: u64,
    /// Deliveries from in-process producers.
    pub from_container: u64,
    /// Of `ingress`, from route containers.
    pub ingress_route_container: u64,
    /// Of `egress`, to route containers.
    pub egress_route_container: u64,
    /// Of `ingress`, from other networks.
    pub ingress_inter_network: u64,
    /// Of `egress`, to other networks.
    pub egress_inter_network: u64,
}

/// Routing protocol addresses that the core consumes (spec `inter-router-protocol.md` 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ControlAddress {
    /// `Lqdhello`
    Hello,
    /// `Lqdrouter`, `Tqdrouter`, `Lqdrouter.ma`, `Tqdrouter.ma`
    Router,
}

/// Somebody who wants to know whether an address is reachable.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) notify: Notify,
    /// What was told last, of a watch on consumers only.
    pub(crate) told: Option<WatchCounts>,
}

// === impls ===

entry!(Conn, ConnId);
entry!(Link, LinkId);
entry!(Address, AddressId);
listed!(Link);

impl LinkKind {
    /// The rank of a link of this kind among those of its connection.
    pub(crate) const fn priority(self) -> u8 {
        match self {
            Self::Control => 9,
            Self::Data(priority) => priority,
            Self::Endpoint | Self::Streaming | Self::EdgeDownlink | Self::InterEdge | Self::Service(_) => 4,
        }
    }

    /// When the deliveries of an incoming link of this kind are forwarded.
    pub(crate) const fn cut_through(self) -> CutThrough {
        match self {
            Self::Control | Self::Service(_) => CutThrough::Never,
            Self::Data(_) | Self::Endpoint | Self::Streaming | Self::EdgeDownlink | Self::InterEdge => {
                CutThrough::Large
            }
        }
    }

    /// Streams for a link of this kind have streaming links of their own.
    pub(crate) const fn moves_streams(self) -> bool {
        matches!(self, Self::Endpoint | Self::EdgeDownlink | Self::InterEdge)
    }
}

impl Conn {
    /// Parts of the router itself, such as the management agent.
    pub(crate) const fn is_internal(&self) -> bool {
        matches!(self.params.kind, PeerKind::Internal | PeerKind::Hidden)
    }

    /// Whether its frames are traced: as was asked for, until the module's setting changes.
    pub(crate) fn is_traced(&self) -> bool {
        match self.trace {
            Some((epoch, on)) if epoch == log::protocol_epoch() => on,
            _ => log::enabled(LogModule::Protocol, Level::Debug),
        }
    }

    /// Whether the router annotations section is read (incoming) or written (outgoing) on its links.
    pub(crate) const fn carries_annotations(&self, direction: Direction) -> bool {
        self.params.links.carries_annotations(self.role, direction)
    }

    /// Shown to operators: of a peer whose open came.
    pub(crate) fn is_shown(&self) -> bool {
        !self.is_internal() && self.params.kind != PeerKind::HttpDispatcher && self.peer.is_some()
    }
}

impl Link {
    /// Flags for the annotations of what comes in on it.
    pub(crate) const fn annotation_flags(&self) -> u32 {
        let resend = if self.resend_released { flags::RESEND_RELEASED } else { 0 };
        let streaming = if self.streaming { flags::STREAMING } else { 0 };
        resend | streaming
    }

    /// Unsettled whole messages that have left, where their port counts them.
    pub(crate) fn left_whole(&self) -> u64 {
        self.gauge.as_ref().map_or(0, |gauge| gauge.left())
    }

    /// Of an incoming link: nothing of it is here or may still come.
    pub(crate) fn is_idle_receiver(&self) -> bool {
        self.direction == Direction::In && self.incoming.is_empty() && self.peer_credit == 0
    }

    /// Deliveries of either direction.
    pub(crate) const fn delivery_count(&self) -> u32 {
        self.incoming.len() + self.outgoing.len()
    }

    /// Deliveries that wait to be sent or are on their way out, and unsettled ones.
    pub(crate) fn pending(&self) -> (u32, u32) {
        let others = self.delivery_count().saturating_sub(self.undelivered);
        match (self.direction, &self.gauge) {
            (Direction::In, _) => (0, others),
            (Direction::Out, None) => (self.undelivered, others),
            (Direction::Out, Some(gauge)) => {
                let waiting = self.queued_whole.saturating_sub(gauge.left());
                let waiting = u32::try_from(waiting).unwrap_or(u32::MAX).min(others);
                (self.undelivered + waiting, others - waiting)
            }
        }
    }

    /// Whether the sender on the link, another router, has so much credit that it does not miss more.
    pub(crate) fn has_plenty(&self) -> bool {
        matches!(self.kind, LinkKind::Data(_))
            && self.direction == Direction::In
            && u64::from(self.peer_credit) * 4 > u64::from(self.capacity) * 3
    }

    /// The sender on the link has used credit, or given it up.
    pub(crate) fn use_credit(&mut self, credit: u32, now: Instant) {
        self.peer_credit = self.peer_credit.saturating_sub(credit);
        if self.peer_credit == 0 {
            self.zero_credit_since.get_or_insert(now);
        }
    }
}

impl Address {
    pub(crate) fn class(&self) -> u8 {
        self.key.as_bytes().first().copied().unwrap_or(b'M')
    }

    /// The key without its class.
    pub(crate) fn text(&self) -> &str {
        self.key.get(1..).unwrap_or_default()
    }

    /// Destinations of every kind.
    pub(crate) fn paths(&self) -> usize {
        self.consumers.len() as usize
            + self.subscribers.len()
            + usize::from(self.control.is_some())
            + self.remotes.len()
    }

    /// Something refers to the record.
    pub(crate) fn is_used(&self) -> bool {
        self.paths() > 0
            || !self.producers.is_empty()
            || !self.watches.is_empty()
            || self.holds > 0
            || !self.outstanding.is_empty()
    }

    pub(crate) fn outstanding(&self, neighbour: NeighbourIndex) -> u32 {
        self.outstanding.iter().find(|(n, _)| *n == neighbour).map_or(0, |(_, n)| *n)
    }

    pub(crate) fn add_outstanding(&mut self, neighbour: NeighbourIndex, up: bool) {
        match self.outstanding.iter().position(|(n, _)| *n == neighbour) {
            Some(i) if up => self.outstanding[i].1 += 1,
            Some(i) => {
                self.outstanding[i].1 = self.outstanding[i].1.saturating_sub(1);
                if self.outstanding[i].1 == 0 {
                    self.outstanding.swap_remove(i);
                }
            }
            None if up => self.outstanding.push((neighbour, 1)),
            None => {}
        }
    }
}
