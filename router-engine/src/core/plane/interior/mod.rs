//! The plane of an interior router: joins the mesh state machine to addresses, links and connections.

pub(in crate::core) mod edges;
mod flooded;

use super::super::Core;
use super::super::action::Direction;
use super::super::connection::LINK_STATE_SYNC;
use super::super::forwarding;
use super::super::ids::ConnId;
use super::super::objects::{Address, Conn, ControlAddress, Link};
use super::super::reach::{LocalChange, ReachChange};
use super::super::routing::{Route, RoutingTable};
use super::super::table::Slot;
use super::is_propagated;
use crate::annotations::Annotations;
use crate::forward::Treatment;
use crate::index::{NeighbourIndex, NodeIndex};
use crate::log;
use crate::log::{Level, LogModule};
use crate::mesh::{self, Mesh, MeshOutput};
use crate::stream::Payload;
use amqp_core::{Instant, Value};

/// What an interior router knows of its network.
#[derive(Debug)]
pub(in crate::core) struct Interior {
    pub(in crate::core) mesh: Mesh,
    pub(in crate::core) routing: RoutingTable,
    flooded: flooded::Flooded,
    /// Connections of edge routers that have changed their mesh lately.
    changing: Vec<ConnId>,
    /// The router is about to stop, and advertises what edge routers consume only.
    withdrawn: bool,
}

// === impl Interior ===

impl Interior {
    pub(super) fn new(mesh: Mesh) -> Self {
        Self {
            mesh,
            routing: RoutingTable::EMPTY,
            flooded: flooded::Flooded::default(),
            changing: Vec::new(),
            withdrawn: false,
        }
    }

    /// Advertises the address while there are consumers here.
    pub(super) fn on_reach_change(&mut self, change: &ReachChange, address: &Address, now: Instant) {
        if !is_propagated(&address.key) {
            return;
        }
        let local = if self.withdrawn { change.proxied() } else { change.local() };
        let Some(local) = local else { return };
        match local {
            LocalChange::Gained => {
                let producers = change.after.producers.total();
                self.mesh.local_added(&address.key, address.treatment.code(), producers, now);
            }
            LocalChange::Lost => self.mesh.local_removed(&address.key, now),
        }
    }
}

// === impl Core ===

impl Core {
    /// The core itself consumes what neighbours send to the addresses of the routing protocol.
    pub(in crate::core) fn create_control_addresses(&mut self) {
        use ControlAddress::{Hello, Router};
        for (key, treatment, control) in [
            ("Lqdhello", Treatment::Flood, Hello),
            ("Lqdrouter", Treatment::Flood, Router),
            ("Tqdrouter", Treatment::Flood, Router),
            ("Lqdrouter.ma", Treatment::Multicast, Router),
            ("Tqdrouter.ma", Treatment::Multicast, Router),
        ] {
            self.addresses.create_control(key, treatment, control);
        }
    }

    /// Advertises no more what clients here consume, unless each of its consumers is to get everything; parts of the router
    /// itself can be reached to its end.
    pub(in crate::core) fn withdraw_addresses(&mut self) {
        let is_of_clients = |address: &Slot<Address>| {
            let a = &self.addresses[*address];
            is_propagated(&a.key)
                && !a.treatment.is_multicast()
                && !a.consumers.is_empty()
                && a.proxied_consumers == 0
                && !self.consumers(*address).any(|link| self.conns[self.links[link].conn].is_internal())
        };
        let addresses: Vec<_> = self.addresses.slots().into_iter().filter(is_of_clients).collect();
        let (now, Some(interior)) = (self.now, self.plane.interior_mut()) else { return };
        interior.withdrawn = true;
        for address in addresses {
            interior.mesh.local_removed(&self.addresses[address].key, now);
        }
    }

    pub(in crate::core) fn mesh_link_lost(&mut self, neighbour: NeighbourIndex) {
        self.drive_mesh(|mesh, now| mesh.link_lost(neighbour, now));
    }

