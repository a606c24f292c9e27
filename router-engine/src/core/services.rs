//! Links between routers that end in the core itself: they carry what edge routers and their peers tell each other
//! (spec `inter-router-protocol.md` 5.3, section 9).

use super::Core;
use super::action::{Deliver, Direction};
use super::effect::Effect;
use super::forwarding::{Content, Route};
use super::objects::{Conn, CoreService, Link, LinkKind};
use super::table::Slot;
use crate::annotations::Annotations;
use crate::mode::Mode;
use crate::stream::Payload;
use amqp_core::performative::{DeliveryState, Error};
use bytes::Bytes;

// === impl CoreService ===

impl CoreService {
    const ALL: [Self; 3] = [Self::AddressTracking, Self::MeshDiscovery, Self::MeshIdNegotiation];

    /// The address of its termini.
    pub(super) const fn address(self) -> &'static str {
        match self {
            Self::AddressTracking => "_$qd.edge_addr_tracking",
            Self::MeshDiscovery => "_$qd.mesh_discovery",
            Self::MeshIdNegotiation => "_$qd.mesh_id_negotiation",
        }
    }

    /// The direction of its links at the router that serves them.
    pub(super) const fn served(self) -> Direction {
        match self {
            Self::AddressTracking => Direction::Out,
            Self::MeshDiscovery | Self::MeshIdNegotiation => Direction::In,
        }
    }

    /// Messages that the receiver of its links lets the sender be ahead.
    pub(super) const fn credit(self) -> u32 {
        match self {
            Self::AddressTracking => 32,
            Self::MeshDiscovery | Self::MeshIdNegotiation => 3,
        }
    }

    /// Messages that may wait, or be unsettled, at its sender.
    const fn queue(self) -> u32 {
        4 * self.credit()
    }

    /// The service with that address at a router of that mode.
    fn at(mode: Mode, address: &str) -> Option<Self> {
        let served = |service: &Self| match service {
            Self::AddressTracking | Self::MeshDiscovery => mode == Mode::Interior,
            Self::MeshIdNegotiation => mode == Mode::Edge,
        };
        Self::ALL.into_iter().filter(served).find(|service| service.address() == address)
    }

    /// Whether a peer may attach a link to it; why not is for the peer.
    fn allows(self, conn: &Conn, direction: Direction) -> Result<(), Error> {
        let incoming = direction == Direction::In;
        match self {
            Self::AddressTracking if !conn.role.is_edge() => {
                Err(Error::new("qd:connection-role", "Connection does not support address tracking"))
            }
            Self::AddressTracking if incoming => {
                Err(Error::new("amqp:not-implemented", "Incoming messages not allowed"))
            }
            Self::MeshDiscovery if !conn.role.is_edge() => {
                Err(Error::new("qd:connection-role", "Connection does not support mesh discovery"))
            }
            Self::MeshIdNegotiation if !conn.role.is_inter_edge() => {
                Err(Error::new("qd:connection-role", "Connection does not support mesh negotiation"))
            }
            Self::MeshDiscovery | Self::MeshIdNegotiation if !incoming => {
                Err(Error::new("amqp:not-implemented", "Outgoing messages not allowed"))
            }
            Self::AddressTracking | Self::MeshDiscovery | Self::MeshIdNegotiation => Ok(()),
        }
    }
}

// === impl Core ===

impl Core {
    /// The service that an attach asks for, if it does and may.
    pub(super) fn decide_service(
        &self,
        conn: Slot<Conn>,
        direction: Direction,
        address: &str,
    ) -> Option<Result<CoreService, Error>> {
        let service = CoreService::at(self.config.mode, address)?;
        Some(service.allows(&self.conns[conn], direction).map(|()| service))
    }

    /// A link of a service is attached on both sides.
    pub(super) fn service_link_up(&mut self, link: Slot<Link>, service: CoreService) {
        let Link { conn, direction, .. } = self.links[link];
        if (service, direction) == (CoreService::AddressTracking, Direction::Out)
            && let Some(edge) = self.conns[conn].edge.as_mut()
        {
            (edge.tracking, edge.misled) = (Some(link), false);
            self.forget_told(conn);
            self.track_all(conn);
            self.ask_to_leave(conn);
        }
    }

    /// Whoever asks again knows nothing.
    fn forget_told(&mut self, conn: Slot<Conn>) {
        for at in 0..self.conns[conn].links.len() {
            self.links[self.conns[conn].links[at]].told_reachable = Some(false);
        }
    }

    /// A link of a service is gone.
    pub(super) fn service_link_lost(&mut self, link: Slot<Link>) {
        let conn = self.links[link].conn;
        let Some(edge) = self.conns[conn].edge.as_mut() else { return };
        if edge.tracking.take_if(|tracking| *tracking == link).is_some() {
            self.forget_told(conn);
        }
    }

    /// A message on a link of a service: it ends here.
    pub(super) fn on_service_message(&mut self, conn: Slot<Conn>, link: Slot<Link>, service: CoreService, of: Deliver) {
        let understood = match service {
            CoreService::AddressTracking => self.on_tracking(&of.payload),
            CoreService::MeshDiscovery => self.on_mesh_announced(conn, &of.payload),
            CoreService::MeshIdNegotiation => self.on_bid(conn, &of.payload),
        };
        let Some(l) = self.links.get_mut(link) else { return };
        l.counters.deliveries += 1;
        l.use_credit(1, self.now);
        let id = l.id;
        let state = if understood {
            l.counters.accepted += 1;
            DeliveryState::Accepted
        } else {
            l.counters.rejected += 1;
            let (conn, address) = (self.conns[conn].id, service.address());
            crate::log!(
                crate::log::LogModule::RouterCore,
                crate::log::Level::Error,
                conn = conn,
                link = id,
                "Received a message that is none of {address}, rejecting"
            );
            DeliveryState::rejected("amqp:decode-error", "invalid message body")
        };
        if !of.settled {
            let update =
                Effect::UpdateIn { link: id, token: of.token, state: Some(state), settled: true, discard: true };
            self.stage(conn, update);
        }
        self.give_credit(link, 1);
    }

    /// Sends a message on a link of a service. False when too many wait already: then [`Self::service_settled`] is the
    /// time for another attempt.
    pub(super) fn send_service(&mut self, link: Slot<Link>, message: Bytes) -> bool {
        if !self.has_room(link) {
            return false;
        }
        let route = Route::internal(false);
        let (payload, annotations) = (Payload::One(message), Annotations::default());
        let content = Content { payload: &payload, annotations: &annotations, state: None, reader: false };
        self.push(&route, link, None, None, &content);
        true
    }

    /// Whether another message may be sent on a link of a service.
    pub(super) fn has_room(&self, link: Slot<Link>) -> bool {
        let Some(l) = self.links.get(link) else { return false };
        matches!(l.kind, LinkKind::Service(service) if l.outgoing.len() < service.queue())
    }

    /// The peer has settled a message on a link of a service.
    pub(super) fn service_settled(&mut self, link: Slot<Link>) {
        let Some(l) = self.links.get(link) else { return };
        let LinkKind::Service(service) = l.kind else { return };
        let (conn, waiting) = (l.conn, l.outgoing.len());
        match service {
            CoreService::AddressTracking => {
                let behind = self.conns[conn].edge.as_ref().is_some_and(|edge| edge.behind);
                if behind && waiting <= service.credit() {
                    self.track_all(conn);
                }
            }
            CoreService::MeshDiscovery => self.announce_mesh(),
            CoreService::MeshIdNegotiation => self.bid_settled(conn),
        }
    }
}
