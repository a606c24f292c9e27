//! MAU and MAR.

use super::*;

/// For what does not depend on the time.
const NOW: Instant = Instant::from_micros(0);

/// A neighbour B that was told of an address, and the next messages are about addresses only.
fn quiet() -> Fixture {
    let mut a = Fixture::with_neighbour("B");
    a.mesh.local_added("Mfirst", 3, 0, a.now);
    a.ticks(2);
    a
}

#[test]
fn the_first_addresses_of_a_life_are_asked_for() {
    let mut a = Fixture::with_neighbour("B");
    a.mesh.local_added("Mx", 3, 1, a.now);
    let out = a.act();
    assert_eq!(sent(&out), [("RA", "amqp:/_topo/0/all/qdrouter")], "B may still have to notice a restart");
    assert_eq!(int(&bodies(&out, "RA")[0], "mobile_seq"), 1);
    let out = a.receive("MAR", &mobile_sender("B").with("have_seq", 0_i64));
    assert_eq!(keys(&bodies(&out, "MAU")[0], "exist"), Some(vec!["Mx"]));
    a.mesh.local_added("My", 3, 1, a.now);
    assert_eq!(keys(&bodies(&a.tick(), "MAU")[0], "add"), Some(vec!["My"]));
}

#[test]
fn changes_are_told_at_once_and_then_less_often() {
    let mut a = quiet();
    let mut told = Vec::new();
    let begin = a.now;
    for millisecond in 0..3_000 {
        a.act_until(begin + Duration::from_millis(millisecond));
        a.mesh.local_added(&format!("M{millisecond}"), 3, 0, a.now);
        if sent(&a.drain()).iter().any(|(opcode, _)| *opcode == "MAU") {
            told.push(millisecond);
        }
    }
    assert!(told[0] <= 6, "{told:?}");
    assert!((5..=12).contains(&told.len()), "{told:?}");
}

#[test]
fn changes_go_out_before_the_advertisement() {
    let mut a = quiet();
    a.mesh.local_added("Mx", 3, 1, a.now);
    a.mesh.local_added("Hedge", 3, 0, a.now);
    a.mesh.local_added("Lx", 3, 0, a.now);
    let out = a.tick();
    let mobile: Vec<_> = sent(&out).into_iter().filter(|(opcode, _)| *opcode != "HELLO").collect();
    assert_eq!(mobile, [("MAU", "_topo/0/all/qdrouter.ma"), ("RA", "amqp:/_topo/0/all/qdrouter")]);
    let mau = &bodies(&out, "MAU")[0];
    assert_eq!((int(mau, "mobile_seq"), int(mau, "pv")), (2, 2));
    assert_eq!((keys(mau, "add"), keys(mau, "del"), mau.get("exist")), (Some(vec!["Mx", "Hedge"]), Some(vec![]), None));
    assert_eq!(int(&bodies(&out, "RA")[0], "mobile_seq"), 2);
    a.mesh.local_removed("Hedge", a.now);
    a.mesh.local_removed("Mx", a.now);
    let out = a.tick();
    let mau = &bodies(&out, "MAU")[0];
    assert_eq!((keys(mau, "add"), keys(mau, "del")), (Some(vec![]), Some(vec!["Hedge", "Mx"])));
    assert_eq!(sent(&a.tick()).len(), 1, "nothing is pending");
}

#[test]
fn changes_do_not_go_out_with_the_first_greeting() {
    let mut a = quiet();
    a.hello("C", 0);
    a.mesh.local_added("Mx", 3, 1, a.now);
    let out = a.act();
    assert_eq!(bodies(&out, "MAU"), [], "C would take it over, notice the restart, and forget it");
    assert_eq!(int(bodies(&out, "RA").last().expect("RA"), "mobile_seq"), 1);
    let out = a.tick();
    let mau = &bodies(&out, "MAU")[0];
    assert_eq!((int(mau, "mobile_seq"), keys(mau, "add")), (2, Some(vec!["Mx"])));
    assert_eq!(int(bodies(&out, "RA").last().expect("RA"), "mobile_seq"), 2);
    // Routers of this implementation know what to do.
    a.mesh.link_gained(NeighbourIndex::at(5), true, a.now);
    a.hello("D", 5);
    a.mesh.local_added("My", 3, 1, a.now);
    assert_eq!(keys(&bodies(&a.tick(), "MAU")[0], "add"), Some(vec!["My"]));
}

