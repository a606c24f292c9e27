//! The link-state protocol (spec `inter-router-protocol.md` 6.3 to 6.7).

use super::fields::{Fields, Malformed, is_id};
use super::path::{self, Peers};
use super::throttle::{Pace, Throttle};
use super::{LINK_STATE_VERSION, Mesh, MeshNode, MeshOutput, describe, node::Retry, wire};
use crate::index::{LISTED_ROUTERS, NeighbourIndex, NodeIndex, NodeSet};
use crate::log;
use crate::log::{Level, LogModule};
use amqp_core::{Instant, Value};
use std::collections::BTreeSet;
use std::time::Duration;

/// A router of the C implementation that knows an earlier life of this one takes over changes of addresses at once,
/// notices the restart afterwards, forgets them, and believes that it has them. By this time after the first greeting it
/// has noticed.
const ADOPTION: Duration = Duration::from_secs(1);

/// Marks what a router tells of others, see [`Hearsay`]. Routers that do not know it see what they see if the others tell it
/// themselves.
const SYNC: &str = "sync";

/// Values of [`SYNC`].
const TO_NEIGHBOUR: i64 = 1;
const TO_ALL: i64 = 2;

const RA_TO: &str = "amqp:/_topo/0/all/qdrouter";

/// Between requests that are triggered by copies of an RA.
const LSR_PACE: Duration = Duration::from_millis(100);

/// What links of a router cost more that is about to stop; that of other links is small.
const RELUCTANCE: u32 = 1 << 22;

/// Ticks that a router without peers, link or mention is kept.
const MAX_EMPTY_TICKS: u8 = 2;

/// Links that are known of all other routers together, each counted at both ends: as many as the C router's limit of routers
/// allows. Ways are computed from each router over all links, which a network where each tells of a thousand would make take
/// seconds.
pub(super) const LINKS_MAX: usize = LISTED_ROUTERS * LISTED_ROUTERS;

/// What is not told by the router itself that it is about. It may be older than what is known, and is no sign of life of that
/// router, nor of an end of its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hearsay {
    /// From a new neighbour: it is for this router to pass it on.
    FromNeighbour,
    PassedOn,
}

/// Own link state, and what is to be done about changes.
#[derive(Debug)]
pub(super) struct LinkState {
    pub(super) seq: i64,
    /// Own neighbours.
    pub(super) peers: Peers,
    /// Added to what the links to them cost.
    reluctance: u32,
    /// When to compute and tell.
    pub(super) changes: Throttle,
    /// Own neighbours changed since the last computation.
    local_change: bool,
    /// New neighbours that take the link states of others from us.
    pub(super) gained: NodeSet,
    /// Some link state changed since the last computation.
    recompute: bool,
    pub(super) last_change: Option<Instant>,
    pub(super) radius: u32,
    last_ra: Option<Instant>,
    /// The time after a change, in which advertisements are more frequent.
    flux: bool,
}

