//! Whole networks: start-up, loss, restart, and random histories.

use super::net::Net;
use proptest::prelude::*;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// Runs until nothing is wrong, and returns how many seconds that took.
fn settle(net: &mut Net, limit: u32) -> u32 {
    for seconds in 0..limit {
        if net.faults().is_empty() {
            return seconds;
        }
        net.run(SECOND);
    }
    let faults = net.faults();
    assert!(faults.is_empty(), "after {limit} s:\n{}", faults.join("\n"));
    limit
}

fn line(n: usize) -> Net {
    let mut net = Net::new(n, 1, 30_000);
    for r in 1..n {
        net.connect(r - 1, r, 1);
    }
    net
}

#[test]
fn two_routers_find_each_other() {
    let mut net = line(2);
    net.add_address(0, "Mx");
    net.add_address(1, "HE");
    assert!(settle(&mut net, 10) <= 6);
    // Nothing goes on but HELLO, and RA twice a minute once the flux is over.
    net.run(10 * SECOND);
    net.counts.clear();
    net.run(60 * SECOND);
    assert_eq!(net.counts.keys().copied().collect::<Vec<_>>(), ["HELLO", "RA"]);
    assert!(net.counts["RA"] <= 2 * 3);
    net.remove_address(0, "Mx");
    net.add_address(0, "My");
    assert!(settle(&mut net, 10) <= 2);
}

#[test]
fn a_line_of_twelve_settles() {
    let mut net = line(12);
    for r in 0..12 {
        net.add_address(r, &format!("M{r}"));
        net.add_address(r, "Mshared");
    }
    settle(&mut net, 30);
}

/// Two ways lead from 0 to 3; the router on the shorter one is about to stop. There is one way to 4, through 3.
#[test]
fn ways_avoid_a_router_that_is_about_to_stop_where_they_can() {
    let mut net = Net::new(5, 1, 30_000);
    for (a, b, cost) in [(0, 1, 1), (1, 3, 1), (0, 2, 10), (2, 3, 10), (3, 4, 1)] {
        net.connect(a, b, cost);
    }
    settle(&mut net, 30);
    let ways = |net: &Net| [(0, 3), (3, 0), (0, 1), (3, 1), (1, 3), (1, 0), (0, 4)].map(|(a, b)| net.first_hop(a, b));
    assert_eq!(ways(&net), [1, 1, 1, 1, 3, 0, 1].map(Some));
    net.withdraw(1);
    net.run(SECOND);
    assert_eq!(ways(&net), [2, 2, 1, 1, 3, 0, 2].map(Some), "it can be reached, and reaches others, as before");
    net.withdraw(3);
    net.run(SECOND);
    assert_eq!(net.first_hop(0, 4), Some(2), "a router is gone through that there is no way round");
}

/// However many routers a request passes that lack the answer too.
#[test]
fn a_long_line_does_not_drown_in_requests() {
    let n = 20;
    let mut net = line(n);
    net.add_address(n - 1, "Mx");
    settle(&mut net, 60);
    let requests = net.counts["MAR"];
    assert!(requests < 60 * (n * n) as u64, "{requests} requests");
}

#[test]
fn a_killed_and_restarted_neighbour() {
    let mut net = line(2);
    net.add_address(1, "Mx");
    settle(&mut net, 10);
    net.cut(0);
    net.run(3 * SECOND);
    assert!(net.faults().is_empty(), "addresses are flushed two ticks after the loss: {:?}", net.faults());
    net.raise(0);
    net.restart(1);
    settle(&mut net, 10);
}

#[test]
fn a_silent_link_is_given_up_after_three_seconds() {
    let mut net = line(3);
    net.add_address(2, "Mx");
    settle(&mut net, 20);
    net.links[1].mute = true;
    net.run(7 * SECOND);
    assert!(net.faults().is_empty(), "{:?}", net.faults());
    net.raise(1);
    settle(&mut net, 20);
}