    pub(in crate::core) fn mesh_link_gained(&mut self, conn: Slot<Conn>) {
        let conn = &self.conns[conn];
        let syncs = conn.peer.as_ref().is_some_and(|peer| peer.offers(LINK_STATE_SYNC));
        if let Some(neighbour) = conn.router.as_ref().and_then(|router| router.neighbour) {
            self.drive_mesh(|mesh, now| mesh.link_gained(neighbour, syncs, now));
        }
    }

    /// Whether a flooded message from a neighbour is to be taken and passed on, as no copy of it was here before.
    pub(in crate::core) fn is_flood_news(&mut self, payload: &Payload, annotations: &Annotations) -> bool {
        let now = self.now;
        let Some((interior, message)) = self.plane.interior_mut().zip(payload.contiguous()) else { return true };
        interior.flooded.is_news(&message, annotations.trace.count(), now)
    }

    /// Whether what comes on a control link may be what it says: its sender is known to come by there, and a HELLO is of who is
    /// at the other end. Of what is not, nothing is taken nor passed on.
    pub(in crate::core) fn is_credible(&mut self, conn: Slot<Conn>, payload: &Payload) -> bool {
        let (now, conn) = (self.now, &self.conns[conn]);
        let Some(interior) = self.plane.interior_mut() else { return true };
        let Some((opcode, body)) = payload.contiguous().as_ref().and_then(mesh::parse) else {
            if interior.mesh.complains(now) {
                log!(LogModule::Router, Level::Error, conn = conn.id, "Received a malformed routing message");
            }
            return false;
        };
        let Some(id) = body.get("id").and_then(Value::as_str) else { return true };
        let Some(peer) = &conn.peer else { return false };
        interior.mesh.is_credible(&opcode, id, &peer.container_id, now)
    }

    /// A message to one of the control addresses, from a neighbour.
    pub(in crate::core) fn on_control_message(
        &mut self,
        _address: ControlAddress,
        route: &forwarding::Route,
        payload: &Payload,
    ) {
        let Some(conn) = route.conn.map(|c| &self.conns[c]) else { return };
        let Some(from) = conn.router.as_ref() else { return };
        let link = from.neighbour.map(|neighbour| (neighbour, from.cost));
        // What is malformed does not come here.
        let Some((opcode, body)) = payload.contiguous().as_ref().and_then(mesh::parse) else { return };
        // A message of an old, retired connection of a neighbour says nothing about a link.
        self.drive_mesh(|mesh, now| mesh.handle_message(&opcode, &body, link, now));
    }

    pub(in crate::core) fn drive_mesh(&mut self, input: impl FnOnce(&mut Mesh, Instant)) {
        let now = self.now;
        let Some(interior) = self.plane.interior_mut() else { return };
        input(&mut interior.mesh, now);
        // Outputs may lead back here (a message of our own is never looped to ourselves, but
        // routes change credit); each is taken singly so that the mesh is never borrowed meanwhile.
        while let Some(output) = self.plane.interior_mut().and_then(|interior| interior.mesh.poll_output()) {
            self.on_mesh_output(output);
        }
    }

    pub(in crate::core) fn on_mesh_output(&mut self, output: MeshOutput) {
        match output {
            MeshOutput::Send { to, payload, .. } => self.send_control(&to, payload),
            MeshOutput::NodeAdded { node, id } => self.add_node(node, &id),
            MeshOutput::NodeRemoved { node } => self.remove_node(node),
            MeshOutput::Route { node, next_hop, link, cost, valid_origins } => {
                let route = Route { next_hop, link, cost, valid_origins };
                self.change_routing(|routing| routing.set_route(node, route));
            }
            MeshOutput::Reachable { node, reachable } => self.on_reachable(node, reachable),
            MeshOutput::Radius(radius) => {
                self.change_routing(|routing| routing.radius = radius);
            }
            MeshOutput::MapAddress { node, key, treatment } => self.map_address(node, key, treatment),
            MeshOutput::UnmapAddress { node, key } => self.unmap_address(node, &key),
            MeshOutput::FlushNode { node } => self.flush_node(node, false),
            // Who wants to know asks the mesh.
            MeshOutput::TopologyChanged => {}
        }
    }

