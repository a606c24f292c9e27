//! HELLO, RA, LSR, LSU and the tick.

use super::super::link_state::LINKS_MAX;
use super::*;

#[test]
fn the_first_tick_sends_hello_and_ra() {
    let mut a = Fixture::new();
    let out = a.tick();
    assert_eq!(sent(&out), [("HELLO", "amqp:/_local/qdhello"), ("RA", "amqp:/_topo/0/all/qdrouter")]);
    let hello = &bodies(&out, "HELLO")[0];
    assert_eq!(hello.get("seen"), Some(&Value::List(vec![])));
    assert_eq!(int(hello, "instance"), 1000);
    let ra = &bodies(&out, "RA")[0];
    assert_eq!((int(ra, "ls_seq"), int(ra, "mobile_seq"), int(ra, "pv")), (0, 0, 1));
    for tick in 1..30 {
        assert_eq!(sent(&a.tick()).len(), 1, "tick {tick}");
    }
    assert_eq!(sent(&a.tick()).len(), 2, "30 seconds later");
}

#[test]
fn seen_names_senders_for_three_seconds() {
    let mut a = Fixture::new();
    let body = sender("B").with("instance", 1).with("seen", Vec::<Value>::new());
    a.mesh.handle_message("HELLO", &body, Some((NeighbourIndex::at(0), 1)), a.now);
    for want in [vec!["B"], vec!["B"], vec!["B"], vec![]] {
        let out = a.tick();
        let hello = &bodies(&out, "HELLO")[0];
        let seen: Vec<&str> =
            hello.get("seen").and_then(Value::as_list).expect("list").iter().filter_map(Value::as_str).collect();
        assert_eq!(seen, want);
    }
    assert_eq!(a.mesh.nodes().count(), 0, "one-way hearing makes no neighbour");
}

#[test]
fn adjacency_changes_the_own_link_state() {
    let mut a = Fixture::new();
    a.tick();
    let out = a.hello("B", 3);
    assert_eq!(sent(&out), [("LSR", "amqp:/_topo/0/B/qdrouter")]);
    assert_eq!(out[0], MeshOutput::NodeAdded { node: NodeIndex::at(1), id: "B".to_owned() });
    assert_eq!(a.mesh.sequences(), (0, 0));
    let out = a.act();
    assert!(out.contains(&MeshOutput::TopologyChanged));
    assert!(out.contains(&MeshOutput::Radius(1)));
    assert!(out.contains(&MeshOutput::Route {
        node: NodeIndex::at(1),
        next_hop: None,
        link: Some(NeighbourIndex::at(3)),
        cost: 1,
        valid_origins: NodeSet::from([NodeIndex::OWN])
    }));
    assert_eq!(
        sent(&out),
        [
            ("HELLO", "amqp:/_local/qdhello"),
            ("LSU", "amqp:/_topo/0/all/qdrouter"),
            ("RA", "amqp:/_topo/0/all/qdrouter")
        ]
    );
    let ra = &bodies(&out, "RA")[0];
    assert_eq!(int(ra, "ls_seq"), 1);
    assert_eq!(a.mesh.last_topology_change(), Some(a.now));
    let route = out.iter().position(|o| matches!(o, MeshOutput::Route { .. }));
    let update = out.iter().position(|o| matches!(o, MeshOutput::Send { opcode: "LSU", .. }));
    assert!(route < update, "the update needs the route");
}

#[test]
fn routes_have_no_valid_origins_until_computed() {
    let mut a = Fixture::new();
    let out = a.hello("B", 3);
    assert!(out.contains(&MeshOutput::Route {
        node: NodeIndex::at(1),
        next_hop: None,
        link: Some(NeighbourIndex::at(3)),
        cost: 0,
        valid_origins: NodeSet::EMPTY
    }));
}

#[test]
fn flux_shortens_the_interval() {
    let mut a = Fixture::new();
    a.hello("B", 3);
    let mut at = Vec::new();
    for second in 1..60 {
        a.hello("B", 3);
        if sent(&a.tick()).iter().any(|(opcode, _)| *opcode == "RA") {
            at.push(second);
        }
    }
    // The change is at 1.
    assert_eq!(at, [1, 5, 35]);
}