/// A router that comes and goes has no earlier life of this one to forget.
#[test]
fn neighbours_that_come_and_go_hold_nothing_up() {
    let mut a = quiet();
    let mut told = 0;
    for round in 0..20 {
        a.hello("C", 0);
        a.mesh.local_added(&format!("M{round}"), 3, 1, a.now);
        told += bodies(&a.act(), "MAU").len();
        a.act_until(a.now + Duration::from_millis(900));
        told += bodies(&a.drain(), "MAU").len();
        a.mesh.link_lost(NeighbourIndex::at(0), a.now);
    }
    assert!(told >= 15, "{told}");
}

/// Whatever sequence numbers somebody makes up in the name of another router.
#[test]
fn a_stream_of_advertisements_leads_to_few_requests() {
    let mut a = quiet();
    a.mau("B", 1, &[("exist", &["Mx"])]);
    let mut asked = 0;
    for seq in 2..1_000 {
        asked += bodies(&a.ra("B", 7, 1, seq), "MAR").len();
        a.act_until(a.now + Duration::from_millis(1));
        asked += bodies(&a.drain(), "MAR").len();
    }
    assert!((10..=22).contains(&asked), "{asked}");
}

#[test]
fn pending_lists() {
    let mut a = quiet();
    let mut next = |events: &dyn Fn(&mut Mesh)| {
        events(&mut a.mesh);
        let out = a.tick();
        let mau = bodies(&out, "MAU").pop()?;
        let own = |list| keys(&mau, list).map(|keys| keys.into_iter().map(str::to_owned).collect::<Vec<_>>());
        Some((own("add")?, own("del")?))
    };
    let x = || vec!["Mx".to_owned()];
    let added = |m: &mut Mesh| m.local_added("Mx", 3, 0, NOW);
    let removed = |m: &mut Mesh| m.local_removed("Mx", NOW);
    let meshed = |m: &mut Mesh| m.local_updated("Mx", 3, 0, Some("mesh"), NOW);
    // add, remove: net zero
    assert_eq!(
        next(&|m| {
            added(m);
            removed(m)
        }),
        None
    );
    assert_eq!(
        next(&|m| {
            added(m);
            added(m)
        }),
        Some((x(), vec![]))
    );
    // remove, add: net zero
    assert_eq!(
        next(&|m| {
            removed(m);
            added(m)
        }),
        None
    );
    // an update of a known address goes in the add list
    assert_eq!(next(&|m| meshed(m)), Some((x(), vec![])));
    assert_eq!(next(&|m| meshed(m)), None);
    // update, then remove
    assert_eq!(
        next(&|m| {
            m.local_updated("Mx", 3, 0, None, NOW);
            removed(m);
            removed(m)
        }),
        Some((vec![], x()))
    );
    assert_eq!(
        next(&|m| {
            removed(m);
            meshed(m)
        }),
        None
    );
    // add with a mesh: one entry
    assert_eq!(
        next(&|m| {
            added(m);
            meshed(m)
        }),
        Some((x(), vec![]))
    );
    // remove, change, add: only the change is left
    assert_eq!(
        next(&|m| {
            removed(m);
            m.local_updated("Mx", 3, 0, None, NOW);
            added(m)
        }),
        Some((x(), vec![]))
    );
}

#[test]
fn descriptors_tell_treatment_links_and_mesh() {
    let mut a = quiet();
    a.mesh.local_added("Mx", 2, 4, a.now);
    a.mesh.local_updated("Mx", 2, 5, Some("aQSLeBMrVM2nL1M"), a.now);
    let out = a.tick();
    let mau = &bodies(&out, "MAU")[0];
    let list = mau.get("add").and_then(Value::as_list).expect("list");
    let want = [Value::from("Mx"), Value::Int(2), Value::Int(5), Value::Null, Value::from("aQSLeBMrVM2nL1M")];
    assert_eq!(list[0], Value::List(want.to_vec()));
}

