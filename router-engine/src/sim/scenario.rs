//! Random networks with random histories, and what must be true of them.

use super::client::{LinkSpec, Plan};
use super::history::{add_trunk, await_topology, choose_frame_size, disturb, fail, inject_network, recover};
use super::network::{RouterSpec, Sim};
use super::{check, ledger::Outcome};
use crate::core::AddressConfig;
use crate::forward::Treatment;
use crate::port::Liveness;
use crate::rng::SplitMix64;
use std::time::Duration;

/// Addresses in use: closest, balanced and multicast by their first token.
const ADDRESSES: [&str; 7] = ["c/one", "c/two", "b/one", "b/two", "b/three", "m/one", "m/two"];

/// How a run goes.
#[derive(Debug, Clone, Copy)]
pub struct Params {
    /// Interior routers, at most.
    pub routers: usize,
    /// Edge routers, at most.
    pub edges: usize,
    /// Faults to inject.
    pub faults: usize,
    /// Messages to send while faults happen.
    pub messages: usize,
    /// How closely routers watch each other.
    pub liveness: Option<Liveness>,
}

/// What happened in a run, to see that something did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Summary {
    /// Messages whose transmission began.
    pub sent: usize,
    /// Messages that were accepted.
    pub accepted: usize,
    /// Copies that arrived.
    pub arrived: usize,
    /// Messages whose sender lost its connection.
    pub lost: usize,
    /// Time it took to agree on the network after the last fault.
    pub settled: Duration,
}

// === impl Default for Params ===

impl Default for Params {
    fn default() -> Self {
        Self { routers: 5, edges: 0, faults: 8, messages: 150, liveness: None }
    }
}

/// Runs the scenario of a seed.
///
/// # Errors
/// Everything that was found wrong, one per line.
pub fn run(seed: u64, params: Params) -> Result<Summary, String> {
    let mut sim = build(seed, params);
    let mut summary = Summary::default();
    await_topology(&mut sim, "at the start")?;
    disturb(&mut sim, (params.faults, inject), (params.messages, send_any));
    for client in 0..sim.clients.len() {
        sim.stall_client(client, false);
    }
    summary.settled = recover(&mut sim)?;
    finish_messages(&mut sim)?;
    probe(&mut sim)?;
    sim.close_clients();
    sim.run(Duration::from_secs(5));
    fail("when all clients are gone", check::leftovers(&sim))?;
    fail("at the end", check::topology(&sim))?;
    for record in sim.ledger.records() {
        summary.sent += usize::from(record.started);
        summary.accepted += usize::from(record.outcome == Some(Outcome::Accepted));
        summary.arrived += record.copies.len();
        summary.lost += usize::from(record.lost);
    }
    Ok(summary)
}

fn build(seed: u64, params: Params) -> Sim {
    let mut sim = Sim::new(seed);
    choose_frame_size(&mut sim);
    sim.liveness = params.liveness;
    let routers = 2 + sim.rng.below(params.routers.saturating_sub(1) as u64) as usize;
    for index in 0..routers {
        sim.add_router(RouterSpec { addresses: addresses(), ..RouterSpec::interior(format!("R{index}")) });
    }
    for index in 1..routers {
        let other = sim.rng.below(index as u64) as usize;
        add_trunk(&mut sim, index, other);
    }
    for _ in 0..sim.rng.below(routers as u64) {
        let (a, b) = (sim.rng.below(routers as u64) as usize, sim.rng.below(routers as u64) as usize);
        if a != b {
            add_trunk(&mut sim, a, b);
        }
    }
    add_edges(&mut sim, routers, params.edges);
    for router in 0..sim.routers.len() {
        for _ in 0..=sim.rng.below(2) {
            let plan = plan(&mut sim.rng);
            sim.add_client(router, plan);
        }
    }
    sim
}

fn addresses() -> Vec<(String, AddressConfig)> {
    let config = |pattern: &str, treatment| (pattern.to_owned(), AddressConfig { treatment, priority: None });
    vec![config("c/#", Treatment::Closest), config("b/#", Treatment::Balanced), config("m/#", Treatment::Multicast)]
}