#[test]
fn requests_are_answered_at_once() {
    let mut a = Fixture::with_neighbour("B");
    let out = a.receive("LSR", &sender("B"));
    assert_eq!(sent(&out), [("LSU", "amqp:/_topo/0/B/qdrouter")]);
    let lsu = &bodies(&out, "LSU")[0];
    let state = lsu.get("ls").and_then(Value::as_map).expect("map");
    assert_eq!((int(lsu, "ls_seq"), int(state, "ls_seq")), (1, 1));
    assert_eq!(state.get("peers").and_then(Value::as_map).map(|p| int(p, "B")), Some(1));
    // A stranger is created and answered.
    let out = a.receive("LSR", &sender("Z"));
    assert_eq!(sent(&out), [("LSU", "amqp:/_topo/0/Z/qdrouter")]);
    assert!(a.mesh.index_of("Z").is_some());
}

#[test]
fn a_stream_of_requests_is_survived() {
    let mut a = Fixture::with_neighbour("B");
    let before = a.mesh.sequences();
    for _ in 0..100 {
        assert_eq!(sent(&a.receive("LSR", &sender("B"))).len(), 1);
    }
    assert_eq!((a.mesh.sequences(), a.mesh.nodes().count()), (before, 1));
}

#[test]
fn newer_advertisements_are_asked_about_once_in_a_while() {
    let mut a = Fixture::with_neighbour("B");
    a.tick();
    assert_eq!(sent(&a.ra("B", 7, 1, 0)), []);
    assert_eq!(sent(&a.ra("B", 7, 2, 0)), [("LSR", "amqp:/_topo/0/B/qdrouter")]);
    assert_eq!(sent(&a.ra("B", 7, 2, 0)), [], "another copy of the flooded message");
    a.hello("B", 3);
    let asked = |out: Vec<MeshOutput>| sent(&out).iter().filter(|(opcode, _)| *opcode == "LSR").count();
    assert_eq!(asked(a.tick()), 3, "after 100, 300 and 700 ms");
    a.hello("B", 3);
    assert_eq!(asked(a.tick()), 1, "after 1.5 s");
}

#[test]
fn only_newer_updates_are_taken() {
    let mut a = Fixture::with_neighbour("B");
    a.lsu("B", 5, &[("A", 1), ("C", 2)]);
    assert!(a.mesh.index_of("C").is_some(), "named routers are created");
    a.lsu("B", 5, &[]);
    a.lsu("B", 4, &[]);
    let b = a.mesh.index_of("B").and_then(|b| a.mesh.node(b)).expect("known");
    assert_eq!((b.sequences().0, b.peers().len()), (5, 2));
    let out = a.tick();
    let c = a.mesh.index_of("C").expect("known");
    let b = b_index(&a);
    assert!(out.contains(&MeshOutput::Route {
        node: c,
        next_hop: Some(b),
        link: None,
        cost: 3,
        valid_origins: NodeSet::from([NodeIndex::OWN])
    }));
    assert!(sent(&out).contains(&("LSR", "amqp:/_topo/0/C/qdrouter")));
}

fn b_index(fixture: &Fixture) -> NodeIndex {
    fixture.mesh.index_of("B").expect("known")
}

#[test]
fn a_lost_link_takes_the_neighbour_away() {
    let mut a = Fixture::with_neighbour("B");
    a.mesh.link_lost(NeighbourIndex::at(4), a.now);
    assert_eq!(a.drain(), [], "not a neighbour's link");
    capture::start();
    a.mesh.link_lost(NeighbourIndex::at(3), a.now);
    let out = a.drain();
    assert_eq!(logs(&out), [(LogModule::RouterLs, Level::Info, "Link to Neighbor Router Lost - link_tag=3")]);
    assert!(out.contains(&MeshOutput::Route {
        node: NodeIndex::at(1),
        next_hop: None,
        link: None,
        cost: 1,
        valid_origins: NodeSet::from([NodeIndex::OWN])
    }));
    let out = a.tick();
    assert!(out.contains(&MeshOutput::Radius(0)));
    let info = |text| (LogModule::RouterLs, Level::Info, text);
    let nothing = ["Computed next hops: {}", "Computed costs: {}", "Computed valid origins: {}", "Computed radius: 0"];
    assert_eq!(logs(&out), [&nothing.map(info)[..], &[info("Unreachable_ids: ['B']")]].concat());
    assert_eq!(a.mesh.sequences().0, 2);
}

