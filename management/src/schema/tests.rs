use super::validate::complete;
use super::*;
use crate::attributes::Attributes;
use amqp_core::Value;
use serde_json::Value as Json;

fn error(ty: EntityType, attributes: Attributes) -> String {
    complete(ty, attributes).expect_err("must be refused").0
}

fn attributes() -> Attributes {
    Attributes::new().with("type", "x")
}

#[test]
fn names_resolve_with_and_without_prefix() {
    assert_eq!(EntityType::parse("listener"), Some(EntityType::Listener));
    assert_eq!(EntityType::parse("io.skupper.router.listener"), Some(EntityType::Listener));
    assert_eq!(EntityType::parse("org.amqp.management"), Some(EntityType::AmqpManagement));
    assert_eq!(EntityType::parse("router"), Some(EntityType::Router));
    assert_eq!(EntityType::parse("io.skupper.router.router.link"), Some(EntityType::Link));
    assert_eq!(EntityType::parse("Listener"), None);
    assert_eq!(EntityType::parse_full("listener"), None);
    assert_eq!(EntityType::ConfigAddress.identity_prefix(), "address");
}

#[test]
fn operations_and_attributes_are_inherited() {
    let ops: Vec<_> = EntityType::SslProfile.operations().collect();
    assert_eq!(ops, ["CREATE", "UPDATE", "DELETE", "READ"]);
    for entity in EntityType::ALL {
        let mut names: Vec<_> = entity.attributes().map(|a| a.name).collect();
        let count = names.len();
        for inherited in ["name", "identity", "type"] {
            assert!(names.contains(&inherited), "{entity} has no {inherited}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count, "{entity} has an attribute twice");
    }
}

#[test]
fn defaults_follow_what_was_given() {
    let given = attributes().with("port", 5).with("arg", Value::Null);
    let done = complete(EntityType::Connector, given).expect("valid");
    let names: Vec<_> = done.iter().map(|(n, _)| n).collect();
    assert_eq!(names[..4], ["type", "port", "host", "role"]);
    assert_eq!(done.text("port"), Some("5"));
    assert_eq!(done.number("cost"), Some(1));
    assert_eq!(complete(EntityType::Router, attributes()).expect("valid").text("area"), Some("0"));
}

#[test]
fn refusals_have_known_texts() {
    let zz = error(EntityType::Dummy, attributes().with("num1", "zz"));
    assert!(zz.starts_with("io.skupper.router.dummy: invalid literal for int() with base 10: 'zz':<traceback"), "{zz}");
    assert_eq!(
        error(EntityType::Listener, attributes().with("http", "maybe")),
        "io.skupper.router.listener: Invalid Boolean value ''maybe'' (attribute 'http')"
    );
    assert_eq!(
        error(EntityType::TcpListener, attributes().with("observer", "x")),
        "io.skupper.router.tcpListener: Invalid value for enum['none', 'auto', 'http1', 'http2']: 'x' (attribute 'observer')"
    );
    assert_eq!(
        error(EntityType::ListenerAddress, attributes().with("address", "a")),
        "io.skupper.router.listenerAddress: Missing required attribute 'value'"
    );
    assert_eq!(
        error(EntityType::Router, attributes().with("bogus", "a")),
        "io.skupper.router.router: Unknown attribute 'bogus' for 'io.skupper.router.router'"
    );
    assert_eq!(
        error(EntityType::Listener, attributes().with("openProperties", 1)),
        "io.skupper.router.listener: Properties must be a map (attribute 'openProperties')"
    );
}

#[test]
fn values_are_converted() {
    let given = attributes().with("cost", " 1_0 ").with("role", "-1").with("http", "ON").with("requireSsl", 1);
    let done = complete(EntityType::Listener, given.with("host", Value::symbol("h"))).expect("valid");
    assert_eq!(done.number("cost"), Some(10));
    assert_eq!(done.text("role"), Some("inter-network"));
    assert!(done.flag("http") && done.flag("requireSsl"));
    assert_eq!(done.get("host"), Some(&Value::from("h")));
    for port in [Value::from(5672), Value::Double(5672.0), "5672".into(), "amqp".into(), 0.into(), 65535.into()] {
        let done = complete(EntityType::Listener, attributes().with("port", port.clone())).expect("valid");
        let number = done.text("port").and_then(adaptors::net::port_number);
        assert_eq!(number, Some(u16::try_from(port.as_i64().unwrap_or(5672)).expect("a port")), "{port:?}");
    }
    let given = attributes().with("dataConnectionCount", 4).with("workerThreads", Value::Double(2.0));
    let done = complete(EntityType::Router, given).expect("valid");
    assert_eq!((done.text("dataConnectionCount"), done.number("workerThreads")), (Some("4"), Some(2)));
}

#[test]
fn json_text_has_both_layouts() {
    let json: Json = serde_json::json!({"a": [1, "\u{e9}"], "b": {}});
    assert_eq!(dump::json_text(&json, None), r#"{"a": [1, "\u00e9"], "b": {}}"#);
    assert_eq!(dump::json_text(&json, Some(1)), "{\n \"a\": [\n  1,\n  \"\\u00e9\"\n ],\n \"b\": {}\n}");
}

#[test]
fn dump_leaves_out_what_says_nothing() {
    let schema = dump::schema();
    let types = schema.get("entityTypes").and_then(Value::as_map).expect("a map");
    assert_eq!(types.len(), 34);
    let entity = types.get("entity").and_then(Value::as_map).expect("a map");
    assert!(entity.get("operations").is_none());
    let listener = types.get("listener").and_then(Value::as_map).expect("a map");
    let attributes = listener.get("attributes").and_then(Value::as_map).expect("a map");
    assert!(attributes.get("type").is_none());
    assert!(attributes.get("host").and_then(Value::as_map).is_some_and(|a| a.get("default").is_none()));
    assert!(types.get("autoLink").is_some());
}

/// Types that the reference does not have.
const OWN: &[EntityType] = &[EntityType::HttpListener, EntityType::HttpConnector, EntityType::HttpRequestInfo];

/// Attributes that the reference does not have.
const EXTENSIONS: &[(EntityType, &[&str])] = &[
    (EntityType::Router, &["streamRetryMilliseconds"]),
    (EntityType::Log, &["format"]),
    (EntityType::Listener, &["livenessInterval", "livenessMultiplier", "page", "operStatus", "connectionMsg"]),
    (EntityType::Connector, &["livenessInterval", "livenessMultiplier"]),
    (EntityType::TcpListener, SERVICE_EXTENSIONS),
    (EntityType::TcpListener, &["allowedClients"]),
    (EntityType::TcpConnector, SERVICE_EXTENSIONS),
    (EntityType::TcpConnector, HEALTH_EXTENSIONS),
];

const SERVICE_EXTENSIONS: &[&str] = &[
    "connectionsTimedOut",
    "idleTimeoutSeconds",
    "halfClosedTimeoutSeconds",
    "keepAliveSeconds",
    "keepAliveProbes",
    "maxConnections",
    "maxConnectionsPerSecond",
    "maxOctetsPerSecond",
    "connectionsRefused",
    "proxyProtocol",
];

const HEALTH_EXTENSIONS: &[&str] = &[
    "healthCheckIntervalMilliseconds",
    "healthCheckTimeoutMilliseconds",
    "healthCheckPath",
    "healthCheckFailures",
    "healthCheckSuccesses",
    "ejectAfterFailures",
    "ejectSeconds",
    "healthStatus",
    "healthReason",
];

fn extensions(ty: EntityType) -> Vec<&'static str> {
    EXTENSIONS.iter().filter(|(extended, _)| *extended == ty).flat_map(|(_, names)| *names).copied().collect()
}

/// What knows nothing of them does without.
#[test]
fn extensions_are_attributes_that_nobody_has_to_know() {
    for (ty, names) in EXTENSIONS {
        for name in *names {
            let attribute = ty.attribute(name).unwrap_or_else(|| panic!("{ty} has no {name}"));
            assert!(!attribute.required && attribute.default.is_some() == attribute.create, "{ty} {name}");
        }
    }
}

/// What controllers and tools rely on, extensions aside.
#[test]
fn table_agrees_with_the_reference() {
    let reference: Json = serde_json::from_str(include_str!("reference.json")).expect("JSON");
    let entities = reference.as_array().expect("a list");
    let (shared, own) = EntityType::ALL.split_at(entities.len());
    assert_eq!(own, OWN);
    for (expected, &ty) in entities.iter().zip(shared) {
        let def = ty.def();
        assert_eq!(expected["name"], def.name);
        assert_eq!(expected["qualified"], ty.full());
        assert_eq!(expected["extends"].as_str(), def.extends.map(EntityType::short), "{}", def.name);
        assert_eq!(expected["singleton"], def.singleton, "{}", def.name);
        assert_eq!(expected["referential"], def.referential, "{}", def.name);
        assert_eq!(expected["operations"], ty.operations().collect::<Json>(), "{}", def.name);
        let shared = |a: &&Attribute| !extensions(ty).contains(&a.name);
        assert_eq!(expected["attribute_order"], ty.attributes().filter(shared).map(|a| a.name).collect::<Json>());
        assert_eq!(expected["bases"], ty.bases().map(EntityType::short).collect::<Json>());
        let own = expected["attributes_own"].as_array().expect("a list");
        assert_eq!(own.len(), def.attributes.iter().filter(shared).count(), "{}", def.name);
        for (expected, a) in own.iter().zip(def.attributes.iter().filter(shared)) {
            compare(def.name, expected, a);
        }
    }
}

fn compare(entity: &str, expected: &Json, a: &Attribute) {
    let place = format!("{entity}.{}", a.name);
    assert_eq!(expected["name"], a.name, "{place}");
    assert_eq!(expected["type"], a.ty.name(), "{place}");
    if let ValueType::Enum(words) = a.ty {
        assert_eq!(expected["values"], words.iter().copied().collect::<Json>(), "{place}");
    }
    let default = match a.default {
        None => Json::Null,
        Some(Default::Text(t)) => t.into(),
        Some(Default::Number(n)) => n.into(),
        Some(Default::Flag(f)) => f.into(),
    };
    assert_eq!(expected.get("default").cloned().unwrap_or_default(), default, "{place}");
    let flags = [
        ("required", a.required),
        ("unique", a.unique),
        ("create", a.create),
        ("update", a.update),
        ("hidden", a.hidden),
        ("graph", a.graph),
    ];
    for (name, value) in flags {
        assert_eq!(expected[name], value, "{place} {name}");
    }
}
