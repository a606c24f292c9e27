//! AMQP listeners and connectors with real sockets.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]
#![allow(clippy::disallowed_methods, reason = "tests have tasks of their own")]

mod common;

use adaptors::amqp::{
    Connector, ConnectorParams, ConnectorState, DataConnections, EndpointParams, Listener, ListenerParams,
};
use adaptors::clock;
use adaptors::runtime::Io;
use adaptors::tls::TlsProfile;
use amqp_core::message::{MessageBuilder, Properties};
use common::Certs;
use router_engine::core::action::{Direction, PeerOpen};
use router_engine::core::connection::ConnectionRole;
use router_engine::core::{AutoLinkConfig, AutoLinkPeer, AutoLinkState, Mode, RouterConfig};
use router_engine::log;
use router_engine::port::Liveness;
use router_engine::port::local::{Attach, Endpoint, Envelope, Event, Identity};
use router_engine::stream::Payload;
use router_engine::{LinkId, Router};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

const PATIENCE: Duration = Duration::from_secs(20);

/// Adaptors of a router of their own.
fn io(id: &str, handle: Handle) -> Io {
    let config = RouterConfig { id: id.into(), mode: Mode::Interior, ..RouterConfig::default() };
    let router = Router::new(config, router_engine::rng::Seed::from(1), 1, clock::now());
    let io = Io::new(Arc::new(router), handle, 1);
    io.start();
    io
}

fn endpoint(role: ConnectionRole, port: u16, tls: Option<TlsProfile>) -> EndpointParams {
    EndpointParams {
        name: "endpoint".into(),
        host: "localhost".into(),
        port: port.to_string(),
        family: None,
        role,
        cost: 1,
        max_frame_size: 16384,
        max_sessions: 100,
        max_session_frames: None,
        idle_timeout: Duration::from_secs(16),
        liveness: None,
        link_capacity: 250,
        message_fields: router_engine::port::MessageFields::default(),
        strip_in: true,
        strip_out: true,
        open_properties: amqp_core::value::Map::default(),
        policy_vhost: None,
        tls,
    }
}

/// A listener on some port, and the port.
fn listener(io: &Io, role: ConnectionRole, tls: Option<TlsProfile>) -> (Listener, u16) {
    listener_with(io, endpoint(role, 0, tls), None)
}

/// As [`listener`], with a limit for the handshake.
fn listener_with(io: &Io, endpoint: EndpointParams, handshake_timeout: Option<Duration>) -> (Listener, u16) {
    let params = ListenerParams {
        endpoint,
        authenticate_peer: false,
        require_encryption: false,
        require_ssl: false,
        mechanisms: vec!["ANONYMOUS".into()],
        demand_certificate: false,
        handshake_timeout,
        failover_list: None,
        authenticator: None,
    };
    let listener = Listener::create(params, io).unwrap();
    listener.activate().unwrap();
    let port = listener.bound()[0].port();
    (listener, port)
}

