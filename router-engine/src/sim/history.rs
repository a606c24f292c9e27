//! What the scenarios have in common: how a network comes to agree, what disturbs it, and how it recovers.

use super::check;
use super::network::{Sim, TrunkSpec};
use std::time::Duration;

/// Longest time to agree on the network after the last fault. A router that missed the news asks
/// again at the latest when it hears the next advertisement.
const SETTLE: Duration = Duration::from_secs(60);

/// A kind of events, and how many of them there are.
pub(super) type Events = (usize, fn(&mut Sim));

/// One line for each thing that is wrong.
pub(super) fn fail(when: &str, faults: Vec<String>) -> Result<(), String> {
    if faults.is_empty() { Ok(()) } else { Err(format!("{when}:\n{}", faults.join("\n"))) }
}

/// One size for all routers. The smallest cuts routing messages in pieces too.
pub(super) fn choose_frame_size(sim: &mut Sim) {
    sim.max_frame_size = [512, 4096, 16384][sim.rng.below(3) as usize];
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

/// Faults and other events in random order and number, of which so many are expected; then every connector may connect.
pub(super) fn disturb(sim: &mut Sim, faults: Events, others: Events) {
    let total = faults.0 + others.0;
    for _ in 0..total {
        let (_, happen) = if (sim.rng.below(total as u64) as usize) < faults.0 { faults } else { others };
        happen(sim);
        let pause = [0, 3_000, 60_000, 400_000][sim.rng.below(4) as usize];
        sim.run(Duration::from_micros(pause));
    }
    for trunk in 0..sim.trunks.len() {
        sim.enable_trunk(trunk, true);
    }
}

/// Runs until the routers agree after the last fault, also on connections that were mute. Returns how long that took.
pub(super) fn recover(sim: &mut Sim) -> Result<Duration, String> {
    let start = sim.now;
    await_topology(sim, "after the faults")?;
    // A mute connection is noticed after 16 s, and made anew.
    sim.run(Duration::from_secs(20));
    await_topology(sim, "after the idle timeout")?;
    Ok(sim.now - start)
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
