//! The management node over a real routing core, without sockets.

mod common;

use amqp_core::performative::DeliveryState;
use amqp_core::value::Map;
use amqp_core::{Instant, Value};
use bytes::Bytes;
use common::{Client, field};
use management::agent::node::Node;
use management::agent::{Agent, thread};
use management::config::{BootPlan, parse};
use management::log::logger;
use management::runtime::Runtime;
use management::runtime::now;
use router_engine::Router;
use router_engine::log::{Level, LogModule};
use router_engine::port::local::Event;
use router_engine::stream::Payload;
use std::cell::Cell;
use std::sync::Arc;

fn start() -> Arc<Router> {
    let (router, node, agent) = common::join(&tokio::runtime::Handle::current(), "router {\n id: R\n}\n");
    tokio::spawn(node.run(agent));
    router
}

#[tokio::test]
async fn requests_are_answered() {
    let router = start();
    let mut client = Client::attach(&router);
    let read = client.message(Map::new().with("operation", "READ").with("identity", "router/R"), Value::Null);
    let reply = client.call(Payload::One(read)).await;
    assert_eq!(reply.application_properties.get("statusCode"), Some(&Value::Int(200)));
    assert_eq!(reply.properties.to.as_deref(), Some(client.reply_to.as_str()));
    assert_eq!(reply.properties.correlation_id, Value::Ulong(0));
    assert_eq!(field(&reply, "id").as_str(), Some("R"));

    let query = Map::new().with("operation", "QUERY").with("entityType", "io.skupper.router.router.address");
    let query = client.message(query, Map::new().into());
    let reply = client.call(Payload::Many([query].into())).await;
    let rows = field(&reply, "results").as_list().expect("rows");
    let keys: Vec<_> = rows.iter().filter_map(|r| r.as_list()?.first()?.as_str()).collect();
    assert!(keys.contains(&"M$management") && keys.contains(&"L$_management_internal"), "{keys:?}");
}

#[tokio::test]
async fn a_request_may_arrive_in_parts() {
    let router = start();
    let mut client = Client::attach(&router);
    let properties = Map::new().with("operation", "CREATE").with("type", "dummy").with("name", "d");
    let message = client.message(properties, Map::new().with("arg1", "x".repeat(100_000)).into());
    let stream = client.stream(false);
    tokio::spawn(async move {
        for chunk in message.chunks(7000) {
            stream.push(Bytes::copy_from_slice(chunk));
            tokio::task::yield_now().await;
        }
        stream.finish(now());
    });
    let reply = client.answer().await;
    assert_eq!(reply.application_properties.get("statusCode"), Some(&Value::Int(201)));
    assert_eq!(field(&reply, "arg1").as_str().map(str::len), Some(100_000));
}

#[tokio::test]
async fn requests_that_are_aborted_leave_nothing_behind() {
    let router = start();
    let mut client = Client::attach(&router);
    // More than may wait for the node.
    for _ in 0..300 {
        let stream = client.stream(true);
        tokio::task::yield_now().await;
        drop(stream);
        tokio::task::yield_now().await;
    }
    let read = client.message(Map::new().with("operation", "READ").with("identity", "router/R"), Value::Null);
    client.send(true, Payload::One(read));
    let reply = client.answer().await;
    assert_eq!(reply.application_properties.get("statusCode"), Some(&Value::Int(200)));
}

#[tokio::test]
async fn what_arriving_requests_hold_together_has_a_bound() {
    let router = start();
    let mut client = Client::attach(&router);
    let chunk = Bytes::from(vec![0; 1024 * 1024]);
    let mut streams: Vec<_> = (0..5).map(|_| client.stream(false)).collect();
    for stream in &streams {
        for _ in 0..15 {
            stream.push(chunk.clone());
        }
    }
    let refused = |event| match event {
        Event::Update { token, state: Some(state), settled: true } => Some((token, state)),
        _ => None,
    };
    let refusal = DeliveryState::rejected("amqp:resource-limit-exceeded", "Too many large requests");
    assert_eq!(client.next(refused).await, (streams[4].token(), refusal));
    // With one of them gone there is room again.
    streams.remove(0);
    let read = client.message(Map::new().with("operation", "READ"), Value::Null);
    client.call(Payload::One(read)).await;
    let again = client.stream(false);
    for _ in 0..17 {
        again.push(chunk.clone());
    }
    let refusal = DeliveryState::rejected("amqp:link:message-size-exceeded", "Request too large");
    assert_eq!(client.next(refused).await, (again.token(), refusal));
}