#[test]
fn stale_requests_get_what_the_last_differential_left() {
    let mut a = Fixture::with_neighbour("B");
    let mar = |have: i64| mobile_sender("B").with("have_seq", have);
    assert_eq!(a.receive("MAR", &mar(0)), [], "nothing was ever advertised");
    a.mesh.local_added("Mone", 3, 0, a.now);
    a.mesh.local_added("Mtwo", 3, 0, a.now);
    a.tick();
    a.mesh.local_removed("Mone", a.now);
    a.mesh.local_added("Mthree", 3, 0, a.now);
    let out = a.receive("MAR", &mar(0));
    assert_eq!(sent(&out), [("MAU", "amqp:/_topo/0/B/qdrouter.ma")]);
    let mau = &bodies(&out, "MAU")[0];
    assert_eq!((int(mau, "mobile_seq"), keys(mau, "exist")), (1, Some(vec!["Mone", "Mtwo"])));
    assert_eq!((mau.get("add"), mau.get("del")), (None, None));
    assert_eq!(a.receive("MAR", &mar(1)), []);
    let out = a.receive("MAR", &mobile_sender("Z").with("have_seq", 0_i64));
    let want = "Received MAR from an unknown router with router id Z";
    assert_eq!(logs(&out), [(LogModule::RouterMa, Level::Warning, want)]);
}

fn map(key: &str) -> MeshOutput {
    MeshOutput::MapAddress { node: NodeIndex::at(1), key: key.to_owned(), treatment: 3 }
}

fn unmap(key: &str) -> MeshOutput {
    MeshOutput::UnmapAddress { node: NodeIndex::at(1), key: key.to_owned() }
}

const REACHABLE: MeshOutput = MeshOutput::Reachable { node: NodeIndex::at(1), reachable: true };
const UNREACHABLE: MeshOutput = MeshOutput::Reachable { node: NodeIndex::at(1), reachable: false };

/// What is advertised to all tells nothing about the way back; an answer does.
#[test]
fn an_answered_request_makes_a_router_reachable() {
    let mut a = quiet();
    let out = a.mau("B", 1, &[("add", &["Mx"]), ("del", &[])]);
    assert_eq!(sent(&out), [("MAR", "amqp:/_topo/0/B/qdrouter.ma")]);
    assert_eq!(int(&bodies(&out, "MAR")[0], "have_seq"), 0, "one that is answered");
    // Not answered: soon again, then less often.
    let asked: Vec<usize> = (1..=16)
        .filter(|_| {
            a.hello("B", 3);
            !bodies(&a.tick(), "MAR").is_empty()
        })
        .collect();
    assert_eq!(asked, [1, 2, 4, 7, 11, 15]);
    assert_eq!(a.mau("B", 1, &[("exist", &["Mx"])]), [REACHABLE]);
    assert!(!sent(&a.tick()).iter().any(|(opcode, _)| *opcode == "MAR"));
    assert_eq!(sent(&a.mau("B", 2, &[("add", &["My"]), ("del", &[])])), [], "it is known to be reachable");
    // Back after a cut it has to answer again, although its addresses are still known.
    a.mesh.link_lost(NeighbourIndex::at(3), a.now);
    assert!(a.drain().contains(&UNREACHABLE));
    a.hello("B", 3);
    let out = a.act();
    assert!(!out.contains(&REACHABLE));
    assert_eq!(bodies(&out, "MAR").iter().map(|b| int(b, "have_seq")).collect::<Vec<_>>(), [1]);
    assert_eq!(a.mau("B", 2, &[("exist", &["Mx", "My"])]), [REACHABLE]);
}

#[test]
fn an_answer_to_nothing_makes_nobody_reachable() {
    let mut a = quiet();
    assert!(!a.mau("B", 1, &[("exist", &["Mx"])]).contains(&REACHABLE));
    // The link state of B tells no way back.
    let mut a = quiet();
    a.lsu("B", 2, &[]);
    a.hello("B", 3);
    a.tick();
    a.mau("B", 1, &[("add", &["Mx"]), ("del", &[])]);
    a.mau("B", 3, &[("add", &["Mx"]), ("del", &[])]);
    assert!(!a.mau("B", 3, &[("exist", &["Mx"])]).contains(&REACHABLE));
    a.lsu("B", 3, &[("A", 1)]);
    assert!(a.tick().contains(&REACHABLE));
    // A restart takes it back.
    assert!(a.ra("B", 8, 1, 1).contains(&UNREACHABLE));
}

/// An answer for another router says nothing of the way back to this one, and neither does one that is not needed.
#[test]
fn a_router_whose_answer_was_overheard_is_asked_too() {
    let mut a = quiet();
    a.ra("B", 7, 1, 1);
    let body = mobile_sender("B").with("mobile_seq", 1_i64).with("exist", Vec::<Value>::new());
    a.mesh.answer_passes("MAU", &body, a.now);
    for _ in 0..3 {
        a.hello("B", 3);
        a.tick();
    }
    let out = a.mau("B", 2, &[("add", &["Mx"]), ("del", &[])]);
    assert_eq!(sent(&out), [("MAR", "amqp:/_topo/0/B/qdrouter.ma")]);
}

