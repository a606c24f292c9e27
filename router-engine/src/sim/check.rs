//! What a network must come to.

use super::ledger::Outcome;
use super::network::{Sim, Trunk};
use super::{LinkSpec, Record};
use crate::address::name::EDGE_UPLINK_KEY;
use crate::core::connection::ConnectionRole;
use crate::core::snapshot::AddressRow;
use crate::mesh::path::{self, Peers};
use std::collections::{BTreeMap, BTreeSet};

/// Links that stand on every connection between routers: control and ten priorities, both ways.
const STANDING_LINKS: usize = 22;

/// Keys of the addresses that the core of every interior router has.
const CONTROL_KEYS: [&str; 5] = ["Lqdhello", "Lqdrouter", "Lqdrouter.ma", "Tqdrouter", "Tqdrouter.ma"];

/// Where routers disagree with the network that there is: ways, costs, valid origins, addresses.
#[must_use]
pub fn topology(sim: &Sim) -> Vec<String> {
    let states = states(sim);
    let consumers = consumers(sim);
    let mut faults = Vec::new();
    for (index, router) in sim.routers.iter().enumerate() {
        let own = router.router.id();
        if sim.is_edge(index) {
            faults.extend(edge_faults(sim, index));
            continue;
        }
        let all: Vec<(&str, &Peers)> = states.iter().map(|(id, peers)| (id.as_str(), peers)).collect();
        let paths = path::compute(own, &all);
        let rows = router.router.node_rows(sim.now);
        for row in &rows {
            let have: BTreeSet<&str> = row.peers.iter().map(String::as_str).collect();
            let want: BTreeSet<&str> = states[&row.id].keys().map(String::as_str).collect();
            // What lies behind a cut is only forgotten in time.
            let reached = row.id == own || paths.paths.contains_key(row.id.as_str());
            if reached && have != want {
                faults.push(format!("{own} believes that {} has the neighbours {have:?}, not {want:?}", row.id));
            }
        }
        for (id, want) in &paths.paths {
            let Some(row) = rows.iter().find(|row| row.id == *id) else {
                faults.push(format!("{own} does not know {id}"));
                continue;
            };
            let next_hop = row.next_hop.as_deref().or(row.link.map(|_| row.id.as_str())).unwrap_or("nothing");
            let origins: BTreeSet<&str> = row.valid_origins.iter().map(String::as_str).collect();
            let want_origins: BTreeSet<&str> = want.valid_origins.iter().copied().collect();
            if (next_hop, row.cost, &origins) != (want.next_hop, want.cost, &want_origins) {
                let cost = row.cost;
                faults.push(format!("{own} reaches {id} by {next_hop} at {cost} from {origins:?}, not as {want:?}"));
            }
        }
        let rows = router.router.address_rows();
        let mut want: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (key, at) in &consumers {
            let remote = at.iter().filter(|r| **r != index).map(|r| sim.routers[*r].router.id());
            want.insert(key, remote.filter(|id| paths.paths.contains_key(id)).collect());
        }
        for AddressRow { key, remotes, .. } in rows.iter().filter(|row| row.key.starts_with('M')) {
            let have: BTreeSet<&str> = remotes.iter().map(String::as_str).collect();
            let want = want.remove(key.as_str()).unwrap_or_default();
            if have != want {
                faults.push(format!("{own}: {key} is at {have:?}, not at {want:?}"));
            }
        }
        for (key, want) in want.into_iter().filter(|(_, want)| !want.is_empty()) {
            faults.push(format!("{own} does not know {key} at {want:?}"));
        }
    }
    faults
}

/// What is wrong with the uplink of an edge router.
fn edge_faults(sim: &Sim, edge: usize) -> Option<String> {
    let connected = |t: &&Trunk| t.wire.is_some() && t.spec.ends[0] == edge && !sim.is_edge(t.spec.ends[1]);
    let want: BTreeSet<usize> = sim.trunks.iter().filter(connected).map(|t| t.spec.ends[1]).collect();
    let have = sim.uplink_of(edge);
    let good = have.map_or(want.is_empty(), |have| want.contains(&have));
    let own = sim.routers[edge].router.id();
    (!good).then(|| format!("{own} uses the way by {have:?}, not one of {want:?}"))
}

/// What happened to messages that must never happen. To be called when nothing is under way.
#[must_use]
pub fn messages(sim: &Sim) -> Vec<String> {
    let mut faults = sim.ledger.faults.clone();
    for (id, record) in sim.ledger.records().iter().enumerate() {
        faults.extend(record_faults(record).into_iter().map(|fault| format!("message {id}: {fault}: {record:?}")));
    }
    faults
}

fn record_faults(record: &Record) -> Vec<&'static str> {
    let mut faults = Vec::new();
    let multicast = record.address.starts_with("m/");
    let answers: Vec<Outcome> = record.copies.iter().filter_map(|c| c.verdict).collect();
    if !record.started && !record.copies.is_empty() {
        faults.push("arrived without being sent");
    }
    if !multicast && record.copies.len() > 1 {
        faults.push("anycast reached several receivers");
    }
    if record.settled {
        return faults;
    }
    if record.started && !record.lost && record.outcome.is_none() {
        faults.push("has no outcome");
    }
    match record.outcome {
        Some(Outcome::Accepted) if !answers.contains(&Outcome::Accepted) => faults.push("nobody accepted it"),
        Some(Outcome::Rejected) if !answers.contains(&Outcome::Rejected) => faults.push("nobody rejected it"),
        _ => {}
    }
    faults
}

