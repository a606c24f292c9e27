//! The control plane of interior routers: who the neighbours are, what the network looks like, and
//! which router has consumers for which address (spec `inter-router-protocol.md` sections 6 to 8).
//!
//! [`Mesh`] is plain state: messages, link events and time go in, [`MeshOutput`]s are drained after each
//! call. Changes are computed and told within milliseconds, ever more seldom while there is no end of
//! them ([`Pace`]); a tick of one second is for what is periodic, and for what becomes too old. It knows nothing of connections beyond a neighbour index and a cost, nor
//! of how messages are forwarded; messages for other routers never get here.
//!
//! ```text
//!   HELLO --> neighbours --> own link state --RA--> others ask with LSR, answered with LSU
//!                                  |                      |
//!                                  '----> link states <---'
//!                                              | path::compute
//!                                              v
//!                                Route per node, unreachable nodes flushed
//!   local addresses --MAU (differential)--> address maps of others; gaps and RA --> MAR --> MAU (absolute)
//! ```

mod describe;
mod fields;
mod hello;
mod link_state;
mod mobile_sync;
mod node;
pub mod path;
mod throttle;
mod timing;
mod wire;

#[cfg(test)]
mod tests;

pub use node::MeshNode;
pub use throttle::Pace;
pub use timing::Timing;
pub use wire::parse;

use crate::index::{MAX_ROUTERS, NeighbourIndex, NodeIndex, NodeSet};
use crate::log;
use crate::log::{Level, LogModule, SparingLately};
use amqp_core::Instant;
use amqp_core::value::Map;
use bytes::Bytes;
use fields::{Fields, Malformed};
use node::{NodeTable, Route};
use std::collections::{BTreeSet, VecDeque};
use throttle::Throttle;

/// The treatment hint of an address for which the other router gave none.
pub const NO_HINT: u8 = u8::MAX;

/// Version of HELLO, RA, LSR and LSU.
pub const LINK_STATE_VERSION: i64 = 1;

/// Version of MAU and MAR.
pub const MOBILE_VERSION: i64 = 2;

/// The control plane of one interior router.
#[derive(Debug)]
pub struct Mesh {
    id: String,
    instance: i64,
    timing: Timing,
    nodes: NodeTable,
    hello: hello::Hello,
    ls: link_state::LinkState,
    mobile: mobile_sync::MobileSync,
    /// When requests are to be looked through.
    requests_due: Option<Instant>,
    /// There may be routes that the owner was not told.
    unpublished: bool,
    /// Routers whose protocol version was complained about; bounded by [`MAX_ROUTERS`].
    warned: BTreeSet<String>,
    /// The table was full and that was logged.
    full_reported: bool,
    /// Lines about what others say.
    complaints: SparingLately,
    output: VecDeque<MeshOutput>,
}

/// What the owner of a [`Mesh`] must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MeshOutput {
    /// Send a message, pre-settled, on control links.
    Send {
        /// The address to route by: `qdhello` goes out of every control link, `all` is flooded (RA)
        /// or multicast (MAU), others go to one router.
        to: String,
        /// `HELLO`, `RA`, `LSR`, `LSU`, `MAR` or `MAU`.
        opcode: &'static str,
        /// The message without a router annotations section.
        payload: Bytes,
    },
    /// A remote router is known now.
    NodeAdded {
        /// Its index.
        node: NodeIndex,
        /// Its router id.
        id: String,
    },
    /// A remote router is forgotten, and with it its routes and all that it advertised.
    NodeRemoved {
        /// Its index, free for another router from now on.
        node: NodeIndex,
    },
    /// The way to a remote router changed. Told only when something is different.
    Route {
        /// The router.
        node: NodeIndex,
        /// The first router on the way; none when the way is its own link.
        next_hop: Option<NodeIndex>,
        /// Its own link, when it is a neighbour.
        link: Option<NeighbourIndex>,
        /// Path cost.
        cost: u32,
        /// Routers whose messages for `node` come through here, this one among them.
        /// Empty until a way is found for the first time.
        valid_origins: NodeSet,
    },
    /// From now on a flow to a remote router can be carried both ways, as far as that can be known, or not any more.
    Reachable {
        /// The router.
        node: NodeIndex,
        /// At first no router is.
        reachable: bool,
    },
    /// The largest number of hops to a reachable router.
    Radius(u32),
    /// A router has consumers for an address. Repeated when its edge mesh changed, see [`Mesh::edge_mesh`].
    MapAddress {
        /// The router.
        node: NodeIndex,
        /// The address key, of class M, N or H.
        key: String,
        /// Treatment code 0..=4 used by that router, or [`NO_HINT`].
        treatment: u8,
    },
    /// A router has no consumers for an address any more.
    UnmapAddress {
        /// The router.
        node: NodeIndex,
        /// The address key.
        key: String,
    },
    /// Nothing is known any more of the consumers of a router.
    FlushNode {
        /// The router.
        node: NodeIndex,
    },
    /// The topology changed at the time of this call.
    TopologyChanged,
}

