//! Random networks of routers and clients. `SIM_SEED` runs one seed only, `SIM_FIRST` and
//! `SIM_COUNT` choose which seeds run, `SIM_VERBOSE` tells what happened in each, and `SIM_LOG`
//! prints what the routers log.
#![expect(clippy::disallowed_methods, reason = "whoever runs it chooses by the environment")]

use router_engine::core::action::Direction;
use router_engine::core::{AddressConfig, AutoLinkConfig, AutoLinkPeer};
use router_engine::forward::Treatment;
use router_engine::log::{Level, LogModule, Record, observe, set_mask};
use router_engine::port::Liveness;
use router_engine::sim::scenario::{Params, Summary, run};
use router_engine::sim::{LinkSpec, Outcome, Plan, RouterSpec, Script, Sim, TrunkSpec, check, service_scenario};
use router_engine::stream::Notify;
use router_engine::{Effect, Mailbox};
use std::sync::Arc;
use std::time::Duration;

fn print(record: &Record) {
    println!("{} ({}) {}", record.module.name(), record.level.name(), record.text());
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// The seeds that the environment chooses, or `count` of them.
fn seeds(count: u64) -> std::ops::Range<u64> {
    if std::env::var_os("SIM_LOG").is_some() && observe(print) {
        LogModule::ALL.into_iter().for_each(|module| set_mask(module, Level::Debug.and_above()));
    }
    let (first, count) = match number("SIM_SEED") {
        Some(seed) => (seed, 1),
        None => (number("SIM_FIRST").unwrap_or(0), number("SIM_COUNT").unwrap_or(count)),
    };
    first..first + count
}

const CLOSE_WATCH: Liveness = Liveness { interval: Duration::from_millis(100), multiplier: 3 };

/// Runs the scenario of each seed.
fn check(count: u64, params: Params) {
    let summaries: Vec<Summary> = seeds(count).map(|seed| one(seed, params)).collect();
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
fn random_networks_with_edge_routers() {
    check(64, Params { routers: 3, edges: 5, ..Params::default() });
}

/// Connections that stall for long are given up, too.
#[test]
fn random_networks_that_watch_closely() {
    check(24, Params { liveness: Some(CLOSE_WATCH), edges: 2, ..Params::default() });
}

#[test]
fn large_networks() {
    check(4, Params { routers: 14, faults: 20, messages: 200, ..Params::default() });
}

#[test]
fn much_traffic() {
    check(6, Params { routers: 3, faults: 6, messages: 1500, ..Params::default() });
}

/// Addresses of a router that fill many frames, and more than a stream holds, are all learned, after a restart too.
#[test]
fn many_addresses() {
    let mut sim = Sim::new(1);
    for id in ["A", "B"] {
        sim.add_router(RouterSpec::interior(id));
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

/// Nobody is told that a connection carries nothing any more; 400 ms later its routers use another way, if they agreed
/// to watch each other.
#[test]
fn a_dead_connection_is_left_within_the_detection_time() {
    for (liveness, left) in [(Some(CLOSE_WATCH), true), (None, false)] {
        let mut sim = Sim::new(1);
        sim.liveness = liveness;
        for id in ["A", "B", "C"] {
            sim.add_router(RouterSpec::interior(id));
        }
        let trunks = [[0, 1], [0, 2], [2, 1]].map(|ends| {
            let cost = if ends == [0, 1] { 1 } else { 2 };
            sim.add_trunk(TrunkSpec { ends, cost, delay: Duration::from_millis(1) })
        });
        settle(&mut sim);
        sim.run(Duration::from_secs(30));
        sim.mute_trunk(trunks[0]);
        sim.run(Duration::from_millis(400));
        for (from, to) in [(0, "B"), (1, "A")] {
            let rows = sim.router(from).node_rows(sim.now);
            let next_hop = rows.iter().find(|row| row.id == to).and_then(|row| row.next_hop.as_deref());
            assert_eq!(next_hop == Some("C"), left, "to {to} by {next_hop:?} with {liveness:?}");
        }
    }
}

/// Messages of which more has left than a router retains are delivered, or end as the one receiver that had them says.
#[test]
fn large_messages_that_are_to_be_sent_again() {
    let mut outcomes = Vec::new();
    for (routers, treatment) in [(1, "c/#"), (2, "c/#"), (2, "b/#")] {
        let mut sim = Sim::new(1);
        let receivers = line(&mut sim, &["A", "B"][..routers]);
        let address = treatment.replace('#', "one");
        let sender = sim.add_client(0, Plan { links: vec![LinkSpec::ResendSender(address.clone())] });
        for _ in 0..2 {
            let address = address.clone();
            let links = vec![LinkSpec::Receiver { address, window: 3, moody: true, think: Duration::ZERO }];
            sim.add_client(receivers, Plan { links });
        }
        settle(&mut sim);
        for n in 0..40 {
            // The last one is more than all buffers and windows on the way can hold.
            let size = if n < 39 { 300_000 + n * 2_000 } else { 11_000_000 };
            sim.send(sender, 0, &address, size, false, false);
            sim.run(Duration::from_millis(50));
        }
        sim.run(Duration::from_secs(10));
        assert_eq!(check::messages(&sim), Vec::<String>::new(), "{routers} routers, {treatment}");
        outcomes.extend(sim.ledger.records().iter().filter_map(|record| record.outcome));
    }
    for outcome in [Outcome::Accepted, Outcome::Released, Outcome::Modified, Outcome::Rejected] {
        assert!(outcomes.contains(&outcome), "{outcome:?} was not seen in {outcomes:?}");
    }
}

/// Messages to addresses of routers whose ids begin with each other's, on links that were there before the routers knew
/// of each other, and without.
#[test]
fn routers_whose_ids_have_slashes() {
    let ids = ["a", "a/b", "a/b/c"];
    for target in 0..ids.len() {
        let mut sim = Sim::new(1);
        line(&mut sim, &ids);
        let address = format!("_topo/0/{}/q", ids[target]);
        let senders = [LinkSpec::Sender(Some(address.clone())), LinkSpec::Sender(None)];
        for router in 0..ids.len() {
            sim.add_client(router, Plan { links: senders.to_vec() });
        }
        settle(&mut sim);
        let links =
            vec![LinkSpec::Receiver { address: address.clone(), window: 10, moody: false, think: Duration::ZERO }];
        sim.add_client(target, Plan { links });
        sim.run(Duration::from_secs(1));
        for client in 0..ids.len() {
            (0..senders.len()).for_each(|link| sim.send(client, link, &address, 100, false, true));
        }
        sim.run(Duration::from_secs(1));
        assert_eq!(check::probes(&sim, 0), Vec::<String>::new(), "{address}");
        assert_eq!(check::messages(&sim), Vec::<String>::new(), "{address}");
    }
}

/// Routers in a line; the index of the last one.
fn line(sim: &mut Sim, ids: &[&str]) -> usize {
    let config = |treatment| AddressConfig { treatment, priority: None };
    for (index, id) in ids.iter().enumerate() {
        let addresses =
            vec![("c/#".to_owned(), config(Treatment::Closest)), ("b/#".to_owned(), config(Treatment::Balanced))];
        sim.add_router(RouterSpec { addresses, ..RouterSpec::interior(*id) });
        if index > 0 {
            sim.add_trunk(TrunkSpec { ends: [index - 1, index], cost: 1, delay: Duration::from_millis(1) });
        }
    }
    ids.len() - 1
}

/// A chain of three routers started in any order and at any time, with a service on one end: at the first moment that
/// the other end calls the service reachable, a stream reaches it and its answer comes back.
#[test]
fn reachable_services_are_reached() {
    let count = number("SIM_COUNT").unwrap_or(120);
    let seeds = match number("SIM_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..count,
    };
    let faults: Vec<String> = seeds.filter_map(|seed| start_chain(seed).err()).collect();
    assert!(faults.is_empty(), "{} of them failed:\n{}", faults.len(), faults.join("\n"));
}

const SERVICE: &str = "service";
const REPLIES: &str = "_topo/0/A/replies";

fn start_chain(seed: u64) -> Result<(), String> {
    let mut sim = Sim::new(seed);
    let mailbox = Arc::new(Mailbox::default());
    let mut at: [Option<usize>; 3] = [None; 3];
    let mut clients = [0; 2];
    let mut order = vec![0, 1, 2];
    while !order.is_empty() {
        let place = order.swap_remove(sim.rng.below(order.len() as u64) as usize);
        let id = ["A", "B", "C"][place].to_owned();
        let router = sim.add_router(RouterSpec::interior(id));
        at[place] = Some(router);
        match place {
            0 => {
                clients[0] = sim.add_client(router, Plan { links: vec![LinkSpec::Sender(None), receiver(REPLIES)] });
                sim.router(router).watch(SERVICE, Notify { mailbox: Arc::clone(&mailbox), key: 0 });
            }
            2 => clients[1] = sim.add_client(router, Plan { links: vec![LinkSpec::Sender(None), receiver(SERVICE)] }),
            _ => {}
        }
        for other in [place.checked_sub(1), Some(place + 1)].into_iter().flatten() {
            if let Some(other) = at.get(other).copied().flatten() {
                let ends = if sim.rng.below(2) == 0 { [router, other] } else { [other, router] };
                let delay = Duration::from_micros(100 + sim.rng.below(5_000));
                sim.add_trunk(TrunkSpec { ends, cost: 1, delay });
            }
        }
        let pause = [0, 400, 1_500, 6_000][sim.rng.below(4) as usize];
        let pause = Duration::from_millis(sim.rng.below(pause + 1));
        sim.run(pause);
    }
    let open = await_service(&mut sim, &mailbox).ok_or(format!("seed {seed}: not reachable"))?;
    sim.send(clients[0], 0, SERVICE, 400_000, false, true);
    sim.send(clients[1], 0, REPLIES, 400_000, false, true);
    sim.run(Duration::from_secs(5));
    let mut faults = check::probes(&sim, 0);
    faults.extend(check::messages(&sim));
    let (mut effects, mut ready) = (Vec::new(), Vec::new());
    mailbox.take(&mut effects, &mut ready);
    if !effects.iter().all(is_reachable) {
        faults.push("it did not stay reachable".to_owned());
    }
    if faults.is_empty() { Ok(()) } else { Err(format!("seed {seed} after {open:?}: {}", faults.join(", "))) }
}

fn receiver(address: &str) -> LinkSpec {
    LinkSpec::Receiver { address: address.to_owned(), window: 10, moody: false, think: Duration::ZERO }
}

fn is_reachable(effect: &Effect) -> bool {
    matches!(effect, Effect::Watch { counts, .. } if counts.reachable())
}

/// The time from the start of the last router until the service is reachable.
fn await_service(sim: &mut Sim, mailbox: &Mailbox) -> Option<Duration> {
    let start = sim.now;
    let (mut effects, mut ready) = (Vec::new(), Vec::new());
    while sim.now - start < Duration::from_secs(20) {
        mailbox.take(&mut effects, &mut ready);
        if effects.last().is_some_and(is_reachable) {
            return Some(sim.now - start);
        }
        sim.run(Duration::from_millis(1));
    }
    None
}

/// Clients that connect while the only server of their service is away hear nothing of it; with nobody to come they hear of
/// it, though not at once.
#[test]
fn flows_wait_for_a_server_that_comes_back() {
    for (away, served) in [(Duration::from_millis(500), true), (Duration::from_secs(60), false)] {
        let mut sim = Sim::new(1);
        let at = line(&mut sim, &["A", "B"]);
        let server = sim.add_server(at, SERVICE);
        settle(&mut sim);
        sim.delete_server(server, away);
        for _ in 0..20 {
            sim.open_flow(0, SERVICE, Script::plain(100), Script::plain(100_000), served);
            sim.run(Duration::from_millis(20));
        }
        sim.run(Duration::from_secs(10));
        assert_eq!(check::flows(&sim), Vec::<String>::new(), "away for {away:?}");
    }
}

/// Flows of services: nothing is lost, nothing invented, and no part is passed off as the whole.
#[test]
fn random_services() {
    services(20, service_scenario::Params::default());
}

#[test]
fn services_with_nothing_in_the_way() {
    services(4, service_scenario::Params { faults: 0, ..service_scenario::Params::default() });
}

fn services(count: u64, params: service_scenario::Params) {
    let summaries: Vec<service_scenario::Summary> = seeds(count)
        .map(|seed| {
            let summary = service_scenario::run(seed, params);
            let summary =
                summary.unwrap_or_else(|faults| panic!("run again with SIM_SEED={seed}: {params:?}\n{faults}"));
            if std::env::var_os("SIM_VERBOSE").is_some() {
                println!("seed {seed}: {summary:?}");
            }
            summary
        })
        .collect();
    assert!(summaries.iter().map(|s| s.whole).sum::<usize>() > 0, "nothing happened");
}

/// An auto-link for a router.
fn incoming(peer: &str, address: Option<&str>, external: &str) -> AutoLinkConfig {
    let (address, external_address) = (address.map(str::to_owned), Some(external.to_owned()));
    let peer = Some(AutoLinkPeer::Container(peer.to_owned()));
    AutoLinkConfig { name: None, direction: Direction::In, address, external_address, peer }
}

/// Two networks, each of a router at its border, one behind it, and an edge router. The second has a service that the
/// first knows by another name. Returns the connector between them.
fn two_networks(sim: &mut Sim) -> usize {
    let border = [incoming("Y1", None, "_xtopo/x"), incoming("X1", Some(SERVICE), "there")];
    for ((network, at), auto_link) in [("x", 0), ("y", 3)].into_iter().zip(border) {
        let id = |number: usize| format!("{}{number}", network.to_uppercase());
        let network = Some(network.to_owned());
        let first = RouterSpec { auto_links: vec![auto_link], ..RouterSpec::interior(id(1)) };
        for spec in [first, RouterSpec::interior(id(2)), RouterSpec::edge(id(3))] {
            sim.add_router(RouterSpec { network: network.clone(), ..spec });
        }
        for ends in [[at, at + 1], [at + 2, at + 1]] {
            sim.add_trunk(TrunkSpec { ends, cost: 1, delay: Duration::from_millis(1) });
        }
    }
    sim.add_trunk(TrunkSpec { ends: [3, 0], cost: 1, delay: Duration::from_millis(1) })
}

/// Requests to a service of another network, and the answers to reply addresses of their own one, from and to every place in
/// them. When the connection between them fails they do, and nothing else; when it is back they are.
#[test]
fn services_of_other_networks_are_reached_whenever_there_is_a_connection() {
    for at in 3..6 {
        let mut sim = Sim::new(1);
        let connector = two_networks(&mut sim);
        sim.add_server(at, SERVICE);
        sim.run(Duration::from_secs(10));
        let flows = |sim: &mut Sim, served: bool| {
            let script = Script::plain(300_000);
            let flows: Vec<usize> = (0..12).map(|n| sim.open_flow(n % 3, "there", script, script, served)).collect();
            sim.run(Duration::from_secs(10));
            assert_eq!(check::flows(sim), Vec::<String>::new(), "served at {at}");
            let whole = flows.into_iter().filter(|&flow| sim.flow(flow).is_whole()).count();
            assert_eq!(whole, if served { 12 } else { 0 }, "served at {at}");
        };
        flows(&mut sim, true);
        sim.enable_trunk(connector, false);
        sim.run(Duration::from_secs(10));
        flows(&mut sim, false);
        sim.enable_trunk(connector, true);
        sim.run(Duration::from_secs(10));
        flows(&mut sim, true);
        sim.restart_router(3, Duration::from_secs(1));
        sim.run(Duration::from_secs(20));
        flows(&mut sim, true);
        // They remain two networks.
        for (router, expected) in [(0, ["X1", "X2"]), (3, ["Y1", "Y2"])] {
            let mut ids: Vec<String> = sim.router(router).node_rows(sim.now).into_iter().map(|row| row.id).collect();
            ids.sort();
            assert_eq!(ids, expected);
        }
    }
}
