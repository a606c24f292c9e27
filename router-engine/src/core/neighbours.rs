//! Neighbour routers: their control connections and links (spec `inter-router-protocol.md` sections 2.5, 3.2). The data
//! connections beside: [`super::groups`].

use super::Core;
use super::action::Direction;
use super::attach::{CAP_ROUTER, CAP_ROUTER_DATA, OwnLink};
use super::effect::{Effect, PRIORITIES, SessionClass};
use super::objects::{Conn, Link, LinkKind, RouterConn};
use super::report;
use super::streaming::POOL_KEPT;
use super::table::Slot;
use crate::index::{NeighbourIndex, NeighbourSet};

/// The connections to neighbour routers.
#[derive(Debug)]
pub(super) struct Neighbours {
    /// Active control connections by neighbour.
    pub(super) active: Vec<Option<Slot<Conn>>>,
    /// Places among the neighbours that are given out, active or not.
    taken: NeighbourSet,
    /// Data connections without a control connection.
    pub(super) unallocated: Vec<Slot<Conn>>,
    /// Idle streaming links that each connection keeps.
    pub(super) pool_kept: usize,
}

// === impl Neighbours ===

impl Default for Neighbours {
    fn default() -> Self {
        Self { active: Vec::new(), taken: NeighbourSet::EMPTY, unallocated: Vec::new(), pool_kept: POOL_KEPT }
    }
}

impl Neighbours {
    /// The active control connection of a neighbour.
    pub(super) fn conn(&self, neighbour: NeighbourIndex) -> Option<Slot<Conn>> {
        self.active.get(neighbour.get()).copied().flatten()
    }

    /// Changes the active control connection of a neighbour. Returns the one before.
    fn set_conn(&mut self, neighbour: NeighbourIndex, conn: Option<Slot<Conn>>) -> Option<Slot<Conn>> {
        if self.active.len() <= neighbour.get() {
            self.active.resize(neighbour.get() + 1, None);
        }
        std::mem::replace(&mut self.active[neighbour.get()], conn)
    }

    /// Gives out a place among the neighbours, if one is left.
    fn take_place(&mut self) -> Option<NeighbourIndex> {
        let place = self.taken.first_absent()?;
        self.taken.insert(place);
        Some(place)
    }
}

// === impl Core ===

impl Core {
    pub(super) fn control_connection_opened(&mut self, conn: Slot<Conn>) {
        let Some(neighbour) = self.claim_place(conn) else {
            self.stage(conn, Effect::Close { error: None, hard: true });
            return;
        };
        if let Some(router) = self.conns[conn].router.as_mut() {
            router.neighbour = Some(neighbour);
        }
        if self.conns[conn].params.initiator {
            self.attach_standing_links(conn);
        }
    }

    /// The place among the neighbours for a new control connection; none when it must be closed (2.5).
    fn claim_place(&mut self, conn: Slot<Conn>) -> Option<NeighbourIndex> {
        let (correlator, ordinal) = self.group(conn)?;
        let rivals = if correlator.is_empty() { Vec::new() } else { self.rivals(conn, &correlator) };
        if let Some(&(newest, neighbour, newest_ordinal)) = rivals.iter().max_by_key(|(_, _, ordinal)| *ordinal) {
            let (pending, takes_over) = (self.neighbours.conn(neighbour) != Some(newest), ordinal > newest_ordinal);
            report::precedence(self.conns[newest].id, pending, self.conns[conn].id, takes_over);
            if !takes_over {
                return None;
            }
            // A newer generation takes the place over; it becomes active with its control links. One before it that has
            // not come so far never will.
            if pending {
                self.supersede(newest);
            }
            return Some(neighbour);
        }
        let place = self.neighbours.take_place();
        if place.is_none() {
            report::no_neighbour_left();
        }
        place
    }

    /// Other control connections of a group, active or about to be, with their places and ordinals.
    fn rivals(&self, conn: Slot<Conn>, correlator: &str) -> Vec<(Slot<Conn>, NeighbourIndex, u64)> {
        let rivals = self.conns.entries().filter(|(other, c)| *other != conn && c.role.has_control_links());
        rivals
            .filter_map(|(other, c)| {
                let router = c.router.as_ref().filter(|r| r.correlator.as_deref() == Some(correlator))?;
                Some((other, router.neighbour?, router.ordinal))
            })
            .collect()
    }

    /// Ends a control connection before it became active.
    fn supersede(&mut self, conn: Slot<Conn>) {
        if let Some(router) = self.conns[conn].router.as_mut() {
            router.neighbour = None;
        }
        self.stage(conn, Effect::Close { error: None, hard: true });
    }

    fn attach_standing_links(&mut self, conn: Slot<Conn>) {
        let both = [Direction::In, Direction::Out];
        for direction in both {
            self.attach_router_link(conn, direction, LinkKind::Control, SessionClass::Control);
        }
        for priority in 0..PRIORITIES as u8 {
            for direction in both {
                self.attach_router_link(conn, direction, LinkKind::Data(priority), SessionClass::Priority(priority));
            }
        }
        if let Some(router) = self.conns[conn].router.as_mut() {
            router.data_in_count = PRIORITIES;
            router.data_out_count = PRIORITIES;
        }
    }

