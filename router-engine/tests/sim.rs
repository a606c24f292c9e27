//! Random networks of routers and clients. `SIM_SEED` runs one seed only, `SIM_FIRST` and
//! `SIM_COUNT` choose which seeds run, `SIM_VERBOSE` tells what happened in each, and `SIM_LOG`
//! prints what the routers log.

use router_engine::log::{Level, LogModule, Record, Sink, set_mask, set_sink};
use router_engine::sim::scenario::{Params, Summary, run};
use router_engine::sim::{LinkSpec, Plan, RouterSpec, Sim, TrunkSpec, check};
use std::time::Duration;

struct Printer;

impl Sink for Printer {
    fn write(&self, record: &Record<'_>) {
        println!("{} ({}) {}", record.module.name(), record.level.name(), record.text);
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// Runs the seeds that the environment chooses, or `count` of them.
fn check(count: u64, params: Params) {
    if std::env::var_os("SIM_LOG").is_some() && set_sink(Box::new(Printer)) {
        LogModule::ALL.into_iter().for_each(|module| set_mask(module, Level::Debug.and_above()));
    }
    let (first, count) = match number("SIM_SEED") {
        Some(seed) => (seed, 1),
        None => (number("SIM_FIRST").unwrap_or(0), number("SIM_COUNT").unwrap_or(count)),
    };
    let summaries: Vec<Summary> = (first..first + count).map(|seed| one(seed, params)).collect();
    let accepted: usize = summaries.iter().map(|s| s.accepted).sum();
    assert!(accepted > 0, "nothing happened");
}

fn one(seed: u64, params: Params) -> Summary {
    match run(seed, params) {
        Ok(summary) => {
            if std::env::var_os("SIM_VERBOSE").is_some() {
                println!("seed {seed}: {summary:?}");
            }
            summary
        }
        Err(faults) => panic!("run again with SIM_SEED={seed}: {params:?}\n{faults}"),
    }
}

#[test]
fn random_networks() {
    check(48, Params::default());
}

#[test]
fn large_networks() {
    check(4, Params { routers: 14, faults: 20, messages: 200 });
}

#[test]
fn much_traffic() {
    check(6, Params { routers: 3, faults: 6, messages: 1500 });
}

/// Addresses of a router that fill many frames, and more than a stream holds, are all learned, after a restart too.
#[test]
fn many_addresses() {
    let mut sim = Sim::new(1);
    for id in ["A", "B"] {
        sim.add_router(RouterSpec { id: id.to_owned(), addresses: Vec::new() });
    }
    sim.add_trunk(TrunkSpec { ends: [0, 1], cost: 1, delay: Duration::from_millis(1) });
    let links = (0..4000).map(|n| LinkSpec::Receiver {
        address: format!("{n}/{}", "long".repeat(16)),
        window: 1,
        moody: false,
        think: Duration::ZERO,
    });
    sim.add_client(1, Plan { links: links.collect() });
    settle(&mut sim);
    sim.restart_router(0, Duration::ZERO);
    settle(&mut sim);
}

fn settle(sim: &mut Sim) {
    for _ in 0..20 {
        sim.run(Duration::from_secs(1));
        if check::topology(sim).is_empty() {
            return;
        }
    }
    let faults = check::topology(sim);
    panic!("{} faults, first {:?}", faults.len(), faults.first());
}
