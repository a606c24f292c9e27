//! Shortest paths and valid origins (spec `inter-router-protocol.md` section 7).
//!
//! Multicast reaches every router once only if all routers compute identical trees; the
//! tie-break is therefore part of the protocol.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

#[cfg(test)]
mod tests;

/// Neighbours of a router by id, with the cost of the link to them.
pub type Peers = BTreeMap<String, u32>;

/// The way from this router to another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path<'a> {
    /// The first router on the way; the destination itself when it is reached directly.
    pub next_hop: &'a str,
    /// Sum of the link costs.
    pub cost: u32,
    /// Routers whose messages for the destination come through this router; self is not listed.
    pub valid_origins: Vec<&'a str>,
}

/// What one computation yields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Paths<'a> {
    /// By destination; only reachable routers.
    pub paths: BTreeMap<&'a str, Path<'a>>,
    /// Routers that have a link state or are named in one, and cannot be reached.
    pub unreachable: BTreeSet<&'a str>,
    /// Reachable routers that have a way back to this one.
    pub mutual: BTreeSet<&'a str>,
    /// The largest number of hops on a shortest way to or from a reachable router, ours or another of the same cost: the
    /// routers on the way of a message choose among equals by themselves, and may take it along the longest.
    pub radius: u32,
}

/// Computes the ways from `own` to all routers in `states`, which has the link state of each,
/// including that of `own`.
#[must_use]
pub fn compute<'a>(own: &'a str, states: &[(&'a str, &'a Peers)]) -> Paths<'a> {
    let graph = Graph::new(own, states);
    let tree = graph.tree(graph.own);
    let mut result = Paths { radius: graph.radius(&tree), ..Paths::default() };
    let mut origins: Vec<Vec<&'a str>> = vec![Vec::new(); graph.ids.len()];
    let mutual = graph.mutual(&tree);
    // What comes by one link and has no other to go on by does not come through here.
    let leads_on = graph.edges[graph.own].len() > 1;
    for &origin in mutual.iter().filter(|_| leads_on) {
        let through = graph.tree(origin).behind(graph.own);
        for (destination, _) in through.iter().enumerate().filter(|(_, through)| **through) {
            origins[destination].push(graph.ids[origin]);
        }
    }
    result.mutual = mutual.into_iter().map(|index| graph.ids[index]).collect();
    let first_hops = tree.first_hops();
    for (index, &id) in graph.ids.iter().enumerate() {
        match (tree.cost[index], first_hops[index]) {
            _ if index == graph.own => {}
            (Some(cost), Some(hop)) => {
                let cost = u32::try_from(cost).unwrap_or(u32::MAX);
                let valid_origins = std::mem::take(&mut origins[index]);
                result.paths.insert(id, Path { next_hop: graph.ids[hop], cost, valid_origins });
            }
            _ => {
                result.unreachable.insert(id);
            }
        }
    }
    result
}

/// Reachable routers that have a way back to `own`, as in [`Paths::mutual`].
#[must_use]
pub fn mutual<'a>(own: &'a str, states: &[(&'a str, &'a Peers)]) -> BTreeSet<&'a str> {
    let graph = Graph::new(own, states);
    graph.mutual(&graph.tree(graph.own)).into_iter().map(|index| graph.ids[index]).collect()
}

/// Routers by index, in the order of their ids: comparing indices is comparing ids.
#[derive(Debug)]
struct Graph<'a> {
    ids: Vec<&'a str>,
    own: usize,
    edges: Vec<Vec<(usize, u32)>>,
}

/// A shortest path tree.
#[derive(Debug)]
struct Tree {
    root: usize,
    cost: Vec<Option<u64>>,
    /// The router before each on the way from the root.
    before: Vec<usize>,
    /// Reachable routers in the order in which they were settled: each after the one before it.
    order: Vec<usize>,
}

// === impl Graph ===