/// Its other neighbours tell it of themselves.
#[test]
fn a_new_neighbour_is_told_of_those_that_are_not_its_neighbours() {
    let mut a = Fixture::with_neighbour("B");
    a.lsu("B", 2, &[("A", 1), ("C", 1), ("D", 1)]);
    a.lsu("D", 1, &[("B", 1)]);
    a.tick();
    a.mesh.link_gained(NeighbourIndex::at(5), true, a.now);
    a.hello("C", 5);
    let out = a.act();
    let hearsay = ["LSU", "RA"]
        .map(|opcode| bodies(&out, opcode).into_iter().filter(|body| body.get("sync").is_some()).collect());
    let of = |bodies: &Vec<Map>| bodies.iter().filter_map(|body| body.get("id")?.as_str().map(str::to_owned)).collect();
    let of: [Vec<String>; 2] = hearsay.each_ref().map(of);
    assert_eq!(of, [["D"], ["D"]]);
}

/// The next hop that it had may be a router that has its way through this one by now.
#[test]
fn a_router_without_a_way_has_no_next_hop() {
    let mut a = Fixture::with_neighbour("B");
    a.lsu("B", 2, &[("A", 1), ("C", 1)]);
    a.lsu("C", 1, &[("B", 1)]);
    a.tick();
    let c = a.mesh.index_of("C").expect("known");
    assert_eq!(a.mesh.node(c).and_then(MeshNode::next_hop), Some(b_index(&a)));
    a.lsu("B", 3, &[("A", 1)]);
    let out = a.tick();
    let unrouted =
        |o: &MeshOutput| matches!(o, MeshOutput::Route { node, next_hop: None, link: None, .. } if *node == c);
    assert!(out.iter().any(unrouted), "{out:?}");
}

#[test]
fn a_silent_neighbour_expires_after_three_seconds() {
    let mut a = Fixture::with_neighbour("B");
    a.ticks(2);
    assert_eq!(a.mesh.peers().len(), 1);
    a.tick();
    assert_eq!(a.mesh.peers().len(), 0);
}

#[test]
fn unreachable_routers_are_flushed_a_tick_later() {
    let mut a = Fixture::with_neighbour("B");
    a.mau("B", 4, &[("exist", &["Mx"])]);
    a.mesh.link_lost(NeighbourIndex::at(3), a.now);
    let flushed = |out: &[MeshOutput]| out.contains(&MeshOutput::FlushNode { node: NodeIndex::at(1) });
    assert!(!flushed(&a.drain()));
    assert!(!flushed(&a.tick()));
    let out = a.tick();
    assert!(flushed(&out));
    assert_eq!(logs(&out), [(LogModule::RouterLs, Level::Info, "Invalidating addresses on unreachable node: B")]);
    assert_eq!(a.mesh.node(NodeIndex::at(1)).map(MeshNode::sequences), Some((1, 0)));
    assert!(!flushed(&a.tick()));
}

#[test]
fn unreachable_routers_are_flushed_however_much_changes_meanwhile() {
    let mut a = Fixture::with_neighbour("B");
    a.mau("B", 4, &[("exist", &["Mx"])]);
    a.mesh.link_lost(NeighbourIndex::at(3), a.now);
    a.drain();
    let flushed = (1..10).find(|second| {
        a.lsu("C", *second, &[("B", *second)]);
        a.tick().contains(&MeshOutput::FlushNode { node: NodeIndex::at(1) })
    });
    assert_eq!(flushed, Some(2));
}

#[test]
fn link_states_expire_after_sixty_seconds_and_empty_routers_after_three_ticks_more() {
    let mut a = Fixture::with_neighbour("B");
    a.lsu("B", 2, &[("A", 1), ("C", 1)]);
    a.mesh.link_lost(NeighbourIndex::at(3), a.now);
    a.ticks(59);
    assert_eq!(a.mesh.nodes().count(), 2);
    a.ticks(2);
    assert_eq!(a.mesh.node(NodeIndex::at(1)).map(MeshNode::sequences), Some((0, 0)));
    a.tick();
    assert_eq!(a.mesh.nodes().count(), 2);
    let out = a.tick();
    assert!(
        out.contains(&MeshOutput::NodeRemoved { node: NodeIndex::at(1) })
            && out.contains(&MeshOutput::NodeRemoved { node: NodeIndex::at(2) })
    );
    assert_eq!(a.mesh.nodes().count(), 0);
}

