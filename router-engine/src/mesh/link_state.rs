//! The link-state protocol (spec `inter-router-protocol.md` 6.3 to 6.7).

use super::fields::{Fields, Malformed};
use super::path::{self, Peers};
use super::{LINK_STATE_VERSION, Mesh, MeshNode, MeshOutput, describe, node::RoundTrip, wire};
use crate::index::{NeighbourIndex, NodeIndex, NodeSet};
use crate::log;
use crate::log::{Level, LogModule};
use amqp_core::{Instant, Value};
use std::collections::BTreeSet;
use std::time::Duration;

const RA_TO: &str = "amqp:/_topo/0/all/qdrouter";

/// Between requests that are triggered by copies of an RA.
const LSR_PACE: Duration = Duration::from_secs(1);

/// Ticks that a router without peers, link or mention is kept.
const MAX_EMPTY_TICKS: u8 = 2;

/// Own link state, and what is to be done about changes.
#[derive(Debug, Default)]
pub(super) struct LinkState {
    pub(super) seq: i64,
    /// Own neighbours.
    pub(super) peers: Peers,
    /// Own neighbours changed since the last tick.
    pub(super) local_change: bool,
    /// There are new ones among them.
    pub(super) gained: bool,
    /// Some link state changed since the last computation.
    pub(super) recompute: bool,
    pub(super) last_change: Option<Instant>,
    pub(super) radius: u32,
    last_ra: Option<Instant>,
    /// The time after a change, in which advertisements are more frequent.
    flux: bool,
    /// Routers that the last computation found no way to.
    unreachable: Vec<NodeIndex>,
    /// Ticks until these are flushed.
    hold_off: Option<u64>,
}

// === messages ===

impl Mesh {
    pub(super) fn send_ra(&mut self, now: Instant) {
        self.ls.last_ra = Some(now);
        let body = wire::Body::link_state(&self.id, LINK_STATE_VERSION)
            .number("instance", self.instance)
            .number("ls_seq", self.ls.seq)
            .number("mobile_seq", self.mobile.seq);
        self.send(RA_TO.to_owned(), "RA", body);
        let told = describe::ra(&self.id, LINK_STATE_VERSION, self.instance, self.ls.seq, self.mobile.seq);
        log!(LogModule::RouterLs, Level::Debug, "SENT: {told}");
    }

    fn send_lsr(&mut self, target: &str) {
        let body = wire::Body::link_state(&self.id, LINK_STATE_VERSION);
        self.send(format!("amqp:/_topo/0/{target}/qdrouter"), "LSR", body);
        let told = describe::lsr(&self.id, LINK_STATE_VERSION);
        log!(LogModule::RouterLs, Level::Debug, "SENT: {told} to: {target}");
    }

    fn send_lsu(&mut self, target: &str) {
        let body = wire::Body::link_state(&self.id, LINK_STATE_VERSION)
            .number("instance", self.instance)
            .number("ls_seq", self.ls.seq)
            .link_state_of("ls", &self.id, self.ls.seq, &self.ls.peers);
        self.send(format!("amqp:/_topo/0/{target}/qdrouter"), "LSU", body);
        let told =
            describe::lsu(&self.id, LINK_STATE_VERSION, self.instance, self.ls.seq, self.describe_own_link_state());
        log!(LogModule::RouterLs, Level::Debug, "SENT: {told}");
    }

    fn describe_own_link_state(&self) -> impl std::fmt::Display {
        describe::link_state(&self.id, self.ls.seq, || self.ls.peers.iter().map(|(id, cost)| (id.as_str(), *cost)))
    }

