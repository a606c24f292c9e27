//! How the tasks of every kind end: by deletion, by draining, with the router.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]
#![allow(clippy::disallowed_methods, reason = "tests have tasks of their own")]

mod common;

use adaptors::amqp::{
    Connector, ConnectorParams, ConnectorState, DataConnections, EndpointParams, Listener, ListenerParams,
};
use adaptors::clock;
use adaptors::resolver::{self, Resolve};
use adaptors::runtime::Io;
use adaptors::tcp::{Strategy, TcpConnector, TcpConnectorParams, TcpListener, TcpListenerParams};
use adaptors::tls::{PeerEnd, TlsProfile};
use adaptors::transport::Transport;
use common::Certs;
use router_engine::Router;
use router_engine::core::connection::ConnectionRole;
use router_engine::core::{Mode, RouterConfig};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener as Server, TcpStream};
use tokio::runtime::Handle;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(20);
const HEADER: &[u8] = b"AMQP\x00\x01\x00\x00";
/// open with container-id "x".
const OPEN: &[u8] = b"\x00\x00\x00\x11\x02\x00\x00\x00\x00\x53\x10\xc0\x04\x01\xa1\x01x";
const CLOSE: &[u8] = b"\x00\x00\x00\x0c\x02\x00\x00\x00\x00\x53\x18\x45";

/// Names that are found from now on; others are looked up for as long as they are not here.
static FOUND: (Mutex<Vec<String>>, Condvar) = (Mutex::new(Vec::new()), Condvar::new());

struct Slow;

impl Resolve for Slow {
    fn host(&self, name: &str) -> io::Result<Vec<SocketAddr>> {
        let found = FOUND.0.lock().unwrap();
        drop(FOUND.1.wait_while(found, |found| !found.iter().any(|known| known == name)).unwrap());
        Ok(vec![SocketAddr::from(([127, 0, 0, 1], 0))])
    }

    fn service(&self, _: &str) -> Option<u16> {
        None
    }
}

/// A name that is found once this is dropped.
struct Name(&'static str);

impl Drop for Name {
    fn drop(&mut self) {
        FOUND.0.lock().unwrap().push(self.0.to_owned());
        FOUND.1.notify_all();
    }
}

fn adaptors(id: &str) -> Io {
    resolver::install(Arc::new(Slow));
    let config = RouterConfig { id: id.into(), mode: Mode::Interior, ..RouterConfig::default() };
    let router = Router::new(config, router_engine::rng::Seed::from(1), 1, clock::now());
    let io = Io::new(Arc::new(router), Handle::current(), 1);
    io.start();
    io
}

fn endpoint(host: &str, port: u16) -> EndpointParams {
    EndpointParams {
        name: "endpoint".into(),
        host: host.into(),
        port: port.to_string(),
        family: None,
        role: ConnectionRole::RouteContainer,
        cost: 1,
        max_frame_size: 16384,
        max_sessions: 100,
        max_session_frames: None,
        idle_timeout: Duration::from_secs(60),
        liveness: None,
        link_capacity: 250,
        message_fields: router_engine::port::MessageFields::default(),
        strip_in: true,
        strip_out: true,
        open_properties: amqp_core::value::Map::default(),
        policy_vhost: None,
        tls: None,
    }
}

fn listener(io: &Io, host: &str) -> Listener {
    let params = ListenerParams {
        endpoint: endpoint(host, 0),
        authenticate_peer: false,
        require_encryption: false,
        require_ssl: false,
        mechanisms: vec!["ANONYMOUS".into()],
        demand_certificate: false,
        handshake_timeout: None,
        failover_list: None,
        authenticator: None,
    };
    let listener = Listener::create(params, io).unwrap();
    listener.start();
    listener
}

fn connector(io: &Io, host: &str, port: u16) -> Connector {
    connector_to(io, endpoint(host, port))
}

fn connector_to(io: &Io, endpoint: EndpointParams) -> Connector {
    let params = ConnectorParams {
        endpoint,
        verify_hostname: true,
        mechanisms: None,
        sasl_username: None,
        sasl_password: None,
        data_connections: DataConnections::Count(0),
        proxy: None,
    };
    let connector = Connector::create(params, io).unwrap();
    connector.activate();
    connector
}

/// Both ends of a service: clients' port, and where the server is.
fn service(io: &Io, name: &str, server: u16, tls: Option<TlsProfile>) -> (TcpListener, TcpConnector, u16) {
    let port = free_port();
    let params = TcpListenerParams {
        name: name.into(),
        address: name.into(),
        host: "127.0.0.1".into(),
        port: port.to_string(),
        backlog: 0,
        strategy: Strategy::None,
        tls,
        authenticate_peer: false,
        observer: None,
        ..TcpListenerParams::default()
    };
    let listener = TcpListener::create(params, io).unwrap();
    listener.activate();
    let params = TcpConnectorParams {
        name: name.into(),
        address: name.into(),
        host: "127.0.0.1".into(),
        port: server.to_string(),
        tls: None,
        verify_hostname: true,
        process_id: None,
        ..TcpConnectorParams::default()
    };
    let connector = TcpConnector::create(params, io).unwrap();
    connector.activate();
    (listener, connector, port)
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).unwrap().port()
}