/// What is wrong with the probes: in a network without faults each must reach one receiver, or all
/// receivers of a multicast address, and be accepted. `from` is the first message to look at.
#[must_use]
pub fn probes(sim: &Sim, from: usize) -> Vec<String> {
    let mut faults = Vec::new();
    for (id, record) in sim.ledger.records().iter().enumerate().skip(from).filter(|(_, r)| r.probe) {
        let receivers = receivers(sim, &record.address);
        let want = if record.address.starts_with("m/") { receivers } else { receivers.min(1) };
        let accepted = record.settled || record.outcome == Some(Outcome::Accepted);
        if record.copies.len() != want || !accepted {
            faults.push(format!("probe {id} should reach {want} of {receivers} and be accepted: {record:?}"));
        }
    }
    faults
}

/// What happened to flows that must never happen. To be called when nothing is under way.
#[must_use]
pub fn flows(sim: &Sim) -> Vec<String> {
    let mut faults = sim.ledger.faults.clone();
    for (index, flow) in sim.flows.iter().enumerate() {
        faults.extend(flow.faults().into_iter().map(|fault| format!("flow {index}: {fault}: {}", flow.describe())));
    }
    faults
}

/// What is left in routers whose clients are gone.
#[must_use]
pub fn leftovers(sim: &Sim) -> Vec<String> {
    let mut faults = Vec::new();
    for (index, router) in sim.routers.iter().enumerate() {
        let own = router.router.id();
        let trunks = sim.trunks.iter().filter(|t| t.wire.is_some() && t.spec.ends.contains(&index)).count();
        let connections = router.router.connection_count();
        let want = trunks + sim.service_connections(index);
        if connections != want {
            faults.push(format!("{own} has {connections} connections, not {want}"));
        }
        let links = router.router.link_rows(sim.now);
        let of_interiors = |t: &&Trunk| t.spec.ends.contains(&index) && is_inter_router(sim, t);
        let interiors = sim.trunks.iter().filter(of_interiors).filter(|t| t.wire.is_some()).count();
        if links.len() < interiors * STANDING_LINKS {
            faults.push(format!("{own} has {} links on {interiors} connections", links.len()));
        }
        let conns = router.router.connection_rows(sim.now);
        let of_edges: Vec<u32> = conns.iter().filter(|c| c.role.attaches_for_others()).map(|c| c.number).collect();
        for link in links {
            if link.undelivered + link.unsettled > 0 {
                let (name, kind) = (&link.name, link.link_type);
                faults.push(format!(
                    "{own}: {kind} link {name} has {} undelivered and {} unsettled",
                    link.undelivered, link.unsettled
                ));
            }
            // Standing links of edge routers have no mobile address but those of the routers themselves.
            let client = |key: &str| key.starts_with('M') && !key.starts_with("M_$qd.");
            let stands_for_client = link.owning_address.as_deref().is_some_and(client);
            if link.link_type == "endpoint" && (stands_for_client || !of_edges.contains(&link.connection)) {
                let direction = if link.incoming { "incoming" } else { "outgoing" };
                let (name, conn, address) = (&link.name, link.connection, &link.owning_address);
                faults.push(format!("{own}: {direction} link {name} of a client is left on [C{conn}] for {address:?}"));
            }
        }
        for AddressRow { key, .. } in router.router.address_rows() {
            let of_router = key.starts_with(['R', 'H']) || key == EDGE_UPLINK_KEY;
            let routing = CONTROL_KEYS.contains(&key.as_str()) || of_router;
            if !routing {
                faults.push(format!("{own}: address {key} is left"));
            }
        }
    }
    faults
}

/// Receiving links on an address.
pub(super) fn receivers(sim: &Sim, address: &str) -> usize {
    let links = sim.clients.iter().filter(|c| !c.retired).flat_map(|c| &c.plan.links);
    links.filter(|l| matches!(l, LinkSpec::Receiver { address: a, .. } if a == address)).count()
}

/// Routers with a receiver, by address key.
fn consumers(sim: &Sim) -> BTreeMap<String, BTreeSet<usize>> {
    let mut consumers: BTreeMap<String, BTreeSet<usize>> = BTreeMap::new();
    for client in sim.clients.iter().filter(|c| !c.retired) {
        for link in &client.plan.links {
            if let LinkSpec::Receiver { address, .. } = link {
                consumers.entry(format!("M{address}")).or_default().extend(interior_of(sim, client.router));
            }
        }
    }
    for (router, address) in sim.standing_servers() {
        consumers.entry(format!("M{address}")).or_default().extend(interior_of(sim, router));
    }
    consumers
}

/// The interior router at which the consumers of a router are known: itself, or the one that its uplink leads to.
fn interior_of(sim: &Sim, router: usize) -> Option<usize> {
    if sim.is_edge(router) { sim.uplink_of(router) } else { Some(router) }
}

/// The link states that follow from the trunks that are up.
fn states(sim: &Sim) -> BTreeMap<String, Peers> {
    let id = |router: usize| sim.routers[router].router.id().to_owned();
    let mut states: BTreeMap<String, Peers> =
        (0..sim.routers.len()).filter(|&r| !sim.is_edge(r)).map(|r| (id(r), Peers::new())).collect();
    for trunk in sim.trunks.iter().filter(|t| t.wire.is_some() && is_inter_router(sim, t)) {
        let [a, b] = trunk.spec.ends;
        for (from, to) in [(a, b), (b, a)] {
            let cost = states.entry(id(from)).or_default().entry(id(to)).or_insert(u32::MAX);
            *cost = trunk.spec.cost.min(*cost);
        }
    }
    states
}

fn is_inter_router(sim: &Sim, trunk: &Trunk) -> bool {
    sim.trunk_role(trunk.spec.ends) == ConnectionRole::InterRouter
}
