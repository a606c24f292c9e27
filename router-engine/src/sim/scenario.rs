//! Random networks with random histories, and what must be true of them.

use super::client::{LinkSpec, Plan};
use super::network::{RouterSpec, Sim, TrunkSpec};
use super::{check, ledger::Outcome};
use crate::core::AddressConfig;
use crate::forward::Treatment;
use crate::rng::SplitMix64;
use std::time::Duration;

/// Addresses in use: closest, balanced and multicast by their first token.
const ADDRESSES: [&str; 7] = ["c/one", "c/two", "b/one", "b/two", "b/three", "m/one", "m/two"];

/// Longest time to agree on the network after the last fault. A router that missed the news asks
/// again at the latest when it hears the next advertisement.
const SETTLE: Duration = Duration::from_secs(60);

/// How a run goes.
#[derive(Debug, Clone, Copy)]
pub struct Params {
    /// Routers, at most.
    pub routers: usize,
    /// Faults to inject.
    pub faults: usize,
    /// Messages to send while faults happen.
    pub messages: usize,
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
        Self { routers: 5, faults: 8, messages: 150 }
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
    disturb(&mut sim, params);
    // A mute connection is noticed after 16 s, and made anew.
    let start = sim.now;
    await_topology(&mut sim, "after the faults")?;
    sim.run(Duration::from_secs(20));
    await_topology(&mut sim, "after the idle timeout")?;
    summary.settled = sim.now - start;
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

pub(super) fn fail(when: &str, faults: Vec<String>) -> Result<(), String> {
    if faults.is_empty() { Ok(()) } else { Err(format!("{when}:\n{}", faults.join("\n"))) }
}

fn build(seed: u64, params: Params) -> Sim {
    let mut sim = Sim::new(seed);
    // The smallest one cuts routing messages in pieces too.
    sim.max_frame_size = [512, 4096, 16384][sim.rng.below(3) as usize];
    let routers = 2 + sim.rng.below(params.routers.saturating_sub(1) as u64) as usize;
    for index in 0..routers {
        let config = |treatment| AddressConfig { treatment, priority: None };
        let addresses = vec![
            ("c/#".to_owned(), config(Treatment::Closest)),
            ("b/#".to_owned(), config(Treatment::Balanced)),
            ("m/#".to_owned(), config(Treatment::Multicast)),
        ];
        sim.add_router(RouterSpec { id: format!("R{index}"), addresses });
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
    for router in 0..routers {
        for _ in 0..=sim.rng.below(2) {
            let plan = plan(&mut sim.rng);
            sim.add_client(router, plan);
        }
    }
    sim
}

/// Connects two routers. When they are connected already, the second connection costs the same:
/// the cost that counts is that of the one which was there first.
pub(super) fn add_trunk(sim: &mut Sim, a: usize, b: usize) {
    let twin = sim.trunks.iter().find(|t| t.spec.ends.contains(&a) && t.spec.ends.contains(&b));
    let cost = match twin {
        Some(twin) => twin.spec.cost,
        None => 1 + sim.rng.below(3) as u32,
    };
    let delay = Duration::from_micros(100 + sim.rng.below(40_000));
    sim.add_trunk(TrunkSpec { ends: [a, b], cost, delay });
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

/// Runs until all routers agree with the network. Returns how long that took.
pub(super) fn await_topology(sim: &mut Sim, when: &str) -> Result<Duration, String> {
    let start = sim.now;
    loop {
        let faults = check::topology(sim);
        let connected = sim.trunks.iter().all(|t| t.wire.is_some() || !t.enabled);
        if faults.is_empty() && connected {
            return Ok(sim.now - start);
        }
        if sim.now - start > SETTLE {
            return Err(format!("{when}, after {} s:\n{}", (sim.now - start).as_secs(), faults.join("\n")));
        }
        sim.run(Duration::from_millis(500));
    }
}

/// Faults and messages in random order, then everything is made whole.
fn disturb(sim: &mut Sim, params: Params) {
    let total = params.faults + params.messages;
    for _ in 0..total {
        if (sim.rng.below(total as u64) as usize) < params.faults {
            inject(sim);
        } else {
            send_any(sim);
        }
        let pause = [0, 3_000, 60_000, 400_000][sim.rng.below(4) as usize];
        sim.run(Duration::from_micros(pause));
    }
    heal(sim);
    for client in 0..sim.clients.len() {
        sim.stall_client(client, false);
    }
}

/// Every connector may connect.
pub(super) fn heal(sim: &mut Sim) {
    for trunk in 0..sim.trunks.len() {
        sim.enable_trunk(trunk, true);
    }
}

/// A fault of a router or of a connection between routers.
pub(super) fn inject_network(sim: &mut Sim) {
    let router = sim.rng.below(sim.routers.len() as u64) as usize;
    let time = Duration::from_millis(sim.rng.below(5_000));
    if sim.trunks.is_empty() {
        return sim.restart_router(router, time);
    }
    let trunk = sim.rng.below(sim.trunks.len() as u64) as usize;
    match sim.rng.below(7) {
        0 | 1 => sim.cut_trunk(trunk),
        2 => sim.enable_trunk(trunk, false),
        3 => sim.enable_trunk(trunk, true),
        4 => sim.mute_trunk(trunk),
        5 => sim.restart_router(router, time),
        _ => sim.stall_trunk(trunk, 2 * time),
    }
}

fn inject(sim: &mut Sim) {
    let trunk = sim.rng.below(sim.trunks.len() as u64) as usize;
    let client = sim.rng.below(sim.clients.len() as u64) as usize;
    match sim.rng.below(9) {
        0 | 1 => sim.cut_trunk(trunk),
        2 => sim.enable_trunk(trunk, false),
        3 => sim.enable_trunk(trunk, true),
        4 => sim.mute_trunk(trunk),
        5 => {
            let router = sim.rng.below(sim.routers.len() as u64) as usize;
            let downtime = sim.rng.below(5_000);
            sim.restart_router(router, Duration::from_millis(downtime));
        }
        6 => sim.cut_client(client),
        7 => {
            let time = sim.rng.below(12_000);
            sim.stall_trunk(trunk, Duration::from_millis(time));
        }
        _ => {
            let on = !sim.clients[client].stalled;
            sim.stall_client(client, on);
        }
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