#[test]
fn deletion_leaves_no_stale_indices() {
    let mut a = Fixture::with_neighbour("B");
    a.lsu("B", 2, &[("A", 1), ("C", 1)]);
    a.lsu("C", 1, &[("B", 1), ("D", 1)]);
    a.tick();
    a.mesh.link_lost(NeighbourIndex::at(3), a.now);
    for _ in 0..80 {
        // Something keeps D alive while the way to it is gone.
        a.lsu("D", 1, &[("C", 1)]);
        a.ra("D", 7, 1, 0);
        a.tick();
    }
    let d = a.mesh.index_of("D").expect("known");
    let known: NodeSet = a.mesh.nodes().map(MeshNode::index).chain([NodeIndex::OWN]).collect();
    assert_eq!(a.mesh.node(d).map(|n| n.valid_origins().iter().all(|origin| known.contains(origin))), Some(true));
}

#[test]
fn a_restart_resets_what_is_known() {
    let mut a = Fixture::with_neighbour("B");
    a.mau("B", 4, &[("exist", &["Mx"])]);
    let out = a.ra("B", 8, 1, 1);
    assert_eq!(logs(&out), [(LogModule::Router, Level::Info, "Detected Restart of Router Node B")]);
    assert!(out.contains(&MeshOutput::FlushNode { node: NodeIndex::at(1) }));
    assert_eq!(sent(&out), [("LSR", "amqp:/_topo/0/B/qdrouter"), ("MAR", "amqp:/_topo/0/B/qdrouter.ma")]);
    assert_eq!(int(&bodies(&out, "MAR")[0], "have_seq"), 0);
    let b = a.mesh.node(NodeIndex::at(1)).expect("known");
    assert_eq!((b.instance(), b.sequences(), b.peers().len()), (Some(8), (0, 0), 0));
    assert_eq!(logs(&a.ra("B", 8, 1, 1)), []);
}

#[test]
fn what_an_earlier_life_told_does_not_stay() {
    // A link state of the life before the restart that came behind the news of it.
    let mut a = Fixture::with_neighbour("B");
    a.ra("B", 8, 1, 1);
    a.lsu("B", 9, &[("A", 1)]);
    assert_eq!(a.mesh.node(NodeIndex::at(1)).map(MeshNode::sequences), Some((0, 0)));
    // The boot time was not known when the link state came, or is the same second.
    let mut a = Fixture::with_neighbour("B");
    a.lsu("B", 9, &[("A", 1)]);
    a.mau("B", 4, &[("exist", &["Mx"])]);
    assert_eq!(logs(&a.ra("B", 7, 3, 1)), [], "perhaps it was overtaken");
    for _ in 0..6 {
        a.hello("B", 3);
        a.tick();
    }
    assert_eq!(logs(&a.ra("B", 7, 9, 4)), []);
    assert_eq!(logs(&a.ra("B", 7, 3, 1)), [], "it was overtaken, the one before shows");
    for _ in 0..6 {
        a.hello("B", 3);
        a.tick();
    }
    let out = a.ra("B", 7, 3, 1);
    assert_eq!(logs(&out), [(LogModule::Router, Level::Info, "Detected Restart of Router Node B")]);
    assert_eq!(sent(&out), [("LSR", "amqp:/_topo/0/B/qdrouter"), ("MAR", "amqp:/_topo/0/B/qdrouter.ma")]);
    assert!(out.contains(&MeshOutput::FlushNode { node: NodeIndex::at(1) }));
}

#[test]
fn an_older_copy_does_not_end_a_request() {
    let mut a = Fixture::with_neighbour("B");
    a.ra("B", 7, 3, 2);
    a.ra("B", 7, 2, 1);
    a.hello("B", 3);
    let out = a.tick();
    let asked = |opcode| sent(&out).iter().filter(|(sent, _)| *sent == opcode).count();
    assert!(asked("LSR") > 0 && asked("MAR") > 0, "{out:?}");
}