// === impl Mesh ===

impl Mesh {
    /// The control plane of the router `id`; `instance` is its boot time in seconds since the Unix epoch.
    #[must_use]
    pub fn new(id: &str, instance: i64, timing: Timing) -> Self {
        log!(
            LogModule::Router,
            Level::Info,
            "Router Engine Instantiated: id={id} instance={instance} max_routers={MAX_ROUTERS}"
        );
        Self {
            id: id.to_owned(),
            instance,
            timing,
            nodes: NodeTable::default(),
            hello: hello::Hello::new(timing.pace),
            ls: link_state::LinkState::new(timing.pace),
            mobile: mobile_sync::MobileSync::new(timing.pace),
            requests_due: None,
            unpublished: false,
            warned: BTreeSet::new(),
            full_reported: false,
            complaints: SparingLately::default(),
            output: VecDeque::new(),
        }
    }

    /// Takes a routing protocol message for this router. `from` is neighbour index and effective cost
    /// of the control connection that it came in on; a HELLO without it is ignored. Unknown
    /// opcodes are ignored, malformed bodies logged and dropped (spec 6.1).
    pub fn handle_message(&mut self, opcode: &str, body: &Map, from: Option<(NeighbourIndex, u32)>, now: Instant) {
        let fields = Fields::new(body);
        let result = match opcode {
            "HELLO" => self.on_hello(fields, from, now),
            "RA" => self.on_ra(fields, now),
            "LSR" => self.on_lsr(fields),
            "LSU" => self.on_lsu(fields, now),
            "MAR" => self.on_mar(fields, now),
            "MAU" => self.on_mau(fields, true, now),
            _ => return,
        };
        if let Err(Malformed { module, what }) = result
            && self.complains(now)
        {
            let id = fields.id().unwrap_or("unknown");
            match what {
                Some(what) => log!(module, Level::Error, "Received malformed {opcode} from {id}: {what}"),
                None => log!(module, Level::Error, "Received malformed {opcode} from {id}"),
            }
        }
        self.publish_routes();
        self.send_due_requests(now);
        self.check_invariants();
    }

    /// Whether the log is to tell of one more thing that is wrong with what others say.
    pub fn complains(&mut self, now: Instant) -> bool {
        self.complaints.tells(now)
    }

    /// Whether a message of the router `speaker`, or passed on by it, may have come from the router that it names as its
    /// sender, `id`. HELLOs are not passed on, and nobody else tells this router of itself. A neighbour that no other way
    /// leads to as cheaply as its own link tells of itself by that link, while it says HELLO there: what comes by other ways
    /// is a copy, or a lie. To the neighbour its link may cost more than to this router, and then it is neither; so that
    /// holds of one only that does tell of itself by its link, and that answers there.
    pub fn is_credible(&mut self, opcode: &str, id: &str, speaker: &str, now: Instant) -> bool {
        if opcode == "HELLO" || id == self.id {
            return opcode == "HELLO" && id == speaker;
        }
        let peers = &self.ls.peers;
        let is_nearest = peers.get(id).is_some_and(|cost| peers.values().all(|other| cost <= other));
        let (silence, patience) = (self.timing.hello_interval * 3 / 2, self.timing.hello_max_age);
        let overdue = self.timing.ra_interval * 3 / 2;
        let Some(node) = self.nodes.by_id_mut(id) else { return true };
        if id == speaker {
            (node.spoke, node.unanswered) = (Some(now), None);
            return true;
        }
        let tells = node.spoke.is_some_and(|spoke| now.since(spoke) <= overdue);
        if !is_nearest || !tells || now.since(node.refreshed) > silence {
            return true;
        }
        node.missed = true;
        if !node.is_behind() {
            node.unanswered = None;
            return false;
        }
        now.since(*node.unanswered.get_or_insert(now)) > patience
    }

