use super::fake::*;
use super::*;
use crate::entity::log::LogParams;
use crate::notation::Literal;
use amqp_core::Value;
use amqp_core::value::Map;

const FULL: &str = "io.skupper.router.";

#[test]
fn the_management_entity_is_the_default_target() {
    let mut agent = agent();
    let read = call(&mut agent, &[("operation", "read")], Value::Null);
    assert_eq!(
        Literal(&read.body).to_string(),
        "{'identity': 'self', 'name': 'self', 'type': 'io.skupper.router.management'}"
    );
    assert_eq!(
        refused(&mut agent, &[("operation", "READ"), ("type", "listener")], Value::Null),
        (400, "io.skupper.router.listener: No name or identity provided".to_owned())
    );
    let (status, text) = refused(&mut agent, &[], Value::Null);
    assert_eq!(status, 400);
    assert!(
        text.starts_with("No 'operation' property: Message(address=None, properties={}, body=None, reply_to='reply'")
    );
}

#[test]
fn targets_are_found_and_checked() {
    let mut agent = agent();
    let mut read = |properties: &[(&str, &str)]| {
        let mut all = vec![("operation", "READ")];
        all.extend_from_slice(properties);
        refused(&mut agent, &all, Value::Null)
    };
    assert_eq!(read(&[("name", "zip")]), (404, "No entity with name=zip".to_owned()));
    assert_eq!(read(&[("identity", "zip")]), (404, "No entity with identity=zip".to_owned()));
    assert_eq!(read(&[("name", "l0"), ("identity", "x")]), (400, "Conflicting name=l0 identity=x".to_owned()));
    assert_eq!(
        read(&[("name", "l0"), ("type", "connector")]),
        (
            400,
            "Entity type 'io.skupper.router.listener' does not extend requested type 'io.skupper.router.connector'"
                .to_owned()
        )
    );
    assert_eq!(
        read(&[("name", "l0"), ("type", "configurationEntity")]),
        (
            404,
            "Entity type 'io.skupper.router.listener' does match requested type 'io.skupper.router.configurationEntity'"
                .to_owned()
        )
    );
    assert_eq!(read(&[("type", "nosuch")]), (400, "No such entity type 'nosuch'".to_owned()));
    assert_eq!(read(&[("name", "l0"), ("identity", "listener/:5672:l0")]).0, 200);
    assert_eq!(read(&[("identity", "router.node/R2")]).0, 200);
    assert_eq!(read(&[("identity", "logStats/AGENT"), ("name", "AGENT")]).0, 200);
}

#[test]
fn dummy_supports_everything() {
    let mut agent = agent();
    let named = |operation| [("operation", operation), ("type", "dummy"), ("name", "d")];
    let created =
        call(&mut agent, &named("CREATE"), Map::new().with("num1", 5).with("arg1", "one").with("arg2", Value::Null));
    assert_eq!(created.status, Status::Created);
    assert_eq!(
        Literal(&created.body).to_string(),
        "{'num1': 5, 'arg1': 'one', 'type': 'io.skupper.router.dummy', 'name': 'd', 'identity': 'dummy/0'}"
    );
    assert_eq!(field(&created, "num1"), &Value::Int(5));
    let again = refused(&mut agent, &named("CREATE"), Map::new());
    assert_eq!(
        again,
        (
            400,
            "adding Entity(identity=dummy/1, name=d, type=io.skupper.router.dummy) duplicates unique attribute 'name' \
             from existing Entity(arg1=one, identity=dummy/0, name=d, num1=5, type=io.skupper.router.dummy)"
                .to_owned()
        )
    );
    let updated = call(&mut agent, &named("UPDATE"), Map::new().with("num1", 6).with("arg1", Value::Null));
    assert_eq!(updated.status, Status::Ok);
    assert_eq!((field(&updated, "num1"), field(&updated, "arg1")), (&Value::Int(6), &Value::Null));
    assert_eq!(
        refused(&mut agent, &named("UPDATE"), Map::new().with("bad", 1)),
        (400, "Unknown attribute 'bad' for 'io.skupper.router.dummy'".to_owned())
    );
    assert_eq!(
        refused(&mut agent, &named("UPDATE"), Map::new().with("type", "dummy")),
        (400, "Cannot update attribute 'type' in UPDATE".to_owned())
    );
    let mut request = Request { reply_to: Some("r".to_owned()), ..Request::default() };
    request.properties = Map::new().with("operation", "callme").with("name", "d").with("data", i64::MIN);
    let echoed = agent.handle(&request).expect("answered");
    assert_eq!(field(&echoed, "data"), &Value::Long(i64::MIN));
    assert_eq!(call(&mut agent, &named("DELETE"), Map::new()).status, Status::NoContent);
    assert_eq!(refused(&mut agent, &named("READ"), Map::new()).0, 404);
}

