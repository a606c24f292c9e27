//! What a running router does with its entities.

mod common;

use amqp_core::Value;
use amqp_core::value::Map;
use common::{Client, description, field, start, status};
use management::EntityType;
use management::log::logger;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;

const CONFIG: &str = "router {\n id: R\n mode: interior\n}\n";

/// Entities of all kinds that a file may have.
const FULL: &str = "router {\n id: R\n mode: interior\n}\nnetwork {\n networkId: N\n}\nsite {\n location: here\n}\n\
    sslProfile {\n name: profile\n}\nproxyProfile {\n name: proxy\n}\nlistener {\n host: 127.0.0.1\n port: 0\n}\n\
    connector {\n host: 127.0.0.1\n port: 1\n proxyProfile: proxy\n}\n\
    tcpListener {\n name: many\n host: 127.0.0.1\n port: 0\n multiAddressStrategy: priority\n}\n\
    listenerAddress {\n name: one\n address: a\n value: 1\n listener: many\n}\n\
    tcpConnector {\n host: 127.0.0.1\n port: 1\n address: a\n}\naddress {\n prefix: a\n}\n\
    autoLink {\n direction: in\n connection: c\n}\nvhost {\n hostname: v\n}\ndummy {\n}\n";

fn map(entries: &[(&str, &str)]) -> Map {
    entries.iter().map(|(key, value)| (*key, *value)).collect()
}

/// A socket on this machine, and more.
fn local(more: &[(&str, &str)]) -> Map {
    Map(map(&[("host", "127.0.0.1"), ("port", "0")]).0.into_iter().chain(map(more).0).collect())
}

fn logged(text: &str) -> bool {
    logger().recent(0).iter().any(|entry| entry.text == text)
}

