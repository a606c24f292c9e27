//! Forwarding: from an address to outgoing links (spec `inter-router-protocol.md` section 10).

use super::Core;
use super::deliveries::IncomingDelivery;
use super::objects::{Address, Conn, Link};
use super::table::Slot;
use super::withdraw::Withdrawal;
use crate::annotations::Annotations;
use crate::forward::Treatment;
use crate::forward::choose::{Balanced, Candidate};
use crate::index::{NeighbourSet, NodeIndex};
use crate::stream::Payload;
use amqp_core::performative::DeliveryState;

/// Where a delivery comes from and how it travels.
#[derive(Debug)]
pub(super) struct Route {
    /// The record of the incoming delivery; `None` when nothing will come back.
    pub(super) origin: Option<Slot<IncomingDelivery>>,
    /// The connection it came in on; `None` when the core itself sends.
    pub(super) conn: Option<Slot<Conn>>,
    /// It travels on control links only.
    pub(super) control: bool,
    /// It takes any way, also one that routers who agree on the ways would not take.
    pub(super) any_way: bool,
    /// Somebody has refused it, or what its sender sent before, and shall not get it.
    pub(super) refused: bool,
    /// The consumers here are passed by (see [`crate::annotations::flags::PASSES_BY`]).
    pub(super) passes_by: bool,
    pub(super) settled: bool,
    pub(super) priority: u8,
    /// Where it goes on an edge router if nobody takes it here, or besides if it is for all.
    pub(super) uplink: Option<Slot<Address>>,
}

/// The content of a delivery on its way out.
pub(super) struct Content<'a> {
    pub(super) payload: &'a Payload,
    pub(super) annotations: &'a Annotations,
    pub(super) state: Option<&'a DeliveryState>,
    /// The stream needs a reader at once: more copies than one are made, or this is not the first and what the others
    /// have read goes when the first reader comes.
    pub(super) reader: bool,
}

/// A chosen destination.
#[derive(Debug, Clone, Copy)]
enum Destination {
    Local(Slot<Link>),
    Remote(NodeIndex),
}

// === impl Route ===

impl Route {
    /// Of what the core itself sends, on control links or others.
    pub(super) const fn internal(control: bool) -> Self {
        let (any_way, refused, passes_by, settled) = (false, false, false, control);
        Self { origin: None, conn: None, control, any_way, refused, passes_by, settled, priority: 4, uplink: None }
    }
}

// === impl Core ===

impl Core {
    /// Makes the copies of a delivery and returns their number.
    pub(super) fn forward(
        &mut self,
        route: &Route,
        address: Slot<Address>,
        payload: &Payload,
        annotations: &Annotations,
        state: Option<&DeliveryState>,
    ) -> usize {
        let a = &self.addresses[address];
        if a.control.is_some() && route.conn.is_some() && !route.control {
            // Routing protocol messages are believed on control links only.
            return 0;
        }
        let treatment = a.treatment;
        let again = route.origin.is_some_and(|o| self.incoming[o].resend.is_some());
        let content = Content { payload, annotations, state, reader: again || treatment.is_multicast() };
        let copies = match treatment {
            Treatment::Flood | Treatment::Multicast => {
                if let Some(origin) = route.origin {
                    self.incoming[origin].multicast = true;
                }
                self.multicast(route, address, treatment == Treatment::Flood, &content)
            }
            Treatment::Closest => self.closest(route, address, &content),
            Treatment::Balanced => self.balanced(route, address, &content),
            Treatment::Unavailable => 0,
        };
        match route.uplink.filter(|&up| copies == 0 && up != address && !treatment.is_multicast()) {
            Some(up) => self.closest(route, up, &content),
            None => copies,
        }
    }

    fn multicast(&mut self, route: &Route, address: Slot<Address>, flood: bool, content: &Content<'_>) -> usize {
        if flood && route.conn.is_some() && self.is_flood_copy(address, content) {
            return 1;
        }
        let a = &self.addresses[address];
        let class = a.class();
        let control = a.control;
        let mut copies = 0;
        let local: Vec<Slot<Link>> = if class == b'L' && route.conn.is_some() {
            Vec::new()
        } else {
            let ready = a.subscribers.iter().filter(|l| self.takes(route, **l));
            let consumers = self.consumers(address).filter(|&l| !self.is_echo(route, l, content.annotations));
            let mut receivers = consumers.chain(ready.copied()).collect();
            self.once_per_peer(&mut receivers);
            self.with_uplink(route, receivers)
        };
        for conn in self.multicast_neighbours(address, flood, content.annotations) {
            if let Some(link) = self.router_link(conn, route, address, content.payload) {
                copies += 1;
                self.push(route, link, Some(address), None, content);
            }
        }
        for link in local {
            copies += 1;
            self.push(route, link, Some(address), None, content);
        }
        if let Some(control) = control.filter(|_| route.conn.is_some()) {
            copies += 1;
            self.addresses[address].counters.to_container += 1;
            self.on_control_message(control, route, content.payload);
        }
        copies
    }

