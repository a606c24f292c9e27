//! Every attribute of every entity against values that do not fit it.

use super::fake::{Fake, agent, agent_of, call};
use super::*;
use crate::schema::{Attribute, ValueType};
use amqp_core::Value;
use amqp_core::value::Map;

/// A body that creates an entity of the type, and changes of it that an update takes.
fn good(ty: EntityType) -> Map {
    match ty {
        EntityType::TcpListener | EntityType::TcpConnector => Map::new().with("address", "a").with("port", "1"),
        EntityType::ListenerAddress => Map::new().with("address", "a").with("value", 1).with("listener", "l"),
        EntityType::Vhost => Map::new().with("hostname", "h"),
        EntityType::ConfigAddress => Map::new().with("prefix", "p"),
        EntityType::AutoLink => Map::new().with("direction", "in").with("address", "a"),
        _ => Map::new(),
    }
}

fn list() -> Value {
    Value::List(vec!["a".into()])
}

/// Values that an attribute must not take, whatever clients are used to.
fn wrong(attribute: &Attribute) -> Vec<Value> {
    let [map, octets, uuid] =
        [Value::Map(Map::new().with("k", "v")), Value::Binary(bytes::Bytes::from_static(b"x")), Value::Uuid([7; 16])];
    let half = Value::Double(1.5);
    let no = Value::Bool(false);
    let mut values = match attribute.ty {
        ValueType::String | ValueType::Path | ValueType::EntityId => vec![5.into(), no, half, map, list()],
        ValueType::NumberText => vec![no, half, map, list()],
        ValueType::Port => {
            let bad = ["70000", "-1", "", "no such service", "65536", "1.5"].map(Value::from);
            bad.into_iter().chain([70000.into(), (-1).into(), no, half, map, list()]).collect()
        }
        ValueType::Integer => vec!["zz".into(), "".into(), "1.5".into(), half, map, list(), Value::Ulong(u64::MAX)],
        ValueType::Boolean => vec!["maybe".into(), 2.into(), (-1).into(), half, map, list()],
        ValueType::Enum(words) => vec!["bogus".into(), words.len().to_string().into(), no, half, map, list()],
        ValueType::List => vec!["a".into(), 5.into(), no, half, map],
        ValueType::Map => vec!["a".into(), 5.into(), no, half, list()],
        ValueType::Properties => vec!["a".into(), 5.into(), list(), Map::new().with("\u{e9}", 1).into()],
    };
    if let Some((least, most)) = attribute.range {
        values.extend(least.checked_sub(1).map(Value::from));
        values.extend(most.checked_add(1).map(Value::from));
    }
    values.extend([octets, uuid]);
    values
}

/// What there is, as far as a request could have left something behind.
fn traces(agent: &mut Agent<Fake>) -> (usize, Vec<String>, usize) {
    let query = call(agent, &[("operation", "QUERY")], Map::new().with("attributeNames", list_of("identity")));
    let rows = query.body.as_map().and_then(|m| m.get("results")).and_then(Value::as_list).map_or(0, <[Value]>::len);
    (rows, agent.backend().calls.clone(), agent.backend().patterns.len())
}

fn list_of(name: &str) -> Value {
    Value::List(vec![name.into()])
}

/// Refused with the name of the attribute, and nothing has changed.
#[track_caller]
fn refused(agent: &mut Agent<Fake>, properties: &[(&str, &str)], body: Map, attribute: &str) {
    let before = traces(agent);
    let shown = format!("{properties:?} {body:?}");
    let response = call(agent, properties, body);
    assert_eq!(response.status.code(), 400, "{shown}: {}", response.description);
    assert!(response.description.contains(&format!("'{attribute}'")), "{shown}: {}", response.description);
    assert_eq!(traces(agent), before, "{shown}");
}

fn with(ty: EntityType, name: &str, value: Value) -> Map {
    let others = good(ty).0.into_iter().filter(|(key, _)| key.as_str() != Some(name));
    Map(others.chain([(name.into(), value)]).collect())
}

/// The types that have the operation, by both of their names.
fn types(operation: &str) -> impl Iterator<Item = (EntityType, String)> {
    let all = EntityType::ALL.iter().copied().filter(move |ty| ty.offers(operation));
    all.flat_map(|ty| [(ty, ty.short().to_owned()), (ty, ty.full())])
}

#[test]
fn good_bodies_are_good() {
    for (ty, name) in types("CREATE") {
        let response = call(&mut agent(), &[("operation", "CREATE"), ("type", &name), ("name", "n")], good(ty));
        assert_eq!(response.status.code(), 201, "{name}: {}", response.description);
    }
}

#[test]
fn no_attribute_takes_a_value_that_does_not_fit_when_an_entity_is_created() {
    let mut agent = agent();
    for (ty, name) in types("CREATE") {
        let properties = [("operation", "CREATE"), ("type", name.as_str()), ("name", "n")];
        for attribute in ty.attributes().filter(|a| !matches!(a.name, "type" | "name")) {
            for value in wrong(attribute) {
                refused(&mut agent, &properties, with(ty, attribute.name, value), attribute.name);
            }
            if !attribute.create {
                refused(&mut agent, &properties, with(ty, attribute.name, "x".into()), attribute.name);
            }
        }
        refused(&mut agent, &properties, with(ty, "noSuchAttribute", "x".into()), "noSuchAttribute");
    }
}