    /// The sender of a link-state message; `None` when the message is to be ignored.
    fn link_state_sender<'a>(&mut self, opcode: &str, fields: Fields<'a>) -> Result<Option<(&'a str, i64)>, Malformed> {
        let id = fields.id()?;
        let version = fields.int_or_zero("pv")?;
        let mine = id == self.id;
        let known = mine || self.version_is_known(opcode, id, version, LINK_STATE_VERSION, LogModule::Router);
        Ok((known && !mine).then_some((id, version)))
    }

    pub(super) fn on_ra(&mut self, fields: Fields<'_>, now: Instant) -> Result<(), Malformed> {
        let Some((id, version)) = self.link_state_sender("RA", fields)? else { return Ok(()) };
        let instance = fields.int_or_zero("instance")?;
        let (ls_seq, mobile_seq) = (fields.int("ls_seq")?, fields.int("mobile_seq")?);
        let told = describe::ra(id, version, instance, ls_seq, mobile_seq);
        log!(LogModule::RouterLs, Level::Debug, "RCVD: {told}");
        if self.node_or_new(id, Some(instance), version).is_none() {
            return Ok(());
        }
        let outlived = self.nodes.by_id_mut(id).is_some_and(|node| node.is_outlived(ls_seq, mobile_seq, now));
        if !self.check_instance(id, instance, version) && outlived {
            self.on_restart(id);
        }
        let Some(node) = self.nodes.by_id_mut(id) else { return Ok(()) };
        node.last_seen = now;
        node.advertised = (ls_seq, mobile_seq);
        node.need_mar |= node.mobile_seq < mobile_seq;
        if node.ls_seq < ls_seq {
            // Flooding brings an RA by several ways at once: the first copy is answered at once, and
            // what follows within a tick by one request at its end.
            if node.lsr_sent.is_some_and(|sent| now.since(sent) < LSR_PACE) {
                node.need_lsr = true;
            } else {
                node.lsr_sent = Some(now);
                node.lsr_retry.sent();
                self.send_lsr(id);
            }
        }
        Ok(())
    }

    pub(super) fn on_lsr(&mut self, fields: Fields<'_>) -> Result<(), Malformed> {
        let Some((id, version)) = self.link_state_sender("LSR", fields)? else { return Ok(()) };
        log!(LogModule::RouterLs, Level::Debug, "RCVD: {}", describe::lsr(id, version));
        if self.node_or_new(id, None, version).is_some() {
            self.send_lsu(id);
        }
        Ok(())
    }

    pub(super) fn on_lsu(&mut self, fields: Fields<'_>, now: Instant) -> Result<(), Malformed> {
        let Some((id, version)) = self.link_state_sender("LSU", fields)? else { return Ok(()) };
        let instance = fields.int_or_zero("instance")?;
        let state = fields.map("ls")?;
        let malformed = |what| Malformed { module: LogModule::RouterLs, what: Some(what) };
        if state.id()? != id {
            return Err(malformed("ls.id"));
        }
        let ls_seq = state.int("ls_seq")?;
        let mut peers = parse_peers(state.map("peers")?).ok_or(malformed("ls.peers"))?;
        log!(
            LogModule::RouterLs,
            Level::Debug,
            "RCVD: {}",
            describe::lsu(id, version, instance, ls_seq, describe::link_state(id, ls_seq, || peers.iter().copied()))
        );
        peers.retain(|(peer, _)| *peer != id);
        let Some(index) = self.node_or_new(id, Some(instance), version) else { return Ok(()) };
        match self.nodes.get(index).and_then(MeshNode::instance) {
            // Not told.
            _ if instance == 0 => {}
            // Of an earlier life: it would outrank what the router tells now.
            Some(known) if instance < known => return Ok(()),
            _ => {
                self.check_instance(id, instance, version);
            }
        }
        if self.nodes.get(index).is_none_or(|node| node.ls_seq >= ls_seq) {
            return Ok(());
        }
        // A router that finds no place in the table cannot be routed to nor through.
        let named = peers.len();
        let peers: Peers = peers
            .into_iter()
            .filter(|(peer, _)| *peer == self.id || self.node_or_new(peer, None, 0).is_some())
            .map(|(peer, cost)| (peer.to_owned(), cost))
            .collect();
        let truncated = peers.len() < named;
        if let Some(node) = self.nodes.get_mut(index) {
            node.ls_seq = ls_seq;
            node.truncated = truncated;
            node.peers = peers;
            node.last_seen = now;
            node.lsr_retry.reset();
        }
        self.ls.recompute = true;
        Ok(())
    }

    /// Notices restarts (spec 6.6, instance check). Returns whether there was one.
    pub(super) fn check_instance(&mut self, id: &str, instance: i64, version: i64) -> bool {
        let Some(node) = self.nodes.by_id_mut(id) else { return false };
        let before = node.instance.replace(instance);
        let restarted = before.is_some_and(|before| before != instance);
        if before.is_none() || restarted {
            node.version = version;
        }
        if restarted {
            self.on_restart(id);
        }
        restarted
    }

    /// Forgets what an earlier life of a router told.
    fn on_restart(&mut self, id: &str) {
        let Some(node) = self.nodes.by_id_mut(id) else { return };
        node.peers.clear();
        node.ls_seq = 0;
        node.need_lsr = true;
        node.advertised = (0, 0);
        (node.truncated, node.suspect) = (false, None);
        let index = node.index();
        if node.forget_addresses() {
            self.output.push_back(MeshOutput::FlushNode { node: index });
        }
        self.ls.recompute = true;
        log!(LogModule::Router, Level::Info, "Detected Restart of Router Node {id}");
    }

    pub(super) fn on_link_lost(&mut self, link: NeighbourIndex) {
        log!(LogModule::RouterLs, Level::Info, "Link to Neighbor Router Lost - link_tag={link}");
        let owners: Vec<NodeIndex> = self.nodes.iter().filter(|n| n.link == Some(link)).map(MeshNode::index).collect();
        for owner in owners {
            self.drop_neighbour(owner);
            // The ways are computed at the tick, but what lies behind the link alone is gone.
            let mutual = self.set_of(&self.compute_paths().mutual);
            self.set_mutual(&mutual);
        }
    }

    fn drop_neighbour(&mut self, node: NodeIndex) {
        let Some(node) = self.nodes.get_mut(node) else { return };
        node.link = None;
        log!(LogModule::Router, Level::Debug, "Node {} link removed", node.id());
        self.ls.peers.remove(node.id());
        self.ls.local_change = true;
    }
}