/// Who asks by way of this router sends flows here once it has its answer.
#[test]
fn requests_that_pass_are_preceded_by_own_ones() {
    let mut a = quiet();
    let passes = |a: &mut Fixture| {
        a.mesh.request_passes(NodeIndex::at(1), a.now);
        sent(&a.drain()).len()
    };
    assert_eq!(passes(&mut a), 1, "nothing is known of B");
    a.mau("B", 4, &[("exist", &["Mx"])]);
    assert_eq!(passes(&mut a), 0);
    a.ra("B", 7, 1, 5);
    assert_eq!(passes(&mut a), 1, "B has something new");
    a.mesh.request_passes(NodeIndex::at(77), a.now);
    assert_eq!(a.drain(), []);
}

/// Each one that is sent ahead passes through the next router, which sends another one ahead of it.
#[test]
fn requests_ahead_are_few() {
    let mut a = quiet();
    let passes = |a: &mut Fixture| {
        (0..1000).for_each(|_| a.mesh.request_passes(NodeIndex::at(1), a.now));
        sent(&a.drain()).len()
    };
    assert_eq!(passes(&mut a), 2);
    a.hello("B", 3);
    a.tick();
    assert_eq!(passes(&mut a), 2);
}

#[test]
fn differentials_apply_in_sequence() {
    let mut a = quiet();
    let out = a.mau("B", 1, &[("add", &["Mx", "My"]), ("del", &[])]);
    assert_eq!(out[..2], [map("Mx"), map("My")]);
    assert_eq!(a.mau("B", 2, &[("add", &["Mx", "Mz"]), ("del", &["My", "Mno"])]), [map("Mz"), unmap("My")]);
    assert_eq!(a.mesh.node(NodeIndex::at(1)).map(MeshNode::sequences), Some((1, 2)));
}

#[test]
fn a_gap_is_asked_about_once() {
    let mut a = quiet();
    a.mau("B", 1, &[("add", &["Mx"]), ("del", &[])]);
    let out = a.mau("B", 3, &[("add", &["Mz"]), ("del", &[])]);
    assert_eq!(sent(&out), [("MAR", "amqp:/_topo/0/B/qdrouter.ma")]);
    assert_eq!(int(&bodies(&out, "MAR")[0], "have_seq"), 1);
    assert_eq!(a.mau("B", 4, &[("add", &[]), ("del", &[])]), []);
    let mut out = a.mau("B", 4, &[("exist", &["Mz", "My"])]);
    assert_eq!(out.remove(0), unmap("Mx"));
    assert_eq!(out, [map("Mz"), map("My"), REACHABLE]);
    // Accepted: the next gap is asked about again.
    assert_eq!(sent(&a.mau("B", 6, &[("add", &[]), ("del", &[])])).len(), 1);
}

#[test]
fn advertisements_lead_to_requests() {
    let mut a = quiet();
    assert_eq!(sent(&a.ra("B", 7, 1, 5)), [("MAR", "amqp:/_topo/0/B/qdrouter.ma")]);
    a.mau("B", 5, &[("exist", &["Mx"])]);
    assert!(!sent(&a.tick()).iter().any(|(opcode, _)| *opcode == "MAR"));
}

#[test]
fn unknown_senders_and_later_versions_are_dropped() {
    let mut a = quiet();
    let out = a.mau("Z", 1, &[("exist", &["Mx"])]);
    let want = "Received MAU from an unknown router with router id Z";
    assert_eq!((logs(&out), out), (vec![(LogModule::RouterMa, Level::Warning, want)], vec![]));
    let body = Map::new().with("id", "B").with("pv", 3).with("mobile_seq", 1).with("exist", Vec::<Value>::new());
    let want = "Received MAU at protocol version 3 from B.  Ignoring.";
    assert_eq!(logs(&a.receive("MAU", &body)), [(LogModule::RouterMa, Level::Warning, want)]);
    assert_eq!(a.receive("MAU", &body), []);
}