/// What others tell of a router is late at worst, and no sign of its life.
#[test]
fn hearsay_is_only_taken_when_it_is_news() {
    let mut a = Fixture::with_neighbour("B");
    a.lsu("B", 5, &[("A", 1), ("C", 1)]);
    a.ra("C", 7, 3, 2);
    let c = a.mesh.index_of("C").expect("known");
    let heard = |a: &mut Fixture, sync: i32, instance: i32, seq: i32| {
        let body = sender("C").with("instance", instance).with("ls_seq", seq).with("mobile_seq", 0).with("sync", sync);
        let out = a.receive("RA", &body);
        (a.mesh.node(c).and_then(MeshNode::instance), sent(&out).contains(&("RA", "amqp:/_topo/0/all/qdrouter")))
    };
    a.lsu("C", 3, &[("B", 1)]);
    for _ in 0..8 {
        a.hello("B", 3);
        a.tick();
        for sync in [1, 2] {
            assert_eq!(heard(&mut a, sync, 7, 2), (Some(7), false), "older");
            assert_eq!(heard(&mut a, sync, 6, 9), (Some(7), false), "of an earlier life");
        }
    }
    assert_eq!(a.mesh.node(c).map(|c| c.sequences().0), Some(3), "no restart is concluded");
    assert_eq!(heard(&mut a, 2, 7, 4), (Some(7), false), "for others to pass on");
    assert_eq!(heard(&mut a, 1, 7, 5), (Some(7), true));
}

#[test]
fn the_link_state_tells_the_boot_time_too() {
    let mut a = Fixture::with_neighbour("B");
    a.lsu("B", 2, &[("A", 1), ("C", 1)]);
    a.lsu("C", 5, &[("B", 1)]);
    let c = a.mesh.index_of("C").expect("known");
    assert_eq!(a.mesh.node(c).and_then(MeshNode::instance), Some(7));
    assert_eq!(logs(&a.ra("C", 8, 1, 0)).len(), 1, "a restart");
}

#[test]
fn an_unknown_instance_is_stored_without_a_restart() {
    let mut a = Fixture::with_neighbour("B");
    a.lsu("B", 2, &[("A", 1), ("C", 1)]);
    let c = a.mesh.index_of("C").expect("known");
    assert_eq!(a.mesh.node(c).and_then(MeshNode::instance), None);
    assert_eq!(logs(&a.ra("C", 9, 0, 0)), []);
    assert_eq!(a.mesh.node(c).and_then(MeshNode::instance), Some(9));
}

#[test]
fn own_messages_are_ignored() {
    let mut a = Fixture::new();
    assert_eq!(a.ra("A", 1000, 9, 9), []);
    assert_eq!(a.lsu("A", 9, &[("B", 1)]), []);
    assert_eq!(a.receive("LSR", &sender("A")), []);
    assert_eq!(a.mau("A", 9, &[("exist", &["Mx"])]), []);
    assert_eq!(a.mesh.nodes().count(), 0);
}

#[test]
fn a_duplicate_id_is_reported_once() {
    let mut a = Fixture::new();
    let body = |instance: i32| sender("A").with("instance", instance).with("seen", Vec::<Value>::new());
    assert_eq!(a.receive("HELLO", &body(1000)), []);
    let want = "Detected Neighbor Router with a Duplicate ID - A";
    assert_eq!(logs(&a.receive("HELLO", &body(1001))), [(LogModule::RouterHello, Level::Critical, want)]);
    assert_eq!(a.receive("HELLO", &body(1001)), []);
}

#[test]
fn later_versions_are_ignored_with_one_warning() {
    let mut a = Fixture::new();
    let body = Map::new().with("id", "B").with("pv", 2).with("ls_seq", 1).with("mobile_seq", 1);
    let want = "Received RA at protocol version 2 from B.  Ignoring.";
    assert_eq!(logs(&a.receive("RA", &body)), [(LogModule::Router, Level::Warning, want)]);
    assert_eq!(a.receive("RA", &body), []);
    assert_eq!(a.mesh.nodes().count(), 0);
}

