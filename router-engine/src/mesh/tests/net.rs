//! A network of routers in virtual time: only what routing protocol messages need of forwarding.

use crate::index::{NeighbourIndex, NodeIndex, NodeSet};
use crate::mesh::path::Peers;
use crate::mesh::{Mesh, MeshOutput, Pace, Timing, parse};
use crate::rng::SplitMix64;
use amqp_core::Instant;
use bytes::Bytes;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

pub(super) struct Net {
    pub(super) now: Instant,
    pub(super) routers: Vec<Router>,
    pub(super) links: Vec<Link>,
    pub(super) rng: SplitMix64,
    /// Longest delay of a link, microseconds.
    latency: u64,
    queue: BTreeMap<(Instant, u64), Event>,
    serial: u64,
    /// Messages by opcode, where they begin.
    pub(super) counts: BTreeMap<&'static str, u64>,
    /// Messages that were sent over links.
    pub(super) transmitted: u64,
}

pub(super) struct Router {
    pub(super) mesh: Mesh,
    pub(super) local: BTreeSet<String>,
    /// What the outputs said, by index.
    pub(super) nodes: BTreeMap<NodeIndex, Known>,
    /// Flooded messages that were forwarded, with the length of the way they came by. Real routers
    /// forward every copy; the copies that come by a longer way reach nobody new.
    flooded: HashMap<u64, usize>,
    /// When it is called next beside its ticks.
    timeout: Option<Instant>,
    /// It acts at ticks alone, as those of the C implementation do.
    ticks: bool,
}

#[derive(Default)]
pub(super) struct Known {
    pub(super) id: String,
    next_hop: Option<NodeIndex>,
    link: Option<NeighbourIndex>,
    pub(super) cost: u32,
    valid_origins: NodeSet,
    pub(super) reachable: bool,
    pub(super) addresses: BTreeSet<String>,
}

pub(super) struct Link {
    pub(super) ends: [usize; 2],
    pub(super) cost: u32,
    pub(super) up: bool,
    /// Loses everything without anybody being told.
    pub(super) mute: bool,
    /// Messages of an earlier generation are lost.
    generation: u64,
    /// Messages arrive in order.
    last_arrival: [Instant; 2],
}

enum Event {
    Tick(usize),
    Timeout(usize),
    Arrival { link: usize, generation: u64, at: usize, message: Message },
}

#[derive(Clone)]
struct Message {
    serial: u64,
    target: Target,
    opcode: &'static str,
    payload: Bytes,
    trace: Vec<String>,
}

#[derive(Clone, PartialEq, Eq)]
enum Target {
    Neighbours,
    All,
    One(String),
}

impl Target {
    fn parse(to: &str) -> Self {
        match to.trim_start_matches("amqp:/").split('/').collect::<Vec<_>>()[..] {
            ["_local", "qdhello"] => Self::Neighbours,
            ["_topo", "0", "all", _] => Self::All,
            ["_topo", "0", id, _] => Self::One(id.to_owned()),
            _ => panic!("no routing protocol address: {to}"),
        }
    }
}

impl Net {
    /// `n` routers `r00`, `r01`, ... without links. Their ticks are out of phase unless `latency` is 0.
    pub(super) fn new(n: usize, seed: u64, latency: u64) -> Self {
        let mut net = Self {
            now: Instant::from_micros(100_000_000),
            routers: Vec::new(),
            links: Vec::new(),
            rng: SplitMix64::new(seed),
            latency,
            queue: BTreeMap::new(),
            serial: 0,
            counts: BTreeMap::new(),
            transmitted: 0,
        };
        for r in 0..n {
            let mesh = net.new_mesh(r, false);
            net.routers.push(Router::new(mesh, false));
            let phase = if latency == 0 { 0 } else { net.rng.below(1_000_000) };
            net.push(net.now + Duration::from_micros(phase), Event::Tick(r));
        }
        net
    }

    /// Runs until the next event of any router is through. Returns false when there is none before `end`.
    pub(super) fn step(&mut self, end: Instant) -> bool {
        let Some((&(at, _), _)) = self.queue.first_key_value().filter(|(key, _)| key.0 <= end) else { return false };
        self.run(at.since(self.now));
        true
    }

    fn new_mesh(&mut self, router: usize, ticks: bool) -> Mesh {
        self.serial += 1;
        let mut timing = Timing::default();
        if ticks {
            timing.pace = Pace { first: SECOND, longest: SECOND };
        }
        Mesh::new(&format!("r{router:02}"), i64::try_from(self.serial).unwrap_or(0), timing)
    }

