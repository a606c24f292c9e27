//! Neighbour routers: their connections, links and connection groups
//! (spec `inter-router-protocol.md` sections 2.5, 3.2, 12.2).

use super::Core;
use super::action::Direction;
use super::attach::{CAP_ROUTER, CAP_ROUTER_DATA};
use super::effect::{AttachOut, Effect, PRIORITIES, SessionClass};
use super::ids::LinkId;
use super::objects::{LinkKind, RouterConn};
use super::report;
use crate::address::name;
use crate::annotations::{Annotations, Trace};
use amqp_core::Instant;
use amqp_core::performative::{Source, Target};
use amqp_core::value::Symbol;
use std::collections::HashMap;

/// Routers that can be told apart, and neighbour connections, at most.
pub(super) const MAX_ROUTERS: usize = 128;
/// Idle streaming links that a connection keeps, unless [`crate::Router::keep_idle_streams`] says otherwise.
pub(super) const POOL_KEPT: usize = 128;

/// What forwarding needs to know of the network. Node bit 0 is this router.
#[derive(Debug)]
pub(super) struct Peers {
    nodes: Vec<Option<Node>>,
    by_id: HashMap<Box<[u8]>, u8>,
    /// Active control connections by neighbour bit.
    active: Vec<Option<u32>>,
    /// Neighbour bits given out, active or not.
    taken: u128,
    /// Data connections without a control connection.
    unallocated: Vec<u32>,
    /// Node bits of routers to and from which flows can be carried.
    pub(super) reachable: u128,
    /// Largest hop count to a reachable router.
    pub(super) radius: u32,
}

/// A remote router.
#[derive(Debug, Clone, Default)]
struct Node {
    id: String,
    /// Node bit of the first router on the way.
    next_hop: Option<u8>,
    /// Neighbour bit, when it is a neighbour.
    link: Option<u8>,
    cost: u32,
    valid_origins: u128,
}

// === impl Peers ===

impl Default for Peers {
    fn default() -> Self {
        Self {
            nodes: vec![None; MAX_ROUTERS],
            by_id: HashMap::new(),
            active: vec![None; MAX_ROUTERS],
            taken: 0,
            unallocated: Vec::new(),
            reachable: 0,
            radius: 0,
        }
    }
}

impl Peers {
    fn node(&self, bit: u8) -> Option<&Node> {
        self.nodes.get(usize::from(bit)).and_then(Option::as_ref)
    }

    pub(super) fn node_mut(&mut self, bit: u8) -> Option<(&mut Option<u8>, &mut Option<u8>, &mut u32, &mut u128)> {
        let node = self.nodes.get_mut(usize::from(bit))?.as_mut()?;
        Some((&mut node.next_hop, &mut node.link, &mut node.cost, &mut node.valid_origins))
    }

    pub(super) fn add_node(&mut self, bit: u8, id: &str) {
        if let Some(place) = self.nodes.get_mut(usize::from(bit)) {
            *place = Some(Node { id: id.to_owned(), ..Node::default() });
            self.by_id.insert(id.as_bytes().into(), bit);
        }
    }

    pub(super) fn remove_node(&mut self, bit: u8) -> Option<String> {
        let node = self.nodes.get_mut(usize::from(bit))?.take()?;
        self.by_id.remove(node.id.as_bytes());
        self.set_reachable(bit, false);
        Some(node.id)
    }

    pub(super) fn set_reachable(&mut self, bit: u8, reachable: bool) {
        let bit = 1 << bit;
        self.reachable = if reachable { self.reachable | bit } else { self.reachable & !bit };
    }

    /// Bits of all known remote routers.
    pub(super) fn known(&self) -> u128 {
        self.by_id.values().fold(0, |set, bit| set | 1 << bit)
    }

    /// The id of a remote router.
    pub(super) fn name(&self, bit: u8) -> Option<String> {
        self.node(bit).map(|n| n.id.clone())
    }

    /// Number of known remote routers.
    pub(super) fn count(&self) -> usize {
        self.by_id.len()
    }

    /// Node bit of a router as named in annotations (`0/<id>`), if it is a known remote one.
    pub(super) fn origin(&self, node_id: &[u8]) -> Option<u8> {
        let slash = node_id.iter().position(|b| *b == b'/')?;
        self.by_id.get(&node_id[slash + 1..]).copied()
    }

    /// Origin for anycast: an absent or unknown ingress counts as this router (10.2).
    pub(super) fn anycast_origin(&self, annotations: &Annotations) -> u8 {
        annotations.ingress.as_deref().and_then(|i| self.origin(i)).unwrap_or(0)
    }