/// Edge routers, each with one or two connections to interior routers; some are in meshes, in which all are connected.
fn add_edges(sim: &mut Sim, interiors: usize, most: usize) {
    let edges = if most == 0 { 0 } else { 1 + sim.rng.below(most as u64) as usize };
    let mut mesh: Vec<usize> = Vec::new();
    for index in 0..edges {
        let edge = sim.add_router(RouterSpec { addresses: addresses(), ..RouterSpec::edge(format!("E{index}")) });
        for _ in 0..=sim.rng.below(2) {
            let interior = sim.rng.below(interiors as u64) as usize;
            add_trunk(sim, edge, interior);
        }
        if sim.rng.below(2) == 0 {
            mesh.clear();
        }
        for &peer in &mesh {
            add_trunk(sim, edge, peer);
        }
        mesh.push(edge);
    }
}

/// Senders to a few addresses, one to any address, and receivers of a few addresses.
fn plan(rng: &mut SplitMix64) -> Plan {
    let mut links = vec![LinkSpec::Sender(None)];
    for address in ADDRESSES {
        if rng.below(3) == 0 {
            links.push(LinkSpec::Sender(Some(address.to_owned())));
        }
        if rng.below(3) == 0 {
            let window = [1, 3, 50][rng.below(3) as usize];
            let think = Duration::from_millis([0, 5, 900][rng.below(3) as usize]);
            links.push(LinkSpec::Receiver { address: address.to_owned(), window, moody: true, think });
        }
    }
    Plan { links }
}

/// Everything that can happen to clients and to the network.
fn inject(sim: &mut Sim) {
    let client = sim.rng.below(sim.clients.len() as u64) as usize;
    match sim.rng.below(9) {
        0 => sim.cut_client(client),
        1 => {
            let on = !sim.clients[client].stalled;
            sim.stall_client(client, on);
        }
        _ => inject_network(sim),
    }
}

fn send_any(sim: &mut Sim) {
    let client = sim.rng.below(sim.clients.len() as u64) as usize;
    let links = &sim.clients[client].plan.links;
    let senders: Vec<(usize, Option<String>)> = links
        .iter()
        .enumerate()
        .filter_map(|(index, link)| match link {
            LinkSpec::Sender(address) => Some((index, address.clone())),
            LinkSpec::ResendSender(_) | LinkSpec::Receiver { .. } => None,
        })
        .collect();
    let pick = sim.rng.below(senders.len() as u64) as usize;
    let Some((link, address)) = senders.into_iter().nth(pick) else { return };
    let any = ADDRESSES[sim.rng.below(ADDRESSES.len() as u64) as usize];
    let address = address.unwrap_or_else(|| any.to_owned());
    let size = match sim.rng.below(10) {
        0 => 10_000 + sim.rng.below(200_000),
        1 | 2 => sim.rng.below(20_000),
        _ => sim.rng.below(200),
    };
    let settled = sim.rng.below(4) == 0;
    sim.send(client, link, &address, size as usize, settled, false);
}

/// Lets everything that was begun come to its end.
fn finish_messages(sim: &mut Sim) -> Result<(), String> {
    for client in &mut sim.clients {
        client.drop_queues();
    }
    run_to_rest(sim);
    fail("when all messages should be settled", check::messages(sim))
}

/// Runs until no client waits for anything, and pre-settled messages had their time; or until
/// nothing has changed for long.
fn run_to_rest(sim: &mut Sim) {
    let mut quiet = 0;
    let mut before = usize::MAX;
    while quiet < 60 {
        sim.run(Duration::from_millis(500));
        let records = sim.ledger.records().iter();
        let now = records.map(|r| usize::from(r.outcome.is_some()) + r.copies.len()).sum();
        let busy = sim.clients.iter().any(super::client::Client::is_busy);
        quiet = if now == before { quiet + 1 } else { 0 };
        before = now;
        if quiet > 4 && !busy {
            return;
        }
    }
}

/// Sends a message from everywhere to every address, with nothing in the way.
fn probe(sim: &mut Sim) -> Result<(), String> {
    let first = sim.ledger.records().len();
    for client in 0..sim.clients.len() {
        let Some(link) = sim.anonymous_link(client) else { continue };
        for address in ADDRESSES {
            // Without a receiver the message would be released.
            if check::receivers(sim, address) == 0 {
                continue;
            }
            let size = if sim.rng.below(8) == 0 { 60_000 } else { 100 };
            let settled = sim.rng.below(4) == 0;
            sim.send(client, link, address, size, settled, true);
        }
    }
    run_to_rest(sim);
    fail("with nothing in the way", check::probes(sim, first))?;
    fail("with nothing in the way", check::messages(sim))
}