impl LinkState {
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            seq: 0,
            peers: Peers::new(),
            reluctance: 0,
            changes: Throttle::new(pace),
            local_change: false,
            gained: NodeSet::EMPTY,
            recompute: false,
            last_change: None,
            radius: 0,
            last_ra: None,
            flux: false,
        }
    }

    /// A neighbour at the end of a link of that cost.
    pub(super) fn add_peer(&mut self, id: &str, cost: u32) {
        self.peers.insert(id.to_owned(), cost.max(1).saturating_add(self.reluctance));
    }

    /// The ways are to be computed again.
    pub(super) fn changed(&mut self, now: Instant) {
        self.recompute = true;
        self.changes.note(now);
    }

    fn own_changed(&mut self, now: Instant) {
        self.local_change = true;
        self.changes.note(now);
    }
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

    /// Tells a new neighbour, or all, the link state of another router.
    fn pass_link_state(&mut self, origin: NodeIndex, neighbour: Option<&str>) {
        let Some((node, instance)) = self.nodes.get(origin).and_then(MeshNode::hearsay) else { return };
        let (to, sync) = hearsay_to(neighbour);
        log!(LogModule::RouterLs, Level::Debug, "Passing on the link state of {} to {to}", node.id());
        let body = wire::Body::link_state(node.id(), node.version)
            .number("instance", instance)
            .number("ls_seq", node.ls_seq)
            .link_state_of("ls", node.id(), node.ls_seq, &node.peers)
            .number(SYNC, sync);
        self.send(to, "LSU", body);
    }

    /// Tells a new neighbour, or all, what another router advertised.
    fn pass_advertisement(&mut self, origin: NodeIndex, neighbour: Option<&str>) {
        let Some((node, instance)) = self.nodes.get(origin).and_then(MeshNode::hearsay) else { return };
        let (to, sync) = hearsay_to(neighbour);
        let body = wire::Body::link_state(node.id(), node.version)
            .number("instance", instance)
            .number("ls_seq", node.ls_seq)
            .number("mobile_seq", node.mobile_seq.max(node.advertised.1))
            .number(SYNC, sync);
        self.send(to, "RA", body);
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
        let hearsay = Hearsay::of(fields)?;
        let told = describe::ra(id, version, instance, ls_seq, mobile_seq);
        log!(LogModule::RouterLs, Level::Debug, "RCVD: {told}");
        let Some(index) = self.node_or_new(id, Some(instance), version) else { return Ok(()) };
        // Others do not know of a restart before the router tells it itself.
        let known = self.nodes.get(index).and_then(MeshNode::instance);
        if hearsay.is_some() && known.is_some_and(|known| instance < known) {
            return Ok(());
        }
        let outlived =
            hearsay.is_none() && self.nodes.by_id_mut(id).is_some_and(|n| n.is_outlived(ls_seq, mobile_seq, now));
        if !self.check_instance(id, instance, version, now) && outlived {
            self.on_restart(id, now);
        }
        let Some(node) = self.nodes.by_id_mut(id) else { return Ok(()) };
        let before = node.advertised;
        // Copies of older advertisements may come behind newer ones.
        node.advertised = (before.0.max(ls_seq), before.1.max(mobile_seq));
        if hearsay.is_some() && node.advertised == before {
            return Ok(());
        }
        node.last_seen = now;
        if node.mobile_seq < mobile_seq {
            node.advertised_addresses(now);
        }
        // Flooding brings an RA by several ways at once: the first copy is answered at once, and what follows soon by one
        // request.
        let pace = node.lsr_sent.map(|sent| sent + LSR_PACE).filter(|next| *next > now);
        let newer = node.ls_seq < ls_seq;
        node.need_lsr |= newer;
        let (wanted, retry) = ((node.need_lsr, node.need_mar), node.mar_retry);
        self.want_retry(retry);
        match (wanted, pace) {
            ((true, _), None) => self.request_link_state(index, now),
            ((true, false), Some(next)) => self.want_requests(next),
            _ => {}
        }
        if wanted.1 {
            self.want_requests(now);
        }
        if hearsay == Some(Hearsay::FromNeighbour) {
            self.pass_advertisement(index, None);
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
        let hearsay = Hearsay::of(fields)?;
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
                self.check_instance(id, instance, version, now);
            }
        }
        if self.nodes.get(index).is_none_or(|node| node.ls_seq >= ls_seq) {
            return Ok(());
        }
        let named = peers.len();
        let room = LINKS_MAX.saturating_sub(self.links_beside(index));
        if room < named && self.complains(now) {
            log!(LogModule::RouterLs, Level::Error, "Exceeded maximum link count: not all links of {id} are taken");
        }
        let peers = self.known_peers(peers, room);
        let truncated = peers.len() < named;
        let Some(node) = self.nodes.get_mut(index) else { return Ok(()) };
        node.ls_seq = ls_seq;
        node.truncated = truncated;
        node.last_seen = now;
        node.lsr_retry.reset(now);
        node.need_lsr &= hearsay.is_some() || ls_seq < node.advertised.0;
        let retry = node.lsr_retry;
        let shrinks = peers.len() < node.peers.len();
        if node.peers != peers {
            node.peers = peers;
            self.ls.changed(now);
        }
        self.want_retry(retry);
        if shrinks {
            self.ask_truncated(now);
        }
        if hearsay == Some(Hearsay::FromNeighbour) {
            self.pass_link_state(index, None);
        }
        Ok(())
    }

    /// So many peers of a router as there is room for, and this router itself. One that finds no place in the table cannot
    /// be routed to nor through.
    fn known_peers(&mut self, peers: Vec<(&str, u32)>, room: usize) -> Peers {
        let mut known = Peers::new();
        for (peer, cost) in peers {
            if peer == self.id || (known.len() < room && self.node_or_new(peer, None, 0).is_some()) {
                known.insert(peer.to_owned(), cost);
            }
        }
        known
    }

    /// Links that are known of all other routers than this one.
    fn links_beside(&self, index: NodeIndex) -> usize {
        self.nodes.iter().filter(|node| node.index() != index).map(|node| node.peers.len()).sum()
    }

    /// Notices restarts (spec 6.6, instance check). Returns whether there was one.
    pub(super) fn check_instance(&mut self, id: &str, instance: i64, version: i64, now: Instant) -> bool {
        let Some(node) = self.nodes.by_id_mut(id) else { return false };
        let before = node.instance.replace(instance);
        let restarted = before.is_some_and(|before| before != instance);
        if before.is_none() || restarted {
            node.version = version;
        }
        if restarted {
            self.on_restart(id, now);
        }
        restarted
    }

    /// Forgets what an earlier life of a router told.
    fn on_restart(&mut self, id: &str, now: Instant) {
        let Some(node) = self.nodes.by_id_mut(id) else { return };
        node.peers.clear();
        node.ls_seq = 0;
        node.need_lsr = true;
        node.advertised = (0, 0);
        (node.truncated, node.suspect, node.mar_retry) = (false, None, Retry::default());
        let index = node.index();
        self.unpublished = true;
        if node.forget_addresses() {
            self.output.push_back(MeshOutput::FlushNode { node: index });
        }
        self.ls.changed(now);
        if self.complains(now) {
            log!(LogModule::Router, Level::Info, "Detected Restart of Router Node {id}");
        }
    }

    /// Others are to go by ways on which this router is not, as far as there are any: it tells that its links cost more than
    /// those of others can. What is for this router itself goes by the links of others.
    pub fn withdraw(&mut self, now: Instant) {
        if self.ls.reluctance == 0 {
            self.ls.reluctance = RELUCTANCE;
            self.ls.peers.values_mut().for_each(|cost| *cost = cost.saturating_add(RELUCTANCE));
            self.ls.own_changed(now);
            // Without a pause: what the owner does from here on goes by these costs.
            self.tell_changes(true, true, now);
        }
    }

    pub(super) fn on_link_lost(&mut self, link: NeighbourIndex, now: Instant) {
        log!(LogModule::RouterLs, Level::Info, "Link to Neighbor Router Lost - link_tag={link}");
        let owners: Vec<NodeIndex> = self.nodes.iter().filter(|n| n.link == Some(link)).map(MeshNode::index).collect();
        for owner in owners {
            self.drop_neighbour(owner, now);
            // The ways are computed soon, but what lies behind the link alone is gone.
            let mutual = self.set_of(&path::mutual(&self.id, &self.states()));
            self.set_mutual(&mutual);
        }
    }

    fn drop_neighbour(&mut self, node: NodeIndex, now: Instant) {
        let Some(node) = self.nodes.get_mut(node) else { return };
        (node.link, node.spoke, node.unanswered) = (None, None, None);
        self.unpublished = true;
        log!(LogModule::Router, Level::Debug, "Node {} link removed", node.id());
        self.ls.peers.remove(node.id());
        if std::mem::take(&mut node.missed) {
            node.need_lsr = true;
            node.advertised_addresses(now);
            self.want_requests(now);
        }
        self.ls.own_changed(now);
    }

    /// A neighbour is there that was none before.
    pub(super) fn neighbour_gained(&mut self, node: NodeIndex, link: NeighbourIndex, now: Instant) {
        self.ls.own_changed(now);
        if self.hello.syncing.contains(link) {
            self.ls.gained.insert(node);
        } else {
            self.await_adoption(node, now);
        }
    }

    /// Whoever has met this router already knows no earlier life of it.
    fn await_adoption(&mut self, node: NodeIndex, now: Instant) {
        let Some(node) = self.nodes.get_mut(node) else { return };
        if now.since(*node.met.get_or_insert(now)) < ADOPTION {
            self.mobile.hold(now + ADOPTION);
        }
    }
}