#[test]
fn create_checks_its_request() {
    let mut agent = agent();
    let mut create = |properties: &[(&str, &str)], body: Value| {
        let mut all = vec![("operation", "CREATE")];
        all.extend_from_slice(properties);
        refused(&mut agent, &all, body)
    };
    assert_eq!(
        create(&[("name", "foo")], Map::new().with("name", "foo").into()),
        (400, "No 'type' attribute in {'name': 'foo', 'type': None}".to_owned())
    );
    assert_eq!(
        create(&[("type", "dummy"), ("name", "a")], Map::new().with("name", "b").into()),
        (400, "Conflicting values for 'name'".to_owned())
    );
    assert_eq!(
        create(&[("type", "router")], Map::new().into()),
        (501, "Operation 'CREATE' not implemented for 'io.skupper.router.router' ['READ']".to_owned())
    );
    assert_eq!(
        create(&[("type", "dummy")], Map::new().with("identity", "x").into()),
        (400, "Cannot set attribute 'identity' in CREATE".to_owned())
    );
    assert_eq!(
        create(&[("type", "dummy")], Value::Null),
        (500, "AttributeError: 'NoneType' object has no attribute 'setdefault'".to_owned())
    );
    assert_eq!(
        create(
            &[("type", "listener")],
            Map::new().with("role", "inter-router").with("openProperties", Map::new().with("a", 1)).into()
        ),
        (400, "openProperties not allowed for role inter-router".to_owned())
    );
    let (status, text) = create(&[("type", "listener"), ("name", "c0")], Map::new().into());
    assert_eq!(status, 400);
    assert!(text.starts_with("adding ListenerEntity(authenticatePeer=False, cost=1,"), "{text}");
}

/// What the agent keeps and looks through is bounded by the schema, whatever a request holds: with as many
/// entries as a request has room for, looking each up among those before would take hours.
#[test]
fn large_maps_are_refused_at_their_first_unknown_attribute() {
    let mut agent = agent();
    let map: Map = (0..100_000).map(|i| (Value::from(i.to_string()), Value::Null)).collect();
    let unknown = (400, "Unknown attribute '0' for 'io.skupper.router.dummy'".to_owned());
    let named = |operation| [("operation", operation), ("type", "dummy"), ("name", "d")];
    assert_eq!(refused(&mut agent, &named("CREATE"), map.clone()), unknown);
    assert_eq!(call(&mut agent, &named("CREATE"), Map::new()).status, Status::Created);
    assert_eq!(refused(&mut agent, &named("UPDATE"), map.clone()), unknown);
    // Without a type the whole of it is shown.
    assert_eq!(refused(&mut agent, &[("operation", "CREATE")], map).0, 400);
}

#[test]
fn columns_are_shown_once_however_often_they_are_named() {
    let mut agent = agent();
    let query = [("operation", "QUERY"), ("entityType", "listener")];
    let names = |names: Vec<Value>| Map::new().with("attributeNames", names);
    let twice = call(&mut agent, &query, names(vec!["name".into(), "port".into(), "name".into()]));
    assert_eq!(Literal(field(&twice, "attributeNames")).to_string(), "['name', 'port', 'name']");
    assert_eq!(Literal(field(&twice, "results")).to_string(), "[['l0', '5672', 'l0']]");
    let (status, text) = refused(&mut agent, &query, names(vec!["name".into(); 1025]));
    assert_eq!((status, text.as_str()), (400, "More than 1024 attribute names"));
}