    /// A request for the addresses of a router, or an answer to it, passes through here on its way to that router. Who
    /// asked may send flows to these addresses as soon as it has the answer, so this router must know them by then: it
    /// asks too, ahead of the request, if there is anything that it does not know; not more than a few times in a while.
    pub fn request_passes(&mut self, index: NodeIndex, now: Instant) {
        let Some(node) = self.nodes.get_mut(index) else { return };
        if !node.takes_request_ahead(now) {
            return;
        }
        let (id, have_seq) = (node.id().to_owned(), node.have_seq());
        self.send_mar(&id, have_seq, now);
    }

    /// The control links of a neighbour are there. One that `syncs` is of this implementation: it takes from us what the
    /// others tell, and passes it on.
    pub fn link_gained(&mut self, link: NeighbourIndex, syncs: bool, now: Instant) {
        self.hello.syncing.set(link, syncs);
        self.hello.greeting.note(now);
    }

    /// The control links of a neighbour are gone.
    pub fn link_lost(&mut self, link: NeighbourIndex, now: Instant) {
        self.hello.syncing.remove(link);
        // Perhaps there is another link to the same neighbour.
        self.hello.greeting.note(now);
        self.on_link_lost(link, now);
        self.publish_routes();
        self.check_invariants();
    }

    /// When [`Self::handle_timeout`] is to be called, if nothing else happens before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let changes = [&self.hello.greeting, &self.ls.changes, &self.mobile.changes];
        changes.into_iter().filter_map(Throttle::due).chain(self.requests_due).min()
    }

    /// Acts on what changed as far as it is time to, and repeats requests. Address changes are advertised after the change
    /// of the topology, and before the router advertisement that tells of them.
    pub fn handle_timeout(&mut self, now: Instant) {
        if self.hello.greeting.take_due(now) {
            self.send_hello();
        }
        let (links, addresses) = (self.ls.changes.take_due(now), self.mobile.changes.take_due(now));
        self.tell_changes(links, addresses, now);
        self.send_due_requests(now);
        self.check_invariants();
    }

    /// Acts on changes of the links, and tells of them and of those of addresses.
    fn tell_changes(&mut self, links: bool, addresses: bool, now: Instant) {
        let links_changed = links && self.settle(now);
        let addresses_changed = addresses && self.send_address_changes();
        if links_changed || addresses_changed {
            self.send_ra(now);
        }
        self.publish_routes();
    }

    /// The 1-second tick, for all that is periodic and for what becomes too old (spec 6.7).
    pub fn tick(&mut self, now: Instant) {
        self.expire_hellos(now);
        if self.hello_is_due(now) {
            self.send_periodic_hello(now);
        }
        if self.ra_is_due(now) {
            self.send_ra(now);
        }
        self.expire_nodes(now);
        self.flush_unreachable(now);
        self.use_room(now);
        self.publish_routes();
        self.check_invariants();
    }

    /// Takes over what an answer tells that passes through here on its way to who asked: who asked may send flows to these
    /// addresses as soon as it has the answer.
    pub fn answer_passes(&mut self, opcode: &str, body: &Map, now: Instant) {
        if opcode == "MAU" {
            self.overhear_mau(Fields::new(body), now);
            self.publish_routes();
            self.check_invariants();
        }
    }

    fn send_due_requests(&mut self, now: Instant) {
        if self.requests_due.is_some_and(|due| due <= now) {
            self.send_requests(now);
        }
    }

    /// The next thing to do; to be called until it returns `None` after each other call.
    pub fn poll_output(&mut self) -> Option<MeshOutput> {
        self.output.pop_front()
    }

    /// The router id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Boot time in seconds since the Unix epoch.
    #[must_use]
    pub const fn instance(&self) -> i64 {
        self.instance
    }

    /// Known remote routers, in the order of their indices.
    pub fn nodes(&self) -> impl Iterator<Item = &MeshNode> {
        self.nodes.iter()
    }

    /// The remote router with this index.
    #[must_use]
    pub fn node(&self, index: NodeIndex) -> Option<&MeshNode> {
        self.nodes.get(index)
    }

    /// The index of a known remote router.
    #[must_use]
    pub fn index_of(&self, id: &str) -> Option<NodeIndex> {
        self.nodes.index_of(id)
    }

    /// Own neighbours with the cost of the link to each.
    #[must_use]
    pub const fn peers(&self) -> &path::Peers {
        &self.ls.peers
    }

    /// Ids of the remote routers in a set, such as valid origins, in the order of their indices.
    pub fn ids_of<'a>(&'a self, set: &'a NodeSet) -> impl Iterator<Item = &'a str> {
        self.nodes.iter().filter(|n| set.contains(n.index())).map(MeshNode::id)
    }

    /// The largest number of hops to a reachable router.
    #[must_use]
    pub const fn radius(&self) -> u32 {
        self.ls.radius
    }

    /// When the topology changed last, if it ever did.
    #[must_use]
    pub const fn last_topology_change(&self) -> Option<Instant> {
        self.ls.last_change
    }

    /// Sequence number of the own link state, and of the own mobile addresses.
    #[must_use]
    pub const fn sequences(&self) -> (i64, i64) {
        (self.ls.seq, self.mobile.seq)
    }

    fn send(&mut self, to: String, opcode: &'static str, body: wire::Body) {
        let payload = body.message(&to, opcode);
        self.output.push_back(MeshOutput::Send { to, opcode, payload });
    }

    /// Whether the version of a message is understood; complains once per router when it is not.
    fn version_is_known(&mut self, opcode: &str, id: &str, version: i64, known: i64, module: LogModule) -> bool {
        if version <= known {
            return true;
        }
        if self.warned.len() < MAX_ROUTERS && self.warned.insert(id.to_owned()) {
            log!(module, Level::Warning, "Received {opcode} at protocol version {version} from {id}.  Ignoring.");
        }
        false
    }

    /// The node of a remote router, which is created when it is unknown and there is room.
    fn node_or_new(&mut self, id: &str, instance: Option<i64>, version: i64) -> Option<NodeIndex> {
        if let Some(index) = self.nodes.index_of(id) {
            return Some(index);
        }
        let index = self.nodes.insert(id, instance, version);
        if let Some(index) = index {
            log!(LogModule::Router, Level::Debug, "Node {id} created: maskbit={index}");
            self.output.push_back(MeshOutput::NodeAdded { node: index, id: id.to_owned() });
        } else if !std::mem::replace(&mut self.full_reported, true) {
            log!(LogModule::RouterLs, Level::Error, "Exceeded maximum router count: {id} is ignored");
        }
        index
    }

    fn remove_node(&mut self, index: NodeIndex, now: Instant) {
        if let Some(node) = self.nodes.remove(index) {
            log!(LogModule::Router, Level::Debug, "Node {} deleted", node.id());
            self.full_reported = false;
            self.unpublished = true;
            self.ls.gained.remove(index);
            self.output.push_back(MeshOutput::NodeRemoved { node: index });
            self.ask_truncated(now);
        }
    }

    /// There is a place now for a router or a link that was told of in vain.
    fn ask_truncated(&mut self, now: Instant) {
        for node in self.nodes.iter_mut().filter(|node| node.truncated) {
            (node.ls_seq, node.need_lsr, node.truncated) = (0, true, false);
        }
        self.want_requests(now);
    }

    fn publish_routes(&mut self) {
        if !std::mem::take(&mut self.unpublished) {
            return;
        }
        let changes: Vec<_> = self.nodes.iter_mut().filter_map(MeshNode::take_route_change).collect();
        for (index, before, now) in changes {
            self.log_route(index, before.as_ref(), &now);
            self.output.push_back(now.output(index));
        }
        self.output.extend(self.nodes.iter_mut().filter_map(MeshNode::take_reachable_change));
    }

    fn log_route(&self, index: NodeIndex, before: Option<&Route>, now: &Route) {
        let id = self.nodes.get(index).map_or("", MeshNode::id);
        let (module, level) = (LogModule::Router, Level::Debug);
        match now.next_hop {
            hop if hop == before.and_then(|route| route.next_hop) => {}
            Some(hop) => {
                let hop = self.nodes.get(hop).map_or("", MeshNode::id);
                log!(module, level, "Node {id} next hop set: {hop}");
            }
            None => log!(module, level, "Node {id} next hop removed"),
        }
        if before.map_or(&NodeSet::EMPTY, |route| &route.valid_origins) != &now.valid_origins {
            log!(module, level, "Node {id} valid origins: {}", describe::ids(|| self.ids_of(&now.valid_origins)));
        }
        if before.map_or(0, |route| route.cost) != now.cost {
            log!(module, level, "Node {id} cost: {}", now.cost);
        }
    }

    fn check_invariants(&self) {
        if cfg!(debug_assertions) {
            self.nodes.check_invariants();
            self.mobile.check_invariants();
            debug_assert!(!self.ls.peers.contains_key(&self.id), "a router is not its own neighbour");
            let is_due = |at| self.requests_due.is_some_and(|due| due <= at) || self.ls.changes.due().is_some();
            debug_assert!(self.nodes.iter().filter_map(MeshNode::next_request).all(is_due), "a request is forgotten");
        }
    }
}