/// A server that answers no connection for now, and the clients that keep it from doing so.
async fn busy_server() -> (Server, u16, Vec<TcpStream>) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let server = socket.listen(1).unwrap();
    let address = server.local_addr().unwrap();
    let mut waiting = Vec::new();
    // The system leaves connections unanswered once enough of them wait to be accepted.
    while let Ok(client) = timeout(Duration::from_millis(200), TcpStream::connect(address)).await {
        waiting.push(client.unwrap());
    }
    (server, address.port(), waiting)
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, waited).await.expect(what);
}

/// Waits until there are so many tasks of each name, and no others.
async fn live(io: &Io, expected: &[(&'static str, usize)]) {
    let expected: BTreeMap<_, _> = expected.iter().copied().collect();
    let mut live = BTreeMap::new();
    let reached = async {
        until("", || {
            live = io.tasks().live();
            live == expected
        })
        .await;
    };
    if timeout(PATIENCE / 2, reached).await.is_err() {
        panic!("{live:?} instead of {expected:?}");
    }
}

async fn connect(port: u16) -> TcpStream {
    let mut client = None;
    let connected = async {
        while client.is_none() {
            client = TcpStream::connect(("127.0.0.1", port)).await.ok();
        }
    };
    timeout(PATIENCE, connected).await.expect("it listens");
    client.unwrap()
}

/// A peer of an AMQP listener whose connection is open.
async fn open_peer(port: u16) -> TcpStream {
    let mut peer = connect(port).await;
    peer.write_all(&[HEADER, OPEN].concat()).await.unwrap();
    let mut header = [0; 8];
    timeout(PATIENCE, peer.read_exact(&mut header)).await.expect("in time").unwrap();
    let size = peer.read_u32().await.unwrap();
    peer.read_exact(&mut vec![0; size as usize - 4]).await.unwrap();
    peer
}

async fn echoed(client: &mut TcpStream, server: &mut TcpStream) {
    client.write_all(b"a").await.unwrap();
    assert_eq!(timeout(PATIENCE, server.read_u8()).await.expect("in time").unwrap(), b'a');
}

async fn expect_reset(mut stream: TcpStream) {
    let end = timeout(PATIENCE, stream.read_u8()).await.expect("in time").expect_err("an end");
    assert_eq!(end.kind(), ErrorKind::ConnectionReset);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn draining_and_stopping_reach_tasks_of_every_kind() {
    let (io, other, certs) = (adaptors("A"), adaptors("B"), Certs::new());
    let (_busy, busy, _waiting) = busy_server().await;
    let (server, silent) = (Server::bind("127.0.0.1:0").await.unwrap(), Server::bind("127.0.0.1:0").await.unwrap());
    let port = |server: &Server| server.local_addr().unwrap().port();

    let amqp = listener(&io, "127.0.0.1").bound()[0].port();
    let _says_nothing = connect(amqp).await;
    let (mut closing, mut open) = (open_peer(amqp).await, open_peer(amqp).await);

    let others = listener(&other, "127.0.0.1").bound()[0].port();
    let waits_to_retry = connector(&io, "127.0.0.1", free_port());
    let in_handshake = connector(&io, "127.0.0.1", port(&silent));
    let connected = connector(&io, "127.0.0.1", others);
    connector(&io, "127.0.0.1", busy);
    let slow = Name("slow.connector");
    connector(&io, slow.0, 1);

    let (_, _, copying) = service(&io, "copying", port(&server), None);
    let (_, _, without_server) = service(&io, "without-server", busy, None);
    let (_, _, with_tls) = service(&io, "with-tls", busy, Some(certs.profile()));
    let mut client = connect(copying).await;
    let (mut peer, _) = timeout(PATIENCE, server.accept()).await.expect("in time").unwrap();
    echoed(&mut client, &mut peer).await;
    let (waiting_client, shaking_hands) = (connect(without_server).await, connect(with_tls).await);

    until("a failure", || waits_to_retry.status().message.contains("failed")).await;
    until("a connection", || connected.status().state == ConnectorState::Success).await;
    let _accepted = timeout(PATIENCE, silent.accept()).await.expect("in time").unwrap();
    assert_eq!(in_handshake.status().state, ConnectorState::Connecting);
    let timers = [("core timer", 1), ("trim", 1)];
    let flows = [("connection", 3), ("flow", 5), ("lookup", 1)];
    let entrances = [("listener", 4), ("dispatcher", 3), ("connector", 5)];
    live(&io, &[&timers[..], &flows, &entrances].concat()).await;

    // What is under way goes on; nothing else does, or comes to be.
    io.tasks().drain();
    live(&io, &[&timers[..], &flows, &[("connector", 1)]].concat()).await;
    echoed(&mut client, &mut peer).await;
    for port in [amqp, copying] {
        let refused = TcpStream::connect(("127.0.0.1", port)).await.expect_err("closed");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    }
    assert_eq!(connected.status().state, ConnectorState::Success);

    // Its driver waits for the peer to end its half too.
    closing.write_all(CLOSE).await.unwrap();
    timeout(PATIENCE, closing.read_to_end(&mut Vec::new())).await.expect("in time").unwrap();

    assert_eq!(io.shutdown().await, []);
    // A lookup cannot be interrupted.
    live(&io, &[("lookup", 1)]).await;
    assert_eq!(io.router().connection_count(), 0);
    for flow in [client, peer, waiting_client, shaking_hands] {
        expect_reset(flow).await;
    }
    let rest = timeout(PATIENCE, open.read_to_end(&mut Vec::new())).await.expect("in time");
    assert!(rest.is_ok() || rest.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset));
    drop(slow);
    live(&io, &[]).await;

    assert_eq!(other.shutdown().await, []);
    live(&other, &[]).await;
}

/// Does a server's part until it has read so many octets, deletes the connector, and returns what comes then.
async fn given_up(io: &Io, tls: Option<&Certs>, answers: &[u8], octets: usize) -> Vec<u8> {
    let server = Server::bind("127.0.0.1:0").await.unwrap();
    let address = server.local_addr().unwrap();
    let params = EndpointParams { tls: tls.map(Certs::profile), ..endpoint("localhost", address.port()) };
    let connector = connector_to(io, params);
    let (stream, _) = timeout(PATIENCE, server.accept()).await.expect("in time").unwrap();
    let mut peer = match tls {
        None => Transport::plain(stream),
        Some(certs) => Transport::tls(stream, certs.server(false).session(&[]).unwrap()),
    };
    poll_fn(|cx| peer.poll_handshake(cx)).await.unwrap();
    poll_fn(|cx| peer.poll_write(cx, &[IoSlice::new(answers)])).await.unwrap();
    poll_fn(|cx| peer.poll_flush(cx)).await.unwrap();
    let mut read = Vec::new();
    while read.len() < octets {
        read.extend(poll_fn(|cx| peer.poll_read(cx)).await.unwrap().expect("more"));
    }
    connector.delete();
    let rest = async {
        while let Some(data) = poll_fn(|cx| peer.poll_read(cx)).await.unwrap() {
            read.extend(data);
        }
    };
    timeout(PATIENCE / 2, rest).await.expect("in time");
    assert!(matches!(peer.tls_end(), None | Some(PeerEnd::CloseNotify)));
    drop(peer);
    live(io, &[("core timer", 1), ("trim", 1)]).await;
    assert_eq!(io.router().connection_count(), 0);
    read.split_off(octets)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connector_deleted_before_it_has_opened_ends_as_far_as_it_is() {
    const SASL: &[u8] = b"AMQP\x03\x01\x00\x00";
    /// sasl-mechanisms with ANONYMOUS, and an outcome: ok.
    const OFFER: &[u8] = b"\x00\x00\x00\x19\x02\x01\x00\x00\x00\x53\x40\xc0\x0c\x01\xa3\x09ANONYMOUS";
    const OK: &[u8] = b"\x00\x00\x00\x10\x02\x01\x00\x00\x00\x53\x44\xc0\x03\x01\x50\x00";
    let (io, certs) = (adaptors("A"), Certs::new());
    // Found at once.
    drop(Name("localhost"));
    for tls in [None, Some(&certs)] {
        assert_eq!(given_up(&io, tls, b"", SASL.len()).await, b"");
        // Its AMQP header comes behind sasl-init.
        let rest = given_up(&io, tls, &[SASL, OFFER, OK].concat(), 100).await;
        assert!(rest.ends_with(CLOSE), "{rest:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_deleted_while_it_is_activated_leaves_nothing_behind() {
    let io = adaptors("A");
    let (_busy, busy, _waiting) = busy_server().await;
    let timers = [("core timer", 1), ("trim", 1)];
    let slow = Name("slow.listener");
    let named = listener(&io, slow.0);
    live(&io, &[&timers[..], &[("listener", 1), ("lookup", 1)]].concat()).await;
    assert_eq!(named.wait_started(Some(Duration::ZERO)), None);
    named.delete();
    assert!(named.wait_started(None).is_some_and(|started| started.is_err()));
    live(&io, &[&timers[..], &[("lookup", 1)]].concat()).await;
    drop(slow);
    live(&io, &timers).await;
    assert!(named.bound().is_empty());
    // Deleted, it does not begin again.
    named.start();
    live(&io, &timers).await;

    let connecting = connector(&io, "127.0.0.1", busy);
    until("it connects", || io.router().connection_count() == 1).await;
    connecting.delete();
    live(&io, &timers).await;
    assert_eq!(io.router().connection_count(), 0);
    connecting.activate();
    assert_eq!(connecting.status().state, ConnectorState::Closing);
    live(&io, &timers).await;

    let (listener, connector, port) = service(&io, "tcp", busy, None);
    listener.delete(false);
    connector.delete(false);
    listener.activate();
    connector.activate();
    live(&io, &timers).await;
    assert_eq!(io.router().connection_count(), 0);
    std::net::TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
}

#[tokio::test]
async fn what_is_there_to_be_sent_goes_out_before_the_end() {
    for _ in 0..20 {
        let io = adaptors("A");
        let listener = listener(&io, "127.0.0.1");
        let mut peer = open_peer(listener.bound()[0].port()).await;
        let rows = io.router().connection_rows(clock::now());
        let id = io.router().connection_id(rows[0].number).unwrap();
        io.router().close_connection(id, None, false);
        assert_eq!(io.shutdown().await, []);
        let mut rest = Vec::new();
        timeout(PATIENCE, peer.read_to_end(&mut rest)).await.expect("in time").expect("in order");
        assert!(rest.ends_with(&CLOSE[8..]), "{rest:02x?}");
    }
}
