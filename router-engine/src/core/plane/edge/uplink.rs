//! The connection to an interior router that an edge router uses out of those that it has
//! (spec `inter-router-protocol.md` 9.1, 9.2).

use super::super::super::action::Direction;
use super::super::super::addresses::AddressTable;
use super::super::super::attach::OwnLink;
use super::super::super::effect::{Effect, SessionClass};
use super::super::super::ids::ConnId;
use super::super::super::objects::{Address, Conn, CoreService, Link, LinkKind};
use super::super::super::report;
use super::super::super::table::Slot;
use super::super::super::withdraw::WITHDRAWN;
use super::super::super::{Core, Router};
use super::super::messages::{self, MeshId};
use super::Edge;
use crate::address::name::EDGE_UPLINK_KEY;
use crate::forward::Treatment;
use amqp_core::performative::Error;

/// Terminus capability of downlinks.
pub(in crate::core) const CAP_EDGE_DOWNLINK: &str = "qd.router-edge-downlink";

/// The connection in use, with its standing links as far as the peer has not detached them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Uplink {
    pub(super) conn: Slot<Conn>,
    /// Tells the interior router which mesh this router is in.
    discovery: Option<Slot<Link>>,
    /// What it was told.
    announced: Option<MeshId>,
    /// Takes what has no address here.
    up: Option<Slot<Link>>,
    /// Brings what is for this router.
    down: Option<Slot<Link>>,
    /// Tells which addresses can be reached.
    tracking: Option<Slot<Link>>,
    /// The interior router is about to stop: the next one is used as soon as there is one.
    withdrawn: bool,
}

pub(super) fn create_address(addresses: &mut AddressTable) -> Slot<Address> {
    let slot = addresses.create(EDGE_UPLINK_KEY.to_owned(), Treatment::Closest, None);
    addresses[slot].holds += 1;
    slot
}

// === impl Router ===

impl Router {
    /// The connection that an edge router uses to reach its network, where it has one.
    #[must_use]
    pub fn uplink(&self) -> Option<ConnId> {
        let core = self.core.lock();
        core.plane.edge()?.uplink.map(|uplink| core.conns[uplink.conn].id)
    }
}

// === impl Core ===

impl Core {
    /// The address of the uplink, for what came on a connection that does not lead there itself.
    pub(in crate::core) fn uplink_address(&self, from: Slot<Conn>) -> Option<Slot<Address>> {
        let edge = self.plane.edge().filter(|edge| edge.uplink.is_some())?;
        (!self.conns[from].role.attaches_for_others()).then_some(edge.uplink_address)
    }

    /// A connection is not one of those that wait for the uplink to be lost.
    pub(in crate::core) fn is_in_use(&self, conn: &Conn) -> bool {
        let uplink = self.plane.edge().map(|edge| edge.uplink.map(|uplink| self.conns[uplink.conn].id));
        uplink.is_none_or(|uplink| !conn.role.is_edge() || uplink == Some(conn.id))
    }

    /// A connection to an interior router is open: it is used if none is, or if its credentials are newer.
    pub(in crate::core) fn uplink_opened(&mut self, conn: Slot<Conn>) {
        let Some(edge) = self.plane.edge_mut() else { return };
        edge.candidates.push(conn);
        let uplink = edge.uplink;
        let newer = |old: Slot<Conn>| self.tls_ordinal(conn) > Some(self.tls_ordinal(old).unwrap_or(0));
        match uplink {
            None => self.activate_uplink(conn),
            Some(old) if newer(old.conn) => self.replace_uplink(old.conn, conn),
            Some(Uplink { withdrawn: true, .. }) => drop(self.leave_uplink()),
            Some(_) => {}
        }
    }

    /// A connection to an interior router is about to go. Its links go with it.
    pub(in crate::core) fn uplink_closing(&mut self, conn: Slot<Conn>) {
        let Some(edge) = self.plane.edge_mut() else { return };
        edge.candidates.retain(|&candidate| candidate != conn);
        if edge.uplink.take_if(|uplink| uplink.conn == conn).is_some() {
            edge.proxies.clear();
            edge.uplink_lost = true;
        }
    }

    /// A connection to an interior router is gone: another one takes over where there is one. One without TLS does not
    /// take over from one with TLS, or whoever can cut that could have traffic go in the clear.
    pub(in crate::core) fn uplink_closed(&mut self, lost: &Conn) {
        let was_used = |edge: &mut Edge| std::mem::take(&mut edge.uplink_lost);
        if !self.plane.edge_mut().is_some_and(was_used) {
            return;
        }
        let next = self.next_uplink(lost.params.facts.tls_ordinal.is_some());
        report::uplink_lost(lost.id, next.map(|conn| self.conns[conn].id));
        if let Some(conn) = next {
            self.activate_uplink(conn);
        }
    }

    /// What takes over from an uplink.
    fn next_uplink(&self, secured: bool) -> Option<Slot<Conn>> {
        let candidates = &self.plane.edge()?.candidates;
        if secured {
            let secured = candidates.iter().copied().filter(|&c| self.tls_ordinal(c).is_some());
            secured.rev().max_by_key(|&c| self.tls_ordinal(c))
        } else {
            candidates.first().copied()
        }
    }

    /// The connection whose interior router tells by detaching a link that it is about to stop.
    pub(in crate::core) fn withdrawn_uplink(&self, link: Slot<Link>, error: Option<&Error>) -> Option<Slot<Conn>> {
        let (edge, conn) = (self.plane.edge()?, self.links[link].conn);
        let says_so = error?.condition.as_str() == WITHDRAWN;
        (says_so && edge.candidates.contains(&conn)).then_some(conn)
    }

