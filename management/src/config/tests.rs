use super::*;
use amqp_core::Value;

fn refused(text: &str) -> String {
    parse(text, false).expect_err("must be refused")
}

#[test]
fn both_forms_say_the_same() {
    let conf =
        "router {\n mode: interior\n id: A\n}\nlistener {\n port: 0\n ssl-profile: p\n}\naddress {\n prefix: a\n}\n";
    let json = "# no\n[[\"router\", {\"mode\": \"interior\", \"id\": \"A\"}],\n #no\n\
        [\"listener\", {\"port\": 0, \"sslProfile\": \"p\"}], [\"address\", {\"prefix\": \"a\"}]]";
    let entities = parse(conf, false).expect("valid");
    assert_eq!(entities, parse(json, true).expect("valid"));
    let types: Vec<_> = entities.iter().map(|e| e.ty).collect();
    use EntityType::{ConfigAddress, Listener, Network, Policy, Router};
    assert_eq!(types, [Router, Listener, ConfigAddress, Network, Policy]);
    assert_eq!(entities[1].attributes.text("sslProfile"), Some("p"));
    assert_eq!(entities[1].attributes.iter().next().map(|(n, _)| n), Some("type"));
}

#[test]
fn what_looks_like_a_number_is_text_where_text_is_wanted() {
    let json = r#"[["router", {"id": 5, "metadata": true, "helloMaxAgeSeconds": "3", "dataConnectionCount": 4}],
        ["listener", {"name": 7, "host": "h", "port": 5672, "http": 2, "authenticatePeer": "yes", "cost": "2"}],
        ["connector", {"name": 1.5, "port": "5672", "saslPassword": 9223372036854775807, "verifyHostname": 0}],
        ["address", {"prefix": 1, "distribution": "multicast"}], ["sslProfile", {"name": "p", "password": 12}],
        ["tcpListener", {"name": "t", "address": 8, "port": 1024, "siteId": null}]]"#;
    let entities = parse(json, true).expect("valid");
    let text = |at: usize, name| entities[at].attributes.text(name);
    let flag = |at: usize, name| entities[at].attributes.get(name);
    assert_eq!(
        (text(0, "id"), text(0, "metadata"), text(0, "dataConnectionCount")),
        (Some("5"), Some("True"), Some("4"))
    );
    assert_eq!((text(1, "name"), text(1, "port")), (Some("7"), Some("5672")));
    assert_eq!([flag(1, "http"), flag(1, "authenticatePeer")], [Some(&Value::Bool(true)); 2]);
    assert_eq!((text(2, "name"), text(2, "saslPassword")), (Some("1.5"), Some("9223372036854775807")));
    assert_eq!(flag(2, "verifyHostname"), Some(&Value::Bool(false)));
    assert_eq!((text(3, "prefix"), text(4, "password"), text(5, "address")), (Some("1"), Some("12"), Some("8")));
    for bad in [r#"{"id": ["a"]}"#, r#"{"id": {"a": 1}}"#] {
        let refused = parse(&format!(r#"[["router", {bad}]]"#), true).expect_err("must be refused");
        assert!(refused.contains("'id'"), "{refused}");
    }
}

#[test]
fn blank_text_gives_a_standalone_router() {
    let entities = parse("\n\n", false).expect("valid");
    assert_eq!(entities[0].attributes.text("mode"), Some("standalone"));
}

#[test]
fn refusals_have_known_texts() {
    assert_eq!(refused("bogus {\n}"), "No such entity type 'io.skupper.router.bogus'");
    assert_eq!(
        refused("router {\n bogus: 1\n}"),
        "io.skupper.router.router: Unknown attribute 'bogus' for 'io.skupper.router.router'"
    );
    assert_eq!(
        refused("router {\n mode: interior"),
        "Expecting an attribute, as in 'port: 5672', or '}': line 2 column 16 (char 24)"
    );
    assert_eq!(
        refused("router {\n id: a$b\n}"),
        "Router ID \"a$b\" containes at least one illegal character (\"|$\")."
    );
    assert_eq!(
        refused("listener {\n role: inter-router\n}"),
        "role='standalone' not allowed to connect to or accept connections from other routers."
    );
    let edge = refused("listener {\n role: edge\n}\nrouter {\n mode: edge\n}");
    assert!(
        edge.starts_with(
            "role='edge' only allowed with router mode='interior' for {'type': 'io.skupper.router.listener', \
             'role': EnumValue('edge', 3), 'host': '', 'port': 'amqp', 'cost': 1,"
        ),
        "{edge}"
    );
    let twice = refused("listener {\n name: x\n}\nconnector {\n name: x\n}");
    assert!(twice.starts_with("adding {'type': 'io.skupper.router.connector', 'name': 'x',"), "{twice}");
    assert!(twice.contains("duplicates unique attribute 'name' from existing {'type': 'io.skupper.router.listener',"));
    let two = refused("router {\n id: a\n}\nrouter {\n id: b\n}");
    assert!(two.starts_with("Adding io.skupper.router.router singleton {'type': "), "{two}");
}

#[test]
fn trace_is_debug_in_log_levels() {
    let entities = parse("log {\n module: AGENT\n enable: trace+\n}", false).expect("valid");
    assert_eq!(entities[0].attributes.text("enable"), Some("debug+"));
}

#[test]
fn sockets_are_created_last() {
    let text = "listener {\n}\nconnector {\n}\nsslProfile {\n}\nlog {\n module: AGENT\n}";
    let plan = BootPlan::new(parse(text, false).expect("valid")).expect("no directory is read");
    use EntityType::{Connector, Listener, Log, Network, Policy, Router, SslProfile};
    let types: Vec<_> = plan.rest.iter().map(|e| e.ty).collect();
    assert_eq!(types, [Policy, SslProfile, Connector, Listener]);
    let types: Vec<_> = plan.core.iter().rev().map(|e| e.ty).take(3).collect();
    assert_eq!(types, [Network, Router, Log]);
    assert_eq!(plan.core.len(), 25);
    assert_eq!(plan.core[0].attributes.text("module"), Some("AGENT"));
    let default = plan.core.iter().find(|e| e.attributes.text("module") == Some("DEFAULT")).expect("is there");
    assert_eq!(default.attributes.text("enable"), Some("info+"));
    assert_eq!(plan.worker_threads(), 4);
}

#[test]
fn files_that_are_not_there_or_empty() {
    let missing = load("/nowhere/x.conf").expect_err("no file");
    assert_eq!(missing.to_string(), "Not found: Configuration file could not be opened");
    let missing = load_policy_dir("/nowhere").expect_err("no directory");
    assert_eq!(missing.to_string(), "Python: FileNotFoundError: [Errno 2] No such file or directory: '/nowhere'");
}

#[test]
fn all_kinds_in_the_order_of_their_creation() {
    use EntityType::*;
    let order = [
        Log,
        Router,
        Network,
        Policy,
        SslProfile,
        ConfigAddress,
        AutoLink,
        Vhost,
        Site,
        ProxyProfile,
        Dummy,
        Connector,
        Listener,
        TcpListener,
        TcpConnector,
        ListenerAddress,
        HttpListener,
        HttpConnector,
    ];
    let mut ranks: Vec<_> = EntityType::ALL.iter().copied().filter(|ty| order.contains(ty)).collect();
    ranks.sort_by_key(|ty| match ty.def().origin {
        crate::schema::Origin::Configured { rank } => rank,
        other => panic!("{ty} {other:?}"),
    });
    assert_eq!(ranks, order);
    let others = EntityType::ALL.iter().filter(|ty| !order.contains(ty));
    for ty in others {
        assert!(!matches!(ty.def().origin, crate::schema::Origin::Configured { .. }), "{ty}");
    }
}

#[test]
fn singletons_that_a_file_leaves_out_are_there() {
    let types = |text: &str| parse(text, false).expect("valid").iter().map(|e| e.ty).collect::<Vec<_>>();
    use EntityType::{Network, Policy, Router, Site};
    assert_eq!(types(""), [Router, Network, Policy]);
    assert_eq!(types("network {\n}\nsite {\n}\n"), [Network, Site, Router, Policy]);
}

/// Seconds, where it would be many minutes if time grew faster than with the size.
#[test]
fn large_files_are_read_in_time() {
    const MANY: usize = 100_000;
    let began = std::time::Instant::now();
    let numbered = |line: &dyn Fn(usize) -> String| (0..MANY).map(line).collect::<String>();
    let attributes = format!("router {{\n{}}}\n", numbered(&|n| format!("a{n}: b\n")));
    let members = format!("vhost {{\n hostname: h\n groups: {{\n{}}}\n}}\n", numbered(&|n| format!("\"a{n}\": 1,\n")));
    let entities = numbered(&|n| format!("address {{\n name: a{n}\n prefix: a{n}\n}}\n"));
    assert!(refused(&attributes).contains("Unknown attribute 'a0'"));
    assert_eq!(parse(&members, false).expect("valid").len(), 4);
    assert_eq!(parse(&entities, false).expect("valid").len(), MANY + 3);
    for scrap in
        ["{", "a: {\n", "[", "[\"a\",", "#\n", "\n ", "a: b#", "\"", "\\u0041", "}", "$", "${a", "router {\n}\n#"]
    {
        let text = scrap.repeat(MANY);
        let _ = (parse(&text, false), parse(&text, true), parse(&format!("router {{\n a: {text}\n}}"), false));
        assert_eq!(env::expand(&text, |_| None), text);
    }
    assert!(began.elapsed().as_secs() < 120);
}
