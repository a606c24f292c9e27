//! TCP services on one router, with real sockets.

#![allow(clippy::disallowed_methods, reason = "tests have tasks of their own")]

use adaptors::clock;
use adaptors::runtime::Io;
use adaptors::tcp::{Strategy, TcpConnector, TcpConnectorParams, TcpListener, TcpListenerParams};
use router_engine::Router;
use router_engine::core::{Mode, RouterConfig};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener as Server, TcpStream};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);

struct Bed {
    router: Arc<Router>,
    io: Io,
    listener: TcpListener,
    connector: TcpConnector,
    port: u16,
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a port").port()
}

fn router() -> Arc<Router> {
    let config = RouterConfig { id: "R".into(), mode: Mode::Standalone, ..RouterConfig::default() };
    Arc::new(Router::new(config, router_engine::rng::Seed::from(1), 1, clock::now()))
}

fn adaptors(router: &Arc<Router>) -> Io {
    Io::new(Arc::clone(router), tokio::runtime::Handle::current(), 1)
}

fn listener(io: &Io, port: u16) -> TcpListener {
    let params = TcpListenerParams {
        name: "l".into(),
        address: "svc".into(),
        host: "127.0.0.1".into(),
        port: port.to_string(),
        backlog: 0,
        strategy: Strategy::None,
        tls: None,
        authenticate_peer: false,
        observer: None,
        ..TcpListenerParams::default()
    };
    let listener = TcpListener::create(params, io).expect("no TLS");
    listener.activate();
    listener
}

fn connector(io: &Io, server: u16) -> TcpConnector {
    let params = TcpConnectorParams {
        name: "c".into(),
        address: "svc".into(),
        host: "127.0.0.1".into(),
        port: server.to_string(),
        tls: None,
        verify_hostname: true,
        process_id: None,
        ..TcpConnectorParams::default()
    };
    let connector = TcpConnector::create(params, io).expect("no TLS");
    connector.activate();
    connector
}

impl Bed {
    fn new(server: u16) -> Self {
        let router = router();
        let (io, port) = (adaptors(&router), free_port());
        Self { listener: listener(&io, port), connector: connector(&io, server), router, io, port }
    }

    async fn client(&self) -> TcpStream {
        connect(self.port).await
    }

    /// Waits until every flow has left the core.
    async fn settled(&self) {
        timeout(PATIENCE, async {
            // A flow leaves the core first and is counted as closed a moment later.
            let open = |s: &adaptors::tcp::Service| s.opened() - s.closed();
            while self.router.connection_rows(clock::now()).len() > 1
                || open(self.listener.service()) > 0
                || open(self.connector.service()) > 1
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        })
        .await
        .expect("flows end");
        assert_eq!(self.listener.service().opened(), self.listener.service().closed());
        assert_eq!(self.connector.service().opened(), self.connector.service().closed() + 1);
    }
}