#[tokio::test]
async fn the_log_tells_the_life_of_profiles() {
    let router = start();
    let mut client = Client::attach(&router);
    let ordinal = |number| Map::new().with("ordinal", number);
    let host = |name| Map::new().with("host", name);
    for (operation, ty, body) in [
        ("CREATE", "sslProfile", ordinal(1)),
        ("UPDATE", "sslProfile", ordinal(2)),
        ("UPDATE", "sslProfile", ordinal(-1)),
        ("DELETE", "sslProfile", Map::new()),
        ("CREATE", "proxyProfile", host("h").with("port", "1")),
        ("UPDATE", "proxyProfile", host("i")),
        ("DELETE", "proxyProfile", Map::new()),
    ] {
        let properties = Map::new().with("operation", operation).with("type", ty).with("name", "p");
        let request = client.message(properties, body.into());
        client.call(Payload::One(request)).await;
    }
    let lines: Vec<String> = logger().recent(0).into_iter().map(|entry| entry.text).collect();
    let about: Vec<&str> =
        lines.iter().map(String::as_str).filter(|l| l.contains("Profile p") || l.starts_with("Unable")).collect();
    let wanted = [
        "Created sslProfile p",
        "Updated sslProfile p",
        "Unable to update sslProfile 'p': Configuration: Negative ordinal field values are invalid (sslProfile 'p')",
        "Deleted sslProfile p",
        "Created proxyProfile p",
        "Updated proxyProfile p",
        "Deleted proxyProfile p",
    ];
    assert_eq!(about, wanted);
}

#[tokio::test]
async fn the_log_names_who_cut_a_connection() {
    let router = start();
    let mut client = Client::attach(&router);
    let other = Client::attach(&router);
    let victim = other.number();
    let properties = Map::new()
        .with("operation", "UPDATE")
        .with("type", "io.skupper.router.connection")
        .with("identity", victim.to_string());
    let request = client.message(properties, Map::new().with("adminStatus", "deleted").into());
    let reply = client.call(Payload::One(request)).await;
    assert_eq!(reply.application_properties.get("statusCode"), Some(&Value::Int(200)));
    let requester = client.number();
    let wanted = format!("[C{victim}] Connection force-closed by request from connection [C{requester}]");
    assert!(logger().recent(0).into_iter().any(|entry| entry.text == wanted));
}

#[tokio::test]
async fn the_start_names_the_parts_of_the_core() {
    // Tests of one process share the log.
    let starts = |mode: &str| {
        let before = logger().recent(0).len();
        common::join(&tokio::runtime::Handle::current(), &format!("router {{\n id: {mode}\n mode: {mode}\n}}\n"));
        let lines = logger().recent(0).into_iter().skip(before);
        lines.filter_map(|e| Some(e.text.strip_prefix("Core module enabled: ")?.to_owned())).collect::<Vec<_>>()
    };
    let enabled = starts("interior");
    assert!(enabled.iter().any(|part| part == "mobile_sync"), "{enabled:?}");
    assert!(enabled.iter().any(|part| part == "streaming_link_scrubber"), "{enabled:?}");
    assert!(starts("standalone").iter().any(|part| part == "streaming_link_scrubber"));
}