#[test]
fn a_refusal_by_the_router_leaves_nothing() {
    let mut agent = agent();
    agent.backend().refuse = true;
    let create = [("operation", "CREATE"), ("type", "listener"), ("name", "x")];
    assert_eq!(refused(&mut agent, &create, Map::new()), (500, "CError: Configuration: no".to_owned()));
    let read = [("operation", "READ"), ("name", "x")];
    assert_eq!(refused(&mut agent, &read, Value::Null).0, 404);
}

#[test]
fn query_selects_columns_and_types() {
    let mut agent = agent();
    let columns = |names: &[&str]| {
        let names: Vec<Value> = names.iter().map(|n| Value::from(*n)).collect();
        Map::new().with("attributeNames", names)
    };
    let all = call(&mut agent, &[("operation", "QUERY")], columns(&["type", "name", "port"]));
    let rows = field(&all, "results").as_list().expect("rows");
    assert!(rows.iter().any(|r| Literal(r).to_string() == "['io.skupper.router.listener', 'l0', '5672']"));
    let first = Literal(&rows[0]).to_string();
    assert_eq!(first, "['io.skupper.router.management', 'self', None]");
    let named: Vec<_> = rows.iter().filter_map(|r| r.as_list()?.get(1)?.as_str()).collect();
    let place = |name: &str| named.iter().position(|n| *n == name).expect(name);
    assert!(place("log/DEFAULT") < place("router/R1") && place("router/R1") < place("router.node/R1"));
    assert!(place("router.node/R2") < place("c0") && place("c0") < place("l0"));

    let query = [("operation", "QUERY"), ("entityType", "connector")];
    let connectors = call(&mut agent, &query, columns(&["name", "connectionStatus"]));
    assert_eq!(Literal(field(&connectors, "results")).to_string(), "[['c0', 'CONNECTING']]");
    assert_eq!(
        refused(&mut agent, &query, columns(&["x", "name", "y"])),
        (404, "Unknown attributes ['x', 'y'] for type io.skupper.router.connector.".to_owned())
    );
    assert_eq!(
        refused(&mut agent, &[("operation", "QUERY")], Value::Null),
        (500, "AttributeError: 'NoneType' object has no attribute 'get'".to_owned())
    );
}

#[test]
fn listings() {
    let mut agent = agent();
    let types = call(&mut agent, &[("operation", "GET-TYPES")], Value::Null);
    assert_eq!(types.body.as_map().map(Map::len), Some(34));
    let operations = call(&mut agent, &[("operation", "GET-OPERATIONS"), ("entityType", "dummy")], Value::Null);
    assert_eq!(
        Literal(&operations.body).to_string(),
        "{'io.skupper.router.dummy': ['CREATE', 'READ', 'UPDATE', 'DELETE', 'CALLME']}"
    );
    let nodes = call(&mut agent, &[("operation", "GET-MGMT-NODES")], Value::Null);
    assert_eq!(nodes.body.as_list().map(<[_]>::len), Some(2));
    let json = call(&mut agent, &[("operation", "GET-JSON-SCHEMA"), ("identity", "self")], Value::Null);
    assert!(json.body.as_str().is_some_and(|t| t.starts_with("{\"prefix\": \"io.skupper.router\"")));
    assert_eq!(
        refused(&mut agent, &[("operation", "GET-LOG"), ("limit", "x")], Value::Null),
        (500, "ValueError: invalid literal for int() with base 10: 'x'".to_owned())
    );
    assert_eq!(
        refused(&mut agent, &[("operation", "PROFILE"), ("stop", "")], Value::Null),
        (400, "Profiler not started".to_owned())
    );
    let (status, text) = refused(&mut agent, &[("operation", "nosuchop")], Value::Null);
    assert_eq!(status, 501);
    assert!(text.starts_with("Operation 'NOSUCHOP' not implemented for 'io.skupper.router.management' ['GET-SCHEMA',"));
}