// === changes ===

impl Mesh {
    /// Computes the ways, and tells of what changed here. Whoever routes the messages that tell it must know the new ways.
    pub(super) fn settle(&mut self, now: Instant) -> bool {
        let own = self.settle_topology(now);
        self.publish_routes();
        if own {
            self.send_lsu("all");
        }
        self.sync_neighbours();
        self.send_requests(now);
        own
    }

    /// Tells new neighbours what the others told.
    fn sync_neighbours(&mut self) {
        for neighbour in std::mem::take(&mut self.ls.gained).iter() {
            let Some(target) = self.nodes.get(neighbour).filter(|node| node.link.is_some()) else { continue };
            let target = target.id().to_owned();
            // Its other neighbours tell it of themselves: what they flood goes over all their links.
            let tells = |node: &&MeshNode| node.peers.contains_key(&target);
            let others = self.nodes.iter().filter(|node| node.index() != neighbour && node.mutual && !tells(node));
            for origin in others.map(MeshNode::index).collect::<Vec<_>>() {
                self.pass_link_state(origin, Some(&target));
                self.pass_advertisement(origin, Some(&target));
            }
        }
    }

    /// Requests will be due then.
    pub(super) fn want_requests(&mut self, at: Instant) {
        self.requests_due = Some(self.requests_due.map_or(at, |due| due.min(at)));
    }