// === the tick ===

impl Mesh {
    pub(super) fn ra_is_due(&mut self, now: Instant) -> bool {
        let flux = self.ls.last_change.is_some_and(|change| now.since(change) < self.timing.flux());
        if !flux && std::mem::take(&mut self.ls.flux) {
            log!(LogModule::Router, Level::Debug, "Exited Router Flux Mode");
        }
        let interval = if flux { self.timing.ra_interval_flux } else { self.timing.ra_interval };
        self.ls.last_ra.is_none_or(|last| now.since(last) >= interval)
    }

    /// Step 4.
    pub(super) fn expire_nodes(&mut self, now: Instant) {
        let stale: Vec<NodeIndex> = self
            .nodes
            .iter()
            .filter(|n| n.link.is_some() && now.since(n.refreshed) > self.timing.hello_max_age)
            .map(MeshNode::index)
            .collect();
        for index in stale {
            let id = self.nodes.get(index).map_or("", MeshNode::id);
            log!(LogModule::RouterLs, Level::Info, "Neighbor router {id} is silent");
            self.drop_neighbour(index);
        }
        for node in self.nodes.iter_mut() {
            if now.since(node.last_seen) > self.timing.link_state_max_age && !node.peers.is_empty() {
                node.peers.clear();
                node.ls_seq = 0;
                self.ls.recompute |= node.has_way();
            }
        }
        for index in self.count_empty() {
            self.remove_node(index);
        }
    }

    /// Counts the ticks of routers that nothing is known of, and returns those to delete.
    fn count_empty(&mut self) -> Vec<NodeIndex> {
        let mentioned: NodeSet =
            self.nodes.iter().flat_map(|n| n.peers.keys()).filter_map(|id| self.nodes.index_of(id)).collect();
        let mut gone = Vec::new();
        for node in self.nodes.iter_mut() {
            if node.peers.is_empty() && node.link.is_none() && !mentioned.contains(node.index()) {
                node.empty += 1;
                if node.empty > MAX_EMPTY_TICKS {
                    gone.push(node.index());
                }
            }
        }
        gone
    }

    /// Steps 5 to 7. Returns whether the own link state changed.
    pub(super) fn settle_topology(&mut self, now: Instant) -> bool {
        let local_change = std::mem::take(&mut self.ls.local_change);
        let recompute = std::mem::take(&mut self.ls.recompute);
        if local_change || recompute {
            self.ls.last_change = Some(now);
            self.output.push_back(MeshOutput::TopologyChanged);
            if !std::mem::replace(&mut self.ls.flux, true) {
                log!(LogModule::Router, Level::Debug, "Entered Router Flux Mode");
            }
            if local_change {
                self.ls.seq += 1;
                let state = self.describe_own_link_state();
                log!(LogModule::RouterLs, Level::Debug, "Local Link State: {state}");
            }
            self.compute_routes();
        }
        local_change
    }