#[test]
fn tables_page_and_replace_unknown_columns() {
    let mut agent = agent();
    let ty = format!("{FULL}router.address");
    let query = |count: &'static str, offset: &'static str| {
        vec![("operation", "QUERY"), ("entityType", ty.as_str()), ("count", count), ("offset", offset)]
    };
    let names: Vec<Value> = vec!["key".into(), "bogus".into(), Value::Int(1), "remoteCount".into()];
    let body = Map::new().with("attributeNames", names);
    let page = call(&mut agent, &query("2", "1"), body.clone());
    assert_eq!(Literal(field(&page, "attributeNames")).to_string(), "['key', 'name', 'remoteCount']");
    assert_eq!(Literal(field(&page, "results")).to_string(), "[['Mb', 'Mb', None, 1], ['Mc', 'Mc', None, 1]]");
    let beyond = call(&mut agent, &query("0", "9"), body);
    assert_eq!(field(&beyond, "results").as_list().map(<[_]>::len), Some(0));
    let whole = call(&mut agent, &query("0", "0"), Map::new());
    let rows = field(&whole, "results").as_list().expect("rows");
    let columns = field(&whole, "attributeNames").as_list().map(<[_]>::len);
    assert!(rows.iter().all(|r| r.as_list().map(<[_]>::len) == columns));
    let read = [("operation", "READ"), ("type", ty.as_str()), ("name", "Mb")];
    assert_eq!(field(&call(&mut agent, &read, Value::Null), "key").as_str(), Some("Mb"));
    // A short type name leads elsewhere.
    let short = call(&mut agent, &[("operation", "QUERY"), ("entityType", "router.address")], Map::new());
    assert_eq!(field(&short, "results").as_list().map(<[_]>::len), Some(0));
}

#[test]
fn every_table_row_has_a_value_per_column() {
    let mut agent = agent();
    for ty in ["routerMetrics", "router.address", "router.link", "connection", "router.config.address"] {
        let full = format!("{FULL}{ty}");
        let all = call(&mut agent, &[("operation", "QUERY"), ("entityType", &full)], Map::new());
        let columns = field(&all, "attributeNames").as_list().map(<[_]>::len);
        for row in field(&all, "results").as_list().expect("rows") {
            assert_eq!(row.as_list().map(<[_]>::len), columns, "{ty}");
        }
    }
}

#[test]
fn replies_are_complete_messages() {
    let response = Response::new(Status::Ok, Map::new().with("a", 1));
    let message = response.encode("amqp:/x", &Value::Ulong(7));
    let read = amqp_core::message::Message::decode(&[message]).expect("readable");
    assert_eq!(read.properties.to.as_deref(), Some("amqp:/x"));
    assert_eq!(read.properties.correlation_id, Value::Ulong(7));
    assert_eq!(read.application_properties.get("statusCode"), Some(&Value::Int(200)));
    assert_eq!(read.application_properties.get("statusDescription").and_then(Value::as_str), Some("OK"));
}

#[test]
fn requests_without_reply_address_get_no_reply() {
    let mut agent = agent();
    let request = Request { properties: Map::new().with("operation", "READ"), ..Request::default() };
    assert!(agent.handle(&request).is_none());
}

/// A small generator of arbitrary values.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    fn text(&mut self) -> &'static str {
        const TEXTS: [&str; 16] = [
            "",
            "listener",
            "dummy",
            "io.skupper.router.connection",
            "io.skupper.router.router.address",
            "name",
            "5672",
            "it's \"x\"",
            "\u{1f600}\0\n",
            "-1",
            "99999999999999999999",
            "true",
            "log/AGENT",
            "default",
            "weighted",
            "$",
        ];
        TEXTS[self.roll(TEXTS.len())]
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.roll(if depth == 0 { 12 } else { 15 }) {
            0 => Value::Null,
            1 => Value::Bool(true),
            2 => Value::Long(i64::MIN),
            3 => Value::Ulong(u64::MAX),
            4 => Value::Int(-1),
            5 => Value::Double(f64::NAN),
            6 => Value::Binary(vec![0, 255, b'\''].into()),
            7 => Value::symbol("sym"),
            8 => Value::Timestamp(7),
            9 => Value::Char('\u{7f}'),
            12 => (0..self.roll(4)).map(|_| self.value(depth - 1)).collect::<Vec<_>>().into(),
            13 => self.map(depth - 1).into(),
            14 => Value::described(7, self.value(depth - 1)),
            _ => self.text().into(),
        }
    }

    fn map(&mut self, depth: usize) -> Map {
        const KEYS: [&str; 12] = [
            "attributeNames",
            "name",
            "type",
            "port",
            "openProperties",
            "adminStatus",
            "enable",
            "value",
            "prefix",
            "direction",
            "arg1",
            "num1",
        ];
        let mut map = Map::new();
        for _ in 0..self.roll(6) {
            let key = if self.roll(8) == 0 { self.value(0) } else { KEYS[self.roll(KEYS.len())].into() };
            map.push(key, self.value(depth));
        }
        map
    }
}