#[test]
fn a_partition_of_hours_heals() {
    let mut net = line(6);
    for r in 0..6 {
        net.add_address(r, &format!("M{r}"));
    }
    settle(&mut net, 30);
    net.cut(2);
    net.run(7200 * SECOND);
    assert!(net.routers.iter().all(|r| r.nodes.len() == 2), "the others are forgotten");
    net.raise(2);
    settle(&mut net, 40);
}

#[test]
fn a_partition_of_about_a_minute_heals() {
    for seconds in [55, 60, 65, 70, 75, 80, 90] {
        let mut net = line(6);
        (0..6).for_each(|r| net.add_address(r, &format!("M{r}")));
        settle(&mut net, 30);
        net.cut(2);
        net.run(seconds * SECOND);
        net.raise(2);
        settle(&mut net, 40);
    }
}

/// Whenever a router is told to be reachable, payload goes to each of its addresses and back from then on: whichever
/// routers start and connect first.
#[test]
fn reachable_routers_carry_flows_both_ways() {
    for seed in 0..super::seeds(100) {
        let mut net = Net::new(2 + (seed % 4) as usize, seed, 20_000);
        let last = net.routers.len() - 1;
        let mut gaps: Vec<usize> = (0..last).collect();
        for service in [0, last] {
            net.add_address(service, "Mservice");
        }
        let mut up = Vec::new();
        while !gaps.is_empty() {
            let pick = net.rng.below(gaps.len() as u64) as usize;
            let gap = gaps.swap_remove(pick);
            net.connect(gap, gap + 1, 1);
            let pause = [0, 300, 1_500, 5_000][net.rng.below(4) as usize];
            let time = Duration::from_millis(net.rng.below(pause + 1));
            keeps_promises(&mut net, time, &mut up, seed);
        }
        keeps_promises(&mut net, 15 * SECOND, &mut up, seed);
        // One more service on a running network.
        net.add_address(last, "Mlate");
        keeps_promises(&mut net, 3 * SECOND, &mut up, seed);
        settle(&mut net, 30);
    }
}

/// Steps through some time. What was reachable at any moment must stay so and be true.
fn keeps_promises(net: &mut Net, time: Duration, up: &mut Vec<(usize, String)>, seed: u64) {
    let end = net.now + time;
    while net.step(end) {
        let faults = net.empty_promises();
        assert!(faults.is_empty(), "seed {seed} at {:?}:\n{}", net.now, faults.join("\n"));
        for (r, router) in net.routers.iter().enumerate() {
            for node in router.nodes.values() {
                let place = up.iter().position(|(at, id)| *at == r && *id == node.id);
                assert!(node.reachable || place.is_none(), "seed {seed}: {} is lost to {r}", node.id);
                if node.reachable && place.is_none() {
                    up.push((r, node.id.clone()));
                }
            }
        }
    }
    net.run(end.since(net.now));
}

/// Opening takes no longer than it must: the answer is asked for as soon as the ways are computed.
#[test]
fn reachability_follows_soon() {
    let mut worst = 0;
    for seed in 0..60 {
        let mut net = Net::new(3, seed, 5_000);
        net.add_address(2, "Mservice");
        net.connect(0, 1, 1);
        net.connect(1, 2, 1);
        for tenths in 0..200 {
            net.run(SECOND / 10);
            let open = net.routers[0].nodes.values().any(|n| n.id == "r02" && n.reachable && !n.addresses.is_empty());
            if open {
                worst = worst.max(tenths);
                break;
            }
            assert!(tenths < 199, "seed {seed}");
        }
    }
    eprintln!("open after {worst} tenths of a second at the latest");
    assert!(worst <= 70, "{worst}");
}