    pub(super) fn want_retry(&mut self, retry: Retry) {
        retry.due().into_iter().for_each(|at| self.want_requests(at));
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
            self.drop_neighbour(index, now);
        }
        for node in self.nodes.iter_mut() {
            if now.since(node.last_seen) > self.timing.link_state_max_age && !node.peers.is_empty() {
                node.peers.clear();
                node.ls_seq = 0;
                if node.has_way() {
                    self.ls.changed(now);
                }
            }
        }
        for index in self.count_empty() {
            self.remove_node(index, now);
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
    fn settle_topology(&mut self, now: Instant) -> bool {
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
            self.compute_routes(now);
        }
        local_change
    }

    /// All link states, our own first.
    fn states(&self) -> Vec<(&str, &Peers)> {
        let others = self.nodes.iter().map(|n| (n.id(), &n.peers));
        std::iter::once((self.id.as_str(), &self.ls.peers)).chain(others).collect()
    }

    fn set_of(&self, ids: &BTreeSet<&str>) -> NodeSet {
        ids.iter().filter_map(|id| self.nodes.index_of(id)).collect()
    }

    fn set_mutual(&mut self, mutual: &NodeSet) {
        self.unpublished = true;
        for node in self.nodes.iter_mut() {
            node.set_mutual(mutual.contains(node.index()));
        }
    }

