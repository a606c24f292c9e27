//! The health of the servers of tcpConnectors, with real sockets.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]
#![allow(clippy::disallowed_methods, reason = "tests have tasks of their own")]

mod common;

use adaptors::clock;
use adaptors::health::{Checks, Config, Ejections, Health, Params, Status};
use adaptors::runtime::Io;
use adaptors::tcp::{TcpConnector, TcpConnectorParams, TcpListener, TcpListenerParams};
use adaptors::tls::TlsServer;
use adaptors::transport::Transport;
use common::Certs;
use router_engine::Router;
use router_engine::core::{Mode, RouterConfig};
use std::future::poll_fn;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener as Server, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);
const INTERVAL: Duration = Duration::from_millis(50);
const CHECKS: Checks = Checks { interval: INTERVAL, failures: 2, successes: 1 };

/// A router with a tcpConnector.
struct Bed {
    router: Arc<Router>,
    io: Io,
    connector: TcpConnector,
}

fn checked() -> Config {
    Config { params: Params { checks: Some(CHECKS), ejections: None }, timeout: Duration::from_millis(500), path: None }
}

fn asked(path: &str) -> Config {
    Config { path: Some(path.to_owned()), ..checked() }
}

fn ejecting(failures: u32, time: Duration) -> Config {
    Config { params: Params { checks: None, ejections: Some(Ejections { failures, time }) }, ..checked() }
}

fn params(port: u16, health: Config) -> TcpConnectorParams {
    let (name, address) = ("c".to_owned(), "svc".to_owned());
    let (host, port) = ("127.0.0.1".to_owned(), port.to_string());
    TcpConnectorParams { name, address, host, port, verify_hostname: true, health, ..TcpConnectorParams::default() }
}

impl Bed {
    fn new(port: u16, health: Config) -> Self {
        Self::with(params(port, health))
    }

    fn with(params: TcpConnectorParams) -> Self {
        let config = RouterConfig { id: "R".into(), mode: Mode::Standalone, ..RouterConfig::default() };
        let router = Arc::new(Router::new(config, router_engine::rng::Seed::from(1), 1, clock::now()));
        let io = Io::new(Arc::clone(&router), tokio::runtime::Handle::current(), 1);
        let connector = TcpConnector::create(params, &io).unwrap();
        connector.activate();
        Self { router, io, connector }
    }

    fn health(&self) -> &Arc<Health> {
        self.connector.service().health().unwrap()
    }

    /// Whether somebody consumes the address.
    fn is_offered(&self) -> bool {
        !self.router.connection_rows(clock::now()).is_empty()
    }

    async fn expect(&self, status: Status) {
        let is_so = || self.health().view().status == status && self.is_offered() == self.health().is_available();
        until(is_so).await;
        assert_eq!(self.connector.service().is_up(), self.is_offered());
    }

    fn listener(&self) -> (TcpListener, u16) {
        let port = free_port();
        let params = TcpListenerParams {
            name: "l".into(),
            address: "svc".into(),
            host: "127.0.0.1".into(),
            port: port.to_string(),
            ..TcpListenerParams::default()
        };
        let listener = TcpListener::create(params, &self.io).unwrap();
        listener.activate();
        (listener, port)
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).unwrap().port()
}

async fn until(holds: impl Fn() -> bool) {
    let waited = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, waited).await.expect("in time");
}

async fn server() -> (Server, u16) {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let port = server.local_addr().unwrap().port();
    (server, port)
}

/// The same server again.
async fn server_at(port: u16) -> Server {
    let bound = async {
        loop {
            let socket = TcpSocket::new_v4().unwrap();
            socket.set_reuseaddr(true).unwrap();
            match socket.bind(([127, 0, 0, 1], port).into()) {
                Ok(()) => return socket.listen(16).unwrap(),
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    };
    timeout(PATIENCE, bound).await.expect("the port")
}

/// What a server does with a request: an answer, or silence.
type Answers = watch::Sender<&'static [u8]>;

/// Answers requests with what is set; with nothing, it never answers. Returns what it was asked first, when it was.
fn answering(server: Server, first: &'static [u8]) -> (Answers, watch::Receiver<String>, JoinHandle<()>) {
    let answers = watch::Sender::new(first);
    let (asked, requests) = watch::channel(String::new());
    let present = answers.subscribe();
    let task = tokio::spawn(async move {
        let mut silent = Vec::new();
        while let Ok((mut stream, _)) = server.accept().await {
            let answer = *present.borrow();
            if answer.is_empty() {
                silent.push(stream);
                continue;
            }
            let request = read_request(&mut stream).await;
            let _ = asked.send(request);
            let _ = stream.write_all(answer).await;
        }
    });
    (answers, requests, task)
}

async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(octet) => request.push(octet),
            Err(_) => break,
        }
    }
    String::from_utf8(request).unwrap()
}