    fn compute_paths(&self) -> path::Paths<'_> {
        let states: Vec<(&str, &Peers)> = std::iter::once((self.id.as_str(), &self.ls.peers))
            .chain(self.nodes.iter().map(|n| (n.id(), &n.peers)))
            .collect();
        path::compute(&self.id, &states)
    }

    fn set_of(&self, ids: &BTreeSet<&str>) -> NodeSet {
        ids.iter().filter_map(|id| self.nodes.index_of(id)).collect()
    }

    fn set_mutual(&mut self, mutual: &NodeSet) {
        for node in self.nodes.iter_mut() {
            node.set_mutual(mutual.contains(node.index()));
        }
    }

    /// Step 7.
    fn compute_routes(&mut self) {
        let result = self.compute_paths();
        log_result(&result);
        let mutual = self.set_of(&result.mutual);
        let index_of = |id: &str| self.nodes.index_of(id);
        let routes: Vec<(NodeIndex, Option<NodeIndex>, u32, NodeSet)> = result
            .paths
            .iter()
            .filter_map(|(id, path)| {
                let next_hop = if path.next_hop == *id { None } else { index_of(path.next_hop) };
                let origins = path.valid_origins.iter().filter_map(|o| index_of(o));
                let origins = origins.chain([NodeIndex::OWN]).collect();
                Some((index_of(id)?, next_hop, path.cost, origins))
            })
            .collect();
        let unreachable = result.unreachable.iter().filter_map(|id| index_of(id)).collect();
        let radius = result.radius;
        self.ls.unreachable = unreachable;
        self.ls.hold_off = Some(self.timing.unreachable_hold_off.as_secs());
        self.set_mutual(&mutual);
        for (index, next_hop, cost, valid_origins) in routes {
            if let Some(node) = self.nodes.get_mut(index) {
                if node.next_hop != next_hop || node.valid_origins != valid_origins {
                    node.lsr_retry.reset();
                    node.mar_retry.reset();
                }
                (node.next_hop, node.cost, node.valid_origins) = (next_hop, cost, valid_origins);
            }
        }
        if radius != self.ls.radius {
            self.ls.radius = radius;
            self.output.push_back(MeshOutput::Radius(radius));
        }
    }

    /// Step 8.
    pub(super) fn flush_unreachable(&mut self) {
        let Some(ticks) = self.ls.hold_off else { return };
        if ticks > 0 {
            self.ls.hold_off = Some(ticks - 1);
            return;
        }
        self.ls.hold_off = None;
        for index in std::mem::take(&mut self.ls.unreachable) {
            let Some(node) = self.nodes.get_mut(index).filter(|n| n.mobile_seq > 0) else { continue };
            log!(LogModule::RouterLs, Level::Info, "Invalidating addresses on unreachable node: {}", node.id());
            if node.forget_addresses() {
                self.output.push_back(MeshOutput::FlushNode { node: index });
            }
        }
    }

    /// Step 9. Beyond the rules, requests without an answer are repeated.
    pub(super) fn send_requests(&mut self) {
        let mut requests = Vec::new();
        for node in self.nodes.iter_mut().filter(|n| n.has_way()) {
            let (ls_seq, mobile_seq) = node.advertised;
            node.need_lsr |= node.lsr_retry.tick() && node.ls_seq < ls_seq.max(1);
            node.need_mar |= node.mar_retry.tick() && node.mobile_seq < mobile_seq;
            node.need_mar |= node.owes_answer() && (node.trip == RoundTrip::Untried || !node.mar_retry.is_waiting());
            let need = (std::mem::take(&mut node.need_lsr), std::mem::take(&mut node.need_mar));
            if need.0 {
                node.lsr_retry.sent();
            }
            if need.0 || need.1 {
                requests.push((node.id().to_owned(), need, node.have_seq()));
            }
        }
        for (id, (need_lsr, need_mar), have_seq) in requests {
            if need_lsr {
                self.send_lsr(&id);
            }
            if need_mar {
                self.send_mar(&id, have_seq);
            }
        }
    }
}

/// Peers with costs from 1 up.
fn parse_peers(peers: Fields<'_>) -> Option<Vec<(&str, u32)>> {
    peers
        .entries()
        .map(|(id, cost)| {
            let id = id.as_str().filter(|id| !id.is_empty())?;
            let cost = u32::try_from(Value::as_i64(cost)?).ok().filter(|cost| *cost > 0)?;
            Some((id, cost))
        })
        .collect()
}

fn log_result(result: &path::Paths<'_>) {
    let (module, level) = (LogModule::RouterLs, Level::Info);
    log!(module, level, "Computed next hops: {}", describe::next_hops(result));
    log!(module, level, "Computed costs: {}", describe::costs(result));
    log!(module, level, "Computed valid origins: {}", describe::valid_origins(result));
    log!(module, level, "Computed radius: {}", result.radius);
    log!(module, level, "Unreachable_ids: {}", describe::unreachable(result));
}
