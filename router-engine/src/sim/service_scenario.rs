//! Random services in random networks with random histories, and what must be true of their flows.

use super::app::Script;
use super::check;
use super::history::{add_trunk, await_topology, choose_frame_size, disturb, fail, inject_network, recover};
use super::network::{RouterSpec, Sim};
use super::socket::End;
use crate::exchange::Role;
use std::time::Duration;

/// Service addresses.
const ADDRESSES: [&str; 2] = ["svc/one", "svc/two"];
/// Longest time until every flow has come to its end.
const SETTLE: Duration = Duration::from_secs(120);

/// How a run goes.
#[derive(Debug, Clone, Copy)]
pub struct Params {
    /// Routers, at most.
    pub routers: usize,
    /// Faults to inject.
    pub faults: usize,
    /// Clients that connect while faults happen.
    pub flows: usize,
}

/// What happened in a run, to see that something did.
#[derive(Debug, Clone, Copy, Default)]
pub struct Summary {
    /// Flows in which both applications had a part.
    pub met: usize,
    /// Flows of which the request came to more than one server.
    pub resent: usize,
    /// Flows that were carried whole in both directions.
    pub whole: usize,
    /// Flows of which an application saw a reset.
    pub reset: usize,
    /// Octets that were received.
    pub octets: u64,
}

// === impl Params ===

impl Default for Params {
    fn default() -> Self {
        Self { routers: 4, faults: 10, flows: 40 }
    }
}

/// Runs the scenario of a seed.
///
/// # Errors
/// Everything that was found wrong, one per line.
pub fn run(seed: u64, params: Params) -> Result<Summary, String> {
    let mut sim = build(seed, params);
    await_topology(&mut sim, "at the start")?;
    disturb(&mut sim, (params.faults, inject), (params.flows, open_any));
    recover(&mut sim)?;
    await_ends(&mut sim);
    fail("when all flows should be over", check::flows(&sim))?;
    probe(&mut sim);
    await_ends(&mut sim);
    fail("with nothing in the way", check::flows(&sim))?;
    for server in 0..sim.servers.len() {
        sim.delete_server(server, Duration::from_secs(3600));
    }
    sim.run(Duration::from_secs(10));
    fail("when all servers are gone", check::leftovers(&sim))?;
    Ok(summary(&sim))
}

fn build(seed: u64, params: Params) -> Sim {
    let mut sim = Sim::new(seed);
    choose_frame_size(&mut sim);
    let routers = 1 + sim.rng.below(params.routers as u64) as usize;
    for index in 0..routers {
        sim.add_router(RouterSpec::interior(format!("R{index}")));
        if index > 0 {
            let other = sim.rng.below(index as u64) as usize;
            add_trunk(&mut sim, index, other);
        }
    }
    for address in ADDRESSES {
        for _ in 0..=sim.rng.below(2) {
            let router = sim.rng.below(routers as u64) as usize;
            sim.add_server(router, address);
        }
    }
    sim
}

fn inject(sim: &mut Sim) {
    match sim.rng.below(4) {
        0 if !sim.flows.is_empty() => {
            let flow = sim.rng.below(sim.flows.len() as u64) as usize;
            let role = if sim.rng.below(2) == 0 { Role::Requester } else { Role::Responder };
            sim.delete_flow(flow, role);
        }
        1 => {
            let server = sim.rng.below(sim.servers.len() as u64) as usize;
            let downtime = Duration::from_millis(sim.rng.below(3000));
            sim.delete_server(server, downtime);
        }
        _ => inject_network(sim),
    }
}

fn open_any(sim: &mut Sim) {
    let router = sim.rng.below(sim.routers.len() as u64) as usize;
    if sim.routers[router].start > sim.now {
        return;
    }
    let address = ADDRESSES[sim.rng.below(2) as usize];
    let (client, mut server) = (script(sim), script(sim));
    server.answers = sim.rng.below(3) == 0;
    sim.open_flow(router, address, client, server, false);
}

/// Some octets, mostly few, with or without pauses, and seldom a reset at their end.
fn script(sim: &mut Sim) -> Script {
    let rng = &mut sim.rng;
    let octets = match rng.below(8) {
        0 => rng.below(1_000_000),
        1 | 2 => rng.below(200_000),
        3 => 0,
        _ => rng.below(3000),
    };
    let end = [End::Reset, End::Bare, End::Fin, End::Fin, End::Fin, End::Fin][rng.below(6) as usize];
    let pause = Duration::from_micros([0, 0, 2_000, 80_000][rng.below(4) as usize]);
    let deaf_for = Duration::from_millis([0, 0, 0, rng.below(9_000)][rng.below(4) as usize]);
    Script { octets, end, pause, answers: false, deaf_for }
}

/// A client at every router for every service, with nothing in the way.
fn probe(sim: &mut Sim) {
    for router in 0..sim.routers.len() {
        for address in ADDRESSES {
            let octets = [sim.rng.below(100_000), sim.rng.below(1_000_000)];
            let [client, server] = octets.map(Script::plain);
            sim.open_flow(router, address, client, server, true);
        }
    }
}

/// Runs until every flow is over, or its time is.
fn await_ends(sim: &mut Sim) {
    let start = sim.now;
    while sim.now - start < SETTLE && !sim.flows.iter().all(super::FlowRecord::is_through) {
        sim.run(Duration::from_millis(500));
    }
}

fn summary(sim: &Sim) -> Summary {
    let mut summary = Summary::default();
    for flow in &sim.flows {
        let apps = || flow.ends().map(|end| &end.app);
        summary.met += usize::from(apps().count() > 1);
        summary.resent += usize::from(apps().count() > 2);
        summary.whole += usize::from(flow.is_whole());
        summary.reset += usize::from(apps().any(|app| app.end_seen == Some(End::Reset)));
        summary.octets += apps().map(|app| app.received).sum::<u64>();
    }
    summary
}