#[tokio::test]
async fn a_server_is_offered_while_it_takes_connections() {
    let (first, port) = server().await;
    let bed = Bed::new(port, checked());
    bed.expect(Status::Up).await;
    assert_eq!(bed.health().view().reason, "");
    drop(first);
    bed.expect(Status::Down).await;
    assert_eq!(bed.health().view().reason, "Connection refused");
    let _second = server_at(port).await;
    bed.expect(Status::Up).await;
    let health = bed.health();
    assert!(health.failed_checks() >= 2 && health.checks() >= health.failed_checks() + 2);
    assert_eq!(health.ejections(), 0);
}

#[tokio::test]
async fn nothing_is_offered_before_the_first_check() {
    let port = free_port();
    let bed = Bed::new(port, checked());
    assert_eq!((bed.health().view().status, bed.is_offered()), (Status::Unknown, false));
    assert!(!bed.connector.service().is_up());
    bed.expect(Status::Down).await;
    assert_eq!(bed.health().checks(), 1, "the first decides");
    assert_eq!(bed.connector.service().opened(), 1, "what dispatches counts as one, as ever");
}

#[tokio::test]
async fn without_checks_and_ejections_everything_is_offered_at_once() {
    let bed = Bed::new(free_port(), Config::default());
    assert!(bed.is_offered() && bed.connector.service().is_up());
    assert!(bed.connector.service().health().is_none());
    assert_eq!(bed.io.tasks().live().get("health"), None);
}

#[tokio::test]
async fn flows_that_live_go_on_without_new_ones() {
    let (first, port) = server().await;
    let bed = Bed::new(port, checked());
    let (listener, listens) = bed.listener();
    bed.expect(Status::Up).await;
    until(|| listener.status().0).await;
    let mut client = TcpStream::connect(("127.0.0.1", listens)).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    let mut peer = serve(&first, b"hello").await;
    drop(first);
    bed.expect_dispatcher(false).await;
    until(|| !listener.status().0).await;
    peer.write_all(b"still here").await.unwrap();
    let mut received = [0; 10];
    timeout(PATIENCE, client.read_exact(&mut received)).await.expect("in time").unwrap();
    assert_eq!(&received, b"still here");
    let second = server_at(port).await;
    until(|| listener.status().0).await;
    let mut other = TcpStream::connect(("127.0.0.1", listens)).await.unwrap();
    other.write_all(b"again").await.unwrap();
    serve(&second, b"again").await;
    drop(peer);
    assert_eq!(client.read(&mut received).await.unwrap(), 0, "the end that its server made");
}

impl Bed {
    /// As flows have connections too.
    async fn expect_dispatcher(&self, is_there: bool) {
        let hosts = || self.router.connection_rows(clock::now()).into_iter().map(|row| row.params.facts.host);
        until(|| hosts().any(|host| host == "egress-dispatch") == is_there).await;
    }
}

/// The first connection that brings these octets; checks bring none.
async fn serve(server: &Server, octets: &[u8]) -> TcpStream {
    let found = async {
        loop {
            let (mut stream, _) = server.accept().await.unwrap();
            let mut received = vec![0; octets.len()];
            if stream.read_exact(&mut received).await.is_ok() {
                assert_eq!(received, octets);
                return stream;
            }
        }
    };
    timeout(PATIENCE, found).await.expect("in time")
}

