use super::*;
use crate::rng::Seed;

fn key(context: &AddressContext, text: &str) -> String {
    let mut out = String::from("left over");
    context.key_of(text, &mut out);
    out
}

fn check(context: &AddressContext, table: &[(&str, &str)]) {
    for (text, want) in table {
        assert_eq!(key(context, text), *want, "{text} on {context:?}");
    }
}

#[test]
fn scheme_and_host_are_removed() {
    for (text, want) in [
        ("amqp://host:port/x/y", "x/y"),
        ("amqp:/x/y", "x/y"),
        ("//host/x/y", "x/y"),
        ("/x/y", "x/y"),
        ("x/y", "x/y"),
        ("a:b", "a:b"),
        ("a:b/c", "a:b/c"),
        ("any text:/x", "x"),
        ("", ""),
        ("amqp://host", "amqp://host"),
        ("//", "//"),
    ] {
        assert_eq!(node_text(text), want, "{text}");
    }
}

#[test]
fn interior_without_network() {
    let context = AddressContext::new("B.west", Mode::Interior, None);
    check(
        &context,
        &[
            ("amqp:/_local/qdhello", "Lqdhello"),
            ("_topo/0/all/qdrouter", "Tqdrouter"),
            ("_topo/all/all/qdrouter", "Tqdrouter"),
            ("amqp:/_topo/0/B.west/$management", "L$management"),
            ("_topo/all/B.west/$management", "L$management"),
            ("_topo/0/A.east/temp.x", "RA.east"),
            ("_topo/0/A.east", "RA.east"),
            ("_topo/0/B.western/x", "RB.western"),
            ("_topo/7/A.east/temp.x", "A7"),
            ("_edge/E1/temp.y", "HE1"),
            ("_edge/B.west/temp.y", "Ltemp.y"),
            ("_xtopo/anything/0/B.west/q", "Lq"),
            ("_xtopo/anything/0/A/q", "RA"),
            ("_xedge/anything/E1/q", "HE1"),
            ("service.a", "Mservice.a"),
            ("service.a/", "Mservice.a"),
            ("service.a.", "Mservice.a"),
            ("service.a//", "Mservice.a/"),
            ("_$qd.edge_addr_tracking", "M_$qd.edge_addr_tracking"),
            ("_topology/x", "M_topology/x"),
            ("_xlocal/x", "M_xlocal/x"),
            ("_", "M_"),
            ("", "M"),
            ("/", "M"),
        ],
    );
}

#[test]
fn interior_with_network() {
    let context = AddressContext::new("B", Mode::Interior, Some("net-b"));
    check(
        &context,
        &[
            ("_xtopo/net-b/0/B/q", "Lq"),
            ("_xtopo/0/0/B/q", "Lq"),
            ("_xtopo/net-a/0/B/q", "Nnet-a"),
            ("_xtopo/net-a", "Nnet-a"),
            ("_topo/0/B/q", "Lq"),
            ("_xedge/net-b/E1/q", "HE1"),
            ("_xedge/net-a/E1/q", "Nnet-a"),
        ],
    );
    for none in ["", "0"] {
        check(&AddressContext::new("B", Mode::Interior, Some(none)), &[("_xtopo/net-a/0/B/q", "Lq")]);
    }
}

#[test]
fn edge() {
    let mut context = AddressContext::new("E1", Mode::Edge, Some("net"));
    check(
        &context,
        &[
            ("_edge/E1/temp.y", "Ltemp.y"),
            ("_edge/E2/temp.y", "L_edge"),
            ("_topo/0/E1/q", "Lq"),
            ("_topo/0/all/q", "Tq"),
            ("_topo/0/A/q", "L_edge"),
            ("_topo/1/A/q", "L_edge"),
            ("_xtopo/other/0/A/q", "L_edge"),
            ("_xedge/other/E1/q", "L_edge"),
            ("_xedge/net/E1/q", "Lq"),
            ("service", "Mservice"),
        ],
    );
    context.add_edge_peer("E2");
    check(&context, &[("_edge/E2/t", "HE2"), ("_edge/E20/t", "L_edge"), ("_edge/E3/t", "L_edge")]);
    context.remove_edge_peer("E2");
    check(&context, &[("_edge/E2/t", "L_edge")]);
}