/// Has an entity refused that leaves nothing behind. Returns the status and its text.
async fn refused(client: &mut Client, ty: &str, body: Map) -> (i64, String) {
    let reply = client.request("CREATE", ty, "n", body).await;
    assert_eq!(status(&client.request("READ", ty, "n", Map::new()).await), 404, "{ty} {reply:?}");
    (status(&reply), description(&reply).to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn what_makes_no_sense_is_refused_and_leaves_nothing() {
    let router = start(&Handle::current(), CONFIG);
    let mut client = Client::attach(&router);
    let one = "CError: Configuration: Exactly one of the 'address' or 'multiAddressStrategy' field must be set";
    let bounds = "Minimum value is 512 and maximum value is 2147483647";
    for (ty, body, status, text) in [
        ("listener", local(&[("cost", "0")]), 400, "Invalid cost (0) specified. Minimum value for cost is 1"),
        ("listener", local(&[("maxFrameSize", "7")]), 400, bounds),
        ("listener", local(&[("sslProfile", "x")]), 500, "CError: Not found: sslProfile 'x' not found"),
        ("listener", local(&[("failoverUrls", "amqp://:5")]), 500, "CError: Value: No network host in failover item"),
        ("connector", local(&[("sslProfile", "x")]), 500, "CError: Not found: sslProfile 'x' not found"),
        ("connector", local(&[("proxyProfile", "x")]), 500, "CError: Not found: proxyProfile 'x' not found"),
        ("tcpListener", local(&[]), 400, &one[8..]),
        ("tcpListener", local(&[("address", "a"), ("multiAddressStrategy", "weighted")]), 400, &one[8..]),
        ("tcpListener", map(&[("address", "a")]), 400, "KeyError: ('port',)"),
        ("tcpListener", local(&[("address", "a"), ("sslProfile", "x")]), 500, "sslProfile 'x' not found"),
        ("tcpConnector", local(&[]), 400, "Configuration: Address must be set"),
        ("tcpConnector", local(&[("address", "a"), ("sslProfile", "x")]), 500, "sslProfile 'x' not found"),
        (
            "listenerAddress",
            map(&[("address", "a"), ("value", "1"), ("listener", "x")]),
            500,
            "CError: Value: Listener for new address does not exist x",
        ),
        ("sslProfile", map(&[("ordinal", "-1")]), 400, "Negative ordinal field values are invalid (sslProfile 'n')"),
        ("vhost", map(&[("hostname", "v"), ("maxConnections", "70000")]), 500, "is above maximum '65535'"),
    ] {
        let shown = format!("{ty} {body:?}");
        let answer = refused(&mut client, ty, body).await;
        assert!(answer.0 == status && answer.1.contains(text), "{shown}: {answer:?}");
    }
    for line in [
        "Unable to create listener: Value: No network host in failover item",
        "Failed to configure TLS for Listener n: Not found: sslProfile 'x' not found",
        "Unable to create connector: Not found: sslProfile 'x' not found",
        "tcpListener n TLS configuration failed: Not found: sslProfile 'x' not found",
        "tcpConnector n TLS configuration failed: Not found: sslProfile 'x' not found",
        "Unable to create tcp connector: Configuration: Address must be set",
        "Unable to create tcp listener address: Value: Listener for new address does not exist x",
    ] {
        assert!(logged(line), "{line}");
    }
}

/// All entities: their types, and the attributes that are not null.
async fn everything(client: &mut Client) -> Vec<(EntityType, Map)> {
    let all = client.request("QUERY", "management", "self", Map::new()).await;
    let columns = field(&all, "attributeNames").as_list().expect("columns");
    let entity = |row: &Value| {
        let values = row.as_list().expect("a row").iter().cloned();
        let shown = columns.iter().cloned().zip(values).filter(|(_, value)| !value.is_null());
        let attributes = Map(shown.collect());
        let ty = attributes.get("type").and_then(Value::as_str).and_then(EntityType::parse_full);
        (ty.expect("a type"), attributes)
    };
    field(&all, "results").as_list().expect("rows").iter().map(entity).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn entities_show_attributes_of_their_schema_only() {
    let router = start(&Handle::current(), FULL);
    let mut client = Client::attach(&router);
    let all = everything(&mut client).await;
    for (ty, attributes) in &all {
        for (name, _) in attributes.iter() {
            let name = name.as_str().expect("a name");
            assert!(ty.attribute(name).is_some(), "{ty}: {name}");
        }
    }
    // In the order in which they came, as documented.
    let mut types: Vec<_> = all.iter().map(|(ty, _)| *ty).collect();
    types.dedup();
    use EntityType::*;
    assert_eq!(
        types,
        [
            Management,
            Log,
            Router,
            Network,
            Node,
            Allocator,
            LogStats,
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
            VhostStats
        ]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn live_attributes_are_there_and_have_their_types() {
    let router = start(&Handle::current(), FULL);
    let mut client = Client::attach(&router);
    let all = everything(&mut client).await;
    let shown = |ty: EntityType| &all.iter().find(|(of, _)| *of == ty).expect("is there").1;
    for (ty, numbers, texts) in [
        (EntityType::Router, &[][..], &["hostName"][..]),
        (EntityType::Connector, &[], &["failoverUrls", "connectionStatus", "connectionMsg"]),
        (
            EntityType::TcpListener,
            &["bytesIn", "bytesOut", "connectionsOpened", "connectionsClosed"],
            &["operStatus", "connectionMsg"],
        ),
        (EntityType::TcpConnector, &["bytesIn", "bytesOut", "connectionsOpened", "connectionsClosed"], &[]),
        (EntityType::ListenerAddress, &["connectionsOpened"], &[]),
        (EntityType::Policy, &["connectionsProcessed", "connectionsCurrent", "linksDenied", "totalDenials"], &[]),
        (EntityType::Node, &["index", "protocolVersion", "instance", "lastTopoChange"], &["id", "nextHop", "address"]),
        (EntityType::Allocator, &["typeSize", "heldByThreads", "globalFreeListMax"], &["typeName"]),
        (EntityType::LogStats, &["debugCount", "criticalCount"], &["name"]),
        (EntityType::VhostStats, &["connectionsApproved", "senderDenied"], &["hostname"]),
    ] {
        let attributes = shown(ty);
        for name in numbers {
            assert!(attributes.get(name).is_some_and(|value| value.as_i64().is_some()), "{ty}: {name}");
        }
        for name in texts {
            assert!(attributes.get(name).is_some_and(|value| value.as_str().is_some()), "{ty}: {name}");
        }
    }
    assert_eq!(shown(EntityType::Node).get("nextHop").and_then(Value::as_str), Some("(self)"));
    assert_eq!(shown(EntityType::Policy).get("connectionsDenied").and_then(Value::as_i64), Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_listener_with_several_addresses_stays_while_it_has_one() {
    let router = start(&Handle::current(), FULL);
    let mut client = Client::attach(&router);
    client.create("tcpListener", "single", local(&[("address", "a")])).await;
    let body = |listener: &str| map(&[("address", "b"), ("value", "2"), ("listener", listener)]);
    let (code, text) = refused(&mut client, "listenerAddress", body("single")).await;
    let wanted = "CError: Value: Must not assign new address to non multi-address listener single";
    assert_eq!((code, text.as_str()), (500, wanted));
    client.create("listenerAddress", "two", body("many")).await;
    for address in ["one", "two"] {
        let reply = client.request("DELETE", "tcpListener", "many", Map::new()).await;
        let wanted = "CError: Value: listenerAddress entities exist for  multi-address listener many";
        assert_eq!((status(&reply), description(&reply)), (500, wanted));
        assert_eq!(status(&client.request("DELETE", "listenerAddress", address, Map::new()).await), 204);
    }
    assert_eq!(status(&client.request("DELETE", "tcpListener", "many", Map::new()).await), 204);
    assert!(logged(
        "Cannot delete tcp listener: Value: listenerAddress entities exist for  multi-address listener many"
    ));
    // Without a listener it may still be created and deleted, but not for that one.
    assert_eq!(refused(&mut client, "listenerAddress", body("many")).await.0, 500);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn profiles_are_known_by_name_until_they_are_deleted() {
    let router = start(&Handle::current(), CONFIG);
    let mut client = Client::attach(&router);
    for (ty, user) in [("sslProfile", "listener"), ("proxyProfile", "connector")] {
        let missing = (500, format!("CError: Not found: {ty} 'p' not found"));
        assert_eq!(refused(&mut client, user, local(&[(ty, "p")])).await, missing);
        client.create(ty, "p", Map::new()).await;
        assert!(logged(&format!("Created {ty} p")));
        // A TLS profile that is there has no certificate, which is another matter.
        let found = client.request("CREATE", user, "u", local(&[(ty, "p")])).await;
        assert_ne!(description(&found), missing.1);
        assert_eq!(status(&client.request("DELETE", ty, "p", Map::new()).await), 204);
        assert!(logged(&format!("Deleted {ty} p")));
        assert_eq!(refused(&mut client, user, local(&[(ty, "p")])).await, missing);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_proxys_password_has_to_be_there() {
    let router = start(&Handle::current(), CONFIG);
    let mut client = Client::attach(&router);
    let missing = || Map::new().with("password", "env:NO_SUCH_VARIABLE_HERE");
    let text = "CError: Not found: Failed to find a password in the environment variable".to_owned();
    assert_eq!(refused(&mut client, "proxyProfile", missing()).await, (500, text.clone()));
    client.create("proxyProfile", "p", Map::new().with("password", "literal:x")).await;
    client.create("connector", "c", local(&[("proxyProfile", "p")])).await;
    let update = client.request("UPDATE", "proxyProfile", "p", missing()).await;
    assert_eq!((status(&update), description(&update)), (500, text.as_str()));
    for entity in ["connector", "proxyProfile"] {
        let name = if entity == "connector" { "c" } else { "p" };
        assert_eq!(status(&client.request("DELETE", entity, name, Map::new()).await), 204);
    }
}

/// What a listener says to `GET <path>`, until it closes.
async fn http_get(port: u16, path: &str) -> std::io::Result<String> {
    let mut connection = TcpStream::connect(("127.0.0.1", port)).await?;
    connection.write_all(format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    timeout(Duration::from_secs(20), connection.read_to_string(&mut answer)).await.expect("in time")?;
    Ok(answer)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_listener_speaks_http_until_it_is_deleted() {
    let router = start(&Handle::current(), CONFIG);
    let mut client = Client::attach(&router);
    let port = common::free_port();
    let web = map(&[("host", "127.0.0.1"), ("port", &port.to_string()), ("http", "yes"), ("metrics", "no")]);
    client.create("listener", "web", web).await;
    assert!(logged(&format!("Listening for HTTP on 127.0.0.1:{port}")));
    let health = http_get(port, "/healthz").await.expect("it listens");
    assert!(health.starts_with("HTTP/1.1 200 OK\r\n") && health.ends_with("\r\n\r\nOK\n"), "{health}");
    assert!(http_get(port, "/metrics").await.expect("it listens").starts_with("HTTP/1.1 404 "));
    assert_eq!(status(&client.request("DELETE", "listener", "web", Map::new()).await), 204);
    http_get(port, "/healthz").await.expect_err("it is closed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_network_loses_its_id_and_a_vhost_leaves_its_statistics() {
    let router = start(&Handle::current(), FULL);
    let mut client = Client::attach(&router);
    let reply = client.request("UPDATE", "network", "network/0", Map::new().with("networkId", Value::Null)).await;
    assert_eq!((status(&reply), field(&reply, "networkId")), (200, &Value::Null));
    let other = Map::new().with("networkId", "M");
    let reply = client.request("UPDATE", "network", "network/0", other).await;
    assert_eq!((status(&reply), field(&reply, "networkId")), (200, &Value::from("M")));
    let updated = async {
        while !logged("Router's network-id updated to M") {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(20), updated).await.expect("in time");
    assert!(!logged("Router's network-id updated to 0"), "the last one counts");
    // Answers to the former network do not come back.
    let mut client = Client::attach(&router);
    let reply = client.request("UPDATE", "network", "network/0", map(&[("networkId", "a/b")])).await;
    assert!(description(&reply).ends_with("Invalid networkId 'a/b': it contains '/'"), "{reply:?}");
    let reply = client.request("UPDATE", "network", "network/0", map(&[("tenantId", "t")])).await;
    assert_eq!((status(&reply), description(&reply)), (400, "Cannot update attribute 'tenantId' in UPDATE"));
    assert_eq!(status(&client.request("DELETE", "vhost", "vhost/v", Map::new()).await), 204);
    assert_eq!(status(&client.request("READ", "vhostStats", "vhostStats/v", Map::new()).await), 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn services_and_reply_addresses_are_the_tenants() {
    let tenant = "router {\n id: R\n mode: interior\n vanId: old\n}\nnetwork {\n networkId: N\n tenantId: T\n}\n\
        tcpListener {\n name: l\n host: 127.0.0.1\n port: 0\n address: svc\n}\n\
        tcpConnector {\n name: c\n host: 127.0.0.1\n port: 1\n address: svc\n}\n\
        tcpListener {\n name: many\n host: 127.0.0.1\n port: 0\n multiAddressStrategy: priority\n}\n\
        listenerAddress {\n name: one\n address: plain\n value: 1\n listener: many\n}\n";
    let router = start(&Handle::current(), tenant);
    assert!(logged("Router is a member of Application Network Tenant: T"));
    assert!(logged("The router attribute vanId is deprecated: use tenantId of the network entity"));
    let client = Client::attach(&router);
    assert!(client.reply_to.starts_with("amqp:/_xtopo/N/0/R/T/temp."), "{}", client.reply_to);
    let service = router.address_row("MT/svc").expect("of the tenant");
    assert_eq!((service.in_process + service.subscribers, service.watched), (1, true));
    assert!(router.address_row("Msvc").is_none());
    assert!(router.address_row("Mplain").is_some() && router.address_row("MT/plain").is_none());
}