#[test]
fn no_attribute_takes_a_value_that_does_not_fit_when_an_entity_is_updated() {
    for (ty, name) in types("UPDATE").filter(|(ty, _)| ty.offers("CREATE")) {
        let mut agent = agent();
        let of = |operation| [("operation", operation), ("type", name.as_str()), ("name", "n")];
        call(&mut agent, &of("CREATE"), good(ty));
        let present = call(&mut agent, &[("operation", "READ"), ("name", "n")], Value::Null).body;
        for attribute in ty.attributes().filter(|a| a.update) {
            for value in wrong(attribute) {
                let body = Map::new().with(attribute.name, value);
                refused(&mut agent, &of("UPDATE"), body, attribute.name);
            }
        }
        refused(&mut agent, &of("UPDATE"), Map::new().with("noSuchAttribute", 1), "noSuchAttribute");
        assert_eq!(call(&mut agent, &[("operation", "READ"), ("name", "n")], Value::Null).body, present, "{name}");
    }
}

#[test]
fn a_name_is_text() {
    let mut agent = agent();
    for (ty, name) in types("CREATE").filter(|(ty, name)| *name == ty.short()) {
        let properties = [("operation", Value::from("CREATE")), ("type", name.into()), ("name", 5.into())];
        let properties = properties.into_iter().collect();
        let request =
            Request { reply_to: Some("r".to_owned()), properties, body: good(ty).into(), ..Request::default() };
        let response = agent.handle(&request).expect("answered");
        assert_eq!(response.status.code(), 400, "{ty}");
        assert!(response.description.contains("'name'"), "{ty}: {}", response.description);
    }
}

#[test]
fn the_attributes_of_a_connection_have_types_too() {
    let mut agent = agent();
    let update = [("operation", "UPDATE"), ("type", "io.skupper.router.connection"), ("identity", "2")];
    for (name, value) in [
        ("enableProtocolTrace", Value::from("maybe")),
        ("enableProtocolTrace", list()),
        ("adminStatus", "gone".into()),
        ("adminStatus", list()),
    ] {
        // Even when another attribute of the request makes sense.
        let sound = Map::new().with("adminStatus", "deleted").with("enableProtocolTrace", true);
        let others = sound.0.into_iter().filter(|(key, _)| key.as_str() != Some(name));
        refused(&mut agent, &update, Map(others.chain([(name.into(), value)]).collect()), name);
    }
    assert!(agent.backend().cut.is_empty() && !agent.backend().traced.contains(&2));
    call(&mut agent, &update, Map::new().with("enableProtocolTrace", "true"));
    assert!(agent.backend().traced.contains(&2));
}

#[test]
fn what_the_router_refuses_leaves_nothing_behind() {
    for (ty, name) in types("CREATE").filter(|(ty, _)| !matches!(ty, EntityType::ConfigAddress | EntityType::AutoLink))
    {
        let mut agent = agent();
        let of = |operation| [("operation", operation), ("type", name.as_str()), ("name", "n")];
        agent.backend().refuse = true;
        let before = traces(&mut agent);
        assert_eq!(call(&mut agent, &of("CREATE"), good(ty)).status.code(), 500, "{name}");
        assert_eq!(traces(&mut agent), before, "{name}");
        agent.backend().refuse = false;
        assert_eq!(call(&mut agent, &of("CREATE"), good(ty)).status.code(), 201, "{name}");
    }
}

#[test]
fn an_update_that_the_router_refuses_changes_nothing() {
    let mut agent = agent();
    let of = |operation| [("operation", operation), ("type", "sslProfile"), ("name", "n")];
    call(&mut agent, &of("CREATE"), Map::new().with("certFile", "old"));
    let present = call(&mut agent, &of("READ"), Value::Null).body;
    agent.backend().refuse = true;
    let bad = Map::new().with("certFile", "missing").with("ordinal", 1);
    assert_eq!(call(&mut agent, &of("UPDATE"), bad).status.code(), 500);
    assert_eq!(call(&mut agent, &of("READ"), Value::Null).body, present);
    agent.backend().refuse = false;
    let updated = call(&mut agent, &of("UPDATE"), Map::new().with("ordinal", 2));
    let body = updated.body.as_map().expect("a map");
    assert_eq!((body.get("certFile"), body.get("ordinal")), (Some(&"old".into()), Some(&Value::Int(2))));
}

#[test]
fn an_address_that_is_refused_leaves_no_copy() {
    let mut agent = agent();
    let of = |name| [("operation", "CREATE"), ("type", "router.config.address"), ("name", name)];
    for (name, body) in [
        ("n", Map::new()),
        ("n", Map::new().with("prefix", "a").with("pattern", "b")),
        // There is one for the pattern already.
        ("n", Map::new().with("prefix", "multicast")),
        // The name is that of a listener.
        ("l0", Map::new().with("prefix", "other")),
    ] {
        let before = traces(&mut agent);
        assert_eq!(call(&mut agent, &of(name), body.clone()).status.code(), 400, "{body:?}");
        assert_eq!(traces(&mut agent), before, "{body:?}");
    }
}

#[test]
fn that_a_role_has_no_place_here_is_told_before_a_bad_port() {
    let mut agent = agent_of("router {\n id: R1\n mode: standalone\n}\n");
    let create = [("operation", "CREATE"), ("type", "connector"), ("name", "misplaced")];
    let body = Map::new().with("host", "0.0.0.0").with("port", "77777");
    let refused = call(&mut agent, &create, body.clone().with("role", "edge"));
    assert!(refused.description.contains("role='standalone' not allowed to connect"), "{}", refused.description);
    let refused = call(&mut agent, &create, body.with("role", "normal"));
    assert!(refused.description.contains("'port'"), "{}", refused.description);
}