    fn change_routing<T>(&mut self, change: impl FnOnce(&mut RoutingTable) -> T) -> Option<T> {
        self.plane.interior_mut().map(|interior| change(&mut interior.routing))
    }

    fn add_node(&mut self, node: NodeIndex, id: &str) {
        self.change_routing(|routing| routing.add_node(node, id));
        self.addresses.names.add_router(id);
        let address = self.addresses.with_key_or_new(format!("R{id}"));
        self.claim_producers(id, address);
        self.map_remote(address, node, true);
    }

    fn remove_node(&mut self, node: NodeIndex) {
        self.flush_node(node, true);
        if let Some(id) = self.change_routing(|routing| routing.remove_node(node)).flatten() {
            self.addresses.names.remove_router(&id);
        }
    }

    pub(in crate::core) fn map_address(&mut self, node: NodeIndex, key: String, hint: u8) {
        let Some(address) = self.addresses.advertised(key, node, hint) else { return };
        let a = &self.addresses[address];
        log!(
            LogModule::RouterMa,
            Level::Debug,
            "MAU: Router '{}' added to address '{}', treatment: {}",
            self.plane.routing().name(node).unwrap_or_default(),
            a.key,
            a.treatment.code()
        );
        self.map_remote(address, node, true);
    }

    fn unmap_address(&mut self, node: NodeIndex, key: &str) {
        self.addresses.unavailable.remove(key, node);
        if let Some(address) = self.addresses.with_key(key) {
            let router = || self.plane.routing().name(node).unwrap_or_default();
            log!(LogModule::RouterMa, Level::Debug, "MAU: Router '{}' removed from address '{key}'", router());
            self.map_remote(address, node, false);
        }
    }

    /// Binds links to the address of a router whose id has slashes if they meant it all along: until it was known, their
    /// address was taken to name the router, or something on this one, of which the id is the text up to a slash.
    fn claim_producers(&mut self, id: &str, address: Slot<Address>) {
        if !id.contains('/') {
            return;
        }
        let of_routers = |a: Slot<Address>| a != address && matches!(self.addresses[a].class(), b'L' | b'R');
        let is_candidate = |link: &Link| link.direction == Direction::In && link.address.is_some_and(of_routers);
        let candidates: Vec<Slot<Link>> =
            self.links.entries().filter(|(_, link)| is_candidate(link)).map(|(slot, _)| slot).collect();
        for slot in candidates {
            let terminus = self.links[slot].terminus.clone();
            let text = terminus.as_deref().and_then(|text| std::str::from_utf8(text).ok());
            if text.is_some_and(|text| self.addresses.lookup(text) == Some(address)) {
                self.unbind(slot);
                self.bind(slot, address);
            }
        }
    }

    /// Tells the watches of what a router advertises.
    fn on_reachable(&mut self, node: NodeIndex, reachable: bool) {
        self.change_routing(|routing| routing.reachable.set(node, reachable));
        for address in self.addresses.slots() {
            if self.addresses[address].remotes.contains(node) {
                self.notify_watches(address);
            }
        }
    }

    /// Requests for the addresses of another router, and answers to them, that arrive here on their way there.
    pub(in crate::core) fn address_request_passes(&mut self, address: Slot<Address>, payload: &Payload) {
        let a = &self.addresses[address];
        if a.class() == b'R'
            && let Some(node) = a.remotes.sole()
        {
            self.drive_mesh(|mesh, now| mesh.request_passes(node, now));
            if let Some((opcode, body)) = payload.contiguous().as_ref().and_then(mesh::parse) {
                self.drive_mesh(|mesh, now| mesh.answer_passes(&opcode, &body, now));
            }
        }
    }

    /// Unmaps what a router advertised, with its own `R` address only when it is forgotten.
    fn flush_node(&mut self, node: NodeIndex, forgotten: bool) {
        self.addresses.unavailable.forget_node(node);
        for address in self.addresses.slots() {
            let a = &self.addresses[address];
            if a.remotes.contains(node) && (forgotten || a.class() != b'R') {
                self.map_remote(address, node, false);
            }
        }
    }
}
