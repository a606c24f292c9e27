//! Connections to servers that do not keep to the ordinary course of things.

use super::*;
use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use h2::server::{Connection, SendResponse};
use h2::{Reason, client};
use hyper::{Request, Response};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// Who takes nothing for so long takes nothing.
const STALL: Duration = Duration::from_millis(300);

/// Octets that a client of HTTP/2 begins with (RFC 9113 3.4).
const PREFACE: usize = 24;

async fn listening() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let at = listener.local_addr().expect("bound");
    (listener, at)
}

/// The next connection.
async fn accepted(listener: &TcpListener) -> TcpStream {
    timeout(PATIENCE, listener.accept()).await.expect("in time").expect("accepted").0
}

/// Connections of a connector that are there.
fn connections(connector: &HttpConnector) -> u64 {
    connector.service().opened() - connector.service().closed()
}

async fn has_connections(connector: &HttpConnector, count: u64) {
    eventually(async || (connections(connector) == count).then_some(())).await;
}

/// A request that was answered while most of it has not left, and its server, which reads no more.
async fn answered_but_unread(world: &World) -> (HttpConnector, TcpListener, TcpStream) {
    let (listener, at) = listening().await;
    let connector = world.connect_at("server", at, HttpConnectorParams::default());
    is_up(&connector, true).await;
    let mut server = accepted(&listener).await;
    let mut client = world.client().await;
    client.send(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1000000000\r\n\r\n").await;
    head(&mut server, &mut Vec::new()).await.expect("a request");
    let piece = [b'x'; 65536];
    while timeout(STALL, client.stream.write_all(&piece)).await.is_ok() {}
    server.write_all(b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nno\n").await.expect("sent");
    assert_eq!(client.answer(false).await.expect("an answer").status, 413);
    (connector, listener, server)
}

#[tokio::test]
async fn a_server_that_reads_no_more_is_given_up() {
    let world = World::new();
    let (connector, _listener, _server) = answered_but_unread(&world).await;
    assert_eq!(connections(&connector), 1);
    eventually(async || (connector.service().closed() == 1).then_some(())).await;
    // There is another for what comes next.
    has_connections(&connector, 1).await;
}

#[tokio::test]
async fn a_server_that_reads_no_more_does_not_hold_up_a_connector_that_goes() {
    let world = World::new();
    let (connector, _listener, _server) = answered_but_unread(&world).await;
    connector.delete(false);
    // Sooner than it would be given up otherwise.
    timeout(Duration::from_secs(4), has_connections(&connector, 0)).await.expect("at once");
}

/// A service of HTTP/2 with a server there, and a client's connection.
async fn multiplexed(at: SocketAddr) -> (World, HttpConnector, client::SendRequest<Bytes>, JoinSet<()>) {
    let world = World::with("svc", HttpListenerParams { version: HttpVersion::Http2, ..Default::default() });
    let params = HttpConnectorParams { version: HttpVersion::Http2, ..Default::default() };
    let connector = world.connect_at("server", at, params);
    is_up(&connector, true).await;
    let stream = world.client().await.stream;
    let (requests, connection) = client::handshake(stream).await.expect("HTTP/2");
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { connection.await.unwrap_or_default() });
    (world, connector, requests.ready().await.expect("ready"), tasks)
}

fn get(path: &str) -> Request<()> {
    Request::builder().uri(format!("http://h{path}")).body(()).expect("a request")
}

/// The next request of a connection.
async fn asked(connection: &mut Connection<TcpStream, Bytes>) -> (String, SendResponse<Bytes>) {
    let asked = timeout(PATIENCE, connection.accept()).await.expect("in time");
    let (request, respond) = asked.expect("a request").expect("good");
    (request.uri().path().to_owned(), respond)
}

/// Heads of requests that wait to be read there (RFC 9113 4.1, 6.2).
async fn heads(stream: &TcpStream) -> usize {
    let mut octets = vec![0; 65536];
    let there = stream.peek(&mut octets).await.expect("there");
    let mut rest = octets[..there].get(PREFACE..).unwrap_or_default();
    let mut heads = 0;
    while let Some((&[high, middle, low, kind], _)) = rest.split_first_chunk() {
        heads += usize::from(kind == 1);
        let length = 9 + u32::from_be_bytes([0, high, middle, low]) as usize;
        rest = rest.get(length..).unwrap_or_default();
    }
    heads
}

#[tokio::test]
async fn a_server_that_only_goes_on_with_what_it_has_is_none() {
    let (listener, at) = listening().await;
    let (_world, connector, mut requests, _tasks) = multiplexed(at).await;
    let mut server = h2::server::handshake(accepted(&listener).await).await.expect("HTTP/2");
    let (response, _) = requests.send_request(get("/"), true).expect("sent");
    let (_, mut respond) = asked(&mut server).await;
    drop(listener);
    let mut answer = respond.send_response(Response::new(()), false).expect("sent");
    server.graceful_shutdown();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { while server.accept().await.is_some() {} });
    is_up(&connector, false).await;
    assert!(connector.status().1.contains("refused"), "{:?}", connector.status());
    answer.send_data("the end".into(), true).expect("sent");
    let mut body = timeout(PATIENCE, response).await.expect("in time").expect("an answer").into_body();
    let mut whole = Vec::new();
    while let Some(data) = timeout(PATIENCE, body.data()).await.expect("in time") {
        whole.extend(data.expect("good"));
    }
    assert_eq!(whole, b"the end");
}