    /// Whether a message that is flooded through the network was here before.
    fn is_flood_copy(&mut self, address: Slot<Address>, content: &Content<'_>) -> bool {
        self.addresses[address].class() == b'T' && !self.is_flood_news(content.payload, content.annotations)
    }

    /// Adds the uplink of an edge router to the receivers of a multicast message, unless one of them leads there already.
    fn with_uplink(&self, route: &Route, mut receivers: Vec<Slot<Link>>) -> Vec<Slot<Link>> {
        let up = route.uplink.and_then(|up| self.addresses[up].consumers.head());
        if let Some(up) = up.filter(|&up| receivers.iter().all(|&l| self.links[l].conn != self.links[up].conn)) {
            receivers.push(up);
        }
        receivers
    }

    /// The neighbour connections that get a copy of a multicast message.
    fn multicast_neighbours(&self, address: Slot<Address>, flood: bool, annotations: &Annotations) -> Vec<Slot<Conn>> {
        let a = &self.addresses[address];
        let known;
        let routers = if a.class() == b'T' {
            known = self.plane.routing().known();
            &known
        } else {
            &a.remotes
        };
        if routers.is_empty() {
            return Vec::new();
        }
        let origin = match annotations.ingress.as_deref() {
            None => Some(NodeIndex::OWN),
            Some(ingress) => self.plane.routing().origin(ingress),
        };
        let Some(origin) = origin.or(flood.then_some(NodeIndex::OWN)) else { return Vec::new() };
        let excluded = self.plane.routing().excluded(&annotations.trace);
        let mut neighbours = NeighbourSet::EMPTY;
        for node in routers.iter() {
            let routing = self.plane.routing();
            let towards = routing.neighbour_towards(node).filter(|_| flood || routing.is_valid_origin(node, origin));
            // What is flooded goes over every link: one that no way leads over may be all that others know of.
            let beside = routing.link(node).filter(|_| flood);
            let ways = towards.into_iter().chain(beside);
            ways.filter(|neighbour| !excluded.contains(*neighbour)).for_each(|neighbour| neighbours.insert(neighbour));
        }
        neighbours.iter().filter_map(|neighbour| self.neighbours.conn(neighbour)).collect()
    }

    fn closest(&mut self, route: &Route, address: Slot<Address>, content: &Content<'_>) -> usize {
        let a = &self.addresses[address];
        if !a.subscribers.is_empty() {
            // One that released it does not get it again.
            let Some(next) = a.subscribers.iter().position(|&link| !self.is_invalidated(route, link)) else { return 0 };
            let a = &mut self.addresses[address];
            let link = a.subscribers.remove(next);
            a.subscribers.push(link);
            if !self.takes(route, link) {
                return 0;
            }
            self.push(route, link, Some(address), None, content);
            return 1;
        }
        if let Some(control) = a.control.filter(|_| route.conn.is_some()) {
            self.addresses[address].counters.to_container += 1;
            self.on_control_message(control, route, content.payload);
            return 1;
        }
        let usable =
            |&link: &Slot<Link>| !self.is_invalidated(route, link) && !self.is_echo(route, link, content.annotations);
        let chosen = self.consumers(address).find(usable);
        if let Some(link) = chosen {
            self.put_last(address, link);
            self.push(route, link, Some(address), None, content);
            return 1;
        }
        let Some(node) = self.closest_remote(route, address, content.annotations) else { return 0 };
        self.addresses[address].last_remote = node;
        self.push_remote(route, address, node, content)
    }

    /// Whether the link of an in-process consumer has room. What is unsettled is bounded by the credit of its
    /// senders; of settled deliveries, whose credit comes back at once, no more wait than the link's capacity.
    pub(super) fn takes(&self, route: &Route, link: Slot<Link>) -> bool {
        let link = &self.links[link];
        !route.settled || link.outgoing.len() < link.capacity
    }

    /// The nearest acceptable remote router; among equally near ones the one after the last choice.
    fn closest_remote(&self, route: &Route, address: Slot<Address>, annotations: &Annotations) -> Option<NodeIndex> {
        let a = &self.addresses[address];
        let origin = self.plane.routing().anycast_origin(annotations);
        let mut best: Option<(u32, bool, NodeIndex)> = None;
        for node in a.remotes.iter() {
            if !self.is_usable(route, node, origin) || self.is_echo_beyond(a, node, annotations) {
                continue;
            }
            // After the last choice comes first, then wrap around.
            let key = (self.plane.routing().cost(node), node <= a.last_remote, node);
            if best.is_none_or(|b| key < b) {
                best = Some(key);
            }
        }
        best.map(|(_, _, node)| node)
    }

