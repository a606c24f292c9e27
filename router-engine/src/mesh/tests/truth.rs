//! What a network must come to, and what is wrong with it.

use super::net::{Net, Router, number_of};
use crate::index::{NodeIndex, NodeSet};
use crate::mesh::path::{self, Peers};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What the links that there are make of a network.
pub(super) struct Truth {
    states: BTreeMap<String, Peers>,
    routers: Vec<Ways>,
    span: Duration,
}

/// What one router must find.
#[derive(Default)]
struct Ways {
    radius: u32,
    /// By the number of the destination.
    ways: BTreeMap<usize, Way>,
}

struct Way {
    next_hop: usize,
    cost: u32,
    valid_origins: Vec<usize>,
}

// === impl Truth ===

impl Truth {
    pub(super) fn of(net: &Net) -> Self {
        let ids: Vec<String> = net.routers.iter().map(|r| r.mesh.id().to_owned()).collect();
        let mut states: BTreeMap<String, Peers> = ids.iter().map(|id| (id.clone(), Peers::new())).collect();
        for link in net.links.iter().filter(|link| link.carries()) {
            for end in link.ends {
                states.entry(ids[end].clone()).or_default().insert(ids[link.other(end)].clone(), link.cost);
            }
        }
        let all: Vec<(&str, &Peers)> = states.iter().map(|(id, peers)| (id.as_str(), peers)).collect();
        let routers = ids.iter().map(|id| Ways::new(&path::compute(id, &all))).collect();
        Self { states, routers, span: span(net) }
    }

    /// The largest number of hops between two routers.
    pub(super) fn diameter(&self) -> u32 {
        self.routers.iter().map(|ways| ways.radius).max().unwrap_or(0)
    }

    /// The longest that a message is under way between two routers, on any way of least cost: what is called the diameter
    /// times the delay where all links are alike.
    pub(super) const fn span(&self) -> Duration {
        self.span
    }

    /// What router `r` knows wrongly of links and ways. Without the right link states the ways are wrong, or right by chance.
    pub(super) fn wrong_ways<'a>(&'a self, net: &'a Net, r: usize) -> impl Iterator<Item = String> + 'a {
        self.stale_states(r, &net.routers[r]).chain(self.wrong_ways_of(r, &net.routers[r]))
    }

    fn stale_states<'a>(&'a self, r: usize, router: &'a Router) -> impl Iterator<Item = String> + 'a {
        let reached = router.mesh.nodes().filter(move |node| self.reaches(r, number_of(node.id())));
        let stale = reached.filter(|node| *node.peers() != self.states[node.id()]);
        stale.map(move |node| format!("{}: peers of {}: {:?}", router.mesh.id(), node.id(), node.peers()))
    }

    fn wrong_ways_of<'a>(&'a self, r: usize, router: &'a Router) -> impl Iterator<Item = String> + 'a {
        let (id, truth) = (router.mesh.id(), &self.routers[r]);
        let (peers, radius) = (&self.states[id], router.mesh.radius());
        let own =
            (router.mesh.peers() != peers).then(|| format!("{id}: peers {:?}, not {peers:?}", router.mesh.peers()));
        let radius = (radius != truth.radius).then(|| format!("{id}: radius {radius}, not {}", truth.radius));
        let ways = truth.ways.iter().filter_map(move |(to, way)| way.fault(router, *to));
        own.into_iter().chain(radius).chain(ways)
    }

    fn reaches(&self, from: usize, to: usize) -> bool {
        self.routers[from].ways.contains_key(&to)
    }

    /// What router `r` knows wrongly of what others advertise.
    pub(super) fn wrong_addresses<'a>(&'a self, net: &'a Net, r: usize) -> impl Iterator<Item = String> + 'a {
        self.old_sequences(net, r).chain(self.wrong_addresses_of(net, r))
    }

    fn old_sequences<'a>(&'a self, net: &'a Net, r: usize) -> impl Iterator<Item = String> + 'a {
        let mesh = &net.routers[r].mesh;
        let reached = mesh.nodes().map(|node| (node, number_of(node.id()))).filter(move |(_, to)| self.reaches(r, *to));
        let with_truth = reached.map(|(node, to)| (node, net.routers[to].mesh.sequences()));
        let old = with_truth.filter(|(node, want)| node.sequences() != *want);
        old.map(|(node, want)| format!("{}: {} at {:?}, not {want:?}", mesh.id(), node.id(), node.sequences()))
    }

    fn wrong_addresses_of<'a>(&'a self, net: &'a Net, r: usize) -> impl Iterator<Item = String> + 'a {
        let router = &net.routers[r];
        router.nodes.values().filter_map(move |node| {
            let (id, none) = (router.mesh.id(), BTreeSet::new());
            let reached = self.reaches(r, node.router);
            let want = if reached { &net.routers[node.router].local } else { &none };
            if node.addresses != *want {
                return Some(format!("{id}: {} has {:?}, not {want:?}", node.id, node.addresses));
            }
            let wrong = node.reachable != reached && !want.is_empty();
            wrong.then(|| format!("{id}: {} is reachable: {}", node.id, node.reachable))
        })
    }