/// A connector that is at work.
fn connector(io: &Io, endpoint: EndpointParams) -> Connector {
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

/// Waits for words in the message of a connector.
#[track_caller]
fn wait_for_message(connector: &Connector, words: &str) {
    wait_until(words, || connector.status().message.contains(words));
}

/// An executor in the background.
fn executor() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// Connections that the core knows, opened or not.
fn connections(io: &Io) -> usize {
    io.router().connection_count()
}

#[track_caller]
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_connection_whose_task_ends_before_it_has_a_port_leaves_the_core() {
    let executor = executor();
    let io = io("A", executor.handle().clone());
    let (_listener, port) = listener(&io, ConnectionRole::Normal, None);
    let _peer = TcpStream::connect(("localhost", port)).unwrap();
    wait_until("accepted", || connections(&io) == 1);
    executor.shutdown_timeout(PATIENCE);
    assert_eq!(connections(&io), 0);
}

#[test]
fn a_connector_connects_anew_with_the_newest_credentials() {
    let executor = executor();
    let (server, client) = (io("A", executor.handle().clone()), io("B", executor.handle().clone()));
    let (certs, others) = (Certs::new(), Certs::new());
    let connectors = [ConnectionRole::RouteContainer, ConnectionRole::InterRouter].map(|role| {
        let (_, port) = listener(&server, role, Some(certs.profile()));
        connector(&client, endpoint(role, port, Some(others.profile())))
    });
    for connector in &connectors {
        wait_for_message(connector, "certificate verify failed");
        connector.prepare_tls(&certs.profile()).unwrap().apply();
    }
    for connector in &connectors {
        wait_for_message(connector, "Connection Opened");
    }
}

#[test]
fn a_connector_gives_up_on_a_silent_server() {
    let executor = executor();
    let io = io("A", executor.handle().clone());
    let certs = Certs::new();
    for tls in [None, Some(certs.profile())] {
        // The kernel accepts; nobody answers.
        let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = server.local_addr().unwrap().port();
        let idle_timeout = Duration::from_millis(300);
        let endpoint = EndpointParams { idle_timeout, ..endpoint(ConnectionRole::RouteContainer, port, tls) };
        let connector = connector(&io, endpoint);
        wait_for_message(&connector, "amqp:resource-limit-exceeded local-idle-timeout expired");
        wait_until("gone", || connections(&io) == 0);
        connector.delete();
    }
}

#[test]
fn a_connection_with_older_credentials_ends_without_a_word_about_the_newer_one() {
    let executor = executor();
    let (server, client) = (io("A", executor.handle().clone()), io("B", executor.handle().clone()));
    let certs = Certs::new();
    Lines::keep();
    let (role, profile) = (ConnectionRole::InterRouter, TlsProfile { ordinal: 1, ..certs.profile() });
    let (listener, port) = listener(&server, role, Some(profile.clone()));
    let connector = connector(&client, endpoint(role, port, Some(profile)));
    wait_for_message(&connector, "Connection Opened");
    wait_until("both ends open", || Lines::with("ROUTER_CORE (info) [C1] Connection Opened: dir=") == 2);
    for (words, lines) in [
        ("ROUTER (debug) Remote router annotations version: 2", 2),
        ("SERVER (debug) [C1] User id is 'anonymous'", 1),
        ("dir=in host=127.0.0.1:", 1),
        (" encrypted=TLSv1.3 auth=ANONYMOUS user=anonymous container_id=B", 1),
        (" encrypted=TLSv1.3 auth=ANONYMOUS user=(null) container_id=A", 1),
        (r#" props={:product="skupper-router", "#, 2),
    ] {
        assert_eq!(Lines::with(words), lines, "{words}");
    }
    let first = connector.status().message;
    connector.prepare_tls(&TlsProfile { ordinal: 2, ..certs.profile() }).unwrap().apply();
    wait_until("a second connection", || connector.status().message != first && connections(&client) == 2);
    wait_for_message(&connector, "Connection Opened");
    let second = connector.status().message;

    let rows = server.router().connection_rows(clock::now());
    let oldest = rows.iter().map(|row| row.number).min().unwrap();
    server.router().close_connection(server.router().connection_id(oldest).unwrap(), None, true);
    wait_until("the first one is gone", || connections(&client) == 1);
    wait_until("both ends close", || Lines::with("ROUTER_CORE (info) [C1] Connection Closed") == 2);
    let newest = TlsProfile { ordinal: 2, oldest_valid_ordinal: 2, ..certs.profile() };
    connector.prepare_tls(&newest).unwrap().apply();
    listener.prepare_tls(&TlsProfile { oldest_valid_ordinal: 1, ..newest }).unwrap().apply();
    for line in [
        "SERVER (debug) Connector endpoint new TLS ordinal: 2, previous: 1",
        "SERVER (debug) Connector endpoint new oldest valid TLS ordinal: 2, previous: 0",
        "SERVER (debug) Listeners endpoint new oldest valid TLS ordinal: 1, previous: 0",
    ] {
        assert_eq!(Lines::with(line), 1, "{line}");
    }
    // What the end of its task writes, it writes in the same breath.
    executor.shutdown_timeout(PATIENCE);
    let status = connector.status();
    assert_eq!((status.state, status.message), (ConnectorState::Success, second));
}

/// Keeps the lines of the log.
struct Lines;

static LINES: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Lines {
    fn keep() {
        log::observe(|record| {
            let line = format!("{} ({}) {}", record.module.name(), record.level.name(), record.text());
            LINES.lock().unwrap().push(line);
        });
        for module in log::LogModule::ALL {
            log::set_mask(module, u8::MAX);
        }
    }

    /// Lines with these words so far.
    fn with(words: &str) -> usize {
        LINES.lock().unwrap().iter().filter(|line| line.contains(words)).count()
    }
}

#[test]
fn every_loss_of_a_connection_is_logged() {
    Lines::keep();
    let executor = executor();
    let (server, client) = (io("A", executor.handle().clone()), io("B", executor.handle().clone()));
    let (_, port) = listener(&server, ConnectionRole::RouteContainer, None);
    connector(&client, endpoint(ConnectionRole::RouteContainer, port, None));
    let lost = format!("Connection to localhost:{port} failed: amqp:connection:framing-error connection aborted");
    for losses in 1..=2 {
        // Both know that it is open: what is lost before is logged in other words.
        wait_until("connected", || {
            [&server, &client].map(|io| io.router().connection_rows(clock::now()).len()) == [1; 2]
        });
        let number = server.router().connection_rows(clock::now())[0].number;
        server.router().close_connection(server.router().connection_id(number).unwrap(), None, true);
        wait_until("the loss is logged", || Lines::with(&lost) == losses);
    }
}

/// A TLS client that trusts the certificates' authority and has one of them.
/// Carries octets between two sockets until it is told to forget about them; nobody hears of that.
#[derive(Default)]
struct Tunnel {
    blocked: AtomicBool,
    /// The connector has given its connection up.
    dialled_again: AtomicBool,
    /// Heartbeats carried away from the connector, and towards it.
    heartbeats: [AtomicUsize; 2],
}

impl Tunnel {
    /// A tunnel to a port of this machine for one connection; and its own port.
    fn open(to: u16) -> (Arc<Self>, u16) {
        let (tunnel, entry) = (Arc::<Self>::default(), std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let (carrier, port) = (Arc::clone(&tunnel), entry.local_addr().unwrap().port());
        std::thread::spawn(move || {
            let near = entry.accept().unwrap().0;
            let far = TcpStream::connect(("127.0.0.1", to)).unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| carrier.carry(&near, &far, 0));
                scope.spawn(|| carrier.carry(&far, &near, 1));
                let _again = entry.accept().unwrap();
                carrier.dialled_again.store(true, Ordering::Relaxed);
            });
        });
        (tunnel, port)
    }

    fn carry(&self, mut from: &TcpStream, mut to: &TcpStream, way: usize) {
        let mut octets = [0; 4096];
        while let Ok(n @ 1..) = from.read(&mut octets) {
            if !self.blocked.load(Ordering::Relaxed) {
                self.heartbeats[way].fetch_add(usize::from(octets[..n] == *HEARTBEAT), Ordering::Relaxed);
                to.write_all(&octets[..n]).unwrap();
            }
        }
    }
}