#[test]
fn no_request_is_too_odd() {
    const OPERATIONS: [&str; 14] = [
        "QUERY",
        "READ",
        "CREATE",
        "UPDATE",
        "DELETE",
        "GET-TYPES",
        "GET-LOG",
        "GET-JSON-SCHEMA",
        "PROFILE",
        "callme",
        "GET-ATTRIBUTES",
        "GET-MGMT-NODES",
        "nosuch",
        "",
    ];
    let mut agent = agent();
    // Refusals would fill the screen.
    for module in [LogModule::Agent, LogModule::Error] {
        let enable = Some("none".to_owned());
        let params = LogParams {
            module,
            enable,
            include_timestamp: None,
            include_source: None,
            output_file: None,
            format: None,
        };
        crate::log::logger().configure(&params).expect("valid");
    }
    let mut dice = Dice(7);
    for _ in 0..3000 {
        let mut properties = Map::new().with("operation", OPERATIONS[dice.roll(OPERATIONS.len())]);
        for key in ["type", "entityType", "name", "identity", "count", "offset", "limit", "indent", "start"] {
            if dice.roll(3) == 0 {
                let value = if dice.roll(3) == 0 { dice.value(2) } else { dice.text().into() };
                properties.push(key, value);
            }
        }
        let body = if dice.roll(3) == 0 { dice.value(3) } else { dice.map(3).into() };
        let reply_to = Some("r".to_owned());
        let request = Request { reply_to, correlation_id: dice.value(1), properties, body, requester: None };
        let response = agent.handle(&request).expect("answered");
        let message = response.encode("r", &request.correlation_id);
        amqp_core::message::Message::decode(&[message]).expect("a message");
    }
}

#[test]
fn a_request_that_panics_is_answered_and_the_agent_goes_on() {
    let mut agent = agent();
    let request = |name: &str| Request {
        reply_to: Some("r".to_owned()),
        properties: [("operation", "CREATE"), ("type", "dummy"), ("name", name)].into_iter().collect(),
        body: Map::new().into(),
        ..Request::default()
    };
    agent.backend().panics = true;
    for general_only in [false, true] {
        let response = node::answer(&mut agent, &request("n"), general_only).expect("answered");
        assert_eq!(response.status, Status::InternalError);
        assert_eq!(response.description, "RuntimeError: the request could not be served");
    }
    agent.backend().panics = false;
    let response = node::answer(&mut agent, &request("n"), false).expect("answered");
    assert_eq!(response.status, Status::Created);
}

#[test]
fn a_failure_shows_no_more_of_a_request_than_is_of_use() {
    let mut agent = agent();
    let long = "\u{e9}".repeat(100_000);
    let body = || Map::new().with("distribution", long.as_str());
    for (properties, body) in [
        (vec![("op", long.as_str())], Map::new()),
        (vec![("operation", "CREATE"), ("type", "io.skupper.router.router.config.address")], body()),
        (vec![("operation", "CREATE"), ("type", "router.config.address")], body()),
        (vec![("operation", "CREATE")], body()),
        (vec![("operation", "READ"), ("name", &long)], Map::new()),
    ] {
        let response = call(&mut agent, &properties, body);
        assert!(matches!(response.status, Status::BadRequest | Status::NotFound), "{:?}", response.status);
        assert!(response.description.len() <= 8 * 1024, "{}", response.description.len());
    }
}
