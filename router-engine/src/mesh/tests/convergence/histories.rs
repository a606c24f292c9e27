//! Random histories of faults in networks of 2 to 60 routers, with delays of 0.1 to 50 milliseconds on their links: after the
//! last fault everything is right in time, nothing goes in circles for long meanwhile (see [`watch`](super::super::watch)), and
//! messages are bounded.

use super::super::{first_seed, seeds};
use super::*;

/// Of links, microseconds.
const SHORTEST: u64 = 100;
const LONGEST: u64 = 50_000;

/// Of what may hold everything up after any history: the pause of the throttle of the router where the last change happened,
/// that of those that learn of it, and requests that were in vain until then. They are repeated after growing pauses, so at most
/// after as long again.
const PAUSES: Duration = Duration::from_millis(1_000 + 1_000 + 1_000 + 100);

/// What routers add to all bounds that act at ticks alone: they compute with a tick what they learn, and ask for it with another
/// one; what is lost on links that no way leads over is told again with router advertisements, every four seconds, of which
/// the first may be lost as well; and the pauses between requests that were in vain for so long have grown to four seconds.
const TICKING: Duration = Duration::from_millis(1_000 + 1_000 + 2 * 4_000 + 4_000);

/// Until a router of the C kind has surely told again what was lost: between its advertisements when there is no flux.
const PERIODIC: Duration = Duration::from_secs(30);

/// Time without changes after which the interval of router advertisements is no longer that of flux.
const FLUX: Duration = Duration::from_secs(9);

#[derive(Debug, Clone, Copy)]
enum Fault {
    Cut,
    Raise,
    Restart,
    Death,
    Revival,
    Partition,
    Merge,
    Flapping,
    Address,
}

const FAULTS: [Fault; 11] = [
    Fault::Cut,
    Fault::Cut,
    Fault::Raise,
    Fault::Raise,
    Fault::Restart,
    Fault::Death,
    Fault::Revival,
    Fault::Partition,
    Fault::Merge,
    Fault::Flapping,
    Fault::Address,
];

/// A random network of which all links are raised at the same time, with the routers `ticking` acting at ticks alone.
fn random_network(n: usize, seed: u64, ticking: u64) -> Net {
    let mut net = Net::new(n, seed, LONGEST);
    (0..n).filter(|r| ticking >> r & 1 == 1).for_each(|r| net.make_ticking(r));
    let reach = 1 + net.rng.below(n as u64);
    for r in 1..n {
        let back = 1 + net.rng.below(reach.min(r as u64)) as usize;
        connect(&mut net, r - back, r);
    }
    for _ in 0..net.rng.below(2 * n as u64) {
        let (a, b) = (pick(&mut net, n), pick(&mut net, n));
        if a != b && !net.links.iter().any(|l| l.ends.contains(&a) && l.ends.contains(&b)) {
            connect(&mut net, a, b);
        }
    }
    (0..n).for_each(|r| net.add_address(r, &format!("M{r}")));
    net
}

/// A link of a random cost and delay, every magnitude of delay as frequent as any other.
fn connect(net: &mut Net, a: usize, b: usize) {
    let cost = [1, 1, 1, 2, 5][pick(net, 5)];
    let magnitude = SHORTEST << net.rng.below(9);
    let longest = (magnitude + net.rng.below(magnitude)).min(LONGEST);
    net.connect_over(a, b, cost, longest / 2..=longest);
}

fn pick(net: &mut Net, of: usize) -> usize {
    net.rng.below(of as u64) as usize
}

fn up_to(net: &mut Net, longest: Duration) -> Duration {
    Duration::from_micros(net.rng.below(longest.as_micros() as u64 + 1))
}

fn happens(net: &mut Net, fault: Fault) {
    let (link, router) = (pick(net, net.links.len()), pick(net, net.routers.len()));
    match fault {
        Fault::Cut => net.cut(link),
        Fault::Raise => net.raise(link),
        Fault::Restart => net.restart(router),
        Fault::Death => net.links_of(router).into_iter().for_each(|link| net.cut(link)),
        Fault::Revival => net.routers[router].links.clone().into_iter().for_each(|link| net.raise(link)),
        Fault::Partition => {
            let parts = |ends: [usize; 2]| ends.map(|end| end < router);
            (0..net.links.len()).for_each(|link| match parts(net.links[link].ends) {
                [true, false] | [false, true] => net.cut(link),
                _ => {}
            });
        }
        Fault::Merge => (0..net.links.len()).for_each(|link| net.raise(link)),
        Fault::Flapping => flaps(net, link),
        Fault::Address => {
            let key = format!("M{}", pick(net, 4));
            if pick(net, 2) == 0 { net.add_address(router, &key) } else { net.remove_address(router, &key) }
        }
    }
}

