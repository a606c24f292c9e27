//! A network of routers in virtual time: only what routing protocol messages need of forwarding.

use super::watch::Watch;
use crate::index::{NeighbourIndex, NodeIndex, NodeSet};
use crate::mesh::{Mesh, MeshNode, MeshOutput, Pace, Timing, parse};
use crate::rng::SplitMix64;
use amqp_core::Instant;
use amqp_core::value::{Map, Value};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

pub(super) struct Net {
    pub(super) now: Instant,
    pub(super) routers: Vec<Router>,
    pub(super) links: Vec<Link>,
    pub(super) rng: SplitMix64,
    /// Longest delay of a link unless it is given, microseconds.
    latency: u64,
    queue: BTreeMap<(Instant, u64), Event>,
    serial: u64,
    /// Messages by opcode, where they begin.
    pub(super) counts: BTreeMap<&'static str, u64>,
    /// Messages that were sent over links.
    pub(super) transmitted: u64,
    /// Of those the HELLOs.
    pub(super) greetings: u64,
    /// Floods in which a router told of itself.
    pub(super) floods: u64,
    /// Looks for loops and for ways over what is lost.
    pub(super) watch: Watch,
}

pub(super) struct Router {
    pub(super) mesh: Mesh,
    pub(super) local: BTreeSet<String>,
    /// What the outputs said, by index.
    pub(super) nodes: BTreeMap<NodeIndex, Known>,
    /// The indices of those, by their numbers in [`Net::routers`].
    pub(super) indices: BTreeMap<usize, NodeIndex>,
    /// Its links by neighbour index, as places in [`Net::links`].
    pub(super) links: Vec<usize>,
    /// What it flooded of itself, by opcode.
    pub(super) told: BTreeMap<&'static str, u64>,
    /// Flooded messages that were forwarded, with the length of the way they came by. Real routers
    /// forward every copy; the copies that come by a longer way reach nobody new.
    flooded: HashMap<u64, usize>,
    /// When it is called next beside its ticks.
    timeout: Option<Instant>,
    /// It acts at ticks alone, as those of the C implementation do.
    pub(super) ticks: bool,
}

#[derive(Default)]
pub(super) struct Known {
    pub(super) id: String,
    /// Its place in [`Net::routers`].
    pub(super) router: usize,
    pub(super) next_hop: Option<NodeIndex>,
    link: Option<NeighbourIndex>,
    pub(super) cost: u32,
    pub(super) valid_origins: NodeSet,
    pub(super) reachable: bool,
    pub(super) addresses: BTreeSet<String>,
}

pub(super) struct Link {
    pub(super) ends: [usize; 2],
    /// What each end calls it.
    neighbours: [NeighbourIndex; 2],
    pub(super) cost: u32,
    /// Microseconds that a message takes.
    pub(super) delay: RangeInclusive<u64>,
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
    body: Rc<Map>,
    /// Numbers of the routers that it has passed.
    trace: Vec<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    Neighbours,
    All,
    One(usize),
}

impl Message {
    /// As opposed to what goes along the trees.
    fn is_flooded(&self) -> bool {
        self.target == Target::All && self.opcode != "MAU"
    }
}