const HEARTBEAT: &[u8] = &[0, 0, 0, 8, 2, 0, 0, 0];

#[test]
fn routers_that_agreed_to_watch_each_other_notice_a_dead_connection() {
    Lines::keep();
    let executor = executor();
    let (server, client) = (io("A", executor.handle().clone()), io("B", executor.handle().clone()));
    let watched = |role, port, millis| {
        let liveness = Some(Liveness { interval: Duration::from_millis(millis), multiplier: 3 });
        EndpointParams { liveness, ..endpoint(role, port, None) }
    };
    let (_listener, port) = listener_with(&server, watched(ConnectionRole::InterRouter, 0, 100), None);
    let (tunnel, port) = Tunnel::open(port);
    let connector = connector(&client, watched(ConnectionRole::InterRouter, port, 50));
    wait_for_message(&connector, "Connection Opened");
    // More than a detection time, so that the one end has heard the other.
    wait_until("heartbeats", || tunnel.heartbeats.iter().all(|count| count.load(Ordering::Relaxed) > 5));
    assert_eq!(Lines::with("failed: "), 0);
    tunnel.blocked.store(true, Ordering::Relaxed);
    let dead = Instant::now();
    let failed = "failed: amqp:resource-limit-exceeded liveness expired: nothing received for 300 ms";
    wait_until("both ends give up", || {
        let at_client = Lines::with(&format!("Connection to localhost:{port} {failed}"));
        (at_client, Lines::with(failed)) == (1, 2)
    });
    // The idle timeout would have taken 16 s.
    assert!(dead.elapsed() < Duration::from_secs(5), "{:?}", dead.elapsed());
    wait_until("the connector dials again", || tunnel.dialled_again.load(Ordering::Relaxed));
    // To wait for the end of a connection that is dead would take two more.
    assert!(dead.elapsed() < Duration::from_secs(2), "{:?}", dead.elapsed());
}

