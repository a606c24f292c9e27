//! How soon a network knows of what happened, and what that costs.

mod histories;

use super::net::Net;
use super::truth::Truth;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Pauses of the throttles on the way of a change: of the router where it happened, and of those that learn of it while
/// they wait for what follows from an earlier one.
const THROTTLES: Duration = Duration::from_millis(100);

/// A random network at rest, whose links take up to `latency` for a message.
fn at_rest(n: usize, extra: usize, seed: u64, latency: Duration) -> Net {
    let mut net = Net::new(n, seed, u64::try_from(latency.as_micros()).unwrap_or(0));
    for r in 1..n {
        let to = r - 1 - net.rng.below(r.min(3) as u64) as usize;
        let cost = 1 + net.rng.below(3) as u32;
        net.connect(to, r, cost);
    }
    for _ in 0..extra {
        let (a, b) = (net.rng.below(n as u64) as usize, net.rng.below(n as u64) as usize);
        if a != b && !net.links.iter().any(|l| l.ends.contains(&a) && l.ends.contains(&b)) {
            net.connect(a, b, 1);
        }
    }
    for r in 0..n {
        net.add_address(r, &format!("M{r}"));
    }
    net.run(12 * SECOND);
    let faults = net.faults();
    assert!(faults.is_empty(), "seed {seed}:\n{}", faults.join("\n"));
    net
}

/// The time until no router has a fault.
fn time_to(net: &mut Net, limit: Duration, fault: impl Fn(&Truth, &Net, usize) -> Option<String>) -> Duration {
    let (begin, truth) = (net.now, Truth::of(net));
    let first_fault = |net: &Net, hint: usize| {
        let all = (0..net.routers.len()).map(|r| (r + hint) % net.routers.len());
        all.filter_map(|r| Some((r, fault(&truth, net, r)?))).next()
    };
    let mut hint = 0;
    while let Some((at, fault)) = first_fault(net, hint) {
        assert!(net.now.since(begin) <= limit, "still, {limit:?} after the change: {fault}");
        hint = at;
        net.run(MS);
    }
    net.now.since(begin)
}

fn any_fault(truth: &Truth, net: &Net, r: usize) -> Option<String> {
    wrong_way(truth, net, r).or_else(|| truth.wrong_addresses(net, r).next())
}

fn wrong_way(truth: &Truth, net: &Net, r: usize) -> Option<String> {
    truth.wrong_ways(net, r).next()
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Cut,
    Raise,
    Restart,
}

fn change(net: &mut Net, change: Change) {
    let link = net.rng.below(net.links.len() as u64) as usize;
    let router = net.rng.below(net.routers.len() as u64) as usize;
    match change {
        Change::Cut => net.cut(link),
        Change::Restart => net.restart(router),
        Change::Raise => {
            net.cut(link);
            net.run(5 * SECOND);
            net.raise(link);
        }
    }
}

#[test]
fn ways_follow_a_change_within_the_time_that_messages_need() {
    let mut worst = Duration::ZERO;
    let seeds = super::seeds(9);
    let most = if seeds > 9 { 59 } else { 16 };
    for seed in 0..seeds {
        let n = 2 + (seed * 7 % most) as usize;
        let latency = MS * [1, 5, 20][seed as usize % 3];
        let kind = [Change::Cut, Change::Raise, Change::Restart][seed as usize / 3 % 3];
        let mut net = at_rest(n, n / 3, seed, latency);
        let before = Truth::of(&net).diameter();
        change(&mut net, kind);
        let limit = latency * before.max(Truth::of(&net).diameter()) * 4 + THROTTLES;
        let time = time_to(&mut net, limit, wrong_way);
        worst = worst.max(time);
        net.run(SECOND);
        net.assert_nothing_lasted(&format!("seed {seed}"));
        eprintln!("seed {seed}: {kind:?} among {n}, {latency:?}: {time:?} of {limit:?}, {:?}", net.watch.seen);
    }
    eprintln!("{worst:?} at worst");
}

/// However often one link comes and goes, what the others hear of it is bounded: see [`Pace`](crate::mesh::Pace).
#[test]
fn a_flapping_link_costs_no_more_than_the_pace_allows() {
    let mut net = at_rest(10, 5, 1, 5 * MS);
    let idle = net.transmitted;
    net.run(20 * SECOND);
    let idle = net.transmitted - idle;
    let before = net.transmitted;
    for _ in 0..200 {
        net.cut(0);
        net.run(50 * MS);
        net.raise(0);
        net.run(50 * MS);
    }
    let flapping = net.transmitted - before;
    // Of either end a link state and an advertisement in each act, which each link carries twice at most; greetings over the
    // links of either; and requests that go unanswered.
    let acts = 2 * 30;
    let bound = idle + acts * (2 * 2 * net.links.len() as u64 + 20);
    assert!(flapping <= bound, "{flapping} messages, {idle} without flapping, {bound} allowed");
    let limit = SECOND + 5 * MS * Truth::of(&net).diameter() * 4 + THROTTLES;
    time_to(&mut net, limit, wrong_way);
}