#[tokio::test]
async fn a_page_has_to_be_shown() {
    let (server, port) = server().await;
    let (answers, mut requests, _task) = answering(server, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let bed = Bed::new(port, asked("/healthz?full=1"));
    bed.expect(Status::Up).await;
    let request = requests.wait_for(|request| !request.is_empty()).await.unwrap().clone();
    let begin = format!("GET /healthz?full=1 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n");
    assert!(request.starts_with(&begin), "{request}");
    for (answer, reason) in [
        (&b"HTTP/1.1 500 Oh\r\n\r\n"[..], "it answered with status 500"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "it answered with status 404"),
        (b"", "no answer within 500ms"),
        (b"SSH-2.0-server\r\n", "it does not speak HTTP/1"),
        (b"HTTP/1.1 2", "it closed the connection without an answer"),
    ] {
        answers.send_replace(answer);
        bed.expect(Status::Down).await;
        until(|| bed.health().view().reason == reason).await;
        answers.send_replace(b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n");
        bed.expect(Status::Up).await;
    }
}

#[tokio::test]
async fn a_server_that_answers_sees_an_end_in_good_order() {
    let (server, port) = server().await;
    let bed = Bed::new(port, asked("/"));
    let (mut stream, _) = timeout(PATIENCE, server.accept()).await.expect("in time").unwrap();
    read_request(&mut stream).await;
    // More than is read at a time.
    let body = "x".repeat(200_000);
    stream.write_all(format!("HTTP/1.1 200 OK\r\n\r\n{body}").as_bytes()).await.unwrap();
    let end = timeout(PATIENCE, stream.read(&mut [0])).await.expect("in time");
    assert_eq!(end.expect("no reset"), 0);
    bed.expect(Status::Up).await;
}

#[tokio::test]
async fn an_answer_without_end_neither_hangs_nor_is_kept() {
    let (server, port) = server().await;
    let flood = tokio::spawn(async move {
        let mut flooded = tokio::task::JoinSet::new();
        while let Ok((mut stream, _)) = server.accept().await {
            flooded.spawn(async move {
                let interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(100);
                while stream.write_all(&interim).await.is_ok() {}
            });
        }
    });
    let bed = Bed::new(port, asked("/"));
    bed.expect(Status::Down).await;
    let reason = bed.health().view().reason;
    assert_eq!(reason, "it answered with more than 16384 octets without a final status");
    flood.abort();
}

#[tokio::test]
async fn a_server_that_takes_no_connection_is_down_in_time() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let server = socket.listen(1).unwrap();
    let at = server.local_addr().unwrap();
    let mut waiting = Vec::new();
    while let Ok(client) = timeout(Duration::from_millis(200), TcpStream::connect(at)).await {
        waiting.push(client.unwrap());
    }
    let begun = Instant::now();
    let bed = Bed::new(at.port(), checked());
    bed.expect(Status::Down).await;
    assert_eq!(bed.health().view().reason, "no connection within 500ms");
    assert!(begun.elapsed() >= Duration::from_millis(450), "{:?}", begun.elapsed());
    for _ in &waiting {
        server.accept().await.unwrap();
    }
    bed.expect(Status::Up).await;
}

/// A server that answers through TLS, and tells which protocol each client has asked for.
async fn tls_server(tls: TlsServer) -> (u16, watch::Receiver<Option<Vec<u8>>>) {
    let (socket, port) = server().await;
    let (tell, told) = watch::channel(None);
    tokio::spawn(async move {
        while let Ok((stream, _)) = socket.accept().await {
            let mut t = Transport::tls(stream, tls.session(&[]).unwrap());
            if poll_fn(|cx| t.poll_handshake(cx)).await.is_err() {
                continue;
            }
            let _ = tell.send(t.info().and_then(|info| info.alpn.clone()));
            if matches!(poll_fn(|cx| t.poll_read(cx)).await, Ok(Some(_))) {
                let answer = IoSlice::new(b"HTTP/1.1 204 No Content\r\n\r\n");
                let _ = poll_fn(|cx| t.poll_write(cx, &[answer])).await;
                let _ = poll_fn(|cx| t.poll_shutdown(cx)).await;
            }
        }
    });
    (port, told)
}

#[tokio::test]
async fn a_page_is_asked_for_through_tls() {
    let certs = Certs::with_names(vec!["127.0.0.1".to_owned()]);
    let options = adaptors::tls::ServerOptions { authenticate_peer: true, alpn: vec![b"http/1.1".to_vec()] };
    let tls = TlsServer::load(&certs.profile(), adaptors::tls::Consumer::Tcp, &options).unwrap();
    let (port, mut protocols) = tls_server(tls).await;
    let bed = Bed::with(TcpConnectorParams { tls: Some(certs.profile()), ..params(port, asked("/")) });
    bed.expect(Status::Up).await;
    let protocol = protocols.wait_for(Option::is_some).await.unwrap().clone();
    assert_eq!(protocol.as_deref(), Some(&b"http/1.1"[..]));
    drop(bed);
    // Another authority's certificate is no page.
    let others = Certs::new();
    let bed = Bed::with(TcpConnectorParams { tls: Some(others.profile()), ..params(port, asked("/")) });
    bed.expect(Status::Down).await;
    let reason = bed.health().view().reason;
    assert!(reason.starts_with("TLS: "), "{reason}");
    // Without a page, it has to be there.
    let bed = Bed::with(TcpConnectorParams { tls: Some(others.profile()), ..params(port, checked()) });
    bed.expect(Status::Up).await;
}

#[tokio::test]
async fn checks_have_the_proxy_header_of_the_routers_own_connections() {
    let (server, port) = server().await;
    let _bed = Bed::with(TcpConnectorParams { proxy_protocol: true, ..params(port, asked("/")) });
    let (mut stream, _) = timeout(PATIENCE, server.accept()).await.expect("in time").unwrap();
    let ends = timeout(PATIENCE, adaptors::proxy_protocol::accept(&mut stream)).await.expect("in time").unwrap();
    assert!(ends.is_none());
    let request = timeout(PATIENCE, read_request(&mut stream)).await.expect("in time");
    assert!(request.starts_with("GET / HTTP/1.1\r\n"), "{request}");
}

/// Clients, of whom each waits for the end of its connection.
async fn clients(listens: u16, count: usize) {
    for _ in 0..count {
        let Ok(mut client) = TcpStream::connect(("127.0.0.1", listens)).await else { continue };
        let _ = timeout(PATIENCE, client.read_u8()).await.expect("an end");
    }
}

#[tokio::test]
async fn connections_that_fail_eject_a_server_for_a_while() {
    let port = free_port();
    let bed = Bed::new(port, ejecting(3, Duration::from_millis(300)));
    let (listener, listens) = bed.listener();
    bed.expect(Status::Unknown).await;
    assert!(bed.is_offered());
    until(|| listener.status().0).await;
    clients(listens, 2).await;
    assert_eq!(bed.health().view().status, Status::Unknown);
    clients(listens, 1).await;
    bed.expect(Status::Ejected).await;
    assert_eq!((bed.health().view().reason.as_str(), bed.health().ejections()), ("Connection refused", 1));
    let begun = Instant::now();
    bed.expect(Status::Unknown).await;
    until(|| listener.status().0).await;
    // One more is enough.
    clients(listens, 1).await;
    bed.expect(Status::Ejected).await;
    assert_eq!(bed.health().ejections(), 2);
    let server = server_at(port).await;
    bed.expect(Status::Unknown).await;
    assert!(begun.elapsed() >= Duration::from_millis(600), "the second lasts longer: {:?}", begun.elapsed());
    until(|| listener.status().0).await;
    let mut client = TcpStream::connect(("127.0.0.1", listens)).await.unwrap();
    client.write_all(b"hello").await.unwrap();
    let _peer = serve(&server, b"hello").await;
    until(|| bed.health().view().status == Status::Up).await;
}

#[tokio::test]
async fn an_ejected_server_with_checks_comes_back_by_them() {
    let (first, port) = server().await;
    let config = Config {
        params: Params {
            checks: Some(Checks { interval: Duration::from_millis(700), failures: 1000, successes: 1 }),
            ejections: Some(Ejections { failures: 1, time: Duration::from_secs(1000) }),
        },
        ..checked()
    };
    let bed = Bed::new(port, config);
    let (listener, listens) = bed.listener();
    bed.expect(Status::Up).await;
    until(|| listener.status().0).await;
    drop(first);
    clients(listens, 1).await;
    bed.expect(Status::Ejected).await;
    let _second = server_at(port).await;
    bed.expect(Status::Up).await;
}

#[tokio::test]
async fn a_deleted_connector_is_tried_no_more() {
    let (server, port) = server().await;
    for (is_there, health) in [(true, checked()), (false, ejecting(1, PATIENCE))] {
        let bed = Bed::new(port, health);
        bed.expect(if is_there { Status::Up } else { Status::Unknown }).await;
        assert_eq!(bed.io.tasks().live()["health"], 1);
        bed.connector.delete(false);
        assert!(!bed.is_offered());
        until(|| bed.io.tasks().live().is_empty()).await;
        assert!(!bed.connector.service().is_up() && !bed.is_offered());
    }
    // So is one whose check is under way, and one that is withdrawn.
    let silent = Bed::new(port, asked("/"));
    until(|| silent.io.tasks().live().contains_key("health")).await;
    let gone = Bed::new(free_port(), checked());
    gone.expect(Status::Down).await;
    for bed in [silent, gone] {
        bed.connector.delete(true);
        until(|| bed.io.tasks().live().is_empty()).await;
        assert!(!bed.is_offered());
    }
    drop(server);
}
