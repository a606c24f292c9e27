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