    /// Makes a router that has no links yet one that acts at ticks alone.
    pub(super) fn make_ticking(&mut self, r: usize) {
        self.routers[r] = Router::new(self.new_mesh(r, true), true);
    }

    /// Both ends are told that a link is there.
    fn tell_gained(&mut self, link: usize) {
        for end in 0..2 {
            let [r, other] = [end, 1 - end].map(|end| self.links[link].ends[end]);
            if !self.routers[r].ticks {
                let syncs = !self.routers[other].ticks;
                self.routers[r].mesh.link_gained(NeighbourIndex::at(link), syncs, self.now);
                self.drain(r);
            }
        }
    }

    /// A new link, which is up at once.
    pub(super) fn connect(&mut self, a: usize, b: usize, cost: u32) -> usize {
        let last_arrival = [self.now; 2];
        self.links.push(Link { ends: [a, b], cost, up: true, mute: false, generation: 0, last_arrival });
        let link = self.links.len() - 1;
        self.tell_gained(link);
        link
    }

    pub(super) fn raise(&mut self, link: usize) {
        self.links[link].mute = false;
        if !std::mem::replace(&mut self.links[link].up, true) {
            self.tell_gained(link);
        }
    }

    /// Cuts a link; both ends notice.
    pub(super) fn cut(&mut self, link: usize) {
        if !std::mem::take(&mut self.links[link].up) {
            return;
        }
        self.links[link].generation += 1;
        for end in self.links[link].ends {
            self.routers[end].mesh.link_lost(NeighbourIndex::at(link), self.now);
            self.drain(end);
        }
    }

    /// Ends a router and starts it again with nothing but some addresses.
    pub(super) fn restart(&mut self, r: usize) {
        let links: Vec<usize> =
            (0..self.links.len()).filter(|&link| self.links[link].ends.contains(&r) && self.links[link].up).collect();
        links.iter().for_each(|&link| self.cut(link));
        let ticks = self.routers[r].ticks;
        let router = Router::new(self.new_mesh(r, ticks), ticks);
        let old = std::mem::replace(&mut self.routers[r], router);
        for key in old.local.iter().take(2) {
            self.add_address(r, key);
        }
        links.iter().for_each(|&link| self.raise(link));
    }

    pub(super) fn add_address(&mut self, r: usize, key: &str) {
        if self.routers[r].local.insert(key.to_owned()) {
            self.routers[r].mesh.local_added(key, 3, 0, self.now);
            self.drain(r);
        }
    }

    pub(super) fn remove_address(&mut self, r: usize, key: &str) {
        if self.routers[r].local.remove(key) {
            self.routers[r].mesh.local_removed(key, self.now);
            self.drain(r);
        }
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(entry) = self.queue.first_entry().filter(|e| e.key().0 <= end) {
            let ((at, _), event) = entry.remove_entry();
            self.now = at;
            match event {
                Event::Tick(r) => {
                    self.routers[r].mesh.tick(at);
                    self.drain(r);
                    // Timers of a real process are never quite exact.
                    let jitter = self.rng.below(self.latency.min(20_000) + 1);
                    self.push(at + SECOND + Duration::from_micros(jitter), Event::Tick(r));
                }
                Event::Timeout(r) => {
                    if self.routers[r].timeout == Some(at) {
                        self.routers[r].timeout = None;
                        self.routers[r].mesh.handle_timeout(at);
                        self.drain(r);
                    }
                }
                Event::Arrival { link, generation, at, message } => {
                    let l = &self.links[link];
                    if l.up && !l.mute && l.generation == generation {
                        self.arrive(at, link, message);
                    }
                }
            }
        }
        self.now = end;
    }

    fn push(&mut self, at: Instant, event: Event) {
        self.serial += 1;
        self.queue.insert((at, self.serial), event);
    }