fn flaps(net: &mut Net, link: usize) {
    let pause = up_to(net, 400 * MS);
    for _ in 0..pick(net, 10) {
        net.cut(link);
        net.run(pause);
        net.raise(link);
        net.run(pause);
    }
}

fn history(net: &mut Net) {
    for _ in 0..=pick(net, 20) {
        let longest = MS * [0, 20, 300, 3_000, 20_000][pick(net, 5)];
        let pause = up_to(net, longest);
        net.run(pause);
        let fault = FAULTS[pick(net, FAULTS.len())];
        happens(net, fault);
    }
}

/// What each router told all others of itself is within what its throttles let through, and what follows from it is in
/// proportion: it crosses each link once in either direction, or again if it came by a shorter way, or as hearsay; and each
/// other router asks for it once, or again if that is in vain.
fn assert_bounded(net: &Net, seed: u64, time: Duration) {
    let acts = most_acts(time);
    let periodic = 1 + time.as_secs() / 4;
    let (sent, bound) = (net.transmitted - net.greetings, 12 * net.floods * net.links.len() as u64);
    assert!(sent <= bound, "seed {seed}: {sent} messages, {bound} are allowed for {} floods", net.floods);
    for (r, router) in net.routers.iter().enumerate() {
        for (opcode, bound) in [("LSU", acts), ("MAU", acts), ("RA", 2 * acts + periodic)] {
            let told = router.told.get(opcode).copied().unwrap_or(0);
            assert!(told <= bound, "seed {seed}: r{r:02} flooded {told} {opcode} in {time:?}, {bound} are allowed");
        }
    }
}

/// Nothing is sent but greetings, and an advertisement of each router every half a minute.
fn assert_quiet(net: &mut Net, seed: u64) {
    net.run(FLUX + 2 * SECOND);
    net.counts.clear();
    net.run(20 * SECOND);
    let n = net.routers.len() as u64;
    for (opcode, sent) in &net.counts {
        let bound = match *opcode {
            "HELLO" => 21 * n,
            "RA" => n,
            _ => 0,
        };
        assert!(*sent <= bound, "seed {seed}: {sent} {opcode}, {bound} are allowed when nothing happens");
    }
}

/// Lets a network with these routers of the C kind go through a random history, and returns how long it took to settle.
fn settles(seed: u64, n: usize, ticking: u64) -> Duration {
    let mut net = random_network(n, seed, ticking);
    let begin = net.now;
    let mixed = net.routers.iter().any(|r| r.ticks);
    let (grace, slack) = if mixed { (TICKING, TICKING + PERIODIC) } else { (Duration::ZERO, Duration::ZERO) };
    net.watch.grace = grace;
    let before = Truth::of(&net).span();
    history(&mut net);
    let limit = before.max(Truth::of(&net).span()) * 4 + PAUSES + slack;
    eprint!("seed {seed}: {n} routers, {} links, {slack:?} for ticks: ", net.links.len());
    let time = time_to(&mut net, limit, any_fault);
    let (sent, floods) = (net.transmitted - net.greetings, net.floods);
    eprintln!("{time:?} of {limit:?}, {:?}, {sent} messages, {floods} floods, {:?}", net.watch.seen, net.counts);
    assert_bounded(&net, seed, net.now.since(begin));
    assert_quiet(&mut net, seed);
    net.assert_nothing_lasted(&format!("seed {seed}"));
    time
}

#[test]
fn histories_converge_without_loops() {
    let (first, count) = (first_seed(), seeds(4));
    let mut worst = Duration::ZERO;
    let most = if count > 4 || first > 0 { 59 } else { 13 };
    for seed in first..first + count {
        let n = 2 + (seed * 7 % most) as usize;
        // In every third network some are of the C kind.
        let ticking = if seed % 3 == 2 { (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) } else { 0 };
        worst = worst.max(settles(seed, n, ticking));
    }
    eprintln!("{worst:?} at worst");
}