/// The loss of a link takes away at once what is only reached over it, and nothing that another way leads to.
#[test]
fn a_lost_link_ends_reachability_at_once() {
    let mut net = line(3);
    net.connect(0, 3 - 1, 5);
    (0..3).for_each(|r| net.add_address(r, &format!("M{r}")));
    settle(&mut net, 20);
    let reachable = |net: &Net, id: &str| net.routers[0].nodes.values().any(|n| n.id == id && n.reachable);
    net.cut(0);
    for _ in 0..100 {
        assert!(reachable(&net, "r01") && reachable(&net, "r02"), "there is another way");
        net.run(SECOND / 10);
    }
    net.cut(2);
    assert!(!reachable(&net, "r01") && !reachable(&net, "r02"));
    net.raise(2);
    settle(&mut net, 20);
    assert!(reachable(&net, "r01") && reachable(&net, "r02"));
}

#[derive(Debug, Clone)]
enum Step {
    Cut(usize),
    Raise(usize),
    Mute(usize),
    Restart(usize),
    Add(usize, u8),
    Remove(usize, u8),
    Run(u8),
}

fn step() -> impl Strategy<Value = Step> {
    let any = 0_usize..1000;
    prop_oneof![
        2 => any.clone().prop_map(Step::Cut),
        2 => any.clone().prop_map(Step::Raise),
        1 => any.clone().prop_map(Step::Mute),
        1 => any.clone().prop_map(Step::Restart),
        3 => (any.clone(), 0_u8..6).prop_map(|(r, a)| Step::Add(r, a)),
        2 => (any, 0_u8..6).prop_map(|(r, a)| Step::Remove(r, a)),
        4 => (1_u8..100).prop_map(Step::Run),
    ]
}

fn apply(net: &mut Net, step: &Step) {
    let (links, routers) = (net.links.len(), net.routers.len());
    match *step {
        Step::Cut(link) => net.cut(link % links),
        Step::Raise(link) => net.raise(link % links),
        Step::Mute(link) => net.links[link % links].mute = true,
        Step::Restart(r) => net.restart(r % routers),
        Step::Add(r, a) => net.add_address(r % routers, &format!("Ma{a}")),
        Step::Remove(r, a) => net.remove_address(r % routers, &format!("Ma{a}")),
        // Some steps follow each other at once, some after a fraction of a second, some later.
        Step::Run(tenths) => net.run(Duration::from_millis(u64::from(tenths) * 100)),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: u32::try_from(super::seeds(8)).unwrap_or(u32::MAX), max_shrink_iters: 20, failure_persistence: None, ..ProptestConfig::default() })]

    /// After the last fault every network becomes what its links make of it: shortest ways, the
    /// agreed valid origins, and exactly the addresses that there are.
    #[test]
    fn random_histories_settle(
        n in 2_usize..=20,
        seed: u64,
        extra in 0_usize..20,
        latency in prop_oneof![Just(1_000_u64), Just(50_000), Just(400_000)],
        steps in proptest::collection::vec(step(), 0..40),
        ticking in prop_oneof![Just(0_u64), Just(0b1010_1010_1010), any::<u64>()],
    ) {
        let mut net = Net::new(n, seed, latency);
        (0..n).filter(|r| ticking >> r & 1 == 1).for_each(|r| net.make_ticking(r));
        for r in 1..n {
            let to = net.rng.below(r as u64) as usize;
            let cost = 1 + net.rng.below(3) as u32;
            net.connect(to, r, cost);
        }
        for _ in 0..extra {
            let (a, b) = (net.rng.below(n as u64) as usize, net.rng.below(n as u64) as usize);
            let cost = 1 + net.rng.below(3) as u32;
            if a != b && !net.links.iter().any(|l| l.ends.contains(&a) && l.ends.contains(&b)) {
                net.connect(a, b, cost);
            }
        }
        for step in &steps {
            apply(&mut net, step);
        }
        let seconds = settle(&mut net, 65);
        #[expect(clippy::disallowed_methods, reason = "whoever runs it chooses by the environment")]
        if std::env::var_os("MESH_TIMES").is_some() {
            eprintln!("settled in {seconds} s");
        }
        // It stays that way.
        net.run(65 * SECOND);
        let faults = net.faults();
        prop_assert!(faults.is_empty(), "later:\n{}", faults.join("\n"));
    }
}
