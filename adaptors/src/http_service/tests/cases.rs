//! What becomes of requests.

use super::*;
use crate::health::{Config, Ejections, Params};
use std::sync::atomic::Ordering;
use tokio::io::AsyncReadExt;

#[tokio::test]
async fn requests_of_one_connection_go_to_servers_in_turns() {
    let world = World::new();
    let servers = [Server::new("one").await, Server::new("two").await];
    for server in &servers {
        is_up(&world.connect(server), true).await;
    }
    let mut client = world.client().await;
    for _ in 0..20 {
        assert_eq!(client.get("/").await.status, 200);
    }
    for server in &servers {
        assert_eq!((server.requests().len(), server.connections()), (10, 1), "{}", server.name);
    }
}

#[tokio::test]
async fn the_busier_server_gets_less() {
    let world = World::new();
    let servers = [Server::new("one").await, Server::new("two").await];
    for server in &servers {
        is_up(&world.connect(server), true).await;
    }
    let (mut waiting, mut other) = (world.client().await, world.client().await);
    waiting.send(b"GET /wait HTTP/1.1\r\nhost: h\r\n\r\n").await;
    let all = |server: &Server| server.requests().len();
    eventually(async || (servers.iter().map(all).sum::<usize>() == 1).then_some(())).await;
    let busy = usize::from(servers[1].requests().len() == 1);
    for _ in 0..10 {
        assert_eq!(other.get("/").await.body, servers[1 - busy].name);
    }
    servers[busy].go_on();
    assert_eq!(waiting.answer(false).await.expect("an answer").body, servers[busy].name);
}