fn tls_client(certs: &Certs) -> rustls::ClientConnection {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certs.path("ca.crt")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_client_auth_cert(
            vec![CertificateDer::from_pem_file(certs.path("tls.crt")).unwrap()],
            PrivateKeyDer::from_pem_file(certs.path("tls.key")).unwrap(),
        )
        .unwrap();
    rustls::ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap()
}

#[test]
fn credentials_count_when_the_handshake_begins_and_when_it_ends() {
    let executor = executor();
    let io = io("A", executor.handle().clone());
    let (old, new) = (Certs::new(), Certs::new());
    let (listener, port) = listener(&io, ConnectionRole::Normal, Some(TlsProfile { ordinal: 1, ..old.profile() }));
    let connect = || {
        let socket = TcpStream::connect(("localhost", port)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket
    };
    // One has the server's part of the handshake, the other has said nothing.
    let (mut begun, mut begun_tls) = (connect(), tls_client(&old));
    begun_tls.write_tls(&mut begun).unwrap();
    while !begun_tls.wants_write() {
        begun_tls.read_tls(&mut begun).unwrap();
        begun_tls.process_new_packets().unwrap();
    }
    let mut silent = connect();
    wait_until("both accepted", || connections(&io) == 2);
    listener.prepare_tls(&TlsProfile { ordinal: 2, oldest_valid_ordinal: 2, ..new.profile() }).unwrap().apply();

    let mut silent_tls = tls_client(&new);
    let mut stream = rustls::Stream::new(&mut silent_tls, &mut silent);
    stream.write_all(b"AMQP\x03\x01\0\0").unwrap();
    let mut header = [0; 8];
    stream.read_exact(&mut header).unwrap();
    assert_eq!(&header, b"AMQP\x03\x01\0\0");

    // To a connection that lives the server would not say a word before the client does.
    while begun_tls.wants_write() {
        begun_tls.write_tls(&mut begun).unwrap();
    }
    let end = begun.read_to_end(&mut Vec::new());
    assert!(end.map_or_else(|e| e.kind() == std::io::ErrorKind::ConnectionReset, |_| true));
    wait_until("the other one lives", || connections(&io) == 1);
}

#[test]
fn a_handshake_that_takes_too_long_makes_one_line() {
    const LINE: &str = "ERROR (error) Run Time: Timeout waiting for initial handshake";
    Lines::keep();
    let executor = executor();
    let io = io("A", executor.handle().clone());
    let limit = Duration::from_millis(100);
    let (_listener, port) = listener_with(&io, endpoint(ConnectionRole::Normal, 0, None), Some(limit));
    // Some say nothing, others do not open.
    for (round, words) in [b"".as_slice(), b"AMQP\0\x01\0\0", b""].into_iter().enumerate() {
        let mut peer = TcpStream::connect(("localhost", port)).unwrap();
        peer.write_all(words).unwrap();
        wait_until("the line", || Lines::with(LINE) == round + 1);
        wait_until("the connection is gone", || connections(&io) == 0);
    }
    let certs = Certs::new();
    let secured = endpoint(ConnectionRole::Normal, 0, Some(certs.profile()));
    let (_listener, port) = listener_with(&io, secured, Some(10 * limit));
    for (round, words) in [b"".as_slice(), b"AMQP\0\x01\0", b"AMQP\0\x01\0\0"].into_iter().enumerate() {
        let (mut peer, mut tls) = (TcpStream::connect(("localhost", port)).unwrap(), tls_client(&certs));
        let mut stream = rustls::Stream::new(&mut tls, &mut peer);
        stream.write_all(words).unwrap();
        stream.flush().unwrap();
        wait_until("the line", || Lines::with(LINE) == round + 4);
        wait_until("the connection is gone", || connections(&io) == 0);
    }
    assert_eq!(Lines::with("Connection from"), 0);
}

/// A client of a router.
fn client(io: &Io) -> Endpoint {
    Endpoint::join(io.router(), Identity::client("client", 10), PeerOpen::default(), clock::now())
}

/// Sends a message to an address, which is given twice for links without one: the first router does not look into it.
fn send(from: &mut Endpoint, link: LinkId, to: &str) {
    let properties = Properties { to: Some(to.to_owned()), ..Properties::default() };
    let message = MessageBuilder::new().properties(&properties).value(amqp_core::Value::Null);
    from.send(link, Payload::One(message), Envelope::to(to).settled());
    from.submit(clock::now());
}

#[track_caller]
fn wait_for_message_at(endpoint: &mut Endpoint) {
    wait_until("a message", || {
        endpoint.take();
        std::iter::from_fn(|| endpoint.next_event()).any(|event| matches!(event, Event::Delivery(_)))
    });
}

#[test]
fn auto_links_of_named_connections_join_two_networks() {
    let executor = executor();
    let [x, y] = ["x", "y"].map(|network| {
        let io = io(network, executor.handle().clone());
        io.router().set_network_id(Some(network));
        io
    });
    // Services of `y` are offered in `x`, and everything in `y` that is for `x` goes there.
    for (io, address, external) in [(&x, None, Some("_xtopo/x")), (&y, Some("service"), None)] {
        let [address, external_address] = [address, external].map(|text| text.map(str::to_owned));
        let peer = Some(AutoLinkPeer::Connection("endpoint".into()));
        let config = AutoLinkConfig { name: None, direction: Direction::In, address, external_address, peer };
        io.router().add_auto_link(1, config);
    }
    let (_listener, port) = listener(&x, ConnectionRole::InterNetwork, None);
    let _connector = connector(&y, endpoint(ConnectionRole::InterNetwork, port, None));
    for io in [&x, &y] {
        wait_until("attached", || io.router().auto_link_status(1).state == AutoLinkState::Active);
    }

    let (mut server, mut client) = (client(&y), client(&x));
    let links = [Attach::receiver("requests", "service"), Attach::anonymous_sender("replies")];
    let [_, replies] = server.attach(links, clock::now()).map(Result::unwrap);
    let links = [Attach::dynamic_receiver("replies"), Attach::sender("requests", "service")];
    let [answers, requests] = client.attach(links, clock::now()).map(Result::unwrap);
    send(&mut client, requests.link, "service");
    wait_for_message_at(&mut server);
    let reply_to = answers.source.unwrap();
    assert!(reply_to.contains("_xtopo/x/"), "{reply_to}");
    send(&mut server, replies.link, &reply_to);
    wait_for_message_at(&mut client);
}