/// The same of one address that comes and goes.
#[test]
fn a_flapping_address_costs_no_more_than_the_pace_allows() {
    let mut net = at_rest(10, 5, 1, 5 * MS);
    let told = |net: &Net, opcode| net.routers[3].told.get(opcode).copied().unwrap_or(0);
    let (begin, before) = (net.now, (told(&net, "MAU"), told(&net, "RA")));
    for _ in 0..200 {
        net.add_address(3, "Mflapping");
        net.run(50 * MS);
        net.remove_address(3, "Mflapping");
        net.run(50 * MS);
    }
    let acts = most_acts(net.now.since(begin));
    let (updates, advertisements) = (told(&net, "MAU") - before.0, told(&net, "RA") - before.1);
    assert!((2..=acts).contains(&updates), "{updates} updates, {acts} are allowed");
    assert!(advertisements <= acts + 1, "{advertisements} advertisements, {acts} are allowed");
}

/// Acts that a throttle lets through in some time: eight, the pauses between them doubling, and no more until a second after the
/// last one.
fn most_acts(time: Duration) -> u64 {
    8 * (1 + time.as_millis() as u64 / 2_270)
}

/// A link that loses everything is not used for longer than it takes to notice.
#[test]
fn a_silent_link_is_left_in_time() {
    let mut net = Net::new(4, 1, 5_000);
    for (a, b) in [(0, 1), (1, 2), (2, 3), (3, 0)] {
        net.connect(a, b, 1);
    }
    net.run(10 * SECOND);
    net.silence(0);
    time_to(&mut net, super::watch::DETECTION + THROTTLES, wrong_way);
    assert!(net.watch.seen.longest_hole > SECOND, "or else there is nothing to see");
    net.assert_nothing_lasted("a link is silent");
}

/// Two routers with two links between them: the other one is used as soon as the first one is lost.
#[test]
fn another_link_takes_over_at_once() {
    let mut net = Net::new(3, 1, 1_000);
    let first = net.connect(0, 1, 1);
    net.connect(0, 1, 1);
    net.connect(1, 2, 1);
    (0..3).for_each(|r| net.add_address(r, &format!("M{r}")));
    net.run(10 * SECOND);
    for used in [first, first + 1] {
        net.cut(used);
        time_to(&mut net, THROTTLES, any_fault);
        net.raise(used);
        net.run(10 * SECOND);
    }
}

/// Two neighbours of a router that dies take each other for the way to it, until each has heard of the other's loss.
#[test]
fn nothing_goes_in_circles_for_a_router_that_died() {
    let mut net = Net::new(4, 1, 5_000);
    for (a, b) in [(0, 1), (0, 2), (1, 2), (0, 3), (1, 3)] {
        net.connect(a, b, 1);
    }
    net.run(10 * SECOND);
    net.links_of(3).into_iter().for_each(|link| net.cut(link));
    net.run(SECOND);
    assert!(net.watch.seen.loops > 0, "or else there is nothing to see");
    net.assert_nothing_lasted("a router died");
}

/// What is flooded goes over links that no way leads over, too: here the way between two neighbours is lost while one of them
/// has news.
#[test]
fn news_come_over_links_that_no_way_leads_over() {
    let mut net = Net::new(4, 1, 5_000);
    net.connect(0, 1, 5);
    let around = [net.connect(0, 2, 1), net.connect(2, 1, 1)];
    let news = net.connect(0, 3, 1);
    net.run(10 * SECOND);
    net.cut(around[1]);
    net.cut(news);
    time_to(&mut net, THROTTLES, wrong_way);
}

/// An address is known at the farthest router when a message has had the time to get there, and so is its end.
#[test]
fn addresses_follow_a_change_within_the_time_that_a_message_needs() {
    for seed in 0..super::seeds(4) {
        let latency = 5 * MS;
        let mut net = at_rest(8, 3, seed, latency);
        let limit = latency * Truth::of(&net).diameter() + 20 * MS;
        let last = net.routers.len() - 1;
        for round in 0..3 {
            net.add_address(last, &format!("Mnew{round}"));
            time_to(&mut net, limit, any_fault);
            net.run(SECOND + MS);
            net.remove_address(last, &format!("Mnew{round}"));
            time_to(&mut net, limit, any_fault);
            net.run(SECOND + MS);
        }
    }
}

/// A random network of which all links are raised at the same time, as after a loss of power.
fn all_at_once(n: usize, extra: usize, seed: u64) -> Net {
    let mut net = Net::new(n, seed, 5_000);
    for r in 1..n {
        let back = if extra == 0 { 1 } else { 1 + net.rng.below(r as u64) as usize };
        net.connect(r - back, r, 1);
    }
    for _ in 0..extra {
        let (a, b) = (net.rng.below(n as u64) as usize, net.rng.below(n as u64) as usize);
        if a != b && !net.links.iter().any(|l| l.ends.contains(&a) && l.ends.contains(&b)) {
            net.connect(a, b, 1);
        }
    }
    (0..n).for_each(|r| net.add_address(r, &format!("M{r}")));
    net
}