    pub(super) fn attach_router_link(
        &mut self,
        conn: Slot<Conn>,
        direction: Direction,
        kind: LinkKind,
        session: SessionClass,
    ) -> Slot<Link> {
        let capability = match kind {
            LinkKind::Control => Some(CAP_ROUTER),
            LinkKind::Data(_) => Some(CAP_ROUTER_DATA),
            LinkKind::Streaming if self.conns[conn].role.has_control_links() => Some(CAP_ROUTER_DATA),
            _ => None,
        };
        self.attach_own(conn, OwnLink::new(direction, kind, session).capable(capability))
    }

    /// Priority of the next data link that a peer attaches: positional, then streaming links.
    pub(super) fn next_data_kind(&mut self, conn: Slot<Conn>, direction: Direction) -> LinkKind {
        let Some(router) = self.conns[conn].router.as_mut() else { return LinkKind::Streaming };
        let count = match direction {
            Direction::In => &mut router.data_in_count,
            Direction::Out => &mut router.data_out_count,
        };
        if *count < PRIORITIES {
            *count += 1;
            LinkKind::Data((*count - 1) as u8)
        } else {
            LinkKind::Streaming
        }
    }

    /// A router link is attached on both sides.
    pub(super) fn router_link_up(&mut self, slot: Slot<Link>) {
        let link = &self.links[slot];
        let (conn, direction, kind) = (link.conn, link.direction, link.kind);
        report::control_link(self.conns[conn].id, link, true);
        match (kind, direction) {
            (LinkKind::Control, _) => self.control_link_up(slot),
            (LinkKind::Data(priority), Direction::Out) => {
                if let Some(router) = self.conns[conn].router.as_mut() {
                    router.data_out[usize::from(priority).min(PRIORITIES - 1)] = Some(slot);
                }
            }
            _ => {}
        }
    }

    /// The first control link of each direction is the neighbour's; of others nothing depends.
    fn control_link_up(&mut self, slot: Slot<Link>) {
        let Link { conn, direction, .. } = self.links[slot];
        let Some(router) = self.conns[conn].router.as_mut() else { return };
        let place = match direction {
            Direction::In => &mut router.control_in,
            Direction::Out => &mut router.control_out,
        };
        if place.is_some() {
            return;
        }
        *place = Some(slot);
        if router.control_in.is_some() && router.control_out.is_some() {
            self.activate_neighbour(conn);
        }
        if direction == Direction::Out
            && let Some(hello) = self.addresses.with_key("Lqdhello")
        {
            self.bind(slot, hello);
        }
        let is_active = |router: &RouterConn| router.neighbour.and_then(|n| self.neighbours.conn(n)) == Some(conn);
        if self.conns[conn].router.as_deref().is_some_and(is_active) {
            self.mesh_link_gained(conn);
        }
    }

    /// Both control links are there: the connection carries traffic to the neighbour from now on.
    fn activate_neighbour(&mut self, conn: Slot<Conn>) {
        let Some(neighbour) = self.conns[conn].router.as_ref().and_then(|r| r.neighbour) else { return };
        if let Some(old) = self.neighbours.set_conn(neighbour, Some(conn)).filter(|&old| old != conn) {
            report::upgraded(self.conns[old].id, self.conns[conn].id);
            self.retire_control_connection(old);
        }
        let Some((correlator, ordinal)) = self.group(conn) else { return };
        let (id, host) = (self.conns[conn].id, &self.conns[conn].params.facts.host);
        report::group(&correlator, format_args!("setup parent [C{id}] with ordinal={ordinal} (host={host})"));
        report::group(&correlator, format_args!("recording correlator[mask-bit={neighbour}]"));
        if !correlator.is_empty() {
            self.gather_members(conn, &correlator, ordinal);
        }
    }

    /// A newer generation took the place over: the old connection only finishes its streams.
    fn retire_control_connection(&mut self, conn: Slot<Conn>) {
        let Some(router) = self.conns[conn].router.as_mut() else { return };
        router.neighbour = None;
        let members = std::mem::take(&mut router.members);
        let control = [router.control_in.take(), router.control_out.take()];
        self.neighbours.unallocated.extend(members);
        if self.conns[conn].params.initiator {
            for link in control.into_iter().flatten() {
                self.detach_link(link, None);
            }
        }
    }

    pub(super) fn router_link_lost(&mut self, slot: Slot<Link>) {
        let link = &self.links[slot];
        let conn = link.conn;
        report::control_link(self.conns[conn].id, link, false);
        let Some(router) = self.conns[conn].router.as_mut() else { return };
        let was_neighbours = [router.control_in, router.control_out].contains(&Some(slot));
        for place in router.data_out.iter_mut().chain([&mut router.control_in, &mut router.control_out]) {
            if *place == Some(slot) {
                *place = None;
            }
        }
        if was_neighbours {
            self.neighbour_lost(conn);
        }
    }

    fn neighbour_lost(&mut self, conn: Slot<Conn>) {
        let Some(router) = self.conns[conn].router.as_mut() else { return };
        let Some(neighbour) = router.neighbour else { return };
        if self.neighbours.conn(neighbour) == Some(conn) {
            self.neighbours.set_conn(neighbour, None);
            self.neighbours.unallocated.append(&mut router.members);
            self.mesh_link_lost(neighbour);
        }
    }

    pub(super) fn router_connection_closed(&mut self, conn: Slot<Conn>) {
        self.leave_group(conn);
        self.neighbour_lost(conn);
        let Some(router) = self.conns[conn].router.take() else { return };
        if let Some(neighbour) = router.neighbour {
            let shared = self.conns.iter().any(|c| c.router.as_ref().is_some_and(|r| r.neighbour == Some(neighbour)));
            if !shared {
                self.neighbours.taken.remove(neighbour);
            }
        }
    }
}
