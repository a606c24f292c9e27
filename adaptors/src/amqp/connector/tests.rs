use super::*;
use crate::amqp::EndpointParams;
use amqp_core::Value;
use amqp_core::performative::Open;
use amqp_core::value::Map;
use router_engine::core::{Mode, RouterConfig};

fn connector(handle: tokio::runtime::Handle) -> Connector {
    let config = RouterConfig { id: "R".into(), mode: Mode::Interior, ..RouterConfig::default() };
    let router = Arc::new(router_engine::Router::new(config, router_engine::rng::Seed::from(1), 1, clock::now()));
    let endpoint = EndpointParams {
        name: "c".to_owned(),
        host: "first".to_owned(),
        port: "1".to_owned(),
        family: None,
        role: ConnectionRole::InterRouter,
        cost: 1,
        max_frame_size: 16_384,
        max_sessions: 16,
        max_session_frames: None,
        idle_timeout: Duration::ZERO,
        liveness: None,
        link_capacity: 250,
        message_fields: router_engine::port::MessageFields::default(),
        strip_in: false,
        strip_out: false,
        open_properties: Map::new(),
        policy_vhost: None,
        tls: None,
    };
    let params = ConnectorParams {
        endpoint,
        verify_hostname: true,
        mechanisms: None,
        sasl_username: None,
        sasl_password: None,
        data_connections: DataConnections::Count(1),
        proxy: None,
    };
    Connector::create(params, &Io::new(router, handle, 1)).expect("no TLS")
}

#[tokio::test]
async fn the_open_names_the_host_that_was_dialled() {
    let connector = connector(tokio::runtime::Handle::current());
    let shared = &connector.shared;
    let dialled = shared.state.lock().failover.current().clone();
    // Before a data connection is there, the control connection has gone to another target.
    let other = Map::new().with("network-host", "second").with("port", "2");
    let list = Map::new().with("failover-server-list", vec![Value::Map(other)]);
    {
        let mut state = shared.state.lock();
        state.failover.on_open(&Open { properties: Some(list), ..Open::default() });
        state.failover.on_failure();
        state.failover.on_failure();
        assert_eq!(state.failover.current().host, "second");
    }
    let slot = ConnectorSlot {
        role: ConnectionRole::InterRouterData,
        tls: Mutex::new(None),
        ordinal: 0,
        conn: Mutex::new(None),
        retired: AtomicBool::new(false),
        ended: watch::Sender::new(false),
        recorded: Mutex::new(None),
    };
    let conn = shared.conn_params(&slot, None, "first:1");
    let params = shared.params.port_params(conn, SaslParams::None, &dialled);
    assert_eq!(params.open.hostname.as_deref(), Some("first"));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn between_routers_the_kernel_gives_up_a_peer_that_acknowledges_nothing() {
    use ConnectionRole::{Edge, InterEdge, InterNetwork, InterRouter, InterRouterData, Normal};
    let server = net::listen_on(std::net::SocketAddr::from(([127, 0, 0, 1], 0)), 16).expect("a port");
    let idle = Duration::from_secs(16);
    let made = connector(tokio::runtime::Handle::current());
    for (role, idle_timeout, limit) in [
        (InterRouter, idle, Some(idle)),
        (InterRouterData, idle, Some(idle)),
        (Edge, idle, Some(idle)),
        (InterEdge, idle, Some(idle)),
        (InterNetwork, idle, None),
        (Normal, idle, None),
        (InterRouter, Duration::ZERO, None),
    ] {
        let stream = TcpStream::connect(server.local_addr().expect("bound")).await.expect("connected");
        let endpoint = EndpointParams { role, idle_timeout, ..made.shared.params.endpoint.clone() };
        endpoint.prepare(&stream);
        let set = socket2::SockRef::from(&stream).tcp_user_timeout().expect("an option");
        assert_eq!(set.filter(|time| !time.is_zero()), limit, "{role:?} {idle_timeout:?}");
    }
}

#[test]
fn a_connector_that_was_activated_connects_even_before_its_tasks_run() {
    let executor = tokio::runtime::Builder::new_current_thread().build().expect("an executor");
    let connector = connector(executor.handle().clone());
    assert_eq!(connector.status().state, ConnectorState::Initializing);
    connector.activate();
    assert_eq!(connector.status().state, ConnectorState::Connecting);
}
