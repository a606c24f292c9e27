//! Flows of TCP services between applications at two routers, without sockets and TLS.

use super::Path;
use router_engine::sim::{RouterSpec, Script, Sim, TrunkSpec, check};
use std::time::Duration;

const SERVICE: &str = "service";
const MEGABYTE: u64 = 1_000_000;

/// Two routers that know of each other and of the service at the second.
fn network() -> Sim {
    let mut sim = Sim::new(1);
    sim.room = 256 * 1024;
    for id in ["A", "B"] {
        sim.add_router(RouterSpec::interior(id));
    }
    sim.add_trunk(TrunkSpec { ends: [0, 1], cost: 1, delay: Duration::ZERO });
    sim.add_server(1, SERVICE);
    while !check::topology(&sim).is_empty() {
        sim.run(Duration::from_millis(100));
    }
    sim
}

fn flow(sim: &mut Sim, up: u64, down: u64) {
    let flow = sim.open_flow(0, SERVICE, Script::plain(up), Script::plain(down), true);
    let begun = sim.now;
    while sim.now - begun < Duration::from_secs(10) {
        if sim.flow(flow).is_whole() {
            return;
        }
        sim.run(Duration::from_millis(1));
    }
    panic!("a flow has not ended: {:?}", check::flows(sim));
}

/// A connection with a small request and its answer, from beginning to end.
#[must_use]
pub fn connections() -> Path {
    let mut sim = network();
    Box::new(move |times| (0..times).for_each(|_| flow(&mut sim, 100, 100)))
}

/// A connection with a megabyte in each direction.
#[must_use]
pub fn megabytes() -> Path {
    let mut sim = network();
    Box::new(move |times| (0..times).for_each(|_| flow(&mut sim, MEGABYTE, MEGABYTE)))
}