    /// Neighbour bits that lead to neighbours named in the trace.
    pub(super) fn excluded(&self, trace: &Trace) -> u128 {
        trace
            .iter()
            .filter_map(|entry| self.origin(entry))
            .filter_map(|bit| self.node(bit).and_then(|n| n.link))
            .fold(0, |set, bit| set | 1 << bit)
    }

    /// The neighbour bit on the way to a router.
    pub(super) fn neighbour_towards(&self, node: u8) -> Option<u8> {
        let n = self.node(node)?;
        match n.next_hop {
            Some(hop) => self.node(hop).and_then(|h| h.link),
            None => n.link,
        }
    }

    pub(super) fn is_valid_origin(&self, node: u8, origin: u8) -> bool {
        self.node(node).is_some_and(|n| n.valid_origins & (1 << origin) != 0)
    }

    pub(super) fn cost(&self, node: u8) -> u32 {
        self.node(node).map_or(u32::MAX, |n| n.cost)
    }

    /// The active control connection of a neighbour bit.
    pub(super) fn conn(&self, bit: u8) -> Option<u32> {
        self.active.get(usize::from(bit)).copied().flatten()
    }

    fn take_bit(&mut self) -> Option<u8> {
        let bit = (!self.taken).trailing_zeros() as u8;
        (usize::from(bit) < MAX_ROUTERS).then(|| {
            self.taken |= 1 << bit;
            bit
        })
    }
}

// === impl Core ===

impl Core {
    pub(super) fn control_connection_opened(&mut self, conn: u32) {
        let Some(bit) = self.claim_bit(conn) else {
            self.stage(conn, Effect::Close { error: None, hard: true });
            return;
        };
        if let Some(router) = self.conns[conn].router.as_mut() {
            router.bit = Some(bit);
        }
        if self.conns[conn].params.initiator {
            self.attach_standing_links(conn);
        }
    }

    /// The neighbour bit for a new control connection; none when it must be closed (2.5).
    fn claim_bit(&mut self, conn: u32) -> Option<u8> {
        let (correlator, ordinal) = self.group(conn)?;
        let rivals = if correlator.is_empty() { Vec::new() } else { self.rivals(conn, &correlator) };
        if let Some(&(newest, bit, newest_ordinal)) = rivals.iter().max_by_key(|(_, _, ordinal)| *ordinal) {
            let (pending, takes_over) = (self.peers.conn(bit) != Some(newest), ordinal > newest_ordinal);
            report::precedence(self.conns[newest].id, pending, self.conns[conn].id, takes_over);
            if !takes_over {
                return None;
            }
            // A newer generation takes the bit over; it becomes active with its control links. One before it that has
            // not come so far never will.
            if pending {
                self.supersede(newest);
            }
            return Some(bit);
        }
        let bit = self.peers.take_bit();
        if bit.is_none() {
            report::no_bit_left();
        }
        bit
    }

    /// Other control connections of a group, active or about to be: slot, neighbour bit and ordinal.
    fn rivals(&self, conn: u32, correlator: &str) -> Vec<(u32, u8, u64)> {
        let rivals = self.conns.entries().filter(|(other, c)| *other != conn && c.role.has_control_links());
        rivals
            .filter_map(|(other, c)| {
                let router = c.router.as_ref().filter(|r| r.correlator.as_deref() == Some(correlator))?;
                Some((other, router.bit?, router.ordinal))
            })
            .collect()
    }

    /// Ends a control connection before it became active.
    fn supersede(&mut self, conn: u32) {
        if let Some(router) = self.conns[conn].router.as_mut() {
            router.bit = None;
        }
        self.stage(conn, Effect::Close { error: None, hard: true });
    }

    fn group(&self, conn: u32) -> Option<(String, u64)> {
        let router = self.conns[conn].router.as_ref()?;
        Some((router.correlator.clone().unwrap_or_default(), router.ordinal))
    }