#[test]
fn any_integer_width_and_either_kind_of_key_will_do() {
    let mut a = Fixture::new();
    let body = Map::new()
        .with(Value::symbol("id"), Value::symbol("B"))
        .with(Value::symbol("ls_seq"), 3_u8)
        .with("mobile_seq", 4_u64);
    assert_eq!(sent(&a.receive("RA", &body)), [("LSR", "amqp:/_topo/0/B/qdrouter")]);
    assert!(a.mesh.node(NodeIndex::at(1)).is_some_and(|b| b.need_mar));
}

#[test]
fn malformed_messages_are_dropped() {
    let mut a = Fixture::new();
    let dropped = |a: &mut Fixture, opcode: &str, body: Map| {
        let out = a.receive(opcode, &body);
        assert!(matches!(logs(&out)[..], [(_, Level::Error, _)]) && out.is_empty(), "{opcode} {body:?}: {out:?}");
        assert_eq!(a.mesh.nodes().count(), 0);
    };
    let state = |peers: Map| Map::new().with("id", "B").with("area", "0").with("ls_seq", 1).with("peers", peers);
    dropped(&mut a, "HELLO", sender("B").with("instance", 1));
    dropped(&mut a, "HELLO", sender("B").with("instance", 1).with("seen", "A"));
    dropped(&mut a, "HELLO", sender("B").with("instance", true).with("seen", Vec::<Value>::new()));
    dropped(&mut a, "RA", Map::new().with("ls_seq", 1).with("mobile_seq", 1));
    dropped(&mut a, "RA", sender("").with("ls_seq", 1).with("mobile_seq", 1));
    dropped(&mut a, "RA", sender("B").with("ls_seq", true).with("mobile_seq", 1));
    dropped(&mut a, "RA", sender("B").with("ls_seq", 1));
    dropped(&mut a, "RA", sender("B").with("ls_seq", u64::MAX).with("mobile_seq", 1));
    dropped(&mut a, "LSR", Map::new().with("id", 5));
    dropped(&mut a, "LSU", sender("B"));
    dropped(&mut a, "LSU", sender("B").with("ls", 1));
    dropped(&mut a, "LSU", sender("C").with("ls", state(Map::new())));
    dropped(&mut a, "LSU", sender("B").with("ls", state(Map::new().with("A", 0))));
    dropped(&mut a, "LSU", sender("B").with("ls", state(Map::new().with("A", -1))));
    dropped(&mut a, "LSU", sender("B").with("ls", state(Map::new().with("A", "x"))));
    dropped(&mut a, "LSU", sender("B").with("ls", state(Map::new().with(5, 1))));
    assert_eq!(a.receive("XYZ", &sender("B")), [], "unknown opcodes are ignored");
}

#[test]
fn a_router_that_found_no_place_gets_one_when_others_go() {
    let mut a = Fixture::with_neighbour("B");
    let names: Vec<String> = (0..MAX_ROUTERS - 3).map(|i| format!("r{i:03}")).collect();
    let old: Vec<(&str, i32)> = names.iter().map(|n| (n.as_str(), 1)).collect();
    a.lsu("C", 1, &old);
    a.lsu("B", 2, &[("A", 1), ("C", 1), ("late", 1)]);
    assert_eq!(a.mesh.index_of("late"), None);
    a.lsu("C", 2, &[("B", 1)]);
    let mut asked = false;
    for _ in 0..5 {
        a.hello("B", 3);
        asked |= sent(&a.tick()).contains(&("LSR", "amqp:/_topo/0/B/qdrouter"));
    }
    assert!(asked, "there is room for what B told");
    a.lsu("B", 2, &[("A", 1), ("C", 1), ("late", 1)]);
    assert!(a.mesh.index_of("late").is_some());
}

#[test]
fn the_number_of_routers_is_bounded() {
    let mut a = Fixture::new();
    let names: Vec<String> = (0..MAX_ROUTERS + 70).map(|i| format!("r{i:04}")).collect();
    let peers: Vec<(&str, i32)> = names.iter().map(|n| (n.as_str(), 1)).collect();
    let out = a.lsu("B", 1, &peers);
    assert_eq!(a.mesh.nodes().count(), MAX_ROUTERS - 1);
    assert_eq!(logs(&out).len(), 1, "told once");
    assert_eq!(a.mesh.node(NodeIndex::at(1)).map(|b| b.peers().len()), Some(MAX_ROUTERS - 2));
    assert_eq!(a.receive("LSR", &sender("late")), []);
    for i in 0..MAX_ROUTERS + 170 {
        let body = sender(&format!("h{i}")).with("seen", vec![Value::from("A")]);
        a.mesh.handle_message("HELLO", &body, Some((NeighbourIndex::at(1), 1)), a.now);
    }
    a.drain();
    assert_eq!(a.mesh.peers().len(), 0);
}