    fn balanced(&mut self, route: &Route, address: Slot<Address>, content: &Content<'_>) -> usize {
        let mut best = Balanced::new();
        let a = &self.addresses[address];
        for slot in self.consumers(address) {
            if self.is_invalidated(route, slot) || self.is_echo(route, slot, content.annotations) {
                continue;
            }
            let link = &self.links[slot];
            let moved = if self.config.ignore_moved_streams { 0 } else { link.moved_streams };
            let value = link.outgoing.len() + moved;
            best.offer(Candidate { target: Destination::Local(slot), value, eligible: value < link.capacity });
            if best.is_idle() {
                break;
            }
        }
        if !best.is_idle() && !a.remotes.is_empty() {
            let origin = self.plane.routing().anycast_origin(content.annotations);
            for node in a.remotes.iter() {
                if !self.is_usable(route, node, origin) || self.is_echo_beyond(a, node, content.annotations) {
                    continue;
                }
                let Some(neighbour) = self.plane.routing().neighbour_towards(node) else { continue };
                let load = a.outstanding(neighbour);
                let capacity = self.neighbours.conn(neighbour).map_or(0, |c| self.conns[c].params.links.capacity);
                let value = load.saturating_add(self.plane.routing().cost(node));
                best.offer(Candidate { target: Destination::Remote(node), value, eligible: load < capacity });
            }
        }
        let idle = best.is_idle();
        match best.pick() {
            Some(Destination::Local(link)) => {
                if let Some(first) = self.addresses[address].consumers.head().filter(|_| idle) {
                    self.put_last(address, first);
                }
                self.push(route, link, Some(address), None, content);
                1
            }
            Some(Destination::Remote(node)) => self.push_remote(route, address, node, content),
            None => 0,
        }
    }

    /// The consumer links of an address in rotation order.
    pub(super) fn consumers(&self, address: Slot<Address>) -> impl Iterator<Item = Slot<Link>> + '_ {
        std::iter::successors(self.addresses[address].consumers.head(), |&link| self.links[link].hook.next())
    }

    /// It is another consumer's turn.
    fn put_last(&mut self, address: Slot<Address>, link: Slot<Link>) {
        let consumers = &mut self.addresses[address].consumers;
        consumers.remove(&mut self.links, link);
        consumers.push_back(&mut self.links, link);
    }

    fn push_remote(&mut self, route: &Route, address: Slot<Address>, node: NodeIndex, content: &Content<'_>) -> usize {
        let Some(neighbour) = self.plane.routing().neighbour_towards(node) else { return 0 };
        let Some(conn) = self.neighbours.conn(neighbour) else { return 0 };
        let Some(link) = self.router_link(conn, route, address, content.payload) else { return 0 };
        self.push(route, link, Some(address), Some(neighbour), content);
        1
    }

    fn is_usable(&self, route: &Route, node: NodeIndex, origin: NodeIndex) -> bool {
        let Some(neighbour) = self.plane.routing().neighbour_towards(node) else { return false };
        self.neighbours.conn(neighbour).is_some()
            && !self.has_refused(route, |refusals| refusals.neighbours.contains(neighbour))
            // Requests for link states go where they can: routers with an outdated picture would
            // otherwise keep each other from ever getting a newer one. The radius ends loops.
            && (route.any_way || self.passes_here(node, origin))
    }

    /// Whether what comes from `origin` is on its way here to a router. While this router withdraws it is so for whoever does
    /// not know that yet.
    fn passes_here(&self, node: NodeIndex, origin: NodeIndex) -> bool {
        self.plane.routing().is_valid_origin(node, origin) || self.withdrawal != Withdrawal::No
    }

    /// Whether a delivery has come from where a link leads: from the same edge router, from its mesh of edge routers, or, on
    /// an edge router, from the network or the mesh (spec `inter-router-protocol.md` 9.8).
    fn is_echo(&self, route: &Route, link: Slot<Link>, annotations: &Annotations) -> bool {
        let to = self.links[link].conn;
        if !self.conns[to].role.attaches_for_others() {
            return false;
        }
        let Some(from) = route.conn else { return false };
        if self.plane.edge().is_some() {
            return self.conns[from].role.attaches_for_others();
        }
        let mesh = self.conns[to].edge.as_ref().and_then(|edge| edge.mesh);
        from == to || mesh.is_some_and(|mesh| annotations.ingress_mesh.as_deref() == Some(mesh.as_slice()))
    }

    /// Whether a delivery has come from the mesh of edge routers in which all consumers at another router are: it would
    /// only be carried there to come to nobody.
    fn is_echo_beyond(&self, address: &Address, node: NodeIndex, annotations: &Annotations) -> bool {
        let Some(from) = annotations.ingress_mesh.as_deref() else { return false };
        let at = self.plane.mesh().and_then(|mesh| mesh.edge_mesh(node, &address.key));
        at.is_some_and(|mesh| mesh.as_bytes() == from)
    }

    /// Whether the consumer is not to get the delivery: it has refused it before, or what its sender sent before.
    pub(super) fn is_invalidated(&self, route: &Route, link: Slot<Link>) -> bool {
        route.passes_by || self.has_refused(route, |refusals| refusals.links.contains(&self.links[link].id))
    }
}