impl<'a> Graph<'a> {
    fn new(own: &'a str, states: &[(&'a str, &'a Peers)]) -> Self {
        let ids: BTreeSet<&str> = states
            .iter()
            .flat_map(|(id, peers)| std::iter::once(*id).chain(peers.keys().map(String::as_str)))
            .chain([own])
            .collect();
        let ids: Vec<&str> = ids.into_iter().collect();
        let index: BTreeMap<&str, usize> = ids.iter().enumerate().map(|(i, id)| (*id, i)).collect();
        let mut edges: Vec<Vec<(usize, u32)>> = vec![Vec::new(); ids.len()];
        let mut stateless = vec![true; ids.len()];
        for (id, _) in states {
            stateless[index[id]] = false;
        }
        for (id, peers) in states {
            let from = index[id];
            for (peer, cost) in *peers {
                let to = index[peer.as_str()];
                edges[from].push((to, *cost));
                if stateless[to] {
                    edges[to].push((from, 1));
                }
            }
        }
        Self { own: index[own], ids, edges }
    }

    fn tree(&self, root: usize) -> Tree {
        let mut tree = Tree {
            root,
            cost: vec![None; self.ids.len()],
            before: vec![root; self.ids.len()],
            order: Vec::with_capacity(self.ids.len()),
        };
        let mut settled = vec![false; self.ids.len()];
        let mut queue = BinaryHeap::from([Reverse((0_u64, root))]);
        tree.cost[root] = Some(0);
        while let Some(Reverse((cost, at))) = queue.pop() {
            if std::mem::replace(&mut settled[at], true) {
                continue;
            }
            tree.order.push(at);
            for &(to, link) in &self.edges[at] {
                let cost = cost + u64::from(link);
                // Only a strictly lower cost displaces a router found earlier.
                if !settled[to] && tree.cost[to].is_none_or(|old| cost < old) {
                    tree.cost[to] = Some(cost);
                    tree.before[to] = at;
                    queue.push(Reverse((cost, to)));
                }
            }
        }
        tree
    }

    /// Routers, in their order, that the tree of the own one reaches, and that reach it.
    fn mutual(&self, tree: &Tree) -> Vec<usize> {
        let mut before = vec![Vec::new(); self.ids.len()];
        for (from, edges) in self.edges.iter().enumerate() {
            edges.iter().for_each(|&(to, _)| before[to].push(from));
        }
        let mut reaches = vec![false; self.ids.len()];
        let mut next = vec![self.own];
        while let Some(at) = next.pop() {
            if !std::mem::replace(&mut reaches[at], true) {
                next.append(&mut before[at]);
            }
        }
        (0..self.ids.len()).filter(|&at| at != self.own && tree.cost[at].is_some() && reaches[at]).collect()
    }

    /// The largest number of links on any way of least cost.
    fn radius(&self, tree: &Tree) -> u32 {
        let mut hops = vec![0_u32; self.ids.len()];
        for &at in &tree.order {
            for &(to, link) in &self.edges[at] {
                if tree.cost[to] == tree.cost[at].map(|cost| cost + u64::from(link)) {
                    hops[to] = hops[to].max(hops[at] + 1);
                }
            }
        }
        hops.into_iter().max().unwrap_or(0)
    }
}

// === impl Tree ===

impl Tree {
    /// Per router the first one after the root on the way to it.
    fn first_hops(&self) -> Vec<Option<usize>> {
        let mut first = vec![None; self.before.len()];
        for &at in self.order.iter().skip(1) {
            first[at] = if self.before[at] == self.root { Some(at) } else { first[self.before[at]] };
        }
        first
    }

    /// Per router whether the way to it passes through `node`; not for `node` itself.
    fn behind(&self, node: usize) -> Vec<bool> {
        let mut behind = vec![false; self.before.len()];
        for &at in self.order.iter().skip(1) {
            behind[at] = self.before[at] == node || behind[self.before[at]];
        }
        behind[node] = false;
        behind
    }
}