impl Target {
    fn parse(to: &str) -> Self {
        match to.trim_start_matches("amqp:/").split('/').collect::<Vec<_>>()[..] {
            ["_local", "qdhello"] => Self::Neighbours,
            ["_topo", "0", "all", _] => Self::All,
            ["_topo", "0", id, _] => Self::One(number_of(id)),
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
            greetings: 0,
            floods: 0,
            watch: Watch::new(n),
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
                self.routers[r].mesh.link_gained(self.links[link].neighbours[end], syncs, self.now);
                self.drain(r);
            }
        }
    }

    /// A new link, which is up at once.
    pub(super) fn connect(&mut self, a: usize, b: usize, cost: u32) -> usize {
        self.connect_over(a, b, cost, 1..=self.latency + 1)
    }

    /// A new link that delays messages by so many microseconds.
    pub(super) fn connect_over(&mut self, a: usize, b: usize, cost: u32, delay: RangeInclusive<u64>) -> usize {
        let link = self.links.len();
        let ends = [a, b];
        let neighbours = ends.map(|end| {
            self.routers[end].links.push(link);
            NeighbourIndex::at(self.routers[end].links.len() - 1)
        });
        let last_arrival = [self.now; 2];
        self.links.push(Link { ends, neighbours, cost, delay, up: true, mute: false, generation: 0, last_arrival });
        self.tell_gained(link);
        link
    }

    /// Makes a link lose everything; neither end is told.
    pub(super) fn silence(&mut self, link: usize) {
        self.links[link].mute = true;
        self.links[link].ends.into_iter().for_each(|end| self.review(end));
    }

    pub(super) fn raise(&mut self, link: usize) {
        self.links[link].mute = false;
        self.links[link].ends.into_iter().for_each(|end| self.review(end));
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
        for side in 0..2 {
            let (end, neighbour) = (self.links[link].ends[side], self.links[link].neighbours[side]);
            self.routers[end].mesh.link_lost(neighbour, self.now);
            self.drain(end);
            self.review(end);
        }
    }

    /// Links of a router that are up.
    pub(super) fn links_of(&self, r: usize) -> Vec<usize> {
        self.routers[r].links.iter().copied().filter(|&link| self.links[link].up).collect()
    }

    /// Ends a router and starts it again with nothing but some addresses.
    pub(super) fn restart(&mut self, r: usize) {
        let links = self.links_of(r);
        links.iter().for_each(|&link| self.cut(link));
        let ticks = self.routers[r].ticks;
        let router = Router::new(self.new_mesh(r, ticks), ticks);
        let old = std::mem::replace(&mut self.routers[r], router);
        self.routers[r].links = old.links;
        self.review(r);
        for key in old.local.iter().take(2) {
            self.add_address(r, key);
        }
        links.iter().for_each(|&link| self.raise(link));
    }

    /// Others are to go round a router.
    pub(super) fn withdraw(&mut self, r: usize) {
        self.routers[r].mesh.withdraw(self.now);
        self.drain(r);
    }

    /// The router that comes first on the way from one to another.
    pub(super) fn first_hop(&self, from: usize, to: usize) -> Option<usize> {
        let mesh = &self.routers[from].mesh;
        let node = mesh.node(self.routers[from].index_of(to)?)?;
        let hop = node.next_hop().map_or(node.id(), |hop| mesh.node(hop).map_or("", MeshNode::id));
        Some(number_of(hop))
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
        let speaker = self.routers[self.links[link].other(r)].mesh.id().to_owned();
        let sender = message.body.get("id").and_then(Value::as_str).unwrap_or_default();
        if !self.routers[r].mesh.is_credible(message.opcode, sender, &speaker, self.now) {
            return;
        }
        let all = message.target == Target::All;
        let flooded = message.is_flooded();
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
        let mine = match message.target {
            Target::One(number) => number == r,
            Target::Neighbours | Target::All => true,
        };
        if mine {
            let from = Some((self.links[link].neighbour_of(r), self.links[link].cost));
            self.routers[r].mesh.handle_message(message.opcode, &message.body, from, self.now);
            self.drain(r);
            if !all {
                return;
            }
        }
        if let (Target::One(number), "MAR" | "MAU") = (message.target, message.opcode)
            && let Some(index) = self.routers[r].index_of(number)
        {
            self.routers[r].mesh.request_passes(index, self.now);
            self.drain(r);
            self.routers[r].mesh.answer_passes(message.opcode, &message.body, self.now);
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
        let mut rerouted = false;
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
                    let (told, body) = parse(&payload).expect("well-formed");
                    assert_eq!(told, opcode);
                    let router = &mut self.routers[r];
                    if target == Target::All && body.get("id").and_then(Value::as_str) == Some(router.mesh.id()) {
                        *router.told.entry(opcode).or_default() += 1;
                        self.floods += 1;
                    }
                    let (serial, body) = (self.serial, Rc::new(body));
                    self.forward(r, Message { serial, target, opcode, body, trace: Vec::new() });
                }
                MeshOutput::NodeAdded { node: index, id } => {
                    let router = number_of(&id);
                    let old = nodes.insert(index, Known { id, router, ..Known::default() });
                    assert!(old.is_none(), "{index} is in use");
                    self.routers[r].indices.insert(router, index);
                }
                MeshOutput::NodeRemoved { node: index } => {
                    rerouted = true;
                    let node = nodes.remove(&index).expect("a known node");
                    self.routers[r].indices.remove(&node.router);
                }
                MeshOutput::Route { node: index, next_hop, link, cost, valid_origins } => {
                    rerouted = true;
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
        if rerouted {
            self.review(r);
        }
    }

    /// Sends a message on where it must go from router `r`, by the rules of forwarding.
    fn forward(&mut self, r: usize, mut message: Message) {
        let router = &self.routers[r];
        // A message whose origin is not known is flooded only.
        let origin = message.trace.first().map_or(Some(NodeIndex::OWN), |number| router.index_of(*number));
        let flooded = message.is_flooded();
        let valid = |node: &Known| origin.is_some_and(|origin| node.valid_origins.contains(origin));
        let mut out: BTreeSet<NeighbourIndex> = match message.target {
            Target::Neighbours => (0..router.links.len()).map(NeighbourIndex::at).collect(),
            Target::One(number) => {
                let strict = matches!(message.opcode, "MAR" | "MAU");
                let node = router.known(number).filter(|node| !strict || valid(node));
                node.and_then(|node| router.towards(node)).into_iter().collect()
            }
            Target::All => {
                let wanted = router.nodes.values().filter(|node| flooded || valid(node));
                let towards = wanted.filter_map(|node| router.towards(node));
                // Those of the C implementation flood along their ways only.
                let everywhere = flooded && !router.ticks;
                towards.chain(router.nodes.values().filter(|_| everywhere).filter_map(|node| node.link)).collect()
            }
        };
        if message.target == Target::All {
            for node in message.trace.iter().filter_map(|number| router.known(*number)) {
                out.retain(|link| node.link != Some(*link));
            }
        }
        message.trace.push(r);
        for neighbour in out {
            let link = self.routers[r].links[neighbour.get()];
            if self.links[link].up {
                self.transmit(link, r, message.clone());
            }
        }
    }

    fn transmit(&mut self, link: usize, from: usize, message: Message) {
        self.transmitted += 1;
        self.greetings += u64::from(message.opcode == "HELLO");
        let l = &mut self.links[link];
        let delay = l.delay.start() + self.rng.below(l.delay.end() - l.delay.start() + 1);
        let delay = Duration::from_micros(delay);
        let side = usize::from(l.ends[0] == from);
        let arrival = (self.now + delay).max(l.last_arrival[side]);
        l.last_arrival[side] = arrival;
        let event = Event::Arrival { link, generation: l.generation, at: l.ends[side], message };
        self.push(arrival, event);
    }
}