#[test]
fn routers_with_slashes() {
    let mut context = AddressContext::new("a/b", Mode::Interior, None);
    // As long as they are not known, the first element is all there is to go by.
    check(
        &context,
        &[("_topo/0/a/b/q", "Lq"), ("_topo/0/a/c/q", "Ra"), ("_topo/0/a/q", "Ra"), ("_topo/0/x/y/q", "Rx")],
    );
    for id in ["a", "a/c", "a/b/c", "x/y"] {
        context.add_router(id);
    }
    let known = [
        ("_topo/0/a/b/q", "Lq"),
        ("_topo/0/a/b/c/q", "Ra/b/c"),
        ("_topo/0/a/b/cd/q", "Lcd/q"),
        ("_topo/0/a/c/q", "Ra/c"),
        ("_topo/0/a/c", "Ra/c"),
        ("_topo/0/a/cd", "Ra"),
        ("_topo/0/a/q", "Ra"),
        ("amqp:/_topo/0/x/y/temp.1", "Rx/y"),
        ("amqp:/_topo/all/x/y/temp.1", "Rx/y"),
        ("_topo/0/x/z/q", "Rx"),
    ];
    check(&context, &known);
    context.set_network(Some("net"));
    check(&context, &known);
    context.remove_router("x/y");
    check(&context, &[("_topo/0/x/y/q", "Rx")]);
}

#[test]
fn node_keys() {
    let mut out = String::new();
    node_key("0/A.east", &mut out);
    assert_eq!(out, "RA.east");
    node_key("5/A.east", &mut out);
    assert_eq!(out, "A5");
    assert_eq!(node_router("0/A.east"), Some("A.east"));
    assert_eq!(node_router("5/A.east"), None);
    assert_eq!(node_router("0"), None);
}

#[test]
fn dynamic_addresses() {
    let interior = AddressContext::new("R", Mode::Interior, None);
    assert_eq!(interior.dynamic_source(None, "d"), "amqp:/_topo/0/R/temp.d");
    assert_eq!(interior.dynamic_source(Some(""), "d"), "amqp:/_topo/0/R/temp.d");
    assert_eq!(interior.dynamic_source(Some("T"), "d"), "amqp:/_topo/0/R/T/temp.d");
    let networked = AddressContext::new("R", Mode::Interior, Some("N"));
    assert_eq!(networked.dynamic_source(None, "d"), "amqp:/_xtopo/N/0/R/temp.d");
    assert_eq!(networked.dynamic_source(Some("T"), "d"), "amqp:/_xtopo/N/0/R/T/temp.d");
    let edge = AddressContext::new("E", Mode::Edge, None);
    assert_eq!(edge.dynamic_source(None, "d"), "amqp:/_edge/E/temp.d");
    let edge = AddressContext::new("E", Mode::Edge, Some("N"));
    assert_eq!(edge.dynamic_source(Some("T"), "d"), "amqp:/_xedge/N/E/T/temp.d");
    assert_eq!(dynamic_target("d"), "amqp:/_$temp.d");
}

#[test]
fn dynamic_addresses_lead_back() {
    for (mode, network) in
        [(Mode::Interior, None), (Mode::Interior, Some("N")), (Mode::Edge, Some("N")), (Mode::Standalone, None)]
    {
        let context = AddressContext::new("R", mode, network);
        assert_eq!(key(&context, &context.dynamic_source(None, "d")), "Ltemp.d");
    }
}

#[test]
fn discriminators() {
    let mut rng = SecretRng::new(Seed::from(1));
    let one = discriminator(&mut rng);
    let two = discriminator(&mut rng);
    assert_eq!(one.len(), DISCRIMINATOR_LEN);
    assert_ne!(one, two);
    assert!(one.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'+' || b == b'_'));
    let link = link_name(&mut rng);
    assert_eq!((link.len(), link.starts_with("qdlink.")), (22, true));
}