    fn arrive(&mut self, r: usize, link: usize, message: Message) {
        let all = message.target == Target::All;
        let flooded = all && message.opcode != "MAU";
        let router = &self.routers[r];
        if (router.ticks || !flooded) && message.trace.len() > router.mesh.radius() as usize + 1 {
            return;
        }
        if flooded {
            let best = self.routers[r].flooded.entry(message.serial).or_insert(usize::MAX);
            if message.trace.len() >= *best {
                return;
            }
            *best = message.trace.len();
        }
        let mine = match &message.target {
            Target::One(id) => id == self.routers[r].mesh.id(),
            Target::Neighbours | Target::All => true,
        };
        if mine {
            let (opcode, body) = parse(&message.payload).expect("well-formed");
            assert_eq!(opcode, message.opcode);
            let from = Some((NeighbourIndex::at(link), self.links[link].cost));
            self.routers[r].mesh.handle_message(&opcode, &body, from, self.now);
            self.drain(r);
            if !all {
                return;
            }
        }
        if let (Target::One(id), "MAR" | "MAU") = (&message.target, message.opcode)
            && let Some(index) = self.routers[r].mesh.index_of(id)
        {
            self.routers[r].mesh.request_passes(index, self.now);
            self.drain(r);
            let (opcode, body) = parse(&message.payload).expect("well-formed");
            self.routers[r].mesh.answer_passes(&opcode, &body, self.now);
            self.drain(r);
        }
        self.forward(r, message);
    }

    fn drain(&mut self, r: usize) {
        self.take_outputs(r);
        let router = &mut self.routers[r];
        let due = router.mesh.poll_timeout().map(|due| due.max(self.now));
        if router.timeout != due {
            router.timeout = due;
            due.into_iter().for_each(|due| self.push(due, Event::Timeout(r)));
        }
    }

    fn take_outputs(&mut self, r: usize) {
        while let Some(output) = self.routers[r].mesh.poll_output() {
            let nodes = &mut self.routers[r].nodes;
            match output {
                MeshOutput::Send { to, opcode, payload } => {
                    let target = Target::parse(&to);
                    if self.routers[r].ticks && opcode == "LSU" && target == Target::All {
                        // They are asked.
                        continue;
                    }
                    self.serial += 1;
                    *self.counts.entry(opcode).or_default() += 1;
                    self.forward(r, Message { serial: self.serial, target, opcode, payload, trace: Vec::new() });
                }
                MeshOutput::NodeAdded { node: index, id } => {
                    let old = nodes.insert(index, Known { id, ..Known::default() });
                    assert!(old.is_none(), "{index} is in use");
                }
                MeshOutput::NodeRemoved { node: index } => drop(nodes.remove(&index).expect("a known node")),
                MeshOutput::Route { node: index, next_hop, link, cost, valid_origins } => {
                    let node = nodes.get_mut(&index).expect("a known node");
                    (node.next_hop, node.link, node.cost, node.valid_origins) = (next_hop, link, cost, valid_origins);
                }
                MeshOutput::MapAddress { node: index, key, .. } => {
                    assert!(nodes.get_mut(&index).expect("a known node").addresses.insert(key), "mapped twice");
                }
                MeshOutput::UnmapAddress { node: index, key } => {
                    assert!(nodes.get_mut(&index).expect("a known node").addresses.remove(&key), "not mapped");
                }
                MeshOutput::FlushNode { node: index } => nodes.get_mut(&index).expect("a known node").addresses.clear(),
                MeshOutput::Reachable { node: index, reachable } => {
                    let node = nodes.get_mut(&index).expect("a known node");
                    assert_ne!(node.reachable, reachable, "told twice");
                    node.reachable = reachable;
                }
                MeshOutput::Radius(_) | MeshOutput::TopologyChanged => {}
            }
        }
    }

    /// Sends a message on where it must go from router `r`, by the rules of forwarding.
    fn forward(&mut self, r: usize, mut message: Message) {
        let router = &self.routers[r];
        let mut out: BTreeSet<NeighbourIndex> = match &message.target {
            Target::Neighbours => (0..self.links.len()).map(NeighbourIndex::at).collect(),
            Target::One(id) => {
                let strict = matches!(message.opcode, "MAR" | "MAU");
                let origin = message.trace.first().and_then(|id| router.mesh.index_of(id)).unwrap_or(NodeIndex::OWN);
                let node = router.nodes.values().find(|n| n.id == *id);
                let valid = node.filter(|n| !strict || n.valid_origins.contains(origin));
                valid.and_then(|n| router.towards(n)).into_iter().collect()
            }
            Target::All => {
                // A message whose origin is not known is flooded only.
                let origin = message.trace.first().map_or(Some(NodeIndex::OWN), |id| router.mesh.index_of(id));
                let valid = |n: &&Known| origin.is_some_and(|o| n.valid_origins.contains(o));
                let wanted = router.nodes.values().filter(|n| message.opcode != "MAU" || valid(n));
                wanted.filter_map(|n| router.towards(n)).collect()
            }
        };
        if message.target == Target::All {
            for node in router.nodes.values().filter(|n| message.trace.contains(&n.id)) {
                out.retain(|link| node.link != Some(*link));
            }
        }
        message.trace.push(router.mesh.id().to_owned());
        for link in out.into_iter().map(NeighbourIndex::get) {
            if self.links[link].up && self.links[link].ends.contains(&r) {
                self.transmit(link, r, message.clone());
            }
        }
    }

