//! Arbitrary messages: nothing breaks, and nothing grows without bound.

use super::*;
use amqp_core::value::Symbol;
use proptest::prelude::*;

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => proptest::sample::select(vec!["A", "B", "C", "D"]).prop_map(str::to_owned),
        1 => "[a-z/.$]{0,4}",
        1 => (0_u16..300).prop_map(|n| format!("r{n}")),
    ]
}

fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        6 => (-2_i64..6).prop_map(Value::Long),
        1 => any::<i64>().prop_map(Value::Long),
        1 => any::<u64>().prop_map(Value::Ulong),
        1 => (-3_i32..9).prop_map(Value::Int),
        1 => Just(Value::Bool(true)),
        1 => Just(Value::Null),
    ]
}

fn descriptors() -> impl Strategy<Value = Value> {
    let class = proptest::sample::select(vec!["M", "H", "N", "L", "R", ""]);
    let key = (class, name()).prop_map(|(class, name)| format!("{class}{name}")).boxed();
    let item = prop_oneof![
        4 => (key.clone(), number()).prop_map(|(key, hint)| Value::List(vec![key.into(), hint, Value::Int(0)])),
        1 => key.prop_map(Value::from),
        1 => number(),
    ];
    prop_oneof![4 => proptest::collection::vec(item, 0..6).prop_map(Value::List), 1 => number()]
}

fn body() -> impl Strategy<Value = Map> {
    let peers = proptest::collection::vec((name(), number()), 0..5)
        .prop_map(|entries| Value::Map(entries.into_iter().collect::<Map>()));
    let state = (name(), number(), peers).prop_map(|(id, seq, peers)| {
        Value::Map(Map::new().with("id", id).with("area", "0").with("ls_seq", seq).with("peers", peers))
    });
    let seen = proptest::collection::vec(name().prop_map(Value::from), 0..4).prop_map(Value::List);
    let entry = prop_oneof![
        (Just("pv"), number()),
        (Just("instance"), number()),
        (Just("ls_seq"), number()),
        (Just("mobile_seq"), number()),
        (Just("have_seq"), number()),
        (Just("ls"), prop_oneof![4 => state, 1 => number()]),
        (Just("seen"), prop_oneof![4 => seen, 1 => number()]),
        (Just("exist"), descriptors()),
        (Just("add"), descriptors()),
        (Just("del"), descriptors()),
    ];
    (name(), any::<bool>(), proptest::collection::vec(entry, 0..7)).prop_map(|(id, symbols, entries)| {
        let key = |key: &'static str| if symbols { Value::Symbol(Symbol::from(key)) } else { Value::from(key) };
        let mut map = Map::new().with(key("id"), id);
        entries.into_iter().for_each(|(name, value)| map.push(key(name), value));
        map
    })
}