async fn connect(port: u16) -> TcpStream {
    timeout(PATIENCE, async {
        loop {
            match TcpStream::connect(("127.0.0.1", port)).await {
                Ok(stream) => return stream,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused),
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the listener opens")
}

async fn server() -> (Server, u16) {
    let server = Server::bind("127.0.0.1:0").await.expect("a server");
    let port = server.local_addr().expect("bound").port();
    (server, port)
}

/// Echoes until the client's end of stream, then closes.
fn echo(server: Server) {
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = server.accept().await {
            tokio::spawn(async move {
                let (mut read, mut write) = stream.split();
                let _ = tokio::io::copy(&mut read, &mut write).await;
                let _ = write.shutdown().await;
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_flows_are_echoed_and_leave_nothing_behind() {
    let (server, port) = server().await;
    echo(server);
    let bed = Bed::new(port);
    bed.client().await;
    let mut flows = tokio::task::JoinSet::new();
    for i in 0..200_u32 {
        let port = bed.port;
        flows.spawn(async move {
            let mut client = connect(port).await;
            let data = i.to_be_bytes().repeat(1000);
            let (mut read, mut write) = client.split();
            let mut back = Vec::new();
            let send = async {
                write.write_all(&data).await.expect("sent");
                write.shutdown().await.expect("half-closed");
            };
            let (_, received) = tokio::join!(send, read.read_to_end(&mut back));
            received.expect("received");
            assert_eq!(back, data);
        });
    }
    timeout(PATIENCE, async {
        while let Some(done) = flows.join_next().await {
            done.expect("a flow")
        }
    })
    .await
    .expect("all flows end");
    bed.settled().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_transfer_arrives_in_order_through_the_window() {
    let (server, port) = server().await;
    echo(server);
    let bed = Bed::new(port);
    let client = bed.client().await;
    let (mut read, mut write) = client.into_split();
    const BLOCKS: u64 = 4096;
    let sender = tokio::spawn(async move {
        for i in 0..BLOCKS {
            write.write_all(&i.to_be_bytes().repeat(2048)).await.expect("sent");
        }
        write.shutdown().await.expect("half-closed");
    });
    let mut block = vec![0; 16 * 1024];
    for i in 0..BLOCKS {
        timeout(PATIENCE, read.read_exact(&mut block)).await.expect("in time").expect("received");
        assert_eq!(block, i.to_be_bytes().repeat(2048));
    }
    assert_eq!(read.read(&mut block).await.expect("end"), 0);
    sender.await.expect("sender");
    bed.settled().await;
}

#[tokio::test]
async fn the_server_may_speak_first_and_close_first() {
    let (server, port) = server().await;
    let bed = Bed::new(port);
    let mut client = bed.client().await;
    let (mut peer, _) = server.accept().await.expect("connected before any client data");
    peer.write_all(b"hello").await.expect("sent");
    peer.shutdown().await.expect("half-closed");
    let mut text = String::new();
    client.read_to_string(&mut text).await.expect("received");
    assert_eq!(text, "hello");
    client.write_all(b"still open").await.expect("sent");
    client.shutdown().await.expect("half-closed");
    let mut text = String::new();
    peer.read_to_string(&mut text).await.expect("received");
    assert_eq!(text, "still open");
    bed.settled().await;
}

#[tokio::test]
async fn a_refused_server_resets_the_client() {
    let bed = Bed::new(free_port());
    let mut client = bed.client().await;
    assert!(read_to_reset(&mut client).await.is_empty());
    bed.settled().await;
}

/// Reads to the end of the connection, which must be a reset, and returns what came before.
async fn read_to_reset(stream: &mut TcpStream) -> Vec<u8> {
    let mut received = Vec::new();
    let end = timeout(PATIENCE, stream.read_to_end(&mut received)).await.expect("closed");
    assert_eq!(end.expect_err("an end is no reset").kind(), io::ErrorKind::ConnectionReset);
    received
}

/// Resets the connection instead of ending it.
fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("linger");
    drop(stream);
}

/// A flow that has carried an octet each way.
async fn flowing(bed: &Bed, server: &Server) -> (TcpStream, TcpStream) {
    let mut client = bed.client().await;
    let (mut peer, _) = server.accept().await.expect("connected");
    peer.write_all(b"x").await.expect("sent");
    assert_eq!(client.read_u8().await.expect("received"), b'x');
    client.write_all(b"y").await.expect("sent");
    assert_eq!(peer.read_u8().await.expect("received"), b'y');
    (client, peer)
}

#[tokio::test]
async fn a_reset_reaches_the_other_side_as_one() {
    let (server, port) = server().await;
    let bed = Bed::new(port);
    for half_closed in [false, true] {
        for client_resets in [false, true] {
            let (mut leaving, mut staying) = flowing(&bed, &server).await;
            if !client_resets {
                (leaving, staying) = (staying, leaving);
            }
            if half_closed {
                staying.shutdown().await.expect("half-closed");
                assert_eq!(leaving.read(&mut [0]).await.expect("an end"), 0);
            }
            reset(leaving);
            assert!(read_to_reset(&mut staying).await.is_empty(), "{half_closed} {client_resets}");
            bed.settled().await;
        }
    }
}

#[tokio::test]
async fn a_server_that_answers_and_closes_while_the_client_sends_is_heard() {
    let (server, port) = server().await;
    let bed = Bed::new(port);
    let (client, mut peer) = flowing(&bed, &server).await;
    let (mut read, mut write) = client.into_split();
    let sending = tokio::spawn(async move {
        let block = vec![0; 64 * 1024];
        while write.write_all(&block).await.is_ok() {}
    });
    peer.read_u8().await.expect("the client sends");
    peer.write_all(b"too large").await.expect("sent");
    // With octets unread this is a reset; the answer is before it.
    drop(peer);
    let mut answer = [0; 9];
    timeout(PATIENCE, read.read_exact(&mut answer)).await.expect("in time").expect("received");
    assert_eq!(&answer, b"too large");
    timeout(PATIENCE, sending).await.expect("in time").expect("told");
    bed.settled().await;
}

#[tokio::test]
async fn a_client_that_sends_and_goes_away_is_heard_to_its_end() {
    let (server, port) = server().await;
    let bed = Bed::new(port);
    let (mut client, mut peer) = flowing(&bed, &server).await;
    let block = vec![7; 512 * 1024];
    client.write_all(&block).await.expect("sent");
    drop(client);
    let mut received = Vec::new();
    timeout(PATIENCE, peer.read_to_end(&mut received)).await.expect("in time").expect("an end");
    assert_eq!(received.len(), block.len());
    drop(peer);
    bed.settled().await;
}

#[tokio::test]
async fn management_cuts_flows_with_a_reset() {
    let (server, port) = server().await;
    for victim in ["listener", "connector", "client's connection", "server's connection"] {
        let bed = Bed::new(port);
        let (mut client, mut peer) = flowing(&bed, &server).await;
        let rows = bed.router.connection_rows(clock::now());
        let id = |number| bed.router.connection_id(number).expect("open");
        let of_client = id(rows.iter().find(|row| !row.params.initiator).expect("a row").number);
        let host = format!("127.0.0.1:{port}");
        let of_server = id(rows.iter().find(|row| row.params.facts.host == host).expect("a row").number);
        let Bed { listener, connector, router, .. } = bed;
        let mut kept = (Some(listener), Some(connector));
        match victim {
            "listener" => kept.0.take().expect("there").delete(true),
            "connector" => kept.1.take().expect("there").delete(true),
            "client's connection" => router.close_connection(of_client, None, true),
            _ => router.close_connection(of_server, None, true),
        }
        assert!(read_to_reset(&mut client).await.is_empty(), "client, {victim}");
        assert!(read_to_reset(&mut peer).await.is_empty(), "server, {victim}");
        let left = usize::from(kept.1.is_some());
        until(|| router.connection_rows(clock::now()).len() == left).await;
    }
}

#[tokio::test]
async fn the_socket_listens_only_while_the_address_is_reachable() {
    let (server, port) = server().await;
    echo(server);
    let io = adaptors(&router());
    let listen = free_port();
    let listener = listener(&io, listen);
    assert!(TcpStream::connect(("127.0.0.1", listen)).await.is_err());
    let first = connector(&io, port);
    let mut client = connect(listen).await;
    client.write_all(b"a").await.expect("sent");
    assert_eq!(client.read_u8().await.expect("echo"), b'a');
    assert!(listener.status().0);
    first.delete(false);
    timeout(PATIENCE, async {
        while TcpStream::connect(("127.0.0.1", listen)).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await
    .expect("the listener closes");
    client.write_all(b"b").await.expect("the old flow lives on");
    assert_eq!(client.read_u8().await.expect("echo"), b'b');
    let second = connector(&io, port);
    let mut again = connect(listen).await;
    again.write_all(b"c").await.expect("sent");
    assert_eq!(again.read_u8().await.expect("echo"), b'c');
    second.delete(true);
    let _ = timeout(PATIENCE, again.read_u8()).await.expect("dropped with its connector").expect_err("closed");
    listener.delete(true);
    let _ = timeout(PATIENCE, client.read_u8()).await.expect("dropped with its listener").expect_err("closed");
}

/// A server that answers no connection for now, and the clients that keep it from doing so.
async fn busy_server() -> (Server, u16, Vec<TcpStream>) {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind(([127, 0, 0, 1], 0).into()).expect("a port");
    let server = socket.listen(1).expect("a server");
    let address = server.local_addr().expect("bound");
    let mut waiting = Vec::new();
    // The system leaves connections unanswered once enough of them wait to be accepted.
    while let Ok(client) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        waiting.push(client.expect("connected"));
    }
    (server, address.port(), waiting)
}

async fn until(holds: impl Fn() -> bool) {
    let waited = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waited).await.expect("in time");
}

#[tokio::test]
async fn a_connection_under_way_outlives_its_connector() {
    let (server, port, waiting) = busy_server().await;
    let Bed { listener: _listener, connector, io: _io, router: _router, port } = Bed::new(port);
    let mut client = connect(port).await;
    let service = Arc::clone(connector.service());
    until(|| service.opened() == 2).await;
    connector.delete(false);
    for _ in &waiting {
        server.accept().await.expect("accepted");
    }
    drop(waiting);
    client.write_all(b"hello").await.expect("sent");
    let (mut peer, _) = timeout(PATIENCE, server.accept()).await.expect("in time").expect("connected after all");
    let mut greeting = [0; 5];
    timeout(PATIENCE, peer.read_exact(&mut greeting)).await.expect("in time").expect("received");
    assert_eq!(&greeting, b"hello");
}

#[tokio::test]
async fn a_connection_under_way_is_dropped_with_its_connector() {
    let (_server, port, _waiting) = busy_server().await;
    let Bed { listener, connector, router, io: _io, port } = Bed::new(port);
    let mut client = connect(port).await;
    let service = Arc::clone(connector.service());
    until(|| service.opened() == 2).await;
    connector.delete(true);
    assert!(read_to_reset(&mut client).await.is_empty());
    until(|| service.closed() == 1 && listener.service().closed() == 1).await;
    assert!(router.connection_rows(clock::now()).is_empty());
}

#[tokio::test]
async fn a_client_that_leaves_while_its_server_is_connected_to_is_noticed() {
    let (_server, port, _waiting) = busy_server().await;
    let bed = Bed::new(port);
    let client = bed.client().await;
    until(|| bed.connector.service().opened() == 2).await;
    reset(client);
    bed.settled().await;
}

#[tokio::test]
async fn connecting_has_a_limit() {
    let (_server, port, _waiting) = busy_server().await;
    let bed = Bed::new(port);
    let mut client = bed.client().await;
    until(|| bed.connector.service().opened() == 2).await;
    // From here on, time passes whenever nothing else is to be done.
    tokio::time::pause();
    let end = client.read_u8().await.expect_err("nobody answers");
    assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
    tokio::time::resume();
    bed.settled().await;
}

#[tokio::test]
async fn a_shutdown_cuts_all_flows_and_lets_none_begin() {
    let (server, port) = server().await;
    let bed = Bed::new(port);
    let mut flows = Vec::new();
    for _ in 0..3 {
        flows.push(flowing(&bed, &server).await);
    }
    assert_eq!(bed.io.shutdown().await, []);
    assert!(bed.io.tasks().live().is_empty());
    assert!(bed.router.connection_rows(clock::now()).is_empty());
    for (mut client, mut peer) in flows {
        assert!(read_to_reset(&mut client).await.is_empty());
        assert!(read_to_reset(&mut peer).await.is_empty());
    }
    let late = TcpStream::connect(("127.0.0.1", bed.port)).await.expect_err("not served");
    assert_eq!(late.kind(), io::ErrorKind::ConnectionRefused);
}

#[tokio::test]
async fn a_connection_that_fails_is_counted() {
    let bed = Bed::new(free_port());
    let mut client = bed.client().await;
    assert!(read_to_reset(&mut client).await.is_empty());
    bed.settled().await;
    assert_eq!(bed.connector.service().opened(), 2, "the dispatcher and the attempt");
}