#[test]
fn the_number_of_links_is_bounded() {
    let mut a = Fixture::with_neighbour("B");
    let names: Vec<String> = (0..MAX_ROUTERS - 3).map(|i| format!("r{i:04}")).collect();
    let peers: Vec<(&str, i32)> = names.iter().map(|n| (n.as_str(), 1)).collect();
    let links = |a: &Fixture| a.mesh.nodes().map(|node| node.peers().len()).sum::<usize>();
    for name in &names[..LINKS_MAX / peers.len() + 3] {
        a.lsu(name, 1, &peers);
    }
    assert_eq!(links(&a), LINKS_MAX, "what is beyond is left out");
    assert_eq!(a.mesh.index_of("B").and_then(|b| a.mesh.node(b)).map(|b| b.peers().len()), Some(1));
    a.lsu(&names[0], 2, &[("B", 1)]);
    a.lsu("B", 2, &[("A", 1), ("r0000", 1)]);
    assert_eq!(a.mesh.index_of("B").and_then(|b| a.mesh.node(b)).map(|b| b.peers().len()), Some(2), "there is room");
}

#[test]
fn the_first_of_two_connections_is_kept_while_it_is_alive() {
    let mut a = Fixture::with_neighbour("B");
    for _ in 0..5 {
        a.hello("B", 3);
        assert_eq!(a.hello("B", 9), []);
        a.tick();
    }
    assert_eq!(a.mesh.node(NodeIndex::at(1)).and_then(MeshNode::link), Some(NeighbourIndex::at(3)));
    // Silence on the first one while the second speaks.
    for _ in 0..4 {
        a.hello("B", 9);
        a.tick();
    }
    a.hello("B", 9);
    assert_eq!(a.mesh.node(NodeIndex::at(1)).and_then(MeshNode::link), Some(NeighbourIndex::at(9)));
    assert_eq!(a.mesh.peers().len(), 1, "it stayed a neighbour all the time");
}

#[test]
fn a_control_link_leads_to_one_router() {
    let mut a = Fixture::with_neighbour("B");
    a.hello("B", 3);
    assert_eq!(a.hello("C", 3), []);
    assert_eq!(a.mesh.peers().len(), 1);
    a.mesh.link_lost(NeighbourIndex::at(3), a.now);
    a.hello("C", 3);
    assert!(a.mesh.peers().contains_key("C"));
}

#[test]
fn the_cost_is_that_of_the_first_hello() {
    let mut a = Fixture::new();
    let body = sender("B").with("instance", 7).with("seen", vec![Value::from("A")]);
    a.mesh.handle_message("HELLO", &body, Some((NeighbourIndex::at(0), 5)), a.now);
    a.mesh.handle_message("HELLO", &body, Some((NeighbourIndex::at(0), 9)), a.now);
    assert_eq!(a.mesh.peers()["B"], 5);
}

#[test]
fn periods_and_ages_are_those_configured() {
    let second = Duration::from_secs(1);
    let mut a = Fixture::timed(Timing {
        hello_interval: second * 2,
        hello_max_age: second * 10,
        ra_interval: second * 5,
        ra_interval_flux: second,
        link_state_max_age: second * 15,
        unreachable_hold_off: second * 3,
        ..Timing::default()
    });
    a.hello("B", 3);
    a.lsu("B", 1, &[("A", 1)]);
    a.mau("B", 1, &[("exist", &["Mx"])]);
    let (mut hellos, mut advertisements, mut lost, mut flushed) = (vec![], vec![], vec![], vec![]);
    for second in 1..=19 {
        let out = a.tick();
        for (opcode, _) in sent(&out) {
            match opcode {
                "HELLO" => hellos.push(second),
                "RA" => advertisements.push(second),
                _ => {}
            }
        }
        lost.extend(out.iter().any(|o| matches!(o, MeshOutput::Route { link: None, .. })).then_some(second));
        flushed.extend(out.contains(&MeshOutput::FlushNode { node: NodeIndex::at(1) }).then_some(second));
    }
    // Beside those of the tick one greets the neighbour.
    assert_eq!(hellos, [1, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]);
    // Changes in the first second and, after the neighbour is lost at 11, in the twelfth; each is in flux for two seconds.
    assert_eq!(advertisements, [1, 2, 7, 12, 13, 18]);
    assert_eq!((lost, flushed), (vec![11], vec![15]));
}