/// The number of the router with this id.
pub(super) fn number_of(id: &str) -> usize {
    id.trim_start_matches('r').parse().expect("the id of a router")
}

impl Link {
    /// What `r`, which is at one end, calls it.
    fn neighbour_of(&self, r: usize) -> NeighbourIndex {
        self.neighbours[usize::from(self.ends[0] != r)]
    }

    /// The other end of it.
    pub(super) fn other(&self, r: usize) -> usize {
        self.ends[usize::from(self.ends[0] == r)]
    }

    pub(super) fn carries(&self) -> bool {
        self.up && !self.mute
    }

    /// The longest that it delays a message.
    pub(super) fn longest(&self) -> Duration {
        Duration::from_micros(*self.delay.end())
    }
}

impl Router {
    fn new(mesh: Mesh, ticks: bool) -> Self {
        Self {
            mesh,
            local: BTreeSet::new(),
            nodes: BTreeMap::new(),
            indices: BTreeMap::new(),
            links: Vec::new(),
            told: BTreeMap::new(),
            flooded: HashMap::new(),
            timeout: None,
            ticks,
        }
    }

    /// Its index for the router with this number, itself excepted as the mesh excepts it.
    pub(super) fn index_of(&self, number: usize) -> Option<NodeIndex> {
        self.indices.get(&number).copied()
    }

    pub(super) fn known(&self, number: usize) -> Option<&Known> {
        self.nodes.get(&self.index_of(number)?)
    }

    /// The neighbour on the way to a router.
    fn towards(&self, node: &Known) -> Option<NeighbourIndex> {
        match node.next_hop {
            Some(hop) => self.nodes.get(&hop)?.link,
            None => node.link,
        }
    }

    /// The link on the way to a router, as a place in [`Net::links`].
    pub(super) fn link_towards(&self, node: &Known) -> Option<usize> {
        self.towards(node).map(|neighbour| self.links[neighbour.get()])
    }
}