    fn transmit(&mut self, link: usize, from: usize, message: Message) {
        let delay = Duration::from_micros(1 + self.rng.below(self.latency + 1));
        self.transmitted += 1;
        let l = &mut self.links[link];
        let side = usize::from(l.ends[0] == from);
        let arrival = (self.now + delay).max(l.last_arrival[side]);
        l.last_arrival[side] = arrival;
        let event = Event::Arrival { link, generation: l.generation, at: l.ends[side], message };
        self.push(arrival, event);
    }

    /// Routers that believe of another one that flows to an address of it can be carried both ways, which is wrong at
    /// this moment.
    pub(super) fn empty_promises(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (r, router) in self.routers.iter().enumerate() {
            for node in router.nodes.values().filter(|n| n.reachable) {
                let other = self.routers.iter().position(|o| o.mesh.id() == node.id).expect("exists");
                for key in &node.addresses {
                    if !self.carries(r, other, Some(key)) {
                        faults.push(format!("{}: {key} at {} is not reached", router.mesh.id(), node.id));
                    }
                }
                if !self.carries(other, r, None) {
                    faults.push(format!("{}: {} does not reach it", router.mesh.id(), node.id));
                }
            }
        }
        faults
    }

    /// Whether payload from `from` reaches `to`: by an address that it is known for everywhere on the way, or else by its
    /// own.
    fn carries(&self, from: usize, to: usize, key: Option<&str>) -> bool {
        let (origin, target) = (self.routers[from].mesh.id(), self.routers[to].mesh.id());
        let mut at = from;
        for _ in 0..self.routers.len() {
            if at == to {
                return true;
            }
            let router = &self.routers[at];
            let origin = if at == from { NodeIndex::OWN } else { router.mesh.index_of(origin).unwrap_or_default() };
            let node = router.nodes.values().find(|n| n.id == target && n.valid_origins.contains(origin));
            let known = node.filter(|n| key.is_none_or(|key| n.addresses.contains(key)));
            let Some(link) = known.and_then(|n| router.towards(n)).map(NeighbourIndex::get) else { return false };
            if !self.links[link].up || !self.links[link].ends.contains(&at) {
                return false;
            }
            at = self.links[link].ends[usize::from(self.links[link].ends[0] == at)];
        }
        false
    }

    /// Routers that there is a way to from `r`, and that do not know of its address or not that flows get there.
    pub(super) fn lacking(&self, r: usize, key: &str) -> Vec<String> {
        let (states, id) = (self.states(), self.routers[r].mesh.id());
        let reached = reached_from(id, &states);
        let knows = |router: &Router| {
            let mut nodes = router.nodes.values();
            nodes.any(|node| node.id == id && node.reachable && node.addresses.contains(key))
        };
        let others = self.routers.iter().filter(|o| o.mesh.id() != id && reached.contains(o.mesh.id()));
        others.filter(|o| !knows(o)).map(|o| format!("{} lacks {key} at {id}", o.mesh.id())).collect()
    }