#[tokio::test]
async fn bodies_come_whole_however_they_are_sent() {
    let world = World::new();
    let server = Server::new("one").await;
    let _connector = world.connect(&server);
    let mut client = world.client().await;
    let long = "0123456789".repeat(100_000);
    for body in ["", "short", &long] {
        assert_eq!(client.post("/echo", body).await.body, body);
    }
    client.send(b"POST /echo HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n").await;
    client.send(b"2;x=y\r\nde\r\n0\r\nx-t: 1\r\n\r\n").await;
    assert_eq!(client.answer(false).await.expect("an answer").body, "abcde");
    let answer = client.get("/until-closed").await;
    assert!(
        answer.head.contains("transfer-encoding: chunked") || answer.head.contains("content-length: 10"),
        "{answer:?}"
    );
    assert_eq!(answer.body, "to the end");
    assert_eq!(client.get("/chunks").await.body, "abc");
    let none = client.get("/none").await;
    assert_eq!((none.status, none.body.as_str()), (204, ""));
    client.send(b"HEAD /echo HTTP/1.1\r\nhost: h\r\n\r\n").await;
    assert_eq!(client.answer(true).await.expect("an answer").status, 200);
    assert_eq!(client.get("/").await.body, "one", "nothing was left over");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_not_taken_for_whole() {
    let world = World::new();
    let server = Server::new("one").await;
    let _connector = world.connect(&server);
    for path in ["/half", "/cut"] {
        let mut client = world.client().await;
        client.send(format!("GET {path} HTTP/1.1\r\nhost: h\r\n\r\n").as_bytes()).await;
        match client.answer(false).await {
            None => {}
            // It was known before the head had left.
            Some(answer) => assert_eq!(answer.status, 502, "{path}"),
        }
    }
}

#[tokio::test]
async fn a_request_that_breaks_off_is_not_taken_for_whole() {
    let world = World::new();
    let server = Server::new("one").await;
    let _connector = world.connect(&server);
    for framing in ["content-length: 100000", "transfer-encoding: chunked"] {
        let mut client = world.client().await;
        client.send(format!("POST /echo HTTP/1.1\r\nhost: h\r\n{framing}\r\n\r\n5\r\nhello\r\n").as_bytes()).await;
        drop(client);
    }
    assert_eq!(world.client().await.get("/").await.status, 200);
    assert_eq!(server.requests(), ["GET / "]);
}

#[tokio::test]
async fn what_does_no_harm_goes_to_another_server_once() {
    let world = World::new();
    let server = Server::new("one").await;
    let connector = world.connect(&server);
    is_up(&connector, true).await;
    let mut client = world.client().await;
    let answer = client.get("/die").await;
    assert_eq!((answer.status, answer.body.as_str()), (502, "the server failed before it answered\n"));
    let gets = server.requests().len();
    assert!((2..=4).contains(&gets), "{gets}");
    assert_eq!(client.post("/die", "x").await.status, 502);
    assert_eq!(server.requests().len(), gets + 1, "never twice");
    let (_, counters) = world.listener.service().http().expect("of HTTP");
    assert_eq!(counters.retried.load(Ordering::Relaxed), 1);
    assert_eq!(counters.failures.server_failed.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_connector_without_a_server_leaves_the_address_and_comes_back() {
    let world = World::new();
    let (first, second) = (Server::new("one").await, Server::new("two").await);
    let connectors = [world.connect(&first), world.connect(&second)];
    for connector in &connectors {
        is_up(connector, true).await;
    }
    let mut client = world.client().await;
    let at = first.at;
    drop(first);
    is_up(&connectors[0], false).await;
    assert!(connectors[0].status().1.contains("refused"), "{:?}", connectors[0].status());
    for _ in 0..10 {
        assert_eq!(client.get("/").await.body, "two");
        assert_eq!(client.post("/echo", "x").await.status, 200);
    }
    drop(second);
    is_up(&connectors[1], false).await;
    let answer = client.get("/").await;
    assert_eq!((answer.status, answer.body.as_str()), (503, "no server for svc can be reached\n"));
    let _back = Server::at("back", at).await;
    is_up(&connectors[0], true).await;
    assert_eq!(client.get("/").await.body, "back");
}

#[tokio::test]
async fn a_request_waits_for_a_server_that_comes_back() {
    let world = World::retrying(Duration::from_secs(10));
    let server = Server::new("one").await;
    let connector = world.connect(&server);
    is_up(&connector, true).await;
    let mut client = world.client().await;
    let at = server.at;
    drop(server);
    is_up(&connector, false).await;
    client.send(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\nx").await;
    let back = Server::at("back", at).await;
    assert_eq!(client.answer(false).await.expect("an answer").body, "back");
    assert_eq!(back.requests(), ["POST / x"]);
}

/// A server that closes what is idle, as they do.
#[tokio::test]
async fn connections_that_have_ended_are_noticed() {
    let world = World::new();
    let server = Server::new("one").await;
    let connector = world.connect(&server);
    let mut client = world.client().await;
    for _ in 0..5 {
        assert_eq!(client.get("/until-closed").await.status, 200);
    }
    // One is there for the next request.
    let service = connector.service();
    eventually(async || (service.opened() - service.closed() == 1).then_some(())).await;
    assert!(connector.status().0);
}

#[tokio::test]
async fn a_server_learns_that_its_client_has_left() {
    let world = World::new();
    let server = Server::new("one").await;
    let _connector = world.connect(&server);
    for rest in ["\r\n", "content-length: 3\r\n\r\nabc", "transfer-encoding: chunked\r\n\r\n0\r\n\r\n"] {
        let mut client = world.client().await;
        client.send(format!("POST /wait HTTP/1.1\r\nhost: h\r\n{rest}").as_bytes()).await;
        let before = server.left();
        let asked = server.requests().len();
        server.until(|server| server.requests().len() > asked).await;
        drop(client);
        server.until(|server| server.left() > before).await;
    }
}

#[tokio::test]
async fn another_protocol_is_carried_both_ways_to_its_ends() {
    let world = World::new();
    let server = Server::new("one").await;
    let _connector = world.connect(&server);
    let mut client = world.client().await;
    client.send(b"GET /switch HTTP/1.1\r\nhost: h\r\nconnection: Upgrade\r\nupgrade: echo\r\n\r\n").await;
    let answer = client.answer(true).await.expect("an answer");
    assert_eq!(answer.status, 101);
    assert!(answer.head.contains("upgrade: echo") && answer.head.contains("connection: upgrade"), "{}", answer.head);
    assert!(server.last_head().contains("connection: upgrade"), "{}", server.last_head());
    let long = vec![b'x'; 1_000_000];
    let (mut read, mut write) = client.stream.split();
    let sending = async {
        write.write_all(&long).await.expect("sent");
        write.shutdown().await.expect("half closed");
    };
    let mut echoed = client.buffer;
    let receiving = async { read.read_to_end(&mut echoed).await.expect("to the end") };
    timeout(PATIENCE, async { tokio::join!(sending, receiving) }).await.expect("in time");
    assert_eq!(echoed.len(), 5 + long.len());
    assert!(echoed.starts_with(b"first"));
}

#[tokio::test]
async fn who_waits_for_leave_gets_it_from_the_server() {
    let world = World::new();
    let server = Server::new("one").await;
    let _connector = world.connect(&server);
    let mut client = world.client().await;
    let head = "POST /echo HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n";
    client.send(head.as_bytes()).await;
    assert_eq!(client.answer(true).await.expect("leave").status, 100);
    client.send(b"hello").await;
    assert_eq!(client.answer(false).await.expect("an answer").body, "hello");
    client.send(head.replace("/echo", "/early").as_bytes()).await;
    assert_eq!(client.answer(false).await.expect("an answer").status, 413);
}

#[tokio::test]
async fn requests_that_could_be_two_things_are_refused_and_nobody_hears_of_them() {
    let world = World::new();
    let server = Server::new("one").await;
    let _connector = world.connect(&server);
    for bad in [
        "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\nhost: h\n\n",
        "GET / HTTP/1.1\r\nhost: h\r\nx: a\r\n b\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut client = world.client().await;
        client.send(b"GET /good HTTP/1.1\r\nhost: h\r\n\r\n").await;
        client.send(bad.as_bytes()).await;
        assert_eq!(client.answer(false).await.expect("an answer").status, 200, "{bad}");
        assert_eq!(client.answer(false).await.expect("an answer").status, 400, "{bad}");
        assert!(client.answer(false).await.is_none(), "{bad}");
    }
    assert!(server.requests().iter().all(|request| request == "GET /good "), "{:?}", server.requests());
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let world = World::new();
    let server = Server::new("one").await;
    let _connector = world.connect(&server);
    let mut client = world.client().await;
    let all: String = (0..20)
        .map(|at| {
            let body = format!("number {at}");
            let length = body.len();
            format!("POST /echo HTTP/1.1\r\nhost: h\r\ncontent-length: {length}\r\n\r\n{body}")
        })
        .collect();
    client.send(all.as_bytes()).await;
    for at in 0..20 {
        assert_eq!(client.answer(false).await.expect("an answer").body, format!("number {at}"));
    }
}

#[tokio::test]
async fn a_listener_that_is_deleted_ends_connections_with_their_requests() {
    let world = World::new();
    let server = Server::new("one").await;
    let _connector = world.connect(&server);
    let (mut idle, mut busy) = (world.client().await, world.client().await);
    assert_eq!(idle.get("/").await.status, 200);
    busy.send(b"GET /wait HTTP/1.1\r\nhost: h\r\n\r\n").await;
    server.until(|server| server.requests().len() == 2).await;
    world.listener.delete(false);
    assert!(idle.answer(false).await.is_none());
    server.go_on();
    assert_eq!(busy.answer(false).await.expect("an answer").body, "one");
    assert!(busy.answer(false).await.is_none());
}

#[tokio::test]
async fn a_connector_that_is_deleted_ends_connections_with_their_requests() {
    let world = World::new();
    let server = Server::new("one").await;
    let connector = world.connect(&server);
    let mut client = world.client().await;
    client.send(b"GET /wait HTTP/1.1\r\nhost: h\r\n\r\n").await;
    server.until(|server| server.requests().len() == 1).await;
    connector.delete(false);
    server.go_on();
    assert_eq!(client.answer(false).await.expect("an answer").body, "one");
    let service = connector.service();
    eventually(async || (service.opened() == service.closed()).then_some(())).await;
    assert_eq!(client.get("/").await.status, 503);
}

#[tokio::test]
async fn answers_of_all_servers_become_one() {
    for (aggregation, kind) in [(Aggregation::Json, "application/json"), (Aggregation::Multipart, "multipart/mixed")] {
        let world =
            World::with("multicast/a", HttpListenerParams { aggregation: Some(aggregation), ..Default::default() });
        let servers = [Server::new("one").await, Server::new("two").await];
        let mut connectors = Vec::new();
        for server in &servers {
            connectors.push(world.connect(server));
            is_up(&connectors[connectors.len() - 1], true).await;
        }
        let answer = world.client().await.post("/", "x").await;
        assert_eq!(answer.status, 200);
        assert!(answer.head.contains(kind), "{}", answer.head);
        assert!(answer.body.contains("one") && answer.body.contains("two"), "{}", answer.body);
    }
}

#[tokio::test]
async fn an_event_is_answered_when_it_has_arrived() {
    let world = World::with("svc", HttpListenerParams { event_channel: true, ..Default::default() });
    let server = Server::new("one").await;
    let connector = world.connect_with(&server, HttpConnectorParams { event_channel: true, ..Default::default() });
    is_up(&connector, true).await;
    let mut client = world.client().await;
    let answer = client.post("/", "event").await;
    assert_eq!((answer.status, server.requests()), (204, vec!["POST / event".to_owned()]));
    let answer = client.get("/").await;
    assert_eq!(answer.status, 405);
    assert!(answer.body.contains("only POST is allowed"), "{}", answer.body);
    assert!(client.answer(false).await.is_none());
}

#[tokio::test]
async fn a_server_is_not_to_blame_for_uploads_that_break_off() {
    let world = World::new();
    let server = Server::new("one").await;
    let ejections = Some(Ejections { failures: 2, time: PATIENCE });
    let health = Config { params: Params { ejections, ..Params::default() }, ..Config::default() };
    let connector = world.connect_with(&server, HttpConnectorParams { health, ..HttpConnectorParams::default() });
    is_up(&connector, true).await;
    let part =
        [b"POST /echo HTTP/1.1\r\nhost: h\r\ncontent-length: 1000000\r\n\r\n".as_slice(), &[b'x'; 100_000]].concat();
    for number in 1..=5 {
        let mut client = world.client().await;
        client.send(&part).await;
        server.until(|server| server.heads() == number).await;
        drop(client);
        server.until(|server| server.left() == number).await;
    }
    assert_eq!(connector.service().health().expect("looked at").ejections(), 0);
    assert_eq!(world.client().await.get("/").await.status, 200);
}

#[tokio::test]
async fn a_server_that_closes_connections_at_once_is_asked_a_few_times() {
    let world = World::new();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("bound");
    let (first, accepted) = (Arc::new(tokio::sync::Notify::new()), Arc::new(std::sync::atomic::AtomicUsize::new(0)));
    let (told, counted) = (Arc::clone(&first), Arc::clone(&accepted));
    tokio::spawn(async move {
        // The first connection is there until there is a request.
        let kept = listener.accept().await;
        told.notified().await;
        drop(kept);
        while listener.accept().await.is_ok() {
            counted.fetch_add(1, Ordering::Relaxed);
        }
    });
    let connector = world.connect_at("closes", at, HttpConnectorParams::default());
    is_up(&connector, true).await;
    let mut client = world.client().await;
    first.notify_one();
    let answer = client.get("/").await;
    assert!(matches!(answer.status, 502 | 503), "{answer:?}");
    assert!(accepted.load(Ordering::Relaxed) < 50, "{accepted:?}");
}
