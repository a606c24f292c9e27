//! Edge routers that an interior router is connected to: what they are told of addresses, and which meshes they are in
//! (spec `inter-router-protocol.md` 9.4, 9.7).
//!
//! An edge router sends what its clients produce here only while somebody consumes it that they cannot reach in their
//! own mesh of edge routers. For each of its producing links it is told whether that is so.

use super::super::super::Core;
use super::super::super::action::Direction;
use super::super::super::objects::{Address, Conn, EdgeConn, Link};
use super::super::super::reach::ReachChange;
use super::super::super::table::Slot;
use super::super::is_propagated;
use super::super::messages::{MeshId, Tracking, announced};
use crate::stream::Payload;

/// Changes of mesh in one go that others are told of, and more than an edge router has reason for. Of further ones they are
/// told with the tick, of the last one only: each may concern every edge router and every interior router.
const RECENT_CHANGES: u8 = 4;

/// Where the consumers of an address are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::core) enum Whereabouts {
    /// There are none.
    #[default]
    Nowhere,
    /// All are in one mesh of edge routers.
    Mesh(MeshId),
    /// Anywhere.
    Anywhere,
}

/// Where the consumers of an address are, as far as edge routers are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::core) struct Consumed {
    /// Clients of this router, or of edge routers that are connected to it.
    here: Whereabouts,
    /// Those of other routers.
    beyond: Whereabouts,
    in_process: bool,
}

// === impl Whereabouts ===

impl Whereabouts {
    fn of(mut meshes: impl Iterator<Item = Option<MeshId>>) -> Self {
        let Some(first) = meshes.next() else { return Self::Nowhere };
        match first {
            Some(mesh) if meshes.all(|other| other == first) => Self::Mesh(mesh),
            _ => Self::Anywhere,
        }
    }

    /// Somebody is not in that mesh.
    fn is_outside(self, mesh: Option<MeshId>) -> bool {
        match self {
            Self::Nowhere => false,
            Self::Mesh(only) => mesh != Some(only),
            Self::Anywhere => true,
        }
    }

    const fn mesh(self) -> Option<MeshId> {
        match self {
            Self::Mesh(mesh) => Some(mesh),
            Self::Nowhere | Self::Anywhere => None,
        }
    }
}

impl Core {
    /// Tells the network who consumes an address here.
    pub(in crate::core) fn tell_network(&mut self, change: &ReachChange) {
        let (address, time) = (change.address, self.now);
        if let Some(interior) = self.plane.interior_mut() {
            interior.on_reach_change(change, &self.addresses[address], time);
        }
        // A flow comes and goes as a producer: that says nothing of consumers.
        if change.before.producers == change.after.producers {
            self.review_consumers(address);
        }
    }

    /// Tells edge routers, and in which mesh the consumers are other routers, if that has changed.
    fn review_consumers(&mut self, address: Slot<Address>) {
        let a = &self.addresses[address];
        if a.class() != b'M' || !is_propagated(&a.key) {
            return;
        }
        let (now, time) = (self.consumed(address), self.now);
        let a = &mut self.addresses[address];
        let before = std::mem::replace(&mut a.consumed, now);
        if before == now {
            return;
        }
        if before.here.mesh() != now.here.mesh()
            && let Some(interior) = self.plane.interior_mut()
        {
            let mesh = now.here.mesh().map(|mesh| String::from_utf8_lossy(&mesh).into_owned());
            let (treatment, producers) = (a.treatment.code(), a.producers.len());
            interior.mesh.local_updated(&a.key, treatment, producers, mesh.as_deref(), time);
        }
        if a.proxied_producers > 0 {
            let producers: Vec<Slot<Link>> = self.producers(address).collect();
            producers.into_iter().for_each(|link| self.track(link));
        }
    }

    fn consumed(&self, address: Slot<Address>) -> Consumed {
        let a = &self.addresses[address];
        let here = if a.proxied_consumers == a.consumers.len() {
            Whereabouts::of(self.consumers(address).map(|link| self.mesh_of(self.links[link].conn)))
        } else {
            Whereabouts::Anywhere
        };
        let mesh_at = |node| self.plane.mesh()?.edge_mesh(node, &a.key)?.as_bytes().try_into().ok();
        let beyond = Whereabouts::of(a.remotes.iter().map(mesh_at));
        Consumed { here, beyond, in_process: !a.subscribers.is_empty() }
    }

    fn mesh_of(&self, conn: Slot<Conn>) -> Option<MeshId> {
        self.conns[conn].edge.as_ref()?.mesh
    }

    /// Tells an edge router whether what it sends on a link reaches anybody, if that has changed.
    pub(in crate::core) fn track(&mut self, link: Slot<Link>) {
        let Link { conn, told_reachable, address, direction, .. } = self.links[link];
        let Some(EdgeConn { mesh, tracking: Some(tracking), .. }) = self.conns[conn].edge.as_deref().copied() else {
            return;
        };
        let Some(a) = address.filter(|_| direction == Direction::In).map(|a| &self.addresses[a]) else { return };
        let Consumed { here, beyond, in_process } = a.consumed;
        let reachable = here.is_outside(mesh) || beyond.is_outside(mesh) || in_process;
        if told_reachable == Some(reachable) {
            return;
        }
        if !self.has_room(tracking) {
            if let Some(edge) = self.conns[conn].edge.as_mut() {
                edge.behind = true;
            }
            return;
        }
        let message = Tracking { key: a.key.clone(), reachable }.encode();
        if self.send_service(tracking, message) {
            self.links[link].told_reachable = Some(reachable);
        }
    }