    /// What is wrong with the network, as the outputs of all routers describe it.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = self.wrong_ways();
        faults.extend(self.wrong_addresses());
        faults
    }

    /// The link states as the links make them.
    fn states(&self) -> BTreeMap<String, Peers> {
        let ids: Vec<String> = self.routers.iter().map(|r| r.mesh.id().to_owned()).collect();
        let mut states: BTreeMap<String, Peers> = ids.iter().map(|id| (id.clone(), Peers::new())).collect();
        for link in self.links.iter().filter(|l| l.up && !l.mute) {
            for (a, b) in [(link.ends[0], link.ends[1]), (link.ends[1], link.ends[0])] {
                states.entry(ids[a].clone()).or_default().insert(ids[b].clone(), link.cost);
            }
        }
        states
    }

    /// The largest number of hops between two routers.
    pub(super) fn diameter(&self) -> u32 {
        let states = self.states();
        let all: Vec<(&str, &Peers)> = states.iter().map(|(id, peers)| (id.as_str(), peers)).collect();
        states.keys().map(|id| crate::mesh::path::compute(id, &all).radius).max().unwrap_or(0)
    }

    /// What routers know wrongly of links and ways.
    pub(super) fn wrong_ways(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let states = self.states();
        let all: Vec<(&str, &Peers)> = states.iter().map(|(id, peers)| (id.as_str(), peers)).collect();
        // Without the right link states the ways are wrong, or right by chance.
        for router in &self.routers {
            let reached = reached_from(router.mesh.id(), &states);
            let mut nodes = router.mesh.nodes().filter(|node| reached.contains(node.id()));
            let stale = nodes.find(|node| *node.peers() != states[node.id()]);
            if let Some(node) = stale {
                return vec![format!("{}: peers of {}: {:?}", router.mesh.id(), node.id(), node.peers())];
            }
        }
        for router in &self.routers {
            let id = router.mesh.id();
            if router.mesh.peers() != &states[id] {
                faults.push(format!("{id}: peers {:?} instead of {:?}", router.mesh.peers(), states[id]));
            }
            let paths = crate::mesh::path::compute(id, &all);
            if router.mesh.radius() != paths.radius {
                faults.push(format!("{id}: radius {} instead of {}", router.mesh.radius(), paths.radius));
            }
            for (other, path) in &paths.paths {
                let Some(node) = router.nodes.values().find(|n| n.id == *other) else {
                    faults.push(format!("{id}: does not know {other}"));
                    continue;
                };
                let next_hop = node.next_hop.map_or(*other, |hop| router.nodes[&hop].id.as_str());
                let origins: BTreeSet<&str> = router.mesh.ids_of(&node.valid_origins).collect();
                let want: BTreeSet<&str> = path.valid_origins.iter().copied().collect();
                if (next_hop, node.cost) != (path.next_hop, path.cost) || origins != want {
                    faults.push(format!("{id}: to {other} by {next_hop} ({}) from {origins:?}: {path:?}", node.cost));
                }
            }
        }
        faults
    }

    /// What routers know wrongly of what others advertise.
    fn wrong_addresses(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let states = self.states();
        let all: Vec<(&str, &Peers)> = states.iter().map(|(id, peers)| (id.as_str(), peers)).collect();
        for router in &self.routers {
            let id = router.mesh.id();
            let paths = crate::mesh::path::compute(id, &all);
            for node in router.mesh.nodes() {
                let truth = self.routers.iter().find(|o| o.mesh.id() == node.id()).expect("exists");
                if paths.paths.contains_key(node.id()) && node.sequences() != truth.mesh.sequences() {
                    faults.push(format!(
                        "{id}: {} at {:?}, not {:?}",
                        node.id(),
                        node.sequences(),
                        truth.mesh.sequences()
                    ));
                }
            }
            for node in router.nodes.values() {
                let truth =
                    self.routers.iter().find(|o| o.mesh.id() == node.id && paths.paths.contains_key(o.mesh.id()));
                let want = truth.map(|t| t.local.clone()).unwrap_or_default();
                if node.reachable != (truth.is_some() && !want.is_empty()) && !node.addresses.is_empty() {
                    faults.push(format!("{id}: {} is reachable: {}", node.id, node.reachable));
                }
                if node.addresses != want {
                    faults.push(format!("{id}: {} has {:?}, not {want:?}", node.id, node.addresses));
                }
            }
        }
        faults
    }
}

/// Routers that there is a way to.
fn reached_from<'a>(id: &'a str, states: &'a BTreeMap<String, Peers>) -> BTreeSet<&'a str> {
    let (mut reached, mut next) = (BTreeSet::from([id]), vec![id]);
    while let Some(at) = next.pop() {
        next.extend(states[at].keys().map(String::as_str).filter(|peer| reached.insert(peer)));
    }
    reached
}

impl Router {
    fn new(mesh: Mesh, ticks: bool) -> Self {
        let (local, nodes, flooded) = (BTreeSet::new(), BTreeMap::new(), HashMap::new());
        Self { mesh, local, nodes, flooded, timeout: None, ticks }
    }

    /// The neighbour on the way to a router.
    fn towards(&self, node: &Known) -> Option<NeighbourIndex> {
        match node.next_hop {
            Some(hop) => self.nodes.get(&hop)?.link,
            None => node.link,
        }
    }
}
