//! AMQP listeners and connectors with real sockets.

#![allow(clippy::unwrap_used, reason = "a test fails where it unwraps")]

mod common;

use adaptors::amqp::{EndpointParams, Listener, ListenerParams};
use adaptors::clock;
use adaptors::runtime::Io;
use adaptors::tls::TlsProfile;
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
    let executor = tokio::runtime::Runtime::new().unwrap();
    let io = io("A", executor.handle().clone());
    let (_listener, port) = listener(&io, ConnectionRole::Normal, None);
    let _peer = std::net::TcpStream::connect(("localhost", port)).unwrap();
    wait_until("accepted", || connections(&io) == 1);
    executor.shutdown_timeout(PATIENCE);
    assert_eq!(connections(&io), 0);
}
