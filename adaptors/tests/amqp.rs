//! AMQP listeners and connectors with real sockets.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod common;

use adaptors::amqp::{Connector, ConnectorParams, DataConnections, EndpointParams, Listener, ListenerParams};
use adaptors::clock;
use adaptors::runtime::Io;
use adaptors::tls::TlsProfile;
use common::Certs;
use router_engine::Router;
use router_engine::core::connection::ConnectionRole;
use router_engine::core::{Mode, RouterConfig};
use std::sync::Arc;
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
        link_capacity: 250,
        strip_in: true,
        strip_out: true,
        open_properties: amqp_core::value::Map::default(),
        tls,
    }
}

/// A listener on some port, and the port.
fn listener(io: &Io, role: ConnectionRole, tls: Option<TlsProfile>) -> (Listener, u16) {
    let params = ListenerParams {
        endpoint: endpoint(role, 0, tls),
        authenticate_peer: false,
        require_encryption: false,
        require_ssl: false,
        mechanisms: vec!["ANONYMOUS".into()],
        demand_certificate: false,
        handshake_timeout: None,
        failover_list: None,
        access_id: None,
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
    io.router().router_row(clock::now()).connections
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
    let _peer = std::net::TcpStream::connect(("localhost", port)).unwrap();
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
        connector.update_tls(&certs.profile()).unwrap();
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