/// Nobody waits for the next periodic advertisement, and the messages stay a small multiple of what is inevitable: each
/// router floods a few messages, and asks each other one.
#[test]
fn a_network_starts_as_a_whole() {
    for (n, extra, limit) in [(2, 0, 200), (24, 0, 900), (24, 24, 600), (15, 300, 600)] {
        let mut net = all_at_once(n, extra, 1);
        net.run(limit * MS);
        let faults = net.faults();
        assert!(faults.is_empty(), "{n} routers:\n{}", faults.join("\n"));
        let (n, links, diameter) = (n as u64, net.links.len() as u64, u64::from(Truth::of(&net).diameter()));
        let bound = 6 * n * 2 * links + 5 * n * n * diameter;
        eprintln!("{n} routers, {links} links: {} messages of {bound}, {:?}", net.transmitted, net.counts);
        assert!(net.transmitted <= bound, "{} messages among {n}, {:?}", net.transmitted, net.counts);
    }
}

/// Everybody is everybody's neighbour and hears of each from that one: nobody tells a new neighbour of others. What is left are
/// two floods of each router, each of which goes over every link twice, and a request and its answer of each pair.
#[test]
fn a_full_mesh_starts_without_hearsay() {
    let n = 12;
    let mut net = Net::new(n, 1, 5_000);
    for (a, b) in (1..n).flat_map(|b| (0..b).map(move |a| (a, b))) {
        net.connect(a, b, 1);
    }
    (0..n).for_each(|r| net.add_address(r, &format!("M{r}")));
    time_to(&mut net, 200 * MS, any_fault);
    let n = n as u64;
    eprintln!("{n} routers: {} messages, {:?}", net.transmitted, net.counts);
    assert!(net.counts["LSU"] <= n * n && net.counts["RA"] <= 2 * n, "{:?}", net.counts);
    assert!(net.transmitted <= 3 * n * n * n, "{} messages", net.transmitted);
}

/// Of what may hold a change of an address up after any history: the pause of the throttle of the router where it happened,
/// that of the one that has to tell a new neighbour of it, and repeated requests, which double from 50 milliseconds.
const AFTER_ANY_HISTORY: Duration = Duration::from_millis(1_000 + 1_000 + 750);

/// Whatever an address update crosses on its way.
#[test]
fn addresses_get_through_changes_of_the_topology() {
    let mut worst = Duration::ZERO;
    for seed in 0..super::seeds(12) {
        let latency = MS * [1, 5, 20][seed as usize % 3];
        let mut net = at_rest(4 + (seed % 7) as usize, (seed % 5) as usize, seed, latency);
        let router = net.rng.below(net.routers.len() as u64) as usize;
        let steps = 1 + net.rng.below(30);
        let when = net.rng.below(steps);
        for step in 0..steps {
            if step == when {
                net.add_address(router, "Mnew");
            }
            let link = net.rng.below(net.links.len() as u64) as usize;
            match net.rng.below(8) {
                0..3 => net.cut(link),
                3..6 => net.raise(link),
                6 => net.add_address(router, &format!("M{step}")),
                _ => net.remove_address(router, &format!("M{step}")),
            }
            let pause = net.rng.below(40);
            net.run(MS * u32::try_from(pause).unwrap_or(0));
        }
        let limit = latency * Truth::of(&net).diameter() * 4 + AFTER_ANY_HISTORY;
        let time = time_to(&mut net, limit, |truth, net, r| {
            truth.lacks(net, r, router, "Mnew").then(|| format!("r{r:02} lacks it at r{router:02}"))
        });
        worst = worst.max(time);
        eprintln!("seed {seed}: {time:?} of {limit:?}");
    }
    eprintln!("{worst:?} at worst");
}

/// More routers than the C router can tell apart, with addresses in turn. `MESH_ROUTERS` and `MESH_ADDRESSES` have other
/// numbers of them.
#[test]
fn a_network_of_many_routers_settles() {
    #[expect(clippy::disallowed_methods, reason = "whoever runs it chooses by the environment")]
    let setting = |name, default| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (count, addresses): (usize, usize) = (setting("MESH_ROUTERS", 135), setting("MESH_ADDRESSES", 20));
    let mut net = Net::new(count, 1, 10_000);
    for r in 1..count {
        let to = net.rng.below(r as u64) as usize;
        net.connect(to, r, 1);
        let other = net.rng.below(count as u64) as usize;
        if r % 5 == 0 && ![to, r].contains(&other) {
            net.connect(other, r, 2);
        }
    }
    (0..addresses).for_each(|n| net.add_address(n % count, &format!("Mservice{n}")));
    net.run(12 * SECOND);
    let faults = net.faults();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(net.routers[count - 1].nodes.len(), count - 1);
    println!("{count} routers, {addresses} addresses: {:?}", net.counts);
}