#[test]
fn a_topology_is_logged_as_it_was_computed() {
    let mut a = Fixture::with_neighbour("B");
    a.lsu("B", 2, &[("A", 1), ("C", 2), ("D", 1)]);
    a.lsu("C", 1, &[("B", 2)]);
    let out = a.tick();
    let lines = [
        "Computed next hops: {'B': 'B', 'C': 'B', 'D': 'B'}",
        "Computed costs: {'B': 1, 'C': 3, 'D': 2}",
        "Computed valid origins: {'B': [], 'C': [], 'D': []}",
        "Computed radius: 2",
        "Unreachable_ids: []",
    ];
    assert_eq!(logs(&out), lines.map(|text| (LogModule::RouterLs, Level::Info, text)));
}

#[test]
fn messages_and_routers_are_logged_for_developers() {
    let mut a = Fixture::new();
    capture::start();
    let b = sender("B").with("instance", 7).with("seen", vec![Value::from("A"), Value::from("it's")]);
    a.mesh.handle_message("HELLO", &b, Some((NeighbourIndex::at(3), 1)), a.now);
    assert_eq!(capture::texts(LogModule::RouterHello)[0], "RCVD: HELLO(id=B pv=1 area=0 inst=7 seen=['A', \"it's\"])");
    assert_eq!(
        capture::texts(LogModule::Router),
        ["Node B created: maskbit=1", "Node B link set: link_id=3 (removed next hop)"]
    );
    a.tick();
    let router = ["Entered Router Flux Mode", "Node B valid origins: []", "Node B cost: 1"];
    assert_eq!(capture::texts(LogModule::Router), router);
    let hello = "SENT: HELLO(id=A pv=1 area=0 inst=1000 seen=['B'])";
    assert_eq!(capture::texts(LogModule::RouterHello), [hello; 2], "a greeting, and that of the tick");
    let ls = capture::texts(LogModule::RouterLs);
    assert_eq!(ls[0], "Local Link State: LS(id=A area=0 ls_seq=1 peers={'B': 1})");
    let own = "SENT: LSU(id=A pv=1 area=0 inst=1000 ls_seq=1 ls=LS(id=A area=0 ls_seq=1 peers={'B': 1}))";
    let again = "SENT: LSR(id=A pv=1 area=0) to: B";
    assert_eq!(
        ls[6..],
        [own, "SENT: RA(id=A pv=1 area=0 inst=1000 ls_seq=1 mobile_seq=0)", again, again, again, again]
    );
    a.lsu("B", 1, &[("A", 1), ("C", 1)]);
    let lsu = "RCVD: LSU(id=B pv=1 area=0 inst=7 ls_seq=1 ls=LS(id=B area=0 ls_seq=1 peers={'A': 1, 'C': 1}))";
    assert_eq!(capture::texts(LogModule::RouterLs), [lsu]);
    a.tick();
    let router = ["Node C next hop set: B", "Node C valid origins: []", "Node C cost: 2"];
    assert_eq!(capture::texts(LogModule::Router), router);
    a.receive("LSR", &sender("B"));
    let lsu = "SENT: LSU(id=A pv=1 area=0 inst=1000 ls_seq=1 ls=LS(id=A area=0 ls_seq=1 peers={'B': 1}))";
    assert_eq!(capture::texts(LogModule::RouterLs), ["RCVD: LSR(id=B pv=1 area=0)", lsu]);
    a.ticks(2);
    assert_eq!(capture::texts(LogModule::RouterHello)[0], "HELLO peer expired: B");
    let exited = |a: &mut Fixture| {
        a.tick();
        capture::texts(LogModule::Router).contains(&"Exited Router Flux Mode")
    };
    assert!((0..14).any(|_| exited(&mut a)));
}