#[tokio::test]
async fn a_server_that_only_goes_on_with_a_tunnel_is_none() {
    let world = World::new();
    let (listener, at) = listening().await;
    let connector = world.connect_at("server", at, HttpConnectorParams::default());
    is_up(&connector, true).await;
    let mut server = accepted(&listener).await;
    let mut client = world.client().await;
    client.send(b"GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n").await;
    head(&mut server, &mut Vec::new()).await.expect("a request");
    drop(listener);
    server.write_all(b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n").await.expect("sent");
    assert_eq!(client.answer(true).await.expect("an answer").status, 101);
    is_up(&connector, false).await;
    let mut octets = [0; 4];
    client.send(b"ping").await;
    timeout(PATIENCE, server.read_exact(&mut octets)).await.expect("in time").expect("there");
    server.write_all(&octets).await.expect("sent");
    timeout(PATIENCE, client.stream.read_exact(&mut octets)).await.expect("in time").expect("there");
    assert_eq!(&octets, b"ping");
}

#[tokio::test]
async fn a_server_that_loses_many_connections_is_reached_by_one() {
    const MANY: usize = 8;
    let world = World::new();
    let (listener, at) = listening().await;
    let connector = world.connect_at("server", at, HttpConnectorParams::default());
    is_up(&connector, true).await;
    let (mut clients, mut servers) = (Vec::new(), Vec::new());
    for _ in 0..MANY {
        let mut client = world.client().await;
        client.send(b"POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n").await;
        let mut server = accepted(&listener).await;
        head(&mut server, &mut Vec::new()).await.expect("a request");
        clients.push(client);
        servers.push(server);
    }
    drop(servers);
    for mut client in clients {
        assert_eq!(client.answer(false).await.expect("an answer").status, 502);
    }
    has_connections(&connector, 1).await;
    // It is the one that takes the next request, and all that was opened is known by then.
    let mut server = accepted(&listener).await;
    let mut client = world.client().await;
    client.send(b"GET / HTTP/1.1\r\nhost: h\r\n\r\n").await;
    head(&mut server, &mut Vec::new()).await.expect("a request");
    server.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.expect("sent");
    assert_eq!(client.answer(false).await.expect("an answer").status, 204);
    assert_eq!(connector.service().opened(), MANY as u64 + 1);
}

/// What holds requests.
#[derive(Default)]
struct Held {
    /// So many.
    heard: AtomicUsize,
    /// Lets one be answered.
    go_on: Notify,
}

/// Holds requests; takes so many at a time.
async fn hold(stream: TcpStream, limit: u32, held: Arc<Held>) {
    let limited = h2::server::Builder::new().max_concurrent_streams(limit).handshake::<_, Bytes>(stream);
    let Ok(mut server) = limited.await else { return };
    let mut answers = JoinSet::new();
    while let Some(Ok((_, mut respond))) = server.accept().await {
        let held = Arc::clone(&held);
        held.heard.fetch_add(1, Ordering::SeqCst);
        answers.spawn(async move {
            held.go_on.notified().await;
            drop(respond.send_response(Response::new(()), true));
        });
    }
}

#[tokio::test]
async fn a_server_that_takes_one_request_at_a_time_gets_no_more_by_one_connection() {
    const MANY: usize = 5;
    let (listener, at) = listening().await;
    let (_world, connector, mut requests, _tasks) = multiplexed(at).await;
    let (mut servers, held) = (JoinSet::new(), Arc::<Held>::default());
    let responses: Vec<_> = (0..MANY).map(|_| requests.send_request(get("/"), true).expect("sent").0).collect();
    for _ in 0..MANY {
        let stream = accepted(&listener).await;
        // It has not told yet how many it takes.
        let heads = eventually(async || Some(heads(&stream).await).filter(|heads| *heads > 0)).await;
        assert_eq!(heads, 1);
        servers.spawn(hold(stream, 1, Arc::clone(&held)));
    }
    assert_eq!(connections(&connector), MANY as u64);
    for response in responses {
        held.go_on.notify_one();
        assert_eq!(timeout(PATIENCE, response).await.expect("in time").expect("an answer").status(), 200);
    }
}

#[tokio::test]
async fn a_request_gets_the_first_place_that_is_free() {
    const LIMIT: usize = 3;
    let (listener, at) = listening().await;
    let (_world, connector, mut requests, _tasks) = multiplexed(at).await;
    let (mut servers, held) = (JoinSet::new(), Arc::<Held>::default());
    servers.spawn(hold(accepted(&listener).await, LIMIT as u32, Arc::clone(&held)));
    let mut send = || requests.send_request(get("/"), true).expect("sent").0;
    // One of them is for the second connection, whose server does not even begin; one waits.
    let mut responses: FuturesUnordered<_> = (0..LIMIT + 2).map(|_| send()).collect();
    let _second = accepted(&listener).await;
    for _ in 0..LIMIT + 1 {
        held.go_on.notify_one();
        let answered = timeout(PATIENCE, responses.next()).await.expect("in time");
        assert_eq!(answered.expect("one").expect("an answer").status(), 200);
    }
    // The first connection has more than the second one then, but takes them.
    let heard = held.heard.load(Ordering::SeqCst);
    responses.extend((0..LIMIT).map(|_| send()));
    eventually(async || (held.heard.load(Ordering::SeqCst) == heard + LIMIT).then_some(())).await;
    assert_eq!(connections(&connector), 2);
}

#[tokio::test]
async fn what_nobody_wants_any_more_is_not_sent() {
    let (listener, at) = listening().await;
    let (world, _connector, mut requests, _tasks) = multiplexed(at).await;
    let stream = accepted(&listener).await;
    let (_first, _) = requests.send_request(get("/first"), true).expect("sent");
    eventually(async || (heads(&stream).await == 1).then_some(())).await;
    // The server has not told how many requests it takes, so that others wait.
    let (_, counters) = world.listener.service().http().expect("of HTTP");
    let (second, mut body) = requests.send_request(get("/second"), true).expect("sent");
    eventually(async || (counters.under_way() == 2).then_some(())).await;
    body.send_reset(Reason::CANCEL);
    drop(second);
    eventually(async || (counters.under_way() == 1).then_some(())).await;
    let (_third, _) = requests.send_request(get("/third"), true).expect("sent");
    eventually(async || (heads(&stream).await > 1).then_some(())).await;
    let mut server = h2::server::handshake(stream).await.expect("HTTP/2");
    assert_eq!(asked(&mut server).await.0, "/first");
    assert_eq!(asked(&mut server).await.0, "/third");
}

#[tokio::test]
async fn an_address_that_is_refused_is_told() {
    // What another router is to consume.
    let world = World::with("_topo/0/other", HttpListenerParams::default());
    let (listener, at) = listening().await;
    let connector = world.connect_at("server", at, HttpConnectorParams::default());
    let _server = accepted(&listener).await;
    let told = async || Some(connector.status()).filter(|(_, message)| !message.is_empty());
    let (up, message) = eventually(told).await;
    assert!(!up && message.starts_with("the address is refused: "), "{message}");
}
