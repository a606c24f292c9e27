use super::*;
use proptest::prelude::*;

/// Links `A-B`, with `:cost`; `A>B` is one way.
fn states(links: &str) -> BTreeMap<String, Peers> {
    let mut states: BTreeMap<String, Peers> = BTreeMap::new();
    for link in links.split(' ') {
        let (ends, cost) = link.split_once(':').unwrap_or((link, "1"));
        let cost: u32 = cost.parse().expect("a cost");
        let (a, b) = ends.split_once(['-', '>']).expect("two ends");
        states.entry(a.to_owned()).or_default().insert(b.to_owned(), cost);
        let back = states.entry(b.to_owned()).or_default();
        if ends.contains('-') {
            back.insert(a.to_owned(), cost);
        }
    }
    states
}

fn run<'a>(own: &'a str, states: &'a BTreeMap<String, Peers>) -> Paths<'a> {
    compute(own, &states.iter().map(|(id, peers)| (id.as_str(), peers)).collect::<Vec<_>>())
}

/// `next hops | costs | valid origins | radius`, as in the table of the spec.
fn summary(paths: &Paths<'_>) -> String {
    let row = |f: &dyn Fn(&str, &Path<'_>) -> String| {
        paths.paths.iter().map(|(id, p)| f(id, p)).collect::<Vec<_>>().join(" ")
    };
    format!(
        "{} | {} | {} | {}",
        row(&|id, p| format!("{id}:{}", p.next_hop)),
        row(&|id, p| format!("{id}{}", p.cost)),
        row(&|id, p| format!("{id}:[{}]", p.valid_origins.join(","))),
        paths.radius
    )
}

#[test]
fn vectors_of_the_protocol() {
    let odd = "A-B A-C B-D C-D A-D:5 D-E:2";
    for (links, own, want) in [
        ("A-B B-C", "B", "A:A C:C | A1 C1 | A:[C] C:[A] | 1"),
        ("A-B B-C", "A", "B:B C:B | B1 C2 | B:[] C:[] | 2"),
        ("A-B B-C C-D D-A", "A", "B:B C:B D:D | B1 C2 D1 | B:[D] C:[] D:[B] | 2"),
        ("A-B B-C C-D D-A", "B", "A:A C:C D:A | A1 C1 D2 | A:[C] C:[A] D:[] | 2"),
        ("A-B B-C C-D D-A", "C", "A:B B:B D:D | A2 B1 D1 | A:[] B:[] D:[] | 2"),
        ("A-B B-C C-D D-A", "D", "A:A B:A C:C | A1 B2 C1 | A:[] B:[] C:[] | 2"),
        (odd, "A", "B:B C:C D:B E:B | B1 C1 D2 E4 | B:[C] C:[B] D:[] E:[] | 3"),
        (odd, "B", "A:A C:A D:D E:D | A1 C2 D1 E3 | A:[D,E] C:[] D:[A] E:[A] | 2"),
        (odd, "D", "A:B B:B C:C E:E | A2 B1 C1 E2 | A:[E] B:[E] C:[E] E:[A,B,C] | 2"),
        ("A>B C>B", "A", "B:B | B1 | B:[] | 1"),
    ] {
        let states = states(links);
        assert_eq!(summary(&run(own, &states)), want, "{own} in {links}");
    }
    let one_way = states("A>B C>B");
    assert_eq!(run("A", &one_way).unreachable, BTreeSet::from(["C"]));
}

/// The radius counts the hops of every way of least cost, not of the chosen one only: routers in the middle choose by
/// themselves, and what took the longer way must not be dropped.
#[test]
fn radius_is_that_of_the_longest_equal_way() {
    let states = states("A-B:3 A-C C-D D-B B-E");
    let paths = run("A", &states);
    assert_eq!((paths.paths["E"].next_hop, paths.paths["E"].cost), ("B", 4));
    assert_eq!(paths.radius, 4);
}