    /// An edge router that was told that what it sends on a link reaches somebody is told the contrary, as the link goes. It
    /// is told by address: what is still under way would else count for the link that comes next.
    pub(in crate::core) fn take_back(&mut self, link: Slot<Link>) {
        let Link { conn, address, .. } = self.links[link];
        let tracking = self.conns[conn].edge.as_ref().and_then(|edge| edge.tracking);
        self.links[link].told_reachable = Some(false);
        let Some((tracking, address)) = tracking.zip(address) else { return };
        let message = Tracking { key: self.addresses[address].key.clone(), reachable: false }.encode();
        if !self.send_service(tracking, message)
            && let Some(edge) = self.conns[conn].edge.as_mut()
        {
            edge.misled = true;
        }
    }

    /// An edge router can be told again.
    pub(in crate::core) fn track_all(&mut self, conn: Slot<Conn>) {
        if let Some(edge) = self.conns[conn].edge.as_mut() {
            edge.behind = false;
        }
        for at in 0..self.conns[conn].links.len() {
            self.track(self.conns[conn].links[at]);
            if self.conns[conn].edge.as_ref().is_none_or(|edge| edge.behind) {
                return;
            }
        }
    }

    /// An edge router tells which mesh it is in. False when that cannot be understood.
    pub(in crate::core) fn on_mesh_announced(&mut self, conn: Slot<Conn>, payload: &Payload) -> bool {
        let Some(id) = announced(payload) else { return false };
        let Conn { id: number, edge: Some(edge), .. } = &mut self.conns[conn] else { return true };
        edge.next_mesh = None;
        if edge.mesh == Some(id) {
            return true;
        }
        if edge.recent_changes == RECENT_CHANGES {
            edge.next_mesh = Some(id);
            return true;
        }
        edge.recent_changes += 1;
        if edge.recent_changes == 1
            && let Some(interior) = self.plane.interior_mut()
        {
            interior.changing.push(*number);
        }
        self.enter_mesh(conn, id);
        true
    }

    /// An edge router is in another mesh: those who can reach its consumers, and what it can reach, may be others.
    fn enter_mesh(&mut self, conn: Slot<Conn>, id: MeshId) {
        let Some(edge) = self.conns[conn].edge.as_mut() else { return };
        edge.mesh = Some(id);
        let links = self.conns[conn].links.iter().map(|&link| &self.links[link]);
        let consumers = links.filter(|link| link.direction == Direction::Out);
        let addresses: Vec<Slot<Address>> = consumers.filter_map(|link| link.address).collect();
        addresses.into_iter().for_each(|address| self.review_consumers(address));
        self.track_all(conn);
    }

    /// Makes up for changes of mesh that had to wait, one by edge router.
    pub(in crate::core) fn forget_mesh_changes(&mut self) {
        let changing = self.plane.interior_mut().map(|interior| std::mem::take(&mut interior.changing));
        for id in changing.unwrap_or_default() {
            let Some(conn) = self.conns.find(id) else { continue };
            let Some(edge) = self.conns[conn].edge.as_mut() else { continue };
            let next = edge.next_mesh.take();
            edge.recent_changes -= u8::from(next.is_none());
            if edge.recent_changes > 0
                && let Some(interior) = self.plane.interior_mut()
            {
                interior.changing.push(id);
            }
            if let Some(mesh) = next {
                self.enter_mesh(conn, mesh);
            }
        }
    }

    /// The producer links of an address.
    pub(in crate::core) fn producers(&self, address: Slot<Address>) -> impl Iterator<Item = Slot<Link>> + '_ {
        std::iter::successors(self.addresses[address].producers.head(), |&link| self.links[link].hook.next())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: MeshId = [b'a'; 15];
    const B: MeshId = [b'b'; 15];

    #[test]
    fn consumers_of_one_mesh_are_not_outside_of_it() {
        let of = |meshes: &[Option<MeshId>]| Whereabouts::of(meshes.iter().copied());
        assert_eq!(of(&[]), Whereabouts::Nowhere);
        assert_eq!(of(&[Some(A), Some(A)]), Whereabouts::Mesh(A));
        assert_eq!(of(&[Some(A), Some(B)]), Whereabouts::Anywhere);
        assert_eq!(of(&[Some(A), None]), Whereabouts::Anywhere);
        assert_eq!(of(&[None]), Whereabouts::Anywhere);
        assert!(!Whereabouts::Nowhere.is_outside(None));
        assert!(!Whereabouts::Mesh(A).is_outside(Some(A)));
        assert!(Whereabouts::Mesh(A).is_outside(Some(B)) && Whereabouts::Mesh(A).is_outside(None));
        assert!(Whereabouts::Anywhere.is_outside(Some(A)));
    }
}