#[tokio::test]
async fn a_listener_is_required_only_at_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = taken.local_addr().expect("bound").port();
    let router = start();
    let mut client = Client::attach(&router);
    let properties = Map::new().with("operation", "CREATE").with("type", "listener").with("name", "l");
    let body = Map::new().with("host", "127.0.0.1").with("port", port.to_string());
    let request = client.message(properties, body.into());
    let reply = client.call(Payload::One(request)).await;
    assert_eq!(reply.application_properties.get("statusCode"), Some(&Value::Int(201)));
    let shutdown = |entry: &management::log::Entry| entry.text.starts_with("Shutting down");
    assert!(!logger().recent(0).iter().any(shutdown), "it only failed to listen");

    for http in [false, true] {
        assert!(!boots(&format!("listener {{\n host: 127.0.0.1\n port: {port}\n http: {http}\n}}\n")));
    }
    assert!(logger().recent(0).iter().any(shutdown));
}

/// Whether a router starts with these entities.
fn boots(entities: &str) -> bool {
    let conf = format!("router {{\n id: R\n}}\n{entities}");
    let plan = BootPlan::new(parse(&conf, false).expect("valid")).expect("no directory is read");
    let mut agent = Agent::new(Runtime::new(tokio::runtime::Handle::current()));
    agent.load_all(plan.core).expect("accepted");
    agent.load_all(plan.rest).expect("accepted");
    agent.backend().finish_boot()
}

impl Client {
    /// The status code and the body of the answer to a request.
    async fn status(&mut self, request: [(&str, &str); 3], body: Map) -> (Value, amqp_core::message::Message) {
        let request = self.message(request.into_iter().collect(), body.into());
        let reply = self.call(Payload::One(request)).await;
        (reply.application_properties.get("statusCode").cloned().unwrap_or_default(), reply)
    }
}

#[tokio::test]
async fn a_file_with_names_for_users_is_read_by_who_uses_the_profile() {
    let router = start();
    let mut client = Client::attach(&router);
    let profile = |operation| [("operation", operation), ("type", "sslProfile"), ("name", "p")];
    let names = Map::new().with("uidNameMappingFile", "/no/such/file");
    assert_eq!(client.status(profile("CREATE"), names).await.0, Value::Int(201));
    assert_eq!(client.status(profile("UPDATE"), Map::new().with("ordinal", 1)).await.0, Value::Int(200));
    let listener = [("operation", "CREATE"), ("type", "listener"), ("name", "l")];
    let body = Map::new().with("host", "127.0.0.1").with("port", "0").with("sslProfile", "p");
    let (status, refused) = client.status(listener, body).await;
    assert_eq!(status, Value::Int(500));
    let text = refused.application_properties.get("statusDescription").and_then(Value::as_str).unwrap_or_default();
    assert!(text.starts_with("CError: Configuration: Cannot read uidNameMappingFile '/no/such/file': "), "{text}");

    let conf = "router {\n id: R\n}\nsslProfile {\n name: p\n uidNameMappingFile: /no/such/file\n}\n";
    let plan = BootPlan::new(parse(conf, false).expect("valid")).expect("no directory is read");
    let mut agent = Agent::new(Runtime::new(tokio::runtime::Handle::current()));
    agent.load_all(plan.core).expect("accepted");
    assert!(agent.load_all(plan.rest).is_err(), "nobody waits for an answer who could mend it");
}

#[tokio::test]
async fn the_answer_to_the_creation_of_a_connector_tells_that_it_connects() {
    let router = start();
    let mut client = Client::attach(&router);
    for n in 0..20 {
        let name = format!("c{n}");
        let connector = [("operation", "CREATE"), ("type", "connector"), ("name", name.as_str())];
        let body = Map::new().with("host", "127.0.0.1").with("port", "1");
        let (status, reply) = client.status(connector, body).await;
        assert_eq!((status, field(&reply, "connectionStatus").as_str()), (Value::Int(201), Some("CONNECTING")));
    }
}