    /// An interior router is about to stop. Its connection is used for as long as there is no other.
    pub(in crate::core) fn uplink_withdrawn(&mut self, conn: Slot<Conn>) {
        let Some(edge) = self.plane.edge_mut() else { return };
        edge.candidates.retain(|&candidate| candidate != conn);
        let Some(uplink) = edge.uplink.as_mut().filter(|uplink| uplink.conn == conn) else { return };
        uplink.withdrawn = true;
        if !self.leave_uplink() {
            // It took back the link that tells of addresses, to be heard.
            let tracking = self.attach_own(conn, OwnLink::to_service(Direction::In, CoreService::AddressTracking));
            if let Some(uplink) = self.plane.edge_mut().and_then(|edge| edge.uplink.as_mut()) {
                uplink.tracking = Some(tracking);
            }
        }
    }

    /// Changes to another uplink. False: there is none.
    fn leave_uplink(&mut self) -> bool {
        let Some(old) = self.plane.edge().and_then(|edge| edge.uplink) else { return false };
        let next = self.next_uplink(self.tls_ordinal(old.conn).is_some());
        next.map(|next| self.replace_uplink(old.conn, next)).is_some()
    }

    fn replace_uplink(&mut self, old: Slot<Conn>, new: Slot<Conn>) {
        report::uplink_replaced(self.conns[old].id, self.conns[new].id);
        self.retire_uplink();
        self.activate_uplink(new);
    }

    fn tls_ordinal(&self, conn: Slot<Conn>) -> Option<u64> {
        self.conns[conn].params.facts.tls_ordinal
    }

    fn activate_uplink(&mut self, conn: Slot<Conn>) {
        report::uplink(self.conns[conn].id);
        let id = self.config.id.clone();
        let discovery = CoreService::MeshDiscovery;
        let discovery = self.attach_own(conn, OwnLink::to_service(Direction::Out, discovery));
        let up = OwnLink::new(Direction::Out, LinkKind::Endpoint, SessionClass::Endpoint);
        let up = self.attach_own(conn, up);
        let down = OwnLink::new(Direction::In, LinkKind::EdgeDownlink, SessionClass::Endpoint);
        let down = self.attach_own(conn, down.named(id).capable(CAP_EDGE_DOWNLINK));
        let tracking = self.attach_own(conn, OwnLink::to_service(Direction::In, CoreService::AddressTracking));
        let Some(edge) = self.plane.edge_mut() else { return };
        let address = edge.uplink_address;
        let (discovery, down, tracking) = (Some(discovery), Some(down), Some(tracking));
        edge.uplink = Some(Uplink { conn, discovery, announced: None, up: Some(up), down, tracking, withdrawn: false });
        self.bind(up, address);
        self.announce_mesh();
        for address in self.addresses.slots() {
            self.reconcile_proxy(address, Direction::In);
            self.reconcile_proxy(address, Direction::Out);
        }
    }

    /// Takes the links off a connection that another one replaces. What is under way on it goes on.
    fn retire_uplink(&mut self) {
        let Some(edge) = self.plane.edge_mut() else { return };
        let Some(Uplink { discovery, up, down, tracking, .. }) = edge.uplink.take() else { return };
        let proxies = std::mem::take(&mut edge.proxies);
        let proxies = proxies.into_values().flat_map(|proxies| [proxies.incoming.link(), proxies.outgoing.link()]);
        for link in [discovery, tracking].into_iter().flatten() {
            self.detach_link(link, None);
        }
        for link in [down, up].into_iter().chain(proxies).flatten() {
            self.retire_link(link);
        }
    }

    /// Detaches a link, once nothing waits on it to be sent or settled any more.
    pub(in crate::core) fn retire_link(&mut self, link: Slot<Link>) {
        match self.links[link].direction {
            Direction::Out if self.links[link].outgoing.is_empty() => self.detach_link(link, None),
            Direction::Out => {
                self.links[link].retiring = true;
                self.unbind(link);
            }
            Direction::In if self.links[link].is_idle_receiver() => self.detach_link(link, None),
            Direction::In => {
                self.links[link].retiring = true;
                // The peer gives back the credit that it has not used: nothing is on its way when the link goes.
                let (conn, id) = (self.links[link].conn, self.links[link].id);
                self.stage(conn, Effect::Credit { link: id, credit: 0, drain: true });
            }
        }
    }

    /// Something has ended on an incoming link that may be about to go.
    pub(in crate::core) fn review_retiring(&mut self, link: Slot<Link>) {
        let l = &self.links[link];
        if l.retiring && l.is_idle_receiver() {
            self.due.retired.push(l.id);
        }
    }

    /// A standing link of the uplink is gone.
    pub(super) fn uplink_link_lost(&mut self, link: Slot<Link>) {
        let Some(uplink) = self.plane.edge_mut().and_then(|edge| edge.uplink.as_mut()) else { return };
        for place in [&mut uplink.discovery, &mut uplink.up, &mut uplink.down, &mut uplink.tracking] {
            place.take_if(|standing| *standing == link);
        }
    }

    /// Tells the interior router which mesh this router is in, if it does not know.
    pub(in crate::core) fn announce_mesh(&mut self) {
        let Some((edge, uplink)) = self.plane.edge().and_then(|edge| Some((edge, edge.uplink?))) else { return };
        let id = edge.mesh_id();
        if uplink.announced != Some(id)
            && let Some(discovery) = uplink.discovery
            && self.send_service(discovery, messages::announcement(id))
            && let Some(uplink) = self.plane.edge_mut().and_then(|edge| edge.uplink.as_mut())
        {
            uplink.announced = Some(id);
        }
    }
}