#[test]
fn malformed_updates_are_dropped() {
    let mut a = quiet();
    let empty = Vec::<Value>::new;
    let body = || mobile_sender("B").with("mobile_seq", 1_i64);
    for body in [
        body(),
        body().with("add", empty()),
        body().with("del", empty()),
        body().with("exist", "Mx"),
        body().with("add", empty()).with("del", 5),
        body().with("exist", empty()).with("add", empty()),
        body().with("exist", empty()).with("add", empty()).with("del", empty()),
        mobile_sender("B").with("exist", empty()),
        mobile_sender("B").with("mobile_seq", "1").with("exist", empty()),
    ] {
        let out = a.receive("MAU", &body);
        assert_eq!(logs(&out), [(LogModule::RouterMa, Level::Error, "Received malformed MAU from B")], "{body:?}");
        assert_eq!(out, []);
    }
    assert_eq!(a.mesh.node(NodeIndex::at(1)).map(MeshNode::sequences), Some((1, 0)));
}

#[test]
fn descriptors_of_any_length_are_read() {
    let mut a = quiet();
    let exist = vec![
        Value::List(vec!["Mlong".into(), Value::Int(1), Value::Int(0), Value::Null, "m".into(), Value::Bool(true)]),
        Value::List(vec!["Mshort".into()]),
        Value::List(vec!["Modd".into(), Value::Int(9)]),
        Value::List(vec![]),
        Value::List(vec!["Lqdhello".into(), Value::Int(0)]),
        Value::List(vec!["RB".into()]),
        Value::from("Mbare"),
        Value::Null,
    ];
    let out = a.receive("MAU", &mobile_sender("B").with("mobile_seq", 1_i64).with("exist", exist));
    let hints: Vec<(&str, u8)> = out
        .iter()
        .filter_map(|o| match o {
            MeshOutput::MapAddress { key, treatment, .. } => Some((key.as_str(), *treatment)),
            _ => None,
        })
        .collect();
    assert_eq!(hints, [("Mlong", 1), ("Mshort", NO_HINT), ("Modd", NO_HINT), ("Mbare", NO_HINT)]);
    assert_eq!(a.mesh.edge_mesh(NodeIndex::at(1), "Mlong"), Some("m"));
    assert_eq!(a.mesh.edge_mesh(NodeIndex::at(1), "Mshort"), None);
    // Another mesh is told by mapping again.
    let list = vec![Value::List(vec!["Mlong".into(), Value::Int(1)])];
    let body = mobile_sender("B").with("mobile_seq", 2_i64).with("add", list).with("del", Vec::<Value>::new());
    assert!(matches!(&a.receive("MAU", &body)[..], [MeshOutput::MapAddress { key, .. }] if key == "Mlong"));
    assert_eq!(a.mesh.edge_mesh(NodeIndex::at(1), "Mlong"), None);
}

#[test]
fn sequence_numbers_out_of_range_keep_nothing() {
    let mut a = quiet();
    a.mau("B", 1, &[("exist", &["Mx"])]);
    for seq in [0, -1, i64::MIN] {
        a.mau("B", seq, &[("exist", &["Mx"])]);
        assert_eq!(a.mesh.node(NodeIndex::at(1)).map(MeshNode::sequences), Some((1, 0)));
    }
    a.mau("B", i64::MAX, &[("exist", &["Mx"])]);
    assert_eq!(sent(&a.mau("B", i64::MIN, &[("add", &[]), ("del", &[])])).len(), 1);
}

#[test]
fn address_changes_are_logged_for_developers() {
    let mut a = quiet();
    capture::start();
    a.mesh.local_added("Mx", 3, 0, a.now);
    a.mesh.local_removed("Mno", a.now);
    assert_eq!(capture::texts(LogModule::RouterMa), ["Became Local Dest: Mx", "No Longer Local Dest: Mno"]);
    a.tick();
    assert_eq!(capture::texts(LogModule::RouterMa), ["New mobile sequence: mobile_seq=2, addrs_synced=1, fanout=1"]);
    a.receive("MAR", &mobile_sender("B").with("have_seq", 0_i64));
    assert_eq!(
        capture::texts(LogModule::RouterMa),
        ["Received MAR from B, have_seq=0", "Sent MAU to requestor: mobile_seq=2"]
    );
    a.mau("B", 2, &[("add", &["Mz"]), ("del", &[])]);
    assert_eq!(
        capture::texts(LogModule::RouterMa),
        ["Received MAU (differential) from B, mobile_seq=2", "Send MAR request to router B, have_seq=0, fanout=1"]
    );
    a.mau("B", 2, &[("exist", &["Mz"])]);
    assert_eq!(capture::texts(LogModule::RouterMa), ["Received MAU (absolute) from B, mobile_seq=2"]);
}
