//! The control plane: joins the mesh state machine to addresses, links and connections.

use super::Core;
use super::action::Direction;
use super::forwarding::Route;
use super::objects::{ControlAddress, Link};
use crate::forward::Treatment;
use crate::log;
use crate::log::{Level, LogModule};
use crate::mesh::{self, Mesh, MeshOutput};
use crate::stream::Payload;
use amqp_core::Instant;

impl Core {
    pub(super) fn mesh_tick(&mut self, now: Instant) {
        self.trim_pools(now);
        self.drive_mesh(now, |mesh| mesh.tick(now));
    }

    pub(super) fn mesh_link_lost(&mut self, bit: u8, now: Instant) {
        self.drive_mesh(now, |mesh| mesh.link_lost(bit, now));
    }

    /// A local destination of an address came first (`added`) or went last.
    pub(super) fn local_destination_changed(&mut self, address: u32, added: bool) {
        let Some(mesh) = self.mesh.as_mut() else { return };
        let a = &self.addresses[address];
        if !is_propagated(&a.key) {
            return;
        }
        if added {
            mesh.local_added(&a.key, a.treatment.code(), a.producers.len());
        } else {
            mesh.local_removed(&a.key);
        }
    }

    /// A message to one of the control addresses, from a neighbour.
    pub(super) fn on_control_message(&mut self, _address: ControlAddress, route: &Route, payload: &Payload) {
        let Some(conn) = route.conn.map(|c| &self.conns[c]) else { return };
        let Some(from) = conn.router.as_ref() else { return };
        let (bit, cost) = (from.bit, from.cost);
        let Some((opcode, body)) = payload.contiguous().as_ref().and_then(mesh::parse) else {
            log!(LogModule::Router, Level::Error, conn = conn.id, "Received a malformed routing message");
            return;
        };
        let now = route.now;
        // A message of an old, retired connection of a neighbour says nothing about a link.
        self.drive_mesh(now, |mesh| mesh.handle_message(&opcode, &body, bit.map(|bit| (bit, cost)), now));
    }

    fn drive_mesh(&mut self, now: Instant, input: impl FnOnce(&mut Mesh)) {
        let Some(mesh) = self.mesh.as_mut() else { return };
        input(mesh);
        // Outputs may lead back here (a message of our own is never looped to ourselves, but
        // routes change credit); each is taken singly so that the mesh is never borrowed meanwhile.
        while let Some(output) = self.mesh.as_mut().and_then(Mesh::poll_output) {
            self.on_mesh_output(output, now);
        }
    }

    pub(super) fn on_mesh_output(&mut self, output: MeshOutput, now: Instant) {
        match output {
            MeshOutput::Send { to, payload, .. } => self.send_control(&to, payload, now),
            MeshOutput::NodeAdded { bit, id } => {
                self.peers.add_node(bit, &id);
                self.names.add_router(&id);
                let key = format!("R{id}");
                let address = match self.by_key.get(&key) {
                    Some(&slot) => slot,
                    None => self.create_address(key, Treatment::Closest, None),
                };
                self.claim_producers(&id, address);
                self.map_remote(address, bit);
            }
            MeshOutput::NodeRemoved { bit } => {
                self.flush_node(bit, true);
                if let Some(id) = self.peers.remove_node(bit) {
                    self.names.remove_router(&id);
                }
            }
            MeshOutput::Route { bit, next_hop, link, cost, valid_origins } => {
                if let Some((n, l, c, v)) = self.peers.node_mut(bit) {
                    (*n, *l, *c, *v) = (next_hop, link, cost, valid_origins);
                }
            }
            MeshOutput::Reachable { bit, reachable } => self.on_reachable(bit, reachable),
            MeshOutput::Radius(radius) => self.peers.radius = radius,
            MeshOutput::MapAddress { bit, key, treatment } => self.map_address(bit, key, treatment),
            MeshOutput::UnmapAddress { bit, key } => {
                self.unavailable.remove(&key, bit);
                if let Some(&address) = self.by_key.get(&key) {
                    let router = || self.peers.name(bit).unwrap_or_default();
                    log!(LogModule::RouterMa, Level::Debug, "MAU: Router '{}' removed from address '{key}'", router());
                    self.unmap_remote(address, bit);
                }
            }
            MeshOutput::FlushNode { bit } => self.flush_node(bit, false),
            MeshOutput::TopologyChanged => self.last_topology_change = Some(now),
        }
    }