#[tokio::test]
async fn a_connection_is_shown_as_traced_while_its_frames_are() {
    let router = start();
    let mut client = Client::attach(&router);
    let number = client.number().to_string();
    let level = [("operation", "UPDATE"), ("type", "log"), ("identity", "log/PROTOCOL")];
    let connection =
        |operation| [("operation", operation), ("type", "io.skupper.router.connection"), ("identity", &*number)];
    for (request, body, traced) in [
        (connection("READ"), Map::new(), false),
        (level, Map::new().with("enable", "debug+"), true),
        (connection("UPDATE"), Map::new().with("enableProtocolTrace", false), false),
        (level, Map::new().with("enable", "info+"), false),
        (connection("UPDATE"), Map::new().with("enableProtocolTrace", true), true),
        (level, Map::new().with("enable", "debug+"), true),
        (level, Map::new().with("enable", "info+"), false),
    ] {
        assert_eq!(client.status(request, body.clone()).await.0, Value::Int(200));
        let row = client.status(connection("READ"), Map::new()).await.1;
        assert_eq!(field(&row, "enableProtocolTrace"), &Value::Bool(traced), "{request:?} {body:?}");
    }
}

#[tokio::test]
async fn what_a_request_logs_is_written_before_its_answer() {
    let file = std::env::temp_dir().join(format!("node-{}.log", std::process::id()));
    let router = start();
    let mut client = Client::attach(&router);
    let level = [("operation", "UPDATE"), ("type", "log"), ("identity", "log/AGENT")];
    let body = Map::new().with("enable", "info+").with("outputFile", file.display().to_string());
    assert_eq!(client.status(level, body).await.0, Value::Int(200));
    for n in 0..20 {
        let ty = format!("nosuch{n}");
        // So that the writer has something to do.
        (0..200).for_each(|_| router_engine::log!(LogModule::Agent, Level::Info, "{}", "x".repeat(2000)));
        client.status([("operation", "CREATE"), ("type", &ty), ("name", "n")], Map::new()).await;
        let text = std::fs::read_to_string(&file).expect("written");
        assert!(text.contains(&format!("'{ty}'")), "the line about {ty}");
    }
    assert_eq!(client.status(level, Map::new().with("outputFile", Value::Null)).await.0, Value::Int(200));
    std::fs::remove_file(file).expect("removed");
}

thread_local! {
    static FAULT: Cell<bool> = const { Cell::new(false) };
}

/// A clock that is wrong once when told so.
fn clock() -> Instant {
    assert!(!FAULT.take(), "on purpose");
    now()
}

/// A router without management, a client that waits for it, and the agent.
fn unmanaged() -> (Arc<Router>, Client, Agent<Runtime>) {
    let (router, node, agent) = common::join(&tokio::runtime::Handle::current(), "router {\n id: R\n}\n");
    drop(node);
    let client = Client::attach(&router);
    (router, client, agent)
}

#[tokio::test]
async fn a_fault_of_the_node_leaves_nothing_behind() {
    let (router, mut client, agent) = unmanaged();
    let before = router.population();
    let node = Node::join(Arc::clone(&router), clock);
    let task = tokio::spawn(node.run(agent));
    let arriving = client.stream(false);
    arriving.push(Bytes::from_static(b"half of"));
    let read = client.message(Map::new().with("operation", "READ"), Value::Null);
    client.call(Payload::One(read.clone())).await;
    FAULT.set(true);
    client.send(false, Payload::One(read));
    assert!(task.await.expect_err("no value").is_panic());
    let failed = |event| match event {
        Event::Update { token, state, .. } if token == arriving.token() => Some(state),
        _ => None,
    };
    assert_eq!(client.next(failed).await, Some(DeliveryState::failed()));
    drop(arriving);
    assert_eq!(router.population(), before);
}

#[tokio::test]
async fn a_node_that_is_stopped_leaves_nothing_behind() {
    let (router, mut client, agent) = unmanaged();
    let before = router.population();
    let node = Node::join(Arc::clone(&router), now);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let thread = thread::spawn(node, agent, async { stopped.await.unwrap_or_default() }).expect("a thread");
    let read = client.message(Map::new().with("operation", "READ"), Value::Null);
    client.call(Payload::One(read)).await;
    drop(stop);
    thread.join().expect("no panic");
    assert_eq!(router.population(), before);
}