    /// Step 7.
    fn compute_routes(&mut self, now: Instant) {
        let states = self.states();
        let result = path::compute(&self.id, &states);
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
        let reached: NodeSet = routes.iter().map(|route| route.0).collect();
        let unreachable = self.set_of(&result.unreachable);
        let radius = result.radius;
        self.set_mutual(&mutual);
        for node in self.nodes.iter_mut() {
            let since = node.unreachable_since.unwrap_or(now);
            node.unreachable_since = unreachable.contains(node.index()).then_some(since);
            if !reached.contains(node.index()) {
                // The one that it had may have its way to it through here by now.
                node.next_hop = None;
            }
        }
        for (index, next_hop, cost, valid_origins) in routes {
            if let Some(node) = self.nodes.get_mut(index) {
                if node.next_hop != next_hop || node.valid_origins != valid_origins {
                    node.lsr_retry.reset(now);
                    node.mar_retry.reset(now);
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
    pub(super) fn flush_unreachable(&mut self, now: Instant) {
        let hold_off = self.timing.unreachable_hold_off;
        let is_gone = |node: &MeshNode| node.unreachable_since.is_some_and(|since| now.since(since) >= hold_off);
        for node in self.nodes.iter_mut().filter(|node| node.mobile_seq > 0 && is_gone(node)) {
            log!(LogModule::RouterLs, Level::Info, "Invalidating addresses on unreachable node: {}", node.id());
            self.unpublished = true;
            if node.forget_addresses() {
                self.output.push_back(MeshOutput::FlushNode { node: node.index() });
            }
        }
    }

    /// Step 9. Beyond the rules, requests without an answer are repeated.
    pub(super) fn send_requests(&mut self, now: Instant) {
        let mut requests = Vec::new();
        for node in self.nodes.iter_mut().filter(|n| n.has_way()) {
            node.need_lsr |= node.lsr_retry.take_due(now) && node.ls_seq < node.advertised.0.max(1);
            node.need_mar |= node.takes_due_request(now);
            let need = (std::mem::take(&mut node.need_lsr), std::mem::take(&mut node.need_mar));
            if need.0 || need.1 {
                requests.push((node.index(), node.id().to_owned(), need, node.have_seq()));
            }
        }
        for (index, id, (need_lsr, need_mar), have_seq) in requests {
            if need_lsr {
                self.request_link_state(index, now);
            }
            if need_mar {
                self.send_mar(&id, have_seq, now);
            }
        }
        self.requests_due = self.nodes.iter().filter_map(MeshNode::next_request).min();
    }

    fn request_link_state(&mut self, index: NodeIndex, now: Instant) {
        let Some(node) = self.nodes.get_mut(index) else { return };
        node.need_lsr = false;
        node.lsr_sent = Some(now);
        node.lsr_retry.sent(now);
        let (id, retry) = (node.id().to_owned(), node.lsr_retry);
        self.send_lsr(&id);
        self.want_retry(retry);
    }
}

// === impl Hearsay ===

impl Hearsay {
    fn of(fields: Fields<'_>) -> Result<Option<Self>, Malformed> {
        Ok(match fields.int_or_zero(SYNC)? {
            0 => None,
            TO_NEIGHBOUR => Some(Self::FromNeighbour),
            _ => Some(Self::PassedOn),
        })
    }
}

/// Where hearsay goes, and its value of [`SYNC`].
fn hearsay_to(neighbour: Option<&str>) -> (String, i64) {
    match neighbour {
        Some(id) => (format!("amqp:/_topo/0/{id}/qdrouter"), TO_NEIGHBOUR),
        None => (RA_TO.to_owned(), TO_ALL),
    }
}

/// Peers with costs from 1 up.
fn parse_peers(peers: Fields<'_>) -> Option<Vec<(&str, u32)>> {
    peers
        .entries()
        .map(|(id, cost)| {
            let id = id.as_str().filter(|id| is_id(id))?;
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