    pub(super) fn map_address(&mut self, bit: u8, key: String, hint: u8) {
        let known = self.by_key.get(&key).copied();
        let address = match known.filter(|&slot| self.addresses[slot].treatment != Treatment::Unavailable) {
            Some(slot) => slot,
            None => {
                let Some(treatment) = self.treatment_of_remote(&key, hint) else {
                    self.unavailable.add(key, bit, hint);
                    return;
                };
                let (_, priority) = self.configured(&key);
                match known {
                    Some(slot) => {
                        (self.addresses[slot].treatment, self.addresses[slot].priority) = (treatment, priority);
                        slot
                    }
                    None => self.create_address(key, treatment, priority),
                }
            }
        };
        let a = &self.addresses[address];
        log!(
            LogModule::RouterMa,
            Level::Debug,
            "MAU: Router '{}' added to address '{}', treatment: {}",
            self.peers.name(bit).unwrap_or_default(),
            a.key,
            a.treatment.code()
        );
        self.map_remote(address, bit);
    }

    /// Treatment of an address that another router advertised; none when it is unavailable here (8.4).
    fn treatment_of_remote(&self, key: &str, hint: u8) -> Option<Treatment> {
        let configured = key.strip_prefix('M').and_then(|text| self.patterns.best_match(text)).map(|c| c.treatment);
        let treatment = configured.or(Treatment::from_code(hint)).unwrap_or(match self.config.default_treatment {
            Treatment::Unavailable => Treatment::Balanced,
            treatment => treatment,
        });
        (treatment != Treatment::Unavailable).then_some(treatment)
    }

    fn map_remote(&mut self, address: u32, bit: u8) {
        let a = &mut self.addresses[address];
        let first_path = a.paths() == 0;
        a.remotes |= 1 << bit;
        if first_path {
            self.restart_producers(address);
        }
        self.notify_watches(address);
    }

    fn unmap_remote(&mut self, address: u32, bit: u8) {
        self.addresses[address].remotes &= !(1 << bit);
        self.notify_watches(address);
        self.release_address(address);
    }

    /// Binds links to the address of a router whose id has slashes if they meant it all along: until it was known, their
    /// address was taken to name the router, or something on this one, of which the id is the text up to a slash.
    fn claim_producers(&mut self, id: &str, address: u32) {
        if !id.contains('/') {
            return;
        }
        let of_routers = |a: u32| a != address && matches!(self.addresses[a].class(), b'L' | b'R');
        let is_candidate = |link: &Link| link.direction == Direction::In && link.address.is_some_and(of_routers);
        let candidates: Vec<u32> =
            self.links.entries().filter(|(_, link)| is_candidate(link)).map(|(slot, _)| slot).collect();
        for slot in candidates {
            let terminus = self.links[slot].terminus.clone();
            let text = terminus.as_deref().and_then(|text| std::str::from_utf8(text).ok());
            if text.is_some_and(|text| self.lookup(text) == Some(address)) {
                self.unbind(slot);
                self.bind(slot, address);
            }
        }
    }

    /// Tells the watches of what a router advertises.
    fn on_reachable(&mut self, bit: u8, reachable: bool) {
        self.peers.set_reachable(bit, reachable);
        for address in self.addresses.slots() {
            if self.addresses[address].remotes & (1 << bit) != 0 {
                self.notify_watches(address);
            }
        }
    }

    /// Requests for the addresses of another router, and answers to them, that arrive here on their way there.
    pub(super) fn address_request_passes(&mut self, address: u32, now: Instant) {
        let a = &self.addresses[address];
        if a.class() == b'R' && a.remotes.is_power_of_two() {
            let bit = a.remotes.trailing_zeros() as u8;
            self.drive_mesh(now, |mesh| mesh.request_passes(bit));
        }
    }

    /// Unmaps what a router advertised, with its own `R` address only when it is forgotten.
    fn flush_node(&mut self, bit: u8, forgotten: bool) {
        self.unavailable.forget_node(bit);
        for address in self.addresses.slots() {
            let a = &self.addresses[address];
            if a.remotes & (1 << bit) != 0 && (forgotten || a.class() != b'R') {
                self.unmap_remote(address, bit);
            }
        }
    }
}

/// Whether an address of this key is advertised to other routers (spec `inter-router-protocol.md` 8.1).
fn is_propagated(key: &str) -> bool {
    matches!(key.as_bytes().first(), Some(b'M' | b'N' | b'H')) && key != "M$management" && !key.starts_with("M_$qd.")
}