#[test]
fn alone() {
    let peers = Peers::new();
    assert_eq!(compute("A", &[("A", &peers)]), Paths::default());
    assert_eq!(compute("A", &[]), Paths::default());
}

#[test]
fn a_router_without_a_stored_state_gets_a_way_back() {
    let a = Peers::from([("B".to_owned(), 7)]);
    let b = Peers::from([("A".to_owned(), 7), ("X".to_owned(), 2)]);
    let paths = compute("B", &[("A", &a), ("B", &b)]);
    assert_eq!(summary(&paths), "A:A X:X | A7 X2 | A:[X] X:[A] | 1");
}

#[test]
fn costs_saturate() {
    let mut states = states("A-B:4294967295 B-C:4294967295");
    assert_eq!(run("A", &states).paths["C"].cost, u32::MAX);
    states.remove("C");
    assert_eq!(run("A", &states).paths["C"].cost, u32::MAX);
}

fn floyd(states: &BTreeMap<String, Peers>) -> BTreeMap<(String, String), u64> {
    let ids: Vec<_> = states.keys().cloned().collect();
    let mut d: BTreeMap<(String, String), u64> = BTreeMap::new();
    for (from, peers) in states {
        d.insert((from.clone(), from.clone()), 0);
        for (to, cost) in peers {
            d.insert((from.clone(), to.clone()), u64::from(*cost));
        }
    }
    for k in &ids {
        for i in &ids {
            for j in &ids {
                let (Some(a), Some(b)) = (d.get(&(i.clone(), k.clone())), d.get(&(k.clone(), j.clone()))) else {
                    continue;
                };
                let sum = a + b;
                let best = d.entry((i.clone(), j.clone())).or_insert(sum);
                *best = sum.min(*best);
            }
        }
    }
    d
}

/// A message from `origin` for everybody, forwarded by valid origins: how often each router gets it.
fn multicast(origin: &str, all: &BTreeMap<&str, Paths<'_>>) -> BTreeMap<String, u32> {
    let mut got: BTreeMap<String, u32> = BTreeMap::new();
    let mut at = vec![origin];
    while let Some(router) = at.pop() {
        let hops: BTreeSet<&str> = all[router]
            .paths
            .values()
            .filter(|p| router == origin || p.valid_origins.contains(&origin))
            .map(|p| p.next_hop)
            .collect();
        for hop in hops {
            *got.entry(hop.to_owned()).or_default() += 1;
            at.push(all.keys().find(|id| **id == hop).expect("known"));
        }
        assert!(got.values().all(|n| *n < 10), "a loop");
    }
    got
}

proptest! {
    #[test]
    fn costs_are_shortest_and_multicast_reaches_everybody_once(
        n in 2_u8..12,
        links in proptest::collection::vec((0_u8..12, 0_u8..12, 1_u32..4), 1..30),
    ) {
        let name = |i: u8| format!("r{}", i % n);
        let mut states: BTreeMap<String, Peers> = (0..n).map(|i| (name(i), Peers::new())).collect();
        for (a, b, cost) in links {
            if a % n != b % n {
                states.entry(name(a)).or_default().insert(name(b), cost);
                states.entry(name(b)).or_default().insert(name(a), cost);
            }
        }
        let shortest = floyd(&states);
        let all: BTreeMap<&str, Paths<'_>> = states.keys().map(|id| (id.as_str(), run(id, &states))).collect();
        for (own, paths) in &all {
            for to in states.keys().filter(|to| to != own) {
                let want = shortest.get(&((*own).to_owned(), to.clone()));
                prop_assert_eq!(paths.paths.get(to.as_str()).map(|p| u64::from(p.cost)), want.copied());
                prop_assert_eq!(paths.unreachable.contains(to.as_str()), want.is_none());
            }
            let got = multicast(own, &all);
            prop_assert!(got.values().all(|n| *n == 1), "{:?}", got);
            prop_assert_eq!(got.len(), paths.paths.len());
        }
    }
}