    /// Whether router `r` has a way to `at`, and does not know of its address or not that flows get there.
    pub(super) fn lacks(&self, net: &Net, r: usize, at: usize, key: &str) -> bool {
        let knows = net.routers[r].known(at).is_some_and(|node| node.reachable && node.addresses.contains(key));
        self.reaches(r, at) && !knows
    }
}

// === impl Ways ===

impl Ways {
    fn new(paths: &path::Paths<'_>) -> Self {
        let ways = paths.paths.iter().map(|(id, path)| {
            let valid_origins = path.valid_origins.iter().map(|id| number_of(id)).collect();
            (number_of(id), Way { next_hop: number_of(path.next_hop), cost: path.cost, valid_origins })
        });
        Self { radius: paths.radius, ways: ways.collect() }
    }
}

// === impl Way ===

impl Way {
    /// What a router knows wrongly of its way to another one.
    fn fault(&self, router: &Router, to: usize) -> Option<String> {
        let id = router.mesh.id();
        let Some(node) = router.known(to) else { return Some(format!("{id}: does not know r{to:02}")) };
        let next_hop = node.next_hop.map_or(to, |hop| router.nodes[&hop].router);
        let origins = self.valid_origins.iter().filter_map(|origin| router.index_of(*origin));
        let origins: NodeSet = origins.chain([NodeIndex::OWN]).collect();
        let right = (next_hop, node.cost) == (self.next_hop, self.cost) && node.valid_origins == origins;
        (!right).then(|| {
            let origins: Vec<&str> = router.mesh.ids_of(&node.valid_origins).collect();
            let Self { next_hop: want, cost, valid_origins } = self;
            format!(
                "{id}: to r{to:02} by r{next_hop:02} at {} from {origins:?}, not by r{want:02} at {cost} from {valid_origins:?}",
                node.cost
            )
        })
    }
}

/// See [`Truth::span`].
fn span(net: &Net) -> Duration {
    (0..net.routers.len()).map(|root| longest_from(net, root)).max().unwrap_or_default()
}

fn longest_from(net: &Net, root: usize) -> Duration {
    let mut costs = vec![u32::MAX; net.routers.len()];
    costs[root] = 0;
    let mut next = BTreeSet::from([(0, root)]);
    let mut time = vec![Duration::ZERO; net.routers.len()];
    while let Some((cost, at)) = next.pop_first() {
        for link in net.routers[at].links.iter().map(|link| &net.links[*link]).filter(|link| link.carries()) {
            let (to, further) = (link.other(at), cost + link.cost);
            if further < costs[to] {
                next.remove(&(costs[to], to));
                (costs[to], time[to]) = (further, Duration::ZERO);
                next.insert((further, to));
            }
            if further == costs[to] {
                time[to] = time[to].max(time[at] + link.longest());
            }
        }
    }
    time.into_iter().max().unwrap_or_default()
}

// === impl Net ===

impl Net {
    /// What is wrong with the network, as the outputs of all routers describe it.
    pub(super) fn faults(&self) -> Vec<String> {
        let truth = Truth::of(self);
        let all = || 0..self.routers.len();
        let ways = all().flat_map(|r| truth.wrong_ways(self, r));
        ways.chain(all().flat_map(|r| truth.wrong_addresses(self, r))).take(20).collect()
    }

    /// Routers that believe of another one that flows to an address of it can be carried both ways, which is wrong at
    /// this moment.
    pub(super) fn empty_promises(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (r, router) in self.routers.iter().enumerate() {
            for node in router.nodes.values().filter(|n| n.reachable) {
                for key in &node.addresses {
                    if !self.flows(r, node.router, Some(key)) {
                        faults.push(format!("{}: {key} at {} is not reached", router.mesh.id(), node.id));
                    }
                }
                if !self.flows(node.router, r, None) {
                    faults.push(format!("{}: {} does not reach it", router.mesh.id(), node.id));
                }
            }
        }
        faults
    }

    /// Whether payload from `from` reaches `to`: by an address that it is known for everywhere on the way, or else by its
    /// own.
    fn flows(&self, from: usize, to: usize, key: Option<&str>) -> bool {
        let mut at = from;
        for _ in 0..self.routers.len() {
            if at == to {
                return true;
            }
            let router = &self.routers[at];
            let origin = if at == from { NodeIndex::OWN } else { router.index_of(from).unwrap_or_default() };
            let node = router.known(to).filter(|node| node.valid_origins.contains(origin));
            let node = node.filter(|node| key.is_none_or(|key| node.addresses.contains(key)));
            let Some(link) = node.and_then(|node| router.link_towards(node)) else { return false };
            if !self.links[link].up {
                return false;
            }
            at = self.links[link].other(at);
        }
        false
    }
}