#[derive(Debug, Clone)]
enum Step {
    Message(&'static str, Map, Option<(NeighbourIndex, u32)>),
    Lost(NeighbourIndex),
    Local(bool, u8),
    Tick,
}

fn step() -> impl Strategy<Value = Step> {
    let opcode = proptest::sample::select(vec!["HELLO", "RA", "LSR", "LSU", "MAR", "MAU", "NONE"]);
    let from = proptest::option::of(((0_usize..4).prop_map(NeighbourIndex::at), 0_u32..4));
    prop_oneof![
        8 => (opcode, body(), from).prop_map(|(opcode, body, from)| Step::Message(opcode, body, from)),
        1 => (0_usize..4).prop_map(|link| Step::Lost(NeighbourIndex::at(link))),
        1 => (any::<bool>(), 0_u8..4).prop_map(|(added, key)| Step::Local(added, key)),
        2 => Just(Step::Tick),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn nothing_breaks(steps in proptest::collection::vec(step(), 0..120)) {
        let mut a = Fixture::new();
        let mut mapped = std::collections::BTreeSet::new();
        for step in steps {
            let out = match step {
                Step::Message(opcode, body, from) => {
                    a.mesh.handle_message(opcode, &body, from, a.now);
                    a.drain()
                }
                Step::Lost(link) => {
                    a.mesh.link_lost(link, a.now);
                    a.drain()
                }
                Step::Local(added, key) => {
                    let key = format!("M{key}");
                    if added { a.mesh.local_added(&key, 3, 0, a.now) } else { a.mesh.local_removed(&key, a.now) }
                    a.drain()
                }
                Step::Tick => a.tick(),
            };
            prop_assert!(a.mesh.nodes().count() < MAX_ROUTERS);
            for output in out {
                match output {
                    MeshOutput::MapAddress { node: index, key, .. } => drop(mapped.insert((index, key))),
                    MeshOutput::UnmapAddress { node: index, key } => prop_assert!(mapped.remove(&(index, key))),
                    MeshOutput::FlushNode { node: index } | MeshOutput::NodeRemoved { node: index } => mapped.retain(|(known, _)| *known != index),
                    MeshOutput::Send { payload, .. } => prop_assert!(parse(&payload).is_some()),
                    _ => {}
                }
            }
            // What the outputs told is what is known.
            let known: usize = a.mesh.nodes().map(|n| n.addresses().count()).sum();
            prop_assert_eq!(known, mapped.len());
        }
    }
}

#[test]
fn nobody_else_speaks_for_a_neighbour_or_for_this_router() {
    let mut a = Fixture::with_neighbour("B");
    assert!(a.mesh.is_credible("LSU", "B", "B", a.now));
    assert!(!a.mesh.is_credible("LSU", "B", "C", a.now));
    assert!(!a.mesh.is_credible("LSU", "A", "C", a.now));
    assert!(a.mesh.is_credible("LSU", "D", "C", a.now), "others' messages are passed on");
    // A way by way of C could be as cheap as the link to B is.
    let body = sender("C").with("instance", 7).with("seen", vec![Value::from("A")]);
    a.mesh.handle_message("HELLO", &body, Some((NeighbourIndex::at(4), 0)), a.now);
    assert!(!a.mesh.is_credible("LSU", "B", "C", a.now));
    let body = sender("D").with("instance", 7).with("seen", vec![Value::from("A")]);
    a.mesh.handle_message("HELLO", &body, Some((NeighbourIndex::at(5), 9)), a.now);
    assert!(a.mesh.is_credible("LSU", "D", "C", a.now));
    // Perhaps it is its own link that brings nothing any more.
    a.ticks(2);
    assert!(a.mesh.is_credible("LSU", "B", "C", a.now));
    assert!(!a.mesh.is_credible("LSU", "A", "C", a.now));
}

#[test]
fn what_was_not_believed_is_asked_for_when_the_neighbour_is_none_any_more() {
    let asks = |o: &MeshOutput| matches!(o, MeshOutput::Send { opcode: "LSR", to, .. } if to.contains("/B/"));
    for is_told in [false, true] {
        let mut a = Fixture::with_neighbour("B");
        a.hello("C", 4);
        a.lsu("C", 1, &[("A", 1), ("B", 1)]);
        a.lsu("B", 2, &[("A", 1), ("C", 1)]);
        a.ra("C", 7, 1, 0);
        a.ra("B", 7, 2, 0);
        a.tick();
        a.hello("B", 3);
        if is_told {
            assert!(a.mesh.is_credible("RA", "B", "B", a.now));
            assert!(!a.mesh.is_credible("LSU", "B", "C", a.now));
        }
        a.mesh.link_lost(NeighbourIndex::at(3), a.now);
        let mut out = a.drain();
        out.extend(a.tick());
        assert_eq!(out.iter().any(asks), is_told, "{out:?}");
    }
}

/// To B its link costs more than to A, and another way less: what it tells comes by that way.
#[test]
fn a_neighbour_that_tells_of_itself_by_other_ways_is_believed() {
    let mut a = Fixture::with_neighbour("B");
    assert!(a.mesh.is_credible("LSU", "B", "C", a.now), "by its link it says HELLO only");
    assert!(a.mesh.is_credible("RA", "B", "B", a.now));
    assert!(!a.mesh.is_credible("RA", "B", "C", a.now));
    // It tells of news by its link, and answers by another way.
    a.ra("B", 7, 2, 0);
    for _ in 0..4 {
        assert!(!a.mesh.is_credible("LSU", "B", "C", a.now));
        a.hello("B", 3);
        a.tick();
    }
    assert!(a.mesh.is_credible("LSU", "B", "C", a.now));
    // A lie is none the better for being repeated.
    assert!(a.mesh.is_credible("LSU", "B", "B", a.now));
    a.lsu("B", 2, &[("A", 1)]);
    for _ in 0..20 {
        assert!(!a.mesh.is_credible("LSU", "B", "C", a.now));
        a.hello("B", 3);
        a.tick();
    }
    // Nothing at all comes by its link any more.
    for _ in 0..30 {
        a.hello("B", 3);
        a.tick();
    }
    assert!(a.mesh.is_credible("RA", "B", "C", a.now));
}

#[test]
fn nobody_greets_in_the_name_of_another() {
    let mut a = Fixture::with_neighbour("B");
    assert!(a.mesh.is_credible("HELLO", "B", "B", a.now));
    assert!(!a.mesh.is_credible("HELLO", "D", "B", a.now));
    assert!(a.mesh.is_credible("HELLO", "A", "A", a.now), "it is told that there are two of that name");
    assert!(!a.mesh.is_credible("RA", "A", "A", a.now), "and not passed on");
}

#[test]
fn a_neighbour_does_not_start_again_at_the_end_of_another_link() {
    let mut a = Fixture::with_neighbour("B");
    a.mau("B", 1, &[("exist", &["Mq"])]);
    let body = sender("B").with("instance", 8).with("seen", vec![Value::from("A")]);
    a.mesh.handle_message("HELLO", &body, Some((NeighbourIndex::at(4), 1)), a.now);
    let node = a.mesh.nodes().next().expect("B");
    assert_eq!((node.link(), node.instance(), node.addresses().count()), (Some(NeighbourIndex::at(3)), Some(7), 1));
    // It has gone from there.
    a.ticks(4);
    a.mesh.handle_message("HELLO", &body, Some((NeighbourIndex::at(4), 1)), a.now);
    let node = a.mesh.nodes().next().expect("B");
    assert_eq!((node.link(), node.instance(), node.addresses().count()), (Some(NeighbourIndex::at(4)), Some(8), 0));
}

#[test]
fn names_that_no_router_has_are_none() {
    let mut a = Fixture::new();
    for id in ["", "two\nlines", "\u{1b}[2J", &"x".repeat(513)] {
        a.ra(id, 1, 1, 1);
        assert_eq!(a.mesh.nodes().count(), 0, "{id:?}");
        a.lsu("B", 1, &[(id, 1)]);
        assert_eq!(a.mesh.nodes().count(), 0, "{id:?}");
    }
    a.ra(&"x".repeat(512), 1, 1, 1);
    assert_eq!(a.mesh.nodes().count(), 1);
}

#[test]
fn complaints_become_fewer() {
    let mut a = Fixture::new();
    capture::start();
    for _ in 0..1000 {
        a.mesh.handle_message("RA", &Map::new(), None, a.now);
    }
    assert_eq!(capture::notable().len(), 103);
}

#[test]
fn addresses_of_all_routers_have_room_together() {
    let mut a = Fixture::with_neighbour("B");
    a.hello("C", 4);
    a.lsu("C", 1, &[("A", 1)]);
    a.tick();
    let one = 1024 + 2 * "Mb1".len();
    a.mesh.mobile.room = Some(3 * one);
    let known = |a: &Fixture, id: &str| a.mesh.nodes().find(|n| n.id() == id).map_or(0, |n| n.addresses().count());
    a.mau("B", 1, &[("exist", &["Mb1", "Mb2"])]);
    a.mau("C", 1, &[("exist", &["Mc1", "Mc2", "Mc3"])]);
    assert_eq!((known(&a, "B"), known(&a, "C")), (2, 1));
    // What is told again changes nothing.
    a.mau("C", 2, &[("add", &["Mc1", "Mc2"]), ("del", &[])]);
    assert_eq!((known(&a, "B"), known(&a, "C")), (2, 1));
    a.mau("B", 2, &[("exist", &[])]);
    let out = a.tick();
    let asked = |o: &MeshOutput| matches!(o, MeshOutput::Send { opcode: "MAR", to, .. } if to.contains("/C/"));
    assert!(out.iter().any(asked), "{out:?}");
    a.mau("C", 2, &[("exist", &["Mc1", "Mc2", "Mc3"])]);
    assert_eq!((known(&a, "B"), known(&a, "C")), (0, 3));
}