    fn attach_standing_links(&mut self, conn: u32) {
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

    fn attach_router_link(&mut self, conn: u32, direction: Direction, kind: LinkKind, session: SessionClass) -> u32 {
        let name = name::link_name(&mut self.rng);
        let slot = self.insert_link(conn, name.clone(), direction, kind);
        let capability = match kind {
            LinkKind::Control => vec![Symbol::from_static(CAP_ROUTER)],
            LinkKind::Data(_) => vec![Symbol::from_static(CAP_ROUTER_DATA)],
            LinkKind::Streaming if self.conns[conn].role.has_control_links() => {
                vec![Symbol::from_static(CAP_ROUTER_DATA)]
            }
            LinkKind::Streaming | LinkKind::Endpoint => Vec::new(),
        };
        let expiry = || Some(Symbol::from_static("link-detach"));
        let source = Source { expiry_policy: expiry(), capabilities: capability.clone(), ..Source::default() };
        let target = Target { expiry_policy: expiry(), capabilities: capability, ..Target::default() };
        let link = self.links[slot].id;
        let gauge = self.links[slot].gauge.clone();
        let attach = AttachOut {
            link,
            name,
            direction,
            source: Box::new(source),
            target: Box::new(target),
            session,
            anonymous: direction == Direction::In,
            cut_through: kind.cut_through(),
            priority: kind.priority(),
            gauge,
        };
        self.stage(conn, Effect::Attach(Box::new(attach)));
        slot
    }

    /// Priority of the next data link that a peer attaches: positional, then streaming links.
    pub(super) fn next_data_kind(&mut self, conn: u32, direction: Direction) -> LinkKind {
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
    pub(super) fn router_link_up(&mut self, slot: u32) {
        let link = &self.links[slot];
        let (conn, direction, kind) = (link.conn, link.direction, link.kind);
        report::control_link(self.conns[conn].id, link, true);
        let Some(router) = self.conns[conn].router.as_mut() else { return };
        match (kind, direction) {
            (LinkKind::Control, Direction::In) => router.control_in = Some(slot),
            (LinkKind::Control, Direction::Out) => router.control_out = Some(slot),
            (LinkKind::Data(priority), Direction::Out) => {
                router.data_out[usize::from(priority).min(PRIORITIES - 1)] = Some(slot);
            }
            _ => {}
        }
        if kind != LinkKind::Control {
            return;
        }
        if router.control_in.is_some() && router.control_out.is_some() {
            self.activate_neighbour(conn);
        }
        if direction == Direction::Out
            && let Some(hello) = self.by_key.get("Lqdhello").copied()
        {
            self.bind(slot, hello);
        }
    }

    /// Both control links are there: the connection carries traffic to the neighbour from now on.
    fn activate_neighbour(&mut self, conn: u32) {
        let Some(bit) = self.conns[conn].router.as_ref().and_then(|r| r.bit) else { return };
        if let Some(old) = self.peers.active[usize::from(bit)].replace(conn).filter(|&old| old != conn) {
            report::upgraded(self.conns[old].id, self.conns[conn].id);
            self.retire_control_connection(old);
        }
        let Some((correlator, ordinal)) = self.group(conn) else { return };
        let (id, host) = (self.conns[conn].id, &self.conns[conn].params.facts.host);
        report::group(&correlator, format_args!("setup parent [C{id}] with ordinal={ordinal} (host={host})"));
        report::group(&correlator, format_args!("recording correlator[mask-bit={bit}]"));
        if correlator.is_empty() {
            return;
        }
        let (members, rest): (Vec<u32>, Vec<u32>) =
            std::mem::take(&mut self.peers.unallocated).into_iter().partition(|&data| {
                self.conns
                    .get(data)
                    .and_then(|c| c.router.as_ref())
                    .is_some_and(|r| r.correlator.as_deref() == Some(correlator.as_str()) && r.ordinal == ordinal)
            });
        self.peers.unallocated = rest;
        for &member in &members {
            let moved = self.conns[member].id;
            report::group(&correlator, format_args!("moving member [C{moved}] to parent [C{id}]"));
            self.check_group(member, conn);
        }
        if let Some(router) = self.conns[conn].router.as_mut() {
            router.members = members;
        }
    }

    /// A newer generation took the bit over: the old connection only finishes its streams.
    fn retire_control_connection(&mut self, conn: u32) {
        let Some(router) = self.conns[conn].router.as_mut() else { return };
        router.bit = None;
        let members = std::mem::take(&mut router.members);
        let control = [router.control_in.take(), router.control_out.take()];
        self.peers.unallocated.extend(members);
        if self.conns[conn].params.initiator {
            let now = self.next_tick;
            for link in control.into_iter().flatten() {
                self.detach_link(link, None, now);
            }
        }
    }

    pub(super) fn data_connection_opened(&mut self, conn: u32) {
        let Some((correlator, ordinal)) = self.group(conn) else { return };
        let control = self.peers.active.iter().flatten().copied().find(|&c| {
            !correlator.is_empty()
                && self.conns[c]
                    .router
                    .as_ref()
                    .is_some_and(|r| r.correlator.as_deref() == Some(correlator.as_str()) && r.ordinal == ordinal)
        });
        let id = self.conns[conn].id;
        report::group(&correlator, format_args!("adding member [C{id}] with ordinal={ordinal}"));
        match control.and_then(|c| Some((c, self.conns[c].id, self.conns[c].router.as_mut()?))) {
            Some((control, parent, router)) => {
                router.members.push(conn);
                report::group(&correlator, format_args!("member [C{id}] added to parent [C{parent}]"));
                self.check_group(conn, control);
            }
            None => {
                self.peers.unallocated.push(conn);
                report::group(&correlator, format_args!("parent not present moving [C{id}] to unallocated"));
            }
        }
    }

    pub(super) fn router_link_lost(&mut self, slot: u32, now: Instant) {
        let link = &self.links[slot];
        let (conn, kind) = (link.conn, link.kind);
        report::control_link(self.conns[conn].id, link, false);
        let Some(router) = self.conns[conn].router.as_mut() else { return };
        for place in router.data_out.iter_mut().chain([&mut router.control_in, &mut router.control_out]) {
            if *place == Some(slot) {
                *place = None;
            }
        }
        if kind == LinkKind::Control {
            self.neighbour_lost(conn, now);
        }
    }

    fn neighbour_lost(&mut self, conn: u32, now: Instant) {
        let Some(router) = self.conns[conn].router.as_mut() else { return };
        let Some(bit) = router.bit else { return };
        if self.peers.active[usize::from(bit)] == Some(conn) {
            self.peers.active[usize::from(bit)] = None;
            self.peers.unallocated.append(&mut router.members);
            self.mesh_link_lost(bit, now);
        }
    }

    pub(super) fn router_connection_closed(&mut self, conn: u32, now: Instant) {
        self.peers.unallocated.retain(|&c| c != conn);
        for control in self.peers.active.iter().flatten() {
            if let Some(router) = self.conns[*control].router.as_mut() {
                router.members.retain(|&c| c != conn);
            }
        }
        self.neighbour_lost(conn, now);
        let Some(router) = self.conns[conn].router.take() else { return };
        if let Some(bit) = router.bit {
            let shared = self.conns.iter().any(|c| c.router.as_ref().is_some_and(|r| r.bit == Some(bit)));
            if !shared {
                self.peers.taken &= !(1 << bit);
            }
        }
    }

    /// A link for one stream on a connection, or on a data connection of its group.
    pub(super) fn streaming_link(&mut self, conn: u32) -> Option<u32> {
        let conn = self.trunk(conn);
        let links = &self.links;
        // What is gone is taken too, and found out below.
        let ready = |id: LinkId| links.find(id.slot, id.number).is_none_or(|slot| links[slot].peer_credit > 0);
        while let Some(link) = self.conns[conn].pool.take(ready) {
            if let Some(slot) = self.links.find(link.slot, link.number) {
                self.links[slot].idle = false;
                report::streaming_link(self.conns[conn].id, &self.links[slot], report::TAKEN);
                return Some(slot);
            }
        }
        let slot = self.attach_router_link(conn, Direction::Out, LinkKind::Streaming, SessionClass::Streaming);
        report::streaming_link(self.conns[conn].id, &self.links[slot], report::CREATED);
        Some(slot)
    }

    fn trunk(&mut self, conn: u32) -> u32 {
        let Some(router) = self.conns[conn].router.as_mut() else { return conn };
        let RouterConn { trunking, members, next_member, .. } = &mut **router;
        if !*trunking || members.is_empty() {
            return conn;
        }
        *next_member = (*next_member + 1) % members.len();
        members[*next_member]
    }

    /// A stream has left a streaming link: the link waits for the next one.
    pub(super) fn stream_link_idle(&mut self, slot: u32) {
        let Some(link) = self.links.get_mut(slot) else { return };
        if link.kind != LinkKind::Streaming || link.direction != Direction::Out || link.idle {
            return;
        }
        link.idle = true;
        let (conn, id) = (link.conn, link.id);
        report::streaming_link(self.conns[conn].id, link, report::RETURNED);
        self.conns[conn].pool.put(id);
        self.stream_moved_back(slot);
    }

    /// A moved stream no longer counts on the link it was moved from.
    pub(super) fn stream_moved_back(&mut self, slot: u32) {
        let Some(base) = self.links[slot].moved_from.take() else { return };
        if let Some(base) = self.links.find(base.slot, base.number) {
            let base = &mut self.links[base];
            base.moved_streams = base.moved_streams.saturating_sub(1);
        }
    }

    /// Detaches streaming links that were not needed lately, beyond what a connection keeps.
    pub(super) fn trim_pools(&mut self, now: Instant) {
        let kept = self.pool_kept;
        for conn in self.conns.slots() {
            let links = &self.links;
            let done = |id: LinkId| links.find(id.slot, id.number).is_none_or(|l| links[l].deliveries.is_empty());
            for id in self.conns[conn].pool.trim(kept, done) {
                if let Some(slot) = self.links.find(id.slot, id.number) {
                    report::streaming_link(self.conns[conn].id, &self.links[slot], report::SURPLUS);
                    self.detach_link(slot, None, now);
                }
            }
        }
    }
}
